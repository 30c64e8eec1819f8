"""Kernels of convolutions with weights in groups, and of depthwise ones, whose groups are single channels.

Groups whose channels and filters fill whole vectors are products, as other convolutions are. Of others each thread has
a number: of the output, of the gradient by the input, or of a part of that by the weights. There is little to compute
for what is read, and threads side by side read what stands side by side.

Sizes: P pixels, B rows of the batch, I channels in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cuda import weights
from skneural.backends.cuda.hub import cuda, register
from skneural.backends.cuda.intrinsics import divide
from skneural.backends.cuda.launches import Launch, layer_launches, over
from skneural.backends.cuda.layers import convolution
from skneural.backends.cuda.layers.convolution import make_clear_ended, make_put_output, quotient
from skneural.backends.cuda.product import LEAST_DEPTH, MOST_PARTS
from skneural.backends.cuda.rows import get_dy, get_x, make_each_number, make_kernel, parameter, send_x
from skneural.maths.activations import ACTIVATIONS

#: Threads that a multiprocessor has work for: so many sums, or parts of sums, of a gradient there are if possible.
THREADS_OF_A_PROCESSOR = 2048


def is_product(net, i):
    """Whether the groups of an operation are products: those of channels or filters that fill no vectors are not."""
    op = net.op(i)
    own = net.own(i)
    vector = 16 // net.size
    is_whole = op.n_in // own.groups % vector == 0 and op.n_out // own.groups % vector == 0
    return net.operation(i).kind == "convolution_groups" and bool(is_whole)


def is_depthwise(net, i):
    """Whether every channel is a group."""
    return net.operation(i).kind == "depthwise"


@layer_launches("convolution_groups", "forward")
@layer_launches("depthwise", "forward")
def forward_launches(net, i):
    """``y = activation(windows of x @ weight + bias)``."""
    if is_product(net, i):
        return convolution.forward_launches(net, i)
    entry = ACTIVATIONS.get(net.operation(i).function)
    return [net.over_numbers(i, make_groups_forward, entry, is_depthwise(net, i))]


@layer_launches("convolution_groups", "backward")
@layer_launches("depthwise", "backward")
def backward_launches(net, i):
    """``dx = windows of dy @ weight.T``."""
    if is_product(net, i):
        return convolution.backward_launches(net, i)
    op = net.op(i)
    launches = []
    if op.every != 0:
        launches.append(net.over_numbers(i, make_clear_ended))
    if op.dx >= 0:
        launches.append(net.over_numbers(i, make_groups_backward, is_depthwise(net, i), of_input=True))
    return launches


@layer_launches("convolution_groups", "gradient")
@layer_launches("depthwise", "gradient")
def gradient_launches(net, i):
    """Gradients by weights and bias: sums over all pixels of the batch, in parts."""
    if is_product(net, i):
        return convolution.gradient_launches(net, i)
    op = net.op(i)
    own = net.own(i)
    alone = is_depthwise(net, i)
    rows = int(own.kernel_y * own.kernel_x) * (1 if alone else int(op.n_in // own.groups)) + int(own.bias >= 0)
    numbers = rows * int(op.ld_out)
    wanted = net.n_processors * THREADS_OF_A_PROCESSOR // numbers
    parts = max(1, min(wanted, int(op.steps) * net.capacity // LEAST_DEPTH, MOST_PARTS))
    op.n_slots = parts
    op.slot = net.scratch(parts * numbers if parts > 1 else 0)
    launches = [Launch((make_groups_gradient, net.dtype, alone), i, over(parts * rows * int(op.n_out)))]
    if parts > 1:
        launches.append(Launch((make_groups_sum_parts, net.dtype, alone), i, over(numbers)))
    return launches


@layer_launches("convolution_groups", "constrain")
@layer_launches("depthwise", "constrain")
def constrain_launches(net, i):
    """The limit on norms."""
    return [Launch((make_groups_constrain, net.dtype, is_depthwise(net, i)), i, over(int(net.op(i).n_out)))]


# -- kernels -----------------------------------------------------------------------------------------------------------


def make_groups(alone):
    """Functions of an operation: channels of a group, filters of one, and rows of the weights.

    Where every channel is `alone` the operation does not say how many groups there are.
    """
    if alone:

        def channels_of(op, own):
            return 1

        def filters_of(op, own):
            return 1

    else:

        def channels_of(op, own):
            return divide(op.n_in, own.groups)

        def filters_of(op, own):
            return divide(op.n_out, own.groups)

    register(channels_of)
    register(filters_of)

    def rows_of_weights(op, own):
        return own.kernel_y * own.kernel_x * channels_of(op, own)

    return channels_of, filters_of, register(rows_of_weights)


def make_groups_forward(dtype, activation, alone):
    """``y = activation(sum over taps and channels of x * weight + bias)``; the derivative goes into dy."""
    channels_of, filters_of, _ = make_groups(alone)
    put_output, digest = make_put_output(dtype, activation)

    def work(op, own, f, row, j):
        pixel = divide(row, f.chunk)
        r = row - pixel * f.chunk
        oy = divide(pixel, own.out_x)
        top = oy * own.stride_y - own.before_y
        left = (pixel - oy * own.out_x) * own.stride_x - own.before_x
        channels = channels_of(op, own)
        first = divide(j, filters_of(op, own)) * channels
        total = dtype(0)
        for ky in range(own.kernel_y):
            y = top + ky * own.dilation_y
            if y < 0 or y >= own.size_y:
                continue
            for kx in range(own.kernel_x):
                x = left + kx * own.dilation_x
                if x < 0 or x >= own.size_x:
                    continue
                there = (y * own.size_x + x) * f.chunk + r
                weight = own.weight + (ky * own.kernel_x + kx) * channels * op.ld_out + j  # (taps, I, O)
                for c in range(channels):
                    total += get_x(op, f, there, first + c, dtype) * parameter(f, weight + c * op.ld_out, dtype)
        put_output(op, own, f, row, j, total)

    return make_each_number("convolution_groups", work, digest=digest)


def make_groups_backward(dtype, alone):
    """``dx = (begin + sum over taps and filters of dy * weight) * dx``, as that of other convolutions."""
    channels_of, filters_of, _ = make_groups(alone)

    def work(op, own, f, row, j):
        pixel = divide(row, f.chunk)
        r = row - pixel * f.chunk
        iy = divide(pixel, own.size_x)
        bottom = iy + own.before_y
        right = pixel - iy * own.size_x + own.before_x
        channels = channels_of(op, own)
        filters = filters_of(op, own)
        group = divide(j, channels)
        first = group * filters
        channel = j - group * channels
        total = dtype(0)
        for ky in range(own.kernel_y):
            oy = quotient(bottom - ky * own.dilation_y, own.stride_y)
            if oy < 0 or oy >= own.out_y:
                continue
            for kx in range(own.kernel_x):
                ox = quotient(right - kx * own.dilation_x, own.stride_x)
                if ox < 0 or ox >= own.out_x:
                    continue
                there = (oy * own.out_x + ox) * f.chunk + r
                tap = (ky * own.kernel_x + kx) * channels + channel
                weight = own.weight + tap * op.ld_out + first  # (taps, I, O)
                for n in range(filters):
                    total += get_dy(op, f, there, first + n, dtype) * parameter(f, weight + n, dtype)
        send_x(op, f, row, j, dtype, total)

    return make_each_number("convolution_groups", work, of_input=True)


def make_groups_gradient(dtype, alone):
    """Gradients by weights and bias: a thread sums a number of them, or a part of it, pixel after pixel."""
    channels_of, filters_of, rows_of_weights = make_groups(alone)
    put_gradient = weights.make_put_gradient(dtype, rows_of_weights)

    def sum_rows(op, own, f, ky, kx, channel, j, begin, end):
        """Rows of the batch are counted pixel after pixel; without a channel it is the sum of dy."""
        chunk = max(f.chunk, 1)
        total = dtype(0)
        while begin < end:
            pixel = divide(begin, chunk)
            stop = min((pixel + 1) * chunk, end)
            oy = divide(pixel, own.out_x)
            y = oy * own.stride_y - own.before_y + ky * own.dilation_y
            x = (pixel - oy * own.out_x) * own.stride_x - own.before_x + kx * own.dilation_x
            if channel < 0:
                for row in range(begin, stop):
                    total += get_dy(op, f, row, j, dtype)
            elif y >= 0 and y < own.size_y and x >= 0 and x < own.size_x:
                there = (y * own.size_x + x - pixel) * chunk
                for row in range(begin, stop):
                    total += get_x(op, f, there + row, channel, dtype) * get_dy(op, f, row, j, dtype)
            begin = stop
        return total

    register(sum_rows)

    def work(op, own, f, step):
        channels = channels_of(op, own)
        n_weights = rows_of_weights(op, own)
        count = (n_weights + (own.bias >= 0)) * op.n_out
        n_rows = op.steps * f.chunk
        each = divide(n_rows + op.n_slots - 1, op.n_slots)
        for e in range(cuda.grid(1), op.n_slots * count, cuda.gridsize(1)):
            part = divide(e, count)
            k = divide(e - part * count, op.n_out)
            j = e - part * count - k * op.n_out
            tap = divide(k, channels)
            ky = divide(tap, own.kernel_x)
            channel = divide(j, filters_of(op, own)) * channels + k - tap * channels
            begin = part * each
            end = min(begin + each, n_rows)
            is_weight = k < n_weights
            total = sum_rows(op, own, f, ky, tap - ky * own.kernel_x, channel if is_weight else -1, j, begin, end)
            put_gradient(op, own, f, part, k, j, total)

    return make_kernel("convolution_groups", work)


def make_groups_sum_parts(dtype, alone):
    """Add up the parts of a gradient, in order."""
    return weights.make_sum_of_parts(dtype, "convolution_groups", make_groups(alone)[2])


def make_groups_constrain(dtype, alone):
    """Scale down the weights of every filter whose norm is too large."""
    return weights.make_limit_norms(dtype, "convolution_groups", make_groups(alone)[2])
