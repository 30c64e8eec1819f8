"""Kernels of layers that change the shape.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, frame_at, op_at
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import copy_numbers, room_for_gradient, row_at, send_row


@register_jitable(**HELPER)
def _place(op, f, buffer, t, r, j, size):
    """Where number j of step t of the input is in the output: an address, and how many numbers are side by side."""
    number = t * op.n_in + j
    step = number // op.n_out
    column = number - step * op.n_out
    return row_at(f, buffer, op.ld_out, step, r, size) + column * size, min(op.n_in - j, op.n_out - column)


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
                x = row_at(f, op.x, op.ld_in, t, r, size)  # (T, B, I)
                j = 0
                while j < op.n_in:
                    y, count = _place(op, f, op.y, t, r, j, size)  # OUT (T, B, O)
                    copy_numbers(y, x + j * size, count, dtype)
                    j += count

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
                room = room_for_gradient(op, f, t, r, size)  # OUT (I,)
                j = 0
                while j < op.n_in:
                    dy, count = _place(op, f, op.dy, t, r, j, size)  # (T, B, O)
                    copy_numbers(room + j * size, dy, count, dtype)
                    j += count
                send_row(op, f, t, r, room, size, dtype)

    return LAYER_KERNEL, reshape_backward
