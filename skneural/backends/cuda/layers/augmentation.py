"""Kernels of augmentation. A block has a sample at a time; its threads share the pixels, or the numbers of all steps.

What is drawn for a sample every thread draws by itself: a few numbers, for whose sake nobody has to wait. Places are
drawn in double precision, as on the CPU.

Sizes: P pixels, T steps, B rows of the batch, C channels; ``ld_in`` and ``ld_out`` are C padded.
"""

import numpy as np

from skneural.backends.cuda.compiler import formula
from skneural.backends.cuda.hub import cuda
from skneural.backends.cuda.intrinsics import divide
from skneural.backends.cuda.launches import MOST_BLOCKS, Launch, layer_launches
from skneural.backends.cuda.rows import get_x, length_of, make_each_number, make_kernel, put_y
from skneural.maths import augmentation, random
from skneural.maths.augmentation import drawn, light_of, part_that_is_cut, source_of, view_of, warped_time
from skneural.maths.dropout import noise, row_position
from skneural.maths.random import at_time, layer_key

for _function in (
    augmentation.sine,
    augmentation.source_place,
    augmentation.floor_of,
    augmentation.is_flipped,
    drawn,
    part_that_is_cut,
    view_of,
    light_of,
    source_of,
    warped_time,
):
    formula(_function)

#: What is drawn for an image: see `maths.augmentation`.
CUT_Y = augmentation.CUT_Y
CUT_X = augmentation.CUT_X


def sample_launches(net, i, make):
    """A block a sample in training, and nobody asks for the gradient by them; prediction reads them as they are."""
    if not net.training:
        return [net.over_numbers(i, make_copy)]
    return [Launch((make, net.dtype), i, (min(net.capacity, MOST_BLOCKS), 1, 1))]


@layer_launches("augment_images", "forward")
def images_launches(net, i):
    """Images."""
    return sample_launches(net, i, make_augment_images_forward)


@layer_launches("augment_sequences", "forward")
def sequences_launches(net, i):
    """Sequences."""
    return sample_launches(net, i, make_augment_sequences_forward)


def make_copy(dtype):
    """Samples as they are."""

    def work(op, own, f, row, j):
        put_y(op, f, row, j, dtype, get_x(op, f, row, j, dtype))

    return make_each_number("augment_images", work)


def make_augment_images_forward(dtype):
    """Turn, zoom, shift and mirror images, change their light, and cut a part out."""
    stream = random.AUGMENTATION

    def work(op, own, f, step):
        key = layer_key(f.seed, stream, own.stream, f.step)
        for r in range(cuda.blockIdx.x, f.chunk, cuda.gridDim.x):
            row = f.start + r
            view = view_of(own, key, row, dtype)
            factor, shift = light_of(own, key, row, dtype)
            cut_top, cut_bottom = part_that_is_cut(own.height, own.cutout, key, row, CUT_Y)
            cut_left, cut_right = part_that_is_cut(own.width, own.cutout, key, row, CUT_X)
            for pixel in range(cuda.threadIdx.x, own.height * own.width, cuda.blockDim.x):
                i = divide(pixel, own.width)
                j = pixel - i * own.width
                is_cut = cut_top <= i < cut_bottom and cut_left <= j < cut_right
                pixels, shares = source_of(own, view, i, j, dtype)
                for c in range(op.n_out):
                    value = dtype(0)
                    for k in range(4):
                        if pixels[k] >= 0 and shares[k] != 0:
                            value += shares[k] * get_x(op, f, pixels[k] * f.chunk + r, c, dtype)
                    value = dtype(0) if is_cut else factor * value + shift
                    put_y(op, f, pixel * f.chunk + r, c, dtype, value)

    return make_kernel("augment_images", work)


def make_augment_sequences_forward(dtype):
    """Shift and warp sequences in time, change the scale of their channels, and add noise."""
    of_time = random.AUGMENTATION
    of_noise = random.NOISE
    of_channels = random.CHANNEL_SCALE
    time_shift = augmentation.TIME_SHIFT
    bend_once = augmentation.BEND_ONCE
    bend_twice = augmentation.BEND_TWICE

    def work(op, own, f, step):
        key = layer_key(f.seed, of_time, own.stream, f.step)
        noise_key = layer_key(f.seed, of_noise, own.stream, f.step)
        channel_key = layer_key(f.seed, of_channels, own.stream, f.step)
        jitter = dtype(own.jitter)
        scaling = dtype(own.scaling)
        for r in range(cuda.blockIdx.x, f.chunk, cuda.gridDim.x):
            row = f.start + r
            length = length_of(f, op.every, op.steps, r)
            shift = own.time_shift * drawn(key, row, time_shift)
            once = own.time_warp * drawn(key, row, bend_once)
            twice = own.time_warp * drawn(key, row, bend_twice)
            position = row_position(row, op.ld_out)
            for e in range(cuda.threadIdx.x, op.steps * op.n_out, cuda.blockDim.x):
                t = divide(e, op.n_out)
                j = e - t * op.n_out
                value = dtype(0)
                if t < length:
                    place = warped_time(t, length - 1, shift, once, twice)
                    before = np.int64(place)
                    after = min(before + 1, length - 1)
                    x = get_x(op, f, before * f.chunk + r, j, dtype)
                    x_after = get_x(op, f, after * f.chunk + r, j, dtype)
                    here = position + np.uint64(j)
                    factor = dtype(1) + noise(channel_key, here, scaling)
                    between = x + dtype(place - before) * (x_after - x)
                    value = factor * between + noise(at_time(noise_key, np.uint64(t)), here, jitter)
                put_y(op, f, t * f.chunk + r, j, dtype, value)

    return make_kernel("augment_sequences", work)
