"""Display of the importance of time steps: bars or a line, or a map of steps and features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skneural.plotting._utils import default_score_name, line_style, make_panels, names_on_axis, time_on_x

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(kw_only=True, eq=False, repr=False)
class TimestepImportanceDisplay:
    """Importance of the time steps of sequences: bars or a line, or a map where features are told apart.

    Use :meth:`from_estimator` or :meth:`from_importance` to make one. All parameters are stored as attributes.

    Parameters
    ----------
    importance : array-like of shape (n_timesteps,) or (n_timesteps, n_features)
        What :func:`skneural.inspection.timestep_importance` returns.
    timesteps : array-like of shape (n_timesteps,), default=None
        Ascending numbers, such as ``range(-24, 0)`` for the 24 steps before a forecast, or names of the steps. None
        counts from 0, as the index of an array does.
    feature_names : array-like of shape (n_features,), default=None
        Names of the features; None for x0, x1 and so on.
    importance_name : str, default=None
        What the importance measures; None for "Importance".

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer or None
        A bar for each time step.
    line_ : matplotlib Line2D or None
        A line over the time steps.
    image_ : matplotlib QuadMesh or None
        The map: a row for each feature, from the top, a column for each time step.
    colorbar_ : matplotlib Colorbar or None
        The values of the map.

    See Also
    --------
    skneural.inspection.timestep_importance : The measure, with its papers.
    ForecastDisplay : Forecasts beside what came.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from skneural.plotting import TimestepImportanceDisplay
    >>> display = TimestepImportanceDisplay.from_importance([0.1, 0.0, 0.7], timesteps=[-3, -2, -1])
    >>> [float(bar.get_height()) for bar in display.bars_]
    [0.1, 0.0, 0.7]
    >>> plt.close(display.figure_)
    """

    importance: ArrayLike
    timesteps: ArrayLike | None = None
    feature_names: ArrayLike | None = None
    importance_name: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        method: str = "mean",
        per_feature: bool = False,
        n_repeats: int = 1,
        scoring: str | Callable | None = None,
        sample_weight: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        timesteps: ArrayLike | None = None,
        feature_names: ArrayLike | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Measure and draw the importance of the time steps for a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor or classifier.
        X : array-like of shape (n_samples, n_timesteps, n_features) or (n_samples, n_timesteps)
            The sequences.
        y, method, per_feature, n_repeats, scoring, sample_weight, random_state
            As in :func:`skneural.inspection.timestep_importance`.
        timesteps, feature_names
            As in the class. The columns of a frame of windows are its time steps.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : TimestepImportanceDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            As in :func:`skneural.inspection.timestep_importance` and :meth:`plot`.
        """
        from skneural.inspection import timestep_importance

        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        importance = timestep_importance(
            estimator,
            X,
            y,
            method=method,
            per_feature=per_feature,
            n_repeats=n_repeats,
            scoring=scoring,
            sample_weight=sample_weight,
            random_state=random_state,
        )
        return cls(
            importance=importance,
            timesteps=getattr(X, "columns", None) if timesteps is None else timesteps,
            feature_names=feature_names,
            importance_name=_name_of_change(estimator) if y is None else _name_of_decrease(estimator, scoring),
        ).plot(ax, **options)

    @classmethod
    def from_importance(
        cls,
        importance: ArrayLike,
        *,
        timesteps: ArrayLike | None = None,
        feature_names: ArrayLike | None = None,
        importance_name: str | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Self:
        """Draw importances that are there already.

        Parameters
        ----------
        importance : array-like of shape (n_timesteps,) or (n_timesteps, n_features)
            The importances.
        timesteps, feature_names, importance_name
            As in the class.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : TimestepImportanceDisplay
        """
        return cls(
            importance=importance,
            timesteps=timesteps,
            feature_names=feature_names,
            importance_name=importance_name,
        ).plot(ax, **options)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        kind: str = "auto",
        cmap: Any = "viridis",
        bar_kw: dict[str, Any] | None = None,
        line_kw: dict[str, Any] | None = None,
        image_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the importances.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        kind : {'auto', 'bar', 'line'}, default='auto'
            Of time steps alone, bars or a line; 'auto' draws bars up to 60 steps. Steps and features are a map always.
        cmap : str or matplotlib Colormap, default='viridis'
            Colours of the map.
        bar_kw, line_kw, image_kw : dict, default=None
            Keywords for Matplotlib's `bar`, `plot` and `pcolormesh`.

        Returns
        -------
        display : TimestepImportanceDisplay

        Raises
        ------
        ValueError
            If the importances have no values or another number of dimensions, if there are not as many time steps or
            names of features, if the time steps are numbers that do not ascend, or for an unknown `kind`.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        if kind not in ("auto", "bar", "line"):
            raise ValueError(f"Unknown kind: {kind!r}. Should be one of 'auto', 'bar' or 'line'.")
        importance = np.asarray(self.importance, dtype=float)
        if importance.ndim not in (1, 2) or not importance.size:
            raise ValueError(
                "importance must have the shape (n_timesteps,) or (n_timesteps, n_features), "
                f"got shape {importance.shape}."
            )
        steps, names = _places_of_steps(self.timesteps, len(importance))
        label = self.importance_name or "Importance"
        self.bars_ = self.line_ = self.image_ = self.colorbar_ = None
        if importance.ndim == 2:
            self._draw_map(ax, steps, importance, label, {"cmap": cmap, **(image_kw or {})})
        else:
            (self.ax_,) = make_panels(ax, 1, figsize=(7.6, 3.8))
            if kind == "line" or (kind == "auto" and len(steps) > 60):
                (self.line_,) = self.ax_.plot(steps, importance, **{"marker": "."} | line_style(line_kw))
            else:
                self.bars_ = self.ax_.bar(steps, importance, **{"width": 0.8 * _spacing(steps)} | (bar_kw or {}))
            self.ax_.axhline(0, color="0.4", linewidth=0.8, zorder=1)
            self.ax_.set_xlim(_edges(steps)[[0, -1]])
            self.ax_.set_ylabel(label)
        self.figure_ = self.ax_.figure
        if names is None:
            time_on_x(self.ax_, steps, "Time step")
        else:
            names_on_axis(self.ax_.xaxis, steps, names)
            self.ax_.set_xlabel("Time step")
        return self

    def _draw_map(self, ax, steps, importance, label, image_kw):
        """A row for each feature, from the top, and a column for each time step."""
        n_features = importance.shape[1]
        names = _names_of_features(self.feature_names, n_features)
        height = min(2.1 + 0.32 * n_features, 7.0)
        (ax,) = make_panels(ax, 1, figsize=(7.6, height))
        rows = np.arange(n_features)
        image_kw = {"vmin": min(0.0, np.nanmin(importance)), **image_kw}
        image = ax.pcolormesh(_edges(steps), _edges(rows), importance.T, **image_kw)
        ax.invert_yaxis()
        names_on_axis(ax.yaxis, rows, names)
        self.colorbar_ = ax.figure.colorbar(image, ax=ax, label=label)
        self.image_ = image
        self.ax_ = ax


def _places_of_steps(timesteps, n_steps):
    """Where the time steps stand on the axis, and their names, None for numbers."""
    if timesteps is None:
        return np.arange(n_steps), None
    steps = np.asarray(timesteps)
    if steps.shape != (n_steps,):
        raise ValueError(
            f"timesteps must hold one number or name for each of {n_steps} steps, got shape {steps.shape}."
        )
    if steps.dtype.kind not in "iuf":
        return np.arange(n_steps), [str(step) for step in steps]
    if not (np.diff(steps) > 0).all():
        raise ValueError(f"timesteps must be ascending numbers, got {steps.tolist()!r}.")
    return steps, None


def _names_of_features(feature_names, n_features):
    """Names of the features."""
    if feature_names is None:
        return [f"x{i}" for i in range(n_features)]
    if len(feature_names) != n_features:
        raise ValueError(
            f"feature_names must hold one name for each of {n_features} features, got {len(feature_names)}."
        )
    return [str(name) for name in feature_names]


def _spacing(steps):
    """Smallest distance between two time steps."""
    return np.diff(steps).min() if len(steps) > 1 else 1.0


def _edges(steps):
    """Where the cells of time steps begin and end."""
    half = _spacing(steps) / 2
    between = (steps[1:] + steps[:-1]) / 2
    return np.hstack([steps[0] - half, between, steps[-1] + half])


def _name_of_change(estimator):
    """What the importance without targets measures."""
    if not is_classifier(estimator):
        return "Mean change of the prediction"
    if hasattr(estimator, "predict_proba"):
        return "Mean change of the probabilities"
    return "Share of changed predictions"


def _name_of_decrease(estimator, scoring):
    """What the importance with targets measures."""
    if scoring is None:
        name = default_score_name(estimator)
    elif isinstance(scoring, str):
        name = scoring.replace("_", " ")
    else:
        name = getattr(scoring, "__name__", "score").replace("_", " ")
    if name.startswith("neg "):  # the decrease of a score with a minus sign is an increase of what it measures
        return f"Increase in {name.removeprefix('neg ')}"
    return f"Decrease in {'R²' if name == 'r2' else name}"
