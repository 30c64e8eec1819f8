"""Kernels between the layers: where the run stands. They do on the device what the CPU's walker does between kernels.

Each is one block a model, or a single thread, but for those that copy or average parameters. Here alone is arithmetic
in double precision: sums over an epoch, and the share of an average.
"""

import numpy as np

from skneural.backends.cuda.compiler import DIGEST, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import FRAME_SIZE, model_frame, model_record, pass_at, vector
from skneural.backends.cuda.rows import mixed_weight
from skneural.backends.cuda.updates import MEASURING, make_sum_block
from skneural.backends.records import N_CONSTANTS, NOTES, PASS, SOURCE
from skneural.maths import random
from skneural.maths.averaging import average_share
from skneural.maths.stopping import add_loss, count_epoch, end_batch, end_epoch

for _function in (average_share, add_loss, count_epoch, end_batch, end_epoch):
    formula(_function)

_PASS_SIZE = PASS.itemsize
_NOTES_SIZE = 8 * len(NOTES)
_LOSS, _HITS, _ROWS, _NORM, _RUNS = range(len(NOTES))
_OF_SOURCE = [name for name, _ in SOURCE]


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


@register
def rows_of_batch(f, row):
    """How many rows the batch has that begins with one; after the last row none."""
    return max(min(f.batch, f.n_rows - row), 0)


@register
def constants_at(f, number, size):
    """Where the constants of the optimizer stand, of a pass of this step."""
    return f.constants + (f.steps_done * f.n_passes + number) * N_CONSTANTS * size


def make_begin(dtype, scaled, mixes):
    """A function that begins chunk `step` of the next batch: its rows, and with the first the batch's sum of weights.

    Without `scaled` the gradient is that of the sum of the losses. Weights are mixed as samples are.
    """
    zero = dtype(0)
    size = dtype().itemsize
    sum_block = make_sum_block(dtype)

    def begin(f, step, row, shared):
        rows = rows_of_batch(f, row)
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
                f.now = constants_at(f, 0, size)
            if step == 0:
                f.done = 0
                f.start = row
            else:  # not counted from 0: a pass before may have gathered gradients
                f.done += f.capacity
                f.start += f.capacity
            f.chunk = max(min(f.capacity, row + rows - f.start), 0)

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


def make_pass_begin(dtype):
    """Begin the first chunk of a pass, whose record is at `address`. One thread.

    So many passes before it as `step` says have gathered gradients, which it adds to.
    """
    digest = DIGEST
    size = dtype().itemsize
    pass_size = _PASS_SIZE
    notes_size = _NOTES_SIZE
    n_source = len(_OF_SOURCE)
    inputs = _OF_SOURCE.index("inputs")
    window = _OF_SOURCE.index("window")

    def pass_begin(address, frames, step):
        digest  # part of the cache key
        part = pass_at(address)
        f = model_record(frames)
        if part.source != 0:
            numbers = vector(frames + cuda.blockIdx.z * FRAME_SIZE, np.int64)  # OUT: what of the frame is a source
            source = vector(part.source, np.int64)
            is_streamed = f.window >= 0  # then rows stand where `streaming` has said last
            for i in range(n_source):
                if not is_streamed or (i != inputs and i != window):
                    numbers[i] = source[i]
        number = (address - f.passes) // pass_size
        rows = rows_of_batch(f, f.row)
        f.factor = 1.0
        f.weight_limit = part.weight_limit
        f.spectral_norm = part.spectral_norm
        f.now = constants_at(f, number, size)
        f.noted = f.notes + number * notes_size if f.notes != 0 else 0
        f.done = step * rows
        f.start = f.row
        f.chunk = min(f.capacity, rows)

    return pass_begin


def make_pass_end(dtype):
    """Add the losses of a pass to those of the epoch, and what there is to note of it to its notes.

    `address` and `step` are those of `pass_begin`.
    """
    digest = DIGEST
    zero = dtype(0)
    measuring = MEASURING
    of_loss = _LOSS
    of_hits = _HITS
    of_rows = _ROWS
    of_norm = _NORM
    of_runs = _RUNS
    sum_block = make_sum_block(dtype)

    def pass_end(address, frames, step):
        digest  # part of the cache key
        part = pass_at(address)
        f = model_record(frames)
        t = cuda.threadIdx.x
        shared = cuda.shared.array(0, dtype)
        rows = rows_of_batch(f, f.row)
        losses = vector(f.losses, dtype)
        hits = vector(f.hits, dtype)
        loss = zero
        n_hits = zero
        for r in range(step * rows + t, (step + 1) * rows, cuda.blockDim.x):
            loss += losses[r]
            if f.hits != 0:
                n_hits += hits[r]
        loss = sum_block(shared, loss)
        n_hits = sum_block(shared, n_hits)
        if t == 0:
            add_loss(f, part.counts * loss, 0.0, rows)
            if f.noted != 0:
                notes = vector(f.noted, np.float64)  # OUT: of the epoch
                notes[of_loss] += loss
                notes[of_hits] += n_hits
                notes[of_rows] += rows
                notes[of_runs] += 1.0
                if part.gathers == 0:
                    notes[of_norm] += vector(f.squares, dtype)[f.n_layers * measuring]

    return pass_end


def make_average_parameters(dtype):
    """Let the averages follow the parameters that the pass at `address` has updated."""
    digest = DIGEST
    size = dtype().itemsize

    def average_parameters(address, frames, step):
        digest  # part of the cache key
        part = pass_at(address)
        f = model_frame(frames, 1)
        share = dtype(average_share(f.step, part.every, part.decay))
        params = vector(f.params, dtype)  # OUT: the averages among them
        averages = vector(f.params + part.averages * size, dtype)
        for j in range(cuda.grid(1), part.n_averaged, cuda.gridsize(1)):
            averages[j] += share * (params[j] - averages[j])

    return average_parameters


def make_step_end(dtype, mixes, counts):
    """Add the penalty to the losses of the epoch, and with `counts` those of the batch; begin the next batch.

    Without `counts` passes have added theirs.
    """
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
        for r in range(t, rows if counts else 0, cuda.blockDim.x):
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
