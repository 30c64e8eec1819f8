"""Layers: what they are made of, and the operations that they are lowered to. No arithmetic."""

from dataclasses import dataclass

from skneural.maths.cells import CELLS, weighted_gates
from skneural.network.parameters import Norm, Tensor
from skneural.network.program import gate_pitch, padded

#: Added to variances, so that columns that do not vary can be divided by their deviation.
EPSILON = 1e-5
#: Of a cell: kernels read them as a tuple.
MOST_GATES = 4


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
        if b.steps:
            raise ValueError("A dense layer reads rows: pooling must end sequences before it.")
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
        parts = ("scale", "shift", "mean", "variance") if batch else ("scale", "shift")
        scale = b.parameters(len(parts) * b.ld)
        y, dy = b.buffer(b.ld), b.buffer(b.ld)
        row = b.add(
            f"{self.normalization}_norm", self.activation, n_in=b.width, n_out=b.width, ld_in=b.ld, ld_out=b.ld,
            x=b.y, dx=b.dy, y=y, dy=dy, weight=scale, bias=scale + b.ld, rate=EPSILON, layer=len(b.tensors),
        )  # fmt: skip
        if batch:  # mean, deviation, and the two sums of the way back, shared by all threads
            row["statistics"], b.n_statistics = b.n_statistics, b.n_statistics + 4 * b.ld
        else:  # one deviation a row
            row["statistics"] = b.buffer(padded(1, b.dtype))
        b.norms.append(Norm(scale, b.width, b.ld, parts))
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
        """Append this layer to a builder. On rows it works in place, on the values and on the slopes.

        States of a recurrent layer are needed as they are; so sequences are copied, or left alone in prediction.
        """
        facts = {"n_out": b.width, "ld_out": b.ld, "rate": self.rate, "stream": len(b.tensors)}
        if not b.steps:
            b.add("dropout", y=b.y, dy=b.dy, **facts)
        elif b.training:
            y, dy = b.buffer(b.ld), b.buffer(b.ld)
            b.add("sequence_dropout", x=b.y, dx=b.dy, y=y, dy=dy, **facts)
            b.y, b.dy = y, dy


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


@dataclass(frozen=True)
class Standardize:
    """Features of sequences minus their mean, in units of their deviation; both stand among the parameters."""

    def check(self, first, last):
        """Raise unless the layer is the first of several."""
        if not first or last:
            raise ValueError("Inputs are standardised before all other layers.")

    def lower(self, b):
        """Make it a part of reading the input."""
        b.rows[0]["weight"] = start = b.parameters(2 * b.ld)
        b.norms.append(Norm(start, b.width, b.ld, ("mean", "deviation")))


@dataclass(frozen=True)
class Recurrent:
    """Recurrent layer: sequences in, a sequence of states out.

    Parameters
    ----------
    cell : str
    units : int
    bidirectional : bool
        Whether a second one, which reads from the end to the beginning, stands beside it: its states are further
        columns.
    rate : float
        Of dropout on the states that a step hands to the next, the same units in all steps (Gal and Ghahramani, 2016).
    truncate : int or None
        How many steps gradients go back.
    """

    cell: str
    units: int
    bidirectional: bool = False
    rate: float = 0.0
    truncate: int | None = None

    def check(self, first, last):
        """Raise unless something comes after the layer."""
        known = sorted(name for name, cell in CELLS.items() if len(cell.gates) <= MOST_GATES)
        if last or self.cell not in known:
            raise ValueError(f"A recurrent layer needs layers after it, and a cell of {known}.")

    def lower(self, b):
        """Append this layer to a builder."""
        if not b.steps:
            raise ValueError("A recurrent layer reads sequences: pooling has ended them, or there were none.")
        ends = [self._lower_direction(b, reverse) for reverse in range(1 + self.bidirectional)]
        b.width, (b.ld, b.y, b.dy) = self.units, ends[0]
        if self.bidirectional:
            (ld, x, dx), (_, skip, dskip) = ends
            b.width, b.ld = 2 * self.units, padded(2 * self.units, b.dtype)
            b.y, b.dy = b.buffer(b.ld), self._gradient(b, b.ld)
            b.add(
                "join", n_in=self.units, n_out=b.width, ld_in=ld, ld_out=b.ld, x=x, dx=dx, skip=skip, carry=dskip,
                y=b.y, dy=b.dy,
            )  # fmt: skip
        b.halves = 1 + self.bidirectional

    @staticmethod
    def _gradient(b, ld):
        """A buffer of gradients by a sequence, which prediction does without."""
        return b.buffer(ld) if b.training else -1

    def _lower_direction(self, b, reverse):
        """Append the layer in one direction of time: padded width of the states, and their buffers."""
        cell, unit = CELLS[self.cell], padded(self.units, b.dtype)
        n_gates, layer = weighted_gates(cell), len(b.tensors)
        pitch = gate_pitch(self.units, n_gates, b.dtype)
        ld_weight, ld_gates = padded(n_gates * pitch, b.dtype), padded(len(cell.gates) * pitch, b.dtype)
        weight, bias = b.parameters(b.width * ld_weight), b.parameters(max(ld_weight, len(cell.gates) * pitch))
        recurrent, masked = b.parameters(self.units * ld_weight), self.rate > 0 and b.training
        turned = {"recurrent_transposed": n_gates * pitch * unit}
        if layer:  # the first layer's input needs no gradient
            turned["transposed"] = n_gates * pitch * b.ld
        for name, size in turned.items():
            turned[name], b.n_transposed = b.n_transposed, b.n_transposed + size
        # Steps that gates and memory cells are kept for; a state of zeros stands before the first.
        kept, cells = (b.steps, b.steps + 1) if b.training else (1, 2)
        y, dy = b.buffer(unit), self._gradient(b, unit)
        b.add(
            "recurrent", self.cell, n_in=b.width, n_out=self.units, ld_in=b.ld, ld_out=unit, x=b.y, y=y, dx=b.dy, dy=dy,
            weight=weight, bias=bias, recurrent=recurrent, layer=layer, reverse=reverse,
            adds=self.bidirectional and not reverse, truncate=self.truncate or 0, rate=self.rate * masked, stream=layer,
            gates=b.buffer(ld_gates, kept), cells=b.buffer(unit, cells if cell.memory else 1),
            states=b.buffer(unit) if masked else -1, carry=b.buffer(unit, 4 if masked else 2) if b.training else -1,
            ld_gates=ld_gates, ld_weight=ld_weight, pitch=pitch, **turned,
        )  # fmt: skip
        b.tensors.append(
            Tensor(weight, bias, b.width, self.units, ld_weight, recurrent, pitch, n_gates, len(cell.gates))
        )
        return unit, y, dy


@dataclass(frozen=True)
class Pool:
    """The end of sequences: one row for each.

    Parameters
    ----------
    how : {'last', 'mean', 'max'}
        The state after the last step (of either direction), or the mean or the maximum over the steps.
    """

    how: str

    def check(self, first, last):
        """Raise unless the layer stands between two others."""
        if first or last:
            raise ValueError("Pooling must stand between two layers.")

    def lower(self, b):
        """Append this layer to a builder."""
        if not b.steps:
            raise ValueError("Pooling reads sequences: there were none, or they have ended.")
        x, dx, steps, b.steps = b.y, b.dy, b.steps, 0
        b.y, b.dy = b.buffer(b.ld), b.buffer(b.ld)
        row = b.add(
            f"pool_{self.how}", n_in=b.width, n_out=b.width, ld_in=b.ld, ld_out=b.ld, x=x, dx=dx, y=b.y, dy=b.dy,
            statistics=b.buffer(b.ld), stream=b.width // b.halves,
        )  # fmt: skip
        row["steps"] = steps
