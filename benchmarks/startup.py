"""Start-up of whole processes, from their start to their end: import, load data and fit, and the very first fit.

    python benchmarks/startup.py [--smoke]
    SKNEURAL_LIBRARY=FOLDER python benchmarks/startup.py

In the timed region: a fresh Python process, start of the interpreter and its end included. The fits are those of the
estimators with default settings on data that scikit-learn bundles. "Warm" means that a process before has filled the
caches (bytecode and kernels), as is true for every process of a user but the first. "Empty cache" gives every process a
new folder for kernels, so that all are compiled; scikit-learn has nothing to compile and is not compared there.

Where a library of kernels is used (from a wheel that has one, or from the folder that the variable names), every
process finds a cache that is empty, and memory is measured, too, and how much longer a first fit of an LSTM takes.
"""

import os
import statistics
import subprocess
import sys
import tempfile

from _common import figure, measure, ratio, shown, start

IMPORT = "from {} import MLPClassifier"
FIT = """
from sklearn.datasets import load_{data}
from {package} import MLPClassifier
X, y = load_{data}(return_X_y=True)
MLPClassifier(random_state=0{extra}).fit(X, y)
"""
TIMED_FIT = """
import time
from sklearn.datasets import load_iris
from skneural import MLPClassifier
X, y = load_iris(return_X_y=True)
begin = time.perf_counter()
MLPClassifier(random_state=0).fit(X, y)
print(time.perf_counter() - begin)
"""
MEMORY = """
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
FIRST_FIT_OF = """
import time
import numpy as np
from skneural import {kind}
X = np.random.default_rng(0).standard_normal((64, {shape}))
y = X.reshape(64, -1)[:, 0]
begin = time.perf_counter()
{kind}(hidden_layer_sizes=(16,), max_iter=2, random_state=0).fit(X, y)
print(time.perf_counter() - begin)
"""
# What is done, our code, scikit-learn's, goals of the ratio: with kernels from a cache, and from a library.
PAIRS = (
    ("import MLPClassifier", IMPORT.format("skneural"), IMPORT.format("sklearn.neural_network"), 1.2, 1.05),
    ("load iris and fit", ("iris", "skneural"), ("iris", "sklearn.neural_network"), 1.6, 1.1),
    ("load digits and fit", ("digits", "skneural"), ("digits", "sklearn.neural_network"), 1.0, 0.75),
)
MEGABYTES = 25  # more than scikit-learn's
LSTM_SECONDS = 0.5  # more than a multi-layer perceptron's
FIRST_FIT_SECONDS = 6


def process(code, **environment):
    """Run code in a fresh interpreter; its output."""
    environment = {**os.environ, **environment}
    # From a neutral folder: a package in the current one would be imported instead of the installed one.
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=tempfile.gettempdir()
    )
    return done.stdout


def code_of(what, smoke):
    """Source of one side of a pair."""
    if isinstance(what, str):
        return what
    data, package = what
    return FIT.format(data=data, package=package, extra=", max_iter=2" if smoke else "")


def first_fits(report, options):
    """Whole processes that find no compiled kernel."""
    inside = []

    def first_fit():
        with tempfile.TemporaryDirectory() as folder:
            inside.append(float(process(TIMED_FIT, NUMBA_CACHE_DIR=folder)))

    # A first, untimed call would warm up nothing: the cache of each is its own.
    count = options.repeats or (1 if options.smoke else 3)
    times = measure({"first fit": first_fit}, count, warm={"first fit": lambda: None})["first fit"]
    report.results["first fit"] = {"seconds": times, "seconds_inside_fit": inside}
    goal = report.verdict(times["median"], FIRST_FIT_SECONDS, at_least=False)
    report.add(
        f"Load iris and fit with an empty cache, whole process, seconds: {goal}, "
        f"[{figure(times['min'])}, {figure(times['max'])}] in {count} processes; "
        f"the call of `fit` in it {figure(sorted(inside)[len(inside) // 2])}."
    )


def median_of(code, environment, count):
    """Median of the numbers that processes print."""
    return statistics.median(float(process(code, **environment)) for _ in range(count))


def memory(report, environment, count):
    """Peak memory of processes that load iris and fit."""
    ours, theirs = (
        median_of(FIT.format(data="iris", package=package, extra="") + MEMORY, environment, count)
        for package in ("skneural", "sklearn.neural_network")
    )
    report.results["peak_megabytes"] = {"skneural": ours, "scikit-learn": theirs}
    more = report.verdict(ours - theirs, MEGABYTES, at_least=False)
    report.add(
        f"Peak memory of a process that loads iris and fits: {ours:.0f} MB, scikit-learn's {theirs:.0f}: {more}."
    )


def first_lstm(report, environment, count):
    """How much longer a first fit of an LSTM takes than one of a multi-layer perceptron."""
    mlp, lstm = (
        median_of(FIRST_FIT_OF.format(kind=kind, shape=shape), environment, count)
        for kind, shape in (("MLPRegressor", "6"), ("LSTMRegressor", "6, 1"))
    )
    report.results["first_fit_of"] = {"MLPRegressor": mlp, "LSTMRegressor": lstm}
    more = report.verdict(lstm - mlp, LSTM_SECONDS, at_least=False)
    report.add(
        f"The first fit of a process, two epochs, seconds: MLP {figure(mlp)}, LSTM {figure(lstm)}; more: {more}."
    )


def main(arguments=None):
    from skneural.backends.cpu import library

    found, why = library.find()
    options, report = start("startup_library" if found else "startup", __doc__, arguments)
    report.results["library"] = why
    report.add(f"Library of kernels: {why}." if found else f"No library of kernels is used: {why}.")
    with tempfile.TemporaryDirectory() as empty:
        compare(options, report, bool(found), {"NUMBA_CACHE_DIR": empty} if found else {})
        assert not os.listdir(empty), "something was compiled"
    report.write()


def compare(options, report, has_library, environment):
    """All that is measured, in processes with these variables."""
    pairs, calls, warm = PAIRS[1:2] if options.smoke else PAIRS, {}, {}
    for name, ours, theirs, *_ in pairs:
        for package, what in (("skneural", ours), ("scikit-learn", theirs)):
            code = code_of(what, options.smoke)
            calls[f"{name}, {package}"] = lambda code=code: process(code, **environment)
    if options.smoke:  # what its processes find warm or cold does not matter
        warm = dict.fromkeys(calls, lambda: None)
    times = measure(calls, options.repeats or (1 if options.smoke else 15), warm=warm)
    rows = []
    for name, _, _, with_cache, with_library in pairs:
        ours, theirs = times[f"{name}, skneural"], times[f"{name}, scikit-learn"]
        goal = with_library if has_library else with_cache
        value = ratio(times, f"{name}, skneural", f"{name}, scikit-learn")
        rows.append([name, shown(ours, 1), shown(theirs, 1), report.verdict(value, goal, at_least=False)])
    report.results["warm"] = {"seconds": times}
    report.add("Seconds of a whole process, caches warm; the last column is ours divided by scikit-learn's.")
    report.table(["", "skneural", "scikit-learn", "ratio"], rows)
    if has_library:
        count = options.repeats or (1 if options.smoke else 5)
        memory(report, environment, count)
        first_lstm(report, environment, count)
    else:
        first_fits(report, options)


if __name__ == "__main__":
    main()
