"""Generative adversarial networks: steps against a twin in NumPy, the same bits however they run, and their fits."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from skneural import GAN, load, save, warmup
from skneural.backends.base import OptimizerState
from skneural.backends.cpu import catalogue, compiler, engine
from skneural.backends.cpu.engine import Trainer
from skneural.backends.frame import data
from skneural.callbacks import Checkpoint
from skneural.estimators import _modes
from skneural.estimators._samples import LOSSES_OF_GANS
from skneural.layers import (
    ActivityRegularization,
    Adversarial,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Recurrent,
    Reshape,
)
from skneural.maths.dropout import noise, row_position
from skneural.maths.random import LATENT, layer_key
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


def start(
    loss="log_loss",
    n_rows=12,
    n_threads=1,
    averages=False,
    batch=BATCH,
    layers=None,
    deviation=0.0,
    limits_spectra=False,
    **game,
):
    """A trainer on rows of two classes, and what belongs to it."""
    registered, boundary, targets = LOSSES_OF_GANS[loss]
    rng = np.random.default_rng(3)
    X = np.hstack([rng.normal(size=(n_rows, N_FEATURES)), np.eye(N_LABELS)[np.arange(n_rows) % N_LABELS]])
    generator, discriminator = layers or (GENERATOR, DISCRIMINATOR)
    network = Adversarial(
        generator,
        discriminator,
        N_LATENT,
        N_LABELS,
        deviation=deviation,
        boundary=boundary,
        averages=averages,
        limits_spectra=limits_spectra,
    )
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
    trainer.start("adam", (0.5, 0.9, 1e-8), state, batch=batch, shuffle=False, tol=0.0, patience=np.inf)
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
    results = []
    for capacity in (2048, 3):
        monkeypatch.setattr(engine, "MAX_CAPACITY", capacity)
        trainer, _, params, _ = start(n_rows=14, batch=7, averages=True, decay=0.9, **changes)
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
        trainer.template.update(passes=data(trainer.passes), n_passes=len(trainer.passes))
        trainer.pool.close()
        trainer.pool = None
        gradient = trainer.loss_and_gradient()[1].copy()
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


def limited(weights, u, limit):
    """Weights whose spectral norm is limited by one iteration of the power method, and its vector."""
    before = weights @ u
    image = weights.T @ before
    norm = np.linalg.norm(image) / np.linalg.norm(before)
    return weights * min(1.0, limit / norm), image / np.linalg.norm(image)


@pytest.mark.parametrize("layers", [None, CONVOLUTIONS], ids=["dense", "convolutions"])
def test_limits_on_spectral_norms_are_an_iteration_of_the_power_method(layers):
    n_generator = 2 if layers is None else 3
    # One step, without a limit, with one that is never reached, and with one that is.
    results = {}
    for limit in (0.0, 1e6, 0.4):
        trainer, program, params, _ = start(layers=layers, limits_spectra=True, spectral_norm=limit, n_rows=BATCH)
        vectors = [block.view(params) for block in program.named("singular_vectors_")]
        assert all((vector == 1).all() for vector in vectors)
        run(trainer, 1)
        results[limit] = [w.copy() for w in program.coefs(params)[n_generator:]], vectors
    free, never, some = (results[limit] for limit in (0.0, 1e6, 0.4))
    assert all((vector == 1).all() for vector in free[1])
    for i, weights in enumerate(free[0]):
        assert_array_equal(never[0][i], weights)
        expected, u = limited(weights, np.ones(weights.shape[1]), 0.4)
        assert_allclose(some[0][i], expected, rtol=1e-12, atol=1e-14)
        assert_allclose(some[1][i], u, rtol=1e-12, atol=1e-14)
    assert any((a != b).any() for a, b in zip(some[0], free[0], strict=True))


@pytest.mark.parametrize(
    ("layers", "capacity"),
    [(None, 2048), (None, 3), (CONVOLUTIONS, 2048)],
    ids=["dense", "dense in chunks", "convolutions"],
)
def test_what_nobody_reads_is_not_computed(monkeypatch, layers, capacity):
    """The gradient by what the discriminator reads is the generator's pass's alone, and without it all is the same."""
    monkeypatch.setattr(engine, "MAX_CAPACITY", capacity)
    results = []
    tables_of_passes = engine.tables_of_passes
    for spares in (True, False):
        asked = []

        def tables(program, ops, passes, spares=spares, asked=asked):
            found = tables_of_passes(program, ops, passes) if spares else [ops] * len(passes)
            gate = next(i for i, operation in enumerate(program.operations) if operation.kind == "gate")
            is_first = next(i for i in range(gate + 1, len(ops)) if program.operations[i].blocks)
            asked += [int(table["dx"][is_first]) >= 0 for table in found]
            return found

        monkeypatch.setattr(engine, "tables_of_passes", tables)
        trainer, _, params, _ = start(layers=layers, averages=True, decay=0.9, deviation=0.1)
        results.append((run(trainer, 3), params))
        assert asked == ([False, False, True] if spares else [True] * 3)
    assert_array_equal(results[0][0], results[1][0])
    assert_array_equal(results[0][1], results[1][1])


# -- the estimator -----------------------------------------------------------------------------------------------------


@parametrize_with_checks([GAN((8,), 4, max_iter=3)])
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("loss", LOSSES_OF_GANS)
def test_every_loss_notes_what_it_should(loss):
    X, _ = blobs()
    gan = GAN(loss=loss, n_critic=2, **SMALL).fit(X)
    history = gan.history_
    assert history["discriminator_loss"] == pytest.approx(history["loss"])
    for name in ("generator_loss", "discriminator_gradient_norm", "generator_gradient_norm"):
        assert len(history[name]) == 3
        assert np.isfinite(history[name]).all()
    for name in ("real_accuracy", "generated_accuracy"):
        assert all(0 <= share <= 1 for share in history[name])
    assert 0 <= gan.coverage_ <= 1
    if loss == "wasserstein":
        of_discriminator = [array for array in gan.coefs_ if array.shape[0] != 3][-3:]
        assert max(np.abs(array).max() for array in of_discriminator) <= 0.01 * (1 + 1e-12)


def test_spectral_norms_are_limited(tmp_path, crews):
    X, y = blobs(400)
    settings = {**SMALL, "loss": "wasserstein", "spectral_norm": 0.5, "max_iter": 8, "learning_rate_init": 0.01}
    whole = GAN(n_jobs=1, **settings).fit(X, y)
    of_discriminator = whole.coefs_[3:]
    norms = [np.linalg.norm(weights, 2) for weights in of_discriminator]
    assert max(norms) <= 0.5 * 1.02
    assert min(norms) > 0.3
    assert max(np.linalg.norm(weights, 2) for weights in whole.coefs_[:3]) > 0.6
    assert max(np.abs(weights).max() for weights in of_discriminator) > 0.01  # of weight_clip there is none
    for weights, u in zip(of_discriminator, whole.singular_vectors_, strict=True):
        assert abs(np.linalg.svd(weights)[2][0] @ u) > 0.99
    assert_array_equal(whole._params, GAN(n_jobs=2, **settings).fit(X, y)._params)
    path = tmp_path / "gan.skn"
    GAN(**{**settings, "max_iter": 3}).set_callbacks(Checkpoint(path)).fit(X, y)
    assert_array_equal(whole._params, GAN(**settings).fit(X, y, resume_from=path)._params)
    same = load(path)
    assert_array_equal(same.singular_vectors_[1].shape, (5,))
    assert clone(whole).get_params()["spectral_norm"] == 0.5


def test_a_fit_has_the_same_bits_for_any_threads_and_batches_of_samples(crews):
    X, y = blobs(dtype=np.float32)
    first, second = [GAN(n_jobs=n, generator_averaging=0.9, instance_noise=0.1, **SMALL).fit(X, y) for n in (1, 2)]
    assert_array_equal(first._params, second._params)
    assert first.history_["generator_loss"] == second.history_["generator_loss"]
    whole = first.sample(50, random_state=3)
    assert_array_equal(whole, second.sample(50, random_state=3))
    assert whole.dtype == np.float32
    assert (whole != first.sample(50, random_state=4)).any()
    assert (first.sample(20) != first.sample(20)).any()


def test_one_call_of_the_engine_or_many(monkeypatch):
    X, _ = blobs()
    settings = {**SMALL, "max_iter": 12, "n_critic": 2}
    whole = GAN(**settings).fit(X)
    monkeypatch.setattr(engine, "CALL_SECONDS", 1e-9)  # a step a call, so epochs are taken up in their midst
    parts = GAN(**settings).fit(X)
    assert_array_equal(whole._params, parts._params)
    for name in ("generator_loss", "real_accuracy", "generator_gradient_norm"):
        assert_allclose(whole.history_[name], parts.history_[name], rtol=1e-12)


def test_resume(tmp_path):
    X, y = blobs()
    settings = {**SMALL, "generator_averaging": 0.9, "n_critic": 2, "instance_noise": 0.1}
    whole = GAN(**{**settings, "max_iter": 6}).fit(X, y)
    path = tmp_path / "gan.skn"
    part = GAN(**settings)
    part.set_callbacks(Checkpoint(path))
    part.fit(X, y)
    resumed = GAN(**{**settings, "max_iter": 6}).fit(X, y, resume_from=path)
    assert_array_equal(whole._params, resumed._params)
    assert whole.history_["generator_loss"] == resumed.history_["generator_loss"]
    with pytest.raises(ValueError, match="on other data"):
        GAN(**{**settings, "max_iter": 6}).fit(X + 1, y, resume_from=path)


def test_partial_fit_goes_on_with_the_scale_of_its_first_call():
    X, y = blobs()
    gan = GAN(**SMALL).partial_fit(X[:40], y[:40], classes=[0, 1, 2])
    center = gan._target.center.copy()
    gan.partial_fit(X[40:] + 5, y[40:])
    assert_array_equal(gan._target.center, center)
    assert_array_equal(gan.classes_, [0, 1, 2])
    assert len(gan.history_["generator_loss"]) == 2
    with pytest.raises(ValueError, match="classes must hold at least one class, got none"):
        GAN(**SMALL).partial_fit(X, y, classes=[])
    with pytest.raises(ValueError, match="classes that are not known: 7"):
        gan.partial_fit(X[:4], [0, 1, 2, 7])
    with pytest.raises(ValueError, match="y is None, but this GAN was fitted on samples of classes"):
        gan.partial_fit(X)


def test_classes_are_drawn_as_often_as_there_were_samples_of_them():
    X, y = blobs()
    order = np.argsort(y, kind="stable")
    first, *others = np.split(order, [20, 50])
    gan = GAN(**SMALL).partial_fit(X[first], y[first], classes=[0, 1, 2])
    assert_array_equal(gan._target.shares, [1, 0, 0])
    copied = copy.copy(gan)
    for rows in others:
        gan.partial_fit(X[rows], y[rows])
    assert_allclose(gan._target.shares, np.bincount(y) / 80)
    assert_array_equal(copied._target.shares, [1, 0, 0])
    again = GAN(**SMALL, warm_start=True).fit(X, y).fit(X[y > 0], y[y > 0])
    assert_allclose(again._target.shares, np.bincount(y[y > 0]) / (y > 0).sum())


def test_warm_start_goes_on():
    X, _ = blobs()
    gan = GAN(warm_start=True, **SMALL).fit(X)
    before = gan.coefs_[0].copy()
    gan.fit(X)
    assert len(gan.loss_curve_) == 6
    assert (gan.coefs_[0] != before).any()


@pytest.mark.parametrize("conditional", [False, True])
def test_pickles_files_and_copies(tmp_path, conditional):
    X, y = blobs()
    names = np.array(["a", "b", "c"])[y]
    gan = GAN(generator_averaging=0.9, **SMALL).fit(X, names if conditional else None)
    path = tmp_path / "gan.skn"
    save(gan, path)
    labels = ["a", "c"] if conditional else None
    for same in (pickle.loads(pickle.dumps(gan)), load(path)):
        assert_array_equal(gan.sample(2, labels, random_state=0), same.sample(2, labels, random_state=0))
        assert same.coverage_ == gan.coverage_
        assert same.history_["generator_loss"] == gan.history_["generator_loss"]
    state = gan.__getstate__()
    state["sample_shape_"] = (3,)
    with pytest.raises(ValueError, match="sample_shape_ is"):
        GAN().__setstate__(state)
    assert clone(gan).get_params() == gan.get_params()


def test_averages_make_the_samples():
    X, _ = blobs()
    gan = GAN(generator_averaging=0.9, **SMALL).fit(X)
    start_of, count = averages_of(gan._program)
    assert gan.averages_[0].shape == (count,)
    before = gan.sample(5, random_state=0)
    gan._params[:count] = 0.0
    assert_array_equal(gan.sample(5, random_state=0), before)
    gan._params[start_of : start_of + count] = 0.0
    assert (gan.sample(5, random_state=0) != before).any()


def test_conditional_samples_are_of_their_class():
    X, y = blobs(400)
    names = np.array(["left", "middle", "right"])[y]
    gan = GAN((24, 24), 3, max_iter=120, batch_size=50, learning_rate_init=0.003, random_state=0).fit(X, names)
    centres = np.array([X[y == k].mean(axis=0) for k in range(3)])
    for k, name in enumerate(gan.classes_):
        samples = gan.sample(200, name, random_state=1)
        nearest = np.linalg.norm(samples[:, None] - centres, axis=2).argmin(axis=1)
        assert (nearest == k).mean() > 0.9
    mixed = gan.sample(y=["left", "right", "left"], random_state=0)
    assert mixed.shape == (3, 2)
    assert gan.sample(300, random_state=0).shape == (300, 2)
    own = gan.discriminate(X, names)
    assert own.shape == (400,)
    assert ((own > 0) & (own < 1)).all()


def test_images_in_and_out():
    rng = np.random.default_rng(0)
    X = (rng.random((60, 4, 6)) * 255).astype(np.uint8)
    y = rng.integers(2, size=60)
    generator = [Dense(12, "relu"), Reshape((2, 3, 2)), ConvTranspose2D(4, activation="relu"), Conv2D(1)]
    discriminator = [Conv2D(4, 3, stride=2, activation="leaky_relu"), Flatten()]
    settings = {**SMALL, "generator": generator, "discriminator": discriminator}
    for labels in (None, y):
        gan = GAN(**settings).fit(X, labels)
        samples = gan.sample(3, random_state=0)
        assert samples.shape == (3, 4, 6)
        assert samples.dtype == np.float32
        assert samples.min() >= X.min()
        assert samples.max() <= X.max()
        assert gan.discriminate(X[:5], None if labels is None else y[:5]).shape == (5,)
    rows = X.reshape(60, -1).astype(np.float32)
    # The same network, told of the images by its first layer.
    same = GAN(**{**settings, "discriminator": [Reshape((4, 6, 1)), *discriminator]}).fit(rows, y)
    assert_array_equal(same.sample(3, random_state=0), samples.reshape(3, -1))
    colours = GAN(**SMALL).fit(np.repeat(X[..., None], 3, axis=3))
    assert colours.sample(2).shape == (2, 4, 6, 3)


def test_scaling():
    X = np.column_stack([np.linspace(1000, 2000, 50), np.full(50, 7.0)])
    gan = GAN(**SMALL).fit(X)
    assert_allclose(gan._target.scale, [X[:, 0].std(), 1.0])
    ranged = GAN(scaling="range", **SMALL).fit(X)
    assert_allclose(ranged._target.center, [1003.5, 1003.5])
    samples = ranged.sample(100, random_state=0)
    assert samples.min() >= 7
    assert samples.max() <= 2000
    plain = GAN(scaling=None, **SMALL).fit(X / 1000)
    assert_array_equal(plain._target.scale, [1, 1])


@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 3, 3)], ids=str)
def test_a_generator_that_ends_in_an_activation_is_judged(shape):
    X = np.random.default_rng(0).uniform(-2, 5, (40, *shape))
    gan = GAN(scaling="range", **SMALL).fit(X)
    rows = (X.reshape(40, -1) - gan._target.center) / gan._target.scale
    for weights, biases in zip(gan.coefs_[3:], gan.intercepts_[3:], strict=True):
        z = rows @ weights + biases
        rows = np.where(z > 0, z, 0.01 * z)
    assert_allclose(gan.discriminate(X), 1 / (1 + np.exp(-z[:, 0])), rtol=1e-6)


RECURRENT = [Dense(4), Reshape((2, 2)), Recurrent("gru", 2), GlobalPool()]
ERRORS = [
    ({}, {"X": np.zeros((1, 2))}, "needs batches of at least two samples, got n_samples=1"),
    ({"batch_size": 1}, {}, "needs batches of at least two samples, got batch_size=1"),
    ({}, {"y": np.linspace(0, 1, 80)}, "Unknown label type"),
    ({}, {"y": np.zeros(79)}, "inconsistent numbers of samples"),
    ({"loss": "hinge", "label_smoothing": 0.1}, {}, "label_smoothing goes with the losses"),
    ({"generator": [Dense(4), "no layer"]}, {}, r"generator\[1\] of GAN"),
    ({"generator": [Dense(4), Reshape((2, 2))]}, {}, "generator must end in rows"),
    ({"discriminator": [Conv2D(2)]}, {}, "Conv2D needs images"),
    ({"generator": [Dense(4), ActivityRegularization(l1=0.1)]}, {}, "no layer that adds to the loss"),
    (
        {"discriminator": RECURRENT, "spectral_norm": 1.0},
        {},
        "limits spectral norms of .*, not of recurrent",
    ),
    ({"spectral_norm": 0.0}, {}, "'spectral_norm' parameter of GAN must be"),
    ({"loss": "log"}, {}, "'loss' parameter of GAN must be"),
    ({}, {"X": np.zeros((5, 2, 2, 2, 2))}, "Expected X of shape"),
    ({}, {"X": np.full((5, 2), np.nan)}, "Input X contains NaN"),
]


@pytest.mark.parametrize(("settings", "given", "words"), ERRORS, ids=[words for *_, words in ERRORS])
def test_errors_of_fits(settings, given, words):
    X, _ = blobs()
    gan = GAN(**{**SMALL, **settings})
    with pytest.raises(ValueError, match=words):
        gan.fit(given.get("X", X), given.get("y"))
    assert not hasattr(gan, "coefs_")


def test_errors_of_fitted_ones():
    X, y = blobs()
    for call in (lambda: GAN().sample(), lambda: GAN().discriminate(X)):
        with pytest.raises(NotFittedError):
            call()
    plain = GAN(**SMALL).fit(X)
    with pytest.raises(ValueError, match="fitted without y: it knows none"):
        plain.sample(3, [0, 1, 2])
    for wrong in (0, True):
        with pytest.raises(ValueError, match=f"n_samples must be an integer of at least 1, got {wrong}"):
            plain.sample(wrong)
    with pytest.raises(ValueError, match="X has 3 features, but GAN is expecting 2"):
        plain.discriminate(np.zeros((4, 3)))
    gan = GAN(**SMALL).fit(X, y)
    with pytest.raises(ValueError, match="classes that are not known: 5"):
        gan.sample(2, [0, 5])
    with pytest.raises(ValueError, match="classes that are not known: a"):
        gan.sample(2, "a")
    with pytest.raises(ValueError, match="one label, or one for each of 2 samples"):
        gan.sample(2, [0, 1, 2])
    with pytest.raises(ValueError, match="y is None, but this GAN was fitted on samples of classes"):
        gan.discriminate(X)
    with pytest.raises(ValueError, match="label for each of 80 samples"):
        gan.discriminate(X, y[:3])


def test_warmup_makes_all_kernels_ready(monkeypatch):
    X, _ = blobs()
    generator = [Dense(8, "relu"), Reshape((2, 2, 2)), ConvTranspose2D(1)]
    for gan, samples in ((GAN(**SMALL), X), (GAN(generator=generator, **SMALL), np.ones((20, 4, 4)))):
        monkeypatch.setattr(compiler, "_KERNELS", {})
        monkeypatch.setattr(catalogue, "_found", {})
        warmup(gan, "float64")
        known = set(catalogue._found)
        gan.fit(samples).sample(3)
        assert set(catalogue._found) == known
        assert warmup(gan) > 0


# -- what has gone wrong -----------------------------------------------------------------------------------------------


def history_of(real, generated, n_epochs=20):
    return {"loss": [1.0] * n_epochs, "real_accuracy": [real] * n_epochs, "generated_accuracy": [generated] * n_epochs}


@pytest.mark.parametrize(
    ("accuracies", "covered", "words"),
    [
        (
            (0.995, 1.0),
            0.9,
            "The discriminator has won: its accuracy of real and of generated samples is 0.99 and 1.00",
        ),
        ((0.1, 0.3), 0.9, "The generator has won"),
        ((0.6, 0.6), 0.2, r"coverage_=0.20\): modes have collapsed"),
        ((0.6, 0.6), 0.9, None),
        ((0.6, 0.6), np.nan, None),
    ],
    ids=str,
)
def test_words(accuracies, covered, words):
    history = history_of(*accuracies)
    if words is None:
        assert _modes.verdict(history, covered) is None
        return
    with pytest.warns(ConvergenceWarning, match=words):
        _modes.warn(history, covered)


def test_coverage_is_the_share_of_equal_clusters():
    rng = np.random.default_rng(0)
    angles = rng.integers(8, size=2000) * np.pi / 4
    real = np.column_stack([np.cos(angles), np.sin(angles)]) + 0.02 * rng.normal(size=(2000, 2))
    assert _modes.coverage(real, real[rng.permutation(2000)], 0) == 1.0
    for n_modes in (1, 4):
        some = real[angles < (n_modes - 0.5) * np.pi / 4]
        made = some[rng.integers(len(some), size=2000)]
        assert abs(_modes.coverage(real, made, 0) - n_modes / 8) < 0.1
    assert np.isnan(_modes.coverage(real[:15], real[:15], 0))


def test_a_fit_warns_in_words():
    X, _ = blobs(200)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        GAN((8,), 2, max_iter=2, batch_size=20, learning_rate_init=1e-6, random_state=0).fit(X)
    (warning,) = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    assert "coverage_" in str(warning.message)
    assert warning.filename == __file__
