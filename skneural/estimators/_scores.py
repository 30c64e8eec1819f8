"""Accuracy and R2 of plain arrays, computed at once: scikit-learn's checks take longer than many an epoch before it."""

import numpy as np
from sklearn.metrics import accuracy_score, r2_score


def _are_plain(y, predicted, kinds):
    """Whether targets and predictions are arrays with one axis, of one type of these kinds."""
    return (
        type(y) is np.ndarray
        and y.ndim == 1
        and y.shape == predicted.shape
        and y.dtype.kind in kinds
        and y.dtype == predicted.dtype
    )


def accuracy(y, predicted, sample_weight=None):
    """As `accuracy_score`."""
    if sample_weight is None and _are_plain(y, predicted, "biuU"):
        return np.mean(y == predicted)
    return accuracy_score(y, predicted, sample_weight=sample_weight)


def r2(y, predicted, sample_weight=None):
    """As `r2_score`, which is asked wherever the score is none or no number, too: it raises, or warns."""
    if sample_weight is None and _are_plain(y, predicted, "f"):
        y = y.reshape(-1, 1)  # in the order in which columns are added up
        with np.errstate(all="ignore"):
            errors = np.sum((y - predicted.reshape(-1, 1)) ** 2, axis=0)[0]
            deviations = np.sum((y - np.mean(y, axis=0)) ** 2, axis=0)[0]
        if np.isfinite(errors) and 0 < deviations < np.inf:
            return 1 - errors / deviations
    return r2_score(y, predicted, sample_weight=sample_weight)
