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
from skneural.backends.cuda.updates import FIXED, LEARNT, WEIGHT
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS, LOSSES
from skneural.network.program import KINDS

#: Blocks of a kernel whose threads go on to further numbers, at the most.
MOST_BLOCKS = 4 if hub.IS_SIMULATED else 2048


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
            self.kernel = compiler.kernel(*self.key)
            hub.allow_shared(self.kernel, self.shared)

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
    grid = (-(-n_columns // tile.columns), -(-n_rows // tile.rows), parts)
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
    n_processors : int
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
        self, program, precision, capacity, n_processors, *, training, sparse=False, with_loss=False, nominal=None
    ):
        self.program, self.capacity, self.n_processors, self.sparse = program, capacity, n_processors, sparse
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
        elif kind == "loss":
            grid = (-(-self.capacity // THREADS), 1, 1)
            if not self.training:
                add(self.forward, i, (make_output_forward, dtype, LINKS[LOSSES[function].link]), grid=grid)
            if self.with_loss:
                add(self.forward, i, (make_loss_forward, dtype, LOSSES[function]), grid=grid)

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
