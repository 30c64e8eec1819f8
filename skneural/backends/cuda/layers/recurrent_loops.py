"""Kernels of narrow recurrent layers: all steps of time in one launch.

Rows are independent, so a block takes a slice of a few and goes through all of their steps by itself. The weights of
the states stay where they are for all steps: every thread has a strip of the matrix, of which it keeps the first
vectors in registers, as many of the next as fit in shared memory, and only the rest in global memory. In every step it
multiplies its strip with the states of all rows of the slice; the sums of the strips are then added up, in a fixed
order, by the threads that have a unit of a row each, and the cell does the rest. No block waits for another one.

While a step's product is computed, the numbers that the cell will need are on their way from global memory.

The strips depend on the layer alone, so that a row's results do not depend on the batch that it is in.

Sizes: T steps, B rows, H units, G gates (each padded to ``own.pitch``).
"""

from typing import NamedTuple

import numpy as np

from skneural.backends.cuda.hub import IS_SIMULATED, cuda, register
from skneural.backends.cuda.intrinsics import get_vector, load_vector, put_vector
from skneural.backends.cuda.layers.recurrent_steps import (
    addresses_backward,
    addresses_forward,
    digest_of_cell,
    is_cut,
    make_factor,
    make_unit_backward,
    make_unit_forward,
    time_of,
)
from skneural.backends.cuda.rows import length_of, make_kernel
from skneural.maths.cells import weighted_gates

#: Units of the widest layer that runs in this way.
WIDEST = 128
#: Threads of a block, at the most, and rows that these look after at the same time, each thread one unit of one. Few
#: threads have many registers each.
THREADS = 256
ABREAST = 2
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
    return op.n_out <= WIDEST


def choose_rows(n_rows, n_models, n_processors):
    """Rows of a slice: as few as give every multiprocessor a block."""
    return next((rows for rows in ROWS if -(-n_rows // rows) * n_models <= n_processors), ROWS[-1])


@register
def strips(threads, n_across, depth, vector):
    """How a matrix is divided into strips, `n_across` of them side by side: how many below each other; their depth."""
    below = max(1, min(threads // n_across, (depth + DEPTH - 1) // DEPTH))
    each = (depth + below - 1) // below
    return below, (each + vector - 1) // vector * vector


class LoopLaunch(NamedTuple):
    """How a loop over the steps is started: blocks, threads of each, bytes of shared memory, and `step`."""

    blocks: int
    threads: int
    shared: int
    step: int


def loop_launch(op, own, entry, dtype, rows, n_rows, limit, *, backward):
    """How `make_recurrent_forward` or `make_recurrent_backward` for slices of `rows` are started on at most `n_rows`.

    Blocks have at most `limit` bytes of shared memory.
    """
    size = dtype().itemsize
    units = int(op.n_out)
    width = weighted_gates(entry) * int(own.pitch)
    vector = 16 // size
    across = -(-units // vector) if backward else width // vector
    depth = width if backward else units
    below = max(1, min(THREADS // across, -(-depth // DEPTH)))
    threads = -(-max(across * below, units * min(ABREAST, THREADS // units)) // WARP) * WARP
    below, share = strips(threads, across, depth, vector)
    taken = rows * below * (share + across * vector)
    each = across * below * vector  # numbers of one vector of all strips
    stay = (limit // size - taken) // each // vector * vector
    stay = max(0, min(stay, share - KEPT[rows, size]))
    return LoopLaunch(-(-n_rows // rows), threads, (taken + stay * each) * size, stay)


class Layout(NamedTuple):
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


def make_lay_out(dtype, rows, transposed):
    """A function that lays a block's product out.

    With `transposed` it is one with the transposed weights: vectors lie along the depth, not along the results. In
    shared memory stand the numbers to multiply, ``(rows, below, share)``, then the sums, ``(below, rows, across,
    vector)``, then those vectors of the strips that stay there, those of neighbouring threads side by side.
    """
    size = dtype().itemsize
    vector = 16 // size

    def lay_out(op, own, f, width):
        thread = cuda.threadIdx.x
        across = (op.n_out + vector - 1) // vector if transposed else width // vector
        depth = width if transposed else op.n_out
        below, share = strips(cuda.blockDim.x, across, depth, vector)
        parts = rows * below * share
        mine = parts + below * rows * across * vector + thread * vector
        address = f.params + own.recurrent * size
        last_line = op.n_out - 1
        last_column = width - vector
        ld = own.ld_weight * size
        strip = thread % across
        level = thread // across
        return Layout(across, below, share, parts, mine, strip, level, address, ld, last_line, last_column)

    return register(lay_out)


def make_square(dtype, rows, transposed):
    """Two functions for a square of a strip, as many vectors as a vector has numbers: load that at depth k; multiply.

    Beyond the edges of the matrix it is what stands there: it meets numbers that are 0, or nobody needs the result.
    """
    size = dtype().itemsize
    vector = 16 // size

    def load_square(target, at, layout, k):
        depth = layout.level * layout.share + k
        for v in range(vector):
            line = layout.strip + v * layout.across if transposed else depth + v
            column = depth if transposed else layout.strip * vector
            start = layout.address + min(line, layout.last_line) * layout.ld
            load_vector(target, at + v * vector, start + min(column, layout.last_column) * size)

    def add_square(sums, weights, at, shared, given, pitch):
        numbers = cuda.local.array(vector, dtype)
        for r in range(rows):
            get_vector(numbers, 0, shared, given + r * pitch)
            for k in range(vector):
                for i in range(vector):
                    index = i * vector + k if transposed else k * vector + i
                    sums[r * vector + i] += numbers[k] * weights[at + index]

    return register(load_square), register(add_square)


def make_strip(dtype, rows, transposed):
    """Two functions: load a thread's strip of the weights; multiply it with the numbers of the slice's rows."""
    vector = 16 // dtype().itemsize
    kept = KEPT[rows, dtype().itemsize]
    square = vector * vector
    n_sums = rows * vector
    load_square, add_square = make_square(dtype, rows, transposed)

    def hold(registers, shared, stay, layout):
        if layout.level >= layout.below:  # a thread without a strip
            return
        passing = cuda.local.array(square, dtype)
        apart = layout.across * layout.below * vector
        for k in range(0, kept, vector):
            load_square(registers, k * vector, layout, k)
            if k >= layout.share:  # beyond a short strip, where weights of 0 will meet numbers that are there
                for i in range(square):
                    registers[k * vector + i] = dtype(0)
        for k in range(kept, kept + stay, vector):
            load_square(passing, 0, layout, k)
            for v in range(vector):
                put_vector(shared, layout.own + (k - kept + v) * apart, passing, v * vector)

    def multiply(registers, shared, stay, layout):
        if layout.level >= layout.below:
            return
        sums = cuda.local.array(n_sums, dtype)
        passing = cuda.local.array(square, dtype)
        for i in range(n_sums):
            sums[i] = dtype(0)
        across = layout.across
        share = layout.share
        apart = across * layout.below * vector
        given = layout.level * share
        pitch = layout.below * share
        for k in range(0, kept, vector):
            add_square(sums, registers, k * vector, shared, given + min(k, share - vector), pitch)
        for k in range(kept, kept + stay, vector):
            for v in range(vector):
                get_vector(passing, v * vector, shared, layout.own + (k - kept + v) * apart)
            add_square(sums, passing, 0, shared, given + k, pitch)
        for k in range(kept + stay, share, vector):
            load_square(passing, 0, layout, k)
            add_square(sums, passing, 0, shared, given + k, pitch)
        start = layout.parts + layout.level * rows * across * vector
        start += layout.strip if transposed else layout.strip * vector
        for r in range(rows):
            if transposed:
                for i in range(vector):
                    shared[np.uint32(start + (r * vector + i) * across)] = sums[r * vector + i]
            else:
                put_vector(shared, start + r * across * vector, sums, r * vector)

    return register(hold), register(multiply)


def make_add_sums(count):
    """A function that adds the sums of the strips below each other, in order, to `count` numbers ``z[first:, i]``."""

    def add_sums(z, first, i, shared, start, apart, below, pitch):
        level = 0
        while level < below:
            for g in range(count):
                z[first + g, i] += shared[np.uint32(start + g * pitch)]
            start += apart
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
    thread = cuda.threadIdx.x
    every = cuda.blockDim.x // op.n_out
    first = thread // op.n_out
    n_rows = min(rows, f.chunk - top) if first < every else 0
    return thread % op.n_out, first, every, n_rows


def make_read_rows(dtype, items):
    """A function that reads the length and the factor of this thread's rows, and begins with `h` and `c` of 0."""
    state_factor = make_factor(dtype)

    def read_rows(op, own, f, top, units, length, factor, h, c):
        j, first, every, n_rows = units
        for i in range(items):
            h[i] = dtype(0)
            c[i] = dtype(0)
            r = first + i * every
            if r < n_rows:
                length[i] = length_of(f, op.every, op.steps, top + r)
                factor[i] = state_factor(op, own, f, top + r, j)

    return register(read_rows)


def make_recurrent_forward(dtype, entry, rows):
    """``a, h, c = cell(z + h_before @ recurrent, h_before, c_before)``, step after step.

    `step` is how many vectors of a strip stay in shared memory (see `loop_launch`).
    """
    size = dtype().itemsize
    items = -(-rows // ABREAST)
    n_gates = len(entry.gates)
    count = weighted_gates(entry)
    state = n_gates - count  # the first gate with weights of the state before
    n_kept = KEPT[rows, size] * 16 // size
    read_rows = make_read_rows(dtype, items)
    read_gates, unit_forward = make_unit_forward(dtype, entry)
    lay_out = make_lay_out(dtype, rows, transposed=False)
    hold, multiply = make_strip(dtype, rows, transposed=False)
    add_sums = make_add_sums(count)

    def recurrent_forward(op, own, f, step):
        top = cuda.blockIdx.x * rows
        shared = cuda.shared.array(0, dtype)
        if top >= f.chunk:
            return
        pitch = own.pitch
        width = count * pitch
        layout = lay_out(op, own, f, width)
        below = layout.below
        parts = layout.parts
        depth = below * layout.share
        units = own_units(op, f, top, rows)
        j, first, every, n_rows = units
        registers = cuda.local.array(n_kept, dtype)
        length = cuda.local.array(items, np.int32)
        factor = cuda.local.array(items, dtype)
        z = cuda.local.array((n_gates, items), dtype)
        h = cuda.local.array(items, dtype)
        c = cuda.local.array(items, dtype)
        hold(registers, shared, step, layout)
        read_rows(op, own, f, top, units, length, factor, h, c)
        clear_shared(shared, parts, dtype(0))
        t = time_of(op, own, 0)
        turn = -1 if own.reverse != 0 else 1
        passes = own.states >= 0
        chunk = f.chunk
        steps = op.steps
        bias = f.params + (own.bias + j) * size
        apart = pitch * size
        row_bytes = op.ld_out * size
        gates_bytes = own.ld_gates * size
        gates, y, cells, states = addresses_forward(op, own, f, 0, top + first, j, size)
        cuda.syncthreads()
        for s in range(steps):
            for i in range(items):
                if first + i * every < n_rows:
                    read_gates(z, i, gates + i * every * gates_bytes, bias, apart, True)
            if s > 0:
                multiply(registers, shared, step, layout)
            cuda.syncthreads()
            for i in range(items):
                r = first + i * every
                further = i * every * row_bytes
                if r < n_rows:
                    if s > 0:
                        add_sums(z, state, i, shared, parts + r * width + j, rows * width, below, pitch)
                    h[i], c[i] = unit_forward(
                        z,
                        i,
                        h[i],
                        c[i],
                        factor[i],
                        t < length[i],
                        gates + i * every * gates_bytes,
                        apart,
                        y + further,
                        cells + further,
                        passes,
                        states + further,
                    )
                    shared[np.uint32(r * depth + j)] = factor[i] * h[i]
            t += turn
            gates += turn * chunk * gates_bytes
            cells += chunk * row_bytes
            y += turn * chunk * row_bytes
            states += turn * chunk * row_bytes
            cuda.syncthreads()

    return make_kernel("recurrent", recurrent_forward, digest_of_cell(entry))


def make_recurrent_backward(dtype, entry, rows):
    """Gradients by the pre-activations of all gates, in their place, step before step.

    `step` is how many vectors of a strip stay in shared memory (see `loop_launch`).
    """
    size = dtype().itemsize
    vector = 16 // size
    items = -(-rows // ABREAST)
    n_gates = len(entry.gates)
    count = weighted_gates(entry)
    state = n_gates - count
    n_kept = KEPT[rows, size] * vector
    add_sums = make_add_sums(1)
    read_rows = make_read_rows(dtype, items)
    read_unit, unit_backward = make_unit_backward(dtype, entry)
    lay_out = make_lay_out(dtype, rows, transposed=True)
    hold, multiply = make_strip(dtype, rows, transposed=True)

    def recurrent_backward(op, own, f, step):
        top = cuda.blockIdx.x * rows
        shared = cuda.shared.array(0, dtype)
        if top >= f.chunk:
            return
        pitch = own.pitch
        layout = lay_out(op, own, f, count * pitch)
        width = layout.across * vector
        below = layout.below
        parts = layout.parts
        depth = below * layout.share
        units = own_units(op, f, top, rows)
        j, first, every, n_rows = units
        registers = cuda.local.array(n_kept, dtype)
        length = cuda.local.array(items, np.int32)
        factor = cuda.local.array(items, dtype)
        a = cuda.local.array((n_gates, items), dtype)
        known = cuda.local.array((4, items), dtype)
        dh = cuda.local.array(items, dtype)
        dc = cuda.local.array(items, dtype)
        back = cuda.local.array((1, 1), dtype)
        hold(registers, shared, step, layout)
        read_rows(op, own, f, top, units, length, factor, dh, dc)
        clear_shared(shared, parts, dtype(0))
        chunk = f.chunk
        steps = op.steps
        t = time_of(op, own, steps - 1)
        turn = 1 if own.reverse != 0 else -1
        apart = pitch * size
        row_bytes = op.ld_out * size
        gates_bytes = own.ld_gates * size
        gates, dy, cells, before = addresses_backward(op, own, f, steps - 1, top + first, j, size)
        cuda.syncthreads()
        for s in range(steps - 1, -1, -1):
            for i in range(items):
                if first + i * every < n_rows:
                    further = i * every * row_bytes
                    read_unit(
                        a,
                        known,
                        i,
                        s > 0,
                        gates + i * every * gates_bytes,
                        apart,
                        before + further,
                        cells + further,
                        chunk * row_bytes,
                        dy + further,
                    )
            if s + 1 < steps:
                multiply(registers, shared, step, layout)
                cuda.syncthreads()
            for i in range(items):
                r = first + i * every
                if r < n_rows:
                    if s + 1 < steps:
                        back[0, 0] = dtype(0)
                        add_sums(back, 0, 0, shared, parts + r * width + j, rows * width, below, 0)
                        dh[i] += factor[i] * back[0, 0]
                        if is_cut(op, own, s + 1, length[i]):
                            dh[i] = dtype(0)
                            dc[i] = dtype(0)
                    further = gates + i * every * gates_bytes
                    dh[i], dc[i] = unit_backward(a, known, i, dh[i], dc[i], t < length[i], further, apart)
                    for g in range(count):
                        shared[np.uint32(r * depth + g * pitch + j)] = a[state + g, i]
            t += turn
            gates += turn * chunk * gates_bytes
            dy += turn * chunk * row_bytes
            before += turn * chunk * row_bytes
            cells -= chunk * row_bytes
            cuda.syncthreads()

    return make_kernel("recurrent", recurrent_backward, digest_of_cell(entry))
