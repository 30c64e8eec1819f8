"""How numbers are laid out in memory: padded rows, and arrays that begin on a cache line.

Every row of every matrix is padded to 64 bytes, so that no kernel needs a mask. The padding of weights is 0 and stays
0: padded outputs have a gradient of 0.
"""

import numpy as np

ALIGNMENT = 64  # bytes


def padded(width, dtype):
    """Padded width of a row: a multiple of 64 bytes, and off large powers of two, which would share few cache sets."""
    unit = ALIGNMENT // np.dtype(dtype).itemsize
    width = -(-width // unit) * unit
    if width >= 512 and width % 256 == 0:
        width += unit
    return width


def gate_pitch(units, n_gates, dtype):
    """Padded width of one gate: as fine as it can be while that of all gates with weights is a multiple of 64 bytes.

    Not below half of that, which would leave much of a row to code without vectors.
    """
    unit = ALIGNMENT // np.dtype(dtype).itemsize
    if n_gates % 2 == 0:
        unit //= 2
    return -(-units // unit) * unit


def aligned_zeros(count, dtype):
    """Zeros that begin on a cache line: vectors that straddle two of them cost twice."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(count + ALIGNMENT // itemsize, dtype)
    skip = -raw.ctypes.data % ALIGNMENT // itemsize
    return raw[skip : skip + count]
