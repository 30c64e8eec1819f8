"""Microseconds a training step of six networks with Adam in float32: ours, scikit-learn, PyTorch and JAX.

    python benchmarks/networks.py [--smoke]

In the timed region: for the estimators (ours and scikit-learn's) a whole fit of a fixed number of epochs, with checks
of the data, new weights, the L2 penalty and the loss curve, divided by its steps. For PyTorch and JAX the epochs alone:
drawing the order of the rows, gathering batches, steps; they train on where they were and are compiled beforehand. All
see every row in every epoch: the numbers of rows are multiples of the batch, so nobody has a partial batch and nobody
drops one. All may use all cores (`n_jobs=1` is ours on one). PyTorch is measured with the fastest of its Adams at that
size. The last two networks are also set against a float32 matrix product in the same run, as near as this machine gets
to its peak.
"""

import importlib.util
import itertools
from dataclasses import dataclass

import _peers
import numpy as np
from _common import chosen, cores, figure, measure, ratio, repeats, shown, start, summary

MICRO = 1e-6
OURS, ALONE, SKLEARN = "skneural", "skneural, n_jobs=1", "scikit-learn"
JAX = "JAX, scan an epoch"
EPOCHS = "skneural, epochs alone"
NAMES = (OURS, EPOCHS, ALONE, SKLEARN, "PyTorch eager", "PyTorch compiled", JAX, "JAX, one scan")


@dataclass(frozen=True)
class Case:
    """A network, its data and its goals: how many times as long scikit-learn and JAX should take."""

    name: str
    layers: tuple
    batch: int
    rows: int
    epochs: int
    goals: tuple
    against_peak: float = 0.0  # the share of the product's peak that the epochs should reach

    @property
    def sizes(self):
        """Layers as trained: two classes are one logistic output."""
        return (*self.layers[:-1], 1) if self.layers[-1] == 2 else self.layers

    @property
    def steps(self):
        """Steps in a run."""
        return self.rows // self.batch * self.epochs

    @property
    def work(self):
        """Floating-point operations of a step's products: forward, gradients of weights, and of all but the inputs."""
        weights = sum(i * o for i, o in itertools.pairwise(self.sizes))
        return (6 * weights - 2 * self.sizes[0] * self.sizes[1]) * self.batch

    @property
    def title(self):
        """Name, sizes, batch."""
        return f"{self.name} {'-'.join(map(str, self.layers))}, {self.batch}"


CASES = (
    Case("iris", (4, 10, 8, 3), 16, 144, 200, (140, 9)),
    Case("small", (20, 64, 32, 2), 32, 1024, 50, (30, 2.5)),
    Case("default", (54, 100, 7), 200, 20000, 5, (11, 2.4)),
    Case("medium", (54, 256, 256, 7), 256, 20480, 3, (4, 2)),
    Case("mnist", (784, 256, 128, 10), 200, 20000, 2, (3.2, 1.25), 0.85),
    Case("large", (256, 1024, 1024, 1024, 10), 1024, 20480, 1, (1.5, 1.15), 0.95),
)
# The same six, at sizes that take no time: what is tested is that everything runs.
SMOKE = (
    Case("iris", (4, 10, 8, 3), 16, 144, 2, (140, 9)),
    Case("small", (20, 64, 32, 2), 32, 128, 2, (30, 2.5)),
    Case("default", (54, 100, 7), 200, 400, 2, (11, 2.4)),
    Case("medium", (54, 32, 32, 7), 256, 512, 2, (4, 2)),
    Case("mnist", (784, 32, 16, 10), 200, 400, 2, (3.2, 1.25), 0.85),
    Case("large", (256, 64, 64, 64, 10), 256, 512, 1, (1.5, 1.15), 0.95),
)


def draw(case):
    """Rows and labels of a case: every label occurs."""
    random = np.random.default_rng(0)
    X = random.standard_normal((case.rows, case.layers[0]), np.float32)
    return X, random.permutation(np.arange(case.rows) % case.layers[-1])


def estimators(case, X, y, clock):
    """Whole fits, by name. What ours says of the seconds in its epochs goes into the list `clock`."""
    from sklearn.neural_network import MLPClassifier as Theirs

    from skneural import MLPClassifier as Ours

    def fit(make, **extra):
        return make(
            hidden_layer_sizes=case.layers[1:-1], batch_size=case.batch, max_iter=case.epochs, tol=0,
            n_iter_no_change=np.inf, random_state=0, **extra,
        ).fit(X, y)  # fmt: skip

    return {
        OURS: lambda: clock.append(fit(Ours, dtype="float32").history_["time"][-1]),
        ALONE: lambda: fit(Ours, dtype="float32", n_jobs=1),
        SKLEARN: lambda: fit(Theirs),
    }


def peers(case, X, y, missing, *, with_compile):
    """Runs of as many epochs, by name; and what was tried to find PyTorch's best."""
    trainers, tried = {}, {}
    if "torch" not in missing:
        trainers, tried = _peers.torch_trainers(case, X, y, cores(), with_compile=with_compile)
    if "jax" not in missing:
        trainers |= _peers.jax_trainers(case, X, y)
    return {name: (lambda train=train: train(case.epochs)) for name, train in trainers.items()}, tried


def product_of_ours(A, B, C):
    """A function that computes C = A B with the engine's product on all cores, half of the rows a thread."""
    from skneural.backends.cpu.compiler import kernel
    from skneural.backends.cpu.layout import STRIP
    from skneural.backends.cpu.product import make_product
    from skneural.backends.cpu.threads import Thread
    from skneural.backends.cpu.updates import make_lay_out
    from skneural.backends.frame import Frame

    lay_out = kernel(make_lay_out, np.float32).ctypes
    product = kernel(make_product, np.float32).ctypes
    n = len(A)
    bounds = np.linspace(0, n, cores() + 1).astype(int).tolist()
    panels = np.empty(n * n, np.float32)
    frame = Frame()
    frame.update(params=B.ctypes.data, panels=panels.ctypes.data)

    def part(first, last):
        where = A[first:].ctypes.data, n, 1, STRIP * n, panels.ctypes.data, -n, C[first:].ctypes.data, n
        product(*where, last - first, n, n, n, 0, 0, 0)

    def run():
        lay_out(frame.address, 0, -1, n, n, 1, n, 0, 0, 1)
        shares = list(itertools.pairwise(bounds))
        threads = [Thread(target=part, args=share) for share in shares[1:]]
        for thread in threads:
            thread.start()
        part(*shares[0])
        for thread in threads:
            thread.join()

    return run


def measure_peak(report, options):
    """GFLOP/s of a large float32 product; the largest of what BLAS and our engine reach is called the peak."""
    n = 256 if options.smoke else 2048
    random = np.random.default_rng(0)
    A, B = (random.standard_normal((n, n), np.float32) for _ in range(2))
    C, D = np.empty((n, n), np.float32), np.empty((n, n), np.float32)
    calls = {"np.dot": lambda: np.dot(A, B, out=C)}
    try:
        calls["skneural"] = product_of_ours(A, B, D)
    except (ImportError, AttributeError) as error:  # it reaches into the engine, which may be arranged anew
        report.add(f"The engine's product could not be reached ({error}): the peak is that of np.dot alone.")
    times = measure(calls, repeats(options, 11))
    if "skneural" in calls:
        np.testing.assert_allclose(C, D, rtol=1e-3, atol=1e-2)
    speeds = {name: 2e-9 * n**3 / t["median"] for name, t in times.items()}
    report.results["product"] = {"size": n, "seconds": times, "gflops": speeds}
    words = ", ".join(f"{name} {figure(speed)} GFLOP/s" for name, speed in speeds.items())
    report.add(f"Product of two float32 matrices of {n} x {n} on all cores: {words}.")
    return max(speeds.values())


def row_of(report, case, times):
    """A row of the table of times, and one of the table of ratios."""
    cells = [case.title, *(shown(times[n], MICRO * case.steps) if n in times else "-" for n in NAMES)]
    ratios = [case.title]
    goals = dict(zip((SKLEARN, JAX), case.goals, strict=True))
    for name in NAMES:
        if name not in times:
            ratios.append("-")
        elif name in goals:
            ratios.append(report.verdict(ratio(times, name, EPOCHS), goals[name]))
        elif name != EPOCHS:
            ratios.append(figure(ratio(times, name, EPOCHS)))
    return cells, ratios


def what_torch_used(result):
    """What PyTorch ran with, or why it did not."""
    words = [f"{kind} with {t['used']}" if t["used"] else f"{kind} failed ({t['microseconds']})"
             for kind, t in result["pytorch"].items()]  # fmt: skip
    return ", ".join([*words, f"{result['steps']} steps a run"]) + "."


def main(arguments=None):
    options, report = start("networks", __doc__, arguments)
    missing = [name for name in ("torch", "jax") if importlib.util.find_spec(name) is None]
    for name in missing:
        report.add(f"{name} is not installed: it is left out.")
    rows, against_peak = [], []
    peak = measure_peak(report, options)
    for case in SMOKE if options.smoke else CASES:
        if not chosen(options, case.name):
            continue
        X, y = draw(case)
        # Smoke runs are short: two networks (many classes, and two) show that the peers work. PyTorch's compiler alone
        # may take half a minute, so there it needs `--only`.
        absent = ("torch", "jax") if options.smoke and case.name not in ("iris", "small") else missing
        others, tried = peers(case, X, y, absent, with_compile=not options.smoke or options.only)
        clock = []
        times = measure(estimators(case, X, y, clock) | others, repeats(options, 5))
        times[EPOCHS] = summary(clock[1:])  # the first was to warm up
        rows.append(row_of(report, case, times))
        speeds = {name: 1e-9 * case.work * case.steps / t["median"] for name, t in times.items()}
        report.results[case.name] = {"layers": case.sizes, "batch": case.batch, "steps": case.steps, "seconds": times}
        report.results[case.name] |= {"gflops": speeds, "pytorch": tried}
        print(" | ".join(rows[-1][0]), flush=True)
        if case.against_peak:
            cells = [f"{figure(speeds[n])} ({speeds[n] / peak:.0%})" if n in speeds else "-" for n in NAMES]
            verdict = report.verdict(speeds[EPOCHS] / peak, case.against_peak)
            against_peak.append([case.title, *cells, verdict])
    report.add("Microseconds a step:")
    report.table(["network, batch", *NAMES], [cells for cells, _ in rows])
    report.add("Times as long as ours, epochs alone:")
    report.table(["network, batch", *(name for name in NAMES if name != EPOCHS)], [ratios for _, ratios in rows])
    if against_peak:
        report.add(f"GFLOP/s, and as a fraction of the product's {figure(peak)}:")
        report.table(["network, batch", *NAMES, "share of the peak, epochs alone"], against_peak)
    used = " ".join(f"{name}: {what_torch_used(r)}" for name, r in report.results.items() if "pytorch" in r)
    report.add(
        "Whole fits for the estimators; epochs alone for PyTorch and JAX, without L2 penalty, loss curve and checks of "
        "the data. Ours, epochs alone: by the clock of `history_`, from the same fits; the rest is what a fit costs "
        f"however long it runs. No partial batches. {used}"
    )
    report.write()


if __name__ == "__main__":
    main()
