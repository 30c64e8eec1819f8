"""Kernels that bring the rows of a batch in.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

import numpy as np

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, prefetch, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import length_of, row_at, sample_of

#: How many rows ahead `input_forward` asks for.
AHEAD = 6

sequence_input_at = details_view("sequence_input")


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
        lowest = min(0, (op.n_out - 1) * f.ld_features)  # features may run backwards, indices may not
        item = f.integers if f.integers != 0 else size
        mean = vector(f.params + max(scaling, 0) * size, dtype)
        deviation = vector(f.params + (max(scaling, 0) + op.ld_out) * size, dtype)
        for r in range(first, last):
            i = sample_of(f, r)
            length = length_of(f, op.every, op.steps, r)
            for t in range(op.steps):
                at = row_at(f, op.y, op.ld_out, t, r, size)
                y = vector(at, dtype)  # OUT (T, B, O)
                if t >= length:
                    clear(at, op.n_out * size)
                    continue
                x_at = f.inputs + (i * f.ld_inputs + t * f.ld_steps + lowest) * item
                if f.integers == 0:
                    x = vector(x_at, dtype)
                    for j in range(op.n_out):
                        y[j] = x[j * f.ld_features - lowest]
                elif f.integers == 1:
                    narrow = vector(x_at, np.uint8)
                    for j in range(op.n_out):
                        y[j] = dtype(narrow[j * f.ld_features - lowest])
                else:
                    wide = vector(x_at, np.uint16)
                    for j in range(op.n_out):
                        y[j] = dtype(wide[j * f.ld_features - lowest])
                if scaling >= 0:
                    for j in range(op.n_out):
                        y[j] = (y[j] - mean[j]) / deviation[j]

    return LAYER_KERNEL, sequence_input_forward
