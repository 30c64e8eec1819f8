"""Kernels of batch and layer normalisation (Ioffe and Szegedy, 2015; Ba, Kiros and Hinton, 2016).

``y = activation(scale * n + shift)``, where n is x without its mean and in units of its standard deviation: down a
column of the batch, or along a row. On the way forward n replaces x.

Statistics of columns are sums over all rows of the batch. Every thread takes a share of the columns, between two
meetings, and adds up the rows in order: so they are exact and do not depend on the number of threads. Rows count by
their weights, as in the loss.

Sizes: B rows of the batch, O columns; ``ld_out`` is O padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler sqrt)
from skneural.backends.cpu.compiler import DIGEST, HELPER, STRICT
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, frame_at, op_at, vector
from skneural.backends.cpu.kernels import activate
from skneural.backends.cpu.updates import use_gradient
from skneural.maths.elementary import sqrt
from skneural.network.program import APPLY, COLLECT

#: Share of a batch in the running statistics, at the least: the first batches are averaged.
MOMENTUM = 0.1


def make_batch_norm_gather(dtype):
    """Mean and one over the deviation of this thread's columns; the running statistics follow."""
    digest, size, whole, momentum = DIGEST, dtype().itemsize, np.int64, MOMENTUM

    def batch_norm_gather(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        lines = op.ld_out * size // 64
        begin, end = f.rank * lines // f.crew * (64 // size), (f.rank + 1) * lines // f.crew * (64 // size)
        count = end - begin
        order, weights = vector(f.order, whole), vector(f.weights, dtype)
        x = f.work + (op.x * f.capacity + begin) * size  # (B, O)
        statistics = f.statistics + (op.statistics + begin) * size
        mean, deviation = vector(statistics, dtype), vector(statistics + op.ld_out * size, dtype)  # OUT (O,), (O,)
        clear(statistics, count * size)
        clear(statistics + op.ld_out * size, count * size)
        rows = 0  # that have weight
        for squares in range(2):
            for r in range(last):
                part = dtype(f.scale)
                if f.weights != 0:
                    part *= weights[order[f.start + r] if f.order != 0 else f.start + r]
                rows += part > 0 and squares == 0
                row = vector(x + r * op.ld_out * size, dtype)
                if squares == 0:
                    for j in range(count):
                        mean[j] += part * row[j]
                else:
                    for j in range(count):
                        d = row[j] - mean[j]
                        deviation[j] += part * d * d
        running = f.params + (op.weight + 2 * op.ld_out + begin) * size
        running_mean, variance = vector(running, dtype), vector(running + op.ld_out * size, dtype)  # OUT (O,), (O,)
        # A last batch of few rows counts for less, one of a single row for nothing.
        share = max(momentum, 1.0 / (f.batches + 1)) * last / min(f.batch, f.n_rows)
        fresh = dtype(share) if rows > 1 else dtype(0)
        epsilon, one = dtype(op.rate), dtype(1)
        for j in range(count):
            running_mean[j] += fresh * (mean[j] - running_mean[j])
            variance[j] += fresh * (deviation[j] - variance[j])
            deviation[j] = one / sqrt(deviation[j] + epsilon)

    return LAYER_KERNEL, batch_norm_gather


def make_batch_norm_forward(dtype):
    """Normalise rows, in training with the statistics of the batch, else with the running ones."""
    digest, size = DIGEST, dtype().itemsize

    def batch_norm_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        parameters, width = f.params + op.weight * size, op.ld_out * size
        scale, shift = vector(parameters, dtype), vector(parameters + width, dtype)
        if f.training != 0:
            mean = vector(f.statistics + op.statistics * size, dtype)
            deviation = vector(f.statistics + op.statistics * size + width, dtype)
        else:
            mean, variance = vector(parameters + 2 * width, dtype), vector(parameters + 3 * width, dtype)
            deviation = vector(f.work + op.dy * f.capacity * size, dtype)  # room that only training needs
            epsilon, one = dtype(op.rate), dtype(1)
            for j in range(op.ld_out):
                deviation[j] = one / sqrt(variance[j] + epsilon)
        for r in range(first, last):
            x = vector(f.work + (op.x * f.capacity + r * op.ld_out) * size, dtype)  # (B, O), OUT: normalised
            y = vector(f.work + (op.y * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            for j in range(op.ld_out):
                x[j] = (x[j] - mean[j]) * deviation[j]
                y[j] = scale[j] * x[j] + shift[j]
        activate(op, f, first, last, size)

    return LAYER_KERNEL, batch_norm_forward


@register_jitable(**HELPER)
def _sum_columns(op, f, target, begin, count, rows, size, dtype):
    """Sums over rows of dy * n and of dy, for `count` columns from `begin`: the gradients of scale and shift."""
    by_scale, by_shift = vector(target, dtype), vector(target + op.ld_out * size, dtype)  # OUT (O,), (O,)
    clear(target, count * size)
    clear(target + op.ld_out * size, count * size)
    for r in range(rows):
        n = vector(f.work + (op.x * f.capacity + r * op.ld_out + begin) * size, dtype)
        dy = vector(f.work + (op.dy * f.capacity + r * op.ld_out + begin) * size, dtype)
        for j in range(count):
            by_scale[j] += dy[j] * n[j]
            by_shift[j] += dy[j]


def make_batch_norm_gather_back(dtype):
    """The two sums that the way back of every row needs, of this thread's columns."""
    digest, size = DIGEST, dtype().itemsize

    def batch_norm_gather_back(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        lines = op.ld_out * size // 64
        begin, end = f.rank * lines // f.crew * (64 // size), (f.rank + 1) * lines // f.crew * (64 // size)
        sums = f.statistics + (op.statistics + 2 * op.ld_out + begin) * size
        _sum_columns(op, f, sums, begin, end - begin, last, size, dtype)

    return LAYER_KERNEL, batch_norm_gather_back


def make_batch_norm_backward(dtype):
    """``dx = scale / deviation * (dy - share * (sum(dy) + n * sum(dy * n)))``, share the row's part of the weights."""
    digest, size, whole = DIGEST, dtype().itemsize, np.int64

    def batch_norm_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        order, weights = vector(f.order, whole), vector(f.weights, dtype)
        statistics, width = f.statistics + op.statistics * size, op.ld_out * size
        scale, deviation = vector(f.params + op.weight * size, dtype), vector(statistics + width, dtype)
        by_scale, by_shift = vector(statistics + 2 * width, dtype), vector(statistics + 3 * width, dtype)
        for r in range(first, last):
            share = dtype(f.scale)
            if f.weights != 0:
                share *= weights[order[f.start + r] if f.order != 0 else f.start + r]
            n = vector(f.work + (op.x * f.capacity + r * op.ld_out) * size, dtype)  # (B, O)
            dy = vector(f.work + (op.dy * f.capacity + r * op.ld_out) * size, dtype)  # (B, O)
            dx = vector(f.work + (op.dx * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            for j in range(op.ld_out):
                dx[j] = scale[j] * deviation[j] * (dy[j] - share * (by_shift[j] + n[j] * by_scale[j]))

    return LAYER_KERNEL, batch_norm_backward


@register_jitable(**{**HELPER, "fastmath": STRICT | {"reassoc"}})
def _sum_of_products(a, b, c, count, zero):
    """Sum of ``a * b * c``: along a row, so it is the same in any batch though the compiler chooses its order."""
    total = zero
    for j in range(count):
        total += a[j] * b[j] * c[j]
    return total


@register_jitable(**{**HELPER, "fastmath": STRICT | {"reassoc"}})
def _sum_of_powers(a, centre, count, square, zero):
    """Sum of ``a - centre``, or of its squares."""
    total = zero
    for j in range(count):
        d = a[j] - centre
        total += d * d if square else d
    return total


def make_layer_norm_forward(dtype):
    """Normalise every row by its own mean and deviation."""
    digest, size = DIGEST, dtype().itemsize

    def layer_norm_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        parameters, line = f.params + op.weight * size, 64 // size
        scale, shift = vector(parameters, dtype), vector(parameters + op.ld_out * size, dtype)
        one, share, epsilon = dtype(1), dtype(1) / dtype(op.n_out), dtype(op.rate)
        for r in range(first, last):
            x = vector(f.work + (op.x * f.capacity + r * op.ld_out) * size, dtype)  # (B, O), OUT: normalised
            y = vector(f.work + (op.y * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            deviation = vector(f.work + (op.statistics * f.capacity + r * line) * size, dtype)  # OUT (B, 1)
            mean = share * _sum_of_powers(x, dtype(0), op.n_out, False, dtype(0))
            factor = one / sqrt(share * _sum_of_powers(x, mean, op.n_out, True, dtype(0)) + epsilon)
            deviation[0] = factor
            for j in range(op.n_out):
                x[j] = (x[j] - mean) * factor
            for j in range(op.ld_out):
                y[j] = scale[j] * x[j] + shift[j]
        activate(op, f, first, last, size)

    return LAYER_KERNEL, layer_norm_forward


def make_layer_norm_backward(dtype):
    """``dx = (g - mean(g) - n * mean(g * n)) / deviation`` with ``g = scale * dy``."""
    digest, size = DIGEST, dtype().itemsize

    def layer_norm_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        parameters, line, share = f.params + op.weight * size, 64 // size, dtype(1) / dtype(op.n_out)
        scale = vector(parameters, dtype)
        for r in range(first, last):
            n = vector(f.work + (op.x * f.capacity + r * op.ld_out) * size, dtype)  # (B, O)
            dy = vector(f.work + (op.dy * f.capacity + r * op.ld_out) * size, dtype)  # (B, O)
            dx = vector(f.work + (op.dx * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            factor = vector(f.work + (op.statistics * f.capacity + r * line) * size, dtype)[0]
            for j in range(op.n_out):
                dx[j] = scale[j] * dy[j]
            mean = share * _sum_of_powers(dx, dtype(0), op.n_out, False, dtype(0))
            slope = share * _sum_of_products(scale, dy, n, op.n_out, dtype(0))
            for j in range(op.n_out):
                dx[j] = factor * (dx[j] - mean - n[j] * slope)

    return LAYER_KERNEL, layer_norm_backward


def make_norm_update(dtype, batch):
    """Hand the gradients of scale and shift to the optimizer. Batch normalisation has summed them up already."""
    digest, size = DIGEST, dtype().itemsize
    collect, apply = COLLECT, APPLY

    def norm_update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        if f.rank == f.crew - 1:
            fresh = f.gradient + op.weight * size if f.phase == collect and f.done == 0 else f.scratch
            if batch and f.phase != apply:
                fresh = f.statistics + (op.statistics + 2 * op.ld_out) * size
            elif f.phase != apply:
                _sum_columns(op, f, fresh, 0, op.ld_out, last, size, dtype)
            use_gradient(f, frame_address, op.weight, 2 * op.ld_out, fresh, op.slot, 0, size, dtype)

    return LAYER_KERNEL, norm_update
