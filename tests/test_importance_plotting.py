"""Display of the importance of time steps: what is drawn, and how it is labelled."""

import itertools

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.metrics import make_scorer, mean_absolute_error
from test_inspection import StepRegressor, padded, sequences
from test_plotting import closed_figures, draw, ticks_in_view  # noqa: F401

from skneural import LSTMRegressor
from skneural.inspection import timestep_importance
from skneural.plotting import TimestepImportanceDisplay

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")

NAN = np.nan
IMPORTANCE = np.array([0.1, -0.05, 0.3, 0.7])


def test_bars():
    display = TimestepImportanceDisplay.from_importance(IMPORTANCE)
    assert [bar.get_height() for bar in display.bars_] == IMPORTANCE.tolist()
    assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in display.bars_], np.arange(4))
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Time step", "Importance")
    assert ticks_in_view(display.ax_.xaxis) == [0, 1, 2, 3]
    assert display.figure_ is display.ax_.figure
    assert display.line_ is display.image_ is display.colorbar_ is None


def test_line_of_many_steps():
    display = TimestepImportanceDisplay(importance=np.arange(61.0)).plot()
    assert display.bars_ is None
    assert_array_equal(display.line_.get_xydata(), np.column_stack([np.arange(61)] * 2))
    steps = [-8, -4, -2, -1]
    display = TimestepImportanceDisplay.from_importance(IMPORTANCE, timesteps=steps, kind="line")
    assert_array_equal(display.line_.get_xydata(), np.column_stack([steps, IMPORTANCE]))
    assert display.ax_.get_xlim() == (-8.5, -0.5)
    bars = TimestepImportanceDisplay.from_importance(np.ones(61), kind="bar", bar_kw={"color": "r"}).bars_
    assert len(bars) == 61
    assert bars[0].get_facecolor() == (1, 0, 0, 1)


def test_map():
    importance = np.arange(8.0).reshape(4, 2) - 1
    display = TimestepImportanceDisplay.from_importance(
        importance, timesteps=range(-4, 0), feature_names=["load", "wind"], importance_name="Change", cmap="plasma"
    )
    assert_array_equal(display.image_.get_array(), importance.T)
    edges = display.image_.get_coordinates()
    assert_array_equal(edges[0, :, 0], [-4.5, -3.5, -2.5, -1.5, -0.5])
    assert_array_equal(edges[:, 0, 1], [-0.5, 0.5, 1.5])
    assert display.image_.get_clim() == (-1, 6)
    assert display.image_.get_cmap().name == "plasma"
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["load", "wind"]
    assert display.ax_.yaxis_inverted()  # the first feature on top
    assert display.colorbar_.ax.get_ylabel() == "Change"
    assert ticks_in_view(display.ax_.xaxis) == [-4, -3, -2, -1]
    names = [
        label.get_text() for label in TimestepImportanceDisplay(importance=[[1.0] * 3]).plot().ax_.get_yticklabels()
    ]
    assert names == ["x0", "x1", "x2"]
    draw()


@pytest.mark.parametrize("count", [3, 40])
def test_names_do_not_overlap(count):
    names = [f"lag {i}" for i in range(count, 0, -1)]
    _, axes = plt.subplots(1, 2, figsize=(7, 2), layout="constrained")
    TimestepImportanceDisplay.from_importance(np.ones(count), timesteps=names, ax=axes[0])
    TimestepImportanceDisplay.from_importance(np.ones((5, count)), feature_names=names, ax=axes[1])
    draw()
    for labels, sides in ((axes[0].get_xticklabels(), "x0 x1"), (axes[1].get_yticklabels()[::-1], "y0 y1")):
        assert labels[0 if sides[0] == "x" else -1].get_text() == names[0]
        low, high = sides.split()
        boxes = [label.get_window_extent() for label in labels]
        assert all(getattr(a, high) < getattr(b, low) for a, b in itertools.pairwise(boxes))
        assert len(labels) == 3 or count == 40


def test_importance_is_measured():
    X = sequences()
    reg = StepRegressor((1.0, -2.0), step=2).fit(X)
    y = reg.predict(X)
    _, ax = plt.subplots()
    display = TimestepImportanceDisplay.from_estimator(reg, X, ax=ax)
    assert display.ax_ is ax
    assert [bar.get_height() for bar in display.bars_] == timestep_importance(reg, X).tolist()
    assert ax.get_ylabel() == "Mean change of the prediction"
    settings = {"method": "permutation", "n_repeats": 2, "random_state": 0, "per_feature": True}
    weights = np.arange(30.0)
    display = TimestepImportanceDisplay.from_estimator(reg, X, y, sample_weight=weights, **settings)
    importance = timestep_importance(reg, X, y, sample_weight=weights, **settings)
    assert_array_equal(display.image_.get_array(), importance.T)
    assert_array_equal(display.importance, importance)
    assert display.colorbar_.ax.get_ylabel() == "Decrease in R²"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_network_of_padded_sequences():
    X = padded()
    reg = LSTMRegressor(max_iter=2, random_state=0).fit(X, np.nansum(X, axis=(1, 2)))
    display = TimestepImportanceDisplay.from_estimator(reg, X)
    changed = X.copy()
    changed[:, 2] = np.where(np.isnan(X[:, 2]), NAN, np.nanmean(X[:, 2], axis=0))
    assert_allclose(display.importance[2], np.abs(reg.predict(changed) - reg.predict(X)).mean(), rtol=1e-9)
    assert (display.importance > 0).all()


def test_names_of_measures():
    X = sequences()[:, :, 0]
    y, labels = X[:, 1], np.where(X[:, 1] > 0, "b", "a")
    reg, clf = LinearRegression().fit(X, y), LogisticRegression().fit(X, labels)
    for est, target, scoring, name in [
        (clf, None, None, "Mean change of the probabilities"),
        (RidgeClassifier().fit(X, labels), None, None, "Share of changed predictions"),
        (clf, labels, None, "Decrease in accuracy"),
        (clf, labels, "neg_log_loss", "Increase in log loss"),
        (reg, y, "r2", "Decrease in R²"),
        (reg, y, "neg_mean_absolute_error", "Increase in mean absolute error"),
        (reg, y, make_scorer(mean_absolute_error, greater_is_better=False), "Decrease in score"),
    ]:
        assert TimestepImportanceDisplay.from_estimator(est, X, target, scoring=scoring).importance_name == name


def test_columns_of_a_frame_are_the_steps():
    frame = pd.DataFrame(sequences()[:, :, 0], columns=["lag 4", "lag 3", "lag 2", "lag 1"])
    display = TimestepImportanceDisplay.from_estimator(LinearRegression().fit(frame, frame["lag 2"]), frame)
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == list(frame.columns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"importance": np.ones((2, 2, 2))}, r"must have the shape .*, got shape \(2, 2, 2\)"),
        ({"importance": []}, r"got shape \(0,\)"),
        ({"timesteps": [1, 2]}, "timesteps must hold one number or name for each of 4 steps"),
        ({"timesteps": [1, 2, 2, 3]}, "timesteps must be ascending numbers"),
        ({"importance": np.ones((4, 2)), "feature_names": ["a"]}, "feature_names must hold one name for each of 2"),
        ({"kind": "map"}, "Unknown kind: 'map'. Should be one of 'auto', 'bar' or 'line'"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        TimestepImportanceDisplay.from_importance(**{"importance": IMPORTANCE, **changes})
