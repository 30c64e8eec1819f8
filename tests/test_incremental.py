"""partial_fit call by call: what it remembers, what it keeps, and that it learns what it is given."""

import gc
import pickle
import weakref

import numpy as np
import pytest
import sklearn
from conftest import assert_same_bits, parameters
from sklearn.utils._param_validation import InvalidParameterError

from skneural import LSTMClassifier, MLPClassifier, MLPRegressor, save
from skneural.backends.cpu import engine
from skneural.estimators._base import BaseNetwork
from skneural.training import history

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), RNG.normal(size=40)
LABELS = np.arange(40) % 3


def one_by_one(est, rows=range(6), **first):
    for i in rows:
        est.partial_fit(X[i : i + 1], Y[i : i + 1], **(first if i == 0 else {}))
    return est


def regressor(**settings):
    return MLPRegressor(**{"hidden_layer_sizes": (4,), "random_state": 0, **settings})


@pytest.fixture
def counts(monkeypatch):
    """How many times parameters were validated, and trainers and programs were made."""
    counted = {"validated": 0, "trainers": 0, "lowered": 0}

    def count(cls, method, name):
        original = getattr(cls, method)

        def counting(self, *args, **kwargs):
            counted[name] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(cls, method, counting)

    count(BaseNetwork, "_validate_params", "validated")
    count(BaseNetwork, "_lower", "lowered")
    count(engine.Trainer, "__init__", "trainers")
    return counted


# -- what is kept from call to call ------------------------------------------------------------------------------------


def test_only_the_first_call_validates_and_builds(counts):
    one_by_one(regressor(), rows=range(10))
    assert counts["lowered"] == counts["trainers"] == 1
    assert counts["validated"] == 1


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"solver": "sgd"}, {"dropout": 0.5}, {"normalization": "layer"}, {"clip_norm": 0.1}, {"max_norm": 0.5},
        {"hidden_layer_sizes": [5, 5, 5], "residual": True}, {"monitor_gradients": True},
        {"learning_rate": "invscaling"}, {"shuffle": False}, {"random_state": None},
    ],
)  # fmt: skip
def test_a_kept_trainer_learns_to_the_same_bits(settings):
    """As one that is made anew for every call, in an estimator that was pickled."""
    est = regressor(**settings)
    est.partial_fit(X[:5], Y[:5])
    other = pickle.loads(pickle.dumps(est))
    for start, end in [(5, 10), (10, 15), (15, 20), (20, 21), (21, 22), (22, 27)]:
        est.partial_fit(X[start:end], Y[start:end])
        other = pickle.loads(pickle.dumps(other)).partial_fit(X[start:end], Y[start:end])
    assert_same_bits(est, other)
    assert est.history_["loss"] == other.history_["loss"] == est.loss_curve_
    assert est.t_ == other.t_ == 27


def test_weights_changed_between_calls_count():
    est, other = one_by_one(regressor()), one_by_one(regressor())
    est.coefs_[1][:] *= 2  # in place: the next step must go back through these
    other = pickle.loads(pickle.dumps(other))
    other.coefs_ = [other.coefs_[0].copy(), 2 * other.coefs_[1]]
    for _ in range(2):
        est.partial_fit(X[6:7], Y[6:7])
        other.partial_fit(X[6:7], Y[6:7])
    np.testing.assert_array_equal(parameters(est), parameters(other))


def test_a_fit_between_calls_begins_anew():
    est = one_by_one(regressor(max_iter=2, tol=10.0, n_iter_no_change=1))
    est.fit(X, Y)
    fresh = regressor(max_iter=2, tol=10.0, n_iter_no_change=1).fit(X, Y)
    assert_same_bits(one_by_one(est), one_by_one(fresh))


def test_predictions_follow():
    est = one_by_one(regressor())
    before = est.predict(X)
    est.partial_fit(X[:1], Y[:1] + 10)
    assert not np.array_equal(est.predict(X), before)
    np.testing.assert_array_equal(est.predict(X), pickle.loads(pickle.dumps(est)).predict(X))


def test_nothing_of_the_data_stays_alive():
    class Array(np.ndarray):
        pass

    est = one_by_one(regressor())
    rows, targets, weights = X[:1].copy().view(Array), Y[:1].copy().view(Array), np.ones(1).view(Array)
    watched = [weakref.ref(a) for a in (rows, targets, weights)]
    plain = X[1:2].copy()
    owner = weakref.ref(plain)
    est.partial_fit(rows, targets, weights)
    est.partial_fit(plain, Y[1:2])
    del rows, targets, weights, plain
    gc.collect()
    assert owner() is None
    assert [ref() for ref in watched] == [None] * 3


# -- parameters between calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("alpha", -1.0), ("momentum", 2), ("loss", "none"), ("tol", "small")])
def test_set_params_between_calls_is_validated(name, value):
    est = one_by_one(regressor())
    with pytest.raises(InvalidParameterError, match=name):
        est.set_params(**{name: value}).partial_fit(X[:1], Y[:1])
    assert pickle.loads(pickle.dumps(est)).get_params()[name] == value


def test_set_params_between_calls_counts(counts):
    est = one_by_one(regressor(alpha=0.0))
    other = pickle.loads(pickle.dumps(one_by_one(regressor(alpha=0.0))))
    for changed in ({"alpha": 10.0}, {"clip_norm": 1e-3}, {"dropout": [0.9]}):
        est.set_params(**changed).partial_fit(X[6:7], Y[6:7])
        other = pickle.loads(pickle.dumps(other.set_params(**changed))).partial_fit(X[6:7], Y[6:7])
    assert_same_bits(est, other)
    before = counts["trainers"]
    est.dropout[0] = 0.1  # a list, changed in place
    est.partial_fit(X[6:7], Y[6:7])
    assert counts["trainers"] == before + 1


def test_class_weight_changed_in_place():
    weights = {0: 1.0, 1: 1.0, 2: 1.0}
    est, other = (MLPClassifier((4,), class_weight=weights, random_state=0) for _ in range(2))
    est.partial_fit(X[:5], LABELS[:5], classes=[0, 1, 2])
    other.partial_fit(X[:5], LABELS[:5], classes=[0, 1, 2])
    weights[1] = 9.0
    assert_same_bits(
        est.partial_fit(X[:5], LABELS[:5]), other.set_params(class_weight=dict(weights)).partial_fit(X[:5], LABELS[:5])
    )
    weights[1] = -9.0
    with pytest.raises(ValueError, match="class_weight"):
        est.partial_fit(X[:5], LABELS[:5])


def test_validation_can_be_skipped(counts):
    with sklearn.config_context(skip_parameter_validation=True):
        est = one_by_one(regressor())
        est.set_params(alpha=1.0).partial_fit(X[:1], Y[:1])
    assert counts["validated"] == 0
    est.set_params(alpha=2.0).partial_fit(X[:1], Y[:1])
    assert counts["validated"] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_rows_are_refused_at_every_call(bad):
    est = one_by_one(regressor())
    before = parameters(est)
    for rows, targets in (([[0, bad, 0]], [0.0]), ([[0, 0, 0]], [bad]), ([[0, 0]], [0.0]), (X[:2], Y[:1])):
        with pytest.raises(ValueError, match=r"contains|features|inconsistent"):
            est.partial_fit(np.asarray(rows, float), np.asarray(targets))
    np.testing.assert_array_equal(parameters(est), before)
    one_by_one(est)


# -- classes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [np.array([0, 1, 2]), np.array(["a", "b", "c"]), np.array([0.0, 1.0, 7.0])])
@pytest.mark.parametrize("cls", [MLPClassifier, LSTMClassifier])
def test_a_warm_start_takes_batches_with_a_part_of_the_classes(cls, names):
    data = X if cls is MLPClassifier else X[:, :, None]
    est, other = (cls((4,), warm_start=warm, random_state=0) for warm in (True, False))
    for batch in (slice(0, 9), slice(9, 10), slice(10, 12)):
        for model in (est, other):
            model.partial_fit(data[batch], names[LABELS[batch]], classes=names)
    assert_same_bits(est, other)
    with pytest.raises(ValueError, match="same classes as in the previous call to fit"):
        est.fit(data[:1], names[LABELS[:1]])


def test_labels_may_come_as_a_list():
    est, other = (MLPClassifier((4,), random_state=0) for _ in range(2))
    for i in range(4):
        est.partial_fit(X[i : i + 1], [LABELS[i]], classes=[0, 1, 2])
        other.partial_fit(X[i : i + 1].tolist(), LABELS[i : i + 1], classes=[0, 1, 2])
    assert_same_bits(est, other)
    with pytest.raises(ValueError, match="classes not in"):
        est.partial_fit(X[:1], ["0"])


# -- size --------------------------------------------------------------------------------------------------------------


def test_histories_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "LOSSES_KEPT", 30)
    monkeypatch.setattr(history, "CALLS_KEPT", 10)
    scored = {"score_training": True, "scoring": "neg_mean_squared_error", "monitor_gradients": True}
    est = regressor(**scored, solver="sgd", max_iter=7, tol=0.0)
    est.fit(X, Y)
    of_fit, lately, sizes = list(est.loss_curve_), [], []
    for i in range(60):
        lately.append(est.partial_fit(X[:2], Y[:2]).loss_)
        if i in (39, 59):
            save(est, tmp_path / "model.skn")
            sizes.append((len(pickle.dumps(est)), (tmp_path / "model.skn").stat().st_size))
    assert np.ptp(sizes, axis=0).max() <= 64  # counters of more digits
    assert est.loss_curve_ == of_fit + lately[-30:]
    assert est.history_["loss"] == of_fit + lately[-10:]
    assert {len(values) for values in est.history_.values()} == {7 + 10}


def test_a_fit_keeps_its_whole_history():
    n_epochs = history.LOSSES_KEPT + 100
    est = regressor(max_iter=n_epochs, tol=0.0, n_iter_no_change=np.inf)
    est.fit(X[:4], Y[:4])
    assert len(est.loss_curve_) == len(est.history_["loss"]) == n_epochs
    est.partial_fit(X[:4], Y[:4])
    assert len(est.loss_curve_) == n_epochs + 1


def test_probabilities_of_many_classes_sum_to_one():
    count = 12_000
    rows = RNG.normal(size=(count, 6)).astype(np.float32)
    est = MLPClassifier((), max_iter=1, solver="sgd", learning_rate_init=1e-9, random_state=0)
    est.partial_fit(rows[:50], np.arange(50), classes=np.arange(count))
    for scale in (1, 5, 30):
        proba = est.predict_proba(scale * rows[:60])
        assert proba.dtype == np.float32
        assert np.abs(proba.sum(axis=1, dtype=np.float64) - 1).max() < 2e-7
        np.testing.assert_array_equal(est.predict_proba(scale * rows[7:8])[0], proba[7])
