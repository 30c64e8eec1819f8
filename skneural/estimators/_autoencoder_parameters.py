"""The parameters that all autoencoders have."""

from __future__ import annotations

from collections.abc import Callable

from numpy.typing import ArrayLike

from skneural._declare import SHARE_BELOW_1, declare, options, parameter
from skneural.estimators._reconstruction import LOSS_NAMES
from skneural.estimators._training_parameters import INPUT_FORMAT, MAX_NORM
from skneural.maths.activations import ACTIVATIONS

#: What X may be: a part of the docstrings.
INPUT = """\
`X` with two axes is rows, also if it is sparse (a fit makes it dense); with `image_shape`, each row of a dense array is
an image. With four axes it is images, (n_images, height, width, n_channels). With three axes it is images of one
channel, (n_images, height, width), unless `encoder` reads sequences, as :class:`layers.Recurrent` and
:class:`layers.Conv1D` do: then it is these, (n_samples, n_timesteps, n_features). Images may be of uint8."""


@declare
class AutoencoderParameters:
    """What describes the layers of an autoencoder, what it reads, and what is minimised."""

    activation: str = parameter(
        default="relu",
        constraint=[options(*ACTIVATIONS)],
        table=ACTIVATIONS,
        doc="""Activation of the hidden layers, but for that of the code:

        {table}""",
    )
    dropout: float | ArrayLike = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1, "array-like"],
        shape="(n_layers - 1,)",
        stochastic=True,
        doc="""Rate of dropout after each hidden layer of the encoder, and of the decoder, which mirrors it; not after
        the code. One for all or one each, in [0, 1). Not used with `encoder`, and not with 'lbfgs'.""",
    )
    normalization: str | None = parameter(
        default=None,
        constraint=[options("batch", "layer"), None],
        doc="""Normalisation before the activation of each hidden layer, not of the code: of every unit over the batch,
        or of every sample over the units. Not used with `encoder`; 'batch' not with 'lbfgs'.""",
    )
    encoder: list | tuple | None = parameter(
        default=None,
        constraint=[list, tuple, None],
        type="list or tuple of Layer, or None",
        doc="""Layers of :mod:`skneural.layers` in the place of `hidden_layer_sizes`. What the last one returns is the
        code; codes that are sequences or images are handed over as rows. Settings of layers are nested parameters:
        ``set_params(encoder__0__units=64)``.""",
    )
    decoder: list | tuple | None = parameter(
        default=None,
        constraint=[list, tuple, None],
        type="list or tuple of Layer, or None",
        doc="""Layers that read the code, given with `encoder`. They end without an activation. Where what they return
        is not like `X`, or ends in an activation, or none of them learns, a last layer is added: a dense one to rows,
        and to sequences and images of as many steps or pixels as `X` has a convolution of single ones.""",
    )
    loss: str = parameter(
        default="squared_error",
        constraint=[options(*LOSS_NAMES)],
        doc="""What is minimised, summed over the numbers of a sample.

        - 'squared_error': half the squared error.
        - 'absolute_error': the absolute error: single numbers that are far off count for less.
        - 'log_loss': the log loss of `X` between 0 and 1, for bits, shares and brightness; outputs are those of
          logistic functions, and nothing is scaled.""",
    )
    scaler: str | None = parameter(
        default="standard",
        constraint=[options("standard", "common"), None],
        doc="""How `X` is scaled before the network reads it; what comes out is scaled back.

        - 'standard': each feature minus its mean, in units of its deviation; of images each channel, over all pixels.
        - 'common': by one mean and one deviation for all features: those that vary more count for more, as in PCA. For
          images in rows, and other features in one unit.

        None: not. Scales are learnt by the first fit, or the first call of :meth:`partial_fit`, and weighted by
        `sample_weight`.""",
    )
    input_noise: float = parameter(
        default=0.0,
        doc="""Standard deviation of Gaussian noise that is added to the inputs in training, in units of scaled `X`: the
        network learns to remove it (a denoising autoencoder). Not with 'lbfgs'.""",
    )
    input_dropout: float = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1],
        stochastic=True,
        doc="""Share of the inputs that are 0, the mean of scaled `X`, in training; the others are scaled up. The
        network learns to fill them in. Not with 'lbfgs'.""",
    )
    scoring: str | Callable | None = parameter(
        default=None,
        doc="""What validation is scored by: None for :meth:`score`, 'loss' for the (negative) validation loss, or any
        name or callable that :func:`sklearn.metrics.check_scoring` takes.""",
    )
    image_shape: ArrayLike | None = parameter(
        default=None,
        constraint=["array-like", None],
        type="tuple of int or None",
        doc="""Shape of the images in the rows of 2-D `X`: (height, width) or (height, width, n_channels), with
        'channels_first' (n_channels, height, width). None: rows are rows.""",
    )
    input_format: str = INPUT_FORMAT
    max_norm: float | None = MAX_NORM

    @classmethod
    def _doc_sections(cls):
        return {"input": INPUT}
