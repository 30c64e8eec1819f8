"""Panels, axes and curves that the displays share; Matplotlib is imported inside."""

import numpy as np


def numbers(values, n_epochs, name):
    """A curve as an array, None where nothing was recorded."""
    values = np.asarray(np.full(n_epochs, np.nan) if values is None else values, dtype=float)
    if values.shape != (n_epochs,):
        raise ValueError(f"{name} must hold one number for each of {n_epochs} epochs, got shape {values.shape}.")
    return None if np.isnan(values).all() else values


def make_panels(ax, count):
    """Axes for `count` panels side by side: new ones, those given, or one that is given divided."""
    if ax is None:
        import matplotlib.pyplot as plt

        size = (6.4, 4.2) if count == 1 else (4.6 * count, 3.8)
        return list(plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False)[1][0])
    axes = list(np.asarray(ax, dtype=object).ravel())
    if len(axes) == 1 < count and axes[0].get_subplotspec() is not None:
        places = axes[0].get_subplotspec().subgridspec(1, count, wspace=0.45)
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


def draw_curve(ax, values, **style):
    """Draw a curve over 1, 2, ...; numbers that stand alone, which a line would not show, as dots."""
    seen = np.pad(~np.isnan(values), 1)
    alone = (seen[1:-1] & ~seen[:-2] & ~seen[2:]).any()
    return ax.plot(np.arange(1, len(values) + 1), values, **{"marker": "." if alone else None, **style})[0]


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
