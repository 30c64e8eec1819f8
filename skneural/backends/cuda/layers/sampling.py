"""Kernels of normal samples and of their divergence.

Sizes: T steps, B rows, I in, O = I / 2 out.
"""

from skneural.backends.cuda.compiler import formula
from skneural.backends.cuda.hub import cuda
from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import layer_kernel, layer_launches
from skneural.backends.cuda.layers.activity import row_launches
from skneural.backends.cuda.rows import (
    get,
    get_dy,
    get_x,
    has_ended,
    key_at,
    length_of,
    make_each_number,
    make_kernel,
    make_loss_weight,
    position_of,
    put,
    put_y,
    send_x,
)
from skneural.maths import random
from skneural.maths.dropout import noise
from skneural.maths.sampling import deviation_of, divergence, divergence_by_log_variance, warmed_up

for _function in (deviation_of, divergence, divergence_by_log_variance, warmed_up):
    formula(_function)


@layer_kernel("gaussian_sampling", "forward")
def make_gaussian_sampling_forward(dtype):
    """Means, plus noise of their deviations in training; the noise is kept for the way back."""
    stream = random.SAMPLING

    def work(op, own, f, row, j):
        drawn = dtype(0)
        deviation = dtype(own.deviation)
        if f.training != 0 and deviation > dtype(0) and not has_ended(op, f, row):
            key = key_at(f, stream, own.stream, row)
            normal = noise(key, position_of(op, f, row % f.chunk, j), deviation)
            drawn = deviation_of(get_x(op, f, row, op.n_out + j, dtype)) * normal
        if own.noise >= 0:
            put(f, own.noise, op.ld_out, row, j, dtype, drawn)
        put_y(op, f, row, j, dtype, get_x(op, f, row, j, dtype) + drawn)

    return make_each_number("gaussian_sampling", work)


@layer_kernel("gaussian_sampling", "backward", of_input=True)
def make_gaussian_sampling_backward(dtype):
    """The gradient to the means, and times half the noise to the logarithms of the variances."""
    half = dtype(0.5)

    def work(op, own, f, row, j):
        column = j % op.n_out
        gradient = get_dy(op, f, row, column, dtype)
        if j >= op.n_out:
            gradient *= half * get(f, own.noise, op.ld_out, row, column, dtype)
        send_x(op, f, row, j, dtype, gradient)

    return make_each_number("gaussian_sampling", work, of_input=True)


@layer_launches("gaussian_divergence", "forward")
def gaussian_divergence_launches(net, i):
    """See `activity.row_launches`."""
    return row_launches(net, i, make_gaussian_divergence_forward)


def make_gaussian_divergence_forward(dtype, mixes):
    """Add the divergence of every row to its loss."""
    zero = dtype(0)
    loss_weight = make_loss_weight(dtype, mixes)

    def gaussian_divergence_forward(op, own, f, step):
        r = cuda.grid(1)
        if r < f.chunk:
            n = op.n_in // 2
            total = zero
            for t in range(length_of(f, op.every_in, op.steps_in, r)):
                row = t * f.chunk + r
                for j in range(n):
                    total += divergence(get_x(op, f, row, j, dtype), get_x(op, f, row, n + j, dtype))  # (T, B, I)
            losses = vector(f.losses, dtype)  # OUT (batch,)
            losses[f.done + r] += loss_weight(f, r) * dtype(own.beta) * total

    return make_kernel("gaussian_divergence", gaussian_divergence_forward)


@layer_launches("gaussian_divergence", "backward")
def gaussian_divergence_backward_launches(net, i):
    """Other kernels where samples are mixed."""
    return [net.over_numbers(i, make_gaussian_divergence_backward, net.mixes, of_input=True)]


def make_gaussian_divergence_backward(dtype, mixes):
    """The gradient of the divergences, weighted, divided by the batch's sum of weights, and warmed up."""
    loss_weight = make_loss_weight(dtype, mixes)

    def work(op, own, f, row, j):
        factor = loss_weight(f, row % f.chunk) * dtype(f.scale) * dtype(own.beta)
        factor *= warmed_up(f.epoch, f.row, f.n_rows, dtype(own.warmup))
        x = get_x(op, f, row, j, dtype)
        gradient = x if j < op.n_in // 2 else divergence_by_log_variance(x)
        send_x(op, f, row, j, dtype, factor * gradient)

    return make_each_number("gaussian_divergence", work, of_input=True)
