"""Classification and regression: what y means, and what is predicted. Every network family inherits these."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.metrics import d2_pinball_score
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target

from skneural._declare import NOT_NEGATIVE, POSITIVE, SHARE, SHARE_BELOW_1, declare, options, parameter
from skneural.estimators._base import BaseNetwork
from skneural.estimators._kept import Request, remembers
from skneural.estimators._scores import accuracy, r2
from skneural.estimators._settings import STOCHASTIC_SOLVERS
from skneural.estimators._targets import (
    REAL_LOSSES,
    ClassTargets,
    RealTargets,
    check_class_weight,
    without_last_axis,
)
from skneural.maths.losses import LOSSES


def is_stochastic(est):
    """Whether the solver trains on minibatches, as `partial_fit` does; scikit-learn's error if not."""
    if est.solver not in STOCHASTIC_SOLVERS:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {est.solver} is not stochastic."
        )
    return True


@declare
class BaseClassifier(ClassifierMixin, BaseNetwork):
    """Base of the classifiers.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    """

    class_weight: dict | str | None = parameter(
        default=None,
        constraint=[dict, "array-like", None, str],
        type="dict, 'balanced' or None",
        doc="""Weights of the classes, ``{label: weight}``, multiplied into the sample weights. 'balanced' weights them
        inversely to how often they occur. Multilabel: as :func:`sklearn.utils.class_weight.compute_sample_weight` has
        it. For two classes that is the weighted binary cross-entropy.""",
    )
    loss: str = parameter(
        default="log_loss",
        constraint=[options("log_loss", "focal")],
        doc="""What is minimised. 'focal' (Lin et al., 2017) is the log loss times ``(1 - p) ** focal_gamma``, p the
        probability of the true class: well-classified samples count for less.""",
    )
    label_smoothing: float = parameter(
        default=0.0,
        constraint=[SHARE_BELOW_1],
        doc="""Share of each target that is spread evenly over all classes (Szegedy et al., 2016), in [0, 1). Only with
        ``loss='log_loss'``.""",
    )
    focal_gamma: float = parameter(
        default=2.0,
        constraint=[NOT_NEGATIVE],
        doc="""Exponent of the focal loss, not negative; 0 is the log loss.""",
    )
    focal_alpha: float | ArrayLike | None = parameter(
        default=None,
        constraint=[SHARE, "array-like", None],
        shape="(n_classes,)",
        doc="""Factors of the classes in the focal loss. With two classes or multilabel targets one number is that of
        the second class (of a label that is set), one minus it that of the other. None is 1 for all.""",
    )
    scoring: str | Callable | None = parameter(
        default=None,
        doc="""What validation is scored by: None for accuracy, 'loss' for the (negative) validation loss, or any name
        or callable that :func:`sklearn.metrics.check_scoring` takes.""",
    )
    _numeric_targets = False
    _metric = staticmethod(accuracy)

    def _losses(self):
        return [self.loss, f"binary_{self.loss}"]

    def _check_settings(self, incremental):
        super()._check_settings(incremental)
        if isinstance(self.class_weight, str) and self.class_weight != "balanced":
            raise ValueError(
                f"The 'class_weight' parameter must be a dict, 'balanced' or None. Got {self.class_weight!r} instead."
            )
        check_class_weight(self.class_weight)
        if self.label_smoothing and self.loss != "log_loss":
            raise ValueError(f"label_smoothing goes with loss='log_loss', got loss={self.loss!r}.")
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit. In order to use 'balanced' weights, use "
                "compute_class_weight('balanced', classes=classes, y=y) on all the data and pass the result as a dict."
            )

    def _targets(self, y, first_pass, classes):
        learnt = getattr(self, "_target", None)
        if first_pass or learnt is None:
            one_label_a_row = classes is not None and not type_of_target(y).startswith("multilabel")
            learnt = ClassTargets(classes if one_label_a_row else y, self.loss)
            if classes is not None:
                learnt.check_known(y, warm_start=False)
        else:
            learnt = learnt.with_loss(self.loss)
            # partial_fit, which is given all classes, takes a part of them whatever warm_start says of fit.
            learnt.check_known(y, self.warm_start and classes is None)
        return learnt

    @available_if(is_stochastic)
    @remembers
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Update the network with a single pass over the given data.

        A call with one row takes some 0.3 ms: parameters are checked at the first call, and where they have changed,
        and what does not depend on the rows is kept. Batches of one size are the quickest.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of networks for sequences or images these, as the class describes.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            The class labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.
        classes : array-like of shape (n_classes,), default=None
            All classes there will ever be, as ``np.unique(y_all)`` gives them. Needed at the first call; the rows of
            each call may be of a part of them.

        Returns
        -------
        self : object
            The estimator.
        """
        first_call = _check_partial_fit_first_call(self, classes)
        try:
            return self._fit(Request(X, y, sample_weight, classes=self.classes_, incremental=True))
        except BaseException:
            if first_call and not hasattr(self, "_target"):
                del self.classes_  # a call that failed before any work leaves no trace
            raise

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict class labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of networks for sequences or images these, as the class describes.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The predicted classes.
        """
        outputs, target = self._outputs(X)
        return target.decode(outputs)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probability estimates.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of networks for sequences or images these, as the class describes.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            Probabilities of the classes, in the order of ``classes_``.
        """
        outputs, target = self._outputs(X)
        return target.probabilities(outputs)

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """Logarithm of the probability estimates.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of networks for sequences or images these, as the class describes.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            ``log(predict_proba(X))``.
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):  # a probability of 0 has the logarithm -inf
            return np.log(probabilities)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy; of multilabel targets the share of samples whose labels are all right.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of networks for sequences or images these, as the class describes.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            The true labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        float
            At most 1.
        """
        return super().score(X, without_last_axis(y), sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@declare
class BaseRegressor(RegressorMixin, BaseNetwork):
    """Base of the regressors."""

    loss: str = parameter(
        default="squared_error",
        constraint=[options(*REAL_LOSSES)],
        doc="""
        - 'squared_error': half the squared error.
        - 'absolute_error': the absolute error; predictions are medians.
        - 'huber': squared for errors up to `huber_delta`, then linear.
        - 'log_cosh': logarithm of the hyperbolic cosine of the error: a smooth relative of 'huber'.
        - 'quantile': the pinball loss; predictions are `quantiles`.
        - 'poisson', 'gamma': half the deviance with a log link (exponential output; y must not be negative, or must be
          positive).

        With several outputs the solvers minimise the sum over them; those that have no deviance are reported as the
        mean over them, as scikit-learn reports squared errors.""",
    )
    huber_delta: float = parameter(
        default=1.0,
        constraint=[POSITIVE],
        doc="""Error at which the Huber loss becomes linear, in units of y.""",
    )
    quantiles: float | ArrayLike = parameter(
        default=0.5,
        constraint=[Interval(Real, 0, 1, closed="neither"), "array-like"],
        shape="(n_quantiles,)",
        doc="""What ``loss='quantile'`` predicts, each in (0, 1). With a sequence, :meth:`predict` returns a column
        each, sorted so that they never cross.""",
    )
    scoring: str | Callable | None = parameter(
        default=None,
        doc="""What validation is scored by: None for R2 (D2 of the pinball loss for ``loss='quantile'``), 'loss' for
        the (negative) validation loss, or any name or callable that :func:`sklearn.metrics.check_scoring` takes.""",
    )
    _numeric_targets = True

    def _metric(self, y, predicted, sample_weight=None):
        """Score of predictions: R2, or the same with the pinball loss, mean over the quantiles."""
        if self.loss != "quantile":
            return r2(y, predicted, sample_weight)
        quantiles = np.atleast_1d(self.quantiles)
        columns = [predicted] if np.ndim(self.quantiles) == 0 else np.moveaxis(predicted, -1, 0)
        return np.mean(
            [
                d2_pinball_score(y, p, sample_weight=sample_weight, alpha=float(q))
                for q, p in zip(quantiles, columns, strict=True)
            ]
        )

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination; with ``loss='quantile'`` the D2 of the pinball loss, mean over the quantiles.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of networks for sequences or images these, as the class describes.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The true values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        float
            At most 1; 0 for a constant prediction that knows y (its mean, or its quantiles).
        """
        return float(self._metric(without_last_axis(y), self.predict(X), sample_weight))

    def _targets(self, y, first_pass, classes):
        learnt, fresh = getattr(self, "_target", None), RealTargets(y, self.loss, self.quantiles)
        if not first_pass and learnt is not None:
            fresh.check_as_before(learnt)
        return fresh

    @available_if(is_stochastic)
    @remembers
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Update the network with a single pass over the given data.

        A call with one row takes some 0.3 ms: parameters are checked at the first call, and where they have changed,
        and what does not depend on the rows is kept. Batches of one size are the quickest.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of networks for sequences or images these, as the class describes.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(Request(X, y, sample_weight, incremental=True))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict target values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data; of networks for sequences or images these, as the class describes.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values. With a sequence of quantiles, shape (n_samples, n_quantiles), or, for several targets,
            (n_samples, n_outputs, n_quantiles): sorted along the last axis, so that they never cross.
        """
        outputs, target = self._outputs(X)
        return target.decode(outputs)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss in LOSSES and LOSSES[self.loss].least is not None
        return tags
