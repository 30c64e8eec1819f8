"""The importance of parts of images, or of stretches of sequences: what is lost where a patch hides them."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skneural._image_layout import read_images, read_sequences
from skneural._wrapped import innermost

#: Bytes of samples with patches that are predicted in one go, about.
BATCH_BYTES = 1 << 26
SIZE = [Interval(Integral, 1, None, closed="left"), "array-like", None]


@validate_params(
    {
        "patch_size": SIZE,
        "stride": SIZE,
        "fill": [StrOptions({"mean"}), Real, "array-like"],
        "scoring": [str, callable, None],
        "image_shape": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def occlusion_importance(
    est: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    patch_size: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: str | float | ArrayLike = "mean",
    scoring: str | Callable | None = None,
    image_shape: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Measure how much the predictions of an estimator rest on each part of its images, or of its sequences.

    A patch of one colour hides one part after the other, and the estimator predicts again. What the prediction loses is
    the importance of what is hidden. Nothing is fitted, and no gradient is needed: any estimator will do.

    A large patch tells more than the sum of small ones where parts stand for each other, and a small one tells more
    precisely where. And a patch is something that no image of the training had: an edge of it may look like something.
    So compare two sizes, or two values of `fill`, before believing in a detail.

    Parameters
    ----------
    est : estimator
        A fitted classifier or regressor that predicts from `X` as it is given here. One that was fitted on sequences
        (it has ``n_timesteps_in_``) is given sequences, of which windows of time are hidden; others are given images.
    X : array-like
        Images of shape (n_images, height, width), (n_images, height, width, n_channels), with
        ``input_format='channels_first'`` (n_images, n_channels, height, width), or (n_images, n_features) with a row
        for each image. Sequences of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_features), laid out as
        `est` reads them; NaN stays where it is. `X` itself is not changed.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Targets. Of classifiers, those classes whose probability is looked at; None for those that are predicted. Of
        regressors, what the error is measured by; None looks at the change of the prediction.
    patch_size : int or (int, int), default=None
        Height and width of the patch, or one number for both; of sequences, time steps. None: a quarter of the image.
    stride : int or (int, int), default=None
        Pixels, or steps, from one patch to the next, at most as many as the patch has. None: half of the patch.
    fill : 'mean', float or array-like of shape (n_channels,), default='mean'
        Colour of the patch, in the units of `X`, one for all channels or one for each. 'mean': that of each channel
        over all samples.
    scoring : str or callable, default=None
        With `y`, measure a score over all samples instead of each by itself: a name or a callable as for
        scikit-learn's :term:`scorer`.
    image_shape : tuple of int, default=None
        Shape of the images in rows of 2-D `X`: (height, width) or (height, width, n_channels), with 'channels_first'
        (n_channels, height, width). None: that of the estimator; else rows whose length is a square are square images.

    Returns
    -------
    importance : ndarray of shape (n_images, height, width), of sequences (n_samples, n_timesteps)
        Of each pixel the mean over all patches that hide it. What is measured is

        - for classifiers the decrease of the probability of a class, the one predicted or that of `y`, so values below
          0 are there where hiding something makes the class more probable. For one without ``predict_proba``, whether
          it predicts another class, or is right no more.
        - for regressors, and classifiers of several outputs, the absolute change of the prediction (or of the
          probabilities), mean over outputs; with `y` the increase of the absolute error.

        With `scoring` there is one map for all samples, of shape (height, width) or (n_timesteps,): the score on `X`
        minus that on `X` with a part hidden in all samples.

    Raises
    ------
    NotFittedError
        If `est` is not fitted.
    ValueError
        If `X` is of none of these forms or holds no values, if `y` has another length or labels that are no classes, if
        a patch is larger than the images or a stride than the patch, if `fill` does not fit, if `scoring` is given
        without `y` or yields more than one number.

    See Also
    --------
    saliency : Gradients by the input, of networks of this package.
    timestep_importance : The importance of time steps over all samples.
    skneural.plotting.ImageImportanceDisplay : Picture of the importances.

    Notes
    -----
    It takes a prediction of each sample for each patch. They are asked for in batches of some 64 MB.

    References
    ----------
    Zeiler and Fergus (2014), "Visualizing and understanding convolutional networks", ECCV.

    Examples
    --------
    Where is the bright spot that a classifier looks at?

    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skneural.inspection import occlusion_importance
    >>> rng = np.random.default_rng(0)
    >>> y = rng.integers(0, 2, 200)
    >>> images = rng.random((200, 4, 4))
    >>> images[:, 1, 2] += y
    >>> clf = LogisticRegression().fit(images.reshape(200, 16), y)
    >>> rows = images[y == 1].reshape(-1, 16)
    >>> importance = occlusion_importance(clf, rows, patch_size=1, image_shape=(4, 4))
    >>> importance.shape == (len(rows), 4, 4)
    True
    >>> row, column = np.unravel_index(importance.mean(axis=0).argmax(), (4, 4))
    >>> int(row), int(column)
    (1, 2)
    """
    check_is_fitted(est)
    if hasattr(innermost(est), "n_timesteps_in_"):
        images = read_sequences(est, X)
    else:
        images = read_images(est, X, image_shape)
    check_consistent_length(images.values, y)
    height, width, n_channels = images.values.shape[1:]
    sides = (height,) if images.are_sequences else (height, width)
    sizes = _numbers(patch_size, "patch_size", [max(side // 4, 1) for side in sides])
    strides = _numbers(stride, "stride", [max(size // 2, 1) for size in sizes])
    for side, size, step in zip(sides, sizes, strides, strict=True):
        if size > side:
            raise ValueError(f"patch_size={patch_size} is larger than the images, of {' x '.join(map(str, sides))}.")
        if step > size:
            raise ValueError(f"stride={step} is more than the patch of {size} has: parts would never be hidden.")
    colour = _colour(fill, images.values, n_channels)
    places = _places(sides, sizes, strides, width)
    if scoring is not None:
        effects = _loss_of_score(est, images, y, scoring, places, colour)[np.newaxis]
        importance = _spread(effects, places, (height, width))[0]
    else:
        measure = _measure(est, X, y)
        effects = _effects(measure, images, places, colour)
        importance = _spread(effects, places, (height, width))
    return importance[..., 0] if images.are_sequences else importance


def _numbers(value, name, default):
    """A size along each axis."""
    count = len(default)
    if value is None:
        return default
    numbers = [value] * count if isinstance(value, Integral) else list(value)
    are_counts = all(isinstance(n, Integral) and n >= 1 for n in numbers)
    if len(numbers) != count or not are_counts:
        wanted = "an integer from 1 up" + (", or two of them" if count == 2 else "")
        raise ValueError(f"{name} must be {wanted}, got {value!r}.")
    return [int(n) for n in numbers]


def _colour(fill, values, n_channels):
    """What the patch is filled with, a number for each channel, of the type of the images."""
    if isinstance(fill, str):
        colour = _mean_colour(values)
    else:
        colour = np.asarray(fill, np.float64)
        if colour.shape not in ((), (n_channels,)):
            raise ValueError(f"fill must be one number, or one for each of {n_channels} channels, got {fill!r}.")
        if not np.isfinite(colour).all():
            raise ValueError(f"fill must be finite, got {fill!r}.")
    if values.dtype.kind == "f":
        return colour.astype(values.dtype)
    rounded = np.rint(colour)
    low, high = (0, 1) if values.dtype == bool else (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max)
    if (rounded < low).any() or (rounded > high).any():
        raise ValueError(f"fill={fill!r} does not fit the images of {values.dtype}.")
    return rounded.astype(values.dtype)


def _mean_colour(values):
    """Mean of each channel; 0 where there are no values, so that none is ever filled."""
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.broadcast_to(True, values.shape)
    totals = np.sum(values, axis=(0, 1, 2), dtype=np.float64, where=known)
    return totals / np.maximum(known.sum(axis=(0, 1, 2)), 1)


def _places(sides, sizes, strides, width):
    """Rows and columns of each patch: they stand side by side, the last one at the edge."""
    ways = []
    for side, size, step in zip(sides, sizes, strides, strict=True):
        starts = [*range(0, side - size, step), side - size]
        ways.append([slice(start, start + size) for start in starts])
    if len(ways) == 1:
        ways.append([slice(0, width)])
    rows, columns = ways
    return [(row, column) for row in rows for column in columns]


def _hide(part, colour):
    """Fill a part of an image, or of all; NaN is no value, and stays."""
    if part.dtype.kind == "f":
        np.copyto(part, colour, where=~np.isnan(part))
    else:
        part[...] = colour


def _effects(measure, images, places, colour):
    """What hiding each place does to each sample: an array of shape (n_samples, n_places)."""
    values = images.values
    effects = np.zeros((len(values), len(places)))
    most = max(1, BATCH_BYTES // max(values[0].nbytes, 1))
    for first in range(0, effects.size, most):
        numbers = np.arange(first, min(first + most, effects.size))
        samples, patches = np.divmod(numbers, len(places))
        changed = values[samples]
        for image, patch in zip(changed, patches, strict=True):
            rows, columns = places[patch]
            _hide(image[rows, columns], colour)
        effects[samples, patches] = measure(samples, images.as_given(changed))
    return effects


def _measure(est, X, y) -> Callable[[np.ndarray, Any], np.ndarray]:
    """A function of numbers of samples and these samples changed: what the prediction of each has lost."""
    predicted = np.asarray(est.predict(X))
    has_several = predicted.ndim > 1 and is_classifier(est)
    if has_several and y is not None:
        raise ValueError("y of several outputs needs scoring: there is no one class to look at.")
    if is_classifier(est) and not has_several:
        return _loss_of_class(est, X, y, predicted)

    def predict(X):
        answer = est.predict_proba(X) if has_several and hasattr(est, "predict_proba") else est.predict(X)
        answer = np.hstack(answer) if isinstance(answer, list) else np.asarray(answer)
        return answer.astype(np.float64).reshape(len(answer), -1)

    before = predict(X)
    if y is None:
        return lambda samples, changed: np.abs(predict(changed) - before[samples]).mean(axis=1)
    target = np.asarray(y, np.float64).reshape(len(before), -1)
    if target.shape != before.shape:
        raise ValueError(f"y has {target.shape[1]} outputs, but the estimator predicts {before.shape[1]}.")
    error = np.abs(before - target).mean(axis=1)
    return lambda samples, changed: np.abs(predict(changed) - target[samples]).mean(axis=1) - error[samples]


def _loss_of_class(est, X, y, predicted):
    """The same for the probability of one class a sample; where there are no probabilities, for being right."""
    labels = predicted if y is None else column_or_1d(y)
    classes = list(est.classes_)
    unknown = set(labels.tolist()) - set(est.classes_.tolist())
    if unknown:
        raise ValueError(f"y has labels other than the classes {est.classes_}: {sorted(unknown, key=str)}.")
    if not hasattr(est, "predict_proba"):
        is_right = predicted == labels
        return lambda samples, changed: is_right[samples] * 1.0 - (est.predict(changed) == labels[samples])
    columns = np.array([classes.index(label) for label in labels])
    before = est.predict_proba(X)[np.arange(len(columns)), columns]

    def lost(samples, changed):
        after = est.predict_proba(changed)
        return before[samples] - after[np.arange(len(samples)), columns[samples]]

    return lost


def _loss_of_score(est, images, y, scoring, places, colour):
    """How much of the score is lost where each place is hidden in all samples."""
    if y is None:
        raise ValueError("scoring needs y: without targets there is no score.")
    scorer = check_scoring(est, scoring=scoring)
    changed = images.values.copy()

    def score():
        value = scorer(est, images.as_given(changed), y)
        if np.ndim(value) or isinstance(value, dict):
            raise ValueError(f"scoring must yield one number, got {value!r}.")
        return float(value)

    best = score()
    lost = np.zeros(len(places))
    for patch, (rows, columns) in enumerate(places):
        part = changed[:, rows, columns]
        kept = part.copy()
        _hide(part, colour)
        lost[patch] = best - score()
        part[...] = kept
    return lost


def _spread(effects, places, shape):
    """Maps of the mean effect of all patches that hide a pixel, of shape (n_maps, height, width)."""
    totals = np.zeros((len(effects), *shape))
    counts = np.zeros(shape)
    for patch, (rows, columns) in enumerate(places):
        totals[:, rows, columns] += effects[:, patch, np.newaxis, np.newaxis]
        counts[rows, columns] += 1
    return totals / counts
