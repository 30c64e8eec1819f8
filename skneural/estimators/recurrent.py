"""Recurrent networks for sequences: LSTM, GRU and simple RNN, for real targets and for classes."""

from skneural.estimators._recurrent import RecurrentClassifier, RecurrentRegressor
from skneural.estimators._recurrent_docs import describe_recurrent
from skneural.maths.cells import CELLS


@describe_recurrent(CELLS["lstm"], "classification")
class LSTMClassifier(RecurrentClassifier):
    """Long short-term memory classifier for sequences.

    {input}

    Parameters
    ----------
    {parameters}

    {losses}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    {attributes}

    See Also
    --------
    LSTMRegressor : The same for real targets.
    GRUClassifier, RNNClassifier : Other cells.

    References
    ----------
    Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9.

    Gers, Schmidhuber and Cummins (2000), "Learning to forget: continual prediction with LSTM", Neural Computation 12.
    The biases of the forget gates begin at 1, as in Jozefowicz et al. (2015).

    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import LSTMClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 12, 2)).cumsum(axis=1)  # random walks of 12 steps in the plane
    >>> y = np.where(X[:, -1, 0] > X[:, 0, 0], "east", "west")
    >>> clf = LSTMClassifier((16,), learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
    >>> clf.score(X[200:], y[200:]) > 0.85
    True
    >>> str(clf.predict([X[0], X[1, :5]])[0]) in clf.classes_  # of different length
    True
    """

    _cell = "lstm"


@describe_recurrent(CELLS["lstm"], "regression")
class LSTMRegressor(RecurrentRegressor):
    """Long short-term memory regressor for sequences.

    {input}

    Parameters
    ----------
    {parameters}

    {losses}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    LSTMClassifier : The same for class labels.
    GRURegressor, RNNRegressor : Other cells.

    References
    ----------
    Hochreiter and Schmidhuber (1997), "Long short-term memory", Neural Computation 9.

    Gers, Schmidhuber and Cummins (2000), "Learning to forget: continual prediction with LSTM", Neural Computation 12.
    The biases of the forget gates begin at 1, as in Jozefowicz et al. (2015).

    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import LSTMRegressor
    >>> wave = np.sin(np.arange(300) / 5)
    >>> X = np.lib.stride_tricks.sliding_window_view(wave[:-1], 20)[:, :, None]  # windows of 20 steps
    >>> y = wave[20:]  # the step after each
    >>> reg = LSTMRegressor((16,), learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
    >>> reg.score(X[200:], y[200:]) > 0.95
    True
    """

    _cell = "lstm"


@describe_recurrent(CELLS["gru"], "classification")
class GRUClassifier(RecurrentClassifier):
    """Gated recurrent unit classifier for sequences.

    {input}

    Parameters
    ----------
    {parameters}

    {losses}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    {attributes}

    See Also
    --------
    GRURegressor : The same for real targets.
    LSTMClassifier, RNNClassifier : Other cells.

    References
    ----------
    Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    EMNLP. The reset gate acts after the product with the state, as in cuDNN, Keras and PyTorch.

    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import GRUClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 12, 2)).cumsum(axis=1)  # random walks of 12 steps in the plane
    >>> y = np.where(X[:, -1, 0] > X[:, 0, 0], "east", "west")
    >>> clf = GRUClassifier((16,), learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
    >>> clf.score(X[200:], y[200:]) > 0.85
    True
    >>> str(clf.predict([X[0], X[1, :5]])[0]) in clf.classes_  # of different length
    True
    """

    _cell = "gru"


@describe_recurrent(CELLS["gru"], "regression")
class GRURegressor(RecurrentRegressor):
    """Gated recurrent unit regressor for sequences.

    {input}

    Parameters
    ----------
    {parameters}

    {losses}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    GRUClassifier : The same for class labels.
    LSTMRegressor, RNNRegressor : Other cells.

    References
    ----------
    Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
    EMNLP. The reset gate acts after the product with the state, as in cuDNN, Keras and PyTorch.

    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import GRURegressor
    >>> wave = np.sin(np.arange(300) / 5)
    >>> X = np.lib.stride_tricks.sliding_window_view(wave[:-1], 20)[:, :, None]  # windows of 20 steps
    >>> y = wave[20:]  # the step after each
    >>> reg = GRURegressor((16,), learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
    >>> reg.score(X[200:], y[200:]) > 0.95
    True
    """

    _cell = "gru"


@describe_recurrent(CELLS["rnn"], "classification")
class RNNClassifier(RecurrentClassifier):
    """Simple recurrent network, with tanh, classifier for sequences.

    {input}

    Parameters
    ----------
    {parameters}

    {losses}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.

    {attributes}

    See Also
    --------
    RNNRegressor : The same for real targets.
    LSTMClassifier, GRUClassifier : Other cells.

    References
    ----------
    Elman (1990), "Finding structure in time", Cognitive Science 14.

    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import RNNClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 12, 2)).cumsum(axis=1)  # random walks of 12 steps in the plane
    >>> y = np.where(X[:, -1, 0] > X[:, 0, 0], "east", "west")
    >>> clf = RNNClassifier((16,), learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
    >>> clf.score(X[200:], y[200:]) > 0.85
    True
    >>> str(clf.predict([X[0], X[1, :5]])[0]) in clf.classes_  # of different length
    True
    """

    _cell = "rnn"


@describe_recurrent(CELLS["rnn"], "regression")
class RNNRegressor(RecurrentRegressor):
    """Simple recurrent network, with tanh, regressor for sequences.

    {input}

    Parameters
    ----------
    {parameters}

    {losses}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    RNNClassifier : The same for class labels.
    LSTMRegressor, GRURegressor : Other cells.

    References
    ----------
    Elman (1990), "Finding structure in time", Cognitive Science 14.

    {references}

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import RNNRegressor
    >>> wave = np.sin(np.arange(300) / 5)
    >>> X = np.lib.stride_tricks.sliding_window_view(wave[:-1], 20)[:, :, None]  # windows of 20 steps
    >>> y = wave[20:]  # the step after each
    >>> reg = RNNRegressor((16,), learning_rate_init=0.01, random_state=0).fit(X[:200], y[:200])
    >>> reg.score(X[200:], y[200:]) > 0.95
    True
    """

    _cell = "rnn"
