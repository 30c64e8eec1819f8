"""Augmentation on a GPU is that on the CPU: samples, and fits; prediction reads samples as they are."""

import numpy as np
import pytest
from test_image_kernels import N_STEPS, of_images, some
from test_image_training import HEIGHT, IMAGE, WIDTH, compare, on_both
from test_layer_kernels import N_FEATURES, N_OUTPUTS, check

from skneural import CNNClassifier
from skneural.layers import Augmentation, Conv2D, Dense, GlobalPool, Recurrent, SequenceAugmentation, Standardize
from skneural.maths.augmentation import FILLS
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

EVERYTHING = {
    "rotation": 70,
    "width_shift": 0.3,
    "height_shift": 0.4,
    "zoom": 0.4,
    "horizontal_flip": True,
    "vertical_flip": True,
    "brightness": 0.5,
    "contrast": 0.4,
}
IMAGES = [
    *(Augmentation(**EVERYTHING, fill=fill) for fill in FILLS),
    Augmentation(cutout=0.6),
    Augmentation(),
    Augmentation(zoom=0.9, width_shift=0.9, cutout=0.3, fill="wrap"),
]
SEQUENCES = [
    SequenceAugmentation(0.2, 0.3, 0.4, 0.3),
    SequenceAugmentation(time_shift=0.9),
    SequenceAugmentation(time_warp=0.49),
    SequenceAugmentation(),
]


@pytest.mark.parametrize("layer", some(IMAGES, 2, 4))
def test_images(layer):
    check(of_images([layer]), ragged=False)


@pytest.mark.parametrize("layer", some(SEQUENCES, 0))
def test_sequences_of_different_length(layer):
    layers = [Standardize(), layer, GlobalPool("max"), Dense(N_OUTPUTS)]
    check(lower(layers, N_FEATURES, dtype=np.float64, loss="squared_error", n_timesteps=N_STEPS))


@pytest.mark.slow
def test_a_sequence_that_steps_read_one_after_the_other():
    layers = [SequenceAugmentation(0.1, 0.1, 0.1, 0.1), Recurrent("gru", 2), GlobalPool("last"), Dense(N_OUTPUTS)]
    check(lower(layers, N_FEATURES, dtype=np.float64, loss="squared_error", n_timesteps=N_STEPS))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_in_pieces(monkeypatch, dtype):
    monkeypatch.setattr("skneural.backends.cuda.engine.WORK_BYTES", 10_000)
    layers = [Standardize(), IMAGE, Augmentation(**EVERYTHING, cutout=0.3), Conv2D(2), GlobalPool("mean"), Dense(3)]
    fit = compare(layers, dtype, n_rows=5, batch=4, epochs=3)
    assert fit.trainer.chunks > 1


@pytest.mark.slow
@pytest.mark.usefixtures("usable")
def test_classifier():
    X = np.random.default_rng(0).integers(0, 256, (6, HEIGHT, WIDTH, 2)).astype(np.uint8)
    y = np.array([0, 1, 2, 0, 1, 2])
    on_gpu, on_cpu = on_both(CNNClassifier, X, y, augmentation=Augmentation(**EVERYTHING), mixup=0.3)
    np.testing.assert_allclose(on_gpu.predict_proba(X), on_cpu.predict_proba(X), atol=1e-4)
    np.testing.assert_array_equal(on_gpu.predict_proba(X), on_gpu.predict_proba(X))
