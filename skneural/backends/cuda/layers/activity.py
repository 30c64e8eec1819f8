"""Kernels of penalties on activations.

Sizes: T steps, B rows, I in.
"""

from skneural.backends.cuda.compiler import formula
from skneural.backends.cuda.hub import cuda
from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import Launch, layer_launches
from skneural.backends.cuda.layers.loss import THREADS
from skneural.backends.cuda.rows import get_x, length_of, make_each_number, make_kernel, make_loss_weight, send_x
from skneural.maths.penalties import elastic_net_gradient

formula(elastic_net_gradient)


def row_launches(net, i, make):
    """Launch of a kernel that adds to the losses of rows, a thread for each; none where nobody asks for losses."""
    if not net.with_loss:
        return []
    return [Launch((make, net.dtype, net.mixes), i, (-(-net.capacity // THREADS), 1, 1), THREADS)]


@layer_launches("activity_penalty", "forward")
def activity_penalty_launches(net, i):
    """See `row_launches`."""
    return row_launches(net, i, make_activity_penalty_forward)


def make_activity_penalty_forward(dtype, mixes):
    """Add the penalty of every row to its loss."""
    zero = dtype(0)
    loss_weight = make_loss_weight(dtype, mixes)

    def activity_penalty_forward(op, own, f, step):
        r = cuda.grid(1)
        if r < f.chunk:
            l1 = dtype(own.l1)
            l2 = dtype(own.l2)
            total = zero
            for t in range(length_of(f, op.every_in, op.steps_in, r)):
                for j in range(op.n_in):
                    x = get_x(op, f, t * f.chunk + r, j, dtype)  # (T, B, I)
                    total += l1 * abs(x) + l2 * x * x
            losses = vector(f.losses, dtype)  # OUT (batch,)
            losses[f.done + r] += loss_weight(f, r) * total

    return make_kernel("activity_penalty", activity_penalty_forward)


@layer_launches("activity_penalty", "backward")
def activity_penalty_backward_launches(net, i):
    """Other kernels where samples are mixed."""
    return [net.over_numbers(i, make_activity_penalty_backward, net.mixes, of_input=True)]


def make_activity_penalty_backward(dtype, mixes):
    """The gradient of the penalties, weighted and divided by the batch's sum of weights."""
    loss_weight = make_loss_weight(dtype, mixes)

    def work(op, own, f, row, j):
        factor = loss_weight(f, row % f.chunk) * dtype(f.scale)
        l1 = factor * dtype(own.l1)
        l2 = factor * dtype(own.l2)
        send_x(op, f, row, j, dtype, elastic_net_gradient(get_x(op, f, row, j, dtype), l2 + l2, l1))

    return make_each_number("activity_penalty", work, of_input=True)
