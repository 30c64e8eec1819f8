"""Indexes and offsets of pandas as texts, numbers and arrays, which tools that keep no code, such as skops, can save.

Imported with pandas, where there is an index of it.
"""

from __future__ import annotations

from datetime import timezone

import numpy as np
import pandas
from pandas import offsets


def plain_labels(labels):
    """All of an Index but its instants."""
    kind = type(labels).__name__
    if kind == "DatetimeIndex":
        detail = _plain_zone(labels.tz)
    elif kind == "PeriodIndex":
        detail = labels.freqstr
    elif kind == "RangeIndex":
        detail = labels.step
    else:
        detail = str(labels.dtype)
    return [kind, labels.name, detail]


def _plain_zone(zone):
    """Name of a time zone; what has none as it is."""
    if isinstance(zone, timezone):
        return str(zone)
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    return name or zone


def labels_of(plain, instants):
    """The Index again."""
    kind, name, detail = plain
    if kind == "DatetimeIndex":
        labels = pandas.DatetimeIndex(instants, name=name)
        return labels if detail is None else labels.tz_localize("UTC").tz_convert(detail)
    if kind == "PeriodIndex":
        return pandas.PeriodIndex.from_ordinals(instants, freq=detail, name=name)
    if kind == "RangeIndex":
        return pandas.RangeIndex(instants[0], instants[-1] + detail, detail, name=name)
    return pandas.Index(instants, dtype=detail, name=name)


def plain_step(step):
    """Class, number and settings of an offset; other steps as they are."""
    if not isinstance(step, offsets.BaseOffset):
        return step
    settings = {name: value for name, value in step.kwds.items() if value}
    if "calendar" in settings:
        calendar = settings["calendar"]
        settings["calendar"] = "".join("1" if day else "0" for day in calendar.weekmask)
        settings["holidays"] = calendar.holidays.astype(str).tolist()
    for name in {"start", "end"} & settings.keys():
        settings[name] = [time.strftime("%H:%M") for time in settings[name]]
    return {"offset": type(step).__name__, "n": step.n, "normalize": step.normalize, "settings": settings}


def step_of(plain):
    """The step again."""
    if not isinstance(plain, dict):
        return plain
    if plain["offset"] not in offsets.__all__:
        raise ValueError(f"pandas has no offset {plain['offset']!r}.")
    settings = dict(plain["settings"])
    if "calendar" in settings:
        settings["calendar"] = np.busdaycalendar(settings["calendar"], settings.pop("holidays"))
    kind = getattr(offsets, plain["offset"])
    return kind(plain["n"], plain["normalize"], **settings)
