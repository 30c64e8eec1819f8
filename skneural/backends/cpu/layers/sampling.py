"""Kernels of normal samples and of their divergence.

Sizes: T steps, B rows, I in, O = I / 2 out; ``ld_out`` is O padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, SUM, formula
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import length_of, loss_weight, room_for_gradient, row_at, send_row
from skneural.maths import random
from skneural.maths.dropout import noise, row_position
from skneural.maths.random import at_time, layer_key
from skneural.maths.sampling import deviation_of, divergence, divergence_by_log_variance, warmed_up

for _function in (deviation_of, divergence, divergence_by_log_variance, warmed_up):
    formula(_function)

gaussian_sampling_at = details_view("gaussian_sampling")
gaussian_divergence_at = details_view("gaussian_divergence")


@layer_kernel("gaussian_sampling", "forward")
def make_gaussian_sampling_forward(dtype):
    """Means, plus noise of their deviations where it is asked for; the noise is kept for the way back."""
    digest = DIGEST
    size = dtype().itemsize
    stream = random.SAMPLING

    def gaussian_sampling_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = gaussian_sampling_at(op_address)
        f = frame_at(frame_address)
        key = layer_key(f.seed, stream, own.stream, f.step)
        deviation = dtype(own.deviation)
        n = op.n_out
        for t in range(op.steps):
            at_t = at_time(key, np.uint64(t))
            for r in range(first, last):
                means = row_at(f, op.x, op.ld_in, t, r, size)
                x = vector(means, dtype)  # (T, B, O)
                log_variances = vector(means + n * size, dtype)  # (T, B, O)
                y = vector(row_at(f, op.y, op.ld_out, t, r, size), dtype)  # OUT (T, B, O)
                drawn_at = row_at(f, max(own.noise, 0), op.ld_out, t, r, size)
                drawn = vector(drawn_at, dtype)  # OUT (T, B, O)
                for j in range(n):
                    y[j] = x[j]
                if own.noise < 0:
                    continue
                if deviation == 0 or t >= length_of(f, op.every, op.steps, r):
                    clear(drawn_at, n * size)
                    continue
                position = row_position(f.start + r, op.ld_out)
                for j in range(n):
                    drawn[j] = deviation_of(log_variances[j]) * noise(at_t, position + np.uint64(j), deviation)
                for j in range(n):
                    y[j] += drawn[j]

    return LAYER_KERNEL, gaussian_sampling_forward


@layer_kernel("gaussian_sampling", "backward")
def make_gaussian_sampling_backward(dtype):
    """The gradient to the means, and times half the noise to the logarithms of the variances."""
    digest = DIGEST
    size = dtype().itemsize
    half = dtype(0.5)

    def gaussian_sampling_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = gaussian_sampling_at(op_address)
        f = frame_at(frame_address)
        n = op.n_out
        for t in range(op.steps):
            for r in range(first, last):
                dy = vector(row_at(f, op.dy, op.ld_out, t, r, size), dtype)  # (T, B, O)
                drawn = vector(row_at(f, own.noise, op.ld_out, t, r, size), dtype)  # (T, B, O)
                room = room_for_gradient(op, f, t, r, size)
                by_mean = vector(room, dtype)  # OUT (O,)
                by_log_variance = vector(room + n * size, dtype)  # OUT (O,)
                for j in range(n):
                    by_mean[j] = dy[j]
                for j in range(n):
                    by_log_variance[j] = half * drawn[j] * dy[j]
                send_row(op, f, t, r, room, size, dtype)

    return LAYER_KERNEL, gaussian_sampling_backward


@register_jitable(**SUM)
def _sum_of_divergences(means, log_variances, count, zero):
    """Divergence of a row: along it, so it is the same in any batch."""
    total = zero
    for j in range(count):
        total += divergence(means[j], log_variances[j])
    return total


@layer_kernel("gaussian_divergence", "forward")
def make_gaussian_divergence_forward(dtype):
    """Add the divergence of every row to its loss."""
    digest = DIGEST
    size = dtype().itemsize
    zero = dtype(0)

    def gaussian_divergence_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = gaussian_divergence_at(op_address)
        f = frame_at(frame_address)
        losses = vector(f.losses, np.float64)  # OUT (B,)
        beta = dtype(own.beta)
        n = op.n_in // 2
        for r in range(first, last):
            total = zero
            for t in range(length_of(f, op.every_in, op.steps_in, r)):
                means = row_at(f, op.x, op.ld_in, t, r, size)  # (T, B, I)
                x = vector(means, dtype)
                log_variances = vector(means + n * size, dtype)
                total += _sum_of_divergences(x, log_variances, n, zero)
            losses[r] += loss_weight(f, r, dtype) * beta * total

    return LAYER_KERNEL, gaussian_divergence_forward


@layer_kernel("gaussian_divergence", "backward")
def make_gaussian_divergence_backward(dtype):
    """The gradient of the divergences, weighted, divided by the batch's sum of weights, and warmed up."""
    digest = DIGEST
    size = dtype().itemsize

    def gaussian_divergence_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = gaussian_divergence_at(op_address)
        f = frame_at(frame_address)
        n = op.n_in // 2
        of_batch = dtype(own.beta * f.scale * warmed_up(f.epoch, f.row, f.n_rows, own.warmup))
        for r in range(first, last):
            factor = of_batch * loss_weight(f, r, dtype)
            for t in range(op.steps_in):  # what is sent from behind the end of a sample, nobody reads
                means = row_at(f, op.x, op.ld_in, t, r, size)  # (T, B, I)
                x = vector(means, dtype)
                log_variances = vector(means + n * size, dtype)
                room = room_for_gradient(op, f, t, r, size)
                by_mean = vector(room, dtype)  # OUT (O,)
                by_log_variance = vector(room + n * size, dtype)  # OUT (O,)
                for j in range(n):
                    by_mean[j] = factor * x[j]
                for j in range(n):
                    by_log_variance[j] = factor * divergence_by_log_variance(log_variances[j])
                send_row(op, f, t, r, room, size, dtype)

    return LAYER_KERNEL, gaussian_divergence_backward
