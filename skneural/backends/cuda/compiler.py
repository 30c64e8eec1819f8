"""Kernels by how they are made, each compiled once in a process and kept on disk."""

from functools import cache

from skneural.backends import compiling, sources
from skneural.backends.cuda import hub


def digest():
    """Hash of everything that decides what a kernel computes, besides its own closure."""
    return sources.digest("cuda", host={"engine", "run", "binding", "launches", "memory", "passes", "simulator"})


DIGEST = digest()

_KERNELS = {}


def digest_of(*formulas):
    """`DIGEST` and the code of formulas: what a kernel closes over."""
    return sources.digest_of(DIGEST, *formulas)


@cache
def formula(function):
    """Let kernels call a plain Python function."""
    return hub.register(function)


def kernel(make, *key):
    """The compiled kernel of ``make(*key)``. Compiling is serial: Numba's compiler cannot be entered by two threads."""
    with compiling.LOCK:
        found = _KERNELS.get((make, *key))
        if found is None:
            function = make(*key)
            function.__name__ = function.__qualname__ = sources.kernel_name(make, *key)
            found = compiling.compile_cached(
                function, lambda cached: hub.compile_function(function, cached=cached), forget=hub.forget
            )
            _KERNELS[make, *key] = found
        return found


def loaded(shared, *key):
    """The kernel of a maker and its arguments, on the current GPU, where its blocks may have so much shared memory."""
    with compiling.LOCK:
        found = kernel(*key)
        hub.load(found, shared)
        return found
