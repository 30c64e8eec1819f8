"""Mixup: losses and gradients are those of samples and targets that NumPy has mixed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import beta
from sklearn.base import clone

from skneural import CNNClassifier, CNNRegressor
from skneural.backends.base import OptimizerState, quantiles_of_shares
from skneural.backends.cpu.engine import Trainer
from skneural.backends.inputs import Sequences
from skneural.layers import Conv1D, Dense, GlobalPool, Standardize
from skneural.maths.augmentation import mixed_share
from skneural.network.initializers import initialize
from skneural.network.program import lower

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS = 9
N_STEPS = 4
MIXUP = 0.4
SEED = 7


def shares():
    """Share of every row in the first step."""
    quantiles = quantiles_of_shares(MIXUP)
    return np.array([mixed_share(np.uint64(SEED), np.uint64(0), row, quantiles) for row in range(N_ROWS)])


def trained(loss, X, targets, weights, lengths=None, mixup=MIXUP):
    """Loss and gradient of a network whose outputs are not linear in its inputs."""
    n_outputs = 3 if loss == "log_loss" else targets.shape[1]
    settings = (0.1,) if loss == "log_loss" else ()
    layers = [Standardize(), Conv1D(4, 2, padding="causal", activation="tanh"), GlobalPool("mean"), Dense(n_outputs)]
    program = lower(layers, X.shape[2], n_timesteps=N_STEPS, dtype=X.dtype.type, loss=loss, settings=settings)
    params = initialize(program, 1)
    sequences = Sequences(X, lengths)
    trainer = Trainer(program, params, sequences, targets, weights, n_threads=2, alpha=0.0, seed=SEED, mixup=mixup)
    total, gradient = trainer.loss_and_gradient()
    trainer.close()
    return total, gradient.copy()


def samples(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_STEPS, 2))
    targets = rng.integers(0, 3, (N_ROWS, 1)).astype(float) if loss == "log_loss" else rng.normal(size=(N_ROWS, 2))
    return X, targets, rng.uniform(0.5, 2, N_ROWS)


@pytest.mark.parametrize("loss", ["log_loss", "squared_error", "absolute_error"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_are_those_of_mixed_samples(loss, weighted):
    X, targets, weights = samples(loss)
    weights = weights if weighted else None
    share = shares()
    mixed = share[:, None, None] * X + (1 - share)[:, None, None] * np.roll(X, -1, axis=0)
    own = np.ones(N_ROWS) if weights is None else weights
    total, gradient = trained(loss, X, targets, weights)
    parts = [
        trained(loss, mixed, targets, share * own, mixup=0.0),
        trained(loss, mixed, np.roll(targets, -1, axis=0), (1 - share) * np.roll(own, -1), mixup=0.0),
    ]
    assert_allclose(total, sum(part[0] for part in parts), rtol=1e-10)
    assert_allclose(gradient, sum(part[1] for part in parts), rtol=0, atol=1e-12)


def test_steps_that_the_partner_lacks_are_not_mixed():
    X, targets, _ = samples("squared_error")
    lengths = np.array([4, 1, 3, 2, 4, 4, 1, 2, 3])
    X[np.arange(N_STEPS) >= lengths[:, None]] = np.nan
    share = np.where(np.arange(N_STEPS) < np.roll(lengths, -1)[:, None], shares()[:, None], 1.0)[:, :, None]
    partner = np.nan_to_num(np.roll(X, -1, axis=0))
    mixed = share * X + (1 - share) * partner
    total, _ = trained("squared_error", X, targets, None, lengths)
    own = trained("squared_error", mixed, targets, shares(), lengths, mixup=0.0)
    other = trained("squared_error", mixed, np.roll(targets, -1, axis=0), 1 - shares(), lengths, mixup=0.0)
    assert_allclose(total, own[0] + other[0], rtol=1e-10)


def test_shares_have_a_beta_distribution():
    quantiles = quantiles_of_shares(0.3)
    step = np.uint64(3)
    found = np.sort([mixed_share(np.uint64(SEED), step, row, quantiles) for row in range(4000)])
    expected = beta(0.3, 0.3).ppf((np.arange(4000) + 0.5) / 4000)
    assert_allclose(found, expected, rtol=0, atol=0.05)


@pytest.mark.parametrize("cls", [CNNClassifier, CNNRegressor])
def test_fits_do_not_depend_on_threads_or_types(cls):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (40, 5, 6, 2)).astype(np.uint8)
    y = rng.integers(0, 3, 40)
    settings = {"filters": (3,), "hidden_layer_sizes": (), "max_iter": 3, "batch_size": 8, "random_state": 0}
    est = cls(**settings, mixup=0.3).fit(X, y)
    assert_array_equal(clone(est).set_params(n_jobs=2).fit(X.astype(np.float32), y)._params, est._params)
    assert not np.array_equal(clone(est).set_params(mixup=0).fit(X, y)._params, est._params)


def test_lbfgs_does_not_mix():
    with pytest.raises(ValueError, match="mixup needs a stochastic solver"):
        CNNClassifier(solver="lbfgs", mixup=0.1).fit(np.zeros((4, 8, 8)), [0, 1, 0, 1])


def test_steps_are_divided_by_the_weights_that_they_mix():
    # One sample a batch: with weights, each step of gradient descent is that of two samples, as heavy as both.
    X, targets, _ = samples("squared_error")
    weights = np.where(np.arange(N_ROWS) % 2, 1.0, 100.0)
    share = shares()
    mixed = share[:, None, None] * X + (1 - share)[:, None, None] * np.roll(X, -1, axis=0)
    by_hand = share * weights + (1 - share) * np.roll(weights, -1)
    program = lower([GlobalPool("mean"), Dense(2)], 2, n_timesteps=N_STEPS, dtype=np.float64, loss="squared_error")
    params = initialize(program, 1)
    coef = program.coefs(params)[0].copy()
    intercept = program.intercepts(params)[0].copy()
    trainer = Trainer(
        program, params, Sequences(X, None), targets, weights, n_threads=1, alpha=0.0, seed=SEED, mixup=MIXUP
    )  # fmt: skip
    state = OptimizerState.fresh(program)
    trainer.start("sgd", (0.0, False), state, batch=N_ROWS, shuffle=False, tol=0.0, patience=np.inf)
    trainer.run_epochs(np.array([0.1]), np.inf, 0)
    trainer.close()
    pooled = mixed.mean(axis=1)
    error = pooled @ coef + intercept
    gradient = (share * weights)[:, None] * (error - targets)
    gradient += ((1 - share) * np.roll(weights, -1))[:, None] * (error - np.roll(targets, -1, axis=0))
    expected = coef - 0.1 * pooled.T @ gradient / by_hand.sum()
    assert_allclose(program.coefs(params)[0], expected, rtol=1e-10)
