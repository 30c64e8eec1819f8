"""Threads of the CPU: what they hold, what becomes of their errors, of Ctrl-C, and of a system that has no more."""

import threading
import weakref

import numpy as np
import pytest
import threadpoolctl
from conftest import assert_same_bits, problem
from sklearn.utils._openmp_helpers import _openmp_parallelism_enabled

from skneural import MLPRegressor
from skneural.backends.base import OptimizerState
from skneural.backends.cpu import engine
from skneural.backends.cpu.threads import join_all, run_together
from skneural.estimators import _threads
from skneural.layers import Dense
from skneural.network.initializers import initialize
from skneural.network.program import lower

X, Y, _ = problem("regression", n_samples=60)
SETTINGS = {"hidden_layer_sizes": (5,), "random_state": 0, "tol": 0.0, "n_iter_no_change": np.inf}


@pytest.fixture
def refused(monkeypatch):
    """A system that starts no more threads after the first `refused.first` that are asked for; it counts them."""
    start = threading.Thread.start

    class Refused:
        first, asked, error = 0, 0, RuntimeError("can't start new thread")

        def start(self, thread):
            self.asked += 1
            if self.asked > self.first:
                raise self.error
            start(thread)

    system = Refused()
    monkeypatch.setattr(threading.Thread, "start", lambda thread: system.start(thread))
    return system


def workers():
    return [thread for thread in threading.enumerate() if thread.name == "skneural"]


# -- predictions -------------------------------------------------------------------------------------------------------


def test_an_error_in_a_thread_is_raised_when_all_have_ended():
    done = []

    def run(part):
        if part in (1, 2):
            raise MemoryError(f"part {part}")
        done.append(part)

    with pytest.raises(MemoryError, match="part 1"):
        run_together(run, [0, 1, 3], held=None)
    assert sorted(done) == [0, 3]


def test_an_error_in_a_thread_of_a_prediction_is_raised(crews, monkeypatch):
    est = MLPRegressor(max_iter=1, n_jobs=3, **SETTINGS)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        est.fit(X, Y)
    run = engine.Predictor._run

    def fails(self, frame):
        if frame["rank"] == 2:
            raise MemoryError("no room for buffers")
        run(self, frame)

    monkeypatch.setattr(engine.Predictor, "_run", fails)
    with pytest.raises(MemoryError, match="no room for buffers"):
        est.predict(X)


def test_threads_are_waited_for_however_often_ctrl_c_is_pressed(monkeypatch):
    go, ended, join = threading.Event(), [], threading.Thread.join
    presses = []

    def interrupted(thread, timeout=None):
        if len(presses) < 3:
            presses.append(thread)
            raise KeyboardInterrupt
        go.set()
        join(thread)

    def run(part):
        if part == 0:
            raise KeyboardInterrupt
        go.wait()
        ended.append(part)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_together(run, [0, 1, 2], held=None)
    assert sorted(ended) == [1, 2]


def test_threads_that_never_started_are_not_waited_for():
    join_all([threading.Thread(target=print)])


def test_a_thread_holds_what_it_works_on():
    go, begun = threading.Event(), threading.Event()
    array = np.zeros(3)
    seen = weakref.ref(array)

    def run(part):
        if part == 1:
            begun.set()
            go.wait()

    caller = threading.Thread(target=run_together, args=(run, [0, 1], array))
    caller.start()
    begun.wait()
    del array
    assert seen() is not None
    go.set()
    caller.join()
    assert seen() is None


@pytest.mark.parametrize("first", [0, 1])
def test_prediction_without_more_threads_has_the_same_bits(crews, refused, first):
    est = MLPRegressor(max_iter=1, **SETTINGS)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        est.fit(X, Y)
    expected = est.predict(X)
    refused.first = first
    np.testing.assert_array_equal(est.set_params(n_jobs=3).predict(X), expected)
    assert refused.asked == 2


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("first", [0, 1])
def test_fit_without_more_threads_has_the_same_bits(crews, refused, solver, first):
    settings = SETTINGS | {"solver": solver, "max_iter": 3}
    expected = MLPRegressor(**settings).fit(X, Y)
    refused.first = first
    assert_same_bits(MLPRegressor(n_jobs=3, **settings).fit(X, Y), expected)
    assert refused.asked >= 2
    assert not workers()


def test_ctrl_c_while_threads_start_keeps_the_model(crews, refused):
    refused.first, refused.error = 1, KeyboardInterrupt()
    est = MLPRegressor(max_iter=3, n_jobs=3, **SETTINGS)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        est.fit(X, Y)
    assert not workers()
    assert np.isfinite(est.set_params(n_jobs=1).predict(X)).all()


def test_an_error_while_threads_start_leaves_none(crews, refused):
    refused.first, refused.error = 1, MemoryError()
    with pytest.raises(MemoryError):
        MLPRegressor(max_iter=3, n_jobs=3, **SETTINGS).fit(X, Y)
    assert not workers()


def test_workers_hold_what_they_work_on(crews):
    # A trainer that nobody has closed: its threads still wait at a barrier.
    program = lower([Dense(3, "relu"), Dense(1)], X.shape[1], dtype=np.float64, loss="squared_error")
    trainer = engine.Trainer(
        program, initialize(program, 0), X, np.ascontiguousarray(Y).reshape(-1, 1), None, alpha=0.0, seed=0, n_threads=2
    )  # fmt: skip
    state = OptimizerState.fresh(program)
    trainer.start("sgd", (0.9, 1.0), state, batch=20, shuffle=True, tol=0.0, patience=np.inf)
    trainer.run_epochs(np.full(2, 0.01), np.inf, 0)
    pool = trainer.pool
    seen = [weakref.ref(trainer.work), weakref.ref(pool.barrier)]
    assert len(workers()) == 1
    del trainer
    pool.held = pool.frames = None
    assert all(ref() is not None for ref in seen)
    pool.close()
    assert not workers()
    del pool
    assert all(ref() is None for ref in seen)


# -- how many ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not _openmp_parallelism_enabled(), reason="scikit-learn was built without OpenMP")
def test_limits_of_threadpoolctl_hold_while_they_are_set():
    before = _threads.n_threads(None)
    with threadpoolctl.threadpool_limits(1):
        assert _threads.n_threads(None) == 1
        assert _threads.n_threads(-1) == _threads._cores()
        assert _threads.n_threads(2) == min(2, _threads._cores())
    assert _threads.n_threads(None) == before


def test_limits_of_blas_are_for_blas():
    # L-BFGS itself sets one, for its short vectors.
    before = _threads.n_threads(None)
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert _threads.n_threads(None) == before


@pytest.mark.parametrize(("value", "expected"), [("1", 1), ("1,4", 1), (" 2 ", 2), ("", 3), ("many", 3), ("0", 3)])
def test_variable_of_openmp_is_a_limit(monkeypatch, value, expected):
    monkeypatch.setattr(_threads, "_cores", lambda: 3)
    monkeypatch.setattr(_threads, "_openmp_effective_n_threads", lambda only_physical_cores: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert _threads.n_threads(None) == expected
    assert _threads.n_threads(3) == 3
    assert _threads.n_threads(-2) == 2
