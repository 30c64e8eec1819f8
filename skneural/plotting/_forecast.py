"""Display of forecasts of time series: over time, their residuals, and a fan of what is to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from skneural._wrapped import levels_of
from skneural.plotting._forecast_data import (
    ForecastData,
    first_index,
    first_name,
    read_backtest,
    read_forecaster,
    steps_drawn,
)
from skneural.plotting._forecast_panels import draw_history, draw_intervals, draw_predictions, draw_residuals
from skneural.plotting._utils import legend_on_top, line_style, make_panels, time_on_x

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(kw_only=True, eq=False, repr=False)
class ForecastDisplay:
    """Forecasts of a time series beside what came: over time, their residuals, or a fan of the steps to come.

    Use :meth:`from_predictions`, :meth:`from_estimator`, :meth:`from_backtest` or :meth:`from_forecaster` to make one.
    All parameters are stored as attributes.

    Parameters
    ----------
    y_pred : array-like of shape (n_times,)
        The predictions: one for each time, or of the steps of one forecast (kind "fan"). NaN leaves a gap, here and
        below.
    y_true : array-like of shape (n_times,), default=None
        The actual values, as far as they are known.
    index : array-like of shape (n_times,), default=None
        Dates or numbers, for the horizontal axis: the times of what is predicted. What is not in order is sorted. None
        goes on after `history_index` in its last step; without one it counts, from 0, and for kind "fan" from 1.
    quantiles : array-like of shape (n_times, n_quantiles), default=None
        Predicted quantiles: the outer two make the outer interval, and so on inwards. One in the middle that is not
        the median is drawn as a line.
    levels : array-like of shape (n_quantiles,), default=None
        What quantiles these are, in (0, 1) and ascending. None takes them from the columns of a frame of `quantiles`.
    history : array-like of shape (n_history,), default=None
        The values before the forecast, for kind "fan".
    history_index : array-like of shape (n_history,), default=None
        Their times. None counts up to 0, which makes the steps of the forecast 1, 2 and so on.
    target_name : str, default=None
        What is predicted, for the axis; None for "Value".

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the forecast or of the residuals.
    axes_ : list of matplotlib Axes
        All panels: that, and with kind "residuals" the histogram.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        The curves, in the order of the legend: history, actual values, predictions and a quantile in the middle, as far
        as they are drawn; for kind "residuals" the residuals, which are dots, and their mean.
    bands_ : list of matplotlib PolyCollection
        The intervals, from the outermost inwards.
    coverage_ : list of float
        For each of them the share of the actual values that lie in it; NaN if none is known.
    histogram_ : matplotlib BarContainer or None
        The bars of the histogram.
    origin_line_ : matplotlib Line2D or None
        For kind "fan" with a history, what marks its last value.

    See Also
    --------
    sklearn.metrics.PredictionErrorDisplay : Predictions of any regressor against the actual values.
    TimestepImportanceDisplay : The time steps that predictions rest on.

    References
    ----------
    Gneiting and Katzfuss (2014), "Probabilistic forecasting", Annual Review of Statistics and Its Application 1.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skneural.plotting import ForecastDisplay
    >>> y_true, y_pred = [1.0, 3.0, 2.0, 4.0], [1.5, 2.5, 2.5, 3.0]
    >>> quantiles = [[1.2, 1.9], [2.2, 3.1], [2.1, 2.9], [2.5, 4.5]]
    >>> display = ForecastDisplay.from_predictions(y_true, y_pred, quantiles=quantiles, levels=[0.1, 0.9])
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['Actual', 'Predicted', '80 % interval']
    >>> display.coverage_
    [0.5]
    >>> plt.close(display.figure_)
    """

    y_pred: ArrayLike
    y_true: ArrayLike | None = None
    index: ArrayLike | None = None
    quantiles: ArrayLike | None = None
    levels: ArrayLike | None = None
    history: ArrayLike | None = None
    history_index: ArrayLike | None = None
    target_name: str | None = None

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike | None,
        y_pred: ArrayLike,
        *,
        index: ArrayLike | None = None,
        quantiles: ArrayLike | None = None,
        levels: ArrayLike | None = None,
        history: ArrayLike | None = None,
        history_index: ArrayLike | None = None,
        target_name: str | None = None,
        ax: Axes | ArrayLike | None = None,
        kind: str = "time",
        **options: Any,
    ) -> Self:
        """Draw predictions that are there already.

        Parameters
        ----------
        y_true : array-like of shape (n_times,) or None
            The actual values; None if none is known. Its index, if it is a pandas Series, is the default of `index`, as
            far as it holds dates or numbers; else that of `y_pred` is.
        y_pred : array-like of shape (n_times,)
            The predictions.
        index, quantiles, levels, history, history_index, target_name
            As in the class. A Series brings index and name along.
        ax, kind, **options
            As in :meth:`plot`.

        Returns
        -------
        display : ForecastDisplay

        Raises
        ------
        ValueError
            If lengths differ, or if something is missing that `kind` needs.
        """
        return cls(
            y_pred=y_pred,
            y_true=y_true,
            index=first_index(y_true, y_pred) if index is None else index,
            quantiles=quantiles,
            levels=levels,
            history=history,
            history_index=first_index(history) if history_index is None else history_index,
            target_name=target_name or first_name(y_true, history),
        ).plot(ax, kind=kind, **options)

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike | None,
        *,
        horizon_step: int = 1,
        origin: int = -1,
        ax: Axes | ArrayLike | None = None,
        kind: str = "time",
        **options: Any,
    ) -> Self:
        """Draw the predictions of a fitted regressor for the rows of a time series.

        If it predicts several quantiles (``loss="quantile"``), they are drawn, with the one nearest to the median as
        prediction.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor, or a pipeline that ends in one.
        X : array-like
            What it predicts from, a row or a sequence for each time.
        y : array-like of shape (n_samples,) or (n_samples, horizon), or None
            The actual values.
        horizon_step : int, default=1
            Of an estimator that predicts several steps at once, the step that is drawn, counted from 1, for the kinds
            "time" and "residuals".
        origin : int, default=-1
            The row of `X` whose steps are drawn, for kind "fan".
        ax, kind
            As in :meth:`plot`.
        **options
            The other parameters of :meth:`from_predictions`. `index` is, but for kind "fan", that of `y` or else of `X`
            if they are pandas objects.

        Returns
        -------
        display : ForecastDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If there is no such step or row, if kind "fan" is asked of an estimator that predicts one step, or as in
            :meth:`from_predictions`.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        predicted = np.asarray(estimator.predict(X))
        levels = levels_of(estimator)
        has_steps = predicted.ndim > (1 if levels is None else 2)
        if has_steps:
            predicted = predicted[steps_drawn(predicted.shape, kind, horizon_step, origin)]
        elif kind == "fan":
            raise ValueError("kind='fan' needs an estimator that predicts several steps, a column each.")
        if levels is not None:
            order = np.argsort(levels)
            options = {"quantiles": predicted[:, order], "levels": levels[order], **options}
            predicted = predicted[:, np.abs(levels - 0.5).argmin()]
        if kind != "fan" and options.get("index") is None:
            options["index"] = first_index(y, X)
        if np.ndim(y) > 1:
            y = np.asarray(y)[steps_drawn(np.shape(y), kind, horizon_step, origin)]
        return cls.from_predictions(y, predicted, ax=ax, kind=kind, **options)

    @classmethod
    def from_backtest(
        cls,
        backtest: Any,
        *,
        horizon_step: int = 1,
        origin: int = -1,
        target: int = 0,
        ax: Axes | ArrayLike | None = None,
        kind: str = "time",
        **options: Any,
    ) -> Self:
        """Draw the forecasts of a backtest: one step of all of them over time, or all steps of one as a fan.

        Parameters
        ----------
        backtest : Backtest
            What :meth:`skneural.timeseries.Forecaster.backtest` returns. Only its attributes are read.
        horizon_step : int, default=1
            The step ahead that is drawn, counted from 1, for the kinds "time" and "residuals".
        origin : int, default=-1
            Which of the origins, for kind "fan". The history are the values of the test part before it.
        target : int, default=0
            Which of several targets.
        ax, kind, **options
            As in :meth:`from_predictions`.

        Returns
        -------
        display : ForecastDisplay

        Raises
        ------
        ValueError
            If there is no such step, origin or target, or as in :meth:`from_predictions`.
        """
        check_matplotlib_support(f"{cls.__name__}.from_backtest")
        options = read_backtest(backtest, kind, horizon_step, origin, target) | options
        return cls.from_predictions(ax=ax, kind=kind, **options)

    @classmethod
    def from_forecaster(
        cls,
        forecaster: Any,
        series: ArrayLike | None = None,
        *,
        y_true: ArrayLike | None = None,
        target: int = 0,
        ax: Axes | ArrayLike | None = None,
        kind: str = "fan",
        **options: Any,
    ) -> Self:
        """Draw the forecast of a fitted forecaster, with its quantiles if it has any, after what it continues.

        Parameters
        ----------
        forecaster : Forecaster
            A fitted :class:`skneural.timeseries.Forecaster`.
        series : array-like, pandas or polars Series or DataFrame, default=None
            What to continue, as in its `predict`. None for the training series, of which it has the last rows.
        y_true : array-like of shape (n_rows,), (n_rows, n_features) or (n_rows, n_targets), default=None
            What came, the rows right after the series, if it is known already; as many or as few as there are.
        target : int, default=0
            Which of several targets.
        ax, kind, **options
            As in :meth:`from_predictions`.

        Returns
        -------
        display : ForecastDisplay

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.
        TypeError, ValueError
            If `series` is none that it can continue, if there is no such target, or as in :meth:`from_predictions`.
        """
        check_matplotlib_support(f"{cls.__name__}.from_forecaster")
        options = read_forecaster(forecaster, series, y_true, target) | options
        return cls.from_predictions(ax=ax, kind=kind, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        kind: str = "time",
        against: str = "time",
        n_history: int | str | None = "auto",
        line_kw: dict[str, Any] | None = None,
        band_kw: dict[str, Any] | None = None,
        hist_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the forecast.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw: one Axes, for kind "residuals" two or one of a grid, which is divided. None makes a new
            figure.
        kind : {'time', 'residuals', 'fan'}, default='time'
            What to draw:

            - 'time': actual values and predictions over time, with the intervals where there are quantiles.
            - 'residuals': actual minus predicted values over time, or against the predictions, and their histogram.
            - 'fan': the history, and from its last value on the forecast with its intervals, and the actual values if
              they are known.
        against : {'time', 'predicted'}, default='time'
            For kind "residuals", the horizontal axis.
        n_history : int, 'auto' or None, default='auto'
            For kind "fan", how many values of the history to draw: 'auto' for three times as many as the forecast has,
            at least 24; None for all.
        line_kw : dict, default=None
            Keywords for Matplotlib's `plot`, for all curves, and for the dots of the residuals.
        band_kw : dict, default=None
            Keywords for Matplotlib's `fill_between`, for all intervals.
        hist_kw : dict, default=None
            Keywords for Matplotlib's `hist`.

        Returns
        -------
        display : ForecastDisplay

        Raises
        ------
        ValueError
            If lengths differ, if residuals are asked for and no actual value is known, for quantiles without levels, if
            `ax` does not fit the panels, or for an unknown `kind`, `against` or `n_history`.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if kind not in ("time", "residuals", "fan"):
            raise ValueError(f"Unknown kind: {kind!r}. Should be one of 'time', 'residuals' or 'fan'.")
        is_fan = kind == "fan"
        data = ForecastData(self, first=1 if is_fan else 0)
        line_kw = line_style(line_kw)
        self.lines_ = []
        self.bands_ = []
        self.coverage_ = []
        self.histogram_ = None
        self.origin_line_ = None
        if kind == "residuals":
            self.axes_, self.lines_, self.histogram_ = draw_residuals(ax, data, against, line_kw, hist_kw or {})
        else:
            self.axes_ = make_panels(ax, 1, figsize=(7.6, 4.2))
            self.coverage_ = data.coverage()
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        if is_fan and len(data.history):
            line, self.origin_line_ = draw_history(self.ax_, data, n_history, line_kw)
            self.lines_.append(line)
            data = data.opened()
        if kind != "residuals":
            self.lines_ += draw_predictions(self.ax_, data, is_fan, line_kw)
            self.bands_ = draw_intervals(self.ax_, data, band_kw or {})
            self.ax_.set_ylabel(self.target_name or "Value")
            legend_on_top(self.ax_)
        if kind != "residuals" or against == "time":
            is_counted = is_fan and self.index is None and self.history_index is None
            label = first_name(self.index, self.history_index) or ("Step" if is_counted else "Time")
            self.ax_.margins(x=0.02)
            time_on_x(self.ax_, data.times, label)
        return self
