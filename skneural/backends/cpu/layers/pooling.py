"""Kernels of pooling: over windows of time steps, one of which may be the whole sequence.

Sizes: T steps, B rows, W windows, C channels; ``ld_in`` is C padded.
"""

import numpy as np

from skneural.backends.cpu.compiler import DIGEST, formula
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import length_of, room_for_gradient, row_at, send_row
from skneural.maths.pooling import is_new_maximum

formula(is_new_maximum)

pool_at = details_view("pool_max")


@layer_kernel("pool_last", "forward", "last")
@layer_kernel("pool_mean", "forward", "mean")
@layer_kernel("pool_max", "forward", "max")
def make_pool_forward(dtype, how):
    """Of every window the last values (of the direction backwards: the first), their mean or their maximum."""
    digest = DIGEST
    size = dtype().itemsize
    is_last = how == "last"
    is_max = how == "max"
    step = np.int32 if size == 4 else np.int64  # a float32 does not tell all steps from 2**24 on apart

    def pool_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = pool_at(op_address)
        f = frame_at(frame_address)
        for r in range(first, last):
            length = length_of(f, op.every_in, op.steps_in, r)
            for w in range(op.steps):
                beginning = w * own.window
                end = min(beginning + own.window, length)
                at = row_at(f, op.y, op.ld_out, w, r, size)
                y = vector(at, dtype)  # OUT (W, B, C)
                if beginning >= end:
                    clear(at, op.ld_out * size)
                    continue
                x = vector(row_at(f, op.x, op.ld_in, beginning, r, size), dtype)  # (T, B, C)
                winner = vector(row_at(f, max(own.winners, 0), op.ld_out, w, r, size), step)  # OUT (W, B, C)
                for j in range(op.n_in):
                    y[j] = x[j]
                if is_last:
                    x = vector(row_at(f, op.x, op.ld_in, end - 1, r, size), dtype)
                    for j in range(own.n_forwards):
                        y[j] = x[j]
                    continue
                if is_max and own.winners >= 0:
                    for j in range(op.n_in):
                        winner[j] = step(beginning)
                for t in range(beginning + 1, end):
                    x = vector(row_at(f, op.x, op.ld_in, t, r, size), dtype)
                    for j in range(op.n_in):
                        if not is_max:
                            y[j] += x[j]
                        elif is_new_maximum(x[j], y[j]):
                            y[j] = x[j]
                            if own.winners >= 0:
                                winner[j] = step(t)
                if not is_max:
                    share = dtype(1) / dtype(end - beginning)
                    for j in range(op.n_in):
                        y[j] *= share

    return LAYER_KERNEL, pool_forward


@layer_kernel("pool_last", "backward", "last")
@layer_kernel("pool_mean", "backward", "mean")
@layer_kernel("pool_max", "backward", "max")
def make_pool_backward(dtype, how):
    """The gradient to the steps that a window's values were made of, 0 to the others."""
    digest = DIGEST
    size = dtype().itemsize
    zero = dtype(0)
    is_last = how == "last"
    is_max = how == "max"
    step = np.int32 if size == 4 else np.int64

    def pool_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = pool_at(op_address)
        f = frame_at(frame_address)
        for t in range(op.steps_in):  # in the order of memory
            w = t // own.window
            beginning = w * own.window
            for r in range(first, last):
                length = length_of(f, op.every_in, op.steps_in, r)
                end = min(beginning + own.window, length)
                dy = vector(row_at(f, op.dy, op.ld_out, w, r, size), dtype)  # (W, B, C)
                winner = vector(row_at(f, max(own.winners, 0), op.ld_out, w, r, size), step)  # (W, B, C)
                room = room_for_gradient(op, f, t, r, size)
                d = vector(room, dtype)  # OUT (C,)
                if t >= length:
                    clear(room, op.n_in * size)
                elif is_last:
                    for j in range(own.n_forwards):
                        d[j] = dy[j] if t == end - 1 else zero
                    for j in range(own.n_forwards, op.n_in):
                        d[j] = dy[j] if t == beginning else zero
                elif is_max:
                    for j in range(op.n_in):
                        d[j] = dy[j] if winner[j] == t else zero
                else:
                    share = dtype(1) / dtype(end - beginning)
                    for j in range(op.n_in):
                        d[j] = dy[j] * share
                send_row(op, f, t, r, room, size, dtype)

    return LAYER_KERNEL, pool_backward
