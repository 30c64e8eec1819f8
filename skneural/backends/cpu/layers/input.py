"""Kernels that bring the rows of a batch in.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, prefetch, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import length_of, length_of_sample, partner_of, row_at, sample_of, share_of

#: How many rows ahead `input_forward` asks for.
AHEAD = 6

#: Steps of a sequence that are read together. Those of all rows stand side by side, so few streams are written, not a
#: line of the cache here and there.
STEPS_TOGETHER = 8

sequence_input_at = details_view("sequence_input")


@register_jitable(**HELPER)
def read_numbers(source, kind, itemsize, by_step, by_feature, target, pitch, steps, count, share, adds, dtype):
    """``y = share * x``, or ``y += share * x`` if it adds: some steps, with so many features of type `kind` each.

    `pitch` is the distance between steps of y in bytes, the other two are distances between numbers of x.
    """
    lowest = min(0, (count - 1) * by_feature)  # features may run backwards, indices may not
    for t in range(steps):
        x = vector(source + (t * by_step + lowest) * itemsize, kind)
        y = vector(target + t * pitch, dtype)
        for j in range(count):
            value = share * dtype(x[j * by_feature - lowest])
            y[j] = y[j] + value if adds else value


@register_jitable(**HELPER)
def read_steps(f, sample, t, steps, target, pitch, count, share, adds, size, dtype):
    """Bring steps of a sample in, from step t on, whatever numbers the data holds: see `read_numbers`."""
    number = sample * f.ld_inputs + t * f.ld_steps
    rest = (f.ld_steps, f.ld_features, target, pitch, steps, count, share, adds, dtype)
    if f.integers == 0:
        read_numbers(f.inputs + number * size, dtype, size, *rest)
    elif f.integers == 1:
        read_numbers(f.inputs + number, np.uint8, 1, *rest)
    else:
        read_numbers(f.inputs + 2 * number, np.uint16, 2, *rest)


@layer_kernel("input", "forward")
def make_input_forward(dtype):
    """Copy the rows of the batch, in the order of the epoch, side by side."""
    digest = DIGEST
    size = dtype().itemsize
    whole = np.int64

    def input_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        order = vector(f.order, whole)
        # Short rows in random order would each be waited for; the processor itself looks ahead in long ones.
        scattered = f.order != 0 and op.n_out * size <= 512
        for r in range(first, last):
            if scattered and r + AHEAD < last:
                ahead = f.inputs + order[f.start + r + AHEAD] * f.ld_inputs * size
                for line in range(0, op.n_out * size, 64):
                    prefetch(ahead + line)
            x = vector(f.inputs + sample_of(f, r) * f.ld_inputs * size, dtype)
            y = vector(row_at(f, op.y, op.ld_out, 0, r, size), dtype)  # OUT (B, O)
            for j in range(op.n_out):
                y[j] = x[j]

    return LAYER_KERNEL, input_forward


@layer_kernel("sequence_input", "forward")
def make_sequence_input_forward(dtype):
    """Copy the sequences of the batch, step by step, standardised; steps after the last of a row are 0."""
    digest = DIGEST
    size = dtype().itemsize

    def sequence_input_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        scaling = sequence_input_at(op_address).scaling
        one = dtype(1)
        mean = vector(f.params + max(scaling, 0) * size, dtype)
        deviation = vector(f.params + (max(scaling, 0) + op.ld_out) * size, dtype)
        pitch = f.chunk * op.ld_out * size
        for t_begin in range(0, op.steps, STEPS_TOGETHER):
            t_end = min(t_begin + STEPS_TOGETHER, op.steps)
            for r in range(first, last):
                i = sample_of(f, r)
                steps = max(min(length_of(f, op.every, op.steps, r), t_end) - t_begin, 0)
                y_at = row_at(f, op.y, op.ld_out, t_begin, r, size)  # OUT (T, B, O)
                mixed = 0
                if f.mixup != 0:
                    partner = partner_of(f, r)
                    length = length_of_sample(f, op.every, op.steps, partner)
                    mixed = min(max(length - t_begin, 0), steps)
                    share = dtype(share_of(f, r))
                    read_steps(f, i, t_begin, mixed, y_at, pitch, op.n_out, share, False, size, dtype)
                    read_steps(f, partner, t_begin, mixed, y_at, pitch, op.n_out, one - share, True, size, dtype)
                alone_at = y_at + mixed * pitch
                read_steps(f, i, t_begin + mixed, steps - mixed, alone_at, pitch, op.n_out, one, False, size, dtype)
                if scaling >= 0:
                    for t in range(steps):
                        y = vector(y_at + t * pitch, dtype)
                        for j in range(op.n_out):
                            y[j] = (y[j] - mean[j]) / deviation[j]
                for t in range(steps, t_end - t_begin):
                    clear(y_at + t * pitch, op.n_out * size)

    return LAYER_KERNEL, sequence_input_forward
