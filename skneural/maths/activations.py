r"""Activations: one function each, from the pre-activation `z` to the value and its slope.

A function here is all that a new activation needs. It returns ``(a, slope)``: the value :math:`a = f(z)` and the
derivative :math:`f'(z)`. Both come from one call because they share most of their work; where only the value is used
(in prediction) the compiler drops the other. Keep the type of `z`: write constants as ``type(z)(1)``, else a float32
kernel computes in float64.

Comparisons are written so that NaN passes through: a diverging fit must be seen.
"""

from skneural.maths.elementary import exp, expm1
from skneural.maths.registry import Registry

ACTIVATIONS = Registry("activation")


@ACTIVATIONS.register("identity")
def identity(z):
    r"""Identity, :math:`f(z) = z`."""
    return z, type(z)(1)


@ACTIVATIONS.register("logistic")
def logistic(z):
    r"""Logistic sigmoid, :math:`f(z) = 1 / (1 + e^{-z})`."""
    one = type(z)(1)
    a = one / (one + exp(-z))
    return a, a * (one - a)


@ACTIVATIONS.register("tanh")
def tanh(z):
    r"""Hyperbolic tangent, :math:`f(z) = \tanh(z)`."""
    one = type(z)(1)
    # By expm1 the value keeps its relative accuracy near 0, which (e^2z - 1) / (e^2z + 1) loses.
    e = expm1(z + z)
    a = e / (e + one + one)
    return a, one - a * a


@ACTIVATIONS.register("relu")
def relu(z):
    r"""Rectified linear unit, :math:`f(z) = \max(0, z)`."""
    zero = type(z)(0)
    return (zero, zero) if z <= zero else (z, type(z)(1))


@ACTIVATIONS.register("leaky_relu")
def leaky_relu(z):
    r"""Leaky rectified linear unit, :math:`f(z) = \max(0.01 z, z)` (Maas et al., 2013)."""
    leak = type(z)(0.01)
    return (leak * z, leak) if z <= type(z)(0) else (z, type(z)(1))
