"""Kernels of layers that change the shape.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import room_for_gradient, row_at, send_row


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
        for r in range(first, last):
            for t in range(op.steps_in):
                room = room_for_gradient(op, f, t, r, size)
                d = vector(room, dtype)  # OUT (I,)
                for j in range(op.n_in):
                    number = t * op.n_in + j
                    dy = vector(row_at(f, op.dy, op.ld_out, number // op.n_out, r, size), dtype)  # (T, B, O)
                    d[j] = dy[number % op.n_out]
                send_row(op, f, t, r, room, size, dtype)

    return LAYER_KERNEL, reshape_backward
