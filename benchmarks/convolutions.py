"""Training steps of convolutional networks next to PyTorch and JAX.

    python benchmarks/convolutions.py [--smoke]

A step is forward, back and Adam in float32 on all cores, a new order of the images every epoch. Ours are fits of two
epochs: the second one by the clock of `history_`, as warm as what it is held against, and the whole fits, with new
buffers whose memory the first step touches. PyTorch runs the same layers (the fused Adam; memory laid out
by rows and by channels_last, eager and compiled, whichever is the fastest), warmed up, for as many steps; it gets its
images in the layout that it likes best before the clock runs. JAX runs compiled steps, channels last.
"""

import importlib.util

import numpy as np
from _common import chosen, figure, measure, ratio, repeats, shown, start, summary
from _convolution_peers import jax_epoch, peers

from skneural.layers import (
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    MaxPool2D,
    Reshape,
    Residual,
)

MILLI = 1e-3
#: Batches of an epoch of JAX, which needs none to warm up again.
JAX_BATCHES = 2
OURS, FIT, JAX = "skneural, second epoch", "skneural, whole fit", "JAX"


def block(filters):
    """Two convolutions, each normalised after its activation, then pooling."""
    convolutions = [Conv2D(filters, activation="relu"), BatchNorm()] * 2
    return [*convolutions, MaxPool2D(), Dropout(0.25)]


def shortcut_block(filters):
    """Three convolutions with a shortcut around them (Wang et al., 2017)."""
    inside = [Conv1D(filters, size, activation="relu", normalization="batch") for size in (8, 5)]
    last = Conv1D(filters, 3, normalization="batch")
    return Residual((*inside, last), shortcut=(Conv1D(filters, 1, normalization="batch"),))


def separable_block(filters):
    """A depthwise convolution and one of single pixels, each normalised before its activation (Howard et al., 2017)."""
    apart = Conv2D(filters[0], groups="depthwise", activation="relu", normalization="batch")
    mixed = Conv2D(filters[1], 1, activation="relu", normalization="batch")
    return [apart, mixed]


#: Name, shape of a sample, layers, classes, batch, batches, and how many times as long PyTorch should take.
CASES = (
    (
        "CIFAR, 3 blocks",
        (32, 32, 3),
        [*block(32), *block(64), *block(128), Flatten(), Dense(512, "relu"), Dropout(0.5)],
        10,
        32,
        10,
        1.6,
    ),
    (
        "MNIST, 2 convolutions",
        (28, 28, 1),
        [Conv2D(32, activation="relu"), Conv2D(64, activation="relu"), MaxPool2D(), Flatten(), Dense(128, "relu")],
        10,
        128,
        4,
        1.6,
    ),
    (
        "digits, 2 convolutions",
        (8, 8, 1),
        [Conv2D(16, activation="relu"), Conv2D(32, activation="relu"), MaxPool2D(), Flatten()],
        10,
        32,
        500,
        8,
    ),
    (
        "FCN, 150 steps",
        (150, 1),
        [
            *(
                Conv1D(filters, size, activation="relu", normalization="batch")
                for filters, size in ((128, 8), (256, 5))
            ),
            Conv1D(128, 3, activation="relu", normalization="batch"),
            GlobalPool("mean"),
        ],
        3,
        16,
        10,
        1.5,
    ),
    (
        "ResNet, 150 steps",
        (150, 1),
        [shortcut_block(64), shortcut_block(128), shortcut_block(128), GlobalPool("mean")],
        3,
        16,
        8,
        1.5,
    ),
    (
        "depthwise separable, 2 blocks",
        (32, 32, 32),
        [*separable_block((32, 64)), *separable_block((64, 64)), GlobalPool("mean")],
        10,
        32,
        10,
        1.5,
    ),
)


def ours(case, X, y, clock):
    """A whole fit of two epochs; the seconds that the second one takes go into the list `clock`."""
    from skneural import NetworkClassifier

    _, shape, layers, _, batch, *_ = case
    if len(shape) == 3:
        layers = [Reshape(shape), *layers]

    def fit():
        est = NetworkClassifier(
            layers, batch_size=batch, max_iter=2, alpha=0.0, tol=0, n_iter_no_change=np.inf, dtype="float32",
            random_state=0,
        ).fit(X, y)  # fmt: skip
        first, second = est.history_["time"]
        clock.append(second - first)

    return fit


def main(arguments=None):
    options, report = start("convolutions", __doc__, arguments)
    with_torch = importlib.util.find_spec("torch") is not None
    with_jax = importlib.util.find_spec("jax") is not None
    for name, there in (("torch", with_torch), ("jax", with_jax)):
        if not there:
            report.add(f"{name} is not installed: it is left out.")
    rows = []
    for case in CASES[2:3] if options.smoke else CASES:
        title, shape, _, classes, batch, batches, goal = case
        if not chosen(options, title):
            continue
        batches = 2 if options.smoke else batches
        random, clock = np.random.default_rng(0), []
        steps = int(np.prod(shape[:-1]))
        X = random.standard_normal((batch * batches, steps, shape[-1]), np.float32)
        y = random.permutation(np.arange(len(X)) % classes)
        calls = {FIT: ours(case, X, y, clock)}
        if with_torch:
            calls |= peers(case, X, y, with_compile=not options.smoke)
        if with_jax:
            calls[JAX] = jax_epoch(case, X[: JAX_BATCHES * batch], y)
        times = measure(calls, repeats(options, 9))
        times[OURS] = summary(clock[1:])  # the first was to warm up
        unit = MILLI * batches
        others = [name for name in times if name.startswith("PyTorch")]
        best = min(others, key=lambda name: times[name]["median"]) if others else None
        row = [f"{title}, batch {batch}", shown(times[OURS], unit), shown(times[FIT], 2 * unit)]
        row += [shown(times[best], unit), best] if best else ["-", "-"]
        row.append(report.verdict(ratio(times, best, OURS), goal) if best else "-")
        row.append(figure(2 * ratio(times, best, FIT)) if best else "-")
        if with_jax:
            longer = batches / JAX_BATCHES
            row += [shown(times[JAX], unit / longer), figure(longer * ratio(times, JAX, OURS))]
        else:
            row += ["-", "-"]
        rows.append(row)
        report.results[title] = {"seconds": times, "batches": batches}
        print(" | ".join(row), flush=True)
    report.add("Milliseconds a step, and how many times as long PyTorch takes:")
    report.table(
        ["network", OURS, FIT, "PyTorch", "its fastest way", "second epoch", "whole fit", JAX, "JAX takes"], rows
    )
    report.write()


if __name__ == "__main__":
    main()
