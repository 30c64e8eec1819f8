"""The matrix product. One function computes ``C = begin + A B``, row by row in tiles that stay in registers.

Every element of C is summed over k in one fixed order, whatever tile it falls in. So a row of the product has the
same bits alone or in any batch, and on any number of threads.

Wide matrices are laid out for it beforehand, so that a tile reads A and B from one end to the other. B stands in
panels: as many columns as a tile has, all rows of them, then the next columns. They take the room of the matrix with
padded rows. A stands in strips: as many rows as a tile has, number by number, column after column. Weights are laid out
when they change; then all rows of a batch, on all threads, are multiplied by the same panels.

Sizes: M rows of C, N columns, K depth.
"""

from numba.extending import register_jitable

from skneural.backends.cpu.columns import multiply_columns, multiply_rows
from skneural.backends.cpu.compiler import DIGEST, HELPER, formula
from skneural.backends.cpu.intrinsics import PRODUCT_KERNEL, clear
from skneural.backends.cpu.layout import STRIP, STRIPS, strip_pitch
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.tiles import copy_column, copy_line, multiply_tile, transpose_block

#: Bytes of B from which it is not in a cache of the core, and strips of A then: B is read a quarter as often (products
#: of 2048 x 2048 matrices take 0.88 of the time; smaller ones lose by it what they need the cache for).
FAR = 1 << 20
STRIPS_IF_FAR = 32
#: Bytes of A, and of a row of B, from which A is laid out in strips: most of A leaves the first-level cache before the
#: next panel of B, and the panels are enough to repay the copy. Where A leaves the second-level cache, it always pays.
STRIPS_FROM = 1 << 15
STRIPS_WIDTH = 512
ALWAYS_STRIPS_FROM = 1 << 19
#: Depth from which the sums are taken in steps of so many products, in the order of k all the same: what they have come
#: to waits in C. A panel as deep as that stays in the first-level cache.
DEEP = 1024
DEPTH_STEP = 512
#: Vectors of B in a tile for a single row: as many sums as a core can have under way.
LINE = 8
#: Rows of B that a single row is multiplied by at a time where B is not in a cache of the core: it is read faster from
#: one end to the other than a few vectors of every row.
LINE_STEP = 4
#: Where B is one column: rows of A that are multiplied at once, if the numbers of a row lie next to each other (their
#: sums and a vector of B fit the registers), and vectors of A, if those of a column do.
COLUMN_ROWS = 10
COLUMN_VECTORS = 6
FEW_VECTORS = 2
#: Bytes of a row of a panel.
PANEL = INSTRUCTION_SET.wide * INSTRUCTION_SET.vector_bytes

_VECTOR = INSTRUCTION_SET.vector_bytes
formula(strip_pitch)


@register_jitable(**HELPER)
def rows_at_a_time(rows, strips):
    """How many rows of A one panel of B after the other is multiplied by: about so many strips, in equal pieces."""
    together = strips * STRIP
    pieces = max((rows + together // 2) // together, 1)
    return (rows + pieces * STRIP - 1) // (pieces * STRIP) * STRIP


@register_jitable(**HELPER)
def one_column(a, a_row, a_col, b, ld_b, c, ldc, m_rows, depth, begin, ld_begin, scale, size, dtype):
    """The product where B has one column, and rows or columns of A are stored without gaps."""
    lanes = _VECTOR // size
    m = 0
    while m < m_rows:
        left = m_rows - m
        origin = a + m * a_row * size
        goal = c + m * ldc * size
        start = begin + m * ld_begin * size if begin != 0 else 0
        if a_col == 1:
            tile = (origin, a_row, b, ld_b, goal, ldc, depth, start, ld_begin, scale)
            if left >= COLUMN_ROWS:
                multiply_rows(dtype, COLUMN_ROWS, tile)
                m += COLUMN_ROWS
            else:
                multiply_rows(dtype, 1, tile)
                m += 1
        else:
            tile = (origin, a_col, b, ld_b, goal, ldc, depth, start, ld_begin, scale, left)
            if left >= COLUMN_VECTORS * lanes:
                multiply_columns(dtype, COLUMN_VECTORS, tile)
                m += COLUMN_VECTORS * lanes
            elif left >= FEW_VECTORS * lanes:
                multiply_columns(dtype, FEW_VECTORS, tile)
                m += FEW_VECTORS * lanes
            else:  # less than a vector is read beyond the last row: so much is there
                multiply_columns(dtype, 1, tile)
                m += lanes


def make_product(dtype):
    """Kernel ``C[M, N] = begin + A[M, K] B[K, N]``.

    Arguments: address of A, its strides by row and by column (in numbers; so A may be the transpose of what is stored),
    and how far one strip is from the next; address of B, and its row stride or, where B stands in panels, minus the
    rows of these; address and row stride of C; M, N, and the width of C: what is between N and that becomes 0; K;
    address and row stride of what the sums begin with (0 and 0 for nothing, a stride of 0 for one row that serves all:
    a bias); whether to multiply the result by what C held.
    """
    digest = DIGEST
    size = dtype().itemsize
    lanes = INSTRUCTION_SET.vector_bytes // size
    r0, r1, r2, r3, r4 = INSTRUCTION_SET.rows
    wide = INSTRUCTION_SET.wide
    narrow = INSTRUCTION_SET.narrow
    line = LINE
    wide_width = wide * lanes
    narrow_width = narrow * lanes
    line_width = line * lanes
    unit = 64 // size

    def product(
        a, a_row, a_col, a_strip, b, ld_b, c, ldc, m_rows, n_columns, width, depth, begin, ld_begin, scale
    ):  # fmt: skip
        digest  # part of the cache key
        in_panels = ld_b < 0
        if n_columns == 1 and width == unit and (a_col == 1 or (a_row == 1 and a_strip == r0)):
            ld_one = unit if in_panels else ld_b
            one_column(a, a_row, a_col, b, ld_one, c, ldc, m_rows, depth, begin, ld_begin, scale, size, dtype)
            return
        is_far = depth * max(ld_b, n_columns) * size > FAR
        strips = STRIPS_IF_FAR if is_far else STRIPS
        group = rows_at_a_time(m_rows, strips) if in_panels else m_rows
        step = depth
        if scale == 0:
            if in_panels and depth > DEEP:
                step = DEPTH_STEP
            elif m_rows == 1 and is_far:
                step = LINE_STEP
        k = 0
        while k < depth:
            k_end = min(k + step, depth)
            source = begin if k == 0 else c
            ld_source = ld_begin if k == 0 else ldc
            a_line = a + k * a_col * size
            top = 0
            while top < m_rows:
                bottom = min(top + group, m_rows)
                n = 0
                while m_rows == 1 and not in_panels and width - n >= line_width:
                    start = source + n * size if source != 0 else 0
                    b_tile = b + (k * ld_b + n) * size
                    tile = (a_line, a_row, a_col, b_tile, ld_b, c + n * size, ldc, k_end - k, start, 0, scale)
                    multiply_tile(dtype, 1, line, tile)
                    n += line_width
                while n < n_columns:
                    is_wide = n_columns - n > narrow_width
                    b_tile = b + (k * ld_b + n) * size
                    ld_tile = ld_b
                    if in_panels:
                        padded = (n_columns - n + unit - 1) // unit * unit
                        ld_tile = min(wide_width, padded)
                        b_tile = b + (k * ld_tile - n * ld_b) * size
                    m = top
                    while m < bottom:
                        strip = m // r0
                        left = min(bottom - m, (strip + 1) * r0 - m)
                        a_tile = a + (strip * a_strip + (m - strip * r0) * a_row + k * a_col) * size
                        c_tile = c + (m * ldc + n) * size
                        start = source + (m * ld_source + n) * size if source != 0 else 0
                        tile = (a_tile, a_row, a_col, b_tile, ld_tile, c_tile, ldc, k_end - k, start, ld_source, scale)
                        if is_wide:
                            if left >= r0:
                                multiply_tile(dtype, r0, wide, tile)
                                m += r0
                            elif left >= r1:
                                multiply_tile(dtype, r1, wide, tile)
                                m += r1
                            elif left >= r2:
                                multiply_tile(dtype, r2, wide, tile)
                                m += r2
                            elif left >= r3:
                                multiply_tile(dtype, r3, wide, tile)
                                m += r3
                            else:
                                multiply_tile(dtype, r4, wide, tile)
                                m += r4
                        else:
                            if left >= r0:
                                multiply_tile(dtype, r0, narrow, tile)
                                m += r0
                            elif left >= r2:
                                multiply_tile(dtype, r2, narrow, tile)
                                m += r2
                            else:
                                multiply_tile(dtype, r4, narrow, tile)
                                m += r4
                    n += wide_width if is_wide else unit
                if n < width:
                    for m in range(top, bottom):
                        clear(c + (m * ldc + n) * size, (width - n) * size)
                top = bottom
            k = k_end

    return PRODUCT_KERNEL, product


@register_jitable(**HELPER)
def lay_out_panels(source, ld, target, depth, first, count, begin, end, size, dtype):
    """Copy rows of a matrix, from row `first` on, into its panels of `depth` rows: columns `begin` to `end`.

    The columns begin with a panel; `source` is the address of the first row that is copied.
    """
    wide = PANEL // size
    n = begin
    while n < end:
        width = min(wide, ld - n)
        origin = source + n * size
        goal = target + (n * depth + first * width) * size
        for _ in range(count):
            copy_line(dtype, origin, goal)
            if width * size > 64:
                copy_line(dtype, origin + 64, goal + 64)
            origin += ld * size
            goal += width * size
        n += wide


@register_jitable(**HELPER)
def pays_strips(depth, ld, ld_b, size):
    """Whether it pays to lay out the transpose of a matrix of `depth` rows in strips, for a product with B."""
    stored = depth * ld * size
    return stored > ALWAYS_STRIPS_FROM or (stored > STRIPS_FROM and ld_b * size >= STRIPS_WIDTH)


@register_jitable(**HELPER)
def lay_out_strips(source, ld, columns, depth, target, pitch, size, dtype):
    """Copy the transpose of a matrix of `depth` rows into strips that are `pitch` numbers apart."""
    strips = (columns + STRIP - 1) // STRIP
    for k in range(depth):
        origin = source + k * ld * size
        goal = target + k * STRIP * size
        for _ in range(strips):
            copy_column(dtype, origin, goal)
            origin += STRIP * size
            goal += pitch * size


@register_jitable(**HELPER)
def transpose_panels(source, ld, width, target, depth, ld_target, first, count, size, dtype):
    """Transpose rows of a matrix, from row `first` on and `width` numbers each, into panels of the transposed matrix.

    Its rows, of which there is room for `depth`, have `ld_target` numbers.
    """
    wide = PANEL // size
    lanes = _VECTOR // size
    end = first + count
    row = first
    while row < end:
        after = min(end, (row // lanes + 1) * lanes)
        panel = row // wide * wide
        ld_panel = min(wide, ld_target - panel)
        goal = target + (panel * depth + row - panel) * size
        for n in range(0, width, lanes):
            block = source + ((row - first) * ld + n) * size
            transpose_block(dtype, block, ld, goal + n * ld_panel * size, ld_panel, after - row)
        row = after
