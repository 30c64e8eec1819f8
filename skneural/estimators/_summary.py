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


class Summary:
    """Layers of a network, their shapes and sizes; its text and its HTML are tables.

    Parameters
    ----------
    program : Program
        The network, lowered.

    Attributes
    ----------
    rows : list of Row
        The input and the layers: `layer`, `details`, `units` (width of the output), `parameters` (that are learnt),
        `operations` (multiplications, each with an addition, of the matrix products for one row of data).
    dtype : numpy dtype
        Precision of the parameters.
    """

    def __init__(self, program: Program) -> None:
        layers, n_features, _, loss, *_ = program.source
        rows = _describe(layers, n_features, iter(program.tensors), iter(program.norms))
        self.rows = [Row("input", "", n_features, 0, 0), *rows]
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
        lines = [
            (row.layer, row.details, f"(n, {row.units})", f"{row.parameters:,}", f"{row.operations:,}")
            for row in self.rows
        ]
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


def _describe(layers, width, tensors, norms, indent=""):
    """A row for each layer, those within others indented under them; takes the next of tensors and norms."""
    for layer in layers:
        parameters = operations = 0
        if hasattr(layer, "units"):
            tensor = next(tensors)
            parameters, operations, width = (tensor.n_in + 1) * tensor.n_out, tensor.n_in * tensor.n_out, layer.units
            if layer.normalization:
                norm = next(norms)
                parameters += norm.width * sum(name in ("scale", "shift") for name in norm.names)
        yield Row(indent + type(layer).__name__.lower(), _details(layer), width, parameters, operations)
        yield from _describe(getattr(layer, "layers", ()), width, tensors, norms, indent + "  ")


def _details(layer):
    """Fields of a layer in short: the activation by its name alone, the others as name=value."""
    values = {field.name: getattr(layer, field.name) for field in fields(layer)}
    for name in ("units", "layers"):  # they have a column or rows of their own
        values.pop(name, None)
    return ", ".join(
        value if name == "activation" else f"{name}={value}" for name, value in values.items() if value is not None
    )
