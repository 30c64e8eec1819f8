"""What the displays share: checks, panels, axes and legends. Matplotlib is imported when something is drawn."""

import datetime
import math

import numpy as np
from sklearn.base import is_classifier, is_regressor

#: Keywords for the colours of points, of which Matplotlib takes one.
COLOURS_OF_POINTS = ("c", "color", "facecolor")


def check_curve(values, length, name, unit):
    """A curve as an array of floats; NaN throughout for None."""
    if values is None:
        return np.full(length, np.nan)
    values = np.asarray(values, dtype=float)
    if values.shape != (length,):
        raise ValueError(f"{name} must hold one number for each of {length} {unit}, got shape {values.shape}.")
    return values


def check_times(index, length, name):
    """Numbers or dates as an array that Matplotlib can draw over."""
    if hasattr(index, "to_timestamp"):  # periods: their beginnings
        index = index.to_timestamp()
    times = np.asarray(index)
    if times.shape != (length,):
        raise ValueError(f"{name} must hold one number or date for each of {length} values, got shape {times.shape}.")
    if times.dtype.kind == "O" and not all(isinstance(time, datetime.date) for time in times):
        try:  # numbers of pandas' own types
            times = times.astype(float)
        except (TypeError, ValueError):
            times = times.astype(str)
    if times.dtype.kind not in "iufMO":
        raise ValueError(f"{name} must hold numbers or dates, got {times[0]!r}.")
    if (times != times).any():  # NaN and NaT
        raise ValueError(f"{name} must not have missing values.")
    return times


def default_score_name(estimator):
    """What ``estimator.score`` measures."""
    if is_classifier(estimator):
        return "accuracy"
    return "R²" if is_regressor(estimator) else "score"


def line_style(line_kw):
    """A user's keywords for curves by their full names, so that they replace defaults: linewidth for `lw`."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return normalize_kwargs(line_kw, Line2D)


def points_style(scatter_kw, **defaults):
    """A user's keywords for points by their full names, in the place of defaults."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.collections import PathCollection

    given = normalize_kwargs(scatter_kw, PathCollection)
    style = {**normalize_kwargs(defaults, PathCollection), **given}
    if not given.keys().isdisjoint(COLOURS_OF_POINTS):
        for name in {*COLOURS_OF_POINTS, "cmap"} - given.keys():  # other words for the same
            style.pop(name, None)
    return style


def make_panels(ax, count, *, figsize, width_ratios=None):
    """Axes for `count` panels side by side: new ones, those given, or one that is given divided.

    Those of different widths stand close together, since they have the vertical axis in common.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=figsize, layout="constrained")
        return list(figure.subplots(1, count, squeeze=False, width_ratios=width_ratios)[0])
    axes = list(np.ravel(ax))
    cell = axes[0].get_subplotspec() if len(axes) == 1 else None
    if count > 1 and cell is not None:
        wspace = 0.45 if width_ratios is None else 0.08
        grid = cell.subgridspec(1, count, wspace=wspace, width_ratios=width_ratios)
        axes[0].set_subplotspec(grid[0])
        axes += [axes[0].figure.add_subplot(grid[i]) for i in range(1, count)]
    if len(axes) != count:
        raise ValueError(f"There are {count} panels: ax must hold {count} Axes, or one of a grid, got {len(axes)}.")
    return axes


def draw_curve(ax, values, x=None, **style):
    """Draw a curve over 1, 2, ... or over `x`; numbers that stand alone, which a line would not show, as dots."""
    if x is None:
        x = np.arange(1, len(values) + 1)
    known = np.pad(~np.isnan(values), 1)
    has_neighbour = known[:-2] | known[2:]
    if (known[1:-1] & ~has_neighbour).any():
        style = {"marker": ".", **style}
    return ax.plot(x, values, **style)[0]


def whole_numbers():
    """A locator of ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)


def count_on_x(ax, count, label):
    """Label an axis that counts from 1 to `count`."""
    margin = 0.5 if count == 1 else min(0.5, 0.03 * (count - 1))  # 0 is never in view
    ax.set_xlim(1 - margin, count + margin)
    ax.xaxis.set_major_locator(whole_numbers())
    ax.set_xlabel(label)


def time_on_x(ax, times, label):
    """Label an axis of dates or numbers."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    if times.dtype.kind in "MO":
        zone = getattr(times[0], "tzinfo", None)
        locator = AutoDateLocator(tz=zone, minticks=4, maxticks=8)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    elif times.dtype.kind in "iu":
        ax.xaxis.set_major_locator(whole_numbers())
    ax.set_xlabel(label)


def names_on_axis(axis, places, names):
    """Names at places of an axis, as many as do not overlap."""
    panel = axis.axes.get_window_extent()
    if axis.axis_name == "x":
        length = panel.width
        needed = 0.15 + 0.09 * max(len(name) for name in names)  # inches
    else:
        length = panel.height
        needed = 0.2
    most = max(1, int(0.8 * length / axis.axes.figure.dpi / needed))  # panels are laid out later, and shrink a little
    stride = math.ceil(len(places) / most)
    axis.set_ticks(places[::stride], labels=names[::stride])


def legend_on_top(ax):
    """A legend in rows at the top, with room for it above the data."""
    _, labels = ax.get_legend_handles_labels()
    if not labels:
        return
    panel = ax.get_window_extent()
    for n_columns in range(len(labels), 0, -1):
        box = ax.legend(loc="upper left", ncols=n_columns, fontsize="small").get_window_extent()
        if box.width < panel.width:
            break
    room = min(0.5, (panel.y1 - box.y0) / panel.height)
    low, high = ax.get_ylim()
    ax.set_ylim(low, low + (high - low) / (1 - room))
