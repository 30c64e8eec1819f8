"""Convolutional networks for sequences: their layers, the data they read, and the tools that they go through."""

import copy
import pickle

import numpy as np
import pytest
from networks import assert_right_gradient
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from test_api import Watch
from test_recurrent import FORMS, KINDS, NAN, assert_same_fit, outputs, padded, sequences, whole
from test_warmup import forget_kernels, ready

import skneural
from skneural import NetworkClassifier
from skneural.backends.inputs import Sequences
from skneural.callbacks import Checkpoint
from skneural.inspection import timestep_importance
from skneural.layers import (
    Activation,
    BatchNorm,
    Conv1D,
    Dense,
    Dropout,
    GlobalPool,
    LayerNorm,
    Noise,
    Residual,
    Standardize,
)
from skneural.network.initializers import initialize
from skneural.network.program import lower

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FAMILIES = ("FCN", "ResNet")
EACH = pytest.mark.parametrize("family", FAMILIES)
SMALL = {
    "filters": (4, 5), "kernel_sizes": (4, 3), "max_iter": 3, "random_state": 0, "batch_size": 16,
    "learning_rate_init": 0.01,
}  # fmt: skip


def small(kind="regression", family="FCN", **settings):
    """An unfitted estimator for a kind of target, with few filters and epochs."""
    cls = getattr(skneural, family + ("Classifier" if kind in KINDS[:3] else "Regressor"))
    return cls(**{**SMALL, **({"loss": "poisson"} if kind == "poisson" else {}), **settings})


# -- layers ------------------------------------------------------------------------------------------------------------


def convolution(filters, size, activation="relu", **settings):
    return Conv1D(filters, size, **{"activation": activation, "normalization": "batch", **settings})


def test_layers_by_default_are_those_of_the_paper():
    X, y = sequences("multiclass")
    X = X[:, :, :1]
    fcn = skneural.FCNClassifier(max_iter=1).fit(X, y)
    assert list(fcn._program.source.layers) == [
        Standardize(), convolution(128, 8), convolution(256, 5), convolution(128, 3), GlobalPool("mean"), Dense(3),
    ]  # fmt: skip
    resnet = skneural.ResNetClassifier(max_iter=1).fit(X, y)

    def block(filters, *shortcut):
        inside = (convolution(filters, 8), convolution(filters, 5), convolution(filters, 3, None))
        return Residual(inside, shortcut)

    assert list(resnet._program.source.layers) == [
        Standardize(),
        block(64, convolution(64, 1, None)), Activation("relu"),
        block(128, convolution(128, 1, None)), Activation("relu"),
        block(128, BatchNorm()), Activation("relu"),
        GlobalPool("mean"), Dense(3),
    ]  # fmt: skip


def test_layers_of_every_setting():
    settings = {
        "filters": (2, 3), "kernel_sizes": 5, "padding": "causal", "pooling": "last", "hidden_layer_sizes": 4,
        "activation": "tanh", "dropout": (0, 0.2, 0.3), "normalization": "layer", "standardize": False,
        "input_noise": 0.1,
    }  # fmt: skip
    like = {"activation": "tanh", "padding": "causal", "normalization": "layer"}
    assert small(**settings)._hidden_layers() == [
        Noise(0.1), Conv1D(2, 5, **like), Conv1D(3, 5, **like), GlobalPool("last"), Dropout(0.2),
        Dense(4, "tanh", "layer"), Dropout(0.3),
    ]  # fmt: skip
    like["activation"] = None
    projected = [Residual((Conv1D(n, 5, **like),), (Conv1D(n, 1, normalization="layer"),)) for n in (2, 3)]
    assert small(family="ResNet", **settings)._hidden_layers() == [
        Noise(0.1), projected[0], Activation("tanh"), projected[1], Activation("tanh"), GlobalPool("last"),
        Dropout(0.2), Dense(4, "tanh", "layer"), Dropout(0.3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("normalization", "shortcut"), [("batch", (BatchNorm(),)), ("layer", (LayerNorm(),)), (None, ())]
)
def test_a_shortcut_without_weights_where_the_channels_stay(normalization, shortcut):
    X, y = sequences()
    for n_filters in (3, 4):
        est = small(family="ResNet", filters=(n_filters,) * 2, normalization=normalization).fit(X, y)
        first, second = (layer.shortcut for layer in est._program.source.layers if isinstance(layer, Residual))
        assert second == shortcut
        assert first == (shortcut if n_filters == 3 else (Conv1D(4, 1, normalization=normalization),))
        assert np.isfinite(est.predict(X)).all()


@EACH
@pytest.mark.parametrize("ragged", [False, True])
def test_they_are_networks_of_their_layers(family, ragged):
    X, y = sequences("multiclass", ragged=ragged)
    est = small("multiclass", family, dropout=0.1, max_norm=1.0).fit(X, y)
    layers = est._hidden_layers()
    layers[1:2] = est._program.source.layers[1:2]  # whose shortcut is that of as many features as there are
    names = NetworkClassifier().get_params(deep=False).keys() - {"layers"}
    settings = {name: value for name, value in est.get_params().items() if name in names}
    assert_same_fit(NetworkClassifier(layers, **settings).fit(X, y), est)


def windows_of(X, size, padding):
    """Windows of every step, zeros around the sequences: shape (n_samples, n_timesteps, size * n_features)."""
    before = size - 1 if padding == "causal" else (size - 1) // 2
    around = np.pad(X, [(0, 0), (before, size - 1 - before), (0, 0)])
    found = sliding_window_view(around, size, axis=1)
    return found.swapaxes(2, 3).reshape(*X.shape[:2], -1)


class Twin:
    """A fitted residual network, computed by NumPy from its fitted attributes, in the order in which they stand."""

    def __init__(self, est):
        self.est = est
        self.coefs, self.shifts, self.norms = iter(est.coefs_), iter(est.intercepts_), iter(est.norms_)

    def normalized(self, z, shift=None):
        norm = next(self.norms)
        shift = norm["shift"] if shift is None else shift
        return (z - norm["mean"]) / np.sqrt(norm["variance"] + 1e-5) * norm["scale"] + shift

    def convolved(self, x, size):
        return self.normalized(windows_of(x, size, self.est.padding) @ next(self.coefs), next(self.shifts))

    def predict(self, X):
        scale = next(self.norms)
        x = (X - scale["mean"]) / scale["deviation"]
        for n_filters in self.est.filters:
            inside = np.maximum(self.convolved(x, 4), 0)
            inside = self.convolved(inside, 3)
            around = self.normalized(x) if n_filters == x.shape[2] else self.convolved(x, 1)
            x = np.maximum(inside + around, 0)
        pooled = x[:, -1] if self.est.pooling == "last" else getattr(x, self.est.pooling)(axis=1)
        return (pooled @ next(self.coefs) + next(self.shifts))[:, 0]


@pytest.mark.parametrize(("padding", "pooling"), [("same", "mean"), ("same", "max"), ("causal", "last")])
def test_a_residual_network_is_what_its_attributes_say(padding, pooling):
    X, y = sequences(n_timesteps=7)
    est = small(family="ResNet", filters=(4, 5, 5), padding=padding, pooling=pooling, standardize=True, max_iter=20)
    est.fit(X, y)
    twin = Twin(est)
    target = est._target
    assert_allclose(est.predict(X), twin.predict(X) * target.scale + target.center, rtol=1e-9, atol=1e-12)
    for attributes in (twin.coefs, twin.shifts, twin.norms):
        assert list(attributes) == []  # all were used


@pytest.mark.parametrize("normalization", ["batch", "layer", None])
def test_gradient_of_residual_networks(normalization):
    est = small(family="ResNet", activation="tanh", normalization=normalization, standardize=False, padding="causal")
    layers = (*est._hidden_layers(), Dense(2))
    program = lower(layers, 3, dtype=np.float64, loss="squared_error", n_timesteps=5)
    rng = np.random.default_rng(0)
    lengths = np.array([5, 3, 5, 1])
    X = rng.normal(size=(4, 5, 3))
    X[np.arange(5) >= lengths[:, None]] = NAN
    params = initialize(program, 1)
    assert_right_gradient(
        program, params, Sequences(X, lengths), rng.normal(size=(4, 2)), rng.uniform(0.5, 2, 4), n_places=40
    )


def test_causal_networks_see_no_later_step():
    X, y = sequences(n_timesteps=9)
    for family in FAMILIES:
        causal = small(family=family, padding="causal", pooling="last").fit(X, y)
        longer = np.concatenate([X, np.full((len(X), 2, 3), NAN)], axis=1)
        assert_array_equal(causal.predict(longer), causal.predict(X))
        early = X.copy()
        early[:, 0] += 100  # further back than windows of 4 and 3 steps reach, in each of two layers
        reach = 4 + 3 - 2 if family == "FCN" else 2 * (4 + 3 - 2)
        changed = (causal.predict(early) != causal.predict(X)).any()
        assert changed == (reach >= 8)


# -- the same data in other memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_form_and_padding_change_no_bit(form):
    X, y = sequences(ragged=True)
    settings = {"dropout": 0.1, "input_noise": 0.1, "hidden_layer_sizes": 3}
    for family in FAMILIES:
        est = small(family=family, **settings).fit(X, y)
        other = small(family=family, **settings).fit(form(X), y)
        assert_same_fit(other, est)
        assert_array_equal(est.predict(form(X)), est.predict(X))
        assert (other.n_features_in_, other.n_timesteps_in_) == (3, 6)  # padding is no step


@EACH
@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
@pytest.mark.parametrize("padding", ["same", "causal"])
def test_a_sequence_alone_is_predicted_as_in_company(family, pooling, padding):
    X, y = sequences("multiclass", n_samples=50, ragged=True)
    X = X.astype("float32")
    est = small("multiclass", family, pooling=pooling, padding=padding, filters=(19, 5)).fit(X, y)
    expected = est.predict_proba(X)
    assert expected.dtype == np.float32
    assert_array_equal(np.concatenate([est.predict_proba(x[None]) for x in X]), expected)
    assert_array_equal(np.concatenate([est.predict_proba([x]) for x in whole(X)]), expected)
    assert_array_equal(np.concatenate([est.predict_proba(part) for part in np.array_split(padded(X), 7)]), expected)


@EACH
@pytest.mark.parametrize("ragged", [False, True])
def test_threads_change_no_bit(crews, family, ragged):
    X, y = sequences(n_samples=150, ragged=ragged)
    one, *others = [small(family=family, batch_size=64, dropout=0.2, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2, 3)]
    assert set(crews) == {1, 2, 3}
    for est in others:
        assert_same_fit(est, one)
        assert_array_equal(est.predict(X), one.predict(X))


@EACH
def test_channels_first(family):
    X, y = sequences("multiclass", ragged=True)
    est = small("multiclass", family).fit(X, y)
    other = small("multiclass", family, input_format="channels_first")
    for form in (X.swapaxes(1, 2), X.swapaxes(1, 2).tolist(), [x.T for x in whole(X)]):
        assert_same_fit(other.fit(form, y), est)
        assert (other.n_features_in_, other.n_timesteps_in_) == (3, 6)
        assert_array_equal(outputs(other, form), outputs(est, X))


@EACH
def test_rows_are_sequences_of_one_feature(family):
    X, y = sequences()
    rows = X[:, :, 0]
    est = small(family=family).fit(rows[:, :, None], y)
    assert (est.n_features_in_, est.n_timesteps_in_) == (1, 6)
    of_rows = small(family=family).fit(rows, y)
    assert (of_rows.n_features_in_, of_rows.n_timesteps_in_) == (6, 6)  # columns
    assert_same_fit(of_rows, est)
    assert_array_equal(of_rows.predict(rows), est.predict(rows[:, :, None]))
    assert_array_equal(of_rows.predict(rows[:, :4, None]), est.predict(rows[:, :4, None]))
    with pytest.raises(ValueError, match="Expected X with three axes"):
        est.predict(rows)
    with pytest.raises(ValueError, match=f"X has 4 features, but {family}Regressor is expecting 6 features as input"):
        of_rows.predict(rows[:, :4])


def test_columns_of_a_frame_are_steps_with_names():
    pandas = pytest.importorskip("pandas")
    X, y = sequences()
    frame = pandas.DataFrame(X[:, :, 0], columns=list("abcdef"))
    est = small().fit(frame, y)
    assert_array_equal(est.feature_names_in_, list("abcdef"))
    assert_same_fit(est, small().fit(X[:, :, 0], y))
    with pytest.raises(ValueError, match="The feature names should match"):
        est.predict(frame[list("bacdef")])


@EACH
def test_windows_of_a_series_are_read_where_they_are(family):
    series = np.random.default_rng(0).normal(scale=10, size=(100, 2)).astype("float32")
    windows = sliding_window_view(series, 12, axis=0).swapaxes(1, 2)
    y = series[11:, 0].astype(float)
    est = small(family=family).fit(windows.copy(), y)
    assert_same_fit(small(family=family).fit(windows, y), est)
    assert_array_equal(est.predict(windows), est.predict(windows.copy()))
    assert est.predict(windows).dtype == np.float32


@EACH
def test_sequences_of_other_lengths_are_predicted(family):
    X, y = sequences(n_timesteps=5)
    est = small(family=family).fit(X, y)
    longer, _ = sequences(n_timesteps=12, seed=1)
    for n_timesteps in (1, 2, 4, 5, 12):
        part = longer[:, :n_timesteps]
        mixed = est.predict([*part, *longer])
        assert_array_equal(mixed, np.r_[est.predict(part), est.predict(longer)])
    assert est.n_timesteps_in_ == 5


# -- fits --------------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("kind", KINDS)
def test_targets_of_several_kinds(family, kind):
    X, y = sequences(kind, n_samples=120, ragged=True)
    est = small(kind, family, max_iter=80).fit(X, y)
    least = {"multilabel": 0.6, "poisson": 0.3}.get(kind, 0.85)
    assert est.score(X, y) > least
    fresh = clone(est)
    with pytest.raises(NotFittedError):
        fresh.predict(X)


@EACH
def test_predictions_are_in_the_units_of_y(family):
    X, y = sequences(n_samples=120)
    est = small(family=family, max_iter=60).fit(X, y)
    scaled = small(family=family, max_iter=60).fit(X, 1000 * y + 5e4)
    assert_allclose(scaled.predict(X), 1000 * est.predict(X) + 5e4, rtol=1e-6)
    plain = small(family=family, standardize=False).fit(X, y)
    assert_same_fit(small(family=family, standardize=False).fit(X.tolist(), y), plain)
    assert plain._target.scale is None


@pytest.mark.parametrize("normalization", ["layer", None])
@EACH
def test_lbfgs(family, normalization):
    X, y = sequences("binary", n_samples=80)
    est = small("binary", family, solver="lbfgs", normalization=normalization, max_iter=60).fit(X, y)
    assert est.score(X, y) > 0.9


@EACH
def test_partial_fit(family):
    X, y = sequences("multiclass", ragged=True)
    est = small("multiclass", family, shuffle=False).partial_fit(X, y, classes=np.unique(y))
    assert_same_fit(est, small("multiclass", family, shuffle=False, max_iter=1).fit(X, y))
    for _ in range(2):
        est.partial_fit(whole(X), y)
    assert_same_fit(est, small("multiclass", family, shuffle=False).fit(X, y))


@EACH
def test_early_stopping(family):
    X, y = sequences("multiclass", n_samples=80, ragged=True)
    settings = {"early_stopping": True, "validation_fraction": 0.25, "max_iter": 40}
    est = small("multiclass", family, **settings).fit(X, y)
    assert len(est.validation_scores_) == est.n_iter_
    assert_same_fit(small("multiclass", family, **settings).fit(whole(X), y), est)


@EACH
@pytest.mark.parametrize("change", [{"filters": (4, 6)}, {"kernel_sizes": (4, 2)}, {"hidden_layer_sizes": 3}])
def test_a_network_of_other_shape_cannot_go_on(family, change):
    X, y = sequences()
    est = small(family=family, warm_start=True, normalization="layer").fit(X, y)
    still = copy.deepcopy(est).set_params(learning_rate_init=1e-300).fit(X, y)
    assert_array_equal(still.predict(X), est.predict(X))
    with pytest.raises(
        ValueError, match=f"The weights of the previous fit do not fit .* the same .*{next(iter(change))}"
    ):
        est.set_params(**change).fit(X, y)


# -- copies, files and tools -------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("form", ["sequences", "rows"])
def test_copies_and_files(family, kind, form, tmp_path):
    X, y = sequences(kind, ragged=form == "sequences")
    X = X[:, :, 0] if form == "rows" else X
    est = small(kind, family, dropout=0.1).fit(X, y)
    skneural.save(est, tmp_path / "model.skn")
    copies = [copy.deepcopy(est), pickle.loads(pickle.dumps(est)), skneural.load(tmp_path / "model.skn")]
    skneural.save(est, tmp_path / "model.skn", for_serving=True)
    copies.append(skneural.load(tmp_path / "model.skn"))
    for same in copies:
        assert same.get_params() == est.get_params()
        assert_array_equal(outputs(same, X), outputs(est, X))
    expected = copy.deepcopy(est).partial_fit(X, y)
    for same in copies[:3]:
        assert_same_fit(same.partial_fit(X, y), expected)


@EACH
def test_skops(family):
    sio = pytest.importorskip("skops.io")
    X, y = sequences("multiclass", ragged=True)
    est = small("multiclass", family).fit(X, y)
    again = sio.loads(sio.dumps(est), trusted=[f"skneural.estimators.convolutional.{family}Classifier"])
    assert_array_equal(again.predict_proba(X), est.predict_proba(X))


@EACH
def test_importance_of_time_steps(family):
    X, _ = sequences(n_samples=120)
    y = X[:, 2, 0] + X[:, 3, 0]
    est = small(family=family, hidden_layer_sizes=8, max_iter=80).fit(X, y)
    assert set(np.argsort(timestep_importance(est, X))[-2:]) == {2, 3}


@EACH
def test_a_fit_goes_on_from_a_checkpoint(family, tmp_path):
    class Stopped(Exception):
        pass

    def fail():
        raise Stopped

    X, y = sequences(ragged=True)
    settings = {"family": family, "max_iter": 6, "dropout": 0.2}
    complete = small(**settings).fit(X, y)
    est = small(**settings).set_callbacks(Checkpoint(tmp_path / "fit.skn", 1), Watch(3, fail))
    with pytest.raises(Stopped):
        est.fit(X, y)
    assert_same_fit(small(**settings).fit(whole(X), y, resume_from=tmp_path / "fit.skn"), complete)


@EACH
def test_searches(family):
    X, y = sequences("multiclass", n_samples=60, ragged=True)
    grid = {"filters": [2, (3, 2)], "kernel_sizes": [3], "padding": ["same", "causal"]}
    for given in (X, whole(X)):
        search = GridSearchCV(small("multiclass", family), grid, cv=KFold(3), error_score="raise").fit(given, y)
        best = small("multiclass", family, **search.best_params_).fit(X, y)
        assert_same_fit(search.best_estimator_, best)
        assert search.score(given, y) == best.score(X, y)
    expected = cross_val_score(small("multiclass", family), X, y, cv=KFold(3))
    assert_array_equal(cross_val_score(small("multiclass", family), whole(X), y, cv=KFold(3)), expected)
    grid = {"filters": np.arange(2, 4), "kernel_sizes": np.array([1, 3], np.int8), "dropout": [np.float32(0.25)]}
    search = GridSearchCV(small("multiclass", family), grid, cv=2, error_score="raise").fit(X, y)
    plain = {name: value.item() for name, value in search.best_params_.items()}
    assert_same_fit(search.best_estimator_, small("multiclass", family, **plain).fit(X, y))


@EACH
def test_pipelines_of_tables(family):
    X, y = sequences("multiclass")
    pipe = make_pipeline(StandardScaler(), small("multiclass", family)).fit(X[:, :, 0], y)
    assert_same_fit(pipe[-1], small("multiclass", family).fit(pipe[0].transform(X[:, :, 0]), y))


@EACH
@pytest.mark.parametrize(
    "settings",
    [{}, {"normalization": None, "pooling": "max", "dropout": 0.1}, {"normalization": "layer", "padding": "causal"}],
    ids=["batch", "none", "layer"],
)
def test_after_a_warmup_nothing_is_loaded(family, settings, monkeypatch):
    X, y = sequences(n_features=4)  # as many as the first layer has filters: no convolution on the first shortcut
    est = small(family=family, **settings)
    forget_kernels(monkeypatch)
    before = pickle.dumps(est)
    skneural.warmup(est, dtypes=["float64"])
    assert pickle.dumps(est) == before
    loaded = ready()
    est.fit(X, y).predict(X)
    assert ready() == loaded


# -- what is refused ---------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("filters", 0), ("filters", "many"), ("filters", None), ("kernel_sizes", 0), ("kernel_sizes", 2.5),
        ("padding", "valid"), ("pooling", None), ("pooling", "sum"), ("activation", "sigmoid"),
        ("normalization", "group"), ("dropout", 1.0), ("standardize", None), ("input_format", "time_first"),
        ("hidden_layer_sizes", 0), ("max_norm", 0.0),
    ],
)  # fmt: skip
def test_parameters_that_are_refused(family, name, value):
    X, y = sequences()
    with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter of {family}Regressor must be"):
        small(family=family, **{name: value}).fit(X, y)


@EACH
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"filters": ()}, "filters must name at least one (convolution|block), got none"),
        ({"filters": (3, 0)}, r"filters must be > 0, got \[3, 0\]"),
        ({"filters": [2.5]}, r"filters must be integers, got \[2.5\]"),
        ({"kernel_sizes": (3, 0)}, r"kernel_sizes must be > 0, got \[3, 0\]"),
        ({"kernel_sizes": (3, 1.5)}, r"kernel_sizes must be integers, got \[3, 1.5\]"),
        ({"hidden_layer_sizes": (3, -1)}, r"hidden_layer_sizes must be > 0, got \[3, -1\]"),
        ({"dropout": (0.1,) * 4}, "dropout must be one rate, or one per .* and hidden layer: got 4 for 2 layers"),
        ({"solver": "lbfgs"}, "normalization='batch' needs a stochastic solver"),
        ({"solver": "lbfgs", "normalization": None, "dropout": 0.1}, "dropout needs a stochastic solver"),
        ({"batch_size": 1}, "normalization='batch' needs batches of at least two samples, got batch_size=1"),
    ],
)
def test_settings_that_do_not_go_together(family, settings, words):
    X, y = sequences()
    est = small(family=family, **settings)
    with pytest.raises(ValueError, match=words):
        est.fit(X, y)
    assert vars(est) == est.get_params()


def test_numbers_of_kernel_sizes():
    X, y = sequences()
    with pytest.raises(ValueError, match="kernel_sizes must be one size, or one per convolution: got 3 for 2 layers"):
        small(kernel_sizes=(3, 3, 3)).fit(X, y)
    with pytest.raises(ValueError, match="kernel_sizes must name at least one convolution, got none"):
        small(family="ResNet", kernel_sizes=()).fit(X, y)
    with pytest.raises(ValueError, match="got 1 for 2 layers"):
        small(kernel_sizes=(3,)).fit(X, y)


@EACH
def test_data_that_is_refused_leaves_the_model_whole(family):
    X, y = sequences()
    est = small(family=family).fit(X, y)
    before, expected = dict(vars(est)), est.predict(X)
    gap = X.copy()
    gap[3, 2, 1] = NAN
    words = "contains NaN: first in sequence 3, time step 2, feature 1"
    for attempt in (est.fit, est.partial_fit):
        with pytest.raises(ValueError, match=words):
            attempt(gap, y)
    with pytest.raises(ValueError, match=words):
        est.predict(gap)
    with pytest.raises(ValueError, match=f"X has 2 features, but {family}Regressor is expecting 3 features"):
        est.predict(X[:, :, :2])
    assert dict(vars(est)) == before
    assert_array_equal(est.predict(X), expected)
