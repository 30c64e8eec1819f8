"""Kernels of dropout.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.launches import layer_launches
from skneural.backends.cuda.layers.dense import takes_dropout
from skneural.backends.cuda.rows import factor_of, get_dy, get_x, key_at, make_each_number, put_dy, put_y
from skneural.maths import random
from skneural.maths.random import layer_key


@layer_launches("dropout", "forward")
def dropout_launches(net, i):
    """One, unless the dense layer before it does it, or there is nothing to do in its place."""
    if takes_dropout(net, i - 1) or (not net.training and net.is_in_place(i)):
        return []
    return [net.over_numbers(i, make_dropout_forward)]


@layer_launches("spatial_dropout", "forward")
def spatial_dropout_launches(net, i):
    """One, unless there is nothing to do in its place."""
    if not net.training and net.is_in_place(i):
        return []
    return [net.over_numbers(i, make_dropout_forward, "spatial_dropout")]


def make_dropout_forward(dtype, kind="dropout"):
    """Zero numbers, and derivatives in dy with them, so that the way back needs nothing; scale up the rest.

    In prediction it is a copy. All steps of 'spatial_dropout' share the factors of a row.
    """
    stream = random.DROPOUT
    is_spatial = kind == "spatial_dropout"

    def work(op, own, f, row, j):
        value = get_x(op, f, row, j, dtype)
        if f.training != 0:
            if is_spatial:
                key = layer_key(f.seed, stream, own.stream, f.step)
            else:
                key = key_at(f, stream, own.stream, row)
            factor = factor_of(op, own, f, key, row % f.chunk, j, dtype)
            value *= factor
            if op.dy >= 0:
                waits = op.scale != 0 and op.x == op.y
                derivative = get_dy(op, f, row, j, dtype) if waits else dtype(1)
                put_dy(op, f, row, j, dtype, factor * derivative)
        put_y(op, f, row, j, dtype, value)

    return make_each_number(kind, work)
