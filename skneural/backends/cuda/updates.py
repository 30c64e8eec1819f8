"""Kernels that change parameters: optimizers, limits on norms.

All gradients of a step stand in one flat vector. One launch updates all parameters; what each of them is, and so which
of the penalties it has, says a vector of roles beside them.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST, digest_of, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import model_frame, model_record, vector
from skneural.maths.elementary import sqrt
from skneural.maths.penalties import clip, elastic_net_gradient, lasso, ridge, shrink

for _function in (clip, elastic_net_gradient, lasso, ridge, shrink):
    formula(_function)

#: What a parameter is: none (padding, running statistics), learnt, or a weight, which is learnt and penalised.
FIXED, LEARNT, WEIGHT = range(3)

#: Blocks that measure the gradient of one layer.
MEASURING = 8


def make_sum_block(dtype):
    """A function that adds up one number of each of a block's threads, in a fixed order; all threads get the sum."""

    def sum_block(shared, value):
        t = cuda.threadIdx.x
        width = cuda.blockDim.x
        cuda.syncthreads()
        shared[t] = value
        cuda.syncthreads()
        while width > 1:
            half = (width + 1) // 2
            if t < width - half:
                shared[t] += shared[t + half]
            cuda.syncthreads()
            width = half
        return shared[0]

    return register(sum_block)


def make_optimizer(dtype, entry):
    """One step of an optimizer on all parameters; the penalty of each block's, as they were before.

    `address` is that of the roles: a pass that updates some parameters alone has roles of its own, and slots for the
    penalties from `step` on. With a limit on their size parameters are moved within it.

    The gradient is that of the loss; here it is clipped, and that of the penalty on weights added.
    """
    digest = digest_of(entry.formula)
    update = formula(entry.formula)
    zero = dtype(0)
    one = dtype(1)
    sum_block = make_sum_block(dtype)
    fixed = FIXED
    is_weight = WEIGHT

    def optimizer(address, frames, step):
        digest  # part of the cache key
        f = model_frame(frames, 1)
        p = vector(f.params, dtype)  # OUT (n_params,)
        g = vector(f.gradient, dtype)
        s = vector(f.state_s, dtype)  # OUT (n_params,), (n_params,)
        v = vector(f.state_v, dtype)
        roles = vector(address, np.int8)
        now = vector(f.now, dtype)
        c = (now[0], now[1], now[2], now[3], now[4])
        alpha = dtype(f.alpha)
        l1_ratio = dtype(f.l1_ratio)
        scale = dtype(f.scale)
        square = alpha * scale * (one - l1_ratio)
        absolute = alpha * scale * l1_ratio
        factor = dtype(f.factor)
        limit = dtype(f.clip_value)
        largest = dtype(f.weight_limit)
        penalty = zero
        for j in range(cuda.grid(1), f.n_params, cuda.gridsize(1)):
            role = roles[j]
            if role != fixed:
                w = p[j]
                d = clip(factor * g[j], limit)
                rate = zero
                if role == is_weight:
                    penalty += ridge(w * w, l1_ratio) + lasso(-w if w < zero else w, l1_ratio)
                    d += elastic_net_gradient(w, square, absolute)
                    rate = now[5]
                updated, s[j], v[j] = update(w, d, s[j], v[j], c)
                updated = shrink(updated, w, rate)
                p[j] = clip(updated, largest) if largest > zero else updated
        total = sum_block(cuda.shared.array(0, dtype), penalty)
        if cuda.threadIdx.x == 0:
            vector(f.penalties, dtype)[step + cuda.blockIdx.x] = total  # OUT (n_slots,)

    return optimizer


def make_measure(dtype):
    """Squared gradient of a layer: a sum of each block.

    `address` is that of four numbers: where parameters of the layer begin and end, which layer it is, and whether there
    was a range of that layer before.
    """
    digest = DIGEST
    zero = dtype(0)
    sum_block = make_sum_block(dtype)
    fixed = FIXED
    measuring = MEASURING

    def measure(address, frames, step):
        digest  # part of the cache key
        where = vector(address, np.int64)
        f = model_frame(frames, 1)
        gradient = vector(f.gradient, dtype)
        roles = vector(f.roles, np.int8)
        total = zero
        for j in range(where[0] + cuda.grid(1), where[1], cuda.gridsize(1)):
            if roles[j] != fixed:
                total += gradient[j] * gradient[j]
        total = sum_block(cuda.shared.array(0, dtype), total)
        if cuda.threadIdx.x == 0:
            squares = vector(f.squares, dtype)  # OUT (n_layers, MEASURING)
            at = where[2] * measuring + cuda.blockIdx.x
            squares[at] = squares[at] + total if where[3] != 0 else total

    return measure


def make_clip(dtype):
    """From the squared gradients of layers their norms, and the factor that clips the whole. One thread.

    There are `step` layers, whose numbers stand at `address`. The norm of the whole is left behind all squares.
    """
    digest = DIGEST
    zero = dtype(0)
    measuring = MEASURING

    def clip(address, frames, step):
        digest  # part of the cache key
        layers = vector(address, np.int64)
        f = model_record(frames)
        squares = vector(f.squares, dtype)  # OUT: the last number
        everything = zero
        for number in range(step):
            layer = layers[number]
            total = zero
            for i in range(measuring):
                total += squares[layer * measuring + i]
            everything += total
            if f.layer_norms != 0:
                vector(f.layer_norms, dtype)[layer] += sqrt(total)  # OUT (n_layers,)
        norm = sqrt(everything)
        squares[f.n_layers * measuring] = norm
        limit = dtype(f.clip_norm)
        if limit > zero and norm > limit:
            f.factor = limit / norm

    return clip
