"""What pickles, skops files and saved files hold: plain values, held against the network that they describe."""

import copy
import os
import pathlib
import pickle
import random
import stat
import tracemalloc

import joblib
import numpy as np
import pytest
import sklearn
from conftest import problem
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_persistence import layer, members, used, write

from skneural import LSTMClassifier, LSTMRegressor, MLPClassifier, MLPRegressor, load, save
from skneural.callbacks import Checkpoint
from skneural.estimators._resume import check_same_fit
from skneural.layers import Dense
from skneural.network.program import lower

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FILES = pathlib.Path(__file__).parent / "files"
PLAIN = (type(None), bool, int, float, str, np.ndarray, np.random.RandomState)


def sequences(n_samples=12):
    return np.random.default_rng(0).normal(size=(n_samples, 5, 2))


def make(kind):
    """A fitted estimator and its data."""
    X, y, _ = problem("multiclass", n_samples=30)
    if kind == "mlp":
        settings = {"residual": True, "normalization": "batch", "dropout": 0.1, "input_noise": 0.1}
        return MLPClassifier((4, 4), max_iter=2, random_state=0, **settings).fit(X, y), X, y
    if kind == "text":
        y = np.array(["no", "yes", "maybe"])[y]
        return MLPClassifier((4,), loss="focal", max_iter=2, random_state=0).fit(X, y), X, y
    if kind == "quantiles":
        settings = {"loss": "quantile", "quantiles": [0.1, 0.9], "normalization": "layer"}
        return MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0, **settings).fit(X, X[:, 0]), X, X[:, 0]
    S = sequences()
    if kind == "lstm":
        settings = {"head_layer_sizes": (2,), "bidirectional": True, "dropout": 0.1}
        y = np.arange(12) % 3
        return LSTMClassifier((3,), max_iter=2, random_state=0, **settings).fit(S, y), S, y
    assert kind == "table"
    S = S[:, :, 0]
    return LSTMRegressor((3,), max_iter=2, random_state=0).fit(S, S[:, 0]), S, S[:, 0]


KINDS = ("mlp", "text", "quantiles", "lstm", "table")


@pytest.fixture(scope="module")
def fitted():
    return {kind: make(kind) for kind in KINDS}


def predict(est, X):
    return est.predict_proba(X) if hasattr(est, "predict_proba") else est.predict(X)


def assert_plain(value, name=""):
    """Names, numbers, text, arrays of these, and containers of these."""
    if isinstance(value, dict):
        assert type(value) is dict, name
        for key, part in value.items():
            assert_plain(part, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        assert type(value) in (list, tuple), name
        for part in value:
            assert_plain(part, name)
    else:
        assert type(value) in PLAIN or isinstance(value, np.generic), f"{name}: {type(value)}"


# -- there and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_plain(kind, fitted):
    assert_plain(fitted[kind][0].__getstate__())


@pytest.mark.parametrize("kind", KINDS)
def test_skops_need_trust_the_estimator_alone(kind, fitted):
    sio = pytest.importorskip("skops.io")
    est, X, y = fitted[kind]
    name = f"{type(est).__module__}.{type(est).__name__}"
    data = sio.dumps(est)
    assert sio.get_untrusted_types(data=data) == [name]
    back = sio.loads(data, trusted=[name])
    np.testing.assert_array_equal(predict(back, X), predict(est, X))
    again = copy.deepcopy(est).partial_fit(X, y)
    np.testing.assert_array_equal(back.partial_fit(X, y)._params, again._params)


def test_skops_of_pipelines():
    sio = pytest.importorskip("skops.io")
    X, y, _ = problem("multiclass")
    est = MLPClassifier((4,), max_iter=2, random_state=np.random.RandomState(0))
    with sklearn.config_context(enable_metadata_routing=True):
        est.set_fit_request(sample_weight=True)
    pipeline = make_pipeline(StandardScaler(), est).fit(X, y)
    data = sio.dumps(pipeline)
    assert sio.get_untrusted_types(data=data) == ["skneural.estimators.mlp.MLPClassifier"]
    back = sio.loads(data, trusted=["skneural.estimators.mlp.MLPClassifier"])
    np.testing.assert_array_equal(back.predict_proba(X), pipeline.predict_proba(X))
    assert back[-1].get_metadata_routing().fit.requests["sample_weight"] is True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle", "cloudpickle", "joblib", "mapped"])
def test_copies(how, kind, fitted, tmp_path):
    est, X, y = fitted[kind]
    if how in ("copy", "deepcopy"):
        back = getattr(copy, how)(est)
    elif how in ("pickle", "cloudpickle"):
        back = pickle.loads(pytest.importorskip(how).dumps(est))
    else:
        joblib.dump(est, tmp_path / "est")
        back = joblib.load(tmp_path / "est", mmap_mode="r" if how == "mapped" else None)
    np.testing.assert_array_equal(predict(back, X), predict(est, X))
    before = est._params.copy()
    back.partial_fit(X, y)
    np.testing.assert_array_equal(est._params, before)  # memory of its own
    assert repr(clone(back)) == repr(est)


def test_what_users_and_subclasses_add_is_pickled():
    est = Subclass(hidden_layer_sizes=(3,), activation="tanh")
    est.note_, est._mine = "of June", {1}
    back = pickle.loads(pickle.dumps(est))
    assert (back.note_, back._mine) == ("of June", {1})
    assert repr(back) == repr(est)


class Subclass(MLPRegressor):
    pass


def test_estimators_that_cannot_be_fitted_are_pickled():
    # Searches send them to other processes, and expect the error of fit there.
    est = pickle.loads(pickle.dumps(MLPRegressor(alpha=-1)))
    with pytest.raises(ValueError, match="'alpha'"):
        est.fit([[1.0]], [1.0])


class Pickled:
    """A callback that keeps the estimator as it was in the middle of a fit."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.copies = [pickle.loads(pickle.dumps(estimator)), copy.copy(estimator), copy.deepcopy(estimator)]
        for copied in self.copies:
            np.testing.assert_array_equal(copied._params, estimator._params)
            assert copied._state.run.to_plain().keys() == estimator._state.run.to_plain().keys()
            assert len(copied._skl_callbacks) == 1


def test_estimators_in_the_middle_of_a_fit():
    X, y, _ = problem("multiclass")
    callback = Pickled()
    est = MLPClassifier((3,), max_iter=2, random_state=np.random.RandomState(0)).set_callbacks(callback)
    est.fit(X, y, X_val=X, y_val=y)
    assert len(callback.copies) == 3


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
@pytest.mark.parametrize("suffix", ["skn", "pickle"])
def test_what_the_first_versions_wrote_is_read(suffix, kind):
    path = FILES / f"version1_{kind}.{suffix}"
    est = load(path) if suffix == "skn" else pickle.loads(path.read_bytes())
    with np.load(FILES / "version1_expected.npz") as expected:
        X = expected["X" if kind == "mlp" else "S"]
        np.testing.assert_allclose(predict(est, X), expected[kind], rtol=1e-5)
    assert_plain(est.__getstate__())


def test_parameters_that_came_later_have_their_defaults(fitted):
    state = fitted["mlp"][0].__getstate__()
    for name in ("device", "precision", "score_training", "device_"):
        del state[name]
    est = restored(MLPClassifier, state)
    assert (est.device, est.precision, est.score_training, est.device_) == ("cpu", "full", False, "cpu")


# -- states that do not fit --------------------------------------------------------------------------------------------


def restored(cls, state):
    est = cls.__new__(cls)
    est.__setstate__(state)
    return est


def state_of(est):
    """A state that may be changed."""
    return copy.deepcopy(est.__getstate__())


def put(*keys, to):
    def change(state):
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = to(state[keys[-1]]) if callable(to) else to

    return change


def drop(name):
    return lambda state: state.pop(name)


WRONG = {
    "wider": (put("_program", "layers", 1, "units", to=64), "Residual needs layers that keep the shape"),
    "widest": (put("_program", "layers", 1, "units", to=2**31 - 1), "."),
    "beyond": (put("_program", "layers", 1, "units", to=2**31), "units of Dense must be an integer .* got 2147483648"),
    "text": (put("_program", "layers", 1, "units", to="4"), "units of Dense must be an integer .* got '4'"),
    "array": (put("_program", "layers", 1, "units", to=np.array(4)), "units of Dense must be an integer .* got array"),
    "features": (put("_program", "n_features", to=6), "'_params' has shape"),
    "program": (put("_program", to=np.zeros(3)), "the network is none"),
    "parameters": (put("_params", to=lambda a: a[:-1]), "'_params' has shape"),
    "objects": (put("_params", to=lambda a: a.astype(object)), "dtype object"),
    "float32": (put("_params", to=lambda a: a.astype(np.float32)), "dtype float32"),
    "lists": (put("_params", to=lambda a: a.tolist()), "is not an array"),
    "moments": (put("_state", "s", to=lambda a: a[:-8]), "'s' has shape"),
    "step": (put("_state", "step", to=2**70), "step="),
    "solver": (put("_state", to=[1]), "state of the solver is none"),
    "no seed": (lambda state: state["_state"].pop("seed"), "no seed"),
    "n_features_in_": (put("n_features_in_", to=3), "n_features_in_ is 3, of the network 5"),
    "no n_features_in_": (drop("n_features_in_"), "'n_features_in_' is missing"),
    "n_outputs_": (put("n_outputs_", to=4), "n_outputs_ is 4"),
    "classes_": (put("classes_", to=lambda a: a[:-1]), "not those of the targets"),
    "no classes_": (drop("classes_"), "not those of the targets"),
    "targets": (put("_target", "n_outputs", to=2), "other outputs"),
    "other targets": (put("_target", "kind", to="RealTargets"), "other words"),
    "no targets": (drop("_target"), "'_target' is missing"),
    "no parameters": (drop("_params"), "without its parameters"),
    "device": (put("device_", to="/dev/null"), "no device"),
    "settings": (put("_program", "settings", to=[0.0] * 9), "settings"),
    "time": (put("_program", "n_timesteps", to=3), "."),
    "constraints": (put("_parameter_constraints", to={}), "'_parameter_constraints' is not an attribute"),
    "link": (put("_doc_link_module", to="x"), "'_doc_link_module' is not an attribute"),
    "template": (put("__doc_link_template", to="<script>"), "'__doc_link_template' is not an attribute"),
    "method": (put("predict", to=1), "'predict' is not an attribute"),
    "views": (put("_views", to=[]), "'_views' is not an attribute"),
    "random": (put("_state", "run", to={"random": 3}), "random generator"),
    "best": (put("_state", "run", to={"best_params": np.zeros(3)}), "'best_params' has shape"),
}


@pytest.mark.parametrize("what", WRONG)
def test_states_that_do_not_fit_are_refused(what, fitted):
    change, words = WRONG[what]
    state = state_of(fitted["mlp"][0])
    change(state)
    est = MLPClassifier.__new__(MLPClassifier)
    with pytest.raises(ValueError, match=words) as caught:
        est.__setstate__(state)
    assert str(caught.value).startswith("This state of MLPClassifier cannot be used: ")
    assert "\n" not in str(caught.value)
    assert not vars(est)  # nothing of it has been taken over


@pytest.mark.parametrize(
    ("name", "value"),
    [("_n_channels", 3), ("_n_channels", None), ("_table", True), ("_table", 1), ("_table", None),
     ("n_features_in_", 3), ("n_features_in_", 300_000), ("n_features_in_", "2")],
)  # fmt: skip
def test_what_sequences_are_read(name, value, fitted):
    with pytest.raises(ValueError, match="cannot be used"):
        restored(LSTMClassifier, {**state_of(fitted["lstm"][0]), name: value})


def test_a_table_has_as_many_columns_as_is_said(fitted):
    est, X, _ = fitted["table"]
    back = restored(LSTMRegressor, {**state_of(est), "n_features_in_": 300_000})
    with pytest.raises(ValueError, match="expecting 300000 features"):
        back.predict(X)
    with pytest.raises(ValueError, match="_n_channels is 2"):
        restored(LSTMRegressor, {**state_of(est), "_n_channels": 2})


def test_nothing_is_allocated_before_sizes_are_compared(fitted):
    state = state_of(fitted["mlp"][0])
    state["_program"]["layers"][1]["units"] = 2**31 - 1
    state["_program"]["layers"][2] = {**state["_program"]["layers"][1]}
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="cannot be used"):
            restored(MLPClassifier, state)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "estimator.skn"


@pytest.mark.parametrize(
    "name",
    ["_parameter_constraints", "_doc_link_module", "__doc_link_template", "_repr_html_", "_get_doc_link", "__class__",
     "_numeric_targets", "_skl_callbacks", "_views", "_predictors", "note_", "_table", "alpha", "coefs_"],
)  # fmt: skip
@pytest.mark.parametrize("is_fitted", [False, True])
def test_files_hold_no_other_attributes(name, is_fitted, fitted, path):
    est = fitted["quantiles"][0] if is_fitted else MLPRegressor()
    save(est, path)
    document, arrays = members(path)
    document["attributes"][name] = []
    document["parameters"].pop(name, None)
    write(path, document, arrays)
    with pytest.raises(ValueError, match=f"'{name}' is not an attribute that files hold|coefs_ is"):
        load(path)


def test_what_users_add_is_not_saved_in_silence(path):
    est = MLPRegressor()
    est.note_ = 3
    with pytest.raises(ValueError, match="MLPRegressor cannot be saved: 'note_' is not an attribute that files hold"):
        save(est, path)
    assert not path.exists()


def test_parameters_of_files_are_validated_fitted_or_not(fitted, path):
    for est in (MLPRegressor(), fitted["quantiles"][0]):
        save(est, path)
        document, arrays = members(path)
        document["parameters"]["loss"] = "log_loss"
        write(path, document, arrays)
        with pytest.raises(ValueError, match="The 'loss' parameter of MLPRegressor must be"):
            load(path)
    with pytest.raises(ValueError, match="cannot be saved: The 'alpha' parameter"):
        save(MLPRegressor(alpha=-1), path)


@pytest.mark.parametrize("name", ["n_features_in_", "n_iter_", "history_", "_state", "best_loss_"])
def test_files_that_lack_something(name, fitted, path):
    save(fitted["mlp"][0], path)
    document, arrays = members(path)
    del document["attributes"][name]
    write(path, document, used(document, arrays))
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_iter_", -1), ("t_", "x"), ("loss_curve_", 3), ("loss_curve_", ["x"]), ("history_", []), ("best_loss_", "x"),
     ("history_", {"dict": []}), ("_no_improvement_count", None), ("validation_scores_", 0.5), ("loss_", []),
     ("feature_names_in_", [1])],
)  # fmt: skip
def test_attributes_of_another_kind(name, value, fitted, path):
    save(fitted["mlp"][0], path)
    document, arrays = members(path)
    document["attributes"][name] = value
    write(path, document, used(document, arrays))
    with pytest.raises(ValueError, match=f"{name} is "):
        load(path)


@pytest.mark.parametrize(
    ("normalizations", "words"),
    [
        ((None, "layer", None), "weights of the previous fit do not fit"),
        ((None, "layer", "layer"), "weights of the previous fit do not fit"),
    ],
)
def test_checkpoints_of_another_layout_are_not_resumed(normalizations, words, path):
    # The coefficients have the same shapes, but the vectors are shorter than those of the network that is trained.
    X, y, _ = problem("regression")

    def make():
        return MLPRegressor(hidden_layer_sizes=(17, 4), normalization="layer", max_iter=3, random_state=0)

    whole = make().set_callbacks(Checkpoint(path)).fit(X, y)
    document, arrays = members(path)
    for i, normalization in enumerate(normalizations):
        layer(document, i)["normalization"] = normalization
    described = [Dense(17, "relu"), Dense(4, "relu", "layer"), Dense(1, None, normalizations[-1])]
    n_params = lower(described, 5, dtype=np.float64, loss="squared_error").n_params
    assert n_params < len(whole._params)
    for name, array in arrays.items():
        arrays[name] = array[:n_params] if array.shape == whole._params.shape else array
    write(path, document, arrays)
    est = make()
    with pytest.raises(ValueError, match=words):
        est.fit(X, y, resume_from=path)
    assert not hasattr(est, "coefs_")


def test_records_of_validation_belong_together(fitted, path):
    save(fitted["mlp"][0], path)
    document, arrays = members(path)
    document["attributes"]["validation_scores_"] = []
    write(path, document, arrays)
    with pytest.raises(ValueError, match="one of validation_scores_ and validation_loss_curve_ is None"):
        load(path)


def test_checkpoints_must_be_of_the_network_that_is_trained(path):
    # Whatever else comes to be possible: vectors of another layout never reach a kernel.
    X, y, _ = problem("regression")
    est = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0).set_callbacks(Pickled()).fit(X, y)
    (est, *_) = est._skl_callbacks[0].copies
    check_same_fit(est, est._program, est._state.run.data, path)
    other = lower([Dense(4, "relu", "layer"), Dense(1)], 5, dtype=np.float64, loss="squared_error")
    with pytest.raises(ValueError, match="is a checkpoint of another network"):
        check_same_fit(est, other, est._state.run.data, path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_only_files_are_replaced(tmp_path, fitted):
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    X, y, _ = problem("regression")
    for path in (pipe, link, os.devnull):
        with pytest.raises(OSError, match="Not a regular file"):
            save(MLPRegressor(), path)
        with pytest.raises(OSError, match="Not a regular file"):
            MLPRegressor().set_callbacks(Checkpoint(path)).fit(X, y)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


# -- for serving -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_files_for_serving_are_as_large_as_the_weights(dtype, path):
    X = np.random.default_rng(0).normal(size=(20, 784)).astype(dtype)
    est = MLPClassifier((256,), max_iter=1, random_state=0).fit(X, np.arange(20) % 10)
    weights = sum(array.nbytes for array in (*est.coefs_, *est.intercepts_))
    save(est, path)
    assert path.stat().st_size > 2.9 * weights
    save(est, path, for_serving=True)
    assert weights < path.stat().st_size < 1.05 * weights
    np.testing.assert_array_equal(load(path).predict_proba(X), est.predict_proba(X))


@pytest.mark.parametrize("kind", KINDS)
def test_estimators_for_serving(kind, fitted, path):
    est, X, y = fitted[kind]
    save(est, path, for_serving=True)
    back = load(path)
    np.testing.assert_array_equal(predict(back, X), predict(est, X))
    assert (back.loss_, back.n_iter_, back.t_) == (est.loss_, est.n_iter_, est.t_)
    assert back.loss_curve_ == []
    assert back.history_["loss"] == []
    size = path.stat().st_size
    save(back, path, for_serving=True)
    assert abs(path.stat().st_size - size) < 100
    # Training goes on from the weights, with an optimizer that begins anew.
    assert len(back.partial_fit(X, y).history_["loss"]) == 1
    assert back._state.step > 0
    assert back._state.s.any()
    assert back._state.batches > back._state.step
    back.set_params(warm_start=True).fit(X, y)


def test_histories_of_validation_are_left_out(path):
    X, y, _ = problem("multiclass")
    est = MLPClassifier((4,), early_stopping=True, max_iter=3, random_state=0).fit(X, y)
    save(est, path, for_serving=True)
    back = load(path)
    assert back.validation_scores_ == []
    assert back.best_validation_score_ == est.best_validation_score_


# -- fuzzing -----------------------------------------------------------------------------------------------------------

VALUES = (
    None, True, -1, 0, 1, 3, 2**31 - 1, 2**62, 2**70, 0.5, -1e308, np.nan, np.inf, "", "relu", "cuda", "x" * 99, [], {},
    (1,), np.zeros(3), np.zeros((2, 2), np.float32), np.array(["a", "b"]), np.array([1, "a"], object), np.int8(5),
    np.float32(2), [[[]]], {"kind": "Dense", "units": 3, "activation": "relu", "normalization": None},
)  # fmt: skip


def places(value, found):
    """All (container, key) within a state."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        found.append((value, key))
        places(value[key], found)
    return found


def spoil(state, rng):
    """Change something in a state: a value, a name, a length, a type."""
    found = places(state, [])
    container, key = rng.choice(found)
    value = container[key]
    how = rng.randrange(6)
    if how == 0:
        container[key] = rng.choice(VALUES)
    elif how == 1:
        del container[key]
    elif how == 2 and isinstance(value, np.ndarray):
        container[key] = value[: rng.randrange(len(value) + 1)] if value.ndim else value
    elif how == 3 and isinstance(value, np.ndarray):
        with np.errstate(all="ignore"):
            dtype = rng.choice(["f2", "f4", "f8", ">f8", "i8", "u1", "O", "U5"])
            container[key] = value.astype(dtype) if value.dtype.kind in "fiu" else np.resize(value, rng.randrange(9))
    elif how == 4:
        other, place = rng.choice(found)
        container[key] = copy.deepcopy(other[place]) if place in other or isinstance(other, list) else None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        container[key] = type(value)(value + rng.choice([-1, 1, 7, 64, -value]))


@pytest.mark.parametrize("kind", KINDS)
def test_spoilt_states_are_refused_or_predict(kind, fitted):
    est, X, _ = fitted[kind]
    rng, refused = random.Random(KINDS.index(kind)), 0
    for _ in range(60):
        state = state_of(est)
        for _ in range(rng.randint(1, 3)):
            spoil(state, rng)
        try:
            back = restored(type(est), state)
        except ValueError as error:
            assert str(error).startswith(f"This state of {type(est).__name__} cannot be used: ")  # noqa: PT017
            refused += 1
            continue
        assert back._params.shape == (back._program.n_params,)
        assert back._program.source[1] == est._program.source[1]
        back.set_params(n_jobs=1, input_format="channels_last") if kind in ("lstm", "table") else back.set_params(
            n_jobs=1
        )
        if kind == "table":
            back.n_features_in_ = X.shape[1]  # a state may say more: columns of nothing but NaN are no steps
        with np.errstate(all="ignore"):
            predict(back, X)
    assert refused > 10


@pytest.mark.parametrize("kind", ["lstm", "table"])
@pytest.mark.parametrize("value", ["relu", None, -1, 0.5, True, np.zeros(3)], ids=str)
@pytest.mark.parametrize("name", ["_n_axes", "n_timesteps_in_", "n_features_in_"])
def test_what_predictions_check_their_data_by(name, value, kind, fitted):
    est, _, _ = fitted[kind]
    with pytest.raises(ValueError, match=rf"^This state of {type(est).__name__} cannot be used: "):
        restored(type(est), {**state_of(est), name: value})


@pytest.mark.parametrize(("kind", "value"), [("lstm", 1), ("lstm", 4), ("table", 1), ("table", 3)])
def test_axes_that_no_fit_has_seen(kind, value, fitted):
    est, _, _ = fitted[kind]
    with pytest.raises(ValueError, match=f"cannot be used: X cannot have had {value} axes"):
        restored(type(est), {**state_of(est), "_n_axes": value})


@pytest.mark.parametrize(("kind", "value"), [("mlp", 1), ("mlp", None), ("mlp", {}), ("lstm", True), ("table", True)])
def test_networks_that_cannot_read_sparse_rows(kind, value, fitted):
    est, _, _ = fitted[kind]
    state = state_of(est)
    state["_program"]["sparse"] = value
    with pytest.raises(ValueError, match="cannot be used: the network reads rows with sparse="):
        restored(type(est), state)


@pytest.mark.parametrize("value", [True, False])
def test_networks_predict_for_sparse_rows_and_others(value, fitted):
    est, X, _ = fitted["mlp"]
    state = state_of(est)
    state["_program"]["sparse"] = value
    back = restored(type(est), state)
    assert state_of(back)["_program"]["sparse"] is value
    np.testing.assert_array_equal(predict(back, X), predict(est, X))
    del state["_program"]["sparse"]  # as it was at first
    np.testing.assert_array_equal(predict(restored(type(est), state), X), predict(est, X))
