"""What kernels of layers have in common: where rows stand, how long they are, and how gradients are sent on.

A maker returns the function that `compiler.kernel` compiles. ``(op_address, frames, step)`` are the addresses of the
operation and of the frames of all models, and a small number whose meaning is the kernel's.

A row is counted over all steps: row r of step t is number ``t * f.piece + r``.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import details_view, model_frame, op_at, vector
from skneural.maths import dropout, random
from skneural.maths.gradients import sent

for _function in (
    random.mix,
    random.key,
    random.layer_key,
    random.at_time,
    random.bits,
    random.normal,
    dropout.row_position,
    dropout.keep,
    dropout.noise,
    sent,
):
    formula(_function)


@register
def row_of(f, buffer, ld, row, size):
    """Address of a row of a buffer."""
    return f.work + (buffer * f.capacity + row * ld) * size


@register
def number_of(f, buffer, ld, row, j, size):
    """Address of number j of a row of a buffer."""
    return row_of(f, buffer, ld, row, size) + j * size


@register
def sample_of(f, r):
    """Which sample of the data row r of the batch is."""
    return vector(f.order, np.int64)[f.start + r] if f.order != 0 else f.start + r


@register
def place_of(f, r):
    """Where row r of the batch stands in the data, of which there may be only a window on the device."""
    return f.start + r - f.window if f.window >= 0 else sample_of(f, r)


@register
def length_of(f, every, steps, r):
    """Number of steps of row r, each of which stands for `every` of the data; 0: all rows have all steps."""
    if f.lengths == 0 or every == 0:
        return steps
    length = vector(f.lengths, np.int64)[sample_of(f, r)]
    return min((length + every - 1) // every, steps)


@register
def weight_of(f, r, dtype):
    """Weight of row r: 1, if they have none."""
    return vector(f.weights, dtype)[sample_of(f, r)] if f.weights != 0 else dtype(1)


@register
def send(f, target, begin, scale, ld, row, j, gradient, size, dtype):
    """Send one number of a gradient on: see `network.operations`."""
    dx = vector(number_of(f, target, ld, row, j, size), dtype)
    before = vector(number_of(f, begin, ld, row, j, size), dtype)[0] if begin >= 0 else dtype(0)
    waiting = dx[0] if scale != 0 else dtype(0)
    dx[0] = sent(gradient, before, begin >= 0, waiting, scale != 0)


@register
def clear_ended(op, f, t, r, j, size, dtype, has_derivative):
    """After the end of a row its values are 0; a derivative of 0 keeps gradients away. Whether it has ended."""
    ended = op.every != 0 and t >= length_of(f, op.every, op.steps, r)
    if ended:
        row = t * f.piece + r
        vector(number_of(f, op.y, op.ld_out, row, j, size), dtype)[0] = dtype(0)
        if has_derivative and op.dy >= 0:
            vector(number_of(f, op.dy, op.ld_out, row, j, size), dtype)[0] = dtype(0)
    return ended


def make_each_number(kind, work, *, of_input=False, digest=DIGEST):
    """Kernel that calls ``work(op, own, f, t, r, j)`` for all numbers of all steps of the rows of the batch.

    Parameters
    ----------
    kind : str
        Of the operation: `own` are its details.
    work : callable
    of_input : bool, default=False
        Whether the numbers are those of the input; else they are those of the output.
    digest : str
        What the kernel closes over, so that the cache knows it from others.
    """
    register(work)
    details_at = details_view(kind)

    def each_number(op_address, frames, step):
        digest  # part of the cache key
        op = op_at(op_address)
        own = details_at(op_address)
        f = model_frame(frames, 1)
        width = op.n_in if of_input else op.n_out
        steps = op.steps_in if of_input else op.steps
        for e in range(cuda.grid(1), steps * f.piece * width, cuda.gridsize(1)):
            row = e // width
            work(op, own, f, row // f.piece, row % f.piece, e % width)

    return each_number
