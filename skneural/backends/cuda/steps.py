"""Kernels between the layers: where the run stands. They do on the device what the CPU's walker does between kernels.

Each is one block a model, or a single thread. Here alone is arithmetic in double precision: sums over an epoch.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import model_frame, model_record, vector
from skneural.backends.cuda.rows import mixed_weight
from skneural.backends.cuda.updates import make_sum_block
from skneural.maths import random
from skneural.maths.stopping import count_epoch, end_batch, end_epoch

for _function in (count_epoch, end_batch, end_epoch):
    formula(_function)


def make_keep_parameters(dtype):
    """Copy the parameters: whether they are the best is known when the epoch that begins with them has ended."""
    digest = DIGEST

    def keep_parameters(op_address, frames, step):
        digest  # part of the cache key
        f = model_frame(frames, 1)
        params = vector(f.params, dtype)  # OUT: snapshot
        snapshot = vector(f.snapshot, dtype)
        for j in range(cuda.grid(1), f.n_params, cuda.gridsize(1)):
            snapshot[j] = params[j]

    return keep_parameters


def make_shuffle():
    """A random order of the rows (Fisher and Yates), the one that the CPU draws.

    Its exchanges, one for every row from the last to the second, depend on one another only where they share a place.
    So as many as a block has threads are tried at once: each reserves its two places for itself, unless one that comes
    before it wants them, and those that have both are done (Shun et al., "Sequential random permutation, list
    contraction and tree contraction are highly parallel", SODA 2015).
    """
    digest = DIGEST
    bits = random.bits
    stream = random.ORDER
    key_of = random.key

    def shuffle(op_address, frames, step):
        digest  # part of the cache key
        f = model_frame(frames, 1)
        order = vector(f.order, np.int64)  # OUT: order
        reserved = vector(f.scratch, np.int64)
        key = key_of(np.uint64(f.seed), np.uint64(stream), np.uint64(f.epoch))
        t = cuda.threadIdx.x
        threads = 0
        threads += cuda.blockDim.x
        for i in range(t, f.n_rows, threads):
            order[i] = i
            reserved[i] = 0
        cuda.syncthreads()
        for top in range(f.n_rows - 1, 0, -threads):
            i = top - t
            waits = i > 0
            i = max(i, 0)
            j = np.int64((bits(key, np.uint64(i)) * np.uint64(i + 1)) >> np.uint64(32))
            while cuda.syncthreads_or(np.int32(waits)):
                if waits:
                    cuda.atomic.max(reserved, i, i)
                    cuda.atomic.max(reserved, j, i)
                cuda.syncthreads()
                mine = waits and reserved[i] == i and reserved[j] == i
                cuda.syncthreads()
                if waits:
                    reserved[i] = 0
                    reserved[j] = 0
                if mine:
                    order[i], order[j] = order[j], order[i]
                    waits = False

    return shuffle


def make_begin(dtype, scaled, mixes):
    """A function that begins chunk `step` of the next batch: its rows, and with the first the batch's sum of weights.

    Without `scaled` the gradient is that of the sum of the losses. Weights are mixed as samples are.
    """
    zero = dtype(0)
    sum_block = make_sum_block(dtype)

    def begin(f, step, row, shared):
        rows = max(min(f.batch, f.n_rows - row), 0)
        weight = zero
        if scaled and step == 0 and f.weights != 0:
            order = vector(f.order, np.int64)
            weights = vector(f.weights, dtype)
            for r in range(row + cuda.threadIdx.x, row + rows, cuda.blockDim.x):
                if mixes:
                    weight += dtype(mixed_weight(f, r, dtype))
                else:
                    weight += weights[order[r] if f.order != 0 else r]
            weight = sum_block(shared, weight)
        else:
            weight = dtype(rows)
        if cuda.threadIdx.x == 0:
            if scaled and step == 0:
                f.scale = 1.0 / weight if weight > zero else 0.0
                f.factor = 1.0
            f.done = step * f.capacity
            f.start = row + f.done
            f.chunk = max(min(f.capacity, rows - f.done), 0)

    return register(begin)


def make_step_begin(dtype, scaled, mixes):
    """Begin chunk `step` of a batch: the first of an epoch, and all but the first of others."""
    digest = DIGEST
    begin = make_begin(dtype, scaled, mixes)

    def step_begin(op_address, frames, step):
        digest  # part of the cache key
        f = model_record(frames)
        begin(f, step, f.row, cuda.shared.array(0, dtype))

    return step_begin


def make_step_end(dtype, mixes):
    """Add the losses of the batch and the penalty to those of the epoch; begin the next batch."""
    digest = DIGEST
    zero = dtype(0)
    sum_block = make_sum_block(dtype)
    begin = make_begin(dtype, True, mixes)

    def step_end(op_address, frames, step):
        digest  # part of the cache key
        f = model_record(frames)
        t = cuda.threadIdx.x
        shared = cuda.shared.array(0, dtype)
        row = f.row
        rows = min(f.batch, f.n_rows - f.row)
        losses = vector(f.losses, dtype)
        penalties = vector(f.penalties, dtype)
        loss = zero
        penalty = zero
        for r in range(t, rows, cuda.blockDim.x):
            loss += losses[r]
        for slot in range(t, f.n_slots, cuda.blockDim.x):
            penalty += penalties[slot]
        loss = sum_block(shared, loss)
        penalty = sum_block(shared, penalty)
        if t == 0:
            end_batch(f, loss, f.alpha * penalty, rows)
        cuda.syncthreads()  # shares of the next batch are drawn by its step
        begin(f, 0, row + rows, shared)

    return step_end


def make_epoch_end(dtype):
    """The loss of the epoch, which stays in `sum_loss`, and what the stopping rule makes of it. One thread."""
    digest = DIGEST

    def epoch_end(op_address, frames, step):
        digest  # part of the cache key
        f = model_record(frames)
        f.sum_loss = end_epoch(f)
        f.steps_done = 0

    return epoch_end
