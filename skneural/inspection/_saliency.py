"""Gradients of what a network predicts, by its input."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import StrOptions, validate_params

from skneural._wrapped import found_by_search


@validate_params({"of": [StrOptions({"score", "probability"})]}, prefer_skip_nested_validation=True)
def saliency(est: BaseEstimator, X: ArrayLike, y: ArrayLike | None = None, *, of: str = "score") -> np.ndarray:
    """Gradient of what a network predicts by its input: how the prediction would answer a small change of each number.

    It is exact, of the network as it predicts: without dropout and noise, normalised by running means, and back to the
    first time step. One pass forward and back serves all inputs of a sample at once.

    Parameters
    ----------
    est : estimator
        A fitted network of this package that reads rows, sequences or images; or a search for one.
    X : array-like
        What the network predicts from. Of a pipeline, what its last step reads: give that step.
    y : int or label, or array-like of shape (n_samples,), default=None
        Of what there is the gradient, one for all samples or one for each. Of a classifier, the label of a class; None
        for the class that is predicted. Of a regressor with several outputs (targets, steps of a forecast, or
        quantiles), and of a classifier of several labels, the number of an output, counted from 0; with one output,
        None.
    of : {'score', 'probability'}, default='score'
        Of classifiers, whether of the score of the class, the value before softmax (with two classes, the log-odds of
        the class), or of its probability, which hardly changes where the network is certain.

    Returns
    -------
    gradient : ndarray
        Of the shape of `X`, in the units of the score, or of y, for a unit of `X`. Of a list of sequences, one array of
        shape (n_samples, n_timesteps, n_features). After the end of a sequence it is 0.

    Raises
    ------
    TypeError
        If `est` is no network of this package.
    NotFittedError
        If it is not fitted.
    ValueError
        If `X` is not what it reads, or the rows of a sparse matrix; if `y` has another length, or names no class or
        output, or is missing where there are several outputs.

    See Also
    --------
    occlusion_importance : What is lost where a part is hidden, of any estimator.
    skneural.plotting.ImageImportanceDisplay : Picture of the gradients by images.

    Notes
    -----
    Where a network is all but flat around a sample, gradients say little of what it has looked at; with ReLU they are
    those of one linear piece. It is computed on the CPU, wherever the network was trained.

    References
    ----------
    Simonyan, Vedaldi and Zisserman (2014), "Deep inside convolutional networks: Visualising image classification models
    and saliency maps", ICLR workshop.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import MLPRegressor
    >>> from skneural.inspection import saliency
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> reg = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0, random_state=0)
    >>> reg = reg.fit(X, 2 * X[:, 0] - X[:, 2])
    >>> saliency(reg, X[:1]).round(2) + 0.0
    array([[ 2.,  0., -1.]])
    """
    from skneural.estimators._explain import check_network, gradient_by_input

    est = found_by_search(est)
    check_network(est, "saliency")
    return gradient_by_input(est, X, y, of)
