"""What the display of forecasts draws: arrays of one length and in order, made of what it was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skneural._wrapped import levels_of
from skneural.plotting._drawing import places_in_time


@dataclass
class Course:
    """Predictions over time and what stands beside them, sorted by time; None what there is not."""

    times: np.ndarray
    predicted: np.ndarray
    actual: np.ndarray | None
    quantiles: np.ndarray | None
    levels: np.ndarray | None
    history: np.ndarray | None
    history_times: np.ndarray | None

    @property
    def intervals(self):
        """Lower and upper end of each interval, from the outermost inwards, and its name."""
        if self.quantiles is None:
            return []
        count = len(self.levels)
        return [
            (self.quantiles[:, i], self.quantiles[:, -1 - i], name_of_interval(self.levels[i], self.levels[-1 - i]))
            for i in range(count // 2)
        ]

    @property
    def middle(self):
        """The quantile in the middle and its name, where it is no median: that says what the predictions say."""
        if self.quantiles is None or len(self.levels) % 2 == 0:
            return None
        level = self.levels[len(self.levels) // 2]
        return None if np.isclose(level, 0.5) else (self.quantiles[:, len(self.levels) // 2], f"Quantile {level:.3g}")

    def coverage(self):
        """Share of the known actual values within each interval, NaN if none is known."""
        shares = []
        for lower, upper, _ in self.intervals:
            known = np.zeros(len(lower), bool) if self.actual is None else ~np.isnan(self.actual + lower + upper)
            within = (lower[known] <= self.actual[known]) & (self.actual[known] <= upper[known]) if known.any() else []
            shares.append(float(np.mean(within)) if known.any() else np.nan)
        return shares

    def opened(self):
        """The same with the last value of the history in front, which is certain: from there a fan opens."""
        last = self.history[-1:]
        return replace(
            self,
            times=np.concatenate([self.history_times[-1:], self.times]),
            predicted=np.concatenate([last, self.predicted]),
            actual=None if self.actual is None else np.concatenate([last, self.actual]),
            quantiles=None
            if self.quantiles is None
            else np.vstack([np.repeat(last, len(self.levels)), self.quantiles]),
        )


def name_of_interval(lower, upper):
    """What an interval is called: by its probability, by its ends if it is not in the middle."""
    if np.isclose(lower + upper, 1):
        return f"{100 * (upper - lower):.3g} % interval"
    return f"Quantiles {lower:.3g} to {upper:.3g}"


def course_of(display, first=0):
    """Course of a display's attributes; without an index times count from `first`."""
    predicted = one_for_each(display.y_pred, np.size(display.y_pred), "y_pred")
    count = len(predicted)
    if not count:
        raise ValueError("There are no predictions to draw.")
    actual = None if display.y_true is None else one_for_each(display.y_true, count, "y_true")
    actual = None if actual is None or np.isnan(actual).all() else actual
    quantiles, levels = quantiles_of(display, count)
    history, history_times = history_of(display)
    times = times_of(display, count, history_times, first)
    order = np.argsort(times, kind="stable")
    return Course(
        times[order],
        predicted[order],
        None if actual is None else actual[order],
        None if quantiles is None else quantiles[order],
        levels,
        history,
        history_times,
    )


def one_for_each(values, count, name):
    """A number for each time, as an array."""
    values = np.asarray(values, dtype=float)
    if values.shape != (count,):
        raise ValueError(f"{name} must hold one number for each of {count} times, got shape {values.shape}.")
    return values


def quantiles_of(display, count):
    """Quantiles and their levels, or twice None."""
    if display.quantiles is None:
        return None, None
    levels = display.levels if display.levels is not None else getattr(display.quantiles, "columns", None)
    if levels is None:
        raise ValueError("quantiles needs levels, which say what quantiles these are.")
    try:
        levels = np.asarray(levels, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"levels must be numbers, got {list(levels)!r}.") from None
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all() or not (np.diff(levels) > 0).all():
        raise ValueError(f"levels must be ascending numbers in (0, 1), got {levels.tolist()!r}.")
    quantiles = np.asarray(display.quantiles, dtype=float)
    if quantiles.shape != (count, len(levels)):
        raise ValueError(
            f"quantiles must have the shape (n_times, n_quantiles), here {(count, len(levels))}, got {quantiles.shape}."
        )
    return quantiles, levels


def history_of(display):
    """Values before a forecast and their times, or twice None."""
    if display.history is None:
        return None, None
    history = one_for_each(display.history, np.size(display.history), "history")
    if not len(history):
        return None, None
    if display.history_index is None:
        if display.index is not None:
            raise ValueError("history needs history_index where the forecast has an index.")
        return history, np.arange(1 - len(history), 1)
    times = places_in_time(display.history_index, len(history), "history_index")
    order = np.argsort(times, kind="stable")
    return history[order], times[order]


def times_of(display, count, history_times, first):
    """Times of the predictions."""
    if display.index is not None:
        return places_in_time(display.index, count, "index")
    if history_times is None:
        return np.arange(first, first + count)
    if display.history_index is None:
        return np.arange(1, count + 1)
    if len(history_times) < 2:
        raise ValueError("A history of one value does not tell the times of the forecast: index is needed.")
    last, step = history_times[-1], history_times[-1] - history_times[-2]
    return np.asarray([last + step * i for i in range(1, count + 1)])


def first_index(*candidates):
    """The first index of pandas objects that holds dates or numbers, else None."""
    indexes = (usable(candidate.index) for candidate in candidates if hasattr(candidate, "iloc"))
    return next((index for index in indexes if index is not None), None)


def usable(index):
    """An index that can be drawn over, None for others: names, durations, several levels."""
    try:
        places_in_time(index, len(index), "index")
    except (TypeError, ValueError):
        return None
    return index


def name_of(*candidates):
    """The first name that a pandas object brings along, else None."""
    names = [getattr(candidate, "name", None) for candidate in candidates]
    return next((name for name in names if isinstance(name, str)), None)


def step_of(values, kind, horizon_step, origin):
    """What is drawn of forecasts of several steps, shape (n_origins, horizon, ...): one forecast, or a step of all."""
    if values is None or np.ndim(values) < 2:
        return values
    values = np.asarray(values)
    if kind == "fan":
        if not -len(values) <= origin < len(values):
            raise ValueError(f"There are {len(values)} origins: origin={origin} is none of them.")
        return values[origin]
    if not (isinstance(horizon_step, Integral) and 1 <= horizon_step <= values.shape[1]):
        raise ValueError(f"horizon_step must be one of the steps 1 to {values.shape[1]}, got {horizon_step!r}.")
    return values[:, horizon_step - 1]


def quantiles_predicted(estimator, predicted):
    """Quantiles in ascending order, their levels and what is nearest to the median, if an estimator predicts them."""
    levels = levels_of(estimator)
    if levels is None:
        return None, None, predicted
    order = np.argsort(levels)
    return predicted[..., order], levels[order], predicted[..., np.abs(levels - 0.5).argmin()]


def read_backtest(backtest, kind, horizon_step, origin, target):
    """What :meth:`ForecastDisplay.from_predictions` takes, of the attributes of a backtest."""
    forecasts, actual, quantiles = backtest.forecasts, backtest.actual, getattr(backtest, "quantiles", None)
    if forecasts.ndim == 3:
        check_target(target, forecasts.shape[2])
        forecasts, actual = forecasts[:, :, target], actual[:, :, target]
        quantiles = None if quantiles is None else quantiles[:, :, target]
    starts = backtest.origins - backtest.origins[0]
    rows = starts[:, np.newaxis] + np.arange(forecasts.shape[1])
    drawn = {
        name: step_of(values, kind, horizon_step, origin)
        for name, values in [("y_pred", forecasts), ("y_true", actual), ("quantiles", quantiles), ("index", rows)]
    }
    times, forecaster = backtest.index, getattr(backtest, "forecaster", None)
    times = np.arange(len(times)) + backtest.origins[0] if usable(times) is None else times
    if kind == "fan":
        known = np.full(rows.max() + 1, np.nan)
        known[rows] = actual
        drawn |= {"history": known[: starts[origin]], "history_index": times[: starts[origin]]}
    if forecaster is not None:
        drawn["target_name"] = name_of_target(forecaster, forecaster._end, target)
    return {**drawn, "index": times[drawn["index"]], "levels": getattr(backtest, "levels", None)}


def read_forecaster(forecaster, series, y_true, target):
    """What :meth:`ForecastDisplay.from_predictions` takes, of a forecast."""
    check_is_fitted(forecaster)
    history, points, quantiles = forecaster._next(series)
    horizon, n_targets = points.shape[1:]
    check_target(target, n_targets)
    column = forecaster._targets[target]
    actual = None
    if y_true is not None:
        values = np.asarray(y_true, dtype=float)
        if values.ndim == 2:
            values = values[:, column if values.shape[1] == history.values.shape[1] else target]
        actual = np.full(horizon, np.nan)
        actual[: len(values)] = values[:horizon]
    times = history.index if history.index is not None and usable(history.index.labels) is not None else None
    return {
        "y_true": actual,
        "y_pred": points[0, :, target],
        "index": times.after(horizon) if times is not None and times.of_pandas else None,
        "quantiles": None if quantiles is None else quantiles[0, :, target],
        "levels": forecaster.levels_,
        "history": history.values[:, column],
        "history_index": None if times is None else times.labels,
        "target_name": name_of_target(forecaster, history, target),
    }


def name_of_target(forecaster, series, target):
    """Name of a target column, None where there are only positions."""
    name = forecaster._target_names(series)[target]
    return name if isinstance(name, str) else None


def check_target(target, count):
    """Raise if there is no such target."""
    if not (isinstance(target, Integral) and 0 <= target < count):
        raise ValueError(f"target must be one of the positions 0 to {count - 1}, got {target!r}.")
