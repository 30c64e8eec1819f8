"""One training step of PyTorch and of JAX, with the features that `features.py` measures.

Nothing to run by itself. A feature is the `settings` that the estimator gets for it (``{"dropout": 0.2}``); with none,
it is the plain network with Adam. Both train what the estimator trains: two classes are one logistic output,
normalization stands before the activation (with batch normalization a layer has no biases), dropout behind it.
"""

import itertools

#: The loops over parameters that optimizers of PyTorch have: which is the fastest depends on the size of the network.
LOOPS = {"plain": {"foreach": False, "fused": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
TORCH_SOLVERS = {
    "sgd": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "nadam": ("NAdam", {}),
    "rmsprop": ("RMSprop", {"alpha": 0.9}),
    "adagrad": ("Adagrad", {}),
}
NEVER_FUSED = ("nadam", "rmsprop")
RATE, DECAY, EPSILON = 1e-3, 0.01, 1e-8


class TorchLion:
    """Lion (Chen et al., 2023), which PyTorch lacks, with the operations on lists that its own optimizers use."""

    def __init__(self, params):
        import torch

        self.params, self.momenta = params, [torch.zeros_like(p) for p in params]

    def zero_grad(self, set_to_none):
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def step(self):
        """Update the parameters."""
        import torch

        with torch.no_grad():
            grads = [p.grad for p in self.params]
            direction = torch._foreach_lerp(grads, self.momenta, 0.9)
            torch._foreach_sign_(direction)
            torch._foreach_mul_(self.params, 1 - RATE * DECAY)
            torch._foreach_add_(self.params, direction, alpha=-RATE)
            torch._foreach_lerp_(self.momenta, grads, 1 - 0.999)


def torch_loops(settings):
    """Names of the loops that PyTorch has for a solver."""
    solver = settings.get("solver", "adam")
    if solver == "lion":
        return ["foreach"]
    return [name for name in LOOPS if name != "fused" or solver not in NEVER_FUSED]


def torch_optimizer(params, loop, settings):
    """The optimizer of a feature."""
    import torch

    solver = settings.get("solver", "adam")
    if solver == "lion":
        return TorchLion(params)
    name, constants = TORCH_SOLVERS[solver]
    loop = {name: on for name, on in LOOPS[loop].items() if name != "fused" or solver not in NEVER_FUSED}
    return getattr(torch.optim, name)(params, lr=RATE, **constants, **loop)


def torch_network(layers, settings):
    """The network as a module that returns logits."""
    from torch import nn

    parts = []
    for n_in, n_out in itertools.pairwise(layers[:-1]):
        parts.append(nn.Linear(n_in, n_out, bias=settings.get("normalization") != "batch"))
        if "normalization" in settings:
            parts.append({"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[settings["normalization"]](n_out))
        parts.append(nn.ReLU())
        if "dropout" in settings:
            parts.append(nn.Dropout(settings["dropout"]))
    return nn.Sequential(*parts, nn.Linear(*layers[-2:]))


def torch_step(layers, loop, settings, compiled=None):
    """A function ``step(x, t)`` of PyTorch.

    Parameters
    ----------
    layers : tuple of int
        Sizes, from the inputs to the outputs.
    loop : {'plain', 'foreach', 'fused'}
    settings : dict
        The feature.
    compiled : {None, 'forward', 'step'}
        What `torch.compile` gets: nothing, the forward pass (and with it the backward pass), or all of the step.
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    net = torch_network(layers, settings)
    params = list(net.parameters())
    optimizer = torch_optimizer(params, loop, settings)

    def forward(x, t):
        if layers[-1] == 1:
            return functional.binary_cross_entropy_with_logits(net(x)[:, 0], t)
        return functional.cross_entropy(net(x), t)

    if compiled == "forward":
        forward = torch.compile(forward)

    def step(x, t):
        optimizer.zero_grad(set_to_none=True)
        forward(x, t).backward()
        if "clip_norm" in settings:
            torch.nn.utils.clip_grad_norm_(params, settings["clip_norm"], foreach=loop != "plain")
        optimizer.step()

    return torch.compile(step) if compiled == "step" else step


def jax_solver(name):
    """``update(p, g, state, t)`` of one array, which returns the new ``(p, state)``; and how many arrays of state."""
    import jax.numpy as jnp

    def sgd(p, g, state, t):
        s = 0.9 * state[0] - RATE * g
        return p + 0.9 * s - RATE * g, (s,)

    def adam(p, g, state, t):
        m, v = 0.9 * state[0] + 0.1 * g, 0.999 * state[1] + 0.001 * g * g
        rate = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return p - rate * m / (jnp.sqrt(v) + EPSILON), (m, v)

    def adamw(p, g, state, t):
        return adam(p * (1 - RATE * DECAY), g, state, t)

    def nadam(p, g, state, t):
        m, v = 0.9 * state[0] + 0.1 * g, 0.999 * state[1] + 0.001 * g * g
        ahead = 0.9 / (1 - 0.9 ** (t + 1)) * m + 0.1 / (1 - 0.9**t) * g
        return p - RATE * jnp.sqrt(1 - 0.999**t) * ahead / (jnp.sqrt(v) + EPSILON), (m, v)

    def rmsprop(p, g, state, t):
        v = 0.9 * state[0] + 0.1 * g * g
        return p - RATE * g / (jnp.sqrt(v) + EPSILON), (v,)

    def adagrad(p, g, state, t):
        v = state[0] + g * g
        return p - RATE * g / (jnp.sqrt(v) + EPSILON), (v,)

    def lion(p, g, state, t):
        direction = jnp.sign(0.9 * state[0] + 0.1 * g)
        return p * (1 - RATE * DECAY) - RATE * direction, (0.999 * state[0] + 0.001 * g,)

    update = {f.__name__: f for f in (sgd, adam, adamw, nadam, rmsprop, adagrad, lion)}[name]
    return update, 2 if update in (adam, adamw, nadam) else 1


def jax_loss(sizes, settings):
    """``loss(params, running, x, t, key) -> (loss, running)``: mean loss of a batch, and running batch statistics."""
    import jax
    import jax.numpy as jnp

    kind, rate = settings.get("normalization"), settings.get("dropout")

    def normalized(z, scale, shift, running):
        axis = 0 if kind == "batch" else 1
        mean, var = z.mean(axis, keepdims=True), z.var(axis, keepdims=True)
        if kind == "batch":
            running = tuple(0.9 * old + 0.1 * new[0] for old, new in zip(running, (mean, var), strict=True))
        return (z - mean) * jax.lax.rsqrt(var + 1e-5) * scale + shift, running

    def loss(params, running, x, t, key):
        kept = list(running)
        for layer, (W, *rest) in enumerate(params[:-1]):
            z, affine = (x @ W, rest) if kind == "batch" else (x @ W + rest[0], rest[1:])
            if kind:
                z, kept[layer] = normalized(z, *affine, running[layer])
            x = jax.nn.relu(z)
            if rate:
                keep = jax.random.bernoulli(jax.random.fold_in(key, layer), 1 - rate, x.shape)
                x = jnp.where(keep, x / (1 - rate), 0)
        W, b = params[-1]
        z = x @ W + b
        if sizes[-1] == 1:
            return jnp.mean(jax.nn.softplus(z[:, 0]) - t * z[:, 0]), kept
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), t[:, None], 1)), kept

    return loss


def jax_run(sizes, settings):
    """A jitted function ``run(state, X, y, order) -> state`` of JAX: a scan over the batches of `order`."""
    import jax
    import jax.numpy as jnp

    gradient = jax.grad(jax_loss(sizes, settings), has_aux=True)
    update, _ = jax_solver(settings.get("solver", "adam"))

    def run(state, X, y, order):
        def step(state, batch):
            params, states, running, t = state
            rows, key = batch
            g, running = gradient(params, running, X[rows], y[rows], key)
            t, leaves = t + 1, jax.tree.leaves(g)
            if "clip_norm" in settings:
                norm = jnp.sqrt(sum(jnp.sum(g * g) for g in leaves))
                factor = jnp.minimum(1, settings["clip_norm"] / norm)
                leaves = [factor * g for g in leaves]
            old = zip(jax.tree.leaves(params), leaves, states, strict=True)
            new = [update(p, g, s, t) for p, g, s in old]
            params = jax.tree.unflatten(jax.tree.structure(params), [p for p, _ in new])
            return (params, [s for _, s in new], running, t), None

        *rest, key = state
        keys = None
        if "dropout" in settings:
            key, drawn = jax.random.split(key)
            keys = jax.random.split(drawn, len(order))
        return *jax.lax.scan(step, tuple(rest), (order, keys))[0], key

    return jax.jit(run, donate_argnums=0)


def jax_state(random, sizes, settings, generator=None):
    """What `jax_run` moves on: parameters, state of the solver, running statistics, number of the step, random key."""
    import jax
    import jax.numpy as jnp

    kind, params, running = settings.get("normalization"), [], []

    def filled(count, *numbers):  # every buffer is donated, so every one is an array of its own
        return tuple(jnp.full(count, number, jnp.float32) for number in numbers)

    for layer, (i, o) in enumerate(itertools.pairwise(sizes)):
        vectors = {None: (0,), "batch": (1, 0), "layer": (0, 1, 0)}[kind if layer < len(sizes) - 2 else None]
        params.append((jnp.array(random.normal(size=(i, o)) * (2 / i) ** 0.5, jnp.float32), *filled(o, *vectors)))
        running.append(filled(o, 0, 1) if kind == "batch" and layer < len(sizes) - 2 else ())
    _, count = jax_solver(settings.get("solver", "adam"))
    states = [tuple(jnp.zeros_like(p) for _ in range(count)) for p in jax.tree.leaves(params)]
    key = jax.random.key(0, impl=generator) if "dropout" in settings else jnp.zeros(())
    return params, states, running, jnp.float32(0), key
