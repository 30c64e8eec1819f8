"""A conditional GAN on scikit-learn's digits: images of 8 by 8 pixels, of the digit that is asked for.

Both networks are told the class of each image. The generator makes an image from 32 random numbers and a label by
transposed convolutions, the discriminator looks at it by convolutions (Radford, Metz and Chintala, 2016). A classifier
that has been trained on real images reads the samples: it should find the digits that were asked for.
"""

import warnings

import numpy as np
from _pictures import options
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skneural import GAN, MLPClassifier
from skneural.layers import Conv2D, ConvTranspose2D, Dense, Flatten, Reshape
from skneural.plotting import SampleDisplay

folder, full = options(__doc__, full="120 epochs in the place of 50")
warnings.filterwarnings("ignore", category=ConvergenceWarning)

# %%
# Data and networks
# -----------------

digits = load_digits()
X = digits.images.astype(np.float32)
y = digits.target

generator = [
    Dense(4 * 4 * 32, "relu"),
    Reshape((4, 4, 32)),
    ConvTranspose2D(32, 4, stride=2, activation="relu"),
    Conv2D(1, 3),
]
discriminator = [
    Conv2D(32, 3, activation="leaky_relu"),
    Conv2D(32, 3, stride=2, activation="leaky_relu"),
    Flatten(),
]
gan = GAN(
    n_components=32,
    generator=generator,
    discriminator=discriminator,
    batch_size=64,
    learning_rate_init=0.001,
    instance_noise=0.1,
    generator_averaging=0.99,
    max_iter=120 if full else 50,
    random_state=0,
)
gan.fit(X, y)

# %%
# What a classifier sees in the samples
# -------------------------------------

reader = MLPClassifier((64,), max_iter=300, random_state=0).fit(X.reshape(len(X), -1) / 16, y)
wanted = np.repeat(np.arange(10), 100)
samples = gan.sample(y=wanted, random_state=0)
found = reader.predict(samples.reshape(len(samples), -1) / 16)
print(f"{(found == wanted).mean():.1%} of the samples are read as the digit that was asked for")
print(f"coverage {gan.coverage_:.2f}")

# %%
# Ten of each
# -----------

display = SampleDisplay.from_estimator(gan, 10)
display.figure_.savefig(folder / "gan_digits.png", dpi=70)
