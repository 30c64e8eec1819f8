"""What stands around the kernels: warnings of packages, what is missing or too old, and what is said of it.

Needs no GPU and no driver; the packages that compile for one must be there.
"""

import importlib.metadata
import os
import re
import subprocess
import sys

import numba
import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="the GPU part is not installed")
if numba.config.ENABLE_CUDASIM:
    pytest.skip("asks for what the simulator has not", allow_module_level=True)

from cuda import pathfinder

from skneural import MLPClassifier
from skneural.backends import devices
from skneural.backends.cuda import hub
from skneural.backends.cuda.layers.dense import make_dense_backward
from skneural.backends.cuda.layers.residual import make_sum_forward
from skneural.backends.cuda.product import TILES

pytestmark = pytest.mark.apart

#: Newer versions of NumPy say that something is deprecated while numba-cuda is imported. Here every part of it does.
WARN = """
import sys, warnings

class Deprecated:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("numba.cuda"):
            warnings.warn(f"what {name} does is deprecated", DeprecationWarning, stacklevel=2)

import numba
sys.meta_path.insert(0, Deprecated())
try:
    import numba.cuda
except DeprecationWarning:
    print("warned")
"""
COMPILE = """
import numpy as np
from skneural.backends.cuda import hub
from skneural.backends.cuda.layers.noise import make_noise_forward
print(hub.to_ptx(make_noise_forward(np.float32), (9, 0)).count(".visible .entry"))
"""
SIMULATE = """
from skneural.backends.cuda import hub
print(int(hub.IS_SIMULATED))
"""


@pytest.mark.parametrize(
    ("simulated", "work"),
    [pytest.param("0", COMPILE, id="compiled"), pytest.param("1", SIMULATE, id="simulated", marks=pytest.mark.slow)],
)
def test_warnings_of_an_import_stop_nobody(simulated, work):
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": simulated}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WARN + work], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["warned", "1"]


@pytest.fixture
def machine(monkeypatch):
    """A machine whose GPU has nothing wrong with it."""
    devices._probe.cache_clear()
    monkeypatch.setattr(devices, "_check_driver", lambda: None)
    monkeypatch.setattr(devices, "_check_gpu", lambda index: None)
    yield monkeypatch
    devices._probe.cache_clear()


def test_such_a_machine_has_no_problem(machine):
    assert devices.problem() is None
    assert devices.resolve("auto") == "cuda:0"


@pytest.mark.parametrize(("library", "known_as"), devices.LIBRARIES.items())
def test_without_a_compiler_there_is_no_gpu(machine, library, known_as):
    load = pathfinder.load_nvidia_dynamic_lib

    def absent(name):
        if name == library:
            raise pathfinder.DynamicLibNotFoundError(name)
        return load(name)

    machine.setattr(pathfinder, "load_nvidia_dynamic_lib", absent)
    assert devices.resolve("auto") == "cpu"
    X = np.eye(4)
    with pytest.raises(RuntimeError, match=rf"device='cuda', but {known_as}, which compiles .* was not found: pip"):
        MLPClassifier((2,), device="cuda").fit(X, [0, 1, 0, 1])


def test_a_core_without_public_handles_is_too_old(machine):
    version = importlib.metadata.version
    machine.setattr(importlib.metadata, "version", lambda name: "0.6.0" if name == "cuda-core" else version(name))
    assert devices.problem().startswith("cuda-core 0.6.0 is too old, at least 1 is needed: pip install")
    assert devices.resolve("auto") == "cpu"


@pytest.mark.parametrize(
    "words",
    [
        "ERROR_OUTDATED_LIBRARY (10)",
        "ERROR_PTX_COMPILE (4)\nptxas application ptx input, line 9; fatal : Unsupported .version 9.5",
    ],
)
def test_a_linker_that_is_older_than_the_compiler_is_named(words):
    told = r"linked while training: libNVVM.* is newer than nvJitLink \d+\.\d+, which"
    with pytest.raises(RuntimeError, match=told), hub.readable_errors("training"):
        raise ValueError(words)


def test_code_of_a_newer_compiler_is_refused_in_these_words():
    from assembly import assemble

    ptx = hub.to_ptx(make_sum_forward(np.float32), (9, 0))
    newer = "\n".join(".version 99.9" if line.startswith(".version") else line for line in ptx.splitlines())
    with pytest.raises(RuntimeError) as caught:
        assemble(newer)
    assert any(sign in str(caught.value) for sign in hub.OUTDATED)


@pytest.mark.slow
def test_the_product_of_a_warp_takes_all_its_lanes_along(monkeypatch):
    # In LLVM's words it is convergent: nothing may move it to where only a part of them comes.
    from numba.cuda.cudadrv import nvvm

    texts, compile_ir = [], nvvm.compile_ir

    def noted(parts, **options):
        texts.extend(map(str, parts))
        return compile_ir(parts, **options)

    monkeypatch.setattr(nvvm, "compile_ir", noted)
    hub.to_ptx(make_dense_backward(np.float32, TILES["tf32"][0]), (9, 0))
    text = "\n".join(texts)
    groups = dict(re.findall(r"^attributes (#\d+) = {(.*)}", text, re.MULTILINE))
    calls = [line for line in text.splitlines() if "call" in line and "mma.sync" in line]
    assert calls
    for call in calls:
        group = re.search(r"(#\d+)\s*$", call)
        assert "convergent" in (groups[group[1]] if group else call)
