"""Layers: what they are made of, and the operations that they are lowered to. No arithmetic."""

from dataclasses import dataclass

from skneural.network.program import Tensor, padded


@dataclass(frozen=True)
class Dense:
    """Fully connected layer, ``activation(x @ weight + bias)``.

    Parameters
    ----------
    units : int
    activation : str or None
        None for the last layer, whose activation belongs to the loss.
    """

    units: int
    activation: str | None = None

    def check(self, first, last):
        """Raise unless the layer may stand there: its activation leaves the slope that the next one multiplies."""
        if last != (self.activation is None):
            raise ValueError("Hidden layers need an activation (it may be 'identity'), the last layer must have None.")

    def lower(self, b):
        """Append this layer to a builder."""
        ld = padded(self.units, b.dtype)
        first = not b.tensors
        tensor = Tensor(b.parameters(b.width * ld), b.parameters(ld), b.width, self.units, ld)
        transposed = -1
        if not first:  # the gradient by the input is a product with the transposed weights
            transposed, b.n_transposed = b.n_transposed, b.n_transposed + self.units * b.ld
        y, dy = b.buffer(ld), b.buffer(ld)
        b.add(
            "sparse_dense" if b.sparse else "dense",
            self.activation,
            n_in=b.width, n_out=self.units, ld_in=b.ld, ld_out=ld, x=b.y, y=y, dx=b.dy, dy=dy,
            weight=tensor.weight, bias=tensor.bias, transposed=transposed,
        )  # fmt: skip
        b.tensors.append(tensor)
        b.width, b.ld, b.y, b.dy, b.sparse = self.units, ld, y, dy, False


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout (Srivastava et al., 2014): in training, numbers are 0 with probability `rate`, else scaled."""

    rate: float

    def check(self, first, last):
        """Raise unless the layer stands between two others."""
        if first or last:
            raise ValueError("Dropout must stand between two layers.")

    def lower(self, b):
        """Append this layer to a builder. It works in place, on the values and on the slopes."""
        b.add("dropout", n_out=b.width, ld_out=b.ld, y=b.y, dy=b.dy, rate=self.rate, stream=len(b.tensors))
