"""Kernels of the layers: ``<layer>_forward`` and ``<layer>_backward``, and ``update`` for the parameters.

All have one signature, ``(op, frame, first, last)``: the addresses of the operation and of the thread's frame, and
the rows of the batch. Forward and backward work on the rows `first` to `last` alone. An update sums over all rows up
to `last`, for the share of the parameters that belongs to the thread, and applies the optimizer to a strip of rows of
the weight matrix while the strip is in cache. A whole gradient is stored only where it comes in pieces (batches larger
than the buffers) or is wanted as such (L-BFGS).

Sizes: B rows of the batch, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np
from numba import types
from numba.extending import register_jitable

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler exp and its kin)
from skneural.backends.cpu.compiler import DIGEST, HELPER, STRICT, digest_of, formula
from skneural.backends.cpu.intrinsics import (
    ACTIVATION_KERNEL,
    LAYER_KERNEL,
    OPTIMIZER_KERNEL,
    call_activation,
    call_optimizer,
    call_product,
    clear,
    frame_at,
    op_at,
    prefetch,
    row,
    vector,
)
from skneural.maths import random
from skneural.maths.elementary import exp
from skneural.network.program import APPLY, COLLECT

#: How many rows ahead `input_forward` asks for.
AHEAD = 6

for _function in (random.mix, random.key, random.bits):
    formula(_function)


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
def _activate(op, f, first, last, size):
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
        weight, bias = f.params + op.weight * size, f.params + op.bias * size  # (I, O), (O,)
        y = f.work + (op.y * f.capacity + first * op.ld_out) * size  # OUT (B, O)
        call_product(
            f.product,
            (x, op.ld_in, 1, weight, op.ld_out, y, op.ld_out, last - first, op.ld_out, op.n_in, bias, 0, f.panel),
        )
        _activate(op, f, first, last, size)

    return LAYER_KERNEL, dense_forward


def make_sparse_dense_forward(dtype):
    """`dense_forward` for CSR rows: the same sums in the same order, without the terms that are 0."""
    digest, size, whole = DIGEST, dtype().itemsize, np.int64

    def sparse_dense_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        order, indptr, indices = vector(f.order, whole), vector(f.indptr, whole), vector(f.indices, whole)
        values, bias = vector(f.inputs, dtype), vector(f.params + op.bias * size, dtype)
        for r in range(first, last):
            y = vector(f.work + (op.y * f.capacity + r * op.ld_out) * size, dtype)  # OUT (B, O)
            for j in range(op.ld_out):
                y[j] = bias[j]
            i = order[f.start + r] if f.order != 0 else f.start + r
            for k in range(indptr[i], indptr[i + 1]):
                x, weight = values[k], vector(f.params + (op.weight + indices[k] * op.ld_out) * size, dtype)
                for j in range(op.ld_out):
                    y[j] += x * weight[j]
        _activate(op, f, first, last, size)

    return LAYER_KERNEL, sparse_dense_forward


def make_dense_backward(dtype):
    """``dx = (dy @ weight.T) * dx``: dx holds the slope that the layer before left there."""
    digest, size = DIGEST, dtype().itemsize

    def dense_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        dy = f.work + (op.dy * f.capacity + first * op.ld_out) * size  # (B, O)
        turned = f.transposed + op.transposed * size  # (O, I)
        dx = f.work + (op.dx * f.capacity + first * op.ld_in) * size  # OUT (B, I)
        call_product(
            f.product,
            (dy, op.ld_out, 1, turned, op.ld_in, dx, op.ld_in, last - first, op.ld_in, op.n_out, 0, 1, f.panel),
        )

    return LAYER_KERNEL, dense_backward


@register_jitable(**HELPER)
def _apply(op, f, frame_address, at, rows, gradient, decay, size):
    """Use the gradient of `rows` rows of parameters that begin at `at`; return the sum of their squares before."""
    where, count = at * size, rows * op.ld_out
    return call_optimizer(
        f.optimizer,
        (f.params + where, f.state_s + where, f.state_v + where, gradient, count, decay, frame_address),
    )


@register_jitable(**HELPER)
def _add(target, source, count, dtype):
    """``target += source`` at two addresses."""
    a, b = vector(target, dtype), vector(source, dtype)
    for j in range(count):
        a[j] += b[j]


@register_jitable(**HELPER)
def _sparse_gradient(op, f, i, rows, last, tile, size, dtype, whole):
    """Gradient of `rows` rows of the weights, from row `i`, where x is a CSR matrix."""
    order, indptr, indices = vector(f.order, whole), vector(f.indptr, whole), vector(f.indices, whole)
    values = vector(f.inputs, dtype)
    clear(tile, rows * op.ld_out * size)
    for r in range(last):
        n = order[f.start + r] if f.order != 0 else f.start + r
        low, high = indptr[n], indptr[n + 1]
        end = high
        while low < high:  # first entry of a column from i on
            middle = (low + high) // 2
            if indices[middle] < i:
                low = middle + 1
            else:
                high = middle
        dy = vector(f.work + (op.dy * f.capacity + r * op.ld_out) * size, dtype)
        while low < end and indices[low] < i + rows:
            x, out = values[low], vector(tile + (indices[low] - i) * op.ld_out * size, dtype)
            for j in range(op.ld_out):
                out[j] += x * dy[j]
            low += 1


def make_update(dtype, sparse):
    """Gradients ``x.T @ dy`` and ``sum(dy)`` over the batch, handed to the optimizer strip by strip."""
    digest, size, whole = DIGEST, dtype().itemsize, np.int64
    collect, apply = COLLECT, APPLY

    def update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        x = f.work + op.x * f.capacity * size  # (B, I)
        dy = f.work + op.dy * f.capacity * size  # (B, O)
        penalties = vector(f.penalties, np.float64)
        strips = (op.n_in + f.strip - 1) // f.strip
        for s in range(f.rank * strips // f.crew, (f.rank + 1) * strips // f.crew):
            i = s * f.strip
            rows = min(f.strip, op.n_in - i)
            at = op.weight + i * op.ld_out
            whole_gradient = f.gradient + at * size
            if f.phase == apply:
                pass
            elif sparse:
                _sparse_gradient(op, f, i, rows, last, f.scratch, size, dtype, whole)
            else:
                call_product(
                    f.product, (x + i * size, 1, op.ld_in, dy, op.ld_out, f.scratch, op.ld_out, rows, op.ld_out, last,
                    0, 0, f.panel),
                )  # fmt: skip
            if f.phase == collect:
                _add(whole_gradient, f.scratch, rows * op.ld_out, dtype)
            else:
                gradient = whole_gradient if f.phase == apply else f.scratch
                penalties[op.penalty + s] = _apply(op, f, frame_address, at, rows, gradient, f.alpha * f.scale, size)
                if f.phase == apply:
                    clear(whole_gradient, rows * op.ld_out * size)
                if op.transposed >= 0:
                    for j in range(op.n_out):
                        turned = vector(f.transposed + (op.transposed + j * op.ld_in + i) * size, dtype)
                        column = vector(f.params + (at + j) * size, dtype)
                        for k in range(rows):
                            turned[k] = column[k * op.ld_out]
        if f.rank == f.crew - 1:  # the one with the fewest strips, if any has fewer
            _update_bias(op, f, frame_address, dy, last, collect, apply, size, dtype)

    return LAYER_KERNEL, update


@register_jitable(**HELPER)
def _update_bias(op, f, frame_address, dy, last, collect, apply, size, dtype):
    whole_gradient = f.gradient + op.bias * size
    if f.phase != apply:
        clear(f.scratch, op.ld_out * size)
        for r in range(last):
            _add(f.scratch, dy + r * op.ld_out * size, op.ld_out, dtype)
    if f.phase == collect:
        _add(whole_gradient, f.scratch, op.ld_out, dtype)
    else:
        _apply(op, f, frame_address, op.bias, 1, whole_gradient if f.phase == apply else f.scratch, 0.0, size)
        if f.phase == apply:
            clear(whole_gradient, op.ld_out * size)


def make_dropout_forward(dtype):
    """Zero numbers of y, and the slopes in dy with them, so that the way back needs nothing; scale up the rest."""
    digest, size = DIGEST, dtype().itemsize
    key, bits, dropout = random.key, random.bits, random.DROPOUT

    def dropout_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        k = key(np.uint64(f.seed), np.uint64(dropout + 16 * op.stream), np.uint64(f.step))
        limit = np.uint32(op.rate * 4294967296.0)
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


def no_exponent(raw, out):
    """For losses and links that want no exponentials beforehand."""


def make_loss_forward(dtype, entry):
    """Loss of every row, and its gradient by the outputs, weighted and divided by the batch's sum of weights."""
    size, whole, exponentials = dtype().itemsize, np.int64, entry.exponent is not None
    loss, exponent = formula(entry.formula), formula(entry.exponent or no_exponent)
    digest = digest_of(loss, exponent)

    def loss_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        order, weights, losses = vector(f.order, whole), vector(f.weights, dtype), vector(f.losses, np.float64)
        if exponentials:
            for r in range(first, last):
                raw = row(f.work + (op.x * f.capacity + r * op.ld_in) * size, dtype, op.n_in)  # (B, I)
                exponent(raw, vector(f.work + (op.dx * f.capacity + r * op.ld_in) * size, dtype))
            flat = vector(f.work + (op.dx * f.capacity + first * op.ld_in) * size, dtype)
            for j in range((last - first) * op.ld_in):
                flat[j] = exp(flat[j])
        for r in range(first, last):
            i = order[f.start + r] if f.order != 0 else f.start + r
            raw = row(f.work + (op.x * f.capacity + r * op.ld_in) * size, dtype, op.n_in)  # (B, I)
            dx = vector(f.work + (op.dx * f.capacity + r * op.ld_in) * size, dtype)  # OUT (B, I)
            target = vector(f.targets + i * f.n_targets * size, dtype)
            weight = weights[i] if f.weights != 0 else dtype(1)
            losses[r] = weight * loss(raw, target, dx)
            factor = weight * dtype(f.scale)
            for j in range(op.n_in):
                dx[j] *= factor
            if exponentials:
                for j in range(op.n_in, op.ld_in):  # the padding must have no gradient
                    dx[j] = 0

    return LAYER_KERNEL, loss_forward


def make_output_forward(dtype, entry):
    """Outputs of every row through the output activation, into an array of their own."""
    size, exponentials = dtype().itemsize, entry.exponent is not None
    link, exponent = formula(entry.formula), formula(entry.exponent or no_exponent)
    digest = digest_of(link, exponent)

    def output_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        outputs = f.outputs + f.start * op.n_in * size
        for r in range(first, last):
            raw = row(f.work + (op.x * f.capacity + r * op.ld_in) * size, dtype, op.n_in)  # (B, I)
            out = vector(outputs + r * op.n_in * size, dtype)  # OUT (n_rows, I)
            if exponentials:
                exponent(raw, out)
            else:
                for j in range(op.n_in):
                    out[j] = raw[j]
        if exponentials:
            flat = vector(outputs + first * op.n_in * size, dtype)
            for j in range((last - first) * op.n_in):
                flat[j] = exp(flat[j])
        for r in range(first, last):
            link(row(outputs + r * op.n_in * size, dtype, op.n_in))

    return LAYER_KERNEL, output_forward


def make_activation(dtype, entry):
    """Replace numbers by their activation; write the slopes too if there is a place for them."""
    digest, value_and_slope = digest_of(entry.formula), formula(entry.formula)

    def activation(values, slopes, count):
        digest  # part of the cache key
        a = vector(values, dtype)
        if slopes == 0:
            for j in range(count):
                a[j] = value_and_slope(a[j])[0]
        else:
            slope = vector(slopes, dtype)
            for j in range(count):
                a[j], slope[j] = value_and_slope(a[j])

    return ACTIVATION_KERNEL, activation


@register_jitable(**{**HELPER, "fastmath": STRICT | {"reassoc"}})
def _sum_of_squares(a, count, zero):
    """The one sum whose order is left to the compiler: of a fixed strip, so the same in every run."""
    total = zero
    for j in range(count):
        total += a[j] * a[j]
    return total


def make_optimizer(dtype, entry):
    """One step of an optimizer on a strip of parameters; returns their sum of squares before, if there is a decay."""
    digest, update = digest_of(entry.formula), formula(entry.formula)

    def optimizer(params, state_s, state_v, gradients, count, decay, frame_address):
        digest  # part of the cache key
        f = frame_at(frame_address)
        p, g = vector(params, dtype), vector(gradients, dtype)
        s, v = vector(state_s, dtype), vector(state_v, dtype)
        rate, weight_decay = dtype(f.rate), dtype(decay)
        hyper = (dtype(f.hyper_0), dtype(f.hyper_1), dtype(f.hyper_2))
        squares = _sum_of_squares(p, count, dtype(0)) if decay != 0 else dtype(0)
        for j in range(count):
            p[j], s[j], v[j] = update(p[j], g[j] + weight_decay * p[j], s[j], v[j], rate, hyper)
        return np.float64(squares)

    return OPTIMIZER_KERNEL, optimizer, types.float64
