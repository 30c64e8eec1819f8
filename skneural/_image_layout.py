"""Images as users hand them over, whatever estimator reads them, in one form: (n_images, height, width, n_channels)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from skneural._wrapped import innermost

EXPECTED = (  # as estimators of images say it
    "Expected X of shape (n_images, height, width), (n_images, height, width, n_channels) (channels_first: (n_images, "
    "n_channels, height, width)), or (n_images, n_features) with a row for each image"
)


@dataclass(frozen=True)
class Images:
    """Images in one form, and the way back.

    Attributes
    ----------
    values : ndarray of shape (n_images, height, width, n_channels)
        A view where it can be one.
    as_given : callable
        Makes of such an array what the estimator reads: the form that X had.
    are_sequences : bool
        Whether they are sequences, as images of one column: a row for each time step.
    """

    values: np.ndarray
    as_given: Callable[[np.ndarray], Any]
    are_sequences: bool = False


def read_images(estimator, X, image_shape=None) -> Images:
    """Images of X.

    Parameters
    ----------
    estimator : estimator or None
        It may say how X is laid out, by ``input_format`` and ``image_shape_``.
    X : array-like
        The images; or a list of images of one shape.
    image_shape : tuple of int, default=None
        Shape of the images in rows, as the estimators of this package take it. None: that of the estimator; else rows
        whose length is a square are square images.

    Raises
    ------
    ValueError
        If X holds no images, or rows of another length.
    """
    est = None if estimator is None else innermost(estimator)
    is_channels_first = getattr(est, "input_format", None) == "channels_first"
    given = _as_array(X)
    if given.ndim not in (2, 3, 4) or not given.size:
        raise ValueError(f"{EXPECTED}, got an array of shape {given.shape}.")
    if given.ndim == 3:
        return Images(given[..., np.newaxis], lambda images: images[..., 0])
    if given.ndim == 4 and not is_channels_first:
        return Images(given, lambda images: images)
    if given.ndim == 4:
        return Images(np.moveaxis(given, 1, 3), lambda images: np.moveaxis(images, 3, 1))
    height, width, n_channels = _shape_of_rows(est, given.shape[1], image_shape, is_channels_first)
    as_frame = _frame_like(X)
    if is_channels_first:
        values = np.moveaxis(given.reshape(-1, n_channels, height, width), 1, 3)
        return Images(values, lambda images: as_frame(np.moveaxis(images, 3, 1).reshape(len(images), -1)))
    values = given.reshape(-1, height, width, n_channels)
    return Images(values, lambda images: as_frame(images.reshape(len(images), -1)))


def read_sequences(estimator, X) -> Images:
    """Sequences of X, of shape (n_samples, n_timesteps) or with features, as images of one column.

    Raises
    ------
    ValueError
        If X is no such array.
    """
    is_channels_first = getattr(innermost(estimator), "input_format", None) == "channels_first"
    given = _as_array(X)
    if given.ndim not in (2, 3) or not given.size:
        raise ValueError(
            "Expected X of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_features), got an array of "
            f"shape {given.shape}."
        )
    if given.ndim == 2:
        as_frame = _frame_like(X)
        return Images(given[:, :, np.newaxis, np.newaxis], lambda images: as_frame(images[:, :, 0, 0]), True)
    if is_channels_first:
        values = given.swapaxes(1, 2)[:, :, np.newaxis]
        return Images(values, lambda images: images[:, :, 0].swapaxes(1, 2), True)
    return Images(given[:, :, np.newaxis], lambda images: images[:, :, 0], True)


def _as_array(X):
    """X as an array of numbers."""
    try:
        values = np.asarray(X)
        if values.dtype == object and values.ndim > 0:
            values = np.stack([np.asarray(item) for item in X])
    except ValueError:
        raise ValueError("All samples must be of one shape: give one array.") from None
    if values.dtype.kind not in "biuf":
        raise ValueError(f"X must hold real numbers, got {values.dtype}.")
    return values


def _shape_of_rows(est, n_features, image_shape, is_channels_first):
    """Height, width and number of channels of images that stand in rows."""
    if image_shape is None:
        shape = getattr(est, "image_shape_", None)
        side = math.isqrt(n_features)
        if shape is None and side * side == n_features:
            shape = (side, side, 1)
        if shape is None:
            raise ValueError(f"image_shape must say what images the rows of {n_features} numbers are.")
    else:
        shape = tuple(image_shape) if isinstance(image_shape, tuple | list | np.ndarray) else ()
        are_counts = all(isinstance(n, Integral) and n >= 1 for n in shape)
        if len(shape) not in (2, 3) or not are_counts:
            raise ValueError(f"image_shape must be two or three integers from 1 up, got {image_shape!r}.")
        if len(shape) == 2:
            shape = (*shape, 1)
        elif is_channels_first:
            shape = (*shape[1:], shape[0])
    if math.prod(shape) != n_features:
        raise ValueError(f"X has rows of {n_features} numbers, but images of shape {shape} hold {math.prod(shape)}.")
    return shape


def _frame_like(X):
    """A function that makes of rows a table like X, whose names the estimator has seen."""
    if hasattr(X, "iloc"):
        # Of samples that are repeated, labels would be, too.
        return lambda rows: type(X)(rows, columns=X.columns)
    if hasattr(X, "columns"):
        return lambda rows: type(X)(rows, schema=X.columns)
    return lambda rows: rows
