"""Kernels of pooling over images.

Sizes: P pixels, B rows of the batch, C channels; ``ld_in`` and ``ld_out`` are C padded.
"""

from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.layers.pooling import step_type
from skneural.backends.cuda.rows import get, get_dy, get_x, make_each_number, put, put_y, send_x
from skneural.maths.pooling import is_new_maximum


@layer_kernel("pool_images_mean", "forward", "mean")
@layer_kernel("pool_images_max", "forward", "max")
def make_pool_images_forward(dtype, how):
    """Of every window the mean or the maximum. A thread has one number of a window, and goes through its pixels.

    The winner is kept by its number in the window, row after row.
    """
    is_max = how == "max"
    step = step_type(dtype)

    def work(op, own, f, row, j):
        pixel = row // f.chunk
        r = row - pixel * f.chunk
        oy = pixel // own.out_x
        ox = pixel - oy * own.out_x
        corner = oy * own.stride_y * own.size_x + ox * own.stride_x
        value = get_x(op, f, corner * f.chunk + r, j, dtype)
        winner = 0
        for k in range(1, own.window_y * own.window_x):
            ky = k // own.window_x
            kx = k - ky * own.window_x
            number = get_x(op, f, (corner + ky * own.size_x + kx) * f.chunk + r, j, dtype)
            if not is_max:
                value += number
            elif is_new_maximum(number, value):
                value = number
                winner = k
        if not is_max:
            value *= dtype(1) / dtype(own.window_y * own.window_x)
        elif own.winners >= 0:
            put(f, own.winners, op.ld_out, row, j, step, winner)
        put_y(op, f, row, j, dtype, value)

    return make_each_number("pool_images_max", work)


@layer_kernel("pool_images_mean", "backward", "mean", of_input=True)
@layer_kernel("pool_images_max", "backward", "max", of_input=True)
def make_pool_images_backward(dtype, how):
    """What the windows that see a pixel have for it, the last one first: all a share, or those that it has won."""
    is_max = how == "max"
    step = step_type(dtype)

    def work(op, own, f, row, j):
        pixel = row // f.chunk
        r = row - pixel * f.chunk
        iy = pixel // own.size_x
        ix = pixel - iy * own.size_x
        total = dtype(0)
        oy = iy // own.stride_y
        for ky in range(iy - oy * own.stride_y, own.window_y, own.stride_y):
            ox = ix // own.stride_x
            for kx in range(ix - ox * own.stride_x, own.window_x, own.stride_x):
                if oy >= 0 and oy < own.out_y and ox >= 0 and ox < own.out_x:
                    window = (oy * own.out_x + ox) * f.chunk + r
                    if not is_max or get(f, own.winners, op.ld_out, window, j, step) == ky * own.window_x + kx:
                        total += get_dy(op, f, window, j, dtype)
                ox -= 1
            oy -= 1
        if not is_max:
            total *= dtype(1) / dtype(own.window_y * own.window_x)
        send_x(op, f, row, j, dtype, total)

    return make_each_number("pool_images_max", work, of_input=True)
