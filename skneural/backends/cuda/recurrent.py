"""Kernels of narrow recurrent layers: all steps of time in one launch.

Rows are independent, so a block takes a slice of a few and goes through all of their steps by itself. The weights of
the states stay where they are for all steps: every thread has a strip of the matrix, of which it keeps the first
vectors in registers, as many of the next as fit in shared memory, and only the rest in global memory. In every step it
multiplies its strip with the states of all rows of the slice; the sums of the strips are then added up, in a fixed
order, by the threads that have a unit of a row each, and the cell does the rest. No block waits for another one.

While a step's product is computed, the numbers that the cell will need are on their way from global memory.

The strips depend on the layer alone, so that a row's results do not depend on the batch that it is in.

Sizes: T steps, B rows, H units, G gates (each padded to ``op.pitch``).
"""

from typing import NamedTuple

import numpy as np

from skneural.backends.cuda.hub import IS_SIMULATED, cuda, register
from skneural.backends.cuda.intrinsics import get_vector, load_vector, model_frame, op_at, put_vector
from skneural.backends.cuda.recurrent_steps import (
    digest_of_cell,
    is_cut,
    length_of,
    make_factor,
    make_unit_backward,
    make_unit_forward,
    time_of,
    unit_place,
)
from skneural.maths.cells import weighted_gates

#: Units of the widest layer that runs in this way.
WIDEST = 128
#: Threads of a block, at the most, and rows that these look after at the same time, each thread one unit of one. Few
#: threads have many registers each.
THREADS, ABREAST = 256, 2
#: Threads of a block are a multiple of a warp.
WARP = 4 if IS_SIMULATED else 32
#: Numbers of depth that a strip has at least, if there are so many.
DEPTH = 32
#: Rows of a slice.
ROWS = (2, 4)
#: How many vectors of a thread's strip are kept in registers, by rows and bytes of a number: `DEPTH` at the most. With
#: four rows, multiplying takes as long as reading the rest from shared memory.
KEPT = {(2, 4): 28, (4, 4): 16, (2, 8): 20, (4, 8): 12}


def uses_loops(op):
    """Whether a recurrent layer runs in this way."""
    return op["n_out"] <= WIDEST


def choose_rows(n_rows, n_models, n_processors):
    """Rows of a slice: as few as give every multiprocessor a block."""
    return next((rows for rows in ROWS if -(-n_rows // rows) * n_models <= n_processors), ROWS[-1])


@register
def strips(threads, n_across, depth, vector):
    """How a matrix is divided into strips, `n_across` of them side by side: how many below each other; their depth."""
    below = max(1, min(threads // n_across, (depth + DEPTH - 1) // DEPTH))
    each = (depth + below - 1) // below
    return below, (each + vector - 1) // vector * vector


class Launch(NamedTuple):
    """How a loop over the steps is started: blocks, threads of each, bytes of shared memory, and `step`."""

    blocks: int
    threads: int
    shared: int
    step: int


def loop_launch(op, entry, dtype, rows, n_rows, limit, *, backward):
    """How `make_recurrent_forward` or `make_recurrent_backward` for slices of `rows` are started on at most `n_rows`.

    Blocks have at most `limit` bytes of shared memory.
    """
    size, units, width = dtype().itemsize, int(op["n_out"]), weighted_gates(entry) * int(op["pitch"])
    vector = 16 // size
    across, depth = (-(-units // vector), width) if backward else (width // vector, units)
    below = max(1, min(THREADS // across, -(-depth // DEPTH)))
    threads = -(-max(across * below, units * min(ABREAST, THREADS // units)) // WARP) * WARP
    below, share = strips(threads, across, depth, vector)
    taken = rows * below * (share + across * vector)
    each = across * below * vector  # numbers of one vector of all strips
    stay = (limit // size - taken) // each // vector * vector
    stay = max(0, min(stay, share - KEPT[rows, size]))
    return Launch(-(-n_rows // rows), threads, (taken + stay * each) * size, stay)


class Plan(NamedTuple):
    """How a block's product is laid out, and which strip of the matrix is this thread's."""

    across: int  # strips side by side
    below: int  # strips below each other
    share: int  # depth of a strip
    parts: int  # where in shared memory the sums of the strips stand
    own: int  # where the first of this thread's vectors stands there
    strip: int  # which of those side by side is this thread's
    level: int  # which of those below each other
    address: int  # of the matrix
    ld: int  # bytes from a line to the next
    last_line: int
    last_column: int  # where the last vector of a line begins


def make_lay_out(dtype, rows, turned):
    """A function that lays a block's product out.

    With `turned` it is one with the transposed weights: vectors lie along the depth, not along the results. In shared
    memory stand the numbers to multiply, ``(rows, below, share)``, then the sums, ``(below, rows, across, vector)``,
    then those vectors of the strips that stay there, those of neighbouring threads side by side.
    """
    size, vector = dtype().itemsize, 16 // dtype().itemsize

    def lay_out(op, f, width):
        across = (op.n_out + vector - 1) // vector if turned else width // vector
        below, share = strips(cuda.blockDim.x, across, width if turned else op.n_out, vector)
        parts, thread = rows * below * share, cuda.threadIdx.x
        own = parts + below * rows * across * vector + thread * vector
        return Plan(
            across, below, share, parts, own, thread % across, thread // across, f.params + op.recurrent * size,
            op.ld_weight * size, op.n_out - 1, width - vector,
        )  # fmt: skip

    return register(lay_out)


def make_square(dtype, rows, turned):
    """Two functions for a square of a strip, as many vectors as a vector has numbers: load that at depth k; multiply.

    Beyond the edges of the matrix it is what stands there: it meets numbers that are 0, or nobody needs the result.
    """
    size, vector = dtype().itemsize, 16 // dtype().itemsize

    def load_square(target, at, plan, k):
        for v in range(vector):
            depth = plan.level * plan.share + k
            line, column = (plan.strip + v * plan.across, depth) if turned else (depth + v, plan.strip * vector)
            place = plan.address + min(line, plan.last_line) * plan.ld + min(column, plan.last_column) * size
            load_vector(target, at + v * vector, place)

    def add_square(sums, weights, at, shared, given, pitch):
        numbers = cuda.local.array(vector, dtype)
        for r in range(rows):
            get_vector(numbers, 0, shared, given + r * pitch)
            for k in range(vector):
                for i in range(vector):
                    place = i * vector + k if turned else k * vector + i
                    sums[r * vector + i] += numbers[k] * weights[at + place]

    return register(load_square), register(add_square)


def make_strip(dtype, rows, turned):
    """Two functions: load a thread's strip of the weights; multiply it with the numbers of the slice's rows."""
    zero, vector, kept = dtype(0), 16 // dtype().itemsize, KEPT[rows, dtype().itemsize]
    square, n_sums, (load_square, add_square) = vector * vector, rows * vector, make_square(dtype, rows, turned)

    def hold(registers, shared, stay, plan):
        if plan.level >= plan.below:  # a thread without a strip
            return
        passing, apart = cuda.local.array(square, dtype), plan.across * plan.below * vector
        for k in range(0, kept, vector):
            load_square(registers, k * vector, plan, k)
            if k >= plan.share:  # beyond a short strip, where weights of 0 will meet numbers that are there
                for i in range(square):
                    registers[k * vector + i] = zero
        for k in range(kept, kept + stay, vector):
            load_square(passing, 0, plan, k)
            for v in range(vector):
                put_vector(shared, plan.own + (k - kept + v) * apart, passing, v * vector)

    def multiply(registers, shared, stay, plan):
        if plan.level >= plan.below:
            return
        sums, passing = cuda.local.array(n_sums, dtype), cuda.local.array(square, dtype)
        for i in range(n_sums):
            sums[i] = zero
        across, share, apart = plan.across, plan.share, plan.across * plan.below * vector
        given, pitch = plan.level * share, plan.below * share
        for k in range(0, kept, vector):
            add_square(sums, registers, k * vector, shared, given + min(k, share - vector), pitch)
        for k in range(kept, kept + stay, vector):
            for v in range(vector):
                get_vector(passing, v * vector, shared, plan.own + (k - kept + v) * apart)
            add_square(sums, passing, 0, shared, given + k, pitch)
        for k in range(kept + stay, share, vector):
            load_square(passing, 0, plan, k)
            add_square(sums, passing, 0, shared, given + k, pitch)
        place = plan.parts + plan.level * rows * across * vector + (plan.strip if turned else plan.strip * vector)
        for r in range(rows):
            if turned:
                for i in range(vector):
                    shared[np.uint32(place + (r * vector + i) * across)] = sums[r * vector + i]
            else:
                put_vector(shared, place + r * across * vector, sums, r * vector)

    return register(hold), register(multiply)


def make_add_sums(count):
    """A function that adds the sums of the strips below each other, in order, to `count` numbers ``z[first:, i]``."""

    def add_sums(z, first, i, shared, place, apart, below, pitch):
        level = 0
        while level < below:
            for g in range(count):
                z[first + g, i] += shared[np.uint32(place + g * pitch)]
            place += apart
            level += 1

    return register(add_sums)


@register
def clear_shared(shared, count, zero):
    """Numbers of no row, or of no unit, are 0."""
    for k in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        shared[k] = zero


@register
def own_units(op, f, top, rows):
    """What this thread looks after: unit j of every so many rows of the slice, from the first to below the last."""
    thread, every = cuda.threadIdx.x, cuda.blockDim.x // op.n_out
    first = thread // op.n_out
    return thread % op.n_out, first, every, min(rows, f.chunk - top) if first < every else 0


def make_read_rows(dtype, items):
    """A function that reads the length and the factor of this thread's rows, and begins with `h` and `c` of 0."""
    factor_of, zero = make_factor(dtype), dtype(0)

    def read_rows(op, f, top, own, length, factor, h, c):
        j, first, every, n_rows = own
        for i in range(items):
            h[i], c[i] = zero, zero
            if first + i * every < n_rows:
                length[i] = length_of(f, op, top + first + i * every)
                factor[i] = factor_of(op, f, top + first + i * every, j)

    return register(read_rows)


def make_recurrent_forward(dtype, entry, rows):
    """``a, h, c = cell(z + h_before @ recurrent, h_before, c_before)``, step after step.

    `step` is how many vectors of a strip stay in shared memory (see `loop_launch`).
    """
    digest, size, zero, items = digest_of_cell(entry), dtype().itemsize, dtype(0), -(-rows // ABREAST)
    n_gates, count, vector = len(entry.gates), weighted_gates(entry), 16 // size
    state, n_kept = n_gates - count, KEPT[rows, size] * vector  # the first gate with weights of the state before
    read_rows, (read_gates, unit_forward) = make_read_rows(dtype, items), make_unit_forward(dtype, entry)
    lay_out, (hold, multiply) = make_lay_out(dtype, rows, turned=False), make_strip(dtype, rows, turned=False)
    add_sums = make_add_sums(count)

    def recurrent_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        top, shared = cuda.blockIdx.x * rows, cuda.shared.array(0, dtype)
        if top >= f.chunk:
            return
        plan, own, width = lay_out(op, f, count * op.pitch), own_units(op, f, top, rows), count * op.pitch
        below, parts, depth, (j, first, every, n_rows) = plan.below, plan.parts, plan.below * plan.share, own
        registers, length = cuda.local.array(n_kept, dtype), cuda.local.array(items, np.int32)
        z, factor = cuda.local.array((n_gates, items), dtype), cuda.local.array(items, dtype)
        h, c = cuda.local.array(items, dtype), cuda.local.array(items, dtype)
        hold(registers, shared, step, plan)
        read_rows(op, f, top, own, length, factor, h, c)
        clear_shared(shared, parts, zero)
        t, turn, passes = time_of(op, 0), -1 if op.reverse != 0 else 1, op.states >= 0
        row, bias, apart = t * f.chunk + top + first, f.params + (op.bias + j) * size, op.pitch * size
        gates, y = unit_place(f, op.gates, op.ld_gates, row, j, size), unit_place(f, op.y, op.ld_out, row, j, size)
        cells = unit_place(f, op.cells, op.ld_out, f.chunk + top + first, j, size)
        states, pitch = unit_place(f, op.states, op.ld_out, row, j, size), op.pitch
        row_bytes, gates_bytes, steps, chunk = op.ld_out * size, op.ld_gates * size, op.steps, f.chunk
        cuda.syncthreads()
        for s in range(steps):
            for i in range(items):
                if first + i * every < n_rows:
                    read_gates(z, i, gates + i * every * gates_bytes, bias, apart, True)
            if s > 0:
                multiply(registers, shared, step, plan)
            cuda.syncthreads()
            for i in range(items):
                r, further = first + i * every, i * every * row_bytes
                if r < n_rows:
                    if s > 0:
                        add_sums(z, state, i, shared, parts + r * width + j, rows * width, below, pitch)
                    h[i], c[i] = unit_forward(
                        z, i, h[i], c[i], factor[i], t < length[i], gates + i * every * gates_bytes, apart, y + further,
                        cells + further, passes, states + further,
                    )  # fmt: skip
                    shared[np.uint32(r * depth + j)] = factor[i] * h[i]
            t, gates, cells = t + turn, gates + turn * chunk * gates_bytes, cells + chunk * row_bytes
            y, states = y + turn * chunk * row_bytes, states + turn * chunk * row_bytes
            cuda.syncthreads()

    return recurrent_forward


def make_recurrent_backward(dtype, entry, rows):
    """Gradients by the pre-activations of all gates, in their place, step before step.

    `step` is how many vectors of a strip stay in shared memory (see `loop_launch`).
    """
    digest, size, zero, items = digest_of_cell(entry), dtype().itemsize, dtype(0), -(-rows // ABREAST)
    n_gates, count, vector = len(entry.gates), weighted_gates(entry), 16 // size
    state, n_kept, add_sums = n_gates - count, KEPT[rows, size] * vector, make_add_sums(1)
    read_rows, (read_unit, unit_backward) = make_read_rows(dtype, items), make_unit_backward(dtype, entry)
    lay_out, (hold, multiply) = make_lay_out(dtype, rows, turned=True), make_strip(dtype, rows, turned=True)

    def recurrent_backward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        top, shared = cuda.blockIdx.x * rows, cuda.shared.array(0, dtype)
        if top >= f.chunk:
            return
        plan, own = lay_out(op, f, count * op.pitch), own_units(op, f, top, rows)
        below, parts, depth, (j, first, every, n_rows) = plan.below, plan.parts, plan.below * plan.share, own
        registers, length = cuda.local.array(n_kept, dtype), cuda.local.array(items, np.int32)
        a, known = cuda.local.array((n_gates, items), dtype), cuda.local.array((4, items), dtype)
        dh, dc = cuda.local.array(items, dtype), cuda.local.array(items, dtype)
        back, factor = cuda.local.array((1, 1), dtype), cuda.local.array(items, dtype)
        hold(registers, shared, step, plan)
        read_rows(op, f, top, own, length, factor, dh, dc)
        clear_shared(shared, parts, zero)
        t, turn, row = time_of(op, op.steps - 1), 1 if op.reverse != 0 else -1, top + first
        row_bytes, gates_bytes, steps, chunk = op.ld_out * size, op.ld_gates * size, op.steps, f.chunk
        gates = unit_place(f, op.gates, op.ld_gates, t * chunk + row, j, size)
        dy = unit_place(f, op.dy, op.ld_out, t * chunk + row, j, size)
        before = unit_place(f, op.y, op.ld_out, (t + turn) * chunk + row, j, size)
        cells = unit_place(f, op.cells, op.ld_out, steps * chunk + row, j, size)
        pitch, apart, width = op.pitch, op.pitch * size, plan.across * vector
        cuda.syncthreads()
        for s in range(steps - 1, -1, -1):
            for i in range(items):
                if first + i * every < n_rows:
                    more, further = i * every * gates_bytes, i * every * row_bytes
                    read_unit(
                        a, known, i, s > 0, gates + more, apart, before + further, cells + further, chunk * row_bytes,
                        dy + further,
                    )  # fmt: skip
            if s + 1 < steps:
                multiply(registers, shared, step, plan)
                cuda.syncthreads()
            for i in range(items):
                r = first + i * every
                if r < n_rows:
                    if s + 1 < steps:
                        back[0, 0] = zero
                        add_sums(back, 0, 0, shared, parts + r * width + j, rows * width, below, 0)
                        dh[i] += factor[i] * back[0, 0]
                        if is_cut(op, s + 1, length[i]):
                            dh[i], dc[i] = zero, zero
                    dh[i], dc[i] = unit_backward(
                        a, known, i, dh[i], dc[i], t < length[i], gates + i * every * gates_bytes, apart
                    )
                    for g in range(count):
                        shared[np.uint32(r * depth + g * pitch + j)] = a[state + g, i]
            t, gates, dy = t + turn, gates + turn * chunk * gates_bytes, dy + turn * chunk * row_bytes
            before, cells = before + turn * chunk * row_bytes, cells - chunk * row_bytes
            cuda.syncthreads()

    return recurrent_backward
