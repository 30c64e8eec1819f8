"""From 10,000 to 1,000,000 rows of 50 features (float32, C order): time per row, and peak memory above X.

    python benchmarks/scaling.py [--smoke]

In the timed region: a whole fit of a fixed number of epochs (hidden layer of 100, batches of 200); the loss curve's own
clock also tells the part spent in epochs. Memory is measured in a process of its own for every size: the highest
resident memory up to the end of `fit`, less the resident memory just before the estimator is created, when X, y and
the imports are there. The first fit of a process loads Numba and the kernels, so three cases are told apart: a first
fit, one where Numba was imported before, and one after a small fit (what the size itself costs). The last row is a
first fit with an empty cache: it counts compiling, too.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from _common import figure, measure, repeats, shown, start

N_FEATURES, N_CLASSES, BATCH, EPOCHS = 50, 5, 200, 10
SIZES, SMOKE_SIZES = (10_000, 100_000, 1_000_000), (1_000, 4_000)
MEMORY_EPOCHS = 2
SPREAD_GOAL, MEMORY_GOAL = 1.1, 100


def draw(n_rows):
    """Rows and labels, made without temporary arrays of their size."""
    random = np.random.default_rng(0)
    X = random.standard_normal((n_rows, N_FEATURES), np.float32)
    return X, random.integers(0, N_CLASSES, n_rows)


def fitted(X, y, epochs):
    """Our classifier after so many epochs."""
    from skneural import MLPClassifier

    settings = {"hidden_layer_sizes": (100,), "batch_size": BATCH, "max_iter": epochs, "random_state": 0}
    return MLPClassifier(**settings, tol=0, n_iter_no_change=np.inf).fit(X, y)


def status(field):
    """A figure of /proc/self/status in MB, None where there is none."""
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def highest():
    """Highest resident memory of this process so far, in MB.

    Linux hands ru_maxrss down from the process that started this one; VmHWM begins anew.
    """
    found = status("VmHWM")
    if found is None:
        import resource  # Windows has neither

        found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return found


def memory_child(n_rows, before):
    """Print the rise in MB: runs in a process of its own, after what is named in `before`."""
    import skneural  # noqa: F401  (the baseline is a process where everything is imported that a user imports)

    X, y = draw(n_rows)
    if before == "numba":
        import numba  # noqa: F401
    elif before == "fit":
        fitted(*draw(500), 1)
    base = status("VmRSS") or highest()
    fitted(X, y, MEMORY_EPOCHS)
    print(json.dumps({"above": highest() - base, "X": X.nbytes / 2**20}))


def memory(n_rows, before="nothing", **environment):
    """Megabytes that a fit needs above X and y, and those of X."""
    words = [sys.executable, str(pathlib.Path(__file__).resolve()), "--child", str(n_rows), before]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    return json.loads(done.stdout)


def measure_memory(report, options, sizes):
    """Table of memory."""
    rows = []
    for n_rows in sizes:
        found = {before: memory(n_rows, before) for before in ("nothing", "numba", "fit")}
        above = {before: f["above"] for before, f in found.items()}
        size = found["fit"]["X"]
        report.results[f"memory, {n_rows}"] = {"X": size, "above, by what came before": above}
        goals = [report.verdict(mb, MEMORY_GOAL, at_least=False) for mb in above.values()]
        rows.append([f"{n_rows:,}", figure(size), *goals])
    if not options.smoke:
        with tempfile.TemporaryDirectory() as folder:
            compiled = memory(sizes[-1], NUMBA_CACHE_DIR=folder)["above"]
        report.results[f"memory, {sizes[-1]}, empty cache"] = compiled
        rows.append([f"{sizes[-1]:,}, empty cache", figure(size), figure(compiled), "-", "-"])
    report.add("Peak memory above X and y, in MB (2**20 bytes):")
    report.table(["rows", "X", "first fit of a process", "Numba imported before", "small fit before"], rows)


def measure_time(report, options, sizes):
    """Table of times, all sizes interleaved in one process."""
    epochs = 2 if options.smoke else EPOCHS
    data, clocks = {n: draw(n) for n in sizes}, {n: [] for n in sizes}

    def fit(n_rows):
        clocks[n_rows].append(fitted(*data[n_rows], epochs).history_["time"][-1])

    times = measure({n: (lambda n=n: fit(n)) for n in sizes}, repeats(options, 5))
    rows, per_row = [], {}
    for n_rows, seconds in times.items():
        per_row[n_rows] = seconds["median"] / n_rows / epochs
        inside = sorted(clocks[n_rows][1:])[len(clocks[n_rows][1:]) // 2]
        unit = 1e-9 * n_rows * epochs
        rows.append([f"{n_rows:,}", shown(seconds, unit), figure(inside / unit)])
        report.results[f"time, {n_rows}"] = {"epochs": epochs, "seconds": seconds, "seconds_in_epochs": inside}
    report.add(f"Nanoseconds a row and epoch, {epochs} epochs:")
    report.table(["rows", "whole fit", "until the end of the last epoch, on the fit's own clock"], rows)
    spread = max(per_row.values()) / min(per_row.values())
    report.add(f"Slowest size over fastest: {report.verdict(spread, SPREAD_GOAL, at_least=False)}")


def main(arguments=None):
    options, report = start("scaling", __doc__, arguments)
    sizes = SMOKE_SIZES if options.smoke else SIZES
    if not options.smoke:
        memory(sizes[0])  # fills the cache
    measure_memory(report, options, sizes[-1:] if options.smoke else sizes)
    measure_time(report, options, sizes)
    report.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        memory_child(int(sys.argv[2]), sys.argv[3])
    else:
        main()
