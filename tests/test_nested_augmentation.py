"""Settings of an augmentation as parameters of the estimator that holds it."""

import pytest
from numpy.random import default_rng
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skneural import CNNClassifier, CNNRegressor, FCNClassifier, GRURegressor, LSTMClassifier, ResNetClassifier
from skneural.layers import Augmentation, SequenceAugmentation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

IMAGES = [CNNClassifier, CNNRegressor]
SEQUENCES = [FCNClassifier, ResNetClassifier, LSTMClassifier, GRURegressor]
SETTINGS = {"filters": (3,), "hidden_layer_sizes": (), "max_iter": 3, "batch_size": 8, "random_state": 0}


def squares():
    rng = default_rng(0)
    return rng.normal(size=(24, 6, 6)), rng.integers(0, 2, 24)


@pytest.mark.parametrize("estimator", IMAGES)
def test_settings_are_listed_and_set_in_a_copy(estimator):
    given = Augmentation(zoom=0.1)
    est = estimator(augmentation=given)
    other = clone(est)
    nested = {name: value for name, value in est.get_params().items() if "__" in name}
    assert nested == {f"augmentation__{name}": value for name, value in vars(given).items()}
    assert not any("__" in name for name in est.get_params(deep=False))
    assert est.set_params(augmentation__rotation=5, alpha=1.0) is est
    assert est.augmentation == Augmentation(rotation=5, zoom=0.1)
    assert est.alpha == 1.0
    assert given == other.augmentation == Augmentation(zoom=0.1)
    assert clone(est).augmentation == est.augmentation


@pytest.mark.parametrize("estimator", SEQUENCES)
def test_those_of_sequences_are_as_well(estimator):
    est = estimator(augmentation=SequenceAugmentation(jitter=0.1))
    assert est.get_params()["augmentation__jitter"] == 0.1
    assert est.set_params(augmentation__time_warp=0.2).augmentation == SequenceAugmentation(jitter=0.1, time_warp=0.2)
    assert not any("__" in name for name in estimator().get_params())


def test_the_augmentation_is_set_before_its_settings():
    est = CNNClassifier().set_params(augmentation__zoom=0.3, augmentation=Augmentation(rotation=5))
    assert est.augmentation == Augmentation(rotation=5, zoom=0.3)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("augmentations", "Invalid parameter 'augmentations' for estimator CNNClassifier"),
        (
            "augmentation__turn",
            r"Invalid parameter 'augmentation__turn' for estimator CNNClassifier with augmentation=Augmentation\(zoom"
            r"=0\.1\)\. Valid parameters are: \['augmentation__rotation', ",
        ),
        ("augmentation__zoom__x", r"Invalid parameter 'x' for estimator 0\.1"),
    ],
)
def test_unknown_names_are_refused_as_scikit_learn_does(name, words):
    est = CNNClassifier(augmentation=Augmentation(zoom=0.1))
    with pytest.raises(ValueError, match=words):
        est.set_params(**{name: 3})
    assert est.augmentation == Augmentation(zoom=0.1)


def test_without_an_augmentation_there_are_no_settings():
    words = r"'augmentation__zoom' for estimator CNNClassifier with augmentation=None\. Valid .* \['augmentation'\]"
    with pytest.raises(ValueError, match=words):
        CNNClassifier().set_params(augmentation__zoom=0.1)


def test_values_are_checked_by_the_fit():
    est = CNNClassifier(**SETTINGS, augmentation=Augmentation()).set_params(augmentation__zoom=2)
    with pytest.raises(ValueError, match=r"zoom of Augmentation must be a share in \[0, 1\), got 2"):
        est.fit(*squares())


def test_searches_turn_them():
    X, y = squares()
    clf = CNNClassifier(**SETTINGS, augmentation=Augmentation(horizontal_flip=True))
    search = GridSearchCV(clf, {"augmentation__rotation": [0, 10]}, cv=2, error_score="raise").fit(X, y)
    turned = Augmentation(search.best_params_["augmentation__rotation"], horizontal_flip=True)
    assert search.best_estimator_.augmentation == turned
    expected = clone(clf).set_params(augmentation=turned).fit(X, y)
    assert_array_equal(search.predict_proba(X), expected.predict_proba(X))
    assert clf.augmentation == Augmentation(horizontal_flip=True)
    pipeline = make_pipeline(MinMaxScaler(), clf)
    pipeline.set_params(cnnclassifier__augmentation__rotation=7)
    assert pipeline.get_params()["cnnclassifier__augmentation__rotation"] == 7


def test_calls_of_partial_fit_notice_another_setting():
    X, y = squares()
    clf = CNNClassifier(**SETTINGS, augmentation=Augmentation(rotation=5)).partial_fit(X, y, classes=[0, 1])
    same = clone(clf).partial_fit(X, y, classes=[0, 1])
    clf.set_params(augmentation__rotation=50).partial_fit(X, y)
    same.partial_fit(X, y)
    assert (clf.coefs_[0] != same.coefs_[0]).any()
