"""Convolutional networks for images."""

from __future__ import annotations

from numpy.typing import ArrayLike

from skneural._declare import COUNT, SHARE_BELOW_1, declare, options, parameter
from skneural._image_layout import check_image_shape
from skneural.estimators._image_layers import for_images, image_layers
from skneural.estimators._image_reader import ImageReader
from skneural.estimators._nested import NestedLayers
from skneural.estimators._settings import require_stochastic
from skneural.estimators._tasks import BaseClassifier, BaseRegressor
from skneural.estimators._training_parameters import MAX_NORM, MIXUP
from skneural.layers import Augmentation
from skneural.maths.activations import ACTIVATIONS

#: What images may be: a part of the docstring of every class.
INPUT = """\
`X` has shape (n_images, height, width) for images of one channel, or (n_images, height, width, n_channels); with
``input_format='channels_first'`` (n_images, n_channels, height, width). A list of arrays, one for each image, is copied
into one array of their type by every call. All images must have one shape; prediction needs that of the fit.

With two axes `X` has a row for each image, pixel after pixel as ``images.reshape(n_images, -1)`` lays them out;
`image_shape` says what they are. Without it, a row whose length is a square is a square image of one channel, and any
other an image of one row.

Arrays of uint8, uint16, bool, float32 and float64, memory-mapped ones too, are read where they are; with
`early_stopping`, which divides `X`, they are copied, in their own type, and so are parts that are cut out of larger
images. Those of another type are converted as a whole: to float32 where their numbers have 8 or 16 bits, and
else to float64."""

LAYERS = """\
A block for each of `filters`: convolutions, pooling, dropout. Then the images become rows, and dense layers follow as
in :class:`MLPClassifier`. The defaults are those of a small network for small images: on digits of 8 by 8 pixels it
trains in seconds, and two poolings leave 2 by 2 pixels."""


@declare
class ConvolutionalArchitecture:
    """The parameters that describe the layers of convolutional networks: the last base, so first in the signature."""

    filters: int | ArrayLike = parameter(
        default=(32, 64),
        constraint=["array-like", COUNT],
        shape="(n_blocks,)",
        kw_only=False,
        doc="""Number of filters, that is, of channels of the output, of each block.""",
    )
    convs_per_block: int = parameter(
        default=1,
        constraint=[COUNT],
        doc="""Number of convolutions in each block, all with as many filters.""",
    )
    kernel_size: int | ArrayLike = parameter(
        default=3,
        constraint=[COUNT, "array-like"],
        shape="(2,)",
        doc="""Height and width of the window that a convolution looks at, or one number for both. With
        ``padding='same'`` it may be larger than the images.""",
    )
    padding: str = parameter(
        default="same",
        constraint=[options("same", "valid")],
        doc="""'same' surrounds images with zeros, so that a convolution leaves their size as it is; 'valid' does not,
        and makes them smaller by `kernel_size` - 1.""",
    )
    pool_size: int | ArrayLike | None = parameter(
        default=2,
        constraint=[COUNT, "array-like", None],
        shape="(2,)",
        doc="""Height and width of the windows of which each block hands on the maximum, or one number for both; they do
        not overlap, and pixels at the end that fill no window are left out. None or 1: no pooling. There is none along
        an axis on which one pixel is left; where there are more, but fewer than `pool_size`, it is an error.""",
    )
    global_pooling: str | None = parameter(
        default=None,
        constraint=[options("mean", "max"), None],
        doc="""What follows the last block: None hands all pixels on to the dense layers, 'mean' or 'max' of each
        channel its mean or maximum over all pixels: far fewer weights.""",
    )
    hidden_layer_sizes: int | ArrayLike = parameter(
        default=(100,),
        constraint=["array-like", COUNT],
        shape="(n_dense_layers,)",
        doc="""Number of units of dense layers between the blocks and the outputs; ``()`` for none.""",
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
        shape="(n_blocks + n_dense_layers,)",
        stochastic=True,
        doc="""Rate of dropout after each block (after the last one: of what `global_pooling` returns) and each dense
        layer, one for all or one each, in [0, 1). The numbers that stay are scaled up in training; prediction uses them
        all. Not with 'lbfgs'.""",
    )
    normalization: str | None = parameter(
        default=None,
        constraint=[options("batch", "batch_after", "layer"), None],
        doc="""Normalisation of each convolution and dense layer, before its activation. 'batch': of every channel over
        all pixels of the batch (of every unit over the batch), exact over the whole batch, weighted by `sample_weight`;
        prediction uses running means. 'batch_after': the same after the activation. 'layer': of every pixel over its
        channels (of every sample over the units). Those of the batch not with 'lbfgs'.""",
    )
    residual: bool = parameter(
        default=False,
        constraint=["boolean"],
        doc="""Whether each block has a shortcut: its input is added to the output of its convolutions, before the last
        activation (He et al., 2016). Where the number of channels differs, a convolution of single pixels brings it to
        that of the block. Only with ``padding='same'``.""",
    )
    rescale: bool = parameter(
        default=True,
        constraint=["boolean"],
        doc="""Whether to scale each channel to mean 0 and deviation 1 over all pixels of the training data, weighted by
        `sample_weight`, whatever range and type they have: dividing by 255 beforehand is not needed, and changes
        nothing but rounding. It is learnt by the first fit, or the first call of :meth:`partial_fit`. False: the
        network reads the numbers as they are.""",
    )
    image_shape: ArrayLike | None = parameter(
        default=None,
        constraint=["array-like", None],
        type="tuple of int or None",
        doc="""Shape of the images in the rows of 2-D `X`: (height, width) or (height, width, n_channels), with
        'channels_first' (n_channels, height, width). `X` with more axes must agree with it. None: see above.""",
    )
    input_format: str = parameter(
        default="channels_last",
        constraint=[options("channels_last", "channels_first")],
        doc="""'channels_first' reads 4-D `X` as (n_images, n_channels, height, width), as PyTorch lays it out, and
        rows of 2-D `X` likewise. For images without an axis of channels it makes no difference.""",
    )
    max_norm: float | None = MAX_NORM


@declare
class ImageNetwork(NestedLayers):
    """Mixin of the networks that read images: which layers there are.

    Attributes
    ----------
    coefs_ : list of ndarray
        The weights of each layer. Of a convolution of shape (kernel_height * kernel_width * n_in, filters), where a row
        is a number of the window, row after row of pixels and of each pixel the channels; of a dense layer of shape
        (n_in, n_out). With `residual` that of a shortcut follows the convolutions of its block. All arrays are views of
        one vector.

    intercepts_ : list of ndarray
        The biases of each layer, of shape (filters,) or (n_out,): views of the same vector. With
        ``normalization='batch'`` they are added after it.

    norms_ : list of mappings
        With `rescale` first one of the input: the arrays ``mean`` and ``deviation``, each of shape (n_channels,). Then
        of every normalisation the arrays ``scale`` and, for 'layer', ``shift``, for 'batch', the running ``mean`` and
        ``variance``, for 'batch_after' all four, each of shape (filters,) or (n_out,).

    image_shape_ : tuple of int
        Height, width and number of channels of the images seen in :meth:`fit`, in this order whatever `input_format`
        is.

    n_features_in_ : int
        Numbers in an image, height * width * n_channels; of columns, for 2-D `X`.

    n_layers_ : int
        Number of layers with weights, and that of inputs.
    """

    augmentation: Augmentation | None = parameter(
        default=None,
        constraint=[Augmentation, None],
        type="layers.Augmentation or None",
        stochastic=True,
        doc="""How images are changed at random in training, every time that they are seen, as
        ``Augmentation(rotation=15, horizontal_flip=True)``. Its settings are nested parameters:
        ``set_params(augmentation__rotation=5)``. Not with 'lbfgs'.""",
    )
    mixup: float = MIXUP
    input_noise: float = parameter(
        default=0.0,
        doc="""Standard deviation of Gaussian noise that is added to the inputs in training, in units of the scaled
        channels with `rescale`. Not with 'lbfgs'.""",
    )
    dtype: str = parameter(
        default="auto",
        doc="""Precision of the network. 'auto' is float32 for `X` of float32 and for numbers of 8 or 16 bits, as uint8,
        else float64. A fit that goes on with the weights of one before keeps their precision.""",
    )

    _holders = ("augmentation",)
    _reader = ImageReader()

    @property
    def _batch_norm(self):
        return f"normalization={self.normalization!r}"

    @classmethod
    def _doc_sections(cls):
        return {"input": INPUT, "layers": LAYERS}

    def _hidden_layers(self):
        return image_layers(self)

    def _lower(self, layers, X, dtype, targets, settings):
        return super()._lower(for_images(layers, self.image_shape_), X, dtype, targets, settings)

    def _initialize(self, program, seed, train):
        return super()._initialize(program, seed, train, self.activation)

    def _check_settings(self, incremental):
        super()._check_settings(incremental)
        check_image_shape(self.image_shape)
        if self.normalization in ("batch", "batch_after"):
            require_stochastic(self, self._batch_norm)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        return tags


@declare
class CNNClassifier(ImageNetwork, BaseClassifier, ConvolutionalArchitecture):
    """Convolutional neural network classifier for images.

    {input}

    {layers}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    CNNRegressor : The same for real targets.
    NetworkClassifier : Networks of any layers.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document recognition", Proceedings of
    the IEEE 86.

    He, Zhang, Ren and Sun (2016), "Deep residual learning for image recognition", CVPR.

    Ioffe and Szegedy (2015), "Batch normalization: Accelerating deep network training by reducing internal covariate
    shift", ICML.

    Srivastava et al. (2014), "Dropout: A simple way to prevent neural networks from overfitting", JMLR 15.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skneural import CNNClassifier
    >>> digits = load_digits()
    >>> digits.images.shape
    (1797, 8, 8)
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     digits.images, digits.target, stratify=digits.target, random_state=0
    ... )
    >>> clf = CNNClassifier((8, 16), batch_size=32, max_iter=20, tol=1e-3, dtype="float32", random_state=0)
    >>> clf.fit(X_train, y_train).score(X_test, y_test) > 0.95
    True
    >>> clf.image_shape_
    (8, 8, 1)
    >>> clf.predict_proba(X_test[:1]).shape
    (1, 10)
    """


@declare
class CNNRegressor(ImageNetwork, BaseRegressor, ConvolutionalArchitecture):
    """Convolutional neural network regressor for images.

    {input}

    {layers}

    Targets are not scaled: scale those far from 1, by :class:`sklearn.compose.TransformedTargetRegressor` for instance.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    CNNClassifier : The same for class labels.
    NetworkRegressor : Networks of any layers.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document recognition", Proceedings of
    the IEEE 86.

    He, Zhang, Ren and Sun (2016), "Deep residual learning for image recognition", CVPR.

    Ioffe and Szegedy (2015), "Batch normalization: Accelerating deep network training by reducing internal covariate
    shift", ICML.

    Srivastava et al. (2014), "Dropout: A simple way to prevent neural networks from overfitting", JMLR 15.

    Examples
    --------
    In which column a bright line stands:

    >>> import numpy as np
    >>> from skneural import CNNRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((300, 8, 8)).astype("float32")
    >>> y = rng.integers(0, 8, 300)
    >>> X[np.arange(300), :, y] += 1
    >>> reg = CNNRegressor((8, 8), learning_rate_init=0.01, max_iter=100, random_state=0).fit(X[:200], y[:200])
    >>> reg.score(X[200:], y[200:]) > 0.9
    True
    """
