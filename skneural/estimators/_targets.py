"""How targets become what a network learns, and how its outputs become predictions."""

import numpy as np
from scipy import sparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels


def _labels(y):
    """Sorted labels. scikit-learn's `unique_labels` would find out the kind of y once more: small fits notice that."""
    return unique_labels(y) if np.asarray(y).dtype == object else np.unique(y)


class ClassTargets:
    """Class labels.

    Two classes are one output; more are one output each; a multilabel indicator is one independent output per label.

    Parameters
    ----------
    y : array-like
        Labels from which the classes are learnt.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    n_outputs : int
    loss : str
    """

    def __init__(self, y):
        kind = type_of_target(y, input_name="y")
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            check_classification_targets(y)  # these two raise, in scikit-learn's words
            LabelBinarizer().fit(y)
        self.multilabel, self.sparse = kind.startswith("multilabel"), sparse.issparse(y)
        self.classes_ = np.arange(y.shape[1]) if self.multilabel else _labels(y)
        several = self.multilabel or len(self.classes_) > 2
        self.n_outputs = len(self.classes_) if several else 1
        self.loss = "log_loss" if several and not self.multilabel else "binary_log_loss"

    def check_known(self, y, warm_start):
        """Raise unless the labels are those that were learnt (a part of them, without `warm_start`)."""
        classes = unique_labels(y) if self.multilabel else _labels(y)
        if warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def encode(self, y, dtype):
        """Targets of shape (n_samples, n_outputs), or (n_samples, 1) holding the number of the class."""
        if self.multilabel:
            return np.ascontiguousarray(y.toarray() if sparse.issparse(y) else y, dtype)
        if len(self.classes_) == 1:
            return np.zeros((len(y), 1), dtype)
        return np.searchsorted(self.classes_, y).astype(dtype).reshape(-1, 1)

    def stratify(self, y, smaller):
        """What a split should be stratified by, if anything; `smaller` is the number of rows of its smaller part."""
        if self.multilabel:
            return None
        if len(self.classes_) == 2:
            # scikit-learn splits two classes by a column of booleans, which shows in its messages: they are kept.
            return (y == self.classes_[-1]).reshape(-1, 1)
        _, counts = np.unique(y, return_counts=True)
        return y if counts.min() >= 2 and len(counts) <= smaller else None

    def decode(self, outputs):
        """Predicted labels."""
        if self.multilabel:
            labels = (outputs > 0.5).astype(int)
            return sparse.csr_matrix(labels) if self.sparse else labels
        if self.n_outputs > 1:
            return self.classes_[outputs.argmax(axis=1)]
        if len(self.classes_) == 1:
            return np.repeat(self.classes_, len(outputs))
        return self.classes_[(outputs[:, 0] > 0.5).astype(int)]

    def probabilities(self, outputs):
        """Probabilities of shape (n_samples, n_classes)."""
        if self.n_outputs > 1 or self.multilabel:
            return outputs
        if len(self.classes_) == 1:
            return np.ones_like(outputs)
        return np.hstack([1 - outputs, outputs])


class RealTargets:
    """Real numbers, one or several a row.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    loss : str
    """

    def __init__(self, y, loss):
        self.loss = loss
        self.n_outputs = 1 if y.ndim == 1 else y.shape[1]

    def check_known(self, y, warm_start):
        """Raise if the number of outputs is another than was learnt."""
        n_outputs = 1 if y.ndim == 1 else y.shape[1]
        if n_outputs != self.n_outputs:
            raise ValueError(f"y has {n_outputs} outputs, but this estimator was fitted on {self.n_outputs}.")

    def encode(self, y, dtype):
        """Targets of shape (n_samples, n_outputs)."""
        if self.loss == "poisson" and np.any(y < 0):
            raise ValueError("loss='poisson' requires non-negative y.")
        targets = np.ascontiguousarray(y, dtype).reshape(len(y), -1)
        if not np.isfinite(targets).all():
            raise ValueError(f"Input y contains infinity or a value too large for {targets.dtype!r}.")
        return targets

    def stratify(self, y, smaller):
        """Nothing to stratify by."""
        return None

    def decode(self, outputs):
        """Predictions of shape (n_samples,) or (n_samples, n_outputs)."""
        return outputs.ravel() if outputs.shape[1] == 1 else outputs
