"""Kernels that change parameters: gradients summed over the batch, optimizers, limits on norms.

The layer kernels here have the signature of those in `kernels`, but work on all rows up to `last`, for the share of
the parameters that belongs to the thread. An update sums the gradient of a strip of rows of the weight matrix and
applies the optimizer while the strip is in cache. A whole gradient is stored only where it comes in pieces (batches
larger than the buffers), is wanted as such (L-BFGS) or must be measured before it is used (clipping by norm).

Sizes: B rows of the batch, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np
from numba import types
from numba.extending import register_jitable

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler sqrt)
from skneural.backends.cpu.compiler import DIGEST, HELPER, STRICT, digest_of, formula
from skneural.backends.cpu.intrinsics import (
    LAYER_KERNEL,
    OPTIMIZER_KERNEL,
    call_optimizer,
    call_product,
    clear,
    frame_at,
    op_at,
    transpose_block,
    vector,
)
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.maths.elementary import sqrt
from skneural.network.program import APPLY, COLLECT


@register_jitable(**{**HELPER, "fastmath": STRICT | {"reassoc"}})
def sum_of_squares(a, count, zero):
    """One of the sums whose order is left to the compiler: of a fixed strip, so the same in every run."""
    total = zero
    for j in range(count):
        total += a[j] * a[j]
    return total


@register_jitable(**HELPER)
def add_numbers(target, source, count, dtype):
    """``target += source`` at two addresses."""
    a, b = vector(target, dtype), vector(source, dtype)
    for j in range(count):
        a[j] += b[j]


@register_jitable(**HELPER)
def use_gradient(f, frame_address, at, count, fresh, slot, weights, size, dtype):
    """Store, measure or apply the gradient of `count` parameters from `at`, as the phase has it.

    `fresh` is the address of the gradient of the piece of the batch at hand: in the first piece of those that are
    stored, the very place where it belongs.
    """
    stored = f.gradient + at * size
    if f.phase == COLLECT and fresh != stored:
        if f.done == 0:
            clear(stored, count * size)
        add_numbers(stored, fresh, count, dtype)
    gradient = fresh if f.phase != COLLECT and f.phase != APPLY else stored
    if f.squares != 0 and f.phase != APPLY:
        vector(f.squares, np.float64)[slot] = sum_of_squares(vector(gradient, dtype), count, dtype(0))
    if f.phase != COLLECT:
        where = at * size
        penalty = call_optimizer(
            f.optimizer,
            (f.params + where, f.state_s + where, f.state_v + where, gradient, count, weights, frame_address),
        )
        vector(f.penalties, np.float64)[slot] = penalty


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


@register_jitable(**HELPER)
def transpose_rows(source, ld_source, width, target, ld_target, rows, dtype, lanes, size):
    """Transpose some rows of weights, `width` numbers each, block by block."""
    for j in range(0, width, lanes):
        for k in range(0, rows, lanes):
            block, turned = source + (k * ld_source + j) * size, target + (j * ld_target + k) * size
            transpose_block(dtype, block, ld_source, turned, ld_target, min(rows - k, lanes))


def make_update(dtype, sparse):
    """Gradients ``x.T @ dy`` and ``sum(dy)`` over the batch, handed to the optimizer strip by strip."""
    digest, size, whole = DIGEST, dtype().itemsize, np.int64
    collect, apply, lanes = COLLECT, APPLY, INSTRUCTION_SET.vector_bytes // size

    def update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        x = f.work + op.x * f.capacity * size  # (B, I)
        dy = f.work + op.dy * f.capacity * size  # (B, O)
        direct = f.phase == collect and f.done == 0  # the first piece is summed where it is stored
        strips = (op.n_in + f.strip - 1) // f.strip
        for s in range(f.rank * strips // f.crew, (f.rank + 1) * strips // f.crew):
            i = s * f.strip
            rows = min(f.strip, op.n_in - i)
            at = op.weight + i * op.ld_out
            tile = f.gradient + at * size if direct else f.scratch
            if f.phase == apply:
                pass
            elif sparse:
                _sparse_gradient(op, f, i, rows, last, tile, size, dtype, whole)
            else:
                call_product(
                    f.product, (x + i * size, 1, op.ld_in, dy, op.ld_out, tile, op.ld_out, rows, op.ld_out, last,
                    0, 0, 0, f.panel),
                )  # fmt: skip
            use_gradient(f, frame_address, at, rows * op.ld_out, tile, op.slot + s, 1, size, dtype)
            if op.transposed >= 0 and f.phase != collect:
                turned = f.transposed + (op.transposed + i) * size
                transpose_rows(f.params + at * size, op.ld_out, op.ld_out, turned, op.ld_in, rows, dtype, lanes, size)
        if f.rank == f.crew - 1 and op.bias >= 0:  # the one with the fewest strips, if any has fewer
            tile = f.gradient + op.bias * size if direct else f.scratch
            if f.phase != apply:
                clear(tile, op.ld_out * size)
                for r in range(last):
                    add_numbers(tile, dy + r * op.ld_out * size, op.ld_out, dtype)
            use_gradient(f, frame_address, op.bias, op.ld_out, tile, op.slot + strips, 0, size, dtype)

    return LAYER_KERNEL, update


def make_constrain(dtype):
    """Scale down the incoming weights of every unit whose norm is too large (Srivastava et al., 2014)."""
    digest, size = DIGEST, dtype().itemsize

    def constrain(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        lines = op.ld_out * size // 64
        begin, end = f.rank * lines // f.crew * (64 // size), (f.rank + 1) * lines // f.crew * (64 // size)
        factor, count, limit = vector(f.scratch, dtype), end - begin, dtype(f.max_norm)
        clear(f.scratch, count * size)
        for i in range(op.n_in):
            weight = vector(f.params + (op.weight + i * op.ld_out + begin) * size, dtype)
            for j in range(count):
                factor[j] += weight[j] * weight[j]
        for j in range(count):
            norm = sqrt(factor[j])
            factor[j] = limit / norm if norm > limit else dtype(1)
        for i in range(op.n_in):
            weight = vector(f.params + (op.weight + i * op.ld_out + begin) * size, dtype)  # OUT (I, O)
            for j in range(count):
                weight[j] *= factor[j]
        if op.transposed >= 0:
            for j in range(min(count, op.n_out - begin)):
                turned = vector(f.transposed + (op.transposed + (begin + j) * op.ld_in) * size, dtype)  # OUT (O, I)
                for i in range(op.n_in):
                    turned[i] *= factor[j]

    return LAYER_KERNEL, constrain


def make_optimizer(dtype, entry):
    """One step of an optimizer on a strip of parameters; returns the penalty on them as they were before.

    The gradient is that of the loss; here it is clipped, and that of the penalty on weights added.
    """
    digest, update = digest_of(entry.formula), formula(entry.formula)

    def optimizer(params, state_s, state_v, gradients, count, weights, frame_address):
        digest  # part of the cache key
        f = frame_at(frame_address)
        p, g = vector(params, dtype), vector(gradients, dtype)
        s, v = vector(state_s, dtype), vector(state_v, dtype)
        now, zero = vector(f.now, np.float64), dtype(0)
        c = (dtype(now[0]), dtype(now[1]), dtype(now[2]), dtype(now[3]), dtype(now[4]))
        decay = f.alpha * f.scale if weights != 0 else 0.0
        square, absolute = dtype(decay * (1 - f.l1_ratio)), dtype(decay * f.l1_ratio)
        shrink = dtype(now[5]) if weights != 0 else zero
        factor, limit = dtype(f.factor), dtype(f.clip_value)
        penalty = 0.0
        if decay != 0:
            penalty = 0.5 * (1 - f.l1_ratio) * sum_of_squares(p, count, zero)
            if f.l1_ratio != 0:
                total = zero
                for j in range(count):
                    total += abs(p[j])
                penalty += f.l1_ratio * total
        for j in range(count):
            d, w = factor * g[j], p[j]
            d = limit if d > limit else d
            d = -limit if d < -limit else d
            sign = absolute if w > zero else -absolute
            d += square * w + (sign if w != zero else zero)
            fresh, s[j], v[j] = update(w, d, s[j], v[j], c)
            p[j] = fresh - shrink * w
        return penalty

    return OPTIMIZER_KERNEL, optimizer, types.float64
