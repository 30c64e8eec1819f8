"""Shortcuts."""

from dataclasses import dataclass

from skneural.network.layer import Layer


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """Layers with a shortcut around them: their input is added to their output (He et al., 2016).

    Parameters
    ----------
    layers : tuple of Layer
        Their output must have the shape of their input.

    Examples
    --------
    >>> from skneural.layers import Dense, Residual
    >>> hidden = [Dense(32, "relu"), Residual((Dense(64, "relu"), Dense(32)))]
    """

    layers: tuple

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if not self.layers:
            raise net.error("needs at least one layer.")
        inside = net.stack(self.layers, x)
        if inside.shape != x.shape:
            raise net.error(f"needs layers that keep the shape, got {x.shape} before and {inside.shape} after them.")
        return net.sum(inside, x)
