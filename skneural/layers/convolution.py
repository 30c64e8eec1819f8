"""Convolutions over time and over images."""

from dataclasses import dataclass
from typing import NamedTuple

from skneural.layers.normalization import add_normalization
from skneural.network.builder import Transposed
from skneural.network.layer import Layer
from skneural.network.operations import operation

#: Of each axis, the size of the input and of the output, and what the window is.
AXIS = ("size", "out", "kernel", "stride", "before", "dilation")
operation(
    "convolution",
    ("weight", "bias", "transposed", *(f"{name}_{axis}" for axis in "yx" for name in AXIS)),
    derivative="function",
    always_back=True,
)


class Axis(NamedTuple):
    """A convolution along one axis."""

    size: int
    out: int
    kernel: int
    stride: int
    before: int  # how many numbers of padding stand before the first
    dilation: int


def axis_of(net, name, size, kernel, stride, padding, dilation):
    """The convolution along one axis.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    extent = (kernel - 1) * dilation + 1
    if padding == "valid":
        if extent > size:
            raise net.error(
                f"reads windows of {extent} along the {name}, its input has {size}: take a smaller kernel_size or "
                "dilation, or padding='same'."
            )
        return Axis(size, (size - extent) // stride + 1, kernel, stride, 0, dilation)
    before = extent - 1 if padding == "causal" else (extent - 1) // 2
    return Axis(size, -(-size // stride), kernel, stride, before, dilation)


def add_convolution(net, x, layer, axes, shape, every):
    """Append a convolution, with what follows it.

    Parameters
    ----------
    net : Builder
    x : Value
    layer : Conv1D or Conv2D
    axes : (Axis, Axis)
        From row to row of an image, and from column to column; sequences are one row.
    shape : tuple of int
        Of the output.
    every : int
        Of the output: see `Value`.

    Returns
    -------
    Value
    """
    net.new_layer()
    vertical, horizontal = axes
    n_taps = vertical.kernel * horizontal.kernel
    n_patch = n_taps * x.width
    ld = net.padded(layer.filters)
    function = None if layer.activation == "identity" else layer.activation
    weight = net.parameter("coefs_", (n_patch, layer.filters), penalised=True, initial="weights", parts=n_taps)
    bias = -1
    if layer.normalization != "batch":
        bias = net.parameter("intercepts_", (layer.filters,), initial="bias")
    details = {}
    for letter, axis in zip("yx", axes, strict=True):
        details |= {f"{name}_{letter}": value for name, value in axis._asdict().items()}
    pixels = vertical.out * horizontal.out
    y = net.add(
        "convolution",
        x,
        shape=shape,
        function=None if layer.normalization else function,
        products=pixels * n_patch * layer.filters,
        flops=2 * pixels * n_patch * ld,
        every=every,
        weight=weight,
        bias=bias,
        transposed=Transposed(weight, x.ld, x),
        **details,
    )
    if layer.normalization is None:
        return y
    shift = "intercepts_" if layer.normalization == "batch" else "norms_"
    return add_normalization(net, y, layer.normalization, function, shift)


def pair(value):
    """A setting for both axes."""
    return value if isinstance(value, tuple) else (value, value)


@dataclass(frozen=True, repr=False)
class Conv1D(Layer):
    """Convolution over time: a window of steps at a time, the same weights everywhere.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int, default=3
        Time steps of a window.
    stride : int, default=1
        Steps from one window to the next.
    padding : {'same', 'causal', 'valid'}, default='same'
        Zeros around a sequence: on both sides so that, with a stride of 1, there are as many steps as before (one more
        behind than before where `kernel_size` is even); before it alone, so that no step sees later ones; or none. A
        network with ``'valid'`` reads sequences of one length.
    dilation : int, default=1
        Steps between those of a window.
    activation : str or None, default=None
        Name of the function that follows, as estimators have it. None: none.
    normalization : {'batch', 'layer'} or None, default=None
        What stands between product and activation, of every channel: see `Dense`.

    Notes
    -----
    ``coefs_`` has a row for each number of a window, step after step and of each the channels, and a column for each
    filter.

    Examples
    --------
    A temporal convolutional network sees ever further back:

    >>> from skneural.layers import Conv1D, GlobalPool
    >>> hidden = [Conv1D(32, 3, padding="causal", dilation=2**i, activation="relu") for i in range(4)] + [GlobalPool()]
    """

    filters: int
    kernel_size: int = 3
    stride: int = 1
    padding: str = "same"
    dilation: int = 1
    activation: str | None = None
    normalization: str | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        steps, _ = net.sequences(x)
        axis = axis_of(net, "time", steps, self.kernel_size, self.stride, self.padding, self.dilation)
        every = 0 if self.padding == "valid" else x.every * self.stride
        return add_convolution(net, x, self, (Axis(1, 1, 1, 1, 0, 1), axis), (axis.out, self.filters), every)


@dataclass(frozen=True, repr=False)
class Conv2D(Layer):
    """Convolution over images: a window of pixels at a time, the same weights everywhere.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or (int, int), default=3
        Height and width of a window.
    stride : int or (int, int), default=1
        Pixels from one window to the next.
    padding : {'same', 'valid'}, default='same'
        Zeros around an image, so that with a stride of 1 the output is as large, or none.
    dilation : int or (int, int), default=1
        Pixels between those of a window.
    activation : str or None, default=None
        Name of the function that follows, as estimators have it. None: none.
    normalization : {'batch', 'layer'} or None, default=None
        What stands between product and activation, of every channel: see `Dense`.

    Notes
    -----
    ``coefs_`` has a row for each number of a window, row after row, of each pixel the channels, and a column for each
    filter: ``coefs_[0].reshape(height, width, channels, filters)``.

    Examples
    --------
    >>> from skneural.layers import Conv2D, Dense, Flatten, MaxPool2D, Reshape
    >>> hidden = [Reshape((8, 8, 1)), Conv2D(16, activation="relu"), MaxPool2D(), Flatten(), Dense(32, "relu")]
    """

    filters: int
    kernel_size: int | tuple = 3
    stride: int | tuple = 1
    padding: str = "same"
    dilation: int | tuple = 1
    activation: str | None = None
    normalization: str | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        if self.padding == "causal":
            raise net.error("has padding='same' or 'valid': images have no past.")
        height, width, _ = net.images(x)
        settings = [pair(self.kernel_size), pair(self.stride), (self.padding,) * 2, pair(self.dilation)]
        vertical, horizontal = zip(*settings, strict=True)
        axes = axis_of(net, "height", height, *vertical), axis_of(net, "width", width, *horizontal)
        return add_convolution(net, x, self, axes, (axes[0].out, axes[1].out, self.filters), every=0)
