"""Display of the importance of parts of images: images, and a map under each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import check_consistent_length
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skneural._image_layout import read_images
from skneural._wrapped import found_by_search, innermost
from skneural.plotting._image_panels import check_count, limits_of, make_grid, show, shown_images

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_COLUMNS = 6


@dataclass(kw_only=True, eq=False, repr=False)
class ImageImportanceDisplay:
    """Images, and under each a map of what the prediction rests on: by hiding parts of it, or by gradients.

    Use :meth:`from_estimator` or :meth:`from_importance` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    images : array-like of shape (n_images, height, width) or (n_images, height, width, n_channels)
        The images, of one channel in shades, of 3 or 4 in colours.
    importance : array-like of shape (n_images, height, width)
        Of each pixel of each image.
    importance_name : str, default=None
        What the importance measures; None for "Importance".
    titles : array-like of str, of shape (n_images,), default=None
        What stands above the images.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : list of matplotlib Axes
        The panels of the images.
    map_axes_ : list of matplotlib Axes
        The panels of the maps.
    figure_ : matplotlib Figure
    images_ : list of matplotlib AxesImage
        The images.
    maps_ : list of matplotlib AxesImage
        The maps.
    colorbar_ : matplotlib Colorbar or None
        The values of the maps. None if each has a scale of its own.

    See Also
    --------
    skneural.inspection.occlusion_importance : What is lost where a part is hidden, with its paper.
    skneural.inspection.saliency : Gradients by the input, with their paper.
    TimestepImportanceDisplay : Importance of the time steps of sequences.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from skneural.plotting import ImageImportanceDisplay
    >>> images = np.zeros((2, 4, 4))
    >>> display = ImageImportanceDisplay.from_importance(images, images - 0.5, titles=["a", "b"])
    >>> len(display.images_), len(display.maps_)
    (2, 2)
    >>> display.maps_[0].get_clim()
    (-0.5, 0.5)
    >>> plt.close(display.figure_)
    """

    images: ArrayLike
    importance: ArrayLike
    importance_name: str | None = None
    titles: ArrayLike | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        method: str = "occlusion",
        n_images: int = 6,
        patch_size: int | tuple[int, int] | None = None,
        stride: int | tuple[int, int] | None = None,
        fill: str | float | ArrayLike = "mean",
        of: str = "score",
        image_shape: tuple[int, ...] | None = None,
        titles: ArrayLike | None = None,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Measure and draw what a fitted estimator looks at in images.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier or regressor; for 'saliency' a network of this package.
        X : array-like
            Images as the estimator reads them, also in rows.
        y : array-like of shape (n_images,), default=None
            As in :func:`skneural.inspection.occlusion_importance` and :func:`skneural.inspection.saliency`.
        method : {'occlusion', 'saliency'}, default='occlusion'
            What the prediction loses where a patch hides a part, or the size of the gradient by each pixel (of several
            channels the largest).
        n_images : int, default=6
            How many images are measured and drawn, at the most: the first ones.
        patch_size, stride, fill
            As in :func:`skneural.inspection.occlusion_importance`.
        of
            As in :func:`skneural.inspection.saliency`.
        image_shape : tuple of int, default=None
            Shape of the images in rows of 2-D `X`. None: that of the estimator; else rows whose length is a square are
            square images.
        titles : array-like of str, of shape (n_images,), default=None
            What stands above the images; None for the classes that classifiers predict.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : ImageImportanceDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError, ValueError
            As in these functions and :meth:`plot`, or for an unknown `method`.
        """
        from skneural.inspection import occlusion_importance, saliency

        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if method not in ("occlusion", "saliency"):
            raise ValueError(f"Unknown method: {method!r}. Should be one of 'occlusion' or 'saliency'.")
        n_images = check_count(n_images, "n_images")
        if hasattr(innermost(estimator), "n_timesteps_in_"):
            raise ValueError(f"{cls.__name__} draws images: {innermost(estimator)!r} reads sequences.")
        images = read_images(estimator, X, image_shape)
        if np.ndim(y):
            check_consistent_length(images.values, y)
        given = images.as_given(images.values[:n_images])
        y = y[:n_images] if np.ndim(y) else y
        if method == "occlusion":
            importance = occlusion_importance(
                estimator, given, y, patch_size=patch_size, stride=stride, fill=fill, image_shape=image_shape
            )
            name = _name_of_loss(estimator, y)
        else:
            gradient = saliency(estimator, given, y, of=of)
            by_pixel = read_images(estimator, gradient, image_shape).values
            importance = np.abs(by_pixel).max(axis=-1)
            name = f"Gradient of the {of if is_classifier(estimator) else 'prediction'}"
        if titles is None and is_classifier(estimator):
            titles = [str(label) for label in estimator.predict(given)]
        return cls(
            images=images.values[:n_images],
            importance=importance,
            importance_name=name,
            titles=titles,
        ).plot(ax, **options)

    @classmethod
    def from_importance(
        cls,
        X: ArrayLike,
        importance: ArrayLike,
        *,
        importance_name: str | None = None,
        titles: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Draw importances that are there already.

        Parameters
        ----------
        X : array-like
            Images of shape (n_images, height, width), (n_images, height, width, n_channels), or (n_images, n_features)
            with a row for each image.
        importance : array-like of shape (n_images, height, width) or (height, width)
            The importances. One map for all images is drawn under their mean.
        importance_name, titles
            As in the class.
        image_shape : tuple of int, default=None
            Shape of the images in rows of 2-D `X`; None: they are square.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : ImageImportanceDisplay

        Raises
        ------
        ValueError
            As :meth:`plot` does.
        """
        images = read_images(None, X, image_shape).values
        importance = np.asarray(importance, dtype=float)
        if importance.ndim == 2:
            mean = images.mean(axis=0, keepdims=True)
            images = mean.astype(np.uint8) if images.dtype == np.uint8 else mean
            importance = importance[np.newaxis]
        return cls(
            images=images,
            importance=importance,
            importance_name=importance_name,
            titles=titles,
        ).plot(ax, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        n_columns: int | None = None,
        same_scale: bool = True,
        cmap: Any = None,
        image_kw: dict[str, Any] | None = None,
        map_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the images and the maps.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: Axes for all images and maps, row after row, or one of a grid of Axes, which is divided. None
            makes a new figure.
        n_columns : int, default=None
            Images side by side. None: at most six.
        same_scale : bool, default=True
            Whether a colour means the same in all maps. False: each map uses all colours.
        cmap : str or matplotlib Colormap, default=None
            Colours of the maps; None for 'PuOr_r', with 0 in the middle, where there are values below 0, else
            'viridis'.
        image_kw, map_kw : dict, default=None
            Keywords for Matplotlib's `imshow` of the images and of the maps.

        Returns
        -------
        display : ImageImportanceDisplay

        Raises
        ------
        ValueError
            If images and importances do not have the same shape, if there are not as many titles, or if there are fewer
            Axes than panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        images = read_images(None, self.images).values
        importance = np.asarray(self.importance, dtype=float)
        if importance.shape != images.shape[:3]:
            raise ValueError(
                f"importance must have one number for each pixel, the shape {images.shape[:3]}, got {importance.shape}."
            )
        count = len(images)
        if self.titles is not None and len(self.titles) != count:
            raise ValueError(f"titles must hold one for each of {count} images, got {len(self.titles)}.")
        n_columns = min(count, MOST_COLUMNS if n_columns is None else check_count(n_columns, "n_columns"))
        n_bands = math.ceil(count / n_columns)
        n_panels = 2 * n_bands * n_columns
        lines = 0 if self.titles is None else 1
        panels = np.reshape(make_grid(ax, n_panels, n_columns, lines=lines), (n_bands, 2, n_columns))
        above = panels[:, 0].ravel()
        below = panels[:, 1].ravel()
        for left_over in [*above[count:], *below[count:]]:
            left_over.set_axis_off()
        self.axes_ = list(above[:count])
        self.map_axes_ = list(below[:count])
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        values = shown_images(images)
        image_kw = {"cmap": "gray", **limits_of(values), **(image_kw or {})}
        self.images_ = [show(panel, image, **image_kw) for panel, image in zip(self.axes_, values, strict=True)]
        if self.titles is not None:
            for panel, title in zip(self.axes_, self.titles, strict=True):
                panel.set_title(str(title), fontsize="small")
        self._draw_maps(importance, same_scale, cmap, map_kw or {})
        self.colorbar_ = None
        if same_scale:
            label = self.importance_name or "Importance"
            self.colorbar_ = self.figure_.colorbar(self.maps_[0], ax=list(panels.ravel()), label=label)
        return self

    def _draw_maps(self, importance, same_scale, cmap, map_kw):
        """The maps, in colours of which 0 is in the middle where there are values below it."""
        is_signed = np.nanmin(importance) < 0
        if cmap is None:
            cmap = "PuOr_r" if is_signed else "viridis"
        self.maps_ = []
        for panel, values in zip(self.map_axes_, importance, strict=True):
            largest = np.nanmax(np.abs(importance if same_scale else values))
            limits = {"vmin": -largest if is_signed else 0, "vmax": largest}
            self.maps_.append(show(panel, values, **{"cmap": cmap, **limits, **map_kw}))


def _name_of_loss(estimator, y):
    """What hiding a part costs."""
    estimator = found_by_search(estimator)
    if is_classifier(estimator) and hasattr(estimator, "predict_proba"):
        return "Decrease of the probability"
    if is_classifier(estimator):
        return "Share of other predictions"
    return "Change of the prediction" if y is None else "Increase of the error"
