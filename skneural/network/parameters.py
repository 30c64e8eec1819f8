"""Where the parameters of layers stand in the flat vector, and how users see them."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Tensor:
    """Where the weights and biases of one layer stand in the flat vector.

    A recurrent layer has a block of `n_out` units for each of its gates, padded to `pitch`; its weights of the state
    before have `n_out` rows, and as many blocks as those of the input.
    """

    weight: int
    bias: int
    n_in: int
    n_out: int
    ld: int
    recurrent: int = -1
    pitch: int = 0
    n_gates: int = 0
    n_biases: int = 0

    def _blocks(self, params, start, rows, ld, count):
        """Part of the vector as a view without the padding: (rows, n_out), or (rows, n_gates, n_out)."""
        block = params[start : start + rows * ld].reshape(rows, ld)
        if self.recurrent < 0:
            return block[:, : self.n_out]
        return block[:, : count * self.pitch].reshape(rows, count, self.pitch)[:, :, : self.n_out]

    def coef(self, params):
        """Weights as a view of shape (n_in, n_out), or (n_in, n_gates, n_out)."""
        return self._blocks(params, self.weight, self.n_in, self.ld, self.n_gates)

    def recurrent_coef(self, params):
        """Weights of the state before as a view of shape (n_out, n_gates, n_out)."""
        return self._blocks(params, self.recurrent, self.n_out, self.ld, self.n_gates)

    def intercept(self, params):
        """Biases as a view of shape (n_out,), or (n_biases, n_out)."""
        return self._blocks(params, self.bias, 1, max(self.ld, self.n_biases * self.pitch), self.n_biases)[0]

    def matrix(self, params):
        """Weights as a matrix, the padding of gates included."""
        width = self.n_gates * self.pitch or self.n_out
        return params[self.weight : self.weight + self.n_in * self.ld].reshape(self.n_in, self.ld)[:, :width]

    def recurrent_matrix(self, params):
        """Weights of the state before as a matrix, the padding of gates included."""
        return replace(self, weight=self.recurrent, n_in=self.n_out).matrix(params)

    @property
    def n_rows(self):
        """Rows of weights."""
        return self.n_in if self.recurrent < 0 else self.n_in + self.n_out


@dataclass(frozen=True)
class Norm:
    """Where the parameters of a normalisation stand, each padded to `ld`: `parts` in order, those in `names` shown.

    The shift of batch normalisation is the layer's bias: one before it would come to nothing.
    """

    start: int
    width: int
    ld: int
    parts: tuple

    @property
    def running(self):
        """Whether it keeps running statistics of the batches."""
        return "variance" in self.parts

    @property
    def names(self):
        """What there is besides the layer's weights and biases."""
        return tuple(name for name in self.parts if not (self.running and name == "shift"))

    def view(self, params, name):
        """One of the parts as a view of shape (width,)."""
        start = self.start + self.parts.index(name) * self.ld
        return params[start : start + self.width]
