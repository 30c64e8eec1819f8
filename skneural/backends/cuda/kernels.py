"""Kernels of the layers of rows: ``<layer>_forward``, ``<layer>_backward``, ``<layer>_gradient``.

A maker returns the function that `compiler.kernel` compiles. ``(op, frames, step)`` are the operation, the frames of
all models, and a number that these kernels do not need.

Sizes: B rows of the batch, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST, digest_of, formula
from skneural.backends.cuda.hub import IS_SIMULATED, cuda, register
from skneural.backends.cuda.intrinsics import model_frame, op_at, row_number, vector
from skneural.backends.cuda.product import make_product, nothing
from skneural.maths import random

for _function in (random.mix, random.key, random.at_time, random.bits, random.normal):
    formula(_function)

#: Threads of a block whose threads each look after one number.
THREADS = 8 if IS_SIMULATED else 256


@register
def row_of(f, buffer, ld, r, size):
    """Address of row r of a buffer."""
    return f.work + (buffer * f.capacity + r * ld) * size


@register
def input_row(f, r, size):
    """Address of row r of the batch in the data, of which there may be only a window on the device."""
    if f.window >= 0:
        return f.inputs + (f.start + r - f.window) * f.ld_inputs * size
    return f.inputs + row_number(f, r) * f.ld_inputs * size


def make_keep(dtype):
    """A function for dropout: what a number at a position is multiplied by."""
    bits, zero, one = random.bits, dtype(0), dtype(1)

    def keep(op, key, position):
        if np.uint32(bits(key, np.uint64(position))) >= np.uint32(op.limit):
            return one / (one - dtype(op.rate))
        return zero

    return register(keep)


@register
def dropout_key(op, f, step):
    """Random key of a dropout in this step of the optimizer."""
    return random.key(np.uint64(f.seed), np.uint64(random.DROPOUT + 16 * op.stream), np.uint64(f.step))


def make_lines(dtype, buffer, ld, gather=False):
    """A function for products: the address of a row of a buffer, named by fields of the operation; or of the data."""
    size = dtype().itemsize

    if gather:

        def line(op, f, step, number):
            return input_row(f, number, size)

    elif buffer == "x":

        def line(op, f, step, number):
            return row_of(f, op.x, op.ld_in, number, size)

    elif buffer == "dy":

        def line(op, f, step, number):
            return row_of(f, op.dy, op.ld_out, number, size)

    else:

        def line(op, f, step, number):
            return f.params + (op.weight + number * op.ld_out) * size

    return line


def make_dense_forward(dtype, tile, activation, gather):
    """``y = dropout(activation(x @ weight + bias))``; at training the slope goes into dy."""
    size, active = dtype().itemsize, activation is not None
    value_and_slope = formula(activation.formula) if active else None
    digest, keep = digest_of(activation.formula) if active else DIGEST, make_keep(dtype)

    def sizes(op, f, step):
        return f.chunk, op.n_out, op.n_in

    def finish(op, f, step, ready, part, m, n, total):
        y = vector(row_of(f, op.y, op.ld_out, m, size), dtype)  # OUT (B, O)
        if op.bias >= 0:
            total += vector(f.params + op.bias * size, dtype)[n]
        if active:
            total, slope = value_and_slope(total)
            if f.training != 0:
                if op.rate > 0:
                    factor = keep(op, ready, (f.start + m) * op.ld_out + n)
                    total, slope = total * factor, slope * factor
                vector(row_of(f, op.dy, op.ld_out, m, size), dtype)[n] = slope  # OUT (B, O)
        y[n] = total

    return make_product(
        dtype, tile, "NN", sizes, make_lines(dtype, "x", "ld_in", gather), make_lines(dtype, "weight", "ld_out"),
        finish, digest, prepare=dropout_key if active else nothing, gathered=gather,
    )  # fmt: skip


def make_dense_backward(dtype, tile):
    """``dx = (dy @ weight.T + skip) * dx``: dx held the slope of the layer before, skip is a shortcut's gradient."""
    size = dtype().itemsize

    def sizes(op, f, step):
        return f.chunk, op.n_in, op.n_out

    def finish(op, f, step, ready, part, m, n, total):
        dx = vector(row_of(f, op.dx, op.ld_in, m, size), dtype)  # OUT (B, I)
        if op.skip >= 0:
            total += vector(row_of(f, op.skip, op.ld_in, m, size), dtype)[n]
        dx[n] *= total

    return make_product(
        dtype, tile, "NT", sizes, make_lines(dtype, "dy", "ld_out"), make_lines(dtype, "weight", "ld_out"), finish,
        DIGEST,
    )  # fmt: skip


def make_dense_gradient(dtype, tile, bias, gather):
    """Gradients ``x.T @ dy`` and ``sum(dy)`` over the batch: the bias stands below the weights, as if x had a one."""
    size = dtype().itemsize

    def sizes(op, f, step):
        return op.n_in + bias, op.n_out, f.chunk

    def finish(op, f, step, ready, part, m, n, total):
        at = m * op.ld_out + n
        if op.n_slots > 1:
            vector(f.scratch, dtype)[op.slot + part * (op.n_in + 1) * op.ld_out + at] = total
        else:
            gradient = vector(f.gradient + op.weight * size, dtype)  # OUT (I + 1, O)
            gradient[at] = gradient[at] + total if f.done > 0 else total

    return make_product(
        dtype, tile, "TN", sizes, make_lines(dtype, "x", "ld_in", gather), make_lines(dtype, "dy", "ld_out"), finish,
        DIGEST, ones=bias, split=True, gathered=gather,
    )  # fmt: skip


def make_sum_parts(dtype):
    """Add up the parts of a gradient whose depth was divided, in order."""
    digest, size = DIGEST, dtype().itemsize

    def sum_parts(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        parts, gradient = vector(f.scratch + op.slot * size, dtype), vector(f.gradient + op.weight * size, dtype)
        each, count = (op.n_in + 1) * op.ld_out, (op.n_in + (op.bias >= 0)) * op.ld_out
        for j in range(cuda.grid(1), count, cuda.gridsize(1)):
            if j % op.ld_out < op.n_out:
                total = parts[j]
                for part in range(1, op.n_slots):
                    total += parts[part * each + j]
                gradient[j] = gradient[j] + total if f.done > 0 else total

    return sum_parts


def make_each_number(dtype, work, digest=DIGEST):
    """Kernel that calls ``work(op, f, r, j)`` for all numbers of the rows of the batch."""
    register(work)

    def each_number(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        for e in range(cuda.grid(1), f.chunk * op.n_out, cuda.gridsize(1)):
            work(op, f, e // op.n_out, e % op.n_out)

    return each_number


def make_input_forward(dtype):
    """Copy the rows of the batch, in the order of the epoch."""
    size = dtype().itemsize

    def work(op, f, r, j):
        y = vector(row_of(f, op.y, op.ld_out, r, size), dtype)  # OUT (B, O)
        y[j] = vector(input_row(f, r, size), dtype)[j]

    return make_each_number(dtype, work)


def make_sparse_input_forward(dtype):
    """Write the rows of the batch out, of a CSR matrix with sorted columns."""
    size = dtype().itemsize

    def work(op, f, r, j):
        y = vector(row_of(f, op.y, op.ld_out, r, size), dtype)  # OUT (B, O)
        indptr, indices = vector(f.indptr, np.int64), vector(f.indices, np.int64)
        i = row_number(f, r)
        low, end = indptr[i], indptr[i + 1]
        high = end
        while low < high:  # first entry of a column from j on
            middle = (low + high) // 2
            if indices[middle] < j:
                low = middle + 1
            else:
                high = middle
        y[j] = dtype(0)
        while low < end and indices[low] == j:  # entries given twice are added
            y[j] += vector(f.inputs, dtype)[low]
            low += 1

    return make_each_number(dtype, work)


def make_noise_forward(dtype):
    """Add Gaussian noise to y, of rows or of sequences."""
    digest, size, at_time, bits, normal = DIGEST, dtype().itemsize, random.at_time, random.bits, random.normal

    def noise_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        of_step = random.key(np.uint64(f.seed), np.uint64(random.NOISE), np.uint64(f.step))
        for e in range(cuda.grid(1), op.steps * f.chunk * op.n_out, cuda.gridsize(1)):
            row, j = e // op.n_out, e % op.n_out
            y = vector(row_of(f, op.y, op.ld_out, row, size), dtype)  # OUT (T, B, O)
            key = at_time(of_step, np.uint64(row // f.chunk))
            position = np.uint64((f.start + row % f.chunk) * op.ld_out)
            # 23 bits, so that single precision holds the middle of every one of that many steps in (-1, 1)
            number = np.int32(bits(key, position + np.uint64(j)) >> np.uint64(9))
            y[j] += dtype(op.rate) * normal((dtype(number) + dtype(0.5)) * dtype(2.0**-22) - dtype(1))

    return noise_forward


def make_dropout_forward(dtype):
    """Zero numbers of y, and the slopes in dy with them; scale up the rest."""
    digest, size, keep = DIGEST, dtype().itemsize, make_keep(dtype)

    def dropout_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        key = dropout_key(op, f, step)
        for e in range(cuda.grid(1), f.chunk * op.n_out, cuda.gridsize(1)):
            r, j = e // op.n_out, e % op.n_out
            factor = keep(op, key, (f.start + r) * op.ld_out + j)
            vector(row_of(f, op.y, op.ld_out, r, size), dtype)[j] *= factor  # OUT (B, O)
            vector(row_of(f, op.dy, op.ld_out, r, size), dtype)[j] *= factor  # OUT (B, O)

    return dropout_forward


def make_residual_forward(dtype):
    """``y = x + skip``; the slope is 1."""
    size = dtype().itemsize

    def work(op, f, r, j):
        x = vector(row_of(f, op.x, op.ld_out, r, size), dtype)  # (B, O)
        skip = vector(row_of(f, op.skip, op.ld_out, r, size), dtype)  # (B, O)
        vector(row_of(f, op.y, op.ld_out, r, size), dtype)[j] = x[j] + skip[j]  # OUT (B, O)
        if f.training != 0:
            vector(row_of(f, op.dy, op.ld_out, r, size), dtype)[j] = dtype(1)  # OUT (B, O)

    return make_each_number(dtype, work)


def make_residual_backward(dtype):
    """``dx = dx * dy``: dx holds the slope of the last layer inside; the shortcut's share is added where it ends."""
    size = dtype().itemsize

    def work(op, f, r, j):
        dx = vector(row_of(f, op.dx, op.ld_out, r, size), dtype)  # OUT (B, O)
        dx[j] *= vector(row_of(f, op.dy, op.ld_out, r, size), dtype)[j]

    return make_each_number(dtype, work)
