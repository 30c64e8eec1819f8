"""Displays of how a training went, in the manner of scikit-learn's: they read ``history_`` and draw with Matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._plotting import _validate_score_name
from sklearn.utils.validation import check_is_fitted

from skneural.plotting._utils import check_curve, count_on_x, default_score_name, draw_curve, line_style, make_panels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

#: Curves of one panel differ in more than colour, for print in grey.
STYLES = {
    "loss": {"label": "Training", "color": "C0", "linestyle": "-"},
    "validation_loss": {"label": "Validation", "color": "C1", "linestyle": "--"},
    "training_score": {"label": "Training", "color": "C0", "linestyle": "-"},
    "score": {"label": "Validation", "color": "C1", "linestyle": "--"},
    "learning_rate": {"label": "Learning rate", "color": "C2", "linestyle": "-"},
}
LAYERS = "Layer, counted from the input"


class HistoryDisplay:
    """Base of the displays: a subclass says with `_read` what it takes from a history, and draws it with `plot`."""

    @classmethod
    def from_estimator(cls, estimator: BaseEstimator, *, ax: Axes | ArrayLike | None = None, **options: Any) -> Self:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted network, or a pipeline that ends in one.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : object
            The display.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the history lacks what is to be drawn.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        if isinstance(estimator, Pipeline):
            estimator = estimator[-1]
        check_is_fitted(estimator)
        return cls._read(estimator.history_, estimator).plot(ax, **options)

    @classmethod
    def from_history(cls, history: Mapping, *, ax: Axes | ArrayLike | None = None, **options: Any) -> Self:
        """Draw a history.

        Parameters
        ----------
        history : dict of lists or pandas DataFrame
            ``history_`` of an estimator: an entry an epoch in every list.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : object
            The display.
        """
        return cls._read(history).plot(ax, **options)


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingCurveDisplay(HistoryDisplay):
    """Loss and score over the epochs of a training.

    Use :meth:`from_estimator` or :meth:`from_history` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    loss : array-like of shape (n_epochs,)
        Training loss of every epoch. NaN leaves a gap in the curve, here and below.
    validation_loss, score : array-like of shape (n_epochs,), default=None
        Loss and score on the validation data after every epoch.
    training_score : array-like of shape (n_epochs,), default=None
        Score on the training data after every epoch (estimators note it with ``score_training=True``).
    learning_rate : array-like of shape (n_epochs,), default=None
        Learning rate of every epoch.
    score_name : str, default=None
        What the score measures; None for "Score".

    Attributes
    ----------
    ax_ : matplotlib Axes
        The panel of the loss.
    axes_ : list of matplotlib Axes
        All panels: loss, score where there is one, learning rate where it was asked for.
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        The curves: training loss, then validation loss, scores and learning rate as far as they are drawn.
    best_epoch_ : int or None
        The epoch, counted from 1, of the first greatest validation score, whose weights the estimator has kept; where
        there is no score, that of the smallest validation loss; None where there is neither.
    best_lines_ : list of matplotlib Line2D
        What marks it, a line in each panel.

    See Also
    --------
    GradientNormDisplay : Gradients of the layers over the epochs.
    sklearn.model_selection.LearningCurveDisplay : Scores over the number of samples.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skneural.plotting import TrainingCurveDisplay
    >>> history = {"loss": [0.9, 0.5, 0.3], "validation_loss": [0.9, 0.7, 0.8], "score": [0.6, 0.8, 0.7]}
    >>> display = TrainingCurveDisplay.from_history(history)
    >>> display.best_epoch_
    2
    >>> plt.close(display.figure_)
    """

    loss: ArrayLike
    validation_loss: ArrayLike | None = None
    score: ArrayLike | None = None
    training_score: ArrayLike | None = None
    learning_rate: ArrayLike | None = None
    score_name: str | None = None

    @classmethod
    def _read(cls, history, estimator=None):
        curves = {name: history.get(name) for name in STYLES if name != "loss"}
        score_name = None if estimator is None else _score_name(estimator)
        return cls(loss=history["loss"], score_name=score_name, **curves)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        log_scale: bool = False,
        plot_learning_rate: bool = False,
        plot_best_epoch: bool = True,
        score_name: str | None = None,
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw: one Axes for each panel, or one of a grid, which is divided. None makes a new figure.
        log_scale : bool, default=False
            Whether the axis of the loss is logarithmic.
        plot_learning_rate : bool, default=False
            Whether to add a panel with the learning rate.
        plot_best_epoch : bool, default=True
            Whether to mark the epoch that was best on the validation data.
        score_name : str, default=None
            What the score measures; None takes it from the display, which has it from the estimator.
        line_kw : dict, default=None
            Keywords for Matplotlib's `plot`, for all curves.

        Returns
        -------
        display : TrainingCurveDisplay

        Raises
        ------
        ValueError
            If there is no epoch, if curves are of different lengths, or if `ax` does not fit the panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        n_epochs = np.size(self.loss)
        if n_epochs == 0:
            raise ValueError("The history has no epochs.")
        curves = {name: check_curve(getattr(self, name), n_epochs, name, "epochs") for name in STYLES}
        curves = {name: values for name, values in curves.items() if not np.isnan(values).all()}
        if plot_learning_rate and "learning_rate" not in curves:
            raise ValueError("There is no learning rate to draw: none was recorded (lbfgs has none).")

        panels = [("Loss", ["loss", "validation_loss"])]
        if "score" in curves or "training_score" in curves:
            panels.append((score_name or self.score_name or "Score", ["training_score", "score"]))
        if plot_learning_rate:
            panels.append(("Learning rate", ["learning_rate"]))
        figsize = (6.4, 4.2) if len(panels) == 1 else (4.6 * len(panels), 3.8)
        self.axes_ = make_panels(ax, len(panels), figsize=figsize)
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        self.lines_ = []
        self.best_lines_ = []
        self.best_epoch_ = _best_epoch(curves)
        line_kw = line_style(line_kw)
        for panel, (label, names) in zip(self.axes_, panels, strict=True):
            drawn = [draw_curve(panel, curves[name], **STYLES[name] | line_kw) for name in names if name in curves]
            self.lines_ += drawn
            if plot_best_epoch and self.best_epoch_ is not None:
                self._mark_best_epoch(panel, drawn[-1])
            count_on_x(panel, n_epochs, "Epoch")
            panel.set_ylabel(label)
            panel.legend(fontsize="small")
        if log_scale:
            self.ax_.set_yscale("log", nonpositive="mask")
        return self

    def _mark_best_epoch(self, panel, curve):
        """A vertical line, and a dot on a curve."""
        best = self.best_epoch_
        panel.plot(best, curve.get_ydata()[best - 1], "o", color="0.2", markersize=5)
        line = panel.axvline(best, color="0.4", linestyle=":", zorder=1, label=f"Best epoch ({best})")
        self.best_lines_.append(line)


@dataclass(kw_only=True, eq=False, repr=False)
class GradientNormDisplay(HistoryDisplay):
    """Norms of the layers' gradients over the epochs of a training, which show whether they vanish or explode.

    Use :meth:`from_estimator` or :meth:`from_history` to make one; the estimator needs ``monitor_gradients=True``. All
    parameters are stored as attributes.

    Parameters
    ----------
    gradient_norm : array-like of shape (n_epochs, n_layers)
        Mean norm of the gradient of each layer's weights over the steps of each epoch, layers counted from the input.
        0 and NaN leave a gap: they have no place on a logarithmic axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : list of matplotlib Line2D
        One for each layer, or for each epoch of a profile.
    colorbar_ : matplotlib Colorbar or None
        Tells which line is which layer. None for a profile, which has a legend.

    See Also
    --------
    TrainingCurveDisplay : Loss and score over the epochs.

    References
    ----------
    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skneural.plotting import GradientNormDisplay
    >>> history = {"gradient_norm": [[0.01, 0.1, 1.0], [0.02, 0.1, 0.8], [0.02, 0.1, 0.5]]}
    >>> display = GradientNormDisplay.from_history(history, kind="profile")
    >>> [line.get_label() for line in display.lines_]
    ['Epoch 1', 'Epoch 2', 'Epoch 3']
    >>> plt.close(display.figure_)
    """

    gradient_norm: ArrayLike

    @classmethod
    def _read(cls, history, estimator=None):
        return cls(gradient_norm=list(history.get("gradient_norm", ())))

    def plot(
        self,
        ax: Axes | None = None,
        *,
        kind: str = "epochs",
        cmap: Any = "viridis",
        line_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the norms.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        kind : {'epochs', 'profile'}, default='epochs'
            A line for each layer over the epochs, or a line over the layers for the first, the middle and the last
            epoch.
        cmap : str or matplotlib Colormap, default='viridis'
            Colours of the lines: of the layers from input to output, of the epochs from first to last.
        line_kw : dict, default=None
            Keywords for Matplotlib's `plot`, for all lines.

        Returns
        -------
        display : GradientNormDisplay

        Raises
        ------
        ValueError
            If no norms were recorded, or for an unknown `kind`.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if kind not in ("epochs", "profile"):
            raise ValueError(f"Unknown kind: {kind!r}. Should be one of 'epochs' or 'profile'.")
        norms = np.array(self.gradient_norm, dtype=float)
        if norms.ndim != 2 or np.isnan(norms).all():
            raise ValueError(
                f"{type(self).__name__} needs monitor_gradients=True in the fit: there are no norms of gradients."
            )
        n_epochs, n_layers = norms.shape
        (self.ax_,) = make_panels(ax, 1, figsize=(6.4, 4.2))
        self.figure_ = self.ax_.figure
        line_kw = line_style(line_kw)
        if kind == "epochs":
            labels = [f"Layer {i + 1}" for i in range(n_layers)]
            self._draw_lines(norms.T, labels, cmap, line_kw)
            self._add_colorbar()
            count_on_x(self.ax_, n_epochs, "Epoch")
        else:
            epochs = sorted({0, (n_epochs - 1) // 2, n_epochs - 1})
            labels = [f"Epoch {i + 1}" for i in epochs]
            self._draw_lines(norms[epochs], labels, cmap, {"marker": "o", **line_kw})
            self.colorbar_ = None
            self.ax_.legend(fontsize="small")
            count_on_x(self.ax_, n_layers, LAYERS)
        self.ax_.set_ylabel("Mean norm of the gradient")
        if (norms > 0).any():
            self.ax_.set_yscale("log", nonpositive="mask")
        return self

    def _draw_lines(self, curves, labels, cmap, line_kw):
        """A line for each curve. The end of the colour map is left out: it would be lost on white."""
        import matplotlib.pyplot as plt

        colors = plt.get_cmap(cmap)(np.linspace(0, 0.85, len(curves)))
        self.lines_ = []
        for curve, label, color in zip(curves, labels, colors, strict=True):
            style = {"color": color, "label": label, **line_kw}
            self.lines_.append(draw_curve(self.ax_, curve, **style))

    def _add_colorbar(self):
        """A colour bar, which tells any number of layers apart and hides no line."""
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import BoundaryNorm, ListedColormap

        n_layers = len(self.lines_)
        colors = ListedColormap([line.get_color() for line in self.lines_])
        boundaries = BoundaryNorm(np.arange(n_layers + 1) + 0.5, n_layers)
        ticks = np.unique(np.linspace(1, n_layers, min(n_layers, 6)).round())
        layers = ScalarMappable(boundaries, colors)
        self.colorbar_ = self.figure_.colorbar(layers, ax=self.ax_, label=LAYERS, ticks=ticks)
        self.colorbar_.minorticks_off()


def _score_name(estimator):
    """What the validation score of an estimator measures."""
    scoring = estimator.scoring
    if scoring is None:
        name = default_score_name(estimator)
        return name[0].upper() + name[1:]
    if not isinstance(scoring, str):
        scoring = getattr(scoring, "__name__", "score")  # objects of make_scorer have no name
    if scoring == "loss":  # a score is the better the greater it is: the loss is recorded with a minus sign
        scoring = "neg_loss"
    return _validate_score_name(None, scoring, negate_score=False)


def _best_epoch(curves):
    """The epoch that was best on the validation data, counted from 1; None where nothing was measured."""
    if "score" in curves:
        return int(np.nanargmax(curves["score"])) + 1
    if "validation_loss" in curves:
        return int(np.nanargmin(curves["validation_loss"])) + 1
    return None
