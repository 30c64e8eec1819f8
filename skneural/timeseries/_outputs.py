"""Forecasts in the form that a series was given in."""


def points_as_given(points, history, names, alone):
    """Forecasts of shape (horizon, n_targets) as an array, or as an object of pandas if the series was one.

    `history` is the series that they continue; with `alone` there is one target, and no axis of targets.
    """
    if alone:
        points = points[:, 0]
    if not history.of_pandas:
        return points
    import pandas

    index = history.index.after(len(points))
    if alone:
        return pandas.Series(points, index, name=names[0])
    return pandas.DataFrame(points, index, names)


def quantiles_as_given(quantiles, history, names, alone, levels):
    """Quantiles of shape (horizon, n_targets, n_quantiles) as an array, or as a DataFrame of pandas."""
    if not history.of_pandas:
        return quantiles[:, 0] if alone else quantiles
    import pandas

    columns = pandas.Index(levels, name="quantile")
    if not alone:
        columns = pandas.MultiIndex.from_product([names, columns], names=["target", "quantile"])
    rows = len(quantiles)
    return pandas.DataFrame(quantiles.reshape(rows, -1), history.index.after(rows), columns)
