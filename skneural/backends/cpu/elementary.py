"""Elementary functions for compiled formulas: short polynomials that the compiler turns into vector code.

Calls into the C library stay scalar calls and cost ten times as much. Accuracy is given in units in the last place
(ulp) over the arguments that the functions clamp to; tests check it.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from skneural.backends.cpu.compiler import STRICT
from skneural.backends.cpu.intrinsics import float_bits, float_from_bits
from skneural.maths import elementary

# Taylor coefficients 1/k! from high to low, down to 1/2!: with |r| <= ln(2)/2 the remainder is below half an ulp.
_TERMS = {
    32: tuple(1 / math.factorial(k) for k in range(7, 1, -1)),
    64: tuple(1 / math.factorial(k) for k in range(13, 1, -1)),
}


def _make_scaled_expm1(number):
    """(e^r - 1, 2^n) with x = n ln 2 + r: the common part of `exp` and `expm1`."""
    f = np.float32 if number.bitwidth == 32 else np.float64
    terms = tuple(f(t) for t in _TERMS[number.bitwidth])
    log2_e = f(1 / math.log(2))
    # ln 2 in two parts, the first with few bits, so that n times it is exact (Cody and Waite, 1980).
    ln2_high = f(0.693359375) if f is np.float32 else f(0.693147180369123816490)
    ln2_low = f(-2.12194440e-4) if f is np.float32 else f(1.90821492927058770002e-10)
    # Adding it rounds to an integer and leaves that integer in the low bits: no conversion, which NaN would break.
    magic = f(1.5 * 2.0**23) if f is np.float32 else f(1.5 * 2.0**52)
    one_bits = np.int32(0x3F800000) if f is np.float32 else np.int64(0x3FF0000000000000)
    shift = np.int32(23) if f is np.float32 else np.int64(52)
    lowest, highest = (f(-87.0), f(88.0)) if f is np.float32 else (f(-708.0), f(709.0))
    leading = terms[0]
    t1, t2, t3, t4, t5 = terms[1:6]
    more = tuple(terms[6:])

    @register_jitable(fastmath=STRICT)
    def scaled(x):
        x = lowest if x < lowest else x
        x = highest if x > highest else x
        t = x * log2_e + magic
        n = t - magic
        r = x - n * ln2_high
        r = r - n * ln2_low
        q = leading
        q = q * r + t1
        q = q * r + t2
        q = q * r + t3
        q = q * r + t4
        q = q * r + t5
        for c in more:
            q = q * r + c
        power = float_from_bits((float_bits(t) << shift) + one_bits)
        return q * (r * r) + r, power

    return scaled


_SCALED = {k: _make_scaled_expm1(k) for k in (types.float32, types.float64)}


@overload(elementary.exp, jit_options={"fastmath": STRICT})
def _exp(x):
    scaled, one = _SCALED[x], np.float32(1) if x == types.float32 else np.float64(1)

    def exp(x):
        p, power = scaled(x)
        return (p + one) * power

    return exp


@overload(elementary.expm1, jit_options={"fastmath": STRICT})
def _expm1(x):
    scaled, one = _SCALED[x], np.float32(1) if x == types.float32 else np.float64(1)

    def expm1(x):
        p, power = scaled(x)
        return p * power + (power - one)

    return expm1


@overload(elementary.sqrt, jit_options={"fastmath": STRICT})
def _sqrt(x):
    return lambda x: math.sqrt(x)


@overload(elementary.log, jit_options={"fastmath": STRICT})
def _log(x):
    return lambda x: math.log(x)
