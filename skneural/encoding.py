"""Values as JSON and arrays, and back, without code and without trust.

None, booleans, text, finite floats, integers of 64 bits and lists of such are JSON as they are. Everything else is an
object of one entry, a tag and its content: ``{"tuple": [1, 2]}``, or ``{"array": "_params.0"}`` for an array that is
kept beside the document. Types and bits come back exactly. The decoder trusts nothing: classes come from lists of our
own, a program is lowered anew from its layers, and what could lead to memory of others is checked.
"""

import dataclasses
import math
import struct
import typing

import numpy as np

from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES
from skneural.network import layers as layers_module
from skneural.network.program import Program, lower

#: Containers within containers.
DEEPEST = 50
#: Of a width: the product of two fits into 64 bits.
LARGEST = 2**31 - 1

#: NumPy's types of numbers, of those of one size the one that arrays have.
NUMBERS = {np.dtype(np.dtype(code).str).type for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?"}

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
#: Places in the tables of bit generators, which NumPy does not check, and their largest values.
LIMITS = {"pos": 624, "buffer_pos": 4}

#: What a program was lowered from.
SOURCE = ("layers", "n_features", "dtype", "loss", "settings", "n_timesteps")


def classes_of(module):
    """Classes that a module defines, by name."""
    members = vars(module).items()
    return {name: cls for name, cls in members if isinstance(cls, type) and cls.__module__ == module.__name__}


def layer_classes():
    """Classes of layers by name."""
    return {name: cls for name, cls in classes_of(layers_module).items() if dataclasses.is_dataclass(cls)}


def is_plain(dtype):
    """Whether the items of a dtype are numbers or text of fixed width, and nothing but bytes."""
    return dtype.kind in "biufcSU" and dtype.names is None and dtype.subdtype is None


def same(a, b):
    """Whether two values mean the same: list, tuple and array are one, nan is nan, generators are generators."""
    a, b = (value.tolist() if isinstance(value, np.ndarray | np.generic) else value for value in (a, b))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.random.RandomState | np.random.Generator):
        return type(a) is type(b)
    return bool(a == b or (a != a and b != b))


# -- there -------------------------------------------------------------------------------------------------------------


class Encoder:
    """Turns values into what `json.dumps` takes.

    Parameters
    ----------
    targets : dict of type
        Classes of targets by name: they stand above this module.

    Attributes
    ----------
    arrays : dict of ndarray
        What the document refers to, by name.
    """

    def __init__(self, targets):
        self.targets, self.arrays, self._place = targets, {}, ""

    def encode(self, value, place):
        """A value as JSON; its arrays get names that begin with `place`.

        Raises
        ------
        TypeError
            For a value that is not data.
        ValueError
            For containers that hold themselves, and for layers that could not be read back.
        """
        self._place = place if place.isidentifier() else "array"
        return self._encode(value, 0)

    def _encode(self, value, depth):
        if depth > DEEPEST:
            raise ValueError(f"it holds itself, or containers nested more than {DEEPEST} times.")
        kind = type(value)

        def inner(items):
            return [self._encode(item, depth + 1) for item in items]

        if value is None or kind in (bool, str):
            return value
        if kind is int:
            return value if value.bit_length() < 64 else {"int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
        if kind is list:
            return self._stacked(value) or inner(value)
        if kind is tuple:
            return {"tuple": inner(value)}
        if kind is dict:
            return {"dict": [inner(pair) for pair in value.items()]}
        if kind in (np.ndarray, np.memmap):
            if value.dtype.kind == "O":
                return {"objects": [list(value.shape), inner(value.flat)]}
            return {"array": self._store(value)}
        if kind is np.str_:
            return {"str_": str(value)}
        if kind is np.bytes_:
            return {"bytes_": value.hex()}
        if kind in NUMBERS:
            return {"number": [value.dtype.str, value.tobytes().hex()]}
        if kind is type and value in NUMBERS:
            return {"type": np.dtype(value).str}
        if isinstance(value, np.dtype) and is_plain(value):
            return {"dtype": value.str}
        tag, parts = _parts_of(value, self.targets)
        return {tag: [kind.__name__, dict(zip(parts, inner(parts.values()), strict=True))]}

    def _store(self, array):
        if not is_plain(array.dtype) or array.dtype.itemsize == 0:
            raise TypeError(f"it holds an array of {array.dtype!r}, and files hold numbers and text.")
        name = f"{self._place}.{len(self.arrays)}"
        self.arrays[name] = array
        return name

    def _stacked(self, items):
        """A list of numbers, or of arrays of one shape, as one array: histories are long. None for other lists."""
        kinds = {type(item) for item in items}
        if kinds == {float}:
            return {"list": ["float", self._store(np.array(items))]}
        if len(kinds) == 1 and kinds <= NUMBERS:
            return {"list": ["number", self._store(np.array(items))]}
        if kinds == {np.ndarray} and len({(item.dtype, item.shape) for item in items}) == 1:
            first = items[0]
            if first.ndim and first.size and is_plain(first.dtype) and first.dtype.isnative:
                return {"list": ["array", self._store(np.stack(items))]}
        return None


def _parts_of(value, targets):
    """Tag and parts of an object of a class that is known."""
    kind = type(value)
    if kind in (np.random.RandomState, np.random.Generator):
        state = value.get_state(legacy=False) if kind is np.random.RandomState else value.bit_generator.state
        if state["bit_generator"] in BIT_GENERATORS:
            return "random", state
    if kind is Program:
        return "program", dict(zip(SOURCE, value.source, strict=True))
    if kind in layer_classes().values():
        check_layer(value)
        return "layer", {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if kind in targets.values():
        return "targets", vars(value)
    raise TypeError(
        f"it holds an object of type {kind.__module__}.{kind.__qualname__}, and files hold data only: numbers, text, "
        "arrays, and lists, tuples and dicts of these."
    )


# -- and back ----------------------------------------------------------------------------------------------------------


class Decoder:
    """Turns JSON that an `Encoder` made into values.

    Parameters
    ----------
    arrays : dict of ndarray
        What the document refers to. Each can be taken once; what nothing refers to stays.
    targets : dict of type
        Classes of targets by name.
    """

    def __init__(self, arrays, targets):
        self.arrays, self.targets = arrays, targets

    def decode(self, node):
        """The value of a part of the document.

        Raises
        ------
        ValueError
            For what is recognised as wrong; damaged documents may end in almost any exception.
        """
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        ((tag, content),) = node.items()
        match tag:
            case "int":
                return int(content, 16)
            case "float":
                return struct.unpack(">d", bytes.fromhex(content))[0]
            case "tuple":
                return tuple(self.decode(item) for item in content)
            case "dict":
                return {self.decode(key): self.decode(value) for key, value in content}
            case "array":
                return self._take(content)
            case "list":
                return self._unstacked(*content)
            case "objects":
                return self._objects(*content)
            case "str_":
                return np.str_(content)
            case "bytes_":
                return np.bytes_(bytes.fromhex(content))
            case "number":
                return array_from(bytes.fromhex(content[1]), np.dtype(content[0]), ())[()]
            case "type":
                return _dtype(content).type
            case "dtype":
                return _dtype(content)
        makers = {"random": _make_random, "layer": _make_layer, "program": _make_program, "targets": self._targets}
        if tag not in makers:
            raise ValueError(f"there is a value of an unknown kind, {tag!r}: was it written by a newer version?")
        name, parts = content
        return makers[tag](name, {part: self.decode(value) for part, value in parts.items()})

    def _take(self, name):
        if name not in self.arrays:
            raise ValueError(f"the array {name!r} is missing.")
        return self.arrays.pop(name)

    def _unstacked(self, kind, name):
        array = self._take(name)
        if array.size and array.ndim == 1 and kind == "number":
            return list(array)
        if array.size and array.ndim == 1 and kind == "float" and array.dtype == np.float64:
            return array.tolist()
        if array.size and array.ndim > 1 and kind == "array":
            return [item.copy() for item in array]
        raise ValueError(f"{name!r} is not a list.")

    def _objects(self, shape, items):
        array = np.empty(len(items), object)
        for i, item in enumerate(items):
            array[i] = self.decode(item)
        return array.reshape(shape)

    def _targets(self, name, attributes):
        cls = self.targets.get(name)
        if cls is None or any(callable(getattr(cls, attribute, None)) for attribute in attributes):
            raise ValueError(f"there are targets of an unknown kind, {name!r}: was it written by a newer version?")
        targets = object.__new__(cls)
        vars(targets).update(attributes)
        return targets


def array_from(data, dtype, shape, order="C"):
    """An array of its own from bytes.

    Raises
    ------
    ValueError
        If there are more or fewer bytes than that, for dtypes that are not plain, and for bytes that NumPy takes for
        granted not to occur.
    """
    if not is_plain(dtype) or (dtype.itemsize == 0):
        raise ValueError(f"an array has the dtype {dtype}, which is not allowed.")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"an array of shape {shape} and dtype {dtype} has {len(data)} bytes.")
    array = np.ndarray(shape, dtype, buffer=data, order=order).copy(order="K")
    if dtype.kind == "b" and max(data, default=0) > 1:
        raise ValueError("an array holds booleans other than 0 and 1.")
    if dtype.kind == "U":
        points = np.ndarray(len(data) // 4, np.dtype("u4").newbyteorder(dtype.byteorder), buffer=data)
        if points.max(initial=0) > 0x10FFFF:
            raise ValueError("a text holds characters that do not exist.")
    return array


def _dtype(text):
    dtype = np.dtype(text)
    if not is_plain(dtype):
        raise ValueError(f"{text!r} is not an allowed dtype.")
    return dtype


def _make_random(name, state):
    """A random generator in a state, if that is a state of its kind: NumPy reads wherever it says."""
    if state["bit_generator"] not in BIT_GENERATORS or name not in ("RandomState", "Generator"):
        raise ValueError(f"{name} with {state['bit_generator']!r} is not a known random generator.")
    bits = getattr(np.random, state["bit_generator"])(0)
    if name == "Generator":
        _check_alike(state, bits.state)
        bits.state = state
        return np.random.Generator(bits)
    random = np.random.RandomState(bits)
    _check_alike(state, random.get_state(legacy=False))
    random.set_state(state)
    return random


def _check_alike(state, example):
    same = type(state) is type(example)
    if same and isinstance(state, dict):
        same = state.keys() == example.keys()
        for key in example if same else ():
            _check_alike(state[key], example[key])
            same = same and (key not in LIMITS or 0 <= state[key] <= LIMITS[key])
    elif same and isinstance(state, np.ndarray):
        same = state.dtype == example.dtype and state.shape == example.shape
    if not same:
        raise ValueError("the state of a random generator is not one.")


def _make_layer(name, fields):
    classes = layer_classes()
    if name not in classes or not fields.keys() <= {field.name for field in dataclasses.fields(classes[name])}:
        raise ValueError(f"there is a layer of an unknown kind, {name!r}: was it written by a newer version?")
    layer = classes[name](**fields)
    check_layer(layer)
    return layer


def check_layer(layer):
    """Raise unless the fields of a layer are of their types, and of sizes that can be.

    Raises
    ------
    ValueError
        If they are not.
    """
    known = tuple(layer_classes().values())
    for name, hint in typing.get_type_hints(type(layer)).items():
        value = getattr(layer, name)
        if hint is int:
            good = type(value) is int and 1 <= value <= LARGEST
        elif hint is float:
            good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        elif hint is tuple:
            good = type(value) is tuple and all(isinstance(item, known) for item in value)
        else:
            good = isinstance(value, hint)
        if not good or (name == "rate" and value >= 1):
            raise ValueError(f"a layer {type(layer).__name__} has {name}={value!r}.")
        if name == "activation" and value is not None and value not in ACTIVATIONS:
            raise ValueError(f"there is no activation {value!r} here.")


def _make_program(name, source):
    if source.keys() != set(SOURCE):
        raise ValueError("a network is described in other words: was it written by a newer version?")
    layers, n_features, dtype, loss, settings, n_timesteps = (source[key] for key in SOURCE)
    if type(layers) is not tuple or not all(isinstance(layer, tuple(layer_classes().values())) for layer in layers):
        raise ValueError("a network holds what is not a layer.")
    if type(n_features) is not int or not 1 <= n_features <= LARGEST:
        raise ValueError(f"a network has {n_features!r} inputs.")
    if type(n_timesteps) is not int or not 0 <= n_timesteps <= LARGEST:
        raise ValueError(f"a network reads {n_timesteps!r} time steps.")
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"a network has the dtype {dtype!r}.")
    if loss not in LOSSES:
        raise ValueError(f"there is no loss {loss!r} here.")
    if type(settings) is not tuple or not all(isinstance(value, int | float) for value in settings):
        raise ValueError(f"a loss has the settings {settings!r}.")  # how many, a fit finds out anew
    return lower(layers, n_features, dtype=dtype, loss=loss, settings=settings, n_timesteps=n_timesteps)
