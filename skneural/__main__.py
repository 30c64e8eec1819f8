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


def _datasets():
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine

    return [
        ("digits", "classifier", load_digits, {"hidden_layer_sizes": (100,)}),
        ("breast_cancer", "classifier", load_breast_cancer, {"hidden_layer_sizes": (64, 32)}),
        ("wine", "classifier", load_wine, {"hidden_layer_sizes": (20, 10), "batch_size": 16}),
        ("diabetes", "regressor", load_diabetes, {"hidden_layer_sizes": (50,), "learning_rate_init": 0.01}),
    ]


def _estimator(package, task, settings):
    kind = package.MLPClassifier if task == "classifier" else package.MLPRegressor
    return kind(**{"random_state": 0, "max_iter": 300, **settings})


def _fit(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not every data set converges in 300 epochs, in either package
        return estimator.fit(X, y)


def _run(package, task, data, settings):
    """Score, seconds to fit, seconds to predict one row, number of epochs."""
    X_train, X_test, y_train, y_test = data
    estimator = _estimator(package, task, settings)
    begin = time.perf_counter()
    _fit(estimator, X_train, y_train)
    seconds = time.perf_counter() - begin
    predict = functools.partial(estimator.predict, X_test[:1])
    one_row = statistics.median(timeit.repeat(predict, number=1, repeat=200))
    return estimator.score(X_test, y_test), seconds, one_row, estimator.n_iter_


def _load():
    """The data sets, scaled: (name, task, (X_train, X_test, y_train, y_test), settings)."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    loaded = []
    for name, task, load, settings in _datasets():
        X, y = load(return_X_y=True)
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
        scaler = StandardScaler().fit(X_train)
        data = (scaler.transform(X_train), scaler.transform(X_test), y_train, y_test)
        loaded.append((name, task, data, settings))
    return loaded


def _compile_kernels(loaded):
    """Compile what the comparison uses, or load it, by one epoch on each data set: so no fit is timed with it."""
    import skneural

    print("First the kernels that these networks need: a first run compiles them, then they are kept on disk.")
    for name, task, (X, _, y, _), settings in loaded:
        print(f"{name}: kernels ...", end=" ", flush=True)
        begin = time.perf_counter()
        estimator = _estimator(skneural, task, {**settings, "max_iter": 1})
        _fit(estimator, X, y).predict(X[:1])
        print(f"{time.perf_counter() - begin:.2f} s", flush=True)
    print()


def compare():
    """Train both packages with equal settings on equal data; print one table."""
    import sklearn.neural_network

    import skneural

    print("scikit-learn's multi-layer perceptrons and skneural's, on data that comes with scikit-learn.", flush=True)
    loaded = _load()
    _compile_kernels(loaded)
    rows = []
    for name, task, data, settings in loaded:
        results = {}
        for label, package in (("scikit-learn", sklearn.neural_network), ("skneural", skneural)):
            print(f"{name}: fit of {label} ...", end=" ", flush=True)
            results[label] = _run(package, task, data, settings)
            print(f"{results[label][1]:.2f} s", flush=True)
        rows.append((name, task, data[0].shape, results))
    _print_table(rows)


def _print_table(rows):
    table = [
        ("data", "rows x features", "score", "", "epochs", "", "fit", "", "ratio", "one row", "", "ratio"),
        ("", "", "theirs", "ours", "theirs", "ours", "theirs", "ours", "", "theirs", "ours", ""),
    ]
    for name, task, (n, d), results in rows:
        theirs, ours = results.values()
        score_1, fit_1, one_1, epochs_1 = theirs
        score_2, fit_2, one_2, epochs_2 = ours
        row = [f"{name} (R2)" if task == "regressor" else name, f"{n} x {d}"]
        row += [f"{score_1:.3f}", f"{score_2:.3f}", str(epochs_1), str(epochs_2)]
        row += [f"{fit_1 * 1e3:.0f} ms", f"{fit_2 * 1e3:.0f} ms", f"{fit_1 / fit_2:.1f}x"]
        row += [f"{one_1 * 1e6:.0f} us", f"{one_2 * 1e6:.0f} us", f"{one_1 / one_2:.1f}x"]
        table.append(row)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print()
    for row in table:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
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
