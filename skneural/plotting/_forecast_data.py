"""What the display of forecasts draws: arrays of one length and in order of time, checked."""

from __future__ import annotations

import copy
from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skneural.plotting._utils import check_curve, check_times


class ForecastData:
    """Predictions and what stands beside them, in order of time. What is not known is NaN or empty.

    `times` are numbers or dates. `values` has a column each for the actual values, the predictions and the quantiles.
    """

    def __init__(self, display, first):
        n_times = np.size(display.y_pred)
        predicted = check_curve(display.y_pred, n_times, "y_pred", "times")
        if not n_times:
            raise ValueError("There are no predictions to draw.")
        actual = check_curve(display.y_true, n_times, "y_true", "times")
        quantiles, self.levels = check_quantiles(display, n_times)
        self.history, self.history_times = check_history(display)
        times = times_of(display, n_times, self.history_times, first)
        order = np.argsort(times, kind="stable")
        self.times = times[order]
        self.values = np.column_stack([actual, predicted, quantiles])[order]

    @property
    def actual(self):
        """The actual values."""
        return self.values[:, 0]

    @property
    def predicted(self):
        """The predictions."""
        return self.values[:, 1]

    def intervals(self):
        """Lower end, upper end and name of each interval, from the outermost inwards."""
        quantiles = self.values[:, 2:].T
        found = []
        for i in range(len(self.levels) // 2):
            j = -1 - i
            name = name_of_interval(self.levels[i], self.levels[j])
            found.append((quantiles[i], quantiles[j], name))
        return found

    def middle_quantile(self):
        """Values and level of the quantile in the middle; None if there is none, or the median, which is predicted."""
        middle, is_odd = divmod(len(self.levels), 2)
        if not is_odd or np.isclose(self.levels[middle], 0.5):
            return None
        return self.values[:, 2 + middle], self.levels[middle]

    def coverage(self):
        """Share of the known actual values within each interval, NaN if none is known."""
        shares = []
        for lower, upper, _ in self.intervals():
            known = ~np.isnan(self.actual + lower + upper)
            within = (lower <= self.actual) & (self.actual <= upper)
            shares.append(float(within[known].mean()) if known.any() else np.nan)
        return shares

    def opened(self):
        """The same with the last value of the history in front, which is certain: from there a fan opens."""
        is_unknown = np.isnan(self.values).all(axis=0)
        last = np.where(is_unknown, np.nan, self.history[-1])
        opened = copy.copy(self)
        opened.times = np.concatenate([self.history_times[-1:], self.times])
        opened.values = np.vstack([last, self.values])
        return opened


def name_of_interval(lower, upper):
    """What an interval is called: by its probability, by its ends if it is not in the middle."""
    if np.isclose(lower + upper, 1):
        return f"{100 * (upper - lower):.3g} % interval"
    return f"Quantiles {lower:.3g} to {upper:.3g}"


def check_quantiles(display, n_times):
    """Quantiles of shape (n_times, n_quantiles) and their levels, both empty where there are none."""
    if display.quantiles is None:
        return np.empty((n_times, 0)), np.empty(0)
    levels = display.levels
    if levels is None:
        levels = getattr(display.quantiles, "columns", None)
    if levels is None:
        raise ValueError("quantiles needs levels, which say what quantiles these are.")
    try:
        levels = np.asarray(levels, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"levels must be numbers, got {list(levels)!r}.") from None
    ends = np.concatenate([[0], np.ravel(levels), [1]])
    if levels.ndim != 1 or not (np.diff(ends) > 0).all():
        raise ValueError(f"levels must be ascending numbers in (0, 1), got {levels.tolist()!r}.")
    quantiles = np.asarray(display.quantiles, dtype=float)
    if quantiles.shape != (n_times, len(levels)):
        raise ValueError(
            "quantiles must have the shape (n_times, n_quantiles), "
            f"here {(n_times, len(levels))}, got {quantiles.shape}."
        )
    return quantiles, levels


def check_history(display):
    """Values before a forecast and their times, both empty where there are none."""
    if display.history is None or np.size(display.history) == 0:
        return np.empty(0), np.empty(0)
    n_history = np.size(display.history)
    history = check_curve(display.history, n_history, "history", "times")
    if display.history_index is not None:
        times = check_times(display.history_index, n_history, "history_index")
        order = np.argsort(times, kind="stable")
        return history[order], times[order]
    if display.index is not None:
        raise ValueError("history needs history_index where the forecast has an index.")
    return history, np.arange(1 - n_history, 1)


def times_of(display, n_times, history_times, first):
    """Times of the predictions."""
    if display.index is not None:
        return check_times(display.index, n_times, "index")
    if len(history_times) == 0:
        return np.arange(first, first + n_times)
    if display.history_index is None:
        return np.arange(1, n_times + 1)
    if len(history_times) == 1:
        raise ValueError("A history of one value does not tell the times of the forecast: index is needed.")
    last = history_times[-1]
    step = last - history_times[-2]
    return np.asarray([last + step * i for i in range(1, n_times + 1)])


# -- what users hand over ----------------------------------------------------------------------------------------------


def index_or_none(index):
    """An index that can be drawn over, None for others: names, durations, several levels."""
    try:
        check_times(index, len(index), "index")
    except (TypeError, ValueError):
        return None
    return index


def first_index(*candidates):
    """The first index of pandas objects that holds dates or numbers, else None."""
    indexes = (index_or_none(candidate.index) for candidate in candidates if hasattr(candidate, "iloc"))
    return next((index for index in indexes if index is not None), None)


def first_name(*candidates):
    """The first name that a pandas object brings along, else None."""
    names = (getattr(candidate, "name", None) for candidate in candidates)
    return next((name for name in names if isinstance(name, str)), None)


def steps_drawn(shape, kind, horizon_step, origin):
    """Which of the forecasts of shape (n_origins, horizon, ...) are drawn: all steps of one, or one step of all."""
    n_origins, horizon = shape[:2]
    if kind == "fan":
        if not -n_origins <= origin < n_origins:
            raise ValueError(f"There are {n_origins} origins: origin={origin} is none of them.")
        return origin, slice(None)
    if not (isinstance(horizon_step, Integral) and 1 <= horizon_step <= horizon):
        raise ValueError(f"horizon_step must be one of the steps 1 to {horizon}, got {horizon_step!r}.")
    return slice(None), horizon_step - 1


def check_target(target, n_targets):
    """Raise if there is no such target."""
    if not (isinstance(target, Integral) and 0 <= target < n_targets):
        raise ValueError(f"target must be one of the positions 0 to {n_targets - 1}, got {target!r}.")


def name_of_target(forecaster, series, target):
    """Name of a target column, None where there are only positions."""
    name = forecaster._target_names(series)[target]
    return name if isinstance(name, str) else None


def read_backtest(backtest, kind, horizon_step, origin, target):
    """What :meth:`ForecastDisplay.from_predictions` takes, of the attributes of a backtest."""
    forecasts = backtest.forecasts
    actual = backtest.actual
    quantiles = getattr(backtest, "quantiles", None)
    if forecasts.ndim == 3:
        check_target(target, forecasts.shape[2])
        forecasts = forecasts[:, :, target]
        actual = actual[:, :, target]
        if quantiles is not None:
            quantiles = quantiles[:, :, target]
    times = backtest.index
    if index_or_none(times) is None:
        times = backtest.origins[0] + np.arange(len(times))
    steps = steps_drawn(forecasts.shape, kind, horizon_step, origin)
    starts = backtest.origins - backtest.origins[0]
    rows = starts[:, np.newaxis] + np.arange(forecasts.shape[1])
    drawn = {"y_pred": forecasts[steps], "y_true": actual[steps], "index": times[rows[steps]]}
    if quantiles is not None:
        drawn["quantiles"] = quantiles[steps]
        drawn["levels"] = backtest.levels
    if kind == "fan":
        tested = np.full(rows.max() + 1, np.nan)
        tested[rows] = actual
        drawn["history"] = tested[: starts[origin]]
        drawn["history_index"] = times[: starts[origin]]
    forecaster = getattr(backtest, "forecaster", None)
    if forecaster is not None:
        drawn["target_name"] = name_of_target(forecaster, forecaster._end, target)
    return drawn


def read_forecaster(forecaster, series, y_true, target):
    """What :meth:`ForecastDisplay.from_predictions` takes, of a forecast."""
    check_is_fitted(forecaster)
    history, points, quantiles = forecaster._next(series)
    _, horizon, n_targets = points.shape
    check_target(target, n_targets)
    column = forecaster._targets[target]
    drawn = {
        "y_pred": points[0, :, target],
        "y_true": None,
        "history": history.values[:, column],
        "target_name": name_of_target(forecaster, history, target),
    }
    if quantiles is not None:
        drawn["quantiles"] = quantiles[0, :, target]
        drawn["levels"] = forecaster.levels_
    if y_true is not None:
        came = np.asarray(y_true, dtype=float)
        if came.ndim == 2:
            has_all_columns = came.shape[1] == history.values.shape[1]
            came = came[:, column if has_all_columns else target]
        drawn["y_true"] = np.full(horizon, np.nan)
        drawn["y_true"][: len(came)] = came[:horizon]
    times = history.index
    if times is not None and index_or_none(times.labels) is not None:
        drawn["history_index"] = times.labels
        drawn["index"] = times.after(horizon) if times.of_pandas else None
    return drawn
