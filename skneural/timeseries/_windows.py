"""Windows of a series and what comes after them, as views."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, validate_params

from skneural.timeseries._series import read_training_series

COUNT = [Interval(Integral, 1, None, closed="left")]


@validate_params(
    {"lookback": COUNT, "horizon": COUNT, "step": COUNT, "target": "no_validation"},
    prefer_skip_nested_validation=True,
)
def make_windows(
    series: ArrayLike, lookback: int, horizon: int = 1, *, step: int = 1, target: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a series into windows, and the values that follow each.

    This turns forecasting into regression: X for the estimators that take sequences, y for any regressor.

    Parameters
    ----------
    series : array-like of shape (n_rows,) or (n_rows, n_features), table of pandas, polars or pyarrow
        The series, in order of time and without gaps. What is not float32 or float64 becomes float64. A pandas index of
        dates (of pyarrow, too), periods, durations or numbers must be regular: made by one offset of pandas from its
        first label. Many are found (months, business days, the first Tuesday of a quarter, the same days of every
        week); that of others must be told, in the `freq` of the index. If a table of polars or pyarrow has one column
        of dates, that is its time index, and must go by equal steps of time, days, months or business days.
    lookback : int
        Rows in a window.
    horizon : int, default=1
        Rows after the window that make its y.
    step : int, default=1
        Rows from the beginning of a window to that of the next.
    target : int, str or list of them, default=None
        Name or position of the column(s) that y has. None for all.

    Returns
    -------
    X : ndarray of shape (n_windows, lookback, n_features)
        The windows: a view of the series that cannot be written to, wherever that is one array of floats (a file mapped
        into memory by :class:`numpy.memmap` included). Thus it takes no memory, whatever its shape says.
    y : ndarray of shape (n_windows,) or (n_windows, horizon * n_targets)
        What follows each window: one-dimensional for one target and ``horizon=1``, else step by step, all targets of
        the first step first. A view, too: of the series for one target, or for all, else of a copy of the target
        columns.

    Raises
    ------
    TypeError
        If the series, a column of it or its index are of a type that is no number and no time.
    ValueError
        If the series is shorter than ``lookback + horizon`` rows, has NaN or infinite values or a time index that is
        not in order or not regular; if `target` is no column; if a number is out of range.

    See Also
    --------
    Forecaster : All of it in one estimator, from scaling to forecasts with dates.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural.timeseries import make_windows
    >>> X, y = make_windows(np.arange(6.0), lookback=3, horizon=2)
    >>> X[:, :, 0]
    array([[0., 1., 2.],
           [1., 2., 3.]])
    >>> y
    array([[3., 4.],
           [4., 5.]])
    """
    series, positions, _ = read_training_series(series, target, lookback, horizon)
    X = windows_of(series.values, lookback, horizon, step)
    y = targets_of(series.values, positions, lookback, horizon, step)
    return X, as_y(y)


def windows_of(values, lookback, horizon=0, step=1):
    """Windows that have at least `horizon` rows after them, as a view of shape (n_windows, lookback, n_features)."""
    last = len(values) - lookback - horizon
    windows = sliding_window_view(values, lookback, axis=0)
    return windows[: last + 1 : step].transpose(0, 2, 1)


def targets_of(values, positions, lookback, horizon, step=1):
    """What follows the windows, as a view of shape (n_windows, horizon * n_targets)."""
    count = len(positions)
    following = values[lookback:]
    if count == 1:
        following = following[:, positions[0]]
    elif positions != list(range(values.shape[1])):
        following = following[:, positions]
    numbers = following.reshape(-1)
    windows = sliding_window_view(numbers, horizon * count)
    return windows[:: count * step]


def as_y(targets):
    """Targets as regressors expect them: in one dimension if there is one column."""
    if targets.shape[1] > 1:
        return targets
    return targets[:, 0]
