"""Dropout."""

from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("dropout", ["stream", "limit", "rate:f8"], elementwise=True, derivative="always")


def threshold(rate):
    """Random bits, of 32, below which a number is dropped."""
    return int(rate * 2**32)


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Inverted dropout (Srivastava et al., 2014): in training, numbers are 0 with probability `rate`, else scaled up.

    Parameters
    ----------
    rate : float
        In [0, 1).

    Examples
    --------
    >>> from skneural.layers import Dense, Dropout
    >>> hidden = [Dense(64, "relu"), Dropout(0.3)]
    """

    rate: float

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if not net.training or self.rate == 0:
            return x
        return net.add(
            "dropout",
            x,
            shape=x.shape,
            forwards=x.forwards,
            stream=net.new_stream(),
            limit=threshold(self.rate),
            rate=self.rate,
        )
