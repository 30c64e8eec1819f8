"""The CUDA backend without a GPU: a short part of its tests, in two processes of their own.

Those for the simulator need one, since it is chosen when Numba is imported. The others load a compiler for GPUs and a
driver that runs nothing, which no other test should meet.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent / "gpu"


@pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="needs what comes with the extra `cuda`")
@pytest.mark.parametrize(("marker", "simulated"), [("gpu", "1"), ("apart", "0")], ids=["simulator", "compiler"])
def test_without_a_gpu(marker, simulated):
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", f"{marker} and not slow", "-p", "no:cacheprovider"]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": simulated}
    done = subprocess.run([*command, str(FOLDER)], env=environment, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-8000:]
    assert " passed" in done.stdout.splitlines()[-1], output[-2000:]
