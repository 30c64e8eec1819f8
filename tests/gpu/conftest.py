"""Tests of the CUDA backend: on a GPU with ``pytest -m gpu``, or in Numba's simulator (see `test_simulator.py`)."""

import pathlib
import sys

import numba
import pytest

SIMULATED = bool(numba.config.ENABLE_CUDASIM)

sys.path.append(str(pathlib.Path(__file__).parents[1]))  # helpers of the other tests


def pytest_collection_modifyitems(items):
    from skneural.backends.devices import problem

    reason = problem() if not SIMULATED else None
    for item in items:
        if item.get_closest_marker("gpu") is None:
            continue
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif SIMULATED and item.get_closest_marker("hardware"):
            item.add_marker(pytest.mark.skip(reason="needs a GPU, not the simulator"))


@pytest.fixture
def usable(monkeypatch):
    """Let estimators take the simulator for a GPU."""
    if SIMULATED:
        monkeypatch.setattr("skneural.backends.devices.problem", lambda index=0: None)
