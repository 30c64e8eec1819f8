"""warm_start: every fit goes on from the weights before, and stops by its own losses or scores."""

import numpy as np
import pytest
from conftest import KINDS, assert_same_bits, estimator_for, problem
from sklearn.exceptions import ConvergenceWarning

from skneural import GRURegressor, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SETTINGS = {"hidden_layer_sizes": (8,), "learning_rate_init": 0.02, "random_state": 0, "warm_start": True}


def series(shift, seed=0, n=80):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    return X, X[:, 0] - X[:, 1] + shift


def fit(est, shift, with_validation):
    X, y = series(shift)
    if with_validation:
        X_val, y_val = series(shift, seed=1)
        return est.fit(X, y, X_val=X_val, y_val=y_val)
    return est.fit(X, y)


@pytest.mark.parametrize("how", ["validation data", "early_stopping", "training loss"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_fit_to_shifted_data_learns(how, solver):
    if how == "early_stopping" and solver == "lbfgs":
        return  # which has none
    est = MLPRegressor(**SETTINGS, solver=solver, max_iter=400, early_stopping=how == "early_stopping")
    fit(est, 0.0, how == "validation data")
    X, y = series(5.0)
    far = ((est.predict(X) - y) ** 2).mean()
    fit(est, 5.0, how == "validation data")
    assert ((est.predict(X) - y) ** 2).mean() < 0.05 * far
    assert est.n_iter_ > est.n_iter_no_change or solver == "lbfgs"


@pytest.mark.parametrize("how", ["validation data", "early_stopping"])
def test_the_best_epoch_is_one_of_this_fit(how):
    est = MLPRegressor(**SETTINGS, max_iter=60, early_stopping=how == "early_stopping")
    fit(est, 0.0, how == "validation data")
    first, before = est.best_validation_score_, len(est.validation_scores_)
    assert first == max(est.validation_scores_)
    est.set_params(max_iter=3)
    fit(est, 5.0, how == "validation data")
    of_this_fit = est.validation_scores_[before:]
    assert len(of_this_fit) == 3
    assert est.best_validation_score_ == max(of_this_fit) < first


def test_curves_go_on_and_the_best_loss_is_of_the_last_fit():
    est = MLPRegressor(**SETTINGS, max_iter=40)
    fit(est, 0.0, False)
    curve = list(est.loss_curve_)
    assert est.best_loss_ == min(curve)
    est.set_params(max_iter=5)
    fit(est, 5.0, False)
    assert est.loss_curve_[: len(curve)] == curve
    assert est.n_iter_ == 5
    assert len(est.loss_curve_) == len(est.history_["loss"]) == len(curve) + 5
    assert est.best_loss_ == min(est.loss_curve_[len(curve) :]) > min(curve)


def test_what_a_fit_without_validation_data_says_of_it():
    est = MLPRegressor(**SETTINGS, max_iter=5)
    fit(est, 0.0, True)
    assert est.best_loss_ is None
    fit(est, 0.0, False)
    assert est.best_validation_score_ is None
    assert est.best_loss_ == min(est.loss_curve_[5:])
    assert len(est.validation_scores_) == 10
    assert np.isnan(est.validation_scores_[5:]).all()


def test_sequences_and_classes_too():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 4, 1)), rng.normal(size=40)
    est = GRURegressor((4,), max_iter=60, warm_start=True, learning_rate_init=0.02, random_state=0, tol=0.5)
    assert est.fit(X, y).n_iter_ < 60
    assert est.fit(X, y + 3).n_iter_ > est.n_iter_no_change
    X, labels = series(0.0)[0], series(0.0)[1] > 0
    clf = MLPClassifier(**SETTINGS, max_iter=200).fit(X, labels, X_val=X, y_val=labels)
    assert clf.fit(X, ~labels, X_val=X, y_val=~labels).score(X, ~labels) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_fit_begins_its_patience_anew(kind):
    X, y, _ = problem(kind)
    est = estimator_for(kind)(
        hidden_layer_sizes=(4,), tol=10.0, n_iter_no_change=2, max_iter=20, warm_start=True, random_state=0
    )
    counts = [est.fit(X, y).n_iter_ for _ in range(3)]
    assert counts == counts[:1] * 3


def test_partial_fit_is_not_concerned():
    X, y = series(0.0)
    est, other = (MLPRegressor(**SETTINGS, max_iter=3).fit(X, y) for _ in range(2))
    best = est.best_loss_
    est.partial_fit(X, y + 100)
    assert est.best_loss_ == best
    assert_same_bits(est, other.set_params(warm_start=False).partial_fit(X, y + 100))


def test_a_fit_that_fails_leaves_the_weights():
    def fails(est, X, y):
        raise LookupError

    X, y = series(0.0)
    est = MLPRegressor(**SETTINGS, max_iter=3).fit(X, y)
    before, seen = [w.copy() for w in est.coefs_], est.coefs_[0]
    moments = est._state.s.copy()
    est.set_params(scoring=fails)
    calls = [
        lambda: est.fit(X, y, X_val=X, y_val=y),
        lambda: est.set_params(score_training=True).fit(X, y),
        lambda: est.partial_fit(X, y),
    ]
    for call in calls:
        with pytest.raises(LookupError):
            call()
        assert all(np.array_equal(a, b) for a, b in zip(before, est.coefs_, strict=True))
        assert est.coefs_[0] is seen
        assert np.array_equal(est._state.s, moments)
        assert len(est.loss_curve_) == 3


def test_warnings_point_to_the_call_of_the_user():
    X, y = series(0.0)
    with pytest.warns(ConvergenceWarning) as caught:
        MLPRegressor(**SETTINGS, max_iter=1).fit(X, y)
    assert caught[0].filename == __file__
    for method in ("fit", "partial_fit"):
        with pytest.warns(UserWarning, match="batch_size") as caught:
            getattr(MLPRegressor(**SETTINGS, max_iter=1, batch_size=1000), method)(X, y)
        assert caught[0].filename == __file__
