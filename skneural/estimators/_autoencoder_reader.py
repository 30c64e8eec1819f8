"""How autoencoders check X, which is what they learn, too: rows, sequences or images."""

import math

import numpy as np
from scipy import sparse
from sklearn.utils.validation import _num_samples

from skneural.estimators import _images, _sequences
from skneural.estimators._autoencoder_layers import described
from skneural.estimators._handover import read_listed, rectangular
from skneural.estimators._image_reader import ImageReader
from skneural.estimators._layers import builds, reads_rows
from skneural.estimators._layers_reader import OF_SEQUENCES, LayersReader, are_sequences
from skneural.layers import Reshape

#: What a fit on data of one kind leaves behind, and one on another takes away.
OF_IMAGES = ("image_shape_", "_n_axes")


#: Numbers of sparse rows that are made dense at a time.
PART = 1 << 22


def _dense(X, copies=1):
    """Checked rows as an array: what is to come out is dense anyway.

    Raises
    ------
    MemoryError
        If so many of them are larger than the memory: pages that are not touched yet cost nothing.
    """
    if not sparse.issparse(X):
        return X
    from skneural.backends.cpu.buffers import physical_memory

    n_bytes = math.prod(X.shape) * X.dtype.itemsize
    if copies * n_bytes >= physical_memory():
        raise MemoryError(
            f"Sparse X of shape {X.shape} is made dense, which takes {copies} times {n_bytes / 1e9:,.1f} GB: call "
            "partial_fit with parts of its rows, one after the other."
        )
    return X.toarray()


class AutoencoderReader(LayersReader):
    """How autoencoders check X, and what the engine reads of it: see `RowReader`.

    Checked X has shape (n_samples, n_features), or (n_samples, steps, channels).
    """

    _one_length = "its codes are rows of one length"

    def __init__(self):
        super().__init__()
        self._images = ImageReader()

    def variant(self, X):
        """The variant of the program that predicts for checked X."""
        return {"training": False}

    def as_given(self, est, X):
        """Checked X as users hand it over."""
        return self._fitted(est).as_given(est, X)

    def statistics(self, est, X, weights):
        """Weighted mean and deviation of the features of checked X."""
        if est.scaler == "common":
            X = X.reshape(len(X), -1, 1)
            if not np.isnan(X).any():
                return _images.statistics(self._sequences.read(X), weights, "scaler=None")
        elif X.ndim == 2:
            X = X[:, None]
        elif "image_shape_" in vars(est):
            return _images.statistics(self._images.read(X), weights, "scaler=None")
        return _sequences.statistics(self._sequences.read(X), weights, "scaler=None")

    def one_sample(self, est, dtype):
        """X that an estimator reads, as of rows."""
        is_fitted = "_program" in vars(est)
        if not is_fitted and est.image_shape is not None:
            return self._images.one_sample(est, dtype)
        if is_fitted or reads_rows(est._hidden_layers()):
            return super().one_sample(est, dtype)
        raise ValueError(
            f"What X looks like, for which the layers of this {type(est).__name__} are, is known only when it is "
            "fitted: warm it up after that, or set image_shape."
        )

    def _fitted(self, est):
        """Who reads what an estimator was fitted on."""
        if "image_shape_" in vars(est):
            return self._images
        return self._sequences if "_n_channels" in vars(est) else self._rows

    def _chosen(self, est, X):
        """Who reads X of a first fit."""
        if _has_four_axes(X):
            return self._images
        if not are_sequences(X):
            return self._rows if est.image_shape is None else self._images
        return self._sequences if _are_steps(est, X) else self._images

    def validate(self, est, X, y, reset, dtype=None):
        """Checked X, twice: as input and as target. The rest as of rows."""
        reader = self._chosen(est, X) if reset else self._fitted(est)
        if reset:
            for name in (*OF_SEQUENCES, *OF_IMAGES):
                vars(est).pop(name, None)
        nothing = np.zeros(_num_samples(X))  # in the place of y, which readers check beside X
        X, _ = reader.validate(est, X, nothing, reset, dtype)
        is_scaled = est.scaler is not None and est.loss != "log_loss"
        X = _dense(X, 1 + is_scaled)
        if reader is self._sequences and not reset:
            X = self._padded(est, X)
        return X, X

    def validate_prediction(self, est, X):
        """As of rows."""
        (X,) = self.parts(est, X, whole=True)
        return X

    def parts(self, est, X, whole=False):
        """Checked X of which a prediction is asked, as arrays one by one: of sparse rows some, unless it must be whole.

        Yields
        ------
        ndarray
        """
        reader = self._fitted(est)
        X = reader.validate_prediction(est, X)
        if reader is self._sequences:
            X = self._padded(est, X)
        if whole or not sparse.issparse(X):
            yield _dense(X)
            return
        n_rows = max(1, PART // X.shape[1])
        for first in range(0, X.shape[0], n_rows):
            yield _dense(X[first : first + n_rows])


def _has_four_axes(X):
    """Whether X holds images whose channels have an axis, as one array or as a list of them."""
    if hasattr(X, "ndim"):
        return X.ndim == 4
    is_list = isinstance(X, list | tuple) and len(X) > 0
    return is_list and getattr(X[0], "ndim", 0) == 3


def _are_steps(est, X):
    """Whether X with three axes holds sequences: its layers can read them, and not images, or they differ in length."""
    arrays, _ = read_listed(rectangular(X), est.input_format == "channels_first")
    shapes = {np.shape(X)[1:]} if arrays is None else {item.shape for item in arrays}
    if len(shapes) > 1:
        return True
    height, width = shapes.pop()
    encoder, _ = described(est)
    of_images = [Reshape((height, width, 1)), *encoder]
    if est.encoder is None or builds(of_images, (height * width, 1)):
        return False
    # Where neither fits, an error is to speak of what more of the layers read.
    return _n_built(encoder, (height, width)) >= _n_built(of_images, (height * width, 1))


def _n_built(layers, shape):
    """How many of the first layers can read samples of a shape."""
    n_layers = len(layers)
    while n_layers and not builds(layers[:n_layers], shape):
        n_layers -= 1
    return n_layers
