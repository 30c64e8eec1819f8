"""Start-up of whole processes, from their start to their end: import, load data and fit, and the very first fit.

    python benchmarks/startup.py [--smoke]

In the timed region: a fresh Python process, start of the interpreter and its end included. The fits are those of the
estimators with default settings on data that scikit-learn bundles. "Warm" means that a process before has filled the
caches (bytecode and kernels), as is true for every process of a user but the first. "Empty cache" gives every process a
new folder for kernels, so that all are compiled; scikit-learn has nothing to compile and is not compared there.
"""

import os
import subprocess
import sys
import tempfile

from _common import figure, measure, ratio, shown, start

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
# What is done, our code, scikit-learn's, goal of the ratio.
PAIRS = (
    ("import", "import skneural", "import sklearn.neural_network", 1.2),
    ("load iris and fit", ("iris", "skneural"), ("iris", "sklearn.neural_network"), 1.6),
    ("load digits and fit", ("digits", "skneural"), ("digits", "sklearn.neural_network"), 1.0),
)
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


def main(arguments=None):
    options, report = start("startup", __doc__, arguments)
    pairs, calls, warm = PAIRS[1:2] if options.smoke else PAIRS, {}, {}
    for name, ours, theirs, _ in pairs:
        for package, what in (("skneural", ours), ("scikit-learn", theirs)):
            code = code_of(what, options.smoke)
            calls[f"{name}, {package}"] = lambda code=code: process(code)
    if options.smoke:  # what its processes find warm or cold does not matter
        warm = dict.fromkeys(calls, lambda: None)
    times = measure(calls, options.repeats or (1 if options.smoke else 7), warm=warm)
    rows = []
    for name, _, _, goal in pairs:
        ours, theirs = times[f"{name}, skneural"], times[f"{name}, scikit-learn"]
        value = ratio(times, f"{name}, skneural", f"{name}, scikit-learn")
        rows.append([name, shown(ours, 1), shown(theirs, 1), report.verdict(value, goal, at_least=False)])
    report.results["warm"] = {"seconds": times}
    report.add("Seconds of a whole process, caches warm; the last column is ours divided by scikit-learn's.")
    report.table(["", "skneural", "scikit-learn", "ratio"], rows)
    first_fits(report, options)
    report.write()


if __name__ == "__main__":
    main()
