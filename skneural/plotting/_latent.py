"""Display of codes in two dimensions, and of what lies in the plane between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skneural._image_layout import read_images
from skneural._wrapped import found_by_search, innermost
from skneural.plotting._image_panels import check_count, shown_images
from skneural.plotting._utils import make_panels, points_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Share of the codes that lie beyond the grid on each side, along each axis.
BEYOND = 0.05
#: Share of the numbers of a grid, at each end, that are drawn black or white.
RARE = 0.02
#: Points between two images of a grid.
GAP = 2.0
#: Up to so many different labels are classes, each with a colour of its own.
MOST_CLASSES = 20


@dataclass(kw_only=True, eq=False, repr=False)
class LatentDisplay:
    """Codes as points of a plane, coloured by class; and beside them what places of the plane stand for.

    Use :meth:`from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    codes : array-like of shape (n_samples, 2)
        The points.
    y : array-like of shape (n_samples,), default=None
        Classes, each of which has a colour; or numbers, more than 20 different ones, by which points are shaded.
    decoded : array-like of shape (n_rows, n_columns, height, width) or (n_rows, n_columns, height, width, n_channels),\
 default=None
        Images for places of a grid, the first row at the bottom; None: the points alone.
    extent : (float, float, float, float), default=None
        Where the outermost places of the grid are: left, right, bottom and top.
    components : (int, int), default=(0, 1)
        Which numbers of the codes these are, for the labels.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the points.
    axes_ : list of matplotlib Axes
        That, and the panel of the grid, if there is one.
    figure_ : matplotlib Figure
    points_ : list of matplotlib PathCollection
        The points, of each class.
    image_ : matplotlib AxesImage or None
        The grid.
    legend_ : matplotlib Legend or None
        The classes.

    See Also
    --------
    ReconstructionDisplay : Samples and what is made of them.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skneural import Autoencoder
    >>> from skneural.plotting import LatentDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> ae = Autoencoder((64, 2), scaler="common", max_iter=20, tol=1.0, random_state=0).fit(X)
    >>> display = LatentDisplay.from_estimator(ae, X, y, grid=9, image_shape=(8, 8))
    >>> display.codes.shape, display.decoded.shape
    ((1797, 2), (9, 9, 8, 8, 1))
    >>> plt.close("all")
    """

    codes: ArrayLike
    y: ArrayLike | None = None
    decoded: ArrayLike | None = None
    extent: tuple[float, float, float, float] | None = None
    components: tuple[int, int] = (0, 1)

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        components: tuple[int, int] = (0, 1),
        grid: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Draw the codes of samples.

        Parameters
        ----------
        estimator : estimator
            A fitted one with the methods ``transform`` and, for a grid, ``inverse_transform``.
        X : array-like
            The samples, as the estimator reads them.
        y : array-like of shape (n_samples,), default=None
            Classes or numbers by which points are coloured.
        components : (int, int), default=(0, 1)
            Which two numbers of the codes are drawn.
        grid : int, default=None
            How many places along each axis are decoded: between all codes but a twentieth on each side, the other
            numbers of the codes at their medians. They must be images. None: no grid.
        image_shape : tuple of int, default=None
            Shape of the images that stand in rows: (height, width) or (height, width, n_channels). None: that of the
            estimator; else rows whose length is a square are square images.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : LatentDisplay

        Raises
        ------
        TypeError
            If the estimator has no such methods.
        ValueError
            If there are no such numbers in the codes, if what is decoded is no image, or as :meth:`plot` does.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        estimator = found_by_search(estimator)
        needed = ("transform",) if grid is None else ("transform", "inverse_transform")
        if not all(hasattr(estimator, name) for name in needed):
            raise TypeError(f"LatentDisplay needs an estimator with {' and '.join(needed)}, got {estimator!r}.")
        codes = np.asarray(estimator.transform(X), float)
        if codes.ndim != 2 or len(components) != 2 or not all(0 <= i < codes.shape[1] for i in components):
            raise ValueError(f"components must be two numbers of codes of shape {codes.shape}, got {components!r}.")
        plane = list(components)
        decoded = None
        extent = None
        if grid is not None:
            low, high = np.quantile(codes[:, plane], [BEYOND, 1 - BEYOND], axis=0)
            places = _places(codes, plane, low, high, check_count(grid, "grid"))
            images = read_images(innermost(estimator), estimator.inverse_transform(places), image_shape).values
            decoded = images.reshape(grid, grid, *images.shape[1:])
            extent = (low[0], high[0], low[1], high[1])
        shown = cls(codes=codes[:, plane], y=y, decoded=decoded, extent=extent, components=tuple(components))
        return shown.plot(ax, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        cmap: Any = None,
        scatter_kw: dict[str, Any] | None = None,
        image_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the points, and the grid if there is one.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: Axes for all panels, or one of a grid of Axes, which is divided. None makes a new figure.
        cmap : str or matplotlib Colormap, default=None
            Colours of the points; None for 'tab10' ('tab20' for more than ten classes, 'viridis' for numbers).
        scatter_kw : dict, default=None
            Keywords for Matplotlib's `scatter`.
        image_kw : dict, default=None
            Keywords for Matplotlib's `imshow`.

        Returns
        -------
        display : LatentDisplay

        Raises
        ------
        ValueError
            If codes are not points of a plane, `y` has another length, or there are fewer Axes than panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        codes = np.asarray(self.codes, float)
        if codes.ndim != 2 or codes.shape[1] != 2:
            raise ValueError(f"codes must have the shape (n_samples, 2), got shape {codes.shape}.")
        n_panels = 1 if self.decoded is None else 2
        self.axes_ = make_panels(ax, n_panels, figsize=(5.2 * n_panels, 4.6))
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        style = {"s": 8, "alpha": 0.7, "linewidths": 0}
        self.legend_ = None
        self.points_ = self._draw_points(codes, cmap, scatter_kw or {}, style)
        self.image_ = None
        for panel in self.axes_:
            panel.set_xlabel(f"Code {self.components[0]}")
            panel.set_ylabel(f"Code {self.components[1]}")
        if self.decoded is not None:
            self.image_ = _draw_grid(self.axes_[1], np.asarray(self.decoded), self.extent, image_kw or {})
        return self

    def _draw_points(self, codes, cmap, scatter_kw, style):
        """The points in their colours, with a legend of the classes or a bar of the numbers."""
        import matplotlib as mpl

        if self.y is None:
            return [self.ax_.scatter(*codes.T, **points_style(scatter_kw, **style))]
        y = column_or_1d(self.y)
        check_consistent_length(codes, y)
        classes = np.unique(y)
        if len(classes) > MOST_CLASSES and y.dtype.kind in "iuf":
            points = self.ax_.scatter(*codes.T, **points_style(scatter_kw, c=y, cmap=cmap or "viridis", **style))
            if points.get_array() is not None:  # they may have one colour, by `scatter_kw`
                self.figure_.colorbar(points, ax=self.ax_)
            return [points]
        colours = mpl.colormaps.get_cmap(cmap or ("tab10" if len(classes) <= 10 else "tab20"))
        numbers = np.arange(len(classes)) if colours.N < 256 else np.linspace(0, 1, len(classes))
        drawn = []
        for label, number in zip(classes, numbers, strict=True):
            own = points_style(scatter_kw, color=[colours(number)], label=str(label), **style)
            drawn.append(self.ax_.scatter(*codes[y == label].T, **own))
        self.legend_ = self.ax_.legend(fontsize="small", markerscale=2, loc="upper left", bbox_to_anchor=(1, 1))
        return drawn


def _places(codes, plane, low, high, count):
    """Codes of the places of a grid, row after row from the bottom."""
    places = np.tile(np.median(codes, axis=0), (count, count, 1))
    if count == 1:  # one place is in the middle
        low = (low + high) / 2
        high = low
    places[:, :, plane[0]] = np.linspace(low[0], high[0], count)
    places[:, :, plane[1]] = np.linspace(low[1], high[1], count)[:, np.newaxis]
    return places.reshape(count * count, -1)


def _draw_grid(ax, decoded, extent, image_kw):
    """Images at their places, with thin lines between them, and the axes of the codes."""
    if decoded.ndim not in (4, 5) or not decoded.size:
        raise ValueError(
            "decoded must have the shape (n_rows, n_columns, height, width) or (n_rows, n_columns, height, width, "
            f"n_channels), got shape {decoded.shape}."
        )
    n_rows, n_columns, height, width = decoded.shape[:4]
    images = decoded.reshape(n_rows * n_columns, height, width, -1)
    shown = shown_images(images)
    tiles = shown.reshape(n_rows, n_columns, *shown.shape[1:])
    tiles = tiles[::-1]  # images have their first row at the top
    mosaic = np.moveaxis(tiles, 2, 1)
    mosaic = mosaic.reshape(n_rows * height, n_columns * width, *shown.shape[3:])
    style = {"cmap": "gray_r", "aspect": "auto", "interpolation": "nearest"}
    if shown.ndim == 3:  # few numbers that are far off should not make all others grey
        low, high = np.nanquantile(shown, [RARE, 1 - RARE])
        style |= {"vmin": low, "vmax": high}
    ax.set_box_aspect(mosaic.shape[0] / mosaic.shape[1])
    if extent is not None:
        left, right, bottom, top = extent
        dx = (right - left) / max(n_columns - 1, 1) / 2  # places are in the middle of their images
        dy = (top - bottom) / max(n_rows - 1, 1) / 2
        style["extent"] = (left - dx, right + dx, bottom - dy, top + dy)
    image = ax.imshow(mosaic, **(style | image_kw))
    _draw_gaps(ax, image.get_extent(), n_columns, n_rows)
    return image


def _draw_gaps(ax, extent, n_columns, n_rows):
    """Lines of the colour of the paper between the images: ink at the edge of one would run into its neighbour."""
    left, right, bottom, top = extent
    columns = np.linspace(left, right, n_columns + 1)
    rows = np.linspace(bottom, top, n_rows + 1)
    style = {"colors": [ax.get_facecolor()], "linewidths": GAP}
    ax.vlines(columns[1:-1], bottom, top, **style)
    ax.hlines(rows[1:-1], left, right, **style)
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
