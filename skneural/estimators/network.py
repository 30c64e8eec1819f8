"""Networks of any layers."""

from __future__ import annotations

from skneural._declare import POSITIVE, declare, parameter
from skneural.estimators._layers import check_layers, with_noise
from skneural.estimators._layers_reader import LayersReader
from skneural.estimators._nested import NestedLayers
from skneural.estimators._settings import check_kinds
from skneural.estimators._tasks import BaseClassifier, BaseRegressor
from skneural.estimators._training_parameters import INPUT_FORMAT
from skneural.layers import Dense
from skneural.maths.activations import ACTIVATIONS


@declare
class LayerStack(NestedLayers):
    """Mixin of networks whose layers are a parameter.

    Attributes
    ----------
    coefs_ : list of ndarray
        The weights of each layer's input, in the order of the layers: of a dense layer of shape (n_in, n_out), of a
        recurrent one (and direction) of shape (n_in, n_gates, units). Recurrent layers have ``recurrent_coefs_``, too,
        of shape (units, n_gates, units). See :class:`LSTMClassifier` for the order of the gates.

    intercepts_ : list of ndarray
        The biases of each layer. All arrays are views of one vector.

    norms_ : list of mappings
        Of every normalised layer the arrays ``scale`` and ``shift``, for that of the batch also the running ``mean``
        and ``variance``; of :class:`layers.Standardize` ``mean`` and ``deviation``. Each has shape (n_out,).

    n_features_in_ : int
        Number of features seen in :meth:`fit`. After a fit on sequences there is ``n_timesteps_in_``, too: the length
        of the longest.
    """

    layers: list | tuple = parameter(
        default=(Dense(100, "relu"),),
        constraint=[list, tuple],
        type="list or tuple of Layer",
        kw_only=False,
        table=ACTIVATIONS,
        doc="""The layers before the last one, of :mod:`skneural.layers`; that one, a dense layer with a column for each
        output, is added. Without any the network is a linear model. Settings of layers are nested parameters, with
        numbers for names: ``set_params(layers__0__units=128)``, ``set_params(layers__0=Dense(8))``. Activations:

        {table}""",
    )
    input_format: str = INPUT_FORMAT
    max_norm: float | None = parameter(
        default=None,
        constraint=[POSITIVE, None],
        stochastic=True,
        doc="""Largest norm of the incoming weights of each unit or filter of all dense layers and convolutions but the
        last layer: they are scaled down after every step. Recurrent layers have no such limit: with one among `layers`
        it is an error. Not with 'lbfgs'.""",
    )

    _holders = ("layers",)
    _reader = LayersReader()
    _batch_norm = "batch normalization (in layers)"

    def _hidden_layers(self):
        check_layers(self)
        return with_noise(self.layers, self.input_noise)

    def _check_program(self, task):
        super()._check_program(task)
        check_kinds(self, task.program, "layers")


@declare
class NetworkClassifier(LayerStack, BaseClassifier):
    """Classifier that is a network of any layers.

    `X` with two axes, or sparse, is rows. With three axes, (n_samples, n_timesteps, n_features), it is sequences, and
    so are lists of arrays of shape (n_timesteps, n_features), of different length: all that :class:`LSTMClassifier`
    reads, but for tables. Layers say what they can read: between sequences and dense layers stands
    :class:`layers.GlobalPool` or :class:`layers.Flatten`.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    NetworkRegressor : The same for real targets.
    MLPClassifier, LSTMClassifier : Networks with the usual layers, described by a few numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skneural import NetworkClassifier
    >>> from skneural.layers import Dense, Dropout
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
    >>> layers = [Dense(64, "relu"), Dropout(0.3), Dense(32, "relu"), Dropout(0.3)]
    >>> clf = NetworkClassifier(layers, random_state=0, max_iter=300).fit(X_train, y_train)
    >>> clf.score(X_test, y_test) > 0.95
    True
    >>> clf.set_params(layers__0__units=128, layers__1__rate=0.5).layers[:2]
    [Dense(128, activation='relu'), Dropout(0.5)]
    """


@declare
class NetworkRegressor(LayerStack, BaseRegressor):
    """Regressor that is a network of any layers.

    It reads what :class:`NetworkClassifier` does. Targets are not scaled: scale those far from 1, by
    :class:`sklearn.compose.TransformedTargetRegressor` for instance.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    NetworkClassifier : The same for class labels.
    MLPRegressor, LSTMRegressor : Networks with the usual layers, described by a few numbers.

    Examples
    --------
    A recurrent network whose last layers pool over time:

    >>> import numpy as np
    >>> from skneural import NetworkRegressor
    >>> from skneural.layers import Dense, GlobalPool, Recurrent
    >>> wave = np.sin(np.arange(300) / 5)
    >>> X = np.lib.stride_tricks.sliding_window_view(wave[:-1], 20)[:, :, None]  # windows of 20 steps
    >>> y = wave[20:]  # the step after each
    >>> layers = [Recurrent("gru", 16), GlobalPool("mean"), Dense(8, "relu")]
    >>> reg = NetworkRegressor(layers, learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
    >>> reg.score(X[200:], y[200:]) > 0.95
    True
    """
