"""The times of a series' rows: that they are in order and at equal steps, and how they go on."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

#: How far a step between float labels may be off, as a share of the step.
TOLERANCE = 1e-3
ADVICE = (
    "Fill the gaps first (in pandas: asfreq, resample, reindex), or leave the times out (reset_index(drop=True)) if "
    "the rows may count as equally far apart."
)


@dataclass(frozen=True, eq=False)
class TimeIndex:
    """Times at equal steps.

    Parameters
    ----------
    labels : pandas Index, or ndarray of datetime64
        What the rows are called; for polars the local times.
    instants : ndarray
        Numbers or times that sort as the labels do: without time zone.
    step : object
        What leads from a label to the next: an offset of pandas for dates, a number or a timedelta64 for other pandas
        indexes, a unit and a number for datetime64. None for one row alone.
    """

    labels: Any
    instants: np.ndarray
    step: Any = None

    def __len__(self):
        return len(self.instants)

    @property
    def of_pandas(self):
        """Whether the labels are a pandas Index."""
        return not isinstance(self.labels, np.ndarray)

    @property
    def kind(self):
        """What can be compared: indexes of one kind."""
        if self.instants.dtype.kind in "Mm":
            return type(self.labels), str(getattr(self.labels, "tz", None))
        return "numbers", getattr(self.labels, "freq", None)  # of periods

    def rows(self, start, stop=None):
        """The times of some neighbouring rows."""
        return replace(self, labels=self.labels[start:stop], instants=self.instants[start:stop])

    def after(self, count):
        """Labels of the rows to come, for indexes of pandas."""
        pandas, last, name = sys.modules["pandas"], self.labels[-1], self.labels.name
        if self.step is None:
            raise ValueError("The time index of a single row cannot be continued: give at least two rows.")
        if isinstance(self.labels, pandas.DatetimeIndex):
            return pandas.date_range(last, periods=count + 1, freq=self.step, name=name)[1:]
        if isinstance(self.labels, pandas.RangeIndex):
            first = last + self.step
            return pandas.RangeIndex(first, first + count * self.step, self.step, name=name)
        following = self.instants[-1] + self.step * np.arange(1, count + 1)
        if isinstance(self.labels, pandas.PeriodIndex):
            return pandas.PeriodIndex.from_ordinals(following, freq=self.labels.freq, name=name)
        alike = following.astype(self.labels.dtype)
        return pandas.Index(alike if (alike == following).all() else following, name=name)

    def check_followed_by(self, other):
        """Raise if another index does not begin with the very next step."""
        if self.kind != other.kind:
            raise ValueError(
                f"The series has another time index ({_name(other.labels)}) than the training series "
                f"({_name(self.labels)}): whether it follows on that cannot be told."
            )
        last, first = self.labels[-1], other.labels[0]
        if other.instants[0] <= self.instants[-1]:
            raise ValueError(
                f"The series overlaps the training series, which ends at {last}: it begins at {first}. "
                "Give only the rows after the training series; backtest() takes both in one series."
            )
        both = self.labels.append(other.labels) if self.of_pandas else np.concatenate([self.labels, other.labels])
        try:
            index_of(both, np.concatenate([self.instants, other.instants]), like=self)
        except ValueError:
            raise ValueError(
                f"The series does not follow on directly: the training series ends at {last}, this one begins at "
                f"{first}. The rows between them are missing."
            ) from None


def index_of(labels, instants=None, *, like=None):
    """Check the times of a series, and find their step.

    Parameters
    ----------
    labels : pandas Index, or ndarray of datetime64
    instants : ndarray of datetime64, default=None
        For the latter the times without time zone.
    like : TimeIndex, default=None
        That of the training series: a few rows alone do not always tell their step.

    Returns
    -------
    TimeIndex

    Raises
    ------
    TypeError
        If the labels are no times.
    ValueError
        If they are not in order, or not at equal steps (or not at those of `like`).
    """
    if instants is None:
        instants = _instants(labels)
    steps = np.diff(instants)
    wrong = np.flatnonzero(~(steps > steps.dtype.type(0)))
    if len(wrong):
        before, after = labels[wrong[0]], labels[wrong[0] + 1]
        what = f"{after} occurs twice" if before == after else f"{after} comes after {before}"
        raise ValueError(f"The time index of the series must be in order, without duplicates: {what}.")
    index = TimeIndex(labels, instants)
    like = like if like is not None and like.step is not None and like.kind == index.kind else None
    if instants.dtype.kind == "M":
        step = _step_of_dates(index, like) if index.of_pandas else _step_of_times(labels, instants, like)
    elif len(instants) == 1:
        step = like.step if like else getattr(labels, "step", None)
    else:
        step, wrong = _equal_steps(instants)
        _raise_if_irregular(labels, wrong)
    if like is not None and not _same(step, like.step):
        raise ValueError(f"The time index has steps of {_text(step)}, that of the training series {_text(like.step)}.")
    return replace(index, step=step)


def _instants(labels):
    """Numbers or times that sort as the labels of a pandas Index do."""
    pandas = sys.modules["pandas"]
    of_time = isinstance(labels, pandas.DatetimeIndex | pandas.PeriodIndex | pandas.TimedeltaIndex)
    if not of_time and labels.dtype.kind not in "iuf":
        raise TypeError(
            f"The index of the series ({_name(labels)} of {labels.dtype}) holds no times: convert it with "
            "pandas.to_datetime, or leave it out with reset_index(drop=True)."
        )
    if labels.hasnans:
        raise ValueError(f"The time index of the series has a missing label in row {int(labels.isna().argmax())}.")
    if isinstance(labels, pandas.PeriodIndex):
        return labels.astype("int64").to_numpy()
    if isinstance(labels, pandas.DatetimeIndex):
        return (labels if labels.tz is None else labels.tz_convert(None)).to_numpy()
    if isinstance(labels, pandas.TimedeltaIndex):
        return labels.to_numpy()
    return labels.to_numpy(dtype="float64" if labels.dtype.kind == "f" else "int64")


def _step_of_dates(index, like):
    """Offset between the labels of a DatetimeIndex."""
    pandas, labels = sys.modules["pandas"], index.labels
    if like is not None and (pandas.date_range(labels[0], periods=len(labels), freq=like.step) == labels).all():
        return like.step
    offset = labels.freq or pandas.DatetimeIndex(labels, freq="infer").freq
    if offset is not None or len(labels) == 1:
        return offset
    local = labels if labels.tz is None else labels.tz_localize(None)
    unit, step = _step_of_times(labels, index.instants, None, local.to_numpy())
    if unit == "time":
        return pandas.tseries.frequencies.to_offset(pandas.Timedelta(step))
    if unit == "business days":
        return pandas.offsets.BusinessDay(step)
    return pandas.DateOffset(**{unit: step})


def _step_of_times(labels, instants, like, local=None):
    """Unit and number of the step between times; raise if there is none."""
    if len(labels) == 1:
        return None if like is None else like.step
    found = {unit: _equal_steps(count) for unit, count in _counts(instants, labels if local is None else local)}
    if like is not None:
        step, wrong = found.get(like.step[0], (None, ()))
        if _same(step, like.step[1]) and not len(wrong):
            return like.step
    unit = min(found, key=lambda name: len(found[name][1]))
    step, wrong = found[unit]
    _raise_if_irregular(labels, wrong)
    return unit, step


def _counts(instants, local):
    """Ways to count time: a series is regular if one of them rises by equal steps."""
    yield "time", instants
    days = local.astype("datetime64[D]")
    time_of_day = local - days
    if (time_of_day == time_of_day[0]).all():
        months = days.astype("datetime64[M]")
        day_of_month, ends = days - months, (days + 1).astype("datetime64[M]") > months
        yield "days", days.astype(np.int64)
        if (day_of_month == day_of_month[0]).all() or ends.all():
            yield "months", months.astype(np.int64)
        if np.is_busday(days).all():
            yield "business days", np.busday_count(days[0], days)


def _equal_steps(numbers):
    """The usual step between numbers or times, and where the step is another."""
    steps = np.diff(numbers)
    usual = np.sort(steps)[len(steps) // 2]
    if steps.dtype.kind == "f":
        wrong = np.flatnonzero(np.abs(steps - usual) > TOLERANCE * usual)
        return (float(usual) if len(wrong) else float((numbers[-1] - numbers[0]) / len(steps))), wrong
    return (int(usual) if steps.dtype.kind == "i" else usual), np.flatnonzero(steps != usual)


def _raise_if_irregular(labels, wrong):
    if len(wrong):
        before, after, count = labels[wrong[0]], labels[wrong[0] + 1], len(labels) - 1
        raise ValueError(
            f"The time index of the series is irregular: {before} is followed by {after}, and {len(wrong)} of {count} "
            f"steps are not like the others. {ADVICE}"
        )


def _same(step, other):
    return bool(np.isclose(step, other, rtol=TOLERANCE)) if isinstance(step, float) else step == other


def _name(labels):
    if isinstance(labels, np.ndarray):
        return "times of polars"
    details = [str(value) for value in (getattr(labels, "tz", None), getattr(labels, "freqstr", None)) if value]
    return f"{type(labels).__name__}{' of ' * bool(details)}{', '.join(details)}"


def _text(step):
    if isinstance(step, tuple):
        return f"{step[1]}" if step[0] == "time" else f"{step[1]} {step[0]}"
    return "an unknown length" if step is None else getattr(step, "freqstr", str(step))
