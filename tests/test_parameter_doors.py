"""What users hand over is read as what it means, or refused before any work: numbers, labels, weights, callbacks."""

import numpy as np
import pytest
from conftest import KINDS, assert_same_bits, estimator_for, parameters, problem
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from skneural import GRURegressor, LSTMClassifier, LSTMRegressor, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)), RNG.normal(size=60)
LABELS, INDICATORS = np.arange(60) % 2, RNG.integers(0, 2, (60, 2))


def regressor(**settings):
    return MLPRegressor(**{"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0, **settings})


def classifier(**settings):
    return MLPClassifier(**{"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0, **settings})


# -- numbers -----------------------------------------------------------------------------------------------------------

INTEGERS = {
    "batch_size": 104, "max_iter": 3, "n_iter_no_change": 2, "decay_epochs": 2, "n_jobs": 1, "hidden_layer_sizes": 100,
    "random_state": 3, "max_fun": 100,
}  # fmt: skip
REALS = {
    "alpha": 0.5, "learning_rate_init": 0.125, "power_t": 0.25, "tol": 0.5, "momentum": 0.5, "beta_1": 0.75,
    "beta_2": 0.875, "epsilon": 2.0**-20, "l1_ratio": 0.25, "weight_decay": 0.125, "rho": 0.75, "clip_norm": 0.5,
    "clip_value": 0.25, "max_norm": 0.75, "decay_factor": 0.5, "warmup": 0.5, "dropout": 0.25, "input_noise": 0.125,
    "huber_delta": 0.5, "quantiles": 0.25,
}  # fmt: skip


@pytest.mark.parametrize("solver", ["sgd", "adamw", "lbfgs"])
@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint64])
def test_integers_of_any_type(kind, solver):
    given = {name: kind(value) for name, value in INTEGERS.items()}
    rows, targets = np.repeat(X, 5, axis=0), np.repeat(Y, 5)
    learning = {"solver": solver, "learning_rate": "step"}
    est = MLPRegressor(**given, **learning).fit(rows, targets)
    assert_same_bits(est, MLPRegressor(**INTEGERS, **learning).fit(rows, targets))
    assert all(est.get_params()[name] is value for name, value in given.items())


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("loss", ["huber", "quantile"])
def test_reals_of_any_type(kind, loss):
    given, settings = {name: kind(value) for name, value in REALS.items()}, {"solver": "adamw", "loss": loss}
    est = regressor(**given, **settings, learning_rate="invscaling").fit(X, Y)
    assert_same_bits(est, regressor(**REALS, **settings, learning_rate="invscaling").fit(X, Y))
    assert all(est.get_params()[name] is value for name, value in given.items())


def test_booleans_of_numpy():
    given = dict.fromkeys(("shuffle", "nesterovs_momentum", "warm_start", "residual", "score_training"), np.bool_(1))
    plain = dict.fromkeys(given, True)
    assert_same_bits(regressor(**given).fit(X, Y), regressor(**plain).fit(X, Y))


def test_sequences_read_numbers_of_any_type():
    given = {"hidden_layer_sizes": np.uint8(3), "tbptt_steps": np.int8(2), "recurrent_dropout": np.float32(0.25)}
    plain = {"hidden_layer_sizes": 3, "tbptt_steps": 2, "recurrent_dropout": 0.25}
    common = {"max_iter": 2, "random_state": 0}
    rows = X[:, :, None]
    assert_same_bits(LSTMRegressor(**given, **common).fit(rows, Y), LSTMRegressor(**plain, **common).fit(rows, Y))


def test_a_search_over_arrays():
    grid = {"hidden_layer_sizes": np.arange(2, 4), "batch_size": np.array([7, 120], np.int8)}
    grid["learning_rate_init"] = np.array([0.01, 0.1], np.float32)
    search = GridSearchCV(regressor(), grid, cv=2, error_score="raise")
    with pytest.warns(UserWarning, match="clipped"):
        search.fit(X, Y)
    plain = {name: value.item() for name, value in search.best_params_.items()}
    with pytest.warns(UserWarning, match="clipped") if plain["batch_size"] > 60 else _nothing():
        assert_same_bits(search.best_estimator_, regressor(**plain).fit(X, Y))


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


HUGE = [2**31, 2**63 - 1, 2**63, 2**70, 10**400, 1e300, 1.7e308]
NUMBERS = {
    MLPRegressor: [*INTEGERS, *REALS, "n_iter_no_change"],
    MLPClassifier: ["focal_gamma", "focal_alpha", "label_smoothing", "class_weight", "batch_size"],
    GRURegressor: ["tbptt_steps", "recurrent_dropout", "head_layer_sizes", "input_noise", "hidden_layer_sizes"],
}


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, names in NUMBERS.items() for name in names])
def test_numbers_beyond_what_kernels_take(cls, name):
    """They work where they mean something, or there is a ValueError: never an OverflowError, never a warning."""
    settings = {"max_iter": 2, "random_state": 0, "solver": "adamw", "learning_rate": "step"}
    if name in ("power_t", "warmup"):
        settings["learning_rate"] = "invscaling"
    if name.startswith("focal"):
        settings["loss"] = "focal"
    if name in ("huber_delta", "quantiles"):
        settings["loss"] = {"huber_delta": "huber", "quantiles": "quantile"}[name]
    rows = X[:, :, None] if cls is GRURegressor else X
    targets = LABELS if cls is MLPClassifier else Y
    for value in HUGE:
        if name.endswith("layer_sizes") and value < 2**63:
            continue  # the memory for them would be asked for
        for given in (value, [value]) if name in ("dropout", "hidden_layer_sizes", "quantiles") else (value,):
            for dtype in ("float32", "float64"):
                chosen = {name: {0: 1.0, 1: given} if name == "class_weight" else given}
                est = cls(**{"hidden_layer_sizes": 2, "dtype": dtype, **settings, **chosen})
                try:
                    est.fit(rows, targets)
                except ValueError:
                    continue
                assert np.isfinite(parameters(est)).all()


@pytest.mark.parametrize("size", [2**31, 2**70, 10**309, np.inf])
@pytest.mark.parametrize("sizes", [1, (2, 1), [1]])
def test_widths_beyond_what_kernels_take(size, sizes):
    given = size if sizes == 1 else type(sizes)([size] * len(sizes))
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        regressor(hidden_layer_sizes=given).fit(X, Y)


@pytest.mark.parametrize("schedule", ["invscaling", "exponential", "step"])
def test_rates_may_fall_to_nothing(schedule):
    est = regressor(learning_rate=schedule, power_t=400.0, decay_factor=1e-300, decay_epochs=1, max_iter=5)
    with np.errstate(all="raise"):
        est.fit(X, Y)
    assert est.history_["learning_rate"][-1] == 0.0


@pytest.mark.parametrize("size", [1e200, 1e308])
def test_sequences_too_large_to_be_standardized(size):
    est, rows = LSTMRegressor((2,), max_iter=2, random_state=0), size * np.sign(X[:, :, None])
    with pytest.raises(ValueError, match=r"too large to be standardized: .* set standardize=False"):
        est.fit(rows, Y)
    assert np.isfinite(est.set_params(standardize=False).fit(rows, Y).predict(rows)).all()


# -- labels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 14, 15, 16, 40])
@pytest.mark.parametrize("change", [lambda y: y.astype(str), lambda y: y.astype(str).astype(object), lambda y: y + 0.5])
def test_labels_of_another_kind(count, change):
    labels = np.sort(np.r_[[3, 20], 10 ** np.arange(2, 5), np.arange(20001, 20061)][:count])
    y = np.tile(labels, 4)
    rows = RNG.normal(size=(len(y), 4))
    est = classifier().fit(rows, y)
    before = parameters(est)
    calls = [
        lambda: est.partial_fit(rows, change(y)),
        lambda: est.fit(rows, y, X_val=rows, y_val=change(y)),
        lambda: est.set_params(warm_start=True).fit(rows, change(y)),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"classes|Unknown label type"):
            call()
        np.testing.assert_array_equal(parameters(est), before)
    with pytest.raises(ValueError, match="other than the classes"):
        est._target.encode(change(y), np.float64)


@pytest.mark.parametrize("kind", [float, np.float32, np.uint8, object, np.int16])
def test_the_same_labels_in_another_type(kind):
    y = np.arange(60) % 20
    est, other = classifier().fit(X, y), classifier().fit(X, y)
    assert_same_bits(est.partial_fit(X, y.astype(kind)), other.partial_fit(X, y))


def test_codes_are_of_the_labels():
    for y in (np.array(["b", "a", "c"])[np.arange(60) % 3], np.arange(60) % 20 * 7, np.arange(60) % 2 > 0):
        target = classifier().fit(X, y)._target
        codes = target.encode(y, np.float64)[:, 0].astype(int)
        assert (target.classes_[codes] == y).all()


@pytest.mark.parametrize("is_sparse", [False, True])
def test_one_label_a_sample_and_indicators_do_not_mix(is_sparse):
    indicators = sparse.csr_matrix(INDICATORS) if is_sparse else INDICATORS
    for first, then, words in ((LABELS, indicators, "is a label indicator"), (indicators, LABELS, "has one label a")):
        calls = [
            lambda y=then, first=first: classifier().fit(X, first).partial_fit(X, y),
            lambda y=then, first=first: classifier(warm_start=True).fit(X, first).fit(X, y),
            lambda y=then, first=first: classifier().fit(X, first, X_val=X, y_val=y),
            lambda y=then, first=first: classifier().partial_fit(X, first, classes=[0, 1]).partial_fit(X, y),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=words):
                call()


def test_targets_of_another_number():
    for first, then in ((Y, np.c_[Y, Y]), (np.c_[Y, Y], Y)):
        for call in ("partial_fit", "fit"):
            with pytest.raises(ValueError, match="outputs"):
                getattr(regressor(warm_start=True).fit(X, first), call)(X, then)
        with pytest.raises(ValueError, match="outputs"):
            regressor().fit(X, first, X_val=X, y_val=then)


# -- weights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [-1.0, np.inf, np.nan, None, "a", "1", 10**309, [1.0], 1j], ids=lambda w: str(w)[:9])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_bad_class_weights(weight, solver):
    with pytest.raises(ValueError, match=r"class_weight|at most"):
        classifier(class_weight={0: weight, 1: 1.0}, solver=solver).fit(X, LABELS)
    if solver == "adam":
        with pytest.raises(ValueError, match=r"class_weight|at most"):
            classifier(class_weight={0: weight, 1: 1.0}).partial_fit(X, LABELS, classes=[0, 1])
    with pytest.raises(ValueError, match=r"class_weight|at most"):
        LSTMClassifier((2,), class_weight={0: weight, 1: 1.0}).fit(X[:, :, None], LABELS)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_that_come_to_nothing(solver):
    none, half = {0: 0.0, 1: 0.0}, {0: 0.0, 1: 1.0}
    weights = (LABELS == 0).astype(float)
    calls = [
        lambda: classifier(class_weight=none, solver=solver).fit(X, LABELS),
        lambda: classifier(class_weight=half, solver=solver).fit(X, LABELS, weights),
        lambda: classifier(class_weight=half, solver=solver).fit(
            X, LABELS, X_val=X, y_val=LABELS, sample_weight_val=weights
        ),
        lambda: classifier(class_weight=half, solver=solver).fit(X, LABELS, X_val=X[:2], y_val=LABELS[[0, 0]]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="at least one non-zero"):
            call()


def test_a_batch_of_a_class_without_weight_teaches_nothing():
    est = classifier(class_weight={0: 0.0, 1: 1.0}, alpha=0.0, score_training=True, solver="sgd", momentum=0.0)
    est.partial_fit(X, LABELS, classes=[0, 1])
    before = parameters(est)
    est.partial_fit(X[LABELS == 0], LABELS[LABELS == 0])
    np.testing.assert_array_equal(parameters(est), before)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_size_of_weights_does_not_matter(dtype, solver):
    """A weighted mean has none; next to huge weights the penalty is nothing."""
    rows = X.astype(dtype)
    expected = classifier(solver=solver, alpha=0.0).fit(rows, LABELS, np.ones(60))
    extreme = [2.0**-126, 2.0**-60, 2.0**60, 2.0**127]
    for size in extreme if dtype == "float32" else [*extreme, 2.0**-1022, 2.0**1023]:
        est = classifier(solver=solver, alpha=1e-4 if size > 1e20 else 0.0).fit(rows, LABELS, np.full(60, size))
        np.testing.assert_allclose(parameters(est), parameters(expected), rtol=1e-4, atol=1e-6)
    if dtype == "float32":
        tiny = classifier(solver=solver, alpha=0.0).fit(rows, LABELS, np.full(60, 1e-44, np.float32))
        np.testing.assert_allclose(parameters(tiny), parameters(expected), rtol=1e-4, atol=1e-6)


# -- weights of the network --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [int, bool, np.float16, np.uint8, np.float32, np.float64, object])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_set_by_hand(kind, method):
    est = regressor(hidden_layer_sizes=(2,), warm_start=True, max_iter=1)
    est.coefs_ = [np.ones((4, 2), kind), np.ones((2, 1), kind)]
    est.intercepts_ = [np.zeros(2, kind), np.zeros(1, kind)]
    if kind is object:
        with pytest.raises(ValueError, match="coefs_ must be arrays of real numbers"):
            getattr(est, method)(X, Y)
        return
    getattr(est, method)(X, Y)
    assert est.coefs_[0].dtype == (np.float32 if kind is np.float32 else np.float64)
    assert np.abs(est.coefs_[0] - 1).max() < 0.1
    assert est.predict(X).shape == (60,)
    with pytest.raises(ValueError, match="expecting 4 features"):
        est.predict(X[:, :2])


def test_weights_set_by_hand_for_other_data():
    est = regressor(hidden_layer_sizes=(2,), warm_start=True)
    est.coefs_, est.intercepts_ = [np.ones((3, 2)), np.ones((2, 1))], [np.zeros(2), np.zeros(1)]
    with pytest.raises(ValueError, match="do not fit this network"):
        est.fit(X, Y)


# -- from within -------------------------------------------------------------------------------------------------------


class Watcher:
    """A callback that does something to the estimator."""

    def __init__(self, act):
        self.act = act

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, **more):
        pass

    def on_fit_task_end(self, estimator, context, **more):
        if context.task_name == "epoch":
            self.act(estimator)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_fit_within_its_own_callback(solver):
    est = regressor(solver=solver).set_callbacks(Watcher(lambda est: est.fit(X, Y)))
    with pytest.raises(RuntimeError, match="is being fitted"):
        est.fit(X, Y)
    est.set_callbacks(Watcher(lambda est: None)).fit(X, Y)  # and it can be fitted afterwards
    assert_same_bits(est, regressor(solver=solver).fit(X, Y))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_weights_assigned_in_a_callback(solver):
    def act(est):
        est.coefs_ = [np.zeros_like(w) for w in est.coefs_]

    est = regressor(solver=solver).set_callbacks(Watcher(act))
    with pytest.raises(RuntimeError, match="assigned coefs_"):
        est.fit(X, Y)
    assert all(w.any() for w in est.coefs_)  # what was trained


@pytest.mark.parametrize("units", [5, 300])
def test_weights_changed_in_place_in_a_callback(units):
    # Of wide layers the next step multiplies by a copy of the weights, and the way back by one of any layer.
    def halve(est):
        for array in est.coefs_:
            array *= 0.5

    settings = {
        "hidden_layer_sizes": (units, 4), "solver": "sgd", "momentum": 0, "batch_size": len(X), "shuffle": False,
        "warm_start": True, "tol": 0,
    }  # fmt: skip
    watched = regressor(max_iter=3, **settings).set_callbacks(Watcher(halve)).fit(X, Y)
    by_hand = regressor(max_iter=1, **settings)
    for _ in range(3):
        by_hand.fit(X, Y)
        halve(by_hand)
    for found, expected in zip(watched.coefs_, by_hand.coefs_, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_still_train(kind):
    rows, y, settings = problem(kind)
    est = estimator_for(kind)(hidden_layer_sizes=np.array([4, 3]), max_iter=np.int8(3), **settings).fit(rows, y)
    assert est.n_iter_ == 3
