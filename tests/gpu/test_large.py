"""What needs a GPU for its size: large tiles and tensor cores in real kernels, a million rows, 2**31 numbers, threads.

All is held against the CPU. Errors are relative, of whole vectors in the Euclidean norm: single precision adds up
thousands of products, tensor cores round each factor to 10 bits of mantissa.
"""

import concurrent.futures
import os

import numpy as np
import pytest
from large import CONVOLUTIONAL, WIDE, epoch, error, gradient, images, lstm, program_for, rows, sequences
from twins import tiles_of

from skneural import MLPClassifier
from skneural.backends.cpu.engine import Predictor as PredictorOnCPU
from skneural.backends.cpu.engine import Trainer as OnCPU
from skneural.backends.cuda import compiler, engine, hub, memory, steps
from skneural.backends.cuda.engine import Predictor as PredictorOnGPU
from skneural.backends.cuda.engine import Trainer as OnGPU
from skneural.backends.frame import Frame
from skneural.layers import Dense
from skneural.maths import random
from skneural.network.initializers import initialize

pytestmark = [pytest.mark.gpu, pytest.mark.hardware, pytest.mark.filterwarnings("ignore:Stochastic Optimizer")]

LARGE_TILE = {"full": "large", "tf32": "tensor"}


def test_a_first_fit():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 20), dtype=np.float32)
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    clf = MLPClassifier((64, 32), max_iter=5, batch_size=100, random_state=0)
    expected = clf.set_params(device="cpu").fit(X, y).predict_proba(X)
    found = [clf.set_params(device="cuda").fit(X, y).predict_proba(X) for _ in range(2)]
    assert clf.device_ == "cuda:0"
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], expected, atol=1e-3)


@pytest.mark.parametrize(("precision", "close"), [("full", 1e-3), ("tf32", 3e-2)])
def test_gradients_of_wide_layers(precision, close):
    X, y = rows(5000, 250)
    ((loss, expected),), _ = gradient(OnCPU, WIDE, X, y)
    results, trainer = gradient(OnGPU, WIDE, X, y, times=2, precision=precision)
    assert LARGE_TILE[precision] in tiles_of(trainer)
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][0] == pytest.approx(loss, rel=close)
    assert error(results[0][1], expected) < close


@pytest.mark.parametrize(("precision", "close"), [("full", 1e-4), ("tf32", 1e-2)])
def test_an_epoch_of_large_batches(precision, close):
    X, y = rows(40_077, 250)
    layers = [Dense(1000, "relu"), Dense(1000, "relu"), Dense(10)]
    expected, loss, _ = epoch(OnCPU, layers, X, y, batch=8192)
    found, on_gpu, trainer = epoch(OnGPU, layers, X, y, batch=8192, precision=precision)
    assert LARGE_TILE[precision] in tiles_of(trainer)
    assert trainer.execution == "graph", trainer.capture_error
    assert on_gpu == pytest.approx(loss, rel=close)
    assert error(found, expected) < close


@pytest.mark.parametrize("n_rows", [256, 300])  # loops over slices of two rows, and of four
def test_gradients_of_lstms_of_real_size(n_rows):
    X, y = sequences(n_rows, 96, 7)
    ((loss, expected),), _ = gradient(OnCPU, lstm(128), X, y)
    results, _ = gradient(OnGPU, lstm(128), X, y, times=2)
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][0] == pytest.approx(loss, rel=1e-3)
    assert error(results[0][1], expected) < 1e-3


@pytest.mark.parametrize(("precision", "close"), [("full", 1e-3), ("tf32", 3e-2)])
def test_gradients_of_convolutions_of_real_size(precision, close):
    X, y = images(300, 32, 32, 3)
    ((loss, expected),), _ = gradient(OnCPU, CONVOLUTIONAL, X, y)
    results, trainer = gradient(OnGPU, CONVOLUTIONAL, X, y, times=2, precision=precision)
    widest = LARGE_TILE[precision]
    assert {widest, f"{widest}_64", f"{widest}_32"} <= tiles_of(trainer)
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][0] == pytest.approx(loss, rel=close)
    assert error(results[0][1], expected) < close


def test_a_million_rows_at_once_and_streamed(monkeypatch):
    X, y = rows(1_000_000, 256)
    layers = [Dense(128, "relu"), Dense(10)]
    expected, loss, _ = epoch(OnCPU, layers, X, y, batch=4096)
    whole, on_gpu, _ = epoch(OnGPU, layers, X, y, batch=4096)
    assert on_gpu == pytest.approx(loss, rel=1e-3)
    assert error(whole, expected) < 1e-3
    answers = iter([False, False])  # neither as it is nor in smaller chunks
    monkeypatch.setattr(memory, "fits", lambda needed: next(answers, True))
    streamed, _, trainer = epoch(OnGPU, layers, X, y, batch=4096)
    assert trainer.streamed is not None
    assert error(streamed, expected) < 1e-3


@pytest.mark.parametrize("n_rows", [60_000, 1_000_000])
def test_order_of_many_rows_is_that_of_the_cpu(n_rows):
    order = np.zeros(n_rows, np.int64)
    with hub.on_device(0):
        arena, frame = memory.Arena(hub.new_stream(0)), Frame()
        frame.update(order=arena.put("order", order), scratch=arena.put("scratch", order))
        frame.update(n_rows=n_rows, seed=5, epoch=2)
        frames, kernel = arena.put("frames", frame.numbers), compiler.loaded(0, steps.make_shuffle)
        hub.launch(kernel, (1, 1, 1), engine.SHUFFLING, 0, arena.stream, (0, frames, 0))
        arena.get("order", order)
        arena.close()
    i = np.arange(n_rows, dtype=np.uint64)
    drawn = random.bits(random.key(5, random.ORDER, 2), i)
    places = (drawn * (i + np.uint64(1)) >> np.uint64(32)).tolist()
    expected = list(range(n_rows))
    for k in range(n_rows - 1, 0, -1):
        expected[k], expected[places[k]] = expected[places[k]], expected[k]
    assert order.tolist() == expected


def test_fits_in_threads_have_the_bits_of_single_ones():
    X, y = rows(4000, 30)

    def fit(seed):
        clf = MLPClassifier((64, 32), device="cuda", max_iter=4, random_state=seed).fit(X, y.ravel())
        return np.concatenate([array.ravel() for array in clf.coefs_])

    alone = [fit(seed) for seed in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, range(4)))
    np.testing.assert_array_equal(together, alone)


def test_more_numbers_than_32_bits_can_count():
    n_rows, n_features = 600_000, 4000
    needed = 4 * n_rows * n_features
    with hub.on_device(0):
        on_device = hub.memory_info()[0]
    on_host = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if min(on_device, on_host) < 1.5 * needed:
        pytest.skip(f"needs {1.5 * needed / 1e9:.0f} GB free on the GPU, and as much beside it")
    block = np.random.default_rng(0).standard_normal((1000, n_features), dtype=np.float32)
    X = np.empty((n_rows, n_features), np.float32)
    X.reshape(-1, 1000, n_features)[:] = block
    program = program_for([Dense(16, "tanh"), Dense(3)], X)
    params = initialize(program, 1)
    found, _ = PredictorOnGPU(program, params)(X)
    expected, _ = PredictorOnCPU(program, params)(block)
    assert error(found[-1000:], expected) < 1e-4
    np.testing.assert_array_equal(found[-1000:], found[:1000])
