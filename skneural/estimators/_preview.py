"""What augmentation makes of images, as training would see them."""

import numpy as np

from skneural.backends import devices
from skneural.backends.inputs import Sequences
from skneural.estimators._images import check_finite, check_images, statistics, stacked
from skneural.estimators._sequences import NO_TARGETS
from skneural.layers import Dense, GlobalPool, Reshape, Standardize
from skneural.network.initializers import initialize
from skneural.network.program import lower


def augmented_images(augmentation, X, n_versions, seed):
    """Versions of images.

    They are scaled as `rescale` does it, by their own mean and deviation, and back.

    Parameters
    ----------
    augmentation : Augmentation
    X : array-like of shape (n_images, height, width) or (n_images, height, width, n_channels)
    n_versions : int
        Of each.
    seed : int

    Returns
    -------
    ndarray of float32, shape (n_images, n_versions, height, width) or (n_images, n_versions, height, width, n_channels)

    Raises
    ------
    ValueError
        If X are no images, or are not finite; if a setting of the augmentation is out of range.
    """
    X, _ = check_images(stacked(X), NO_TARGETS, numeric=False)
    n_images, height, width = X.shape[:3]
    n_channels = X.shape[3] if X.ndim == 4 else 1
    pixels = X.reshape(n_images, height * width, n_channels).astype(np.float32)
    check_finite(pixels, width)
    layers = [Standardize(), Reshape((height, width, n_channels)), augmentation, GlobalPool(), Dense(1)]
    program = lower(layers, n_channels, n_timesteps=height * width, dtype=np.float32, loss="squared_error")
    params = initialize(program, 0)
    mean, deviation = statistics(Sequences(pixels, None), None)
    scale = program.norm_views(params)[0]
    scale["mean"][:] = mean
    scale["deviation"][:] = deviation
    value = next(operation.output for operation in program.operations if operation.kind == "augment_images")
    versions = np.empty((n_images, n_versions, *pixels.shape[1:]), np.float32)
    target = np.zeros((1, 1), np.float32)
    for i in range(n_images):
        for k in range(n_versions):
            image = Sequences(pixels[i : i + 1], None)
            trainer = devices.make_trainer(
                "cpu", "full", program, params, image, target, None, alpha=0.0, seed=seed + i * n_versions + k,
                n_threads=1,
            )  # fmt: skip
            trainer.loss_and_gradient()
            versions[i, k] = trainer.values_of(value)[0]
            trainer.close()
    return (versions * deviation + mean).astype(np.float32).reshape(n_images, n_versions, *X.shape[1:])
