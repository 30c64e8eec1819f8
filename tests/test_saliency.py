"""Gradients by the input: of every layer, against central differences of predictions; outputs and filters of layers."""

import numpy as np
import pandas as pd
import pytest
from networks import make_network
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from stacks import predict
from test_layers import N_OUTPUTS, data, every_case, network
from test_pooling_images import STACKS
from test_pooling_images import network as network_of_images

from skneural import (
    CNNClassifier,
    CNNRegressor,
    GRUClassifier,
    LSTMRegressor,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
)
from skneural.backends.cpu import derivatives
from skneural.backends.cpu.derivatives import Derivatives
from skneural.backends.inputs import Sequences
from skneural.inspection import convolution_filters, layer_outputs, saliency
from skneural.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    MaxPool2D,
    Noise,
    Recurrent,
    Reshape,
    Residual,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def differences(function, X, h=1e-5):
    """Central differences of a function of X, one number a sample, by each number of X; NaN is left alone."""
    X = np.array(X, float, order="C")
    flat = X.reshape(len(X), -1)
    result = np.zeros(flat.shape)
    for place in range(flat.shape[1]):
        values = flat[:, place].copy()
        flat[:, place] = values + h
        above = function(X)
        flat[:, place] = values - h
        below = function(X)
        flat[:, place] = values
        result[:, place] = (above - below) / (2 * h)
    return result.reshape(X.shape)


def assert_close(found, expected, tolerance=1e-6):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


# -- the engine --------------------------------------------------------------------------------------------------------


def assert_right(program, params, X):
    """Outputs are those of a prediction, and derivatives those of central differences of predictions."""
    values = X.values if isinstance(X, Sequences) else X
    seeds = np.random.default_rng(0).normal(size=(len(values), program.n_outputs))
    outputs, gradient = Derivatives(program, params)(X, lambda part, outputs: seeds[part])
    assert_array_equal(outputs, predict(program, params, X)[0])

    def total(values):
        changed = Sequences(values, X.lengths) if isinstance(X, Sequences) else values
        return (predict(program, params, changed)[0] * seeds).sum(axis=1)

    is_there = ~np.isnan(values)
    expected = differences(total, values)
    assert_close(np.where(is_there, gradient, 0), np.where(is_there, expected, 0))


@every_case
def test_every_layer(case):
    program, params = network(case.layers, case.n_steps, input_gradient=True)
    X, _, _ = data(N_OUTPUTS, case.n_steps)
    assert_right(program, params, X)


@pytest.mark.parametrize("stack", STACKS)
def test_every_layer_of_images(stack):
    program, params = network_of_images(STACKS[stack], input_gradient=True)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, program.n_timesteps, program.source.n_features))
    assert_right(program, params, Sequences(X, None))


def test_truncated_gradients_are_whole():
    layers = (Recurrent("lstm", 4, rate=0.5, truncate=2), GlobalPool(), Dense(3))
    program, params = network(layers, 9, input_gradient=True)
    X, _, _ = data(3, 9)
    assert_right(program, params, X)


def test_batches_change_no_bit(monkeypatch):
    layers = (Dense(5, "tanh", "batch"), Dropout(0.5), Dense(3))
    program, params = make_network(layers, "squared_error")
    program = program.variant(input_gradient=True)
    X = np.random.default_rng(0).normal(size=(30, 4))

    def run(X):
        return Derivatives(program, params)(X, lambda part, outputs: np.ones_like(outputs))[1]

    together = run(X)
    monkeypatch.setattr(derivatives, "PREDICT_BLOCK", 7)
    assert_array_equal(run(X), together)
    assert_array_equal(run(X[11:12]), together[11:12])


def test_a_layer_that_looks_at_the_batch_is_refused(monkeypatch):
    program, params = make_network((Dense(5, "tanh", "batch"), Dense(3)), "squared_error")
    program = program.variant(input_gradient=True)
    for operation in program.operations:
        if operation.kind == "batch_norm":
            monkeypatch.setattr(operation, "kind", "of_a_user")
    with pytest.raises(ValueError, match="There is no derivative of 'of_a_user', which looks at the whole batch"):
        Derivatives(program, params)


# -- estimators --------------------------------------------------------------------------------------------------------


def rows(n_classes=3, n_samples=40):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 4))
    return X, (X @ rng.normal(size=(4, n_classes))).argmax(axis=1)


def images(*shape, n_images=24, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_images, *shape)), rng.integers(0, 3, n_images)


def small(cls, *args, **settings):
    return cls(*args, **{"max_iter": 3, "random_state": 0, "activation": "tanh"} | settings)


def test_scores_and_probabilities():
    X, y = rows()
    clf = small(MLPClassifier, (6, 5), normalization="batch", dropout=0.3, input_noise=0.1).fit(X, y)
    for label in range(3):
        score = differences(lambda X, label=label: layer_outputs(clf, X, -1)[:, label], X)
        assert_close(saliency(clf, X, label), score)
        probability = differences(lambda X, label=label: clf.predict_proba(X)[:, label], X)
        assert_close(saliency(clf, X, label, of="probability"), probability)
    # A difference of scores is one of logarithms of probabilities.
    logarithms = differences(lambda X: np.log(clf.predict_proba(X)) @ [1, -1, 0], X)
    assert_close(saliency(clf, X, 0) - saliency(clf, X, 1), logarithms)


def test_the_predicted_class_is_the_default():
    X, y = rows()
    labels = np.array(["a", "b", "c"])[y]
    clf = small(MLPClassifier, (6,)).fit(X, labels)
    assert_array_equal(saliency(clf, X), saliency(clf, X, clf.predict(X)))
    assert_array_equal(saliency(clf, X[:3], "b"), saliency(clf, X[:3], ["b", "b", "b"]))


def test_two_classes():
    X, y = rows(2)
    clf = small(MLPClassifier, (6,), max_iter=20).fit(X, np.where(y, "yes", "no"))
    odds = differences(lambda X: np.log(clf.predict_proba(X)) @ [-1, 1], X)
    assert_close(saliency(clf, X, "yes"), odds)
    assert_array_equal(saliency(clf, X, "no"), -saliency(clf, X, "yes"))
    sign = np.where(clf.predict(X) == "yes", 1, -1)[:, None]
    assert len(np.unique(sign)) == 2
    assert_array_equal(saliency(clf, X), sign * saliency(clf, X, "yes"))
    assert_close(saliency(clf, X, "no", of="probability"), differences(lambda X: clf.predict_proba(X)[:, 0], X))


def test_several_labels_a_sample():
    X, y = rows()
    clf = small(MLPClassifier, (6,)).fit(X, np.eye(3, dtype=int)[y])
    wanted = np.arange(len(X)) % 3
    of = np.arange(len(X)), wanted
    expected = differences(lambda X: clf.predict_proba(X)[of], X)
    assert_close(saliency(clf, X, wanted, of="probability"), expected)
    with pytest.raises(ValueError, match="There are 3 outputs: y must be the number of one, or one for each sample"):
        saliency(clf, X)


def test_regressors():
    X, _ = rows()
    reg = small(MLPRegressor, hidden_layer_sizes=(6,)).fit(X, X[:, 0])
    assert_close(saliency(reg, X), differences(reg.predict, X))
    several = small(MLPRegressor, hidden_layer_sizes=(6,)).fit(X, X[:, :2])
    assert_close(saliency(several, X, 1), differences(lambda X: several.predict(X)[:, 1], X))
    counts = small(MLPRegressor, "poisson", hidden_layer_sizes=(6,)).fit(X, np.abs(X[:, 0]).round())
    assert_close(saliency(counts, X), differences(counts.predict, X))


def test_targets_that_are_scaled():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 6, 2)) * [1, 50]
    reg = LSTMRegressor((4,), max_iter=3, random_state=0).fit(X, 100 * X[:, :2, 0])
    assert reg.standardize
    assert_close(saliency(reg, X, 1), differences(lambda X: reg.predict(X)[:, 1], X, h=1e-4), 1e-5)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("input_format", ["channels_last", "channels_first"])
def test_sequences(axes, input_format):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 5, 3))
    if input_format == "channels_first":
        X = X.swapaxes(1, 2)
    if axes == 2:
        X = X[:, :, 0]
    y = rng.integers(0, 3, 20)
    clf = GRUClassifier((4,), pooling="max", input_format=input_format, max_iter=3, random_state=0).fit(X, y)
    expected = differences(lambda X: layer_outputs(clf, X, -1)[:, 2], X)
    assert_close(saliency(clf, X, 2), expected)


def test_padding_has_no_gradient():
    rng = np.random.default_rng(0)
    listed = [rng.normal(size=(n, 2)) for n in (3, 5, 1, 4)]
    clf = GRUClassifier((4,), max_iter=3, random_state=0).fit(listed, [0, 1, 0, 1])
    gradient = saliency(clf, listed, 1)
    assert gradient.shape == (4, 5, 2)
    for sequence, found in zip(listed, gradient, strict=True):
        n = len(sequence)
        assert_array_equal(found[n:], 0)
        assert_array_equal(found[:n], saliency(clf, sequence[None], 1)[0])
        assert found[:n].all()
    padded = np.full((4, 9, 2), np.nan)
    for sequence, values in zip(padded, listed, strict=True):
        sequence[: len(values)] = values
    assert_array_equal(saliency(clf, padded, 1)[:, :5], gradient)
    assert_array_equal(saliency(clf, padded, 1)[:, 5:], 0)


LAYOUTS = {
    "without channels": ((6, 5), {}),
    "channels last": ((6, 5, 3), {}),
    "channels first": ((3, 6, 5), {"input_format": "channels_first"}),
    "rows": ((90,), {"image_shape": (6, 5, 3)}),
    "rows, channels first": ((90,), {"image_shape": (3, 6, 5), "input_format": "channels_first"}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images(layout):
    shape, settings = LAYOUTS[layout]
    X, y = images(*shape)
    clf = small(CNNClassifier, (4, 3), normalization="batch", dropout=0.2, residual=True, **settings).fit(X, y)
    expected = differences(lambda X: layer_outputs(clf, X, -1)[:, 1], X)
    assert_close(saliency(clf, X, 1), expected)


@pytest.mark.parametrize("clf", [CNNClassifier((4,), max_iter=3), GRUClassifier((4,), max_iter=3)])
def test_tables_whose_columns_may_have_gaps(clf):
    X, y = images(12)
    table = pd.DataFrame(X).rename(columns=str).convert_dtypes()  # NumPy takes it for objects
    clf = clone(clf).fit(table, y)
    expected = saliency(clf, table.astype(float))
    assert expected.shape == X.shape
    assert_array_equal(saliency(clf, table), expected)


def test_images_of_bytes():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (20, 6, 6)).astype(np.uint8)
    reg = small(CNNRegressor, (4,)).fit(X, X.mean(axis=(1, 2)) / 100)
    gradient = saliency(reg, X)
    assert gradient.dtype == np.float32
    assert_allclose(gradient, saliency(reg, X.astype(np.float32)), rtol=1e-6)


def test_any_layers():
    X, y = images(48)
    layers = [
        Reshape((4, 4, 3)),
        Noise(0.1),
        Residual((Conv2D(5, activation="tanh", normalization="batch"), Conv2D(3))),
        MaxPool2D(2),
        Flatten(),
        BatchNorm(),
        Dropout(0.5),
        Dense(4, "tanh"),
    ]
    clf = NetworkClassifier(layers, max_iter=3, random_state=0).fit(X, y)
    assert_close(saliency(clf, X, 0), differences(lambda X: layer_outputs(clf, X, -1)[:, 0], X))


def test_searches_and_steps_of_pipelines():
    X, y = rows()
    search = GridSearchCV(small(MLPClassifier, (4,)), {"alpha": [0, 1]}, cv=2).fit(X, y)
    assert_array_equal(saliency(search, X, 1), saliency(search.best_estimator_, X, 1))
    pipeline = make_pipeline(StandardScaler(), small(MLPClassifier, (4,))).fit(X, y)
    with pytest.raises(TypeError, match="saliency needs a network of this package, got Pipeline"):
        saliency(pipeline, X)
    assert saliency(pipeline[-1], pipeline[:-1].transform(X)).shape == X.shape


def test_nothing_is_changed():
    X, y = rows()
    clf = small(MLPClassifier, (4,), normalization="batch").fit(X, y)
    before = clf.predict_proba(X)
    statistics = clf.norms_[0]["mean"].copy()
    saliency(clf, X)
    assert_array_equal(clf.predict_proba(X), before)
    assert_array_equal(clf.norms_[0]["mean"], statistics)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], r"y must be one label, or one for each of 40 samples, got shape \(2,\)"),
        (7, "y has labels other than the classes"),
        (np.zeros((40, 2)), r"got shape \(40, 2\)"),
    ],
)
def test_labels_that_are_refused(y, message):
    X, target = rows()
    clf = small(MLPClassifier, (4,)).fit(X, target)
    with pytest.raises(ValueError, match=message):
        saliency(clf, X, y)


def test_what_is_refused():
    X, y = rows()
    clf = small(MLPClassifier, (4,)).fit(X, y)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        saliency(clf, X[:, :3])
    with pytest.raises(ValueError, match="no gradient by the rows of a sparse matrix"):
        saliency(clf, sparse.csr_matrix(X))
    with pytest.raises(NotFittedError):
        saliency(MLPClassifier(), X)
    with pytest.raises(TypeError, match="needs a network of this package, got LogisticRegression"):
        saliency(LogisticRegression().fit(X, y), X)
    with pytest.raises(ValueError, match="'of' parameter of saliency must be a str among"):
        saliency(clf, X, of="loss")
    reg = small(MLPRegressor, hidden_layer_sizes=(4,)).fit(X, X[:, :2])
    for output in (2, -1, 0.5):
        with pytest.raises(ValueError, match="y must hold whole numbers of outputs, from 0 to 1"):
            saliency(reg, X, output)


# -- layers ------------------------------------------------------------------------------------------------------------


def test_outputs_of_dense_layers():
    X, y = rows()
    clf = small(MLPClassifier, (6, 5)).fit(X, y)
    hidden = np.tanh(X @ clf.coefs_[0] + clf.intercepts_[0])
    assert_allclose(layer_outputs(clf, X, 0), hidden, rtol=1e-12)
    hidden = np.tanh(hidden @ clf.coefs_[1] + clf.intercepts_[1])
    assert_allclose(layer_outputs(clf, X, 1), hidden, rtol=1e-12)
    assert_allclose(layer_outputs(clf, X, -1), hidden @ clf.coefs_[2] + clf.intercepts_[2], rtol=1e-12)
    of_sparse = layer_outputs(clf, sparse.csr_matrix(X), 1)
    assert_allclose(of_sparse, hidden, rtol=1e-12)


def test_outputs_of_convolutions():
    X, y = images(6, 6)
    clf = small(CNNClassifier, (4,), rescale=False, hidden_layer_sizes=(3,)).fit(X, y)
    found = layer_outputs(clf, X, 1)
    filters = convolution_filters(clf)
    assert (found.shape, filters.shape) == ((24, 6, 6, 4), (3, 3, 1, 4))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(X, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
    expected = np.tanh(np.einsum("nyxij,ijf->nyxf", windows, filters[:, :, 0]) + clf.intercepts_[0])
    assert_allclose(found, expected, rtol=1e-10)
    assert_array_equal(layer_outputs(clf, X), found)
    pooled = layer_outputs(clf, X, 2)
    assert_array_equal(pooled, expected_pools(found))
    assert_array_equal(layer_outputs(clf, X, 3), pooled.reshape(24, -1))


def expected_pools(values):
    n_images, height, width, n_channels = values.shape
    return values.reshape(n_images, height // 2, 2, width // 2, 2, n_channels).max(axis=(2, 4))


def test_outputs_of_sequences():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, 5, 2))
    clf = GRUClassifier((4,), pooling="mean", max_iter=3, random_state=0).fit(X, rng.integers(0, 3, 10))
    states = layer_outputs(clf, X, 1)
    assert states.shape == (10, 5, 4)
    assert_allclose(layer_outputs(clf, X, 2), states.mean(axis=1), rtol=1e-12)
    assert_array_equal(layer_outputs(clf, X[:, :3], 1), states[:, :3])


def test_filters_of_layers():
    X, y = images(6, 6, 3)
    clf = small(CNNClassifier, (4, 5), residual=True).fit(X, y)
    first = convolution_filters(clf)
    assert_array_equal(first, clf.coefs_[0].reshape(3, 3, 3, 4))
    second = convolution_filters(clf, 5)
    assert second.shape == (3, 3, 4, 5)
    first[:] = 0  # a copy
    assert convolution_filters(clf).any()


def test_layers_that_are_refused():
    X, y = images(6, 6)
    clf = small(CNNClassifier, (4,)).fit(X, y)
    for layer in (9, -9):
        with pytest.raises(ValueError, match=r"layer must be from -7 to 6, got .*\. There are 0: Standardize\(\), 1:"):
            layer_outputs(clf, X, layer)
    for layer in (1.0, "conv", True):
        with pytest.raises(TypeError, match="layer must be an integer"):
            layer_outputs(clf, X, layer)
    for layer in (0, 1):
        with pytest.raises(ValueError, match="comes before all that learn: give the number of a later one"):
            layer_outputs(clf, X, layer)
    with pytest.raises(ValueError, match=r"Layer 5, Dense.* has no convolution over images"):
        convolution_filters(clf, -2)
    X, y = rows()
    clf = small(MLPClassifier, (4,)).fit(X, y)
    with pytest.raises(ValueError, match="This network has no convolution over images"):
        convolution_filters(clf)


def test_groups_of_convolutions():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 36))
    layers = [
        Reshape((3, 3, 4)),
        Conv2D(4, 2, groups="depthwise"),
        Conv2D(4, 2, groups=2, activation="tanh"),
        Flatten(),
    ]
    reg = NetworkRegressor(layers, max_iter=2, random_state=0).fit(X, X[:, 0])
    assert_close(saliency(reg, X[:3]), differences(reg.predict, X[:3]))
    assert convolution_filters(reg).shape == (2, 2, 1, 4)
    assert convolution_filters(reg, 2).shape == (2, 2, 2, 4)
