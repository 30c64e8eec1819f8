"""What a layer is: a frozen dataclass of plain settings that builds itself from a value to a value."""

import dataclasses
import functools
import math
from numbers import Integral, Real

import numpy as np

from skneural.maths.activations import ACTIVATIONS
from skneural.maths.augmentation import FILLS
from skneural.maths.cells import CELLS

#: Classes of layers by name: what a file may describe.
LAYERS = {}

#: Where the layers of the package are defined.
OURS = "skneural.layers."

#: Of a width: the product of two fits into 64 bits.
LARGEST = 2**31 - 1

#: Names that fields of layers may have.
CHOICES = {
    "activation": ACTIVATIONS,
    "normalization": ("batch", "layer"),
    "pooling": ("last", "mean", "max"),
    "padding": ("same", "causal", "valid"),
    "fill": FILLS,
    "cell": CELLS,
}

#: Words that fields of layers may have in the place of an integer.
WORDS = {"groups": ("depthwise",)}

#: Types of settings that are taken as they are.
PLAIN = (int, float, str, bool, type(None))


#: Numbers that fields of layers may have: the least, what they must be below, and both in words.
RANGES = {
    "rate": (0, 1, "a number in [0, 1)"),
    "deviation": (0, math.inf, "a number that is not negative"),
    "l1": (0, math.inf, "a number that is not negative"),
    "l2": (0, math.inf, "a number that is not negative"),
    "beta": (0, math.inf, "a number that is not negative"),
    "warmup": (0, math.inf, "a number of epochs that is not negative"),
    "rotation": (0, 360, "degrees in [0, 360)"),
    "width_shift": (0, 1, "a share in [0, 1)"),
    "height_shift": (0, 1, "a share in [0, 1)"),
    "zoom": (0, 1, "a share in [0, 1)"),
    "brightness": (0, math.inf, "a number that is not negative"),
    "contrast": (0, 1, "a share in [0, 1)"),
    "cutout": (0, 1, "a share in [0, 1)"),
    "jitter": (0, math.inf, "a number that is not negative"),
    "scaling": (0, math.inf, "a number that is not negative"),
    "time_shift": (0, 1, "a share in [0, 1)"),
    "time_warp": (0, 0.5, "a share in [0, 0.5)"),
}
ANY_NUMBER = (-math.inf, math.inf, "a finite number")


class Layer:
    """Base of all layers. Subclasses are frozen dataclasses, whose fields are the settings.

    A layer may stand wherever its input has a shape that it can read. It holds no weights: these belong to the
    estimator that is given the layer.

    Examples
    --------
    A layer may be made of others:

    >>> from dataclasses import dataclass
    >>> from skneural.layers import Dense, Layer, Residual
    >>> @dataclass(frozen=True)
    ... class Bottleneck(Layer):
    ...     units: int
    ...     activation: str = "relu"
    ...
    ...     def build(self, net, x):
    ...         (width,) = net.rows(x)
    ...         return net.stack([Residual((Dense(self.units, self.activation), Dense(width)))], x)
    """

    def __init_subclass__(cls):
        super().__init_subclass__()
        known = LAYERS.get(cls.__name__)
        if known is not None and known.__module__.startswith(OURS) and not cls.__module__.startswith(OURS):
            raise ValueError(f"There is a layer {cls.__name__} in skneural.layers: files would take one for the other.")
        LAYERS[cls.__name__] = cls

    def __repr__(self):
        shown = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING:
                shown.append(repr(value))
            elif value != field.default:
                shown.append(f"{field.name}={value!r}")
        return f"{name_of(self)}({', '.join(shown)})"

    def build(self, net, x):
        """Describe what the layer does with its input.

        Parameters
        ----------
        net : Builder
            Takes operations and parameters.
        x : Value
            The input.

        Returns
        -------
        Value
            The output.

        Raises
        ------
        ValueError
            If the layer cannot read a value of that shape.
        """
        raise NotImplementedError


def name_of(layer):
    """Name of a layer in messages."""
    return type(layer).__name__


def settings_of(layer):
    """Settings by name, numbers of any type as Python's: grid searches give NumPy's, whose integers overflow."""
    return {field.name: _plain(getattr(layer, field.name)) for field in dataclasses.fields(layer)}


def _plain(value):
    if isinstance(value, tuple):
        items = tuple(map(_plain, value))
        return value if all(a is b for a, b in zip(items, value, strict=True)) else items
    if type(value) in PLAIN:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list):
        return tuple(map(_plain, value))
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return value


def normalized(layer):
    """The same layer with settings of Python's own types.

    Raises
    ------
    TypeError
        If it is no layer.
    ValueError
        If a setting is not what it may be.
    """
    if not isinstance(layer, Layer) or not dataclasses.is_dataclass(layer):
        raise TypeError(f"Layers must be those of skneural.layers, or subclasses of Layer, got {layer!r}.")
    changed = {}
    for name, is_right, words in _checks(type(layer)):
        given = getattr(layer, name)
        value = _plain(given)
        if not is_right(value):
            raise ValueError(f"{name} of {name_of(layer)} must be {words}, got {given!r}.")
        if value is not given:
            changed[name] = value
    return dataclasses.replace(layer, **changed) if changed else layer


@functools.cache
def _checks(cls):
    """Of every setting of a layer its name, a function that says whether a value is right, and what that is in words.

    Settings of types that are unknown here may be anything.
    """
    checks = []
    for field in dataclasses.fields(cls):
        hint = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
        may_be_none = "None" in hint
        is_right, words = _rule(field.name, hint.removesuffix(" | None"))
        if may_be_none:
            is_right = _or_none(is_right)
            words += " or None"
        checks.append((field.name, is_right, words))
    return checks


def _is_size(value):
    return type(value) is int and 1 <= value <= LARGEST


def _are_sizes(values):
    return len(values) == 2 and all(map(_is_size, values))


def _or_none(is_right):
    return lambda value: value is None or is_right(value)


def _rule(name, hint):
    """What a setting of some name and type must be: a function, and in words."""
    if name in CHOICES:
        known = CHOICES[name]
        return lambda value: type(value) is str and value in known, f"one of {sorted(known)}"
    if hint == "bool":
        return lambda value: type(value) is bool, "True or False"
    if hint == "int":
        return _is_size, f"an integer from 1 to {LARGEST}"
    if hint == "int | str":
        known = WORDS.get(name, ())
        words = f"an integer from 1 to {LARGEST}, or one of {sorted(known)}"
        return lambda value: value in known if type(value) is str else _is_size(value), words
    if hint == "int | tuple":
        words = f"an integer from 1 to {LARGEST}, or two of them"
        return lambda value: _are_sizes(value if type(value) is tuple else (value, value)), words
    if hint == "float":
        least, limit, words = RANGES.get(name, ANY_NUMBER)

        def is_right(value):
            return type(value) in (int, float) and math.isfinite(value) and least <= value < limit

        return is_right, words
    return lambda value: True, "anything"
