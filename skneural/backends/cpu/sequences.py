"""Kernels around recurrent layers: sequences in, directions of time joined, dropout, and pooling.

Sizes: T steps, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, frame_at, op_at, vector
from skneural.backends.cpu.recurrent import at_step, length_of
from skneural.maths import random


def make_sequence_input_forward(dtype):
    """Copy the sequences of the batch, step by step, standardised; steps after the last of a row are 0."""
    digest, size, whole = DIGEST, dtype().itemsize, np.int64

    def sequence_input_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        order, standardized = vector(f.order, whole), op.weight >= 0
        lowest = min(0, (op.n_out - 1) * f.ld_features)  # features may run backwards, indices may not
        mean = vector(f.params + max(op.weight, 0) * size, dtype)
        deviation = vector(f.params + (max(op.weight, 0) + op.ld_out) * size, dtype)
        for r in range(first, last):
            i = order[f.start + r] if f.order != 0 else f.start + r
            length = min(length_of(f, op, r), op.steps)
            for t in range(op.steps):
                y = vector(at_step(f, op, op.y, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                if t >= length:
                    clear(at_step(f, op, op.y, op.ld_out, t, r, size), op.n_out * size)
                    continue
                x = vector(f.inputs + (i * f.ld_inputs + t * f.ld_steps + lowest) * size, dtype)
                for j in range(op.n_out):
                    y[j] = x[j * f.ld_features - lowest]
                if standardized:
                    for j in range(op.n_out):
                        y[j] = (y[j] - mean[j]) / deviation[j]

    return LAYER_KERNEL, sequence_input_forward


def make_join_forward(dtype):
    """States of both directions of time side by side: ``y = [x, skip]``."""
    digest, size = DIGEST, dtype().itemsize

    def join_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        for t in range(op.steps):
            for r in range(first, last):
                ahead = vector(at_step(f, op, op.x, op.ld_in, t, r, size), dtype)  # (T, B, I)
                back = vector(at_step(f, op, op.skip, op.ld_in, t, r, size), dtype)  # (T, B, I)
                y = vector(at_step(f, op, op.y, op.ld_out, t, r, size), dtype)  # OUT (T, B, 2 I)
                for j in range(op.n_in):
                    y[j] = ahead[j]
                    y[op.n_in + j] = back[j]

    return LAYER_KERNEL, join_forward


def make_join_backward(dtype):
    """The gradient's halves, each to its direction."""
    digest, size = DIGEST, dtype().itemsize

    def join_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        for t in range(op.steps):
            for r in range(first, last):
                dy = vector(at_step(f, op, op.dy, op.ld_out, t, r, size), dtype)  # (T, B, 2 I)
                ahead = vector(at_step(f, op, op.dx, op.ld_in, t, r, size), dtype)  # OUT (T, B, I)
                back = vector(at_step(f, op, op.carry, op.ld_in, t, r, size), dtype)  # OUT (T, B, I)
                for j in range(op.n_in):
                    ahead[j] = dy[j]
                    back[j] = dy[op.n_in + j]

    return LAYER_KERNEL, join_backward


def make_sequence_dropout(dtype, backward):
    """``y = mask * x`` on the way forward, ``dx = mask * dy`` on the way back: the mask is drawn again."""
    digest, size = DIGEST, dtype().itemsize
    key, at_time, bits, dropout = random.key, random.at_time, random.bits, random.DROPOUT

    def sequence_dropout(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        of_step = key(np.uint64(f.seed), np.uint64(dropout + 16 * op.stream), np.uint64(f.step))
        limit = np.uint32(op.limit)
        scale, zero = dtype(1.0 / (1.0 - op.rate)), dtype(0)
        source, target = (op.dy, op.dx) if backward else (op.x, op.y)
        for t in range(op.steps):
            k = at_time(of_step, np.uint64(t))
            for r in range(first, last):
                x = vector(at_step(f, op, source, op.ld_out, t, r, size), dtype)  # (T, B, O)
                y = vector(at_step(f, op, target, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                position = np.uint64((f.start + r) * op.ld_out)
                for j in range(op.n_out):
                    y[j] = x[j] * (scale if np.uint32(bits(k, position + np.uint64(j))) >= limit else zero)

    return LAYER_KERNEL, sequence_dropout


def make_pool_forward(dtype, how):
    """One row for each sequence: the last state of either direction, or mean or maximum over its steps."""
    digest, size, one, is_last, is_max = DIGEST, dtype().itemsize, dtype(1), how == "last", how == "max"
    step = np.int32 if size == 4 else np.int64  # a float32 does not tell all steps from 2**24 on apart

    def pool_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        for r in range(first, last):
            y = vector(f.work + (op.y * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            place = vector(f.work + (op.statistics * f.capacity + r * op.ld_out) * size, step)  # OUT (B, O)
            length, beginning = length_of(f, op, r), vector(at_step(f, op, op.x, op.ld_in, 0, r, size), dtype)
            if is_last:  # the other direction ends where the sequence begins
                end = vector(at_step(f, op, op.x, op.ld_in, op.steps - 1, r, size), dtype)  # (T, B, I)
                for j in range(op.n_in):
                    y[j] = end[j] if j < op.stream else beginning[j]
            else:
                for j in range(op.n_in):
                    y[j], place[j] = beginning[j], step(0)
                for t in range(1, length):
                    x = vector(at_step(f, op, op.x, op.ld_in, t, r, size), dtype)  # (T, B, I)
                    for j in range(op.n_in):
                        if not is_max:
                            y[j] += x[j]
                        elif not x[j] <= y[j]:  # NaN must be seen
                            y[j], place[j] = x[j], step(t)
                share = one if is_max else one / dtype(length)
                for j in range(op.n_in):
                    y[j] *= share
            if f.training != 0:
                dy = vector(f.work + (op.dy * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
                for j in range(op.n_in):
                    dy[j] = one

    return LAYER_KERNEL, pool_forward


def make_pool_backward(dtype, how):
    """The gradient to the steps that the row was made of, 0 to the others."""
    digest, size, zero, one = DIGEST, dtype().itemsize, dtype(0), dtype(1)
    is_last, is_max = how == "last", how == "max"
    step = np.int32 if size == 4 else np.int64

    def pool_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        end = op.steps - 1
        for r in range(first, last):
            dy = vector(f.work + (op.dy * f.capacity + r * op.ld_out) * size, dtype)  # (B, O)
            place = vector(f.work + (op.statistics * f.capacity + r * op.ld_out) * size, step)  # (B, O)
            length = length_of(f, op, r)
            share = one / dtype(length)
            for t in range(op.steps):
                dx = vector(at_step(f, op, op.dx, op.ld_in, t, r, size), dtype)  # OUT (T, B, I)
                for j in range(op.n_in):
                    if is_last:
                        dx[j] = dy[j] if t == (end if j < op.stream else 0) else zero
                    elif is_max:
                        dx[j] = dy[j] if place[j] == t else zero
                    else:
                        dx[j] = dy[j] * share if t < length else zero

    return LAYER_KERNEL, pool_backward
