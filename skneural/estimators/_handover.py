"""The forms in which sequences of any length are handed over, all read as a list of arrays.

Lists of arrays, of frames or of lists; columns whose cells are sequences; nested tables with a column for each feature.
"""

import reprlib
import sys

import numpy as np
from sklearn.utils.validation import check_array

from skneural._frames import read_table

#: What every message about the form of X begins with.
EXPECTED = (
    "Expected X of shape (n_samples, n_timesteps, n_features), (n_samples, n_timesteps), or a list of arrays of shape "
    "(n_timesteps, n_features)"
)


def _is_sequence(cell):
    """Whether something in a list or a cell is a sequence, rather than a number, a text or nothing."""
    if isinstance(cell, str | bytes | dict):
        return False
    return hasattr(cell, "__len__") and getattr(cell, "ndim", 1) > 0


def _holds_sequences(cells):
    return any(_is_sequence(cell) for cell in cells)


def _columns(X):
    """Names of the columns of a table, or of the one that X is, and their cells; None if X is something else.

    Cells of numbers are left out: most tables need no look at them.
    """
    if isinstance(X, np.ndarray):
        if X.dtype != object or X.ndim not in (1, 2):
            return None
        columns = np.atleast_2d(X.T)
        return list(range(len(columns))), list(columns)
    table = read_table(X)
    if table is None:
        return None
    return table.names, [_cells(column) for column in table.frame.iter_columns()]


def _cells(column):
    """Cells of a column of narwhals whose type leaves room for sequences; none of another."""
    dtype = column.dtype
    if dtype.is_nested() or not (dtype.is_numeric() or dtype.is_temporal()):
        return list(column.to_numpy())
    return []


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
        return _oriented(X, channels_first) if _holds_sequences(X) else (None, False)
    columns = _columns(X)
    if columns is None:
        return None, False
    names, cells = columns
    nested = [_holds_sequences(column) for column in cells]
    if not any(nested):
        return None, False
    if not all(nested):
        other = names[nested.index(False)]
        raise ValueError(f"{EXPECTED}, got a table in which column {other!r} holds no sequences, and others do.")
    if len(cells) == 1:
        return _oriented(cells[0], channels_first)
    return [_joined(row, i) for i, row in enumerate(zip(*cells, strict=True))], False


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
        x = _as_array(x)
        if x.dtype != object:
            return x
        if x.ndim == 1 and _holds_sequences(x):  # steps, each an array of features
            return np.stack([np.asarray(step) for step in x])
        return _without_missing(x).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{EXPECTED}, got something else as sequence {i}: {error}") from None


def _as_array(x):
    """A sequence as an array, a frame as scikit-learn reads it."""
    if isinstance(x, np.ndarray | list | tuple):
        return np.asarray(x)
    return check_array(
        x,
        dtype="numeric",
        ensure_2d=False,
        ensure_all_finite=False,
        ensure_min_samples=0,
        ensure_min_features=0,
    )


def _without_missing(x):
    """An array of objects with NaN in place of pandas' NA."""
    pandas = sys.modules.get("pandas")  # whoever has an NA has imported it
    return x if pandas is None else np.where(pandas.isna(x), np.nan, x)


def _oriented(sequences, channels_first):
    """Arrays of shape (n_timesteps, n_features), and whether they had no axis of features."""
    arrays = [_numbers(x, i) for i, x in enumerate(sequences)]
    axes = {x.ndim for x in arrays}
    if len(axes) > 1:
        raise ValueError(f"{EXPECTED}, got sequences with one axis and others with two.")
    if axes == {1}:
        return [x[:, np.newaxis] for x in arrays], True
    if channels_first:
        return [x.T for x in arrays], False
    return arrays, False


def _joined(row, i):
    """One sequence of a nested table: each cell holds a feature."""
    features = [_numbers(cell, i) for cell in row]
    if any(x.ndim != 1 for x in features):
        raise ValueError(f"{EXPECTED}, got cells with two axes in several columns: first in sequence {i}.")
    lengths = sorted({len(x) for x in features})
    if len(lengths) > 1:
        raise ValueError(f"The features of sequence {i} have different lengths: {lengths}.")
    return np.column_stack(features)
