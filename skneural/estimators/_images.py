"""Images as users have them, checked, and the scale of their channels."""

import numpy as np
from sklearn.utils.validation import check_array, check_X_y

from skneural._image_layout import EXPECTED
from skneural.backends.inputs import are_finite
from skneural.estimators._sequences import CACHED, NO_TARGETS, blocks, scale_of


def check_images(X, y, numeric):
    """Images, an array of any kind with three or four axes, as one of numbers, and y unless that is `NO_TARGETS`.

    Raises
    ------
    ValueError
        As scikit-learn's checks do, but for what is not finite: see `check_finite`; and if there are no pixels.
    """
    if len(X.shape) not in (3, 4):
        raise ValueError(f"{EXPECTED}, got an array with {len(X.shape)} dimensions.")
    options = {"dtype": "numeric", "allow_nd": True, "ensure_all_finite": False}
    if y is NO_TARGETS:
        X = check_array(X, input_name="X", **options)
    else:
        X, y = check_X_y(X, y, multi_output=True, y_numeric=numeric, **options)
    if X.size == 0:
        raise ValueError(
            f"Found array with 0 pixel(s) or channel(s) (shape={X.shape}) while a minimum of 1 is required."
        )
    return X, y


def check_finite(X, width):
    """Raise if there is NaN or infinity in images.

    Parameters
    ----------
    X : ndarray of shape (n_images, n_pixels, n_channels)
    width : int
        Pixels in a row, for the message.

    Raises
    ------
    ValueError
        Naming the first place.
    """
    for part in blocks(X):
        if are_finite(X[part]):
            continue
        i, pixel, channel = np.argwhere(~np.isfinite(X[part]))[0]
        i += part.start
        value = X[i, pixel, channel]
        what = "NaN" if np.isnan(value) else f"infinity or a value too large for {X.dtype!r}"
        row, column = divmod(int(pixel), width)
        raise ValueError(
            f"Input X contains {what}: first in image {i}, row {row}, column {column}, channel {channel}. Every pixel "
            "must be a finite number: impute others beforehand."
        )


def statistics(images, weights, remedy="rescale=False"):
    """Weighted mean and deviation of every channel over all pixels; the deviation of a constant is 1.

    The same bits for any layout in memory. Images have more pixels than sequences have steps, and all of them as many:
    so those of an image are summed in one go, not step after step.

    Parameters
    ----------
    images : Sequences
        A step for each pixel.
    weights : ndarray of shape (n_images,) or None
        Images of weight 0 count for nothing.
    remedy : str
        What to do without a scale, for the message.

    Returns
    -------
    (ndarray, ndarray)
        Of float64, each of shape (n_channels,).

    Raises
    ------
    ValueError
        If the sum of the squares is too large for float64.
    """
    X = images.values
    dtype = X.dtype if X.dtype.kind == "f" else np.dtype(np.float32)
    n_images, n_pixels, n_channels = X.shape
    weights = np.ones(n_images) if weights is None else weights.astype(np.float64)

    def weighted_sum(function, mean):
        sums = np.zeros((n_images, n_channels))
        for part in blocks(X, CACHED):
            channels = np.array(X[part].swapaxes(1, 2), np.float64, order="C")
            sums[part] = function(channels.swapaxes(1, 2)).sum(axis=1)
        sums[weights == 0] = 0.0
        return (weights[:, None] * sums).sum(axis=0)

    return scale_of(weighted_sum, n_pixels * weights.sum(), dtype, "channel", remedy)
