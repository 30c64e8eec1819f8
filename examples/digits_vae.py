"""Digits that nobody has written: a variational autoencoder, its plane of codes, and samples from it.

A variational autoencoder keeps its codes near the standard normal distribution, so that codes drawn from that stand for
digits like those that it has learnt from. An ordinary autoencoder does not: between its codes there are gaps, in which
nothing of a digit is left. The brightness of a pixel is taken for the probability that it is ink (``loss="log_loss"``).

To see: the codes of test images in a plane, which lie around 0, and what the places between them stand for. Then
samples, and below them what an autoencoder makes of codes that are drawn from a normal distribution as wide as its own.
What is printed is the bound of the log-likelihood of the test images: it rises with the numbers of a code, until there
are enough.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skneural import Autoencoder, VariationalAutoencoder
from skneural.plotting import LatentDisplay

folder, full = options(__doc__, full="five times as many epochs (a minute)")

# %%
# Data
# ----

warnings.filterwarnings("ignore", category=ConvergenceWarning)

digits = load_digits()
X = digits.data.astype("float32") / 16
X_train, X_test, y_train, y_test = train_test_split(X, digits.target, stratify=digits.target, random_state=0)
settings = {
    "loss": "log_loss",
    "batch_size": 32,
    "learning_rate": "one_cycle",
    "learning_rate_init": 0.004,
    "max_iter": 200 if full else 40,
    "n_iter_no_change": np.inf,
    "random_state": 0,
}

# %%
# In a plane
# ----------

plane = VariationalAutoencoder(2, (128, 64), **settings).fit(X_train)
figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
LatentDisplay.from_estimator(plane, X_test, y_test, grid=9, image_shape=(8, 8), ax=axes)
figure.savefig(folder / "digits_vae_plane.png", dpi=80)

# %%
# Bounds
# ------

print(f"2 numbers a digit: {plane.score(X_test):.2f} nats a test image")
for n_components in (4, 8):
    vae = VariationalAutoencoder(n_components, (128, 64), **settings).fit(X_train)
    one = vae.set_params(n_importance_samples=1).score(X_test)
    many = vae.set_params(n_importance_samples=100).score(X_test)
    print(f"{n_components} numbers: {many:.2f}, of one code drawn for each image {one:.2f}")

# %%
# Samples
# -------

samples = vae.sample(36, random_state=0)
ae = Autoencoder((128, 64, 8), **settings).fit(X_train)
codes = ae.transform(X_train)
drawn = np.random.default_rng(0).multivariate_normal(codes.mean(axis=0), np.cov(codes.T), 36)
others = ae.inverse_transform(drawn)


def side_by_side(images, n_columns=12):
    """Rows of 8 x 8 pixels as one picture, with a pixel of paper between them."""
    framed = np.pad(images.reshape(-1, n_columns, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return framed.transpose(0, 2, 1, 3).reshape(len(images) // n_columns * 10, -1)


figure, axes = plt.subplots(2, 1, figsize=(9, 5.4), layout="constrained")
for panel, images, title in zip(
    axes, (samples, others), ("Samples of the variational autoencoder", "Of an autoencoder's codes"), strict=True
):
    panel.imshow(side_by_side(images), cmap="gray_r", vmin=0, vmax=1)
    panel.set_title(title)
    panel.set_axis_off()
figure.savefig(folder / "digits_vae_samples.png", dpi=80)
