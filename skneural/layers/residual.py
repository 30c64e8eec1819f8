"""Shortcuts."""

from dataclasses import dataclass

from skneural.network.layer import Layer


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """Layers with a shortcut around them: their input is added to their output (He et al., 2016).

    Parameters
    ----------
    layers : tuple of Layer
        Their output must have the shape of their input, or of what `shortcut` makes of it.
    shortcut : tuple of Layer, default=()
        What the input passes on its way around the others, where the shape changes.

    Examples
    --------
    >>> from skneural.layers import Dense, Residual
    >>> hidden = [Dense(32, "relu"), Residual((Dense(64, "relu"), Dense(32)))]

    A convolution of single steps makes as many channels as there are inside:

    >>> from skneural.layers import Conv1D
    >>> block = Residual((Conv1D(64, 8, activation="relu"), Conv1D(64, 5)), shortcut=(Conv1D(64, 1),))
    """

    layers: tuple
    shortcut: tuple = ()

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if not self.layers:
            raise net.error("needs at least one layer.")
        inside = net.stack(self.layers, x)
        around = net.stack(self.shortcut, x)
        if inside.shape != around.shape:
            where = "on the shortcut" if self.shortcut else "before"
            raise net.error(
                f"needs layers that keep the shape, got {around.shape} {where} and {inside.shape} after them."
            )
        return net.sum(inside, around)
