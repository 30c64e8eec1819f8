"""Kernels of dropout.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.launches import layer_launches
from skneural.backends.cuda.layers.dense import takes_dropout
from skneural.backends.cuda.rows import factor_of, get_dy, get_x, key_at, make_each_number, put_dy, put_y
from skneural.maths import random


@layer_launches("dropout", "forward")
def dropout_launches(net, i):
    """One, unless the dense layer before it does it, or there is nothing to do in its place."""
    if takes_dropout(net, i - 1) or (not net.training and net.is_in_place(i)):
        return []
    return [net.over_numbers(i, make_dropout_forward)]


def make_dropout_forward(dtype):
    """Zero numbers, and derivatives in dy with them, so that the way back needs nothing; scale up the rest.

    In prediction it is a copy.
    """
    stream = random.DROPOUT

    def work(op, own, f, row, j):
        value = get_x(op, f, row, j, dtype)
        if f.training != 0:
            key = key_at(f, stream, own.stream, row)
            factor = factor_of(op, own, f, key, row % f.chunk, j, dtype)
            value *= factor
            if op.dy >= 0:
                derivative = get_dy(op, f, row, j, dtype) if op.scale != 0 else dtype(1)
                put_dy(op, f, row, j, dtype, factor * derivative)
        put_y(op, f, row, j, dtype, value)

    return make_each_number("dropout", work)
