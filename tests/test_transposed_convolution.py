"""Transposed convolutions: what they are of others, their gradients, their sizes; and shortcuts that change a shape."""

import dataclasses

import numpy as np
import pytest
from networks import assert_right_gradient

from skneural.backends.cpu.engine import Predictor, Trainer
from skneural.backends.inputs import Sequences
from skneural.layers import (
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Dense,
    Flatten,
    GlobalPool,
    MaxPool1D,
    Reshape,
    Residual,
    UpSample,
)
from skneural.network.initializers import initialize
from skneural.network.program import lower

RNG = np.random.default_rng(0)
#: Kernels, strides, padding and dilations: of each axis one, where there are pairs.
SETTINGS = [
    (3, 2, "same", 1),
    (4, 2, "same", 1),
    (3, 1, "same", 1),
    ((5, 2), (2, 3), "valid", 1),
    (3, (3, 2), "same", (1, 2)),
    (2, 2, "valid", (2, 1)),
    (1, 2, "same", 1),
]


def outputs(layer, X, weights):
    """What one layer makes of images X, all numbers of which are outputs; its weights and biases are given."""
    n, height, width, channels = X.shape
    layers = [Reshape((height, width, channels)), layer, Flatten()]
    options = {"dtype": X.dtype.type, "loss": "squared_error", "n_timesteps": height * width}
    size = shape_of(layers, channels, options)
    program = lower([*layers, Dense(size)], channels, training=False, **options)
    params = initialize(program, 0)
    program.coefs(params)[0][:] = weights
    program.intercepts(params)[0][:] = 0
    program.coefs(params)[1][:] = np.eye(size)
    program.intercepts(params)[1][:] = 0
    y, _ = Predictor(program, params)(Sequences(X.reshape(n, height * width, channels), None))
    return y


def shape_of(layers, channels, options):
    """Numbers of a sample after layers."""
    program = lower([*layers, Dense(1)], channels, training=False, **options)
    return program.coefs(np.zeros(program.n_params))[-1].shape[0]


@pytest.mark.parametrize("settings", SETTINGS, ids=map(str, SETTINGS))
@pytest.mark.parametrize(("channels", "filters"), [(1, 3), (5, 17)])
def test_it_is_the_transpose_of_a_convolution(settings, channels, filters):
    # <conv(a), b> = <a, transposed(b)>, where both have the same weights, each tap's transposed.
    kernel, stride, padding, dilation = settings
    small = RNG.normal(size=(2, 4, 5, filters))
    transposed = ConvTranspose2D(channels, kernel, stride, padding, dilation)
    convolution = Conv2D(filters, kernel, stride, padding, dilation)
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    weights = RNG.normal(size=(height * width, channels, filters))
    back = outputs(transposed, small, weights.swapaxes(1, 2).reshape(-1, channels))
    options = {"dtype": np.float64, "loss": "squared_error", "n_timesteps": 20}
    program = lower([Reshape((4, 5, filters)), transposed, Flatten(), Dense(1)], filters, **options)
    large = RNG.normal(size=(2, *program.built[1].shape))
    forth = outputs(convolution, large, weights.reshape(-1, filters))
    assert forth.shape == (2, small[0].size)
    for i in range(2):
        assert np.vdot(forth[i], small[i]) == pytest.approx(np.vdot(large[i], back[i]), rel=1e-12)


def test_values_by_hand():
    # Each number of the input, times the window, is added where the window stands.
    X = np.array([1.0, 10.0]).reshape(1, 1, 2, 1)
    weights = np.array([[1.0], [2.0], [3.0]])
    valid = ConvTranspose2D(1, (1, 3), (1, 2), "valid")
    assert outputs(valid, X, weights)[0].tolist() == [1, 2, 3 + 10, 20, 30]
    same = ConvTranspose2D(1, (1, 3), (1, 2), "same")  # begins with the middle of the first window
    assert outputs(same, X, weights)[0].tolist() == [2, 3 + 10, 20, 30]


@pytest.mark.parametrize("settings", SETTINGS[:5], ids=map(str, SETTINGS[:5]))
def test_gradients(settings):
    layers = [Reshape((3, 4, 2)), Conv2D(3, 1, activation="tanh"), ConvTranspose2D(5, *settings, "tanh"), Flatten()]
    program = lower([*layers, Dense(2)], 2, dtype=np.float64, loss="squared_error", n_timesteps=12)
    X = Sequences(RNG.normal(size=(5, 12, 2)), None)
    y = RNG.normal(size=(5, 2))
    assert_right_gradient(program, initialize(program, 1), X, y, np.ones(5))


@pytest.mark.parametrize(
    "layers",
    [
        [Conv1D(4, stride=2), ConvTranspose1D(3, 4, activation="tanh"), GlobalPool("mean")],
        [Conv1D(4, stride=4, kernel_size=5), ConvTranspose1D(3), GlobalPool("max")],
        [MaxPool1D(2), UpSample(2), Conv1D(3, activation="tanh"), GlobalPool("mean")],
        [Conv1D(3, stride=4, activation="tanh"), UpSample(2), Conv1D(3), GlobalPool("max")],
        [Residual((Conv1D(6, activation="tanh"), Conv1D(5)), shortcut=(Conv1D(5, 1),)), GlobalPool("mean")],
    ],
    ids=str,
)
def test_sequences_of_different_length(layers):
    program = lower([*layers, Dense(2)], 2, dtype=np.float64, loss="squared_error", n_timesteps=8)
    lengths = np.array([8, 3, 5, 1])  # some in the midst of a step that stands for several
    values = RNG.normal(size=(4, 8, 2))
    values[np.arange(8) >= lengths[:, None]] = np.nan
    y = RNG.normal(size=(4, 2))
    params = initialize(program, 1)
    assert_right_gradient(program, params, Sequences(values, lengths), y, np.ones(4))
    together, _ = Predictor(program, params)(Sequences(values, lengths))
    for i, length in enumerate(lengths):
        alone = program.variant(training=False, n_timesteps=int(length))
        X = Sequences(np.ascontiguousarray(values[i : i + 1, :length]), None)
        assert np.array_equal(Predictor(alone, params)(X)[0][0], together[i])


def test_same_bits_for_any_number_of_threads():
    layers = [Reshape((6, 6, 3)), ConvTranspose2D(20, activation="relu"), Conv2D(7, stride=2), Flatten(), Dense(2)]
    program = lower(layers, 3, dtype=np.float32, loss="squared_error", n_timesteps=36)
    X = Sequences(RNG.normal(size=(9, 36, 3)).astype(np.float32), None)
    y = RNG.normal(size=(9, 2)).astype(np.float32)
    gradients = []
    for n_threads in (1, 2, 3):
        trainer = Trainer(program, initialize(program, 1), X, y, None, alpha=0.0, seed=0, n_threads=n_threads)
        loss, gradient = trainer.loss_and_gradient()
        gradients.append((loss, gradient.tobytes()))
        trainer.close()
    assert gradients[0] == gradients[1] == gradients[2]


@pytest.mark.parametrize("layer", [ConvTranspose1D(3, padding="causal"), ConvTranspose2D(3, padding="causal")], ids=str)
def test_causal_is_refused(layer):
    with pytest.raises(ValueError, match="has padding='same' or 'valid', got 'causal'"):
        lower([layer, GlobalPool(), Dense(1)], 2, dtype=np.float64, loss="squared_error", n_timesteps=4)


def test_shortcut_of_another_shape_is_refused():
    words = r"needs layers that keep the shape, got \(4,\) on the shortcut and \(5,\) after them"
    with pytest.raises(ValueError, match=words):
        lower([Residual((Dense(5),), (Dense(4),)), Dense(1)], 3, dtype=np.float64, loss="squared_error")


def test_a_shortcut_is_a_setting():
    block = Residual((Dense(5),), shortcut=(Dense(5),))
    assert dataclasses.replace(block, shortcut=()).shortcut == ()
    assert repr(block) == "Residual((Dense(5),), shortcut=(Dense(5),))"
