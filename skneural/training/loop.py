"""The loop over epochs of a stochastic solver, and what watches over every fit."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skneural.maths.stopping import count_epoch
from skneural.training.history import Epochs, forget, note
from skneural.training.state import FitState

#: Learning rates handed over at once, at the most: a compiled call uses up some of them.
MOST_RATES = 20_000

#: scikit-learn's words.
NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
INTERRUPTED = "Training interrupted by user."


class Validation:
    """Loss and score on held-out rows after every epoch; keeps the best parameters.

    Parameters
    ----------
    evaluate : callable
        Returns ``(loss, score)`` of the parameters as they are.
    state : FitState
        A fit that was interrupted goes on with the best parameters of before.
    tol : float
    """

    def __init__(self, evaluate, state, tol):
        self.evaluate = evaluate
        self.state = state
        self.tol = tol
        self.run = state.solver.run
        if self.run.best_params is None:
            self.run.best_params = state.params.copy()

    def measure(self):
        """Loss and score after an epoch; the state says what they mean for the stopping rule."""
        state = self.state
        loss, score = self.evaluate()
        best, count = count_epoch(-score, -state.best_validation_score, state.no_improvement_count, self.tol)
        if -best > state.best_validation_score:
            state.best_validation_score = -best
            self.run.best_params[:] = state.params
        state.no_improvement_count = count
        return loss, score

    def restore(self):
        """Put the best parameters back. A fit that goes on for longer does so from the last ones."""
        self.run.last_params = self.state.params.copy()
        self.state.params[:] = self.run.best_params


@dataclass
class Watch:
    """What watches over a fit, and is told of every epoch.

    Attributes
    ----------
    state : FitState
    listener : object
        ``epoch_begins()``, ``epochs_end()``, which returns whether to stop, and ``active``, whether anybody listens.
    n_rows, n_layers : int
        Rows of an epoch, and layers with weights.
    validation : Validation or None
    evaluate_training : callable or None
        Returns ``(loss, score)`` on the training rows.
    verbose : bool
    incremental : bool
        Whether this is a call of `partial_fit`, of one epoch.
    converges : bool
        Whether a fit that has come to `max_iter` is said not to have converged.
    columns : callable or None
        Returns what else is noted of so many epochs that a trainer has run: lists by name.
    """

    state: FitState
    listener: object
    n_rows: int
    n_layers: int
    validation: Validation | None = None
    evaluate_training: Callable | None = None
    verbose: bool = False
    incremental: bool = False
    converges: bool = True
    columns: Callable | None = None

    def __post_init__(self):
        self.begin = time.perf_counter()
        if self.state.n_iter:  # of the part before, where a fit is resumed
            self.begin -= self.state.history["time"][-1]

    @property
    def every_epoch(self):
        """Whether epochs come one by one, as somebody looks at each."""
        return bool(self.listener.active or self.evaluate_training or self.verbose or self.validation)

    def seconds(self):
        """Seconds since the fit began."""
        return time.perf_counter() - self.begin

    def epochs_end(self, epochs):
        """Note epochs, one if anybody watches; whether a callback wants to stop."""
        state = self.state
        if self.evaluate_training:
            epochs.training_score = self.evaluate_training()[1]
        note(state, epochs, self.n_rows, self.n_layers)
        if self.incremental:
            forget(state)
        if self.verbose:
            print(f"Iteration {state.n_iter}, loss = {state.loss:.8f}")
            if self.validation:
                print(f"Validation score: {epochs.score:f}")
        return self.listener.epochs_end()


def fit_stochastic(trainer, schedule, watch, settings, *, first_pass):
    """Run epochs of `trainer` until the stopping rule, a callback, divergence or `max_iter` ends them.

    That of `partial_fit` is one epoch, which ends in no warning.

    Parameters
    ----------
    trainer : Trainer
        Started.
    schedule : Schedule
    watch : Watch
        Its state says at the end of every epoch how to go on: callbacks may save it.
    settings : SimpleNamespace
        Parameters of the estimator.
    first_pass : bool
        Whether the fit began with random parameters.
    """
    state = watch.state
    max_iter = 1 if watch.incremental else settings.max_iter
    most = max(1, MOST_RATES // trainer.steps_per_epoch)
    if watch.every_epoch or schedule.entry.reacts == "plateau":
        most = 1
    stop = state.solver.run.finished
    try:
        while state.n_iter < max_iter and not stop:
            watch.listener.epoch_begins()
            n_epochs = min(max_iter - state.n_iter, most)
            stop = _run_epochs(trainer, schedule, watch, settings, n_epochs)
        if not state.is_finite:
            _recover(trainer, watch, first_pass)
        elif watch.converges and not (stop or watch.incremental or schedule.entry.ends):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't converged "
                "yet.",
                ConvergenceWarning,
                stacklevel=6,
            )
    except KeyboardInterrupt:
        warnings.warn(INTERRUPTED, stacklevel=6 + watch.incremental)
    if watch.validation:
        watch.validation.restore()


def _run_epochs(trainer, schedule, watch, settings, n_epochs):
    """Some epochs, and everything that is noted of them; whether training is over."""
    state = watch.state
    run = state.solver.run
    rates = schedule.rates(n_epochs, state.t, watch.n_rows)
    best = np.inf if watch.validation else state.best_loss
    if watch.listener.active:
        trainer.refresh()  # a callback may have changed weights in place
    ended, best, count = trainer.run_epochs(rates, best, state.no_improvement_count, watch.begin)
    losses, seconds = map(list, zip(*ended, strict=True))
    epochs = Epochs(losses, rates[: len(losses), -1].tolist(), seconds)
    if trainer.monitor:
        epochs.gradient_norms = list(trainer.layer_norms[: len(losses)])
    if watch.columns:
        epochs.columns = watch.columns(trainer, len(losses))
    if watch.validation:
        epochs.validation_loss, epochs.score = watch.validation.measure()
        epochs.seconds = [watch.seconds()]
        schedule.epoch_ends(epochs.validation_loss, settings.tol)
    else:
        state.best_loss = best
        state.no_improvement_count = count
        schedule.epoch_ends(losses[-1], settings.tol)
    words = ""
    if state.no_improvement_count > settings.n_iter_no_change:
        run.finished, words = schedule.on_stop()
        if not run.finished:
            state.no_improvement_count = 0
    run.finished = bool(run.finished or not math.isfinite(losses[-1]))
    stop = watch.epochs_end(epochs)
    if watch.verbose and words:
        print(_plateau_message(settings, watch.validation), words)
    return stop or run.finished


def _recover(trainer, watch, first_pass):
    """Put back the best parameters that there were; raise if they have not learnt anything."""
    state = watch.state
    best, improved = trainer.best_parameters()
    if first_pass and not improved and watch.validation is None:  # random weights are not worth keeping
        raise ValueError(NON_FINITE)
    state.params[:] = best
    state.solver.s[:] = 0
    state.solver.v[:] = 0
    warnings.warn(
        f"Training diverged: loss or weights of epoch {state.n_iter} are not finite. The best weights before are kept. "
        "A smaller learning_rate_init, clip_norm, or data on a common scale (StandardScaler) may help.",
        ConvergenceWarning,
        stacklevel=7 + watch.incremental,
    )


def _plateau_message(settings, validation):
    what = "Validation score" if validation else "Training loss"
    return f"{what} did not improve more than tol={settings.tol:f} for {settings.n_iter_no_change} consecutive epochs."
