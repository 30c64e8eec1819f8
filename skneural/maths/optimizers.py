r"""Optimizers: one function each, the update of one parameter.

``update(p, g, s, v, rate, hyper)`` gets a parameter, its gradient, two numbers of state that start at 0, the step size
and the tuple of the optimizer's own constants; it returns the new ``(p, s, v)``.

Facts of an entry: `hyper`, which estimator parameters (at most three) arrive in `hyper`, in order, and `step_size`, a
function ``(rate, t, hyper)`` on arrays that turns the scheduled learning rate and the number of the update (from 1)
into `rate`, where the method has a correction of that kind.
"""

import numpy as np

from skneural.maths.elementary import sqrt
from skneural.maths.registry import Registry


def _uncorrected(rate, t, hyper):
    return rate


def _adam_step_size(rate, t, hyper):
    beta_1, beta_2 = hyper[:2]
    return rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)


OPTIMIZERS = Registry("optimizer", hyper=(), step_size=_uncorrected)


@OPTIMIZERS.register("sgd", hyper=("momentum", "nesterovs_momentum"))
def sgd(p, g, s, v, rate, hyper):
    """Stochastic gradient descent with momentum, plain or Nesterov's (Sutskever et al., 2013)."""
    momentum, nesterov = hyper[0], hyper[1]
    s = momentum * s - rate * g
    return p + (momentum * s - rate * g if nesterov > type(p)(0) else s), s, v


@OPTIMIZERS.register("adam", hyper=("beta_1", "beta_2", "epsilon"), step_size=_adam_step_size)
def adam(p, g, s, v, rate, hyper):
    """Adam (Kingma and Ba, 2014), with the bias correction in the step size."""
    beta_1, beta_2, epsilon = hyper[0], hyper[1], hyper[2]
    one = type(p)(1)
    s = beta_1 * s + (one - beta_1) * g
    v = beta_2 * v + (one - beta_2) * g * g
    return p - rate * s / (sqrt(v) + epsilon), s, v
