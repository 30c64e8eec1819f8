"""Activation zoo: all activations there are, their slopes, and what they make of two spirals.

An activation is one function that returns value and slope. The first picture draws those of the registry, so one that
is added there (CONTRIBUTING.md says how) appears here by itself. The second picture shows what networks with each of
them learn in the same time from two spirals; the shades are probabilities.

To see: *identity* stays a straight line, however many layers there are. *logistic* has slopes of a quarter at most,
which four layers multiply: it is still at the beginning when the others are done. The corners of *relu*, *leaky_relu*
and *hard_tanh* become corners of the boundary; *tanh*, *elu*, *gelu*, *silu*, *mish* and *softplus* draw it round.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import picture_folder
from sklearn.exceptions import ConvergenceWarning
from sklearn.inspection import DecisionBoundaryDisplay

from skneural import MLPClassifier
from skneural.maths.activations import ACTIVATIONS

folder = picture_folder(__doc__)

# %%
# Values and slopes
# -----------------
# An entry of the registry is one function of a number, which returns both.

z = np.linspace(-4, 4, 401)


def panels(height):
    """A figure with four panels a row, one for each activation."""
    n_rows = -(-len(ACTIVATIONS) // 4)
    figure, axes = plt.subplots(n_rows, 4, figsize=(10, height * n_rows), layout="constrained")
    for ax in axes.flat[len(ACTIVATIONS) :]:
        ax.remove()
    return figure, axes.flat[: len(ACTIVATIONS)]


figure, axes = panels(2.2)
for ax, (name, entry) in zip(axes, ACTIVATIONS.items(), strict=True):
    value, slope = np.array([entry.formula(float(number)) for number in z]).T
    ax.axhline(0, color="0.8", linewidth=0.8)
    ax.axvline(0, color="0.8", linewidth=0.8)
    ax.plot(z, value, label="value")
    ax.plot(z, slope, "--", label="slope")
    ax.set_title(name, fontsize="medium")
    ax.set_ylim(-1.9, 2.4)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
figure.savefig(folder / "activations.png", dpi=100)

# %%
# One task for all
# ----------------
# Two spirals, wound into each other: a line cannot part them. Three hidden layers of 32 units, 100 epochs of Adam.

warnings.filterwarnings("ignore", category=ConvergenceWarning)

rng = np.random.default_rng(0)
angle = np.sqrt(rng.uniform(0.05, 1, size=(2, 300))) * 3 * np.pi
radius = angle / (3 * np.pi)
turned = angle + np.pi * np.arange(2)[:, None]
X = np.stack([radius * np.cos(turned), radius * np.sin(turned)], axis=-1).reshape(-1, 2)
X += 0.02 * rng.standard_normal(X.shape)
y = np.repeat([0, 1], 300)


def train(activation):
    """Fit a network whose hidden layers all have this activation."""
    clf = MLPClassifier(
        (32, 32, 32),
        activation,
        learning_rate_init=0.01,
        batch_size=32,
        max_iter=100,
        n_iter_no_change=100,
        random_state=0,
    )
    return clf.fit(X, y)


networks = {name: train(name) for name in ACTIVATIONS}

print(f"{'':12} loss after 20 epochs  after 100  accuracy")
for name, clf in sorted(networks.items(), key=lambda item: item[1].loss_):
    print(f"{name:12} {clf.loss_curve_[19]:20.3f} {clf.loss_:10.3f} {clf.score(X, y):9.3f}")

figure, axes = panels(2.4)
for ax, (name, clf) in zip(axes, networks.items(), strict=True):
    DecisionBoundaryDisplay.from_estimator(
        clf, X, response_method="predict_proba", levels=8, cmap="RdBu", vmin=0, vmax=1, eps=0.1, alpha=0.7, ax=ax
    )
    for label, color in ((0, "darkred"), (1, "darkblue")):
        ax.plot(*X[y == label].T, ".", color=color, markersize=1.5)
    ax.set(xlabel="", ylabel="", xticks=[], yticks=[], aspect="equal")
    ax.set_title(f"{name}: {clf.score(X, y):.3f}", fontsize="medium")
figure.supxlabel("accuracy on the rows learnt", fontsize="medium")
figure.savefig(folder / "activations_on_spirals.png", dpi=100)
