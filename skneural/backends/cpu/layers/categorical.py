"""Kernels of draws from categories.

Sizes: B rows, I = O columns; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np

from skneural.backends.cpu.compiler import DIGEST, formula
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import room_for_gradient, row_at, send_row
from skneural.layers.categorical import FIELDS
from skneural.maths import random
from skneural.maths.categorical import TEMPERATURE, gumbel
from skneural.maths.dropout import row_position
from skneural.maths.elementary import exp
from skneural.maths.random import layer_key
from skneural.network.operations import OP

formula(gumbel)

categorical_at = details_view("categorical")

#: Where the widths of the groups stand, from the head of an operation on.
WIDTHS = OP.fields["details"][1] + 8 * len(FIELDS)


@layer_kernel("categorical", "forward")
def make_categorical_forward(dtype):
    """The softmax of each group of columns, after noise has been added."""
    digest = DIGEST
    size = dtype().itemsize
    stream = random.CATEGORIES
    sharpness = dtype(1 / TEMPERATURE)
    zero = dtype(0)
    one = dtype(1)

    def categorical_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = categorical_at(op_address)
        f = frame_at(frame_address)
        widths = vector(op_address + WIDTHS, np.int64)
        key = layer_key(f.seed, stream, own.stream, f.step)
        for r in range(first, last):
            x = vector(row_at(f, op.x, op.ld_in, 0, r, size), dtype)  # (B, I)
            y = vector(row_at(f, op.y, op.ld_out, 0, r, size), dtype)  # OUT (B, O)
            position = row_position(f.start + r, op.ld_out)
            for j in range(op.n_out):
                y[j] = sharpness * (x[j] + gumbel(key, position + np.uint64(j), one))
            begin = 0
            for k in range(own.n_groups):
                end = begin + widths[k]
                top = y[begin]
                for j in range(begin + 1, end):
                    top = max(top, y[j])
                total = zero
                for j in range(begin, end):
                    y[j] = exp(y[j] - top)
                    total += y[j]
                for j in range(begin, end):
                    y[j] /= total
                begin = end

    return LAYER_KERNEL, categorical_forward


@layer_kernel("categorical", "backward")
def make_categorical_backward(dtype):
    """The gradient of the softmax."""
    digest = DIGEST
    size = dtype().itemsize
    sharpness = dtype(1 / TEMPERATURE)
    zero = dtype(0)

    def categorical_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = categorical_at(op_address)
        f = frame_at(frame_address)
        widths = vector(op_address + WIDTHS, np.int64)
        for r in range(first, last):
            y = vector(row_at(f, op.y, op.ld_out, 0, r, size), dtype)  # (B, O)
            dy = vector(row_at(f, op.dy, op.ld_out, 0, r, size), dtype)  # (B, O)
            room = room_for_gradient(op, f, 0, r, size)
            dx = vector(room, dtype)  # OUT (I,)
            begin = 0
            for k in range(own.n_groups):
                end = begin + widths[k]
                mean = zero
                for j in range(begin, end):
                    mean += y[j] * dy[j]
                for j in range(begin, end):
                    dx[j] = sharpness * y[j] * (dy[j] - mean)
                begin = end
            send_row(op, f, 0, r, room, size, dtype)

    return LAYER_KERNEL, categorical_backward
