"""Gradients of recurrent layers, from the gradients by the pre-activations of all steps.

The parameters of a layer follow one another: weights of the input, biases, weights of the state. Where the depth of the
products is divided (`n_slots` of the operation), parts stand in the scratch memory, laid out in the same way.

Sizes: T steps, B rows, I in, H units, G gates (each padded to ``op.pitch``).
"""

from skneural.backends.cuda.hub import IS_SIMULATED, cuda, register
from skneural.backends.cuda.intrinsics import model_frame, op_at, vector
from skneural.backends.cuda.kernels import row_of
from skneural.backends.cuda.product import make_product
from skneural.backends.cuda.recurrent_steps import digest_of_cell
from skneural.maths.cells import weighted_gates

#: Columns that a block of `make_recurrent_bias` sums up, and lines of threads below each other, a power of 2.
COLUMNS, LINES = (8, 2) if IS_SIMULATED else (32, 16)


def gradient_scratch(op):
    """Numbers of scratch memory that an operation needs, from its `slot` on."""
    each = int(op["recurrent"] + op["n_out"] * op["ld_weight"] - op["weight"])
    return int(op["n_slots"]) * each if op["n_slots"] > 1 else 0


@register
def n_parameters(op):
    """Numbers from the first parameter of the layer to the last."""
    return op.recurrent + op.n_out * op.ld_weight - op.weight


def make_store(dtype):
    """A function that stores a number of the gradient, or a part of it where the depth is divided."""
    size = dtype().itemsize

    def store(op, f, part, place, total):
        if op.n_slots > 1:
            vector(f.scratch + op.slot * size, dtype)[part * n_parameters(op) + place - op.weight] = total
        else:
            gradient = vector(f.gradient + place * size, dtype)  # OUT (1,)
            gradient[0] = gradient[0] + total if f.done > 0 else total

    return register(store)


def make_recurrent_gradient(dtype, tile, entry, of_state):
    """``x.T @ dz`` over all rows of all steps, or ``h_before.T @ dz`` over those that have a state before."""
    size, n_gates, count, store = dtype().itemsize, len(entry.gates), weighted_gates(entry), make_store(dtype)
    state = n_gates - count  # the first gate with weights of the state before

    if of_state:  # no state comes before the first step, which is the last in memory if time runs backwards

        def sizes(op, f, step):
            return op.n_out, count * op.pitch, (op.steps - 1) * f.chunk

        def numbers(op, f, step, number):
            passed = op.states if op.states >= 0 else op.y
            return row_of(f, passed, op.ld_out, number + (f.chunk if op.reverse != 0 else 0), size)

        def gates(op, f, step, number):
            row = number + (f.chunk if op.reverse == 0 else 0)
            return row_of(f, op.gates, op.ld_gates, row, size) + state * op.pitch * size

    else:

        def sizes(op, f, step):
            return op.n_in, count * op.pitch, op.steps * f.chunk

        def numbers(op, f, step, number):
            return row_of(f, op.x, op.ld_in, number, size)

        def gates(op, f, step, number):
            return row_of(f, op.gates, op.ld_gates, number, size)

    def finish(op, f, step, ready, part, m, n, total):
        store(op, f, part, (op.recurrent if of_state else op.weight) + m * op.ld_weight + n, total)

    return make_product(dtype, tile, "TN", sizes, numbers, gates, finish, digest_of_cell(entry), split=True)


def make_recurrent_bias(dtype, entry):
    """``sum(dz)`` over all rows of all steps. A block of `LINES` by `COLUMNS` threads has some of the columns."""
    digest, size, zero, columns = digest_of_cell(entry), dtype().itemsize, dtype(0), COLUMNS
    n_gates, store = len(entry.gates), make_store(dtype)

    def recurrent_bias(op_address, frames, step):
        digest  # part of the cache key
        op = op_at(op_address)
        f, part = model_frame(frames, op.n_slots), cuda.blockIdx.z % op.n_slots
        shared, thread, lines = cuda.shared.array(0, dtype), cuda.threadIdx.x, cuda.blockDim.x // columns
        line, column, n_rows = thread // columns, cuda.blockIdx.x * columns + thread % columns, op.steps * f.chunk
        each = (n_rows + op.n_slots - 1) // op.n_slots
        total, known = zero, column < n_gates * op.pitch
        if known:
            for r in range(part * each + line, min(n_rows, (part + 1) * each), lines):
                total += vector(row_of(f, op.gates, op.ld_gates, r, size), dtype)[column]  # (T, B, G, H)
        shared[thread] = total
        cuda.syncthreads()
        lines //= 2
        while lines > 0:
            if line < lines:
                shared[thread] += shared[thread + lines * columns]
            cuda.syncthreads()
            lines //= 2
        if known and line == 0:
            store(op, f, part, op.bias + column, shared[thread])

    return recurrent_bias


def make_recurrent_sum_parts(dtype, entry):
    """Add up the parts of all gradients of a layer whose depth was divided, in order."""
    digest, size = digest_of_cell(entry), dtype().itemsize
    n_gates, count = len(entry.gates), weighted_gates(entry)

    def recurrent_sum_parts(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        parts, gradient = vector(f.scratch + op.slot * size, dtype), vector(f.gradient + op.weight * size, dtype)
        bias, recurrent, each = op.bias - op.weight, op.recurrent - op.weight, n_parameters(op)
        for j in range(cuda.grid(1), each, cuda.gridsize(1)):
            if bias <= j < recurrent:
                learnt = j - bias < n_gates * op.pitch
            else:
                learnt = (j if j < bias else j - recurrent) % op.ld_weight < count * op.pitch
            if learnt:  # there are no parts of padding
                total = parts[j]
                for part in range(1, op.n_slots):
                    total += parts[part * each + j]
                gradient[j] = gradient[j] + total if f.done > 0 else total

    return recurrent_sum_parts
