"""Augmentation: against SciPy's interpolation with the same draws, and what stays the same."""

import math
import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import map_coordinates
from sklearn.base import clone
from sklearn.utils._param_validation import InvalidParameterError
from stacks import in_buffer

import skneural
from skneural import CNNClassifier, NetworkClassifier
from skneural.backends.cpu.engine import Trainer
from skneural.backends.inputs import Sequences
from skneural.inspection import saliency
from skneural.layers import Augmentation, Dense, GlobalPool, Recurrent, Reshape, SequenceAugmentation, Standardize
from skneural.maths import augmentation as maths
from skneural.maths import random
from skneural.network.initializers import initialize
from skneural.network.program import lower
from skneural.plotting import AugmentationDisplay

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SEED = 5
#: The names that SciPy has for what stands beyond the edges.
MODES = {"nearest": "nearest", "constant": "grid-constant", "reflect": "mirror", "wrap": "grid-wrap"}
EVERYTHING = Augmentation(
    rotation=40,
    width_shift=0.3,
    height_shift=0.2,
    zoom=0.3,
    horizontal_flip=True,
    vertical_flip=True,
    brightness=0.5,
    contrast=0.4,
)


def changed(layers, shape, X, lengths=None, n_threads=1):
    """What the last of some layers makes of samples in the first step of training."""
    n_samples = len(X)
    n_steps = math.prod(shape[:-1])
    program = lower(
        [*layers, GlobalPool(), Dense(1)],
        shape[-1],
        n_timesteps=n_steps,
        dtype=X.dtype.type,
        loss="squared_error",
    )
    values = Sequences(X.reshape(n_samples, n_steps, shape[-1]), lengths)
    targets = np.zeros((n_samples, 1), X.dtype)
    trainer = Trainer(
        program, initialize(program, 0), values, targets, None, n_threads=n_threads, alpha=0.0, seed=SEED
    )  # fmt: skip
    trainer.loss_and_gradient()
    value = next(operation.output for operation in program.operations if operation.kind.startswith("augment"))
    found = in_buffer(trainer, value, value.y).reshape(X.shape).copy()
    trainer.close()
    return found


def augmented(X, layer, **options):
    """Images as a layer changes them."""
    return changed([Reshape(X.shape[1:]), layer], X.shape[1:], X, **options)


def images(n=12, shape=(7, 9, 3), dtype=np.float64):
    return np.random.default_rng(0).normal(size=(n, *shape)).astype(dtype)


def draws(row, numbers):
    """What the first step draws for a row."""
    key = random.layer_key(SEED, random.AUGMENTATION, 0, 0)
    return [maths.drawn(key, row, number) for number in numbers]


def by_scipy(image, row, layer):
    """What becomes of one image, by SciPy's interpolation."""
    height, width, _ = image.shape
    angle, zoom, down, right, flip_y, flip_x, light, factor = draws(row, range(8))
    angle *= math.radians(layer.rotation)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turn /= 1 + layer.zoom * zoom
    middle = (np.array([height, width]) - 1) / 2
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)
    places = (grid - middle) @ turn.T + middle + [layer.height_shift * height * down, layer.width_shift * width * right]
    if layer.vertical_flip and flip_y < 0:
        places[..., 0] = height - 1 - places[..., 0]
    if layer.horizontal_flip and flip_x < 0:
        places[..., 1] = width - 1 - places[..., 1]
    places = np.moveaxis(places, -1, 0)
    channels = [map_coordinates(channel, places, order=1, mode=MODES[layer.fill]) for channel in image.T.swapaxes(1, 2)]
    return np.stack(channels, axis=-1) * (1 + layer.contrast * factor) + layer.brightness * light


# -- images ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize("shape", [(7, 9, 3), (1, 5, 1), (6, 6, 2)])
def test_images_are_those_of_scipy(fill, shape):
    X = images(shape=shape)
    layer = Augmentation(**{**vars(EVERYTHING), "fill": fill})
    found = augmented(X, layer)
    for row, image in enumerate(X):
        assert_allclose(found[row], by_scipy(image, row, layer), rtol=0, atol=1e-10)


def test_single_precision_is_close():
    found = augmented(images(dtype=np.float32), EVERYTHING)
    # Places in the image are single numbers, too: their last bit is 1e-6 of a pixel.
    assert_allclose(found, augmented(images().astype(np.float32).astype(float), EVERYTHING), rtol=0, atol=1e-5)


def test_images_that_nothing_changes_stay_as_they_are():
    X = images()
    assert_array_equal(augmented(X, Augmentation()), X)


def test_flips_move_whole_pixels():
    X = images(n=40)
    found = augmented(X, Augmentation(horizontal_flip=True, vertical_flip=True))
    kinds = [np.s_[:, :], np.s_[::-1, :], np.s_[:, ::-1], np.s_[::-1, ::-1]]
    counts = [sum(np.array_equal(y, x[kind]) for x, y in zip(X, found, strict=True)) for kind in kinds]
    assert sum(counts) == len(X)
    assert min(counts) >= 4


def test_a_rectangle_is_cut_out():
    X = images(n=60, shape=(10, 8, 2)) + 10
    found = augmented(X, Augmentation(cutout=0.5))
    is_cut = (found == 0).all(axis=3)
    assert_array_equal(found[~is_cut], X[~is_cut])
    for row, image in enumerate(is_cut):
        middles = (np.array(draws(row, (maths.CUT_Y, maths.CUT_X))) + 1) / 2 * image.shape
        inside = [abs(np.arange(n) + 0.5 - middle) < 0.25 * n for n, middle in zip(image.shape, middles, strict=True)]
        assert_array_equal(image, np.outer(*inside))
    assert is_cut.any(axis=(1, 2)).all()
    assert is_cut.sum(axis=(1, 2)).max() == 5 * 4


def test_any_number_of_threads_and_rows_draws_the_same():
    X = images()
    expected = augmented(X, EVERYTHING)
    assert_array_equal(augmented(X, EVERYTHING, n_threads=3), expected)
    assert_array_equal(augmented(X[:5], EVERYTHING), expected[:5])


def test_sines_are_accurate():
    angles = np.linspace(-2 * math.pi, 2 * math.pi, 1001)
    assert_allclose([maths.sine(angle) for angle in angles], np.sin(angles), rtol=0, atol=1e-13)


# -- sequences ---------------------------------------------------------------------------------------------------------


def sequences(n=9, n_steps=12, n_channels=2):
    X = np.random.default_rng(1).normal(size=(n, n_steps, n_channels))
    lengths = np.random.default_rng(2).integers(1, n_steps + 1, n)
    lengths[:3] = n_steps, 1, 2
    X[np.arange(n_steps) >= lengths[:, None]] = np.nan
    return X, lengths


def augmented_sequences(layer, X, lengths, **options):
    return changed([layer], X.shape[1:], X, lengths, **options)


def test_time_is_that_of_numpy():
    X, lengths = sequences()
    layer = SequenceAugmentation(time_shift=0.2, time_warp=0.4)
    found = augmented_sequences(layer, X, lengths)
    for row, length in enumerate(lengths):
        shift, once, twice = draws(row, range(3))
        share = np.arange(length) / max(length - 1, 1)
        once = 0.4 * once * np.sin(math.pi * share) / math.pi
        twice = 0.4 * twice * np.sin(2 * math.pi * share) / (2 * math.pi)
        places = np.clip((share + once + twice + 0.2 * shift) * (length - 1), 0, length - 1)
        for j in range(X.shape[2]):
            expected = np.interp(places, np.arange(length), X[row, :length, j])
            assert_allclose(found[row, :length, j], expected, rtol=0, atol=1e-10)
        assert_array_equal(found[row, length:], 0)


def test_warped_time_never_runs_backwards():
    rng = np.random.default_rng(0)
    for once, twice in rng.uniform(-0.5, 0.5, (200, 2)):
        places = [maths.warped_time(t, 40, 0.0, once, twice) for t in range(41)]
        assert (np.diff(places) >= 0).all()
        assert_allclose([places[0], places[-1]], [0, 40], atol=1e-10)


def test_channels_are_scaled_as_a_whole():
    X = np.random.default_rng(1).normal(size=(400, 5, 3))
    factors = augmented_sequences(SequenceAugmentation(scaling=0.2), X, None) / X
    assert_allclose(factors, np.broadcast_to(factors[:, :1], factors.shape), rtol=1e-10)
    assert factors.mean() == pytest.approx(1, abs=0.03)
    assert factors[:, 0].std() == pytest.approx(0.2, rel=0.1)


def test_jitter_is_noise():
    X = np.zeros((100, 20, 2))
    found = augmented_sequences(SequenceAugmentation(jitter=0.3), X, None)
    assert found.mean() == pytest.approx(0, abs=0.02)
    assert found.std() == pytest.approx(0.3, rel=0.05)
    assert len(np.unique(found)) > 0.99 * found.size


def test_padding_and_threads_do_not_matter_to_sequences():
    X, lengths = sequences()
    layer = SequenceAugmentation(0.1, 0.1, 0.2, 0.3)
    found = augmented_sequences(layer, X, lengths)
    assert_array_equal(augmented_sequences(layer, X, lengths, n_threads=3), found)
    longer = np.concatenate([X, np.full((len(X), 4, 2), np.nan)], axis=1)
    padded = augmented_sequences(layer, longer, lengths)
    assert_array_equal(padded[:, : X.shape[1]], found)
    assert_array_equal(padded[:, X.shape[1] :], 0)


# -- estimators --------------------------------------------------------------------------------------------------------


def small(**settings):
    defaults = {"filters": (3,), "hidden_layer_sizes": (), "max_iter": 3, "batch_size": 8, "random_state": 0}
    return CNNClassifier(**{**defaults, **settings})


@pytest.fixture(scope="module")
def labelled():
    X = images(n=40, shape=(6, 5, 2), dtype=np.float32)
    return X, (X.sum(axis=(1, 2, 3)) > 0).astype(int)


def test_fits_are_reproducible_and_predictions_draw_nothing(labelled):
    X, y = labelled
    clf = small(augmentation=EVERYTHING).fit(X, y)
    again = clone(clf).set_params(n_jobs=2).fit(X, y)
    assert_array_equal(again._params, clf._params)
    plain = small().fit(X, y)
    assert not np.array_equal(plain._params, clf._params)
    plain._params[:] = clf._params
    assert_array_equal(plain.predict_proba(X), clf.predict_proba(X))


def test_files_and_pickles_hold_it(labelled, tmp_path):
    X, y = labelled
    clf = small(augmentation=Augmentation(rotation=10, fill="wrap")).fit(X, y)
    skneural.save(clf, tmp_path / "clf.skn")
    loaded = skneural.load(tmp_path / "clf.skn")
    assert loaded.augmentation == clf.augmentation
    assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert_array_equal(loaded.fit(X, y)._params, clf._params)


def test_a_network_of_layers_augments_sequences():
    X, _ = sequences(n=20)
    layers = [Standardize(), SequenceAugmentation(0.1, 0.1, 0.1, 0.1), Recurrent("gru", 3), GlobalPool()]
    clf = NetworkClassifier(layers, max_iter=2, random_state=0, input_noise=0.1)
    y = np.arange(20) % 2
    assert_array_equal(clf.fit(X, y)._params, clone(clf).set_params(n_jobs=2).fit(X, y)._params)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"zoom": 1.0}, "zoom of Augmentation must be a share in [0, 1), got 1.0."),
        ({"rotation": -3}, "rotation of Augmentation must be degrees in [0, 360), got -3."),
        ({"fill": "mirror"}, "fill of Augmentation must be one of ['constant', 'nearest', 'reflect', 'wrap']"),
        ({"horizontal_flip": 1}, "horizontal_flip of Augmentation must be True or False, got 1."),
    ],
)
def test_settings_that_mean_nothing_are_errors(labelled, settings, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        small(augmentation=Augmentation(**settings)).fit(*labelled)


def test_other_mistakes_are_errors(labelled):
    with pytest.raises(InvalidParameterError, match="'augmentation' parameter of CNNClassifier must be an instance of"):
        small(augmentation={"rotation": 10}).fit(*labelled)
    with pytest.raises(ValueError, match="augmentation needs a stochastic solver"):
        small(augmentation=Augmentation(), solver="lbfgs").fit(*labelled)
    with pytest.raises(ValueError, match="SequenceAugmentation must stand before all layers that learn something"):
        NetworkClassifier([Recurrent("gru", 3), SequenceAugmentation(), GlobalPool()]).fit(
            sequences()[0], np.arange(9) % 2
        )
    with pytest.raises(ValueError, match="Augmentation needs images, got sequences of shape"):
        NetworkClassifier([Augmentation(), GlobalPool()]).fit(sequences()[0], np.arange(9) % 2)


# -- previews and explanations -----------------------------------------------------------------------------------------


def test_previews_are_versions_of_the_images():
    pytest.importorskip("matplotlib").use("agg")
    X = np.random.default_rng(0).integers(0, 256, (3, 6, 8, 3)).astype(np.uint8)
    display = Augmentation(horizontal_flip=True).preview(X, 8)
    assert display.versions.dtype == np.uint8
    assert display.axes_.shape == (3, 9)
    flipped = (display.versions == X[:, None, :, ::-1]).all(axis=(2, 3, 4))
    as_it_is = (display.versions == X[:, None]).all(axis=(2, 3, 4))
    assert (flipped ^ as_it_is).all()
    assert flipped.any(axis=1).all()
    grey = Augmentation(brightness=1.0).preview(X[..., 0].astype(float), 2, random_state=3)
    shifts = grey.versions - X[:, None, :, :, 0]
    assert_allclose(shifts, np.broadcast_to(shifts[:, :, :1, :1], shifts.shape), atol=1e-3)
    display.figure_.clear()
    grey.figure_.clear()


@pytest.mark.parametrize(
    ("augmentation", "X", "words"),
    [
        (None, np.zeros((2, 5, 5)), "augmentation must be a layers.Augmentation, got None"),
        (Augmentation(), np.zeros((2, 5, 5, 2)), "Images of 1, 3 or 4 channels can be shown, got 2"),
        (Augmentation(), np.full((2, 5, 5), np.nan), "Input X contains NaN: first in image 0"),
        (Augmentation(), [np.zeros((5, 5)), np.zeros((4, 5))], r"Image 1 has shape \(4, 5\), image 0 has \(5, 5\)"),
        (Augmentation(), np.zeros((2, 5, 5), complex), "X must hold real numbers, got complex128"),
        (Augmentation(zoom=2), np.zeros((2, 5, 5)), "zoom of Augmentation must be a share"),
    ],
)
def test_previews_of_nothing_are_errors(augmentation, X, words):
    pytest.importorskip("matplotlib").use("agg")
    with pytest.raises((TypeError, ValueError), match=words):
        AugmentationDisplay.from_images(augmentation, X)


def test_explanations_read_images_as_they_are(labelled):
    X, y = labelled
    clf = small(augmentation=EVERYTHING).fit(X, y)
    plain = small().fit(X, y)
    plain._params[:] = clf._params
    assert_array_equal(saliency(clf, X[:5]), saliency(plain, X[:5]))
