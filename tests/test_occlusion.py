"""Importance of what a patch hides: against models of which it is known, and against patches by hand."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import CNNClassifier, LSTMRegressor
from skneural.inspection import _occlusion, occlusion_importance

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class PixelClassifier(ClassifierMixin, BaseEstimator):
    """Probability of the class "b": the mean of one pixel over its channels."""

    def __init__(self, row=1, column=2, input_format="channels_last"):
        self.row, self.column, self.input_format = row, column, input_format

    def fit(self, X=None, y=None):
        """Note the classes."""
        self.classes_ = np.array(["a", "b"])
        self.seen_ = []
        return self

    def predict_proba(self, X):
        """Probabilities of both classes."""
        self.seen_.append(X)
        if X.ndim == 3:
            X = X[..., None]
        elif self.input_format == "channels_first":
            X = np.moveaxis(X, 1, 3)
        second = X[:, self.row, self.column].mean(axis=-1)
        return np.column_stack([1 - second, second])

    def predict(self, X):
        """The likelier class."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class LabelClassifier(ClassifierMixin, BaseEstimator):
    """The same without probabilities."""

    def fit(self, X=None, y=None):
        """Note the classes."""
        self.classes_ = np.array(["a", "b"])
        return self

    def predict(self, X):
        """The class by one pixel."""
        return np.where(X[:, 1, 2] > 0.5, "b", "a")


class MeanRegressor(RegressorMixin, BaseEstimator):
    """Predicts the sums of the first and of the last row."""

    def fit(self, X=None, y=None):
        """Note that it is fitted."""
        self.fitted_ = True
        return self

    def predict(self, X):
        """Sums of two rows."""
        return np.column_stack([X[:, 0].sum(axis=1), X[:, -1].sum(axis=1)])


def images(*shape, n_images=6, seed=2):
    return np.random.default_rng(seed).random((n_images, *shape))


@pytest.mark.parametrize("form", ["(H, W)", "(H, W, C)", "channels first"])
def test_decrease_of_the_probability_of_the_class(form):
    X = {"(H, W)": images(4, 5), "(H, W, C)": images(4, 5, 3), "channels first": images(3, 4, 5)}[form]
    clf = PixelClassifier(input_format="channels_first" if form == "channels first" else "channels_last").fit()
    before = clf.predict_proba(X)[:, 1]
    importance = occlusion_importance(clf, X, ["b"] * 6, patch_size=1, fill=0.25)
    assert importance.shape == (6, 4, 5)
    assert_allclose(importance[:, 1, 2], before - 0.25)
    importance[:, 1, 2] = 0
    assert_array_equal(importance, 0)
    of_predicted = occlusion_importance(clf, X, patch_size=1, fill=0.25)
    sign = np.where(before > 0.5, 1, -1)
    assert len(set(sign)) == 2
    assert_allclose(of_predicted[:, 1, 2], sign * (before - 0.25))
    assert all(seen.shape[1:] == X.shape[1:] for seen in clf.seen_)


@pytest.mark.parametrize(("patch_size", "stride"), [(2, 1), (2, 2), ((3, 1), (2, 1)), ((1, 4), (1, 3)), (4, 3)])
def test_a_pixel_has_the_mean_of_the_patches_that_hide_it(patch_size, stride):
    X = images(4, 5)
    clf = PixelClassifier().fit()
    lost = clf.predict_proba(X)[:, 1] - 0.3
    found = occlusion_importance(clf, X, ["b"] * 6, patch_size=patch_size, stride=stride, fill=0.3)
    (height, width), (down, right) = np.broadcast_to(patch_size, 2), np.broadcast_to(stride, 2)
    expected, counts = np.zeros((6, 4, 5)), np.zeros((4, 5))
    for top in sorted({min(top, 4 - height) for top in range(0, 4, down)}):
        for left in sorted({min(left, 5 - width) for left in range(0, 5, right)}):
            hides = top <= 1 < top + height and left <= 2 < left + width
            expected[:, top : top + height, left : left + width] += lost[:, None, None] * hides
            counts[top : top + height, left : left + width] += 1
    assert counts.all()
    assert_allclose(found, expected / counts, atol=1e-12)


def test_the_default_patch():
    X = images(8, 12)
    clf = PixelClassifier().fit()
    given = occlusion_importance(clf, X, patch_size=(2, 3), stride=(1, 1))
    assert_array_equal(occlusion_importance(clf, X), given)
    assert occlusion_importance(clf, images(3, 3)).shape == (6, 3, 3)


def test_fill():
    X = images(4, 5, 2)
    clf = PixelClassifier().fit()
    before = clf.predict_proba(X)[:, 1]
    for fill, value in [("mean", X.mean()), (0.5, 0.5), ([0.2, 0.4], 0.3), (np.float32(0.25), 0.25)]:
        found = occlusion_importance(clf, X, ["b"] * 6, patch_size=1, fill=fill)
        assert_allclose(found[:, 1, 2], before - value)


def test_the_mean_is_over_values():
    X = images(4, 5, 3)
    X[:, :, :, 1] = np.nan
    X[0, 0, 0, 0] = np.nan
    colour = _occlusion._colour("mean", X, 3)
    assert_allclose(colour, [np.nanmean(X[..., 0]), 0, X[..., 2].mean()])
    assert _occlusion._colour("mean", np.array([[[[1], [2]]]], np.uint8), 1) == 2


def test_types_of_numbers_are_kept():
    X = (images(4, 5) * 255).astype(np.uint8)
    clf = PixelClassifier().fit()
    occlusion_importance(clf, X, patch_size=2, fill=17.4)
    assert {seen.dtype for seen in clf.seen_} == {np.dtype(np.uint8)}
    assert 17 in clf.seen_[-1]
    with pytest.raises(ValueError, match=r"fill=300 does not fit the images of uint8"):
        occlusion_importance(clf, X, fill=300)
    clf.fit()
    occlusion_importance(clf, X > 99, patch_size=2, fill=1)
    assert {seen.dtype for seen in clf.seen_} == {np.dtype(bool)}
    with pytest.raises(ValueError, match=r"fill=2 does not fit the images of bool"):
        occlusion_importance(clf, X > 99, fill=2)


def test_batches_change_nothing_and_are_bounded(monkeypatch):
    X = images(4, 5)
    kept = X.copy()
    clf = PixelClassifier().fit()
    together = occlusion_importance(clf, X, patch_size=2)
    clf.fit()
    monkeypatch.setattr(_occlusion, "BATCH_BYTES", 7 * X[0].nbytes)
    assert_array_equal(occlusion_importance(clf, X, patch_size=2), together)
    changed = clf.seen_[2:]  # after the prediction of the classes, and that of probabilities
    assert {len(seen) for seen in changed[:-1]} == {7}
    assert_array_equal(X, kept)


def test_rows():
    X = images(16, n_images=80)
    y = np.where(X[:, 6] > 0.5, "b", "a")
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(16)])
    clf = make_pipeline(StandardScaler(), LogisticRegression(C=100)).fit(frame, y)
    for importance in (
        occlusion_importance(clf, frame, y, patch_size=1),
        occlusion_importance(clf, frame, y, patch_size=1, image_shape=(4, 4)),
    ):
        assert importance.shape == (80, 4, 4)
        assert np.unravel_index(importance.mean(axis=0).argmax(), (4, 4)) == (1, 2)
    assert occlusion_importance(clf, frame, patch_size=1, image_shape=(2, 4, 2)).shape == (80, 2, 4)
    with_gaps = frame.convert_dtypes()  # whose columns NumPy takes for objects
    expected = occlusion_importance(clf, frame, y, patch_size=1)
    assert_array_equal(occlusion_importance(clf, with_gaps, y[:, np.newaxis], patch_size=1), expected)


def test_networks_say_what_their_rows_are():
    X = images(24, n_images=20)
    clf = CNNClassifier((3,), image_shape=(4, 6), max_iter=2, random_state=0).fit(X, X[:, 0] > 0.5)
    assert occlusion_importance(make_pipeline(clf), X, patch_size=2).shape == (20, 4, 6)
    as_images = occlusion_importance(
        CNNClassifier((3,), max_iter=2, random_state=0).fit(X.reshape(20, 4, 6), X[:, 0] > 0.5),
        X.reshape(20, 4, 6),
        patch_size=2,
    )
    assert_array_equal(occlusion_importance(clf, X, patch_size=2), as_images)


def test_classifiers_without_probabilities():
    X = images(4, 5)
    clf = LabelClassifier().fit()
    before = X[:, 1, 2] > 0.5
    y = np.array(["b", "a", "b", "a", "b", "a"])
    assert_array_equal(occlusion_importance(clf, X, patch_size=1, fill=0)[:, 1, 2], before)
    is_right = before == (y == "b")
    assert_array_equal(occlusion_importance(clf, X, y, patch_size=1, fill=0)[:, 1, 2], is_right * 1.0 - (y == "a"))
    with pytest.raises(ValueError, match=r"y has labels other than the classes .*: \['c'\]"):
        occlusion_importance(clf, X, np.where(y == "a", "c", y))
    ridge = RidgeClassifier().fit(X.reshape(6, 20), y)
    assert occlusion_importance(ridge, X.reshape(6, 20), image_shape=(4, 5)).shape == (6, 4, 5)


def test_regressors():
    X = images(4, 5)
    reg = MeanRegressor().fit()
    importance = occlusion_importance(reg, X, patch_size=1, fill=0)
    assert_allclose(importance[:, [0, -1]], X[:, [0, -1]] / 2)
    assert_array_equal(importance[:, 1:-1], 0)
    y = reg.predict(X) - [1, 0]
    importance = occlusion_importance(reg, X, y, patch_size=1, fill=0)
    assert_allclose(importance[:, -1], X[:, -1] / 2)
    assert_allclose(importance[:, 0], -X[:, 0] / 2)  # nearer to what was too small a target
    with pytest.raises(ValueError, match="y has 1 outputs, but the estimator predicts 2"):
        occlusion_importance(reg, X, y[:, 0])


def test_several_labels():
    X = images(16, n_images=30)
    clf = MultiOutputClassifier(LogisticRegression()).fit(X, (X[:, :2] > 0.5).astype(int))
    importance = occlusion_importance(clf, X, patch_size=1)
    assert importance.shape == (30, 4, 4)
    assert (importance >= 0).all()
    with pytest.raises(ValueError, match="y of several outputs needs scoring"):
        occlusion_importance(clf, X, (X[:, :2] > 0.5).astype(int))


def test_scoring():
    X = images(4, 5, n_images=40)
    clf = PixelClassifier().fit()
    y = clf.predict(X)
    for scoring in ("accuracy", lambda est, X, y: accuracy_score(y, est.predict(X))):
        importance = occlusion_importance(clf, X, y, patch_size=1, fill=1.0, scoring=scoring)
        assert importance.shape == (4, 5)
        assert_allclose(importance[1, 2], (y == "a").mean())
        importance[1, 2] = 0
        assert_array_equal(importance, 0)


def test_sequences():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 8, 2))
    X[::3, 6:] = np.nan
    reg = LSTMRegressor((6,), max_iter=40, random_state=0, learning_rate_init=0.02).fit(X, X[:, 2, 0])
    found = occlusion_importance(reg, X, patch_size=3, stride=2, fill=[0.0, 1.0])
    assert found.shape == (30, 8)
    before = reg.predict(X)
    totals, counts = np.zeros((30, 8)), np.zeros(8)
    for start in (0, 2, 4, 5):
        changed = X.copy()
        window = changed[:, start : start + 3]
        window[:] = np.where(np.isnan(window), np.nan, [0.0, 1.0])
        totals[:, start : start + 3] += np.abs(reg.predict(changed) - before)[:, None]
        counts[start : start + 3] += 1
    assert_allclose(found, totals / counts, rtol=1e-12)
    assert np.isfinite(occlusion_importance(reg, X)).all()
    first = LSTMRegressor((3,), max_iter=2, random_state=0, input_format="channels_first")
    first.fit(X.swapaxes(1, 2), X[:, 2, 0])
    last = LSTMRegressor((3,), max_iter=2, random_state=0).fit(X, X[:, 2, 0])
    found = occlusion_importance(first, X.swapaxes(1, 2), patch_size=2)
    assert_array_equal(found, occlusion_importance(last, X, patch_size=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": images()}, r"Expected X of shape .* got an array of shape \(6,\)"),
        ({"X": np.zeros((0, 4, 5))}, "got an array of shape"),
        ({"X": None}, "Expected images as an array or a list of arrays, got NoneType"),
        ({"X": np.array([["a", "b"], ["c", "d"]])}, "X must hold real numbers"),
        ({"X": [np.zeros((2, 3)), np.zeros((3, 3))]}, r"Image 1 has shape \(3, 3\), image 0 has \(2, 3\)"),
        ({"X": images(15)}, "image_shape must say what images the rows of 15 numbers are"),
        (
            {"X": images(15), "image_shape": (4, 4)},
            r"image_shape=\(4, 4\) describes images of 16 numbers, but X has 15 features",
        ),
        ({"X": images(15), "image_shape": (15,)}, "image_shape must be two or three integers"),
        ({"y": ["a", "b"]}, "inconsistent numbers of samples"),
        ({"y": ["c"] * 6}, "y has labels other than the classes"),
        ({"patch_size": 5}, r"patch_size=5 is larger than the images, of 4 x 5"),
        ({"patch_size": (1, 2, 3)}, "patch_size must be an integer from 1 up, or two of them"),
        ({"patch_size": (1, 0)}, "patch_size must be an integer"),
        ({"patch_size": 0}, "'patch_size' parameter"),
        ({"patch_size": 2, "stride": 3}, "stride=3 is more than the patch of 2 has"),
        ({"fill": "noise"}, "'fill' parameter"),
        ({"fill": [1, 2]}, "fill must be one number, or one for each of 1 channels"),
        ({"fill": np.nan}, "fill must be finite"),
        ({"scoring": "accuracy"}, "scoring needs y"),
        ({"y": ["a"] * 6, "scoring": lambda est, X, y: {"a": 1}}, "scoring must yield one number"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        occlusion_importance(PixelClassifier().fit(), **{"X": images(4, 5), **changes})


def test_fitted_estimators_are_needed():
    with pytest.raises(NotFittedError):
        occlusion_importance(LinearRegression(), images(4, 4))
