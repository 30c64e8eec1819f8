"""Command line: ``python -m skneural`` compares with scikit-learn on real data, ``python -m skneural info`` reports."""

import contextlib
import functools
import getpass
import importlib
import importlib.metadata
import os
import pathlib
import platform
import re
import statistics
import sys
import time
import timeit
import warnings

USAGE = """usage: python -m skneural [info]

  (nothing)  train classifier and regressor next to scikit-learn's on the data sets it comes with; a table
  info       versions, cores, vector instructions, GPUs, cache folder: what a bug report needs"""

HEADER = """\
data           rows x features       score          epochs               fit          ratio       one row      ratio
                                theirs    ours  theirs    ours    theirs      ours           theirs     ours"""
ROW = "{:13}  {:>15}  {:6.3f}  {:6.3f}  {:6}  {:6}  {:5.0f} ms  {:5.0f} ms  {:5.1f}x  {:4.0f} us  {:4.0f} us  {:5.1f}x"


def _datasets():
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

    return [
        ("digits", "classifier", load_digits, {"hidden_layer_sizes": (100,)}),
        ("breast_cancer", "classifier", load_breast_cancer, {"hidden_layer_sizes": (64, 32)}),
        ("wine", "classifier", load_wine, {"hidden_layer_sizes": (20, 10), "batch_size": 16}),
        ("diabetes", "regressor", load_diabetes, {"hidden_layer_sizes": (50,), "learning_rate_init": 0.01}),
    ]


def _run(package, task, data, settings):
    """Score, seconds to fit, seconds to predict one row, number of epochs."""
    X_train, X_test, y_train, y_test = data
    kind = package.MLPClassifier if task == "classifier" else package.MLPRegressor
    estimator = kind(**{"random_state": 0, "max_iter": 300, **settings})
    begin = time.perf_counter()
    with warnings.catch_warnings(action="ignore"):  # not every data set converges in 300 epochs, in either package
        estimator.fit(X_train, y_train)
    seconds = time.perf_counter() - begin
    predict = functools.partial(estimator.predict, X_test[:1])
    one_row = statistics.median(timeit.repeat(predict, number=1, repeat=200))
    return estimator.score(X_test, y_test), seconds, one_row, estimator.n_iter_


def compare():
    """Train both packages with equal settings on equal data; print one table."""
    import sklearn.neural_network
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    import skneural

    print("scikit-learn's multi-layer perceptrons and skneural's, on data that comes with scikit-learn.")
    print("A first run compiles kernels before each row, which are kept on disk then.\n")
    print(HEADER, flush=True)
    for name, task, load, settings in _datasets():
        X, y = load(return_X_y=True)
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
        scaler = StandardScaler().fit(X_train)
        data = (scaler.transform(X_train), scaler.transform(X_test), y_train, y_test)
        _run(skneural, task, data, {**settings, "max_iter": 1})  # so no fit is timed with kernels that are compiled
        score_1, fit_1, one_1, epochs_1 = _run(sklearn.neural_network, task, data, settings)
        score_2, fit_2, one_2, epochs_2 = _run(skneural, task, data, settings)
        label = f"{name} (R2)" if task == "regressor" else name
        shape = "{} x {}".format(*X_train.shape)
        fits = (1e3 * fit_1, 1e3 * fit_2, fit_1 / fit_2)
        rows = (1e6 * one_1, 1e6 * one_2, one_1 / one_2)
        print(ROW.format(label, shape, score_1, score_2, epochs_1, epochs_2, *fits, *rows), flush=True)
    print("\nEqual settings and data for both, kernels compiled beforehand, one run each; theirs is scikit-learn.")
    print("Initial weights and order of rows differ, so scores and numbers of epochs do too.")


def _versions():
    """Versions of what is imported, and of numba-cuda, which is optional. A frozen application has no metadata."""
    import skneural

    found = {"skneural": skneural.__version__}
    for name in ("numpy", "scipy", "numba", "llvmlite", "sklearn", "joblib"):
        found[name.replace("sklearn", "scikit-learn")] = importlib.import_module(name).__version__
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["numba-cuda"] = importlib.metadata.version("numba-cuda")
    return found


def _user():
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a number without a name, as in containers
        return None


def _public_path(path):
    """A path without what tells who and where: ``~`` for the home folder, no names of users and of the machine."""
    path = pathlib.PurePath(path)
    home = os.path.expanduser("~")
    for folder in map(pathlib.PurePath, (home, os.path.realpath(home))):
        if folder.name and path.is_relative_to(folder):
            path = pathlib.PurePath("~") / path.relative_to(folder)
    machine = platform.node()
    names = {_user(): "USER", machine: "HOST", machine.split(".")[0]: "HOST"}
    parts = []
    for before, part in zip(["", *path.parts], path.parts, strict=False):
        is_user = before in ("home", "Users")
        parts.append("USER" if is_user else names.get(part, part))
    return str(pathlib.PurePath(*parts))


def _public(text):
    """A message with paths as `_public_path` has them, and without the serial numbers of GPUs."""
    text = re.sub(r"(?:[A-Za-z]:)?[/\\][^\s'\"(),;]+", lambda found: _public_path(found[0]), text)
    return re.sub(r"\b(GPU|MIG)-[0-9a-fA-F][-0-9a-fA-F/]+", r"\1-...", text)


def info():
    """Print what a bug report needs, and nothing that should not stand in public."""
    from skneural.backends.cpu import library
    from skneural.backends.cpu.compiler import cache_state
    from skneural.backends.cpu.simd import INSTRUCTION_SET
    from skneural.backends.devices import describe
    from skneural.estimators._threads import n_threads

    for name, version in _versions().items():
        print(f"{name:13} {version}")
    print(f"Python        {platform.python_version()} on {platform.platform()}")
    print(f"cores         {n_threads(None)} usable, {os.cpu_count()} in the machine")
    forced = " (forced by SKNEURAL_SIMD)" if os.environ.get("SKNEURAL_SIMD") else ""
    print(f"vectors       {INSTRUCTION_SET.name}, {8 * INSTRUCTION_SET.vector_bytes} bits{forced}")
    print(f"GPU           {_public(describe())}")
    found, why = library.find()
    print(f"library       {'of compiled kernels: ' if found else 'none is used: '}{_public(why)}")
    folder, writable, count, size = cache_state()
    print(f"cache folder  {_public_path(folder) if folder else 'none: kernels are compiled anew in every process'}")
    if folder:
        print(f"cache state   {'writable' if writable else 'read-only'}, {count} kernels, {size / 1e6:.1f} MB")


def main(arguments):
    """Run the command line; the exit status."""
    commands = {(): compare, ("info",): info}
    command = commands.get(tuple(arguments))
    if command is None:
        print(USAGE)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    command()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
