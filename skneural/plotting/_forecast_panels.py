"""Panels of the display of forecasts: curves with intervals, a history, residuals with their histogram."""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np

from skneural.plotting._utils import draw_curve, legend_on_top, make_panels

MINUS = "\N{MINUS SIGN}"
#: What was and what was predicted differ in more than colour, for print in grey.
ACTUAL = {"color": "C0", "linestyle": "-", "linewidth": 1.5}
PREDICTED = {"color": "C1", "linestyle": "--", "linewidth": 1.5}
#: Curves of more times than that are thin, and without dashes.
MANY = 300
THIN = {"linewidth": 0.8, "linestyle": "-", "alpha": 0.8}
DOTS = {"color": "C0", "linestyle": "none", "marker": "o", "markersize": 4, "markeredgewidth": 0, "alpha": 0.7}
REFERENCE = {"color": "0.4", "linewidth": 1, "zorder": 1}


def draw_predictions(ax, data, is_fan, line_kw):
    """Curves of actual values, predictions and a quantile in the middle."""
    actual = {**ACTUAL, "label": "Actual"}
    predicted = {**PREDICTED, "label": "Forecast" if is_fan else "Predicted"}
    if len(data.times) > MANY:
        actual |= THIN
        predicted |= THIN
    if is_fan and len(data.times) <= 60:
        actual |= {"marker": "o", "markersize": 3.5}
    elif is_fan:
        actual["linestyle"] = "-."
    lines = []
    if not np.isnan(data.actual).all():
        lines.append(draw_curve(ax, data.actual, data.times, **actual | line_kw))
    lines.append(draw_curve(ax, data.predicted, data.times, **predicted | line_kw))
    middle = data.middle_quantile()
    if middle is not None:
        values, level = middle
        style = {**PREDICTED, "linestyle": ":", "label": f"Quantile {level:.3g}"}
        lines.append(draw_curve(ax, values, data.times, **style | line_kw))
    return lines


def draw_intervals(ax, data, band_kw):
    """Bands of the intervals, from the outermost inwards."""
    intervals = data.intervals()
    bands = []
    for i, (lower, upper, label) in enumerate(intervals):
        style = {
            "color": blended(PREDICTED["color"], 0.22 + 0.3 * i / len(intervals), ax),
            # The line around it shows an interval of a single time, which has no area.
            "linewidth": 6 if len(lower) == 1 else 0,
            "label": label,
            "zorder": 1,
        }
        bands.append(ax.fill_between(data.times, lower, upper, **style | band_kw))
    return bands


def blended(color, share, ax):
    """A colour mixed with the background of an axes: it covers, so that bands on bands do not add up."""
    from matplotlib.colors import to_rgb

    *background, opacity = ax.get_facecolor()
    if opacity == 0:
        background = to_rgb("white")
    return tuple(share * np.array(to_rgb(color)) + (1 - share) * np.array(background))


def draw_history(ax, data, n_history, line_kw):
    """Curve of what was before a forecast, and a line where it ends."""
    if n_history == "auto":
        n_history = max(3 * len(data.times), 24)
    elif n_history is None:
        n_history = len(data.history)
    elif not isinstance(n_history, Integral) or n_history < 1:
        raise ValueError(f"n_history must be a whole number above 0, 'auto' or None, got {n_history!r}.")
    history = data.history[-n_history:]
    times = data.history_times[-n_history:]
    line = draw_curve(ax, history, times, **{**ACTUAL, "label": "History", **line_kw})
    origin_line = ax.axvline(times[-1], linestyle=":", **REFERENCE)
    return line, origin_line


def draw_residuals(ax, data, against, line_kw, hist_kw):
    """Panels, dots of the residuals with their mean, and beside them the bars of the histogram on the same axis."""
    if against not in ("time", "predicted"):
        raise ValueError(f"Unknown against: {against!r}. Should be one of 'time' or 'predicted'.")
    residuals = data.actual - data.predicted
    known = residuals[~np.isnan(residuals)]
    if not len(known):
        raise ValueError("Residuals need y_true: there is no time with a prediction and an actual value.")
    panels = make_panels(ax, 2, figsize=(8.4, 3.8), width_ratios=(3.2, 1))
    left, right = panels
    x = data.times if against == "time" else data.predicted
    style = {**DOTS, "label": "_residuals"}
    (dots,) = left.plot(x, residuals, **style | line_kw)
    n_bins = min(40, math.ceil(math.sqrt(len(known))))
    style = {"bins": n_bins, "color": "C0", "alpha": 0.7}
    _, _, bars = right.hist(known, orientation="horizontal", **style | hist_kw)
    label = f"Mean {known.mean():.3g}".replace("-", MINUS)
    means = []
    for panel in panels:
        panel.axhline(0, **REFERENCE)
        means.append(panel.axhline(known.mean(), color="C1", linestyle="--", label=label))
    left.set_xlabel("Predicted")
    left.set_ylabel(f"Residual (actual {MINUS} predicted)")
    right.set_xlabel("Count")
    legend_on_top(left)
    if np.size(ax) == 1:  # panels that were made here
        right.sharey(left)
        right.tick_params(labelleft=False)
    else:
        right.set_ylim(left.get_ylim())
    return panels, [dots, means[0]], bars
