"""What users rely on beyond scikit-learn: losses, limits, validation, divergence; and every row of every registry."""

import itertools
import warnings

import numpy as np
import pytest
import reference
from conftest import KINDS, assert_same_bits, estimator_for, one_at_a_time, parameters, problem
from networks import constants_of, twin_of
from numpy.testing import assert_allclose, assert_array_equal
from rows import rate_of
from scipy import sparse
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.datasets import make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import d2_pinball_score, r2_score
from test_api import Watch

from skneural import MLPClassifier, MLPRegressor
from skneural.estimators._targets import REAL_LOSSES
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES as ALL_LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.network.initializers import INITIALIZERS

#: Those of single networks.
LOSSES = {name: entry for name, entry in ALL_LOSSES.items() if not entry.adversarial}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (7, 4), "max_iter": 4, "random_state": 0, "batch_size": 16}
SOLVERS = pytest.mark.parametrize("solver", ["lbfgs", *OPTIMIZERS])
STOCHASTIC = pytest.mark.parametrize("solver", OPTIMIZERS)
NORMALIZATIONS = pytest.mark.parametrize("normalization", [None, "batch", "layer"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def small(kind, **settings):
    """An estimator for a kind of target, with few units and epochs."""
    return estimator_for(kind)(**{**SMALL, **problem(kind)[2], **settings})


def for_loss(loss, **settings):
    """An estimator for a row of the registry of losses."""
    if loss in REAL_LOSSES:
        return MLPRegressor(loss, **settings)
    return MLPClassifier(loss=loss.removeprefix("binary_"), **settings)


def rows_of_registries():
    """Settings that have one row of one registry each."""
    rows = [{"activation": name} for name in ACTIVATIONS] + [{"solver": name} for name in OPTIMIZERS]
    rows += [{"learning_rate": name} for name in SCHEDULES] + [{"weight_init": name} for name in INITIALIZERS]
    rows += [{"loss": name} for name in LOSSES] + [{"normalization": name} for name in ("batch", "layer")]
    return rows


ROWS = pytest.mark.parametrize("row", rows_of_registries(), ids=lambda row: "-".join(map(str, *row.items())))


# -- every row of every registry ---------------------------------------------------------------------------------------


def moons(loss, dtype):
    """Two moons; targets that suit a loss, and a function from predictions to the share of rows that are right."""
    X, y = make_moons(300, noise=0.1, random_state=0)
    X, link = (4 * (X - X.mean(axis=0))).astype(dtype), LOSSES[loss].link
    if link == "softmax":  # three classes: the left half of one moon is one of its own
        y = np.where((y == 0) & (X[:, 0] < X[y == 0, 0].mean()), 2, y)
    if link in ("softmax", "logistic"):
        return X, y, lambda predicted: np.mean(predicted == y)
    return X, y + 1.0, lambda predicted: np.mean((predicted > 1.5) == y)


@ROWS
@DTYPES
def test_every_row_tells_two_moons_apart(row, dtype):
    row = row.copy()
    X, y, accuracy = moons(loss := row.pop("loss", "binary_log_loss"), dtype)
    rate = rate_of("".join(row.values()))
    settings = {"hidden_layer_sizes": (16, 16), "learning_rate_init": rate, "batch_size": 20, "random_state": 1}
    est = for_loss(loss, **settings, max_iter=100, n_iter_no_change=100, **row).fit(X, y)
    assert est.coefs_[0].dtype == dtype
    # A linear network cannot draw a curve between them.
    assert accuracy(est.predict(X)) >= (0.85 if row.get("activation") == "identity" else 0.95)
    assert est.loss_curve_[-1] < 0.7 * est.loss_curve_[0]


@ROWS
@DTYPES
def test_no_row_depends_on_the_number_of_threads(crews, row, dtype):
    row = row.copy()
    X, y, _ = moons(loss := row.pop("loss", "binary_log_loss"), dtype)
    settings = {"hidden_layer_sizes": (17, 9), "max_iter": 3, "batch_size": 70, "random_state": 0, "alpha": 0.1}
    one = for_loss(loss, **settings, **row, n_jobs=1).fit(X, y)
    assert set(crews) == {1}
    crews.clear()
    two = for_loss(loss, **settings, **row, n_jobs=2).fit(X, y)
    assert set(crews) == {2}
    assert_array_equal(one._params, two._params)
    assert one.loss_curve_ == two.loss_curve_
    assert_array_equal(one.predict(X), two.predict(X))


#: Settings that change nothing.
NEUTRAL = {
    "l1_ratio": {"l1_ratio": 0.0},
    "clip_norm": {"clip_norm": 1e30},
    "clip_value": {"clip_value": 1e30},
    "max_norm": {"max_norm": 1e30},
    "label_smoothing": {"label_smoothing": 0.0},
    "monitor_gradients": {"monitor_gradients": True},
    "score_training": {"score_training": True},
    "noise and dropout": {"input_noise": 0.0, "dropout": [0.0, 0.0]},
    "warmup": {"warmup": 0.0},
    "step": {"learning_rate": "step", "decay_factor": 1.0, "decay_epochs": 1},
    "exponential": {"learning_rate": "exponential", "decay_factor": 1.0},
    "plateau": {"learning_rate": "plateau", "decay_factor": 1.0, "decay_epochs": 1, "tol": 0.0},
    "residual": {"residual": True},
    "all at once": {"clip_norm": 1e30, "clip_value": 1e30, "max_norm": 1e30, "monitor_gradients": True},
}


@one_at_a_time(
    {"neutral": "all at once", "changed": {"solver": "adam"}},
    neutral=NEUTRAL,
    changed=[*({"solver": name} for name in OPTIMIZERS), {"normalization": "batch"}, {"normalization": "layer"}],
)
def test_neutral_settings_change_no_bit(neutral, changed):
    X, y, _ = problem("multiclass")
    neutral = NEUTRAL[neutral]
    for dtype in ("float32", "float64"):
        settings = {"dtype": dtype, "tol": 0.0, "alpha": 0.1, **changed}
        plain, other = small("multiclass", **settings), small("multiclass", **settings | neutral)
        plain.fit(X, y), other.fit(X, y)
        assert_same_bits(plain, other)
        assert_array_equal(plain._params, other._params)
        assert plain.loss_curve_ == other.loss_curve_
        assert plain.history_["learning_rate"] == other.history_["learning_rate"]


# -- losses ------------------------------------------------------------------------------------------------------------


def data_for(loss, n_samples=60):
    """Rows, and targets that suit a loss."""
    link = LOSSES[loss].link
    X, y, _ = problem({"softmax": "multiclass", "logistic": "binary"}.get(link, "regression"), n_samples)
    return X, np.exp(y / 2) if link == "exp" else y


def settings_of(loss):
    """Parameters of an estimator for the constants that `networks.constants_of` has."""
    values = {"huber_delta": 0.7, "quantiles": 0.2, "label_smoothing": 0.1, "focal_gamma": 1.5}
    values["focal_alpha"] = 0.3 if LOSSES[loss].link == "logistic" else np.linspace(0.5, 2, 3)
    return {name: values[name] for name in LOSSES[loss].settings}


def raw_and_targets(est, loss, X, y):
    """Outputs of the last layer before any output activation, and targets, as `reference` has them."""
    raw = reference.forward(twin_of(est._program, est._params)[0], X)
    if loss not in REAL_LOSSES:
        return raw, np.searchsorted(est.classes_, y).reshape(-1, 1)
    return raw, y.reshape(len(y), -1)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_reported_loss_is_the_formula(loss, weighted):
    # With no learning rate to speak of it is that of the predictions.
    X, y = data_for(loss)
    weights = np.random.default_rng(0).uniform(0.1, 2, 60) if weighted else None
    settings = {**SMALL, "solver": "sgd", "learning_rate_init": 1e-300, "alpha": 0.0, "batch_size": 60}
    est = for_loss(loss, **settings, **settings_of(loss)).fit(
        X, y, weights, X_val=X, y_val=y, sample_weight_val=weights
    )
    n_outputs = 3 if LOSSES[loss].link == "softmax" else 1
    losses = reference.LOSSES[loss](*raw_and_targets(est, loss, X, y), *constants_of(loss, n_outputs))[0]
    assert est.loss_ == pytest.approx(np.average(losses, weights=weights), rel=1e-12)
    assert est.validation_loss_curve_[-1] == pytest.approx(est.loss_, rel=1e-12)


@pytest.mark.parametrize("loss", [name for name in REAL_LOSSES if LOSSES[name].averaged])
def test_the_reported_loss_is_a_mean_over_outputs(loss):
    X, y, _ = problem("multioutput")
    settings = {**SMALL, "solver": "sgd", "learning_rate_init": 1e-300, "alpha": 0.0}
    est = MLPRegressor(loss, **settings, **settings_of(loss)).fit(X, y)
    losses = reference.LOSSES[loss](est.predict(X), y, *constants_of(loss, 1))[0]
    assert est.loss_ == pytest.approx(losses.mean() / 3, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_sample_weights_are_repetitions(loss, solver):
    X, y = data_for(loss)
    counts = np.random.default_rng(0).integers(0, 4, 60)
    settings = {**SMALL, "batch_size": 1000, "shuffle": False, "solver": solver, **settings_of(loss)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = for_loss(loss, **settings).fit(X, y, counts)
        repeated = for_loss(loss, **settings).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
        plain = for_loss(loss, **settings).fit(X, y)
    assert_allclose(parameters(weighted), parameters(repeated), rtol=1e-8, atol=1e-10)
    assert not np.allclose(parameters(weighted), parameters(plain))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_best_constant_is_found(loss):
    # Without features the prediction is the mean, the median, a quantile ...: what minimises the loss.
    if LOSSES[loss].link == "softmax":
        pytest.skip("has no single output")
    y = np.random.default_rng(0).exponential(1.0, 400) + 0.1
    y = (y > 1).astype(int) if LOSSES[loss].link == "logistic" else y
    settings = {"hidden_layer_sizes": (), "learning_rate": "cosine", "learning_rate_init": 0.05, "alpha": 0.0}
    est = for_loss(loss, max_iter=60, tol=0, random_state=0, batch_size=20, **settings, **settings_of(loss))
    est.fit(np.zeros((400, 1)), y)
    constants, target = constants_of(loss, 1), y.astype(float)[:, None]

    def mean_loss(raw):
        return reference.LOSSES[loss](np.full((400, 1), raw), target, *constants)[0].mean()

    best = minimize_scalar(mean_loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-8})
    assert mean_loss(est.intercepts_[0][0]) == pytest.approx(best.fun, rel=1e-3)


def test_predictions_are_those_of_the_link():
    X, y = data_for("gamma")
    for loss in REAL_LOSSES:
        est = MLPRegressor(loss, **SMALL).fit(X, y)
        raw = reference.forward(twin_of(est._program, est._params)[0], X)[:, 0]
        assert est.out_activation_ == LOSSES[loss].link
        assert_allclose(est.predict(X), np.exp(raw) if est.out_activation_ == "exp" else raw, rtol=1e-12)


def test_gamma():
    X, y, _ = problem("regression", n_samples=300)
    y = np.exp(y / 2)
    # Smooth, so that the gradient can vanish: at a kink of relu lbfgs stops without.
    settings = {"activation": "tanh", "solver": "lbfgs", "max_iter": 2000, "tol": 1e-7, "alpha": 0.1}
    est = MLPRegressor("gamma", (5,), random_state=0, **settings).fit(X, y)
    assert (est.predict(X) > 0).all()
    # With a free intercept the mean ratio of y to its prediction is 1 where the gradient vanishes.
    assert_allclose((y / est.predict(X)).mean(), 1, rtol=1e-3)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
@pytest.mark.parametrize("where", ["fit", "partial_fit", "warm start", "validation"])
def test_targets_out_of_range(loss, where):
    X, y = data_for(loss)
    words = {"poisson": "loss='poisson' requires non-negative y", "gamma": "loss='gamma' requires strictly positive y"}
    bad = y.copy()
    bad[7] = {"poisson": -1e-9, "gamma": 0.0}[loss]
    est = MLPRegressor(loss, **SMALL, warm_start=where == "warm start").fit(X, y)
    before = est.predict(X)
    call = {
        "validation": lambda: est.fit(X, y, X_val=X, y_val=bad),
        "partial_fit": lambda: est.partial_fit(X, bad),
    }.get(where, lambda: est.fit(X, bad))
    with pytest.raises(ValueError, match=words[loss]):
        call()
    assert_array_equal(est.predict(X), before)
    bad[7] = {"poisson": 0.0, "gamma": 1e-300}[loss]
    MLPRegressor(loss, **SMALL).fit(X, bad)


# -- quantiles ---------------------------------------------------------------------------------------------------------


def spread(n_samples, seed):
    """Data whose spread depends on X."""
    random = np.random.default_rng(seed)
    X = random.uniform(0, 3, (n_samples, 1))
    return X, np.sin(X[:, 0]) + (0.2 + 0.3 * X[:, 0]) * random.standard_normal(n_samples)


def test_quantiles_cover_their_share():
    quantiles = (0.9, 0.05, 0.5, 0.25)
    X, y = spread(4000, 0)
    settings = {"learning_rate": "cosine", "learning_rate_init": 0.01, "max_iter": 80, "random_state": 0}
    est = MLPRegressor("quantile", (20, 20), quantiles=quantiles, **settings).fit(X, y)
    X, y = spread(4000, 1)
    predicted = est.predict(X)
    assert predicted.shape == (4000, 4)
    assert_allclose((y[:, None] <= predicted).mean(axis=0), quantiles, atol=0.03)
    # Not only on the whole, but where y spreads little and much.
    for part in (X[:, 0] < 1, X[:, 0] > 2):
        assert_allclose((y[part, None] <= predicted[part]).mean(axis=0), quantiles, atol=0.06)
    assert (np.diff(predicted[:, np.argsort(quantiles)], axis=1) >= 0).all()


@pytest.mark.parametrize("max_iter", [1, 3])
def test_quantiles_never_cross(max_iter):
    X, y, _ = problem("regression")
    quantiles = [0.6, 0.1, 0.9, 0.5, 0.4]
    est = small("regression", loss="quantile", quantiles=quantiles, max_iter=max_iter).fit(X, y)
    X = 10 * np.random.default_rng(1).standard_normal((1000, 5))
    predicted = est.predict(X)
    assert (np.diff(predicted[:, np.argsort(quantiles)], axis=1) >= 0).all()
    raw = reference.forward(twin_of(est._program, est._params)[0], X)
    assert (np.diff(raw[:, np.argsort(quantiles)], axis=1) < 0).any()  # which sorting has put right
    assert_allclose(np.sort(predicted, axis=1), np.sort(raw, axis=1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("quantiles", "shape"),
    [(0.3, (60,)), (np.float32(0.3), (60,)), ([0.3], (60, 1)), ((0.1, 0.9), (60, 2)), (np.array([0.1, 0.9]), (60, 2)),
     ((0.5, 0.5), (60, 2))],
)  # fmt: skip
def test_shapes_of_quantiles(quantiles, shape):
    X, y, _ = problem("regression")
    est = small("regression", loss="quantile", quantiles=quantiles).fit(X, y)
    assert est.predict(X).shape == shape
    assert est.predict(sparse.csr_matrix(X)).shape == shape
    assert est.n_outputs_ == (1 if len(shape) == 1 else shape[1])
    assert est.partial_fit(X, y).predict(X[:1]).shape == (1, *shape[1:])


@pytest.mark.parametrize("quantiles", [0.3, (0.1, 0.5, 0.8)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_score_of_quantiles(quantiles, weighted):
    X, y, _ = problem("regression", n_samples=90)
    weights = np.random.default_rng(0).uniform(0, 2, 90) if weighted else None
    est = small("regression", loss="quantile", quantiles=quantiles, max_iter=30, learning_rate_init=0.01)
    est.fit(X, y, X_val=X, y_val=y, sample_weight_val=weights)
    predicted = est.predict(X).reshape(90, -1)
    scores = [
        d2_pinball_score(y, predicted[:, i], sample_weight=weights, alpha=q)
        for i, q in enumerate(np.atleast_1d(quantiles))
    ]
    assert est.score(X, y, weights) == pytest.approx(np.mean(scores), rel=1e-12)
    assert 0 < est.score(X, y, weights) < 1
    assert est.best_validation_score_ == pytest.approx(est.score(X, y, weights), rel=1e-12)


def test_one_quantile_of_several_targets():
    X, y, _ = problem("multioutput", n_samples=300)
    settings = {"learning_rate_init": 0.01, "max_iter": 150, "learning_rate": "cosine"}
    est = small("multioutput", loss="quantile", quantiles=0.8, **settings).fit(X, y)
    assert est.predict(X).shape == (300, 3)
    assert_allclose((y <= est.predict(X)).mean(axis=0), 0.8, atol=0.1)
    assert est.score(X, y) == pytest.approx(d2_pinball_score(y, est.predict(X), alpha=0.8))


def test_several_quantiles_of_several_targets():
    X, y, _ = problem("multioutput", n_samples=300)
    settings = {"learning_rate_init": 0.01, "max_iter": 150, "learning_rate": "cosine"}
    est = small("multioutput", loss="quantile", quantiles=(0.8, 0.1), **settings).fit(X, y)
    predicted = est.predict(X)
    assert predicted.shape == (300, 3, 2)
    assert (predicted[..., 0] >= predicted[..., 1]).all()
    for k, q in enumerate(est.quantiles):
        assert_allclose((y <= predicted[..., k]).mean(axis=0), q, atol=0.1)
    scores = [d2_pinball_score(y, predicted[..., k], alpha=q) for k, q in enumerate(est.quantiles)]
    assert est.score(X, y) == pytest.approx(np.mean(scores))


@pytest.mark.parametrize(
    "quantiles", [0.0, 1.0, -0.1, (0.1, 1.0), (0.0,), (), [[0.1, 0.9]], ("a", 0.5), (np.nan,)], ids=str
)
def test_bad_quantiles(quantiles):
    X, y, _ = problem("regression")
    est = small("regression", loss="quantile", quantiles=quantiles)
    with pytest.raises(ValueError, match=r"quantile|could not convert string"):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")


def test_quantiles_and_going_on():
    X, y, _ = problem("regression")
    est = small("regression", loss="quantile", quantiles=(0.1, 0.9), warm_start=True).fit(X, y)
    est.set_params(quantiles=(0.2, 0.8)).fit(X, y)  # as many as before
    expected = est.predict(X)
    with pytest.raises(ValueError, match="weights of the previous fit do not fit"):
        est.set_params(quantiles=(0.1, 0.5, 0.9)).fit(X, y)
    assert_array_equal(est.predict(X), expected)


# -- focal loss and label smoothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_focal_loss_without_focus_is_log_loss(kind, solver):
    X, y, _ = problem(kind)
    plain = small(kind, solver=solver).fit(X, y)
    focal = small(kind, solver=solver, loss="focal", focal_gamma=0.0).fit(X, y)
    assert_allclose(parameters(focal), parameters(plain), rtol=1e-8, atol=1e-10)
    assert_allclose(focal.loss_curve_, plain.loss_curve_, rtol=1e-10)
    assert not np.allclose(parameters(small(kind, solver=solver, loss="focal").fit(X, y)), parameters(plain))


@pytest.mark.parametrize("kind", KINDS[:3])
def test_forms_of_focal_alpha(kind):
    X, y, _ = problem(kind)
    count = 3 if kind == "multiclass" else 2
    ones = [1.0] * count
    plain = small(kind, loss="focal").fit(X, y)
    for form in (ones, tuple(ones), np.ones(count), np.ones(count, int)):
        assert_same_bits(small(kind, loss="focal", focal_alpha=form).fit(X, y), plain)
    uneven = small(kind, loss="focal", focal_alpha=[0.7, 0.3, 1.0][:count]).fit(X, y)
    assert not np.allclose(parameters(uneven), parameters(plain))
    if count == 2:
        assert_allclose(
            parameters(small(kind, loss="focal", focal_alpha=0.3).fit(X, y)), parameters(uneven), rtol=1e-12
        )


@pytest.mark.parametrize(
    ("kind", "alpha"),
    [("binary", -0.1), ("binary", 1.1), ("binary", [0.5]), ("binary", [0.5] * 3), ("binary", [-0.5, 0.5]),
     ("binary", [np.nan, 0.5]), ("binary", [np.inf, 0.5]), ("binary", "balanced"), ("multiclass", 0.5),
     ("multiclass", [0.5, 0.5]), ("multiclass", [[0.5, 0.5, 0.5]]), ("multilabel", [0.5] * 3)],
    ids=str,
)  # fmt: skip
def test_bad_focal_alpha(kind, alpha):
    X, y, _ = problem(kind)
    est = small(kind, loss="focal", focal_alpha=alpha)
    with pytest.raises(ValueError, match="focal_alpha"):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")


def test_focal_loss_looks_at_what_is_hard():
    # Rows that are right already weigh less: their share of the gradient shrinks with focal_gamma.
    X, y, _ = problem("binary", n_samples=300)
    confident = []
    for gamma in (0.0, 1.0, 4.0):
        est = small("binary", loss="focal", focal_gamma=gamma, max_iter=60, learning_rate_init=0.01).fit(X, y)
        confident.append(est.predict_proba(X).max(axis=1).mean())
    assert confident[0] > confident[1] + 0.02 > confident[2] + 0.04


@pytest.mark.parametrize("kind", KINDS[:3])
def test_label_smoothing(kind):
    X, y, _ = problem(kind, n_samples=200)
    means = []
    for smoothing in (0.0, 0.1, 0.5):
        est = small(kind, label_smoothing=smoothing, max_iter=100, learning_rate_init=0.01).fit(X, y)
        p = est.predict_proba(X)
        means.append(np.maximum(p, 1 - p).mean() if kind == "multilabel" else p.max(axis=1).mean())
        assert est.score(X, y) > 0.7
    assert means[0] > means[1] + 0.02 > means[2] + 0.04


def test_label_smoothing_is_for_log_loss():
    X, y, _ = problem("binary")
    with pytest.raises(ValueError, match="label_smoothing goes with loss='log_loss', got loss='focal'"):
        small("binary", loss="focal", label_smoothing=0.1).fit(X, y)


@pytest.mark.parametrize("loss", ["log_loss", "focal"])
@pytest.mark.parametrize("kind", KINDS[:3])
def test_losses_of_classifiers_in_partial_fit_and_one_class(kind, loss):
    X, y, _ = problem(kind)
    whole = small(kind, loss=loss, n_iter_no_change=np.inf).fit(X, y)
    parts = small(kind, loss=loss)
    for _ in range(4):
        parts.partial_fit(X, y, classes=whole.classes_)
    assert_array_equal(parameters(parts), parameters(whole))
    if kind != "multilabel":
        one = small(kind, loss=loss).fit(X, np.full(60, 3))
        assert_array_equal(one.predict(X), 3)


# -- divergence --------------------------------------------------------------------------------------------------------


def diverging(dtype, **settings):
    """A fit whose learning rate rises until it diverges: it begins well."""
    X, y = data_for("poisson")
    settings = {"hidden_layer_sizes": (5,), "solver": "sgd", "momentum": 0.5, "alpha": 0.0, **settings}
    settings = {"learning_rate_init": 12.5, "warmup": 1.0, "max_iter": 1000, "batch_size": 60, **settings}
    est = MLPRegressor("poisson", random_state=0, n_iter_no_change=np.inf, dtype=np.dtype(dtype).name, **settings)
    return est, X, y


def test_statistics_that_overflow_are_a_divergence():
    # The loss stays finite here, the running variances do not.
    est, X, y = diverging(np.float64, normalization="batch", learning_rate_init=2.5, max_iter=50)
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        est.fit(X, y)
    assert np.isfinite(est.loss_curve_).all()
    assert est.loss_ > 1e200
    assert np.isfinite(est._params).all()


@DTYPES
@NORMALIZATIONS
@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_divergence_keeps_the_weights_of_before(dtype, normalization, watched, n_jobs, crews):
    settings = {"normalization": normalization, "learning_rate_init": 100.0 if normalization == "layer" else 12.5}
    est, X, y = diverging(dtype, **settings, n_jobs=n_jobs)
    watch = Watch(measure=lambda est: est._params.copy())
    if watched:
        est.set_callbacks(watch)
    with pytest.warns(
        ConvergenceWarning, match=r"Training diverged: loss or weights of epoch \d+ are not finite"
    ) as record:
        est.fit(X, y)
    assert [w.filename for w in record if "diverged" in str(w.message)] == [__file__]
    assert est.n_iter_ == len(est.loss_curve_) < 1000
    assert np.isfinite(est.loss_curve_[:-1]).all()
    assert not np.isfinite(est.loss_curve_[-1])
    assert np.isfinite(est._params).all()
    assert np.isfinite(est.predict(X)).all()
    best = int(np.nanargmin(est.loss_curve_))
    assert 0 < best < est.n_iter_ - 1
    if watched:  # they are those with which the best epoch began
        assert_array_equal(est._params, watch.measured[best - 1])
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        assert_array_equal(diverging(dtype, **settings)[0].fit(X, y)._params, est._params)
    # Training can go on from them: with one batch an epoch their loss is that of the best epoch.
    lowest = est.loss_curve_[best]
    est.set_callbacks().set_params(warm_start=True, learning_rate_init=1e-300, warmup=0.0, max_iter=1).fit(X, y)
    assert est.loss_ == pytest.approx(lowest, rel=1e-5 if dtype is np.float32 else 1e-12)


@STOCHASTIC
def test_divergence_at_once_is_an_error(solver):
    X, y, _ = problem("regression")
    est = small("regression", solver=solver, learning_rate_init=1e300, activation="identity", weight_decay=0.0)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        est.fit(X, y)


@STOCHASTIC
def test_divergence_of_a_warm_start_keeps_the_old_weights(solver):
    X, y, _ = problem("regression")
    est = small("regression", solver=solver, warm_start=True, activation="identity", weight_decay=0.0).fit(X, y)
    before, expected = est._params.copy(), est.predict(X)
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        est.set_params(learning_rate_init=1e300).fit(X, y)
    assert_array_equal(est._params, before)
    assert_array_equal(est.predict(X), expected)


def test_divergence_with_validation_keeps_the_best():
    est, X, y = diverging(np.float64)
    with pytest.warns(ConvergenceWarning, match="Training diverged"):
        est.fit(X, y, X_val=X, y_val=y)
    assert est.score(X, y) == pytest.approx(est.best_validation_score_, rel=1e-12)
    assert est.best_validation_score_ == np.nanmax(est.validation_scores_)
    assert np.isfinite(est._params).all()


# -- validation --------------------------------------------------------------------------------------------------------


@SOLVERS
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_the_best_weights_are_restored(solver, kind):
    X, y, _ = problem(kind, n_samples=90)
    settings = {"solver": solver, "learning_rate_init": rate_of(solver) * 10, "scoring": "loss"}
    est = small(kind, max_iter=15, **settings).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    best = int(np.argmax(est.validation_scores_))
    assert est.best_validation_score_ == est.validation_scores_[best]
    again = small(kind, **settings | {"max_iter": best + 1}).fit(X[:60], y[:60])
    assert_array_equal(again._params, est._params)


@SOLVERS
@pytest.mark.parametrize("patience", [1, 4])
def test_patience(solver, patience):
    X, y, _ = problem("multiclass")
    scores = itertools.chain([0.1, 0.5, 0.2, 0.6], itertools.repeat(0.6))
    settings = {"scoring": lambda est, X, y: next(scores), "max_iter": 100, "tol": 0.01}
    est = small("multiclass", solver=solver, n_iter_no_change=patience, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(X, y, X_val=X, y_val=y)
    assert est.n_iter_ == 4 + patience + 1  # the fourth is the best
    assert_array_equal(est._params, small("multiclass", solver=solver, max_iter=4).fit(X, y)._params)


# -- the network -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", [list, tuple, np.array, lambda names: np.array(names, object)], ids=["list", "tuple", "str", "obj"]
)
def test_an_activation_for_each_layer(form):
    X, y, _ = problem("regression")
    est = small("regression", activation=form(["tanh", "relu"])).fit(X, y)
    hidden = np.tanh(X @ est.coefs_[0] + est.intercepts_[0])
    hidden = np.maximum(hidden @ est.coefs_[1] + est.intercepts_[1], 0)
    assert_allclose(est.predict(X), (hidden @ est.coefs_[2] + est.intercepts_[2])[:, 0], rtol=1e-10)
    assert_same_bits(
        small("regression", activation=form(["gelu"] * 2)).fit(X, y), small("regression", activation="gelu").fit(X, y)
    )


@pytest.mark.parametrize(
    "activation", [["relu"], ["relu"] * 3, [], ["relu", "softmax"], ["relu", None], [1, 2], np.zeros((2, 2))], ids=str
)
def test_bad_activations(activation):
    X, y, _ = problem("regression")
    est = small("regression", activation=activation)
    with pytest.raises(ValueError, match="activation"):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")


@SOLVERS
def test_weights_of_a_callable(solver):
    X, y, _ = problem("regression")
    calls = []

    def weight_init(n_in, n_out, rng):
        weights = rng.normal(size=(n_in, n_out))
        calls.append(weights)
        return weights

    settings = {"solver": solver, "weight_init": weight_init, "learning_rate_init": 1e-300, "weight_decay": 0.0}
    est = small("regression", **settings, max_iter=1).fit(X, y)
    assert [weights.shape for weights in calls] == [(5, 7), (7, 4), (4, 1)]
    if solver != "lbfgs":
        for coef, intercept, weights in zip(est.coefs_, est.intercepts_, calls, strict=True):
            assert_array_equal(coef, weights)
            assert_allclose(intercept, 0, atol=1e-290)
    assert_same_bits(clone(est).fit(X, y), est)  # with the same random_state the same numbers
    assert not np.array_equal(clone(est).set_params(random_state=1).fit(X, y).coefs_[0], est.coefs_[0])


@pytest.mark.parametrize("returned", [None, 0.0, np.zeros((4, 4)), np.full((5, 7), np.nan), "text"], ids=str)
@pytest.mark.parametrize("refit", [False, True])
def test_callables_that_return_something_else(returned, refit):
    X, y, _ = problem("regression")
    est = small("regression")
    if refit:
        before = est.fit(X, y).predict(X)
    est.set_params(weight_init=lambda n_in, n_out, rng: returned)
    with pytest.raises(ValueError, match="weight_init"):
        est.fit(X[:, :4] if refit else X, np.c_[y, y] if refit else y)
    if refit:
        assert_array_equal(est.predict(X), before)
    else:
        assert not hasattr(est, "coefs_")
    assert_same_bits(est.set_params(weight_init="auto").fit(X, y), small("regression").fit(X, y))


STOCHASTIC_ONLY = {
    "dropout": {"dropout": 0.1},
    "input_noise": {"input_noise": 0.1},
    "normalization='batch'": {"normalization": "batch"},
    "l1_ratio": {"l1_ratio": 0.1},
    "clip_norm": {"clip_norm": 1.0},
    "clip_value": {"clip_value": 1.0},
    "max_norm": {"max_norm": 1.0},
    "monitor_gradients": {"monitor_gradients": True},
}


@pytest.mark.parametrize("name", STOCHASTIC_ONLY)
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_what_lbfgs_cannot_do_is_an_error(name, kind):
    X, y, _ = problem(kind)
    est = small(kind, solver="lbfgs", **STOCHASTIC_ONLY[name])
    with pytest.raises(ValueError, match=f"{name} needs a stochastic solver .*lbfgs"):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")
    est.set_params(solver="adam").fit(X, y)


@pytest.mark.parametrize("loss", LOSSES)
def test_lbfgs_minimises_every_loss(loss):
    X, y = data_for(loss)
    settings = {"solver": "lbfgs", "activation": "gelu", "normalization": "layer", "residual": True}
    est = for_loss(loss, hidden_layer_sizes=(6, 6), random_state=0, max_iter=30, **settings).fit(X, y)
    assert est.loss_curve_[-1] < 0.7 * est.loss_curve_[0]


# -- limits and penalties ----------------------------------------------------------------------------------------------


@STOCHASTIC
@NORMALIZATIONS
@DTYPES
def test_max_norm_holds(solver, normalization, dtype):
    X, y, _ = problem("regression")
    settings = {"solver": solver, "normalization": normalization, "learning_rate_init": 0.1, "max_iter": 10}
    free = small("regression", **settings).fit(X.astype(dtype), y)
    assert max(np.linalg.norm(coef, axis=0).max() for coef in free.coefs_[:-1]) > 0.5
    est = small("regression", max_norm=0.5, **settings).fit(X.astype(dtype), y)
    for coef in est.coefs_[:-1]:
        assert (np.linalg.norm(coef.astype(float), axis=0) <= 0.5 * (1 + 1e-6)).all()
    # A warm start from larger weights brings them within the limit too.
    free.set_params(max_norm=0.5, warm_start=True, max_iter=1).fit(X.astype(dtype), y)
    for coef in free.coefs_[:-1]:
        assert (np.linalg.norm(coef.astype(float), axis=0) <= 0.5 * (1 + 1e-6)).all()


def test_max_norm_leaves_the_last_layer():
    X, y, _ = problem("regression")
    est = small("regression", max_norm=0.1, max_iter=60, learning_rate_init=0.05).fit(X, 100 * y)
    assert np.linalg.norm(est.coefs_[-1]) > 1
    linear = small("regression", hidden_layer_sizes=(), max_norm=0.1).fit(X, y)
    assert_same_bits(linear, small("regression", hidden_layer_sizes=()).fit(X, y))


@STOCHASTIC
def test_l1_brings_weights_near_zero(solver):
    # Of twenty features only the first two matter.
    random = np.random.default_rng(0)
    X = random.standard_normal((200, 20))
    y = X[:, 0] - 2 * X[:, 1]
    settings = {"hidden_layer_sizes": (10,), "solver": solver, "max_iter": 150, "random_state": 0, "batch_size": 50}
    settings |= {"learning_rate": "cosine", "learning_rate_init": rate_of(solver), "weight_decay": 0.0}
    idle, used = {}, {}
    for name, penalty in {"none": {"alpha": 0.0}, "l2": {"alpha": 1.0}, "l1": {"alpha": 1.0, "l1_ratio": 1.0}}.items():
        est = MLPRegressor(**settings, n_iter_no_change=np.inf, **penalty).fit(X, y)
        idle[name], used[name] = np.abs(est.coefs_[0][2:]).mean(), np.abs(est.coefs_[0][:2]).mean()
        assert est.score(X, y) > 0.9
    assert idle["l1"] < 0.3 * idle["none"]
    assert idle["l1"] / used["l1"] < 0.5 * idle["l2"] / used["l2"]


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
def test_the_penalty_is_part_of_the_loss(l1_ratio):
    X, y, _ = problem("regression")
    settings = {"solver": "sgd", "learning_rate_init": 1e-300, "batch_size": 60}
    plain = small("regression", alpha=0.0, **settings).fit(X, y)
    est = small("regression", alpha=0.7, l1_ratio=l1_ratio, **settings).fit(X, y)
    weights = np.concatenate([coef.ravel() for coef in est.coefs_])
    penalty = l1_ratio * np.abs(weights).sum() + (1 - l1_ratio) / 2 * (weights**2).sum()
    assert est.loss_ == pytest.approx(plain.loss_ + 0.7 * penalty / 60, rel=1e-12)


def test_clipping_lets_a_fit_through_what_diverges_without():
    X, y, _ = problem("regression")
    settings = {"solver": "sgd", "learning_rate_init": 0.05, "activation": "identity", "max_iter": 30}
    with pytest.raises(ValueError, match="non-finite"):
        small("regression", **settings).fit(1e3 * X, 1e3 * y)
    for limit in ({"clip_norm": 1e-3}, {"clip_value": 1e-4}):
        est = small("regression", **settings, **limit).fit(1e3 * X, 1e3 * y)
        assert np.isfinite(est.loss_curve_).all()


# -- what a fit notes --------------------------------------------------------------------------------------------------


@NORMALIZATIONS
@STOCHASTIC
def test_gradient_norms_are_those_of_numpy(normalization, solver):
    X, y, _ = problem("regression")
    settings = {"solver": solver, "normalization": normalization, "activation": "tanh", "batch_size": 60, "alpha": 0.0}
    watch = Watch(measure=lambda est: est._params.copy())
    est = small("regression", max_iter=5, monitor_gradients=True, clip_norm=0.1, **settings).set_callbacks(watch)
    est.fit(X, y)
    start = small("regression", max_iter=1, **settings | {"solver": "sgd", "learning_rate_init": 1e-300}).fit(X, y)
    norms = est.history_["gradient_norm"]
    assert len(norms) == 5
    for params, found in zip([start._params, *watch.measured[:-1]], norms, strict=True):
        twin, _ = twin_of(est._program, params)
        _, gradients = reference.loss_and_gradient(twin, "squared_error", (), X, y[:, None], np.ones(60))
        expected = [np.sqrt(sum((g**2).sum() for g in of_layer)) / 60 for of_layer in gradients]
        assert found.shape == (3,)
        assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("watched", [False, True])
def test_gradient_norms_are_means_over_the_batches(watched, crews, monkeypatch):
    from skneural.backends.cpu import pool

    X, y, _ = problem("regression")
    settings = {"solver": "sgd", "learning_rate_init": 1e-300, "shuffle": False, "monitor_gradients": True}
    est = small("regression", batch_size=20, verbose=0, **settings)
    if watched:
        est.set_callbacks(Watch())
    parts = [clone(est).set_callbacks().fit(X[i : i + 20], y[i : i + 20]) for i in (0, 20, 40)]
    expected = np.mean([part.history_["gradient_norm"][0] for part in parts], axis=0)
    assert_allclose(est.fit(X, y).history_["gradient_norm"], [expected] * 4, rtol=1e-12)
    # also if a compiled call ends within an epoch
    monkeypatch.setattr(pool.Pace, "choose", lambda self, seconds: (max(self.sizes), 2))
    for n_jobs in (1, 2):
        est.set_params(n_jobs=n_jobs).fit(X, y)
        assert_allclose(est.history_["gradient_norm"], [expected] * 4, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "column"), [("monitor_gradients", "gradient_norm"), ("score_training", "training_score")]
)
def test_columns_of_history_keep_their_length(name, column):
    X, y, _ = problem("regression")
    est = small("regression", warm_start=True).fit(X, y)
    assert column not in est.history_
    est.set_params(**{name: True}).fit(X, y).partial_fit(X, y)
    est.set_params(**{name: False}).fit(X, y)
    assert {len(values) for values in est.history_.values()} == {13}
    known = [bool(np.isfinite(value).all()) for value in est.history_[column]]
    assert known == [False] * 4 + [True] * 5 + [False] * 4
    assert {np.shape(value) for value in est.history_[column]} == {(3,) if column == "gradient_norm" else ()}
    assert column not in est.set_params(warm_start=False).fit(X, y).history_


@SOLVERS
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_training_scores(solver, kind):
    X, y, _ = problem(kind)
    weights = np.random.default_rng(0).uniform(0, 2, 60)
    watch = Watch(measure=lambda est: est.score(X, y, weights))
    settings = {} if solver == "lbfgs" else {"dropout": 0.3, "normalization": "batch", "input_noise": 0.1}
    est = small(kind, solver=solver, score_training=True, **settings).set_callbacks(watch).fit(X, y, weights)
    assert_allclose(est.history_["training_score"], watch.measured, rtol=1e-12)
    unwatched = small(kind, solver=solver, score_training=True, **settings).fit(X, y, weights)
    assert unwatched.history_["training_score"] == est.history_["training_score"]
    assert_same_bits(unwatched, small(kind, solver=solver, **settings).fit(X, y, weights))


def test_training_scores_are_of_the_rows_trained_on():
    X, y, _ = problem("regression", n_samples=90)
    est = small("regression", score_training=True).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    best = int(np.argmax(est.validation_scores_))
    assert est.history_["training_score"][best] == pytest.approx(r2_score(y[:60], est.predict(X[:60])), rel=1e-12)
    scored = small("regression", score_training=True, scoring="neg_mean_absolute_error").fit(X, y)
    assert scored.history_["training_score"][-1] == pytest.approx(-np.abs(scored.predict(X) - y).mean(), rel=1e-12)
