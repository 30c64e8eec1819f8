"""The last door before compiled code, which knows arrays by their addresses: what does not fit a program stops here."""

from dataclasses import dataclass

import numpy as np

from skneural.maths.losses import LOSSES

#: Types of integers that sequences may have in place of the network's: they are converted where they are read.
INTEGERS = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True)
class Sequences:
    """Sequences as a backend reads them, with any strides.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_timesteps, n_features)
        Of the network's type, or one of `INTEGERS`.
    lengths : ndarray of int64, shape (n_samples,), or None
        How many steps of each there are; the others are not read. None: all.
    """

    values: np.ndarray
    lengths: np.ndarray | None


def are_finite(array):
    """Whether all numbers of an array are finite: to count those of a short one is sooner done than to call ``all``."""
    return np.count_nonzero(np.isfinite(array)) == array.size


def are_whole(array):
    """Whether the strides of an array are whole numbers of its items; those of fields of records may not be."""
    return array.flags.c_contiguous or not any(stride % array.itemsize for stride in array.strides)


def _check_array(name, array, dtype, shape):
    """Raise unless something is an array of that kind, contiguous; None in `shape` stands for any length."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        found = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, got {found}.")
    fits = array.ndim == len(shape)
    for size, length in zip(shape, array.shape, strict=False):
        fits = fits and size in (None, length)
    if not fits:
        words = ", ".join("n" if size is None else str(size) for size in shape)
        raise ValueError(f"{name} must have shape ({words}), got {array.shape}.")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be contiguous, in C order.")


class Inputs:
    """What a program may be given.

    Parameters
    ----------
    program : Program
    """

    def __init__(self, program):
        self.n_features = program.source.n_features
        self.n_params = program.n_params
        self.n_outputs = program.n_outputs
        self.n_timesteps = program.n_timesteps
        self.dtype = program.dtype
        self.is_sparse = program.sparse
        self.reads_rows = not self.n_timesteps and not self.is_sparse
        self.can_train = program.training
        # Of one class out of many the target is the number.
        self.is_class = LOSSES[program.loss].link == "softmax"

    def check_vector(self, name, vector):
        """Raise unless `vector` is like the parameters of the program."""
        _check_array(name, vector, self.dtype, (self.n_params,))

    def check_training(self, params, X, targets, weights):
        """Raise unless the program can be trained on these arrays."""
        if not self.can_train:
            raise ValueError("This program was lowered for prediction: it has no room for what training keeps.")
        self.check_vector("The vector of parameters", params)
        self.check(X, targets, weights)
        if targets is None:
            raise TypeError("Training needs targets.")

    def check(self, X, targets=None, weights=None):
        """Raise unless the program reads these arrays; the number of rows.

        Parameters
        ----------
        X : ndarray, tuple or Sequences
            As `BaseTrainer` takes it.
        targets : ndarray of shape (n_rows, n_targets), default=None
        weights : ndarray of shape (n_rows,), default=None

        Raises
        ------
        TypeError
            If something has another type, or holds other numbers.
        ValueError
            If it has another shape, is not contiguous, or refers to what does not exist.
        """
        if isinstance(X, Sequences):
            n_rows = self._check_sequences(X)
        elif isinstance(X, tuple):
            n_rows = self._check_sparse(*X)
        else:
            n_rows = self._check_rows(X)
        if targets is not None:
            self._check_targets(n_rows, targets)
        if weights is not None:
            _check_array("The weights", weights, self.dtype, (n_rows,))
        return n_rows

    def _check_rows(self, X):
        # One row through a small network takes some microseconds: what is right gets by quickly.
        is_array = self.reads_rows and isinstance(X, np.ndarray) and X.dtype == self.dtype
        if is_array and X.ndim == 2 and X.shape[1] == self.n_features and X.flags.c_contiguous:
            return len(X)
        if not self.reads_rows:
            wanted = "sequences" if self.n_timesteps else "sparse"
            raise TypeError(f"X must be {wanted}, got {type(X).__name__}.")
        if getattr(X, "ndim", 0) == 2 and X.shape[1] != self.n_features:
            self._refuse_width(X.shape[1])
        _check_array("X", X, self.dtype, (None, self.n_features))
        return len(X)

    def _refuse_width(self, n_features):
        raise ValueError(f"X has {n_features} features, but the network is expecting {self.n_features} features.")

    def _check_sparse(self, values, indices, indptr):
        if not self.is_sparse:
            raise TypeError("X is sparse, but this program reads dense rows.")
        _check_array("The values of X", values, self.dtype, (None,))
        _check_array("The column numbers of X", indices, np.int64, (len(values),))
        _check_array("The beginnings of the rows of X", indptr, np.int64, (None,))
        is_within = len(indptr) and indptr[0] >= 0 and indptr[-1] <= len(values)
        if not is_within or (indptr[1:] < indptr[:-1]).any():
            raise ValueError("The rows of X must begin in order, within its values.")
        if len(indices) and indices.view(np.uint64).max() >= self.n_features:  # a negative one is huge as well
            raise ValueError(f"X has columns that the network, of {self.n_features} features, does not read.")
        return len(indptr) - 1

    def _check_sequences(self, X):
        values = X.values
        lengths = X.lengths
        if not self.n_timesteps:
            raise TypeError("X holds sequences, but this program reads rows.")
        if not isinstance(values, np.ndarray) or values.dtype not in (self.dtype, *INTEGERS):
            found = getattr(values, "dtype", type(values))
            raise TypeError(f"X must be an array of {self.dtype}, got {found}.")
        if values.ndim == 3 and values.shape[2] != self.n_features:
            self._refuse_width(values.shape[2])
        if values.ndim != 3 or values.shape[1] != self.n_timesteps:
            raise ValueError(
                f"X must have shape (n, {self.n_timesteps}, {self.n_features}), got {values.shape}: "
                "this program was lowered for other sequences."
            )
        if not are_whole(values):
            raise ValueError("The strides of X must be whole numbers.")
        if lengths is not None:
            _check_array("The lengths of X", lengths, np.int64, (len(values),))
            if len(lengths) and not 0 <= lengths.min() <= lengths.max() <= self.n_timesteps:
                raise ValueError(f"The lengths of X must be at most {self.n_timesteps}, got {lengths.max()}.")
        return len(values)

    def _check_targets(self, n_rows, targets):
        width = 1 if self.is_class else self.n_outputs
        _check_array("The targets", targets, self.dtype, (n_rows, width))
        if not self.is_class or n_rows == 0:
            return
        are_classes = targets.min() >= 0 and targets.max() < self.n_outputs
        if not are_classes:
            raise ValueError(f"The targets must be numbers of classes, from 0 to {self.n_outputs - 1}.")
