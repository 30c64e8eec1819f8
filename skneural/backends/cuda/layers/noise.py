"""Kernels of noise.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

import numpy as np

from skneural.backends.cuda.launches import layer_launches
from skneural.backends.cuda.rows import get_x, has_ended, make_each_number, put_y
from skneural.maths import random
from skneural.maths.dropout import noise, row_position
from skneural.maths.random import at_time, layer_key


@layer_launches("noise", "forward")
def noise_launches(net, i):
    """None where there is nothing to do: in prediction, in its place."""
    return [] if not net.training and net.is_in_place(i) else [net.over_numbers(i, make_noise_forward)]


def make_noise_forward(dtype):
    """Add Gaussian noise. In prediction it is a copy."""
    stream = random.NOISE

    def work(op, own, f, row, j):
        value = get_x(op, f, row, j, dtype)
        if f.training != 0 and not has_ended(op, f, row):
            key = at_time(layer_key(f.seed, stream, own.stream, f.step), np.uint64(row // f.piece))
            position = row_position(f.start + row % f.piece, op.ld_out) + np.uint64(j)
            value += noise(key, position, dtype(own.deviation))
        put_y(op, f, row, j, dtype, value)

    return make_each_number("noise", work)
