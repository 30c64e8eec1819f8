"""Multi-layer perceptrons: the drop-in replacements for those of `sklearn.neural_network`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import StrOptions

from skneural.estimators._docs import describe
from skneural.estimators._tasks import NetworkClassifier, NetworkRegressor
from skneural.maths.activations import ACTIVATIONS


@describe(ACTIVATIONS, metric="accuracy")
class MLPClassifier(NetworkClassifier):
    r"""Multi-layer perceptron classifier.

    Drop-in replacement for :class:`sklearn.neural_network.MLPClassifier`: same parameters in the same order, same
    fitted attributes. It minimises the log loss; with two classes or with multilabel targets that of a logistic
    output each.

    Parameters
    ----------
    {architecture}

    {training}

    class_weight : dict, 'balanced' or None, default=None
        Weights of the classes, ``{label: weight}``, multiplied into the sample weights. 'balanced' weights them
        inversely to how often they occur. Multilabel: as :func:`sklearn.utils.class_weight.compute_sample_weight` has
        it.

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
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: dict | str | None = None,
        dropout: float | ArrayLike = 0.0,
        scoring: str | Callable | None = None,
        n_jobs: int | None = None,
        dtype: str = "auto",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.class_weight = class_weight
        self.dropout = dropout
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.dtype = dtype


@describe(ACTIVATIONS, metric="R2")
class MLPRegressor(NetworkRegressor):
    r"""Multi-layer perceptron regressor.

    Drop-in replacement for :class:`sklearn.neural_network.MLPRegressor`: same parameters in the same order, same fitted
    attributes.

    Parameters
    ----------
    loss : {'squared_error', 'poisson'}, default='squared_error'
        Half the squared error, or half the Poisson deviance with a log link (exponential output; y must not be
        negative). With several outputs the solvers minimise the sum over them; squared errors are reported as the mean
        over them, as scikit-learn reports them.

    {architecture}

    {training}

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

    _parameter_constraints: dict = {
        **NetworkRegressor._parameter_constraints,
        "loss": [StrOptions({"squared_error", "poisson"})],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: int | ArrayLike = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float | ArrayLike = 0.0,
        scoring: str | Callable | None = None,
        n_jobs: int | None = None,
        dtype: str = "auto",
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.dropout = dropout
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.dtype = dtype
