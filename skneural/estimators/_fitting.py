"""The fit itself: from a task to a trained network."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.metrics import check_scoring

from skneural.backends import devices
from skneural.estimators._parameters import aligned_copy
from skneural.estimators._settings import STOCHASTIC_SOLVERS, activations
from skneural.maths.losses import LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import Schedule
from skneural.network.initializers import initialize
from skneural.network.program import aligned_zeros
from skneural.training import HISTORY, Record, Validation, fit_lbfgs, fit_stochastic


class Fitting:
    """Mixin: fitted attributes before the first epoch, the trainer, and what watches over it."""

    def _begin(self, task):
        """Fitted attributes before the first epoch: parameters, curves, the state of the solver."""
        program, run, validated = task.program, task.run, task.held_out is not None
        self.n_outputs_, self.n_layers_ = program.n_outputs, len(program.tensors) + 1
        self.out_activation_ = LOSSES[task.targets.loss].link
        if task.first_pass:
            self._adopt(program, self._initialize(program, task.seed, task.train), task.targets)
            self.t_ = 0
        else:
            self._go_on(task)
            self.t_ = getattr(self, "t_", 0)
        if "finished" in run:  # all the rest is as it was when the checkpoint was written
            return
        run["finished"], self.n_iter_ = False, 0
        anew = task.first_pass or not hasattr(self, "history_")
        if anew:
            self.loss_curve_, self.history_ = [], {name: [] for name in HISTORY}
            self.validation_scores_ = self.validation_loss_curve_ = None
        if anew or not task.incremental:  # the curves go on, but each fit stops by its own losses or scores
            self.best_loss_, self._no_improvement_count = None if validated else np.inf, 0
            self.best_validation_score_ = -np.inf if validated else None
        if validated and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_ = [], []
        if not validated and self.best_loss_ is None:
            self.best_loss_ = np.inf
        state = getattr(self, "_state", None)
        if task.first_pass or not task.incremental or state is None or len(state["s"]) != program.n_params:
            moments = {name: aligned_zeros(program.n_params, program.dtype) for name in ("s", "v")}
            batches = state["batches"] if state and not task.first_pass else 0
            counts = {"seed": task.seed, "step": 0, "epoch": 0, "batches": batches, "calls": 0}
            rate = {"initial": task.settings.learning_rate_init, "lowered": 1.0, "waited": 0, "lowest": np.inf}
            self._state = counts | rate | moments
        self._state["run"] = run

    def _go_on(self, task):
        """Adopt the parameters there are: a copy of them, where the fit may fail when it has changed some."""
        before = vars(self)
        params = self._collected(task.program)
        is_own = params is before.get("_params")
        watched = self.score_training or before.get("_skl_callbacks")
        if task.incremental and not watched and is_own and self._program is task.program:
            self._target = task.targets
            return
        if is_own and (watched or not task.incremental):
            params = aligned_copy(params)
        self._adopt(task.program, params, task.targets)
        if watched and "_state" in before:
            self._state = {**self._state, **{name: aligned_copy(self._state[name]) for name in ("s", "v")}}

    def _initialize(self, program, seed, train):
        """The parameters that training begins with."""
        names = activations(self)
        return initialize(program, seed, self.weight_init, [*names, *(names[-1:] or [self.activation])])

    def _run(self, task):
        settings, kept = task.settings, task.kept
        validation, evaluate = None, None
        if task.held_out is not None:
            evaluate = self._evaluator(*task.held_out)
            validation = Validation(evaluate, self._params, settings.tol, task.run, self.best_validation_score_)
        evaluate = self._evaluator(*task.train) if self.score_training else None
        record = Record(self, task, evaluate)
        trainer, done = None, False
        try:
            trainer = self._started(task)
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
                kept.keep(trainer, task)
                self._kept = kept
            for holder in (trainer, self._predictors):
                if holder is not None and holder is not kept.trainer:
                    holder.close()

    def _started(self, task):
        """A trainer that is ready: that of the call before, if it can go on with other rows."""
        settings, kept, (X, targets, weights) = task.settings, task.kept, task.train[0]
        stochastic = settings.solver in STOCHASTIC_SOLVERS
        batch = self._batch_rows(task) if stochastic else None
        if kept.goes_on(self._params, self._state, task):
            kept.trainer.renew(X, targets, weights)
            return kept.trainer
        names = ("clip_norm", "clip_value", "max_norm") if stochastic else ()
        limits = {name: value for name in names if (value := getattr(settings, name, None))}
        trainer = devices.make_trainer(
            self.device_, settings.precision, task.program, self._params, X, targets, weights,
            alpha=settings.alpha * task.factor, l1_ratio=settings.l1_ratio, limits=limits, seed=self._state["seed"],
            n_threads=self._n_threads(), monitor=settings.monitor_gradients,
        )  # fmt: skip
        if stochastic:
            hyper = [float(getattr(settings, name)) for name in OPTIMIZERS[settings.solver].hyper]
            free = task.held_out is not None or task.incremental  # of the rule that looks at the training loss
            trainer.start(
                settings.solver, hyper, self._state, batch=batch, shuffle=settings.shuffle, tol=settings.tol,
                patience=np.inf if free else settings.n_iter_no_change, weight_decay=settings.weight_decay,
            )  # fmt: skip
        return trainer

    def _schedule(self, task, trainer):
        settings = task.settings
        return Schedule(
            settings.learning_rate, self._state, n_epochs=settings.max_iter,
            steps_per_epoch=trainer.steps_per_epoch, power_t=settings.power_t, warmup=settings.warmup,
            decay_factor=settings.decay_factor, decay_epochs=settings.decay_epochs,
            patience=settings.n_iter_no_change,
        )  # fmt: skip

    def _batch_rows(self, task):
        n_samples, size = len(task.train[0][1]), task.settings.batch_size
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
