"""Autoencoders on a GPU are those on the CPU, to rounding: the fit, and both halves of the network."""

import numpy as np
import pytest

from skneural import AutoencoderDetector

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]


@pytest.mark.usefixtures("usable")
def test_both_halves():
    X = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
    settings = {"hidden_layer_sizes": (4, 2), "max_iter": 2, "batch_size": 4, "input_dropout": 0.2, "random_state": 0}
    on_gpu = AutoencoderDetector(**settings, device="cuda").fit(X)
    on_cpu = AutoencoderDetector(**settings).fit(X)
    assert on_gpu.device_ == "cuda:0"
    codes = on_cpu.transform(X)
    np.testing.assert_allclose(on_gpu.transform(X), codes, atol=1e-5)
    np.testing.assert_allclose(on_gpu.inverse_transform(codes), on_cpu.inverse_transform(codes), atol=1e-5)
    np.testing.assert_allclose(on_gpu.score_samples(X), on_cpu.score_samples(X), rtol=1e-4)
    np.testing.assert_allclose(on_gpu.offset_, on_cpu.offset_, rtol=1e-4)
