"""Kernels of draws from categories: a thread for each row.

Sizes: B rows, I = O columns.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import details_view, model_frame, op_at, vector
from skneural.backends.cuda.launches import THREADS, Launch, layer_launches
from skneural.backends.cuda.rows import get, get_dy, get_x, position_of, put, put_y, send_x
from skneural.layers.categorical import FIELDS
from skneural.maths import random
from skneural.maths.categorical import TEMPERATURE, gumbel
from skneural.maths.elementary import exp
from skneural.maths.random import layer_key
from skneural.network.operations import OP

formula(gumbel)

#: Where the widths of the groups stand, from the head of an operation on.
WIDTHS = OP.fields["details"][1] + 8 * len(FIELDS)


def over_rows(net, i, make):
    """Launch of a kernel that has a thread for each row."""
    return [Launch((make, net.dtype), i, (-(-net.capacity // THREADS), 1, 1), THREADS)]


@layer_launches("categorical", "forward")
def categorical_launches(net, i):
    """See `over_rows`."""
    return over_rows(net, i, make_categorical_forward)


@layer_launches("categorical", "backward")
def categorical_backward_launches(net, i):
    """See `over_rows`."""
    return over_rows(net, i, make_categorical_backward)


def make_each_row(work):
    """Kernel that calls ``work(op, own, f, widths, r)`` for every row of the batch."""
    register(work)
    digest = DIGEST
    details_at = details_view("categorical")

    def kernel(op_address, frames, step):
        digest  # part of the cache key
        f = model_frame(frames, 1)
        r = cuda.grid(1)
        if r < f.chunk:
            widths = vector(op_address + WIDTHS, np.int64)
            work(op_at(op_address), details_at(op_address), f, widths, r)

    return kernel


def make_categorical_forward(dtype):
    """The softmax of each group of columns, after noise has been added; in prediction a copy."""
    stream = random.CATEGORIES
    sharpness = dtype(1 / TEMPERATURE)
    zero = dtype(0)
    one = dtype(1)

    def work(op, own, f, widths, r):
        if f.training == 0:
            for j in range(op.n_out):
                put_y(op, f, r, j, dtype, get_x(op, f, r, j, dtype))
            return
        key = layer_key(f.seed, stream, own.stream, f.step)
        begin = 0
        for k in range(own.n_groups):
            end = begin + widths[k]
            top = zero
            for j in range(begin, end):
                noisy = sharpness * (get_x(op, f, r, j, dtype) + gumbel(key, position_of(op, f, r, j), one))
                put_y(op, f, r, j, dtype, noisy)
                top = noisy if j == begin else max(top, noisy)
            total = zero
            for j in range(begin, end):
                share = exp(get(f, op.y, op.ld_out, r, j, dtype) - top)
                put(f, op.y, op.ld_out, r, j, dtype, share)
                total += share
            for j in range(begin, end):
                put_y(op, f, r, j, dtype, get(f, op.y, op.ld_out, r, j, dtype) / total)
            begin = end

    return make_each_row(work)


def make_categorical_backward(dtype):
    """The gradient of the softmax."""
    sharpness = dtype(1 / TEMPERATURE)
    zero = dtype(0)

    def work(op, own, f, widths, r):
        begin = 0
        for k in range(own.n_groups):
            end = begin + widths[k]
            mean = zero
            for j in range(begin, end):
                mean += get(f, op.y, op.ld_out, r, j, dtype) * get_dy(op, f, r, j, dtype)
            for j in range(begin, end):
                share = get(f, op.y, op.ld_out, r, j, dtype)
                send_x(op, f, r, j, dtype, sharpness * share * (get_dy(op, f, r, j, dtype) - mean))
            begin = end

    return make_each_row(work)
