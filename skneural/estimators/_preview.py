"""What augmentation makes of images and sequences, as training would see them."""

import numpy as np
from sklearn.utils import check_random_state

from skneural._image_layout import stacked
from skneural.backends import devices
from skneural.backends.inputs import Sequences
from skneural.estimators import _images, _sequences
from skneural.estimators._handover import read_listed, rectangular
from skneural.estimators._sequences import NO_TARGETS
from skneural.layers import Augmentation, Dense, GlobalPool, Reshape, SequenceAugmentation, Standardize
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
    X, _ = _images.check_images(X, NO_TARGETS, numeric=False)
    n_images, height, width = X.shape[:3]
    n_channels = X.shape[3] if X.ndim == 4 else 1
    pixels = X.reshape(n_images, height * width, n_channels).astype(np.float32)
    _images.check_finite(pixels, width)
    images = Sequences(pixels, None)
    layers = [Reshape((height, width, n_channels)), augmentation]
    versions = _versions(layers, images, _images.statistics(images, None), n_versions, seed)
    return _as_type(versions.reshape(n_images, n_versions, *X.shape[1:]), X.dtype)


def augmented_sequences(augmentation, X, n_versions, seed):
    """Versions of sequences.

    They are scaled as `standardize` does it, by their own mean and deviation, and back.

    Parameters
    ----------
    augmentation : SequenceAugmentation
    X : array-like of shape (n_samples, n_timesteps, n_features) or (n_samples, n_timesteps), or list of sequences
    n_versions : int
        Of each.
    seed : int, RandomState or None

    Returns
    -------
    sequences : ndarray of shape (n_samples, n_timesteps, n_features) or (n_samples, n_timesteps)
        X as one array, NaN after the ends.
    versions : ndarray of shape (n_samples, n_versions, n_timesteps, n_features) or without features
        Likewise.

    Raises
    ------
    TypeError
        If `augmentation` is none.
    ValueError
        If X are no sequences, or are not finite; if a setting of the augmentation is out of range.
    """
    if not isinstance(augmentation, SequenceAugmentation):
        raise TypeError(f"augmentation must be a layers.SequenceAugmentation, got {augmentation!r}.")
    X = rectangular(X)
    arrays, has_one_axis = read_listed(X, channels_first=False)
    X = _sequences.as_array(X) if arrays is None else _sequences.stack(arrays)
    if X.ndim == 2:
        has_one_axis = True
        X = X[:, :, np.newaxis]
    X, _ = _sequences.check_sequences(X, NO_TARGETS, [np.float64, np.float32], numeric=False)
    lengths = _sequences.check_finite(X)
    sequences = _sequences.read(X)
    versions = _versions([augmentation], sequences, _sequences.statistics(sequences, None), n_versions, seed)
    if lengths is not None:
        is_behind = np.arange(X.shape[1]) >= lengths[:, np.newaxis]
        rows, steps = np.nonzero(is_behind)
        versions[rows, :, steps] = np.nan
    return (X[..., 0], versions[..., 0]) if has_one_axis else (X, versions)


def _versions(layers, samples, scale, n_versions, seed):
    """Versions of samples that are scaled before the last of some layers changes them, and scaled back.

    Of shape (n_samples, n_versions, n_steps, n_channels).
    """
    n_samples, n_steps, n_channels = samples.values.shape
    dtype = samples.values.dtype
    program = lower(
        [Standardize(), *layers, GlobalPool(), Dense(1)],
        n_channels,
        n_timesteps=n_steps,
        dtype=dtype.type,
        loss="squared_error",
    )
    params = initialize(program, 0)
    mean, deviation = scale
    norm = program.norm_views(params)[0]
    norm["mean"][:] = mean
    norm["deviation"][:] = deviation
    seed = check_random_state(seed).randint(2**31)
    versions = np.empty((n_samples, n_versions, n_steps, n_channels), dtype)
    for i in range(n_samples):
        lengths = None if samples.lengths is None else samples.lengths[i : i + 1]
        sample = Sequences(samples.values[i : i + 1], lengths)
        for k in range(n_versions):
            own_seed = seed + i * n_versions + k
            versions[i, k] = _one_version(program, params, sample, own_seed)
    return versions * deviation + mean


def _one_version(program, params, sample, seed):
    """What the network makes of one sample before anything is learnt of it."""
    trainer = devices.make_trainer(
        "cpu",
        "full",
        program,
        params,
        sample,
        np.zeros((1, 1), params.dtype),
        None,
        alpha=0.0,
        seed=seed,
        n_threads=1,
    )
    trainer.loss_and_gradient()
    value = next(op.output for op in program.operations if op.kind in ("augment_images", "augment_sequences"))
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
