"""Convolutions in groups, and depthwise ones: what whole ones are whose other weights are 0; the same bits anywhere."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import assert_right_gradient, fresh_state, make_trainer, run_epochs, sum_and_gradient
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils._param_validation import InvalidParameterError
from stacks import gradient_by_input, predict

from skneural import NetworkClassifier, NetworkRegressor, load, save
from skneural.backends.cpu import engine
from skneural.backends.cpu.product import PANEL
from skneural.backends.inputs import Sequences
from skneural.layers import (
    Activation,
    Conv1D,
    Conv2D,
    Dense,
    Flatten,
    GlobalPool,
    Reshape,
    Residual,
)
from skneural.network.initializers import initialize
from skneural.network.layer import LARGEST, normalized
from skneural.network.program import lower

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_OUTPUTS = 2
ADAM = (0.9, 0.999, 1e-8)
NAN = np.nan
DTYPES = [np.float32, np.float64]


def program_of(layers, n_features, n_steps, dtype=np.float64, seed=1, **options):
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


# -- values and gradients ----------------------------------------------------------------------------------------------


def groups_of(layer, channels):
    return channels if layer.groups == "depthwise" else layer.groups


def whole_weights(weights, channels, groups):
    """Of weights in groups those of a convolution without: 0 between channels and filters of different groups."""
    n_out = weights.shape[1]
    within = weights.reshape(-1, channels // groups, n_out)
    whole = np.zeros((len(within), channels, n_out))
    for g in range(groups):
        rows = slice(g * channels // groups, (g + 1) * channels // groups)
        columns = slice(g * n_out // groups, (g + 1) * n_out // groups)
        whole[:, rows, columns] = within[:, :, columns]
    return whole.reshape(-1, n_out)


def weights_in_groups(whole, channels, groups):
    """What `whole_weights` has made whole."""
    n_out = whole.shape[1]
    taps = whole.reshape(-1, channels, n_out)
    found = []
    for g in range(groups):
        rows = slice(g * channels // groups, (g + 1) * channels // groups)
        columns = slice(g * n_out // groups, (g + 1) * n_out // groups)
        found.append(taps[:, rows, columns])
    return np.concatenate(found, axis=2).reshape(-1, n_out)


def results_of(program, params, X, targets, n_threads=1):
    """Outputs, loss, gradients by weights and biases, and by the input."""
    trainer = make_trainer(program, params, X, targets, None, n_threads=n_threads)
    loss, gradient = trainer.loss_and_gradient()
    by_input = gradient_by_input(trainer).copy()
    trainer.close()
    assert not np.delete(gradient, program.learnt_index()).any()  # by the padding of rows
    coefs = [view.copy() for view in program.coefs(gradient)]
    intercepts = [view.copy() for view in program.intercepts(gradient)]
    return predict(program, params, X)[0], loss, coefs, intercepts, by_input


def assert_like_a_whole_one(case, dtype, tolerance):
    """Outputs, loss and gradients by weights, biases and input."""
    case = dict(case)
    n_rows = case.pop("n_rows")
    shape = (*case.pop("shape"), case.pop("channels"))
    layer = Conv2D(**case, activation="tanh")
    X, targets = images(shape, n_rows, dtype)
    steps = shape[0] * shape[1]
    behind = [Flatten(), Dense(N_OUTPUTS)]
    program, params = program_of([Reshape(shape), layer, *behind], shape[2], steps, dtype, input_gradient=True)
    layer_of_all = replace(layer, groups=1)
    of_all = [Reshape(shape), layer_of_all, *behind]
    whole, whole_params = program_of(of_all, shape[2], steps, np.float64, input_gradient=True)
    groups = groups_of(layer, shape[2])
    weights, *others = program.coefs(params)
    assert weights.shape == (np.prod(layer.kernel_size) * shape[2] // groups, layer.filters)
    for view, values in zip(
        [*whole.coefs(whole_params), *whole.intercepts(whole_params)],
        [whole_weights(weights, shape[2], groups), *others, *program.intercepts(params)],
        strict=True,
    ):
        view[:] = values
    values = Sequences(X.values.astype(float), None)
    outputs, loss, coefs, intercepts, dX = results_of(whole, whole_params, values, targets.astype(float))
    coefs[0] = weights_in_groups(coefs[0], shape[2], groups)
    found = results_of(program, params, X, targets)
    assert_allclose(found[1], loss, rtol=tolerance)
    pairs = zip([found[0], *found[2], *found[3], found[4]], [outputs, *coefs, *intercepts, dX], strict=True)
    for number, right in pairs:
        assert np.abs(number - right).max() <= tolerance * np.abs(right).max()


BASE = {
    "shape": (6, 9),
    "kernel_size": (3, 3),
    "stride": 1,
    "padding": "same",
    "dilation": 1,
    "n_rows": 7,
}
#: Depthwise, with several filters for a channel, in groups of whole panels and of others; and what varies in each.
KINDS = {
    "depthwise": {"channels": 5, "filters": 5, "groups": "depthwise"},
    "two filters a channel": {"channels": 5, "filters": 10, "groups": 5},
    "narrow groups": {"channels": 6, "filters": 9, "groups": 3},
    "whole panels": {"channels": 64, "filters": 64, "groups": 2},
}
AXES = {
    "shape": [(1, 1), (1, 7), (7, 1)],
    "kernel_size": [(1, 1), (2, 4), (13, 3)],
    "stride": [2, (2, 3), (1, 20)],
    "padding": ["valid"],
    "dilation": [2, (1, 3), 12],
    "n_rows": [1, 2, 50],
}
CASES = [BASE | of_kind | {name: value} for of_kind in KINDS.values() for name in AXES for value in AXES[name]]
CASES += [BASE | of_kind for of_kind in KINDS.values()]
#: Widths: of tiles and what is left of them, padded rows; groups that fill panels on one side alone.
WIDTHS = [(2, 2, 2), (16, 16, 16), (17, 17, 17), (33, 33, 33), (70, 70, 70), (300, 300, 300), (3, 12, 3), (40, 80, 40)]
WIDTHS += [
    (4, 8, 2),
    (8, 4, 4),
    (32, 6, 2),
    (6, 64, 2),
    (34, 64, 2),
    (64, 34, 2),
    (96, 96, 3),
    (100, 60, 4),
    (9, 300, 3),
]
WIDTHS += [(2, 1200, 2), (1200, 2, 2)]
CASES += [BASE | {"shape": (3, 4), "channels": c, "filters": f, "groups": g} for c, f, g in WIDTHS]
#: What meets only in some kinds of windows: steps and gaps with a common divisor and without, nothing but padding.
TOGETHER = [
    {"stride": (2, 3), "dilation": (3, 2)},
    {"stride": 3, "dilation": 3, "padding": "valid", "kernel_size": (2, 3)},
    {"kernel_size": (2, 2), "dilation": 20},
    {"kernel_size": (2, 3), "dilation": 9, "stride": 2},
]
CASES += [BASE | of_kind | changes for of_kind in KINDS.values() for changes in TOGETHER]


def name_of(case):
    return ", ".join(f"{name}={value}" for name, value in case.items() if value != BASE.get(name))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)], ids=["double", "single"])
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_values_and_gradients_are_those_of_a_whole_convolution(case, dtype, tolerance):
    assert_like_a_whole_one(case, dtype, tolerance)


@given(
    st.fixed_dictionaries(
        {
            "shape": st.tuples(st.integers(1, 7), st.integers(1, 7)),
            "kernel_size": st.tuples(st.integers(1, 4), st.integers(1, 4)),
            "stride": st.tuples(st.integers(1, 4), st.integers(1, 4)),
            "padding": st.just("same"),
            "dilation": st.tuples(st.integers(1, 4), st.integers(1, 4)),
            "n_rows": st.integers(1, 6),
        }
    ),
    st.sampled_from([(3, 3, "depthwise"), (3, 6, "depthwise"), (4, 6, 2), (16, 16, 2), (16, 32, 2)]),
)
@settings(max_examples=80)
def test_any_convolution_in_groups_is_that_of_a_whole_one(case, widths):
    channels, filters, groups = widths
    assert_like_a_whole_one(case | {"channels": channels, "filters": filters, "groups": groups}, np.float64, 1e-10)


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


def test_each_channel_by_itself_by_hand():
    # Rows are steps of the window, columns are channels.
    coefs = [[1, 0], [0, 10], [100, 1]]
    X = [[[1, 2], [3, 4], [5, 6], [7, 8]]]
    found = values_of(Conv1D(2, 3, groups="depthwise"), X, coefs, bias=[0.5, 0])
    assert_array_equal(found, [[[300.5, 24], [501.5, 46], [703.5, 68], [5.5, 80]]])
    found = values_of(Conv1D(2, 3, groups=2, padding="causal", stride=2), X, coefs)
    assert_array_equal(found, [[[100, 2], [501, 46]]])
    found = values_of(Conv1D(2, 2, groups=2, padding="valid", dilation=2), X, coefs[:2])
    assert_array_equal(found, [[[1, 60], [3, 80]]])


def test_filters_of_a_channel_follow_one_another_by_hand():
    found = values_of(Conv1D(4, 1, groups="depthwise"), [[[1, 10]]], [[2, 3, 4, 5]], bias=[0, 0, 0, 1])
    assert_array_equal(found, [[[2, 3, 40, 51]]])


def test_groups_read_channels_of_their_own_by_hand():
    # Two channels in each group, one filter and two.
    X = [[[1, 2, 3, 4]]]
    assert_array_equal(values_of(Conv1D(2, 1, groups=2), X, [[1, 10], [100, 1000]]), [[[201, 4030]]])
    coefs = [[1, 2, 3, 4], [10, 20, 30, 40]]
    assert_array_equal(values_of(Conv1D(4, 1, groups=2), X, coefs), [[[21, 42, 129, 172]]])


def test_images_by_hand():
    image = np.arange(8.0).reshape(2, 2, 2)
    coefs = np.array([[1, 5], [10, 6], [100, 7], [1000, 8]])
    found = values_of(Conv2D(2, 2, padding="valid", groups=2), [image], coefs)
    assert_array_equal(found, [[[[6420, 1 * 5 + 3 * 6 + 5 * 7 + 7 * 8]]]])


def test_one_group_is_none():
    X, targets = images((4, 5, 3))
    found = []
    for groups in (1, "depthwise"):
        layers = [Reshape((4, 5, 3)), Conv2D(1, 1), Conv2D(4, 3, groups=groups), Flatten(), Dense(N_OUTPUTS)]
        program, params = program_of(layers, 3, 20)
        assert [operation.kind for operation in program.operations[1:3]] == ["convolution"] * 2
        found.append(sum_and_gradient(program, params, X, targets, None)[1])
    assert_array_equal(*found)


# -- same bits ---------------------------------------------------------------------------------------------------------

OF_IMAGES = {
    "depthwise": [Conv2D(5, groups="depthwise", kernel_size=3, activation="tanh"), Conv2D(5, (2, 3), (2, 1), groups=5)],
    "separable": [Conv2D(20, 1), Conv2D(20, 3, groups=20, activation="relu"), Conv2D(24, 1, activation="tanh")],
    "wide": [Conv2D(300, 1), Conv2D(300, 2, dilation=2, groups="depthwise", activation="tanh"), Conv2D(9, 1)],
    "several": [Conv2D(10, 2, groups=5, activation="relu"), Conv2D(6, 3, groups=2, dilation=2), Activation("tanh")],
    "panels": [Conv2D(64, 1), Conv2D(96, (3, 2), groups=2, activation="tanh"), Conv2D(64, 2, 2, groups=2)],
}
SHAPE = (6, 7, 5)
of_images = pytest.mark.parametrize("name", OF_IMAGES)


def network_of_images(name, dtype=np.float64, **options):
    layers = [Reshape(SHAPE), *OF_IMAGES[name], Flatten(), Dense(N_OUTPUTS)]
    return program_of(layers, SHAPE[2], SHAPE[0] * SHAPE[1], dtype, **options)


@of_images
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_image_alone_is_what_it_is_in_a_batch(name, dtype):
    program, params = network_of_images(name, dtype)
    X, _ = images(SHAPE, 120, dtype)
    whole = predict(program, params, X)[0]
    for size in (1, 2, 3, 13, 49, 113):
        parts = [Sequences(X.values[begin : begin + size], None) for begin in range(0, 120, size)]
        outputs = [predict(program, params, part)[0] for part in parts]
        assert_array_equal(np.concatenate(outputs), whole)


@of_images
@pytest.mark.parametrize("n_rows", [1, 2, 23])
def test_threads_change_no_bit_of_a_gradient(name, n_rows, crews):
    program, params = network_of_images(name, input_gradient=True)
    X, targets = images(SHAPE, n_rows)
    found = []
    for n_threads in (1, 2, 3):
        outputs, loss, coefs, intercepts, by_input = results_of(program, params, X, targets, n_threads)
        found.append([outputs, np.array(loss), *coefs, *intercepts, by_input])
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


def transposed_weights(program, transposed):
    """Copies of all transposed weights: panels of filters by channels, of all taps and groups.

    Without what stands behind the filters of a group, which nobody reads: what follows its columns, as it was before or
    after another thread updated that.
    """
    found = []
    wide = PANEL // transposed.itemsize
    for block, start, ld, rows in program.transposed:
        matrices = transposed[start : start + max(block.parts, 1) * rows * ld]
        depth = rows // block.groups
        matrices = matrices.reshape(-1, depth * ld)
        for column in range(0, ld, wide):
            width = min(wide, ld - column)
            panel = matrices[:, column * depth : (column + width) * depth].reshape(-1, depth, width)
            found.append(panel[:, : block.shape[1] // block.groups].copy())
    return found


@of_images
@pytest.mark.parametrize("n_threads", [1, 3])
def test_weights_are_laid_out_tap_by_tap_as_they_are_at_once(name, n_threads, crews):
    program, params = network_of_images(name)
    X, targets = images(SHAPE, 10)
    trainer = make_trainer(program, params, X, targets, None, n_threads=n_threads)
    trainer.start("adam", ADAM, fresh_state(program), batch=10, shuffle=False, tol=0.0, patience=np.inf)
    trainer.run_epochs(np.array([1e-2]), np.inf, 0)
    by_update = transposed_weights(program, trainer.transposed), trainer.panels.copy()
    trainer.refresh()
    for one, other in zip(by_update[0], transposed_weights(program, trainer.transposed), strict=True):
        assert_array_equal(one, other)
    for operation in program.operations:
        if operation.kind.startswith("convolution"):
            (block, *_) = operation.blocks
            there = slice(block.start, block.start + block.size)
            assert_array_equal(by_update[1][there], trainer.panels[there])
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
    assert_allclose(trained(name), whole, rtol=1e-7, atol=1e-7)
    assert_array_equal(trained(name, 3), trained(name))


# -- sequences of different length -------------------------------------------------------------------------------------

OF_SEQUENCES = {
    "depthwise": [Conv1D(4, 3, activation="tanh"), Conv1D(4, 4, groups="depthwise", dilation=2, activation="tanh")],
    "causal": [Conv1D(4, 3, groups=4, padding="causal", activation="relu"), Conv1D(6, 3, padding="causal", groups=2)],
    "steps": [Conv1D(8, 3, 2, groups=4, activation="tanh"), Conv1D(8, 2, 3, "causal", groups="depthwise")],
    "normalised": [Conv1D(4, 3, groups=4, activation="relu", normalization="batch"), Conv1D(6, 1)],
    "around": [
        Residual((Conv1D(4, 3, groups="depthwise", activation="tanh"), Conv1D(4, 3, groups=2))),
        Conv1D(3, 2, 2),
    ],
}
of_sequences = pytest.mark.parametrize("name", OF_SEQUENCES)
N_STEPS = 11
N_CHANNELS = 4


def ragged(n_rows=7, seed=0):
    """Sequences of different lengths with NaN behind their ends, and targets."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, N_STEPS, N_CHANNELS))
    lengths = rng.integers(1, N_STEPS + 1, n_rows)
    lengths[:2] = N_STEPS, 1
    X[np.arange(N_STEPS) >= lengths[:, None]] = NAN
    return Sequences(X, lengths), rng.normal(size=(n_rows, N_OUTPUTS))


def network_of_sequences(name):
    return program_of([*OF_SEQUENCES[name], GlobalPool("mean"), Dense(N_OUTPUTS)], N_CHANNELS, N_STEPS)


@of_sequences
def test_a_sequence_alone_is_what_it_is_among_longer_ones(name):
    program, params = network_of_sequences(name)
    X, _ = ragged(20)
    outputs = predict(program, params, X)[0]
    assert np.isfinite(outputs).all()
    for i, length in enumerate(X.lengths):
        alone = Sequences(np.ascontiguousarray(X.values[i : i + 1, :length]), None)
        found = predict(program.variant(n_timesteps=int(length)), params, alone)[0]
        assert_array_equal(found[0], outputs[i])


@of_sequences
@pytest.mark.parametrize("more", [1, 9])
def test_padding_changes_no_bit(name, more):
    program, params = network_of_sequences(name)
    X, targets = ragged()
    longer = np.pad(X.values, [(0, 0), (0, more), (0, 0)], constant_values=NAN)
    loss, gradient = sum_and_gradient(program, params, X, targets, None)
    padded = program.variant(n_timesteps=N_STEPS + more)
    same_loss, same_gradient = sum_and_gradient(padded, params, Sequences(longer, X.lengths), targets, None)
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


@of_sequences
def test_gradients_of_sequences_of_different_length(name):
    program, params = network_of_sequences(name)
    X, targets = ragged()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(targets))
    assert_right_gradient(program, params, X, targets, weights, n_places=60)


# -- initial weights ---------------------------------------------------------------------------------------------------


def test_initial_weights_are_those_of_each_group():
    layers = [Reshape((4, 4, 12)), Conv2D(24, 3, groups=3), Conv2D(24, 3, groups="depthwise"), GlobalPool(), Dense(1)]
    program = lower(layers, 12, dtype=np.float64, loss="squared_error", n_timesteps=16)
    of_groups, of_channels, _ = program.coefs(initialize(program, 0, "glorot_uniform"))
    # Windows of 9 pixels: 4 channels and 8 filters in a group, then one of each.
    for weights, n_in, n_out in ((of_groups, 36, 72), (of_channels, 9, 9)):
        bound = np.sqrt(6 / (n_in + n_out))
        assert 0.97 * bound < np.abs(weights).max() <= bound
        assert abs(weights.mean()) < 0.1 * bound
    of_groups, of_channels, _ = program.coefs(initialize(program, 0, "he_normal"))
    assert_allclose(of_groups.std(), np.sqrt(2 / 36), rtol=0.1)
    assert_allclose(of_channels.std(), np.sqrt(2 / 9), rtol=0.2)
    of_groups, of_channels, _ = program.coefs(initialize(program, 0, "orthogonal"))
    for begin in range(0, 24, 8):
        group = of_groups[:, begin : begin + 8]
        assert_allclose(group.T @ group, np.eye(8), atol=1e-12)
    assert_allclose(np.linalg.norm(of_channels, axis=0), 1, rtol=1e-12)


def test_own_initial_weights_are_asked_for_group_by_group():
    asked = []

    def ones(n_in, n_out, rng):
        asked.append((n_in, n_out))
        return np.full((n_in, n_out), len(asked))

    X = np.random.default_rng(0).normal(size=(10, 24))
    layers = [Reshape((2, 3, 4)), Conv2D(6, 2, groups=2), Flatten()]
    est = NetworkRegressor(layers, weight_init=ones, max_iter=1, learning_rate_init=1e-12).fit(X, X[:, 0])
    assert asked == [(8, 3), (8, 3), (36, 1)]
    assert_array_equal(est.coefs_[0].round(), [[1, 1, 1, 2, 2, 2]] * 8)


# -- in estimators -----------------------------------------------------------------------------------------------------

STACK = [
    Reshape((6, 6, 1)),
    Conv2D(8, activation="relu"),
    Conv2D(8, 3, groups="depthwise", activation="relu"),
    Conv2D(12, 1, groups=np.int64(4), activation="relu"),
    Flatten(),
]


def pictures(n_samples=60):
    """Images of 6 by 6 pixels as rows, with a bright row or a bright column; which."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 6, 6))
    y = rng.integers(2, size=n_samples)
    for image, column in zip(X, y, strict=True):
        place = rng.integers(6)
        image[(slice(None), place) if column else place] += 3
    return X.reshape(n_samples, 36), y


def test_a_network_learns(tmp_path):
    X, y = pictures(200)
    est = NetworkClassifier(STACK, max_iter=60, learning_rate_init=0.01, random_state=0).fit(X[:150], y[:150])
    assert est.score(X[150:], y[150:]) > 0.8
    assert [w.shape for w in est.coefs_] == [(9, 8), (9, 8), (2, 12), (432, 1)]
    rows = est.summary().rows
    assert [row.parameters for row in rows] == [0, 0, 80, 80, 36, 0, 433]
    assert [row.operations for row in rows] == [0, 0, 36 * 72, 36 * 72, 36 * 24, 0, 432]
    save(est, tmp_path / "network.skn")
    again = load(tmp_path / "network.skn")
    assert repr(again.layers) == repr(list(map(normalized, est.layers)))
    for other in (again, pickle.loads(pickle.dumps(est))):
        assert_array_equal(other.predict_proba(X), est.predict_proba(X))
        other.partial_fit(X, y)
    est.partial_fit(X, y)
    assert_array_equal(again.coefs_[1], est.coefs_[1])


def test_groups_are_a_nested_parameter():
    X, y = pictures()
    est = NetworkClassifier(STACK, max_iter=1).set_params(layers__2__groups=2, layers__3__groups="depthwise")
    est.set_params(layers__3__filters=16)
    assert [w.shape for w in est.fit(X, y).coefs_] == [(9, 8), (36, 8), (1, 16), (576, 1)]


def test_max_norm_holds_for_every_filter():
    X, y = pictures()
    settings = {"max_norm": 0.3, "learning_rate_init": 0.01, "batch_size": 20, "random_state": 0}
    going_on = NetworkClassifier(STACK, **settings)
    began_anew = NetworkClassifier(STACK, **settings)
    for _ in range(3):
        going_on.partial_fit(X, y, classes=[0, 1])
        # From a pickle, weights are laid out anew for their products.
        began_anew = pickle.loads(pickle.dumps(began_anew)).partial_fit(X, y, classes=[0, 1])
    for ours, others in zip(going_on.coefs_, began_anew.coefs_, strict=True):
        assert_array_equal(ours, others)
    for coefs in going_on.coefs_[:3]:
        norms = np.linalg.norm(coefs, axis=0)
        assert norms.max() <= 0.3 + 1e-12
        assert norms.max() > 0.29  # the limit was met


def test_lbfgs():
    X, y = pictures()
    est = NetworkClassifier(STACK, solver="lbfgs", max_iter=30, random_state=0).fit(X, y)
    assert est.score(X, y) > 0.9


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Conv2D(4, groups=2), r"^Conv2D has groups=2, which must divide the 3 channels of its input\.$"),
        (Conv2D(4, groups=3), r"^Conv2D has 3 groups: they must divide its filters, got 4\.$"),
        (Conv2D(4, groups=6), r"^Conv2D has groups=6, which must divide the 3 channels of its input\.$"),
        (
            Conv2D(4, groups="depthwise"),
            r"^Conv2D has 3 groups, one for each channel of its input: they must divide its filters, got 4\.$",
        ),
    ],
    ids=str,
)
def test_groups_divide_channels_and_filters(layer, words):
    with pytest.raises(ValueError, match=words):
        lower([Reshape((2, 2, 3)), layer, Flatten(), Dense(1)], 3, dtype=float, loss="squared_error", n_timesteps=4)
    of_time = Conv1D(layer.filters, groups=layer.groups)
    with pytest.raises(ValueError, match=words.replace("Conv2D", "Conv1D")):
        lower([of_time, Flatten(), Dense(1)], 3, dtype=float, loss="squared_error", n_timesteps=4)


@pytest.mark.parametrize("value", [0, -1, 2.0, True, None, "two", (2, 2), LARGEST + 1], ids=str)
def test_other_groups_are_refused(value):
    layers = [Reshape((2, 2, 1)), Conv2D(4, groups=value), Flatten()]
    with pytest.raises(InvalidParameterError) as caught:
        NetworkRegressor(layers).fit(np.zeros((5, 4)), np.zeros(5))
    words = f"groups of Conv2D must be an integer from 1 to {LARGEST}, or one of ['depthwise'], got {value!r}."
    assert str(caught.value).startswith(f"layers[1] of NetworkRegressor: {words}")
