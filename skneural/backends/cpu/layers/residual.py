"""Kernels of operations with two inputs: their sum, and both side by side.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import clear_padding, own_steps, row_at, send_numbers, send_rows

concatenate_at = details_view("concatenate")


@layer_kernel("sum", "forward")
def make_sum_forward(dtype):
    """``y = x + other``."""
    digest = DIGEST
    size = dtype().itemsize

    def sum_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        t_begin, t_end = own_steps(f, op.steps)
        for t in range(t_begin, t_end):
            x = vector(row_at(f, op.x, op.ld_out, t, first, size), dtype)  # (T, B, O)
            other = vector(row_at(f, op.other, op.ld_out, t, first, size), dtype)  # (T, B, O)
            y = vector(row_at(f, op.y, op.ld_out, t, first, size), dtype)  # OUT (T, B, O)
            for j in range((last - first) * op.ld_out):
                y[j] = x[j] + other[j]

    return LAYER_KERNEL, sum_forward


@layer_kernel("sum", "backward")
def make_sum_backward(dtype):
    """The gradient by the sum, to both."""
    digest = DIGEST
    size = dtype().itemsize

    def sum_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        if op.d_other >= 0:
            send_rows(
                f, op.d_other, op.begin_other, op.scale_other, op.dy, op.ld_out, op.steps, first, last, size, dtype
            )
        if op.dx >= 0:
            send_rows(f, op.dx, op.begin, op.scale, op.dy, op.ld_out, op.steps, first, last, size, dtype)

    return LAYER_KERNEL, sum_backward


@layer_kernel("concatenate", "forward")
def make_concatenate_forward(dtype):
    """``y = [x, other]``."""
    digest = DIGEST
    size = dtype().itemsize

    def concatenate_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = concatenate_at(op_address)
        f = frame_at(frame_address)
        for t in range(op.steps):
            for r in range(first, last):
                x = vector(row_at(f, op.x, own.ld_first, t, r, size), dtype)  # (T, B, I)
                other = vector(row_at(f, op.other, own.ld_second, t, r, size), dtype)  # (T, B, O - I)
                y = vector(row_at(f, op.y, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                for j in range(op.n_in):
                    y[j] = x[j]
                for j in range(op.n_out - op.n_in):
                    y[op.n_in + j] = other[j]

    return LAYER_KERNEL, concatenate_forward


@layer_kernel("concatenate", "backward")
def make_concatenate_backward(dtype):
    """The parts of the gradient, each to its own."""
    digest = DIGEST
    size = dtype().itemsize

    def concatenate_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = concatenate_at(op_address)
        f = frame_at(frame_address)
        for position in range(1, -1, -1):  # the first may begin with what the second has sent, if they are the same
            target = op.dx if position == 0 else op.d_other
            begin = op.begin if position == 0 else op.begin_other
            scale = op.scale if position == 0 else op.scale_other
            ld = own.ld_first if position == 0 else own.ld_second
            width = op.n_in if position == 0 else op.n_out - op.n_in
            column = 0 if position == 0 else op.n_in
            if target < 0:
                continue
            for t in range(op.steps):
                for r in range(first, last):
                    dy = row_at(f, op.dy, op.ld_out, t, r, size) + column * size  # (T, B, O)
                    dx = row_at(f, target, ld, t, r, size)  # OUT (T, B, I)
                    before = row_at(f, begin, ld, t, r, size) if begin >= 0 else 0
                    send_numbers(dx, before, scale, dy, width, dtype)
                    if ld > width:
                        clear_padding(dx, width, ld, size)

    return LAYER_KERNEL, concatenate_backward
