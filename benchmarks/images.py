"""Convolutional networks for images: predictions next to PyTorch, and what training on many images takes.

    python benchmarks/images.py [--smoke]

Predictions: both networks hold the same weights and must agree before anything is timed. Ours is `predict_proba` of an
estimator, checks of the data included; PyTorch's is its module in inference mode, eager, on a tensor, in either layout
of memory and for many images in batches of 128 or 512, whichever is the fastest.

Training: one epoch of the network for CIFAR-10 on 1,000 to 50,000 images of bytes, each in a process of its own. Time
an image, and the largest memory while it trains beyond what there was before, data included (Linux alone).
"""

import importlib.util
import json
import pathlib
import subprocess
import sys

import numpy as np
from _common import chosen, cores, measure, ratio, repeats, shown, start
from _convolution_peers import modules_of

from skneural.layers import Conv2D, Dense, Flatten, MaxPool2D, Reshape

MICRO, MILLI = 1e-6, 1e-3
OURS = "skneural"
#: Name, shape of an image, layers, images, unit, and how many times as long PyTorch should take.
CASES = (
    (
        "digits network, one image",
        (8, 8, 1),
        [Conv2D(16, activation="relu"), Conv2D(32, activation="relu"), MaxPool2D(), Flatten()],
        1,
        MICRO,
        5,
    ),
    (
        "MNIST network, one image",
        (28, 28, 1),
        [Conv2D(32, activation="relu"), Conv2D(64, activation="relu"), MaxPool2D(), Flatten(), Dense(128, "relu")],
        1,
        MICRO,
        5,
    ),
    (
        "MNIST network, 10,000 images",
        (28, 28, 1),
        [Conv2D(32, activation="relu"), Conv2D(64, activation="relu"), MaxPool2D(), Flatten(), Dense(128, "relu")],
        10_000,
        MILLI,
        1.2,
    ),
)
#: Images of the training, and megabytes beyond the data that it should stay below.
SIZES = (1_000, 10_000, 50_000)
MOST_MEGABYTES = 300


def fitted(shape, layers):
    """One of our estimators that has seen a few images."""
    from skneural import NetworkClassifier

    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, int(np.prod(shape))), np.float32)
    y = np.arange(20) % 10
    return NetworkClassifier([Reshape(shape), *layers], max_iter=1, n_iter_no_change=np.inf, random_state=0).fit(X, y)


def twin(est, shape, layers):
    """The same network for PyTorch, with the same weights."""
    import torch

    torch.set_num_threads(cores())
    body, after = modules_of(layers, (shape[-1], *shape[:-1]))
    net = torch.nn.Sequential(*body, torch.nn.Linear(after[0], 10)).eval()
    modules = [module for module in net if hasattr(module, "weight")]
    height, width = shape[:2]
    before = None
    with torch.no_grad():
        for module, coef, intercept in zip(modules, est.coefs_, est.intercepts_, strict=True):
            if module.weight.ndim == 4:
                filters, channels, *kernel = module.weight.shape
                weight = coef.reshape(*kernel, channels, filters).transpose(3, 2, 0, 1)
                before = filters
            elif before is not None:  # rows of images: ours go pixel by pixel, PyTorch's channel by channel
                side = height // 2, width // 2
                weight = coef.reshape(*side, before, -1).transpose(3, 2, 0, 1).reshape(coef.shape[1], -1)
                before = None
            else:
                weight = coef.T
            module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
            module.bias.copy_(torch.from_numpy(np.ascontiguousarray(intercept)))
    return net


def peers(net, X, shape):
    """Predictions by PyTorch, by the names of its ways."""
    import torch

    images = torch.from_numpy(np.ascontiguousarray(np.moveaxis(X.reshape(len(X), *shape), -1, 1)))
    calls = {}
    for channels_last in (False, True):
        layout = torch.channels_last if channels_last else torch.contiguous_format
        own = images.to(memory_format=layout)
        for batch in (1,) if len(X) == 1 else (128, 512):

            def predict(own=own, batch=batch, layout=layout):
                net.to(memory_format=layout)
                with torch.inference_mode():
                    return torch.cat([net(own[i : i + batch]).softmax(1) for i in range(0, len(own), batch)])

            calls[f"PyTorch, batches of {batch}{', channels_last' * channels_last}"] = predict
    return calls


def predictions(options, report):
    """The table of predictions."""
    rows = []
    with_torch = importlib.util.find_spec("torch") is not None
    for title, shape, layers, n_images, unit, goal in CASES:
        if not chosen(options, title):
            continue
        n_images = min(n_images, 200) if options.smoke else n_images
        est = fitted(shape, layers)
        X = np.random.default_rng(1).standard_normal((n_images, int(np.prod(shape))), np.float32)
        many = 200 if n_images == 1 and not options.smoke else 1
        calls = {OURS: lambda est=est, X=X: est.predict_proba(X)}
        if with_torch:
            calls |= peers(twin(est, shape, layers), X, shape)
            expected = est.predict_proba(X)
            for call in list(calls.values())[1:]:
                np.testing.assert_allclose(call().numpy(), expected, atol=1e-5)
        count = repeats(options, 9 if n_images == 1 else 5)
        times = measure({name: repeated(call, many) for name, call in calls.items()}, count)
        others = [name for name in times if name != OURS]
        best = min(others, key=lambda name: times[name]["median"]) if others else None
        row = [title, shown(times[OURS], unit * many)]
        row += [shown(times[best], unit * many), best] if best else ["-", "-"]
        row.append(report.verdict(ratio(times, best, OURS), goal) if best else "-")
        rows.append(row)
        report.results[title] = {"seconds": times, "calls": many}
        print(" | ".join(row), flush=True)
    report.add("Predictions: microseconds for one image, milliseconds for 10,000:")
    report.table(["network", OURS, "PyTorch", "its fastest way", "PyTorch takes"], rows)


def repeated(call, count):
    """A function that calls another so many times."""

    def many():
        for _ in range(count):
            call()

    return many


# -- training ----------------------------------------------------------------------------------------------------------


def status(name):
    """Megabytes of this process: VmRSS are those in memory now, VmHWM the most so far."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def train(n_images, batches):
    """Print seconds an image and megabytes of an epoch on so many images; with `batches`, on fewer of them."""
    from skneural import CNNClassifier

    clf = CNNClassifier(
        (32, 64, 128), convs_per_block=2, normalization="batch_after", dropout=(0.25, 0.25, 0.25, 0.5),
        hidden_layer_sizes=(512,), batch_size=32, max_iter=1, n_iter_no_change=np.inf, random_state=0,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    clf.fit(rng.integers(0, 256, (64, 32, 32, 3), np.uint8), np.arange(64) % 10)
    before = status("VmRSS")
    X = rng.integers(0, 256, (n_images, 32, 32, 3), np.uint8)
    y = np.arange(n_images) % 10
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the most so far is what there is now
    clf.fit(X[: batches * 32] if batches else X, y[: batches * 32] if batches else y)
    seconds = clf.history_["time"][-1] / (batches * 32 or n_images)
    print(json.dumps({"seconds": seconds, "data": X.nbytes / 2**20, "more": status("VmHWM") - before}))


def training(options, report):
    """The table of trainings."""
    rows = []
    for n_images in SIZES[:1] if options.smoke else SIZES:
        title = f"training on {n_images:,} images"
        if not chosen(options, title) or not sys.platform.startswith("linux"):
            continue
        arguments = ["--train", str(n_images), "--batches", "2" if options.smoke else "0"]
        found = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
        result = json.loads(found.stdout.splitlines()[-1])
        beyond = result["more"] - result["data"]
        row = [f"{n_images:,}", f"{result['seconds'] / MILLI:.2f}", f"{result['data']:.0f}", f"{beyond:.0f}"]
        rows.append([*row, "yes" if beyond < MOST_MEGABYTES else "no"])
        report.results[title] = result
        print(" | ".join(rows[-1]), flush=True)
    report.add("An epoch of the network for CIFAR-10 on images of bytes, batches of 32:")
    report.table(["images", "ms an image", "MB of data", "MB beyond", f"below {MOST_MEGABYTES} MB"], rows)


def main(arguments=None):
    options, report = start("images", __doc__, arguments)
    predictions(options, report)
    training(options, report)
    report.write()


if __name__ == "__main__":
    if "--train" in sys.argv:
        train(int(sys.argv[2]), int(sys.argv[4]))
    else:
        main()
