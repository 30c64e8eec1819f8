"""Training on a GPU is training on the CPU, to rounding: the same rows, the same random numbers, the same steps."""

import numpy as np
import pytest
from networks import csr, make_data, make_network
from twins import compare, tiles_of

from skneural.backends.base import OptimizerState
from skneural.backends.cpu.engine import Predictor as OnCPU
from skneural.backends.cpu.engine import Trainer as TrainerOnCPU
from skneural.backends.cuda import engine, memory, product, streaming
from skneural.backends.cuda.engine import Predictor as OnGPU
from skneural.backends.cuda.engine import Trainer as TrainerOnGPU
from skneural.layers import ActivityRegularization, Dense, Dropout, GaussianSampling, Noise, Residual
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES
from skneural.maths.optimizers import OPTIMIZERS

pytestmark = pytest.mark.gpu

NETWORKS = {
    "dense": [Dense(6, "tanh"), Dense(5, "relu"), Dense(3)],
    "dropout": [Dense(6, "tanh"), Dropout(0.3), Dense(5, "gelu"), Dropout(0.2), Dense(3)],
    "noise": [Noise(0.1), Dense(6, "tanh"), Dense(3)],
    "sampling": [Dense(6, "tanh"), GaussianSampling(0.5, 1.5), ActivityRegularization(0.1), Dense(3)],
    "batch_norm": [Dense(6, "tanh", "batch"), Dropout(0.2), Dense(5, "silu", "batch"), Dense(3)],
    "layer_norm": [Dense(6, "tanh", "layer"), Dense(3)],
    "residual": [Dense(6, "relu"), Residual((Dense(6, "tanh"), Dropout(0.2))), Dense(3)],
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_twenty_steps(name, dtype):
    fit = compare(NETWORKS[name], dtype=dtype, epochs=5)
    assert fit.state.step == 20


@pytest.mark.slow
@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_solver(solver):
    compare([Dense(4, "tanh"), Dense(3)], epochs=2, solver=solver, weighted=False)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_loss(loss):
    compare([Dense(4, "tanh"), Dense(3)], loss, np.float32, epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation(activation):
    compare([Dense(4, activation), Dense(3)], dtype=np.float32, epochs=1)


LIMITS = {"clip_norm": 0.4, "clip_value": 0.1, "max_norm": 0.7}


def test_one_short_fit():
    compare(NETWORKS["batch_norm"], epochs=1, n_rows=5, batch=3, limits=LIMITS, monitor=True)


@pytest.mark.slow
def test_limits_and_norms_of_gradients():
    compare(NETWORKS["batch_norm"], epochs=2, limits=LIMITS, monitor=True)


@pytest.mark.slow
def test_order_of_rows_as_they_are():
    compare(NETWORKS["dense"], epochs=2, shuffle=False)


@pytest.mark.slow
def test_sparse_rows():
    X, targets, weights = make_data("log_loss", 20)
    X[np.abs(X) < 0.8] = 0
    compare(NETWORKS["dropout"], epochs=2, is_sparse=csr, data=(X, targets, weights))


@pytest.mark.slow
def test_batches_in_pieces(monkeypatch):
    monkeypatch.setattr(engine, "WORK_BYTES", 2000)
    fit = compare(NETWORKS["layer_norm"], epochs=1, batch=8)
    assert fit.trainer.chunks > 2


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [True, False])
def test_data_that_does_not_fit_is_streamed(monkeypatch, shuffle):
    monkeypatch.setattr(memory, "fits", lambda needed: needed < 8000)
    monkeypatch.setattr(streaming, "WINDOW", 1000)
    data = make_data("log_loss", 44)
    fit = compare([Dense(3, "tanh"), Dense(3)], epochs=2, data=data, shuffle=shuffle)
    assert fit.trainer.streamed is not None


@pytest.mark.slow
def test_depth_in_parts(monkeypatch):
    # Gradients of few weights over many rows are divided among blocks: here already where there are 17.
    monkeypatch.setattr(product, "LEAST_DEPTH", 4)
    monkeypatch.setattr("skneural.backends.cuda.hub.n_processors", lambda: 64)
    fit = compare(NETWORKS["dense"], epochs=1, batch=17)
    assert fit.trainer.run.binder.n_scratch > 0


@pytest.mark.slow
def test_two_fits_have_the_same_bits():
    fits = [compare(NETWORKS["dropout"], dtype=np.float32, epochs=1) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].params, fits[1].params)


@pytest.mark.slow
def test_tensor_cores(monkeypatch):
    # One processor is busy with one block, so all products have large tiles.
    monkeypatch.setattr("skneural.backends.cuda.hub.n_processors", lambda: 1)
    fit = compare(NETWORKS["dense"], dtype=np.float32, epochs=1, precision="tf32", close=5e-3)
    full = compare(NETWORKS["dense"], dtype=np.float32, epochs=1)
    assert (tiles_of(fit.trainer), tiles_of(full.trainer)) == ({"tensor"}, {"large_8"})
    assert (fit.params != full.params).any()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_prediction(name):
    program, params = make_network(NETWORKS[name], "log_loss")
    X, targets, weights = make_data("log_loss", 19)
    program = program.variant(training=False)
    expected, losses = OnCPU(program, params, with_loss=True)(X, targets, weights)
    outputs, found = OnGPU(program, params, with_loss=True)(X, targets, weights)
    np.testing.assert_allclose(outputs, expected, atol=1e-12)
    np.testing.assert_allclose(found, losses, rtol=1e-9)


def test_prediction_of_one_row_has_the_bits_of_many():
    program, params = make_network(NETWORKS["dense"], "log_loss", dtype=np.float32)
    X, _, _ = make_data("log_loss", 40, dtype=np.float32)
    predict = OnGPU(program, params)
    np.testing.assert_array_equal(predict(X[7:8])[0], predict(X)[0][7:8])


@pytest.mark.slow
def test_prediction_in_parts(monkeypatch):
    program, params = make_network(NETWORKS["dense"], "log_loss")
    X, targets, _ = make_data("log_loss", 50)
    monkeypatch.setattr(engine, "PREDICT_ROWS", 16)
    whole = OnGPU(program, params, with_loss=True)(X, targets)
    free = 16 * program.variant(training=True).n_work * 8 + params.nbytes + 2000
    monkeypatch.setattr(memory, "fits", lambda needed: needed <= free)
    parts = OnGPU(program, params, with_loss=True)(X, targets)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_loss_and_gradient_of_all_rows():
    program, params = make_network(NETWORKS["layer_norm"], "log_loss")
    data = make_data("log_loss", 20)
    results = []
    for backend in (TrainerOnCPU, TrainerOnGPU):
        trainer = backend(program, params, *data, alpha=0.1, seed=1, n_threads=1)
        results.append([(loss, gradient.copy()) for loss, gradient in [trainer.loss_and_gradient() for _ in range(2)]])
        trainer.close()
    for (loss, gradient), (expected, wanted) in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(loss, expected, rtol=1e-12)
        np.testing.assert_allclose(gradient, wanted, atol=1e-12)


@pytest.mark.slow
def test_gradient_by_central_differences():
    program, params = make_network(NETWORKS["dense"], "log_loss")
    data = make_data("log_loss", 9)
    trainer = TrainerOnGPU(program, params, *data, alpha=0.0, seed=1)
    _, gradient = trainer.loss_and_gradient()
    gradient, h = gradient.copy(), 1e-6
    for place in np.random.default_rng(0).choice(program.learnt_index(), 12, replace=False):
        losses = []
        for sign in (1, -1):
            params[place] += sign * h
            losses.append(trainer.loss_and_gradient()[0])
            params[place] -= sign * h
        np.testing.assert_allclose(gradient[place], (losses[0] - losses[1]) / (2 * h), rtol=1e-6, atol=1e-7)
    trainer.close()


def test_too_little_memory_says_what_is_needed(monkeypatch):
    monkeypatch.setattr(memory, "fits", lambda needed: False)
    monkeypatch.setattr("skneural.backends.cuda.hub.memory_info", lambda: (10**9, 2 * 10**9))
    program, params = make_network(NETWORKS["dense"], "log_loss")
    trainer = TrainerOnGPU(program, params, *make_data("log_loss", 20), alpha=0.0, seed=1)
    state = OptimizerState.fresh(program)
    with pytest.raises(MemoryError, match=r"1\.00 of 2\.00 GB free, and this needs .* GB\. A smaller batch_size"):
        trainer.start("sgd", (0.9, 1), state, batch=8, shuffle=True, tol=0, patience=1)
    trainer.close()
