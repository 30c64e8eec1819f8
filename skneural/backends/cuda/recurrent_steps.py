"""Kernels of recurrent layers that work on one step of time, or on all of them at once.

The products with the input of all steps come first, and their ways back last. Between them stand the steps: of wide
layers a launch each, of narrow ones all in one launch (see `recurrent`). What becomes of one unit in one step is the
same in both; it stands here, too.

Forward, the gates' buffer takes the pre-activations, then what the way back needs of the gates; on the way back it
takes the gradients by the pre-activations. A row that has ended hands its state on unchanged, and its gradient back.

`step` is the number of the step in the order in which they are taken, from 0 on.

Sizes: T steps, B rows, I in, H units, G gates (each padded to ``op.pitch``).
"""

import numpy as np

from skneural.backends.cuda.compiler import digest_of, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import model_frame, op_at, row_number, vector
from skneural.backends.cuda.kernels import make_keep, row_of
from skneural.backends.cuda.product import make_product
from skneural.backends.gates import functions_of, gate_access, gate_activations
from skneural.maths import random
from skneural.maths.activations import logistic, tanh
from skneural.maths.cells import weighted_gates

for _function in (logistic, tanh):
    formula(_function)


def digest_of_cell(entry):
    """What tells the kernels of a cell from those of others."""
    return digest_of(*functions_of(entry)) + f"_{len(entry.gates)}_{weighted_gates(entry)}_{entry.memory}"


@register
def length_of(f, op, r):
    """Number of steps of row r of the batch."""
    return vector(f.lengths, np.int64)[row_number(f, r)] if f.lengths != 0 else op.steps


@register
def time_of(op, s):
    """Time step that comes in place s."""
    return op.steps - 1 - s if op.reverse != 0 else s


@register
def is_cut(op, s, length):
    """Whether no gradient goes back from step s to the one before, for a row of that length."""
    end = op.steps if op.reverse != 0 else length
    return op.truncate > 0 and s < end and (end - s) % op.truncate == 0


def make_factor(dtype):
    """A function for recurrent dropout: what a unit's state is multiplied by on its way to the next step."""
    keep, stream, one = make_keep(dtype), random.RECURRENT_DROPOUT, dtype(1)

    def factor_of(op, f, r, j):
        if op.rate > 0 and f.training != 0:
            key = random.key(np.uint64(f.seed), np.uint64(stream + 16 * op.stream), np.uint64(f.step))
            return keep(op, key, (f.start + r) * op.ld_out + j)
        return one

    return register(factor_of)


# -- one unit in one step ----------------------------------------------------------------------------------------------

# A unit of a row is known by the addresses of its numbers: of its first gate, of its state, and so on. So loops over
# the steps need no more than to move them on.


@register
def unit_place(f, buffer, ld, row, j, size):
    """Address of unit j of a row of a buffer."""
    return row_of(f, buffer, ld, row, size) + j * size


def make_unit_forward(dtype, entry):
    """Two functions: read the pre-activations of a unit's gates into ``z[:, i]``; the cell, from there.

    Gates that have no weights of the input begin with their biases, if not all have been summed up yet. The second
    returns the new state and memory.
    """
    memory, n_gates, count = entry.memory, len(entry.gates), weighted_gates(entry)
    cell, activate = formula(entry.formula), register(gate_activations(entry.activations, formula))
    read, write = map(register, gate_access(n_gates))

    def read_gates(z, i, gates, bias, apart, begins):
        for g in range(n_gates):
            if begins and g >= count:
                z[g, i] = vector(bias + g * apart, dtype)[0]  # (G, H)
            else:
                z[g, i] = vector(gates + g * apart, dtype)[0]  # (T, B, G, H)

    def unit_forward(z, i, h, c, factor, runs, gates, apart, y, cells, passes, states):
        if runs:
            values, h, c = cell(activate(read(z, i)), h, c)
            write(z, i, values)
            for g in range(n_gates):
                vector(gates + g * apart, dtype)[0] = z[g, i]  # OUT (T, B, G, H)
        vector(y, dtype)[0] = h  # OUT (T, B, H)
        if memory:
            vector(cells, dtype)[0] = c  # OUT (T + 1, B, H)
        if passes:
            vector(states, dtype)[0] = factor * h  # OUT (T, B, H)
        return h, c

    return register(read_gates), register(unit_forward)


def make_unit_backward(dtype, entry):
    """Two functions: read what the way back needs of a unit into ``a[:, i]`` and ``known[:, i]``; the way back.

    Known are the state and memory before, the memory after, and the gradient by the state from above. The second
    leaves the gradients by the pre-activations in `a`, too; it returns those by the state and memory before, but for
    what comes through the gates.
    """
    memory, n_gates, zero = entry.memory, len(entry.gates), dtype(0)
    backward, (read, write) = formula(entry.backward), map(register, gate_access(n_gates))

    def read_unit(a, known, i, has_before, gates, apart, before, cells, cells_step, dy):
        for g in range(n_gates):
            a[g, i] = vector(gates + g * apart, dtype)[0]  # (T, B, G, H)
        known[0, i], known[1, i], known[2, i] = zero, zero, zero
        if memory:
            known[2, i] = vector(cells, dtype)[0]  # (T + 1, B, H)
        if has_before:
            known[0, i] = vector(before, dtype)[0]  # (T, B, H)
            if memory:
                known[1, i] = vector(cells - cells_step, dtype)[0]
        known[3, i] = vector(dy, dtype)[0]  # (T, B, H)

    def unit_backward(a, known, i, dh, dc, runs, gates, apart):
        given = known[3, i] + dh
        if runs:
            dz, given, dc = backward(read(a, i), known[0, i], known[1, i], known[2, i], given, dc)
            write(a, i, dz)
        else:
            for g in range(n_gates):
                a[g, i] = zero
        for g in range(n_gates):
            vector(gates + g * apart, dtype)[0] = a[g, i]  # OUT (T, B, G, H)
        return given, dc

    return register(read_unit), register(unit_backward)


# -- a step of a wide layer --------------------------------------------------------------------------------------------


def make_cell_forward(dtype, entry):
    """``a, h, c = cell(z, h_before, c_before)``, for all units of one step."""
    digest, size, zero, memory = digest_of_cell(entry), dtype().itemsize, dtype(0), entry.memory
    n_gates, factor_of, (read_gates, unit_forward) = (
        len(entry.gates),
        make_factor(dtype),
        make_unit_forward(dtype, entry),
    )

    def cell_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        t, z, apart = time_of(op, step), cuda.local.array((n_gates, 1), dtype), op.pitch * size
        for e in range(cuda.grid(1), f.chunk * op.n_out, cuda.gridsize(1)):
            r, j = e // op.n_out, e % op.n_out
            row, h, c = t * f.chunk + r, zero, zero
            gates, y = unit_place(f, op.gates, op.ld_gates, row, j, size), unit_place(f, op.y, op.ld_out, row, j, size)
            cells = unit_place(f, op.cells, op.ld_out, (step + 1) * f.chunk + r, j, size)
            states = unit_place(f, op.states, op.ld_out, row, j, size)
            read_gates(z, 0, gates, f.params + (op.bias + j) * size, apart, step == 0)
            if step > 0:
                before = time_of(op, step - 1) * f.chunk + r
                h = vector(unit_place(f, op.y, op.ld_out, before, j, size), dtype)[0]  # (T, B, H)
                if memory:
                    c = vector(unit_place(f, op.cells, op.ld_out, step * f.chunk + r, j, size), dtype)[0]
            factor, runs, passes = factor_of(op, f, r, j), t < length_of(f, op, r), op.states >= 0
            unit_forward(z, 0, h, c, factor, runs, gates, apart, y, cells, passes, states)

    return cell_forward


def make_cell_backward(dtype, entry):
    """Gradients by the pre-activations of one step, in place of the gates; into `d_state` those for the step before.

    The state's comes through the gates, too: that share the product adds.
    """
    digest, size, zero, n_gates = digest_of_cell(entry), dtype().itemsize, dtype(0), len(entry.gates)
    read_unit, unit_backward = make_unit_backward(dtype, entry)

    def cell_backward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        a, known = cuda.local.array((n_gates, 1), dtype), cuda.local.array((4, 1), dtype)
        t, apart, cells_step = time_of(op, step), op.pitch * size, f.chunk * op.ld_out * size
        for e in range(cuda.grid(1), f.chunk * op.n_out, cuda.gridsize(1)):
            r, j = e // op.n_out, e % op.n_out
            to_h = vector(unit_place(f, op.d_state, op.ld_out, r, j, size), dtype)  # OUT (B, H)
            to_c = vector(unit_place(f, op.d_state, op.ld_out, f.chunk + r, j, size), dtype)  # OUT (B, H)
            length, row, dh, dc = length_of(f, op, r), t * f.chunk + r, zero, zero
            if step + 1 < op.steps and not is_cut(op, step + 1, length):
                dh, dc = to_h[0], to_c[0]
            gates, dy = (
                unit_place(f, op.gates, op.ld_gates, row, j, size),
                unit_place(f, op.dy, op.ld_out, row, j, size),
            )
            cells = unit_place(f, op.cells, op.ld_out, (step + 1) * f.chunk + r, j, size)
            before = unit_place(f, op.y, op.ld_out, time_of(op, step - 1) * f.chunk + r, j, size)
            read_unit(a, known, 0, step > 0, gates, apart, before, cells, cells_step, dy)
            to_h[0], to_c[0] = unit_backward(a, known, 0, dh, dc, t < length, gates, apart)

    return cell_backward


def make_recurrent_step_forward(dtype, tile, entry):
    """``z += h_before @ recurrent`` of one step; no state comes before the first."""
    size, n_gates, count = dtype().itemsize, len(entry.gates), weighted_gates(entry)
    state = n_gates - count  # the first gate with weights of the state before

    def sizes(op, f, step):
        return f.chunk if step > 0 else 0, count * op.pitch, op.n_out

    def states(op, f, step, number):
        passed = op.states if op.states >= 0 else op.y
        return row_of(f, passed, op.ld_out, time_of(op, step - 1) * f.chunk + number, size)

    def finish(op, f, step, ready, part, m, n, total):
        z = vector(row_of(f, op.gates, op.ld_gates, time_of(op, step) * f.chunk + m, size), dtype)  # OUT (T, B, G, H)
        at = state * op.pitch + n
        if at < count * op.pitch:
            z[at] += total
        else:
            z[at] = vector(f.params + op.bias * size, dtype)[at] + total

    recurrent = make_weight_lines(dtype, of_state=True)
    return make_product(dtype, tile, "NN", sizes, states, recurrent, finish, digest_of_cell(entry))


def make_recurrent_step_backward(dtype, tile, entry):
    """``dh += mask * (dz @ recurrent.T)``: what goes back from one step to the state before it through the gates."""
    size, n_gates, count = dtype().itemsize, len(entry.gates), weighted_gates(entry)
    state, factor_of = n_gates - count, make_factor(dtype)

    def sizes(op, f, step):
        return f.chunk if step > 0 else 0, op.n_out, count * op.pitch

    def finish(op, f, step, ready, part, m, n, total):
        dh = vector(row_of(f, op.d_state, op.ld_out, m, size), dtype)  # OUT (B, H)
        dh[n] += factor_of(op, f, m, n) * total

    def gates(op, f, step, number):
        row = time_of(op, step) * f.chunk + number
        return row_of(f, op.gates, op.ld_gates, row, size) + state * op.pitch * size

    recurrent = make_weight_lines(dtype, of_state=True)
    return make_product(dtype, tile, "NT", sizes, gates, recurrent, finish, digest_of_cell(entry))


# -- all steps at once -------------------------------------------------------------------------------------------------


def make_weight_lines(dtype, of_state):
    """A function for products: the address of a row of the weights, those of the input or of the state."""
    size = dtype().itemsize

    def line(op, f, step, number):
        return f.params + ((op.recurrent if of_state else op.weight) + number * op.ld_weight) * size

    return line


def make_row_lines(dtype, of_gates):
    """A function for products: the address of a row of the gates, or of the input, of all steps."""
    size = dtype().itemsize

    def line(op, f, step, number):
        if of_gates:
            return row_of(f, op.gates, op.ld_gates, number, size)
        return row_of(f, op.x, op.ld_in, number, size)

    return line


def make_recurrent_inputs(dtype, tile, entry):
    """``z = x @ weight + bias`` of all steps, for the gates that have weights of the input."""
    size, count = dtype().itemsize, weighted_gates(entry)

    def sizes(op, f, step):
        return op.steps * f.chunk, count * op.pitch, op.n_in

    def finish(op, f, step, ready, part, m, n, total):
        z = vector(row_of(f, op.gates, op.ld_gates, m, size), dtype)  # OUT (T, B, G, H)
        z[n] = total + vector(f.params + op.bias * size, dtype)[n]

    x, weight = make_row_lines(dtype, of_gates=False), make_weight_lines(dtype, of_state=False)
    return make_product(dtype, tile, "NN", sizes, x, weight, finish, digest_of_cell(entry))


def make_recurrent_inputs_backward(dtype, tile, entry):
    """``dx = dz @ weight.T`` of all steps, added to what is there if another operation reads x, too."""
    size, count = dtype().itemsize, weighted_gates(entry)

    def sizes(op, f, step):
        return op.steps * f.chunk, op.n_in, count * op.pitch

    def finish(op, f, step, ready, part, m, n, total):
        dx = vector(row_of(f, op.dx, op.ld_in, m, size), dtype)  # OUT (T, B, I)
        dx[n] = dx[n] + total if op.adds != 0 else total

    gates, weight = make_row_lines(dtype, of_gates=True), make_weight_lines(dtype, of_state=False)
    return make_product(dtype, tile, "NT", sizes, gates, weight, finish, digest_of_cell(entry))
