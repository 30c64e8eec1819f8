"""Kernels of the layers: ``<layer>_forward`` and ``<layer>_backward``.

All have one signature, ``(op, frame, first, last)``: the addresses of the operation and of the thread's frame, and
the rows of the batch `first` to `last`, which alone they read and write. What needs all rows of a batch is in
`updates` and, for its statistics, in `normalization`.

Sizes: B rows of the batch, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler exp, random numbers and their kin)
from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import (
    LAYER_KERNEL,
    call_activation,
    call_product,
    frame_at,
    op_at,
    prefetch,
    vector,
)
from skneural.maths import random

#: How many rows ahead `input_forward` asks for.
AHEAD = 6


def make_input_forward(dtype):
    """Copy the rows of the batch, in the order of the epoch, side by side."""
    digest, size, whole = DIGEST, dtype().itemsize, np.int64

    def input_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        order = vector(f.order, whole)
        # Short rows in random order would each be waited for; the processor itself looks ahead in long ones.
        scattered = f.order != 0 and op.n_out * size <= 512
        for r in range(first, last):
            if scattered and r + AHEAD < last:
                ahead = f.inputs + order[f.start + r + AHEAD] * f.ld_inputs * size
                for line in range(0, op.n_out * size, 64):
                    prefetch(ahead + line)
            i = order[f.start + r] if f.order != 0 else f.start + r
            x = vector(f.inputs + i * f.ld_inputs * size, dtype)
            y = vector(f.work + (op.y * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            for j in range(op.n_out):
                y[j] = x[j]

    return LAYER_KERNEL, input_forward


@register_jitable(**HELPER)
def activate(op, f, first, last, size):
    """Apply the activation to rows of y; at training its slope goes into dy."""
    if op.function != 0:
        y = f.work + (op.y * f.capacity + first * op.ld_out) * size  # OUT (B, O)
        slope = f.work + (op.dy * f.capacity + first * op.ld_out) * size if f.training != 0 else 0  # OUT (B, O)
        call_activation(op.function, (y, slope, (last - first) * op.ld_out))


def make_dense_forward(dtype):
    """``y = activation(x @ weight + bias)``."""
    digest, size = DIGEST, dtype().itemsize

    def dense_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        x = f.work + (op.x * f.capacity + first * op.ld_in) * size  # (B, I)
        weight = f.params + op.weight * size  # (I, O)
        bias = f.params + op.bias * size if op.bias >= 0 else 0  # (O,)
        y = f.work + (op.y * f.capacity + first * op.ld_out) * size  # OUT (B, O)
        call_product(
            f.product,
            (x, op.ld_in, 1, weight, op.ld_out, y, op.ld_out, last - first, op.ld_out, op.n_in, bias, 0, 0, f.panel),
        )
        activate(op, f, first, last, size)

    return LAYER_KERNEL, dense_forward


def make_sparse_dense_forward(dtype):
    """`dense_forward` for CSR rows: the same sums in the same order, without the terms that are 0."""
    digest, size, whole = DIGEST, dtype().itemsize, np.int64
    zero = dtype(0)

    def sparse_dense_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        order, indptr, indices = vector(f.order, whole), vector(f.indptr, whole), vector(f.indices, whole)
        values, bias = vector(f.inputs, dtype), vector(f.params + max(op.bias, 0) * size, dtype)
        for r in range(first, last):
            y = vector(f.work + (op.y * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            for j in range(op.ld_out):
                y[j] = bias[j] if op.bias >= 0 else zero
            i = order[f.start + r] if f.order != 0 else f.start + r
            for k in range(indptr[i], indptr[i + 1]):
                x, weight = values[k], vector(f.params + (op.weight + indices[k] * op.ld_out) * size, dtype)
                for j in range(op.ld_out):
                    y[j] += x * weight[j]
        activate(op, f, first, last, size)

    return LAYER_KERNEL, sparse_dense_forward


def make_dense_backward(dtype):
    """``dx = (dy @ weight.T + skip) * dx``: dx held the slope of the layer before, skip is a shortcut's gradient."""
    digest, size = DIGEST, dtype().itemsize

    def dense_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        dy = f.work + (op.dy * f.capacity + first * op.ld_out) * size  # (B, O)
        turned = f.transposed + op.transposed * size  # (O, I)
        dx = f.work + (op.dx * f.capacity + first * op.ld_in) * size  # OUT (B, I)
        skip = f.work + (op.skip * f.capacity + first * op.ld_in) * size if op.skip >= 0 else 0  # (B, I)
        rows, ld = last - first, op.ld_in
        call_product(f.product, (dy, op.ld_out, 1, turned, ld, dx, ld, rows, ld, op.n_out, skip, ld, 1, f.panel))

    return LAYER_KERNEL, dense_backward


def make_dropout_forward(dtype):
    """Zero numbers of y, and the slopes in dy with them, so that the way back needs nothing; scale up the rest."""
    digest, size = DIGEST, dtype().itemsize
    key, bits, dropout = random.key, random.bits, random.DROPOUT

    def dropout_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        k = key(np.uint64(f.seed), np.uint64(dropout + 16 * op.stream), np.uint64(f.step))
        limit = np.uint32(op.limit)
        scale, zero = dtype(1.0 / (1.0 - op.rate)), dtype(0)
        for r in range(first, last):
            y = vector(f.work + (op.y * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            dy = vector(f.work + (op.dy * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            position = np.uint64((f.start + r) * op.ld_out)
            for j in range(op.n_out):
                keep = scale if np.uint32(bits(k, position + np.uint64(j))) >= limit else zero
                y[j] *= keep
                dy[j] *= keep

    return LAYER_KERNEL, dropout_forward


def make_residual_forward(dtype):
    """``y = x + skip``; the slope is 1."""
    digest, size, one = DIGEST, dtype().itemsize, dtype(1)

    def residual_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        x = vector(f.work + (op.x * f.capacity + first * op.ld_out) * size, dtype)  # (B, O)
        skip = vector(f.work + (op.skip * f.capacity + first * op.ld_out) * size, dtype)  # (B, O)
        y = vector(f.work + (op.y * f.capacity + first * op.ld_out) * size, dtype)  # OUT (B, O)
        for j in range((last - first) * op.ld_out):
            y[j] = x[j] + skip[j]
        if f.training != 0:
            dy = vector(f.work + (op.dy * f.capacity + first * op.ld_out) * size, dtype)  # OUT (B, O)
            for j in range((last - first) * op.ld_out):
                dy[j] = one

    return LAYER_KERNEL, residual_forward


def make_residual_backward(dtype):
    """``dx = dx * dy``: dx holds the slope of the last layer inside; the shortcut's share is added where it ends."""
    digest, size = DIGEST, dtype().itemsize

    def residual_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        dy = vector(f.work + (op.dy * f.capacity + first * op.ld_out) * size, dtype)  # (B, O)
        dx = vector(f.work + (op.dx * f.capacity + first * op.ld_out) * size, dtype)  # OUT (B, O)
        for j in range((last - first) * op.ld_out):
            dx[j] *= dy[j]

    return LAYER_KERNEL, residual_backward


def make_noise_forward(dtype):
    """Add Gaussian noise to y."""
    digest, size = DIGEST, dtype().itemsize
    key, at_time, bits, normal, noise = random.key, random.at_time, random.bits, random.normal, random.NOISE

    def noise_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        of_step, deviation = key(np.uint64(f.seed), np.uint64(noise), np.uint64(f.step)), dtype(op.rate)
        for r in range(op.steps * (last - first)):
            t, r = r // (last - first), first + r % (last - first)
            y = vector(f.work + (op.y * f.capacity + (t * f.piece + r) * op.ld_out) * size, dtype)  # OUT (T, B, O)
            k, position = at_time(of_step, np.uint64(t)), np.uint64((f.start + r) * op.ld_out)
            for j in range(op.n_out):
                # 23 bits, so that single precision holds the middle of every one of that many steps in (-1, 1)
                step = np.int32(bits(k, position + np.uint64(j)) >> np.uint64(9))
                y[j] += deviation * normal((dtype(step) + dtype(0.5)) * dtype(2.0**-22) - dtype(1))

    return LAYER_KERNEL, noise_forward
