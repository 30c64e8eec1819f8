"""Bad input, odd input, threads, processes, pickles: what estimators meet in practice."""

import copy
import io
import os
import pickle
import re
import signal
import threading
import time
import warnings
from itertools import product

import joblib
import numpy as np
import pytest
from conftest import KINDS, assert_same_bits, estimator_for, one_at_a_time, parameters, problem
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import neural_network as sk
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict

from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (6, 3), "max_iter": 3, "random_state": 0, "batch_size": 16}
#: Seconds after which something that takes one has come to a deadlock, on whatever machine.
HANGS = 600
SOLVERS = pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
TASKS = pytest.mark.parametrize("kind", ["multiclass", "regression"])


def small(kind, **settings):
    """An estimator for a kind of target, with few units and epochs."""
    return estimator_for(kind)(**{**SMALL, **problem(kind)[2], **settings})


def twin_of(est):
    """scikit-learn's estimator with the same settings."""
    cls = getattr(sk, type(est).__name__)
    known = cls().get_params()
    return cls(**{name: value for name, value in est.get_params().items() if name in known})


def error_of(call, *args, **keywords):
    """(type, first line of the message) of what a call raises, None if nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(*args, **keywords)
    except Exception as error:
        words = str(error).splitlines()[0]
        if "must be a str among {" in words:  # a set, in any order
            words = sorted(re.findall(r"[^\s,{}]+", words))
        return type(error), words
    return None


def remembered(est, X):
    """Everything public that a fit left behind."""
    state = {name: copy.deepcopy(value) for name, value in vars(est).items() if name.endswith("_")}
    state["predictions"] = est.predict(X)
    if hasattr(est, "predict_proba"):
        state["probabilities"] = est.predict_proba(X)
    return state


def assert_remembered(est, X, state):
    now = remembered(est, X)
    assert set(now) == set(state)
    for name, value in state.items():
        np.testing.assert_equal(now[name], value, err_msg=name)


# -- bad input: the error, and nothing lost ----------------------------------------------------------------------------


def poke(array, value, dtype=None):
    """The array with one element replaced."""
    array = np.array(array, dtype or array.dtype)
    array[(3, 1)[: array.ndim]] = value
    return array


# Each takes good (X, y, weights) and spoils something.
BAD_FIT = {
    "X with NaN": lambda X, y, w: (poke(X, np.nan), y, w),
    "X with inf": lambda X, y, w: (poke(X, np.inf), y, w),
    "X with -inf": lambda X, y, w: (poke(X, -np.inf), y, w),
    "X with inf and -inf": lambda X, y, w: (poke(poke(X, np.inf)[::-1], -np.inf), y, w),
    "sparse X with NaN": lambda X, y, w: (sparse.csr_matrix(poke(X, np.nan)), y, w),
    "float32 X with NaN": lambda X, y, w: (poke(X, np.nan, np.float32), y, w),
    "complex X": lambda X, y, w: (X + 1j, y, w),
    "text X": lambda X, y, w: (np.full(X.shape, "text"), y, w),
    "object X": lambda X, y, w: (poke(X, "text", object), y, w),
    "X of dicts": lambda X, y, w: (poke(X, {}, object), y, w),
    "X with one dimension": lambda X, y, w: (X[:, 0], y, w),
    "X with three dimensions": lambda X, y, w: (X[:, :, None], y, w),
    "X that is a number": lambda X, y, w: (3.0, y, w),
    "no X": lambda X, y, w: (None, y, w),
    "no rows": lambda X, y, w: (X[:0], y[:0], None),
    "no columns": lambda X, y, w: (X[:, :0], y, w),
    "ragged X": lambda X, y, w: ([[1.0, 2.0], [3.0]], y[:2], None),
    "y with NaN": lambda X, y, w: (X, poke(y, np.nan, float), w),
    "y with inf": lambda X, y, w: (X, poke(y, np.inf, float), w),
    "no y": lambda X, y, w: (X, None, w),
    "complex y": lambda X, y, w: (X, y + 1j, w),
    "y with three dimensions": lambda X, y, w: (X, np.stack([y, y], axis=-1)[:, None], w),  # one that is 1 may go
    "y that is a number": lambda X, y, w: (X, 3.0, w),
    "y too short": lambda X, y, w: (X, y[:-1], w),
    "y of objects of several kinds": lambda X, y, w: (X, poke(y, "text", object), w),
    "weights too short": lambda X, y, w: (X, y, w[:-1]),
    "weights with two dimensions": lambda X, y, w: (X, y, w[:, None]),
    "weights with NaN": lambda X, y, w: (X, y, poke(w, np.nan)),
    "weights with inf": lambda X, y, w: (X, y, poke(w, np.inf)),
    "all weights zero": lambda X, y, w: (X, y, 0 * w),
    "weights of text": lambda X, y, w: (X, y, np.full(len(y), "text")),
    "complex weights": lambda X, y, w: (X, y, w + 1j),
}
# Where scikit-learn fails further down, in words that do not say why: its error, and ours.
THREE_DIMENSIONS = (
    ValueError, ValueError,  # scikit-learn's does not say which array, and nothing of what to do
    "y must have shape (n_samples,), (n_samples, n_outputs) or (n_samples, n_outputs, 1), got shape (60, 1, 2): "
    "several targets at several steps become columns with y.reshape(len(y), -1).",
)  # fmt: skip
BY_ACCIDENT = {
    "regression": {"y with three dimensions": THREE_DIMENSIONS},
    "multiclass": {
        "y with three dimensions": THREE_DIMENSIONS,
        "y of objects of several kinds": (
            TypeError, ValueError,
            "Unknown label type: unknown. Maybe you are trying to fit a classifier, which expects discrete classes on "
            "a regression target with continuous values.",
        ),
    },
}  # fmt: skip
# What scikit-learn takes and we do not.
BAD_FIT_OURS = {
    "negative weights": (lambda X, y, w: (X, y, poke(w, -1.0)), ValueError, "Negative values in data.*sample_weight"),
}


@TASKS
@pytest.mark.parametrize("case", BAD_FIT)
def test_bad_input_to_fit(kind, case):
    X, y, _ = problem(kind)
    bad = BAD_FIT[case](X, y, np.ones(60))
    fitted, not_fitted = small(kind).fit(X, y), small(kind)
    before = remembered(fitted, X)
    expected = error_of(twin_of(fitted).fit, bad[0], bad[1], sample_weight=bad[2])
    if case in BY_ACCIDENT.get(kind, {}):
        assert issubclass(expected[0], BY_ACCIDENT[kind][case][0])
        expected = BY_ACCIDENT[kind][case][1:]
    for est in (fitted, not_fitted):
        got = error_of(est.fit, bad[0], bad[1], sample_weight=bad[2])
        assert got == expected
        assert got is not None
    assert_remembered(fitted, X, before)
    assert error_of(not_fitted.predict, X)[0] is NotFittedError
    # Not even if the bad data have other features, classes or outputs than the good ones had.
    other_y = y + 7 if kind == "multiclass" else np.c_[y, y]
    bad = BAD_FIT[case](X[:, :3], other_y, np.ones(60))
    assert error_of(fitted.fit, bad[0], bad[1], sample_weight=bad[2]) is not None
    assert_remembered(fitted, X, before)
    # It still learns as if nothing had been.
    assert_same_bits(fitted.partial_fit(X, y), small(kind).fit(X, y).partial_fit(X, y))


@TASKS
@pytest.mark.parametrize("case", BAD_FIT_OURS)
def test_bad_input_that_sklearn_takes(kind, case):
    X, y, _ = problem(kind)
    spoil, error, words = BAD_FIT_OURS[case]
    X_bad, y_bad, weights = spoil(X, y, np.ones(60))
    est = small(kind).fit(X, y)
    before = remembered(est, X)
    for call in (est.fit, est.partial_fit):
        with pytest.raises(error, match=words):
            call(X_bad, y_bad, weights)
        assert_remembered(est, X, before)


@pytest.mark.parametrize(
    ("kind", "y", "words"),
    [
        ("multiclass", np.linspace(0, 1, 60), "Unknown label type: continuous"),
        ("multiclass", np.tile([[0, 1, 2], [1, 2, 0]], (30, 1)), "Multioutput target data is not supported"),
        ("multiclass", np.tile([[0.5, 1], [1, 2]], (30, 1)), "Unknown label type|Multioutput"),
        ("regression", np.full(60, "text"), "could not convert string to float"),
        ("regression", np.full(60, "text", object), "could not convert string to float"),
    ],
    ids=["real", "several outputs", "several real outputs", "text", "text objects"],
)
def test_targets_for_the_other_task(kind, y, words):
    X, good, _ = problem(kind)
    est = small(kind).fit(X, good)
    before = remembered(est, X)
    assert error_of(twin_of(est).fit, X, y) is not None
    for X_bad in (X, X[:, :3]):
        with pytest.raises(ValueError, match=words):
            est.fit(X_bad, y)
        assert_remembered(est, X, before)


@TASKS
@pytest.mark.parametrize("case", ["X with NaN", "complex X", "no rows", "X with one dimension", "y too short"])
def test_bad_input_to_partial_fit(kind, case):
    X, y, _ = problem(kind)
    bad = BAD_FIT[case](X, y, None)[:2]
    first = {"classes": [0, 1, 2]} if kind == "multiclass" else {}
    est = small(kind)
    expected = error_of(twin_of(est).partial_fit, *bad, **first)
    assert expected is not None
    assert error_of(est.partial_fit, *bad, **first) == expected
    # It was as if there had been no call: another list of classes may follow.
    first = {"classes": [0, 1, 2, 3]} if kind == "multiclass" else {}
    est.partial_fit(X, y, **first)
    assert_same_bits(est, small(kind).partial_fit(X, y, **first))
    before = remembered(est, X)
    assert error_of(est.partial_fit, *bad) == expected
    assert_remembered(est, X, before)


def test_labels_and_features_of_partial_fit():
    X, y, _ = problem("multiclass")
    for bad in (
        {"y": y + 1},
        {"y": np.array(["a", "b", "c"])[y]},
        {"classes": [1, 2, 3]},
        {"X": X[:, 1:]},
    ):
        ours = small("multiclass").partial_fit(X, y, classes=[0, 1, 2])
        before = remembered(ours, X)
        theirs = twin_of(ours).partial_fit(X, y, classes=[0, 1, 2])
        expected = error_of(theirs.partial_fit, **{"X": X, "y": y, **bad})
        got = error_of(ours.partial_fit, **{"X": X, "y": y, **bad})
        assert got is not None
        if "y" not in bad or bad["y"].dtype.kind != "U":  # scikit-learn fails on mixed labels in NumPy's words
            assert got == expected
        assert_remembered(ours, X, before)
    ours = small("multiclass")
    expected = error_of(twin_of(ours).partial_fit, X, y)
    assert error_of(ours.partial_fit, X, y) == expected == (ValueError, expected[1])
    expected = error_of(twin_of(ours).partial_fit, X, y, classes=[0, 1])
    assert error_of(ours.partial_fit, X, y, classes=[0, 1]) == expected
    assert not hasattr(ours, "classes_")


def test_outputs_of_partial_fit():
    X, y, _ = problem("regression")
    est = small("regression").partial_fit(X, y)
    before = remembered(est, X)
    with pytest.raises(ValueError, match="outputs"):
        est.partial_fit(X, np.c_[y, y])
    assert_remembered(est, X, before)


@TASKS
@pytest.mark.parametrize("case", [name for name in BAD_FIT if "X" in name or name in ("no rows", "no columns")])
def test_bad_input_to_predict(kind, case):
    X, y, _ = problem(kind)
    bad = BAD_FIT[case](X, y, None)[0]
    ours, theirs = small(kind).fit(X, y), twin_of(small(kind)).fit(X, y)
    # Of text scikit-learn speaks in other words at prediction than in fit; ours are those of fit.
    of_fit = error_of(theirs.fit, bad, y) if case == "text X" else None
    methods = ["predict"] if kind == "regression" else ["predict", "predict_proba", "predict_log_proba"]
    for method in methods:
        expected = error_of(getattr(theirs, method), bad)
        assert expected is not None
        assert error_of(getattr(ours, method), bad) == (of_fit or expected)


@TASKS
def test_predict_with_other_features(kind):
    X, y, _ = problem(kind)
    ours, theirs = small(kind).fit(X, y), twin_of(small(kind)).fit(X, y)
    for bad in (X[:, 1:], np.c_[X, X], sparse.csr_matrix(X[:, 1:])):
        expected = error_of(theirs.predict, bad)
        assert expected is not None
        assert error_of(ours.predict, bad) == expected


@TASKS
def test_values_too_large_for_the_precision(kind):
    X, y, _ = problem(kind)
    est = small(kind, dtype="float32").fit(X, y)
    before = remembered(est, X)
    calls = [("X", lambda: est.predict(1e300 * X)), ("X", lambda: est.fit(1e300 * X, y))]
    if kind == "regression":
        calls.append(("y", lambda: est.fit(X, 1e300 * y)))
    calls.append(("sample_weight", lambda: est.fit(X, y, np.full(60, 1e300))))
    for name, call in calls:
        # NumPy warns of the conversion, and of the sum by which scikit-learn looks for infinity.
        with np.errstate(all="ignore"), pytest.raises(ValueError, match=f"{name} contains infinity or a value too"):
            call()
        assert_remembered(est, X, before)


@TASKS
def test_sums_that_overflow_are_no_error(kind):
    # Infinity is looked for in the sum of X: that it overflows does not make X infinite, nor is it worth a warning.
    X, y, _ = problem(kind)
    est = small(kind).fit(X, y)
    assert est.predict(np.full((2, 5), 1e308)).shape == (2,)


@TASKS
def test_not_fitted(kind):
    X, _, _ = problem(kind)
    est = small(kind)
    expected = error_of(twin_of(est).predict, X)
    assert error_of(est.predict, X) == expected
    assert expected is not None


BAD_PARAMETERS = [
    ("hidden_layer_sizes", 0), ("hidden_layer_sizes", -3), ("hidden_layer_sizes", [5, 0]), ("hidden_layer_sizes", "ab"),
    ("hidden_layer_sizes", (-1,)), ("hidden_layer_sizes", None),
    ("solver", "sag"), ("alpha", -1e-9), ("alpha", "1"), ("alpha", np.nan), ("batch_size", 0), ("batch_size", "all"),
    ("batch_size", 1.5), ("learning_rate", "linear"), ("learning_rate_init", 0), ("learning_rate_init", -1.0),
    ("power_t", -0.1), ("max_iter", 0), ("max_iter", 1.5), ("shuffle", "yes"), ("random_state", "seed"), ("tol", -1e-9),
    ("verbose", "loud"), ("warm_start", "yes"), ("momentum", 1.01), ("momentum", -0.1), ("nesterovs_momentum", 0.5),
    ("early_stopping", "yes"), ("validation_fraction", 1.0), ("validation_fraction", -0.1), ("beta_1", 1.0),
    ("beta_1", -0.1), ("beta_2", 1.0), ("beta_2", -0.1), ("epsilon", 0.0), ("n_iter_no_change", 0),
    ("n_iter_no_change", 2.5), ("max_fun", 0), ("max_fun", 1.5),
]  # fmt: skip


@TASKS
@pytest.mark.parametrize(("parameter", "value"), BAD_PARAMETERS, ids=str)
def test_bad_parameters(kind, parameter, value):
    X, y, _ = problem(kind)
    est = small(kind).fit(X, y)
    before = remembered(est, X)
    good = est.get_params()[parameter]
    est.set_params(**{parameter: value})
    expected = error_of(twin_of(est).fit, X, y)
    assert expected is not None
    if parameter in ("solver", "learning_rate"):  # there are more to choose from
        added = [repr(name) for name in (OPTIMIZERS if parameter == "solver" else SCHEDULES)]
        expected = expected[0], sorted({*expected[1], *added})
    assert error_of(est.fit, X, y) == expected
    assert_remembered(est.set_params(**{parameter: good}), X, before)
    if parameter == "solver":
        return  # without a stochastic one there is no partial_fit
    first = {"classes": [0, 1, 2]} if kind == "multiclass" else {}
    assert error_of(clone(est).set_params(**{parameter: value}).partial_fit, X, y, **first) == expected
    # At later calls scikit-learn does not check parameters. Whatever comes of that, no later fit suffers.
    error_of(est.set_params(**{parameter: value}).partial_fit, X, y)
    assert_same_bits(est.set_params(**{parameter: good}).fit(X, y), clone(est).fit(X, y))


@pytest.mark.parametrize(
    ("kind", "parameter", "value"),
    [
        ("multiclass", "activation", "softmax"),
        ("regression", "loss", "log_loss"),
        ("multiclass", "loss", "binary_log_loss"),
        ("regression", "huber_delta", 0.0),
        ("regression", "quantiles", 1.0),
        ("multiclass", "label_smoothing", 1.0),
        ("multiclass", "focal_gamma", -0.1),
        ("multiclass", "focal_alpha", 1.1),
        ("regression", "l1_ratio", 1.1),
        ("regression", "weight_decay", -0.1),
        ("regression", "rho", 1.0),
        ("regression", "decay_factor", 0.0),
        ("regression", "decay_factor", 1.1),
        ("regression", "decay_factor", "half"),
        ("regression", "decay_epochs", 0),
        ("regression", "decay_epochs", 1.5),
        ("regression", "warmup", -0.1),
        ("regression", "warmup", 1.1),
        ("regression", "weight_init", "zeros"),
        ("regression", "input_noise", -0.1),
        ("regression", "normalization", "group"),
        ("regression", "residual", "yes"),
        ("regression", "clip_norm", 0.0),
        ("regression", "clip_value", -1.0),
        ("regression", "max_norm", 0),
        ("regression", "monitor_gradients", "yes"),
        ("regression", "score_training", "yes"),
        ("multiclass", "hidden_layer_sizes", (2.5,)),
        ("multiclass", "class_weight", "equal"),
        ("multiclass", "dropout", 2.0),
        ("multiclass", "n_jobs", 0),
        ("multiclass", "dtype", "int8"),
        ("multiclass", "device", "gpu"),
        ("regression", "device", "cuda:"),
        ("regression", "precision", "half"),
        ("multiclass", "precision", "tf32"),
    ],
)
def test_bad_parameters_of_our_own(kind, parameter, value):
    X, y, _ = problem(kind)
    est = small(kind).fit(X, y)
    before = remembered(est, X)
    est.set_params(**{parameter: value})
    with pytest.raises(ValueError, match=parameter):
        est.fit(X, y)
    assert_remembered(est.set_params(**{parameter: small(kind).get_params()[parameter]}), X, before)
    first = {"classes": [0, 1, 2]} if kind == "multiclass" else {}
    with pytest.raises(ValueError, match=parameter):
        small(kind, **{parameter: value}).partial_fit(X, y, **first)


def test_warm_start_with_other_classes_or_features():
    X, y, _ = problem("multiclass")
    ours = small("multiclass", warm_start=True).fit(X, y)
    theirs = twin_of(ours).fit(X, y)
    before = remembered(ours, X)
    for bad in ((X, y + 1), (X, np.minimum(y, 1)), (X[:, 1:], y)):
        expected = error_of(theirs.fit, *bad)
        assert expected is not None
        assert error_of(ours.fit, *bad) == expected
        assert_remembered(ours, X, before)


@TASKS
@pytest.mark.parametrize("n_samples", [1, 2, 3])
def test_too_few_rows_for_early_stopping(kind, n_samples):
    X, y, _ = problem(kind)
    est = small(kind, early_stopping=True)
    expected = error_of(twin_of(est).fit, X[:n_samples], y[:n_samples])
    assert expected is not None
    got = error_of(est.fit, X[:n_samples], y[:n_samples])
    assert got is not None
    assert got[0] is expected[0]


def test_early_stopping_with_a_class_of_one_row():
    # scikit-learn does not stratify more than two classes, so this works there.
    X, y, _ = problem("multiclass")
    y[0] = 3
    est = small("multiclass", early_stopping=True)
    assert error_of(twin_of(est).fit, X, y) is None
    assert est.fit(X, y).predict(X).shape == (60,)


# -- one class, one row, one feature -----------------------------------------------------------------------------------


@SOLVERS
@pytest.mark.parametrize("label", [3, "a", True], ids=str)
def test_one_class(solver, label):
    X, _, _ = problem("multiclass")
    y = np.full(60, label)
    ours, theirs = small("multiclass", solver=solver).fit(X, y), twin_of(small("multiclass", solver=solver)).fit(X, y)
    assert_array_equal(ours.classes_, theirs.classes_)
    assert_array_equal(ours.predict(X), y)
    assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.predict_proba(X).shape == (60, 1)
    assert_array_equal(ours.predict_proba(X), 1)


#: Rows and features, few of either.
FEW = [(1, 5), (60, 1), (1, 1), (2, 5), (17, 5)]


@pytest.mark.parametrize(
    ("kind", "solver", "shape"),
    [*product(KINDS, ["adam"], FEW), *product(["multiclass"], ["lbfgs", "sgd"], FEW)], ids=str,
)  # fmt: skip
def test_few_rows_and_features(kind, shape, solver):
    X, y, _ = problem(kind)
    X, y = X[: shape[0], : shape[1]], y[: shape[0]]
    est = small(kind, solver=solver, batch_size="auto").fit(X, y)
    twin = twin_of(est).fit(X, y)
    assert est.predict(X).shape == twin.predict(X).shape
    assert est.coefs_[0].shape == (shape[1], 6)
    assert np.isfinite(est.loss_)
    assert_same_bits(clone(est).fit(X, y), est)


@SOLVERS
@TASKS
def test_constant_features(kind, solver):
    X, y, _ = problem(kind)
    for value in (0.0, 1.0, -1e6):
        X[:] = value
        est = small(kind, solver=solver).fit(X, y)
        assert len(np.unique(est.predict(X))) == 1


@TASKS
def test_batch_size_larger_than_the_data(kind):
    X, y, _ = problem(kind)
    est = small(kind, batch_size=61)
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample size. It is going to be"):
        est.fit(X, y)
    assert_same_bits(est, small(kind, batch_size=60).fit(X, y))


@TASKS
@pytest.mark.parametrize("batch_size", [1, 7, 59, 60])
def test_every_row_counts_once_an_epoch(kind, batch_size):
    # With a learning rate of nothing an epoch's loss is the mean over the rows, however they fall into batches.
    X, y, _ = problem(kind)
    settings = {"solver": "sgd", "learning_rate_init": 1e-300, "max_iter": 1, "alpha": 0.0}
    expected = small(kind, batch_size=60, shuffle=False, **settings).fit(X, y).loss_
    for shuffle in (False, True):
        got = small(kind, batch_size=batch_size, shuffle=shuffle, **settings).fit(X, y).loss_
        assert_allclose(got, expected, rtol=1e-12)


# -- layouts and types -------------------------------------------------------------------------------------------------


def read_only(a):
    a = np.array(a)
    a.flags.writeable = False
    return a


def memory_mapped(a):
    handle = io.BytesIO()
    np.save(handle, a)
    path = os.path.join(MEMMAPS, f"{len(os.listdir(MEMMAPS))}.npy")
    with open(path, "wb") as file:
        file.write(handle.getvalue())
    return np.load(path, mmap_mode="r")


def strided(a):
    wide = np.zeros(tuple(2 * n for n in a.shape), a.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def reversed_view(a):
    return a[::-1].copy()[::-1]


def part_of_rows(a):
    """Rows that stand apart, each of them contiguous."""
    if a.ndim == 1:
        return strided(a)
    return np.hstack([a, a])[:, : a.shape[1]]


def misaligned(a):
    raw = np.zeros(a.nbytes + 1, np.uint8)[1:]
    out = raw.view(a.dtype).reshape(a.shape) if a.dtype != object else a
    out[...] = a
    return out


def foreign_bytes(a):
    return a.astype(a.dtype.newbyteorder())


LAYOUTS = {
    "read-only": read_only, "memory-mapped": memory_mapped, "Fortran": np.asfortranarray, "strided": strided,
    "reversed": reversed_view, "part of rows": part_of_rows, "misaligned": misaligned, "foreign bytes": foreign_bytes,
}  # fmt: skip
MEMMAPS = None


@pytest.fixture(autouse=True, scope="module")
def _folder_of_memmaps(tmp_path_factory):
    global MEMMAPS
    MEMMAPS = str(tmp_path_factory.mktemp("memmaps"))


@SOLVERS
@TASKS
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts(kind, solver, layout, dtype):
    X, y, _ = problem(kind)
    X, weights = X.astype(dtype), np.random.default_rng(0).uniform(0, 2, 60)
    # float32 in foreign bytes becomes float64, as in scikit-learn
    expected = small(kind, solver=solver, dtype=dtype).fit(X, y, weights)
    change = LAYOUTS[layout]
    arrays = change(X), change(y), change(weights)
    copies = [a.copy() for a in arrays]
    est = small(kind, solver=solver, dtype=dtype).fit(*arrays)
    assert_same_bits(est, expected)
    method = "predict_proba" if kind == "multiclass" else "predict"
    assert_array_equal(getattr(est, method)(arrays[0]), getattr(expected, method)(X))
    if solver != "lbfgs":
        assert_same_bits(est.partial_fit(*arrays), expected.partial_fit(X, y, weights))
    # What came in is as it was.
    for array, before in zip(arrays, copies, strict=True):
        assert_array_equal(array, before)
        assert array.dtype == before.dtype


@pytest.mark.parametrize("layout", ["read-only", "memory-mapped", "foreign bytes"])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_array], ids=lambda f: f.__name__)
def test_layouts_of_sparse_data(layout, form):
    X, y, _ = problem("multiclass")
    X[np.abs(X) < 0.5] = 0
    X = form(X)
    expected = small("multiclass").fit(X, y)
    parts = tuple(LAYOUTS[layout](part) for part in (X.data, X.indices, X.indptr))
    changed = form(parts, shape=X.shape)
    est = small("multiclass").fit(changed, y)
    assert_same_bits(est, expected)
    assert_array_equal(est.predict_proba(changed), expected.predict_proba(X))


def test_unsorted_sparse_data_are_left_alone():
    X, y, _ = problem("multiclass")
    X = sparse.csr_matrix(X)
    X.indices, X.data = X.indices.reshape(60, 5)[:, ::-1].ravel().copy(), X.data.reshape(60, 5)[:, ::-1].ravel().copy()
    X.has_sorted_indices = False
    before = X.indices.copy(), X.data.copy()
    est = small("multiclass").fit(X, y)
    est.predict(X)
    assert_array_equal(X.indices, before[0])
    assert_array_equal(X.data, before[1])
    assert_same_bits(est, small("multiclass").fit(X.sorted_indices(), y))


@TASKS
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool", "float16", "longdouble", "object"])
def test_types_of_numbers(kind, dtype):
    X, y, _ = problem(kind)
    X = np.abs(4 * X).astype(dtype)
    est = small(kind).fit(X, y)
    assert_same_bits(est, small(kind).fit(X.astype(float), y))
    assert_array_equal(est.predict(X), est.predict(X.astype(float)))


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "bool", "float32", "object"])
def test_types_of_real_targets(dtype):
    X, y, _ = problem("regression")
    y = np.abs(4 * y).astype(dtype)
    assert_same_bits(small("regression").fit(X, y), small("regression").fit(X, y.astype(float)))
    weights = np.arange(60).astype(dtype)
    assert_same_bits(small("regression").fit(X, y, weights), small("regression").fit(X, y, weights.astype(float)))


def test_lists():
    X, y, _ = problem("multiclass")
    est = small("multiclass").fit(X.tolist(), y.tolist(), [1.0] * 60)
    assert_same_bits(est, small("multiclass").fit(X, y, np.ones(60)))
    assert_array_equal(est.predict(X.tolist()), est.predict(X))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([-7, 0, 5]), np.array([1.0, 2.0, 3.0]), np.array(["b", "a", "cc"]), np.array(["b", "a", "cc"], object),
        np.array([0, 200, 255], np.uint8), np.array([b"b", b"a", b"c"]),
        np.array([-(2**62), 0, 2**62]),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize(("n_classes", "early_stopping"), [(2, False), (3, True)])
def test_labels(labels, n_classes, early_stopping):
    X, y, _ = problem("multiclass")
    y = np.minimum(y, n_classes - 1)
    named = labels[y]
    settings = {"early_stopping": early_stopping, "validation_fraction": 0.3, "max_iter": 30}
    est = small("multiclass", **settings)
    expected = error_of(twin_of(est).fit, X, named)
    if expected is not None:  # bytes are not labels
        assert error_of(est.fit, X, named) == expected
        return
    est.fit(X, named)
    theirs = twin_of(est).fit(X, named)
    assert_array_equal(est.classes_, theirs.classes_)
    if labels.dtype.kind != "U":  # text keeps the width that it came with; there it shrinks to the labels that occur
        assert est.classes_.dtype == theirs.classes_.dtype
        assert est.predict(X).dtype == theirs.predict(X).dtype
    assert est.classes_.dtype.kind == est.predict(X).dtype.kind == theirs.predict(X).dtype.kind
    assert set(est.predict(X)) <= set(labels)
    # The order of the labels is all that matters to the network.
    ranks = np.argsort(np.argsort(labels[:n_classes]))[y]
    assert_same_bits(est, small("multiclass", **settings).fit(X, ranks))


def test_bool_labels():
    X, y, _ = problem("binary")
    est = small("binary").fit(X, y > 0)
    assert est.predict(X).dtype == bool
    assert_same_bits(est, small("binary").fit(X, y))


@TASKS
def test_a_column_of_targets(kind):
    X, y, _ = problem(kind)
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed when a 1d array was expected"):
        est = small(kind).fit(X, y[:, None])
    assert_same_bits(est, small(kind).fit(X, y))
    assert est.predict(X).shape == (60,)


# -- frames ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["pandas", "polars"])
def frame(request):
    """A function that makes a data frame of an array."""
    library = pytest.importorskip(request.param)
    if request.param == "pandas":
        return lambda a, names: library.DataFrame(a, columns=list(names))
    return lambda a, names: library.DataFrame({name: a[:, i] for i, name in enumerate(names)})


@SOLVERS
@TASKS
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_frames(frame, kind, solver, dtype):
    X, y, _ = problem(kind)
    X = (4 * X).astype(dtype)
    table = frame(X, "abcde")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Stochastic Optimizer|lbfgs failed")
        est = small(kind, solver=solver).fit(table, y)
        predictions = est.predict(table)
    twin = twin_of(est).set_params(solver="adam").fit(table, y)
    assert est.coefs_[0].dtype == twin.coefs_[0].dtype  # check_array makes float64 of float32 in polars
    expected = small(kind, solver=solver, dtype=str(twin.coefs_[0].dtype)).fit(X, y)
    assert_same_bits(est, expected)
    assert_array_equal(predictions, expected.predict(X))
    assert list(est.feature_names_in_) == list("abcde")
    assert est.n_features_in_ == 5


@TASKS
def test_names_of_features_are_checked(frame, kind):
    X, y, _ = problem(kind)
    ours, theirs = small(kind).fit(frame(X, "abcde"), y), twin_of(small(kind)).fit(frame(X, "abcde"), y)
    for bad in (frame(X, "bacde"), frame(X, "abcdx"), frame(X[:, :4], "abcd")):
        expected = error_of(theirs.predict, bad)
        assert expected is not None
        assert error_of(ours.predict, bad) == expected
        assert error_of(ours.partial_fit, bad, y) == error_of(theirs.partial_fit, bad, y)
    for est in (ours, theirs):
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            est.predict(X)


def test_series(frame):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    X, y, _ = problem("multiclass")
    names = np.array(["x", "yy", "z"])[y]
    weights = np.random.default_rng(0).uniform(0, 2, 60)
    expected = small("multiclass").fit(X, names, weights)
    shuffled = np.random.default_rng(1).permutation(60)  # an index must not be read as an order
    for series in (pandas.Series(names, index=shuffled), pandas.Series(names).astype("category"), polars.Series(names)):
        est = small("multiclass").fit(X, series, pandas.Series(weights, index=shuffled))
        assert_same_bits(est, expected)
        assert_array_equal(est.predict(X), expected.predict(X))
    numbers = small("regression").fit(X, y)
    for series in (pandas.Series(y, dtype="Int64"), pandas.Series(y, dtype="float32"), polars.Series(y)):
        assert_same_bits(small("regression").fit(X, series), numbers)
    both = np.c_[y, -y]
    assert_same_bits(small("regression").fit(X, frame(both, "uv")), small("regression").fit(X, both))


def test_missing_values_in_frames():
    pandas = pytest.importorskip("pandas")
    X, y, _ = problem("regression")
    table = pandas.DataFrame(X).astype("Float64")
    assert_same_bits(small("regression").fit(table, y), small("regression").fit(X, y))
    table.iloc[3, 2] = pandas.NA
    expected = error_of(twin_of(small("regression")).fit, table, y)
    assert expected is not None
    assert error_of(small("regression").fit, table, y) == expected


# -- any shape, layout and type ----------------------------------------------------------------------------------------

QUICK = settings(max_examples=25)


@QUICK
@given(
    kind=st.sampled_from(KINDS), solver=st.sampled_from(["lbfgs", "sgd", "adam"]),
    n_samples=st.integers(1, 40), n_features=st.integers(1, 20), hidden=st.lists(st.integers(1, 40), max_size=3),
    batch_size=st.integers(1, 40), given_dtype=st.sampled_from(["float32", "float64", "int16"]),
    dtype=st.sampled_from(["auto", "float32", "float64"]), layout=st.sampled_from(sorted(LAYOUTS)),
    weighted=st.booleans(), shuffle=st.booleans(), seed=st.integers(0, 2**31 - 1),
)  # fmt: skip
def test_any_layout_is_the_plain_one(
    kind, solver, n_samples, n_features, hidden, batch_size, given_dtype, dtype, layout, weighted, shuffle, seed
):
    X, y, _ = problem(kind, n_samples=n_samples, n_features=n_features, seed=seed)
    X = (3 * X).astype(given_dtype)
    weights = np.random.default_rng(seed).uniform(0.1, 2, n_samples) if weighted else None
    if layout == "foreign bytes" and dtype == "auto":
        dtype = "float64"  # which "auto" is for them
    est = small(
        kind, solver=solver, hidden_layer_sizes=tuple(hidden), batch_size=min(batch_size, n_samples), dtype=dtype,
        random_state=seed, shuffle=shuffle, max_iter=2, learning_rate_init=1e-6,  # small, so that none diverges
    )  # fmt: skip
    expected = clone(est).fit(X, y, weights)
    change = LAYOUTS[layout]
    est.fit(change(X), change(y), None if weights is None else change(weights))
    assert_same_bits(est, expected)
    method = "predict_proba" if kind in KINDS[:3] else "predict"
    together = getattr(est, method)(change(X))
    assert np.isfinite(together).all()
    # A row's prediction does not depend on its company or on the order.
    order = np.random.default_rng(seed).permutation(n_samples)
    assert_array_equal(getattr(est, method)(X[order]), together[order])
    assert_array_equal(np.concatenate([getattr(est, method)(X[i : i + 1]) for i in range(n_samples)]), together)


@QUICK
@given(
    kind=st.sampled_from(KINDS), n_samples=st.integers(2, 30), n_features=st.integers(1, 12),
    density=st.floats(0, 1), solver=st.sampled_from(["lbfgs", "sgd", "adam"]), seed=st.integers(0, 2**31 - 1),
    form=st.sampled_from(["csr", "csc", "coo", "lil", "dok", "bsr", "dia"]),
)  # fmt: skip
def test_any_sparse_form_is_the_dense_one(kind, n_samples, n_features, density, solver, seed, form):
    X, y, _ = problem(kind, n_samples=n_samples, n_features=n_features, seed=seed)
    X[np.random.default_rng(seed).uniform(size=X.shape) >= density] = 0
    # One iteration: over more of them L-BFGS may amplify what rounding differs in.
    settings = {"batch_size": min(8, n_samples), "max_iter": 1, "learning_rate_init": 1e-4}
    est = small(kind, solver=solver, random_state=seed, **settings)
    dense, got = clone(est).fit(X, y), clone(est).fit(sparse.csr_array(X).asformat(form), y)
    assert_allclose(parameters(got), parameters(dense), rtol=1e-8, atol=1e-9)
    method = "predict_proba" if kind in KINDS[:3] else "predict"
    expected = getattr(dense, method)(X)
    assert_allclose(getattr(dense, method)(sparse.csr_array(X).asformat(form)), expected, rtol=1e-11, atol=1e-13)


@QUICK
@given(
    kind=st.sampled_from(KINDS), solver=st.sampled_from(["sgd", "adam"]), seed=st.integers(0, 2**31 - 1),
    dtype=st.sampled_from(["float32", "float64"]), dropout=st.sampled_from([0.0, 0.3]), epochs=st.integers(1, 4),
    later=st.integers(0, 3), how=st.sampled_from(["pickle", "joblib", "deepcopy"]),
)  # fmt: skip
def test_any_model_goes_on_after_a_round_trip(kind, solver, seed, dtype, dropout, epochs, later, how):
    X, y, _ = problem(kind, seed=seed)
    est = small(
        kind, solver=solver, dtype=dtype, dropout=dropout, random_state=seed, max_iter=epochs, learning_rate_init=1e-4
    ).fit(X, y)
    twin = ROUND_TRIPS[how](est)
    for _ in range(later):
        est.partial_fit(X, y)
        twin.partial_fit(X, y)
    assert_same_bits(twin, est)
    assert_array_equal(twin.predict(X), est.predict(X))


# -- threads and processes ---------------------------------------------------------------------------------------------


def jobs():
    """Fits of several kinds, small ones and some that are worth two threads each."""
    work = []
    for kind in KINDS:
        for solver in ("lbfgs", "adam"):
            wide = kind in ("multiclass", "regression")
            X, y, _ = problem(kind, n_samples=400 if wide else 60, n_features=30 if wide else 5)
            hidden = (60, 40) if wide else (6, 3)
            est = small(kind, solver=solver, hidden_layer_sizes=hidden, batch_size=200 if wide else 16, n_jobs=2)
            work.append((est, X, y))
    return work


def test_fits_in_several_threads_at_once():
    expected = [clone(est).fit(X, y) for est, X, y in jobs()]
    results, errors, start = {}, [], threading.Barrier(len(expected))

    def run(number, est, X, y):
        try:
            start.wait()
            for _ in range(3):
                est.fit(X, y)
                results[number] = est, est.predict(X)
        except BaseException as error:
            errors.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        threads = [threading.Thread(target=run, args=(i, *job), daemon=True) for i, job in enumerate(jobs())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=HANGS)  # only so that a deadlock is a failure
    assert not errors
    assert not any(thread.is_alive() for thread in threads)
    for number, (_, X, _) in enumerate(jobs()):
        assert_same_bits(results[number][0], expected[number])
        assert_array_equal(results[number][1], expected[number].predict(X))


def test_predictions_of_one_estimator_in_several_threads_at_once():
    X, y, _ = problem("multiclass", n_samples=3000, n_features=30)
    est = small("multiclass", hidden_layer_sizes=(60, 40), batch_size=200).fit(X, y)
    parts = [X[i::8] for i in range(8)]
    expected = [est.predict_proba(part) for part in parts]
    est = pickle.loads(pickle.dumps(est))  # with nothing prepared yet
    results = joblib.Parallel(n_jobs=8, backend="threading")(
        joblib.delayed(lambda part: [est.predict_proba(part) for _ in range(5)])(part) for part in parts
    )
    for got, want in zip(results, expected, strict=True):
        for probabilities in got:
            assert_array_equal(probabilities, want)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib(backend):
    X, y, _ = problem("multiclass")
    grid = {"alpha": [1e-4, 1.0], "solver": ["lbfgs", "adam"]}
    expected = GridSearchCV(small("multiclass"), grid, cv=3).fit(X, y)
    with joblib.parallel_config(backend):
        search = GridSearchCV(small("multiclass"), grid, cv=3, n_jobs=2).fit(X, y)
        predictions = cross_val_predict(small("multiclass"), X, y, cv=3, n_jobs=2, method="predict_proba")
    assert_array_equal(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert_same_bits(search.best_estimator_, expected.best_estimator_)
    assert_array_equal(predictions, cross_val_predict(small("multiclass"), X, y, cv=3, method="predict_proba"))


def test_joblib_sends_large_data_as_read_only_memory_maps():
    # From 1 MB on; the estimator has to read them where they are.
    X, y, _ = problem("regression", n_samples=7000, n_features=20)
    est = small("regression", batch_size=1000, max_iter=1)
    results = joblib.Parallel(n_jobs=2)(joblib.delayed(est.fit)(X, y) for _ in range(2))
    for got in results:
        assert_same_bits(got, clone(est).fit(X, y))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # of pytest and joblib
@SOLVERS
def test_after_a_fork(solver):
    X, y, _ = problem("multiclass", n_samples=400, n_features=30)
    settings = {"solver": solver, "hidden_layer_sizes": (60, 40), "batch_size": 200, "n_jobs": 2}
    est = small("multiclass", **settings).fit(X, y)  # has had threads
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(HANGS)  # a child that hangs must end
            os.close(read)
            warnings.simplefilter("ignore")
            probabilities = est.predict_proba(X)
            if solver != "lbfgs":
                est.partial_fit(X, y)
            fresh = clone(est).fit(X, y)
            with os.fdopen(write, "wb") as pipe:
                pickle.dump((probabilities, est, fresh, fresh.predict_proba(X)), pipe)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        sent = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    probabilities, gone_on, fresh, fresh_probabilities = pickle.loads(sent)
    assert_array_equal(probabilities, est.predict_proba(X))
    assert_same_bits(fresh, est)
    assert_array_equal(fresh_probabilities, est.predict_proba(X))
    # and the parent goes on too
    if solver != "lbfgs":
        est.partial_fit(X, y)
    assert_same_bits(gone_on, est)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_during_a_fit():
    # Another thread forks while this estimator's threads are at work: the child must be able to fit.
    X, y, _ = problem("regression", n_samples=400, n_features=30)
    est = small("regression", hidden_layer_sizes=(60, 40), batch_size=200, n_jobs=2)
    expected = clone(est).fit(X, y)
    long = clone(est).set_params(max_iter=3000, n_iter_no_change=np.inf, verbose=False)
    status, over = {}, threading.Event()

    def fork():
        while not getattr(long, "n_iter_", 0) and not over.is_set():
            time.sleep(0.001)  # until it has reported epochs
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(HANGS)
                warnings.simplefilter("ignore")
                got = clone(est).fit(X, y)
                os._exit(0 if np.array_equal(parameters(got), parameters(expected)) else 3)
            finally:
                os._exit(1)
        status["child"] = os.waitpid(child, 0)[1]

    thread = threading.Thread(target=fork)
    thread.start()
    try:
        long.fit(X, y)
    finally:
        over.set()
        thread.join()
    assert status["child"] == 0


# -- copies ------------------------------------------------------------------------------------------------------------


def through_joblib(est, compress=0, mmap_mode=None):
    path = os.path.join(MEMMAPS, f"{len(os.listdir(MEMMAPS))}.joblib")
    joblib.dump(est, path, compress=compress)
    return joblib.load(path, mmap_mode=mmap_mode)


ROUND_TRIPS = {
    "pickle 2": lambda est: pickle.loads(pickle.dumps(est, 2)),
    "pickle": lambda est: pickle.loads(pickle.dumps(est)),
    "joblib": through_joblib,
    "joblib compressed": lambda est: through_joblib(est, compress=3),
    "joblib memory-mapped": lambda est: through_joblib(est, mmap_mode="r"),
    "joblib copy-on-write": lambda est: through_joblib(est, mmap_mode="c"),
    "deepcopy": copy.deepcopy,
    "twice": lambda est: pickle.loads(pickle.dumps(copy.deepcopy(est))),
}


@one_at_a_time(
    {"kind": "multiclass", "solver": "adam", "how": "pickle"}, kind=KINDS, solver=["lbfgs", "sgd"], how=ROUND_TRIPS
)
def test_round_trips(kind, solver, how):
    X, y, _ = problem(kind)
    settings = {} if solver == "lbfgs" else {"dropout": 0.2}
    est = small(kind, solver=solver, **settings).fit(X, y)
    before = remembered(est, X)
    twin = ROUND_TRIPS[how](est)
    assert_remembered(twin, X, before)
    assert twin.get_params().keys() == est.get_params().keys()
    assert_array_equal(twin.predict(sparse.csr_matrix(X)), est.predict(sparse.csr_matrix(X)))
    if solver != "lbfgs":
        twin.partial_fit(X, y).partial_fit(X[:30], y[:30])
        assert_remembered(est, X, before)  # the copy is on its own
        est.partial_fit(X, y).partial_fit(X[:30], y[:30])
        assert_same_bits(twin, est)
        assert twin.loss_curve_ == est.loss_curve_
        assert twin.t_ == est.t_
    assert_same_bits(twin.set_params(warm_start=True).fit(X, y), est.set_params(warm_start=True).fit(X, y))


@pytest.mark.parametrize("kind", KINDS)
def test_clone_forgets_the_fit_and_repeats_it(kind):
    X, y, _ = problem(kind)
    est = small(kind).fit(X, y)
    fresh = clone(est)
    assert not [name for name in vars(fresh) if name.endswith("_") or name.startswith("_")]
    assert_same_bits(fresh.fit(X, y), est)


def test_a_pickle_before_the_fit():
    X, y, _ = problem("regression")
    est = pickle.loads(pickle.dumps(small("regression")))
    assert_same_bits(est.fit(X, y), small("regression").fit(X, y))


def test_a_pickle_holds_every_number_once():
    X, y, _ = problem("regression", n_features=64)
    est = small("regression", hidden_layer_sizes=(64, 64)).fit(X, y)
    # the parameters and two moments of Adam; the last layer's row is padded
    numbers = 3 * 8 * (2 * 64 * 64 + 64 * 8 + 2 * 64 + 8)
    assert numbers <= len(pickle.dumps(est)) < numbers + 8000


def test_a_pickle_in_a_process_that_has_not_trained(tmp_path):
    X, y, _ = problem("multiclass")
    est = small("multiclass").fit(X, y)
    (got,) = joblib.Parallel(n_jobs=2, backend="loky")([joblib.delayed(est.predict_proba)(X)])
    assert_array_equal(got, est.predict_proba(X))


# -- weights from outside ----------------------------------------------------------------------------------------------


def by_hand(coefs, intercepts, X):
    """Predictions of a relu network for regression."""
    for weights, biases in zip(coefs[:-1], intercepts[:-1], strict=True):
        X = np.maximum(X @ weights + biases, 0)
    return (X @ coefs[-1] + intercepts[-1])[:, 0]


def assign_an_item(est, random):
    est.coefs_[0] = random.standard_normal(est.coefs_[0].shape)


def assign_all_items(est, random):
    for arrays in (est.coefs_, est.intercepts_):
        for i, array in enumerate(arrays):
            arrays[i] = random.standard_normal(array.shape)


def assign_whole_lists(est, random):
    est.coefs_ = [random.standard_normal(array.shape) for array in est.coefs_]
    est.intercepts_ = [random.standard_normal(array.shape) for array in est.intercepts_]


def assign_a_tuple(est, random):
    est.coefs_ = tuple(random.standard_normal(array.shape) for array in est.coefs_)


def write_in_place(est, random):
    est.coefs_[1][...] = random.standard_normal(est.coefs_[1].shape)
    est.intercepts_[0][:] = 3.0
    est.coefs_[0] *= 2  # writes in place and assigns


def assign_a_transposed_view(est, random):
    est.coefs_[1] = est.coefs_[1].T  # square, and begins at the same address


def assign_a_reversed_view(est, random):
    est.coefs_[1] = est.coefs_[1][::-1]


def assign_other_types(est, random):
    est.coefs_[0] = random.integers(-2, 3, est.coefs_[0].shape)
    est.coefs_[1] = random.standard_normal(est.coefs_[1].shape).astype(np.float32)
    est.intercepts_[0] = [1.0] * len(est.intercepts_[0])
    est.intercepts_[1] = np.asfortranarray(random.standard_normal(est.intercepts_[1].shape))


ASSIGNMENTS = [
    assign_an_item, assign_all_items, assign_whole_lists, assign_a_tuple, write_in_place, assign_a_transposed_view,
    assign_a_reversed_view, assign_other_types,
]  # fmt: skip


@pytest.mark.parametrize("assign", ASSIGNMENTS, ids=lambda a: a.__name__)
@pytest.mark.parametrize("predicted_before", [False, True])
def test_assigned_weights(assign, predicted_before):
    X, y, _ = problem("regression")
    est = small("regression", hidden_layer_sizes=(6, 6)).fit(X, y)
    if predicted_before:
        est.predict(X)
        est.predict(sparse.csr_matrix(X))
    old = by_hand(est.coefs_, est.intercepts_, X)
    assign(est, np.random.default_rng(0))
    coefs, intercepts = ([np.array(a, float) for a in arrays] for arrays in (est.coefs_, est.intercepts_))
    expected = by_hand(coefs, intercepts, X)
    assert not np.allclose(expected, old)
    twin = pickle.loads(pickle.dumps(est))
    other = copy.deepcopy(est)
    for model in (est, twin, other):
        assert_allclose(model.predict(X), expected, rtol=1e-10, atol=1e-12)
        assert_allclose(model.predict(sparse.csr_matrix(X)), expected, rtol=1e-10, atol=1e-12)
        assert_array_equal(parameters(model), np.concatenate([a.ravel() for a in coefs + intercepts]))
    # Training goes on from them.
    settings = {"solver": "sgd", "learning_rate_init": 1e-300, "warm_start": True, "max_iter": 1}
    for model in (est, twin, other):
        model.set_params(**settings).fit(X, y)
        assert_allclose(parameters(model), np.concatenate([a.ravel() for a in coefs + intercepts]), rtol=0, atol=1e-200)


def test_weights_assigned_before_training_goes_on():
    X, y, _ = problem("regression")
    est, donor = small("regression").fit(X, y), small("regression", random_state=5).fit(X, y)
    before = parameters(donor).copy()
    est.coefs_, est.intercepts_ = donor.coefs_, donor.intercepts_
    est.partial_fit(X, y)
    assert not np.array_equal(parameters(est), before)
    assert_array_equal(parameters(donor), before)  # which keeps its own
    assert_allclose(donor.predict(X), by_hand(donor.coefs_, donor.intercepts_, X), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("wrong", [np.zeros((5, 7)), np.zeros(5), np.zeros((4, 6)), 0.0], ids=str)
def test_assigned_weights_of_another_shape(wrong):
    X, y, _ = problem("regression")
    est = small("regression").fit(X, y)
    est.coefs_[0] = wrong
    for call in (lambda: est.predict(X), lambda: est.partial_fit(X, y), lambda: pickle.dumps(est)):
        with pytest.raises(ValueError, match="shapes"):
            call()


def test_assigned_part_of_the_old_weights():
    X, y, _ = problem("regression")
    est = small("regression").fit(X, y)
    est.coefs_[0] = est.coefs_[0][:3]  # begins at the same address
    with pytest.raises(ValueError, match="shapes"):
        est.predict(X)


def test_a_missing_layer():
    X, y, _ = problem("regression")
    est = small("regression").fit(X, y)
    est.coefs_ = est.coefs_[:-1]
    with pytest.raises(ValueError, match="shapes"):
        est.predict(X)
