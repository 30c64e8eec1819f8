"""Time series with the regressors of this package: windows of a series, forecasts, and tests of them on the past."""

from skneural.timeseries._backtest import Backtest
from skneural.timeseries._forecaster import Forecaster
from skneural.timeseries._scoring import forecast_scorer
from skneural.timeseries._windows import make_windows

__all__ = ["Backtest", "Forecaster", "forecast_scorer", "make_windows"]
