"""Searches and cross-validation of forecasters: scores by any metric, and refusals before anything is fitted."""

import numpy as np
import pytest
from joblib import parallel_config
from numpy.testing import assert_allclose
from sklearn.dummy import DummyRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import Ridge
from sklearn.metrics import (
    get_scorer,
    make_scorer,
    max_error,
    mean_absolute_error,
    mean_pinball_loss,
    r2_score,
    root_mean_squared_error,
)
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skneural.timeseries import Forecaster, forecast_scorer, make_windows

FLATTEN = FunctionTransformer(lambda X: X.reshape(len(X), -1))
SERIES = 10 + np.sin(np.arange(220) * np.pi / 12) + np.random.default_rng(0).normal(scale=0.1, size=220)
GRID = {"lookback": [2, 24]}
CV = TimeSeriesSplit(3)


class Never(DummyRegressor):
    """A regressor that must not be fitted."""

    def fit(self, X, y):
        raise AssertionError("was fitted")


def forecaster(**settings):
    return Forecaster(**{"estimator": make_pipeline(FLATTEN, Ridge()), "lookback": 2, "horizon": 4, **settings})


def by_hand(metric, lookback, horizon=4, series=SERIES):
    """A metric of all forecasts of each test part."""
    values = []
    for train, test in CV.split(series):
        model = forecaster(lookback=lookback, horizon=horizon).fit(series[train])
        origins = range(test[0], test[-1] - horizon + 2)
        forecasts = np.concatenate([model.predict(series[:origin]) for origin in origins])
        actual = np.concatenate([series[origin : origin + horizon] for origin in origins])
        values.append(metric(actual, forecasts))
    return values


@pytest.mark.parametrize(("scoring", "metric"), [
    ("neg_mean_absolute_error", lambda y, p: -mean_absolute_error(y, p)),
    ("neg_root_mean_squared_error", lambda y, p: -root_mean_squared_error(y, p)),
    ("neg_max_error", lambda y, p: -max_error(y, p)),
    ("r2", r2_score),
    (None, r2_score),
    (get_scorer("neg_median_absolute_error"), lambda y, p: -np.median(np.abs(y - p))),
    (make_scorer(mean_pinball_loss, alpha=0.9), lambda y, p: mean_pinball_loss(y, p, alpha=0.9)),
    (make_scorer(lambda y, p: np.mean(y - p)), lambda y, p: np.mean(y - p)),
])  # fmt: skip
def test_scores_are_those_of_the_metric(scoring, metric):
    scores = cross_val_score(forecaster(lookback=24), SERIES, cv=CV, scoring=forecast_scorer(scoring))
    assert_allclose(scores, by_hand(metric, 24))
    if scoring is None:
        assert_allclose(cross_val_score(forecaster(lookback=24), SERIES, cv=CV), scores)


@pytest.mark.parametrize("search", [
    lambda model, **given: GridSearchCV(model, GRID, **given),
    lambda model, **given: GridSearchCV(model, GRID, n_jobs=2, **given),
    lambda model, **given: RandomizedSearchCV(model, GRID, n_iter=2, **given),
])  # fmt: skip
def test_searches_end_with_the_best(search):
    with parallel_config("threading"):  # processes take their time to start
        found = search(forecaster(), cv=CV, scoring=forecast_scorer("neg_mean_absolute_error")).fit(SERIES)
    assert found.best_params_ == {"lookback": 24}
    assert (found.cv_results_["mean_test_score"] < 0).all()
    assert found.predict(SERIES).shape == (4,)


def test_several_metrics():
    names = ["neg_mean_absolute_error", "r2"]
    for scoring in (forecast_scorer(names), {name: forecast_scorer(name) for name in names}):
        search = GridSearchCV(forecaster(), GRID, cv=CV, scoring=scoring, refit="r2").fit(SERIES)
        assert search.best_params_ == {"lookback": 24}
        for name in names:
            alone = cross_val_score(forecaster(lookback=24), SERIES, cv=CV, scoring=forecast_scorer(name))
            assert search.cv_results_[f"mean_test_{name}"][1] == pytest.approx(alone.mean())


def test_several_targets_and_frames():
    pandas = pytest.importorskip("pandas")
    times = pandas.date_range("2024-01-01", periods=220, freq="h")
    frame = pandas.DataFrame({"a": SERIES, "b": -SERIES}, times)
    for series in (frame, frame["a"], frame.to_numpy()):
        scores = cross_val_score(forecaster(lookback=24), series, cv=CV, scoring=forecast_scorer("r2"))
        assert_allclose(scores, by_hand(r2_score, 24), rtol=0.1)


def test_pipeline_around_a_forecaster():
    model = make_pipeline(FunctionTransformer(np.log), forecaster(lookback=24))
    scorer = forecast_scorer("neg_mean_absolute_error")
    alone = cross_val_score(forecaster(lookback=24), np.log(SERIES), cv=CV, scoring=scorer)
    assert_allclose(cross_val_score(model, SERIES, cv=CV, scoring=scorer), alone)
    with pytest.raises(ValueError, match="forecast_scorer"):
        cross_val_score(model, SERIES, cv=CV, scoring="neg_mean_absolute_error")


REFUSED = {
    "a name": lambda model: GridSearchCV(model, GRID, cv=CV, scoring="neg_mean_absolute_error").fit(SERIES),
    "a scorer": lambda model: GridSearchCV(model, GRID, cv=CV, scoring=make_scorer(r2_score)).fit(SERIES),
    "with y": lambda model: GridSearchCV(model, GRID, cv=CV, scoring="r2").fit(SERIES, SERIES),
    "several": lambda model: GridSearchCV(model, GRID, cv=CV, scoring=["r2", "neg_max_error"], refit="r2").fit(SERIES),
    "at random": lambda model: RandomizedSearchCV(model, GRID, n_iter=2, cv=CV, scoring="r2").fit(SERIES),
    "in parallel": lambda model: GridSearchCV(model, GRID, cv=CV, scoring="r2", n_jobs=2).fit(SERIES),
    "scores": lambda model: cross_val_score(model, SERIES, cv=CV, scoring="r2"),
    "validation": lambda model: cross_validate(model, SERIES, cv=CV, scoring=("r2", "neg_max_error")),
    "a curve": lambda model: validation_curve(
        model, SERIES, None, param_name="lookback", param_range=[2, 24], cv=CV, scoring="r2"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_scorers_of_rows_are_refused(name):
    refused = pytest.raises(ValueError, match=r"compares what predict makes of X with y.*forecast_scorer\(")
    with parallel_config("threading"), refused:
        REFUSED[name](Forecaster(Never(), 2, 4))


@pytest.mark.parametrize("call", [
    lambda model: GridSearchCV(model, GRID).fit(SERIES),
    lambda model: GridSearchCV(model, GRID, cv=KFold(4, shuffle=True, random_state=0)).fit(SERIES),
    lambda model: cross_val_score(model, SERIES, cv=TimeSeriesSplit(3, gap=1)),
    lambda model: cross_val_score(model, SERIES, cv=[(np.arange(220) < 100, np.arange(220) > 100)]),
    lambda model: learning_curve(model, SERIES, None, cv=CV),
    lambda model: HalvingGridSearchCV(model, GRID, cv=CV, random_state=0).fit(SERIES),
])  # fmt: skip
def test_splits_out_of_time_are_refused(call):
    with pytest.raises(ValueError, match=r"must be neighbours.*TimeSeriesSplit"):
        call(Forecaster(Never(), 2, 4))


def test_parts_that_are_too_short():
    short, long = TimeSeriesSplit(3, test_size=3), TimeSeriesSplit(10)
    with pytest.raises(ValueError, match="test part of a split has 3 rows, lookback=2 with horizon=4 needs at least 4"):
        GridSearchCV(Forecaster(Never(), 2), {"horizon": [4, 2]}, cv=short).fit(SERIES)
    with pytest.raises(ValueError, match="training part of a split has 20 rows, lookback=24 with horizon=4 needs"):
        GridSearchCV(Forecaster(Never(), 2, 4), {"lookback": [24, 60]}, cv=long).fit(SERIES)
    for grid, cv in [({"horizon": [2, 4]}, short), ({"lookback": [2, 60]}, long)]:  # only the second ones are
        with pytest.warns(match=r"failed|non-finite"):
            search = GridSearchCV(forecaster(), grid, cv=cv).fit(SERIES)
        assert search.best_index_ == 0
        assert np.isfinite(search.cv_results_["mean_test_score"]).tolist() == [True, False]


def test_other_calls_are_left_alone():
    class Around(DummyRegressor):
        """A regressor that forecasts while it is fitted."""

        def fit(self, X, y):
            forecaster().fit(SERIES)
            return super().fit(X, y)

    X, y = make_windows(SERIES, 3)
    assert cross_val_score(Around(), X, y, cv=KFold(3), scoring="r2").shape == (3,)
    inner = GridSearchCV(make_pipeline(FLATTEN, Ridge()), {"ridge__alpha": [1, 2]}, scoring="r2")
    assert cross_val_score(forecaster(estimator=inner), SERIES, cv=CV).shape == (3,)
    halving = HalvingGridSearchCV(
        forecaster(lookback=24),
        {"estimator__ridge__alpha": [1e9, 1]},
        cv=CV,
        resource="horizon",
        min_resources=4,
        max_resources=8,
    )
    assert halving.fit(SERIES).best_params_["estimator__ridge__alpha"] == 1


@pytest.mark.parametrize("scoring", ["no such name", "accuracy", "roc_auc", mean_absolute_error, 3, ["r2", "f1"]])
def test_scorers_that_are_none(scoring):
    with pytest.raises(ValueError, match="scoring"):
        forecast_scorer(scoring)
