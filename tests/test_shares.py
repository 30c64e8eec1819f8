"""Shares of work: whoever is done takes what others have not begun. Here the others never begin."""

import ctypes
import os

import numpy as np
import pytest
from networks import make_trainer
from numba import njit

from skneural.backends.base import OptimizerState
from skneural.backends.cpu import engine, threads
from skneural.backends.cpu.intrinsics import frame_at, pass_at
from skneural.backends.cpu.layout import STRIP, STRIPS
from skneural.backends.cpu.product import rows_at_a_time
from skneural.backends.cpu.walker import share_rows
from skneural.backends.frame import data
from skneural.layers import Dense
from skneural.network.initializers import initialize
from skneural.network.program import lower

N_ROWS = 300


@pytest.fixture
def network():
    """A program, its parameters, and rows with targets."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, 150)).astype(np.float32)
    y = rng.normal(size=(N_ROWS, 3)).astype(np.float32)
    program = lower([Dense(40, "tanh"), Dense(3)], 150, dtype=np.float32, loss="squared_error")
    return program, initialize(program, 0), X, y


def first_of_two(program, params, X, y):
    """A trainer, and the frame of its first thread where the other one has not come yet."""
    trainer = make_trainer(program, params, X, y, None, n_threads=2)
    state = OptimizerState.fresh(program)
    trainer.start("adam", (0.9, 0.999, 1e-8), state, batch=len(X), shuffle=False, tol=0.0, patience=np.inf)
    frame = trainer.frame
    constants = np.array([[0.1, 0.9, 0.999, 1e-8, 1.0, 0.0]])
    frame.update(n_threads=2, chunk=len(X), scale=1 / len(X), factor=1.0, now=data(constants))
    return trainer, frame, constants


@pytest.mark.parametrize("rows", range(1, 1100, 7))
def test_pieces_are_whole_strips_and_about_equally_large(rows):
    size = rows_at_a_time(rows, STRIPS)
    pieces = -(-rows // size)
    assert size % STRIP == 0
    assert size < 1.5 * STRIPS * STRIP + STRIP
    assert pieces * size - rows < pieces * STRIP


def test_one_thread_predicts_what_the_other_has_not_begun(crews, monkeypatch, network):
    program, params, X, _ = network
    predictor = engine.Predictor(program, params)
    expected, _ = predictor(X)
    monkeypatch.setattr(engine, "run_together", lambda run, parts, held: run(parts[0]))
    outputs, _ = predictor(X, n_threads=lambda: 2)
    np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize("n_rows", [1, 2, 100, N_ROWS])
def test_one_thread_takes_the_rows_that_the_other_has_not_begun(crews, network, n_rows):
    program, params, X, y = network
    trainer, frame, _ = first_of_two(program, params, X[:n_rows], y[:n_rows])

    @njit
    def run(frame_address):
        f = frame_at(frame_address)
        share_rows(f, frame_address, pass_at(f.passes), f.chunk)

    assert frame["claims_rows"]
    run(frame.address)
    assert (trainer.losses > 0).all()
    trainer.close()


def test_one_thread_updates_what_the_other_has_not_begun(crews, network):
    program, params, X, y = network
    before = params.copy()
    trainer, frame, _ = first_of_two(program, params, X, y)
    work = trainer.work
    work[:] = np.random.default_rng(0).normal(size=work.shape)
    for i in range(len(program.ops)):
        kernel = int(trainer.ops[i]["update"])
        if kernel:
            call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(kernel)
            call(data(trainer.ops) + i * trainer.ops.itemsize, frame.address, 0, N_ROWS)
    for coef, old in zip(program.coefs(params), program.coefs(before), strict=True):
        assert (coef != old).all()
    trainer.close()


# -- cores -------------------------------------------------------------------------------------------------------------


def run_one():
    """Cores on which a thread might run, before and in it."""
    seen = []
    affinity = getattr(os, "sched_getaffinity", lambda _: None)
    thread = threads.Thread(target=lambda: seen.append(affinity(0)))
    thread.start()
    thread.join()
    return affinity(0), seen


def test_threads_leave_the_core_of_their_parent_and_may_come_back():
    before, seen = run_one()
    assert seen == [before]


@pytest.mark.skipif(threads._sched_getcpu is None, reason="needs Linux's threads bound to cores")
def test_threads_start_where_they_may_not_choose_their_core(monkeypatch):
    asked = []

    def forbidden(thread, cores=None):
        asked.append(cores)
        raise PermissionError

    before, _ = run_one()
    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    _, seen = run_one()
    assert seen == [before]
    assert len(asked) == (len(before) > 1)
    monkeypatch.setattr(os, "sched_getaffinity", forbidden)
    ran = []
    thread = threads.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    assert ran == [1]
