"""Epochs of whole trainings on a GPU: ours, PyTorch's and JAX's, in one process. A part of `gpu.py`.

Rows and targets stand on the device for all. In the timed region: whole epochs, from the order of the rows to the loss
that the host has read; with ours, that the parameters come back once a call. All begin with the same weights, and with
none is there a partial batch.
"""

import itertools
import math
import time
from dataclasses import dataclass

import gpu_peers as peers
import numpy as np
from _common import cores, summary

PRECISIONS = ("full", "tf32")
#: Calls of each before anything is timed: the first epoch compiles, the second captures what later ones replay.
WARM = 2


@dataclass(frozen=True)
class Case:
    """A network, its data, and how often it is measured.

    Parameters
    ----------
    layers : tuple of int
        Sizes, from the inputs to the outputs; with `timesteps` those between are LSTM, with `image` blocks of two
        convolutions of 3 by 3 pixels, with so many filters, and a pooling.
    batch, steps : int
        Rows of a batch, and batches of an epoch.
    timesteps : int
    image : tuple of int
        Height and width.
    epochs, rounds : int
        Epochs of a call, and calls.
    """

    layers: tuple
    batch: int
    steps: int
    timesteps: int = 0
    image: tuple = ()
    epochs: int = 1
    rounds: int = 7

    @property
    def rows(self):
        """Rows, or sequences, of an epoch."""
        return self.batch * self.steps

    @property
    def title(self):
        """Sizes in words."""
        sizes = "-".join(map(str, self.layers))
        if self.timesteps:
            sizes += f" LSTM, T {self.timesteps}"
        elif self.image:
            sizes += f" filters, {self.image[0]} x {self.image[1]} pixels"
        return f"{sizes}, batch {self.batch}, {self.rows:,} rows"


CASES = {
    "a": Case((784, 256, 128, 10), 200, 300, epochs=10),
    "b": Case((256, 1024, 1024, 1024, 1024, 10), 4096, 245, rounds=5),
    "c": Case((7, 128, 128, 1), 256, 39, timesteps=96, epochs=2),
    "d": Case((3, 32, 64, 128, 10), 128, 78, image=(32, 32), rounds=5),
}
SMOKE = {
    "a": Case((784, 16, 8, 10), 20, 5, epochs=2, rounds=2),
    "b": Case((256, 16, 16, 16, 16, 10), 64, 3, epochs=2, rounds=2),
    "c": Case((7, 8, 8, 1), 16, 3, timesteps=6, epochs=2, rounds=2),
    "d": Case((3, 4, 8, 10), 16, 3, image=(8, 8), epochs=2, rounds=2),
}


def draw(case):
    """Rows and labels that can be learnt, or sequences and targets. Images are sequences of pixels."""
    random = np.random.default_rng(0)
    if case.timesteps:
        X = random.standard_normal((case.rows, case.timesteps, case.layers[0]), np.float32)
        return X, X[:, -5:, :2].sum(axis=(1, 2)) / np.float32(10**0.5)
    shape = (math.prod(case.image), case.layers[0]) if case.image else (case.layers[0],)
    X = random.standard_normal((case.rows, *shape), np.float32)
    seen = X[:, : math.prod(shape[:-1]) // 2 + 1].sum(axis=1) if case.image else X
    teacher = random.standard_normal((case.layers[0], case.layers[-1]), np.float32)
    return X, np.argmax(seen @ teacher, axis=1)


def network(case):
    """The program of a case, and the parameters that it begins with."""
    from skneural.layers import Conv2D, Dense, Flatten, GlobalPool, MaxPool2D, Recurrent, Reshape
    from skneural.network.initializers import initialize
    from skneural.network.program import lower

    inputs, *hidden, outputs = case.layers
    if case.timesteps:
        layers = [*(Recurrent("lstm", units) for units in hidden), GlobalPool("last"), Dense(outputs)]
        program = lower(layers, inputs, dtype=np.float32, loss="squared_error", n_timesteps=case.timesteps)
    else:
        if case.image:
            blocks = [[Conv2D(filters, activation="relu")] * 2 + [MaxPool2D()] for filters in hidden]
            before = [Reshape((*case.image, inputs)), *itertools.chain(*blocks), Flatten()]
        else:
            before = [Dense(units, "relu") for units in hidden]
        facts = {"loss": "log_loss", "settings": (0.0,), "n_timesteps": math.prod(case.image) if case.image else 0}
        program = lower([*before, Dense(outputs)], inputs, dtype=np.float32, **facts)
    return program, initialize(program, 0)


def beginning(case):
    """Weights, biases and weights of the state before (or None) that every layer begins with."""
    program, params = network(case)
    of_states = [block.view(params) for block in program.named("recurrent_coefs_")]
    return list(itertools.zip_longest(program.coefs(params), program.intercepts(params), of_states))


def our_trainer(case, X, y, device, precision):
    """Our trainer, started."""
    from skneural.backends.base import OptimizerState
    from skneural.backends.devices import make_trainer
    from skneural.backends.inputs import Sequences

    program, params = network(case)
    data, targets = Sequences(X, None) if X.ndim == 3 else X, y.astype(np.float32)[:, None]
    trainer = make_trainer(
        device, precision, program, params, data, targets, None, alpha=0.0, seed=0, n_threads=cores()
    )
    state = OptimizerState.fresh(program)
    try:
        trainer.start("adam", (0.9, 0.999, 1e-8), state, batch=case.batch, shuffle=True, tol=0.0, patience=np.inf)
    except BaseException:
        trainer.close()
        raise
    return trainer


def ours(case, X, y, device, precision, log):
    """Our ``train(epochs)``."""
    trainer = our_trainer(case, X, y, device, precision)
    best, count = np.inf, 0

    def train(epochs):
        nonlocal best, count
        losses = []
        while len(losses) < epochs:
            rates = np.full(epochs - len(losses), peers.RATE)
            found, best, count = trainer.run_epochs(rates, best, count)
            losses += [loss for loss, _ in found]
        log.put(f"execution, {precision}", getattr(trainer, "execution", "CPU"))
        return losses

    return train


def compile_kernels(log, task):
    """Run an epoch of two batches, so that the kernels of a case are in the cache."""
    case = CASES[task["case"]]
    small = Case(case.layers, case.batch, 2, case.timesteps, case.image)
    X, y = draw(small)
    log.attempt(task["part"], lambda: ours(small, X, y, task["device"], task["part"], log)(1), share=1)


def measure(log, trains, case, rounds):
    """Call trainings in turn; every other round runs backwards. What was found of each stands in the log."""
    seconds, losses = {name: [] for name in trains}, {}

    def once(name):
        begin = time.perf_counter()
        found = trains[name](case.epochs)
        return (time.perf_counter() - begin) / case.epochs, found

    for name in list(trains):
        begin = time.perf_counter()
        found = log.attempt(name, lambda name=name: [loss for _ in range(WARM) for loss in once(name)[1]])
        if found is None:
            del trains[name]
        else:
            losses[name] = found
            log.put(f"warm-up, {name}", time.perf_counter() - begin)
    longest = 0.0
    for turn in range(rounds):
        begin = time.monotonic()
        if log.left() < 2 * longest:
            break
        for name in list(trains)[:: -1 if turn % 2 else 1]:
            found = log.attempt(name, lambda name=name: once(name))
            if found is None:
                del trains[name]
                continue
            seconds[name].append(found[0])
            losses[name] += found[1]
            log.put(name, {"seconds": summary(seconds[name]), "losses": losses[name]})
        longest = max(longest, time.monotonic() - begin)


def importable(log, package, device):
    """Whether a package can train on a device; the log says why not."""
    problem = {"torch": peers.torch_problem, "jax": peers.jax_problem}[package]
    why = log.attempt(f"import {package}", lambda: problem(device) or "")
    if why:
        log.put(f"missing, {package}", why)
    return why == ""


def train(log, task):
    """Measure a case."""
    case = (SMOKE if task["smoke"] else CASES)[task["case"]]
    device, rounds = task["device"], task["rounds"] or case.rounds
    X, y = draw(case)
    start = beginning(case)
    precisions = PRECISIONS[: 1 if device == "cpu" else 2]
    first = {f"skneural, {p}": lambda p=p: ours(case, X, y, device, p, log) for p in precisions}
    compiled = {}
    if importable(log, "torch", device):
        ways, compiled = peers.torch_ways(case, X, y, start, device)
        first |= ways
    if not case.timesteps and not case.image and importable(log, "jax", device):
        first |= peers.jax_ways(case, X, y, start, device)
    if task["smoke"]:  # the compiler alone may take half a minute
        compiled = {}
    for ways in (first, *({name: get_ready} for name, get_ready in compiled.items())):
        if ways is not first and log.left() < 0.25 * log.seconds:
            log.put(f"left out, {next(iter(ways))}", True)
            continue
        ready = {name: log.attempt(name, get_ready) for name, get_ready in ways.items()}
        measure(log, {name: run for name, run in ready.items() if run is not None}, case, rounds)
