"""The networks of `networks.py`, trained by PyTorch and by JAX with the settings that are fastest there.

Nothing to run by itself. Both get the same float32 rows as the estimators, see every row once an epoch in a new random
order, and train the network that the estimators train: two classes are one logistic output. They do less around it: no
L2 penalty, no loss curve, no validation of the data.
"""

import itertools
import logging
import os
import statistics
import time

import numpy as np

#: The optimizers PyTorch has: which is the fastest depends on the size of the network.
TORCH_ADAMS = {"plain": {"foreach": False, "fused": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
PROBE_SECONDS, PROBE_REPEATS = 0.05, 3


def torch_step(layers, adam, compiled=None):
    """A function ``step(x, t)`` of PyTorch.

    Parameters
    ----------
    layers : list of int
        Sizes, from the inputs to the outputs.
    adam : dict
        Keywords of the optimizer.
    compiled : {None, 'forward', 'step'}
        What `torch.compile` gets: nothing, the forward pass (and with it the backward pass), or all of the step.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    parts = []
    for n_in, n_out in itertools.pairwise(layers):
        parts += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    net = torch.nn.Sequential(*parts[:-1])
    optimizer = torch.optim.Adam(net.parameters(), **adam)

    def forward(x, t):
        if layers[-1] == 1:
            return functional.binary_cross_entropy_with_logits(net(x)[:, 0], t)
        return functional.cross_entropy(net(x), t)

    if compiled == "forward":
        forward = torch.compile(forward)

    def step(x, t):
        optimizer.zero_grad(set_to_none=True)
        forward(x, t).backward()
        optimizer.step()

    return torch.compile(step) if compiled == "step" else step


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


def torch_trainers(case, X, y, threads, *, with_compile):
    """Callables ``train(epochs)``, by name: eager and compiled; and what was tried for each."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # else a pool of compilers stays around
    import torch

    torch.set_num_threads(threads)
    torch._logging.set_logs(all=logging.ERROR)
    torch.compiler.reset()  # the compiler gives up after some variants of one function, and here come six networks
    rows, targets = torch.from_numpy(X), torch.from_numpy(y.astype(np.float32) if case.sizes[-1] == 1 else y)
    kinds = {"PyTorch eager": {name: torch_step(case.sizes, adam) for name, adam in TORCH_ADAMS.items()}}
    if with_compile:
        kinds["PyTorch compiled"] = {
            f"{what} compiled, {adam} Adam": torch_step(case.sizes, TORCH_ADAMS[adam], what)
            for what, adam in (("step", "plain"), ("forward", "fused"))
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


def jax_run(sizes):
    """A jitted function ``run(state, X, y, order) -> state`` of JAX: a scan over the batches of `order`."""
    import jax
    import jax.numpy as jnp

    def loss(params, x, t):
        for W, b in params[:-1]:
            x = jax.nn.relu(x @ W + b)
        W, b = params[-1]
        z = x @ W + b
        if sizes[-1] == 1:
            return jnp.mean(jax.nn.softplus(z[:, 0]) - t * z[:, 0])
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), t[:, None], 1))

    def run(state, X, y, order):
        def step(state, rows):
            p, m, v, t = state
            g, t = jax.grad(loss)(p, X[rows], y[rows]), t + 1
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
            rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            return (jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), p, m, v), m, v, t), None

        return jax.lax.scan(step, state, order)[0]

    return jax.jit(run, donate_argnums=0)


def jax_trainers(case, X, y):
    """Callables ``train(epochs)``, by name: one scan an epoch, and one scan over all epochs."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp

    random = np.random.default_rng(0)

    def new_state():
        params = [
            (jnp.array(random.normal(size=(i, o)) * np.sqrt(2 / i), jnp.float32), jnp.zeros(o, jnp.float32))
            for i, o in itertools.pairwise(case.sizes)
        ]
        zeros = jax.tree.map(jnp.zeros_like, params)
        return params, zeros, jax.tree.map(jnp.zeros_like, params), jnp.float32(0)

    run, states = jax_run(case.sizes), {}
    Xj, yj = jnp.array(X), jnp.array(y, jnp.float32 if case.sizes[-1] == 1 else jnp.int32)

    def order(epochs):
        drawn = np.concatenate([random.permutation(len(X)) for _ in range(epochs)])
        return drawn.astype(np.int32).reshape(-1, case.batch)

    def by_epoch(epochs):
        state = states.pop("epoch", None) or new_state()
        for _ in range(epochs):
            state = run(state, Xj, yj, order(1))
        states["epoch"] = jax.block_until_ready(state)

    def at_once(epochs):
        state = states.pop("all", None) or new_state()
        states["all"] = jax.block_until_ready(run(state, Xj, yj, order(epochs)))

    trainers = {"JAX, scan an epoch": by_epoch}
    return trainers | {"JAX, one scan": at_once} if case.epochs > 1 else trainers  # with one epoch they are the same
