"""The forms in which sequences of any length are handed over, all read as a list of arrays.

Lists of arrays, of frames or of lists; columns whose cells are sequences; nested tables with a column for each feature.
pandas, polars and pyarrow are never imported: whoever gives one of their objects has done that already.
"""

import reprlib
import sys

import numpy as np
from sklearn.utils.validation import check_array

#: What every message about the form of X begins with.
EXPECTED = (
    "Expected X of shape (n_samples, n_timesteps, n_features), (n_samples, n_timesteps), or a list of arrays of shape "
    "(n_timesteps, n_features)"
)
#: How scikit-learn reads a frame, or anything else that becomes an array, whatever its shape and its numbers.
_AS_IT_IS = {
    "dtype": "numeric", "ensure_2d": False, "ensure_all_finite": False, "ensure_min_samples": 0,
    "ensure_min_features": 0,
}  # fmt: skip


def _is_sequence(cell):
    """Whether something in a list or a cell is a sequence, rather than a number, a text or nothing."""
    return hasattr(cell, "__len__") and not isinstance(cell, str | bytes | dict) and getattr(cell, "ndim", 1) > 0


def _holds_objects(column):
    """Whether the type of a column leaves room for sequences: most tables need no look at their cells."""
    polars, pyarrow = sys.modules.get("polars"), sys.modules.get("pyarrow")
    if polars is not None and isinstance(column, polars.Series):
        return column.dtype.is_nested() or column.dtype == polars.Object
    if pyarrow is not None and isinstance(column, pyarrow.Array | pyarrow.ChunkedArray):
        return column.type.num_fields > 0
    return column.dtype.kind == "O"


def _columns(X):
    """Columns of a table, or the one that X is, by name; None if it is something else."""
    polars, pyarrow = sys.modules.get("polars"), sys.modules.get("pyarrow")
    if hasattr(X, "iloc"):  # of pandas, and what is like it
        if X.ndim == 1:
            return [(X.name, X)]
        return [(name, X.iloc[:, j]) for j, name in enumerate(X.columns)]
    if polars is not None and isinstance(X, polars.Series):
        return [(X.name, X)]
    if polars is not None and isinstance(X, polars.DataFrame):
        return list(zip(X.columns, X.get_columns(), strict=True))
    if pyarrow is not None and isinstance(X, pyarrow.Array | pyarrow.ChunkedArray):
        return [(None, X)]
    if pyarrow is not None and isinstance(X, pyarrow.Table | pyarrow.RecordBatch):
        return list(zip(X.schema.names, X.columns, strict=True))
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim in (1, 2):
        return [(0, X)] if X.ndim == 1 else list(enumerate(X.T))
    return None


def _cells(column):
    """Cells of a column: those of pyarrow as arrays."""
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(column, pyarrow.Array | pyarrow.ChunkedArray):
        return list(np.asarray(column))
    return list(column)


def rectangular(X):
    """Lists of lists as one array where they are as long as each other; all else as it is."""
    if not isinstance(X, list | tuple) or not all(isinstance(x, list | tuple) for x in X):
        return X
    try:
        return np.asarray(X)
    except ValueError:
        return X


def read_listed(X, channels_first):
    """The sequences of X, if it is not one array or one table of numbers.

    Parameters
    ----------
    X : object
        As `rectangular` returns it.
    channels_first : bool
        Whether the arrays of single sequences have shape (n_features, n_timesteps).

    Returns
    -------
    arrays : list of ndarray of shape (n_timesteps, n_features), or None
        Numbers of any type; None if X is an array or a table, or nothing that is known here.
    flat : bool
        Whether they were given with one axis each, without one for features.

    Raises
    ------
    ValueError
        For what is no sequence of numbers, and if the sequences have one axis in part.
    """
    if isinstance(X, list | tuple):
        if not any(map(_is_sequence, X)):
            return None, False
        return _oriented([_numbers(x, i) for i, x in enumerate(X)], channels_first)
    columns = _columns(X)
    if columns is None or not any(_holds_objects(column) for _, column in columns):
        return None, False
    cells = {j: _cells(column) for j, (_, column) in enumerate(columns) if _holds_objects(column)}
    nested = [j for j, column in cells.items() if any(map(_is_sequence, column))]
    if not nested:
        return None, False
    if len(nested) < len(columns):
        other = next(name for j, (name, _) in enumerate(columns) if j not in nested)
        raise ValueError(f"{EXPECTED}, got a table in which column {other!r} holds no sequences, and others do.")
    if len(columns) == 1:
        return _oriented([_numbers(x, i) for i, x in enumerate(cells[0])], channels_first)
    return [_joined(row, i) for i, row in enumerate(zip(*cells.values(), strict=True))], False


def _numbers(x, i):
    """One sequence as an array of numbers with one or two axes.

    Parameters
    ----------
    x : object
    i : int
        Its number, for messages.
    """
    if not _is_sequence(x):
        raise ValueError(f"{EXPECTED}, got {reprlib.repr(x)} in place of sequence {i}.")
    if not isinstance(x, np.ndarray) or x.dtype == object:
        x = _converted(x, i)
    if x.dtype.kind not in "fiub":
        raise ValueError(f"Sequence {i} holds {x.dtype}, numbers are required.")
    if x.ndim not in (1, 2):
        raise ValueError(f"{EXPECTED}, got an array with {x.ndim} dimensions as sequence {i}.")
    return x


def _converted(x, i):
    """A frame, a list or an array of objects as an array of another type."""
    try:
        if not isinstance(x, np.ndarray):
            x = np.asarray(x) if isinstance(x, list | tuple) else check_array(x, **_AS_IT_IS)
        if x.dtype != object:
            return x
        if x.ndim == 1 and any(map(_is_sequence, x)):  # steps, each an array of features
            return np.stack([np.asarray(step) for step in x])
        return _without_missing(x).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{EXPECTED}, got something else as sequence {i}: {error}") from None


def _without_missing(x):
    """An array of objects with NaN in place of pandas' NA."""
    pandas = sys.modules.get("pandas")
    return x if pandas is None else np.where(pandas.isna(x), np.nan, x)


def _oriented(arrays, channels_first):
    """Arrays of shape (n_timesteps, n_features), and whether they had no axis of features."""
    axes = {x.ndim for x in arrays}
    if len(axes) > 1:
        raise ValueError(f"{EXPECTED}, got sequences with one axis and others with two.")
    if axes == {1}:
        return [x[:, np.newaxis] for x in arrays], True
    return [x.T if channels_first else x for x in arrays], False


def _joined(row, i):
    """One sequence of a nested table: each cell holds a feature."""
    features = [_numbers(cell, i) for cell in row]
    if any(x.ndim != 1 for x in features):
        raise ValueError(f"{EXPECTED}, got cells with two axes in several columns: first in sequence {i}.")
    lengths = sorted({len(x) for x in features})
    if len(lengths) > 1:
        raise ValueError(f"The features of sequence {i} have different lengths: {lengths}.")
    return np.column_stack(features)
