"""A step of training is data: passes that update different operations, go back only so far, or read other rows."""

import numpy as np
import pytest
from networks import fresh_state, make_trainer
from numpy.testing import assert_allclose, assert_array_equal
from stacks import N_FEATURES, N_OUTPUTS, data, network, predict

from skneural.backends.frame import data as address_of
from skneural.backends.records import PASS, SOURCE
from skneural.layers import BatchNorm, Dense, Dropout, GlobalPool, Recurrent
from skneural.network.program import lower

LAYERS = (Dense(4, "tanh"), Dense(5, "tanh"), Dense(N_OUTPUTS))
RATE = 0.05
#: Where the sums of the passes' losses and the parameters are compared with others that are made in another order.
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def position_of(program, number):
    """Where the operation stands that has the weights of a layer."""
    (position,) = (
        i for i, operation in enumerate(program.operations) if operation.layer == number and operation.blocks
    )
    return position


def table(*passes):
    """Passes of which the first fields are given; the others are 0."""
    rest = len(PASS) - len(passes[0])
    return np.array([(*one, *[0] * rest) for one in passes], PASS)


def start(program, params, X, y, weights, batch=None, n_threads=1, hyper=(0.9, 0.0), state=None, **settings):
    """A trainer of the usual kind, and the state of its optimizer."""
    trainer = make_trainer(program, params, X, y, weights, seed=4, n_threads=n_threads, **settings)
    state = state or fresh_state(program)
    batch = batch or len(y)
    trainer.start("sgd", hyper, state, batch=batch, shuffle=False, tol=0.0, patience=np.inf)
    return trainer, state


def run(trainer, n_epochs, rate=RATE):
    losses = []
    for _ in range(n_epochs):  # a call may end before all that it was asked for
        epochs, *_ = trainer.run_epochs(np.array([rate]), np.inf, 0)
        losses += [loss for loss, _ in epochs]
    return losses


def two_networks(layers=LAYERS, n_steps=0, border=2):
    """A program, its parameters, data, and the passes that update what comes from a layer on, and what is before it."""
    program, params = network(layers, n_steps)
    n_ops, middle = len(program.ops), position_of(program, border)
    upper = (0, n_ops, middle, middle, n_ops, 0, 1.0)
    before = (0, n_ops, 0, 0, middle, 0, 0.5)
    return program, params, data(N_OUTPUTS, n_steps), upper, before


STACKS = pytest.mark.parametrize(
    ("layers", "n_steps"),
    [
        (LAYERS, 0),
        ((Dense(4, "tanh", "layer"), Dense(5, "relu"), Dropout(0.3), Dense(N_OUTPUTS)), 0),
        ((Dense(4, "tanh"), BatchNorm(), Dense(N_OUTPUTS)), 0),
        ((Recurrent("lstm", 3), Recurrent("gru", 4), GlobalPool("max"), Dense(N_OUTPUTS)), 4),
    ],
    ids=str,
)


@STACKS
@pytest.mark.parametrize("limits", [None, {"clip_norm": 0.05, "clip_value": 0.03}], ids=str)
def test_networks_that_train_in_turn_are_two_trainers(layers, n_steps, limits):
    program, params, (X, y, weights), *passes = two_networks(layers, n_steps)
    others = params.copy()
    together, _ = start(program, params, X, y, weights, passes=table(*passes), alpha=0.01, limits=limits)
    losses = run(together, 4)
    together.close()
    halves, expected = [], np.zeros(4)
    for one in passes:
        half, _ = start(program, others, X, y, weights, passes=table(one), alpha=0.01, limits=limits)
        halves.append(half)
    for epoch in range(4):
        for half in halves:
            half.refresh()  # the other one has changed parameters
            expected[epoch] += run(half, 1)[0]
    for half in halves:
        half.close()
    learnt = program.learnt_index()
    assert_array_equal(params[learnt], others[learnt])
    assert np.isfinite(losses).all()
    assert_allclose(losses, expected, rtol=0.2)  # penalties are counted by both


def test_networks_that_train_in_turn_by_hand():
    program, params, (X, y, weights), *passes = two_networks()
    arrays = []
    for coef, intercept in zip(program.coefs(params), program.intercepts(params), strict=True):
        arrays += [coef.copy(), intercept.copy()]
    trainer, _ = start(program, params, X, y, weights, passes=table(*passes), hyper=(0.0, 0.0))
    losses = run(trainer, 3)
    trainer.close()

    def forward_and_back():
        W1, b1, W2, b2, W3, b3 = arrays
        a1 = np.tanh(X @ W1 + b1)
        a2 = np.tanh(a1 @ W2 + b2)
        error = a2 @ W3 + b3 - y
        d3 = weights[:, None] * error / weights.sum()
        d2 = d3 @ W3.T * (1 - a2**2)
        d1 = d2 @ W2.T * (1 - a1**2)
        gradients = [X.T @ d1, d1.sum(0), a1.T @ d2, d2.sum(0), a2.T @ d3, d3.sum(0)]
        return 0.5 * (weights[:, None] * error**2).sum() / weights.sum(), gradients

    averaging = trainer.template["averaging"]
    expected = []
    for _ in range(3):
        total = 0.0
        for counts, updated in ((1.0, (4, 5)), (0.5, (0, 1, 2, 3))):
            loss, gradients = forward_and_back()
            total += counts * loss * averaging
            for i in updated:
                arrays[i] = arrays[i] - RATE * gradients[i]
        expected.append(total)
    assert_allclose(losses, expected, **CLOSE)
    for found, wanted in zip(program.coefs(params), arrays[::2], strict=True):
        assert_allclose(found, wanted, **CLOSE)
    for found, wanted in zip(program.intercepts(params), arrays[1::2], strict=True):
        assert_allclose(found, wanted, **CLOSE)


@pytest.mark.parametrize("batch", [None, 3])
def test_a_pass_that_goes_back_only_so_far_trains_the_layers_behind(batch):
    program, params, (X, y, weights), upper, _ = two_networks(border=1)
    before = params.copy()
    trainer, _ = start(program, params, X, y, weights, batch, passes=table(upper))
    losses = run(trainer, 4)
    trainer.close()
    # The same as a network of those layers alone, which reads what the first one makes.
    W, b = program.coefs(before)[0], program.intercepts(before)[0]
    assert_array_equal(program.coefs(params)[0], W)
    assert_array_equal(program.intercepts(params)[0], b)
    hidden = np.ascontiguousarray(np.tanh(X @ W + b))
    rest = lower(LAYERS[1:], hidden.shape[1], dtype=np.float64, loss="squared_error")
    rest_params = np.zeros(rest.n_params)
    for views, others in ((rest.coefs, program.coefs), (rest.intercepts, program.intercepts)):
        for view, other in zip(views(rest_params), others(before)[1:], strict=True):
            view[:] = other
    alone, _ = start(rest, rest_params, hidden, y, weights, batch)
    assert_allclose(run(alone, 4), losses, **CLOSE)
    alone.close()
    for found, wanted in zip(program.coefs(params)[1:], rest.coefs(rest_params), strict=True):
        assert_allclose(found, wanted, **CLOSE)


@STACKS
def test_threads_change_no_bit_of_passes(layers, n_steps, crews):
    results = []
    for n_threads in (1, 3):
        program, params, (X, y, weights), *passes = two_networks(layers, n_steps)
        trainer, _ = start(program, params, X, y, weights, 4, n_threads, passes=table(*passes))
        results.append((run(trainer, 2), params))
        trainer.close()
    assert set(crews) == {1, 3}
    assert results[0][0] == results[1][0]
    assert_array_equal(results[0][1], results[1][1])


def source_of(trainer, X, y):
    """Where samples come from, as a record: rows of the same number."""
    source = np.zeros(1, np.dtype(list(SOURCE)))
    for name in source.dtype.names:
        source[name] = trainer.template[name]
    source["inputs"], source["targets"], source["weights"] = address_of(X), address_of(y), 0
    return source


def test_passes_read_rows_of_their_own():
    program, params = network(LAYERS)
    others = params.copy()
    X, y, _ = data(N_OUTPUTS)
    X2, y2, _ = data(N_OUTPUTS, seed=9)
    n_ops = len(program.ops)
    passes = table(*[(0, n_ops, 0, 0, n_ops, 0, 1.0)] * 2)
    trainer, state = start(program, params, X, y, None, passes=passes)
    sources = [source_of(trainer, *rows) for rows in ((X, y), (X2, y2))]
    trainer.passes["source"] = [address_of(source) for source in sources]
    losses = run(trainer, 3)
    trainer.close()
    shared = fresh_state(program)
    first, _ = start(program, others, X, y, None, state=shared)
    second, _ = start(program, others, X2, y2, None, state=shared)
    expected = []
    for _ in range(3):
        total = 0.0
        for turn in (first, second):
            turn.refresh()
            total += run(turn, 1)[0]
        expected.append(total)
    first.close()
    second.close()
    assert_allclose(losses, expected, rtol=1e-12)
    assert_array_equal(params, others)
    assert_array_equal(state.s, shared.s)


def test_gradients_of_passes_come_together():
    program, params, (X, y, weights), *passes = two_networks()
    whole = make_trainer(program, params, X, y, weights)
    loss, gradient = whole.loss_and_gradient()
    whole.close()
    parts = make_trainer(program, params, X, y, weights, passes=table(*passes))
    total, same = parts.loss_and_gradient()
    parts.close()
    assert total == 1.5 * loss
    assert_array_equal(same, gradient)


@pytest.mark.parametrize(
    "wrong",
    [
        {"end": 99}, {"begin": -1}, {"back": -1}, {"back": 9}, {"update_begin": 3, "update_end": 3}, {"update_end": 99},
    ],
    ids=str,
)  # fmt: skip
def test_passes_over_operations_that_there_are_not_are_refused(wrong):
    program, params = network(LAYERS)
    X, y, weights = data(N_OUTPUTS)
    n_ops = len(program.ops)
    passes = table((0, n_ops, 0, 0, n_ops, 0, 1.0))
    for name, value in wrong.items():
        passes[name] = value
    with pytest.raises(ValueError, match=f"Passes go from .* within {n_ops} operations"):
        make_trainer(program, params, X, y, weights, passes=passes)
    for other in (passes[:0], passes[None], np.zeros(3)):
        with pytest.raises(ValueError, match="Passes must be an array of"):
            make_trainer(program, params, X, y, weights, passes=other)


def test_one_pass_is_what_a_step_is_without_a_table():
    results = []
    for given in (False, True):
        program, params = network(LAYERS)
        n_ops = len(program.ops)
        passes = table((0, n_ops, 0, 0, n_ops, 0, 1.0)) if given else None
        trainer, _ = start(program, params, *data(N_OUTPUTS), 3, passes=passes, alpha=0.1)
        results.append((run(trainer, 3), params))
        trainer.close()
    assert results[0][0] == results[1][0]
    assert_array_equal(results[0][1], results[1][1])
    X, _, _ = data(N_OUTPUTS)
    assert predict(program, params, X)[0].shape == (len(X), N_OUTPUTS)
    assert X.shape[1] == N_FEATURES
