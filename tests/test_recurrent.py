"""Recurrent estimators and the data they read: layout, padding and company change no bit."""

import numpy as np
import pytest
from conftest import one_at_a_time
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier

import skneural
from skneural.backends.cpu import engine
from skneural.estimators import _sequences
from skneural.estimators._parameters import predictor_of
from skneural.estimators._sequences import as_dtype, lengths_of

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CELLS = ("lstm", "gru", "rnn")
KINDS = ("binary", "multiclass", "multilabel", "regression", "multioutput", "poisson")
SMALL = {"hidden_layer_sizes": 5, "max_iter": 3, "random_state": 0, "batch_size": 16, "learning_rate_init": 0.01}
FULL = {"batch_size": "auto"}  # one batch
#: A learning rate at which no weight changes: they stay as they began.
STILL = {"learning_rate_init": 1e-300, "max_iter": 1, "clip_norm": None}
NAN = np.nan


def sequences(kind="regression", n_samples=40, n_timesteps=6, n_features=3, *, ragged=False, seed=0):
    """Sequences (NaN after their ends) and targets of every kind."""
    random = np.random.default_rng(seed)
    X = random.standard_normal((n_samples, n_timesteps, n_features))
    if ragged:
        lengths = np.r_[n_timesteps, random.integers(1, n_timesteps + 1, n_samples - 1)]
        X[np.arange(n_timesteps) >= lengths[:, None]] = NAN
    scores = np.nanmean(X, axis=1) @ np.random.default_rng(1).standard_normal((n_features, 3))
    targets = {
        "binary": np.where(scores[:, 0] > 0, "yes", "no"), "multiclass": np.array([*"abc"])[scores.argmax(axis=1)],
        "multilabel": (scores > 0).astype(int), "regression": scores[:, 0], "multioutput": scores,
        "poisson": random.poisson(np.exp(scores[:, 0])).astype(float),
    }  # fmt: skip
    return X, targets[kind]


def small(kind="regression", cell="gru", **settings):
    """An unfitted estimator for a kind of target, with few units and epochs."""
    cls = getattr(skneural, cell.upper() + ("Classifier" if kind in KINDS[:3] else "Regressor"))
    return cls(**{**SMALL, **({"loss": "poisson"} if kind == "poisson" else {}), **settings})


def outputs(est, X):
    """Predictions, of classifiers probabilities."""
    return est.predict_proba(X) if is_classifier(est) else est.predict(X)


def whole(X):
    """Sequences without their padding."""
    return [x[: (~np.isnan(x)).any(axis=1).sum()] for x in X]


def assert_same_fit(a, b):
    """Two estimators have the same weights and statistics, and came to them by the same losses."""
    assert a._params.dtype == b._params.dtype
    assert_array_equal(a._params, b._params)
    assert a.loss_curve_ == b.loss_curve_


# -- the same data in other memory -------------------------------------------------------------------------------------


def padded(X):
    return np.concatenate([X, np.full((len(X), 3, X.shape[2]), NAN, X.dtype)], axis=1)


def gaps(X):
    return np.repeat(np.repeat(X, 2, axis=0), 3, axis=2)[::2, :, 1::3]


def backwards(X):
    return X[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def field_of_records(X):
    records = np.zeros(X.shape, [("number", "i2"), ("x", X.dtype)])
    records["x"] = X
    return records["x"]


def other_bytes(X):
    return X.astype(X.dtype.newbyteorder())


def steps_apart(X):
    return X.swapaxes(1, 2).copy().swapaxes(1, 2)


def fortran_list(X):
    return tuple(map(np.asfortranarray, whole(X)))


def objects(X):
    arrays = np.empty(len(X), object)
    arrays[:] = whole(X)
    return arrays


FORMS = [
    padded, np.asfortranarray, gaps, backwards, steps_apart, read_only, field_of_records, other_bytes, whole,
    fortran_list, objects, np.ndarray.tolist,
]  # fmt: skip


@one_at_a_time({"form": padded, "dtype": "float32", "cell": "lstm"}, form=FORMS, dtype=["float64"], cell=CELLS)
def test_form_and_padding_change_no_bit(form, dtype, cell):
    X, y = sequences(ragged=True)
    X = X.astype(dtype)
    settings = {"cell": cell, "dtype": dtype, "bidirectional": True, "pooling": "mean", "recurrent_dropout": 0.2}
    est = small(**settings, dropout=0.1, input_noise=0.1).fit(X, y)
    other = small(**settings, dropout=0.1, input_noise=0.1).fit(form(X), y)
    assert_same_fit(other, est)
    assert_array_equal(est.predict(form(X)), est.predict(X))
    assert other.n_features_in_ == 3
    assert other.n_timesteps_in_ == 6  # padding is no step


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
@pytest.mark.parametrize(("pooling", "tbptt_steps"), [("last", None), ("last", 2), ("max", None), ("mean", 3)])
def test_padding_changes_no_bit_with_other_settings(solver, pooling, tbptt_steps):
    X, y = sequences("multiclass", ragged=True)
    settings = {"solver": solver, "pooling": pooling, "tbptt_steps": tbptt_steps, "hidden_layer_sizes": (5, 3)}
    est = small("multiclass", **settings).fit(X, y)
    assert_same_fit(small("multiclass", **settings).fit(whole(X), y), est)
    assert_same_fit(small("multiclass", **settings).fit(padded(X), y), est)


@one_at_a_time(
    {"cell": "lstm", "dtype": "float32", "bidirectional": True, "pooling": "last"},
    cell=CELLS, dtype=["float64"], bidirectional=[False], pooling=["mean", "max"],
)  # fmt: skip
def test_a_sequence_alone_is_predicted_as_in_company(cell, dtype, bidirectional, pooling):
    X, y = sequences("multiclass", n_samples=50, ragged=True)
    X = X.astype(dtype)
    est = small("multiclass", cell, bidirectional=bidirectional, pooling=pooling, hidden_layer_sizes=(19, 5)).fit(X, y)
    expected = est.predict_proba(X)
    assert expected.dtype == dtype
    assert_array_equal(np.concatenate([est.predict_proba(x[None]) for x in X]), expected)
    assert_array_equal(np.concatenate([est.predict_proba([x]) for x in whole(X)]), expected)
    assert_array_equal(est.predict_proba(X[::-1])[::-1], expected)
    assert_array_equal(np.concatenate([est.predict_proba(part) for part in np.array_split(padded(X), 7)]), expected)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_threads_change_no_bit(crews, cell, ragged):
    X, y = sequences(n_samples=150, ragged=ragged)
    settings = {"cell": cell, "batch_size": 64, "bidirectional": True, "recurrent_dropout": 0.2}
    one, *others = [small(**settings, n_jobs=n_jobs).fit(X, y) for n_jobs in (1, 2, 3)]
    assert set(crews) == {1, 2, 3}
    for est in others:
        assert_same_fit(est, one)
        assert_array_equal(est.predict(X), one.predict(X))


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_channels_first(kind):
    X, y = sequences(kind, ragged=True)
    given = X.swapaxes(1, 2)
    est, other = small(kind).fit(X, y), small(kind, input_format="channels_first")
    forms = [given, given.copy(), given.tolist(), [x.T for x in whole(X)]]
    for form in forms:
        assert_same_fit(other.fit(form, y), est)
        assert (other.n_features_in_, other.n_timesteps_in_) == (3, 6)
        assert_array_equal(outputs(other, form), outputs(est, X))
    X_val = X[:20, :5]
    est.fit(X, y, X_val=X_val, y_val=y[:20])
    assert_same_fit(other.fit(given, y, X_val=X_val.swapaxes(1, 2), y_val=y[:20]), est)
    assert other.validation_scores_ == est.validation_scores_
    assert_same_fit(other.fit(X[:, 0], y), small(kind).fit(X[:, 0], y))  # rows are read as ever


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
@pytest.mark.parametrize("apart", [1, 2, 9])
@pytest.mark.parametrize("n_features", [1, 3])
def test_overlapping_windows(dtype, apart, n_features):
    series = np.random.default_rng(0).normal(scale=10, size=(100, n_features)).astype(dtype)
    first = sliding_window_view(series, 6, axis=0)[::apart]  # of shape (n, n_features, 6)
    windows, y = first.swapaxes(1, 2), series[5::apart, 0].astype(float)
    for precision in ("float32", "float64"):
        est = small(dtype=precision, batch_size=8).fit(windows.copy(), y)
        expected = est.predict(windows.copy())
        assert expected.dtype == precision
        assert_array_equal(est.predict(windows), expected)
        assert_same_fit(small(dtype=precision, batch_size=8).fit(windows, y), est)
        other = small(dtype=precision, batch_size=8, input_format="channels_first").fit(first, y)
        assert_same_fit(other, est)
        assert_array_equal(other.predict(first), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_overlapping_windows_are_converted_once(dtype):
    windows = sliding_window_view(np.arange(50, dtype=dtype), 7)[::3, :, None]
    found = as_dtype(windows, [np.float32])
    assert_array_equal(found, windows)
    assert found.dtype == np.float32
    assert found.strides[:2] == (12, 4)  # they overlap as before
    for other in (windows[:, ::-1], windows.copy(), windows[::-1]):
        assert_array_equal(as_dtype(other, [np.float32]), other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_memory_mapped_sequences_are_read(tmp_path, dtype):
    X, y = sequences(ragged=True)
    np.save(tmp_path / "X.npy", X.astype(dtype))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    est = small().fit(X.astype(dtype), y)
    assert est._params.dtype == dtype
    assert_same_fit(small().fit(mapped, y), est)
    assert_array_equal(est.predict(mapped), est.predict(X))


def test_data_is_looked_at_in_parts(monkeypatch):
    X, y = sequences(ragged=True)
    lengths, est = lengths_of(X), small().fit(X, y)
    monkeypatch.setattr(_sequences, "BLOCK", 50)  # two sequences
    monkeypatch.setattr(_sequences, "CACHED", 50)
    assert_array_equal(lengths_of(X), lengths)
    assert_array_equal(lengths, [len(x) for x in whole(X)])
    assert_same_fit(small().fit(X, y), est)
    X[7, 0, 2] = NAN
    with pytest.raises(ValueError, match="NaN: first in sequence 7, time step 0, feature 2"):
        est.predict(X)


# -- forms of X --------------------------------------------------------------------------------------------------------


def test_rows_are_sequences_of_one_feature():
    X, y = sequences(ragged=True)
    X = X[:, :, 0]
    est = small().fit(X[:, :, None], y)
    assert (est.n_features_in_, est.n_timesteps_in_) == (1, 6)
    of_rows = small().fit(X, y)
    assert (of_rows.n_features_in_, of_rows.n_timesteps_in_) == (6, 6)  # columns
    for form in (X, X.tolist(), np.asfortranarray(X), field_of_records(X), padded(X[:, :, None])[:, :, 0]):
        assert_same_fit(small().fit(form, y), est)
        with pytest.raises(ValueError, match="Expected X with three axes"):  # it may be one sequence
            est.predict(form)
        if form is not X and np.shape(form)[1] == 6:
            assert_array_equal(of_rows.predict(form), est.predict(X[:, :, None]))
    vectors = [x.ravel() for x in whole(X[:, :, None])]
    assert_same_fit(small().fit(vectors, y), est)
    assert_array_equal(est.predict(vectors[:1]), est.predict(X[:1, :, None]))
    # Of any length, but not as a table.
    assert_array_equal(of_rows.predict(X[:, :4, None]), est.predict(X[:, :4, None]))
    with pytest.raises(ValueError, match="X has 4 features, but GRURegressor is expecting 6 features as input"):
        of_rows.predict(X[:, :4])


def test_columns_of_a_frame_are_steps_with_names():
    pandas = pytest.importorskip("pandas")
    X, y = sequences()
    frame = pandas.DataFrame(X[:, :, 0], columns=list("abcdef"))
    est = small().fit(frame, y)
    assert_array_equal(est.feature_names_in_, list("abcdef"))
    assert_same_fit(est, small().fit(X[:, :, 0], y))
    assert_array_equal(est.predict(frame), small().fit(X[:, :, :1], y).predict(X[:, :, :1]))
    with pytest.raises(ValueError, match="The feature names should match"):
        est.predict(frame[list("bacdef")])
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        est.predict(X[:, :, 0])
    assert_array_equal(est.predict(X[:, :, :1]), est.predict(frame))
    assert not hasattr(est.fit(X, y), "feature_names_in_")
    frames = [pandas.DataFrame(x) for x in X]  # one for each sequence
    assert_same_fit(small().fit(frames, y), est)
    assert_same_fit(small().fit(X[:, :, 0], pandas.Series(y)), small().fit(X[:, :, 0], y))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int8, bool, np.float16, object])
def test_other_numbers_are_read_as_float64(dtype):
    X = np.random.default_rng(0).integers(0, 2, (40, 6, 3)).astype(dtype)
    y = X.sum(axis=(1, 2)).astype(float)
    est = small().fit(X.astype(float), y)
    assert_same_fit(small().fit(X, y), est)
    assert_array_equal(est.predict(X), est.predict(X.astype(float)))
    if dtype is not object:
        assert_same_fit(small().fit(list(X), y), est)
        assert_array_equal(est.predict(list(X)), est.predict(X))


def test_dtype_of_the_network_is_that_of_the_data_or_as_asked():
    X, y = sequences()
    single = X.astype(np.float32)
    cases = [
        (single, "auto", np.float32), (X, "auto", np.float64), (list(single), "auto", np.float32),
        ([single[0], *X[1:]], "auto", np.float64), (X, "float32", np.float32), (single, "float64", np.float64),
        (X.tolist(), "auto", np.float64), (single[:, :, 0], "auto", np.float32),
    ]  # fmt: skip
    for given, dtype, expected in cases:
        est = small(dtype=dtype).fit(given, y)
        arrays = [*est.coefs_, *est.recurrent_coefs_, *est.intercepts_, *(a for n in est.norms_ for a in n.values())]
        assert {a.dtype for a in arrays} == {est.predict(given).dtype} == {np.dtype(expected)}
        other = X if given is not cases[-1][0] else X[:, :, 0]
        assert est.predict(other).dtype == expected
        assert_allclose(est.predict(other), est.predict(given), rtol=1e-4, atol=1e-5)
    assert_same_fit(small(dtype="float32").fit(X, y), small().fit(single, y))


@pytest.mark.parametrize("cell", CELLS)
def test_sequences_of_other_lengths_are_predicted(cell):
    X, y = sequences(n_timesteps=5)
    est = small(cell=cell, pooling="mean").fit(X, y)
    longer, _ = sequences(n_timesteps=12, seed=1)
    for n_timesteps in (*range(1, 13), 5):
        part = longer[:, :n_timesteps]
        mixed = est.predict([*part, *longer])
        assert_array_equal(mixed, np.r_[est.predict(part), est.predict(longer)])
    assert est.n_timesteps_in_ == 5


def test_numbers_near_the_largest_are_read():
    X, y = sequences()
    est = small(standardize=False).fit(X, y)
    X[:, -1] = np.finfo(float).max
    assert np.isfinite(est.predict(X)).all()
    X[::2, -1] *= -1
    assert np.isfinite(small(standardize=False).fit(X, y).predict(X)).all()


def test_padding_does_not_decide_how_a_batch_is_divided(monkeypatch):
    X, y = sequences("regression", ragged=True)
    monkeypatch.setattr(engine, "SEQUENCE_BYTES", 1 << 13)  # four rows or so
    est = small(batch_size=40).fit(X, y)
    longer = np.concatenate([X, np.full((len(X), 50, X.shape[2]), NAN)], axis=1)
    assert_same_fit(small(batch_size=40).fit(longer, y), est)
    monkeypatch.setattr(engine, "SEQUENCE_BYTES", 1 << 26)
    assert not np.array_equal(small(batch_size=40).fit(X, y)._params, est._params), "the border was not crossed"


def test_many_steps_are_predicted_in_little_memory(monkeypatch):
    X, y = sequences("regression", n_samples=14)
    est = small(batch_size=14).fit(X, y)
    expected = est.predict(X)
    monkeypatch.setattr(engine, "SEQUENCE_BYTES", 1)
    est._predictors._made.clear()
    assert_array_equal(est.predict(X), expected)
    assert predictor_of(est, **est._reader.variant(X))[0]._block == 1
