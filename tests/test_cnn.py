"""Convolutional networks for images: what they read and refuse, their layers, and the tools that they go through."""

import copy
import pickle

import numpy as np
import pytest
from networks import assert_right_gradient
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from test_api import Watch
from test_warmup import forget_kernels, ready

import skneural
from skneural import CNNClassifier, CNNRegressor
from skneural.backends.cpu import buffers
from skneural.backends.inputs import Sequences
from skneural.callbacks import Checkpoint
from skneural.estimators import _images
from skneural.estimators._parameters import predictor_of
from skneural.layers import Activation, Conv2D, Dense, Flatten, Reshape, Residual
from skneural.network.initializers import initialize
from skneural.network.program import lower

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {
    "filters": (3, 4), "hidden_layer_sizes": 5, "max_iter": 3, "random_state": 0, "batch_size": 16,
    "learning_rate_init": 0.01,
}  # fmt: skip
HEIGHT, WIDTH, CHANNELS = 5, 6, 2
NAN = np.nan


def images(kind="classifier", n_images=40, shape=(HEIGHT, WIDTH, CHANNELS), dtype="float64"):
    """Images, and targets that depend on them."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_images, *shape)).astype(dtype)
    y = X.reshape(n_images, -1)[:, ::3].sum(axis=1)
    return X, np.where(y > 0, "light", "dark") if kind == "classifier" else y


def small(kind="classifier", **settings):
    """A small estimator, not fitted."""
    cls = CNNClassifier if kind == "classifier" else CNNRegressor
    return cls(**{**SMALL, **settings})


def outputs(est, X):
    """Predictions, of classifiers probabilities."""
    return est.predict_proba(X) if is_classifier(est) else est.predict(X)


def assert_same_fit(a, b):
    """Two estimators have the same weights, came to them by the same losses, and say the same of their images."""
    assert a._params.dtype == b._params.dtype
    assert_array_equal(a._params, b._params)
    assert a.loss_curve_ == b.loss_curve_
    assert a.image_shape_ == b.image_shape_
    assert a.n_features_in_ == b.n_features_in_


def layers_of(est):
    """Names and output shapes of the layers of a fitted network."""
    return [(row.layer, row.shape) for row in est.summary().rows]


# -- one image in many forms -------------------------------------------------------------------------------------------


def channels_first(X):
    return np.ascontiguousarray(np.moveaxis(X, 3, 1))


def rows_of_pixels(X):
    return X.reshape(len(X), -1)


def rows_of_channels(X):
    return rows_of_pixels(channels_first(X))


def gaps(X):
    return np.repeat(np.repeat(X, 2, axis=1), 3, axis=2)[:, ::2, 1::3]


def backwards(X):
    return X[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]


def cut_out(X):
    return np.pad(X, [(0, 0), (1, 2), (3, 1), (0, 0)])[:, 1:-2, 3:-1]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def field_of_records(X):
    records = np.zeros(X.shape, [("number", "i2"), ("x", X.dtype)])
    records["x"] = X
    return records["x"]


def column_of_images(X):
    column = np.empty(len(X), object)
    column[:] = list(X)
    return column


FIRST = {"input_format": "channels_first"}
SHAPE = {"image_shape": (HEIGHT, WIDTH, CHANNELS)}
FORMS = {
    "channels first": (channels_first, FIRST),
    "rows": (rows_of_pixels, SHAPE),
    "rows, channels first": (rows_of_channels, {**FIRST, "image_shape": [CHANNELS, HEIGHT, WIDTH]}),
    "shape given twice": (np.copy, {"image_shape": np.array([HEIGHT, WIDTH, CHANNELS])}),
    "Fortran order": (np.asfortranarray, {}),
    "gaps": (gaps, {}),
    "backwards": (backwards, {}),
    "cut out": (cut_out, {}),
    "read-only": (read_only, {}),
    "records": (field_of_records, {}),
    "list": (list, {}),
    "tuple of lists": (lambda X: tuple(X.tolist()), {}),
    "list of rows": (lambda X: list(rows_of_pixels(X)), SHAPE),
    "column of images": (column_of_images, {}),
    "objects": (lambda X: X.astype(object), {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_form_changes_no_bit(form):
    change, settings = FORMS[form]
    X, y = images()
    expected = small().fit(X, y)
    est = small(**settings).fit(change(X), y)
    assert_same_fit(est, expected)
    assert est.image_shape_ == (HEIGHT, WIDTH, CHANNELS)
    assert est.n_features_in_ == HEIGHT * WIDTH * CHANNELS
    assert_array_equal(outputs(est, change(X)), outputs(expected, X))
    assert_array_equal(outputs(est, change(X)[:1]), outputs(expected, X)[:1])
    assert_array_equal(outputs(est, rows_of_channels(X) if est.input_format != "channels_last" else rows_of_pixels(X)),
                       outputs(expected, X))  # fmt: skip


@pytest.mark.parametrize("form", ["grey", "channels first", "one channel", "rows"])
def test_images_of_one_channel(form):
    X, y = images(shape=(6, 6))
    expected = small().fit(X, y)
    assert expected.image_shape_ == (6, 6, 1)
    given = {"one channel": X[..., None], "rows": X.reshape(40, 36)}.get(form, X)
    est = small(**(FIRST if form == "channels first" else {})).fit(given, y)
    assert_same_fit(est, expected)
    assert_array_equal(outputs(est, X), outputs(expected, X))


@pytest.mark.parametrize(
    ("n_features", "settings", "shape"),
    [
        (16, {}, (4, 4, 1)), (12, {}, (1, 12, 1)), (1, {}, (1, 1, 1)), (12, {"image_shape": (3, 4)}, (3, 4, 1)),
        (12, {"image_shape": (2, 2, 3)}, (2, 2, 3)), (12, {"image_shape": (3, 2, 2), **FIRST}, (2, 2, 3)),
    ],
)  # fmt: skip
def test_what_rows_are(n_features, settings, shape):
    X, y = images(shape=(n_features,))
    est = small(**settings).fit(X, y)
    assert est.image_shape_ == shape
    assert est.n_features_in_ == n_features
    assert est.predict(X).shape == (40,)


def test_frames():
    pandas = pytest.importorskip("pandas")
    X, y = images(shape=(9,))
    frame = pandas.DataFrame(X, columns=[f"pixel{i}" for i in range(9)])
    est = small().fit(frame, y)
    assert_same_fit(est, small().fit(X, y))
    assert list(est.feature_names_in_) == list(frame.columns)
    assert_array_equal(est.predict(frame), est.predict(X.reshape(40, 3, 3)))
    column = pandas.Series(list(X.reshape(40, 3, 3)))
    assert_same_fit(small().fit(column, y), est)
    assert not hasattr(est.fit(X.reshape(40, 3, 3), y), "feature_names_in_")


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_memory_mapped_images(dtype, tmp_path):
    X, y = images()
    X = (X * 40 + 128).clip(0, 255).astype(dtype)
    np.save(tmp_path / "images.npy", X)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    est = small().fit(mapped, y)
    assert_same_fit(est, small().fit(X, y))
    assert_array_equal(outputs(est, mapped), outputs(est, X))
    assert_same_fit(small().fit(list(mapped), y), est)


@pytest.mark.parametrize("layout", [np.copy, channels_first])
def test_images_of_floats_are_read_where_they_are(layout):
    X, y = images()
    est = small(**(FIRST if layout is channels_first else {})).fit(layout(X), y)
    given = layout(X)
    assert np.shares_memory(est._reader.validate_prediction(est, given), given)
    assert np.shares_memory(est._reader.validate(est, given, y, reset=True)[0], given)


DTYPES = {
    "uint8": "float32", "int8": "float32", "uint16": "float32", "bool": "float32", "float16": "float32",
    "float32": "float32", "int32": "float64", "int64": "float64", "float64": "float64", ">f8": "float64",
}  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_types_of_numbers(dtype):
    X, y = images()
    X = (X * 20 + 60).clip(0, 127).astype(dtype)
    est = small().fit(X, y)
    assert est._params.dtype == DTYPES[dtype]
    assert_same_fit(est, small().fit(X.astype(DTYPES[dtype]), y))
    assert_array_equal(outputs(est, X), outputs(est, X.astype(DTYPES[dtype])))
    assert small(dtype="float64").fit(X, y)._params.dtype == np.float64
    assert small(dtype="float32").fit(X, y)._params.dtype == np.float32


# -- scale -------------------------------------------------------------------------------------------------------------


def test_channels_are_scaled_by_the_training_images():
    X, y = images()
    X = X * [3.0, 0.1] + [100.0, -1.0]
    weights = np.linspace(0, 2, 40)
    est = small().fit(X, y, weights)
    mean = np.average(X.mean(axis=(1, 2)), axis=0, weights=weights)
    variance = np.average(((X - mean) ** 2).mean(axis=(1, 2)), axis=0, weights=weights)
    assert_allclose(est.norms_[0]["mean"], mean, rtol=1e-12)
    assert_allclose(est.norms_[0]["deviation"], np.sqrt(variance), rtol=1e-12)
    assert len(small(rescale=False).fit(X, y).norms_) == 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_range_of_pixels_does_not_matter(dtype):
    X, y = images()
    X = (X * 40 + 128).clip(0, 255).astype(np.uint8)
    factor = 256 if dtype == "uint16" else 1
    est = small().fit(X.astype(dtype) * factor, y)
    expected = small().fit(X.astype("float32") / 256, y)  # powers of 2 change no bit
    assert_array_equal(outputs(est, X.astype(dtype) * factor), outputs(expected, X.astype("float32") / 256))
    est = small(rescale=False).fit(X, y)
    assert_same_fit(est, small(rescale=False).fit(X.astype("float32"), y))


def test_a_constant_channel():
    X, y = images()
    X[..., 1] = 7.0
    est = small().fit(X, y)
    assert_array_equal(est.norms_[0]["deviation"][1:], [1.0])
    assert np.isfinite(outputs(est, X)).all()


@pytest.mark.parametrize("n_channels", [1, 3])
def test_scale_has_the_same_bits_for_any_layout_and_block(n_channels, monkeypatch):
    X = np.random.default_rng(0).normal(size=(9, 700, n_channels)).astype("float32")
    expected = _images.statistics(Sequences(X, None), None)
    other = np.ascontiguousarray(X.swapaxes(0, 2)).swapaxes(0, 2)
    for block in (1, 5000, 1 << 20):
        monkeypatch.setattr(_images, "CACHED", block)
        assert_array_equal(_images.statistics(Sequences(other, None), None), expected)


def test_pixels_too_large_to_be_scaled():
    X, y = images()
    with pytest.raises(ValueError, match=r"too large to be standardized: those of channel 0 .* set rescale=False"):
        small().fit(X * 1e200, y)
    assert np.isfinite(small(rescale=False).fit(X * 1e20, y).predict_proba(X)).all()


# -- layers ------------------------------------------------------------------------------------------------------------


def test_layers_by_default():
    X, y = images(shape=(8, 8))
    est = CNNClassifier(max_iter=1, random_state=0).fit(X, y)
    assert layers_of(est) == [
        ("input", "(n, 64, 1)"), ("standardize", "(n, 64, 1)"), ("reshape", "(n, 8, 8, 1)"),
        ("conv2d", "(n, 8, 8, 32)"), ("maxpool2d", "(n, 4, 4, 32)"), ("conv2d", "(n, 4, 4, 64)"),
        ("maxpool2d", "(n, 2, 2, 64)"), ("flatten", "(n, 256)"), ("dense", "(n, 100)"), ("dense", "(n, 1)"),
    ]  # fmt: skip
    assert [coef.shape for coef in est.coefs_] == [(9, 32), (288, 64), (256, 100), (100, 1)]
    assert [bias.shape for bias in est.intercepts_] == [(32,), (64,), (100,), (1,)]
    assert est.n_layers_ == 5
    assert "kernel_size=(3, 3), padding=same, relu" in str(est.summary())


def test_layers_of_every_setting():
    X, y = images(shape=(9, 8, 2))
    est = small(
        convs_per_block=2, kernel_size=(3, 2), pool_size=(1, 2), activation="tanh", normalization="layer",
        dropout=(0.1, 0.0, 0.2, 0.3), global_pooling="max", hidden_layer_sizes=(5, 6), residual=True, input_noise=0.1,
    ).fit(X, y)  # fmt: skip
    assert [row.layer for row in est.summary().rows] == [
        "input", "standardize", "reshape", "noise", "residual", "  conv2d", "  conv2d", "  conv2d", "activation",
        "maxpool2d", "dropout", "residual", "  conv2d", "  conv2d", "  conv2d", "activation", "maxpool2d", "globalpool",
        "dense", "dropout", "dense", "dropout", "dense",
    ]  # fmt: skip
    assert [coef.shape for coef in est.coefs_] == [
        (12, 3), (18, 3), (2, 3), (18, 4), (24, 4), (3, 4), (4, 5), (5, 6), (6, 1),
    ]  # fmt: skip
    assert np.isfinite(outputs(est, X)).all()


@pytest.mark.parametrize("residual", [False, True])
def test_normalisation_after_activations(residual):
    X, y = images()
    est = small(convs_per_block=2, normalization="batch_after", residual=residual, pool_size=None).fit(X, y)
    block = ["conv2d", "batchnorm", "conv2d", "batchnorm"]
    if residual:
        block = ["residual", "  conv2d", "  batchnorm", "  conv2d", "  conv2d", "activation", "batchnorm"]
    layers = ["input", "standardize", "reshape", *block, *block, "flatten", "dense", "batchnorm", "dense"]
    assert [row.layer for row in est.summary().rows] == layers
    assert set(est.norms_[1]) == {"scale", "shift", "mean", "variance"}
    assert_array_equal(small(**est.get_params()).set_params(n_jobs=2).fit(X, y)._params, est._params)


def test_a_shortcut_without_weights_where_the_channels_stay():
    X, y = images()
    est = small(filters=(CHANNELS, CHANNELS, 3), residual=True, pool_size=None).fit(X, y)
    assert [coef.shape for coef in est.coefs_][:4] == [(18, 2), (18, 2), (18, 3), (2, 3)]


def test_windows_without_padding_make_images_smaller():
    X, y = images(shape=(9, 8, 2))
    est = small(padding="valid", pool_size=None, kernel_size=(2, 3)).fit(X, y)
    assert [shape for name, shape in layers_of(est) if name == "conv2d"] == ["(n, 8, 6, 3)", "(n, 7, 4, 4)"]


@pytest.mark.parametrize(
    ("shape", "settings", "left"),
    [
        ((1, 8, 1), {}, (1, 2)), ((8, 1, 1), {}, (2, 1)), ((2, 2, 1), {"filters": (2, 2, 2)}, (1, 1)),
        ((5, 7, 1), {}, (1, 1)), ((9, 9, 1), {"pool_size": (3, 1)}, (1, 9)), ((6, 6, 1), {"pool_size": 1}, (6, 6)),
    ],
)  # fmt: skip
def test_pooling_as_far_as_there_are_pixels(shape, settings, left):
    X, y = images(shape=shape)
    est = small(**settings).fit(X, y)
    n_rows = dict(layers_of(est))["flatten"]
    assert n_rows == f"(n, {left[0] * left[1] * est.coefs_[-3].shape[1]})"


def test_a_network_of_convolutions_is_what_its_layers_compute():
    """By hand: one filter of one pixel, nothing else."""
    X, y = images("regressor", shape=(2, 2))
    est = small("regressor", filters=1, kernel_size=1, pool_size=None, hidden_layer_sizes=(), rescale=False).fit(X, y)
    hidden = np.maximum(X.reshape(40, 4) * est.coefs_[0][0, 0] + est.intercepts_[0], 0)
    assert_allclose(est.predict(X), (hidden @ est.coefs_[1] + est.intercepts_[1])[:, 0], rtol=1e-10)


def test_gradient_through_shortcuts_with_weights():
    inside = (Conv2D(4, activation="tanh"), Conv2D(4))
    layers = (
        Reshape((3, 4, 2)), Conv2D(3, activation="tanh"), Residual(inside, (Conv2D(4, 1),)), Activation("tanh"),
        Residual(inside), Flatten(), Dense(2),
    )  # fmt: skip
    program = lower(layers, 2, dtype=np.float64, loss="squared_error", n_timesteps=12)
    rng = np.random.default_rng(0)
    X = Sequences(rng.normal(size=(5, 12, 2)), None)
    weights = rng.uniform(0.5, 2, 5)
    assert_right_gradient(program, initialize(program, 1), X, rng.normal(size=(5, 2)), weights)


# -- fits --------------------------------------------------------------------------------------------------------------


def test_digits():
    X, y = load_digits(return_X_y=True)
    X = X.reshape(-1, 8, 8).astype(np.uint8)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    est = CNNClassifier(batch_size=32, max_iter=15, random_state=0).fit(X_train, y_train)
    assert est.score(X_test, y_test) >= 0.97


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize(
    "settings",
    [
        {}, {"residual": True, "dropout": 0.2, "convs_per_block": 2}, {"normalization": "batch", "dtype": "float32"},
        {"solver": "lbfgs"},
    ],
)  # fmt: skip
def test_same_bits_for_any_number_of_threads_and_batch(kind, settings):
    X, y = images(kind)
    est = small(kind, n_jobs=1, **settings).fit(X, y)
    other = small(kind, n_jobs=2, **settings).fit(X, y)
    assert_same_fit(other, est)
    expected = outputs(est, X)
    assert_array_equal(outputs(other, X), expected)
    assert_array_equal(np.concatenate([outputs(est, X[i : i + 7]) for i in range(0, 40, 7)]), expected)


@pytest.mark.parametrize("settings", [{"normalization": "batch", "residual": True}, {"global_pooling": "mean"}])
def test_it_learns(settings):
    X, y = images("regressor", 120)
    assert small("regressor", **{**settings, "filters": (8, 8)}, max_iter=150).fit(X, y).score(X, y) > 0.9


def test_targets_of_several_kinds():
    X, _ = images()
    rng = np.random.default_rng(0)
    assert small("regressor").fit(X, rng.normal(size=(40, 3))).predict(X).shape == (40, 3)
    assert small("regressor", loss="poisson").fit(X, rng.poisson(2, 40)).predict(X).shape == (40,)
    assert small().fit(X, np.arange(40) % 4).predict_proba(X).shape == (40, 4)
    indicators = rng.integers(0, 2, (40, 3))
    assert small().fit(X, indicators).predict(X).shape == (40, 3)
    assert_same_fit(small().fit(X, sparse.csr_array(indicators)), small().fit(X, indicators))


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_partial_fit(kind):
    X, y = images(kind)
    classes = {"classes": np.unique(y)} if kind == "classifier" else {}
    est = small(kind, shuffle=False).partial_fit(X, y, **classes)
    assert_same_fit(est, small(kind, shuffle=False, max_iter=1).fit(X, y))
    for _ in range(2):
        est.partial_fit(rows_of_pixels(X), y)
    assert_same_fit(est, small(kind, shuffle=False).fit(X, y))
    with pytest.raises(ValueError, match=r"is expecting images of shape \(5, 6, 2\), as in fit"):
        est.partial_fit(X[:, :4], y)
    with pytest.raises(ValueError, match=r"is expecting 60 features as input"):
        est.partial_fit(rows_of_pixels(X)[:, :50], y)


@pytest.mark.parametrize("form", ["images", "rows", "channels first", "grey"])
@pytest.mark.parametrize("scoring", [None, "accuracy", "loss"])
def test_early_stopping(form, scoring):
    shape = (HEIGHT, WIDTH) if form == "grey" else (HEIGHT, WIDTH, CHANNELS)
    X, y = images(n_images=80, shape=shape)
    given = {"rows": rows_of_pixels, "channels first": channels_first}.get(form, np.copy)(X)
    settings = {"rows": SHAPE, "channels first": FIRST}.get(form, {})
    est = small(early_stopping=True, validation_fraction=0.25, max_iter=40, scoring=scoring, **settings).fit(given, y)
    assert len(est.validation_scores_) == est.n_iter_
    expected = small(early_stopping=True, validation_fraction=0.25, max_iter=40, scoring=scoring).fit(X, y)
    assert_same_fit(est, expected)
    assert est.validation_scores_ == expected.validation_scores_


def test_scorers_get_images_as_they_were_given():
    seen = []

    def scorer(est, X, y):
        seen.append(X)
        return accuracy_score(y, est.predict(X))

    X, y = images()
    for given, settings in ((X, {}), (rows_of_pixels(X), SHAPE), (channels_first(X), FIRST), (X[..., 0], {})):
        small(scoring=scorer, max_iter=1, **settings).fit(given, y, X_val=given[:9], y_val=y[:9])
        assert_array_equal(seen[-1], given[:9])


def test_validation_data():
    X, y = images(n_images=80)
    est = small(max_iter=20).fit(X[:60], y[:60], X_val=rows_of_pixels(X[60:]), y_val=y[60:])
    assert est.best_validation_score_ == est.score(X[60:], y[60:])
    with pytest.raises(ValueError, match=r"X has images of shape \(6, 5, 2\)"):
        est.fit(X[:60], y[:60], X_val=X[60:].swapaxes(1, 2), y_val=y[60:])


@pytest.mark.parametrize("change", [{"filters": (3, 5)}, {"kernel_size": 2}, {"pool_size": None}, {"rescale": False}])
def test_a_network_of_other_shape_cannot_go_on(change):
    X, y = images()
    est = small(warm_start=True).fit(X, y)
    assert_array_equal(outputs(copy.deepcopy(est).set_params(learning_rate_init=1e-300).fit(X, y), X), outputs(est, X))
    with pytest.raises(
        ValueError, match=f"The weights of the previous fit do not fit .* the same .*{next(iter(change))}"
    ):
        est.set_params(**change).fit(X, y)


# -- copies, files and tools -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize("form", ["images", "rows"])
def test_copies_and_files(kind, form, tmp_path):
    X, y = images(kind)
    given, settings = (rows_of_pixels(X), SHAPE) if form == "rows" else (X, {})
    est = small(kind, residual=True, normalization="batch", dropout=0.1, **settings).fit(given, y)
    skneural.save(est, tmp_path / "model.skn")
    copies = [copy.deepcopy(est), pickle.loads(pickle.dumps(est)), skneural.load(tmp_path / "model.skn")]
    skneural.save(est, tmp_path / "model.skn", for_serving=True)
    copies.append(skneural.load(tmp_path / "model.skn"))
    for same in copies:
        assert same.get_params() == est.get_params()
        assert same.image_shape_ == est.image_shape_
        assert_array_equal(outputs(same, given), outputs(est, given))
        assert_array_equal(outputs(same, X), outputs(est, X))
        with pytest.raises(ValueError, match="is expecting images of shape"):
            same.predict(X[:, 1:])
    expected = copy.deepcopy(est).partial_fit(X, y)
    for same in copies[:3]:
        assert_same_fit(same.partial_fit(X, y), expected)
    fresh = clone(est)
    with pytest.raises(NotFittedError):
        fresh.predict(X)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_shape_": (6, 5, 1)}, "image_shape_ is"), ({"image_shape_": [5, 6, 2]}, "image_shape_ is"),
        ({"image_shape_": (5, 6)}, "image_shape_ is"), ({"image_shape_": (5, -6, 2)}, "image_shape_ is"),
        ({"image_shape_": (5, 12, 1)}, "image_shape_ is"), ({"image_shape_": None}, "image_shape_ is"),
        ({"n_features_in_": 2}, "n_features_in_ is 2, of the network 60"), ({"_n_axes": 5}, "cannot have had 5 axes"),
        ({"_n_axes": None}, "cannot have had None axes"),
    ],
)  # fmt: skip
def test_states_that_contradict_themselves_are_refused(change, words):
    X, y = images()
    est = small().fit(X, y)
    state = {**est.__getstate__(), **change}
    with pytest.raises(ValueError, match=words):
        CNNClassifier().__setstate__(state)


def test_a_fit_goes_on_from_a_checkpoint(tmp_path):
    class Stopped(Exception):
        pass

    def fail():
        raise Stopped

    X, y = images()
    whole = small(max_iter=6, dropout=0.2).fit(X, y)
    est = small(max_iter=6, dropout=0.2).set_callbacks(Checkpoint(tmp_path / "fit.skn", 1), Watch(3, fail))
    with pytest.raises(Stopped):
        est.fit(X, y)
    resumed = small(max_iter=6, dropout=0.2).fit(channels_last_view(X), y, resume_from=tmp_path / "fit.skn")
    assert_same_fit(resumed, whole)


def channels_last_view(X):
    return np.moveaxis(channels_first(X), 1, 3)


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_searches(kind):
    X, y = images(kind, 60)
    grid = {"filters": [2, (3, 2)], "pool_size": [None, 2]}
    search = GridSearchCV(small(kind), grid, cv=KFold(3), error_score="raise").fit(X, y)
    assert_same_fit(search.best_estimator_, small(kind, **search.best_params_).fit(X, y))
    assert search.score(X, y) == small(kind, **search.best_params_).fit(X, y).score(X, y)
    expected = cross_val_score(small(kind), X, y, cv=KFold(3))
    assert_array_equal(cross_val_score(small(kind), list(X), y, cv=KFold(3)), expected)
    grid = {"filters": np.arange(2, 4), "kernel_size": np.array([1, 3], np.int8), "convs_per_block": [np.uint8(2)]}
    search = GridSearchCV(small(kind), grid, cv=2, error_score="raise").fit(X, y)
    plain = {name: int(value) for name, value in search.best_params_.items()}
    assert_same_fit(search.best_estimator_, small(kind, **plain).fit(X, y))


def test_pipelines():
    X, y = images(shape=(36,))
    pipe = make_pipeline(StandardScaler(), small(rescale=False)).fit(X, y)
    assert_same_fit(pipe[-1], small(rescale=False).fit(pipe[0].transform(X), y))
    halved = make_pipeline(FunctionTransformer(np.sqrt), small()).fit(np.abs(X).reshape(40, 6, 6), y)
    assert_same_fit(halved[-1], small().fit(np.sqrt(np.abs(X)).reshape(40, 6, 6), y))


SETTINGS = [
    {},
    {"padding": "valid", "kernel_size": 2, "residual": False, "rescale": False, "global_pooling": "mean"},
    {"residual": True, "normalization": "batch", "dropout": 0.1, "input_noise": 0.1, "image_shape": (8, 8, 2)},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_after_a_warmup_nothing_is_loaded(settings, monkeypatch):
    X, y = images(shape=(8, 8, 2))
    est = small(**settings)
    forget_kernels(monkeypatch)
    before = pickle.dumps(est)
    skneural.warmup(est, dtypes=["float64"])
    assert pickle.dumps(est) == before
    loaded = ready()
    est.fit(X, y).predict(X)
    assert ready() == loaded
    forget_kernels(monkeypatch)
    est = pickle.loads(pickle.dumps(est))
    skneural.warmup(est)
    loaded = ready()
    est.predict(X[:1])
    assert ready() == loaded
    assert predictor_of(est, training=False, n_timesteps=64)[0].program.n_timesteps == 64


# -- what is refused ---------------------------------------------------------------------------------------------------


def changed(X, *place, value=NAN):
    X = X.copy()
    X[place] = value
    return X


LONG = images()[0]
REFUSED = {
    "NaN": (
        changed(LONG, 3, 2, 4, 1),
        "Input X contains NaN: first in image 3, row 2, column 4, channel 1. Every pixel must be a finite number",
    ),
    "infinity": (
        changed(LONG, 7, 0, 5, 0, value=-np.inf),
        r"infinity or a value too large for dtype\('float64'\): first in image 7, row 0, column 5, channel 0",
    ),
    "objects": (changed(LONG.astype(object), 0, 0, 0, 0, value="a"), "could not convert string to float: 'a'"),
    "text": (LONG.astype(str), "dtype='numeric' is not compatible with arrays of bytes/strings"),
    "complex numbers": (LONG * 1j, "Complex data not supported: X must hold real numbers, got complex128"),
    "complex numbers in lists": (list(LONG * 1j), "Complex data not supported: X must hold real numbers"),
    "dates": (LONG.astype("M8[s]"), r"X must hold real numbers, got datetime64\[s\]"),
    "names of files": (["a.png"] * 40, "X must hold images, not names of files, as 'a.png': read them beforehand"),
    "a dict": ({}, "Expected images as an array or a list of arrays, got dict"),
    "images of two sizes": (
        [*LONG[:4], LONG[4, 1:], *LONG[5:8], LONG[8, :, 2:]],
        r"Image 4 has shape \(4, 6, 2\), image 0 has \(5, 6, 2\): all images must be of one shape",
    ),
    "images in lists, of two sizes": (
        [LONG[0].tolist(), LONG[1, :, 1:].tolist()], r"Image 1 has shape \(5, 5, 2\), image 0 has \(5, 6, 2\)",
    ),
    "a number among images": ([LONG[0], 3.0], r"Image 1 has shape \(\), image 0 has"),
    "an image that is none": ([LONG[0], [[1.0], [1.0, 2.0]]], "got something that is no array as image 1"),
    "five axes": (LONG[None], "got an array with 5 dimensions"),
    "one axis": (LONG[0, 0, 0], "Expected 2D array, got 1D array instead"),
    "a number": (3.0, "Expected 2D array, got scalar array instead"),
    "no images": (LONG[:0], r"0 sample\(s\) \(shape=\(0, 5, 6, 2\)\) while a minimum of 1 is required"),
    "no pixels": (LONG[:, :0], r"0 pixel\(s\) or channel\(s\) \(shape=\(40, 0, 6, 2\)\) while a minimum of 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_data_that_is_refused_leaves_the_model_whole(case):
    X, words = REFUSED[case]
    y = images()[1]
    est = small().fit(LONG, y)
    before, expected = dict(vars(est)), est.predict(LONG)
    targets = y[: np.shape(X)[0] if isinstance(X, np.ndarray) else 2]
    if isinstance(X, list):
        targets = y[: len(X)]
    for attempt in (est.fit, est.partial_fit, lambda X, y: est.set_params(warm_start=True).fit(X, y)):
        with pytest.raises(ValueError, match=words):
            attempt(X, targets)
    with pytest.raises(ValueError, match=words):
        est.predict(X)
    with pytest.raises(ValueError, match=words):
        est.fit(LONG, y, X_val=X, y_val=targets)
    est.set_params(warm_start=False)
    assert dict(vars(est)) == before  # the very same objects
    assert_array_equal(est.predict(LONG), expected)
    fresh = small()
    with pytest.raises(ValueError, match=words):
        fresh.fit(X, targets)
    assert not [name for name in vars(fresh) if name.endswith("_") or name.startswith("_")]


def test_numbers_too_large_for_float32():
    X, y = images()
    est = small(dtype="float32").fit(X, y)
    words = r"value too large for dtype\('float32'\): first in image 2, row 0, column 0, channel 1"
    for call in (est.predict, lambda X: est.fit(X, y)):
        with pytest.raises(ValueError, match=words):
            call(changed(X, 2, 0, 0, 1, value=1e39))


def test_images_of_another_shape_than_in_fit():
    X, y = images()
    est = small().fit(X, y)
    expecting = (
        r", but CNNClassifier is expecting images of shape \(5, 6, 2\), as in fit: \(height, width, n_channels\)\."
    )
    for given, found in ((X[:, :4], (4, 6, 2)), (X[..., :1], (5, 6, 1)), (X[..., 0], (5, 6, 1))):
        found = str(found).replace("(", r"\(").replace(")", r"\)")
        with pytest.raises(ValueError, match=f"X has images of shape {found}{expecting}"):
            est.predict(given)
    with pytest.raises(ValueError, match=r"One image is X\[None\]"):
        est.predict(X[0])
    with pytest.raises(ValueError, match="X has 59 features, but CNNClassifier is expecting 60 features as input"):
        est.predict(rows_of_pixels(X)[:, 1:])
    with pytest.raises(ValueError, match=r"got shape \(5, 6\): one image is X\[None\]"):
        small().fit(X[..., 0], y).predict(X[0, :, :, 0])
    first = small(input_format="channels_first").fit(channels_first(X), y)
    with pytest.raises(ValueError, match=r"One image is X\[None\]"):
        first.predict(channels_first(X)[0])
    assert est.fit(X[:, :4], y).image_shape_ == (4, 6, 2)


def test_sparse_data_is_refused():
    X, y = images(shape=(9,))
    est = small().fit(X, y)
    for call in (est.predict, lambda X: est.fit(X, y)):
        with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required"):
            call(sparse.csr_array(X))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"filters": ()}, "filters must name at least one block, got none"),
        ({"filters": (3, 0)}, r"filters must be > 0, got \[3, 0\]"),
        ({"filters": [2.5]}, r"filters must be integers, got \[2.5\]"),
        ({"hidden_layer_sizes": (3, -1)}, r"hidden_layer_sizes must be > 0, got \[3, -1\]"),
        ({"kernel_size": (3,)}, r"kernel_size must be an integer from 1 up, or two of them: .* Got \(3,\)"),
        ({"kernel_size": (3, 0)}, r"kernel_size must be an integer from 1 up, or two of them"),
        ({"pool_size": (2, 2, 2)}, r"pool_size must be an integer from 1 up, or two of them"),
        ({"pool_size": [2.0, 1]}, r"pool_size must be an integer from 1 up, or two of them"),
        ({"pool_size": 3}, r"pool_size=\(3, 3\) is larger than the images in block 2, of 1 x 2 pixels: take"),
        ({"pool_size": (1, 7)}, r"pool_size=\(1, 7\) is larger than the images in block 1, of 5 x 6 pixels"),
        ({"padding": "valid", "kernel_size": 6}, "reads windows of 6 along the height, its input has 5"),
        ({"padding": "valid", "residual": True}, "residual=True needs padding='same', got padding='valid'"),
        ({"dropout": (0.1, 0.2)}, "dropout must be one rate, or one per block and hidden layer: got 2 for 3 layers"),
        ({"dropout": [0.1, 0.2, 1.0]}, r"dropout rates must be in \[0, 1\), got \[0.1, 0.2, 1.0\]"),
        ({"image_shape": (5,)}, r"image_shape must be two or three integers from 1 up: .* Got \(5,\)"),
        ({"image_shape": (5, 0)}, "image_shape must be two or three integers from 1 up"),
        ({"image_shape": (5, 6)}, r"X of shape \(40, 5, 6, 2\) does not hold images of image_shape=\(5, 6\)"),
        ({"solver": "lbfgs", "normalization": "batch"}, "normalization='batch' needs a stochastic solver"),
        ({"solver": "lbfgs", "normalization": "batch_after"}, "normalization='batch_after' needs a stochastic solver"),
        ({"solver": "lbfgs", "dropout": 0.1}, "dropout needs a stochastic solver"),
        ({"batch_size": 1, "normalization": "batch"}, "needs batches of at least two samples"),
    ],
)
def test_settings_that_do_not_go_together(settings, words):
    X, y = images()
    est = small(**settings)
    with pytest.raises(ValueError, match=words):
        est.fit(X, y)
    assert vars(est) == est.get_params()


def test_rows_that_hold_no_image_of_the_shape():
    X, y = images(shape=(12,))
    with pytest.raises(ValueError, match=r"image_shape=\(3, 5\) describes images of 15 numbers, but X has 12 features"):
        small(image_shape=(3, 5)).fit(X, y)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filters", 0), ("filters", "wide"), ("convs_per_block", 0), ("convs_per_block", (1, 2)), ("kernel_size", 0),
        ("kernel_size", 2.5), ("padding", "causal"), ("pool_size", 0), ("global_pooling", "last"), ("activation", "up"),
        ("activation", ["relu", "relu", "relu"]), ("normalization", "group"), ("residual", 1.5), ("rescale", None),
        ("image_shape", 28), ("input_format", "first"), ("dropout", 1.0), ("hidden_layer_sizes", -1),
    ],
)  # fmt: skip
def test_parameters_that_are_refused(name, value):
    X, y = images()
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of CNNClassifier must be"):
        small(**{name: value}).fit(X, y)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"normalization": "batch"},
            "What 40 samples become in .* takes .* GB: take a smaller batch_size or",
        ),
        (
            {"filters": 10**5, "kernel_size": 1, "global_pooling": "mean"},
            "What one sample becomes in .* takes .* GB: take smaller samples or fewer",
        ),
    ],
)
def test_networks_larger_than_the_memory_are_errors(settings, words, monkeypatch):
    monkeypatch.setattr(buffers, "physical_memory", lambda: 1e5 if "normalization" in settings else 4e7)
    X, y = images()
    clf = small(**{"batch_size": 40, "hidden_layer_sizes": (), **settings})
    with pytest.raises(MemoryError, match=words):
        clf.fit(X, y)
    assert not hasattr(clf, "coefs_")
