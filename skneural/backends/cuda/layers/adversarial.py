"""Kernels of generative adversarial networks.

Sizes: T pixels, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

from skneural.backends.cuda.hub import cuda
from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import Launch, layer_kernel, layer_launches
from skneural.backends.cuda.layers.loss import THREADS
from skneural.backends.cuda.rows import (
    get,
    get_dy,
    get_x,
    make_each_number,
    make_kernel,
    position_of,
    put_y,
    send,
    send_x,
)
from skneural.maths import random
from skneural.maths.dropout import noise
from skneural.maths.random import layer_key


@layer_kernel("latent", "forward")
def make_latent_forward(dtype):
    """Normal numbers, and behind them the labels that stand behind the real row."""
    stream = random.LATENT
    one = dtype(1)

    def work(op, own, f, row, j):
        n_drawn = op.n_out - own.n_labels
        if j < n_drawn:
            key = layer_key(f.seed, stream, own.stream, f.step)
            number = noise(key, position_of(op, f, row, j), one)
        else:
            number = get_x(op, f, row, op.n_in - own.n_labels + j - n_drawn, dtype)
        put_y(op, f, row, j, dtype, number)

    return make_each_number("latent", work)


@layer_kernel("gate", "forward")
def make_gate_forward(dtype):
    """The real row, or the generated one with the labels of the real one behind it; and noise."""
    stream = random.NOISE

    def work(op, own, f, row, j):
        is_drawn = j < own.n_generated
        if f.generated != 0 and is_drawn:
            number = get(f, op.other, own.ld_second, row, j, dtype)
        else:
            number = get(f, op.x, own.ld_first, row, j, dtype)
        deviation = dtype(own.deviation)
        if is_drawn and deviation > dtype(0):
            key = layer_key(f.seed, stream, own.stream, f.step)
            number += noise(key, position_of(op, f, row, j), deviation)
        put_y(op, f, row, j, dtype, number)

    return make_each_number("gate", work)


@layer_launches("gate", "backward")
def gate_backward_launches(net, i):
    """None where nobody asks for the gradient by generated rows."""
    return [net.over_numbers(i, make_gate_backward)] if net.op(i).d_other >= 0 else []


def make_gate_backward(dtype):
    """The gradient by generated rows."""

    def work(op, own, f, row, j):
        if j < own.n_generated:
            dy = get_dy(op, f, row, j, dtype)
            send(f, op.d_other, op.begin_other, op.scale_other, own.ld_second, row, j, dtype, dy)

    return make_each_number("gate", work)


@layer_kernel("label_channels", "forward")
def make_label_channels_forward(dtype):
    """The image of a row, its labels behind the channels of every pixel."""

    def work(op, own, f, row, j):
        n_channels = op.n_out - own.n_labels
        pixel = row // f.chunk if j < n_channels else op.steps - 1
        put_y(op, f, row, j, dtype, get_x(op, f, row % f.chunk, pixel * n_channels + j, dtype))

    return make_each_number("label_channels", work)


@layer_kernel("label_channels", "backward", of_input=True)
def make_label_channels_backward(dtype):
    """The gradient by the image, and of every label the sum over the pixels."""

    def work(op, own, f, row, j):
        n_channels = op.n_out - own.n_labels
        pixel = min(j // n_channels, op.steps - 1)
        channel = j - pixel * n_channels
        total = dtype(0)
        for t in range(pixel if channel < n_channels else 0, pixel + 1):
            total += get_dy(op, f, t * f.chunk + row, channel, dtype)
        send_x(op, f, row, j, dtype, total)

    return make_each_number("label_channels", work, of_input=True)


@layer_launches("verdict", "forward")
def verdict_launches(net, i):
    """One, whose threads have a row each, unless there is nothing to do in its place."""
    if not net.training and net.is_in_place(i):
        return []
    return [Launch((make_verdict_forward, net.dtype), i, (-(-net.capacity // THREADS), 1, 1), THREADS)]


def make_verdict_forward(dtype):
    """Note of every row whether it is taken for a real one."""

    def work(op, own, f, step):
        r = cuda.grid(1)
        if r < f.chunk:
            output = get_x(op, f, r, 0, dtype)
            if op.x != op.y:
                put_y(op, f, r, 0, dtype, output)
            if f.hits != 0:
                hits = vector(f.hits, dtype)  # OUT (batch,)
                hits[f.done + r] = dtype(1) if output > dtype(own.boundary) else dtype(0)

    return make_kernel("verdict", work)
