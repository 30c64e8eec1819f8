"""Devices by their names: which can be used in this process, why one cannot, and the engine for each.

Nothing is compiled here and Numba is not imported, so asking is cheap where there is no GPU.
"""

import functools
import importlib.metadata
import importlib.util
import os
import re
import sys

import numpy as np

from skneural.backends import compiling

#: Names of a GPU that is meant by its number.
NUMBERED = re.compile(r"cuda:([0-9]{1,4})")
#: Packages that a GPU needs, and the first major version of cuda-core whose kernels have a public handle.
PACKAGES = ("numba_cuda", "cuda.bindings", "cuda.core")
OLDEST_CORE = 1
#: Libraries of CUDA that compile kernels, by the names under which they are found.
LIBRARIES = {"nvvm": "libNVVM", "nvrtc": "NVRTC", "nvJitLink": "nvJitLink"}
#: Which driver is the first for a version of CUDA.
DRIVERS = {12: "525", 13: "580"}
#: The first generations (compute capabilities) that the compiler knows, and whose tensor cores multiply numbers of 10
#: bits of mantissa.
OLDEST = (7, 5)
OLDEST_WITH_TF32 = (8, 0)

#: Why a GPU cannot be used, and what to do about it: one line each, without a full stop.
PROBLEMS = {
    "simulator": "Numba's simulator of CUDA is on: unset NUMBA_ENABLE_CUDASIM and start Python again",
    "fork": (
        "this process was forked from one that had started CUDA, which a fork does not survive: use joblib's loky (its "
        "default) or multiprocessing's 'spawn'"
    ),
    "macOS": "there is no CUDA for macOS",
    "no packages": 'numba-cuda is not installed: pip install "skneural[cuda]"',
    "import": 'numba-cuda is not installed as it should be ({error}): pip install --force-reinstall "skneural[cuda]"',
    "old packages": 'cuda-core {found} is too old, at least {needed} is needed: pip install -U "skneural[cuda]"',
    "no driver": "no NVIDIA driver was found: install {needed}",
    "old driver": (
        "the NVIDIA driver is for CUDA {found}, too old for CUDA {cuda}, which is installed here: update the driver to "
        "{needed}"
    ),
    "start": "the NVIDIA driver cannot be started ({error}): see what nvidia-smi says",
    "no GPU": "the NVIDIA driver finds no GPU: see what nvidia-smi says",
    "hidden": "no GPU is visible with CUDA_VISIBLE_DEVICES={visible!r}: unset it, or name a GPU there",
    "number": "there is no GPU number {index}: {those}",
    "old GPU": "GPU {index} is too old: its compute capability is {found}, at least {needed} is needed",
    "no compiler": (
        '{library}, which compiles for the GPU, was not found: pip install "skneural[cuda]", or let CUDA_HOME name the '
        "folder of a CUDA toolkit"
    ),
}

#: Number of the process in which the driver was started.
_started_in = None
#: Kinds of engine that are ready.
_loaded = set()


def index_of(device):
    """Number of the GPU that 'cuda' or 'cuda:N' means."""
    return int(NUMBERED.fullmatch(device)[1]) if device != "cuda" else 0


def is_device(name):
    """Whether something is the name of one device: 'cpu' or 'cuda:N'."""
    return isinstance(name, str) and (name == "cpu" or NUMBERED.fullmatch(name) is not None)


# -- whether a GPU can be used -----------------------------------------------------------------------------------------


class _Unusable(Exception):
    """A GPU cannot be used, for one of the `PROBLEMS`."""

    def __init__(self, name, **details):
        super().__init__(PROBLEMS[name].format(**details))


def problem(index=0):
    """Why the GPU of that number cannot be used in this process, and what to do about it; None if it can."""
    if _is_simulated():
        return PROBLEMS["simulator"]
    if _started_in not in (None, os.getpid()):
        return PROBLEMS["fork"]
    return _probe(index)


def _is_simulated():
    settings = sys.modules.get("numba.core.config")  # if it is loaded, what it read counts
    if settings is not None:
        return bool(settings.ENABLE_CUDASIM)
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0").strip() not in ("", "0")


@functools.cache
def _probe(index):
    """The first problem of those that stay as long as the process. Starts the driver."""
    try:
        _check_packages()
        _check_driver()
        _check_gpu(index)
        _check_compiler()
    except _Unusable as found:
        return str(found)
    except ImportError as error:
        return PROBLEMS["import"].format(error=" ".join(str(error).split()))
    except (RuntimeError, OSError):  # of whoever looks for the driver's library, and for functions in it
        return PROBLEMS["no driver"].format(needed=_driver_for(_version_of_cuda()))
    return None


def _check_packages():
    """Raise if packages are missing or too old. Those that tell no version are taken for new ones."""
    if sys.platform == "darwin":
        raise _Unusable("macOS")
    if not _is_installed():
        raise _Unusable("no packages")
    found = _version_of("cuda-core")
    if found is not None and int(found.split(".")[0]) < OLDEST_CORE:
        raise _Unusable("old packages", found=found, needed=OLDEST_CORE)


def _is_installed():
    try:
        return all(importlib.util.find_spec(name) is not None for name in PACKAGES)
    except ModuleNotFoundError:  # the package around one of them
        return False


def _version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _version_of_cuda():
    """The major version of CUDA that is installed as packages, 0 if none says so."""
    version = _version_of("nvidia-cuda-runtime") or _version_of("cuda-bindings") or "0"
    return int(version.split(".")[0])


def _driver_for(cuda):
    return f"version {DRIVERS[cuda]} or newer" if cuda in DRIVERS else f"one for CUDA {cuda}"


def _driver():
    """The driver's functions. Each returns an error, then the answer."""
    from cuda.bindings import driver

    return driver


def _check_driver():
    """Raise if the driver is too old or does not start. Starts it."""
    global _started_in
    driver = _driver()
    cuda = _version_of_cuda()
    error, version = driver.cuDriverGetVersion()
    if error.name == "CUDA_SUCCESS" and version // 1000 < cuda:
        found = f"{version // 1000}.{version % 1000 // 10}"
        raise _Unusable("old driver", found=found, cuda=cuda, needed=_driver_for(cuda))
    (error,) = driver.cuInit(0)
    if error.name == "CUDA_ERROR_NO_DEVICE":
        raise _no_gpu()
    if error.name == "CUDA_ERROR_NOT_INITIALIZED":  # another package had started CUDA before the fork
        raise _Unusable("fork")
    if error.name != "CUDA_SUCCESS":
        raise _Unusable("start", error=error.name)
    _started_in = os.getpid()


def _no_gpu():
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return _Unusable("no GPU") if visible is None else _Unusable("hidden", visible=visible)


def _check_gpu(index):
    """Raise if there is no such GPU, or if it is too old."""
    error, count = _driver().cuDeviceGetCount()
    if error.name != "CUDA_SUCCESS" or count == 0:
        raise _no_gpu()
    if index >= count:
        those = "the only one is number 0" if count == 1 else f"the {count} that are visible have numbers from 0"
        raise _Unusable("number", index=index, those=those)
    found = capability(index)
    if found < OLDEST:
        raise _Unusable("old GPU", index=index, found="{}.{}".format(*found), needed="{}.{}".format(*OLDEST))


def _check_compiler():
    """Raise if what compiles kernels is missing: packages or a CUDA toolkit have it, the driver does not."""
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    for name, library in LIBRARIES.items():
        try:
            load_nvidia_dynamic_lib(name)
        except DynamicLibNotFoundError:
            raise _Unusable("no compiler", library=library) from None


# -- what a GPU is -----------------------------------------------------------------------------------------------------


def _ask(function, *arguments):
    error, answer = function(*arguments)
    if error.name != "CUDA_SUCCESS":
        raise RuntimeError(f"The NVIDIA driver does not answer: {error.name}.")
    return answer


@functools.cache
def capability(index):
    """Compute capability of a GPU that can be used, like (9, 0)."""
    driver = _driver()
    device = _ask(driver.cuDeviceGet, index)
    names = driver.CUdevice_attribute
    major = _ask(driver.cuDeviceGetAttribute, names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device)
    minor = _ask(driver.cuDeviceGetAttribute, names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device)
    return major, minor


def describe():
    """The GPUs that can be used, with their memory, or why there is none: one line."""
    why = problem()
    if why is not None:
        return f"none: {why}"
    driver = _driver()
    gpus = []
    for index in range(_ask(driver.cuDeviceGetCount)):
        device = _ask(driver.cuDeviceGet, index)
        name = _ask(driver.cuDeviceGetName, 256, device).split(b"\0")[0].decode(errors="replace").strip()
        size = _ask(driver.cuDeviceTotalMem, device)
        gpus.append(f"{index}: {name}, {size / 1e9:.1f} GB")
    return "; ".join(gpus)


# -- devices of estimators ---------------------------------------------------------------------------------------------


def resolve(device):
    """The device that an estimator's parameter means: 'cpu' or 'cuda:N'.

    Raises
    ------
    RuntimeError
        If it names a GPU that cannot be used.
    """
    if device == "cpu":
        return "cpu"
    index = 0 if device == "auto" else index_of(device)
    why = problem(index)
    if why is None:
        return f"cuda:{index}"
    if device == "auto":
        return "cpu"
    raise RuntimeError(f"device={device!r}, but {why}. device='auto' takes a GPU only where it can be used.")


def predicting_device(device):
    """The device of a fit if it can be used in this process, else 'cpu'."""
    is_usable = device == "cpu" or problem(index_of(device)) is None
    return device if is_usable else "cpu"


def usable_precision(device, precision, dtype):
    """`precision` if a device computes so with numbers of that type, else 'full'."""
    if precision == "full" or device == "cpu" or dtype != np.float32:
        return "full"
    return precision if capability(index_of(device)) >= OLDEST_WITH_TF32 else "full"


def engine_of(device):
    """The module that runs programs on a device that can be used.

    With that of a GPU a compiler is loaded. Other threads, forks and Ctrl-C wait meanwhile: half of it would be of no
    use.
    """
    kind = "cpu" if device == "cpu" else "cuda"
    if kind not in _loaded:
        with compiling.LOCK, compiling.interrupts_later():
            _import_engine(kind)
            _loaded.add(kind)
    return _import_engine(kind)


def _import_engine(kind):
    if kind == "cpu":
        from skneural.backends.cpu import engine
    else:
        from skneural.backends.cuda import engine
    return engine


def _options(device, precision, program):
    """What the engine of a GPU is told besides."""
    if device == "cpu":
        return {}
    return {"device": index_of(device), "precision": usable_precision(device, precision, program.dtype)}


def get_ready(device, program, solver, n_threads):
    """Compile what a fit on a device will need, as far as that can be shared among processes.

    Parameters
    ----------
    device : str
    program : Program
    solver : str
    n_threads : int
        That the fit may use.
    """
    if device == "cpu":
        engine_of(device).get_ready(program, solver, n_threads)


def make_trainer(device, precision, program, *args, **kwargs):
    """A Trainer on a device that can be used, in `precision` where it has it. The rest is for the engine."""
    options = _options(device, precision, program)
    return engine_of(device).Trainer(program, *args, **options, **kwargs)


def make_predictor(device, precision, program, *args, **kwargs):
    """A Predictor on a device that can be used, in `precision` where it has it. The rest is for the engine."""
    options = _options(device, precision, program)
    return engine_of(device).Predictor(program, *args, **options, **kwargs)
