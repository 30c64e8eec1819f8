"""Learning-rate schedules: closed forms, what reacts to the course of training, and how fits go on with them."""

from types import SimpleNamespace

import numpy as np
import pytest
from conftest import assert_same_bits, estimator_for, problem
from networks import make_data, make_network, run_epochs
from numpy.testing import assert_allclose, assert_array_equal

from skneural import MLPClassifier
from skneural.backends.cpu import pool
from skneural.layers import Dense
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.training.schedule import LOWEST, Schedule
from skneural.training.state import SolverState

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# 60 rows: an epoch has four steps of 16, 16, 16 and 12 rows.
SMALL = {"hidden_layer_sizes": (7, 4), "random_state": 0, "batch_size": 16, "n_iter_no_change": np.inf}
REACTING = [name for name, entry in SCHEDULES.items() if entry.reacts]
STOCHASTIC = pytest.mark.parametrize("solver", OPTIMIZERS)


def small(kind="multiclass", **settings):
    return estimator_for(kind)(**{**SMALL, "max_iter": 6, **settings})


def fitted(kind="multiclass", **settings):
    X, y, _ = problem(kind)
    return small(kind, **settings).fit(X, y)


def rates_of(kind, n_epochs=10, steps=7, initial=0.1, n_rows=60, **settings):
    """Rates of every step of a fit, one row an epoch."""
    given = MLPClassifier(learning_rate=kind, max_iter=n_epochs, **settings).get_params()
    state = SolverState(s=None, v=None, seed=0, initial=initial)
    schedule = Schedule(SimpleNamespace(**given), state, steps)
    return np.broadcast_to(schedule.rates(n_epochs, 0, n_rows), (n_epochs, steps))


# -- closed forms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["constant", *REACTING])
def test_rates_that_only_react_begin_constant(kind):
    assert (rates_of(kind) == 0.1).all()


@pytest.mark.parametrize(("settings", "factor", "every"), [({}, 0.1, 3), ({"decay_factor": 0.5}, 0.5, 3)])
def test_step(settings, factor, every):
    expected = 0.1 * factor ** (np.arange(10) // every)  # 'auto' is a third of max_iter
    assert_allclose(rates_of("step", **settings), np.repeat(expected, 7).reshape(10, 7), rtol=1e-14)
    expected = 0.1 * factor ** (np.arange(10) // 2)
    assert_allclose(rates_of("step", decay_epochs=2, **settings)[:, 0], expected, rtol=1e-14)


@pytest.mark.parametrize("max_iter", [1, 2])
def test_step_of_short_fits(max_iter):
    assert_allclose(rates_of("step", max_iter)[:, 0], [0.1, 0.01][:max_iter], rtol=1e-14)


def test_exponential():
    assert_allclose(rates_of("exponential")[:, -1], 0.1 * 0.95 ** np.arange(10), rtol=1e-13)
    assert_allclose(rates_of("exponential", decay_factor=0.5)[:, -1], 0.1 * 0.5 ** np.arange(10), rtol=1e-14)
    assert (rates_of("exponential", decay_factor=1.0) == 0.1).all()


def test_invscaling():
    expected = [0.1] + [0.1 / (60 * epoch + 1) ** 0.25 for epoch in range(1, 10)]
    assert_allclose(rates_of("invscaling", power_t=0.25)[:, 0], expected, rtol=1e-14)


def test_cosine():
    steps = np.arange(70)
    assert_allclose(rates_of("cosine").ravel(), 0.05 * (1 + np.cos(np.pi * steps / 70)), rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.5])
def test_one_cycle(warmup):
    rise, rates = warmup or 0.3, rates_of("one_cycle", warmup=warmup).ravel()
    top = round(70 * rise)
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates.argmax() == top
    assert rates.max() == pytest.approx(0.1)
    assert (np.diff(rates[: top + 1]) > 0).all()
    assert (np.diff(rates[top:]) < 0).all()
    middle = rates[top // 2] if top % 2 == 0 else rates[[top // 2, top // 2 + 1]].mean()
    assert middle == pytest.approx((0.1 + 0.004) / 2, rel=1e-3)


def test_one_cycle_that_only_rises():
    rates = rates_of("one_cycle", warmup=1.0).ravel()
    assert (np.diff(rates) > 0).all()
    assert 0.09 < rates[-1] < 0.1


@pytest.mark.parametrize("kind", [name for name, entry in SCHEDULES.items() if not entry.rises])
@pytest.mark.parametrize("warmup", [0.1, 0.25, 1.0])
def test_warmup_is_a_ramp_before_the_schedule(kind, warmup):
    plain, rates = rates_of(kind), rates_of(kind, warmup=warmup)
    ramp, steps = round(70 * warmup), np.arange(70)
    if SCHEDULES[kind].ends:  # it gets the steps after the ramp; within it stays at its beginning
        begin = np.full(ramp, plain[0, 0])
        plain = np.append(begin, rates_of(kind, 1, 70 - ramp)) if ramp < 70 else begin
    assert_allclose(rates.ravel(), plain.ravel() * np.minimum((steps + 1) / ramp, 1), rtol=1e-13, atol=1e-17)
    assert rates[0, 0] == pytest.approx(0.1 / ramp)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_rates_are_positive_and_begin_at_most_at_the_initial_one(kind):
    for warmup in (0.0, 0.3):
        rates = rates_of(kind, 50, warmup=warmup)
        assert (rates > 0).all()
        assert rates.max() <= 0.1 * (1 + 1e-15)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: it comes with the extra `bench`")


def rates_of_torch(torch, make, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler, rates = make(optimizer, torch.optim.lr_scheduler), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


def test_schedules_are_those_of_pytorch(torch):
    expected = rates_of_torch(torch, lambda o, s: s.StepLR(o, 3), 10)
    assert_allclose(rates_of("step")[:, 0], expected, rtol=1e-12)
    expected = rates_of_torch(torch, lambda o, s: s.ExponentialLR(o, 0.9), 10)
    assert_allclose(rates_of("exponential", decay_factor=0.9)[:, 0], expected, rtol=1e-12)
    expected = rates_of_torch(torch, lambda o, s: s.CosineAnnealingLR(o, 70), 70)
    assert_allclose(rates_of("cosine").ravel(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("warmup", [0.3, 0.1])
def test_one_cycle_is_that_of_pytorch(torch, warmup):
    # Theirs reaches the top and the end one step earlier, so that the last step is the lowest.
    expected = rates_of_torch(torch, lambda o, s: s.OneCycleLR(o, 0.1, 4000, pct_start=warmup), 4000)
    rates = rates_of("one_cycle", 400, 10, warmup=warmup).ravel()
    a_step = np.abs(np.diff(expected)).max()
    assert_allclose(rates, expected, rtol=0, atol=1.01 * a_step)
    assert rates[0] == pytest.approx(expected[0])
    assert rates.max() == pytest.approx(expected.max())
    assert rates.min() <= 2 * a_step


# -- the rates of a fit ------------------------------------------------------------------------------------------------


@STOCHASTIC
@pytest.mark.parametrize("kind", [name for name in SCHEDULES if name not in REACTING])
def test_history_of_learning_rates(kind, solver):
    est = fitted(learning_rate=kind, solver=solver, learning_rate_init=0.01, decay_epochs=2, decay_factor=0.5)
    expected = rates_of(kind, 6, 4, initial=0.01, decay_epochs=2, decay_factor=0.5)
    assert_allclose(est.history_["learning_rate"], expected[:, -1], rtol=1e-13)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_rates_are_those_of_the_steps(kind):
    # With the rates above, the engine takes the same steps by itself.
    X, targets, _ = make_data("squared_error", 60)
    rates = rates_of(kind, 6, 4, initial=0.05, warmup=0.3)
    program, start = make_network([Dense(5, "tanh"), Dense(3)], "squared_error")
    params = start.copy()
    run_epochs(program, params, X, targets, None, "sgd", (0.9, 1.0), batch=16, rates=rates, shuffle=True)
    together = start.copy()
    run_epochs(program, together, X, targets, None, "sgd", (0.9, 1.0), batch=16, rates=rates[:1], shuffle=True)
    assert (params != together).any()
    once = start.copy()
    run_epochs(program, once, X, targets, None, "sgd", (0.9, 1.0), batch=16, rates=rates, shuffle=True, together=True)
    assert_array_equal(params, once)


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.4])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_epochs_that_take_several_calls(kind, warmup, n_jobs, crews, monkeypatch):
    # A compiled call lasts a tenth of a second; that of another machine ends elsewhere.
    settings = {"learning_rate": kind, "warmup": warmup, "learning_rate_init": 0.01, "n_jobs": n_jobs}
    expected = fitted(**settings)
    monkeypatch.setattr(pool.Pace, "choose", lambda self, seconds: (max(self.sizes), 3))  # an epoch has four steps
    est = fitted(**settings)
    assert_same_bits(est, expected)
    assert est.history_["learning_rate"] == expected.history_["learning_rate"]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules_change_the_course(kind):
    settings = {"tol": 10.0, "n_iter_no_change": 1, "max_iter": 20, "learning_rate_init": 0.01, "decay_epochs": 1}
    if kind == "plateau":
        settings["n_iter_no_change"] = np.inf
    est = fitted(learning_rate=kind, **settings)
    constant = fitted(**settings | {"n_iter_no_change": np.inf})
    n = min(est.n_iter_, constant.n_iter_)
    assert (est.loss_curve_[:n] == constant.loss_curve_[:n]) == (kind == "constant")


# -- schedules that react ----------------------------------------------------------------------------------------------


def plateau_twin(losses, initial, factor, patience, tol):
    """Rates of the epochs whose losses these are."""
    rates, rate, lowest, waited = [], initial, np.inf, 0
    for loss in losses:
        rates.append(rate)
        waited = waited + 1 if loss > lowest - tol else 0
        lowest = min(lowest, loss)
        if waited > patience:
            rate, waited = max(rate * factor, min(rate, LOWEST)), 0
    return rates


@STOCHASTIC
@pytest.mark.parametrize("validated", [False, True])
@pytest.mark.parametrize(
    ("settings", "factor", "patience"),
    [({}, 0.1, 5), ({"decay_factor": 0.5, "decay_epochs": 2}, 0.5, 2), ({"n_iter_no_change": 7}, 0.1, 3)],
    ids=["auto", "given", "patience"],
)
def test_plateau(settings, factor, patience, validated, solver):
    X, y, _ = problem("multiclass", n_samples=90)
    est = small(solver=solver, learning_rate="plateau", max_iter=40, tol=0.02, learning_rate_init=0.02, **settings)
    est.fit(X[:60], y[:60], **({"X_val": X[60:], "y_val": y[60:]} if validated else {}))
    watched = est.validation_loss_curve_ if validated else est.loss_curve_
    expected = plateau_twin(watched, 0.02, factor, patience, tol=0.02)
    assert_allclose(est.history_["learning_rate"], expected, rtol=1e-12)
    assert len(set(expected)) > 1


def test_plateau_has_a_floor():
    est = fitted(learning_rate="plateau", tol=10.0, max_iter=60, decay_epochs=1)
    rates = np.array(est.history_["learning_rate"])
    assert_allclose(rates[1::2], np.maximum(0.001 * 0.1 ** np.arange(30), LOWEST), rtol=1e-12)
    already_low = fitted(learning_rate="plateau", tol=10.0, decay_epochs=1, learning_rate_init=1e-8)
    assert set(already_low.history_["learning_rate"]) == {1e-8}


@STOCHASTIC
def test_adaptive(solver):
    settings = {"solver": solver, "tol": 10.0, "n_iter_no_change": 1, "max_iter": 500}
    est = fitted(learning_rate="adaptive", decay_factor=0.9, **settings)  # which is not for 'adaptive'
    rates = np.array(est.history_["learning_rate"])
    levels = rates[np.r_[True, np.diff(rates) != 0]]
    assert_allclose(levels, 0.001 / 5.0 ** np.arange(6), rtol=1e-12)
    assert est.n_iter_ < 500


@pytest.mark.parametrize("kind", SCHEDULES)
def test_only_fits_that_come_to_an_end_do_not_warn(kind, recwarn):
    fitted(learning_rate=kind)
    told = ["hasn't converged" in str(warning.message) for warning in recwarn]
    assert any(told) != SCHEDULES[kind].ends


# -- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.4])
@pytest.mark.parametrize("solver", ["sgd", "adamw"])
def test_partial_fit_calls_are_epochs_to_the_bit(kind, warmup, solver):
    X, y, _ = problem("regression")
    settings = {"learning_rate": kind, "warmup": warmup, "solver": solver, "learning_rate_init": 0.01, "tol": 10.0}
    settings |= {"decay_epochs": 1, "max_iter": 8}
    whole = small("regression", **settings).fit(X, y)
    parts = small("regression", **settings)
    for _ in range(8):
        parts.partial_fit(X, y)
    assert_array_equal(parts._params, whole._params)
    for column in ("loss", "learning_rate"):
        assert parts.history_[column] == whole.history_[column]
    if kind == "plateau":
        assert len(set(whole.history_["learning_rate"])) > 2


@pytest.mark.parametrize("kind", SCHEDULES)
def test_warm_start_begins_the_schedule_anew(kind):
    X, y, _ = problem("regression")
    est = small("regression", learning_rate=kind, warmup=0.4, warm_start=True, decay_epochs=1, tol=0.1).fit(X, y)
    first = est.history_["learning_rate"].copy()
    est.fit(X, y)
    again = est.history_["learning_rate"][6:]
    assert again[0] == first[0]
    if kind not in ("plateau", "invscaling"):  # the one reacts, the other counts all rows ever seen
        assert again == first


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules_of_other_solvers_are_no_error(kind):
    lbfgs = fitted(solver="lbfgs", learning_rate=kind, warmup=0.3)
    assert_same_bits(lbfgs, fitted(solver="lbfgs"))
    assert np.isnan(lbfgs.history_["learning_rate"]).all()


def test_early_stopping_stops_a_schedule():
    X, y, _ = problem("multiclass")
    est = small(learning_rate="cosine", n_iter_no_change=2, tol=1.0, max_iter=50).fit(X, y)
    assert est.n_iter_ == 4
    assert_allclose(est.history_["learning_rate"], rates_of("cosine", 50, 4, initial=0.001)[:4, -1], rtol=1e-13)
