"""What the layers of a network make of an input, and the filters of its convolutions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from skneural._wrapped import found_by_search


def layer_outputs(est: BaseEstimator, X: ArrayLike, layer: int | None = None) -> np.ndarray:
    """Outputs of a layer of a network, as it predicts.

    Parameters
    ----------
    est : estimator
        A fitted network of this package; or a search for one.
    X : array-like
        What the network predicts from. Of a pipeline, what its last step reads: give that step.
    layer : int, default=None
        Number of the layer, counted from 0 in the order of ``est.summary()``, without the input and without those that
        stand within others; -1 is the last layer, whose outputs are the values before softmax, logistic function or
        exponential. None: the first that is, or holds, a convolution over images.

    Returns
    -------
    outputs : ndarray
        Of shape (n_samples, units), of sequences (n_samples, n_timesteps, n_channels), of images (n_samples, height,
        width, n_channels).

    Raises
    ------
    TypeError
        If `est` is no network of this package, or `layer` no integer.
    NotFittedError
        If it is not fitted.
    ValueError
        If `X` is not what it reads, or there is no such layer, or it comes before all layers that learn.

    See Also
    --------
    skneural.plotting.FilterDisplay : Picture of the outputs of a convolution.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skneural import CNNClassifier
    >>> from skneural.inspection import layer_outputs
    >>> digits = load_digits()
    >>> clf = CNNClassifier((8,), max_iter=50, tol=1e-2, random_state=0).fit(digits.images, digits.target)
    >>> layer_outputs(clf, digits.images[:5]).shape
    (5, 8, 8, 8)
    >>> layer_outputs(clf, digits.images[:5], -1).shape
    (5, 10)
    """
    from skneural.estimators._explain import check_network, outputs_of_layer

    est = found_by_search(est)
    check_network(est, "layer_outputs")
    return outputs_of_layer(est, X, layer)


def convolution_filters(est: BaseEstimator, layer: int | None = None) -> np.ndarray:
    """Weights of a convolution over images, filter by filter.

    Parameters
    ----------
    est : estimator
        A fitted network of this package; or a search for one.
    layer : int, default=None
        Number of the layer, as in :func:`layer_outputs`; of one that holds several convolutions the first is taken.
        None: the first convolution of the network.

    Returns
    -------
    filters : ndarray of shape (height, width, n_channels, n_filters)
        A copy. With `rescale`, the first convolution reads scaled pixels.

    Raises
    ------
    TypeError
        If `est` is no network of this package, or `layer` no integer.
    NotFittedError
        If it is not fitted.
    ValueError
        If there is no such layer, or no convolution over images in it.

    See Also
    --------
    skneural.plotting.FilterDisplay : Picture of the filters.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skneural import CNNClassifier
    >>> from skneural.inspection import convolution_filters
    >>> digits = load_digits()
    >>> clf = CNNClassifier((8,), max_iter=50, tol=1e-2, random_state=0).fit(digits.images, digits.target)
    >>> convolution_filters(clf).shape
    (3, 3, 1, 8)
    """
    from skneural.estimators._explain import check_network, filters_of

    est = found_by_search(est)
    check_network(est, "convolution_filters")
    return filters_of(est, layer).weights
