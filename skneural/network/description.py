"""A network in words: what a program was lowered from as names, numbers, lists and dicts, and back without trust.

Pickles and files hold a description instead of a program. It is lowered anew, so no table of operations and no address
ever comes from outside; and nothing is as large as a description says before arrays have been held against it.
"""

import dataclasses

import numpy as np

from skneural.maths.losses import LOSSES
from skneural.network.layer import LARGEST, LAYERS, Layer, normalized, settings_of
from skneural.network.layers import Remains
from skneural.network.program import Source, lower

#: What a program is lowered from.
SOURCE = Source._fields

#: Layers by the names that they had in files of older versions, with what their settings were called.
RENAMED = {"Pool": ("GlobalPool", {"how": "pooling"})}


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
    source["layers"] = [describe_layer(layer) for layer in source["layers"]]
    source["dtype"] = np.dtype(source["dtype"]).name
    source["loss"] = str(source["loss"])
    source["settings"] = list(source["settings"])
    return {"kind": "Program", **source, "sparse": vars(program).get("sparse", False)}


def describe_layer(layer):
    """A layer as a dict: its settings by name, and the name of its class as ``"kind"``."""
    description = {"kind": type(layer).__name__}
    settings = vars(layer) if isinstance(layer, Remains) else settings_of(layer)
    for name, value in settings.items():
        if isinstance(value, Layer):
            value = describe_layer(value)
        elif isinstance(value, tuple):
            value = [describe_layer(item) if isinstance(item, Layer | Remains) else item for item in value]
        description[name] = value
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
    layers = layers_of(description["layers"])
    try:
        return lower(
            layers,
            n_features,
            dtype=np.dtype(dtype).type,
            loss=loss,
            settings=settings,
            sparse=sparse,
            n_timesteps=n_timesteps,
            training=False,
        )
    except OverflowError:
        raise ValueError("the network is larger than any memory.") from None
    except TypeError as error:
        raise ValueError(f"the network has a layer that cannot be: {error}") from None


def layers_of(descriptions):
    """Layers from what `describe_layer` made of them.

    Raises
    ------
    ValueError
        If they are none.
    """
    if type(descriptions) not in (list, tuple):
        raise ValueError("the network has no list of layers.")
    return [normalized(layer_of(description)) for description in descriptions]


def layer_of(description):
    """A layer from what `describe_layer` made of it. What its settings may be has not been looked at.

    Raises
    ------
    ValueError
        If it is none of a class that is known.
    """
    if type(description) is not dict:
        raise ValueError("the network holds what is not a layer.")
    settings = dict(description)
    kind = settings.pop("kind", None)
    if type(kind) is str and kind in RENAMED:
        kind, names = RENAMED[kind]
        settings = {names.get(name, name): value for name, value in settings.items()}
    cls = LAYERS.get(kind) if type(kind) is str else None
    if cls is None:
        raise ValueError(
            f"there is a layer of an unknown kind, {kind!r}: was it written by a newer version, or is it defined in a "
            "module that has to be imported first?"
        )
    known = {field.name: field for field in dataclasses.fields(cls)}
    unknown = settings.keys() - known.keys()
    if unknown:
        raise ValueError(f"a layer {kind} has {sorted(unknown, key=str)}, too: was it written by a newer version?")
    missing = [name for name, field in known.items() if field.default is dataclasses.MISSING and name not in settings]
    if missing:
        raise ValueError(f"a layer {kind} has no {' and no '.join(missing)}.")
    for name, value in settings.items():
        if type(value) is dict:
            settings[name] = layer_of(value)
        elif type(value) in (list, tuple):
            settings[name] = tuple(layer_of(item) if type(item) is dict else item for item in value)
    return cls(**settings)


def _is_size(value, least):
    return type(value) is int and least <= value <= LARGEST
