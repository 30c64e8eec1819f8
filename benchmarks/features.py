"""Microseconds a training step with dropout, normalization, clipping and every solver: ours, PyTorch and JAX.

    python benchmarks/features.py [--smoke]

Networks, data and what is in the timed region are those of `networks.py`, in float32 on all cores: for ours a whole fit
of a fixed number of epochs, divided by its steps, and from the same fits the epochs alone; for PyTorch (eager) and JAX
(a jitted scan over the batches of an epoch, buffers donated) the epochs alone. All draw a new order of the rows every
epoch. PyTorch runs with the fastest of its loops over parameters for that solver and network, JAX draws dropout with
the fastest of its generators, both found in a quick probe; what it chose is in the JSON.
"""

import importlib.util

import _peers
import numpy as np
from _common import chosen, cores, measure, ratio, repeats, shown, start, summary
from networks import CASES, EPOCHS, JAX, MICRO, OURS, SMOKE, draw

TORCH = "PyTorch eager"
#: Features by name: what the estimator gets. The solvers keep their default constants, sgd its momentum of 0.9.
FEATURES = {
    "Adam": {},
    "dropout 0.2": {"dropout": 0.2},
    "batch normalization": {"normalization": "batch"},
    "layer normalization": {"normalization": "layer"},
    "clip_norm 1": {"clip_norm": 1.0},
    **{solver: {"solver": solver} for solver in ("sgd", "adamw", "nadam", "rmsprop", "adagrad", "lion")},
}
#: How many times as long JAX and PyTorch should take, by network.
GOALS = {"small": {JAX: 1.5, TORCH: 5}, "default": {JAX: 1.5, TORCH: 5}, "medium": {JAX: 1.3, TORCH: 1.2}}


def ours(case, X, y, settings, clock):
    """A whole fit; the seconds in its epochs go into the list `clock`."""
    from skneural import MLPClassifier

    def fit():
        est = MLPClassifier(
            case.layers[1:-1], batch_size=case.batch, max_iter=case.epochs, tol=0, n_iter_no_change=np.inf,
            dtype="float32", random_state=0, **settings,
        ).fit(X, y)  # fmt: skip
        clock.append(est.history_["time"][-1])

    return fit


def peers(case, X, y, settings, missing):
    """Runs of as many epochs, by name; and what was tried to find the peers' best."""
    trainers, tried = {}, {}
    if "torch" not in missing:
        trainers, tried = _peers.torch_trainers(case, X, y, cores(), settings=settings)
    if "jax" not in missing:
        trainers[JAX], tried[JAX] = _peers.jax_feature(case, X, y, settings)
    return {name: (lambda train=train: train(case.epochs)) for name, train in trainers.items()}, tried


def main(arguments=None):
    options, report = start("features", __doc__, arguments)
    missing = [name for name in ("torch", "jax") if importlib.util.find_spec(name) is None]
    for name in missing:
        report.add(f"{name} is not installed: it is left out.")
    times_of, ratios_of = [], []
    # The peers compile for every network and feature: in smoke runs one network shows that all features work.
    names = ("small",) if options.smoke else GOALS
    for case in [case for case in (SMOKE if options.smoke else CASES) if case.name in names]:
        X, y = draw(case)
        for feature, settings in FEATURES.items():
            title = f"{case.title}: {feature}"
            if not chosen(options, title):
                continue
            clock = []
            others, tried = peers(case, X, y, settings, missing)
            times = measure({OURS: ours(case, X, y, settings, clock)} | others, repeats(options, 5))
            times[EPOCHS] = summary(clock[1:])  # the first was to warm up
            unit, goals = MICRO * case.steps, GOALS[case.name]
            cells = [shown(times[name], unit) if name in times else "-" for name in (OURS, EPOCHS, TORCH, JAX)]
            times_of.append([title, *cells])
            cells = [report.verdict(ratio(times, n, EPOCHS), goals[n]) if n in times else "-" for n in (TORCH, JAX)]
            ratios_of.append([title, *cells])
            report.results[title] = {"settings": settings, "steps": case.steps, "seconds": times, "peers": tried}
            print(" | ".join(times_of[-1]), flush=True)
    report.add("Microseconds a step:")
    report.table(["network, batch: feature", OURS, EPOCHS, TORCH, JAX], times_of)
    report.add("Times as long as our epochs:")
    report.table(["network, batch: feature", TORCH, JAX], ratios_of)
    report.add(
        "Whole fits for ours, with L2 penalty, loss curve and checks of the data; epochs alone, without those, for the "
        "peers. No partial batches. Solvers other than Adam stand for themselves, without a feature beside them."
    )
    report.write()


if __name__ == "__main__":
    main()
