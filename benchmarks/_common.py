"""What the benchmarks share: interleaved measurement, a record of the machine, and results as JSON and Markdown.

Nothing is measured here. Every benchmark is a script of its own, and `run.py` runs them all::

    python benchmarks/networks.py            # writes benchmarks/results/networks.json and networks.md
    python benchmarks/networks.py --smoke    # seconds, everything tiny, writes into a temporary folder
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

HERE = pathlib.Path(__file__).resolve().parent
#: Seconds between two measured calls: the threads of OpenBLAS spin for 110 ms after their work, those of OpenMP for 10,
#: and would take a core from whoever comes next.
SETTLE = 0.15
PACKAGES = ("skneural", "numpy", "scipy", "numba", "llvmlite", "scikit-learn", "joblib", "torch", "jax", "jaxlib")
#: Settings from outside that change speed.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "SKNEURAL_SIMD", "NUMBA_CACHE_DIR")


def measure(callables, repeats, *, warm=None, settle=SETTLE):
    """Run callables in turn, `repeats` times each; every other round runs backwards, so neighbours change.

    Parameters
    ----------
    callables : dict of str to callable
    repeats : int
    warm : dict of str to callable, default=None
        What to run once beforehand instead of the callable itself.
    settle : float
        Seconds of rest before each.

    Returns
    -------
    dict of str to dict
        ``median``, ``min``, ``max`` and ``all``, in seconds.
    """
    for name, call in callables.items():
        (warm or {}).get(name, call)()
    seconds = {name: [] for name in callables}
    for turn in range(repeats):
        for name in list(callables)[:: -1 if turn % 2 else 1]:
            time.sleep(settle)
            start = time.perf_counter()
            callables[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: summary(times) for name, times in seconds.items()}


def summary(numbers):
    """Median, smallest, largest and all."""
    return {"median": statistics.median(numbers), "min": min(numbers), "max": max(numbers), "all": numbers}


def ratio(times, other, ours):
    """How many times as long `other` takes: the ratio of medians."""
    return times[other]["median"] / times[ours]["median"]


def cores():
    """Cores that this process may use: affinity and container limits counted."""
    import joblib

    return joblib.cpu_count()


def quiet():
    """Fits of a fixed number of epochs do not converge, and need not say so; child processes inherit it."""
    warnings.filterwarnings("ignore", message=".*hasn't converged yet.*")
    os.environ["PYTHONWARNINGS"] = "ignore"


def version(package):
    """Installed version, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit():
    """Short commit of the checkout, with a plus if files were changed since; None outside of one."""
    try:
        words = ["git", "-C", str(HERE), "describe", "--always", "--dirty=+"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def processor():
    """Name of the processor."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def load():
    """Load averages over 1, 5 and 15 minutes; None where the system has none."""
    return [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None


def environment():
    """Everything beside the code that a figure depends on."""
    from skneural.backends.cpu.simd import INSTRUCTION_SET

    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cores": cores(),
        "processor": processor(),
        "system": platform.platform(),
        "instruction_set": INSTRUCTION_SET.name,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "commit": commit(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


class Report:
    """Tables, notes and raw figures of one benchmark, to be printed and written.

    Parameters
    ----------
    name : str
    doc : str
        Docstring of the benchmark: its first paragraph heads the table.
    options : argparse.Namespace
    """

    def __init__(self, name, doc, options):
        self.name, self.options, self.results, self.parts = name, options, {}, []
        self.note = "Times are medians of interleaved runs, with [smallest, largest]; ratios are ratios of medians."
        self.heading = " ".join(doc.strip().split("\n\n")[0].split())
        self.started, self.load_before = time.perf_counter(), load()
        self.environment = environment()

    def table(self, header, rows):
        """Add a Markdown table."""
        lines = [header, ["---"] * len(header), *rows]
        self.add("\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines))

    def add(self, text):
        """Add a paragraph, and print it."""
        print(text, end="\n\n", flush=True)
        self.parts.append(text)

    def verdict(self, value, goal, *, at_least=True):
        """Words for a figure next to its goal. Smoke runs measure nothing that could meet one."""
        words = f"{figure(value)} (goal {'>=' if at_least else '<='} {figure(goal)}"
        if self.options.smoke:
            return words + ")"
        if value >= goal if at_least else value <= goal:
            return words + ": met)"
        return words + f": missed by {abs(value / goal - 1):.0%})"

    def where(self):
        """The machine, in words."""
        e = self.environment
        versions = ", ".join(f"{name} {number}" for name, number in e["versions"].items() if number)
        variables = "".join(f", {name}={value}" for name, value in e["variables"].items())
        return (
            f"{e['date']}, {e['cores']} cores ({e['processor']}, {e['instruction_set']}), load average before "
            f"{self.load_before} and after {load()}{variables}. Python {e['python']}, {versions}, commit {e['commit']}."
            f" Took {time.perf_counter() - self.started:.0f} s. Again with `{self.command()}`."
        )

    def command(self):
        """What was typed, short of paths."""
        instructions = os.environ.get("SKNEURAL_SIMD")
        variable = [f"SKNEURAL_SIMD={instructions}"] if instructions else []
        return " ".join([*variable, "python", f"benchmarks/{self.name}.py", *self.options.typed])

    def file(self):
        """Name of the files of results: where an instruction set was asked for, it is in the name."""
        instructions = os.environ.get("SKNEURAL_SIMD")
        return f"{self.name}_{instructions}" if instructions else self.name

    def write(self):
        """Write the results as JSON and as Markdown, and say where."""
        if self.options.smoke or self.options.repeats or self.options.only:  # CI must leave the tree as it was
            folder = pathlib.Path(tempfile.mkdtemp(prefix="skneural-benchmarks-"))
        else:
            folder = HERE / "results"
        folder.mkdir(exist_ok=True)
        record = {"benchmark": self.name, "command": self.command(), "environment": self.environment}
        record |= {"load_before": self.load_before, "load_after": load(), "results": self.results}
        (folder / f"{self.file()}.json").write_text(json.dumps(record, indent=1) + "\n")
        parts = [f"# {self.name}", self.heading, *self.parts, *([self.note] if self.note else []), self.where()]
        (folder / f"{self.file()}.md").write_text("\n\n".join(parts) + "\n")
        print(f"{self.where()}\nWritten to {folder / self.file()}.md and .json", flush=True)


def figure(x):
    """Three digits or so."""
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"


def shown(times, unit):
    """A summary in words, in units of `unit` seconds."""
    return f"{figure(times['median'] / unit)} [{figure(times['min'] / unit)}, {figure(times['max'] / unit)}]"


def start(name, doc, arguments=None):
    """Options of the command line, and an empty report."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="everything tiny, results into a temporary folder")
    # For trying things out: with these, too, results go into a temporary folder.
    parser.add_argument("--repeats", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.typed = sys.argv[1:] if arguments is None else list(arguments)
    quiet()
    return options, Report(name, doc, options)


def repeats(options, full):
    """How often to measure."""
    return options.repeats or (2 if options.smoke else full)


def chosen(options, name):
    """Whether `--only` lets a case through."""
    return options.only is None or options.only in name
