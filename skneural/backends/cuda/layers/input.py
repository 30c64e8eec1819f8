"""Kernels that bring the rows of a batch in.

Sizes: T steps, B rows, O out; ``ld_out`` is O padded.
"""

import numpy as np

from skneural.backends.cuda.compiler import formula
from skneural.backends.cuda.hub import register
from skneural.backends.cuda.intrinsics import vector
from skneural.backends.cuda.launches import layer_launches
from skneural.backends.cuda.layers.dense import reads_data
from skneural.backends.cuda.rows import (
    length_of,
    length_of_sample,
    make_each_number,
    partner_of,
    place_of,
    place_of_partner,
    put_y,
    sample_of,
    share_of,
)
from skneural.maths.sparse import first_from

formula(first_from)


@layer_launches("input", "forward")
def input_launches(net, i):
    """Rows of a sparse matrix are written out; those that dense layers read from the data itself are not copied."""
    readers = [net.number(operation) for operation, _ in net.operation(i).output.readers]
    if not net.sparse and all(reads_data(net, reader) for reader in readers):
        return []
    return [net.over_numbers(i, make_sparse_input_forward if net.sparse else make_input_forward)]


def make_input_forward(dtype):
    """Copy the rows of the batch, in the order of the epoch."""
    size = dtype().itemsize

    def work(op, own, f, row, j):
        x = vector(f.inputs + place_of(f, row) * f.ld_inputs * size, dtype)
        put_y(op, f, row, j, dtype, x[j])

    return make_each_number("input", work)


def make_sparse_input_forward(dtype):
    """Write the rows of the batch out, of a CSR matrix with sorted columns."""

    def work(op, own, f, row, j):
        indptr = vector(f.indptr, np.int64)
        indices = vector(f.indices, np.int64)
        i = sample_of(f, row)
        end = indptr[i + 1]
        k = first_from(indices, indptr[i], end, j)
        total = dtype(0)
        while k < end and indices[k] == j:  # entries given twice are added
            total += vector(f.inputs, dtype)[k]
            k += 1
        put_y(op, f, row, j, dtype, total)

    return make_each_number("input", work)


def make_number_of(dtype):
    """A function: number j of step t of the sample at a place of the data, whatever numbers that holds.

    Features and steps may run backwards, so numbers are reached by their addresses.
    """
    size = dtype().itemsize

    def number_of(f, place, t, j):
        at = place * f.ld_inputs + t * f.ld_steps + j * f.ld_features
        if f.integers == 0:
            return vector(f.inputs + at * size, dtype)[0]
        if f.integers == 1:
            return dtype(vector(f.inputs + at, np.uint8)[0])
        return dtype(vector(f.inputs + 2 * at, np.uint16)[0])

    return register(number_of)


@layer_launches("sequence_input", "forward")
def sequence_input_launches(net, i):
    """Sequences of any numbers, mixed where samples are."""
    return [net.over_numbers(i, make_sequence_input_forward, net.mixes)]


def make_sequence_input_forward(dtype, mixes):
    """Copy the sequences of the batch, standardised; steps after the last of a row are 0.

    Where samples are mixed, steps that the partner lacks stay as they are.
    """
    size = dtype().itemsize
    number_of = make_number_of(dtype)

    def work(op, own, f, row, j):
        t = row // f.chunk
        r = row % f.chunk
        value = dtype(0)
        if t < length_of(f, op.every, op.steps, r):
            value = number_of(f, place_of(f, r), t, j)
            if mixes and t < length_of_sample(f, op.every, op.steps, partner_of(f, r)):
                share = dtype(share_of(f, f.start + r))
                value = share * value + (dtype(1) - share) * number_of(f, place_of_partner(f, r), t, j)
            if own.scaling >= 0:
                scaling = vector(f.params + own.scaling * size, dtype)  # (2, O): mean and deviation
                value = (value - scaling[j]) / scaling[op.ld_out + j]
        put_y(op, f, row, j, dtype, value)

    return make_each_number("sequence_input", work)
