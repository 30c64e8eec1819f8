"""Work of a size that only a GPU has time for, in the words of either backend's engine."""

import os

import numpy as np
from twins import HYPER

from skneural.backends.base import OptimizerState
from skneural.backends.inputs import Sequences
from skneural.layers import Conv2D, Dense, Dropout, Flatten, GlobalPool, MaxPool2D, Recurrent, Reshape
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.initializers import initialize
from skneural.network.program import lower

N_CLASSES = 10

#: Wide layers, whose products have large tiles on any GPU.
WIDE = [Dense(1000, "relu"), Dropout(0.2), Dense(1000, "tanh"), Dense(N_CLASSES)]


def rows(n_rows, n_features, seed=0):
    """Rows, and classes that can be learnt from them."""
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((min(n_rows, 10_000), n_features), dtype=np.float32)
    X = np.resize(block, (n_rows, n_features))
    X[:, 0] += np.linspace(-1, 1, n_rows, dtype=np.float32)  # no two rows are alike
    return X, X[:, :N_CLASSES].argmax(axis=1)[:, None].astype(np.float32)


def sequences(n_rows, n_timesteps, n_features, seed=0):
    """Sequences of one length, and classes."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_timesteps, n_features), dtype=np.float32)
    return Sequences(X, None), rng.integers(N_CLASSES, size=(n_rows, 1)).astype(np.float32)


def lstm(units):
    """Two layers, one above the other."""
    return [Recurrent("lstm", units), Recurrent("lstm", units), GlobalPool("last"), Dense(N_CLASSES)]


def images(n_rows, height, width, channels, seed=0):
    """Images, as sequences of pixels, and classes."""
    return sequences(n_rows, height * width, channels, seed)


#: Convolutions of few filters, of more, and of many: each has tiles of its own. Images have 32 by 32 pixels.
CONVOLUTIONAL = [
    Reshape((32, 32, 3)),
    Conv2D(32, activation="relu"),
    Conv2D(64, stride=2, activation="relu"),
    MaxPool2D(),
    Conv2D(128, activation="relu"),
    Flatten(),
    Dense(N_CLASSES),
]


def program_for(layers, X):
    """The program of a network for such data."""
    of_sequences = isinstance(X, Sequences)
    return lower(
        layers, (X.values if of_sequences else X).shape[-1], dtype=np.float32, loss="log_loss", settings=(0.0,),
        n_timesteps=X.values.shape[1] if of_sequences else 0,
    )  # fmt: skip


def trainer_for(backend, layers, X, targets, **facts):
    """A trainer, and its parameters."""
    program = program_for(layers, X)
    params = initialize(program, 1)
    facts = {"alpha": 0.0, "seed": 3, "n_threads": os.cpu_count()} | facts
    return backend(program, params, X, targets, None, **facts), params


def gradient(backend, layers, X, targets, times=1, **facts):
    """Loss and gradient of all rows, each of so many times; and the trainer, which is closed."""
    trainer, _ = trainer_for(backend, layers, X, targets, **facts)
    try:
        results = []
        for _ in range(times):
            loss, found = trainer.loss_and_gradient()
            results.append((loss, found.copy()))
        return results, trainer
    finally:
        trainer.close()


def epoch(backend, layers, X, targets, batch, **facts):
    """Parameters and loss after an epoch; and the trainer, which is closed."""
    trainer, params = trainer_for(backend, layers, X, targets, **facts)
    state = OptimizerState.fresh(trainer.program)
    hyper = [HYPER[name] for name in OPTIMIZERS["sgd"].hyper]
    try:
        trainer.start("sgd", hyper, state, batch=batch, shuffle=True, tol=0.0, patience=np.inf)
        ((loss, _),), *_ = trainer.run_epochs(np.array([0.01]), np.inf, 0)
        return params, loss, trainer
    finally:
        trainer.close()


def error(found, expected):
    """How far an array is from another, relative to its length."""
    assert np.isfinite(found).all()
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)
