"""What augmentation makes of images, as training would see them."""

import numpy as np
from sklearn.utils import check_random_state

from skneural._image_layout import stacked
from skneural.backends import devices
from skneural.backends.inputs import Sequences
from skneural.estimators._images import check_finite, check_images, statistics
from skneural.estimators._sequences import NO_TARGETS
from skneural.layers import Augmentation, Dense, GlobalPool, Reshape, Standardize
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
    seed : int, RandomState or None

    Returns
    -------
    ndarray of shape (n_images, n_versions, height, width) or (n_images, n_versions, height, width, n_channels)
        Of float32; of images of integers in their type, as they would look: what is beyond its range is cut off.

    Raises
    ------
    TypeError
        If `augmentation` is none.
    ValueError
        If X are no images, or are not finite; if a setting of the augmentation is out of range.
    """
    if not isinstance(augmentation, Augmentation):
        raise TypeError(f"augmentation must be a layers.Augmentation, got {augmentation!r}.")
    X = stacked(X)
    if len(X.shape) not in (3, 4):
        raise ValueError(
            "Expected X of shape (n_images, height, width) or (n_images, height, width, n_channels), got an array of "
            f"shape {X.shape}."
        )
    X, _ = check_images(X, NO_TARGETS, numeric=False)
    n_images, height, width = X.shape[:3]
    n_channels = X.shape[3] if X.ndim == 4 else 1
    pixels = X.reshape(n_images, height * width, n_channels).astype(np.float32)
    check_finite(pixels, width)
    layers = [
        Standardize(),
        Reshape((height, width, n_channels)),
        augmentation,
        GlobalPool(),
        Dense(1),
    ]
    program = lower(
        layers,
        n_channels,
        n_timesteps=height * width,
        dtype=np.float32,
        loss="squared_error",
    )
    params = initialize(program, 0)
    mean, deviation = statistics(Sequences(pixels, None), None)
    scale = program.norm_views(params)[0]
    scale["mean"][:] = mean
    scale["deviation"][:] = deviation
    seed = check_random_state(seed).randint(2**31)
    versions = np.empty((n_images, n_versions, *pixels.shape[1:]), np.float32)
    for i in range(n_images):
        for k in range(n_versions):
            own_seed = seed + i * n_versions + k
            versions[i, k] = _one_version(program, params, pixels[i : i + 1], own_seed)
    versions = versions * deviation + mean
    return _as_type(versions.reshape(n_images, n_versions, *X.shape[1:]), X.dtype)


def _one_version(program, params, image, seed):
    """What the network makes of one image before anything is learnt of it."""
    trainer = devices.make_trainer(
        "cpu",
        "full",
        program,
        params,
        Sequences(image, None),
        np.zeros((1, 1), np.float32),
        None,
        alpha=0.0,
        seed=seed,
        n_threads=1,
    )
    trainer.loss_and_gradient()
    value = next(op.output for op in program.operations if op.kind == "augment_images")
    version = trainer.values_of(value)[0]
    trainer.close()
    return version


def _as_type(versions, dtype):
    """Versions of images of some type."""
    if dtype.kind not in "iu":
        return versions.astype(np.float32)
    limits = np.iinfo(dtype)
    whole = np.rint(versions)
    return np.clip(whole, limits.min, limits.max).astype(dtype)
