"""Kernels that change parameters: optimizers, limits on norms.

All gradients of a step stand in one flat vector. One launch updates all parameters; what each of them is, and so which
of the penalties it has, says a vector of roles beside them.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST, digest_of, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import model_frame, model_record, op_at, vector
from skneural.maths.elementary import sqrt
from skneural.network.program import N_CONSTANTS

#: What a parameter is: none (padding, running statistics), learnt, or a weight, which is learnt and penalised.
FIXED, LEARNT, WEIGHT = range(3)

#: Blocks that measure the gradient of one layer.
MEASURING = 8


def make_sum_block(dtype):
    """A function that adds up one number of each of a block's threads, in a fixed order; all threads get the sum."""

    def sum_block(shared, value):
        t, width = cuda.threadIdx.x, cuda.blockDim.x
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

    The gradient is that of the loss; here it is clipped, and that of the penalty on weights added.
    """
    digest, update, size = digest_of(entry.formula), formula(entry.formula), dtype().itemsize
    zero, half, one, sum_block = dtype(0), dtype(0.5), dtype(1), make_sum_block(dtype)
    fixed, is_weight, n_constants = FIXED, WEIGHT, N_CONSTANTS

    def optimizer(op_address, frames, step):
        digest  # part of the cache key
        f = model_frame(frames, 1)
        p, g = vector(f.params, dtype), vector(f.gradient, dtype)  # OUT (n_params,)
        s, v = vector(f.state_s, dtype), vector(f.state_v, dtype)  # OUT (n_params,), (n_params,)
        roles, now = vector(f.roles, np.int8), vector(f.constants + f.steps_done * n_constants * size, dtype)
        c = (now[0], now[1], now[2], now[3], now[4])
        alpha, l1_ratio, scale = dtype(f.alpha), dtype(f.l1_ratio), dtype(f.scale)
        square, absolute = alpha * scale * (one - l1_ratio), alpha * scale * l1_ratio
        factor, limit = dtype(f.factor), dtype(f.clip_value)
        penalty = zero
        for j in range(cuda.grid(1), f.n_params, cuda.gridsize(1)):
            role = roles[j]
            if role != fixed:
                d, w = factor * g[j], p[j]
                d = limit if d > limit else d
                d = -limit if d < -limit else d
                shrink = zero
                if role == is_weight:
                    size_of_w = -w if w < zero else w
                    penalty += half * (one - l1_ratio) * w * w + l1_ratio * size_of_w
                    sign = absolute if w > zero else -absolute
                    d += square * w + (sign if w != zero else zero)
                    shrink = now[5]
                fresh, s[j], v[j] = update(w, d, s[j], v[j], c)
                p[j] = fresh - shrink * w
        total = sum_block(cuda.shared.array(0, dtype), penalty)
        if cuda.threadIdx.x == 0:
            vector(f.penalties, dtype)[cuda.blockIdx.x] = total  # OUT (n_slots,)

    return optimizer


def make_measure(dtype):
    """Squared gradient of a layer: a sum of each block. `step` is the number of the layer.

    The operation's `weight` and `n_in` are where the layer's parameters begin, and how many there are.
    """
    digest, zero, sum_block, fixed, measuring = DIGEST, dtype(0), make_sum_block(dtype), FIXED, MEASURING

    def measure(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        gradient, roles = vector(f.gradient, dtype), vector(f.roles, np.int8)
        total = zero
        for j in range(op.weight + cuda.grid(1), op.weight + op.n_in, cuda.gridsize(1)):
            if roles[j] != fixed:
                total += gradient[j] * gradient[j]
        total = sum_block(cuda.shared.array(0, dtype), total)
        if cuda.threadIdx.x == 0:
            vector(f.squares, dtype)[step * measuring + cuda.blockIdx.x] = total  # OUT (n_layers, MEASURING)

    return measure


def make_clip(dtype):
    """From the squared gradients of all layers their norms, and the factor that clips the whole. One thread."""
    digest, zero, measuring = DIGEST, dtype(0), MEASURING

    def clip(op_address, frames, step):
        digest  # part of the cache key
        f = model_record(frames)
        squares, everything = vector(f.squares, dtype), zero
        for layer in range(f.n_layers):
            total = zero
            for i in range(measuring):
                total += squares[layer * measuring + i]
            everything += total
            if f.layer_norms != 0:
                vector(f.layer_norms, dtype)[layer] += sqrt(total)  # OUT (n_layers,)
        norm, limit = sqrt(everything), dtype(f.clip_norm)
        if limit > zero and norm > limit:
            f.factor = limit / norm

    return clip


def make_constrain(dtype):
    """Scale down the incoming weights of every unit whose norm is too large (Srivastava et al., 2014)."""
    digest, size, zero = DIGEST, dtype().itemsize, dtype(0)

    def constrain(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        j = cuda.grid(1)
        if j < op.n_out:
            weight = vector(f.params + op.weight * size, dtype)  # OUT (I, O)
            total, limit = zero, dtype(f.max_norm)
            for i in range(op.n_in):
                total += weight[i * op.ld_out + j] * weight[i * op.ld_out + j]
            norm = sqrt(total)
            if norm > limit:
                for i in range(op.n_in):
                    weight[i * op.ld_out + j] *= limit / norm

    return constrain
