"""Units of the data and units of the estimator: scaling of the series, normalisation of windows, and the way back."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from skneural.timeseries._series import first_not_finite

#: What is added to the variance of a window, as a share of that of the series: 1e-5 of RevIN, whose series have 1.
FLOOR = 1e-5
#: Rows on which it is tried whether a scaler has a way back, and the error that may be left, as a share of the largest.
SOME = 100
WAY_BACK = 1e-2


class Scaling:
    """Scaling of a series and of its windows, fitted on the training series.

    `scaler` and `normalization` are parameters of Forecaster, `targets` the positions of the target columns.
    """

    def __init__(self, scaler, normalization, targets):
        if isinstance(scaler, str):
            scaler = StandardScaler()
        self.scaler = None if scaler is None else clone(scaler)
        self.normalization = normalization
        self.targets = targets

    def fit(self, values):
        """Learn from the training series; return it scaled."""
        self.n_features = values.shape[1]
        if self.scaler is not None:
            self.scaler.fit(values)
        scaled = self.scale(values)
        self._check_way_back(values, scaled[:SOME])
        if self.normalization == "instance":
            constant = scaled.min(axis=0) == scaled.max(axis=0)
            self.floor = np.where(constant, 1, FLOOR * scaled.var(axis=0)).astype(scaled.dtype)
        return scaled

    def scale(self, values):
        """Series of shape (n_rows, n_features) in units of the estimator."""
        if self.scaler is None:
            return values
        name = type(self.scaler).__name__
        scaled = self.scaler.transform(values)
        if sparse.issparse(scaled):
            raise ValueError(f"scaler must give an array, but {name} makes a sparse matrix of the series.")
        scaled = np.asarray(scaled)
        if scaled.shape != values.shape:
            raise ValueError(
                f"scaler must keep the shape of the series, {values.shape}, but {name} makes {scaled.shape} of it."
            )
        place = None if get_config()["assume_finite"] else first_not_finite(scaled)
        if place is not None:
            raise ValueError(
                f"scaler={name} makes {scaled[place]} of {values[place]} in column {place[1]} of the series, which "
                "has no missing or infinite values itself: choose another scaler, or change the series."
            )
        return scaled

    def _check_way_back(self, values, scaled):
        """Warn if the scaler does not take back what it does: forecasts would be in other units than the data."""
        if self.scaler is None:
            return
        name = type(self.scaler).__name__
        largest = np.maximum(values.max(axis=0), -values.min(axis=0))
        values = values[: len(scaled)]
        back = np.asarray(self.scaler.inverse_transform(scaled))
        if back.shape != values.shape:
            raise ValueError(
                f"The inverse_transform of scaler={name} makes {back.shape} of an array of shape {values.shape}."
            )
        error = np.abs(back - values).max(axis=0)
        if not (error <= WAY_BACK * largest)[self.targets].all():
            warnings.warn(
                f"The inverse_transform of scaler={name} does not take back its transform: forecasts will not be in "
                "units of the data.",
                UserWarning,
                stacklevel=4,
            )

    def normalize(self, windows, following=None):
        """Normalise windows of shape (n_windows, lookback, n_features), and what follows them.

        Returns both in the same shapes, and what was taken out of the targets: offset and spread of shape
        (n_windows, 1, n_targets), or twice None.
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
            squares = np.einsum("wtf,wtf->wf", windows, windows)
            variance = squares / windows.shape[1] + self.floor
            spread = np.sqrt(variance)[:, None]
            windows /= spread
        offset = offset[..., self.targets]
        spread = spread[..., self.targets]
        if following is not None:
            steps = following.reshape(len(following), -1, len(self.targets))
            following = ((steps - offset) / spread).reshape(following.shape)
        return windows, following, offset, spread

    def restore(self, forecasts, offset, spread):
        """Forecasts of shape (n_windows, horizon, n_targets, n_quantiles) in units of the data; see `normalize`."""
        if offset is not None:
            forecasts = forecasts * spread[..., None] + offset[..., None]
        if self.scaler is None:
            return forecasts
        # The scaler knows rows with all features: those that are not forecast get any value.
        by_target = np.moveaxis(forecasts, 2, -1)
        rows = np.zeros((by_target[..., 0].size, self.n_features), forecasts.dtype)
        rows[:, self.targets] = by_target.reshape(-1, len(self.targets))
        name = type(self.scaler).__name__
        given = np.isnan(rows).any()
        rows = np.asarray(self.scaler.inverse_transform(rows))[:, self.targets]
        if np.isnan(rows).any() and not given:
            warnings.warn(
                f"The inverse_transform of scaler={name} makes NaN of forecasts: they are beyond what it takes back.",
                UserWarning,
                stacklevel=4,
            )
        return np.moveaxis(rows.reshape(by_target.shape), -1, 2)
