"""Small networks, data for them, and their twins in plain NumPy, for tests of the engine."""

import numpy as np
import reference
import rows  # noqa: F401 (twins for rows that `reference` has none for)
from scipy import sparse

from skneural import MLPClassifier, MLPRegressor
from skneural.backends.base import OptimizerState
from skneural.backends.cpu.engine import Trainer
from skneural.estimators._targets import ClassTargets, RealTargets
from skneural.layers import Dense, Dropout, Noise, Residual
from skneural.maths.losses import LOSSES
from skneural.network.initializers import initialize
from skneural.network.program import lower

N_FEATURES, N_OUTPUTS, HIDDEN = 4, 3, (5, 4, 6)

#: Parameters of losses where the defaults of the estimators would hide something.
CHOSEN = {"huber_delta": 0.7, "quantiles": (0.2, 0.9, 0.5), "label_smoothing": 0.1, "focal_gamma": 1.5}


def constants_of(loss, n_outputs=N_OUTPUTS, **changed):
    """Constants of a loss, as an estimator hands them over."""
    link, values = LOSSES[loss].link, MLPClassifier().get_params() | MLPRegressor().get_params() | CHOSEN | changed
    if link == "softmax":
        targets, values["focal_alpha"] = ClassTargets(np.arange(n_outputs), loss), np.linspace(0.5, 2, n_outputs)
    elif link == "logistic":
        labels = np.eye(2, n_outputs, dtype=int)
        targets, values["focal_alpha"] = ClassTargets(labels, loss.removeprefix("binary_")), 0.3
    else:
        targets = RealTargets(np.zeros(2), loss, np.resize(values["quantiles"], n_outputs))
    return [c for name in LOSSES[loss].settings for c in targets.constants(name, values[name])]


def make_data(loss, n_rows, seed=0, dtype=np.float64, n_outputs=N_OUTPUTS):
    """Rows, targets and sample weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, N_FEATURES)).astype(dtype)
    targets = {
        "identity": lambda: rng.normal(size=(n_rows, n_outputs)),
        "exp": lambda: rng.poisson(1.5, size=(n_rows, n_outputs)) + 0.5 * LOSSES[loss].open,
        "logistic": lambda: rng.integers(2, size=(n_rows, n_outputs)),
        "softmax": lambda: rng.integers(n_outputs, size=(n_rows, 1)),
    }
    return X, targets[LOSSES[loss].link]().astype(dtype), rng.uniform(0.5, 2, n_rows).astype(dtype)


def make_network(layers, loss, seed=1, dtype=np.float64, is_sparse=False):
    """A program and its initial parameters, none of which is 0 or 1: mistakes would not show."""
    program = lower(layers, N_FEATURES, dtype=dtype, loss=loss, settings=constants_of(loss), sparse=is_sparse)
    params, rng = initialize(program, seed), np.random.default_rng(seed)
    for norms in program.norm_views(params):
        for view in norms.values():
            view += rng.uniform(-0.5, 0.5, view.shape)
    return program, params


def csr(X):
    """A matrix as the engine reads sparse rows."""
    X = sparse.csr_array(X)
    return X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)


def averaging(loss):
    return 1 / N_OUTPUTS if LOSSES[loss].averaged else 1.0


# -- by the engine -----------------------------------------------------------------------------------------------------


def make_trainer(program, params, X, targets, weights, *, seed=0, n_threads=1, whole=False, **settings):
    """A trainer. Where its `whole` gradient is asked for, the statistics of a batch need the batch's weight."""
    trainer = Trainer(program, params, X, targets, weights, **{"alpha": 0.0} | settings, seed=seed, n_threads=n_threads)
    if whole and program.n_statistics:
        trainer.template["scale"] = 1 / trainer.total_weight()
    return trainer


def sum_and_gradient(program, params, X, targets, weights, seed=0, n_threads=1):
    """Weighted sum of the losses and its gradient."""
    params = params.copy()  # running statistics move on
    trainer = make_trainer(program, params, X, targets, weights, seed=seed, n_threads=n_threads, whole=True)
    loss, gradient = trainer.loss_and_gradient()
    trainer.close()
    # The gradient of a batch that is normalised is that of the mean.
    return loss, gradient / trainer.template["scale"]


def central_differences(program, params, X, targets, weights, h=1e-5, seed=0, places=None):
    """Gradient by central differences. Truncation is about h^2 = 1e-10, rounding 1e-15 / h = 1e-10."""
    params = params.copy()
    trainer = make_trainer(program, params, X, targets, weights, seed=seed, whole=True)
    result = np.zeros(len(params))
    for place in program.learnt_index() if places is None else places:
        value = params[place]
        params[place] = value + h
        above = trainer.loss_and_gradient()[0]
        params[place] = value - h
        below = trainer.loss_and_gradient()[0]
        params[place] = value
        result[place] = (above - below) / (2 * h)
    trainer.close()
    return result


def assert_right_gradient(program, params, X, targets, weights, seed=0, n_places=None):
    """The gradient is that of central differences: all of it, or at some places.

    A step that is too long for a strong curve, or goes over a bend, is made shorter.
    """
    gradient = sum_and_gradient(program, params, X, targets, weights, seed)[1]
    assert not np.delete(gradient, program.learnt_index()).any()  # by the padding
    places = np.arange(program.n_params)
    if n_places is not None:
        places = np.random.default_rng(seed).permutation(program.learnt_index())[:n_places]
    errors = []
    for h in (1e-5, 1e-6, 1e-7):
        expected = central_differences(program, params, X, targets, weights, h, seed, places if n_places else None)
        errors.append(np.abs(gradient - expected)[places].max())
        if errors[-1] <= 1e-6 * np.abs(gradient).max():
            return
    raise AssertionError(f"The gradient, of up to {np.abs(gradient).max()}, is wrong by {errors}.")


def fresh_state(program):
    """State of an optimizer before its first step."""
    return OptimizerState.fresh(program)


def run_epochs(
    program, params, X, targets, weights, optimizer, hyper, *, batch, rates, shuffle=False, seed=5, n_threads=1,
    weight_decay=0.0, together=False, **settings,
):  # fmt: skip
    """Train `params` in place, an epoch for every entry of `rates` (a number, or one for each step).

    Returns
    -------
    (losses, orders, norms)
        Losses and orders of the rows of the epochs, and the norms of their gradients if they are monitored. With
        `together`, where one call runs all epochs, there is but the last order.
    """
    trainer = make_trainer(program, params, X, targets, weights, seed=seed, n_threads=n_threads, **settings)
    state = fresh_state(program)
    trainer.start(
        optimizer, hyper, state, batch=batch, shuffle=shuffle, tol=0.0, patience=np.inf, weight_decay=weight_decay
    )
    losses, orders, norms = [], [], []
    for call in [rates] if together else [[rate] for rate in rates]:
        epochs, *_ = trainer.run_epochs(np.array(call), np.inf, 0)
        assert len(epochs) == len(call)
        losses += [loss for loss, _ in epochs]
        orders.append(trainer.order.copy() if shuffle else np.arange(len(targets)))
        if trainer.monitor:
            norms.extend(trainer.layer_norms[: len(epochs)])
    trainer.close()
    assert state.epoch == len(rates)
    assert state.step == len(rates) * -(-len(targets) // batch)
    return losses, orders, norms


# -- and by NumPy ------------------------------------------------------------------------------------------------------


def flat_layers(layers, residual=False):
    """Layers with weights, and whether a shortcut goes around each. Dropout and noise have no twin."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from flat_layers(layer.layers, residual=True)
        elif isinstance(layer, Dense):
            yield layer, residual
        else:
            assert isinstance(layer, Dropout | Noise)


def twin_of(program, params):
    """The network as layers of `reference`, and their parameters: a copy in float64, laid out like `params`."""
    params = params.astype(np.float64)
    result, norms = [], iter(program.norm_views(params))
    places = zip(program.coefs(params), program.intercepts(params), strict=True)
    for (layer, residual), (weight, bias) in zip(flat_layers(program.source[0]), places, strict=True):
        twin = reference.Layer(weight, bias, layer.activation, layer.normalization, residual=residual)
        if layer.normalization:
            views = dict(next(norms))
            twin.scale, twin.shift = views.pop("scale"), views.pop("shift", None)
            twin.running = views or None
        result.append(twin)
    return result, params


def train_twin(program, params, X, targets, weights, optimizer, orders, *, batch, rates, **settings):
    """Train the twin of `params`: its parameters, the losses of the epochs, and the norms of gradients in them."""
    (twin, result), loss = twin_of(program, params), program.source[3]
    batches = [order[i : i + batch] for order in orders for i in range(0, len(order), batch)]
    weights = np.ones(len(targets)) if weights is None else np.float64(weights)
    a_rate_a_step = np.repeat(np.broadcast_to(rates, len(orders)), len(batches) // len(orders))
    reported, norms = reference.train(
        twin, loss, program.settings, np.float64(X), np.float64(targets), weights, optimizer=optimizer,
        rate=a_rate_a_step, batches=batches, averaging=averaging(loss), **settings,
    )  # fmt: skip
    sizes = [len(b) for b in batches]
    means = np.multiply(reported, sizes).reshape(len(orders), -1).sum(axis=1) / len(X)
    return result, means, np.array(norms).reshape(len(orders), -1, len(twin)).mean(axis=1)
