"""Series of NumPy, pandas and polars as one thing: numbers, names of the columns and times of the rows.

pandas and polars are never imported: whoever gives one of their objects has done that already.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from sklearn import get_config

from skneural.timeseries._index import TimeIndex, index_of

#: Numbers that are checked at once for NaN: a file that is mapped into memory is never held as a whole.
CHUNK = 2**18


@dataclass(frozen=True, eq=False)
class Series:
    """A series of numbers at equal steps of time.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features), float32 or float64
        A view of what was given, where that is one array of these types.
    flat : bool
        Whether it was given in one dimension.
    names : list or None
        Names of the columns, if they have any.
    index : TimeIndex or None
        Times of the rows, if they have any.
    """

    values: np.ndarray
    flat: bool
    names: list | None = None
    index: TimeIndex | None = None

    def __len__(self):
        return len(self.values)

    def rows(self, start, stop=None):
        """Some neighbouring rows."""
        index = None if self.index is None else self.index.rows(start, stop)
        return replace(self, values=self.values[start:stop], index=index)

    def label(self, row):
        """What a row is called in messages."""
        return f"row {row}" if self.index is None else f"{self.index.labels[row]} (row {row})"

    def column(self, position):
        """What a column is called in messages."""
        return "" if self.flat else f" in column {self.names[position] if self.names else position!r}"


def read_series(series, *, like=None):
    """Read a series, and check all but whether its numbers are finite.

    Parameters
    ----------
    series : array-like, pandas or polars Series or DataFrame, or Series
    like : Series, default=None
        The end of the training series, with the same columns and steps of time.

    Returns
    -------
    Series
    """
    if not isinstance(series, Series):
        step = None if like is None else like.index
        pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
        if pandas is not None and isinstance(series, pandas.Series | pandas.DataFrame):
            series = _read_pandas(series, step)
        elif polars is not None and isinstance(series, polars.Series | polars.DataFrame):
            series = _read_polars(series, step, polars)
        else:
            series = _read_array(series)
    if like is not None:
        _check_columns(series, like)
    return series


def check_rows(series, needed, why):
    """Raise if a series is too short."""
    if len(series) < needed:
        raise ValueError(f"The series is too short: it has {len(series)} rows, {why} needs at least {needed}.")


def check_finite(series, first=0):
    """Raise if a series has NaN or infinite values from a row on, unless scikit-learn is told that there are none."""
    if get_config()["assume_finite"]:
        return
    place = first_not_finite(series.values, first)
    if place is not None:
        row, column = place
        what = "NaN" if np.isnan(series.values[place]) else "an infinite value"
        raise ValueError(
            f"The series has {what}{series.column(column)} at {series.label(row)}. Fill such values in first, "
            "or cut them off."
        )


def first_not_finite(values, first=0):
    """Row and column of the first NaN or infinite value from a row on; None if there is none."""
    rows = max(1, CHUNK // values.shape[1])
    for start in range(first, len(values), rows):
        finite = np.isfinite(values[start : start + rows])
        if not finite.all():
            row, column = (int(place[0]) for place in np.nonzero(~finite))
            return start + row, column
    return None


def target_positions(target, series):
    """Positions of the target columns, and whether there is one that stands by itself, not in a list.

    Parameters
    ----------
    target : None, int, str or list of them
    series : Series

    Returns
    -------
    positions : list of int
    alone : bool
    """
    count, names = series.values.shape[1], series.names or []
    if target is None:
        return list(range(count)), series.flat
    alone = np.ndim(target) == 0
    positions = []
    for one in [target] if alone else target:
        places = [place for place, name in enumerate(names) if name == one]
        if len(places) > 1:
            raise ValueError(f"target={one!r} is the name of {len(places)} columns.")
        if not places and isinstance(one, Integral) and not isinstance(one, bool) and -count <= one < count:
            places = [int(one) % count]
        if not places:
            raise ValueError(f"target={one!r} is no column of the series, which has {names or f'{count} columns'}.")
        positions += places
    if not positions or len(set(positions)) < len(positions):
        raise ValueError(f"target must name at least one column, and each once, got {target!r}.")
    return positions, alone


def _check_columns(series, like):
    """Raise if a series has other columns than that of the training."""
    if series.values.shape[1] != like.values.shape[1]:
        raise ValueError(
            f"The series has {series.values.shape[1]} columns, the training series had {like.values.shape[1]}."
        )
    flat = series.flat or like.flat
    if not flat and series.names and like.names and series.names != like.names:
        raise ValueError(f"The series has the columns {series.names}, the training series had {like.names}.")


def _read_array(series):
    if np.ma.isMaskedArray(series):
        series = series.astype(np.result_type(series.dtype, np.float32)).filled(np.nan)
    return _from_values(np.asarray(series))


def _from_values(values, names=None, index=None):
    """Series of an array, after checks of its shape and type."""
    if values.dtype.kind not in "biuf":
        raise TypeError(f"The series must hold numbers, got the dtype {values.dtype}.")
    if values.ndim not in (1, 2):
        raise ValueError(f"The series must have one or two dimensions, got the shape {values.shape}.")
    flat = values.ndim == 1
    if values.size == 0:
        raise ValueError(f"The series is empty: its shape is {values.shape}.")
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    return Series(values[:, None] if flat else values, flat, names, index)


def _read_pandas(series, step):
    flat = series.ndim == 1
    names = [series.name] if flat else list(series.columns)
    dtypes = [series.dtype] if flat else list(series.dtypes)
    _check_numeric({name: t for name, t in zip(names, dtypes, strict=True) if t.kind not in "biuf"}, "set_index")
    dtype = "float32" if all(str(t).lower() == "float32" for t in dtypes) else "float64"
    # A value in place of missing ones makes pandas copy: only the types that need it get it.
    missing = {} if all(isinstance(t, np.dtype) for t in dtypes) else {"na_value": np.nan}
    if not len(series):
        raise ValueError(f"The series is empty: its shape is {series.shape}.")
    values = series.to_numpy(dtype=dtype, **missing)
    return _from_values(values, names, index_of(series.index, like=step))


def _read_polars(series, step, polars):
    flat = isinstance(series, polars.Series)
    frame = series.to_frame() if flat else series
    index, schema = None, dict(frame.schema)
    dates = [name for name, dtype in schema.items() if dtype in (polars.Date, polars.Datetime)]
    if len(dates) == 1 and not flat:
        del schema[dates[0]]
        index = _times_of_polars(frame[dates[0]], polars, step)
    numeric = {name: dtype.is_numeric() or dtype == polars.Boolean for name, dtype in schema.items()}
    _check_numeric({name: dtype for name, dtype in schema.items() if not numeric[name]}, None)
    single = schema and all(dtype == polars.Float32 for dtype in schema.values())
    floats = polars.Float32 if single else polars.Float64
    columns = [frame[name].cast(floats) for name in schema]
    values = columns[0].to_numpy() if flat else polars.DataFrame(columns).to_numpy()
    return _from_values(values, list(schema), index)


def _times_of_polars(column, polars, step):
    if column.null_count():
        raise ValueError(f"The time index of the series has a missing label in row {column.is_null().arg_max()}.")
    if not len(column):
        return None
    zoned = getattr(column.dtype, "time_zone", None) is not None
    local = column.dt.replace_time_zone(None) if zoned else column
    return index_of(local.to_numpy(), column.to_numpy(), like=step)


def _check_numeric(others, remedy):
    if others:
        listed = ", ".join(f"{name!r} ({dtype})" for name, dtype in others.items())
        dates = any(word in str(dtype).lower() for dtype in others.values() for word in ("date", "timestamp"))
        hint = " Dates belong into the index: set_index." if remedy and dates else ""
        raise TypeError(f"Columns of the series that are not numeric: {listed}.{hint}")
