"""Products of windows: what convolutions are made of, without a copy of the windows.

The numbers of a window stand in several places: for each row and each column of it, `depth` numbers in a row (the
channels of a pixel). A tile of a product goes from place to place while its sums stay in registers, in one fixed order.
"""

from numba.extending import register_jitable

from skneural.backends.cpu.compiler import DIGEST, HELPER
from skneural.backends.cpu.intrinsics import WINDOW_KERNEL, clear, vector
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.tiles import multiply_tile


@register_jitable(**HELPER)
def without_window(c, ldc, m_rows, width, begin, ld_begin, scale, size, dtype):
    """The product where a window is empty: what the sums begin with."""
    for m in range(m_rows):
        y = vector(c + m * ldc * size, dtype)
        if begin == 0:
            clear(c + m * ldc * size, width * size)
            continue
        start = vector(begin + m * ld_begin * size, dtype)
        for j in range(width):
            y[j] = start[j] * y[j] if scale != 0 else start[j]


def make_window_product(dtype):
    """Kernel ``C[p, m] = begin[p, m] + sum over y, x of A[p, m, y, x] B[y, x]``, for several windows p.

    Arguments: address of A, its strides by row and by column, and how far one strip is from the next; address of B, and
    its row stride or, where each B[y, x] stands in panels, minus the rows of these; address and row stride of C; rows,
    columns, and the width of C: what is behind its columns becomes 0; depth; address and row stride of what the sums
    begin with (0 and 0 for nothing, a stride of 0 for one row that serves all), and whether to multiply the result by
    what C held; rows of a window, and how far A and B are from one to the next; columns of a window, and the same; how
    many windows, and how far A, C and what the sums begin with are from one to the next; rows of the panels that are
    skipped.
    """
    digest = DIGEST
    size = dtype().itemsize
    lanes = INSTRUCTION_SET.vector_bytes // size
    r0, r1, r2, r3, r4 = INSTRUCTION_SET.rows
    wide = INSTRUCTION_SET.wide
    narrow = INSTRUCTION_SET.narrow
    wide_width = wide * lanes
    narrow_width = narrow * lanes
    unit = 64 // size

    def window_product(
        a, a_row, a_col, a_strip, b, ld_b, c, ldc, m_rows, n_columns, width, depth, begin, ld_begin, scale,
        n_y, a_y, b_y, n_x, a_x, b_x, windows, a_next, c_next, begin_next, skipped,
    ):  # fmt: skip
        digest  # part of the cache key
        if n_y * n_x == 0:
            for p in range(windows):
                start = begin + p * begin_next * size if begin != 0 else 0
                without_window(c + p * c_next * size, ldc, m_rows, width, start, ld_begin, scale, size, dtype)
            return
        n = 0
        while n < n_columns:
            is_wide = n_columns - n > narrow_width
            b_tile = b + n * size
            ld_tile = ld_b
            if ld_b < 0:
                padded = (n_columns - n + unit - 1) // unit * unit
                ld_tile = min(wide_width, padded)
                b_tile = b + (skipped * ld_tile - n * ld_b) * size
            for p in range(windows):
                m = 0
                while m < m_rows:
                    left = m_rows - m
                    strip = m // r0
                    a_tile = a + (p * a_next + strip * a_strip + (m - strip * r0) * a_row) * size
                    c_tile = c + (p * c_next + m * ldc + n) * size
                    start = begin + (p * begin_next + m * ld_begin + n) * size if begin != 0 else 0
                    tile = (
                        a_tile, a_row, a_col, b_tile, ld_tile, c_tile, ldc, depth, start, ld_begin, scale,
                        n_y, a_y, b_y, n_x, a_x, b_x,
                    )  # fmt: skip
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
            for p in range(windows):
                for m in range(m_rows):
                    clear(c + (p * c_next + m * ldc + n) * size, (width - n) * size)

    return WINDOW_KERNEL, window_product
