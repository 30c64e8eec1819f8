"""Recurrent networks on a GPU are those on the CPU, to rounding: narrow and wide layers, all that they can be told."""

import numpy as np
import pytest
from networks import constants_of
from twins import CLOSE, Fit, assert_same

from skneural.backends.cpu.engine import Predictor as OnCPU
from skneural.backends.cpu.engine import Trainer as TrainerOnCPU
from skneural.backends.cuda import memory, product, streaming
from skneural.backends.cuda.engine import Predictor as OnGPU
from skneural.backends.cuda.engine import Trainer as TrainerOnGPU
from skneural.backends.cuda.layers import recurrent_loops
from skneural.backends.inputs import Sequences
from skneural.layers import Dense, Dropout, GlobalPool, Noise, Recurrent, Standardize
from skneural.network.initializers import initialize
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

N_TIMESTEPS, N_FEATURES = 4, 2
NETWORKS = {
    "plain": [Recurrent("lstm", 5), GlobalPool("last"), Dense(3)],
    "both directions": [Recurrent("gru", 3, True), Dropout(0.3), Recurrent("gru", 4), GlobalPool("mean"), Dense(3)],
    "masked": [
        Standardize(),
        Noise(0.1),
        Recurrent("lstm", 3, True, 0.4, 2),
        GlobalPool("max"),
        Dense(4, "relu"),
        Dense(3),
    ],
}


def make_data(n_rows, dtype, ragged=True, seed=0):
    """Sequences with NaN where they have ended, targets, and weights."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, N_TIMESTEPS, N_FEATURES)).astype(dtype)
    lengths = rng.integers(1, N_TIMESTEPS + 1, n_rows) if ragged else None
    for i, length in enumerate(lengths if ragged else ()):
        values[i, length:] = np.nan
    targets = rng.integers(3, size=(n_rows, 1)).astype(dtype)
    return Sequences(values, lengths), targets, rng.uniform(0.5, 2, n_rows).astype(dtype)


def make_network(layers, dtype):
    """A program for sequences, and parameters none of which is 0 or 1."""
    settings = constants_of("log_loss")
    program = lower(layers, N_FEATURES, dtype=dtype, loss="log_loss", settings=settings, n_timesteps=N_TIMESTEPS)
    params, rng = initialize(program, 1), np.random.default_rng(1)
    for norms in program.norm_views(params):
        for view in norms.values():
            view += rng.uniform(0.5, 1.5, view.shape)
    return program, params


def compare(layers, dtype=np.float64, *, ragged=True, n_rows=7, **facts):
    """Fit on both backends and assert that they agree; the fit on the GPU."""
    (program, params), data = make_network(layers, dtype), make_data(n_rows, dtype, ragged)
    fits = [Fit(backend, program, params, data, **{"batch": 3} | facts) for backend in (TrainerOnCPU, TrainerOnGPU)]
    assert_same(*fits, CLOSE[dtype])
    return fits[1]


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_twenty_steps(cell):
    fit = compare([Recurrent(cell, 4), GlobalPool("last"), Dense(3)], np.float32, epochs=10, n_rows=4, batch=2)
    assert fit.state.step == 20


@pytest.mark.slow
@pytest.mark.parametrize("widest", [128, 0])
@pytest.mark.parametrize("name", NETWORKS)
def test_network(monkeypatch, name, widest):
    monkeypatch.setattr(recurrent_loops, "WIDEST", widest)  # wide layers: a launch a step
    compare(NETWORKS[name], epochs=1)


@pytest.mark.slow
def test_limits_and_norms_of_gradients():
    compare(NETWORKS["both directions"], epochs=1, limits={"clip_norm": 0.3}, monitor=True)


@pytest.mark.slow
def test_depth_in_parts(monkeypatch):
    monkeypatch.setattr(product, "LEAST_DEPTH", 4)
    monkeypatch.setattr("skneural.backends.cuda.hub.n_processors", lambda: 64)
    fit = compare(NETWORKS["both directions"], epochs=1)
    assert fit.trainer.run.binder.n_scratch > 0


@pytest.mark.slow
def test_sequences_that_do_not_fit_are_streamed(monkeypatch):
    answers = iter([False, False])  # neither as it is nor in smaller chunks
    monkeypatch.setattr(memory, "fits", lambda needed: next(answers, True))
    monkeypatch.setattr(streaming, "WINDOW", 500)
    fit = compare(NETWORKS["plain"], np.float32, epochs=1, n_rows=20)
    assert fit.trainer.streamed is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_prediction(name):
    (program, params), (X, targets, weights) = make_network(NETWORKS[name], np.float64), make_data(9, np.float64)
    expected, losses = OnCPU(program.variant(training=False), params, with_loss=True)(X, targets, weights)
    outputs, found = OnGPU(program.variant(training=False), params, with_loss=True)(X, targets, weights)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    np.testing.assert_allclose(found, losses, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "units"), [("lstm", 128), ("gru", 100)])
def test_loop_with_the_blocks_that_gpus_use(monkeypatch, cell, units):
    monkeypatch.setattr(recurrent_loops, "WARP", 32)
    monkeypatch.setattr("skneural.backends.cuda.hub.shared_limit", lambda: 227 * 1024)
    monkeypatch.setattr("skneural.backends.cuda.hub.n_processors", lambda: 132)
    program, params = make_network([Recurrent(cell, units), GlobalPool("last"), Dense(3)], np.float32)
    data, results = make_data(5, np.float32), []
    for backend in (TrainerOnCPU, TrainerOnGPU):
        trainer = backend(program, params, *data, alpha=0.0, seed=1, n_threads=1)
        loss, gradient = trainer.loss_and_gradient()
        results.append((loss, gradient.copy()))
        trainer.close()
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-5)
    np.testing.assert_allclose(results[1][1], results[0][1], atol=1e-5 * np.abs(results[0][1]).max())
