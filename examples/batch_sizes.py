"""Batch sizes: stochastic, mini-batch and full-batch gradient descent, by epochs and by time.

The same network learns 2000 rows by plain gradient descent, with steps on the gradient of a single row, of 32 rows,
and of all rows.

To see, counted in epochs: the more steps in an epoch the faster; single rows and 32 rows are alike, all rows need
many times as many epochs. Counted in time: 32 rows win, since a step on them is one matrix product and takes only
some times as long as a step on one row. A step on all rows takes longest, and there is one an epoch. The grey line is
the loss that the table is about.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import picture_folder
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skneural import MLPClassifier

folder = picture_folder(__doc__)

# %%
# Data and networks
# -----------------
# A fit stops when its epochs are used up, not when the loss is flat. Each size has a learning rate that suits it: steps
# on single rows must be small, steps on all rows may be large. One thread for all, so that times compare.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

X, y = make_classification(
    n_samples=4000, n_features=20, n_informative=10, n_clusters_per_class=3, class_sep=1.5, random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, random_state=0)
n = len(X_train)


def train(batch_size, learning_rate, epochs):
    """Fit by gradient descent, without momentum and penalty."""
    clf = MLPClassifier(
        (64,),
        solver="sgd",
        momentum=0,
        alpha=0,
        batch_size=batch_size,
        learning_rate_init=learning_rate,
        max_iter=epochs,
        n_iter_no_change=np.inf,
        n_jobs=1,
        random_state=0,
    )
    return clf.fit(X_train, y_train)


train(n, 0.1, epochs=1)  # the first fit may compile: that is not to be in the times
networks = {
    "1 row, rate 0.01": train(1, 0.01, epochs=100),
    "32 rows, rate 0.1": train(32, 0.1, epochs=600),
    f"{n} rows, rate 0.3": train(n, 0.3, epochs=600),
}

# %%
# Loss against epochs and against time
# ------------------------------------

goal = 0.1
print(f"{'batch':20} steps/epoch  us/step  epochs to {goal}  ms to {goal}  accuracy")
figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
for (name, clf), style in zip(networks.items(), ("-", "--", "-."), strict=True):
    loss, milliseconds = np.array(clf.history_["loss"]), 1000 * np.array(clf.history_["time"])
    epochs, steps = np.arange(1, len(loss) + 1), -(-n // clf.batch_size)
    axes[0].plot(epochs, loss, style, label=name)
    axes[1].plot(milliseconds, loss, style, label=name)
    reached = np.argmax(loss < goal)
    print(
        f"{name:20} {steps:11} {1000 * milliseconds[-1] / (steps * len(loss)):8.1f} {epochs[reached]:14} "
        f"{milliseconds[reached]:10.1f} {clf.score(X_test, y_test):9.3f}"
    )
for ax, label in zip(axes, ("Epoch", "Time in milliseconds"), strict=True):
    ax.axhline(goal, color="0.6", linewidth=0.8)
    ax.set(xscale="log", yscale="log", xlabel=label)
    ax.grid(alpha=0.3)
axes[0].set_ylabel("Training loss")
axes[0].legend(title="Batch", loc="lower left", fontsize="small")
figure.savefig(folder / "batch_sizes.png", dpi=100)
