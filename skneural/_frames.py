"""Tables of pandas, polars and pyarrow, and what is like them, as tables of narwhals.

narwhals, like any of those, is imported when there is such a table: arrays need none of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Table(NamedTuple):
    """A table, or one column that was given flat.

    The frame may have other names than those that were given, of which two may be the same, or None.
    """

    frame: Any
    names: list
    flat: bool


def read_table(X):
    """What narwhals makes of a frame, a series or an array of pyarrow; None if X is something else."""
    if isinstance(X, np.ndarray | list | tuple):
        return None
    import narwhals.stable.v2 as nw

    names = None
    if nw.dependencies.is_pandas_like_dataframe(X) and not X.columns.is_unique:  # which narwhals refuses
        names = list(X.columns)
        X = X.set_axis(range(len(names)), axis=1)
    read = nw.from_native(_of_pyarrow(X, nw), eager_only=True, allow_series=True, pass_through=True)
    if isinstance(read, nw.Series):
        name = None if read.name == "" else read.name
        return Table(read.to_frame(), [name], flat=True)
    if isinstance(read, nw.DataFrame):
        return Table(read, names or read.columns, flat=False)
    return None


def _of_pyarrow(X, nw):
    """Arrays and batches of pyarrow as columns and tables of it; all else as it is."""
    pyarrow = nw.dependencies.get_pyarrow()
    if pyarrow is None:
        return X
    if isinstance(X, pyarrow.Array):
        return pyarrow.chunked_array([X])
    if isinstance(X, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([X])
    return X
