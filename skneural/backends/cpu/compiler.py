"""Compile kernels one at a time, keep them on disk, hand out their addresses.

A kernel is a C function (``numba.cfunc``): arguments are integers and floats, no Python object is touched, so the same
pointer serves compiled callers and, through ctypes, Python, which lets go of the GIL around it.

Every kernel closes over `DIGEST`, a hash of all that decides what it computes (see `sources`).
"""

import os
import pathlib
from functools import cache
from types import FunctionType

from numba import cfunc, types
from numba.core.caching import FunctionCache
from numba.core.compiler_lock import global_compiler_lock
from numba.extending import register_jitable

from skneural.backends import compiling, sources
from skneural.backends.cpu.library import DIGEST

compiling.guard(global_compiler_lock)


def digest_of(*formulas):
    """`DIGEST` and the code of formulas: what a kernel closes over."""
    return sources.digest_of(DIGEST, *formulas)


#: Fused multiply-add, but no reordering (sums keep their order: same bits in any batch) and no promise that NaN does
#: not occur (a diverging fit must be seen).
STRICT = {"contract", "nsz", "arcp"}

#: Options of functions that only kernels call: strict arithmetic, and no wrappers, which would take a third of the
#: time to compile.
HELPER = {"fastmath": STRICT, "no_cfunc_wrapper": True, "no_cpython_wrapper": True}

#: Options of sums whose order is left to the compiler. Inlined, since the process that compiles a kernel would call
#: another version of them than one that loads it from the cache, and other bits would come out.
SUM = {**HELPER, "fastmath": STRICT | {"reassoc"}, "forceinline": True}


def helper(function, *key, options=HELPER):
    """A function that only kernels call and that closes over values, under a name that `key` makes its own.

    A kernel brings its helpers along. Where two that are loaded from the cache, compiled by different processes, bring
    helpers of one name, the linker keeps one for both: a network would run with the cell or the precision of another.
    """
    function.__qualname__ = "_".join([function.__name__, *map(str, key)])
    return register_jitable(**options)(function)


#: Kernels by how they were made: a kernel's address is only valid while the object that holds its code lives.
_KERNELS = {}


@cache
def formula(function):
    """Let compiled code call a plain Python function, inlined: a loop over numbers that calls does not vectorise."""
    register_jitable(**HELPER, forceinline=True)(function)
    return function


@cache
def merged(function):
    """A twin of a plain function that becomes a part of its caller before that is compiled: with its options."""
    twin = FunctionType(function.__code__, function.__globals__, function.__name__, None, function.__closure__)
    return register_jitable(inline="always")(twin)


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
    return compiling.compile_cached(
        function, lambda cached: _compile(name, arguments, function, returns, cache=cached), forget=_forget
    )


def _compile(name, arguments, function, returns, cache):
    function.__name__ = function.__qualname__ = name
    return cfunc(returns(*arguments), cache=cache, error_model="numpy", fastmath=STRICT)(function)


def compile_uncached(name, arguments, function, returns=types.void):
    """The same without the cache on disk: a kernel from it does not have its code as LLVM reads it any more."""
    return _compile(name, arguments, function, returns, cache=False)


def _forget(function):
    """Drop what is kept of a kernel on disk."""
    FunctionCache(function).flush()


def kernel(make, *key):
    """The compiled kernel ``make(*key)``, compiled at most once in a process.

    `make` returns ``(arguments, function)`` or ``(arguments, function, returns)``. Compiling is serial: Numba's
    compiler is not safe to enter from two threads.
    """
    found = _KERNELS.get((make, *key))
    if found is None:
        with compiling.LOCK:
            found = _KERNELS.get((make, *key))
            if found is None:
                arguments, function, *returns = make(*key)
                found = compile_kernel(sources.kernel_name(make, *key), arguments, function, *returns)
                _KERNELS[make, *key] = found
    return found


def address(make, *key):
    """Address of the kernel ``make(*key)`` as a Python integer."""
    return kernel(make, *key).address


def is_compiled(make, *key):
    """Whether the kernel ``make(*key)`` was compiled in this process, and did not come from the cache."""
    return not kernel(make, *key)._cache_hits


def compiled_kernels():
    """Names of the kernels of this process, and whether each came from the cache: for tests and bug reports."""
    return {sources.kernel_name(*key): bool(found._cache_hits) for key, found in _KERNELS.items()}


def cache_state():
    """Where kernels are kept: ``(folder, writable, number of kernels, bytes)``; the folder is None if there is none."""
    from skneural.backends.cpu.layers.dense import make_update  # whose kernels are kept in another folder

    folders = []
    for function in (cache_state, make_update):
        sources.locate(function)
        try:
            folders.append(pathlib.Path(FunctionCache(function).cache_path))
        except (RuntimeError, OSError):
            return None, False, 0, 0
    n_kernels = sum(len(list(folder.glob("*.nbi"))) for folder in folders)
    size = sum(path.stat().st_size for folder in folders for path in folder.glob("*.nb[ic]"))
    return str(folders[0]), os.access(folders[0], os.W_OK), n_kernels, size
