"""Kernels of operations with two inputs: their sum, and both side by side.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cuda.launches import layer_kernel, layer_launches
from skneural.backends.cuda.rows import get, get_dy, get_x, make_each_number, put_y, send, send_x


@layer_kernel("sum", "forward")
def make_sum_forward(dtype):
    """``y = x + other``."""

    def work(op, own, f, row, j):
        x = get_x(op, f, row, j, dtype)
        other = get(f, op.other, op.ld_out, row, j, dtype)
        put_y(op, f, row, j, dtype, x + other)

    return make_each_number("sum", work)


@layer_kernel("sum", "backward")
def make_sum_backward(dtype):
    """The gradient by the sum, to both."""

    def work(op, own, f, row, j):
        dy = get_dy(op, f, row, j, dtype)
        if op.d_other >= 0:
            send(f, op.d_other, op.begin_other, op.scale_other, op.ld_out, row, j, dtype, dy)
        if op.dx >= 0:
            send_x(op, f, row, j, dtype, dy)

    return make_each_number("sum", work)


@layer_kernel("concatenate", "forward")
def make_concatenate_forward(dtype):
    """``y = [x, other]``."""

    def work(op, own, f, row, j):
        if j < op.n_in:
            number = get(f, op.x, own.ld_first, row, j, dtype)
        else:
            number = get(f, op.other, own.ld_second, row, j - op.n_in, dtype)
        put_y(op, f, row, j, dtype, number)

    return make_each_number("concatenate", work)


@layer_launches("concatenate", "backward")
def concatenate_backward_launches(net, i):
    """The second input comes first: the gradient by the first may begin with what it sends, if they are the same."""
    targets = (net.op(i).dx, net.op(i).d_other)
    return [net.over_numbers(i, make_concatenate_backward, position) for position in (1, 0) if targets[position] >= 0]


def make_concatenate_backward(dtype, position):
    """The part of the gradient that belongs to one of the inputs."""

    def work(op, own, f, row, j):
        dy = get_dy(op, f, row, j, dtype)
        if position == 0 and j < op.n_in:
            send(f, op.dx, op.begin, op.scale, own.ld_first, row, j, dtype, dy)
        if position == 1 and j >= op.n_in:
            send(f, op.d_other, op.begin_other, op.scale_other, own.ld_second, row, j - op.n_in, dtype, dy)

    return make_each_number("concatenate", work)
