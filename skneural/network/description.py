"""A network in words: what a program was lowered from as names, numbers, lists and dicts, and back without trust.

Pickles and files hold a description instead of a program. It is lowered anew, so no table of operations and no address
ever comes from outside; and nothing is as large as a description says before arrays have been held against it.
"""

import dataclasses
import math

import numpy as np

from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES
from skneural.network import layers as layers_module
from skneural.network.layers import Dense, Dropout, Noise, Pool, Recurrent, Residual, Standardize
from skneural.network.program import KINDS, lower

#: Of a width: the product of two fits into 64 bits.
LARGEST = 2**31 - 1

#: What a program is lowered from.
SOURCE = ("layers", "n_features", "dtype", "loss", "settings", "n_timesteps")

#: Classes of layers by name.
LAYERS = {
    name: cls
    for name, cls in vars(layers_module).items()
    if dataclasses.is_dataclass(cls) and cls.__module__ == layers_module.__name__
}

#: Layers of networks that read rows, of those that read sequences, and those that a shortcut may lead around.
OF_ROWS = (Noise, Dense, Dropout, Residual)
OF_SEQUENCES = (Standardize, Noise, Recurrent, Pool, Dropout, Dense)
WITHIN = (Dense, Dropout)

#: Names that fields of layers may have, None among them where it may stand for none.
CHOICES = {"activation": ACTIVATIONS, "normalization": ("batch", "layer"), "how": ("last", "mean", "max")}


# -- there -------------------------------------------------------------------------------------------------------------


def describe(program):
    """A program as plain values.

    Parameters
    ----------
    program : Program

    Returns
    -------
    dict
        Its `source` by name; each layer a dict of its fields, with the name of its class as ``"kind"``; and whether it
        reads sparse rows, as ``"sparse"``.
    """
    source = dict(zip(SOURCE, program.source, strict=True))
    source["layers"] = [_describe_layer(layer) for layer in source["layers"]]
    source["dtype"] = np.dtype(source["dtype"]).name
    source["loss"] = str(source["loss"])
    source["settings"] = list(source["settings"])
    return {"kind": "Program", **source, "sparse": is_sparse(program)}


def is_sparse(program):
    """Whether a program reads rows of a sparse matrix."""
    return KINDS.index("sparse_dense") in program.ops["kind"]


def _describe_layer(layer):
    description = {"kind": type(layer).__name__}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, str):  # grid searches give NumPy's
            value = str(value)
        elif isinstance(value, tuple):
            value = [_describe_layer(inner) for inner in value]
        description[field.name] = value
    return description


# -- and back ----------------------------------------------------------------------------------------------------------


def lower_description(description):
    """The program that a description is of.

    Memory and time do not depend on the sizes in it.

    Parameters
    ----------
    description : dict
        As `describe` makes it, or anything else.

    Returns
    -------
    Program

    Raises
    ------
    ValueError
        If it describes no network of this package.
    """
    if type(description) is not dict:
        raise ValueError("the network is none.")
    description = {"sparse": False, **description}  # files of the first versions do not say
    if description.keys() != {"kind", *SOURCE, "sparse"} or description["kind"] != "Program":
        raise ValueError("the network is described in other words: was it written by a newer version?")
    n_features, n_timesteps, sparse = (description[name] for name in ("n_features", "n_timesteps", "sparse"))
    dtype, loss, settings = description["dtype"], description["loss"], description["settings"]
    if not _is_size(n_features, 1):
        raise ValueError(f"the network has {n_features!r} inputs.")
    if not _is_size(n_timesteps, 0):
        raise ValueError(f"the network reads {n_timesteps!r} time steps.")
    if type(sparse) is not bool or (sparse and n_timesteps):
        raise ValueError(f"the network reads rows with sparse={sparse!r}.")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"the network has the dtype {dtype!r}.")
    if type(loss) is not str or loss not in LOSSES:
        raise ValueError(f"there is no loss {loss!r} here.")
    if type(settings) not in (list, tuple) or not all(type(value) in (int, float) for value in settings):
        raise ValueError(f"the loss has the settings {settings!r}.")
    layers = _layers(description["layers"], OF_SEQUENCES if n_timesteps else OF_ROWS)
    if n_timesteps and not any(isinstance(layer, Recurrent) for layer in layers):
        raise ValueError("the network reads sequences without a recurrent layer.")
    try:
        return lower(
            layers, n_features, dtype=np.dtype(dtype).type, loss=loss, settings=settings, sparse=sparse,
            n_timesteps=n_timesteps,
        )  # fmt: skip
    except OverflowError:
        raise ValueError("the network is larger than any memory.") from None


def _layers(descriptions, allowed):
    if type(descriptions) not in (list, tuple):
        raise ValueError("the network has no list of layers.")
    return [_layer(description, allowed) for description in descriptions]


def _layer(description, allowed):
    if type(description) is not dict:
        raise ValueError("the network holds what is not a layer.")
    fields = dict(description)
    kind = fields.pop("kind", None)
    cls = LAYERS.get(kind) if type(kind) is str else None
    if cls is None:
        raise ValueError(f"there is a layer of an unknown kind, {kind!r}: was it written by a newer version?")
    if cls not in allowed:
        raise ValueError(f"a layer {kind} stands where the network cannot have it.")
    known = {field.name: field for field in dataclasses.fields(cls)}
    unknown = fields.keys() - known.keys()
    if unknown:
        raise ValueError(f"a layer {kind} has {sorted(unknown, key=str)}, too: was it written by a newer version?")
    missing = [name for name, field in known.items() if field.default is dataclasses.MISSING and name not in fields]
    if missing:
        raise ValueError(f"a layer {kind} has no {' and no '.join(missing)}.")
    if cls is Residual:
        fields["layers"] = tuple(_layers(fields["layers"], WITHIN))
    for name, value in fields.items():
        if not _is_field(name, known[name].type, value):
            raise ValueError(f"a layer {kind} has {name}={value!r}.")
    layer = cls(**fields)
    if isinstance(layer, Dense) and layer.normalization and layer.activation is None:
        raise ValueError("the last layer is normalised.")
    return layer


def _is_field(name, hint, value):
    """Whether a field of a layer has a value of its type, and of a size that can be."""
    if value is None:
        return hint in (str | None, int | None)
    if name in CHOICES:
        return type(value) is str and value in CHOICES[name]
    if hint is tuple:
        return True  # of layers that have been checked
    if hint is float:
        return type(value) in (int, float) and 0 <= value < (1 if name == "rate" else math.inf)
    if hint in (bool, str):
        return type(value) is hint
    return _is_size(value, 1)


def _is_size(value, least):
    return type(value) is int and least <= value <= LARGEST
