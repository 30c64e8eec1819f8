"""Display of what augmentation makes of sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skneural.plotting._image_panels import check_count, make_grid
from skneural.plotting._utils import draw_curve, legend_on_top, line_style, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceAugmentationDisplay:
    """Sequences as lines, and over each some versions of it that training would see.

    Use :meth:`from_sequences`, or :meth:`skneural.layers.SequenceAugmentation.preview`, to make one. All parameters are
    stored as attributes.

    Parameters
    ----------
    sequences : array-like of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_features)
        The sequences; NaN after the ends of shorter ones.
    versions : array-like of shape (n_samples, n_versions, n_timesteps) or with features
        Versions of each.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The first panel.
    axes_ : ndarray of shape (n_samples, n_features)
        The panels.
    figure_ : matplotlib Figure
    lines_ : list of list of matplotlib Line2D
        Of every panel, row after row, the lines of the versions and, last, that of the sequence.

    See Also
    --------
    AugmentationDisplay : The same for images.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from skneural.layers import SequenceAugmentation
    >>> from skneural.plotting import SequenceAugmentationDisplay
    >>> waves = np.sin(np.arange(40) / [[5], [3]])
    >>> augmentation = SequenceAugmentation(jitter=0.1, time_warp=0.2)
    >>> display = SequenceAugmentationDisplay.from_sequences(augmentation, waves, n=3)
    >>> display.versions.shape, display.axes_.shape
    ((2, 3, 40), (2, 1))
    >>> plt.close(display.figure_)
    """

    sequences: ArrayLike
    versions: ArrayLike

    @classmethod
    def from_sequences(
        cls,
        augmentation: Any,
        X: ArrayLike,
        n: int = 7,
        *,
        random_state: int | np.random.RandomState | None = 0,
        ax: Axes | ArrayLike | None = None,
        **options: Any,
    ) -> Self:
        """Change sequences at random, and draw them.

        Parameters
        ----------
        augmentation : layers.SequenceAugmentation
        X : array-like of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_features)
            The sequences: a few, or a list of some of different length. Jitter is in units of their own deviations.
        n : int, default=7
            Versions of each.
        random_state : int, RandomState instance or None, default=0
            Another number draws other versions.
        ax, **options
            As in :meth:`plot`.

        Returns
        -------
        display : SequenceAugmentationDisplay

        Raises
        ------
        TypeError
            If `augmentation` is none.
        ValueError
            If `X` holds no sequences, or a setting is out of range.
        """
        from skneural.estimators._preview import augmented_sequences

        check_matplotlib_support(f"{cls.__name__}.from_sequences")
        n = check_count(n, "n")
        sequences, versions = augmented_sequences(augmentation, X, n, random_state)
        return cls(sequences=sequences, versions=versions).plot(ax, **options)

    def plot(
        self,
        ax: Axes | ArrayLike | None = None,
        *,
        sequence_kw: dict[str, Any] | None = None,
        version_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw a row of panels for each sequence, with one for each feature.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of them, default=None
            Where to draw: Axes for all panels, or one of a grid of Axes, which is divided. None makes a new figure.
        sequence_kw, version_kw : dict, default=None
            Keywords for Matplotlib's `plot` of the sequences and of their versions.

        Returns
        -------
        display : SequenceAugmentationDisplay

        Raises
        ------
        ValueError
            If sequences and versions do not go together, or there are fewer Axes than panels.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        sequences = np.asarray(self.sequences, dtype=float)
        versions = np.asarray(self.versions, dtype=float)
        if sequences.ndim not in (2, 3) or (len(versions), *versions.shape[2:]) != sequences.shape:
            raise ValueError(
                "sequences must have the shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_features), and "
                f"versions an axis more behind the first, got {sequences.shape} and {versions.shape}."
            )
        if sequences.ndim == 2:
            sequences = sequences[..., np.newaxis]
            versions = versions[..., np.newaxis]
        n_samples, n_steps, n_features = sequences.shape
        axes = make_grid(ax, n_samples * n_features, n_features, width=6.4 if n_features == 1 else 3.2, side=1.6)
        self.axes_ = np.reshape(axes, (n_samples, n_features))
        self.ax_ = self.axes_[0, 0]
        self.figure_ = self.ax_.figure
        of_sequence = {"color": "k", "linewidth": 1.6, "label": "Sequence"} | line_style(sequence_kw)
        of_version = {"color": "C0", "linewidth": 1.0, "alpha": 0.6, "label": "Versions"} | line_style(version_kw)
        label = of_version.pop("label")  # of the first: a legend names them once
        self.lines_ = []
        steps = np.arange(n_steps)
        margin = max(0.5, 0.03 * (n_steps - 1))
        for (i, j), panel in np.ndenumerate(self.axes_):
            lines = [draw_curve(panel, version[:, j], steps, **of_version) for version in versions[i]]
            for line in lines[:1]:
                line.set_label(label)
            lines.append(draw_curve(panel, sequences[i, :, j], steps, **of_sequence))
            self.lines_.append(lines)
            panel.set_xlim(-margin, n_steps - 1 + margin)  # the same for all, however long their sequences are
            panel.xaxis.set_major_locator(whole_numbers())
            panel.tick_params(labelbottom=i == n_samples - 1)
        for j, panel in enumerate(self.axes_[-1]):
            panel.set_xlabel("Time step")
            if n_features > 1:
                self.axes_[0, j].set_title(f"x{j}", fontsize="small")
        legend_on_top(self.ax_)
        return self
