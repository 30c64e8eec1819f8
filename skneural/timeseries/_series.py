"""Series of NumPy, pandas, polars and pyarrow as one thing: numbers, names of the columns and times of the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Integral

import numpy as np
from sklearn import get_config

from skneural._frames import read_table
from skneural.timeseries._index import TimeIndex, index_of

#: Numbers that are checked at once for NaN: a file that is mapped into memory is never held as a whole.
CHUNK = 2**18
#: Rows of the training series whose times are kept at least: fewer do not tell the frequency.
FEW = 3


@dataclass(frozen=True, eq=False)
class Series:
    """A series of numbers at equal steps of time, with names of the columns and times of the rows if it has any.

    Its values have shape (n_rows, n_features) and are float32 or float64: a view of what was given, where that is one
    array of these types. It is flat if it was given in one dimension.
    """

    values: np.ndarray
    flat: bool
    names: list | None = None
    index: TimeIndex | None = None

    def __len__(self):
        return len(self.values)

    @property
    def of_pandas(self):
        """Whether the rows have an index of pandas."""
        return self.index is not None and self.index.of_pandas

    def rows(self, start, stop=None):
        """Some neighbouring rows."""
        values = self.values[start:stop]
        index = None if self.index is None else self.index.rows(start, stop)
        return replace(self, values=values, index=index)

    def label(self, row):
        """What a row is called in messages."""
        if self.index is None:
            return f"row {row}"
        return f"{self.index.labels[row]} (row {row})"

    def column(self, position):
        """What a column is called in messages."""
        if self.flat:
            return ""
        return f" in column {self.names[position] if self.names else position!r}"


def read_series(series, *, like=None):
    """Read a series, and check all but whether its numbers are finite.

    `like` is the end of the training series, which must have the same columns and steps of time.
    """
    if not isinstance(series, Series):
        table = read_table(series)
        if table is None:
            series = _read_array(series)
        else:
            series = _read_table(table, None if like is None else like.index)
    if like is not None:
        _check_columns(series, like)
    return series


def end_of(series, lookback):
    """The last rows of a series, not as a view that keeps the whole series."""
    end = series.rows(max(len(series) - max(lookback, FEW), 0))
    return replace(end, values=end.values.copy())


def continued(end, series, lookback, horizon):
    """Values of a series that follows on the training series, after the `lookback` rows before it."""
    series = read_series(series, like=end)
    if series.index is not None and end.index is not None:
        end.index.check_followed_by(series.index)
    check_rows(series, horizon, f"horizon={horizon}")
    check_finite(series)
    return np.concatenate([end.values[-lookback:], series.values])


def read_training_series(series, target, lookback, horizon):
    """A series that is to be cut into windows, checked, and its targets as `target_positions` has them."""
    series = read_series(series)
    positions, alone = target_positions(target, series)
    check_rows(series, lookback + horizon, f"lookback={lookback} with horizon={horizon}")
    check_finite(series)
    return series, positions, alone


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
        missing = ~np.isfinite(values[start : start + rows])
        if missing.any():
            row, column = np.argwhere(missing)[0].tolist()
            return start + row, column
    return None


def target_positions(target, series):
    """Positions of the target columns, and whether there is one that stands by itself, not in a list."""
    count = series.values.shape[1]
    names = series.names or []
    if target is None:
        return list(range(count)), series.flat
    alone = np.ndim(target) == 0
    positions = [_position_of(one, names, count) for one in ([target] if alone else target)]
    if not positions or len(set(positions)) < len(positions):
        raise ValueError(f"target must name at least one column, and each once, got {target!r}.")
    return positions, alone


def _position_of(column, names, count):
    """Position of a column that is named, or given by its position."""
    places = [place for place, name in enumerate(names) if name == column]
    if len(places) > 1:
        raise ValueError(f"target={column!r} is the name of {len(places)} columns.")
    if places:
        return places[0]
    is_number = isinstance(column, Integral) and not isinstance(column, bool)
    if is_number and -count <= column < count:
        return int(column) % count
    raise ValueError(f"target={column!r} is no column of the series, which has {names or f'{count} columns'}.")


def _check_columns(series, like):
    """Raise if a series has other columns than that of the training."""
    count = series.values.shape[1]
    known = like.values.shape[1]
    if count != known:
        raise ValueError(f"The series has {count} columns, the training series had {known}.")
    if series.flat or like.flat or not series.names or not like.names:
        return
    if series.names != like.names:
        raise ValueError(f"The series has the columns {series.names}, the training series had {like.names}.")


def _read_array(series):
    if np.ma.isMaskedArray(series):
        floats = np.result_type(series.dtype, np.float32)
        series = series.astype(floats).filled(np.nan)
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
    if flat:
        values = values[:, None]
    return Series(values, flat, names, index)


def _read_table(table, like):
    """Series of a table, with the index that it has, or a single column of dates as one."""
    import narwhals.stable.v2 as nw

    frame, names, flat = table
    if not len(frame):
        raise ValueError(f"The series is empty: its shape is {frame.shape}.")
    columns = list(frame.iter_columns())
    labels = nw.maybe_get_index(frame)
    times = None
    if labels is None and not flat:
        dates = [column for column in columns if column.dtype in (nw.Date, nw.Datetime)]
        if len(dates) == 1:
            times = dates[0]
            frame = frame.drop(times.name)
            columns = list(frame.iter_columns())
            names = frame.columns
    _check_numeric(columns, names, indexed=labels is not None)
    index = None
    if labels is not None:
        index = index_of(labels, like=like)
    elif times is not None:
        index = _index_of_column(times, like)
    values = _values(frame, [column.dtype for column in columns])
    return _from_values(values[:, 0] if flat else values, names, index)


def _values(frame, dtypes):
    """Numbers of a table as one array: a view where it is one itself, of floats."""
    import narwhals.stable.v2 as nw

    floats = nw.Float32 if all(dtype == nw.Float32 for dtype in dtypes) else nw.Float64
    if any(dtype != floats for dtype in dtypes):
        frame = frame.select(nw.all().cast(floats))
    native = frame.to_native()
    if not nw.dependencies.is_pandas_dataframe(native):
        return frame.to_numpy()
    if all(isinstance(dtype, np.dtype) for dtype in native.dtypes):
        return native.to_numpy()  # 0.2 ms faster than by narwhals
    # As a whole, its types with missing values may become an array of objects.
    return np.column_stack([column.to_numpy() for column in frame.iter_columns()])


def _index_of_column(times, like):
    """Index of a column of times."""
    if times.null_count():
        raise ValueError(f"The time index of the series has a missing label in row {times.is_null().arg_max()}.")
    local = times
    if getattr(times.dtype, "time_zone", None) is not None:
        local = times.dt.replace_time_zone(None)
    return index_of(local.to_numpy(), times.to_numpy(), like=like)


def _check_numeric(columns, names, indexed):
    """Raise if a column holds other things than numbers."""
    import narwhals.stable.v2 as nw

    others = {name: column for name, column in zip(names, columns, strict=True) if not _is_numeric(column)}
    if not others:
        return
    dtypes = {name: getattr(column.to_native(), "dtype", column.dtype) for name, column in others.items()}
    listed = ", ".join(f"{name!r} ({dtype})" for name, dtype in dtypes.items())
    dates = any(column.dtype in (nw.Date, nw.Datetime) for column in others.values())
    hint = " Dates belong into the index: set_index." if indexed and dates else ""
    raise TypeError(f"Columns of the series that are not numeric: {listed}.{hint}")


def _is_numeric(column):
    import narwhals.stable.v2 as nw

    if column.dtype == nw.Unknown:  # of pandas: sparse numbers, and others that are rare
        return getattr(column.to_native().dtype, "kind", "O") in "biuf"
    return column.dtype.is_numeric() or column.dtype == nw.Boolean
