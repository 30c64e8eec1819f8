"""Gates of recurrent cells: any number of them, read, written and activated as tuples."""

import numpy as np
import pytest
from test_recurrent_engine import make_network, stack_of, test_gradient_is_that_of_central_differences

from skneural.backends.gates import gate_activations, gate_reader, gate_writer
from skneural.maths.activations import logistic, relu, tanh
from skneural.maths.cells import CELLS


def as_it_is(function):
    return function


@pytest.mark.parametrize("count", range(1, 8))
def test_gates_are_tuples(count):
    z = np.arange(3.0 * count).reshape(count, 3)
    values = gate_reader(count, as_it_is)(z, 1)
    assert values == tuple(z[:, 1])
    gate_writer(count, as_it_is)(z, 2, values)
    np.testing.assert_array_equal(z[:, 2], z[:, 1])


def test_every_gate_has_its_activation():
    functions = (logistic, None, tanh, relu, None, tanh)
    z = (0.5, -2.0, 1.5, -1.0, 3.0, -0.25)
    expected = tuple(x if f is None else f(x)[0] for f, x in zip(functions, z, strict=True))
    for count in range(1, 7):
        activate = gate_activations(functions[:count], as_it_is, as_it_is)
        assert activate(z[:count]) == expected[:count]


def six_gates_back(a, h, c_before, c, dh, dc):
    """Gradients of `six_gates`."""
    one = type(c)(1)
    i, f, g, o, u, m = a
    t = tanh(c)[0]
    dm = dh * (one - u) + dh * u * o * t * 0
    memory = dc + dh * u * o * (one - t * t)
    dz = (
        memory * g * i * (one - i),
        memory * c_before * f * (one - f),
        memory * i * (one - g * g),
        dh * u * t * o * (one - o),
        dh * (o * t - m) * u * (one - u),
        dm,
    )
    return dz, type(c)(0), memory * f


def six_gates(a, h, c):
    """An LSTM beside a plain linear unit, mixed by a gate: ``h = u o tanh(c) + (1 - u) m``."""
    i, f, g, o, u, m = a
    c = f * c + i * g
    return a, u * o * tanh(c)[0] + (type(c)(1) - u) * m, c


@pytest.fixture
def cell_of_six():
    CELLS.register(
        "six_gates",
        gates=("input", "forget", "cell", "output", "mix", "plain"),
        activations=(logistic, logistic, tanh, logistic, logistic, None),
        memory=True,
        backward=six_gates_back,
    )(six_gates)
    yield "six_gates"
    del CELLS["six_gates"]


def test_a_cell_may_have_six_gates(cell_of_six):
    program, params = make_network(stack_of(cell_of_six, 5, 1), 4)
    (coef, *_) = program.coefs(params)
    assert coef.shape[1] == 6
    test_gradient_is_that_of_central_differences(cell_of_six, "mean")
