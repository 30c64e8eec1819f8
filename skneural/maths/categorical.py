"""Draws from categories (Gumbel, 1954): the largest of their logarithms of weights, to each of which noise is added.

A softmax of the same numbers stands for the largest where gradients are needed (Jang, Gu and Poole, 2017; Maddison,
Mnih and Teh, 2017).
"""

import numpy as np

from skneural.maths.elementary import log
from skneural.maths.random import bits

#: Of the softmax: the smaller, the nearer it is to one category, and the rarer are gradients.
TEMPERATURE = 0.5


def gumbel(key, position, scale):
    """Gumbel noise of a scale, of its type: with it the largest of several is each as often as its weight says."""
    real = type(scale)
    # 23 bits, so that single precision holds the middle of every one of that many steps in (0, 1).
    step = np.int32(bits(key, position) >> np.uint64(9))
    uniform = (real(step) + real(0.5)) * real(2.0**-23)
    return -scale * log(-log(uniform))
