"""Counter-based random numbers: a hash of (seed, stream, step, time, position), so that any can be had at any time.

The same numbers come out whatever the number of threads, the order of work or the backend. The functions take Python
integers, NumPy arrays of uint64 or compiled integers: all arithmetic is modulo 2**32, held in 64 bits.

The mixing function is Chris Wellons' ``lowbias32`` (bias 0.17; https://nullprogram.com/blog/2018/07/31/).
"""

import numpy as np

from skneural.maths.elementary import log, sqrt

MASK = 0xFFFFFFFF

#: Coefficients of the inverse error function, in the middle and in the tails.
_ERFINV = (
    (3.43273939e-07, 0.000100950558), (-3.5233877e-06, 0.00134934322), (-4.39150654e-06, -0.00367342844),
    (0.00021858087, 0.00573950773), (-0.00125372503, -0.0076224613), (-0.00417768164, 0.00943887047),
    (0.246640727, 1.00167406), (1.50140941, 2.83297682),
)  # fmt: skip

#: Streams, so that two uses of one seed never share a number.
WEIGHTS = 1
ORDER = 2
DROPOUT = 3
NOISE = 4
RECURRENT_DROPOUT = 5
AUGMENTATION = 6
CHANNEL_SCALE = 7
MIXUP = 8
SAMPLING = 9
LATENT = 10
CATEGORIES = 11


def stir(x, shift, factor):
    """32 bits, folded onto themselves and multiplied: a backend may have it in 32 bits, where a vector holds more."""
    return (x ^ (x >> shift)) * factor & MASK


def mix(x):
    """Scramble 32 bits so that every bit of the result depends on every bit of `x`."""
    x = stir(x, 16, 0x7FEB352D)
    x = stir(x, 15, 0x846CA68B)
    return stir(x, 16, 1)


def key(seed, stream, step):
    """32 bits for one step of one stream."""
    x = mix(seed & MASK) ^ (seed >> 32)
    x = mix(x ^ stream * 0x9E3779B9 & MASK)
    return mix(x ^ (step & MASK) ^ (step >> 32))


def layer_key(seed, stream, layer, step):
    """`key` for one of several layers that share a stream."""
    own = stream + 16 * layer
    return key(np.uint64(seed), np.uint64(own), np.uint64(step))


def at_time(key, t):
    """Key for time step `t` of a sequence: 64 bits. That of the first one is `key` itself, which rows use as it is.

    The positions know nothing of time, so that steps share no number, however many rows and units there are. With 32
    bits alone, two steps of a long fit would now and then meet in one key, and all their numbers with it.
    """
    x = mix(t)
    return key ^ x ^ (x << 32)


def bits(key, position):
    """32 random bits at a position, under a key: two rounds of `mix`, since one leaves neighbouring keys alike.

    The upper half of the key says in which order positions come, the lower one is mixed in, and with it what a
    position has above its own 32 bits. The rounds are written out, since every function that a kernel calls costs a
    tenth of a second to compile.
    """
    x = (position & MASK) * ((key >> 32) | 1) & MASK
    key = (key ^ (position >> 32)) & MASK
    for _ in range(2):
        x = stir(x, 16, 0x7FEB352D)
        x = stir(x, 15, 0x846CA68B)
        x = stir(x, 16, 1) ^ key
    return x


def normal(x):
    """Standard normal number for a uniform one in (-1, 1): sqrt(2) times the inverse error function (Giles, 2010)."""
    real = type(x)
    one = real(1)
    w = -log((one - x) * (one + x))
    centre = w - real(2.5)
    tail = sqrt(w) - real(3)
    p = real(2.81022636e-08)
    q = real(-0.000200214257)
    for in_centre, in_tail in _ERFINV:
        p = p * centre + real(in_centre)
        q = q * tail + real(in_tail)
    root_2 = real(1.4142135623730951)
    inverse = p if w < real(5) else q
    return root_2 * x * inverse
