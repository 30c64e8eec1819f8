"""What all network estimators share: from validated data to a trained program, and back to predictions."""

from __future__ import annotations

import copy
import functools
import warnings
from numbers import Integral
from os import PathLike
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data

from skneural.backends import devices
from skneural.estimators._parameters import FlatParameters, rows_of
from skneural.estimators._resume import adopt_checkpoint, check_same_data, fingerprints, random_of
from skneural.estimators._settings import (
    CONSTRAINTS,
    STOCHASTIC_SOLVERS,
    activations,
    check_held_out,
    check_settings,
    find_device,
    hidden_layers,
    input_dtypes,
)
from skneural.estimators._summary import Summary
from skneural.estimators._targets import without_last_axis
from skneural.maths.losses import LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import Schedule
from skneural.network.initializers import initialize
from skneural.network.layers import Dense
from skneural.network.program import aligned_zeros, lower
from skneural.training import HISTORY, NON_FINITE, Record, Validation, fit_lbfgs, fit_stochastic


class BaseNetwork(FlatParameters, CallbackSupportMixin, BaseEstimator):
    """Base of all estimators. What they differ in are objects: the layers, and how y is encoded and decoded."""

    _parameter_constraints: dict = CONSTRAINTS

    @classmethod
    @functools.cache
    def _get_param_names(cls):
        # scikit-learn reads the signature again at every call: with these many parameters small fits notice.
        return super()._get_param_names()

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        resume_from: str | PathLike | None = None,
    ) -> Self:
        """Fit the network to data matrix X and target(s) y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of recurrent networks sequences, as the class describes. float32 and float64 arrays in C
            order (sequences: in any) are read in place.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values (class labels in classification, real numbers in regression).
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, not negative.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data. When it is given, loss and score on it are recorded after every epoch, training stops by
            them, and the best weights are restored, whatever `early_stopping` says.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Targets of the validation data.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation data.
        resume_from : str or path-like, default=None
            File of a :class:`skneural.callbacks.Checkpoint` of this fit: go on from it, with the same data, to the
            same end as if the fit had not been interrupted (but for rounding, on another device). Not with 'lbfgs'.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is empty, not finite, of inconsistent lengths or of the wrong shape; if weights are negative or
            all zero; if training diverges before an epoch has improved the weights; if `resume_from` is damaged, or
            of another fit.
        RuntimeError
            If `device` names a GPU that cannot be used.
        """
        held_out = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, incremental=False, held_out=held_out, resume_from=resume_from)

    def _fit(self, X, y, sample_weight, *, incremental, held_out=(None, None, None), classes=None, resume_from=None):
        given = X, y, None if sample_weight is None else {"sample_weight": sample_weight}
        before, begun = vars(self).copy(), False
        try:
            if incremental:  # scikit-learn checks parameters at the first of several calls
                self._validate_params()
            self._check_settings(incremental, held_out)
            if resume_from is not None:
                adopt_checkpoint(self, resume_from)
            going_on = self.warm_start or incremental or resume_from is not None
            first_pass = not hasattr(self, "coefs_") or not going_on
            self.device_ = find_device(self, None if first_pass else self._weights_dtype())
            prepared = self._prepare((X, y, sample_weight), held_out, first_pass, classes, resume_from)
            program, targets, seed, run, train, held_out = prepared
            self._begin(program, targets, seed, run, first_pass, incremental, train, held_out is not None)
            begun = True
            self._run(program, train, held_out, given, incremental, first_pass)
        except BaseException:  # data that is refused, or does not fit a GPU, leaves no trace
            if not begun or self.n_iter_ == 0:
                vars(self).update(before)  # not cleared: another thread may predict
                for name in vars(self).keys() - before.keys():
                    delattr(self, name)
            raise
        if not np.isfinite(self._params).all():
            raise ValueError(NON_FINITE)
        return self

    def _prepare(self, train, held_out, first_pass, classes, resume_from):
        """All checks and conversions: ``(program, targets, seed, run, training data, validation data)``."""
        X, y, sample_weight = train
        X, y = self._validate(X, y, first_pass)
        targets = self._targets(y, first_pass, classes)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        random = check_random_state(self.random_state) if resume_from is None else random_of(self)
        run = {}  # what only an interrupted fit needs to go on: removed where a fit ends
        if getattr(self, "_skl_callbacks", None):  # one of them may write a checkpoint
            run["random"] = None if isinstance(self.random_state, Integral) else copy.deepcopy(random)
        seed = random.randint(2**31) * 2**31 + random.randint(2**31)
        train, held_out = self._hold_out((X, y, sample_weight), held_out, targets, random)
        self._fit_targets(targets, *train[1:], first_pass)
        train = self._encode(targets, *train), train
        if held_out is not None:
            held_out = self._encode(targets, *held_out), held_out
        if self.input_noise and sparse.issparse(X):
            raise ValueError("input_noise needs dense X: it would leave no entry of a sparse matrix 0.")
        settings = [c for name in LOSSES[targets.loss].settings for c in targets.constants(name, getattr(self, name))]
        program = self._lower(X, targets, settings)
        n_samples = len(train[0][1])
        if program.n_statistics and (n_samples == 1 or self.batch_size == 1):
            found = f"batch_size={self.batch_size}" if n_samples > 1 else "n_samples=1"
            raise ValueError(f"normalization='batch' needs batches of at least two samples, got {found}.")
        if not first_pass:
            self._collected(program)  # raises where the weights before do not fit
        if resume_from is not None:
            run = self._state["run"]
            check_same_data(run, fingerprints(train, held_out), resume_from)
        elif "random" in run:
            run["data"] = fingerprints(train, held_out)
        return program, targets, seed, run, train, held_out

    # -- before any work ---------------------------------------------------------------------------------------------

    def _check_settings(self, incremental, held_out):
        """Raise for settings that do not go together."""
        check_settings(self)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        check_held_out(*held_out)

    def _hidden_layers(self):
        """The layers before the last one; raises where parameters do not describe them."""
        return hidden_layers(self)

    def _lower(self, X, targets, settings):
        """The network for checked X, as a program."""
        return lower(
            [*self._hidden_layers(), Dense(targets.n_outputs)], X.shape[-1], dtype=X.dtype.type, loss=targets.loss,
            settings=settings, **self._variant(X),
        )  # fmt: skip

    def _fit_targets(self, targets, y, weights, first_pass):
        """Let targets learn what they need of the training data: nothing here."""

    def _validate(self, X, y, first_pass, dtype=None):
        if dtype is None:
            dtype = input_dtypes(self) if first_pass else self._weights_dtype()
        X, y = validate_data(
            self, X, without_last_axis(y), accept_sparse="csr", multi_output=True, y_numeric=self._numeric_targets,
            dtype=dtype, order="C", reset=first_pass or not hasattr(self, "n_features_in_"),
        )  # fmt: skip
        if not sparse.issparse(y) and y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _hold_out(self, train, given, targets, random):
        """Training and validation data, each (X, y, sample_weight); None for the latter where there is none."""
        X, y, weights = train
        X_val, y_val, weights_val = given
        if X_val is not None:
            X_val, y_val = self._validate(X_val, y_val, first_pass=False, dtype=X.dtype)
            targets.check_known(y_val, warm_start=False)
            if weights_val is not None:
                weights_val = _check_sample_weight(weights_val, X_val, dtype=X.dtype, ensure_non_negative=True)
            return train, (X_val, y_val, weights_val)
        if not self.early_stopping or self.solver not in STOCHASTIC_SOLVERS:
            return train, None
        arrays = [X, y] if weights is None else [X, y, weights]
        n_val = int(np.ceil(self.validation_fraction * X.shape[0]))
        stratify = targets.stratify(y, min(n_val, X.shape[0] - n_val))
        split = train_test_split(*arrays, random_state=random, test_size=self.validation_fraction, stratify=stratify)
        if split[1].shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        if any(not part.any() for part in split[4:]):
            raise ValueError("Sample weights must contain at least one non-zero number in each part of the data.")
        return [*split[::2], None][:3], [*split[1::2], None][:3]

    def _encode(self, targets, X, y, weights):
        """Rows, targets and weights as the engine reads them."""
        class_weight = getattr(self, "class_weight", None)
        if class_weight is not None:
            by_class = targets.sample_weights(class_weight, y)
            weights = by_class if weights is None else weights * by_class
        weights = None if weights is None else np.ascontiguousarray(weights, X.dtype)
        return self._read(X), targets.encode(y, X.dtype.type), weights

    @staticmethod
    def _read(X):
        """Checked X as the engine reads it."""
        return rows_of(X)

    @staticmethod
    def _variant(X):
        """The variant of the program that predicts for checked X."""
        return {"sparse": sparse.issparse(X)}

    # -- the fit -----------------------------------------------------------------------------------------------------

    def _begin(self, program, targets, seed, run, first_pass, incremental, train, validated):
        """Fitted attributes before the first epoch: parameters, curves, the state of the solver."""
        self.n_outputs_, self.n_layers_ = program.n_outputs, len(program.tensors) + 1
        self.out_activation_ = LOSSES[targets.loss].link
        if first_pass:
            self._adopt(program, self._initialize(program, seed, train), targets)
            self.t_ = 0
        else:
            self._adopt(program, self._collected(program), targets)
            self.t_ = getattr(self, "t_", 0)
        if "finished" in run:  # all the rest is as it was when the checkpoint was written
            return
        run["finished"], self.n_iter_ = False, 0
        if first_pass or not hasattr(self, "history_"):
            self.loss_curve_, self.history_ = [], {name: [] for name in HISTORY}
            self.best_loss_, self._no_improvement_count = None if validated else np.inf, 0
            self.validation_scores_ = self.validation_loss_curve_ = self.best_validation_score_ = None
        if validated and self.validation_scores_ is None:
            self.validation_scores_, self.validation_loss_curve_, self.best_validation_score_ = [], [], -np.inf
        if not validated and self.best_loss_ is None:
            self.best_loss_ = np.inf
        state = getattr(self, "_state", None)
        if first_pass or not incremental or state is None or len(state["s"]) != program.n_params:
            moments = {name: aligned_zeros(program.n_params, program.dtype) for name in ("s", "v")}
            batches = state["batches"] if state and not first_pass else 0
            counts = {"seed": seed, "step": 0, "epoch": 0, "batches": batches}
            rate = {"initial": self.learning_rate_init, "lowered": 1.0, "waited": 0, "lowest": np.inf}
            self._state = counts | rate | moments
        self._state["run"] = run

    def _initialize(self, program, seed, train):
        """The parameters that training begins with."""
        names = activations(self)
        return initialize(program, seed, self.weight_init, [*names, *(names[-1:] or [self.activation])])

    def _run(self, program, train, held_out, given, incremental, first_pass):
        X, targets, weights = train[0]
        names = ("clip_norm", "clip_value", "max_norm") if self.solver in STOCHASTIC_SOLVERS else ()
        limits = {name: value for name in names if (value := getattr(self, name, None))}
        trainer = devices.make_trainer(
            self.device_, self.precision, program, self._params, X, targets, weights, alpha=self.alpha,
            l1_ratio=self.l1_ratio, limits=limits, seed=self._state["seed"], n_threads=self._n_threads(),
            monitor=self.monitor_gradients,
        )  # fmt: skip
        max_iter, run = 1 if incremental else self.max_iter, self._state["run"]
        validation = None
        if held_out is not None:
            evaluate = self._evaluator(*held_out)
            validation = Validation(evaluate, self._params, self.tol, run, self.best_validation_score_)
        evaluate = self._evaluator(*train) if self.score_training else None
        record = Record(self, *given, max_iter, len(targets), evaluate)
        try:
            if self.solver == "lbfgs":
                fit_lbfgs(self, trainer, record, validation, max_iter=max_iter)
            else:
                self._run_stochastic(trainer, record, validation, max_iter, incremental, first_pass)
            record.close()
        finally:
            del self._state["run"]
            for holder in (trainer, self._predictors):
                holder.close()

    def _run_stochastic(self, trainer, record, validation, max_iter, incremental, first_pass):
        hyper = [float(getattr(self, name)) for name in OPTIMIZERS[self.solver].hyper]
        trainer.start(
            self.solver, hyper, self._state, batch=self._batch_rows(len(trainer.targets)), shuffle=self.shuffle,
            tol=self.tol, patience=np.inf if validation or incremental else self.n_iter_no_change,
            weight_decay=self.weight_decay,
        )  # fmt: skip
        schedule = Schedule(
            self.learning_rate, self._state, n_epochs=self.max_iter,
            steps_per_epoch=trainer.steps_per_epoch, power_t=self.power_t, warmup=self.warmup,
            decay_factor=self.decay_factor, decay_epochs=self.decay_epochs, patience=self.n_iter_no_change,
        )  # fmt: skip
        fit_stochastic(
            self, trainer, schedule, record, validation, max_iter=max_iter, incremental=incremental,
            first_pass=first_pass,
        )  # fmt: skip

    def _batch_rows(self, n_samples):
        if self.batch_size == "auto":
            return min(200, n_samples)
        if self.batch_size > n_samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=7
            )
        return min(self.batch_size, n_samples)

    def _evaluator(self, encoded, plain):
        """A function that returns loss and score on validation data, for the parameters as they are."""
        rows, targets, weights = encoded
        X, y, sample_weight = plain
        predictor, _ = self._predictor(with_loss=True, **self._variant(X))
        total = len(targets) if weights is None else float(weights.sum(dtype=np.float64))
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
            probe = copy.copy(self)
            probe.__dict__.pop("feature_names_in_", None)  # the rows have been checked: they come as an array
            return loss, float(scorer(probe, self._as_given(X), y, **keywords))

        return evaluate

    # -- prediction --------------------------------------------------------------------------------------------------

    def _outputs(self, X):
        """Outputs of the network for X, shape (n_samples, n_outputs), and the targets that say what they mean."""
        if "_params" not in self.__dict__:
            check_is_fitted(self)
        X = self._validate_prediction(X)
        predictor, target = self._predictor(**self._variant(X))
        return predictor(self._read(X), n_threads=self._n_threads)[0], target

    def _as_given(self, X):
        """Checked X as users hand it over."""
        return X

    def _validate_prediction(self, X):
        # One row through a small network takes less than scikit-learn's check of it: plain arrays take a short cut.
        dtype = self._params.dtype
        if (
            type(X) is np.ndarray and X.dtype == dtype and X.ndim == 2 and X.flags.c_contiguous
            and X.shape[0] > 0 and X.shape[1] == self.n_features_in_ and "feature_names_in_" not in self.__dict__
            and np.isfinite(X).all()
        ):  # fmt: skip
            return X
        return validate_data(self, X, accept_sparse="csr", dtype=dtype, order="C", reset=False)

    def summary(self) -> Summary:
        """Layers, output shapes, parameters and operations: a table in a terminal, HTML in a notebook.

        Returns
        -------
        Summary
            Print it, or leave it at the end of a notebook's cell.
        """
        check_is_fitted(self)
        return Summary(self._program)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
