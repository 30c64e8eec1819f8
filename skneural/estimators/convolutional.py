"""Convolutional networks for sequences: fully convolutional and residual ones, for real targets and for classes."""

from __future__ import annotations

from numpy.typing import ArrayLike

from skneural._declare import COUNT, SHARE_BELOW_1, declare, options, parameter
from skneural.estimators._recurrent_docs import INPUT
from skneural.estimators._sequence_layers import fcn_layers, resnet_layers, with_first_shortcut
from skneural.estimators._sequence_network import STANDARDIZE, ScaledTargets, SequenceNetwork
from skneural.estimators._settings import require_stochastic
from skneural.estimators._tasks import BaseClassifier, BaseRegressor
from skneural.estimators._training_parameters import INPUT_FORMAT, MAX_NORM
from skneural.maths.activations import ACTIVATIONS

FCN = """\
Convolutions over time follow one another, each with normalisation and activation; then each channel becomes its mean
over all steps, which goes on to the outputs. There are no layers but these, so it takes sequences of any length, and
its weights are few where these are long."""
RESNET = """\
Blocks of convolutions over time, each with normalisation and activation, follow one another; around each there is a
shortcut, which is added before the last activation of the block. Then each channel becomes its mean over all steps,
which goes on to the outputs. It has about twice the weights of :class:`FCN{task}`, in nine convolutions."""
COMMON = """\
Steps after the end of a sequence count neither for the means nor for the normalisation, and convolutions read zeros
there. Training keeps all steps of a batch, with ``normalization='batch'`` of the whole batch at once, so long sequences
want small batches. Beside the data that is about
``batch_size * n_timesteps * {numbers}`` numbers.

The authors train on batches of 16 sequences (a tenth of all, where that is less) for 1,000 to 2,000 epochs, and halve
the rate after 50 epochs without a better training loss, down to 0.0001: ``batch_size=16, max_iter=2000,
learning_rate='plateau', decay_factor=0.5, decay_epochs=50, min_learning_rate=1e-4, n_iter_no_change=2000``. The
defaults here are those of the other networks, and much shorter."""
#: What training keeps of a step.
NUMBERS = {"FCN": "4 * sum(filters)", "ResNet": "4 * (n_convolutions + 1) * sum(filters)"}
REFERENCES = """\
Wang, Yan and Oates (2017), "Time series classification from scratch with deep neural networks: a strong baseline",
IJCNN.

Ismail Fawaz et al. (2019), "Deep learning for time series classification: a review", Data Mining and Knowledge
Discovery 33.

Ioffe and Szegedy (2015), "Batch normalization: Accelerating deep network training by reducing internal covariate
shift", ICML."""
HE = """\
He, Zhang, Ren and Sun (2016), "Deep residual learning for image recognition", CVPR."""

#: Examples, but for the beginning of the name of the class.
CLASSIFICATION = """\
>>> import numpy as np
>>> from skneural import {name}Classifier
>>> rng = np.random.default_rng(0)
>>> X = rng.normal(size=(200, 30, 2))
>>> y = rng.integers(0, 2, 200)
>>> X[y == 1, 10:18, 0] += np.hanning(8) * 4  # a bump
>>> clf = {name}Classifier((8, 8), kernel_sizes=5, batch_size=32, learning_rate_init=0.01, tol=1e-3, random_state=0)
>>> clf.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.9
True
>>> clf.predict([X[0], X[1, :20]]).shape  # of different length
(2,)"""
REGRESSION = """\
How fast waves of any phase are:

>>> import numpy as np
>>> from skneural import {name}Regressor
>>> rng = np.random.default_rng(0)
>>> y = rng.uniform(0.5, 1.5, 200)
>>> X = np.sin(y[:, None] * np.arange(30) + rng.uniform(0, 6, (200, 1)))[:, :, None]
>>> reg = {name}Regressor((8, 8), kernel_sizes=5, batch_size=32, learning_rate_init=0.01, tol=1e-3, random_state=0)
>>> reg.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.9
True"""


@declare
class FCNArchitecture:
    """The parameters that describe the layers of these networks: the last base, so the first in the signature."""

    filters: int | ArrayLike = parameter(
        default=(128, 256, 128),
        constraint=["array-like", COUNT],
        shape="(n_convolutions,)",
        kw_only=False,
        doc="""Number of filters, that is, of channels of the output, of each convolution.""",
    )
    kernel_sizes: int | ArrayLike = parameter(
        default=(8, 5, 3),
        constraint=[COUNT, "array-like"],
        shape="(n_convolutions,)",
        doc="""Steps of the window that each convolution looks at, one number for all or one each. Sequences may be
        shorter.""",
    )
    padding: str = parameter(
        default="same",
        constraint=[options("same", "causal")],
        doc="""'same': windows reach before and behind their step (one step further behind where their size is even).
        'causal': they end at it, so that no step sees later ones.""",
    )
    pooling: str = parameter(
        default="mean",
        constraint=[options("mean", "max", "last")],
        doc="""What follows the last convolution: the mean or the maximum of each channel over all steps, or the values
        at the last step, as forecasts need them, which must tell late steps from early ones.""",
    )
    hidden_layer_sizes: int | ArrayLike = parameter(
        default=(),
        constraint=["array-like", COUNT],
        shape="(n_dense_layers,)",
        doc="""Number of units of dense layers between the pooling and the outputs; the paper has none.""",
    )
    activation: str = parameter(
        default="relu",
        constraint=[options(*ACTIVATIONS)],
        table=ACTIVATIONS,
        doc="""Activation of convolutions and dense layers:

        {table}""",
    )
    dropout: float | ArrayLike = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1, "array-like"],
        shape="(n_convolutions + n_dense_layers,)",
        stochastic=True,
        doc="""Rate of dropout after each convolution (after the last one: of what pooling returns) and each dense
        layer, one for all or one each, in [0, 1). The numbers that stay are scaled up in training; prediction uses them
        all. Not with 'lbfgs'.""",
    )
    normalization: str | None = parameter(
        default="batch",
        constraint=[options("batch", "layer"), None],
        doc="""Normalisation before the activation of each convolution and dense layer. 'batch': of every channel over
        all steps of the batch (of every unit over the batch), exact over the whole batch, weighted by `sample_weight`;
        prediction uses running means. 'layer': of every step over its channels (of every sample over the units).
        'batch' not with 'lbfgs'.""",
    )
    input_format: str = INPUT_FORMAT
    standardize: bool = STANDARDIZE
    max_norm: float | None = MAX_NORM


@declare
class ResNetArchitecture(FCNArchitecture):
    """The same of residual networks."""

    filters: int | ArrayLike = parameter(
        default=(64, 128, 128),
        shape="(n_blocks,)",
        kw_only=False,
        doc="""Number of filters, that is, of channels of the output, of each block.""",
    )
    kernel_sizes: int | ArrayLike = parameter(
        default=(8, 5, 3),
        shape="(n_convolutions,)",
        doc="""Steps of the window that each convolution of a block looks at, one number for a block of one convolution.
        Sequences may be shorter.""",
    )
    dropout: float | ArrayLike = parameter(
        default=0.0,
        shape="(n_blocks + n_dense_layers,)",
        doc="""Rate of dropout after each block (after the last one: of what pooling returns) and each dense layer, one
        for all or one each, in [0, 1). The numbers that stay are scaled up in training; prediction uses them all. Not
        with 'lbfgs'.""",
    )
    normalization: str | None = parameter(
        default="batch",
        doc="""Normalisation before the activation of each convolution and dense layer, and on the shortcuts: there
        after a convolution of single steps where the number of channels changes, else by itself, as in the authors'
        code. 'batch': of every channel over all steps of the batch (of every unit over the batch), exact over the whole
        batch, weighted by `sample_weight`; prediction uses running means. 'layer': of every step over its channels (of
        every sample over the units). None: shortcuts without a convolution hand on what they read. 'batch' not with
        'lbfgs'.""",
    )


@declare
class ConvolutionalNetwork(SequenceNetwork):
    """Mixin of the convolutional networks for sequences.

    Attributes
    ----------
    coefs_ : list of ndarray
        The weights of each layer: of a convolution of shape (kernel_size * n_in, filters), where a row is a number of
        the window, step after step and of each the channels; of a dense layer of shape (n_in, n_out). In a residual
        network the convolution on a shortcut follows those of its block. All arrays are views of one vector.

    intercepts_ : list of ndarray
        The biases of each layer, of shape (filters,) or (n_out,): views of the same vector. With
        ``normalization='batch'`` they are added after it.

    norms_ : list of mappings
        With `standardize` first one of the input: the arrays ``mean`` and ``deviation``, each of shape (n_features,).
        Then of every normalisation the arrays ``scale`` and, for 'layer', ``shift``, for 'batch', the running ``mean``
        and ``variance``, each of shape (filters,) or (n_out,). On a shortcut without a convolution 'batch' has
        ``shift`` here, too.

    n_layers_ : int
        Number of layers with weights, normalisations on shortcuts without a convolution, and that of inputs.
    """

    def _initialize(self, program, seed, train):
        return super()._initialize(program, seed, train, self.activation)

    def _check_settings(self, incremental):
        super()._check_settings(incremental)
        if self.normalization == "batch":
            require_stochastic(self, "normalization='batch'")

    @classmethod
    def _doc_sections(cls):
        is_regressor = getattr(cls, "_numeric_targets", False)  # mixins have no targets
        task = "Regressor" if is_regressor else "Classifier"
        example = REGRESSION if is_regressor else CLASSIFICATION
        name = "ResNet" if issubclass(cls, ResNetArchitecture) else "FCN"
        return {
            "description": RESNET.format(task=task) if name == "ResNet" else FCN,
            "common": COMMON.format(numbers=NUMBERS[name]),
            "input": INPUT,
            "references": f"{REFERENCES}\n\n{HE}" if name == "ResNet" else REFERENCES,
            "examples": example.format(name=name),
        }


@declare
class FCNClassifier(ConvolutionalNetwork, BaseClassifier, FCNArchitecture):
    """Fully convolutional network classifier for sequences.

    {description}

    {common}

    {input}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    FCNRegressor : The same for real targets.
    ResNetClassifier : More convolutions, with shortcuts.
    LSTMClassifier : Recurrent layers.

    References
    ----------
    {references}

    Examples
    --------
    {examples}
    """

    def _hidden_layers(self):
        return fcn_layers(self)


@declare
class FCNRegressor(ScaledTargets, ConvolutionalNetwork, BaseRegressor, FCNArchitecture):
    """Fully convolutional network regressor for sequences.

    {description}

    {common}

    {input}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    FCNClassifier : The same for class labels.
    ResNetRegressor : More convolutions, with shortcuts.
    LSTMRegressor : Recurrent layers.

    References
    ----------
    {references}

    Examples
    --------
    {examples}
    """

    def _hidden_layers(self):
        return fcn_layers(self)


@declare
class ResidualNetwork(ConvolutionalNetwork):
    """Mixin of the residual ones."""

    def _hidden_layers(self):
        return resnet_layers(self)

    def _lower(self, layers, X, dtype, targets, settings):
        return super()._lower(with_first_shortcut(self, layers, X.shape[-1]), X, dtype, targets, settings)


@declare
class ResNetClassifier(ResidualNetwork, BaseClassifier, ResNetArchitecture):
    """Residual network classifier for sequences.

    {description}

    {common}

    {input}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    ResNetRegressor : The same for real targets.
    FCNClassifier : Fewer convolutions, without shortcuts.
    LSTMClassifier : Recurrent layers.

    References
    ----------
    {references}

    Examples
    --------
    {examples}
    """


@declare
class ResNetRegressor(ScaledTargets, ResidualNetwork, BaseRegressor, ResNetArchitecture):
    """Residual network regressor for sequences.

    {description}

    {common}

    {input}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    ResNetClassifier : The same for class labels.
    FCNRegressor : Fewer convolutions, without shortcuts.
    LSTMRegressor : Recurrent layers.

    References
    ----------
    {references}

    Examples
    --------
    {examples}
    """
