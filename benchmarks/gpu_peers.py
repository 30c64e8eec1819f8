"""The networks of `gpu_training.py`, trained by PyTorch and JAX in the ways that are fastest there.

Nothing to run by itself. A way of training is a function that gets ready and returns ``train(epochs)``, which returns
the mean losses of the epochs. All see every row once an epoch in a new random order that the device draws; rows and
targets stand on the device. Nobody clips, and there is no penalty.
"""

import functools
import importlib.util
import logging

RATE = 1e-3


def torch_problem(device):
    """Why PyTorch cannot train on a device, None if it can."""
    if importlib.util.find_spec("torch") is None:
        return "not installed"
    import torch

    torch._logging.set_logs(all=logging.ERROR)
    if device != "cpu" and not torch.cuda.is_available():
        return f"not installed with CUDA ({torch.__version__}), or it finds no GPU"
    return None


def jax_problem(device):
    """Why JAX cannot train on a device, None if it can."""
    if importlib.util.find_spec("jax") is None:
        return "not installed"
    import jax

    try:
        jax.devices(device if device == "cpu" else "gpu")
    except RuntimeError as error:
        return f"not installed with CUDA ({jax.__version__}), or it finds no GPU: {' '.join(str(error).split())[:150]}"
    return None


# -- PyTorch -----------------------------------------------------------------------------------------------------------


def use_tf32(on):
    """Let PyTorch's products and cuDNN round to TF32, or not."""
    import torch

    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on


def torch_graph(work, warm=3):
    """A function that replays what `work` does, captured into a CUDA graph."""
    import torch

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warm):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def torch_network(case, start, device):
    """A function ``loss(x, t)``, and the parameters that it depends on."""
    from torch import nn
    from torch.nn import functional

    def linear(weight, bias):
        layer = nn.Linear(*weight.shape)
        fill(layer, {"weight": weight.T, "bias": bias})
        return layer.to(device)

    if case.timesteps:
        inputs, units, *more = case.layers[:-1]
        net = nn.LSTM(inputs, units, 1 + len(more), batch_first=True)
        for layer, (weight, bias, recurrent) in enumerate(start[:-1]):  # (inputs, gates, units), the gates as PyTorch's
            weight, recurrent = (a.transpose(1, 2, 0).reshape(-1, len(a)) for a in (weight, recurrent))
            values = {"weight_ih": weight, "weight_hh": recurrent, "bias_ih": bias.ravel(), "bias_hh": 0 * bias.ravel()}
            fill(net, {f"{name}_l{layer}": value for name, value in values.items()})
        net, head = net.to(device), linear(*start[-1][:2])
        parameters = [*net.parameters(), *head.parameters()]
        return lambda x, t: 0.5 * functional.mse_loss(head(net(x)[0][:, -1])[:, 0], t), parameters
    if case.image:
        net = torch_images(case, start, device, linear)
        return lambda x, t: functional.cross_entropy(net(x), t), list(net.parameters())
    parts = [part for weight, bias, _ in start for part in (linear(weight, bias), nn.ReLU())]
    net = nn.Sequential(*parts[:-1])
    return lambda x, t: functional.cross_entropy(net(x), t), list(net.parameters())


def torch_images(case, start, device, linear):
    """The network for images, which it gets as rows of pixels: the channels last, as ours has them."""
    import torch
    from torch import nn

    class Moved(nn.Module):
        """Axes in another order, without a copy."""

        def __init__(self, shape, order):
            super().__init__()
            self.shape, self.order = shape, order

        def forward(self, x):
            return x.view(-1, *self.shape).permute(self.order) if self.shape else x.permute(self.order)

    parts = [Moved((*case.image, case.layers[0]), (0, 3, 1, 2))]
    for i, (weight, bias, _) in enumerate(start[:-1]):
        filters = weight.shape[1]
        channels = len(weight) // 9
        layer = nn.Conv2d(channels, filters, 3, padding=1)
        fill(layer, {"weight": weight.reshape(3, 3, channels, filters).transpose(3, 2, 0, 1), "bias": bias})
        parts += [layer, nn.ReLU(), *[nn.MaxPool2d(2)] * (i % 2)]
    net = nn.Sequential(*parts).to(device).to(memory_format=torch.channels_last)
    return nn.Sequential(net, Moved((), (0, 2, 3, 1)), nn.Flatten(), linear(*start[-1][:2]))


def fill(module, values):
    """Set parameters of a module of PyTorch, by name."""
    import torch

    with torch.no_grad():
        for name, value in values.items():
            getattr(module, name).copy_(torch.from_numpy(value.copy()))


def torch_step(case, start, device, way):
    """A function that trains on one batch and returns its loss, on the device."""
    import torch

    torch.manual_seed(0)
    loss_of, parameters = torch_network(case, start, device)
    if way == "compiled":  # the compiler fuses the loop over the parameters by itself
        settings = {"foreach": True, "capturable": device != "cpu"}
    else:
        settings = {"fused": True, "capturable": way == "graph"}
    optimizer = torch.optim.Adam(parameters, lr=RATE, **settings)

    def step(x, t):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, t)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def torch_trainer(case, X, t, start, *, way, tf32):
    """PyTorch's ``train(epochs)``.

    Parameters
    ----------
    case : Case
    X, t : Tensor
        On the device.
    start : list of (ndarray, ndarray, ndarray or None)
        Weights, biases and weights of the state before that every layer begins with.
    way : {'eager', 'graph', 'compiled'}
        One kernel after the other, the rows of an epoch gathered at once; all of a step as a CUDA graph, whose batch is
        gathered beforehand; or compiled with ``mode="reduce-overhead"``.
    tf32 : bool
    """
    import torch

    use_tf32(tf32)
    step, total = torch_step(case, start, X.device.type, way), torch.zeros((), device=X.device)
    compiled = torch.compile(step, mode="reduce-overhead") if way == "compiled" else None

    def run_step(x, t):
        if compiled is None:
            return total.add_(step(x, t))
        torch.compiler.cudagraph_mark_step_begin()
        return total.add_(compiled(x, t))

    def run_steps(order):
        for x, y in zip(X[order].split(case.batch), t[order].split(case.batch), strict=True):
            run_step(x, y)

    if way == "graph":
        batch = X[: case.batch].clone(), t[: case.batch].clone()
        replay = torch_graph(lambda: run_step(*batch))

        def run_steps(order):
            for rows in order.split(case.batch):
                for source, target in zip((X, t), batch, strict=True):
                    torch.index_select(source, 0, rows, out=target)
                replay()

    def train(epochs):
        use_tf32(tf32)
        losses = []
        for _ in range(epochs):
            total.zero_()
            run_steps(torch.randperm(len(X), device=X.device))
            losses.append(total.item() / case.steps)
        return losses

    return train


def torch_ways(case, X, y, start, device):
    """PyTorch's ways, by name: those to be measured first, and those that have to be compiled."""
    import torch

    @functools.cache
    def data():
        return torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)

    def ways(*kinds):
        return {
            f"PyTorch {way}" + ", TF32" * tf32: lambda way=way, tf32=tf32: torch_trainer(
                case, *data(), start, way=way, tf32=tf32
            )
            for way in kinds
            for tf32 in (False, *[True] * (device != "cpu"))
        }

    return ways("eager", *["graph"] * (device != "cpu")), {} if case.timesteps else ways("compiled")


# -- JAX ---------------------------------------------------------------------------------------------------------------


def jax_epoch(case):
    """A jitted function ``run(state, X, t, key) -> (state, loss)``: a scan over the batches of an epoch."""
    import jax
    import jax.numpy as jnp

    def loss_of(params, x, t):
        for weight, bias in params[:-1]:
            x = jax.nn.relu(x @ weight + bias)
        weight, bias = params[-1]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x @ weight + bias), t[:, None], 1))

    def adam(p, g, m, v, n):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        return p - RATE * jnp.sqrt(1 - 0.999**n) / (1 - 0.9**n) * m / (jnp.sqrt(v) + 1e-8), m, v

    def run(state, X, t, key):
        def step(state, rows):
            params, means, squares, n = state
            loss, gradient = jax.value_and_grad(loss_of)(params, X[rows], t[rows])
            columns = [jax.tree.leaves(tree) for tree in (params, gradient, means, squares)]
            new = zip(*(adam(*row, n + 1) for row in zip(*columns, strict=True)), strict=True)
            trees = [jax.tree.unflatten(jax.tree.structure(params), leaves) for leaves in new]
            return (*trees, n + 1), loss

        order = jax.random.permutation(key, len(X))[: case.steps * case.batch]
        state, losses = jax.lax.scan(step, state, order.reshape(case.steps, case.batch))
        return state, losses.mean()

    return jax.jit(run, donate_argnums=0)


def jax_trainer(case, X, t, start, place, *, tf32):
    """JAX's ``train(epochs)``."""
    import jax
    import jax.numpy as jnp

    run, params = jax_epoch(case), [(jnp.array(weight), jnp.array(bias)) for weight, bias, _ in start]
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = jax.device_put((params, zeros, jax.tree.map(jnp.copy, zeros), jnp.float32(0)), place)
    key = jax.random.key(0)

    def train(epochs):
        nonlocal state, key
        losses = []
        with jax.default_device(place), jax.default_matmul_precision("tensorfloat32" if tf32 else "highest"):
            for _ in range(epochs):
                key, drawn = jax.random.split(key)
                state, loss = run(state, X, t, drawn)
                losses.append(float(loss))
        return losses

    return train


def jax_ways(case, X, y, start, device):
    """JAX's ways, by name."""
    import jax

    place = jax.devices(device if device == "cpu" else "gpu")[0]

    @functools.cache
    def data():
        return jax.device_put((X, y.astype("int32")), place)

    return {
        "JAX scan" + ", TF32" * tf32: lambda tf32=tf32: jax_trainer(case, *data(), start, place, tf32=tf32)
        for tf32 in (False, *[True] * (device != "cpu"))
    }
