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


#: By which the cosine is had from the sine.
_RIGHT_ANGLE = math.pi / 2


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


def floor_of(x):
    """The largest integer that is not above a number. Old processors would call the C library for it."""
    whole = np.int64(x)
    return whole - 1 if x < type(x)(whole) else whole


def is_flipped(asked, key, row, number):
    """Whether an image is mirrored: every second one is, where it is asked for."""
    return asked != 0 and drawn(key, row, number) < 0


def part_that_is_cut(size, share, key, row, number):
    """The part of an axis that is cut out: the first of its pixels, and one after the last."""
    middle = 0.5 * (drawn(key, row, number) + 1.0) * size
    begin = floor_of(middle - 0.5 * share * size + 0.5)
    end = -floor_of(0.5 - middle - 0.5 * share * size)
    return begin, end if share > 0 else begin


def view_of(own, key, row, real):
    """How the image of a row is turned, zoomed, shifted and mirrored: what `source_of` asks for, of type `real`."""
    angle = own.rotation * drawn(key, row, ROTATION)
    scale = 1.0 / (1.0 + own.zoom * drawn(key, row, ZOOM))
    cosine = real(scale * (sine(angle + _RIGHT_ANGLE) if angle != 0.0 else 1.0))
    turned = real(scale * sine(angle))
    shift_y = real(own.height_shift * drawn(key, row, SHIFT_Y))
    shift_x = real(own.width_shift * drawn(key, row, SHIFT_X))
    flips_y = is_flipped(own.vertical_flip, key, row, FLIP_Y)
    flips_x = is_flipped(own.horizontal_flip, key, row, FLIP_X)
    return cosine, turned, shift_y, shift_x, flips_y, flips_x


def light_of(own, key, row, real):
    """What the numbers of the image of a row are multiplied by, and what is added."""
    factor = real(1.0 + own.contrast * drawn(key, row, CONTRAST))
    return factor, real(own.brightness * drawn(key, row, BRIGHTNESS))


def source_of(own, view, i, j, real):
    """Which four pixels of an image one of its new pixels is made of, -1 for 0, and the share of each."""
    cosine, turned, shift_y, shift_x, flips_y, flips_x = view
    height = own.height
    width = own.width
    one = real(1)
    middle_y = real(0.5 * (height - 1))
    middle_x = real(0.5 * (width - 1))
    from_middle_y = real(i) - middle_y
    from_middle_x = real(j) - middle_x
    source_y = middle_y + cosine * from_middle_y + turned * from_middle_x + shift_y
    source_x = middle_x + cosine * from_middle_x - turned * from_middle_y + shift_x
    source_y = real(height - 1) - source_y if flips_y else source_y
    source_x = real(width - 1) - source_x if flips_x else source_x
    above = floor_of(source_y)
    left = floor_of(source_x)
    below_share = source_y - real(above)
    right_share = source_x - real(left)
    y0 = source_place(above, height, own.beyond)
    y1 = source_place(above + 1, height, own.beyond)
    x0 = source_place(left, width, own.beyond)
    x1 = source_place(left + 1, width, own.beyond)
    pixels = (
        y0 * width + x0 if min(y0, x0) >= 0 else -1,
        y0 * width + x1 if min(y0, x1) >= 0 else -1,
        y1 * width + x0 if min(y1, x0) >= 0 else -1,
        y1 * width + x1 if min(y1, x1) >= 0 else -1,
    )
    shares = (
        (one - below_share) * (one - right_share),
        (one - below_share) * right_share,
        below_share * (one - right_share),
        below_share * right_share,
    )
    return pixels, shares


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
