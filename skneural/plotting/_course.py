"""Panels of the display of forecasts: curves with intervals, a history, residuals with their histogram."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from skneural.plotting._drawing import draw_curve, legend_on_top, make_panels, mixed

MINUS = "\N{MINUS SIGN}"
#: What was and what was predicted differ in more than colour, for print in grey.
ACTUAL = {"color": "C0", "linestyle": "-", "linewidth": 1.5}
PREDICTED = {"color": "C1", "linestyle": "--", "linewidth": 1.5}
MANY = 300  # curves of more times are thin, and without dashes
DOTS = {"color": "C0", "linestyle": "none", "marker": "o", "markersize": 4, "markeredgewidth": 0, "alpha": 0.7}


def draw_course(ax, course, is_fan, line_kw=None, band_kw=None):
    """Curves of actual values, predictions and a quantile in the middle, and the intervals."""
    lines, bands, line_kw = [], [], line_kw or {}
    thin = {"linewidth": 0.8, "linestyle": "-", "alpha": 0.8} if len(course.times) > MANY else {}
    if course.actual is not None:
        style = {**ACTUAL, **thin, "label": "Actual"}
        if is_fan:
            style |= {"marker": "o", "markersize": 3.5} if len(course.times) <= 60 else {"linestyle": "-."}
        lines.append(draw_curve(ax, course.actual, course.times, **{**style, **line_kw}))
    style = {**PREDICTED, **thin, "label": "Forecast" if is_fan else "Predicted"}
    lines.append(draw_curve(ax, course.predicted, course.times, **{**style, **line_kw}))
    if course.middle is not None:
        values, label = course.middle
        style = {**PREDICTED, "linestyle": ":", "label": label}
        lines.append(draw_curve(ax, values, course.times, **{**style, **line_kw}))
    for i, (lower, upper, label) in enumerate(course.intervals):
        color = mixed(ax, PREDICTED["color"], 0.22 + 0.3 * i / len(course.intervals))
        # The line around it shows an interval of a single time, which has no area.
        style = {"color": color, "linewidth": 6 if len(lower) == 1 else 0, "label": label, "zorder": 1}
        bands.append(ax.fill_between(course.times, lower, upper, **{**style, **(band_kw or {})}))
    return lines, bands


def draw_history(ax, course, n_history, line_kw=None):
    """Curve of what was before a forecast, and a line where it ends."""
    if n_history == "auto":
        n_history = max(3 * len(course.times), 24)
    elif n_history is None:
        n_history = len(course.history)
    elif not isinstance(n_history, Integral) or n_history < 1:
        raise ValueError(f"n_history must be a whole number above 0, 'auto' or None, got {n_history!r}.")
    history, times = course.history[-n_history:], course.history_times[-n_history:]
    line = draw_curve(ax, history, times, **{**ACTUAL, "label": "History", **(line_kw or {})})
    return line, ax.axvline(times[-1], color="0.4", linestyle=":", linewidth=1, zorder=1)


def draw_residuals(ax, course, against, line_kw=None, hist_kw=None):
    """Panels, dots of the residuals with their mean, and beside them the bars of the histogram on the same axis."""
    if against not in ("time", "predicted"):
        raise ValueError(f"Unknown against: {against!r}. Should be one of 'time' or 'predicted'.")
    residuals = np.nan if course.actual is None else course.actual - course.predicted
    if np.isnan(residuals).all():
        raise ValueError("Residuals need y_true: there is no time with a prediction and an actual value.")
    known = residuals[~np.isnan(residuals)]
    panel, beside = panels = make_panels(ax, 2, size=(8.4, 3.8), widths=(3.2, 1))
    places = course.times if against == "time" else course.predicted
    lines = panel.plot(places, residuals, **{**DOTS, "label": "_residuals", **(line_kw or {})})
    style = {"bins": min(40, int(np.ceil(np.sqrt(len(known))))), "color": "C0", "alpha": 0.7}
    bars = beside.hist(known, orientation="horizontal", **{**style, **(hist_kw or {})})[2]
    mean = f"Mean {known.mean():.3g}".replace("-", MINUS)
    for one in panels:
        one.axhline(0, color="0.4", linewidth=1, zorder=1)
        lines.append(one.axhline(known.mean(), color="C1", linestyle="--", label=mean))
    panel.set_xlabel("Predicted")
    panel.set_ylabel(f"Residual (actual {MINUS} predicted)")
    beside.set_xlabel("Count")
    legend_on_top(panel)
    if np.size(ax) == 1:  # panels that were made here
        beside.sharey(panel)
        beside.tick_params(labelleft=False)
    else:
        beside.set_ylim(panel.get_ylim())
    return panels, lines[:2], bars
