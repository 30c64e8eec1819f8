"""Compile kernels one at a time, keep them on disk, hand out their addresses.

A kernel is a C function (``numba.cfunc``): arguments are integers and floats, no Python object is touched, so the same
pointer serves compiled callers and, through ctypes, Python, which lets go of the GIL around it.

Numba's cache does not see edits in other files. Every kernel therefore closes over `DIGEST`, a hash of all kernel
sources and of the instruction set, which Numba makes part of the cache key.
"""

import hashlib
import os
import pathlib
import threading
import warnings
from functools import cache

from numba import cfunc, types
from numba.extending import register_jitable

from skneural.backends.cpu.simd import INSTRUCTION_SET

_PACKAGE = pathlib.Path(__file__).parents[2]
_HOST = {"engine.py", "binding.py", "frame.py"}  # no kernels there
_SOURCES = sorted([*(_PACKAGE / "maths").glob("*.py"), *(_PACKAGE / "network").glob("program.py")])
_SOURCES += sorted(p for p in (_PACKAGE / "backends" / "cpu").glob("*.py") if p.name not in _HOST)


def digest():
    """Hash of everything that decides what a kernel computes, besides its own closure."""
    content = hashlib.sha256(INSTRUCTION_SET.name.encode())
    for path in _SOURCES:
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


DIGEST = digest()


def digest_of(*formulas):
    """`DIGEST` and the code of formulas, which users may have registered from elsewhere: what a kernel closes over.

    What the code refers to by name counts: other functions by their code, everything else by its representation.
    """
    content, seen = hashlib.sha256(DIGEST.encode()), set()

    def add(function):
        if function in seen:
            return
        seen.add(function)
        code = function.__code__
        content.update(code.co_code + repr([getattr(c, "co_code", c) for c in code.co_consts]).encode())
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        for value in [*(function.__globals__.get(name) for name in code.co_names), *cells]:
            if hasattr(value, "__code__"):
                add(value)
            elif not hasattr(value, "__dict__"):  # numbers and tuples; a module is what its name says
                content.update(repr(value).encode())

    for formula in formulas:
        add(formula)
    return content.hexdigest()[:16]


#: Fused multiply-add, but no reordering (sums keep their order: same bits in any batch) and no promise that NaN does
#: not occur (a diverging fit must be seen).
STRICT = {"contract", "nsz", "arcp"}

#: Options of functions that only kernels call: strict arithmetic, and no wrappers, which would take a third of the
#: time to compile.
HELPER = {"fastmath": STRICT, "no_cfunc_wrapper": True, "no_cpython_wrapper": True}


def helper(function, *key):
    """A function that only kernels call and that closes over values, under a name that `key` makes its own.

    A kernel brings its helpers along. Where two that are loaded from the cache, compiled by different processes, bring
    helpers of one name, the linker keeps one for both: a network would run with the cell or the precision of another.
    """
    function.__qualname__ = "_".join([function.__name__, *map(str, key)])
    return register_jitable(**HELPER)(function)


#: Kernels by how they were made: a kernel's address is only valid while the object that holds its code lives.
_KERNELS = {}
_LOCK = threading.RLock()
_warned = False


@cache
def formula(function):
    """Let compiled code call a plain Python function, inlined: a loop over numbers that calls does not vectorise."""
    register_jitable(**HELPER, forceinline=True)(function)
    return function


def compile_kernel(name, arguments, function, returns=types.void):
    """Compile `function` as the kernel called `name`, or load it from the cache on disk.

    Parameters
    ----------
    name : str
        Unique for what the kernel computes: it becomes the symbol that the linker sees.
    arguments : tuple of numba types
    function : callable
        Must refer to `DIGEST` through its closure, else an edit elsewhere leaves a stale kernel in the cache.
    """
    function.__name__ = function.__qualname__ = name
    signature = returns(*arguments)
    options = {"error_model": "numpy", "fastmath": STRICT}
    try:
        return cfunc(signature, cache=True, **options)(function)
    except (RuntimeError, OSError) as error:
        if not isinstance(error, OSError) and "cannot cache" not in str(error):
            raise
        _warn_once(error)
        return cfunc(signature, **options)(function)


def _warn_once(error):
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "skneural compiles its kernels anew in this process, because the folder for the compiled ones cannot be "
            f"written ({error}). Set NUMBA_CACHE_DIR to a folder that can.",
            RuntimeWarning,
            stacklevel=2,
        )


def kernel(make, *key):
    """The compiled kernel ``make(*key)``, compiled at most once in a process.

    `make` returns ``(arguments, function)`` or ``(arguments, function, returns)``. Compiling is serial: Numba's
    compiler is not safe to enter from two threads.
    """
    found = _KERNELS.get((make, *key))
    if found is None:
        with _LOCK:
            found = _KERNELS.get((make, *key))
            if found is None:
                arguments, function, *returns = make(*key)
                found = compile_kernel(_name(make, *key), arguments, function, *returns)
                _KERNELS[make, *key] = found
    return found


def _name(make, *key):
    words = (getattr(k, "name", getattr(k, "__name__", str(k))) for k in key)
    return "_".join([make.__name__.removeprefix("make_"), *words])


def address(make, *key):
    """Address of the kernel ``make(*key)`` as a Python integer."""
    return kernel(make, *key).address


def compiled_kernels():
    """Names of the kernels of this process, and whether each came from the cache: for tests and bug reports."""
    return {_name(*key): bool(found._cache_hits) for key, found in _KERNELS.items()}


def cache_state():
    """Where kernels are kept: ``(folder, writable, number of kernels, bytes)``; the folder is None if there is none."""
    from numba.core.caching import FunctionCache

    try:
        folder = pathlib.Path(FunctionCache(cache_state).cache_path)
    except (RuntimeError, OSError):
        return None, False, 0, 0
    indexes = list(folder.glob("*.nbi"))
    size = sum(path.stat().st_size for path in folder.glob("*.nb[ic]"))
    return str(folder), os.access(folder, os.W_OK), len(indexes), size
