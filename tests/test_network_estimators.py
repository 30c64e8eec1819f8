"""Networks of any layers: the same bits as the special classes, nested parameters, and what is refused."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_no_attributes_set_in_init,
    check_param_validation,
    parametrize_with_checks,
)
from test_recurrent import NAN, outputs, sequences, small, whole
from test_resume import assert_same_end, interrupted

import skneural
from skneural import MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor
from skneural.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    LayerNorm,
    MaxPool1D,
    Noise,
    Recurrent,
    Reshape,
    Residual,
    Standardize,
)
from skneural.timeseries import Forecaster

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size` less than 1 or larger than sample size:UserWarning",
)

QUICK = {"max_iter": 4, "random_state": 0, "batch_size": 16, "learning_rate_init": 0.01}
STACK = [Dense(8, "relu"), Dropout(0.3), Dense(6, "tanh")]


def rows(n_samples=60, n_features=5, seed=0):
    X = np.random.default_rng(seed).standard_normal((n_samples, n_features))
    return X, np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.3])


def network(layers=STACK, **settings):
    return NetworkClassifier(layers, **QUICK | settings)


def assert_same(a, b, X):
    """Two estimators have the same weights, came to them by the same losses, and predict the same."""
    assert_array_equal(a._params, b._params)
    assert a.loss_curve_ == b.loss_curve_
    assert_array_equal(outputs(a, X), outputs(b, X))


# -- the special classes, from the same layers -------------------------------------------------------------------------

#: Parameters of perceptrons, and the layers that they describe.
PERCEPTRONS = {
    "default": ({}, (Dense(100, "relu"),)),
    "linear": ({"hidden_layer_sizes": ()}, ()),
    "dropout": (
        {"hidden_layer_sizes": (8, 6), "dropout": 0.3},
        [Dense(8, "relu"), Dropout(0.3), Dense(6, "relu"), Dropout(0.3)],
    ),
    "batch": (
        {"hidden_layer_sizes": (8, 6), "normalization": "batch"},
        [Dense(8, "relu", "batch"), Dense(6, "relu", "batch")],
    ),
    "layer": ({"hidden_layer_sizes": 8, "normalization": "layer", "activation": "gelu"}, [Dense(8, "gelu", "layer")]),
    "logistic": (
        {"hidden_layer_sizes": (8, 6), "activation": ["logistic", "identity"]},
        [Dense(8, "logistic"), Dense(6)],
    ),
    "residual": (
        {"hidden_layer_sizes": (8, 8), "residual": True, "dropout": [0, 0.2]},
        [Dense(8, "relu"), Residual((Dense(8, "relu"), Dropout(0.2)))],
    ),
    "noise": ({"hidden_layer_sizes": (8,), "input_noise": 0.2}, [Noise(0.2), Dense(8, "relu")]),
}


@pytest.mark.parametrize("case", PERCEPTRONS)
@pytest.mark.parametrize("task", ["classifier", "regressor"])
def test_perceptron_of_the_same_layers(case, task):
    settings, layers = PERCEPTRONS[case]
    special, general = (MLPClassifier, NetworkClassifier) if task == "classifier" else (MLPRegressor, NetworkRegressor)
    X, y = rows()
    assert_same(special(**QUICK | settings).fit(X, y), general(layers, **QUICK).fit(X, y), X)


#: Parameters of recurrent networks, and the layers that they describe.
RECURRENT = {
    "plain": ({}, [Recurrent("{cell}", 5), GlobalPool()]),
    "bidirectional": ({"bidirectional": True, "pooling": "mean"}, [Recurrent("{cell}", 5, True), GlobalPool("mean")]),
    "dropout": (
        {"hidden_layer_sizes": (5, 4), "dropout": 0.3, "recurrent_dropout": 0.2},
        [Recurrent("{cell}", 5, rate=0.2), Dropout(0.3), Recurrent("{cell}", 4, rate=0.2), GlobalPool(), Dropout(0.3)],
    ),
    "head": (
        {"head_layer_sizes": (6,), "head_activation": "tanh", "tbptt_steps": 2},
        [Recurrent("{cell}", 5, truncate=2), GlobalPool(), Dense(6, "tanh")],
    ),
    "standardized": (
        {"standardize": True, "input_noise": 0.1},
        [Standardize(), Noise(0.1), Recurrent("{cell}", 5), GlobalPool()],
    ),
}


def with_cell(layers, cell):
    """The same layers with another cell."""
    est = NetworkClassifier(list(layers))
    cells = {f"layers__{i}__cell": cell for i, layer in enumerate(layers) if isinstance(layer, Recurrent)}
    return est.set_params(**cells).layers


@pytest.mark.parametrize("case", RECURRENT)
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_recurrent_network_of_the_same_layers(case, kind):
    settings, layers = RECURRENT[case]
    cell, general = ("lstm", NetworkClassifier) if kind == "multiclass" else ("gru", NetworkRegressor)
    if kind == "regression" and settings.get("standardize"):
        pytest.skip("the special class scales y, too")
    X, y = sequences(kind, ragged=True)
    special = small(kind, cell, **{"standardize": False, **settings})
    special.set_params(**QUICK)
    same = general(with_cell(layers, cell), clip_norm=1.0, **QUICK)
    assert_same(special.fit(X, y), same.fit(X, y), X)
    assert_array_equal(outputs(same, whole(X)), outputs(special, X))
    assert same.n_timesteps_in_ == special.n_timesteps_in_


def test_input_noise_goes_behind_the_scaling():
    X, y = sequences("multiclass")
    by_layer = network([Standardize(), Noise(0.1), Recurrent("gru", 4), GlobalPool()])
    by_parameter = network([Standardize(), Recurrent("gru", 4), GlobalPool()], input_noise=0.1)
    assert_same(by_layer.fit(X, y), by_parameter.fit(X, y), X)
    X, y = rows()
    assert_same(network([Noise(0.1), *STACK]).fit(X, y), network(input_noise=0.1).fit(X, y), X)
    assert network(input_noise=0.1).fit(X, y).layers is STACK


# -- nested parameters -------------------------------------------------------------------------------------------------


def test_nested_parameters_are_listed():
    est = NetworkClassifier([Dense(4), Residual((Dense(4, "relu"), Dropout(0.1))), Reshape((2, 2))])
    nested = {name: value for name, value in est.get_params().items() if name.startswith("layers__")}
    assert nested == {
        "layers__0": Dense(4),
        "layers__0__units": 4,
        "layers__0__activation": None,
        "layers__0__normalization": None,
        "layers__1": est.layers[1],
        "layers__1__layers": est.layers[1].layers,
        "layers__1__layers__0": Dense(4, "relu"),
        "layers__1__layers__0__units": 4,
        "layers__1__layers__0__activation": "relu",
        "layers__1__layers__0__normalization": None,
        "layers__1__layers__1": Dropout(0.1),
        "layers__1__layers__1__rate": 0.1,
        "layers__1__shortcut": (),
        "layers__2": Reshape((2, 2)),
        "layers__2__shape": (2, 2),
    }
    assert not any("__" in name for name in est.get_params(deep=False))


@pytest.mark.parametrize("kind", [list, tuple])
def test_nested_parameters_are_set_in_copies(kind):
    given = kind([Dense(4), Residual((Dense(4, "relu"), Dropout(0.1)))])
    before = copy.deepcopy(given)
    est = NetworkClassifier(given)
    other = clone(est)
    changed = est.set_params(layers__0__units=128, layers__1__layers__1__rate=0.5, alpha=1.0)
    assert changed is est
    assert est.alpha == 1.0
    assert est.layers == kind([Dense(128), Residual((Dense(4, "relu"), Dropout(0.5)))])
    assert given == before == other.layers
    assert est.set_params(layers__0=Dropout(0.2)).layers[0] == Dropout(0.2)
    assert est.set_params(layers__1__layers=()).layers[1] == Residual(())


def test_list_is_set_before_layers_and_layers_before_settings():
    est = NetworkClassifier()
    est.set_params(layers__0__units=7, layers__0=Dense(9, "tanh"), layers=[Dense(1), Dense(2)])
    assert est.layers == [Dense(7, "tanh"), Dense(2)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unit", "Invalid parameter 'unit' for estimator NetworkClassifier"),
        ("layers__5", "Invalid parameter 'layers__5' for estimator NetworkClassifier"),
        ("layers__5__units", "Invalid parameter 'layers__5' for estimator NetworkClassifier"),
        ("layers__units", "Invalid parameter 'layers__units' for estimator NetworkClassifier"),
        ("layers__0__unit", r"Invalid parameter 'unit' for estimator Dense\(.*Valid parameters are: \['units'"),
        ("layers__0__units__x", "Invalid parameter 'x' for estimator 8"),
    ],
)
def test_unknown_names_are_refused_as_scikit_learn_does(name, words):
    est = network()
    with pytest.raises(ValueError, match=words):
        est.set_params(**{name: 3})
    assert est.layers is STACK


def test_grid_searches():
    X, y = rows()
    stack = [Dense(4, "relu"), Dropout(0.1)]
    grid = {"layers__0__units": [8, 16], "layers__1__rate": [0, 0.3]}
    search = GridSearchCV(network(stack), grid, cv=2).fit(X, y)
    assert {tuple(p.values()) for p in search.cv_results_["params"]} == {(8, 0), (8, 0.3), (16, 0), (16, 0.3)}
    best = search.best_params_
    assert search.best_estimator_.layers == [Dense(best["layers__0__units"], "relu"), Dropout(best["layers__1__rate"])]
    assert stack == [Dense(4, "relu"), Dropout(0.1)]
    lists = [[Dense(4)], [Dense(4, "relu"), Dropout(0.2)], ()]
    search = GridSearchCV(network(), {"layers": lists}, cv=2).fit(X, y)
    assert search.best_estimator_.layers in lists
    numbers = GridSearchCV(network(stack), {"layers__0__units": np.array([3, 5])}, cv=2).fit(X, y)
    assert numbers.best_estimator_.coefs_[0].shape[1] in (3, 5)
    pipeline = make_pipeline(StandardScaler(), network(stack))
    pipeline.set_params(networkclassifier__layers__0__units=11).fit(X, y)
    assert pipeline[-1].coefs_[0].shape == (5, 11)


def test_searches_in_other_processes():
    X, y = rows()
    search = GridSearchCV(network(), {"layers__0__units": [3, 5]}, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    assert search.best_estimator_.layers[0].units in (3, 5)


# -- what is refused, before any work ----------------------------------------------------------------------------------

WRONG = {
    "Dense(0)": ([Dense(0)], r"layers\[0\] of NetworkClassifier: units of Dense must be an integer from 1"),
    "Dense(2.5)": ([Dense(3), Dense(2.5)], r"layers\[1\] of NetworkClassifier: units of Dense .* got 2.5"),
    "Dense('a')": ([Dense("a")], r"layers\[0\].* units of Dense"),
    "Dense(True)": ([Dense(True)], r"layers\[0\].* units of Dense"),
    "Dropout(1.5)": ([Dense(3), Dropout(1.5)], r"layers\[1\].* rate of Dropout must be a number in \[0, 1\), got 1.5"),
    "unknown activation": ([Dense(3, "swish")], r"layers\[0\].* activation of Dense must be one of .* got 'swish'"),
    "within": ([Residual((Dense(5), Dropout(-1)))], r"layers\[0\].layers\[1\] of NetworkClassifier: rate of Dropout"),
    "number within": ([Residual((Dense(5), 3))], r"layers\[0\].layers\[1\] of NetworkClassifier: .* got 3"),
    "a layer, not a tuple": (
        [Residual((Dense(5),), shortcut=Dense(5))],
        r"layers\[0\].shortcut of NetworkClassifier must be a tuple of layers, got Dense\(5\)",
    ),
    "no layers within": ([Residual(3)], r"layers\[0\].layers of NetworkClassifier must be a tuple of layers, got 3"),
    "number": ([Dense(3), 5], r"layers\[1\] of NetworkClassifier: Layers must be those of skneural.layers.* got 5"),
    "None": ([None], r"layers\[0\] of NetworkClassifier: .* got None"),
    "empty tuple": ([()], r"layers\[0\] of NetworkClassifier: .* got \(\)"),
    "class": ([Dense], r"layers\[0\] of NetworkClassifier: .* got <class"),
    "no list": (Dense(3), "The 'layers' parameter of NetworkClassifier must be an instance of 'list' or"),
    "text": ("relu", "The 'layers' parameter of NetworkClassifier must be an instance of 'list' or"),
    "rows": ([Recurrent("gru", 3), GlobalPool()], "Recurrent needs sequences, got rows of shape"),
    "shape": ([Reshape((2, 2))], "Reshape needs a shape of 5 numbers"),
    "no shape": ([Reshape(5)], "Reshape needs a tuple of one to three integers from 1 up, .* may be -1, got 5"),
    "two unknown sizes": ([Reshape((-1, -1))], r"of which one may be -1, got \(-1, -1\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_layers(case):
    layers, words = WRONG[case]
    X, y = rows()
    est = network(layers)
    with pytest.raises(ValueError, match=words):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")
    assert est.layers is layers
    if isinstance(layers, list):
        assert repr(pickle.loads(pickle.dumps(est))) == repr(est) or case in ("class", "empty tuple")


def test_sequences_need_a_layer_that_reads_them():
    X, y = sequences("multiclass")
    with pytest.raises(ValueError, match=r"Dense needs rows, got sequences of shape .*: put GlobalPool or Flatten"):
        network().fit(X, y)
    with pytest.raises(ValueError, match=r"The last layer|Dense needs rows"):
        network([Recurrent("gru", 3)]).fit(X, y)


@pytest.mark.parametrize(
    "layers",
    [[Dropout(0.2)], [Noise(0.1)], [BatchNorm()], [Dense(3, None, "batch")], [Residual((Dense(5), Dropout(0.1)))]],
)
def test_lbfgs_refuses_what_is_for_minibatches(layers):
    X, y = rows()
    with pytest.raises(ValueError, match=r"in layers needs a stochastic solver .*: lbfgs does not support it"):
        network(layers, solver="lbfgs").fit(X, y)


def test_lbfgs_takes_the_others():
    X, y = rows()
    layers = [Dropout(0.0), Noise(0.0), Dense(5, "tanh"), LayerNorm(), Residual((Dense(5, "relu"),))]
    assert network(layers, solver="lbfgs", max_iter=60).fit(X, y).score(X, y) > 0.8
    X, y = sequences("multiclass")
    with pytest.raises(ValueError, match=r"recurrent in layers needs a stochastic solver"):
        network([Recurrent("gru", 3, rate=0.1), GlobalPool()], solver="lbfgs").fit(X, y)
    network([Recurrent("gru", 3), GlobalPool()], solver="lbfgs").fit(X, y)


def test_normalization_of_the_batch_needs_two_samples():
    X, y = rows()
    with pytest.raises(
        ValueError, match=r"batch normalization \(in layers\) needs batches of at least two samples, got batch"
    ):
        network([BatchNorm(), Dense(3)], batch_size=1).fit(X, y)


def test_sparse_rows_are_for_a_first_layer_that_reads_them():
    X, y = rows()
    S = sparse.csr_array(X)
    dense, thin = network().fit(X, y), network().fit(S, y)
    np.testing.assert_allclose(thin.predict_proba(S), dense.predict_proba(X), rtol=1e-9)
    for layers in ([Dropout(0.2), Dense(3)], [LayerNorm()], [Activation("relu")], [Noise(0.1), Dense(3)]):
        with pytest.raises(ValueError, match=r"needs dense rows, got those of a sparse matrix"):
            network(layers).fit(S, y)


# -- rows and sequences ------------------------------------------------------------------------------------------------


def test_the_number_of_axes_says_what_X_is():
    X, y = sequences("multiclass", ragged=True)
    layers = [Recurrent("gru", 4), MaxPool1D(2), GlobalPool("mean"), Dense(4, "relu")]
    est = network(layers).fit(X, y)
    assert (est.n_features_in_, est.n_timesteps_in_) == (3, 6)
    probabilities = est.predict_proba(X)
    for same in (whole(X), [x.tolist() for x in whole(X)], pd.DataFrame({"x": whole(X)})):
        assert_same(network(layers).fit(same, y), est, X)
        assert_array_equal(est.predict_proba(same), probabilities)
    first = network(layers, input_format="channels_first").fit(X.swapaxes(1, 2), y)
    assert_array_equal(first.predict_proba(X.swapaxes(1, 2)), probabilities)
    with pytest.raises(ValueError, match=r"Expected X with three axes"):
        est.predict(X[:, 0])
    with pytest.raises(ValueError, match=r"X has 2 features, but NetworkClassifier is expecting 3"):
        est.predict(X[:, :, :2])


def test_two_axes_are_rows_in_every_form():
    X, y = rows()
    est = network().fit(X, y)
    for same in (X.tolist(), list(X), pd.DataFrame(X), X.astype(object), np.asfortranarray(X)):
        assert_same(network().fit(same, y), est, X)
    assert not hasattr(est, "n_timesteps_in_")
    with pytest.raises(ValueError, match=r"Found array with dim 3"):
        est.predict(X[:, :, None])
    X, y = rows(n_features=6)
    sequence = network([Reshape((3, 2)), Recurrent("gru", 4), GlobalPool()], max_iter=60).fit(X, y)
    assert sequence.score(X, y) > 0.6


def test_a_fit_forgets_what_the_one_before_read():
    X, y = rows()
    Z, target = sequences("multiclass")
    est = network([Recurrent("gru", 4), GlobalPool()]).fit(Z, target)
    est.set_params(layers=STACK).fit(pd.DataFrame(X).rename(columns=str), y)
    assert not {"recurrent_coefs_", "n_timesteps_in_", "_n_channels", "_table"} & vars(est).keys()
    table = pd.DataFrame(X).rename(columns=str)
    assert_array_equal(est.predict_proba(table), network().fit(X, y).predict_proba(X))
    assert_array_equal(pickle.loads(pickle.dumps(est)).predict_proba(table), est.predict_proba(table))
    est.set_params(layers=[Recurrent("gru", 4), GlobalPool()]).fit(Z, target)
    assert not hasattr(est, "feature_names_in_")
    assert len(est.recurrent_coefs_) == 1


@pytest.mark.parametrize(
    "layers",
    [
        [GlobalPool("mean")],
        [GlobalPool("last")],
        [Activation("logistic"), Conv2D(2), Flatten()],
        [BatchNorm(), Conv2D(2), GlobalPool("max")],
        [LayerNorm(), GlobalPool("mean")],
    ],
)
def test_images_have_no_end_where_sequences_are_called_images(layers):
    X, y = sequences("multiclass", ragged=True)
    filled = np.nan_to_num(X)
    layers = [Reshape((2, 3, 3)), *layers]
    est = network(layers).fit(X, y)
    assert_same(network(layers).fit(filled, y), est, filled)
    assert_array_equal(est.predict_proba(X), est.predict_proba(filled))
    assert_array_equal(est.predict_proba(X[:, :4]), est.predict_proba(np.pad(filled[:, :4], [(0, 0), (0, 2), (0, 0)])))


def test_pixels_of_sequences_are_those_of_the_longest():
    X, y = sequences("multiclass", ragged=True)
    est = network([Reshape((-1, 1, 3)), Activation("logistic"), GlobalPool("mean")]).fit(X, y)
    assert_array_equal(est.predict_proba(X[:1, :4]), est.predict_proba(np.pad(X[:1, :4], [(0, 0), (0, 2), (0, 0)])))
    with pytest.raises(ValueError, match=r"expecting at most 6"):
        est.predict(np.concatenate([X, X], axis=1)[~np.isnan(X[:, -1, 0])])


@pytest.mark.parametrize("layers", [[Flatten(), Dense(4, "relu")], [Recurrent("gru", 3), Reshape((-1,))]])
def test_networks_that_need_one_length(layers):
    X, y = sequences("multiclass", ragged=True)
    est = network(layers).fit(X, y)
    probabilities = est.predict_proba(X)
    for i in range(8):
        assert_array_equal(est.predict_proba(whole(X)[i : i + 1]), probabilities[i : i + 1])
    longer = np.concatenate([X, np.full((len(X), 2, 3), NAN)], axis=1)
    assert_array_equal(est.predict_proba(longer), probabilities)
    with pytest.raises(ValueError, match=r"X has 7 time steps, but NetworkClassifier is expecting at most 6"):
        est.predict(np.concatenate([X, X[:, :1]], axis=1)[~np.isnan(X[:, -1, 0])])
    short = X[:20, :4]
    assert_array_equal(
        network(layers).fit(X, y, X_val=short, y_val=y[:20]).validation_loss_curve_,
        network(layers)
        .fit(X, y, X_val=np.pad(short, [(0, 0), (0, 2), (0, 0)], constant_values=NAN), y_val=y[:20])
        .validation_loss_curve_,
    )
    est.partial_fit(short, y[:20])
    with pytest.raises(ValueError, match=r"expecting at most 6"):
        est.partial_fit(np.concatenate([X, X], axis=1)[~np.isnan(X[:, -1, 0])], y[~np.isnan(X[:, -1, 0])])
    with pytest.raises(ValueError, match=r"sequences of 6 time steps, not of 9"):
        est._program.variant(n_timesteps=9)


def test_other_networks_read_any_length():
    X, y = sequences("multiclass")
    est = network([Recurrent("gru", 3), GlobalPool()]).fit(X, y)
    assert est.predict(np.concatenate([X, X], axis=1)).shape == y.shape


# -- what all estimators can -------------------------------------------------------------------------------------------


def test_layers_of_many_kinds_learn():
    X, y = rows(200)
    layers = [
        Dense(16),
        BatchNorm(),
        Activation("relu"),
        Residual((Dense(16, "relu"), Dropout(0.1))),
        Residual((LayerNorm(), Dense(8, "tanh"), Dense(16))),
    ]
    est = network(layers, max_iter=100, max_norm=3.0, monitor_gradients=True).fit(X, y)
    assert est.score(X, y) > 0.9
    assert [w.shape for w in est.coefs_] == [(5, 16), (16, 16), (16, 8), (8, 16), (16, 3)]
    assert [sorted(norms) for norms in est.norms_] == [["mean", "scale", "shift", "variance"], ["scale", "shift"]]
    assert len(est.history_["gradient_norm"][0]) == est.n_layers_ - 1
    kinds = [row.layer.strip() for row in est.summary().rows]
    assert kinds[:4] == ["input", "dense", "batchnorm", "activation"]
    assert "residual" in str(est.summary())


def test_text_of_an_estimator_is_what_users_type():
    est = NetworkClassifier([Dense(8, "relu"), Dropout(0.3)])
    text = "".join(repr(est).split())
    assert "[Dense(8,activation='relu'),Dropout(0.3)]" in text
    assert repr(NetworkClassifier()) == "NetworkClassifier()"
    assert "Dropout" in est._repr_html_()


@pytest.mark.parametrize("data", ["rows", "sequences"])
def test_copies_pickles_and_files(data, tmp_path):
    if data == "rows":
        X, y = rows()
        layers = [Dense(np.int64(8), "relu"), Residual([Dense(8), Dropout(0.1)]), BatchNorm()]
    else:
        X, y = sequences("multiclass", ragged=True)
        layers = (Standardize(), Recurrent("lstm", 4, bidirectional=True), GlobalPool(), Dense(np.int64(3)))
    est = network(layers).fit(X, y)
    skneural.save(est, tmp_path / "network.skn")
    state = est.__getstate__()
    assert all(type(layer) is dict for layer in (*state["layers"], *state["_program"]["layers"]))
    for same in (
        copy.copy(est),
        copy.deepcopy(est),
        pickle.loads(pickle.dumps(est)),
        skneural.load(tmp_path / "network.skn"),
    ):
        assert_same(same, est, X)
        assert type(same.layers) is type(layers)
        assert same.layers[0] == layers[0]
        assert_same(clone(same).fit(X, y), est, X)
        same.partial_fit(X, y)
    skneural.save(clone(est), tmp_path / "unfitted.skn")
    assert_same(skneural.load(tmp_path / "unfitted.skn").fit(X, y), est, X)


def test_files_refuse_layers_that_are_unknown():
    X, y = rows()
    est = network().fit(X, y)
    state = est.__getstate__()
    state["layers"] = [{"kind": "Convolution", "units": 3}]
    with pytest.raises(ValueError, match=r"a layer of an unknown kind, 'Convolution'.* has to be imported first"):
        NetworkClassifier().__setstate__(state)
    state["layers"] = [{"kind": "Dense", "widths": 3}]
    with pytest.raises(ValueError, match=r"a layer Dense has"):
        NetworkClassifier().__setstate__(state)
    with pytest.raises(ValueError, match=r"reads"):
        MLPClassifier().__setstate__(
            network([Recurrent("gru", 3), GlobalPool()]).fit(*sequences("multiclass")).__getstate__()
        )


def test_going_on():
    X, y = rows()
    whole_fit = network(max_iter=6).fit(X, y)
    est = network(warm_start=True, max_iter=3).fit(X, y)
    assert len(est.fit(X, y).loss_curve_) == 6
    assert whole_fit.loss_curve_[:3] == est.loss_curve_[:3]
    with pytest.raises(ValueError, match=r"The weights of the previous fit do not fit.* need the same layers"):
        est.set_params(layers__0__units=9).fit(X, y)
    online = network().partial_fit(X[:20], y[:20], classes=[0, 1, 2]).partial_fit(X[20:], y[20:])
    assert online.t_ == 60
    online.set_params(layers__1__rate=0.5).partial_fit(X[:20], y[:20])
    assert online.n_iter_ >= 1


@pytest.mark.parametrize("data", ["rows", "sequences"])
def test_resumed_fits_have_the_same_bits(data, tmp_path):
    path = tmp_path / "checkpoint.skn"
    X, y = rows() if data == "rows" else sequences("multiclass", ragged=True)
    layers = [Dense(8, "relu", "batch"), Dropout(0.3)]
    if data == "sequences":
        layers = [Standardize(), Recurrent("lstm", 4, rate=0.2), GlobalPool()]
    est = network(layers, max_iter=6)
    expected = clone(est).fit(X, y)
    interrupted(est, path, 3, X, y)
    assert_same_end(clone(est).fit(X, y, resume_from=path), expected)
    with pytest.raises(ValueError, match="was written with other parameters: layers="):
        clone(est).set_params(layers=[Dense(3)]).fit(X, y, resume_from=path)


def test_threads_change_no_bit():
    X, y = sequences("multiclass", ragged=True)
    layers = [Recurrent("gru", 4), BatchNorm(), Dropout(0.2), GlobalPool()]
    assert_same(network(layers, n_jobs=1).fit(X, y), network(layers, n_jobs=3).fit(X, y), X)


def test_early_stopping_and_cross_validation_of_sequences():
    X, y = sequences("regression", ragged=True)
    est = NetworkRegressor([Recurrent("gru", 4), GlobalPool()], early_stopping=True, **QUICK)
    assert len(est.fit(X, y).validation_scores_) == est.n_iter_
    assert np.isfinite(cross_val_score(est, X, y, cv=2)).all()


def test_forecasts():
    series = np.sin(np.arange(120) / 5)
    for layers in ([Recurrent("gru", 4), GlobalPool()], [Flatten(), Dense(8, "relu")]):
        forecaster = Forecaster(NetworkRegressor(layers, **QUICK), lookback=20, horizon=4).fit(series)
        assert forecaster.predict(series).shape == (4,)


def test_kernels_can_be_loaded_before():
    X, y = sequences("multiclass")
    layers = [Recurrent("gru", 3), GlobalPool()]
    assert skneural.warmup([network(layers), network(layers).fit(X, y), network()], ["float64"]) > 10


# -- scikit-learn's checks ---------------------------------------------------------------------------------------------


@parametrize_with_checks(
    [
        NetworkClassifier(),
        NetworkRegressor(),
        NetworkRegressor(
            [Dense(20), BatchNorm(), Activation("relu")], max_iter=300, learning_rate_init=0.02, n_iter_no_change=100
        ),
    ]
)
def test_checks_of_sklearn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [NetworkClassifier(), NetworkRegressor()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "check",
    [check_dataframe_column_names_consistency, check_no_attributes_set_in_init, check_param_validation],
    ids=lambda c: c.__name__,
)
def test_checks_outside_check_estimator(estimator, check):
    check(type(estimator).__name__, estimator)
