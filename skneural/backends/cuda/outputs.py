"""Kernels at the end of a network: the loss of every row, and outputs. One thread has one row.

Sizes: B rows of the batch, I outputs of the last layer.
"""

from skneural.backends.cuda.compiler import digest_of, formula
from skneural.backends.cuda.hub import cuda
from skneural.backends.cuda.intrinsics import model_frame, op_at, row, row_number, vector
from skneural.backends.cuda.kernels import row_of
from skneural.maths.elementary import exp
from skneural.maths.losses import no_exponent


def make_loss_forward(dtype, entry):
    """Loss of every row, and its gradient by the outputs, weighted and divided by the batch's sum of weights."""
    size, exponentials = dtype().itemsize, entry.exponent is not None
    loss, exponent = formula(entry.formula), formula(entry.exponent or no_exponent)
    digest = digest_of(entry.formula, entry.exponent or no_exponent)

    def loss_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
        r = cuda.grid(1)
        if r < f.chunk:
            i = row_number(f, r)
            raw = row(row_of(f, op.x, op.ld_in, r, size), dtype, op.n_in)  # (B, I)
            dx = vector(row_of(f, op.dx, op.ld_in, r, size), dtype)  # OUT (B, I)
            if exponentials:
                exponent(raw, dx)
                for j in range(op.n_in):
                    dx[j] = exp(dx[j])
            target = vector(f.targets + i * f.n_targets * size, dtype)
            weight = vector(f.weights, dtype)[i] if f.weights != 0 else dtype(1)
            losses = vector(f.losses, dtype)  # OUT (batch,)
            losses[f.done + r] = weight * loss(raw, target, dx, vector(f.settings, dtype))
            factor = weight * dtype(f.scale)
            for j in range(op.n_in):
                dx[j] *= factor

    return loss_forward


def make_output_forward(dtype, entry):
    """Outputs of every row through the output activation, into an array of their own."""
    size, exponentials = dtype().itemsize, entry.exponent is not None
    link, exponent = formula(entry.formula), formula(entry.exponent or no_exponent)
    digest = digest_of(entry.formula, entry.exponent or no_exponent)

    def output_forward(op_address, frames, step):
        digest  # part of the cache key
        op, f = op_at(op_address), model_frame(frames, 1)
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

    return output_forward
