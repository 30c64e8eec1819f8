"""The display of forecasts reads estimators, backtests and forecasters."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_forecast_plotting import ACTUAL, DAYS, HISTORY, NAN, band_of, mdates, series_of
from test_plotting import closed_figures, legend_of  # noqa: F401

from skneural import MLPRegressor
from skneural.plotting import ForecastDisplay
from skneural.timeseries import Forecaster


def test_estimator_of_one_step():
    X = pd.DataFrame({"x": np.arange(6.0)}, DAYS)
    reg = make_pipeline(StandardScaler(), LinearRegression()).fit(X, ACTUAL)
    display = ForecastDisplay.from_estimator(reg, X, ACTUAL)
    assert_array_equal(display.lines_[0].get_ydata(), ACTUAL)
    assert_allclose(display.lines_[1].get_ydata(), reg.predict(X))
    assert_allclose(series_of(display.lines_[1])[0], mdates.date2num(DAYS))
    residuals = ForecastDisplay.from_estimator(reg, X, pd.Series(ACTUAL, DAYS, name="load"), kind="residuals")
    assert_allclose(residuals.lines_[0].get_ydata(), ACTUAL - reg.predict(X))
    with pytest.raises(ValueError, match="kind='fan' needs an estimator that predicts several steps"):
        ForecastDisplay.from_estimator(reg, X, ACTUAL, kind="fan")
    with pytest.raises(NotFittedError):
        ForecastDisplay.from_estimator(LinearRegression(), X, ACTUAL)


def test_estimator_of_several_steps():
    X, Y = np.arange(5.0)[:, np.newaxis], np.column_stack([ACTUAL[:-1], ACTUAL[1:]])
    reg = LinearRegression().fit(X, Y)
    display = ForecastDisplay.from_estimator(reg, X, Y, horizon_step=2)
    assert_array_equal(display.lines_[0].get_ydata(), Y[:, 1])
    assert_allclose(display.lines_[1].get_ydata(), reg.predict(X)[:, 1])
    fan = ForecastDisplay.from_estimator(reg, X, Y, kind="fan", origin=2, history=HISTORY, n_history=4)
    assert_array_equal(fan.lines_[0].get_ydata(), [16, 17, 18, 19])
    assert_array_equal(fan.lines_[1].get_ydata(), [19, *Y[2]])
    assert_allclose(fan.lines_[2].get_ydata(), [19, *reg.predict(X)[2]])
    for wrong in ({"horizon_step": 3}, {"horizon_step": 0}, {"kind": "fan", "origin": 5}):
        with pytest.raises(ValueError, match=r"horizon_step must be one of the steps 1 to 2|There are 5 origins"):
            ForecastDisplay.from_estimator(reg, X, Y, **wrong)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimator_of_quantiles():
    X = np.arange(6.0)[:, np.newaxis]
    reg = MLPRegressor("quantile", (3,), quantiles=[0.9, 0.5, 0.1], max_iter=2, random_state=0).fit(X, ACTUAL)
    display = ForecastDisplay.from_estimator(make_pipeline(reg), X, ACTUAL)
    predicted = reg.predict(X)
    assert legend_of(display.ax_) == ["Actual", "Predicted", "80 % interval"]
    assert_array_equal(display.lines_[1].get_ydata(), predicted[:, 1])
    assert_allclose(band_of(display.bands_[0])[1:], predicted[:, [2, 0]].T)
    search = GridSearchCV(reg, {"alpha": [0.1]}, cv=2, scoring=lambda est, X, y: 0.0).fit(X, ACTUAL)
    display = ForecastDisplay.from_estimator(search, X, ACTUAL)
    assert_allclose(band_of(display.bands_[0])[1:], search.predict(X)[:, [2, 0]].T)


class Quantiles(RegressorMixin, BaseEstimator):
    """Three steps of x, and 1 and 2 around each."""

    loss, quantiles = "quantile", (0.9, 0.5, 0.1)

    def fit(self, X, y):
        """Nothing to learn."""
        self.fitted_ = True
        return self

    def predict(self, X):
        """Shape (n_samples, 3, 3)."""
        return (X + np.arange(3.0))[:, :, np.newaxis] + [1, 0, -2]


def test_estimator_of_quantiles_of_several_steps():
    X = np.arange(6.0)[:, np.newaxis]
    Y = X + np.arange(3.0)
    reg = Quantiles().fit(X, Y)
    display = ForecastDisplay.from_estimator(reg, X, Y, horizon_step=2)
    assert_array_equal(display.lines_[1].get_ydata(), X[:, 0] + 1)
    assert_allclose(band_of(display.bands_[0])[1:], [X[:, 0] - 1, X[:, 0] + 2])
    fan = ForecastDisplay.from_estimator(reg, X, Y, kind="fan", origin=2)
    assert_array_equal(fan.lines_[1].get_ydata(), [2, 3, 4])
    assert_allclose(band_of(fan.bands_[0])[1:], [[0, 1, 2], [3, 4, 5]])


class Last(RegressorMixin, BaseEstimator):
    """Of the next two steps the last value of the window, and quantiles 1 below and above."""

    loss, quantiles = "quantile", (0.1, 0.5, 0.9)

    def fit(self, X, y):
        """Note the number of targets."""
        self.n_targets_ = y.shape[1] // 2
        return self

    def predict(self, X):
        """Quantiles of the steps."""
        return np.tile(X[:, -1, : self.n_targets_], 2)[..., np.newaxis] + [-1, 0, 1]


@pytest.fixture
def frame():
    index = pd.date_range("2024-01-01", periods=40, freq="MS", name="Month")
    return pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0) ** 2}, index)


def test_backtest(frame):
    backtest = Forecaster(Last(), lookback=3, horizon=2, scaler=None).backtest(frame, 10)
    display = ForecastDisplay.from_backtest(backtest, horizon_step=2, target=1)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Month", "b")
    assert legend_of(display.ax_) == ["Actual", "Predicted", "80 % interval"]
    for line in display.lines_:
        assert_allclose(series_of(line)[0], mdates.date2num(frame.index[31:]))
    assert_array_equal(display.lines_[0].get_ydata(), frame["b"].iloc[31:])
    assert_array_equal(display.lines_[1].get_ydata(), frame["b"].iloc[29:-2])
    assert_allclose(band_of(display.bands_[0])[1], frame["b"].iloc[29:-2] - 1)
    fan = ForecastDisplay.from_backtest(backtest, kind="fan", origin=4)
    history, actual, forecast = fan.lines_
    assert_allclose(series_of(history)[0], mdates.date2num(frame.index[30:34]))
    assert_array_equal(history.get_ydata(), frame["a"].iloc[30:34])
    assert_allclose(series_of(forecast)[0], mdates.date2num(frame.index[33:36]))
    assert_array_equal(actual.get_ydata(), [33, 34, 35])
    assert_array_equal(forecast.get_ydata(), [33, 33, 33])
    assert legend_of(ForecastDisplay.from_backtest(backtest, kind="fan", origin=0).ax_)[0] == "Actual"
    residuals = ForecastDisplay.from_backtest(backtest, kind="residuals")
    assert_array_equal(residuals.lines_[0].get_ydata(), np.ones(9))
    for wrong in ({"target": 2}, {"horizon_step": 3}):
        with pytest.raises(ValueError, match=r"target must be one of the positions 0 to 1|horizon_step must be one of"):
            ForecastDisplay.from_backtest(backtest, **wrong)


def test_backtest_of_an_array():
    backtest = Forecaster(Last(), lookback=3, horizon=2, scaler=None).backtest(np.arange(30.0), 10, step=3)
    display = ForecastDisplay.from_backtest(backtest)
    assert_array_equal(display.lines_[0].get_xydata(), np.column_stack([[20, 23, 26], [20, 23, 26]]))
    gaps = ForecastDisplay.from_backtest(backtest, kind="fan").lines_[0]
    assert_array_equal(gaps.get_xydata(), np.column_stack([np.arange(20, 26), [20, 21, NAN, 23, 24, NAN]]))


def test_forecaster(frame):
    forecaster = Forecaster(Last(), lookback=3, horizon=2, scaler=None).fit(frame[:30])
    display = ForecastDisplay.from_forecaster(forecaster, frame[:36], y_true=frame[36:], target=1)
    assert legend_of(display.ax_) == ["History", "Actual", "Forecast", "80 % interval"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Month", "b")
    history, actual, forecast = display.lines_
    assert_array_equal(history.get_ydata(), frame["b"].iloc[12:36])
    assert_array_equal(actual.get_ydata(), frame["b"].iloc[35:38])
    assert_allclose(series_of(forecast)[0], mdates.date2num(frame.index[35:38]))
    assert_array_equal(forecast.get_ydata(), [35**2] * 3)
    assert_array_equal(forecast.get_ydata()[1:], forecaster.predict(frame[:36])["b"])
    assert_allclose(band_of(display.bands_[0])[2], [35**2, 35**2 + 1, 35**2 + 1])
    training = ForecastDisplay.from_forecaster(forecaster, y_true=[30.0]).lines_
    assert_array_equal(training[0].get_ydata(), [27, 28, 29])
    assert_array_equal(training[1].get_ydata(), [29, 30, NAN])
    array = ForecastDisplay.from_forecaster(forecaster, frame.to_numpy())
    assert_array_equal(array.lines_[1].get_xdata(), [0, 1, 2])
    assert array.ax_.get_xlabel() == "Step"
