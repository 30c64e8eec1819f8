"""Networks as data: what `lower` promises about places in memory, for any list of layers."""

import pickle
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skneural.backends.cpu.engine import Trainer
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.initializers import initialize
from skneural.network.layers import Dense, Dropout
from skneural.network.program import ALIGNMENT, KINDS, Program, aligned_zeros, lower, padded

DTYPES = [np.float32, np.float64]
# Widths where padding changes: around multiples of a vector, and from 512, where powers of two are avoided.
WIDTHS = st.one_of(st.integers(1, 40), st.sampled_from([100, 255, 256, 257, 511, 512, 513, 768, 1024]))


def examples(count):
    """Settings of a test: no deadline, since the first example of a kind may compile, and no files left behind."""
    return settings(max_examples=count, deadline=None, database=None)


@st.composite
def networks(draw, widths=WIDTHS):
    """Keywords of `lower` for an estimator's kind of network: hidden layers with or without dropout, then outputs."""
    layers = []
    for units in draw(st.lists(widths, max_size=4)):
        layers.append(Dense(units, draw(st.sampled_from(sorted(ACTIVATIONS)))))
        if draw(st.booleans()):
            layers.append(Dropout(draw(st.floats(0.01, 0.9))))
    layers.append(Dense(draw(st.integers(1, 20))))
    return {
        "layers": layers,
        "n_features": draw(widths),
        "dtype": draw(st.sampled_from(DTYPES)),
        "loss": draw(st.sampled_from(sorted(LOSSES))),
        "sparse": draw(st.booleans()),
    }


def overlapping(spans):
    """Pairs of half-open spans that share a place."""
    return [(a, b) for a, b in combinations(spans, 2) if max(a[0], b[0]) < min(a[1], b[1])]


def is_kind(op, *kinds):
    return KINDS[op["kind"]] in kinds


def buffers(program):
    """The (first, end) of every buffer, in numbers a row, by the operations that own them."""
    spans = []
    for op in program.ops:
        if is_kind(op, "input"):
            spans.append((op["y"], op["y"] + op["ld_out"]))
        elif is_kind(op, "dense", "sparse_dense"):
            spans += [(op[field], op[field] + op["ld_out"]) for field in ("y", "dy")]
    return [(int(a), int(b)) for a, b in spans]


def spans_of_parameters(program):
    return [(t.weight, t.weight + t.n_in * t.ld) for t in program.tensors] + [
        (t.bias, t.bias + t.ld) for t in program.tensors
    ]


@given(networks())
@examples(100)
def test_buffers_never_overlap(network):
    program = lower(**network)
    spans = buffers(program)
    assert not overlapping(spans)
    assert min(a for a, _ in spans) == 0
    assert max(b for _, b in spans) == program.n_work == sum(b - a for a, b in spans)
    unit = ALIGNMENT // program.dtype.itemsize
    assert all(a % unit == b % unit == 0 for a, b in spans)


@given(networks())
@examples(100)
def test_operations_are_linked(network):
    # Every operation reads what the one before it wrote, and sends its gradient back to the same place.
    program = lower(**network)
    y = dy = ld = width = None
    for op in program.ops:
        if is_kind(op, "dense") and y is not None:
            assert (op["x"], op["dx"], op["ld_in"], op["n_in"]) == (y, dy, ld, width)
        if is_kind(op, "dropout"):
            assert (op["y"], op["dy"], op["ld_out"], op["n_out"]) == (y, dy, ld, width)
        if is_kind(op, "loss"):
            assert (op["x"], op["dx"], op["ld_in"], op["n_in"]) == (y, dy, ld, width)
        else:
            y, dy, ld, width = op["y"], op["dy"], op["ld_out"], op["n_out"]
    assert is_kind(program.ops[0], "sparse_dense" if network["sparse"] else "input")
    assert is_kind(program.ops[-1], "loss")
    assert program.n_outputs == network["layers"][-1].units
    # One stream of random numbers each, else two layers of equal width would drop the same units.
    streams = [int(op["stream"]) for op in program.ops if is_kind(op, "dropout")]
    assert len(set(streams)) == len(streams)


@given(networks())
@examples(100)
def test_parameters_fill_the_vector_without_overlap(network):
    program = lower(**network)
    spans = spans_of_parameters(program)
    assert not overlapping(spans)
    assert sum(b - a for a, b in spans) == program.n_params == max(b for _, b in spans)
    turned = [
        (int(op["transposed"]), int(op["transposed"] + op["n_out"] * op["ld_in"]))
        for op in program.ops
        if op["transposed"] >= 0
    ]
    assert not overlapping(turned)
    assert sum(b - a for a, b in turned) == program.n_transposed
    assert len(turned) == len(program.tensors) - 1  # the first layer's input has no gradient


@given(networks())
@examples(100)
def test_views_cover_exactly_what_is_not_padding(network):
    program = lower(**network)
    layers = [layer for layer in network["layers"] if isinstance(layer, Dense)]
    widths = [network["n_features"], *(layer.units for layer in layers)]
    params = np.zeros(program.n_params)
    coefs, intercepts = program.coefs(params), program.intercepts(params)
    assert [c.shape for c in coefs] == list(pairwise(widths))
    assert [b.shape for b in intercepts] == [(units,) for units in widths[1:]]
    for view in coefs + intercepts:
        assert np.shares_memory(view, params)
        view += 1
    assert params.max() == 1  # no number is in two views
    index = program.dense_index()
    np.testing.assert_array_equal(np.sort(index), np.flatnonzero(params))
    # Its order: all weights, layer after layer, then all biases.
    places = np.arange(program.n_params)
    flat = np.concatenate([a.ravel() for a in program.coefs(places) + program.intercepts(places)])
    np.testing.assert_array_equal(index, flat)


def assert_equal_programs(a, b):
    assert a.ops.tobytes() == b.ops.tobytes()
    assert (a.functions, a.tensors, a.dtype, a.source) == (b.functions, b.tensors, b.dtype, b.source)
    assert (a.n_params, a.n_transposed, a.n_work, a.n_outputs) == (b.n_params, b.n_transposed, b.n_work, b.n_outputs)


@given(networks())
@examples(100)
def test_lowering_is_deterministic_and_pickles(network):
    program = lower(**network)
    assert_equal_programs(program, lower(**network))
    copy = pickle.loads(pickle.dumps(program))
    assert isinstance(copy, Program)
    assert_equal_programs(program, copy)


@given(networks())
@examples(100)
def test_variants_put_parameters_at_the_same_places(network):
    program = lower(**network)
    dense, sparse = program.variant(sparse=False), program.variant(sparse=True)
    assert_equal_programs(program, sparse if network["sparse"] else dense)
    assert dense.tensors == sparse.tensors
    assert (dense.n_params, dense.n_transposed) == (sparse.n_params, sparse.n_transposed)
    # Sparse rows are never spread out: no buffer for them.
    assert sparse.n_work == dense.n_work - padded(network["n_features"], network["dtype"])
    assert_equal_programs(sparse.variant(sparse=False), dense)
    # The same random numbers for the same layer, else dropout on a sparse X were another fit.
    assert [op["stream"] for op in dense.ops if is_kind(op, "dropout")] == [
        op["stream"] for op in sparse.ops if is_kind(op, "dropout")
    ]


@given(st.integers(1, 5000), st.sampled_from(DTYPES))
@examples(100)
def test_padded_widths(width, dtype):
    itemsize = np.dtype(dtype).itemsize
    ld = padded(width, dtype)
    assert ld >= width
    assert ld * itemsize % ALIGNMENT == 0
    assert (ld - width) * itemsize < 2 * ALIGNMENT
    assert ld < 512 or ld % 256 != 0  # rows a large power of two apart share few cache sets


@given(st.integers(1, 1000), st.sampled_from(DTYPES))
@examples(100)
def test_zeros_are_aligned(count, dtype):
    zeros = aligned_zeros(count, dtype)
    assert zeros.shape == (count,)
    assert zeros.dtype == dtype
    assert not zeros.any()
    assert zeros.__array_interface__["data"][0] % ALIGNMENT == 0


@given(network=networks(), seed=st.integers(0, 2**62 - 1))
@examples(25)
def test_initial_parameters(network, seed):
    program = lower(**network)
    params = initialize(program, seed)
    assert params.dtype == network["dtype"]
    padding = np.delete(params, program.dense_index())
    assert not padding.any()
    for tensor in program.tensors:
        bound = np.sqrt(6 / (tensor.n_in + tensor.n_out)) * (1 + 1e-6)  # rounding to float32
        assert np.abs(tensor.coef(params)).max() <= bound
        assert np.abs(tensor.intercept(params)).max() <= bound
    np.testing.assert_array_equal(params, initialize(program.variant(sparse=True), seed))
    assert (params != initialize(program, seed + 1)).any()


def random_data(network, rng, n_rows=13):
    """Rows and targets for a network, as the engine reads them."""
    n_features, dtype = network["n_features"], network["dtype"]
    X = rng.uniform(-0.1, 0.1, size=(n_rows, n_features)).astype(dtype)
    if network["sparse"]:
        columns = np.tile(np.arange(n_features), n_rows)
        X = X.ravel(), columns, np.arange(0, n_rows * n_features + 1, n_features)
    n_outputs = network["layers"][-1].units
    n_targets = 1 if LOSSES[network["loss"]].link == "softmax" else n_outputs
    return X, rng.integers(0, min(n_outputs, 2), size=(n_rows, n_targets)).astype(dtype)


@given(
    network=networks(widths=st.integers(1, 40)), optimizer=st.sampled_from(sorted(OPTIMIZERS)), batch=st.integers(1, 20)
)
@examples(40)
def test_padding_stays_zero(network, optimizer, batch):
    rng = np.random.default_rng(0)
    program = lower(**network)
    params = initialize(program, 1)
    before = params.copy()
    X, targets = random_data(network, rng)
    trainer = Trainer(program, params, X, targets, None, alpha=0.1, seed=1, n_threads=1)
    state = {name: aligned_zeros(program.n_params, program.dtype) for name in "sv"} | {"step": 0, "epoch": 0}
    constants = {"sgd": (0.9, 1.0), "adam": (0.9, 0.999, 1e-8)}.get(
        optimizer, (0.9,) * len(OPTIMIZERS[optimizer].hyper)
    )
    trainer.start(optimizer, constants, state, batch=batch, shuffle=True, tol=0.0, patience=np.inf)
    trainer.run_epochs(np.full(3, 1e-3), np.inf, 0)
    trainer.close()
    index = program.dense_index()
    # Dropout scales up, exponentials grow: some of these networks diverge, and then there is nothing to promise.
    assume(np.isfinite(params).all())
    assert (params[index] != before[index]).any()
    for vector in (params, state["s"], state["v"]):
        assert not np.delete(vector, index).any()


@pytest.mark.parametrize(
    "layers",
    [
        [Dense(4), Dense(2)],
        [Dense(4, "tanh"), Dense(2, "tanh")],
        [Dense(4, "tanh"), Dense(2), Dropout(0.5)],
        [Dropout(0.5), Dense(4, "tanh"), Dense(2)],
        [Dropout(0.5)],
        [],
    ],
    ids=[
        "hidden layer without activation",
        "outputs with activation",
        "dropout last",
        "dropout first",
        "no dense",
        "none",
    ],
)
def test_layers_that_would_train_wrongly_are_refused_or_right(layers):
    # The kernels expect a slope in every hidden gradient buffer, and that nobody but the loss writes the last one.
    try:
        program = lower(layers, 5, dtype=np.float64, loss="squared_error")
    except ValueError:
        return
    for op in program.ops:
        assert not is_kind(op, "dropout") or min(op["y"], op["dy"]) >= 0, "it would write before the first buffer"
    rng = np.random.default_rng(0)
    params, X, y = initialize(program, 3), rng.normal(size=(20, 5)), rng.normal(size=(20, 2))
    trainer = Trainer(program, params, X, y, None, alpha=0, seed=3, n_threads=1)
    gradient = trainer.loss_and_gradient()[1].copy()
    for place in program.dense_index():
        value, sides = params[place], []
        for h in (1e-5, -1e-5):
            params[place] = value + h
            sides.append(trainer.loss_and_gradient()[0])
        params[place] = value
        assert gradient[place] == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6, abs=1e-6)
    trainer.close()
