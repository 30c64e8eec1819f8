"""How estimators that read images check X."""

import math

import numpy as np
from scipy import sparse
from sklearn.utils.validation import column_or_1d, validate_data

from skneural._image_layout import EXPECTED, check_real, full_shape, in_form, in_order, shape_of_rows, stacked
from skneural.backends.inputs import INTEGERS, Sequences, are_finite, are_whole
from skneural.estimators import _images
from skneural.estimators._image_layers import for_images
from skneural.estimators._images import check_finite, check_images
from skneural.estimators._rows import BLOCK, plain_targets
from skneural.estimators._sequences import NO_TARGETS
from skneural.estimators._settings import network_dtype
from skneural.estimators._targets import without_last_axis

#: Height and width of the images that kernels are made ready for, the first that is large enough.
SIDES = [2**exponent for exponent in range(5, 13)]


def _is_channels_first(est):
    return est.input_format == "channels_first"


def _as_steps(images):
    """Images as the network reads them, a step for each pixel: a view where the layout in memory lets it be one."""
    n_images, height, width, n_channels = images.shape
    return images.reshape(n_images, height * width, n_channels)


class ImageReader:
    """How estimators that read images check X, and what the engine reads of it: see `RowReader`.

    Checked X has shape (n_images, height * width, n_channels).
    """

    reads_sequences = (True,)
    reads_images = True

    statistics = staticmethod(_images.statistics)

    def read(self, X):
        """Checked X as the engine reads it."""
        if not are_whole(X):
            X = np.ascontiguousarray(X)
        return Sequences(X, None)

    def variant(self, X):
        """The variant of the program that predicts for checked X."""
        return {"training": False, "n_timesteps": X.shape[1]}

    def as_given(self, est, X):
        """Checked X as users hand it over."""
        return in_form(X.reshape(len(X), *est.image_shape_), est._n_axes, _is_channels_first(est))

    def one_sample(self, est, dtype):
        """X that an estimator reads, as of rows; one that is not fitted notes its shape, as a fit would."""
        if "image_shape_" not in vars(est):
            self._learn(est, _any_shape(est), n_axes=4)
        height, width, n_channels = est.image_shape_
        return np.zeros((1, height * width, n_channels), dtype)

    def validate(self, est, X, y, reset, dtype=None):
        """As of rows."""
        if not reset and _is_plain(est, X, dtype):
            targets = plain_targets(est, y, len(X))
            if targets is not None:
                return _as_steps(X), targets
        X, y = self._check(est, X, without_last_axis(y), reset, dtype)
        if not sparse.issparse(y) and y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def validate_prediction(self, est, X):
        """As of rows."""
        if _is_plain(est, X, est._params.dtype):
            return _as_steps(X)
        return self._check(est, X, NO_TARGETS, reset=False, dtype=est._params.dtype)[0]

    @np.errstate(over="ignore", invalid="ignore")  # numbers too large for float32 are infinite, and refused as such
    def _check(self, est, X, y, reset, dtype):
        """X of shape (n_images, n_pixels, n_channels), finite, and y; `dtype` is that of weights there are."""
        X = stacked(X)
        check_real(X, others="OSU")
        n_axes = len(X.shape)
        if n_axes < 3:
            X, y = self._check_rows(est, X, y, reset)
        else:
            X, y = check_images(X, y, est._numeric_targets)
        if reset:
            shape = self._shape_of(est, X)
            self._learn(est, shape, n_axes)
        images = in_order(X, est.image_shape_, _is_channels_first(est))
        self._check_shape(est, X, images)
        dtype = network_dtype(est, X) if dtype is None else dtype
        pixels = _as_steps(images)
        if X.dtype == bool:
            pixels = pixels.view(np.uint8)
        elif X.dtype != dtype and X.dtype not in INTEGERS:
            pixels = pixels.astype(dtype)
        if X.dtype.kind == "f":
            check_finite(pixels, est.image_shape_[1])
        return pixels, y

    def _check_rows(self, est, X, y, reset):
        """X with a row for each image, whose columns may have names, and y."""
        if not reset and getattr(X, "shape", None) == est.image_shape_[:2] and X.shape[1] != est.n_features_in_:
            raise ValueError(f"{EXPECTED}, got shape {X.shape}: one image is X[None].")
        options = {"dtype": "numeric", "ensure_all_finite": False, "reset": reset}
        if y is NO_TARGETS:
            return validate_data(est, X, **options), y
        return validate_data(est, X, y, multi_output=True, y_numeric=est._numeric_targets, **options)

    def _shape_of(self, est, X):
        """Shape of the images of the first fit: (height, width, n_channels)."""
        is_channels_first = _is_channels_first(est)
        if X.ndim == 2:
            n_features = X.shape[1]
            return shape_of_rows(n_features, est.image_shape, is_channels_first) or (1, n_features, 1)
        shape = in_order(X, None, is_channels_first).shape[1:]
        if est.image_shape is not None and shape != full_shape(est.image_shape, is_channels_first):
            raise ValueError(f"X of shape {X.shape} does not hold images of image_shape={est.image_shape}.")
        return shape

    def _learn(self, est, shape, n_axes):
        """Note what X of the first fit looks like."""
        est.image_shape_ = tuple(int(n) for n in shape)
        est.n_features_in_ = math.prod(est.image_shape_)
        est._n_axes = n_axes
        if n_axes != 2:
            vars(est).pop("feature_names_in_", None)

    def _check_shape(self, est, X, images):
        """Raise unless images are of the shape that those of the fit had."""
        found = images.shape[1:]
        if found == est.image_shape_:
            return
        is_channels_first = _is_channels_first(est)
        hint = ""
        if X.ndim == 3 and in_order(X[None], None, is_channels_first).shape[1:] == est.image_shape_:
            hint = " One image is X[None]."
        if X.ndim == 4 and in_order(X, None, not is_channels_first).shape[1:] == est.image_shape_:
            place = "last" if is_channels_first else "first"
            hint = f" The channels of X come {place}, but input_format={est.input_format!r}."
        raise ValueError(
            f"X has images of shape {found}, but {type(est).__name__} is expecting images of shape "
            f"{est.image_shape_}, as in fit: (height, width, n_channels).{hint}"
        )


def _is_plain(est, X, dtype):
    """Whether X is an array that all checks would hand back as it is: they take as long as a small image."""
    return (
        type(X) is np.ndarray
        and X.dtype in (dtype, *INTEGERS)
        and X.shape[1:] == est.image_shape_
        and est.input_format == "channels_last"
        and 0 < X.size <= BLOCK
        and are_finite(X)
    )


def _any_shape(est):
    """Shape of images that the layers of an estimator can read."""
    if est.image_shape is not None:
        return full_shape(est.image_shape, _is_channels_first(est))
    layers = est._hidden_layers()
    for side in SIDES[:-1]:
        try:
            for_images(layers, (side, side, 1))
        except ValueError:  # a kernel or a pooling is larger
            continue
        return (side, side, 1)
    return (SIDES[-1], SIDES[-1], 1)
