"""What surrounds the compilers: damaged files of the cache, forks, Ctrl-C, and places without sources."""

import json
import os
import pathlib
import py_compile
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
import zipfile

import numba
import pytest
from numba.core.compiler_lock import global_compiler_lock

import skneural
from skneural.backends import compiling, devices, sources
from skneural.backends.cpu import compiler

PACKAGE = pathlib.Path(skneural.__file__).parent

# -- damaged files -----------------------------------------------------------------------------------------------------


def compile_small():
    """A small kernel; whether it came from the cache."""

    def small(number):
        pass

    return bool(compiler.compile_kernel("small", (numba.types.int64,), small)._cache_hits)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty folder that kernels are kept in."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


DAMAGES = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "cut off early": lambda content: content[:20],
    "cut off late": lambda content: content[:-1],
    "zeros": lambda content: bytes(len(content)),
    "garbage": lambda content: bytes(range(1, 256)) * 3,
    "text": lambda content: b"<html>No space left on device</html>",
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damaged_files_are_replaced(cache, recwarn, kind, how):
    assert not compile_small()
    assert compile_small()
    (path,) = cache.rglob(f"*.{kind}")
    path.write_bytes(DAMAGES[how](path.read_bytes()))
    assert not compile_small()
    assert compile_small()
    assert not recwarn


def test_damaged_file_that_cannot_be_replaced_is_done_without(monkeypatch):
    # A folder that can only be read, and a kernel in it that cannot.
    monkeypatch.setattr(compiling, "_warned", False)
    asked = []

    def compile_it(cached):
        asked.append(cached)
        if cached:
            raise EOFError("Ran out of input")
        return "compiled"

    def forget(function):
        raise PermissionError("read-only")

    with pytest.warns(RuntimeWarning, match="read-only"):
        assert compiling.compile_cached(compile_small, compile_it, forget) == "compiled"
    assert asked == [True, False]


def test_error_of_the_compiler_is_raised(cache):
    def wrong(number):
        number.there_is_no_such_thing()

    with pytest.raises(numba.core.errors.TypingError, match="there_is_no_such_thing"):
        compiler.compile_kernel("wrong", (numba.types.int64,), wrong)


# -- forks and Ctrl-C --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks on this system")
@pytest.mark.parametrize("lock", [compiling.LOCK, global_compiler_lock._lock], ids=["ours", "numba's"])
def test_fork_waits_for_another_thread_that_compiles(lock):
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(0.1)  # a fork that does not wait comes within that

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child == 0:
        os._exit(0 if lock.acquire(blocking=False) else 3)
    status = os.waitpid(child, 0)[1]
    thread.join()
    assert status == 0
    assert lock.acquire(blocking=False)
    lock.release()


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_while_compiling_waits_until_that_has_ended():
    done = []

    def compile_it(cached):
        press()
        done.append(cached)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        compiling.compile_cached(compile_small, compile_it, forget=None)
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_compiling_is_no_other_error():
    def compile_it(cached):
        press()
        raise RuntimeError("generator didn't stop")

    with pytest.raises(KeyboardInterrupt):
        compiling.compile_cached(compile_small, compile_it, forget=lambda function: None)


def test_ctrl_c_while_the_engine_is_loaded(monkeypatch):
    def load(name, *others):
        press()
        return load_before(name, *others)

    load_before = __import__
    monkeypatch.setattr("builtins.__import__", load)
    with pytest.raises(KeyboardInterrupt):
        devices.engine_of("cpu")
    monkeypatch.undo()
    assert devices.engine_of("cpu").__name__ == "skneural.backends.cpu.engine"


def test_handlers_of_others_are_called_afterwards(monkeypatch):
    calls = []
    before = signal.signal(signal.SIGINT, lambda *arguments: calls.append(arguments[0]))
    try:
        with compiling.interrupts_later():
            press()
            assert not calls
        assert calls == [signal.SIGINT]
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with compiling.interrupts_later():
            press()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone():
    seen = []

    def run():
        with compiling.interrupts_later():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


# -- what a hash is made of --------------------------------------------------------------------------------------------


@pytest.fixture
def byte_code(monkeypatch, tmp_path):
    """A function of a module's name and source that compiles it, and leaves no source."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, source):
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        py_compile.compile(str(path), cfile=str(path.with_suffix(".pyc")), dfile="/elsewhere/there.py", doraise=True)
        path.unlink()

    yield write
    for name in ("only_byte_code", "archived"):
        sys.modules.pop(name, None)


def test_byte_code_counts_where_there_is_no_source(byte_code):
    seen = []
    for source in ("def f(): return 1", "def f(): return 1  # a comment", "def f(): return 2", "def g(): return 2"):
        byte_code("only_byte_code", source)
        seen.append(sources._content_of("only_byte_code"))
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


def test_hash_of_code_does_not_depend_on_the_order_of_sets():
    one, other = frozenset([8, 0]), frozenset([0, 8])
    assert repr(one) != repr(other)
    code = compile("def f(x):\n    return x in {0, 8}, (1, 2)", "there", "exec")

    def with_constant(constant):
        inner = next(value for value in code.co_consts if isinstance(value, types.CodeType))
        constants = tuple(constant if isinstance(value, frozenset) else value for value in inner.co_consts)
        outer = tuple(
            inner.replace(co_consts=constants) if isinstance(value, types.CodeType) else value
            for value in code.co_consts
        )
        return sources.code_bytes(code.replace(co_consts=outer))

    assert with_constant(one) == with_constant(other)
    assert with_constant(one) != with_constant(frozenset([0, 9]))


def test_modules_that_cannot_be_listed_are_an_error(monkeypatch):
    # Else an edit of what is in there would go unnoticed, and a stale kernel be run.
    monkeypatch.setattr(sources.pkgutil, "iter_modules", lambda path: iter(()))
    with pytest.raises(ImportError, match=r"skneural\.maths cannot be listed"):
        sources.digest("cpu", host=set())


def test_function_without_source_is_kept_beside_its_byte_code(byte_code, tmp_path):
    byte_code("only_byte_code", "def f(x):\n    return x")
    import only_byte_code

    sources.locate(only_byte_code.f)
    assert only_byte_code.f.__code__.co_filename == str(tmp_path / "only_byte_code.pyc")
    assert only_byte_code.f(3) == 3


def test_function_in_an_archive_is_kept_beside_that(byte_code, monkeypatch, tmp_path):
    archive = tmp_path / "app.pyz"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archived.py", "def f(x):\n    return x")
    monkeypatch.syspath_prepend(archive)
    import archived

    sources.locate(archived.f)
    assert archived.f.__code__.co_filename == str(archive)


def test_functions_with_sources_and_without_a_module_stay_as_they_are():
    nowhere = {"__name__": "there is no such module"}
    exec(compile("def f(x): return x", "<cell of a notebook>", "exec"), nowhere)
    for function, name in ((compile_small, __file__), (nowhere["f"], "<cell of a notebook>")):
        sources.locate(function)
        assert function.__code__.co_filename == name


# -- places without sources --------------------------------------------------------------------------------------------

KERNEL = """
from skneural.backends.cpu.layers.activation import make_activation
from skneural.backends.cpu.compiler import kernel
from skneural.maths.activations import ACTIVATIONS
kernel(make_activation, np.float64, ACTIVATIONS["relu"])
result = None
"""
FIT = """
X = np.random.default_rng(0).normal(size=(20, 3))
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Stochastic Optimizer")
    est = skneural.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0).fit(X, X[:, 0])
result = est.predict(X).tolist()
"""
SCRIPT = """
import json, sys, warnings
import numpy as np
warnings.simplefilter("error")
import skneural
{work}
from skneural.backends.cpu.compiler import cache_state, compiled_kernels
kernels = compiled_kernels()
print(json.dumps([skneural.__file__, result, list(kernels.values()), cache_state()]))
"""


def copy_of_package(folder, *, byte_code_only, optimize=-1, parts=None):
    """A folder with a copy of the package, or of some folders of it."""
    if parts is None:
        shutil.copytree(PACKAGE, folder / "skneural", ignore=shutil.ignore_patterns("__pycache__"))
    for part in parts or ():
        shutil.copytree(PACKAGE / part, folder / "skneural" / part, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "skneural" / "__init__.py").touch()
    for path in folder.rglob("*.py") if byte_code_only else ():
        compiled = str(path.with_suffix(".pyc"))
        py_compile.compile(str(path), cfile=compiled, dfile=f"/build/{path.name}", doraise=True, optimize=optimize)
        path.unlink()
    return folder


def archive_of(folder, name):
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path in sorted((folder / "skneural").rglob("*.py*")):
            archive.write(path, path.relative_to(folder))
    shutil.rmtree(folder / "skneural")
    return folder / name


def run(place, work, *options, **environment):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA_", "COV_"))}
    environment = inherited | {"PYTHONPATH": str(place)} | environment
    command = [sys.executable, "-P", *options, "-c", SCRIPT.format(work=work)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kernels_of_byte_code_alone_are_compiled_and_kept(tmp_path):
    # The parts with kernels, which need no estimators and so not the seconds that those take to load.
    place = copy_of_package(tmp_path, byte_code_only=True, parts=["maths", "network", "layers", "backends"])
    file, _, hits, (folder, *_) = run(place, KERNEL)
    assert file == str(tmp_path / "skneural" / "__init__.pyc")
    assert hits == [False]
    assert folder == str(tmp_path / "skneural" / "backends" / "cpu" / "__pycache__")
    assert len(list(pathlib.Path(folder).parent.rglob("*.nbc"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("-OO",)], ids=["", "-OO"])
@pytest.mark.parametrize("kind", ["sources", "byte code", "zip", "pyz of byte code"])
def test_fits_where_there_are_no_files_of_sources(tmp_path, kind, options):
    byte_code_only = "byte code" in kind
    place = copy_of_package(tmp_path, byte_code_only=byte_code_only, optimize=2 if options else -1)
    if kind.startswith(("zip", "pyz")):
        place = archive_of(tmp_path, f"package.{kind[:3]}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        expected = run(PACKAGE.parent, FIT)[1]
    first, second = (run(place, FIT, *options, NUMBA_CACHE_DIR=str(tmp_path / "cache")) for _ in range(2))
    assert first[0].startswith(str(tmp_path))
    assert first[1] == second[1] == expected
    assert not any(first[2])
    assert all(second[2])
