"""Kernels of layers that change the shape.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import clear_padding, row_at, sent


@layer_kernel("reshape", "forward")
def make_reshape_forward(dtype):
    """The numbers of every row, step after step, as rows of other steps."""
    digest = DIGEST
    size = dtype().itemsize

    def reshape_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        for r in range(first, last):
            for t in range(op.steps_in):
                x = vector(row_at(f, op.x, op.ld_in, t, r, size), dtype)  # (T, B, I)
                for j in range(op.n_in):
                    number = t * op.n_in + j
                    y = vector(row_at(f, op.y, op.ld_out, number // op.n_out, r, size), dtype)  # OUT (T, B, O)
                    y[number % op.n_out] = x[j]

    return LAYER_KERNEL, reshape_forward


@layer_kernel("reshape", "backward")
def make_reshape_backward(dtype):
    """Their gradients, back in their places."""
    digest = DIGEST
    size = dtype().itemsize

    def reshape_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        begin = op.begin if op.begin >= 0 else op.dx
        for r in range(first, last):
            for t in range(op.steps_in):
                dx = vector(row_at(f, op.dx, op.ld_in, t, r, size), dtype)  # OUT (T, B, I)
                before = vector(row_at(f, begin, op.ld_in, t, r, size), dtype)
                for j in range(op.n_in):
                    number = t * op.n_in + j
                    dy = vector(row_at(f, op.dy, op.ld_out, number // op.n_out, r, size), dtype)  # (T, B, O)
                    dx[j] = sent(dy[number % op.n_out], before[j], op.begin >= 0, dx[j], op.scale != 0)
                clear_padding(row_at(f, op.dx, op.ld_in, t, r, size), op.n_in, op.ld_in, size)

    return LAYER_KERNEL, reshape_backward
