"""Pooling over time."""

from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

DETAILS = ("window", "n_forwards", "winners")
for _how in ("last", "mean", "max"):
    operation(f"pool_{_how}", DETAILS)


def add_pooling(net, x, how, window, shape, every):
    """Append a pooling over windows of `window` steps, the last of which may be shorter."""
    steps = -(-x.steps // window)
    winners = net.room(net.padded(x.width), steps) if how == "max" and net.training else -1
    return net.add(
        f"pool_{how}",
        x,
        shape=shape,
        every=every,
        forwards=x.forwards,
        window=window,
        n_forwards=x.forwards,
        winners=winners,
    )


@dataclass(frozen=True, repr=False)
class GlobalPool(Layer):
    """The end of sequences or images: one row for each.

    Parameters
    ----------
    pooling : {'last', 'mean', 'max'}, default='last'
        The values after the last step (of a recurrent layer's direction backwards: of the first), or their mean or
        maximum over the steps, or pixels.

    Examples
    --------
    >>> from skneural.layers import GlobalPool, Recurrent
    >>> hidden = [Recurrent("gru", 32, bidirectional=True), GlobalPool("mean")]
    """

    pooling: str = "last"

    def build(self, net, x):
        """See `Layer.build`."""
        if len(x.shape) < 3:
            net.sequences(x)
        return add_pooling(net, x, self.pooling, x.steps, (x.width,), every=0)


@dataclass(frozen=True, repr=False)
class MaxPool1D(Layer):
    """The maximum over every `size` time steps; where a sequence ends within such a window, over those that there are.

    Parameters
    ----------
    size : int, default=2

    Examples
    --------
    >>> from skneural.layers import GlobalPool, MaxPool1D, Recurrent
    >>> hidden = [Recurrent("gru", 32), MaxPool1D(4), Recurrent("gru", 32), GlobalPool()]
    """

    size: int = 2

    def build(self, net, x):
        """See `Layer.build`."""
        steps, channels = net.sequences(x)
        return add_pooling(net, x, "max", self.size, (-(-steps // self.size), channels), x.every * self.size)


@dataclass(frozen=True, repr=False)
class AveragePool1D(Layer):
    """The mean over every `size` time steps; where a sequence ends within such a window, over those that there are.

    Parameters
    ----------
    size : int, default=2

    Examples
    --------
    >>> from skneural.layers import AveragePool1D, GlobalPool, Recurrent
    >>> hidden = [AveragePool1D(4), Recurrent("gru", 32), GlobalPool()]
    """

    size: int = 2

    def build(self, net, x):
        """See `Layer.build`."""
        steps, channels = net.sequences(x)
        return add_pooling(net, x, "mean", self.size, (-(-steps // self.size), channels), x.every * self.size)
