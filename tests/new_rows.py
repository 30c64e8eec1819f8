"""A plugin of pytest that adds a row to every registry, as an edit of its file would: ``pytest -p new_rows``.

Not to be imported by tests: it must come before anything else of the package.
"""

import importlib.util
import pathlib
import sys
import types

import numpy as np


def before_the_estimators(*names):
    """Modules of the package, loaded without the estimators, which look at the registries when they are loaded."""
    assert "skneural" not in sys.modules
    folder = importlib.util.find_spec("skneural").submodule_search_locations[0]
    package = types.ModuleType("skneural")
    package.__path__ = [str(pathlib.Path(folder))]
    sys.modules["skneural"] = package
    modules = [importlib.import_module(f"skneural.{name}") for name in names]
    del sys.modules["skneural"]
    return modules


activations, losses, optimizers, schedules, initializers, elementary = before_the_estimators(
    "maths.activations", "maths.losses", "maths.optimizers", "maths.schedules", "network.initializers",
    "maths.elementary",
)  # fmt: skip
log1p = elementary.log1p


@activations.ACTIVATIONS.register("new_activation")
def softsign(z):
    r"""Softsign, :math:`f(z) = z / (1 + |z|)`."""
    one = type(z)(1)
    share = one / (one + abs(z))
    return z * share, share * share


@losses.LOSSES.register("new_loss", averaged=True)
def cauchy(raw, target, gradient, settings):
    r"""Cauchy, :math:`\log(1 + e^2)`, summed over the outputs."""
    total, one, two = type(raw[0])(0), type(raw[0])(1), type(raw[0])(2)
    for j in range(len(raw)):
        error = raw[j] - target[j]
        gradient[j] = two * error / (one + error * error)
        total += log1p(error * error)
    return total


def adamax_constants(rate, t, beta_1, beta_2, epsilon):
    """With the correction in the step size."""
    return rate / (1 - beta_1**t), beta_1, beta_2, epsilon


@optimizers.OPTIMIZERS.register("new_optimizer", hyper=("beta_1", "beta_2", "epsilon"), constants=adamax_constants)
def adamax(p, g, s, v, c):
    """Adam with the largest gradient instead of the root of the mean square (Kingma and Ba, 2014)."""
    rate, beta_1, beta_2, epsilon = c[0], c[1], c[2], c[3]
    one = type(p)(1)
    s = beta_1 * s + (one - beta_1) * g
    v = beta_2 * v
    size = abs(g)
    v = v if v > size else size
    return p - rate * s / (v + epsilon), s, v


@schedules.SCHEDULES.register("new_schedule", every_step=True, ends=True)
def linear(p):
    """Down to 0 at the end of `max_iter` epochs along a line."""
    return 1 - p.fraction


@initializers.INITIALIZERS.register("new_rule")
def narrow(u, fans, activation):
    """Uniform within sqrt(3 / (n_in + n_out))."""
    return np.sqrt(3 / sum(fans)) * (2 * u - 1)
