"""Kernels of noise.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

import numpy as np

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import bring, length_of, row_at
from skneural.maths import random
from skneural.maths.dropout import noise, row_position
from skneural.maths.random import at_time, layer_key

noise_at = details_view("noise")


@layer_kernel("noise", "forward")
def make_noise_forward(dtype):
    """Add Gaussian noise."""
    digest = DIGEST
    size = dtype().itemsize
    stream = random.NOISE

    def noise_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = noise_at(op_address)
        f = frame_at(frame_address)
        key = layer_key(f.seed, stream, own.stream, f.step)
        deviation = dtype(own.deviation)
        for t in range(op.steps):
            bring(op, f, op.y, t, first, last, size, dtype)
            at_t = at_time(key, np.uint64(t))
            for r in range(first, last):
                y = vector(row_at(f, op.y, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                position = row_position(f.start + r, op.ld_out)
                n = op.n_out if t < length_of(f, op.every, op.steps, r) else 0
                for j in range(n):
                    y[j] += noise(at_t, position + np.uint64(j), deviation)

    return LAYER_KERNEL, noise_forward
