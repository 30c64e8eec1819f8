"""How a forecaster fits its regressor: what stops it early, weights, and errors that name their cause."""

import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import GammaRegressor, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, OneHotEncoder, StandardScaler

import skneural
from skneural.timeseries import Forecaster, make_windows


def flatten(X):
    return X.reshape(len(X), -1)


FLATTEN = FunctionTransformer(flatten)
LOOKBACK, HORIZON = 6, 4
ROWS = np.arange(100.0)  # each value is the number of its row
COUNTS = 1 + np.random.default_rng(0).poisson(4, 80)


class Stopped(RegressorMixin, BaseEstimator):
    """A regressor with early stopping, which keeps what it was given."""

    def __init__(self, early_stopping=True, validation_fraction=0.1, solver="adam"):
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.solver = solver

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        self.train_ = X, y, sample_weight
        self.val_ = X_val, y_val, sample_weight_val
        return self

    def predict(self, X):
        return np.zeros((len(X), self.train_[1].shape[1]))


class Plain(Stopped):
    """The same, which takes no validation data."""

    def fit(self, X, y):
        return super().fit(X, y)


def fitted(estimator, series=ROWS, **given):
    model = Forecaster(estimator, LOOKBACK, HORIZON, scaler=None).fit(series, **given)
    last = model.estimator_.steps[-1][1] if hasattr(model.estimator_, "steps") else model.estimator_
    while hasattr(last, "steps"):
        last = last.steps[-1][1]
    return model, last


@pytest.mark.parametrize("wrap", [
    lambda last: last,
    lambda last: make_pipeline(last),
    lambda last: make_pipeline(FLATTEN, last),
    lambda last: make_pipeline(FLATTEN, StandardScaler(), make_pipeline(StandardScaler(), last)),
    lambda last: make_pipeline(FLATTEN, StandardScaler(), last, memory=None),
])  # fmt: skip
def test_the_last_windows_stop_the_regressor(wrap):
    _, last = fitted(wrap(Stopped()))
    y = make_windows(ROWS, LOOKBACK, HORIZON)[1]
    held_out = 10  # a tenth of 91 windows, rounded up
    assert_array_equal(last.val_[1], y[-held_out:])
    assert_array_equal(last.train_[1], y[: len(y) - held_out - HORIZON + 1])
    assert last.train_[1].max() + 1 == last.val_[1].min()  # no row is forecast by both
    assert len(last.val_[0]) == held_out
    assert len(last.train_[0]) == len(last.train_[1])
    assert last.val_[0].ndim == last.train_[0].ndim


def test_validation_is_that_of_a_series_for_it():
    noise = np.random.default_rng(0).normal(size=120).cumsum()
    settings = {"lookback": LOOKBACK, "horizon": HORIZON, "window_normalization": "instance"}
    by_itself = Forecaster(Stopped(), **settings).fit(noise)
    cut = len(noise) - len(by_itself.estimator_.val_[0]) - HORIZON + 1
    by_hand = Forecaster(Stopped(False), **settings).fit(noise[:cut], series_val=noise[cut:])
    for name in ("train_", "val_"):
        for one, other in zip(
            getattr(by_itself.estimator_, name)[:2], getattr(by_hand.estimator_, name)[:2], strict=True
        ):
            assert_allclose(one, other)
    assert_allclose(by_itself.scaler_.mean_, by_hand.scaler_.mean_)


def test_pipelines_with_a_cache(tmp_path):
    model, last = fitted(make_pipeline(FLATTEN, StandardScaler(), Stopped(), memory=str(tmp_path)))
    assert last.val_[0].shape == (10, LOOKBACK)
    assert model.predict().shape == (HORIZON,)


@pytest.mark.parametrize("wrap", [lambda last: last, lambda last: make_pipeline(FLATTEN, last)])
def test_weights_go_with_their_windows(wrap):
    estimator = wrap(Stopped())
    name = "sample_weight" if isinstance(estimator, Stopped) else "stopped__sample_weight"
    _, last = fitted(estimator, **{name: np.arange(91.0)})
    assert_array_equal(last.train_[2], last.train_[1][:, 0] - LOOKBACK)
    assert_array_equal(last.val_[2], last.val_[1][:, 0] - LOOKBACK)
    for wrong in (np.ones(100), [1.0] * 90):
        with pytest.raises(
            ValueError, match=f"{name} has {len(wrong)} entries: it needs one for each of the 91 windows"
        ):
            fitted(estimator, **{name: wrong})


def test_when_nothing_is_held_out():
    for estimator in (Stopped(False), Stopped(solver="lbfgs"), Stopped(validation_fraction=None), Plain(False)):
        assert len(fitted(estimator)[1].train_[1]) == 91
    given = make_windows(ROWS, LOOKBACK, HORIZON)
    _, last = fitted(Stopped(), X_val=given[0], y_val=given[1])
    assert len(last.train_[1]) == len(last.val_[1]) == 91
    _, last = fitted(Stopped(), series_val=100 + ROWS[:20])
    assert (len(last.train_[1]), len(last.val_[1])) == (91, 17)
    assert len(fitted(Stopped(validation_fraction=30))[1].val_[1]) == 30  # as scikit-learn counts them


@pytest.mark.parametrize("estimator", [
    Plain(),
    make_pipeline(FLATTEN, MLPRegressor(early_stopping=True, max_iter=1)),
    make_pipeline(FLATTEN, MultiOutputRegressor(MLPRegressor(early_stopping=True, max_iter=1))),
    GridSearchCV(Stopped(), {"early_stopping": [True]}, cv=2, scoring=lambda model, X, y: 0.0),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_windows_at_random_are_told_of(estimator):
    with pytest.warns(UserWarning, match="holds out windows at random, which share rows"):
        Forecaster(estimator, LOOKBACK, HORIZON).fit(ROWS)


def test_too_few_windows_to_stop_by():
    for rows in (18, 12):
        with pytest.raises(ValueError, match=r"too short for early_stopping=True: of its \d+ windows"):
            fitted(Stopped(), ROWS[:rows])
    with pytest.raises(ValueError, match="series_val needs a regressor whose fit takes X_val and y_val: that of Ridge"):
        fitted(make_pipeline(FLATTEN, Ridge()), series_val=ROWS[:10])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks_stop_by_the_last_windows():
    series = np.sin(np.arange(150) / 4)
    for estimator in (
        skneural.LSTMRegressor((3,), early_stopping=True, max_iter=3, random_state=0),
        make_pipeline(
            FLATTEN, skneural.MLPRegressor(hidden_layer_sizes=(3,), early_stopping=True, max_iter=3, random_state=0)
        ),
    ):
        model, last = fitted(estimator, series)
        again = Forecaster(estimator, LOOKBACK, HORIZON, scaler=None)
        again.fit(series[:132], series_val=series[132:])  # 141 windows, 15 of which are for validation
        assert len(last.validation_scores_) == 3
        assert_allclose(model.predict(), again.predict(series), rtol=1e-6)


@pytest.mark.parametrize("estimator", [
    skneural.LSTMRegressor((2,), loss="poisson", max_iter=1),
    make_pipeline(FLATTEN, skneural.MLPRegressor("gamma", (3,), max_iter=1)),
    make_pipeline(FLATTEN, HistGradientBoostingRegressor(loss="poisson")),
    make_pipeline(FLATTEN, PoissonRegressor()),
    make_pipeline(FLATTEN, GammaRegressor()),
])  # fmt: skip
def test_scalers_that_make_counts_negative(estimator):
    model = Forecaster(estimator, LOOKBACK, 1)
    with pytest.raises(
        ValueError, match=r"The series has no such values: scaler='standard' made them. Set scaler=None"
    ):
        model.fit(COUNTS)
    model.set_params(scaler=MaxAbsScaler(), window_normalization="last")
    with pytest.raises(ValueError, match=r"and window_normalization='last' made them.*window_normalization=None"):
        model.fit(COUNTS)
    with pytest.raises(ValueError, match=r"y|series") as caught:
        model.set_params(scaler=None, window_normalization=None).fit(COUNTS - 5)
    assert "scaler" not in str(caught.value)


@pytest.mark.parametrize("given", [{"sample_weight": -np.ones(COUNTS.size - LOOKBACK)}, {"X_val": ROWS}])
def test_other_errors_are_left_as_they_are(given):
    model = Forecaster(skneural.LSTMRegressor((2,), max_iter=1), LOOKBACK, 1)
    with pytest.raises(ValueError, match=r"sample_weight|y_val") as caught:
        model.fit(COUNTS, **given)
    assert "scaler" not in str(caught.value)


def test_regressors_for_other_shapes():
    with pytest.raises(ValueError, match=r"dim 3.*FunctionTransformer\(lambda X: X.reshape\(len\(X\), -1\)\)"):
        Forecaster(Ridge(), LOOKBACK, HORIZON).fit(ROWS)
    with pytest.raises(ValueError, match=r"1d array.*horizon=4.*MultiOutputRegressor"):
        Forecaster(make_pipeline(FLATTEN, HistGradientBoostingRegressor()), LOOKBACK, HORIZON).fit(ROWS)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_scalers_that_make_other_things_of_the_series():
    def model(scaler):
        return Forecaster(make_pipeline(FLATTEN, Ridge()), LOOKBACK, HORIZON, scaler=scaler)

    logarithm = FunctionTransformer(np.log, np.exp)
    with pytest.raises(ValueError, match=r"makes -inf of 0\.0 in column 0 of the series, which has no missing"):
        model(logarithm).fit(ROWS)
    known = model(logarithm).fit(1 + ROWS)
    with pytest.raises(ValueError, match=r"makes nan of -3\.0 in column 0"):
        known.predict(ROWS - ROWS[-3])
    with config_context(assume_finite=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known._scaling.scale(-ROWS[:, None])
    with pytest.raises(ValueError, match=re.escape("makes a sparse matrix")):
        model(OneHotEncoder()).fit(ROWS)
    with pytest.warns(UserWarning, match="does not take back its transform"):
        model(FunctionTransformer(np.log1p)).fit(ROWS)
    with pytest.raises(ValueError, match=r"inverse_transform of .* makes \(100,\)"):
        model(FunctionTransformer(np.log1p, lambda X: np.expm1(X)[:, 0], check_inverse=False)).fit(ROWS)
    falling = model(FunctionTransformer(np.square, np.sqrt)).fit(ROWS[::-1])
    with pytest.warns(UserWarning, match="makes NaN of forecasts"):
        assert np.isnan(falling.predict(np.r_[np.full(5, 50.0), 0])).any()
