"""Kernels of recurrent layers: one step of time after the other, for the thread's rows of the batch.

Rows are independent, so the threads do not meet within a sequence. Forward, the gates' buffer takes the
pre-activations, then what the way back needs of the gates; on the way back it takes the gradients by the
pre-activations, of which the update makes those by the weights: one product over all rows of all steps.

A row that has ended hands its state on unchanged, and its gradient back. So states after the last step are those after
a row's own last step, and padding changes no bit.

Sizes: T steps, B rows, I in, H units, G gates (each padded to ``ld_out``).
"""

import itertools

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler exp, random numbers and their kin)
from skneural.backends.cpu.compiler import HELPER, digest_of, formula, helper
from skneural.backends.cpu.intrinsics import (
    LAYER_KERNEL,
    call_product,
    clear,
    frame_at,
    op_at,
    vector,
)
from skneural.backends.cpu.intrinsics import rows as rows_at
from skneural.backends.cpu.updates import add_numbers
from skneural.backends.gates import functions_of, gate_access
from skneural.maths import random
from skneural.maths.activations import identity, logistic, tanh
from skneural.maths.cells import weighted_gates

for _function in (logistic, tanh):
    formula(_function)


@register_jitable(**HELPER)
def length_of(f, op, r):
    """Number of steps of row r of the piece."""
    if f.lengths == 0:
        return op.steps
    order, lengths = vector(f.order, np.int64), vector(f.lengths, np.int64)
    return lengths[order[f.start + r] if f.order != 0 else f.start + r]


@register_jitable(**HELPER)
def at_step(f, op, buffer, ld, t, r, size):
    """Address of row r of time step t in a buffer of sequences."""
    return f.work + (buffer * f.capacity + (t * f.piece + r) * ld) * size


@register_jitable(**HELPER)
def multiply(f, a, a_row, b, ld_b, c, ld_c, n_rows, n_columns, depth, begin, ld_begin):
    """``C = begin + A B``: see `product.make_product`."""
    call_product(
        f.product, (a, a_row, 1, b, ld_b, c, ld_c, n_rows, n_columns, depth, begin, ld_begin, 0, f.panel)
    )  # fmt: skip


@register_jitable(**HELPER)
def copy_numbers(target, source, count, dtype):
    """``target = source`` at two addresses."""
    a, b = vector(target, dtype), vector(source, dtype)
    for j in range(count):
        a[j] = b[j]


@register_jitable(**HELPER)
def multiply_numbers(target, x, y, count, dtype):
    """``target = x * y`` at three addresses."""
    a, b, c = vector(target, dtype), vector(x, dtype), vector(y, dtype)
    for j in range(count):
        a[j] = b[j] * c[j]


def helper_key(dtype, entry):
    """What tells the helpers of a cell from those of others."""
    return dtype.__name__, entry.name, digest_of(*functions_of(entry))


def make_activate_gates(dtype, activations, key):
    """A function that replaces the gates of a row by their activations; neighbours that have the same in one loop.

    Written out for up to four such runs: compiled code cannot take functions from a tuple by a running index.
    """
    runs, size, first = [], dtype().itemsize, 0
    for function, gates in itertools.groupby(activations):
        count = len(list(gates))
        if function is not None:
            runs.append((formula(function), first, count))
        first += count
    n_runs = len(runs)
    runs += [(formula(identity), 0, 0)] * 4
    (f, f_first, f_count), (g, g_first, g_count), (h, h_first, h_count), (i, i_first, i_count) = runs[:4]

    def activate_gates(z, pitch):
        a = vector(z + f_first * pitch * size, dtype)
        for j in range(f_count * pitch):
            a[j] = f(a[j])[0]
        if n_runs > 1:
            b = vector(z + g_first * pitch * size, dtype)
            for j in range(g_count * pitch):
                b[j] = g(b[j])[0]
        if n_runs > 2:
            c = vector(z + h_first * pitch * size, dtype)
            for j in range(h_count * pitch):
                c[j] = h(c[j])[0]
        if n_runs > 3:
            d = vector(z + i_first * pitch * size, dtype)
            for j in range(i_count * pitch):
                d[j] = i(d[j])[0]

    return helper(activate_gates, *key)


def make_cell_rows(dtype, entry):
    """One step of the thread's rows: the cell, from the pre-activations of its gates."""
    size, cell, memory, zero = dtype().itemsize, formula(entry.formula), entry.memory, dtype(0)
    n_gates, (read, write) = len(entry.gates), map(formula, gate_access(len(entry.gates)))
    key = helper_key(dtype, entry)
    activate = make_activate_gates(dtype, entry.activations, key)

    def cell_rows(op, f, t, first, last, z, h_before, h, c_before, c):
        unit, pitch, step = op.ld_out, op.pitch, op.ld_out * size
        for r in range(first, last):
            if t < length_of(f, op, r):
                a, old, new = rows_at(z, dtype, n_gates, pitch), vector(h_before, dtype), vector(h, dtype)
                activate(z, pitch)
                if memory:
                    c_old, c_new = vector(c_before, dtype), vector(c, dtype)
                    for j in range(pitch):
                        values, new[j], c_new[j] = cell(read(a, j), old[j], c_old[j])
                        write(a, j, values)
                else:
                    for j in range(pitch):
                        values, new[j], _ = cell(read(a, j), old[j], zero)
                        write(a, j, values)
            else:
                copy_numbers(h, h_before, unit, dtype)
                if memory:
                    copy_numbers(c, c_before, unit, dtype)
            z += op.ld_gates * size
            h_before, h, c_before, c = h_before + step, h + step, c_before + step, c + step

    return helper(cell_rows, *key)


def make_recurrent_forward(dtype, entry):
    """``a, h, c = cell(x @ weight + h_before @ recurrent + bias, h_before, c_before)``, step after step."""
    digest, size, memory = digest_of(*functions_of(entry)), dtype().itemsize, entry.memory
    n_gates, count = len(entry.gates), weighted_gates(entry)
    state = n_gates - count  # the first gate with weights of the state before
    draw_mask, cell_rows = make_draw_mask(dtype), make_cell_rows(dtype, entry)

    def recurrent_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        unit, pitch, ld, rows = op.ld_out, op.pitch, op.ld_gates, last - first
        weight, recurrent = f.params + op.weight * size, f.params + op.recurrent * size  # (I, G, H), (H, G, H)
        bias, masked, width = f.params + op.bias * size, op.states >= 0, count * pitch  # (G, H)
        passed = op.states if masked else op.y
        nothing = at_step(f, op, op.cells, unit, 0, first, size)
        clear(nothing, rows * unit * size)
        if masked:
            draw_mask(op, f, first, last)
        for s in range(op.steps):
            t, before = (op.steps - 1 - s, op.steps - s) if op.reverse != 0 else (s, s - 1)
            z = at_step(f, op, op.gates, ld, t * op.kept, first, size)  # OUT (T, B, G, H)
            x = at_step(f, op, op.x, op.ld_in, t, first, size)  # (T, B, I)
            multiply(f, x, op.ld_in, weight, op.ld_weight, z, ld, rows, width, op.n_in, bias, 0)
            for r in range(rows if state > 0 else 0):  # gates that have no weights of the input
                copy_numbers(z + (r * ld + width) * size, bias + width * size, (n_gates - count) * pitch, dtype)
            if s > 0:
                states, zs = at_step(f, op, passed, unit, before, first, size), z + state * pitch * size
                multiply(f, states, unit, recurrent, op.ld_weight, zs, ld, rows, width, op.n_out, zs, ld)
            h_before = at_step(f, op, op.y, unit, before, first, size) if s > 0 else nothing
            h = at_step(f, op, op.y, unit, t, first, size)  # OUT (T, B, H)
            slot, next_slot = (s, s + 1) if op.kept != 0 else (s % 2, (s + 1) % 2)
            c_before = at_step(f, op, op.cells, unit, slot if memory else 0, first, size)
            c = at_step(f, op, op.cells, unit, next_slot if memory else 0, first, size)  # OUT (T, B, H)
            cell_rows(op, f, t, first, last, z, h_before, h, c_before, c)
            if masked:
                mask = at_step(f, op, op.carry, unit, 2, first, size)
                multiply_numbers(at_step(f, op, op.states, unit, t, first, size), mask, h, rows * unit, dtype)

    return LAYER_KERNEL, recurrent_forward


def make_draw_mask(dtype):
    """The mask of the states of every row: one for all steps."""
    key, bits, stream, size = formula(random.key), formula(random.bits), random.RECURRENT_DROPOUT, dtype().itemsize

    def draw_mask(op, f, first, last):
        k = key(np.uint64(f.seed), np.uint64(stream + 16 * op.stream), np.uint64(f.step))
        limit, scale, zero = np.uint32(op.limit), dtype(1.0 / (1.0 - op.rate)), dtype(0)
        for r in range(first, last):
            mask = vector(at_step(f, op, op.carry, op.ld_out, 2, r, size), dtype)
            position = np.uint64((f.start + r) * op.ld_out)
            for j in range(op.ld_out):
                mask[j] = scale if np.uint32(bits(k, position + np.uint64(j))) >= limit else zero

    return helper(draw_mask, dtype.__name__)


def make_slope_rows(dtype, entry):
    """One step of the thread's rows back: gradients by the pre-activations, and by what the step before handed on."""
    size, backward, memory, zero = dtype().itemsize, formula(entry.backward), entry.memory, dtype(0)
    n_gates, (read, write) = len(entry.gates), map(formula, gate_access(len(entry.gates)))

    def slope_rows(op, f, t, first, last, z, h_before, c_before, c, dy, dh, dc):
        unit, pitch, step = op.ld_out, op.pitch, op.ld_out * size
        for r in range(first, last):
            given, to_h = vector(dy, dtype), vector(dh, dtype)
            if t < length_of(f, op, r):
                a, h = rows_at(z, dtype, n_gates, pitch), vector(h_before, dtype)
                if memory:
                    c_old, c_new, to_c = vector(c_before, dtype), vector(c, dtype), vector(dc, dtype)
                    for j in range(pitch):
                        dz, to_h[j], to_c[j] = backward(
                            read(a, j), h[j], c_old[j], c_new[j], given[j] + to_h[j], to_c[j]
                        )
                        write(a, j, dz)
                else:
                    for j in range(pitch):
                        dz, to_h[j], _ = backward(read(a, j), h[j], zero, zero, given[j] + to_h[j], zero)
                        write(a, j, dz)
            else:
                clear(z, n_gates * pitch * size)
                add_numbers(dh, dy, unit, dtype)
            z += op.ld_gates * size
            h_before, c_before, c = h_before + step, c_before + step, c + step
            dy, dh, dc = dy + step, dh + step, dc + step

    return helper(slope_rows, *helper_key(dtype, entry))


def make_recurrent_backward(dtype, entry):
    """Gradients by the pre-activations of all gates, in their place, and by x where it has any."""
    digest, size, memory = digest_of(*functions_of(entry)), dtype().itemsize, entry.memory
    count, slope_rows = weighted_gates(entry), make_slope_rows(dtype, entry)
    state = len(entry.gates) - count

    def recurrent_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        unit, pitch, ld, rows, depth = op.ld_out, op.pitch, op.ld_gates, last - first, count * op.pitch
        turned = f.transposed + op.transposed * size  # (G, H, I)
        turned_state = f.transposed + op.recurrent_transposed * size  # (G, H, H)
        nothing = at_step(f, op, op.cells, unit, 0, first, size)
        dh, dc = at_step(f, op, op.carry, unit, 0, first, size), at_step(f, op, op.carry, unit, 1, first, size)
        clear(dh, rows * unit * size)
        clear(dc, rows * unit * size)
        for s in range(op.steps - 1, -1, -1):
            t, before = (op.steps - 1 - s, op.steps - s) if op.reverse != 0 else (s, s - 1)
            z = at_step(f, op, op.gates, ld, t, first, size)  # OUT (T, B, G, H)
            h_before = at_step(f, op, op.y, unit, before, first, size) if s > 0 else nothing
            c_before = at_step(f, op, op.cells, unit, s if memory else 0, first, size)
            c = at_step(f, op, op.cells, unit, s + 1 if memory else 0, first, size)
            dy = at_step(f, op, op.dy, unit, t, first, size)  # (T, B, H)
            slope_rows(op, f, t, first, last, z, h_before, c_before, c, dy, dh, dc)
            if s > 0:
                zs, goal, begin = z + state * pitch * size, dh, dh
                if op.states >= 0:
                    goal, begin = at_step(f, op, op.carry, unit, 3, first, size), 0
                multiply(f, zs, ld, turned_state, unit, goal, unit, rows, unit, depth, begin, unit)
                if op.states >= 0:
                    mask = at_step(f, op, op.carry, unit, 2, first, size)
                    multiply_numbers(goal, mask, goal, rows * unit, dtype)
                    add_numbers(dh, goal, rows * unit, dtype)
                for r in range(rows if op.truncate > 0 else 0):
                    end = op.steps if op.reverse != 0 else length_of(f, op, first + r)
                    if s < end and (end - s) % op.truncate == 0:
                        clear(dh + r * unit * size, unit * size)
                        clear(dc + r * unit * size, unit * size)
            if op.dx >= 0:
                dx = at_step(f, op, op.dx, op.ld_in, t, first, size)  # OUT (T, B, I)
                begin = dx if op.adds != 0 else 0
                multiply(f, z, ld, turned, op.ld_in, dx, op.ld_in, rows, op.ld_in, depth, begin, op.ld_in)

    return LAYER_KERNEL, recurrent_backward
