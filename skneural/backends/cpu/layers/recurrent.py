"""Kernels of recurrent layers: one step of time after the other, for the thread's rows of the batch.

Rows are independent, so the threads do not meet within a sequence. Forward, the gates' buffer takes the
pre-activations, then what the way back needs of the gates; on the way back it takes the gradients by the
pre-activations, of which the update makes those by the weights: one product over all rows of all steps.

After the end of a row its states are 0, and nobody looks at the gradients there: padding changes no bit.

Sizes: T steps, B rows, I in, H units, G gates (each padded to ``ld_out``).
"""

import numpy as np

from skneural.backends.cpu.compiler import digest_of, formula, helper
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, call_product, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.layout import CHUNK_ROWS, PANELS_FROM, STRIP, STRIPS, strip_pitch
from skneural.backends.cpu.loops import for_each, gates_of, get_unit, set_unit
from skneural.backends.cpu.product import lay_out_panels, lay_out_strips
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
from skneural.backends.gates import functions_of, gate_activations
from skneural.backends.records import APPLY, COLLECT
from skneural.maths import random
from skneural.maths.activations import logistic, tanh
from skneural.maths.cells import CELLS, weighted_gates
from skneural.maths.dropout import keep, row_position
from skneural.maths.random import layer_key

for _function in (logistic, tanh):
    formula(_function)

#: Bytes of gradients that are read again for each strip of weights: together with the inputs they should stay in the
#: cache. They are `CHUNK_ROWS` rows at least.
CHUNK_BYTES = 1 << 16

recurrent_at = details_view("recurrent")


def helper_key(dtype, entry):
    """What tells the helpers of a cell from those of others."""
    return dtype.__name__, entry.name, digest_of(*functions_of(entry))


def make_each(dtype, unit, *key):
    """A function that calls ``unit(j, *arrays)`` for every unit j of a row."""
    unit.__qualname__ = "_".join([unit.__name__, *key])
    body = formula(unit)

    def each(count, *arrays):
        for_each(body, count, dtype, arrays)

    each.__qualname__ = f"each_{unit.__qualname__}"
    return formula(each)


def make_each_forward(dtype, entry):
    """The cell for every unit of a row, from the pre-activations of its gates."""
    cell = formula(entry.formula)
    activate_gates = gate_activations(entry.activations, formula, formula)
    zero = dtype(0)
    if entry.memory:

        def forward(j, gates, h_before, h, c_before, c):
            activated = activate_gates(get_unit(gates, j))
            values, h[j], c[j] = cell(activated, h_before[j], c_before[j])
            set_unit(gates, j, values)

    else:

        def forward(j, gates, h_before, h, c_before, c):
            activated = activate_gates(get_unit(gates, j))
            values, h[j], _ = cell(activated, h_before[j], zero)
            set_unit(gates, j, values)

    return make_each(dtype, forward, *helper_key(dtype, entry))


def make_cell_rows(dtype, entry):
    """One step of the thread's rows: the cell, from the pre-activations of its gates."""
    size = dtype().itemsize
    memory = entry.memory
    n_gates = len(entry.gates)
    each_unit = make_each_forward(dtype, entry)

    def cell_rows(op, own, f, t, first, last, z, h_before, h, c_before, c):
        unit = op.ld_out
        pitch = own.pitch
        step = unit * size
        for r in range(first, last):
            if t < length_of(f, op.every, op.steps, r):
                gates = gates_of(vector(z, dtype), n_gates, pitch)
                h_old = vector(h_before, dtype)
                h_new = vector(h, dtype)
                c_old = vector(c_before, dtype)
                c_new = vector(c, dtype)
                each_unit(pitch, gates, h_old, h_new, c_old, c_new)
            else:
                clear(h, unit * size)
                if memory:
                    clear(c, unit * size)
            z += own.ld_gates * size
            h_before += step
            h += step
            c_before += step
            c += step

    return helper(cell_rows, *helper_key(dtype, entry))


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


def make_each_backward(dtype, entry):
    """The way back through every unit of a row: of its gates, the state before, and the memory before and after."""
    backward = formula(entry.backward)
    zero = dtype(0)
    if entry.memory:

        def back(j, gates, h, c_before, c, dy, dh, dc):
            total = dy[j] + dh[j]
            dz, dh[j], dc[j] = backward(get_unit(gates, j), h[j], c_before[j], c[j], total, dc[j])
            set_unit(gates, j, dz)

    else:

        def back(j, gates, h, c_before, c, dy, dh, dc):
            total = dy[j] + dh[j]
            dz, dh[j], _ = backward(get_unit(gates, j), h[j], zero, zero, total, zero)
            set_unit(gates, j, dz)

    return make_each(dtype, back, *helper_key(dtype, entry))


def make_gradient_rows(dtype, entry):
    """One step of the thread's rows back: gradients by the pre-activations, and by what the step before handed on."""
    size = dtype().itemsize
    n_gates = len(entry.gates)
    each_unit = make_each_backward(dtype, entry)

    def gradient_rows(op, own, f, t, first, last, z, h_before, c_before, c, dy, dh, dc):
        pitch = own.pitch
        step = op.ld_out * size
        for r in range(first, last):
            if t < length_of(f, op.every, op.steps, r):
                gates = gates_of(vector(z, dtype), n_gates, pitch)
                h = vector(h_before, dtype)
                c_old = vector(c_before, dtype)
                c_new = vector(c, dtype)
                given = vector(dy, dtype)
                to_h = vector(dh, dtype)
                to_c = vector(dc, dtype)
                each_unit(pitch, gates, h, c_old, c_new, given, to_h, to_c)
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


def make_add_gradient(dtype, entry):
    """Gradient of `rows` rows of weights, from row `i`, of the rows `low` to `high` of all rows of all steps.

    The first step has no state before it, which is the last in memory if time runs backwards. Where `in_strips`, x or
    the states are laid out in strips; then `n_panels` rows of gradients by the gates are in panels, 0 for none.
    """
    size = dtype().itemsize
    count = weighted_gates(entry)
    state = len(entry.gates) - count
    most_rows = STRIPS * STRIP

    def add_gradient(op, own, f, last, is_input, i, rows, low, high, total, in_strips, n_panels):
        width = count * own.pitch
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
        ld_target = ld
        if high - low == n_panels:
            target = f.scratch
            ld_target = -n_panels
        ld_at = own.ld_weight
        depth = high - low
        if depth <= 0:
            if fresh:
                clear(at, rows * ld_at * size)
        elif not in_strips:  # the source is read as its transpose: its rows are next to each other
            start = 0 if fresh else at
            shape = (rows, width, width, depth)
            call_product(f.product, (source, 1, ld_source, STRIP, target, ld, at, ld_at, *shape, start, ld_at, 0))
        else:
            pitch = strip_pitch(depth, size)
            for first in range(0, rows, most_rows):
                n_rows = min(most_rows, rows - first)
                lay_out_strips(source + first * size, ld_source, n_rows, depth, f.strips, pitch, size, dtype)
                goal = at + first * ld_at * size
                start = 0 if fresh else goal
                shape = (n_rows, width, width, depth)
                call_product(
                    f.product, (f.strips, 1, STRIP, pitch, target, ld_target, goal, ld_at, *shape, start, ld_at, 0)
                )

    return helper(add_gradient, *helper_key(dtype, entry))


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
    panels_from = PANELS_FROM
    in_one_piece = weighted_gates(entry) == n_gates  # else states are multiplied by other gates than inputs
    add_gradient = make_add_gradient(dtype, entry)

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
        is_wide = ld * size >= panels_from
        chunk = chunk_rows if is_wide else max(chunk_rows, chunk_bytes // (ld * size))
        input_begin = min(begin, of_input) * f.row_block
        input_end = min(end * f.row_block, op.n_in)
        state_begin = max(begin - of_input, 0) * f.row_block
        state_end = min((end - of_input) * f.row_block, op.n_out)
        for k in range(0, total if f.phase != apply else 0, chunk):
            high = min(k + chunk, total)
            n_panels = 0
            if is_wide and in_one_piece:
                n_panels = high - k
                lay_out_panels(dz + k * ld * size, ld, f.scratch, n_panels, 0, n_panels, 0, ld, size, dtype)
            if input_begin < input_end:
                count = input_end - input_begin
                add_gradient(op, own, f, last, True, input_begin, count, k, high, total, is_wide, n_panels)
            if state_begin < state_end:
                count = state_end - state_begin
                add_gradient(op, own, f, last, False, state_begin, count, k, high, total, is_wide, n_panels)
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
            ld = own.ld_weight
            is_wide = ld * size >= panels_from
            if input_begin < input_end:
                count = input_end - input_begin
                i = input_begin
                lay_out(f, own.weight, own.transposed, op.n_in, ld, ld, op.ld_in, i, count, is_wide, size, dtype)
            if state_begin < state_end:
                count = state_end - state_begin
                transposed = own.recurrent_transposed
                i = state_begin
                lay_out(f, own.recurrent, transposed, op.n_out, ld, ld, op.ld_out, i, count, is_wide, size, dtype)
        if with_bias:
            bias = f.gradient + own.bias * size
            use_gradient(f, frame_address, own.bias, n_gates * own.pitch, bias, op.slot + strips, 0, size, dtype)

    return LAYER_KERNEL, recurrent_update
