"""Keywords of displays by the short names that Matplotlib knows too, and legends that have no room for one row."""

import numpy as np
import pytest
from test_plotting import HISTORY, NORMS, closed_figures, draw, legend_of  # noqa: F401

from skneural.plotting import ForecastDisplay, GradientNormDisplay, TimestepImportanceDisplay, TrainingCurveDisplay

plt = pytest.importorskip("matplotlib.pyplot")
plt.switch_backend("Agg")


def test_short_names_replace_defaults():
    style = {"lw": 4, "ls": ":", "c": "k"}
    values = np.arange(5.0)
    lines = [
        *TrainingCurveDisplay.from_history(HISTORY, line_kw=style).lines_,
        *GradientNormDisplay(gradient_norm=NORMS).plot(line_kw=style).lines_,
        *ForecastDisplay.from_predictions(values, values + 1, line_kw=style).lines_,
        *ForecastDisplay.from_predictions(values, values, kind="fan", history=values, line_kw=style).lines_,
        TimestepImportanceDisplay(importance=values).plot(kind="line", line_kw=style).line_,
    ]
    assert len(lines) == 13
    for line in lines:
        assert (line.get_linewidth(), line.get_linestyle(), line.get_color()) == (4, ":", "k")


@pytest.mark.parametrize("width", [1.6, 3, 8])
def test_legend_takes_as_many_rows_as_it_needs(width):
    _, ax = plt.subplots(figsize=(width, 3))
    values = np.arange(5.0)
    quantiles = values[:, np.newaxis] + [-2, -1, 1, 2]
    levels = [0.05, 0.25, 0.75, 0.95]
    display = ForecastDisplay.from_predictions(values, values, quantiles=quantiles, levels=levels, ax=ax)
    draw()
    assert legend_of(ax) == ["Actual", "Predicted", "90 % interval", "50 % interval"]
    panel = ax.get_window_extent()
    legend = ax.get_legend().get_window_extent()
    assert legend.width < panel.width
    highest = ax.transData.transform([0, max(line.get_ydata().max() for line in display.lines_)])[1]
    assert highest < legend.y0
