"""What goes wrong on a GPU leaves the estimator usable, and nothing on the device."""

import pickle
import warnings

import numpy as np
import pytest

from skneural import LSTMRegressor, MLPClassifier
from skneural.backends.cuda import engine, hub, memory

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("usable")]

X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def classifier(**changed):
    """A small network on the GPU."""
    facts = {"hidden_layer_sizes": (4,), "max_iter": 3, "batch_size": 8, "random_state": 0, "device": "cuda"}
    return MLPClassifier(**facts | changed)


def fit(clf, *data):
    """Fit without a word about convergence."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
        return clf.fit(*data or (X, Y))


@pytest.fixture
def arenas(monkeypatch):
    """The arenas that are made, to see that each is closed."""
    made = []
    make = memory.Arena.__init__

    def remembered(self, stream):
        made.append(self)
        make(self, stream)

    monkeypatch.setattr(memory.Arena, "__init__", remembered)
    return made


@pytest.mark.slow
def test_fit_and_prediction_leave_nothing_behind(arenas):
    fit(classifier(early_stopping=True)).predict(X)
    assert len(arenas) >= 3
    assert not any(arena.arrays for arena in arenas)


@pytest.mark.slow
def test_agrees_with_the_cpu_and_predicts_there(monkeypatch):
    clf, other = fit(classifier()), fit(classifier(device="cpu"))
    assert (clf.device_, other.device_) == ("cuda:0", "cpu")
    np.testing.assert_allclose(clf.predict_proba(X), other.predict_proba(X), atol=1e-5)
    again = pickle.loads(pickle.dumps(clf))
    monkeypatch.setattr("skneural.backends.devices.problem", lambda index=0: "there is none")
    np.testing.assert_allclose(again.predict_proba(X), other.predict_proba(X), atol=1e-5)
    assert all(type(array) is np.ndarray for array in [*again.coefs_, *again.intercepts_])


@pytest.mark.slow
def test_float64_must_be_asked_for():
    assert fit(classifier(), X.astype(float), Y).coefs_[0].dtype == np.float32
    assert fit(classifier(dtype="float64"), X, Y).coefs_[0].dtype == np.float64


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_epoch(monkeypatch, arenas):
    run, epochs = engine.Trainer._run_epoch, []

    def interrupted(self):
        if len(epochs) == 2:
            raise KeyboardInterrupt
        epochs.append(self.params.copy())
        run(self)

    monkeypatch.setattr(engine.Trainer, "_run_epoch", interrupted)
    monkeypatch.setattr(engine, "CALL_SECONDS", 0)
    with pytest.warns(UserWarning, match="interrupted by user"):
        clf = classifier().fit(X, Y)
    assert clf.n_iter_ == 2
    assert not any(arena.arrays for arena in arenas)
    monkeypatch.undo()
    np.testing.assert_allclose(clf.coefs_[0], fit(classifier(max_iter=2, device="cpu")).coefs_[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("lost")])
def test_fault_before_the_first_epoch_leaves_no_trace(monkeypatch, arenas, error):
    clf = fit(classifier(device="cpu"))
    before = clf.predict_proba(X)

    def fail(self):
        raise error

    monkeypatch.setattr(engine.Trainer, "_run_epoch", fail)
    with pytest.raises(type(error), match=str(error)):
        clf.set_params(device="cuda").fit(X[:, :2], Y)
    np.testing.assert_array_equal(clf.predict_proba(X), before)
    assert not any(arena.arrays for arena in arenas)
    fresh = classifier()
    with pytest.raises(type(error)):
        fresh.fit(X, Y)
    assert not hasattr(fresh, "coefs_")


@pytest.mark.slow
def test_fault_in_the_middle_keeps_what_was_learnt(monkeypatch):
    run, epochs = engine.Trainer._run_epoch, []

    def fail(self):
        if len(epochs) == 2:
            raise RuntimeError("lost")
        epochs.append(1)
        run(self)

    monkeypatch.setattr(engine.Trainer, "_run_epoch", fail)
    monkeypatch.setattr(engine, "CALL_SECONDS", 0)
    clf = classifier(verbose=False)
    with pytest.raises(RuntimeError, match="lost"):
        clf.fit(X, Y)
    assert clf.n_iter_ == 2
    monkeypatch.undo()
    np.testing.assert_allclose(clf.coefs_[0], fit(classifier(max_iter=2, device="cpu")).coefs_[0], atol=1e-5)


def test_too_large_for_the_device_is_refused_with_numbers(monkeypatch, arenas):
    monkeypatch.setattr(hub, "memory_info", lambda: (1000, 10**9))
    with pytest.raises(MemoryError, match=r"has 0\.00 of 1\.00 GB free, and this needs .* batch_size"):
        classifier().fit(X, Y)
    clf = fit(classifier(device="cpu")).set_params(device="cuda")
    clf.device_ = "cuda:0"
    with pytest.raises(MemoryError, match="batch_size"):
        clf.predict(X)
    assert not any(arena.arrays for arena in arenas)


@pytest.mark.slow
def test_capture_that_fails_goes_on_with_launches(monkeypatch):
    def fail(index, start_all):
        raise RuntimeError("no graphs here")

    monkeypatch.setattr(hub, "capture", fail)
    clf = fit(classifier(max_iter=4))
    np.testing.assert_allclose(clf.coefs_[0], fit(classifier(max_iter=4, device="cpu")).coefs_[0], atol=1e-5)


@pytest.mark.slow
def test_sequences_of_different_length():
    rng = np.random.default_rng(1)
    sequences = [rng.normal(size=(length, 2)) for length in (3, 1, 4, 2, 4, 3)]
    y = [s[0, 0] for s in sequences]
    facts = {"hidden_layer_sizes": (3,), "max_iter": 2, "batch_size": 3, "random_state": 0, "dtype": "float64"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        fits = [LSTMRegressor(device=device, **facts).fit(sequences, y) for device in ("cpu", "cuda")]
    np.testing.assert_allclose(fits[1].coefs_[0], fits[0].coefs_[0], atol=1e-12)
    np.testing.assert_allclose(fits[1].predict(sequences), fits[0].predict(sequences), atol=1e-12)


@pytest.mark.slow
def test_windows_of_a_series_stay_windows(monkeypatch):
    from skneural.timeseries import make_windows

    copied, put = [], memory.Arena.put

    def noted(self, name, host):
        copied.append((name, 0 if host is None else host.size))
        return put(self, name, host)

    monkeypatch.setattr(memory.Arena, "put", noted)
    series = np.sin(np.arange(40) / 3)
    windows, y = make_windows(series, lookback=10)
    facts = {"hidden_layer_sizes": (3,), "max_iter": 1, "batch_size": 8, "random_state": 0, "dtype": "float64"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        LSTMRegressor(device="cuda", **facts).fit(windows, y)
    assert dict(copied)["x"] <= 40


@pytest.mark.slow
def test_grid_search():
    from sklearn.model_selection import GridSearchCV

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer")
        search = GridSearchCV(classifier(max_iter=1), {"alpha": [0.1, 0.01]}, cv=2, n_jobs=1).fit(X, Y)
    assert search.best_estimator_.device_ == "cuda:0"
