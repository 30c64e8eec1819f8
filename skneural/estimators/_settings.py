"""The constructor's parameters: which values they take, which go together, and the layers they describe."""

from numbers import Integral, Real
from types import SimpleNamespace

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, InvalidParameterError, Options, StrOptions

from skneural.backends import devices
from skneural.layers import Dense, Dropout, GlobalPool, Noise, Recurrent, Residual, Standardize
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.network.initializers import INITIALIZERS

STOCHASTIC_SOLVERS = tuple(OPTIMIZERS)

#: The largest integer that kernels read, and the largest width: the product of two widths is such an integer.
LARGEST, WIDEST = 2**63 - 1, 2**31 - 1

_POSITIVE = Interval(Real, 0, None, closed="neither")
_NOT_NEGATIVE = Interval(Real, 0, None, closed="left")
_SHARE = Interval(Real, 0, 1, closed="left")


class _Devices(StrOptions):
    """Names of devices: 'cuda' may have a number."""

    def is_satisfied_by(self, val):
        return super().is_satisfied_by(val) or (isinstance(val, str) and devices.NUMBERED.fullmatch(val) is not None)

    def __str__(self):
        return f"{super().__str__()} or 'cuda:N', N the number of a GPU"


#: What scikit-learn's validation of parameters knows of those that all estimators share.
CONSTRAINTS = {
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "activation": [StrOptions(set(ACTIVATIONS)), "array-like"],
    "solver": [StrOptions({"lbfgs", *OPTIMIZERS})],
    "alpha": [_NOT_NEGATIVE],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "learning_rate": [StrOptions(set(SCHEDULES))],
    "learning_rate_init": [_POSITIVE],
    "power_t": [_NOT_NEGATIVE],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [_NOT_NEGATIVE],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [_SHARE],
    "beta_1": [_SHARE],
    "beta_2": [_SHARE],
    "epsilon": [_POSITIVE],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "max_fun": [Interval(Integral, 1, None, closed="left")],
    "dropout": [_SHARE, "array-like"],
    "input_noise": [_NOT_NEGATIVE],
    "normalization": [StrOptions({"batch", "layer"}), None],
    "residual": ["boolean"],
    "weight_init": [StrOptions(set(INITIALIZERS)), callable],
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "weight_decay": [_NOT_NEGATIVE],
    "rho": [_SHARE],
    "clip_norm": [_POSITIVE, None],
    "clip_value": [_POSITIVE, None],
    "max_norm": [_POSITIVE, None],
    "decay_factor": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="right")],
    "decay_epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "warmup": [Interval(Real, 0, 1, closed="both")],
    "score_training": ["boolean"],
    "monitor_gradients": ["boolean"],
    "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
    "n_jobs": [Interval(Integral, None, -1, closed="right"), Interval(Integral, 1, None, closed="left"), None],
    "dtype": [StrOptions({"auto", "float32", "float64"})],
    "device": [_Devices({"cpu", "cuda", "auto"})],
    "precision": [StrOptions({"full", "tf32"})],
}


#: The same of those that only recurrent networks have.
RECURRENT_CONSTRAINTS = {
    "head_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "head_activation": [StrOptions(set(ACTIVATIONS))],
    "bidirectional": ["boolean"],
    "recurrent_dropout": [_SHARE],
    "pooling": [StrOptions({"last", "mean", "max"})],
    "tbptt_steps": [Interval(Integral, 1, None, closed="left"), None],
    "input_format": [StrOptions({"channels_last", "channels_first"})],
    "standardize": ["boolean"],
}
#: Those of `CONSTRAINTS` that they do not have.
ROWS_ONLY = ("activation", "normalization", "residual", "max_norm")


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
    # Also those that the signature of a subclass leaves out, and its parent's constructor has set.
    names = [name for name in est._parameter_constraints if hasattr(est, name)]
    given = {name: getattr(est, name) for name in names} | est.get_params(deep=False)
    return SimpleNamespace(**{name: _plain(est, name, value) for name, value in given.items()})


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
    if isinstance(value, list | tuple):
        return type(value)([_plain(est, name, item) for item in value]) if type(value) in (list, tuple) else value
    if isinstance(value, np.bool_):
        return bool(value)
    if not isinstance(value, Real) or isinstance(value, bool) or name == "random_state":
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


def hidden_sizes(est):
    """Units of every layer before the last one."""
    return sizes_of(est) + (sizes_of(est, "head_layer_sizes") if hasattr(est, "head_layer_sizes") else [])


def _one_each(est, name, noun):
    """The values of a parameter that is one for all hidden layers, or a sequence of one each."""
    count, values = len(hidden_sizes(est)), getattr(est, name)
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        return [values] * count
    if len(values) != count:
        raise ValueError(f"{name} must be one {noun}, or one per hidden layer: got {len(values)} for {count} layers.")
    return list(values)


def dropout_rates(est):
    """Rate of dropout after every hidden layer."""
    rates = [float(rate) for rate in _one_each(est, "dropout", "rate")]
    if not all(0 <= rate < 1 for rate in rates):
        raise ValueError(f"dropout rates must be in [0, 1), got {rates}.")
    return rates


def activations(est):
    """Activation of every hidden layer."""
    names = _one_each(est, "activation", "name")
    for name in names:
        if not isinstance(name, str) or name not in ACTIVATIONS:
            raise ValueError(f"activation must be among {sorted(ACTIVATIONS)}, one per hidden layer. Got {name!r}.")
    return [str(name) for name in names]


def hidden_layers(est):
    """The layers before the last one."""
    layers = [Noise(float(est.input_noise))] if est.input_noise else []
    before = None
    for units, activation, rate in zip(hidden_sizes(est), activations(est), dropout_rates(est), strict=True):
        block = [Dense(units, activation, est.normalization)] + [Dropout(rate)] * (rate > 0)
        layers += [Residual(tuple(block))] if est.residual and units == before else block
        before = units
    return layers


def recurrent_layers(est, cell):
    """The layers of a recurrent network before the last one."""
    layers, rates = [Standardize()] * est.standardize, iter(dropout_rates(est))
    layers += [Noise(float(est.input_noise))] if est.input_noise else []
    sizes, truncate = sizes_of(est), None if est.tbptt_steps is None else int(est.tbptt_steps)
    if not sizes:
        raise ValueError("hidden_layer_sizes must name at least one recurrent layer, got none.")
    for i, units in enumerate(sizes):
        layers.append(Recurrent(cell, units, bool(est.bidirectional), float(est.recurrent_dropout), truncate))
        layers += [GlobalPool(est.pooling)] * (i == len(sizes) - 1)
        rate = next(rates)
        layers += [Dropout(rate)] * (rate > 0)
    for units in sizes_of(est, "head_layer_sizes"):
        layers.append(Dense(units, est.head_activation))
        rate = next(rates)
        layers += [Dropout(rate)] * (rate > 0)
    return layers


def check_settings(est):
    """Raise for settings that do not go together."""
    if est.solver == "lbfgs":
        given = est.get_params(deep=False)
        names = ("input_noise", "l1_ratio", "clip_value", "max_norm", "monitor_gradients", "recurrent_dropout")
        stochastic_only = {
            "dropout": any(dropout_rates(est)), "normalization='batch'": given.get("normalization") == "batch",
            # Recurrent networks clip by default; lbfgs, which has no use for it, ignores that.
            "clip_norm": given["clip_norm"] if "recurrent_dropout" not in given else None,
            **{name: given.get(name) for name in names},
        }  # fmt: skip
        for name, used in stochastic_only.items():
            if used:
                raise ValueError(
                    f"{name} needs a stochastic solver (one of {', '.join(map(repr, STOCHASTIC_SOLVERS))}): lbfgs does "
                    "not support it."
                )
    if est.precision == "tf32":
        for name, value in {"device": "cpu", "dtype": "float64"}.items():
            if getattr(est, name) == value:
                raise ValueError(f"precision='tf32' is for float32 on a GPU: it does not go with {name}={value!r}.")
    est._hidden_layers()


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
        why = "the weights of the previous fit are float64" if dtype == np.float64 else f"{device} is too old for it"
        raise ValueError(f"precision={est.precision!r} is for float32 on a GPU with tensor cores: {why}.")
    return device


def input_dtypes(est):
    """Types in which a first fit reads X; what has another becomes the first of them."""
    if est.dtype != "auto":
        return [np.dtype(est.dtype).type]
    return [np.float64, np.float32] if est.device_ == "cpu" else [np.float32]
