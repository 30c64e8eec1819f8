"""The networks of `convolutions.py`, trained by PyTorch and by JAX with what is fastest there.

Nothing to run by itself. Both get the same float32 samples as the estimators, see each of them once an epoch in a new
random order, and train the same layers. They do less around it: no loss curve, no validation of the data, and JAX keeps
no running statistics of a batch normalisation.
"""

import logging
import os

import numpy as np
from _common import cores
from _feature_peers import jax_solver


def modules_of(layers, shape):
    """The same layers for PyTorch, and the shape of what comes out of them, channels first."""
    import torch

    class Sum(torch.nn.Module):
        def __init__(self, inside, around):
            super().__init__()
            self.inside, self.around = inside, around

        def forward(self, x):
            return self.inside(x) + self.around(x)

    class Mean(torch.nn.Module):
        def forward(self, x):
            return x.flatten(2).mean(2)

    n_axes = len(shape) - 1
    found = []
    for layer in layers:
        kind = type(layer).__name__
        if kind.startswith("Conv"):
            make = getattr(torch.nn, f"Conv{n_axes}d")
            bias = layer.normalization is None
            groups = shape[0] if layer.groups == "depthwise" else layer.groups
            found.append(make(shape[0], layer.filters, layer.kernel_size, padding="same", bias=bias, groups=groups))
            shape = (layer.filters, *shape[1:])
            if layer.normalization:
                found.append(getattr(torch.nn, f"BatchNorm{n_axes}d")(shape[0]))
            if layer.activation:
                found.append(torch.nn.ReLU())
        elif kind == "Dense":
            found += [torch.nn.Linear(shape[0], layer.units), torch.nn.ReLU()]
            shape = (layer.units,)
        elif kind == "BatchNorm":
            found.append(getattr(torch.nn, f"BatchNorm{n_axes}d")(shape[0]))
        elif kind == "MaxPool2D":
            found.append(torch.nn.MaxPool2d(2))
            shape = (shape[0], shape[1] // 2, shape[2] // 2)
        elif kind == "Dropout":
            found.append(torch.nn.Dropout(layer.rate))
        elif kind == "Residual":
            inside, after = modules_of(layer.layers, shape)
            around, _ = modules_of(layer.shortcut, shape)
            found.append(Sum(inside, around))
            shape = after
        elif kind == "Flatten":
            found.append(torch.nn.Flatten())
            shape = (int(np.prod(shape)),)
        else:
            found.append(Mean())
            shape = shape[:1]
    return torch.nn.Sequential(*found), shape


def theirs(case, X, y, *, channels_last, is_compiled):
    """The same epoch with PyTorch."""
    import torch

    _, shape, layers, classes, batch, *_ = case
    torch.set_num_threads(cores())
    first = (shape[-1], *shape[:-1])
    body, after = modules_of(layers, first)
    net = torch.nn.Sequential(body, torch.nn.Linear(after[0], classes))
    images = torch.from_numpy(np.ascontiguousarray(np.moveaxis(X.reshape(len(X), *shape), -1, 1)))
    if channels_last:
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    target = torch.from_numpy(y)
    forward = torch.compile(net) if is_compiled else net

    def epoch():
        order = torch.randperm(len(images))
        for begin in range(0, len(images), batch):
            rows = order[begin : begin + batch]
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(forward(images[rows]), target[rows]).backward()
            optimizer.step()

    return epoch


def peers(case, X, y, *, with_compile):
    """Epochs of PyTorch by the names of its ways."""
    import torch

    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    torch._logging.set_logs(all=logging.ERROR)
    torch.compiler.reset()
    calls = {}
    for channels_last in (False, True) if len(case[1]) == 3 else (False,):
        for is_compiled in (False, True) if with_compile else (False,):
            layout = " channels_last" * channels_last
            calls[f"PyTorch {'compiled' if is_compiled else 'eager'}{layout}"] = theirs(
                case, X, y, channels_last=channels_last, is_compiled=is_compiled
            )
    return calls


# -- JAX ---------------------------------------------------------------------------------------------------------------


def jax_layers(layers, shape, random):
    """The same layers for JAX, channels last: parameters of each, functions of these, x and a random key; the shape."""
    import jax
    import jax.numpy as jnp

    def normalized(p, x):
        axes = tuple(range(x.ndim - 1))
        z = (x - x.mean(axes)) * jax.lax.rsqrt(x.var(axes) + 1e-5)
        return z * p["scale"] + p["shift"]

    def norm_of(width):
        return {"scale": jnp.ones(width), "shift": jnp.zeros(width)}

    def convolution(layer, shape):
        n_axes = len(shape) - 1
        groups = shape[-1] if layer.groups == "depthwise" else layer.groups
        sizes = np.broadcast_to(layer.kernel_size, n_axes)
        kernel = (*(int(size) for size in sizes), shape[-1] // groups, layer.filters)
        p = {"kernel": jnp.array(random.normal(size=kernel) * (2 / np.prod(kernel[:-1])) ** 0.5, jnp.float32)}
        p |= norm_of(layer.filters) if layer.normalization else {"bias": jnp.zeros(layer.filters)}
        axes = "HW"[:n_axes]
        names = (f"N{axes}C", f"{axes}IO", f"N{axes}C")

        def apply(p, x, key):
            y = jax.lax.conv_general_dilated(
                x, p["kernel"], (1,) * n_axes, "SAME", dimension_numbers=names, feature_group_count=groups
            )
            y = normalized(p, y) if layer.normalization else y + p["bias"]
            return jax.nn.relu(y) if layer.activation else y

        return p, apply, (*shape[:-1], layer.filters)

    def dense(layer, shape):
        weight = random.normal(size=(shape[0], layer.units)) * (2 / shape[0]) ** 0.5
        p = {"weight": jnp.array(weight, jnp.float32), "bias": jnp.zeros(layer.units)}
        return p, lambda p, x, key: jax.nn.relu(x @ p["weight"] + p["bias"]), (layer.units,)

    def dropout(layer, shape):
        def apply(p, x, key):
            keep = jax.random.bernoulli(key, 1 - layer.rate, x.shape)
            return jnp.where(keep, x / (1 - layer.rate), 0)

        return {}, apply, shape

    def pool(layer, shape):
        def apply(p, x, key):
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

        return {}, apply, (shape[0] // 2, shape[1] // 2, shape[2])

    def residual(layer, shape):
        inside, apply_inside, after = jax_layers(layer.layers, shape, random)
        around, apply_around, _ = jax_layers(layer.shortcut, shape, random)

        def apply(p, x, key):
            return apply_inside(p[0], x, key) + apply_around(p[1], x, key)

        return (inside, around), apply, after

    makers = {
        "Conv1D": convolution,
        "Conv2D": convolution,
        "Dense": dense,
        "Dropout": dropout,
        "MaxPool2D": pool,
        "Residual": residual,
        "BatchNorm": lambda layer, shape: (norm_of(shape[-1]), lambda p, x, key: normalized(p, x), shape),
        "Flatten": lambda layer, shape: ({}, lambda p, x, key: x.reshape(len(x), -1), (int(np.prod(shape)),)),
        "GlobalPool": lambda layer, shape: ({}, lambda p, x, key: x.mean(tuple(range(1, x.ndim - 1))), shape[-1:]),
    }
    params = []
    functions = []
    for layer in layers:
        p, function, shape = makers[type(layer).__name__](layer, shape)
        params.append(p)
        functions.append(function)

    def apply_all(params, x, key):
        for number, (p, function) in enumerate(zip(params, functions, strict=True)):
            x = function(p, x, jax.random.fold_in(key, number))
        return x

    return params, apply_all, shape


def jax_epoch(case, X, y):
    """An epoch with JAX: compiled steps, one by one, and dropout draws by the cheap generator `rbg`.

    In a scan over the batches, which is faster for dense layers, XLA's convolutions are tens of times slower.
    """
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp

    _, shape, layers, classes, batch, *_ = case
    random = np.random.default_rng(0)
    body, apply_body, after = jax_layers(layers, shape, random)
    last = {"weight": jnp.zeros((after[0], classes)), "bias": jnp.zeros(classes)}
    images, target = jnp.array(X.reshape(len(X), *shape)), jnp.array(y, jnp.int32)
    update, n_states = jax_solver("adam")

    def loss(params, x, t, key):
        z = apply_body(params[0], x, key) @ params[1]["weight"] + params[1]["bias"]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), t[:, None], 1))

    @jax.jit
    def step(state, rows, key):
        params, states, t = state
        leaves, tree = jax.tree.flatten(params)
        gradients = jax.tree.leaves(jax.grad(loss)(params, images[rows], target[rows], key))
        new = [update(p, g, s, t + 1) for p, g, s in zip(leaves, gradients, states, strict=True)]
        return jax.tree.unflatten(tree, [p for p, _ in new]), [s for _, s in new], t + 1

    params = (body, last)
    states = [tuple(jnp.zeros_like(p) for _ in range(n_states)) for p in jax.tree.leaves(params)]
    state = (params, states, jnp.float32(0))
    key = jax.random.key(0, impl="rbg")

    def epoch():
        nonlocal state, key
        for rows in random.permutation(len(X)).astype(np.int32).reshape(-1, batch):
            key, drawn = jax.random.split(key)
            state = step(state, rows, drawn)
        jax.block_until_ready(state)

    return epoch
