"""The loop over iterations of scipy's L-BFGS."""

import functools
import warnings

import numpy as np
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

from skneural.training.history import Epochs
from skneural.training.loop import INTERRUPTED


@functools.cache
def _blas():
    return ThreadpoolController()  # looks at all loaded libraries: some milliseconds


class Objective:
    """The mean loss over all rows, penalty included, and its gradient: what L-BFGS minimises.

    Parameters
    ----------
    trainer : Trainer

    Attributes
    ----------
    last_loss : float
        Where it was last evaluated, as `loss_curve_` has it.
    """

    def __init__(self, trainer):
        self.trainer = trainer
        self.index = trainer.program.learnt_index()
        self.n_weights = trainer.program.n_weights
        self.total = trainer.total_weight()
        self.averaging = trainer.template["averaging"]
        self.alpha = trainer.template["alpha"]
        self.last_loss = np.nan

    @property
    def x(self):
        """The parameters that are learnt, those that are penalised first."""
        return self.trainer.params[self.index].astype(np.float64)

    def put(self, x):
        """Make `x` the parameters that are learnt."""
        self.trainer.params[self.index] = x

    def __call__(self, x):
        """The value at `x`, and the gradient there."""
        self.put(x)
        loss, gradient = self.trainer.loss_and_gradient()
        gradient = gradient[self.index].astype(np.float64)
        weights = x[: self.n_weights]
        penalty = 0.5 * self.alpha * np.dot(weights, weights)
        gradient[: self.n_weights] += self.alpha * weights
        self.last_loss = (loss * self.averaging + penalty) / self.total
        return (loss + penalty) / self.total, gradient / self.total


def fit_lbfgs(trainer, watch, settings):
    """Minimise the loss over all rows.

    Parameters
    ----------
    trainer : Trainer
    watch : Watch
    settings : SimpleNamespace
        Parameters of the estimator.
    """
    state = watch.state
    objective = Objective(trainer)

    def iteration_ends(intermediate_result):
        objective.put(intermediate_result.x)
        loss = objective.last_loss  # an iteration ends where the objective was last evaluated
        epochs = Epochs([loss], [np.nan], [])
        if watch.validation:
            epochs.validation_loss, epochs.score = watch.validation.measure()
        elif loss < state.best_loss:
            state.best_loss = loss
        epochs.seconds.append(watch.seconds())
        watch.listener.epoch_begins()  # only now is it known that there was one more
        stop = watch.epochs_end(epochs)
        if stop or (watch.validation and state.no_improvement_count > settings.n_iter_no_change):
            raise StopIteration

    options = {"maxfun": settings.max_fun, "maxiter": settings.max_iter, "gtol": settings.tol}
    try:
        # A step too far overflows, and the line search takes it back. BLAS threads only slow down its short vectors.
        with np.errstate(all="ignore"), _blas().limit(limits=1, user_api="blas"):
            result = minimize(
                objective, objective.x, method="L-BFGS-B", jac=True, options=options, callback=iteration_ends
            )
        objective.put(result.x)
        if state.n_iter == 0:
            state.loss = float(result.fun)
        if result.status not in (0, 99):  # 99: stopped from the callback
            warnings.warn(
                f"lbfgs failed to converge after {state.n_iter} iteration(s) (status={result.status}):\n"
                f"{result.message}\n\nIncrease the number of iterations (max_iter) or of function calls (max_fun), or "
                "scale the data as shown in:\n    https://scikit-learn.org/stable/modules/preprocessing.html",
                ConvergenceWarning,
                stacklevel=6,
            )
    except KeyboardInterrupt:
        warnings.warn(INTERRUPTED, stacklevel=6)
    if watch.validation:
        watch.validation.restore()
