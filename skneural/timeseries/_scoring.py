"""Metrics of scikit-learn for forecasts, and searches that cannot score these."""

from __future__ import annotations

import sys
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import check_scoring, make_scorer, r2_score
from sklearn.model_selection import _validation


def forecast_scorer(scoring: Any = None) -> ForecastScorer:
    """Make a scorer of forecasts from one for regressors.

    Scorers of scikit-learn compare what `predict` makes of X with y, row by row. A forecast is of rows that X does not
    have, and y is part of the series: `GridSearchCV` with such a scorer would find no scores, and is refused. This one
    forecasts from each row of the test part that has ``horizon - 1`` rows after it, knowing the rows before (at first
    those of the training part), and gives what came and the forecasts to the metric.

    The test rows are the same for every candidate of a search, whatever its `lookback`, so their scores can be
    compared; those of candidates with different `horizon` or `target` cannot.

    Parameters
    ----------
    scoring : str, callable, list, tuple, dict or None, default=None
        A name ('neg_mean_absolute_error'), what :func:`sklearn.metrics.make_scorer` returns, or several of them as
        searches take them. None for R2.

    Returns
    -------
    scorer : callable
        For the parameter `scoring` of searches and :func:`sklearn.model_selection.cross_validate`; called as
        ``scorer(forecaster, series)`` it returns the score, or a dict of scores if there are several. `series` is what
        follows on the training series, as in :meth:`Forecaster.score`.

    Raises
    ------
    ValueError
        If there is no such scorer, or if it is none for regression.

    See Also
    --------
    Forecaster.score : R2 of forecasts.

    Notes
    -----
    The metric gets values of shape (n_origins * horizon,), in units of the data; of several targets
    (n_origins * horizon, n_targets). Of quantiles, the one nearest to the median is the forecast.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skneural.timeseries import Forecaster, forecast_scorer
    >>> flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    >>> series = np.sin(np.arange(220) * np.pi / 12) + np.random.default_rng(0).normal(scale=0.1, size=220)
    >>> forecaster = Forecaster(make_pipeline(flatten, Ridge()), horizon=4)
    >>> scorer = forecast_scorer("neg_mean_absolute_error")
    >>> search = GridSearchCV(forecaster, {"lookback": [2, 24]}, scoring=scorer, cv=TimeSeriesSplit(3))
    >>> search.fit(series).best_params_
    {'lookback': 24}
    """
    scorer = ForecastScorer(scoring)
    try:
        scorer.of_values(np.array([0.5, 2.5, 4.5]), np.array([1.5, 2.5, 3.5]))  # numbers that are no classes
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"scoring={scoring!r} is no scorer for forecasts: {error}") from error
    return scorer


class ForecastScorer:
    """What :func:`forecast_scorer` returns."""

    def __init__(self, scoring):
        self.scoring = scoring

    def __call__(self, estimator, series, y=None):
        """Score forecasts of a series that follows on the training series; `y` is not used."""
        while hasattr(estimator, "steps"):
            series = estimator[:-1].transform(series) if len(estimator.steps) > 1 else series
            estimator = estimator.steps[-1][1]
        return self.of_values(*estimator._followed(series))

    def of_values(self, actual, forecasts):
        """Score of forecasts beside what came."""
        known = KnownRegressor()
        return check_scoring(known, self.scoring)(known, forecasts, actual)

    def __repr__(self):
        return f"forecast_scorer({self.scoring!r})"


class KnownRegressor(RegressorMixin, BaseEstimator):
    """A regressor whose X are its predictions: what scorers are asked about."""

    def fit(self, X, y):
        """Do nothing."""
        return self

    def predict(self, X):
        """Return X."""
        return X

    def __sklearn_is_fitted__(self):
        return True


def check_search(forecaster):
    """Refuse the cross-validation that a forecaster stands in, if its scores would be none, or mean nothing.

    scikit-learn makes NaN of errors while scoring, the same for all candidates, and calls the first one the best. A
    forecaster is not told how it will be scored, nor what the rows of a split are. So this looks at the call it stands
    in, if there is one: nothing else comes before the first fit. Nothing is refused where that call is another than
    expected; of the candidates of a search only the first must be long enough, since later ones come out as the last.
    """
    code = getattr(getattr(_validation, "_fit_and_score", None), "__code__", None)
    frame = sys._getframe(1)
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    if frame is None:
        return
    call = frame.f_locals
    if not {"estimator", "scorer", "train", "test"} <= call.keys():
        return
    estimator = call["estimator"]
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    if estimator is not forecaster:
        return
    _check_scorer(call["scorer"])
    train, test = _check_split(call["train"], call["test"])
    if (call.get("candidate_progress") or [None])[0] == 0:
        _check_lengths(len(train), len(test), forecaster.lookback, forecaster.horizon)


def _check_scorer(scorer):
    plain = type(make_scorer(r2_score))
    for one in getattr(scorer, "_scorers", {None: scorer}).values():
        if isinstance(one, plain):
            raise ValueError(
                f"scoring={one!r} compares what predict makes of X with y, row by row: forecasts are of other rows. "
                "Give skneural.timeseries.forecast_scorer(scoring) as scoring, which takes the same names and scorers, "
                "as in scoring=forecast_scorer('neg_mean_absolute_error')."
            )


def _check_split(train, test):
    """Rows of the parts of a split."""
    parts = [np.asarray(part) for part in (train, test)]
    train, test = (np.flatnonzero(part) if part.dtype == bool else part for part in parts)
    if (np.diff(np.concatenate([train, test])) != 1).any():
        raise ValueError(
            "The rows of a split must be neighbours, in order of time, and the test part must follow directly on the "
            "training part: cv=TimeSeriesSplit(), without a gap."
        )
    return train, test


def _check_lengths(n_train, n_test, lookback, horizon):
    if not isinstance(lookback, Integral) or not isinstance(horizon, Integral):
        return  # the fit refuses them
    for part, count, needed in [("training", n_train, lookback + horizon), ("test", n_test, horizon)]:
        if count < needed:
            raise ValueError(
                f"The {part} part of a split has {count} rows, lookback={lookback} with horizon={horizon} needs at "
                f"least {needed}: set n_splits and test_size of TimeSeriesSplit."
            )
