"""What every user relies on, once, small and end to end: `.ci/lowest` runs it with the oldest supported versions."""

import inspect
import pickle

import numpy as np
import pytest
import sklearn.neural_network
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skneural
from skneural.timeseries import Forecaster

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = ("MLPClassifier", "MLPRegressor")
SEQUENCES = tuple(name for name in skneural.__all__ if name.startswith(("LSTM", "GRU", "RNN")))
#: A cell in one precision: compiling recurrent layers takes seconds.
IN_SINGLE = ("LSTMClassifier", "LSTMRegressor")


def data(name, dtype=None):
    """Rows or sequences, and targets that can be learnt from them."""
    dtype = dtype or ("float32" if name in IN_SINGLE else "float64")
    shape = (60, 4) if name in ROWS else (60, 5, 4)
    X = np.random.default_rng(0).normal(size=shape).astype(dtype)
    y = X.reshape(60, -1)[:, -3:].sum(axis=1)
    return X, y > 0 if name.endswith("Classifier") else y


def make(name, **settings):
    """A small estimator."""
    settings = {"hidden_layer_sizes": (9, 6), "learning_rate_init": 0.02, "max_iter": 60, "random_state": 0} | settings
    return getattr(skneural, name)(**settings)


def fitted(name, dtype=None, **settings):
    """A small estimator, fitted, and the data."""
    X, y = data(name, dtype)
    return make(name, **settings).fit(X, y), X, y


@pytest.mark.parametrize("name", ROWS + SEQUENCES)
def test_fit_learns(name):
    est, X, y = fitted(name)
    assert est.score(X, y) > 0.9


@pytest.mark.parametrize("name", [*ROWS, *IN_SINGLE])
def test_single_precision_in_single_precision_out(name):
    est, X, _ = fitted(name, "float32", max_iter=2)
    outputs = est.predict_proba(X) if is_classifier(est) else est.predict(X)
    assert outputs.dtype == np.float32


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor", "LSTMClassifier", "GRURegressor"])
def test_same_bits_for_any_batch_and_number_of_threads(name):
    est, X, y = fitted(name, max_iter=5)
    ask = est.predict_proba if is_classifier(est) else est.predict
    assert_array_equal(np.concatenate([ask(X[i : i + 1]) for i in range(len(X))]), ask(X))
    other = clone(est).set_params(n_jobs=1).fit(X, y)
    assert_array_equal(other._params, est._params)


@pytest.mark.parametrize("name", ROWS + SEQUENCES)
def test_pickles_and_files_predict_the_same_bits(name, tmp_path):
    est, X, _ = fitted(name, max_iter=2)
    skneural.save(est, tmp_path / "model.skn")
    for copy in (pickle.loads(pickle.dumps(est)), skneural.load(tmp_path / "model.skn")):
        assert_array_equal(copy.predict(X), est.predict(X))
        assert copy.get_params() == est.get_params()


def test_padding_changes_no_bit():
    est, X, _ = fitted("GRURegressor", max_iter=2)
    padded = np.concatenate([X, np.full((60, 3, 4), np.nan)], axis=1)
    assert_array_equal(est.predict(padded), est.predict(X))
    assert_array_equal(est.predict([x[: 2 + i % 3] for i, x in enumerate(X)])[:1], est.predict(X[:1, :2]))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(
    "settings",
    [{"solver": "lbfgs"}, {"solver": "sgd", "max_iter": 200}, {"normalization": "batch"}, {"dropout": 0.1}],
    ids=lambda settings: next(iter(settings)),
)
def test_other_ways_to_train(name, settings):
    est, X, y = fitted(name, **settings)
    assert est.score(X, y) > 0.8


def test_same_network_as_scikit_learn():
    X, y = data("MLPRegressor")
    theirs = sklearn.neural_network.MLPRegressor(hidden_layer_sizes=(9, 6), max_iter=5, random_state=0).fit(X, y)
    ours = skneural.MLPRegressor(hidden_layer_sizes=(9, 6), max_iter=5, random_state=0).fit(X, y)
    for mine, other in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        mine[...] = other
    assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-12)


@pytest.mark.parametrize("name", ROWS)
def test_parameters_of_scikit_learn(name):
    theirs = inspect.signature(getattr(sklearn.neural_network, name)).parameters
    ours = inspect.signature(getattr(skneural, name)).parameters
    assert set(theirs) <= set(ours)
    for parameter, ordinary in theirs.items():
        assert ours[parameter].default == ordinary.default


def test_search_over_a_pipeline_with_weights():
    X, y = data("MLPClassifier")
    weights = np.where(np.arange(60) % 2, 1.0, 2.0)
    pipe = make_pipeline(StandardScaler(), make("MLPClassifier"))
    search = GridSearchCV(pipe, {"mlpclassifier__alpha": [0.0, 0.01]}, cv=3, error_score="raise")
    search.fit(X, y, mlpclassifier__sample_weight=weights)
    assert search.best_score_ > 0.7


def test_weights_that_are_all_zero_are_refused():
    X, y = data("MLPClassifier")
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        make("MLPClassifier").fit(X, y, sample_weight=np.zeros(60))


def test_parameter_that_is_wrong_gets_the_words_of_scikit_learn():
    X, y = data("MLPClassifier")
    with pytest.raises(ValueError, match="The 'solver' parameter of MLPClassifier must be a str among"):
        make("MLPClassifier", solver="no such solver").fit(X, y)


def test_forecast():
    series = np.sin(np.arange(150) / 5)
    gru = make("GRURegressor", hidden_layer_sizes=(9,))
    forecast = Forecaster(gru, lookback=12, horizon=3).fit(series[:-3]).predict()
    assert_allclose(np.ravel(forecast), series[-3:], atol=0.2)
