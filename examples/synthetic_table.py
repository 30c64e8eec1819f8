"""Synthetic rows in the place of real ones: a classifier that has seen no real row, tested on real rows.

A conditional GAN learns the training rows of a table, and makes five rows for each of them, of its class. One
classifier is trained on the real rows, another one on the synthetic ones, and both are tested on real rows that neither
of them nor the GAN has seen. There are two tables: one of 30 numbers (tumours, benign or malignant), and one of numbers
and a category (patients with diabetes, and whether the disease progressed more than it did in half of them).

To see: the second classifier is nearly as good as the first. How the networks are set was chosen on rows that had been
split from the training rows, not on those that are tested here.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skneural import GAN, MLPClassifier

folder, full = options(__doc__, full="five splits in the place of one")
warnings.filterwarnings("ignore", category=ConvergenceWarning)

# %%
# Two tables
# ----------

tumours, is_benign = load_breast_cancer(return_X_y=True, as_frame=True)
patients, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
patients = patients.astype({"age": int, "sex": int}).astype({"sex": "category"})
tables = {
    "tumours": (tumours, np.where(is_benign, "benign", "malignant")),
    "patients": (patients, np.where(progression > progression.median(), "more", "less")),
}


def make_gan(seed):
    """Columns of a type for categories are such: nothing is said of them."""
    return GAN(
        (64, 64),
        batch_size=50,
        max_iter=400,
        instance_noise=0.1,
        generator_averaging=0.99,
        random_state=seed,
    )


def make_classifier(seed):
    """A small network that reads numbers and categories."""
    columns = make_column_transformer(
        (OneHotEncoder(), make_column_selector(dtype_include="category")), remainder=StandardScaler()
    )
    return make_pipeline(columns, MLPClassifier((32,), alpha=3.0, max_iter=100, random_state=seed))


# %%
# Trained on either, tested on real rows
# --------------------------------------


def compare(X, y, seed):
    """Accuracy after training on real and on synthetic rows; and as many of either, with their classes."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    wanted = np.tile(y_train, 5)
    synthetic = make_gan(seed).fit(X_train, y_train).sample(y=wanted, random_state=seed)
    scores = []
    for rows, labels in ((X_train, y_train), (synthetic, wanted)):
        scores.append(make_classifier(seed).fit(rows, labels).score(X_test, y_test))
    return scores, X_train, synthetic[: len(X_train)], y_train


shown = {}
means = {}
for name, (X, y) in tables.items():
    results = [compare(X, y, seed) for seed in range(5 if full else 1)]
    scores = np.array([result[0] for result in results])
    ratios = scores[:, 1] / scores[:, 0]
    shown[name] = results[0][1:]
    means[name] = scores.mean(axis=0)
    most = np.unique(y, return_counts=True)[1].max() / len(y)
    print(
        f"{name}: trained on real rows {means[name][0]:.3f}, on synthetic rows {means[name][1]:.3f}, "
        f"ratio {ratios.mean():.3f} (least {ratios.min():.3f}); the larger class is {most:.3f} of all"
    )
print(shown["patients"][1][["age", "sex", "bmi", "bp"]].head())

# %%
# What it looks like
# ------------------

figure, axes = plt.subplots(1, 3, figsize=(11, 4.2), layout="constrained", width_ratios=[1, 1.2, 1.2])
places = np.arange(len(tables))
for shift, source, kind in ((-0.2, 0, "real rows"), (0.2, 1, "synthetic rows")):
    axes[0].bar(places + shift, [means[name][source] for name in tables], 0.38, label=kind)
axes[0].set_xticks(places, list(tables))
axes[0].set(ylim=(0.5, 1), ylabel="accuracy on real test rows", title="trained on")
axes[0].legend(loc="upper right", fontsize="small")

real, synthetic, labels = shown["tumours"]
for label, colour in (("benign", "C2"), ("malignant", "C3")):
    for rows, kind, marker in ((real, "real", "."), (synthetic, "synthetic", "+")):
        own = rows[labels == label]
        axes[1].scatter(
            own["mean radius"],
            own["mean concave points"],
            s=18,
            alpha=0.6,
            linewidths=0.7,
            color=colour,
            marker=marker,
            label=f"{label}, {kind}",
        )
axes[1].set(xlabel="mean radius", ylabel="mean concave points", title="tumours")
axes[1].legend(fontsize="x-small")

real, synthetic, labels = shown["patients"]
groups = [(sex, label) for sex in (1, 2) for label in ("less", "more")]
for shift, rows, kind in ((-0.2, real, "real"), (0.2, synthetic, "synthetic")):
    boxes = [rows["bmi"][(rows["sex"] == sex) & (labels == label)] for sex, label in groups]
    style = {"widths": 0.34, "patch_artist": True, "sym": ".", "medianprops": {"color": "black"}}
    parts = axes[2].boxplot(boxes, positions=np.arange(4) + shift, **style)
    for box in parts["boxes"]:
        box.set_facecolor("C0" if kind == "real" else "C1")
axes[2].set_xticks(range(4), [f"sex {sex},\n{label}" for sex, label in groups])
axes[2].set(ylabel="body mass index", title="patients: real, synthetic")
figure.savefig(folder / "synthetic_table.png", dpi=80)
