"""Losses of many outputs: they are summed in as many parts as a vector has numbers."""

import numpy as np
import pytest
import reference
from networks import N_FEATURES, constants_of, make_data, sum_and_gradient, twin_of
from numpy.testing import assert_allclose

from skneural.backends.cpu.layers.loss import WIDE
from skneural.layers import Dense
from skneural.maths.losses import LOSSES
from skneural.network.initializers import initialize
from skneural.network.program import lower

PLAIN = [name for name, entry in LOSSES.items() if not entry.adversarial]
N_ROWS = 11
TOLERANCES = {np.float64: 1e-12, np.float32: 2e-5}


def wide_network(loss, n_outputs, dtype):
    """A program of one layer, its parameters, and the constants of its loss."""
    constants = constants_of(loss, n_outputs)
    program = lower([Dense(n_outputs)], N_FEATURES, dtype=dtype, loss=loss, settings=constants)
    return program, initialize(program, 1), constants


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("loss", PLAIN)
def test_loss_and_gradient_of_many_outputs(loss, dtype):
    for n_outputs in (WIDE - 1, WIDE, WIDE + 7):
        program, params, constants = wide_network(loss, n_outputs, dtype)
        X, targets, weights = make_data(loss, N_ROWS, dtype=dtype, n_outputs=n_outputs)
        total, gradient = sum_and_gradient(program, params, X, targets, weights)
        layers = twin_of(program, params)[0]
        expected, ((by_weights, by_bias),) = reference.loss_and_gradient(layers, loss, constants, X, targets, weights)
        tolerance = TOLERANCES[dtype]
        assert total == pytest.approx(expected, rel=tolerance)
        for found, wanted in ((program.coefs, by_weights), (program.intercepts, by_bias)):
            assert_allclose(found(gradient)[0], wanted, rtol=tolerance, atol=tolerance * np.abs(by_bias).max())


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("loss", PLAIN)
def test_a_row_alone_has_the_loss_that_it_has_in_a_batch(loss, dtype):
    n_outputs = WIDE + 7
    program, params, _ = wide_network(loss, n_outputs, dtype)
    X, targets, weights = make_data(loss, N_ROWS, dtype=dtype, n_outputs=n_outputs)
    for row in range(N_ROWS):
        own = slice(row, row + 1)
        alone = sum_and_gradient(program, params, X[own], targets[own], weights[own])[0]
        among_others = sum_and_gradient(program, params, X, targets, weights * (np.arange(N_ROWS) == row))[0]
        assert among_others == alone
