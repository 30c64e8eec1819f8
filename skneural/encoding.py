"""Plain values as JSON and tensors, and back, without code and without trust.

None, booleans, text, finite floats, integers of 64 bits, and lists of these are JSON as they are; so are dicts whose
keys are text, unless they have one entry. An object of one entry is a tag and its content: ``{"tuple": [1, 2]}``, or
``{"array": "_state.s"}`` for an array that is a tensor beside the document. Types and bits come back exactly.
"""

import math
import struct

import numpy as np

#: Containers within containers.
DEEPEST = 50

#: Lists of as many numbers or arrays are one tensor: histories are long.
LONG = 20

#: Kinds of dtypes that files hold: numbers, and text of fixed width.
PLAIN = "biufcSU"

#: Arrays of these dtypes are tensors: what safetensors knows of numbers.
TENSORS = {np.dtype(code).name for code in np.typecodes["AllInteger"] + "efd?"}

#: NumPy's types of numbers, of those of one size the one that arrays have.
NUMBERS = {np.dtype(np.dtype(code).str).type for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?"}

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def is_tensor(dtype):
    """Whether arrays of a dtype can be tensors."""
    return dtype.isnative and dtype.name in TENSORS


def same(a, b):
    """Whether two values mean the same: list, tuple and array are one, nan is nan, generators are generators."""
    return bool(_meaning(a) == _meaning(b))


def _meaning(value):
    """What is equal where two values mean the same."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_meaning(item) for item in value]
    if isinstance(value, dict):
        return {key: _meaning(item) for key, item in value.items()}
    if isinstance(value, np.random.RandomState) or value != value:  # as nan
        return type(value)
    return value


# -- there -------------------------------------------------------------------------------------------------------------


class Encoder:
    """Turns values into what `json.dumps` takes.

    Attributes
    ----------
    tensors : dict of ndarray
        What the document refers to, by name: contiguous, of the dtypes in `TENSORS`.
    """

    def __init__(self):
        self.tensors = {}

    def encode(self, value, name, depth=0):
        """A value as JSON; its tensors get names that begin with `name`. It stands in `depth` containers.

        Raises
        ------
        TypeError
            For a value that is not data.
        ValueError
            For containers that hold themselves.
        """
        if depth > DEEPEST:
            raise ValueError(f"it holds itself, or containers nested more than {DEEPEST} times.")
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:
            return value if value.bit_length() < 64 else {"int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
        if kind is list:
            return self._stacked(value, name) or self._items(value, name, depth)
        if kind is tuple:
            return {"tuple": self._items(value, name, depth)}
        if kind is dict:
            return self._dict(value, name, depth)
        if kind in (np.ndarray, np.memmap):
            return self._array(value, name, depth)
        if kind is np.str_:
            return {"str_": str(value)}
        if kind is np.bytes_:
            return {"bytes_": value.hex()}
        if kind in NUMBERS:
            return {"number": [value.dtype.str, value.tobytes().hex()]}
        if kind is np.random.RandomState:
            state = value.get_state(legacy=False)
            return {"random": ["RandomState", self._dict(state, name, depth)]}
        raise TypeError(
            f"it holds an object of type {kind.__module__}.{kind.__qualname__}, and files hold data only: numbers, "
            "text, arrays, and lists, tuples and dicts of these."
        )

    def _items(self, items, name, depth):
        return [self.encode(item, f"{name}.{i}", depth + 1) for i, item in enumerate(items)]

    def _dict(self, value, name, depth):
        keys_are_text = all(type(key) is str for key in value)
        if len(value) == 1 or not keys_are_text:
            pairs = [list(pair) for pair in value.items()]
            return {"dict": self._items(pairs, name, depth)}
        entries = {}
        for key, item in value.items():
            part = key if key.isidentifier() else len(entries)
            entries[key] = self.encode(item, f"{name}.{part}", depth + 1)
        return entries

    def _array(self, array, name, depth):
        dtype = array.dtype
        if dtype.kind == "O":
            items = self._items(array.flat, name, depth)
            return {"objects": [list(array.shape), items]}
        if dtype.kind not in PLAIN or dtype.itemsize == 0:
            raise TypeError(f"it holds an array of {dtype!r}, and files hold numbers and text.")
        if is_tensor(dtype):
            return {"array": self._tensor(array, name)}
        data = array.tobytes().hex()
        return {"bytes": [dtype.str, list(array.shape), data]}

    def _tensor(self, array, name):
        self.tensors[name] = np.asarray(array, order="C")
        return name

    def _stacked(self, items, name):
        """A long list of numbers, or of arrays of one shape, as one tensor. None for other lists."""
        kinds = {type(item) for item in items}
        if len(items) < LONG or len(kinds) > 1:
            return None
        (kind,) = kinds
        if kind is float:
            return {"list": ["float", self._tensor(np.array(items), name)]}
        if kind is not np.ndarray and kind not in NUMBERS:
            return None
        first = items[0]
        are_alike = len({(item.dtype, item.shape) for item in items}) == 1
        if not are_alike or not is_tensor(first.dtype) or first.size == 0:
            return None
        if kind in NUMBERS:
            return {"list": ["number", self._tensor(np.array(items), name)]}
        if first.ndim > 0:
            return {"list": ["array", self._tensor(np.stack(items), name)]}
        return None


# -- and back ----------------------------------------------------------------------------------------------------------


class Decoder:
    """Turns JSON that an `Encoder` made into values.

    Parameters
    ----------
    tensors : dict of ndarray
        What the document refers to. Each can be taken once; what nothing refers to stays.
    """

    def __init__(self, tensors):
        self.tensors = tensors

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
        if len(node) != 1:
            return {key: self.decode(value) for key, value in node.items()}
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
            case "bytes":
                dtype, shape, data = content
                return array_from(bytes.fromhex(data), np.dtype(dtype), shape)
            case "number":
                dtype, data = content
                return array_from(bytes.fromhex(data), np.dtype(dtype), ())[()]
            case "str_":
                return np.str_(content)
            case "bytes_":
                return np.bytes_(bytes.fromhex(content))
            case "random":
                name, state = content
                return _make_random(name, self.decode(state))
            # Descriptions, as version 1 had them.
            case "type":
                return np.dtype(content).name
            case "layer" | "program" | "targets":
                kind, parts = content
                return {"kind": kind, **{part: self.decode(value) for part, value in parts.items()}}
        raise ValueError(f"there is a value of an unknown kind, {tag!r}: was it written by a newer version?")

    def _take(self, name):
        if name not in self.tensors:
            raise ValueError(f"the array {name!r} is missing.")
        array = self.tensors.pop(name)
        _check_items(array)
        return array

    def _unstacked(self, kind, name):
        array = self._take(name)
        if array.size == 0 or (array.ndim > 1) != (kind == "array"):
            raise ValueError(f"{name!r} is not a list.")
        if kind == "array":
            return [item.copy() for item in array]
        return array.tolist() if kind == "float" else list(array)

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
        If there are more or fewer bytes than that, for dtypes of other kinds than `PLAIN`, and for bytes that NumPy
        takes for granted not to occur.
    """
    if dtype.kind not in PLAIN:
        raise ValueError(f"an array has the dtype {dtype}, which is not allowed.")
    array = np.frombuffer(data, dtype).reshape(shape, order=order).copy(order="K")
    _check_items(array)
    return array


def _check_items(array):
    """Raise for bytes that NumPy takes for granted not to occur."""
    dtype = array.dtype
    if dtype.kind == "b" and array.view(np.uint8).max(initial=0) > 1:
        raise ValueError("an array holds booleans other than 0 and 1.")
    if dtype.kind == "U":
        code_point = np.dtype("u4").newbyteorder(dtype.byteorder)
        code_points = np.frombuffer(array.tobytes(), code_point)
        if code_points.max(initial=0) > 0x10FFFF:
            raise ValueError("a text holds characters that do not exist.")


def _make_random(name, state):
    """A random generator in a state, if that is a state of its kind: NumPy reads as much as it should be long."""
    bit_generator = state["bit_generator"]
    if bit_generator not in BIT_GENERATORS or name != "RandomState":
        raise ValueError(f"{name} with {bit_generator!r} is not a known random generator.")
    random = np.random.RandomState(getattr(np.random, bit_generator)(0))
    if _form(state) != _form(random.get_state(legacy=False)):
        raise ValueError("the state of a random generator is not one.")
    random.set_state(state)
    return random


def _form(value):
    """Types and shapes of the parts of a state."""
    if isinstance(value, dict):
        return {key: _form(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape
    return type(value)
