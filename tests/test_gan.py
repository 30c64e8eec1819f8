"""Generative adversarial networks: steps against a twin in NumPy, the same bits however they run, and their fits."""

import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from skneural import GAN, load, save
from skneural.backends.base import OptimizerState
from skneural.backends.cpu.engine import Trainer
from skneural.callbacks import Checkpoint
from skneural.estimators import _modes
from skneural.estimators._samples import LOSSES_OF_GANS
from skneural.layers import Adversarial, BatchNorm, Conv2D, ConvTranspose2D, Dense, Dropout, Flatten, Reshape
from skneural.maths.random import LATENT, layer_key
from skneural.maths.dropout import noise, row_position
from skneural.network.initializers import initialize
from skneural.network.program import lower
from skneural.training.adversarial import Game, averages_of, passes_of, sources_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (6, 5), "n_components": 3, "batch_size": 16, "max_iter": 3, "random_state": 0}


def blobs(n_samples=80, seed=0, dtype=np.float64):
    """Rows of three classes, and these."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=n_samples)
    X = np.array([[5.0, -2.0], [8.0, 1.0], [2.0, 2.0]])[y] + 0.3 * rng.normal(size=(n_samples, 2))
    return X.astype(dtype), y


# -- a twin in NumPy ---------------------------------------------------------------------------------------------------

N_FEATURES, N_LATENT, N_LABELS, BATCH = 3, 2, 2, 4
GENERATOR = (Dense(5, "tanh"), Dense(N_FEATURES))
DISCRIMINATOR = (Dense(6, "tanh"), Dense(1))


def twin_loss(name, z, target, smoothing):
    """Mean loss of outputs, and its gradient by them; `target` is 'real', 'generated' or 'aim'."""
    if name == "log_loss":
        y = {"real": 1 - smoothing, "generated": 0.0, "aim": 1.0}[target]
        return np.mean(np.logaddexp(0, z) - y * z), (1 / (1 + np.exp(-z)) - y) / len(z)
    if name == "least_squares":
        y = {"real": 1 - smoothing, "generated": 0.0, "aim": 1.0}[target]
        return np.mean((z - y) ** 2) / 2, (z - y) / len(z)
    y = -1.0 if target == "generated" else 1.0
    if name == "hinge" and target != "aim":
        inside = 1 - y * z > 0
        return np.mean(np.where(inside, 1 - y * z, 0)), np.where(inside, -y, 0) / len(z)
    return np.mean(-y * z), np.full_like(z, -y) / len(z)


class Twin:
    """Two networks with one hidden layer each, and Adam."""

    def __init__(self, arrays, hyper):
        self.arrays = [array.copy() for array in arrays]
        self.moments = [(np.zeros_like(array), np.zeros_like(array)) for array in arrays]
        self.counts = [0] * len(arrays)
        self.hyper = hyper

    def generate(self, latent):
        W, b, V, c = self.arrays[:4]
        self.hidden = np.tanh(latent @ W + b)
        return self.hidden @ V + c

    def judge(self, rows):
        W, b, V, c = self.arrays[4:]
        self.judged = np.tanh(rows @ W + b)
        return self.judged @ V + c

    def back(self, rows, dz):
        """Gradients by the discriminator's parameters, and by its rows."""
        W, _, V, _ = self.arrays[4:]
        d = dz @ V.T * (1 - self.judged**2)
        return [rows.T @ d, d.sum(0), self.judged.T @ dz, dz.sum(0)], d @ W.T

    def back_to_latent(self, latent, d_rows):
        V = self.arrays[2]
        d = d_rows @ V.T * (1 - self.hidden**2)
        return [latent.T @ d, d.sum(0), self.hidden.T @ d_rows, d_rows.sum(0)]

    def update(self, first, gradients, rate, limit=None):
        beta_1, beta_2, epsilon = self.hyper
        for i, gradient in enumerate(gradients, first):
            self.counts[i] += 1
            t = self.counts[i]
            m, v = self.moments[i]
            m = beta_1 * m + (1 - beta_1) * gradient
            v = beta_2 * v + (1 - beta_2) * gradient**2
            self.moments[i] = m, v
            step = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
            self.arrays[i] = self.arrays[i] - step * m / (np.sqrt(v) + epsilon)
            if limit:
                self.arrays[i] = np.clip(self.arrays[i], -limit, limit)


def latent_of(seed, step, first, count, stream):
    """The numbers that the kernel draws."""
    key = layer_key(np.uint64(seed), LATENT, np.uint64(stream), np.uint64(step))
    width = 8  # of a padded row
    numbers = np.zeros((count, N_LATENT))
    for r in range(count):
        position = row_position(first + r, width)
        for j in range(N_LATENT):
            numbers[r, j] = noise(key, position + np.uint64(j), 1.0)
    return numbers


def start(loss="log_loss", n_rows=12, n_threads=1, averages=False, batch=BATCH, layers=None, hyper=None, **game):
    """A trainer on rows of two classes, and what belongs to it."""
    registered, boundary, targets = LOSSES_OF_GANS[loss]
    rng = np.random.default_rng(3)
    X = np.hstack([rng.normal(size=(n_rows, N_FEATURES)), np.eye(N_LABELS)[np.arange(n_rows) % N_LABELS]])
    generator, discriminator = layers or (GENERATOR, DISCRIMINATOR)
    network = Adversarial(generator, discriminator, N_LATENT, N_LABELS, boundary=boundary, averages=averages)
    settings = (0.0,) if loss == "log_loss" else ()
    program = lower((network,), X.shape[1], dtype=np.float64, loss=registered, settings=settings)
    params = initialize(program, 5)
    first, count = averages_of(program)
    params[first : first + count] = params[:count]
    game = Game(**{"targets": targets, **game})
    trainer = Trainer(
        program,
        params,
        X,
        np.zeros((n_rows, 1)),
        None,
        alpha=0.0,
        seed=7,
        n_threads=n_threads,
        passes=passes_of(program, game),
        sources=sources_of(game, 7, np.float64),
    )
    state = OptimizerState.fresh(program)
    hyper = hyper or (0.5, 0.9, 1e-8)
    trainer.start("adam", hyper, state, batch=batch, shuffle=False, tol=0.0, patience=np.inf)
    return trainer, program, params, X


def run(trainer, n_epochs, rate=0.01):
    notes = []
    for _ in range(n_epochs):
        trainer.run_epochs(np.full((1, 1), rate), np.inf, 0)
        notes.append(trainer.notes[0].copy())
    trainer.close()
    return np.array(notes)


@pytest.mark.parametrize(
    ("loss", "changes"),
    [
        ("log_loss", {}),
        ("log_loss", {"targets": (0.9, 0.0, 1.0), "n_critic": 3, "rate": 0.3}),
        ("least_squares", {}),
        ("hinge", {}),
        ("wasserstein", {"weight_limit": 0.3, "n_critic": 2}),
    ],
    ids=str,
)
def test_ten_steps_are_those_of_a_twin(loss, changes):
    trainer, program, params, X = start(loss, n_rows=20, averages=True, decay=0.6, **changes)
    arrays = []
    for weights, bias in zip(program.coefs(params), program.intercepts(params), strict=True):
        arrays += [weights, bias]
    twin = Twin(arrays, (0.5, 0.9, 1e-8))
    game = Game(**{"targets": LOSSES_OF_GANS[loss][2], **changes})
    smoothing = 1 - game.targets[0] if loss == "log_loss" else 0.0
    limit = game.weight_limit or None
    stream = program.operations[1].details["stream"]
    seed = int(trainer.sources[1]["seed"])
    average = [array.copy() for array in twin.arrays[:4]]
    losses = []
    n_updates = 0
    notes = run(trainer, 2)
    for step in range(10):
        first = step * BATCH % 20
        real = X[first : first + BATCH]
        labels = real[:, N_FEATURES:]
        latent = np.hstack([latent_of(seed, step, first, BATCH, stream), labels])
        found = []
        z = twin.judge(real)
        loss_real, dz = twin_loss(loss, z, "real", smoothing)
        gradients, _ = twin.back(real, dz)
        generated = np.hstack([twin.generate(latent), labels])
        z = twin.judge(generated)
        loss_generated, dz = twin_loss(loss, z, "generated", smoothing)
        others, _ = twin.back(generated, dz)
        twin.update(4, [a + b for a, b in zip(gradients, others, strict=True)], 0.01, limit)
        found = [loss_real, loss_generated, np.nan]
        if (step + 1) % game.n_critic == 0:
            n_updates += 1
            z = twin.judge(generated)
            found[2], dz = twin_loss(loss, z, "aim", smoothing)
            _, d_rows = twin.back(generated, dz)
            twin.update(0, twin.back_to_latent(latent, d_rows[:, :N_FEATURES]), 0.01 * game.rate)
            decay = min(0.6, (1 + n_updates) / (10 + n_updates))
            average = [a + (1 - decay) * (b - a) for a, b in zip(average, twin.arrays[:4], strict=True)]
        losses.append(found)
    expected = [np.nanmean(losses[:5], axis=0), np.nanmean(losses[5:], axis=0)]
    assert_allclose(notes[:, :, 0] / notes[:, :, 2], expected, rtol=1e-10, atol=1e-12)
    for i, (weights, bias) in enumerate(zip(program.coefs(params), program.intercepts(params), strict=True)):
        assert_allclose(weights, twin.arrays[2 * i], rtol=1e-9, atol=1e-11)
        assert_allclose(bias, twin.arrays[2 * i + 1], rtol=1e-9, atol=1e-11)
    start_of, count = averages_of(program)
    averaged = params[start_of : start_of + count].copy()
    for block, wanted in zip(program.named("coefs_"), average[::2], strict=False):
        assert_allclose(block.view(averaged), wanted, rtol=1e-9, atol=1e-11)


CONVOLUTIONS = (
    (Dense(12, "relu"), Reshape((2, 2, 3)), BatchNorm(), ConvTranspose2D(1, 2, stride=2), Flatten(), Dense(N_FEATURES)),
    (Dense(8, "leaky_relu"), Reshape((2, 2, 2)), Conv2D(3, 2, activation="relu"), Flatten(), Dropout(0.3), Dense(1)),
)


@pytest.mark.parametrize("layers", [None, CONVOLUTIONS], ids=["dense", "convolutions"])
def test_threads_change_no_bit(layers, crews):
    results = []
    for n_threads in (1, 3):
        trainer, _, params, _ = start(n_threads=n_threads, layers=layers, averages=True, decay=0.9, n_critic=2)
        results.append((run(trainer, 3)[:, :, :3], params))
    assert set(crews) == {1, 3}
    assert_array_equal(results[0][0], results[1][0])
    assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("changes", [{}, {"deviation": 0.2}], ids=str)
def test_batches_in_chunks_reuse_nothing_and_are_the_same(monkeypatch, changes):
    from skneural.backends.cpu import engine

    results = []
    for capacity in (2048, 3):
        monkeypatch.setattr(engine, "MAX_CAPACITY", capacity)
        trainer, _, params, _ = start(n_rows=14, batch=7, averages=True, decay=0.9)
        notes = run(trainer, 3)
        results.append((notes[:, :, 0], params))
    assert_allclose(results[0][0], results[1][0], rtol=1e-9)
    assert_allclose(results[0][1], results[1][1], rtol=1e-8, atol=1e-11)


def test_gradients_are_those_of_central_differences():
    trainer, program, params, _ = start()
    passes = trainer.passes
    step = 1e-6
    # The discriminator's loss on both kinds of rows, and the generator's: one after the other.
    for of_generator in (False, True):
        chosen = passes[2:] if of_generator else passes[:2]
        chosen = chosen.copy()
        chosen["counts"] = 1.0
        trainer.passes = np.ascontiguousarray(chosen)
        sources = trainer.sources
        trainer.sources = sources[2:] if of_generator else sources[:2]
        trainer._name_sources()
        from skneural.backends.frame import data

        trainer.template.update(passes=data(trainer.passes), n_passes=len(trainer.passes))
        trainer.pool.close()
        trainer.pool = None
        loss, gradient = trainer.loss_and_gradient()
        gradient = gradient.copy()
        gate = next(i for i, op in enumerate(program.operations) if op.kind == "gate")
        ours = program.operations[:gate] if of_generator else program.operations[gate:]
        positions = np.arange(program.n_params)
        indices = np.concatenate([block.view(positions).ravel() for op in ours for block in op.blocks])
        assert len(indices) > 20
        for j in indices:
            value = params[j]
            params[j] = value + step
            above, _ = trainer.loss_and_gradient()
            params[j] = value - step
            below, _ = trainer.loss_and_gradient()
            params[j] = value
            assert_allclose(gradient[j], (above - below) / (2 * step), rtol=1e-5, atol=1e-8)
        trainer.sources = sources
    trainer.close()
