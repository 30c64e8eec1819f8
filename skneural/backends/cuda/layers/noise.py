"""Kernels of noise.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.launches import layer_launches
from skneural.backends.cuda.rows import get_x, has_ended, key_at, make_each_number, position_of, put_y
from skneural.maths import random
from skneural.maths.dropout import noise


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
            key = key_at(f, stream, own.stream, row)
            value += noise(key, position_of(op, f, row % f.chunk, j), dtype(own.deviation))
        put_y(op, f, row, j, dtype, value)

    return make_each_number("noise", work)
