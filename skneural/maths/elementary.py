"""Elementary functions that the formulas call.

In plain Python they are those of :mod:`math`, of the type of their argument. A backend replaces them, when it compiles
a formula, by versions that suit its target (the CPU's are polynomials that vectorise). They are functions of their own
because replacing ``math.exp`` itself would change what users compile with Numba.
"""

import math

#: Arguments that exp is clamped to, everywhere: its values are tiny or large, but neither 0 nor infinite.
EXP_RANGE = {"float32": (-87, 88), "float64": (-708, 709)}


def _like(x, value):
    """A float as a number of the type of `x`."""
    return value if isinstance(x, (int, float)) else type(x)(value)


def _clamped(x):
    kind = type(x).__name__
    low, high = EXP_RANGE.get(kind, EXP_RANGE["float64"])
    return min(max(x, low), high)


def exp(x):
    r"""Exponential, :math:`e^x`."""
    return _like(x, math.exp(_clamped(x)))


def expm1(x):
    r"""Exponential minus one, :math:`e^x - 1`, accurate near 0."""
    return _like(x, math.expm1(_clamped(x)))


def log(x):
    """Natural logarithm."""
    if x > 0:
        return _like(x, math.log(x))
    return _like(x, -math.inf if x == 0 else math.nan)


def log1p(x):
    r"""Logarithm of one more, :math:`\log(1 + x)`, accurate near 0."""
    if x > -1:
        return _like(x, math.log1p(x))
    return _like(x, -math.inf if x == -1 else math.nan)


def erfc(x):
    r"""Complementary error function, :math:`1 - \operatorname{erf}(x)`, accurate where it is small."""
    return _like(x, math.erfc(x))


def sqrt(x):
    """Square root."""
    return _like(x, math.sqrt(x) if x >= 0 else math.nan)
