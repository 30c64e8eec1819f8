"""What kernels of layers have in common: where rows stand, how long they are, and how gradients are sent on.

A maker returns the function that `compiler.kernel` compiles. ``(op_address, frames, step)`` are the addresses of the
operation and of the frames of all models, and a small number whose meaning is the kernel's.

A row is counted over all steps: row r of step t is number ``t * f.chunk + r``.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import details_view, model_frame, op_at, vector
from skneural.maths import random
from skneural.maths.augmentation import drawn, mixed_share
from skneural.maths.dropout import keep, noise, row_position
from skneural.maths.gradients import sent
from skneural.maths.random import at_time, layer_key

for _function in (
    random.stir,
    random.mix,
    random.key,
    random.layer_key,
    random.at_time,
    random.bits,
    random.normal,
    row_position,
    keep,
    noise,
    sent,
    drawn,
    mixed_share,
):
    formula(_function)


@register
def row_of(f, buffer, ld, row, size):
    """Address of a row of a buffer."""
    return f.work + (buffer * f.capacity + row * ld) * size


@register
def get(f, buffer, ld, row, j, dtype):
    """Number j of a row of a buffer."""
    return vector(f.work, dtype)[np.uint64(buffer * f.capacity + row * ld + j)]


@register
def put(f, buffer, ld, row, j, dtype, number):
    """Write number j of a row of a buffer."""
    vector(f.work, dtype)[np.uint64(buffer * f.capacity + row * ld + j)] = number


@register
def parameter(f, at, dtype):
    """One of the parameters."""
    return vector(f.params, dtype)[np.uint64(at)]


@register
def sample_of(f, r):
    """Which sample of the data row r of the batch is."""
    return vector(f.order, np.int64)[f.start + r] if f.order != 0 else f.start + r


@register
def place_of(f, r):
    """Where row r of the batch stands in the data, of which there may be only a window on the device."""
    return f.start + r - f.window if f.window >= 0 else sample_of(f, r)


@register
def next_to(f, number):
    """Which place in the order of the epoch is next to one: after the last comes the first."""
    return number + 1 if number + 1 < f.n_rows else 0


@register
def partner_of(f, r):
    """Which sample of the data row r of the batch is mixed with: the next one in the order of the epoch."""
    number = next_to(f, f.start + r)
    return vector(f.order, np.int64)[number] if f.order != 0 else number


@register
def place_of_partner(f, r):
    """Where that sample stands in the data: in a window right behind the row itself."""
    return f.start + r + 1 - f.window if f.window >= 0 else partner_of(f, r)


@register
def share_of(f, number):
    """Share of the row at a place in the order of the epoch in what it is mixed to."""
    return mixed_share(f.seed, f.step, number, vector(f.mixup, np.float64))


@register
def mixed_weight(f, number, dtype):
    """Weight of what is mixed of the row at a place in the order of the epoch and the next one."""
    own = number
    partner = next_to(f, number)
    if f.order != 0:
        order = vector(f.order, np.int64)
        own = order[number]
        partner = order[partner]
    weights = vector(f.weights, dtype)
    share = share_of(f, number)
    return share * weights[own] + (1.0 - share) * weights[partner]


@register
def length_of(f, every, steps, r):
    """Number of steps of row r, each of which stands for `every` of the data; 0: all rows have all steps."""
    if f.lengths == 0 or every == 0:
        return steps
    return length_of_sample(f, every, steps, sample_of(f, r))


@register
def length_of_sample(f, every, steps, sample):
    """The same of a sample of the data."""
    if f.lengths == 0 or every == 0:
        return steps
    length = vector(f.lengths, np.int64)[sample]
    return min((length + every - 1) // every, steps)


@register
def weight_of(f, r, dtype):
    """Weight of row r: 1, if they have none."""
    return weight_of_sample(f, sample_of(f, r), dtype)


@register
def weight_of_sample(f, sample, dtype):
    """The same of a sample of the data."""
    return vector(f.weights, dtype)[sample] if f.weights != 0 else dtype(1)


def make_loss_weight(dtype, mixes):
    """A function: the weight of row r in the loss; of what is mixed, that of both."""

    def loss_weight(f, r):
        weight = dtype(1)
        if f.weights != 0:
            weight = dtype(mixed_weight(f, f.start + r, dtype)) if mixes else weight_of(f, r, dtype)
        return weight

    return register(loss_weight)


@register
def key_at(f, stream, number, row):
    """Random key of the time step of a row, in this step of the optimizer."""
    return at_time(layer_key(f.seed, stream, number, f.step), np.uint64(row // f.chunk))


@register
def position_of(op, f, r, j):
    """Where the bits of number j of row r are drawn: rows are counted in the order of the epoch."""
    return row_position(f.start + r, op.ld_out) + np.uint64(j)


@register
def factor_of(op, own, f, key, r, j, dtype):
    """What dropout multiplies number j of row r by."""
    scale = dtype(1) / (dtype(1) - dtype(own.rate))
    return keep(key, position_of(op, f, r, j), np.uint32(own.limit), scale)


@register
def send(f, target, begin, scale, ld, row, j, dtype, gradient):
    """Send one number of a gradient on: see `network.operations`."""
    before = get(f, begin, ld, row, j, dtype) if begin >= 0 else dtype(0)
    waiting = get(f, target, ld, row, j, dtype) if scale != 0 else dtype(0)
    put(f, target, ld, row, j, dtype, sent(gradient, before, begin >= 0, waiting, scale != 0))


@register
def get_x(op, f, row, j, dtype):
    """Number j of a row of the input."""
    return get(f, op.x, op.ld_in, row, j, dtype)


@register
def get_dy(op, f, row, j, dtype):
    """The gradient by number j of a row of the output."""
    return get(f, op.dy, op.ld_out, row, j, dtype)


@register
def put_y(op, f, row, j, dtype, number):
    """Write number j of a row of the output."""
    put(f, op.y, op.ld_out, row, j, dtype, number)


@register
def put_dy(op, f, row, j, dtype, derivative):
    """Let the derivative of number j of a row of the output wait for its gradient."""
    put(f, op.dy, op.ld_out, row, j, dtype, derivative)


@register
def send_x(op, f, row, j, dtype, gradient):
    """Send the gradient by number j of a row of the input on."""
    send(f, op.dx, op.begin, op.scale, op.ld_in, row, j, dtype, gradient)


@register
def has_ended(op, f, row):
    """Whether a row of the output stands after the end of its sample."""
    return op.every != 0 and row // f.chunk >= length_of(f, op.every, op.steps, row % f.chunk)


def make_kernel(kind, work, digest=DIGEST):
    """Kernel that calls ``work(op, own, f, step)``.

    Parameters
    ----------
    kind : str
        Of the operation: `own` are its details.
    work : callable
    digest : str
        What the kernel closes over, so that the cache knows it from others.
    """
    register(work)
    details_at = details_view(kind)

    def kernel(op_address, frames, step):
        digest  # part of the cache key
        work(op_at(op_address), details_at(op_address), model_frame(frames, 1), step)

    return kernel


def make_each_number(kind, work, *, of_input=False, digest=DIGEST):
    """Kernel that calls ``work(op, own, f, row, j)`` for all numbers of all steps of the rows of the batch.

    They are those of the output, or with `of_input` of the input. Otherwise as `make_kernel`.
    """
    register(work)

    def each_number(op, own, f, step):
        width = op.n_in if of_input else op.n_out
        steps = op.steps_in if of_input else op.steps
        for e in range(cuda.grid(1), steps * f.chunk * width, cuda.gridsize(1)):
            work(op, own, f, e // width, e % width)

    return make_kernel(kind, each_number, digest)
