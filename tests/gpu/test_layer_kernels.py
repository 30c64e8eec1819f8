"""Every layer computes on a GPU what it computes on the CPU: generated from the list of layers, and from random stacks.

Settings come from the fields of the layers, so a new layer needs no test of its own here.
"""

import dataclasses
import random

import numpy as np
import pytest
from stacks import ELSEWHERE

import skneural.layers
from skneural.backends.cpu.engine import Predictor as PredictorOnCPU
from skneural.backends.cpu.engine import Trainer as OnCPU
from skneural.backends.cuda.engine import Predictor as PredictorOnGPU
from skneural.backends.cuda.engine import Trainer as OnGPU
from skneural.backends.cuda.launches import LAUNCHES
from skneural.backends.inputs import Sequences
from skneural.layers import BUILT_IN, Activation, Dense, GlobalPool, Layer, MixedRow, Noise, Recurrent
from skneural.network.initializers import initialize
from skneural.network.layer import CHOICES
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

N_ROWS, N_STEPS, N_FEATURES, N_OUTPUTS = 3, 5, 4, 2
PUBLIC = [getattr(skneural.layers, name) for name in skneural.layers.__all__]
LAYERS = [cls for cls in PUBLIC if isinstance(cls, type) and issubclass(cls, Layer) and cls is not Layer]
LAYERS = [cls for cls in LAYERS if cls.__name__ not in (*ELSEWHERE, "UpSample")]  # see test_image_kernels.py
#: Values of settings by their names, for those whose type does not say what may stand there.
VALUES = {
    "activation": ["tanh"],
    "dilation": [1, 2],
    "groups": [1, 2],
    "kernel_size": [3, 2],
    "layers": [(Activation("tanh"),)],
    "rate": [0.3],
    "shape": [(2, 2), (5, 4), (-1,)],
    "shortcut": [(), (Activation("relu"),)],
    "stride": [1, 2],
}
#: The same by their types.
TYPES = {"int": [4], "bool": [True], "float": [0.2]}


def values_of(field):
    """Values that a setting may have."""
    hint = getattr(field.type, "__name__", str(field.type)).removesuffix(" | None")
    return VALUES.get(field.name) or list(CHOICES.get(field.name, ())) or TYPES[hint]


def settings_of(cls, choose):
    """A layer, with settings of which `choose` picks one of several values each."""
    return cls(**{field.name: choose(values_of(field)) for field in dataclasses.fields(cls)})


def variants(cls):
    """Layers that together have every value of every setting."""
    count = max([len(values_of(field)) for field in dataclasses.fields(cls)], default=1)
    return [settings_of(cls, lambda values, i=i: values[i % len(values)]) for i in range(count)]


def network(layers, n_steps):
    """A program that ends in as many outputs as there are targets."""
    facts = {"dtype": np.float64, "loss": "squared_error", "n_timesteps": n_steps}
    try:
        return lower([*layers, Dense(N_OUTPUTS)], N_FEATURES, **facts)
    except ValueError as error:
        if "needs rows" not in str(error):
            raise
        return lower([*layers, GlobalPool("mean"), Dense(N_OUTPUTS)], N_FEATURES, **facts)


def check(program, seed=0, ragged=True):
    """Assert that loss, gradient, outputs and losses of both backends are the same to rounding."""
    rng = np.random.default_rng(seed)
    params = initialize(program, seed)
    params[program.learnt_index()] += 0.2 * rng.normal(size=len(program.learnt_index()))
    X = rng.normal(size=(N_ROWS, max(program.n_timesteps, 1), N_FEATURES))
    if program.n_timesteps and not ragged:
        X = Sequences(X, None)
    elif program.n_timesteps:
        lengths = rng.integers(1, program.n_timesteps + 1, N_ROWS)
        lengths[0] = program.n_timesteps
        for row, length in zip(X, lengths, strict=True):
            row[length:] = np.nan
        X = Sequences(X, lengths)
    else:
        X = X[:, 0]
    targets = rng.normal(size=(N_ROWS, N_OUTPUTS))
    weights = rng.uniform(0.5, 2, N_ROWS)
    found = []
    for make_trainer, make_predictor in ((OnCPU, PredictorOnCPU), (OnGPU, PredictorOnGPU)):
        trainer = make_trainer(program, params.copy(), X, targets, weights, alpha=0.0, seed=3, n_threads=1)
        if program.n_statistics:  # they need the sum of the weights of the batch
            trainer.template["scale"] = 1 / weights.sum()
        loss, gradient = trainer.loss_and_gradient()
        gradient = gradient[program.learnt_index()].copy()
        trainer.close()
        predict = make_predictor(program.variant(training=False), params, with_loss=True)
        found.append([loss, gradient, *predict(X, targets, weights)])
    for cpu, gpu in zip(*found, strict=True):
        assert np.isfinite(cpu).all()
        np.testing.assert_allclose(gpu, cpu, rtol=1e-10, atol=1e-12 * np.abs(cpu).max())
    assert (found[0][1] != 0).any()


def placed(layer, first, n_steps):
    """The program of a network with a layer in the first place, or after another one; None where it cannot stand."""
    before = [] if first else [Recurrent("rnn", N_FEATURES) if n_steps else Dense(N_FEATURES, "tanh")]
    try:
        return network([*before, layer], n_steps)
    except ValueError:
        return None


def cases():
    """Every layer at every place; one place of each is looked at in every run."""
    for cls in LAYERS:
        for i, layer in enumerate(variants(cls)):
            for n_steps in (0, N_STEPS):
                possible = [first for first in (False, True) if placed(layer, first, n_steps) is not None]
                for first in possible:
                    marks = () if i == 0 and first == possible[0] else pytest.mark.slow
                    yield pytest.param(layer, first, n_steps, id=f"{layer}-{first}-{n_steps}", marks=marks)


CASES = list(cases())


@pytest.mark.parametrize(("layer", "first", "n_steps"), CASES)
def test_layer(layer, first, n_steps):
    check(placed(layer, first, n_steps))


def test_every_layer_is_shown():
    assert {type(case.values[0]) for case in CASES} == set(LAYERS)


def test_kinds_without_kernels_are_few_and_known():
    written_out = {"sparse_input", "sparse_dense"}  # sparse rows become dense ones on the device
    assert set(BUILT_IN) - {kind for kind, _ in LAUNCHES} == written_out


def test_what_has_no_kernels_is_refused(monkeypatch):
    monkeypatch.delitem(LAUNCHES, ("noise", "forward"))
    monkeypatch.delitem(LAUNCHES, ("noise", "backward"))
    program = network([Dense(4, activation="tanh"), Noise(0.1)], 0)
    params = initialize(program, 0)
    X = np.zeros((N_ROWS, N_FEATURES))
    words = "no kernels for GPUs of operations 'noise': use device='cpu'"
    with pytest.raises(ValueError, match=words):
        OnGPU(program, params, X, np.zeros((N_ROWS, N_OUTPUTS)), None, alpha=0.0, seed=0)
    predict = PredictorOnGPU(program.variant(training=False), params)
    with pytest.raises(ValueError, match=words):
        predict(X)


@dataclasses.dataclass(frozen=True)
class Twice(Layer):
    """A value that an operation reads twice."""

    how: str

    def build(self, net, x):
        return getattr(net, self.how)(x, x)


@pytest.mark.parametrize("how", ["sum", "concatenate"])
def test_operation_that_reads_a_value_twice(how):
    check(network([Dense(4, "tanh"), Twice(how), Dense(3, "tanh")], 0))


def random_stack(rng, n_steps):
    """A program of some random layers."""
    while True:
        layers = [settings_of(rng.choice(LAYERS), rng.choice) for _ in range(rng.randint(2, 5))]
        layers += [skneural.layers.Residual((layers[-1],))] * rng.randint(0, 1)
        try:
            return network(layers, n_steps)
        except ValueError:
            continue


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 24))])
def test_random_stack(seed):
    check(random_stack(random.Random(seed), seed % 2 * N_STEPS), seed)


def test_rows_of_numbers_and_categories():
    program = network([Dense(N_FEATURES, "tanh"), MixedRow(2, (3, 1, 2), "tanh")], 0)
    assert "categorical" in {operation.kind for operation in program.operations}
    check(program)
