"""CIFAR-10: test accuracy of the network of many tutorials, ours and PyTorch's, after as many epochs.

    python benchmarks/cifar.py [--smoke] [--epochs 15] [--seeds 3] [--images augmented] [--data FOLDER] [--keep FOLDER]

Three blocks of two convolutions (32, 64, 128 filters), batch normalisation after their activations, pooling, dropout of
0.25; a dense layer of 512 units with batch normalisation and dropout of 0.5. Adam, batches of 32, a rate of 0.001 that
comes down by a cosine to 0. Initial weights by the rule of Glorot and Bengio and biases of 0, as Keras has them, in
both. Trained on the 20,000 images of the data folder, as they are and augmented (rotation by up to 15 degrees, shifts
and zoom by up to a tenth, mirrored left to right), tested on the 10,000 of the standard test. No setting was chosen by
a test result. Two trainings run side by side, on one core each: accuracy does not depend on speed. Rows of other
numbers of epochs, and of images that `--images` leaves out, stay as they stand in the results.
"""

import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from _common import HERE, start

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILTERS = (32, 64, 128)
BATCH = 32
RATE = 0.001
CHANGES = {"rotation": 15, "width_shift": 0.1, "height_shift": 0.1, "zoom": 0.1, "horizontal_flip": True}


def read(folder, n_images):
    """Images and labels for training and test."""
    train = np.load(folder / "cifar10_train20k.npz")
    test = np.load(folder / "cifar10_test.npz")
    parts = train["x_train"], train["y_train"], test["x_test"], test["y_test"]
    return parts if n_images is None else [part[:n_images] for part in parts]


def ours(data, seed, epochs, augmented):
    """Test accuracy of our network."""
    from skneural import CNNClassifier
    from skneural.layers import Augmentation

    X, y, X_test, y_test = data
    clf = CNNClassifier(
        FILTERS,
        convs_per_block=2,
        normalization="batch_after",
        dropout=(0.25, 0.25, 0.25, 0.5),
        hidden_layer_sizes=(512,),
        augmentation=Augmentation(**CHANGES) if augmented else None,
        batch_size=BATCH,
        learning_rate="cosine",
        learning_rate_init=RATE,
        max_iter=epochs,
        n_iter_no_change=np.inf,
        weight_init="glorot_uniform",
        alpha=0.0,
        n_jobs=1,
        random_state=seed,
    )
    return clf.fit(X, y).score(X_test, y_test)


def changed(images, generator):
    """Images as PyTorch would augment them: one affine map each, pixels between them interpolated."""
    import torch

    def uniform(most):
        return (torch.rand(len(images), generator=generator) * 2 - 1) * most

    angle = uniform(np.radians(CHANGES["rotation"]))
    scale = 1 / (1 + uniform(CHANGES["zoom"]))
    flip = torch.where(torch.rand(len(images), generator=generator) < 0.5, -1.0, 1.0)
    across = [flip * scale * angle.cos(), -flip * scale * angle.sin(), 2 * flip * uniform(CHANGES["width_shift"])]
    down = [scale * angle.sin(), scale * angle.cos(), 2 * uniform(CHANGES["height_shift"])]
    maps = torch.stack([torch.stack(across, 1), torch.stack(down, 1)], 1)
    grid = torch.nn.functional.affine_grid(maps, images.shape, align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def theirs(data, seed, epochs, augmented):
    """Test accuracy of PyTorch's."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    layers = []
    before = 3
    for filters in FILTERS:
        for _ in range(2):
            layers += [nn.Conv2d(before, filters, 3, padding="same"), nn.ReLU(), nn.BatchNorm2d(filters)]
            before = filters
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
    layers += [nn.Flatten(), nn.Linear(2048, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(0.5), nn.Linear(512, 10)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    net = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    X, y, X_test, y_test = data
    mean = X.mean(axis=(0, 1, 2))
    deviation = X.std(axis=(0, 1, 2))

    def tensor(images):
        scaled = ((images - mean) / deviation).astype(np.float32)
        return torch.from_numpy(scaled).permute(0, 3, 1, 2)

    images = tensor(X)
    labels = torch.from_numpy(y.astype(np.int64))
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    steps = epochs * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=generator).split(BATCH):
            batch = changed(images[rows], generator) if augmented else images[rows]
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(net(batch), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    net.eval()
    with torch.inference_mode():
        found = torch.cat([net(part).argmax(1) for part in tensor(X_test).split(500)])
    return float((found.numpy() == y_test).mean())


#: What the images are, and whether they are augmented.
IMAGES = {"as they are": False, "augmented": True}
#: Functions that train, by name.
PEERS = {"skneural": ours, "PyTorch": theirs}


def child(arguments):
    """Train one network, and print what it reaches."""
    data = read(pathlib.Path(arguments["data"]), arguments["n_images"])
    begin = time.perf_counter()
    train = PEERS[arguments["who"]]
    accuracy = train(data, arguments["seed"], arguments["epochs"], arguments["augmented"])
    print(json.dumps({"accuracy": accuracy, "seconds": time.perf_counter() - begin}))


def run(facts, keep):
    """What one training reaches, in a process of its own; from the folder of earlier results where it stands there."""
    name = f"{facts['who']}_{'augmented' if facts['augmented'] else 'as_they_are'}_{facts['epochs']}_{facts['seed']}"
    place = keep / f"{name}.json"
    if not place.exists():
        command = [sys.executable, "-W", "ignore", __file__, "--child", json.dumps(facts)]
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        place.write_text(found.stdout.splitlines()[-1])
    result = json.loads(place.read_text())
    print(name, result, flush=True)
    return result


def row_of(title, found, date):
    """A row of the table: means, and every seed."""
    means = {who: statistics.mean(values) for who, values in found.items()}
    words = [f"{means[who]:.2f} ({', '.join(f'{x:.2f}' for x in found[who])})" for who in PEERS]
    return [title, *words, "yes" if means["skneural"] >= means["PyTorch"] else "no", date]


def main():
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", choices=IMAGES, help="only these")
    parser.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--keep", type=pathlib.Path, help="folder of finished trainings, to go on from after a break")
    own, others = parser.parse_known_args()
    options, report = start("cifar", __doc__, others)
    options.typed = [*others, "--epochs", str(own.epochs), "--seeds", str(own.seeds)]
    if own.images:
        options.typed += ["--images", f"'{own.images}'"]
    report.note = None
    epochs = 1 if options.smoke else own.epochs
    seeds = range(1 if options.smoke else own.seeds)
    keep = own.keep or pathlib.Path(tempfile.mkdtemp(prefix="skneural-cifar-"))
    keep.mkdir(exist_ok=True)
    common = {"data": str(own.data), "n_images": 320 if options.smoke else None, "epochs": epochs}
    chosen = [own.images] if own.images else list(IMAGES)
    trainings = [
        {**common, "augmented": IMAGES[name], "seed": seed, "who": who}
        for seed in seeds
        for name in chosen
        for who in PEERS
    ]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, trainings, [keep] * len(trainings)))
    earlier = HERE / "results" / "cifar.json"
    if earlier.exists() and not options.smoke:
        report.results |= json.loads(earlier.read_text())["results"]
    for name in chosen:
        found = {who: [] for who in PEERS}
        for facts, result in zip(trainings, results, strict=True):
            if facts["augmented"] == IMAGES[name]:
                found[facts["who"]].append(100 * result["accuracy"])
        title = f"{name}, {epochs} epochs"
        row = row_of(title, found, report.environment["date"][:10])
        report.results[title] = {**found, "row": row}
    report.add("Test accuracy in %, mean and every seed:")
    rows = [result["row"] for result in report.results.values()]
    report.table(["images", *PEERS, "at or above", "date"], rows)
    report.write()


if __name__ == "__main__":
    if "--child" in sys.argv:
        child(json.loads(sys.argv[2]))
    else:
        main()
