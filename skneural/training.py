"""The fit loops: epochs of a stochastic solver, iterations of L-BFGS, and what watches over them."""

import functools
import time
import warnings

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

from skneural.maths.stopping import count_epoch

#: Epochs asked for at once, at the most.
MOST_EPOCHS = 10_000

HISTORY = ("loss", "validation_loss", "score", "learning_rate", "time")


class Schedule:
    """Learning rates of the epochs to come: constant, invscaling or adaptive, as in scikit-learn.

    Parameters
    ----------
    kind : {'constant', 'invscaling', 'adaptive'}
    initial, power : float
    rate : float or None
        The rate where an earlier run left off; None to begin with `initial`.
    """

    def __init__(self, kind, initial, power, rate=None):
        self.kind, self.initial, self.power = kind, initial, power
        self.rate = initial if rate is None else rate

    def upcoming(self, epochs, seen, n_rows):
        """Rates of the next epochs, where `seen` rows have been trained on in all."""
        rates = np.full(epochs, float(self.rate))
        if self.kind == "invscaling":
            rates[1:] = self.initial / (seen + n_rows * np.arange(1, epochs) + 1) ** self.power
        return rates

    def epochs_end(self, rate, seen):
        """Note the last rate used, after which `seen` rows have been trained on."""
        self.rate = self.initial / (seen + 1) ** self.power if self.kind == "invscaling" else rate

    def on_plateau(self):
        """No more improvement: whether to stop, and words for it. Else the rate has been lowered."""
        if self.kind != "adaptive":
            return True, "Stopping."
        if self.rate <= 1e-6:
            return True, "Learning rate too small. Stopping."
        self.rate /= 5.0
        return False, f"Setting learning rate to {self.rate:f}"


class Validation:
    """Loss and score on held-out rows after every epoch; keeps the best parameters.

    Parameters
    ----------
    evaluate : callable
        Returns ``(loss, score)`` of the parameters as they are.
    params : ndarray
    tol : float
    best_score : float, default=-inf
        Of an earlier fit that goes on.
    """

    def __init__(self, evaluate, params, tol, best_score=-np.inf):
        self.evaluate, self.params, self.tol = evaluate, params, tol
        self.best_params, self.best_score = params.copy(), best_score

    def measure(self, no_improvement):
        """``(loss, score, no_improvement)`` after an epoch."""
        loss, score = self.evaluate()
        best, no_improvement = count_epoch(-score, -self.best_score, no_improvement, self.tol)
        if -best > self.best_score:
            self.best_score = -best
            self.best_params = self.params.copy()
        return loss, score, no_improvement

    def restore(self):
        """Put the best parameters back."""
        self.params[:] = self.best_params


class Record:
    """What a fit leaves behind: the fitted attributes that grow with every epoch, and the callbacks told of each.

    Parameters
    ----------
    est : estimator
    X, y : array-like
        As the user gave them: callbacks get them.
    metadata : dict or None
    max_iter : int
    """

    def __init__(self, est, X, y, metadata, max_iter):
        self.est, self.max_iter = est, max_iter
        self.begin = time.perf_counter()
        self.arguments = {"estimator": est, "X": X, "y": y, "metadata": metadata}
        self.context = est._init_callback_context(max_subtasks=max_iter)
        self.context.call_on_fit_task_begin(**self.arguments)
        self.called = bool(getattr(est, "_skl_callbacks", None))
        self.task = None

    def epoch_begins(self):
        """Tell the callbacks."""
        if self.called:
            self.task = self.context.subcontext(task_name="epoch")
            self.task.call_on_fit_task_begin(**self.arguments)

    def epoch_ends(self, loss, rate, seconds, validation_loss=np.nan, score=np.nan):
        """Write an epoch down; whether a callback wants to stop."""
        est = self.est
        est.n_iter_ += 1
        est.loss_ = loss
        est.loss_curve_.append(loss)
        for name, value in zip(HISTORY, (loss, validation_loss, score, rate, seconds), strict=True):
            est.history_[name].append(value)
        if est.validation_scores_ is not None:
            est.validation_scores_.append(score)
            est.validation_loss_curve_.append(validation_loss)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {loss:.8f}")
            if est.validation_scores_ is not None:
                print(f"Validation score: {score:f}")
        if not self.called:
            return False
        return self.task.call_on_fit_task_end(**self.arguments, reconstruction_attributes=est._snapshot)

    def seconds(self):
        """Seconds since the fit began."""
        return time.perf_counter() - self.begin

    def close(self):
        """Tell the callbacks that the fit is over."""
        self.context.call_on_fit_task_end(**self.arguments, reconstruction_attributes=self.est._snapshot)


def fit_stochastic(est, trainer, schedule, record, validation, *, max_iter, incremental):
    """Run epochs of `trainer` until the stopping rule, a callback or `max_iter` ends them.

    Parameters
    ----------
    est : estimator
    trainer : Trainer
        Started.
    schedule : Schedule
    record : Record
    validation : Validation or None
    max_iter : int
    incremental : bool
        One epoch, which ends in no warning (partial_fit).
    """
    n_rows = len(trainer.targets)
    watched = record.called or est.verbose or validation is not None
    est.n_iter_, count, stop = 0, est._no_improvement_count, False
    try:
        while est.n_iter_ < max_iter and not stop:
            record.epoch_begins()
            left = max_iter - est.n_iter_
            rates = schedule.upcoming(1 if watched else min(left, MOST_EPOCHS), est.t_, n_rows)
            best = np.inf if validation else est.best_loss_
            epochs, best, new_count = trainer.run_epochs(rates, best, count, record.begin)
            count = count if validation else new_count
            for (loss, seconds), rate in zip(epochs, rates, strict=False):
                est.t_ += n_rows
                measured = ()
                if validation:
                    *measured, count = validation.measure(count)
                    est.best_validation_score_ = validation.best_score
                    seconds = record.seconds()
                else:
                    est.best_loss_ = best
                stop = record.epoch_ends(loss, rate, seconds, *measured)
            est._no_improvement_count = count
            schedule.epochs_end(rates[len(epochs) - 1], est.t_)
            if count > est.n_iter_no_change:
                plateau, words = schedule.on_plateau()
                stop = stop or plateau
                count = est._no_improvement_count if plateau else 0
                if est.verbose:
                    print(_plateau_message(est, validation), words)
        if not stop and not incremental:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't converged "
                "yet.",
                ConvergenceWarning,
                stacklevel=7,
            )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=7)
    finally:
        trainer.close()
    if validation:
        validation.restore()


def _plateau_message(est, validation):
    what = "Validation score" if validation else "Training loss"
    return f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} consecutive epochs."


@functools.cache
def _blas():
    return ThreadpoolController()  # looks at all loaded libraries: some milliseconds


def fit_lbfgs(est, trainer, record, validation, *, max_iter):
    """Minimise the loss over all rows with scipy's L-BFGS.

    Parameters
    ----------
    est : estimator
    trainer : Trainer
    record : Record
    validation : Validation or None
    max_iter : int
    """
    program, params = trainer.program, trainer.params
    index = program.dense_index()
    n_weights = sum(t.n_in * t.n_out for t in program.tensors)
    total = trainer.total_weight()
    averaging = trainer.template["averaging"]
    last_loss, count = np.nan, est._no_improvement_count

    def objective(x):
        nonlocal last_loss
        params[index] = x
        loss, gradient = trainer.loss_and_gradient()
        gradient = gradient[index].astype(np.float64)
        weights = x[:n_weights]
        penalty = 0.5 * est.alpha * np.dot(weights, weights)
        gradient[:n_weights] += est.alpha * weights
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
        est.t_ += len(trainer.targets)
        record.epoch_begins()  # only now is it known that there was one more
        stop = record.epoch_ends(loss, np.nan, record.seconds(), *measured)
        est._no_improvement_count = count
        if stop or (validation and count > est.n_iter_no_change):
            raise StopIteration

    options = {"maxfun": est.max_fun, "maxiter": max_iter, "gtol": est.tol}
    est.n_iter_ = 0
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
    finally:
        trainer.close()
    if validation:
        validation.restore()
