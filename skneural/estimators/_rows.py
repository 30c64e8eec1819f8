"""From what users hand over to what the engine reads: rows, targets and weights, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import column_or_1d, validate_data

from skneural._compat import check_sample_weight
from skneural.estimators._parameters import rows_of
from skneural.estimators._settings import STOCHASTIC_SOLVERS, input_dtypes
from skneural.estimators._targets import without_last_axis

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


class CheckedRows:
    """Mixin: how X, y and weights are checked, held out for validation, and encoded."""

    def _validate(self, X, y, reset, dtype=None):
        """Checked X and y; `dtype` is that of weights there are, and `reset` is as in scikit-learn."""
        if dtype is None:
            dtype = input_dtypes(self)
        if not reset and self._is_plain(X, dtype):
            targets = self._plain_targets(y, len(X))
            if targets is not None:
                return X, targets
        X, y = validate_data(
            self, X, without_last_axis(y), accept_sparse="csr", multi_output=True, y_numeric=self._numeric_targets,
            dtype=dtype, order="C", reset=reset,
        )  # fmt: skip
        if not sparse.issparse(y) and y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _is_plain(self, X, dtype):
        """Whether X is an array that scikit-learn's checks would hand back as it is.

        One row through a small network takes less than those checks.
        """
        return (
            type(X) is np.ndarray and X.dtype == dtype and X.ndim == 2 and X.flags.c_contiguous
            and X.shape[0] > 0 and X.shape[1] == self.n_features_in_ and "feature_names_in_" not in self.__dict__
            and bool(np.isfinite(X).all())
        )  # fmt: skip

    def _plain_targets(self, y, n_samples):
        """Targets that scikit-learn's checks would hand back as they are, as an array; None if it is not plain."""
        if type(y) is list and all(isinstance(label, LABELS) for label in y):
            y = np.asarray(y)
        if type(y) is not np.ndarray or y.shape != (n_samples,):
            return None
        numbers = y.dtype.kind in "fiub" and np.isfinite(y).all()
        return y if numbers or (y.dtype.kind == "U" and not self._numeric_targets) else None

    def _check_weights(self, weights, X):
        """Sample weights in the precision of checked X, None for None."""
        return None if weights is None else check_sample_weight(weights, X, X.dtype)

    def _held_out(self, samples, request, targets, random):
        """Training and validation samples; None for the latter where there are none."""
        if request.X_val is not None:
            X, y = self._validate(request.X_val, request.y_val, reset=False, dtype=samples.X.dtype)
            targets.check_known(y, warm_start=False)
            return samples, Samples(X, y, self._check_weights(request.sample_weight_val, X))
        if not self.early_stopping or self.solver not in STOCHASTIC_SOLVERS:
            return samples, None
        n_samples = samples.X.shape[0]
        n_val = int(np.ceil(self.validation_fraction * n_samples))
        split = train_test_split(
            *[part for part in samples if part is not None],
            random_state=random,
            test_size=self.validation_fraction,
            stratify=targets.stratify(samples.y, min(n_val, n_samples - n_val)),
        )
        train = Samples(*split[::2])
        held_out = Samples(*split[1::2])
        if held_out.X.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        if any(part.weights is not None and not part.weights.any() for part in (train, held_out)):
            raise ValueError("Sample weights must contain at least one non-zero number in each part of the data.")
        return train, held_out

    def _encode(self, targets, samples):
        """Checked samples as the engine reads them."""
        X = samples.X
        weights = samples.weights
        class_weight = getattr(self, "class_weight", None)
        if class_weight is not None:
            by_class = targets.sample_weights(class_weight, samples.y)
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                weights = by_class if weights is None else weights * by_class
            if not np.isfinite(weights).all() or (weights < 0).any():
                raise ValueError(f"class_weight must give finite weights that are not negative, got {class_weight}.")
        factor = 1.0
        if weights is not None:
            weights, factor = in_range(weights, X.dtype)
        return Rows(samples, self._read(X), targets.encode(samples.y, X.dtype.type), weights, factor)

    @staticmethod
    def _read(X):
        """Checked X as the engine reads it."""
        return rows_of(X)

    @staticmethod
    def _variant(X):
        """The variant of the program that predicts for checked X."""
        return {"sparse": sparse.issparse(X)}

    def _as_given(self, X):
        """Checked X as users hand it over."""
        return X

    def _validate_prediction(self, X):
        dtype = self._params.dtype
        if self._is_plain(X, dtype):
            return X
        return validate_data(self, X, accept_sparse="csr", dtype=dtype, order="C", reset=False)
