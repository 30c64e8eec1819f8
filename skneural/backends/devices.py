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
#: What a GPU needs: modules, and the first generation (compute capability) that the compiler knows.
PACKAGES = ("numba_cuda", "cuda.bindings", "cuda.core")
#: Libraries of CUDA that compile kernels, by the names under which they are found.
LIBRARIES = {"nvvm": "libNVVM", "nvrtc": "NVRTC", "nvJitLink": "nvJitLink"}
OLDEST = (7, 5)
#: The first major version of cuda-core whose kernels have a public handle.
OLDEST_CORE = 1
#: The first generation whose tensor cores multiply numbers of 10 bits of mantissa.
OLDEST_WITH_TF32 = (8, 0)
#: Kinds of engine that are ready.
_loaded = set()
#: Which driver is the first for a version of CUDA.
DRIVERS = {12: "525", 13: "580"}
FORKED = (
    "this process was forked from one that had started CUDA, which a fork does not survive: use joblib's loky (its "
    "default) or multiprocessing's 'spawn'"
)

#: Number of the process in which the driver was started.
_started_in = None


def index_of(device):
    """Number of the GPU that 'cuda' or 'cuda:N' means."""
    return int(NUMBERED.fullmatch(device)[1]) if device != "cuda" else 0


def is_device(name):
    """Whether something is the name of one device: 'cpu' or 'cuda:N'."""
    return isinstance(name, str) and (name == "cpu" or NUMBERED.fullmatch(name) is not None)


def problem(index=0):
    """Why a GPU cannot be used in this process, and what to do about it; None if it can.

    Parameters
    ----------
    index : int, default=0
        Its number.

    Returns
    -------
    str or None
        One line, without a full stop.
    """
    if _is_simulated():
        return "Numba's simulator of CUDA is on: unset NUMBA_ENABLE_CUDASIM and start Python again"
    if _started_in not in (None, os.getpid()):
        return FORKED
    return _lasting_problem(index)


def _is_simulated():
    settings = sys.modules.get("numba.core.config")  # if it is loaded, what it read counts
    if settings is not None:
        return bool(settings.ENABLE_CUDASIM)
    return os.environ.get("NUMBA_ENABLE_CUDASIM", "0").strip() not in ("", "0")


@functools.cache
def _lasting_problem(index):
    """A problem that stays as long as the process."""
    if sys.platform == "darwin":
        return "there is no CUDA for macOS"
    if not _is_installed():
        return 'numba-cuda is not installed: pip install "skneural[cuda]"'
    try:
        return _problem_of_packages() or _problem_of_driver() or _problem_of_gpu(index) or _problem_of_compiler()
    except ImportError as error:
        words = " ".join(str(error).split())
        return f'numba-cuda is not installed as it should be ({words}): pip install --force-reinstall "skneural[cuda]"'
    except (RuntimeError, OSError):  # of whoever looks for the driver's library, and for functions in it
        return f"no NVIDIA driver was found: install {_driver_for(_version_of_cuda())}"


def _is_installed():
    try:
        return all(importlib.util.find_spec(name) is not None for name in PACKAGES)
    except ModuleNotFoundError:  # the package around one of them
        return False


def _problem_of_packages():
    """What is too old of what is installed. Packages that tell no version are taken for new ones."""
    try:
        found = importlib.metadata.version("cuda-core")
    except importlib.metadata.PackageNotFoundError:
        return None
    if int(found.split(".")[0]) < OLDEST_CORE:
        return f'cuda-core {found} is too old, at least {OLDEST_CORE} is needed: pip install -U "skneural[cuda]"'
    return None


def _driver():
    """The driver's functions. Each returns an error, then the answer."""
    from cuda.bindings import driver

    return driver


def _version_of_cuda():
    """The major version of CUDA that is installed as packages, 0 if none says so."""
    for package in ("nvidia-cuda-runtime", "cuda-bindings"):
        try:
            return int(importlib.metadata.version(package).split(".")[0])
        except importlib.metadata.PackageNotFoundError:
            continue
    return 0


def _driver_for(cuda):
    return f"version {DRIVERS[cuda]} or newer" if cuda in DRIVERS else f"one for CUDA {cuda}"


def _problem_of_driver():
    """What is wrong with the driver or with what it sees. Starts it."""
    global _started_in
    driver, needed = _driver(), _version_of_cuda()
    error, version = driver.cuDriverGetVersion()
    if error.name == "CUDA_SUCCESS" and version // 1000 < needed:
        found = f"{version // 1000}.{version % 1000 // 10}"
        return (
            f"the NVIDIA driver is for CUDA {found}, too old for CUDA {needed}, which is installed here: update the "
            f"driver to {_driver_for(needed)}"
        )
    (error,) = driver.cuInit(0)
    if error.name == "CUDA_SUCCESS":
        _started_in = os.getpid()
        return None
    if error.name == "CUDA_ERROR_NO_DEVICE":
        return _no_gpu()
    if error.name == "CUDA_ERROR_NOT_INITIALIZED":  # another package had started CUDA before the fork
        return FORKED
    return f"the NVIDIA driver cannot be started ({error.name}): see what nvidia-smi says"


def _no_gpu():
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return "the NVIDIA driver finds no GPU: see what nvidia-smi says"
    return f"no GPU is visible with CUDA_VISIBLE_DEVICES={visible!r}: unset it, or name a GPU there"


def _problem_of_gpu(index):
    error, count = _driver().cuDeviceGetCount()
    if error.name != "CUDA_SUCCESS" or count == 0:
        return _no_gpu()
    if index >= count:
        among = "the only one is number 0" if count == 1 else f"the {count} that are visible have numbers from 0"
        return f"there is no GPU number {index}: {among}"
    found = capability(index)
    if found < OLDEST:
        needed = ".".join(map(str, OLDEST))
        return f"GPU {index} is too old: its compute capability is {found[0]}.{found[1]}, at least {needed} is needed"
    return None


def _problem_of_compiler():
    """What is missing to compile kernels: packages or a CUDA toolkit have it, the driver does not."""
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    for name, known_as in LIBRARIES.items():
        try:
            load_nvidia_dynamic_lib(name)
        except DynamicLibNotFoundError:
            return (
                f'{known_as}, which compiles for the GPU, was not found: pip install "skneural[cuda]", or let '
                "CUDA_HOME name the folder of a CUDA toolkit"
            )
    return None


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
    device, names = _ask(driver.cuDeviceGet, index), driver.CUdevice_attribute
    wanted = names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
    return tuple(_ask(driver.cuDeviceGetAttribute, name, device) for name in wanted)


def describe():
    """The GPUs that can be used, with their memory, or why there is none: one line."""
    why = problem()
    if why is not None:
        return f"none: {why}"
    driver, words = _driver(), []
    for index in range(_ask(driver.cuDeviceGetCount)):
        device = _ask(driver.cuDeviceGet, index)
        name = _ask(driver.cuDeviceGetName, 256, device).split(b"\0")[0].decode(errors="replace").strip()
        words.append(f"{index}: {name}, {_ask(driver.cuDeviceTotalMem, device) / 1e9:.1f} GB")
    return "; ".join(words)


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
    return device if device == "cpu" or problem(index_of(device)) is None else "cpu"


def usable_precision(device, precision, dtype):
    """`precision` if a device computes so with numbers of that type, else 'full'."""
    if precision == "full" or device == "cpu" or dtype != np.float32 or capability(index_of(device)) < OLDEST_WITH_TF32:
        return "full"
    return precision


def engine_of(device):
    """The module that runs programs on a device that can be used.

    A compiler is loaded with it. Other threads, forks and Ctrl-C wait meanwhile: half of it would be of no use.
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


def make_trainer(device, precision, program, *args, **kwargs):
    """A Trainer on a device that can be used, in `precision` where it has it. The rest is for the engine."""
    options = _options(device, precision, program)
    return engine_of(device).Trainer(program, *args, **options, **kwargs)


def make_predictor(device, precision, program, *args, **kwargs):
    """A Predictor on a device that can be used, in `precision` where it has it. The rest is for the engine."""
    options = _options(device, precision, program)
    return engine_of(device).Predictor(program, *args, **options, **kwargs)
