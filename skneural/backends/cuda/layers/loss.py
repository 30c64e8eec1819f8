"""Kernels at the end of a network: the loss of every row, and outputs. One thread has one row.

Sizes: B rows of the batch, I outputs of the last layer.
"""

from skneural.backends.cuda.compiler import digest_of, formula
from skneural.backends.cuda.hub import IS_SIMULATED, cuda
from skneural.backends.cuda.intrinsics import row, vector
from skneural.backends.cuda.launches import Launch, layer_launches
from skneural.backends.cuda.rows import (
    make_kernel,
    partner_of,
    row_of,
    sample_of,
    share_of,
    weight_of,
    weight_of_sample,
)
from skneural.maths.elementary import exp
from skneural.maths.losses import LINKS, LOSSES, no_exponent

#: Threads of a block: few, so that many multiprocessors take part.
THREADS = 4 if IS_SIMULATED else 32


@layer_launches("loss", "forward")
def loss_launches(net, i):
    """Outputs in prediction, losses in training, or both."""
    entry = LOSSES[net.operation(i).function]
    keys = []
    if not net.training:
        keys.append((make_output_forward, net.dtype, LINKS[entry.link]))
    if net.with_loss:
        keys.append((make_loss_forward, net.dtype, entry, net.mixes))
        if net.mixes:  # room for the gradient of the other loss of every row
            op = net.op(i)
            op.slot = net.scratch(net.capacity * int(op.ld_in))
    grid = (-(-net.capacity // THREADS), 1, 1)
    return [Launch(key, i, grid, THREADS) for key in keys]


def make_loss_forward(dtype, entry, mixes):
    """Loss of every row, and its gradient by the outputs, weighted and divided by the batch's sum of weights.

    A sample that is mixed has two losses instead of that of a mixed target: classes cannot be mixed.
    """
    size = dtype().itemsize
    exponentials = entry.exponent is not None
    loss = formula(entry.formula)
    exponent = formula(entry.exponent or no_exponent)

    def loss_forward(op, own, f, step):
        r = cuda.grid(1)
        if r < f.chunk:
            raw = row(row_of(f, op.x, op.ld_in, r, size), dtype, op.n_in)  # (B, I)
            dx = vector(row_of(f, op.dx, op.ld_in, r, size), dtype)  # OUT (B, I)
            if exponentials:
                exponent(raw, dx)
                for j in range(op.n_in):
                    dx[j] = exp(dx[j])
            target = vector(f.targets + sample_of(f, r) * f.n_targets * size, dtype)
            weight = weight_of(f, r, dtype)
            losses = vector(f.losses, dtype)  # OUT (batch,)
            settings = vector(f.settings, dtype)
            if mixes:
                partner = partner_of(f, r)
                own_share = dtype(share_of(f, f.start + r))
                of_partner = weight_of_sample(f, partner, dtype) * (dtype(1) - own_share)
                weight *= own_share
                mixed = vector(f.scratch + (op.slot + r * op.ld_in) * size, dtype)
                for j in range(op.n_in):
                    mixed[j] = dx[j]
                other_target = vector(f.targets + partner * f.n_targets * size, dtype)
                other_loss = of_partner * loss(raw, other_target, mixed, settings)
                losses[f.done + r] = weight * loss(raw, target, dx, settings) + other_loss
                for j in range(op.n_in):
                    dx[j] = (weight * dx[j] + of_partner * mixed[j]) * dtype(f.scale)
            else:
                losses[f.done + r] = weight * loss(raw, target, dx, settings)
                factor = weight * dtype(f.scale)
                for j in range(op.n_in):
                    dx[j] *= factor

    return make_kernel("loss", loss_forward, digest_of(entry.formula, entry.exponent or no_exponent))


def make_output_forward(dtype, entry):
    """Outputs of every row through the output activation, into an array of their own."""
    size = dtype().itemsize
    exponentials = entry.exponent is not None
    link = formula(entry.formula)
    exponent = formula(entry.exponent or no_exponent)

    def output_forward(op, own, f, step):
        r = cuda.grid(1)
        if r < f.chunk:
            raw = row(row_of(f, op.x, op.ld_in, r, size), dtype, op.n_in)  # (B, I)
            out = row(f.outputs + r * op.n_in * size, dtype, op.n_in)  # OUT (B, I)
            if exponentials:
                exponent(raw, out)
                for j in range(op.n_in):
                    out[j] = exp(out[j])
            else:
                for j in range(op.n_in):
                    out[j] = raw[j]
            link(out)

    return make_kernel("loss", output_forward, digest_of(entry.formula, entry.exponent or no_exponent))
