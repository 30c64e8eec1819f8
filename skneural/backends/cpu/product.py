"""The matrix product. One function computes ``C = begin + A B``, row by row in tiles that stay in registers.

Every element of C is summed over k in one fixed order, whatever tile it falls in. So a row of the product has the
same bits alone or in any batch, and on any number of threads.

Sizes: M rows of C, N columns (padded to 64 bytes), K depth.
"""

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import PRODUCT_KERNEL, multiply_tile, vector
from skneural.backends.cpu.simd import INSTRUCTION_SET

#: B is packed when the product has this many rows and B rows of this many bytes; below, packing costs more than it
#: saves.
PACK_FROM = 96
PACK_WIDTH = 1024
#: Vectors of B in a tile for a single row: as many sums as a core can have under way.
LINE = 8


def panel_size(depth, dtype):
    """Numbers in the packed panel of B that `product` may need."""
    return depth * INSTRUCTION_SET.wide * INSTRUCTION_SET.vector_bytes // dtype().itemsize


def make_product(dtype):
    """Kernel ``C[M, N] = begin + A[M, K] B[K, N]``.

    Arguments: address of A and its strides by row and by column (in numbers; so A may be the transpose of what is
    stored), address and row stride of B and of C, the sizes, address and row stride of what the sums begin with (0 and
    0 for nothing, a stride of 0 for one row that serves all: a bias), whether to multiply the result by what C held,
    and the address of a panel: B is packed into it where there are enough rows to repay that.
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
    pack_from = PACK_FROM
    pack_width = PACK_WIDTH // size

    def product(a, a_row, a_col, b, ldb, c, ldc, m_rows, n_columns, depth, begin, ld_begin, scale, panel):
        digest  # part of the cache key
        n = 0
        while m_rows == 1 and n_columns - n >= line_width:
            start = begin + n * size if begin != 0 else 0
            tile = (a, a_row, a_col, b + n * size, ldb, c + n * size, ldc, depth, start, 0, scale)
            multiply_tile(dtype, 1, line, tile)
            n += line_width
        while n < n_columns:
            is_wide = n_columns - n >= wide_width
            b_tile = b + n * size
            ld_tile = ldb
            if is_wide and m_rows >= pack_from and ldb >= pack_width:
                packed = vector(panel, dtype)
                for k in range(depth):
                    source = vector(b_tile + k * ldb * size, dtype)
                    for j in range(wide_width):
                        packed[k * wide_width + j] = source[j]
                b_tile = panel
                ld_tile = wide_width
            m = 0
            while m < m_rows:
                left = m_rows - m
                a_tile = a + m * a_row * size
                c_tile = c + (m * ldc + n) * size
                start = begin + (m * ld_begin + n) * size if begin != 0 else 0
                tile = (a_tile, a_row, a_col, b_tile, ld_tile, c_tile, ldc, depth, start, ld_begin, scale)
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
            n += wide_width if is_wide else narrow_width

    return PRODUCT_KERNEL, product
