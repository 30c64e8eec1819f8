"""Find kernels by their names: in the library that came with the package, else by compiling them.

Nothing here loads a compiler before one is needed.
"""

import ctypes
import functools
import importlib

import numpy as np

from skneural.backends import compiling, sources
from skneural.backends.cpu import library
from skneural.backends.cpu.registry import KERNELS
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.cells import CELLS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.registry import Entry

#: Kernels that are not those of a kind of operation: the module that makes them, whether there is one for each type of
#: numbers, and one for each row of which registry.
OTHERS = {
    "activation": ("layers.activation", True, ACTIVATIONS),
    "lay_out": ("updates", True, None),
    "limit_spectrum": ("spectra", True, None),
    "loss_and_gradient": ("walker", False, None),
    "optimizer": ("updates", True, OPTIMIZERS),
    "output_forward": ("layers.loss", True, LINKS),
    "predict": ("walker", False, None),
    "product": ("product", True, None),
    "run_first": ("workers", False, None),
    "run_worker": ("workers", False, None),
    "train": ("walker", True, None),
    "window_product": ("windows", True, None),
}
REGISTRIES = {registry.label: registry for registry in (ACTIVATIONS, CELLS, LINKS, LOSSES, OPTIMIZERS)}

#: Addresses of the kernels that have been asked for.
_found = {}


def address(name, *key):
    """Address of the kernel ``make_<name>(*key)``.

    Parameters
    ----------
    name : str or callable
        Of what makes it; that itself is as good.
    *key : object
        Its arguments.
    """
    found = _found.get((name, *key))
    if found is None:
        found = _from_library(name, *key) or _compiled(name, *key)
        _found[name, *key] = found
    return found


def function(n_arguments, name, *key):
    """A kernel of so many integers that Python can call. Meanwhile it lets go of the GIL."""
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * n_arguments)
    return kind(address(name, *key))


def count():
    """How many kernels are ready in this process."""
    return len(_found)


def is_ready(name, *key):
    """Whether a kernel has been loaded or compiled in this process."""
    return (name, *key) in _found


def is_compiled(name, *key):
    """Whether a kernel that is ready has been compiled in this process, and was not on disk."""
    if _from_library(name, *key):
        return False
    from skneural.backends.cpu import compiler

    return compiler.is_compiled(maker_of(name), *key)


def is_built_in(name, *key):
    """Whether a kernel is none of users' own: another process knows it, and so may a library."""
    is_own = callable(name) and _is_own(name)
    return not is_own and all(entry.built_in for entry in key if isinstance(entry, Entry))


def symbol_of(name, *key):
    """Name of a kernel, which tells it from all others that are built in."""
    if callable(name):
        return sources.kernel_name(name, *key)
    return sources.symbol(name, *key)


def _from_library(name, *key):
    """Address of a kernel in the library, 0 if it is not there."""
    found, _ = library.find()
    if found is None or not is_built_in(name, *key):
        return 0
    return found.address(symbol_of(name, *key))


def _compiled(name, *key):
    make = maker_of(name)
    from skneural.backends.cpu import compiler

    return compiler.address(make, *key)


def maker_of(name):
    """What makes the kernels of that name. This loads the compiler."""
    if callable(name):
        return name
    if name in OTHERS:
        # Other threads, forks and Ctrl-C wait while it is loaded: half of it would be of no use.
        with compiling.LOCK, compiling.interrupts_later():
            module = importlib.import_module(f"{__package__}.{OTHERS[name][0]}")
        return getattr(module, f"make_{name}")
    for fields in of_layers().values():
        for make, _, _ in fields.values():
            if make.__name__ == f"make_{name}" and not _is_own(make):
                return make
    raise KeyError(name)


def _is_own(make):
    """Whether what makes a kernel is a user's own."""
    return not make.__module__.startswith(f"{__package__}.")


def of_layers():
    """The kernels of operations, as `registry` has them. This loads the compiler."""
    _import_layers()
    return KERNELS


@functools.cache
def _import_layers():
    with compiling.LOCK, compiling.interrupts_later():
        sources.import_modules(f"{__package__}.layers")  # they register their kernels


@functools.cache
def _library_fields():
    """The same of the library, with names for makers; of no kind where there is no library."""
    found, _ = library.find()
    kinds = {}
    for kind, fields in (found.layers if found else {}).items():
        kinds[kind] = {}
        for field, (name, options, label) in fields.items():
            registry = None if label is None else REGISTRIES[label]
            kinds[kind][field] = name, tuple(options), registry
    return kinds


def fields_of(kind):
    """Which kernels an operation has, users' own first: ``{field: (name or maker, options, registry)}``."""
    of_library = _library_fields().get(kind)
    if of_library is None:
        return of_layers()[kind]
    own = {field: row for field, row in KERNELS.get(kind, {}).items() if _is_own(row[0])}
    return of_library | own


def kernels_of(kind, row, dtype):
    """Kernels of an operation by their fields, each as what `address` takes.

    Parameters
    ----------
    kind : str
        Of operations.
    row : str or None
        The name of the cell or loss, where there is one.
    dtype : type
        Of numbers.
    """
    keys = {}
    for field, (name, options, registry) in fields_of(kind).items():
        entry = () if registry is None else (registry[row],)
        keys[field] = (name, dtype, *options, *entry)
    return keys


def every_kernel(dtypes):
    """What `address` takes, of all kernels."""
    wanted = [(name, (), is_typed, registry) for name, (_, is_typed, registry) in OTHERS.items()]
    for kind in sorted({*(_library_fields() or of_layers()), *KERNELS}):
        wanted += [(name, options, True, registry) for name, options, registry in fields_of(kind).values()]
    types = [np.dtype(dtype).type for dtype in dtypes]
    for name, options, is_typed, registry in wanted:
        entries = [()] if registry is None else [(entry,) for entry in registry.values()]
        for dtype in [(number,) for number in types] if is_typed else [()]:
            for entry in entries:
                yield (name, *dtype, *options, *entry)
