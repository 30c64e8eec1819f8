"""Shortcuts."""

from dataclasses import dataclass

from skneural.layers.convolution import Conv1D, Conv2D
from skneural.layers.dense import Dense
from skneural.network.layer import Layer


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """Layers with a shortcut around them: their input is added to their output (He et al., 2016).

    Parameters
    ----------
    layers : tuple of Layer
        Their output must have the shape of their input; with `projection` it may have other channels (or columns).
    projection : bool, default=False
        Whether the shortcut brings its input to that number of channels, by weights of its own, the same for each time
        step or pixel: a convolution of single ones. Where the number is the same there are no such weights.

    Examples
    --------
    >>> from skneural.layers import Activation, Conv2D, Dense, Residual
    >>> hidden = [Dense(32, "relu"), Residual((Dense(64, "relu"), Dense(32)))]

    A block of a residual network for images, with more channels than there were before it:

    >>> block = [Residual((Conv2D(64, activation="relu"), Conv2D(64)), projection=True), Activation("relu")]
    """

    layers: tuple
    projection: bool = False

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if not self.layers:
            raise net.error("needs at least one layer.")
        inside = net.stack(self.layers, x)
        around = x
        if self.projection and inside.width != x.width:
            around = net.stack([_projection(len(x.shape), inside.width)], x)
        if inside.shape != around.shape:
            raise net.error(f"needs layers that keep the shape, got {x.shape} before and {inside.shape} after them.")
        return net.sum(inside, around)


def _projection(n_axes, width):
    """The layer that gives rows, sequences or images another number of columns or channels."""
    if n_axes == 1:
        return Dense(width)
    if n_axes == 2:
        return Conv1D(width, 1)
    return Conv2D(width, 1)
