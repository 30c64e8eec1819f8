r"""Learning-rate schedules: one function each, and the one place that turns them into rates.

``schedule(p)`` gets a `Progress` of arrays and returns multiples of `learning_rate_init`. Schedules that look at how
training goes have multiples of 1 and the fact `reacts`; the class `Schedule` lowers the rate for them.

Facts of an entry: `factor`, the default of `decay_factor`; `every_step`, whether the rate changes within an epoch;
`rises`, whether `warmup` is a part of the schedule itself; `ends`, whether it has come to its end after `max_iter`
epochs, so that no warning is due; `reacts`, 'stop' to lower the rate where training would stop, 'plateau' to lower it
after some epochs without improvement; `steady`, whether the multiple is 1 at every step.
"""

from dataclasses import dataclass

import numpy as np

from skneural.maths.registry import Registry
from skneural.maths.stopping import count_epoch

SCHEDULES = Registry(
    "schedule", factor=0.1, every_step=False, rises=False, ends=False, reacts=None, steady=False
)  # fmt: skip

#: Rates are not lowered below this.
LOWEST = 1e-6
#: Steps are counted in 64 bits: a fit that would have more is never at its end.
LAST_STEP = 2**62


@dataclass(frozen=True)
class Progress:
    """Where training stands at some steps.

    Attributes
    ----------
    epoch : ndarray of int
        Epochs before the step.
    fraction : ndarray of float
        Share of all steps that came before, those of the warm-up left out on both sides.
    seen : ndarray of int
        Rows trained on before the epoch; 0 in the first.
    factor, epochs, power_t, warmup : float
        Parameters of the estimator; `factor` and `epochs` are `decay_factor` and `decay_epochs`.
    """

    epoch: np.ndarray
    fraction: np.ndarray
    seen: np.ndarray
    factor: float
    epochs: int
    power_t: float
    warmup: float


@SCHEDULES.register("constant", steady=True)
def constant(p):
    """`learning_rate_init` throughout."""
    return np.ones(len(p.epoch))


@SCHEDULES.register("invscaling")
def invscaling(p):
    """After each epoch ``learning_rate_init / (t + 1) ** power_t``, with t the samples seen."""
    return 1 / (p.seen + 1.0) ** p.power_t


@SCHEDULES.register("adaptive", reacts="stop", factor=0.2, steady=True)
def adaptive(p):
    """Divided by 5 whenever training would stop for lack of improvement, down to 1e-6."""
    return np.ones(len(p.epoch))


@SCHEDULES.register("step")
def step(p):
    """Multiplied by `decay_factor` after every `decay_epochs` epochs."""
    return p.factor ** (p.epoch // p.epochs).astype(float)


@SCHEDULES.register("exponential", factor=0.95)
def exponential(p):
    """Multiplied by `decay_factor` after every epoch."""
    return p.factor ** p.epoch.astype(float)


@SCHEDULES.register("cosine", every_step=True, ends=True)
def cosine(p):
    """Down to 0 at the end of `max_iter` epochs along half a cosine (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1 + np.cos(np.pi * p.fraction))


@SCHEDULES.register("one_cycle", every_step=True, rises=True, ends=True)
def one_cycle(p):
    """Up from a 25th in the first `warmup` (0.3 if that is 0) of all steps, then down to nearly 0 (Smith, 2018)."""
    rise = p.warmup or 0.3
    up = 0.5 * (1 - np.cos(np.pi * np.minimum(p.fraction / rise, 1)))
    down = 0.5 * (1 + np.cos(np.pi * np.maximum((p.fraction - rise) / (1 - rise), 0))) if rise < 1 else 1.0
    return np.where(p.fraction < rise, 1 / 25 + (1 - 1 / 25) * up, np.maximum(down, 4e-6))


@SCHEDULES.register("plateau", reacts="plateau", steady=True)
def plateau(p):
    """Multiplied by `decay_factor` after `decay_epochs` epochs in which the (validation) loss did not improve."""
    return np.ones(len(p.epoch))


class Schedule:
    """Learning rates of a fit.

    Parameters
    ----------
    kind : str
    state : dict
        ``initial``, the rate that the schedule multiplies; ``step`` and ``epoch``, the numbers of updates and epochs so
        far; ``lowered``, ``waited`` and ``lowest``, which remember what reacting schedules have done. Changed in place,
        so a fit can go on from it.
    n_epochs, steps_per_epoch : int
        Length of the fit.
    power_t, warmup : float
    decay_factor : float or 'auto'
    decay_epochs : int or 'auto'
    patience : float
        Epochs without improvement after which training would stop.
    """

    def __init__(
        self, kind, state, *, n_epochs, steps_per_epoch, power_t, warmup, decay_factor, decay_epochs, patience
    ):
        self.entry, self.initial, self.state = SCHEDULES[kind], state["initial"], state
        self.steps_per_epoch = steps_per_epoch
        self.n_steps = min(n_epochs * steps_per_epoch, LAST_STEP)
        self.power_t, self.warmup = power_t, warmup
        self.factor = self.entry.factor if decay_factor == "auto" else decay_factor
        patience = 10 if patience == np.inf else patience
        self.epochs = decay_epochs
        if decay_epochs == "auto":
            self.epochs = max(1, patience // 2 if self.entry.reacts == "plateau" else n_epochs // 3)

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
        if self.entry.steady and not self.warmup:
            return np.full((n_epochs, 1), self.initial * self.state["lowered"])
        columns = self.steps_per_epoch if self.every_step else 1
        epoch, place = np.divmod(np.arange(n_epochs * columns), columns)
        step = self.state["step"] + epoch * self.steps_per_epoch + place
        ramp = 0.0 if self.entry.rises else round(self.warmup * self.n_steps)
        fraction = np.clip((step - ramp) / max(self.n_steps - ramp, 1), 0, 1)
        begun = self.state["epoch"] + epoch
        progress = Progress(
            begun, fraction, np.where(begun == 0, 0, seen + n_rows * epoch), self.factor, self.epochs, self.power_t,
            self.warmup,
        )  # fmt: skip
        with np.errstate(over="ignore", under="ignore"):  # a rate that is no more than 0
            rates = self.initial * self.state["lowered"] * self.entry.formula(progress)
        if ramp:
            rates *= np.minimum((step + 1) / ramp, 1)
        return rates.reshape(n_epochs, columns)

    def epoch_ends(self, loss, tol):
        """Note the loss to watch; lower the rate if it has not improved for long."""
        if self.entry.reacts != "plateau":
            return
        state = self.state
        state["lowest"], state["waited"] = count_epoch(loss, state["lowest"], state["waited"], tol)
        if state["waited"] > self.epochs:
            state["waited"] = 0
            state["lowered"] = max(state["lowered"] * self.factor, min(state["lowered"], LOWEST / self.initial))

    def on_stop(self):
        """Training would stop for lack of improvement: whether it does, and words for it. Else the rate is lowered."""
        if self.entry.reacts != "stop":
            return True, "Stopping."
        if self.initial * self.state["lowered"] <= LOWEST:
            return True, "Learning rate too small. Stopping."
        self.state["lowered"] *= self.entry.factor
        return False, f"Setting learning rate to {self.initial * self.state['lowered']:f}"
