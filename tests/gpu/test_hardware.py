"""What only a GPU shows: graphs, memory that comes back, processes, precision of its own functions."""

import gc
import multiprocessing

import numpy as np
import pytest
from networks import make_data, make_network
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from twins import compare

from skneural import GAN, LSTMClassifier, MLPClassifier
from skneural.backends import devices
from skneural.backends.cuda import engine, hub
from skneural.backends.cuda.engine import Predictor, Trainer
from skneural.layers import Dense, Dropout, GlobalPool, Recurrent

pytestmark = [pytest.mark.gpu, pytest.mark.hardware, pytest.mark.filterwarnings("ignore:Stochastic Optimizer")]

LAYERS = [Dense(70, "tanh"), Dropout(0.2), Dense(50, "relu"), Dense(3)]


def test_later_epochs_are_replayed_from_graphs():
    fit = compare(LAYERS, dtype=np.float32, n_rows=500, batch=64, epochs=4)
    assert fit.trainer.execution == "graph"


def test_graphs_and_launches_have_the_same_bits(monkeypatch):
    data, fits = make_data("log_loss", 500, dtype=np.float32), []
    for _ in range(2):
        fits.append(compare(LAYERS, dtype=np.float32, data=data, batch=64, epochs=4))
        monkeypatch.setattr(hub, "capture", lambda index, start_all: None)
    assert [fit.trainer.execution for fit in fits] == ["graph", "launches"]
    np.testing.assert_array_equal(fits[0].params, fits[1].params)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_two_networks_in_turn(monkeypatch):
    # Steps are of three kinds: with the third one the generator learns.
    angles = np.random.default_rng(0).integers(8, size=500) * np.pi / 4
    X = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    facts = {"n_critic": 3, "generator_averaging": 0.9, "instance_noise": 0.1, "spectral_norm": 1.0}
    facts |= {"batch_size": 64, "max_iter": 5}
    on_cpu = GAN((64, 32), 2, random_state=0, **facts).fit(X)
    fits = []
    for _ in range(2):
        fits.append(GAN((64, 32), 2, random_state=0, device="cuda", **facts).fit(X))
        monkeypatch.setattr(hub, "capture", lambda index, start_all: None)
    np.testing.assert_array_equal(fits[0]._params, fits[1]._params)
    np.testing.assert_allclose(fits[0]._params, on_cpu._params, atol=1e-3)
    samples = [gan.sample(100, random_state=1) for gan in (on_cpu, *fits)]
    np.testing.assert_array_equal(samples[1], samples[2])
    np.testing.assert_allclose(samples[1], samples[0], atol=1e-2)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("units", [50, 128, 200])
def test_recurrent_layers_of_real_size(cell, units):
    from networks import constants_of

    from skneural.backends.cpu.engine import Trainer as OnCPU
    from skneural.backends.inputs import Sequences
    from skneural.network.initializers import initialize
    from skneural.network.program import lower

    rng, layers = np.random.default_rng(0), [Recurrent(cell, units), GlobalPool("last"), Dense(3)]
    program = lower(layers, 7, dtype=np.float32, loss="log_loss", settings=constants_of("log_loss"), n_timesteps=40)
    params = initialize(program, 1)
    X = Sequences(rng.normal(size=(300, 40, 7)).astype(np.float32), rng.integers(1, 41, 300))
    targets, results = rng.integers(3, size=(300, 1)).astype(np.float32), []
    for backend in (OnCPU, Trainer):
        trainer = backend(program, params, X, targets, None, alpha=0.0, seed=1, n_threads=2)
        loss, gradient = trainer.loss_and_gradient()
        results.append((loss, gradient.copy()))
        trainer.close()
    np.testing.assert_allclose(results[1][0], results[0][0], rtol=1e-4)
    np.testing.assert_allclose(results[1][1], results[0][1], rtol=1e-3, atol=1e-4 * np.abs(results[0][1]).max())


def free():
    """Bytes that are free on the device."""
    gc.collect()
    hub.give_back_memory()
    return hub.memory_info()[0]


@pytest.fixture
def alone(request):
    """Skip where processes beside this one use the same GPU: what is free says nothing then."""
    if hasattr(request.config, "workerinput"):
        pytest.skip("counts what is free on the GPU: run with -n 0")


@pytest.mark.usefixtures("alone")
def test_memory_comes_back():
    # Kernels, streams and graphs may keep something of what the first fits took; what each fit leaves adds up.
    X, y = load_digits(return_X_y=True)
    clf, left = MLPClassifier((256, 128), device="cuda", max_iter=3, early_stopping=True, random_state=0), []
    with hub.on_device(0):
        for _ in range(6):
            clf.fit(X, y).predict(X)
            left.append(free())
    assert left[5] >= left[2]


@pytest.mark.usefixtures("alone")
def test_memory_comes_back_after_a_fault(monkeypatch):
    X, y = load_digits(return_X_y=True)
    clf, left = MLPClassifier((64,), device="cuda", max_iter=3, random_state=0), []
    with hub.on_device(0):
        clf.fit(X, y)
        monkeypatch.setattr(engine.memory, "fits", lambda needed: True)
        X_large = np.zeros((1 << 22, 4), np.float32)
        huge = MLPClassifier((1 << 15,), device="cuda", max_iter=1, batch_size=1 << 22, solver="sgd")
        monkeypatch.setattr(engine, "WORK_BYTES", 1 << 50)
        for _ in range(6):
            with pytest.raises(MemoryError, match="batch_size"):
                huge.fit(X_large, np.arange(1 << 22) % 2)
            left.append(free())
        assert left[5] >= left[2]
        clf.fit(X, y)


def test_rows_have_the_same_bits_alone_and_together():
    program, params = make_network(LAYERS, "log_loss", dtype=np.float32)
    X, _, _ = make_data("log_loss", 3000, dtype=np.float32)
    predict = Predictor(program, params)
    np.testing.assert_array_equal(
        predict(X)[0][::500], np.concatenate([predict(X[i : i + 1])[0] for i in range(0, 3000, 500)])
    )


def test_processes_of_a_grid_search():
    X, y = load_digits(return_X_y=True)
    clf = MLPClassifier((32,), device="cuda", max_iter=5, random_state=0)
    clf.fit(X, y)  # this process has used the GPU: its children are not forks of it
    search = GridSearchCV(clf, {"alpha": [1e-4, 1e-2]}, cv=2, n_jobs=2).fit(X, y)
    assert search.best_score_ > 0.8


def _fit_in_a_fork(queue):
    try:
        MLPClassifier((4,), device="cuda", max_iter=1).fit(np.eye(8), np.arange(8) % 2)
        queue.put("no error")
    except RuntimeError as error:
        queue.put(str(error))


def test_fork_is_refused_with_a_message():
    assert devices.problem() is None
    MLPClassifier((4,), device="cuda", max_iter=1).fit(np.eye(8), np.arange(8) % 2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_fit_in_a_fork, args=(queue,))
    child.start()
    assert "fork" in queue.get(timeout=60)
    child.join()


def test_tensor_cores_learn_as_well():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    scores = [
        MLPClassifier((512, 512), device="cuda", precision=precision, batch_size=512, max_iter=30, random_state=0)
        .fit(X[:1200], y[:1200])
        .score(X[1200:], y[1200:])
        for precision in ("full", "tf32")
    ]
    assert abs(scores[0] - scores[1]) < 0.02


def test_sequences_on_the_gpu_learn():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 20, 2)).astype(np.float32)
    y = (X[:, :, 0].sum(1) > 0).astype(int)
    clf = LSTMClassifier((32,), device="cuda", max_iter=40, learning_rate_init=0.01, random_state=0).fit(
        X[:500], y[:500]
    )
    assert clf.score(X[500:], y[500:]) > 0.85
