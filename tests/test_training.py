"""What training computes: gradients against central differences, steps against plain NumPy and against PyTorch."""

import numpy as np
import pytest
import reference
from scipy import sparse

from skneural.backends.cpu import engine
from skneural.backends.cpu.engine import Predictor, Trainer
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES
from skneural.network.initializers import initialize
from skneural.network.layers import Dense, Dropout
from skneural.network.program import aligned_zeros, lower

N_FEATURES, N_OUTPUTS, HIDDEN = 4, 3, (5, 4, 6)


def make_data(loss, n_rows, seed=0, dtype=np.float64, n_outputs=N_OUTPUTS):
    """Rows, targets and sample weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, N_FEATURES)).astype(dtype)
    targets = {
        "identity": lambda: rng.normal(size=(n_rows, n_outputs)),
        "exp": lambda: rng.poisson(1.5, size=(n_rows, n_outputs)),
        "logistic": lambda: rng.integers(2, size=(n_rows, n_outputs)),
        "softmax": lambda: rng.integers(n_outputs, size=(n_rows, 1)),
    }
    return X, targets[LOSSES[loss].link]().astype(dtype), rng.uniform(0.5, 2, n_rows).astype(dtype)


def make_network(activation, loss, depth, seed=1, dtype=np.float64, dropout=0.0):
    """A program and its initial parameters; biases are not 0, so that their mistakes show."""
    layers = []
    for units in HIDDEN[:depth]:
        layers.append(Dense(units, activation))
        if dropout:
            layers.append(Dropout(dropout))
    program = lower([*layers, Dense(N_OUTPUTS)], N_FEATURES, dtype=dtype, loss=loss)
    return program, initialize(program, seed)


def csr(X):
    """A matrix as the engine reads sparse rows."""
    X = sparse.csr_array(X)
    return X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)


def averaging(loss):
    return 1 / N_OUTPUTS if LOSSES[loss].averaged else 1.0


def sum_and_gradient(program, params, X, targets, weights, seed=0, n_threads=1):
    trainer = Trainer(program, params, X, targets, weights, alpha=0, seed=seed, n_threads=n_threads)
    loss, gradient = trainer.loss_and_gradient()
    trainer.close()
    return loss, gradient.copy()


def central_differences(program, params, X, targets, weights, h=1e-5, seed=0):
    """Gradient by central differences. Truncation is about h^2 = 1e-10, rounding 1e-15 / h = 1e-10."""
    trainer = Trainer(program, params, X, targets, weights, alpha=0, seed=seed, n_threads=1)
    result = np.zeros(len(params))
    for place in program.dense_index():
        value = params[place]
        params[place] = value + h
        above = trainer.loss_and_gradient()[0]
        params[place] = value - h
        below = trainer.loss_and_gradient()[0]
        params[place] = value
        result[place] = (above - below) / (2 * h)
    trainer.close()
    return result


def assert_close_gradients(gradient, expected):
    assert np.abs(gradient - expected).max() <= 1e-6 * np.abs(expected).max()


# -- gradients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("activation", "depth"), [("identity", 0), *((name, depth) for name in ACTIVATIONS for depth in (1, 2, 3))]
)
def test_gradient_is_that_of_central_differences(activation, loss, depth):
    X, targets, weights = make_data(loss, 20)
    program, params = make_network(activation, loss, depth)
    gradient = sum_and_gradient(program, params, X, targets, weights)[1]
    assert_close_gradients(gradient, central_differences(program, params, X, targets, weights))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
@pytest.mark.parametrize("is_sparse", [False, True])
def test_gradient_is_the_one_of_plain_numpy(activation, loss, is_sparse):
    X, targets, weights = make_data(loss, 20)
    program, params = make_network(activation, loss, 3)
    if is_sparse:
        X[np.random.default_rng(2).random(X.shape) < 0.7] = 0
        X[3] = 0  # a row without any entry
    total, gradient = sum_and_gradient(
        program.variant(sparse=is_sparse), params, csr(X) if is_sparse else X, targets, weights
    )
    expected, by_weight, by_bias = reference.loss_and_gradient(
        program.coefs(params), program.intercepts(params), activation, loss, X, targets, weights
    )
    assert total == pytest.approx(expected, rel=1e-13)
    for ours, theirs in zip(program.coefs(gradient) + program.intercepts(gradient), by_weight + by_bias, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_weights_count_rows():
    X, targets, _ = make_data("log_loss", 20)
    program, params = make_network("tanh", "log_loss", 2)
    counts = np.random.default_rng(0).integers(0, 4, 20)
    weighted = sum_and_gradient(program, params, X, targets, counts.astype(float))
    repeated = sum_and_gradient(program, params, np.repeat(X, counts, axis=0), np.repeat(targets, counts, axis=0), None)
    assert weighted[0] == pytest.approx(repeated[0], rel=1e-13)
    np.testing.assert_allclose(weighted[1], repeated[1], rtol=1e-11, atol=1e-13)


# -- ten steps against plain NumPy -------------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": ("sgd", (0.0, 0.0), lambda arrays: reference.Sgd(arrays, 0.0, False)),
    "momentum": ("sgd", (0.9, 0.0), lambda arrays: reference.Sgd(arrays, 0.9, False)),
    "nesterov": ("sgd", (0.9, 1.0), lambda arrays: reference.Sgd(arrays, 0.9, True)),
    "adam": ("adam", (0.9, 0.999, 1e-8), lambda arrays: reference.Adam(arrays, 0.9, 0.999, 1e-8)),
}


def train(program, params, X, targets, weights, method, *, batch, epochs, alpha=0.0, rate=0.01, shuffle=False, seed=5):
    """Losses and orders of rows of some epochs; `params` are trained in place."""
    optimizer, constants, _ = OPTIMIZERS[method]
    trainer = Trainer(program, params, X, targets, weights, alpha=alpha, seed=seed, n_threads=1)
    state = {name: aligned_zeros(program.n_params, program.dtype) for name in "sv"} | {"step": 0, "epoch": 0}
    trainer.start(optimizer, constants, state, batch=batch, shuffle=shuffle, tol=0.0, patience=np.inf)
    losses, orders = [], []
    for _ in range(epochs):
        losses += [loss for loss, _ in trainer.run_epochs(np.array([rate]), np.inf, 0)[0]]
        orders.append(trainer.order.copy() if shuffle else np.arange(len(targets)))
    trainer.close()
    assert state["epoch"] == epochs
    assert state["step"] == epochs * -(-len(targets) // batch)
    return losses, orders


def train_twin(program, params, activation, loss, X, targets, weights, method, orders, *, batch, alpha=0.0, rate=0.01):
    """The same by `reference`: losses of the epochs, weights and biases."""
    coefs = [c.astype(np.float64) for c in program.coefs(params)]
    intercepts = [b.astype(np.float64) for b in program.intercepts(params)]
    batches = [order[i : i + batch] for order in orders for i in range(0, len(order), batch)]
    optimizer = OPTIMIZERS[method][2]([*coefs, *intercepts])
    reported = reference.train(
        coefs, intercepts, activation, loss, X, targets, weights,
        optimizer=optimizer, rate=rate, alpha=alpha, batches=batches, averaging=averaging(loss),
    )  # fmt: skip
    sizes = [len(b) for b in batches]
    means = np.multiply(reported, sizes).reshape(len(orders), -1).sum(axis=1) / len(X)
    return means, coefs, intercepts


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize("weighted", [False, True])
def test_ten_steps_are_those_of_plain_numpy(method, loss, weighted):
    X, targets, weights = make_data(loss, 23)  # batches of 5, 5, 5, 5 and 3: ten steps in two epochs
    program, params = make_network("tanh", loss, 2)
    start = params.copy()
    settings = {"batch": 5, "alpha": 0.3, "rate": 0.02}
    losses, orders = train(
        program, params, X, targets, weights if weighted else None, method, epochs=2, shuffle=True, **settings
    )
    assert (orders[0] != orders[1]).any()
    if not weighted:
        weights = np.ones(23)
    expected, coefs, intercepts = train_twin(
        program, start, "tanh", loss, X, targets, weights, method, orders, **settings
    )
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    for ours, theirs in zip(program.coefs(params) + program.intercepts(params), coefs + intercepts, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ten_steps_of_every_activation(activation, depth, dtype):
    X, targets, weights = make_data("squared_error", 23, dtype=dtype)
    program, params = make_network(activation, "squared_error", depth, dtype=dtype)
    start = params.copy()
    losses, orders = train(program, params, X, targets, weights, "adam", batch=5, epochs=2)
    expected, coefs, intercepts = train_twin(
        program, start, activation, "squared_error", *(a.astype(np.float64) for a in (X, targets, weights)), "adam",
        orders, batch=5,
    )  # fmt: skip
    # Ten Adam steps of 0.01 in float32: its rounding, 6e-8, is amplified where a gradient is close to 0.
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if dtype is np.float64 else {"rtol": 1e-3, "atol": 1e-4}
    np.testing.assert_allclose(losses, expected, rtol=tolerance["rtol"])
    for ours, theirs in zip(program.coefs(params) + program.intercepts(params), coefs + intercepts, strict=True):
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, theirs, **tolerance)


def test_learning_rates_are_those_of_their_epochs():
    X, targets, _ = make_data("squared_error", 12)
    program, params = make_network("tanh", "squared_error", 1)
    together, apart = params.copy(), params.copy()
    rates = np.array([0.1, 0.01, 0.05])
    for vector, calls in ((together, [rates]), (apart, [[rate] for rate in rates])):
        trainer = Trainer(program, vector, X, targets, None, alpha=0, seed=0, n_threads=1)
        state = {name: aligned_zeros(program.n_params, program.dtype) for name in "sv"} | {"step": 0, "epoch": 0}
        trainer.start("adam", (0.9, 0.999, 1e-8), state, batch=5, shuffle=True, tol=0.0, patience=np.inf)
        for call in calls:
            trainer.run_epochs(np.array(call), np.inf, 0)
        trainer.close()
    np.testing.assert_array_equal(together, apart)
    assert (together != params).any()


def test_stopping_rule_ends_a_run():
    X, targets, _ = make_data("squared_error", 12)
    program, params = make_network("tanh", "squared_error", 1)
    trainer = Trainer(program, params, X, targets, None, alpha=0, seed=0, n_threads=1)
    state = {name: aligned_zeros(program.n_params, program.dtype) for name in "sv"} | {"step": 0, "epoch": 0}
    trainer.start("sgd", (0.0, 0.0), state, batch=5, shuffle=False, tol=1e-4, patience=2)
    epochs, best, count = trainer.run_epochs(np.zeros(50), np.inf, 0)  # a learning rate of 0: nothing gets better
    trainer.close()
    assert (len(epochs), count) == (4, 3)  # the first is the best; then one more than patience
    assert best == epochs[0][0] == epochs[-1][0]


def test_batch_without_weight_changes_nothing():
    X, targets, _ = make_data("squared_error", 10)
    program, params = make_network("tanh", "squared_error", 1)
    start = params.copy()
    losses, _ = train(program, params, X, targets, np.zeros(10), "sgd", batch=5, epochs=1, alpha=0.1)
    assert losses == [0.0]
    np.testing.assert_array_equal(params, start)


# -- batches in pieces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_pieces_of_a_batch_add_up(monkeypatch, dropout, is_sparse):
    X, targets, weights = make_data("log_loss", 47)
    program, start = make_network("tanh", "log_loss", 2, dropout=dropout)
    if is_sparse:
        program, X = program.variant(sparse=True), csr(X)
    results = []
    for capacity in (2048, 8, 1):
        monkeypatch.setattr(engine, "MAX_CAPACITY", capacity)
        params = start.copy()
        # Batches of 20, 20 and 7 rows: the last fits one piece at a capacity of 8, the others do not.
        losses, _ = train(program, params, X, targets, weights, "adam", batch=20, epochs=4, alpha=0.1, shuffle=True)
        gradient = sum_and_gradient(program, start.copy(), X, targets, weights)
        results.append((losses, params, *gradient))
    for pieces in results[1:]:
        for ours, whole in zip(pieces, results[0], strict=True):
            np.testing.assert_allclose(ours, whole, rtol=1e-10, atol=1e-12)


# -- dropout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dropout_uses_one_mask_forward_and_back(activation):
    X, targets, weights = make_data("squared_error", 20)
    program, params = make_network(activation, "squared_error", 2, dropout=0.4)
    gradient = sum_and_gradient(program, params, X, targets, weights, seed=11)[1]
    assert_close_gradients(gradient, central_differences(program, params, X, targets, weights, seed=11))
    without, same = make_network(activation, "squared_error", 2)
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
    state = {name: aligned_zeros(program.n_params, np.float64) for name in "sv"} | {"step": 0, "epoch": 0}
    trainer.start("sgd", (0.0, 0.0), state, batch=1, shuffle=False, tol=0.0, patience=np.inf)
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


def test_dropout_does_nothing_in_prediction():
    X, _, _ = make_data("log_loss", 30)
    program, params = make_network("relu", "log_loss", 2, dropout=0.5)
    without, same = make_network("relu", "log_loss", 2)
    np.testing.assert_array_equal(params, same)
    np.testing.assert_array_equal(Predictor(program, params)(X)[0], Predictor(without, params)(X)[0])


# -- prediction --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("is_sparse", [False, True])
def test_outputs_and_losses_of_prediction(loss, is_sparse):
    X, targets, weights = make_data(loss, 250)  # more rows than are run at a time
    program, params = make_network("tanh", loss, 2)
    predictor = Predictor(program.variant(sparse=is_sparse), params, with_loss=True)
    outputs, losses = predictor(csr(X) if is_sparse else X, targets, weights)
    raw = reference.forward(program.coefs(params), program.intercepts(params), "tanh", X)[0]
    np.testing.assert_allclose(losses, weights * reference.LOSSES[loss](raw, targets)[0], rtol=1e-12)
    links = {
        "identity": lambda z: z,
        "exp": np.exp,
        "logistic": lambda z: 1 / (1 + np.exp(-z)),
        "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
    }
    np.testing.assert_allclose(outputs, links[LOSSES[loss].link](raw), rtol=1e-12)


# -- ten steps against PyTorch -----------------------------------------------------------------------------------------


def torch_loss(torch, loss, raw, target):
    """Sum over rows and outputs; PyTorch leaves out the part of the Poisson deviance that has no gradient."""
    functional = torch.nn.functional
    if loss == "squared_error":
        return functional.mse_loss(raw, target, reduction="sum") / 2
    if loss == "poisson":
        return functional.poisson_nll_loss(raw, target, log_input=True, reduction="sum")
    if loss == "binary_log_loss":
        return functional.binary_cross_entropy_with_logits(raw, target, reduction="sum")
    return functional.cross_entropy(raw, target[:, 0].long(), reduction="sum")


@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize(
    ("loss", "activation"),
    [("squared_error", "tanh"), ("poisson", "logistic"), ("binary_log_loss", "relu"), ("log_loss", "leaky_relu")],
)
def test_ten_steps_are_those_of_pytorch(method, loss, activation):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: it comes with the extra `bench`")
    n_rows, alpha, rate = 20, 0.3, 0.02
    X, targets, _ = make_data(loss, n_rows)
    program, params = make_network(activation, loss, 2)
    functions = {"tanh": torch.nn.Tanh, "logistic": torch.nn.Sigmoid, "relu": torch.nn.ReLU}
    functions["leaky_relu"] = torch.nn.LeakyReLU
    linear = [torch.nn.Linear(t.n_in, t.n_out, dtype=torch.float64) for t in program.tensors]
    with torch.no_grad():
        for layer, coef, intercept in zip(linear, program.coefs(params), program.intercepts(params), strict=True):
            layer.weight.copy_(torch.tensor(coef.T.copy()))
            layer.bias.copy_(torch.tensor(intercept.copy()))
    model = torch.nn.Sequential(linear[0], functions[activation](), linear[1], functions[activation](), linear[2])
    groups = [
        {"params": [layer.weight for layer in linear], "weight_decay": alpha / n_rows},
        {"params": [layer.bias for layer in linear], "weight_decay": 0.0},
    ]
    _, constants, _ = OPTIMIZERS[method]
    if method == "adam":
        optimizer = torch.optim.Adam(groups, lr=rate)
    else:
        optimizer = torch.optim.SGD(groups, lr=rate, momentum=constants[0], nesterov=bool(constants[1]))
    for t in range(1, 11):
        if method == "adam":
            # PyTorch adds epsilon after it has corrected the second moment, scikit-learn and we add it before.
            for group in optimizer.param_groups:
                group["eps"] = constants[2] / np.sqrt(1 - constants[1] ** t)
        optimizer.zero_grad()
        (torch_loss(torch, loss, model(torch.tensor(X)), torch.tensor(targets)) / n_rows).backward()
        optimizer.step()
    train(program, params, X, targets, None, method, batch=n_rows, epochs=10, alpha=alpha, rate=rate)
    for layer, coef, intercept in zip(linear, program.coefs(params), program.intercepts(params), strict=True):
        np.testing.assert_allclose(coef, layer.weight.detach().numpy().T, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(intercept, layer.bias.detach().numpy(), rtol=1e-8, atol=1e-8)
