"""What the convolutions of the network for CIFAR-10 reach of the processor's peak, on one thread.

    python benchmarks/convolution_layers.py [--smoke]

Every convolution of `convolutions.py`'s network by itself, in float32, batches of 32 images: its kernels for the way
forward, for the gradient by its input and for that by its weights (with Adam's step), called as a fit calls them. The
peak is what NumPy's matrix product reaches on one thread with matrices of 1024 x 1024, measured in turn with them. Of a
window that reaches beyond the edge only what lies within is counted.
"""

import numpy as np
import threadpoolctl
from _common import chosen, figure, measure, repeats, start
from convolutions import CASES

from skneural.backends.cpu.catalogue import function, kernels_of
from skneural.backends.cpu.engine import Trainer
from skneural.backends.frame import data
from skneural.backends.inputs import Sequences
from skneural.backends.records import FUSED
from skneural.layers import Dense, Reshape
from skneural.network.initializers import initialize
from skneural.network.operations import OP
from skneural.network.program import lower
from skneural.training.state import OptimizerState

PEAK = "NumPy's product"
SIDE = 1024
#: Kernels of an operation, and what they compute.
KERNELS = {"forward": "forward", "backward": "by the input", "update": "by the weights"}
#: Of convolutions with windows of 3 x 3 and 32 channels or more.
GOAL = 0.75


def make_trainer(batch):
    """A trainer that has made one step, so everything that kernels read is there."""
    _, shape, layers, classes, *_ = CASES[0]
    steps = shape[0] * shape[1]
    random = np.random.default_rng(0)
    X = random.standard_normal((batch, steps, shape[-1]), np.float32)
    y = np.arange(batch, dtype=np.float32)[:, None] % classes
    program = lower(
        [Reshape(shape), *layers, Dense(classes)],
        shape[-1],
        dtype=np.float32,
        loss="log_loss",
        settings=(0.0,),
        n_timesteps=steps,
    )
    trainer = Trainer(program, initialize(program, 1), Sequences(X, None), y, None, alpha=0.0, seed=0, n_threads=1)
    state = OptimizerState.fresh(program)
    rules = {"batch": batch, "shuffle": True, "tol": 0.0, "patience": np.inf}
    trainer.start("adam", (0.9, 0.999, 1e-8), state, **rules)
    trainer.run_epochs(np.array([1e-6]), np.inf, 0)
    return trainer


def calls_of(trainer, batch):
    """The convolutions' kernels, by the number of the operation and what they compute; and the peak's product."""
    program = trainer.program
    frame = trainer.frame
    frame.update(chunk=batch, done=0, start=0, row=0, phase=FUSED, epochs_done=0)
    calls = {}
    for number, operation in enumerate(program.operations):
        if operation.kind != "convolution":
            continue
        at = data(trainer.ops) + number * OP.itemsize
        kernels = kernels_of(operation.kind, operation.function, np.float32)
        for name, what in KERNELS.items():
            op = trainer.ops[number]
            if op[name] == 0 or (name == "backward" and op["dx"] < 0):
                continue
            kernel = function(4, *kernels[name])

            def call(kernel=kernel, at=at):
                frame.walk = 0
                kernel(at, frame.address, 0, batch)

            calls[number, what] = call
    a = np.ones((SIDE, SIDE), np.float32)
    calls[PEAK] = lambda: a @ a
    return calls


def flops_of(height, width, channels, filters):
    """Floating-point operations of a convolution with windows of 3 x 3 whose part beyond the edge is left out."""
    return 2 * (3 * height - 2) * (3 * width - 2) * channels * filters


def main(arguments=None):
    options, report = start("convolution_layers", __doc__, arguments)
    batch = 4 if options.smoke else CASES[0][4]
    trainer = make_trainer(batch)
    calls = calls_of(trainer, batch)
    with threadpoolctl.threadpool_limits(1):
        times = measure(calls, repeats(options, 41), settle=0.002)
    peak = 2 * SIDE**3 / times[PEAK]["median"]
    rows = []
    for number, operation in enumerate(trainer.program.operations):
        height, width, filters = operation.output.shape if operation.kind == "convolution" else (0, 0, 0)
        channels = operation.inputs[0].width if height else 0
        name = f"{height} x {width}, {channels} to {filters}"
        if not height or not chosen(options, name):
            continue
        cells = [name]
        for what in KERNELS.values():
            if (number, what) not in times:
                cells += ["-", "-"]
                continue
            speed = flops_of(height, width, channels, filters) * batch / times[number, what]["median"]
            cells += [figure(speed / 1e9), f"{speed / peak:.0%}"]
            report.results[f"{number}: {name}, {what}"] = {
                "seconds": times[number, what],
                "gflops": speed / 1e9,
                "share": speed / peak,
            }
        rows.append(cells)
        print(" | ".join(cells), flush=True)
    trainer.close()
    report.add(f"GFLOP/s, and share of the peak, {figure(peak / 1e9)} GFLOP/s:")
    header = ["pixels, channels"]
    for what in KERNELS.values():
        header += [what, "of the peak"]
    report.table(header, rows)
    shares = [result["share"] for name, result in report.results.items() if not name.startswith("1:")]
    report.add(f"Of 32 channels or more, the smallest share: {report.verdict(min(shares), GOAL)}.")
    report.write()


if __name__ == "__main__":
    main()
