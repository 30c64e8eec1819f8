"""Pooling over images."""

from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

#: Of each axis, the size of the input and of the output, that of a window, and pixels from one window to the next.
AXIS = ("size", "out", "window", "stride")
DETAILS = (*(f"{name}_{axis}" for axis in "yx" for name in AXIS), "winners")
for _how in ("mean", "max"):
    operation(f"pool_images_{_how}", DETAILS, shares_steps=True)


def pair(value):
    """A setting for both axes."""
    return value if isinstance(value, tuple) else (value, value)


def add_image_pooling(net, x, how, layer):
    """Append a pooling over windows of pixels, all of which are whole.

    Parameters
    ----------
    net : Builder
    x : Value
    how : {'mean', 'max'}
    layer : MaxPool2D or AveragePool2D

    Raises
    ------
    ValueError
        If no window fits.
    """
    height, width, channels = net.images(x)
    windows = pair(layer.size)
    strides = windows if layer.stride is None else pair(layer.stride)
    outs = []
    details = {}
    for letter, name, size, window, stride in zip(
        "yx", ("height", "width"), (height, width), windows, strides, strict=True
    ):
        if window > size:
            raise net.error(
                f"reads windows of {window} along the {name}, its input of shape {x.shape} has {size}: take a smaller "
                "size, or fewer layers before it that make images smaller."
            )
        out = (size - window) // stride + 1
        outs.append(out)
        numbers = (size, out, window, stride)
        details |= {f"{detail}_{letter}": number for detail, number in zip(AXIS, numbers, strict=True)}
    keeps = how == "max" and net.training
    winners = net.room(net.padded(channels), outs[0] * outs[1]) if keeps else -1
    return net.add(f"pool_images_{how}", x, shape=(*outs, channels), every=0, winners=winners, **details)


@dataclass(frozen=True, repr=False)
class MaxPool2D(Layer):
    """The maximum over windows of pixels, of every channel. Windows that would reach beyond the image are left out.

    Parameters
    ----------
    size : int or (int, int), default=2
        Height and width of a window.
    stride : int, (int, int) or None, default=None
        Pixels from one window to the next. None: `size`, so that windows stand side by side.

    Notes
    -----
    Where several pixels of a window hold the maximum, the gradient goes to the first of them, row after row.

    Examples
    --------
    >>> from skneural.layers import Conv2D, Dense, Flatten, MaxPool2D, Reshape
    >>> hidden = [Reshape((8, 8, 1)), Conv2D(16, activation="relu"), MaxPool2D(), Flatten(), Dense(32, "relu")]
    """

    size: int | tuple = 2
    stride: int | tuple | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        return add_image_pooling(net, x, "max", self)


@dataclass(frozen=True, repr=False)
class AveragePool2D(Layer):
    """The mean over windows of pixels, of every channel. Windows that would reach beyond the image are left out.

    Parameters
    ----------
    size : int or (int, int), default=2
        Height and width of a window.
    stride : int, (int, int) or None, default=None
        Pixels from one window to the next. None: `size`, so that windows stand side by side.

    Examples
    --------
    >>> from skneural.layers import AveragePool2D, Conv2D, Dense, Flatten, Reshape
    >>> hidden = [Reshape((8, 8, 1)), Conv2D(16, activation="relu"), AveragePool2D(), Flatten(), Dense(32, "relu")]
    """

    size: int | tuple = 2
    stride: int | tuple | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        return add_image_pooling(net, x, "mean", self)
