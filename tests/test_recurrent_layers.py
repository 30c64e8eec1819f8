"""Layers of recurrent estimators: initial weights, dropout, truncation, clipping, pooling, and what cells learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_recurrent import FULL, STILL, assert_same_fit, sequences, small, whole

from skneural.layers import Dense, GlobalPool, Recurrent
from skneural.maths.cells import CELLS
from skneural.network.initializers import INITIALIZERS
from skneural.network.program import lower

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# -- initial weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("rule", INITIALIZERS)
def test_initial_weights(cell, rule):
    X, y = sequences()
    est = small(cell=cell, weight_init=rule, bidirectional=True, head_layer_sizes=4, **STILL).fit(X, y)
    gates, biases = {"lstm": (4, 4), "gru": (3, 4), "rnn": (1, 1)}[cell]
    assert [w.shape for w in est.coefs_] == [(3, gates, 5), (3, gates, 5), (10, 4), (4, 1)]
    assert [u.shape for u in est.recurrent_coefs_] == [(5, gates, 5)] * 2
    assert [b.shape for b in est.intercepts_] == [(biases, 5)] * 2 + [(4,), (1,)]
    assert est.n_layers_ == 5
    for u, b in zip(est.recurrent_coefs_, est.intercepts_[:2], strict=True):
        for gate in range(gates):
            assert_allclose(u[:, gate] @ u[:, gate].T, np.eye(5), atol=1e-12)
        assert_allclose(sorted(b.sum(axis=1)), [0] * (biases - 1) + [5 if cell == "lstm" else 0], atol=1e-12)
    assert len({w.std() for w in [*est.coefs_, *est.recurrent_coefs_]}) == 6


def test_initial_weights_of_a_function():
    X, y = sequences()
    shapes = []

    def rule(n_in, n_out, rng):
        shapes.append((n_in, n_out))
        return rng.normal(size=(n_in, n_out))

    est = small(weight_init=rule, head_layer_sizes=4, **STILL).fit(X, y)
    assert shapes == [(3, 5)] * 3 + [(5, 4), (4, 1)]  # once for each gate
    assert len({est.coefs_[0][:, gate].std() for gate in range(3)}) == 3


# -- settings of recurrent layers --------------------------------------------------------------------------------------


def test_rates_of_dropout_are_one_or_one_each():
    X, y = sequences(ragged=True)
    layers = {"hidden_layer_sizes": (5, 4), "head_layer_sizes": 3}
    plain, est = small(**layers).fit(X, y), small(**layers, dropout=0.3).fit(X, y)
    assert_same_fit(small(**layers, dropout=[0.3, 0.3, 0.3]).fit(X, y), est)
    assert_same_fit(small(**layers, dropout=[0.0] * 3).fit(X, y), plain)
    fits = [plain, est, *(small(**layers, dropout=rates).fit(X, y) for rates in np.diag([0.3] * 3))]
    fits += [small(**layers, recurrent_dropout=rate).fit(X, y) for rate in (0.1, 0.3)]
    assert len({fit.loss_ for fit in fits}) == len(fits)  # each place and rate counts
    assert_array_equal(est.predict(X), est.predict(X))


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("cell", CELLS)
def test_truncation(cell, pooling):
    X, y = sequences(ragged=True)
    fits = {steps: small(cell=cell, pooling=pooling, tbptt_steps=steps).fit(X, y) for steps in (1, 2, 5, 6, 9, None)}
    assert_same_fit(fits[6], fits[None])
    assert_same_fit(fits[9], fits[None])
    assert len({est.loss_ for est in fits.values()}) == 4


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_clipped(cell):
    X, y = sequences()
    settings = {"cell": cell, "solver": "sgd", "momentum": 0.0, "alpha": 0.0, **FULL, "max_iter": 1}
    begin = small(**{**settings, **STILL}).fit(X, y)._params
    for clip_norm in (0.01, 0.1):
        est = small(**{**settings, "learning_rate_init": 0.5}, clip_norm=clip_norm).fit(X, y)
        assert_allclose(np.linalg.norm(est._params - begin), 0.5 * clip_norm, rtol=1e-10)
    assert_same_fit(small(**settings, clip_norm=1e3).fit(X, y), small(**settings, clip_norm=None).fit(X, y))


@pytest.mark.parametrize("cell", CELLS)
def test_pooling_of_padded_sequences_is_over_their_own_steps(cell):
    # Units that remember nothing: each step is as it would be alone.
    X, y = sequences(ragged=True)
    by_pooling = {how: small(cell=cell, pooling=how).fit(X, y) for how in ("last", "mean", "max")}
    for est in by_pooling.values():
        est.recurrent_coefs_ = [0 * u for u in est.recurrent_coefs_]
        if cell != "rnn":
            gate = CELLS[cell].gates.index({"lstm": "forget", "gru": "update"}[cell])
            est.intercepts_[0][gate] = -1e3
    for how, pool in (("last", lambda steps: steps[-1]), ("mean", np.mean)):
        est = by_pooling[how]
        steps = [np.concatenate([est.predict(x[None, t : t + 1]) for t in range(len(x))]) for x in whole(X)]
        assert_allclose(est.predict(X), [pool(of_sequence) for of_sequence in steps], rtol=1e-9, atol=1e-12)
    last, most = by_pooling["last"], by_pooling["max"]
    last.coefs_, last.intercepts_ = most.coefs_, most.intercepts_
    one_step = X[:, :1]
    assert_allclose(most.predict(one_step), last.predict(one_step), rtol=1e-12)
    assert (most.predict(X) != last.predict(X)).any()


@pytest.mark.parametrize("cell", CELLS)
def test_assigned_weights_count(cell):
    X, y = sequences()
    est = small(cell=cell, bidirectional=True).fit(X, y)
    expected = est.predict(X)
    for name in ("coefs_", "recurrent_coefs_", "intercepts_"):
        before = getattr(est, name)
        for i, array in enumerate(before):
            setattr(est, name, [*before[:i], array + 0.1, *before[i + 1 :]])
            assert (est.predict(X) != expected).all()
            getattr(est, name)[i] -= 0.1  # in place
            assert_allclose(est.predict(X), expected, rtol=1e-10)
            setattr(est, name, before)
            assert_array_equal(est.predict(X), expected)
        setattr(est, name, [np.ones((2, 2)), *before[1:]])
        with pytest.raises(ValueError, match="The weights of the previous fit do not fit this network"):
            est.predict(X)
        setattr(est, name, before)


@pytest.mark.parametrize("cell", CELLS)
def test_summary(cell):
    X, y = sequences("multiclass")
    settings = {"bidirectional": True, "head_layer_sizes": 4, "dropout": [0.2, 0.0], "recurrent_dropout": 0.1}
    summary = small("multiclass", cell, **settings, pooling="mean").fit(X, y).summary()
    rows = [(row.layer, row.shape) for row in summary.rows]
    assert rows == [
        ("input", "(n, 6, 3)"), ("standardize", "(n, 6, 3)"), ("recurrent", "(n, 6, 10)"), ("globalpool", "(n, 10)"),
        ("dropout", "(n, 10)"), ("dense", "(n, 4)"), ("dense", "(n, 3)"),
    ]  # fmt: skip
    assert summary.rows[2].details.startswith(cell)
    est = small("multiclass", cell, **settings).fit(X, y)
    arrays = [*est.coefs_, *est.recurrent_coefs_, *est.intercepts_]
    assert summary.n_parameters == sum(a.size for a in arrays)


# -- what is learnt ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("ragged", [False, True])
def test_the_first_step_is_remembered(cell, ragged):
    X, _ = sequences(n_samples=500, n_timesteps=8, ragged=ragged)
    y = np.where(X[:, 0, 0] > 0, "up", "down")
    settings = {"hidden_layer_sizes": 12, "max_iter": 60, "learning_rate_init": 0.02, "batch_size": 32}
    est = small("binary", cell, **settings).fit(X[:350], y[:350])
    assert est.score(X[350:], y[350:]) >= 0.9


@pytest.mark.parametrize("cell", CELLS)
def test_the_next_value_of_a_series_is_forecast(cell):
    series = np.random.default_rng(0).normal(scale=0.05, size=400) + np.sin(np.arange(400) / 3)
    X, y = np.lib.stride_tricks.sliding_window_view(series[:-1], 12), series[12:]
    est = small(cell=cell, hidden_layer_sizes=8, max_iter=30, learning_rate_init=0.02, batch_size=32)
    assert est.fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.95


@pytest.mark.parametrize(("dtype", "size"), [("float32", 1e50), ("float64", 1e160)])
def test_targets_too_large_for_the_network(dtype, size):
    X, y = sequences()
    with pytest.raises(ValueError, match=f"Input y contains infinity or a value too large for dtype\\('{dtype}'\\)"):
        small().fit(X.astype(dtype), size * y)


def test_layers_that_cannot_read_what_comes():
    def network(*layers, **settings):
        return lower([*layers, Dense(1)], 3, dtype=np.float64, loss="squared_error", **settings)

    with pytest.raises(
        ValueError, match=r"Dense needs rows, got sequences of shape \(5, 4\): put GlobalPool or Flatten before it\."
    ):
        network(Recurrent("gru", 4), n_timesteps=5)
    with pytest.raises(ValueError, match=r"GlobalPool needs sequences, got rows of shape \(4,\)\."):
        network(Recurrent("gru", 4), GlobalPool("last"), GlobalPool("last"), n_timesteps=5)
