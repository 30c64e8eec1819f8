"""Digits through a code of eight numbers, cleaned of noise, and laid out in a plane: autoencoders next to PCA.

An autoencoder learns to return what it reads through a code of few numbers. Whatever its layers are, it has one rival
that is always there: the principal components, the best that can be done with linear layers. So everything here stands
next to PCA with codes as long. The digits have 8 x 8 pixels, and all numbers are of test images.

To see: below each digit what both make of its eight numbers. Then digits with noise: the autoencoder that has been
trained with `input_noise` knows what digits look like, PCA only which directions vary. Last the codes of two numbers,
which leave more room between the classes, and what lies between them.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import Autoencoder
from skneural.plotting import LatentDisplay, ReconstructionDisplay

folder, full = options(__doc__, full="five times as many epochs (half a minute)")

# %%
# Data
# ----

warnings.filterwarnings("ignore", category=ConvergenceWarning)

digits = load_digits()
X = digits.data.astype("float32")
X_train, X_test, y_train, y_test = train_test_split(X, digits.target, stratify=digits.target, random_state=0)


def autoencoder(n_codes, **settings):
    """An autoencoder of pixels: one scale for all of them, as PCA has it."""
    return Autoencoder(
        (128, 64, n_codes),
        scaler="common",
        batch_size=32,
        learning_rate="one_cycle",
        learning_rate_init=0.004,
        max_iter=300 if full else 60,
        n_iter_no_change=np.inf,
        random_state=0,
        **settings,
    ).fit(X_train)


def error(estimator, inputs, wanted):
    """Mean squared error, in the units of the pixels (0 to 16)."""
    return ((estimator.inverse_transform(estimator.transform(inputs)) - wanted) ** 2).mean()


# %%
# Compressed
# ----------

pca = PCA(8).fit(X_train)
ae = autoencoder(8)
for name, estimator in (("PCA", pca), ("Autoencoder", ae)):
    known = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(
        estimator.transform(X_train), y_train
    )
    print(
        f"{name}, 8 numbers a digit: squared error {error(estimator, X_test, X_test):.2f}, "
        f"{known.score(estimator.transform(X_test), y_test):.3f} of the digits known by them"
    )

shown = [np.flatnonzero(y_test == digit)[0] for digit in range(10)]
figure, axes = plt.subplots(3, 10, figsize=(9, 3.6), layout="constrained")
for rows, estimator in ((axes[[0, 2]], pca), (axes[[0, 1]], ae)):
    ReconstructionDisplay.from_estimator(estimator, X_test[shown], n_samples=10, image_shape=(8, 8), ax=rows)
for row, label in zip(axes, ("digits", "autoencoder", "PCA"), strict=True):
    row[0].set_ylabel(label)
figure.savefig(folder / "digits_compressed.png", dpi=90)

# %%
# Denoised
# --------

rng = np.random.default_rng(0)
noisy = (X_test + rng.normal(0, 4, X_test.shape)).astype("float32")
denoising = autoencoder(32, input_noise=4 / X_train.std())
directions = PCA(32).fit(X_train)
fewer = PCA(12).fit(X_train)
print(f"noise of deviation 4: squared error {((noisy - X_test) ** 2).mean():.2f}")
for name, estimator in (("PCA(32)", directions), ("PCA(12)", fewer), ("denoising autoencoder", denoising)):
    print(f"{name}: {error(estimator, noisy, X_test):.2f} is left of it")

display = ReconstructionDisplay.from_estimator(
    denoising,
    noisy[shown],
    originals=X_test[shown],
    n_samples=10,
    image_shape=(8, 8),
)
display.figure_.savefig(folder / "digits_denoised.png", dpi=110)

# %%
# In a plane
# ----------

plane = autoencoder(2)
components = PCA(2).fit(X_train)
print(
    f"2 numbers a digit: squared error {error(plane, X_test, X_test):.2f}, PCA {error(components, X_test, X_test):.2f}"
)
figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
LatentDisplay.from_estimator(components, X_test, y_test, ax=axes[0])
LatentDisplay.from_estimator(plane, X_test, y_test, grid=9, image_shape=(8, 8), ax=axes[1:])
for panel, title in zip(axes, ("PCA", "Autoencoder", "What lies in its plane"), strict=True):
    panel.set_title(title)
figure.savefig(folder / "digits_plane.png", dpi=80)
