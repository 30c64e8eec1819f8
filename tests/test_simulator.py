"""The CUDA backend without a GPU: its tests in Numba's simulator.

The simulator is chosen when Numba is imported, so it needs processes of its own. They run one after the other beside
all other tests (see `conftest.py`); here are their results.
"""

import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent / "gpu"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("test_*.py")))
def test_in_the_simulator(request, name):
    status, output = request.config.simulations[name].result()
    assert status == 0, output[-8000:]
    assert " passed" in output.splitlines()[-1] or name == "test_hardware.py", output[-2000:]
