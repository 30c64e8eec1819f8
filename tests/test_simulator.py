"""The CUDA backend without a GPU: its tests in Numba's simulator, in processes of their own.

The simulator is chosen when Numba is imported, so it cannot be had in this process.
"""

import os
import pathlib
import subprocess
import sys

import pytest

FOLDER = pathlib.Path(__file__).parent / "gpu"


@pytest.fixture(scope="module")
def runs():
    """One process for each file of tests, all at once: each keeps one core busy."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "--no-header", "-p", "no:cacheprovider"]
    found = {
        path.name: subprocess.Popen(
            [*command, str(path)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for path in sorted(FOLDER.glob("test_*.py"))
    }
    yield found
    for process in found.values():
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("test_*.py")))
def test_in_the_simulator(runs, name):
    output, _ = runs[name].communicate()
    assert runs[name].returncode == 0, output[-8000:]
    assert "passed" in output.splitlines()[-1], output[-2000:]
