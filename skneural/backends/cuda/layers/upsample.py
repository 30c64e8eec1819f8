"""Kernels of repeated steps and pixels. Sequences are images of one column.

Sizes: P pixels, B rows of the batch, C channels; ``ld_in`` and ``ld_out`` are C padded.
"""

from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.rows import get_dy, get_x, has_ended, make_each_number, put_y, send_x


@layer_kernel("upsample", "forward")
def make_upsample_forward(dtype):
    """Every pixel at all of its places."""

    def work(op, own, f, row, j):
        width = own.width * own.size_x
        pixel = row // f.chunk
        y = pixel // width
        x = pixel - y * width
        source = y // own.size_y * own.width + x // own.size_x
        value = get_x(op, f, source * f.chunk + row - pixel * f.chunk, j, dtype)
        put_y(op, f, row, j, dtype, dtype(0) if has_ended(op, f, row) else value)

    return make_each_number("upsample", work)


@layer_kernel("upsample", "backward", of_input=True)
def make_upsample_backward(dtype):
    """The sum of the gradients by all copies of a pixel. Sequences may end before the last copy."""

    def work(op, own, f, row, j):
        width = own.width * own.size_x
        pixel = row // f.chunk
        y = pixel // own.width
        x = pixel - y * own.width
        corner = y * own.size_y * width + x * own.size_x
        total = dtype(0)
        for ky in range(own.size_y):
            for kx in range(own.size_x):
                copy = corner + ky * width + kx
                target = copy * f.chunk + row - pixel * f.chunk
                if copy < op.steps and not has_ended(op, f, target):
                    total += get_dy(op, f, target, j, dtype)
        send_x(op, f, row, j, dtype, total)

    return make_each_number("upsample", work, of_input=True)
