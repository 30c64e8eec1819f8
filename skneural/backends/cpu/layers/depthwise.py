"""Kernels of depthwise convolutions, which look at every channel by itself. Sequences are images of one row.

They go from pixel to pixel as other convolutions do, with other products: the vectors of a pixel times those of the
weights. Nothing is transposed or laid out, since the way back multiplies by the same rows of weights.

Sizes: P pixels, B rows of the batch, C channels; ``ld`` is C padded.
"""

from skneural.backends.cpu.channels import ACROSS, LINES, add_gradient, multiply_run, multiply_window
from skneural.backends.cpu.compiler import DIGEST, helper
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at
from skneural.backends.cpu.layers.convolution import (
    NARROWEST,
    clear_ended_gradient,
    make_convolve,
    pixels_of_tap,
)
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import row_at, sum_rows
from skneural.backends.cpu.shares import next_piece
from skneural.backends.cpu.updates import limit_norms, use_gradient
from skneural.backends.cpu.windows import without_window
from skneural.backends.records import APPLY, COLLECT
from skneural.network.operations import OP

#: Taps that a thread claims at a time: those of one row of most windows, so that blocks of x and dy stay in the cache.
TAPS = 3

#: Bytes of the rows of an image, those of a window's height together, that a strip takes: they stay in the cache of the
#: second level while it goes from one to the next. There is little to compute for what is read.
STRIP_BYTES = 1 << 18

depthwise_at = details_view("depthwise")


def make_multiply_channels(dtype):
    """Function that multiplies windows channel by channel; its arguments are those of `windows.make_window_product`."""
    size = dtype().itemsize
    unit = 64 // size
    most = LINES
    half = LINES // 2
    across = ACROSS

    def multiply_channels(nothing, arguments):
        a, a_row, _, _, b, _, c, ldc, m_rows, _, width, _ = arguments[:12]
        begin, ld_begin, scale = arguments[12:15]
        along = arguments[15:21]
        n_y, a_y, b_y, n_x, a_x, b_x = along
        windows, a_next, c_next, begin_next, _ = arguments[21:]
        done = 0
        while n_y > 0 and n_x == across and abs(a_x) == a_next and windows - done >= most:
            way = 1 if a_x > 0 else -1  # else the columns of a window go the other way than the windows
            p = done if a_x > 0 else done + most - 1
            for m in range(m_rows):
                for n in range(0, width, unit):
                    a_tile = a + (p * a_next + m * a_row + n) * size
                    c_tile = c + (p * c_next + m * ldc + n) * size
                    start = begin + (p * begin_next + m * ld_begin + n) * size if begin != 0 else 0
                    goal = (c_tile, way * c_next, start, way * begin_next, scale)
                    multiply_run(dtype, most, 1, (a_tile, a_x, b + n * size, b_x, *goal, n_y, a_y, b_y))
            done += most
        for p in range(done, windows):
            start = begin + p * begin_next * size if begin != 0 else 0
            goal = c + p * c_next * size
            if n_y * n_x == 0:
                without_window(goal, ldc, m_rows, width, start, ld_begin, scale, size, dtype)
                continue
            m = 0
            while m < m_rows:
                rows = most if m_rows - m >= most else half if m_rows - m >= half else 1
                for n in range(0, width, unit):
                    a_tile = a + (p * a_next + m * a_row + n) * size
                    c_tile = goal + (m * ldc + n) * size
                    begin_tile = start + (m * ld_begin + n) * size if begin != 0 else 0
                    tile = (a_tile, a_row, b + n * size, c_tile, ldc, begin_tile, ld_begin, scale, *along)
                    if rows == most:
                        multiply_window(dtype, most, 1, tile)
                    elif rows == half:
                        multiply_window(dtype, half, 1, tile)
                    else:
                        multiply_window(dtype, 1, 1, tile)
                m += rows

    return helper(multiply_channels, dtype.__name__)


@layer_kernel("depthwise", "forward")
def make_depthwise_forward(dtype):
    """``y = activation(sum over taps of x * weight + bias)``."""
    digest = DIGEST
    size = dtype().itemsize
    convolve = make_convolve(dtype, True, True, "channels", make_multiply_channels(dtype), STRIP_BYTES)

    def depthwise_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = depthwise_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        weights = f.params + own.weight * size  # (taps, C)
        bias = f.params + own.bias * size if own.bias >= 0 else 0
        convolve(op, own, f, op.x, ld, op.y, ld, weights, ld, ld, 0, bias, 0, 0, first, last)

    return LAYER_KERNEL, depthwise_forward


@layer_kernel("depthwise", "backward")
def make_depthwise_backward(dtype):
    """``dx = (begin + sum over taps of dy * weight) * dx``, with the derivative of what came before if `scale`."""
    digest = DIGEST
    size = dtype().itemsize
    convolve = make_convolve(dtype, False, False, "channels", make_multiply_channels(dtype), STRIP_BYTES)

    def depthwise_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = depthwise_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        clear_ended_gradient(op, f, first, last, size)
        if op.dx >= 0:
            weights = f.params + own.weight * size  # (taps, C)
            begin = row_at(f, op.begin, ld, 0, first, size) if op.begin >= 0 else 0  # (P, B, C)
            convolve(op, own, f, op.dy, ld, op.dx, ld, weights, ld, ld, 0, begin, ld, op.scale, first, last)

    return LAYER_KERNEL, depthwise_backward


def make_add_block(dtype):
    """Function that adds what some pixels of a row have to say to the gradient of some taps.

    Tiles are as wide as they can be: what they read lies side by side then.
    """
    size = dtype().itemsize
    unit = 64 // size
    lines = LINES
    half = LINES // 2

    def add_block(op, own, f, k_first, k_end, last, tile, y, x, x_end):
        ld = op.ld_out
        pixel = f.chunk * ld
        for k in range(k_first, k_end):
            ky = k // own.kernel_x
            kx = k - ky * own.kernel_x
            y_first, y_end = pixels_of_tap(ky, own.size_y, own.out_y, own.stride_y, own.before_y, own.dilation_y)
            x_first, x_last = pixels_of_tap(kx, own.size_x, own.out_x, own.stride_x, own.before_x, own.dilation_x)
            x_first = max(x_first, x)
            count = min(x_last, x_end) - x_first
            if y < y_first or y >= y_end or count <= 0:
                continue
            row = y * own.stride_y - own.before_y + ky * own.dilation_y
            column = x_first * own.stride_x - own.before_x + kx * own.dilation_x
            source = f.work + (op.x * f.capacity + (row * own.size_x + column) * pixel) * size  # (P, B, C)
            gradient = f.work + (op.dy * f.capacity + (y * own.out_x + x_first) * pixel) * size  # (P, B, C)
            goal = tile + (k - k_first) * ld * size  # OUT (C,)
            along = (1, 0, 0, count, own.stride_x * pixel, pixel)
            n = 0
            while n < ld:
                a = source + n * size
                b = gradient + n * size
                c = goal + n * size
                if ld - n >= lines * unit:
                    add_gradient(dtype, 1, lines, (a, ld, b, ld, c, *along, last))
                    n += lines * unit
                elif ld - n >= half * unit:
                    add_gradient(dtype, 1, half, (a, ld, b, ld, c, *along, last))
                    n += half * unit
                else:
                    add_gradient(dtype, 1, 1, (a, ld, b, ld, c, *along, last))
                    n += unit

    return helper(add_block, dtype.__name__)


@layer_kernel("depthwise", "update")
def make_depthwise_update(dtype):
    """Gradients by the weights and ``sum(dy)`` over the batch, handed to the optimizer tap by tap."""
    digest = DIGEST
    size = dtype().itemsize
    collect = COLLECT
    apply = APPLY
    op_size = OP.itemsize
    taps_together = TAPS
    add_block = make_add_block(dtype)

    def depthwise_update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = depthwise_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        direct = f.phase == collect and f.done == 0  # the first chunk is summed where it is stored
        taps = own.kernel_y * own.kernel_x
        counter = (op_address - f.ops) // op_size
        strip = max(STRIP_BYTES // (own.kernel_y * f.chunk * ld * size), NARROWEST)
        if f.rank == f.n_threads - 1 and own.bias >= 0:  # before the weights, of which others then take more
            tile = f.gradient + own.bias * size if direct else f.scratch
            if f.phase != apply:
                dy = f.work + op.dy * f.capacity * size  # (P, B, C)
                sum_rows(f, tile, dy, ld, last * op.steps, dtype)
            use_gradient(f, frame_address, own.bias, ld, tile, op.slot + taps, 0, size, dtype)
        turn, k, end = next_piece(f, counter, taps, taps_together, 0, 0)
        while k < end:
            at = own.weight + k * ld
            tile = f.gradient + at * size if direct else f.scratch
            if f.phase != apply:
                clear(tile, (end - k) * ld * size)
                for x in range(0, own.out_x, strip):
                    for y in range(own.out_y):
                        add_block(op, own, f, k, end, last, tile, y, x, min(x + strip, own.out_x))
            for j in range(end - k):
                use_gradient(
                    f, frame_address, at + j * ld, ld, tile + j * ld * size, op.slot + k + j, 1, size, dtype
                )  # fmt: skip
            turn, k, end = next_piece(f, counter, taps, taps_together, turn, end)

    return LAYER_KERNEL, depthwise_update


@layer_kernel("depthwise", "constrain")
def make_depthwise_constrain(dtype):
    """Scale down the weights of every channel whose norm is too large."""
    digest = DIGEST
    size = dtype().itemsize

    def depthwise_constrain(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = depthwise_at(op_address)
        f = frame_at(frame_address)
        if f.rank == 0:
            limit_norms(f, own.weight, own.kernel_y * own.kernel_x, op.ld_out, op.ld_out, size, dtype)

    return LAYER_KERNEL, depthwise_constrain
