"""Layers of convolutional networks compute on a GPU what they compute on the CPU: outputs, losses and gradients."""

import numpy as np
import pytest
from test_layer_kernels import N_FEATURES, N_OUTPUTS, check

from skneural.layers import (
    Activation,
    AveragePool1D,
    AveragePool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    ConvTranspose1D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    MaxPool1D,
    MaxPool2D,
    Reshape,
    Residual,
    SpatialDropout,
    UpSample,
)
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

HEIGHT, WIDTH = 3, 4
IMAGE = Reshape((HEIGHT, WIDTH, N_FEATURES))
#: Convolutions as the first layer, which sends no gradient on, and as the second, which does.
CONVOLUTIONS = [
    Conv2D(3, activation="tanh"),
    Conv2D(2, (2, 3), stride=(1, 2), padding="valid"),
    Conv2D(5, 2, dilation=(1, 2), activation="relu", normalization="batch"),
    Conv2D(3, (3, 4), stride=2, dilation=(2, 1), normalization="layer"),
    Conv2D(1, 1, stride=3),
    Conv2D(2, 2, dilation=7),  # windows of little but padding
    ConvTranspose2D(3, activation="tanh"),
    ConvTranspose2D(2, (2, 1), stride=(1, 3), padding="valid", dilation=(2, 1)),
    ConvTranspose2D(1, 2, stride=3, normalization="batch"),
]
OTHERS = [
    MaxPool2D(),
    MaxPool2D((2, 3), stride=1),
    MaxPool2D(1, stride=2),
    AveragePool2D((1, 2)),
    AveragePool2D(2, stride=(1, 2)),
    UpSample((2, 1)),
    SpatialDropout(0.4),
    Residual((Conv2D(3, 1),), shortcut=(Conv2D(3, (1, 2), normalization="batch"),)),
    Residual((SpatialDropout(0.3),)),
    Residual((Dropout(0.3),)),
    BatchNorm(),
]
SEQUENCES = [
    [Conv1D(3, 3, padding="causal", dilation=2, activation="relu")],
    [Conv1D(3, stride=2), ConvTranspose1D(2, 4, activation="tanh")],
    [Conv1D(2, 4, stride=4, normalization="layer"), ConvTranspose1D(3)],
    [MaxPool1D(2), UpSample(2), Conv1D(3)],
    [Conv1D(3, 2, stride=4), UpSample(2), SpatialDropout(0.3)],
    [AveragePool1D(2), Conv1D(2, 1), UpSample(2), Activation("tanh")],
    [Residual((Conv1D(4, 2, activation="tanh"), Conv1D(3)), shortcut=(Conv1D(3, 1),))],
]
N_STEPS = 6  # no whole number of steps that stand for four


def some(cases, *shown):
    """Cases by what they are, of which every run of the tests takes only those in some places."""
    marks = [() if i in shown else pytest.mark.slow for i in range(len(cases))]
    return [pytest.param(case, id=str(case), marks=mark) for case, mark in zip(cases, marks, strict=True)]


def of_images(layers, dtype=np.float64):
    """A program that reads images."""
    shape = {"dtype": dtype, "loss": "squared_error", "n_timesteps": HEIGHT * WIDTH}
    return lower([IMAGE, *layers, Flatten(), Dense(N_OUTPUTS)], N_FEATURES, **shape)


@pytest.mark.parametrize("layer", some(CONVOLUTIONS, 0))
def test_convolution_that_comes_first(layer):
    check(of_images([layer]), ragged=False)


@pytest.mark.parametrize("layer", some(CONVOLUTIONS, 1, 6))
def test_convolution_after_another(layer):
    check(of_images([Conv2D(3, 1, activation="tanh"), layer]), ragged=False)


@pytest.mark.parametrize("layer", some(OTHERS, 1, 4, 5, 6, 8))
def test_layer_after_a_convolution(layer):
    check(of_images([Conv2D(3, 1, activation="tanh"), layer]), ragged=False)


@pytest.mark.parametrize("layers", some(SEQUENCES, 0, 2))
def test_sequences_of_different_length(layers):
    program = lower(
        [*layers, GlobalPool("mean"), Dense(N_OUTPUTS)],
        N_FEATURES, dtype=np.float64, loss="squared_error", n_timesteps=N_STEPS,
    )  # fmt: skip
    check(program)
