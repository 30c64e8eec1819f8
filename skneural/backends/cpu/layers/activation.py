"""Kernels of activations: as a part of other operations, and as one by themselves.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

from skneural.backends.cpu.compiler import DIGEST, digest_of, formula
from skneural.backends.cpu.intrinsics import ACTIVATION_KERNEL, LAYER_KERNEL, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import activate, bring, clear_ended, own_steps, send_rows


def make_activation(dtype, entry):
    """Replace numbers by their activation; write the derivatives too if there is a place for them."""
    digest = digest_of(entry.formula)
    value_and_derivative = formula(entry.formula)

    def activation(values, derivatives, count):
        digest  # part of the cache key
        a = vector(values, dtype)
        if derivatives == 0:
            for j in range(count):
                a[j] = value_and_derivative(a[j])[0]
        else:
            d = vector(derivatives, dtype)
            for j in range(count):
                a[j], d[j] = value_and_derivative(a[j])

    return ACTIVATION_KERNEL, activation


@layer_kernel("activation", "forward")
def make_activation_forward(dtype):
    """``y = function(x)``; the derivative waits in dy."""
    digest = DIGEST
    size = dtype().itemsize

    def activation_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        t_begin, t_end = own_steps(f, op.steps)
        for t in range(t_begin, t_end):
            bring(op, f, op.y, t, first, last, size, dtype)
            activate(op, f, t, first, last, size)
            clear_ended(op, f, t, first, last, size)

    return LAYER_KERNEL, activation_forward


@layer_kernel("activation", "backward")
@layer_kernel("dropout", "backward")
@layer_kernel("noise", "backward")
@layer_kernel("spatial_dropout", "backward")
def make_pass_backward(dtype):
    """Send dy on. What the operation's derivative is has been multiplied in by whoever read y."""
    digest = DIGEST
    size = dtype().itemsize

    def pass_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        send_rows(f, op.dx, op.begin, op.scale, op.dy, op.ld_out, op.steps, first, last, size, dtype)

    return LAYER_KERNEL, pass_backward
