"""Images of integers stand on a GPU as they are, and give the same bits as the same numbers as floats."""

import numpy as np
import pytest
from networks import constants_of
from twins import Fit

from skneural import CNNClassifier
from skneural.backends.cuda import hub, memory, streaming
from skneural.backends.cuda.engine import Predictor, Trainer
from skneural.backends.inputs import Sequences
from skneural.layers import Dense, GlobalPool, Standardize
from skneural.network.initializers import initialize
from skneural.network.program import lower

pytestmark = pytest.mark.gpu

N_ROWS, N_PIXELS, N_CHANNELS, N_CLASSES = 7, 3, 2, 3
DTYPES = [np.uint8, np.uint16]


def make_integers(dtype):
    """Images that run backwards in memory, of numbers that a signed type would not hold."""
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (N_ROWS, N_PIXELS, N_CHANNELS))
    values[0, 0] = np.iinfo(dtype).max
    return values.astype(dtype)[:, :, ::-1]


def fit_and_predict(values, dtype=np.float32):
    """The fit of a small network, and what it predicts."""
    facts = {"loss": "log_loss", "settings": constants_of("log_loss"), "n_timesteps": N_PIXELS}
    layers = [Standardize(), GlobalPool("max"), Dense(N_CLASSES)]
    program = lower(layers, N_CHANNELS, dtype=dtype, **facts)
    params = initialize(program, 1)
    for views in program.norm_views(params):
        views["deviation"][:] = 200.0
    targets = np.random.default_rng(1).integers(N_CLASSES, size=(N_ROWS, 1)).astype(dtype)
    X = Sequences(values, None)
    fit = Fit(Trainer, program, params, (X, targets, None), epochs=2, batch=3)
    return fit, Predictor(program.variant(training=False), fit.params)(X)[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_integers_are_as_floats(dtype):
    values = make_integers(dtype)
    found, outputs = fit_and_predict(values)
    expected, as_floats = fit_and_predict(values.astype(np.float32))
    np.testing.assert_array_equal(found.params, expected.params)
    np.testing.assert_array_equal(outputs, as_floats)
    assert found.losses == expected.losses


@pytest.mark.parametrize("dtype", DTYPES)
def test_streamed_integers_are_as_floats(monkeypatch, dtype):
    monkeypatch.setattr(streaming, "WINDOW", 32)
    values = make_integers(dtype)
    expected, _ = fit_and_predict(values.astype(np.float32))
    capacity = Trainer._capacity
    monkeypatch.setattr(Trainer, "_capacity", lambda self, *rest: (capacity(self, *rest)[0], True))
    found, _ = fit_and_predict(values)
    assert found.trainer.streamed.window == (found.trainer.streamed.steps * 3 + 1) * N_PIXELS * N_CHANNELS
    np.testing.assert_array_equal(found.params, expected.params)


def test_bytes_are_what_is_copied():
    X = Sequences(make_integers(np.uint8), None)
    assert memory.data_bytes(X, np.float32) == X.values.size
    assert 2 * memory.data_bytes(X, np.float32) == memory.data_bytes(
        Sequences(make_integers(np.uint16), None), np.float32
    )
    arena = memory.Arena(hub.new_stream(0))
    fields = memory.put_data(arena, X, np.float32)
    assert arena.arrays["x"].dtype == np.uint8
    assert len(arena.arrays["x"]) == X.values.size
    assert fields["integers"] == 1
    arena.close()


@pytest.mark.slow
@pytest.mark.usefixtures("usable")
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool"])
def test_classifier(dtype):
    values = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 2))
    X = (values > 100) if dtype == "bool" else values.astype(dtype)
    settings = {"filters": (2,), "hidden_layer_sizes": (), "max_iter": 2, "batch_size": 4, "random_state": 0}
    clf = CNNClassifier(**settings, device="cuda", early_stopping=True, validation_fraction=0.5)
    y = np.arange(8) % 2
    found = clf.fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(found, clf.fit(X.astype(np.float32), y).predict_proba(X.astype(np.float32)))
