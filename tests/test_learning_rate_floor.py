"""A floor of the learning rate, and two patiences: that of stopping, and that of the rate."""

import numpy as np
import pytest
from conftest import estimator_for, problem
from numpy.testing import assert_allclose
from sklearn.utils._param_validation import InvalidParameterError
from test_schedules import rates_of

from skneural.maths.schedules import SCHEDULES
from skneural.maths.stopping import count_epoch

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (7, 4), "random_state": 0, "batch_size": 16}
#: The rate falls every second epoch, since no epoch is better by so much.
FALLING = {"tol": 10.0, "n_iter_no_change": np.inf, "decay_epochs": 1, "learning_rate_init": 0.001}


def fitted(kind="multiclass", **settings):
    X, y, _ = problem(kind)
    return estimator_for(kind)(**{**SMALL, **settings}).fit(X, y)


@pytest.mark.parametrize("floor", ["auto", 0.0, 1e-7, 3e-5])
def test_plateau_comes_down_to_the_floor_and_no_further(floor):
    est = fitted(learning_rate="plateau", min_learning_rate=floor, max_iter=20, **FALLING)
    lowest = 1e-6 if floor == "auto" else floor
    rates = np.array(est.history_["learning_rate"])
    assert_allclose(rates[1::2], np.maximum(0.001 * 0.1 ** np.arange(10), lowest), rtol=1e-12)


@pytest.mark.parametrize("floor", [0.0, 1e-4])
def test_adaptive_stops_at_the_floor(floor):
    settings = FALLING | {"n_iter_no_change": 1, "max_iter": 30}
    est = fitted(learning_rate="adaptive", min_learning_rate=floor, **settings)
    rates = np.array(est.history_["learning_rate"])
    levels = rates[np.r_[True, np.diff(rates) != 0]]
    if floor:
        assert_allclose(levels, [0.001, 0.0002, 0.0001], rtol=1e-12)
        assert est.n_iter_ < 30
    else:
        assert_allclose(levels, 0.001 / 5.0 ** np.arange(len(levels)), rtol=1e-12)
        assert levels[-1] < 1e-7
        assert est.n_iter_ == 30


def test_adaptive_stops_as_in_scikit_learn_by_default():
    settings = FALLING | {"n_iter_no_change": 1, "max_iter": 30}
    rates = fitted(learning_rate="adaptive", **settings).history_["learning_rate"]
    assert min(rates) == pytest.approx(0.001 / 5**5)  # the first one below 1e-6


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_no_schedule_goes_below_the_floor(kind, warmup):
    floor = 0.03
    settings = {"warmup": warmup, "decay_epochs": 2, "decay_factor": 0.5}
    plain = rates_of(kind, **settings).ravel()
    rates = rates_of(kind, **settings, min_learning_rate=floor).ravel()
    share = np.ones(70)
    if warmup and not SCHEDULES[kind].rises:  # it begins at 0
        share = np.minimum(np.arange(1, 71) / 14, 1)
    assert_allclose(rates, np.maximum(plain / share, floor) * share, rtol=1e-12)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_rate_below_the_floor_stays(kind):
    rates = rates_of(kind, initial=1e-3, min_learning_rate=0.5)
    assert (rates == 1e-3).all()


@pytest.mark.parametrize("floor", [-1e-9, np.nan, "none", None])
def test_floors_that_are_refused(floor):
    with pytest.raises(InvalidParameterError, match="The 'min_learning_rate' parameter of MLPClassifier must be"):
        fitted(min_learning_rate=floor)


def test_a_fit_goes_on_at_the_floor():
    X, y, _ = problem("regression")
    settings = {**SMALL, **FALLING, "learning_rate": "plateau", "min_learning_rate": 2e-5, "max_iter": 12}
    whole = estimator_for("regression")(**settings).fit(X, y)
    parts = estimator_for("regression")(**settings)
    for _ in range(12):
        parts.partial_fit(X, y)
    assert parts.history_["learning_rate"] == whole.history_["learning_rate"]
    assert min(whole.history_["learning_rate"]) == pytest.approx(2e-5)


# -- two patiences -----------------------------------------------------------------------------------------------------


def test_stopping_and_the_rate_have_patiences_of_their_own():
    # Early stopping with patience 10 and the best weights; the rate times 0.2 after 5 epochs without a better
    # validation loss, not below 1e-7.
    X, y, _ = problem("multiclass", n_samples=300)
    held_out = {"X_val": X[200:], "y_val": y[200:]}
    settings = {
        "scoring": "loss", "n_iter_no_change": 10, "learning_rate": "plateau", "decay_factor": 0.2, "decay_epochs": 5,
        "min_learning_rate": 1e-7, "learning_rate_init": 0.1, "tol": 1e-3, "max_iter": 300, "hidden_layer_sizes": 32,
        "random_state": 0, "batch_size": 16,
    }  # fmt: skip
    est = estimator_for("multiclass")(**settings).fit(X[:200], y[:200], **held_out)
    expected, rate = [], 0.1
    lowest_for = {"rate": np.inf, "stop": np.inf}
    waited = {"rate": 0, "stop": 0}
    for loss in est.validation_loss_curve_:
        expected.append(rate)
        for what in waited:
            lowest_for[what], waited[what] = count_epoch(loss, lowest_for[what], waited[what], 1e-3)
        if waited["rate"] > 5:
            rate, waited["rate"] = max(0.2 * rate, 1e-7), 0
    assert_allclose(est.history_["learning_rate"], expected, rtol=1e-12)
    assert len(set(expected)) >= 2
    assert waited["stop"] == 11  # the first epoch beyond the patience is the last
    assert est.n_iter_ < 300
    best = min(est.validation_loss_curve_)
    probabilities = est.predict_proba(X[200:])[np.arange(100), np.searchsorted(est.classes_, y[200:])]
    assert -np.log(probabilities).mean() == pytest.approx(best, rel=1e-6)
