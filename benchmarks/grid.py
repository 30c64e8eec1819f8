"""GridSearchCV over 4 hidden layer sizes, 3 alphas and 5 folds of the digits, against scikit-learn.

    python benchmarks/grid.py [--smoke]

In the timed region: `GridSearchCV.fit`, refit of the best included: 61 fits with default settings, so at most 200
epochs each and the same rule for stopping before. A short search runs first in each setting, so with n_jobs=2 the
workers are there and have loaded everything. Warnings about fits that did not converge are silenced for both. With
n_jobs=1 scikit-learn's products and our steps may use all cores, with n_jobs=2 joblib leaves each worker one. Workers
are processes, or threads of this one (``joblib.parallel_config(backend="threading")``): kernels let go of the GIL.
"""

import numpy as np
from _common import figure, measure, ratio, shown, start
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

GRID = {"hidden_layer_sizes": [(25,), (50,), (100,), (100, 50)], "alpha": [1e-5, 1e-4, 1e-2]}
SHORT = {"hidden_layer_sizes": [(10,), (20,)]}
GOAL = 6
GAIN = 1.5
#: Workers and their kind.
WORKERS = {"n_jobs=1": (1, "loky"), "n_jobs=2": (2, "loky"), "n_jobs=2, threads": (2, "threading")}


def search(make, X, y, workers, *, short=False):
    """A fitted search."""
    n_jobs, backend = workers
    grid, cv, settings = (SHORT, 2, {"max_iter": 2}) if short else (GRID, 5, {})
    with parallel_config(backend=backend):
        return GridSearchCV(make(random_state=0, **settings), grid, cv=cv, n_jobs=n_jobs).fit(X, y)


def main(arguments=None):
    from sklearn.neural_network import MLPClassifier as Theirs

    from skneural import MLPClassifier as Ours

    options, report = start("grid", __doc__, arguments)
    X, y = load_digits(return_X_y=True)
    X /= 16  # pixels from 0 to 1
    searches, calls, warm = {}, {}, {}
    for kind, workers in WORKERS.items():
        for package, make in (("skneural", Ours), ("scikit-learn", Theirs)):
            name = f"{package}, {kind}"
            searches[name] = []
            warm[name] = lambda make=make, workers=workers: search(make, X, y, workers, short=True)
            calls[name] = lambda make=make, workers=workers, name=name: searches[name].append(
                search(make, X, y, workers, short=options.smoke)
            )
    count = options.repeats or (1 if options.smoke else 3)
    times = measure(calls, count, warm=warm)
    rows = []
    for name, found in searches.items():
        best = [s.best_score_ for s in found]
        mean = float(np.mean(found[0].cv_results_["mean_test_score"]))
        rows.append([name, shown(times[name], 1), f"{best[0]:.4f}", f"{mean:.4f}", found[0].best_params_])
        report.results[name] = {"seconds": times[name], "best_score": best[0], "mean_score": mean}
        report.results[name]["best_params"] = {key: str(value) for key, value in found[0].best_params_.items()}
    report.table(["", "seconds", "best score", "mean score of the grid", "best parameters"], rows)
    alone = ratio(times, "scikit-learn, n_jobs=1", "skneural, n_jobs=1")
    both = ratio(times, "scikit-learn, n_jobs=2", "skneural, n_jobs=2")
    report.add(f"scikit-learn takes this many times as long with n_jobs=1: {report.verdict(alone, GOAL)}")
    report.add(f"... and with n_jobs=2: {figure(both)}")
    for kind in list(WORKERS)[1:]:
        gain = ratio(times, "skneural, n_jobs=1", f"skneural, {kind}")
        report.add(f"Ours with n_jobs=1 takes this many times as long as with {kind}: {report.verdict(gain, GAIN)}")
    report.write()


if __name__ == "__main__":
    main()
