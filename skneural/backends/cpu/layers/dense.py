"""Kernels of dense layers, of dense rows and of those of a sparse matrix.

Sizes: B rows of the batch, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER, formula, helper
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, call_product, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.layout import PANELS_FROM, STRIP, STRIPS, strip_pitch
from skneural.backends.cpu.product import PANEL, lay_out_panels, lay_out_strips, pays_strips
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import activate, multiply, row_at, sample_of, sum_rows, weights_at
from skneural.backends.cpu.shares import next_piece
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.updates import lay_out, limit_norms, use_gradient
from skneural.backends.records import APPLY, COLLECT
from skneural.maths.sparse import first_from
from skneural.network.operations import OP

formula(first_from)

dense_at = details_view("dense")


@layer_kernel("dense", "forward")
def make_dense_forward(dtype):
    """``y = activation(x @ weight + bias)``."""
    digest = DIGEST
    size = dtype().itemsize

    def dense_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dense_at(op_address)
        f = frame_at(frame_address)
        weight, ld_weight = weights_at(f, own.weight, op.n_in, op.ld_out, size)  # (I, O)
        bias = f.params + own.bias * size if own.bias >= 0 else 0  # (O,)
        x = row_at(f, op.x, op.ld_in, 0, first, size)  # (B, I)
        ld = op.ld_out
        y = row_at(f, op.y, ld, 0, first, size)  # OUT (B, O)
        multiply(f, x, op.ld_in, weight, ld_weight, y, ld, last - first, op.n_out, ld, op.n_in, bias, 0, 0)
        activate(op, f, 0, first, last, size)

    return LAYER_KERNEL, dense_forward


def make_sum_of_row(dtype):
    """Product of a row of a CSR matrix with one column of weights, in the order in which `product` sums a dense row.

    So every lane of a vector has a sum of its own, in a row of y that serves as its room.
    """
    size = dtype().itemsize
    lanes = INSTRUCTION_SET.vector_bytes // size
    zero = dtype(0)

    def sum_of_row(op, f, indices, values, k, end, weights, y):
        in_lanes = op.n_in // lanes * lanes
        for lane in range(lanes):
            y[lane] = zero
        while k < end and indices[k] < in_lanes:
            weight = vector(f.params + (weights + indices[k] * op.ld_out) * size, dtype)
            y[indices[k] % lanes] += values[k] * weight[0]
            k += 1
        half = lanes // 2
        while half > 0:
            for lane in range(half):
                y[lane] += y[lane + half]
            half //= 2
        total = y[0]
        while k < end:
            weight = vector(f.params + (weights + indices[k] * op.ld_out) * size, dtype)
            total += values[k] * weight[0]
            k += 1
        return total

    return helper(sum_of_row, dtype.__name__)


@layer_kernel("sparse_dense", "forward")
def make_sparse_dense_forward(dtype):
    """`dense_forward` for CSR rows: the same sums in the same order, without the terms that are 0."""
    digest = DIGEST
    size = dtype().itemsize
    whole = np.int64
    zero = dtype(0)
    sum_of_row = make_sum_of_row(dtype)

    def sparse_dense_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dense_at(op_address)
        f = frame_at(frame_address)
        indptr = vector(f.indptr, whole)
        indices = vector(f.indices, whole)
        values = vector(f.inputs, dtype)
        bias = vector(f.params + max(own.bias, 0) * size, dtype)
        for r in range(first, last):
            y = vector(row_at(f, op.y, op.ld_out, 0, r, size), dtype)  # OUT (B, O)
            i = sample_of(f, r)
            if op.n_out == 1:
                total = sum_of_row(op, f, indices, values, indptr[i], indptr[i + 1], own.weight, y)
                clear(row_at(f, op.y, op.ld_out, 0, r, size), op.ld_out * size)
                y[0] = bias[0] + total if own.bias >= 0 else total
                continue
            for j in range(op.ld_out):
                y[j] = bias[j] if own.bias >= 0 else zero
            for k in range(indptr[i], indptr[i + 1]):
                x = values[k]
                weight = vector(f.params + (own.weight + indices[k] * op.ld_out) * size, dtype)
                for j in range(op.ld_out):
                    y[j] += x * weight[j]
        activate(op, f, 0, first, last, size)

    return LAYER_KERNEL, sparse_dense_forward


@layer_kernel("dense", "backward")
def make_dense_backward(dtype):
    """``dx = (begin + dy @ weight.T) * dx``, where the derivative of what came before waits in dx if `scale`.

    And dy in panels, for the gradient by the weights.
    """
    digest = DIGEST
    size = dtype().itemsize

    def dense_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dense_at(op_address)
        f = frame_at(frame_address)
        dy = row_at(f, op.dy, op.ld_out, 0, first, size)  # (B, O)
        rows = last - first
        if op.dx >= 0:
            transposed = f.transposed + own.transposed * size  # (O, I)
            dx = row_at(f, op.dx, op.ld_in, 0, first, size)  # OUT (B, I)
            begin = row_at(f, op.begin, op.ld_in, 0, first, size) if op.begin >= 0 else 0  # (B, I)
            ld = op.ld_in
            multiply(f, dy, op.ld_out, transposed, -op.ld_out, dx, ld, rows, op.n_in, ld, op.n_out, begin, ld, op.scale)
        if op.panels >= 0:
            panels = f.work + op.panels * f.capacity * size  # OUT (B, O)
            lay_out_panels(dy, op.ld_out, panels, f.chunk, first, rows, 0, op.ld_out, size, dtype)

    return LAYER_KERNEL, dense_backward


@register_jitable(**HELPER)
def _sparse_gradient(op, f, i, rows, last, tile, size, dtype, whole):
    """Gradient of `rows` rows of the weights, from row `i`, where x is a CSR matrix."""
    indptr = vector(f.indptr, whole)
    indices = vector(f.indices, whole)
    values = vector(f.inputs, dtype)
    clear(tile, rows * op.ld_out * size)
    for r in range(last):
        n = sample_of(f, r)
        end = indptr[n + 1]
        k = first_from(indices, indptr[n], end, i)
        dy = vector(row_at(f, op.dy, op.ld_out, 0, r, size), dtype)
        while k < end and indices[k] < i + rows:
            x = values[k]
            out = vector(tile + (indices[k] - i) * op.ld_out * size, dtype)
            for j in range(op.ld_out):
                out[j] += x * dy[j]
            k += 1


@register_jitable(**HELPER)
def _dense_gradient(op, f, i, rows, last, tile, size, dtype):
    """Gradient of `rows` rows of the weights, from row `i`: ``x.T @ dy``."""
    ld = op.ld_out
    x = f.work + (op.x * f.capacity + i) * size  # (B, I), of which columns are read
    dy = f.work + op.dy * f.capacity * size  # (B, O)
    ld_dy = ld
    if op.panels >= 0:
        dy = f.work + op.panels * f.capacity * size
        ld_dy = -last
    column_stride = op.ld_in
    strip_stride = STRIP
    if op.n_out > 1 and pays_strips(last, op.ld_in, ld, size):
        strip_stride = strip_pitch(last, size)
        lay_out_strips(x, op.ld_in, rows, last, f.strips, strip_stride, size, dtype)
        x = f.strips
        column_stride = STRIP
    shape = (rows, op.n_out, ld, last)
    call_product(f.product, (x, 1, column_stride, strip_stride, dy, ld_dy, tile, ld, *shape, 0, 0, 0))


@layer_kernel("dense", "update", False)
@layer_kernel("sparse_dense", "update", True)
def make_update(dtype, sparse):
    """Gradients ``x.T @ dy`` and ``sum(dy)`` over the batch, handed to the optimizer strip by strip."""
    digest = DIGEST
    size = dtype().itemsize
    whole = np.int64
    collect = COLLECT
    apply = APPLY
    most_rows = STRIPS * STRIP
    op_size = OP.itemsize
    panels_from = PANELS_FROM

    def update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dense_at(op_address)
        f = frame_at(frame_address)
        dy = f.work + op.dy * f.capacity * size  # (B, O)
        direct = f.phase == collect and f.done == 0  # the first chunk is summed where it is stored
        strips = (op.n_in + f.row_block - 1) // f.row_block
        together = most_rows // f.row_block
        counter = (op_address - f.ops) // op_size
        turn, s, end = next_piece(f, counter, strips, together, 0, 0)
        while s < end:
            i = s * f.row_block
            rows = min((end - s) * f.row_block, op.n_in - i)
            at = own.weight + i * op.ld_out
            tile = f.gradient + at * size if direct else f.scratch
            if f.phase == apply:
                pass
            elif sparse:
                _sparse_gradient(op, f, i, rows, last, tile, size, dtype, whole)
            else:
                _dense_gradient(op, f, i, rows, last, tile, size, dtype)
            for b in range(end - s):
                begin = b * f.row_block * op.ld_out
                numbers = min(f.row_block, rows - b * f.row_block) * op.ld_out
                slot = op.slot + s + b
                use_gradient(f, frame_address, at + begin, numbers, tile + begin * size, slot, 1, size, dtype)
            if f.phase != collect and not sparse:  # rows of a sparse matrix are multiplied by the weights themselves
                ld = op.ld_out
                is_wide = ld * size >= panels_from
                lay_out(f, own.weight, own.transposed, op.n_in, ld, op.n_out, op.ld_in, i, rows, is_wide, size, dtype)
            turn, s, end = next_piece(f, counter, strips, together, turn, end)
        if f.rank == f.n_threads - 1 and own.bias >= 0:
            tile = f.gradient + own.bias * size if direct else f.scratch
            if f.phase != apply:
                sum_rows(f, tile, dy, op.ld_out, last, dtype)
            use_gradient(f, frame_address, own.bias, op.ld_out, tile, op.slot + strips, 0, size, dtype)

    return LAYER_KERNEL, update


@layer_kernel("dense", "constrain")
@layer_kernel("sparse_dense", "constrain")
def make_constrain(dtype):
    """Scale down the incoming weights of every unit whose norm is too large (Srivastava et al., 2014)."""
    digest = DIGEST
    size = dtype().itemsize
    wide = PANEL // size

    def constrain(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dense_at(op_address)
        f = frame_at(frame_address)
        panels = (op.ld_out + wide - 1) // wide
        begin = f.rank * panels // f.n_threads * wide
        end = min((f.rank + 1) * panels // f.n_threads * wide, op.ld_out)
        count = end - begin
        factor = vector(f.scratch, dtype)
        limit_norms(f, own.weight + begin, op.n_in, op.ld_out, count, size, dtype)
        if op.panels >= 0:
            source = f.params + own.weight * size
            target = f.panels + own.weight * size
            lay_out_panels(source, op.ld_out, target, op.n_in, 0, op.n_in, begin, end, size, dtype)
        if own.transposed >= 0:
            for n in range(0, op.ld_in, wide):
                width = min(wide, op.ld_in - n)
                for j in range(count):
                    target = f.transposed + (own.transposed + n * op.ld_out + (begin + j) * width) * size
                    row = vector(target, dtype)  # OUT (O, I)
                    for i in range(width):
                        row[i] *= factor[j]

    return LAYER_KERNEL, constrain
