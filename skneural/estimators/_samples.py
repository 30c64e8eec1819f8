"""Samples that a generator learns to make: how they are checked, and what a network has in their place."""

from __future__ import annotations

import copy
import math

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, check_array, check_consistent_length, column_or_1d, validate_data

from skneural._frames import read_table
from skneural.estimators import _tables
from skneural.estimators._rows import RowReader
from skneural.estimators._settings import input_dtypes, network_dtype

#: Of every loss: its name in the registry, what an output must be larger than for a sample to be judged real, and what
#: the discriminator aims at for real and for generated samples, and the generator for its own.
LOSSES_OF_GANS = {
    "log_loss": ("binary_log_loss", 0.0, (1.0, 0.0, 1.0)),
    "least_squares": ("squared_error", 0.5, (1.0, 0.0, 1.0)),
    "hinge": ("hinge", 0.0, (1.0, -1.0, 2.0)),
    "wasserstein": ("wasserstein", 0.0, (1.0, -1.0, 1.0)),
}


class SampleReader(RowReader):
    """How X and y of generative networks are checked: rows, or images, which become rows of all their numbers.

    In the place of a category of a table there is its number.
    """

    reads_samples = True

    def validate(self, est, X, y, reset, dtype=None):
        """Checked X, as rows, and the labels y, None for none."""
        X = self._check(est, X, reset, dtype)
        if y is None:
            return X, None
        y = column_or_1d(check_array(y, ensure_2d=False, dtype=None, input_name="y"), warn=True)
        check_consistent_length(X, y)
        check_classification_targets(y)
        return X, y

    def validate_prediction(self, est, X):
        """Checked X that is to be judged."""
        return self._check(est, X, False, est._params.dtype)

    def _check(self, est, X, reset, dtype):
        table = None if sparse.issparse(X) else read_table(X)
        if isinstance(X, list):
            X = np.asarray(X, object if _tables.names_features(est.categorical_features) else None)
        if reset:
            _tables.learn_columns(est, X, table)
        dtypes = input_dtypes(est) if dtype is None else [dtype]
        if est.categories_ is not None:
            validate_data(est, X, skip_check_array=True, reset=reset)
            X = _tables.coded(X, table, est.categories_)
            X = check_array(X, dtype=dtypes, order="C", input_name="X", estimator=est)
        elif getattr(X, "ndim", 2) <= 2:
            X = validate_data(est, X, dtype=dtypes, order="C", reset=reset)
        else:
            if dtype is None:
                dtypes = network_dtype(est, np.asarray(X))
            X = check_array(X, dtype=dtypes, allow_nd=True, input_name="X", estimator=est)
        if reset:
            self._learn(est, X)
        if X.shape[1:] != est.sample_shape_:
            raise ValueError(
                f"X has samples of shape {X.shape[1:]}, but {type(est).__name__} is expecting samples of shape "
                f"{est.sample_shape_}, as in fit."
            )
        return np.ascontiguousarray(X.reshape(_num_samples(X), -1))

    def _learn(self, est, X):
        if X.ndim not in (2, 3, 4):
            raise ValueError(
                "Expected X of shape (n_samples, n_features), (n_images, height, width) or (n_images, height, width, "
                f"n_channels), got an array with {X.ndim} dimensions."
            )
        est.sample_shape_ = tuple(int(n) for n in X.shape[1:])
        est.n_features_in_ = math.prod(est.sample_shape_)
        if X.ndim > 2:
            vars(est).pop("feature_names_in_", None)


class SampleTargets:
    """What is known of the samples to be made: their scale, and their classes.

    Networks have samples as rows: all numbers, scaled, then for each feature that is a category a group of columns, one
    of which is 1.

    Parameters
    ----------
    loss : str
        One of `LOSSES_OF_GANS`.
    y : ndarray of shape (n_samples,) or None
    classes : ndarray or None
        All that there will ever be, by default those in y.
    widths : ndarray of shape (n_features,)
        How many categories there are in each feature; 0 for numbers.

    Attributes
    ----------
    loss : str
        Name in the registry of losses.
    n_outputs : int
        Of the discriminator: one.
    classes_ : ndarray of shape (n_classes,) or None
    shares : ndarray of shape (n_classes,) or None
        Of the classes in the data.
    widths : ndarray of shape (n_features,)
    center, scale : ndarray of shape (n_numbers,)
        By which numbers are scaled.
    """

    n_outputs = 1

    def __init__(self, loss, y, classes, widths):
        self.loss = LOSSES_OF_GANS[loss][0]
        self.classes_ = None
        self.shares = None
        self.center = None
        self.scale = None
        self.widths = widths
        if y is not None:
            self.classes_ = np.unique(y if classes is None else classes)
            if len(self.classes_) == 0:
                raise ValueError("classes must hold at least one class, got none.")
            self.shares = self._shares_in(y)

    @property
    def n_labels(self):
        """Columns that say of which class a sample is."""
        return 0 if self.classes_ is None else len(self.classes_)

    @property
    def n_numbers(self):
        """Features that are numbers."""
        return int(np.count_nonzero(self.widths == 0))

    @property
    def width(self):
        """Columns of a sample."""
        return self.n_numbers + int(self.widths.sum())

    def groups(self):
        """Of each category the feature, and its columns as a slice."""
        features = np.flatnonzero(self.widths)
        ends = self.n_numbers + np.cumsum(self.widths[features])
        for feature, end in zip(features, ends.tolist(), strict=True):
            yield feature, slice(end - int(self.widths[feature]), end)

    def _shares_in(self, y):
        """Of each class, how many of the labels are of it."""
        return np.bincount(self.codes(y), minlength=self.n_labels) / len(y)

    def after(self, y, newest):
        """The same after a fit on labels y, which are a share of all that there have been; copies may have this one."""
        known = copy.copy(self)
        known.shares = (1 - newest) * self.shares + newest * self._shares_in(y)
        return known

    def constants(self, name, value):
        """Constants of the loss: labels are smoothed by what the passes aim at."""
        return [0.0]

    def learn_scale(self, X, scaling):
        """Learn the scale of the numbers of X by a rule: 'standard', 'range' or None."""
        self.center = np.zeros(self.n_numbers)
        self.scale = np.ones(self.n_numbers)
        X = self._numbers(X)
        if X.shape[1] == 0:
            return
        if scaling == "standard":
            self.center = X.mean(axis=0, dtype=np.float64)
            deviation = X.std(axis=0, dtype=np.float64)
            rounding = 10 * np.finfo(X.dtype).eps * np.abs(self.center)
            self.scale = np.where(deviation > rounding, deviation, 1.0)
        elif scaling == "range":
            low = float(X.min())
            high = float(X.max())
            self.center[:] = low / 2 + high / 2
            self.scale[:] = (high / 2 - low / 2) or 1.0

    def _numbers(self, X):
        """Features of X that are numbers."""
        return X[:, self.widths == 0] if self.widths.any() else X

    def check_known(self, y):
        """Raise unless y is of the kind that was learnt: of known classes, or None."""
        if y is None:
            if self.classes_ is not None:
                raise ValueError(f"y is None, but this GAN was fitted on samples of classes: {self.classes_}.")
            return
        if self.classes_ is None:
            raise ValueError("y has classes, but this GAN was fitted without y: it knows none.")
        self.codes(y)

    def codes(self, y):
        """The number of every label's class."""
        y = np.asarray(y)
        try:
            codes = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
            is_known = self.classes_[codes] == y
        except TypeError:  # labels that cannot be compared with the classes
            is_known = np.zeros(y.shape, bool)
        if not np.all(is_known):
            unknown = np.unique(y[~np.broadcast_to(is_known, y.shape)].astype(str))
            raise ValueError(f"y has classes that are not known: {', '.join(unknown[:5])}. Known: {self.classes_}.")
        return codes

    def scaled(self, X, y, dtype):
        """Samples as the network reads them: scaled, categories as columns, with one for each class behind them."""
        rows = np.zeros((len(X), self.width + self.n_labels), dtype)
        rows[:, : self.n_numbers] = (self._numbers(X) - self.center) / self.scale
        for feature, columns in self.groups():
            rows[np.arange(len(X)), columns.start + X[:, feature].astype(np.int64)] = 1.0
        if self.n_labels:
            rows[:, self.width :] = self.indicators(y)
        return rows

    def indicators(self, y):
        """A column for each class: 1 where a sample is of it, else 0."""
        return np.eye(self.n_labels)[self.codes(y)]

    def drawn(self, rows, random):
        """What a generator has made, with categories drawn by the logarithms of weights that stand in their place."""
        rows = rows.copy()
        for _, columns in self.groups():
            weights = rows[:, columns]
            best = np.argmax(weights + random.gumbel(size=weights.shape), axis=1)
            rows[:, columns] = np.eye(weights.shape[1])[best]
        return rows

    def in_units(self, rows):
        """Generated rows in the units of X, with the number of each category."""
        X = np.empty((len(rows), len(self.widths)), rows.dtype)
        X[:, self.widths == 0] = rows[:, : self.n_numbers] * self.scale + self.center
        for feature, columns in self.groups():
            X[:, feature] = rows[:, columns].argmax(axis=1)
        return X
