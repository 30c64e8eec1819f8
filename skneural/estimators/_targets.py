"""How targets become what a network learns, and how its outputs become predictions."""

import copy
import sys
from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from skneural.backends.inputs import are_finite
from skneural.maths.losses import LOSSES

#: What regressors can minimise; the others are those of `ClassTargets`.
REAL_LOSSES = tuple(
    name for name, row in LOSSES.items() if not (name.endswith(("log_loss", "focal")) or row.adversarial)
)


def without_last_axis(y):
    """Targets of shape (n_samples, n_outputs, 1), as other packages have them beside sequences, without the last axis.

    Raises
    ------
    ValueError
        If there are more than two axes, and the third is not of length 1.
    """
    try:
        n_axes = y.ndim if hasattr(y, "ndim") else np.asarray(y).ndim
    except ValueError as error:  # lists of lists of different length
        raise ValueError(f"y must have shape (n_samples,) or (n_samples, n_outputs), got no array: {error}") from None
    if n_axes < 3:
        return y
    y = np.asarray(y)
    if y.shape[2:] != (1,):
        raise ValueError(
            "y must have shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_outputs, 1), got shape "
            f"{y.shape}: several targets at several steps become columns with y.reshape(len(y), -1)."
        )
    return y[:, :, 0]


def _labels(y):
    """Sorted labels. scikit-learn's `unique_labels` would find out the kind of y once more: small fits notice that."""
    return unique_labels(y) if np.asarray(y).dtype == object else np.unique(y)


def _plain_labels(y):
    """Sorted labels of an array of whole numbers or text, None where scikit-learn's `type_of_target` is to look at it.

    That takes a small fit a tenth of its time. Some versions warn where there are many classes for so few rows.
    """
    if type(y) is not np.ndarray or y.ndim != 1 or y.dtype.kind not in "biuU":
        return None
    labels = np.unique(y)
    return labels if 4 * len(labels) <= len(y) else None


def check_class_weight(class_weight):
    """Raise unless weights of classes, in a dict or one for each output, are finite numbers that are not negative."""
    for weights in class_weight if isinstance(class_weight, list | tuple) else [class_weight]:
        for label, weight in weights.items() if isinstance(weights, dict) else ():
            if not isinstance(weight, Real) or not 0 <= weight <= sys.float_info.max:
                raise ValueError(
                    "class_weight must hold finite numbers that are not negative, but that of the class "
                    f"{label!r} is not."
                )


class ClassTargets:
    """Class labels.

    Two classes are one output; more are one output each; a multilabel indicator is one independent output per label.

    Parameters
    ----------
    y : array-like
        Labels from which the classes are learnt.
    loss : {'log_loss', 'focal'}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    n_outputs : int
    loss : str
        Name in the registry of losses.
    """

    def __init__(self, y, loss):
        self.multilabel = False
        self.sparse = sparse.issparse(y)
        self.classes_ = _plain_labels(y)
        if self.classes_ is None:
            kind = type_of_target(y, input_name="y")
            if kind not in ("binary", "multiclass", "multilabel-indicator"):
                check_classification_targets(y)  # these two raise, in scikit-learn's words
                LabelBinarizer().fit(y)
            self.multilabel = kind.startswith("multilabel")
            self.classes_ = np.arange(y.shape[1]) if self.multilabel else _labels(y)
        several = self.multilabel or len(self.classes_) > 2
        self.n_outputs = len(self.classes_) if several else 1
        self.loss = loss if several and not self.multilabel else f"binary_{loss}"

    def with_loss(self, loss):
        """The same classes with another loss."""
        name = f"binary_{loss}" if self.loss.startswith("binary_") else loss
        if name == self.loss:
            return self
        other = copy.copy(self)
        other.loss = name
        return other

    def constants(self, name, value):
        """A parameter of the loss as constants for its kernel."""
        if name != "focal_alpha":
            return [float(value)]
        n_factors = 2 if self.loss.startswith("binary_") else len(self.classes_)
        if value is None:
            return [1.0] * n_factors
        if n_factors == 2 and np.ndim(value) == 0:
            return [1.0 - value, float(value)]
        factors = np.asarray(value, float)
        if factors.shape != (n_factors,) or not np.all(np.isfinite(factors) & (factors >= 0)):
            raise ValueError(
                f"focal_alpha must be one number in [0, 1] for two classes, else one for each of the {n_factors} "
                f"classes, not negative. Got {value!r}."
            )
        return factors.tolist()

    def check_known(self, y, warm_start):
        """Raise unless y is of the kind that was learnt, and its labels are (a part of them, without `warm_start`)."""
        if sparse.issparse(y) or y.ndim == 2:
            if not self.multilabel:
                raise ValueError(
                    f"y is a label indicator of shape {y.shape}, but this estimator was fitted on one label a sample."
                )
        elif self.multilabel:
            raise ValueError(
                f"y has one label a sample, but this estimator was fitted on indicators of {self.n_outputs} labels."
            )
        if not warm_start and not self.multilabel and self._codes(y) is not None:
            return
        classes = unique_labels(y) if self.multilabel else _labels(y)
        if self.multilabel and len(classes) != len(self.classes_):
            raise ValueError(f"y has {len(classes)} labels, but this estimator was fitted on {len(self.classes_)}.")
        if warm_start and set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {classes}"
            )
        if not self.multilabel and self._codes(y) is None:
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _codes(self, y):
        """The number of every label's class, of shape (n_samples,); None if there are labels of no class."""
        try:
            codes = np.searchsorted(self.classes_, y)
        except TypeError:  # objects that cannot be compared with the classes
            return None
        codes = np.minimum(codes, len(self.classes_) - 1)
        # Numbers and text are compared as text by the search: equal are only labels of one kind.
        alike = self.classes_[codes] == y
        return codes if np.all(alike) else None

    def encode(self, y, dtype):
        """Targets of shape (n_samples, n_outputs), or (n_samples, 1) holding the number of the class."""
        if self.multilabel:
            return np.ascontiguousarray(y.toarray() if sparse.issparse(y) else y, dtype)
        if len(self.classes_) == 1:
            return np.zeros((len(y), 1), dtype)
        codes = self._codes(y)
        if codes is None:  # the kernels would read and write beside their arrays
            raise ValueError(f"y has labels other than the classes {self.classes_}.")
        return codes.astype(dtype).reshape(-1, 1)

    def sample_weights(self, class_weight, y):
        """The weight of every row by its class."""
        if not isinstance(class_weight, dict) or self.multilabel:
            return compute_sample_weight(class_weight, y)
        factors = compute_class_weight(class_weight, classes=self.classes_, y=self.classes_)  # y may lack some of them
        return factors[self._codes(y)]

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
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
    loss : str
    quantiles : float or array-like of shape (n_quantiles,)
        For ``loss='quantile'``: with a sequence there is one output each, for every target.

    Attributes
    ----------
    n_targets, n_outputs : int
    center, scale : ndarray of shape (n_targets,) or None
        By which targets are standardised, in units of y.
    """

    def __init__(self, y, loss, quantiles):
        self.loss = loss
        self.center = None
        self.scale = None
        self.n_targets = self.n_outputs = 1 if y.ndim == 1 else y.shape[1]
        self.quantiles = None
        if loss == "quantile" and np.ndim(quantiles):
            self.quantiles = np.asarray(quantiles, float)
            are_within = np.all((self.quantiles > 0) & (self.quantiles < 1))
            if self.quantiles.ndim != 1 or not len(quantiles) or not are_within:
                raise ValueError(f"quantiles must be one number or a sequence of numbers in (0, 1), got {quantiles!r}.")
            self.n_outputs = self.n_targets * len(quantiles)

    def standardize(self, y, weights):
        """Learn mean and deviation, by which targets are scaled and predictions scaled back.

        Not for losses with a log link, whose outputs are no shifted targets.
        """
        if LOSSES[self.loss].link != "identity":
            return
        y = np.asarray(y, float).reshape(len(y), -1)
        if weights is not None:  # rows of weight 0 may hold anything
            counts = weights > 0
            y = y[counts]
            weights = weights[counts]
        with np.errstate(over="ignore", invalid="ignore"):  # `encode` refuses what comes of it
            self.center = np.average(y, axis=0, weights=weights)
            variance = np.average((y - self.center) ** 2, axis=0, weights=weights)
            deviation = np.sqrt(variance)
        # Rounding leaves a constant a deviation; it is not worth dividing by.
        rounding = 10 * np.finfo(float).eps * np.abs(self.center)
        self.scale = np.where(deviation > rounding, deviation, 1.0)

    def adopt_scale(self, other):
        """Scale as other targets do, unless the loss has a log link: those may have had another."""
        if LOSSES[self.loss].link == "identity":
            self.center = other.center
            self.scale = other.scale

    def check_as_before(self, learnt):
        """Raise if the number of targets is another than was learnt."""
        if self.n_targets != learnt.n_targets:
            raise ValueError(f"y has {self.n_targets} outputs, but this estimator was fitted on {learnt.n_targets}.")

    def check_known(self, y, warm_start):
        """Raise if the number of targets is another than was learnt."""
        self.check_as_before(RealTargets(y, self.loss, 0.5))

    def constants(self, name, value):
        """A parameter of the loss as constants for its kernel."""
        if name != "quantiles":
            return [float(value)]
        if self.quantiles is None:
            return [float(value)] * self.n_outputs
        return np.tile(self.quantiles, self.n_targets).tolist()

    def encode(self, y, dtype):
        """Targets of shape (n_samples, n_outputs)."""
        if self.center is not None:
            with np.errstate(over="ignore"):
                units = np.asarray([self.center, self.scale]).astype(dtype)
            if not np.isfinite(units).all():
                raise ValueError(f"Input y contains infinity or a value too large for {np.dtype(dtype)!r}.")
            y = np.asarray(y, float).reshape(len(y), -1)
            y = (y - self.center) / self.scale
        targets = np.ascontiguousarray(y, dtype).reshape(len(y), -1)
        loss = LOSSES[self.loss]
        if loss.least is not None:
            is_low = targets <= loss.least if loss.open else targets < loss.least
            if is_low.any():
                wanted = "strictly positive" if loss.open else "non-negative"
                raise ValueError(f"loss={self.loss!r} requires {wanted} y.")
        if not are_finite(targets):
            raise ValueError(f"Input y contains infinity or a value too large for {targets.dtype!r}.")
        if self.quantiles is None:
            return targets
        return np.repeat(targets, len(self.quantiles), axis=1)

    def stratify(self, y, smaller):
        """Nothing to stratify by."""
        return None

    def decode(self, outputs):
        """Predictions of shape (n_samples,) or (n_samples, n_targets), with several quantiles one dimension more.

        Quantiles are put in order, which brings them nearer to the true ones (Chernozhukov, Fernandez-Val and Galichon,
        2010, "Quantile and probability curves without crossing").
        """
        if self.center is not None:
            scale = self.scale.astype(outputs.dtype)
            center = self.center.astype(outputs.dtype)
            if self.quantiles is not None:
                scale = np.repeat(scale, len(self.quantiles))
                center = np.repeat(center, len(self.quantiles))
            outputs = outputs * scale + center
        if self.quantiles is None:
            return outputs.ravel() if outputs.shape[1] == 1 else outputs
        order = np.argsort(self.quantiles, kind="stable")
        rank = np.argsort(order, kind="stable")
        outputs = outputs.reshape(len(outputs), self.n_targets, -1)
        ordered = np.sort(outputs, axis=2)[:, :, rank]
        return ordered[:, 0] if self.n_targets == 1 else ordered
