"""Prediction: one row through a small network, and 10,000 rows through wide ones, against scikit-learn.

    python benchmarks/predict.py [--smoke]

Both regressors hold the same weights and must agree before anything is timed. In the timed region: calls of `predict`
on a C-ordered array of the network's own precision, checks of the data included, many calls a run. scikit-learn's
products use all cores through BLAS; ours decides by itself, and is shown on one core besides.
"""

import itertools

import numpy as np
from _common import chosen, figure, measure, ratio, repeats, shown, start

MICRO, MILLI = 1e-6, 1e-3
OURS, ALONE, SKLEARN = "skneural", "skneural, n_jobs=1", "scikit-learn"
# name, features, hidden layers, outputs, rows, calls a run, unit, goal.
# "64-256-256" can be read as two hidden layers, or as one with 256 outputs.
CASES = (
    ("one row, 20-100-1", 20, (100,), 1, 1, 2000, MICRO, 6),
    ("10,000 rows, 64-256-256-1", 64, (256, 256), 1, 10_000, 10, MILLI, 1.7),
    ("10,000 rows, 64-256-256", 64, (256,), 256, 10_000, 10, MILLI, 1.7),
)


def twins(n_features, hidden, n_outputs, dtype):
    """Our regressor, ours on one core, and scikit-learn's, with the same weights."""
    from sklearn.neural_network import MLPRegressor as Theirs

    from skneural import MLPRegressor as Ours

    random = np.random.default_rng(0)
    X = random.standard_normal((200, n_features)).astype(dtype)
    y = random.standard_normal((200, n_outputs)).astype(dtype)
    y = y.ravel() if n_outputs == 1 else y
    settings = {"hidden_layer_sizes": hidden, "max_iter": 2, "random_state": 0}
    theirs = Theirs(**settings).fit(X, y)
    networks = {OURS: Ours(**settings).fit(X, y), ALONE: Ours(**settings, n_jobs=1).fit(X, y), SKLEARN: theirs}
    for name in (OURS, ALONE):
        for mine, other in zip(
            networks[name].coefs_ + networks[name].intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True
        ):
            mine[...] = other
    return networks


def measured(networks, X, calls, count):
    """Seconds of `calls` predictions, by name, after the networks have been seen to agree."""
    expected = networks[SKLEARN].predict(X)
    tolerance = 1e-3 if X.dtype == np.float32 else 1e-9
    for name in (OURS, ALONE):
        found = networks[name].predict(X)
        assert found.dtype == expected.dtype == X.dtype, (found.dtype, expected.dtype)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    def many(predict):
        for _ in range(calls):
            predict(X)

    return measure({name: (lambda p=net.predict: many(p)) for name, net in networks.items()}, count)


def products(*sizes):
    """Floating-point operations of the products of one row."""
    return 2 * sum(i * o for i, o in itertools.pairwise(sizes))


def main(arguments=None):
    options, report = start("predict", __doc__, arguments)
    rows = []
    for name, n_features, hidden, n_outputs, n_rows, calls, unit, goal in CASES:
        if not chosen(options, name):
            continue
        if options.smoke:
            n_rows, calls = min(n_rows, 500), 3
        for dtype in (np.float32, np.float64):
            X = np.random.default_rng(1).standard_normal((n_rows, n_features)).astype(dtype)
            times = measured(twins(n_features, hidden, n_outputs, dtype), X, calls, repeats(options, 11))
            title = f"{name}, {dtype.__name__}"
            words = [shown(times[n], unit * calls) + (" us" if unit == MICRO else " ms") for n in times]
            rows.append([title, *words, report.verdict(ratio(times, SKLEARN, OURS), goal)])
            work = calls * n_rows * products(n_features, *hidden, n_outputs)
            speeds = {n: 1e-9 * work / t["median"] for n, t in times.items()}
            rows[-1].append(", ".join(figure(speeds[n]) for n in times))
            report.results[title] = {"calls": calls, "rows": n_rows, "seconds": times, "gflops": speeds}
    report.add("Time of one call of `predict`; the ratio is how many times as long scikit-learn takes.")
    report.table(["rows, network, precision", OURS, ALONE, SKLEARN, "ratio", "GFLOP/s of the three"], rows)
    report.write()


if __name__ == "__main__":
    main()
