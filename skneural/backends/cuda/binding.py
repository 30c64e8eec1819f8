"""Bind the operations of a program to kernels: which are launched, in which order, on how many blocks."""

from dataclasses import dataclass, field

import numpy as np

from skneural.backends.cuda import compiler, hub
from skneural.backends.cuda.intrinsics import OP_SIZE
from skneural.backends.cuda.kernels import (
    THREADS,
    make_dense_backward,
    make_dense_forward,
    make_dense_gradient,
    make_dropout_forward,
    make_input_forward,
    make_noise_forward,
    make_residual_backward,
    make_residual_forward,
    make_sparse_input_forward,
    make_sum_parts,
)
from skneural.backends.cuda.normalization import (
    COLUMNS,
    LANES,
    make_batch_norm_backward,
    make_batch_norm_forward,
    make_batch_norm_gather,
    make_layer_norm_backward,
    make_layer_norm_forward,
    make_norm_gradient,
)
from skneural.backends.cuda.outputs import make_loss_forward, make_output_forward
from skneural.backends.cuda.product import choose_tile
from skneural.backends.cuda.recurrent import (
    choose_rows,
    loop_launch,
    make_recurrent_backward,
    make_recurrent_forward,
    uses_loops,
)
from skneural.backends.cuda.recurrent_steps import (
    make_cell_backward,
    make_cell_forward,
    make_recurrent_inputs,
    make_recurrent_inputs_backward,
    make_recurrent_step_backward,
    make_recurrent_step_forward,
)
from skneural.backends.cuda.recurrent_updates import COLUMNS as BIAS_COLUMNS
from skneural.backends.cuda.recurrent_updates import (
    LINES,
    gradient_scratch,
    make_recurrent_bias,
    make_recurrent_gradient,
    make_recurrent_sum_parts,
)
from skneural.backends.cuda.sequences import (
    make_join_backward,
    make_join_forward,
    make_pool_backward,
    make_pool_forward,
    make_sequence_dropout,
    make_sequence_input_forward,
)
from skneural.backends.cuda.updates import FIXED, LEARNT, WEIGHT
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.cells import CELLS, weighted_gates
from skneural.maths.losses import LINKS, LOSSES
from skneural.network.program import KINDS

#: Blocks of a kernel whose threads go on to further numbers, at the most.
MOST_BLOCKS = 4 if hub.IS_SIMULATED else 2048
#: Threads of a block where each has a row: few, so that many multiprocessors take part.
FEW = 4 if hub.IS_SIMULATED else 32


#: Kernels of operations whose threads share all numbers of all steps: forward, backward.
SEQUENCES = {
    "sequence_input": ((make_sequence_input_forward,), None),
    "join": ((make_join_forward,), (make_join_backward,)),
    "sequence_dropout": ((make_sequence_dropout, False), (make_sequence_dropout, True)),
    **{
        f"pool_{how}": ((make_pool_forward, how), (make_pool_backward, how)) for how in ("last", "mean", "max")
    },
}  # fmt: skip


@dataclass
class Launch:
    """One launch of a kernel.

    Parameters
    ----------
    key : tuple
        Maker of the kernel and its arguments.
    op : int
        Number of the operation.
    grid : tuple of int
        Blocks in three directions; the third runs over models.
    block : int
        Threads.
    shared : int
        Bytes of shared memory.
    step : int
        Third argument of the kernel.
    """

    key: tuple
    op: int = 0
    grid: tuple = (1, 1, 1)
    block: int = THREADS
    shared: int = 0
    step: int = 0
    kernel: object = field(default=None, repr=False)

    def get_ready(self):
        """Compile the kernel, or take it from the cache."""
        if self.kernel is None:
            self.kernel = compiler.loaded(self.shared, *self.key)

    def start(self, stream, ops, frames):
        """Launch the kernel."""
        self.get_ready()
        arguments = (ops + self.op * OP_SIZE, frames, self.step)
        hub.launch(self.kernel, self.grid, self.block, self.shared, stream, arguments)


def over(count):
    """Grid for a kernel whose threads share `count` numbers."""
    return (max(1, min(-(-count // THREADS), MOST_BLOCKS)), 1, 1)


def bind_product(key, tile, size, n_rows, n_columns, op, parts=1, step=0):
    """Launch of a product of `n_rows` by `n_columns` numbers."""
    grid = (-(-n_rows // tile.rows), -(-n_columns // tile.columns), parts)  # only the first may exceed 65,535
    threads = tile.threads(16 // size) * tile.slices
    return Launch(key, op, grid, threads, tile.shared(size) * size, step)


class Binder:
    """The launches of a program for batches of up to `capacity` rows.

    Parameters
    ----------
    program : Program
        For dense rows and for training, whatever it is used for.
    precision : {'full', 'tf32'}
    capacity : int
        Rows.
    n_processors, shared : int
        Multiprocessors of the GPU, and bytes of shared memory that a block there can have.
    training : bool
    sparse : bool
        Whether the input is a CSR matrix.
    with_loss : bool
        Whether a prediction measures the loss of every row.
    nominal : int
        Rows that tiles are chosen for: how products are summed then does not depend on `capacity`.

    Attributes
    ----------
    ops : ndarray of `OP`
        The operations, with what this backend adds to them.
    forward, backward : list of Launch
    n_scratch : int
        Numbers that parts of sums need.
    """

    def __init__(
        self, program, precision, capacity, n_processors, shared, *, training, sparse=False, with_loss=False,
        nominal=None,
    ):  # fmt: skip
        self.program, self.capacity, self.n_processors, self.sparse = program, capacity, n_processors, sparse
        self.shared = shared
        self.nominal = nominal or capacity
        self.dtype, self.size, self.training = program.dtype.type, program.dtype.itemsize, training
        self.precision = "tf32" if precision == "tf32" else program.dtype.name
        self.ops, self.n_scratch = program.ops.copy(), 0
        self.kinds = [KINDS[kind] for kind in self.ops["kind"]]
        self.forward, self.backward, self.gathers = [], [], set()
        self.with_loss = with_loss or training
        for i, (kind, function) in enumerate(zip(self.kinds, program.functions, strict=True)):
            self._bind_forward(i, kind, function)
        for i in range(len(self.kinds) - 1, -1, -1) if training else ():
            self._bind_backward(i, self.kinds[i], program.functions[i])

    def _add(self, launches, i, key, **facts):
        """Append a launch of an operation; without further facts its threads share all numbers of the rows."""
        facts = facts or {"grid": over(self.capacity * int(self.ops[i]["n_out"]))}
        launches.append(Launch(key, i, **facts))

    def _columns(self, i):
        """Facts of a kernel whose blocks have some columns each."""
        blocks = -(-int(self.ops[i]["n_out"]) // COLUMNS)
        return {"grid": (blocks, 1, 1), "block": COLUMNS * LANES, "shared": COLUMNS * LANES * self.size}

    def _rows(self):
        """Facts of a kernel whose blocks have a row each."""
        return {"grid": (self.capacity, 1, 1), "shared": THREADS * self.size}

    def _bind_forward(self, i, kind, function):
        op, dtype, add = self.ops[i], self.dtype, self._add
        if kind == "input":
            if self.sparse:
                add(self.forward, i, (make_sparse_input_forward, dtype))
            elif self.kinds[i + 1] == "dense":  # reads the data itself
                self.gathers.add(i + 1)
            else:
                add(self.forward, i, (make_input_forward, dtype))
        elif kind == "noise" and self.training:
            add(self.forward, i, (make_noise_forward, dtype), grid=over(self.capacity * int(op["n_out"] * op["steps"])))
        elif kind == "dense":
            self._bind_dense(i, function)
        elif kind == "batch_norm":
            if self.training:
                add(self.forward, i, (make_batch_norm_gather, dtype), **self._columns(i))
            add(self.forward, i, (make_batch_norm_forward, dtype, ACTIVATIONS[function]))
        elif kind == "layer_norm":
            add(self.forward, i, (make_layer_norm_forward, dtype, ACTIVATIONS[function]), **self._rows())
        elif kind == "dropout" and self.training and not self._is_fused(i):
            add(self.forward, i, (make_dropout_forward, dtype))
        elif kind == "residual":
            add(self.forward, i, (make_residual_forward, dtype))
        elif kind in SEQUENCES:
            (make, *options), _ = SEQUENCES[kind]
            add(self.forward, i, (make, dtype, *options), grid=over(self.capacity * int(op["steps"] * op["n_out"])))
        elif kind == "recurrent":
            self._bind_recurrent(i, CELLS[function])
        elif kind == "loss":
            facts = {"grid": (-(-self.capacity // FEW), 1, 1), "block": FEW}
            if not self.training:
                add(self.forward, i, (make_output_forward, dtype, LINKS[LOSSES[function].link]), **facts)
            if self.with_loss:
                add(self.forward, i, (make_loss_forward, dtype, LOSSES[function]), **facts)

    def _is_fused(self, i):
        """Whether a dropout is part of the dense layer before it."""
        return self.kinds[i - 1] == "dense" and self.program.functions[i - 1] is not None

    def _bind_dense(self, i, function):
        op, dtype = self.ops[i], self.dtype
        if self.training and self.kinds[i + 1] == "dropout" and function is not None:
            for name in ("rate", "limit", "stream"):
                op[name] = self.ops[i + 1][name]
        tile, _ = self._tile(self.nominal, op["n_out"], op["n_in"])
        activation = ACTIVATIONS[function] if function else None
        key = (make_dense_forward, dtype, tile, activation, i in self.gathers)
        self.forward.append(bind_product(key, tile, self.size, self.capacity, int(op["n_out"]), i))

    def _tile(self, n_rows, n_columns, n_depth, split=False):
        return choose_tile(self.precision, int(n_rows), int(n_columns), int(n_depth), self.n_processors, split)

    def _bind_backward(self, i, kind, function):
        op, dtype, add = self.ops[i], self.dtype, self._add
        if kind == "dense":
            self._bind_dense_gradient(i)
            if op["dx"] >= 0:
                tile, _ = self._tile(self.capacity, op["n_in"], op["n_out"])
                key = (make_dense_backward, dtype, tile)
                self.backward.append(bind_product(key, tile, self.size, self.capacity, int(op["n_in"]), i))
        elif kind in ("batch_norm", "layer_norm"):
            batch = kind == "batch_norm"
            add(self.backward, i, (make_norm_gradient, dtype, batch), **self._columns(i))
            if batch:
                add(self.backward, i, (make_batch_norm_backward, dtype))
            else:
                add(self.backward, i, (make_layer_norm_backward, dtype), **self._rows())
        elif kind == "residual":
            add(self.backward, i, (make_residual_backward, dtype))
        elif kind in SEQUENCES and SEQUENCES[kind][1]:
            _, (make, *options) = SEQUENCES[kind]
            add(self.backward, i, (make, dtype, *options), grid=over(self.capacity * int(op["steps"] * op["n_out"])))
        elif kind == "recurrent":
            self._bind_recurrent_backward(i, CELLS[function])
            self._bind_recurrent_gradient(i, CELLS[function])

    def _bind_dense_gradient(self, i):
        op, dtype = self.ops[i], self.dtype
        bias = bool(op["bias"] >= 0)
        assert not bias or op["bias"] == op["weight"] + op["n_in"] * op["ld_out"], "the bias stands below the weights"
        rows, columns = int(op["n_in"]) + bias, int(op["n_out"])
        tile, parts = self._tile(rows, columns, self.capacity, split=True)
        op["n_slots"], op["slot"] = parts, self.n_scratch
        key = (make_dense_gradient, dtype, tile, bias, i in self.gathers)
        self.backward.append(bind_product(key, tile, self.size, rows, columns, i, parts))
        if parts > 1:
            numbers = int((op["n_in"] + 1) * op["ld_out"])
            self.n_scratch += parts * numbers
            self._add(self.backward, i, (make_sum_parts, dtype), grid=over(numbers))

    def _product(self, launches, i, make, *options, sizes, parts=1, tile=None, step=0):
        """Append the launch of a product for an operation."""
        rows, columns, depth = map(int, sizes)
        tile = tile or self._tile(rows * self.nominal // self.capacity, columns, depth)[0]
        key = (make, self.dtype, tile, *options)
        launches.append(bind_product(key, tile, self.size, rows, columns, i, parts, step))

    def _loop(self, launches, i, make, entry, backward):
        """Append the launch of all steps of a narrow recurrent layer."""
        rows = choose_rows(self.capacity, 1, self.n_processors)
        facts = loop_launch(
            self.ops[i], entry, self.dtype, rows, self.capacity, self.shared, backward=backward
        )  # fmt: skip
        key = (make, self.dtype, entry, rows)
        launches.append(Launch(key, i, (facts.blocks, 1, 1), facts.threads, facts.shared, facts.step))

    def _bind_recurrent(self, i, entry):
        op, launches = self.ops[i], self.forward
        units, steps, width = int(op["n_out"]), int(op["steps"]), weighted_gates(entry) * int(op["pitch"])
        sizes = (steps * self.capacity, width, op["n_in"])
        self._product(launches, i, make_recurrent_inputs, entry, sizes=sizes)
        if uses_loops(op):
            self._loop(launches, i, make_recurrent_forward, entry, backward=False)
            return
        for s in range(steps):
            if s > 0:
                sizes = (self.capacity, width, units)
                self._product(launches, i, make_recurrent_step_forward, entry, sizes=sizes, step=s)
            self._add(launches, i, (make_cell_forward, self.dtype, entry), grid=over(self.capacity * units), step=s)

    def _bind_recurrent_backward(self, i, entry):
        op, launches = self.ops[i], self.backward
        units, steps, width = int(op["n_out"]), int(op["steps"]), weighted_gates(entry) * int(op["pitch"])
        if uses_loops(op):
            self._loop(launches, i, make_recurrent_backward, entry, backward=True)
        else:
            for s in range(steps - 1, -1, -1):
                grid = over(self.capacity * units)
                self._add(launches, i, (make_cell_backward, self.dtype, entry), grid=grid, step=s)
                if s > 0:
                    sizes = (self.capacity, units, width)
                    self._product(launches, i, make_recurrent_step_backward, entry, sizes=sizes, step=s)
        if op["dx"] >= 0:
            sizes = (steps * self.capacity, op["n_in"], width)
            self._product(launches, i, make_recurrent_inputs_backward, entry, sizes=sizes)

    def _bind_recurrent_gradient(self, i, entry):
        op, launches, depth = self.ops[i], self.backward, int(self.ops[i]["steps"]) * self.capacity
        width, all_gates = weighted_gates(entry) * int(op["pitch"]), len(entry.gates) * int(op["pitch"])
        tile, parts = self._tile(max(op["n_in"], op["n_out"]), width, depth, split=True)
        op["n_slots"], op["slot"] = parts, self.n_scratch
        for of_state, rows in ((False, op["n_in"]), (True, op["n_out"])):
            self._product(
                launches,
                i,
                make_recurrent_gradient,
                entry,
                of_state,
                sizes=(rows, width, depth),
                parts=parts,
                tile=tile,
            )
        grid, block = (-(-all_gates // BIAS_COLUMNS), 1, parts), BIAS_COLUMNS * LINES
        bias = (make_recurrent_bias, self.dtype, entry)
        self._add(launches, i, bias, grid=grid, block=block, shared=block * self.size)
        if parts > 1:
            scratch = gradient_scratch(op)
            self.n_scratch += scratch
            key = (make_recurrent_sum_parts, self.dtype, entry)
            self._add(launches, i, key, grid=over(scratch // parts))


def roles_of(program):
    """What each parameter is: see `updates`."""
    roles, places = np.full(program.n_params, FIXED, np.int8), np.arange(program.n_params)
    roles[program.dense_index()] = LEARNT
    for weights in program.weights(places):
        roles[weights] = WEIGHT
    return roles


def layer_ranges(program):
    """Where the parameters of every layer begin, and how many there are."""
    starts = [t.weight for t in program.tensors]
    return [(start, end - start) for start, end in zip(starts, [*starts[1:], program.n_params], strict=True)]
