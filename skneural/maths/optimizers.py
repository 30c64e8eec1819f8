r"""Optimizers: one function each, the update of one parameter.

``update(p, g, s, v, c)`` gets a parameter, its gradient, two numbers of state that start at 0, and the tuple of the
five constants of the step; it returns the new ``(p, s, v)``.

Options of an entry: `hyper`, the estimator's parameters that the method has; `constants`, a function
``(rate, t, *hyper)`` on arrays that turns the scheduled learning rates and the numbers of the updates (from 1) into at
most five constants each, corrections for the beginning included; `decoupled`, whether the estimator's `weight_decay`
shrinks the weights beside the update.
"""

import numpy as np

from skneural.maths.elementary import sqrt
from skneural.maths.registry import Registry


def _as_they_are(rate, t, *hyper):
    return rate, *hyper


def _sgd_constants(rate, t, momentum, nesterov):
    """The last two are how the step is made of velocity and gradient."""
    if nesterov:
        return rate, momentum, momentum, rate
    return rate, momentum, 1.0, 0.0


def _adam_constants(rate, t, beta_1, beta_2, epsilon):
    """With the corrections in the step size alone, as in scikit-learn: `epsilon` is added to the uncorrected root."""
    root = np.sqrt(1 - beta_2**t)
    step = rate * root / (1 - beta_1**t)
    return step, beta_1, beta_2, epsilon


def _adamw_constants(rate, t, beta_1, beta_2, epsilon):
    root = np.sqrt(1 - beta_2**t)
    step = rate * root / (1 - beta_1**t)
    return step, beta_1, beta_2, epsilon * root


def _nadam_constants(rate, t, beta_1, beta_2, epsilon):
    root = np.sqrt(1 - beta_2**t)
    ahead = rate * root * beta_1 / (1 - beta_1 ** (t + 1))
    step = rate * root * (1 - beta_1) / (1 - beta_1**t)
    return ahead, step, beta_1, beta_2, epsilon * root


OPTIMIZERS = Registry("optimizer", hyper=(), constants=_as_they_are, decoupled=False)


@OPTIMIZERS.register("sgd", hyper=("momentum", "nesterovs_momentum"), constants=_sgd_constants)
def sgd(p, g, s, v, c):
    """Stochastic gradient descent with momentum, plain or Nesterov's (Sutskever et al., 2013)."""
    rate, momentum, ahead, fresh, _ = c
    s = momentum * s - rate * g
    step = ahead * s - fresh * g
    return p + step, s, v


@OPTIMIZERS.register("adam", hyper=("beta_1", "beta_2", "epsilon"), constants=_adam_constants)
@OPTIMIZERS.register("adamw", hyper=("beta_1", "beta_2", "epsilon"), constants=_adamw_constants, decoupled=True)
def adam(p, g, s, v, c):
    """Adam (Kingma and Ba, 2014); 'adamw' with decoupled weight decay (Loshchilov and Hutter, 2019)."""
    rate, beta_1, beta_2, epsilon, _ = c
    one = type(p)(1)
    s = beta_1 * s + (one - beta_1) * g
    v = beta_2 * v + (one - beta_2) * g * g
    root = sqrt(v) + epsilon
    p = p - rate * s / root
    return p, s, v


@OPTIMIZERS.register("nadam", hyper=("beta_1", "beta_2", "epsilon"), constants=_nadam_constants)
def nadam(p, g, s, v, c):
    """Adam with Nesterov's momentum (Dozat, 2016), its decay constant."""
    ahead, rate, beta_1, beta_2, epsilon = c
    one = type(p)(1)
    s = beta_1 * s + (one - beta_1) * g
    v = beta_2 * v + (one - beta_2) * g * g
    root = sqrt(v) + epsilon
    step = ahead * s + rate * g
    return p - step / root, s, v


@OPTIMIZERS.register("rmsprop", hyper=("rho", "epsilon"))
def rmsprop(p, g, s, v, c):
    """Steps in units of a running root mean square of the gradient (Tieleman and Hinton, 2012)."""
    rate, rho, epsilon, _, _ = c
    one = type(p)(1)
    v = rho * v + (one - rho) * g * g
    root = sqrt(v) + epsilon
    p = p - rate * g / root
    return p, s, v


@OPTIMIZERS.register("adagrad", hyper=("epsilon",))
def adagrad(p, g, s, v, c):
    """Steps in units of the root of all squared gradients so far (Duchi, Hazan and Singer, 2011)."""
    rate, epsilon, _, _, _ = c
    v = v + g * g
    root = sqrt(v) + epsilon
    p = p - rate * g / root
    return p, s, v


@OPTIMIZERS.register("lion", hyper=("beta_1", "beta_2"), decoupled=True)
def lion(p, g, s, v, c):
    """Steps of one size, by the sign of an average of the gradient (Chen et al., 2023)."""
    rate, beta_1, beta_2, _, _ = c
    zero = type(p)(0)
    one = type(p)(1)
    direction = beta_1 * s + (one - beta_1) * g
    s = beta_2 * s + (one - beta_2) * g
    # Anything but 0 and NaN has a sign; NaN must be seen.
    down = rate if direction < zero else zero
    step = rate if direction > zero else direction * zero - down
    return p - step, s, v


OPTIMIZERS.seal()
