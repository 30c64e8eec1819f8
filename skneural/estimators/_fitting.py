"""The fit itself: from a task to a trained network."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.metrics import check_scoring

from skneural.backends import devices
from skneural.estimators._parameters import aligned_copy
from skneural.estimators._settings import STOCHASTIC_SOLVERS, hyper_of, limits_of
from skneural.maths.losses import LOSSES
from skneural.maths.schedules import Schedule
from skneural.network.initializers import initialize
from skneural.network.memory import aligned_zeros
from skneural.training import HISTORY, Record, Validation, fit_lbfgs, fit_stochastic


class Fitting:
    """Mixin: fitted attributes before the first epoch, the trainer, and what watches over it."""

    def _begin(self, task):
        """Fitted attributes before the first epoch: parameters, curves, the state of the solver."""
        program = task.program
        self.n_outputs_ = program.n_outputs
        self.n_layers_ = program.n_layers + 1
        self.out_activation_ = LOSSES[task.targets.loss].link
        if task.first_pass:
            self._adopt(program, self._initialize(program, task.seed, task.train), task.targets)
            self.t_ = 0
        else:
            self._go_on(task)
            self.t_ = getattr(self, "t_", 0)
        if "finished" in task.run:  # all the rest is as it was when the checkpoint was written
            return
        task.run["finished"] = False
        self.n_iter_ = 0
        self._begin_records(task)
        self._begin_solver(task)

    def _begin_records(self, task):
        """Curves, which go on from fit to fit, and the stopping rule, which begins anew with each."""
        validated, anew = task.held_out is not None, task.first_pass or not hasattr(self, "history_")
        if anew:
            self.loss_curve_ = []
            self.history_ = {name: [] for name in HISTORY}
            self.validation_scores_ = self.validation_loss_curve_ = None
        if validated and self.validation_scores_ is None:
            self.validation_scores_ = []
            self.validation_loss_curve_ = []
        if anew or not task.incremental:
            self.best_loss_ = None if validated else np.inf
            self.best_validation_score_ = -np.inf if validated else None
            self._no_improvement_count = 0
        if not validated and self.best_loss_ is None:
            self.best_loss_ = np.inf

    def _begin_solver(self, task):
        """The state of the solver: `partial_fit` goes on with the one there is."""
        program, state = task.program, getattr(self, "_state", None)
        if task.first_pass or not task.incremental or state is None or len(state["s"]) != program.n_params:
            moments = {name: aligned_zeros(program.n_params, program.dtype) for name in ("s", "v")}
            batches = state["batches"] if state and not task.first_pass else 0
            counts = {"seed": task.seed, "step": 0, "epoch": 0, "batches": batches, "calls": 0}
            rate = {"initial": task.settings.learning_rate_init, "lowered": 1.0, "waited": 0, "lowest": np.inf}
            self._state = counts | rate | moments
        self._state["run"] = task.run

    def _go_on(self, task):
        """Adopt the parameters there are: a copy of them, where the fit may fail when it has changed some."""
        before = vars(self)
        params = self._collected(task.program)
        is_own = params is before.get("_params")
        watched = self._is_watched()
        if task.incremental and not watched and is_own and self._program is task.program:
            self._target = task.targets
            return
        if is_own and (watched or not task.incremental):
            params = aligned_copy(params)
        self._adopt(task.program, params, task.targets)
        if watched and "_state" in before:
            self._state = {**self._state, **{name: aligned_copy(self._state[name]) for name in ("s", "v")}}

    def _is_watched(self):
        """Whether a fit runs code that may fail after the first step: callbacks, or a scorer."""
        return bool(self.score_training or vars(self).get("_skl_callbacks"))

    def _initialize(self, program, seed, train):
        """The parameters that training begins with."""
        return initialize(program, seed, self.weight_init, self.activation)

    def _run(self, task):
        settings, kept = task.settings, task.kept
        trainer, done = None, False
        try:
            validation = None
            if task.held_out is not None:
                evaluate = self._evaluator(*task.held_out)
                validation = Validation(evaluate, self._params, settings.tol, task.run, self.best_validation_score_)
            on_training_rows = self._evaluator(*task.train) if self.score_training else None
            record = Record(self, task, on_training_rows)
            trainer = self._trainer(task)
            self._start(trainer, task)
            if settings.solver == "lbfgs":
                fit_lbfgs(self, trainer, record, validation, settings)
            else:
                fit_stochastic(self, trainer, self._schedule(task, trainer), record, validation, task)
            record.close()
            done = True
        finally:
            del self._state["run"]
            kept.trainer = None
            if done and task.incremental:
                self._kept = kept
                if not self._is_watched():  # else the next call has other arrays
                    kept.keep(trainer, task)
            for holder in (trainer, self._predictors):
                if holder is not None and holder is not kept.trainer:
                    holder.close()

    def _trainer(self, task):
        """A trainer: that of the call before, if it can go on with other rows."""
        settings, kept = task.settings, task.kept
        X, targets, weights = task.train[0]
        if kept.goes_on(self._params, self._state, task):
            return kept.trainer
        return devices.make_trainer(
            self.device_, settings.precision, task.program, self._params, X, targets, weights,
            alpha=settings.alpha * task.factor, l1_ratio=settings.l1_ratio, limits=limits_of(settings),
            seed=self._state["seed"], n_threads=self._n_threads(), monitor=settings.monitor_gradients,
        )  # fmt: skip

    def _start(self, trainer, task):
        """Get a trainer ready. It has memory already: whoever calls closes it, should this fail."""
        settings = task.settings
        if settings.solver not in STOCHASTIC_SOLVERS:
            return
        batch = self._batch_rows(task)
        if trainer is task.kept.trainer:
            trainer.renew(*task.train[0])
            return
        free = task.held_out is not None or task.incremental  # of the rule that looks at the training loss
        trainer.start(
            settings.solver, hyper_of(settings), self._state, batch=batch, shuffle=settings.shuffle, tol=settings.tol,
            patience=np.inf if free else settings.n_iter_no_change, weight_decay=settings.weight_decay,
        )  # fmt: skip

    def _schedule(self, task, trainer):
        settings = task.settings
        return Schedule(
            settings.learning_rate, self._state, n_epochs=settings.max_iter,
            steps_per_epoch=trainer.steps_per_epoch, power_t=settings.power_t, warmup=settings.warmup,
            decay_factor=settings.decay_factor, decay_epochs=settings.decay_epochs,
            patience=settings.n_iter_no_change,
        )  # fmt: skip

    def _batch_rows(self, task):
        n_samples, size = task.n_rows, task.settings.batch_size
        if size == "auto":
            return min(200, n_samples)
        if size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                stacklevel=7 + task.incremental,
            )
        return max(1, min(size, n_samples))

    def _evaluator(self, encoded, plain):
        """A function that returns loss and score on validation data, for the parameters as they are."""
        rows, targets, weights = encoded
        X, y, sample_weight = plain
        predictor, _ = self._predictor(with_loss=True, **self._variant(X))
        total = len(targets) if weights is None else float(weights.sum(dtype=np.float64)) or np.nan
        averaging = 1 / targets.shape[1] if LOSSES[self._target.loss].averaged else 1.0
        scorer = None if self.scoring in (None, "loss") else check_scoring(self, self.scoring)
        keywords = {} if sample_weight is None else {"sample_weight": sample_weight}

        @np.errstate(over="ignore", invalid="ignore")  # training may diverge
        def evaluate():
            outputs, losses = predictor(rows, targets, weights, self._n_threads)
            loss = float(losses.sum()) * averaging / total
            if self.scoring == "loss":
                return loss, -loss
            if not np.isfinite(outputs).all():
                return loss, float("nan")
            if scorer is None:
                return loss, float(self._metric(y, self._target.decode(outputs), **keywords))
            probe = type(self).__new__(type(self))  # with the same arrays, where a copy would have its own
            vars(probe).update(vars(self))
            vars(probe).pop("feature_names_in_", None)  # the rows have been checked: they come as an array
            return loss, float(scorer(probe, self._as_given(X), y, **keywords))

        return evaluate
