"""What is promised of every layer: right gradients, and results that depend on neither padding nor company."""

import dataclasses

import numpy as np
import pytest
from networks import assert_right_gradient, make_trainer, sum_and_gradient
from numpy.testing import assert_allclose, assert_array_equal
from stacks import (
    N_OUTPUTS,
    N_ROWS,
    N_STEPS,
    OF_ONE_LENGTH,
    WIDTH,
    data,
    every_layer,
    gradient_by_input,
    in_buffer,
    network,
    predict,
    rows_of,
    without_chance,
)

from skneural.backends.cpu import engine
from skneural.layers import Dense, GlobalPool, Recurrent

#: What may stand before a layer, and whether that reads sequences.
BEFORE = {
    "after rows": ([Dense(WIDTH, "tanh")], 0),
    "after sequences": ([Recurrent("gru", WIDTH)], N_STEPS),
    "first of rows": ([], 0),
    "first of sequences": ([], N_STEPS),
}
#: What makes outputs of what a layer returns.
AFTER = ([Dense(N_OUTPUTS)], [GlobalPool("mean"), Dense(N_OUTPUTS)])


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer between others."""

    place: str
    layer: object
    layers: tuple
    n_steps: int

    def __str__(self):
        return f"{self.layer} {self.place}"

    @property
    def is_of_one_length(self):
        return any(name in repr(self.layer) for name in OF_ONE_LENGTH)


def cases_and_refusals():
    """Layers where they may stand, and (layer, place, message) where they may not."""
    cases, refusals = [], []
    for layer in every_layer():
        for place, (before, n_steps) in BEFORE.items():
            messages = []
            for after in AFTER:
                layers = (*before, layer, *after)
                try:
                    network(layers, n_steps)
                except ValueError as error:
                    messages.append(str(error))
                else:
                    cases.append(Case(place, layer, layers, n_steps))
            if len(messages) == len(AFTER):
                refusals.append((layer, place, messages))
    return cases, refusals


CASES, REFUSALS = cases_and_refusals()
every_case = pytest.mark.parametrize("case", CASES, ids=str)
ragged_cases = pytest.mark.parametrize(
    "case", [case for case in CASES if case.n_steps and not case.is_of_one_length], ids=str
)


def n_outputs_of(case):
    return case.layers[-1].units


def test_every_layer_stands_somewhere():
    stands = {case.layer for case in CASES}
    assert [layer for layer in every_layer() if layer not in stands] == []


@pytest.mark.parametrize(("layer", "place", "messages"), REFUSALS, ids=lambda value: str(value)[:60])
def test_refusals_name_a_layer(layer, place, messages):
    names = [type(part).__name__ for part in (layer, *getattr(layer, "layers", ()))]
    assert all(message.split()[0] in (*names, "Dense", "GlobalPool", "The") for message in messages)
    assert any(message.split()[0] in names for message in messages)


@every_case
def test_gradients_by_parameters(case):
    program, params = network(case.layers, case.n_steps)
    assert_right_gradient(program, params, *data(N_OUTPUTS, case.n_steps), seed=3)


@every_case
def test_gradients_by_the_input(case):
    program, params = network(case.layers, case.n_steps, input_gradient=True)
    X, y, weights = data(N_OUTPUTS, case.n_steps)
    trainer = make_trainer(program, params, X, y, weights, seed=3, whole=True)
    trainer.loss_and_gradient()
    found = gradient_by_input(trainer).copy()
    values = X.values if case.n_steps else X
    expected = np.zeros_like(values)
    h = 1e-5
    for place in np.argwhere(~np.isnan(values)):
        place = tuple(place)
        value = values[place]
        values[place] = value + h
        above = trainer.loss_and_gradient()[0]
        values[place] = value - h
        below = trainer.loss_and_gradient()[0]
        values[place] = value
        expected[place] = (above - below) / (2 * h)
    trainer.close()
    is_there = ~np.isnan(values)
    assert np.abs(found - expected)[is_there].max() <= 1e-6 * np.abs(expected).max()


@every_case
def test_input_gradient_changes_no_other(case):
    program, params = network(case.layers, case.n_steps)
    by_input, _ = network(case.layers, case.n_steps, input_gradient=True)
    loss, gradient = sum_and_gradient(program, params, *data(N_OUTPUTS, case.n_steps))
    same_loss, same_gradient = sum_and_gradient(by_input, params, *data(N_OUTPUTS, case.n_steps))
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


@ragged_cases
def test_padding_changes_no_bit(case):
    program, params = network(case.layers, case.n_steps)
    padded = program.variant(n_timesteps=case.n_steps + 4)
    assert padded.same_parameters(program)
    X, y, weights = data(N_OUTPUTS, case.n_steps)
    longer, *_ = data(N_OUTPUTS, case.n_steps + 4, longest=case.n_steps)
    assert_array_equal(longer.values[:, : case.n_steps], X.values)
    assert_array_equal(predict(padded, params, longer)[0], predict(program, params, X)[0])
    loss, gradient = sum_and_gradient(program, params, X, y, weights)
    same_loss, same_gradient = sum_and_gradient(padded, params, longer, y, weights)
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


@every_case
def test_a_row_alone_is_what_it_is_in_a_batch(case):
    program, params = network(case.layers, case.n_steps, input_gradient=True)
    X, y, weights = data(N_OUTPUTS, case.n_steps)
    outputs, losses = predict(program, params, X, y, weights)
    for row in range(N_ROWS):
        which = slice(row, row + 1)
        alone = predict(program, params, rows_of(X, which), y[which], weights[which])
        assert_array_equal(alone[0], outputs[which])
        assert_array_equal(alone[1], losses[which])
    if program.n_statistics:
        return  # in training, a batch that is normalised is one thing
    trained = []
    for n_rows in (N_ROWS, 3, 1):
        trainer = make_trainer(program, params, rows_of(X, slice(n_rows)), y[:n_rows], weights[:n_rows])
        trainer.loss_and_gradient()
        trained.append((trainer.losses[:1].copy(), gradient_by_input(trainer)[:1].copy()))
        trainer.close()
    is_there = ~np.isnan(X.values[:1] if case.n_steps else X[:1])
    for loss, gradient in trained[1:]:
        assert_array_equal(loss, trained[0][0])
        assert_array_equal(gradient[is_there], trained[0][1][is_there])


@every_case
def test_prediction_is_training_without_chance(case):
    program, params = network(without_chance(case.layers), case.n_steps)
    X, y, weights = data(N_OUTPUTS, case.n_steps)
    trainer = make_trainer(program, params, X, y, weights, whole=True)
    trainer.loss_and_gradient()  # the first batch's statistics become the running ones
    in_training = trainer.losses.copy()
    trainer.close()
    losses = predict(program, params, X, y, weights)[1]
    if program.n_statistics:
        assert_allclose(losses, in_training, rtol=1e-9)
    else:
        assert_array_equal(losses, in_training)


def is_overwritten(program, value):
    """Whether an operation that comes later writes something else where a value stood."""
    later = program.operations[program.operations.index(value.producer) + 1 :]
    places = [operation.output.y for operation in later if operation.output is not None]
    places += [operation.details.get(operation.traits.overwrites) for operation in later]
    return value.y in places


@ragged_cases
def test_values_behind_the_end_are_0(case):
    program, params = network(case.layers, case.n_steps)
    X, y, weights = data(N_OUTPUTS, case.n_steps)
    trainer = make_trainer(program, params, X, y, weights, whole=True)
    trainer.loss_and_gradient()
    seen = 0
    for operation in program.operations:
        value = operation.output
        if value is None or not value.every or len(value.shape) == 1 or is_overwritten(program, value):
            continue
        lengths = -(-X.lengths // value.every)
        is_behind = np.arange(value.steps) >= lengths[:, None]
        numbers = in_buffer(trainer, value, value.y)
        assert not numbers[is_behind].any()
        assert np.isfinite(numbers).all()
        seen += 1
    trainer.close()
    assert seen


@every_case
def test_threads_change_no_bit(case, crews):
    program, params = network(case.layers, case.n_steps)
    X, y, weights = data(N_OUTPUTS, case.n_steps)
    loss, gradient = sum_and_gradient(program, params, X, y, weights)
    same_loss, same_gradient = sum_and_gradient(program, params, X, y, weights, n_threads=3)
    assert crews == [1, 3]
    assert same_loss == loss
    assert_array_equal(same_gradient, gradient)


@every_case
def test_pieces_of_a_batch_add_up(case, monkeypatch):
    program, params = network(case.layers, case.n_steps)
    X, y, weights = data(N_OUTPUTS, case.n_steps)
    loss, gradient = sum_and_gradient(program, params, X, y, weights)
    monkeypatch.setattr(engine, "MAX_CAPACITY", 3)
    same_loss, same_gradient = sum_and_gradient(program, params, X, y, weights)
    assert_allclose(same_loss, loss, rtol=1e-12)
    assert_allclose(same_gradient, gradient, rtol=1e-10, atol=1e-12)


@every_case
def test_single_precision(case):
    layers = without_chance(case.layers)
    program, params = network(layers, case.n_steps)
    single, single_params = network(layers, case.n_steps, np.float32)
    index, single_index = program.learnt_index(), single.learnt_index()
    assert_allclose(single_params[single_index], params[index], rtol=1e-6)
    loss, gradient = sum_and_gradient(program, params, *data(N_OUTPUTS, case.n_steps))
    X, y, weights = data(N_OUTPUTS, case.n_steps, dtype=np.float32)
    found_loss, found = sum_and_gradient(single, single_params, X, y, weights)
    assert_allclose(found_loss, loss, rtol=1e-4)
    error = np.abs(found[single_index] - gradient[index])
    assert error.max() <= 1e-4 * np.abs(gradient).max()
