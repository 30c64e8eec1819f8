"""Sequences as users have them, checked, and as the engine reads them."""

import numpy as np
from numpy.lib.stride_tricks import as_strided
from sklearn.utils.validation import check_array, check_X_y

from skneural.backends.inputs import Sequences, are_whole
from skneural.estimators._handover import EXPECTED
from skneural.estimators._rows import BLOCK

#: In place of y where there is none to check: scikit-learn's word for it.
NO_TARGETS = "no_validation"
#: Where they are looked at step by step: they should stay in a cache.
CACHED = 1 << 17


def blocks(X, size=None):
    """Slices of samples, each with about `size` numbers, by default `BLOCK`."""
    size = size or BLOCK
    step = max(1, size // max(1, X[0].size))
    return (slice(i, i + step) for i in range(0, len(X), step))


def stack(arrays):
    """Sequences of different length as one array, NaN after their ends.

    Parameters
    ----------
    arrays : list of ndarray of shape (n_timesteps, n_features)

    Raises
    ------
    ValueError
        If they have different numbers of features, or none of the steps.
    """
    widths = {x.shape[1] for x in arrays}
    if len(widths) > 1:
        raise ValueError(f"All sequences must have the same number of features, got {sorted(widths)}.")
    for i, x in enumerate(arrays):
        if not len(x):
            raise ValueError(f"Sequence {i} has no time steps: at least one is required.")
    single = all(x.dtype.newbyteorder("=") == np.float32 for x in arrays)
    longest = max(len(x) for x in arrays)
    shape = (len(arrays), longest, widths.pop())
    stacked = np.full(shape, np.nan, np.float32 if single else np.float64)
    for row, x in zip(stacked, arrays, strict=True):
        row[: len(x)] = x
    return stacked


def as_dtype(X, dtypes):
    """X in the first of `dtypes` unless it has one of them. Overlapping windows of a series are converted once."""
    if X.dtype in dtypes or X.dtype.kind not in "fiub":
        return X
    if X.ndim != 3 or not X.size:
        return X
    n_samples, n_timesteps, n_features = X.shape
    by_sample, by_step, _ = X.strides
    overlap = by_step > 0 and 0 < by_sample < n_timesteps * by_step
    if not overlap or by_sample % by_step != 0:
        return X.astype(dtypes[0])
    apart = by_sample // by_step
    n_rows = (n_samples - 1) * apart + n_timesteps
    series = as_strided(X, (n_rows, n_features), X.strides[1:], writeable=False)
    series = series.astype(dtypes[0], order="C")
    strides = (apart * series.strides[0], *series.strides)
    return as_strided(series, X.shape, strides, writeable=False)


def dimensions(X):
    """Number of dimensions of X, which may be anything that becomes an array.

    Raises
    ------
    ValueError
        If it becomes none.
    """
    if hasattr(X, "ndim"):
        return X.ndim
    n_dimensions = as_array(X).ndim
    if n_dimensions == 0:
        raise ValueError(f"{EXPECTED}, got {type(X).__name__}.")
    return n_dimensions


def as_array(X):
    """X as an array; an error that says what is wanted where it becomes none."""
    try:
        return np.asarray(X)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{EXPECTED}, got something that is no array: {error}") from None


def check_sequences(X, y, dtypes, numeric):
    """Checked sequences of shape (n_samples, n_timesteps, n_features), and y unless that is `NO_TARGETS`.

    Raises
    ------
    ValueError
        As scikit-learn's checks do, and if X has other than three dimensions, or none of the steps or features.
    """
    if X.ndim != 3:
        raise ValueError(f"{EXPECTED}, got an array with {X.ndim} dimensions.")
    if isinstance(X, np.ndarray):
        X = as_dtype(X, dtypes)
    options = {"dtype": dtypes, "allow_nd": True, "ensure_all_finite": False}
    if y is NO_TARGETS:
        X = check_array(X, input_name="X", **options)
    else:
        X, y = check_X_y(X, y, multi_output=True, y_numeric=numeric, **options)
    if X.size == 0:
        name = "time step" if X.shape[1] == 0 else "feature"
        raise ValueError(f"Found array with 0 {name}(s) (shape={X.shape}) while a minimum of 1 is required.")
    return X, y


def lengths_of(X):
    """Number of steps before the trailing ones that are all NaN, of shape (n_samples,); None if all are whole."""
    is_missing = np.isnan(X[:, -1])
    if not np.count_nonzero(is_missing) or not is_missing.all(axis=1).any():
        return None
    lengths = np.empty(len(X), np.int64)
    for part in blocks(X):
        there = ~np.isnan(X[part]).all(axis=2)
        n_trailing = there[:, ::-1].argmax(axis=1)
        is_empty = ~there.any(axis=1)
        lengths[part] = X.shape[1] - n_trailing
        lengths[part][is_empty] = 0
    return lengths


def check_finite(X):
    """Raise if there is NaN or infinity other than in trailing steps that are all NaN.

    Returns
    -------
    ndarray of shape (n_samples,) or None
        As `lengths_of` has it.

    Raises
    ------
    ValueError
        Naming the first place.
    """
    lengths = lengths_of(X)
    if lengths is not None and not lengths.all():
        i = lengths.argmin()
        raise ValueError(f"Input X contains nothing but NaN in sequence {i}: at least one time step is required.")
    steps = np.arange(X.shape[1])
    for part in blocks(X):
        bad = ~np.isfinite(X[part])
        if lengths is not None:
            there = steps < lengths[part, None]
            bad &= there[:, :, None]
        if bad.any():
            i, t, j = np.argwhere(bad)[0]
            i += part.start
            value = X[i, t, j]
            what = "NaN" if np.isnan(value) else f"infinity or a value too large for {X.dtype!r}"
            raise ValueError(
                f"Input X contains {what}: first in sequence {i}, time step {t}, feature {j}. Only trailing time steps "
                "in which all features are NaN are taken for padding; impute other gaps beforehand."
            )
    return lengths


def read(X):
    """Checked X as the engine reads it."""
    if not are_whole(X):
        X = np.ascontiguousarray(X)
    return Sequences(X, lengths_of(X))


def statistics(sequences, weights, remedy="standardize=False"):
    """Weighted mean and deviation of every feature over all steps, padding left out; the deviation of a constant is 1.

    Each sequence is summed step by step, whatever its padding and layout: the same bits.

    Parameters
    ----------
    sequences : Sequences
    weights : ndarray of shape (n_samples,) or None
        Sequences of weight 0 are not looked at.
    remedy : str
        What to do without a scale, for the message.

    Returns
    -------
    (ndarray, ndarray)
        Of float64, each of shape (n_features,).

    Raises
    ------
    ValueError
        If the sum of the squares is too large for float64.
    """
    X = sequences.values
    lengths = sequences.lengths
    n_samples, n_timesteps, n_features = X.shape
    if lengths is None:
        lengths = np.full(n_samples, n_timesteps)
    weights = np.ones(n_samples) if weights is None else weights.astype(np.float64)

    def weighted_sum(function, filler):
        sums = np.zeros((n_samples, n_features))
        for part in blocks(X, CACHED):
            until = np.where(weights[part] > 0, lengths[part], 0)
            shortest = until.min()
            for t in range(n_timesteps):
                step = X[part, t]
                if t < shortest:
                    sums[part] += function(step)
                    continue
                there = (until > t)[:, None]
                step = np.where(there, step, filler)
                sums[part] += function(step) * there
        return (weights[:, None] * sums).sum(axis=0)

    return scale_of(weighted_sum, (weights * lengths).sum(), X.dtype, "feature", remedy)


def scale_of(weighted_sum, count, dtype, noun, remedy):
    """Mean and deviation; the deviation of a constant is 1.

    Parameters
    ----------
    weighted_sum : callable
        ``weighted_sum(function, filler)`` returns the weighted sum of a function of the values, of shape (n_features,);
        `filler` is what may stand where there is no value.
    count : float
        Weighted number of values.
    dtype : dtype
        In which the values were given.
    noun, remedy : str
        What a feature is called, and what to do without a scale, for the message.

    Returns
    -------
    (ndarray, ndarray)
        Of float64, each of shape (n_features,).

    Raises
    ------
    ValueError
        If the sum of the squares is too large for float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = weighted_sum(lambda x: x, 0.0) / count
        deviation = np.sqrt(weighted_sum(lambda x: (x - mean) ** 2, mean) / count)
    if not np.isfinite(deviation).all():
        j = np.isfinite(deviation).argmin()
        raise ValueError(
            f"Input X contains values too large to be standardized: those of {noun} {j} overflow. Divide X by a "
            f"constant, or set {remedy}."
        )
    least = 10 * np.finfo(dtype).eps * np.abs(mean)
    return mean, np.where(deviation > least, deviation, 1.0)
