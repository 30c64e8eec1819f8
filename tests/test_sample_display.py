"""Display of samples: points over data, by class, and images."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_plotting import closed_figures  # noqa: F401

from skneural import GAN
from skneural.plotting import SampleDisplay

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(60, 3))
LABELS = np.repeat(["a", "b", "c"], 20)
IMAGES = RNG.random((60, 3, 4))


def fitted(X, y=None):
    return GAN((4,), 2, max_iter=1, random_state=0).fit(X, y)


def test_points():
    gan = fitted(ROWS)
    display = SampleDisplay.from_estimator(gan, 30, X=ROWS, features=(0, 2), random_state=1)
    assert_array_equal(display.samples, gan.sample(30, random_state=1))
    data, points = display.ax_.collections
    assert_array_equal(data.get_offsets(), ROWS[:, [0, 2]])
    assert_array_equal(points.get_offsets(), display.samples[:, [0, 2]])
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["data", "samples"]
    assert display.ax_.get_xlabel() == "feature 0"


def test_points_of_classes():
    display = SampleDisplay.from_estimator(fitted(ROWS, LABELS), 5)
    assert [len(points.get_offsets()) for points in display.ax_.collections] == [5, 5, 5]
    assert_array_equal(display.labels, np.repeat(["a", "b", "c"], 5))
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["a", "b", "c"]


@pytest.mark.parametrize("conditional", [False, True])
def test_images(conditional):
    gan = fitted(IMAGES, LABELS if conditional else None)
    display = SampleDisplay.from_estimator(gan, 4)
    count = 12 if conditional else 4
    assert np.shape(display.samples) == (count, 3, 4)
    assert len(display.axes_) == count
    for panel, sample in zip(display.axes_, display.samples, strict=True):
        assert_array_equal(panel.images[0].get_array(), sample)
    named = [panel.get_ylabel() for panel in display.axes_]
    assert [name for name in named if name] == (["a", "b", "c"] if conditional else [])


def test_rows_as_images():
    display = SampleDisplay.from_estimator(fitted(IMAGES.reshape(60, -1)), 2, image_shape=(3, 4))
    assert display.axes_[1].images[0].get_array().shape == (3, 4)


def test_what_cannot_be_shown():
    with pytest.raises(TypeError, match="int makes no samples"):
        SampleDisplay.from_estimator(3)
    with pytest.raises(ValueError, match="features must be two columns of 3"):
        SampleDisplay.from_estimator(fitted(ROWS), 3, features=(0, 3))
    with pytest.raises(ValueError, match="Rows and images can be shown"):
        SampleDisplay(samples=np.zeros(3)).plot()
    with pytest.raises(ValueError, match="n_samples must be an integer from 1 up"):
        SampleDisplay.from_estimator(fitted(ROWS), 0)
