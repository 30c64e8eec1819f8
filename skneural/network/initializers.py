"""Initial weights: rules by name, each a function of uniform numbers.

``rule(u, fans, activation)`` gets numbers `u` in [0, 1) of the shape of the weights, how many inputs an output of the
layer is made of and how many outputs an input goes into, and the name of the layer's activation; it returns the
weights. Biases begin at 0, unless the rule says `biases`: then `u` and the result have a row more, the first, for them.
"""

from functools import cache

import numpy as np
from scipy.special import ndtri
from threadpoolctl import ThreadpoolController

from skneural.maths.cells import CELLS
from skneural.maths.random import WEIGHTS, bits, key
from skneural.maths.registry import Registry
from skneural.network.memory import aligned_zeros

INITIALIZERS = Registry("weight_init", biases=False)
#: Numbers that are drawn in one go: what is made of them on the way should stay in a cache.
BLOCK = 1 << 13


def uniform(count, seed, step):
    """Uniform numbers in [0, 1) with 53 random bits, from the counter-based generator.

    Parameters
    ----------
    count, seed, step : int

    Returns
    -------
    ndarray of float64, shape (count,)
    """
    k = key(seed, WEIGHTS, step)
    numbers = np.empty(count)
    dtype = np.uint32 if 2 * count < 2**32 else np.uint64  # twice as many of 32 bits fit a vector and a cache
    for begin in range(0, count, BLOCK):
        end = min(begin + BLOCK, count)
        drawn = bits(k, np.arange(2 * begin, 2 * end, dtype=dtype))
        numbers[begin:end] = ((drawn[::2] >> 5) * 2.0**26 + (drawn[1::2] >> 6)) / 2.0**53
    return numbers


def normal(u):
    """Standard normal numbers for uniform ones in [0, 1)."""
    return ndtri(np.maximum(u, 2.0**-54))  # 0 would give -inf


@INITIALIZERS.register("auto", biases=True)
def auto(u, fans, activation):
    """As scikit-learn: glorot_uniform, with factor 2 for the logistic activation, and for biases too."""
    factor = 2.0 if activation == "logistic" else 6.0
    bound = np.sqrt(factor / sum(fans))
    return bound * (2 * u - 1)


@INITIALIZERS.register("glorot_uniform")
def glorot_uniform(u, fans, activation):
    """Uniform within sqrt(6 / (n_in + n_out)) (Glorot and Bengio, 2010)."""
    return np.sqrt(6 / sum(fans)) * (2 * u - 1)


@INITIALIZERS.register("glorot_normal")
def glorot_normal(u, fans, activation):
    """Normal with variance 2 / (n_in + n_out) (Glorot and Bengio, 2010)."""
    return np.sqrt(2 / sum(fans)) * normal(u)


@INITIALIZERS.register("he_uniform")
def he_uniform(u, fans, activation):
    """Uniform within sqrt(6 / n_in), for relu and its kin (He et al., 2015)."""
    return np.sqrt(6 / fans[0]) * (2 * u - 1)


@INITIALIZERS.register("he_normal")
def he_normal(u, fans, activation):
    """Normal with variance 2 / n_in, for relu and its kin (He et al., 2015)."""
    return np.sqrt(2 / fans[0]) * normal(u)


@INITIALIZERS.register("lecun_normal")
def lecun_normal(u, fans, activation):
    """Normal with variance 1 / n_in (LeCun et al., 1998), for selu (Klambauer et al., 2017)."""
    return np.sqrt(1 / fans[0]) * normal(u)


@INITIALIZERS.register("pytorch", biases=True)
def pytorch(u, fans, activation):
    """Uniform within 1 / sqrt(n_in), biases too, as the layers of PyTorch begin."""
    return np.sqrt(1 / fans[0]) * (2 * u - 1)


@cache
def _blas():
    """What limits the threads of NumPy's BLAS. To look for it takes milliseconds."""
    return ThreadpoolController()


@INITIALIZERS.register("orthogonal")
def orthogonal(u, fans, activation):
    """A random matrix with orthonormal columns, or rows where they are fewer (Saxe et al., 2014)."""
    # Or a stack of matrices: all gates of a layer at once.
    wide = u.shape[-2] < u.shape[-1]
    z = normal(u)
    with _blas().limit(limits=1, user_api="blas"):  # several threads would add up in another order
        q, r = np.linalg.qr(z.swapaxes(-1, -2) if wide else z)
    # With a positive diagonal of R, every such matrix is as likely (Mezzadri, 2007).
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
    q *= signs[..., None, :]
    return q.swapaxes(-1, -2) if wide else q


def initialize(program, seed, weight_init="auto", activation=None):
    """The parameters that a training begins with.

    Parameters
    ----------
    program : Program
    seed : int
    weight_init : str or callable, default='auto'
        Name of a rule, or ``weight_init(n_in, n_out, rng)``, which returns weights of shape (n_in, n_out). `rng` is a
        `numpy.random.Generator` that depends on seed and layer.
    activation : str, default=None
        What a dense layer without one counts as, if there is none before it either.

    Returns
    -------
    ndarray of shape (n_params,), dtype of the program

    Raises
    ------
    ValueError
        If a callable does not return finite numbers of the right shape.
    """
    params = aligned_zeros(program.n_params, program.dtype)
    before = activation
    for layer in range(program.n_layers):
        operations = [op for op in program.operations if op.layer == layer and op.blocks]
        # The last layer, which has none, counts as the one before it.
        before = next((op.function for op in operations if op.function), before)
        views = {}
        groups = 1
        for block in program.blocks:
            if block.layer == layer and isinstance(block.initial, str):
                views[block.initial] = block.view(params)
                groups = max(groups, block.groups)
        if "orthogonal" in views:
            cell = CELLS[operations[0].function]
            _initialize_recurrent(views, cell, seed, layer, weight_init)
            before = activation
        elif "weights" in views:
            _initialize_dense(views, (_n_taps(operations), groups), seed, layer, weight_init, before)
    for block in program.blocks:
        if not isinstance(block.initial, str) and block.initial != 0:
            block.view(params)[:] = block.initial
    return params


def _n_taps(operations):
    """How many outputs of a filter of a layer an input goes into: one for each pixel of a convolution's kernel."""
    details = operations[0].details
    return details.get("kernel_y", 1) * details.get("kernel_x", 1)


def _initialize_dense(views, taps_and_groups, seed, layer, weight_init, activation):
    """Weights by the rule, of each group by itself, and biases where it draws them, too."""
    coefs = views["weights"]
    n_in, n_out = coefs.shape
    n_taps, groups = taps_and_groups
    fans = n_in, n_taps * n_out // groups
    columns = [slice(end - n_out // groups, end) for end in range(n_out // groups, n_out + 1, n_out // groups)]
    if callable(weight_init):
        rng = np.random.default_rng((seed, layer))
        for group in columns:
            coefs[:, group] = _weights_of(weight_init, coefs[:, group], rng, layer)
        return
    rule = INITIALIZERS[weight_init]
    drawn = uniform((n_in + rule.biases) * n_out, seed, layer).reshape(-1, n_out)
    for group in columns:
        values = rule.formula(drawn[:, group], fans, activation)
        if rule.biases:
            views["bias"][group] = values[0]
            values = values[1:]
        coefs[:, group] = values


def _initialize_recurrent(views, cell, seed, layer, weight_init):
    """Gate by gate: weights of the input by the rule (glorot_uniform for 'auto'), of the state before orthogonal."""
    coefs = views["weights"]
    n_in, n_gates, units = coefs.shape
    name = "glorot_uniform" if weight_init == "auto" else weight_init
    drawn = uniform((n_in + units) * n_gates * units, seed, layer)
    drawn = drawn.reshape(n_gates, n_in + units, units)
    rng = np.random.default_rng((seed, layer))
    for gate in range(n_gates):
        coef = coefs[:, gate]
        if callable(weight_init):
            coef[:] = _weights_of(weight_init, coef, rng, layer)
        else:
            coef[:] = INITIALIZERS[name].formula(drawn[gate, :n_in], (n_in, units), "tanh")
    views["orthogonal"][:] = orthogonal(drawn[:, n_in:], (units, units), "tanh").swapaxes(0, 1)
    for gate, bias in cell.bias.items():
        views["bias"][cell.gates.index(gate)] = bias


def _weights_of(weight_init, coef, rng, layer):
    """What a user's function returns for one layer, checked."""

    def error(found):
        return ValueError(
            f"weight_init(n_in={coef.shape[0]}, n_out={coef.shape[1]}, rng) must return finite numbers of shape "
            f"{coef.shape}, the weights of layer {layer} (coefs_[{layer}]), but returned {found}."
        )

    returned = weight_init(*coef.shape, rng)
    try:
        values = np.asarray(returned)
    except ValueError:  # rows of different lengths
        raise error("something that is not an array") from None
    if values.dtype.kind not in "fiub":
        kind = type(returned).__name__ if values.dtype.kind == "O" else f"an array of {values.dtype}"
        raise error(f"{kind}, which is not numeric")
    if values.shape != coef.shape:
        raise error(f"shape {values.shape}")
    with np.errstate(over="ignore"):
        values = values.astype(coef.dtype)
    if not np.isfinite(values).all():
        raise error(f"infinite numbers or NaN, as {coef.dtype}")
    return values
