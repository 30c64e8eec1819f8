"""Elementary functions for compiled formulas: short polynomials that the compiler turns into vector code.

Random numbers are taught to the compiler here, too: whatever calls them imports this module.

Calls into the C library stay scalar calls and cost three to twenty times as much. Accuracy in units in the last place
(tested): 1 for log, log1p and, over the arguments that they clamp to, exp; 2 for expm1; 3 (1 + x^2) for erfc, which is
what a change of x by 1.5 units would do.
"""

import math

import numpy as np
from numba import types
from numba.extending import overload

from skneural.backends.cpu.compiler import HELPER, formula
from skneural.backends.cpu.intrinsics import float_bits, float_from_bits, stir_word
from skneural.maths import dropout, elementary, random

for _function in (
    random.mix,
    random.key,
    random.layer_key,
    random.at_time,
    random.bits,
    random.normal,
    dropout.row_position,
    dropout.keep,
    dropout.noise,
):
    formula(_function)

#: The compiler leaves longer functions as calls, which would keep a loop from becoming vector code.
INLINED = {**HELPER, "forceinline": True}

#: ln 2 in two parts, the first with few bits, so that n times it is exact (Cody and Waite, 1980): in float64 and 32.
LN2 = (0.69314718036912382, 1.9082149292705877e-10), (0.693359375, -2.12194440e-4)


def _make_exponential(number, minus_one):
    """``e^x`` or ``e^x - 1`` for one type: with x = n ln 2 + r it is ``2^n (1 + p(r))``, p a polynomial."""
    single = number == types.float32
    real = np.float32 if single else np.float64
    whole = np.int32 if single else np.int64
    one = real(1)
    log2_e = real(1 / math.log(2))
    ln2_high, ln2_low = map(real, LN2[single])
    lowest, highest = map(real, elementary.EXP_RANGE[number.name])
    # Taylor coefficients 1/k! from high to low: with |r| <= ln(2) / 2 the remainder is below half a unit.
    degree = 7 if single else 13
    leading, *others = [real(1 / math.factorial(k)) for k in range(degree, 1, -1)]
    others = tuple(others)
    shift = 23 if single else 52
    one_bits = 0x3F800000 if single else 0x3FF0000000000000
    # Adding it rounds to an integer and leaves that integer in the low bits: no conversion, which NaN would break.
    magic = real(1.5 * 2.0**shift)

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


def _make_logarithm(number, plus_one):
    """``log(x)`` or ``log(1 + x)`` for one type: of 2^n m it is n ln 2 + log(m), m from sqrt(1/2) to sqrt(2)."""
    single = number == types.float32
    real = np.float32 if single else np.float64
    whole = np.int32 if single else np.int64
    zero = real(0)
    half = real(0.5)
    one = real(1)
    two = real(2)
    infinity = real(np.inf)
    nan = real(np.nan)
    ln2_high, ln2_low = map(real, LN2[single])
    # log((1 + s) / (1 - s)) = 2s + s (2/3 s^2 + 2/5 s^4 + ...), and s^2 < 0.03: the remainder is below half a unit.
    n_terms = 4 if single else 10
    leading, *others = [real(2 / (2 * k + 1)) for k in range(n_terms, 0, -1)]
    others = tuple(others)
    shift = 23 if single else 52
    root_bits = 0x3F3504F3 if single else 0x3FE6A09E667F3BCD  # of sqrt(1/2)
    # Numbers below the normal ones are scaled up first.
    scaled = 24 if single else 54
    scale = real(2.0**scaled)
    smallest = real(2.0**-126 if single else 2.0**-1022)
    scaled = real(scaled)

    def logarithm(x):
        u = x + one if plus_one else x
        tiny = u < smallest
        bits = float_bits(u * scale if tiny else u)
        exponent = whole(whole(bits - root_bits) >> shift)
        mantissa = float_from_bits(whole(bits - (exponent << shift)))
        f = mantissa - one
        n = real(exponent) - (scaled if tiny else zero)
        s = f / (f + two)
        z = s * s
        q = leading
        for c in others:
            q = q * z + c
        h = half * f * f
        low = n * ln2_low + s * (h + z * q)
        if plus_one:
            low += (x - (u - one)) / u  # what the sum above lost
        y = n * ln2_high + (f - (h - low))
        y = y if u < infinity else u  # infinity, and NaN
        y = nan if u < zero else y
        return -infinity if u == zero else y

    return logarithm


# The complementary error function times exp(x^2) is p(x) / q(x), coefficients from high to low: minimax in relative
# error, 6e-9 for x up to 10 and 5e-17 up to 28, where the function itself is 0. None is negative, so nothing cancels.
ERFC_SINGLE = (
    (0.0327098570098467, 0.228805920954043, 0.730737931080960, 1.23758336517405, 1.0),
    (0.0579759986875912, 0.405574750796464, 1.32375171642222, 2.40043221146125, 2.36596310063711, 1.0),
)
ERFC_DOUBLE = (
    (
        0.000063015960865771358, 0.0011969906978684034, 0.011134660256350751, 0.065613591808823609, 0.26787118877779332,
        0.78301458817340485, 1.6389474377013852, 2.3783956636934063, 2.1927522797561445, 1.0,
    ),
    (
        0.00011169288250535985, 0.0021216107718888702, 0.019791517894208560, 0.11735786873692159, 0.48460131268746160,
        1.4449448837443509, 3.1326260952031792, 4.8540176112239086, 5.1258911995072419, 3.3211314468516423, 1.0,
    ),
)  # fmt: skip


def _make_erfc(number):
    """The complementary error function for one type: 2 minus it for negative x."""
    single = number == types.float32
    real = np.float32 if single else np.float64
    coefficients = ERFC_SINGLE if single else ERFC_DOUBLE
    numerator, denominator = (tuple(map(real, polynomial)) for polynomial in coefficients)
    zero = real(0)
    two = real(2)
    end = real(10 if single else 28)

    def erfc(x):
        y = abs(x)
        y = end if y > end else y
        p = zero
        for c in numerator:
            p = p * y + c
        q = zero
        for c in denominator:
            q = q * y + c
        tail = elementary.exp(-(x * x)) * (p / q)
        return two - tail if x < zero else tail

    return erfc


@overload(elementary.exp, jit_options=INLINED)
def _exp(x):
    return _make_exponential(x, False)


@overload(elementary.expm1, jit_options=INLINED)
def _expm1(x):
    return _make_exponential(x, True)


@overload(elementary.sqrt, inline="always")
def _sqrt(x):
    return lambda x: math.sqrt(x)


@overload(elementary.log, jit_options=INLINED)
def _log(x):
    return _make_logarithm(x, False)


@overload(elementary.log1p, jit_options=INLINED)
def _log1p(x):
    return _make_logarithm(x, True)


@overload(random.stir, inline="always")
def _stir(x, shift, factor):
    return lambda x, shift, factor: stir_word(x, shift, factor)


@overload(elementary.erfc, jit_options=INLINED)
def _erfc(x):
    return _make_erfc(x)
