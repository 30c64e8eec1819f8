"""Display of what an autoencoder makes of samples: inputs above outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skneural._image_layout import read_images, read_sequences
from skneural._wrapped import found_by_search, innermost
from skneural.plotting._image_panels import check_count, limits_of, make_grid, show, shown_images
from skneural.plotting._utils import line_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(kw_only=True, eq=False, repr=False)
class ReconstructionDisplay:
    """Samples in a row, and what an autoencoder makes of them below: images, or curves of sequences and rows.

    Use :meth:`from_estimator` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    inputs : array-like
        Images of shape (n_samples, height, width) or (n_samples, height, width, n_channels); with ``kind='sequences'``
        sequences of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_features).
    outputs : array-like
        What is made of them, of the same shape.
    originals : array-like, default=None
        What inputs were before they were spoilt, of the same shape: a third row.
    kind : {'images', 'sequences'}, default='images'
        What they are.
    titles : sequence of str, default=None
        What stands above each sample.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : ndarray of matplotlib Axes
        The panels, of shape (n_rows, n_samples).
    figure_ : matplotlib Figure

    See Also
    --------
    LatentDisplay : The codes in between.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skneural import Autoencoder
    >>> from skneural.plotting import ReconstructionDisplay
    >>> X = load_digits().images.astype("float32")
    >>> ae = Autoencoder((64, 8), max_iter=20, tol=1.0, random_state=0).fit(X)
    >>> ReconstructionDisplay.from_estimator(ae, X[:6]).axes_.shape
    (2, 6)
    >>> plt.close("all")
    """

    inputs: ArrayLike
    outputs: ArrayLike
    originals: ArrayLike | None = None
    kind: str = "images"
    titles: Any = None

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        *,
        originals: ArrayLike | None = None,
        n_samples: int = 8,
        image_shape: tuple[int, ...] | None = None,
        titles: Any = None,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Draw samples and what a fitted autoencoder makes of them.

        Parameters
        ----------
        estimator : estimator
            With a method ``reconstruct``, or ``transform`` and ``inverse_transform``, as
            :class:`sklearn.decomposition.PCA` and pipelines of transformers have.
        X : array-like
            The samples, as the estimator reads them; the first ones are drawn.
        originals : array-like, default=None
            What they were before they were spoilt, in the same form.
        n_samples : int, default=8
            How many are drawn, at the most.
        image_shape : tuple of int, default=None
            Shape of the images that stand in rows: (height, width) or (height, width, n_channels). None: that of the
            estimator; rows without any are curves.
        titles : sequence of str, default=None
            What stands above each sample.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        TypeError
            If the estimator reconstructs nothing.
        ValueError
            If X holds no images or sequences, or as :meth:`plot` does.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        count = check_count(n_samples, "n_samples")
        estimator = found_by_search(estimator)
        X = _first(X, count)
        outputs = reconstruct(estimator, X)
        kind, form = _form_of(estimator, outputs, image_shape)
        drawn = cls(
            inputs=form(X),
            outputs=form(outputs),
            originals=None if originals is None else form(_first(originals, count)),
            kind=kind,
            titles=titles,
        )
        return drawn.plot(ax, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        labels: tuple[str, ...] | None = None,
        image_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the samples.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: Axes for all panels, row after row, or one of a grid of Axes, which is divided. None makes a
            new figure.
        labels : sequence of str, default=None
            What the rows are called; None for 'input' and 'output', and with `originals` 'original' before them.
        image_kw : dict, default=None
            Keywords for Matplotlib's `imshow`, for images.
        line_kw : dict, default=None
            Keywords for Matplotlib's `plot`, for sequences.

        Returns
        -------
        display : ReconstructionDisplay

        Raises
        ------
        ValueError
            If inputs and outputs differ in shape, `kind` is unknown, or there are fewer Axes than panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if self.kind not in ("images", "sequences"):
            raise ValueError(f"kind must be 'images' or 'sequences', got {self.kind!r}.")
        rows = [np.asarray(row) for row in (self.originals, self.inputs, self.outputs) if row is not None]
        if len({row.shape for row in rows}) > 1 or not rows[0].size:
            raise ValueError(f"Inputs and outputs must be of one shape, got {[row.shape for row in rows]}.")
        if labels is None:
            labels = ("original", "input", "output")[-len(rows) :]
        if len(labels) != len(rows):
            raise ValueError(f"There are {len(rows)} rows, but {len(labels)} labels.")
        count = len(rows[0])
        side = 0.9 if self.kind == "images" else 1.4
        panels = make_grid(ax, len(rows) * count, count, side=side, lines=int(self.titles is not None))
        self.axes_ = np.array(panels, dtype=object).reshape(len(rows), count)
        self.ax_ = panels[0]
        self.figure_ = self.ax_.figure
        if self.kind == "images":
            _draw_images(self.axes_, rows, image_kw or {})
        else:
            _draw_curves(self.axes_, rows, line_style(line_kw or {}))
        for first, label in zip(self.axes_[:, 0], labels, strict=True):
            first.set_ylabel(label)
        for panel, title in zip(self.axes_[0], [] if self.titles is None else self.titles, strict=False):
            panel.set_title(str(title), fontsize="medium")
        return self


def reconstruct(estimator, X):
    """What an estimator makes of X.

    Raises
    ------
    TypeError
        If it makes nothing.
    """
    if hasattr(estimator, "reconstruct"):
        return estimator.reconstruct(X)
    if hasattr(estimator, "transform") and hasattr(estimator, "inverse_transform"):
        return estimator.inverse_transform(estimator.transform(X))
    raise TypeError(f"An estimator with a method reconstruct, or transform and inverse_transform, got {estimator!r}.")


def _first(X, count):
    """The first samples; of sparse rows as dense ones."""
    return X.tocsr()[:count].toarray() if sparse.issparse(X) else X[:count]


def _form_of(estimator, outputs, image_shape):
    """What samples are, and a function that brings them into the form in which they are drawn."""
    est = innermost(estimator)
    shape = np.shape(outputs)
    is_image = image_shape is not None or hasattr(est, "image_shape_") or len(shape) == 4
    if is_image:
        return "images", lambda samples: read_images(est, samples, image_shape).values
    return "sequences", lambda samples: read_sequences(est, _padded(samples, shape)).values[:, :, 0]


def _padded(samples, shape):
    """Sequences that may end before those of the fit, or one before the other, NaN after their ends."""
    is_array = isinstance(samples, list | tuple) or np.ndim(samples) == 3
    if len(shape) != 3 or not is_array:
        return samples
    padded = np.full(shape, np.nan)
    for row, sample in zip(padded, samples, strict=True):
        sample = np.asarray(sample)
        row[tuple(map(slice, sample.shape))] = sample
    return padded


def _draw_images(axes, rows, image_kw):
    shown = [shown_images(row if row.ndim == 4 else row[..., np.newaxis]) for row in rows]
    style = {"cmap": "gray_r"}
    if shown[0].ndim == 3:  # in the shades of what the outputs are to be
        style |= limits_of(shown[0])
    style |= image_kw
    for panels, images in zip(axes, shown, strict=True):
        for panel, image in zip(panels, images, strict=True):
            show(panel, image, **style)


def _draw_curves(axes, rows, style):
    for panels, curves in zip(axes, rows, strict=True):
        for panel, curve in zip(panels, curves, strict=True):
            panel.plot(curve, **{"linewidth": 1.2, **style})
            panel.tick_params(labelsize="small")
            if panel not in axes[-1]:
                panel.set_xticklabels([])
            if panel is not panels[0]:
                panel.set_yticklabels([])
    numbers = np.concatenate([row.ravel() for row in rows]).astype(float)
    low = np.nanmin(numbers)
    high = np.nanmax(numbers)
    margin = 0.05 * (high - low) or 0.5
    for panel in axes.ravel():
        panel.set_ylim(low - margin, high + margin)
