"""What changes parameters: optimizers, and what the layers' updates do with a gradient.

Updates have the signature of other kernels of layers, but work on all rows up to `last`, for the share of the
parameters that belongs to the thread. One sums the gradient of a row block of the weight matrix and applies the
optimizer while that is in the cache. A whole gradient is stored only where it comes in chunks (batches larger than
the buffers), is wanted as such (L-BFGS) or must be measured before it is used (clipping by norm).
"""

import numpy as np
from numba import types
from numba.extending import register_jitable

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler sqrt)
from skneural.backends.cpu.compiler import DIGEST, HELPER, SUM, digest_of, formula
from skneural.backends.cpu.intrinsics import (
    OPTIMIZER_KERNEL,
    call_optimizer,
    clear,
    frame_at,
    vector,
)
from skneural.backends.cpu.product import lay_out_panels, transpose_panels
from skneural.backends.cpu.rows import add_numbers
from skneural.backends.records import APPLY, COLLECT
from skneural.maths.elementary import sqrt
from skneural.maths.penalties import clip, elastic_net_gradient, lasso, ridge, shrink

for _function in (clip, elastic_net_gradient, lasso, ridge, shrink):
    formula(_function)


@register_jitable(**SUM)
def sum_of_squares(a, count, zero):
    """One of the sums whose order is left to the compiler: of a fixed row block, so the same in every run."""
    total = zero
    for j in range(count):
        total += a[j] * a[j]
    return total


@register_jitable(**SUM)
def sum_of_products(a, b, count, zero):
    """Sum of ``a * b``: along a row, so it is the same in any batch though the compiler chooses its order."""
    total = zero
    for j in range(count):
        total += a[j] * b[j]
    return total


@register_jitable(**HELPER)
def keep_within(params, count, limit, dtype):
    """Keep the size of parameters within a limit (Arjovsky, Chintala and Bottou, 2017)."""
    p = vector(params, dtype)
    for j in range(count):
        p[j] = clip(p[j], dtype(limit))


@register_jitable(**HELPER)
def use_gradient(f, frame_address, at, count, fresh, slot, weights, size, dtype):
    """Store, measure or apply the gradient of `count` parameters from `at`, as the phase has it.

    `fresh` is the address of the gradient of the chunk of the batch at hand: in the first chunk of those that are
    stored, the very place where it belongs.
    """
    stored = f.gradient + at * size
    if f.phase == COLLECT and fresh != stored:
        if f.done == 0:
            clear(stored, count * size)
        add_numbers(stored, fresh, count, dtype)
    gradient = stored if f.phase == COLLECT or f.phase == APPLY else fresh
    if f.squares != 0 and f.phase != APPLY:
        squares = sum_of_squares(vector(gradient, dtype), count, dtype(0))
        vector(f.squares, np.float64)[slot] = squares
    if f.phase != COLLECT:
        params = f.params + at * size
        state_s = f.state_s + at * size
        state_v = f.state_v + at * size
        arguments = (params, state_s, state_v, gradient, count, weights, frame_address)
        vector(f.penalties, np.float64)[slot] = call_optimizer(f.optimizer, arguments)
        if f.weight_limit > 0:
            keep_within(params, count, f.weight_limit, dtype)


@register_jitable(**HELPER)
def limit_norms(f, weights, rows, ld, count, size, dtype):
    """Scale down those of `count` columns of a matrix whose norm is too large; the factors are left in the scratch."""
    factor = vector(f.scratch, dtype)
    limit = dtype(f.max_norm)
    clear(f.scratch, count * size)
    for i in range(rows):
        weight = vector(f.params + (weights + i * ld) * size, dtype)
        for j in range(count):
            factor[j] += weight[j] * weight[j]
    for j in range(count):
        norm = sqrt(factor[j])
        factor[j] = limit / norm if norm > limit else dtype(1)
    for i in range(rows):
        weight = vector(f.params + (weights + i * ld) * size, dtype)  # OUT (rows, columns)
        for j in range(count):
            weight[j] *= factor[j]


@register_jitable(**HELPER)
def lay_out(f, weights, transposed, rows, ld, width, ld_transposed, first, count, is_wide, size, dtype):
    """Lay out rows of a matrix of weights for products, from row `first` on; in panels if it `is_wide`.

    `weights` says where the matrix of `rows` rows of `width` numbers stands among the parameters, `transposed` where
    its transpose stands, -1 for nowhere.
    """
    source = f.params + (weights + first * ld) * size
    if is_wide:
        lay_out_panels(source, ld, f.panels + weights * size, rows, first, count, 0, ld, size, dtype)
    if transposed >= 0:
        target = f.transposed + transposed * size
        transpose_panels(source, ld, width, target, ld, ld_transposed, first, count, size, dtype)


@register_jitable(**HELPER)
def lay_out_groups(f, weights, transposed, rows, ld, of_groups, ld_transposed, first, count, is_wide, size, dtype):
    """The same of matrices side by side: how many, the width of each, and the rows of each where it stands transposed.

    Panels are those of all in one matrix.
    """
    groups, width, depth = of_groups
    lay_out(f, weights, -1, rows, ld, ld, ld_transposed, first, count, is_wide, size, dtype)
    for g in range(groups):
        if transposed >= 0:
            source = f.params + (weights + first * ld + g * width) * size
            target = f.transposed + (transposed + g * depth * ld_transposed) * size
            transpose_panels(source, ld, width, target, depth, ld_transposed, first, count, size, dtype)


def make_lay_out(dtype):
    """Kernel that lays out a whole matrix of weights, or several of them side by side."""
    digest = DIGEST
    size = dtype().itemsize

    def lay_out_weights(frame_address, weights, transposed, rows, ld, groups, width, depth, ld_transposed, is_wide):
        digest  # part of the cache key
        f = frame_at(frame_address)
        of_groups = (groups, width, depth)
        lay_out_groups(
            f, weights, transposed, rows, ld, of_groups, ld_transposed, 0, rows, is_wide != 0, size, dtype
        )  # fmt: skip

    return (types.int64,) * 10, lay_out_weights


def make_optimizer(dtype, entry):
    """One step of an optimizer on a row block of parameters; returns the penalty on them as they were before.

    The gradient is that of the loss; here it is clipped, and that of the penalty on weights added.
    """
    digest = digest_of(entry.formula)
    update = formula(entry.formula)
    zero = dtype(0)

    def optimizer(params, state_s, state_v, gradients, count, weights, frame_address):
        digest  # part of the cache key
        f = frame_at(frame_address)
        p = vector(params, dtype)
        g = vector(gradients, dtype)
        s = vector(state_s, dtype)
        v = vector(state_v, dtype)
        now = vector(f.now, np.float64)
        c = (dtype(now[0]), dtype(now[1]), dtype(now[2]), dtype(now[3]), dtype(now[4]))
        decay = f.alpha * f.scale if weights != 0 else 0.0
        square = dtype(decay * (1 - f.l1_ratio))
        absolute = dtype(decay * f.l1_ratio)
        rate = dtype(now[5]) if weights != 0 else zero
        factor = dtype(f.factor)
        limit = dtype(f.clip_value)
        penalty = 0.0
        if decay != 0:
            penalty = ridge(sum_of_squares(p, count, zero), f.l1_ratio)
            if f.l1_ratio != 0:
                total = zero
                for j in range(count):
                    total += abs(p[j])
                penalty += lasso(total, f.l1_ratio)
        for j in range(count):
            w = p[j]
            d = clip(factor * g[j], limit) + elastic_net_gradient(w, square, absolute)
            updated, s[j], v[j] = update(w, d, s[j], v[j], c)
            p[j] = shrink(updated, w, rate)
        return penalty

    return OPTIMIZER_KERNEL, optimizer, types.float64
