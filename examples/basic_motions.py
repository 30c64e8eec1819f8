"""Basic motions: which of four a smartwatch sees, which time steps tell, and how few of them are enough.

BasicMotions of the UEA archive: 40 sequences for training and 40 for the test, ten of each motion, in which a watch
measures acceleration and rotation along three axes each tenth of a second for ten seconds. A GRU layer of 32 units
reads them; what goes on to the outputs is the mean of its states, or the last one. Sequences may differ in length, so
a trained network can be asked when only the first 25 steps are there. Each number is the mean over five random states.

To see: of whole sequences, the network on the mean state gets all right, or all but one; that on the last state
misses one or two. Logistic regression on mean and deviation of each channel misses two: mostly it is strength that
tells motions apart. The nearest neighbour compares step by step, so that a movement that comes a little later is
another one to it, and more steps make it worse.

The first steps of all motions are more alike than the later ones. After 25 steps the network that was trained on
whole sequences is wrong in one of five; most of its errors are that it takes badminton or walking for a calmer
motion. Trained on beginnings too, with no more work, it is right in about 19 of 20, as logistic regression is. With
50 steps both networks on the mean state are nearly always right.

The importance of time steps depends on the pooling: an early step changes nearly all states that the mean is over, a
late one but few, so the network on the mean rests on the first half; that on the last state rests on the second.
"""

import pathlib
import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import picture_folder
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import GRUClassifier
from skneural.inspection import timestep_importance
from skneural.plotting import TimestepImportanceDisplay

folder = picture_folder(__doc__)

# %%
# Data
# ----
# The file, where it lies beside the checkout; else sequences of the same kind, with which the numbers are others.

file = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "sequence" / "BasicMotions.npz"


def generate(y, rng):
    """Sequences that look a little like the motions, of shape (n_samples, 100, 6): waves with a way of their own."""
    size, pace, pause = np.array([(8, 0.9, 1), (10, 1.5, 0), (0.5, 0.4, 0), (3, 1.1, 0)])[y].T[..., None, None]
    way = np.random.default_rng(1).uniform(-1, 1, (2, 4, 1, 6))[:, y]
    turn = 2 * np.pi * (pace * rng.uniform(0.9, 1.1, (len(y), 1, 1)) * np.arange(100)[:, None] / 10)
    start = rng.uniform(0, 2 * np.pi, (len(y), 1, 1))
    waves = way[0] * np.sin(turn + start) + way[1] * np.cos(turn + start)
    effort = 1 - pause * (np.sin(turn / 4 + start) < 0)
    return (size * (waves * effort + 0.2 * rng.normal(size=(len(y), 100, 6)))).astype(np.float32)


if file.exists():
    data = np.load(file)
    X_train, X_test, y_train, y_test = (data[name] for name in ("X_train", "X_test", "y_train", "y_test"))
    classes = data["classes"]
    print("BasicMotions:", end=" ")
else:
    classes, rng = np.array(["Badminton", "Running", "Standing", "Walking"]), np.random.default_rng(0)
    y_train = y_test = np.repeat(np.arange(4), 10)
    X_train, X_test = generate(y_train, rng), generate(y_test, rng)
    print(f"Generated motions (there is no {file.name}):", end=" ")
print(f"{len(X_train)} sequences for training, {len(X_test)} for the test, {X_train.shape[1:]} each\n")

# %%
# Networks
# --------
# Trained on whole sequences, or on the beginnings of these as well: lists of arrays of different length. 40 passes
# over the sequences each, converged or not; one of the lists, which is four times as long, takes 10.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

seen, seeds = (25, 50, 75, 100), range(5)


def beginnings(X, n_steps):
    """The first steps of each sequence."""
    return [sequence[:n_steps] for sequence in X]


def fit(X, y, seed, pooling="mean", max_iter=40):
    """Train a network."""
    clf = GRUClassifier(
        (32,),
        pooling=pooling,
        batch_size=8,
        learning_rate="one_cycle",
        learning_rate_init=0.01,
        max_iter=max_iter,
        n_iter_no_change=max_iter,
        random_state=seed,
    )
    return clf.fit(X, y)


parts = [sequence for n_steps in seen for sequence in beginnings(X_train, n_steps)]
y_parts = np.tile(y_train, len(seen))
networks = {
    "GRU, mean state": [fit(X_train, y_train, seed) for seed in seeds],
    "GRU, last state": [fit(X_train, y_train, seed, "last") for seed in seeds],
    "GRU, mean state, also beginnings": [fit(parts, y_parts, seed, max_iter=10) for seed in seeds],
}
accuracy = {
    name: np.mean([[clf.score(beginnings(X_test, n), y_test) for n in seen] for clf in several], axis=0)
    for name, several in networks.items()
}

# %%
# Without a network
# -----------------
# Logistic regression on mean and deviation of each channel, and the nearest neighbour, both trained for each length.


def moments(X):
    """Mean and deviation of each channel."""
    return np.hstack([np.mean(X, axis=1), np.std(X, axis=1)])


logistic, neighbour = make_pipeline(StandardScaler(), LogisticRegression()), KNeighborsClassifier(1)
accuracy["logistic regression on moments"] = [
    logistic.fit(moments(X_train[:, :n]), y_train).score(moments(X_test[:, :n]), y_test) for n in seen
]
accuracy["nearest neighbour"] = [
    neighbour.fit(X_train[:, :n].reshape(len(X_train), -1), y_train).score(
        X_test[:, :n].reshape(len(X_test), -1), y_test
    )
    for n in seen
]
print(f"{'accuracy, of steps seen:':34}" + "".join(f"{n:>7}" for n in seen))
for name, values in accuracy.items():
    print(f"{name:34}" + "".join(f"{value:7.3f}" for value in values))

# %%
# Which steps tell
# ----------------
# How much greater the log loss on the test gets when one time step is exchanged between sequences. Accuracy would
# hardly tell: no single step is needed for a right answer.

importance = {
    name: np.mean(
        [
            timestep_importance(clf, X_test, y_test, method="permutation", scoring="neg_log_loss", random_state=0)
            for clf in networks[name]
        ],
        axis=0,
    )
    for name in ("GRU, mean state", "GRU, last state")
}
print()
for name, values in importance.items():
    quarters = values.reshape(4, -1).sum(axis=1)
    print(f"{name}: importance summed over quarters of the time " + "".join(f"{q:8.3f}" for q in quarters))

# %%
# Pictures
# --------
# First one sequence of each class, and the importance; then what the networks on the mean state predict, all random
# states together, and the accuracies.

figure = plt.figure(figsize=(10, 5.4), layout="constrained")
above, below = figure.subfigures(2)
seconds = np.arange(X_train.shape[1]) / 10
panels = above.subplots(1, 4, sharey=True)
for label, ax in enumerate(panels):
    for channel, axis in enumerate("xyz"):
        ax.plot(seconds, X_train[y_train == label][0, :, channel], linewidth=1.1, label=axis)
    ax.set(title=classes[label], xlabel="Seconds", xticks=(0, 5, 10))
panels[0].set_ylabel("Acceleration")
panels[2].legend(title="Axis", loc="upper right", ncols=3, fontsize="small")
ax = below.subplots()
for (name, values), color in zip(importance.items(), ("C0", "C1"), strict=True):
    line = {"color": color, "marker": None, "label": name}
    TimestepImportanceDisplay.from_importance(values, importance_name="Increase of the log loss", ax=ax, line_kw=line)
ax.set(title="One time step exchanged between sequences", xlabel="Time step, in tenths of a second")
ax.legend(loc="upper center", ncols=2, fontsize="small")
figure.savefig(folder / "basic_motions.png", dpi=90)

figure, axes = plt.subplots(1, 3, figsize=(12.5, 4), layout="constrained", width_ratios=(1, 1, 1.3))
for ax, n_steps in zip(axes, (25, 100), strict=False):
    predicted = [clf.predict(beginnings(X_test, n_steps)) for clf in networks["GRU, mean state"]]
    counts = confusion_matrix(np.tile(y_test, len(seeds)), np.concatenate(predicted))
    display = ConfusionMatrixDisplay(counts, display_labels=classes)
    display.plot(ax=ax, cmap="Blues", colorbar=False, xticks_rotation=30)
    ax.set_title(f"GRU, mean state: {n_steps} steps seen")
for (name, values), style in zip(accuracy.items(), ("C0o-", "C1s-", "C2^-", "C7D--", "C5v:"), strict=True):
    axes[2].plot(seen, values, style, markersize=5, label=name)
axes[2].set(title="Test", xlabel="Steps seen", ylabel="Accuracy", xticks=seen, ylim=(0, 1.03))
axes[2].legend(loc="lower left", fontsize="small")
figure.savefig(folder / "basic_motions_test.png", dpi=90)
