"""How estimators whose layers read anything check X: rows, or sequences."""

import numpy as np
from scipy import sparse

from skneural.estimators._handover import read_listed, rectangular
from skneural.estimators._layers import needs_one_length, reads_rows
from skneural.estimators._rows import RowReader
from skneural.estimators._sequence_reader import SequenceReader
from skneural.estimators._sequences import dimensions
from skneural.layers import Dense

#: What a fit on sequences leaves behind, and one on rows takes away.
OF_SEQUENCES = ("n_timesteps_in_", "_n_channels", "_n_axes", "_table")


def are_sequences(X):
    """Whether X is sequences: an array with three axes, a list of arrays with two, or a table of arrays.

    All else is rows, a list of arrays with one axis too.
    """
    if sparse.issparse(X):
        return False
    if isinstance(X, np.ndarray) and X.dtype != object:
        return X.ndim == 3
    X = rectangular(X)
    arrays, flat = read_listed(X, channels_first=False)
    if arrays is None:
        return dimensions(X) == 3
    return not (flat and isinstance(X, list | tuple))


def _check_axes(est, X):
    """Raise for an array with more axes than three: mostly images."""
    if getattr(X, "ndim", 0) > 3:
        shape = tuple(X.shape)
        raise ValueError(
            f"{type(est).__name__} reads rows or sequences, got X of shape {shape}: give images as rows, "
            f"X.reshape(len(X), -1), and put Reshape({shape[1:]}) before the layers that read images; CNNClassifier "
            "and CNNRegressor read them as they are."
        )


class LayersReader:
    """How estimators whose layers read anything check X, and what the engine reads of it: see `RowReader`."""

    reads_sequences = (False, True)
    reads_images = False
    reads_samples = False
    #: Why sequences may not be longer than those of the fit.
    _one_length = "it has layers, as Flatten, that need sequences of one length"

    statistics = staticmethod(SequenceReader.statistics)

    def __init__(self):
        self._rows = RowReader()
        self._sequences = SequenceReader()

    def _reader_of(self, X):
        """Who reads checked X."""
        return self._sequences if X.ndim == 3 else self._rows

    def read(self, X):
        """Checked X as the engine reads it."""
        return self._reader_of(X).read(X)

    def variant(self, X):
        """The variant of the program that predicts for checked X."""
        return self._reader_of(X).variant(X)

    def as_given(self, est, X):
        """Checked X as users hand it over."""
        return self._reader_of(X).as_given(est, X)

    def one_sample(self, est, dtype):
        """As of rows."""
        reader = self._sequences if self._expects_sequences(est) else self._rows
        return reader.one_sample(est, dtype)

    def _expects_sequences(self, est):
        """Whether an estimator reads sequences: as it was fitted, else as its layers can."""
        if "_program" in vars(est):
            return est._program.n_timesteps > 0
        return not reads_rows(est._hidden_layers())

    def validate(self, est, X, y, reset, dtype=None):
        """As of rows."""
        _check_axes(est, X)
        if not (are_sequences(X) if reset else "_n_channels" in vars(est)):
            if reset:
                for name in OF_SEQUENCES:
                    vars(est).pop(name, None)
            return self._rows.validate(est, X, y, reset, dtype)
        X, y = self._sequences.validate(est, X, y, reset, dtype)
        if not reset:
            X = self._at_length(est, X, [*est._hidden_layers(), Dense(1)])
        return X, y

    def validate_prediction(self, est, X):
        """As of rows."""
        _check_axes(est, X)
        if not est._program.n_timesteps:
            return self._rows.validate_prediction(est, X)
        X = self._sequences.validate_prediction(est, X)
        return self._at_length(est, X, est._program.source.layers)

    def _at_length(self, est, X, layers):
        """X with as many steps as layers need, padding after the end of shorter sequences.

        Raises
        ------
        ValueError
            If sequences are longer.
        """
        expected = est.n_timesteps_in_
        if X.shape[1] == expected or not needs_one_length(layers, expected, X.shape[2]):
            return X
        return self._padded(est, X)

    def _padded(self, est, X):
        """X with as many steps as the longest sequence of the fit, padding after the end of shorter ones.

        Raises
        ------
        ValueError
            If sequences are longer.
        """
        n_samples, found, n_features = X.shape
        expected = est.n_timesteps_in_
        if found == expected:
            return X
        if found > expected:
            raise ValueError(
                f"X has {found} time steps, but {type(est).__name__} is expecting at most {expected}, as in fit: "
                f"{self._one_length}."
            )
        padded = np.full((n_samples, expected, n_features), np.nan, X.dtype)
        padded[:, :found] = X
        return padded
