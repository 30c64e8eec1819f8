"""What a layer is: a frozen dataclass of plain settings that builds itself from a value to a value."""

import dataclasses
import math
from numbers import Integral, Real

from skneural.maths.activations import ACTIVATIONS
from skneural.maths.cells import CELLS

#: Classes of layers by name: what a file may describe.
LAYERS = {}

#: Of a width: the product of two fits into 64 bits.
LARGEST = 2**31 - 1

#: Names that fields of layers may have.
CHOICES = {
    "activation": ACTIVATIONS,
    "normalization": ("batch", "layer"),
    "pooling": ("last", "mean", "max"),
    "cell": CELLS,
}


#: Numbers that fields of layers may have: the least, what they must be below, and both in words.
RANGES = {
    "rate": (0, 1, "a number in [0, 1)"),
    "deviation": (0, math.inf, "a number that is not negative"),
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
        LAYERS[cls.__name__] = cls

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
    values = {}
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, str):
            value = str(value)
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(value, Integral) and not isinstance(value, bool):
            value = int(value)
        elif isinstance(value, Real) and not isinstance(value, bool):
            value = float(value)
        values[field.name] = value
    return values


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
    settings = settings_of(layer)
    for field in dataclasses.fields(layer):
        words = expected(field, settings[field.name])
        if words is not None:
            raise ValueError(f"{field.name} of {name_of(layer)} must be {words}, got {settings[field.name]!r}.")
    return dataclasses.replace(layer, **settings)


def expected(field, value):
    """What a setting must be, in words; None if it is that. Settings of unknown types may be anything."""
    hint = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    if value is None and "None" in hint:
        return None
    or_none = " or None" if "None" in hint else ""
    hint = hint.removesuffix(" | None")
    if field.name in CHOICES:
        known = CHOICES[field.name]
        return None if isinstance(value, str) and value in known else f"one of {sorted(known)}{or_none}"
    if hint == "bool":
        return None if type(value) is bool else "True or False"
    if hint == "int":
        fine = type(value) is int and 1 <= value <= LARGEST
        return None if fine else f"an integer from 1 to {LARGEST}{or_none}"
    if hint == "float":
        least, limit, words = RANGES.get(field.name, ANY_NUMBER)
        fine = type(value) in (int, float) and math.isfinite(value) and least <= value < limit
        return None if fine else words + or_none
    return None
