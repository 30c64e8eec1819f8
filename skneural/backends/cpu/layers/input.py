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
def read_numbers(x, y, stride, lowest, count, share, adds, dtype):
    """``y = share * x``, or ``y += share * x`` if it adds: of one step, whose features are so far apart."""
    for j in range(count):
        value = share * dtype(x[j * stride - lowest])
        y[j] = y[j] + value if adds else value


@register_jitable(**HELPER)
def read_step(f, sample, t, y, count, share, adds, size, dtype):
    """Bring a step of a sample in, whatever numbers the data holds: see `read_numbers`."""
    lowest = min(0, (count - 1) * f.ld_features)  # features may run backwards, indices may not
    number = sample * f.ld_inputs + t * f.ld_steps + lowest
    rest = (y, f.ld_features, lowest, count, share, adds, dtype)
    if f.integers == 0:
        read_numbers(vector(f.inputs + number * size, dtype), *rest)
    elif f.integers == 1:
        read_numbers(vector(f.inputs + number, np.uint8), *rest)
    else:
        read_numbers(vector(f.inputs + 2 * number, np.uint16), *rest)


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
        for t_begin in range(0, op.steps, STEPS_TOGETHER):
            t_end = min(t_begin + STEPS_TOGETHER, op.steps)
            for r in range(first, last):
                i = sample_of(f, r)
                length = length_of(f, op.every, op.steps, r)
                own_share = one
                partner = i
                n_mixed = 0
                if f.mixup != 0:
                    own_share = dtype(share_of(f, r))
                    partner = partner_of(f, r)
                    n_mixed = length_of_sample(f, op.every, op.steps, partner)
                for t in range(t_begin, t_end):
                    at = row_at(f, op.y, op.ld_out, t, r, size)
                    y = vector(at, dtype)  # OUT (T, B, O)
                    if t >= length:
                        clear(at, op.n_out * size)
                        continue
                    share = own_share if t < n_mixed else one
                    read_step(f, i, t, y, op.n_out, share, False, size, dtype)
                    if t < n_mixed:
                        read_step(f, partner, t, y, op.n_out, one - share, True, size, dtype)
                    if scaling >= 0:
                        for j in range(op.n_out):
                            y[j] = (y[j] - mean[j]) / deviation[j]

    return LAYER_KERNEL, sequence_input_forward
