"""Kernels of layers that change the shape.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cuda.hub import register
from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.rows import make_each_number, number_of, send


@register
def output_of(op, f, buffer, t, r, j, size):
    """Where number j of step t of the input stands in a buffer like the output."""
    number = t * op.n_in + j
    row = number // op.n_out * f.piece + r
    return number_of(f, buffer, op.ld_out, row, number % op.n_out, size)


@layer_kernel("reshape", "forward", of_input=True)
def make_reshape_forward(dtype):
    """The numbers of every row, step after step, as rows of other steps."""
    size = dtype().itemsize

    def work(op, own, f, t, r, j):
        x = vector(number_of(f, op.x, op.ld_in, t * f.piece + r, j, size), dtype)  # (T, B, I)
        vector(output_of(op, f, op.y, t, r, j, size), dtype)[0] = x[0]  # OUT (T, B, O)

    return make_each_number("reshape", work, of_input=True)


@layer_kernel("reshape", "backward", of_input=True)
def make_reshape_backward(dtype):
    """Their gradients, back in their places."""
    size = dtype().itemsize

    def work(op, own, f, t, r, j):
        dy = vector(output_of(op, f, op.dy, t, r, j, size), dtype)[0]  # (T, B, O)
        send(f, op.dx, op.begin, op.scale, op.ld_in, t * f.piece + r, j, dy, size, dtype)

    return make_each_number("reshape", work, of_input=True)
