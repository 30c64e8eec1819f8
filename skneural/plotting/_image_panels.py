"""Grids of images: panels, and numbers as Matplotlib shows them."""

import math
from numbers import Integral

import numpy as np

#: Inches of a panel, of the room between two, and of a line of text above one.
SIDE = 1.2
LINE = 0.19


def check_count(value, name):
    """Raise unless something is a number of things."""
    if not isinstance(value, Integral) or isinstance(value, bool | np.bool_) or value < 1:
        raise ValueError(f"{name} must be an integer from 1 up, got {value!r}.")
    return int(value)


def columns_of(n_columns, count, widest=8):
    """Columns of a grid of so many panels: those that are asked for, else about as many as rows, and a few more."""
    if n_columns is not None:
        return min(check_count(n_columns, "n_columns"), count)
    return min(count, widest, math.ceil(math.sqrt(1.6 * count)))


def make_grid(ax, count, n_columns, *, side=SIDE, width=None, lines=0):
    """Axes for so many panels, row after row: new ones, one that is given divided, or those that are given.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of them or None
    count, n_columns : int
    side : float
        Inches of a panel of a new figure.
    width : float, default=None
        The same of panels that are wider than they are high.
    lines : int
        Lines of text above each.

    Returns
    -------
    list of matplotlib Axes
        As many as there are panels; what is left over of a grid is left empty.

    Raises
    ------
    ValueError
        If there are fewer Axes than panels.
    """
    n_rows = math.ceil(count / n_columns)
    if ax is None:
        import matplotlib.pyplot as plt

        figsize = (max(n_columns * ((width or side) + 0.1), 2.2), max(n_rows * (side + 0.05 + lines * LINE), 1.6))
        figure = plt.figure(figsize=figsize, layout="constrained")
        axes = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
    else:
        axes = list(np.ravel(ax))
        cell = axes[0].get_subplotspec() if len(axes) == 1 else None
        if cell is not None and count > 1:
            grid = cell.subgridspec(n_rows, n_columns)
            axes[0].set_subplotspec(grid[0, 0])
            places = [divmod(i, n_columns) for i in range(1, count)]
            axes += [axes[0].figure.add_subplot(grid[place]) for place in places]
    if len(axes) < count:
        raise ValueError(f"There are {count} panels: ax must hold as many Axes, or one of a grid, got {len(axes)}.")
    for left_over in axes[count:]:
        left_over.set_axis_off()
    return axes[:count]


def shown_images(images):
    """Images as Matplotlib shows them: (n_images, height, width) in shades, or with 3 or 4 channels in colours.

    Colours that are no bytes are brought to [0, 1] where they are not there, by one shift and one factor for all.

    Raises
    ------
    ValueError
        If they have another number of channels.
    """
    n_channels = images.shape[-1]
    if n_channels == 1:
        return images[..., 0]
    if n_channels not in (3, 4):
        raise ValueError(f"Images of 1, 3 or 4 channels can be shown, got {n_channels}.")
    if images.dtype == np.uint8:
        return images
    images = np.asarray(images, float)
    low = np.nanmin(images)
    high = np.nanmax(images)
    if low < 0 or high > 1:
        images = (images - low) / max(high - low, np.finfo(float).tiny)
    return np.clip(images, 0, 1)


def show(ax, image, **image_kw):
    """Draw an image without ticks."""
    drawn = ax.imshow(image, **image_kw)
    ax.set_xticks([])
    ax.set_yticks([])
    return drawn


def limits_of(values):
    """Keywords that show all images of one display in the same shades, none for colours."""
    if values.ndim == 4:
        return {}
    return {"vmin": float(np.nanmin(values)), "vmax": float(np.nanmax(values))}
