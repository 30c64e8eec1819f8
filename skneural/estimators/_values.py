"""Kinds of values that files hold."""

from numbers import Integral, Real

import numpy as np

#: Types of arrays: pickles that joblib maps into memory hold the second.
ARRAYS = (np.ndarray, np.memmap)
#: Counters stay below it: what is added to them fits into 64 bits, too.
MOST = 2**62


def is_count(value):
    """Whether something is an integer from 0 up that can be counted on from."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        return False
    return 0 <= value < MOST


def is_number(value):
    """Whether something is one real number, and no integer beyond 64 bits."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return isinstance(value, float | np.floating) or -MOST < value < MOST
