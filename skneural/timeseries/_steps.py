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
    """How numbers or times rise.

    Parameters
    ----------
    unit : str
        What is counted.
    usual : int, float or timedelta64
        The usual step.
    wrong : ndarray of int
        Positions of the numbers that another step follows.
    """

    unit: str
    usual: Any
    wrong: np.ndarray


def steps_of(numbers, unit="numbers"):
    """Steps of numbers or times."""
    steps = np.diff(numbers)
    usual = np.sort(steps)[len(steps) // 2]
    if steps.dtype.kind != "f":
        usual = int(usual) if steps.dtype.kind == "i" else usual
        return Steps(unit, usual, np.flatnonzero(steps != usual))
    wrong = np.flatnonzero(np.abs(steps - usual) > TOLERANCE * usual)
    if not len(wrong):
        usual = (numbers[-1] - numbers[0]) / len(steps)
    return Steps(unit, float(usual), wrong)


def ways_to_count(instants, local):
    """Steps in all units that can count the times: a series is regular if one of them has no wrong ones.

    Parameters
    ----------
    instants : ndarray of datetime64
        Times without time zone.
    local : ndarray of datetime64
        What clocks and calendars show at these times.

    Returns
    -------
    list of Steps
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
    """Of several steps those with the fewest wrong ones."""
    return min(found, key=lambda steps: len(steps.wrong))


def irregular(before, after, expected, wrong=0, count=0):
    """Error for an index with a label that its step does not lead to.

    Parameters
    ----------
    before, after : objects
        The label that deviates and the one before.
    expected : object
        What was to be expected in its place.
    wrong, count : int, optional
        How many of how many steps are not like the others.
    """
    others = f", and {wrong} of {count} steps are not like the others" if wrong else ""
    return ValueError(
        f"The time index of the series is irregular: {before} is followed by {after}, where {expected} was expected"
        f"{others}. {ADVICE}"
    )
