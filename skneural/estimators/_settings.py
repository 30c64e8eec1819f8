"""The constructor's parameters: which values they take, which go together, and the layers they describe."""

import itertools
from numbers import Integral, Real
from types import SimpleNamespace

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from skneural.backends import devices
from skneural.estimators._layers import with_noise
from skneural.layers import Dense, Dropout, GlobalPool, Noise, Recurrent, Residual, Standardize
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.optimizers import OPTIMIZERS

STOCHASTIC_SOLVERS = tuple(OPTIMIZERS)

#: Types of parameters that are taken as they are: most.
PLAIN = (bool, float, str, type(None))
#: The largest integer that kernels read.
LARGEST = 2**63 - 1
#: The largest width: the product of two widths is such an integer.
WIDEST = 2**31 - 1


def settings_of(est):
    """The parameters of an estimator, numbers of any type as Python's: what the engine computes sizes with.

    Integers of NumPy overflow silently, or raise OverflowError, where sizes are multiplied.

    Returns
    -------
    SimpleNamespace
        Every parameter by name. The estimator keeps what the user gave.

    Raises
    ------
    InvalidParameterError
        If a number is larger than any that the engine could take.
    """
    settings = SimpleNamespace()
    # Also those that the signature of a subclass leaves out, and its parent's constructor has set.
    for name in dict.fromkeys([*est.__dataclass_fields__, *est._get_param_names()]):
        if hasattr(est, name):
            value = getattr(est, name)
            setattr(settings, name, value if type(value) in PLAIN else _plain(est, name, value))
    return settings


def limits_of(settings):
    """Limits of gradients and weights that are set: only stochastic solvers have them."""
    if settings.solver not in STOCHASTIC_SOLVERS:
        return {}
    names = ("clip_norm", "clip_value", "max_norm")
    return {name: value for name in names if (value := getattr(settings, name, None))}


def hyper_of(settings):
    """Constants of a stochastic solver, as its registry row names them."""
    return [float(getattr(settings, name)) for name in OPTIMIZERS[settings.solver].hyper]


def _plain(est, name, value):
    """A number as Python's; the items of lists and tuples likewise. Anything else is handed back as it is."""
    if type(value) in (list, tuple):
        items = [_plain(est, name, item) for item in value]
        return type(value)(items)
    if isinstance(value, np.bool_):
        return bool(value)
    if not isinstance(value, Real) or isinstance(value, bool):
        return value
    if name == "random_state":
        return value
    try:
        number = int(value) if isinstance(value, Integral) else float(value)
    except OverflowError:  # a fraction of huge integers
        number = LARGEST + 1
    if isinstance(number, int) and abs(number) > LARGEST:
        raise InvalidParameterError(
            f"The {name!r} parameter of {type(est).__name__} must be a number of at most {LARGEST}, got a larger one."
        )
    return number


def sizes_of(est, name="hidden_layer_sizes"):
    """Units of every layer that a parameter describes."""
    sizes = getattr(est, name)
    sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
    if any(n <= 0 for n in sizes):
        raise ValueError(f"{name} must be > 0, got {sizes}.")
    if any(n > WIDEST for n in sizes):
        raise ValueError(f"{name} must be at most {WIDEST}, got {sizes}.")
    if any(n != int(n) for n in sizes):
        raise ValueError(f"{name} must be integers, got {sizes}.")
    return [int(n) for n in sizes]


def one_each(est, name, noun, count, place="hidden layer"):
    """The values of a parameter that is one for all places, of which there are `count`, or one each."""
    values = getattr(est, name)
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        return [values] * count
    if len(values) != count:
        raise ValueError(f"{name} must be one {noun}, or one per {place}: got {len(values)} for {count} layers.")
    return list(values)


def dropout_rates(est, count, place="hidden layer"):
    """Rate of dropout after each of `count` hidden layers, or whatever they are called."""
    rates = [float(rate) for rate in one_each(est, "dropout", "rate", count, place)]
    if not all(0 <= rate < 1 for rate in rates):
        raise ValueError(f"dropout rates must be in [0, 1), got {rates}.")
    return rates


def stacks_with_dropout(est, stacks, place="hidden layer"):
    """Stacks of layers, each with its dropout; `place` is what messages call one."""
    rates = dropout_rates(est, len(stacks), place)
    return [[*stack, Dropout(rate)] if rate > 0 else stack for stack, rate in zip(stacks, rates, strict=True)]


def with_dropout(est, stacks, place="hidden layer"):
    """The layers of stacks one after the other, each stack with its dropout; `place` is what messages call one."""
    return list(itertools.chain(*stacks_with_dropout(est, stacks, place)))


def on_inputs(est, layers, standardize):
    """Layers behind what estimators do with their inputs: scaling, augmentation and noise."""
    if est.augmentation is not None:
        layers = [est.augmentation, *layers]
    if standardize:
        layers = [Standardize(), *layers]
    return with_noise(layers, est.input_noise)


def activations(est, count):
    """Activation of each of `count` hidden layers."""
    names = one_each(est, "activation", "name", count)
    for name in names:
        if not isinstance(name, str) or name not in ACTIVATIONS:
            raise ValueError(f"activation must be among {sorted(ACTIVATIONS)}, one per hidden layer. Got {name!r}.")
    return [str(name) for name in names]


def hidden_layers(est):
    """The layers before the last one."""
    layers = []
    if est.input_noise:
        layers.append(Noise(float(est.input_noise)))
    before = None
    sizes = sizes_of(est)
    functions = activations(est, len(sizes))
    rates = dropout_rates(est, len(sizes))
    for units, activation, rate in zip(sizes, functions, rates, strict=True):
        block = [Dense(units, activation, est.normalization)]
        if rate > 0:
            block.append(Dropout(rate))
        if est.residual and units == before:
            block = [Residual(tuple(block))]
        layers += block
        before = units
    return layers


def recurrent_layers(est, cell):
    """The layers of a recurrent network before the last one."""
    sizes = sizes_of(est)
    if not sizes:
        raise ValueError("hidden_layer_sizes must name at least one recurrent layer, got none.")
    truncate = None if est.tbptt_steps is None else int(est.tbptt_steps)
    last = len(sizes) - 1
    stacks = []
    for i, units in enumerate(sizes):
        layer = Recurrent(cell, units, bool(est.bidirectional), float(est.recurrent_dropout), truncate)
        stacks.append([layer, GlobalPool(est.pooling)] if i == last else [layer])
    stacks += [[Dense(units, est.head_activation)] for units in sizes_of(est, "head_layer_sizes")]
    return on_inputs(est, with_dropout(est, stacks), est.standardize)


def check_settings(est):
    """Raise for settings that do not go together."""
    if est.solver not in STOCHASTIC_SOLVERS:
        for name, row in est._rows.items():
            if row.get("stochastic") and np.any(getattr(est, name)):
                require_stochastic(est, name)
    if est.precision == "tf32":
        for name, value in {"device": "cpu", "dtype": "float64"}.items():
            if getattr(est, name) == value:
                raise ValueError(f"precision='tf32' is for float32 on a GPU: it does not go with {name}={value!r}.")


def require_stochastic(est, name):
    """Raise unless the solver is a stochastic one, as a setting needs it that is in use."""
    if est.solver not in STOCHASTIC_SOLVERS:
        solvers = ", ".join(map(repr, STOCHASTIC_SOLVERS))
        raise ValueError(f"{name} needs a stochastic solver (one of {solvers}): {est.solver} does not support it.")


def check_kinds(est, program, holder):
    """Raise if what layers of users do in training does not go with parameters.

    Parameters
    ----------
    est : estimator
    program : Program
    holder : str
        What the parameters are called that hold the layers.
    """
    for kind in program.needs_batches:
        require_stochastic(est, f"{kind} in {holder}")
    has_states = any(operation.kind == "recurrent" for operation in program.operations)
    if est.max_norm is not None and has_states:
        raise ValueError(
            "max_norm limits the weights of dense layers and convolutions, those of recurrent layers it does not: with "
            f"Recurrent in {holder} it must be None. weight_decay and clip_norm are for both."
        )


def check_held_out(X_val, y_val, sample_weight_val):
    """Raise unless validation data is complete."""
    if (X_val is None) != (y_val is None):
        raise ValueError("X_val and y_val must be given together.")
    if sample_weight_val is not None and X_val is None:
        raise ValueError("sample_weight_val was given without X_val and y_val.")


def find_device(est, dtype):
    """Where a fit runs: 'cpu' or 'cuda:N'.

    Parameters
    ----------
    est : estimator
    dtype : dtype or None
        Of the weights that the fit goes on from.

    Raises
    ------
    RuntimeError
        If `device` names a GPU that cannot be used.
    ValueError
        If `precision` is not one that a GPU named by `device` has, or not one for the weights.
    """
    device = devices.resolve(est.device)
    usable = devices.usable_precision(device, est.precision, np.float32 if dtype is None else dtype)
    if est.device != "auto" and est.precision != usable:
        why = f"{device} is too old for it"
        if dtype == np.float64:
            why = "the weights of the previous fit are float64"
        raise ValueError(f"precision={est.precision!r} is for float32 on a GPU with tensor cores: {why}.")
    return device


def input_dtypes(est):
    """Types in which a first fit reads X; what has another becomes the first of them."""
    if est.dtype != "auto":
        return [np.dtype(est.dtype).type]
    return [np.float64, np.float32] if est.device_ == "cpu" else [np.float32]


def network_dtype(est, X):
    """Precision of a network whose first fit is on X, as a type of NumPy."""
    dtypes = input_dtypes(est)
    if X.dtype in dtypes:
        return X.dtype
    is_narrow = X.dtype.kind in "biuf" and X.dtype.itemsize <= 2  # float32 holds every such number
    return np.dtype(np.float32 if est.dtype == "auto" and is_narrow else dtypes[0])
