"""Kernels of pooling: over windows of time steps, one of which may be the whole sequence.

Sizes: T steps, B rows, W windows, C channels; ``ld_in`` is C padded.
"""

import numpy as np

from skneural.backends.cuda.compiler import formula
from skneural.backends.cuda.hub import register
from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.rows import length_of, make_each_number, number_of, send
from skneural.maths.pooling import is_new_maximum

formula(is_new_maximum)


def step_type(dtype):
    """Type of the numbers of steps in a buffer of real ones."""
    return np.int32 if dtype().itemsize == 4 else np.int64


@layer_kernel("pool_last", "forward", "last")
@layer_kernel("pool_mean", "forward", "mean")
@layer_kernel("pool_max", "forward", "max")
def make_pool_forward(dtype, how):
    """Of every window the last values (of the direction backwards: the first), their mean or their maximum.

    A thread has one number of a window, and goes through the steps.
    """
    size = dtype().itemsize
    is_last = how == "last"
    is_max = how == "max"
    step = step_type(dtype)

    @register
    def x_at(op, f, t, r, j):
        return vector(number_of(f, op.x, op.ld_in, t * f.piece + r, j, size), dtype)[0]  # (T, B, C)

    def work(op, own, f, w, r, j):
        beginning = w * own.window
        end = min(beginning + own.window, length_of(f, op.every_in, op.steps_in, r))
        value = dtype(0)
        winner = beginning
        if beginning < end:
            first = end - 1 if is_last and j < own.n_forwards else beginning
            value = x_at(op, f, first, r, j)
            for t in range(beginning + 1, beginning if is_last else end):
                number = x_at(op, f, t, r, j)
                if not is_max:
                    value += number
                elif is_new_maximum(number, value):
                    value = number
                    winner = t
            if not is_last and not is_max:
                value *= dtype(1) / dtype(end - beginning)
        row = w * f.piece + r
        if is_max and own.winners >= 0:
            vector(number_of(f, own.winners, op.ld_out, row, j, size), step)[0] = winner  # OUT (W, B, C)
        vector(number_of(f, op.y, op.ld_out, row, j, size), dtype)[0] = value  # OUT (W, B, C)

    return make_each_number("pool_max", work)


@layer_kernel("pool_last", "backward", "last", of_input=True)
@layer_kernel("pool_mean", "backward", "mean", of_input=True)
@layer_kernel("pool_max", "backward", "max", of_input=True)
def make_pool_backward(dtype, how):
    """The gradient to the steps that a window's values were made of, 0 to the others."""
    size = dtype().itemsize
    is_last = how == "last"
    is_max = how == "max"
    step = step_type(dtype)

    def work(op, own, f, t, r, j):
        w = t // own.window
        beginning = w * own.window
        length = length_of(f, op.every_in, op.steps_in, r)
        end = min(beginning + own.window, length)
        row = w * f.piece + r
        gradient = dtype(0)
        if t < length:
            dy = vector(number_of(f, op.dy, op.ld_out, row, j, size), dtype)[0]  # (W, B, C)
            if is_last:
                source = end - 1 if j < own.n_forwards else beginning
                gradient = dy if t == source else dtype(0)
            elif is_max:
                winner = vector(number_of(f, own.winners, op.ld_out, row, j, size), step)[0]  # (W, B, C)
                gradient = dy if t == winner else dtype(0)
            else:
                gradient = dy * (dtype(1) / dtype(end - beginning))
        send(f, op.dx, op.begin, op.scale, op.ld_in, t * f.piece + r, j, gradient, size, dtype)

    return make_each_number("pool_max", work, of_input=True)
