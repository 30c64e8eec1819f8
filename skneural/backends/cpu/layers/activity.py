"""Kernels of penalties on activations.

Sizes: T steps, B rows, I in.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, SUM, formula
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import length_of, loss_weight, room_for_gradient, row_at, send_row
from skneural.maths.penalties import elastic_net_gradient

formula(elastic_net_gradient)

activity_penalty_at = details_view("activity_penalty")


@register_jitable(**SUM)
def _sum_of_penalties(x, count, l1, l2, zero):
    """What the numbers of a row add to the loss: along a row, so it is the same in any batch."""
    total = zero
    for j in range(count):
        total += l1 * abs(x[j]) + l2 * x[j] * x[j]
    return total


@layer_kernel("activity_penalty", "forward")
def make_activity_penalty_forward(dtype):
    """Add the penalty of every row to its loss."""
    digest = DIGEST
    size = dtype().itemsize
    zero = dtype(0)

    def activity_penalty_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = activity_penalty_at(op_address)
        f = frame_at(frame_address)
        losses = vector(f.losses, np.float64)  # OUT (B,)
        l1 = dtype(own.l1)
        l2 = dtype(own.l2)
        for r in range(first, last):
            total = zero
            for t in range(length_of(f, op.every_in, op.steps_in, r)):
                x = vector(row_at(f, op.x, op.ld_in, t, r, size), dtype)  # (T, B, I)
                total += _sum_of_penalties(x, op.n_in, l1, l2, zero)
            losses[r] += loss_weight(f, r, dtype) * total

    return LAYER_KERNEL, activity_penalty_forward


@layer_kernel("activity_penalty", "backward")
def make_activity_penalty_backward(dtype):
    """The gradient of the penalties, weighted and divided by the batch's sum of weights."""
    digest = DIGEST
    size = dtype().itemsize

    def activity_penalty_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = activity_penalty_at(op_address)
        f = frame_at(frame_address)
        for r in range(first, last):
            factor = loss_weight(f, r, dtype) * dtype(f.scale)
            l1 = factor * dtype(own.l1)
            twice_l2 = factor * dtype(2 * own.l2)
            for t in range(op.steps_in):  # what is sent from behind the end of a sample, nobody reads
                x = vector(row_at(f, op.x, op.ld_in, t, r, size), dtype)  # (T, B, I)
                room = room_for_gradient(op, f, t, r, size)
                d = vector(room, dtype)  # OUT (I,)
                for j in range(op.n_in):
                    d[j] = elastic_net_gradient(x[j], twice_l2, l1)
                send_row(op, f, t, r, room, size, dtype)

    return LAYER_KERNEL, activity_penalty_backward
