"""Kernels of an activation by itself.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.compiler import digest_of, formula
from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.rows import get, has_ended, make_each_number, put, send
from skneural.maths.activations import ACTIVATIONS


@layer_kernel("activation", "forward", registry=ACTIVATIONS)
def make_activation_forward(dtype, entry):
    """``y = function(x)``; the derivative waits in dy."""
    value_and_derivative = formula(entry.formula)

    def work(op, own, f, row, j):
        value, derivative = value_and_derivative(get(f, op.x, op.ld_in, row, j, dtype))
        if has_ended(op, f, row):
            value = dtype(0)
            derivative = dtype(0)
        put(f, op.y, op.ld_out, row, j, dtype, value)
        if op.dy >= 0:
            put(f, op.dy, op.ld_out, row, j, dtype, derivative)

    return make_each_number("activation", work, digest=digest_of(entry.formula))


@layer_kernel("activation", "backward")
@layer_kernel("dropout", "backward")
@layer_kernel("noise", "backward")
def make_pass_backward(dtype):
    """Send dy on. What the operation's derivative is has been multiplied in by whoever read y."""

    def work(op, own, f, row, j):
        send(f, op.dx, op.begin, op.scale, op.ld_in, row, j, dtype, get(f, op.dy, op.ld_out, row, j, dtype))

    return make_each_number("activation", work)
