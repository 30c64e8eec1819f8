"""Training steps and predictions of LSTM, GRU and simple RNN next to PyTorch, the very first fit, and memory.

    python benchmarks/recurrent.py [--smoke]

A step is forward, backpropagation through all time steps, clipping the gradient's norm at 1, and Adam, in float32 on
all cores, a new order of the samples every epoch. Ours are the epochs of whole fits by the clock of `history_`, and the
whole fits; PyTorch runs its own cells (eager, the fused Adam; the last step's state into a linear layer) for as many
steps. A prediction is one call for one sequence: ours with its checks of the data, PyTorch's in inference mode.
"""

import importlib.util
import os
import tempfile

import numpy as np
from _common import chosen, cores, figure, measure, ratio, repeats, shown, start, summary
from startup import process

MILLI, MICRO = 1e-3, 1e-6
OURS, FIT, TORCH = "skneural, epochs alone", "skneural, whole fit", "PyTorch"
CELLS = ("LSTM", "GRU", "RNN")
#: Inputs, units, layers, time steps, batch, batches an epoch, and how many times as long PyTorch's LSTM should take.
CASES = (
    (1, 50, 3, 60, 32, 30, 3.6),
    (9, 32, 1, 128, 64, 30, 4),
    (16, 256, 1, 50, 128, 6, 1.5),
    (7, 128, 2, 96, 256, 3, 2),
)
SMOKE = ((1, 5, 2, 6, 8, 2, 3),)
PREDICT, PREDICT_GOAL = (1, 50, 1, 60), 10
FIRST_FIT_GOAL = 5

FIRST_FIT = """
import time, warnings
import numpy as np
from skneural import {0} as Estimator
warnings.simplefilter("ignore")
X, y = np.random.default_rng(0).random((100, 10)), np.arange(100.0)
begin = time.perf_counter()
Estimator(max_iter=2).fit(X, y)
print(time.perf_counter() - begin)
"""
MEMORY = """
import sys, time, warnings
import numpy as np
from skneural import LSTMRegressor
from skneural.timeseries import make_windows
warnings.simplefilter("ignore")
lookback, batch, n_rows = 60, int(sys.argv[2]), int(sys.argv[3])
def peak():
    # Linux hands the peak of the parent, which has loaded PyTorch, on to getrusage() of the child, but not to this.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
def network(**settings):
    return LSTMRegressor((16,), batch_size=batch, max_iter=1, dtype="float32", random_state=0, **settings)
series = np.memmap(sys.argv[1], np.float32, "r")[: n_rows + lookback]
network().fit(*make_windows(series[: 10 * batch + lookback], lookback))  # kernels, threads and buffers are there
before, begin = peak(), time.perf_counter()
X, y = make_windows(series, lookback)
assert np.shares_memory(X, series)
network().fit(X, y)
print(len(X), X.nbytes / 2**20, series.nbytes / 2**20, before, peak(), time.perf_counter() - begin)
"""


def title_of(case):
    """A case in words."""
    inputs, units, layers, steps, batch = case[:5]
    return f"{inputs}-{units}" + f"x{layers}" * (layers > 1) + f", T {steps}, B {batch}"


def ours(cell, case, X, y, clock):
    """A whole fit of one epoch; the seconds in its epochs go into the list `clock`."""
    import skneural

    _, units, layers, _, batch = case[:5]
    estimator = getattr(skneural, f"{cell}Regressor")

    def fit():
        est = estimator(
            (units,) * layers, batch_size=batch, max_iter=1, alpha=0.0, tol=0, n_iter_no_change=np.inf, dtype="float32",
            random_state=0,
        ).fit(X, y)  # fmt: skip
        clock.append(est.history_["time"][-1])

    return fit


def theirs(cell, case, X, y):
    """The same epoch with PyTorch."""
    import torch

    inputs, units, layers, _, batch = case[:5]
    torch.set_num_threads(cores())
    net = getattr(torch.nn, cell)(inputs, units, layers, batch_first=True)
    head = torch.nn.Linear(units, 1)
    parameters = [*net.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, fused=True)
    data, target = torch.from_numpy(X), torch.from_numpy(y)[:, None]

    def epoch():
        order = torch.randperm(len(data))
        for first in range(0, len(data), batch):
            rows = order[first : first + batch]
            optimizer.zero_grad(set_to_none=True)
            (0.5 * (head(net(data[rows])[0][:, -1]) - target[rows]) ** 2).mean().backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()

    return epoch


def training(report, options, with_torch):
    """Steps of every cell and case."""
    times_of, ratios_of = [], []
    for cell in CELLS:
        for case in SMOKE if options.smoke else CASES:
            title = f"{cell} {title_of(case)}"
            if not chosen(options, title):
                continue
            inputs, _, _, steps, batch, batches, goal = case
            random, clock = np.random.default_rng(0), []
            X = random.standard_normal((batch * batches, steps, inputs), np.float32)
            y = random.standard_normal(batch * batches, np.float32)
            calls = {FIT: ours(cell, case, X, y, clock)}
            if with_torch:
                calls[TORCH] = theirs(cell, case, X, y)
            times = measure(calls, repeats(options, 9))
            times[OURS] = summary(clock[1:])  # the first was to warm up
            unit, names = MILLI * batches, (OURS, FIT, TORCH)
            times_of.append([title, *(shown(times[n], unit) if n in times else "-" for n in names)])
            ratios = [ratio(times, TORCH, n) if with_torch else None for n in (OURS, FIT)]
            words = [figure(value) if value else "-" for value in ratios]
            if with_torch and cell == "LSTM":
                words[0] = report.verdict(ratios[0], goal)
            ratios_of.append([title, *words])
            report.results[title] = {"case": case, "seconds": times}
            print(" | ".join(times_of[-1]), "|", " | ".join(words), flush=True)
    report.add("Milliseconds a step:")
    report.table(["cell, inputs-units x layers, time steps, batch", OURS, FIT, TORCH], times_of)
    report.add("How many times as long PyTorch takes:")
    report.table(["", OURS, FIT], ratios_of)


def prediction(report, options, with_torch):
    """One sequence through one layer."""
    import skneural

    inputs, units, _, steps = PREDICT
    random, calls = np.random.default_rng(0), 20 if options.smoke else 1000
    X, rows = random.standard_normal((64, steps, inputs), np.float32), []
    for cell in CELLS:
        est = getattr(skneural, f"{cell}Regressor")((units,), max_iter=1, random_state=0).fit(X, X[:, -1, 0])

        def many(predict, argument):
            for _ in range(calls):
                predict(argument)

        runs = {"skneural": lambda predict=est.predict: many(predict, X[:1])}
        if with_torch:
            import torch

            torch.set_num_threads(cores())
            net, head = getattr(torch.nn, cell)(inputs, units, batch_first=True), torch.nn.Linear(units, 1)

            @torch.inference_mode()
            def forward(x, net=net, head=head):
                return head(net(x)[0][:, -1])

            runs[TORCH] = lambda forward=forward: many(forward, torch.from_numpy(X[:1]))
        times = measure(runs, repeats(options, 5))
        report.results[f"predict, {cell}"] = {"calls": calls, "seconds": times}
        words = report.verdict(ratio(times, TORCH, "skneural"), PREDICT_GOAL) if with_torch else "-"
        rows.append(
            [cell, *(shown(times[n], MICRO * calls) if n in times else "-" for n in ("skneural", TORCH)), words]
        )
    report.add(f"Microseconds to predict one sequence of {steps} steps, {inputs} input, {units} units:")
    report.table(["cell", "skneural", TORCH, "times as long"], rows)


def first_fits(report, options):
    """The very first fit of a machine, whose kernels must be compiled."""
    seconds, count = {}, options.repeats or 3
    for name in ("MLPRegressor", "LSTMRegressor", "GRURegressor", "RNNRegressor"):
        seconds[name] = []
        for _ in range(count):
            with tempfile.TemporaryDirectory() as folder:
                seconds[name].append(float(process(FIRST_FIT.format(name), NUMBA_CACHE_DIR=folder)))
    times = {name: summary(numbers) for name, numbers in seconds.items()}
    report.results["first fit"] = times
    more = times["LSTMRegressor"]["median"] - times["MLPRegressor"]["median"]
    words = ", ".join(f"{name} {shown(t, 1)}" for name, t in times.items())
    report.add(
        f"The first fit with an empty cache, seconds in the call of `fit`: {words}. The LSTM takes "
        f"{report.verdict(more, FIRST_FIT_GOAL, at_least=False)} seconds more than the multi-layer perceptron."
    )


def memory(report, options):
    """Windows of a memory-mapped series: peak memory of the process before and after they were trained on."""
    n_rows, rows = 2000 if options.smoke else 1_000_000, []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "series.dat")
        np.sin(np.arange(n_rows + 60) / 9).astype(np.float32).tofile(path)
        for batch in (32,) if options.smoke else (64, 256, 1024):
            words = [str(batch), str(n_rows)]
            sys_argv = f"import sys; sys.argv = ['', {path!r}, *{words!r}]\n"
            found = [float(word) for word in process(sys_argv + MEMORY).split()]
            report.results[f"memory, batch {batch}"] = found
            windows, size, series, before, after, seconds = found
            rows.append(
                [batch, f"{windows:,.0f}", figure(size), figure(series), figure(before), figure(after), figure(seconds)]
            )
    report.add("One epoch over windows of 60 steps of a memory-mapped series, LSTM of 16 units, MB:")
    report.table(["batch", "windows", "if they were copied", "series", "peak before", "peak after", "seconds"], rows)
    report.add(
        "The peak before is that of a process that has fitted ten batches: Python, libraries, kernels and the buffers "
        "of a batch. After the epoch come the pages of the mapped file, the targets and the order of the windows."
    )


def main(arguments=None):
    options, report = start("recurrent", __doc__, arguments)
    with_torch = importlib.util.find_spec("torch") is not None
    if not with_torch:
        report.add("torch is not installed: it is left out.")
    training(report, options, with_torch)
    for part in (prediction, first_fits, memory):
        # `startup.py` shows in smoke runs that kernels compile, which takes half a minute here.
        if chosen(options, part.__name__) and not (options.smoke and part is first_fits):
            part(report, options, *([with_torch] if part is prediction else []))
    report.write()


if __name__ == "__main__":
    main()
