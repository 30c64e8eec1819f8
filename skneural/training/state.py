"""The state of a fit: all that it changes, and all that is needed to go on with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

import numpy as np

from skneural.backends.base import OptimizerState
from skneural.backends.inputs import are_finite
from skneural.network.memory import aligned_zeros

#: What every fit notes of its epochs.
HISTORY = ("loss", "validation_loss", "score", "learning_rate", "time")


def aligned_copy(array):
    """A copy that begins on a cache line."""
    copy = aligned_zeros(len(array), array.dtype)
    copy[:] = array
    return copy


def _known(cls, values):
    """The entries that are fields of a dataclass: those of other versions are left out."""
    names = {field.name for field in fields(cls)}
    return {name: value for name, value in values.items() if name in names}


@dataclass(eq=False)
class Unfinished:
    """What only a fit that is under way has.

    Attributes
    ----------
    finished : bool
        Whether the stopping rule has ended it.
    data : tuple or None
        Fingerprints of the data. None if nobody may write a checkpoint: then there is no generator either.
    random : RandomState or None
        The generator of random numbers when the fit began. None where an integer decides.
    best_params, last_params : ndarray or None
        Parameters that did best on the held-out rows, and, when they have been put back, those of the last epoch.
    """

    finished: bool = False
    data: tuple | None = None
    random: np.random.RandomState | None = None
    best_params: np.ndarray | None = None
    last_params: np.ndarray | None = None

    def to_plain(self):
        """As a dict of what there is, for pickles and files."""
        plain = {name: value for name, value in vars(self).items() if value is not None}
        if self.data is not None:
            plain["random"] = self.random
        return plain

    @classmethod
    def from_plain(cls, plain):
        """The way back."""
        return cls(**_known(cls, plain))


@dataclass(kw_only=True, eq=False)
class SolverState(OptimizerState):
    """Where a solver stands: what `partial_fit`, a pickle and a checkpoint go on from.

    Attributes
    ----------
    seed : int
        Of all random numbers of the training.
    calls : int
        Calls of `partial_fit` so far.
    initial : float
        The learning rate that the schedule multiplies.
    lowered : float
        What a reacting schedule has multiplied it by so far.
    waited : int
        Epochs in a row without improvement, as a reacting schedule counts them.
    lowest : float
        The smallest loss that it has seen.
    run : Unfinished or None
        None between fits.
    """

    seed: int
    calls: int = 0
    initial: float
    lowered: float = 1.0
    waited: int = 0
    lowest: float = np.inf
    run: Unfinished | None = None

    def copy(self):
        """The same, with arrays of its own."""
        return replace(self, s=aligned_copy(self.s), v=aligned_copy(self.v))

    def to_plain(self):
        """As a dict of plain values, for pickles and files."""
        plain = dict(vars(self))
        del plain["run"]
        if self.run is not None:
            plain["run"] = self.run.to_plain()
        return plain

    @classmethod
    def from_plain(cls, plain):
        """The way back."""
        state = cls(**_known(cls, plain))
        if state.run is not None:
            state.run = Unfinished.from_plain(state.run)
        return state


@dataclass(eq=False)
class FitState:
    """All that a fit changes.

    Attributes
    ----------
    params : ndarray
        The parameters of the network, one vector.
    solver : SolverState
    n_iter : int
        Epochs of this fit, of L-BFGS iterations.
    t : int
        Rows trained on by all fits.
    loss : float or None
        Of the last epoch. None before the first.
    loss_curve : list of float
        Loss of every epoch.
    history : dict of list
        What is known of every epoch, by name.
    validation_scores, validation_loss_curve : list of float or None
        Of the held-out rows. None if no fit had any.
    best_loss : float or None
        The smallest loss of this fit. None where held-out rows decide.
    best_validation_score : float or None
        The largest score. None where the training loss decides.
    no_improvement_count : int
        Epochs in a row without improvement.
    """

    params: np.ndarray
    solver: SolverState
    n_iter: int = 0
    t: int = 0
    loss: float | None = None
    loss_curve: list = field(default_factory=list)
    history: dict = field(default_factory=lambda: {name: [] for name in HISTORY})
    validation_scores: list | None = None
    validation_loss_curve: list | None = None
    best_loss: float | None = np.inf
    best_validation_score: float | None = None
    no_improvement_count: int = 0

    def begin(self, *, validated, going_on):
        """Begin a fit: curves go on from fit to fit, the stopping rule goes on with `partial_fit` only.

        Parameters
        ----------
        validated : bool
            Whether there are held-out rows.
        going_on : bool
            Whether this is another call of `partial_fit`.
        """
        self.n_iter = 0
        if validated and self.validation_scores is None:
            self.validation_scores = []
            self.validation_loss_curve = []
        if not going_on:
            self.best_validation_score = -np.inf if validated else None
            self.best_loss = None if validated else np.inf
            self.no_improvement_count = 0
        elif self.best_loss is None:  # held-out rows decided in the fit before
            self.best_loss = np.inf

    @property
    def is_finite(self):
        """Whether the last loss and all parameters are."""
        return math.isfinite(self.loss) and are_finite(self.params)
