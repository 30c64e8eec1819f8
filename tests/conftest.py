import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

from skneural import MLPClassifier, MLPRegressor
from skneural.backends import devices

SIMULATED = bool(numba.config.ENABLE_CUDASIM)
#: Tests in there import the CUDA backend.
collect_ignore_glob = [] if SIMULATED or importlib.util.find_spec("numba_cuda") else ["gpu/*"]

KINDS = ("binary", "multiclass", "multilabel", "regression", "multioutput", "poisson")


def run_apart(path):
    """Exit status and output of a file of tests of the CUDA backend, in the simulator if it is for that."""
    simulated = "pytest.mark.gpu" in path.read_text()
    marker = "gpu and not slow" if simulated else "apart"
    command = [sys.executable, "-m", "pytest", "-m", marker, "--no-header", "-p", "no:cacheprovider", str(path)]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1" if simulated else "0"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none; a simulated one does for most. What waits for others comes last."""
    items.sort(key=lambda item: item.path.name == "test_gpu.py")
    wanted = [item for item in items if item.get_closest_marker("gpu")]
    reason = None if SIMULATED or not wanted else devices.problem()
    for item in wanted:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif SIMULATED and item.get_closest_marker("hardware"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU, not the simulator"))


@pytest.fixture
def usable(monkeypatch):
    """Let estimators take the simulator for a GPU."""
    if SIMULATED:
        monkeypatch.setattr(devices, "problem", lambda index=0: None)


def pytest_collection_finish(session):
    """Start what `test_gpu.py` waits for."""
    wanted = [item for item in session.items if item.path.name == "test_gpu.py"]
    if wanted and not session.config.option.collectonly:
        pool = session.config.pool_apart = ThreadPoolExecutor(1)
        names = dict.fromkeys(item.callspec.params["name"] for item in wanted)
        folder = wanted[0].path.parent / "gpu"
        session.config.runs_apart = {name: pool.submit(run_apart, folder / name) for name in names}


def pytest_unconfigure(config):
    """Wait for the one that runs, drop the others."""
    if hasattr(config, "pool_apart"):
        config.pool_apart.shutdown(cancel_futures=True)


@pytest.fixture
def global_random_seed():
    # scikit-learn's own conftest provides it; tests/test_sklearn_suite.py runs tests that ask for it.
    return 42


@pytest.fixture
def crews(monkeypatch):
    """Make every call use as many threads as `n_jobs` says, however small the work and however few the cores.

    Returns the list of the numbers of threads that calls of a training have used since.
    """
    from skneural.backends.cpu import crew, engine

    used = []

    def choose(self, seconds):
        used.append(max(self.sizes))
        return used[-1], 1_000_000

    monkeypatch.setattr(engine, "_WORTH_A_THREAD", 0.0)
    monkeypatch.setattr(engine, "_WORTH_A_CALL", 1e-15)
    monkeypatch.setattr(crew, "n_threads", lambda n_jobs: n_jobs or 1)
    monkeypatch.setattr(crew.Pace, "choose", choose)
    return used


def problem(kind, n_samples=60, n_features=5, seed=0):
    """Small data of every kind of target: (X, y, parameters that choose the estimator's loss)."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n_samples, n_features))
    scores = X @ random.standard_normal((n_features, 3)) + 0.3 * random.standard_normal((n_samples, 3))
    if kind == "binary":
        return X, np.where(scores[:, 0] > 0, 2, -1), {}
    if kind == "multiclass":
        return X, scores.argmax(axis=1), {}
    if kind == "multilabel":
        return X, (scores > 0).astype(int), {}
    if kind == "regression":
        return X, scores[:, 0], {}
    if kind == "multioutput":
        return X, scores, {}
    return X, random.poisson(np.exp(0.3 * scores[:, 0])).astype(float), {"loss": "poisson"}


def estimator_for(kind):
    """Our class for a kind of target."""
    return MLPClassifier if kind in KINDS[:3] else MLPRegressor


def parameters(est):
    """All weights and biases as one vector."""
    return np.concatenate([np.ravel(a) for a in (*est.coefs_, *est.intercepts_)])


def assert_same_bits(a, b):
    """Two fitted estimators are the same network, and came to it by the same losses."""
    assert [c.dtype for c in a.coefs_] == [c.dtype for c in b.coefs_]
    np.testing.assert_array_equal(parameters(a), parameters(b))
    assert a.loss_ == b.loss_
    assert a.n_iter_ == b.n_iter_
