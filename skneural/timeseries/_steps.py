"""Steps between the rows of a series: the usual one, where another stands, and what is said then."""

from __future__ import annotations

import numpy as np

#: How far a step between float labels may be off, as a share of the step.
TOLERANCE = 1e-3
ADVICE = (
    "Fill the gaps first (in pandas: asfreq, resample, reindex), or leave the times out (reset_index(drop=True)) if "
    "the rows may count as equally far apart."
)


def counts_of(instants, local):
    """Ways to count time: a series is regular if one of them rises by equal steps.

    Parameters
    ----------
    instants : ndarray of datetime64
        Times without time zone.
    local : ndarray of datetime64
        What clocks and calendars show at these times.

    Yields
    ------
    unit : str
    numbers : ndarray of int or datetime64
    """
    yield "time", instants
    days = local.astype("datetime64[D]")
    time_of_day = local - days
    if (time_of_day == time_of_day[0]).all():
        months = days.astype("datetime64[M]")
        day_of_month, ends = days - months, (days + 1).astype("datetime64[M]") > months
        yield "days", days.astype(np.int64)
        if (day_of_month == day_of_month[0]).all():
            yield "months", months.astype(np.int64)
        if ends.all():
            yield "month ends", months.astype(np.int64)
        if np.is_busday(days).all():
            yield "business days", np.busday_count(days[0], days)


def equal_steps(numbers):
    """The usual step between numbers or times, and where the step is another."""
    steps = np.diff(numbers)
    usual = np.sort(steps)[len(steps) // 2]
    if steps.dtype.kind == "f":
        wrong = np.flatnonzero(np.abs(steps - usual) > TOLERANCE * usual)
        return (float(usual) if len(wrong) else float((numbers[-1] - numbers[0]) / len(steps))), wrong
    return (int(usual) if steps.dtype.kind == "i" else usual), np.flatnonzero(steps != usual)


def most_regular(found):
    """Of steps and wrong places by unit, the unit with the fewest wrong places."""
    return min(found, key=lambda unit: len(found[unit][1]))


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
