"""Previews of what augmentation makes of sequences: the versions, and the picture of them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_plotting import closed_figures, draw, legend_of  # noqa: F401

from skneural.layers import Augmentation, SequenceAugmentation
from skneural.plotting import SequenceAugmentationDisplay

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")

WAVES = 3.0 + np.sin(np.arange(40.0) / np.array([[5.0], [3.0]]))
EVERYTHING = SequenceAugmentation(jitter=0.1, scaling=0.1, time_shift=0.1, time_warp=0.2)


def walks():
    """Sequences of different length with two features."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, 2)).cumsum(axis=0) for n in (9, 1, 5)]


def padded(sequences):
    longest = max(map(len, sequences))
    return np.stack([np.pad(x, ((0, longest - len(x)), (0, 0)), constant_values=np.nan) for x in sequences])


def test_versions_of_an_augmentation_that_changes_nothing():
    display = SequenceAugmentation().preview(WAVES, 3)
    assert_allclose(display.versions, np.repeat(WAVES[:, None], 3, axis=1), rtol=1e-12)


def test_jitter_is_in_units_of_the_deviation():
    X = 100 * np.random.default_rng(0).normal(size=(2, 400)) + 7
    noise = SequenceAugmentation(jitter=0.1).preview(X, 4).versions - X[:, None]
    assert noise.std() == pytest.approx(0.1 * X.std(), rel=0.1)


def test_versions_of_a_shift_are_the_sequence_from_another_step():
    X = np.arange(41.0)[None]
    versions = SequenceAugmentation(time_shift=0.2).preview(X, 5).versions[0]
    shifts = versions[:, 20] - 20
    assert (abs(shifts) < 8).all()
    assert len(np.unique(shifts)) == 5
    assert_allclose(versions, np.clip(np.arange(41) + shifts[:, None], 0, 40), atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_versions_have_the_form_of_the_sequences(dtype):
    X = (10 * WAVES).astype(dtype)
    flat = EVERYTHING.preview(X, 3)
    assert flat.versions.shape == (2, 3, 40)
    assert_array_equal(flat.sequences, X)
    deep = EVERYTHING.preview(X[:, :, None], 3)
    assert deep.versions.shape == (2, 3, 40, 1)
    assert_array_equal(deep.versions[..., 0], flat.versions)


def test_random_states_draw():
    found = [EVERYTHING.preview(WAVES, 2, random_state=seed).versions for seed in (0, 0, 1)]
    assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    assert_array_equal(EVERYTHING.preview(WAVES, 2).versions, found[0])
    assert (found[0][:, 0] != found[0][:, 1]).any()


def test_sequences_of_different_length_end_where_they_ended():
    X = walks()
    display = EVERYTHING.preview(X, 4)
    assert_array_equal(display.sequences, padded(X))
    missing = np.broadcast_to(np.isnan(padded(X))[:, None], display.versions.shape)
    assert_array_equal(np.isnan(display.versions), missing)
    assert_array_equal(EVERYTHING.preview(padded(X), 4).versions, display.versions)
    longer = np.pad(padded(X), ((0, 0), (0, 3), (0, 0)), constant_values=np.nan)
    assert_array_equal(EVERYTHING.preview(longer, 4).versions[:, :, :9], display.versions)


# -- the picture -------------------------------------------------------------------------------------------------------


def test_lines_are_the_versions_and_the_sequence():
    display = EVERYTHING.preview(walks(), 3)
    draw()
    assert display.axes_.shape == (3, 2)
    assert display.ax_ is display.axes_[0, 0]
    assert [len(lines) for lines in display.lines_] == [4] * 6
    for (i, j), panel in np.ndenumerate(display.axes_):
        lines = display.lines_[2 * i + j]
        assert list(panel.get_lines()) == lines
        for version, line in zip(display.versions[i], lines, strict=False):
            assert_array_equal(line.get_ydata(), version[:, j])
        assert_array_equal(lines[-1].get_ydata(), display.sequences[i, :, j])
        assert_array_equal(lines[-1].get_xdata(), np.arange(9))
    assert legend_of(display.ax_) == ["Versions", "Sequence"]
    assert [panel.get_title() for panel in display.axes_[0]] == ["x0", "x1"]
    assert [panel.get_xlabel() for panel in display.axes_[:, 0]] == ["", "", "Time step"]
    assert len({panel.get_xlim() for panel in display.axes_.ravel()}) == 1


def test_sequences_stand_out():
    versions = SequenceAugmentation(jitter=0.1).preview(WAVES, 2).lines_[0]
    assert versions[-1].get_linewidth() > versions[0].get_linewidth()
    assert versions[-1].get_color() != versions[0].get_color()


def test_keywords_reach_matplotlib():
    display = EVERYTHING.preview(WAVES, 2, sequence_kw={"lw": 4}, version_kw={"ls": ":", "label": "seen in training"})
    *versions, sequence = display.lines_[1]
    assert sequence.get_linewidth() == 4
    assert [line.get_linestyle() for line in versions] == [":", ":"]
    assert legend_of(display.ax_) == ["seen in training", "Sequence"]


def test_axes_that_are_given():
    _, axes = plt.subplots(1, 2)
    display = EVERYTHING.preview(WAVES, 2, ax=axes)
    assert list(display.axes_[:, 0]) == list(axes)
    assert display.figure_ is axes[0].figure
    _, ax = plt.subplots()
    assert EVERYTHING.preview(WAVES, 2, ax=ax).axes_.shape == (2, 1)  # divided
    draw()
    _, three = plt.subplots(1, 3)
    with pytest.raises(ValueError, match="There are 4 panels: ax must hold as many Axes"):
        EVERYTHING.preview(np.ones((4, 5)), 2, ax=three)


def test_versions_that_are_there_already():
    display = SequenceAugmentationDisplay(sequences=WAVES, versions=WAVES[:, None] + 1).plot()
    assert_array_equal(display.lines_[1][0].get_ydata(), WAVES[1] + 1)
    with pytest.raises(ValueError, match=r"versions an axis more .* got \(2, 40\) and \(2, 3, 39\)"):
        SequenceAugmentationDisplay(sequences=WAVES, versions=np.zeros((2, 3, 39))).plot()


@pytest.mark.parametrize(
    ("augmentation", "X", "words"),
    [
        (None, WAVES, "augmentation must be a layers.SequenceAugmentation, got None"),
        (Augmentation(), WAVES, "augmentation must be a layers.SequenceAugmentation, got Augmentation"),
        (EVERYTHING, WAVES[0], r"Expected X of shape \(n_samples, n_timesteps, n_features\), .* with 1 dimensions"),
        (EVERYTHING, np.zeros((2, 3, 4, 5)), "got an array with 4 dimensions"),
        (EVERYTHING, [[1.0, np.nan, 2.0]], "Input X contains NaN: first in sequence 0, time step 1"),
        (EVERYTHING, [np.zeros((3, 2)), np.zeros((3, 1))], "All sequences must have the same number of features"),
        (SequenceAugmentation(time_warp=0.5), WAVES, "time_warp of SequenceAugmentation must be"),
    ],
)
def test_previews_of_nothing_are_errors(augmentation, X, words):
    with pytest.raises((TypeError, ValueError), match=words):
        SequenceAugmentationDisplay.from_sequences(augmentation, X)


def test_numbers_of_versions_that_are_refused():
    with pytest.raises(ValueError, match="n must be an integer from 1 up, got 0"):
        EVERYTHING.preview(WAVES, 0)
