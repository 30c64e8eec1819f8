"""An activation by itself."""

from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("activation", elementwise=True, derivative="function", chains=False, shares_steps=True)


@dataclass(frozen=True, repr=False)
class Activation(Layer):
    """A function of every number.

    Parameters
    ----------
    activation : str
        Name of the function, as estimators have it: ``"relu"``, ``"tanh"``, ...

    Examples
    --------
    >>> from skneural.layers import Activation, Dense, Residual
    >>> block = [Residual((Dense(32, "relu"), Dense(32))), Activation("relu")]
    """

    activation: str

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if self.activation == "identity":
            return x
        return net.add("activation", x, shape=x.shape, forwards=x.forwards, function=self.activation)
