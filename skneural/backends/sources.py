"""What decides what a kernel computes, as a hash: part of the key under which a compiled kernel is kept on disk.

Numba's cache does not see edits in other files. Every kernel therefore closes over such a hash. Sources are asked for
where Python has them from: files, an archive, an executable. Where there are none, the byte code counts.
"""

import hashlib
import importlib.machinery
import importlib.util
import pathlib
import pkgutil
import sys
import types

from skneural.layers import BUILT_IN
from skneural.network.operations import KINDS

PACKAGE = __name__.partition(".")[0]


def digest(backend, host, salt=""):
    """Hash of all sources that the kernels of a backend are made of.

    Parameters
    ----------
    backend : str
        Name of its folder.
    host : set of str
        Modules in there that hold no kernels.
    salt : str, default=''
        What else decides, like the instruction set.

    Raises
    ------
    ImportError
        If whatever Python loads the package with does not say which modules there are: the hash would miss an edit.
    """
    content = hashlib.sha256(salt.encode())
    names = _modules_of(f"{PACKAGE}.maths")
    names += [f"{PACKAGE}.network.operations", f"{PACKAGE}.backends.records", f"{PACKAGE}.backends.gates"]
    names += [name for name in _modules_of(f"{PACKAGE}.backends.{backend}") if name.rpartition(".")[2] not in host]
    names += _modules_of(f"{PACKAGE}.backends.{backend}.layers")
    kinds = {name: KINDS[name].details.descr for name in BUILT_IN}
    content.update(repr(kinds).encode())
    for name in names:
        content.update(_content_of(name))
    return content.hexdigest()[:16]


def _modules_of(package):
    """Dotted names of the modules of a package."""
    path = importlib.util.find_spec(package).submodule_search_locations  # not imported: this may be a part of doing so
    names = sorted(f"{package}.{module.name}" for module in pkgutil.iter_modules(path))
    if not names:
        raise ImportError(f"The modules of {package} cannot be listed where it is installed: {list(path)}.")
    return names


def import_modules(package):
    """Import all modules of a package."""
    for name in _modules_of(package):
        importlib.import_module(name)


def _content_of(module):
    """Source of a module as it is now, or the byte code where there is no source."""
    package, _, _ = module.rpartition(".")
    # The package is not imported: it may be one that needs the digest.
    path = importlib.util.find_spec(package).submodule_search_locations if package else None
    loader = importlib.machinery.PathFinder.find_spec(module, path).loader
    source = loader.get_source(module)
    return code_bytes(loader.get_code(module)) if source is None else source.encode()


def code_bytes(code):
    """What a code object does, the same in every process: unlike `marshal`, which writes sets in any order."""
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return b"|".join([code.co_code, repr(names).encode(), _constant_bytes(code.co_consts)])


def _constant_bytes(value):
    if isinstance(value, types.CodeType):
        return code_bytes(value)
    if isinstance(value, tuple | frozenset | set):
        parts = [_constant_bytes(part) for part in value]
        if not isinstance(value, tuple):
            parts.sort()
        return b"(" + b",".join(parts) + b")"
    return repr(value).encode()


def digest_of(base, *formulas):
    """`base` and the code of formulas, which users may have registered from elsewhere.

    What the code refers to by name counts: other functions by their code, everything else by its representation.
    """
    content = hashlib.sha256(base.encode())
    seen = set()

    def add(function):
        if function in seen:
            return
        seen.add(function)
        code = function.__code__
        content.update(code_bytes(code))
        values = [function.__globals__.get(name) for name in code.co_names]
        values += [cell.cell_contents for cell in function.__closure__ or ()]
        for value in values:
            if hasattr(value, "__code__"):
                add(value)
            elif not hasattr(value, "__dict__"):  # numbers and tuples; a module is what its name says
                content.update(_constant_bytes(value))

    for formula in formulas:
        add(formula)
    return content.hexdigest()[:16]


def locate(function):
    """Let a function name a file that exists, if the one that it was compiled from does not exist here.

    Numba keeps machine code beside that file, or in a folder named after it. Byte code without sources names a file of
    the machine where it was compiled, and a module in an archive one within: then it is the byte code, or the archive.
    """
    if pathlib.Path(function.__code__.co_filename).is_file():
        return
    origin = getattr(sys.modules.get(function.__module__), "__file__", None)
    if origin is None:
        return
    origin = pathlib.Path(origin)
    for path in (origin, *origin.parents):
        if path.is_file():
            function.__code__ = function.__code__.replace(co_filename=str(path))
            return


def kernel_name(make, *key):
    """Name of the kernel ``make(*key)``: it becomes the symbol that the linker sees."""
    return symbol(make.__name__.removeprefix("make_"), *key)


def symbol(name, *key):
    """The same of a kernel that is known by its name: that of its maker without ``make_``."""
    words = [getattr(item, "name", getattr(item, "__name__", str(item))) for item in key]
    return "_".join([name, *words])
