"""Forecasts in the form that a series was given in."""

from __future__ import annotations

import sys


def points_as_given(points, history, names, alone):
    """Forecasts as an array, or as an object of pandas.

    Parameters
    ----------
    points : ndarray of shape (horizon, n_targets)
    history : Series
        What they continue.
    names : list
        Names of the targets.
    alone : bool
        Whether there is one target, and no axis of targets.

    Returns
    -------
    ndarray, pandas Series or DataFrame
    """
    pandas = _pandas_of(history)
    points = points[:, 0] if alone else points
    if pandas is None:
        return points
    index = history.index.after(len(points))
    return pandas.Series(points, index, name=names[0]) if alone else pandas.DataFrame(points, index, names)


def quantiles_as_given(quantiles, history, names, alone, levels):
    """Quantiles of shape (horizon, n_targets, n_quantiles) as an array, or as a DataFrame of pandas."""
    pandas = _pandas_of(history)
    if pandas is None:
        return quantiles[:, 0] if alone else quantiles
    columns = pandas.Index(levels, name="quantile")
    if not alone:
        columns = pandas.MultiIndex.from_product([names, columns], names=["target", "quantile"])
    rows = len(quantiles)
    return pandas.DataFrame(quantiles.reshape(rows, -1), history.index.after(rows), columns)


def _pandas_of(series):
    """The module, if a series came from it."""
    return sys.modules["pandas"] if series.index is not None and series.index.of_pandas else None
