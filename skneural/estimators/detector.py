"""Outlier detection by autoencoders."""

from __future__ import annotations

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from skneural._compat import check_sample_weight
from skneural._declare import declare, parameter
from skneural.estimators.autoencoder import Autoencoder


@declare
class AutoencoderDetector(OutlierMixin, Autoencoder):
    """Outlier detection by an autoencoder: what it has not learnt to reconstruct is unlike the data of the fit.

    It is an :class:`Autoencoder`, whose errors say how abnormal a sample is; the interface is that of
    :class:`sklearn.ensemble.IsolationForest`.

    {input}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    offset_ : float
        Score below which a sample is an outlier: so that of the data of the fit (of the last call of
        :meth:`partial_fit`) a share of `contamination` is.

    See Also
    --------
    Autoencoder : The same network, for codes and reconstructions.
    sklearn.ensemble.IsolationForest : Another detector.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import AutoencoderDetector
    >>> t = np.random.default_rng(0).uniform(-1, 1, (500, 1))
    >>> X = np.hstack([t, t**2, t**3])  # a curve
    >>> detector = AutoencoderDetector((16, 1), contamination=0.01, max_iter=500, random_state=0).fit(X)
    >>> detector.predict([[0.5, 0.25, 0.125], [0.5, -1.0, 0.5]])
    array([ 1, -1])
    """

    _in_units = False

    contamination: float = parameter(
        default=0.1,
        constraint=[Interval(Real, 0, 0.5, closed="right")],
        doc="""Share of outliers in the data of the fit, in (0, 0.5]: decides `offset_`.""",
    )

    def _fit_ends(self, task, state):
        request = task.request
        scores = self.score_samples(request.X)
        weights = np.ones(len(scores))
        if request.sample_weight is not None:
            weights = check_sample_weight(request.sample_weight, scores)
        self.offset_ = _score_above(scores, weights, self.contamination)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Score of each sample: the lower, the more abnormal.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Minus the mean error, in units of the scaled features: each counts as it does in training, whatever its
            unit is.
        """
        return -self._errors(X)

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Score of each sample above the threshold.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``: negative for outliers.
        """
        check_is_fitted(self, "offset_")
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Say which samples are outliers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.

        Returns
        -------
        is_inlier : ndarray of shape (n_samples,)
            1 for inliers, -1 for outliers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)


def _score_above(scores, weights, share):
    """The lowest score below which a share of the weights lies, or as much of it as there is."""
    order = np.argsort(scores, kind="stable")
    below = np.cumsum(weights[order])
    wanted = share * below[-1] * (1 + 1e-12)
    place = np.searchsorted(below, wanted, side="right")
    return float(scores[order[min(place, len(order) - 1)]])
