"""What recurrent networks compute: outputs, losses, gradients and steps, against plain NumPy and against PyTorch."""

import inspect
import subprocess
import sys
from itertools import cycle, product

import numpy as np
import pytest
from conftest import one_at_a_time
from networks import assert_right_gradient, run_epochs, sum_and_gradient
from recurrent_reference import Direction, Network, Pytorch

from skneural.backends.cpu import engine
from skneural.backends.cpu.engine import Predictor, Trainer
from skneural.backends.cpu.layers.recurrent import make_recurrent_backward, make_recurrent_forward
from skneural.backends.inputs import Sequences
from skneural.layers import Dense, Dropout, GlobalPool, Noise, Recurrent, Standardize
from skneural.maths import random
from skneural.maths.activations import logistic, tanh
from skneural.maths.cells import CELLS
from skneural.maths.registry import Entry
from skneural.network.initializers import initialize
from skneural.network.program import lower

KNOWN = ("lstm", "gru", "rnn")
DTYPES = [np.float32, np.float64]
N_FEATURES, N_OUTPUTS = 3, 2

#: Distance to the truth that is allowed, in units of the largest number of its kind.
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}


def make_data(n_rows, n_steps, dtype=np.float64, *, ragged=False, seed=0):
    """Sequences (NaN after their ends), targets and weights."""
    rng = np.random.default_rng(seed)
    X, lengths = rng.normal(size=(n_rows, n_steps, N_FEATURES)).astype(dtype), None
    if ragged:
        lengths = rng.integers(1, n_steps + 1, n_rows)
        X[np.arange(n_steps) >= lengths[:, None]] = np.nan
    y = rng.normal(size=(n_rows, N_OUTPUTS)).astype(dtype)
    return Sequences(X, lengths), y, rng.uniform(0.5, 2, n_rows).astype(dtype)


def make_network(layers, n_steps, dtype=np.float64, seed=1):
    """A program and initial parameters, none of which is 0 or 1."""
    program = lower(layers, N_FEATURES, dtype=dtype, loss="squared_error", n_timesteps=n_steps)
    params, rng = initialize(program, seed), np.random.default_rng(seed)
    norms = [view for views in program.norm_views(params) for view in views.values()]
    for view in [*program.intercepts(params), *norms]:
        view += rng.uniform(-0.5, 0.5, view.shape)
    return program, params


def stack_of(cell, units, n_layers, pooling="last", **settings):
    return [*[Recurrent(cell, units, **settings)] * n_layers, GlobalPool(pooling), Dense(N_OUTPUTS)]


def recurrent_layers(program):
    return [layer for layer in program.source[0] if isinstance(layer, Recurrent)]


def twin_of(program, params, masks=None):
    """The network as one of `recurrent_reference`, on a copy in float64; `masks`, one a direction."""
    params, masks, layers = params.astype(np.float64), iter(masks or cycle([None])), []
    arrays = zip(
        program.coefs(params), program.views(params)["recurrent_coefs_"], program.intercepts(params), strict=False
    )
    for layer in recurrent_layers(program):
        ends = (False, True)[: 1 + layer.bidirectional]
        layers.append([Direction(layer.cell, *next(arrays), end, next(masks), layer.truncate) for end in ends])
    pooling = next(layer.pooling for layer in program.source.layers if isinstance(layer, GlobalPool))
    return Network(layers, pooling, program.coefs(params)[-1], program.intercepts(params)[-1])


def lengths_of(X):
    return np.full(len(X.values), X.values.shape[1]) if X.lengths is None else X.lengths


def flat(program, arrays):
    """What the twin learns, or its gradients, laid out like the parameters."""
    result = np.zeros(program.n_params)
    places = program.coefs(result), program.intercepts(result), program.views(result)["recurrent_coefs_"]
    for views, number in zip(places, (0, -1, 1), strict=True):
        for view, of_layer in zip(views, arrays, strict=False):
            view[...] = of_layer[number]
    return result


def assert_close(found, expected, dtype, factor=1.0):
    """Equal but for rounding: in units of the largest of the numbers."""
    assert np.abs(found - expected).max() <= factor * TOLERANCE[dtype] * np.abs(expected).max()


def outputs_of(program, params, X):
    return Predictor(program.variant(training=False), params)(X)[0]


def assert_computes_what_the_twin_does(program, params, X, y, weights, masks=None):
    """Loss and gradients in training, with the `masks` of the states, and outputs in prediction, without."""
    twin, dtype = twin_of(program, params, masks), program.dtype.type
    outputs, loss, gradients = twin.run(X.values, lengths_of(X), y, np.float64(weights))
    found_loss, found = sum_and_gradient(program, params, X, y, weights, seed=7)
    assert found.dtype == dtype
    assert_close(found, flat(program, gradients), dtype)
    assert_close(np.array(found_loss), np.array(loss), dtype)
    assert not np.delete(found, program.learnt_index()).any()
    outputs = twin_of(program, params).run(X.values, lengths_of(X)) if masks else outputs
    assert_close(outputs_of(program, params, X), outputs, dtype)


# -- plain NumPy -------------------------------------------------------------------------------------------------------

COMBINATIONS = product(KNOWN, DTYPES, (1, 2, 3), (1, 2, 7), (1, 5, 16, 18, 50))
#: Twelve ways and seven sizes of batches go round, so that each meets each of the others.
WAYS = list(product((False, True), ("last", "mean", "max"), (False, True)))
TABLE = [
    (*combination, *way, n_rows)
    for combination, way, n_rows in zip(COMBINATIONS, cycle(WAYS), cycle([1, 2, 3, 6, 9, 15, 29]), strict=False)
]


#: Eleven shares no factor with what goes round: what is left has every value of everything, in other company each time.
QUICK = set(range(0, len(TABLE), 11)) | set(range(4, len(TABLE), 11)) | set(range(8, len(TABLE), 11))


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if i in QUICK else pytest.mark.slow) for i, case in enumerate(TABLE)], ids=str
)
def test_outputs_and_gradients_are_those_of_plain_numpy(case):
    cell, dtype, n_layers, n_steps, units, both, pooling, ragged, n_rows = case
    X, y, weights = make_data(n_rows, n_steps, dtype, ragged=ragged)
    program, params = make_network(stack_of(cell, units, n_layers, pooling, bidirectional=both), n_steps, dtype)
    assert_computes_what_the_twin_does(program, params, X, y, weights)


@one_at_a_time({"cell": "lstm", "dtype": np.float32, "both": True}, cell=KNOWN, dtype=DTYPES, both=[False])
def test_layers_of_several_widths_on_several_threads(crews, cell, dtype, both):
    X, y, weights = make_data(131, 6, dtype, ragged=True)
    layers = [*[Recurrent(cell, units, both) for units in (33, 2, 17)], GlobalPool("mean"), Dense(N_OUTPUTS)]
    program, params = make_network(layers, 6, dtype)
    assert_computes_what_the_twin_does(program, params, X, y, weights)
    results = [sum_and_gradient(program, params, X, y, weights, n_threads=n) for n in (1, 2, 3, 5)]
    assert set(crews) == {1, 2, 3, 5}
    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(gradient, results[0][1])


@pytest.mark.parametrize(
    ("cell", "units", "both"), [("lstm", 35, True), ("gru", 35, True), ("gru", 50, False), ("rnn", 130, True)]
)
def test_wide_layers_whose_gradients_are_laid_out(crews, cell, units, both):
    # Rows of 1,024 bytes and more, and more rows of all steps than are laid out at a time.
    X, y, weights = make_data(29, 7, ragged=both)
    program, params = make_network(stack_of(cell, units, 2, "mean", bidirectional=both), 7)
    assert_computes_what_the_twin_does(program, params, X, y, weights)
    loss, gradient = sum_and_gradient(program, params, X, y, weights)
    for n_threads in (2, 3):
        other_loss, other = sum_and_gradient(program, params, X, y, weights, n_threads=n_threads)
        assert other_loss == loss
        np.testing.assert_array_equal(other, gradient)


@one_at_a_time(
    {"cell": "gru", "ragged": True, "pooling": "last", "both": True},
    cell=KNOWN, ragged=[False], pooling=["mean", "max"], both=[False],
)  # fmt: skip
def test_truncated_gradients(cell, ragged, pooling, both):
    X, y, weights = make_data(14, 7, ragged=ragged)
    found = []
    for truncate in (1, 2, 3, 6, 7, 100, None):
        layers = stack_of(cell, 5, 2, pooling, bidirectional=both, truncate=truncate)
        program, params = make_network(layers, 7)
        assert_computes_what_the_twin_does(program, params, X, y, weights)
        found.append(sum_and_gradient(program, params, X, y, weights)[1])
    for gradient in found[-3:-1]:
        np.testing.assert_array_equal(gradient, found[-1])  # no sequence is longer
    assert all((gradient != found[-1]).any() for gradient in found[:-3])


# -- recurrent dropout -------------------------------------------------------------------------------------------------


def masks_of(program, rows, seed, step):
    """Masks of the states, drawn as the registry of random numbers says: by position in the epoch and unit."""
    masks = []
    for operation in (operation for operation in program.operations if operation.kind == "recurrent"):
        stream, rate = operation.details["stream"], operation.details["rate"]
        k = random.key(np.uint64(seed), np.uint64(random.RECURRENT_DROPOUT + 16 * stream), np.uint64(step))
        position = np.array(rows)[:, None] * operation.output.ld + np.arange(operation.output.width)
        drawn = random.bits(k, position.astype(np.uint64)) >= rate * 2**32
        masks.append(drawn / (1 - rate))
    return masks


@pytest.mark.parametrize("cell", KNOWN)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", [{}, {"bidirectional": True}, {"truncate": 2}], ids=str)
def test_gradients_with_masked_states(cell, dtype, settings):
    X, y, weights = make_data(13, 6, dtype, ragged=True)
    program, params = make_network(stack_of(cell, 9, 2, "mean", rate=0.4, **settings), 6, dtype)
    masks = masks_of(program, range(13), seed=7, step=0)
    assert all(0 < mask.astype(bool).mean() < 1 for mask in masks)
    assert_computes_what_the_twin_does(program, params, X, y, weights, masks)


@pytest.mark.parametrize("cell", KNOWN)
def test_every_step_has_masks_of_its_own(cell):
    X, y, weights = make_data(13, 4, ragged=True)
    program, params = make_network(stack_of(cell, 6, 2, rate=0.3, bidirectional=True), 4)
    twin = twin_of(program, params)
    run_epochs(program, params, X, y, weights, "sgd", (0.0, 0.0), batch=5, rates=[0.05, 0.02], seed=3)
    for step in range(6):
        rows = np.arange(13)[5 * (step % 3) :][:5]
        for direction, mask in zip(twin.directions(), masks_of(program, rows, seed=3, step=step), strict=True):
            direction.mask = mask
        _, _, gradients = twin.run(X.values[rows], X.lengths[rows], y[rows], weights[rows])
        for of_layer, by_layer in zip(twin.learnt(), gradients, strict=True):
            for a, gradient in zip(of_layer, by_layer, strict=True):
                a -= (0.05, 0.02)[step // 3] / weights[rows].sum() * gradient
    np.testing.assert_allclose(params, flat(program, twin.learnt()), rtol=1e-10, atol=1e-12)


# -- central differences, and cells of one's own -----------------------------------------------------------------------


def everything(cell, pooling="mean"):
    """Layers of every kind that sequences may meet."""
    return [
        Standardize(), Noise(0.3), Recurrent(cell, 5, True, 0.4), Dropout(0.3), Recurrent(cell, 3, rate=0.2),
        Recurrent(cell, 4, True), GlobalPool(pooling), Dropout(0.2), Dense(3, "tanh"), Dense(N_OUTPUTS),
    ]  # fmt: skip


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("cell", CELLS)
def test_gradient_is_that_of_central_differences(cell, pooling):
    X, y, weights = make_data(11, 4, ragged=True)
    program, params = make_network(everything(cell, pooling), 4)
    assert_right_gradient(program, params, X, y, weights, seed=11)


def test_random_numbers_are_a_function_of_seed_and_step():
    X, y, weights = make_data(11, 4, ragged=True)
    program, params = make_network(everything("gru"), 4)
    trainers = [Trainer(program, params, X, y, weights, alpha=0.0, seed=seed, n_threads=1) for seed in (5, 5, 6)]
    found = [np.append(*trainer.loss_and_gradient()) for trainer in trainers]
    for trainer, before in zip(trainers, found, strict=True):
        np.testing.assert_array_equal(np.append(*trainer.loss_and_gradient()), before)
        trainer.close()
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0][0] != found[2][0]


def minimal_back(a, h, c_before, c, dh, dc):
    """Gradients of `minimal`."""
    one = type(h)(1)
    f, n = a
    return (dh * (n - h) * f * (one - f), dh * f * (one - n * n)), dh * (one - f), dc


def minimal(a, h, c):
    """A unit with one gate: ``h = (1 - f) h + f n``."""
    f, n = a
    return a, h + f * (n - h), c


def coupled_back(a, h, c_before, c, dh, dc):
    """Gradients of `coupled`."""
    one = type(c)(1)
    f, g, o = a
    t = tanh(c)[0]
    d = dc + dh * o * (one - t * t)
    return (d * (c_before - g) * f * (one - f), d * (one - f) * (one - g * g), dh * t * o * (one - o)), dh * 0, d * f


def coupled(a, h, c):
    """A memory that forgets as much as it takes in: ``c = f c + (1 - f) g, h = o tanh(c)``."""
    f, g, o = a
    c = f * c + (type(c)(1) - f) * g
    return a, o * tanh(c)[0], c


#: Formula, and the options that describe it: all that an addition takes.
ADDITIONS = {
    "minimal": (minimal, {
        "gates": ("forget", "new"), "activations": (logistic, tanh),
        "backward": minimal_back, "bias": {"forget": 0.5},
    }),
    "coupled": (coupled, {
        "gates": ("forget", "cell", "output"), "activations": (logistic, tanh, logistic),
        "memory": True, "backward": coupled_back,
    }),
}  # fmt: skip


# Each compiles nine kernels, and of another precision nine more.
@pytest.fixture(params=["minimal", pytest.param("coupled", marks=pytest.mark.slow)])
def addition(request):
    formula, options = ADDITIONS[request.param]
    CELLS.register(request.param, **options)(formula)
    yield request.param
    del CELLS[request.param]


def test_a_cell_is_added_by_two_functions(addition):
    test_gradient_is_that_of_central_differences(addition, "mean")
    X, y, weights = make_data(14, 6, ragged=True)
    program, params = make_network(stack_of(addition, 18, 2, "max", bidirectional=True), 6)
    assert_computes_what_the_twin_does(program, params, X, y, weights)
    X, y, _ = make_data(60, 5)
    y[:, 0], y[:, 1] = X.values[:, 0, 0], X.values.mean(axis=(1, 2))
    program, params = make_network(stack_of(addition, 8, 1), 5)
    if "forget" in CELLS[addition].bias:
        assert (program.intercepts(initialize(program, 0))[0][0] == 0.5).all()
    losses, _, _ = run_epochs(program, params, X, y, None, "adam", (0.9, 0.999, 1e-8), batch=20, rates=[0.02] * 60)
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.slow
def test_a_cell_that_is_added_works_in_single_precision(addition):
    X, y, weights = make_data(14, 6, np.float32, ragged=True)
    program, params = make_network(stack_of(addition, 18, 2, "last"), 6, np.float32)
    assert_computes_what_the_twin_does(program, params, X, y, weights)


@pytest.mark.parametrize("part", ["formula", "activations", "backward"])
def test_kernels_are_known_by_every_function_of_their_cell(part):
    # Cells and their activations may come from files that the package knows nothing of.
    def digest(factor):
        def changed(x):
            return factor * x

        options = CELLS["rnn"].options | {part: (changed,) if part == "activations" else changed}
        entry = Entry("rnn", options.pop("formula", CELLS["rnn"].formula), options)
        make = make_recurrent_backward if part == "backward" else make_recurrent_forward
        return inspect.getclosurevars(make(np.float64, entry)[1]).nonlocals["digest"]

    assert digest(1.0) != digest(2.0)


def test_kernels_come_from_the_cache():
    code = """if True:
        import numpy as np
        from skneural import LSTMRegressor
        from skneural.backends.cpu.compiler import compiled_kernels
        X = np.random.default_rng(0).normal(size=(9, 4, 2))
        LSTMRegressor(3, max_iter=1, bidirectional=True, recurrent_dropout=0.2).fit(X, X[:, 0, 0]).predict(X)
        print([name for name, cached in compiled_kernels().items() if not cached])"""
    for _ in range(2):  # the first one may have to compile
        run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
        if (found := run.stdout.strip()) == "[]":
            break
    assert found == "[]"


# -- chunks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [1, 5])
def test_large_batches_come_in_pieces(monkeypatch, capacity):
    X, y, weights = make_data(23, 5, ragged=True)
    program, params = make_network(everything("lstm"), 5)
    results = []
    for room in (100, capacity):
        monkeypatch.setattr(engine, "SEQUENCE_BYTES", room * program.n_work * 8 + 8)
        trainer = Trainer(program, params.copy(), X, y, weights, alpha=0.0, seed=4, n_threads=2)
        loss, gradient = trainer.loss_and_gradient()
        trainer.close()
        assert trainer.template["capacity"] == min(room, 23)
        trained = params.copy()
        run_epochs(program, trained, X, y, weights, "sgd", (0.9, 1.0), batch=11, rates=[0.05] * 3, shuffle=True)
        results.append((loss, gradient, trained))
    for whole, chunks in zip(*results, strict=True):
        assert_close(chunks, whole, np.float64, factor=1e-3)


# -- other programs ----------------------------------------------------------------------------------------------------


def test_golden_values_of_keras():
    # Units that are all alike, from a test of Keras' LSTM.
    layers = [Recurrent("lstm", 3), GlobalPool("last"), Dense(3)]
    program = lower(layers, 4, dtype=np.float32, loss="squared_error", n_timesteps=6)
    params = initialize(program, 0)
    values = 0.01, np.eye(3), 0.03, 0.0, 0.02
    views = program.coefs(params) + program.intercepts(params) + program.views(params)["recurrent_coefs_"]
    for view, value in zip(views, values, strict=True):
        view[...] = value
    X = np.arange(72, dtype=np.float32).reshape(3, 6, 4)
    expected = np.repeat([[0.57019705], [0.8661914], [0.9459622]], 3, axis=1)
    np.testing.assert_allclose(outputs_of(program, params, Sequences(X, None)), expected, rtol=0, atol=3e-7)


TORCH = pytest.mark.parametrize("case", list(product(KNOWN, (1, 2, 3), (False, True), DTYPES)), ids=str)


@TORCH
def test_outputs_and_gradients_are_those_of_pytorch(case):
    pytest.importorskip("torch")
    cell, n_layers, both, dtype = case
    X, y, _ = make_data(15, 9, dtype)
    program, params = make_network(stack_of(cell, 18, n_layers, bidirectional=both), 9, dtype)
    twin = Pytorch(twin_of(program, params), dtype)
    loss = twin.losses(X.values, y).sum()
    loss.backward()
    assert_close(outputs_of(program, params, X), twin.outputs.detach().numpy(), dtype)
    found_loss, found = sum_and_gradient(program, params, X, y, None)
    assert found_loss == pytest.approx(loss.item(), rel=TOLERANCE[dtype])
    assert_close(found, flat(program, twin.arrays(lambda tensor: tensor.grad)), dtype)


@TORCH
def test_ten_steps_are_those_of_pytorch(case):
    torch = pytest.importorskip("torch")
    cell, n_layers, both, dtype = case
    X, y, _ = make_data(15, 9, dtype)
    program, params = make_network(stack_of(cell, 18, n_layers, bidirectional=both), 9, dtype)
    twin = Pytorch(twin_of(program, params), dtype)
    optimizer = torch.optim.Adam(twin.learnt, lr=0.01)
    for _ in range(10):
        optimizer.zero_grad()
        twin.losses(X.values, y).mean().backward()
        twin.keep_surplus_biases()
        assert torch.nn.utils.clip_grad_norm_(twin.learnt, 0.05) > 0.05
        optimizer.step()
    limits, hyper = {"clip_norm": 0.05}, (0.9, 0.999, 1e-8)
    run_epochs(program, params, X, y, None, "adamw", hyper, batch=15, rates=[0.01] * 10, limits=limits)
    expected = flat(program, twin.arrays(lambda tensor: tensor.detach()))
    # It adds 1e-6 to the norm that it divides by.
    assert np.abs(params - expected).max() <= (1e-4 if dtype is np.float32 else 1e-6)
