"""The parameters of generative adversarial networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skneural._declare import COUNT, NOT_NEGATIVE, POSITIVE, SHARE_BELOW_1, declare, fixed, options, parameter
from skneural.estimators._samples import LOSSES_OF_GANS
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.optimizers import OPTIMIZERS


@declare
class GameParameters:
    """What describes two networks, and how they are trained in turn.

    Attributes
    ----------
    loss_ : float
        Loss of the discriminator in the last epoch, penalty included.

    loss_curve_ : list of float
        That of every epoch.

    best_loss_ : float
        The smallest of the last fit. It says nothing of the samples.

    history_ : dict of lists
        Of every epoch ``discriminator_loss`` (on real rows plus on generated ones) and ``generator_loss``,
        ``real_accuracy`` and ``generated_accuracy`` (the shares of real and of generated rows of which the
        discriminator was right, before each of its updates), ``discriminator_gradient_norm`` and
        ``generator_gradient_norm`` (mean norms of the whole gradients), all NaN in epochs in which a network was not
        updated, ``loss`` (as ``loss_curve_``), ``learning_rate`` (of the last step) and ``time`` (seconds since the fit
        began); ``validation_loss`` and ``score``, which other estimators have, are NaN. With `monitor_gradients` also
        ``gradient_norm``: an array with the mean norm of the gradient of each layer, those of the generator first. Of
        the calls of :meth:`partial_fit` the last 100 stay.

    coefs_ : list of ndarray
        The weights of each layer, of the generator first, then of the discriminator. With `generator_averaging` there
        is ``averages_``, too: a list of one array, the averages of the generator's parameters in one row. With
        `spectral_norm` there is ``singular_vectors_``, too: for each matrix of the discriminator's weights the vector
        that the power method has come to, nearly the right one of the largest singular value.

    intercepts_ : list of ndarray
        The biases of each layer. All arrays are views of one vector.

    norms_ : list of mappings
        Of every normalised layer the arrays ``scale`` and ``shift``, for that of the batch also the running ``mean``
        and ``variance``.

    classes_ : ndarray of shape (n_classes,)
        Class labels, of a conditional network.

    categories_ : list of (ndarray or None), or None
        The categories of each feature, in the order of their type, else sorted; None for a feature that is a number.
        None where all features are numbers.

    sample_shape_ : tuple of int
        Of one sample: (n_features,), (height, width) or (height, width, n_channels).

    coverage_ : float
        Share of the data's regions that generated samples have in common with it at the end of :meth:`fit`, from 0 to
        1; NaN for fewer than 20 rows, and after :meth:`partial_fit`.

    n_features_in_ : int
        Numbers of one sample.
    """

    hidden_layer_sizes: int | ArrayLike = parameter(
        default=(128, 128),
        constraint=["array-like", COUNT],
        shape="(n_layers - 2,)",
        kw_only=False,
        doc="""Number of units of the hidden layers of each of both networks that no list of layers describes.""",
    )
    n_components: int = parameter(
        default=16,
        constraint=[COUNT],
        kw_only=False,
        doc="""How many normal random numbers a sample is made of.""",
    )
    generator: list | tuple | None = parameter(
        default=None,
        constraint=[list, tuple, None],
        type="list or tuple of Layer, or None",
        doc="""Layers of the generator, of :mod:`skneural.layers`, in the place of `hidden_layer_sizes`. They read rows
        of `n_components` numbers, with a column for each class behind them. Where they end in rows, a dense layer with
        a column for each feature is added; where samples are images, they may end in images of that shape. Settings of
        layers are nested parameters: ``set_params(generator__0__units=64)``.""",
    )
    discriminator: list | tuple | None = parameter(
        default=None,
        constraint=[list, tuple, None],
        type="list or tuple of Layer, or None",
        doc="""Layers of the discriminator. A dense layer with one unit is added. Where `X` is images they read images,
        with a channel for each class behind those of `X`; with a first layer ``Reshape((height, width, n_channels))``
        they read rows as such images. Rows have their numbers first, then a column for each category, then those of the
        classes. Settings of layers are nested parameters: ``set_params(discriminator__0__units=64)``.""",
    )
    activation: str | ArrayLike = parameter(
        default="leaky_relu",
        constraint=[options(*ACTIVATIONS), "array-like"],
        shape="(n_layers - 2,)",
        table=ACTIVATIONS,
        doc="""Activation of the layers of `hidden_layer_sizes`, one for all or one each:

        {table}""",
    )
    dropout: float | ArrayLike = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1, "array-like"],
        shape="(n_layers - 2,)",
        doc="""Rate of dropout after each of the layers of `hidden_layer_sizes` in the discriminator, one for all or one
        each, in [0, 1).""",
    )
    loss: str = parameter(
        default="log_loss",
        constraint=[options(*LOSSES_OF_GANS)],
        doc="""
        - 'log_loss': the discriminator's output is the probability that a sample is real; the generator aims at the
          class of real samples ("non-saturating").
        - 'least_squares': half the squared distance of the output from 1 for real samples, from 0 for generated ones.
        - 'hinge': :math:`\\max(0, 1 - z)` for real samples, :math:`\\max(0, 1 + z)` for generated ones; the generator
          maximises z.
        - 'wasserstein': the discriminator, a critic, maximises the difference of the mean outputs; its weights are kept
          small by `weight_clip` or `spectral_norm`. The authors use the solver 'rmsprop', a rate of 0.00005, and
          ``n_critic=5``.""",
    )
    categorical_features: ArrayLike | str | None = parameter(
        default="from_dtype",
        constraint=["array-like", options("from_dtype"), None],
        type="array-like of bool, int or str, 'from_dtype' or None",
        doc="""Which features of rows are categories, as a mask, by their numbers or by their names. 'from_dtype' is the
        columns of a DataFrame that are of a type for categories (pandas' category, Categorical and Enum of polars),
        None is none. A feature of such a type has the categories that the type names; another one has those of the
        first fit, or of the first call of :meth:`partial_fit`, and later ones are an error.""",
    )
    scaling: str | None = parameter(
        default="auto",
        constraint=[options("auto", "standard", "range"), None],
        doc="""How `X` is scaled inside: every number to mean 0 and standard deviation 1, or all numbers to a range from
        -1 to 1, which the generator keeps to by a last 'tanh'. 'auto' is 'range' for images, else 'standard'.""",
    )
    generator_learning_rate_init: float | None = parameter(
        default=None,
        constraint=[POSITIVE, None],
        doc="""What the schedule multiplies for the generator; `learning_rate_init` is the discriminator's. None is the
        same for both.""",
    )
    n_critic: int = parameter(
        default=1,
        constraint=[COUNT],
        doc="""Updates of the discriminator, each with another batch, for one of the generator.""",
    )
    label_smoothing: float = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1],
        doc="""The discriminator aims at one minus this for real samples, in [0, 1) (Salimans et al., 2016). With the
        losses 'log_loss' and 'least_squares'.""",
    )
    instance_noise: float = parameter(
        default=0.0,
        constraint=[NOT_NEGATIVE],
        doc="""Standard deviation of Gaussian noise that is added to scaled samples, real and generated, before the
        discriminator reads them (Sonderby et al., 2017).""",
    )
    weight_clip: float | str | None = parameter(
        default="auto",
        constraint=[POSITIVE, options("auto"), None],
        doc="""Largest size of the discriminator's weights and biases, kept to after each of its updates. 'auto' is 0.01
        with the loss 'wasserstein' and no `spectral_norm`, else None: no limit.""",
    )
    spectral_norm: float | None = parameter(
        default=None,
        constraint=[POSITIVE, None],
        doc="""Largest spectral norm, or singular value, of each of the discriminator's matrices of weights. After each
        of its updates those that have a larger one are scaled down (Gouk et al., 2021). The norm is found as by Miyato
        et al. (2018), by an iteration of the power method an update, and of a convolution it is that of the matrix with
        a column for each filter; but they divide weights by their norms in the network itself, and differentiate that.
        1 is usual, None is no limit. For dense layers and convolutions without groups.""",
    )
    generator_averaging: float = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1],
        doc="""Decay of an exponential moving average of the generator's parameters, in [0, 1): samples are made by the
        average, which is steadier than the parameters themselves. 0.999 is usual, 0 averages nothing. After t updates
        the decay is at most ``(1 + t) / (10 + t)``.""",
    )
    solver: str = parameter(
        default="adam",
        constraint=[options(*OPTIMIZERS)],
        table=OPTIMIZERS,
        doc="""The optimizer of both networks:

        {table}""",
    )
    alpha: float = parameter(default=0.0)
    batch_size: int | str = parameter(
        default="auto",
        doc="""Number of real samples of a minibatch, which has as many generated ones. 'auto' is
        ``min(200, n_samples)``.""",
    )
    learning_rate_init: float = parameter(default=0.001)
    beta_1: float = parameter(default=0.5)
    random_state: int | np.random.RandomState | None = parameter(
        default=None,
        doc="""Decides initial weights, order of the samples, latent numbers, noise and dropout. With an int, a fit
        gives the same bits every time, for any `n_jobs`.""",
    )
    early_stopping: bool = fixed(False)
    validation_fraction: float = fixed(0.1)
    tol: float = fixed(0.0)
    n_iter_no_change: float = fixed(np.inf)
    max_fun: int = fixed(15000)
    input_noise: float = fixed(0.0)
    scoring: Any = fixed(None)
    score_training: bool = fixed(False)
