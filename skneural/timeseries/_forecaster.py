"""Forecasts of time series with any regressor that takes windows."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skneural._tooltips import Tooltips
from skneural._wrapped import levels_of
from skneural.timeseries._backtest import Backtest, backtest_of
from skneural.timeseries._fitting import check_takes_validation, check_weights, fit_regressor, hint_at, hold_out
from skneural.timeseries._outputs import points_as_given, quantiles_as_given
from skneural.timeseries._scaling import Scaling
from skneural.timeseries._scoring import check_search
from skneural.timeseries._series import check_finite, check_rows, continued, end_of, read_series, read_training_series
from skneural.timeseries._windows import COUNT, as_y, targets_of, windows_of


def _has_quantiles(forecaster):
    if levels_of(getattr(forecaster, "estimator_", forecaster.estimator)) is None:
        raise AttributeError("predict_quantiles needs an estimator with loss='quantile' and a sequence of quantiles.")
    return True


class Forecaster(Tooltips, BaseEstimator):
    """Forecast a time series with a regressor.

    It scales the series, cuts it into windows, trains a regressor to predict the `horizon` steps after each, all at
    once, and gives forecasts in units of the data with the dates they are for.

    A series is an array-like of shape (n_rows,) or (n_rows, n_features) or a table or column of pandas, polars or
    pyarrow, in order of time, regular and without missing values, as :func:`make_windows` takes it.

    Parameters
    ----------
    estimator : estimator or None, default=None
        Regressor for X of shape (n_windows, lookback, n_features) and y of shape (n_windows,) or
        (n_windows, horizon * n_targets): a recurrent or convolutional network, or one of any layers for sequences. None
        for ``LSTMRegressor()``. One for two-dimensional X works behind a
        ``FunctionTransformer`` that flattens, as in the example. One with ``early_stopping=True`` (at the end of a
        pipeline, too) is stopped by the last windows of the series, `validation_fraction` of them: chosen at random,
        they would share rows with those it is trained on. The scaler is fitted on the rows before, then. There is a
        warning if that cannot be, as its `fit` takes no `X_val`.
    lookback : int, default=60
        Rows in a window: what a forecast is made from.
    horizon : int, default=10
        Steps that are forecast.
    target : int, str or list of them, default=None
        Name or position of the column(s) to forecast; the others only help. None for all.
    scaler : 'standard', transformer or None, default='standard'
        What is fitted on the columns of the training series before it is cut into windows: 'standard' is
        :class:`~sklearn.preprocessing.StandardScaler`. A transformer of your own needs `inverse_transform`, and must
        treat each column by itself and keep its order, for quantiles. A loss for values that are not negative needs
        None, or one that leaves them so, such as :class:`~sklearn.preprocessing.MaxAbsScaler`.
    window_normalization : {'last', 'instance'} or None, default=None
        What is taken out of each window, of its y too, and put back into the forecast, so that a series may leave the
        range it was trained on:

        - 'last': the last value of the window (NLinear, Zeng et al., 2023).
        - 'instance': its mean and standard deviation (RevIN without its weights, Kim et al., 2022). To the variance
          1e-5 of that of the training series is added.

        Without it windows are a view of the series. With it they are an array of their own, as large as its shape says.

    Attributes
    ----------
    estimator_ : estimator
        The fitted regressor.
    scaler_ : transformer or None
        The fitted scaler.
    levels_ : ndarray of shape (n_quantiles,) or None
        The quantiles that `estimator_` predicts, ascending; None if it predicts one value.
    n_features_in_ : int
        Number of columns of the series.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if all are strings.

    See Also
    --------
    forecast_scorer : Other scores for searches.
    make_windows : Windows alone.
    Backtest : What :meth:`backtest` returns.

    References
    ----------
    Zeng et al. (2023), "Are transformers effective for time series forecasting?", AAAI, arXiv:2205.13504.

    Kim et al. (2022), "Reversible instance normalization for accurate time-series forecasting against distribution
    shift", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skneural.timeseries import Forecaster
    >>> flatten = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    >>> trend = np.arange(100.0)
    >>> model = Forecaster(make_pipeline(flatten, Ridge()), lookback=8, horizon=3, window_normalization="last")
    >>> model.fit(trend).predict().round(6)
    array([100., 101., 102.])
    >>> model.predict(trend + 1000).round(6)
    array([1100., 1101., 1102.])
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"]), None],
        "lookback": COUNT,
        "horizon": COUNT,
        "target": "no_validation",  # target_positions does it
        "scaler": [StrOptions({"standard"}), HasMethods(["fit", "transform", "inverse_transform"]), None],
        "window_normalization": [StrOptions({"last", "instance"}), None],
    }
    # The series is what others call X: no metadata to be routed.
    __metadata_request__fit = __metadata_request__predict = __metadata_request__score = {"series": UNUSED}

    def __init__(
        self,
        estimator: BaseEstimator | None = None,
        lookback: int = 60,
        horizon: int = 10,
        *,
        target: Any = None,
        scaler: Any = "standard",
        window_normalization: str | None = None,
    ) -> None:
        self.estimator = estimator
        self.lookback = lookback
        self.horizon = horizon
        self.target = target
        self.scaler = scaler
        self.window_normalization = window_normalization

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, series: ArrayLike, y: None = None, *, series_val: ArrayLike | None = None, **fit_params: Any) -> Self:
        """Fit the regressor to all windows of a series.

        Parameters
        ----------
        series : array-like of shape (n_rows,) or (n_rows, n_features), table of pandas, polars or pyarrow
            The training series, at least ``lookback + horizon`` rows. float32 stays float32.
        y : None
            Not used; searches give it.
        series_val : like `series`, default=None
            The rows right after the training series, at least `horizon`: their windows become the `X_val` and `y_val`
            of the regressor, or of the last step of a pipeline.
        **fit_params
            Handed on to the regressor's `fit` as they are: ``sample_weight`` has an entry for each of the
            ``n_rows - lookback - horizon + 1`` windows.

        Returns
        -------
        self : object
            The fitted forecaster.

        Raises
        ------
        TypeError
            If the series, a column of it or its index are of a type that is no number and no time.
        ValueError
            If a series is too short, has missing or infinite values or an irregular index, if `series_val` does not
            follow on, if `target` is no column, or if a parameter is out of range; if the scaler makes missing values,
            or others than the regressor can have; within a search whose scores would be none, see
            :func:`forecast_scorer`.
        """
        check_search(self)
        series, targets, alone = read_training_series(series, self.target, self.lookback, self.horizon)
        end = end_of(series, self.lookback)
        regressor = self._regressor()
        check_weights(fit_params, len(series), self.lookback, self.horizon)
        cut = later = None
        if series_val is not None:
            check_takes_validation(regressor)
            later = continued(end, series_val, self.lookback, self.horizon)
        else:
            cut, fit_params = hold_out(regressor, fit_params, len(series), self.lookback, self.horizon)
            if cut is not None:
                later = series.values[cut - self.lookback :]
        scaling = Scaling(self.scaler, self.window_normalization, targets)
        train = self._windows(scaling, scaling.fit(series.values[:cut]))
        held_out = None
        if later is not None:
            held_out = self._windows(scaling, scaling.scale(later))
        try:
            self.estimator_ = fit_regressor(regressor, *train, held_out, fit_params)
        except Exception as error:
            hint = hint_at(error, train, held_out, series.values[:, targets], self)
            if hint is None:
                raise
            raise ValueError(f"{error} {hint}") from error
        self.scaler_ = scaling.scaler
        self.n_features_in_ = series.values.shape[1]
        levels = levels_of(self.estimator_)
        self.levels_ = None if levels is None else np.sort(levels)
        vars(self).pop("feature_names_in_", None)
        if series.names and all(isinstance(name, str) for name in series.names):
            self.feature_names_in_ = np.array(series.names, dtype=object)
        self._scaling = scaling
        self._end = end
        self._targets = targets
        self._alone = alone
        self._lookback = self.lookback
        self._horizon = self.horizon
        return self

    def predict(self, series: ArrayLike | None = None) -> Any:
        """Forecast the next `horizon` steps.

        Parameters
        ----------
        series : like that of :meth:`fit`, default=None
            What to continue: at least `lookback` rows with the columns of the training series. Only the last
            `lookback` count. None for the training series.

        Returns
        -------
        forecast : ndarray, pandas Series or DataFrame of shape (horizon,) or (horizon, n_targets)
            In units of the data; of quantiles, the one nearest to the median. One-dimensional for a series in one
            dimension, or for a `target` that is not in a list. For a series of pandas an object of pandas, with the
            index that continues that of the series; else an array.

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.
        TypeError, ValueError
            As in :meth:`fit`, or if the series has other columns or other steps of time than the training series.
        """
        history, points, _ = self._next(series)
        names = self._target_names(history)
        return points_as_given(points[0], history, names, self._alone)

    @available_if(_has_quantiles)
    def predict_quantiles(self, series: ArrayLike | None = None) -> Any:
        """Forecast quantiles of the next `horizon` steps.

        There is this method if the regressor predicts several: it has ``loss='quantile'`` and a sequence `quantiles`.

        Parameters
        ----------
        series : like that of :meth:`fit`, default=None
            What to continue, as in :meth:`predict`.

        Returns
        -------
        quantiles : ndarray or pandas DataFrame of shape (horizon, n_quantiles) or (horizon, n_targets, n_quantiles)
            In units of the data and in the order of `levels_`, which name the columns of a DataFrame. That of several
            targets has columns of two levels, target and quantile.

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.
        TypeError, ValueError
            As in :meth:`predict`.
        """
        history, _, quantiles = self._next(series)
        names = self._target_names(history)
        return quantiles_as_given(quantiles[0], history, names, self._alone, self.levels_)

    def score(self, series: ArrayLike, y: None = None) -> float:
        """R2 of all forecasts of a series that follows on the training series.

        There is one from each row of it that has ``horizon - 1`` rows after it; each knows the rows before, at first
        those of the training series. So ``GridSearchCV(Forecaster(...), grid, cv=TimeSeriesSplit())`` works, with this
        score; :func:`forecast_scorer` makes others. Scores of the training series mean nothing, since it does not
        follow on itself.

        Parameters
        ----------
        series : like that of :meth:`fit`
            The rows right after the training series, at least `horizon`. If both have an index, that is checked; a
            series without one (an array) is taken to be just that.
        y : None
            Not used; searches give it.

        Returns
        -------
        float
            R2 over all steps and origins, mean over the targets.

        Raises
        ------
        NotFittedError
            If the forecaster is not fitted.
        TypeError, ValueError
            As in :meth:`predict`, or if the series is shorter than `horizon`, overlaps the training series or leaves a
            gap after it.
        """
        return float(r2_score(*self._followed(series)))

    def backtest(self, series: ArrayLike, test_size: int | float, step: int = 1, *, season: int = 1) -> Backtest:
        """Fit a clone to the beginning of a series, and compare its forecasts of the rest with what came.

        Parameters
        ----------
        series : like that of :meth:`fit`
            Training part and test part.
        test_size : int or float
            Rows of the test part, at least `horizon`, or its share of the series, in (0, 1), which is rounded up.
        step : int, default=1
            Rows between neighbouring origins, the first of which is the first row of the test part. The last is the
            last one that has the whole horizon within the series.
        season : int, default=1
            Rows of a season, for the naive forecast and the scaled error: 1 for none, 12 for months, 24 for hours.

        Returns
        -------
        Backtest
            Forecasts, what came, and measures of the errors. This forecaster itself is left as it is.

        Raises
        ------
        TypeError, ValueError
            As in :meth:`fit`, or if a part is too short, or a number out of range.
        """
        self._validate_params()
        return backtest_of(self, series, test_size, step, season)

    def _regressor(self):
        """What is to be fitted."""
        if self.estimator is not None:
            return clone(self.estimator)
        from skneural import LSTMRegressor

        return LSTMRegressor()

    def _windows(self, scaling, scaled):
        """X and y of a scaled series."""
        X = windows_of(scaled, self.lookback, self.horizon)
        y = targets_of(scaled, scaling.targets, self.lookback, self.horizon)
        X, y, _, _ = scaling.normalize(X, y)
        return X, as_y(y)

    def _next(self, series):
        """What is continued, and the forecast: values and quantiles of shape (1, horizon, n_targets, ...)."""
        check_is_fitted(self)
        history = self._end
        if series is not None:
            history = read_series(series, like=self._end)
            check_rows(history, self._lookback, f"lookback={self._lookback}")
            check_finite(history, len(history) - self._lookback)
        scaled = self._scaling.scale(history.values[-self._lookback :])
        points, quantiles = self._forecast(windows_of(scaled, self._lookback))
        return history, points, quantiles

    def _roll(self, values, step):
        """Forecasts from all origins after the first `lookback` rows, their quantiles, and what came."""
        scaled = self._scaling.scale(values)
        X = windows_of(scaled, self._lookback, self._horizon, step)
        points, quantiles = self._forecast(X)
        actual = targets_of(values, self._targets, self._lookback, self._horizon, step)
        return points, quantiles, np.array(actual).reshape(points.shape)

    def _followed(self, series):
        """What came in a series that follows on the training series, and the forecasts of it, row by row."""
        check_is_fitted(self)
        values = continued(self._end, series, self._lookback, self._horizon)
        points, _, actual = self._roll(values, 1)
        n_targets = len(self._targets)
        shape = -1 if n_targets == 1 else (-1, n_targets)
        return actual.reshape(shape), points.reshape(shape)

    def __sklearn_tags__(self):
        # Of all that a cross-validation does, only this comes before the first fit and may raise for good.
        check_search(self)
        return super().__sklearn_tags__()

    def _forecast(self, windows):
        """Forecasts of shape (n_windows, horizon, n_targets), and their quantiles or None, in units of the data."""
        X, _, offset, spread = self._scaling.normalize(windows)
        predicted = np.asarray(self.estimator_.predict(X))
        levels = levels_of(self.estimator_)
        n_levels = 1 if levels is None else len(levels)
        shape = (len(X), self._horizon, len(self._targets), n_levels)
        if predicted.size != math.prod(shape):
            raise ValueError(
                f"The regressor predicts an array of shape {predicted.shape} for {len(X)} windows; it should have "
                f"{math.prod(shape[1:])} numbers for each: (horizon, n_targets, n_quantiles) is {shape[1:]}."
            )
        quantiles = self._scaling.restore(predicted.reshape(shape), offset, spread)
        if levels is None:
            return quantiles[..., 0], None
        quantiles = quantiles[..., np.argsort(levels)]
        nearest = np.abs(self.levels_ - 0.5).argmin()
        return quantiles[..., nearest], quantiles

    def _target_names(self, history):
        """What the targets are called: as in the series, else as in the training series, else by position."""
        names = history.names or self._end.names or range(self.n_features_in_)
        return [names[position] for position in self._targets]
