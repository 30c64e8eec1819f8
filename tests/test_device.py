"""Devices: which can be used and why not, what estimators do with them, and models that go elsewhere."""

import enum
import importlib
import importlib.metadata
import inspect
import multiprocessing
import pickle
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import assert_same_bits, problem
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError

import skneural
from skneural import GRUClassifier, LSTMRegressor, MLPClassifier, MLPRegressor, load, save
from skneural.backends import devices
from skneural.backends.cpu import engine
from skneural.callbacks import Checkpoint
from skneural.layers import Dense

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ESTIMATORS = [cls for name in skneural.__all__ if hasattr(cls := getattr(skneural, name), "get_params")]
CLASSIFIERS = tuple(kind for kind in ESTIMATORS if hasattr(kind, "predict_proba"))
EVERY = pytest.mark.parametrize("kind", ESTIMATORS)
#: One of each way through the checks of X, and to the targets.
SOME = pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor, GRUClassifier, LSTMRegressor])


def small(kind, **settings):
    names = kind().get_params(deep=False)
    layers = {"hidden_layer_sizes": (4,)} if "hidden_layer_sizes" in names else {"layers": [Dense(4, "relu")]}
    return kind(**layers, **{"max_iter": 3, "random_state": 0, "batch_size": 16, **settings})


def data_for(kind, n_samples=40):
    """Data that every estimator reads: of recurrent ones, sequences of one feature."""
    return problem("binary" if issubclass(kind, CLASSIFIERS) else "regression", n_samples)[:2]


def first_call(kind, y):
    return {"classes": np.unique(y)} if issubclass(kind, CLASSIFIERS) else {}


# -- a driver that does as it is told ----------------------------------------------------------------------------------


class Result(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_NOT_INITIALIZED = 3
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_UNKNOWN = 999


class Attribute(enum.IntEnum):
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76


class Driver:
    """NVIDIA's driver, as far as it is asked."""

    CUdevice_attribute = Attribute

    def __init__(self, capabilities=((9, 0),), version=13000, initialised=Result.CUDA_SUCCESS):
        self.capabilities, self.version, self.initialised = capabilities, version, initialised

    def cuDriverGetVersion(self):
        return Result.CUDA_SUCCESS, self.version

    def cuInit(self, flags):
        return (self.initialised,)

    def cuDeviceGetCount(self):
        return Result.CUDA_SUCCESS, len(self.capabilities)

    def cuDeviceGet(self, index):
        return Result.CUDA_SUCCESS, index

    def cuDeviceGetAttribute(self, attribute, device):
        return Result.CUDA_SUCCESS, self.capabilities[device][attribute - 75]

    def cuDeviceGetName(self, length, device):
        return Result.CUDA_SUCCESS, f"GPU of the tests {device}".encode().ljust(length, b"\0")

    def cuDeviceTotalMem(self, device):
        return Result.CUDA_SUCCESS, 80 * 10**9


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """Nothing is known of GPUs when a test begins, and nothing afterwards."""
    caches = devices._probe, devices.capability
    monkeypatch.setattr(devices, "_started_in", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def pretend(monkeypatch):
    """Make it seem that everything is installed, with a driver as described."""

    def install(version_of_cuda=13, **driver):
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setattr(devices, "_is_installed", lambda: True)
        monkeypatch.setattr(devices, "_version_of_cuda", lambda: version_of_cuda)
        fake = Driver(**driver)
        monkeypatch.setattr(devices, "_driver", lambda: fake)
        return fake

    return install


@pytest.fixture
def no_gpu(monkeypatch):
    """No GPU can be used, on whatever machine the tests run."""
    monkeypatch.setattr(devices, "problem", lambda index=0: "there is none in this test: use another machine")


class OnDevice:
    """In place of an engine's class: the CPU's, which notes on which device it was asked to be."""

    def __init__(self, kind):
        self.kind, self.calls = kind, []

    def __call__(self, program, *args, device, precision, **kwargs):
        self.calls.append((device, precision, program.dtype.name))
        return self.kind(program, *args, **kwargs)


@pytest.fixture
def gpu(pretend, monkeypatch):
    """Two GPUs that can be used; their engine is the CPU's, with notes of what it was asked for."""
    pretend(capabilities=((9, 0), (7, 5)))
    fake = SimpleNamespace(Trainer=OnDevice(engine.Trainer), Predictor=OnDevice(engine.Predictor))
    # An attribute of the package comes before `sys.modules`, where another test has imported the engine.
    monkeypatch.setattr("skneural.backends.cuda.engine", fake, raising=False)
    return fake


# -- why a GPU cannot be used ------------------------------------------------------------------------------------------


def test_a_gpu_that_can_be_used(pretend):
    pretend(capabilities=((8, 0), (12, 0)))
    assert devices.problem() is None
    assert devices.problem(1) is None
    assert devices.resolve("cuda") == devices.resolve("auto") == devices.resolve("cuda:0") == "cuda:0"
    assert devices.resolve("cuda:1") == "cuda:1"
    assert devices.resolve("cpu") == "cpu"
    assert devices.predicting_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize("on", [True, False])
def test_simulator_that_numba_has_read(on, pretend, monkeypatch):
    import numba

    pretend()
    monkeypatch.setattr(numba.config, "ENABLE_CUDASIM", int(on))
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", str(int(not on)))  # too late
    assert (devices.problem() is None) is not on
    assert not on or "unset NUMBA_ENABLE_CUDASIM" in devices.problem()


@pytest.mark.parametrize(("value", "on"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_simulator_that_numba_will_read(value, on, pretend, monkeypatch):
    pretend()
    monkeypatch.delitem(sys.modules, "numba.core.config")
    monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
    if value is not None:
        monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", value)
    assert (devices.problem() is not None) is on


@pytest.mark.parametrize("missing", ["numba_cuda", "cuda", "cuda.bindings", "cuda.core"])
def test_packages_that_are_missing(missing, pretend, monkeypatch):
    def find_spec(name):
        if name.startswith(f"{missing}."):
            raise ModuleNotFoundError(f"No module named {missing!r}")
        return None if name == missing else object()

    installed = devices._is_installed
    pretend()
    monkeypatch.setattr(devices, "_is_installed", installed)
    monkeypatch.setattr(devices.importlib.util, "find_spec", find_spec)
    assert devices.problem() == 'numba-cuda is not installed: pip install "skneural[cuda]"'


def test_there_is_no_cuda_for_macos(pretend, monkeypatch):
    pretend()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "macOS" in devices.problem()


@pytest.mark.parametrize("error", [RuntimeError("Failed to dlopen libcuda.so.1"), OSError("libcuda.so.1: not found")])
def test_no_driver(error, pretend):
    def fails():
        raise error

    pretend().cuDriverGetVersion = fails
    assert devices.problem() == "no NVIDIA driver was found: install version 580 or newer"


def test_no_driver_on_this_machine():
    driver = pytest.importorskip("cuda.bindings.driver")
    try:
        driver.cuInit(0)
    except RuntimeError:
        assert "no NVIDIA driver was found" in devices.problem()
    else:
        pytest.skip("there is a driver")


def test_an_engine_without_a_driver_is_not_asked():
    pytest.importorskip("numba_cuda")
    importlib.import_module("skneural.backends.cuda.engine")
    if devices.problem() is None:
        pytest.skip("there is a GPU that can be used")
    X, y = data_for(MLPClassifier)
    with pytest.raises(RuntimeError, match=r"^device='cuda', but "):
        small(MLPClassifier, device="cuda").fit(X, y)
    est = small(MLPClassifier, device="auto").fit(X, y)
    assert est.device_ == "cpu"
    expected = est.predict_proba(X)
    est.device_ = "cuda:0"
    np.testing.assert_array_equal(est.predict_proba(X), expected)


def test_package_that_cannot_be_imported(pretend, monkeypatch):
    def fails():
        raise ImportError("libfoo.so:\nwrong version")

    pretend()
    monkeypatch.setattr(devices, "_driver", fails)
    assert "not installed as it should be (libfoo.so: wrong version): pip install" in devices.problem()


@pytest.mark.parametrize(
    ("driver", "index", "words"),
    [
        (
            {"version": 12040},
            0,
            "for CUDA 12.4, too old for CUDA 13, which is installed here: update the driver to version 580",
        ),
        (
            {"version": 11080, "version_of_cuda": 12},
            0,
            "for CUDA 11.8, too old for CUDA 12, .* update the driver to version 525",
        ),
        ({"version": 13010, "version_of_cuda": 14}, 0, "update the driver to one for CUDA 14"),
        ({"version": 13000, "version_of_cuda": 12}, 0, None),
        ({"initialised": Result.CUDA_ERROR_NO_DEVICE}, 0, "^the NVIDIA driver finds no GPU: see what nvidia-smi says$"),
        ({"initialised": Result.CUDA_ERROR_UNKNOWN}, 0, "started .CUDA_ERROR_UNKNOWN.: see what nvidia-smi says"),
        # another package had started CUDA before the fork
        ({"initialised": Result.CUDA_ERROR_NOT_INITIALIZED}, 0, "forked"),
        ({"capabilities": ()}, 0, "^the NVIDIA driver finds no GPU: see what nvidia-smi says$"),
        ({"capabilities": ((9, 0),)}, 1, "^there is no GPU number 1: the only one is number 0$"),
        ({"capabilities": ((9, 0),) * 2}, 1, None),
        ({"capabilities": ((9, 0),) * 2}, 2, "number 2: the 2 that are visible have numbers from 0$"),
        ({"capabilities": ((9, 0), (7, 0))}, 0, None),
        (
            {"capabilities": ((9, 0), (7, 0))},
            1,
            "^GPU 1 is too old: its compute capability is 7.0, at least 7.5 is needed$",
        ),
    ],
)
def test_what_the_driver_says(driver, index, words, pretend):
    pretend(**driver)
    found = devices.problem(index)
    assert (found is None) is (words is None)
    assert words is None or re.search(words, found)


def test_version_of_cuda_is_that_of_the_packages(monkeypatch):
    installed = {"nvidia-cuda-runtime": "13.0.96", "cuda-bindings": "12.9.1"}

    def version(name):
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(devices.importlib.metadata, "version", version)
    assert devices._version_of_cuda() == 13
    del installed["nvidia-cuda-runtime"]
    assert devices._version_of_cuda() == 12
    del installed["cuda-bindings"]
    assert devices._version_of_cuda() == 0


@pytest.mark.parametrize("driver", [{"initialised": Result.CUDA_ERROR_NO_DEVICE}, {"capabilities": ()}])
def test_gpus_that_are_hidden(driver, pretend, monkeypatch):
    pretend(**driver)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.problem().startswith("no GPU is visible with CUDA_VISIBLE_DEVICES='': unset it")


def _problem_here(queue):
    queue.put((devices.problem(), devices.predicting_device("cuda:0")))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_in_a_process_that_was_forked(pretend):
    pretend()
    assert devices.problem() is None
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_problem_here, args=(queue,))
    child.start()
    found, device = queue.get()
    child.join()
    assert "forked" in found
    assert "spawn" in found
    assert device == "cpu"
    assert devices.problem() is None


def test_driver_is_asked_once(pretend):
    fake = pretend()
    assert devices.problem() is None
    fake.cuInit = None
    assert devices.problem() is None


def test_gpus_are_described(pretend, monkeypatch):
    pretend(capabilities=((9, 0), (8, 0)))
    assert devices.describe() == "0: GPU of the tests 0, 80.0 GB; 1: GPU of the tests 1, 80.0 GB"
    monkeypatch.setattr(devices, "problem", lambda index=0: "there is none in this test")
    assert devices.describe() == "none: there is none in this test"


def test_driver_that_does_not_answer(pretend):
    pretend().cuDeviceTotalMem = lambda device: (Result.CUDA_ERROR_UNKNOWN, None)
    with pytest.raises(RuntimeError, match="does not answer: CUDA_ERROR_UNKNOWN"):
        devices.describe()


# -- parameters --------------------------------------------------------------------------------------------------------


@EVERY
def test_parameters_are_given_by_name(kind):
    parameters = inspect.signature(kind).parameters
    for name in ("n_jobs", "dtype", "device", "precision"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
    est = kind(device="cuda:1", precision="tf32")
    assert (est.device, est.precision) == ("cuda:1", "tf32")
    assert (kind().device, kind().precision) == ("cpu", "full")
    copy = clone(est)
    assert (copy.device, copy.precision) == ("cuda:1", "tf32")
    assert clone(copy.set_params(device="auto", precision="full")).get_params() == kind(device="auto").get_params()


@EVERY
@pytest.mark.parametrize(
    "device", ["gpu", "cuda:", "cuda:-1", "cuda:x", "cuda: 1", "cuda:1\n", "CPU", "", 0, None, b"cpu"]
)
def test_bad_devices(kind, device):
    X, y = data_for(kind)
    with pytest.raises(InvalidParameterError, match=r"The 'device' parameter of \w+ must be a str among .*'cuda:N'"):
        small(kind, device=device).fit(X, y)
    with pytest.raises(InvalidParameterError, match="'device'"):
        small(kind, device=device).partial_fit(X, y, **first_call(kind, y))


@EVERY
@pytest.mark.parametrize("precision", ["half", "TF32", None, 32])
def test_bad_precisions(kind, precision):
    X, y = data_for(kind)
    with pytest.raises(InvalidParameterError, match="The 'precision' parameter of"):
        small(kind, precision=precision, device="auto").fit(X, y)


@EVERY
@pytest.mark.parametrize("settings", [{"device": "cpu"}, {"device": "cuda", "dtype": "float64"}], ids=str)
def test_tf32_is_for_float32_on_a_gpu(kind, settings, gpu):
    X, y = data_for(kind)
    name = "dtype" if "dtype" in settings else "device"
    for fit, more in (("fit", {}), ("partial_fit", first_call(kind, y))):
        est = small(kind, precision="tf32", **settings)
        with pytest.raises(ValueError, match=rf"precision='tf32' is for float32 on a GPU.* with {name}="):
            getattr(est, fit)(X, y, **more)
        assert vars(est) == vars(clone(est))
    assert not gpu.Trainer.calls


def test_tf32_where_no_gpu_is(no_gpu):
    X, y = data_for(MLPClassifier)
    est = small(MLPClassifier, precision="tf32", device="auto").fit(X, y)
    assert est.device_ == "cpu"
    assert_same_bits(est, small(MLPClassifier).fit(X, y))
    with pytest.raises(ValueError, match="dtype='float64'"):
        small(MLPClassifier, precision="tf32", device="auto", dtype="float64").fit(X, y)


# -- where no GPU can be used ------------------------------------------------------------------------------------------


class Untouched:
    """Data that must not be looked at."""

    def __getattr__(self, name):
        raise AssertionError(f"the data was asked for {name}")


@EVERY
@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_a_gpu_that_was_asked_for(kind, device, no_gpu):
    X, y = data_for(kind)
    words = rf"^device='{device}', but there is none in this test: use another machine\. device='auto' takes a GPU only"
    est = small(kind, device=device)
    for call in (est.fit, est.partial_fit):
        more = first_call(kind, y) if call == est.partial_fit else {}
        with pytest.raises(RuntimeError, match=words):
            call(Untouched(), Untouched(), **more)
        assert vars(est) == vars(clone(est))
        with pytest.raises(NotFittedError):
            next(getattr(est, name) for name in ("predict", "transform", "discriminate") if hasattr(est, name))(X)


@SOME
def test_fitted_estimators_stay_as_they_were(kind, no_gpu):
    X, y = data_for(kind)
    est, other = small(kind).fit(X, y), small(kind).fit(X, y)
    est.set_params(device="cuda")
    for call in (est.fit, est.partial_fit, est.set_params(warm_start=True).fit):
        with pytest.raises(RuntimeError, match="device='cuda', but"):
            call(X, y)
    assert est.device_ == "cpu"
    np.testing.assert_array_equal(est.predict(X), other.predict(X))
    est.set_params(device="cpu", warm_start=False)
    assert_same_bits(est.partial_fit(X, y), other.partial_fit(X, y))


@SOME
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_auto_without_gpu_is_the_cpu(kind, solver, no_gpu):
    X, y = data_for(kind)
    for dtype in (np.float32, np.float64):
        est, other = (small(kind, device=device, solver=solver).fit(X.astype(dtype), y) for device in ("auto", "cpu"))
        assert est.device_ == other.device_ == "cpu"
        assert_same_bits(est, other)
        assert est.coefs_[0].dtype == dtype
        assert est.predict(X).tobytes() == other.predict(X).tobytes()


def test_search_over_devices(no_gpu):
    X, y = data_for(MLPClassifier)
    grid = {"device": ["cpu", "auto"], "alpha": [1e-4, 1e-2]}
    search = GridSearchCV(small(MLPClassifier), grid, cv=3).fit(X, y)
    scores = search.cv_results_["mean_test_score"].reshape(2, 2)  # alpha comes first
    np.testing.assert_array_equal(scores[:, 0], scores[:, 1])
    assert search.best_estimator_.device_ == "cpu"


@pytest.mark.slow  # processes that import everything
def test_every_process_of_a_search_looks_for_itself(no_gpu):
    # Workers of joblib know nothing of this test's pretence; without a GPU, or with one, they find out.
    X, y = data_for(MLPClassifier)
    search = GridSearchCV(small(MLPClassifier), {"device": ["cpu", "auto"]}, cv=2, n_jobs=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- where one can -----------------------------------------------------------------------------------------------------


@SOME
def test_fits_and_predictions_are_given_the_device(kind, gpu):
    X, y = data_for(kind)
    est = small(kind, device="cuda:1").fit(X, y, X_val=X, y_val=y)
    assert est.device_ == "cuda:1"
    assert gpu.Trainer.calls == [(1, "full", "float32")]
    assert set(gpu.Predictor.calls) == {(1, "full", "float32")}
    before = len(gpu.Predictor.calls)
    est.predict(X)
    est.predict(X)
    assert len(gpu.Predictor.calls) == before + 1
    est.set_params(device="auto").partial_fit(X, y)
    assert est.device_ == "cuda:0"
    assert gpu.Trainer.calls[1:] == [(0, "full", "float32")]
    est.set_params(device="cpu").partial_fit(X, y)
    assert est.device_ == "cpu"
    est.predict(X)
    assert len(gpu.Trainer.calls) == 2
    assert est.coefs_[0].dtype == np.float32


@SOME
@pytest.mark.parametrize("given", [np.float32, np.float64, np.int64, list])
def test_precision_of_a_gpu_is_that_of_float32(kind, given, gpu):
    X, y = data_for(kind)
    X = np.rint(10 * X).astype(np.int64)
    X = X.tolist() if given is list else X.astype(given)
    est = small(kind, device="cuda").fit(X, y, X_val=X, y_val=y)
    assert {a.dtype for a in (*est.coefs_, *est.intercepts_)} == {np.dtype(np.float32)}
    assert_same_bits(est, small(kind).fit(np.asarray(X, np.float32), y, X_val=X, y_val=y))
    first = small(kind, device="cuda").partial_fit(X, y, **first_call(kind, y))
    assert first.coefs_[0].dtype == np.float32
    double = small(kind, device="cuda", dtype="float64").fit(X, y)
    assert double.coefs_[0].dtype == np.float64
    assert gpu.Trainer.calls[-1] == (0, "full", "float64")


@SOME
@pytest.mark.parametrize("first", ["cpu", "cuda"])
def test_going_on_elsewhere_keeps_the_precision(kind, first, gpu):
    X, y = data_for(kind)
    est = small(kind, device=first, warm_start=True).fit(X, y)
    dtype = est.coefs_[0].dtype
    assert dtype == (np.float64 if first == "cpu" else np.float32)
    second = "cuda" if first == "cpu" else "cpu"
    est.set_params(device=second).fit(X, y)
    assert est.coefs_[0].dtype == dtype
    assert est.device_ == ("cpu" if second == "cpu" else "cuda:0")
    assert est.partial_fit(X, y).coefs_[0].dtype == dtype


@SOME
def test_tf32_on_gpus(kind, gpu):
    X, y = data_for(kind)
    est = small(kind, device="cuda", precision="tf32").fit(X, y, X_val=X, y_val=y)
    est.predict(X)
    assert set(gpu.Trainer.calls + gpu.Predictor.calls) == {(0, "tf32", "float32")}
    count = len(gpu.Predictor.calls)
    est.set_params(precision="full").predict(X)
    assert gpu.Predictor.calls[count:] == [(0, "full", "float32")]
    with pytest.raises(ValueError, match="cuda:1 is too old"):
        small(kind, device="cuda:1", precision="tf32").fit(X, y)


def test_tf32_and_weights_of_float64(gpu):
    X, y = data_for(MLPRegressor)
    est = small(MLPRegressor, warm_start=True).fit(X, y).set_params(device="cuda", precision="tf32")
    with pytest.raises(ValueError, match="the weights of the previous fit are float64"):
        est.fit(X, y)
    assert est.device_ == "cpu"
    est.set_params(device="auto").fit(X, y)  # as good as can be
    assert gpu.Trainer.calls == [(0, "full", "float64")]


def test_tf32_on_a_gpu_that_auto_finds_too_old(pretend, gpu):
    pretend(capabilities=((7, 5),))
    X, y = data_for(MLPRegressor)
    est = small(MLPRegressor, device="auto", precision="tf32").fit(X, y)
    est.predict(X)
    assert gpu.Trainer.calls == gpu.Predictor.calls == [(0, "full", "float32")]


# -- models that go elsewhere ------------------------------------------------------------------------------------------


@SOME
def test_models_of_a_gpu_predict_on_the_cpu(kind, gpu, monkeypatch, tmp_path):
    X, y = data_for(kind)
    est = small(kind, device="cuda").fit(X, y)
    expected = est.predict(X)
    pickled = pickle.dumps(est)
    assert b"_predictors" not in pickled
    save(est, tmp_path / "model")
    count = len(gpu.Predictor.calls)
    monkeypatch.setattr(devices, "problem", lambda index=0: "there is none")
    for other in (pickle.loads(pickled), load(tmp_path / "model"), est):
        assert other.device_ == "cuda:0"
        assert other.predict(X).tobytes() == expected.tobytes()
        assert (other.device, other.precision) == ("cuda", "full")
    assert len(gpu.Predictor.calls) == count


def test_model_whose_device_is_not_here(no_gpu):
    X, y = data_for(MLPClassifier)
    est = small(MLPClassifier).fit(X, y)
    expected = est.predict_proba(X)
    est.device_ = "cuda:0"
    for model in (est, pickle.loads(pickle.dumps(est))):
        np.testing.assert_array_equal(model.predict_proba(X), expected)
        assert model.device_ == "cuda:0"


@SOME
def test_pickles_of_before_there_were_devices(kind):
    X, y = data_for(kind)
    est = small(kind).fit(X, y)
    expected = est.predict(X)
    old = small(kind).fit(X, y)
    for name in ("device", "precision", "device_"):
        del vars(old)[name]
    back = pickle.loads(pickle.dumps(old))
    np.testing.assert_array_equal(back.predict(X), expected)
    assert back.device_ == "cpu"
    assert back.get_params() == est.get_params()
    assert_same_bits(back.partial_fit(X, y), est.partial_fit(X, y))


def test_files_of_before_there_were_devices(tmp_path, monkeypatch):
    X, y = data_for(MLPRegressor)
    est = small(MLPRegressor).fit(X, y)
    state = est.__getstate__()
    for name in ("device", "precision", "device_"):
        del state[name]
    monkeypatch.setattr(MLPRegressor, "__getstate__", lambda self: state)
    save(est, tmp_path / "old")
    monkeypatch.undo()
    back = load(tmp_path / "old")
    assert (back.device, back.precision, back.device_) == ("cpu", "full", "cpu")
    np.testing.assert_array_equal(back.predict(X), est.predict(X))


@pytest.mark.parametrize("name", ["cuda", "auto", "cuda:x", "tpu", "", 0, None, ["cpu"]])
def test_files_that_name_no_device(name, tmp_path):
    est = small(MLPRegressor).fit(*data_for(MLPRegressor))
    est.device_ = name
    with pytest.raises(ValueError, match="there is no device"):
        save(est, tmp_path / "model")


def test_going_on_from_a_checkpoint_elsewhere(gpu, tmp_path, monkeypatch):
    X, y = data_for(MLPClassifier)
    path = tmp_path / "checkpoint"
    settings = {"tol": 0.0, "device": "cuda", "precision": "tf32"}
    whole = small(MLPClassifier, **settings, max_iter=6).fit(X, y)
    small(MLPClassifier, **settings).set_callbacks(Checkpoint(path)).fit(X, y)
    assert load(path).device_ == "cuda:0"
    monkeypatch.setattr(devices, "problem", lambda index=0: "there is none")
    with pytest.raises(RuntimeError, match="device='cuda', but there is none"):
        small(MLPClassifier, **settings, max_iter=6).fit(X, y, resume_from=path)
    est = small(MLPClassifier, tol=0.0, max_iter=6).fit(X, y, resume_from=path)
    assert est.device_ == "cpu"
    assert_same_bits(est, whole)  # the device of this test rounds as the CPU does
