"""Dropout (Srivastava et al., 2014) and noise: what random bits do to one number.

A number's position, by which its bits are drawn, is counted over rows in the order of the epoch. So they depend neither
on the batch nor on the threads.
"""

import numpy as np

from skneural.maths.random import bits, normal


def row_position(row, width):
    """Position of the first number of a row, where rows have `width` numbers; those of the others follow."""
    return np.uint64(row * width)


def keep(key, position, limit, scale):
    """What a number is multiplied by: `scale`, or 0 where its bits are below `limit`."""
    zero = type(scale)(0)
    drawn = np.uint32(bits(key, position))
    return scale if drawn >= limit else zero


def noise(key, position, deviation):
    """Normal number of mean 0 and a standard deviation of `deviation`, of its type."""
    real = type(deviation)
    # 23 bits, so that single precision holds the middle of every one of that many steps in (-1, 1).
    step = np.int32(bits(key, position) >> np.uint64(9))
    middle = real(step) + real(0.5)
    uniform = middle * real(2.0**-22) - real(1)
    return deviation * normal(uniform)
