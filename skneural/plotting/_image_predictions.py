"""Display of images with their true and predicted classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import check_consistent_length
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skneural._image_layout import read_images
from skneural.plotting._image_panels import check_count, columns_of, limits_of, make_grid, show, shown_images

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Right, wrong and unknown: colours that people with any kind of sight tell apart, and signs for print in grey.
RIGHT = {"sign": "✓ ", "color": "#007a55", "linestyle": "-"}
WRONG = {"sign": "✗ ", "color": "#c4420a", "linestyle": "--"}
UNKNOWN = {"sign": "", "color": "0.3", "linestyle": "-"}


@dataclass(kw_only=True, eq=False, repr=False)
class ImagePredictionDisplay:
    """Images with the class that is predicted, how sure that is, and the true class; right green, wrong red.

    Right predictions have a tick as well, and a solid frame, wrong ones a cross and a dashed frame. Use
    :meth:`from_estimator` or :meth:`from_predictions` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    images : array-like of shape (n_images, height, width) or (n_images, height, width, n_channels)
        The images that are shown, of one channel in shades, of 3 or 4 in colours.
    y_pred : array-like of shape (n_images,)
        The predicted classes.
    y_true : array-like of shape (n_images,), default=None
        The true classes; None if they are not known.
    confidence : array-like of shape (n_images,), default=None
        The probability of each predicted class; None if it is not known.
    display_labels : dict, default=None
        Names of the classes by their labels; None shows the labels.
    indices : array-like of shape (n_images,), default=None
        Numbers of the images in the data that they are from.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : list of matplotlib Axes
        The panels of the images.
    figure_ : matplotlib Figure
    images_ : list of matplotlib AxesImage
    texts_ : list of matplotlib Text
        What stands above the images.
    is_right_ : ndarray of shape (n_images,) or None
        Which predictions are right; None if the true classes are not known.

    See Also
    --------
    sklearn.metrics.ConfusionMatrixDisplay : How often one class is taken for another.
    ImageImportanceDisplay : What predictions of images rest on.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from skneural.plotting import ImagePredictionDisplay
    >>> digits = load_digits()
    >>> display = ImagePredictionDisplay.from_predictions(
    ...     digits.images[:3], digits.target[:3], [0, 1, 7], confidence=[0.99, 0.8, 0.6]
    ... )
    >>> [text.get_text().splitlines() for text in display.texts_]
    [['✓ 0  99 %'], ['✓ 1  80 %'], ['✗ 7  60 %', 'true: 2']]
    >>> plt.close(display.figure_)
    """

    images: ArrayLike
    y_pred: ArrayLike
    y_true: ArrayLike | None = None
    confidence: ArrayLike | None = None
    display_labels: dict | None = None
    indices: ArrayLike | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        n_images: int = 20,
        only_wrong: bool = False,
        display_labels: ArrayLike | None = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Predict the classes of images, and draw them.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier, a pipeline that ends in one, or a search for one.
        X : array-like
            Images as the estimator reads them: of shape (n_images, height, width), (n_images, height, width,
            n_channels), with ``input_format='channels_first'`` (n_images, n_channels, height, width), or (n_images,
            n_features) with a row for each image.
        y : array-like of shape (n_images,), default=None
            The true classes.
        n_images : int, default=20
            How many images are shown, at the most: the first ones.
        only_wrong : bool, default=False
            Whether only those are shown that are predicted wrongly, the surest first. It needs `y`, and a prediction of
            all of `X`.
        display_labels : array-like of shape (n_classes,), default=None
            Names of the classes in the order of ``estimator.classes_``. None shows the labels.
        image_shape : tuple of int, default=None
            Shape of the images in rows of 2-D `X`. None: that of the estimator; else rows whose length is a square are
            square images.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : ImagePredictionDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it is no classifier of one class a sample; if `X` holds no images that can be shown; if lengths differ;
            if `only_wrong` is asked for without `y`.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        if not is_classifier(estimator):
            raise ValueError(f"{cls.__name__}.from_estimator needs a classifier, got {type(estimator).__name__}.")
        n_images = check_count(n_images, "n_images")
        if only_wrong and y is None:
            raise ValueError("only_wrong=True needs y: without it nobody knows what is wrong.")
        images = read_images(estimator, X, image_shape)
        check_consistent_length(images.values, y)
        shown_images(images.values[:1])  # raises for numbers of channels that cannot be shown
        names = None if display_labels is None else _names_of_classes(estimator.classes_, display_labels)
        count = len(images.values) if only_wrong else n_images
        shown = images.values[:count]
        given = images.as_given(shown)
        y_pred = np.asarray(estimator.predict(given))
        if y_pred.ndim != 1:
            raise ValueError(f"Predictions of one class a sample can be shown, got some of shape {y_pred.shape}.")
        confidence = estimator.predict_proba(given).max(axis=1) if hasattr(estimator, "predict_proba") else None
        return cls.from_predictions(
            shown,
            None if y is None else np.asarray(y)[:count],
            y_pred,
            confidence=confidence,
            n_images=n_images,
            only_wrong=only_wrong,
            display_labels=names,
            ax=ax,
            **options,
        )

    @classmethod
    def from_predictions(
        cls,
        X: ArrayLike,
        y_true: ArrayLike | None,
        y_pred: ArrayLike,
        *,
        confidence: ArrayLike | None = None,
        n_images: int = 20,
        only_wrong: bool = False,
        display_labels: dict | None = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Draw images whose classes are predicted already.

        Parameters
        ----------
        X : array-like
            Images of shape (n_images, height, width), (n_images, height, width, n_channels), or (n_images, n_features)
            with a row for each image.
        y_true : array-like of shape (n_images,) or None
            The true classes.
        y_pred : array-like of shape (n_images,)
            The predicted classes.
        confidence : array-like of shape (n_images,), default=None
            The probability of each predicted class.
        n_images, only_wrong, image_shape
            As in :meth:`from_estimator`.
        display_labels : dict, default=None
            Names of the classes by their labels.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : ImagePredictionDisplay

        Raises
        ------
        ValueError
            If `X` holds no images that can be shown; if lengths differ; if `only_wrong` is asked for without `y_true`.
        """
        n_images = check_count(n_images, "n_images")
        if display_labels is not None and not isinstance(display_labels, dict):
            raise ValueError(f"display_labels must be a dict, with a name for each label, got {display_labels!r}.")
        if only_wrong and y_true is None:
            raise ValueError("only_wrong=True needs y_true: without it nobody knows what is wrong.")
        images = read_images(None, X, image_shape)
        check_consistent_length(images.values, y_true, y_pred, confidence)
        y_true = None if y_true is None else column_or_1d(y_true)
        y_pred = column_or_1d(y_pred)
        chosen = _chosen(y_true, y_pred, confidence, only_wrong)[:n_images]
        return cls(
            images=images.values[chosen],
            y_pred=y_pred[chosen],
            y_true=None if y_true is None else y_true[chosen],
            confidence=None if confidence is None else np.asarray(confidence)[chosen],
            display_labels=display_labels,
            indices=chosen,
        ).plot(ax, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        n_columns: int | None = None,
        cmap: Any = "gray",
        image_kw: dict[str, Any] | None = None,
        text_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the images.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: Axes for all images, or one of a grid of Axes, which is divided. None makes a new figure.
        n_columns : int, default=None
            Images side by side. None: at most eight.
        cmap : str or matplotlib Colormap, default='gray'
            Shades of images of one channel, the same for all.
        image_kw, text_kw : dict, default=None
            Keywords for Matplotlib's `imshow` and `set_title`.

        Returns
        -------
        display : ImagePredictionDisplay

        Raises
        ------
        ValueError
            If the images have another form, lengths differ, or there are fewer Axes than images.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        images = read_images(None, self.images).values if np.size(self.images) else np.zeros((0, 1, 1, 1))
        check_consistent_length(images, self.y_pred, self.y_true, self.confidence)
        self.images_ = []
        self.texts_ = []
        self.is_right_ = None if self.y_true is None else np.asarray(self.y_pred) == np.asarray(self.y_true)
        count = len(images)
        n_columns = columns_of(n_columns, max(count, 1))
        lines = 1 if self.is_right_ is None or self.is_right_.all() else 2
        self.axes_ = make_grid(ax, max(count, 1), n_columns, lines=lines)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        if not count:
            self.ax_.set_axis_off()
            style = {"fontsize": "small", **(text_kw or {})}
            self.texts_.append(self.ax_.set_title("No image is predicted wrongly", **style))
            return self
        values = shown_images(images)
        image_kw = {"cmap": cmap, **limits_of(values), **(image_kw or {})}
        for i, panel in enumerate(self.axes_):
            self.images_.append(show(panel, values[i], **image_kw))
            self._label(panel, i, text_kw or {})
        return self

    def _label(self, panel, i, text_kw):
        """What is predicted, how sure that is, and the true class if it is another; and a frame."""
        style = UNKNOWN
        if self.is_right_ is not None:
            style = RIGHT if self.is_right_[i] else WRONG
        text = style["sign"] + self._name(self.y_pred[i])
        if self.confidence is not None:
            text += f"  {100 * self.confidence[i]:.0f} %"
        if style is WRONG:
            text += f"\ntrue: {self._name(self.y_true[i])}"
        self.texts_.append(panel.set_title(text, **{"fontsize": "small", "color": style["color"], **text_kw}))
        for spine in panel.spines.values():
            spine.set(color=style["color"], linestyle=style["linestyle"], linewidth=1.8)

    def _name(self, label):
        """Name of a class."""
        return str((self.display_labels or {}).get(label, label))


def _names_of_classes(classes, display_labels):
    """Names of classes by their labels.

    Raises
    ------
    ValueError
        If there are not as many.
    """
    if len(display_labels) != len(classes):
        raise ValueError(f"display_labels must hold one name for each of {len(classes)} classes: {display_labels!r}.")
    return dict(zip(classes, display_labels, strict=True))


def _chosen(y_true, y_pred, confidence, only_wrong):
    """Numbers of the images that may be shown, in order: all of them, or the wrong ones, of which the surest first."""
    if not only_wrong:
        return np.arange(len(y_pred))
    wrong = np.flatnonzero(y_pred != y_true)
    if confidence is None:
        return wrong
    return wrong[np.argsort(-np.asarray(confidence)[wrong], kind="stable")]
