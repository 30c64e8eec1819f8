"""Learning from batches that come one by one: calls of `partial_fit` on one row and on ten, against scikit-learn.

    python benchmarks/incremental.py [--smoke]

Adam, 20-100-1. In the timed region: many calls with other rows each, checks of data and parameters included. Both
estimators have learnt from a few batches before, as they have in all but the first second of their lives.
"""

import numpy as np
from _common import chosen, measure, ratio, repeats, shown, start

MICRO = 1e-6
OURS, SKLEARN = "skneural", "scikit-learn"
N_FEATURES, HIDDEN = 20, (100,)
#: Seconds that a call with one row should take ours, at most.
GOAL = 300 * MICRO


def learners(task):
    """Our estimator and scikit-learn's, by name."""
    from sklearn import neural_network

    import skneural

    settings = {"hidden_layer_sizes": HIDDEN, "random_state": 0}
    packages = {OURS: skneural, SKLEARN: neural_network}
    return {name: getattr(package, f"MLP{task}")(**settings) for name, package in packages.items()}


def measured(task, dtype, n_rows, calls, count):
    """Seconds of `calls` batches, by name."""
    random = np.random.default_rng(0)
    X = random.standard_normal((calls, n_rows, N_FEATURES)).astype(dtype)
    y = (X[:, :, 0] > 0).astype(int) if task == "Classifier" else X[:, :, 0].copy()
    estimators = learners(task)
    for est in estimators.values():
        keywords = {"classes": [0, 1]} if task == "Classifier" else {}
        est.partial_fit(X[0], y[0], **keywords)

    def stream(est):
        for batch, targets in zip(X, y, strict=True):
            est.partial_fit(batch, targets)

    return measure({name: (lambda e=est: stream(e)) for name, est in estimators.items()}, count)


def main(arguments=None):
    options, report = start("incremental", __doc__, arguments)
    rows = []
    for task in ("Regressor", "Classifier"):
        for n_rows in (1, 10):
            name = f"MLP{task}, {n_rows} row{'s' * (n_rows > 1)} a call"
            if not chosen(options, name):
                continue
            calls = 5 if options.smoke else 500
            for dtype in (np.float32, np.float64):
                times = measured(task, dtype, n_rows, calls, repeats(options, 11))
                title = f"{name}, {dtype.__name__}"
                words = [shown(times[n], MICRO * calls) + " us" for n in times]
                rows.append([title, *words, f"{ratio(times, SKLEARN, OURS):.1f}"])
                report.results[title] = {"calls": calls, "rows": n_rows, "seconds": times}
    report.add(
        f"Time of one call of `partial_fit` (20-100-1, Adam; goal for one row: {GOAL / MICRO:.0f} us); the ratio is "
        "how many times as long scikit-learn takes."
    )
    report.table(["estimator, batch, precision", OURS, SKLEARN, "ratio"], rows)
    report.write()


if __name__ == "__main__":
    main()
