"""Displays of images: what is shown of which layout, in which colours and words, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import CNNClassifier, CNNRegressor, MLPClassifier
from skneural.inspection import convolution_filters, layer_outputs, occlusion_importance, saliency
from skneural.plotting import FilterDisplay, ImageImportanceDisplay, ImagePredictionDisplay

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")
colors = pytest.importorskip("matplotlib.colors")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS = load_digits()


@pytest.fixture(autouse=True)
def closed_figures():
    """Leave no figure open."""
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cnn():
    """A network of digits, whose classes are text."""
    labels = np.array(list("abcdefghij"))[DIGITS.target[:300]]
    return CNNClassifier((4,), max_iter=3, dtype="float32", random_state=0).fit(DIGITS.images[:300], labels)


def small(*shape, **settings):
    """A network of random images, and these."""
    rng = np.random.default_rng(0)
    X = rng.random((12, *shape))
    y = np.arange(12) % 3
    return CNNClassifier((3,), max_iter=2, random_state=0, **settings).fit(X, y), X, y


def words(display):
    return [text.get_text() for text in display.texts_]


def frame_of(ax):
    """Colour and style of the frame of a panel."""
    (style,) = {(spine.get_edgecolor(), spine.get_linestyle()) for spine in ax.spines.values()}
    return style


# -- predictions -------------------------------------------------------------------------------------------------------


def test_right_and_wrong_differ_in_sign_words_colour_and_frame():
    display = ImagePredictionDisplay.from_predictions(
        DIGITS.images[:3], [0, 1, 2], [0, 1, 7], confidence=[0.999, 0.8, 0.55]
    )
    assert words(display) == ["✓ 0  100 %", "✓ 1  80 %", "✗ 7  55 %\ntrue: 2"]
    assert_array_equal(display.is_right_, [True, True, False])
    green, red = (colors.to_rgb(display.texts_[i].get_color()) for i in (0, 2))
    assert green[1] > max(green[0], green[2])
    assert red[0] > 2 * max(red[1:])
    assert frame_of(display.axes_[0]) != frame_of(display.axes_[2])
    assert {frame_of(ax)[1] for ax in display.axes_[:2]} == {"-"}
    assert frame_of(display.axes_[2])[1] == "--"
    # To who sees no red and green, or a print in grey, they differ in lightness or blue, and by the sign anyway.
    assert abs(green[2] - red[2]) > 0.2


def test_without_targets_nothing_is_right_or_wrong():
    display = ImagePredictionDisplay.from_predictions(DIGITS.images[:2], None, ["a", "b"])
    assert display.is_right_ is None
    assert words(display) == ["a", "b"]
    assert {text.get_color() for text in display.texts_} == {"0.3"}


def test_predictions_of_an_estimator(cnn):
    X = DIGITS.images[300:340]
    y = np.array(list("abcdefghij"))[DIGITS.target[300:340]]
    display = ImagePredictionDisplay.from_estimator(cnn, X, y, n_images=7)
    assert_array_equal(display.y_pred, cnn.predict(X[:7]))
    assert_array_equal(display.y_true, y[:7])
    assert_array_equal(display.confidence, cnn.predict_proba(X[:7]).max(axis=1))
    assert_array_equal(display.indices, np.arange(7))
    assert len(display.images_) == len(display.axes_) == 7
    for image, shown in zip(X, display.images_, strict=False):
        assert_array_equal(shown.get_array(), image)
        assert shown.get_clim() == (0, 16)
    assert display.ax_ is display.axes_[0]
    assert display.figure_ is display.ax_.figure


def test_only_the_wrong_ones_the_surest_first(cnn):
    X = DIGITS.images[300:400]
    y = np.array(list("abcdefghij"))[DIGITS.target[300:400]]
    wrong = np.flatnonzero(cnn.predict(X) != y)
    assert len(wrong) > 3
    display = ImagePredictionDisplay.from_estimator(cnn, X, y, only_wrong=True, n_images=len(wrong) - 1)
    assert set(display.indices) < set(wrong)
    assert_array_equal(np.sort(display.confidence)[::-1], display.confidence)
    assert not display.is_right_.any()
    assert all(text.startswith("✗") for text in words(display))
    given = ImagePredictionDisplay.from_predictions(X, y, cnn.predict(X), only_wrong=True, n_images=100)
    assert_array_equal(given.indices, wrong)


def test_nothing_is_wrong():
    display = ImagePredictionDisplay.from_predictions(DIGITS.images[:3], [0, 1, 2], [0, 1, 2], only_wrong=True)
    assert display.images_ == []
    assert words(display) == ["No image is predicted wrongly"]
    display.figure_.canvas.draw()


def test_names_of_classes(cnn):
    names = [f"digit {i}" for i in range(10)]
    display = ImagePredictionDisplay.from_estimator(cnn, DIGITS.images[:4], display_labels=names, n_images=4)
    expected = [f"digit {'abcdefghij'.index(label)}" for label in cnn.predict(DIGITS.images[:4])]
    assert [text.split("  ")[0] for text in words(display)] == expected
    by_label = ImagePredictionDisplay.from_predictions(DIGITS.images[:2], [0, 1], [0, 0], display_labels={0: "zero"})
    assert words(by_label) == ["✓ zero", "✗ zero\ntrue: 1"]
    with pytest.raises(ValueError, match="display_labels must hold one name for each of 10 classes"):
        ImagePredictionDisplay.from_estimator(cnn, DIGITS.images[:4], display_labels=names[1:])


LAYOUTS = {
    "shades": ((6, 5), {}, lambda X: X),
    "one channel": ((6, 5, 1), {}, lambda X: X[..., 0]),
    "colours": ((6, 5, 3), {}, lambda X: X),
    "channels first": ((3, 6, 5), {"input_format": "channels_first"}, lambda X: np.moveaxis(X, 1, 3)),
    "rows": ((30,), {"image_shape": (6, 5)}, lambda X: X.reshape(-1, 6, 5)),
    "rows of colours": (
        (90,),
        {"image_shape": (3, 6, 5), "input_format": "channels_first"},
        lambda X: np.moveaxis(X.reshape(-1, 3, 6, 5), 1, 3),
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    shape, settings, expected = LAYOUTS[layout]
    clf, X, y = small(*shape, **settings)
    for display in (
        ImagePredictionDisplay.from_estimator(clf, X, y, n_images=5),
        ImageImportanceDisplay.from_estimator(clf, X, y, n_images=5, patch_size=3),
        ImageImportanceDisplay.from_estimator(clf, X, y, n_images=5, method="saliency"),
    ):
        assert len(display.images_) == 5
        for shown, image in zip(display.images_, expected(X), strict=False):
            assert_allclose(shown.get_array(), image)
    display.figure_.canvas.draw()


def test_types_of_numbers():
    rng = np.random.default_rng(0)
    bytes_of_colours = rng.integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    for X, expected in [
        (bytes_of_colours, bytes_of_colours),
        (bytes_of_colours.astype(float), None),
        (rng.normal(size=(2, 4, 4, 3)), None),
        (rng.integers(0, 60000, (2, 4, 4, 3)).astype(np.uint16), None),
        (rng.random((2, 4, 4)) > 0.5, None),
        (rng.integers(0, 256, (2, 4, 4)).astype(np.uint8), None),
    ]:
        display = ImagePredictionDisplay.from_predictions(X, [0, 1], [0, 1])
        display.figure_.canvas.draw()
        shown = np.array([image.get_array() for image in display.images_])
        if expected is not None:
            assert_array_equal(shown, expected)
        elif X.ndim == 4:
            assert (shown.min(), shown.max()) == (0, 1)
            assert_array_equal(np.argsort(shown, axis=None), np.argsort(X, axis=None))
        else:
            assert display.images_[0].get_clim() == display.images_[1].get_clim() == (X.min(), X.max())


def test_rows_of_other_estimators():
    frame = pd.DataFrame(DIGITS.data[:200])
    frame.columns = [f"pixel {i}" for i in range(64)]
    y = DIGITS.target[:200]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, y)
    search = GridSearchCV(pipeline, {"logisticregression__C": [1, 2]}, cv=2).fit(frame, y)
    for est in (pipeline, search):
        display = ImagePredictionDisplay.from_estimator(est, frame, y, n_images=3)
        assert_array_equal(display.images_[2].get_array(), DIGITS.images[2])
    ridge = RidgeClassifier().fit(frame, y)
    display = ImagePredictionDisplay.from_estimator(ridge, frame, y, n_images=3, image_shape=(4, 16))
    assert display.confidence is None
    assert display.images_[0].get_array().shape == (4, 16)


def test_grids():
    X = np.zeros((5, 3, 3))
    display = ImagePredictionDisplay.from_predictions(X, None, range(5), n_columns=2)
    assert len(display.figure_.axes) == 6
    assert [ax.axison for ax in display.figure_.axes] == [True] * 5 + [False]
    figure, (left, right) = plt.subplots(1, 2)
    display = ImagePredictionDisplay.from_predictions(X, None, range(5), ax=left)
    assert display.ax_ is left
    assert set(display.axes_) == set(figure.axes[:1] + figure.axes[2:6])
    assert right.axison
    _, axes = plt.subplots(2, 3)
    display = ImagePredictionDisplay.from_predictions(X, None, range(5), ax=axes)
    assert display.axes_ == list(axes.ravel()[:5])
    assert not axes[1, 2].axison
    _, axes = plt.subplots(1, 5)
    display = ImagePredictionDisplay.from_predictions(X, None, range(5), ax=axes)
    assert display.axes_ == list(axes)
    with pytest.raises(ValueError, match="There are 5 panels: ax must hold as many Axes, or one of a grid, got 3"):
        ImagePredictionDisplay.from_predictions(X, None, range(5), ax=axes[:3])


def test_keywords_reach_matplotlib():
    X = np.zeros((2, 3, 3))
    display = ImagePredictionDisplay.from_predictions(
        X, None, [0, 1], cmap="bone", image_kw={"vmax": 5, "interpolation": "bilinear"}, text_kw={"color": "k"}
    )
    assert display.images_[0].get_cmap().name == "bone"
    assert display.images_[0].get_clim()[1] == 5
    assert display.images_[0].get_interpolation() == "bilinear"
    assert display.texts_[0].get_color() == "k"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.zeros((3, 4, 4, 2))}, "Images of 1, 3 or 4 channels can be shown, got 2"),
        ({"X": np.zeros(3)}, r"Expected X of shape \(n_images, height, width\)"),
        ({"X": np.zeros((3, 15))}, "image_shape must say what images the rows of 15 numbers are"),
        ({"y_true": [0, 1]}, "inconsistent numbers of samples"),
        ({"y_pred": [0, 1]}, "inconsistent numbers of samples"),
        ({"y_true": np.zeros((3, 2))}, "y should be a 1d array"),
        ({"confidence": [0.5]}, "inconsistent numbers of samples"),
        ({"only_wrong": True, "y_true": None}, "only_wrong=True needs y_true"),
        ({"n_images": 0}, "n_images must be an integer from 1 up, got 0"),
        ({"n_columns": 1.5}, "n_columns must be an integer from 1 up, got 1.5"),
    ],
)
def test_predictions_that_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ImagePredictionDisplay.from_predictions(
            **{"X": np.zeros((3, 4, 4)), "y_true": [0, 1, 2], "y_pred": [0, 1, 2]} | changes
        )


def test_estimators_that_are_refused(cnn):
    X = DIGITS.images[:20]
    with pytest.raises(NotFittedError):
        ImagePredictionDisplay.from_estimator(CNNClassifier(), X)
    reg = LinearRegression().fit(X.reshape(20, -1), np.arange(20))
    with pytest.raises(ValueError, match="needs a classifier, got LinearRegression"):
        ImagePredictionDisplay.from_estimator(reg, X.reshape(20, -1))
    several = MultiOutputClassifier(LogisticRegression()).fit(X.reshape(20, -1), np.arange(40).reshape(20, 2) % 4 > 1)
    with pytest.raises(
        ValueError, match=r"Predictions of one class a sample can be shown, got some of shape \(20, 2\)"
    ):
        ImagePredictionDisplay.from_estimator(several, X.reshape(20, -1))
    with pytest.raises(ValueError, match="only_wrong=True needs y:"):
        ImagePredictionDisplay.from_estimator(cnn, X, only_wrong=True)


# -- filters -----------------------------------------------------------------------------------------------------------


def test_filters_of_one_channel(cnn):
    display = FilterDisplay.from_estimator(cnn)
    filters = convolution_filters(cnn)
    assert_array_equal(display.filters, filters)
    for i, image in enumerate(display.images_):
        assert_allclose(image.get_array(), filters[:, :, 0, i])
    low, high = display.images_[0].get_clim()
    assert -low == high == pytest.approx(np.abs(filters).max())
    assert display.colorbar_.ax.get_ylabel() == "Weight"


def test_filters_of_colours_and_others():
    clf, _, _ = small(6, 5, 3)
    display = FilterDisplay.from_estimator(clf)
    filters = convolution_filters(clf)
    shown = np.array([image.get_array() for image in display.images_])
    assert_allclose(shown, 0.5 + filters.transpose(3, 0, 1, 2) / (2 * np.abs(filters).max()))
    assert display.colorbar_ is None
    clf, _, _ = small(6, 5, 2)
    display = FilterDisplay.from_estimator(clf)
    assert_allclose(display.images_[1].get_array(), convolution_filters(clf)[:, :, :, 1].mean(axis=-1))


def test_feature_maps(cnn):
    image = DIGITS.images[5]
    display = FilterDisplay.from_estimator(cnn, image)
    maps = layer_outputs(cnn, image[None], 2)[0]
    assert_array_equal(display.feature_maps, maps)
    assert display.colorbar_.ax.get_ylabel() == "Output"
    for i, shown in enumerate(display.images_):
        assert_array_equal(shown.get_array(), maps[:, :, i])
        assert shown.get_clim() == (maps.min(), maps.max())
    pooled = FilterDisplay.from_estimator(cnn, image, layer=3, max_panels=2, cmap="bone", image_kw={"vmin": -1})
    assert len(pooled.images_) == 2
    assert pooled.images_[0].get_array().shape == (4, 4)
    assert pooled.images_[0].get_cmap().name == "bone"
    assert pooled.images_[0].get_clim()[0] == -1


def test_feature_maps_of_rows_and_searches():
    X = np.random.default_rng(0).random((20, 3, 5, 6))
    clf = CNNClassifier((3,), max_iter=2, input_format="channels_first", image_shape=(3, 5, 6), random_state=0)
    search = GridSearchCV(clf, {"alpha": [0.1]}, cv=2).fit(X.reshape(20, -1), np.arange(20) % 2)
    display = FilterDisplay.from_estimator(search, X[0].ravel())
    assert display.feature_maps.shape == (5, 6, 3)


def test_filters_that_are_refused(cnn):
    with pytest.raises(ValueError, match=r"Layer 4 returns no images, but values of shape \(64,\) for each sample"):
        FilterDisplay.from_estimator(cnn, DIGITS.images[0], layer=4)
    with pytest.raises(ValueError, match=r"Layer 3, MaxPool2D.* has no convolution over images"):
        FilterDisplay.from_estimator(cnn, layer=3)
    X, y = DIGITS.data[:50], DIGITS.target[:50]
    for image in (None, X[0]):
        with pytest.raises(ValueError, match="This network has no convolution over images"):
            FilterDisplay.from_estimator(MLPClassifier((4,), max_iter=2).fit(X, y), image)
        with pytest.raises(TypeError, match="needs a network of this package"):
            FilterDisplay.from_estimator(LogisticRegression(max_iter=1000).fit(X, y), image)
    for wrong, message in [
        ({}, "Either filters or feature_maps are drawn"),
        ({"filters": np.ones((3, 3, 1, 2)), "feature_maps": np.ones((3, 3, 2))}, "Either filters or feature_maps"),
        ({"filters": np.ones((3, 3, 2))}, "filters must have the shape"),
        ({"feature_maps": np.ones((3, 3))}, "feature_maps must have the shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            FilterDisplay(**wrong).plot()


# -- importance --------------------------------------------------------------------------------------------------------


def test_importance_by_occlusion(cnn):
    X = DIGITS.images[:9]
    display = ImageImportanceDisplay.from_estimator(cnn, X, n_images=4, patch_size=3, stride=2, fill=0)
    expected = occlusion_importance(cnn, X[:4], patch_size=3, stride=2, fill=0)
    assert_array_equal(display.importance, expected)
    for shown, values in zip(display.maps_, expected, strict=True):
        assert_array_equal(shown.get_array(), values)
        assert shown.get_clim() == (-np.abs(expected).max(), np.abs(expected).max())
    assert [ax.get_title() for ax in display.axes_] == list(cnn.predict(X[:4]))
    assert display.colorbar_.ax.get_ylabel() == "Decrease of the probability"
    assert len(display.map_axes_) == 4


def test_importance_by_gradients(cnn):
    X = DIGITS.images[:3]
    display = ImageImportanceDisplay.from_estimator(cnn, X, "b", method="saliency", of="probability", same_scale=False)
    expected = np.abs(saliency(cnn, X, "b", of="probability"))
    assert_array_equal(display.importance, expected)
    assert display.importance_name == "Gradient of the probability"
    assert display.colorbar_ is None
    for shown, values in zip(display.maps_, expected, strict=True):
        assert shown.get_clim() == (0, values.max())
    clf, X, _ = small(6, 5, 3)
    display = ImageImportanceDisplay.from_estimator(clf, X, method="saliency", n_images=2)
    assert_array_equal(display.importance, np.abs(saliency(clf, X[:2])).max(axis=-1))


def test_names_of_importances():
    X = np.random.default_rng(0).random((12, 6, 6))
    reg = CNNRegressor((3,), max_iter=2, random_state=0).fit(X, X[:, 0, 0])
    ridge = RidgeClassifier().fit(X.reshape(12, -1), np.arange(12) % 2)
    for est, given, y, method, name in [
        (reg, X, None, "occlusion", "Change of the prediction"),
        (reg, X, X[:, 0, 0], "occlusion", "Increase of the error"),
        (reg, X, None, "saliency", "Gradient of the prediction"),
        (ridge, X.reshape(12, -1), None, "occlusion", "Share of other predictions"),
    ]:
        display = ImageImportanceDisplay.from_estimator(est, given, y, method=method, n_images=2)
        assert display.importance_name == name


def test_one_map_for_all_images():
    X = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
    display = ImageImportanceDisplay.from_importance(X, np.ones((4, 4)))
    assert_array_equal(display.images_[0].get_array(), X.mean(axis=0).astype(np.uint8))
    assert len(display.maps_) == 1
    assert display.colorbar_.ax.get_ylabel() == "Importance"


def test_bands_of_importances():
    X = np.zeros((8, 4, 4))
    display = ImageImportanceDisplay.from_importance(X, X + 1, titles=list("abcdefgh"), n_columns=3)
    panels = [ax for ax in display.figure_.axes if ax is not display.colorbar_.ax]
    assert len(panels) == 18
    rows = [panels[i : i + 3] for i in range(0, 18, 3)]
    assert display.axes_ == [*rows[0], *rows[2], *rows[4][:2]]
    assert display.map_axes_ == [*rows[1], *rows[3], *rows[5][:2]]
    assert not rows[4][2].axison
    assert display.axes_[7].get_title() == "h"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"importance": np.zeros((3, 4, 5))}, r"one number for each pixel, the shape \(3, 4, 4\), got \(3, 4, 5\)"),
        ({"titles": ["a"]}, "titles must hold one for each of 3 images, got 1"),
        ({"X": np.zeros((3, 4, 4, 2))}, "Images of 1, 3 or 4 channels can be shown"),
        ({"n_columns": 0}, "n_columns must be an integer from 1 up"),
    ],
)
def test_importances_that_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ImageImportanceDisplay.from_importance(
            **{"X": np.zeros((3, 4, 4)), "importance": np.zeros((3, 4, 4))} | changes
        )


def test_measures_that_are_refused(cnn):
    with pytest.raises(ValueError, match=r"Unknown method: 'lime'\. Should be one of 'occlusion' or 'saliency'"):
        ImageImportanceDisplay.from_estimator(cnn, DIGITS.images[:3], method="lime")
    with pytest.raises(NotFittedError):
        ImageImportanceDisplay.from_estimator(CNNClassifier(), DIGITS.images[:3])
