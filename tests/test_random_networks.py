"""Random stacks of layers: those that fit together train, the others are refused with a sentence, and nothing else."""

import re
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from networks import assert_right_gradient, fresh_state, make_trainer, sum_and_gradient
from numpy.testing import assert_array_equal
from stacks import ELSEWHERE, N_FEATURES, N_OUTPUTS, data, network, predict

from skneural.layers import (
    Activation,
    AveragePool1D,
    BatchNorm,
    Conv1D,
    ConvTranspose1D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    LayerNorm,
    MaxPool1D,
    Noise,
    Recurrent,
    Reshape,
    Residual,
    SpatialDropout,
    Standardize,
    UpSample,
)
from skneural.maths.cells import CELLS
from skneural.network import plan
from skneural.network import program as program_module
from skneural.network.layer import LAYERS
from skneural.network.program import lower


@dataclass(frozen=True)
class Branches(Layer):
    """``x + f(x) + g(x)``."""

    left: tuple
    right: tuple

    def build(self, net, x):
        left = net.stack(self.left, x)
        right = net.stack(self.right, x)
        return net.sum(net.sum(x, left), right)


@dataclass(frozen=True)
class SideBySide(Layer):
    """``[f(x), g(x)]``: with no layers, x and itself."""

    left: tuple = ()
    right: tuple = ()

    def build(self, net, x):
        left = net.stack(self.left, x)
        right = net.stack(self.right, x)
        return net.concatenate(left, right)


@dataclass(frozen=True)
class Doubled(Layer):
    """``f(x) + f(x)``."""

    layers: tuple

    def build(self, net, x):
        y = net.stack(self.layers, x)
        return net.sum(y, y)


# -- random stacks -----------------------------------------------------------------------------------------------------

FUNCTIONS = st.sampled_from(["identity", "logistic", "relu", "tanh"])
UNITS = st.sampled_from([1, 2, 3, 4, 9])
SIZES = st.sampled_from([1, 2, 3, 8])
RATES = st.sampled_from([0.0, 0.3, 0.8])

SIMPLE = st.one_of(
    st.builds(Activation, FUNCTIONS),
    st.builds(AveragePool1D, SIZES),
    st.just(BatchNorm()),
    st.builds(Conv1D, UNITS, SIZES, SIZES, st.sampled_from(["same", "causal", "valid"]), SIZES, st.none() | FUNCTIONS),
    st.builds(ConvTranspose1D, UNITS, SIZES, SIZES, st.sampled_from(["same", "valid"]), SIZES, st.none() | FUNCTIONS),
    st.builds(Dense, UNITS, st.none() | FUNCTIONS, st.sampled_from([None, "batch", "layer"])),
    st.builds(Dropout, RATES),
    st.just(Flatten()),
    st.builds(GlobalPool, st.sampled_from(["last", "mean", "max"])),
    st.just(LayerNorm()),
    st.builds(MaxPool1D, SIZES),
    st.builds(Noise, st.sampled_from([0.0, 0.2])),
    # Not truncated: gradients would not be those of central differences.
    st.builds(Recurrent, st.sampled_from(sorted(CELLS)), UNITS, st.booleans(), RATES),
    st.builds(Reshape, st.sampled_from([(-1,), (2, -1), (-1, 3), (4, 2), (6,), (5, 3)])),
    st.builds(SpatialDropout, RATES),
    st.just(Standardize()),
    st.builds(UpSample, SIZES),
)


def nested(inner):
    """Layers of layers."""
    stacks = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Residual, stacks),
        st.builds(Branches, stacks, stacks),
        st.builds(SideBySide, stacks, stacks),
        st.builds(Doubled, stacks),
    )


STACKS = st.lists(st.recursive(SIMPLE, nested, max_leaves=4), max_size=5)
#: What networks read: how many time steps (0 for rows), and whether rows are sparse.
INPUTS = st.sampled_from([(0, False), (0, True), (1, False), (4, False)])
#: What makes outputs of anything.
ENDS = ((Dense(N_OUTPUTS),), (GlobalPool("mean"), Dense(N_OUTPUTS)))


def lowered(layers, n_steps, sparse):
    return lower(layers, N_FEATURES, dtype=np.float64, loss="squared_error", n_timesteps=n_steps, sparse=sparse)


def without_misfits(stack, n_steps, sparse):
    """The stack without those layers that cannot stand where they do, and with outputs."""
    kept = ()
    end = ENDS[n_steps > 0]
    for layer in stack:
        for possible in ENDS:
            try:
                lowered((*kept, layer, *possible), n_steps, sparse)
            except ValueError:
                continue
            kept = (*kept, layer)
            end = possible
            break
    return (*kept, *end)


def names_in(layers):
    """Names of the classes of layers, those of layers within others too."""
    return set(re.findall(r"(\w+)\(", repr(layers)))


def check_that_it_learns(layers, n_steps, sparse):
    """Right gradients, a few steps with finite losses, and a prediction of the right shape."""
    program, params = network(layers, n_steps, sparse=sparse)
    n_outputs = program.n_outputs
    X, y, weights = data(n_outputs, n_steps, n_rows=5, sparse=sparse)
    assert_right_gradient(program, params, X, y, weights, seed=3, n_places=6)
    trainer = make_trainer(program, params, X, y, weights, alpha=0.01, seed=2)
    trainer.start("adam", (0.9, 0.999, 1e-8), fresh_state(program), batch=2, shuffle=True, tol=0.0, patience=np.inf)
    epochs, *_ = trainer.run_epochs(np.full(2, 1e-3), np.inf, 0)
    trainer.close()
    assert np.isfinite([loss for loss, _ in epochs]).all()
    used = np.arange(program.n_params)
    used = np.concatenate([block.view(used).ravel() for block in program.blocks])
    assert np.isfinite(params).all()
    assert not np.delete(params, used).any()  # padding stays 0
    outputs = predict(program, params, X)[0]
    assert outputs.shape == (5, n_outputs)
    assert np.isfinite(outputs).all()


@given(stack=STACKS, reads=INPUTS)
@settings(max_examples=120)
def test_layers_that_fit_together_learn(stack, reads):
    layers = without_misfits(stack, *reads)
    event(f"{len(layers)} layers")
    check_that_it_learns(layers, *reads)


@given(stack=STACKS, reads=INPUTS, is_open=st.booleans())
@settings(max_examples=80)
def test_any_layers_learn_or_are_refused(stack, reads, is_open):
    layers = tuple(stack) if is_open else (*stack, Dense(N_OUTPUTS))
    try:
        lowered(layers, *reads)
    except ValueError as error:
        event("refused")
        words = str(error)
        names = names_in(layers) & set(re.findall(r"\w+", words))
        assert names or words.startswith(("The last layer must", "A network needs at least one layer"))
    else:
        event("fits")
        check_that_it_learns(layers, *reads)


def test_all_layers_are_drawn():
    names = {name for name, cls in LAYERS.items() if cls.__module__.startswith("skneural.layers.")} - set(ELSEWHERE)
    names -= {"ActivityRegularization", "GaussianSampling"}  # they add to the loss: test_loss_operations
    drawn = set(re.findall(r"[A-Z]\w+", repr((SIMPLE, nested(SIMPLE)))))
    assert names - drawn == set()


def test_padding_of_running_statistics_stays_0():
    check_that_it_learns((Activation("logistic"), BatchNorm(), Dense(N_OUTPUTS)), 0, False)


# -- several readers of one value --------------------------------------------------------------------------------------

READERS = {
    "x + f(x) + g(x)": (Branches((Dense(4, "tanh"),), (Dense(4, "relu", "layer"),)),),
    "x + f(x) + x": (Branches((Dense(4, "tanh"),), ()),),
    "x + x + x": (Branches((), ()),),
    "f(x) and x": (SideBySide((Activation("tanh"),)),),
    "x and x": (SideBySide(),),
    "x and x, twice": (SideBySide(), SideBySide()),
    "f(x) and f(x)": (Doubled((Dense(4, "tanh"), Activation("logistic"))),),
    "dropped, and whole": (Branches((Dropout(0.4),), (Noise(0.1), Activation("relu"))),),
    "normalised, and as it is": (SideBySide((BatchNorm(), Activation("tanh")), (LayerNorm(),)),),
    "within one another": (Branches((Branches((Activation("tanh"),), (Dense(4),)),), (Residual((Dense(4),)),)),),
}


@pytest.mark.parametrize("before", [(Dense(4, "tanh"),), (Dense(4), Activation("relu")), (Dense(4), Dropout(0.2)), ()])
@pytest.mark.parametrize("name", READERS)
def test_gradients_of_several_readers_add_up(name, before):
    layers = (*before, *READERS[name], Dense(N_OUTPUTS))
    if not before:
        layers = (Dense(4), *layers)
    program, params = network(layers)
    assert_right_gradient(program, params, *data(N_OUTPUTS), seed=3)


@pytest.mark.parametrize("name", ["x + f(x) + x", "f(x) and x", "x and x", "dropped, and whole"])
def test_gradients_of_several_readers_of_sequences_add_up(name):
    (joined,) = READERS[name]
    if name == "x + f(x) + x":
        joined = Branches((Recurrent("gru", 4),), ())
    layers = (Recurrent("rnn", 4), joined, Recurrent("gru", 3, True), GlobalPool("max"), Dense(N_OUTPUTS))
    program, params = network(layers, 4)
    assert_right_gradient(program, params, *data(N_OUTPUTS, 4), seed=3)


# -- activations within other operations -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layers",
    [
        (Dense(4, "tanh"), Dense(3, "relu", "batch"), Dense(N_OUTPUTS)),
        (Dense(4), LayerNorm(), Activation("logistic"), Dropout(0.3), Dense(N_OUTPUTS)),
        (Dense(4, "relu"), Residual((Dense(4), Dropout(0.2))), Dense(3, "tanh"), Dense(N_OUTPUTS)),
    ],
    ids=str,
)
def test_activations_are_the_same_by_themselves(layers, monkeypatch):
    apart = []
    for layer in layers:
        if isinstance(layer, Dense) and layer.activation:
            apart += [Dense(layer.units, None, layer.normalization), Activation(layer.activation)]
        else:
            apart.append(layer)
    _, params = network(layers)  # initial weights would depend on it: they are made for the function of an operation
    results = []
    for stack, fuse in ((layers, True), (apart, True), (apart, False)):
        with monkeypatch.context() as patch:
            if not fuse:
                patch.setattr(plan, "fuse_activations", list)
                patch.setattr(program_module, "_lower", program_module._lower.__wrapped__)
            program, _ = network(stack)
            results.append((len(program.ops), sum_and_gradient(program, params, *data(N_OUTPUTS), seed=3)))
    (n_ops, (loss, gradient)), (n_apart, _), (n_unfused, _) = results
    assert n_ops == n_apart < n_unfused
    for _, (same_loss, same_gradient) in results[1:]:
        assert same_loss == loss
        assert_array_equal(same_gradient, gradient)
