"""Units of the data and units of the estimator: scaling of the series, normalisation of windows, and the way back."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

#: What is added to the variance of a window, as a share of that of the series: 1e-5 of RevIN, whose series have 1.
FLOOR = 1e-5


class Scaling:
    """Scaling of a series and of its windows, fitted on the training series.

    Parameters
    ----------
    scaler : 'standard', transformer or None
        What is fitted on the columns of the series.
    normalization : 'last', 'instance' or None
        What is taken out of each window.
    targets : list of int
        Positions of the target columns.
    """

    def __init__(self, scaler, normalization, targets):
        self.scaler = StandardScaler() if isinstance(scaler, str) else None if scaler is None else clone(scaler)
        self.normalization, self.targets = normalization, targets

    def fit(self, values):
        """Learn from the training series; return it scaled."""
        self.n_features = values.shape[1]
        if self.scaler is not None:
            self.scaler.fit(values)
        scaled = self.scale(values)
        if scaled.shape != values.shape:
            raise ValueError(
                f"scaler must keep the shape of the series, {values.shape}, but {type(self.scaler).__name__} makes "
                f"{scaled.shape} of it."
            )
        if self.normalization == "instance":
            constant = scaled.min(axis=0) == scaled.max(axis=0)
            self.floor = np.where(constant, 1, FLOOR * scaled.var(axis=0)).astype(scaled.dtype)
        return scaled

    def scale(self, values):
        """Series of shape (n_rows, n_features) in units of the estimator."""
        return values if self.scaler is None else np.asarray(self.scaler.transform(values))

    def normalize(self, windows, following=None):
        """Normalise windows and what follows them.

        Parameters
        ----------
        windows : ndarray of shape (n_windows, lookback, n_features)
        following : ndarray of shape (n_windows, horizon * n_targets), default=None

        Returns
        -------
        windows, following : ndarrays of the same shapes
        offset, spread : ndarrays of shape (n_windows, 1, n_targets), or twice None
            What was taken out of the targets.
        """
        if self.normalization is None:
            return windows, following, None, None
        if self.normalization == "last":
            offset = windows[:, -1:]
            spread = np.ones_like(offset)
            windows = windows - offset
        else:
            offset = windows.mean(axis=1, keepdims=True)
            windows = windows - offset
            spread = np.sqrt(np.einsum("wtf,wtf->wf", windows, windows) / windows.shape[1] + self.floor)[:, None]
            windows /= spread
        offset, spread = offset[..., self.targets], spread[..., self.targets]
        if following is not None:
            steps = following.reshape(len(following), -1, len(self.targets))
            following = ((steps - offset) / spread).reshape(following.shape)
        return windows, following, offset, spread

    def restore(self, forecasts, offset, spread):
        """Forecasts in units of the data.

        Parameters
        ----------
        forecasts : ndarray of shape (n_windows, horizon, n_targets, n_quantiles)
        offset, spread : ndarrays of shape (n_windows, 1, n_targets), or twice None

        Returns
        -------
        ndarray of shape (n_windows, horizon, n_targets, n_quantiles)
        """
        if offset is not None:
            forecasts = forecasts * spread[..., None] + offset[..., None]
        if self.scaler is None:
            return forecasts
        # The scaler knows rows with all features: those that are not forecast get any value.
        by_target = np.moveaxis(forecasts, 2, -1)
        rows = np.zeros((by_target[..., 0].size, self.n_features), forecasts.dtype)
        rows[:, self.targets] = by_target.reshape(-1, len(self.targets))
        rows = np.asarray(self.scaler.inverse_transform(rows))[:, self.targets]
        return np.moveaxis(rows.reshape(by_target.shape), -1, 2)
