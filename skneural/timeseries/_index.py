"""The times of a series' rows: that they are in order and at equal steps, and how they go on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skneural.timeseries._steps import TOLERANCE, irregular, most_regular, steps_of, ways_to_count


@dataclass(frozen=True, eq=False)
class TimeIndex:
    """Times at equal steps.

    Labels are what the rows are called: an Index of pandas, or of a column of times the local ones, of datetime64.
    Instants are numbers or times without time zone that sort as they do. The step leads from a label to the next: an
    offset of pandas for dates, a number or timedelta64 for its other indexes, a unit and a number for datetime64, None
    for one row alone. The dtype is that of times of pyarrow, where they were made times of pandas.
    """

    labels: Any
    instants: np.ndarray
    step: Any = None
    dtype: str | None = None

    def __len__(self):
        return len(self.instants)

    def __getstate__(self):
        if not self.of_pandas:
            return vars(self)
        from skneural.timeseries._plain import plain_labels, plain_step

        return vars(self) | {"labels": plain_labels(self.labels), "step": plain_step(self.step)}

    def __setstate__(self, state):
        vars(self).update(state)
        if isinstance(self.labels, list):
            from skneural.timeseries._plain import labels_of, step_of

            vars(self).update(labels=labels_of(self.labels, self.instants), step=step_of(self.step))

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
        import pandas

        if self.step is None:
            raise ValueError("The time index of a single row cannot be continued: give at least two rows.")
        name = self.labels.name
        if isinstance(self.labels, pandas.DatetimeIndex):
            from skneural.timeseries._offsets import labels_after

            return self._as_given(labels_after(self.labels, count, self.step))
        if isinstance(self.labels, pandas.RangeIndex):
            first = self.labels[-1] + self.step
            return pandas.RangeIndex(first, first + count * self.step, self.step, name=name)
        following = self.instants[-1] + self.step * np.arange(1, count + 1)
        if isinstance(self.labels, pandas.PeriodIndex):
            return pandas.PeriodIndex.from_ordinals(following, freq=self.labels.freq, name=name)
        following = pandas.Index(following, name=name)
        if isinstance(self.labels, pandas.TimedeltaIndex):
            return self._as_given(following)
        alike = following.astype(self.labels.dtype)
        fits = alike.dtype.kind == "f" or (alike == following).all()
        return alike if fits else following

    def _as_given(self, labels):
        """Labels in the type that the index was given in."""
        return labels if self.dtype is None else labels.astype(self.dtype)

    def check_followed_by(self, other):
        """Raise if another index does not begin with the very next step."""
        if self.kind != other.kind:
            raise ValueError(
                f"The series has another time index ({_name(other.labels)}) than the training series "
                f"({_name(self.labels)}): whether it follows on that cannot be told."
            )
        last = self.labels[-1]
        first = other.labels[0]
        if other.instants[0] <= self.instants[-1]:
            raise ValueError(
                f"The series overlaps the training series, which ends at {last}: it begins at {first}. "
                "Give only the rows after the training series; backtest() takes both in one series."
            )
        instants = np.concatenate([self.instants, other.instants])
        if self.of_pandas:
            labels = self.labels.append(other.labels)
        else:
            labels = np.concatenate([self.labels, other.labels])
        try:
            index_of(labels, instants, like=self)
        except ValueError:
            raise ValueError(
                f"The series does not follow on directly: the training series ends at {last}, this one begins at "
                f"{first}. The rows between them are missing."
            ) from None


def index_of(labels, instants=None, *, like=None):
    """Check the times of a series, and find their step.

    Labels are an Index of pandas, or an ndarray of datetime64, which comes with its instants. `like` is the index of
    the training series: a few rows alone do not always tell their step. Raises TypeError if the labels are no times,
    and ValueError if they are not in order, or not at equal steps (or not at those of `like`).
    """
    dtype = None
    if instants is None:
        labels, dtype = _without_arrow(labels)
        instants = _instants(labels)
    _check_order(labels, instants)
    index = TimeIndex(labels, instants, dtype=dtype)
    if like is None or like.step is None or like.kind != index.kind:
        return replace(index, step=_step(index, None))
    step = _step(index, like.step)
    if not _same(step, like.step):
        raise ValueError(f"The time index has steps of {_text(step)}, that of the training series {_text(like.step)}.")
    return replace(index, step=step)


def _check_order(labels, instants):
    steps = np.diff(instants)
    wrong = np.flatnonzero(~(steps > steps.dtype.type(0)))
    if len(wrong):
        before = labels[wrong[0]]
        after = labels[wrong[0] + 1]
        what = f"{after} occurs twice" if before == after else f"{after} comes after {before}"
        raise ValueError(f"The time index of the series must be in order, without duplicates: {what}.")


def _without_arrow(labels):
    """Times of pyarrow as times of pandas, and the type they had; other labels as they are."""
    import pandas

    kinds = {"M": pandas.DatetimeIndex, "m": pandas.TimedeltaIndex}
    if hasattr(labels.dtype, "pyarrow_dtype") and labels.dtype.kind in kinds:
        return kinds[labels.dtype.kind](labels), str(labels.dtype)
    return labels, None


def _instants(labels):
    """Numbers or times that sort as the labels of a pandas Index do."""
    import pandas

    of_time = isinstance(labels, pandas.DatetimeIndex | pandas.PeriodIndex | pandas.TimedeltaIndex)
    if not of_time and labels.dtype.kind not in "iuf":
        raise TypeError(
            f"The index of the series ({_name(labels)} of {labels.dtype}) holds no times: convert it with "
            "pandas.to_datetime, or leave it out with reset_index(drop=True)."
        )
    if labels.hasnans:
        raise ValueError(f"The time index of the series has a missing label in row {int(labels.isna().argmax())}.")
    if isinstance(labels, pandas.PeriodIndex):
        return labels.asi8
    if isinstance(labels, pandas.TimedeltaIndex):
        return labels.to_numpy()
    if isinstance(labels, pandas.DatetimeIndex):
        return (labels if labels.tz is None else labels.tz_convert(None)).to_numpy()
    return labels.to_numpy(dtype="float64" if labels.dtype.kind == "f" else "int64")


def _step(index, known):
    """What leads from a label to the next; raise if there is no such thing. A known step is tried first."""
    if index.instants.dtype.kind == "M":
        return _step_of_dates(index, known) if index.of_pandas else _step_of_times(index, known)
    if len(index) > 1:
        return _step_of_numbers(index)
    return getattr(index.labels, "step", None) if known is None else known


def _step_of_dates(index, known):
    """Offset between the labels of a DatetimeIndex."""
    from skneural.timeseries._offsets import find_offset, first_deviation

    labels = index.labels
    if len(labels) > 1:
        return find_offset(labels, index.instants, known)
    for offset in (known, labels.freq):
        if offset is not None and first_deviation(labels, index.instants, offset) is None:
            return offset
    return None


def _step_of_times(index, known):
    """Unit and number of the step between times of a column."""
    labels = index.labels
    if len(labels) == 1:
        return known
    found = ways_to_count(index.instants, labels)
    for steps in found:
        if (steps.unit, steps.usual) == known and not len(steps.wrong):
            return known
    steps = most_regular(found)
    step = (steps.unit, steps.usual)
    if len(steps.wrong):
        place = steps.wrong[0]
        expected = f"a step of {_text(step)}"
        raise irregular(labels[place], labels[place + 1], expected, len(steps.wrong), len(labels) - 1)
    return step


def _step_of_numbers(index):
    """Step between numbers, periods or durations."""
    steps = steps_of(index.instants)
    if len(steps.wrong):
        place = steps.wrong[0]
        expected = replace(index.rows(0, place + 1), step=steps.usual).after(1)[0]
        expected = f"{expected:.6g}" if isinstance(expected, float) else expected
        raise irregular(index.labels[place], index.labels[place + 1], expected, len(steps.wrong), len(index) - 1)
    return steps.usual


def _same(step, other):
    if isinstance(step, float):
        return bool(np.isclose(step, other, rtol=TOLERANCE))
    return step == other


def _name(labels):
    if isinstance(labels, np.ndarray):
        return "times in a column"
    details = [str(value) for value in (getattr(labels, "tz", None), getattr(labels, "freqstr", None)) if value]
    return f"{type(labels).__name__}{' of ' * bool(details)}{', '.join(details)}"


def _text(step):
    if step is None:
        return "an unknown length"
    if isinstance(step, tuple):
        unit, number = step
        return str(number) if unit == "time" else f"{number} {unit}"
    return getattr(step, "freqstr", str(step))
