"""Offsets of pandas that make the labels of a DatetimeIndex.

What pandas infers holds for what it looks at, which is not every label: Fridays pass for those of every month whatever
months are missing, and hours with gaps pass for business hours. So an offset counts only if it makes all labels of the
index from the first. This module, and pandas with it, is imported when there is such an index.
"""

from __future__ import annotations

import numpy as np
import pandas
from pandas import offsets

from skneural.timeseries._steps import irregular, most_regular, ways_to_count

#: Weeks that must have been seen before the same days of every week count as a pattern.
WEEKS = 3
#: The least time from a label to the next that a week of the month may stand for.
FOUR_WEEKS = np.timedelta64(28, "D")


def find_offset(labels, instants, like=None):
    """Find an offset that makes all labels of a DatetimeIndex, at least two and in order, from the first.

    `like` is an offset that is tried first. Raises ValueError if there is none, with the first label that deviates and
    what was expected; and if two make all labels and go on differently.
    """
    furthest = 0
    best = None
    for offset in _candidates(labels, instants, like):
        place = first_deviation(labels, instants, offset)
        if place is None:
            if offset not in (like, labels.freq):
                _check_alone(labels, instants, offset)
            return offset
        if place > furthest:
            furthest = place
            best = offset
    others = 0
    steps = most_regular(ways_to_count(instants, _local(labels).to_numpy()))
    deviates = steps.wrong[0] + 1
    if furthest <= deviates:  # else an offset explains more, and those would be counted wrongly
        furthest = deviates
        best = _as_offset(steps)
        others = len(steps.wrong)
    known = labels[:furthest]
    expected = labels_after(known, 1, best)[0]
    raise irregular(known[-1], labels[furthest], expected, others, len(labels) - 1)


def first_deviation(labels, instants, offset):
    """Position of the first label that an offset does not make from the first one; None if it makes all."""
    step = _fixed_step(labels, offset)
    if step is not None:
        wrong = np.flatnonzero(np.diff(instants) != step) + 1
        return int(wrong[0]) if len(wrong) else None
    local = _local(labels)
    count = 0
    while count < len(labels):  # most offsets deviate soon, and many take 20 us a label
        count = min(max(100, 10 * count), len(labels))
        try:
            wrong = np.flatnonzero(_made(labels, count, offset) != local[:count])
        except (ValueError, OverflowError):  # beyond what the type can hold
            return 0
        if len(wrong):
            return int(wrong[0])
    return None


def labels_after(labels, count, offset):
    """The next labels, in the time zone and the unit of the others."""
    if _fixed_step(labels, offset) is not None:
        following = pandas.date_range(labels[-1], periods=count + 1, freq=offset, unit=labels.unit)[1:]
    else:
        # From the first label on, as the offset was found: anchors that only the first one shows are kept.
        following = _made(labels, len(labels) + count, offset)[len(labels) :]
        if labels.tz is not None:  # of an hour that occurs twice the first, instead of one that is left out the next
            twice = np.ones(count, dtype=bool)
            following = following.tz_localize(labels.tz, ambiguous=twice, nonexistent="shift_forward")
    return following.rename(labels.name)


def _made(labels, count, offset):
    """What an offset makes of the first label, as clocks and calendars show it."""
    first = _local(labels[:1])[0]
    return pandas.date_range(first, periods=count, freq=offset, unit=labels.unit)


def _local(labels):
    return labels if labels.tz is None else labels.tz_localize(None)


def _fixed_step(labels, offset):
    """How long an offset is, if it is always the same."""
    if isinstance(offset, offsets.Day):  # 23 or 25 hours where clocks are changed
        return np.timedelta64(offset.n, "D") if labels.tz is None else None
    return np.timedelta64(offset.nanos, "ns") if isinstance(offset, offsets.Tick) else None


def _candidates(labels, instants, like):
    """Offsets to try, the most likely first."""
    if like is not None:
        yield like
    for offset in (labels.freq, pandas.DatetimeIndex(labels, freq="infer").freq):
        if offset is not None:
            yield offset
    for steps in ways_to_count(instants, _local(labels).to_numpy()):
        yield _as_offset(steps)
    days = _days(labels)
    yield from _by_month(days)
    yield from _by_weekday(days)


def _days(labels):
    return _local(labels).to_numpy().astype("datetime64[D]")


def _as_offset(steps):
    """Offset of steps that were found by counting."""
    if steps.unit == "time":
        return pandas.tseries.frequencies.to_offset(pandas.Timedelta(steps.usual))
    if steps.unit == "months":
        return offsets.DateOffset(months=steps.usual)
    kinds = {"days": offsets.Day, "month ends": offsets.MonthEnd, "business days": offsets.BusinessDay}
    return kinds[steps.unit](steps.usual)


def _by_month(days):
    """Offsets that depend on the month, for labels as many months apart."""
    month_of = days.astype("datetime64[M]")
    steps = np.unique(np.diff(month_of).astype(np.int64))
    if steps.tolist() == [0, 1]:
        yield offsets.SemiMonthEnd()
        yield offsets.SemiMonthBegin()
    if len(steps) > 1 or steps[0] == 0:
        return
    months = int(steps[0])
    yield offsets.DateOffset(months=months)
    yield offsets.BusinessMonthBegin(months)
    yield offsets.BusinessMonthEnd(months)
    weekdays = _weekdays(days)
    if (weekdays == weekdays[0]).all():
        weekday = int(weekdays[0])
        week = (days[0] - month_of[0]).astype(int) // 7
        if week < 4:
            yield offsets.WeekOfMonth(months, week=int(week), weekday=weekday)
        yield offsets.LastWeekOfMonth(months, weekday=weekday)


def _by_weekday(days):
    """The same days of every week."""
    seen = np.bincount(_weekdays(days), minlength=7)
    if seen[seen > 0].min() >= WEEKS and not seen.all():
        mask = "".join("1" if number else "0" for number in seen)
        yield offsets.CustomBusinessDay(weekmask=mask)


def _weekdays(days):
    """Days of the week, 0 for Monday."""
    return (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday


def _check_alone(labels, instants, offset):
    """Raise if labels go by weeks and by months, or are the fourth and the last of their weekday: which is not told."""
    weeks_of_month = (offsets.WeekOfMonth, offsets.LastWeekOfMonth)
    of_weeks = isinstance(offset, (*weeks_of_month, offsets.Week, offsets.Day, offsets.Tick))
    if not of_weeks or instants[1] - instants[0] < FOUR_WEEKS:
        return
    for rival in _by_month(_days(labels)):
        if not isinstance(rival, weeks_of_month) or rival == offset:
            continue
        if first_deviation(labels, instants, rival) is None:
            raise ValueError(
                f"The time index of the series may go on in several ways: the frequencies {offset.freqstr!r} and "
                f"{rival.freqstr!r} make the same labels. Say which it is: DatetimeIndex(index, freq=...)."
            )
