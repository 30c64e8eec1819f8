"""Noise."""

from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("noise", ["stream", "deviation:f8"], elementwise=True)


@dataclass(frozen=True, repr=False)
class Noise(Layer):
    """Gaussian noise, added in training (Bishop, 1995, "Training with noise is equivalent to Tikhonov regularization").

    Parameters
    ----------
    deviation : float
        Standard deviation, not negative.

    Examples
    --------
    >>> from skneural.layers import Dense, Noise
    >>> hidden = [Noise(0.1), Dense(64, "relu")]
    """

    deviation: float

    def build(self, net, x):
        """See `Layer.build`."""
        if not net.training or self.deviation == 0:
            return x
        net.dense(x)
        return net.add(
            "noise",
            x,
            shape=x.shape,
            forwards=x.forwards,
            stream=net.new_stream(),
            deviation=self.deviation,
        )
