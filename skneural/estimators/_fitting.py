"""The fit itself: from a task to a trained network."""

from __future__ import annotations

import functools
import warnings

import numpy as np
from sklearn.metrics import check_scoring

from skneural.backends import devices
from skneural.estimators import _threads
from skneural.estimators._parameters import adopt, collected, is_current, predictor_of, snapshot
from skneural.estimators._settings import hyper_of, limits_of
from skneural.maths.losses import LOSSES
from skneural.training.lbfgs import fit_lbfgs
from skneural.training.loop import Validation, Watch, fit_stochastic
from skneural.training.schedule import Schedule
from skneural.training.state import FitState, SolverState, aligned_copy

#: Attributes of estimators, and what they show of the state of a fit.
PUBLISHED = {
    "n_iter_": "n_iter",
    "t_": "t",
    "loss_": "loss",
    "loss_curve_": "loss_curve",
    "history_": "history",
    "validation_scores_": "validation_scores",
    "validation_loss_curve_": "validation_loss_curve",
    "best_loss_": "best_loss",
    "best_validation_score_": "best_validation_score",
    "_no_improvement_count": "no_improvement_count",
}


def publish(est, state):
    """Show in the attributes of an estimator how far its fit has come."""
    fields = vars(state)
    shown = {name: fields[field] for name, field in PUBLISHED.items()}
    if state.loss is None:
        del shown["loss_"]
    vars(est).update(shown)


def has_callbacks(est):
    """Whether callbacks are set: one of them may write a checkpoint."""
    return bool(vars(est).get("_skl_callbacks"))


class Callbacks:
    """The callbacks of an estimator that is being fitted; what they look at is its attributes.

    Parameters
    ----------
    est : estimator
    task : Task
    state : FitState
    """

    def __init__(self, est, task, state):
        self.est = est
        self.state = state
        self.active = has_callbacks(est)
        if self.active:
            request = task.request
            self.arguments = {"estimator": est, "X": request.X, "y": request.y, "metadata": request.metadata}
            n_epochs = 1 if task.incremental else task.settings.max_iter
            self.fit_context = est._init_callback_context(max_subtasks=n_epochs)
            self.fit_context.call_on_fit_task_begin(**self.arguments)

    def epoch_begins(self):
        """Tell that an epoch begins."""
        if self.active:
            self.epoch_context = self.fit_context.subcontext(task_name="epoch")
            self.epoch_context.call_on_fit_task_begin(**self.arguments)

    def epochs_end(self):
        """Publish what is known of epochs that are over, one if there are callbacks; whether one wants to stop."""
        publish(self.est, self.state)
        if not self.active:
            return False
        stop = self._end(self.epoch_context)
        self._check_weights()
        return stop

    def fit_ends(self):
        """Tell that the fit is over."""
        publish(self.est, self.state)
        if self.active:
            self._end(self.fit_context)

    def _end(self, context):
        attributes = functools.partial(snapshot, self.est)
        return context.call_on_fit_task_end(**self.arguments, reconstruction_attributes=attributes)

    def _check_weights(self):
        """Raise if a callback has put other arrays in the place of the weights, and take those that are trained."""
        est = self.est
        if not is_current(est):
            adopt(est, est._program, est._params)
            raise RuntimeError(
                f"A callback has assigned coefs_ or intercepts_ of this {type(est).__name__}, which is being fitted: "
                "training would not see them. Change the arrays in place, or assign when the fit is over."
            )


# -- before the first epoch --------------------------------------------------------------------------------------------


def begin(est, task):
    """Give an estimator its fitted attributes of before the first epoch; the state of the fit."""
    program = task.program
    est.n_outputs_ = program.n_outputs
    est.n_layers_ = program.n_layers + 1
    est.out_activation_ = LOSSES[task.targets.loss].link
    classes = getattr(task.targets, "classes_", None)
    if classes is not None:
        est.classes_ = classes
    if task.first_pass:
        adopt(est, program, est._initialize(program, task.seed, task.train), task.targets)
        shown = {}
    else:
        _go_on(est, task)
        known = vars(est)
        shown = {field: known[name] for name, field in PUBLISHED.items() if name in known}
    if not task.resumed:
        est._state = _solver(est, task)
    est._state.run = task.run
    state = FitState(est._params, est._state, **shown)
    if not task.resumed:  # all is as it was when the checkpoint was written
        state.begin(validated=task.held_out is not None, going_on=task.incremental and "history" in shown)
    publish(est, state)
    return state


def _solver(est, task):
    """The state of the solver: `partial_fit` goes on with the one there is."""
    before = None if task.first_pass else vars(est).get("_state")
    if before is not None and task.incremental and len(before.s) == task.program.n_params:
        return before
    return SolverState.fresh(
        task.program,
        seed=task.seed,
        initial=task.settings.learning_rate_init,
        batches=0 if before is None else before.batches,
    )


def _go_on(est, task):
    """Adopt the parameters there are: a copy of them, where the fit may fail when it has changed some."""
    before = vars(est)
    params = collected(est, task.program)
    is_own = params is before.get("_params")
    watched = _is_watched(est, task)
    if task.incremental and not watched and is_own and est._program is task.program:
        est._target = task.targets
        return
    if is_own and (watched or not task.incremental):
        params = aligned_copy(params)
    adopt(est, task.program, params, task.targets)
    if watched and "_state" in before:
        est._state = est._state.copy()


def _is_watched(est, task):
    """Whether a fit runs code that may fail after the first step: callbacks, or a scorer."""
    return bool(task.settings.score_training or has_callbacks(est))


# -- epochs ------------------------------------------------------------------------------------------------------------


def run(est, task, state):
    """Train an estimator, as a task says, from a state on."""
    settings = task.settings
    kept = task.kept
    trainer = None
    done = False
    try:
        watch = _watch(est, task, state)
        trainer = _trainer(est, task, state)
        if settings.solver == "lbfgs":
            fit_lbfgs(trainer, watch, settings)
        else:
            _start(trainer, task, state)
            schedule = Schedule(settings, state.solver, trainer.steps_per_epoch)
            fit_stochastic(trainer, schedule, watch, settings, first_pass=task.first_pass)
        watch.listener.fit_ends()
        done = True
    finally:
        state.solver.run = None
        kept.trainer = None
        if done and task.incremental:
            est._kept = kept
            if not _is_watched(est, task):  # else the next call has other arrays
                kept.keep(trainer, task)
        for holder in (trainer, est._predictors):
            if holder is not None and holder is not kept.trainer:
                holder.close()


def _watch(est, task, state):
    """What watches over the fit."""
    settings = task.settings
    validation = None
    if task.held_out is not None:
        validation = Validation(_evaluator(est, task, task.held_out), state, settings.tol)
    return Watch(
        state,
        evaluate_training=_evaluator(est, task, task.train) if settings.score_training else None,
        listener=Callbacks(est, task, state),
        n_rows=task.n_rows,
        n_layers=est.n_layers_ - 1,
        validation=validation,
        verbose=settings.verbose,
        incremental=task.incremental,
        converges=est._converges,
        columns=est._columns,
    )


def _trainer(est, task, state):
    """A trainer: that of the call before, if it can go on with other rows."""
    settings = task.settings
    train = task.train
    if task.kept.goes_on(state, task):
        return task.kept.trainer
    n_threads = _threads.n_threads(settings.n_jobs)
    devices.get_ready(est.device_, task.program, settings.solver, n_threads)
    return devices.make_trainer(
        est.device_,
        settings.precision,
        task.program,
        state.params,
        train.inputs,
        train.targets,
        train.weights,
        alpha=settings.alpha * train.factor,
        l1_ratio=settings.l1_ratio,
        limits=limits_of(settings),
        mixup=getattr(settings, "mixup", 0.0),
        seed=state.solver.seed,
        n_threads=n_threads,
        monitor=settings.monitor_gradients,
        **est._passes(task),
    )


def _start(trainer, task, state):
    """Get a trainer ready. It has memory already: whoever calls closes it, should this fail."""
    settings = task.settings
    batch = _batch_rows(task)
    if trainer is task.kept.trainer:
        trainer.renew(task.train.inputs, task.train.targets, task.train.weights)
        return
    free = task.held_out is not None or task.incremental  # of the rule that looks at the training loss
    trainer.start(
        settings.solver,
        hyper_of(settings),
        state.solver,
        batch=batch,
        shuffle=settings.shuffle,
        tol=settings.tol,
        patience=np.inf if free else settings.n_iter_no_change,
        weight_decay=settings.weight_decay,
    )


def _batch_rows(task):
    n_rows = task.n_rows
    size = task.settings.batch_size
    if size == "auto":
        return min(200, n_rows)
    if size > n_rows:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
            stacklevel=7 + task.incremental,
        )
    return max(1, min(size, n_rows))


def _evaluator(est, task, rows):
    """A function that returns loss and score on some rows, for the parameters as they are."""
    scoring = task.settings.scoring
    given = rows.given
    n_threads = functools.partial(_threads.n_threads, task.settings.n_jobs)
    predictor, _ = predictor_of(est, with_loss=True, **est._reader.variant(given.X))
    total = len(rows.targets)
    if rows.weights is not None:
        total = float(rows.weights.sum(dtype=np.float64)) or np.nan
    averaging = 1 / rows.targets.shape[1] if LOSSES[task.targets.loss].averaged else 1.0
    scorer = None if scoring in (None, "loss") else check_scoring(est, scoring)
    keywords = {} if given.weights is None else {"sample_weight": given.weights}

    @np.errstate(over="ignore", invalid="ignore")  # training may diverge
    def evaluate():
        outputs, losses = predictor(rows.inputs, rows.targets, rows.weights, n_threads)
        loss = float(losses.sum()) * averaging / total
        if scoring == "loss":
            return loss, -loss
        if not np.isfinite(outputs).all():
            return loss, float("nan")
        if scorer is None:
            return loss, float(est._metric(given.y, task.targets.decode(outputs), **keywords))
        probe = type(est).__new__(type(est))  # with the same arrays, where a copy would have its own
        vars(probe).update(vars(est))
        vars(probe).pop("feature_names_in_", None)  # the rows have been checked: they come as an array
        return loss, float(scorer(probe, est._reader.as_given(est, given.X), given.y, **keywords))

    return evaluate
