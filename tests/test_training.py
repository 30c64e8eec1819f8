"""What training computes: gradients against central differences, steps against plain NumPy and against PyTorch."""

import numpy as np
import pytest
import reference
from conftest import one_at_a_time
from networks import (
    HIDDEN,
    N_OUTPUTS,
    assert_right_gradient,
    constants_of,
    csr,
    fresh_state,
    make_data,
    make_network,
    run_epochs,
    sum_and_gradient,
    train_twin,
    twin_of,
)
from rows import METHODS

from skneural.backends.cpu import engine
from skneural.backends.cpu.engine import Predictor, Trainer
from skneural.layers import Dense, Dropout, Noise, Residual
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.memory import aligned_zeros
from skneural.network.program import lower


def plain(activation, depth, normalization=None, dropout=0.0):
    """Hidden layers of one kind, and the last one."""
    layers = []
    for units in HIDDEN[:depth]:
        layers += [Dense(units, activation, normalization), *[Dropout(dropout)] * (dropout > 0)]
    return [*layers, Dense(N_OUTPUTS)]


def mixed(activation="tanh", noise=True):
    """Layers of every kind, one after the other."""
    return [
        *[Noise(0.3)] * noise,
        Dense(6, activation, "batch"),
        Residual((Dense(6, "tanh", "layer"), Dropout(0.4))),
        Dropout(0.2),
        Residual((Dense(6, activation, "batch"), Dense(5, "logistic"), Dense(6, activation))),
        Residual((Dense(6, "identity"),)),
        Dense(4, activation, "layer"),
        Dense(N_OUTPUTS),
    ]


# -- gradients ---------------------------------------------------------------------------------------------------------


@one_at_a_time(
    {"activation": "tanh", "depth": 2, "loss": "log_loss"}, activation=ACTIVATIONS, depth=(0, 1, 3), loss=LOSSES
)
def test_gradient_is_that_of_central_differences(activation, loss, depth):
    program, params = make_network(plain(activation, depth), loss)
    assert_right_gradient(program, params, *make_data(loss, 20))


@one_at_a_time(
    {"activation": "tanh", "is_sparse": False, "weighted": True},
    activation=ACTIVATIONS, is_sparse=[True], weighted=[False],
)  # fmt: skip
def test_gradient_through_layers_of_every_kind(activation, is_sparse, weighted):
    # Noise and dropout are the same at every evaluation, which is step 0 of the seed.
    X, targets, weights = make_data("log_loss", 17)
    program, params = make_network(mixed(activation, noise=not is_sparse), "log_loss", is_sparse=is_sparse)
    X = csr(X) if is_sparse else X
    assert_right_gradient(program, params, X, targets, weights if weighted else None, seed=11)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
@one_at_a_time({"loss": "log_loss", "is_sparse": False}, loss=LOSSES, is_sparse=[True])
def test_gradient_through_normalizations(normalization, loss, is_sparse):
    X, targets, weights = make_data(loss, 17)
    layers = [Dense(5, "tanh", normalization), Residual((Dense(5, "elu", normalization),)), Dense(N_OUTPUTS)]
    program, params = make_network(layers, loss, is_sparse=is_sparse)
    if is_sparse:
        X[np.random.default_rng(2).random(X.shape) < 0.5] = 0
        X = csr(X)
    assert_right_gradient(program, params, X, targets, weights)


def sparse_rows(X):
    """Few entries, and a row without any."""
    X[np.random.default_rng(2).random(X.shape) < 0.7] = 0
    X[3] = 0
    return X


def assert_gradient_of_numpy(layers, loss, is_sparse):
    X, targets, weights = make_data(loss, 20)
    program, params = make_network(layers, loss, is_sparse=is_sparse)
    X = sparse_rows(X) if is_sparse else X
    total, gradient = sum_and_gradient(program, params, csr(X) if is_sparse else X, targets, weights)
    twin, _ = twin_of(program, params)
    expected, gradients = reference.loss_and_gradient(twin, loss, program.settings, X, targets, weights)
    assert total == pytest.approx(expected, rel=1e-13)
    index = program.learnt_index()
    parts = [[g[0] for g in gradients], [g[1] for g in gradients], [a for g in gradients for a in g[2:]]]
    flat = np.concatenate([a.ravel() for arrays in parts for a in arrays])
    np.testing.assert_allclose(gradient[index], flat, rtol=1e-10, atol=1e-12)
    assert not np.delete(gradient, index).any()


@pytest.mark.parametrize("is_sparse", [False, True])
@one_at_a_time({"activation": "tanh", "loss": "log_loss"}, activation=ACTIVATIONS, loss=LOSSES)
def test_gradient_is_the_one_of_plain_numpy(activation, loss, is_sparse):
    assert_gradient_of_numpy(plain(activation, 3), loss, is_sparse)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
@one_at_a_time({"loss": "log_loss", "is_sparse": False}, loss=LOSSES, is_sparse=[True])
def test_gradient_through_normalizations_is_the_one_of_plain_numpy(normalization, loss, is_sparse):
    layers = [Dense(5, "tanh", normalization), Residual((Dense(5, "gelu", normalization),)), Dense(N_OUTPUTS)]
    assert_gradient_of_numpy(layers, loss, is_sparse)


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_weights_count_rows(normalization):
    X, targets, _ = make_data("log_loss", 20)
    program, params = make_network(plain("tanh", 2, normalization), "log_loss")
    counts = np.random.default_rng(0).integers(0, 4, 20)
    weighted = sum_and_gradient(program, params, X, targets, counts.astype(float))
    repeated = sum_and_gradient(program, params, np.repeat(X, counts, axis=0), np.repeat(targets, counts, axis=0), None)
    assert weighted[0] == pytest.approx(repeated[0], rel=1e-13)
    np.testing.assert_allclose(weighted[1], repeated[1], rtol=1e-11, atol=1e-12)


# -- ten steps against plain NumPy -------------------------------------------------------------------------------------


def test_every_method_is_one_of_an_optimizer():
    assert set(OPTIMIZERS) == {solver for solver, _, _ in METHODS.values()}
    assert all(len(hyper) == len(OPTIMIZERS[solver].hyper) for solver, hyper, _ in METHODS.values())


def assert_steps_of_numpy(
    layers, loss, method, *, weighted=True, n_rows=23, batch=5, epochs=2, rate=0.02, dtype=np.float64, tolerance=None,
    shuffle=True, weight_decay=0.0, limits=None, is_sparse=False, **settings,
):  # fmt: skip
    """Train a network, and its twin: batches of 5, 5, 5, 5 and 3 rows are ten steps in two epochs."""
    X, targets, weights = make_data(loss, n_rows, dtype=dtype)
    weights = weights if weighted else None
    program, params = make_network(layers, loss, dtype=dtype, is_sparse=is_sparse)
    start, (solver, hyper, twin), rates = params.copy(), METHODS[method], [rate, 0.7 * rate] * (epochs // 2)
    X = sparse_rows(X) if is_sparse else X
    losses, orders, norms = run_epochs(
        program, params, csr(X) if is_sparse else X, targets, weights, solver, hyper, batch=batch, rates=rates,
        shuffle=shuffle, weight_decay=weight_decay, limits=limits, monitor=True, **settings,
    )  # fmt: skip
    assert not shuffle or (orders[0] != orders[1]).any()
    decay = weight_decay if solver in ("adamw", "lion") else 0.0
    expected, expected_losses, expected_norms = train_twin(
        program, start, X, targets, weights, twin, orders, batch=batch, rates=rates, weight_decay=decay,
        **settings, **(limits or {}),
    )  # fmt: skip
    tolerance = tolerance or {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(losses, expected_losses, rtol=tolerance["rtol"])
    np.testing.assert_allclose(params, expected, **tolerance)
    assert params.dtype == dtype
    return start, params, norms, expected_norms


@pytest.mark.parametrize("weighted", [False, True])
@one_at_a_time({"method": "nesterov", "loss": "log_loss"}, method=METHODS, loss=LOSSES)
def test_ten_steps_are_those_of_plain_numpy(method, loss, weighted):
    assert_steps_of_numpy(plain("tanh", 2), loss, method, weighted=weighted, alpha=0.3, weight_decay=0.4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@one_at_a_time({"activation": "tanh", "depth": 3}, activation=ACTIVATIONS, depth=(0, 1))
def test_ten_steps_of_every_activation(activation, depth, dtype):
    # Ten Adam steps of 0.01 in float32: its rounding, 6e-8, is amplified where a gradient is close to 0.
    tolerance = {"rtol": 1e-3, "atol": 1e-4} if dtype is np.float32 else None
    assert_steps_of_numpy(
        plain(activation, depth), "squared_error", "adam", rate=0.01, dtype=dtype, tolerance=tolerance, shuffle=False
    )


#: Settings beside the optimizer, each strong enough to change the course.
OPTIONS = {
    "l1": {"alpha": 0.3, "l1_ratio": 1.0},
    "elastic net": {"alpha": 0.3, "l1_ratio": 0.4},
    "clip_norm": {"alpha": 0.3, "limits": {"clip_norm": 0.2}},
    "clip_norm at times": {"alpha": 0.3, "limits": {"clip_norm": 1.0}},
    "clip_value": {"alpha": 0.3, "limits": {"clip_value": 0.05}},
    "max_norm": {"limits": {"max_norm": 0.9}},
    "everything": {
        "alpha": 0.3, "l1_ratio": 0.4, "weight_decay": 0.4,
        "limits": {"clip_norm": 0.5, "clip_value": 0.1, "max_norm": 0.9},
    },
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
@one_at_a_time({"method": "nesterov", "normalization": None}, method=["adamw"], normalization=["batch", "layer"])
def test_ten_steps_with_every_option(method, normalization, option):
    _, plain_end, *_ = assert_steps_of_numpy(plain("tanh", 2, normalization), "squared_error", method, rate=0.1)
    _, end, norms, expected = assert_steps_of_numpy(
        plain("tanh", 2, normalization), "squared_error", method, rate=0.1, **OPTIONS[option]
    )
    assert np.abs(end - plain_end).max() > 1e-3
    np.testing.assert_allclose(norms, expected, rtol=1e-9)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
@one_at_a_time({"method": "nesterov", "is_sparse": False}, method=METHODS, is_sparse=[True])
def test_ten_steps_with_normalizations_and_shortcuts(method, normalization, is_sparse):
    layers = [
        Dense(6, "relu", normalization), Residual((Dense(6, "tanh", normalization),)), Dense(5, "selu"),
        Residual((Dense(5, "silu"),)), Dense(N_OUTPUTS),
    ]  # fmt: skip
    assert_steps_of_numpy(layers, "log_loss", method, is_sparse=is_sparse, alpha=0.1)


@pytest.mark.parametrize("batch", [1, 2, 23])
@pytest.mark.parametrize("normalization", [None, "layer"])
def test_steps_of_every_batch_size(batch, normalization):
    # Single samples, two at a time, and all of them.
    assert_steps_of_numpy(plain("tanh", 2, normalization), "huber", "momentum", batch=batch, alpha=0.3, rate=0.01)


@pytest.mark.parametrize("batch", [1, 2, 23, 100])
def test_steps_with_normalized_batches_of_every_size(batch):
    assert_steps_of_numpy(plain("tanh", 2, "batch"), "squared_error", "momentum", batch=batch, rate=0.001)


def test_learning_rates_are_those_of_their_epochs():
    X, targets, _ = make_data("squared_error", 12)
    program, params = make_network(plain("tanh", 1), "squared_error")
    together, apart, by_step = params.copy(), params.copy(), params.copy()
    rates = np.array([0.1, 0.01, 0.05])
    steps = np.repeat(rates, 3).reshape(3, 3)  # 12 rows in batches of 5 are three steps
    for vector, calls in ((together, [rates]), (apart, [[rate] for rate in rates]), (by_step, [steps])):
        trainer = Trainer(program, vector, X, targets, None, alpha=0, seed=0, n_threads=1)
        state = fresh_state(program)
        trainer.start("adam", (0.9, 0.999, 1e-8), state, batch=5, shuffle=True, tol=0.0, patience=np.inf)
        for call in calls:
            trainer.run_epochs(np.array(call), np.inf, 0)
        trainer.close()
    np.testing.assert_array_equal(together, apart)
    np.testing.assert_array_equal(together, by_step)
    assert (together != params).any()


def test_learning_rates_are_those_of_their_steps():
    X, targets, weights = make_data("squared_error", 12)
    program, params = make_network(plain("tanh", 1), "squared_error")
    start, rates = params.copy(), np.random.default_rng(0).uniform(0.01, 0.1, (3, 3))
    trainer = Trainer(program, params, X, targets, weights, alpha=0, seed=0, n_threads=1)
    trainer.start("sgd", (0.9, 1.0), fresh_state(program), batch=5, shuffle=False, tol=0.0, patience=np.inf)
    assert len(trainer.run_epochs(rates, np.inf, 0)[0]) == 3
    trainer.close()
    twin, expected = twin_of(program, start)
    batches = [np.arange(12)[i : i + 5] for i in (0, 5, 10)] * 3
    reference.train(
        twin, "squared_error", (), X, targets, weights, optimizer=reference.Sgd(0.9, True), rate=rates.ravel(),
        batches=batches,
    )  # fmt: skip
    np.testing.assert_allclose(params, expected, rtol=1e-11, atol=1e-12)


def test_stopping_rule_ends_a_run():
    X, targets, _ = make_data("squared_error", 12)
    program, params = make_network(plain("tanh", 1), "squared_error")
    trainer = Trainer(program, params, X, targets, None, alpha=0, seed=0, n_threads=1)
    trainer.start("sgd", (0.0, 0.0), fresh_state(program), batch=5, shuffle=False, tol=1e-4, patience=2)
    epochs, best, count = trainer.run_epochs(np.zeros(50), np.inf, 0)  # a learning rate of 0: nothing gets better
    trainer.close()
    assert (len(epochs), count) == (4, 3)  # the first is the best; then one more than patience
    assert best == epochs[0][0] == epochs[-1][0]


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("limits", [None, {"clip_norm": 1.0}], ids=str)
def test_batch_without_weight_changes_nothing(normalization, limits):
    X, targets, _ = make_data("squared_error", 10)
    program, params = make_network(plain("tanh", 1, normalization), "squared_error")
    start = params.copy()
    losses, _, _ = run_epochs(
        program, params, X, targets, np.zeros(10), "sgd", (0.0, 0.0), batch=5, rates=[0.01], alpha=0.1, limits=limits
    )
    assert losses == [0.0]
    np.testing.assert_array_equal(params, start)


# -- batches in chunks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("normalization", [None, "layer"])
@pytest.mark.parametrize("limits", [None, {"clip_norm": 0.1, "max_norm": 1.0}], ids=["no limits", "limits"])
def test_pieces_of_a_batch_add_up(monkeypatch, limits, normalization, dropout, is_sparse):
    X, targets, weights = make_data("log_loss", 47)
    program, start = make_network(plain("tanh", 2, normalization, dropout), "log_loss", is_sparse=is_sparse)
    X = csr(X) if is_sparse else X
    results = []
    for capacity in (2048, 8, 1):
        monkeypatch.setattr(engine, "MAX_CAPACITY", capacity)
        params = start.copy()
        # Batches of 20, 20 and 7 rows: the last fits one chunk at a capacity of 8, the others do not.
        losses, _, norms = run_epochs(
            program, params, X, targets, weights, "adam", (0.9, 0.999, 1e-8), batch=20, rates=[0.01] * 4, alpha=0.1,
            shuffle=True, limits=limits, monitor=True,
        )  # fmt: skip
        gradient = sum_and_gradient(program, start.copy(), X, targets, weights)
        results.append((losses, params, norms, *gradient))
    for chunks in results[1:]:
        for ours, whole in zip(chunks, results[0], strict=True):
            np.testing.assert_allclose(ours, whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("capacity", [8, 1])
def test_statistics_of_a_batch_need_all_of_it(monkeypatch, capacity):
    monkeypatch.setattr(engine, "MAX_CAPACITY", capacity)
    assert_steps_of_numpy(plain("tanh", 2, "batch"), "squared_error", "adam", n_rows=47, batch=20, alpha=0.1)


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("clip_norm", [np.inf, 0.01])
def test_batches_larger_than_the_buffers(normalization, clip_norm):
    # At their real size: one batch of 5000 rows in chunks of 2048, 2048 and 904.
    assert engine.MAX_CAPACITY < 2500
    limits = {} if clip_norm == np.inf else {"clip_norm": clip_norm}
    assert_steps_of_numpy(
        plain("tanh", 1, normalization), "log_loss", "adam", n_rows=5000, batch=5000, limits=limits, rate=0.05
    )


# -- dropout and noise -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dropout_uses_one_mask_forward_and_back(activation):
    X, targets, weights = make_data("squared_error", 20)
    program, params = make_network(plain(activation, 2, dropout=0.4), "squared_error")
    assert_right_gradient(program, params, X, targets, weights, seed=11)
    gradient = sum_and_gradient(program, params, X, targets, weights, seed=11)[1]
    without, same = make_network(plain(activation, 2), "squared_error")
    assert np.abs(gradient - sum_and_gradient(without, same, X, targets, weights)[1]).max() > 1e-3


UNITS, RATE = 300, 0.3


def masks_of(layers, seed=0, n_rows=40):
    """What dropout multiplies the units by, for every row.

    The units are 1 whatever the input; the last layer copies them, and its bias has the gradient raw - target = mask.
    """
    program = lower([*layers, Dense(UNITS)], 1, dtype=np.float64, loss="squared_error")
    params = aligned_zeros(program.n_params, np.float64)
    program.intercepts(params)[0][:] = 1
    for coef in program.coefs(params)[1:]:
        coef[:] = np.eye(UNITS)
    weights = np.zeros(n_rows)
    trainer = Trainer(
        program, params, np.zeros((n_rows, 1)), np.zeros((n_rows, UNITS)), weights, alpha=0, seed=seed, n_threads=1
    )
    masks = []
    for row in range(n_rows):
        weights[:] = np.arange(n_rows) == row
        masks.append(program.intercepts(trainer.loss_and_gradient()[1])[-1].copy())
    trainer.close()
    return np.array(masks)


def test_dropout_drops_at_its_rate_and_keeps_the_mean():
    masks = masks_of([Dense(UNITS, "identity"), Dropout(RATE)])
    dropped = masks == 0
    np.testing.assert_allclose(masks[~dropped], 1 / (1 - RATE), rtol=1e-15)
    # Five standard errors: of the share of all, and of every unit and every row.
    deviation = np.sqrt(RATE * (1 - RATE))
    assert abs(dropped.mean() - RATE) < 5 * deviation / np.sqrt(dropped.size)
    assert np.abs(dropped.mean(axis=0) - RATE).max() < 5 * deviation / np.sqrt(dropped.shape[0])
    assert np.abs(dropped.mean(axis=1) - RATE).max() < 5 * deviation / np.sqrt(dropped.shape[1])
    # Neighbouring rows and units are dropped independently.
    for a, b in ((dropped[1:], dropped[:-1]), (dropped[:, 1:], dropped[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / np.sqrt(a.size)


def test_dropout_layers_and_seeds_are_independent():
    first = masks_of([Dense(UNITS, "identity"), Dropout(RATE)], seed=0) == 0
    other = masks_of([Dense(UNITS, "identity"), Dropout(RATE)], seed=1) == 0
    second = masks_of([Dense(UNITS, "identity"), Dense(UNITS, "identity"), Dropout(RATE)], seed=0) == 0
    for mask in (other, second):
        assert abs(np.corrcoef(first.ravel(), mask.ravel())[0, 1]) < 5 / np.sqrt(first.size)
    both = masks_of([Dense(UNITS, "identity"), Dropout(RATE), Dense(UNITS, "identity"), Dropout(RATE)], seed=0)
    np.testing.assert_array_equal(both == 0, first | second)


def test_dropout_changes_from_step_to_step():
    program = lower([Dense(UNITS, "identity"), Dropout(RATE), Dense(UNITS)], 1, dtype=np.float64, loss="squared_error")
    start = aligned_zeros(program.n_params, np.float64)
    program.intercepts(start)[0][:] = 1
    program.coefs(start)[1][:] = np.eye(UNITS)
    params = start.copy()
    trainer = Trainer(program, params, np.zeros((1, 1)), np.zeros((1, UNITS)), None, alpha=0, seed=0, n_threads=1)
    trainer.start("sgd", (0.0, 0.0), fresh_state(program), batch=1, shuffle=False, tol=0.0, patience=np.inf)
    masks = []
    for _ in range(50):
        params[:] = start
        trainer.refresh()
        trainer.run_epochs(np.array([1.0]), np.inf, 0)
        masks.append(-program.intercepts(params)[-1])  # a step of rate 1 takes off the gradient, which is the mask
    trainer.close()
    dropped = np.array(masks) == 0
    assert abs(dropped.mean() - RATE) < 5 * np.sqrt(RATE * (1 - RATE) / dropped.size)
    assert abs(np.corrcoef(dropped[1:].ravel(), dropped[:-1].ravel())[0, 1]) < 5 / np.sqrt(dropped.size)


def test_dropout_and_noise_do_nothing_in_prediction():
    X, _, _ = make_data("log_loss", 30)
    program, params = make_network([Noise(1.0), *plain("relu", 2, dropout=0.5)], "log_loss")
    without, same = make_network(plain("relu", 2), "log_loss")
    np.testing.assert_array_equal(params, same)
    np.testing.assert_array_equal(Predictor(program, params)(X)[0], Predictor(without, params)(X)[0])


# -- prediction --------------------------------------------------------------------------------------------------------


@one_at_a_time(
    {"loss": "log_loss", "is_sparse": False, "normalization": None},
    loss=LOSSES, is_sparse=[True], normalization=["batch", "layer"],
)  # fmt: skip
def test_outputs_and_losses_of_prediction(loss, is_sparse, normalization):
    X, targets, weights = make_data(loss, 250)  # more rows than are run at a time
    layers = [Dense(5, "tanh", normalization), Residual((Dense(5, "mish", normalization),)), Dense(N_OUTPUTS)]
    program, params = make_network(layers, loss)
    predictor = Predictor(program.variant(sparse=is_sparse), params, with_loss=True)
    outputs, losses = predictor(csr(X) if is_sparse else X, targets, weights)
    raw = reference.forward(twin_of(program, params)[0], X)
    expected = reference.LOSSES[loss](raw, targets, *program.settings)[0]
    np.testing.assert_allclose(losses, weights * expected, rtol=1e-12, atol=1e-14)
    links = {
        "identity": lambda z: z,
        "exp": np.exp,
        "logistic": lambda z: 1 / (1 + np.exp(-z)),
        "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
    }
    np.testing.assert_allclose(outputs, links[LOSSES[loss].link](raw), rtol=1e-11)


# -- ten steps against PyTorch -----------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: it comes with the extra `bench`")
    torch.set_default_dtype(torch.float64)  # also of the numbers that its optimizers keep
    torch.set_num_threads(1)  # several would wait for each other longer than they work
    yield torch
    torch.set_default_dtype(torch.float32)


def torch_loss(torch, loss, raw, target):
    """Sum over rows and outputs; PyTorch leaves out the part of the Poisson deviance that has no gradient."""
    functional, constants = torch.nn.functional, constants_of(loss)
    if loss == "squared_error":
        return functional.mse_loss(raw, target, reduction="sum") / 2
    if loss == "absolute_error":
        return functional.l1_loss(raw, target, reduction="sum")
    if loss == "huber":
        return functional.huber_loss(raw, target, reduction="sum", delta=constants[0])
    if loss == "poisson":
        return functional.poisson_nll_loss(raw, target, log_input=True, reduction="sum")
    if loss == "binary_log_loss":
        target = (1 - constants[0]) * target + constants[0] / 2
        return functional.binary_cross_entropy_with_logits(raw, target, reduction="sum")
    return functional.cross_entropy(raw, target[:, 0].long(), reduction="sum", label_smoothing=constants[0])


def torch_model(torch, program, params):
    """The network as PyTorch has it: the model, its weights, and its other parameters."""
    functions = {
        "tanh": torch.nn.Tanh, "logistic": torch.nn.Sigmoid, "relu": torch.nn.ReLU, "leaky_relu": torch.nn.LeakyReLU,
        "elu": torch.nn.ELU, "selu": torch.nn.SELU, "gelu": torch.nn.GELU, "silu": torch.nn.SiLU,
        "mish": torch.nn.Mish, "softplus": torch.nn.Softplus, "hard_tanh": torch.nn.Hardtanh,
        "identity": torch.nn.Identity,
    }  # fmt: skip
    modules, weights, others = [], [], []
    for layer in twin_of(program, params)[0]:
        linear = torch.nn.Linear(*layer.weight.shape, bias=layer.normalization != "batch")
        copies = [(linear.weight, layer.weight.T), (linear.bias, layer.bias)][: 1 + (linear.bias is not None)]
        modules.append(linear)
        if layer.normalization == "batch":
            # Their running variance has n - 1 in its denominator, and a step's momentum is fixed.
            norm = torch.nn.BatchNorm1d(len(layer.bias), eps=1e-5, momentum=None)
            copies += [(norm.weight, layer.scale), (norm.bias, layer.bias)]
        elif layer.normalization == "layer":
            norm = torch.nn.LayerNorm(len(layer.bias), eps=1e-5)
            copies += [(norm.weight, layer.scale), (norm.bias, layer.shift)]
        modules += [norm] if layer.normalization else []
        modules += [functions[layer.activation]()] if layer.activation else []
        with torch.no_grad():
            for place, array in copies:
                place.copy_(torch.tensor(array.copy()))
        weights.append(linear.weight)
        others += [place for place, _ in copies[1:]]
    return torch.nn.Sequential(*modules), weights, others


#: Optimizers that PyTorch has, too.
TORCH = ("sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad")


def torch_optimizer(torch, method, weights, others, rate, penalty, decay):
    """An optimizer with the constants of `METHODS`; `penalty` is part of the gradient, `decay` is not."""
    solver, hyper, _ = METHODS[method]
    groups = [
        {"params": weights, "weight_decay": decay if solver == "adamw" else penalty},
        {"params": others, "weight_decay": 0.0},
    ]
    if solver == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=hyper[0], nesterov=bool(hyper[1]))
    if solver == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, alpha=hyper[0], eps=hyper[1])
    if solver == "adagrad":
        return torch.optim.Adagrad(groups, lr=rate, eps=hyper[0])
    keywords = {"lr": rate, "betas": hyper[:2], "eps": hyper[2]}
    if solver == "nadam":
        # Their first moment decays by beta_1 but is weighted by beta_1 (1 - 0.96 ** (t * momentum_decay) / 2): with a
        # large momentum_decay both are constant, as Dozat's algorithm has it without a schedule.
        return torch.optim.NAdam(groups, **keywords, momentum_decay=1e9)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[solver](groups, **keywords)


def assert_steps_of_torch(torch, layers, loss, method, n_rows=20, rate=0.02, decay=0.4):
    X, targets, _ = make_data(loss, n_rows)
    program, params = make_network(layers, loss)
    solver, hyper, _ = METHODS[method]
    alpha = 0.0 if solver == "adamw" else 0.3  # in the gradient; that of AdamW is beside it
    model, weights, others = torch_model(torch, program, params)
    optimizer = torch_optimizer(torch, method, weights, others, rate, alpha / n_rows, decay)
    for t in range(1, 11):
        if solver == "adam":
            # PyTorch adds epsilon after it has corrected the second moment, scikit-learn and we add it before.
            for group in optimizer.param_groups:
                group["eps"] = hyper[2] / np.sqrt(1 - hyper[1] ** t)
        optimizer.zero_grad()
        (torch_loss(torch, loss, model(torch.tensor(X)), torch.tensor(targets)) / n_rows).backward()
        optimizer.step()
    run_epochs(
        program, params, X, targets, None, solver, hyper, batch=n_rows, rates=[rate] * 10, alpha=alpha,
        weight_decay=decay,
    )  # fmt: skip
    expected = np.concatenate([p.detach().numpy().T.ravel() for p in weights])
    np.testing.assert_allclose(np.concatenate([c.ravel() for c in program.coefs(params)]), expected, 1e-8, 1e-8)
    ours = [place for layer in twin_of(program, params)[0] for place in layer.learnt()[1:]]
    if "batch" in {layer.normalization for layer in program.source[0]}:  # where the bias comes second
        ours = [place for layer in twin_of(program, params)[0] for place in layer.learnt()[:0:-1]]
    for place, theirs in zip(ours, others, strict=True):
        np.testing.assert_allclose(place, theirs.detach().numpy(), rtol=1e-8, atol=1e-8)
    return model, program, params, X


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name][0] in TORCH])
@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        ("squared_error", "tanh"), ("poisson", "logistic"), ("binary_log_loss", "relu"), ("log_loss", "leaky_relu"),
        ("huber", "elu"), ("absolute_error", "gelu"),
    ],
)  # fmt: skip
def test_ten_steps_are_those_of_pytorch(torch, method, loss, activation):
    assert_steps_of_torch(torch, plain(activation, 2), loss, method)


@pytest.mark.parametrize("activation", ["selu", "silu", "mish", "softplus", "hard_tanh"])
def test_activations_are_those_of_pytorch(torch, activation):
    assert_steps_of_torch(torch, plain(activation, 2), "log_loss", "adam")


@pytest.mark.parametrize("normalization", ["batch", "layer"])
@pytest.mark.parametrize("method", ["momentum", "adamw", "nadam"])
def test_normalizations_are_those_of_pytorch(torch, normalization, method):
    model, program, params, X = assert_steps_of_torch(torch, plain("tanh", 2, normalization), "squared_error", method)
    if normalization == "batch":
        # With momentum None theirs are plain means over the steps, as ours are over the first ten.
        norms = [module for module in model if isinstance(module, torch.nn.BatchNorm1d)]
        for ours, theirs in zip(program.norm_views(params), norms, strict=True):
            np.testing.assert_allclose(ours["mean"], theirs.running_mean, rtol=1e-8, atol=1e-9)
            np.testing.assert_allclose(ours["variance"], theirs.running_var * 19 / 20, rtol=1e-8)
            theirs.running_var *= 19 / 20
    outputs = Predictor(program, params)(X)[0]
    with torch.no_grad():
        np.testing.assert_allclose(outputs, model.eval()(torch.tensor(X)).numpy(), rtol=1e-7, atol=1e-8)
