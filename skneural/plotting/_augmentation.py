"""Display of what augmentation makes of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skneural._image_layout import check_real, stacked
from skneural.plotting._image_panels import check_count, limits_of, make_grid, show, shown_images

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(kw_only=True, eq=False, repr=False)
class AugmentationDisplay:
    """Images, and beside each some versions of it that training would see.

    Use :meth:`from_images`, or :meth:`skneural.layers.Augmentation.preview`, to make one. All parameters are stored as
    attributes.

    Parameters
    ----------
    images : array-like of shape (n_images, height, width) or (n_images, height, width, n_channels)
        The images, of one channel in shades, of 3 or 4 in colours.
    versions : array-like of shape (n_images, n_versions, height, width) or with channels
        Versions of each.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : ndarray of shape (n_images, n_versions + 1)
        The panels.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skneural.layers import Augmentation
    >>> from skneural.plotting import AugmentationDisplay
    >>> images = load_digits().images[:3]
    >>> display = AugmentationDisplay.from_images(Augmentation(rotation=20, zoom=0.1), images, n=5)
    >>> display.versions.shape, display.axes_.shape
    ((3, 5, 8, 8), (3, 6))
    >>> plt.close(display.figure_)
    """

    images: ArrayLike
    versions: ArrayLike

    @classmethod
    def from_images(
        cls,
        augmentation: Any,
        X: ArrayLike,
        n: int = 7,
        *,
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Change images at random, and draw them.

        Parameters
        ----------
        augmentation : layers.Augmentation
        X : array-like of shape (n_images, height, width) or (n_images, height, width, n_channels)
            The images: a few. Brightness and contrast are in units of their own deviations.
        n : int, default=7
            Versions of each.
        random_state : int, RandomState instance or None, default=0
            Another number draws other versions.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : AugmentationDisplay

        Raises
        ------
        TypeError
            If `augmentation` is none.
        ValueError
            If `X` holds no images that can be shown, or a setting is out of range.
        """
        from skneural.estimators._preview import augmented_images

        check_matplotlib_support(f"{cls.__name__}.from_images")
        n = check_count(n, "n")
        images = np.asarray(stacked(X))
        check_real(images)
        if images.ndim == 4:
            shown_images(images[:1])  # raises for numbers of channels that cannot be shown
        versions = augmented_images(augmentation, images, n, random_state)
        return cls(images=images, versions=versions).plot(ax, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        cmap: Any = "gray",
        image_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the images, each with its versions in a row.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: Axes for all panels, or one of a grid of Axes, which is divided. None makes a new figure.
        cmap : str or matplotlib Colormap, default='gray'
            Shades of images of one channel.
        image_kw : dict, default=None
            Keywords for Matplotlib's `imshow`.

        Returns
        -------
        display : AugmentationDisplay

        Raises
        ------
        ValueError
            If the images cannot be shown, or there are fewer Axes than panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        images = np.asarray(self.images)
        versions = np.asarray(self.versions)
        rows = np.concatenate([images[:, None], versions], axis=1)
        n_images, n_columns = rows.shape[:2]
        channels = rows.shape[4:] or (1,)
        values = shown_images(rows.reshape(-1, *rows.shape[2:4], *channels))
        self.axes_ = np.reshape(make_grid(ax, n_images * n_columns, n_columns, lines=0.6), (n_images, n_columns))
        self.ax_ = self.axes_[0, 0]
        self.figure_ = self.ax_.figure
        options = {"cmap": cmap, **limits_of(values), **(image_kw or {})}
        for panel, value in zip(self.axes_.ravel(), values, strict=True):
            show(panel, value, **options)
        self.axes_[0, 0].set_title("image", fontsize="small")
        if n_columns > 1:
            self.axes_[0, 1].set_title("versions", fontsize="small", loc="left")
        return self
