"""Kernels of operations with two inputs: their sum, and both side by side.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import layer_kernel, layer_launches
from skneural.backends.cuda.rows import make_each_number, number_of, send


@layer_kernel("sum", "forward")
def make_sum_forward(dtype):
    """``y = x + other``."""
    size = dtype().itemsize

    def work(op, own, f, t, r, j):
        row = t * f.piece + r
        x = vector(number_of(f, op.x, op.ld_out, row, j, size), dtype)  # (T, B, O)
        other = vector(number_of(f, op.other, op.ld_out, row, j, size), dtype)  # (T, B, O)
        vector(number_of(f, op.y, op.ld_out, row, j, size), dtype)[0] = x[0] + other[0]  # OUT (T, B, O)

    return make_each_number("sum", work)


@layer_kernel("sum", "backward")
def make_sum_backward(dtype):
    """The gradient by the sum, to both."""
    size = dtype().itemsize

    def work(op, own, f, t, r, j):
        row = t * f.piece + r
        dy = vector(number_of(f, op.dy, op.ld_out, row, j, size), dtype)[0]  # (T, B, O)
        if op.d_other >= 0:
            send(f, op.d_other, op.begin_other, op.scale_other, op.ld_out, row, j, dy, size, dtype)
        if op.dx >= 0:
            send(f, op.dx, op.begin, op.scale, op.ld_out, row, j, dy, size, dtype)

    return make_each_number("sum", work)


@layer_kernel("concatenate", "forward")
def make_concatenate_forward(dtype):
    """``y = [x, other]``."""
    size = dtype().itemsize

    def work(op, own, f, t, r, j):
        row = t * f.piece + r
        if j < op.n_in:
            source = number_of(f, op.x, own.ld_first, row, j, size)  # (T, B, I)
        else:
            source = number_of(f, op.other, own.ld_second, row, j - op.n_in, size)  # (T, B, O - I)
        vector(number_of(f, op.y, op.ld_out, row, j, size), dtype)[0] = vector(source, dtype)[0]  # OUT (T, B, O)

    return make_each_number("concatenate", work)


@layer_launches("concatenate", "backward")
def concatenate_backward_launches(net, i):
    """The second input comes first: the gradient by the first may begin with what it sends, if they are the same."""
    targets = ("dx", "d_other")
    return [
        net.over_numbers(i, make_concatenate_backward, position)
        for position in (1, 0)
        if net.ops[i][targets[position]] >= 0
    ]


def make_concatenate_backward(dtype, position):
    """The part of the gradient that belongs to one of the inputs."""
    size = dtype().itemsize

    def work(op, own, f, t, r, j):
        row = t * f.piece + r
        dy = vector(number_of(f, op.dy, op.ld_out, row, j, size), dtype)[0]  # (T, B, O)
        if position == 0 and j < op.n_in:
            send(f, op.dx, op.begin, op.scale, own.ld_first, row, j, dy, size, dtype)
        if position == 1 and j >= op.n_in:
            column = j - op.n_in
            send(f, op.d_other, op.begin_other, op.scale_other, own.ld_second, row, column, dy, size, dtype)

    return make_each_number("concatenate", work)
