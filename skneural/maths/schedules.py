r"""Learning-rate schedules: one function each.

``schedule(p)`` gets a `Progress` of arrays and returns multiples of `learning_rate_init`. Schedules that look at how
training goes have multiples of 1 and the option `reacts`: `skneural.training.schedule` lowers the rate for them.

Options of an entry: `factor`, the default of `decay_factor`; `every_step`, whether the rate changes within an epoch;
`rises`, whether `warmup` is a part of the schedule itself; `ends`, whether it has come to its end after `max_iter`
epochs, so that no warning is due; `reacts`, 'stop' to lower the rate where training would stop, 'plateau' to lower it
after some epochs without improvement; `steady`, whether the multiple is 1 at every step.
"""

from dataclasses import dataclass

import numpy as np

from skneural.maths.registry import Registry

SCHEDULES = Registry("schedule", factor=0.1, every_step=False, rises=False, ends=False, reacts=None, steady=False)


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
    """Divided by 5 whenever training would stop for lack of improvement, until it is `min_learning_rate`."""
    return np.ones(len(p.epoch))


@SCHEDULES.register("step")
def step(p):
    """Multiplied by `decay_factor` after every `decay_epochs` epochs."""
    drops = p.epoch // p.epochs
    return p.factor ** drops.astype(float)


@SCHEDULES.register("exponential", factor=0.95)
def exponential(p):
    """Multiplied by `decay_factor` after every epoch."""
    return p.factor ** p.epoch.astype(float)


@SCHEDULES.register("cosine", every_step=True, ends=True)
def cosine(p):
    """Down to 0 at the end of `max_iter` epochs along half a cosine (Loshchilov and Hutter, 2017)."""
    angle = np.pi * p.fraction
    return 0.5 * (1 + np.cos(angle))


@SCHEDULES.register("one_cycle", every_step=True, rises=True, ends=True)
def one_cycle(p):
    """Up from a 25th in the first `warmup` (0.3 if that is 0) of all steps, then down to nearly 0 (Smith, 2018)."""
    rise = p.warmup or 0.3
    lowest = 1 / 25
    risen = np.minimum(p.fraction / rise, 1)
    up = 0.5 * (1 - np.cos(np.pi * risen))
    going_up = lowest + (1 - lowest) * up
    if rise >= 1:
        return np.where(p.fraction < rise, going_up, 1.0)
    fallen = np.maximum((p.fraction - rise) / (1 - rise), 0)
    down = 0.5 * (1 + np.cos(np.pi * fallen))
    return np.where(p.fraction < rise, going_up, np.maximum(down, 4e-6))


@SCHEDULES.register("plateau", reacts="plateau", steady=True)
def plateau(p):
    """Multiplied by `decay_factor` after `decay_epochs` epochs in which the (validation) loss did not improve."""
    return np.ones(len(p.epoch))
