"""Short cuts around what takes small fits and single predictions most of their time: they do what the long way does."""

import threading

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints
from sklearn.utils.multiclass import type_of_target

import skneural
from skneural import LSTMRegressor, MLPClassifier, MLPRegressor, NetworkRegressor
from skneural.backends.base import FEW, OptimizerState, order_keys
from skneural.backends.cpu.engine import Trainer
from skneural.backends.frame import Frame, data
from skneural.backends.records import FRAME
from skneural.estimators._base import _generator
from skneural.estimators._scores import accuracy, r2
from skneural.estimators._targets import ClassTargets
from skneural.layers import Dense, Residual
from skneural.network import initializers
from skneural.network.program import lower

ESTIMATORS = [
    getattr(skneural, family + task)
    for family in ("MLP", "LSTM", "GRU", "RNN", "Network")
    for task in ("Classifier", "Regressor")
]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.sin(X.sum(axis=1))
SEQUENCES = RNG.normal(size=(12, 5, 2))


def quick(cls=MLPRegressor, **settings):
    settings = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, "n_jobs": 1} | settings
    return cls(**settings)


def fitted(est, *args):
    """The estimator after a fit that is too short to converge."""
    with pytest.warns(UserWarning, match="converged"):
        return est.fit(*args)


# -- addresses and frames ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["plain", "read-only", "mapped", "empty", "columns", "backwards", "record", "subclass"]
)
def test_address_of_an_array(kind, tmp_path):
    array = np.arange(24.0).reshape(4, 6)
    if kind == "read-only":
        array.flags.writeable = False
    elif kind == "mapped":
        array.tofile(tmp_path / "numbers")
        array = np.memmap(tmp_path / "numbers", mode="r")
    elif kind == "empty":
        array = np.empty((0, 3), np.float32)
    elif kind == "columns":
        array = array[1:, ::2]
    elif kind == "backwards":
        array = array[::-1]
    elif kind == "record":
        array = np.zeros(3, [("a", "i1"), ("b", "f8")])["b"]
    elif kind == "subclass":

        class Own(np.ndarray):
            pass

        array = array.view(Own)
        array.note = "an attribute"
    assert data(array) == array.__array_interface__["data"][0]


def test_address_of_nothing():
    assert data(None) == 0


def test_a_frame_is_laid_out_as_kernels_read_it():
    assert {name: getattr(Frame, name).offset for name in FRAME.names} == {n: FRAME.fields[n][1] for n in FRAME.names}
    assert Frame().numbers.nbytes == FRAME.itemsize
    frame = Frame()
    frame.update(n_rows=np.int64(3), tol=np.float32(0.5), shuffle=True)
    record = frame.numbers.view(FRAME)[0]
    assert (record["n_rows"], record["tol"], record["shuffle"]) == (3, 0.5, 1)
    record["epoch"] = 7
    assert frame["epoch"] == frame.epoch == 7


def test_fields_that_a_frame_does_not_have():
    frame = Frame()
    with pytest.raises(AttributeError):
        frame["rows"] = 1
    with pytest.raises(AttributeError):
        frame.update(rows=1)
    with pytest.raises(AttributeError):
        frame["rows"]
    with pytest.raises(TypeError):  # a real number for an integer
        frame["n_rows"] = 1.5


def test_copies_of_frames():
    frame = Frame()
    frame.update(n_rows=3, rank=1)
    copy = frame.copy()
    assert (copy.n_rows, copy.rank) == (3, 1)
    assert copy.address != frame.address
    frame.update(n_rows=4, rank=2)
    assert copy.n_rows == 3
    copy.follow(frame, keep=("rank",))
    assert (copy.n_rows, copy.rank) == (4, 1)


# -- parameters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_defaults_are_what_parameters_may_be(cls):
    # The validation before a fit leaves them out.
    validate_parameter_constraints(cls._parameter_constraints, cls().get_params(deep=False), cls.__name__)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_parameters_that_are_not_defaults_are_validated(cls):
    for name, value in {"alpha": -1.0, "max_iter": 0, "solver": "none", "shuffle": "yes"}.items():
        with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of {cls.__name__}"):
            cls(**{name: value})._validate_params()
    cls(alpha=1e-4, tol=1e-4)._validate_params()


def test_constraints_of_a_subclass_hold_for_defaults():
    class Strict(MLPRegressor):
        _parameter_constraints = {**MLPRegressor._parameter_constraints, "alpha": [None]}

    with pytest.raises(InvalidParameterError, match="'alpha' parameter of Strict must be None"):
        Strict().fit(X, Y)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, np.int64(7), np.uint8(200)])
def test_generators_of_integers_are_those_of_sklearn(seed):
    for _ in range(2):
        expected = check_random_state(seed)
        found = _generator(seed)
        assert_array_equal(found.randint(2**31, size=3), expected.randint(2**31, size=3))
        assert_array_equal(found.permutation(9), expected.permutation(9))


def test_every_thread_has_a_generator():
    first = _generator(0)
    drawn = first.randint(2**31)
    others = []
    thread = threading.Thread(target=lambda: others.append(_generator(0)))
    thread.start()
    thread.join()
    assert others[0] is not first
    assert others[0].randint(2**31) == drawn


def test_other_random_states_are_taken_as_they_are():
    own = np.random.RandomState(3)
    assert _generator(own) is own
    with pytest.raises(ValueError, match="Seed must be between"):
        _generator(-1)
    with pytest.raises(ValueError, match="cannot be used to seed"):
        _generator("a")


# -- rows, sequences and labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["list", "Fortran", "swapped", "integers"])
def test_plain_rows_are_fitted_as_others(form):
    rows = np.round(X)
    given = {
        "list": lambda: rows.tolist(),
        "Fortran": lambda: np.asfortranarray(rows),
        "swapped": lambda: rows.astype(rows.dtype.newbyteorder()),
        "integers": lambda: rows.astype(int),
    }
    plain = fitted(quick(), rows, Y)
    other = fitted(quick(), given[form](), Y.tolist())
    assert plain.n_features_in_ == other.n_features_in_ == 3
    assert vars(plain).keys() == vars(other).keys()
    assert_array_equal(plain._params, other._params)
    assert_array_equal(plain.predict(rows), other.predict(given[form]()))


@pytest.mark.parametrize("cls", [MLPRegressor, LSTMRegressor, NetworkRegressor])
def test_names_of_features_are_forgotten_by_a_fit_on_plain_rows(cls):
    settings = {"max_iter": 2, "random_state": 0}
    if cls is not NetworkRegressor:
        settings["hidden_layer_sizes"] = (4,)
    est = fitted(cls(**settings), pd.DataFrame(X, columns=["a", "b", "c"]), Y)
    assert list(est.feature_names_in_) == ["a", "b", "c"]
    sequences = cls is LSTMRegressor
    fitted(est, SEQUENCES if sequences else X, Y[: len(SEQUENCES)] if sequences else Y)
    assert not hasattr(est, "feature_names_in_")
    assert est.n_features_in_ == (2 if sequences else 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_plain_data_that_is_not_finite(bad):
    rows = X.copy()
    rows[3, 1] = bad
    with pytest.raises(ValueError, match="Input X contains"):
        quick().fit(rows, Y)
    targets = Y.copy()
    targets[2] = bad
    with pytest.raises(ValueError, match="Input y contains"):
        quick().fit(X, targets)
    sequences = SEQUENCES.copy()
    sequences[1, 2, 0] = bad
    with pytest.raises(ValueError, match="first in sequence 1, time step 2, feature 0"):
        quick(LSTMRegressor).fit(sequences, Y[:12])


@pytest.mark.parametrize(("rows", "y"), [(X[:0], Y[:0]), (X[:, :0], Y), (X, Y[1:]), (X, None), (X[0], Y[:3])])
def test_plain_rows_that_are_refused(rows, y):
    est = quick()
    with pytest.raises(ValueError):  # noqa: PT011 (in scikit-learn's words, which change)
        est.fit(rows, y)
    assert not hasattr(est, "n_features_in_")


def test_plain_sequences_are_fitted_as_lists():
    y = Y[:12]
    plain = fitted(quick(LSTMRegressor), SEQUENCES, y)
    listed = fitted(quick(LSTMRegressor), list(SEQUENCES), y)
    for name in ("n_features_in_", "n_timesteps_in_", "_n_channels", "_n_axes", "_table"):
        assert getattr(plain, name) == getattr(listed, name)
    assert_array_equal(plain._params, listed._params)
    assert_array_equal(plain.predict(SEQUENCES[:1]), listed.predict([SEQUENCES[0]]))
    with pytest.raises(ValueError, match="is expecting 2 features"):
        plain.predict(SEQUENCES[:, :, :1])
    with pytest.raises(ValueError, match="is expecting 2 features"):
        plain.partial_fit(SEQUENCES[:, :, :1], y)


@pytest.mark.parametrize(
    "y",
    [
        np.tile([1, 0], 20),
        np.tile([True, False], 20),
        np.tile(["b", "a", "c", "a"], 10),
        np.tile(np.array([3, -1, 7], np.int8), 14),
        np.zeros(40, int),
        np.arange(40),
        np.tile([0.0, 1.0], 20),
        np.tile(["b", "a"], 20).astype(object),
        np.tile([[0, 1], [1, 0]], (20, 1)),
    ],
    ids=["integers", "booleans", "text", "int8", "one class", "many classes", "reals", "objects", "multilabel"],
)
@pytest.mark.filterwarnings("ignore:The number of unique classes")  # of older versions of scikit-learn
def test_classes_of_plain_labels(y):
    targets = ClassTargets(y, "log_loss")
    is_multilabel = type_of_target(y) == "multilabel-indicator"
    assert targets.multilabel == is_multilabel
    assert_array_equal(targets.classes_, np.arange(2) if is_multilabel else np.unique(y))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.linspace(0, 1, 40), "continuous"),
        (np.zeros((40, 2, 2)), "y must have shape"),
        (np.array([[1, 2], [3, 4]] * 20), "Multioutput target data is not supported"),
    ],
    ids=["reals", "three axes", "two labels"],
)
def test_targets_that_are_no_classes(y, words):
    with pytest.raises(ValueError, match=words):
        MLPClassifier().fit(X, y)


# -- what is computed beforehand ---------------------------------------------------------------------------------------


def network(layers, **options):
    return lower(layers, 3, dtype=np.float32, loss="squared_error", **options)


def test_a_network_is_lowered_once():
    layers = [Dense(4, "relu"), Dense(1)]
    program = network(layers)
    assert network(list(layers)) is program
    assert network([Dense(4, "tanh"), Dense(1)]) is not program
    for options in ({"sparse": True}, {"training": False}, {"input_gradient": True}):
        assert network(layers, **options) is not program
    assert lower(layers, 3, dtype=np.float64, loss="squared_error").dtype == np.float64
    assert lower(layers, 4, dtype=np.float32, loss="squared_error").source.n_features == 4


def test_layers_that_cannot_be_hashed_are_lowered():
    listed = [Residual([Dense(3)]), Dense(1)]
    program = network(listed)
    assert program.same_parameters(network([Residual((Dense(3),)), Dense(1)]))


def test_wrong_networks_are_refused_every_time():
    for _ in range(2):
        with pytest.raises(ValueError, match="at least one layer"):
            network([])
        with pytest.raises(TypeError, match="Layers must be"):
            network([Dense])


def test_fits_share_no_parameters():
    first = fitted(quick(), X, Y)
    before = first._params.copy()
    second = fitted(quick(random_state=1), X, Y)
    assert first._program is second._program
    assert not np.shares_memory(first._params, second._params)
    assert_array_equal(first._params, before)


def test_keys_of_orders_do_not_depend_on_how_many_are_asked_for():
    together = order_keys(2**40 + 5, 3, 4 * FEW)
    apart = [order_keys(2**40 + 5, epoch, 1) for epoch in range(3, 3 + 4 * FEW)]
    assert_array_equal(together, np.concatenate(apart))


@pytest.mark.parametrize("columns", [1, 4])
def test_constants_do_not_depend_on_where_calls_end(columns):
    program = network([Dense(1)])
    params = np.zeros(program.n_params, np.float32)
    rows = X[:8].astype(np.float32)
    targets = np.zeros((8, 1), np.float32)
    trainer = Trainer(program, params, rows, targets, None, alpha=0.0, seed=0, n_threads=1)
    state = OptimizerState.fresh(program)
    trainer.start("adam", (0.9, 0.999, 1e-8), state, batch=2, shuffle=False, tol=0.0, patience=np.inf)
    rates = np.linspace(0.1, 0.2, 3 * columns).reshape(3, columns)
    whole = trainer.constants(rates, 0, 12)
    assert_array_equal(np.unique(whole[:, 0]).size, 12)
    parts = []
    for first, count in ((0, 1), (1, 5), (6, 6)):
        trainer.frame.step = first  # as the walker counts
        parts.append(trainer.constants(rates, first, count))
    assert_array_equal(np.concatenate(parts), whole)
    steady = trainer.optimizer.constants(np.repeat(rates[:, 0], 4), np.arange(7, 19), 0.9, 0.999, 1e-8)[0]
    if columns == 1:
        assert_array_equal(trainer.constants(rates, 0, 12)[:, 0], steady)
    trainer.close()


def test_initial_numbers_do_not_depend_on_blocks(monkeypatch):
    count = 1000
    together = initializers.uniform(count, 123, 2)
    monkeypatch.setattr(initializers, "BLOCK", 7)
    assert_array_equal(initializers.uniform(count, 123, 2), together)
    assert 0 <= together.min() < together.max() < 1


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_orthogonal_matrices_of_a_stack(shape):
    drawn = initializers.uniform(3 * shape[0] * shape[1], 1, 0).reshape(3, *shape)
    stack = initializers.orthogonal(drawn, shape, None)
    assert_array_equal(stack, [initializers.orthogonal(part, shape, None) for part in drawn])


# -- scores ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["integers", "booleans", "text", "reals", "objects", "list"])
@pytest.mark.parametrize("weighted", [False, True])
def test_accuracy_is_that_of_sklearn(kind, weighted):
    y = RNG.integers(2, size=30)
    kinds = {"integers": int, "booleans": bool, "text": str, "reals": float, "objects": str, "list": int}
    y = y.astype(kinds[kind])
    if kind == "objects":
        y = y.astype(object)
    predicted = np.roll(y, 1)
    weights = RNG.uniform(size=30) if weighted else None
    given = y.tolist() if kind == "list" else y
    assert accuracy(given, predicted, weights) == accuracy_score(given, predicted, sample_weight=weights)


@pytest.mark.parametrize(("y_type", "type_"), [("f4", "f4"), ("f8", "f8"), ("f8", "f4"), ("i8", "f4")])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_r2_is_that_of_sklearn(y_type, type_, n_outputs):
    y = (10 * RNG.normal(size=(501, n_outputs))).astype(y_type)
    predicted = (y + RNG.normal(size=y.shape)).astype(type_)
    if n_outputs == 1:
        y = y.ravel()
        predicted = predicted.ravel()
    tolerance = 1e-6 if type_ == "f4" else 1e-14
    np.testing.assert_allclose(r2(y, predicted), r2_score(y, predicted), rtol=tolerance)
    weights = RNG.uniform(size=501)
    assert r2(y, predicted, weights) == r2_score(y, predicted, sample_weight=weights)


def test_r2_where_it_is_no_share():
    assert r2(np.ones(3), np.ones(3)) == r2_score(np.ones(3), np.ones(3)) == 1
    assert r2(np.ones(3), np.arange(3.0)) == r2_score(np.ones(3), np.arange(3.0)) == 0
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(r2(np.ones(1), np.ones(1)))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="Input contains"):
            r2(np.arange(3.0), np.array([0.0, bad, 1.0]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        r2(np.arange(3.0), np.arange(4.0))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        accuracy(np.arange(3), np.arange(4))


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_validation_scores_are_those_of_score(cls):
    y = (Y > 0).astype(int) if cls is MLPClassifier else Y
    est = quick(cls, max_iter=3)
    with pytest.warns(UserWarning, match="converged"):
        est.fit(X[:30], y[:30], X_val=X[30:], y_val=y[30:])
    assert est.best_validation_score_ == est.score(X[30:], y[30:])
