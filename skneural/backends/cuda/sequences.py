"""Kernels around recurrent layers: sequences in, directions of time joined, dropout, and pooling.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import model_frame, op_at, row_number, vector
from skneural.backends.cuda.kernels import dropout_key, make_keep
from skneural.backends.cuda.recurrent_steps import length_of, unit_place
from skneural.maths import random


def make_each_step(dtype, work, name):
    """Kernel that calls ``work(op, f, key, t, r, j)`` for all numbers of all steps of the rows of the batch."""
    register(work)
    digest = f"{DIGEST}_{name}"

    def each_step(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        key = dropout_key(op, f, step)
        for e in range(cuda.grid(1), op.steps * f.chunk * op.n_out, cuda.gridsize(1)):
            row = e // op.n_out
            work(op, f, key, row // f.chunk, row % f.chunk, e % op.n_out)

    return each_step


def make_sequence_input_forward(dtype):
    """Copy the sequences of the batch, standardised; steps after the last of a row are 0.

    Features and steps may run backwards, so numbers are reached by their addresses.
    """
    size, zero = dtype().itemsize, dtype(0)

    def work(op, f, key, t, r, j):
        y = vector(unit_place(f, op.y, op.ld_out, t * f.chunk + r, j, size), dtype)  # OUT (T, B, O)
        if t < length_of(f, op, r):
            i = f.start + r - f.window if f.window >= 0 else row_number(f, r)
            value = vector(f.inputs + (i * f.ld_inputs + t * f.ld_steps + j * f.ld_features) * size, dtype)[0]
            if op.weight >= 0:
                mean, deviation = f.params + (op.weight + j) * size, f.params + (op.weight + op.ld_out + j) * size
                value = (value - vector(mean, dtype)[0]) / vector(deviation, dtype)[0]
            y[0] = value
        else:
            y[0] = zero

    return make_each_step(dtype, work, "sequence_input_forward")


def make_join_forward(dtype):
    """States of both directions of time side by side: ``y = [x, skip]``."""
    size = dtype().itemsize

    def work(op, f, key, t, r, j):
        source, column = (op.x, j) if j < op.n_in else (op.skip, j - op.n_in)
        x = vector(unit_place(f, source, op.ld_in, t * f.chunk + r, column, size), dtype)  # (T, B, I)
        vector(unit_place(f, op.y, op.ld_out, t * f.chunk + r, j, size), dtype)[0] = x[0]  # OUT (T, B, 2 I)

    return make_each_step(dtype, work, "join_forward")


def make_join_backward(dtype):
    """The gradient's halves, each to its direction."""
    size = dtype().itemsize

    def work(op, f, key, t, r, j):
        target, column = (op.dx, j) if j < op.n_in else (op.d_state, j - op.n_in)
        dy = vector(unit_place(f, op.dy, op.ld_out, t * f.chunk + r, j, size), dtype)  # (T, B, 2 I)
        vector(unit_place(f, target, op.ld_in, t * f.chunk + r, column, size), dtype)[0] = dy[0]  # OUT (T, B, I)

    return make_each_step(dtype, work, "join_backward")


def make_sequence_dropout(dtype, backward):
    """``y = mask * x`` on the way forward, ``dx = mask * dy`` on the way back: the mask is drawn again.

    In prediction it is a copy.
    """
    size, at_time, keep = dtype().itemsize, random.at_time, make_keep(dtype)

    def work(op, f, key, t, r, j):
        source, target = (op.dy, op.dx) if backward else (op.x, op.y)
        value = vector(unit_place(f, source, op.ld_out, t * f.chunk + r, j, size), dtype)[0]  # (T, B, O)
        if f.training != 0:
            value *= keep(op, at_time(key, np.uint64(t)), (f.start + r) * op.ld_out + j)
        vector(unit_place(f, target, op.ld_out, t * f.chunk + r, j, size), dtype)[0] = value  # OUT (T, B, O)

    return make_each_step(dtype, work, f"sequence_dropout_{backward}")


def make_pool_forward(dtype, how):
    """One row for each sequence: the last state of either direction, or mean or maximum over its steps.

    A thread has one number of the row, and goes through the steps.
    """
    digest, size, zero, one, is_last, is_max = DIGEST, dtype().itemsize, dtype(0), dtype(1), how == "last", how == "max"

    def pool_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        for e in range(cuda.grid(1), f.chunk * op.n_in, cuda.gridsize(1)):
            r, j = e // op.n_in, e % op.n_in
            x, next_step = unit_place(f, op.x, op.ld_in, r, j, size), f.chunk * op.ld_in * size  # (T, B, I)
            value, place = vector(x, dtype)[0], zero
            if is_last:  # the other direction ends where the sequence begins
                if j < op.stream:
                    value = vector(x + (op.steps - 1) * next_step, dtype)[0]
            else:
                length = length_of(f, op, r)
                for t in range(1, length):
                    x += next_step
                    number = vector(x, dtype)[0]
                    if not is_max:
                        value += number
                    elif not number <= value:  # NaN must be seen
                        value, place = number, dtype(t)
                if not is_max:
                    value *= one / dtype(length)
                vector(unit_place(f, op.statistics, op.ld_out, r, j, size), dtype)[0] = place  # OUT (B, O)
            vector(unit_place(f, op.y, op.ld_out, r, j, size), dtype)[0] = value  # OUT (B, O)
            if f.training != 0:
                vector(unit_place(f, op.dy, op.ld_out, r, j, size), dtype)[0] = one  # OUT (B, O)

    return pool_forward


def make_pool_backward(dtype, how):
    """The gradient to the steps that the row was made of, 0 to the others."""
    size, zero, one, is_last, is_max = dtype().itemsize, dtype(0), dtype(1), how == "last", how == "max"

    def work(op, f, key, t, r, j):
        value = vector(unit_place(f, op.dy, op.ld_out, r, j, size), dtype)[0]  # (B, O)
        if is_last:
            value = value if t == (op.steps - 1 if j < op.stream else 0) else zero
        elif is_max:
            place = vector(unit_place(f, op.statistics, op.ld_out, r, j, size), dtype)[0]  # (B, O)
            value = value if place == dtype(t) else zero
        else:
            length = length_of(f, op, r)
            value = value * (one / dtype(length)) if t < length else zero
        vector(unit_place(f, op.dx, op.ld_in, t * f.chunk + r, j, size), dtype)[0] = value  # OUT (T, B, I)

    return make_each_step(dtype, work, f"pool_backward_{how}")
