"""Kernels of convolutions. Sequences are images of one row.

All rows of a batch stand side by side in the buffer of a pixel, so the products of one pixel's window serve all of
them. Where a window reaches beyond the edge it is smaller; nothing is padded.

Sizes: P pixels, B rows of the batch, I channels in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, call_window, clear, details_view, frame_at, op_at
from skneural.backends.cpu.layout import PANELS_FROM, STRIP, STRIPS
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import activate, clear_ended, length_of, row_at, sum_rows
from skneural.backends.cpu.shares import next_piece
from skneural.backends.cpu.updates import lay_out, use_gradient
from skneural.backends.records import APPLY, COLLECT
from skneural.network.operations import OP

#: Rows, those of all windows counted, that one panel of the weights after the other is multiplied by.
TOGETHER = STRIPS * STRIP
#: Bytes of x and dy that all windows of a strip of weights are summed over, before the next ones are.
BLOCK_BYTES = 1 << 18

convolution_at = details_view("convolution")


@register_jitable(**HELPER)
def input_window(o, size, kernel, stride, before, dilation):
    """Of the window of output `o` along an axis: its first tap that is there, how many are, and where the first is."""
    origin = o * stride - before
    first = 0 if origin >= 0 else (dilation - 1 - origin) // dilation
    end = min(kernel, (size - origin + dilation - 1) // dilation) if origin < size else 0
    return first, max(end - first, 0), origin + first * dilation


@register_jitable(**HELPER)
def output_window(i, out, kernel, stride, before, dilation):
    """Of the outputs that see input `i` along an axis: the first tap, how many, taps from one to the next; the first
    output, and outputs from one to the next."""
    first = 0
    step = 1
    count = 0
    o_first = 0
    o_step = 0
    for k in range(kernel):
        position = i + before - k * dilation
        if position >= 0 and position % stride == 0 and position // stride < out:
            o = position // stride
            if count == 0:
                first = k
                o_first = o
            elif count == 1:
                step = k - first
                o_step = o - o_first
            count += 1
    return first, count, step, o_first, o_step


@register_jitable(**HELPER)
def outputs_of_tap(k, size, out, stride, before, dilation):
    """Outputs whose window has tap `k` within the input: the first, and the one after the last."""
    shift = before - k * dilation
    first = 0 if shift <= 0 else (shift + stride - 1) // stride
    end = min(out, (size - 1 + shift) // stride + 1) if size - 1 + shift >= 0 else 0
    return first, max(end, first)


@layer_kernel("convolution", "forward")
def make_convolution_forward(dtype):
    """``y = activation(sum over taps of x @ weight + bias)``."""
    digest = DIGEST
    size = dtype().itemsize

    def convolution_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = convolution_at(op_address)
        f = frame_at(frame_address)
        rows = last - first
        ld_in = op.ld_in
        ld = op.ld_out
        tap = op.n_in * ld  # numbers of the weights of one tap
        weight = f.params + own.weight * size
        ld_weight = ld
        if ld * size >= PANELS_FROM:
            weight = f.panels + own.weight * size
            ld_weight = -op.n_in
        bias = f.params + own.bias * size if own.bias >= 0 else 0
        x_pixel = f.chunk * ld_in
        y_pixel = f.chunk * ld
        most = max(TOGETHER // rows, 1)
        for oy in range(own.out_y):
            ky, n_y, iy = input_window(oy, own.size_y, own.kernel_y, own.stride_y, own.before_y, own.dilation_y)
            ox = 0
            while ox < own.out_x:
                kx, n_x, ix = input_window(ox, own.size_x, own.kernel_x, own.stride_x, own.before_x, own.dilation_x)
                windows = 1
                while windows < most and ox + windows < own.out_x:
                    k, n, _ = input_window(
                        ox + windows, own.size_x, own.kernel_x, own.stride_x, own.before_x, own.dilation_x
                    )
                    if k != kx or n != n_x:
                        break
                    windows += 1
                pixel = oy * own.out_x + ox
                a = row_at(f, op.x, ld_in, iy * own.size_x + ix, first, size)  # (P, B, I)
                b = weight + (ky * own.kernel_x + kx) * tap * size  # (taps, I, O)
                y = row_at(f, op.y, ld, pixel, first, size)  # OUT (P, B, O)
                a_y = own.dilation_y * own.size_x * x_pixel
                a_x = own.dilation_x * x_pixel
                matrix = (a, ld_in, 1, b, ld_weight, y, ld, rows, op.n_out, ld, op.n_in, bias, 0, 0)
                window = (n_y, a_y, own.kernel_x * tap, n_x, a_x, tap)
                call_window(f.window_product, (*matrix, *window, windows, own.stride_x * x_pixel, y_pixel, 0))
                for p in range(pixel, pixel + windows):
                    activate(op, f, p, first, last, size)
                    clear_ended(op, f, p, first, last, size)
                ox += windows

    return LAYER_KERNEL, convolution_forward


@layer_kernel("convolution", "backward")
def make_convolution_backward(dtype):
    """``dx = (begin + sum over taps of dy @ weight.T) * dx``, with the derivative of what came before if `scale`."""
    digest = DIGEST
    size = dtype().itemsize

    def convolution_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = convolution_at(op_address)
        f = frame_at(frame_address)
        rows = last - first
        ld_in = op.ld_in
        ld = op.ld_out
        if op.every != 0 and f.lengths != 0:  # nobody may read what is there now
            for r in range(first, last):
                for t in range(length_of(f, op.every, op.steps, r), op.steps):
                    clear(row_at(f, op.dy, ld, t, r, size), ld * size)  # OUT (P, B, O)
        if op.dx < 0:
            return
        tap = ld * ld_in
        transposed = f.transposed + own.transposed * size  # (taps, O, I)
        x_pixel = f.chunk * ld_in
        y_pixel = f.chunk * ld
        most = max(TOGETHER // rows, 1)
        for iy in range(own.size_y):
            ky, n_y, ky_step, oy, oy_step = output_window(
                iy, own.out_y, own.kernel_y, own.stride_y, own.before_y, own.dilation_y
            )
            ix = 0
            while ix < own.size_x:
                kx, n_x, kx_step, ox, ox_step = output_window(
                    ix, own.out_x, own.kernel_x, own.stride_x, own.before_x, own.dilation_x
                )
                windows = 1
                while own.stride_x == 1 and windows < most and ix + windows < own.size_x:
                    k, n, _, _, _ = output_window(
                        ix + windows, own.out_x, own.kernel_x, own.stride_x, own.before_x, own.dilation_x
                    )
                    if k != kx or n != n_x:
                        break
                    windows += 1
                pixel = iy * own.size_x + ix
                a = row_at(f, op.dy, ld, oy * own.out_x + ox, first, size)  # (P, B, O)
                b = transposed + (ky * own.kernel_x + kx) * tap * size
                dx = row_at(f, op.dx, ld_in, pixel, first, size)  # OUT (P, B, I)
                begin = row_at(f, op.begin, ld_in, pixel, first, size) if op.begin >= 0 else 0  # (P, B, I)
                a_y = oy_step * own.out_x * y_pixel
                a_x = ox_step * y_pixel
                matrix = (a, ld, 1, b, -ld, dx, ld_in, rows, op.n_in, ld_in, op.n_out, begin, ld_in, op.scale)
                window = (n_y, a_y, ky_step * own.kernel_x * tap, n_x, a_x, kx_step * tap)
                call_window(f.window_product, (*matrix, *window, windows, y_pixel, x_pixel, x_pixel))
                ix += windows

    return LAYER_KERNEL, convolution_backward


@register_jitable(**HELPER)
def _gradient(op, own, f, i, rows, last, tile, size):
    """Gradient of `rows` rows of the weights, from row `i`: of each tap ``x.T @ dy`` over all pixels."""
    ld_in = op.ld_in
    ld = op.ld_out
    x_pixel = f.chunk * ld_in
    y_pixel = f.chunk * ld
    pixel_bytes = last * (ld_in + ld) * size
    most_x = max(BLOCK_BYTES // pixel_bytes, 1)
    most_y = max(most_x // own.out_x, 1)
    done = 0
    while done < rows:
        k = (i + done) // op.n_in
        channel = i + done - k * op.n_in
        count = min(rows - done, op.n_in - channel)
        ky = k // own.kernel_x
        kx = k - ky * own.kernel_x
        c = tile + done * ld * size
        y_begin, y_end = outputs_of_tap(ky, own.size_y, own.out_y, own.stride_y, own.before_y, own.dilation_y)
        x_begin, x_end = outputs_of_tap(kx, own.size_x, own.out_x, own.stride_x, own.before_x, own.dilation_x)
        begin = 0
        for oy in range(y_begin, y_end, most_y):
            n_y = min(most_y, y_end - oy)
            iy = oy * own.stride_y - own.before_y + ky * own.dilation_y
            for ox in range(x_begin, x_end, most_x):
                n_x = min(most_x, x_end - ox)
                ix = ox * own.stride_x - own.before_x + kx * own.dilation_x
                a = f.work + (op.x * f.capacity + (iy * own.size_x + ix) * x_pixel + channel) * size  # (P, B, I)
                b = f.work + (op.dy * f.capacity + (oy * own.out_x + ox) * y_pixel) * size  # (P, B, O)
                matrix = (a, 1, ld_in, b, ld, c, ld, count, op.n_out, ld, last, begin, ld, 0)
                window = (n_y, own.stride_y * own.size_x * x_pixel, own.out_x * y_pixel)
                call_window(f.window_product, (*matrix, *window, n_x, own.stride_x * x_pixel, y_pixel, 1, 0, 0, 0))
                begin = c
        if begin == 0:
            clear(c, count * ld * size)
        done += count


@layer_kernel("convolution", "update")
def make_convolution_update(dtype):
    """Gradients by the weights and ``sum(dy)`` over the batch, handed to the optimizer strip by strip."""
    digest = DIGEST
    size = dtype().itemsize
    collect = COLLECT
    apply = APPLY
    most_rows = STRIPS * STRIP
    op_size = OP.itemsize

    def convolution_update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = convolution_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        dy = f.work + op.dy * f.capacity * size  # (P, B, O)
        direct = f.phase == collect and f.done == 0  # the first chunk is summed where it is stored
        n_taps = own.kernel_y * own.kernel_x
        n_patch = n_taps * op.n_in
        strips = (n_patch + f.row_block - 1) // f.row_block
        together = most_rows // f.row_block
        counter = (op_address - f.ops) // op_size
        turn, s, end = next_piece(f, counter, strips, together, 0, 0)
        while s < end:
            i = s * f.row_block
            rows = min((end - s) * f.row_block, n_patch - i)
            at = own.weight + i * ld
            tile = f.gradient + at * size if direct else f.scratch
            if f.phase != apply:
                _gradient(op, own, f, i, rows, last, tile, size)
            for b in range(end - s):
                begin = b * f.row_block * ld
                numbers = min(f.row_block, rows - b * f.row_block) * ld
                slot = op.slot + s + b
                use_gradient(f, frame_address, at + begin, numbers, tile + begin * size, slot, 1, size, dtype)
            done = 0
            while done < rows and f.phase != collect:
                k = (i + done) // op.n_in
                channel = i + done - k * op.n_in
                count = min(rows - done, op.n_in - channel)
                weights = own.weight + k * op.n_in * ld
                target = own.transposed + k * ld * op.ld_in if own.transposed >= 0 else -1
                lay_out(f, weights, target, op.n_in, ld, op.n_out, op.ld_in, channel, count, size, dtype)
                done += count
            turn, s, end = next_piece(f, counter, strips, together, turn, end)
        if f.rank == f.n_threads - 1 and own.bias >= 0:
            tile = f.gradient + own.bias * size if direct else f.scratch
            if f.phase != apply:
                sum_rows(f, tile, dy, ld, last * op.steps, dtype)
            use_gradient(f, frame_address, own.bias, ld, tile, op.slot + strips, 0, size, dtype)

    return LAYER_KERNEL, convolution_update
