"""The part of `quality.py` on autoencoders: what is lost in a code, who is an outlier, how likely a digit is.

Nothing to run by itself. The part yields the name of a file that the data folder lacks, or a :class:`Case`.
"""

import importlib.util
import itertools

import numpy as np
from _common import cores
from _quality_sequences import Case
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import mean_squared_error, roc_auc_score
from sklearn.model_selection import train_test_split

#: Chosen on the last 10,000 training images, by the error over that of PCA(32) of one seed: of 20 epochs, cosine from
#: 1e-3 0.815, one_cycle to 3e-3 0.663, 5e-3 0.619 (gelu 0.618, silu 0.589), 1e-2 0.574; 5e-3 with 40 epochs 0.577; 50
#: epochs, 1e-2 0.543, 2e-2 0.560. Initial weights by the error of two seeds: by Glorot's rule 0.00936 and 0.00929, by
#: PyTorch's 0.00922 and 0.00920 (PyTorch itself 0.00915 twice), by He's 0.01425 and 0.01333.
COMPRESSION = {
    "hidden_layer_sizes": (128, 32), "scaler": "common", "alpha": 0.0, "batch_size": 128, "max_iter": 50,
    "learning_rate": "one_cycle", "learning_rate_init": 1e-2, "weight_init": "pytorch",
}  # fmt: skip
COMPRESSION_GOAL = 0.6
#: Chosen inside the training halves of the splits of seeds 0 to 2, trained on halves of these, by the mean ROC AUC:
#: 0.9923 to 0.9951 for all sizes from (8,) to (64, 32) with `scaler='common'`, with noise 0.0 to 0.5 and 100 or 200
#: epochs; 0.9748 with 'standard', which makes much of pixels that hardly ever change. IsolationForest: 0.9648.
DETECTION = {
    "hidden_layer_sizes": (64, 16), "scaler": "common", "input_noise": 0.3, "batch_size": 16, "max_iter": 100,
    "learning_rate": "one_cycle", "learning_rate_init": 1e-2,
}  # fmt: skip
DETECTION_GOAL = 8
#: Chosen on 2,000 of the last 10,000 training images, as shades: to 2e-3 -100.81 nats, to 5e-3 -99.87. Bits have the
#: same settings.
BOUND = {
    "n_components": 20, "hidden_layer_sizes": (400,), "loss": "log_loss", "alpha": 0.0, "batch_size": 128,
    "max_iter": 20, "learning_rate": "one_cycle", "learning_rate_init": 5e-3,
}  # fmt: skip
BOUND_GOAL = -105
#: How often the bits of the training images are drawn: a sweep over all draws is an epoch.
DRAWS = 5

NOTE = (
    "Autoencoders on MNIST: the standard split, pixels divided by 255, and scaled by one mean and one deviation "
    "for the network. PyTorch's has the same sizes, scale, loss, batches, epochs and rates (OneCycleLR), initial "
    "weights by the same rule, and was trained in the same run; that row is the ratio of errors seed by seed, the "
    "seconds are PyTorch's. Variational autoencoders: 400 units in each hidden layer, 20 numbers a code; "
    "importance-weighted bounds (Burda et al., 2016) with 50 codes of all test images. The form of the images "
    "decides what they are held against. Shades: pixels are taken for probabilities, in training and in the test,"
    " as the example of PyTorch has it; no published bound of that form is known to us. Bits: each pixel is 1 "
    f"with its brightness as the probability, {DRAWS} draws for training (an epoch sees each image so often: "
    "max_iter is divided by it), one for the test; those of Burda et al. are drawn anew whenever an image is "
    "used, and their variational autoencoder has 50 numbers a code and two layers of 200 units: -86.76 nats, "
    "estimated with 5000 codes. Digits: each class of scikit-learn's load_digits by itself, half of its rows to "
    "train on; the other half, and those of all other classes, are told apart. IsolationForest has its defaults "
    "and the same rows. Settings were chosen on the last 10,000 training images, and inside the training halves."
)

ACTIVATIONS = {"relu": "ReLU", "silu": "SiLU"}  # as PyTorch calls them


def mnist_like(random):
    """What stands in `mnist.npz`, made up."""
    draw = random.integers
    images = {f"x_{part}": draw(0, 256, (n, 28, 28), np.uint8) for part, n in (("train", 200), ("test", 50))}
    return images | {"y_train": np.arange(200) % 10, "y_test": np.arange(50) % 10}


def pixels(data):
    """Training and test images as rows of numbers between 0 and 1."""
    return [data[f"x_{part}"].reshape(-1, 784).astype(np.float32) / 255 for part in ("train", "test")]


def compression(options, settings_of, X, X_test):
    """Errors of an autoencoder, over those of PCA with as many numbers, and over those of PyTorch's same network."""
    from skneural import Autoencoder

    settings = settings_of(options, COMPRESSION)
    pca = PCA(settings["hidden_layer_sizes"][-1], random_state=0).fit(X)
    of_pca = mean_squared_error(X_test, pca.inverse_transform(pca.transform(X_test)))
    ours, theirs = {}, {"MSE of PyTorch": []}

    def fit(seed):
        ours[seed] = -Autoencoder(random_state=seed, **settings).fit(X).score(X_test)
        return ours[seed] / of_pca

    yield Case(
        "MNIST, autoencoder 784-128-32, test MSE over that of PCA(32)", fit, COMPRESSION,
        reference=f"1 (PCA, MSE {of_pca:.5f})", goal=COMPRESSION_GOAL, seeds=3,
    )  # fmt: skip

    def fit_peer(seed):
        theirs["MSE of PyTorch"].append(torch_error(X, X_test, settings, seed))
        return ours[seed] / theirs["MSE of PyTorch"][-1]

    if importlib.util.find_spec("torch"):
        yield Case(
            "MNIST, autoencoder 784-128-32, test MSE over that of PyTorch's same network", fit_peer, COMPRESSION,
            reference="1 (the fits of this row are PyTorch's)", goal=1.0, seeds=3, others=theirs,
        )  # fmt: skip


def torch_error(X, X_test, settings, seed):
    """Test error of PyTorch's network of the same sizes, with the same scale, loss, batches and rates."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(cores())
    sizes = [X.shape[1], *settings["hidden_layer_sizes"]]
    sizes += sizes[-2::-1]
    layers = []
    for i, (before, after) in enumerate(itertools.pairwise(sizes)):
        is_linear = i in (len(sizes) // 2 - 1, len(sizes) - 2)  # the code, and the end
        activation = getattr(torch.nn, ACTIVATIONS[settings.get("activation", "relu")])
        layers += [torch.nn.Linear(before, after), *([] if is_linear else [activation()])]
    net = torch.nn.Sequential(*layers)
    mean, deviation = float(X.mean(dtype=float)), float(X.std(dtype=float))
    rows, test = (torch.from_numpy((part - mean) / deviation) for part in (X, X_test))
    batch, epochs = settings["batch_size"], settings["max_iter"]
    adam = torch.optim.Adam(net.parameters(), lr=settings["learning_rate_init"], fused=True)
    # Its defaults are what `one_cycle` is here: up from a 25th in three tenths of the steps, down along a cosine.
    rates = torch.optim.lr_scheduler.OneCycleLR(
        adam, settings["learning_rate_init"], total_steps=epochs * -(-len(rows) // batch), cycle_momentum=False
    )
    for _ in range(epochs):
        for chosen in torch.randperm(len(rows)).split(batch):
            x = rows[chosen]
            adam.zero_grad(set_to_none=True)
            (0.5 * (net(x) - x).square().sum() / len(x)).backward()
            adam.step()
            rates.step()
    with torch.no_grad():
        return float((net(test) - test).square().mean(dtype=torch.float64)) * deviation**2


def detection(options, settings_of):
    """On how many of ten classes a detector trained on one tells others apart at least as well as a forest does."""
    from skneural import AutoencoderDetector

    settings = settings_of(options, DETECTION)
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    areas = {"mean ROC AUC": [], "IsolationForest's": []}

    def fit(seed):
        train, test = train_test_split(np.arange(len(y)), test_size=0.5, stratify=y, random_state=seed)
        found = []
        for digit in range(2 if options.smoke else 10):
            rows = X[train[y[train] == digit]]
            detectors = AutoencoderDetector(random_state=seed, **settings), IsolationForest(random_state=seed)
            scores = [detector.fit(rows).score_samples(X[test]) for detector in detectors]
            found.append([roc_auc_score(y[test] == digit, score) for score in scores])
        for name, mean in zip(areas, np.mean(found, axis=0), strict=True):
            areas[name].append(float(mean))
        return sum(own >= other for own, other in found)

    return Case(
        "digits, AutoencoderDetector: classes of ten with ROC AUC >= IsolationForest's", fit, DETECTION,
        reference="IsolationForest", goal=DETECTION_GOAL, at_least=True, others=areas,
    )  # fmt: skip


def bits_of(X, seed):
    """Bits, each 1 with the brightness of its pixel as the probability."""
    return (np.random.default_rng(seed).random(X.shape, np.float32) < X).astype(np.float32)


def bounds(options, settings_of, X, X_test):
    """Importance-weighted bounds of test images, as shades and as bits, each after training on such."""
    from skneural import VariationalAutoencoder

    settings = settings_of(options, BOUND)

    def fit_shades(seed):
        return VariationalAutoencoder(random_state=seed, **settings).fit(X).score(X_test)

    def fit_bits(seed):
        drawn = np.concatenate([bits_of(X, [seed, draw]) for draw in range(DRAWS)])
        epochs = max(1, settings["max_iter"] // DRAWS)
        vae = VariationalAutoencoder(random_state=seed, **settings | {"max_iter": epochs})
        return vae.fit(drawn).score(bits_of(X_test, 0))

    for form, fit, reference in (
        ("shades as probabilities", fit_shades, "none of this form"),
        ("bits drawn from shades", fit_bits, "-86.76 (784-200-200-50, k = 5000, Burda et al.)"),
    ):
        yield Case(
            f"MNIST, VAE 784-400-20, {form}: test bound in nats, k = 50", fit, BOUND,
            reference=reference, goal=BOUND_GOAL, at_least=True, seeds=2,
        )  # fmt: skip


def autoencoders(options, load, settings_of):
    """All three."""
    data = load(options, "mnist", mnist_like)
    if data is None:
        yield "mnist.npz"
    else:
        yield from compression(options, settings_of, *pixels(data))
        yield from bounds(options, settings_of, *pixels(data))
    yield detection(options, settings_of)
