"""Batch and layer normalisation, shortcuts and noise, as users of the estimators meet them."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from conftest import KINDS, assert_same_bits, estimator_for, one_at_a_time, parameters, problem
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, stats
from test_invariance import assert_rows_stand_alone

from skneural import MLPClassifier, MLPRegressor, NetworkRegressor, load, save
from skneural.backends.base import OptimizerState
from skneural.backends.cpu import engine
from skneural.backends.cpu.engine import MAX_CAPACITY, Trainer
from skneural.layers import BatchNorm, Dense, GlobalPool, Noise, Recurrent
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.memory import aligned_zeros
from skneural.network.program import lower

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (6, 6), "max_iter": 5, "random_state": 0, "batch_size": 16, "activation": "tanh"}
BOTH = pytest.mark.parametrize("normalization", ["batch", "layer"])


def small(kind="regression", **settings):
    return estimator_for(kind)(**{**SMALL, **problem(kind)[2], **settings})


def by_hand(est, X):
    """Raw outputs of a network with tanh and normalisation in all hidden layers."""
    norms = iter(est.norms_)
    for layer, (weights, biases) in enumerate(zip(est.coefs_, est.intercepts_, strict=True)):
        if layer == len(est.coefs_) - 1:
            return X @ weights + biases
        z = X @ weights
        if est.normalization == "batch":
            norm = next(norms)
            z = norm["scale"] * (z - norm["mean"]) / np.sqrt(norm["variance"] + 1e-5) + biases
        elif est.normalization == "layer":
            norm, z = next(norms), z + biases
            z = z - z.mean(axis=1, keepdims=True)
            z = norm["scale"] * z / np.sqrt((z**2).mean(axis=1, keepdims=True) + 1e-5) + norm["shift"]
        else:
            z = z + biases
        X = np.tanh(z) + (X if est.residual and X.shape[1] == z.shape[1] and layer else 0)
    return None


# -- what is predicted -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("hidden", [(6, 6), (6, 4, 4, 6), (5,), (5, 5, 5)])
def test_predictions_are_the_formula(normalization, residual, hidden):
    X, y, _ = problem("regression")
    est = small(normalization=normalization, residual=residual, hidden_layer_sizes=hidden, max_iter=20).fit(X, y)
    expected = by_hand(est, X)[:, 0]
    assert_allclose(est.predict(X), expected, rtol=1e-10, atol=1e-12)
    assert_allclose(est.predict(sparse.csr_matrix(X)), expected, rtol=1e-10, atol=1e-12)
    if residual and hidden != (5,):
        plain = copy.deepcopy(est).set_params(residual=False)
        assert not np.allclose(by_hand(plain, X)[:, 0], expected)


def test_the_first_hidden_layer_has_no_shortcut():
    # Also where it is as wide as the data.
    X, y, _ = problem("regression")
    assert X.shape[1] == 5
    assert_same_bits(small(hidden_layer_sizes=(5,), residual=True).fit(X, y), small(hidden_layer_sizes=(5,)).fit(X, y))


@BOTH
@one_at_a_time({"width": 7, "dtype": np.float32}, width=[1, 33], dtype=[np.float64])
def test_prediction_of_a_row_does_not_depend_on_the_others(crews, dtype, width, normalization):
    X, y, _ = problem("multiclass", n_samples=250, n_features=9)
    X, settings = X.astype(dtype), {"hidden_layer_sizes": (width, width, 9), "residual": True, "max_iter": 2}
    clf = small("multiclass", normalization=normalization, **settings).fit(X, y)
    assert clf.norms_[0]["scale"].dtype == dtype
    assert_rows_stand_alone(clf.predict_proba, X, clf)
    X[np.abs(X) < 1] = 0
    assert_rows_stand_alone(clf.predict_proba, sparse.csr_matrix(X), clf)


@BOTH
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_rows_stand_alone_with_every_activation(crews, activation, normalization):
    X, y, _ = problem("regression", n_samples=130)
    est = small(activation=activation, normalization=normalization, residual=True).fit(X, y)
    whole = est.predict(X)
    assert np.isfinite(whole).all()
    assert_array_equal([est.predict(row[None])[0] for row in X], whole)
    assert_array_equal(est.set_params(n_jobs=2).predict(X[::-1])[::-1], whole)


# -- running statistics ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_running_statistics_of_one_batch_are_those_of_the_data(weighted, is_sparse):
    # With no learning rate to speak of, the first layer's statistics are those of X @ weights.
    X, y, _ = problem("regression")
    X[np.abs(X) < 0.5] = 0
    weights = np.random.default_rng(0).uniform(0.1, 2, 60) if weighted else None
    settings = {"normalization": "batch", "solver": "sgd", "learning_rate_init": 1e-300, "batch_size": 60}
    for max_iter in (1, 30):  # the first batches are averaged, later ones come in slowly: all are the same
        est = small(max_iter=max_iter, **settings, n_iter_no_change=np.inf)
        est.fit(sparse.csr_array(X) if is_sparse else X, y, weights)
        z = X @ est.coefs_[0]
        mean = np.average(z, weights=weights, axis=0)
        variance = np.average((z - mean) ** 2, weights=weights, axis=0)
        assert_allclose(est.norms_[0]["mean"], mean, rtol=1e-12, atol=1e-14)
        assert_allclose(est.norms_[0]["variance"], variance, rtol=1e-12)


def test_running_statistics_are_a_mean_over_the_first_batches():
    X, y, _ = problem("regression")
    settings = {"normalization": "batch", "solver": "sgd", "learning_rate_init": 1e-300, "shuffle": False}
    est = small(batch_size=6, max_iter=1, **settings).fit(X, y)  # ten batches
    z = (X @ est.coefs_[0]).reshape(10, 6, 6)
    assert_allclose(est.norms_[0]["mean"], z.mean(axis=1).mean(axis=0), rtol=1e-10, atol=1e-13)
    assert_allclose(est.norms_[0]["variance"], z.var(axis=1).mean(axis=0), rtol=1e-10)
    est.partial_fit(X, y)
    mean, variance = z.mean(axis=1).mean(axis=0), z.var(axis=1).mean(axis=0)
    for part in z:
        mean, variance = 0.9 * mean + 0.1 * part.mean(axis=0), 0.9 * variance + 0.1 * part.var(axis=0)
    assert_allclose(est.norms_[0]["mean"], mean, rtol=1e-10, atol=1e-13)
    assert_allclose(est.norms_[0]["variance"], variance, rtol=1e-10)


def test_statistics_of_a_batch_larger_than_the_buffers():
    n = MAX_CAPACITY + 500
    X, y, _ = problem("regression", n_samples=n)
    settings = {"normalization": "batch", "solver": "sgd", "learning_rate_init": 1e-300, "batch_size": n}
    est = small(max_iter=1, **settings).fit(X, y)
    assert_allclose(est.norms_[0]["mean"], (X @ est.coefs_[0]).mean(axis=0), rtol=1e-11, atol=1e-13)
    assert_allclose(est.norms_[0]["variance"], (X @ est.coefs_[0]).var(axis=0), rtol=1e-11)


@BOTH
@pytest.mark.parametrize("solver", ["sgd", "adam", "rmsprop"])
def test_sample_weights_are_repetitions(normalization, solver):
    X, y, _ = problem("regression")
    counts = np.random.default_rng(0).integers(0, 4, 60)
    settings = {"normalization": normalization, "batch_size": 1000, "shuffle": False, "solver": solver, "alpha": 0.1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weighted = small(**settings).fit(X, y, counts)
        repeated = small(**settings).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert_allclose(weighted._params, repeated._params, rtol=1e-9, atol=1e-11)
    assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-11)


@BOTH
def test_scale_and_offset_of_the_first_layer_do_not_matter(normalization):
    # What normalisation is for: a factor of all features leaves the first steps as they are.
    X, y, _ = problem("regression")
    settings = {"normalization": normalization, "hidden_layer_sizes": (6,), "solver": "sgd", "alpha": 0.0}
    settings |= {"weight_init": "glorot_uniform", "learning_rate_init": 1e-4, "max_iter": 1}
    before, after = small(**settings).fit(X, y), small(**settings).fit(1000 * X, y)
    assert_allclose(before.loss_, after.loss_, rtol=1e-3)
    settings |= {"normalization": None, "learning_rate_init": 1e-12}
    before, after = small(**settings).fit(X, y), small(**settings).fit(1000 * X, y)
    assert abs(before.loss_ / after.loss_ - 1) > 0.02


# -- odd data ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("normalization", "shape"),
    [("batch", (2, 5)), ("batch", (60, 1)), ("layer", (1, 5)), ("layer", (60, 1)), ("layer", (2, 5))],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_few_rows_and_features(kind, shape, normalization):
    X, y, _ = problem(kind)
    X, y = X[: shape[0], : shape[1]], y[: shape[0]]
    est = small(kind, normalization=normalization, batch_size="auto").fit(X, y)
    assert np.isfinite(est._params).all()
    assert np.isfinite(est.loss_)
    assert est.predict(X).shape == y.shape


def test_batches_of_one_row_have_no_statistics():
    X, y, _ = problem("regression")
    words = "normalization='batch' needs batches of at least two samples, got "
    est = small(normalization="batch").fit(X, y)
    before = est.predict(X)
    with pytest.raises(ValueError, match=words + "batch_size=1"):
        est.set_params(batch_size=1).fit(X[:, :3], y)
    for call in (est.set_params(batch_size="auto").fit, est.partial_fit):
        with pytest.raises(ValueError, match=words + "n_samples=1"):
            call(X[:1], y[:1])
    assert_array_equal(est.predict(X), before)
    # A single row that is left over trains the weights, and leaves the statistics alone.
    settings = {"normalization": "batch", "solver": "sgd", "learning_rate_init": 1e-300, "shuffle": False}
    est = small(batch_size=59, max_iter=1, **settings).fit(X, y)
    z = X[:59] @ est.coefs_[0]
    assert_allclose(est.norms_[0]["mean"], z.mean(axis=0), rtol=1e-12, atol=1e-14)
    assert_allclose(est.norms_[0]["variance"], z.var(axis=0), rtol=1e-12)
    # So does a batch of which one row alone has weight.
    weights = np.r_[np.ones(30), 1.0, np.zeros(29)]
    est = small(batch_size=30, max_iter=1, **settings).fit(X, y, weights)
    assert_allclose(est.norms_[0]["variance"], (X[:30] @ est.coefs_[0]).var(axis=0), rtol=1e-12)
    # Without hidden layers there is nothing to normalise.
    small(normalization="batch", batch_size=1, hidden_layer_sizes=()).fit(X, y)


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_features_and_small_batches(normalization, dtype):
    X, y, _ = problem("multiclass")
    for value in (0.0, 1.0, -1e6):
        est = small("multiclass", normalization=normalization, dtype=dtype).fit(np.full_like(X, value), y)
        assert len(np.unique(est.predict(X[:1] * 0 + value))) == 1
        assert np.isfinite(est._params).all()
    batch_size = 2 if normalization == "batch" else 1
    est = small("multiclass", normalization=normalization, dtype=dtype, batch_size=batch_size).fit(X, y)
    assert np.isfinite(est._params).all()
    assert np.isfinite(est.predict_proba(X)).all()


@BOTH
def test_a_batch_without_weight_changes_nothing_for_worse(normalization):
    X, y, _ = problem("regression")
    weights = np.tile([1.0, 1.0, 0.0, 0.0], 15)
    settings = {"normalization": normalization, "batch_size": 2, "shuffle": False}
    est = small(**settings).fit(X, y, weights)
    assert np.isfinite(est._params).all()
    # Nor does it count among the running statistics.
    spoilt = X.copy()
    spoilt[weights == 0] = 1e3
    assert_array_equal(small(**settings).fit(spoilt, y, weights)._params, est._params)


@BOTH
@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_sparse_is_dense(normalization, solver):
    X, y, _ = problem("multiclass", n_features=12)
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.7] = 0
    settings = {"normalization": normalization, "residual": True, "solver": solver, "dropout": 0.2}
    dense = small("multiclass", **settings).fit(X, y)
    got = small("multiclass", **settings).fit(sparse.csr_matrix(X), y)
    assert_allclose(got._params, dense._params, rtol=1e-7, atol=1e-9)


# -- attributes --------------------------------------------------------------------------------------------------------


def test_norms():
    X, y, _ = problem("regression")
    assert small().fit(X, y).norms_ == []
    batch = small(normalization="batch", hidden_layer_sizes=(6, 3)).fit(X, y)
    layer = small(normalization="layer", hidden_layer_sizes=(6, 3)).fit(X, y)
    assert [list(norm) for norm in batch.norms_] == [["scale", "mean", "variance"]] * 2
    assert [list(norm) for norm in layer.norms_] == [["scale", "shift"]] * 2
    for est in (batch, layer):
        for norm, units in zip(est.norms_, (6, 3), strict=True):
            for view in norm.values():
                assert view.shape == (units,)
                assert np.shares_memory(view, est._params)
                assert np.isfinite(view).all()
        # Views: what is written there is used.
        before = est.predict(X)
        est.norms_[0]["scale"][:] *= 2
        assert not np.allclose(est.predict(X), before)
        assert_allclose(est.predict(X), by_hand(est, X)[:, 0], rtol=1e-10, atol=1e-12)
        with pytest.raises(TypeError, match="does not support item assignment"):  # which would have no effect
            est.norms_[0]["scale"] = np.ones(6)
    assert (batch.norms_[0]["variance"] > 0).all()


def test_without_hidden_layers_there_is_nothing_to_normalise():
    X, y, _ = problem("regression")
    plain = small(hidden_layer_sizes=()).fit(X, y)
    for normalization in ("batch", "layer"):
        est = small(hidden_layer_sizes=(), normalization=normalization, residual=True).fit(X, y)
        assert_same_bits(est, plain)
        assert est.norms_ == []


def saved_and_loaded(est, tmp_path):
    save(est, tmp_path / "est.skn")
    return load(tmp_path / "est.skn")


@BOTH
@pytest.mark.parametrize("how", ["pickle", "deepcopy", "file"])
@pytest.mark.parametrize("assigned", [False, True])
def test_round_trips(normalization, how, assigned, tmp_path):
    X, y, _ = problem("regression")
    est = small(normalization=normalization, residual=True).fit(X, y)
    if assigned:  # weights from outside make a vector of their own
        est.coefs_[0] = est.coefs_[0] + 1
    twin = {
        "pickle": lambda est: pickle.loads(pickle.dumps(est)),
        "deepcopy": copy.deepcopy,
        "file": lambda est: saved_and_loaded(est, tmp_path),
    }[how](est)
    assert_array_equal(twin.predict(X), est.predict(X))
    for ours, theirs in zip(twin.norms_, est.norms_, strict=True):
        for name in theirs:
            assert_array_equal(ours[name], theirs[name])
            assert np.shares_memory(ours[name], twin._params)
            assert not np.shares_memory(ours[name], theirs[name])
    for _ in range(2):
        assert_array_equal(twin.partial_fit(X, y)._params, est.partial_fit(X, y)._params)


def test_assigned_weights_leave_the_norms():
    X, y, _ = problem("regression")
    est = small(normalization="batch").fit(X, y)
    norms = [{name: view.copy() for name, view in norm.items()} for norm in est.norms_]
    est.coefs_ = [coef + 1 for coef in est.coefs_]
    assert_allclose(est.predict(X), by_hand(est, X)[:, 0], rtol=1e-10, atol=1e-12)
    for now, before in zip(est.norms_, norms, strict=True):
        for name in before:
            assert_array_equal(now[name], before[name])


# -- going on ----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", OPTIMIZERS)
def test_partial_fit_calls_are_epochs_to_the_bit(normalization, kind, solver):
    X, y, _ = problem(kind)
    settings = {"normalization": normalization, "residual": True, "solver": solver, "dropout": 0.1}
    whole = small(kind, n_iter_no_change=np.inf, **settings).fit(X, y)
    parts = small(kind, **settings)
    classes = {"classes": [0, 1, 2]} if kind == "multiclass" else {}
    for _ in range(5):
        parts.partial_fit(X, y, **classes)
    assert_array_equal(parts._params, whole._params)
    assert parts.loss_curve_ == whole.loss_curve_


def test_warm_start_keeps_the_running_statistics():
    X, y, _ = problem("regression")
    settings = {"normalization": "batch", "solver": "sgd", "learning_rate_init": 1e-300, "shuffle": False}
    est = small(batch_size=60, max_iter=20, warm_start=True, n_iter_no_change=np.inf, **settings).fit(X, y)
    before = {name: view.copy() for name, view in est.norms_[0].items()}
    est.set_params(max_iter=1).fit(5 * X, y)  # one batch after twenty weighs a tenth
    z = 5 * X @ est.coefs_[0]
    assert_allclose(est.norms_[0]["mean"], 0.9 * before["mean"] + 0.1 * z.mean(axis=0), rtol=1e-10, atol=1e-13)
    assert_allclose(est.norms_[0]["variance"], 0.9 * before["variance"] + 0.1 * z.var(axis=0), rtol=1e-10)


@BOTH
def test_warm_start_goes_on(normalization):
    X, y, _ = problem("regression")
    settings = {"normalization": normalization, "solver": "sgd", "momentum": 0.0, "shuffle": False}
    settings |= {"n_iter_no_change": np.inf, "batch_size": 60}
    whole = small(max_iter=6, **settings).fit(X, y)
    parts = small(max_iter=3, warm_start=True, **settings).fit(X, y).fit(X, y)
    assert_array_equal(parameters(parts), parameters(whole))
    assert parts.loss_curve_ == whole.loss_curve_


@pytest.mark.parametrize(("before", "after"), [(None, "batch"), ("batch", None), (None, "layer"), ("layer", None),
                                               ("batch", "layer"), ("layer", "batch")])  # fmt: skip
@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
def test_another_normalization_than_before_raises(before, after, how):
    X, y, _ = problem("regression")
    est = small(normalization=before, warm_start=True).fit(X, y)
    expected, weights = est.predict(X), est._params.copy()
    est.set_params(normalization=after)
    with pytest.raises(ValueError, match="normalization"):
        est.fit(X, y) if how == "warm_start" else est.partial_fit(X, y)
    est.set_params(normalization=before)
    assert_array_equal(est._params, weights)
    assert_array_equal(est.predict(X), expected)
    est.set_params(normalization=after, warm_start=False).fit(X, y)  # a fit that begins anew may have another


@BOTH
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", ["adam", "lion"])
def test_validation(normalization, kind, solver):
    # Loss and score are those of prediction, and the best epoch's statistics come back with its weights.
    X, y, _ = problem(kind, n_samples=90)
    settings = {"normalization": normalization, "residual": True, "solver": solver, "learning_rate_init": 0.1}
    est = small(kind, max_iter=30, **settings).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert est.score(X[60:], y[60:]) == pytest.approx(est.best_validation_score_, rel=1e-12)
    best = int(np.argmax(est.validation_scores_))
    assert best < est.n_iter_ - 1
    again = small(kind, max_iter=best + 1, **settings).fit(X[:60], y[:60])
    assert_array_equal(again._params, est._params)
    if kind == "regression":
        loss = 0.5 * np.mean((est.predict(X[60:]) - y[60:]) ** 2)
        assert est.validation_loss_curve_[best] == pytest.approx(loss, rel=1e-11)


def test_batch_normalization_is_not_for_lbfgs():
    X, y, _ = problem("regression")
    with pytest.raises(ValueError, match="normalization='batch' needs a stochastic solver"):
        small(normalization="batch", solver="lbfgs").fit(X, y)
    est = small(normalization="layer", residual=True, solver="lbfgs", max_iter=300, alpha=0.0).fit(X, y)
    assert est.score(X, y) > 0.999


# -- noise -------------------------------------------------------------------------------------------------------------

UNITS, DEVIATION = 300, 0.7


def noise_of(dtype=np.float64, seed=0, n_rows=40, steps=1):
    """What is added to inputs of 0, of shape (steps, n_rows, UNITS).

    The one layer copies its inputs, so a row's gradient by the biases is its noise.
    """
    program = lower([Noise(DEVIATION), Dense(UNITS)], UNITS, dtype=dtype, loss="squared_error")
    start = aligned_zeros(program.n_params, dtype)
    program.coefs(start)[0][:] = np.eye(UNITS)
    params, zeros, weights = start.copy(), np.zeros((n_rows, UNITS), dtype), np.zeros(n_rows, dtype)
    trainer = Trainer(program, params, zeros, zeros, weights, alpha=0, seed=seed, n_threads=1)
    result = np.zeros((steps, n_rows, UNITS), dtype)
    for row in range(n_rows):
        weights[:] = np.arange(n_rows) == row
        trainer.start(
            "sgd", (0.0, 0.0), OptimizerState.fresh(program), batch=n_rows, shuffle=False, tol=0.0, patience=np.inf
        )
        for step in range(steps):
            params[:] = start
            trainer.refresh()
            trainer.run_epochs(np.array([1.0]), np.inf, 0)
            result[step, row] = -program.intercepts(params)[0]  # a step of rate 1 takes off the gradient
    trainer.close()
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_is_gaussian(dtype):
    noise = noise_of(dtype)[0] / DEVIATION
    assert abs(noise.mean()) < 5 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / noise.size)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-4
    # Tails as they should be: of 12000 numbers some 32 are beyond three deviations.
    assert 5 < (np.abs(noise) > 3).sum() < 80


def test_noise_is_independent():
    first = noise_of(steps=3)
    other = noise_of(seed=1)[0]
    pairs = [(first[0], first[1]), (first[1], first[2]), (first[0], other)]
    pairs += [(first[0, 1:], first[0, :-1]), (first[0, :, 1:], first[0, :, :-1])]
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)
    assert_array_equal(noise_of(steps=3), first)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_noise_is_for_training_alone(kind):
    X, y, _ = problem(kind)
    quiet, noisy = small(kind).fit(X, y), small(kind, input_noise=0.5).fit(X, y)
    assert not np.allclose(parameters(quiet), parameters(noisy))
    assert_same_bits(small(kind, input_noise=0.5).fit(X, y), noisy)
    assert_same_bits(small(kind, input_noise=0.0).fit(X, y), quiet)
    assert_array_equal(noisy.predict(X), noisy.predict(X))
    if kind == "regression":
        assert_allclose(noisy.predict(X), by_hand(noisy, X)[:, 0], rtol=1e-10)


def test_noise_leaves_the_data_alone():
    X, y, _ = problem("regression")
    before = X.copy()
    small(input_noise=2.0, batch_size=60, shuffle=False).fit(X, y)
    assert_array_equal(X, before)


def test_noise_is_a_penalty_on_the_weights():
    # For a linear network the expected loss has half the deviation squared times the weights squared beside it.
    X, y, _ = problem("regression", n_samples=200)
    settings = {"hidden_layer_sizes": (), "solver": "sgd", "learning_rate_init": 1e-300, "alpha": 0.0}
    est = small(**settings, max_iter=300, n_iter_no_change=np.inf, input_noise=0.8).fit(X, y)
    expected = 0.5 * np.mean((est.predict(X) - y) ** 2) + 0.5 * 0.8**2 * (est.coefs_[0] ** 2).sum()
    losses = np.array(est.loss_curve_)
    assert abs(losses.mean() - expected) < 4 * losses.std() / np.sqrt(len(losses))


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_noise_needs_dense_data(cls):
    X, y, _ = problem("multiclass")
    for method in ("fit", "partial_fit"):
        est = cls(input_noise=0.1)
        keywords = {"classes": [0, 1, 2]} if method == "partial_fit" and cls is MLPClassifier else {}
        with pytest.raises(ValueError, match="input_noise needs dense X"):
            getattr(est, method)(sparse.csr_matrix(X), y, **keywords)
        assert not hasattr(est, "coefs_")
    est = cls(input_noise=0.1, max_iter=2).fit(X, y)
    assert_allclose(est.predict(sparse.csr_matrix(X)), est.predict(X), rtol=1e-12)


def test_batches_of_sequences_are_normalized_whole(monkeypatch):
    # However little memory chunks of a batch may take: statistics are of all of it.
    X = np.random.default_rng(0).normal(size=(12, 5, 2))
    y = X[:, 0, 0]

    def fit():
        layers = [Recurrent("gru", 3), BatchNorm(), GlobalPool()]
        return NetworkRegressor(layers, batch_size=12, max_iter=3, random_state=0).fit(X, y)

    whole = fit()
    monkeypatch.setattr(engine, "SEQUENCE_BYTES", 1)
    assert_array_equal(fit().predict(X), whole.predict(X))
