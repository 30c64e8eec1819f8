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
from sklearn.utils.validation import check_is_fitted

from skneural._compat import CallbackSupportMixin, check_not_all_zero
from skneural._tooltips import Tooltips
from skneural.estimators._fitting import Fitting
from skneural.estimators._kept import Kept, Task
from skneural.estimators._parameters import FlatParameters
from skneural.estimators._resume import adopt_checkpoint, check_same_fit, fingerprints, random_of
from skneural.estimators._rows import CheckedRows
from skneural.estimators._settings import (
    check_held_out,
    check_settings,
    find_device,
)
from skneural.estimators._state import CALLBACKS
from skneural.estimators._summary import Summary
from skneural.estimators._training_parameters import TrainingParameters
from skneural.maths.losses import LOSSES
from skneural.network.layers import Dense
from skneural.network.program import lower
from skneural.training import NON_FINITE

#: By their `id`, the estimators that are being fitted in this process. A fork leaves the threads behind that do so.
_under_way = set()
_LOCK = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)
    os.register_at_fork(after_in_child=_under_way.clear)


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


class BaseNetwork(
    CheckedRows, Fitting, FlatParameters, Tooltips, CallbackSupportMixin, TrainingParameters, BaseEstimator
):
    """Base of all estimators. What they differ in are objects: the layers, and how y is encoded and decoded."""

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
            If `device` names a GPU that cannot be used; if this estimator is being fitted already, by another thread
            or around the callback that calls; if a callback assigns ``coefs_`` or ``intercepts_``.
        """
        held_out = X_val, y_val, sample_weight_val
        return self._fit(X, y, sample_weight, incremental=False, held_out=held_out, resume_from=resume_from)

    def _fit(self, X, y, sample_weight, *, incremental, held_out=(None, None, None), classes=None, resume_from=None):
        given = X, y, None if sample_weight is None else {"sample_weight": sample_weight}
        with _alone(self):
            before, begun_at = vars(self).copy(), None
            try:
                kept = vars(self).get("_kept") if incremental else None
                if kept is None:
                    kept = Kept(self)
                    self._check_settings(incremental, held_out)
                if resume_from is not None:
                    adopt_checkpoint(self, resume_from)
                going_on = self.warm_start or incremental or resume_from is not None
                first_pass = not hasattr(self, "coefs_") or not going_on
                self.device_ = find_device(self, None if first_pass else self._weights_dtype())
                task = self._prepare(
                    kept, given, sample_weight, held_out, first_pass, incremental, classes, resume_from
                )
                self._begin(task)
                begun_at = self.n_iter_
                self._run(task)
            except BaseException:  # data that is refused, or does not fit a GPU, leaves no trace
                if begun_at is None or self.n_iter_ == begun_at:
                    self._put_back(before)
                raise
            if not np.isfinite(self._params).all():
                raise ValueError(NON_FINITE)
        return self

    def _put_back(self, before):
        """Put the attributes back that there were. They are not cleared first: another thread may predict."""
        vars(self).update({name: value for name, value in before.items() if name not in CALLBACKS})
        for name in vars(self).keys() - before.keys() - set(CALLBACKS):
            delattr(self, name)

    def _prepare(self, kept, given, sample_weight, held_out, first_pass, incremental, classes, resume_from):
        """All checks and conversions of a fit."""
        reset = first_pass or "_params" not in vars(self)  # weights set by hand say nothing of the data
        X, y = self._validate(*given[:2], reset, None if first_pass else self._weights_dtype())
        targets = self._targets(y, first_pass, classes)
        sample_weight = self._check_weights(sample_weight, X)
        run, random, seed = self._random(incremental and not first_pass, resume_from)
        train, held_out = self._hold_out((X, y, sample_weight), held_out, targets, random)
        self._fit_targets(targets, *train[1:], first_pass)
        encoded, factor = self._encode(targets, *train)
        train = encoded, train
        if held_out is not None:
            held_out = self._encode(targets, *held_out)[0], held_out
        if not incremental:  # a batch of partial_fit may be all of classes that weigh nothing
            check_not_all_zero(encoded[2])
            if held_out is not None:
                check_not_all_zero(held_out[0][2])
        if kept.settings.input_noise and sparse.issparse(X):
            raise ValueError("input_noise needs dense X: it would leave no entry of a sparse matrix 0.")
        program = self._lowered(kept, X, targets)
        n_samples = len(encoded[1])
        if program.n_statistics and (n_samples == 1 or kept.settings.batch_size == 1):
            found = f"batch_size={kept.settings.batch_size}" if n_samples > 1 else "n_samples=1"
            raise ValueError(f"normalization='batch' needs batches of at least two samples, got {found}.")
        if not first_pass:
            self._collected(program)  # raises where the weights before do not fit
        if resume_from is not None:
            check_same_fit(self, program, fingerprints(train, held_out), resume_from)
        elif "random" in run:
            run["data"] = fingerprints(train, held_out)
        return Task(kept, program, targets, seed, run, train, held_out, factor, given, first_pass, incremental)

    def _random(self, goes_on, resume_from):
        """What an interrupted fit needs to go on, the generator of random numbers, and the seed of the fit."""
        called = bool(getattr(self, "_skl_callbacks", None))  # one of them may write a checkpoint
        from_integer = isinstance(self.random_state, Integral)
        if goes_on and from_integer and not called and "_state" in vars(self):
            return {}, None, self._state["seed"]  # a generator is slow to make, and would give what nobody needs
        random = check_random_state(self.random_state) if resume_from is None else random_of(self)
        run = {}
        if resume_from is not None:
            run = self._state["run"]
        elif called:
            run["random"] = None if from_integer else copy.deepcopy(random)
        return run, random, random.randint(2**31) * 2**31 + random.randint(2**31)

    # -- before any work ---------------------------------------------------------------------------------------------

    def _check_settings(self, incremental, held_out):
        """Raise for settings that do not go together."""
        check_settings(self)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        check_held_out(*held_out)

    def _hidden_layers(self):
        """The layers before the last one; raises where parameters do not describe them."""
        raise NotImplementedError(f"{type(self).__name__} describes no layers.")

    def _lowered(self, kept, X, targets):
        """The network for checked X, as a program: that of the call before, if it is the same."""
        names = LOSSES[targets.loss].settings
        settings = [c for name in names for c in targets.constants(name, getattr(kept.settings, name))]
        shape = X.shape[1:], X.dtype, sparse.issparse(X), targets.loss, targets.n_outputs, settings
        if kept.shape != shape:
            with np.errstate(over="ignore"):
                if not np.isfinite(np.array(settings, X.dtype)).all():
                    raise ValueError(f"A number among {', '.join(names)} is too large for {X.dtype}.")
            try:
                kept.program, kept.shape = self._lower(X, targets, settings), shape
            except OverflowError:
                raise ValueError("This network is too large: its parameters cannot be counted.") from None
        return kept.program

    def _lower(self, X, targets, settings):
        """The network for checked X, as a program."""
        return lower(
            [*self._hidden_layers(), Dense(targets.n_outputs)], X.shape[-1], dtype=X.dtype.type, loss=targets.loss,
            settings=settings, **self._variant(X),
        )  # fmt: skip

    def _fit_targets(self, targets, y, weights, first_pass):
        """Let targets learn what they need of the training data: nothing here."""

    # -- prediction --------------------------------------------------------------------------------------------------

    def _outputs(self, X):
        """Outputs of the network for X, shape (n_samples, n_outputs), and the targets that say what they mean."""
        if "_params" not in self.__dict__:
            check_is_fitted(self)
        X = self._validate_prediction(X)
        predictor, target = self._predictor(**self._variant(X))
        return predictor(self._read(X), n_threads=self._n_threads)[0], target

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
