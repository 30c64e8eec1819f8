"""Recurrent layers."""

from dataclasses import dataclass

from skneural.layers.dropout import threshold
from skneural.maths.cells import CELLS, weighted_gates
from skneural.network.builder import Transposed
from skneural.network.layer import Layer
from skneural.network.memory import gate_pitch
from skneural.network.operations import operation

operation(
    "recurrent",
    [
        "weight",  # of the input
        "bias",
        "recurrent",  # weights of the state before
        "transposed",
        "recurrent_transposed",
        "gates",  # buffers: gates, memory cells, masked states, and what a step hands on to the next, or back
        "cells",
        "states",
        "d_state",
        "ld_gates",  # padded widths: all gates, weights, one gate
        "ld_weight",
        "pitch",
        "reverse",  # whether time runs backwards
        "truncate",  # steps that gradients go back, 0 for all
        "kept",  # whether gates and memory cells of all steps are kept
        "stream",  # of dropout on the states
        "limit",
        "rate:f8",
    ],
    keeps_output=True,
    always_back=True,
    stores_gradient=True,
)


@dataclass(frozen=True, repr=False)
class Recurrent(Layer):
    """Recurrent layer: sequences in, a sequence of states out.

    Parameters
    ----------
    cell : {'lstm', 'gru', 'rnn'}
    units : int
        Width of the states.
    bidirectional : bool, default=False
        Whether a second one, which reads from the end to the beginning, stands beside it: its states are further
        columns (Schuster and Paliwal, 1997).
    rate : float, default=0.0
        Of dropout on the states that a step hands to the next, the same units in all steps (Gal and Ghahramani, 2016).
    truncate : int or None, default=None
        How many steps gradients go back; None for all.

    Examples
    --------
    >>> from skneural.layers import GlobalPool, Recurrent
    >>> hidden = [Recurrent("lstm", 50), GlobalPool()]
    """

    cell: str
    units: int
    bidirectional: bool = False
    rate: float = 0.0
    truncate: int | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        net.sequences(x)
        forwards = self._add_direction(net, x, reverse=False)
        if not self.bidirectional:
            return forwards
        backwards = self._add_direction(net, x, reverse=True)
        return net.concatenate(forwards, backwards, forwards=self.units)

    def _add_direction(self, net, x, reverse):
        """Append the layer in one direction of time."""
        net.new_layer()
        steps, n_in = x.shape
        units = self.units
        cell = CELLS[self.cell]
        n_gates = len(cell.gates)
        n_weighted = weighted_gates(cell)
        ld = net.padded(units)
        pitch = gate_pitch(units, n_weighted, net.dtype)
        ld_weight = net.padded(n_weighted * pitch)
        ld_gates = net.padded(n_gates * pitch)
        masked = self.rate > 0 and net.training
        by_gate = {"strides": (ld_weight, pitch, 1), "penalised": True}
        weight = net.parameter("coefs_", (n_in, n_weighted, units), size=n_in * ld_weight, initial="weights", **by_gate)
        bias = net.parameter(
            "intercepts_",
            (n_gates, units),
            size=max(ld_weight, n_gates * pitch),
            strides=(pitch, 1),
            initial="bias",
        )
        recurrent = net.parameter(
            "recurrent_coefs_", (units, n_weighted, units), size=units * ld_weight, initial="orthogonal", **by_gate
        )
        # Steps that gates and memory cells are kept for; a state of zeros stands before the first.
        gates_kept = steps if net.training else 1
        cells_kept = (steps + 1 if net.training else 2) if cell.memory else 1
        carried = 4 if masked else 2
        numbers = n_weighted * units
        return net.add(
            "recurrent",
            x,
            shape=(steps, units),
            forwards=0 if reverse else units,
            function=self.cell,
            products=steps * (n_in + units) * numbers,
            flops=2 * steps * (n_in + units) * ld_weight,
            weight=weight,
            bias=bias,
            recurrent=recurrent,
            transposed=Transposed(weight, x.ld, x),
            recurrent_transposed=Transposed(recurrent, ld) if net.training else -1,
            gates=net.room(ld_gates, gates_kept),
            cells=net.room(ld, cells_kept),
            states=net.room(ld, steps) if masked else -1,
            d_state=net.room(ld, carried) if net.training else -1,
            ld_gates=ld_gates,
            ld_weight=ld_weight,
            pitch=pitch,
            reverse=reverse,
            truncate=self.truncate or 0,
            kept=net.training,
            stream=net.n_layers - 1,
            limit=threshold(self.rate * masked),
            rate=self.rate * masked,
        )
