"""Networks as data: what `lower` promises about places in memory, for any list of layers."""

import pickle
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import assert_right_gradient, constants_of, fresh_state

from skneural import MLPClassifier
from skneural.backends.cpu.engine import Trainer
from skneural.layers import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    LayerNorm,
    MaxPool1D,
    Noise,
    Recurrent,
    Reshape,
    Residual,
    Standardize,
)
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES
from skneural.maths.normalization import MOST_PARTS
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.initializers import initialize
from skneural.network.memory import ALIGNMENT, aligned_zeros, padded
from skneural.network.program import Program, lower

DTYPES = [np.float32, np.float64]
NORMALIZATIONS = st.sampled_from([None, "batch", "layer"])
# Widths where padding changes: around multiples of a vector, and from 512, where powers of two are avoided.
WIDTHS = st.one_of(st.integers(1, 40), st.sampled_from([100, 255, 256, 257, 511, 512, 513, 768, 1024]))


def examples(count):
    """How many examples a test takes."""
    return settings(max_examples=count)


@st.composite
def networks(draw, widths=WIDTHS, noise=True):
    """Keywords of `lower` for an estimator's kind of network: hidden layers of all kinds, then outputs."""
    is_sparse = draw(st.booleans())
    layers = [Noise(0.1)] if noise and not is_sparse and draw(st.booleans()) else []
    before = None
    for units in draw(st.lists(widths, max_size=4)):
        shortcut = before is not None and draw(st.booleans())
        units = before if shortcut else units
        block = [Dense(units, draw(st.sampled_from(sorted(ACTIVATIONS))), draw(NORMALIZATIONS))]
        if shortcut and draw(st.booleans()):  # around two layers, of which the inner one may have any width
            block.insert(0, Dense(draw(widths), "tanh", draw(NORMALIZATIONS)))
        if draw(st.booleans()):
            block.append(Dropout(draw(st.floats(0.01, 0.9))))
        layers += [Residual(tuple(block))] if shortcut else block
        before = units
    loss = draw(st.sampled_from(sorted(LOSSES)))
    n_outputs = draw(st.integers(2 if LOSSES[loss].link == "softmax" else 1, 20))
    layers.append(Dense(n_outputs))
    return {
        "layers": layers,
        "n_features": draw(widths),
        "dtype": draw(st.sampled_from(DTYPES)),
        "loss": loss,
        "settings": constants_of(loss, n_outputs),
        "sparse": is_sparse,
    }


def dense_layers(layers):
    """Layers with weights, in order."""
    for layer in layers:
        if isinstance(layer, Dense):
            yield layer
        elif isinstance(layer, Residual):
            yield from dense_layers(layer.layers)


def overlapping(spans):
    """Pairs of half-open spans that share a place."""
    return [(a, b) for a, b in combinations(spans, 2) if max(a[0], b[0]) < min(a[1], b[1])]


def operations_of(program, *kinds):
    """The operations of some kinds."""
    return [operation for operation in program.operations if operation.kind in kinds]


def buffers(program):
    """The (first, end) of every buffer, in numbers a row; those that several operations share stand there once."""
    spans = set()
    for op, operation in zip(program.ops, program.operations, strict=True):
        for field in ("y", "dy"):
            spans.add((op[field], op[field] + op["ld_out"]))
        for field in ("x", "dx", "begin", "other", "d_other", "begin_other"):
            spans.add((op[field], op[field] + op["ld_in"]))
        if "normalized" in operation.details:
            normalized, deviations = (operation.details.get(name, -1) for name in ("normalized", "deviations"))
            spans.add((normalized, normalized + op["ld_out"]))
            width = padded(1, program.dtype) if operation.kind == "layer_norm" else op["ld_out"]
            spans.add((deviations, deviations + width))
    return sorted((int(a), int(b)) for a, b in spans if a >= 0 and b > a)


def spans_of_parameters(program):
    return [(block.start, block.start + block.size) for block in program.blocks]


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
def test_statistics_of_a_batch_never_overlap(network):
    program = lower(**network)
    operations = operations_of(program, "batch_norm")
    begins = [operation.details["statistics"] for operation in operations]
    spans = [(begin, begin + (4 + 3 * MOST_PARTS) * op.output.ld) for begin, op in zip(begins, operations, strict=True)]
    assert not overlapping(spans)
    assert sum(b - a for a, b in spans) == program.n_statistics == max([b for _, b in spans], default=0)


@given(networks())
@examples(100)
def test_operations_are_linked(network):
    # Every operation reads what one before it wrote; of those that read a value, one sends the sum of all gradients.
    program = lower(**network)
    made, sends = set(), {}
    for op, operation in zip(program.ops, program.operations, strict=True):
        assert made.issuperset(value for value in operation.inputs if not value.is_sparse)
        if operation.inputs:
            x = operation.inputs[0]
            assert (op["x"], op["ld_in"], op["n_in"]) == (x.y, x.ld, x.width)
            sends.setdefault(x, []).append(int(op["dx"]))
        if len(operation.inputs) == 2:
            other = operation.inputs[1]
            assert (op["other"], other.ld, other.width) == (other.y, op["ld_in"], op["n_in"])
            sends.setdefault(other, []).append(int(op["d_other"]))
        if operation.output is not None:
            y = operation.output
            assert (op["y"], op["dy"], op["ld_out"], op["n_out"]) == (y.y, y.dy, y.ld, y.width)
            made.add(y)
    for value, targets in sends.items():
        learns = value.dy >= 0
        passed_on = [
            reader.output.dy for reader, _ in value.readers if reader.traits.passes or reader.traits.elementwise
        ]
        last, *others = targets
        assert last == (-1 if value.dy in passed_on and len(targets) == 1 else value.dy) or not learns
        assert learns or set(targets) <= {-1}
        assert len(others) < 2  # a shortcut and the layer inside
    kinds = [operation.kind for operation in program.operations]
    assert kinds[0] == ("sparse_dense" if network["sparse"] else "input")
    assert kinds[-1] == "loss"
    assert program.n_outputs == network["layers"][-1].units
    shortcuts = operations_of(program, "sum")
    assert len(shortcuts) == sum(isinstance(layer, Residual) for layer in network["layers"])
    # One stream of random numbers each, else two layers of equal width would drop the same units.
    streams = [operation.details["stream"] for operation in operations_of(program, "dropout")]
    assert len(set(streams)) == len(streams)


@given(networks())
@examples(100)
def test_parameters_fill_the_vector_without_overlap(network):
    program = lower(**network)
    spans = spans_of_parameters(program)
    assert not overlapping(spans)
    assert sum(b - a for a, b in spans) == program.n_params == max(b for _, b in spans)
    turned = [(start, start + block.ld * ld) for block, start, ld, _ in program.transposed]
    assert not overlapping(turned)
    assert sum(b - a for a, b in turned) == program.n_transposed
    assert len(turned) == sum(block.penalised for block in program.blocks) - 1  # the first input has no gradient


@given(networks())
@examples(100)
def test_views_cover_exactly_what_is_not_padding(network):
    program = lower(**network)
    layers = list(dense_layers(network["layers"]))
    widths = [network["n_features"], *(layer.units for layer in layers)]
    params = np.zeros(program.n_params)
    coefs, intercepts, norms = program.coefs(params), program.intercepts(params), program.norm_views(params)
    assert [c.shape for c in coefs] == list(pairwise(widths))
    assert [b.shape for b in intercepts] == [(units,) for units in widths[1:]]
    normalized = [layer for layer in layers if layer.normalization]
    for layer, views in zip(normalized, norms, strict=True):
        assert list(views) == ["scale", "shift"] if layer.normalization == "layer" else ["scale", "mean", "variance"]
        assert {view.shape for view in views.values()} == {(layer.units,)}
    for view in coefs + intercepts + [view for views in norms for view in views.values()]:
        assert np.shares_memory(view, params)
        view += 1
    assert params.max() == 1  # no number is in two views
    index = program.learnt_index()
    for views in norms:  # what is not learnt
        for name in {"mean", "variance"} & set(views):
            views[name][:] = 0
    np.testing.assert_array_equal(np.sort(index), np.flatnonzero(params))
    # Its order: all weights, layer after layer, then all biases, then scales and shifts.
    places = np.arange(program.n_params)
    flat = program.coefs(places) + program.intercepts(places)
    flat += [view for views in program.norm_views(places) for n, view in views.items() if n in ("scale", "shift")]
    np.testing.assert_array_equal(index, np.concatenate([a.ravel() for a in flat]))


def assert_equal_programs(a, b):
    assert a.ops.tobytes() == b.ops.tobytes()
    assert (a.blocks, a.dtype, a.source, a.sparse, a.training) == (b.blocks, b.dtype, b.source, b.sparse, b.training)
    assert [operation.function for operation in a.operations] == [operation.function for operation in b.operations]
    assert (a.n_params, a.n_transposed, a.n_work, a.n_outputs) == (b.n_params, b.n_transposed, b.n_work, b.n_outputs)
    assert (a.transposed, a.n_statistics, a.n_layers) == (b.transposed, b.n_statistics, b.n_layers)
    assert a.same_parameters(b)


@given(networks())
@examples(100)
def test_lowering_is_deterministic_and_pickles(network):
    program = lower(**network)
    assert_equal_programs(program, lower(**network))
    copy = pickle.loads(pickle.dumps(program))
    assert isinstance(copy, Program)
    assert_equal_programs(program, copy)


@given(networks(noise=False))
@examples(100)
def test_variants_put_parameters_at_the_same_places(network):
    program = lower(**network)
    dense, sparse = program.variant(sparse=False), program.variant(sparse=True)
    assert_equal_programs(program, sparse if network["sparse"] else dense)
    assert dense.blocks == sparse.blocks
    assert dense.same_parameters(sparse)
    assert (dense.n_params, dense.n_transposed) == (sparse.n_params, sparse.n_transposed)
    # Sparse rows are never spread out: no buffer for them.
    assert sparse.n_work == dense.n_work - padded(network["n_features"], network["dtype"])
    assert_equal_programs(sparse.variant(sparse=False), dense)
    # The same random numbers for the same layer, else dropout on a sparse X were another fit.
    streams, same = (
        [operation.details["stream"] for operation in operations_of(variant, "dropout")] for variant in (dense, sparse)
    )
    assert streams == same


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


def used_places(program):
    """Places of all parameters that are not padding, learnt or not."""
    places = np.arange(program.n_params)
    return np.concatenate([block.view(places).ravel() for block in program.blocks])


@given(network=networks(noise=False), seed=st.integers(0, 2**62 - 1))
@examples(25)
def test_initial_parameters(network, seed):
    program = lower(**network)
    params = initialize(program, seed)
    assert params.dtype == network["dtype"]
    assert not np.delete(params, used_places(program)).any()
    for coef, intercept in zip(program.coefs(params), program.intercepts(params), strict=True):
        bound = np.sqrt(6 / sum(coef.shape)) * (1 + 1e-6)  # rounding to float32
        assert np.abs(coef).max() <= bound
        assert np.abs(intercept).max() <= bound
    for views in program.norm_views(params):
        for name, view in views.items():
            assert (view == {"scale": 1, "variance": 1}.get(name, 0)).all()
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
    targets = rng.integers(0, min(n_outputs, 2), size=(n_rows, n_targets)) + 0.5 * LOSSES[network["loss"]].open
    return X, targets.astype(dtype)


@given(
    network=networks(widths=st.integers(1, 40)),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    batch=st.integers(1, 20),
    limits=st.sampled_from([None, {"clip_norm": 0.1, "clip_value": 0.01, "max_norm": 0.5}]),
)
@examples(60)
def test_padding_stays_zero(network, optimizer, batch, limits):
    rng = np.random.default_rng(0)
    program = lower(**network)
    params = initialize(program, 1)
    before = params.copy()
    X, targets = random_data(network, rng)
    trainer = Trainer(program, params, X, targets, None, alpha=0.1, l1_ratio=0.5, seed=1, n_threads=1, limits=limits)
    state = fresh_state(program)
    hyper = [float(MLPClassifier().get_params()[name]) for name in OPTIMIZERS[optimizer].hyper]
    trainer.start(optimizer, hyper, state, batch=batch, shuffle=True, tol=0.0, patience=np.inf, weight_decay=0.1)
    trainer.run_epochs(np.full(3, 1e-3), np.inf, 0)
    trainer.close()
    index, used = program.learnt_index(), used_places(program)
    # Dropout scales up, exponentials grow: some of these networks diverge, and then there is nothing to promise.
    assume(np.isfinite(params).all())
    assert (params[index] != before[index]).any()
    for vector in (params, state.s, state.v):
        assert not np.delete(vector, used).any()


@pytest.mark.parametrize(
    "layers",
    [
        [Dense(4), Dense(2)],
        [Dense(4, "tanh"), Dense(2, "tanh")],
        [Dense(4, "tanh"), Dense(2), Dropout(0.5)],
        [Dropout(0.5), Dense(4, "tanh"), Dense(2)],
        [Dropout(0.5)],
        [],
        [Dense(4, "tanh"), Noise(0.5), Dense(2)],
        [Noise(0.5)],
        [Residual((Dense(5, "tanh"),)), Dense(2)],
        [Dense(4, "tanh"), Residual((Dense(3, "tanh"),)), Dense(2)],
        [Dense(4, "tanh"), Residual((Dropout(0.5), Dense(4, "tanh"))), Dense(2)],
        [Dense(2, "tanh"), Residual((Dense(2),))],
        [Dense(4, "tanh"), Residual((Dense(4),)), Dense(2)],
        [Dense(4, "tanh"), Residual((Noise(0.5), Dense(4, "tanh"))), Dense(2)],
        [Dense(4, "tanh"), Residual((Dense(4, "tanh"), Noise(0.5))), Dense(2)],
        [Dense(4, "tanh"), Residual((Dense(4, "tanh"), Residual((Dense(4, "elu"),)))), Dense(2)],
        [Dense(4, "tanh"), Residual(()), Dense(2)],
        [Dense(4, "tanh"), Dense(2, None, "batch")],
        [Dense(4, "tanh"), Dense(2, None, "layer")],
        [Dense(4, "tanh"), Dropout(0.5), Dropout(0.5), Dense(2)],
    ],
    ids=[
        "hidden layer without activation",
        "outputs with activation",
        "dropout last",
        "dropout first",
        "no dense",
        "none",
        "noise within",
        "noise alone",
        "shortcut first",
        "shortcut to another width",
        "shortcut that begins with dropout",
        "shortcut last",
        "shortcut around no activation",
        "shortcut that begins with noise",
        "shortcut that ends with noise",
        "shortcut within a shortcut",
        "shortcut around nothing",
        "outputs normalised by the batch",
        "outputs normalised",
        "dropout twice",
    ],
)
def test_layers_that_would_train_wrongly_are_refused_or_right(layers):
    # Where derivatives wait, and that nobody but the loss writes the last gradient, depends on what stands where.
    try:
        program = lower(layers, 5, dtype=np.float64, loss="squared_error")
    except ValueError:
        return
    for op, operation in zip(program.ops, program.operations, strict=True):
        assert operation.kind != "dropout" or op["y"] >= 0, "it would write before the first buffer"
    rng = np.random.default_rng(0)
    assert_right_gradient(
        program, initialize(program, 3), rng.normal(size=(20, 5)), rng.normal(size=(20, 2)), None, seed=3
    )


RECURRENT = Recurrent("gru", 4)


@pytest.mark.parametrize(
    ("layers", "n_timesteps", "sparse", "message"),
    [
        ([], 0, False, "A network needs at least one layer"),
        ([Dropout(0.5)], 0, False, "A network needs at least one layer that learns"),
        ([RECURRENT, Dense(2)], 5, False, r"Dense needs rows, got sequences of shape \(5, 4\): put Global"),
        ([Dense(2)], 5, False, r"Dense needs rows, got sequences of shape \(5, 3\)"),
        ([RECURRENT, Dense(2)], 0, False, r"Recurrent needs sequences, got rows of shape \(3,\)"),
        ([RECURRENT, GlobalPool(), GlobalPool()], 5, False, r"GlobalPool needs sequences, got rows of shape \(4,\)"),
        ([MaxPool1D(), Dense(2)], 0, False, "MaxPool1D needs sequences"),
        ([RECURRENT], 5, False, r"The last layer must return rows, got sequences of shape \(5, 4\)"),
        ([Dense(2, "tanh")], 0, False, "The last layer must be Dense, without an activation"),
        ([Dense(2), Activation("tanh")], 0, False, "The last layer must be Dense, without an activation"),
        ([Dense(2), Dropout(0.1)], 0, False, "The last layer must be Dense, without an activation"),
        ([Dropout(0.1), Dense(2)], 0, True, "Dropout needs dense rows, got those of a sparse matrix"),
        ([Noise(0.1), Dense(2)], 0, True, "Noise needs dense rows"),
        ([BatchNorm(), Dense(2)], 0, True, "BatchNorm needs dense rows"),
        ([LayerNorm(), Dense(2)], 0, True, "LayerNorm needs dense rows"),
        ([Activation("relu"), Dense(2)], 0, True, "Activation needs dense rows"),
        ([Residual((Dense(3),)), Dense(2)], 0, True, "Residual needs dense rows"),
        ([Flatten(), Dense(2)], 0, True, "Flatten needs dense rows"),
        ([Reshape((3, 1)), GlobalPool(), Dense(2)], 0, True, "Reshape needs dense rows"),
        ([Reshape((2, 2)), GlobalPool(), Dense(2)], 0, False, r"Reshape needs a shape of 3 numbers, .* got \(2, 2\)"),
        ([Residual((Dense(4),)), Dense(2)], 0, False, r"Residual needs layers that keep the shape, got \(3,\)"),
        ([Residual(()), Dense(2)], 0, False, "Residual needs at least one layer"),
        ([RECURRENT, Standardize(), GlobalPool(), Dense(2)], 5, False, "Standardize must be the first layer"),
        ([Standardize(), Standardize(), GlobalPool(), Dense(2)], 5, False, "Standardize must be the first layer"),
        ([Dense(0)], 0, False, "units of Dense must be an integer from 1 to"),
        ([Dense(2.5)], 0, False, "units of Dense must be an integer from 1 to"),
        ([Dense(True)], 0, False, "units of Dense must be an integer from 1 to"),
        ([Dense(3, "no"), Dense(2)], 0, False, "activation of Dense must be one of"),
        ([Dense(3, None, "no"), Dense(2)], 0, False, r"normalization of Dense must be one of \['batch', 'layer'\]"),
        ([Dropout(1.0), Dense(2)], 0, False, r"rate of Dropout must be a number in \[0, 1\)"),
        ([Noise(-1), Dense(2)], 0, False, "deviation of Noise must be a number that is not negative"),
        ([Noise(np.nan), Dense(2)], 0, False, "deviation of Noise must be a number that is not negative"),
        ([Recurrent("gru", 4, truncate=0), GlobalPool(), Dense(2)], 5, False, "truncate of Recurrent must be an int"),
        ([GlobalPool("sum"), Dense(2)], 5, False, "pooling of GlobalPool must be one of"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("training", [True, False])
def test_what_cannot_be_is_refused_with_a_sentence(layers, n_timesteps, sparse, message, training):
    options = {"n_timesteps": n_timesteps, "sparse": sparse, "training": training}
    if not training and any(isinstance(layer, Dropout | Noise) for layer in layers):
        return  # they are left out
    with pytest.raises(ValueError, match=message):
        lower(layers, 3, dtype=np.float64, loss="squared_error", **options)


def test_what_is_no_layer_is_refused():
    for wrong in ("Dense", Dense, None, 3, {"units": 3}):
        with pytest.raises(TypeError, match=r"Layers must be those of skneural.layers, or subclasses of Layer, got"):
            lower([wrong, Dense(2)], 3, dtype=np.float64, loss="squared_error")


@given(networks())
@examples(50)
def test_programs_for_prediction_have_no_room_for_the_way_back(network):
    program = lower(**network)
    predicting = program.variant(sparse=network["sparse"], training=False)
    assert predicting.same_parameters(program)
    assert predicting.n_work <= program.n_work
    assert predicting.n_transposed == predicting.n_statistics == 0
    assert not operations_of(predicting, "dropout", "noise")
    assert (predicting.ops["dx"][:-1] == -1).all()
    assert (predicting.ops["dy"][:-2] == -1).all()  # the loss writes its gradient


def test_there_is_no_gradient_by_sparse_rows():
    with pytest.raises(ValueError, match="no gradient by the rows of a sparse matrix"):
        lower([Dense(2)], 3, dtype=np.float64, loss="squared_error", sparse=True, input_gradient=True)
