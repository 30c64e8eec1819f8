"""Images as users hand them over: lists keep their type, and what cannot be read is refused in a sentence."""

import pathlib
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skneural import CNNClassifier, MLPClassifier, NetworkClassifier
from skneural._image_layout import stacked
from skneural.backends.cpu import buffers
from skneural.layers import Conv2D, Flatten, GlobalPool, Reshape

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

BYTES = np.random.default_rng(0).integers(0, 256, (24, 5, 6, 3)).astype(np.uint8)
CLASSES = np.arange(24) % 2


def small(**settings):
    defaults = {"filters": (3,), "hidden_layer_sizes": (), "max_iter": 2, "batch_size": 8, "random_state": 0}
    return CNNClassifier(**{**defaults, **settings})


class Picture:
    """An image of another library, as PIL's."""

    def __init__(self, pixels):
        self.pixels = pixels

    @property
    def __array_interface__(self):
        return self.pixels.__array_interface__


# -- lists -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, bool, np.float32])
@pytest.mark.parametrize("form", [list, tuple, lambda X: [Picture(x) for x in X], lambda X: pd.Series(list(X))])
def test_lists_are_read_in_their_type(form, dtype):
    X = (BYTES > 99) if dtype is bool else BYTES.astype(dtype)
    assert stacked(form(X)).dtype == dtype
    expected = small().fit(X, CLASSES)
    found = small().fit(form(X), CLASSES)
    assert found.coefs_[0].dtype == np.float32  # of numbers of 8 bytes it would be float64
    assert_array_equal(found._params, expected._params)
    assert_array_equal(found.predict_proba(form(X)), expected.predict_proba(X))


def test_arrays_are_not_copied():
    assert stacked(BYTES) is BYTES
    assert np.shares_memory(stacked(BYTES[:, ::-1]), BYTES)


def test_images_of_integers_of_16_bits_are_those_of_8():
    expected = small().fit(BYTES, CLASSES)
    found = small().fit(BYTES.astype(np.uint16) * 257, CLASSES)
    np.testing.assert_allclose(found.predict_proba(BYTES.astype(np.uint16) * 257), expected.predict_proba(BYTES), 1e-4)


# -- what is refused ---------------------------------------------------------------------------------------------------

NAMES = {
    "list": ["a.png", "b.png"] * 12,
    "paths": [pathlib.Path("a.png")] * 24,
    "bytes": [b"a.png"] * 24,
    "array": np.array(["a.png", "b.png"] * 12),
    "column": pd.Series(["a.png"] * 24),
    "one name": "a.png",
    "one path": pathlib.Path("a.png"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_of_files_are_refused_with_advice(case):
    words = r"X must hold images, not names of files, as 'a.png': read them beforehand, .* np.stack\(.* np.memmap"
    with pytest.raises(ValueError, match=words):
        small().fit(NAMES[case], CLASSES)
    clf = small().fit(BYTES, CLASSES)
    before = pickle.dumps(clf)
    with pytest.raises(ValueError, match=words):
        clf.predict(NAMES[case])
    assert pickle.dumps(clf) == before


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ({"images": BYTES}, "Expected images as an array or a list of arrays, got dict"),
        ((x for x in BYTES), "Expected images as an array or a list of arrays, got generator"),
        (BYTES * 1j, r"^Complex data not supported: X must hold real numbers, got complex128\.$"),
        (BYTES.reshape(24, -1) * 1j, r"^Complex data not supported: X must hold real numbers, got complex128\.$"),
        (BYTES.astype("m8[D]"), r"^X must hold real numbers, got timedelta64\[D\]\.$"),
        (np.full((24, 5, 6), "a", object), "could not convert string to float: 'a'"),
        (np.where(BYTES > 200, None, BYTES), "Input X contains NaN: first in image"),
    ],
)
def test_data_of_another_kind_is_refused(X, words):
    with pytest.raises(ValueError, match=words):
        small().fit(X, CLASSES)


def test_images_whose_channels_are_elsewhere():
    first = np.moveaxis(BYTES, 3, 1)
    with pytest.raises(ValueError, match=r"come first, but input_format='channels_last'\.$"):
        small().fit(BYTES, CLASSES).predict(first)
    with pytest.raises(ValueError, match=r"come last, but input_format='channels_first'\.$"):
        small(input_format="channels_first").fit(first, CLASSES).predict(BYTES)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"filters": (3, 3), "kernel_size": 3, "padding": "valid"},
            "Conv2D reads windows of 3 along the height, its input has 1: take a smaller kernel_size or dilation, or",
        ),
        (
            {"filters": (3, 3, 3), "pool_size": 3},
            r"pool_size=\(3, 3\) is larger than the images in block 2, of 1 x 2 pixels: take a smaller",
        ),
    ],
)
def test_images_that_become_too_small(settings, words):
    with pytest.raises(ValueError, match=words):
        small(**settings).fit(BYTES, CLASSES)


def test_networks_of_layers_are_given_rows():
    words = r"reads rows or sequences, got X of shape \(24, 5, 6, 3\): give .* put Reshape\(\(5, 6, 3\)\) before"
    clf = NetworkClassifier([Reshape((5, 6, 3)), Conv2D(3), Flatten()], max_iter=1, random_state=0)
    with pytest.raises(ValueError, match=words):
        clf.fit(BYTES, CLASSES)
    clf.fit(BYTES.reshape(24, -1), CLASSES)
    with pytest.raises(ValueError, match=words):
        clf.predict(BYTES)
    with pytest.raises(ValueError, match=r"Reshape needs a shape of 90 numbers, .* got \(5, 6, 1\)"):
        NetworkClassifier([Reshape((5, 6, 1)), Conv2D(3), GlobalPool()]).fit(BYTES.reshape(24, -1), CLASSES)


@pytest.mark.parametrize(
    ("est", "X"),
    [
        (small(hidden_layer_sizes=(1000,)), BYTES),
        (MLPClassifier((200,)), BYTES.reshape(24, -1) / 255),
    ],
)
def test_weights_larger_than_the_memory_are_an_error(est, X, monkeypatch):
    monkeypatch.setattr(buffers, "physical_memory", lambda: 5e4)
    words = "The weights of this network take 0.. GB, and training keeps 4 times as much: take fewer units or filters"
    with pytest.raises(MemoryError, match=words):
        est.fit(X, CLASSES)
    assert vars(est) == est.get_params(deep=False)
