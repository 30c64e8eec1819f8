"""What a network is made of, as a table for terminals and notebooks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from skneural.maths.losses import LOSSES
from skneural.network.layer import settings_of
from skneural.network.program import Program

HEADINGS = ("Layer", "Details", "Output shape", "Parameters", "Operations")
N_TEXTS = 2  # columns of words; the others hold numbers
#: Settings of layers that change nothing; any that is None, False or 0 does not either.
UNUSED = {"stride": 1, "dilation": 1, "groups": 1}


@dataclass(frozen=True)
class Row:
    """One layer."""

    layer: str
    details: str
    units: int
    parameters: int
    operations: int
    axes: tuple = ()

    @property
    def steps(self) -> int:
        """Time steps or pixels of the output, 0 for rows."""
        return math.prod(self.axes) if self.axes else 0

    @property
    def shape(self) -> str:
        """Shape of the output for n samples."""
        return f"({', '.join(map(str, ('n', *self.axes, self.units)))})"


class Summary:
    """Layers of a network, their shapes and sizes; its text and its HTML are tables.

    Parameters
    ----------
    program : Program
        The network, lowered.

    Attributes
    ----------
    rows : list of Row
        The input and the layers: `layer`, `details`, `units` (width of the output, or its channels), `axes` (the time
        steps of the output, or its height and width), `steps` (time steps or pixels of the output, 0 for rows),
        `parameters` (that are learnt), `operations` (multiplications, each with an addition, of the matrix products
        for one row of data).
    dtype : numpy dtype
        Precision of the parameters.
    """

    def __init__(self, program: Program) -> None:
        source = program.source
        steps = (source.n_timesteps,) if source.n_timesteps else ()
        self.rows = [Row("input", "", source.n_features, 0, 0, steps)]
        self.rows += [_row_of(built) for built in program.built]
        link = LOSSES[source.loss].link
        self.rows[-1] = replace(self.rows[-1], details=link)  # the last activation is that of the loss
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
        lines = []
        for row in self.rows:
            sizes = (f"{row.parameters:,}", f"{row.operations:,}")
            lines.append((row.layer, row.details, row.shape, *sizes))
        total = ("total", "", "", f"{self.n_parameters:,}", f"{self.n_operations:,}")
        return [*lines, total]

    def _memory(self):
        return f"Memory of the parameters: {self.n_bytes:,} bytes ({self.dtype.name})"

    def __str__(self):
        lines = [HEADINGS, *self._cells()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
        texts = []
        for line in lines:
            words = [cell.ljust(width) for cell, width in zip(line[:N_TEXTS], widths[:N_TEXTS], strict=True)]
            numbers = [cell.rjust(width) for cell, width in zip(line[N_TEXTS:], widths[N_TEXTS:], strict=True)]
            texts.append("  ".join(words + numbers))
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


def _row_of(built):
    """The row of a layer; those within others are indented under them."""
    *axes, units = built.shape
    return Row(
        layer="  " * built.depth + type(built.layer).__name__.lower(),
        details=_details(built.layer),
        units=units,
        parameters=built.n_parameters,
        operations=built.n_products,
        axes=tuple(axes),
    )


def _details(layer):
    """Settings of a layer in short: names of functions by themselves, the others as name=value."""
    shown = []
    for name, value in settings_of(layer).items():
        is_elsewhere = name in ("units", "filters", "layers", "shortcut")  # they have a column or rows of their own
        is_unused = value in (None, False, 0, UNUSED.get(name))
        if not is_elsewhere and not is_unused:
            shown.append(value if name in ("activation", "cell", "pooling") else f"{name}={value}")
    return ", ".join(shown)
