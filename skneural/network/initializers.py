"""Initial weights."""

import numpy as np

from skneural.maths.random import WEIGHTS, bits, key
from skneural.network.program import aligned_zeros


def uniform(count, seed, step):
    """Uniform numbers in [0, 1) with 53 random bits, from the counter-based generator.

    Parameters
    ----------
    count, seed, step : int

    Returns
    -------
    ndarray of float64, shape (count,)
    """
    position = 2 * np.arange(count, dtype=np.uint64)
    k = key(seed, WEIGHTS, step)
    high, low = bits(k, position) >> np.uint64(5), bits(k, position + np.uint64(1)) >> np.uint64(6)
    return (high * 2.0**26 + low) / 2.0**53


def initialize(program, seed, factor=6.0):
    """A vector of parameters, uniform as Glorot and Bengio (2010) found best; biases too, as in scikit-learn.

    Parameters
    ----------
    program : Program
    seed : int
    factor : float, default=6.0
        Squared bound times the sum of the widths on both sides: 6, or 2 for the logistic activation.
    """
    params = aligned_zeros(program.n_params, program.dtype)
    for layer, tensor in enumerate(program.tensors):
        bound = np.sqrt(factor / (tensor.n_in + tensor.n_out))
        numbers = bound * (2 * uniform((tensor.n_in + 1) * tensor.n_out, seed, layer) - 1)
        tensor.coef(params)[:] = numbers[tensor.n_out :].reshape(tensor.n_in, tensor.n_out)
        tensor.intercept(params)[:] = numbers[: tensor.n_out]
    return params
