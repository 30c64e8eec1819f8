"""Kernels of pooling: over windows of time steps, one of which may be the whole sequence.

Sizes: T steps, B rows, W windows, C channels; ``ld_in`` is C padded.
"""

import numpy as np

from skneural.backends.cuda.compiler import formula
from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.rows import get, get_dy, get_x, length_of, make_each_number, put, put_y, send_x
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
    is_last = how == "last"
    is_max = how == "max"
    step = step_type(dtype)

    def work(op, own, f, row, j):
        r = row % f.chunk
        beginning = row // f.chunk * own.window
        end = min(beginning + own.window, length_of(f, op.every_in, op.steps_in, r))
        value = dtype(0)
        winner = beginning
        if beginning < end:
            first = end - 1 if is_last and j < own.n_forwards else beginning
            value = get_x(op, f, first * f.chunk + r, j, dtype)
            for t in range(beginning + 1, beginning if is_last else end):
                number = get_x(op, f, t * f.chunk + r, j, dtype)
                if not is_max:
                    value += number
                elif is_new_maximum(number, value):
                    value = number
                    winner = t
            if not is_last and not is_max:
                value *= dtype(1) / dtype(end - beginning)
        if is_max and own.winners >= 0:
            put(f, own.winners, op.ld_out, row, j, step, winner)
        put_y(op, f, row, j, dtype, value)

    return make_each_number("pool_max", work)


@layer_kernel("pool_last", "backward", "last", of_input=True)
@layer_kernel("pool_mean", "backward", "mean", of_input=True)
@layer_kernel("pool_max", "backward", "max", of_input=True)
def make_pool_backward(dtype, how):
    """The gradient to the steps that a window's values were made of, 0 to the others."""
    is_last = how == "last"
    is_max = how == "max"
    step = step_type(dtype)

    def work(op, own, f, row, j):
        t = row // f.chunk
        r = row % f.chunk
        w = t // own.window
        beginning = w * own.window
        length = length_of(f, op.every_in, op.steps_in, r)
        end = min(beginning + own.window, length)
        gradient = dtype(0)
        if t < length:
            gradient = get_dy(op, f, w * f.chunk + r, j, dtype)
            if is_last:
                source = end - 1 if j < own.n_forwards else beginning
            elif is_max:
                source = get(f, own.winners, op.ld_out, w * f.chunk + r, j, step)
            else:
                source = t
                gradient *= dtype(1) / dtype(end - beginning)
            gradient = gradient if t == source else dtype(0)
        send_x(op, f, row, j, dtype, gradient)

    return make_each_number("pool_max", work, of_input=True)
