"""Products channel by channel: what depthwise convolutions are made of.

All matrices have the channels side by side, and each is multiplied by its own weight: a vector of numbers by a vector
of weights. Sums stay in registers over all taps of a window, or over all pixels and rows of a block.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from skneural.backends import compiling
from skneural.backends.cpu.intrinsics import emit_prefetch, values_of
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.tiles import Vectors, emit_end, emit_loops, emit_start

#: Vectors of a line, which is 64 bytes of channels: rows have a multiple of it.
VECTORS = 64 // INSTRUCTION_SET.vector_bytes
#: Lines of a tile: sums for eight multiply-adds under way, which take four cycles, and two of them begin in each.
LINES = max(8 // VECTORS, 2)
#: Columns of a window of which several are multiplied at once.
ACROSS = 3

_I64 = ir.IntType(64)


def _tile(emit):
    """An intrinsic ``tile(dtype, rows, lines, arguments)`` that has `emit` write its body."""

    @intrinsic(prefer_literal=True)
    def tile(typingctx, dtype, rows, lines, arguments):
        if not (isinstance(rows, types.IntegerLiteral) and isinstance(lines, types.IntegerLiteral)):
            return None
        number = dtype.instance_type

        def codegen(context, builder, sig, args):
            values = values_of(context, builder, arguments, args[3], [types.int64] * len(arguments))
            v = Vectors(builder, context.get_value_type(number), number.bitwidth // 8)
            columns = [_I64(i * v.lanes) for i in range(lines.literal_value * VECTORS)]
            emit(v, rows.literal_value, columns, *values)
            return context.get_dummy_value()

        return types.void(dtype, rows, lines, arguments), codegen

    return tile


def _emit_window(v, rows, columns, a, a_row, b, c, ldc, begin, ld_begin, scale, n_y, a_y, b_y, n_x, a_x, b_x):
    """``C[rows, lines] = begin + sum over y, x of A[:, y, x] * B[y, x]``, times what C held if `scale`."""
    builder = v.builder
    c_pointer = v.pointer(c)
    starts = emit_start(v, rows, columns, begin, v.pointer(begin), ld_begin)
    offsets = [v.opaque(builder.mul(_I64(m), a_row)) if m else _I64(0) for m in range(rows)]
    places = []
    for m in range(rows):
        row_places = [v.at(c_pointer, v.index(m, ldc, column)) for column in columns]
        for place in row_places[::VECTORS]:
            emit_prefetch(builder, place)
        places += row_places

    def add_products(a_here, b_here, sums):
        weights = [v.load(b_here, column) for column in columns]
        new = []
        for m, offset in enumerate(offsets):
            row = builder.gep(a_here, [offset])
            for i, weight in enumerate(weights):
                x = v.load(row, columns[i])
                new.append(v.multiply_add(x, weight, sums[m * len(columns) + i]))
        return new

    loops = [(n_y, a_y, b_y), (n_x, a_x, b_x)]
    sums = emit_loops(v, loops, v.pointer(a), v.pointer(b), starts, add_products)
    emit_end(v, places, sums, scale)


def _emit_run(v, pixels, columns, a, a_x, b, b_x, c, c_x, begin, begin_x, scale, n_y, a_y, b_y):
    """The same of windows side by side, each with `ACROSS` columns: what several of them see is read once.

    A row of each window; they are `a_x` apart, as their columns are. The products have the same order.
    """
    builder = v.builder
    c_pointer = v.pointer(c)
    starts = emit_start(v, pixels, columns, begin, v.pointer(begin), begin_x)
    a_offsets = [v.index(j, a_x, _I64(0)) for j in range(pixels + ACROSS - 1)]
    b_offsets = [v.index(t, b_x, _I64(0)) for t in range(ACROSS)]
    places = []
    for m in range(pixels):
        places += [v.at(c_pointer, v.index(m, c_x, column)) for column in columns]

    def add_products(a_here, b_here, sums):
        new = list(sums)
        for j, offset in enumerate(a_offsets):
            pixel = builder.gep(a_here, [offset])
            numbers = [v.load(pixel, column) for column in columns]
            for t in range(ACROSS):
                if not 0 <= j - t < pixels:
                    continue
                tap = builder.gep(b_here, [b_offsets[t]])
                for i, column in enumerate(columns):
                    place = (j - t) * len(columns) + i
                    weight = v.load(tap, column)
                    new[place] = v.multiply_add(numbers[i], weight, new[place])
        return new

    sums = emit_loops(v, [(n_y, a_y, b_y)], v.pointer(a), v.pointer(b), starts, add_products)
    emit_end(v, places, sums, scale)


def _emit_gradient(v, rows, columns, a, a_row, b, b_row, c, n_y, a_y, b_y, n_x, a_x, b_x, n_rows):
    """``C[lines] += sum over y, x and rows of A * B``; so many rows at a time, `n_rows` times."""
    builder = v.builder
    c_pointer = v.pointer(c)

    def add_products(a_here, b_here, sums):
        new = []
        for m in range(rows):
            a_line = builder.gep(a_here, [builder.mul(_I64(m), a_row)])
            b_line = builder.gep(b_here, [builder.mul(_I64(m), b_row)])
            for i, column in enumerate(columns):
                x = v.load(a_line, column)
                dy = v.load(b_line, column)
                new.append(v.multiply_add(x, dy, sums[m * len(columns) + i]))
        return new

    along_rows = (n_rows, builder.mul(_I64(rows), a_row), builder.mul(_I64(rows), b_row))
    loops = [(n_y, a_y, b_y), (n_x, a_x, b_x), along_rows]
    sums = emit_loops(v, loops, v.pointer(a), v.pointer(b), [v.zero] * (rows * len(columns)), add_products)
    for i, column in enumerate(columns):
        total = sums[i]
        for m in range(1, rows):
            total = builder.fadd(total, sums[m * len(columns) + i])
        before = v.load(c_pointer, column)
        v.store(builder.fadd(before, total), v.at(c_pointer, column))


multiply_window = _tile(_emit_window)
multiply_run = _tile(_emit_run)
add_gradient = _tile(_emit_gradient)

compiling.name_intrinsics(globals())
