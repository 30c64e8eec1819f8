"""Kernels at the end of a network: loss, outputs and activations.

Sizes: B rows of the batch, I outputs of the last layer.
"""

import numpy as np

from skneural.backends.cpu import elementary  # noqa: F401  (teaches the compiler exp and its kin)
from skneural.backends.cpu.compiler import digest_of, formula
from skneural.backends.cpu.intrinsics import ACTIVATION_KERNEL, LAYER_KERNEL, frame_at, op_at, row, vector
from skneural.maths.elementary import exp
from skneural.maths.losses import no_exponent


def make_loss_forward(dtype, entry):
    """Loss of every row, and its gradient by the outputs, weighted and divided by the batch's sum of weights."""
    size, whole, exponentials = dtype().itemsize, np.int64, entry.exponent is not None
    loss, exponent = formula(entry.formula), formula(entry.exponent or no_exponent)
    digest = digest_of(loss, exponent)

    def loss_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        order, weights, losses = vector(f.order, whole), vector(f.weights, dtype), vector(f.losses, np.float64)
        settings = vector(f.settings, dtype)
        if exponentials:
            for r in range(first, last):
                raw = row(f.work + (op.x * f.capacity + r * op.ld_in) * size, dtype, op.n_in)  # (B, I)
                exponent(raw, vector(f.work + (op.dx * f.capacity + r * op.ld_in) * size, dtype))
            flat = vector(f.work + (op.dx * f.capacity + first * op.ld_in) * size, dtype)
            for j in range((last - first) * op.ld_in):
                flat[j] = exp(flat[j])
        for r in range(first, last):
            i = order[f.start + r] if f.order != 0 else f.start + r
            raw = row(f.work + (op.x * f.capacity + r * op.ld_in) * size, dtype, op.n_in)  # (B, I)
            dx = vector(f.work + (op.dx * f.capacity + r * op.ld_in) * size, dtype)  # OUT (B, I)
            target = vector(f.targets + i * f.n_targets * size, dtype)
            weight = weights[i] if f.weights != 0 else dtype(1)
            losses[r] = weight * loss(raw, target, dx, settings)
            factor = weight * dtype(f.scale)
            for j in range(op.n_in):
                dx[j] *= factor
            if exponentials:
                for j in range(op.n_in, op.ld_in):  # the padding must have no gradient
                    dx[j] = 0

    return LAYER_KERNEL, loss_forward


def make_output_forward(dtype, entry):
    """Outputs of every row through the output activation, into an array of their own."""
    size, exponentials = dtype().itemsize, entry.exponent is not None
    link, exponent = formula(entry.formula), formula(entry.exponent or no_exponent)
    digest = digest_of(link, exponent)

    def output_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op, f = op_at(op_address), frame_at(frame_address)
        outputs = f.outputs + f.start * op.n_in * size
        for r in range(first, last):
            raw = row(f.work + (op.x * f.capacity + r * op.ld_in) * size, dtype, op.n_in)  # (B, I)
            out = vector(outputs + r * op.n_in * size, dtype)  # OUT (n_rows, I)
            if exponentials:
                exponent(raw, out)
            else:
                for j in range(op.n_in):
                    out[j] = raw[j]
        if exponentials:
            flat = vector(outputs + first * op.n_in * size, dtype)
            for j in range((last - first) * op.n_in):
                flat[j] = exp(flat[j])
        for r in range(first, last):
            link(row(outputs + r * op.n_in * size, dtype, op.n_in))

    return LAYER_KERNEL, output_forward


def make_activation(dtype, entry):
    """Replace numbers by their activation; write the slopes too if there is a place for them."""
    digest, value_and_slope = digest_of(entry.formula), formula(entry.formula)

    def activation(values, slopes, count):
        digest  # part of the cache key
        a = vector(values, dtype)
        if slopes == 0:
            for j in range(count):
                a[j] = value_and_slope(a[j])[0]
        else:
            slope = vector(slopes, dtype)
            for j in range(count):
                a[j], slope[j] = value_and_slope(a[j])

    return ACTIVATION_KERNEL, activation
