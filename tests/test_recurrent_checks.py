"""Recurrent estimators in scikit-learn: its checks, its tools on sequences, and what is refused in which words."""

import copy
import pickle

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_no_attributes_set_in_init,
    check_param_validation,
    parametrize_with_checks,
)
from test_recurrent import CELLS, KINDS, NAN, assert_same_fit, outputs, sequences, small, whole

import skneural
from skneural import MLPClassifier, MLPRegressor

# The checks fit tiny data: that this does not converge is not what they check.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ALL = [getattr(skneural, cell.upper() + task) for cell in CELLS for task in ("Classifier", "Regressor")]
QUICK = {"hidden_layer_sizes": 8, "max_iter": 60, "learning_rate_init": 0.03}
#: Settings that only recurrent networks have, and other solvers. Few iterations: equal sums are added up differently
#: where a weight takes the place of repeated rows, and after some dozen of them the rounding shows.
OTHERS = [
    {"bidirectional": True, "pooling": "mean", "head_layer_sizes": 6, "max_iter": 40},
    {"bidirectional": True, "hidden_layer_sizes": (6, 5), "loss": "huber"},
    {"solver": "lbfgs", "alpha": 0.1, "max_iter": 15},
    {"head_layer_sizes": (6, 4), "head_activation": "tanh", "standardize": False},
    {"pooling": "max", "tbptt_steps": 1, "clip_norm": None, "input_format": "channels_first"},
    {"solver": "sgd", "bidirectional": True, "max_iter": 150},
]


# -- scikit-learn's checks ---------------------------------------------------------------------------------------------


VARIED = [estimator(**{**QUICK, **more}) for estimator, more in zip(ALL, OTHERS, strict=True)]
#: Of each cell at least one, and both tasks; estimators of another cell differ in a kernel alone.
COVERING = [VARIED[0], VARIED[1], VARIED[3], VARIED[4]]


# Nothing is expected to fail: what the checks fit is one minibatch.
@parametrize_with_checks(COVERING)
def test_checks_of_sklearn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([est for est in VARIED if est not in COVERING] + [estimator(**QUICK) for estimator in ALL])
def test_checks_of_sklearn_with_other_settings(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([estimator() for estimator in ALL])
def test_checks_of_sklearn_by_default(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ALL)
@pytest.mark.parametrize(
    "check",
    [check_dataframe_column_names_consistency, check_no_attributes_set_in_init, check_param_validation],
    ids=lambda c: c.__name__,
)
def test_checks_outside_check_estimator(estimator, check):
    check(estimator.__name__, estimator(**QUICK))


@pytest.mark.parametrize("estimator", ALL)
def test_tags_are_those_of_the_networks_of_rows_but_for_the_data(estimator):
    tags = get_tags(estimator())
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.sparse
    tags.input_tags.three_d_array, tags.input_tags.sparse = False, True
    assert tags == get_tags(MLPClassifier() if tags.estimator_type == "classifier" else MLPRegressor())


# -- scikit-learn's tools on sequences ---------------------------------------------------------------------------------


def scaled(X):
    """A step of a pipeline that keeps three dimensions."""
    return X / 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_clone_and_copies(kind, cell):
    X, y = sequences(kind, ragged=True)
    est = small(kind, cell, bidirectional=True).fit(X, y)
    fresh = clone(est)
    assert fresh.get_params() == est.get_params()
    with pytest.raises(NotFittedError):
        fresh.predict(X)
    assert_same_fit(fresh.fit(X, y), est)
    for same in (copy.deepcopy(est), *(pickle.loads(pickle.dumps(est, protocol)) for protocol in (2, 5))):
        assert_array_equal(outputs(same, X), outputs(est, X))
        assert_array_equal(outputs(same, X[:, :4]), outputs(est, X[:, :4]))
        assert_same_fit(same, est)
        assert_same_fit(same.partial_fit(X, y), copy.deepcopy(est).partial_fit(X, y))
    assert_array_equal(outputs(est, X), outputs(fresh, X))  # the copies have weights of their own


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_pipelines(kind):
    X, y = sequences(kind)
    est = make_pipeline(StandardScaler(), small(kind)).fit(X[:, :, 0], y)
    rows = est[0].transform(X[:, :, 0])
    assert_same_fit(est[-1], small(kind).fit(rows, y))
    assert_array_equal(est.predict(X[:, :, 0]), est[-1].predict(rows))
    est = make_pipeline(FunctionTransformer(scaled), small(kind)).fit(X, y)
    assert_same_fit(est[-1], small(kind).fit(X / 2, y))
    assert est.score(X, y) == est[-1].score(X / 2, y)


@pytest.mark.parametrize("kind", ["multiclass", "regression", "multioutput"])
@pytest.mark.parametrize("form", ["array", "list"])
def test_searches(kind, form):
    X, y = sequences(kind, n_samples=60, ragged=True)
    given = X if form == "array" else whole(X)
    grid = {"hidden_layer_sizes": [2, (3, 2)], "pooling": ["last", "mean"]}
    search = GridSearchCV(small(kind), grid, cv=KFold(3)).fit(given, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    best = small(kind, **search.best_params_).fit(X, y)
    assert_same_fit(search.best_estimator_, best)
    assert_array_equal(search.predict(given), best.predict(X))
    assert search.score(given, y) == best.score(X, y)


@pytest.mark.parametrize("kind", ["binary", "regression"])
@pytest.mark.parametrize("form", ["array", "list"])
def test_cross_validation(kind, form):
    X, y = sequences(kind, n_samples=60, ragged=True)
    given = X if form == "array" else whole(X)
    expected, predicted = [], np.empty_like(y)
    for train, test in KFold(3).split(X):
        est = small(kind).fit(X[train], y[train])
        expected.append(est.score(X[test], y[test]))
        predicted[test] = est.predict(X[test])
    assert cross_val_score(small(kind), given, y, cv=KFold(3)).tolist() == expected
    assert_array_equal(cross_val_predict(small(kind), given, y, cv=KFold(3)), predicted)


@sklearn.config_context(enable_metadata_routing=True)
def test_weights_are_routed():
    X, y = sequences(n_samples=60)
    weights = np.random.default_rng(0).uniform(0.5, 2, 60)
    est = small().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    found = cross_validate(est, X, y, cv=KFold(3), params={"sample_weight": weights})["test_score"]
    for (train, test), score in zip(KFold(3).split(X), found, strict=True):
        expected = small().fit(X[train], y[train], weights[train])
        assert score == expected.score(X[test], y[test], weights[test])


def test_curves():
    X, y = sequences(n_samples=60)
    sizes, _, scores = learning_curve(small(), X, y, train_sizes=[20, 40], cv=KFold(3))
    train, test = next(KFold(3).split(X))
    assert [small().fit(X[train[:n]], y[train[:n]]).score(X[test], y[test]) for n in sizes] == scores[:, 0].tolist()
    settings = {"param_name": "hidden_layer_sizes", "param_range": [2, (3, 2)], "cv": KFold(3)}
    _, scores = validation_curve(small(), X, y, **settings)
    expected = [small(hidden_layer_sizes=h).fit(X[train], y[train]).score(X[test], y[test]) for h in (2, (3, 2))]
    assert scores[:, 0].tolist() == expected


def test_transformed_targets():
    X, y = sequences()
    est = TransformedTargetRegressor(small(), func=np.exp, inverse_func=np.log, check_inverse=False).fit(X, y)
    assert_same_fit(est.regressor_, small().fit(X, np.exp(y)))


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("head_layer_sizes", 0), ("head_layer_sizes", "wide"), ("head_activation", "sigmoid"),
        ("bidirectional", "both"), ("pooling", "sum"), ("pooling", None), ("dropout", 1.0), ("dropout", -0.1),
        ("recurrent_dropout", 1.0), ("recurrent_dropout", [0.1]), ("tbptt_steps", 0), ("tbptt_steps", 2.0),
        ("input_format", "time_first"), ("standardize", None), ("clip_norm", 0.0),
    ],
)  # fmt: skip
def test_parameters_that_are_refused(name, value):
    X, y = sequences()
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of GRURegressor must be"):
        small(**{name: value}).fit(X, y)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hidden_layer_sizes": ()}, "hidden_layer_sizes must name at least one recurrent layer, got none"),
        ({"hidden_layer_sizes": (3, 0)}, r"hidden_layer_sizes must be > 0, got \[3, 0\]"),
        ({"hidden_layer_sizes": [2.5]}, r"hidden_layer_sizes must be integers, got \[2.5\]"),
        ({"head_layer_sizes": (3, -1)}, r"head_layer_sizes must be > 0, got \[3, -1\]"),
        ({"dropout": (0.1, 0.2)}, "dropout must be one rate, or one per hidden layer: got 2 for 1 layers"),
        ({"dropout": [0.1], "head_layer_sizes": (3, 2)}, "got 1 for 3 layers"),
        ({"dropout": [1.0]}, r"dropout rates must be in \[0, 1\), got \[1.0\]"),
        ({"solver": "lbfgs", "recurrent_dropout": 0.1}, "recurrent_dropout needs a stochastic solver"),
        ({"solver": "lbfgs", "dropout": 0.1}, "dropout needs a stochastic solver"),
        ({"solver": "lbfgs", "input_noise": 0.1}, "input_noise needs a stochastic solver"),
    ],
)
def test_settings_that_do_not_go_together(settings, words):
    X, y = sequences()
    est = small(**settings)
    with pytest.raises(ValueError, match=words):
        est.fit(X, y)
    assert vars(est) == est.get_params()


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_layer_sizes": 4}, {"hidden_layer_sizes": (5, 5)}, {"bidirectional": True}, {"standardize": False},
        {"head_layer_sizes": 2},
    ],
)  # fmt: skip
def test_a_network_of_other_shape_cannot_go_on(settings):
    X, y = sequences()
    est = small(warm_start=True).fit(X, y)
    expected = est.predict(X)
    with pytest.raises(
        ValueError, match=f"The weights of the previous fit do not fit .* the same .*{next(iter(settings))}"
    ):
        copy.deepcopy(est).set_params(**settings).fit(X, y)
    with pytest.raises(ValueError, match="y has 2 outputs, but this estimator was fitted on 1"):
        est.fit(X, np.c_[y, y])
    assert_array_equal(est.predict(X), expected)


def changed(X, *place, value=NAN):
    X = X.copy()
    X[place] = value
    return X


LONG = sequences()[0]
NAN_AT = "contains NaN: first in sequence {}, time step {}, feature {}\\. Only trailing time steps"
#: X that neither fit nor predict takes, and words about it.
REFUSED = {
    "a gap in one feature": (changed(LONG, 3, 2, 1), NAN_AT.format(3, 2, 1)),
    "a gap": (changed(LONG, [9, 4], [1, 3]), NAN_AT.format(4, 3, 0)),
    "NaN at the beginning": (changed(LONG, 0, 0), NAN_AT.format(0, 0, 0)),
    "one feature of the last step": (changed(LONG, 39, 5, 2), NAN_AT.format(39, 5, 2)),
    "a gap before padding": (changed(changed(LONG, ..., 5, slice(None)), 2, 3, 0), NAN_AT.format(2, 3, 0)),
    "a gap in a list": ([*LONG[:4], changed(LONG[4], 1)], NAN_AT.format(4, 1, 0)),
    "infinity": (
        changed(LONG, 7, 1, 1, value=np.inf),
        r"infinity or a value too large for dtype\('float64'\): first in sequence 7, time step 1, feature 1",
    ),
    "infinities": (changed(LONG, 7, 5, slice(2), value=[np.inf, -np.inf]), "infinity .* 7, time step 5, feature 0"),
    "nothing but NaN": (changed(LONG, [8, 5]), "nothing but NaN in sequence 5: at least one time step is required"),
    "nothing but NaN in a list": ([LONG[0], LONG[1, :2] * NAN], "nothing but NaN in sequence 1"),
    "no steps": (LONG[:, :0], r"0 time step\(s\) \(shape=\(40, 0, 3\)\) while a minimum of 1 is required"),
    "no features": (LONG[:, :, :0], r"0 feature\(s\) \(shape=\(40, 6, 0\)\) while a minimum of 1 is required"),
    "no samples": (LONG[:0], r"0 sample\(s\) \(shape=\(0, 6, 3\)\) while a minimum of 1 is required"),
    "no steps in a list": ([LONG[0], LONG[1, :0]], "Sequence 1 has no time steps: at least one is required"),
    "several widths": ([LONG[0], LONG[1, :, :2]], r"must have the same number of features, got \[2, 3\]"),
    "text in a list": ([LONG[0], LONG[1].astype(str)], "Sequence 1 holds <U32, numbers are required"),
    "objects in a list": (
        [changed(LONG[0].astype(object), 2, 1, value="a"), LONG[1]],
        "Expected X of shape .* got something else as sequence 0: could not convert string to float: 'a'",
    ),
    "complex numbers in a list": ([LONG[0] * 1j], "Sequence 0 holds complex128, numbers are required"),
    "objects": (changed(LONG.astype(object), 0, 0, 0, value="a"), "could not convert string to float: 'a'"),
    "complex numbers": (LONG * 1j, "Complex data not supported"),
    "four dimensions": (LONG[None], r"shape \(n_timesteps, n_features\), got an array with 4 dimensions"),
    "four dimensions in lists": (LONG[None].tolist(), "Expected X of shape .* got an array with 4 dimensions"),
    "one dimension": (LONG[0, 0], r"Expected 2D array, got 1D array instead|Expected X with three axes.* \(3,\)"),
    "a gap in lists of different length": ([[[1.0] * 3, [NAN] * 3, [2.0] * 3], [[3.0] * 3]], NAN_AT.format(0, 1, 0)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_is_refused_leaves_the_model_whole(case):
    X, words = REFUSED[case]
    y = sequences()[1]
    est = small().fit(LONG, y)
    before, expected = dict(vars(est)), est.predict(LONG)
    for attempt in (est.fit, est.partial_fit, lambda X, y: est.set_params(warm_start=True).fit(X, y)):
        with pytest.raises(ValueError, match=words):
            attempt(X, y[: len(X)])
    with pytest.raises(ValueError, match=words):
        est.predict(X)
    with pytest.raises(ValueError, match=words):
        est.fit(LONG, y, X_val=X, y_val=y[: len(X)])
    est.set_params(warm_start=False)
    assert dict(vars(est)) == before  # the very same objects
    assert_array_equal(est.predict(LONG), expected)
    fresh = small()
    with pytest.raises(ValueError, match=words):
        fresh.fit(X, y[: len(X)])
    assert not [name for name in vars(fresh) if name.endswith("_") or name.startswith("_")]


def test_wrong_number_of_features():
    X, y = sequences()
    est = small().fit(X, y)
    for given, n_features in ((X[:, :, :2], 2), ([x[:, :2] for x in X], 2), (np.c_["2", X, X], 6)):
        words = f"X has {n_features} features, but GRURegressor is expecting 3 features as input"
        for call in (est.predict, lambda X: est.partial_fit(X, y), lambda X: est.fit(LONG, y, X_val=X, y_val=y)):
            with pytest.raises(ValueError, match=words):
                call(given)
    assert est.fit(X[:, :, :2], y).n_features_in_ == 2


def test_sparse_data_is_refused():
    X, y = sequences()
    rows = sparse.csr_array(X[:, :, 0])
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
        small().fit(rows, y)
    for est in (small().fit(X[:, :, 0], y), small().fit(X, y)):
        with pytest.raises(TypeError, match="Sparse data was passed"):
            est.predict(rows)


def test_targets_and_weights_that_are_refused():
    X, y = sequences()
    for arguments, words in [
        ((X, y[:-1]), "inconsistent numbers of samples"),
        ((list(X), y[:-1]), "inconsistent numbers of samples"),
        ((X, changed(y, 3)), "Input y contains NaN"),
        ((X, changed(y, 3, value=np.inf)), "Input y contains infinity"),
        ((X, y, -np.ones(40)), "Negative values in data passed to `sample_weight`"),
        ((X, y, np.zeros(40)), "at least one non-zero number"),
        ((X, y, np.ones(39)), "sample_weight.shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            small().fit(*arguments)
    with pytest.raises(ValueError, match="Unknown label type"):
        small("binary").fit(X, y)
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        assert_same_fit(small().fit(X, y[:, None]), small().fit(X, y))
