"""Run all benchmarks one after the other, or those named, each in a process of its own.

    python benchmarks/run.py                     # all; some minutes on two idle cores; results in benchmarks/results/
    python benchmarks/run.py predict startup     # these
    python benchmarks/run.py --smoke             # that all of them run: a minute or so, results in a temporary folder

Ends with 1 if any of them failed. What is not installed of torch and jax (`pip install skneural[bench]`) is left out.
"""

import argparse
import subprocess
import sys
import time

from _common import HERE

BENCHMARKS = (
    "products",
    "networks",
    "features",
    "convolutions",
    "convolution_layers",
    "images",
    "generative",
    "recurrent",
    "predict",
    "incremental",
    "startup",
    "grid",
    "scaling",
    "loaded",
    "quality",
    "gpu",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS], metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--smoke", action="store_true", help="everything tiny")
    parser.add_argument("--repeats", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    extra = ["--smoke"] * options.smoke + ["--repeats", str(options.repeats)] * (options.repeats is not None)
    failed, begin = [], time.perf_counter()
    for name in options.names or BENCHMARKS:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, str(HERE / f"{name}.py"), *extra]).returncode:
            failed.append(name)
    print(f"== {time.perf_counter() - begin:.0f} s, " + (f"failed: {', '.join(failed)}" if failed else "all ran"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
