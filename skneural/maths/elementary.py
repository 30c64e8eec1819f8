"""Elementary functions that the formulas call.

In plain Python they are those of :mod:`math`. A backend replaces them, when it compiles a formula, by versions that
suit its target (the CPU's are polynomials that vectorise). They are functions of their own because replacing
``math.exp`` itself would change what users compile with Numba.
"""

import math


def exp(x):
    r"""Exponential, :math:`e^x`."""
    return math.exp(x)


def expm1(x):
    r"""Exponential minus one, :math:`e^x - 1`, accurate near 0."""
    return math.expm1(x)


def log(x):
    """Natural logarithm."""
    return math.log(x)


def log1p(x):
    r"""Logarithm of one more, :math:`\log(1 + x)`, accurate near 0."""
    return math.log1p(x)


def erfc(x):
    r"""Complementary error function, :math:`1 - \operatorname{erf}(x)`, accurate where it is small."""
    return math.erfc(x)


def sqrt(x):
    """Square root."""
    return math.sqrt(x)
