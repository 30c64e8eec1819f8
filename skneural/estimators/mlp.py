"""Multi-layer perceptrons: the drop-in replacements for those of `sklearn.neural_network`."""

from __future__ import annotations

from numpy.typing import ArrayLike

from skneural._declare import COUNT, SHARE_BELOW_1, declare, options, parameter
from skneural.estimators._settings import hidden_layers, require_stochastic
from skneural.estimators._tasks import BaseClassifier, BaseRegressor
from skneural.estimators._training_parameters import MAX_NORM
from skneural.maths.activations import ACTIVATIONS


@declare
class Perceptron:
    """Mixin of multi-layer perceptrons: the parameters that describe their layers."""

    hidden_layer_sizes: int | ArrayLike = parameter(
        default=(100,),
        constraint=["array-like", COUNT],
        shape="(n_layers - 2,)",
        kw_only=False,
        doc="""Number of units of each hidden layer.""",
    )
    activation: str | ArrayLike = parameter(
        default="relu",
        constraint=[options(*ACTIVATIONS), "array-like"],
        shape="(n_layers - 2,)",
        kw_only=False,
        table=ACTIVATIONS,
        doc="""Activation of the hidden layers, one for all or one each:

        {table}""",
    )
    dropout: float | ArrayLike = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1, "array-like"],
        shape="(n_layers - 2,)",
        stochastic=True,
        doc="""Rate of dropout after each hidden layer, one for all or one each, in [0, 1). The units that stay are
        scaled up in training; prediction uses them all. Not with 'lbfgs'.""",
    )
    normalization: str | None = parameter(
        default=None,
        constraint=[options("batch", "layer"), None],
        doc="""Normalisation before the activation of each hidden layer: of every unit over the batch (exact over the
        whole batch, weighted by `sample_weight`; prediction uses running means), or of every sample over the units.
        'batch' not with 'lbfgs'.""",
    )
    residual: bool = parameter(
        default=False,
        constraint=["boolean"],
        doc="""Whether to add the input of a hidden layer to its output where both have the same number of units. The
        first hidden layer has no such shortcut.""",
    )
    max_norm: float | None = MAX_NORM

    def _hidden_layers(self):
        return hidden_layers(self)

    def _initialize(self, program, seed, train):
        return super()._initialize(program, seed, train, self.activation)

    def _check_settings(self, incremental):
        super()._check_settings(incremental)
        if self.normalization == "batch":
            require_stochastic(self, "normalization='batch'")


@declare
class MLPClassifier(Perceptron, BaseClassifier):
    r"""Multi-layer perceptron classifier.

    Drop-in replacement for :class:`sklearn.neural_network.MLPClassifier`: same parameters in the same order, same
    fitted attributes. It minimises the log loss; with two classes or with multilabel targets that of a logistic
    output each.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
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


@declare
class MLPRegressor(Perceptron, BaseRegressor):
    r"""Multi-layer perceptron regressor.

    Drop-in replacement for :class:`sklearn.neural_network.MLPRegressor`: same parameters in the same order, same fitted
    attributes.

    Parameters
    ----------
    {parameters}

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

    loss: str = parameter(default="squared_error", kw_only=False)  # the first argument, as in scikit-learn
