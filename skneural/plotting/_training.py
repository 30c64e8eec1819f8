"""Displays of how a training went, in the manner of scikit-learn's: they read ``history_`` and draw with Matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._plotting import _validate_score_name
from sklearn.utils.validation import check_is_fitted

from skneural.plotting._drawing import bar_of_layers, count_on_x, draw_curve, make_panels, numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

#: Curves differ in more than colour, for print in grey.
STYLES = {
    "Training": {"color": "C0", "linestyle": "-"},
    "Validation": {"color": "C1", "linestyle": "--"},
    "Learning rate": {"color": "C2", "linestyle": "-"},
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
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, as in :meth:`plot`. None makes a new figure.
        **options
            The other parameters of :meth:`plot`.

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
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw, as in :meth:`plot`. None makes a new figure.
        **options
            The other parameters of :meth:`plot`.

        Returns
        -------
        display : object
            The display.
        """
        check_matplotlib_support(f"{cls.__name__}.from_history")
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
        others = {name: history.get(name) for name in ("validation_loss", "score", "training_score", "learning_rate")}
        name = None if estimator is None else _name_of_score(estimator)
        return cls(loss=history["loss"], score_name=name, **others)

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
        names = ("loss", "validation_loss", "score", "training_score", "learning_rate")
        arrays = [numbers(getattr(self, name), n_epochs, name) for name in names]
        loss, validation_loss, score, training_score, learning_rate = arrays
        if plot_learning_rate and learning_rate is None:
            raise ValueError("There is no learning rate to draw: none was recorded (lbfgs has none).")

        panels = [("Loss", {"Training": loss, "Validation": validation_loss})]
        if score is not None or training_score is not None:
            scores = {"Training": training_score, "Validation": score}
            panels.append((score_name or self.score_name or "Score", scores))
        if plot_learning_rate:
            panels.append(("Learning rate", {"Learning rate": learning_rate}))
        self.axes_ = make_panels(ax, len(panels))
        self.ax_, self.figure_ = self.axes_[0], self.axes_[0].figure
        self.lines_, self.best_lines_ = [], []
        self.best_epoch_ = best = _best_epoch(score, validation_loss)
        for panel, (label, curves) in zip(self.axes_, panels, strict=True):
            for name, values in curves.items():
                if values is not None:
                    self.lines_.append(draw_curve(panel, values, label=name, **{**STYLES[name], **(line_kw or {})}))
            if plot_best_epoch and best:
                panel.plot(best, self.lines_[-1].get_ydata()[best - 1], "o", color="0.2", markersize=5)
                line = panel.axvline(best, color="0.4", linestyle=":", zorder=1, label=f"Best epoch ({best})")
                self.best_lines_.append(line)
            count_on_x(panel, n_epochs, "Epoch")
            panel.set_ylabel(label)
            panel.legend(fontsize="small")
        if log_scale:
            self.ax_.set_yscale("log", nonpositive="mask")
        return self


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
        (self.ax_,) = make_panels(ax, 1)
        self.figure_ = self.ax_.figure
        if kind == "epochs":
            self.lines_ = self._draw(norms.T, "Layer {}", range(n_layers), cmap, line_kw)
            self.colorbar_ = bar_of_layers(self.ax_, [line.get_color() for line in self.lines_], LAYERS)
            count_on_x(self.ax_, n_epochs, "Epoch")
        else:
            epochs = sorted({0, (n_epochs - 1) // 2, n_epochs - 1})
            self.lines_ = self._draw(norms, "Epoch {}", epochs, cmap, {"marker": "o", **(line_kw or {})})
            self.colorbar_ = None
            self.ax_.legend(fontsize="small")
            count_on_x(self.ax_, n_layers, LAYERS)
        self.ax_.set_ylabel("Mean norm of the gradient")
        if (norms > 0).any():
            self.ax_.set_yscale("log", nonpositive="mask")
        return self

    def _draw(self, curves, label, chosen, cmap, line_kw):
        """Lines of some curves. The end of the colour map is left out: it would be lost on white."""
        import matplotlib.pyplot as plt

        colors = plt.get_cmap(cmap)(np.linspace(0, 0.85, len(chosen)))
        styles = [{"color": color, "label": label.format(i + 1)} for color, i in zip(colors, chosen, strict=True)]
        return [
            draw_curve(self.ax_, curves[i], **{**s, **(line_kw or {})}) for i, s in zip(chosen, styles, strict=True)
        ]


def _name_of_score(estimator):
    """What the validation score of an estimator measures."""
    scoring = estimator.scoring
    if scoring is None:
        return "Accuracy" if is_classifier(estimator) else "R²" if is_regressor(estimator) else "Score"
    if not isinstance(scoring, str):
        scoring = getattr(scoring, "__name__", "score")  # objects of make_scorer have no name
    # A score is the better the greater it is: the loss is recorded with a minus sign.
    return _validate_score_name(None, "neg_loss" if scoring == "loss" else scoring, False)


def _best_epoch(score, validation_loss):
    """The epoch that was best on the validation data, counted from 1; None where nothing was measured."""
    if score is not None:
        return int(np.nanargmax(score)) + 1
    return None if validation_loss is None else int(np.nanargmin(validation_loss)) + 1
