"""The interface of the estimators: what scikit-learn's has, and what goes beyond it."""

import inspect
import pathlib
import signal
import threading
import warnings

import numpy as np
import pytest
import sklearn
from conftest import KINDS, assert_same_bits, estimator_for, one_at_a_time, parameters, problem
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import neural_network as sk
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    accuracy_score,
    get_scorer,
    log_loss,
    make_scorer,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, cross_validate, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from skneural import MLPClassifier, MLPRegressor

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BOTH = pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
OURS = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
#: What ours have beyond scikit-learn's; those of classifiers, those of regressors, those of both.
EXTRAS = {
    "MLPClassifier": ["class_weight", "loss", "label_smoothing", "focal_gamma", "focal_alpha"],
    "MLPRegressor": ["huber_delta", "quantiles"],
}
EXTRAS_OF_BOTH = [
    "l1_ratio", "weight_decay", "rho", "decay_factor", "decay_epochs", "min_learning_rate", "warmup", "weight_init",
    "dropout", "input_noise", "normalization", "residual", "clip_norm", "clip_value", "max_norm", "monitor_gradients",
    "scoring", "score_training", "n_jobs", "dtype", "device", "precision",
]  # fmt: skip
SMALL = {"hidden_layer_sizes": (7, 4), "max_iter": 4, "random_state": 0, "batch_size": 16}


def small(kind, **settings):
    """An estimator for a kind of target, with few units and epochs."""
    return estimator_for(kind)(**{**SMALL, **problem(kind)[2], **settings})


class Watch:
    """A callback that notes what it is told, and does as it is told at the end of an epoch."""

    def __init__(self, at_epoch=None, action=None, measure=None):
        self.at_epoch, self.action, self.measure = at_epoch, action, measure
        self.events, self.measured = [], []

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.events.append(f"{context.task_name} begins")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.events.append(f"{context.task_name} ends")
        if context.task_name != "epoch":
            return None
        self.X, self.y, self.metadata = X, y, metadata
        if self.measure is not None:
            self.measured.append(self.measure(fitted_estimator))
        if context.task_id + 1 == self.at_epoch:
            return self.action()
        return None

    def __reduce__(self):  # joblib sends callbacks to workers
        return Watch, (self.at_epoch, self.action, self.measure)


def stop():
    return True


def interrupt():
    raise KeyboardInterrupt


# -- scikit-learn's interface ------------------------------------------------------------------------------------------


@BOTH
def test_parameters_are_those_of_sklearn_in_order(name):
    theirs = inspect.signature(getattr(sk, name)).parameters
    ours = inspect.signature(OURS[name]).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for parameter, expected in theirs.items():
        assert ours[parameter].default == expected.default
        assert ours[parameter].kind == expected.kind
    added = list(ours)[len(theirs) :]
    assert sorted(added) == sorted(EXTRAS[name] + EXTRAS_OF_BOTH)
    assert all(ours[parameter].kind is inspect.Parameter.KEYWORD_ONLY for parameter in added)


@BOTH
def test_methods_are_those_of_sklearn(name):
    theirs = {n: m for n, m in inspect.getmembers(getattr(sk, name), callable) if not n.startswith("_")}
    ours = {n: m for n, m in inspect.getmembers(OURS[name], callable) if not n.startswith("_")}
    assert set(theirs) <= set(ours)
    for method in ("fit", "predict", "score"):
        expected, got = (list(inspect.signature(m[method]).parameters) for m in (theirs, ours))
        assert got[: len(expected)] == expected
    bound = getattr(sk, name)().partial_fit, OURS[name]().partial_fit
    assert list(inspect.signature(bound[1]).parameters) == list(inspect.signature(bound[0]).parameters)
    added = list(inspect.signature(ours["fit"]).parameters.values())[4:]
    assert [p.name for p in added] == ["X_val", "y_val", "sample_weight_val", "resume_from"]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is None for p in added)


@BOTH
def test_tags_are_those_of_sklearn(name):
    assert get_tags(OURS[name]()) == get_tags(getattr(sk, name)())


@pytest.mark.parametrize("early_stopping", [False, True])
@one_at_a_time({"kind": "multiclass", "solver": "adam"}, kind=KINDS, solver=["lbfgs", "sgd"])
def test_fitted_attributes_are_a_superset(kind, solver, early_stopping):
    X, y, loss = problem(kind)
    ours = small(kind, solver=solver, early_stopping=early_stopping, validation_fraction=0.2).fit(X, y)
    theirs = getattr(sk, type(ours).__name__)(
        **SMALL, **loss, solver=solver, early_stopping=early_stopping, validation_fraction=0.2
    ).fit(X, y)
    public = {n for n in vars(theirs) if n.endswith("_") and not n.startswith("_")}
    assert public <= set(dir(ours))
    for attribute in ("n_iter_", "n_layers_", "n_outputs_", "n_features_in_", "out_activation_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert [c.shape for c in ours.coefs_] == [c.shape for c in theirs.coefs_]
    assert [b.shape for b in ours.intercepts_] == [b.shape for b in theirs.intercepts_]
    if kind in KINDS[:3]:
        assert_array_equal(ours.classes_, theirs.classes_)
        assert ours.predict_proba(X).shape == theirs.predict_proba(X).shape
        assert ours.predict(X).dtype == theirs.predict(X).dtype
    assert ours.predict(X).shape == theirs.predict(X).shape
    if solver != "lbfgs":  # where scikit-learn counts no samples and records no losses
        assert ours.t_ == theirs.t_
        assert len(ours.loss_curve_) == len(theirs.loss_curve_)
        for attribute in ("best_loss_", "validation_scores_", "best_validation_score_"):
            assert (getattr(ours, attribute) is None) == (getattr(theirs, attribute) is None)
    assert isinstance(ours.loss_, float)


def test_positional_arguments():
    assert MLPClassifier((3,), "tanh").get_params()["hidden_layer_sizes"] == (3,)
    est = MLPRegressor("poisson", (3,), "tanh")
    assert (est.loss, est.hidden_layer_sizes, est.activation) == ("poisson", (3,), "tanh")
    with pytest.raises(TypeError):
        MLPClassifier((3,), "tanh", "adam")


@BOTH
def test_extras_are_neutral_by_default(name):
    kind = "multiclass" if name == "MLPClassifier" else "regression"
    X, y, _ = problem(kind)
    neutral = {
        "dropout": (0.0, 0.0), "scoring": "loss", "n_jobs": 1, "dtype": "float64", "activation": ["relu", "relu"],
        "l1_ratio": 0.0, "weight_decay": 0.5, "rho": 0.5, "decay_factor": 0.5, "decay_epochs": 1, "warmup": 0.0,
        "min_learning_rate": 1e-9, "input_noise": 0, "normalization": None, "residual": False, "clip_norm": None,
        "score_training": True, "monitor_gradients": True, "device": "cpu", "precision": "full",
    }  # fmt: skip
    if name == "MLPClassifier":
        neutral |= {"class_weight": {0: 1, 1: 1, 2: 1}, "focal_gamma": 5.0, "focal_alpha": 0.3, "label_smoothing": 0.0}
    else:
        neutral |= {"huber_delta": 0.1, "quantiles": (0.1, 0.9)}
    assert set(neutral) >= set(EXTRAS[name] + EXTRAS_OF_BOTH) - {"loss", "clip_value", "max_norm", "weight_init"}
    assert_same_bits(small(kind).fit(X, y), small(kind, **neutral).fit(X, y))


@pytest.mark.parametrize("hidden", [6, (6,), [6], np.array([6]), np.int64(6)])
def test_hidden_layer_sizes_in_every_form(hidden):
    X, y, _ = problem("regression")
    expected = small("regression", hidden_layer_sizes=(6,)).fit(X, y)
    assert_same_bits(small("regression", hidden_layer_sizes=hidden).fit(X, y), expected)


def test_no_hidden_layer_is_linear():
    X, y, _ = problem("regression")
    est = small("regression", hidden_layer_sizes=()).fit(X, y)
    assert est.n_layers_ == 2
    assert_allclose(est.predict(X), (X @ est.coefs_[0] + est.intercepts_[0])[:, 0], rtol=1e-12)


# -- the same numbers as scikit-learn ----------------------------------------------------------------------------------


def twins(kind, weights=None, **settings):
    """Ours and scikit-learn's estimator, both fitted for one step that changes nothing, with equal weights."""
    X, y, loss = problem(kind)
    # batch_size does not divide the rows; both estimators take them in order.
    settings = {"shuffle": False, "random_state": 0, "hidden_layer_sizes": (7, 4), "batch_size": 16, **loss, **settings}
    begin = {"max_iter": 1, "warm_start": True, "learning_rate_init": 1e-300, "verbose": False}
    ours = estimator_for(kind)(**{**settings, **begin}).fit(X, y, weights)
    theirs = getattr(sk, type(ours).__name__)(**{**settings, **begin}).fit(X, y, weights)
    ours.coefs_ = [c.copy() for c in theirs.coefs_]
    ours.intercepts_ = [b.copy() for b in theirs.intercepts_]
    for est in (ours, theirs):
        est.set_params(max_iter=6, learning_rate_init=0.01, verbose=False).set_params(**settings)
    if settings.get("solver") != "lbfgs":
        ours.best_loss_ = theirs.best_loss_
    return ours, theirs, X, y


def assert_equal_to_sklearn(ours, theirs, X):
    assert ours.n_iter_ == theirs.n_iter_
    assert_allclose(parameters(ours), parameters(theirs), rtol=1e-8, atol=1e-10)
    assert_allclose(ours.loss_, theirs.loss_, rtol=1e-8)
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-8, atol=1e-10)
    if hasattr(ours, "predict_proba"):
        assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-8, atol=1e-10)
        assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@one_at_a_time({"kind": "multiclass", "weighted": True, "alpha": 0.5}, kind=KINDS, weighted=[False], alpha=[0.0])
def test_parity_of_stochastic_solvers(kind, solver, weighted, alpha):
    weights = np.random.default_rng(1).uniform(0, 3, 60) if weighted else None
    ours, theirs, X, y = twins(kind, weights, solver=solver, alpha=alpha, n_iter_no_change=np.inf)
    for est in (ours, theirs):
        est.fit(X, y, weights)
    assert_equal_to_sklearn(ours, theirs, X)
    assert_allclose(ours.loss_curve_[1:], theirs.loss_curve_[1:], rtol=1e-8)
    assert ours.t_ == theirs.t_ == 60 * 7


# Not with several outputs: there scikit-learn's solver gets the mean of their losses and the gradient of the sum.
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"multioutput"}))
@pytest.mark.parametrize("weighted", [False, True])
def test_parity_of_lbfgs(kind, weighted):
    weights = np.random.default_rng(1).uniform(0, 3, 60) if weighted else None
    ours, theirs, X, y = twins(kind, weights, solver="lbfgs", alpha=0.5, activation="tanh")
    for est in (ours, theirs):
        # Begin again: the step above was one iteration of L-BFGS, which knows no learning rate.
        est.coefs_ = [c.copy() for c in theirs.coefs_]
        est.intercepts_ = [b.copy() for b in theirs.intercepts_]
    for est in (ours, theirs):
        est.fit(X, y, weights)
    assert_equal_to_sklearn(ours, theirs, X)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "sgd", "momentum": 0.7, "nesterovs_momentum": False},
        {"solver": "sgd", "momentum": 0.0, "learning_rate": "invscaling", "power_t": 0.3},
        {"solver": "adam", "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3},
        {"solver": "adam", "batch_size": "auto"},
        {"solver": "sgd", "batch_size": 1},
    ],
    ids=str,
)
def test_parity_of_settings(activation, settings):
    ours, theirs, X, y = twins("multiclass", activation=activation, n_iter_no_change=np.inf, **settings)
    for est in (ours, theirs):
        est.fit(X, y)
    assert_equal_to_sklearn(ours, theirs, X)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("n_iter_no_change", [1, 3])
def test_parity_of_the_stopping_rule_and_of_what_is_printed(learning_rate, n_iter_no_change, capsys):
    settings = {"tol": 0.02, "max_iter": 300, "verbose": True, "n_iter_no_change": n_iter_no_change}
    ours, theirs, X, y = twins("binary", solver="sgd", learning_rate=learning_rate, **settings)
    printed = []
    for est in (ours, theirs):
        capsys.readouterr()
        est.fit(X, y)
        printed.append(capsys.readouterr().out)
    assert 1 < theirs.n_iter_ < 300
    assert_equal_to_sklearn(ours, theirs, X)
    assert printed[0] == printed[1]
    assert_allclose(ours.best_loss_, theirs.best_loss_, rtol=1e-8)


@pytest.mark.parametrize("kind", ["multiclass", "binary", "regression"])
def test_parity_of_early_stopping(kind, capsys):
    # scikit-learn splits the rows itself; ours gets the same split as validation data.
    settings = {"early_stopping": True, "validation_fraction": 0.3, "n_iter_no_change": 3, "tol": 1e-3}
    ours, theirs, X, y = twins(kind, solver="adam", verbose=True, max_iter=100, **settings)
    stratify = y if kind == "binary" else None
    X_train, X_val, y_train, y_val = train_test_split(
        X, y, random_state=np.random.RandomState(0), test_size=0.3, stratify=stratify
    )
    # scikit-learn's best weights of the first fit are the arrays that the second one trains: let it find better ones.
    ours.best_validation_score_ = theirs.best_validation_score_ = -np.inf
    printed = []
    capsys.readouterr()
    theirs.fit(X, y)
    printed.append(capsys.readouterr().out)
    ours.set_params(early_stopping=False).fit(X_train, y_train, X_val=X_val, y_val=y_val)
    printed.append(capsys.readouterr().out)
    assert 3 < theirs.n_iter_ < 100
    assert_equal_to_sklearn(ours, theirs, X)
    assert_allclose(ours.validation_scores_[1:], theirs.validation_scores_[1:], rtol=1e-8)
    assert_allclose(ours.best_validation_score_, theirs.best_validation_score_, rtol=1e-8)
    assert printed[0] == printed[1]


@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_parity_of_going_on(how, solver):
    ours, theirs, X, y = twins("multiclass", solver=solver, max_iter=2)
    for est in (ours, theirs):
        for _ in range(3):
            if how == "warm_start":
                est.fit(X, y)
            else:
                est.partial_fit(X, y)
    assert_equal_to_sklearn(ours, theirs, X)
    assert_allclose(ours.loss_curve_[1:], theirs.loss_curve_[1:], rtol=1e-8)
    assert ours.t_ == theirs.t_


# -- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [
        {"solver": "adam"},
        {"solver": "adam", "dropout": 0.3},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"solver": "sgd", "dropout": (0.2, 0.1), "dtype": "float32"},
    ],
    ids=str,
)
def test_partial_fit_calls_are_epochs_to_the_bit(kind, settings):
    X, y, _ = problem(kind)
    whole = small(kind, n_iter_no_change=np.inf, max_iter=5, **settings).fit(X, y)
    parts = small(kind, **settings)
    classes = {} if kind in KINDS[3:] else {"classes": whole.classes_}
    for _ in range(5):
        assert parts.partial_fit(X, y, **classes) is parts
        assert parts.n_iter_ == 1
    assert_array_equal(parameters(parts), parameters(whole))
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.t_ == whole.t_ == 5 * 60
    for column in ("loss", "learning_rate"):
        assert parts.history_[column] == whole.history_[column]


def test_partial_fit_goes_on_after_fit():
    X, y, _ = problem("multiclass")
    whole = small("multiclass", n_iter_no_change=np.inf, max_iter=6).fit(X, y)
    parts = small("multiclass", n_iter_no_change=np.inf, max_iter=4).fit(X, y)
    parts.partial_fit(X, y).partial_fit(X, y)
    assert_array_equal(parameters(parts), parameters(whole))
    assert parts.loss_curve_ == whole.loss_curve_


def test_partial_fit_of_batches_of_several_sizes():
    X, y, _ = problem("multiclass")
    est = small("multiclass", batch_size="auto")
    for start, end in ((0, 1), (1, 20), (20, 60)):
        est.partial_fit(X[start:end], y[start:end], classes=[0, 1, 2])
    assert est.t_ == 60
    assert len(est.loss_curve_) == 3
    assert est.predict_proba(X).shape == (60, 3)


def test_partial_fit_does_not_warn_of_convergence():
    X, y, _ = problem("regression")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small("regression").partial_fit(X, y)


def test_partial_fit_is_absent_for_lbfgs():
    for est in (MLPClassifier(solver="lbfgs"), MLPRegressor(solver="lbfgs")):
        assert not hasattr(est, "partial_fit")
        with pytest.raises(AttributeError, match="partial_fit"):
            est.partial_fit([[0.0]], [0])
        assert hasattr(est.set_params(solver="sgd"), "partial_fit")


def test_partial_fit_refuses_early_stopping():
    X, y, _ = problem("regression")
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        small("regression", early_stopping=True).partial_fit(X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_warm_start_goes_on_from_the_weights(kind):
    X, y, _ = problem(kind)
    # Without momentum the state of the solver is the weights: two fits are one of twice the epochs.
    settings = {"solver": "sgd", "momentum": 0.0, "shuffle": False, "n_iter_no_change": np.inf}
    whole = small(kind, max_iter=6, **settings).fit(X, y)
    parts = small(kind, max_iter=3, warm_start=True, **settings).fit(X, y).fit(X, y)
    assert_array_equal(parameters(parts), parameters(whole))
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.n_iter_ == 3
    assert parts.t_ == 6 * 60


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_without_warm_start_a_second_fit_begins_anew(solver):
    X, y, _ = problem("multiclass")
    once = small("multiclass", solver=solver).fit(X, y)
    twice = small("multiclass", solver=solver).fit(X[:30], y[:30]).fit(X, y)
    assert_same_bits(once, twice)
    assert once.loss_curve_ == twice.loss_curve_
    assert once.history_["loss"] == twice.history_["loss"]
    assert once.t_ == twice.t_


def test_warm_start_from_lbfgs_improves():
    X, y, _ = problem("regression")
    est = small("regression", solver="lbfgs", warm_start=True, max_iter=5)
    first = est.fit(X, y).loss_
    assert est.fit(X, y).loss_ < first


def test_warm_start_may_change_solver():
    X, y, _ = problem("regression")
    est = small("regression", warm_start=True).fit(X, y)
    before = parameters(est).copy()
    for solver in ("sgd", "lbfgs", "adam"):
        est.set_params(solver=solver).fit(X, y)
    assert not np.array_equal(parameters(est), before)
    assert len(est.loss_curve_) == 4 * 4


def test_warm_start_with_other_layers_raises():
    X, y, _ = problem("regression")
    est = small("regression", warm_start=True).fit(X, y)
    expected = est.predict(X)
    with pytest.raises(ValueError, match="hidden_layer_sizes"):
        est.set_params(hidden_layer_sizes=(3,)).fit(X, y)
    assert_array_equal(est.set_params(hidden_layer_sizes=(7, 4)).predict(X), expected)


@pytest.mark.parametrize("state", [7, np.random.RandomState(7)], ids=["int", "RandomState"])
def test_random_state(state):
    X, y, _ = problem("multiclass")
    first = small("multiclass", random_state=state).fit(X, y)
    second = small("multiclass", random_state=state).fit(X, y)
    equal = np.array_equal(parameters(first), parameters(second))
    assert equal == (state == 7)  # a RandomState has moved on
    assert not np.array_equal(parameters(small("multiclass", random_state=8).fit(X, y)), parameters(first))


# -- weights of classes and samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@pytest.mark.parametrize("labels", ["numbers", "strings"])
def test_class_weight_is_sample_weight(kind, solver, labels):
    X, y, _ = problem(kind)
    if labels == "strings":
        y = np.array([f"class {label}" for label in y])
    dictionary = {label: 0.5 + i for i, label in enumerate(np.unique(y))}
    for weight in ("balanced", dictionary):
        expected = small(kind, solver=solver).fit(X, y, compute_sample_weight(weight, y))
        assert_same_bits(small(kind, solver=solver, class_weight=weight).fit(X, y), expected)
    unweighted = small(kind, solver=solver).fit(X, y)
    assert not np.array_equal(parameters(unweighted), parameters(expected))


def test_class_weight_multiplies_sample_weight():
    X, y, _ = problem("multiclass")
    weights = np.random.default_rng(0).uniform(0, 2, 60)
    dictionary = {0: 1.0, 1: 0.0, 2: 3.0}
    expected = small("multiclass").fit(X, y, weights * np.array([1.0, 0.0, 3.0])[y])
    assert_same_bits(small("multiclass", class_weight=dictionary).fit(X, y, weights), expected)
    assert set(small("multiclass", class_weight=dictionary, max_iter=200).fit(X, y).predict(X)) == {0, 2}


def test_class_weight_of_multilabel_targets():
    X, y, _ = problem("multilabel")
    dictionaries = [{0: 1, 1: 5}, {0: 2, 1: 1}, {0: 1, 1: 1}]
    for weight in ("balanced", dictionaries):
        expected = small("multilabel").fit(X, y, compute_sample_weight(weight, y))
        assert_same_bits(small("multilabel", class_weight=weight).fit(X, y), expected)


def test_class_weight_in_partial_fit():
    X, y, _ = problem("multiclass")
    classes = np.unique(y)
    with pytest.raises(ValueError, match="'balanced' is not supported for partial_fit"):
        small("multiclass", class_weight="balanced").partial_fit(X, y, classes=classes)
    weights = dict(zip(classes, compute_class_weight("balanced", classes=classes, y=y), strict=True))
    expected = small("multiclass").partial_fit(X, y, compute_sample_weight("balanced", y), classes=classes)
    assert_same_bits(small("multiclass", class_weight=weights).partial_fit(X, y, classes=classes), expected)


def test_class_weight_and_early_stopping():
    X, y, _ = problem("multiclass")
    est = small("multiclass", class_weight="balanced", early_stopping=True, validation_fraction=0.3).fit(X, y)
    assert len(est.validation_scores_) == est.n_iter_


def test_unknown_class_weight_raises():
    X, y, _ = problem("multiclass")
    with pytest.raises(ValueError, match="class_weight"):
        small("multiclass", class_weight="equal").fit(X, y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_sample_weights(kind, solver):
    X, y, _ = problem(kind)
    plain = small(kind, solver=solver, alpha=0.0).fit(X, y)
    ones = small(kind, solver=solver, alpha=0.0).fit(X, y, np.ones(60))
    assert_allclose(parameters(ones), parameters(plain), rtol=1e-10, atol=1e-12)
    weights = np.random.default_rng(0).uniform(0.1, 2, 60)
    weighted = small(kind, solver=solver, alpha=0.0).fit(X, y, weights)
    # Only ratios matter to the loss. (A power of 2 changes no bit.)
    assert_same_bits(small(kind, solver=solver, alpha=0.0).fit(X, y, 4 * weights), weighted)
    assert not np.allclose(parameters(weighted), parameters(plain))


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_rows_of_weight_zero_do_not_count(solver):
    X, y, _ = problem("regression")
    settings = {"solver": solver, "batch_size": "auto", "shuffle": False}  # one batch
    weights = np.r_[np.ones(50), np.zeros(10)]
    y_spoilt = np.r_[y[:50], np.full(10, 1e3)]
    expected = small("regression", **settings).fit(X[:50], y[:50])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = small("regression", **settings).fit(X, y_spoilt, weights)
    assert_allclose(parameters(got), parameters(expected), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_a_minibatch_without_weight_changes_nothing_for_worse(kind):
    # With batches of one row, rows of weight 0 are batches of weight 0.
    X, y, _ = problem(kind)
    weights = np.tile([1.0, 0.0], 30)
    est = small(kind, batch_size=1).fit(X, y, weights)
    assert np.isfinite(parameters(est)).all()
    assert np.isfinite(est.loss_curve_).all()


# -- dropout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_dropout_rates(kind, solver):
    X, y, _ = problem(kind)
    plain = small(kind, solver=solver).fit(X, y)
    scalar = small(kind, solver=solver, dropout=0.4).fit(X, y)
    for form in ((0.4, 0.4), [0.4, 0.4], np.array([0.4, 0.4])):
        assert_same_bits(small(kind, solver=solver, dropout=form).fit(X, y), scalar)
    assert_same_bits(small(kind, solver=solver, dropout=0.4).fit(X, y), scalar)
    first = small(kind, solver=solver, dropout=(0.4, 0)).fit(X, y)
    second = small(kind, solver=solver, dropout=(0, 0.4)).fit(X, y)
    fits = [parameters(est) for est in (plain, scalar, first, second)]
    for i, a in enumerate(fits):
        for b in fits[:i]:
            assert not np.allclose(a, b)


def test_dropout_does_nothing_at_prediction():
    X, y, _ = problem("regression")
    est = small("regression", dropout=0.5, activation="tanh").fit(X, y)
    hidden = np.tanh(X @ est.coefs_[0] + est.intercepts_[0])
    hidden = np.tanh(hidden @ est.coefs_[1] + est.intercepts_[1])
    assert_allclose(est.predict(X), (hidden @ est.coefs_[2] + est.intercepts_[2])[:, 0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rate", [0.25, 0.6])
def test_dropout_keeps_the_expectation_at_training(rate):
    # With a learning rate of nothing the weights stay, and the loss of an epoch is a sample: dropping unit j with
    # probability p and scaling by 1 / (1 - p) adds the variance p / (1 - p) (a_j w_j)^2 to the squared error.
    X, y, _ = problem("regression", n_samples=200)
    est = small(
        "regression", hidden_layer_sizes=(7,), activation="identity", solver="sgd", learning_rate_init=1e-300,
        alpha=0.0, n_iter_no_change=np.inf, max_iter=500, dropout=rate, batch_size=32,
    ).fit(X, y)  # fmt: skip
    terms = (X @ est.coefs_[0] + est.intercepts_[0]) * est.coefs_[1][:, 0]
    variance = rate / (1 - rate) * (terms**2).sum(axis=1)
    expected = 0.5 * np.mean((est.predict(X) - y) ** 2 + variance)
    losses = np.array(est.loss_curve_)
    assert len(np.unique(losses)) > 490  # other units every time
    assert abs(losses.mean() - expected) < 4 * losses.std() / np.sqrt(len(losses))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dropout": (0.1, 0.2, 0.3)}, "one per hidden layer"),
        ({"dropout": (0.1,)}, "one per hidden layer"),
        ({"dropout": (0.1, 1.0)}, r"in \[0, 1\)"),
        ({"dropout": (0.1, -0.1)}, r"in \[0, 1\)"),
        ({"dropout": (0.1, np.nan)}, r"in \[0, 1\)"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"dropout": 0.1, "solver": "lbfgs"}, "lbfgs"),
    ],
    ids=str,
)
def test_bad_dropout(settings, words):
    X, y, _ = problem("multiclass")
    with pytest.raises(ValueError, match=words):
        small("multiclass", **settings).fit(X, y)


# -- validation data ---------------------------------------------------------------------------------------------------


def split(kind, weighted=False):
    X, y, _ = problem(kind, n_samples=90)
    weights = np.random.default_rng(3).uniform(0.1, 2, 90) if weighted else np.ones(90)
    return (X[:60], y[:60], weights[:60]), (X[60:], y[60:], weights[60:])


def loss_of(est, kind, X, y, weights):
    """The loss that validation should report, from predictions alone."""
    if kind == "regression":
        return 0.5 * np.average((est.predict(X) - y) ** 2, weights=weights)
    if kind == "multioutput":
        return 0.5 * np.average((est.predict(X) - y) ** 2, weights=weights, axis=0).mean()
    if kind == "poisson":
        rate = est.predict(X)
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithms = np.where(y > 0, y * np.log(y / rate), 0)
        return np.average(logarithms - y + rate, weights=weights)
    if kind == "multilabel":
        p = est.predict_proba(X)
        return -np.average((y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1), weights=weights)
    return log_loss(y, est.predict_proba(X), sample_weight=weights, labels=est.classes_)


@one_at_a_time(
    {"kind": "multiclass", "solver": "adam", "weighted": True}, kind=KINDS, solver=["lbfgs", "sgd"], weighted=[False]
)
def test_validation_is_measured_after_every_epoch(kind, solver, weighted):
    (X, y, _), (X_val, y_val, weights) = split(kind, weighted)
    metric = accuracy_score if kind in KINDS[:3] else r2_score

    def measure(est):
        return metric(y_val, est.predict(X_val), sample_weight=weights), loss_of(est, kind, X_val, y_val, weights)

    watch = Watch(measure=measure)
    est = small(kind, solver=solver, dropout=0.0 if solver == "lbfgs" else 0.2, max_iter=6).set_callbacks(watch)
    est.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights if weighted else None)
    scores, losses = zip(*watch.measured, strict=True)
    assert est.n_iter_ == len(scores) == 6
    assert_allclose(est.validation_scores_, scores, rtol=1e-12)
    assert_allclose(est.validation_loss_curve_, losses, rtol=1e-10)
    # The best weights are back, and nothing else is told of them.
    assert est.best_validation_score_ == max(est.validation_scores_)
    assert_allclose(metric(y_val, est.predict(X_val), sample_weight=weights), est.best_validation_score_, rtol=1e-12)
    assert est.best_loss_ is None
    assert est.t_ == 6 * 60  # all rows of X were trained on


def test_validation_data_take_the_place_of_early_stopping():
    (X, y, _), (X_val, y_val, _) = split("multiclass")
    est = small("multiclass", early_stopping=True, max_iter=5).fit(X, y, X_val=X_val, y_val=y_val)
    assert est.t_ == 5 * 60
    assert_same_bits(est, small("multiclass", max_iter=5).fit(X, y, X_val=X_val, y_val=y_val))


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_validation_stops_a_fit(solver):
    (X, y, _), (X_val, y_val, _) = split("multiclass")
    est = small("multiclass", solver=solver, max_iter=100, n_iter_no_change=3, scoring=lambda est, X, y: 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it stopped by the rule: no ConvergenceWarning
        est.fit(X, y, X_val=X_val, y_val=y_val)
    assert est.n_iter_ == 5  # the first is the best, then 3 + 1 without improvement
    assert est.validation_scores_ == [0.5] * 5
    assert_array_equal(parameters(est), parameters(small("multiclass", solver=solver, max_iter=1).fit(X, y)))


def test_no_validation_no_curves():
    X, y, _ = problem("multiclass")
    est = small("multiclass").fit(X, y)
    assert est.validation_scores_ is None
    assert est.validation_loss_curve_ is None
    assert est.best_validation_score_ is None
    assert np.isnan(est.history_["validation_loss"]).all()
    # and a later fit without validation data forgets those of an earlier one
    est.fit(X, y, X_val=X, y_val=y)
    assert est.validation_scores_ is not None
    assert est.fit(X, y).validation_scores_ is None
    assert est.best_loss_ == min(est.loss_curve_)


@pytest.mark.parametrize("form", ["dense", "csr_matrix", "csc_array", "float32", "list"])
def test_validation_data_in_every_form(form):
    (X, y, _), (X_val, y_val, _) = split("multiclass")
    X_val = X_val.astype(np.float32).astype(float)
    expected = small("multiclass").fit(X, y, X_val=X_val, y_val=y_val)
    X_val, y_val = {
        "dense": lambda: (np.asfortranarray(X_val), list(y_val)),
        "csr_matrix": lambda: (sparse.csr_matrix(X_val), y_val),
        "csc_array": lambda: (sparse.csc_array(X_val), y_val),
        "float32": lambda: (X_val.astype(np.float32), y_val),
        "list": lambda: (X_val.tolist(), y_val.tolist()),
    }[form]()
    got = small("multiclass").fit(X, y, X_val=X_val, y_val=y_val)
    assert_array_equal(parameters(got), parameters(expected))
    assert_allclose(got.validation_loss_curve_, expected.validation_loss_curve_, rtol=1e-12)
    got = small("multiclass").fit(sparse.csr_array(X), y, X_val=X_val, y_val=y_val)
    assert_allclose(got.validation_loss_curve_, expected.validation_loss_curve_, rtol=1e-8)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"X_val": 0}, "must be given together"),
        ({"y_val": 1}, "must be given together"),
        ({"sample_weight_val": 2}, "without X_val and y_val"),
    ],
)
def test_validation_data_that_are_not_complete(given, words):
    (X, y, _), val = split("multiclass")
    with pytest.raises(ValueError, match=words):
        small("multiclass").fit(X, y, **{name: val[i] for name, i in given.items()})


@pytest.mark.parametrize("case", ["features", "length", "nan", "labels", "weights", "negative", "outputs", "empty"])
def test_bad_validation_data(case):
    (X, y, _), (X_val, y_val, w) = split("multiclass" if case != "outputs" else "regression")
    X_val, y_val, w, words = {
        "features": lambda: (X_val[:, 1:], y_val, w, "features"),
        "length": lambda: (X_val, y_val[1:], w, "inconsistent numbers of samples"),
        "nan": lambda: (np.where(X_val > 1, np.nan, X_val), y_val, w, "contains NaN"),
        "labels": lambda: (X_val, y_val + 1, w, "has classes not in"),
        "weights": lambda: (X_val, y_val, w[1:], "sample_weight"),
        "negative": lambda: (X_val, y_val, -w, "[Nn]egative"),
        "outputs": lambda: (X_val, np.c_[y_val, y_val], w, "outputs"),
        "empty": lambda: (X_val[:0], y_val[:0], w[:0], "0 sample"),
    }[case]()
    kind = "multiclass" if case != "outputs" else "regression"
    with pytest.raises(ValueError, match=words):
        small(kind).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=w)


def test_validation_data_through_a_pipeline():
    (X, y, _), (X_val, y_val, w) = split("multiclass", weighted=True)
    scaler = StandardScaler().fit(X)
    expected = small("multiclass").fit(
        scaler.transform(X), y, X_val=scaler.transform(X_val), y_val=y_val, sample_weight_val=w
    )
    with sklearn.config_context(enable_metadata_routing=True):
        est = small("multiclass").set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("net", est)], transform_input=["X_val"])
        pipeline.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=w)
    assert_same_bits(pipeline[-1], expected)
    assert pipeline[-1].validation_scores_ == expected.validation_scores_


@pytest.mark.parametrize("seed", range(6))
def test_early_stopping_needs_weights_in_both_parts(seed):
    X, y, _ = problem("regression", n_samples=20)
    weights = np.eye(20)[0]  # whichever part this row falls into, the other has no weight
    est = small("regression", early_stopping=True, validation_fraction=0.4, random_state=seed)
    with pytest.raises(ValueError, match="at least one non-zero number in each part of the data"):
        est.fit(X, y, weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_early_stopping_keeps_the_best(kind, solver):
    X, y, _ = problem(kind)
    est = small(kind, solver=solver, early_stopping=True, validation_fraction=0.25, max_iter=8).fit(X, y)
    assert len(est.validation_scores_) == len(est.validation_loss_curve_) == est.n_iter_
    assert est.best_validation_score_ == max(est.validation_scores_)
    assert est.t_ == 45 * est.n_iter_
    assert_same_bits(clone(est).fit(X, y), est)


# -- scoring -----------------------------------------------------------------------------------------------------------


def negative_error(est, X, y, sample_weight=None):
    return -mean_absolute_error(y, est.predict(X), sample_weight=sample_weight)


SCORINGS = {
    "binary": ["accuracy", "roc_auc", "neg_log_loss", make_scorer(roc_auc_score, response_method="predict_proba")],
    "multiclass": ["accuracy", "neg_log_loss", "balanced_accuracy", "roc_auc_ovr"],
    "multilabel": ["f1_micro", "accuracy", "roc_auc"],
    "regression": ["r2", "neg_mean_absolute_error", negative_error],
    "multioutput": ["r2", "neg_root_mean_squared_error", negative_error],
    "poisson": ["neg_mean_poisson_deviance"],
}


@pytest.mark.parametrize(
    ("kind", "scoring"),
    [(kind, scoring) for kind, many in SCORINGS.items() for scoring in many],
    ids=lambda value: getattr(value, "__name__", str(value)),  # the same in every process
)
@pytest.mark.parametrize("weighted", [False, True])
def test_scoring(kind, scoring, weighted):
    (X, y, _), (X_val, y_val, weights) = split(kind, weighted)
    if kind == "binary":
        y, y_val = (np.where(labels > 0, "yes", "no") for labels in (y, y_val))
        if callable(scoring):
            y, y_val = y == "yes", y_val == "yes"
    given = {"sample_weight": weights} if weighted else {}
    scorer = scoring if callable(scoring) else get_scorer(scoring)
    watch = Watch(measure=lambda est: scorer(est, X_val, y_val, **given))
    est = small(kind, scoring=scoring).set_callbacks(watch)
    est.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weights if weighted else None)
    assert_allclose(est.validation_scores_, watch.measured, rtol=1e-12)
    assert est.best_validation_score_ == max(est.validation_scores_)
    assert_allclose(scorer(est, X_val, y_val, **given), est.best_validation_score_, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_scoring_by_loss(kind):
    (X, y, _), (X_val, y_val, _) = split(kind)
    est = small(kind, scoring="loss").fit(X, y, X_val=X_val, y_val=y_val)
    assert_array_equal(est.validation_scores_, np.negative(est.validation_loss_curve_))
    assert_allclose(loss_of(est, kind, X_val, y_val, None), -est.best_validation_score_, rtol=1e-10)


def test_scoring_with_early_stopping_and_names_of_features():
    pandas = pytest.importorskip("pandas")
    X, y, _ = problem("multiclass")
    X = pandas.DataFrame(X, columns=list("abcde"))
    for scoring in ("neg_log_loss", "loss", None):
        est = small("multiclass", scoring=scoring, early_stopping=True, validation_fraction=0.3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", ConvergenceWarning)
            est.fit(X, y).predict(X)
        assert list(est.feature_names_in_) == list("abcde")
        assert np.isfinite(est.validation_scores_).all()


@pytest.mark.parametrize("scoring", ["no such score", 3, ["accuracy"]], ids=str)
def test_unknown_scoring_raises(scoring):
    X, y, _ = problem("multiclass")
    with pytest.raises(ValueError, match="scoring"):
        small("multiclass", scoring=scoring).fit(X, y)


# -- history -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
@pytest.mark.parametrize("how", ["plain", "early_stopping", "X_val", "callback", "verbose"])
def test_history_is_a_table(solver, how):
    pandas = pytest.importorskip("pandas")
    X, y, _ = problem("regression")
    est = small("regression", solver=solver, early_stopping=how == "early_stopping", verbose=how == "verbose")
    if how == "callback":
        est.set_callbacks(Watch())
    est.fit(X, y, **({"X_val": X, "y_val": y} if how == "X_val" else {}))
    table = pandas.DataFrame(est.history_)
    assert list(table) == ["loss", "validation_loss", "score", "learning_rate", "time"]
    assert len(table) == est.n_iter_ == len(est.loss_curve_) == 4
    assert list(table["loss"]) == est.loss_curve_
    assert est.loss_curve_[-1] == est.loss_
    assert all(isinstance(value, float) for values in est.history_.values() for value in values)
    assert (np.diff(table["time"]) >= 0).all()
    assert table["time"].iloc[0] > 0
    measured = how == "X_val" or (how == "early_stopping" and solver != "lbfgs")
    if measured:
        assert list(table["validation_loss"]) == est.validation_loss_curve_
        assert list(table["score"]) == est.validation_scores_
    assert table["score"].notna().all() == measured
    assert table["learning_rate"].notna().all() == (solver != "lbfgs")


def test_history_of_learning_rates():
    X, y, _ = problem("multiclass")
    settings = {"solver": "sgd", "learning_rate_init": 0.05, "n_iter_no_change": np.inf}
    constant = small("multiclass", **settings).fit(X, y)
    assert constant.history_["learning_rate"] == [0.05] * 4
    invscaling = small("multiclass", learning_rate="invscaling", power_t=0.25, **settings).fit(X, y)
    assert_allclose(invscaling.history_["learning_rate"], [0.05] + [0.05 / (60 * k + 1) ** 0.25 for k in (1, 2, 3)])
    # warm_start begins the schedule anew with the first rate, as scikit-learn does, but goes on counting samples
    invscaling.set_params(warm_start=True, max_iter=2).fit(X, y)
    assert_allclose(invscaling.history_["learning_rate"][4:], [0.05, 0.05 / (60 * 5 + 1) ** 0.25])
    # which scikit-learn leaves out for all solvers but 'sgd'
    adam = small("multiclass", solver="adam", learning_rate="invscaling").fit(X, y)
    assert_allclose(adam.history_["learning_rate"], [0.001] + [0.001 / (60 * k + 1) ** 0.5 for k in (1, 2, 3)])


def test_adaptive_learning_rate_falls_until_it_is_too_small():
    X, y, _ = problem("multiclass")
    est = small("multiclass", solver="sgd", learning_rate="adaptive", tol=10.0, n_iter_no_change=1, max_iter=500)
    rates = np.array(est.fit(X, y).history_["learning_rate"])
    levels = rates[np.r_[True, np.diff(rates) != 0]]
    assert_allclose(levels, 0.001 / 5.0 ** np.arange(6))
    assert levels[-1] <= 1e-6 < levels[-2]
    assert est.n_iter_ < 500


# -- threads and precision ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_n_jobs_changes_no_bit(kind, solver):
    # Wide enough that a second thread is worth it.
    X, y, _ = problem(kind, n_samples=600, n_features=40)
    settings = {"solver": solver, "hidden_layer_sizes": (70, 50), "batch_size": 300, "max_iter": 3}
    expected = small(kind, n_jobs=1, **settings).fit(X, y)
    for n_jobs in (None, 2, 3, -1, -2):
        est = small(kind, n_jobs=n_jobs, **settings).fit(X, y)
        assert_same_bits(est, expected)
        assert_array_equal(est.predict(X), expected.predict(X))


@pytest.mark.parametrize("n_jobs", [0, 1.5, "all"])
def test_bad_n_jobs(n_jobs):
    X, y, _ = problem("regression")
    with pytest.raises(ValueError, match="n_jobs"):
        small("regression", n_jobs=n_jobs).fit(X, y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dtype", "given", "expected"),
    [
        ("auto", "float64", "float64"), ("auto", "float32", "float32"), ("auto", "int64", "float64"),
        ("auto", "float16", "float64"), ("float32", "float64", "float32"), ("float32", "int8", "float32"),
        ("float64", "float32", "float64"),
    ],
)  # fmt: skip
def test_dtype(kind, dtype, given, expected):
    X, y, _ = problem(kind)
    X = (4 * X).astype(given)
    est = small(kind, dtype=dtype).fit(X, y)
    assert {a.dtype for a in (*est.coefs_, *est.intercepts_)} == {np.dtype(expected)}
    if kind in KINDS[:3]:
        assert est.predict_proba(X).dtype == est.predict_log_proba(X).dtype == expected
        assert est.predict(X).dtype == y.dtype
    else:
        assert est.predict(X).dtype == expected
    # Later data of another type do not change the precision.
    est.partial_fit(X.astype("float32" if expected == "float64" else "float64"), y)
    assert {a.dtype for a in (*est.coefs_, *est.intercepts_)} == {np.dtype(expected)}
    assert_same_bits(small(kind, dtype=expected).fit(X, y), small(kind, dtype=dtype).fit(X, y))


def test_single_and_double_precision_agree():
    X, y, _ = problem("multiclass")
    single, double = (small("multiclass", dtype=d).fit(X, y) for d in ("float32", "float64"))
    assert_allclose(single.predict_proba(X), double.predict_proba(X), rtol=1e-4)


def test_unknown_dtype_raises():
    X, y, _ = problem("multiclass")
    with pytest.raises(ValueError, match="dtype"):
        small("multiclass", dtype="float16").fit(X, y)


def test_leaky_relu():
    X, y, _ = problem("regression")
    est = small("regression", activation="leaky_relu", hidden_layer_sizes=(6,)).fit(X, y)
    z = X @ est.coefs_[0] + est.intercepts_[0]
    expected = np.where(z > 0, z, 0.01 * z) @ est.coefs_[1] + est.intercepts_[1]
    assert_allclose(est.predict(X), expected[:, 0], rtol=1e-10, atol=1e-12)


# -- callbacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_hooks_are_called_in_order(solver):
    X, y, _ = problem("multiclass")
    watch = Watch()
    est = small("multiclass", solver=solver, max_iter=3).set_callbacks(watch)
    weights = np.ones(60)
    est.fit(X, y, weights)
    assert watch.events == ["setup", "fit begins"] + ["epoch begins", "epoch ends"] * 3 + ["fit ends", "teardown"]
    assert watch.X is X
    assert watch.y is y
    assert watch.metadata["sample_weight"] is weights
    # ... and none of it changes the fit
    assert_same_bits(est, small("multiclass", solver=solver, max_iter=3).fit(X, y, weights))


def test_hooks_of_partial_fit():
    X, y, _ = problem("regression")
    watch = Watch()
    small("regression").set_callbacks(watch).partial_fit(X, y).partial_fit(X, y)
    assert watch.events == ["setup", "fit begins", "epoch begins", "epoch ends", "fit ends", "teardown"] * 2


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_a_hook_that_returns_true_stops_the_fit(kind, solver):
    X, y, _ = problem(kind)
    watch = Watch(3, stop)
    est = small(kind, solver=solver, max_iter=50).set_callbacks(watch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        est.fit(X, y)
    assert est.n_iter_ == len(est.loss_curve_) == 3
    assert watch.events[-2:] == ["fit ends", "teardown"]
    assert_same_bits(est, small(kind, solver=solver, max_iter=3).fit(X, y))


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_snapshots_stay_as_they_were(solver):
    X, y, _ = problem("multiclass")
    watch = Watch(measure=lambda est: est)
    est = small("multiclass", solver=solver).set_callbacks(watch).fit(X, y)
    for epochs, snapshot in enumerate(watch.measured, 1):
        expected = small("multiclass", solver=solver, max_iter=epochs).fit(X, y)
        assert_array_equal(snapshot.predict_proba(X), expected.predict_proba(X))
        assert_array_equal(parameters(snapshot), parameters(expected))
    assert_array_equal(parameters(watch.measured[-1]), parameters(est))


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_a_hook_that_raises(solver):
    X, y, _ = problem("multiclass")

    def fail():
        raise RuntimeError("no more")

    watch = Watch(2, fail)
    est = small("multiclass", solver=solver).set_callbacks(watch)
    with pytest.raises(RuntimeError, match="no more"):
        est.fit(X, y)
    assert watch.events[-1] == "teardown"
    assert not [t for t in threading.enumerate() if t.name == "skneural"]
    assert_same_bits(est.set_callbacks().fit(X, y), small("multiclass", solver=solver).fit(X, y))


def test_only_callbacks_are_callbacks():
    with pytest.raises(TypeError, match="FitCallback"):
        MLPClassifier().set_callbacks(print)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_scoring_monitor(solver):
    from sklearn.callback import ScoringMonitor

    X, y, _ = problem("multiclass")
    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    est = small("multiclass", solver=solver, alpha=0.0).set_callbacks(monitor).fit(X, y)
    log = monitor.get_logs()
    rows = [row for row in log.data if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in rows] == [0, 1, 2, 3]
    for epochs, row in enumerate(rows, 1):
        expected = small("multiclass", solver=solver, alpha=0.0, max_iter=epochs).fit(X, y)
        assert_allclose(row["accuracy"], expected.score(X, y), rtol=1e-12)
        assert_allclose(row["neg_log_loss"], -log_loss(y, expected.predict_proba(X)), rtol=1e-10)
    (whole,) = [row for row in log.data if row["task_name"] == "fit"]
    assert_allclose(whole["accuracy"], est.score(X, y), rtol=1e-12)


def test_scoring_monitor_of_sample_weights():
    from sklearn.callback import ScoringMonitor

    X, y, _ = problem("regression")
    weights = np.random.default_rng(0).uniform(0, 2, 60)
    monitor = ScoringMonitor(scoring="r2")
    est = small("regression").set_callbacks(monitor).fit(X, y, weights)
    (whole,) = [row for row in monitor.get_logs().data if row["task_name"] == "fit"]
    assert_allclose(whole["r2"], est.score(X, y, weights), rtol=1e-12)


@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_progress_bar(solver, capsys):
    from sklearn.callback import ProgressBar

    pytest.importorskip("rich")
    X, y, _ = problem("multiclass")
    est = small("multiclass", solver=solver).set_callbacks(ProgressBar()).fit(X, y)
    assert "MLPClassifier" in capsys.readouterr().out
    assert_same_bits(est, small("multiclass", solver=solver).fit(X, y))


def test_callbacks_in_a_grid_search():
    from sklearn.callback import ScoringMonitor

    X, y, _ = problem("multiclass")
    monitor = ScoringMonitor(scoring="accuracy")
    est = small("multiclass", max_iter=2).set_callbacks(monitor)
    search = GridSearchCV(est, {"alpha": [1e-4, 1.0]}, cv=2).fit(X, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(rows) == 2 * (2 * 2 + 1)  # epochs of all fits: candidates by folds, and the refit
    expected = GridSearchCV(small("multiclass", max_iter=2), {"alpha": [1e-4, 1.0]}, cv=2).fit(X, y)
    assert_array_equal(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert_same_bits(search.best_estimator_, expected.best_estimator_)


def test_progress_bar_of_a_grid_search(capsys):
    from sklearn.callback import ProgressBar

    pytest.importorskip("rich")
    X, y, _ = problem("multiclass")
    search = GridSearchCV(small("multiclass", max_iter=2), {"alpha": [1e-4, 1.0]}, cv=2)
    search.set_callbacks(ProgressBar()).fit(X, y)
    printed = capsys.readouterr().out
    assert "GridSearchCV" in printed
    assert "MLPClassifier" in printed  # it came through to the epochs


def test_callbacks_survive_clone():
    watch = Watch(2, stop)
    X, y, _ = problem("regression")
    assert clone(small("regression").set_callbacks(watch)).fit(X, y).n_iter_ == 2


# -- metadata routing --------------------------------------------------------------------------------------------------


@BOTH
def test_requests(name):
    with sklearn.config_context(enable_metadata_routing=True):
        est = OURS[name]().set_fit_request(sample_weight=True, X_val=True, y_val=True, sample_weight_val="w")
        est.set_score_request(sample_weight=True)
        expected = {"sample_weight": None} | ({"classes": None} if name == "MLPClassifier" else {})
        assert est.get_metadata_routing().partial_fit.requests == expected
        est.set_partial_fit_request(sample_weight=True)
        requests = est.get_metadata_routing()
        assert requests.fit.requests == {
            "sample_weight": True, "X_val": True, "y_val": True, "sample_weight_val": "w", "resume_from": None,
        }  # fmt: skip
        assert requests.partial_fit.requests["sample_weight"] is True
        assert requests.score.requests == {"sample_weight": True}
        assert clone(est).get_metadata_routing().fit.requests == requests.fit.requests


def test_sample_weights_are_routed():
    X, y, _ = problem("multiclass")
    weights = np.random.default_rng(0).uniform(0, 2, 60)
    with sklearn.config_context(enable_metadata_routing=True):
        est = small("multiclass").set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        results = cross_validate(
            make_pipeline(scaler, est), X, y, params={"sample_weight": weights}, cv=2, return_estimator=True,
            return_indices=True,
        )  # fmt: skip
    indices = results["indices"]
    for pipeline, train, test, score in zip(
        results["estimator"], indices["train"], indices["test"], results["test_score"], strict=True
    ):
        scaled = StandardScaler().fit(X[train])
        expected = small("multiclass").fit(scaled.transform(X[train]), y[train], weights[train])
        assert_same_bits(pipeline[-1], expected)
        assert score == expected.score(scaled.transform(X[test]), y[test], weights[test])


# -- interrupts and weights that are not finite ------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_an_interrupt_keeps_the_model(solver):
    X, y, _ = problem("multiclass")
    watch = Watch(2, interrupt)
    est = small("multiclass", solver=solver, max_iter=50).set_callbacks(watch)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        est.fit(X, y)
    assert watch.events[-1] == "teardown"
    expected = small("multiclass", solver=solver, max_iter=2).fit(X, y)
    assert_same_bits(est, expected)
    assert est.loss_curve_ == expected.loss_curve_
    assert_array_equal(est.predict(X), expected.predict(X))
    assert not [t for t in threading.enumerate() if t.name == "skneural"]


def test_an_interrupt_restores_the_best_weights():
    (X, y, _), (X_val, y_val, _) = split("multiclass")
    est = small("multiclass", max_iter=50).set_callbacks(Watch(3, interrupt))
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        est.fit(X, y, X_val=X_val, y_val=y_val)
    assert est.score(X_val, y_val) == est.best_validation_score_


ENDLESS = 10**9


@pytest.fixture
def ctrl_c():
    """A function that interrupts a fit while compiled code runs, once it has reported some epochs.

    Whether it is so far is asked again and again, so nothing depends on the speed of the machine. No signal is left
    over when the test is over.
    """
    if not hasattr(signal, "setitimer"):
        pytest.skip("needs interval timers")

    def interrupt_when_training(est):
        def look(number, frame):
            calls_kernels = pathlib.Path(frame.f_code.co_filename).parent.name == "cpu"
            if est.n_iter_ > 1 and calls_kernels:
                signal.setitimer(signal.ITIMER_REAL, 0)
                raise KeyboardInterrupt

        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)

    before = signal.getsignal(signal.SIGALRM)
    try:
        yield interrupt_when_training
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("solver", "hidden"), [("lbfgs", (5,)), ("sgd", (5,)), ("sgd", (150, 150)), ("adam", (5,)), ("adam", (150, 150))]
)
def test_ctrl_c_keeps_the_model(solver, hidden, ctrl_c):
    # A signal, while nobody watches the epochs. The wide network is worth several threads.
    n = 900 if solver != "lbfgs" else 20_000
    X, _, _ = problem("regression", n_samples=n, n_features=40)
    y = np.random.default_rng(0).standard_normal(n)  # noise: no solver is through with it soon
    settings = {"solver": solver, "hidden_layer_sizes": hidden, "batch_size": 50, "alpha": 0.0}
    est = small("regression", max_fun=ENDLESS, tol=0.0, n_iter_no_change=np.inf, **settings)
    first_loss = est.set_params(max_iter=1).fit(X, y).loss_
    ctrl_c(est)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        est.set_params(max_iter=ENDLESS).fit(X, y)
    assert 1 < est.n_iter_ < ENDLESS
    assert len(est.loss_curve_) == len(est.history_["time"]) == est.n_iter_
    assert est.t_ == n * est.n_iter_
    assert est.loss_ == est.loss_curve_[-1] < est.loss_curve_[0] == first_loss
    assert est.best_loss_ == min(est.loss_curve_)
    assert np.isfinite(est.predict(X)).all()
    assert not [t for t in threading.enumerate() if t.name == "skneural"]
    if solver != "lbfgs":
        assert est.partial_fit(X, y).t_ == n * len(est.loss_curve_)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_weights_that_are_not_finite_raise(solver):
    X, y, _ = problem("regression")
    est = small("regression", solver=solver, learning_rate_init=1e200, activation="identity", max_iter=20)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        est.fit(X, y)
    # The estimator itself is none the worse.
    fine = {"learning_rate_init": 0.001}
    assert_same_bits(est.set_params(**fine).fit(X, y), clone(est).fit(X, y))


# -- what is printed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_verbose(solver, capsys):
    X, y, _ = problem("multiclass")
    est = small("multiclass", solver=solver, verbose=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"Iteration {i}, loss = {loss:.8f}" for i, loss in enumerate(est.loss_curve_, 1)]
    est.set_params(verbose=False).fit(X, y)
    assert capsys.readouterr().out == ""
    quiet = parameters(est).copy()
    assert_array_equal(parameters(est.set_params(verbose=1).fit(X, y)), quiet)


def test_verbose_lbfgs(capsys):
    X, y, _ = problem("multiclass")
    small("multiclass", solver="lbfgs", verbose=True).fit(X, y)
    assert capsys.readouterr().out.count("Iteration") == 4


def test_verbose_validation(capsys):
    X, y, _ = problem("multiclass")
    est = small("multiclass", verbose=True, early_stopping=True, tol=0.5, n_iter_no_change=2, max_iter=50).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    scores = [line for line in lines if line.startswith("Validation score: ")]
    assert scores == [f"Validation score: {score:f}" for score in est.validation_scores_]
    assert lines[-1] == ("Validation score did not improve more than tol=0.500000 for 2 consecutive epochs. Stopping.")


def test_convergence_warning():
    X, y, _ = problem("multiclass")
    words = r"Stochastic Optimizer: Maximum iterations \(4\) reached and the optimization hasn't converged yet."
    with pytest.warns(ConvergenceWarning, match=words) as record:
        small("multiclass").fit(X, y)
    assert record[0].filename == __file__  # it points at the caller
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge after 4 iteration") as record:
        small("multiclass", solver="lbfgs").fit(X, y)
    assert record[0].filename == __file__


# -- kinds of targets --------------------------------------------------------------------------------------------------


def test_multilabel():
    X, y, _ = problem("multilabel", n_samples=200)
    est = small("multilabel", hidden_layer_sizes=30, solver="lbfgs", max_iter=200).fit(X, y)
    assert est.out_activation_ == "logistic"
    assert est.predict(X).shape == est.predict_proba(X).shape == y.shape
    assert_array_equal(est.predict(X), est.predict_proba(X) > 0.5)
    assert est.score(X, y) > 0.9
    # Rows need not have exactly one label.
    assert len(np.unique(est.predict(X).sum(axis=1))) > 2


def test_multilabel_of_sparse_targets():
    X, y, _ = problem("multilabel")
    dense = small("multilabel").fit(X, y)
    got = small("multilabel").fit(X, sparse.csr_matrix(y))
    assert_same_bits(got, dense)
    labels = got.predict(X)
    assert sparse.issparse(labels)
    assert_array_equal(labels.toarray(), dense.predict(X))
    assert sparse.issparse(sk.MLPClassifier(max_iter=1).fit(X, sparse.csr_matrix(y)).predict(X))  # as there


def test_multioutput():
    X, y, _ = problem("multioutput", n_samples=200)
    est = small("multioutput", hidden_layer_sizes=30, solver="lbfgs", max_iter=200).fit(X, y)
    assert est.predict(X).shape == y.shape
    assert est.score(X, y) > 0.9
    one = small("multioutput").fit(X, y[:, :1].ravel())
    assert one.predict(X).shape == (200,)


def test_poisson():
    X, y, _ = problem("poisson", n_samples=300)
    # Smooth, so that the gradient can vanish: at a kink of relu lbfgs stops without.
    settings = {"activation": "tanh", "solver": "lbfgs", "max_iter": 2000, "tol": 1e-7, "alpha": 0.1}
    est = small("poisson", hidden_layer_sizes=5, **settings).fit(X, y)
    assert est.out_activation_ == "exp"
    assert (est.predict(X) > 0).all()
    # With a free intercept the mean of the predictions is the mean of y where the gradient vanishes.
    assert_allclose(est.predict(X).mean(), y.mean(), rtol=1e-3)
    with pytest.raises(ValueError, match="loss='poisson' requires non-negative y"):
        small("poisson").fit(X, y - 1)
    both = small("poisson").fit(X, np.c_[y, 2 * y])
    assert both.predict(X).shape == (300, 2)


def test_probabilities():
    for kind in KINDS[:3]:
        X, y, _ = problem(kind)
        est = small(kind, max_iter=50).fit(X, y)
        probabilities = est.predict_proba(X)
        assert ((probabilities >= 0) & (probabilities <= 1)).all()
        assert_allclose(est.predict_log_proba(X), np.log(probabilities))
        if kind != "multilabel":
            assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
            assert_array_equal(est.predict(X), est.classes_[probabilities.argmax(axis=1)])


# -- sparse data -------------------------------------------------------------------------------------------------------


def unsorted(X):
    X = sparse.csr_matrix(X)
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:end] = X.indices[start:end][::-1].copy()
        X.data[start:end] = X.data[start:end][::-1].copy()
    X.has_sorted_indices = False
    return X


def int64_indices(X):
    X = sparse.csr_array(X)
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def duplicates(X):
    X = sparse.coo_matrix(X)
    return sparse.coo_matrix((np.r_[X.data / 2, X.data / 2], (np.r_[X.row, X.row], np.r_[X.col, X.col])), X.shape)


FORMS = [
    sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, sparse.csr_array, sparse.csc_array, sparse.coo_array,
    unsorted, int64_indices, duplicates,
]  # fmt: skip


@one_at_a_time(
    {"form": sparse.csr_matrix, "solver": "adam", "kind": "multiclass"},
    form=FORMS, solver=["lbfgs", "sgd"], kind=["regression"],
)  # fmt: skip
def test_sparse_is_dense(kind, solver, form):
    X, y, _ = problem(kind, n_features=12)
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.7] = 0
    X[5] = 0  # an empty row
    X[:, 3] = 0  # an empty column
    dense = small(kind, solver=solver).fit(X, y)
    got = small(kind, solver=solver).fit(form(X), y)
    assert_allclose(parameters(got), parameters(dense), rtol=1e-8, atol=1e-10)
    method = "predict_proba" if kind == "multiclass" else "predict"
    expected = getattr(dense, method)(X)
    assert_allclose(getattr(got, method)(X), expected, rtol=1e-8, atol=1e-10)
    assert_allclose(getattr(got, method)(form(X)), expected, rtol=1e-8, atol=1e-10)
    assert_allclose(getattr(dense, method)(form(X)), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sparse_with_everything(dtype):
    X, y, _ = problem("multiclass", n_features=12)
    X[np.abs(X) < 1] = 0
    weights = np.random.default_rng(0).uniform(0, 2, 60)
    settings = {"dropout": 0.3, "early_stopping": True, "validation_fraction": 0.3, "class_weight": "balanced"}
    dense = small("multiclass", dtype=dtype, **settings).fit(X, y, weights)
    got = small("multiclass", dtype=dtype, **settings).fit(sparse.csr_array(X), y, weights)
    tolerance = {"rtol": 1e-8, "atol": 1e-10} if dtype == "float64" else {"rtol": 1e-3, "atol": 1e-5}
    assert_allclose(parameters(got), parameters(dense), **tolerance)
    assert_allclose(got.validation_loss_curve_, dense.validation_loss_curve_, rtol=tolerance["rtol"])
