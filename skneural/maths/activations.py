r"""Activations: one function each, from the pre-activation `z` to the value and its slope.

A function here is all that a new activation needs. It returns ``(a, slope)``: the value :math:`a = f(z)` and the
derivative :math:`f'(z)`. Both come from one call because they share most of their work; where only the value is used
(in prediction) the compiler drops the other. Keep the type of `z`: write constants as ``type(z)(1)``, else a float32
kernel computes in float64.

Comparisons are written so that NaN passes through: a diverging fit must be seen.
"""

from skneural.maths.elementary import erfc, exp, expm1, log1p
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
    e = exp(z)  # large, but not infinite
    a = e / (one + e)
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


@ACTIVATIONS.register("elu")
def elu(z):
    r"""Exponential linear unit, :math:`f(z) = z` if :math:`z > 0`, else :math:`e^z - 1` (Clevert et al., 2015)."""
    # Taken twice, the exponential costs little more than once, and the slope keeps its digits where it is small.
    return (z, type(z)(1)) if z > type(z)(0) else (expm1(z), exp(z))


@ACTIVATIONS.register("selu")
def selu(z):
    r"""Scaled elu, :math:`f(z) = 1.0507 z` if :math:`z > 0`, else :math:`1.7581 (e^z - 1)` (Klambauer et al., 2017)."""
    # The numbers for which mean 0 and variance 1 are a fixed point: lambda, and lambda times alpha.
    scale, depth = type(z)(1.0507009873554805), type(z)(1.7580993408473766)
    return (scale * z, scale) if z > type(z)(0) else (depth * expm1(z), depth * exp(z))


@ACTIVATIONS.register("gelu")
def gelu(z):
    r"""Gaussian error linear unit, :math:`f(z) = z \Phi(z)`, exactly (Hendrycks and Gimpel, 2016)."""
    x = z * type(z)(-0.7071067811865476)
    half = type(z)(0.5) * erfc(x)  # Phi(z), with its digits where it is small
    density = type(z)(0.3989422804014327) * exp(-(x * x))
    return z * half, half + z * density


@ACTIVATIONS.register("silu")
def silu(z):
    r"""Sigmoid linear unit or swish, :math:`f(z) = z / (1 + e^{-z})` (Elfwing et al., 2017)."""
    one = type(z)(1)
    e = exp(-z)
    share = one / (one + e)
    return z * share, share + z * share * (e * share)


@ACTIVATIONS.register("mish")
def mish(z):
    r"""Mish, :math:`f(z) = z \tanh(\log(1 + e^z))` (Misra, 2019)."""
    one, two, limit = type(z)(1), type(z)(2), type(z)(30)
    # tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2): nothing cancels. It is 1 long before the limit.
    e = exp(limit if z > limit else z)
    n = e * (e + two)
    r = one / (n + two)
    share = n * r
    return z * share, share + z * (two * r) * (two * r * (e * (e + one)))


@ACTIVATIONS.register("softplus")
def softplus(z):
    r"""Softplus, :math:`f(z) = \log(1 + e^z)` (Dugas et al., 2001)."""
    zero, one = type(z)(0), type(z)(1)
    e = exp(-z if z > zero else z)  # of -|z|: never overflows
    return (zero if z < zero else z) + log1p(e), (one if z > zero else e) / (one + e)


@ACTIVATIONS.register("hard_tanh")
def hard_tanh(z):
    r"""Hard hyperbolic tangent, :math:`f(z) = \max(-1, \min(1, z))` (Collobert, 2004)."""
    one, zero = type(z)(1), type(z)(0)
    if z <= -one:
        return -one, zero
    return (one, zero) if z >= one else (z, one)
