"""Forecasts by convolutional networks: the estimators for sequences, and stacks of causal convolutions."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skneural import FCNRegressor, NetworkRegressor, ResNetRegressor
from skneural.layers import Conv1D, Dropout, GlobalPool, Residual, Standardize
from skneural.timeseries import Forecaster, make_windows

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LOOKBACK, HORIZON = 12, 3
TRAINING = {"learning_rate_init": 0.01, "batch_size": 16, "max_iter": 60, "random_state": 0}
CAUSAL = {"padding": "causal", "pooling": "last", **TRAINING}


def causal_stack(n_layers=3, **settings):
    """A temporal convolutional network, whose last step sees ever further back."""
    like = {"padding": "causal", "activation": "relu"}
    first = Conv1D(8, 3, **like)
    blocks = [Residual((Conv1D(8, 3, dilation=2**i, **like), Dropout(0.05))) for i in range(1, n_layers)]
    return NetworkRegressor([Standardize(), first, *blocks, GlobalPool("last")], **{**TRAINING, **settings})


NETWORKS = {
    "FCN": FCNRegressor((8, 8), kernel_sizes=(4, 3), **CAUSAL),
    "FCN, centred windows": FCNRegressor((8, 8), kernel_sizes=(4, 3), **TRAINING),
    "ResNet": ResNetRegressor((8, 8), kernel_sizes=(4, 3), **CAUSAL),
    "causal stack": causal_stack(),
}
EACH = pytest.mark.parametrize("name", NETWORKS)


def wave(n_rows=160, n_columns=1):
    """Columns with a season of 12 rows and a trend."""
    t = np.arange(n_rows)[:, None]
    series = np.sin(2 * np.pi * (t + np.arange(n_columns)) / 12) + 0.01 * t
    return series[:, 0] if n_columns == 1 else series


@EACH
def test_they_beat_the_naive_forecast(name):
    series = wave()
    forecaster = Forecaster(NETWORKS[name], LOOKBACK, HORIZON, window_normalization="last")
    found = forecaster.backtest(series, 24)
    naive = np.repeat(series[-24 - 1 : -HORIZON, None], HORIZON, axis=1)
    assert found.forecasts.shape == naive.shape
    ours = np.abs(found.forecasts - found.actual).mean()
    assert ours < 0.3 * np.abs(naive - found.actual).mean()


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_forecaster_is_windows_scaler_and_network(name, dtype):
    series = wave(100, 2).astype(dtype)
    network = clone(NETWORKS[name]).set_params(max_iter=3)
    model = Forecaster(network, LOOKBACK, HORIZON, target=[0], scaler=None).fit(series)
    windows, following = make_windows(series, LOOKBACK, HORIZON, target=[0])
    assert np.shares_memory(windows, series)
    by_hand = clone(network).fit(windows, following)
    assert_array_equal(model.estimator_._params, by_hand._params)
    assert model.predict().dtype == dtype
    assert_array_equal(model.predict().ravel(), by_hand.predict(series[None, -LOOKBACK:]).ravel())


@EACH
def test_all_that_forecasters_do(name):
    pandas = pytest.importorskip("pandas")
    days = pandas.date_range("2024-01-01", periods=100, freq="D")
    series = pandas.DataFrame(wave(100, 2), days, columns=["a", "b"])
    network = clone(NETWORKS[name]).set_params(
        loss="quantile", quantiles=[0.1, 0.5, 0.9], early_stopping=True, max_iter=20
    )
    model = Forecaster(network, LOOKBACK, HORIZON, target="a").fit(series)
    following = pandas.date_range("2024-04-10", periods=3, freq="D")
    quantiles = model.predict_quantiles()
    assert quantiles.index.equals(following)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert_allclose(model.predict(), quantiles[0.5])
    again = pickle.loads(pickle.dumps(model))
    pandas.testing.assert_frame_equal(again.predict_quantiles(), quantiles)
    later = series.iloc[20:60]
    assert_array_equal(model.predict(later), model.predict(later.iloc[-LOOKBACK:]))


def test_causal_stacks_see_what_their_windows_reach():
    series = wave()
    model = Forecaster(causal_stack(2, max_iter=3), LOOKBACK, HORIZON, scaler=None).fit(series)
    expected = model.predict(series)
    within = 3 + 2 * 2  # windows of 3 steps, then of 3 that are 2 apart
    for steps_back, is_seen in ((within, True), (within + 1, False)):
        other = series.copy()
        other[-steps_back] += 1
        assert (model.predict(other) != expected).any() == is_seen


def test_searches_and_pipelines():
    series = wave()
    fcn = FCNRegressor(4, kernel_sizes=3, **{**CAUSAL, "max_iter": 3})
    grid = {"estimator__filters": [(4,), (4, 4)], "estimator__padding": ["same", "causal"], "lookback": [6, 12]}
    search = GridSearchCV(Forecaster(fcn, 12, 3), grid, cv=TimeSeriesSplit(2), error_score="raise").fit(series)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    halved = make_pipeline(FunctionTransformer(np.copy), fcn)
    assert_array_equal(Forecaster(halved, 12, 3).fit(series).predict(), Forecaster(fcn, 12, 3).fit(series).predict())
    stack = Forecaster(causal_stack(max_iter=3), 12, 3)
    with pytest.raises(ValueError, match="Residual"):  # the shortcut keeps the number of channels
        stack.set_params(estimator__layers__1__filters=4).fit(series)
    grid = {"estimator__layers__1__kernel_size": [2, 4], "estimator__layers__2__layers__0__dilation": [2, 3]}
    search = GridSearchCV(Forecaster(causal_stack(max_iter=3), 12, 3), grid, cv=TimeSeriesSplit(2)).fit(series)
    assert len(search.best_estimator_.predict()) == 3


def test_windows_longer_than_any_seen_are_read():
    series = wave()
    for network in (clone(NETWORKS["FCN"]), causal_stack()):
        model = Forecaster(network.set_params(max_iter=3), 12, 3, scaler=None).fit(series)
        windows, _ = make_windows(series, 20, 3)
        assert model.estimator_.predict(windows).shape == (len(windows), 3)
