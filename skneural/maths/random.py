"""Counter-based random numbers: a hash of (seed, stream, step, position), so that any of them can be had at any time.

The same numbers come out whatever the number of threads, the order of work or the backend. The functions take Python
integers, NumPy arrays of uint64 or compiled integers: all arithmetic is modulo 2**32, held in 64 bits.

The mixing function is Chris Wellons' ``lowbias32`` (bias 0.17; https://nullprogram.com/blog/2018/07/31/).
"""

MASK = 0xFFFFFFFF

#: Streams, so that two uses of one seed never share a number.
WEIGHTS, ORDER, DROPOUT = 1, 2, 3


def mix(x):
    """Scramble 32 bits so that every bit of the result depends on every bit of `x`."""
    x = (x ^ (x >> 16)) * 0x7FEB352D & MASK
    x = (x ^ (x >> 15)) * 0x846CA68B & MASK
    return x ^ (x >> 16)


def key(seed, stream, step):
    """32 bits for one step of one stream."""
    return mix(mix(mix(seed & MASK) ^ (seed >> 32) ^ stream * 0x9E3779B9 & MASK) ^ (step & MASK) ^ (step >> 32))


def bits(key, position):
    """32 random bits at a position of a step: two rounds of `mix`, since one leaves neighbouring keys alike.

    The rounds are written out, since every function that a kernel calls costs a tenth of a second to compile.
    """
    x = (position ^ (position >> 32)) & MASK
    for _ in range(2):
        x = (x ^ (x >> 16)) * 0x7FEB352D & MASK
        x = (x ^ (x >> 15)) * 0x846CA68B & MASK
        x = (x ^ (x >> 16)) ^ key
    return x
