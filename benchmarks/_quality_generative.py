"""The part of `quality.py` on conditional generative adversarial networks of handwritten digits.

Nothing to run by itself. PyTorch trains the very same networks in the same run: by the same losses, the same Adam, as
many epochs of the same batches, from initial weights of the same rule.
"""

import copy
import importlib.util
import math
import statistics
import time

import numpy as np

from skneural.layers import Conv2D, ConvTranspose2D, Dense, Flatten, Reshape

#: Filters of both convolutions, and sides of the images between them.
FILTERS = (16, 32)
SIDES = (14, 7)
KERNEL = 4
#: Rates by the last 10,000 training images after four epochs on the others, one seed: 0.001, 0.002, 0.004 and 0.008 had
#: 86.8, 92.4, 96.5 and 96.9 % of the samples read as their class, and Frechet distances of 18.8, 8.0, 4.5 and 5.4.
#: PyTorch's network had 91.7 and 95.9 % with 0.002 and 0.004, and 8.7 and 4.9. As many epochs as there is time for.
GAN = {
    "n_components": 64, "batch_size": 128, "max_iter": 10, "learning_rate_init": 4e-3, "instance_noise": 0.1,
    "generator_averaging": 0.999, "n_jobs": 1,
}  # fmt: skip
#: What looks at the samples: a convolutional classifier, trained on the real training images.
READER = {
    "filters": (16, 32), "hidden_layer_sizes": (64,), "batch_size": 128, "max_iter": 4, "learning_rate": "cosine",
    "learning_rate_init": 2e-3, "random_state": 0,
}  # fmt: skip
SHARE_GOAL = 95.0
N_CLASSES = 10
NOTE = (
    "Conditional GAN of MNIST: the training images train, on one core; samples have the classes of the 10,000 test "
    "images. A CNNClassifier, trained on the real training images, reads them: the share is of those that it takes for "
    "the class that was asked for, the Frechet distance is that between samples and test images in its last hidden "
    "layer of 64 units (means and covariances, as Heusel et al., 2017, have it of another network). PyTorch's are the "
    "same networks, with the same losses, noise, average of the generator, Adam, batches and epochs, and initial "
    "weights by the same rule, in the same run; random numbers differ. Its goal is PyTorch's mean."
)


# -- ours --------------------------------------------------------------------------------------------------------------


def ours(settings, X, y, seed):
    """A function that makes samples of classes, by a network of ours."""
    import skneural

    few, many = FILTERS
    generator = [
        Dense(SIDES[1] ** 2 * many, "relu"),
        Reshape((SIDES[1], SIDES[1], many)),
        ConvTranspose2D(few, KERNEL, stride=2, activation="relu"),
        ConvTranspose2D(1, KERNEL, stride=2),
    ]
    discriminator = [
        Conv2D(few, KERNEL, stride=2, activation="leaky_relu"),
        Conv2D(many, KERNEL, stride=2, activation="leaky_relu"),
        Flatten(),
    ]
    gan = skneural.GAN(generator=generator, discriminator=discriminator, random_state=seed, **settings).fit(X, y)
    return lambda labels: gan.sample(y=labels, random_state=seed)


# -- PyTorch -----------------------------------------------------------------------------------------------------------


def networks_of(n_latent):
    """Generator and discriminator, of rows of numbers and labels, and of images and labels as channels."""
    import torch
    from torch import nn

    few, many = FILTERS
    side = SIDES[1]
    generator = nn.Sequential(
        nn.Linear(n_latent + N_CLASSES, side * side * many),
        nn.ReLU(),
        nn.Unflatten(1, (many, side, side)),
        nn.ConvTranspose2d(many, few, KERNEL, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(few, 1, KERNEL, stride=2, padding=1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(1 + N_CLASSES, few, KERNEL, stride=2, padding=1),
        nn.LeakyReLU(0.01),
        nn.Conv2d(few, many, KERNEL, stride=2, padding=1),
        nn.LeakyReLU(0.01),
        nn.Flatten(),
        nn.Linear(side * side * many, 1),
    )
    for layer in (*generator, *discriminator):
        if hasattr(layer, "weight"):
            n_taps = math.prod(getattr(layer, "kernel_size", ()))
            n_in = n_taps * getattr(layer, "in_channels", 0) or layer.in_features
            n_out = n_taps * getattr(layer, "out_channels", 0) or layer.out_features
            bound = math.sqrt(6 / (n_in + n_out))
            torch.nn.init.uniform_(layer.weight, -bound, bound)
            torch.nn.init.uniform_(layer.bias, -bound, bound)
    return generator, discriminator


def follow(average, network, n_updates, most):
    """Let the average of a network follow it."""
    decay = min(most, (1 + n_updates) / (10 + n_updates))
    for own, other in zip(average.parameters(), network.parameters(), strict=True):
        own.data.lerp_(other.data, 1 - decay)


def peers(settings, X, y, seed):
    """The same by PyTorch: each step an update of the discriminator, then of the generator by the samples it made."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(settings["n_jobs"])
    cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
    n_latent = settings["n_components"]
    noise = settings["instance_noise"]
    generator, discriminator = networks_of(n_latent)
    average = copy.deepcopy(generator)
    rate = {"lr": settings["learning_rate_init"], "betas": (0.5, 0.999), "fused": True}
    of_generator = torch.optim.Adam(generator.parameters(), **rate)
    of_discriminator = torch.optim.Adam(discriminator.parameters(), **rate)
    images = torch.from_numpy(X.astype(np.float32) / 127.5 - 1)[:, None]
    classes = torch.nn.functional.one_hot(torch.from_numpy(y.astype(np.int64)), N_CLASSES).float()

    def judge(shown, labels, aim):
        channels = labels[:, :, None, None].expand(-1, -1, *shown.shape[2:])
        z = discriminator(torch.cat([shown, channels], 1))
        return cross_entropy(z, torch.full_like(z, aim))

    n_updates = 0
    for _ in range(settings["max_iter"]):
        for rows in torch.randperm(len(images)).split(settings["batch_size"]):
            real, labels = images[rows], classes[rows]
            made = generator(torch.cat([torch.randn(len(rows), n_latent), labels], 1))
            on_made = noise * torch.randn_like(real)
            of_discriminator.zero_grad(set_to_none=True)
            loss = judge(real + noise * torch.randn_like(real), labels, 1.0)
            (loss + judge(made.detach() + on_made, labels, 0.0)).backward()
            of_discriminator.step()
            of_generator.zero_grad(set_to_none=True)
            discriminator.requires_grad_(False)
            judge(made + on_made, labels, 1.0).backward()
            discriminator.requires_grad_(True)
            of_generator.step()
            n_updates += 1
            follow(average, generator, n_updates, settings["generator_averaging"])

    @torch.no_grad()
    def sample(labels):
        rows = torch.nn.functional.one_hot(torch.from_numpy(labels.astype(np.int64)), N_CLASSES)
        made = average(torch.cat([torch.randn(len(labels), n_latent), rows], 1))
        return 127.5 * (made[:, 0].numpy() + 1)

    return sample


# -- measures ----------------------------------------------------------------------------------------------------------


def frechet_distance(a, b):
    """Frechet distance of two normal distributions with the means and covariances of rows."""
    between = a.mean(axis=0) - b.mean(axis=0)
    first, second = np.cov(a.T), np.cov(b.T)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(between @ between + np.trace(first) + np.trace(second) - 2 * shared)


def hidden(reader, images):
    """The last hidden layer of the reader."""
    from skneural.inspection import layer_outputs

    return layer_outputs(reader, images, -2).reshape(len(images), -1).astype(np.float64)


def measured(train, data, reader, settings, seed):
    """Share of the samples that are read as their class, in percent; Frechet distance; seconds of the training."""
    begin = time.perf_counter()
    sample = train(settings, data["x_train"], data["y_train"], seed)
    seconds = time.perf_counter() - begin
    images = np.asarray(sample(data["y_test"]), np.float32)
    share = 100 * float((reader.predict(images) == data["y_test"]).mean())
    return share, frechet_distance(hidden(reader, images), hidden(reader, data["x_test"].astype(np.float32))), seconds


def words(values):
    """Mean and standard error."""
    return f"{statistics.mean(values):.4g} +- {statistics.stdev(values) / math.sqrt(len(values)):.2g}"


def gan(options, report, load, row_of, synthetic):
    """Rows of the table: the share, and where PyTorch is there the distance next to its own."""
    from skneural import CNNClassifier

    data = load(options, "mnist", synthetic)
    if data is None:
        return "mnist.npz", []
    short = {"max_iter": 2, "batch_size": 16} if options.smoke else {}
    settings = GAN | short
    reader = CNNClassifier(**READER | short).fit(data["x_train"].astype(np.float32), data["y_train"])
    accuracy = 100 * reader.score(data["x_test"].astype(np.float32), data["y_test"])
    with_torch = importlib.util.find_spec("torch") is not None
    found = {"ours": [], "PyTorch": []}
    for seed in range(2 if options.smoke else 3):
        found["ours"].append(measured(ours, data, reader, settings, seed))
        if with_torch:
            found["PyTorch"].append(measured(peers, data, reader, settings, seed))
        print(seed, {name: values[-1] for name, values in found.items() if values}, flush=True)
    shares, distances, seconds = map(list, zip(*found["ours"], strict=True))
    reference = f"{accuracy:.2f} of the test images"
    if with_torch:
        their_shares, their_distances, their_seconds = map(list, zip(*found["PyTorch"], strict=True))
        reference += f"; PyTorch {words(their_shares)}"
    else:
        report.add("gan: torch is not installed, so there is nothing to compare Frechet distances with: left out.")
    name = "MNIST, conditional GAN"
    title = f"{name}, samples read as their class in %"
    rows = [row_of(report, title, shares, seconds, GAN, reference=reference, goal=SHARE_GOAL, at_least=True)]
    if with_torch:
        reference = f"PyTorch {words(their_distances)}, {statistics.median(their_seconds):.0f} s a fit"
        goal = statistics.mean(their_distances)
        title = f"{name}, Frechet distance"
        rows.append(row_of(report, title, distances, seconds, GAN, reference=reference, goal=goal))
        report.results[title]["PyTorch"] = {"values": their_distances, "seconds": their_seconds}
    return None, rows
