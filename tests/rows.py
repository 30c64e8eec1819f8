"""What tests need to know about single rows of the registries, each with a default that does for a new row.

Twins in NumPy stand in `reference`, learning rates and the like stand here. A new row needs none of it: its twin is its
own formula, called by Python, and its rate the usual one.
"""

import numpy as np
import reference

from skneural import MLPClassifier
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES
from skneural.maths.optimizers import OPTIMIZERS

#: Rates with which small networks learn in some hundred steps, where 0.01 does not suit.
RATES = {"sgd": 0.1, "lion": 0.003, "adagrad": 0.1, "logistic": 0.05, "invscaling": 0.2}

#: Rates with which optimizers get to the end of a steep valley, where 0.02 does not suit (sgd diverges at ten times
#: this), and what they are multiplied by at every step: some take steps of one size, which must shrink.
VALLEY = {"sgd": (3e-4, 1.0), "rmsprop": (5e-3, 0.9997), "adagrad": (0.5, 1.0), "lion": (5e-3, 0.9997)}

#: Rates with which optimizers get down a parabola, where 0.03 is too slow.
PARABOLA = {"adagrad": 1.0}


def rate_of(row):
    """Learning rate for a network with this row of any registry."""
    return RATES.get(row, 0.01)


# -- twins -------------------------------------------------------------------------------------------------------------


def activation_twin(entry):
    """(value from z, derivative from z), by the formula of an entry."""
    formula = np.vectorize(entry.formula, otypes=[float, float])
    return lambda z: formula(z)[0], lambda z: formula(z)[1]


def loss_twin(entry):
    """Losses of rows and their gradients, by the formula of an entry."""

    def loss(raw, target, *constants):
        raw = np.asarray(raw, float)
        losses, gradients = np.empty(len(raw)), np.empty_like(raw)
        for i, row in enumerate(raw):
            if entry.exponent:
                entry.exponent(row, gradients[i])
                gradients[i] = np.exp(gradients[i])
            losses[i] = entry.formula(row, np.asarray(target[i], float), gradients[i], constants)
        return losses, gradients

    return loss


class OptimizerTwin:
    """An optimizer as those of `reference` are, by the formula of an entry."""

    def __init__(self, entry, *hyper):
        self.constants = lambda rate, t: entry.constants(np.array([rate]), np.array([t]), *hyper)
        self.update = np.vectorize(entry.formula, otypes=[float] * 3, excluded=[4])

    def step(self, p, g, s, v, t, rate):
        constants = tuple(float(np.squeeze(number)) for number in self.constants(rate, t))
        return self.update(p, g, s, v, constants)


for _name, _entry in ACTIVATIONS.items():
    reference.ACTIVATIONS.setdefault(_name, activation_twin(_entry))
for _name, _entry in LOSSES.items():
    reference.LOSSES.setdefault(_name, loss_twin(_entry))

#: Name: solver, its hyper-parameters in the order of the registry, its twin.
METHODS = {
    "sgd": ("sgd", (0.0, 0.0), reference.Sgd(0.0, False)),
    "momentum": ("sgd", (0.9, 0.0), reference.Sgd(0.9, False)),
    "nesterov": ("sgd", (0.9, 1.0), reference.Sgd(0.9, True)),
    "adam": ("adam", (0.9, 0.999, 1e-8), reference.Adam(0.9, 0.999, 1e-8)),
    "adam, large epsilon": ("adam", (0.8, 0.9, 0.1), reference.Adam(0.8, 0.9, 0.1)),
    "adamw": ("adamw", (0.8, 0.9, 0.1), reference.Adam(0.8, 0.9, 0.1, corrected=True)),
    "nadam": ("nadam", (0.8, 0.9, 0.1), reference.Nadam(0.8, 0.9, 0.1)),
    "rmsprop": ("rmsprop", (0.8, 0.01), reference.Rmsprop(0.8, 0.01)),
    "adagrad": ("adagrad", (0.01,), reference.Adagrad(0.01)),
    "lion": ("lion", (0.8, 0.9), reference.Lion(0.8, 0.9)),
}


def usual_hyper(entry):
    """Hyper-parameters of an optimizer as an estimator has them by default."""
    settings = MLPClassifier().get_params()
    return tuple(float(settings[name]) for name in entry.hyper)


for _name, _entry in OPTIMIZERS.items():
    if _name not in {solver for solver, _, _ in METHODS.values()}:
        METHODS[_name] = _name, usual_hyper(_entry), OptimizerTwin(_entry, *usual_hyper(_entry))
