"""Layers: what they are made of, and the operations that they are lowered to. No arithmetic."""

from dataclasses import dataclass

from skneural.network.program import Norm, Tensor, padded

#: Added to variances, so that columns that do not vary can be divided by their deviation.
EPSILON = 1e-5


@dataclass(frozen=True)
class Dense:
    """Fully connected layer, ``activation(normalization(x @ weight + bias))``.

    Parameters
    ----------
    units : int
    activation : str or None
        None for the last layer, whose activation belongs to the loss.
    normalization : {'batch', 'layer'} or None
        What stands between product and activation. The bias comes after that of the batch, which would remove it. That
        of the layer needs one before: without it, it would see no more than the direction of x.
    """

    units: int
    activation: str | None = None
    normalization: str | None = None

    def check(self, first, last):
        """Raise unless the layer may stand there: its activation leaves the slope that the next one multiplies."""
        if last != (self.activation is None):
            raise ValueError("Hidden layers need an activation (it may be 'identity'), the last layer must have None.")

    def lower(self, b):
        """Append this layer to a builder."""
        ld, n_in, layer = padded(self.units, b.dtype), b.width, len(b.tensors)
        transposed = -1
        if layer:  # the gradient by the input is a product with the transposed weights
            transposed, b.n_transposed = b.n_transposed, b.n_transposed + ld * b.ld
        weight = b.parameters(n_in * ld)
        bias = -1 if self.normalization == "batch" else b.parameters(ld)
        y, dy = b.buffer(ld), b.buffer(ld)
        b.add(
            "sparse_dense" if b.sparse else "dense",
            None if self.normalization else self.activation,
            n_in=n_in, n_out=self.units, ld_in=b.ld, ld_out=ld, x=b.y, y=y, dx=b.dy, dy=dy,
            weight=weight, bias=bias, transposed=transposed, layer=layer,
        )  # fmt: skip
        b.width, b.ld, b.y, b.dy, b.sparse = self.units, ld, y, dy, False
        if self.normalization:
            shift = self._lower_normalization(b)
            bias = shift if bias < 0 else bias
        b.tensors.append(Tensor(weight, bias, n_in, self.units, ld))

    def _lower_normalization(self, b):
        """Append the normalisation of the buffer just written; where its shift stands."""
        batch = self.normalization == "batch"
        scale = b.parameters((4 if batch else 2) * b.ld)
        y, dy = b.buffer(b.ld), b.buffer(b.ld)
        row = b.add(
            f"{self.normalization}_norm", self.activation, n_in=b.width, n_out=b.width, ld_in=b.ld, ld_out=b.ld,
            x=b.y, dx=b.dy, y=y, dy=dy, weight=scale, bias=scale + b.ld, rate=EPSILON, layer=len(b.tensors),
        )  # fmt: skip
        if batch:  # mean, deviation, and the two sums of the way back, shared by all threads
            row["statistics"], b.n_statistics = b.n_statistics, b.n_statistics + 4 * b.ld
        else:  # one deviation a row
            row["statistics"] = b.buffer(padded(1, b.dtype))
        b.norms.append(Norm(scale, b.width, b.ld, running=batch))
        b.y, b.dy = y, dy
        return scale + b.ld


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


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of standard deviation `deviation`, added to the inputs in training (Bishop, 1995)."""

    deviation: float

    def check(self, first, last):
        """Raise unless the layer is the first of several."""
        if not first or last:
            raise ValueError("Noise must stand before all other layers.")

    def lower(self, b):
        """Append this layer to a builder. It works in place; a sparse matrix has no place for it."""
        if not b.sparse:
            b.add("noise", n_out=b.width, ld_out=b.ld, y=b.y, rate=self.deviation)


@dataclass(frozen=True)
class Residual:
    """Layers with a shortcut around them: their input is added to their output (He et al., 2016).

    Parameters
    ----------
    layers : tuple
        The first one a `Dense` layer, not the first of the network; as wide at the end as at the beginning.
    """

    layers: tuple

    def check(self, first, last):
        """Raise unless the layer stands between two others."""
        if first or last or not self.layers or not isinstance(self.layers[0], Dense):
            raise ValueError("A shortcut must stand between two layers, and begin with a dense layer.")
        for layer in self.layers:
            layer.check(first=False, last=False)

    def lower(self, b):
        """Append this layer to a builder."""
        shortcut, width, begin = b.y, b.width, len(b.rows)
        for layer in self.layers:
            layer.lower(b)
        if b.width != width:
            raise ValueError(f"A shortcut needs equal widths, got {width} and {b.width}.")
        y, dy = b.buffer(b.ld), b.buffer(b.ld)
        b.add("residual", n_out=width, ld_out=b.ld, x=b.y, dx=b.dy, skip=shortcut, y=y, dy=dy)
        b.rows[begin]["skip"] = dy  # on the way back the shortcut's gradient joins that of the first layer's input
        b.y, b.dy = y, dy
