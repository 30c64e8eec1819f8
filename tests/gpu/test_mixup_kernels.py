"""Mixup on a GPU is that on the CPU: losses, gradients and fits, of samples with weights, of batches and windows."""

import numpy as np
import pytest
from networks import constants_of
from twins import CLOSE, Fit, assert_same

from skneural.backends.cpu.engine import Trainer as OnCPU
from skneural.backends.cuda import streaming
from skneural.backends.cuda.engine import Trainer as OnGPU
from skneural.backends.inputs import Sequences
from skneural.layers import ActivityRegularization, Dense, GaussianSampling, GlobalPool, Standardize
from skneural.network.initializers import initialize
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

N_ROWS, N_STEPS, N_FEATURES, N_OUTPUTS = 7, 4, 2, 3
LENGTHS = np.array([4, 1, 3, 2, 4, 4, 2])
LOSSES = ["log_loss", "squared_error", "binary_log_loss"]


#: What adds to the loss of a row, whose weight is mixed, too.
PENALTIES = [ActivityRegularization(0.3, 0.2), Dense(4, "tanh"), GaussianSampling(0.5)]


def make_network(loss, dtype=np.float64, penalties=()):
    """A program whose outputs are not linear in its inputs, and its parameters."""
    layers = [Standardize(), GlobalPool("max"), Dense(3, "tanh"), *penalties, Dense(N_OUTPUTS)]
    facts = {"loss": loss, "settings": constants_of(loss, N_OUTPUTS), "n_timesteps": N_STEPS}
    program = lower(layers, N_FEATURES, dtype=dtype, **facts)
    params = initialize(program, 1)
    for views in program.norm_views(params):
        views["deviation"][:] = 0.5
    return program, params


def make_data(loss, weighted, ragged, dtype=np.float64):
    """Sequences, targets and weights."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N_ROWS, N_STEPS, N_FEATURES)).astype(dtype)
    lengths = None
    if ragged:
        lengths = LENGTHS
        values[np.arange(N_STEPS) >= lengths[:, None]] = np.nan
    targets = {
        "log_loss": rng.integers(N_OUTPUTS, size=(N_ROWS, 1)),
        "squared_error": rng.normal(size=(N_ROWS, N_OUTPUTS)),
        "binary_log_loss": rng.integers(2, size=(N_ROWS, N_OUTPUTS)),
    }
    weights = np.where(np.arange(N_ROWS) % 2, 1.0, 20.0).astype(dtype) if weighted else None
    return Sequences(values, lengths), targets[loss].astype(dtype), weights


def fits(loss="log_loss", dtype=np.float64, weighted=True, ragged=True, mixup=0.4, penalties=(), **facts):
    """The same fit on both backends, which agree."""
    program, params = make_network(loss, dtype, penalties)
    data = make_data(loss, weighted, ragged, dtype)
    facts = {"epochs": 2, "batch": 3, "mixup": mixup} | facts
    found = [Fit(backend, program, params, data, **facts) for backend in (OnCPU, OnGPU)]
    assert_same(*found, CLOSE[dtype])
    assert np.abs(found[0].params - params).max() > 1e-3
    return found


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradient(loss):
    program, params = make_network(loss)
    data = make_data(loss, True, True)
    found = []
    for make_trainer in (OnCPU, OnGPU):
        trainer = make_trainer(program, params.copy(), *data, alpha=0.0, seed=3, n_threads=1, mixup=0.4)
        total, gradient = trainer.loss_and_gradient()
        found.append([total, gradient[program.learnt_index()].copy()])
        trainer.close()
    for cpu, gpu in zip(*found, strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-10, atol=1e-12 * np.abs(cpu).max())
    alone = OnGPU(program, params.copy(), *data, alpha=0.0, seed=3)
    assert abs(alone.loss_and_gradient()[0] - found[1][0]) > 1e-3
    alone.close()


def test_fit_with_weights():
    fits(penalties=PENALTIES)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_fit(dtype, shuffle, weighted):
    fits("squared_error", dtype, weighted, False, shuffle=shuffle, limits={"clip_norm": 0.5, "max_norm": 1.0})


def test_partners_come_with_their_window(monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW", 64)
    capacity = OnGPU._capacity
    monkeypatch.setattr(OnGPU, "_capacity", lambda self, *rest: (capacity(self, *rest)[0], True))
    _, on_gpu = fits(dtype=np.float64, ragged=True)
    assert on_gpu.trainer.streamed.steps == 1  # a batch a window, whose last row is mixed with that of the next


@pytest.mark.slow
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_in_pieces(monkeypatch, shuffle):
    monkeypatch.setattr("skneural.backends.cuda.engine.WORK_BYTES", 2_000)
    _, on_gpu = fits(batch=5, shuffle=shuffle)
    assert on_gpu.trainer.chunks > 1
