"""Recurrent networks for sequences: LSTM, GRU and simple RNN, for real targets and for classes."""

from __future__ import annotations

from numpy.typing import ArrayLike

from skneural._declare import COUNT, SHARE_BELOW_1, declare, documented, options, parameter
from skneural.estimators._recurrent import RecurrentNetwork
from skneural.estimators._sequence_network import STANDARDIZE, ScaledTargets
from skneural.estimators._tasks import BaseClassifier, BaseRegressor
from skneural.estimators._training_parameters import INPUT_FORMAT
from skneural.maths.activations import ACTIVATIONS

#: Examples of every class, but for the beginning of its name.
CLASSIFICATION = """\
>>> import numpy as np
>>> from skneural import {name}Classifier
>>> rng = np.random.default_rng(0)
>>> X = rng.normal(size=(300, 12, 2)).cumsum(axis=1)  # random walks of 12 steps in the plane
>>> y = np.where(X[:, -1, 0] > X[:, 0, 0], "east", "west")
>>> clf = {name}Classifier((16,), learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
>>> clf.score(X[200:], y[200:]) > 0.85
True
>>> str(clf.predict([X[0], X[1, :5]])[0]) in clf.classes_  # of different length
True"""
REGRESSION = """\
>>> import numpy as np
>>> from skneural import {name}Regressor
>>> wave = np.sin(np.arange(300) / 5)
>>> X = np.lib.stride_tricks.sliding_window_view(wave[:-1], 20)[:, :, None]  # windows of 20 steps
>>> y = wave[20:]  # the step after each
>>> reg = {name}Regressor((16,), learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
>>> reg.score(X[200:], y[200:]) > 0.95
True"""


@declare
class RecurrentArchitecture:
    """The parameters that describe the layers of recurrent networks: the last base, so the first in the signature."""

    hidden_layer_sizes: int | ArrayLike = parameter(
        default=(50,),
        constraint=["array-like", COUNT],
        shape="(n_recurrent_layers,)",
        kw_only=False,
        doc="""Number of units of each recurrent layer; each reads the states of the one before.""",
    )
    head_layer_sizes: int | ArrayLike = parameter(
        default=(),
        constraint=["array-like", COUNT],
        shape="(n_head_layers,)",
        doc="""Number of units of dense layers between the recurrent ones and the outputs.""",
    )
    head_activation: str = parameter(
        default="relu",
        constraint=[options(*ACTIVATIONS)],
        doc="""Activation of these dense layers. See :class:`MLPClassifier`.""",
    )
    bidirectional: bool = parameter(
        default=False,
        constraint=["boolean"],
        doc="""Whether each recurrent layer has a second one beside it that reads the sequence from its end (Schuster
        and Paliwal, 1997).""",
    )
    pooling: str = parameter(
        default="last",
        constraint=[options("last", "mean", "max")],
        doc="""What follows the last recurrent layer for each sequence: its state after the last step (of a second
        direction: after the first step, where that ends), or the mean or the maximum of the states over all steps.""",
    )
    dropout: float | ArrayLike = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1, "array-like"],
        shape="(n_recurrent_layers + n_head_layers,)",
        stochastic=True,
        doc="""Rate of dropout after each recurrent layer (after the last one: of what pooling returns) and each dense
        layer, one for all or one each, in [0, 1). The units that stay are scaled up in training; prediction uses them
        all. Not with 'lbfgs'.""",
    )
    recurrent_dropout: float = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1],
        stochastic=True,
        doc="""Rate of dropout on the states that a time step hands on to the next, in [0, 1): the same units are
        dropped in all steps of a sequence (Gal and Ghahramani, 2016). Not with 'lbfgs'.""",
    )
    tbptt_steps: int | None = parameter(
        default=None,
        constraint=[COUNT, None],
        doc="""How many time steps gradients go back at most: sequences are cut into parts of that length, counted from
        their end, and no gradient passes a cut (truncated backpropagation through time; Williams and Peng, 1990). None:
        all.""",
    )
    input_format: str = INPUT_FORMAT
    standardize: bool = STANDARDIZE


@declare
class RecurrentClassifier(RecurrentNetwork, BaseClassifier, RecurrentArchitecture):
    """Base of the recurrent classifiers."""

    _example = CLASSIFICATION


@declare
class RecurrentRegressor(ScaledTargets, RecurrentNetwork, BaseRegressor, RecurrentArchitecture):
    """Base of the recurrent regressors."""

    _example = REGRESSION


@documented
class LSTMClassifier(RecurrentClassifier):
    """Long short-term memory classifier for sequences.

    {description}

    References
    ----------
    Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9.

    Gers, Schmidhuber and Cummins (2000), "Learning to forget: continual prediction with LSTM", Neural Computation 12.
    The biases of the forget gates begin at 1, as in Jozefowicz et al. (2015).

    {references}

    Examples
    --------
    {examples}
    """

    _cell = "lstm"


@documented
class LSTMRegressor(RecurrentRegressor):
    """Long short-term memory regressor for sequences.

    {description}

    References
    ----------
    Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9.

    Gers, Schmidhuber and Cummins (2000), "Learning to forget: continual prediction with LSTM", Neural Computation 12.
    The biases of the forget gates begin at 1, as in Jozefowicz et al. (2015).

    {references}

    Examples
    --------
    {examples}
    """

    _cell = "lstm"


@documented
class GRUClassifier(RecurrentClassifier):
    """Gated recurrent unit classifier for sequences.

    {description}

    References
    ----------
    Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    EMNLP. The reset gate acts after the product with the state, as in cuDNN, Keras and PyTorch.

    {references}

    Examples
    --------
    {examples}
    """

    _cell = "gru"


@documented
class GRURegressor(RecurrentRegressor):
    """Gated recurrent unit regressor for sequences.

    {description}

    References
    ----------
    Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    EMNLP. The reset gate acts after the product with the state, as in cuDNN, Keras and PyTorch.

    {references}

    Examples
    --------
    {examples}
    """

    _cell = "gru"


@documented
class RNNClassifier(RecurrentClassifier):
    """Simple recurrent network, with tanh, classifier for sequences.

    {description}

    References
    ----------
    Elman (1990), "Finding structure in time", Cognitive Science 14.

    {references}

    Examples
    --------
    {examples}
    """

    _cell = "rnn"


@documented
class RNNRegressor(RecurrentRegressor):
    """Simple recurrent network, with tanh, regressor for sequences.

    {description}

    References
    ----------
    Elman (1990), "Finding structure in time", Cognitive Science 14.

    {references}

    Examples
    --------
    {examples}
    """

    _cell = "rnn"
