"""What all network estimators share: from validated data to a trained program, and back to predictions."""

from __future__ import annotations

import contextlib
import copy
import functools
import os
import threading
from numbers import Integral
from os import PathLike
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from skneural._compat import CallbackSupportMixin, check_not_all_zero
from skneural._tooltips import Tooltips
from skneural.backends.inputs import are_finite
from skneural.estimators import _threads
from skneural.estimators._fitting import begin, has_callbacks, run
from skneural.estimators._kept import Kept, Request, Task
from skneural.estimators._parameters import collected, predictor_of, weights_dtype
from skneural.estimators._pickling import copy_of, restore, state_of
from skneural.estimators._resume import adopt_checkpoint, check_same_fit, random_of
from skneural.estimators._rows import RowReader, Samples, check_weights, encode, hold_out
from skneural.estimators._settings import (
    check_held_out,
    check_settings,
    find_device,
    network_dtype,
)
from skneural.estimators._state import CALLBACKS, reason
from skneural.estimators._summary import Summary
from skneural.estimators._training_parameters import TrainingParameters
from skneural.layers import Dense
from skneural.maths.losses import LOSSES
from skneural.network.initializers import initialize
from skneural.network.program import lower
from skneural.training.loop import NON_FINITE
from skneural.training.state import Unfinished

#: By their `id`, the estimators that are being fitted in this process. A fork leaves the threads behind that do so.
_under_way = set()
_LOCK = threading.Lock()
_OF_THREAD = threading.local()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)
    os.register_at_fork(after_in_child=_under_way.clear)


def _generator(random_state):
    """As scikit-learn's `check_random_state`, but for integers each thread has one generator, and seeds it again.

    A new one gathers entropy first, which takes a tenth of a small fit. Nobody keeps one that an integer has seeded.
    """
    if not isinstance(random_state, Integral):
        return check_random_state(random_state)
    if not hasattr(_OF_THREAD, "generator"):
        _OF_THREAD.generator = np.random.RandomState()
    _OF_THREAD.generator.seed(random_state)
    return _OF_THREAD.generator


@contextlib.contextmanager
def _alone(est):
    """Let one fit of an estimator run at a time: a second one would train the same weights."""
    with _LOCK:
        is_fitted_already = id(est) in _under_way
        _under_way.add(id(est))
    if is_fitted_already:
        raise RuntimeError(
            f"This {type(est).__name__} is being fitted, by another thread or around the callback that fits it once "
            "more: fit a clone."
        )
    try:
        yield
    finally:
        _under_way.discard(id(est))


class BaseNetwork(Tooltips, CallbackSupportMixin, TrainingParameters, BaseEstimator):
    """Base of all estimators. What they differ in are objects: the layers, and how y is encoded and decoded."""

    _reader = RowReader()
    #: Whether a fit is to end by its stopping rule, and the number of epochs is a limit.
    _converges = True
    #: What asks for normalisation of the batch, in messages.
    _batch_norm = "normalization='batch'"

    @classmethod
    @functools.cache
    def _get_param_names(cls):
        # scikit-learn reads the signature again at every call: with these many parameters small fits notice.
        return super()._get_param_names()

    def _validate_params(self):
        """As scikit-learn does, but for parameters that have their defaults: to look at these, too, takes longer."""
        constraints = self._parameter_constraints
        unknown = {}
        for name in self._get_param_names():
            value = getattr(self, name)
            row = self._rows.get(name)
            if row is None or value is not row["default"] or constraints.get(name) is not row.get("constraint"):
                unknown[name] = value
        validate_parameter_constraints(constraints, unknown, type(self).__name__)

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
            The input data; of networks for sequences or images these, as the class describes.
            float32 and float64 arrays in C order (sequences and images: in any; images also of uint8, uint16 and bool)
            are read in place.
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
            If `device` names a GPU that cannot be used; if this estimator is being fitted already, by another thread
            or around the callback that calls; if a callback assigns ``coefs_`` or ``intercepts_``.
        MemoryError
            If what a batch becomes in the layers does not fit into memory.
        """
        return self._fit(Request(X, y, sample_weight, X_val, y_val, sample_weight_val, resume_from))

    def _fit(self, request):
        with _alone(self):
            before = vars(self).copy()
            state = None
            begun_at = 0
            try:
                kept = self._kept_settings(request)
                if request.resume_from is not None:
                    adopt_checkpoint(self, request.resume_from)
                task = self._prepare(request, kept)
                state = begin(self, task)
                begun_at = state.n_iter
                run(self, task, state)
            except BaseException:  # data that is refused, or does not fit a GPU, leaves no trace
                if state is None or state.n_iter == begun_at:
                    self._put_back(before)
                raise
            if not are_finite(state.params):
                raise ValueError(NON_FINITE)
            self._fit_ends(task, state)
        return self

    def _put_back(self, before):
        """Put the attributes back that there were. They are not cleared first: another thread may predict."""
        vars(self).update({name: value for name, value in before.items() if name not in CALLBACKS})
        for name in vars(self).keys() - before.keys() - set(CALLBACKS):
            delattr(self, name)

    # -- before any work ---------------------------------------------------------------------------------------------

    def _kept_settings(self, request):
        """Checked parameters: those of the call of `partial_fit` before, if they are the same."""
        kept = vars(self).get("_kept") if request.incremental else None
        if kept is None:
            kept = Kept(self)
            if request.incremental:
                kept.remember(self)
            self._check_settings(request.incremental)
            check_held_out(request.X_val, request.y_val, request.sample_weight_val)
        return kept

    def _prepare(self, request, kept):
        """All checks and conversions of a fit."""
        going_on = self.warm_start or request.incremental or request.resume_from is not None
        first_pass = not going_on or not hasattr(self, "coefs_")
        dtype = None if first_pass else weights_dtype(self)
        self.device_ = find_device(self, dtype)
        reset = first_pass or "_params" not in vars(self)  # weights set by hand say nothing of the data
        X, y = self._reader.validate(self, request.X, request.y, reset, dtype)
        dtype = network_dtype(self, X) if dtype is None else dtype
        samples = Samples(X, y, check_weights(request.sample_weight, X, dtype))
        targets = self._targets(y, first_pass, request.classes)
        run, random, seed = self._random(request, first_pass)
        train, held_out = hold_out(self, samples, request, targets, random, dtype)
        self._fit_targets(targets, train.y, train.weights, first_pass)
        task = Task(
            request=request,
            kept=kept,
            program=None,
            targets=targets,
            seed=seed,
            run=run,
            train=encode(self, targets, train, dtype),
            held_out=None if held_out is None else encode(self, targets, held_out, dtype),
            first_pass=first_pass,
        )
        self._check_rows(task)
        task.program = self._lowered(kept, X, dtype, targets)
        self._check_program(task)
        return task

    def _check_rows(self, task):
        """Raise for rows that nothing can be learnt from, or not with these settings."""
        if not task.incremental:  # a batch of partial_fit may be all of classes that weigh nothing
            for rows in (task.train, task.held_out):
                check_not_all_zero(None if rows is None else rows.weights)
        if task.settings.input_noise and sparse.issparse(task.train.given.X):
            raise ValueError("input_noise needs dense X: it would leave no entry of a sparse matrix 0.")

    def _check_program(self, task):
        """Raise if the network is too large, not for these batches, or not the one of the fit that goes on."""
        if task.first_pass and self.device_ == "cpu":
            from skneural.backends.cpu.buffers import check_weights

            check_weights(task.program)
        size = task.settings.batch_size
        if task.program.n_statistics and (task.n_rows == 1 or size == 1):
            found = f"batch_size={size}" if task.n_rows > 1 else "n_samples=1"
            raise ValueError(f"{self._batch_norm} needs batches of at least two samples, got {found}.")
        if not task.first_pass:
            collected(self, task.program)  # raises where the weights before do not fit
        if task.resumed:
            check_same_fit(self, task.program, task.fingerprints(), task.request.resume_from)
        elif has_callbacks(self):
            task.run.data = task.fingerprints()

    def _random(self, request, first_pass):
        """What only an unfinished fit has, the generator of random numbers, and the seed of the fit."""
        from_integer = isinstance(self.random_state, Integral)
        if request.resume_from is not None:
            run = self._state.run
            random = random_of(self)
        else:
            run = Unfinished()
            going_on = request.incremental and not first_pass and "_state" in vars(self)
            if going_on and from_integer and not has_callbacks(self):
                return run, None, self._state.seed  # a generator is slow to make, and would give what nobody needs
            random = _generator(self.random_state)
            if has_callbacks(self) and not from_integer:
                run.random = copy.deepcopy(random)
        return run, random, random.randint(2**31) * 2**31 + random.randint(2**31)

    def _check_settings(self, incremental):
        """Raise for settings that do not go together."""
        check_settings(self)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")

    def _losses(self):
        """What a fit may minimise, by the names in the registry of losses."""
        return [self.loss]

    def _hidden_layers(self):
        """The layers before the last one; raises where parameters do not describe them."""
        raise NotImplementedError(f"{type(self).__name__} describes no layers.")

    def _lowered(self, kept, X, dtype, targets):
        """The network for checked X, in some precision, as a program: that of the call before, if it is the same."""
        names = LOSSES[targets.loss].settings
        settings = [c for name in names for c in targets.constants(name, getattr(kept.settings, name, None))]
        shape = X.shape[1:], dtype, sparse.issparse(X), targets.loss, targets.n_outputs, settings
        if kept.shape != shape:
            with np.errstate(over="ignore"):
                if not np.isfinite(np.array(settings, dtype)).all():
                    raise ValueError(f"A number among {', '.join(names)} is too large for {dtype}.")
            try:
                kept.program = self._lower(kept.layers, X, dtype, targets, settings)
                kept.shape = shape
            except OverflowError:
                raise ValueError("This network is too large: its parameters cannot be counted.") from None
        return kept.program

    def _lower(self, layers, X, dtype, targets, settings):
        """The network of these hidden layers for checked X, as a program."""
        return lower(
            [*layers, Dense(targets.n_outputs)],
            X.shape[-1],
            dtype=dtype.type,
            loss=targets.loss,
            settings=settings,
            sparse=sparse.issparse(X),
            n_timesteps=X.shape[1] if X.ndim == 3 else 0,
        )

    def _initialize(self, program, seed, train, activation=None):
        """The parameters that training begins with; `activation` as `initialize` has it."""
        params = initialize(program, seed, self.weight_init, activation)
        if program.standardizes:
            views = program.norm_views(params)[0]
            mean, deviation = self._reader.statistics(train.inputs, train.given.weights)
            views["mean"][:] = mean
            views["deviation"][:] = deviation
        return params

    def _fit_targets(self, targets, y, weights, first_pass):
        """Let targets learn what they need of the training data: nothing here."""

    def _fit_ends(self, task, state):
        """What is left to do when a fit has come to its end: nothing here."""

    def _passes(self, task):
        """What a trainer is told of the passes of a step: nothing where there is but one."""
        return {}

    def _columns(self, trainer, n_epochs):
        """What the history has of the first epochs of a call besides: lists by name."""
        return {}

    # -- prediction --------------------------------------------------------------------------------------------------

    def _outputs(self, X):
        """Outputs of the network for X, shape (n_samples, n_outputs), and the targets that say what they mean."""
        if "_params" not in self.__dict__:
            check_is_fitted(self)
        X = self._reader.validate_prediction(self, X)
        predictor, target = predictor_of(self, **self._reader.variant(X))
        return predictor(self._read(X), n_threads=self._n_threads)[0], target

    def _read(self, X):
        """Checked X as the network reads it when it predicts."""
        return self._reader.read(X)

    def _encode(self, targets, samples, dtype):
        """Checked samples as the network is trained on them: inputs and targets."""
        return self._reader.read(samples.X), targets.encode(samples.y, dtype.type)

    def _n_threads(self):
        return _threads.n_threads(None if self.n_jobs is None else int(self.n_jobs))

    def summary(self) -> Summary:
        """Layers, output shapes, parameters and operations: a table in a terminal, HTML in a notebook.

        Returns
        -------
        Summary
            Print it, or leave it at the end of a notebook's cell.
        """
        check_is_fitted(self)
        return Summary(self._program)

    # -- pickles, files and copies -----------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self):
        return "_params" in vars(self)  # users may have set weights to begin with

    def __getstate__(self):
        return state_of(self)

    def __setstate__(self, state):
        try:
            self._restore(state)
        except MemoryError:
            raise
        except Exception as error:  # what is wrong may show anywhere
            raise ValueError(f"This state of {type(self).__name__} cannot be used: {reason(error)}") from error

    def _restore(self, state):
        restore(self, state)

    def __copy__(self):
        return copy_of(self)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
