"""Convolutions: the arithmetic of a twin in NumPy, values by hand, and the same bits in any company."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import assert_right_gradient, fresh_state, make_trainer, run_epochs, sum_and_gradient
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils._param_validation import InvalidParameterError
from stacks import gradient_by_input, in_buffer, predict

from skneural import NetworkClassifier, NetworkRegressor, load, save
from skneural.backends.cpu import engine
from skneural.backends.cpu.layout import PANELS_FROM
from skneural.backends.inputs import Sequences
from skneural.layers import (
    Activation,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Flatten,
    GlobalPool,
    Layer,
    Recurrent,
    Reshape,
    Residual,
)
from skneural.network.initializers import initialize
from skneural.network.layer import normalized
from skneural.network.program import lower

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_OUTPUTS = 2
ADAM = (0.9, 0.999, 1e-8)
NAN = np.nan

# -- a twin in NumPy ---------------------------------------------------------------------------------------------------


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def first_and_count(size, kernel, stride, padding, dilation):
    """Along one axis: where the first window begins, and how many windows there are."""
    extent = (kernel - 1) * dilation + 1
    if padding == "valid":
        return 0, (size - extent) // stride + 1
    return -(extent - 1 if padding == "causal" else (extent - 1) // 2), -(-size // stride)


def taps(layer, shape):
    """Every product of a convolution of images: (output y and x, number in the window, input y and x)."""
    kernel, stride, dilation = pair(layer.kernel_size), pair(layer.stride), pair(layer.dilation)
    axes = []
    for size, k, s, d in zip(shape, kernel, stride, dilation, strict=True):
        first, count = first_and_count(size, k, s, layer.padding, d)
        axes.append([(o, t, first + o * s + t * d) for o in range(count) for t in range(k)])
    for oy, ty, iy in axes[0]:
        for ox, tx, ix in axes[1]:
            if 0 <= iy < shape[0] and 0 <= ix < shape[1]:
                yield oy, ox, ty * kernel[1] + tx, iy, ix


def shape_of_output(layer, shape):
    """Height and width of what a convolution of images makes."""
    axes = zip(shape, pair(layer.kernel_size), pair(layer.stride), pair(layer.dilation), strict=True)
    return tuple(first_and_count(size, k, s, layer.padding, d)[1] for size, k, s, d in axes)


def convolve(layer, X, weights, bias):
    """A convolution, without its activation."""
    weights = weights.reshape(-1, X.shape[3], layer.filters)
    Y = np.zeros((len(X), *shape_of_output(layer, X.shape[1:3]), layer.filters)) + bias
    for oy, ox, k, iy, ix in taps(layer, X.shape[1:3]):
        Y[:, oy, ox] += X[:, iy, ix] @ weights[k]
    return Y


def convolve_back(layer, X, weights, dY):
    """Gradients by weights, bias and input."""
    weights = weights.reshape(-1, X.shape[3], layer.filters)
    d_weights = np.zeros_like(weights)
    dX = np.zeros_like(X)
    for oy, ox, k, iy, ix in taps(layer, X.shape[1:3]):
        d_weights[k] += X[:, iy, ix].T @ dY[:, oy, ox]
        dX[:, iy, ix] += dY[:, oy, ox] @ weights[k].T
    return d_weights.reshape(-1, layer.filters), dY.sum(axis=(0, 1, 2)), dX


def twin(layer, X, targets, coefs, intercepts):
    """Outputs of (convolution, tanh, dense layer), and gradients of half their squared error: all, and by the input."""
    A = np.tanh(convolve(layer, X, coefs[0], intercepts[0]))
    flat = A.reshape(len(X), -1)
    outputs = flat @ coefs[1] + intercepts[1]
    d_outputs = outputs - targets
    dY = (d_outputs @ coefs[1].T).reshape(A.shape) * (1 - A**2)
    d_weights, d_bias, dX = convolve_back(layer, X, coefs[0], dY)
    return outputs, [d_weights, flat.T @ d_outputs], [d_bias, d_outputs.sum(axis=0)], dX


# -- networks and data -------------------------------------------------------------------------------------------------


def program_of(layers, n_features, n_steps=0, dtype=np.float64, seed=1, **options):
    """A program, and parameters of which no bias is 0."""
    program = lower(layers, n_features, dtype=dtype, loss="squared_error", n_timesteps=n_steps, **options)
    params = initialize(program, seed)
    rng = np.random.default_rng(seed)
    for block in program.blocks:
        if not block.penalised:
            view = block.view(params)
            view += rng.uniform(-0.4, 0.4, view.shape)
    return program, params


def images(shape, n_rows=7, dtype=np.float64, seed=0):
    """Images, as sequences of pixels, and targets."""
    height, width, channels = shape
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, height * width, channels)).astype(dtype)
    return Sequences(X, None), rng.normal(size=(n_rows, N_OUTPUTS)).astype(dtype)


def ragged(n_steps, channels, n_rows=7, dtype=np.float64, seed=0):
    """Sequences of different lengths with NaN behind their ends, and targets."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_steps, channels)).astype(dtype)
    lengths = rng.integers(1, n_steps + 1, n_rows)
    lengths[:2] = n_steps, 1
    X[np.arange(n_steps) >= lengths[:, None]] = np.nan
    return Sequences(X, lengths), rng.normal(size=(n_rows, N_OUTPUTS)).astype(dtype)


def values_of(layer, X, coefs, bias=0.0):
    """What a convolution makes of images or sequences, by a network that hands them on as they are."""
    X = np.asarray(X, float)
    n_rows, *pixels, channels = X.shape
    before = [Reshape(X.shape[1:]), layer] if len(pixels) == 2 else [layer]
    n_steps = int(np.prod(pixels))
    program, _ = program_of([*before, Flatten(), Dense(1)], channels, n_steps)
    shape = program.built[len(before) - 1].shape
    count = int(np.prod(shape))
    program, params = program_of([*before, Flatten(), Dense(count)], channels, n_steps)
    weights, identity = program.coefs(params)
    weights[...] = np.reshape(coefs, weights.shape)
    identity[...] = np.eye(count)
    for view, value in zip(program.intercepts(params), (bias, 0), strict=True):
        view[...] = value
    outputs, _ = predict(program, params, Sequences(X.reshape(n_rows, n_steps, channels), None))
    return outputs.reshape(n_rows, *shape)


# -- values and gradients ----------------------------------------------------------------------------------------------

BASE = {
    "shape": (9, 11),
    "kernel_size": (3, 3),
    "stride": 1,
    "padding": "same",
    "dilation": 1,
    "channels": 3,
    "filters": 5,
    "n_rows": 7,
}
AXES = {
    "shape": [(1, 1), (1, 7), (8, 1), (2, 2), (6, 13)],
    "kernel_size": [1, (5, 3), (2, 4), (13, 3), (4, 25)],
    "stride": [2, (2, 3), (1, 4), 20],
    "padding": ["valid"],
    "dilation": [2, (1, 3), 4, 12],
    "channels": [1, 8, 17, 300],
    "filters": [1, 8, 33, 300],
    "n_rows": [1, 2, 50, 130],
}
#: What meets only in some kinds of windows: steps and gaps with a common divisor and without, nothing but padding.
TOGETHER = [
    {"stride": (2, 3), "dilation": (3, 2)},
    {"stride": (2, 4), "dilation": (4, 2), "kernel_size": (3, 4)},
    {"stride": 3, "dilation": 3, "padding": "valid"},
    {"stride": (4, 2), "kernel_size": (2, 1), "padding": "valid"},
    {"kernel_size": (2, 2), "dilation": 20},
    {"kernel_size": (2, 3), "dilation": 9, "stride": 2, "filters": 300},
    {"channels": 300, "filters": 300, "kernel_size": 2, "n_rows": 3},
    {"channels": 40, "filters": 140, "kernel_size": (2, 3), "stride": (2, 1), "n_rows": 60, "shape": (5, 4)},
]
CASES = [BASE | {name: value} for name, values in AXES.items() for value in values]
CASES = [BASE, *CASES, *[BASE | changes for changes in TOGETHER]]


def name_of(case):
    changed = [f"{name}={value}" for name, value in case.items() if value != BASE[name]]
    return ", ".join(changed) or "base"


def assert_like_the_twin(case, dtype, tolerance):
    """Outputs, loss and gradients by weights, biases and input."""
    case = dict(case)
    n_rows = case.pop("n_rows")
    shape = (*case.pop("shape"), case.pop("channels"))
    layer = Conv2D(**case, activation="tanh")
    X, targets = images(shape, n_rows, dtype)
    layers = [Reshape(shape), layer, Flatten(), Dense(N_OUTPUTS)]
    program, params = program_of(layers, shape[2], len(X.values[0]), dtype, input_gradient=True)
    coefs = [view.astype(float) for view in program.coefs(params)]
    intercepts = [view.astype(float) for view in program.intercepts(params)]
    pixels = X.values.reshape(n_rows, *shape).astype(float)
    outputs, d_coefs, d_intercepts, dX = twin(layer, pixels, targets, coefs, intercepts)
    trainer = make_trainer(program, params, X, targets, None)
    loss, gradient = trainer.loss_and_gradient()
    found = [predict(program, params, X)[0], *program.coefs(gradient), *program.intercepts(gradient)]
    found.append(gradient_by_input(trainer))
    trainer.close()
    expected = [outputs, *d_coefs, *d_intercepts, dX.reshape(X.values.shape)]
    for number, right in zip(found, expected, strict=True):
        assert np.abs(number - right).max() <= tolerance * np.abs(right).max()
    assert_allclose(loss, 0.5 * ((outputs - targets) ** 2).sum(), rtol=tolerance)
    assert not np.delete(gradient, program.learnt_index()).any()  # by the padding of rows


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)], ids=["double", "single"])
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_values_and_gradients_are_those_of_the_twin(case, dtype, tolerance):
    assert_like_the_twin(case, dtype, tolerance)


#: Of sizes that are small, since a window meets the edges there, and steps and gaps one another.
ANY = {
    "shape": st.tuples(st.integers(1, 8), st.integers(1, 8)),
    "kernel_size": st.tuples(st.integers(1, 5), st.integers(1, 5)),
    "stride": st.tuples(st.integers(1, 6), st.integers(1, 6)),
    "padding": st.sampled_from(["same", "valid"]),
    "dilation": st.tuples(st.integers(1, 6), st.integers(1, 6)),
    "channels": st.sampled_from([1, 2, 9]),
    "filters": st.sampled_from([1, 3, 17]),
    "n_rows": st.integers(1, 4),
}


@given(case=st.fixed_dictionaries(ANY))
@settings(max_examples=150)
def test_any_convolution_is_that_of_the_twin(case):
    extents = [(k - 1) * d + 1 for k, d in zip(case["kernel_size"], case["dilation"], strict=True)]
    is_too_large = any(extent > size for extent, size in zip(extents, case["shape"], strict=True))
    if case["padding"] == "valid" and is_too_large:
        with pytest.raises(ValueError, match=r"^Conv2D reads windows of"):
            assert_like_the_twin(case, np.float64, 1e-10)
    else:
        assert_like_the_twin(case, np.float64, 1e-10)


def test_the_cases_have_weights_in_panels_and_others():
    for itemsize in (4, 8):
        assert {case["filters"] * itemsize >= PANELS_FROM for case in CASES} == {False, True}


@pytest.mark.parametrize("padding", ["same", "causal", "valid"])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(3, 1, 1), (4, 1, 1), (3, 2, 1), (2, 3, 2), (3, 2, 4)])
def test_values_of_sequences(padding, kernel_size, stride, dilation):
    layer = Conv1D(5, kernel_size, stride, padding, dilation)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4, 12, 3))
    coefs = rng.normal(size=(kernel_size * 3, 5))
    first, count = first_and_count(12, kernel_size, stride, padding, dilation)
    expected = np.zeros((4, count, 5)) + 0.5
    for o in range(count):
        for k in range(kernel_size):
            t = first + o * stride + k * dilation
            if 0 <= t < 12:
                expected[:, o] += X[:, t] @ coefs[3 * k : 3 * k + 3]
    assert_allclose(values_of(layer, X, coefs, 0.5), expected, rtol=1e-12, atol=1e-12)


# -- values by hand ----------------------------------------------------------------------------------------------------

#: Settings, and what comes of the sequence 1, 2, 3, 4, 5 and the weights 1, 10, 100, ...: digits say where they were.
BY_HAND = [
    ({"kernel_size": 3}, [210, 321, 432, 543, 54]),
    ({"kernel_size": 2}, [21, 32, 43, 54, 5]),
    ({"kernel_size": 3, "padding": "causal"}, [100, 210, 321, 432, 543]),
    ({"kernel_size": 3, "padding": "valid"}, [321, 432, 543]),
    ({"kernel_size": 3, "stride": 2}, [210, 432, 54]),
    ({"kernel_size": 3, "stride": 2, "padding": "causal"}, [100, 321, 543]),
    ({"kernel_size": 2, "stride": 2, "padding": "valid"}, [21, 43]),
    ({"kernel_size": 3, "dilation": 2}, [310, 420, 531, 42, 53]),
    ({"kernel_size": 3, "dilation": 2, "padding": "causal"}, [100, 200, 310, 420, 531]),
    ({"kernel_size": 2, "dilation": 4, "padding": "valid"}, [51]),
    ({"kernel_size": 2, "dilation": 2, "stride": 3}, [20, 53]),
    ({"kernel_size": 5, "padding": "causal", "stride": 4}, [10000, 54321]),
]


@pytest.mark.parametrize(("changes", "expected"), BY_HAND, ids=str)
def test_sequences_by_hand(changes, expected):
    coefs = 10.0 ** np.arange(changes["kernel_size"])
    found = values_of(Conv1D(1, **changes), [[[1], [2], [3], [4], [5]]], coefs)
    assert_array_equal(found[0, :, 0], expected)


IMAGES_BY_HAND = [
    ({}, [[5421, 6532, 603], [54, 65, 6]]),
    ({"padding": "valid"}, [[5421, 6532]]),
    ({"stride": (1, 2)}, [[5421, 603], [54, 6]]),
    ({"stride": 2}, [[5421, 603]]),
    ({"dilation": (1, 2), "padding": "valid"}, [[6431]]),
    ({"dilation": (1, 2)}, [[5020, 6431, 502], [50, 64, 5]]),
]


@pytest.mark.parametrize(("changes", "expected"), IMAGES_BY_HAND, ids=str)
def test_images_by_hand(changes, expected):
    image = [[[1], [2], [3]], [[4], [5], [6]]]
    found = values_of(Conv2D(1, 2, **changes), [image], [1, 10, 100, 1000])
    assert_array_equal(found[0, :, :, 0], expected)


def test_order_of_weights():
    # Step after step, of each the channels; a column for each filter.
    coefs = [[1, -1], [10, -10], [100, -100], [1000, -1000]]
    found = values_of(Conv1D(2, 2, padding="valid"), [[[1, 2], [3, 4]]], coefs, bias=[0.5, 0.25])
    assert_array_equal(found, [[[4321.5, -4320.75]]])
    weights = np.zeros((2, 2, 2, 1))  # height, width, channels, filters
    weights[1, 0, 1] = 1
    image = np.arange(8.0).reshape(1, 2, 2, 2)
    assert_array_equal(values_of(Conv2D(1, 2, padding="valid"), image, weights), [[[[image[0, 1, 0, 1]]]]])


def test_windows_of_nothing_but_padding():
    bias = np.arange(1.0, 21.0)
    coefs = np.ones((4, 20))
    found = values_of(Conv2D(20, 2, dilation=7), np.ones((3, 3, 3, 1)), coefs, bias)
    assert_array_equal(found, np.broadcast_to(bias, (3, 3, 3, 20)))
    # Before the first step, there is none; later ones see steps.
    found = values_of(Conv1D(1, 2, padding="causal", dilation=3), np.ones((1, 5, 1)), [10, 0], 0.5)
    assert_array_equal(found[0, :, 0], [0.5, 0.5, 0.5, 10.5, 10.5])


def test_no_gradient_comes_from_nothing_but_padding():
    X, targets = images((3, 3, 2))
    layers = [Reshape((3, 3, 2)), Conv2D(4, 2, dilation=7, activation="tanh"), Flatten(), Dense(N_OUTPUTS)]
    program, params = program_of(layers, 2, 9, input_gradient=True)
    trainer = make_trainer(program, params, X, targets, None)
    _, gradient = trainer.loss_and_gradient()
    assert not program.coefs(gradient)[0].any()
    assert program.intercepts(gradient)[0].all()
    assert not gradient_by_input(trainer).any()
    trainer.close()


# -- same bits ---------------------------------------------------------------------------------------------------------

#: Networks of images: narrow and wide, with steps and gaps; and their input.
OF_IMAGES = {
    "narrow": [Conv2D(5, activation="tanh"), Conv2D(7, (2, 3), (2, 1), activation="relu")],
    "wide": [Conv2D(300, 2, activation="tanh"), Conv2D(33, 3, dilation=2), Activation("tanh")],
    "steps": [Conv2D(17, 3, (2, 3), dilation=(3, 2), activation="tanh"), Conv2D(9, 2, padding="valid")],
}
SHAPE = (8, 7, 3)
of_images = pytest.mark.parametrize("name", OF_IMAGES)
DTYPES = [np.float32, np.float64]


def network_of_images(name, dtype=np.float64, **options):
    layers = [Reshape(SHAPE), *OF_IMAGES[name], Flatten(), Dense(N_OUTPUTS)]
    return program_of(layers, SHAPE[2], SHAPE[0] * SHAPE[1], dtype, **options)


@of_images
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_image_alone_is_what_it_is_in_a_batch(name, dtype):
    program, params = network_of_images(name, dtype)
    X, _ = images(SHAPE, 150, dtype)
    whole = predict(program, params, X)[0]
    for size in (1, 2, 3, 13, 47, 49, 111, 113):
        parts = [Sequences(X.values[begin : begin + size], None) for begin in range(0, 150, size)]
        outputs = [predict(program, params, part)[0] for part in parts]
        assert_array_equal(np.concatenate(outputs), whole)


@of_images
@pytest.mark.parametrize("dtype", DTYPES)
def test_images_as_rows_are_the_same(name, dtype):
    # Few rows are predicted without panels of the weights: in the same order.
    program, params = network_of_images(name, dtype)
    X, targets = images(SHAPE, 100, dtype)
    of_rows = lower(program.source.layers, int(np.prod(SHAPE)), dtype=dtype, loss="squared_error")
    rows = np.ascontiguousarray(X.values.reshape(100, -1))
    outputs = predict(program, params, X)[0]
    for n_rows in (1, 2, 30, 100):
        assert_array_equal(predict(of_rows, params, rows[:n_rows])[0], outputs[:n_rows])
    loss, gradient = sum_and_gradient(program, params, X, targets, None)
    same_loss, same_gradient = sum_and_gradient(of_rows, params, rows, targets, None)
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


@of_images
@pytest.mark.parametrize("n_rows", [1, 2, 40])
def test_threads_change_no_bit_of_a_gradient(name, n_rows, crews):
    program, params = network_of_images(name, input_gradient=True)
    X, targets = images(SHAPE, n_rows)
    found = []
    for n_threads in (1, 2, 3):
        trainer = make_trainer(program, params, X, targets, None, n_threads=n_threads)
        loss, gradient = trainer.loss_and_gradient()
        found.append((loss, gradient.copy(), gradient_by_input(trainer).copy()))
        trainer.close()
    assert crews == [1, 2, 3]
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert_array_equal(one, other)


def trained(name, n_threads=1, dtype=np.float64, **changes):
    """Parameters after two epochs of images."""
    program, params = network_of_images(name, dtype)
    X, targets = images(SHAPE, 23, dtype)
    facts = {"batch": 10, "rates": [1e-2, 1e-3], "shuffle": True, "n_threads": n_threads, "alpha": 0.01}
    run_epochs(program, params, X, targets, None, "adam", ADAM, **facts | changes)
    return params


@of_images
@pytest.mark.parametrize("changes", [{}, {"limits": {"clip_norm": 0.1}}, {"monitor": True}], ids=str)
def test_threads_change_no_bit_of_a_training(name, changes, crews):
    expected = trained(name, **changes)
    assert np.isfinite(expected).all()
    for n_threads in (2, 3):
        assert_array_equal(trained(name, n_threads, **changes), expected)
    assert set(crews) == {1, 2, 3}


@of_images
@pytest.mark.parametrize("n_threads", [1, 3])
def test_weights_are_laid_out_strip_by_strip_as_they_are_at_once(name, n_threads, crews):
    program, params = network_of_images(name)
    X, targets = images(SHAPE, 10)
    trainer = make_trainer(program, params, X, targets, None, n_threads=n_threads)
    trainer.start("adam", ADAM, fresh_state(program), batch=10, shuffle=False, tol=0.0, patience=np.inf)
    trainer.run_epochs(np.array([1e-2]), np.inf, 0)
    by_update = trainer.transposed.copy(), trainer.panels.copy()
    trainer.refresh()
    assert_array_equal(by_update[0], trainer.transposed)
    assert_array_equal(by_update[1], trainer.panels)
    assert by_update[0].any()
    trainer.close()


@of_images
def test_pieces_of_a_batch_add_up(name, monkeypatch):
    program, params = network_of_images(name)
    X, targets = images(SHAPE, 23)
    loss, gradient = sum_and_gradient(program, params, X, targets, None)
    whole = trained(name)
    # Room for four images.
    monkeypatch.setattr(engine, "SEQUENCE_BYTES", 4 * program.n_work * program.dtype.itemsize)
    assert make_trainer(program, params, X, targets, None)._capacity_for(23) == 4
    same_loss, same_gradient = sum_and_gradient(program, params, X, targets, None)
    assert_allclose(same_loss, loss, rtol=1e-12)
    assert_allclose(same_gradient, gradient, rtol=1e-10, atol=1e-12 * np.abs(gradient).max())
    assert_allclose(trained(name), whole, rtol=1e-8, atol=1e-8)
    many = trained(name, 3)
    assert_array_equal(trained(name), many)


# -- sequences of different length -------------------------------------------------------------------------------------

OF_SEQUENCES = {
    "same": [Conv1D(5, 4, activation="tanh"), Conv1D(6, 3, dilation=3)],
    "causal": [Conv1D(5, 3, padding="causal", activation="relu"), Conv1D(6, 3, padding="causal", dilation=2)],
    "steps": [Conv1D(5, 3, 2, dilation=2, activation="tanh"), Conv1D(6, 2, 3, "causal")],
    "wide": [Conv1D(300, 3, activation="tanh"), Conv1D(40, 2, padding="causal", dilation=4)],
    "normalised": [Conv1D(6, 3, activation="relu", normalization="batch"), Conv1D(5, 3, normalization="layer")],
    "around": [Residual((Conv1D(5, 3, activation="tanh"), Conv1D(3, 1))), Conv1D(4, 2, 2)],
}
of_sequences = pytest.mark.parametrize("name", OF_SEQUENCES)
N_STEPS = 11


def network_of_sequences(name, n_steps=N_STEPS):
    return program_of([*OF_SEQUENCES[name], GlobalPool("mean"), Dense(N_OUTPUTS)], 3, n_steps)


@of_sequences
def test_a_sequence_alone_is_what_it_is_among_longer_ones(name):
    program, params = network_of_sequences(name)
    X, _ = ragged(N_STEPS, 3, 20)
    outputs = predict(program, params, X)[0]
    assert np.isfinite(outputs).all()
    for i, length in enumerate(X.lengths):
        alone = Sequences(np.ascontiguousarray(X.values[i : i + 1, :length]), None)
        found = predict(program.variant(n_timesteps=int(length)), params, alone)[0]
        assert_array_equal(found[0], outputs[i])


@of_sequences
@pytest.mark.parametrize("more", [1, 2, 9])
def test_padding_changes_no_bit(name, more):
    program, params = network_of_sequences(name)
    X, targets = ragged(N_STEPS, 3)
    longer = np.pad(X.values, [(0, 0), (0, more), (0, 0)], constant_values=NAN)
    loss, gradient = sum_and_gradient(program, params, X, targets, None)
    padded = program.variant(n_timesteps=N_STEPS + more)
    same_loss, same_gradient = sum_and_gradient(padded, params, Sequences(longer, X.lengths), targets, None)
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


@of_sequences
def test_gradients_of_sequences_of_different_length(name):
    program, params = network_of_sequences(name)
    X, targets = ragged(N_STEPS, 3)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(targets))
    assert_right_gradient(program, params, X, targets, weights, n_places=60)


def test_values_behind_the_end_are_0():
    program, params = network_of_sequences("steps")
    X, targets = ragged(N_STEPS, 3)
    trainer = make_trainer(program, params, X, targets, None)
    trainer.loss_and_gradient()
    for operation in program.operations:
        if operation.kind == "convolution":
            value = operation.output
            is_behind = np.arange(value.steps) >= -(-X.lengths // value.every)[:, None]
            assert is_behind.any()
            assert not in_buffer(trainer, value, value.y)[is_behind].any()
    trainer.close()


@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(1, 1, 1), (3, 1, 1), (4, 1, 3), (2, 3, 1), (3, 2, 2)])
def test_causal_windows_see_no_later_step(kernel_size, stride, dilation):
    layer = Conv1D(4, kernel_size, stride, "causal", dilation)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1, 10, 3))
    coefs = rng.uniform(0.5, 1, size=(kernel_size * 3, 4))
    values = values_of(layer, X, coefs)
    for t in range(10):
        changed = X.copy()
        changed[:, t:] += 1
        differs = (values_of(layer, changed, coefs) != values).all(axis=2)[0]
        now = np.arange(len(differs)) * stride
        assert_array_equal(differs, now >= t)  # the step itself is the last of its window


def test_windows_without_padding_need_one_length():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 9, 2))
    X[:10, 6:] = NAN
    y = rng.normal(size=40)
    layers = [Conv1D(4, 3, padding="valid", activation="tanh"), GlobalPool("mean")]
    est = NetworkRegressor(layers, max_iter=2, random_state=0).fit(X, y)
    outputs = est.predict(X)
    assert_array_equal(est.predict(X[:10, :6]), outputs[:10])  # shorter ones are 0 after their end
    assert_array_equal(est.predict(np.pad(X, [(0, 0), (0, 3), (0, 0)], constant_values=NAN)), outputs)
    with pytest.raises(ValueError, match="X has 12 time steps, but NetworkRegressor is expecting at most 9"):
        est.predict(np.concatenate([X[10:], X[10:, :3]], axis=1))
    causal = NetworkRegressor([Conv1D(4, padding="causal"), GlobalPool()], max_iter=2, random_state=0).fit(X, y)
    assert causal.predict(np.concatenate([X[10:], X[10:, :3]], axis=1)).shape == (30,)


# -- among other layers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Both(Layer):
    """What two stacks of layers make of one value, side by side."""

    left: tuple
    right: tuple

    def build(self, net, x):
        left = net.stack(self.left, x)
        right = net.stack(self.right, x)
        return net.concatenate(left, right)


AMONG = {
    "normalised by the batch": [Conv2D(5, 2, activation="tanh", normalization="batch"), Conv2D(4, 2, 2)],
    "normalised by the layer": [Conv2D(5, 2, activation="relu", normalization="layer"), Conv2D(4, 3)],
    "shortcut": [Conv2D(5, 2), Residual((Conv2D(6, 3, activation="tanh"), Conv2D(5, 1))), Activation("tanh")],
    "shortcut around the input": [Residual((Conv2D(4, 3, activation="tanh"), Conv2D(3, 2)))],
    "two readers": [Conv2D(4, 2, activation="tanh"), Both((Conv2D(3, 3),), (Conv2D(5, (1, 2), dilation=2),))],
    "two readers with steps": [Both((Conv2D(3, 3, 2, activation="tanh"),), (Conv2D(5, 1, 2),)), Conv2D(2)],
    "read as it is, too": [Conv2D(4, 2, activation="tanh"), Both((Conv2D(3, 3),), (Activation("logistic"),))],
}


@pytest.mark.parametrize("name", AMONG)
def test_gradients_among_other_layers(name):
    shape = (5, 4, 3)
    layers = [Reshape(shape), *AMONG[name], Flatten(), Dense(N_OUTPUTS)]
    X, targets = images(shape)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(targets))
    program, params = program_of(layers, 3, 20)
    assert_right_gradient(program, params, X, targets, weights, n_places=80)
    by_input, _ = program_of(layers, 3, 20, input_gradient=True)
    assert_array_equal(
        sum_and_gradient(by_input, params, X, targets, weights)[1],
        sum_and_gradient(program, params, X, targets, weights)[1],
    )


def test_a_value_that_is_an_image_for_some_is_a_sequence_for_others():
    layers = [Both((Reshape((2, 3, 3)), Conv2D(4), Flatten()), (Conv1D(5), GlobalPool()))]
    program, params = program_of([*layers, Dense(N_OUTPUTS)], 3, 6)
    X, targets = images((2, 3, 3))
    assert_right_gradient(program, params, X, targets, np.ones(len(targets)), n_places=80)


def test_pixels_that_are_missing_at_the_end_are_0():
    shape = (3, 4, 2)
    program, params = program_of([Reshape(shape), Conv2D(4, activation="tanh"), Flatten(), Dense(N_OUTPUTS)], 2, 12)
    X, targets = ragged(12, 2)
    filled = Sequences(np.nan_to_num(X.values, nan=0.0), None)
    assert_array_equal(predict(program, params, X)[0], predict(program, params, filled)[0])
    for found, expected in zip(
        sum_and_gradient(program, params, X, targets, None),
        sum_and_gradient(program, params, filled, targets, None),
        strict=True,
    ):
        assert_array_equal(found, expected)


# -- errors ------------------------------------------------------------------------------------------------------------

LARGEST = 2**31 - 1
REFUSED = [
    ([Reshape((3, 4, 1)), Conv2D(2, 5, padding="valid")], 12, r"^Conv2D reads windows of 5 along the height, its input "
     r"has 3: take a smaller kernel_size or dilation, or padding='same'\.$"),
    ([Reshape((3, 4, 1)), Conv2D(2, (3, 2), padding="valid", dilation=(1, 4))], 12,
     r"^Conv2D reads windows of 5 along the width, its input has 4: take a smaller"),
    ([Conv1D(2, 3, padding="valid", dilation=2)], 4, r"^Conv1D reads windows of 5 along the time, its input has 4"),
    ([Conv1D(2, 3, padding="valid"), Conv1D(2, 3, padding="valid")], 4, "^Conv1D reads windows of 3 .* has 2:"),
    ([Conv2D(2)], 4, r"^Conv2D needs images, got sequences of shape \(4, 1\): Reshape makes images of them\.$"),
    ([Conv2D(2)], 0, r"^Conv2D needs images, got rows of shape \(1,\): Reshape makes images of them\.$"),
    ([Conv1D(2)], 0, r"^Conv1D needs sequences, got rows of shape \(1,\)"),
    ([Reshape((2, 2, 1)), Conv1D(2)], 4,
     r"^Conv1D needs sequences, got images of shape \(2, 2, 1\): Reshape makes sequences of them\.$"),
    ([Reshape((2, 2, 1)), Conv2D(2), Recurrent("gru", 3)], 4, "^Recurrent needs sequences, got images of shape"),
    ([Reshape((2, 2, 1)), Conv2D(2), Dense(3)], 4,
     r"^Dense needs rows, got images of shape \(2, 2, 2\): put GlobalPool or Flatten before it\.$"),
    ([Reshape((2, 2, 1)), Conv2D(2, padding="causal")], 4,
     r"^Conv2D has padding='same' or 'valid', got 'causal'\.$"),
    ([Residual((Reshape((2, 2, 1)), Conv2D(1)))], 4,
     r"^Residual needs layers that keep the shape, got \(4, 1\) before and \(2, 2, 1\) after them\.$"),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "n_steps", "words"), REFUSED, ids=lambda value: str(value)[:50])
def test_misfits_are_refused(layers, n_steps, words):
    with pytest.raises(ValueError, match=words):
        lower([*layers, Flatten(), Dense(1)], 1, dtype=float, loss="squared_error", n_timesteps=n_steps)


def test_an_image_is_no_output():
    with pytest.raises(ValueError, match=r"^The last layer must return rows, got images of shape \(2, 2, 3\)\."):
        lower([Reshape((2, 2, 1)), Conv2D(3)], 1, dtype=float, loss="squared_error", n_timesteps=4)


SIZES = f"an integer from 1 to {LARGEST}, or two of them"
SIZE = f"an integer from 1 to {LARGEST}"
BAD = [
    *[(Conv2D(3, value), f"kernel_size of Conv2D must be {SIZES}, got {value!r}.")
      for value in (0, -1, (3,), (3, 3, 3), (3, 0), (3, 2.0), 2.5, True, None, "3", LARGEST + 1)],
    (Conv2D(3, stride=(1, 0)), f"stride of Conv2D must be {SIZES}, got (1, 0)."),
    (Conv2D(3, dilation=(True, 1)), f"dilation of Conv2D must be {SIZES}, got (True, 1)."),
    (Conv2D(0), f"filters of Conv2D must be {SIZE}, got 0."),
    (Conv2D((3, 3)), f"filters of Conv2D must be {SIZE}, got (3, 3)."),
    (Conv1D(3, (3, 3)), f"kernel_size of Conv1D must be {SIZE}, got (3, 3)."),
    (Conv1D(3, 2.5), f"kernel_size of Conv1D must be {SIZE}, got 2.5."),
    (Conv1D(3, stride=0), f"stride of Conv1D must be {SIZE}, got 0."),
    (Conv1D(3, padding="full"), "padding of Conv1D must be one of ['causal', 'same', 'valid'], got 'full'."),
    (Conv1D(3, activation="sigmoid"), "activation of Conv1D must be one of"),
    (Conv1D(3, normalization="group"), "normalization of Conv1D must be one of ['batch', 'layer'] or None,"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "words"), BAD, ids=lambda value: str(value)[:40])
def test_wrong_settings_are_refused(layer, words):
    with pytest.raises(InvalidParameterError) as caught:
        NetworkRegressor([Reshape((2, 2, 1)), layer, Flatten()]).fit(np.zeros((5, 4)), np.zeros(5))
    assert str(caught.value).startswith(f"layers[1] of NetworkRegressor: {words}")


# -- in estimators -----------------------------------------------------------------------------------------------------


def pictures(n_samples=60):
    """Images of 6 by 6 pixels as rows, with a bright row or a bright column; which."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 6, 6))
    y = rng.integers(2, size=n_samples)
    for image, column in zip(X, y, strict=True):
        place = rng.integers(6)
        image[(slice(None), place) if column else place] += 3
    return X.reshape(n_samples, 36), y


STACK = [Reshape((6, 6, 1)), Conv2D(8, (3, 2), activation="relu"), Conv2D(8, 3, [2, 2], activation="relu"), Flatten()]


def test_a_network_learns(tmp_path):
    X, y = pictures(200)
    est = NetworkClassifier(STACK, max_iter=40, learning_rate_init=0.01, random_state=0).fit(X[:150], y[:150])
    assert est.score(X[150:], y[150:]) > 0.8
    assert [w.shape for w in est.coefs_] == [(6, 8), (72, 8), (72, 1)]
    assert [row.parameters for row in est.summary().rows] == [0, 0, 56, 584, 0, 73]
    save(est, tmp_path / "network.skn")
    again = load(tmp_path / "network.skn")
    assert repr(again.layers) == repr(list(map(normalized, est.layers)))
    assert_array_equal(again.predict_proba(X), est.predict_proba(X))


def test_settings_are_nested_parameters():
    est = NetworkClassifier(STACK, max_iter=1)
    est.set_params(layers__1__kernel_size=(5, 1), layers__2__stride=np.int64(3))
    X, y = pictures()
    est.fit(X, y)
    assert [w.shape for w in est.coefs_] == [(5, 8), (72, 8), (32, 1)]
    assert est.get_params()["layers__1__kernel_size"] == (5, 1)
    assert STACK[1].kernel_size == (3, 2)


@pytest.mark.parametrize(
    "layer", [Conv2D(20, activation="relu"), ConvTranspose2D(20, stride=1, activation="relu")], ids=str
)
def test_max_norm_holds_for_every_filter(layer):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 36))
    y = np.arange(60) % 3
    layers = [Reshape((6, 6, 1)), Conv2D(9, 1, activation="tanh"), layer, Flatten()]
    settings = {"max_norm": 0.3, "learning_rate_init": 0.01, "batch_size": 20, "random_state": 0}
    going_on = NetworkClassifier(layers, **settings)
    began_anew = NetworkClassifier(layers, **settings)
    for _ in range(3):
        going_on.partial_fit(X, y, classes=[0, 1, 2])
        # From a pickle, weights are laid out anew for their products.
        began_anew = pickle.loads(pickle.dumps(began_anew)).partial_fit(X, y, classes=[0, 1, 2])
    for ours, others in zip(going_on.coefs_, began_anew.coefs_, strict=True):
        assert np.array_equal(ours, others)
    for coefs in going_on.coefs_[:2]:
        norms = np.linalg.norm(coefs, axis=0)
        assert norms.max() <= 0.3 + 1e-12
        assert norms.max() > 0.29  # the limit was met
    alone = NetworkClassifier(layers, n_jobs=1, **settings)
    for _ in range(3):
        alone.partial_fit(X, y, classes=[0, 1, 2])
    assert np.array_equal(alone.coefs_[1], going_on.coefs_[1])


def test_settings_of_numpy_are_those_of_python():
    sizes = (np.int64(3), np.int32(2))
    (layer,) = [normalized(Conv2D(np.int64(4), sizes, stride=[1, np.int8(2)]))]
    assert layer == Conv2D(4, (3, 2), stride=(1, 2))
    assert [type(n) for n in (layer.filters, *layer.kernel_size, *layer.stride)] == [int] * 5


def test_threads_may_meet_in_convolutions_of_single_pixels():
    # Values of one step are not sequences, but convolutions all the same: threads must not claim rows piece by piece.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1500, 300)).astype(np.float32)
    y = X[:, 0]
    layers = [Dense(400, "relu"), Reshape((1, 1, 400)), Conv2D(64, 1, activation="relu"), Flatten()]
    settings = {"batch_size": 1000, "max_iter": 4, "random_state": 0, "n_iter_no_change": 10}
    fits = [NetworkRegressor(layers, n_jobs=n_jobs, **settings).fit(X, y) for n_jobs in (1, 2)]
    assert_array_equal(fits[0]._params, fits[1]._params)
