"""Random numbers of all streams, steps of the optimizer, steps of time, rows and columns, drawn together.

Two that should differ may have nothing in common: no row stands twice, single words repeat no more often than chance
has it, and nothing correlates. Seeds are fixed, so thresholds are met by every run or by none.
"""

from math import comb

import numpy as np
import pytest
from numba import njit
from scipy.stats import norm, poisson

from skneural.backends.base import OptimizerState
from skneural.backends.cpu.compiler import formula
from skneural.backends.cpu.engine import Trainer
from skneural.backends.inputs import Sequences
from skneural.layers import Dense, Dropout, GlobalPool, Noise, Recurrent
from skneural.maths import random
from skneural.network.initializers import initialize
from skneural.network.program import lower

#: Noise, and either kind of dropout in the first two layers.
STREAMS = (
    random.NOISE,
    random.DROPOUT,
    random.DROPOUT + 16,
    random.RECURRENT_DROPOUT,
    random.RECURRENT_DROPOUT + 16,
)
STEPS, TIMES, ROWS, COLUMNS = 8, 12, 64, 16

#: How unlikely something must be by chance before a test fails of it.
CHANCE = 1e-6


def draw(seed, streams, steps, times, positions):
    """Random words, one axis for each argument but the seed."""
    words = []
    for stream in streams:
        for step in steps:
            keys = random.at_time(random.key(seed, stream, step), np.asarray(times, np.uint64)[:, None])
            words.append(random.bits(keys, np.asarray(positions, np.uint64).ravel()))
    return np.reshape(words, (len(streams), len(steps), len(times), *np.shape(positions)))


@pytest.fixture(scope="module")
def words():
    """Words by stream, step, time, row and column, as an engine draws them for rows of 16 numbers."""
    return draw(11, STREAMS, range(STEPS), range(TIMES), np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS))


def n_distinct(rows):
    """Number of different rows of a matrix."""
    return len(np.unique(rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))))


def test_no_row_of_numbers_stands_twice(words):
    rows = words.reshape(-1, COLUMNS)
    assert n_distinct(rows) == len(rows)
    # Nor with its columns in another order, as it would after a change of single bits of the positions.
    assert n_distinct(np.sort(rows, axis=1)) == len(rows)


def test_single_words_repeat_as_often_as_chance_has_it(words):
    repeats = words.size - len(np.unique(words))
    expected = poisson(comb(words.size, 2) / 2**32)
    assert expected.ppf(CHANCE) <= repeats <= expected.isf(CHANCE)


@pytest.mark.parametrize("part", ["numbers", "first bits"])
def test_no_two_steps_of_any_stream_correlate(words, part):
    # Dropout asks for little more than the first bit of a word; noise for all of it.
    numbers = words / 2.0**32 if part == "numbers" else (words >> np.uint64(31)).astype(float)
    slabs = numbers.reshape(-1, ROWS * COLUMNS)
    correlations = np.corrcoef(slabs)[np.triu_indices(len(slabs), 1)]
    limit = norm.isf(CHANCE / 2 / len(correlations)) / np.sqrt(slabs.shape[1])
    assert np.abs(correlations).max() < limit
    # All together are as far from 0 as chance has it, too: the mean of their squares has a standard error of sqrt(2/n).
    spread = (correlations**2).mean() * slabs.shape[1]
    assert abs(spread - 1) < 5 * np.sqrt(2 / len(correlations)) + 2 / slabs.shape[1]


@pytest.mark.parametrize("axis", range(5), ids=["stream", "step", "time", "row", "column"])
def test_neighbours_do_not_correlate(words, axis):
    numbers = np.moveaxis(words / 2.0**32, axis, 0)
    for lag in (1, 2, 3, 4, 8, 16, 32):
        if lag >= len(numbers):
            break
        before, after = numbers[:-lag].ravel(), numbers[lag:].ravel()
        assert abs(np.corrcoef(before, after)[0, 1]) < norm.isf(CHANCE / 2) / np.sqrt(before.size)


def test_positions_beyond_32_bits_are_others():
    # Rows of an epoch times their width: an epoch of ten million rows of 512 gets there.
    offsets = np.array([0, 1, 2, 3, 16, 2**12, 2**20])[:, None] * 2**32
    positions = (offsets + np.arange(0, 4096, 16))[..., None] + np.arange(16)
    words = draw(11, (random.DROPOUT,), (3,), (0, 1), positions)
    rows = words.reshape(-1, 16)
    assert n_distinct(rows) == n_distinct(np.sort(rows, axis=1)) == len(rows)
    numbers = words.reshape(2 * len(offsets), -1) / 2.0**32
    correlations = np.corrcoef(numbers)[np.triu_indices(len(numbers), 1)]
    assert np.abs(correlations).max() < norm.isf(CHANCE / 2 / len(correlations)) / np.sqrt(numbers.shape[1])


def test_steps_of_long_fits_do_not_meet_in_one_key():
    # 2,000 times 200 of them: with 32 bits about 19 pairs would be alike.
    keys = random.at_time(
        random.key(11, random.NOISE, np.arange(2000, dtype=np.uint64))[:, None], np.arange(200, dtype=np.uint64)
    )
    assert len(np.unique(keys)) == keys.size


def test_the_first_step_of_time_has_the_numbers_of_rows():
    key, positions = random.key(1, random.NOISE, 2), np.arange(100, dtype=np.uint64)
    assert random.at_time(key, 0) == key
    assert (random.bits(random.at_time(key, 1), positions) != random.bits(key, positions)).all()


def test_steps_of_time_have_the_same_numbers_wherever_they_are_computed():
    from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler what these call)

    at_time, bits = formula(random.at_time), formula(random.bits)

    @njit
    def compiled_bits(key, t, position):
        return bits(at_time(np.uint64(key), np.uint64(t)), np.uint64(position))

    positions = [0, 1, 12345, 2**31, 2**32 - 1, 2**32, 2**40 + 3, 2**63 - 1]
    for key in (0, 1, 2**31, random.key(3, random.NOISE, 4)):
        for t in (0, 1, 95, 2**31, 2**32 - 1):
            plain = [random.bits(random.at_time(key, t), p) for p in positions]
            array = random.bits(random.at_time(key, np.uint64(t)), np.array(positions, np.uint64))
            assert plain == array.tolist() == [compiled_bits(key, t, p) for p in positions]
            assert max(plain) < 2**32


# -- through the engine ------------------------------------------------------------------------------------------------

N_ROWS, N_STEPS, WIDTH = 64, 12, 64


def buffers_of_steps(layers, kind, names, value, n_epochs=2):
    """Buffers of an operation after each of some steps, of shape (step, T, B, width); all inputs are `value`."""
    program = lower(layers, WIDTH, dtype=np.float64, loss="squared_error", n_timesteps=N_STEPS)
    X = Sequences(np.full((N_ROWS, N_STEPS, WIDTH), value), None)
    trainer = Trainer(program, initialize(program, 1), X, np.zeros((N_ROWS, 1)), None, alpha=0.0, seed=5, n_threads=1)
    state = OptimizerState.fresh(program)
    operation = next(operation for operation in program.operations if operation.kind == kind)
    places = {"x": operation.inputs[0], "y": operation.output}
    found = {name: [] for name in names}
    try:
        trainer.start("sgd", (0.0, False), state, batch=N_ROWS, shuffle=False, tol=0.0, patience=np.inf)
        for _ in range(n_epochs):
            trainer.run_epochs(np.array([0.0]), np.inf, 0)
            for name in names:
                begin, width = places[name].y * trainer.frame["capacity"], places[name].ld
                buffer = trainer.work[begin : begin + N_STEPS * N_ROWS * width]
                found[name].append(buffer.reshape(N_STEPS, N_ROWS, width)[:, :, :WIDTH].copy())
    finally:
        trainer.close()
    return [np.array(found[name]) for name in names]


def check_independent(numbers):
    """No row (the last axis) stands twice, no two correlate more than chance has it."""
    rows = np.ascontiguousarray(numbers.reshape(-1, WIDTH))
    assert n_distinct(rows) == len(rows)
    correlations = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
    # With few columns the correlation of independent rows has a beta distribution, not quite a normal one.
    limit = np.tanh(norm.isf(CHANCE / 2 / len(correlations)) / np.sqrt(rows.shape[1] - 3))
    assert np.abs(correlations).max() < limit


def test_noise_of_sequences_is_drawn_anew_for_every_row_and_step():
    layers = [Noise(1.0), Recurrent("rnn", 3), GlobalPool("last"), Dense(1)]
    (noise,) = buffers_of_steps(layers, "noise", ["y"], value=0.0)
    assert abs(noise.std() - 1) < 5 / np.sqrt(2 * noise.size)
    check_independent(noise)


def test_dropout_between_recurrent_layers_is_drawn_anew_for_every_row_and_step():
    layers = [Recurrent("rnn", WIDTH), Dropout(0.5), Recurrent("rnn", 3), GlobalPool("last"), Dense(1)]
    x, y = buffers_of_steps(layers, "dropout", ["x", "y"], value=1.0)
    assert (x != 0).all()
    kept = (y != 0).astype(float)
    assert abs(kept.mean() - 0.5) < 5 * 0.5 / np.sqrt(kept.size)
    check_independent(kept)
