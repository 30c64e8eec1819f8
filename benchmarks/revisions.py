"""Whole fits by two checkouts of this package, old and new, in turn: whether a change has made anything slower.

    python benchmarks/revisions.py OLD [NEW] [--smoke]

OLD and NEW are folders of checkouts; NEW is this one by default. Networks, features and recurrent layers are those of
`networks.py`, `features.py` and `recurrent.py`, in float32 on all cores. Each checkout has a process of its own, which
is asked in turn, so both meet the same machine. A ratio above 1 says that the new one is faster.
"""

import os
import pathlib
import subprocess
import sys

from _common import HERE, chosen, figure, repeats, shown, start, summary

MILLI = 1e-3
#: What a checkout's process is asked: the number of a case; it answers with the seconds of a fit.
WORKER = "import revisions; revisions.work()"
#: The one network on which the features are compared.
FEATURES_ON = "default"


def cases(smoke):
    """Functions that fit, by name."""
    import features
    import networks
    import numpy as np
    import recurrent

    fits = {}
    for case in networks.SMOKE if smoke else networks.CASES:
        X, y = networks.draw(case)
        fits[case.title] = features.ours(case, X, y, {}, [])
        if case.name == FEATURES_ON:
            for name, settings in features.FEATURES.items():
                if settings:
                    fits[f"{case.title}: {name}"] = features.ours(case, X, y, settings, [])
    for case in recurrent.SMOKE if smoke else recurrent.CASES:
        inputs, _, _, steps, batch, batches, _ = case
        random = np.random.default_rng(0)
        X = random.standard_normal((batch * batches, steps, inputs), np.float32)
        y = random.standard_normal(len(X), np.float32)
        for cell in recurrent.CELLS:
            fits[f"{cell} {recurrent.title_of(case)}"] = recurrent.ours(cell, case, X, y, [])
    return fits


def work():
    """Answer questions until there are no more."""
    import time

    from _common import quiet

    quiet()
    fits = cases(smoke="--smoke" in sys.argv)
    for line in sys.stdin:
        fit = fits[line.strip()]
        begin = time.perf_counter()
        fit()
        print(time.perf_counter() - begin, flush=True)


class Checkout:
    """A process that fits with the package of one checkout."""

    def __init__(self, folder, smoke):
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(HERE)]), "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, *["--smoke"] * smoke],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE,
            env=variables,
        )

    def fit(self, name):
        """Seconds of one fit."""
        print(name, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    folders = [pathlib.Path(word).resolve() for word in arguments if not word.startswith("--") and "/" in word]
    words = [word for word in arguments if word.startswith("--") or "/" not in word]
    options, report = start("revisions", __doc__, words)
    old, new = [*folders, HERE.parent][:2]
    checkouts = {"old": Checkout(old, options.smoke), "new": Checkout(new, options.smoke)}
    rows = []
    for name in cases(options.smoke):
        if not chosen(options, name):
            continue
        seconds = {which: [] for which in checkouts}
        for checkout in checkouts.values():
            checkout.fit(name)
        for turn in range(repeats(options, 11)):
            for which in list(checkouts)[:: -1 if turn % 2 else 1]:
                seconds[which].append(checkouts[which].fit(name))
        pairs = summary([a / b for a, b in zip(seconds["old"], seconds["new"], strict=True)])
        times = {which: summary(values) for which, values in seconds.items()}
        ratio = times["old"]["median"] / times["new"]["median"]
        rows.append([name, *(shown(times[which], MILLI) for which in times), figure(ratio), figure(pairs["median"])])
        report.results[name] = {"seconds": times, "ratio": ratio, "paired": pairs}
        print(" | ".join(rows[-1]), flush=True)
    report.add("Milliseconds a fit:")
    report.table(["fit", "old", "new", "old / new", "median of the pairs"], rows)
    report.write()


if __name__ == "__main__":
    main()
