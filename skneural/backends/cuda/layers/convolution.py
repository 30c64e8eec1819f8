"""Kernels of convolutions, and of transposed ones: three products, of which one factor is windows.

A line of that factor is a pixel of a row of the batch, its depth the numbers of the pixel's window: tap after tap, and
of each the channels, with zeros up to whole vectors. No window is stored: every vector of one is looked for where it
stands, when it is wanted. Beyond the edge are zeros. Sequences are images of one row.

A convolution leads from a larger side to a smaller one, a transposed one the other way: what one does forward the other
does back.

Weights in groups have a product for each group, of its channels and filters alone, where both fill whole vectors; see
`convolution_groups` for others.

Sizes: P pixels, B rows of the batch, I channels in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np

from skneural.backends.cuda import weights
from skneural.backends.cuda.compiler import DIGEST, digest_of, formula
from skneural.backends.cuda.factors import Places
from skneural.backends.cuda.hub import register
from skneural.backends.cuda.intrinsics import divide
from skneural.backends.cuda.launches import Launch, layer_launches, over
from skneural.backends.cuda.layers.dense import make_dy_lines
from skneural.backends.cuda.product import group_of, make_product
from skneural.backends.cuda.rows import has_ended, make_each_number, parameter, put_dy, put_y, row_of, send_x
from skneural.maths.activations import ACTIVATIONS


def way_of(net, i, *, of_x):
    """Which windows on x an operation needs, or which on dy: see `make_windows`."""
    own = net.own(i)
    is_transposed = net.operation(i).kind == "convolution_transpose"
    if is_transposed != of_x:
        return "direct"
    return "reverse" if own.stride_y == own.stride_x == 1 else "strided"


def depth_of(net, i, channels):
    """Numbers of a window of so many channels, those of all groups."""
    own = net.own(i)
    vector = 16 // net.size
    return int(own.kernel_y * own.kernel_x) * -(-int(channels // own.groups) // vector) * vector


@layer_launches("convolution", "forward")
@layer_launches("convolution_transpose", "forward")
def forward_launches(net, i):
    """``y = activation(windows of x @ weight + bias)``: one product."""
    op = net.op(i)
    entry = ACTIVATIONS.get(net.operation(i).function)
    groups = int(net.own(i).groups)
    sizes = (int(op.steps) * net.capacity, op.n_out // groups, depth_of(net, i, op.n_in))
    options = (entry, way_of(net, i, of_x=True), groups > 1)
    return [net.product(i, make_convolution_forward, *options, sizes=sizes, products=groups)]


@layer_launches("convolution", "backward")
@layer_launches("convolution_transpose", "backward")
def backward_launches(net, i):
    """``dx = windows of dy @ weight.T``, the windows of the other direction: one product."""
    op = net.op(i)
    launches = []
    if op.every != 0:
        launches.append(net.over_numbers(i, make_clear_ended))
    if op.dx >= 0:
        groups = int(net.own(i).groups)
        sizes = (int(op.steps_in) * net.capacity, op.n_in // groups, depth_of(net, i, op.n_out))
        options = (way_of(net, i, of_x=False), groups > 1)
        launches.append(net.product(i, make_convolution_backward, *options, sizes=sizes, products=groups))
    return launches


@layer_launches("convolution", "gradient")
@layer_launches("convolution_transpose", "gradient")
def gradient_launches(net, i):
    """Gradients by weights and bias: one product, whose depth, all pixels of the batch, may be divided."""
    op = net.op(i)
    own = net.own(i)
    facts = {
        "rows": depth_of(net, i, op.n_in),
        "n_weights": int(own.kernel_y * own.kernel_x * (op.n_in // own.groups)),
        "depth": int(op.steps) * net.capacity,
        "groups": int(own.groups),
    }
    makers = (make_convolution_gradient, make_convolution_sum_parts)
    return weights.gradient_launches(net, i, *makers, way_of(net, i, of_x=True), bool(own.groups > 1), **facts)


@layer_launches("convolution", "constrain")
@layer_launches("convolution_transpose", "constrain")
def constrain_launches(net, i):
    """The limit on norms."""
    return [Launch((make_convolution_constrain, net.dtype), i, over(int(net.op(i).n_out)))]


# -- the factors -------------------------------------------------------------------------------------------------------


def make_channels(dtype):
    """A function: how many numbers of a window a tap has, of so many channels."""
    vector = 16 // dtype().itemsize

    def padded_channels(channels):
        return (channels + vector - 1) // vector * vector

    return register(padded_channels)


def make_share(grouped):
    """Two functions of channels or filters: how many a group has, and which is the first of this block's group."""
    if grouped:

        def share_of(own, count):
            return divide(count, own.groups)

        def first_of(own, count):
            return group_of(own) * divide(count, own.groups)

    else:

        def share_of(own, count):
            return count

        def first_of(own, count):
            return 0

    return register(share_of), register(first_of)


@register
def quotient(number, divisor):
    """``number / divisor``, negative if it is no whole number that is not negative."""
    whole = np.int32(divide(max(number, 0), divisor))
    return whole if whole * divisor == number else np.int32(-1)


def make_windows(dtype, way, of_x, grouped):
    """Windows of x, or of dy, as a factor whose lines are pixels, and whose depth are numbers of the window.

    Directly, a pixel of the smaller side has a window on the larger one, as a convolution has it on the way forward;
    else a pixel of the larger side has the pixels of the smaller one whose windows see it. Where the stride is 1 these
    are a window, too, which begins at its last tap; else taps fall between them.

    Pixels are counted in 32 bits: there are many of them to be kept in registers.
    """
    size = dtype().itemsize
    short = np.int32
    padded_channels = make_channels(dtype)
    share_of, first_of = make_share(grouped)
    is_direct = way == "direct"
    is_strided = way == "strided"

    @register
    def pitch_of(op, f):
        return f.chunk * (op.ld_in if of_x else op.ld_out) * size  # bytes from pixel to pixel

    @register
    def width_of(own):
        return own.size_x if is_direct else own.out_x

    def of_pixel(op, own, f, row):
        chunk = max(f.chunk, 1)
        width = own.out_x if is_direct else own.size_x
        pixel = divide(row, chunk)
        y = divide(pixel, width)
        x = pixel - y * width
        if is_direct:
            y = y * own.stride_y - own.before_y
            x = x * own.stride_x - own.before_x
        else:
            y = y + own.before_y
            x = x + own.before_x
        buffer = op.x if of_x else op.dy
        ld = op.ld_in if of_x else op.ld_out
        at = row_of(f, buffer, ld, row - pixel * chunk, size)  # (P, B, I) or (P, B, O)
        at += first_of(own, op.n_in if of_x else op.n_out) * size
        if not is_strided:
            at += (y * width_of(own) + x) * pitch_of(op, f)
        return at, short(y), short(x)

    def of_tap(op, own, f, k):
        channels = padded_channels(share_of(own, op.n_in if of_x else op.n_out))
        tap = divide(k, channels)
        ky = divide(tap, own.kernel_x)
        y = ky * own.dilation_y
        x = (tap - ky * own.kernel_x) * own.dilation_x
        if not is_direct:
            y = -y
            x = -x
        at = (k - tap * channels) * size
        if not is_strided:
            at += (y * width_of(own) + x) * pitch_of(op, f)
        return at, short(y), short(x)

    def address(op, own, f, of_pixel, of_tap):
        height = short(own.size_y if is_direct else own.out_y)
        width = short(width_of(own))
        at = of_pixel[0] + of_tap[0]
        y = short(short(of_pixel[1]) + short(of_tap[1]))
        x = short(short(of_pixel[2]) + short(of_tap[2]))
        if is_strided:
            y = quotient(y, own.stride_y)
            x = quotient(x, own.stride_x)
            at += (y * width_of(own) + x) * pitch_of(op, f)
        is_inside = y >= 0 and y < height and x >= 0 and x < width
        return at if is_inside else 0

    return Places(of_pixel, of_tap, address)


def make_weights(dtype, of_x, grouped):
    """The weights as the other factor: for windows of x a column for each filter, for those of dy for each channel."""
    size = dtype().itemsize
    padded_channels = make_channels(dtype)
    share_of, first_of = make_share(grouped)

    def of_column(op, own, f, n):
        number = n if of_x else n * op.ld_out  # (taps, I, O)
        number += first_of(own, op.n_out)
        return f.params + (own.weight + number) * size, 0, 0

    def of_window(op, own, f, k):
        channels = padded_channels(share_of(own, op.n_in if of_x else op.n_out))
        tap = divide(k, channels)
        channel = k - tap * channels
        n_in = share_of(own, op.n_in)
        first = tap * n_in * op.ld_out
        if not of_x:
            return (first + channel) * size, 0, 0
        return (first + channel * op.ld_out) * size if channel < n_in else -1, 0, 0

    def address(op, own, f, of_column, of_window):
        return of_column[0] + of_window[0] if of_window[0] >= 0 else 0

    return Places(of_column, of_window, address)


# -- kernels -----------------------------------------------------------------------------------------------------------


def make_put_output(dtype, activation):
    """A function that takes a number of the sums over windows and writes the output; and what it closes over.

    At training the derivative goes into dy.
    """
    active = activation is not None
    value_and_derivative = formula(activation.formula) if active else None
    digest = digest_of(activation.formula) if active else DIGEST

    def put_output(op, own, f, row, j, total):
        ended = has_ended(op, f, row)
        if own.bias >= 0:
            total += parameter(f, own.bias + j, dtype)
        if active:
            total, derivative = value_and_derivative(total)
            if f.training != 0 and op.dy >= 0:
                put_dy(op, f, row, j, dtype, dtype(0) if ended else derivative)
        put_y(op, f, row, j, dtype, dtype(0) if ended else total)

    return register(put_output), digest


def make_convolution_forward(dtype, tile, activation, way, grouped):
    """``y = activation(windows of x @ weight + bias)``; at training the derivative goes into dy."""
    put_output, digest = make_put_output(dtype, activation)
    padded_channels = make_channels(dtype)
    share_of, first_of = make_share(grouped)

    def sizes(op, own, f, step):
        n_taps = own.kernel_y * own.kernel_x
        return op.steps * f.chunk, share_of(own, op.n_out), n_taps * padded_channels(share_of(own, op.n_in))

    def finish(op, own, f, step, ready, part, m, n, total):
        put_output(op, own, f, m, first_of(own, op.n_out) + n, total)

    windows = make_windows(dtype, way, True, grouped)
    weight = make_weights(dtype, True, grouped)
    facts = {"grouped": grouped}
    return make_product(dtype, tile, "NN", "convolution", sizes, windows, weight, finish, digest, **facts)


def make_clear_ended(dtype):
    """Zero the gradient after the end of every row: nobody may read what is there."""

    def work(op, own, f, row, j):
        if has_ended(op, f, row):
            put_dy(op, f, row, j, dtype, dtype(0))

    return make_each_number("convolution", work)


def make_convolution_backward(dtype, tile, way, grouped):
    """``dx = (begin + windows of dy @ weight.T) * dx``, with the derivative of what came before if `scale`."""
    padded_channels = make_channels(dtype)
    share_of, first_of = make_share(grouped)

    def sizes(op, own, f, step):
        n_taps = own.kernel_y * own.kernel_x
        return op.steps_in * f.chunk, share_of(own, op.n_in), n_taps * padded_channels(share_of(own, op.n_out))

    def finish(op, own, f, step, ready, part, m, n, total):
        send_x(op, f, m, first_of(own, op.n_in) + n, dtype, total)

    windows = make_windows(dtype, way, False, grouped)
    weight = make_weights(dtype, False, grouped)
    facts = {"grouped": grouped}
    return make_product(dtype, tile, "NT", "convolution", sizes, windows, weight, finish, DIGEST, **facts)


@register
def rows_of_weights(op, own):
    """Rows of the weights."""
    return own.kernel_y * own.kernel_x * divide(op.n_in, own.groups)


def make_dy_lines_of_group(dtype, first_of):
    """A function for products: the address of a row of dy, of the filters of this block's group."""
    size = dtype().itemsize
    line = register(make_dy_lines(dtype))

    def line_of_group(op, own, f, step, number):
        return line(op, own, f, step, number) + first_of(own, op.n_out) * size

    return line_of_group


def make_convolution_gradient(dtype, tile, with_bias, way, grouped):
    """Gradients ``windows of x.T @ dy`` and ``sum(dy)`` over all pixels of the batch, as that of a dense layer."""
    padded_channels = make_channels(dtype)
    share_of, first_of = make_share(grouped)
    put_gradient = weights.make_put_gradient(dtype, rows_of_weights)

    def sizes(op, own, f, step):
        rows = own.kernel_y * own.kernel_x * padded_channels(share_of(own, op.n_in))
        return rows + with_bias, share_of(own, op.n_out), op.steps * f.chunk

    def finish(op, own, f, step, ready, part, m, n, total):
        n_in = share_of(own, op.n_in)
        channels = padded_channels(n_in)
        tap = divide(m, channels)
        channel = m - tap * channels
        if channel < n_in:
            put_gradient(op, own, f, part, tap * n_in + channel, first_of(own, op.n_out) + n, total)

    windows = make_windows(dtype, way, True, grouped).transposed
    dy = make_dy_lines_of_group(dtype, first_of)
    facts = {"split": True, "ones": with_bias, "grouped": grouped}
    return make_product(dtype, tile, "TN", "convolution", sizes, windows, dy, finish, DIGEST, **facts)


def make_convolution_sum_parts(dtype):
    """Add up the parts of a gradient whose depth was divided, in order."""
    return weights.make_sum_of_parts(dtype, "convolution", rows_of_weights)


def make_convolution_constrain(dtype):
    """Scale down the weights of every filter whose norm is too large."""
    return weights.make_limit_norms(dtype, "convolution", rows_of_weights)
