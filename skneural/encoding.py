"""Plain values as JSON and arrays, and back, without code and without trust.

None, booleans, text, finite floats, integers of 64 bits and lists of such are JSON as they are. Everything else is an
object of one entry, a tag and its content: ``{"tuple": [1, 2]}``, or ``{"array": "_params.0"}`` for an array that is
kept beside the document. Types and bits come back exactly.
"""

import math
import struct

import numpy as np

#: Containers within containers.
DEEPEST = 50

#: NumPy's types of numbers, of those of one size the one that arrays have.
NUMBERS = {np.dtype(np.dtype(code).str).type for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?"}

#: Tags of descriptions by their kind; those of all others are layers.
DESCRIPTIONS = {"Program": "program", "ClassTargets": "targets", "RealTargets": "targets"}

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


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
    if isinstance(a, np.random.RandomState):
        return type(a) is type(b)
    return bool(a == b or (a != a and b != b))


# -- there -------------------------------------------------------------------------------------------------------------


class Encoder:
    """Turns values into what `json.dumps` takes.

    Attributes
    ----------
    arrays : dict of ndarray
        What the document refers to, by name.
    """

    def __init__(self):
        self.arrays = {}
        self._place = ""

    def encode(self, value, place):
        """A value as JSON; its arrays get names that begin with `place`.

        Raises
        ------
        TypeError
            For a value that is not data.
        ValueError
            For containers that hold themselves.
        """
        self._place = place if place.isidentifier() else "array"
        return self._encode(value, 0)

    def encode_description(self, description, place):
        """A dict of plain values that says its ``"kind"``, and may hold others: a network, a layer, targets."""
        self._place = place
        return self._described(description)

    def _described(self, value):
        if type(value) is list:
            return {"tuple": [self._described(item) for item in value]}
        if type(value) is not dict:
            return self._encode(value, 0)
        content = {name: self._described(part) for name, part in value.items() if name != "kind"}
        if "dtype" in value:
            content["dtype"] = {"type": np.dtype(value["dtype"]).str}
        return {DESCRIPTIONS.get(value["kind"], "layer"): [value["kind"], content]}

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
        if kind is np.random.RandomState:
            state = value.get_state(legacy=False)
            return {"random": ["RandomState", dict(zip(state, inner(state.values()), strict=True))]}
        raise TypeError(
            f"it holds an object of type {kind.__module__}.{kind.__qualname__}, and files hold data only: numbers, "
            "text, arrays, and lists, tuples and dicts of these."
        )

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


# -- and back ----------------------------------------------------------------------------------------------------------


class Decoder:
    """Turns JSON that an `Encoder` made into values.

    Parameters
    ----------
    arrays : dict of ndarray
        What the document refers to. Each can be taken once; what nothing refers to stays.
    """

    def __init__(self, arrays):
        self.arrays = arrays

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
            case "random":
                name, state = content
                return _make_random(name, {part: self.decode(value) for part, value in state.items()})
            case "type":
                return np.dtype(content).name
            case "layer" | "program" | "targets":
                kind, parts = content
                return {"kind": kind, **{part: self.decode(value) for part, value in parts.items()}}
        raise ValueError(f"there is a value of an unknown kind, {tag!r}: was it written by a newer version?")

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


def _make_random(name, state):
    """A random generator in a state, if that is a state of its kind: NumPy reads as much as it should be long."""
    if state["bit_generator"] not in BIT_GENERATORS or name != "RandomState":
        raise ValueError(f"{name} with {state['bit_generator']!r} is not a known random generator.")
    random = np.random.RandomState(getattr(np.random, state["bit_generator"])(0))
    _check_alike(state, random.get_state(legacy=False))
    random.set_state(state)
    return random


def _check_alike(state, example):
    """Raise unless a part of a state has the types and shapes of an example."""
    same = type(state) is type(example)
    if same and isinstance(state, dict):
        same = state.keys() == example.keys()
        for key in example if same else ():
            _check_alike(state[key], example[key])
    elif same and isinstance(state, np.ndarray):
        same = state.dtype == example.dtype and state.shape == example.shape
    if not same:
        raise ValueError("the state of a random generator is not one.")
