"""Products channel by channel: what depthwise convolutions are made of.

All matrices have the channels side by side, and each is multiplied by its own weight: a vector of numbers by a vector
of weights. Sums stay in registers over all taps of a window, or over all pixels and rows of a block.
"""

from llvmlite import ir

from skneural.backends import compiling
from skneural.backends.cpu.columns import multiplier
from skneural.backends.cpu.intrinsics import emit_prefetch
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.tiles import emit_end, emit_loops, emit_start

#: Vectors of a tile: 64 bytes of channels, of which rows have a multiple.
VECTORS = 64 // INSTRUCTION_SET.vector_bytes
#: Rows of a tile: sums for eight multiply-adds under way, which take four cycles, and two of them begin in each.
ROWS = max(8 // VECTORS, 2)

_I64 = ir.IntType(64)


def _columns_of(v):
    """Where the vectors of a tile begin."""
    return [_I64(i * v.lanes) for i in range(VECTORS)]


def _emit_window(v, rows, a, a_row, b, c, ldc, begin, ld_begin, scale, n_y, a_y, b_y, n_x, a_x, b_x):
    """``C[rows, 64 bytes] = begin + sum over y, x of A[:, y, x] * B[y, x]``, times what C held if `scale`."""
    builder = v.builder
    columns = _columns_of(v)
    c_pointer = v.pointer(c)
    starts = emit_start(v, rows, columns, begin, v.pointer(begin), ld_begin)
    lines = [v.opaque(builder.mul(_I64(m), a_row)) if m else _I64(0) for m in range(rows)]
    places = []
    for m in range(rows):
        row_places = [v.at(c_pointer, v.index(m, ldc, column)) for column in columns]
        emit_prefetch(builder, row_places[0])
        places += row_places

    def add_products(a_here, b_here, sums):
        weights = [v.load(b_here, column) for column in columns]
        new = []
        for m, line in enumerate(lines):
            row = builder.gep(a_here, [line])
            for i, weight in enumerate(weights):
                x = v.load(row, columns[i])
                new.append(v.multiply_add(x, weight, sums[m * VECTORS + i]))
        return new

    loops = [(n_y, a_y, b_y), (n_x, a_x, b_x)]
    sums = emit_loops(v, loops, v.pointer(a), v.pointer(b), starts, add_products)
    emit_end(v, places, sums, scale)


def _emit_gradient(v, rows, a, a_row, b, b_row, c, n_y, a_y, b_y, n_x, a_x, b_x, n_rows):
    """``C[64 bytes] += sum over y, x and rows of A * B``; so many rows at a time, `n_rows` times."""
    builder = v.builder
    columns = _columns_of(v)
    c_pointer = v.pointer(c)

    def add_products(a_here, b_here, sums):
        new = []
        for m in range(rows):
            a_line = builder.gep(a_here, [builder.mul(_I64(m), a_row)])
            b_line = builder.gep(b_here, [builder.mul(_I64(m), b_row)])
            for i, column in enumerate(columns):
                x = v.load(a_line, column)
                dy = v.load(b_line, column)
                new.append(v.multiply_add(x, dy, sums[m * VECTORS + i]))
        return new

    along_rows = (n_rows, builder.mul(_I64(rows), a_row), builder.mul(_I64(rows), b_row))
    loops = [(n_y, a_y, b_y), (n_x, a_x, b_x), along_rows]
    sums = emit_loops(v, loops, v.pointer(a), v.pointer(b), [v.zero] * (rows * VECTORS), add_products)
    for i, column in enumerate(columns):
        total = sums[i]
        for m in range(1, rows):
            total = builder.fadd(total, sums[m * VECTORS + i])
        before = v.load(c_pointer, column)
        v.store(builder.fadd(before, total), v.at(c_pointer, column))


multiply_window = multiplier(_emit_window)
add_gradient = multiplier(_emit_gradient)

compiling.name_intrinsics(globals())
