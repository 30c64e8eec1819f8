"""Command line: ``python -m skneural`` compares with scikit-learn on real data, ``python -m skneural info`` reports."""

import sys
import time
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


def _seconds_for_one_row(predict, row, repeats=200):
    predict(row)
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        predict(row)
        times.append(time.perf_counter() - begin)
    return sorted(times)[repeats // 2]


def _run(package, task, data, settings):
    """Score, seconds to fit, seconds to predict one row, number of epochs."""
    X_train, X_test, y_train, y_test = data
    estimator = getattr(package, "MLPClassifier" if task == "classifier" else "MLPRegressor")(
        random_state=0, max_iter=300, **settings
    )
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not every data set converges in 300 epochs, in either package
        estimator.fit(X_train, y_train)
    seconds = time.perf_counter() - begin
    one_row = _seconds_for_one_row(estimator.predict, X_test[:1])
    return estimator.score(X_test, y_test), seconds, one_row, estimator.n_iter_


def compare():
    """Train both packages with equal settings on equal data; print one table."""
    import sklearn.neural_network
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    import skneural

    print("Getting the compiled kernels ready (some seconds the first time) ...", flush=True)
    begin = time.perf_counter()
    skneural.warmup(["float64"])
    print(f"  {time.perf_counter() - begin:.1f} s\n")
    rows = []
    for name, task, load, settings in _datasets():
        X, y = load(return_X_y=True)
        data = train_test_split(X, y, random_state=0)
        scaler = StandardScaler().fit(data[0])
        data[:2] = [scaler.transform(part) for part in data[:2]]
        results = {}
        for label, package in (("scikit-learn", sklearn.neural_network), ("skneural", skneural)):
            print(f"{name}: {label} ...", end=" ", flush=True)
            results[label] = _run(package, task, data, settings)
            print(f"{results[label][1]:.2f} s")
        rows.append((name, task, data[0].shape, results))
    _print_table(rows)


def _print_table(rows):
    table = [
        ("data", "rows x features", "score", "", "epochs", "", "fit", "", "ratio", "one row", "", "ratio"),
        ("", "", "theirs", "ours", "theirs", "ours", "theirs", "ours", "", "theirs", "ours", ""),
    ]
    for name, task, (n, d), results in rows:
        (score_1, fit_1, one_1, epochs_1), (score_2, fit_2, one_2, epochs_2) = results.values()
        name = f"{name} (R2)" if task == "regressor" else name
        scores = f"{score_1:.3f}", f"{score_2:.3f}", str(epochs_1), str(epochs_2)
        fits = f"{fit_1 * 1e3:.0f} ms", f"{fit_2 * 1e3:.0f} ms", f"{fit_1 / fit_2:.1f}x"
        ones = f"{one_1 * 1e6:.0f} us", f"{one_2 * 1e6:.0f} us", f"{one_1 / one_2:.1f}x"
        table.append((name, f"{n} x {d}", *scores, *fits, *ones))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print()
    for row in table:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    print("\nEqual settings and data for both, kernels compiled beforehand, one run each; theirs is scikit-learn.")
    print("Initial weights and order of rows differ, so scores and numbers of epochs do too.")


def info():
    """Print what a bug report needs."""
    import contextlib
    import importlib.metadata
    import os
    import platform

    import skneural

    print(f"skneural      {skneural.__version__}")
    for name in ("numpy", "scipy", "numba", "llvmlite", "scikit-learn", "joblib", "numba-cuda"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # the last is optional
            print(f"{name:13} {importlib.metadata.version(name)}")
    print(f"Python        {platform.python_version()} on {platform.platform()}")

    from skneural.backends.cpu.compiler import cache_state
    from skneural.backends.cpu.simd import INSTRUCTION_SET
    from skneural.backends.devices import describe
    from skneural.estimators._threads import n_threads

    print(f"cores         {n_threads(None)} usable, {os.cpu_count()} in the machine")
    forced = " (forced by SKNEURAL_SIMD)" if os.environ.get("SKNEURAL_SIMD") else ""
    print(f"vectors       {INSTRUCTION_SET.name}, {8 * INSTRUCTION_SET.vector_bytes} bits{forced}")
    print(f"GPU           {describe()}")
    folder, writable, count, size = cache_state()
    print(f"cache folder  {folder or 'none: kernels are compiled anew in every process'}")
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
