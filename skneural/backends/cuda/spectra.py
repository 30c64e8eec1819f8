"""Limits on the spectral norms of matrices of weights: their largest singular values."""

from skneural.backends.cuda.compiler import DIGEST
from skneural.backends.cuda.hub import cuda
from skneural.backends.cuda.intrinsics import model_frame, spectrum_at, vector
from skneural.backends.cuda.updates import make_sum_block
from skneural.backends.records import SPECTRUM
from skneural.maths.elementary import sqrt

_SPECTRUM_SIZE = SPECTRUM.itemsize


def room_of(records):
    """Numbers of the scratch that each of some matrices gets: as many as the largest needs."""
    return int((records["n_rows"] + records["ld"]).max(initial=0))


def make_limit_spectra(dtype):
    """Kernel that scales matrices down whose spectral norms are too large (Gouk et al., 2021): a block for each.

    By one iteration of the power method, as on the CPU: see `backends.cpu.spectra`. The records of the matrices stand
    at `address`; each has so many numbers of the scratch as `step` says (see `room_of`): for weights W of shape (I, O)
    and the vector u the products ``W @ u`` and ``W.T @ (W @ u)``.
    """
    digest = DIGEST
    size = dtype().itemsize
    record_size = _SPECTRUM_SIZE
    zero = dtype(0)
    sum_block = make_sum_block(dtype)

    def limit_spectra(address, frames, step):
        digest  # part of the cache key
        own = spectrum_at(address + cuda.blockIdx.x * record_size)
        f = model_frame(frames, 1)
        t = cuda.threadIdx.x
        width = cuda.blockDim.x
        shared = cuda.shared.array(0, dtype)
        weights = vector(f.params + own.weight * size, dtype)  # OUT (I, O)
        u = vector(f.params + own.vector * size, dtype)  # OUT (O,)
        shares = vector(f.scratch + cuda.blockIdx.x * step * size, dtype)
        image = vector(f.scratch + (cuda.blockIdx.x * step + own.n_rows) * size, dtype)
        squares = zero
        for i in range(t, own.n_rows, width):
            share = zero
            for j in range(own.ld):
                share += weights[i * own.ld + j] * u[j]
            shares[i] = share
            squares += share * share
        squares = sum_block(shared, squares)
        square_of_image = zero
        for j in range(t, own.ld, width):
            total = zero
            for i in range(own.n_rows):
                total += shares[i] * weights[i * own.ld + j]
            image[j] = total
            square_of_image += total * total
        square_of_image = sum_block(shared, square_of_image)
        if square_of_image > zero:
            length = sqrt(square_of_image)
            for j in range(t, own.ld, width):
                u[j] = image[j] / length
            limit = dtype(f.spectral_norm)
            norm = length / sqrt(squares)
            if norm > limit:
                for j in range(t, own.n_rows * own.ld, width):
                    weights[j] *= limit / norm

    return limit_spectra
