"""Time series classified: convolutions, which find a shape wherever it is, against an LSTM, which has to remember it.

Sequences of 120 steps of noise, in which each step resembles the one before; somewhere in each stands a shape of 20
steps: a bell, a ramp or a wave. Which? 240 sequences train, 120 say which epoch was the best, 600 test. An FCN (three
convolutions with batch normalisation, then the mean over time; Wang, Yan and Oates, 2017) with a quarter of the filters
of the paper, an LSTM layer of 32 units whose last state goes on to the outputs, and the same with the mean of its
states. Each for three random states.

To see: the FCN is right in 19 of 20, after few epochs. The LSTM whose last state has to remember what it saw up to 100
steps before hardly gets beyond guessing; with the mean of all states, which asks for no memory, it is right in five of
six. On sequences twice as long none gets much worse, since none is bound to a length. What the FCN answers rests on the
steps of the shape; what the LSTM with the last state answers rests mostly on what comes after it.

With `--full` the three are fitted, the FCN with the filters of the paper, to data sets of the UCR archive where these
lie beside the checkout, and nothing is drawn: that takes some minutes.
"""

import pathlib
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.exceptions import ConvergenceWarning

from skneural import FCNClassifier, LSTMClassifier

folder, full = options(__doc__, full="data sets beside the checkout, and the filters of the paper")
warnings.filterwarnings("ignore", category=ConvergenceWarning)  # all run for as many epochs as are said

# %%
# Networks
# --------

seeds = range(3)


def networks(filters, max_iter):
    """Networks by name, each as a function of the random state."""
    common = {"batch_size": 16, "max_iter": max_iter, "n_iter_no_change": max_iter, "dtype": "float32"}
    recurrent = {"learning_rate": "cosine", "learning_rate_init": 0.01, **common}
    convolutional = {"learning_rate": "cosine", "learning_rate_init": 0.002, **common}
    return {
        "FCN": lambda seed: FCNClassifier(filters, random_state=seed, **convolutional),
        "LSTM, last state": lambda seed: LSTMClassifier((32,), random_state=seed, **recurrent),
        "LSTM, mean state": lambda seed: LSTMClassifier((32,), pooling="mean", random_state=seed, **recurrent),
    }


def fit_all(makers, X, y, **validation):
    """Fitted networks by name, one for each random state, and the seconds that a fit took."""
    fitted, seconds = {}, {}
    for name, make in makers.items():
        begin = time.perf_counter()
        fitted[name] = [make(seed).fit(X, y, **validation) for seed in seeds]
        seconds[name] = (time.perf_counter() - begin) / len(seeds)
    return fitted, seconds


# %%
# Real data sets
# --------------
# Of the UCR archive, split as it splits them; sequences of different length end in zeros in the files.

folder_of_data = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "sequence"
DATA_SETS = ("ItalyPowerDemand", "ECG200", "ArrowHead", "SyntheticControl", "PickupGestureWiimoteZ")


def sequences_of(data, part):
    """Sequences of a file without what stands after their ends."""
    X = data[f"X_{part}"]
    return [x[:n] for x, n in zip(X, data[f"len_{part}"], strict=True)] if f"len_{part}" in data else X


if full:
    files = [folder_of_data / f"{name}.npz" for name in DATA_SETS]
    for file in files:
        if not file.exists():
            print(f"There is no {file.name} beside the checkout.")
            continue
        with np.load(file) as arrays:
            data = dict(arrays)
        fitted, seconds = fit_all(networks((128, 256, 128), 100), sequences_of(data, "train"), data["y_train"])
        for name, several in fitted.items():
            scores = [est.score(sequences_of(data, "test"), data["y_test"]) for est in several]
            print(f"{file.stem:22} {name:18} accuracy {np.mean(scores):.3f}, {seconds[name]:6.1f} s a fit", flush=True)
    raise SystemExit

# %%
# Generated sequences
# -------------------

classes = np.array(["bell", "ramp", "wave"])
n_steps, n_shape = 120, 20
part = np.arange(n_shape) / n_shape
shapes = np.array([np.sin(np.pi * part) ** 2, part, 0.5 + 0.5 * np.sin(4 * np.pi * part)])


def generate(n_samples, n_steps, rng):
    """Noise with a shape in it: sequences, classes, and where the shapes begin."""
    noise = rng.normal(size=(n_samples, n_steps))
    for t in range(1, n_steps):
        noise[:, t] = 0.7 * noise[:, t - 1] + 0.5 * noise[:, t]
    y = np.arange(n_samples) % len(classes)
    begins = rng.integers(0, n_steps - n_shape, n_samples)
    X = noise.copy()
    for row, begin, label in zip(X, begins, y, strict=True):
        row[begin : begin + n_shape] += 3 * shapes[label]
    return X[:, :, None].astype(np.float32), y, begins


rng = np.random.default_rng(0)
X_train, y_train, _ = generate(240, n_steps, rng)
X_val, y_val, _ = generate(120, n_steps, rng)
X_test, y_test, begins = generate(600, n_steps, rng)
X_long, y_long, _ = generate(600, 2 * n_steps, rng)

fitted, seconds = fit_all(networks((32, 64, 32), 40), X_train, y_train, X_val=X_val, y_val=y_val)
print(f"{'accuracy':18} {'test':>8} {'twice as long':>14} {'weights':>8} {'s a fit':>8}")
for name, several in fitted.items():
    test, longer = (np.mean([est.score(*data) for est in several]) for data in ((X_test, y_test), (X_long, y_long)))
    print(f"{name:18} {test:8.3f} {longer:14.3f} {several[0].summary().n_parameters:8,} {seconds[name]:8.1f}")

# %%
# Where they look
# ---------------
# How far the probabilities move when one step after the other is replaced by 0, around the place where the shape
# stands: shares of the sum over all steps, mean over a hundred test sequences.

around = np.arange(-30, 50)
inside = np.flatnonzero((begins >= 30) & (begins <= n_steps - 50))[:100]


def importance_of(est, x):
    """Importance of each step of one sequence."""
    steps = np.arange(len(x))
    changed = np.repeat(x[None], len(x), axis=0)
    changed[steps, steps] = 0
    moved = np.abs(est.predict_proba(changed) - est.predict_proba(x[None])).mean(axis=1)
    return moved / moved.sum()


importance = {}
print()
for name in ("FCN", "LSTM, last state"):
    est = fitted[name][0]
    importance[name] = np.mean([importance_of(est, X_test[i])[begins[i] + around] for i in inside], axis=0)
    within = importance[name][(around >= 0) & (around < n_shape)].sum()
    print(f"{name}: {within:.0%} of the importance is on the {n_shape} steps of the shape")

# %%
# Picture
# -------

figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.8), layout="constrained")
for label, name in enumerate(classes):
    i = np.flatnonzero(y_test == label)[1]
    steps = np.arange(begins[i], begins[i] + n_shape)
    axes[0].plot(X_test[i, :, 0] + 6 * label, color="0.6", linewidth=0.9)
    axes[0].plot(steps, X_test[i, steps, 0] + 6 * label, color=f"C{label}", label=name)
axes[0].set(title="A sequence of each class", xlabel="Time step", yticks=())
axes[0].legend(loc="upper right", fontsize="small")
for (name, several), color in zip(fitted.items(), ("C0", "C3", "C1"), strict=True):
    for est in several:
        axes[1].plot(est.validation_scores_, color=color, linewidth=1, label=name if est is several[0] else None)
axes[1].set(title="Validation, three random states", xlabel="Epoch", ylabel="Accuracy", ylim=(0.25, 1.02))
axes[1].legend(loc="lower right", fontsize="small")
for (name, values), color in zip(importance.items(), ("C0", "C3"), strict=True):
    axes[2].plot(around, values, color=color, label=name)
axes[2].axvspan(0, n_shape, color="0.9", zorder=0)
axes[2].set(title="Where they look: grey is the shape", xlabel="Time step after its beginning", ylabel="Importance")
axes[2].legend(loc="upper right", fontsize="small")
figure.savefig(folder / "time_series_classification.png", dpi=90)
