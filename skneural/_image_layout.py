"""Images as users hand them over, in one form: (n_images, height, width, n_channels).

Estimators of this package read them so, and what is around estimators of any kind: inspection and displays.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from skneural._wrapped import innermost

#: What every message about the form of X begins with.
EXPECTED = (
    "Expected X of shape (n_images, height, width), (n_images, height, width, n_channels) (channels_first: (n_images, "
    "n_channels, height, width)), or (n_images, n_features) with a row for each image"
)

#: What a user may name a file by.
FILE_NAMES = (str, bytes, os.PathLike)


# -- lists -------------------------------------------------------------------------------------------------------------


def _is_array(value):
    """Whether something in a list is an array of numbers, or a list of them, rather than a number or a text."""
    if isinstance(value, list | tuple):
        return True
    can_be_array = hasattr(value, "__array__") or hasattr(value, "__array_interface__")
    return can_be_array and getattr(value, "ndim", 1) > 0


def stacked(X, noun="image"):
    """A list of images, or a column that holds images, as one array of their type; arrays and tables as they are.

    Parameters
    ----------
    X : object
    noun : str, default='image'
        What the arrays of a list are called in messages.

    Raises
    ------
    ValueError
        If they are of different shape, naming the first that is; if X holds names of files, or is no data at all.
    """
    if isinstance(X, FILE_NAMES):
        raise ValueError(_advice(X, noun))
    is_column = len(getattr(X, "shape", ())) == 1 and getattr(X.dtype, "kind", "O") in "OSU"
    if hasattr(X, "shape") and not is_column:
        return X
    items = list(X) if is_column or isinstance(X, list | tuple) else []
    if items and isinstance(items[0], FILE_NAMES):
        raise ValueError(_advice(items[0], noun))
    if not items or not _is_array(items[0]):
        values = np.asarray(X)
        if values.ndim == 0 and values.dtype == object:
            raise ValueError(f"Expected {noun}s as an array or a list of arrays, got {type(X).__name__}.")
        return values
    arrays = [_item(item, noun, i) for i, item in enumerate(items)]
    shape = arrays[0].shape
    for i, array in enumerate(arrays):
        if array.shape != shape:
            raise ValueError(
                f"{noun.capitalize()} {i} has shape {array.shape}, {noun} 0 has {shape}: all {noun}s must be of one "
                "shape. Crop, pad or resize them beforehand."
            )
    return np.stack(arrays)


def _advice(name, noun):
    """What to do where there are names of files."""
    shown = str(os.fsdecode(name))
    return (
        f"X must hold {noun}s, not names of files, as {shown!r}: read them beforehand, and give one array, "
        "np.stack([np.asarray(PIL.Image.open(name)) for name in names]), or an np.memmap that they were written to "
        "where they do not fit into memory."
    )


def _item(item, noun, i):
    """One image of a list as an array."""
    try:
        return np.asarray(item)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Expected a list of {noun}s, got something that is no array as {noun} {i}: {error}") from None


def check_real(X, others=""):
    """Raise for an array of numbers that are not real, as complex ones or dates.

    Parameters
    ----------
    X : object
        What has no type is not looked at.
    others : str
        Letters of the other kinds of types that somebody else looks at.

    Raises
    ------
    ValueError
        Naming the type.
    """
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    if kind is not None and kind not in "biuf" + others:
        words = "Complex data not supported: " if kind == "c" else ""  # scikit-learn's
        raise ValueError(f"{words}X must hold real numbers, got {X.dtype}.")


# -- shapes ------------------------------------------------------------------------------------------------------------


def are_sizes(values, counts):
    """Whether something is a sequence of integers from 1 up, of which there may be so many."""
    if isinstance(values, str) or not hasattr(values, "__len__") or len(values) not in counts:
        return False
    return all(isinstance(n, Integral) and not isinstance(n, bool | np.bool_) and n >= 1 for n in values)


def check_image_shape(shape):
    """Raise unless a parameter `image_shape` is None or one.

    Raises
    ------
    ValueError
        Saying what it must be.
    """
    if shape is not None and not are_sizes(shape, (2, 3)):
        raise ValueError(
            "image_shape must be two or three integers from 1 up: (height, width), with the number of channels after "
            f"them (channels_first: before them) where there are several. Got {shape!r}."
        )


def full_shape(image_shape, is_channels_first):
    """A parameter `image_shape` as (height, width, n_channels)."""
    shape = tuple(int(n) for n in image_shape)
    if len(shape) == 2:
        return (*shape, 1)
    return (*shape[1:], shape[0]) if is_channels_first else shape


def shape_of_rows(n_features, image_shape, is_channels_first):
    """Shape (height, width, n_channels) of images that stand in rows.

    Parameters
    ----------
    n_features : int
        Length of the rows.
    image_shape : tuple of int or None
        As estimators take it. None: rows whose length is a square are square images.
    is_channels_first : bool

    Returns
    -------
    (int, int, int) or None
        None if nothing says it.

    Raises
    ------
    ValueError
        If images of `image_shape` have another number of pixels.
    """
    if image_shape is None:
        side = math.isqrt(n_features)
        return (side, side, 1) if side * side == n_features else None
    shape = full_shape(image_shape, is_channels_first)
    if math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={image_shape} describes images of {math.prod(shape)} numbers, but X has {n_features} "
            "features: a row must hold an image."
        )
    return shape


# -- axes --------------------------------------------------------------------------------------------------------------


def in_order(X, shape, is_channels_first):
    """Images of one of the forms that X may have, of shape (n_images, height, width, n_channels): a view.

    Parameters
    ----------
    X : ndarray with two, three or four axes
    shape : (int, int, int) or None
        Height, width and number of channels: of rows only.
    is_channels_first : bool
    """
    if X.ndim == 2:
        height, width, n_channels = shape
        X = X.reshape(len(X), *((n_channels, height, width) if is_channels_first else shape))
    if X.ndim == 3:
        return X[..., np.newaxis]
    return np.moveaxis(X, 1, 3) if is_channels_first else X


def in_form(images, n_axes, is_channels_first):
    """The way back of `in_order`: images in the form with two, three or four axes."""
    if n_axes == 3:
        return images[..., 0]
    if is_channels_first:
        images = np.moveaxis(images, 3, 1)
    return images.reshape(len(images), -1) if n_axes == 2 else images


# -- for estimators of any kind ----------------------------------------------------------------------------------------


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
    given = _numbers(X, "image")
    if given.ndim not in (2, 3, 4) or not given.size:
        raise ValueError(f"{EXPECTED}, got an array of shape {given.shape}.")
    shape = None
    if given.ndim == 2:
        shape = _shape_for(est, given.shape[1], image_shape, is_channels_first)
    as_frame = _frame_like(X) if given.ndim == 2 else _as_it_is

    def as_given(images):
        return as_frame(in_form(images, given.ndim, is_channels_first))

    return Images(in_order(given, shape, is_channels_first), as_given)


def read_sequences(estimator, X) -> Images:
    """Sequences of X, of shape (n_samples, n_timesteps) or with features, as images of one column.

    Raises
    ------
    ValueError
        If X is no such array.
    """
    is_channels_first = getattr(innermost(estimator), "input_format", None) == "channels_first"
    given = _numbers(X, "sequence")
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


def _numbers(X, noun):
    """X as an array of numbers."""
    values = np.asarray(stacked(X, noun))
    if values.dtype == object:  # of tables with columns that may have gaps
        with contextlib.suppress(TypeError, ValueError):
            values = values.astype(np.float64)
    check_real(values)
    return values


def _shape_for(est, n_features, image_shape, is_channels_first):
    """Shape of images that stand in rows, which an estimator may know."""
    check_image_shape(image_shape)
    learnt = getattr(est, "image_shape_", None)
    if image_shape is None and learnt is not None:
        return shape_of_rows(n_features, learnt, is_channels_first=False)
    shape = shape_of_rows(n_features, image_shape, is_channels_first)
    if shape is None:
        raise ValueError(f"image_shape must say what images the rows of {n_features} numbers are.")
    return shape


def _as_it_is(rows):
    return rows


def _frame_like(X):
    """A function that makes of rows a table like X, whose names the estimator has seen."""
    if hasattr(X, "iloc"):
        # Of samples that are repeated, labels would be, too.
        return lambda rows: type(X)(rows, columns=X.columns)
    if hasattr(X, "columns"):
        return lambda rows: type(X)(rows, schema=X.columns)
    return _as_it_is
