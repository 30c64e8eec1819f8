r"""Activations: one function each, from the pre-activation `z` to the value and its derivative.

A function here is all that a new activation needs. It returns ``(a, derivative)``: the value :math:`a = f(z)` and the
derivative :math:`f'(z)`. Both come from one call because they share most of their work; where only the value is used
(in prediction) the compiler drops the other. Keep the type of `z`: write constants as ``type(z)(1)``, else a float32
kernel computes in float64.

Comparisons are written so that NaN passes through: a diverging fit must be seen. A value should be no plain choice
between `z` and another number: since it is stored where `z` stands, the compiler makes of it a store that leaves out
some lanes, which takes AMD's processors many times as long as a whole one. (That of `elu` is: others were slower.)
"""

from skneural.maths.elementary import erfc, exp, expm1, log1p
from skneural.maths.registry import Registry

ACTIVATIONS = Registry("activation")


@ACTIVATIONS.register("identity")
def identity(z):
    r"""Identity, :math:`f(z) = z`."""
    one = type(z)(1)
    return z, one


@ACTIVATIONS.register("logistic")
def logistic(z):
    r"""Logistic sigmoid, :math:`f(z) = 1 / (1 + e^{-z})`."""
    one = type(z)(1)
    e = exp(z)  # large, but not infinite
    a = e / (one + e)
    derivative = a * (one - a)
    return a, derivative


@ACTIVATIONS.register("tanh")
def tanh(z):
    r"""Hyperbolic tangent, :math:`f(z) = \tanh(z)`."""
    one = type(z)(1)
    # By expm1 the value keeps its relative accuracy near 0, which (e^2z - 1) / (e^2z + 1) loses.
    e = expm1(z + z)
    a = e / (e + one + one)
    derivative = one - a * a
    return a, derivative


@ACTIVATIONS.register("relu")
def relu(z):
    r"""Rectified linear unit, :math:`f(z) = \max(0, z)`."""
    zero = type(z)(0)
    one = type(z)(1)
    above = zero if z < zero else z
    derivative = zero if z <= zero else one
    return abs(above), derivative


@ACTIVATIONS.register("leaky_relu")
def leaky_relu(z):
    r"""Leaky rectified linear unit, :math:`f(z) = \max(0.01 z, z)` (Maas et al., 2013)."""
    zero = type(z)(0)
    one = type(z)(1)
    leak = type(z)(0.01)
    derivative = leak if z <= zero else one
    return z * derivative, derivative


@ACTIVATIONS.register("elu")
def elu(z):
    r"""Exponential linear unit, :math:`f(z) = z` if :math:`z > 0`, else :math:`e^z - 1` (Clevert et al., 2015)."""
    # Taken twice, the exponential costs little more than once, and the derivative keeps its digits where it is small.
    zero = type(z)(0)
    one = type(z)(1)
    if z > zero:
        return z, one
    return expm1(z), exp(z)


@ACTIVATIONS.register("selu")
def selu(z):
    r"""Scaled elu, :math:`f(z) = 1.0507 z` if :math:`z > 0`, else :math:`1.7581 (e^z - 1)` (Klambauer et al., 2017)."""
    # The numbers for which mean 0 and variance 1 are a fixed point: lambda, and lambda times alpha.
    zero = type(z)(0)
    scale = type(z)(1.0507009873554805)
    depth = type(z)(1.7580993408473766)
    if z > zero:
        return scale * z, scale
    a = depth * expm1(z)
    derivative = depth * exp(z)
    return a, derivative


@ACTIVATIONS.register("gelu")
def gelu(z):
    r"""Gaussian error linear unit, :math:`f(z) = z \Phi(z)`, exactly (Hendrycks and Gimpel, 2016)."""
    half = type(z)(0.5)
    root = type(z)(-0.7071067811865476)  # minus that of 1/2
    height = type(z)(0.3989422804014327)  # of the normal density
    x = z * root
    share = half * erfc(x)  # Phi(z), with its digits where it is small
    density = height * exp(-(x * x))
    derivative = share + z * density
    return z * share, derivative


@ACTIVATIONS.register("silu")
def silu(z):
    r"""Sigmoid linear unit or swish, :math:`f(z) = z / (1 + e^{-z})` (Elfwing et al., 2017)."""
    one = type(z)(1)
    e = exp(-z)
    share = one / (one + e)
    a = z * share
    derivative = share + a * (e * share)
    return a, derivative


@ACTIVATIONS.register("mish")
def mish(z):
    r"""Mish, :math:`f(z) = z \tanh(\log(1 + e^z))` (Misra, 2019)."""
    one = type(z)(1)
    two = type(z)(2)
    limit = type(z)(30)
    # tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2): nothing cancels. It is 1 long before the limit.
    e = exp(limit if z > limit else z)
    n = e * (e + two)
    r = one / (n + two)
    share = n * r
    a = z * share
    derivative = share + z * (two * r) * (two * r * (e * (e + one)))
    return a, derivative


@ACTIVATIONS.register("softplus")
def softplus(z):
    r"""Softplus, :math:`f(z) = \log(1 + e^z)` (Dugas et al., 2001)."""
    zero = type(z)(0)
    one = type(z)(1)
    e = exp(-z if z > zero else z)  # of -|z|: never overflows
    above = zero if z < zero else z
    a = above + log1p(e)
    derivative = (one if z > zero else e) / (one + e)
    return a, derivative


@ACTIVATIONS.register("hard_tanh")
def hard_tanh(z):
    r"""Hard hyperbolic tangent, :math:`f(z) = \max(-1, \min(1, z))` (Collobert, 2004)."""
    zero = type(z)(0)
    one = type(z)(1)
    if z <= -one:
        return -one, zero
    if z >= one:
        return one, zero
    return z, one


ACTIVATIONS.seal()
