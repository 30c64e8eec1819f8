"""Images of integers are read where they are, and give the same bits as the same numbers as floats."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skneural import CNNClassifier, CNNRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SETTINGS = {"filters": (3,), "hidden_layer_sizes": (), "max_iter": 2, "batch_size": 8, "random_state": 0}
N_IMAGES = 40


def images(dtype):
    values = np.random.default_rng(0).integers(0, 256, (N_IMAGES, 5, 6, 2))
    if dtype == "bool":
        return values > 100
    return (values * 200 if dtype == "uint16" else values).astype(dtype)


def targets(kind):
    rng = np.random.default_rng(1)
    return rng.integers(0, 3, N_IMAGES) if kind is CNNClassifier else rng.normal(size=N_IMAGES)


def outputs(est, X):
    return est.predict_proba(X) if isinstance(est, CNNClassifier) else est.predict(X)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool", "int8", ">u2"])
@pytest.mark.parametrize("cls", [CNNClassifier, CNNRegressor])
def test_integers_are_as_floats(cls, dtype):
    X = images(dtype)
    y = targets(cls)
    weights = np.random.default_rng(2).uniform(0.5, 2, N_IMAGES)
    est = cls(**SETTINGS, early_stopping=True).fit(X, y, sample_weight=weights)
    as_floats = clone(est).fit(X.astype(np.float32), y, sample_weight=weights)
    assert est._params.dtype == np.float32
    assert_array_equal(est._params, as_floats._params)
    assert est.validation_scores_ == as_floats.validation_scores_
    assert_array_equal(outputs(est, X), outputs(as_floats, X.astype(np.float32)))
    assert_array_equal(outputs(est, X[:1]), outputs(est, X[:1].astype(np.float32)))


def test_in_double_precision():
    X = images("uint8")
    y = targets(CNNClassifier)
    clf = CNNClassifier(**SETTINGS, dtype="float64").fit(X, y, X_val=X.astype(float), y_val=y)
    assert clf._params.dtype == np.float64
    assert_array_equal(clf._params, clone(clf).fit(X.astype(float), y, X_val=X, y_val=y)._params)


@pytest.mark.parametrize("layout", ["channels_first", "backwards", "every second", "rows"])
def test_any_layout_in_memory(layout):
    X = images("uint8")
    y = targets(CNNClassifier)
    clf = CNNClassifier(**SETTINGS)
    if layout == "channels_first":
        clf.set_params(input_format="channels_first")
        X = np.ascontiguousarray(X.transpose(0, 3, 1, 2))
    elif layout == "backwards":
        X = X[:, :, ::-1, ::-1]
    elif layout == "every second":
        X = np.repeat(X, 2, axis=0)[::2]
    else:
        clf.set_params(image_shape=(5, 6, 2))
        X = X.reshape(N_IMAGES, -1)
    assert_array_equal(clf.fit(X, y)._params, clone(clf).fit(X.astype(np.float32), y)._params)


def test_nothing_is_copied(tmp_path):
    X = images("uint8")
    np.save(tmp_path / "images.npy", X)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    clf = CNNClassifier(**SETTINGS).fit(mapped, targets(CNNClassifier))
    checked, _ = clf._reader.validate(clf, mapped, targets(CNNClassifier), reset=False)
    assert checked.dtype == np.uint8
    assert np.shares_memory(clf._reader.read(checked).values, mapped)
    assert_array_equal(clf.predict_proba(mapped), clf.predict_proba(X))


def test_a_fit_may_go_on_with_numbers_of_another_type():
    X = images("uint8")
    y = targets(CNNClassifier)
    clf = CNNClassifier(**SETTINGS)
    clf.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X.astype(np.float64), y)
    other = clone(clf)
    other.partial_fit(X.astype(np.float32), y, classes=[0, 1, 2]).partial_fit(X, y)
    assert clf._params.dtype == np.float32
    assert_array_equal(clf._params, other._params)
