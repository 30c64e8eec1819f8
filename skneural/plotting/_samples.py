"""Display of samples that a network has made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skneural._image_layout import full_shape, in_order, read_images
from skneural._wrapped import found_by_search, innermost
from skneural.plotting._image_panels import check_count, columns_of, limits_of, make_grid, show, shown_images
from skneural.plotting._utils import COLOURS_OF_POINTS, points_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(kw_only=True, eq=False, repr=False)
class SampleDisplay:
    """Samples that a network has made: points in a plane over those of the data, or images.

    Use :meth:`from_estimator` to make one, or :meth:`from_epochs` of samples that were kept during a fit. All
    parameters are stored as attributes.

    Parameters
    ----------
    samples : array-like of shape (n_samples, n_features), (n_samples, height, width) or with channels
        The samples. Of rows two features are shown.
    labels : array-like of shape (n_samples,), default=None
        Their classes. Points have a colour for each, images a row of panels.
    epochs : array-like of shape (n_samples,), default=None
        After which epoch each was made. Points have a panel for each epoch, images a row of panels, in the order in
        which they come.
    data : array-like of shape (n_rows, n_features), default=None
        Rows of the data, shown under points.
    features : tuple of int, default=(0, 1)
        The columns that are shown of rows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : ndarray of matplotlib Axes
        The panels.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from skneural import GAN
    >>> from skneural.plotting import SampleDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal([5, -2], [1.0, 0.2], size=(1000, 2))
    >>> gan = GAN((32, 32), n_components=2, batch_size=50, max_iter=100, random_state=0).fit(X)
    >>> display = SampleDisplay.from_estimator(gan, 300, X=X)
    >>> display.samples.shape
    (300, 2)
    >>> plt.close(display.figure_)
    """

    samples: ArrayLike
    labels: ArrayLike | None = None
    epochs: ArrayLike | None = None
    data: ArrayLike | None = None
    features: tuple = (0, 1)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        n_samples: int | None = None,
        *,
        X: ArrayLike | None = None,
        image_shape: tuple | None = None,
        random_state: int | np.random.RandomState | None = 0,
        features: tuple = (0, 1),
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Make samples, and draw them.

        Parameters
        ----------
        estimator : GAN, or anything fitted that has a method ``sample``
            That takes `n_samples` and `random_state`, and returns an array. Of a conditional one there are as many
            samples of each class. Of a pipeline that ends in one they go back through the other steps, where these have
            ``inverse_transform``.
        n_samples : int, default=None
            How many, of each class if there are any. None: 1,000 points, 24 images or 10 of each class.
        X : array-like of shape (n_rows, n_features), default=None
            Rows of the data, to be shown under points.
        image_shape : tuple of int, default=None
            (height, width) or (height, width, n_channels) where rows are images. None: that of the estimator.
        random_state : int, RandomState instance or None, default=0
            Another number draws other samples.
        features : tuple of int, default=(0, 1)
            The columns that are shown of rows.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : SampleDisplay

        Raises
        ------
        TypeError
            If `estimator` makes no samples.
        ValueError
            If the samples cannot be shown.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        model = innermost(estimator)
        if not hasattr(model, "sample"):
            raise TypeError(f"{type(model).__name__} makes no samples: an estimator with a method sample is needed.")
        classes = getattr(model, "classes_", None)
        is_image = image_shape is not None or hasattr(model, "image_shape_")
        is_image = is_image or len(getattr(model, "sample_shape_", (1,))) > 1
        if n_samples is None:
            n_samples = (24 if classes is None else 10) if is_image else 1000
        n_samples = check_count(n_samples, "n_samples")
        labels = None if classes is None else np.repeat(classes, n_samples)
        if labels is None:
            samples = model.sample(n_samples, random_state=random_state)
        else:
            samples = model.sample(y=labels, random_state=random_state)
        samples = _as_given(estimator, samples)
        if is_image and np.ndim(samples) != 3:
            samples = read_images(model, samples, image_shape).values
        return cls(samples=samples, labels=labels, data=X, features=features).plot(ax, **options)

    @classmethod
    def from_epochs(
        cls,
        recorder: Any,
        *,
        X: ArrayLike | None = None,
        image_shape: tuple | None = None,
        features: tuple = (0, 1),
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Draw samples that were kept during a fit: of images a row for each epoch, of points a panel.

        Parameters
        ----------
        recorder : SampleRecorder
            The callback that has kept them.
        X, image_shape, features
            As in :meth:`from_estimator`.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : SampleDisplay

        Raises
        ------
        ValueError
            If no samples were kept, or they cannot be shown.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from sklearn.datasets import load_digits
        >>> from skneural import VariationalAutoencoder
        >>> from skneural.callbacks import SampleRecorder
        >>> from skneural.plotting import SampleDisplay
        >>> recorder = SampleRecorder(8, every=2)
        >>> vae = VariationalAutoencoder(4, max_iter=4, random_state=0).set_callbacks(recorder)
        >>> vae = vae.fit(load_digits().data / 16)
        >>> display = SampleDisplay.from_epochs(recorder, image_shape=(8, 8))
        >>> len(display.axes_)
        16
        >>> plt.close(display.figure_)
        """
        check_matplotlib_support(f"{cls.__name__}.from_epochs")
        kept = getattr(recorder, "samples_", [])
        if not kept:
            raise ValueError("No samples were kept: fit an estimator that has the SampleRecorder among its callbacks.")
        samples = np.concatenate(kept)
        is_channels_first = getattr(recorder, "input_format_", None) == "channels_first"
        if image_shape is not None:
            shape = full_shape(image_shape, is_channels_first)
            samples = in_order(samples.reshape(len(samples), -1), shape, is_channels_first)
        elif samples.ndim == 4:
            samples = in_order(samples, None, is_channels_first)
        epochs = np.repeat(recorder.epochs_, len(kept[0]))
        labels = None if recorder.labels_ is None else np.tile(recorder.labels_, len(kept))
        return cls(samples=samples, labels=labels, epochs=epochs, data=X, features=features).plot(ax, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        n_columns: int | None = None,
        cmap: Any = "gray",
        image_kw: dict[str, Any] | None = None,
        scatter_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the samples.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: one for points, or one for each epoch; for images one for each. One of a grid of Axes is
            divided. None makes a new figure.
        n_columns : int, default=None
            Columns of images. By default as many as there are of a class, or of an epoch. Columns of panels of points.
        cmap : str or matplotlib Colormap, default='gray'
            Shades of images of one channel.
        image_kw, scatter_kw : dict, default=None
            Keywords for Matplotlib's `imshow` and `scatter`.

        Returns
        -------
        display : SampleDisplay

        Raises
        ------
        ValueError
            If the samples cannot be shown, or there are fewer Axes than panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        samples = np.asarray(self.samples)
        check_consistent_length(self.samples, self.labels, self.epochs)
        if samples.ndim == 2:
            self._plot_points(ax, samples, n_columns, scatter_kw or {})
        elif samples.ndim in (3, 4):
            self._plot_images(ax, samples, n_columns, {"cmap": cmap, **(image_kw or {})})
        else:
            raise ValueError(f"Rows and images can be shown, got samples of shape {samples.shape}.")
        self.ax_ = self.axes_.ravel()[0]
        self.figure_ = self.ax_.figure
        return self

    def _plot_points(self, ax, samples, n_columns, scatter_kw):
        n_features = samples.shape[1]
        if len(self.features) != 2 or not all(0 <= i < n_features for i in self.features):
            raise ValueError(f"features must be two columns of {n_features}, got {self.features!r}.")
        labels = None if self.labels is None else np.asarray(self.labels)
        if self.epochs is not None:
            epochs = np.asarray(self.epochs)
            shown = list(dict.fromkeys(epochs.tolist()))
            axes = make_grid(ax, len(shown), columns_of(n_columns, len(shown), 4), side=2.6, lines=2)
            for panel, epoch in zip(axes, shown, strict=True):
                chosen = epochs == epoch
                self._draw_points(panel, samples[chosen], None if labels is None else labels[chosen], scatter_kw)
                panel.set_title(f"epoch {epoch}", fontsize="small")
            self.axes_ = np.array(axes)
            return
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=(4.5, 4.2), layout="constrained")
        self.axes_ = np.ravel(ax)[:1]
        self._draw_points(self.axes_[0], samples, labels, scatter_kw)

    def _draw_points(self, ax, samples, labels, scatter_kw):
        first, second = self.features
        style = points_style(scatter_kw, s=6, linewidths=0)
        if self.data is not None:
            data = np.asarray(self.data)
            shared = {name: value for name, value in style.items() if name not in COLOURS_OF_POINTS}
            ax.scatter(data[:, first], data[:, second], **{**shared, "color": "0.75", "label": "data"})
        if labels is None:
            ax.scatter(samples[:, first], samples[:, second], **{"label": "samples", **style})
        else:
            for label in np.unique(labels):
                own = samples[labels == label]
                ax.scatter(own[:, first], own[:, second], **{"label": str(label), **style})
        ax.set_xlabel(f"feature {first}")
        ax.set_ylabel(f"feature {second}")
        if self.data is not None or labels is not None:
            ax.legend(loc="best", fontsize="small", markerscale=2)

    def _plot_images(self, ax, samples, n_columns, image_kw):
        channels = samples.shape[3:] or (1,)
        values = shown_images(samples.reshape(*samples.shape[:3], *channels))
        labels = None if self.labels is None else np.asarray(self.labels)
        if self.epochs is not None:
            labels = np.asarray(self.epochs)
        if labels is not None:
            _, first, place = np.unique(labels, return_index=True, return_inverse=True)
            order = np.argsort(place if self.epochs is None else first[place], kind="stable")
            values = values[order]
            labels = labels[order]
            counts = np.unique(labels, return_counts=True)[1]
            if n_columns is None and (counts == counts[0]).all():
                n_columns = counts[0]
        n_columns = columns_of(n_columns, len(values))
        axes = make_grid(ax, len(values), n_columns, side=0.7)
        options = {**limits_of(values), **image_kw}
        for i, (panel, value) in enumerate(zip(axes, values, strict=True)):
            show(panel, value, **options)
            is_first = labels is not None and (i == 0 or labels[i] != labels[i - 1])
            if is_first:
                text = str(labels[i]) if self.epochs is None else f"epoch {labels[i]}"
                panel.set_ylabel(text, rotation=0, ha="right", va="center", fontsize="small")
        self.axes_ = np.array(axes)


def _as_given(estimator, samples):
    """Samples in the units of what a pipeline was given, where its other steps say the way back."""
    estimator = found_by_search(estimator)
    before = estimator[:-1] if hasattr(estimator, "steps") else ()
    return before.inverse_transform(samples) if len(before) and hasattr(before, "inverse_transform") else samples
