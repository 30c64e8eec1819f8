"""Display of the filters of a convolution, and of what a layer makes of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skneural.plotting._image_panels import check_count, columns_of, make_grid, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(kw_only=True, eq=False, repr=False)
class FilterDisplay:
    """Filters of a convolution, or feature maps: what a layer makes of one image.

    Use :meth:`from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    filters : array-like of shape (height, width, n_channels, n_filters), default=None
        The weights. Of one channel 0 is white. Of three channels they are colours, of which
        middle grey is 0. Of other numbers of channels their mean over the channels is shown.
    feature_maps : array-like of shape (height, width, n_filters), default=None
        What a layer returns for an image.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : list of matplotlib Axes
        The panels.
    figure_ : matplotlib Figure
    images_ : list of matplotlib AxesImage
    colorbar_ : matplotlib Colorbar or None
        The values. None for filters of three channels.

    See Also
    --------
    skneural.inspection.convolution_filters : The weights as an array.
    skneural.inspection.layer_outputs : Outputs of any layer as an array.
    ImageImportanceDisplay : What predictions of images rest on.

    References
    ----------
    Zeiler and Fergus (2014), "Visualizing and understanding convolutional networks", ECCV.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skneural import CNNClassifier
    >>> from skneural.plotting import FilterDisplay
    >>> digits = load_digits()
    >>> clf = CNNClassifier((8,), max_iter=50, tol=1e-2, random_state=0).fit(digits.images, digits.target)
    >>> len(FilterDisplay.from_estimator(clf).images_)
    8
    >>> FilterDisplay.from_estimator(clf, digits.images[0]).feature_maps.shape
    (8, 8, 8)
    >>> plt.close("all")
    """

    filters: ArrayLike | None = None
    feature_maps: ArrayLike | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        image: ArrayLike | None = None,
        *,
        layer: int | None = None,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Draw the filters of a fitted network, or with an image what a layer makes of it.

        Parameters
        ----------
        estimator : estimator
            A fitted network of this package with convolutions over images, or a search for one. Of a pipeline give the
            last step, and the image as the steps before it return it.
        image : array-like, default=None
            One image as the network reads it, without the axis of images: of shape (height, width), (height, width,
            n_channels) or (n_features,). None draws filters.
        layer : int, default=None
            Number of the layer, counted from 0 in the order of ``estimator.summary()``, without the input and without
            those that stand within others. None: the first that is, or holds, a convolution.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : FilterDisplay

        Raises
        ------
        TypeError
            If the estimator is no network of this package, or `layer` no integer.
        NotFittedError
            If it is not fitted.
        ValueError
            If it has no convolutions, or no such layer, or the layer returns no images; or as :meth:`plot` does.
        """
        from skneural.inspection import convolution_filters, layer_outputs

        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if image is None:
            return cls(filters=convolution_filters(estimator, layer)).plot(ax, **options)
        maps = layer_outputs(estimator, np.asarray(image)[np.newaxis], layer)
        if maps.ndim != 4:
            raise ValueError(f"Layer {layer} returns no images, but values of shape {maps.shape[1:]} for each sample.")
        return cls(feature_maps=maps[0]).plot(ax, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        max_panels: int = 64,
        n_columns: int | None = None,
        cmap: Any = None,
        image_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the filters or the feature maps, all in the same shades.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: Axes for all panels, or one of a grid of Axes, which is divided. None makes a new figure.
        max_panels : int, default=64
            How many filters or feature maps are drawn, at the most: the first ones.
        n_columns : int, default=None
            Panels side by side. None: at most eight.
        cmap : str or matplotlib Colormap, default=None
            Colours; None for 'PuOr_r' of filters, in which 0 is in the middle, and 'viridis' of feature maps.
        image_kw : dict, default=None
            Keywords for Matplotlib's `imshow`.

        Returns
        -------
        display : FilterDisplay

        Raises
        ------
        ValueError
            If there are neither filters nor feature maps or both, if they have another number of axes, or if there are
            fewer Axes than panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        max_panels = check_count(max_panels, "max_panels")
        if (self.filters is None) == (self.feature_maps is None):
            raise ValueError("Either filters or feature_maps are drawn: give one of them.")
        if self.filters is not None:
            values, style = _shown_filters(np.asarray(self.filters, float))
        else:
            values, style = _shown_maps(np.asarray(self.feature_maps, float))
        values = values[:max_panels]
        count = len(values)
        n_columns = columns_of(n_columns, count)
        self.axes_ = make_grid(ax, count, n_columns, side=0.8)
        if cmap is not None:
            style["cmap"] = cmap
        style |= image_kw or {}
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        self.images_ = [show(panel, value, **style) for panel, value in zip(self.axes_, values, strict=True)]
        self.colorbar_ = None
        if values.ndim == 3:
            label = "Weight" if self.filters is not None else "Output"
            self.colorbar_ = self.figure_.colorbar(self.images_[0], ax=self.axes_, label=label)
        return self


def _shown_filters(filters):
    """Filters as they are shown, one behind the other, and in which colours."""
    if filters.ndim != 4 or not filters.size:
        raise ValueError(
            f"filters must have the shape (height, width, n_channels, n_filters), got shape {filters.shape}."
        )
    filters = filters.transpose(3, 0, 1, 2)
    if filters.shape[-1] == 3:
        largest = max(np.abs(filters).max(), np.finfo(float).tiny)
        return 0.5 + filters / (2 * largest), {}
    filters = filters.mean(axis=-1)
    largest = np.abs(filters).max()
    return filters, {"cmap": "PuOr_r", "vmin": -largest, "vmax": largest}


def _shown_maps(maps):
    """Feature maps as they are shown, one behind the other, and in which colours."""
    if maps.ndim != 3 or not maps.size:
        raise ValueError(f"feature_maps must have the shape (height, width, n_filters), got shape {maps.shape}.")
    return maps.transpose(2, 0, 1), {"cmap": "viridis", "vmin": maps.min(), "vmax": maps.max()}
