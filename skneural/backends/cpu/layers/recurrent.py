"""Kernels of recurrent layers: one step of time after the other, for the thread's rows of the batch.

Rows are independent, so the threads do not meet within a sequence. Forward, the gates' buffer takes the
pre-activations, then what the way back needs of the gates; on the way back it takes the gradients by the
pre-activations, of which the update makes those by the weights: one product over all rows of all steps.

After the end of a row its states are 0, and nobody looks at the gradients there: padding changes no bit.

Sizes: T steps, B rows, I in, H units, G gates (each padded to ``ld_out``).
"""

import itertools

import numpy as np

from skneural.backends.cpu.compiler import digest_of, formula, helper
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, call_product, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.intrinsics import rows as rows_at
from skneural.backends.cpu.product import STRIP
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import (
    add_numbers,
    copy_numbers,
    length_of,
    multiply,
    multiply_numbers,
    row_at,
    weights_at,
)
from skneural.backends.cpu.updates import lay_out, use_gradient
from skneural.backends.gates import functions_of, gate_reader, gate_writer
from skneural.backends.records import APPLY, COLLECT
from skneural.maths import random
from skneural.maths.activations import logistic, tanh
from skneural.maths.cells import CELLS, weighted_gates
from skneural.maths.dropout import keep, row_position
from skneural.maths.random import layer_key

for _function in (logistic, tanh):
    formula(_function)

#: Bytes of gradients that are read again for each strip of weights, and rows that these are at least: together with
#: the inputs they should stay in the cache.
CHUNK_BYTES = 1 << 16
CHUNK_ROWS = 64

recurrent_at = details_view("recurrent")


def helper_key(dtype, entry):
    """What tells the helpers of a cell from those of others."""
    return dtype.__name__, entry.name, digest_of(*functions_of(entry))


def runs_of(activations):
    """Neighbouring gates with the same activation: ``(function, first, count)`` for each of these runs."""
    runs = []
    first = 0
    for function, gates in itertools.groupby(activations):
        count = len(list(gates))
        if function is not None:
            runs.append((function, first, count))
        first += count
    return runs


def make_activate_gates(dtype, runs, key):
    """A function that replaces the gates of a row by their activations; those of a run in one loop.

    Compiled code cannot take functions from a tuple by a running index: each run has a function, which calls that of
    the runs before.
    """
    size = dtype().itemsize
    if not runs:

        def activate_gates(z, pitch):
            pass

    else:
        function, first, count = runs[-1]
        activation = formula(function)
        activate_others = make_activate_gates(dtype, runs[:-1], key)

        def activate_gates(z, pitch):
            activate_others(z, pitch)
            a = vector(z + first * pitch * size, dtype)
            for j in range(count * pitch):
                a[j] = activation(a[j])[0]

    return helper(activate_gates, *key, len(runs))


def make_cell_rows(dtype, entry):
    """One step of the thread's rows: the cell, from the pre-activations of its gates."""
    size = dtype().itemsize
    cell = formula(entry.formula)
    memory = entry.memory
    zero = dtype(0)
    n_gates = len(entry.gates)
    read = gate_reader(n_gates, formula)
    write = gate_writer(n_gates, formula)
    key = helper_key(dtype, entry)
    activate_gates = make_activate_gates(dtype, runs_of(entry.activations), key)

    def cell_rows(op, own, f, t, first, last, z, h_before, h, c_before, c):
        unit = op.ld_out
        pitch = own.pitch
        step = unit * size
        for r in range(first, last):
            if t < length_of(f, op.every, op.steps, r):
                activate_gates(z, pitch)
                a = rows_at(z, dtype, n_gates, pitch)
                h_old = vector(h_before, dtype)
                h_new = vector(h, dtype)
                if memory:
                    c_old = vector(c_before, dtype)
                    c_new = vector(c, dtype)
                    for j in range(pitch):
                        values, h_new[j], c_new[j] = cell(read(a, j), h_old[j], c_old[j])
                        write(a, j, values)
                else:
                    for j in range(pitch):
                        values, h_new[j], _ = cell(read(a, j), h_old[j], zero)
                        write(a, j, values)
            else:
                clear(h, unit * size)
                if memory:
                    clear(c, unit * size)
            z += own.ld_gates * size
            h_before += step
            h += step
            c_before += step
            c += step

    return helper(cell_rows, *key)


@layer_kernel("recurrent", "forward", registry=CELLS)
def make_recurrent_forward(dtype, entry):
    """``a, h, c = cell(x @ weight + h_before @ recurrent + bias, h_before, c_before)``, step after step."""
    digest = digest_of(*functions_of(entry))
    size = dtype().itemsize
    memory = entry.memory
    n_gates = len(entry.gates)
    count = weighted_gates(entry)
    state = n_gates - count  # the first gate with weights of the state before
    draw_mask = make_draw_mask(dtype)
    cell_rows = make_cell_rows(dtype, entry)

    def recurrent_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = recurrent_at(op_address)
        f = frame_at(frame_address)
        unit = op.ld_out
        pitch = own.pitch
        ld = own.ld_gates
        rows = last - first
        weight, ld_weight = weights_at(f, own.weight, op.n_in, own.ld_weight, size)  # (I, G, H)
        recurrent, ld_recurrent = weights_at(f, own.recurrent, op.n_out, own.ld_weight, size)  # (H, G, H)
        bias = f.params + own.bias * size  # (G, H)
        masked = own.states >= 0
        width = count * pitch
        passed = own.states if masked else op.y
        nothing = row_at(f, own.cells, unit, 0, first, size)
        clear(nothing, rows * unit * size)
        if masked:
            draw_mask(op, own, f, first, last)
        for s in range(op.steps):
            t = op.steps - 1 - s if own.reverse != 0 else s
            before = t + 1 if own.reverse != 0 else t - 1
            z = row_at(f, own.gates, ld, t * own.kept, first, size)  # OUT (T, B, G, H)
            x = row_at(f, op.x, op.ld_in, t, first, size)  # (T, B, I)
            multiply(f, x, op.ld_in, weight, ld_weight, z, ld, rows, width, width, op.n_in, bias, 0, 0)
            for r in range(rows if state > 0 else 0):  # gates that have no weights of the input
                copy_numbers(z + (r * ld + width) * size, bias + width * size, (n_gates - count) * pitch, dtype)
            h_before = nothing
            if s > 0:
                h_before = row_at(f, op.y, unit, before, first, size)
                states = row_at(f, passed, unit, before, first, size)
                zs = z + state * pitch * size
                multiply(f, states, unit, recurrent, ld_recurrent, zs, ld, rows, width, width, op.n_out, zs, ld, 0)
            h = row_at(f, op.y, unit, t, first, size)  # OUT (T, B, H)
            slot = 0
            next_slot = 0
            if memory:
                slot = s if own.kept != 0 else s % 2
                next_slot = s + 1 if own.kept != 0 else (s + 1) % 2
            c_before = row_at(f, own.cells, unit, slot, first, size)
            c = row_at(f, own.cells, unit, next_slot, first, size)  # OUT (T, B, H)
            cell_rows(op, own, f, t, first, last, z, h_before, h, c_before, c)
            if masked:
                mask = row_at(f, own.d_state, unit, 2, first, size)
                multiply_numbers(row_at(f, own.states, unit, t, first, size), mask, h, rows * unit, dtype)

    return LAYER_KERNEL, recurrent_forward


def make_draw_mask(dtype):
    """The mask of the states of every row: one for all steps."""
    stream = random.RECURRENT_DROPOUT
    size = dtype().itemsize

    def draw_mask(op, own, f, first, last):
        key = layer_key(f.seed, stream, own.stream, f.step)
        limit = np.uint32(own.limit)
        scale = dtype(1.0 / (1.0 - own.rate))
        for r in range(first, last):
            mask = vector(row_at(f, own.d_state, op.ld_out, 2, r, size), dtype)
            position = row_position(f.start + r, op.ld_out)
            for j in range(op.ld_out):
                mask[j] = keep(key, position + np.uint64(j), limit, scale)

    return helper(draw_mask, dtype.__name__)


def make_gradient_rows(dtype, entry):
    """One step of the thread's rows back: gradients by the pre-activations, and by what the step before handed on."""
    size = dtype().itemsize
    backward = formula(entry.backward)
    memory = entry.memory
    zero = dtype(0)
    n_gates = len(entry.gates)
    read = gate_reader(n_gates, formula)
    write = gate_writer(n_gates, formula)

    def gradient_rows(op, own, f, t, first, last, z, h_before, c_before, c, dy, dh, dc):
        pitch = own.pitch
        step = op.ld_out * size
        for r in range(first, last):
            if t < length_of(f, op.every, op.steps, r):
                a = rows_at(z, dtype, n_gates, pitch)
                given = vector(dy, dtype)
                h = vector(h_before, dtype)
                to_h = vector(dh, dtype)
                if memory:
                    c_old = vector(c_before, dtype)
                    c_new = vector(c, dtype)
                    to_c = vector(dc, dtype)
                    for j in range(pitch):
                        total = given[j] + to_h[j]
                        dz, to_h[j], to_c[j] = backward(read(a, j), h[j], c_old[j], c_new[j], total, to_c[j])
                        write(a, j, dz)
                else:
                    for j in range(pitch):
                        dz, to_h[j], _ = backward(read(a, j), h[j], zero, zero, given[j] + to_h[j], zero)
                        write(a, j, dz)
            else:
                clear(z, n_gates * pitch * size)
            z += own.ld_gates * size
            h_before += step
            c_before += step
            c += step
            dy += step
            dh += step
            dc += step

    return helper(gradient_rows, *helper_key(dtype, entry))


def make_hand_back(dtype, entry):
    """What goes back from one step to the state before it through the gates, added to what goes back beside them."""
    size = dtype().itemsize
    count = weighted_gates(entry)
    state = len(entry.gates) - count

    def hand_back(op, own, f, s, first, rows, z, dh, dc):
        unit = op.ld_out
        weights = f.transposed + own.recurrent_transposed * size  # (G, H, H)
        zs = z + state * own.pitch * size
        masked = own.states >= 0
        target = row_at(f, own.d_state, unit, 3, first, size) if masked else dh
        begin = 0 if masked else dh
        depth = count * own.pitch
        multiply(f, zs, own.ld_gates, weights, -own.ld_weight, target, unit, rows, unit, unit, depth, begin, unit, 0)
        if masked:
            mask = row_at(f, own.d_state, unit, 2, first, size)
            multiply_numbers(target, mask, target, rows * unit, dtype)
            add_numbers(dh, target, rows * unit, dtype)
        for r in range(rows if own.truncate > 0 else 0):
            end = op.steps if own.reverse != 0 else length_of(f, op.every, op.steps, first + r)
            if s < end and (end - s) % own.truncate == 0:
                clear(dh + r * unit * size, unit * size)
                clear(dc + r * unit * size, unit * size)

    return helper(hand_back, *helper_key(dtype, entry))


@layer_kernel("recurrent", "backward", registry=CELLS)
def make_recurrent_backward(dtype, entry):
    """Gradients by the pre-activations of all gates, in their place, and by x where anybody asks."""
    digest = digest_of(*functions_of(entry))
    size = dtype().itemsize
    memory = entry.memory
    count = weighted_gates(entry)
    gradient_rows = make_gradient_rows(dtype, entry)
    hand_back = make_hand_back(dtype, entry)

    def recurrent_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = recurrent_at(op_address)
        f = frame_at(frame_address)
        unit = op.ld_out
        ld = own.ld_gates
        rows = last - first
        weights = f.transposed + own.transposed * size  # (G, H, I)
        nothing = row_at(f, own.cells, unit, 0, first, size)
        dh = row_at(f, own.d_state, unit, 0, first, size)
        dc = row_at(f, own.d_state, unit, 1, first, size)
        clear(dh, rows * unit * size)
        clear(dc, rows * unit * size)
        for s in range(op.steps - 1, -1, -1):
            t = op.steps - 1 - s if own.reverse != 0 else s
            before = t + 1 if own.reverse != 0 else t - 1
            z = row_at(f, own.gates, ld, t, first, size)  # OUT (T, B, G, H)
            h_before = row_at(f, op.y, unit, before, first, size) if s > 0 else nothing
            c_before = row_at(f, own.cells, unit, s if memory else 0, first, size)
            c = row_at(f, own.cells, unit, s + 1 if memory else 0, first, size)
            dy = row_at(f, op.dy, unit, t, first, size)  # (T, B, H)
            gradient_rows(op, own, f, t, first, last, z, h_before, c_before, c, dy, dh, dc)
            if s > 0:
                hand_back(op, own, f, s, first, rows, z, dh, dc)
            if op.dx >= 0:
                n = op.ld_in
                dx = row_at(f, op.dx, n, t, first, size)  # OUT (T, B, I)
                begin = row_at(f, op.begin, n, t, first, size) if op.begin >= 0 else 0
                depth = count * own.pitch
                multiply(f, z, ld, weights, -own.ld_weight, dx, n, rows, n, n, depth, begin, n, op.scale)

    return LAYER_KERNEL, recurrent_backward


# -- updates -----------------------------------------------------------------------------------------------------------


def make_sum_strip(dtype, entry):
    """Gradient of a strip of weights, of the rows `low` to `high` of all rows of all steps.

    The first step has no state before it, which is the last in memory if time runs backwards.
    """
    size = dtype().itemsize
    count = weighted_gates(entry)
    state = len(entry.gates) - count

    def sum_strip(op, own, f, last, is_input, i, rows, low, high, total):
        ld = own.ld_gates
        unit = op.ld_out
        dz = f.work + own.gates * f.capacity * size  # (T, B, G, H)
        begin = low
        if is_input:
            x = f.work + op.x * f.capacity * size  # (T, B, I)
            source = x + (low * op.ld_in + i) * size
            ld_source = op.ld_in
            target = dz + low * ld * size
            weights = own.weight
        else:
            h = f.work + (own.states if own.states >= 0 else op.y) * f.capacity * size  # (T, B, H)
            backwards = own.reverse != 0
            low = low if backwards else max(low, last)
            high = min(high, total - last) if backwards else high
            number = low + last if backwards else low - last
            source = h + (number * unit + i) * size
            ld_source = unit
            target = dz + (low * ld + state * own.pitch) * size
            weights = own.recurrent
        at = f.gradient + (weights + i * own.ld_weight) * size
        fresh = f.done == 0 and begin == 0
        if low < high:
            width = count * own.pitch
            start = 0 if fresh else at
            # The source is read as its transpose: its rows are next to each other.
            shape = (rows, width, width, high - low)
            arguments = (source, 1, ld_source, STRIP, target, ld, at, own.ld_weight, *shape, start, own.ld_weight, 0)
            call_product(f.product, arguments)
        elif fresh:
            clear(at, rows * own.ld_weight * size)

    return helper(sum_strip, *helper_key(dtype, entry))


@layer_kernel("recurrent", "update", registry=CELLS)
def make_recurrent_update(dtype, entry):
    """Gradients ``x.T @ dz``, ``h_before.T @ dz`` and ``sum(dz)`` over all steps, handed to the optimizer.

    The gradients of all steps do not fit a cache. So sums are taken chunk by chunk, in the order of the rows all the
    same: each product begins with what the one before has stored.
    """
    digest = digest_of(entry.formula)
    size = dtype().itemsize
    collect = COLLECT
    apply = APPLY
    n_gates = len(entry.gates)
    chunk_bytes = CHUNK_BYTES
    chunk_rows = CHUNK_ROWS
    sum_strip = make_sum_strip(dtype, entry)

    def recurrent_update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = recurrent_at(op_address)
        f = frame_at(frame_address)
        ld = own.ld_gates
        total = op.steps * last
        of_input = (op.n_in + f.row_block - 1) // f.row_block
        of_state = (op.n_out + f.row_block - 1) // f.row_block
        strips = of_input + of_state
        begin = f.rank * strips // f.n_threads
        end = (f.rank + 1) * strips // f.n_threads
        dz = f.work + own.gates * f.capacity * size  # (T, B, G, H)
        with_bias = f.rank == f.n_threads - 1
        chunk = max(chunk_rows, chunk_bytes // (ld * size))
        for k in range(0, total if f.phase != apply else 0, chunk):
            high = min(k + chunk, total)
            for s in range(begin, end):
                is_input = s < of_input
                i = s * f.row_block if is_input else (s - of_input) * f.row_block
                rows = min(f.row_block, (op.n_in if is_input else op.n_out) - i)
                sum_strip(op, own, f, last, is_input, i, rows, k, high, total)
            if with_bias:
                sums = f.gradient + own.bias * size
                if f.done == 0 and k == 0:
                    clear(sums, n_gates * own.pitch * size)
                for r in range(k, high):
                    add_numbers(sums, dz + r * ld * size, n_gates * own.pitch, dtype)
        for s in range(begin, end):
            is_input = s < of_input
            i = s * f.row_block if is_input else (s - of_input) * f.row_block
            rows = min(f.row_block, (op.n_in if is_input else op.n_out) - i)
            at = (own.weight if is_input else own.recurrent) + i * own.ld_weight
            gradient = f.gradient + at * size
            use_gradient(f, frame_address, at, rows * own.ld_weight, gradient, op.slot + s, 1, size, dtype)
            if f.phase != collect:
                block = own.weight if is_input else own.recurrent
                of_transposed = own.transposed if is_input else own.recurrent_transposed
                transposed = f.transposed + of_transposed * size if of_transposed >= 0 else 0
                params = f.params + block * size
                panels = f.panels + block * size
                n_rows = op.n_in if is_input else op.n_out
                ld_transposed = op.ld_in if is_input else op.ld_out
                lay_out(params, panels, transposed, n_rows, own.ld_weight, ld_transposed, i, rows, size, dtype)
        if with_bias:
            bias = f.gradient + own.bias * size
            use_gradient(f, frame_address, own.bias, n_gates * own.pitch, bias, op.slot + strips, 0, size, dtype)

    return LAYER_KERNEL, recurrent_update
