"""Kernels of an activation by itself.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.compiler import digest_of, formula
from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.rows import get_dy, get_x, has_ended, make_each_number, put_dy, put_y, send_x
from skneural.maths.activations import ACTIVATIONS


@layer_kernel("activation", "forward", registry=ACTIVATIONS)
def make_activation_forward(dtype, entry):
    """``y = function(x)``; the derivative waits in dy."""
    value_and_derivative = formula(entry.formula)

    def work(op, own, f, row, j):
        value, derivative = value_and_derivative(get_x(op, f, row, j, dtype))
        if has_ended(op, f, row):
            value = dtype(0)
            derivative = dtype(0)
        put_y(op, f, row, j, dtype, value)
        if f.training != 0 and op.dy >= 0:
            put_dy(op, f, row, j, dtype, derivative)

    return make_each_number("activation", work, digest=digest_of(entry.formula))


@layer_kernel("activation", "backward")
@layer_kernel("dropout", "backward")
@layer_kernel("spatial_dropout", "backward")
@layer_kernel("noise", "backward")
def make_pass_backward(dtype):
    """Send dy on. What the operation's derivative is has been multiplied in by whoever read y."""

    def work(op, own, f, row, j):
        send_x(op, f, row, j, dtype, get_dy(op, f, row, j, dtype))

    return make_each_number("activation", work)
