"""The learning rates of a fit: what a schedule makes of where the fit stands, and of how it goes."""

from __future__ import annotations

import numpy as np

from skneural.maths.schedules import SCHEDULES, Progress
from skneural.maths.stopping import count_epoch

#: Schedules that react do not lower rates below this, if estimators name no other rate.
LOWEST = 1e-6
#: Steps are counted in 64 bits: a fit that would have more is never at its end.
LAST_STEP = 2**62


class Schedule:
    """Learning rates of a fit.

    Parameters
    ----------
    settings : SimpleNamespace
        Parameters of the estimator: `learning_rate` names the schedule.
    state : SolverState
        ``initial``, the rate that the schedule multiplies; ``step`` and ``epoch``, the numbers of updates and epochs so
        far; ``lowered``, ``waited`` and ``lowest``, which remember what reacting schedules have done. Changed in place,
        so a fit can go on from it.
    steps_per_epoch : int
    """

    def __init__(self, settings, state, steps_per_epoch):
        self.entry = SCHEDULES[settings.learning_rate]
        self.state = state
        self.steps_per_epoch = steps_per_epoch
        self.n_steps = min(settings.max_iter * steps_per_epoch, LAST_STEP)
        self.power_t = settings.power_t
        self.warmup = settings.warmup
        self.factor = settings.decay_factor
        if self.factor == "auto":
            self.factor = self.entry.factor
        self.epochs = settings.decay_epochs
        if self.epochs == "auto" and self.entry.reacts == "plateau":
            patience = settings.n_iter_no_change
            self.epochs = 5 if patience == np.inf else max(1, patience // 2)
        elif self.epochs == "auto":
            self.epochs = max(1, settings.max_iter // 3)
        self.least = settings.min_learning_rate
        if self.least == "auto":
            self.least = LOWEST if self.entry.reacts == "plateau" else 0.0
        self.too_small = settings.min_learning_rate
        if self.too_small == "auto":
            self.too_small = LOWEST  # one step beyond it, as scikit-learn's 'adaptive'

    @property
    def every_step(self):
        """Whether the rate changes within an epoch."""
        return self.entry.every_step or self.warmup > 0

    def rates(self, n_epochs, seen, n_rows):
        """Rates of the next epochs, of shape (n_epochs, steps_per_epoch), or (n_epochs, 1) if they keep theirs.

        Parameters
        ----------
        n_epochs : int
        seen : int
            Rows trained on so far.
        n_rows : int
            Rows of an epoch.
        """
        state = self.state
        if self.entry.steady and not self.warmup:
            return np.full((n_epochs, 1), state.initial * state.lowered)
        columns = self.steps_per_epoch if self.every_step else 1
        epoch, within = np.divmod(np.arange(n_epochs * columns), columns)
        step = state.step + epoch * self.steps_per_epoch + within
        ramp = 0 if self.entry.rises else round(self.warmup * self.n_steps)
        share = (step - ramp) / max(self.n_steps - ramp, 1)
        seen = seen + n_rows * epoch
        epoch = state.epoch + epoch
        progress = Progress(
            epoch=epoch,
            fraction=np.clip(share, 0, 1),
            seen=np.where(epoch == 0, 0, seen),
            factor=self.factor,
            epochs=self.epochs,
            power_t=self.power_t,
            warmup=self.warmup,
        )
        with np.errstate(over="ignore", under="ignore"):  # a rate that is no more than 0
            rates = state.initial * state.lowered * self.entry.formula(progress)
        rates = np.maximum(rates, min(self.least, state.initial * state.lowered))
        if ramp:
            rates *= np.minimum((step + 1) / ramp, 1)
        return rates.reshape(n_epochs, columns)

    def epoch_ends(self, loss, tol):
        """Note the loss to watch; lower the rate if it has not improved for long."""
        if self.entry.reacts != "plateau":
            return
        state = self.state
        state.lowest, state.waited = count_epoch(loss, state.lowest, state.waited, tol)
        if state.waited > self.epochs:
            state.waited = 0
            self._lower(self.factor)

    def _lower(self, factor):
        """Lower the rate for good, but not below the least one; one that is below it already stays."""
        state = self.state
        least = min(state.lowered, self.least / state.initial)
        state.lowered = max(state.lowered * factor, least)

    def on_stop(self):
        """Training would stop for lack of improvement: whether it does, and words for it. Else the rate is lowered."""
        state = self.state
        if self.entry.reacts != "stop":
            return True, "Stopping."
        if state.lowered <= self.too_small / state.initial:
            return True, "Learning rate too small. Stopping."
        self._lower(self.entry.factor)
        return False, f"Setting learning rate to {state.initial * state.lowered:f}"
