"""Displays of autoencoders: what is drawn, of which data, and what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import Autoencoder
from skneural.layers import Recurrent
from skneural.plotting import LatentDisplay, ReconstructionDisplay

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS = load_digits()
X = DIGITS.data[:100]
Y = DIGITS.target[:100]
SETTINGS = {"hidden_layer_sizes": (16, 3), "max_iter": 3, "random_state": 0}


@pytest.fixture(autouse=True)
def closed_figures():
    """Leave no figure open."""
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def rows():
    return Autoencoder(**SETTINGS).fit(X)


@pytest.fixture(scope="module")
def images():
    return Autoencoder(**SETTINGS).fit(DIGITS.images[:100].astype("uint8"))


# -- inputs above outputs ----------------------------------------------------------------------------------------------


def test_images(images):
    X_images = DIGITS.images[:5].astype("uint8")
    display = ReconstructionDisplay.from_estimator(images, X_images, n_samples=3, titles="abc")
    assert display.axes_.shape == (2, 3)
    made = images.reconstruct(X_images)
    for i in range(3):
        (above,) = display.axes_[0, i].get_images()
        (below,) = display.axes_[1, i].get_images()
        assert_array_equal(above.get_array(), X_images[i])
        assert_allclose(below.get_array(), made[i])
        assert above.get_clim() == below.get_clim() == (0, X_images[:3].max())
        assert display.axes_[0, i].get_title() == "abc"[i]
    assert [ax.get_ylabel() for ax in display.axes_[:, 0]] == ["input", "output"]
    assert display.ax_ is display.axes_[0, 0]
    assert display.figure_ is display.ax_.figure


def test_originals_are_above(images):
    X_images = DIGITS.images[:4]
    display = ReconstructionDisplay.from_estimator(images, X_images + 1, originals=X_images, image_kw={"cmap": "bone"})
    assert display.axes_.shape == (3, 4)
    assert [ax.get_ylabel() for ax in display.axes_[:, 0]] == ["original", "input", "output"]
    assert_array_equal(display.axes_[0, 2].get_images()[0].get_array(), X_images[2])
    assert display.ax_.get_images()[0].get_cmap().name == "bone"


def test_rows_are_curves_unless_they_are_images(rows):
    display = ReconstructionDisplay.from_estimator(rows, X, n_samples=2, line_kw={"lw": 3})
    (line,) = display.axes_[0, 1].get_lines()
    assert_array_equal(line.get_ydata(), X[1])
    assert line.get_linewidth() == 3
    (line,) = display.axes_[1, 1].get_lines()
    assert_allclose(line.get_ydata(), rows.reconstruct(X)[1])
    assert display.axes_[0, 0].get_ylim() == display.axes_[1, 1].get_ylim()
    display = ReconstructionDisplay.from_estimator(rows, X, image_shape=(8, 8))
    assert display.axes_[0, 7].get_images()[0].get_array().shape == (8, 8)


def test_sequences():
    data = np.random.default_rng(0).normal(size=(10, 6, 2)).cumsum(axis=1)
    ae = Autoencoder(encoder=[Recurrent("gru", 1)], decoder=[Recurrent("gru", 4)], max_iter=2, random_state=0)
    display = ReconstructionDisplay.from_estimator(ae.fit(data), data, n_samples=3)
    assert display.kind == "sequences"
    assert [len(ax.get_lines()) for ax in display.axes_.ravel()] == [2] * 6


def test_sequences_that_end_before_others():
    data = np.random.default_rng(0).normal(size=(10, 6, 2))
    lists = [sequence[: 2 + i % 5] for i, sequence in enumerate(data)]
    ae = Autoencoder(encoder=[Recurrent("gru", 1)], decoder=[Recurrent("gru", 4)], max_iter=2, random_state=0)
    ae.fit(lists)
    display = ReconstructionDisplay.from_estimator(ae, lists, n_samples=3)
    for i in range(3):
        for ax, curves in zip(display.axes_[:, i], (data, ae.reconstruct(lists)), strict=True):
            drawn = np.column_stack([line.get_ydata() for line in ax.get_lines()])
            assert_allclose(drawn[: 2 + i], curves[i, : 2 + i])
            assert np.isnan(drawn[2 + i :]).all()
    assert ReconstructionDisplay.from_estimator(ae, data[:, :4]).axes_.shape == (2, 8)


def test_sparse_rows_and_arrays_of_titles(rows):
    display = ReconstructionDisplay.from_estimator(rows, sparse.coo_matrix(X), n_samples=2, titles=Y[:2])
    assert_array_equal(display.axes_[0, 1].get_lines()[0].get_ydata(), X[1])
    assert [ax.get_title() for ax in display.axes_[0]] == ["0", "1"]


def test_whatever_transforms_and_back():
    pipe = make_pipeline(StandardScaler(), PCA(5)).fit(X)
    display = ReconstructionDisplay.from_estimator(pipe, X, image_shape=(8, 8))
    shown = display.axes_[1, 0].get_images()[0].get_array()
    assert_allclose(shown.ravel(), pipe.inverse_transform(pipe.transform(X))[0])
    search = GridSearchCV(Autoencoder(**SETTINGS), {"alpha": [0.1]}, cv=2).fit(X)
    assert ReconstructionDisplay.from_estimator(search, X).axes_.shape == (2, 8)


def test_what_cannot_be_reconstructed(rows):
    with pytest.raises(TypeError, match="An estimator with a method reconstruct"):
        ReconstructionDisplay.from_estimator(LogisticRegression(), X)
    with pytest.raises(ValueError, match="n_samples must be an integer from 1 up"):
        ReconstructionDisplay.from_estimator(rows, X, n_samples=0)
    with pytest.raises(ValueError, match="There are 4 panels"):
        ReconstructionDisplay.from_estimator(rows, X, n_samples=2, ax=plt.subplots(1, 3)[1])
    for settings, words in [
        ({"outputs": X[:3, :9]}, "must be of one shape"),
        ({"kind": "curves"}, "kind must be"),
    ]:
        given = {"inputs": X[:3], "outputs": X[:3], "kind": "sequences", **settings}
        with pytest.raises(ValueError, match=words):
            ReconstructionDisplay(**given).plot()
    with pytest.raises(ValueError, match="There are 2 rows, but 1 labels"):
        ReconstructionDisplay(inputs=X[:2], outputs=X[:2], kind="sequences").plot(labels=["a"])


# -- codes -------------------------------------------------------------------------------------------------------------


def test_points_have_the_colours_of_their_classes(rows):
    display = LatentDisplay.from_estimator(rows, X, Y, components=(2, 0))
    codes = rows.transform(X)
    assert len(display.points_) == 10
    for digit, points in enumerate(display.points_):
        assert_allclose(points.get_offsets(), codes[digit == Y][:, [2, 0]])
    assert len({tuple(points.get_facecolor()[0]) for points in display.points_}) == 10
    assert [text.get_text() for text in display.legend_.get_texts()] == [str(digit) for digit in range(10)]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Code 2", "Code 0")
    assert display.image_ is None


def test_points_without_classes_and_of_numbers(rows):
    assert len(LatentDisplay.from_estimator(rows, X).points_) == 1
    (points,) = LatentDisplay.from_estimator(rows, X, X.sum(axis=1)).points_
    assert_allclose(points.get_array(), X.sum(axis=1))


@pytest.mark.parametrize("y", [None, Y, X.sum(axis=1)], ids=["plain", "classes", "numbers"])
def test_keywords_for_points_replace_what_they_name(rows, y):
    for colour in ("c", "color", "facecolor"):
        display = LatentDisplay.from_estimator(rows, X, y, scatter_kw={colour: "red", "lw": 2, "label": "all"})
        for points in display.points_:
            assert_array_equal(points.get_facecolor()[0, :3], [1, 0, 0])
            assert_array_equal(points.get_linewidth(), [2])
            assert points.get_label() == "all"


def test_colours_may_be_a_map_of_ones_own(rows):
    cmap = plt.get_cmap("magma")
    display = LatentDisplay.from_estimator(rows, X, Y[:, np.newaxis], cmap=cmap)
    assert_allclose(display.points_[-1].get_facecolor()[0, :3], cmap(1.0)[:3])
    with pytest.raises(ValueError, match="y should be a 1d array"):
        LatentDisplay(codes=X[:, :2], y=X).plot()


def test_a_grid_is_decoded(images):
    X_images = DIGITS.images[:100]
    display = LatentDisplay.from_estimator(images, X_images, grid=3, components=(0, 1))
    codes = images.transform(X_images)
    low, high = np.quantile(codes, [0.05, 0.95], axis=0)
    left, right, bottom, top = display.extent
    assert_allclose([left, right, bottom, top], [low[0], high[0], low[1], high[1]])
    corner = np.median(codes, axis=0)
    corner[:2] = [right, bottom]
    expected = images.inverse_transform([corner])[0]
    assert_allclose(display.decoded[0, 2, :, :, 0], expected)
    alone = LatentDisplay.from_estimator(images, X_images, grid=1, components=(0, 1))
    assert_allclose(alone.decoded[0, 0], display.decoded[1, 1], rtol=1e-5, atol=1e-5)
    mosaic = display.image_.get_array()
    assert mosaic.shape == (24, 24)
    assert_allclose(mosaic[-8:, -8:], expected)  # at the bottom, on the right
    assert len(display.axes_) == 2
    between = [lines.get_segments() for lines in display.axes_[1].collections]  # gaps
    step = (right - left) / 2
    assert_allclose([line[0, 0] for line in between[0]], [left + step / 2, right - step / 2])
    assert display.axes_[1].get_xlim() == pytest.approx((left - step / 2, right + step / 2))
    assert [len(lines) for lines in between] == [2, 2]


def test_what_are_no_codes(rows):
    with pytest.raises(TypeError, match="needs an estimator with transform, got"):
        LatentDisplay.from_estimator(LogisticRegression(), X)
    with pytest.raises(ValueError, match="components must be two numbers of codes"):
        LatentDisplay.from_estimator(rows, X, components=(0, 3))
    with pytest.raises(ValueError, match="codes must have the shape"):
        LatentDisplay(codes=X).plot()
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LatentDisplay(codes=X[:, :2], y=Y[:9]).plot()
    with pytest.raises(ValueError, match="decoded must have the shape"):
        LatentDisplay(codes=X[:, :2], decoded=X).plot()
