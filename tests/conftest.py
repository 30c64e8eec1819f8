import importlib.util
import os
import pathlib
import subprocess
import sys
import time

import hypothesis
import joblib
import numba
import numpy as np
import pytest

os.environ.setdefault("SKNEURAL_LIBRARY", "")  # what is tested is compiled; `test_library.py` tests libraries

from skneural import MLPClassifier, MLPRegressor
from skneural._compat import HAS_CALLBACKS
from skneural.backends import devices

SIMULATED = bool(numba.config.ENABLE_CUDASIM)
#: Tests in there import the CUDA backend.
collect_ignore_glob = [] if SIMULATED or importlib.util.find_spec("numba_cuda") else ["gpu/*"]

GPU_PART = pathlib.Path(__file__).parent / "gpu"
#: Files of few tests that take long.
LONG = ("test_gpu.py", "test_compilation.py", "test_examples.py")

KINDS = ("binary", "multiclass", "multilabel", "regression", "multioutput", "poisson")


# No examples by chance, no limits in time (the first of a kind may compile), and no files left behind.
hypothesis.settings.register_profile(
    "same everywhere", deadline=None, derandomize=True, database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)  # fmt: skip
hypothesis.settings.load_profile("same everywhere")


def number_of_processes():
    """For tests. More than eight gain little: each has to collect all tests."""
    return min(joblib.cpu_count(), 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """A process for every processor that this one may use, unless the plugin's variable says how many."""
    return None if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") else number_of_processes()


def is_whole(config):
    """Whether pytest was asked for all tests, not for some of them, and is not one of the processes that run them."""
    option = config.option
    narrowed = option.keyword or option.collectonly or option.deselect or getattr(option, "lf", False)
    return config.args_source == config.ArgsSource.TESTPATHS and not narrowed and not hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """Compile the kernels that most tests use before processes start that would compile them twice."""
    if is_whole(session.config):
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        terminal.write_line("compiling the kernels that are missing ...", flush=True)
        begin = time.perf_counter()
        n_kernels = compile_kernels()
        terminal.write_line(f"{n_kernels} kernels are ready after {time.perf_counter() - begin:.0f} s")


def compile_kernels():
    """Compile all kernels, in another process, which shares the work with others; how many there are."""
    command = [sys.executable, "-W", "error", "-c", "import skneural; print(skneural.warmup())"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise pytest.UsageError("The kernels could not be compiled.")
    return int(done.stdout)


def pytest_collection_modifyitems(items):
    """Long tests first, so that no process ends late; and skip what needs a GPU, for which a simulated one may do."""
    items.sort(key=lambda item: item.path.name not in LONG)
    wanted = [item for item in items if item.get_closest_marker("gpu")]
    reason = None if SIMULATED or not wanted else devices.problem()
    for item in wanted:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif SIMULATED and item.get_closest_marker("hardware"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU, not the simulator"))


def pytest_ignore_collect(collection_path, config):
    """Leave out the GPU part where nothing of it is wanted: its files load another compiler when they are collected."""
    unwanted = "not gpu and not apart" in config.option.markexpr
    named = any("gpu" in argument for argument in config.args)
    return True if unwanted and not named and collection_path == GPU_PART else None


def one_at_a_time(base, **axes):
    """Parameters of a test: `base`, and every other value of every axis with the rest as in `base`.

    Kernels of one kind do not know which of another kind they meet: where each has worked with one, products of all
    with all show nothing more.
    """
    cases = [base] + [base | {axis: value} for axis, values in axes.items() for value in values]
    distinct = [case for i, case in enumerate(cases) if case not in cases[:i]]
    cases = [tuple(case.values()) for case in distinct]
    return pytest.mark.parametrize(list(base), cases, ids=lambda value: getattr(value, "__name__", str(value)))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Skip tests of callbacks where scikit-learn has none, before 1.9. The reason is what a user is told."""
    try:
        return (yield)
    except ImportError as error:
        if HAS_CALLBACKS or not ("needs scikit-learn >= 1.9" in str(error) or error.name == "sklearn.callback"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def usable(monkeypatch):
    """Let estimators take the simulator for a GPU."""
    if SIMULATED:
        monkeypatch.setattr(devices, "problem", lambda index=0: None)


@pytest.fixture(scope="session")
def kept(request, tmp_path_factory):
    """A function that gives folders by name, with what the run before has put there, if pytest keeps anything."""
    keeps = hasattr(request.config, "cache")
    return request.config.cache.mkdir if keeps else tmp_path_factory.mktemp


@pytest.fixture
def global_random_seed():
    # scikit-learn's own conftest provides it; tests/test_sklearn_suite.py runs tests that ask for it.
    return 42


@pytest.fixture
def crews(monkeypatch):
    """Make every call use as many threads as `n_jobs` says, however small the work and however few the cores.

    Returns the list of the numbers of threads that calls of a training have used since.
    """
    from skneural.backends.cpu import engine, pool
    from skneural.estimators import _threads

    used = []

    def choose(self, seconds):
        used.append(max(self.sizes))
        return used[-1], 1_000_000

    monkeypatch.setattr(engine, "_WORTH_A_THREAD", 0.0)
    monkeypatch.setattr(engine, "_WORTH_A_CALL", 1e-15)
    monkeypatch.setattr(engine, "_WORTH_A_CLAIM", 0.0)
    monkeypatch.setattr(_threads, "n_threads", lambda n_jobs: n_jobs or 1)
    monkeypatch.setattr(pool.Pace, "choose", choose)
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
