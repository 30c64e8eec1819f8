"""Pooling over images, repeated pixels and steps, dropout of whole channels: values, gradients, errors."""

import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from conftest import one_at_a_time
from networks import assert_right_gradient, make_trainer, sum_and_gradient
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from stacks import N_OUTPUTS, data, gradient_by_input, predict, rows_of
from stacks import network as network_of_steps

from skneural import NetworkClassifier
from skneural.backends.cpu import engine
from skneural.backends.inputs import Sequences
from skneural.layers import (
    Activation,
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    MaxPool1D,
    MaxPool2D,
    Recurrent,
    Reshape,
    SpatialDropout,
    UpSample,
)
from skneural.layers.pooling_images import pair
from skneural.maths.pooling import is_new_maximum
from skneural.network.description import describe, lower_description
from skneural.network.initializers import initialize
from skneural.network.program import lower

HEIGHT = 7
WIDTH = 8
N_CHANNELS = 3

#: Windows side by side, larger and smaller than the way to the next one, of all pixels, and of one.
WINDOWS = [(2, None), (3, 2), ((3, 2), (1, 3)), ((1, 4), 1), (2, 3), ((HEIGHT, WIDTH), None), (1, 2), (5, 1)]
POOLS = [pool(*window) for pool in (MaxPool2D, AveragePool2D) for window in WINDOWS]
SCALED = [UpSample(), UpSample((1, 3)), UpSample((3, 2)), UpSample(1)]
CHANCE = [SpatialDropout(0.4), SpatialDropout(0.0)]


@dataclass(frozen=True)
class Sum(Layer):
    """``f(x) + g(x)``."""

    left: tuple
    right: tuple

    def build(self, net, x):
        return net.sum(net.stack(self.left, x), net.stack(self.right, x))


def network(layers, n_channels=N_CHANNELS, dtype=np.float64, **options):
    """A program of layers of images, and its parameters."""
    layers = (Reshape((HEIGHT, WIDTH, n_channels)), *layers, Flatten(), Dense(N_OUTPUTS))
    program = lower(layers, n_channels, dtype=dtype, loss="squared_error", n_timesteps=HEIGHT * WIDTH, **options)
    return program, initialize(program, 1)


def images(n_rows=5, n_channels=N_CHANNELS, dtype=np.float64):
    """Images, targets and weights."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, HEIGHT * WIDTH, n_channels)).astype(dtype)
    y = rng.normal(size=(n_rows, N_OUTPUTS)).astype(dtype)
    return Sequences(X, None), y, rng.uniform(0.5, 2, n_rows).astype(dtype)


def in_buffers(layers, X, y, weights):
    """What the first layer reads and makes, and the gradients by both: (x, y, dy, dx), each (n_rows, *shape).

    The padding of all of them is 0.
    """
    dtype = X.values.dtype
    program, params = network(layers, X.values.shape[2], dtype, input_gradient=True)
    trainer = make_trainer(program, params, X, y, weights)
    trainer.loss_and_gradient()
    operation = program.operations[1]
    found = []
    for value, begin in (
        (operation.inputs[0], operation.inputs[0].y),
        (operation.output, operation.output.y),
        (operation.output, operation.output.dy),
        (operation.inputs[0], operation.inputs[0].dy),
    ):
        begin *= trainer.template["capacity"]
        whole = trainer.work[begin : begin + value.steps * len(y) * value.ld].reshape(value.steps, len(y), value.ld)
        assert not whole[:, :, value.width :].any()
        found.append(whole[:, :, : value.width].swapaxes(0, 1).reshape(len(y), *value.shape).copy())
    trainer.close()
    return found


# -- twins -------------------------------------------------------------------------------------------------------------


def windows_of(layer, shape):
    """Slices of the rows and columns of every window, by its place."""
    size = pair(layer.size)
    stride = size if layer.stride is None else pair(layer.stride)
    for oy in range((shape[0] - size[0]) // stride[0] + 1):
        for ox in range((shape[1] - size[1]) // stride[1] + 1):
            y = oy * stride[0]
            x = ox * stride[1]
            yield oy, ox, slice(y, y + size[0]), slice(x, x + size[1])


def pooled(layer, x):
    """What a layer makes of images."""
    values = {}
    for oy, ox, rows, columns in windows_of(layer, x.shape[1:3]):
        window = x[:, rows, columns]
        values[oy, ox] = window.max(axis=(1, 2)) if isinstance(layer, MaxPool2D) else window.mean(axis=(1, 2))
    height, width = np.max(list(values), axis=0) + 1
    y = np.empty((len(x), height, width, x.shape[3]), x.dtype)
    for (oy, ox), value in values.items():
        y[:, oy, ox] = value
    return y


def spread(layer, x, dy):
    """The gradient by what it reads, from that by what it makes: of several maxima the first one gets it."""
    dx = np.zeros_like(x)
    for oy, ox, rows, columns in windows_of(layer, x.shape[1:3]):
        window = x[:, rows, columns]
        share = dx[:, rows, columns]
        height, width = window.shape[1:3]
        gradient = dy[:, oy, ox]
        if isinstance(layer, AveragePool2D):
            share += gradient[:, None, None] / (height * width)
            continue
        winner = window.reshape(len(x), height * width, -1).argmax(axis=1)
        for sample, channel in np.ndindex(winner.shape):
            place = divmod(winner[sample, channel], width)
            share[sample, *place, channel] += gradient[sample, channel]
    return dx


def scaled(layer, x):
    """Pixels repeated."""
    height, width = pair(layer.size)
    return x.repeat(height, axis=1).repeat(width, axis=2)


def gathered(layer, dy):
    """The gradient by pixels that were repeated."""
    height, width = pair(layer.size)
    n_rows, tall, wide, n_channels = dy.shape
    blocks = dy.reshape(n_rows, tall // height, height, wide // width, width, n_channels)
    return blocks.sum(axis=(2, 4))


# -- values and gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", POOLS, ids=str)
@one_at_a_time(
    {"n_rows": 5, "n_channels": 3, "dtype": np.float64}, n_rows=[1, 60], n_channels=[1, 20], dtype=[np.float32]
)
def test_pooling(layer, n_rows, n_channels, dtype):
    x, y, dy, dx = in_buffers([layer], *images(n_rows, n_channels, dtype))
    tolerance = {np.float64: 1e-12, np.float32: 1e-5}[dtype]
    assert_allclose(y, pooled(layer, x), rtol=tolerance, atol=tolerance)
    assert np.abs(dy).max() > 0
    assert_allclose(dx, spread(layer, x, dy), rtol=tolerance, atol=tolerance * np.abs(dy).max())


@pytest.mark.parametrize("layer", SCALED, ids=str)
@one_at_a_time(
    {"n_rows": 5, "n_channels": 3, "dtype": np.float64}, n_rows=[1, 60], n_channels=[1, 20], dtype=[np.float32]
)
def test_upsampling(layer, n_rows, n_channels, dtype):
    x, y, dy, dx = in_buffers([layer], *images(n_rows, n_channels, dtype))
    assert_array_equal(y, scaled(layer, x))
    tolerance = {np.float64: 1e-12, np.float32: 1e-5}[dtype]
    assert np.abs(dy).max() > 0
    assert_allclose(dx, gathered(layer, dy), rtol=tolerance, atol=tolerance * np.abs(dy).max())


@pytest.mark.parametrize(("pool", "by_hand"), [(MaxPool2D, [4, 9, 7, 8]), (AveragePool2D, [10, 14, 20, 23])])
def test_pooling_by_hand(pool, by_hand):
    image = np.array([[1, 2, 0, 9], [4, 3, 0, 0], [50, 50, 50, 50], [5, 5, 7, 8], [1, 1, 1, 1]], np.float64)
    layers = (Reshape((5, 4, 1)), pool((2, 3), (3, 1)), Flatten(), Dense(4))
    program = lower(layers, 1, dtype=np.float64, loss="squared_error", n_timesteps=20)
    params = initialize(program, 0)
    program.coefs(params)[0][:] = np.eye(4) * (6 if pool is AveragePool2D else 1)
    program.intercepts(params)[0][:] = 0
    outputs = predict(program, params, Sequences(image.reshape(1, 20, 1), None))[0]
    assert_allclose(outputs, [by_hand], rtol=1e-15)


@pytest.mark.parametrize("layer", [layer for layer in POOLS if isinstance(layer, MaxPool2D)], ids=str)
def test_gradient_of_ties_goes_to_the_first(layer):
    X, y, weights = images(12)
    X.values[:] = np.random.default_rng(1).integers(2, size=X.values.shape)
    X.values[0] = -1.0
    x, maximum, dy, dx = in_buffers([layer], X, y, weights)
    assert_array_equal(maximum, pooled(layer, x))
    assert_allclose(dx, spread(layer, x, dy), rtol=1e-12, atol=1e-12 * np.abs(dy).max())


@pytest.mark.parametrize("layer", [layer for layer in POOLS if isinstance(layer, MaxPool2D)], ids=str)
def test_nan_is_the_maximum(layer):
    X, y, weights = images(6)
    image = X.values.reshape(6, HEIGHT, WIDTH, N_CHANNELS)
    for sample, place in enumerate([(0, 0), (1, 1), (3, 2), (6, 7), (4, 4)]):
        image[sample, *place, 1] = np.nan
    x, maximum, dy, dx = in_buffers([layer], X, y, weights)
    assert_array_equal(maximum, pooled(layer, x))
    # The loss of such a sample is NaN, and so are all gradients that a pixel gets: where others win, it gets none.
    is_seen = spread(layer, x, np.ones_like(dy)) != 0
    is_lost = np.isnan(maximum).any(axis=(1, 2, 3))
    assert is_lost.any()
    assert_array_equal(np.isnan(dx), is_seen & is_lost[:, None, None, None])
    assert not dx[~is_seen].any()


def test_nan_stays_the_maximum():
    assert is_new_maximum(np.nan, 1.0)
    assert not is_new_maximum(1.0, np.nan)
    assert not is_new_maximum(1.0, 1.0)
    X, _, _ = data(N_OUTPUTS, 5)
    X = Sequences(np.ones_like(X.values), None)
    X.values[0, 0, 0] = np.nan
    program, params = network_of_steps([MaxPool1D(5), GlobalPool(), Dense(N_OUTPUTS)], 5)
    assert_array_equal(np.isnan(predict(program, params, X)[0]).any(axis=1), np.arange(len(X.values)) == 0)


#: What stands before a layer, so that its gradient meets a derivative that waits, another reader's gradient, or both.
BEFORE = {
    "plain": [Conv2D(4)],
    "derivative": [Conv2D(4, activation="tanh")],
    "normalised": [Conv2D(4), BatchNorm(), Activation("tanh")],
}


def reads_twice(layer):
    """Layers of one shape that read the same value."""
    if isinstance(layer, MaxPool2D | AveragePool2D):
        others = (MaxPool2D(layer.size, layer.stride), AveragePool2D(layer.size, layer.stride))
        return Sum(others[:1], others[1:])
    return Sum((layer,), (layer,))


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("layer", POOLS[:4] + POOLS[-8:-4] + SCALED[:2] + CHANCE[:1], ids=str)
def test_gradients(layer, before):
    for tested in (layer, reads_twice(layer)):
        program, params = network([*BEFORE[before], tested])
        assert_right_gradient(program, params, *images(3), seed=3, n_places=30)


@pytest.mark.parametrize("layer", [MaxPool2D(), AveragePool2D(3, 1), UpSample()], ids=str)
def test_gradients_where_layers_behind_work_in_place(layer):
    program, params = network([Conv2D(4, activation="tanh"), layer, Dropout(0.3), Activation("tanh")])
    assert_right_gradient(program, params, *images(3), seed=3, n_places=30)


# -- same bits ---------------------------------------------------------------------------------------------------------

STACKS = {
    "max": [Conv2D(9, activation="relu"), MaxPool2D(3, 2), SpatialDropout(0.3)],
    "mean": [Conv2D(9, activation="tanh"), SpatialDropout(0.3), AveragePool2D(3, 1)],
    "readers": [Conv2D(4, activation="tanh"), reads_twice(MaxPool2D(3, 2)), UpSample()],
}
every_stack = pytest.mark.parametrize("stack", STACKS)


@every_stack
def test_threads_change_no_bit(stack, crews):
    program, params = network(STACKS[stack])
    loss, gradient = sum_and_gradient(program, params, *images())
    same_loss, same_gradient = sum_and_gradient(program, params, *images(), n_threads=2)
    assert crews == [1, 2]
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


@every_stack
def test_rows_do_not_depend_on_others(stack):
    program, params = network(STACKS[stack], input_gradient=True)
    X, y, weights = images()
    outputs, _ = predict(program, params, X)
    found = []
    for n_rows in (len(y), 3, 1):
        which = slice(n_rows)
        assert_array_equal(predict(program, params, Sequences(X.values[which], None))[0], outputs[which])
        trainer = make_trainer(program, params, Sequences(X.values[which], None), y[which], weights[which], seed=3)
        trainer.loss_and_gradient()
        found.append((trainer.losses[0], gradient_by_input(trainer)[0].copy()))
        trainer.close()
    for loss, gradient in found[1:]:
        assert loss == found[0][0]
        assert_array_equal(gradient, found[0][1])


@every_stack
def test_pieces_of_a_batch_add_up(stack, monkeypatch):
    program, params = network(STACKS[stack])
    loss, gradient = sum_and_gradient(program, params, *images())
    monkeypatch.setattr(engine, "MAX_CAPACITY", 2)
    same_loss, same_gradient = sum_and_gradient(program, params, *images())
    assert_allclose(same_loss, loss, rtol=1e-12)
    assert_allclose(same_gradient, gradient, rtol=1e-10, atol=1e-12)


# -- sequences ---------------------------------------------------------------------------------------------------------

#: Sequences are as long as the data again, or half as long.
OF_SEQUENCES = {
    "pooled": [MaxPool1D(2), UpSample(2), Recurrent("gru", 4), GlobalPool("mean")],
    "half": [Recurrent("rnn", 4), MaxPool1D(4), UpSample(2), Recurrent("rnn", 4, True), GlobalPool("max")],
    "readers": [MaxPool1D(3), Sum((UpSample(3),), (UpSample(3), Recurrent("gru", 3))), GlobalPool("last")],
    "dropped": [Recurrent("gru", 4), SpatialDropout(0.4), MaxPool1D(2), GlobalPool("mean")],
}
every_sequence = pytest.mark.parametrize("stack", OF_SEQUENCES)


@every_sequence
def test_gradients_of_sequences(stack):
    program, params = network_of_steps([*OF_SEQUENCES[stack], Dense(N_OUTPUTS)], 5)
    assert_right_gradient(program, params, *data(N_OUTPUTS, 5), seed=3, n_places=60)


@every_sequence
def test_padding_of_sequences_changes_no_bit(stack):
    program, params = network_of_steps([*OF_SEQUENCES[stack], Dense(N_OUTPUTS)], 5)
    padded = program.variant(n_timesteps=9)
    X, y, weights = data(N_OUTPUTS, 5)
    longer, *_ = data(N_OUTPUTS, 9, longest=5)
    assert_array_equal(predict(padded, params, longer)[0], predict(program, params, X)[0])
    loss, gradient = sum_and_gradient(program, params, X, y, weights)
    same_loss, same_gradient = sum_and_gradient(padded, params, longer, y, weights)
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


@every_sequence
def test_sequences_do_not_depend_on_others(stack):
    program, params = network_of_steps([*OF_SEQUENCES[stack], Dense(N_OUTPUTS)], 5)
    X, y, weights = data(N_OUTPUTS, 5)
    outputs, _ = predict(program, params, X)
    for row in range(len(y)):
        which = slice(row, row + 1)
        assert_array_equal(predict(program, params, rows_of(X, which))[0], outputs[which])
    loss, gradient = sum_and_gradient(program, params, X, y, weights)
    same_loss, same_gradient = sum_and_gradient(program, params, X, y, weights, n_threads=2)
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


# -- dropout of channels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [None, "tanh"])
def test_channels_are_dropped_at_all_pixels(activation):
    X, y, weights = images(200, 20)
    X.values[:] = 1.0
    drawn = {}
    for seed in (0, 1):
        program, params = network([Conv2D(20, 1, activation=activation), SpatialDropout(0.25)], 20)
        program.coefs(params)[0][:] = np.eye(20)
        program.intercepts(params)[0][:] = 0
        trainer = make_trainer(program, params, X, y, weights, seed=seed)
        trainer.loss_and_gradient()
        value = program.operations[2].output
        begin = value.y * trainer.template["capacity"]
        rows = trainer.work[begin : begin + value.steps * len(y) * value.ld]
        found = rows.reshape(value.steps, len(y), value.ld)[:, :, :20].copy()
        trainer.close()
        assert_array_equal(found, np.broadcast_to(found[0], found.shape))
        kept = found[0] != 0
        assert_allclose(found[0][kept], (np.tanh(1) if activation else 1) / 0.75, rtol=1e-14)
        assert abs(kept.mean() - 0.75) < 0.03
        assert (kept.any(axis=0) & ~kept.all(axis=0)).all()
        drawn[seed] = kept
    assert (drawn[0] != drawn[1]).any()


def test_two_layers_drop_other_channels():
    X, y, weights = images(50, 20)
    X.values[:] = 1.0
    _, once, _, _ = in_buffers([SpatialDropout(0.5)], X, y, weights)
    _, twice, _, _ = in_buffers([SpatialDropout(0.5), SpatialDropout(0.5)], X, y, weights)
    assert set(np.unique(once)) == {0, 2}
    assert set(np.unique(twice)) == {0, 4}  # in place
    assert 0.15 < (twice != 0).mean() < 0.35


def test_nothing_is_dropped_in_prediction():
    program, params = network([Conv2D(4, activation="tanh"), SpatialDropout(0.5)])
    plain, plain_params = network([Conv2D(4, activation="tanh")])
    X, _, _ = images()
    assert_array_equal(plain_params, params)
    assert_array_equal(predict(program, params, X)[0], predict(plain, params, X)[0])
    assert "spatial_dropout" in program.needs_batches


# -- estimators --------------------------------------------------------------------------------------------------------


def digits(**settings):
    """A classifier of images of 8 by 8 pixels, fitted, and what it was fitted to."""
    X, y = load_digits(return_X_y=True)
    before = [Reshape((8, 8, 1)), Conv2D(8, activation="relu"), MaxPool2D(), SpatialDropout(0.1)]
    behind = [UpSample(), AveragePool2D(3, 2), Flatten()]
    settings = {"max_iter": 12, "batch_size": 20, "learning_rate_init": 0.01, "random_state": 0, **settings}
    return NetworkClassifier([*before, *behind], **settings).fit(X[:600] / 16, y[:600]), X / 16, y


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_have_them_too():
    est, X, y = digits(n_jobs=1)
    assert est.score(X[600:], y[600:]) > 0.8
    assert [row.parameters for row in est.summary().rows][1:9] == [0, 80, 0, 0, 0, 0, 0, 10 * (9 * 8 + 1)]
    assert_array_equal(digits(n_jobs=2)[0].predict_proba(X), est.predict_proba(X))
    assert_array_equal(pickle.loads(pickle.dumps(est)).predict_proba(X), est.predict_proba(X))
    with pytest.raises(ValueError, match="spatial_dropout in layers needs a stochastic solver"):
        digits(solver="lbfgs")


# -- files -------------------------------------------------------------------------------------------------------------


@every_stack
def test_descriptions_make_the_same_network(stack):
    program, _ = network(STACKS[stack][:-1] + [MaxPool2D((2, 1), (1, 2)), UpSample((1, 2))])
    described = json.loads(json.dumps(describe(program)))
    again = lower_description(described)
    assert again.ops.tobytes() == program.variant(training=False).ops.tobytes()


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [MaxPool2D(9)],
            r"MaxPool2D reads windows of 9 along the height, its input of shape \(7, 8, 3\) has 7: take a",
        ),
        ([AveragePool2D((2, 9))], r"AveragePool2D reads windows of 9 along the width, .* has 8: take a smaller size"),
        ([MaxPool2D(), MaxPool2D(4)], r"MaxPool2D reads windows of 4 along the height, its input of shape \(3, 4, 3\)"),
        ([MaxPool2D(0)], r"size of MaxPool2D must be an integer from 1 to \d+, or two of them, got 0"),
        ([MaxPool2D((2, 2, 2))], r"size of MaxPool2D must be .*, or two of them, got \(2, 2, 2\)"),
        ([MaxPool2D(2.0)], r"size of MaxPool2D must be an integer .* got 2.0"),
        ([AveragePool2D(2, (1, 0))], r"stride of AveragePool2D must be .*, or two of them or None, got \(1, 0\)"),
        ([AveragePool2D(2, "2")], r"stride of AveragePool2D must be .* or None, got '2'"),
        ([UpSample(None)], r"size of UpSample must be an integer from 1 to \d+, or two of them, got None"),
        ([Flatten(), UpSample()], r"UpSample needs sequences or images, got rows of shape \(168,\)"),
        ([Flatten(), MaxPool2D()], r"MaxPool2D needs images, got rows of shape \(168,\)"),
        (
            [Flatten(), SpatialDropout(0.2)],
            r"SpatialDropout needs sequences or images, got rows of shape \(168,\): take",
        ),
        ([SpatialDropout(1)], r"rate of SpatialDropout must be a number in \[0, 1\), got 1"),
    ],
    ids=str,
)
def test_errors(layers, message):
    with pytest.raises(ValueError, match=message):
        network(layers)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([AveragePool2D()], r"AveragePool2D needs images, got sequences of shape \(6, 3\): Reshape makes images"),
        ([UpSample((2, 1))], r"UpSample has one number as its size where it reads sequences, got \(2, 1\)"),
        (
            [UpSample()],
            r"UpSample needs sequences of which a step stands for 2 steps of the data, .* stands for 1: put",
        ),
        ([MaxPool1D(3), UpSample(2)], r"UpSample needs sequences .* here it stands for 3"),
    ],
    ids=str,
)
def test_errors_of_sequences(layers, message):
    with pytest.raises(ValueError, match=message):
        network_of_steps([*layers, GlobalPool(), Dense(N_OUTPUTS)], 6)
