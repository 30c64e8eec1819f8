"""MNIST: a convolutional GAN (DCGAN) that writes the digit it is asked for, and what it wrote while it learned.

The networks of Radford, Metz and Chintala (2016), smaller: transposed convolutions make an image from 64 random numbers
and a label, convolutions with a stride judge it; both are told the class. The average of the generator's parameters
makes the samples.

By default it learns from 4,000 images for 16 epochs; with ``--full`` from all 60,000 for 15, with twice the filters.
Where MNIST does not lie beside the checkout, it learns from scikit-learn's digits of 8 x 8 pixels.

To see: samples of the same random numbers after more and more epochs (the callback `SampleRecorder` keeps them), and
what a convolutional classifier that has been trained on the real images makes of 1,000 samples. A share near 100 % says
that the digits can be read, not that they are as varied as real ones: of that `coverage_` says something.
"""

import pathlib
import warnings

import numpy as np
from _pictures import options
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skneural import GAN, CNNClassifier
from skneural.callbacks import SampleRecorder
from skneural.layers import Conv2D, ConvTranspose2D, Dense, Flatten, Reshape
from skneural.plotting import SampleDisplay

folder, full = options(__doc__, full="all images, 15 epochs, twice the filters (some minutes)")
warnings.filterwarnings("ignore", category=ConvergenceWarning)

# %%
# Data
# ----

file = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist.npz"
if file.exists():
    data = np.load(file)
    X, y = data["x_train"], data["y_train"]
    if not full:
        part = np.random.default_rng(0).permutation(len(X))[:4000]
        X, y = X[part], y[part]
    print("MNIST:", end=" ")
else:
    digits = load_digits()
    X, y = digits.images.astype("uint8"), digits.target
    print(f"Digits of 8 x 8 pixels (there is no {file.name}):", end=" ")
print(f"{len(X)} images of {X.shape[1]} x {X.shape[2]} pixels")

# %%
# Networks
# --------
# The generator begins with an image of a quarter of the side, and each transposed convolution doubles it.

few, many = (32, 64) if full else (16, 32)
side = X.shape[1] // 4
generator = [
    Dense(side * side * many, "relu"),
    Reshape((side, side, many)),
    ConvTranspose2D(few, 4, stride=2, activation="relu"),
    ConvTranspose2D(1, 4, stride=2),
]
discriminator = [
    Conv2D(few, 4, stride=2, activation="leaky_relu"),
    Conv2D(many, 4, stride=2, activation="leaky_relu"),
    Flatten(),
]
n_epochs = 15 if full else 16 if file.exists() else 48
gan = GAN(
    n_components=64,
    generator=generator,
    discriminator=discriminator,
    batch_size=128 if full else 32,
    learning_rate_init=0.002,
    instance_noise=0.1,
    generator_averaging=0.999 if full else 0.99,
    max_iter=n_epochs,
    random_state=0,
)
recorder = SampleRecorder(10, every=5 if full else n_epochs // 4, random_state=1)
gan.set_callbacks(recorder).fit(X, y)
print(f"{gan.history_['time'][-1]:.0f} s for {n_epochs} epochs, coverage {gan.coverage_:.2f}")

# %%
# What a classifier sees in the samples
# -------------------------------------

reader = CNNClassifier((16, 32), hidden_layer_sizes=(64,), batch_size=64, max_iter=8, random_state=0)
reader.fit(X[:20000].astype("float32"), y[:20000])
wanted = np.repeat(np.arange(10), 100)
found = reader.predict(gan.sample(y=wanted, random_state=0))
print(f"{(found == wanted).mean():.1%} of the samples are read as the digit that was asked for")

# %%
# Samples while it learned
# ------------------------

display = SampleDisplay.from_epochs(recorder)
display.figure_.savefig(folder / "gan_mnist.png", dpi=110)
