"""The CUDA backend without a GPU: its tests run in processes of their own, one after the other, beside all other tests.

Here are their results; `conftest.py` starts them. Those of the simulator need a process each, since it is chosen when
Numba is imported. The others keep one core busy for minutes, which would be idle.
"""

import pathlib

import pytest

FOLDER = pathlib.Path(__file__).parent / "gpu"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("test_*.py")))
def test_without_a_gpu(request, name):
    status, output = request.config.runs_apart[name].result()
    assert status == 0, output[-8000:]
    assert " passed" in output.splitlines()[-1] or " skipped" in output.splitlines()[-1], output[-2000:]
