"""Kernels of an activation by itself.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

from skneural.backends.cuda.compiler import digest_of, formula
from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import layer_kernel
from skneural.backends.cuda.rows import clear_ended, make_each_number, number_of, send
from skneural.maths.activations import ACTIVATIONS


@layer_kernel("activation", "forward", registry=ACTIVATIONS)
def make_activation_forward(dtype, entry):
    """``y = function(x)``; the derivative waits in dy."""
    size = dtype().itemsize
    value_and_derivative = formula(entry.formula)

    def work(op, own, f, t, r, j):
        if not clear_ended(op, f, t, r, j, size, dtype, True):
            row = t * f.piece + r
            x = vector(number_of(f, op.x, op.ld_in, row, j, size), dtype)[0]  # (T, B, O)
            value, derivative = value_and_derivative(x)
            vector(number_of(f, op.y, op.ld_out, row, j, size), dtype)[0] = value  # OUT (T, B, O)
            if op.dy >= 0:
                vector(number_of(f, op.dy, op.ld_out, row, j, size), dtype)[0] = derivative  # OUT (T, B, O)

    return make_each_number("activation", work, digest=digest_of(entry.formula))


@layer_kernel("activation", "backward")
@layer_kernel("dropout", "backward")
@layer_kernel("noise", "backward")
def make_pass_backward(dtype):
    """Send dy on. What the operation's derivative is has been multiplied in by whoever read y."""
    size = dtype().itemsize

    def work(op, own, f, t, r, j):
        row = t * f.piece + r
        dy = vector(number_of(f, op.dy, op.ld_out, row, j, size), dtype)[0]  # (T, B, O)
        send(f, op.dx, op.begin, op.scale, op.ld_in, row, j, dy, size, dtype)

    return make_each_number("activation", work)
