r"""Recurrent cells: a pair of functions each, one step of one unit forward and backward.

``cell(a, h, c)`` gets the tuple of the unit's gates, its state `h` and its memory `c` of the step before (0 at first);
it returns ``(a, h, c)``: what the way back needs of the gates, and the new state and memory. The gates come through the
activations that the entry names for them: apart from the rest, since such loops are fast. ``backward(a, h, c_before, c,
dh, dc)`` gets what was returned, the state and memory before, the memory after, and the gradients by state and memory
after; it returns ``(dz, dh, dc)``: those by the gates before their activations, by the state before (but for its way
through the gates), and by the memory before. Cells without memory get 0 and return what they got.

Options of an entry: `gates`, their names; `activations`, a function each, or None; `weighted`, how many of the first
gates have weights of the input, and of the last ones weights of the state before, if not all; `memory`, whether there
is a memory cell; `backward`; `bias`, initial biases by gate, where they are not 0.
"""

from skneural.maths.activations import logistic, tanh
from skneural.maths.registry import Registry

CELLS = Registry("cell", gates=(), activations=(), weighted=None, memory=False, backward=None, bias={})


def weighted_gates(cell):
    """How many gates have weights of the input (the first ones), and of the state before (the last ones)."""
    return cell.weighted or len(cell.gates)


def lstm_backward(a, h, c_before, c, dh, dc):
    """Gradients of `lstm`."""
    one = type(c)(1)
    i, f, g, o = a
    t = tanh(c)[0]
    dc = dc + dh * o * (one - t * t)
    di = dc * g * i * (one - i)
    df = dc * c_before * f * (one - f)
    dg = dc * i * (one - g * g)
    do = dh * t * o * (one - o)
    return (di, df, dg, do), type(c)(0), dc * f


@CELLS.register(
    "lstm",
    gates=("input", "forget", "cell", "output"),
    activations=(logistic, logistic, tanh, logistic),
    memory=True,
    backward=lstm_backward,
    bias={"forget": 1.0},
)
def lstm(a, h, c):
    r"""Long short-term memory, :math:`c = f c + i g, h = o \tanh(c)` (Hochreiter and Schmidhuber, 1997; Gers, 2000)."""
    i, f, g, o = a
    c = f * c + i * g
    h = o * tanh(c)[0]
    return a, h, c


def gru_backward(a, h, c_before, c, dh, dc):
    """Gradients of `gru`."""
    one = type(h)(1)
    n, r, u, m = a
    dn = dh * (one - u) * (one - n * n)
    dr = dn * m * r * (one - r)
    du = dh * (h - n) * u * (one - u)
    dm = dn * r
    return (dn, dr, du, dm), dh * u, dc


@CELLS.register(
    "gru",
    gates=("new", "reset", "update", "recurrent_new"),
    activations=(None, logistic, logistic, None),
    weighted=3,
    backward=gru_backward,
)
def gru(a, h, c):
    r"""Gated recurrent unit, :math:`h = (1 - u) \tanh(n + r m) + u h` (Cho et al., 2014; reset after the product)."""
    n, r, u, m = a
    n = tanh(n + r * m)[0]
    h = n + u * (h - n)
    return (n, r, u, m), h, c


def rnn_backward(a, h, c_before, c, dh, dc):
    """Gradients of `rnn`."""
    one = type(h)(1)
    after = a[0]
    dz = dh * (one - after * after)
    return (dz,), type(h)(0), dc


@CELLS.register("rnn", gates=("state",), activations=(tanh,), backward=rnn_backward)
def rnn(a, h, c):
    r"""Simple recurrent unit, :math:`h = \tanh(z)` (Elman, 1990)."""
    return a, a[0], c


CELLS.seal()
