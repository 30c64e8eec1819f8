"""A generative adversarial network on a ring of eight Gaussians: modes counted, and what collapse looks like.

The data are points around eight places on a circle. It is a small problem on which such networks are known to fail: the
generator finds a few of the places, the discriminator learns that, and the generator moves on to others (Metz et al.,
2017, "Unrolled generative adversarial networks"). What helps here is a little noise on what the discriminator reads,
which lets it see the other places from afar, and a generator that makes its samples of two random numbers instead of
sixteen: it has as many to learn of as there are dimensions. In both, the discriminator learns twice as fast, and the
average of the generator's parameters makes the samples: it is steadier than they are.

To see: with sixteen numbers and without noise some seeds lose places, and the coverage, which a fit measures on its own
and warns by, says so. With noise all eight are found, whatever the seed, and more than 9 of 10 samples are within three
standard deviations of a place.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from _pictures import options
from sklearn.exceptions import ConvergenceWarning

from skneural import GAN
from skneural.plotting import SampleDisplay

folder, full = options(__doc__, full="five seeds in the place of three")

# %%
# Data
# ----

RADIUS, DEVIATION = 1.5, 0.05
angles = np.arange(8) * np.pi / 4
places = RADIUS * np.column_stack([np.cos(angles), np.sin(angles)])
rng = np.random.default_rng(0)
X = places[rng.integers(8, size=4096)] + DEVIATION * rng.normal(size=(4096, 2))
X = X.astype(np.float32)


def count(samples):
    """How many places have at least 2 % of the samples, and the share of samples near any."""
    distances = np.linalg.norm(samples[:, None] - places, axis=2)
    is_near = distances.min(axis=1) < 3 * DEVIATION
    counts = np.bincount(distances.argmin(axis=1)[is_near], minlength=8)
    return int((counts > 0.02 * len(samples)).sum()), is_near.mean()


# %%
# Fits
# ----

warnings.filterwarnings("ignore", category=ConvergenceWarning)

settings = {
    "hidden_layer_sizes": (64, 64),
    "activation": "relu",
    "batch_size": 128,
    "learning_rate_init": 0.002,
    "generator_learning_rate_init": 0.001,
    "generator_averaging": 0.99,
    "max_iter": 300,
}
worst = {}
for n_components, noise in ((16, 0.0), (2, 0.1)):
    name = f"{n_components} numbers, noise {noise}"
    for seed in range(5 if full else 3):
        gan = GAN(n_components=n_components, instance_noise=noise, random_state=seed, **settings).fit(X)
        n_places, share = count(gan.sample(4000, random_state=0))
        print(f"{name}, seed {seed}: {n_places} of 8 places, {share:.1%} near one, coverage {gan.coverage_:.2f}")
        if name not in worst or gan.coverage_ < worst[name].coverage_:
            worst[name] = gan

# %%
# The worst of each
# -----------------

figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for ax, (name, gan) in zip(axes, worst.items(), strict=False):
    SampleDisplay.from_estimator(gan, 1000, X=X[:1000], ax=ax)
    ax.set(title=name, aspect="equal", xlim=(-2, 2), ylim=(-2, 2))
    axes[2].plot(gan.history_["generator_loss"], label=name)
axes[2].set(title="loss of the generator", xlabel="Epoch")
axes[2].legend()
figure.savefig(folder / "gan_ring.png", dpi=90)
