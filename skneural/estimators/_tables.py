"""Tables of numbers and categories, as arrays of numbers in which each category is a code; and back."""

from __future__ import annotations

import re
from numbers import Integral, Real

import numpy as np
from sklearn.utils.validation import check_array

from skneural._frames import declared_categories, form_of, is_categorical, table_like

#: Classes of what stands for a missing value, besides None and NaN.
MISSING = ("NAType", "NaTType")
#: Names that libraries have for types of integers.
INTEGER = re.compile("u?int(8|16|32|64)")


def names_features(wanted):
    """Whether `categorical_features` says itself which they are."""
    return wanted is not None and not isinstance(wanted, str)


def categorical_mask(wanted, names, table):
    """Which features are categories.

    Parameters
    ----------
    wanted : array-like, 'from_dtype' or None
        The parameter `categorical_features`.
    names : list
        Of the features, numbers where they have none.
    table : Table or None

    Returns
    -------
    ndarray of bool

    Raises
    ------
    ValueError
        If there are no such features.
    """
    n_features = len(names)
    mask = np.zeros(n_features, bool)
    if not names_features(wanted):
        if wanted is not None and table is not None:
            mask[:] = [is_categorical(column) for column in table.frame.iter_columns()]
        return mask
    wanted = np.asarray(wanted)
    if wanted.dtype.kind == "b":
        if wanted.shape != (n_features,):
            raise ValueError(
                f"categorical_features set as a boolean mask should have shape ({n_features},), got {wanted.shape}."
            )
        return wanted
    if wanted.size == 0:
        return mask
    if wanted.dtype.kind in "iu":
        if wanted.min() < 0 or wanted.max() >= n_features:
            raise ValueError(f"categorical_features set as indices must be in [0, {n_features - 1}], got {wanted}.")
        mask[wanted] = True
        return mask
    if not all(isinstance(name, str) for name in wanted.flat):
        raise ValueError(f"categorical_features must be an array-like of bool, int or str, got {wanted}.")
    if table is None:
        raise ValueError("categorical_features has names, but X has none: name columns by their numbers.")
    unknown = [name for name in wanted.flat if name not in names]
    if unknown:
        raise ValueError(f"categorical_features has names that are no columns of X: {', '.join(unknown[:5])}.")
    return np.isin(np.array(names, object), wanted)


def columns_of(X, table):
    """Columns of X as arrays, and what they are called."""
    if table is not None:
        return [column.to_numpy() for column in table.frame.iter_columns()], table.names
    return list(X.T), list(range(X.shape[1]))


# -- there -------------------------------------------------------------------------------------------------------------


def learn_columns(est, X, table):
    """Learn which columns of X are categories, and which these are: fitted attributes of an estimator.

    Parameters
    ----------
    est : estimator
        With the parameter `categorical_features`.
    X : ndarray of shape (n_samples, n_features), or anything else
    table : Table or None
        What X is, if it is a table.
    """
    est.categories_ = None
    est._table_form = None if table is None else form_of(table)
    wanted = est.categorical_features
    if table is None:
        if not names_features(wanted):
            return
        X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X", estimator=est)
    columns, names = columns_of(X, table)
    mask = categorical_mask(wanted, names, table)
    if table is not None:
        est._table_form["dtypes"] = list(map(_type_to_make, est._table_form["dtypes"], mask))
    if not mask.any():
        return
    declared = [None] * len(names)
    if table is None:
        est._table_form = _form_of_array(X, mask)
    else:
        declared = [declared_categories(column) for column in table.frame.iter_columns()]
    est.categories_ = [
        _categories(*column) if is_one else None for is_one, *column in zip(mask, columns, declared, names, strict=True)
    ]


def _type_to_make(entry, is_one):
    """Type of a column that comes out: where pandas' categories are read as numbers, that of these."""
    _, of_categories, _ = entry
    return (of_categories, "", False) if of_categories and not is_one else entry


def _categories(values, declared, name):
    """The categories of a column: those of its type, else what there is, sorted."""
    values = values.tolist()
    _check_complete(values, name)
    try:
        known = sorted(set(values)) if declared is None else declared
    except TypeError:  # values of several kinds, or not of one that can be sorted
        known = [None]
    if all(isinstance(value, str) for value in known):
        return np.array(known, object)
    if not all(isinstance(value, Real | np.bool_) for value in known):
        raise ValueError(f"The categories of column {name!r} of X must be all text, or all numbers or booleans.")
    return np.array(known)


def coded(X, table, categories):
    """X as an array of numbers: those that it has, and in the place of each category its number.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), or anything that `check_array` reads
    table : Table or None
    categories : list of (ndarray or None)

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        Numbers may be missing.

    Raises
    ------
    ValueError
        If categories are unknown or missing, or numbers are none.
    """
    if table is None:
        X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
    columns, names = columns_of(X, table)
    if len(columns) != len(categories):
        raise ValueError(f"X has {len(columns)} features, but GAN is expecting {len(categories)} features as input.")
    read = []
    for values, name, known in zip(columns, names, categories, strict=True):
        read.append(_numbers(values, name) if known is None else _codes(values, name, known))
    types = {numbers.dtype for numbers, known in zip(read, categories, strict=True) if known is None}
    is_single = types and np.result_type(*types) == np.float32
    return np.column_stack(read).astype(np.float32 if is_single else np.float64)


def _is_missing(value):
    if value is None or type(value).__name__ in MISSING:
        return True
    return isinstance(value, Real) and value != value


def _check_complete(values, name):
    if any(map(_is_missing, values)):
        raise ValueError(
            f"Column {name!r} of X has missing values, which are no category: fill them, or drop their rows."
        )


def _numbers(values, name):
    if values.dtype.kind in "fiub":
        return values
    try:
        return np.array([np.nan if _is_missing(value) else value for value in values.tolist()], np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"Column {name!r} of X holds what is no number: name it in categorical_features, or leave it out."
        ) from None


def _codes(values, name, known):
    values = values.tolist()
    _check_complete(values, name)
    number = {category: code for code, category in enumerate(known.tolist())}
    unknown = sorted({str(value) for value in values if value not in number})
    if unknown:
        words = f"categories that are not known: {', '.join(unknown[:5])}. Known: {known.tolist()}."
        raise ValueError(f"Column {name!r} of X has {words}")
    return np.array([number[value] for value in values], np.int32)


# -- and back ----------------------------------------------------------------------------------------------------------


def _form_of_array(X, mask):
    """What an array is like, as `form_of` says it of tables."""
    if X.dtype.kind in "biuf":
        dtypes = [X.dtype.name] * X.shape[1]
    else:
        dtypes = ["object" if is_one else _type_of(column) for is_one, column in zip(mask, X.T, strict=True)]
    library = "numpy" if X.dtype.kind in "biuf" else "objects"
    return {"library": library, "names": [], "dtypes": [(dtype, "", False) for dtype in dtypes]}


def _type_of(column):
    """Type of the numbers of a column of objects."""
    values = column.tolist()
    if all(isinstance(value, bool) for value in values):
        return "bool"
    return "int64" if all(isinstance(value, Integral) for value in values) else "float64"


def as_given(rows, form, categories):
    """Rows of numbers and codes in the form that a table had.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_features)
    form : dict or None
        See `form_of`. None: the rows as they are.
    categories : list of (ndarray or None), or None

    Returns
    -------
    ndarray or DataFrame
    """
    if form is None:
        return rows
    known = [None] * len(form["dtypes"]) if categories is None else categories
    columns = []
    for numbers, (dtype, *_), own in zip(rows.T, form["dtypes"], known, strict=True):
        columns.append(_rounded(numbers, dtype) if own is None else own[numbers.astype(np.int64)])
    if form["library"] == "numpy":
        return np.column_stack(columns).astype(form["dtypes"][0][0])
    if form["library"] == "objects":
        return np.column_stack([column.astype(object) for column in columns])
    return table_like(form, columns, known)


def _rounded(numbers, dtype):
    """Numbers as a type has them, by its name in any library: integers are the nearest that it holds."""
    name = dtype.lower()
    if name.startswith("bool"):
        return numbers > 0.5
    found = INTEGER.match(name)
    if found is None:
        return numbers
    limits = np.iinfo(found.group())
    high = float(limits.max)
    if limits.bits == 64:
        high = np.nextafter(high, 0.0)  # the largest integer is no float: that is the next one, which is too large
    return np.clip(np.rint(numbers.astype(np.float64)), limits.min, high).astype(limits.dtype)
