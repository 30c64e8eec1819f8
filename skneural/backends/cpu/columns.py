"""A product whose matrix B has one column: sums of several rows of C, where a tile would use one lane of a vector.

Such are the outputs of a regression with one target and of a classification with two classes.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from skneural.backends import compiling
from skneural.backends.cpu.intrinsics import values_of
from skneural.backends.cpu.tiles import Vectors

_I64 = ir.IntType(64)
_I32 = ir.IntType(32)


def _multiplier(emit):
    """An intrinsic ``multiply(dtype, count, arguments)`` that has `emit` write its body."""

    @intrinsic(prefer_literal=True)
    def multiply(typingctx, dtype, count, arguments):
        if not isinstance(count, types.IntegerLiteral):
            return None
        number = dtype.instance_type

        def codegen(context, builder, sig, args):
            values = values_of(context, builder, arguments, args[2], [types.int64] * len(arguments))
            lanes = Vectors(builder, context.get_value_type(number), number.bitwidth // 8)
            emit(lanes, count.literal_value, *values)
            return context.get_dummy_value()

        return types.void(dtype, count, arguments), codegen

    return multiply


def _emit_rows(v, rows, a, a_row, b, ldb, c, ldc, depth, begin, ld_begin, scale):
    """Rows of A whose numbers lie next to each other: a vector holds numbers of one row.

    A lane adds up every so many products of a row, then the lanes are added up, then come the products that are left.
    """
    builder = v.builder
    a_pointer = v.pointer(a)
    b_pointer = v.pointer(b)
    lines = [builder.gep(a_pointer, [builder.mul(_I64(m), a_row)]) for m in range(rows)]
    steps = builder.sdiv(depth, _I64(v.lanes))
    sums = [cgutils.alloca_once_value(builder, v.zero) for _ in range(rows)]
    with cgutils.for_range(builder, steps) as loop:
        k = builder.mul(loop.index, _I64(v.lanes))
        column = v.undefined
        for lane in range(v.lanes):
            place = builder.mul(builder.add(k, _I64(lane)), ldb)
            number = v.load_number(b_pointer, place)
            column = builder.insert_element(column, number, _I32(lane))
        for line, total in zip(lines, sums, strict=True):
            x = v.load(line, k)
            before = builder.load(total)
            builder.store(v.multiply_add(x, column, before), total)
    totals = []
    for total in sums:
        number = v.sum_of_lanes(builder.load(total))
        totals.append(cgutils.alloca_once_value(builder, number))
    done = builder.mul(steps, _I64(v.lanes))
    left = builder.sub(depth, done)
    with cgutils.for_range(builder, left) as loop:
        k = builder.add(done, loop.index)
        weight = v.load_number(b_pointer, builder.mul(k, ldb))
        for line, total in zip(lines, totals, strict=True):
            x = v.load_number(line, k)
            before = builder.load(total)
            builder.store(v.multiply_add(x, weight, before), total)
    for m, total in enumerate(totals):
        number = builder.load(total)
        _finish(v, number, m, c, ldc, begin, ld_begin, scale)


def _emit_columns(v, vectors, a, a_col, b, ldb, c, ldc, depth, begin, ld_begin, scale, rows):
    """Columns of A whose numbers lie next to each other: a vector holds numbers of several rows.

    Each is summed over k in order. Of the rows that the vectors hold only the first `rows` are wanted.
    """
    builder = v.builder
    a_pointer = v.pointer(a)
    b_pointer = v.pointer(b)
    sums = [cgutils.alloca_once_value(builder, v.zero) for _ in range(vectors)]
    with cgutils.for_range(builder, depth) as loop:
        k = loop.index
        weight = v.spread(b_pointer, builder.mul(k, ldb))
        column = builder.gep(a_pointer, [builder.mul(k, a_col)])
        for i, total in enumerate(sums):
            x = v.load(column, _I64(i * v.lanes))
            before = builder.load(total)
            builder.store(v.multiply_add(x, weight, before), total)
    for i, total in enumerate(sums):
        vector = builder.load(total)
        for lane in range(v.lanes):
            m = i * v.lanes + lane
            is_wanted = builder.icmp_signed("<", _I64(m), rows)
            with builder.if_then(is_wanted):
                number = builder.extract_element(vector, _I32(lane))
                _finish(v, number, m, c, ldc, begin, ld_begin, scale)


def _finish(v, total, m, c, ldc, begin, ld_begin, scale):
    """Store a sum in row `m` of C and 0 in the rest of its 64 bytes; add what it begins with, or multiply by C."""
    builder = v.builder
    result = cgutils.alloca_once_value(builder, total)
    has_begin = builder.icmp_signed("!=", begin, _I64(0))
    with builder.if_then(has_begin):
        place = builder.mul(_I64(m), ld_begin)
        start = v.load_number(v.pointer(begin), place)
        builder.store(builder.fadd(start, total), result)
    row = builder.gep(v.pointer(c), [builder.mul(_I64(m), ldc)])
    is_scaled = builder.icmp_signed("!=", scale, _I64(0))
    with builder.if_then(is_scaled):
        factor = v.load_number(row, _I64(0))
        before = builder.load(result)
        builder.store(builder.fmul(before, factor), result)
    first = builder.insert_element(v.zero, builder.load(result), _I32(0))
    v.store(first, v.at(row, _I64(0)))
    for place in range(v.lanes, 64 // v.size, v.lanes):
        v.store(v.zero, v.at(row, _I64(place)))


multiply_rows = _multiplier(_emit_rows)
multiply_columns = _multiplier(_emit_columns)

compiling.name_intrinsics(globals())
