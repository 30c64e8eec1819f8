"""Convolutional networks on a GPU are those on the CPU, to rounding: fits, predictions, estimators."""

import warnings

import numpy as np
import pytest
from networks import constants_of
from twins import CLOSE, Fit, assert_same, tiles_of

from skneural import CNNClassifier, CNNRegressor
from skneural.backends.cpu.engine import Trainer as TrainerOnCPU
from skneural.backends.cuda import engine, product
from skneural.backends.cuda.engine import Predictor as OnGPU
from skneural.backends.cuda.engine import Trainer as TrainerOnGPU
from skneural.backends.inputs import Sequences
from skneural.layers import (
    AveragePool2D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    MaxPool2D,
    Reshape,
    Residual,
    SpatialDropout,
    Standardize,
    UpSample,
)
from skneural.network.initializers import initialize
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

HEIGHT, WIDTH, CHANNELS, N_CLASSES = 4, 5, 2, 3
IMAGE = Reshape((HEIGHT, WIDTH, CHANNELS))
NETWORKS = {
    "plain": [IMAGE, Conv2D(3, activation="tanh"), MaxPool2D(), Flatten(), Dense(N_CLASSES)],
    "there and back": [
        Standardize(),
        IMAGE,
        Conv2D(2, (2, 3), stride=2, activation="relu", normalization="batch"),
        SpatialDropout(0.3),
        ConvTranspose2D(3, 2, activation="tanh"),
        GlobalPool("max"),
        Dense(N_CLASSES),
    ],
    "shortcut": [
        IMAGE,
        Residual((Conv2D(3, 2, activation="relu"), Dropout(0.2)), shortcut=(Conv2D(3, 1),)),
        AveragePool2D(2, stride=1),
        UpSample((1, 2)),
        GlobalPool("mean"),
        Dense(N_CLASSES),
    ],
}
LIMITS = {"clip_norm": 0.3, "max_norm": 0.7}


def make_data(n_rows, dtype, seed=0):
    """Images as sequences of pixels, classes, and weights."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, HEIGHT * WIDTH, CHANNELS)).astype(dtype)
    targets = rng.integers(N_CLASSES, size=(n_rows, 1)).astype(dtype)
    return Sequences(values, None), targets, rng.uniform(0.5, 2, n_rows).astype(dtype)


def make_network(layers, dtype):
    """A program for images, and its parameters."""
    facts = {"loss": "log_loss", "settings": constants_of("log_loss"), "n_timesteps": HEIGHT * WIDTH}
    program = lower(layers, CHANNELS, dtype=dtype, **facts)
    params = initialize(program, 1)
    for views in program.norm_views(params):
        for view in views.values():
            view += np.random.default_rng(1).uniform(0.5, 1.5, view.shape)
    return program, params


def compare(layers, dtype=np.float64, *, n_rows=4, close=None, precision="full", **facts):
    """Fit on both backends and assert that they agree; the fit on the GPU."""
    program, params = make_network(layers, dtype)
    data = make_data(n_rows, dtype)
    facts = {"batch": 2, "epochs": 1} | facts
    on_cpu = Fit(TrainerOnCPU, program, params, data, **facts)
    on_gpu = Fit(TrainerOnGPU, program, params, data, precision=precision, **facts)
    assert_same(on_cpu, on_gpu, close or CLOSE[dtype])
    assert np.abs(on_cpu.params - params).max() > 1e-3  # something has been learnt
    return on_gpu


def test_one_short_fit():
    compare(NETWORKS["plain"], np.float32, limits=LIMITS, monitor=True)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_network(name, dtype):
    compare(NETWORKS[name], dtype, n_rows=5, epochs=3, limits=LIMITS)


@pytest.mark.slow
def test_depth_in_parts(monkeypatch):
    monkeypatch.setattr(product, "LEAST_DEPTH", 4)
    monkeypatch.setattr("skneural.backends.cuda.hub.n_processors", lambda: 64)
    fit = compare(NETWORKS["shortcut"])
    assert fit.trainer.run.binder.n_scratch > 0


@pytest.mark.slow
def test_batches_in_pieces(monkeypatch):
    monkeypatch.setattr(engine, "WORK_BYTES", 20_000)
    fit = compare(NETWORKS["shortcut"], n_rows=6, batch=5)
    assert fit.trainer.chunks > 1


@pytest.mark.slow
def test_tensor_cores(monkeypatch):
    # One processor is busy with one block, so all products have large tiles.
    monkeypatch.setattr("skneural.backends.cuda.hub.n_processors", lambda: 1)
    fit = compare(NETWORKS["plain"], np.float32, precision="tf32", close=5e-3)
    assert tiles_of(fit.trainer) == {"tensor"}


@pytest.mark.slow
@pytest.mark.parametrize(("processors", "tile"), [(1, "large_32"), (132, "small")])
def test_tiles_that_gpus_use(monkeypatch, processors, tile):
    monkeypatch.setattr(product, "TILES", product.REAL_TILES)
    monkeypatch.setattr("skneural.backends.cuda.hub.n_processors", lambda: processors)
    fit = compare(NETWORKS["there and back"], np.float32, n_rows=2)
    assert tile in tiles_of(fit.trainer)


@pytest.mark.slow
def test_two_fits_have_the_same_bits():
    fits = [compare(NETWORKS["there and back"], np.float32) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].params, fits[1].params)


@pytest.mark.slow
def test_prediction_of_one_image_has_the_bits_of_many():
    program, params = make_network(NETWORKS["there and back"], np.float32)
    X, *_ = make_data(18, np.float32)  # more than a chunk
    predict = OnGPU(program.variant(training=False), params)
    many, _ = predict(X)
    one, _ = predict(Sequences(X.values[17:], None))
    np.testing.assert_array_equal(one, many[17:])


# -- estimators --------------------------------------------------------------------------------------------------------


def on_both(make, X, y, **changed):
    """An estimator fitted on the GPU and on the CPU."""
    facts = {"filters": (2,), "hidden_layer_sizes": (3,), "max_iter": 2, "batch_size": 3, "random_state": 0} | changed
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Stochastic Optimizer: Maximum iterations")
        fitted = [make(device=device, **facts).fit(X, y) for device in ("cuda", "cpu")]
    assert [est.device_ for est in fitted] == ["cuda:0", "cpu"]
    for ours, others in zip(fitted[0].coefs_, fitted[1].coefs_, strict=True):
        np.testing.assert_allclose(ours, others, atol=1e-4)
    return fitted


@pytest.mark.usefixtures("usable")
def test_classifier():
    X = np.random.default_rng(0).normal(size=(6, HEIGHT, WIDTH, CHANNELS)).astype(np.float32)
    on_gpu, on_cpu = on_both(CNNClassifier, X, np.array([0, 1, 2, 0, 1, 2]))
    np.testing.assert_allclose(on_gpu.predict_proba(X), on_cpu.predict_proba(X), atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("usable")
def test_regressor_of_images_with_the_channels_first():
    X = np.random.default_rng(0).normal(size=(6, CHANNELS, HEIGHT, WIDTH))
    settings = {"filters": (2, 3), "normalization": "batch", "dropout": 0.2, "residual": True, "global_pooling": "mean"}
    facts = {"input_format": "channels_first", "dtype": "float32", "early_stopping": True, "validation_fraction": 0.5}
    on_gpu, on_cpu = on_both(CNNRegressor, X, np.arange(6.0), **settings, **facts)
    np.testing.assert_allclose(on_gpu.predict(X), on_cpu.predict(X), atol=1e-3)
