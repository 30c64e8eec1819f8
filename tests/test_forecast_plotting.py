"""Displays of forecasts: what is drawn, where, and what is refused."""

import datetime

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from test_plotting import closed_figures, draw, legend_of, ticks_in_view  # noqa: F401

from skneural.plotting import ForecastDisplay

plt = pytest.importorskip("matplotlib.pyplot")
mdates = pytest.importorskip("matplotlib.dates")
plt.switch_backend("Agg")

NAN = np.nan
ACTUAL = np.array([2.0, 4.0, 3.0, 5.0, 6.0, 4.0])
PREDICTED = np.array([2.5, 3.5, 3.0, 4.0, 6.5, 4.5])
LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]
QUANTILES = PREDICTED[:, np.newaxis] + [-1, -0.5, 0, 0.5, 0.75]
DAYS = pd.date_range("2024-02-27", periods=6, name="Date")
HISTORY = pd.Series(np.arange(20.0), pd.date_range("2024-02-07", periods=20))


def band_of(band):
    """Times, lower and upper ends of an interval."""
    vertices = band.get_paths()[0].vertices
    times = np.unique(vertices[:, 0])
    ends = [vertices[vertices[:, 0] == time, 1] for time in times]
    return times, np.array([values.min() for values in ends]), np.array([values.max() for values in ends])


def series_of(line):
    return np.asarray(line.get_xdata(orig=False), float), np.asarray(line.get_ydata(), float)


# -- over time ---------------------------------------------------------------------------------------------------------


def test_predictions_over_time():
    display = ForecastDisplay.from_predictions(ACTUAL, PREDICTED, quantiles=QUANTILES, levels=LEVELS)
    ax = display.ax_
    assert display.axes_ == [ax]
    assert display.figure_ is ax.figure
    assert legend_of(ax) == ["Actual", "Predicted", "90 % interval", "50 % interval"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time", "Value")
    for line, values in zip(display.lines_, [ACTUAL, PREDICTED], strict=True):
        assert_array_equal(line.get_xydata(), np.column_stack([np.arange(6), values]))
    assert len({line.get_linestyle() for line in display.lines_}) == 2  # told apart in grey
    for band, low, high in zip(display.bands_, [0, 1], [4, 3], strict=True):
        times, lower, upper = band_of(band)
        assert_array_equal(times, np.arange(6))
        assert_allclose(lower, QUANTILES[:, low])
        assert_allclose(upper, QUANTILES[:, high])
    outer, inner = (band.get_facecolor()[0, :3] for band in display.bands_)
    assert outer.sum() > inner.sum() + 0.1
    assert display.coverage_ == [5 / 6, 5 / 6]
    assert display.histogram_ is display.origin_line_ is None
    draw()


def test_legend_stands_above_the_data():
    for kind in ("time", "residuals", "fan"):
        display = ForecastDisplay.from_predictions(ACTUAL, PREDICTED, kind=kind, history=HISTORY, index=DAYS)
        draw()
        bottom = display.ax_.get_legend().get_window_extent().y0
        tops = [display.ax_.transData.transform((0, np.nanmax(line.get_ydata())))[1] for line in display.lines_]
        assert bottom > max(tops)


@pytest.mark.parametrize(
    "index",
    [
        DAYS,
        DAYS.to_numpy(),
        DAYS.to_period("D"),
        DAYS.tz_localize("Europe/Berlin"),
        list(DAYS.date),
        [datetime.datetime(2024, 2, 27) + datetime.timedelta(i) for i in range(6)],
    ],
)
def test_dates(index):
    display = ForecastDisplay.from_predictions(ACTUAL, PREDICTED, index=index, quantiles=QUANTILES, levels=LEVELS)
    ax, start = display.ax_, mdates.date2num(np.datetime64("2024-02-27"))
    shift = 1 / 24 if getattr(index, "tz", None) else 0
    for line in display.lines_:
        assert_allclose(series_of(line)[0], start + np.arange(6) - shift)
    assert_allclose(band_of(display.bands_[0])[0], start + np.arange(6) - shift)
    assert_allclose(ticks_in_view(ax.xaxis), start + np.arange(6) - shift)  # midnights
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["27", "28", "29", "Mar", "02", "03"]
    assert ax.xaxis.get_offset_text().get_text() == "2024-Mar"
    assert ax.get_xlabel() == ("Date" if getattr(index, "name", None) else "Time")


def test_series_bring_their_index_and_name():
    series = pd.Series(ACTUAL, DAYS, name="Load (MW)")
    shuffled = np.array([3, 0, 5, 1, 4, 2])
    display = ForecastDisplay.from_predictions(series.iloc[shuffled], PREDICTED[shuffled])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Date", "Load (MW)")
    for line, values in zip(display.lines_, [ACTUAL, PREDICTED], strict=True):
        assert_allclose(series_of(line)[0], mdates.date2num(DAYS))  # in order again
        assert_array_equal(series_of(line)[1], values)
    named = pd.Series(ACTUAL, list("abcdef"))
    assert_array_equal(ForecastDisplay.from_predictions(named, PREDICTED).lines_[0].get_xdata(), np.arange(6))
    numbered = pd.Series(PREDICTED, np.arange(10, 16))
    assert_array_equal(ForecastDisplay.from_predictions(ACTUAL, numbered).lines_[0].get_xdata(), numbered.index)


def test_levels_from_the_columns():
    frame = pd.DataFrame(QUANTILES[:, [0, 1, 4]], columns=[0.05, 0.25, 0.9])
    display = ForecastDisplay.from_predictions(None, PREDICTED, quantiles=frame)
    assert legend_of(display.ax_) == ["Predicted", "Quantile 0.25", "Quantiles 0.05 to 0.9"]
    assert_array_equal(display.lines_[1].get_ydata(), QUANTILES[:, 1])
    assert np.isnan(display.coverage_).all()


def test_gaps():
    actual, predicted = np.where([0, 1, 0, 0, 0, 0], NAN, ACTUAL), np.where([1, 0, 0, 0, 0, 0], NAN, PREDICTED)
    display = ForecastDisplay.from_predictions(actual, predicted, quantiles=QUANTILES, levels=LEVELS)
    assert_array_equal(display.lines_[0].get_ydata(), actual)
    assert_array_equal(display.lines_[1].get_ydata(), predicted)
    assert display.lines_[0].get_marker() == "."  # the first stands alone
    assert display.coverage_ == [4 / 5, 4 / 5]
    assert legend_of(ForecastDisplay.from_predictions([NAN] * 6, PREDICTED).ax_) == ["Predicted"]
    assert ForecastDisplay(y_pred=np.ones(2000), y_true=np.ones(2000)).plot().lines_[0].get_linewidth() < 1


def test_keywords_and_given_axes():
    _, ax = plt.subplots()
    keywords = {"line_kw": {"linewidth": 4}, "band_kw": {"hatch": "/"}}
    display = ForecastDisplay.from_predictions(ACTUAL, PREDICTED, quantiles=QUANTILES, levels=LEVELS, ax=ax, **keywords)
    assert display.ax_ is ax
    assert {line.get_linewidth() for line in display.lines_} == {4}
    assert {band.get_hatch() for band in display.bands_} == {"/"}


# -- residuals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("against", ["time", "predicted"])
def test_residuals(against):
    display = ForecastDisplay.from_predictions(ACTUAL, PREDICTED, kind="residuals", against=against, index=DAYS)
    residuals = ACTUAL - PREDICTED
    panel, beside = display.axes_
    assert display.ax_ is panel
    dots, mean = display.lines_
    assert_allclose(series_of(dots)[0], mdates.date2num(DAYS) if against == "time" else PREDICTED)
    assert_array_equal(dots.get_ydata(), residuals)
    assert dots.get_linestyle() == "None"
    assert_allclose(mean.get_ydata(), residuals.mean())
    assert legend_of(panel) == [f"Mean {residuals.mean():.3g}".replace("-", "\N{MINUS SIGN}")]
    assert panel.get_xlabel() == ("Date" if against == "time" else "Predicted")
    assert panel.get_ylabel() == "Residual (actual \N{MINUS SIGN} predicted)"
    counts, edges = np.histogram(residuals, bins=3)
    assert_array_equal([bar.get_width() for bar in display.histogram_], counts)
    assert_allclose([bar.get_y() for bar in display.histogram_], edges[:-1])
    panel.set_ylim(-3, 3)
    assert beside.get_ylim() == (-3, 3)
    assert panel.get_position().x1 < beside.get_position().x0
    assert display.bands_ == display.coverage_ == []
    draw()


def test_residuals_on_given_axes():
    figure, (left, right) = plt.subplots(1, 2)
    display = ForecastDisplay.from_predictions(ACTUAL, PREDICTED, kind="residuals", ax=left, hist_kw={"bins": 5})
    assert display.axes_[0] is left
    assert len(figure.axes) == 3  # one of the grid was divided
    assert len(display.histogram_) == 5
    assert display.axes_[1].get_position().x1 < right.get_position().x0
    _, axes = plt.subplots(2, 1)
    display = ForecastDisplay.from_predictions(ACTUAL, PREDICTED, kind="residuals", ax=axes)
    assert display.axes_ == list(axes)
    assert axes[0].get_ylim() == axes[1].get_ylim()


# -- fan ---------------------------------------------------------------------------------------------------------------


def test_fan_opens_from_the_last_value():
    settings = {"quantiles": QUANTILES, "levels": LEVELS, "kind": "fan"}
    display = ForecastDisplay.from_predictions(ACTUAL, PREDICTED, history=HISTORY, **settings)
    assert legend_of(display.ax_) == ["History", "Actual", "Forecast", "90 % interval", "50 % interval"]
    history, actual, forecast = display.lines_
    start = mdates.date2num(HISTORY.index[-1])
    assert_allclose(series_of(history)[0], mdates.date2num(HISTORY.index))
    assert_array_equal(history.get_ydata(), HISTORY)
    for line, values in [(actual, ACTUAL), (forecast, PREDICTED)]:
        assert_allclose(series_of(line)[0], start + np.arange(7))  # the days after those of the history
        assert_array_equal(line.get_ydata(), [19, *values])
    times, lower, upper = band_of(display.bands_[0])
    assert_allclose(times, start + np.arange(7))
    assert_allclose(lower, [19, *QUANTILES[:, 0]])
    assert_allclose(upper, [19, *QUANTILES[:, -1]])
    assert_allclose(mdates.date2num(display.origin_line_.get_xdata()), start)
    assert display.coverage_ == [5 / 6, 5 / 6]  # of the forecast alone
    draw()


def test_fan_without_dates():
    history = np.arange(100.0)
    display = ForecastDisplay.from_predictions(None, PREDICTED, history=history, kind="fan")
    assert legend_of(display.ax_) == ["History", "Forecast"]
    assert_array_equal(display.lines_[0].get_xydata(), np.column_stack([np.arange(-23, 1), np.arange(76, 100)]))
    assert_array_equal(display.lines_[1].get_xydata(), np.column_stack([np.arange(7), [99, *PREDICTED]]))
    assert display.ax_.get_xlabel() == "Step"
    for shown, count in [(5, 5), (None, 100), (1000, 100)]:
        display = ForecastDisplay.from_predictions(None, PREDICTED, history=history, kind="fan", n_history=shown)
        assert len(display.lines_[0].get_xdata()) == count
    short = ForecastDisplay.from_predictions(None, PREDICTED, history=[1.0], kind="fan")
    assert_array_equal(short.lines_[1].get_xdata(), np.arange(7))
    alone = ForecastDisplay.from_predictions(None, PREDICTED[:1], quantiles=[[1, 2]], levels=[0.1, 0.9], kind="fan")
    assert_array_equal(alone.lines_[0].get_xydata(), [[1, PREDICTED[0]]])
    assert alone.bands_[0].get_linewidth() > 1  # has no area
    assert alone.origin_line_ is None


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_pred": []}, "There are no predictions"),
        ({"y_true": ACTUAL[1:]}, r"y_true must hold one number for each of 6 times, got shape \(5,\)"),
        ({"y_pred": QUANTILES}, "y_pred must hold one number"),
        ({"index": DAYS[1:]}, "index must hold one number or date for each of 6 values"),
        ({"index": list("abcdef")}, "index must hold numbers or dates, got .*'a'"),
        ({"index": [0, 1, 2, 3, 4, NAN]}, "index must not have missing values"),
        ({"index": [*DAYS[:5], pd.NaT]}, "index must not have missing values"),
        ({"quantiles": QUANTILES}, "quantiles needs levels"),
        ({"quantiles": pd.DataFrame(QUANTILES).add_prefix("q")}, "levels must be numbers, got"),
        ({"quantiles": QUANTILES, "levels": LEVELS[::-1]}, r"levels must be ascending numbers in \(0, 1\)"),
        ({"quantiles": QUANTILES, "levels": LEVELS[1:]}, r"here \(6, 4\), got \(6, 5\)"),
        ({"kind": "step"}, "Unknown kind: 'step'. Should be one of 'time', 'residuals' or 'fan'"),
        ({"kind": "residuals", "against": "index"}, "Unknown against: 'index'"),
        ({"kind": "residuals", "y_true": None}, "Residuals need y_true"),
        ({"kind": "fan", "history": HISTORY, "n_history": 0}, "n_history must be a whole number above 0"),
        ({"kind": "fan", "history": [1.0, 2.0], "index": DAYS}, "history needs history_index"),
        ({"kind": "fan", "history": HISTORY[:1]}, "A history of one value does not tell the times"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        ForecastDisplay.from_predictions(**{"y_true": ACTUAL, "y_pred": PREDICTED, **changes})
