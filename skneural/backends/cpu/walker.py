"""The compiled loops above the kernels: walk the table of operations, step after step, epoch after epoch.

Every thread of a pool runs `train` on a frame of its own. A step has two phases with a barrier after each: rows
(every thread runs its rows of the batch forward and back) and parameters (every thread updates its share). In networks
with convolutions threads share the pixels or time steps of all rows, operation by operation, where they can: the
products of a pixel are then as large as on one thread. Statistics of the whole batch need barriers more, and so do
limits on norms. Sums that all need (losses, penalties, squared gradients) every thread adds up for itself, in the same
order; so all take the same decisions and results do not depend on how many there are.
"""

import math

import numpy as np
from numba import types
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER, formula
from skneural.backends.cpu.intrinsics import (
    HAS_CLOCK,
    MONOTONIC,
    SLEEP_UNIT,
    atomic_add,
    atomic_load,
    call_layer,
    clock_gettime,
    frame_at,
    give_up_slice,
    op_at,
    pass_at,
    sleep_units,
    vector,
)
from skneural.backends.cpu.layout import ARRIVALS, RELEASES, STRIPS, TIMEOUTS
from skneural.backends.cpu.product import rows_at_a_time
from skneural.backends.cpu.rows import mixed_weight
from skneural.backends.cpu.shares import begin_walk, next_piece
from skneural.backends.records import APPLY, COLLECT, FRAME, FUSED, N_CONSTANTS, NOTES, PASS, SOURCE, SPECTRUM
from skneural.maths import averaging, random, stopping
from skneural.network.operations import OP

#: How a thread waits: it spins this often, then offers its core to others this often, then sleeps ever longer.
SPINS = 2000
YIELDS = 400
LONGEST_SLEEP = 200

#: Pieces of a thread's share of steps, and how many it takes at once to begin with: what is left it shares.
PIECES = 8
AT_ONCE = 6

#: What threads have shared since they met last.
NOTHING, BY_ROWS, BY_STEPS = range(3)

_OP_SIZE = OP.itemsize
_PASS_SIZE = PASS.itemsize
_SPECTRUM_SIZE = SPECTRUM.itemsize
_CLOCK = FRAME.fields["clock"][1]
_SOURCE_FIELDS = len(SOURCE)
_NOTES_SIZE = 8 * len(NOTES)
_LOSS, _HITS, _ROWS, _NORM, _RUNS = range(len(NOTES))
_bits = formula(random.bits)
share_of_update = formula(averaging.average_share)
formula(stopping.count_epoch)
formula(stopping.add_loss)
end_batch = formula(stopping.end_batch)
end_epoch = formula(stopping.end_epoch)


@register_jitable(**HELPER)
def wait_until(address, target):
    """Wait until the int64 at `address` is at least `target`."""
    spins = 0
    yields = 0
    sleep = 20
    while atomic_load(address) < target:
        if spins < SPINS:
            spins += 1
        elif yields < YIELDS:
            give_up_slice()
            yields += 1
        else:
            sleep_units(np.uint32(max(sleep // SLEEP_UNIT, 1)))
            sleep = min(2 * sleep, LONGEST_SLEEP)


@register_jitable(**HELPER)
def wait_at_barrier(f):
    """Wait for all threads of the pool."""
    if f.n_threads > 1:
        releases = atomic_load(f.barrier + RELEASES)
        arrivals = atomic_add(f.barrier + ARRIVALS, 1)
        if arrivals % f.n_threads == f.n_threads - 1:
            atomic_add(f.barrier + RELEASES, 1)
        else:
            wait_until(f.barrier + RELEASES, releases + 1)


@register_jitable(**HELPER)
def shuffle(f):
    """A random order of the rows (Fisher and Yates), a function of seed and epoch alone."""
    order = vector(f.order, np.int64)
    key = np.uint64(vector(f.order_keys, np.int64)[f.epochs_done])
    for i in range(f.n_rows):
        order[i] = i
    for i in range(f.n_rows - 1, 0, -1):
        drawn = _bits(key, np.uint64(i)) * np.uint64(i + 1)
        j = np.int64(drawn >> np.uint64(32))
        order[i], order[j] = order[j], order[i]


@register_jitable(**HELPER)
def walk_parameters(f, frame_address, part, rows, constrain):
    """This thread's share of a pass's parameters: update them, or keep their norms within the limit."""
    begin_walk(f)
    for i in range(part.update_begin, part.update_end):
        at = f.ops + i * _OP_SIZE
        op = op_at(at)
        kernel = op.constrain if constrain else op.update
        if kernel != 0:
            call_layer(kernel, (at, frame_address, 0, rows))


@register_jitable(**HELPER)
def sum_of(address, count):
    """Sum of float64 numbers, in order, four at a time."""
    a = vector(address, np.float64)
    s0 = 0.0
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    for i in range(0, count - 3, 4):
        s0 += a[i]
        s1 += a[i + 1]
        s2 += a[i + 2]
        s3 += a[i + 3]
    for i in range(count - count % 4, count):
        s0 += a[i]
    return (s0 + s1) + (s2 + s3)


@register_jitable(**HELPER)
def walk_share(f, frame_address, kernel, at, counter, chunk, first, last, done):
    """This thread's share of an operation: of its steps with all rows of the chunk, or all steps of its own rows.

    `done` is what was shared since the last barrier: what another thread writes must be there before it is read.
    Returned is the same for what follows.
    """
    op = op_at(at)
    by_steps = op.by_steps != 0 and f.n_threads > 1
    if done == BY_STEPS or (done == BY_ROWS and by_steps):
        wait_at_barrier(f)
    if not by_steps:
        call_layer(kernel, (at, frame_address, first, last))
        return BY_ROWS
    f.step_pieces = PIECES * f.n_threads
    turn, f.step_begin, f.step_end = next_piece(f, counter, f.step_pieces, AT_ONCE, 0, 0)
    while f.step_begin < f.step_end:
        call_layer(kernel, (at, frame_address, 0, chunk))
        turn, f.step_begin, f.step_end = next_piece(f, counter, f.step_pieces, 1, turn, f.step_end)
    f.step_begin = 0
    f.step_end = 1
    f.step_pieces = 1
    return BY_STEPS


@register_jitable(**HELPER)
def walk_statistics(f, frame_address, kernel, combine, at, chunk):
    """This thread's share of the statistics of a batch, and of what is made of them when all are there."""
    wait_at_barrier(f)
    call_layer(kernel, (at, frame_address, 0, chunk))
    wait_at_barrier(f)
    if combine != 0:
        call_layer(combine, (at, frame_address, 0, chunk))
        wait_at_barrier(f)


@register_jitable(**HELPER)
def walk_rows(f, frame_address, part, chunk, first, last):
    """Some rows of a chunk, forward through the operations of a pass and back; or some steps of all of them."""
    done = NOTHING
    for i in range(f.begin, part.end):
        if part.gap_begin <= i < part.gap_end:
            continue
        at = f.ops + i * _OP_SIZE
        op = op_at(at)
        if op.statistics_forward != 0:
            walk_statistics(f, frame_address, op.statistics_forward, op.combine_forward, at, chunk)
            done = NOTHING
        if op.forward != 0:
            done = walk_share(f, frame_address, op.forward, at, f.n_ops + 1 + i, chunk, first, last, done)
    for i in range(part.end - 1, part.back - 1, -1):
        at = f.ops + i * _OP_SIZE
        op = op_at(at)
        if op.statistics_backward != 0:
            walk_statistics(f, frame_address, op.statistics_backward, op.combine_backward, at, chunk)
            done = NOTHING
        if op.backward != 0:
            done = walk_share(f, frame_address, op.backward, at, 2 * f.n_ops + 1 + i, chunk, first, last, done)


@register_jitable(**HELPER)
def share_rows(f, frame_address, part, chunk):
    """This thread's rows of a chunk, through a pass; where it pays to, piece by piece, then what others have left."""
    begin_walk(f)
    if f.n_threads == 1 or f.claims_rows == 0:
        first = f.rank * chunk // f.n_threads
        last = (f.rank + 1) * chunk // f.n_threads
        walk_rows(f, frame_address, part, chunk, first, last)
        return
    share = (chunk + f.n_threads - 1) // f.n_threads
    size = rows_at_a_time(share, STRIPS)
    # Most of a share is taken at once: weights that all rows meet in turn stay in the cache.
    most = max(3 * share // (4 * size), 1) * size
    turn, first, last = next_piece(f, f.n_ops, chunk, most, 0, 0)
    while first < last:
        walk_rows(f, frame_address, part, chunk, first, last)
        turn, first, last = next_piece(f, f.n_ops, chunk, size, turn, last)


@register_jitable(**HELPER)
def norm_of_gradient(f, part):
    """Norm of the gradient by the parameters of a pass."""
    first = op_at(f.ops + part.update_begin * _OP_SIZE)
    last = op_at(f.ops + (part.update_end - 1) * _OP_SIZE)
    count = last.slot + last.n_slots - first.slot
    return math.sqrt(sum_of(f.squares + first.slot * 8, count))


@register_jitable(**HELPER)
def limit_spectra(f, frame_address):
    """Limit the spectral norms of matrices: each is one thread's, so sums have the same order on any number."""
    for i in range(f.rank, f.n_spectra, f.n_threads):
        call_layer(f.limit_spectrum, (f.spectra + i * _SPECTRUM_SIZE, frame_address, 0, 0))


@register_jitable(**HELPER)
def begin_pass(f, frame_address, part):
    """Let the operations be those of a pass, and its samples come from where it says."""
    f.ops = part.ops
    if part.source != 0:
        source = vector(part.source, np.int64)
        numbers = vector(frame_address, np.int64)
        for i in range(_SOURCE_FIELDS):
            numbers[i] = source[i]


@register_jitable(**HELPER)
def note_layer_norms(f, part):
    """Add the norm of the gradient of every layer that a pass updates to those of the epoch."""
    norms = vector(f.layer_norms + f.epochs_done * f.n_layers * 8, np.float64)
    for layer in range(f.n_layers):
        squares = 0.0
        for i in range(part.update_begin, part.update_end):
            op = op_at(f.ops + i * _OP_SIZE)
            if op.update != 0 and op.layer == layer:
                squares += sum_of(f.squares + op.slot * 8, op.n_slots)
        norms[layer] += math.sqrt(squares)


@register_jitable(**HELPER)
def take_notes(f, part, loss, rows):
    """Add what there is to note of a pass that has run to what is known of the epoch."""
    notes = vector(f.noted, np.float64)
    notes[_LOSS] += loss
    notes[_ROWS] += rows
    notes[_RUNS] += 1.0
    if f.squares != 0 and part.gathers == 0:
        notes[_NORM] += norm_of_gradient(f, part)


@register_jitable(**HELPER)
def average_parameters(f, part, dtype):
    """Let the averages follow the parameters that a pass has updated: this thread's share of them."""
    share = dtype(share_of_update(f.step, part.every, part.decay))
    params = vector(f.params, dtype)
    first = f.rank * part.n_averaged // f.n_threads
    last = (f.rank + 1) * part.n_averaged // f.n_threads
    for j in range(first, last):
        params[part.averages + j] += share * (params[j] - params[part.averages + j])


@register_jitable(**HELPER)
def keep_parameters(f, dtype):
    """Copy the parameters: whether they are the best is known when the epoch that begins with them has ended."""
    params = vector(f.params, dtype)
    snapshot = vector(f.snapshot, dtype)
    for j in range(f.n_params):
        snapshot[j] = params[j]


@register_jitable(**HELPER)
def walk_chunks(f, frame_address, part, start, rows, gathered):
    """Rows of a batch, through a pass, in chunks that fit the buffers; sum of their losses.

    Every thread takes its share of the rows of a chunk, then its share of the parameters. The pass before has gathered
    the gradient of so many rows, to which that of these is added.
    """
    loss = 0.0
    done = 0
    while done < rows:
        chunk = min(f.capacity, rows - done)
        f.start = start + done
        f.chunk = chunk
        f.done = gathered + done
        share_rows(f, frame_address, part, chunk)
        wait_at_barrier(f)
        loss += sum_of(f.losses, chunk)
        if f.noted != 0 and f.rank == 0 and f.hits != 0:
            vector(f.noted, np.float64)[_HITS] += sum_of(f.hits, chunk)
        walk_parameters(f, frame_address, part, chunk, False)
        if HAS_CLOCK and f.rank == 0 and f.deadline > 0:
            # The first thread looks at the clock; all see what it decided after the barrier.
            clock_gettime(MONOTONIC, frame_address + _CLOCK)
            if f.clock + 1e-9 * f.clock_fraction > f.deadline:
                atomic_add(f.barrier + TIMEOUTS, 1)
        wait_at_barrier(f)
        done += chunk
    return loss


@register_jitable(**HELPER)
def run_pass(f, frame_address, part, rows, gathered):
    """One pass of a step: forward and back, then the update; sum of the losses."""
    begin_pass(f, frame_address, part)
    f.factor = 1.0
    f.weight_limit = part.weight_limit
    f.spectral_norm = part.spectral_norm
    f.begin = part.reuses if part.reuses > 0 and rows <= f.capacity else part.begin
    gathers = part.gathers != 0
    f.phase = COLLECT if rows > f.capacity or f.clip_norm > 0 or gathers or gathered > 0 else FUSED
    loss = walk_chunks(f, frame_address, part, f.row, rows, gathered)
    if f.noted != 0 and f.rank == 0:
        take_notes(f, part, loss, rows)
    if gathers:
        return loss
    if f.layer_norms != 0 and f.rank == 0:
        note_layer_norms(f, part)
    if f.phase == COLLECT:
        if f.clip_norm > 0:
            norm = norm_of_gradient(f, part)
            f.factor = f.clip_norm / norm if norm > f.clip_norm else 1.0
        f.phase = APPLY
        walk_parameters(f, frame_address, part, 0, False)
        wait_at_barrier(f)
    if f.max_norm > 0:
        walk_parameters(f, frame_address, part, 0, True)
        wait_at_barrier(f)
    if part.spectral_norm > 0:
        limit_spectra(f, frame_address)
        wait_at_barrier(f)
    return loss


@register_jitable(**HELPER)
def weight_of(f, rows, dtype):
    """Sum of the weights of the rows of a batch, as they are mixed; how many there are, if none are given."""
    if f.weights == 0:
        return np.float64(rows)
    order = vector(f.order, np.int64)
    weights = vector(f.weights, dtype)
    total = 0.0
    for r in range(f.row, f.row + rows):
        total += weights[order[r] if f.order != 0 else r] if f.mixup == 0 else mixed_weight(f, r, dtype)
    return total


def make_train(dtype):
    """Kernel ``train(frame)``: run steps until as many are done as asked for, or the stopping rule says so.

    An epoch whose loss is not finite ends it too.
    """
    digest = DIGEST
    constants_size = 8 * N_CONSTANTS

    def train(frame_address):
        digest  # part of the cache key
        f = frame_at(frame_address)
        losses = vector(f.epoch_losses, np.float64)
        stop = False
        while f.steps_left > 0 and f.epochs_left > 0 and not stop:
            if f.row == 0 and f.rank == 0:
                keep_parameters(f, dtype)
            if f.row == 0 and f.shuffle != 0:
                if f.rank == 0:
                    shuffle(f)
                wait_at_barrier(f)
            rows = min(f.batch, f.n_rows - f.row)
            weight = weight_of(f, rows, dtype)
            f.scale = 1.0 / weight if weight > 0 else 0.0
            loss = 0.0
            gathered = 0
            for i in range(f.n_passes):
                part = pass_at(f.passes + i * _PASS_SIZE)
                if part.every > 1 and (f.step + 1) % part.every != 0:
                    continue
                f.now = f.constants + (f.steps_done * f.n_passes + i) * constants_size
                if f.notes != 0:
                    f.noted = f.notes + (f.epochs_done * f.n_passes + i) * _NOTES_SIZE
                loss += part.counts * run_pass(f, frame_address, part, rows, gathered)
                gathered = gathered + rows if part.gathers != 0 else 0
                if part.averages > 0:
                    average_parameters(f, part, dtype)
            penalty = f.alpha * sum_of(f.penalties, f.n_slots) if f.alpha > 0 else 0.0
            end_batch(f, loss, penalty, rows)
            f.steps_left -= 1
            stop = f.n_threads > 1 and atomic_load(f.barrier + TIMEOUTS) != 0
            if f.row == f.n_rows:
                epoch_loss = end_epoch(f)
                losses[f.epochs_done - 1] = epoch_loss
                diverged = epoch_loss - epoch_loss != 0
                stop = stop or f.no_improvement > f.patience or diverged
                f.sum_loss = 0.0

    return (types.int64,), train


def make_loss_and_gradient():
    """Kernel ``loss_and_gradient(frame)``: sum of the weighted losses of all rows; their gradient is added up."""
    digest = DIGEST

    def loss_and_gradient(frame_address):
        digest  # part of the cache key
        f = frame_at(frame_address)
        f.phase = COLLECT
        f.sum_loss = 0.0
        gathered = 0
        for i in range(f.n_passes):
            part = pass_at(f.passes + i * _PASS_SIZE)
            begin_pass(f, frame_address, part)
            f.begin = part.begin
            f.sum_loss += part.counts * walk_chunks(f, frame_address, part, 0, f.n_rows, gathered)
            gathered = gathered + f.n_rows if part.gathers != 0 else 0

    return (types.int64,), loss_and_gradient


def make_predict():
    """Kernel ``predict(frame)``: this thread's rows forward, then what others have left, in buffers of the thread."""
    digest = DIGEST

    def predict(frame_address):
        digest  # part of the cache key
        f = frame_at(frame_address)
        losses = f.losses
        turn, f.start, end = next_piece(f, 0, f.n_rows, f.capacity, 0, 0)
        while f.start < end:
            f.chunk = end - f.start
            f.losses = losses + f.start * 8
            for i in range(f.n_ops):
                at = f.ops + i * _OP_SIZE
                op = op_at(at)
                if op.forward != 0:
                    call_layer(op.forward, (at, frame_address, 0, f.chunk))
            turn, f.start, end = next_piece(f, 0, f.n_rows, f.capacity, turn, end)

    return (types.int64,), predict
