"""A GPU from launches to epochs: kernels of ours next to cuBLAS and cuDNN, trainings next to PyTorch and JAX.

    python benchmarks/gpu.py                       # under eight minutes; results in benchmarks/results/
    python benchmarks/gpu.py --only "training a"   # one part, results in a temporary folder
    python benchmarks/gpu.py --smoke               # without a GPU: tiny trainings on the CPU, of all that is installed

Every part runs in a process of its own (`gpu_process.py`): what fails is told below the table, and the rest goes on. At
first all kernels are compiled, in several processes at once, so that the parts find them in the cache.

Data stand on the device for all. Epochs are timed from the order of the rows to the loss that the host has read, calls
of a few epochs each, in turn; compiled PyTorch comes after the others. "TF32" is ``precision="tf32"`` for ours, matrix
products and cuDNN that may round to TF32 for the others. Without it all compute in float32. PyTorch runs its fused
Adam; as a graph, all of a step is one. A step of an LSTM is that of one layer, with the products with its inputs.
"""

import concurrent.futures
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import gpu_kernels
import gpu_process
import gpu_training
from _common import chosen, figure, shown, start, version

SCRIPT = pathlib.Path(__file__).resolve()
#: Seconds for all parts. Where there are fewer, each gets its share of them.
TOTAL = int(os.environ.get("GPU_BENCHMARK_SECONDS", 465))
PACKAGES = (
    "numba-cuda", "cuda-bindings", "cuda-core", "nvidia-cuda-runtime", "nvidia-cuda-nvrtc", "nvidia-cublas",
    "nvidia-cudnn-cu13", "jax-cuda13-plugin", "triton",
)  # fmt: skip
MILLI, MICRO = 1e-3, 1e-6
HEADER = ("", "skneural", "skneural, TF32", "others, float32", "others, TF32", "goal")


@dataclass(frozen=True)
class Section:
    """A part: what is called in its process, the most seconds, and what is compiled beforehand, a process each."""

    run: object
    seconds: int
    facts: tuple = ()
    compile: object = None
    compiled: tuple = ()

    def task(self, options, device):
        """What its process is told."""
        return {"smoke": options.smoke, "rounds": options.repeats, "device": device, **dict(self.facts)}


def training(case, seconds):
    """Section of a case of `gpu_training`."""
    facts = (("case", case),)
    return Section(gpu_training.train, seconds, facts, gpu_training.compile_kernels, gpu_training.PRECISIONS)


SECTIONS = {
    "launches": Section(gpu_kernels.launches, 30),
    "products": Section(gpu_kernels.products, 60, (), gpu_kernels.compile_products, gpu_kernels.LAYOUTS),
    "memory": Section(gpu_kernels.memory, 40),
    "training a": training("a", 110),
    "training b": training("b", 100),
    "training c": training("c", 60),
    "training d": training("d", 80),
    "lstm": Section(gpu_kernels.lstm, 50),
}
COMPILING = 90
#: What runs on the CPU in smoke runs: the others are made of the same.
ON_CPU = ("training a", "training c", "training d")


def child(task):
    """Run what a task names, in this process."""
    section, log = SECTIONS[task["section"]], gpu_process.Log(task)
    (section.compile if "part" in task else section.run)(log, task)


def driver():
    """What nvidia-smi says of the GPU, None where there is none."""
    words = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.sm", "--format=csv"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout.splitlines()[-1]
    except (OSError, subprocess.SubprocessError):
        return None


def compile_all(report, options, sections, device):
    """Compile the kernels of all parts at once; what went wrong there shows again where they are used."""
    parts = [(name, part) for name, section in sections.items() for part in section.compiled]
    begin = time.monotonic()

    def compile_part(which):
        name, part = which
        task = sections[name].task(options, device) | {"section": name, "part": part}
        return gpu_process.run(SCRIPT, COMPILING, **task)

    with concurrent.futures.ThreadPoolExecutor(len(parts) or 1) as pool:
        failed = {which: failed for which, (_, failed) in zip(parts, pool.map(compile_part, parts), strict=True)}
    seconds = time.monotonic() - begin
    steps = {f"{name} {part}, {step}": why for (name, part), found in failed.items() for step, why in found.items()}
    report.results["compiling"] = {"seconds": seconds, "failed": steps}
    print(f"compiled in {len(parts)} processes: {seconds:.0f} s", flush=True)


def run_all(report, options, sections, device):
    """Run the parts one after the other, each with its share of the time that is left."""
    begin = time.monotonic()
    if device != "cpu" and not options.smoke:
        compile_all(report, options, sections, device)
    rest = sum(section.seconds for section in sections.values())
    for name, section in sections.items():
        share = section.seconds * min(1, (TOTAL - (time.monotonic() - begin)) / rest)
        rest, started = rest - section.seconds, time.monotonic()
        found, failed = gpu_process.run(SCRIPT, share, section=name, **section.task(options, device))
        report.results[name] = {"found": found, "failed": failed, "seconds": time.monotonic() - started}
        words = f", failed: {', '.join(failed)}" if failed else ""
        print(f"{name}: {time.monotonic() - started:.0f} s{words}", flush=True)


# -- the table ---------------------------------------------------------------------------------------------------------


def found_in(report, section):
    """What a part found, without what there is no figure for."""
    found = report.results.get(section, {}).get("found", {})
    return {name: value for name, value in found.items() if value is not None}


def rows_of_launches(report):
    """Microseconds of an empty launch, and of a node of graphs."""
    found = found_in(report, "launches")
    words = [shown(found["launch"], MICRO)] if "launch" in found else []
    if "launch by Numba" in found:
        words.append(f"by Numba's own way {shown(found['launch by Numba'], MICRO)}")
    if words:
        yield ["empty kernel, µs a launch", ", ".join(words), "", "", "", ""]
    nodes = {n: found[f"graph of {n}"]["node"] for n in gpu_kernels.NODES if f"graph of {n}" in found}
    if nodes:
        words = ", ".join(f"{figure(seconds / MICRO)} of {n}" for n, seconds in nodes.items())
        yield ["empty kernel, µs a node of a graph", words, "", "", "", ""]


def columns(ways):
    """Cells of ours and of others, float32 and TF32, from words by name of the way."""
    cells = [[] for _ in range(4)]
    for name, words in ways.items():
        ours, tf32 = name.startswith("skneural"), "TF32" in name
        short = name.removesuffix(", TF32").removeprefix("skneural").strip(", ")
        cells[2 * (not ours) + tf32].append(f"{short} {words}".strip())
    return [", ".join(cell) for cell in cells]


def ours_named(found):
    """Results with our precisions named like those of others."""
    names = {f"skneural, {p}": "skneural" + ", TF32" * (p == "tf32") for p in gpu_training.PRECISIONS}
    return {names.get(name, name): value for name, value in found.items()}


def rows_of_products(report):
    """TFLOP/s of every product, and whether it was right."""
    found = found_in(report, "products")
    for shape in gpu_kernels.SHAPES:
        for layout in gpu_kernels.LAYOUTS:
            title, ways = f"{gpu_kernels.title(shape)} {layout}", {}
            for name, result in found.items():
                if name.startswith(title + ": "):
                    way = name.split(": ")[1]
                    if way in ("large", "small", "tensor"):
                        way = f"skneural, {way}" + ", TF32" * (way == "tensor")
                    wrong = "" if result["right"] else f" (WRONG: error {result['error']:.1g})"
                    ways[way] = figure(result["tflops"]) + wrong
            if ways:
                yield [f"product {title}, TFLOP/s", *columns(ways), ""]


def rows_of_lstm(report):
    """Microseconds of a step of time."""
    found, case = ours_named(found_in(report, "lstm")), gpu_kernels.LSTM
    for way in ("forward", "backward"):
        ways = {}
        for name, seconds in found.items():
            if isinstance(seconds, dict) and way in seconds:
                loop = seconds.get(f"{way}, loop")
                ways[name] = figure(seconds[way] / MICRO) + (f" (loop {figure(loop / MICRO)})" if loop else "")
        if ways:
            title = f"LSTM {case.layers[1]}, batch {case.batch}, µs a step {way}"
            yield [title, *columns(ways), ""]


def goals(report, case, medians):
    """Verdicts on a training, of those goals whose figures were measured."""
    ours = medians.get("skneural")
    others = {n: m for n, m in medians.items() if n.startswith("PyTorch") and "TF32" not in n}
    if ours is None:
        return
    if case == "a":
        yield f"ms {report.verdict(ours / MILLI, 8, at_least=False)}"
        for way, goal in (("eager", 5), ("graph", 1.5)):
            if f"PyTorch {way}" in others:
                yield f"PyTorch {way} / ours {report.verdict(others[f'PyTorch {way}'] / ours, goal)}"
    elif others:
        name = min(others, key=others.get)
        goals_of_cases = {"b": 1.6, "c": 1.5}
        ratio = ours / others[name]
        verdict = figure(ratio)
        if case in goals_of_cases:
            verdict = report.verdict(ratio, goals_of_cases[case], at_least=False)
        yield f"ours / {name} {verdict}"


def rows_of_training(report, options, name):
    """Milliseconds an epoch, and the loss of the last epoch that all have seen: without a like one nothing counts."""
    case = (gpu_training.SMOKE if options.smoke else gpu_training.CASES)[name]
    ways = {n: v for n, v in found_in(report, f"training {name}").items() if isinstance(v, dict) and "losses" in v}
    ways = ours_named(ways)
    if not ways:
        return
    last = min(len(way["losses"]) for way in ways.values())
    losses = {n: way["losses"][last - 1] for n, way in ways.items()}
    usual = statistics.median(losses.values())
    others = {n for n, loss in losses.items() if not math.isclose(loss, usual, rel_tol=0.25, abs_tol=0.02)}
    words = {n: shown(way["seconds"], MILLI) for n, way in ways.items()}
    verdicts = goals(report, name, {n: way["seconds"]["median"] for n, way in ways.items() if n not in others})
    yield [f"({name}) {case.title}, ms an epoch", *columns(words), "; ".join(verdicts)]
    words = {n: f"{loss:.4f}" + " (OTHER WORK?)" * (n in others) for n, loss in losses.items()}
    yield [f"({name}) loss of epoch {last}", *columns(words), ""]


def rows_of_memory(report):
    """Bytes missing on the GPU."""
    found = found_in(report, "memory")
    for name in ("fit", "refused", "out of memory", "fit afterwards"):
        if name in found:
            lost, kept = (found[name][key] for key in ("bytes", "but for Numba's own"))
            words = f"{lost:,}" + (f" ({kept:,} once Numba has freed what it keeps for later)" if kept != lost else "")
            verdict = "0: met" if lost == 0 else "0: missed"
            yield [f"bytes missing after: {name}", words, "", "", "", "" if report.options.smoke else verdict]


def notes(report, sections):
    """What was checked, what is missing, and what went wrong."""
    found = found_in(report, "launches")
    if "NumPy" in found:
        has = "has" if found["NumPy"]["has row_stack"] else "has no"
        there = "there" if found.get("row_stack after import") else "not there"
        report.add(f"NumPy {found['NumPy']['version']} {has} row_stack of its own; after the import it is {there}.")
    missing, executions, left_out = {}, [], []
    for section in sections:
        for name, value in found_in(report, section).items():
            if name.startswith("missing, ") and value:
                missing[name.removeprefix("missing, ")] = value
            elif name.startswith("execution, "):
                executions.append(f"{section} {name.removeprefix('execution, ')}: {value}")
            elif name.startswith("left out, "):
                left_out.append(f"{section}, {name.removeprefix('left out, ')}")
    if executions:
        report.add(f"How our last epochs were run: {', '.join(executions)}.")
    for name, why in missing.items():
        report.add(f"{name}: {why}. It is left out.")
    if left_out:
        report.add(f"Left out for want of time: {'; '.join(left_out)}.")
    compiling = report.results.get("compiling", {}).get("failed", {})
    failed = [f"- compiling {name}: {why}" for name, why in compiling.items()]
    for name in sections:
        failed += [f"- {name}, {step}: {why}" for step, why in report.results[name]["failed"].items()]
    report.add("What failed:\n\n" + "\n".join(failed) if failed else "Nothing failed.")


def tables(report, options, sections):
    """The table, and what is to be said below it."""
    rows = [*rows_of_launches(report), *rows_of_products(report), *rows_of_lstm(report)]
    for name in gpu_training.CASES:
        rows += rows_of_training(report, options, name)
    rows += rows_of_memory(report)
    report.table(HEADER, [[cell or "-" for cell in row] for row in rows])
    notes(report, sections)


def main(arguments=None):
    options, report = start("gpu", __doc__, arguments)
    from skneural.backends import devices

    why, device = devices.problem(), "cuda:0"
    if why is not None:
        print(f"no GPU: {why}", flush=True)
        if not options.smoke:
            return
        device = "cpu"
    names = [name for name in SECTIONS if chosen(options, name) and (device != "cpu" or name in ON_CPU)]
    sections = {name: SECTIONS[name] for name in names}
    report.environment["versions"] |= {name: version(name) for name in PACKAGES}
    report.environment["gpu"] = None if device == "cpu" else {"devices": devices.describe(), "nvidia-smi": driver()}
    run_all(report, options, sections, device)
    if device == "cpu":
        report.add(f"no GPU: {why}. These are tiny trainings on the CPU.")
    else:
        gpu = report.environment["gpu"]
        report.add(f"GPU {gpu['devices']}. Name, driver, memory, highest and current clock: {gpu['nvidia-smi']}.")
    try:
        tables(report, options, sections)
    except Exception as error:  # time on a GPU is dear: the figures must not be lost
        report.add(f"The table could not be made ({error!r}); the figures are in {report.name}.json.")
    report.write()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(json.loads(sys.argv[2]))
    else:
        main()
