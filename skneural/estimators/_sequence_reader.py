"""How estimators that read sequences check X."""

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from skneural.backends.inputs import are_finite
from skneural.estimators._handover import read_listed, rectangular
from skneural.estimators._rows import BLOCK, plain_targets
from skneural.estimators._sequences import (
    NO_TARGETS,
    as_array,
    check_finite,
    check_sequences,
    dimensions,
    read,
    stack,
    statistics,
)
from skneural.estimators._settings import input_dtypes
from skneural.estimators._targets import without_last_axis


def _is_plain(est, X, dtypes):
    """Whether X is an array that all checks would hand back as it is.

    These take as long as a short sequence takes a small network.
    """
    return (
        type(X) is np.ndarray
        and X.dtype in dtypes
        and X.ndim == 3
        and 0 < X.size <= BLOCK
        and est.input_format == "channels_last"
        and are_finite(X)
    )


class SequenceReader:
    """How estimators that read sequences check X, and what the engine reads of it: see `RowReader`."""

    reads_sequences = (True,)
    reads_images = False
    reads_samples = False

    statistics = staticmethod(statistics)

    def read(self, X):
        """Checked X as the engine reads it."""
        return read(X)

    def variant(self, X):
        """The variant of the program that predicts for checked X."""
        return {"training": False, "n_timesteps": X.shape[1]}

    def as_given(self, est, X):
        """Checked X as users hand it over."""
        return X.swapaxes(1, 2) if est.input_format == "channels_first" else X

    def one_sample(self, est, dtype):
        """As of rows."""
        return np.zeros((1, getattr(est, "n_timesteps_in_", 1), 1), dtype)

    def validate(self, est, X, y, reset, dtype=None):
        """As of rows."""
        dtypes = input_dtypes(est) if dtype is None else [np.dtype(dtype).type]
        if _is_plain(est, X, dtypes) and (reset or X.shape[2] == est._n_channels):
            targets = plain_targets(est, y, len(X))
            if targets is not None:
                if reset:
                    self._learn(est, X, n_axes=3, is_table=False)
                return X, targets
        X, y = self._check(est, X, without_last_axis(y), dtypes, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def validate_prediction(self, est, X):
        """As of rows."""
        if _is_plain(est, X, (est._params.dtype,)) and X.shape[2] == est._n_channels:
            return X
        return self._check(est, X, NO_TARGETS, [est._params.dtype.type], reset=False)[0]

    @np.errstate(over="ignore", invalid="ignore")  # numbers too large for float32 are infinite, and refused as such
    def _check(self, est, X, y, dtypes, reset):
        """X of shape (n_samples, n_timesteps, n_features), finite but for padding, and y."""
        X = rectangular(X)
        arrays, flat = read_listed(X, est.input_format == "channels_first")
        n_axes = dimensions(X) if arrays is None else 3 - flat
        is_table = arrays is None and n_axes < 3
        if not reset and n_axes < 3:
            self._check_axes(est, X, is_table)
        if arrays is not None:
            X = stack(arrays)
        elif n_axes > 2:
            X = as_array(X)
            if X.ndim == 3:
                X = self.as_given(est, X)  # the way there is the way back
        if is_table and (reset or est._table):
            # Rows of a table: its columns, which may have names, are the steps.
            options = {"dtype": dtypes, "ensure_all_finite": "allow-nan", "reset": reset}
            if y is NO_TARGETS:
                X = validate_data(est, X, **options)
            else:
                X, y = validate_data(est, X, y, multi_output=True, y_numeric=est._numeric_targets, **options)
            X = X[:, :, None]
        else:
            if is_table:
                X = check_array(X, dtype=dtypes, ensure_all_finite="allow-nan")
                X = X[:, :, None]
            X, y = check_sequences(X, y, dtypes, est._numeric_targets)
        lengths = check_finite(X)
        if lengths is not None:  # steps that are padding everywhere decide nothing, not even how a batch is divided
            X = X[:, : lengths.max()]
        if reset:
            self._learn(est, X, n_axes, is_table)
        elif X.shape[2] != est._n_channels:
            raise ValueError(
                f"X has {X.shape[2]} features, but {type(est).__name__} is expecting {est._n_channels} features as "
                "input."
            )
        return X, y

    def _learn(self, est, X, n_axes, is_table):
        """Note what X of the first fit looks like."""
        est.n_timesteps_in_ = X.shape[1]
        est._n_channels = X.shape[2]
        est._n_axes = n_axes
        est._table = is_table
        if not is_table:
            est.n_features_in_ = X.shape[2]
            vars(est).pop("feature_names_in_", None)

    def _check_axes(self, est, X, is_table):
        """Raise for X of two axes, which may be one sequence, after a fit on three.

        A list of arrays with one axis each can only be sequences of one feature.
        """
        one_feature = not is_table and est._n_channels == 1
        if vars(est).get("_n_axes", 2) < 3 or one_feature:
            return
        if sparse.issparse(X):  # which is refused in other words
            return
        got = f"a list of {len(X)} sequences with one axis each"
        if hasattr(X, "shape"):
            got = f"shape {tuple(X.shape)}"
        axes = "n_timesteps, n_features"
        expanded = ":, :, None"
        if est.input_format == "channels_first":
            axes = "n_features, n_timesteps"
            expanded = ":, None"
        raise ValueError(
            f"Expected X with three axes, (n_samples, {axes}), as it had in fit, but got {got}: one sequence of shape "
            f"({axes}) is X[None], or a list that holds it, and n_samples sequences of one feature are X[{expanded}]."
        )
