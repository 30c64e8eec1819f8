"""What decides what a kernel computes, as a hash: part of the key under which a compiled kernel is kept on disk.

Numba's cache does not see edits in other files. Every kernel therefore closes over such a hash.
"""

import hashlib
import pathlib
import warnings

PACKAGE = pathlib.Path(__file__).parents[1]

_warned = False


def digest(backend, host, salt=""):
    """Hash of all sources that the kernels of a backend are made of.

    Parameters
    ----------
    backend : str
        Name of its folder.
    host : set of str
        Files in there that hold no kernels.
    salt : str, default=''
        What else decides, like the instruction set.
    """
    content = hashlib.sha256(salt.encode())
    sources = [*sorted((PACKAGE / "maths").glob("*.py")), PACKAGE / "network" / "program.py"]
    sources.append(PACKAGE / "backends" / "gates.py")
    sources += sorted(p for p in (PACKAGE / "backends" / backend).glob("*.py") if p.name not in host)
    for path in sources:
        content.update(path.read_bytes())
    return content.hexdigest()[:16]


def digest_of(base, *formulas):
    """`base` and the code of formulas, which users may have registered from elsewhere.

    What the code refers to by name counts: other functions by their code, everything else by its representation.
    """
    content, seen = hashlib.sha256(base.encode()), set()

    def add(function):
        if function in seen:
            return
        seen.add(function)
        code = function.__code__
        # Docstrings decide nothing, and ``python -OO`` has none in their place: it finds the same kernels.
        constants = [c for c in code.co_consts if c is not None and c is not function.__doc__]
        content.update(code.co_code + repr([getattr(c, "co_code", c) for c in constants]).encode())
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
        for value in [*(function.__globals__.get(name) for name in code.co_names), *cells]:
            if hasattr(value, "__code__"):
                add(value)
            elif not hasattr(value, "__dict__"):  # numbers and tuples; a module is what its name says
                content.update(repr(value).encode())

    for formula in formulas:
        add(formula)
    return content.hexdigest()[:16]


def kernel_name(make, *key):
    """Name of the kernel ``make(*key)``: it becomes the symbol that the linker sees."""
    words = (getattr(k, "name", getattr(k, "__name__", str(k))) for k in key)
    return "_".join([make.__name__.removeprefix("make_"), *words])


def compile_cached(compile_it):
    """``compile_it(cached=True)``, or without the cache, with a warning, where its folder cannot be written."""
    try:
        return compile_it(cached=True)
    except (RuntimeError, OSError) as error:
        if not isinstance(error, OSError) and "cannot cache" not in str(error):
            raise
        _warn_once(error)
        return compile_it(cached=False)


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
