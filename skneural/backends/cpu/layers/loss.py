"""Kernels at the end of a network: losses and outputs.

Sizes: B rows of the batch, I outputs of the last layer.
"""

import numpy as np

from skneural.backends.cpu.compiler import SUM, digest_of, formula, helper, merged
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, frame_at, op_at, row, vector
from skneural.backends.cpu.loops import no_overlaps
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import copy_numbers, partner_of, row_at, sample_of, share_of
from skneural.maths.elementary import exp
from skneural.maths.losses import LOSSES, no_exponent

#: Outputs from which the loss of a row is summed in as many parts as a vector has numbers.
WIDE = 32


def make_loss_of_row(dtype, entry):
    """The loss of a row, which writes its gradient: in vector code where there are many outputs.

    The order of the sums must not depend on where arrays stand. So the compiler is told that they do not overlap: left
    to look, it takes arrays that are near each other for such as might.
    """
    one_by_one = formula(entry.formula)
    merged_formula = merged(entry.formula)

    def loss_in_lanes(raw, target, gradient, settings):
        no_overlaps()
        return merged_formula(raw, target, gradient, settings)

    def loss_of_row(raw, target, gradient, settings):
        if len(raw) < WIDE:
            return one_by_one(raw, target, gradient, settings)
        return in_lanes(raw, target, gradient, settings)

    key = entry.name, dtype.__name__
    in_lanes = helper(loss_in_lanes, *key, options=SUM)
    return helper(loss_of_row, *key)


@layer_kernel("loss", "forward", registry=LOSSES)
def make_loss_forward(dtype, entry):
    """Loss of every row, and its gradient by the outputs, weighted and divided by the batch's sum of weights."""
    size = dtype().itemsize
    exponentials = entry.exponent is not None
    loss = make_loss_of_row(dtype, entry)
    exponent = formula(entry.exponent or no_exponent)
    digest = digest_of(entry.formula, exponent)
    zero = dtype(0)

    def loss_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        weights = vector(f.weights, dtype)
        losses = vector(f.losses, np.float64)
        settings = vector(f.settings, dtype)
        if exponentials:
            for r in range(first, last):
                raw = row(row_at(f, op.x, op.ld_in, 0, r, size), dtype, op.n_in)  # (B, I)
                exponent(raw, vector(row_at(f, op.dx, op.ld_in, 0, r, size), dtype))
            flat = vector(row_at(f, op.dx, op.ld_in, 0, first, size), dtype)
            for j in range((last - first) * op.ld_in):
                flat[j] = exp(flat[j])
        for r in range(first, last):
            i = sample_of(f, r)
            raw = row(row_at(f, op.x, op.ld_in, 0, r, size), dtype, op.n_in)  # (B, I)
            dx = vector(row_at(f, op.dx, op.ld_in, 0, r, size), dtype)  # OUT (B, I)
            target = vector(f.targets + i * f.n_targets * size, dtype)
            weight = weights[i] if f.weights != 0 else dtype(1)
            mixed = dx
            other_loss = dtype(0)
            if f.mixup != 0:  # two losses instead of that of a mixed target: classes cannot be mixed
                own_share = dtype(share_of(f, r))
                partner = partner_of(f, r)
                of_partner = (weights[partner] if f.weights != 0 else dtype(1)) * (dtype(1) - own_share)
                copy_numbers(f.scratch, row_at(f, op.dx, op.ld_in, 0, r, size), op.ld_in, dtype)
                mixed = vector(f.scratch, dtype)
                other_target = vector(f.targets + partner * f.n_targets * size, dtype)
                other_loss = of_partner * loss(raw, other_target, mixed, settings)
                weight *= own_share
            losses[r] = weight * loss(raw, target, dx, settings)
            if f.mixup != 0:
                losses[r] += other_loss
                for j in range(op.n_in):
                    dx[j] = weight * dx[j] + of_partner * mixed[j]
                weight = dtype(1)
            factor = weight * dtype(f.scale)
            if exponentials:
                for j in range(op.ld_in):
                    scaled = factor * dx[j]
                    dx[j] = scaled if np.int32(j) < np.int32(op.n_in) else zero  # the padding must have no gradient
            else:
                for j in range(op.n_in):
                    dx[j] *= factor

    return LAYER_KERNEL, loss_forward


def make_output_forward(dtype, entry):
    """Outputs of every row through the output activation, into an array of their own."""
    size = dtype().itemsize
    exponentials = entry.exponent is not None
    link = formula(entry.formula)
    exponent = formula(entry.exponent or no_exponent)
    digest = digest_of(link, exponent)

    def output_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        f = frame_at(frame_address)
        outputs = f.outputs + f.start * op.n_in * size
        for r in range(first, last):
            raw = row(row_at(f, op.x, op.ld_in, 0, r, size), dtype, op.n_in)  # (B, I)
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
