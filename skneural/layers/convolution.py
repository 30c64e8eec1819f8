"""Convolutions over time and over images."""

from dataclasses import dataclass
from typing import NamedTuple

from skneural.layers.normalization import add_normalization
from skneural.layers.pooling_images import pair
from skneural.network.builder import Transposed
from skneural.network.layer import Layer
from skneural.network.operations import operation


class Axis(NamedTuple):
    """A convolution along one axis, from the larger side to the smaller one: of a transposed one, back."""

    size: int
    out: int
    kernel: int
    stride: int
    before: int  # how many numbers of padding stand before the first
    dilation: int


#: Weights, bias, transposed weights; groups, of each the padded channels and filters, and room for those of a pixel.
_PARTS = ("weight", "bias", "transposed", "groups", "ld_channels", "ld_filters", "room")
DETAILS = (*_PARTS, *(f"{name}_{axis}" for axis in "yx" for name in Axis._fields))
operation("convolution", DETAILS, derivative="function", always_back=True, shares_steps=True)
operation("convolution_transpose", DETAILS, derivative="function", always_back=True, shares_steps=True)
operation("convolution_groups", DETAILS, derivative="function", always_back=True)
operation("depthwise", DETAILS, derivative="function", always_back=True, shares_steps=True, updates_rows=True)


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


def transposed_axis_of(size, kernel, stride, padding, dilation):
    """The same of a transposed convolution, which makes an axis longer."""
    extent = (kernel - 1) * dilation + 1
    if padding == "valid":
        return Axis((size - 1) * stride + extent, size, kernel, stride, 0, dilation)
    return Axis(size * stride, size, kernel, stride, (extent - 1) // 2, dilation)


#: Of sequences, as images of one row.
ONE_ROW = Axis(1, 1, 1, 1, 0, 1)


def groups_of(net, layer, channels):
    """How many groups a convolution has.

    Raises
    ------
    ValueError
        If they do not divide the channels of the input and the filters.
    """
    groups = channels if layer.groups == "depthwise" else layer.groups
    if channels % groups != 0:
        raise net.error(f"has groups={groups}, which must divide the {channels} channels of its input.")
    if layer.filters % groups != 0:
        of_channels = ", one for each channel of its input" if layer.groups == "depthwise" else ""
        raise net.error(f"has {groups} groups{of_channels}: they must divide its filters, got {layer.filters}.")
    return groups


def add_convolution(net, kind, x, layer, axes, shape, every, groups=1):
    """Append a convolution, with what follows it.

    Parameters
    ----------
    net : Builder
    kind : {'convolution', 'convolution_transpose'}
        In groups it is another one.
    x : Value
    layer : Conv1D or Conv2D, or one of the transposed ones
    axes : (Axis, Axis)
        From row to row of an image, and from column to column; sequences are one row.
    shape : tuple of int
        Of the output.
    every : int
        Of the output: see `Value`.
    groups : int, default=1
        Of channels and filters.

    Returns
    -------
    Value
    """
    net.new_layer()
    vertical, horizontal = axes
    n_taps = vertical.kernel * horizontal.kernel
    n_patch = n_taps * (x.width // groups)
    ld = net.padded(layer.filters)
    function = None if layer.activation == "identity" else layer.activation
    is_depthwise = 1 < groups == x.width == layer.filters
    weight = net.parameter(
        "coefs_",
        (n_patch, layer.filters),
        penalised=True,
        initial="weights",
        parts=0 if is_depthwise else n_taps,
        groups=groups,
    )
    ld_channels = net.padded(x.width // groups)
    ld_filters = net.padded(layer.filters // groups)
    transposed = Transposed(weight, ld_channels, x, ld_filters)
    room = -1
    if is_depthwise:
        kind = "depthwise"
        groups = 1  # for its kernels: all channels at once
        transposed = -1
    elif groups > 1:
        kind = "convolution_groups"
        room = net.room(max(ld_channels, ld_filters))
    bias = -1
    if layer.normalization != "batch":
        bias = net.parameter("intercepts_", (layer.filters,), initial="bias")
    details = {}
    for letter, axis in zip("yx", axes, strict=True):
        details |= {f"{name}_{letter}": value for name, value in axis._asdict().items()}
    pixels = vertical.out * horizontal.out
    y = net.add(
        kind,
        x,
        shape=shape,
        function=None if layer.normalization else function,
        products=pixels * n_patch * layer.filters,
        flops=2 * pixels * n_patch * ld,
        every=every,
        weight=weight,
        bias=bias,
        transposed=transposed,
        groups=groups,
        ld_channels=ld_channels,
        ld_filters=ld_filters,
        room=room,
        **details,
    )
    if layer.normalization is None:
        return y
    shift = "intercepts_" if layer.normalization == "batch" else "norms_"
    return add_normalization(net, y, layer.normalization, function, shift)


def settings_of_axes(layer):
    """Kernel, stride, padding and dilation from row to row, and from column to column."""
    settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return zip(*map(pair, settings), strict=True)


def check_padding(net, layer):
    """Raise for padding that only sequences know."""
    if layer.padding == "causal":
        raise net.error("has padding='same' or 'valid', got 'causal'.")


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
    groups : int or 'depthwise', default=1
        Channels and filters are divided into so many groups, one after the other, and the filters of a group read its
        channels alone. It must divide the channels of the input and `filters`. 'depthwise': a group for each channel.

    Notes
    -----
    ``coefs_`` has a row for each number of a window, step after step and of each the channels of a group, and a column
    for each filter: ``coefs_[0].reshape(steps, channels // groups, filters)``.

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
    groups: int | str = 1

    def build(self, net, x):
        """See `Layer.build`."""
        steps, channels = net.sequences(x)
        groups = groups_of(net, self, channels)
        axis = axis_of(net, "time", steps, self.kernel_size, self.stride, self.padding, self.dilation)
        every = 0 if self.padding == "valid" else x.every * self.stride
        return add_convolution(net, "convolution", x, self, (ONE_ROW, axis), (axis.out, self.filters), every, groups)


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
    groups : int or 'depthwise', default=1
        Channels and filters are divided into so many groups, one after the other, and the filters of a group read its
        channels alone. It must divide the channels of the input and `filters`. 'depthwise': a group for each channel.

    Notes
    -----
    ``coefs_`` has a row for each number of a window, row after row, of each pixel the channels of a group, and a column
    for each filter: ``coefs_[0].reshape(height, width, channels // groups, filters)``. Initial weights are those of so
    many convolutions side by side.

    References
    ----------
    .. [1] Chollet (2017). Xception: deep learning with depthwise separable convolutions. CVPR.
    .. [2] Howard et al. (2017). MobileNets: efficient convolutional neural networks for mobile vision applications.
       arXiv:1704.04861.

    Examples
    --------
    >>> from skneural.layers import Conv2D, Dense, Flatten, MaxPool2D, Reshape
    >>> hidden = [Reshape((8, 8, 1)), Conv2D(16, activation="relu"), MaxPool2D(), Flatten(), Dense(32, "relu")]

    A convolution of every channel by itself, then one of single pixels, which mixes them, is a depthwise separable one
    [1]_ [2]_, with fewer weights and products than one of both at once:

    >>> apart = Conv2D(16, groups="depthwise", activation="relu", normalization="batch")
    >>> mixed = Conv2D(32, kernel_size=1, activation="relu", normalization="batch")
    >>> hidden = [Reshape((8, 8, 1)), Conv2D(16, activation="relu"), apart, mixed, Flatten()]
    """

    filters: int
    kernel_size: int | tuple = 3
    stride: int | tuple = 1
    padding: str = "same"
    dilation: int | tuple = 1
    activation: str | None = None
    normalization: str | None = None
    groups: int | str = 1

    def build(self, net, x):
        """See `Layer.build`."""
        check_padding(net, self)
        height, width, channels = net.images(x)
        groups = groups_of(net, self, channels)
        vertical, horizontal = settings_of_axes(self)
        axes = axis_of(net, "height", height, *vertical), axis_of(net, "width", width, *horizontal)
        shape = (axes[0].out, axes[1].out, self.filters)
        return add_convolution(net, "convolution", x, self, axes, shape, 0, groups)


@dataclass(frozen=True, repr=False)
class ConvTranspose1D(Layer):
    """Transposed convolution over time: sequences become longer, each step adds what a filter says to a window.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int, default=3
        Time steps of a window.
    stride : int, default=2
        Steps of the output for one of the input.
    padding : {'same', 'valid'}, default='same'
        Whether there are `stride` times as many steps as before, or as many as the windows cover.
    dilation : int, default=1
        Steps between those of a window.
    activation : str or None, default=None
        Name of the function that follows, as estimators have it. None: none.
    normalization : {'batch', 'layer'} or None, default=None
        What stands between product and activation, of every channel: see `Dense`.

    Notes
    -----
    A network with this layer reads sequences of one length, unless layers before it have made them shorter by a
    multiple of `stride`. ``coefs_`` has a row for each step of a window and each channel, and a column for each filter.

    Examples
    --------
    >>> from skneural.layers import Conv1D, ConvTranspose1D, GlobalPool
    >>> hidden = [Conv1D(16, 4, stride=2), ConvTranspose1D(16, 4), GlobalPool("mean")]
    """

    filters: int
    kernel_size: int = 3
    stride: int = 2
    padding: str = "same"
    dilation: int = 1
    activation: str | None = None
    normalization: str | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        check_padding(net, self)
        steps, _ = net.sequences(x)
        axis = transposed_axis_of(steps, self.kernel_size, self.stride, self.padding, self.dilation)
        comes_back = self.padding == "same" and x.every % self.stride == 0
        every = x.every // self.stride if comes_back else 0
        if every > 0:  # no more steps than the data have
            axis = axis._replace(size=min(axis.size, -(-net.input.steps // every)))
        shape = (axis.size, self.filters)
        return add_convolution(net, "convolution_transpose", x, self, (ONE_ROW, axis), shape, every)


@dataclass(frozen=True, repr=False)
class ConvTranspose2D(Layer):
    """Transposed convolution over images: these become larger, each pixel adds what a filter says to a window.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or (int, int), default=3
        Height and width of a window.
    stride : int or (int, int), default=2
        Pixels of the output for one of the input, along each axis.
    padding : {'same', 'valid'}, default='same'
        Whether there are `stride` times as many pixels as before, or as many as the windows cover.
    dilation : int or (int, int), default=1
        Pixels between those of a window.
    activation : str or None, default=None
        Name of the function that follows, as estimators have it. None: none.
    normalization : {'batch', 'layer'} or None, default=None
        What stands between product and activation, of every channel: see `Dense`.

    Notes
    -----
    ``coefs_`` has a row for each pixel of a window and each channel, and a column for each filter:
    ``coefs_[0].reshape(height, width, channels, filters)``.

    Examples
    --------
    >>> from skneural.layers import Conv2D, ConvTranspose2D, GlobalPool, Reshape
    >>> hidden = [Reshape((8, 8, 1)), Conv2D(8, stride=2), ConvTranspose2D(4), GlobalPool("mean")]
    """

    filters: int
    kernel_size: int | tuple = 3
    stride: int | tuple = 2
    padding: str = "same"
    dilation: int | tuple = 1
    activation: str | None = None
    normalization: str | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        check_padding(net, self)
        height, width, _ = net.images(x)
        vertical, horizontal = settings_of_axes(self)
        axes = transposed_axis_of(height, *vertical), transposed_axis_of(width, *horizontal)
        shape = (axes[0].size, axes[1].size, self.filters)
        return add_convolution(net, "convolution_transpose", x, self, axes, shape, every=0)
