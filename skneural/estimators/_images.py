"""Images as users have them, checked, and the scale of their channels."""

import numpy as np
from sklearn.utils.validation import check_array, check_X_y

from skneural.backends.inputs import are_finite
from skneural.estimators._sequences import CACHED, NO_TARGETS, blocks, scale_of

#: What every message about the form of X begins with.
EXPECTED = (
    "Expected X of shape (n_images, height, width), (n_images, height, width, n_channels) (channels_first: (n_images, "
    "n_channels, height, width)), or (n_images, n_features) with a row for each image"
)


def _is_array(value):
    """Whether something in a list is an array of numbers, or a list of them, rather than a number or a text."""
    if isinstance(value, list | tuple):
        return True
    can_be_array = hasattr(value, "__array__") or hasattr(value, "__array_interface__")
    return can_be_array and getattr(value, "ndim", 1) > 0


def stacked(X):
    """A list of images, or a column that holds images, as one array; arrays and tables as they are.

    Raises
    ------
    ValueError
        If they are of different shape, naming the first that is.
    """
    is_column = getattr(X, "ndim", 0) == 1 and X.dtype == object
    if hasattr(X, "shape") and not is_column:
        return X
    items = list(X) if is_column or isinstance(X, list | tuple) else []
    if not items or not _is_array(items[0]):
        return np.asarray(X)
    images = [_image(item, i) for i, item in enumerate(items)]
    shape = images[0].shape
    for i, image in enumerate(images):
        if image.shape != shape:
            raise ValueError(
                f"Image {i} has shape {image.shape}, image 0 has {shape}: all images must be of one shape. Crop, pad "
                "or resize them beforehand."
            )
    return np.stack(images)


def _image(item, i):
    """One image of a list as an array."""
    try:
        return np.asarray(item)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{EXPECTED}, got something that is no array as image {i}: {error}") from None


def check_images(X, y, numeric):
    """Images as an array of numbers with three or four axes, and y unless that is `NO_TARGETS`.

    Raises
    ------
    ValueError
        As scikit-learn's checks do, but for what is not finite: see `check_finite`; and if there are no pixels.
    """
    options = {"dtype": "numeric", "allow_nd": True, "ensure_all_finite": False}
    if y is NO_TARGETS:
        X = check_array(X, input_name="X", **options)
    else:
        X, y = check_X_y(X, y, multi_output=True, y_numeric=numeric, **options)
    if X.ndim not in (3, 4):
        raise ValueError(f"{EXPECTED}, got an array with {X.ndim} dimensions.")
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
