"""Kernels of recurrent layers that work on one step of time, or on all of them at once.

The products with the input of all steps come first, and their ways back last. Between them stand the steps: of wide
layers a launch each, of narrow ones all in one launch (see `recurrent_loops`). What becomes of one unit in one step is
the same in both; it stands here, too.

Forward, the gates' buffer takes the pre-activations, then what the way back needs of the gates; on the way back it
takes the gradients by the pre-activations. After the end of a row its states are 0, and nobody looks at the gradients
there.

`step` is the number of the step in the order in which they are taken, from 0 on.

Sizes: T steps, B rows, I in, H units, G gates (each padded to ``own.pitch``).
"""

from skneural.backends.cuda.compiler import digest_of, formula
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import details_view, vector
from skneural.backends.cuda.product import make_product
from skneural.backends.cuda.rows import factor_of, get, length_of, make_kernel, parameter, put, row_of, send_x
from skneural.backends.gates import functions_of, gate_activations, gate_reader, gate_writer
from skneural.maths import random
from skneural.maths.activations import logistic, tanh
from skneural.maths.cells import weighted_gates
from skneural.maths.random import layer_key

for _function in (logistic, tanh):
    formula(_function)

recurrent_at = details_view("recurrent")


def digest_of_cell(entry):
    """What tells the kernels of a cell from those of others."""
    return digest_of(*functions_of(entry)) + f"_{len(entry.gates)}_{weighted_gates(entry)}_{entry.memory}"


@register
def time_of(op, own, s):
    """Time step that comes in place s."""
    return op.steps - 1 - s if own.reverse != 0 else s


@register
def is_cut(op, own, s, length):
    """Whether no gradient goes back from step s to the one before, for a row of that length."""
    end = op.steps if own.reverse != 0 else length
    return own.truncate > 0 and s < end and (end - s) % own.truncate == 0


def make_factor(dtype):
    """A function for recurrent dropout: what a unit's state is multiplied by on its way to the next step."""
    stream = random.RECURRENT_DROPOUT

    def state_factor(op, own, f, r, j):
        if own.rate == 0 or f.training == 0:
            return dtype(1)
        return factor_of(op, own, f, layer_key(f.seed, stream, own.stream, f.step), r, j, dtype)

    return register(state_factor)


# -- one unit in one step ----------------------------------------------------------------------------------------------

# A unit of a row is known by the addresses of its numbers: of its first gate, of its state, and so on. So loops over
# the steps need no more than to move them on.


@register
def unit_at(f, buffer, ld, row, j, size):
    """Address of unit j of a row of a buffer."""
    return row_of(f, buffer, ld, row, size) + j * size


@register
def addresses_forward(op, own, f, s, r, j, size):
    """Addresses of a unit in step s: of its first gate, its state, its memory and its masked state."""
    row = time_of(op, own, s) * f.chunk + r
    gates = unit_at(f, own.gates, own.ld_gates, row, j, size)
    y = unit_at(f, op.y, op.ld_out, row, j, size)
    cells = unit_at(f, own.cells, op.ld_out, (s + 1) * f.chunk + r, j, size)
    states = unit_at(f, own.states, op.ld_out, row, j, size)
    return gates, y, cells, states


@register
def addresses_backward(op, own, f, s, r, j, size):
    """The same on the way back: of its first gate, the gradient by its state, its memory and the state before."""
    row = time_of(op, own, s) * f.chunk + r
    gates = unit_at(f, own.gates, own.ld_gates, row, j, size)
    dy = unit_at(f, op.dy, op.ld_out, row, j, size)
    cells = unit_at(f, own.cells, op.ld_out, (s + 1) * f.chunk + r, j, size)
    before = unit_at(f, op.y, op.ld_out, time_of(op, own, s - 1) * f.chunk + r, j, size)
    return gates, dy, cells, before


def make_unit_forward(dtype, entry):
    """Two functions: read the pre-activations of a unit's gates into ``z[:, i]``; the cell, from there.

    Gates that have no weights of the input begin with their biases, if not all have been summed up yet. The second
    returns the new state and memory, which are 0 after the end of a row.
    """
    memory = entry.memory
    n_gates = len(entry.gates)
    count = weighted_gates(entry)
    cell = formula(entry.formula)
    activate = gate_activations(entry.activations, formula, register)
    read = gate_reader(n_gates, register)
    write = gate_writer(n_gates, register)

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
        else:
            h = dtype(0)
            c = dtype(0)
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
    memory = entry.memory
    n_gates = len(entry.gates)
    backward = formula(entry.backward)
    read = gate_reader(n_gates, register)
    write = gate_writer(n_gates, register)

    def read_unit(a, known, i, has_before, gates, apart, before, cells, cells_step, dy):
        for g in range(n_gates):
            a[g, i] = vector(gates + g * apart, dtype)[0]  # (T, B, G, H)
        for k in range(3):
            known[k, i] = dtype(0)
        if has_before:
            known[0, i] = vector(before, dtype)[0]  # (T, B, H)
            if memory:
                known[1, i] = vector(cells - cells_step, dtype)[0]  # (T + 1, B, H)
        if memory:
            known[2, i] = vector(cells, dtype)[0]
        known[3, i] = vector(dy, dtype)[0]  # (T, B, H)

    def unit_backward(a, known, i, dh, dc, runs, gates, apart):
        if runs:
            dz, dh, dc = backward(read(a, i), known[0, i], known[1, i], known[2, i], known[3, i] + dh, dc)
            write(a, i, dz)
        else:
            for g in range(n_gates):
                a[g, i] = dtype(0)
        for g in range(n_gates):
            vector(gates + g * apart, dtype)[0] = a[g, i]  # OUT (T, B, G, H)
        return dh, dc

    return register(read_unit), register(unit_backward)


# -- a step of a wide layer --------------------------------------------------------------------------------------------


def make_cell_forward(dtype, entry):
    """``a, h, c = cell(z, h_before, c_before)``, for all units of one step."""
    size = dtype().itemsize
    memory = entry.memory
    n_gates = len(entry.gates)
    state_factor = make_factor(dtype)
    read_gates, unit_forward = make_unit_forward(dtype, entry)

    def cell_forward(op, own, f, step):
        t = time_of(op, own, step)
        z = cuda.local.array((n_gates, 1), dtype)
        apart = own.pitch * size
        for e in range(cuda.grid(1), f.chunk * op.n_out, cuda.gridsize(1)):
            r = e // op.n_out
            j = e % op.n_out
            gates, y, cells, states = addresses_forward(op, own, f, step, r, j, size)
            read_gates(z, 0, gates, f.params + (own.bias + j) * size, apart, step == 0)
            h = dtype(0)
            c = dtype(0)
            if step > 0:
                before = time_of(op, own, step - 1) * f.chunk + r
                h = get(f, op.y, op.ld_out, before, j, dtype)
                if memory:
                    c = get(f, own.cells, op.ld_out, step * f.chunk + r, j, dtype)
            factor = state_factor(op, own, f, r, j)
            runs = t < length_of(f, op.every, op.steps, r)
            unit_forward(z, 0, h, c, factor, runs, gates, apart, y, cells, own.states >= 0, states)

    return make_kernel("recurrent", cell_forward, digest_of_cell(entry))


def make_cell_backward(dtype, entry):
    """Gradients by the pre-activations of one step, in place of the gates; into `d_state` those for the step before.

    The state's comes through the gates, too: that share the product adds.
    """
    size = dtype().itemsize
    n_gates = len(entry.gates)
    read_unit, unit_backward = make_unit_backward(dtype, entry)

    def cell_backward(op, own, f, step):
        a = cuda.local.array((n_gates, 1), dtype)
        known = cuda.local.array((4, 1), dtype)
        t = time_of(op, own, step)
        apart = own.pitch * size
        cells_step = f.chunk * op.ld_out * size
        for e in range(cuda.grid(1), f.chunk * op.n_out, cuda.gridsize(1)):
            r = e // op.n_out
            j = e % op.n_out
            length = length_of(f, op.every, op.steps, r)
            dh = dtype(0)
            dc = dtype(0)
            if step + 1 < op.steps and not is_cut(op, own, step + 1, length):
                dh = get(f, own.d_state, op.ld_out, r, j, dtype)
                dc = get(f, own.d_state, op.ld_out, f.chunk + r, j, dtype)
            gates, dy, cells, before = addresses_backward(op, own, f, step, r, j, size)
            read_unit(a, known, 0, step > 0, gates, apart, before, cells, cells_step, dy)
            dh, dc = unit_backward(a, known, 0, dh, dc, t < length, gates, apart)
            put(f, own.d_state, op.ld_out, r, j, dtype, dh)
            put(f, own.d_state, op.ld_out, f.chunk + r, j, dtype, dc)

    return make_kernel("recurrent", cell_backward, digest_of_cell(entry))


def make_recurrent_step_forward(dtype, tile, entry):
    """``z += h_before @ recurrent`` of one step; no state comes before the first."""
    size = dtype().itemsize
    n_gates = len(entry.gates)
    count = weighted_gates(entry)
    state = n_gates - count  # the first gate with weights of the state before

    def sizes(op, own, f, step):
        return f.chunk if step > 0 else 0, count * own.pitch, op.n_out

    def states(op, own, f, step, number):
        passed = own.states if own.states >= 0 else op.y
        return row_of(f, passed, op.ld_out, time_of(op, own, step - 1) * f.chunk + number, size)

    def finish(op, own, f, step, ready, part, m, n, total):
        row = time_of(op, own, step) * f.chunk + m
        at = state * own.pitch + n
        if at < count * own.pitch:
            before = get(f, own.gates, own.ld_gates, row, at, dtype)
        else:
            before = parameter(f, own.bias + at, dtype)
        put(f, own.gates, own.ld_gates, row, at, dtype, before + total)

    weights = make_weight_lines(dtype, of_state=True)
    return make_product(dtype, tile, "NN", "recurrent", sizes, states, weights, finish, digest_of_cell(entry))


def make_recurrent_step_backward(dtype, tile, entry):
    """``dh += mask * (dz @ recurrent.T)``: what goes back from one step to the state before it through the gates."""
    size = dtype().itemsize
    n_gates = len(entry.gates)
    count = weighted_gates(entry)
    state = n_gates - count
    state_factor = make_factor(dtype)

    def sizes(op, own, f, step):
        return f.chunk if step > 0 else 0, op.n_out, count * own.pitch

    def finish(op, own, f, step, ready, part, m, n, total):
        dh = get(f, own.d_state, op.ld_out, m, n, dtype)
        put(f, own.d_state, op.ld_out, m, n, dtype, dh + state_factor(op, own, f, m, n) * total)

    def gates(op, own, f, step, number):
        row = time_of(op, own, step) * f.chunk + number
        return row_of(f, own.gates, own.ld_gates, row, size) + state * own.pitch * size

    weights = make_weight_lines(dtype, of_state=True)
    return make_product(dtype, tile, "NT", "recurrent", sizes, gates, weights, finish, digest_of_cell(entry))


# -- all steps at once -------------------------------------------------------------------------------------------------


def make_weight_lines(dtype, of_state):
    """A function for products: the address of a row of the weights, those of the input or of the state."""
    size = dtype().itemsize

    def line(op, own, f, step, number):
        weights = own.recurrent if of_state else own.weight
        return f.params + (weights + number * own.ld_weight) * size

    return line


def make_gate_lines(dtype):
    """A function for products: the address of a row of the gates of all steps."""
    size = dtype().itemsize

    def line(op, own, f, step, number):
        return row_of(f, own.gates, own.ld_gates, number, size)

    return line


def make_x_lines(dtype):
    """A function for products: the address of a row of the input of all steps."""
    size = dtype().itemsize

    def line(op, own, f, step, number):
        return row_of(f, op.x, op.ld_in, number, size)

    return line


def make_recurrent_inputs(dtype, tile, entry):
    """``z = x @ weight + bias`` of all steps, for the gates that have weights of the input."""
    count = weighted_gates(entry)

    def sizes(op, own, f, step):
        return op.steps * f.chunk, count * own.pitch, op.n_in

    def finish(op, own, f, step, ready, part, m, n, total):
        put(f, own.gates, own.ld_gates, m, n, dtype, total + parameter(f, own.bias + n, dtype))

    x = make_x_lines(dtype)
    weights = make_weight_lines(dtype, of_state=False)
    return make_product(dtype, tile, "NN", "recurrent", sizes, x, weights, finish, digest_of_cell(entry))


def make_recurrent_inputs_backward(dtype, tile, entry):
    """``dx = (begin + dz @ weight.T) * dx`` of all steps, where a derivative waits in dx if `scale`."""
    count = weighted_gates(entry)

    def sizes(op, own, f, step):
        return op.steps * f.chunk, op.n_in, count * own.pitch

    def finish(op, own, f, step, ready, part, m, n, total):
        send_x(op, f, m, n, dtype, total)

    gates = make_gate_lines(dtype)
    weights = make_weight_lines(dtype, of_state=False)
    return make_product(dtype, tile, "NT", "recurrent", sizes, gates, weights, finish, digest_of_cell(entry))
