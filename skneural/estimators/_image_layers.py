"""The layers of convolutional networks: as parameters describe them, and as images of one shape need them."""

from dataclasses import replace
from numbers import Integral

import numpy as np

from skneural._image_layout import are_sizes
from skneural.estimators._settings import on_inputs, sizes_of, with_dropout
from skneural.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    GlobalPool,
    MaxPool2D,
    Reshape,
    Residual,
    Standardize,
)
from skneural.network.builder import Builder


def _pair_of(est, name):
    """A parameter that is one integer for height and width, or one for each, as a pair."""
    value = getattr(est, name)
    pair = (value, value) if isinstance(value, Integral) else value
    if not are_sizes(pair, (2,)):
        raise ValueError(f"{name} must be an integer from 1 up, or two of them: (height, width). Got {value!r}.")
    return tuple(int(n) for n in pair)


def image_layers(est):
    """The layers of a convolutional network before the last one, but for what the shape of its images decides.

    See `for_images`, which completes them.
    """
    filters = sizes_of(est, "filters")
    if not filters:
        raise ValueError("filters must name at least one block, got none.")
    if est.residual and est.padding != "same":
        raise ValueError(f"residual=True needs padding='same', got padding={est.padding!r}.")
    sizes = sizes_of(est)
    stacks = [_block(est, n) for n in filters]
    stacks[-1].append(GlobalPool(est.global_pooling) if est.global_pooling else Flatten())
    stacks += [[Dense(units, est.activation, _before(est)), *_after(est)] for units in sizes]
    return on_inputs(est, with_dropout(est, stacks, "block and hidden layer"), est.rescale)


def _before(est):
    """Normalisation between the product of a layer and its activation."""
    return None if est.normalization == "batch_after" else est.normalization


def _after(est):
    """Layers that normalise after an activation."""
    return [BatchNorm()] if est.normalization == "batch_after" else []


def _block(est, n_filters):
    """Convolutions, with a shortcut if there is to be one, and the pooling after them."""
    kernel = _pair_of(est, "kernel_size")
    convolution = Conv2D(
        n_filters,
        kernel,
        padding=est.padding,
        activation=est.activation,
        normalization=_before(est),
    )
    layers = [convolution, *_after(est)] * int(est.convs_per_block)
    if est.residual:
        n_last = 1 + len(_after(est))
        layers = [*layers[:-n_last], replace(convolution, activation=None)]
        layers = [Residual(tuple(layers)), Activation(est.activation), *_after(est)]
    if est.pool_size is not None:
        layers.append(MaxPool2D(_pair_of(est, "pool_size")))
    return layers


def for_images(layers, image_shape):
    """The layers that `image_layers` returned, for images of one shape.

    They are told that they read images, shortcuts get the number of channels that their block has, and no pooling is
    along an axis of one pixel.

    Parameters
    ----------
    layers : list of Layer
    image_shape : (int, int, int)
        Height, width and number of channels.

    Returns
    -------
    list of Layer

    Raises
    ------
    ValueError
        If images are, or have become, smaller than what is to read them.
    """
    n_before = 1 if isinstance(layers[0], Standardize) else 0
    layers = [*layers[:n_before], Reshape(image_shape), *layers[n_before:]]
    height, width, n_channels = image_shape
    builder = Builder((height * width, n_channels), np.float64, training=False)
    x = builder.input
    complete = []
    n_pools = 0
    for layer in layers:
        if isinstance(layer, MaxPool2D):
            n_pools += 1
            layer = _pool_for(layer, x.shape, n_pools)
        elif isinstance(layer, Residual):
            layer = _with_shortcut(layer, x.width)
        if layer is not None:
            x = builder.stack([layer], x)
            complete.append(layer)
    return complete


def _with_shortcut(block, n_channels):
    """A block with a projection on its shortcut if it returns another number of channels than it reads."""
    n_filters = block.layers[-1].filters
    if n_filters == n_channels:
        return block
    return replace(block, shortcut=(Conv2D(n_filters, 1),))


def _pool_for(pool, shape, block):
    """A pooling for images of some shape, None if there is nothing to pool."""
    height, width, _ = shape
    sizes = []
    for size, n_pixels in zip(pool.size, (height, width), strict=True):
        if 1 < n_pixels < size:
            raise ValueError(
                f"pool_size={pool.size} is larger than the images in block {block}, of {height} x {width} pixels: take "
                "a smaller pool_size, fewer blocks, or pool_size=None."
            )
        sizes.append(min(size, n_pixels))
    return None if sizes == [1, 1] else MaxPool2D(tuple(sizes))
