"""Gradients of recurrent layers, from the gradients by the pre-activations of all steps.

The parameters of a layer follow one another: weights of the input, biases, weights of the state. Where the depth of the
products is divided (`n_slots` of the operation), parts stand in the scratch memory, laid out in the same way.

Sizes: T steps, B rows, I in, H units, G gates (each padded to ``own.pitch``).
"""

from skneural.backends.cuda.hub import IS_SIMULATED, cuda, register
from skneural.backends.cuda.intrinsics import model_frame, op_at, vector
from skneural.backends.cuda.layers.recurrent_steps import digest_of_cell, make_gate_lines, make_x_lines, recurrent_at
from skneural.backends.cuda.product import make_product
from skneural.backends.cuda.rows import get, make_kernel, row_of
from skneural.maths.cells import weighted_gates

#: Columns that a block of `make_recurrent_bias` sums up, and lines of threads below each other, a power of 2.
COLUMNS, LINES = (8, 2) if IS_SIMULATED else (32, 16)


@register
def n_parameters(op, own):
    """Numbers from the first parameter of the layer to the last."""
    return own.recurrent + op.n_out * own.ld_weight - own.weight


def make_store(dtype):
    """A function that stores a number of the gradient, or a part of it where the depth is divided."""
    size = dtype().itemsize

    def store(op, own, f, part, at, total):
        if op.n_slots > 1:
            parts = vector(f.scratch + op.slot * size, dtype)
            parts[part * n_parameters(op, own) + at - own.weight] = total
        else:
            gradient = vector(f.gradient + at * size, dtype)  # OUT (1,)
            gradient[0] = gradient[0] + total if f.done > 0 else total

    return register(store)


def make_recurrent_gradient(dtype, tile, entry, of_state):
    """``x.T @ dz`` over all rows of all steps, or ``h_before.T @ dz`` over those that have a state before."""
    size = dtype().itemsize
    n_gates = len(entry.gates)
    count = weighted_gates(entry)
    store = make_store(dtype)
    state = n_gates - count  # the first gate with weights of the state before

    if of_state:  # no state comes before the first step, which is the last in memory if time runs backwards

        def sizes(op, own, f, step):
            return op.n_out, count * own.pitch, (op.steps - 1) * f.chunk

        def numbers(op, own, f, step, number):
            passed = own.states if own.states >= 0 else op.y
            return row_of(f, passed, op.ld_out, number + (f.chunk if own.reverse != 0 else 0), size)

        def gates(op, own, f, step, number):
            row = number + (f.chunk if own.reverse == 0 else 0)
            return row_of(f, own.gates, own.ld_gates, row, size) + state * own.pitch * size

    else:

        def sizes(op, own, f, step):
            return op.n_in, count * own.pitch, op.steps * f.chunk

        numbers = make_x_lines(dtype)
        gates = make_gate_lines(dtype)

    def finish(op, own, f, step, ready, part, m, n, total):
        weights = own.recurrent if of_state else own.weight
        store(op, own, f, part, weights + m * own.ld_weight + n, total)

    digest = digest_of_cell(entry)
    return make_product(dtype, tile, "TN", "recurrent", sizes, numbers, gates, finish, digest, split=True)


def make_recurrent_bias(dtype, entry):
    """``sum(dz)`` over all rows of all steps. A block of `LINES` by `COLUMNS` threads has some of the columns."""
    digest = digest_of_cell(entry)
    columns = COLUMNS
    n_gates = len(entry.gates)
    store = make_store(dtype)

    def recurrent_bias(op_address, frames, step):
        digest  # part of the cache key
        op = op_at(op_address)
        own = recurrent_at(op_address)
        f = model_frame(frames, op.n_slots)
        part = cuda.blockIdx.z % op.n_slots
        shared = cuda.shared.array(0, dtype)
        thread = cuda.threadIdx.x
        lines = cuda.blockDim.x // columns
        line = thread // columns
        column = cuda.blockIdx.x * columns + thread % columns
        known = column < n_gates * own.pitch
        n_rows = op.steps * f.chunk
        each = (n_rows + op.n_slots - 1) // op.n_slots
        total = dtype(0)
        if known:
            for row in range(part * each + line, min(n_rows, (part + 1) * each), lines):
                total += get(f, own.gates, own.ld_gates, row, column, dtype)
        shared[thread] = total
        cuda.syncthreads()
        lines //= 2
        while lines > 0:
            if line < lines:
                shared[thread] += shared[thread + lines * columns]
            cuda.syncthreads()
            lines //= 2
        if known and line == 0:
            store(op, own, f, part, own.bias + column, shared[thread])

    return recurrent_bias


def make_recurrent_sum_parts(dtype, entry):
    """Add up the parts of all gradients of a layer whose depth was divided, in order."""
    size = dtype().itemsize
    n_gates = len(entry.gates)
    count = weighted_gates(entry)

    def sum_parts(op, own, f, step):
        parts = vector(f.scratch + op.slot * size, dtype)
        gradient = vector(f.gradient + own.weight * size, dtype)
        bias = own.bias - own.weight
        recurrent = own.recurrent - own.weight
        each = n_parameters(op, own)
        for j in range(cuda.grid(1), each, cuda.gridsize(1)):
            if bias <= j < recurrent:
                learnt = j - bias < n_gates * own.pitch
            else:
                learnt = (j if j < bias else j - recurrent) % own.ld_weight < count * own.pitch
            if learnt:  # there are no parts of padding
                total = parts[j]
                for part in range(1, op.n_slots):
                    total += parts[part * each + j]
                gradient[j] = gradient[j] + total if f.done > 0 else total

    return make_kernel("recurrent", sum_parts, digest_of_cell(entry))
