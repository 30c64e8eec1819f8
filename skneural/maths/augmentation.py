"""Augmentation: where the pixels and time steps of a changed sample come from, and what happens to their numbers.

What changes a sample is drawn by the step and its place in the order of the epoch: see `random`. So it depends neither
on the pieces that a batch is computed in nor on the threads.
"""

import math

import numpy as np

from skneural.maths.random import MIXUP, bits, layer_key

#: What is drawn for a sample, by number: of images,
ROTATION, ZOOM, SHIFT_Y, SHIFT_X, FLIP_Y, FLIP_X, BRIGHTNESS, CONTRAST, CUT_Y, CUT_X = range(10)
#: and of sequences.
TIME_SHIFT, BEND_ONCE, BEND_TWICE = range(3)
#: Positions of random numbers that a sample has.
N_DRAWS = 16

#: Quantiles of the distribution of the shares of mixup.
N_SHARES = 1024

#: What stands beyond the edges of an image: the pixel at the edge, 0, the image in a mirror, or the image again.
FILLS = ("nearest", "constant", "reflect", "wrap")
_NEAREST, _CONSTANT, _REFLECT, _WRAP = range(len(FILLS))

#: Coefficients of the Taylor series of the sine: the first term that is left out is 4e-14 at a right angle.
_SINE = tuple((-1) ** n / math.factorial(2 * n + 1) for n in range(10))


def drawn(key, row, number):
    """The uniform number in (-1, 1) that a row has for one of the things that are drawn."""
    position = np.uint64(row * N_DRAWS + number)
    step = np.int64(bits(key, position) >> np.uint64(9))
    return (step + 0.5) * 2.0**-22 - 1.0


def mixed_share(seed, step, row, quantiles):
    """Share of a row in the sample that is mixed of it and the next row in the order of the epoch (mixup)."""
    key = layer_key(seed, MIXUP, 0, step)
    place = np.int64((drawn(key, row, 0) + 1.0) * (N_SHARES / 2))
    return quantiles[place]


def sine(angle):
    """Sine of an angle in radians, at most a whole turn: the same bits everywhere, without a library."""
    if angle > math.pi:
        angle -= 2 * math.pi
    if angle < -math.pi:
        angle += 2 * math.pi
    if angle > math.pi / 2:
        angle = math.pi - angle
    if angle < -math.pi / 2:
        angle = -math.pi - angle
    power = angle
    total = 0.0
    for coefficient in _SINE:
        total += coefficient * power
        power *= angle * angle
    return total


def source_place(place, size, fill):
    """Where the pixel at a place that may be beyond the edges of `size` pixels is taken from; -1: it is 0."""
    if 0 <= place < size:
        return place
    if fill == _NEAREST:
        return 0 if place < 0 else size - 1
    if fill == _WRAP:
        return place % size
    if fill == _CONSTANT or size == 1:
        return -1 if fill == _CONSTANT else 0
    period = 2 * (size - 1)
    folded = place % period
    return folded if folded < size else period - folded


def warped_time(t, last, shift, once, twice):
    """From which time a step of a warped sequence is taken, between 0 and `last`, the number of its last step.

    Time runs faster and slower by at most the shares `once` and `twice`, which bend it in one and in two arcs, so that
    beginning and end stay where they are; then all is shifted by a share of the length.
    """
    if last == 0:
        return 0.0
    share = t / last
    turn = math.pi * share
    bent = share + once * sine(turn) / math.pi + twice * sine(2 * turn) / (2 * math.pi)
    place = (bent + shift) * last
    return min(max(place, 0.0), float(last))
