"""The fit loops: epochs of a stochastic solver, iterations of L-BFGS, and what watches over them."""

import functools
import time
import warnings

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

from skneural.maths.stopping import count_epoch

#: Learning rates handed over at once, at the most: a compiled call uses up some of them.
MOST_RATES = 20_000

#: scikit-learn's words.
NON_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)

HISTORY = ("loss", "validation_loss", "score", "learning_rate", "time")
#: Calls of `partial_fit` that stay in ``loss_curve_``, and in ``history_``: a model that learns for months is as small
#: as on its first day.
LOSSES_KEPT, CALLS_KEPT = 1000, 100


class Validation:
    """Loss and score on held-out rows after every epoch; keeps the best parameters.

    Parameters
    ----------
    evaluate : callable
        Returns ``(loss, score)`` of the parameters as they are.
    params : ndarray
    tol : float
    state : dict
        Holds the best parameters as ``best_params``: an interrupted fit goes on with those of before. In the end
        also the last ones as ``last_params``.
    best_score : float, default=-inf
        Of an earlier fit that goes on.
    """

    def __init__(self, evaluate, params, tol, state, best_score=-np.inf):
        self.evaluate, self.params, self.tol, self.state = evaluate, params, tol, state
        self.best_score = best_score
        state.setdefault("best_params", params.copy())

    def measure(self, no_improvement):
        """``(loss, score, no_improvement)`` after an epoch."""
        loss, score = self.evaluate()
        best, no_improvement = count_epoch(-score, -self.best_score, no_improvement, self.tol)
        if -best > self.best_score:
            self.best_score = -best
            self.state["best_params"][:] = self.params
        return loss, score, no_improvement

    def restore(self):
        """Put the best parameters back. A fit that goes on for longer does so from the last ones."""
        self.state["last_params"] = self.params.copy()
        self.params[:] = self.state["best_params"]


class Record:
    """What a fit leaves behind: the fitted attributes that grow with every epoch, and the callbacks told of each.

    Parameters
    ----------
    est : estimator
    task : Task
        Callbacks get its data as the user gave it.
    evaluate : callable or None
        Returns ``(loss, score)`` on the training data.
    """

    def __init__(self, est, task, evaluate):
        self.est, self.evaluate, self.verbose = est, evaluate, task.settings.verbose
        self.max_iter, self.incremental = 1 if task.incremental else task.settings.max_iter, task.incremental
        self.n_rows = len(task.train[0][1])
        before = est.history_["time"][-1] if est.n_iter_ else 0.0  # of the part before, where a fit is resumed
        self.begin = time.perf_counter() - before
        X, y, metadata = task.given
        self.arguments = {"estimator": est, "X": X, "y": y, "metadata": metadata}
        self.called = bool(getattr(est, "_skl_callbacks", None))
        self.context = self.task = None
        if self.called:
            self.context = est._init_callback_context(max_subtasks=self.max_iter)
            self.context.call_on_fit_task_begin(**self.arguments)

    def epoch_begins(self):
        """Tell the callbacks."""
        if self.called:
            self.task = self.context.subcontext(task_name="epoch")
            self.task.call_on_fit_task_begin(**self.arguments)

    def epochs_end(self, losses, rates, seconds, validation_loss=np.nan, score=None, *, norms=None):
        """Write epochs down, one if anybody watches; whether a callback wants to stop."""
        est, n, past = self.est, len(losses), len(self.est.history_["loss"])
        number = np.nan if score is None else score
        columns = {"loss": losses, "validation_loss": [validation_loss] * n, "score": [number] * n}
        columns |= {"learning_rate": rates, "time": seconds}
        scores = [self.evaluate()[1]] if self.evaluate else None
        # What only some fits know; epochs of others are filled in.
        some = {"training_score": (scores, np.nan), "gradient_norm": (norms, np.full(est.n_layers_ - 1, np.nan))}
        for name, (values, unknown) in some.items():
            if values is not None or name in est.history_:
                est.history_.setdefault(name, [unknown] * past)
                columns[name] = [unknown] * n if values is None else values
        # All is ready, and few statements follow: Ctrl-C hardly ever finds one list longer than another.
        for name, values in columns.items():
            est.history_[name].extend(values)
        est.loss_curve_.extend(losses)
        est.n_iter_ += n
        est.t_ += self.n_rows * n
        est.loss_ = losses[-1]
        if est.validation_scores_ is not None:
            est.validation_scores_.extend(columns["score"])
            est.validation_loss_curve_.extend(columns["validation_loss"])
        if self.incremental:
            self._forget()
        if self.verbose:
            print(f"Iteration {est.n_iter_}, loss = {est.loss_:.8f}")
            if score is not None:
                print(f"Validation score: {score:f}")
        if not self.called:
            return False
        stop = self.task.call_on_fit_task_end(**self.arguments, reconstruction_attributes=est._snapshot)
        self._check_weights()
        return stop

    def _forget(self):
        """Drop the oldest call of `partial_fit`, if there are more than are kept."""
        est = self.est
        calls = est._state["calls"] = est._state.get("calls", 0) + 1
        if calls > LOSSES_KEPT and len(est.loss_curve_) > LOSSES_KEPT:
            del est.loss_curve_[-LOSSES_KEPT - 1]
        if calls > CALLS_KEPT:
            curves = [est.validation_scores_, est.validation_loss_curve_, *est.history_.values()]
            for values in curves:
                if values is not None and len(values) > CALLS_KEPT:
                    del values[-CALLS_KEPT - 1]

    def _check_weights(self):
        """Raise if a callback has put other arrays in the place of the weights, and take those that are trained."""
        est = self.est
        if not est._is_current():
            est._adopt(est._program, est._params)
            raise RuntimeError(
                f"A callback has assigned coefs_ or intercepts_ of this {type(est).__name__}, which is being fitted: "
                "training would not see them. Change the arrays in place, or assign when the fit is over."
            )

    def seconds(self):
        """Seconds since the fit began."""
        return time.perf_counter() - self.begin

    def close(self):
        """Tell the callbacks that the fit is over."""
        if self.called:
            self.context.call_on_fit_task_end(**self.arguments, reconstruction_attributes=self.est._snapshot)


def fit_stochastic(est, trainer, schedule, record, validation, task):
    """Run epochs of `trainer` until the stopping rule, a callback, divergence or `max_iter` ends them.

    That of `partial_fit` is one epoch, which ends in no warning.

    Parameters
    ----------
    est : estimator
        Its ``_state`` and fitted attributes say at the end of every epoch how to go on: callbacks may save them.
    trainer : Trainer
        Started.
    schedule : Schedule
    record : Record
    validation : Validation or None
    task : Task
    """
    settings, max_iter, stop = task.settings, record.max_iter, task.run["finished"]
    watched = record.called or record.evaluate or record.verbose or validation or schedule.entry.reacts == "plateau"
    try:
        while est.n_iter_ < max_iter and not stop:
            record.epoch_begins()
            n_epochs = min(max_iter - est.n_iter_, max(1, MOST_RATES // trainer.steps_per_epoch))
            stop = _run_epochs(est, trainer, schedule, record, validation, settings, 1 if watched else n_epochs)
        if not (np.isfinite(est.loss_) and np.isfinite(trainer.params).all()):
            _recover(est, trainer, validation, task)
        elif not (stop or task.incremental or schedule.entry.ends):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't converged "
                "yet.",
                ConvergenceWarning,
                stacklevel=6,
            )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=6 + task.incremental)
    if validation:
        validation.restore()


def _run_epochs(est, trainer, schedule, record, validation, settings, n_epochs):
    """Some epochs, and everything that is noted of them; whether training is over."""
    run, n_rows, words = est._state["run"], len(trainer.targets), ""
    rates = schedule.rates(n_epochs, est.t_, n_rows)
    best = np.inf if validation else est.best_loss_
    epochs, best, count = trainer.run_epochs(rates, best, est._no_improvement_count, record.begin)
    measured = ()
    if validation:
        *measured, count = validation.measure(est._no_improvement_count)
        est.best_validation_score_ = validation.best_score
    else:
        est.best_loss_ = best
    last_loss = epochs[-1][0]
    schedule.epoch_ends(measured[0] if measured else last_loss, settings.tol)
    est._no_improvement_count = count
    if count > settings.n_iter_no_change:
        run["finished"], words = schedule.on_stop()
        est._no_improvement_count = count if run["finished"] else 0
    run["finished"] = run["finished"] or not np.isfinite(last_loss)
    losses, seconds = map(list, zip(*epochs, strict=True))
    norms = list(trainer.layer_norms[: len(losses)]) if trainer.monitor else None
    seconds = [record.seconds()] if validation else seconds
    stop = record.epochs_end(losses, rates[: len(losses), -1].tolist(), seconds, *measured, norms=norms)
    if record.verbose and words:
        print(_plateau_message(settings, validation), words)
    return stop or run["finished"]


def _recover(est, trainer, validation, task):
    """Put back the best parameters that there were; raise if they have not learnt anything."""
    good, improved = trainer.good_parameters()
    if task.first_pass and not improved and validation is None:  # random weights are not worth keeping
        raise ValueError(NON_FINITE)
    trainer.params[:] = good
    for name in ("s", "v"):
        est._state[name][:] = 0
    warnings.warn(
        f"Training diverged: loss or weights of epoch {est.n_iter_} are not finite. The best weights before are kept. "
        "A smaller learning_rate_init, clip_norm, or data on a common scale (StandardScaler) may help.",
        ConvergenceWarning,
        stacklevel=7 + task.incremental,
    )


def _plateau_message(settings, validation):
    what = "Validation score" if validation else "Training loss"
    return f"{what} did not improve more than tol={settings.tol:f} for {settings.n_iter_no_change} consecutive epochs."


@functools.cache
def _blas():
    return ThreadpoolController()  # looks at all loaded libraries: some milliseconds


def fit_lbfgs(est, trainer, record, validation, settings):
    """Minimise the loss over all rows with scipy's L-BFGS.

    Parameters
    ----------
    est : estimator
    trainer : Trainer
    record : Record
    validation : Validation or None
    settings : SimpleNamespace
        The estimator's parameters.
    """
    program, params = trainer.program, trainer.params
    index = program.learnt_index()
    n_weights = program.n_weights
    total = trainer.total_weight()
    averaging, alpha = trainer.template["averaging"], trainer.template["alpha"]
    last_loss, count = np.nan, est._no_improvement_count

    def objective(x):
        nonlocal last_loss
        params[index] = x
        loss, gradient = trainer.loss_and_gradient()
        gradient = gradient[index].astype(np.float64)
        weights = x[:n_weights]
        penalty = 0.5 * alpha * np.dot(weights, weights)
        gradient[:n_weights] += alpha * weights
        last_loss = (loss * averaging + penalty) / total
        return (loss + penalty) / total, gradient / total

    def iteration_ends(intermediate_result):
        nonlocal count
        params[index] = intermediate_result.x
        loss, measured = last_loss, ()  # an iteration ends where the objective was last evaluated
        if validation:
            *measured, count = validation.measure(count)
            est.best_validation_score_ = validation.best_score
        elif loss < est.best_loss_:
            est.best_loss_ = loss
        record.epoch_begins()  # only now is it known that there was one more
        stop = record.epochs_end([loss], [np.nan], [record.seconds()], *measured)
        est._no_improvement_count = count
        if stop or (validation and count > settings.n_iter_no_change):
            raise StopIteration

    options = {"maxfun": settings.max_fun, "maxiter": settings.max_iter, "gtol": settings.tol}
    try:
        # A step too far overflows, and the line search takes it back. BLAS threads only slow down its short vectors.
        with np.errstate(all="ignore"), _blas().limit(limits=1, user_api="blas"):
            start = params[index].astype(np.float64)
            result = minimize(objective, start, method="L-BFGS-B", jac=True, options=options, callback=iteration_ends)
        params[index] = result.x
        if est.n_iter_ == 0:
            est.loss_ = float(result.fun)
        if result.status not in (0, 99):  # 99: stopped from the callback
            warnings.warn(
                f"lbfgs failed to converge after {est.n_iter_} iteration(s) (status={result.status}):\n"
                f"{result.message}\n\nIncrease the number of iterations (max_iter) or of function calls (max_fun), or "
                "scale the data as shown in:\n    https://scikit-learn.org/stable/modules/preprocessing.html",
                ConvergenceWarning,
                stacklevel=6,
            )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=6)
    if validation:
        validation.restore()
