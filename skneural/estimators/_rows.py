"""From what users hand over to what the engine reads: rows, targets and weights, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import column_or_1d, validate_data

from skneural._compat import check_sample_weight
from skneural.backends.inputs import are_finite
from skneural.estimators._parameters import rows_of
from skneural.estimators._settings import STOCHASTIC_SOLVERS, input_dtypes
from skneural.estimators._targets import without_last_axis

#: Numbers that are looked at in one go, so that memory-mapped data is never read whole.
BLOCK = 1 << 20
#: Types of labels that may stand in a list of a few.
LABELS = (int, float, str, bool, np.generic)


def in_range(weights, dtype):
    """Weights of samples in the precision of the network, and the power of 2 that they were multiplied by.

    A weighted mean does not depend on the size of the weights, but arithmetic does where they are near the largest or
    the smallest numbers there are. There they are brought near 1, exactly; elsewhere they stay as they are.

    Parameters
    ----------
    weights : ndarray of shape (n_samples,)
        Finite and not negative.
    dtype : dtype
    """
    exponent = int(np.frexp(weights.max())[1])
    if abs(exponent) < np.finfo(dtype).maxexp // 2:
        return np.ascontiguousarray(weights, dtype), 1.0
    # In two steps, since the power itself may be out of range.
    half = -exponent // 2
    weights = np.ldexp(np.ldexp(weights.astype(np.float64), half), -exponent - half)
    return np.ascontiguousarray(weights, dtype), float(np.ldexp(1.0, min(-exponent, 1023)))


class Samples(NamedTuple):
    """Samples as users have them, checked."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None


@dataclass
class Rows:
    """Samples as the engine reads them.

    Attributes
    ----------
    given : Samples
        As users have them.
    inputs : ndarray, tuple or Sequences
    targets : ndarray of shape (n_samples, n_targets)
    weights : ndarray of shape (n_samples,) or None
    factor : float
        What the weights were multiplied by.
    """

    given: Samples
    inputs: object
    targets: np.ndarray
    weights: np.ndarray | None
    factor: float


class RowReader:
    """How estimators that read rows check X, and what the engine reads of it."""

    #: Whether X may be rows (False) and sequences (True).
    reads_sequences = (False,)
    #: Whether what the engine reads as sequences are images, a step for each pixel.
    reads_images = False
    #: Whether X is samples to be made, which stand in rows.
    reads_samples = False

    def validate(self, est, X, y, reset, dtype=None):
        """Checked X and y; `dtype` is that of weights there are, and `reset` is as in scikit-learn."""
        dtype = input_dtypes(est) if dtype is None else [dtype]
        if _is_plain(X, dtype) and (reset or _fits(est, X)):
            targets = plain_targets(est, y, len(X))
            if targets is not None:
                if reset:
                    est.n_features_in_ = X.shape[1]
                    vars(est).pop("feature_names_in_", None)
                return X, targets
        X, y = validate_data(
            est,
            X,
            without_last_axis(y),
            accept_sparse="csr",
            multi_output=True,
            y_numeric=est._numeric_targets,
            dtype=dtype,
            order="C",
            reset=reset,
        )
        if not sparse.issparse(y) and y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def validate_prediction(self, est, X):
        """Checked X of which a prediction is asked."""
        dtype = est._params.dtype
        if _is_plain(X, (dtype,)) and _fits(est, X):
            return X
        return validate_data(est, X, accept_sparse="csr", dtype=dtype, order="C", reset=False)

    def read(self, X):
        """Checked X as the engine reads it."""
        return rows_of(X)

    def variant(self, X):
        """The variant of the program that predicts for checked X."""
        return {"sparse": not isinstance(X, np.ndarray), "training": False}

    def as_given(self, est, X):
        """Checked X as users hand it over."""
        return X

    def one_sample(self, est, dtype):
        """X that an estimator reads: of the form that it was fitted on, if it was, but for the number of features."""
        X = np.zeros((1, 1), dtype)
        return sparse.csr_matrix(X) if hasattr(est, "_program") and est._program.sparse else X


def _is_plain(X, dtypes):
    """Whether X is an array that scikit-learn's checks would hand back as it is.

    One row through a small network takes less than those checks, and many a fit as long.
    """
    return (
        type(X) is np.ndarray
        and X.dtype in dtypes
        and X.ndim == 2
        and X.flags.c_contiguous
        and 0 < X.size <= BLOCK
        and are_finite(X)
    )


def _fits(est, X):
    """Whether a plain X is like that of the fit."""
    return X.shape[1] == est.n_features_in_ and "feature_names_in_" not in vars(est)


def plain_targets(est, y, n_samples):
    """Targets that scikit-learn's checks would hand back as they are, as an array; None if it is not plain."""
    if type(y) is list and all(isinstance(label, LABELS) for label in y):
        y = np.asarray(y)
    if type(y) is not np.ndarray or y.shape != (n_samples,):
        return None
    if y.dtype.kind in "fiub" and are_finite(y):
        return y
    return y if y.dtype.kind == "U" and not est._numeric_targets else None


def check_weights(weights, X, dtype):
    """Sample weights of checked X in the precision of the network, None for None."""
    return None if weights is None else check_sample_weight(weights, X, dtype)


def hold_out(est, samples, request, targets, random, dtype):
    """Training and validation samples; None for the latter where there are none."""
    if request.X_val is not None:
        X, y = est._reader.validate(est, request.X_val, request.y_val, reset=False, dtype=dtype)
        targets.check_known(y, warm_start=False)
        return samples, Samples(X, y, check_weights(request.sample_weight_val, X, dtype))
    if not est.early_stopping or est.solver not in STOCHASTIC_SOLVERS:
        return samples, None
    n_samples = samples.X.shape[0]
    n_val = int(np.ceil(est.validation_fraction * n_samples))
    parts = {id(part): part for part in samples if part is not None}  # y may be X itself
    split = train_test_split(
        *parts.values(),
        random_state=random,
        test_size=est.validation_fraction,
        stratify=targets.stratify(samples.y, min(n_val, n_samples - n_val)),
    )
    train, held_out = (dict(zip(parts, split[half::2], strict=True)) for half in range(2))
    train = Samples(*[train.get(id(part)) for part in samples])
    held_out = Samples(*[held_out.get(id(part)) for part in samples])
    if held_out.X.shape[0] < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    if any(part.weights is not None and not part.weights.any() for part in (train, held_out)):
        raise ValueError("Sample weights must contain at least one non-zero number in each part of the data.")
    return train, held_out


def encode(est, targets, samples, dtype):
    """Checked samples as the engine reads them."""
    weights = samples.weights
    class_weight = getattr(est, "class_weight", None)
    if class_weight is not None:
        by_class = targets.sample_weights(class_weight, samples.y)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            weights = by_class if weights is None else weights * by_class
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise ValueError(f"class_weight must give finite weights that are not negative, got {class_weight}.")
    factor = 1.0
    if weights is not None:
        weights, factor = in_range(weights, dtype)
    inputs, encoded = est._encode(targets, samples, dtype)
    return Rows(samples, inputs, encoded, weights, factor)
