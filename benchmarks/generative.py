"""Training steps of autoencoders and generative adversarial networks next to PyTorch.

    python benchmarks/generative.py [--smoke]

Float32, all cores, Adam, a new order of the samples every epoch. Ours are fits of two epochs: the second one by the
clock of `history_`, as warm as what it is held against. PyTorch runs the same layers with the fused Adam, eager and
compiled (of the adversarial networks each network with its loss; the convolutions in both layouts of memory), whichever
is the fastest, warmed up, for as many steps. Both do all that a step needs: random numbers are drawn anew, and of the
adversarial networks both are updated once, by a batch of real samples and as many generated ones.
"""

import importlib.util
import itertools
import logging
import os

import numpy as np
from _common import chosen, cores, figure, measure, ratio, repeats, shown, start, summary

from skneural.layers import Conv2D, MaxPool2D, UpSample

MILLI = 1e-3
BATCH = 128
OURS, FIT = "skneural, second epoch", "skneural, whole fit"
COMMON = {"batch_size": BATCH, "max_iter": 2, "tol": 0, "n_iter_no_change": np.inf, "random_state": 0}
#: Of the example `gan_ring.py`.
LATENT = 2
HIDDEN = 64


def rows(random, n_rows):
    """Numbers between 0 and 1, as the pixels of small images are."""
    return random.random((n_rows, 784), np.float32)


def images(random, n_rows):
    """The same as images."""
    return rows(random, n_rows).reshape(-1, 28, 28, 1)


def ring(random, n_rows):
    """Points of eight Gaussians on a circle."""
    angles = random.integers(8, size=n_rows) * np.pi / 4
    centres = np.stack([np.cos(angles), np.sin(angles)], 1)
    return (centres + 0.02 * random.standard_normal((n_rows, 2))).astype(np.float32)


# -- ours --------------------------------------------------------------------------------------------------------------


def autoencoder():
    """Of dense layers: 784-128-32-128-784."""
    from skneural import Autoencoder

    return Autoencoder((128, 32), scaler=None, alpha=0.0, **COMMON)


def convolutional():
    """Of convolutions: 16 and 8 filters, pooled twice, and back."""
    from skneural import Autoencoder

    encoder = [Conv2D(16, activation="relu"), MaxPool2D(), Conv2D(8, activation="relu"), MaxPool2D()]
    decoder = [Conv2D(8, activation="relu"), UpSample(), Conv2D(16, activation="relu"), UpSample(), Conv2D(1)]
    return Autoencoder(encoder=encoder, decoder=decoder, scaler=None, alpha=0.0, **COMMON)


def variational():
    """784-400-20-400-784, as in Kingma and Welling (2014)."""
    from skneural import VariationalAutoencoder

    return VariationalAutoencoder(20, hidden_layer_sizes=(400,), loss="log_loss", alpha=0.0, **COMMON)


def adversarial():
    """Both networks with two hidden layers."""
    from skneural import GAN

    settings = {name: COMMON[name] for name in ("batch_size", "max_iter", "random_state")}
    return GAN((HIDDEN, HIDDEN), LATENT, **settings)


def ours(make, X, clock):
    """A whole fit of two epochs; the seconds that the second one takes go into the list `clock`."""

    def fit():
        est = make().fit(X)
        first, second = est.history_["time"]
        clock.append(second - first)

    return fit


# -- PyTorch -----------------------------------------------------------------------------------------------------------


def dense_of(sizes, activation):
    """Dense layers with an activation between them."""
    import torch

    layers = []
    for before, after in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(before, after), activation()]
    return torch.nn.Sequential(*layers[:-1])


def adam(*nets, **settings):
    """The fused Adam for all parameters of some networks."""
    import torch

    return torch.optim.Adam([p for net in nets for p in net.parameters()], fused=True, **settings)


def minimiser(loss, optimizer):
    """A step that minimises a loss of a batch."""

    def step(batch):
        optimizer.zero_grad(set_to_none=True)
        loss(batch).backward()
        optimizer.step()

    return step


def reconstruction_step(net, compiled):
    """A step of a network that returns what it reads."""
    import torch

    def loss(batch):
        return torch.nn.functional.mse_loss(net(batch), batch)

    return minimiser(torch.compile(loss) if compiled else loss, adam(net))


def torch_autoencoder(compiled, layout):
    import torch

    return reconstruction_step(dense_of((784, 128, 32, 128, 784), torch.nn.ReLU), compiled)


def torch_convolutional(compiled, layout):
    import torch
    from torch import nn

    def convolution(before, after):
        return nn.Conv2d(before, after, 3, padding="same")

    net = nn.Sequential(
        convolution(1, 16), nn.ReLU(), nn.MaxPool2d(2), convolution(16, 8), nn.ReLU(), nn.MaxPool2d(2),
        convolution(8, 8), nn.ReLU(), nn.Upsample(scale_factor=2), convolution(8, 16), nn.ReLU(),
        nn.Upsample(scale_factor=2), convolution(16, 1),
    )  # fmt: skip
    return reconstruction_step(net.to(memory_format=getattr(torch, layout)), compiled)


def torch_variational(compiled, layout):
    import torch

    encoder = dense_of((784, 400, 40), torch.nn.ReLU)
    decoder = dense_of((20, 400, 784), torch.nn.ReLU)

    def loss(batch):
        mean, log_variance = encoder(batch).chunk(2, 1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        error = torch.nn.functional.binary_cross_entropy_with_logits(decoder(z), batch, reduction="sum")
        divergence = (log_variance.exp() + mean**2 - 1 - log_variance).sum() / 2
        return (error + divergence) / len(batch)

    return minimiser(torch.compile(loss) if compiled else loss, adam(encoder, decoder))


def torch_adversarial(compiled, layout):
    import torch

    def activation():
        return torch.nn.LeakyReLU(0.01)

    generator = dense_of((LATENT, HIDDEN, HIDDEN, 2), activation)
    discriminator = dense_of((2, HIDDEN, HIDDEN, 1), activation)
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    real, generated = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)

    def loss_of_discriminator(batch, made):
        return cross_entropy(discriminator(batch), real) + cross_entropy(discriminator(made), generated)

    def loss_of_generator(z):
        return cross_entropy(discriminator(generator(z)), real)

    if compiled:
        loss_of_discriminator, loss_of_generator = map(torch.compile, (loss_of_discriminator, loss_of_generator))
    of_discriminator = adam(discriminator, betas=(0.5, 0.999))
    of_generator = adam(generator, betas=(0.5, 0.999))

    def step(batch):
        with torch.no_grad():
            made = generator(torch.randn(BATCH, LATENT))
        of_discriminator.zero_grad(set_to_none=True)
        loss_of_discriminator(batch, made).backward()
        of_discriminator.step()
        of_generator.zero_grad(set_to_none=True)
        loss_of_generator(torch.randn(BATCH, LATENT)).backward()
        of_generator.step()

    return step


def epoch_of(step, X, layout):
    """An epoch with PyTorch."""
    import torch

    data = torch.from_numpy(np.ascontiguousarray(np.moveaxis(X, -1, 1)) if X.ndim == 4 else X)
    if X.ndim == 4:
        data = data.to(memory_format=getattr(torch, layout))

    def epoch():
        order = torch.randperm(len(data))
        for begin in range(0, len(data), BATCH):
            step(data[order[begin : begin + BATCH]])

    return epoch


def peers(make, X, *, with_compile):
    """Epochs of PyTorch by the names of its ways."""
    import torch

    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    torch.set_num_threads(cores())
    torch._logging.set_logs(all=logging.ERROR)
    torch.compiler.reset()
    calls = {}
    for layout in ("contiguous_format", "channels_last") if X.ndim == 4 else ("contiguous_format",):
        for compiled in (False, True) if with_compile else (False,):
            name = f"PyTorch {'compiled' if compiled else 'eager'}{' channels_last' * (layout == 'channels_last')}"
            calls[name] = epoch_of(make(compiled, layout), X, layout)
    return calls


#: Name, data, ours, PyTorch's, batches, and how many times as long PyTorch should take.
CASES = (
    ("dense autoencoder, 784-128-32", rows, autoencoder, torch_autoencoder, 100, 1.5),
    ("convolutional autoencoder, 28 x 28", images, convolutional, torch_convolutional, 10, 1.2),
    ("variational autoencoder, 784-400-20", rows, variational, torch_variational, 60, 2),
    ("GAN, ring of eight Gaussians", ring, adversarial, torch_adversarial, 200, 20),
)


def main(arguments=None):
    options, report = start("generative", __doc__, arguments)
    with_torch = importlib.util.find_spec("torch") is not None
    if not with_torch:
        report.add("torch is not installed: it is left out.")
    lines = []
    for title, data, make, make_torch, batches, goal in CASES:
        if not chosen(options, title):
            continue
        batches = 2 if options.smoke else batches
        X = data(np.random.default_rng(0), BATCH * batches)
        clock = []
        calls = {FIT: ours(make, X, clock)}
        if with_torch:
            calls |= peers(make_torch, X, with_compile=not options.smoke)
        times = measure(calls, repeats(options, 7))
        times[OURS] = summary(clock[1:])  # the first was to warm up
        unit = MILLI * batches
        others = [name for name in times if name.startswith("PyTorch")]
        best = min(others, key=lambda name: times[name]["median"]) if others else None
        line = [f"{title}, batch {BATCH}", shown(times[OURS], unit), shown(times[FIT], 2 * unit)]
        line += [shown(times[best], unit), best] if best else ["-", "-"]
        line.append(report.verdict(ratio(times, best, OURS), goal) if best else "-")
        line.append(figure(2 * ratio(times, best, FIT)) if best else "-")
        lines.append(line)
        report.results[title] = {"seconds": times, "batches": batches}
        print(" | ".join(line), flush=True)
    report.add("Milliseconds a step, and how many times as long PyTorch takes:")
    report.table(["network", OURS, FIT, "PyTorch", "its fastest way", "second epoch", "whole fit"], lines)
    report.write()


if __name__ == "__main__":
    main()
