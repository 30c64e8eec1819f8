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


# -- what a table is like, and one of its kind -------------------------------------------------------------------------


def is_categorical(column):
    """Whether a column of narwhals is of a type for categories."""
    import narwhals.stable.v2 as nw

    return isinstance(column.dtype, nw.Categorical | nw.Enum)


def declared_categories(column):
    """The categories that the type of a column of narwhals names, in its order; None if it names none."""
    import narwhals.stable.v2 as nw

    if isinstance(column.dtype, nw.Enum):
        return list(column.dtype.categories)
    if isinstance(column.dtype, nw.Categorical) and column.implementation.is_pandas_like():
        return column.cat.get_categories().to_list()
    return None


def form_of(table):
    """What a table is like, in plain values.

    Returns
    -------
    dict
        ``library``, ``names`` and ``dtypes``: of every column its type, and for pandas' categories the type of these,
        '' for others, and whether they have an order.
    """
    library = table.frame.implementation.value
    names = [name if isinstance(name, str | int) else str(name) for name in table.names]
    columns = table.frame.iter_columns()
    if library == "pandas":
        dtypes = [_type_in_pandas(column.to_native().dtype) for column in columns]
    else:
        dtypes = [(type(column.dtype).__name__, "", False) for column in columns]
    return {"library": library, "names": names, "dtypes": dtypes}


def _type_in_pandas(dtype):
    categories = getattr(dtype, "categories", None)
    if categories is None:
        return str(dtype), "", False
    return str(dtype), str(categories.dtype), bool(dtype.ordered)


def table_like(form, columns, categories):
    """A table of a form.

    Parameters
    ----------
    form : dict
        See `form_of`.
    columns : list of ndarray
    categories : list of (ndarray or None)
        All that there are in each of the columns; None for numbers.

    Returns
    -------
    DataFrame
        Of the library that the form names.
    """
    if form["library"] == "pandas":
        return _table_of_pandas(form, columns, categories)
    import narwhals.stable.v2 as nw

    schema = {}
    for name, (kind, *_), known in zip(form["names"], form["dtypes"], categories, strict=True):
        dtype = getattr(nw, kind)
        schema[name] = dtype(known.tolist()) if dtype is nw.Enum else dtype()
    cells = {name: column.tolist() for name, column in zip(form["names"], columns, strict=True)}
    return nw.from_dict(cells, schema, backend=form["library"]).to_native()


def _table_of_pandas(form, columns, categories):
    import pandas as pd

    made = {}
    for i, (dtype, of_categories, ordered) in enumerate(form["dtypes"]):
        if of_categories:
            dtype = pd.CategoricalDtype(pd.Index(categories[i], dtype=of_categories), ordered)
        made[i] = pd.Series(columns[i]).astype(dtype)
    table = pd.DataFrame(made)
    table.columns = form["names"]
    return table
