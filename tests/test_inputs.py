"""The last door before addresses: what does not fit a program is refused; what belongs together is taken together."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError

from skneural import GRURegressor, MLPClassifier, MLPRegressor
from skneural.backends.base import OptimizerState
from skneural.backends.cpu.engine import Predictor, Trainer
from skneural.backends.inputs import Inputs, Sequences
from skneural.estimators._rows import RowReader
from skneural.layers import Dense, GlobalPool, Recurrent
from skneural.network.initializers import initialize
from skneural.network.memory import aligned_zeros
from skneural.network.program import lower

N_ROWS, N_FEATURES = 6, 3


def rows_program(loss="squared_error", **options):
    return lower([Dense(4, "relu"), Dense(2)], N_FEATURES, dtype=np.float32, loss=loss, **options)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def csr(values=2, indices=(0, 1), indptr=(0, 1, 2), kind=np.int64):
    return zeros(values), np.array(indices, kind), np.array(indptr, kind)


WRONG_ROWS = {
    "a list": ([[0.0] * 3], TypeError),
    "another precision": (zeros(6, 3, dtype=np.float64), TypeError),
    "another byte order": (np.zeros((6, 3), ">f4"), TypeError),
    "integers": (zeros(6, 3, dtype=np.int32), TypeError),
    "fewer columns": (zeros(6, 2), ValueError),
    "more columns": (zeros(6, 4), ValueError),
    "one row without an axis": (zeros(3), ValueError),
    "three axes": (zeros(6, 3, 1), ValueError),
    "columns of a wider array": (zeros(6, 5)[:, :3], ValueError),
    "Fortran order": (np.asfortranarray(zeros(6, 3)), ValueError),
    "sparse": (csr(), TypeError),
    "sequences": (Sequences(zeros(6, 4, 3), None), TypeError),
}
WRONG_SPARSE = {
    "dense": (zeros(6, 3), TypeError),
    "a column too far": (csr(indices=(0, 3)), ValueError),
    "a negative column": (csr(indices=(0, -1)), ValueError),
    "rows beyond the values": (csr(indptr=(0, 1, 3)), ValueError),
    "rows backwards": (csr(indptr=(0, 2, 1)), ValueError),
    "rows before the values": (csr(indptr=(-1, 1, 2)), ValueError),
    "no beginnings": (csr(indptr=()), ValueError),
    "narrow numbers of columns": (csr(kind=np.int32), TypeError),
    "fewer columns than values": (csr(values=3), ValueError),
    "another precision": ((zeros(2, dtype=np.float64), *csr()[1:]), TypeError),
}
WRONG_SEQUENCES = {
    "rows": (zeros(6, 3), TypeError),
    "fewer features": (Sequences(zeros(6, 4, 2), None), ValueError),
    "fewer steps": (Sequences(zeros(6, 3, 3), None), ValueError),
    "two axes": (Sequences(zeros(6, 4), None), ValueError),
    "another precision": (Sequences(zeros(6, 4, 3, dtype=np.float64), None), TypeError),
    "a field of records": (Sequences(np.zeros((6, 4, 3), "f4,u1")["f0"], None), ValueError),
    "lengths of others": (Sequences(zeros(6, 4, 3), zeros(5, dtype=np.int64)), ValueError),
    "lengths too long": (Sequences(zeros(6, 4, 3), np.full(6, 5)), ValueError),
    "negative lengths": (Sequences(zeros(6, 4, 3), np.full(6, -1)), ValueError),
    "narrow lengths": (Sequences(zeros(6, 4, 3), zeros(6, dtype=np.int32)), TypeError),
}


def cases(**kinds):
    return [pytest.param(kind, *case, id=f"{kind}: {name}") for kind in kinds for name, case in kinds[kind].items()]


@pytest.mark.parametrize(("kind", "X", "error"), cases(rows=WRONG_ROWS, sparse=WRONG_SPARSE, sequences=WRONG_SEQUENCES))
def test_data_that_a_program_does_not_read(kind, X, error):
    programs = {
        "rows": rows_program,
        "sparse": lambda: rows_program(sparse=True),
        "sequences": lambda: lower(
            [Recurrent("gru", 4), GlobalPool("last"), Dense(2)],
            N_FEATURES,
            dtype=np.float32,
            loss="squared_error",
            n_timesteps=4,
        ),
    }
    inputs = Inputs(programs[kind]())
    with pytest.raises(error):
        inputs.check(X)


WRONG_TARGETS = {
    "of fewer rows": ({"targets": zeros(5, 2)}, ValueError),
    "of more rows": ({"targets": zeros(7, 2)}, ValueError),
    "too narrow": ({"targets": zeros(6, 1)}, ValueError),
    "without an axis": ({"targets": zeros(6)}, ValueError),
    "of another precision": ({"targets": zeros(6, 2, dtype=np.float64)}, TypeError),
    "in Fortran order": ({"targets": np.asfortranarray(zeros(6, 2))}, ValueError),
    "weights of fewer rows": ({"weights": zeros(5)}, ValueError),
    "weights in a column": ({"weights": zeros(6, 1)}, ValueError),
    "weights with strides": ({"weights": zeros(12)[::2]}, ValueError),
    "weights of another precision": ({"weights": zeros(6, dtype=np.float64)}, TypeError),
    "parameters too short": ({"params": zeros(5)}, ValueError),
    "parameters of another precision": ({"params": aligned_zeros(rows_program().n_params, np.float64)}, TypeError),
    "no targets": ({"targets": None}, TypeError),
}


@pytest.mark.parametrize(("wrong", "error"), WRONG_TARGETS.values(), ids=WRONG_TARGETS)
def test_training_on_what_a_program_does_not_read(wrong, error):
    program = rows_program()
    given = {"params": initialize(program, 0), "X": zeros(6, 3), "targets": zeros(6, 2), "weights": None} | wrong
    with pytest.raises(error):
        Trainer(program, *given.values(), alpha=0.0, seed=0, n_threads=1)
    if "params" in wrong:
        with pytest.raises(error):
            Predictor(program, given["params"])
    elif given["targets"] is not None:
        predict = Predictor(program, given["params"], with_loss=True)
        with pytest.raises(error):
            predict(given["X"], given["targets"], given["weights"])


@pytest.mark.parametrize("number", [2, -1, np.nan, np.inf])
def test_numbers_of_classes_that_do_not_exist(number):
    targets = zeros(6, 1)
    targets[3] = number
    with pytest.raises(ValueError, match="from 0 to 1"):
        Inputs(rows_program("log_loss")).check(zeros(6, 3), targets)
    targets[3] = 1
    assert Inputs(rows_program("log_loss")).check(zeros(6, 3), targets) == 6


def test_program_for_prediction_is_not_trained():
    layers = [Recurrent("gru", 4), GlobalPool("last"), Dense(2)]
    program = lower(layers, 3, dtype=np.float32, loss="squared_error", n_timesteps=4, training=False)
    sequences = Sequences(zeros(6, 4, 3), None)
    with pytest.raises(ValueError, match="for prediction"):
        Trainer(program, initialize(program, 0), sequences, zeros(6, 2), None, alpha=0.0, seed=0, n_threads=1)


@pytest.mark.parametrize("name", ["s", "v"])
def test_state_of_an_optimizer_of_another_network(name):
    program = rows_program()
    trainer = Trainer(program, initialize(program, 0), zeros(6, 3), zeros(6, 2), None, alpha=0, seed=0, n_threads=1)
    state = OptimizerState.fresh(program)
    setattr(state, name, getattr(state, name)[:-16])
    with pytest.raises(ValueError, match=f"{name}.*must have shape"):
        trainer.start("sgd", (0.9, 1.0), state, batch=2, shuffle=True, tol=0.0, patience=np.inf)


def test_arrays_that_are_read_in_place_are_let_through():
    program = rows_program()
    predict = Predictor(program, initialize(program, 0))
    X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    expected = predict(X)[0]
    read_only = X.copy()
    read_only.flags.writeable = False
    assert_array_equal(predict(read_only)[0], expected)
    assert_array_equal(predict(X[2:4])[0], expected[2:4])
    assert predict(X[:0])[0].shape == (0, 2)


# -- estimators --------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
WIDE, NARROW = RNG.normal(size=(12, 40)), RNG.normal(size=(12, 2))
CLASSES = np.arange(12) % 3


def quick(cls=MLPRegressor, **settings):
    return cls(hidden_layer_sizes=(2,), max_iter=1, random_state=0, **settings)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_fit_after_rows_have_been_checked_is_no_crash(monkeypatch):
    # What a server does that fits a model again while others ask it, at the worst of times.
    est = quick().fit(NARROW, NARROW[:, 0])

    class ThenFit(RowReader):
        def validate_prediction(self, est, X):
            X = super().validate_prediction(est, X)
            est.fit(WIDE, WIDE[:, 0])
            return X

    monkeypatch.setattr(MLPRegressor, "_reader", ThenFit())
    with pytest.raises(ValueError, match="X has 2 features, but the network is expecting 40 features"):
        est.predict(NARROW)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_fit_in_the_midst_of_a_prediction_is_not_seen(monkeypatch):
    est = quick(MLPClassifier).fit(NARROW, CLASSES)
    expected = est.predict_proba(NARROW), np.array(["a", "b", "c"])[est.predict(NARROW)]
    est.fit(NARROW, np.array(["a", "b", "c"])[CLASSES])

    class FitThenRead(RowReader):
        def read(self, X):
            monkeypatch.undo()
            est.fit(WIDE, CLASSES > 0)
            return super().read(X)

    for method, right in zip(("predict_proba", "predict"), expected, strict=True):
        est.fit(NARROW, np.array(["a", "b", "c"])[CLASSES])
        monkeypatch.setattr(MLPClassifier, "_reader", FitThenRead())
        assert_array_equal(getattr(est, method)(NARROW), right)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_fit_that_is_refused_never_looks_unfitted():
    est = quick().fit(NARROW, NARROW[:, 0])
    expected, before = est.predict(NARROW), vars(est).copy()
    with pytest.raises(ValueError, match="inconsistent"):
        est.fit(WIDE, NARROW[:5, 0])
    assert vars(est).keys() == before.keys()
    assert_array_equal(est.predict(NARROW), expected)


# -- weights that are set before the first fit -------------------------------------------------------------------------


def preset(cls=MLPRegressor, dtype=np.float64, n_outputs=1, **settings):
    est = quick(cls, warm_start=True, **settings)
    est.coefs_ = [np.ones((2, 2), dtype), np.ones((2, n_outputs), dtype)]
    est.intercepts_ = [np.zeros(2, dtype), np.zeros(n_outputs, dtype)]
    return est


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.uint8, bool])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_set_before_the_first_fit_are_where_it_begins(method, dtype):
    est = preset(dtype=dtype, learning_rate_init=1e-9)
    getattr(est, method)(NARROW, NARROW[:, 0])
    assert est.n_features_in_ == 2
    assert est.coefs_[0].dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_allclose(est.coefs_[0], 1, atol=1e-6)
    hidden = np.maximum(NARROW.sum(axis=1), 0)
    np.testing.assert_allclose(est.predict(NARROW), 2 * hidden, atol=1e-5)
    for X in (NARROW[:, :1], WIDE.astype(np.float32), WIDE.tolist(), sparse.csr_array(WIDE)):
        with pytest.raises(ValueError, match="features, but MLPRegressor is expecting 2 features as input"):
            est.predict(X)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_weights_of_a_classifier_set_before_the_first_fit():
    est = preset(MLPClassifier, n_outputs=3)
    assert est.partial_fit(NARROW, CLASSES, classes=[0, 1, 2]).predict_proba(NARROW).shape == (12, 3)
    assert preset(MLPClassifier, n_outputs=3).fit(NARROW, CLASSES).predict_proba(NARROW).shape == (12, 3)


def test_weights_before_the_first_fit_of_another_shape():
    with pytest.raises(ValueError, match="do not fit this network"):
        preset().fit(WIDE, WIDE[:, 0])
    est = preset()
    with pytest.raises(ValueError, match="do not fit this network"):
        est.partial_fit(WIDE, WIDE[:, 0])
    assert not hasattr(est, "n_features_in_")


def test_weights_alone_make_no_fitted_estimator():
    with pytest.raises(NotFittedError, match="This MLPRegressor instance is not fitted yet"):
        preset().predict(NARROW)


@pytest.mark.parametrize("settings", [{"normalization": "batch"}, {"normalization": "layer"}])
def test_weights_before_the_first_fit_of_a_normalized_network(settings):
    with pytest.raises(ValueError, match="need a network that normalizes nothing"):
        preset(**settings).fit(NARROW, NARROW[:, 0])


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("standardize", [False, True])
def test_weights_of_a_recurrent_network_before_the_first_fit(standardize):
    X = RNG.normal(size=(6, 4, 2))
    fitted = quick(GRURegressor, standardize=standardize).fit(X, X[:, 0, 0])
    est = quick(GRURegressor, standardize=standardize, warm_start=True, learning_rate_init=1e-12)
    for name in ("coefs_", "recurrent_coefs_", "intercepts_"):
        setattr(est, name, getattr(fitted, name))
    if standardize:
        with pytest.raises(ValueError, match="need a network that normalizes nothing"):
            est.fit(X, X[:, 0, 0])
    else:
        np.testing.assert_allclose(est.fit(X, X[:, 0, 0]).predict(X), fitted.predict(X), atol=1e-8)
