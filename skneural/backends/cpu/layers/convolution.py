"""Kernels of convolutions, and of transposed ones. Sequences are images of one row.

A convolution leads from a larger side to a smaller one, a transposed one the other way: what one does forward the other
does back.

All rows of a batch stand side by side in the buffer of a pixel, so the products of one pixel's window serve all of
them. Where a window reaches beyond the edge it is smaller; nothing is padded.

Of channels in groups, each group has a product of its own. Where its channels do not fill whole panels, tiles would
write over what is beside them: the product goes to a room of its own first.

Sizes: P pixels, B rows of the batch, I channels in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER, helper
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, call_window, clear, details_view, frame_at, op_at
from skneural.backends.cpu.layout import GRADIENT_NUMBERS, PANEL_NUMBERS, STRIP, STRIPS, strip_pitch
from skneural.backends.cpu.product import PANEL, lay_out_panels, lay_out_strips
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import (
    activate,
    clear_ended,
    clear_padding,
    copy_numbers,
    length_of,
    own_steps,
    row_at,
    send_numbers,
    sum_rows,
)
from skneural.backends.cpu.shares import next_piece
from skneural.backends.cpu.updates import lay_out_groups, limit_norms, use_gradient
from skneural.backends.records import APPLY, COLLECT
from skneural.network.operations import OP

#: Rows, those of all windows counted, that one panel of the weights after the other is multiplied by.
TOGETHER = STRIPS * STRIP
#: Bytes of x and dy that the gradient of a tap is summed over, before that of the next one is: they stay in the cache
#: of the first level while strips and panels meet.
BLOCK_BYTES = 1 << 15
#: Rows of x and dy in such a block at the least, that the sums so far are worth to be loaded and stored; and bytes of a
#: row of dy from which they are laid out in panels first.
BLOCK_ROWS = 128
PANELS_OF_GRADIENT = 512

#: Pixels of a strip of an image at the least: those around it are read twice.
NARROWEST = 4

convolution_at = details_view("convolution")


@register_jitable(**HELPER)
def direct_window(o, size, out, kernel, stride, before, dilation):
    """The window of pixel `o` of the smaller side along an axis: what of it lies within the larger side.

    The first tap, how many there are, and taps from one to the next; the first pixel of the larger side, and pixels
    from one to the next.
    """
    origin = o * stride - before
    first = 0 if origin >= 0 else (dilation - 1 - origin) // dilation
    end = min(kernel, (size - origin + dilation - 1) // dilation) if origin < size else 0
    return first, max(end - first, 0), 1, origin + first * dilation, dilation


@register_jitable(**HELPER)
def reverse_window(i, size, out, kernel, stride, before, dilation):
    """The windows that see pixel `i` of the larger side: taps, and pixels of the smaller side, as above."""
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
def pixels_of_tap(k, size, out, stride, before, dilation):
    """Pixels of the smaller side whose window has tap `k` within the larger one: the first, and one after the last."""
    shift = before - k * dilation
    first = 0 if shift <= 0 else (shift + stride - 1) // stride
    end = min(out, (size - 1 + shift) // stride + 1) if size - 1 + shift >= 0 else 0
    return first, max(end, first)


@register_jitable(**HELPER)
def clear_ended_gradient(op, f, first, last, size):
    """After the end of a row nobody may read what the gradient by the output is there: windows reach beyond it."""
    ld = op.ld_out
    if op.every != 0 and f.lengths != 0:
        for r in range(first, last):
            for t in range(length_of(f, op.every, op.steps, r), op.steps):
                clear(row_at(f, op.dy, ld, t, r, size), ld * size)  # OUT (P, B, O)


@register_jitable(**HELPER)
def fills_panels(groups, columns, size):
    """Whether products write all columns that a group has, and no other."""
    return groups == 1 or columns * size % PANEL == 0


@register_jitable(**HELPER)
def bring_back(target, ld_target, rows, columns, padding, room, ld_room, begin, ld_begin, scale, size, dtype):
    """Send the product of a group on from its room; behind the columns of the last group there is padding."""
    for r in range(rows):
        goal = target + r * ld_target * size  # OUT (B, columns)
        start = begin + r * ld_begin * size if begin != 0 else 0
        send_numbers(goal, start, scale, room + r * ld_room * size, columns, dtype)
        clear_padding(goal, columns, columns + padding, size)


def make_convolve(dtype, is_direct, is_forward, name="windows", multiply=call_window, strip_bytes=0):
    """Function that sums, for every pixel of one side, the products of what a window shows of the other side.

    Directly, a pixel of the smaller side has a window on the larger one, as a convolution has it on the way forward;
    else a pixel of the larger side collects from all windows that see it. The products are those of `multiply`, which
    has a name among such functions.

    With `strip_bytes` it goes down strips of the image, as wide as so many bytes of the rows that a window shows.
    """
    size = dtype().itemsize
    window_of = direct_window if is_direct else reverse_window

    def convolve(
        op, own, f, source, ld, target, ld_target, weights, ld_weights, tap, group, begin, ld_begin, scale, first, last
    ):  # fmt: skip
        rows = last - first
        groups = own.groups
        columns = (op.n_out if is_forward else op.n_in) // groups
        depth = (op.n_in if is_forward else op.n_out) // groups
        at_once = fills_panels(groups, columns, size)
        ld_room = max(own.ld_channels, own.ld_filters)
        height = own.out_y if is_direct else own.size_y
        width = own.out_x if is_direct else own.size_x
        source_width = own.size_x if is_direct else own.out_x
        stride = own.stride_x if is_direct else 1
        has_neighbours = is_direct or own.stride_x == 1  # whose windows are alike
        of_source = f.chunk * ld
        of_target = f.chunk * ld_target
        of_begin = f.chunk * ld_begin
        most = max(TOGETHER // rows, 1) if at_once else 1
        strip = width
        if strip_bytes > 0:
            strip = max(strip_bytes // (own.kernel_y * of_source * size), NARROWEST)
            most = strip
        p_begin, p_end = own_steps(f, height * width)
        for x_begin in range(0, width, strip):
            for y in range(p_begin // width, (p_end + width - 1) // width):
                x_end = min(x_begin + strip, width, p_end - y * width)
                ky, n_y, ky_step, sy, sy_step = window_of(
                    y, own.size_y, own.out_y, own.kernel_y, own.stride_y, own.before_y, own.dilation_y
                )
                x = max(x_begin, p_begin - y * width)
                while x < x_end:
                    kx, n_x, kx_step, sx, sx_step = window_of(
                        x, own.size_x, own.out_x, own.kernel_x, own.stride_x, own.before_x, own.dilation_x
                    )
                    windows = 1
                    while has_neighbours and windows < most and x + windows < x_end:
                        k, n, _, _, _ = window_of(
                            x + windows, own.size_x, own.out_x, own.kernel_x, own.stride_x, own.before_x, own.dilation_x
                        )
                        if k != kx or n != n_x:
                            break
                        windows += 1
                    pixel = y * width + x
                    a = row_at(f, source, ld, sy * source_width + sx, first, size)  # (P, B, depth)
                    b = weights + (ky * own.kernel_x + kx) * tap * size  # (taps, depth, columns)
                    c = row_at(f, target, ld_target, pixel, first, size)  # OUT (P, B, columns)
                    start = begin + pixel * of_begin * size if begin != 0 else 0
                    m_rows = rows
                    a_row = ld
                    count = windows
                    is_one = strip_bytes == 0 and rows == f.chunk and (stride == 1 or rows == 1)
                    if is_one:  # windows side by side are rows of one matrix
                        m_rows = rows * windows
                        a_row = stride * ld
                        count = 1
                    along_y = (n_y, sy_step * source_width * of_source, ky_step * own.kernel_x * tap)
                    along_x = (n_x, sx_step * of_source, kx_step * tap)
                    others = (count, stride * of_source, of_target, of_begin)
                    for g in range(groups):
                        padding = ld_target - groups * columns if g == groups - 1 else 0
                        factors = (a + g * depth * size, a_row, 1, STRIP * a_row, b + g * group * size, ld_weights)
                        goal = c + g * columns * size
                        begins = (start + g * columns * size if start != 0 else 0, ld_begin, scale)
                        if at_once:
                            result = (goal, ld_target, m_rows, columns, columns + padding, depth)
                            multiply(f.window_product, (*factors, *result, *begins, *along_y, *along_x, *others, 0))
                        else:
                            room = row_at(f, own.room, ld_room, 0, first, size)  # (B, columns)
                            result = (room, ld_room, m_rows, columns, ld_room, depth)
                            multiply(f.window_product, (*factors, *result, 0, 0, 0, *along_y, *along_x, *others, 0))
                            columns_of_room = (columns, padding, room, ld_room)
                            bring_back(goal, ld_target, m_rows, *columns_of_room, *begins, size, dtype)
                    if is_forward:
                        for p in range(pixel, pixel + windows):
                            activate(op, f, p, first, last, size)
                            clear_ended(op, f, p, first, last, size)
                    x += windows

    return helper(convolve, dtype.__name__, is_direct, is_forward, name)


@layer_kernel("convolution", "forward", False)
@layer_kernel("convolution_groups", "forward", False)
@layer_kernel("convolution_transpose", "forward", True)
def make_convolution_forward(dtype, is_transposed):
    """``y = activation(sum over taps of x @ weight + bias)``."""
    digest = DIGEST
    size = dtype().itemsize
    convolve = make_convolve(dtype, not is_transposed, True)

    def convolution_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = convolution_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        channels = op.n_in // own.groups
        group = op.n_out // own.groups
        tap = channels * ld  # numbers of the weights of one tap
        weights = f.params + own.weight * size
        ld_weights = ld
        if f.window_panels != 0 and fills_panels(own.groups, group, size):
            weights = f.window_panels + own.weight * size
            ld_weights = -channels
            group *= channels  # whose panels come one group after the other
        bias = f.params + own.bias * size if own.bias >= 0 else 0
        convolve(op, own, f, op.x, op.ld_in, op.y, ld, weights, ld_weights, tap, group, bias, 0, 0, first, last)

    return LAYER_KERNEL, convolution_forward


@layer_kernel("convolution", "backward", False)
@layer_kernel("convolution_groups", "backward", False)
@layer_kernel("convolution_transpose", "backward", True)
def make_convolution_backward(dtype, is_transposed):
    """``dx = (begin + sum over taps of dy @ weight.T) * dx``, with the derivative of what came before if `scale`."""
    digest = DIGEST
    size = dtype().itemsize
    convolve = make_convolve(dtype, is_transposed, False)

    def convolution_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = convolution_at(op_address)
        f = frame_at(frame_address)
        ld_in = op.ld_in
        ld = op.ld_out
        clear_ended_gradient(op, f, first, last, size)
        if op.dx >= 0:
            weights = f.transposed + own.transposed * size  # (taps, groups, O, I)
            ld_weights = -own.ld_filters
            group = own.ld_filters * own.ld_channels
            tap = own.groups * group
            begin = row_at(f, op.begin, ld_in, 0, first, size) if op.begin >= 0 else 0  # (P, B, I)
            begins = (begin, ld_in, op.scale)
            convolve(op, own, f, op.dy, ld, op.dx, ld_in, weights, ld_weights, tap, group, *begins, first, last)

    return LAYER_KERNEL, convolution_backward


@register_jitable(**HELPER)
def lay_out_tap(op, own, f, k, first, count, size, dtype):
    """Lay out rows of the weights of one tap for products."""
    groups = own.groups
    channels = op.n_in // groups
    ld = op.ld_out
    weights = own.weight + k * channels * ld
    pitch = groups * own.ld_filters * own.ld_channels
    target = own.transposed + k * pitch if own.transposed >= 0 else -1
    of_groups = (groups, op.n_out // groups, own.ld_filters)
    lay_out_groups(
        f, weights, target, channels, ld, of_groups, own.ld_channels, first, count, True, size, dtype
    )  # fmt: skip


def make_add_gradient(dtype, is_transposed):
    """Function that adds what some pixels of the smaller side have to say to the gradient of rows of the weights.

    Of one group: of its columns in a tile whose rows have `ld_tile` numbers.
    """
    size = dtype().itemsize
    most_numbers = PANEL_NUMBERS
    wide_enough = PANELS_OF_GRADIENT

    def add_gradient(op, own, f, g, i, rows, last, tile, ld_tile, width, panels, y, y_end, x, x_end):
        ld_in = op.ld_in
        ld = op.ld_out
        channels = op.n_in // own.groups
        columns = op.n_out // own.groups
        strips = panels + most_numbers * size
        done = 0
        while done < rows:
            k = (i + done) // channels
            channel = i + done - k * channels
            count = min(rows - done, channels - channel)
            channel += g * channels
            ky = k // own.kernel_x
            kx = k - ky * own.kernel_x
            y_first, y_last = pixels_of_tap(ky, own.size_y, own.out_y, own.stride_y, own.before_y, own.dilation_y)
            x_first, x_last = pixels_of_tap(kx, own.size_x, own.out_x, own.stride_x, own.before_x, own.dilation_x)
            y_first = max(y_first, y)
            x_first = max(x_first, x)
            n_y = min(y_last, y_end) - y_first
            n_x = min(x_last, x_end) - x_first
            if n_y > 0 and n_x > 0:
                small = y_first * own.out_x + x_first
                large_y = y_first * own.stride_y - own.before_y + ky * own.dilation_y
                large = large_y * own.size_x + x_first * own.stride_x - own.before_x + kx * own.dilation_x
                x_pixel = small if is_transposed else large
                dy_pixel = large if is_transposed else small
                a = f.work + (op.x * f.capacity + x_pixel * f.chunk * ld_in + channel) * size  # (P, B, I)
                b = f.work + (op.dy * f.capacity + dy_pixel * f.chunk * ld + g * columns) * size  # (P, B, O)
                c = tile + done * ld_tile * size  # OUT
                a_y = (own.out_x if is_transposed else own.stride_y * own.size_x) * f.chunk * ld_in
                a_x = (1 if is_transposed else own.stride_x) * f.chunk * ld_in
                b_y = (own.stride_y * own.size_x if is_transposed else own.out_x) * f.chunk * ld
                b_x = (own.stride_x if is_transposed else 1) * f.chunk * ld
                depth = last
                ld_b = ld
                skipped = 0
                if own.stride_x == 1:  # pixels side by side are one matrix
                    depth = n_x * last
                    n_x = 1
                if panels != 0:
                    b = panels
                    ld_b = -(x_end - x) * last
                    skipped = (x_first - x) * last
                a_col = ld_in
                a_strip = STRIP
                pitch = strip_pitch(depth, size)
                n_strips = (count + STRIP - 1) // STRIP
                if panels != 0 and ld_in * size >= wide_enough and n_strips * pitch <= most_numbers:
                    lay_out_strips(a, ld_in, count, depth, strips, pitch, size, dtype)
                    a = strips
                    a_col = STRIP
                    a_strip = pitch
                matrix = (a, 1, a_col, a_strip, b, ld_b, c, ld_tile, count, columns, width, depth, c, ld_tile, 0)
                call_window(f.window_product, (*matrix, n_y, a_y, b_y, n_x, a_x, b_x, 1, 0, 0, 0, skipped))
            done += count

    return helper(add_gradient, dtype.__name__, is_transposed)


def make_sum_gradient(dtype, is_transposed):
    """Function that sums the gradient of rows of the weights of a group over all pixels, block by block.

    It is added to a tile whose rows have `ld_tile` numbers; `panels` is room for a block of dy, 0 where none is laid
    out.
    """
    size = dtype().itemsize
    add_gradient = make_add_gradient(dtype, is_transposed)

    def sum_gradient(op, own, f, g, i, rows, last, tile, ld_tile, width, panels, most_y, most_x):
        ld = op.ld_out
        dy = f.work + op.dy * f.capacity * size  # (P, B, O)
        for y in range(0, own.out_y, most_y):
            y_end = min(y + most_y, own.out_y)
            for x in range(0, own.out_x, most_x):
                x_end = min(x + most_x, own.out_x)
                depth = (x_end - x) * last
                if panels != 0:
                    block = dy + (y * own.out_x + x) * last * ld * size
                    lay_out_panels(block, ld, panels, depth, 0, depth, 0, ld, size, dtype)
                add_gradient(op, own, f, g, i, rows, last, tile, ld_tile, width, panels, y, y_end, x, x_end)

    return helper(sum_gradient, dtype.__name__, is_transposed)


@layer_kernel("convolution", "update", False)
@layer_kernel("convolution_groups", "update", False)
@layer_kernel("convolution_transpose", "update", True)
def make_convolution_update(dtype, is_transposed):
    """Gradients by the weights and ``sum(dy)`` over the batch, handed to the optimizer strip by strip."""
    digest = DIGEST
    size = dtype().itemsize
    collect = COLLECT
    apply = APPLY
    most_rows = STRIPS * STRIP
    op_size = OP.itemsize
    gradient_numbers = GRADIENT_NUMBERS
    most_numbers = PANEL_NUMBERS
    wide_enough = PANELS_OF_GRADIENT
    sum_gradient = make_sum_gradient(dtype, is_transposed)

    def convolution_update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = convolution_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        dy = f.work + op.dy * f.capacity * size  # (P, B, O)
        direct = f.phase == collect and f.done == 0  # the first chunk is summed where it is stored
        groups = own.groups
        channels = op.n_in // groups
        columns = op.n_out // groups
        at_once = fills_panels(groups, columns, size)
        ld_room = own.ld_filters
        n_taps = own.kernel_y * own.kernel_x
        n_patch = n_taps * channels
        strips = (n_patch + f.row_block - 1) // f.row_block
        together = max(most_rows, GRADIENT_NUMBERS // ld) // f.row_block
        counter = (op_address - f.ops) // op_size
        pixel_bytes = last * (op.ld_in + ld) * size
        most_x = max(BLOCK_BYTES // pixel_bytes, (BLOCK_ROWS + last - 1) // last)
        most_x = min(most_x, own.out_x)
        most_y = max(BLOCK_BYTES // (pixel_bytes * own.out_x), 1)
        in_panels = own.stride_x == 1 and not is_transposed and groups == 1
        in_panels = in_panels and ld * size >= wide_enough and most_x * last * ld <= most_numbers
        if in_panels:
            most_y = 1
        panels = f.scratch + max(most_rows * ld, gradient_numbers) * size
        if f.rank == f.n_threads - 1 and own.bias >= 0:  # before the weights, of which others then take more
            tile = f.gradient + own.bias * size if direct else f.scratch
            if f.phase != apply:
                sum_rows(f, tile, dy, ld, last * op.steps, dtype)
            use_gradient(f, frame_address, own.bias, ld, tile, op.slot + strips, 0, size, dtype)
        turn, s, end = next_piece(f, counter, strips, together, 0, 0)
        while s < end:
            i = s * f.row_block
            rows = min((end - s) * f.row_block, n_patch - i)
            at = own.weight + i * ld
            tile = f.gradient + at * size if direct else f.scratch
            if f.phase != apply:
                clear(tile, rows * ld * size)
                blocks = (panels if in_panels else 0, most_y, most_x)
                for g in range(groups):
                    of_group = tile + g * columns * size
                    if at_once:
                        width = columns if g < groups - 1 else ld - g * columns
                        sum_gradient(op, own, f, g, i, rows, last, of_group, ld, width, *blocks)
                    else:  # panels are not in use: their place is the group's room
                        clear(panels, rows * ld_room * size)
                        sum_gradient(op, own, f, g, i, rows, last, panels, ld_room, ld_room, *blocks)
                        for r in range(rows):
                            copy_numbers(of_group + r * ld * size, panels + r * ld_room * size, columns, dtype)
            for b in range(end - s):
                begin = b * f.row_block * ld
                numbers = min(f.row_block, rows - b * f.row_block) * ld
                slot = op.slot + s + b
                use_gradient(f, frame_address, at + begin, numbers, tile + begin * size, slot, 1, size, dtype)
            done = 0
            while done < rows and f.phase != collect:
                k = (i + done) // channels
                channel = i + done - k * channels
                count = min(rows - done, channels - channel)
                lay_out_tap(op, own, f, k, channel, count, size, dtype)
                done += count
            turn, s, end = next_piece(f, counter, strips, together, turn, end)

    return LAYER_KERNEL, convolution_update


@layer_kernel("convolution", "constrain")
@layer_kernel("convolution_groups", "constrain")
@layer_kernel("convolution_transpose", "constrain")
def make_convolution_constrain(dtype):
    """Scale down the weights of every filter whose norm is too large."""
    digest = DIGEST
    size = dtype().itemsize

    def convolution_constrain(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = convolution_at(op_address)
        f = frame_at(frame_address)
        ld = op.ld_out
        channels = op.n_in // own.groups
        if f.rank == 0:
            n_taps = own.kernel_y * own.kernel_x
            limit_norms(f, own.weight, n_taps * channels, ld, ld, size, dtype)
            for k in range(n_taps):
                lay_out_tap(op, own, f, k, 0, channels, size, dtype)

    return LAYER_KERNEL, convolution_constrain
