"""Fits on cores that other programs keep busy: a fit on all cores must not be much slower than one on a single core.

    python benchmarks/loaded.py [--smoke]

In the timed region: whole fits of a fixed number of epochs, with n_jobs=1 and n_jobs=None in turn, while none, one and
two processes run an endless loop. Threads that wait for one another suffer when one of them has to wait for a core;
the estimator is meant to notice and to go on with one thread.
"""

import contextlib
import os
import subprocess
import sys
import time

import numpy as np
from _common import measure, ratio, repeats, shown, start

# Ends with its parent, so that a benchmark that is killed leaves nothing behind.
HOG = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""
HOGS = (0, 1, 2)
GOAL = 4 / 3
# name, layers, batch, rows, epochs
CASES = (
    ("default 54-100-7, 200", (54, 100, 7), 200, 20_000, 50),
    ("medium 54-256-256-7, 256", (54, 256, 256, 7), 256, 20_480, 8),
)


@contextlib.contextmanager
def hogs(count):
    """So many processes that never rest."""
    processes = [subprocess.Popen([sys.executable, "-c", HOG, str(os.getpid())]) for _ in range(count)]
    try:
        time.sleep(0.5 if count else 0)  # until they run
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def fits(cases, scale):
    """Callables by case and number of jobs; `scale` shortens the data."""
    from skneural import MLPClassifier

    calls = {}
    for name, layers, batch, n_rows, epochs in cases:
        random = np.random.default_rng(0)
        X = random.standard_normal((n_rows // scale, layers[0]), np.float32)
        y = random.permutation(np.arange(len(X)) % layers[-1])
        for n_jobs in (1, None):
            network = MLPClassifier(
                layers[1:-1], batch_size=batch, max_iter=max(epochs // scale, 1), tol=0, n_iter_no_change=np.inf,
                random_state=0, n_jobs=n_jobs,
            )  # fmt: skip
            calls[name, n_jobs] = lambda network=network, X=X, y=y: network.fit(X, y)
    return calls


def main(arguments=None):
    options, report = start("loaded", __doc__, arguments)
    calls, rows = fits(CASES, 10 if options.smoke else 1), []
    for count in (0, 1) if options.smoke else HOGS:
        with hogs(count):
            times = measure(calls, repeats(options, 5))
        for name, *_ in CASES:
            one, many = times[name, 1], times[name, None]
            slower = report.verdict(ratio(times, (name, None), (name, 1)), GOAL, at_least=False)
            rows.append([name, count, shown(one, 1), shown(many, 1), slower])
            report.results[f"{name}, {count} busy"] = {"n_jobs=1": one, "n_jobs=None": many}
    report.add("Seconds of a fit; the last column is n_jobs=None divided by n_jobs=1.")
    report.table(["network, batch", "busy processes", "n_jobs=1", "n_jobs=None", "ratio"], rows)
    report.write()


if __name__ == "__main__":
    main()
