"""Kernels of augmentation.

Sizes: P pixels, T steps, B rows of the batch, C channels; ``ld_in`` and ``ld_out`` are C padded.
"""

import math

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import length_of, row_at
from skneural.maths import augmentation, random
from skneural.maths.augmentation import drawn, sine, source_place, warped_time
from skneural.maths.dropout import noise, row_position
from skneural.maths.random import at_time, layer_key

for _function in (sine, source_place, warped_time):
    register_jitable(**HELPER)(_function)

#: What is drawn for an image: see `maths.augmentation`.
ROTATION = augmentation.ROTATION
ZOOM = augmentation.ZOOM
SHIFT_Y = augmentation.SHIFT_Y
SHIFT_X = augmentation.SHIFT_X
FLIP_Y = augmentation.FLIP_Y
FLIP_X = augmentation.FLIP_X
BRIGHTNESS = augmentation.BRIGHTNESS
CONTRAST = augmentation.CONTRAST
CUT_Y = augmentation.CUT_Y
CUT_X = augmentation.CUT_X

images_at = details_view("augment_images")
sequences_at = details_view("augment_sequences")


@register_jitable(**HELPER)
def is_flipped(asked, key, row, number):
    """Whether an image is mirrored: every second one is, where it is asked for."""
    return asked != 0 and drawn(key, row, number) < 0


@register_jitable(**HELPER)
def floor_of(x, dtype):
    """The largest integer that is not above a number. Old processors would call the C library for it."""
    whole = np.int64(x)
    return whole - 1 if x < dtype(whole) else whole


@register_jitable(**HELPER)
def part_that_is_cut(size, share, key, row, number):
    """The part of an axis that is cut out: the first of its pixels, and one after the last."""
    middle = 0.5 * (drawn(key, row, number) + 1.0) * size
    begin = floor_of(middle - 0.5 * share * size + 0.5, np.float64)
    end = -floor_of(0.5 - middle - 0.5 * share * size, np.float64)
    return begin, end if share > 0 else begin


@register_jitable(**HELPER)
def blend(y_at, x_at, pitch, pixels, shares, factor, shift, count, dtype):
    """``y = factor * (shares of four pixels) + shift``, of all channels; a pixel of -1 is 0."""
    y = vector(y_at, dtype)
    for j in range(count):
        y[j] = dtype(0)
    for k in range(4):
        if pixels[k] >= 0 and shares[k] != 0:
            share = shares[k]
            x = vector(x_at + pixels[k] * pitch, dtype)
            for j in range(count):
                y[j] += share * x[j]
    for j in range(count):
        y[j] = factor * y[j] + shift


@layer_kernel("augment_images", "forward")
def make_augment_images_forward(dtype):
    """Turn, zoom, shift and mirror images, change their light, and cut a part out."""
    digest = DIGEST
    size = dtype().itemsize
    stream = random.AUGMENTATION
    right_angle = math.pi / 2

    def augment_images_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = images_at(op_address)
        f = frame_at(frame_address)
        key = layer_key(f.seed, stream, own.stream, f.step)
        ld = op.ld_in
        height = own.height
        width = own.width
        pitch = f.chunk * ld * size
        one = dtype(1)
        middle_y = dtype(0.5 * (height - 1))
        middle_x = dtype(0.5 * (width - 1))
        for r in range(first, last):
            row = f.start + r
            x_at = row_at(f, op.x, ld, 0, r, size)  # (P, B, C)
            y_at = row_at(f, op.y, ld, 0, r, size)  # OUT (P, B, C)
            angle = own.rotation * drawn(key, row, ROTATION)
            scale = 1.0 / (1.0 + own.zoom * drawn(key, row, ZOOM))
            cosine = dtype(scale * (sine(angle + right_angle) if angle != 0.0 else 1.0))
            turned = dtype(scale * sine(angle))
            shift_y = dtype(own.height_shift * drawn(key, row, SHIFT_Y))
            shift_x = dtype(own.width_shift * drawn(key, row, SHIFT_X))
            cut_top, cut_bottom = part_that_is_cut(height, own.cutout, key, row, CUT_Y)
            cut_left, cut_right = part_that_is_cut(width, own.cutout, key, row, CUT_X)
            flips_y = is_flipped(own.vertical_flip, key, row, FLIP_Y)
            flips_x = is_flipped(own.horizontal_flip, key, row, FLIP_X)
            factor = dtype(1.0 + own.contrast * drawn(key, row, CONTRAST))
            shift = dtype(own.brightness * drawn(key, row, BRIGHTNESS))
            for i in range(height):
                for j in range(width):
                    y = y_at + (i * width + j) * pitch
                    if cut_top <= i < cut_bottom and cut_left <= j < cut_right:
                        clear(y, op.n_out * size)
                        continue
                    from_middle_y = dtype(i) - middle_y
                    from_middle_x = dtype(j) - middle_x
                    source_y = middle_y + cosine * from_middle_y + turned * from_middle_x + shift_y
                    source_x = middle_x + cosine * from_middle_x - turned * from_middle_y + shift_x
                    source_y = dtype(height - 1) - source_y if flips_y else source_y
                    source_x = dtype(width - 1) - source_x if flips_x else source_x
                    above = floor_of(source_y, dtype)
                    left = floor_of(source_x, dtype)
                    below_share = source_y - dtype(above)
                    right_share = source_x - dtype(left)
                    y0 = source_place(above, height, own.fill)
                    y1 = source_place(above + 1, height, own.fill)
                    x0 = source_place(left, width, own.fill)
                    x1 = source_place(left + 1, width, own.fill)
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
                    blend(y, x_at, pitch, pixels, shares, factor, shift, op.n_out, dtype)

    return LAYER_KERNEL, augment_images_forward


@layer_kernel("augment_sequences", "forward")
def make_augment_sequences_forward(dtype):
    """Shift and warp sequences in time, change the scale of their channels, and add noise."""
    digest = DIGEST
    size = dtype().itemsize
    of_time = random.AUGMENTATION
    of_noise = random.NOISE
    of_channels = random.CHANNEL_SCALE
    time_shift = augmentation.TIME_SHIFT
    bend_once = augmentation.BEND_ONCE
    bend_twice = augmentation.BEND_TWICE

    def augment_sequences_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = sequences_at(op_address)
        f = frame_at(frame_address)
        key = layer_key(f.seed, of_time, own.stream, f.step)
        noise_key = layer_key(f.seed, of_noise, own.stream, f.step)
        channel_key = layer_key(f.seed, of_channels, own.stream, f.step)
        jitter = dtype(own.jitter)
        scaling = dtype(own.scaling)
        for r in range(first, last):
            row = f.start + r
            length = length_of(f, op.every, op.steps, r)
            shift = own.time_shift * drawn(key, row, time_shift)
            once = own.time_warp * drawn(key, row, bend_once)
            twice = own.time_warp * drawn(key, row, bend_twice)
            position = row_position(row, op.ld_out)
            for t in range(op.steps):
                y_at = row_at(f, op.y, op.ld_out, t, r, size)
                if t >= length:
                    clear(y_at, op.n_out * size)
                    continue
                place = warped_time(t, length - 1, shift, once, twice)
                before = np.int64(place)
                after = min(before + 1, length - 1)
                share = dtype(place - before)
                at_t = at_time(noise_key, np.uint64(t))
                x = vector(row_at(f, op.x, op.ld_in, before, r, size), dtype)  # (T, B, C)
                x_after = vector(row_at(f, op.x, op.ld_in, after, r, size), dtype)
                y = vector(y_at, dtype)  # OUT (T, B, C)
                for j in range(op.n_out):
                    here = position + np.uint64(j)
                    factor = dtype(1) + noise(channel_key, here, scaling)
                    between = x[j] + share * (x_after[j] - x[j])
                    y[j] = factor * between + noise(at_t, here, jitter)

    return LAYER_KERNEL, augment_sequences_forward
