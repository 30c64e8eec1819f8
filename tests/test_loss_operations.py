"""Operations that add to the loss, and samples from distributions: against NumPy, and what a fit makes of them.

That their gradients are right, and depend on no company, threads or padding, `test_layers` tests of every layer.
"""

import numpy as np
import pytest
from networks import run_epochs, sum_and_gradient
from numpy.testing import assert_allclose, assert_array_equal
from stacks import N_OUTPUTS, data, network, predict

from skneural import NetworkClassifier, NetworkRegressor
from skneural.callbacks import Checkpoint
from skneural.inspection import saliency
from skneural.layers import ActivityRegularization, Conv2D, Dense, Flatten, GaussianSampling, Recurrent, Reshape
from skneural.maths import random
from skneural.maths.dropout import noise
from skneural.network.initializers import initialize
from skneural.network.program import lower

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_CODES, N_HIDDEN, N_INPUTS = 3, 7, 6


# -- penalties on activations ------------------------------------------------------------------------------------------


def hidden_of(program, params, X):
    return np.tanh(X @ program.coefs(params)[0] + program.intercepts(params)[0])


@pytest.mark.parametrize("settings", [{"l1": 0.3}, {"l2": 0.2}, {"l1": 0.3, "l2": 0.2}], ids=str)
def test_penalties_add_to_the_losses_of_rows(settings):
    plain, params = network([Dense(5, "tanh"), Dense(N_OUTPUTS)])
    penalised, _ = network([Dense(5, "tanh"), ActivityRegularization(**settings), Dense(N_OUTPUTS)])
    assert penalised.same_parameters(plain)
    X, y, weights = data(N_OUTPUTS)
    hidden = hidden_of(plain, params, X)
    added = settings.get("l1", 0) * abs(hidden).sum(axis=1) + settings.get("l2", 0) * (hidden**2).sum(axis=1)
    outputs, losses = predict(plain, params, X, y, weights)
    same_outputs, more = predict(penalised, params, X, y, weights)
    assert_array_equal(same_outputs, outputs)
    assert_array_equal(predict(penalised, params, X)[0], outputs)
    assert_allclose(more, losses + weights * added, rtol=1e-12)
    assert_allclose(
        sum_and_gradient(penalised, params, X, y, weights)[0],
        sum_and_gradient(plain, params, X, y, weights)[0] + weights @ added,
        rtol=1e-12,
    )


def test_without_factors_nothing_is_added():
    program, _ = network([Dense(5, "tanh"), ActivityRegularization(), Dense(N_OUTPUTS)])
    assert [operation.kind for operation in program.operations] == ["input", "dense", "dense", "loss"]


def test_an_input_may_be_penalised():
    program, params = network([ActivityRegularization(l1=0.5), Dense(N_OUTPUTS)])
    plain, _ = network([Dense(N_OUTPUTS)])
    X, y, weights = data(N_OUTPUTS)
    loss, gradient = sum_and_gradient(program, params, X, y, weights)
    expected, same_gradient = sum_and_gradient(plain, params, X, y, weights)
    assert_allclose(loss, expected + 0.5 * weights @ abs(X).sum(axis=1), rtol=1e-12)
    assert_array_equal(gradient, same_gradient)


def rows(n_samples=300, n_features=N_INPUTS, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    return X, np.tanh(X[:, :2] @ rng.normal(size=(2, 2)))


def test_a_penalty_makes_activations_sparse():
    X, y = rows()
    shares = []
    for l1 in (0.0, 0.05):
        layers = [Dense(30, "relu"), ActivityRegularization(l1=l1)]
        est = NetworkRegressor(layers, learning_rate_init=0.01, max_iter=60, random_state=0).fit(X, y)
        hidden = np.maximum(X @ est.coefs_[0] + est.intercepts_[0], 0)
        shares.append((hidden > 0).mean())
    assert shares[1] < 0.5 * shares[0]


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_reported_losses_hold_the_penalty(solver):
    X, y = rows()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(X))
    layers = [Dense(4, "tanh"), ActivityRegularization(l1=0.3, l2=0.1)]
    est = NetworkRegressor(layers, solver=solver, learning_rate_init=1e-12, max_iter=1, batch_size=50, random_state=0)
    settings = {"X_val": X[:40], "y_val": y[:40], "sample_weight_val": weights[:40]}
    est.set_params(max_fun=1).fit(X, y, weights, **settings)
    hidden = np.tanh(X @ est.coefs_[0] + est.intercepts_[0])
    errors = 0.5 * ((est.predict(X) - y) ** 2).sum(axis=1)
    added = 0.3 * abs(hidden).sum(axis=1) + 0.1 * (hidden**2).sum(axis=1)
    by_row = (errors + added) / 2  # squared errors are reported as means over outputs
    alpha = 0.5 * est.alpha * sum((coef**2).sum() for coef in est.coefs_)
    assert_allclose(est.validation_loss_curve_[-1], np.average(by_row[:40], weights=weights[:40]), rtol=1e-9)
    if solver == "lbfgs":
        assert_allclose(est.loss_curve_[-1], np.average(by_row, weights=weights) + alpha / weights.sum(), rtol=1e-6)


def test_mixed_samples_weigh_as_both():
    X, y, _ = data(N_OUTPUTS, n_rows=200)
    weights = np.where(np.arange(200) < 100, 1.0, 3.0)
    losses = []
    for l2 in (0.0, 1.0):  # a penalty on what is the same of every sample: what it adds is known
        program, params = network([Dense(3, "tanh"), ActivityRegularization(l2=l2), Dense(N_OUTPUTS)])
        program.coefs(params)[0][:] = 0
        program.intercepts(params)[0][:] = 1
        settings = {"batch": 70, "rates": [0.0], "shuffle": True, "mixup": 0.5}
        losses += run_epochs(program, params, X, y, weights, "sgd", (0.0, 0.0), **settings)[0]
    assert_allclose(losses[1] - losses[0], 3 * np.tanh(1) ** 2 / N_OUTPUTS, rtol=1e-9)


def test_gradients_by_the_input_know_nothing_of_penalties():
    X, y = rows()
    plain = NetworkRegressor([Dense(5, "tanh"), Dense(4, "tanh")], max_iter=3, random_state=0).fit(X, y)
    layers = [Dense(5, "tanh"), ActivityRegularization(l1=2.0), Dense(4, "tanh")]
    penalised = NetworkRegressor(layers, max_iter=3, random_state=0).fit(X, y)
    penalised._params[:] = plain._params
    assert_array_equal(saliency(penalised, X, 0), saliency(plain, X, 0))


def test_images_are_penalised_by_all_their_pixels():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 16))
    layers = [Reshape((4, 4, 1)), Conv2D(3, activation="relu"), ActivityRegularization(l1=1.0), Flatten()]
    settings = {"max_iter": 1, "learning_rate_init": 1e-12, "alpha": 0, "random_state": 0}
    fits = [NetworkRegressor(layers, n_jobs=n, **settings).fit(X, X[:, 0]) for n in (1, 2)]
    plain = NetworkRegressor([*layers[:2], Flatten()], **settings).fit(X, X[:, 0])
    assert_array_equal(fits[0]._params, fits[1]._params)
    first = NetworkRegressor([*layers[:2], Flatten()], **settings)
    first.fit(X, np.zeros((30, 48)))
    outputs = np.empty((30, 48))
    weights = np.zeros((48, 48))
    for j in range(48):  # what the convolution returns, through outputs that are that
        weights[j, j] = 1
    first.coefs_ = [plain.coefs_[0], weights]
    first.intercepts_ = [plain.intercepts_[0], np.zeros(48)]
    outputs[:] = first.predict(X)
    assert_allclose(fits[0].loss_curve_[0] - plain.loss_curve_[0], abs(outputs).sum(axis=1).mean(), rtol=1e-6)


# -- normal samples ----------------------------------------------------------------------------------------------------


def autoencoder(loss="squared_error", activation="tanh", **settings):
    layers = (
        Dense(N_HIDDEN, activation),
        Dense(2 * N_CODES),
        GaussianSampling(**settings),
        Dense(N_HIDDEN, activation),
        Dense(N_INPUTS),
    )
    constants = (0.0,) if loss == "binary_log_loss" else ()
    program = lower(layers, N_INPUTS, dtype=np.float64, loss=loss, settings=constants)
    return program, initialize(program, 3)


def normals(program, seed, step, first, count):
    """The normal numbers of a step, for `count` rows from a place in the epoch on."""
    (sampling,) = (operation for operation in program.operations if operation.kind == "gaussian_sampling")
    key = random.layer_key(seed, random.SAMPLING, sampling.details["stream"], step)
    width = sampling.output.ld
    found = [
        [noise(key, np.uint64((first + i) * width + j), np.float64(1)) for j in range(N_CODES)] for i in range(count)
    ]
    return np.array(found)


class Twin:
    """An autoencoder as in `autoencoder`, in NumPy."""

    def __init__(self, program, params, loss, beta):
        self.weights = [coef.copy() for coef in program.coefs(params)]
        self.biases = [intercept.copy() for intercept in program.intercepts(params)]
        self.loss = loss
        self.beta = beta

    def step(self, X, weights, drawn, rate, share):
        """A step of plain gradient descent: the weighted sum of the losses before it."""
        W, b = self.weights, self.biases
        hidden = np.tanh(X @ W[0] + b[0])
        code = hidden @ W[1] + b[1]
        mean, log_variance = code[:, :N_CODES], code[:, N_CODES:]
        deviation = np.exp(log_variance / 2)
        z = mean + deviation * drawn
        back = np.tanh(z @ W[2] + b[2])
        out = back @ W[3] + b[3]
        divergence = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1)
        if self.loss == "squared_error":
            losses = 0.5 * ((out - X) ** 2).sum(axis=1)
            by_out = out - X
        else:
            losses = (np.logaddexp(0, out) - X * out).sum(axis=1)
            by_out = 1 / (1 + np.exp(-out)) - X
        factor = (weights / weights.sum())[:, None]
        d_out = factor * by_out
        d_back = d_out @ W[3].T * (1 - back**2)
        d_z = d_back @ W[2].T
        pull = factor * self.beta * share
        d_mean = d_z + pull * mean
        d_log_variance = d_z * drawn * deviation / 2 + pull * 0.5 * (np.exp(log_variance) - 1)
        d_code = np.hstack([d_mean, d_log_variance])
        d_hidden = d_code @ W[1].T * (1 - hidden**2)
        gradients = [(X, d_hidden), (hidden, d_code), (z, d_back), (back, d_out)]
        for i, (a, d) in enumerate(gradients):
            W[i] -= rate * a.T @ d
            b[i] -= rate * d.sum(axis=0)
        return weights @ (losses + self.beta * divergence)


@pytest.mark.parametrize("warmup", [0.0, 3.0])
@pytest.mark.parametrize("loss", ["squared_error", "binary_log_loss"])
def test_ten_steps_by_numpy(loss, warmup):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(20, N_INPUTS))
    weights = rng.uniform(0.5, 2, 20)
    program, params = autoencoder(loss, beta=0.7, warmup=warmup)
    twin = Twin(program, params, loss, 0.7)
    losses, _, _ = run_epochs(
        program, params, X, X, weights, "sgd", (0.0, 0.0), batch=8, rates=np.full(4, 0.1), seed=5
    )  # fmt: skip
    averaging = 1 / N_INPUTS if loss == "squared_error" else 1.0
    step = 0
    for epoch in range(4):
        total = 0.0
        for first in range(0, 20, 8):
            rows = slice(first, min(first + 8, 20))
            drawn = normals(program, 5, step, first, rows.stop - first)
            share = min((epoch + first / 20) / warmup, 1) if warmup else 1.0
            loss_sum = twin.step(X[rows], weights[rows], drawn, 0.1, share)
            total += averaging * loss_sum / weights[rows].sum() * (rows.stop - first)
            step += 1
        assert_allclose(losses[epoch], total / 20, rtol=1e-10)
    for found, expected in zip(program.coefs(params), twin.weights, strict=True):
        assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    for found, expected in zip(program.intercepts(params), twin.biases, strict=True):
        assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


def test_predictions_are_of_the_means():
    program, params = autoencoder()
    X = np.random.default_rng(0).normal(size=(9, N_INPUTS))
    twin = Twin(program, params, "squared_error", 1.0)
    W, b = twin.weights, twin.biases
    code = np.tanh(X @ W[0] + b[0]) @ W[1] + b[1]
    expected = np.tanh(code[:, :N_CODES] @ W[2] + b[2]) @ W[3] + b[3]
    assert_allclose(predict(program, params, X)[0], expected, rtol=1e-12)
    losses = predict(program, params, X, X)[1]
    added = 0.5 * (code[:, :N_CODES] ** 2 + np.exp(code[:, N_CODES:]) - 1 - code[:, N_CODES:]).sum(axis=1)
    assert_allclose(losses, 0.5 * ((expected - X) ** 2).sum(axis=1) + added, rtol=1e-12)


def test_samples_are_normal_and_never_the_same():
    program, _ = autoencoder()
    drawn = np.vstack([normals(program, 5, step, 0, 400) for step in range(10)])
    assert abs(drawn.mean()) < 0.03
    assert abs(drawn.std() - 1) < 0.03
    assert abs(np.corrcoef(drawn.T) - np.eye(N_CODES)).max() < 0.07
    assert len(np.unique(drawn)) > 0.99 * drawn.size


SAMPLING = [Dense(24, "relu"), Dense(8), GaussianSampling(beta=0.1, warmup=2.5), Dense(24, "relu")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_and_batches_that_do_not_fit_change_no_bit(dtype, monkeypatch):
    from skneural.backends.cpu import engine

    monkeypatch.setattr(engine, "_WORTH_A_THREAD", 0.0)
    X, _ = rows(3000)
    X = X.astype(dtype)
    settings = {"max_iter": 3, "batch_size": 1500, "random_state": 0}
    fits = [NetworkRegressor(SAMPLING, n_jobs=n, **settings).fit(X, X) for n in (1, 2, 3)]
    for fit in fits[1:]:
        assert_array_equal(fit._params, fits[0]._params)
        assert fit.loss_curve_ == fits[0].loss_curve_
    monkeypatch.setattr(engine, "MAX_CAPACITY", 200)
    pieces = NetworkRegressor(SAMPLING, **settings).fit(X, X)
    assert_allclose(pieces.loss_curve_, fits[0].loss_curve_, rtol=1e-4 if dtype == np.float32 else 1e-10)


def test_a_resumed_fit_goes_on_with_its_warm_up(tmp_path):
    X, _ = rows()
    path = tmp_path / "fit.skn"
    est = NetworkRegressor(SAMPLING, max_iter=2, random_state=0, batch_size=64)
    est.set_callbacks(Checkpoint(path, 1)).fit(X, X)
    whole = NetworkRegressor(SAMPLING, max_iter=5, random_state=0, batch_size=64).fit(X, X)
    resumed = NetworkRegressor(SAMPLING, max_iter=5, random_state=0, batch_size=64).fit(X, X, resume_from=path)
    assert_array_equal(resumed._params, whole._params)


def test_calls_of_partial_fit_count_on():
    X, _ = rows()
    est = NetworkRegressor([Dense(2), GaussianSampling(beta=1e3, warmup=2)], alpha=0, solver="sgd", shuffle=False)
    est.set_params(learning_rate_init=1e-4, momentum=0, batch_size=300, random_state=0)
    changes = []
    est.partial_fit(X, X)  # of which no part of the divergence is in the gradient
    for _ in range(2):
        before = est._params.copy()
        est.partial_fit(X, X)
        changes.append(abs(est._params - before).max())
    assert 1.5 < changes[1] / changes[0] < 2.5


def test_sequences_have_codes_at_every_step():
    X = np.random.default_rng(0).normal(size=(40, 6, 2))
    X[3, 4:] = np.nan
    layers = [Recurrent("gru", 6), GaussianSampling(beta=0.01), Recurrent("gru", 6)]
    est = NetworkRegressor([*layers, Flatten()], max_iter=3, random_state=0).fit(X, np.nansum(X, axis=(1, 2)))
    assert np.isfinite(est.loss_curve_).all()


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Dense(5), GaussianSampling()], "reads means and as many logarithms of variances, got 5 columns"),
        ([Dense(4), GaussianSampling(beta=-1.0)], "beta of GaussianSampling must be a number that is not negative"),
        ([Dense(4), GaussianSampling(warmup=-1)], "warmup of GaussianSampling must be a number of epochs"),
        ([ActivityRegularization(l1="much")], "l1 of ActivityRegularization must be a number that is not negative"),
    ],
)
def test_refusals(layers, message):
    X, y = rows()
    with pytest.raises(ValueError, match=message):
        NetworkRegressor(layers).fit(X, y)


def test_lbfgs_refuses_samples_and_warm_up_but_no_penalty():
    X, y = rows()
    y = (y[:, 0] > 0).astype(int)
    est = NetworkClassifier([Dense(4, "tanh"), ActivityRegularization(l2=0.01)], solver="lbfgs", random_state=0)
    assert est.fit(X, y).score(X, y) > 0.8
    for sampling in (GaussianSampling(), GaussianSampling(warmup=2, deviation=0)):
        with pytest.raises(ValueError, match="gaussian_"):
            NetworkClassifier([Dense(4), sampling], solver="lbfgs").fit(X, y)
    NetworkClassifier([Dense(4), GaussianSampling(deviation=0)], solver="lbfgs", random_state=0).fit(X, y)


def test_sparse_rows_are_no_activations():
    sparse = pytest.importorskip("scipy.sparse")
    X, y = rows()
    with pytest.raises(ValueError, match="needs dense rows"):
        NetworkRegressor([ActivityRegularization(0.1), Dense(4)]).fit(sparse.csr_array(X), y)
