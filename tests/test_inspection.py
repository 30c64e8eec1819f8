"""Importance of time steps: against models of which it is known, against sums by hand, and what stays untouched."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import log_loss, make_scorer, mean_squared_error, r2_score
from sklearn.pipeline import make_pipeline

from skneural.inspection import timestep_importance

NAN = np.nan


class StepRegressor(RegressorMixin, BaseEstimator):
    """Predicts a weighted sum of the last step that is not padding of 3-D sequences, or of a step that is given."""

    def __init__(self, weights=(1.0, 0.0), step=None):
        self.weights, self.step = weights, step

    def fit(self, X, y=None):
        """Note that it is fitted, and every X that it sees from now on."""
        self.seen_ = []
        return self

    def predict(self, X):
        """Weighted sum of one step."""
        assert isinstance(X, np.ndarray)
        self.seen_.append(X.copy())
        steps = (~np.isnan(X).all(axis=2)).sum(axis=1) - 1 if self.step is None else self.step
        return X[np.arange(len(X)), steps] @ np.asarray(self.weights, dtype=X.dtype)


class StepClassifier(ClassifierMixin, BaseEstimator):
    """Probability of the class "b": logistic function of the first feature of step 1."""

    def fit(self, X, y):
        """Note the classes."""
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        """Probabilities of both classes."""
        second = 1 / (1 + np.exp(-X[:, 1, 0]))
        return np.column_stack([1 - second, second])

    def predict(self, X):
        """The likelier class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def sequences(n_samples=30, n_timesteps=4, n_features=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_timesteps, n_features))


def padded():
    """Sequences of the lengths 1 to 4."""
    X = sequences()
    for i, sequence in enumerate(X):
        sequence[i % 4 + 1 :] = NAN
    return X


# -- mean --------------------------------------------------------------------------------------------------------------


def test_only_the_step_that_is_used_has_importance():
    X = sequences()
    reg = StepRegressor((1.0, -2.0), step=2).fit(X)
    y = reg.predict(X)
    by_hand = np.abs(y - X[:, 2].mean(axis=0) @ [1.0, -2.0]).mean()
    assert_allclose(timestep_importance(reg, X), [0, 0, by_hand, 0], rtol=1e-12)
    # A constant is as good as the mean of y: R2 goes from 1 to 0.
    assert_allclose(timestep_importance(reg, X, y), [0, 0, 1, 0], atol=1e-12)


def test_features_by_themselves():
    X = sequences()
    reg = StepRegressor((1.0, -2.0), step=2).fit(X)
    importance = timestep_importance(reg, X, per_feature=True)
    spread = np.abs(X[:, 2] - X[:, 2].mean(axis=0)).mean(axis=0)
    assert importance.shape == (4, 2)
    assert_allclose(importance[2], spread * [1, 2], rtol=1e-12)
    assert_array_equal(importance[[0, 1, 3]], 0)


def test_steps_of_windows_without_features():
    X = sequences()[:, :, 0]
    reg = LinearRegression().fit(X, X @ [0, 3.0, 0, -1])
    expected = np.abs(X - X.mean(axis=0)).mean(axis=0) * [0, 3, 0, 1]
    importance = timestep_importance(reg, X)
    assert importance.shape == (4,)
    assert_allclose(importance, expected, atol=1e-12)
    assert_array_equal(timestep_importance(reg, X, per_feature=True), importance[:, np.newaxis])
    assert_array_equal(timestep_importance(reg, X.tolist()), importance)


def test_frames_and_names_reach_the_estimator():
    frame = pd.DataFrame(sequences()[:, :, 0], columns=["lag 4", "lag 3", "lag 2", "lag 1"])
    before = frame.copy()
    reg = LinearRegression().fit(frame, frame["lag 2"])  # would warn of an array
    assert timestep_importance(reg, frame).argmax() == 2
    assert timestep_importance(reg, frame, frame["lag 2"], method="permutation").argmax() == 2
    pd.testing.assert_frame_equal(frame, before)


def test_several_outputs_are_averaged():
    X = sequences()[:, :, 0]
    reg = LinearRegression().fit(X, X[:, :2])
    spread = np.abs(X - X.mean(axis=0)).mean(axis=0)
    assert_allclose(timestep_importance(reg, X), spread * [0.5, 0.5, 0, 0], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, int])
def test_precision_is_that_of_the_data(dtype):
    X = (10 * sequences()).astype(dtype)
    reg = StepRegressor(step=0).fit(X)
    importance = timestep_importance(reg, X)
    assert importance.dtype == np.float64
    assert {seen.dtype for seen in reg.seen_} == {np.dtype(np.float32 if dtype is np.float32 else np.float64)}
    assert_allclose(importance[0], np.abs(X[:, 0, 0] - X[:, 0, 0].mean()).mean(), rtol=1e-5)


# -- permutation -------------------------------------------------------------------------------------------------------


def test_permutation_by_hand():
    X = sequences()
    reg = StepRegressor((1.0, -2.0), step=1).fit(X)
    y = reg.predict(X) + sequences(seed=1)[:, 0, 0]
    random, changes, losses = np.random.RandomState(3), np.zeros((2, 4)), np.zeros((2, 4))
    for step in range(4):
        for repeat in range(2):
            changed = X.copy()
            changed[:, step] = X[random.permutation(30), step]
            changes[repeat, step] = np.abs(reg.predict(changed) - reg.predict(X)).mean()
            losses[repeat, step] = r2_score(y, reg.predict(X)) - r2_score(y, reg.predict(changed))
    settings = {"method": "permutation", "n_repeats": 2, "random_state": 3}
    assert_allclose(timestep_importance(reg, X, **settings), changes.mean(axis=0), rtol=1e-12)
    assert_allclose(timestep_importance(reg, X, y, **settings), losses.mean(axis=0), rtol=1e-12)
    assert losses.mean(axis=0).argmax() == 1


def test_permutation_of_features_leaves_the_others():
    X = sequences()
    reg = StepRegressor((0.0, 1.0), step=1).fit(X)
    importance = timestep_importance(reg, X, method="permutation", per_feature=True, random_state=0)
    assert importance[1, 1] > 0.1
    assert np.count_nonzero(importance) == 1


@pytest.mark.parametrize("per_feature", [False, True])
def test_random_state_decides(per_feature):
    X = sequences()
    reg = StepRegressor(step=3).fit(X)
    settings = {"method": "permutation", "per_feature": per_feature, "n_repeats": 3}
    one, same, other = (timestep_importance(reg, X, random_state=seed, **settings) for seed in (0, 0, 1))
    assert_array_equal(one, same)
    assert (one != other).any()
    assert_array_equal(timestep_importance(reg, X, random_state=np.random.RandomState(0), **settings), one)


# -- padding and missing values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["mean", "permutation"])
@pytest.mark.parametrize("per_feature", [False, True])
def test_padding_and_missing_values_stay(method, per_feature):
    X = padded()
    X[3, 1, 0] = NAN  # missing within a sequence
    before = X.copy()
    reg = StepRegressor(step=0).fit(X)
    timestep_importance(reg, X, method=method, per_feature=per_feature, n_repeats=2, random_state=0)
    assert_array_equal(X, before)
    n_calls = 1 + X.shape[1] * (2 if per_feature else 1) * (2 if method == "permutation" else 1)
    assert len(reg.seen_) == n_calls
    for seen in reg.seen_:
        assert_array_equal(np.isnan(seen), np.isnan(X))
        assert len(np.unique(np.nonzero(~np.isnan(X) & (seen != X))[1])) <= 1  # one step at a time
        if method == "permutation":  # values as they occur, each as often
            assert_array_equal(np.sort(seen, axis=0), np.sort(X, axis=0))


def test_means_ignore_padding():
    X = padded()
    reg = StepRegressor().fit(X)  # the last step that there is
    lengths = np.arange(30) % 4 + 1
    expected = np.zeros(4)
    for step in range(4):
        values = X[lengths > step, step, 0]
        last = X[lengths == step + 1, step, 0]
        expected[step] = np.abs(last - values.mean()).sum() / 30
    assert_allclose(timestep_importance(reg, X), expected, rtol=1e-12)
    assert (expected > 0).all()


def test_rows_of_a_step_stay_together():
    X = padded()
    X[:, :, 1] = 10 * X[:, :, 0]
    X[1, 0, 1] = NAN
    reg = StepRegressor(step=0).fit(X)
    timestep_importance(reg, X, method="permutation", random_state=0)
    changed = reg.seen_[2]
    assert (changed[:, 1] != X[:, 1]).any()
    assert_array_equal(changed[:, 1, 1], 10 * changed[:, 1, 0])


def test_step_that_no_sequence_reaches():
    X = sequences()
    X[:, 3] = NAN
    reg = StepRegressor().fit(X)
    for method in ("mean", "permutation"):
        importance = timestep_importance(reg, X, method=method)
        assert importance[2] > 0
        assert_array_equal(importance[[0, 1, 3]], 0)


# -- classifiers, scores, weights --------------------------------------------------------------------------------------


def test_classifier_with_probabilities():
    X = 3 * sequences()
    y = np.where(X[:, 1, 0] > 0, "b", "a")
    clf = StepClassifier().fit(X, y)
    constant = X.copy()
    constant[:, 1] = X[:, 1].mean(axis=0)
    moved = np.abs(clf.predict_proba(constant) - clf.predict_proba(X)).mean()
    assert_allclose(timestep_importance(clf, X), [0, moved, 0, 0], rtol=1e-12)
    accuracy = 1 - (clf.predict(constant) == y).mean()
    assert_allclose(timestep_importance(clf, X, y), [0, accuracy, 0, 0], rtol=1e-12)
    loss = log_loss(y, clf.predict_proba(constant)) - log_loss(y, clf.predict_proba(X))
    assert_allclose(timestep_importance(clf, X, y, scoring="neg_log_loss"), [0, loss, 0, 0], rtol=1e-12)


def test_classifier_without_probabilities():
    X = sequences()[:, :, 0]
    y = np.where(X[:, 1] > 0, "b", "a")
    clf = RidgeClassifier().fit(X, y)
    changed = X.copy()
    changed[:, 1] = X[:, 1].mean()
    assert timestep_importance(clf, X)[1] == (clf.predict(X) != clf.predict(changed)).mean() > 0.2


def test_classifier_of_several_outputs():
    X = sequences()[:, :, 0]
    clf = RandomForestClassifier(5, random_state=0).fit(X, np.column_stack([X[:, 0] > 0, X[:, 0] > 1]))
    assert timestep_importance(clf, X).argmax() == 0


def test_weights_count():
    X = sequences()
    reg = StepRegressor(step=2).fit(X)
    y, weight = reg.predict(X) + sequences(seed=1)[:, 0, 0], np.arange(30)
    changed = X.copy()
    changed[:, 2] = X[:, 2].mean(axis=0)
    distance = np.average(np.abs(reg.predict(changed) - reg.predict(X)), weights=weight)
    assert_allclose(timestep_importance(reg, X, sample_weight=weight)[2], distance, rtol=1e-12)
    lost = reg.score(X, y, weight) - reg.score(changed, y, weight)
    assert_allclose(timestep_importance(reg, X, y, sample_weight=weight)[2], lost, rtol=1e-12)
    scorer = make_scorer(mean_squared_error, greater_is_better=False)
    lost = scorer(reg, X, y, sample_weight=weight) - scorer(reg, changed, y, sample_weight=weight)
    assert_allclose(timestep_importance(reg, X, y, scoring=scorer, sample_weight=weight)[2], lost, rtol=1e-12)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.zeros(3)}, r"shape \(n_samples, n_timesteps\) or .*, got shape \(3,\)"),
        ({"X": np.zeros((3, 2, 2, 1))}, r"got shape \(3, 2, 2, 1\)"),
        ({"X": np.zeros((0, 2, 2))}, "X holds no values"),
        ({"method": "zero"}, "The 'method' parameter of timestep_importance must be a str among"),
        ({"n_repeats": 0}, "The 'n_repeats' parameter"),
        ({"n_repeats": 1.5}, "The 'n_repeats' parameter"),
        ({"y": np.zeros(29)}, "inconsistent numbers of samples"),
        ({"sample_weight": np.ones(31)}, "inconsistent numbers of samples"),
        ({"sample_weight": -np.ones(30)}, "Negative values"),
        ({"sample_weight": -np.ones(30), "y": np.zeros(30)}, "Negative values"),
        ({"scoring": "r2"}, "scoring needs y"),
        ({"scoring": "no such", "y": np.zeros(30)}, "'no such' is not a valid scoring value"),
        ({"scoring": lambda est, X, y: {"r2": 1.0}, "y": np.zeros(30)}, "scoring must yield one number"),
    ],
)
def test_errors(changes, message):
    X = sequences()
    with pytest.raises(ValueError, match=message):
        timestep_importance(StepRegressor().fit(X), **{"X": X, **changes})


class ChannelsFirst(StepRegressor):
    """The same for sequences that other libraries lay out."""

    input_format = "channels_first"

    def predict(self, X):
        """Weighted sum of one step."""
        return super().predict(X.swapaxes(1, 2))


@pytest.mark.parametrize("wrap", [lambda est: est, make_pipeline], ids=["alone", "pipeline"])
def test_layout_is_that_of_the_estimator(wrap):
    X = padded()
    expected = timestep_importance(StepRegressor().fit(X), X, per_feature=True)
    est = wrap(ChannelsFirst()).fit(X.swapaxes(1, 2), np.zeros(len(X)))
    assert_array_equal(timestep_importance(est, X.swapaxes(1, 2), per_feature=True), expected)


def test_frame_of_polars():
    X = sequences()[:, :, 0]
    frame = pl.DataFrame(X, schema=["a", "b", "c", "d"])
    reg = LinearRegression().fit(frame, X[:, 1])
    expected = timestep_importance(LinearRegression().fit(X, X[:, 1]), X)
    assert_allclose(timestep_importance(reg, frame), expected, atol=1e-12)


def test_lists_of_different_length():
    with pytest.raises(ValueError, match="must end in NaN here"):
        timestep_importance(StepRegressor().fit(None), [np.zeros((3, 1)), np.zeros((2, 1))])


def test_estimator_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        timestep_importance(StepRegressor(), sequences())
    with pytest.raises(NotFittedError):
        timestep_importance(LogisticRegression(), sequences()[:, :, 0])
