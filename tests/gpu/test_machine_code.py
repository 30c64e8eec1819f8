"""Every kernel of the CUDA backend as machine code for an H100 or H200: needs neither a GPU nor a driver.

The simulator runs kernels as Python: it sees no types and no registers. What it cannot see is asserted here.
"""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from assembly import assemble

from skneural.layers import (
    Activation,
    ActivityRegularization,
    Adversarial,
    AveragePool1D,
    AveragePool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    GaussianSampling,
    GlobalPool,
    LabelChannels,
    LayerNorm,
    MaxPool1D,
    MaxPool2D,
    MixedRow,
    Noise,
    Recurrent,
    Reshape,
    Residual,
    SpatialDropout,
    Standardize,
    UpSample,
)
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.cells import CELLS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.program import lower

pytest.importorskip("numba_cuda", reason="the GPU part is not installed")
if numba.config.ENABLE_CUDASIM:
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

from skneural.backends import sources
from skneural.backends.cuda import hub, spectra, steps, streaming, updates
from skneural.backends.cuda.binding import Binder
from skneural.backends.cuda.layers import adversarial, convolution, dense, dropout, loss, noise
from skneural.backends.cuda.product import Tile

pytestmark = pytest.mark.apart

CAPABILITY, PROCESSORS = (9, 0), 132
#: Registers of a multiprocessor, and bytes of shared memory that a block of an H100 may have.
REGISTERS, SHARED = 65536, 227 * 1024
#: Kernels that add up an epoch in double precision; all others compute in the precision of the network.
BOOKKEEPING = {"step_begin", "step_end", "epoch_end", "pass_end", "average_parameters"}


#: Networks that have every layer, and one that has every activation.
NETWORKS = [
    [Noise(0.1), Dense(40, "relu"), Dropout(0.2), Dense(40, "relu", "batch"), Dropout(0.2), Dense(3)],
    [Dense(40, "relu", "layer"), Residual((Dense(40, "gelu"),)), Activation("tanh"), Dense(3)],
    [BatchNorm(), LayerNorm(), Dense(40), Activation("relu"), Dense(3)],
    [Dense(40, "relu"), ActivityRegularization(0.1), GaussianSampling(warmup=2), Dense(3)],
    [Dense(40, "relu"), MixedRow(8, (3, 5)), Dense(3)],
]
RECURRENT = [
    *([Recurrent(cell, 128), GlobalPool("last"), Dense(3)] for cell in CELLS),
    [Recurrent("gru", 200), GlobalPool("last"), Dense(3)],
    [
        Standardize(),
        Noise(0.1),
        Recurrent("rnn", 40, True, 0.2),
        Dropout(0.2),
        Recurrent("rnn", 40),
        GlobalPool("max"),
        Dense(3),
    ],
    [Recurrent("rnn", 40), GlobalPool("mean"), Dense(3)],
    [MaxPool1D(), BatchNorm(), Recurrent("rnn", 40), LayerNorm(), Activation("relu"), Flatten(), Dense(3)],
    [AveragePool1D(), Reshape((10, 10)), Recurrent("rnn", 40), GlobalPool("last"), Dense(3)],
]
IMAGE = Reshape((8, 8, 50))
#: Of few filters, of more and of many, which have tiles of their own; windows of all three ways.
CONVOLUTIONAL = [
    [IMAGE, Conv2D(16, activation="relu"), MaxPool2D(), Conv2D(16, stride=2), SpatialDropout(0.2), Flatten(), Dense(3)],
    [
        IMAGE,
        Conv2D(40, activation="relu"),
        ConvTranspose2D(40, activation="relu"),
        AveragePool2D(),
        Flatten(),
        Dense(3),
    ],
    [IMAGE, Conv2D(128, 1, activation="relu"), Conv2D(128), UpSample(), GlobalPool("mean"), Dense(3)],
    [IMAGE, ConvTranspose2D(40, stride=1), ConvTranspose2D(128), GlobalPool("mean"), Dense(3)],
    [Conv1D(16), GlobalPool("mean"), Dense(3)],
]
#: Of images with labels, as rows of 50 numbers.
ADVERSARIAL = [
    [
        Adversarial(
            (Dense(40, "relu"), Dense(48)), (LabelChannels((4, 4, 3)), Conv2D(16), Flatten(), Dense(1)), 8, 2, 0.1
        )
    ]
]
EVERY_ACTIVATION = [*(Dense(40, name, "layer") for name in ACTIVATIONS), Dense(3)]

FACTS = [{"training": True}, {"training": True, "sparse": True}, {"training": False}]


def launches(networks, dtype, precision="full", capacities=(64, 100_000), n_timesteps=0):
    """Every launch that training and prediction need, by the key of its kernel."""
    found = {}
    for layers in networks:
        program = lower(layers, 50, dtype=dtype, loss="log_loss", settings=(0.0,), n_timesteps=n_timesteps)
        for capacity in capacities:
            for facts in FACTS if n_timesteps == 0 else FACTS[:1]:
                binder = Binder(program, precision, capacity, PROCESSORS, SHARED, **facts)
                found |= {launch.key: launch for launch in binder.forward + binder.backward}
    return found


def others(dtype):
    """Keys of kernels that belong to no layer."""
    keys = [(loss.make_loss_forward, dtype, entry, False) for entry in LOSSES.values()]
    keys += [(loss.make_output_forward, dtype, entry) for entry in LINKS.values()]
    keys += [(updates.make_optimizer, dtype, entry) for entry in OPTIMIZERS.values()]
    keys += [(make, dtype) for make in (updates.make_measure, updates.make_clip, spectra.make_limit_spectra)]
    keys += [(make, dtype) for make in (dense.make_constrain, convolution.make_convolution_constrain)]
    keys += [(steps.make_step_begin, dtype, scaled, False) for scaled in (True, False)]
    keys += [(steps.make_step_end, dtype, False, counts) for counts in (True, False)]
    keys += [(make, dtype) for make in (steps.make_pass_begin, steps.make_pass_end, steps.make_average_parameters)]
    keys += [(make, dtype) for make in (steps.make_keep_parameters, steps.make_epoch_end)]
    return [*keys, (steps.make_shuffle,), (streaming.make_set_window,)]


SINGLE = launches(NETWORKS, np.float32) | launches([EVERY_ACTIVATION], np.float32, capacities=(64,))
SINGLE |= launches(RECURRENT, np.float32, capacities=(64,), n_timesteps=4)
SINGLE |= launches(CONVOLUTIONAL, np.float32, capacities=(4, 10_000), n_timesteps=64)
SINGLE |= launches(ADVERSARIAL, np.float32, capacities=(64,))
DOUBLE = launches(NETWORKS + ADVERSARIAL, np.float64, capacities=(64,))
DOUBLE |= launches(RECURRENT[:1], np.float64, capacities=(64,), n_timesteps=4)
DOUBLE |= launches(CONVOLUTIONAL[:2], np.float64, capacities=(4, 10_000), n_timesteps=64)
TENSOR = launches(NETWORKS, np.float32, "tf32")
TENSOR |= launches(CONVOLUTIONAL, np.float32, "tf32", capacities=(10_000,), n_timesteps=64)
TENSOR = {key: launch for key, launch in TENSOR.items() if key not in SINGLE}


def name_of(key):
    """A name for a kernel."""
    return sources.kernel_name(*key)


#: Makers whose first kernel every run of the tests compiles, of each group; all others are slow.
SHOWN = {
    dense.make_dense_gradient, noise.make_noise_forward, dropout.make_dropout_forward,
    convolution.make_convolution_backward, adversarial.make_gate_forward,
    updates.make_optimizer, steps.make_step_end, steps.make_pass_end,
}  # fmt: skip


def parameters(keys, shown=SHOWN):
    """Keys of kernels as parameters of a test, by their names."""
    left, result = set(shown), []
    for key in keys:
        marks = () if key[0] in left else pytest.mark.slow
        left.discard(key[0])
        result.append(pytest.param(key, id=name_of(key), marks=marks))
    return result


def compile_for_gpu(key):
    """Machine code of a kernel."""
    make, *options = key
    function = make(*options)
    function.__name__ = function.__qualname__ = name_of(key)
    return assemble(hub.to_ptx(function, CAPABILITY), getattr(function, "most_registers", None))


def check(report, launch=None):
    """Assert that a kernel fits a multiprocessor and keeps its numbers in registers."""
    threads, shared = (launch.block, launch.shared) if launch else (256, 0)
    assert report.spills == 0
    assert report.stack == 0
    assert report.shared == 0  # what a kernel needs it is given at the launch
    assert report.registers * threads <= REGISTERS
    assert shared <= SHARED


@pytest.mark.parametrize("key", parameters(SINGLE))
def test_layer_in_single_precision(key):
    report = compile_for_gpu(key)
    check(report, SINGLE[key])
    assert report.doubles == 0
    assert "atom" not in report.ptx  # sums have an order
    if any(isinstance(option, Tile) for option in key):
        for instruction in ("ld.global.v4", "ld.shared.v4", "st.shared.v4"):  # 16 bytes at a time
            assert instruction in report.ptx


@pytest.mark.parametrize("key", parameters(TENSOR, shown={dense.make_dense_gradient}))
def test_product_on_tensor_cores(key):
    report = compile_for_gpu(key)
    check(report, TENSOR[key])
    assert "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" in report.ptx
    assert report.doubles == 0


@pytest.mark.parametrize("key", parameters(others(np.float32)))
def test_other_kernel_in_single_precision(key):
    report = compile_for_gpu(key)
    check(report)
    assert report.doubles == 0 or key[0].__name__.removeprefix("make_") in BOOKKEEPING


@pytest.mark.parametrize("key", parameters(DOUBLE, shown=()))
def test_layer_in_double_precision(key):
    check(compile_for_gpu(key), DOUBLE[key])


@pytest.mark.parametrize("key", parameters(others(np.float64)[-13:], shown=()))
def test_other_kernel_in_double_precision(key):
    check(compile_for_gpu(key))


def test_code_is_what_a_gpu_gets(monkeypatch):
    # On an H100 Numba compiles for sm_90a, not sm_90; and PTX, not what a linker would optimise anew.
    from numba.cuda import codegen

    device = type("Absent", (), {"compute_capability": CAPABILITY})()
    monkeypatch.setattr(codegen.devices, "get_context", lambda: type("Context", (), {"device": device})())
    assert codegen.CUDACodeLibrary._ensure_cc(None, None) == hub.architecture(CAPABILITY)
    assert ".target sm_90a" in hub.to_ptx(steps.make_epoch_end(np.float32), CAPABILITY)
    asked = {}
    monkeypatch.setattr(hub._cuda, "jit", lambda signature, **options: asked.update(options) or (lambda function: None))
    hub.compile_function(steps.make_epoch_end(np.float32), cached=False)
    assert asked["lto"] is False


def test_nonsense_is_refused():
    with pytest.raises(RuntimeError, match="bogus"):
        assemble(hub.to_ptx(steps.make_epoch_end(np.float32), CAPABILITY).replace("ld.global", "ld.bogus"))


WITH_A_CACHE = """
import sys
import numpy as np
from numba.cuda import dispatcher
from skneural.backends.cuda import compiler, product, updates
from skneural.backends.cuda.layers import convolution, dense, noise, recurrent_loops
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.cells import CELLS
from skneural.maths.optimizers import OPTIMIZERS

device = type("Absent", (), {"compute_capability": (9, 0), "id": 0})()
context = type("Context", (), {"device": device})()
for module in list(sys.modules.values()):
    for name, value in (("get_current_device", device), ("get_context", context)):
        if getattr(module, "__name__", "").startswith("numba.cuda") and hasattr(module, name):
            setattr(module, name, lambda *arguments, value=value: value)
dispatcher._Kernel.bind = lambda self: None
single, found = np.float32, []
for key in (
    (dense.make_dense_forward, single, product.TILES["float32"][-1], ACTIVATIONS["gelu"], True, True),
    (recurrent_loops.make_recurrent_forward, single, CELLS["gru"], 2),
    (updates.make_optimizer, single, OPTIMIZERS["adam"]),
    (noise.make_noise_forward, single),
    (convolution.make_convolution_backward, single, product.TILES["float32"][-1], "reverse", False),
):
    found.append(sum(compiler.kernel(*key).stats.cache_hits.values()))
print(found)
"""


@pytest.mark.slow
def test_kernels_come_from_the_cache(tmp_path):
    # Numba hashes what a kernel closes over: nothing in it may change with the process, nor while it is compiled.
    results = []
    for seed in ("1", "2"):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONHASHSEED": seed}
        command = [sys.executable, "-W", "ignore", "-c", WITH_A_CACHE]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        results.append(done.stdout.strip())
    assert results == ["[0, 0, 0, 0, 0]", "[1, 1, 1, 1, 1]"]
