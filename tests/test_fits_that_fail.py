"""What is left of a fit that fails, of one that is copied, and of trainers that are done."""

import gc
import os
import weakref

import numpy as np
import pytest

from skneural import MLPClassifier, MLPRegressor, load, save
from skneural.backends.cpu import engine
from skneural.callbacks import Checkpoint
from skneural.estimators import _base

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3))
Y = X @ [1.0, -2.0, 0.5]


def small(**settings):
    settings = {"max_iter": 3, "n_iter_no_change": 99, "random_state": 0} | settings
    return MLPRegressor(hidden_layer_sizes=(4,), **settings)


class Listener:
    """A callback that notes when it is set up and torn down."""

    def __init__(self):
        self.heard = []

    def setup(self, estimator, context):
        self.heard.append("setup")

    def teardown(self, estimator, context):
        self.heard.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        """Nothing to do."""

    def on_fit_task_end(self, estimator, context):
        """Nothing to do."""


def failing(est, X, y):
    raise ZeroDivisionError


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("fitted", [False, True])
def test_callbacks_of_a_fit_that_fails_are_torn_down(fitted):
    est, listener = small(), Listener()
    if fitted:
        est.fit(X, Y)
    before = vars(est).copy()
    est.set_params(early_stopping=True, scoring=failing).set_callbacks(listener)
    with pytest.raises(ZeroDivisionError):
        est.fit(X, Y)
    assert listener.heard == ["setup", "teardown"]
    left = vars(est).keys() - before.keys()
    assert left <= {"_skl_callbacks"}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_resumed_fit_that_fails_at_once_leaves_no_trace(tmp_path):
    path = tmp_path / "fit.skn"
    small().set_callbacks(Checkpoint(path)).fit(X, Y)
    est = small(random_state=1).fit(X, Y)
    before = est.coefs_[0].copy()
    est.set_callbacks(Checkpoint(tmp_path / "nowhere" / "fit.skn"))
    with pytest.raises(FileNotFoundError):
        est.set_params(random_state=0, max_iter=9).fit(X, Y, resume_from=path)
    np.testing.assert_array_equal(est.coefs_[0], before)
    assert est._state.run is None


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_subclasses_may_have_a_signature_of_their_own():
    class Small(MLPClassifier):
        def __init__(self, alpha=1e-4):
            super().__init__(hidden_layer_sizes=(5,), alpha=alpha, max_iter=3)

    est = Small(alpha=0.1).fit(X, Y > 0)
    assert est.coefs_[0].shape == (3, 5)
    assert est.partial_fit(X, Y > 0).get_params() == {"alpha": 0.1}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_validated_in_one_fit_and_not_in_the_next(tmp_path):
    est = small(early_stopping=True, warm_start=True).fit(X, Y)
    scores = list(est.validation_scores_)
    est.set_params(early_stopping=False).fit(X, Y)
    assert est.validation_scores_[:3] == scores
    save(est, tmp_path / "est.skn")
    np.testing.assert_array_equal(load(tmp_path / "est.skn").predict(X), est.predict(X))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_trainer_dies_with_its_fit(crews, monkeypatch, n_jobs):
    trainers = []
    close = engine.Trainer.close

    def noted(self):
        trainers.append(weakref.ref(self))
        close(self)

    monkeypatch.setattr(engine.Trainer, "close", noted)
    gc.collect()
    gc.disable()  # no cycle holds it, and with it the data
    try:
        small(n_jobs=n_jobs).fit(X, Y)
        assert [trainer() for trainer in trainers] == [None]
    finally:
        gc.enable()


def test_streams_whose_curves_are_emptied(monkeypatch):
    monkeypatch.setattr("skneural.training.history.LOSSES_KEPT", 3)
    est = small()
    for _ in range(6):
        est.partial_fit(X, Y)
        est.loss_curve_.clear()
    assert est.loss_curve_ == []


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_copies_have_curves_of_their_own():
    from copy import copy

    est = small().fit(X, Y)
    copied = copy(est).partial_fit(X, Y)
    assert len(est.loss_curve_) == len(est.history_["loss"]) == 3
    assert len(copied.loss_curve_) == len(copied.history_["loss"]) == 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_in_the_middle_of_a_fit_is_free_to_fit():
    est = small()
    with _base._alone(est):
        child = os.fork()
        if child == 0:
            os._exit(len(_base._under_way))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with _base._alone(est), pytest.raises(RuntimeError, match="is being fitted"):
        est.fit(X, Y)


def test_renewed_trainers_take_as_many_rows_as_before():
    est = small().partial_fit(X, Y)
    trainer = est._kept.trainer
    rows, targets = X[:30].copy(), Y[:30, None].copy()
    with pytest.raises(ValueError, match="A trainer of 40 rows cannot go on with 30"):
        trainer.renew(rows, targets, None)
