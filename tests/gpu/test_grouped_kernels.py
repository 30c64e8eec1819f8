"""Convolutions in groups compute on a GPU what they compute on the CPU: as products, and number by number."""

import numpy as np
import pytest
from test_image_kernels import N_STEPS, of_images, some
from test_image_training import compare
from test_layer_kernels import N_FEATURES, N_OUTPUTS, check

from skneural.backends.cuda.binding import Binder
from skneural.backends.cuda.layers import convolution, convolution_groups
from skneural.backends.cuda.product import choose_tile
from skneural.layers import Conv1D, Conv2D, Dense, GlobalPool, Reshape, Residual
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

#: Groups of the four channels whose channels and filters fill vectors of two numbers, and others.
PRODUCTS = [
    Conv2D(4, activation="tanh", groups=2),
    Conv2D(8, (2, 3), stride=(1, 2), groups=2, normalization="batch"),
    Conv2D(4, 2, dilation=(1, 2), padding="valid", groups=2),
]
OTHERS = [
    Conv2D(4, groups="depthwise", activation="tanh"),
    Conv2D(4, (2, 3), stride=(2, 1), groups="depthwise", normalization="layer"),
    Conv2D(6, 2, stride=3, groups=2, activation="relu"),
    Conv2D(8, (3, 1), dilation=2, groups=4, normalization="batch"),
    Conv2D(4, 2, padding="valid", groups=4),
    Conv2D(2, 2, dilation=7, groups=2),  # windows of little but padding
]
SEQUENCES = [
    [Conv1D(4, 3, padding="causal", dilation=2, groups="depthwise", activation="tanh"), Conv1D(6, 2, groups=2)],
    [Conv1D(8, stride=2, groups=2, activation="relu"), Conv1D(8, 2, groups=4, normalization="layer")],
    [Residual((Conv1D(4, groups="depthwise"), Conv1D(4, 2, groups=2)), shortcut=(Conv1D(4, 1, groups=2),))],
]


def makers_of(program):
    """Makers of the kernels of a program."""
    binder = Binder(program, "full", 3, 1, 1 << 20, training=True)
    return {launch.key[0] for launch in binder.forward + binder.backward}


@pytest.mark.parametrize("layer", some(PRODUCTS, 0, 1))
def test_groups_that_are_products(layer):
    program = of_images([Conv2D(4, 1, activation="tanh"), layer])
    assert convolution_groups.make_groups_forward not in makers_of(program)
    check(program, ragged=False)


@pytest.mark.parametrize("layer", some(OTHERS, 0, 2, 3))
def test_other_groups(layer):
    program = of_images([Conv2D(4, 1, activation="tanh"), layer])
    assert convolution_groups.make_groups_backward in makers_of(program)
    check(program, ragged=False)


@pytest.mark.slow
@pytest.mark.parametrize("layer", [*PRODUCTS, *OTHERS], ids=str)
def test_groups_that_come_first(layer):
    check(of_images([layer]), ragged=False)


@pytest.mark.parametrize("layers", some(SEQUENCES, 0))
def test_sequences_of_different_length(layers):
    layers = [*layers, GlobalPool("mean"), Dense(N_OUTPUTS)]
    check(lower(layers, N_FEATURES, dtype=np.float64, loss="squared_error", n_timesteps=N_STEPS))


def test_gradients_in_parts(monkeypatch):
    monkeypatch.setattr("skneural.backends.cuda.hub.n_processors", lambda: 64)
    layers = [Conv2D(4, 1), Conv2D(4, groups="depthwise", activation="tanh"), Conv2D(8, 2, groups=2)]
    program = of_images(layers)
    assert {convolution_groups.make_groups_sum_parts, convolution.make_convolution_sum_parts} <= set(
        launch.key[0] for launch in Binder(program, "full", 3, 64, 1 << 20, training=True).backward
    )
    check(program, ragged=False)


def test_tiles_of_many_groups():
    small, parts = choose_tile("float32", 100, 8, 10**6, 132, split=True)
    assert choose_tile("float32", 100, 8, 10**6, 132, split=True, products=parts) == (small, 1)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_with_limits_and_batches_in_pieces(monkeypatch, dtype):
    monkeypatch.setattr("skneural.backends.cuda.engine.WORK_BYTES", 10_000)
    layers = [
        Reshape((4, 5, 2)),
        Conv2D(8, groups=2, activation="relu"),
        Conv2D(8, groups="depthwise", stride=2, activation="tanh"),
        Conv2D(8, 2, groups=2, activation="tanh"),
        GlobalPool("mean"),
        Dense(3),
    ]
    fit = compare(layers, dtype, n_rows=6, batch=5, epochs=2, limits={"clip_norm": 0.3, "max_norm": 0.7})
    assert fit.trainer.chunks > 1
