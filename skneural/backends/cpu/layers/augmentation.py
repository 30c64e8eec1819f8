"""Kernels of augmentation.

Sizes: P pixels, T steps, B rows of the batch, C channels; ``ld_in`` and ``ld_out`` are C padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import length_of, row_at
from skneural.maths import augmentation, random
from skneural.maths.augmentation import drawn, light_of, part_that_is_cut, source_of, view_of, warped_time
from skneural.maths.dropout import noise, row_position
from skneural.maths.random import at_time, layer_key

for _function in (
    augmentation.sine,
    augmentation.source_place,
    augmentation.floor_of,
    augmentation.is_flipped,
    part_that_is_cut,
    view_of,
    light_of,
    source_of,
    warped_time,
):
    register_jitable(**HELPER)(_function)

#: What is drawn for an image: see `maths.augmentation`.
CUT_Y = augmentation.CUT_Y
CUT_X = augmentation.CUT_X

images_at = details_view("augment_images")
sequences_at = details_view("augment_sequences")


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
        for r in range(first, last):
            row = f.start + r
            x_at = row_at(f, op.x, ld, 0, r, size)  # (P, B, C)
            y_at = row_at(f, op.y, ld, 0, r, size)  # OUT (P, B, C)
            view = view_of(own, key, row, dtype)
            factor, shift = light_of(own, key, row, dtype)
            cut_top, cut_bottom = part_that_is_cut(height, own.cutout, key, row, CUT_Y)
            cut_left, cut_right = part_that_is_cut(width, own.cutout, key, row, CUT_X)
            for i in range(height):
                for j in range(width):
                    y = y_at + (i * width + j) * pitch
                    if cut_top <= i < cut_bottom and cut_left <= j < cut_right:
                        clear(y, op.n_out * size)
                        continue
                    pixels, shares = source_of(own, view, i, j, dtype)
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
