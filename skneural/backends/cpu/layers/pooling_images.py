"""Kernels of pooling over images.

Sizes: P pixels, B rows of the batch, C channels; ``ld_in`` and ``ld_out`` are C padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at
from skneural.backends.cpu.pixels import (
    ADD,
    MULTIPLY,
    RUN_BYTES,
    WRITE,
    largest_of_window,
    send_share,
    send_won,
    sum_of_window,
)
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import own_steps, row_at, send_numbers

pool_at = details_view("pool_images_max")


@layer_kernel("pool_images_mean", "forward", "mean")
@layer_kernel("pool_images_max", "forward", "max")
def make_pool_images_forward(dtype, how):
    """Of every window the mean or the maximum."""
    digest = DIGEST
    size = dtype().itemsize
    is_max = how == "max"
    step = np.int32 if size == 4 else np.int64
    run = RUN_BYTES // size

    def pool_images_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = pool_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_in
        pitch_x = f.chunk * ld * size
        pitch_y = own.size_x * pitch_x
        share = dtype(1) / dtype(own.window_y * own.window_x)
        count = (last - first) * ld
        p_begin, p_end = own_steps(f, op.steps)
        for pixel in range(p_begin, p_end):
            oy = pixel // own.out_x
            ox = pixel - oy * own.out_x
            corner_pixel = oy * own.stride_y * own.size_x + ox * own.stride_x
            corner = row_at(f, op.x, ld, corner_pixel, first, size)  # (P, B, C)
            y = row_at(f, op.y, ld, pixel, first, size)  # OUT (P, B, C)
            winners = row_at(f, own.winners, ld, pixel, first, size) if own.winners >= 0 else 0  # OUT (P, B, C)
            for done in range(0, count, run):
                n = min(run, count - done)
                shift = done * size
                window = (corner + shift, pitch_y, pitch_x, own.window_y, own.window_x)
                if is_max:
                    kept = winners + shift if winners != 0 else 0
                    largest_of_window(y + shift, kept, *window, n, dtype, step)
                else:
                    sum_of_window(y + shift, *window, share, n, dtype)

    return LAYER_KERNEL, pool_images_forward


@register_jitable(**HELPER)
def _send_pixel(op, own, f, cell_y, cell_x, iy, ix, first, done, count, size, dtype, step):
    """Send the gradient by some numbers of one pixel on: what the windows that see it have for it, the last one first.

    Cells are as large as the way from one window to the next; in each a window begins, or would begin.
    """
    ld = op.ld_in
    shift = done * size
    pixel = iy * own.size_x + ix
    target = row_at(f, op.dx, ld, pixel, first, size) + shift  # OUT (P, B, C)
    seen_once = own.window_y <= own.stride_y and own.window_x <= own.stride_x
    at_once = op.begin < 0 and (op.scale == 0 or seen_once)  # else a sum needs room beside the derivative
    room = target if at_once else f.scratch
    is_seen = False
    way = MULTIPLY if at_once and op.scale != 0 else WRITE
    oy = cell_y
    for ky in range(iy - cell_y * own.stride_y, own.window_y, own.stride_y):
        ox = cell_x
        for kx in range(ix - cell_x * own.stride_x, own.window_x, own.stride_x):
            if 0 <= oy < own.out_y and 0 <= ox < own.out_x:
                window = oy * own.out_x + ox
                dy = row_at(f, op.dy, ld, window, first, size) + shift  # (P, B, C)
                if own.winners >= 0:
                    winners = row_at(f, own.winners, ld, window, first, size) + shift  # (P, B, C)
                    send_won(room, dy, winners, ky * own.window_x + kx, way, count, dtype, step)
                else:
                    share = dtype(1) / dtype(own.window_y * own.window_x)
                    send_share(room, dy, share, way, count, dtype)
                is_seen = True
                way = ADD
            ox -= 1
        oy -= 1
    if not is_seen:
        clear(room, count * size)
    if not at_once:
        begin = row_at(f, op.begin, ld, pixel, first, size) + shift if op.begin >= 0 else 0  # (P, B, C)
        send_numbers(target, begin, op.scale, room, count, dtype)


@layer_kernel("pool_images_mean", "backward")
@layer_kernel("pool_images_max", "backward")
def make_pool_images_backward(dtype):
    """The gradient to the pixels that the values of windows were made of: the winners, where these are kept."""
    digest = DIGEST
    size = dtype().itemsize
    step = np.int32 if size == 4 else np.int64
    run = RUN_BYTES // size

    def pool_images_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = pool_at(op_address)
        f = frame_at(frame_address)
        numbers = (last - first) * op.ld_in
        cells_y = (own.size_y + own.stride_y - 1) // own.stride_y
        cells_x = (own.size_x + own.stride_x - 1) // own.stride_x
        c_begin, c_end = own_steps(f, cells_y * cells_x)
        for cell in range(c_begin, c_end):
            cell_y = cell // cells_x
            cell_x = cell - cell_y * cells_x
            end_y = min((cell_y + 1) * own.stride_y, own.size_y)
            end_x = min((cell_x + 1) * own.stride_x, own.size_x)
            for done in range(0, numbers, run):
                count = min(run, numbers - done)
                for iy in range(cell_y * own.stride_y, end_y):
                    for ix in range(cell_x * own.stride_x, end_x):
                        _send_pixel(op, own, f, cell_y, cell_x, iy, ix, first, done, count, size, dtype, step)

    return LAYER_KERNEL, pool_images_backward
