"""The CUDA backend without a GPU: each of its files of tests in a process of its own.

Those of the simulator need one, since it is chosen when Numba is imported. The others load a compiler for GPUs and a
driver that runs nothing, which no other test should meet.
"""

import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent / "gpu"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("test_*.py")))
def test_without_a_gpu(name):
    simulated = "pytest.mark.gpu" in (FOLDER / name).read_text()
    marker = "gpu and not slow" if simulated else "apart and not slow"
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", marker, "--no-header", "-p", "no:cacheprovider"]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1" if simulated else "0"}
    done = subprocess.run([*command, str(FOLDER / name)], env=environment, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-8000:]
    last = done.stdout.splitlines()[-1]
    assert " passed" in last or " skipped" in last, output[-2000:]
