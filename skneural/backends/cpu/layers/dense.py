"""Kernels of dense layers, of dense rows and of those of a sparse matrix.

Sizes: B rows of the batch, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np
from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER, formula
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, call_product, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import activate, multiply, row_at, sample_of, sum_rows
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.updates import transpose_rows, use_gradient
from skneural.backends.records import APPLY, COLLECT
from skneural.maths.elementary import sqrt
from skneural.maths.sparse import first_from

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
        x = row_at(f, op.x, op.ld_in, 0, first, size)  # (B, I)
        weight = f.params + own.weight * size  # (I, O)
        bias = f.params + own.bias * size if own.bias >= 0 else 0  # (O,)
        y = row_at(f, op.y, op.ld_out, 0, first, size)  # OUT (B, O)
        multiply(f, x, op.ld_in, weight, op.ld_out, y, op.ld_out, last - first, op.ld_out, op.n_in, bias, 0, 0)
        activate(op, f, 0, first, last, size)

    return LAYER_KERNEL, dense_forward


@layer_kernel("sparse_dense", "forward")
def make_sparse_dense_forward(dtype):
    """`dense_forward` for CSR rows: the same sums in the same order, without the terms that are 0."""
    digest = DIGEST
    size = dtype().itemsize
    whole = np.int64
    zero = dtype(0)

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
            for j in range(op.ld_out):
                y[j] = bias[j] if own.bias >= 0 else zero
            i = sample_of(f, r)
            for k in range(indptr[i], indptr[i + 1]):
                x = values[k]
                weight = vector(f.params + (own.weight + indices[k] * op.ld_out) * size, dtype)
                for j in range(op.ld_out):
                    y[j] += x * weight[j]
        activate(op, f, 0, first, last, size)

    return LAYER_KERNEL, sparse_dense_forward


@layer_kernel("dense", "backward")
def make_dense_backward(dtype):
    """``dx = (begin + dy @ weight.T) * dx``, where the derivative of what came before waits in dx if `scale`."""
    digest = DIGEST
    size = dtype().itemsize

    def dense_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dense_at(op_address)
        f = frame_at(frame_address)
        dy = row_at(f, op.dy, op.ld_out, 0, first, size)  # (B, O)
        transposed = f.transposed + own.transposed * size  # (O, I)
        dx = row_at(f, op.dx, op.ld_in, 0, first, size)  # OUT (B, I)
        begin = row_at(f, op.begin, op.ld_in, 0, first, size) if op.begin >= 0 else 0  # (B, I)
        ld = op.ld_in
        multiply(f, dy, op.ld_out, transposed, ld, dx, ld, last - first, ld, op.n_out, begin, ld, op.scale)

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


@layer_kernel("dense", "update", False)
@layer_kernel("sparse_dense", "update", True)
def make_update(dtype, sparse):
    """Gradients ``x.T @ dy`` and ``sum(dy)`` over the batch, handed to the optimizer strip by strip."""
    digest = DIGEST
    size = dtype().itemsize
    whole = np.int64
    collect = COLLECT
    apply = APPLY
    lanes = INSTRUCTION_SET.vector_bytes // size

    def update(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dense_at(op_address)
        f = frame_at(frame_address)
        x = f.work + op.x * f.capacity * size  # (B, I)
        dy = f.work + op.dy * f.capacity * size  # (B, O)
        direct = f.phase == collect and f.done == 0  # the first chunk is summed where it is stored
        strips = (op.n_in + f.row_block - 1) // f.row_block
        for s in range(f.rank * strips // f.n_threads, (f.rank + 1) * strips // f.n_threads):
            i = s * f.row_block
            rows = min(f.row_block, op.n_in - i)
            at = own.weight + i * op.ld_out
            tile = f.gradient + at * size if direct else f.scratch
            if f.phase == apply:
                pass
            elif sparse:
                _sparse_gradient(op, f, i, rows, last, tile, size, dtype, whole)
            else:
                ld = op.ld_out
                # x is read as its transpose: its rows are next to each other, its columns ld_in apart.
                arguments = (x + i * size, 1, op.ld_in, dy, ld, tile, ld, rows, ld, last, 0, 0, 0, f.panel)
                call_product(f.product, arguments)
            use_gradient(f, frame_address, at, rows * op.ld_out, tile, op.slot + s, 1, size, dtype)
            if own.transposed >= 0 and f.phase != collect:
                target = f.transposed + (own.transposed + i) * size
                weights = f.params + at * size
                transpose_rows(weights, op.ld_out, op.n_out, target, op.ld_in, rows, dtype, lanes, size)
        if f.rank == f.n_threads - 1 and own.bias >= 0:  # the one with the fewest strips, if any has fewer
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

    def constrain(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = dense_at(op_address)
        f = frame_at(frame_address)
        lines = op.ld_out * size // 64
        begin = f.rank * lines // f.n_threads * (64 // size)
        end = (f.rank + 1) * lines // f.n_threads * (64 // size)
        count = end - begin
        factor = vector(f.scratch, dtype)
        limit = dtype(f.max_norm)
        clear(f.scratch, count * size)
        for i in range(op.n_in):
            weight = vector(f.params + (own.weight + i * op.ld_out + begin) * size, dtype)
            for j in range(count):
                factor[j] += weight[j] * weight[j]
        for j in range(count):
            norm = sqrt(factor[j])
            factor[j] = limit / norm if norm > limit else dtype(1)
        for i in range(op.n_in):
            weight = vector(f.params + (own.weight + i * op.ld_out + begin) * size, dtype)  # OUT (I, O)
            for j in range(count):
                weight[j] *= factor[j]
        if own.transposed >= 0:
            for j in range(min(count, op.n_out - begin)):
                target = f.transposed + (own.transposed + (begin + j) * op.ld_in) * size
                row = vector(target, dtype)  # OUT (O, I)
                for i in range(op.n_in):
                    row[i] *= factor[j]

    return LAYER_KERNEL, constrain
