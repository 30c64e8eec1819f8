"""Dropout."""

from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("dropout", ["stream", "limit", "rate:f8"], elementwise=True, derivative="always", shares_steps=True)
operation("spatial_dropout", ["stream", "limit", "rate:f8", "factors"], elementwise=True, derivative="always")


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


@dataclass(frozen=True, repr=False)
class SpatialDropout(Layer):
    """Dropout of whole channels (Tompson et al., 2015): of a sample at all steps or pixels, else at none.

    Neighbours are alike: where one is dropped by itself, the others still tell what it was.

    Parameters
    ----------
    rate : float
        In [0, 1).

    Examples
    --------
    >>> from skneural.layers import Conv1D, GlobalPool, SpatialDropout
    >>> hidden = [Conv1D(32, activation="relu"), SpatialDropout(0.2), Conv1D(32, activation="relu"), GlobalPool("max")]
    """

    rate: float

    def build(self, net, x):
        """See `Layer.build`."""
        if len(x.shape) == 1:
            raise net.error(f"needs sequences or images, got rows of shape {x.shape}: take Dropout.")
        if not net.training or self.rate == 0:
            return x
        return net.add(
            "spatial_dropout",
            x,
            shape=x.shape,
            forwards=x.forwards,
            stream=net.new_stream(),
            limit=threshold(self.rate),
            rate=self.rate,
            factors=net.room(x.ld),
        )
