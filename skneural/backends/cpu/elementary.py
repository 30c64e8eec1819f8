"""Elementary functions for compiled formulas: short polynomials that the compiler turns into vector code.

Calls into the C library stay scalar calls and cost five to fifteen times as much. Accuracy, over the arguments that the
functions clamp to: 1 unit in the last place for exp, 2 for expm1 (tested).
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from skneural.backends.cpu.compiler import HELPER
from skneural.backends.cpu.intrinsics import float_bits, float_from_bits
from skneural.maths import elementary


def _make_exponential(number, minus_one):
    """``e^x`` or ``e^x - 1`` for one type: with x = n ln 2 + r it is ``2^n (1 + p(r))``, p a polynomial."""
    single = number == types.float32
    real, whole = (np.float32, np.int32) if single else (np.float64, np.int64)
    # Taylor coefficients 1/k! from high to low: with |r| <= ln(2) / 2 the remainder is below half a unit.
    terms = [real(1 / math.factorial(k)) for k in range(7 if single else 13, 1, -1)]
    leading, others = terms[0], tuple(terms[1:])
    log2_e, one = real(1 / math.log(2)), real(1)
    # ln 2 in two parts, the first with few bits, so that n times it is exact (Cody and Waite, 1980).
    ln2 = (0.693359375, -2.12194440e-4) if single else (0.69314718036912382, 1.9082149292705877e-10)
    ln2_high, ln2_low = map(real, ln2)
    # Adding it rounds to an integer and leaves that integer in the low bits: no conversion, which NaN would break.
    magic = real(1.5 * 2.0 ** (23 if single else 52))
    shift, one_bits = (23, 0x3F800000) if single else (52, 0x3FF0000000000000)
    lowest, highest = map(real, (-87, 88) if single else (-708, 709))

    def exponential(x):
        x = lowest if x < lowest else x
        x = highest if x > highest else x
        t = x * log2_e + magic
        n = t - magic
        r = x - n * ln2_high
        r = r - n * ln2_low
        q = leading
        for c in others:
            q = q * r + c
        p = q * (r * r) + r
        power = float_from_bits(whole((float_bits(t) << shift) + one_bits))
        if minus_one:
            return p * power + (power - one)
        return (p + one) * power

    return exponential


@overload(elementary.exp, jit_options=HELPER)
def _exp(x):
    return _make_exponential(x, False)


@overload(elementary.expm1, jit_options=HELPER)
def _expm1(x):
    return _make_exponential(x, True)


@overload(elementary.sqrt, inline="always")
def _sqrt(x):
    return lambda x: math.sqrt(x)


@overload(elementary.log, inline="always")
def _log(x):
    return lambda x: math.log(x)
