"""What a prediction rests on: the importance of the time steps of sequences, for any estimator that takes them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier
from sklearn.metrics import check_scoring
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.validation import check_is_fitted

from skneural._compat import check_sample_weight
from skneural._wrapped import innermost


@validate_params(
    {
        "method": [StrOptions({"mean", "permutation"})],
        "per_feature": ["boolean"],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "scoring": [str, callable, None],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def timestep_importance(
    est: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike | None = None,
    *,
    method: str = "mean",
    per_feature: bool = False,
    n_repeats: int = 1,
    scoring: str | Callable | None = None,
    sample_weight: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Measure how much the predictions of an estimator rest on each time step of its sequences.

    One time step after the other is made uninformative in all samples, and the estimator predicts again. Without `y`
    the importance is how far the predictions move, with `y` how much of the score is lost. Nothing is fitted.

    The measure takes the steps one at a time, as permutation importance does: of two neighbouring steps that carry the
    same information each can look unimportant, because the other is still there. And it tells what this estimator
    uses, not what could be learnt from the data.

    Parameters
    ----------
    est : estimator
        A fitted regressor or classifier that predicts from `X` as it is given here.
    X : array-like of shape (n_samples, n_timesteps, n_features) or (n_samples, n_timesteps)
        The sequences, one array, laid out as `est` reads them (see its `input_format`, if it has one). NaN is not a
        value and stays where it is: neither the padding at the end of sequences that are shorter than others nor a
        value that is missing within one is ever filled. `X` itself is not changed.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Targets. None measures the change of the predictions instead of the loss of the score.
    method : {'mean', 'permutation'}, default='mean'
        What takes the place of a value:

        - 'mean': the mean of that time step and feature over the samples that have a value there. One prediction for
          each time step.
        - 'permutation': the value of another sample, drawn among those that have one there (a sample may draw
          itself). The values that a step has in several features stay together, unless `per_feature` takes them
          apart. In contrast to means, all values are such as occur.
    per_feature : bool, default=False
        Whether every feature of a time step is measured by itself, instead of all of them at once.
    n_repeats : int, default=1
        Number of draws for each importance, which is their mean, for 'permutation'. Means draw nothing.
    scoring : str or callable, default=None
        With `y`, the score: a name or a callable as for scikit-learn's :term:`scorer`; None for ``est.score``.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples in the mean change, or in the score. The means of 'mean' are not weighted.
    random_state : int, RandomState instance or None, default=None
        Draws of 'permutation'. An int gives the same importances at every call.

    Returns
    -------
    importance : ndarray of shape (n_timesteps,) or (n_timesteps, n_features)
        Of each time step, or of each time step and feature with `per_feature`.

        Without `y`: the absolute change of the prediction, at least 0, mean over samples and outputs. That is the
        change of ``predict_proba`` for a classifier that has it, the share of samples that change their class for one
        that has not, and the change of ``predict`` for all others.

        With `y`: the score on `X` minus the score with the step made uninformative. A value below 0 is chance.

        Both are means over all samples, also over those that have no value at a step: a step that few sequences
        reach counts for little, and one that none reaches for 0.

    Raises
    ------
    NotFittedError
        If `est` is not fitted.
    ValueError
        If `X` has another number of dimensions or no values, if `y` or `sample_weight` has another length, if `scoring`
        is given without `y` or yields more than one number, or for an unknown `method` or `n_repeats` below 1.

    See Also
    --------
    skneural.plotting.TimestepImportanceDisplay : Picture of the importances.
    sklearn.inspection.permutation_importance : The same for the columns of a table.

    Notes
    -----
    It takes ``n_timesteps * n_repeats`` predictions of all samples, times `n_features` with `per_feature`. Beside `X`
    there is one changed copy of it at a time.

    References
    ----------
    Breiman (2001), "Random forests", Machine Learning 45.

    Fisher, Rudin and Dominici (2019), "All models are wrong, but many are useful: Learning a variable's importance by
    studying an entire class of prediction models simultaneously", Journal of Machine Learning Research 20.

    Examples
    --------
    A model of windows of a series whose next value is that of three steps ago:

    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from skneural.inspection import timestep_importance
    >>> rng = np.random.default_rng(0)
    >>> windows = rng.normal(size=(100, 5))
    >>> reg = LinearRegression().fit(windows, windows[:, -3])
    >>> timestep_importance(reg, windows, windows[:, -3]).round(6) + 0
    array([0., 0., 1., 0., 0.])
    """
    check_is_fitted(est)
    is_channels_first = getattr(innermost(est), "input_format", None) == "channels_first"
    changed, as_given = _copy_of_sequences(X, is_channels_first)
    check_consistent_length(X, y, sample_weight)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, changed)
    measure = _measure(est, y, scoring, sample_weight, as_given(changed))
    random_state = check_random_state(random_state)
    if method == "mean":
        n_repeats = 1

    cube = changed if changed.ndim == 3 else changed[:, :, np.newaxis]
    n_timesteps, n_features = cube.shape[1:]
    importance = np.zeros((n_timesteps, n_features if per_feature else 1))
    for step, feature in np.ndindex(importance.shape):
        features = [feature] if per_feature else slice(None)
        values = cube[:, step, features].copy()
        known = ~np.isnan(values)
        if not known.any():
            continue
        for _ in range(n_repeats):
            replaced = _means(values, known) if method == "mean" else _permuted(values, known, random_state)
            cube[:, step, features] = replaced
            importance[step, feature] += measure(as_given(changed)) / n_repeats
        cube[:, step, features] = values
    return importance if per_feature else importance[:, 0]


def _copy_of_sequences(X, is_channels_first):
    """Sequences as a new array of floats, and a function that makes of it again what the estimator knows."""
    try:
        values = np.asarray(X)
    except ValueError:
        raise ValueError("Sequences of different length must end in NaN here: give one array.") from None
    if values.ndim not in (2, 3):
        raise ValueError(
            "X must have the shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_features), "
            f"got shape {values.shape}."
        )
    if not values.size:
        raise ValueError(f"X holds no values: its shape is {values.shape}.")
    dtype = values.dtype if values.dtype.kind == "f" else np.float64
    values = np.array(values, dtype=dtype, order="C")
    if is_channels_first and values.ndim == 3:
        return values.swapaxes(1, 2).copy(), lambda changed: changed.swapaxes(1, 2)
    if hasattr(X, "iloc"):  # a frame of pandas, whose names the estimator has seen
        return values, partial(type(X), index=X.index, columns=X.columns)
    if hasattr(X, "columns"):  # of polars
        return values, partial(type(X), schema=X.columns)
    return values, lambda changed: changed


def _measure(est, y, scoring, sample_weight, X) -> Callable[[Any], float]:
    """A function of changed sequences: how far predictions are from those of `X`, or how much of the score is lost."""
    if y is None and scoring is not None:
        raise ValueError("scoring needs y: without targets there is no score.")
    if y is None:
        before = _predict(est, X)
        has_labels = is_classifier(est) and not hasattr(est, "predict_proba")

        def distance(changed):
            after = _predict(est, changed)
            moved = after != before if has_labels else np.abs(np.subtract(after, before, dtype=np.float64))
            return np.average(moved.reshape(len(moved), -1).mean(axis=1), weights=sample_weight)

        return distance
    scorer = check_scoring(est, scoring=scoring)
    keywords = {} if sample_weight is None else {"sample_weight": sample_weight}

    def score(changed):
        value = scorer(est, changed, y, **keywords)
        if np.ndim(value) or isinstance(value, dict):
            raise ValueError(f"scoring must yield one number, got {value!r}.")
        return float(value)

    best = score(X)
    return lambda changed: best - score(changed)


def _predict(est, X):
    """Probabilities of a classifier, predictions of others: an array with a row a sample."""
    if is_classifier(est) and hasattr(est, "predict_proba"):
        answer = est.predict_proba(X)
        if isinstance(answer, list):  # one array for each of several outputs
            answer = np.hstack(answer)
    else:
        answer = est.predict(X)
    return np.array(answer)  # a copy: an estimator may use one buffer for all its answers


def _means(values, known):
    """Each column's mean in the place of its values."""
    totals = np.sum(values, axis=0, dtype=np.float64, where=known)
    return np.where(known, totals / np.maximum(known.sum(axis=0), 1), values)


def _permuted(values, known, random_state):
    """Values in the order of a permutation of the samples, from which those without a value are left out."""
    order = random_state.permutation(len(values))
    if known.all():
        return values[order]
    permuted = values.copy()
    for column, has_value in enumerate(known.T):
        permuted[has_value, column] = values[order[has_value[order]], column]
    return permuted
