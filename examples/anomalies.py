"""Digits that are unlike those of the training: errors of an autoencoder next to an isolation forest.

A detector sees digits of one class only, and is to tell them from all others: each of the ten classes is the normal one
in turn. An autoencoder that has learnt one class reconstructs the others badly, and its error is the score. The forest
cuts along single pixels at random, and scores how few cuts a sample needs to be alone. The area under the ROC curve is
the chance that a digit of another class gets the lower score of two.

To see: the area for each class. The eights are the hardest for both, since they are written in many ways. Below, what
an autoencoder of threes makes of other digits: it sees threes everywhere.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from skneural import AutoencoderDetector
from skneural.plotting import ReconstructionDisplay

folder, full = options(__doc__, full="means over five seeds (a minute)")

# %%
# Each class in turn
# ------------------

warnings.filterwarnings("ignore", category=ConvergenceWarning)

digits = load_digits()
X = digits.data.astype("float32")
X_train, X_test, y_train, y_test = train_test_split(X, digits.target, stratify=digits.target, random_state=0)
seeds = range(5 if full else 1)


def detector(seed):
    """A small autoencoder of pixels, trained with noise: there are some 130 digits of a class."""
    return AutoencoderDetector(
        (64, 8),
        scaler="common",
        input_noise=0.3,
        batch_size=32,
        learning_rate_init=0.003,
        max_iter=150,
        n_iter_no_change=np.inf,
        random_state=seed,
    )


def area(estimator, digit):
    """Area under the ROC curve of a detector that has seen one class."""
    estimator.fit(X_train[y_train == digit])
    return roc_auc_score(y_test == digit, estimator.decision_function(X_test))


areas = {"autoencoder": [], "isolation forest": []}
for digit in range(10):
    areas["autoencoder"].append(np.mean([area(detector(seed), digit) for seed in seeds]))
    areas["isolation forest"].append(np.mean([area(IsolationForest(random_state=seed), digit) for seed in seeds]))
    print(f"{digit}: autoencoder {areas['autoencoder'][-1]:.3f}, isolation forest {areas['isolation forest'][-1]:.3f}")
better = np.sum(np.array(areas["autoencoder"]) >= areas["isolation forest"])
means = {name: np.mean(values) for name, values in areas.items()}
print(
    f"mean: {means['autoencoder']:.3f} and {means['isolation forest']:.3f}; the autoencoder is ahead on {better} of 10"
)

# %%
# What it makes of others
# -----------------------

threes = detector(0).fit(X_train[y_train == 3])
shown = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]
titles = ["normal" if label == 1 else "outlier" for label in threes.predict(X_test[shown])]

figure = plt.figure(figsize=(9, 5.5), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=[1.5, 1])
ax = above.subplots()
for shift, (name, values) in zip((-0.2, 0.2), areas.items(), strict=True):
    ax.bar(np.arange(10) + shift, values, 0.38, label=name)
ax.set(ylim=(0.5, 1), xticks=range(10), xlabel="class that is normal", ylabel="area under the ROC curve")
ax.legend(loc="lower right", ncols=2)
ReconstructionDisplay.from_estimator(
    threes,
    X_test[shown],
    n_samples=10,
    image_shape=(8, 8),
    titles=titles,
    ax=below.subplots(2, 10),
)
below.suptitle("Trained on threes")
figure.savefig(folder / "anomalies.png", dpi=90)
