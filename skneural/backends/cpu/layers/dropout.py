"""Kernels of dropout.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

import numpy as np

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import bring, own_steps, row_at
from skneural.maths import random
from skneural.maths.dropout import keep, row_position
from skneural.maths.random import at_time, layer_key

dropout_at = details_view("dropout")
spatial_dropout_at = details_view("spatial_dropout")


@layer_kernel("dropout", "forward")
def make_dropout_forward(dtype):
    """Zero numbers, and derivatives in dy with them, so that the way back needs nothing; scale up the rest."""
    digest = DIGEST
    size = dtype().itemsize
    stream = random.DROPOUT

    def dropout_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dropout_at(op_address)
        f = frame_at(frame_address)
        key = layer_key(f.seed, stream, own.stream, f.step)
        limit = np.uint32(own.limit)
        scale = dtype(1.0 / (1.0 - own.rate))
        waits = op.scale != 0 and op.x == op.y
        count = (last - first) * op.ld_out
        t_begin, t_end = own_steps(f, op.steps)
        for t in range(t_begin, t_end):
            bring(op, f, op.y, t, first, last, size, dtype)
            at_t = at_time(key, np.uint64(t))
            # Rows with their padding, one behind the other: a vector need not end with a row.
            y = vector(row_at(f, op.y, op.ld_out, t, first, size), dtype)  # OUT (T, B, O)
            derivative = vector(row_at(f, max(op.dy, 0), op.ld_out, t, first, size), dtype)  # OUT (T, B, O)
            position = row_position(f.start + first, op.ld_out)
            if waits:
                for j in range(count):
                    factor = keep(at_t, position + np.uint64(j), limit, scale)
                    y[j] *= factor
                    derivative[j] *= factor
            elif op.dy >= 0:
                for j in range(count):
                    factor = keep(at_t, position + np.uint64(j), limit, scale)
                    y[j] *= factor
                    derivative[j] = factor
            else:
                for j in range(count):
                    y[j] *= keep(at_t, position + np.uint64(j), limit, scale)

    return LAYER_KERNEL, dropout_forward


@layer_kernel("spatial_dropout", "forward")
def make_spatial_dropout_forward(dtype):
    """The same with factors that all steps share."""
    digest = DIGEST
    size = dtype().itemsize
    stream = random.DROPOUT

    def spatial_dropout_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = spatial_dropout_at(op_address)
        f = frame_at(frame_address)
        key = layer_key(f.seed, stream, own.stream, f.step)
        limit = np.uint32(own.limit)
        scale = dtype(1.0 / (1.0 - own.rate))
        waits = op.scale != 0 and op.x == op.y
        count = (last - first) * op.ld_out
        factors = vector(row_at(f, own.factors, op.ld_out, 0, first, size), dtype)  # OUT (B, O)
        position = row_position(f.start + first, op.ld_out)
        for j in range(count):
            factors[j] = keep(key, position + np.uint64(j), limit, scale)
        for t in range(op.steps):
            bring(op, f, op.y, t, first, last, size, dtype)
            y = vector(row_at(f, op.y, op.ld_out, t, first, size), dtype)  # OUT (T, B, O)
            derivative = vector(row_at(f, max(op.dy, 0), op.ld_out, t, first, size), dtype)  # OUT (T, B, O)
            if waits:
                for j in range(count):
                    y[j] *= factors[j]
                    derivative[j] *= factors[j]
            elif op.dy >= 0:
                for j in range(count):
                    y[j] *= factors[j]
                    derivative[j] = factors[j]
            else:
                for j in range(count):
                    y[j] *= factors[j]

    return LAYER_KERNEL, spatial_dropout_forward
