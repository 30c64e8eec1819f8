"""Multi-layer perceptrons: the drop-in replacements for those of `sklearn.neural_network`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from skneural.estimators._docs import CLASS_LOSSES, REAL_LOSS_OPTIONS, REAL_LOSSES, REAL_METRIC, describe
from skneural.estimators._tasks import NetworkClassifier, NetworkRegressor


@describe("accuracy", CLASS_LOSSES)
class MLPClassifier(NetworkClassifier):
    r"""Multi-layer perceptron classifier.

    Drop-in replacement for :class:`sklearn.neural_network.MLPClassifier`: same parameters in the same order, same
    fitted attributes. It minimises the log loss; with two classes or with multilabel targets that of a logistic
    output each.

    Parameters
    ----------
    {architecture}

    {training}

    {losses}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    {attributes}

    See Also
    --------
    MLPRegressor : The same for real targets.
    sklearn.neural_network.MLPClassifier : What this replaces.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating errors", Nature 323.

    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".

    Kingma and Ba (2014), "Adam: A method for stochastic optimization", arXiv:1412.6980.

    Srivastava et al. (2014), "Dropout: A simple way to prevent neural networks from overfitting", JMLR 15.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skneural import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
    >>> clf = MLPClassifier(random_state=0, max_iter=300).fit(X_train, y_train)
    >>> clf.score(X_test, y_test) > 0.95
    True
    >>> clf.predict_proba(X_test[:1]).shape
    (1, 10)
    """

    def __init__(
        self,
        hidden_layer_sizes: int | ArrayLike = (100,), activation: str | ArrayLike = "relu", *,
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
        dropout: float | ArrayLike = 0.0, input_noise: float = 0.0, normalization: str | None = None,
        residual: bool = False, clip_norm: float | None = None, clip_value: float | None = None,
        max_norm: float | None = None, monitor_gradients: bool = False, scoring: str | Callable | None = None,
        score_training: bool = False, n_jobs: int | None = None, dtype: str = "auto", device: str = "cpu",
        precision: str = "full",
    ) -> None:  # fmt: skip
        self.hidden_layer_sizes, self.activation = hidden_layer_sizes, activation
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
        self.dropout, self.input_noise, self.normalization = dropout, input_noise, normalization
        self.residual, self.clip_norm, self.clip_value = residual, clip_norm, clip_value
        self.max_norm, self.monitor_gradients, self.scoring = max_norm, monitor_gradients, scoring
        self.score_training, self.n_jobs, self.dtype = score_training, n_jobs, dtype
        self.device, self.precision = device, precision


@describe(REAL_METRIC, REAL_LOSSES, REAL_LOSS_OPTIONS)
class MLPRegressor(NetworkRegressor):
    r"""Multi-layer perceptron regressor.

    Drop-in replacement for :class:`sklearn.neural_network.MLPRegressor`: same parameters in the same order, same fitted
    attributes.

    Parameters
    ----------
    {losses}

    {architecture}

    {training}

    {loss_options}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    MLPClassifier : The same for class labels.
    sklearn.neural_network.MLPRegressor : What this replaces.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating errors", Nature 323.

    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".

    Kingma and Ba (2014), "Adam: A method for stochastic optimization", arXiv:1412.6980.

    Srivastava et al. (2014), "Dropout: A simple way to prevent neural networks from overfitting", JMLR 15.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn.model_selection import train_test_split
    >>> from skneural import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=20, random_state=1)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=1)
    >>> regr = MLPRegressor(random_state=1, max_iter=2000, tol=0.1).fit(X_train, y_train)
    >>> regr.score(X_test, y_test) > 0.95
    True
    """

    def __init__(
        self,
        loss: str = "squared_error", hidden_layer_sizes: int | ArrayLike = (100,),
        activation: str | ArrayLike = "relu", *, solver: str = "adam", alpha: float = 0.0001,
        batch_size: int | str = "auto", learning_rate: str = "constant", learning_rate_init: float = 0.001,
        power_t: float = 0.5, max_iter: int = 200, shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None, tol: float = 1e-4, verbose: bool | int = False,
        warm_start: bool = False, momentum: float = 0.9, nesterovs_momentum: bool = True,
        early_stopping: bool = False, validation_fraction: float = 0.1, beta_1: float = 0.9,
        beta_2: float = 0.999, epsilon: float = 1e-8, n_iter_no_change: float = 10, max_fun: int = 15000,
        huber_delta: float = 1.0, quantiles: float | ArrayLike = 0.5, l1_ratio: float = 0.0,
        weight_decay: float = 0.01, rho: float = 0.9, decay_factor: float | str = "auto",
        decay_epochs: int | str = "auto", warmup: float = 0.0, weight_init: str | Callable = "auto",
        dropout: float | ArrayLike = 0.0, input_noise: float = 0.0, normalization: str | None = None,
        residual: bool = False, clip_norm: float | None = None, clip_value: float | None = None,
        max_norm: float | None = None, monitor_gradients: bool = False, scoring: str | Callable | None = None,
        score_training: bool = False, n_jobs: int | None = None, dtype: str = "auto", device: str = "cpu",
        precision: str = "full",
    ) -> None:  # fmt: skip
        self.loss, self.hidden_layer_sizes, self.activation = loss, hidden_layer_sizes, activation
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
        self.dropout, self.input_noise, self.normalization = dropout, input_noise, normalization
        self.residual, self.clip_norm, self.clip_value = residual, clip_norm, clip_value
        self.max_norm, self.monitor_gradients, self.scoring = max_norm, monitor_gradients, scoring
        self.score_training, self.n_jobs, self.dtype = score_training, n_jobs, dtype
        self.device, self.precision = device, precision
