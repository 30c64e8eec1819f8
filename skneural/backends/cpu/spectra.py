"""Limits on the spectral norms of matrices of weights: their largest singular values."""

import math

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, frame_at, spectrum_at, vector
from skneural.backends.cpu.updates import lay_out_groups, sum_of_products, sum_of_squares


@register_jitable(**HELPER)
def lay_out_again(f, own, size, dtype):
    """Lay out for products what has been scaled."""
    for part in range(own.parts):
        rows = own.n_rows // own.parts
        weights = own.weight + part * rows * own.ld
        transposed = own.transposed + part * own.depth * own.ld_transposed if own.transposed >= 0 else -1
        one = (1, own.ld, own.depth)
        is_wide = own.is_wide != 0
        lay_out_groups(f, weights, transposed, rows, own.ld, one, own.ld_transposed, 0, rows, is_wide, size, dtype)


def make_limit_spectrum(dtype):
    """Kernel that scales a matrix down if its spectral norm is too large (Gouk et al., 2021).

    The norm is that by one iteration of the power method; its vector is kept, so the next call begins where this one
    has ended (Miyato et al., 2018). With weights W of shape (I, O) and the vector u, ``W.T @ (W @ u)`` is summed row by
    row, and the norm is the quotient of the lengths of that and of ``W @ u``.
    """
    digest = DIGEST
    size = dtype().itemsize
    zero = dtype(0)

    def limit_spectrum(record_address, frame_address, first, last):
        digest  # part of the cache key
        own = spectrum_at(record_address)
        f = frame_at(frame_address)
        u = vector(f.params + own.vector * size, dtype)  # OUT (O,)
        image = vector(f.scratch, dtype)
        clear(f.scratch, own.ld * size)
        squares = 0.0
        for i in range(own.n_rows):
            row = vector(f.params + (own.weight + i * own.ld) * size, dtype)
            share = sum_of_products(row, u, own.ld, zero)
            squares += np.float64(share) * np.float64(share)
            for j in range(own.ld):
                image[j] += share * row[j]
        length = math.sqrt(np.float64(sum_of_squares(image, own.ld, zero)))
        if length == 0:
            return
        for j in range(own.ld):
            u[j] = image[j] / dtype(length)
        norm = length / math.sqrt(squares)
        if norm <= f.spectral_norm:
            return
        factor = dtype(f.spectral_norm / norm)
        weights = vector(f.params + own.weight * size, dtype)  # OUT (I, O)
        for j in range(own.n_rows * own.ld):
            weights[j] *= factor
        lay_out_again(f, own, size, dtype)

    return LAYER_KERNEL, limit_spectrum
