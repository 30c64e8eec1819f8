"""What recurrent networks share: how sequences are checked, which layers there are, and the parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from skneural.estimators._handover import read_listed, rectangular
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
from skneural.estimators._settings import RECURRENT_CONSTRAINTS, ROWS_ONLY, input_dtypes, recurrent_layers
from skneural.estimators._targets import without_last_axis
from skneural.estimators._tasks import NetworkClassifier, NetworkRegressor
from skneural.layers import Dense
from skneural.network.initializers import initialize
from skneural.network.program import lower


class SequenceReader:
    """How estimators that read sequences check X, and what the engine reads of it: see `RowReader`."""

    def read(self, X):
        """Checked X as the engine reads it."""
        return read(X)

    def variant(self, X):
        """The variant of the program that predicts for checked X."""
        return {"training": False, "n_timesteps": X.shape[1]}

    def as_given(self, est, X):
        """Checked X as users hand it over."""
        return X.swapaxes(1, 2) if est.input_format == "channels_first" else X

    def validate(self, est, X, y, reset, dtype=None):
        """As of rows."""
        dtypes = input_dtypes(est) if dtype is None else [np.dtype(dtype).type]
        X, y = self._check(est, X, without_last_axis(y), dtypes, reset=reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def validate_prediction(self, est, X):
        """As of rows."""
        # scikit-learn's checks take as long as a short sequence takes a small network: plain arrays take a short cut.
        if (
            type(X) is np.ndarray and X.ndim == 3 and X.dtype == est._params.dtype and 0 < X.size <= BLOCK
            and est.input_format == "channels_last" and X.shape[2] == est._n_channels and np.isfinite(X).all()
        ):  # fmt: skip
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
            X = self.as_given(est, X) if X.ndim == 3 else X  # the way there is the way back
        if is_table and (reset or est._table):
            # Rows of a table: its columns, which may have names, are the steps.
            options = {"dtype": dtypes, "ensure_all_finite": "allow-nan", "reset": reset}
            if y is NO_TARGETS:
                X = validate_data(est, X, **options)
            else:
                X, y = validate_data(est, X, y, multi_output=True, y_numeric=est._numeric_targets, **options)
            X = X[:, :, None]
        else:
            X = check_array(X, dtype=dtypes, ensure_all_finite="allow-nan")[:, :, None] if is_table else X
            X, y = check_sequences(X, y, dtypes, est._numeric_targets)
        lengths = check_finite(X)
        if lengths is not None:  # steps that are padding everywhere decide nothing, not even how a batch is divided
            X = X[:, : lengths.max()]
        if reset:
            est._table = is_table
            est._n_axes = n_axes
            est.n_timesteps_in_, est._n_channels = X.shape[1:]
            if not is_table:
                est.n_features_in_ = X.shape[2]
                vars(est).pop("feature_names_in_", None)
        elif X.shape[2] != est._n_channels:
            name, n_features = type(est).__name__, est._n_channels
            raise ValueError(f"X has {X.shape[2]} features, but {name} is expecting {n_features} features as input.")
        return X, y

    def _check_axes(self, est, X, is_table):
        """Raise for X of two axes, which may be one sequence, after a fit on three.

        A list of arrays with one axis each can only be sequences of one feature.
        """
        one_feature = not is_table and est._n_channels == 1
        if vars(est).get("_n_axes", 2) < 3 or one_feature or sparse.issparse(X):  # which is refused in other words
            return
        got = f"shape {tuple(X.shape)}" if hasattr(X, "shape") else f"a list of {len(X)} sequences with one axis each"
        last = est.input_format == "channels_last"
        axes, expanded = ("n_timesteps, n_features", ":, :, None") if last else ("n_features, n_timesteps", ":, None")
        raise ValueError(
            f"Expected X with three axes, (n_samples, {axes}), as it had in fit, but got {got}: one sequence of shape "
            f"({axes}) is X[None], or a list that holds it, and n_samples sequences of one feature are X[{expanded}]."
        )


class SequenceNetwork:
    """Mixin of the networks that read sequences: which layers there are."""

    _cell: str
    _reader = SequenceReader()

    def _hidden_layers(self):
        return recurrent_layers(self, self._cell)

    def _lower(self, X, targets, settings):
        return lower(
            [*self._hidden_layers(), Dense(targets.n_outputs)], X.shape[2], dtype=X.dtype.type, loss=targets.loss,
            settings=settings, n_timesteps=X.shape[1],
        )  # fmt: skip

    def _initialize(self, program, seed, train):
        params = initialize(program, seed, self.weight_init, self.head_activation)
        if self.standardize:
            views = program.norm_views(params)[0]
            views["mean"][:], views["deviation"][:] = statistics(train.inputs, train.given.weights)
        return params

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse, tags.input_tags.three_d_array = False, True
        return tags


class RecurrentClassifier(SequenceNetwork, NetworkClassifier):
    """Base of the recurrent classifiers."""

    _parameter_constraints: dict = {
        **{name: rule for name, rule in NetworkClassifier._parameter_constraints.items() if name not in ROWS_ONLY},
        **RECURRENT_CONSTRAINTS,
    }

    def __init__(
        self,
        hidden_layer_sizes: int | ArrayLike = (50,), *, head_layer_sizes: int | ArrayLike = (),
        head_activation: str = "relu", bidirectional: bool = False, pooling: str = "last",
        dropout: float | ArrayLike = 0.0, recurrent_dropout: float = 0.0, tbptt_steps: int | None = None,
        input_format: str = "channels_last", standardize: bool = True,
        solver: str = "adam", alpha: float = 0.0001, batch_size: int | str = "auto",
        learning_rate: str = "constant", learning_rate_init: float = 0.001, power_t: float = 0.5,
        max_iter: int = 200, shuffle: bool = True, random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4, verbose: bool | int = False, warm_start: bool = False, momentum: float = 0.9,
        nesterovs_momentum: bool = True, early_stopping: bool = False, validation_fraction: float = 0.1,
        beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, n_iter_no_change: float = 10,
        max_fun: int = 15000, class_weight: dict | str | None = None, loss: str = "log_loss",
        label_smoothing: float = 0.0, focal_gamma: float = 2.0, focal_alpha: float | ArrayLike | None = None,
        l1_ratio: float = 0.0, weight_decay: float = 0.01, rho: float = 0.9, decay_factor: float | str = "auto",
        decay_epochs: int | str = "auto", warmup: float = 0.0, weight_init: str | Callable = "auto",
        input_noise: float = 0.0, clip_norm: float | None = 1.0, clip_value: float | None = None,
        monitor_gradients: bool = False, scoring: str | Callable | None = None, score_training: bool = False,
        n_jobs: int | None = None, dtype: str = "auto", device: str = "cpu", precision: str = "full",
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes, self.head_layer_sizes = hidden_layer_sizes, head_layer_sizes
        self.head_activation, self.bidirectional, self.pooling = head_activation, bidirectional, pooling
        self.dropout, self.recurrent_dropout, self.tbptt_steps = dropout, recurrent_dropout, tbptt_steps
        self.input_format, self.standardize = input_format, standardize
        self.solver, self.alpha, self.batch_size = solver, alpha, batch_size
        self.learning_rate, self.learning_rate_init = learning_rate, learning_rate_init
        self.power_t, self.max_iter, self.shuffle = power_t, max_iter, shuffle
        self.random_state, self.tol, self.verbose = random_state, tol, verbose
        self.warm_start, self.momentum = warm_start, momentum
        self.nesterovs_momentum, self.early_stopping = nesterovs_momentum, early_stopping
        self.validation_fraction, self.beta_1, self.beta_2 = validation_fraction, beta_1, beta_2
        self.epsilon, self.n_iter_no_change, self.max_fun = epsilon, n_iter_no_change, max_fun
        self.class_weight, self.loss, self.label_smoothing = class_weight, loss, label_smoothing
        self.focal_gamma, self.focal_alpha, self.l1_ratio = focal_gamma, focal_alpha, l1_ratio
        self.weight_decay, self.rho, self.decay_factor = weight_decay, rho, decay_factor
        self.decay_epochs, self.warmup, self.weight_init = decay_epochs, warmup, weight_init
        self.input_noise, self.clip_norm, self.clip_value = input_noise, clip_norm, clip_value
        self.monitor_gradients, self.scoring = monitor_gradients, scoring
        self.score_training, self.n_jobs, self.dtype = score_training, n_jobs, dtype
        self.device, self.precision = device, precision


class RecurrentRegressor(SequenceNetwork, NetworkRegressor):
    """Base of the recurrent regressors."""

    _parameter_constraints: dict = {
        **{name: rule for name, rule in NetworkRegressor._parameter_constraints.items() if name not in ROWS_ONLY},
        **RECURRENT_CONSTRAINTS,
    }

    def __init__(
        self,
        hidden_layer_sizes: int | ArrayLike = (50,), *, head_layer_sizes: int | ArrayLike = (),
        head_activation: str = "relu", bidirectional: bool = False, pooling: str = "last",
        dropout: float | ArrayLike = 0.0, recurrent_dropout: float = 0.0, tbptt_steps: int | None = None,
        input_format: str = "channels_last", standardize: bool = True, loss: str = "squared_error",
        solver: str = "adam", alpha: float = 0.0001, batch_size: int | str = "auto",
        learning_rate: str = "constant", learning_rate_init: float = 0.001, power_t: float = 0.5,
        max_iter: int = 200, shuffle: bool = True, random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4, verbose: bool | int = False, warm_start: bool = False, momentum: float = 0.9,
        nesterovs_momentum: bool = True, early_stopping: bool = False, validation_fraction: float = 0.1,
        beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8, n_iter_no_change: float = 10,
        max_fun: int = 15000, huber_delta: float = 1.0, quantiles: float | ArrayLike = 0.5, l1_ratio: float = 0.0,
        weight_decay: float = 0.01, rho: float = 0.9, decay_factor: float | str = "auto",
        decay_epochs: int | str = "auto", warmup: float = 0.0, weight_init: str | Callable = "auto",
        input_noise: float = 0.0, clip_norm: float | None = 1.0, clip_value: float | None = None,
        monitor_gradients: bool = False, scoring: str | Callable | None = None, score_training: bool = False,
        n_jobs: int | None = None, dtype: str = "auto", device: str = "cpu", precision: str = "full",
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes, self.head_layer_sizes = hidden_layer_sizes, head_layer_sizes
        self.head_activation, self.bidirectional, self.pooling = head_activation, bidirectional, pooling
        self.dropout, self.recurrent_dropout, self.tbptt_steps = dropout, recurrent_dropout, tbptt_steps
        self.input_format, self.standardize, self.loss = input_format, standardize, loss
        self.solver, self.alpha, self.batch_size = solver, alpha, batch_size
        self.learning_rate, self.learning_rate_init = learning_rate, learning_rate_init
        self.power_t, self.max_iter, self.shuffle = power_t, max_iter, shuffle
        self.random_state, self.tol, self.verbose = random_state, tol, verbose
        self.warm_start, self.momentum = warm_start, momentum
        self.nesterovs_momentum, self.early_stopping = nesterovs_momentum, early_stopping
        self.validation_fraction, self.beta_1, self.beta_2 = validation_fraction, beta_1, beta_2
        self.epsilon, self.n_iter_no_change, self.max_fun = epsilon, n_iter_no_change, max_fun
        self.huber_delta, self.quantiles, self.l1_ratio = huber_delta, quantiles, l1_ratio
        self.weight_decay, self.rho, self.decay_factor = weight_decay, rho, decay_factor
        self.decay_epochs, self.warmup, self.weight_init = decay_epochs, warmup, weight_init
        self.input_noise, self.clip_norm, self.clip_value = input_noise, clip_norm, clip_value
        self.monitor_gradients, self.scoring = monitor_gradients, scoring
        self.score_training, self.n_jobs, self.dtype = score_training, n_jobs, dtype
        self.device, self.precision = device, precision

    def _fit_targets(self, targets, y, weights, first_pass):
        """Scale y as X is, by the training rows of the first fit."""
        if first_pass and self.standardize:
            targets.standardize(y, weights)
        elif not first_pass and hasattr(self, "_target"):
            targets.adopt_scale(self._target)
