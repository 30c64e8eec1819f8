"""The CUDA backend on a GPU that can be had for minutes only: what is there, is it right, how fast is it.

    python tests/gpu/first_run.py --budget 530 --output results

Stages run in the order of what they are worth, each in processes of its own, with a limit of its own and that of what
is left: an early failure costs little, a late one loses nothing. In the output folder are then ``log.txt``, a JUnit
file for every stage of tests, the benchmark's tables, and ``summary.json``, which is written anew after each stage.

The status is 0 if all that has run passed, 1 if something failed, 2 if there is no GPU that can be used; what is
missing is then told. ``--prepare FOLDER`` downloads the packages for a machine without a network instead, and tells
their size; there: ``python -m pip install --no-index --find-links FOLDER skneural[test,cuda]``.

The stages know files, marks and names of tests; `test_first_run.py` asserts that each finds some.
"""

import argparse
import glob
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
#: Packages whose versions matter if something fails.
PACKAGES = (
    "numpy", "scipy", "scikit-learn", "numba", "llvmlite", "numba-cuda", "cuda-core", "cuda-bindings",
    "cuda-pathfinder", "nvidia-nvvm", "nvidia-nvjitlink", "nvidia-cuda-nvrtc", "nvidia-cuda-runtime", "pytest",
    "pytest-xdist", "torch", "jax",
)  # fmt: skip
FIRST_FIT, COUNTING = "test_a_first_fit", "memory_comes_back"
#: Seconds below which nothing is begun, and those that are kept for the end.
LEAST, KEPT = 10, 5


@dataclass(frozen=True)
class Stage:
    """Some tests, or another program: a name, the most seconds, and what is run."""

    name: str
    seconds: int
    files: tuple = ()
    chosen: str = ""
    parallel: bool = False
    tool: tuple = ()
    command: tuple = field(default=())


#: The first of them decides whether the others are worth their time.
TESTS = (
    Stage("first fit", 120, ("test_large.py",), FIRST_FIT),
    Stage("tests", 180, ("",), f"not {COUNTING} and not test_large.py", parallel=True),
    Stage("memory", 40, ("test_hardware.py",), COUNTING),
    Stage("large", 120, ("test_large.py",), f"not {FIRST_FIT}"),
)
BENCHMARK = Stage("benchmark", 480, command=(sys.executable, str(ROOT / "benchmarks" / "gpu.py")))
SANITIZED = (
    Stage("racecheck of products", 75, ("test_products.py",), tool=("--tool", "racecheck")),
    Stage("racecheck of loops", 75, ("test_recurrent_kernels.py",), tool=("--tool", "racecheck")),
    Stage("memcheck of steps", 75, ("test_row_training.py",), "twenty_steps", tool=("--tool", "memcheck")),
    Stage("memcheck of passes", 75, ("test_adversarial_training.py",), "two_networks", tool=("--tool", "memcheck")),
    Stage("memcheck of windows", 75, ("test_image_kernels.py",), "comes_first", tool=("--tool", "memcheck")),
    Stage("initcheck of steps", 75, ("test_row_training.py",), "twenty_steps", tool=("--tool", "initcheck")),
)


def pytest_command(stage, junit=None, processes=0):
    """What pytest is called with for the tests of a stage."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "--tb=short", "-rfE"]
    command += ["-o", "filterwarnings=default"]  # newer Pythons and packages warn of what is not ours
    command += ["-k", stage.chosen] if stage.chosen else []
    command += ["-n", str(processes)] if importlib.util.find_spec("xdist") else []
    command += [f"--junitxml={junit}"] if junit else []
    return command + [str(FOLDER / name) for name in stage.files]


def version(package):
    """Version of a package, None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


class Session:
    """A run: its budget, its folder, and what is known so far.

    Parameters
    ----------
    budget : float
        Seconds.
    folder : Path
        Where results go.
    """

    def __init__(self, budget, folder):
        self.begin, self.budget, self.folder = time.monotonic(), budget, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log = (folder / "log.txt").open("w")
        self.summary = {"stages": {}}

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self.log.close()

    def left(self):
        """Seconds that are left."""
        return self.budget - (time.monotonic() - self.begin)

    def say(self, *lines):
        """Print lines, and log them."""
        for line in lines:
            print(line, flush=True)
            self.log.write(f"{line}\n")
        self.log.flush()

    def note(self, **facts):
        """Write down what is known."""
        self.summary |= facts
        (self.folder / "summary.json").write_text(json.dumps(self.summary, indent=1))

    def run(self, stage, command, **environment):
        """Whether a command has succeeded within the time of a stage. None if there was no time for it."""
        seconds = min(stage.seconds, self.left() - KEPT)
        if seconds < LEAST:
            self.say(f"== {stage.name}: left out for want of time")
            self.summary["stages"][stage.name] = {"result": "left out"}
            self.note()
            return None
        self.say(f"== {stage.name} (at most {seconds:.0f} s)")
        begin = time.monotonic()
        status, tail = self._wait(command, seconds, {**os.environ, **environment})
        took = time.monotonic() - begin
        self.say(*tail, f"== {stage.name}: {took:.0f} s, status {status}")
        result = "passed" if status == 0 else "out of time" if status is None else "failed"
        self.summary["stages"][stage.name] = {"result": result, "status": status, "seconds": round(took, 1)}
        self.note()
        return status == 0

    def _wait(self, command, seconds, environment):
        """Exit status, None if time ran out, and the last lines of the output; all of it goes into the log."""
        output = self.folder / "output.txt"
        with output.open("w") as file:
            child = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                status = child.wait(seconds)
            except subprocess.TimeoutExpired:
                status = None
                _end(child)
        text = output.read_text(errors="replace")
        output.unlink()
        self.log.write(text)
        return status, text.splitlines()[-25:]


def _end(child):
    """End a process and those that it has started. Interrupted, pytest still says what has failed."""
    for number, patience in ((signal.SIGINT, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(child.pid, number)
            child.wait(patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def installed(session):
    """Tell what there is; whether a GPU can be used."""
    from skneural.backends import devices

    versions = {name: version(name) for name in PACKAGES}
    why = devices.problem()
    session.say("== what is installed", f"Python {platform.python_version()}, {platform.platform()}")
    session.say(", ".join(f"{name} {number or 'missing'}" for name, number in versions.items()))
    if shutil.which("nvidia-smi"):
        query = "--query-gpu=name,driver_version,memory.total,memory.used,clocks.max.sm"
        done = subprocess.run(["nvidia-smi", query, "--format=csv"], capture_output=True, text=True)
        session.say(*done.stdout.splitlines())
    session.say(f"GPU: {devices.describe()}")
    session.note(python=platform.python_version(), versions=versions, gpu=None if why else devices.describe(), why=why)
    return why is None


def run_tests(session, stage, tool=()):
    """Whether the tests of a stage pass."""
    junit = session.folder / f"{stage.name.replace(' ', '-')}.xml"
    # Compiling is most of it, and the kernels of all processes are kept in one place.
    processes = max(1, (os.cpu_count() or 1) - 2) if stage.parallel else 0
    return session.run(stage, [*tool, *stage.tool, *pytest_command(stage, junit, processes)])


def benchmark(session):
    """Run the benchmark in what is left, and keep its tables."""
    seconds = int(min(BENCHMARK.seconds, session.left() - KEPT) - 15)
    results = ROOT / "benchmarks" / "results"
    begin = time.time()
    session.run(BENCHMARK, list(BENCHMARK.command), GPU_BENCHMARK_SECONDS=str(max(seconds, 1)))
    for path in results.glob("gpu.*"):
        if path.stat().st_mtime >= begin:
            shutil.copy(path, session.folder)


def find_sanitizer():
    """Path of compute-sanitizer, None if there is none."""
    places = [shutil.which("compute-sanitizer"), *glob.glob("/usr/local/cuda*/bin/compute-sanitizer")]
    return next(filter(None, places), None)


def sanitize(session):
    """Look for races and reads of what was never written, if there is time and the tool."""
    tool = find_sanitizer()
    if tool is None:
        session.say("== sanitizer: compute-sanitizer is not installed")
        session.summary["stages"]["sanitizer"] = {"result": "missing"}
        return
    for stage in SANITIZED:
        run_tests(session, stage, (tool, "--error-exitcode", "9", "--print-limit", "20"))


def run_all(session):
    """All stages; the exit status."""
    if not installed(session):
        session.say(f"There is no GPU to run on: {session.summary['why']}.")
        return 2
    first, *rest = TESTS
    if run_tests(session, first):
        for stage in rest:
            run_tests(session, stage)
        benchmark(session)
        sanitize(session)
    else:
        # Which kernel is it? Those are tried one by one; speed is of no interest now.
        session.say("The first fit has failed: only the tests follow.")
        run_tests(session, rest[0])
    return int(any(stage["result"] in ("failed", "out of time") for stage in session.summary["stages"].values()))


def prepare(folder):
    """Download what a machine without a network may lack; the exit status of pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", folder, "hatchling", f"{ROOT}[test,cuda]"]
    status = subprocess.run(command).returncode
    sizes = {path.name: path.stat().st_size for path in pathlib.Path(folder).glob("*")}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size / 2**20:8.1f} MiB  {name}")
    print(f"{sum(sizes.values()) / 2**20:8.1f} MiB in {len(sizes)} files")
    return status


def main(arguments=None):
    """Run; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=530, help="seconds that it may take (default 530)")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("gpu-first-run"), help="folder for results")
    parser.add_argument("--prepare", metavar="FOLDER", help="download packages instead, and tell their size")
    options = parser.parse_args(arguments)
    if options.prepare:
        return prepare(options.prepare)
    sys.path.insert(0, str(ROOT))
    with Session(options.budget, options.output.resolve()) as session:
        status = run_all(session)
        session.note(status=status, seconds=round(time.monotonic() - session.begin, 1))
        session.say(*(f"{name}: {stage['result']}" for name, stage in session.summary["stages"].items()))
        session.say(f"status {status} after {session.summary['seconds']} s; results in {session.folder}")
    return status


if __name__ == "__main__":
    sys.exit(main())
