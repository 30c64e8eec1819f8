"""Kernels of repeated steps and pixels. Sequences are images of one column.

Sizes: P pixels, B rows of the batch, C channels; ``ld_in`` and ``ld_out`` are C padded.
"""

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at
from skneural.backends.cpu.pixels import RUN_BYTES, sum_of_window
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import clear_ended, copy_numbers, is_plain, length_of, own_steps, row_at, send_numbers

upsample_at = details_view("upsample")


@layer_kernel("upsample", "forward")
def make_upsample_forward(dtype):
    """Every pixel at all of its places."""
    digest = DIGEST
    size = dtype().itemsize

    def upsample_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = upsample_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_in
        width = own.width * own.size_x
        p_begin, p_end = own_steps(f, op.steps)
        for pixel in range(p_begin, p_end):
            oy = pixel // width
            ox = pixel - oy * width
            source = row_at(f, op.x, ld, oy // own.size_y * own.width + ox // own.size_x, first, size)  # (P, B, C)
            copy_numbers(row_at(f, op.y, ld, pixel, first, size), source, (last - first) * ld, dtype)  # OUT (P, B, C)
            clear_ended(op, f, pixel, first, last, size)

    return LAYER_KERNEL, upsample_forward


@layer_kernel("upsample", "backward")
def make_upsample_backward(dtype):
    """The sum of the gradients by all copies of a pixel."""
    digest = DIGEST
    size = dtype().itemsize
    run = RUN_BYTES // size

    def upsample_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = upsample_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_in
        if op.every != 0 and f.lengths != 0:  # nobody may read what is there now
            for r in range(first, last):
                for t in range(length_of(f, op.every, op.steps, r), op.steps):
                    clear(row_at(f, op.dy, ld, t, r, size), ld * size)
        width = own.width * own.size_x
        pitch_x = f.chunk * ld * size
        pitch_y = width * pitch_x
        numbers = (last - first) * ld
        p_begin, p_end = own_steps(f, op.steps_in)
        for pixel in range(p_begin, p_end):
            iy = pixel // own.width
            ix = pixel - iy * own.width
            size_y = min(own.size_y, op.steps // width - iy * own.size_y)  # sequences may end before
            corner = row_at(f, op.dy, ld, iy * own.size_y * width + ix * own.size_x, first, size)  # (P, B, C)
            dx = row_at(f, op.dx, ld, pixel, first, size)  # OUT (P, B, C)
            begin = row_at(f, op.begin, ld, pixel, first, size) if op.begin >= 0 else 0  # (P, B, C)
            for done in range(0, numbers, run):
                count = min(run, numbers - done)
                shift = done * size
                room = dx + shift if is_plain(op.begin, op.scale) else f.scratch
                sum_of_window(room, corner + shift, pitch_y, pitch_x, size_y, own.size_x, dtype(1), count, dtype)
                if room != dx + shift:
                    before = begin + shift if op.begin >= 0 else 0
                    send_numbers(dx + shift, before, op.scale, room, count, dtype)

    return LAYER_KERNEL, upsample_backward
