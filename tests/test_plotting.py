"""Displays and the summary: what stands in the pictures and tables, and what scikit-learn's displays make of us."""

import builtins
import doctest
import pickle
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from conftest import KINDS, estimator_for, problem
from numpy.testing import assert_array_equal
from sklearn.datasets import make_moons
from sklearn.exceptions import NotFittedError
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay, make_scorer, r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import MLPClassifier
from skneural.estimators._summary import Summary
from skneural.layers import Dense, Dropout, Noise, Residual
from skneural.network.program import lower
from skneural.plotting import (
    ForecastDisplay,
    GradientNormDisplay,
    TimestepImportanceDisplay,
    TrainingCurveDisplay,
    _training,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")

NAN = np.nan
HISTORY = {
    "loss": [0.9, 0.6, 0.4, 0.3, 0.2],
    "validation_loss": [1.0, 0.8, 0.6, 0.5, 0.7],
    "score": [0.5, 0.75, 0.875, 0.875, 0.625],
    "learning_rate": [0.1, 0.1, 0.05, 0.05, 0.025],
    "time": [1.0, 2.0, 3.0, 4.0, 5.0],
}
NORMS = 10.0 ** (np.arange(6)[:, None] / 10 - np.array([4.0, 2.0, 1.0, 0.0]))  # 6 epochs, 4 layers


@pytest.fixture(autouse=True)
def closed_figures():
    """No figure outlives its test."""
    yield
    plt.close("all")


def draw():
    """Draw all figures there are: Matplotlib warns then of what does not fit."""
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()


@pytest.fixture(scope="module")
def fitted():
    X, y, _ = problem("binary")
    return MLPClassifier((6, 3), early_stopping=True, max_iter=8, random_state=0).fit(X, y)


def history(**changes):
    return {name: values for name, values in {**HISTORY, **changes}.items() if values is not None}


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def ticks_in_view(axis):
    draw()
    low, high = sorted(axis.get_view_interval())
    return [tick for tick in axis.get_majorticklocs() if low <= tick <= high]


# -- training curves ---------------------------------------------------------------------------------------------------


def test_loss_and_score_stand_side_by_side():
    display = TrainingCurveDisplay.from_history(HISTORY, score_name="Accuracy")
    loss, score = display.axes_
    assert display.ax_ is loss
    assert display.figure_ is loss.figure is score.figure
    assert loss.get_position().x1 < score.get_position().x0
    assert [ax.get_xlabel() for ax in display.axes_] == ["Epoch", "Epoch"]
    assert [ax.get_ylabel() for ax in display.axes_] == ["Loss", "Accuracy"]
    assert legend_of(loss) == ["Training", "Validation", "Best epoch (3)"]
    assert legend_of(score) == ["Validation", "Best epoch (3)"]
    assert [line.axes for line in display.lines_] == [loss, loss, score]
    for line, name in zip(display.lines_, ["loss", "validation_loss", "score"], strict=True):
        assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
        assert_array_equal(line.get_ydata(), HISTORY[name])
    assert len({line.get_linestyle() for line in display.lines_[:2]}) == 2  # told apart in grey
    assert display.lines_[1].get_color() == display.lines_[2].get_color()
    draw()


def test_frame_draws_the_same_as_the_dict():
    of_dict, of_frame = (TrainingCurveDisplay.from_history(h) for h in (HISTORY, pd.DataFrame(HISTORY)))
    for one, other in zip(of_dict.lines_, of_frame.lines_, strict=True):
        assert_array_equal(one.get_xydata(), other.get_xydata())
    assert of_dict.best_epoch_ == of_frame.best_epoch_ == 3
    assert [legend_of(ax) for ax in of_dict.axes_] == [legend_of(ax) for ax in of_frame.axes_]


@pytest.mark.parametrize(
    ("changes", "best", "legends"),
    [
        ({}, 3, [["Training", "Validation", "Best epoch (3)"], ["Validation", "Best epoch (3)"]]),
        ({"score": [NAN] * 5}, 4, [["Training", "Validation", "Best epoch (4)"]]),
        ({"score": None}, 4, [["Training", "Validation", "Best epoch (4)"]]),
        ({"score": [NAN, 0.5, NAN, 0.75, 0.75]}, 4, None),
        ({"validation_loss": None}, 3, [["Training", "Best epoch (3)"], ["Validation", "Best epoch (3)"]]),
        ({"validation_loss": [NAN] * 5, "score": [NAN] * 5}, None, [["Training"]]),
        ({"validation_loss": None, "score": None, "learning_rate": None, "time": None}, None, [["Training"]]),
    ],
)
def test_best_epoch(changes, best, legends):
    display = TrainingCurveDisplay.from_history(history(**changes))
    assert display.best_epoch_ == best
    assert len(display.best_lines_) == (0 if best is None else len(display.axes_))
    for line in display.best_lines_:
        assert_array_equal(line.get_xdata(), [best, best])
    if legends is not None:
        assert [legend_of(ax) for ax in display.axes_] == legends


def test_best_epoch_is_marked_on_request_only():
    display = TrainingCurveDisplay.from_history(HISTORY, plot_best_epoch=False)
    assert display.best_epoch_ == 3
    assert display.best_lines_ == []
    assert [legend_of(ax) for ax in display.axes_] == [["Training", "Validation"], ["Validation"]]


def test_learning_rate_is_drawn_on_request():
    display = TrainingCurveDisplay.from_history(HISTORY, plot_learning_rate=True)
    assert [ax.get_ylabel() for ax in display.axes_] == ["Loss", "Score", "Learning rate"]
    assert legend_of(display.axes_[2]) == ["Learning rate", "Best epoch (3)"]
    assert_array_equal(display.lines_[3].get_ydata(), HISTORY["learning_rate"])
    with pytest.raises(ValueError, match="no learning rate to draw"):
        TrainingCurveDisplay.from_history(history(learning_rate=[NAN] * 5), plot_learning_rate=True)


@pytest.mark.parametrize("n_epochs", [1, 2, 7, 50, 1000])
def test_epochs_are_whole_and_begin_with_1(n_epochs):
    display = TrainingCurveDisplay(loss=np.linspace(1, 0.5, n_epochs)).plot()
    ticks = ticks_in_view(display.ax_.xaxis)
    assert ticks
    assert all(tick == int(tick) and 1 <= tick <= n_epochs for tick in ticks)
    low, high = display.ax_.get_xlim()
    assert low < 1
    assert high > n_epochs


def test_numbers_that_stand_alone_are_seen():
    display = TrainingCurveDisplay(loss=[0.5, 0.4, 0.3], validation_loss=[NAN, 0.5, NAN]).plot()
    assert [line.get_marker() for line in display.lines_] == ["None", "."]
    assert TrainingCurveDisplay(loss=[0.5]).plot().lines_[0].get_marker() == "."


def test_logarithmic_loss():
    display = TrainingCurveDisplay.from_history(history(loss=[1.0, 0.1, 0.0, 0.01, 0.001]), log_scale=True)
    assert [ax.get_yscale() for ax in display.axes_] == ["log", "linear"]
    draw()


def test_given_axes_are_used():
    figure, axes = plt.subplots(2, 2)
    whole = axes[0, 0].get_position().width
    display = TrainingCurveDisplay.from_history(HISTORY, ax=axes[0, 0])  # divided
    assert display.figure_ is figure
    assert display.ax_ is axes[0, 0]
    assert [ax.get_position().width < whole / 2 for ax in display.axes_] == [True, True]
    display = TrainingCurveDisplay.from_history(HISTORY, ax=axes[1])
    assert display.axes_ == list(axes[1])
    display = TrainingCurveDisplay.from_history(history(score=None), ax=axes[0, 1])
    assert display.axes_ == [axes[0, 1]]
    draw()
    with pytest.raises(ValueError, match="There are 2 panels: ax must hold 2 Axes, or one of a grid, got 4"):
        TrainingCurveDisplay.from_history(HISTORY, ax=axes)
    with pytest.raises(ValueError, match="got 1"):
        TrainingCurveDisplay.from_history(HISTORY, ax=figure.add_axes([0, 0, 1, 1]))


def test_style_of_lines():
    display = TrainingCurveDisplay.from_history(HISTORY, line_kw={"linewidth": 3.5, "marker": "x"})
    assert {(line.get_linewidth(), line.get_marker()) for line in display.lines_} == {(3.5, "x")}


def test_history_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="no epochs"):
        TrainingCurveDisplay.from_history({"loss": []})
    with pytest.raises(ValueError, match=re.escape("score must hold one number for each of 5 epochs, got shape (2,)")):
        TrainingCurveDisplay.from_history(history(score=[0.5, 0.6]))
    with pytest.raises(KeyError, match="loss"):
        TrainingCurveDisplay.from_history({})


@pytest.mark.parametrize(
    ("kind", "scoring", "name"),
    [
        ("binary", None, "Accuracy"),
        ("regression", None, "R²"),
        ("binary", "loss", "Negative loss"),
        ("multiclass", "balanced_accuracy", "Balanced accuracy"),
        ("regression", "neg_mean_squared_error", "Negative mean squared error"),
        ("regression", make_scorer(r2_score), "Score"),
        ("regression", lambda est, X, y: 0.5, "<lambda>"),
    ],
)
def test_score_is_named_after_what_it_measures(kind, scoring, name):
    X, y, settings = problem(kind)
    est = estimator_for(kind)(
        hidden_layer_sizes=(3,), scoring=scoring, early_stopping=True, max_iter=3, random_state=0, **settings
    )
    display = TrainingCurveDisplay.from_estimator(est.fit(X, y))
    assert display.axes_[1].get_ylabel() == display.score_name == name
    assert display.best_epoch_ == 1 + int(np.argmax(est.validation_scores_))
    assert display.plot(score_name="Mine").axes_[1].get_ylabel() == "Mine"


@pytest.mark.parametrize("kind", KINDS)
def test_estimators_of_every_kind(kind):
    X, y, settings = problem(kind)
    est = estimator_for(kind)(hidden_layer_sizes=(3,), max_iter=3, random_state=0, **settings).fit(X, y)
    display = TrainingCurveDisplay.from_estimator(est)
    assert len(display.axes_) == 1
    assert_array_equal(display.lines_[0].get_ydata(), est.loss_curve_)


def test_other_ways_to_fit(fitted):
    X, y, _ = problem("binary")
    lbfgs = MLPClassifier((3,), solver="lbfgs", max_iter=5, random_state=0).fit(X, y)
    assert len(TrainingCurveDisplay.from_estimator(lbfgs).lines_[0].get_xdata()) == lbfgs.n_iter_
    warm = MLPClassifier((3,), warm_start=True, max_iter=3, random_state=0).fit(X, y).fit(X, y)
    assert len(TrainingCurveDisplay.from_estimator(warm).lines_[0].get_xdata()) == 6
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=3, random_state=0)).fit(X, y)
    display = TrainingCurveDisplay.from_estimator(pipeline)
    assert_array_equal(display.lines_[0].get_ydata(), pipeline[-1].loss_curve_)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert TrainingCurveDisplay.from_estimator(loaded).best_epoch_ == np.argmax(fitted.validation_scores_) + 1


@pytest.mark.parametrize("display", [TrainingCurveDisplay, GradientNormDisplay])
def test_estimators_that_have_no_history(display):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        display.from_estimator(MLPClassifier())
    with pytest.raises(NotFittedError, match="not fitted yet"):
        display.from_estimator(make_pipeline(StandardScaler(), MLPClassifier()))
    X, y, _ = problem("binary")
    with pytest.raises(AttributeError, match="history_"):
        display.from_estimator(LogisticRegression().fit(X, y))


# -- gradients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norms", [NORMS, list(NORMS), NORMS.tolist()], ids=["array", "arrays", "lists"])
def test_gradients_over_the_epochs(norms):
    display = GradientNormDisplay.from_history({"gradient_norm": norms})
    assert [line.get_label() for line in display.lines_] == ["Layer 1", "Layer 2", "Layer 3", "Layer 4"]
    for line, column in zip(display.lines_, NORMS.T, strict=True):
        assert_array_equal(line.get_xydata(), np.column_stack([np.arange(1, 7), column]))
    ax = display.ax_
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("Epoch", "Mean norm of the gradient", "log")
    assert display.colorbar_.ax.get_ylabel() == "Layer, counted from the input"
    assert_array_equal(display.colorbar_.get_ticks(), [1, 2, 3, 4])
    assert ax.get_legend() is None
    luminance = [np.dot(line.get_color()[:3], [0.3, 0.6, 0.1]) for line in display.lines_]
    assert (np.diff(luminance) > 0.05).all()  # told apart in grey


def test_colours_of_the_bar_are_those_of_the_lines():
    display = GradientNormDisplay(gradient_norm=np.ones((3, 20))).plot()
    mappable = display.colorbar_.mappable
    for layer, line in enumerate(display.lines_, start=1):
        assert_array_equal(mappable.to_rgba(layer), line.get_color())
    assert_array_equal(display.colorbar_.get_ticks(), [1, 5, 9, 12, 16, 20])


def test_gradients_of_one_layer():
    display = GradientNormDisplay(gradient_norm=[[0.5], [0.25]]).plot()
    assert len(display.lines_) == 1
    assert_array_equal(display.colorbar_.get_ticks(), [1])


@pytest.mark.parametrize(("n_epochs", "shown"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (6, [1, 3, 6])])
def test_profile_of_gradients(n_epochs, shown):
    display = GradientNormDisplay.from_history({"gradient_norm": list(NORMS[:n_epochs])}, kind="profile")
    assert legend_of(display.ax_) == [f"Epoch {epoch}" for epoch in shown]
    for line, epoch in zip(display.lines_, shown, strict=True):
        assert_array_equal(line.get_xydata(), np.column_stack([[1, 2, 3, 4], NORMS[epoch - 1]]))
        assert line.get_marker() == "o"
    assert display.ax_.get_xlabel() == "Layer, counted from the input"
    assert (display.ax_.get_ylabel(), display.ax_.get_yscale()) == ("Mean norm of the gradient", "log")
    assert ticks_in_view(display.ax_.xaxis) == [1, 2, 3, 4]
    assert display.colorbar_ is None


@pytest.mark.parametrize("kind", ["epochs", "profile"])
def test_gradients_that_vanish_altogether(kind):
    norms = NORMS.copy()
    norms[2:, 0] = 0
    norms[3] = NAN
    assert GradientNormDisplay(gradient_norm=norms).plot(kind=kind).ax_.get_yscale() == "log"
    assert GradientNormDisplay(gradient_norm=np.zeros((2, 3))).plot(kind=kind).ax_.get_yscale() == "linear"
    draw()


def test_gradients_from_a_frame_on_given_axes():
    frame = pd.DataFrame({"loss": np.arange(6.0), "gradient_norm": list(NORMS)})
    figure, ax = plt.subplots()
    display = GradientNormDisplay.from_history(frame, ax=ax, cmap="plasma", line_kw={"linewidth": 4})
    assert display.ax_ is ax
    assert display.figure_ is figure
    assert {line.get_linewidth() for line in display.lines_} == {4}
    assert_array_equal(display.lines_[0].get_color(), plt.get_cmap("plasma")(0.0))


def test_gradients_of_fits():
    X, y, _ = problem("binary")
    clf = MLPClassifier((6, 3), max_iter=3, warm_start=True, random_state=0).fit(X, y)
    clf.set_params(monitor_gradients=True).fit(X, y)  # from now on they are noted: the first epochs are a gap
    norms = np.array(clf.history_["gradient_norm"])
    assert norms.shape == (6, 3)
    lines = GradientNormDisplay.from_estimator(clf).lines_
    assert_array_equal(np.column_stack([line.get_ydata() for line in lines]), norms)
    assert np.isnan(norms[:3]).all()
    assert (norms[3:] > 0).all()
    display = GradientNormDisplay.from_estimator(make_pipeline(StandardScaler(), clf).fit(X, y), kind="profile")
    assert legend_of(display.ax_) == ["Epoch 1", "Epoch 5", "Epoch 9"]


def test_gradients_that_were_not_monitored(fitted):
    message = "GradientNormDisplay needs monitor_gradients=True"
    with pytest.raises(ValueError, match=message):
        GradientNormDisplay.from_estimator(fitted)
    for norms in ([], [NAN, NAN], [[NAN, NAN]]):
        with pytest.raises(ValueError, match=message):
            GradientNormDisplay.from_history({"gradient_norm": norms})
    with pytest.raises(ValueError, match="Unknown kind: 'layers'"):
        GradientNormDisplay(gradient_norm=NORMS).plot(kind="layers")


def test_docstring_examples():
    results = doctest.testmod(_training)
    assert (results.attempted > 5, results.failed) == (True, 0)


# -- Matplotlib is optional --------------------------------------------------------------------------------------------


def test_without_matplotlib(fitted, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **keywords):
        if name.split(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for call in (
        lambda: TrainingCurveDisplay.from_estimator(fitted),
        lambda: TrainingCurveDisplay.from_history(HISTORY),
        lambda: TrainingCurveDisplay(loss=[1.0]).plot(),
        lambda: GradientNormDisplay(gradient_norm=NORMS).plot(),
        lambda: ForecastDisplay.from_predictions([1.0], [1.0]),
        lambda: ForecastDisplay.from_estimator(fitted, [[1.0]], None),
        lambda: ForecastDisplay.from_backtest(None),
        lambda: ForecastDisplay.from_forecaster(None),
        lambda: TimestepImportanceDisplay.from_estimator(fitted, [[1.0]]),
        lambda: TimestepImportanceDisplay.from_importance([1.0]),
    ):
        with pytest.raises(ImportError, match=r"Display.* requires matplotlib"):
            call()


def test_matplotlib_is_imported_when_something_is_drawn():
    command = "import sys, skneural.plotting; print([m for m in sys.modules if m.startswith('matplotlib')])"
    assert subprocess.check_output([sys.executable, "-c", command], text=True).strip() == "[]"


# -- scikit-learn's own displays ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("response_method", ["predict", "predict_proba"])
def test_decision_boundary(response_method):
    X, y = make_moons(200, noise=0.2, random_state=0)
    clf = MLPClassifier((20, 20), learning_rate_init=0.01, max_iter=60, random_state=0).fit(X, y)
    display = DecisionBoundaryDisplay.from_estimator(clf, X, response_method=response_method, grid_resolution=20)
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    values = clf.predict(grid) if response_method == "predict" else clf.predict_proba(grid)[:, 1]
    assert_array_equal(display.response.ravel(), values)
    assert len(np.unique(display.response > 0.5)) == 2


def test_confusion_matrix(fitted):
    X, y, _ = problem("binary")
    display = ConfusionMatrixDisplay.from_estimator(fitted, X, y)
    assert display.confusion_matrix.sum() == len(y)
    assert np.trace(display.confusion_matrix) == (fitted.predict(X) == y).sum()
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["-1", "2"]


# -- summary -----------------------------------------------------------------------------------------------------------


def program(layers, n_features=20, dtype=np.float64, loss="log_loss", **settings):
    return lower(layers, n_features, dtype=dtype, loss=loss, **settings)


def test_summary_of_a_plain_network():
    summary = Summary(program([Dense(64, "relu"), Dropout(0.3), Dense(32, "tanh"), Dense(3)]))
    assert str(summary) == repr(summary)
    assert str(summary).splitlines() == [
        "Layer    Details   Output shape  Parameters  Operations",
        "-------------------------------------------------------",
        "input                   (n, 20)           0           0",
        "dense    relu           (n, 64)       1,344       1,280",
        "dropout  rate=0.3       (n, 64)           0           0",
        "dense    tanh           (n, 32)       2,080       2,048",
        "dense    softmax         (n, 3)          99          96",
        "-------------------------------------------------------",
        "total                                 3,523       3,424",
        "Memory of the parameters: 28,184 bytes (float64)",
    ]
    assert (summary.n_parameters, summary.n_operations, summary.n_bytes) == (3523, 3424, 8 * 3523)


def test_summary_of_every_layer():
    block = Residual((Dense(1000, "relu", "layer"), Dropout(0.1)))
    layers = [Noise(0.1), Dense(1000, "relu", "batch"), block, Dense(1)]
    lowered = program(layers, dtype=np.float32, loss="squared_error")
    summary = Summary(lowered)
    assert summary.n_parameters == len(lowered.learnt_index())
    assert [(row.layer, row.details, row.units, row.parameters) for row in summary.rows] == [
        ("input", "", 20, 0),
        ("noise", "deviation=0.1", 20, 0),
        ("dense", "relu, normalization=batch", 1000, 22_000),
        ("residual", "", 1000, 0),
        ("  dense", "relu, normalization=layer", 1000, 1_003_000),
        ("  dropout", "rate=0.1", 1000, 0),
        ("dense", "identity", 1, 1001),
    ]
    assert summary.n_bytes == 4 * summary.n_parameters
    assert "1,026,001" in str(summary)
    assert str(summary).endswith("4,104,004 bytes (float32)")
    assert len({len(line) for line in str(summary).splitlines()[:-1]}) == 1


def test_summary_in_a_notebook():
    lowered = program([Dense(20, "relu"), Residual((Dense(20, "tanh"),)), Dense(3)])
    object.__setattr__(lowered.built[2].layer, "activation", "a<b&c")
    summary = Summary(lowered)
    table = ElementTree.fromstring(summary._repr_html_())  # well-formed
    cells = [[cell.text or "" for cell in row] for row in table.iter("tr")]
    assert cells[0] == ["Layer", "Details", "Output shape", "Parameters", "Operations"]
    assert cells[-1] == ["total", "", "", "903", "860"]
    assert ["\u2003dense", "a<b&c", "(n, 20)", "420", "400"] in cells
    assert len(cells) == 2 + len(summary.rows)
    assert table.find("caption").text == "Memory of the parameters: 7,224 bytes (float64)"
    assert "background" not in summary._repr_html_()  # light and dark pages keep their own colours
    assert not re.search(r"(?<!current)color:|#[0-9a-f]{3}", summary._repr_html_())


@pytest.mark.parametrize("kind", KINDS)
def test_summary_of_estimators(kind):
    X, y, settings = problem(kind)
    est = estimator_for(kind)(hidden_layer_sizes=(6, 3), dropout=0.2, max_iter=2, random_state=0, **settings).fit(X, y)
    summary = est.summary()
    assert summary.n_parameters == sum(a.size for a in (*est.coefs_, *est.intercepts_))
    assert summary.n_operations == sum(a.size for a in est.coefs_)
    assert [row.units for row in summary.rows] == [5, 6, 6, 3, 3, est.n_outputs_]
    assert summary.rows[-1].details == est.out_activation_
    assert str(pickle.loads(pickle.dumps(est)).summary()) == str(summary)
    with pytest.raises(NotFittedError):
        estimator_for(kind)().summary()
