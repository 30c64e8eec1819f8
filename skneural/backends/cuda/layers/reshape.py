"""Kernels of layers that change the shape.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cuda.hub import register
from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.rows import get_dy, get_x, make_each_number, put_y, send_x


@register
def output_of(op, f, row, j):
    """Row and column of the output where number j of a row of the input stands."""
    number = row // f.chunk * op.n_in + j
    return number // op.n_out * f.chunk + row % f.chunk, number % op.n_out


@layer_kernel("reshape", "forward", of_input=True)
def make_reshape_forward(dtype):
    """The numbers of every row, step after step, as rows of other steps."""

    def work(op, own, f, row, j):
        target, column = output_of(op, f, row, j)
        put_y(op, f, target, column, dtype, get_x(op, f, row, j, dtype))

    return make_each_number("reshape", work, of_input=True)


@layer_kernel("reshape", "backward", of_input=True)
def make_reshape_backward(dtype):
    """Their gradients, back in their places."""

    def work(op, own, f, row, j):
        source, column = output_of(op, f, row, j)
        dy = get_dy(op, f, source, column, dtype)
        send_x(op, f, row, j, dtype, dy)

    return make_each_number("reshape", work, of_input=True)
