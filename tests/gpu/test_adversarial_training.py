"""Generative adversarial networks on a GPU are those on the CPU: passes, their notes, the estimator and its samples."""

import numpy as np
import pytest
from twins import CLOSE, Fit, assert_same

from skneural import GAN
from skneural.backends.cpu.engine import Trainer as OnCPU
from skneural.backends.cuda import engine, streaming
from skneural.backends.cuda.engine import Trainer as OnGPU
from skneural.backends.passes import limited_matrices
from skneural.estimators._samples import LOSSES_OF_GANS
from skneural.layers import (
    Adversarial,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    LabelChannels,
    Reshape,
)
from skneural.network.initializers import initialize
from skneural.network.program import lower
from skneural.training.adversarial import Game, averages_of, passes_of, sources_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

N_LABELS, SEED = 2, 7
#: A generator and a discriminator of rows of three numbers, and of images of 2 by 2 pixels.
DENSE = (Dense(4, "tanh"), Dense(3)), (Dense(4, "leaky_relu"), Dropout(0.2), Dense(1))
IMAGES = (
    (Dense(4, "relu", "batch"), Reshape((1, 1, 4)), ConvTranspose2D(1, 2, stride=2), Flatten()),
    (LabelChannels((2, 2, 1)), Conv2D(2, 2, activation="relu"), Flatten(), Dense(3, "relu", "batch"), Dense(1)),
)


def network(layers=DENSE, loss="log_loss", dtype=np.float64, *, deviation=0.1, averages=True, limits_spectra=False):
    """A program and its parameters."""
    registered, boundary, _ = LOSSES_OF_GANS[loss]
    width = 4 if layers is IMAGES else 3
    facts = {"deviation": deviation, "boundary": boundary, "averages": averages, "limits_spectra": limits_spectra}
    both = Adversarial(*layers, 2, N_LABELS, **facts)
    settings = (0.0,) if loss == "log_loss" else ()
    program = lower((both,), width + N_LABELS, dtype=dtype, loss=registered, settings=settings)
    params = initialize(program, 5)
    first, count = averages_of(program)
    params[first : first + count] = params[:count]
    return program, params


def rows_of(program, n_rows):
    """Rows with their labels behind them, and targets that nobody reads."""
    width = program.ops["n_out"][0] - N_LABELS
    labels = np.eye(N_LABELS)[np.arange(n_rows) % N_LABELS]
    X = np.hstack([np.random.default_rng(3).normal(size=(n_rows, width)), labels]).astype(program.dtype)
    return X, np.zeros((n_rows, 1), program.dtype), None


def fits(layers=DENSE, loss="log_loss", dtype=np.float64, *, n_rows=5, game=None, **facts):
    """The same fit on both backends, which agree; the one on the GPU."""
    game = Game(**{"targets": LOSSES_OF_GANS[loss][2], "decay": 0.9} | (game or {}))
    program, params = network(layers, loss, dtype, limits_spectra=game.spectral_norm > 0)
    data = rows_of(program, n_rows)
    facts = {
        "epochs": 2,
        "batch": 3,
        "seed": SEED,
        "passes": passes_of(program, game),
        "sources": sources_of(game, SEED, program.dtype),
    } | facts
    found = [Fit(backend, program, params, data, **facts) for backend in (OnCPU, OnGPU)]
    assert_same(*found, CLOSE[dtype])
    first, count = averages_of(program)
    for part in (slice(count), slice(count, first), slice(first, None)):  # generator, discriminator, averages
        assert np.abs(found[0].params[part] - params[part]).max() > 1e-3
    return found[1]


def test_two_networks_in_turn():
    fit = fits(game={"n_critic": 3, "rate": 0.5}, epochs=3, monitor=True, limits={"clip_norm": 0.5})
    # Of six steps the third and the last end with the generator.
    lengths = [len(launches) for launches in fit.trainer.steps]
    assert lengths[0] == lengths[1] < lengths[2]
    rows, runs = np.array(fit.notes)[:, 0, :, [2, 4]]
    np.testing.assert_array_equal(rows, [[5, 5, 0], [5, 5, 3], [5, 5, 2]])
    np.testing.assert_array_equal(runs, [[2, 2, 0], [2, 2, 1], [2, 2, 1]])


def test_images_with_labels():
    fits(IMAGES, epochs=1)


@pytest.mark.parametrize("layers", [DENSE, IMAGES], ids=["dense", "images"])
def test_limits_on_spectral_norms(layers):
    """The vectors of the power method are among the parameters, and the weights end within the limit."""
    fit = fits(layers, "wasserstein", game={"spectral_norm": 0.4}, epochs=4)
    program = fit.trainer.program
    matrices, _ = limited_matrices(program)
    assert len(matrices) == len(program.named("singular_vectors_")) == (2 if layers is DENSE else 3)
    norms = [np.linalg.norm(block.view(fit.params), 2) for block in matrices]
    assert max(norms) < 0.5
    assert max(norms) > 0.35


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES_OF_GANS)
def test_every_loss(loss, dtype):
    fits(loss=loss, dtype=dtype, game={"weight_limit": 0.2, "n_critic": 2}, n_rows=8, epochs=3)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_images_in_both_precisions(dtype):
    fits(IMAGES, dtype=dtype, game={"n_critic": 2}, limits={"max_norm": 1.0}, n_rows=8, batch=4, epochs=3)


@pytest.mark.slow
def test_batches_in_pieces(monkeypatch):
    monkeypatch.setattr(engine, "WORK_BYTES", 2_000)
    fit = fits(n_rows=9, batch=7)
    assert fit.trainer.chunks > 1


@pytest.mark.slow
def test_rows_that_are_streamed(monkeypatch):
    monkeypatch.setattr(streaming, "WINDOW", 64)
    capacity = OnGPU._capacity
    monkeypatch.setattr(OnGPU, "_capacity", lambda self, *rest: (capacity(self, *rest)[0], True))
    fit = fits(game={"n_critic": 2}, n_rows=8)
    assert fit.trainer.streamed.steps == 1


@pytest.mark.slow
def test_losses_and_gradients_of_all_passes():
    program, params = network(averages=False)
    game = Game(targets=(0.9, 0.0, 1.0))
    found = []
    for backend in (OnCPU, OnGPU):
        facts = {"passes": passes_of(program, game), "sources": sources_of(game, SEED, program.dtype)}
        trainer = backend(program, params, *rows_of(program, 5), alpha=0.0, seed=SEED, n_threads=1, **facts)
        loss, gradient = trainer.loss_and_gradient()
        found.append((loss, gradient[program.learnt_index()].copy()))
        trainer.close()
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    gate = next(i for i, operation in enumerate(program.operations) if operation.kind == "gate")
    of_generator = sum(block.size for operation in program.operations[:gate] for block in operation.blocks)
    is_generator = program.learnt_index() < of_generator
    np.testing.assert_allclose(found[1][1][is_generator], found[0][1][is_generator], rtol=1e-9, atol=1e-12)


# -- the estimator -----------------------------------------------------------------------------------------------------


SMALL = {"n_components": 2, "batch_size": 4, "random_state": 0}


def both(X, y=None, **settings):
    """The same estimator, fitted on both devices, which agree in what they have learnt and what they make."""
    on_cpu, on_gpu = (GAN(**SMALL | settings, device=device).fit(X, y) for device in ("cpu", "cuda"))
    assert (on_cpu.device_, on_gpu.device_) == ("cpu", "cuda:0")
    np.testing.assert_allclose(on_gpu._params, on_cpu._params, rtol=1e-4, atol=1e-4)
    for name, values in on_cpu.history_.items():
        if name != "time":
            np.testing.assert_allclose(on_gpu.history_[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    labels = None if y is None else y[:5]
    size = np.abs(X).max()
    samples = [gan.sample(5, labels, random_state=1) for gan in (on_cpu, on_gpu)]
    np.testing.assert_allclose(samples[1], samples[0], rtol=1e-3, atol=1e-4 * size)
    scores = [gan.discriminate(X[:5], labels) for gan in (on_cpu, on_gpu)]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-3, atol=1e-4)
    return on_gpu


@pytest.mark.usefixtures("usable")
def test_classes_and_averages():
    X = np.random.default_rng(0).normal(5, 2, (8, 2)).astype(np.float32)
    settings = {"n_critic": 2, "generator_averaging": 0.9, "instance_noise": 0.1, "max_iter": 2}
    both(X, np.arange(8) % 2, hidden_layer_sizes=(4,), **settings)


@pytest.mark.slow
@pytest.mark.usefixtures("usable")
def test_images_of_classes():
    X = (np.random.default_rng(0).random((8, 2, 4)) * 255).astype(np.uint8)
    generator = [Dense(4, "relu"), Reshape((1, 2, 2)), BatchNorm(), ConvTranspose2D(1, 2, stride=2)]
    discriminator = [Conv2D(2, 2, activation="leaky_relu"), Flatten()]
    both(X, np.arange(8) % 2, generator=generator, discriminator=discriminator, max_iter=2)


@pytest.mark.slow
@pytest.mark.usefixtures("usable")
def test_tables_with_categories():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(5, 2, 8), np.arange(8) % 3]).astype(np.float32)
    both(X, np.arange(8) % 2, hidden_layer_sizes=(4,), categorical_features=[1], max_iter=2)


@pytest.mark.slow
@pytest.mark.usefixtures("usable")
def test_critic_with_small_weights():
    X = np.random.default_rng(0).normal(5, 2, (8, 2)).astype(np.float32)
    settings = {"loss": "wasserstein", "solver": "rmsprop", "n_critic": 3, "max_iter": 4}
    gan = both(X, hidden_layer_sizes=(4,), **settings)
    assert max(np.abs(array).max() for array in gan.coefs_[-2:]) <= 0.01 * (1 + 1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("usable")
def test_critic_with_small_spectral_norms():
    X = np.random.default_rng(0).normal(5, 2, (8, 2)).astype(np.float32)
    gan = both(X, hidden_layer_sizes=(4,), loss="hinge", spectral_norm=0.5, learning_rate_init=0.05, max_iter=4)
    norms = [np.linalg.norm(weights, 2) for weights in gan.coefs_[2:]]
    assert 0.3 < max(norms) < 0.6


@pytest.mark.slow
@pytest.mark.usefixtures("usable")
def test_a_fit_that_goes_on():
    X = np.random.default_rng(0).normal(5, 2, (8, 2)).astype(np.float32)
    whole = GAN(**SMALL, hidden_layer_sizes=(4,), max_iter=4, device="cuda").fit(X)
    parts = GAN(**SMALL, hidden_layer_sizes=(4,), max_iter=2, device="cuda", warm_start=True).fit(X)
    before = parts._params.copy()
    parts.fit(X)
    assert len(parts.loss_curve_) == len(whole.loss_curve_) == 4
    assert (parts._params != before).any()
    parts.partial_fit(X)
    assert np.isfinite(parts._params).all()
