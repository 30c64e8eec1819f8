"""The networks of `networks.py` and `features.py`, trained by PyTorch and by JAX with what is fastest there.

Nothing to run by itself. Both get the same float32 rows as the estimators, see every row once an epoch in a new random
order, and train the network that the estimators train (`_feature_peers.py`). They do less around it: no L2 penalty, no
loss curve, no validation of the data.
"""

import logging
import os
import statistics
import time

import numpy as np
from _feature_peers import jax_run, jax_state, torch_loops, torch_step

#: Random generators of JAX: which is the fastest depends on the machine.
JAX_GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")
PROBE_SECONDS, PROBE_REPEATS = 0.05, 3


def fastest(steps, x, t):
    """Name of the fastest step in a quick interleaved probe; microseconds of each, or why it failed."""
    counts, seconds, failures = {}, {}, {}
    for name, step in steps.items():
        try:
            for _ in range(3):  # the first compiles, the second may compile again now that the optimizer has a state
                start = time.perf_counter()
                step(x, t)
                once = time.perf_counter() - start
        except Exception as error:  # whatever a compiler throws is a result here
            failures[name] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        else:
            counts[name], seconds[name] = max(1, int(PROBE_SECONDS / once)), []
    for _ in range(PROBE_REPEATS):
        for name, count in counts.items():
            start = time.perf_counter()
            for _ in range(count):
                steps[name](x, t)
            seconds[name].append((time.perf_counter() - start) / count)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    best = min(medians, key=medians.get) if medians else None
    return best, {name: s * 1e6 for name, s in medians.items()} | failures


def torch_trainers(case, X, y, threads, *, settings=None, with_compile=False):
    """Callables ``train(epochs)``, by name: eager and compiled; and what was tried for each."""
    settings = settings or {}
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # else a pool of compilers stays around
    import torch

    torch.set_num_threads(threads)
    torch._logging.set_logs(all=logging.ERROR)
    torch.compiler.reset()  # the compiler gives up after some variants of one function, and here come six networks
    rows, targets = torch.from_numpy(X), torch.from_numpy(y.astype(np.float32) if case.sizes[-1] == 1 else y)
    kinds = {"PyTorch eager": {loop: torch_step(case.sizes, loop, settings) for loop in torch_loops(settings)}}
    if with_compile:
        kinds["PyTorch compiled"] = {
            f"{what} compiled, {loop} Adam": torch_step(case.sizes, loop, settings, what)
            for what, loop in (("step", "plain"), ("forward", "fused"))
        }

    def trainer(step):
        def train(epochs):
            for _ in range(epochs):
                for batch in torch.randperm(len(rows)).split(case.batch):
                    step(rows[batch], targets[batch])

        return train

    trainers, tried = {}, {}
    for kind, steps in kinds.items():
        best, times = fastest(steps, rows[: case.batch], targets[: case.batch])
        tried[kind] = {"used": best, "microseconds": times}
        if best is not None:
            trainers[kind] = trainer(steps[best])
    return trainers, tried


def jax_trainer(case, X, y, settings, generator=None, *, at_once=False):
    """A callable ``train(epochs)``: one scan an epoch, or one over all epochs."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp

    random = np.random.default_rng(0)
    run, state = jax_run(case.sizes, settings), jax_state(random, case.sizes, settings, generator)
    Xj, yj = jnp.array(X), jnp.array(y, jnp.float32 if case.sizes[-1] == 1 else jnp.int32)

    def order(epochs):
        drawn = np.concatenate([random.permutation(len(X)) for _ in range(epochs)])
        return drawn.astype(np.int32).reshape(-1, case.batch)

    def train(epochs):
        nonlocal state
        for epochs_of_scan in [epochs] if at_once else [1] * epochs:
            state = run(state, Xj, yj, order(epochs_of_scan))
        jax.block_until_ready(state)

    return train


def jax_trainers(case, X, y):
    """Callables ``train(epochs)``, by name: one scan an epoch, and one scan over all epochs."""
    trainers = {"JAX, scan an epoch": jax_trainer(case, X, y, {})}
    if case.epochs > 1:  # with one epoch they are the same
        trainers["JAX, one scan"] = jax_trainer(case, X, y, {}, at_once=True)
    return trainers


def jax_feature(case, X, y, settings):
    """A callable ``train(epochs)`` with a scan an epoch; for dropout with the fastest generator, and what was tried."""
    if "dropout" not in settings:
        return jax_trainer(case, X, y, settings), None
    tried = {name: jax_trainer(case, X, y, settings, name) for name in JAX_GENERATORS}
    best, times = fastest({name: lambda x, t, train=train: train(1) for name, train in tried.items()}, X, y)
    return tried[best], {"used": best, "microseconds of an epoch": times}
