"""How good forecasts of a past would have been."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils._param_validation import Interval, RealNotInt, validate_parameter_constraints

from skneural.timeseries._series import check_finite, check_rows, read_series
from skneural.timeseries._windows import COUNT

#: What :meth:`Forecaster.backtest` takes.
CONSTRAINTS = {
    "test_size": [*COUNT, Interval(RealNotInt, 0, 1, closed="neither")],
    "step": COUNT,
    "season": COUNT,
}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Backtest:
    """Forecasts from many origins in a part of a series that was not trained on, beside what came.

    :meth:`Forecaster.backtest` makes one; printed, it is a table. Shapes are those of several targets; for one that was
    chosen by itself, or a series in one dimension, there is no axis of targets. Errors are in units of the data.

    Parameters
    ----------
    origins : ndarray of shape (n_origins,)
        Rows of the series, counted from 0, with which the forecasts begin: each knows the rows before its own.
    index : pandas Index or ndarray of shape (n_tested,)
        What the rows from the first origin to the end of the series are called: their times, or their positions where
        there are none.
    forecasts : ndarray of shape (n_origins, horizon, n_targets)
        The forecasts; of quantiles, the one nearest to the median.
    actual : ndarray of shape (n_origins, horizon, n_targets)
        What came.
    naive : ndarray of shape (n_origins, horizon, n_targets)
        The seasonal naive forecasts, for comparison: the value one season before, or as many seasons as there have to
        be for it to be known.
    season : int
        Rows of a season. With 1, the naive forecast is the last value.
    scale : ndarray of shape (n_targets,) or float
        Mean absolute difference of values one season apart in the training part: what `mase` divides by.
    forecaster : Forecaster
        Fitted on the rows before the first origin.
    quantiles : ndarray of shape (n_origins, horizon, n_targets, n_quantiles) or None
        Forecast quantiles, if the estimator has several.
    levels : ndarray of shape (n_quantiles,) or None
        What quantiles these are, ascending.

    References
    ----------
    Hyndman and Koehler (2006), "Another look at measures of forecast accuracy", International Journal of Forecasting
    22.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skneural.timeseries import Forecaster
    >>> flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    >>> months = np.arange(120)
    >>> series = 10 * np.sin(months * np.pi / 6) + months % 5
    >>> Forecaster(make_pipeline(flatten, Ridge()), lookback=12, horizon=3).backtest(series, test_size=24, season=12)
    Backtest of 22 origins from 96 to 117, horizon 3
            forecast     naive
    MAE       0.1215     2.379
    RMSE      0.1725     2.428
    MASE     0.05079    0.9941
    naive: the value 12 rows before
    """

    origins: np.ndarray
    index: Any
    forecasts: np.ndarray
    actual: np.ndarray
    naive: np.ndarray
    season: int
    scale: Any
    forecaster: Any
    quantiles: np.ndarray | None = None
    levels: np.ndarray | None = None

    @property
    def labels(self) -> Any:
        """What the rows of the origins are called."""
        first = self.origins[0]
        return self.index[self.origins - first]

    @property
    def mae(self) -> float:
        """Mean absolute error over all forecasts."""
        return float(np.mean(self.mae_by_step))

    @property
    def rmse(self) -> float:
        """Root of the mean squared error over all forecasts."""
        return _root_mean_square(self.forecasts - self.actual)

    @property
    def mase(self) -> float:
        """Mean absolute scaled error: over `scale`, mean over the targets; NaN where that is 0."""
        return self._scaled(self.forecasts)

    @property
    def naive_mae(self) -> float:
        """Mean absolute error of the seasonal naive forecasts."""
        errors = np.abs(self.naive - self.actual)
        return float(np.mean(errors))

    @property
    def naive_rmse(self) -> float:
        """Root of the mean squared error of the seasonal naive forecasts."""
        return _root_mean_square(self.naive - self.actual)

    @property
    def naive_mase(self) -> float:
        """Mean absolute scaled error of the seasonal naive forecasts."""
        return self._scaled(self.naive)

    @property
    def mae_by_step(self) -> np.ndarray:
        """Mean absolute error of each step ahead, shape (horizon,)."""
        errors = np.abs(self.forecasts - self.actual)
        return np.mean(errors, axis=self._but_steps)

    @property
    def rmse_by_step(self) -> np.ndarray:
        """Root of the mean squared error of each step ahead, shape (horizon,)."""
        squares = (self.forecasts - self.actual) ** 2
        return np.sqrt(np.mean(squares, axis=self._but_steps))

    @property
    def coverage(self) -> float | None:
        """Share of the actual values between the lowest and the highest quantile; None if there are not two."""
        if self.levels is None or len(self.levels) < 2:
            return None
        lowest = self.quantiles[..., 0]
        highest = self.quantiles[..., -1]
        within = (lowest <= self.actual) & (self.actual <= highest)
        return float(np.mean(within))

    @property
    def _but_steps(self):
        return (0, *range(2, self.actual.ndim))

    def _scaled(self, forecasts):
        errors = np.abs(forecasts - self.actual)
        of_targets = np.mean(errors, axis=(0, 1))
        scale = np.where(np.equal(self.scale, 0), np.nan, self.scale)
        return float(np.mean(of_targets / scale))

    def __repr__(self):
        labels = self.labels
        origins = "1 origin" if len(labels) == 1 else f"{len(labels)} origins"
        season = "1 row" if self.season == 1 else f"{self.season} rows"
        lines = [
            f"Backtest of {origins} from {labels[0]} to {labels[-1]}, horizon {self.actual.shape[1]}",
            "        forecast     naive",
            f"MAE   {self.mae:10.4g}{self.naive_mae:10.4g}",
            f"RMSE  {self.rmse:10.4g}{self.naive_rmse:10.4g}",
            f"MASE  {self.mase:10.4g}{self.naive_mase:10.4g}",
        ]
        if self.coverage is not None:
            lines.append(f"quantiles {self.levels[0]:g} to {self.levels[-1]:g} hold {self.coverage:.1%}")
        lines.append(f"naive: the value {season} before")
        return "\n".join(lines)


def backtest_of(forecaster, series, test_size, step, season):
    """Backtest of a clone of a forecaster, as :meth:`Forecaster.backtest` describes it."""
    given = {"test_size": test_size, "step": step, "season": season}
    validate_parameter_constraints(CONSTRAINTS, given, caller_name="Forecaster.backtest")
    lookback = forecaster.lookback
    horizon = forecaster.horizon
    series = read_series(series)
    n_tested = test_size if isinstance(test_size, Integral) else math.ceil(test_size * len(series))
    cut = len(series) - n_tested
    tested = series.rows(max(cut, 0))
    check_rows(tested, horizon, f"test_size={test_size!r} with horizon={horizon}")
    needed = max(lookback + horizon, season + 1)
    why = f"test_size={test_size!r} after lookback={lookback} with horizon={horizon} and season={season}"
    check_rows(series, needed + n_tested, why)
    check_finite(series)
    fitted = clone(forecaster).fit(series.rows(0, cut))
    return _roll(fitted, series, cut, step, season)


def _roll(forecaster, series, cut, step, season):
    """Backtest of a forecaster that is fitted on the first `cut` rows of a series."""
    horizon = forecaster.horizon
    before = cut - forecaster.lookback
    points, quantiles, actual = forecaster._roll(series.values[before:], step)
    values = series.values[:, forecaster._targets]
    origins = np.arange(cut, len(series) - horizon + 1, step)
    into_season = np.arange(horizon) % season
    naive = values[origins[:, None] - season + into_season]
    differences = values[season:cut] - values[: cut - season]
    scale = np.mean(np.abs(differences), axis=0)
    index = np.arange(cut, len(series)) if series.index is None else series.index.labels[cut:]
    if forecaster._alone:
        points = points[..., 0]
        actual = actual[..., 0]
        naive = naive[..., 0]
        scale = float(scale[0])
        if quantiles is not None:
            quantiles = quantiles[:, :, 0]
    return Backtest(
        origins=origins,
        index=index,
        forecasts=points,
        actual=actual,
        naive=naive,
        season=season,
        scale=scale,
        forecaster=forecaster,
        quantiles=quantiles,
        levels=forecaster.levels_,
    )


def _root_mean_square(errors):
    return float(np.sqrt(np.mean(errors**2)))
