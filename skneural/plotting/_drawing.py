"""Panels, axes and curves that the displays share; Matplotlib is imported inside."""

import datetime

import numpy as np


def numbers(values, n_epochs, name):
    """A curve as an array, None where nothing was recorded."""
    values = np.asarray(np.full(n_epochs, np.nan) if values is None else values, dtype=float)
    if values.shape != (n_epochs,):
        raise ValueError(f"{name} must hold one number for each of {n_epochs} epochs, got shape {values.shape}.")
    return None if np.isnan(values).all() else values


def make_panels(ax, count, *, size=None, widths=None):
    """Axes for `count` panels side by side: new ones, those given, or one that is given divided.

    Those of different `widths` stand close together, since they have the vertical axis in common.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        size = size or ((6.4, 4.2) if count == 1 else (4.6 * count, 3.8))
        axes = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False, width_ratios=widths)[1]
        return list(axes[0])
    axes = list(np.asarray(ax, dtype=object).ravel())
    if len(axes) == 1 < count and axes[0].get_subplotspec() is not None:
        wspace = 0.45 if widths is None else 0.08
        places = axes[0].get_subplotspec().subgridspec(1, count, wspace=wspace, width_ratios=widths)
        axes[0].set_subplotspec(places[0])
        axes += [axes[0].figure.add_subplot(places[i]) for i in range(1, count)]
    if len(axes) != count:
        raise ValueError(f"There are {count} panels: ax must hold {count} Axes, or one of a grid, got {len(axes)}.")
    return axes


def count_on_x(ax, count, label):
    """Label an axis that counts from 1 to `count`."""
    from matplotlib.ticker import MaxNLocator

    beside = 0.5 if count == 1 else min(0.5, 0.03 * (count - 1))  # 0 is never in view
    ax.set_xlim(1 - beside, count + beside)
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    ax.set_xlabel(label)


def draw_curve(ax, values, x=None, **style):
    """Draw a curve over 1, 2, ... or over `x`; numbers that stand alone, which a line would not show, as dots."""
    seen = np.pad(~np.isnan(values), 1)
    alone = (seen[1:-1] & ~seen[:-2] & ~seen[2:]).any()
    x = np.arange(1, len(values) + 1) if x is None else x
    return ax.plot(x, values, **{"marker": "." if alone else None, **style})[0]


def bar_of_layers(ax, colors, label):
    """A colour bar, which tells any number of layers apart and hides no line."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    count = len(colors)
    layers = ScalarMappable(BoundaryNorm(np.arange(0.5, count + 1), count), ListedColormap(colors))
    ticks = np.unique(np.linspace(1, count, min(count, 6)).round())
    bar = ax.figure.colorbar(layers, ax=ax, label=label, ticks=ticks)
    bar.minorticks_off()
    return bar


def places_in_time(index, count, name):
    """Numbers or dates as an array that Matplotlib can draw over."""
    if hasattr(index, "to_timestamp"):  # periods: their beginnings
        index = index.to_timestamp()
    places = np.asarray(index)
    if places.shape != (count,):
        raise ValueError(f"{name} must hold one number or date for each of {count} values, got shape {places.shape}.")
    if places.dtype.kind == "O" and not all(isinstance(place, datetime.date) for place in places):
        try:  # numbers of pandas' own types
            places = places.astype(float)
        except (TypeError, ValueError):
            places = places.astype(str)
    if places.dtype.kind not in "iufMO":
        raise ValueError(f"{name} must hold numbers or dates, got {places[0]!r}.")
    if (places != places).any():  # NaN and NaT
        raise ValueError(f"{name} must not have missing values.")
    return places


def time_on_x(ax, places, label, margin=0.02):
    """Label an axis of dates or numbers."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import MaxNLocator

    if places.dtype.kind in "MO":
        zone = getattr(places[0], "tzinfo", None)
        locator = AutoDateLocator(tz=zone, minticks=4, maxticks=8)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    elif places.dtype.kind in "iu":
        ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    if margin is not None:
        ax.margins(x=margin)
    ax.set_xlabel(label)


def mixed(ax, color, share):
    """A colour mixed with the background of an axes: it covers, so that bands on bands do not add up."""
    from matplotlib.colors import to_rgb, to_rgba

    background = to_rgba(ax.get_facecolor())
    behind = background[:3] if background[3] > 0 else (1.0, 1.0, 1.0)
    return tuple(share * np.array(to_rgb(color)) + (1 - share) * np.array(behind))


def legend_on_top(ax, **keywords):
    """A legend in rows at the top, with room for it above the data."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return
    box = ax.get_window_extent()
    width, height = box.width / ax.figure.dpi, box.height / ax.figure.dpi  # in inches
    widths = [0.5 + 0.065 * len(label) for label in labels]
    n_columns = len(handles) if sum(widths) < width else max(1, int(width / max(widths)))
    n_rows = -(-len(handles) // n_columns)
    room = min(0.5, (0.14 + 0.19 * n_rows) / height)
    low, high = ax.get_ylim()
    ax.set_ylim(low, low + (high - low) / (1 - room))
    ax.legend(handles, labels, loc="upper left", ncols=-(-len(handles) // n_rows), fontsize="small", **keywords)


def name_places(axis, places, names):
    """Names at places of an axis, as many as do not overlap."""
    box = axis.axes.get_window_extent()
    if axis.axis_name == "x":
        room, needed = box.width, 0.15 + 0.09 * max(len(name) for name in names)
    else:
        room, needed = box.height, 0.2
    most = max(1, int(0.8 * room / axis.axes.figure.dpi / needed))  # panels are laid out later, and shrink a little
    stride = -(-len(places) // most)
    axis.set_ticks(places[::stride], labels=names[::stride])
