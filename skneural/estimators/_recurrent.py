"""What networks that read sequences share: how X is checked, and which layers there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from skneural._declare import declare, parameter
from skneural.estimators._handover import read_listed, rectangular
from skneural.estimators._recurrent_docs import sections_of
from skneural.estimators._sequences import (
    BLOCK,
    NO_TARGETS,
    as_array,
    check_finite,
    check_sequences,
    dimensions,
    read,
    stack,
    statistics,
)
from skneural.estimators._settings import input_dtypes, recurrent_layers, sizes_of
from skneural.estimators._targets import without_last_axis
from skneural.network.initializers import initialize
from skneural.network.layers import Dense
from skneural.network.program import lower


@declare
class SequenceNetwork:
    """Mixin of the networks that read sequences: how X is checked, and which layers there are.

    Attributes
    ----------
    coefs_ : list of ndarray
        The weights of each layer's input: of a recurrent layer of shape (n_in, n_gates, units), of a dense one of shape
        (n_in, n_out). Gates: {gates}. With `bidirectional` the direction backwards in time follows the one forwards.

    recurrent_coefs_ : list of ndarray
        The weights of the state before, for each recurrent layer (and direction), of shape (units, n_gates, units).
        Gates: {recurrent_gates}.

    intercepts_ : list of ndarray
        The biases of each layer, of shape ({n_biases}, units) or (n_out,){bias_gates}. All arrays are views of one
        vector.

    norms_ : list of mappings
        With `standardize` one, of the input: the arrays ``mean`` and ``deviation``, each of shape (n_features,).

    n_features_in_ : int
        Number of features seen in :meth:`fit`; of columns, for 2-D `X`.

    n_timesteps_in_ : int
        Length of the longest sequence seen in the first :meth:`fit` or :meth:`partial_fit`. Others can be predicted;
        2-D `X` must have the same columns as there.

    n_layers_ : int
        Number of layers, those of inputs and outputs counted, each direction of a recurrent one by itself.
    """

    #: Name of the cell.
    _cell = None

    weight_init: str | Callable = parameter(
        default="auto",
        doc="""Initial weights of inputs, gate by gate as those of a layer, and of dense layers: see
        :class:`MLPClassifier` for the rules. 'auto' is glorot_uniform for recurrent layers. The weights of the states
        are orthogonal and biases 0, those of forget gates 1, whatever this is. A callable ``weight_init(n_in, n_out,
        rng)`` gets a :class:`numpy.random.Generator` and returns an array of shape (n_in, n_out); it is called for
        every gate.""",
    )
    input_noise: float = parameter(
        default=0.0,
        doc="""Standard deviation of Gaussian noise that is added to the inputs in training, in units of the scaled
        features with `standardize`. Not with 'lbfgs'.""",
    )
    clip_norm: float | None = parameter(
        default=1.0,
        stochastic=False,  # 'lbfgs', which has no use for the default, ignores it
        doc="""Scale the gradient of the loss down to this norm (over all weights and biases) where it is larger, as
        recurrent networks need it (Pascanu et al., 2013). Not used by 'lbfgs'.""",
    )

    @classmethod
    def _doc_sections(cls):
        return {} if cls._cell is None else sections_of(cls)

    def _hidden_layers(self):
        return recurrent_layers(self, self._cell)

    def _lower(self, X, targets, settings):
        return lower(
            [*self._hidden_layers(), Dense(targets.n_outputs)], X.shape[2], dtype=X.dtype.type, loss=targets.loss,
            settings=settings, n_timesteps=X.shape[1],
        )  # fmt: skip

    _read = staticmethod(read)

    @staticmethod
    def _variant(X):
        return {"training": False, "n_timesteps": X.shape[1]}

    def _as_given(self, X):
        return X.swapaxes(1, 2) if self.input_format == "channels_first" else X

    def _initialize(self, program, seed, train):
        (sequences, *_), (_, _, weights) = train
        n_head = len(sizes_of(self, "head_layer_sizes")) + 1
        names = [None] * (len(program.tensors) - n_head) + [self.head_activation] * n_head
        params = initialize(program, seed, self.weight_init, names)
        if self.standardize:
            views = program.norm_views(params)[0]
            views["mean"][:], views["deviation"][:] = statistics(sequences, weights)
        return params

    # -- X -----------------------------------------------------------------------------------------------------------

    def _validate(self, X, y, reset, dtype=None):
        dtypes = input_dtypes(self) if dtype is None else [np.dtype(dtype).type]
        X, y = self._check(X, without_last_axis(y), dtypes, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _validate_prediction(self, X):
        # scikit-learn's checks take as long as a short sequence takes a small network: plain arrays take a short cut.
        if (
            type(X) is np.ndarray and X.ndim == 3 and X.dtype == self._params.dtype and 0 < X.size <= BLOCK
            and self.input_format == "channels_last" and X.shape[2] == self._n_channels and np.isfinite(X).all()
        ):  # fmt: skip
            return X
        return self._check(X, NO_TARGETS, [self._params.dtype.type], reset=False)[0]

    @np.errstate(over="ignore", invalid="ignore")  # numbers too large for float32 are infinite, and refused as such
    def _check(self, X, y, dtypes, reset):
        """X of shape (n_samples, n_timesteps, n_features), finite but for padding, and y."""
        X = rectangular(X)
        arrays, flat = read_listed(X, self.input_format == "channels_first")
        n_axes = dimensions(X) if arrays is None else 3 - flat
        is_table = arrays is None and n_axes < 3
        if not reset and n_axes < 3:
            self._check_axes(X, is_table)
        if arrays is not None:
            X = stack(arrays)
        elif n_axes > 2:
            X = as_array(X)
            if X.ndim == 3:
                X = self._as_given(X)  # the way there is the way back
        if is_table and (reset or self._table):
            # Rows of a table: its columns, which may have names, are the steps.
            options = {"dtype": dtypes, "ensure_all_finite": "allow-nan", "reset": reset}
            if y is NO_TARGETS:
                X = validate_data(self, X, **options)
            else:
                X, y = validate_data(self, X, y, multi_output=True, y_numeric=self._numeric_targets, **options)
            X = X[:, :, None]
        else:
            if is_table:
                X = check_array(X, dtype=dtypes, ensure_all_finite="allow-nan")
                X = X[:, :, None]
            X, y = check_sequences(X, y, dtypes, self._numeric_targets)
        lengths = check_finite(X)
        if lengths is not None:  # steps that are padding everywhere decide nothing, not even how a batch is divided
            X = X[:, : lengths.max()]
        if reset:
            self.n_timesteps_in_ = X.shape[1]
            self._n_channels = X.shape[2]
            self._n_axes = n_axes
            self._table = is_table
            if not is_table:
                self.n_features_in_ = X.shape[2]
                vars(self).pop("feature_names_in_", None)
        elif X.shape[2] != self._n_channels:
            raise ValueError(
                f"X has {X.shape[2]} features, but {type(self).__name__} is expecting {self._n_channels} features as "
                "input."
            )
        return X, y

    def _check_axes(self, X, is_table):
        """Raise for X of two axes, which may be one sequence, after a fit on three.

        A list of arrays with one axis each can only be sequences of one feature.
        """
        one_feature = not is_table and self._n_channels == 1
        if vars(self).get("_n_axes", 2) < 3 or one_feature:
            return
        if sparse.issparse(X):  # which is refused in other words
            return
        got = f"a list of {len(X)} sequences with one axis each"
        if hasattr(X, "shape"):
            got = f"shape {tuple(X.shape)}"
        axes = "n_timesteps, n_features"
        expanded = ":, :, None"
        if self.input_format == "channels_first":
            axes = "n_features, n_timesteps"
            expanded = ":, None"
        raise ValueError(
            f"Expected X with three axes, (n_samples, {axes}), as it had in fit, but got {got}: one sequence of shape "
            f"({axes}) is X[None], or a list that holds it, and n_samples sequences of one feature are X[{expanded}]."
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        return tags
