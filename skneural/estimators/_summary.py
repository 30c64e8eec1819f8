"""What a network is made of, as a table for terminals and notebooks."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from html import escape

import numpy as np

from skneural.maths.losses import LOSSES
from skneural.network.program import Program

HEADINGS = ("Layer", "Details", "Output shape", "Parameters", "Operations")
N_TEXTS = 2  # columns of words; the others hold numbers


@dataclass(frozen=True)
class Row:
    """One layer."""

    layer: str
    details: str
    units: int
    parameters: int
    operations: int
    steps: int = 0

    @property
    def shape(self) -> str:
        """Shape of the output for n samples."""
        return f"(n, {self.steps}, {self.units})" if self.steps else f"(n, {self.units})"


class Summary:
    """Layers of a network, their shapes and sizes; its text and its HTML are tables.

    Parameters
    ----------
    program : Program
        The network, lowered.

    Attributes
    ----------
    rows : list of Row
        The input and the layers: `layer`, `details`, `units` (width of the output), `steps` (time steps of the output,
        0 if it is no sequence), `parameters` (that are learnt), `operations` (multiplications, each with an addition,
        of the matrix products for one row of data).
    dtype : numpy dtype
        Precision of the parameters.
    """

    def __init__(self, program: Program) -> None:
        layers, n_features, _, loss, _, n_timesteps = program.source
        norms = iter([norm for norm in program.norms if "scale" in norm.parts])  # those of layers
        rows = _describe(layers, (n_features, n_timesteps), iter(program.tensors), norms)
        self.rows = [Row("input", "", n_features, 0, 0, n_timesteps), *rows]
        self.rows[-1] = replace(self.rows[-1], details=LOSSES[loss].link)  # the last activation is that of the loss
        self.dtype = np.dtype(program.dtype)

    @property
    def n_parameters(self) -> int:
        """Number of parameters that are learnt."""
        return sum(row.parameters for row in self.rows)

    @property
    def n_operations(self) -> int:
        """Multiplications, each with an addition, of the matrix products for one row of data."""
        return sum(row.operations for row in self.rows)

    @property
    def n_bytes(self) -> int:
        """Memory of the parameters."""
        return self.n_parameters * self.dtype.itemsize

    def _cells(self):
        """The table as text: the layers, and the total."""
        lines = [(row.layer, row.details, row.shape, f"{row.parameters:,}", f"{row.operations:,}") for row in self.rows]
        return [*lines, ("total", "", "", f"{self.n_parameters:,}", f"{self.n_operations:,}")]

    def _memory(self):
        return f"Memory of the parameters: {self.n_bytes:,} bytes ({self.dtype.name})"

    def __str__(self):
        lines = [HEADINGS, *self._cells()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
        texts = [
            "  ".join(
                cell.ljust(width) if i < N_TEXTS else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        ]
        rule = "-" * len(texts[0])
        return "\n".join([texts[0], rule, *texts[1:-1], rule, texts[-1], self._memory()])

    __repr__ = __str__

    def _repr_html_(self):
        # Colours are the page's own, so that it reads on light and on dark.
        def line(cells, tag, border=""):
            style = [f"text-align: {'left' if i < N_TEXTS else 'right'}; {border}" for i in range(len(cells))]
            texts = [escape(cell).replace("  ", "\u2003") for cell in cells]
            inside = [f'<{tag} style="{s}">{text}</{tag}>' for s, text in zip(style, texts, strict=True)]
            return f"<tr>{''.join(inside)}</tr>"

        *body, total = self._cells()
        rule = "border-{}: 1px solid currentColor;"
        return (
            '<table style="border-collapse: collapse;">'
            f"<thead>{line(HEADINGS, 'th', rule.format('bottom'))}</thead>"
            f"<tbody>{''.join(line(cells, 'td') for cells in body)}</tbody>"
            f"<tfoot>{line(total, 'td', rule.format('top'))}</tfoot>"
            f'<caption style="caption-side: bottom; text-align: left;">{escape(self._memory())}</caption>'
            "</table>"
        )


def _describe(layers, shape, tensors, norms, indent=""):
    """A row for each layer, those within others indented under them; takes the next of tensors and norms."""
    width, steps = shape
    for layer in layers:
        parameters = operations = 0
        directions = 1 + getattr(layer, "bidirectional", False)
        for tensor in [next(tensors) for _ in range(directions)] if hasattr(layer, "units") else []:
            weights = tensor.n_rows * tensor.n_out * max(tensor.n_gates, 1)
            parameters += weights + tensor.n_out * max(tensor.n_biases, 1)
            operations += weights * max(steps, 1)
            width = layer.units * directions
        if getattr(layer, "normalization", None):
            norm = next(norms)
            parameters += norm.width * sum(name in ("scale", "shift") for name in norm.names)
        steps = 0 if hasattr(layer, "how") else steps  # pooling
        yield Row(indent + type(layer).__name__.lower(), _details(layer), width, parameters, operations, steps)
        yield from _describe(getattr(layer, "layers", ()), (width, steps), tensors, norms, indent + "  ")


def _details(layer):
    """Fields of a layer in short: the activation by its name alone, the others as name=value."""
    values = {field.name: getattr(layer, field.name) for field in fields(layer)}
    for name in ("units", "layers"):  # they have a column or rows of their own
        values.pop(name, None)
    return ", ".join(
        value if name in ("activation", "cell", "how") else f"{name}={value}"
        for name, value in values.items()
        if not (value is None or value is False or (name == "rate" and value == 0))
    )
