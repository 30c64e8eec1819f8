"""The library of kernels that a wheel brings along: machine code for one instruction set, which needs no compiler.

A library is a shared object with a function for every built-in kernel, beside an index: which sources it was made of,
what it asks of the processor, which kernels there are. It is used only where all of that fits; else kernels are
compiled. `build` makes libraries.
"""

import ctypes
import functools
import json
import os
import pathlib
import warnings
import zlib

from skneural.backends import sources
from skneural.backends.cpu.simd import INSTRUCTION_SET, host_features

#: Modules of this folder that hold no kernels.
HOST = {
    "engine",
    "buffers",
    "derivatives",
    "binding",
    "registry",
    "threads",
    "pool",
    "library",
    "catalogue",
    "crew",
    "build",
    "weights",
}


def digest(instruction_set=INSTRUCTION_SET.name):
    """Hash of everything that decides what a kernel computes, besides its own closure."""
    return sources.digest("cpu", host=HOST, salt=instruction_set)


DIGEST = digest()

#: Where libraries are.
FOLDER = pathlib.Path(__file__).parent / "libraries"
#: Before the names of functions in a library.
PREFIX = "skneural_"


def paths(instruction_set):
    """The library for an instruction set, and its index."""
    folder = pathlib.Path(os.environ.get("SKNEURAL_LIBRARY", FOLDER)).resolve()
    return folder / f"{instruction_set}.so", folder / f"{instruction_set}.json"


class Library:
    """Machine code that can be called.

    Parameters
    ----------
    code : ctypes.CDLL
    layers : dict
        Kernels of operations: ``{kind: {field: [name, options, registry]}}``.
    """

    def __init__(self, code, layers):
        self._code = code
        self.layers = layers

    def address(self, symbol):
        """Address of a kernel, 0 if it is not there."""
        try:
            found = self._code[PREFIX + symbol]
        except AttributeError:
            return 0
        return ctypes.cast(found, ctypes.c_void_p).value


@functools.cache
def find():
    """The library for this machine and these sources, or None; and why, in words."""
    name = INSTRUCTION_SET.name
    if os.environ.get("SKNEURAL_LIBRARY") == "":
        return None, "switched off by SKNEURAL_LIBRARY"
    code_path, index_path = paths(name)
    try:
        index = json.loads(index_path.read_text())
        code = code_path.read_bytes()
    except FileNotFoundError:
        return None, f"this installation has none for {name}"
    except (OSError, ValueError) as error:
        return _unusable(code_path, "cannot be read", error)
    try:
        if index["digest"] != DIGEST:
            return None, "it was made of other sources"
        missing = sorted(set(index["features"]) - host_features())
        if missing:
            return None, f"it needs {', '.join(missing)}"
        if zlib.crc32(code) != index["crc32"]:
            raise ValueError("its contents have changed")
        source = f"{name}, made with Numba {index['numba']} and LLVM {index['llvm']}"
        layers = {kind: dict(fields) for kind, fields in index["layers"].items()}
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        return _unusable(code_path, "is damaged", error)
    try:
        return Library(ctypes.CDLL(str(code_path)), layers), source
    except OSError as error:
        return _unusable(code_path, "cannot be loaded", error)


def _unusable(path, what, error):
    """Say that a library that is there is not used."""
    warnings.warn(
        f"The library of compiled kernels {what} ({path}: {error!r}). Kernels are compiled instead.",
        RuntimeWarning,
        stacklevel=3,
    )
    return None, f"it {what}"
