"""Any stack of layers, on rows or on sequences: settings to try, data, and what the engine leaves in its buffers."""

import dataclasses

import numpy as np
from networks import csr

from skneural.backends.cpu.engine import Predictor
from skneural.backends.inputs import Sequences
from skneural.layers import (
    Activation,
    ActivityRegularization,
    AveragePool1D,
    BatchNorm,
    Conv1D,
    ConvTranspose1D,
    Dense,
    Dropout,
    GaussianSampling,
    GlobalPool,
    LayerNorm,
    MaxPool1D,
    Noise,
    Recurrent,
    Reshape,
    Residual,
    UpSample,
)
from skneural.network.initializers import initialize
from skneural.network.layer import CHOICES, LAYERS
from skneural.network.program import lower

N_FEATURES = 3
N_OUTPUTS = 2
N_ROWS = 7
N_STEPS = 5
#: Of what layers that are tested read.
WIDTH = 6

#: Layers as they are tried, by the names of their classes: where there are none, what `usual` makes up does.
EXAMPLES = {
    "Activation": [Activation("tanh"), Activation("relu")],
    "ActivityRegularization": [ActivityRegularization(0.2, 0.1)],
    "AveragePool1D": [AveragePool1D(2), AveragePool1D(3)],
    "Conv1D": [
        Conv1D(5),
        Conv1D(4, 2, activation="tanh"),
        Conv1D(4, 3, padding="causal", dilation=2, activation="relu", normalization="batch"),
        Conv1D(4, 3, stride=2, activation="tanh", normalization="layer"),
        Conv1D(WIDTH, 4, stride=3, dilation=2),
        Conv1D(4, 2, padding="valid", activation="tanh"),
        Conv1D(WIDTH, 3, groups="depthwise", activation="tanh", normalization="batch"),
        Conv1D(4, 3, stride=2, dilation=2, groups=2, activation="relu"),
    ],
    "ConvTranspose1D": [ConvTranspose1D(4, 3, stride=1, activation="tanh")],  # longer ones: see `UpSample`
    "Dense": [Dense(5), Dense(4, "tanh"), Dense(4, "tanh", "batch"), Dense(4, "relu", "layer")],
    "GlobalPool": [GlobalPool("last"), GlobalPool("mean"), GlobalPool("max")],
    "MaxPool1D": [MaxPool1D(2), MaxPool1D(3)],
    # Not truncated: what is left out of gradients is no error of theirs.
    "Recurrent": [Recurrent("gru", 5), Recurrent("rnn", 3, True), Recurrent("lstm", 4, True, 0.3)],
    "Reshape": [Reshape((-1,)), Reshape((3, -1)), Reshape((-1, 2))],
    "Residual": [
        Residual((Activation("tanh"),)),
        Residual((ActivityRegularization(0.2), Activation("relu"), ActivityRegularization(l2=0.1))),
        Residual((Dense(8, "tanh"), GaussianSampling(), Dense(WIDTH))),
        Residual((Dense(4, "tanh"), Dense(WIDTH))),
        Residual((Recurrent("lstm", WIDTH),)),
        Residual((Recurrent("gru", 2 * WIDTH), GaussianSampling(0.5))),
        Residual((LayerNorm(), Residual((Noise(0.1), Activation("tanh"))), Dropout(0.3))),
        Residual((BatchNorm(), Activation("relu"))),
        Residual((Conv1D(4, 3, padding="causal", activation="relu"), Conv1D(WIDTH, 1))),
        Residual((Dense(4, "tanh"), Dense(5)), shortcut=(Dense(5),)),
        Residual((Conv1D(4, 3, stride=2),), shortcut=(Conv1D(4, 1, stride=2, normalization="batch"),)),
    ],
    "UpSample": [UpSample(1)],  # by more, of sequences that are as long as the data, there are no steps
}

#: Layers that read every step of a sequence as a column of its own, or windows without padding: what is behind the end
#: is a part of what they read.
OF_ONE_LENGTH = ("Flatten", "Reshape", "padding='valid'")
#: Layers that are tested in files of their own: those that read images, and those that stand before all others.
ELSEWHERE = (
    "Adversarial", "Augmentation", "AveragePool2D", "Conv2D", "ConvTranspose2D", "Copied", "LabelChannels", "MaxPool2D",
    "MixedRow", "SequenceAugmentation",
)  # fmt: skip


def usual(cls):
    """A layer with the usual settings, or with small ones."""
    settings = {}
    for field in dataclasses.fields(cls):
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if has_default:
            continue
        if field.name in CHOICES:
            settings[field.name] = next(iter(CHOICES[field.name]))
        elif field.type in (tuple, "tuple"):
            settings[field.name] = (Activation("tanh"),)
        else:
            settings[field.name] = 0.3 if field.type in (float, "float") else 3
    return cls(**settings)


def every_layer():
    """All layers of the package but those that are tested elsewhere, with settings."""
    layers = []
    for name, cls in LAYERS.items():
        if cls.__module__.startswith("skneural.layers.") and name not in ELSEWHERE:
            layers += EXAMPLES.get(name) or [usual(cls)]
    return layers


def without_chance(layers):
    """The same layers without dropout and noise."""
    result = []
    for layer in layers:
        changes = {name: 0.0 for name in ("rate", "deviation") if hasattr(layer, name)}
        if hasattr(layer, "layers"):
            changes["layers"] = without_chance(layer.layers)
        result.append(dataclasses.replace(layer, **changes))
    return tuple(result)


def network(layers, n_steps=0, dtype=np.float64, seed=1, **options):
    """A program and its parameters, none of which is 0 or 1."""
    program = lower(layers, N_FEATURES, dtype=dtype, loss="squared_error", n_timesteps=n_steps, **options)
    rng = np.random.default_rng(seed)
    params = initialize(program, seed)
    for block in program.blocks:
        if not block.penalised:
            view = block.view(params)
            view += rng.uniform(-0.4, 0.4, view.shape)
    return program, params


def data(n_outputs, n_steps=0, n_rows=N_ROWS, dtype=np.float64, seed=0, longest=None, sparse=False):
    """Rows, or sequences of different lengths with NaN behind their ends; targets and weights."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n_rows, n_outputs)).astype(dtype)
    weights = rng.uniform(0.5, 2, n_rows).astype(dtype)
    if not n_steps:
        X = rng.normal(size=(n_rows, N_FEATURES)).astype(dtype)
        X[rng.random(X.shape) < 0.4 * sparse] = 0
        return csr(X) if sparse else X, y, weights
    longest = longest or n_steps
    lengths = rng.integers(1, longest + 1, n_rows)
    lengths[:2] = longest, 1
    values = np.full((n_rows, n_steps, N_FEATURES), np.nan, dtype)
    values[:, :longest] = rng.normal(size=(n_rows, longest, N_FEATURES))
    values[np.arange(n_steps) >= lengths[:, None]] = np.nan
    return Sequences(values, lengths), y, weights


def rows_of(X, which):
    """Some of the rows."""
    return Sequences(X.values[which], X.lengths[which]) if isinstance(X, Sequences) else X[which]


def predict(program, params, X, *targets_and_weights):
    """Outputs, and losses where there are targets, of the program as it is for prediction."""
    program = program.variant(sparse=program.sparse, training=False)
    return Predictor(program, params, with_loss=bool(targets_and_weights))(X, *targets_and_weights)


def in_buffer(trainer, value, begin):
    """What stands in a buffer that is like a value, after `loss_and_gradient`: (n_rows, steps, width)."""
    n_rows = len(trainer.targets)
    begin *= trainer.template["capacity"]
    rows = trainer.work[begin : begin + value.steps * n_rows * value.ld]
    return rows.reshape(value.steps, n_rows, value.ld)[:, :, : value.width].swapaxes(0, 1)


def gradient_by_input(trainer):
    """What `loss_and_gradient` has left as the gradient by the input: like X; behind the end of a sample anything."""
    value = trainer.program.operations[0].output
    gradient = in_buffer(trainer, value, value.dy) / trainer.template["scale"]
    for views in trainer.program.norm_views(trainer.params):
        if "deviation" in views:  # the input is what it is after it was standardised
            gradient = gradient / views["deviation"]
    return gradient if trainer.program.n_timesteps else gradient[:, 0]
