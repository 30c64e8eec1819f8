"""Display of samples: points over data, by class, and images."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_plotting import closed_figures  # noqa: F401

from skneural import GAN, MLPClassifier, VariationalAutoencoder
from skneural.callbacks import SampleRecorder
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


@pytest.mark.parametrize("form", ["channels_last", "channels_first", "rows"])
def test_images_of_a_variational_autoencoder(form):
    X = RNG.random((30, 3, 4, 3))
    settings = {"max_iter": 1, "random_state": 0}
    if form == "channels_first":
        X = np.moveaxis(X, 3, 1)
        settings["input_format"] = form
    elif form == "rows":
        X = X.reshape(30, -1)
        settings["image_shape"] = (3, 4, 3)
    vae = VariationalAutoencoder(2, (4,), **settings).fit(X)
    samples = vae.sample(24, random_state=0)
    images = np.moveaxis(samples, 1, 3) if form == "channels_first" else samples.reshape(-1, 3, 4, 3)
    display = SampleDisplay.from_estimator(vae)
    assert_array_equal(display.samples, images)
    assert len(display.axes_) == 24


@pytest.mark.parametrize("in_rows", [False, True])
def test_epochs_of_images_with_channels_first(in_rows):
    X = RNG.random((30, 3, 3, 4))
    shape = (3, 3, 4) if in_rows else None
    recorder = SampleRecorder(2, every=1)
    vae = VariationalAutoencoder(2, (4,), input_format="channels_first", image_shape=shape, max_iter=2, random_state=0)
    vae.set_callbacks(recorder).fit(X.reshape(30, -1) if in_rows else X)
    display = SampleDisplay.from_epochs(recorder, image_shape=shape)
    images = np.moveaxis(np.concatenate(recorder.samples_).reshape(4, 3, 3, 4), 1, 3)
    assert_array_equal(display.samples, images)


def test_samples_of_a_pipeline_are_in_the_units_of_its_data():
    pipe = make_pipeline(StandardScaler(), GAN((4,), 2, max_iter=1, random_state=0)).fit(100 + 10 * ROWS)
    display = SampleDisplay.from_estimator(pipe, 5)
    assert_allclose(display.samples, pipe[0].inverse_transform(pipe[1].sample(5, random_state=0)))


def test_keywords_for_points():
    for colour in ("c", "color", "facecolor"):
        display = SampleDisplay(samples=ROWS, data=ROWS).plot(scatter_kw={colour: "red", "lw": 2})
        data, points = display.ax_.collections
        assert_array_equal(points.get_facecolor()[0], [1, 0, 0, 1])
        assert_array_equal(data.get_facecolor()[0], [0.75, 0.75, 0.75, 1])
        assert_array_equal(points.get_linewidth(), [2])


def test_epochs_stand_in_the_order_in_which_they_come():
    display = SampleDisplay(samples=IMAGES[:4], epochs=[5, 10, 5, 1]).plot()
    assert [panel.get_ylabel() for panel in display.axes_] == ["epoch 5", "", "epoch 10", "epoch 1"]
    assert_array_equal(display.axes_[1].images[0].get_array(), IMAGES[2])


@pytest.mark.parametrize("conditional", [False, True])
def test_images_over_epochs(conditional):
    recorder = SampleRecorder(4, every=2, random_state=3)
    gan = GAN((4,), 2, max_iter=5, random_state=0).set_callbacks(recorder)
    gan.fit(IMAGES, LABELS if conditional else None)
    assert recorder.epochs_ == [2, 4, 5]
    labels = np.array(["a", "b", "c", "a"]) if conditional else None
    assert_array_equal(recorder.samples_[-1], gan.sample(4, labels, random_state=3))
    assert (recorder.samples_[0] != recorder.samples_[1]).any()
    display = SampleDisplay.from_epochs(recorder)
    assert len(display.axes_) == 12
    for panel, sample in zip(display.axes_, np.concatenate(recorder.samples_), strict=True):
        assert_array_equal(panel.images[0].get_array(), sample)
    assert [name for panel in display.axes_ if (name := panel.get_ylabel())] == ["epoch 2", "epoch 4", "epoch 5"]
    gan.fit(IMAGES, LABELS if conditional else None)
    assert recorder.epochs_ == [2, 4, 5]  # of the last fit alone


def test_points_over_epochs():
    recorder = SampleRecorder(9, every=1)
    GAN((4,), 2, max_iter=2, random_state=0).set_callbacks(recorder).fit(ROWS, LABELS)
    display = SampleDisplay.from_epochs(recorder, X=ROWS, features=(0, 2))
    assert [panel.get_title() for panel in display.axes_] == ["epoch 1", "epoch 2"]
    for panel, samples in zip(display.axes_, recorder.samples_, strict=True):
        _, *classes = panel.collections
        assert_array_equal(classes[1].get_offsets(), samples[1::3][:, [0, 2]])


def test_what_cannot_be_recorded():
    with pytest.raises(ValueError, match="No samples were kept"):
        SampleDisplay.from_epochs(SampleRecorder())
    for recorder, words in (
        (SampleRecorder(0), "'n_samples' parameter of SampleRecorder must be"),
        (SampleRecorder(3, y=["a"]), "y must have a label for each of 3 samples, got 1"),
        (SampleRecorder(1, y=["d"], every=1), "classes that are not known: d"),
    ):
        with pytest.raises(ValueError, match=words):
            GAN((4,), 2, max_iter=1).set_callbacks(recorder).fit(ROWS, LABELS)
    with pytest.raises(TypeError, match="MLPClassifier makes no samples"):
        MLPClassifier().set_callbacks(SampleRecorder()).fit(ROWS, LABELS)
    search = GridSearchCV(VariationalAutoencoder(1, max_iter=1), {"n_components": [1]}, cv=2)
    search.estimator.set_callbacks(SampleRecorder())
    with pytest.raises(ValueError, match="SampleRecorder keeps the samples of one fit, but GridSearchCV fits many"):
        search.fit(ROWS)


def test_what_cannot_be_shown():
    with pytest.raises(TypeError, match="int makes no samples"):
        SampleDisplay.from_estimator(3)
    with pytest.raises(ValueError, match="features must be two columns of 3"):
        SampleDisplay.from_estimator(fitted(ROWS), 3, features=(0, 3))
    for wrong in ({"labels": [1, 2]}, {"epochs": [1, 2]}):
        for samples in (ROWS, IMAGES):
            with pytest.raises(ValueError, match="inconsistent numbers of samples"):
                SampleDisplay(samples=samples, **wrong).plot()
    with pytest.raises(ValueError, match="Rows and images can be shown"):
        SampleDisplay(samples=np.zeros(3)).plot()
    with pytest.raises(ValueError, match="n_samples must be an integer from 1 up"):
        SampleDisplay.from_estimator(fitted(ROWS), 0)
