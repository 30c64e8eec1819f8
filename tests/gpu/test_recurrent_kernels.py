"""Kernels of recurrent layers of the CUDA backend, against plain NumPy: by loops in a launch, and step by step."""

import itertools

import numpy as np
import pytest
from recurrent_reference import Direction
from test_recurrent_engine import ADDITIONS

from skneural.backends.cuda import compiler, hub
from skneural.backends.cuda.launches import Launch, product_launch
from skneural.backends.cuda.layers import recurrent_loops
from skneural.backends.cuda.layers.recurrent_steps import (
    make_cell_backward,
    make_cell_forward,
    make_recurrent_inputs,
    make_recurrent_inputs_backward,
    make_recurrent_step_backward,
    make_recurrent_step_forward,
)
from skneural.backends.cuda.layers.recurrent_updates import (
    COLUMNS,
    LINES,
    make_recurrent_bias,
    make_recurrent_gradient,
    make_recurrent_sum_parts,
)
from skneural.backends.cuda.memory import Arena
from skneural.backends.cuda.product import TILES
from skneural.backends.frame import Frame
from skneural.layers import Dense, GlobalPool, Recurrent
from skneural.maths import random
from skneural.maths.cells import CELLS
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

#: Rows of the data; of those, in the order of the epoch, the batch begins with one that is not the first.
N_ROWS, START, SEED, STEP = 7, 2, 12345678901, 4
BLOCK = 8


@pytest.fixture(autouse=True)
def no_help_by_shared_memory(monkeypatch):
    """Shared memory of the simulator begins with NaN, as that of a GPU may, not with 0."""
    if hub.IS_SIMULATED:
        from numba.cuda.simulator.kernelapi import FakeCUDAShared

        make = FakeCUDAShared.__init__

        def make_dirty(self, size):
            make(self, size)
            self._dynshared[:] = -1

        monkeypatch.setattr(FakeCUDAShared, "__init__", make_dirty)


@pytest.fixture(params=ADDITIONS)
def addition(request):
    formula, facts = ADDITIONS[request.param]
    CELLS.register(request.param, **facts)(formula)
    yield request.param
    del CELLS[request.param]


class Device:
    """A program on the device, whose kernels are started one by one, on the rows of a batch in the middle of an epoch.

    The buffers are made for one row more than there are.
    """

    def __init__(self, layers, dtype, n_features, n_steps, n_rows, lengths=None, **facts):
        rng = np.random.default_rng(0)
        self.program = lower(layers, n_features, dtype=dtype, loss="squared_error", n_timesteps=n_steps)
        self.dtype, self.size, self.n_steps, self.n_rows = dtype, dtype().itemsize, n_steps, n_rows
        self.ops, self.arena, self.frame, self.rng = self.program.ops.copy(), Arena(hub.new_stream(0)), Frame(), rng
        order = rng.permutation(N_ROWS)
        self.rows = order[START : START + n_rows]  # of the data
        self.lengths = np.full(n_rows, n_steps)
        if lengths is not None:
            self.lengths, of_all = np.array(lengths), np.full(N_ROWS, 99)
            of_all[self.rows] = lengths
            facts["lengths"] = self.arena.put("lengths", of_all)
        self.params = np.zeros(self.program.n_params, dtype)
        for place in self.program.learnt_index():
            self.params[place] = 0.5 * rng.normal()
        self.work = np.zeros((n_rows + 1) * self.program.n_work, dtype)
        self.gradient = np.full(self.program.n_params, np.nan, dtype)
        self.frame.update(
            order=self.arena.put("order", order), start=START, chunk=n_rows, capacity=n_rows + 1, seed=SEED, step=STEP,
            training=1, window=-1, **facts,
        )  # fmt: skip

    def op(self, kind, reverse=0):
        """The last operation of a kind."""
        numbered = enumerate(self.program.operations)
        return max(i for i, op in numbered if op.kind == kind and op.details.get("reverse", 0) == reverse)

    def own(self, i):
        """View of the details of an operation."""
        kind = self.program.operations[i].traits.details
        return self.ops["details"][i].view(np.uint8)[: kind.itemsize].view(np.dtype((np.record, kind)))[0]

    def field(self, i, name):
        """A field of an operation: of its head, or of its details."""
        return int(self.ops[i][name] if name in self.ops.dtype.names else self.own(i)[name])

    def buffer(self, i, name, width, ld="ld_out", rows=None):
        """View of a buffer of an operation: rows of all steps (or other ones), and their first `width` columns."""
        rows = self.n_steps * self.n_rows if rows is None else rows
        start, ld = self.field(i, name) * (self.n_rows + 1), self.field(i, ld) if isinstance(ld, str) else ld
        return self.work[start : start + rows * ld].reshape(rows, ld)[:, :width]

    def steps_of(self, i, name, width, ld="ld_out"):
        """View of a buffer of sequences, (T, B, width)."""
        return self.buffer(i, name, width, ld).reshape(self.n_steps, self.n_rows, width)

    def run(self, launches):
        """Start kernels one after the other; work and gradient then stand in this object."""
        put, f = self.arena.put, self.frame
        f.update(
            params=put("params", self.params), work=put("work", self.work), gradient=put("gradient", self.gradient)
        )
        f.update(scratch=put("scratch", np.full(1 << 12, np.nan, self.dtype)))
        ops, frames = put("ops", self.ops.view(np.int64)), put("frames", f.numbers)
        for launch in launches:
            launch.start(self.arena.stream, ops, frames)
        self.arena.get("work", self.work)
        self.arena.get("gradient", self.gradient)


class Layer(Device):
    """A recurrent layer, one above another one."""

    def __init__(
        self, cell, dtype, *, units=5, n_in=3, n_steps=4, n_rows=3, reverse=0, rate=0.0, truncate=None, **facts
    ):
        both = bool(reverse)  # the layer backwards stands beside one forwards
        layers = [Recurrent("rnn", n_in), Recurrent(cell, units, both, rate, truncate), GlobalPool("last"), Dense(1)]
        super().__init__(layers, dtype, 2, n_steps, n_rows, **facts)
        self.entry, self.i, self.tile = CELLS[cell], self.op("recurrent", reverse), TILES[dtype.__name__][-1]
        self.ops["n_slots"] = 1
        own, n_gates = self.own(self.i), len(self.entry.gates)
        self.units, self.n_in, self.n_gates, self.width = units, n_in, n_gates, int(own.ld_gates)
        for name, buffer_rows in (("y", n_steps), ("states", n_steps), ("cells", 1 + n_steps), ("d_state", 2)):
            if self.field(self.i, name) >= 0 and (name != "cells" or self.entry.memory):
                self.buffer(self.i, name, units, rows=buffer_rows * n_rows)[:] = np.nan
        for g in range(n_gates):
            at = g * own.pitch
            self.buffer(self.i, "gates", self.width, "ld_gates")[:, at : at + units] = np.nan
        self.steps_of(self.i, "x", n_in, "ld_in")[:] = self.rng.normal(size=(n_steps, n_rows, n_in))
        details = self.program.operations[self.i].details
        self.blocks = [details[name] for name in ("weight", "recurrent", "bias")]
        mask = None
        if rate:
            key = random.key(SEED, random.RECURRENT_DROPOUT + 16 * int(own.stream), STEP)
            places = (START + np.arange(n_rows))[:, None] * int(self.ops[self.i]["ld_out"]) + np.arange(units)
            mask = (random.bits(key, places.astype(np.uint64)) >= int(rate * 2**32)) / (1 - rate)
        W, U, b = (block.view(self.params) for block in self.blocks)
        self.twin = Direction(cell, *(a.astype(float) for a in (W, U, b)), bool(reverse), mask, truncate)
        self.twin.gradients = [np.zeros(a.shape) for a in (W, U, b)]

    def product(self, make, *options, n_rows, n_columns, parts=1, step=0):
        key = (make, self.dtype, self.tile, self.entry, *options)
        return product_launch(key, self.tile, self.size, n_rows, n_columns, self.i, parts, step)

    def cell(self, make, step):
        return Launch((make, self.dtype, self.entry), self.i, (1, 1, 1), BLOCK, 0, step)

    def loop(self, make, rows, limit=None):
        limit, backward = limit or hub.shared_limit(), make is recurrent_loops.make_recurrent_backward
        op, dtype = self.ops.view(np.recarray)[self.i], self.dtype
        own = self.own(self.i)
        how = recurrent_loops.loop_launch(op, own, self.entry, dtype, rows, self.n_rows + 1, limit, backward=backward)
        key = (make, dtype, self.entry, rows)
        return Launch(key, self.i, (how.blocks, 1, 1), how.threads, how.shared, how.step)

    def forward(self, rows=0, limit=None):
        """Launches of the way forward: a loop over slices of some rows, or a launch for every step."""
        width, n_all = int(self.width), self.n_rows * self.n_steps
        launches = [self.product(make_recurrent_inputs, n_rows=n_all, n_columns=width)]
        if rows:
            return [*launches, self.loop(recurrent_loops.make_recurrent_forward, rows, limit)]
        for s in range(self.n_steps):
            if s > 0:
                launches.append(self.product(make_recurrent_step_forward, n_rows=self.n_rows, n_columns=width, step=s))
            launches.append(self.cell(make_cell_forward, s))
        return launches

    def backward(self, rows=0, limit=None):
        """The same backwards, and the gradients."""
        launches, width, units = [], int(self.width), self.units
        if rows:
            launches.append(self.loop(recurrent_loops.make_recurrent_backward, rows, limit))
        for s in range(self.n_steps - 1, -1, -1) if not rows else ():
            launches.append(self.cell(make_cell_backward, s))
            if s > 0:
                launches.append(self.product(make_recurrent_step_backward, n_rows=self.n_rows, n_columns=units, step=s))
        n_all, parts = self.n_rows * self.n_steps, int(self.ops[self.i]["n_slots"])
        launches.append(self.product(make_recurrent_inputs_backward, n_rows=n_all, n_columns=self.n_in))
        for of_state, n in ((False, self.n_in), (True, units)):
            key = (make_recurrent_gradient, of_state)
            launches.append(self.product(*key, n_rows=n, n_columns=width, parts=parts))
        grid, block = (-(-width // COLUMNS), 1, parts), LINES * COLUMNS
        launches.append(Launch((make_recurrent_bias, self.dtype, self.entry), self.i, grid, block, block * self.size))
        if parts > 1:
            launches.append(Launch((make_recurrent_sum_parts, self.dtype, self.entry), self.i, (1, 1, 1), BLOCK))
        return launches

    def check_forward(self, **close):
        xs, states = self.steps_of(self.i, "x", self.n_in, "ld_in"), self.steps_of(self.i, "y", self.units)
        expected, memos = np.zeros(states.shape), []
        for r, length in enumerate(self.lengths):
            expected[:length, r] = self.twin.forward(r, xs[:length, r].astype(float))
            memos.append(self.twin.memos)
        np.testing.assert_allclose(states, expected, **close)
        if self.own(self.i).states >= 0:
            masked = expected if self.twin.mask is None else expected * self.twin.mask
            np.testing.assert_allclose(self.steps_of(self.i, "states", self.units), masked, **close)
        return memos

    def check_backward(self, memos, before=0.0, **close):
        """Gradients by what is learnt, and by the input, against those of the twin; `before` is what was there."""
        dys, dx = self.steps_of(self.i, "dy", self.units), self.steps_of(self.i, "dx", self.n_in, "ld_in")
        expected = np.full(dx.shape, 0.0)
        for r, length in enumerate(self.lengths):
            self.twin.memos, given = memos[r], dys[:length, r].astype(float)
            expected[:length, r] = self.twin.backward(given)
        np.testing.assert_allclose(dx, expected + (before if self.ops[self.i]["begin"] >= 0 else 0), **close)
        found = [block.view(self.gradient) for block in self.blocks]
        for mine, sums in zip(found, self.twin.gradients, strict=True):
            np.testing.assert_allclose(mine, sums + before, **close)

    def check(self, rows=0, limit=None, **close):
        self.run(self.forward(rows, limit))
        memos = self.check_forward(**close)
        self.steps_of(self.i, "dy", self.units)[:] = self.rng.normal(size=(self.n_steps, self.n_rows, self.units))
        self.run(self.backward(rows, limit))
        self.check_backward(memos, **close)
        self.arena.close()


#: Of float32 and float64.
CLOSE = {np.float32: {"rtol": 2e-5, "atol": 2e-5}, np.float64: {"rtol": 1e-12, "atol": 1e-12}}


#: A launch a step, and loops over slices of two rows and of four; time forwards and backwards.
QUICK = [("rnn", 0, 0), ("lstm", 2, 0), ("rnn", 4, 1)]
LAYERS = [
    pytest.param(*layer, marks=() if layer in QUICK else pytest.mark.slow)
    for layer in itertools.product(["lstm", "gru", "rnn"], [0, 2, 4], [0, 1])
]


@pytest.mark.parametrize(("cell", "rows", "reverse"), LAYERS)
def test_layer(cell, rows, reverse):
    dtype = np.float64 if rows == 2 else np.float32
    layer = Layer(cell, dtype, reverse=reverse, lengths=(4, 1, 3), rate=0.4 if reverse else 0.0, truncate=2)
    layer.check(rows, **CLOSE[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 2])
def test_layer_of_an_added_cell(addition, rows):
    dtype = np.float32 if rows else np.float64
    Layer(addition, dtype, lengths=(2, 4), n_rows=2, n_steps=4, rate=0.3).check(rows, **CLOSE[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("dtype", CLOSE)
def test_weights_may_stand_anywhere(dtype, cell, monkeypatch):
    # In registers, in shared memory and in global memory, in several strips below each other.
    if not hub.IS_SIMULATED:
        pytest.skip("compiled kernels do not see other constants")
    monkeypatch.setattr(recurrent_loops, "DEPTH", 12)
    monkeypatch.setattr(recurrent_loops, "KEPT", dict.fromkeys(recurrent_loops.KEPT, 4))
    monkeypatch.setattr(compiler, "_KERNELS", {})
    layer = Layer(cell, dtype, units=13, n_steps=3, n_rows=2, lengths=(3, 2))
    loops = [
        layer.loop(make, 2)
        for make in (recurrent_loops.make_recurrent_forward, recurrent_loops.make_recurrent_backward)
    ]
    limit = max(loop.shared for loop in loops) - 1
    assert any(0 < layer.loop(loop.key[0], 2, limit).step < loop.step for loop in loops)
    layer.check(2, limit, **CLOSE[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("rows", [0, 2])
def test_gradients_are_added_to_those_of_earlier_rows(rows):
    layer = Layer("gru", np.float64, lengths=(3, 4, 2), done=3)
    layer.ops[layer.i]["begin"] = layer.ops[layer.i]["dx"]
    layer.ops[layer.i]["n_slots"], layer.ops[layer.i]["slot"] = 3, 0
    layer.run(layer.forward(rows))
    memos = layer.check_forward(**CLOSE[np.float64])
    layer.steps_of(layer.i, "dy", layer.units)[:] = layer.rng.normal(size=(4, 3, 5))
    layer.gradient[:], layer.steps_of(layer.i, "dx", layer.n_in, "ld_in")[:] = 1.5, 1.5
    layer.run(layer.backward(rows))
    layer.check_backward(memos, 1.5, **CLOSE[np.float64])
    layer.arena.close()


@pytest.mark.parametrize("rows", [0, 2])
def test_prediction_drops_no_states(rows):
    layer = Layer("lstm", np.float64, rate=0.5, n_rows=2, n_steps=3)
    layer.frame.update(training=0, order=0, lengths=0)
    layer.twin.mask = None
    layer.run(layer.forward(rows))
    layer.check_forward(**CLOSE[np.float64])
    layer.arena.close()


@pytest.mark.parametrize("rows", [0, 4])
def test_batch_without_rows_changes_nothing(rows):
    layer = Layer("gru", np.float32, n_steps=2)
    layer.frame.update(chunk=0)
    layer.gradient[:], before = 7, layer.work.copy()
    layer.run([*layer.forward(rows), *layer.backward(rows)])
    np.testing.assert_array_equal(layer.work, before)
    assert set(np.unique(layer.gradient)) <= {0, 7}  # padding keeps what it had
    layer.arena.close()


def test_rows_do_not_depend_on_the_slice_that_they_are_in():
    results = []
    for rows in recurrent_loops.ROWS:
        layer = Layer("lstm", np.float32, n_rows=5, n_steps=3)
        layer.run(layer.forward(rows))
        results.append(layer.steps_of(layer.i, "y", layer.units).copy())
        layer.arena.close()
    np.testing.assert_array_equal(*results)


def test_loops_take_as_much_shared_memory_as_there_is():
    entry, dtype = CELLS["lstm"], np.float32
    layers = [Recurrent("lstm", 128), GlobalPool("last"), Dense(1)]
    device = Device(layers, dtype, 7, 9, 1)
    op, own = device.ops.view(np.recarray)[1], device.own(1)
    assert recurrent_loops.uses_loops(op)
    for backward in (False, True):
        for rows in recurrent_loops.ROWS:
            for limit in (48 << 10, 100 << 10, 227 << 10):
                how = recurrent_loops.loop_launch(op, own, entry, dtype, rows, 256, limit, backward=backward)
                assert how.shared <= limit
                assert how.blocks == 256 // rows
                assert how.threads == 256
            # the strips are 64 deep: those of one layer of the usual width need no global memory
            assert recurrent_loops.KEPT[rows, 4] + how.step == 64
    assert [recurrent_loops.choose_rows(n, 1, 132) for n in (1, 264, 265, 4096)] == [2, 2, 4, 4]
