"""The way from an estimator to the driver of a GPU, with a driver that only checks calls: needs no GPU.

The simulator has no streams, graphs, modules or limits; kernels are not what is tested here.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.apart

FOLDER = pathlib.Path(__file__).parent / "driver"


def header():
    """Folder of cuda.h, which comes with the packages; None if there is none."""
    places = (pathlib.Path(path) / "nvidia" / "cu13" / "include" for path in sys.path)
    return next((place for place in places if (place / "cuda.h").is_file()), None)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables with which a process finds the driver."""
    compiler, include, folder = shutil.which("cc"), header(), tmp_path_factory.mktemp("driver")
    if compiler is None or include is None or sys.platform != "linux":
        pytest.skip("needs Linux, a C compiler and cuda.h")
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
        pytest.skip("the simulator asks no driver")
    library = folder / "libcuda.so.1"
    command = [compiler, "-shared", "-fPIC", "-O1", "-I", include, "-o", library, FOLDER / "driver.c", "-ldl"]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    (folder / "libcuda.so").symlink_to(library)
    paths = [str(folder), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    variables = {"LD_LIBRARY_PATH": ":".join(paths), "DRIVER_LIBRARY": str(library), "DRIVER_LOG": str(folder / "log")}
    return {**os.environ, **variables}


def walk(environment, *names):
    """Run parts of `walk.py`; what the driver noted."""
    log = pathlib.Path(environment["DRIVER_LOG"])
    log.write_text("")
    done = subprocess.run(
        [sys.executable, str(FOLDER / "walk.py"), *names], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split("\n")[:-1] == [f"{name} done" for name in names]
    notes = log.read_text().splitlines()
    assert not {line for line in notes if "refused" in line}
    return notes


def test_a_fit_and_a_prediction(environment):
    notes = walk(environment, "brief")
    assert any(line.startswith("graph of") for line in notes)


@pytest.mark.slow
def test_calls_of_the_driver(environment):
    notes = walk(environment, "ordinary", "layers_of_two_widths", "streamed", "faults", "threads", "stuck")
    graphs = {int(line.split()[2]) for line in notes if line.startswith("graph of")}
    assert len(graphs) > 2  # of one step in the first epoch, of many later


@pytest.mark.slow
def test_what_large_tiles_need(environment):
    walk(environment, "large")


@pytest.mark.slow
def test_gpu_that_another_process_holds(environment):
    walk({**environment, "DRIVER_EXCLUSIVE": "1"}, "exclusive")
