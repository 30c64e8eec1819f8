"""Steps between the rows of a series: the usual one, where another stands, and what is said then."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

#: How far a step between float labels may be off, as a share of the step.
TOLERANCE = 1e-3
ADVICE = (
    "Fill the gaps first (in pandas: asfreq, resample, reindex), or leave the times out (reset_index(drop=True)) if "
    "the rows may count as equally far apart."
)


class Steps(NamedTuple):
    """How numbers or times rise, counted in a unit: by the usual step, but for those after some wrong positions."""

    unit: str
    usual: Any
    wrong: np.ndarray


def steps_of(numbers, unit="numbers"):
    """Steps of numbers or times."""
    steps = np.diff(numbers)
    usual = np.sort(steps)[len(steps) // 2]
    if steps.dtype.kind == "f":
        wrong = np.abs(steps - usual) > TOLERANCE * usual
        if not wrong.any():
            usual = (numbers[-1] - numbers[0]) / len(steps)
        usual = float(usual)
    else:
        wrong = steps != usual
        if steps.dtype.kind == "i":
            usual = int(usual)
    return Steps(unit, usual, np.flatnonzero(wrong))


def ways_to_count(instants, local):
    """Steps of times in all units that can count them: a series is regular if one of them has no wrong ones.

    `instants` are the times without time zone, `local` is what clocks and calendars show then: both datetime64.
    """
    found = [steps_of(instants, "time")]
    days = local.astype("datetime64[D]")
    time_of_day = local - days
    if (time_of_day != time_of_day[0]).any():
        return found
    months = days.astype("datetime64[M]")
    day_of_month = days - months
    next_days = days + 1
    found.append(steps_of(days.astype(np.int64), "days"))
    if (day_of_month == day_of_month[0]).all():
        found.append(steps_of(months.astype(np.int64), "months"))
    if (next_days.astype("datetime64[M]") > months).all():
        found.append(steps_of(months.astype(np.int64), "month ends"))
    if np.is_busday(days).all():
        found.append(steps_of(np.busday_count(days[0], days), "business days"))
    return found


def most_regular(found):
    """The way to count with the fewest wrong steps."""
    return min(found, key=lambda steps: len(steps.wrong))


def irregular(before, after, expected, wrong=0, count=0):
    """Error for an index in which `after` stands in place of what was expected, one of `wrong` places of `count`."""
    others = f", and {wrong} of {count} steps are not like the others" if wrong else ""
    return ValueError(
        f"The time index of the series is irregular: {before} is followed by {after}, where {expected} was expected"
        f"{others}. {ADVICE}"
    )
