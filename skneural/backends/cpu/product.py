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
PACK_FROM, PACK_WIDTH = 96, 1024
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
    digest, size = DIGEST, dtype().itemsize
    r0, r1, r2, r3, r4 = INSTRUCTION_SET.rows
    wide, narrow = INSTRUCTION_SET.wide, INSTRUCTION_SET.narrow
    lanes = INSTRUCTION_SET.vector_bytes // size
    wide_width, pack_from, pack_width = wide * lanes, PACK_FROM, PACK_WIDTH // size
    line, line_width = LINE, LINE * lanes

    def product(a, a_row, a_col, b, ldb, c, ldc, m_rows, n_columns, depth, begin, ld_begin, scale, panel):
        digest  # part of the cache key
        n = 0
        while m_rows == 1 and n_columns - n >= line_width:
            st = begin + n * size if begin != 0 else 0
            multiply_tile(dtype, 1, line, a, a_row, a_col, b + n * size, ldb, c + n * size, ldc, depth, st, 0, scale)
            n += line_width
        while n < n_columns:
            is_wide = n_columns - n >= wide_width
            bn, ld = b + n * size, ldb
            if is_wide and m_rows >= pack_from and ldb >= pack_width:
                pack = vector(panel, dtype)
                for k in range(depth):
                    source = vector(bn + k * ldb * size, dtype)
                    for j in range(wide_width):
                        pack[k * wide_width + j] = source[j]
                bn, ld = panel, wide_width
            m = 0
            while m < m_rows:
                left = m_rows - m
                at = a + m * a_row * size
                ct = c + (m * ldc + n) * size
                st = begin + (m * ld_begin + n) * size if begin != 0 else 0
                if is_wide:
                    if left >= r0:
                        multiply_tile(dtype, r0, wide, at, a_row, a_col, bn, ld, ct, ldc, depth, st, ld_begin, scale)
                        m += r0
                    elif left >= r1:
                        multiply_tile(dtype, r1, wide, at, a_row, a_col, bn, ld, ct, ldc, depth, st, ld_begin, scale)
                        m += r1
                    elif left >= r2:
                        multiply_tile(dtype, r2, wide, at, a_row, a_col, bn, ld, ct, ldc, depth, st, ld_begin, scale)
                        m += r2
                    elif left >= r3:
                        multiply_tile(dtype, r3, wide, at, a_row, a_col, bn, ld, ct, ldc, depth, st, ld_begin, scale)
                        m += r3
                    else:
                        multiply_tile(dtype, r4, wide, at, a_row, a_col, bn, ld, ct, ldc, depth, st, ld_begin, scale)
                        m += r4
                else:
                    if left >= r0:
                        multiply_tile(dtype, r0, narrow, at, a_row, a_col, bn, ld, ct, ldc, depth, st, ld_begin, scale)
                        m += r0
                    elif left >= r2:
                        multiply_tile(dtype, r2, narrow, at, a_row, a_col, bn, ld, ct, ldc, depth, st, ld_begin, scale)
                        m += r2
                    else:
                        multiply_tile(dtype, r4, narrow, at, a_row, a_col, bn, ld, ct, ldc, depth, st, ld_begin, scale)
                        m += r4
            n += wide_width if is_wide else narrow * lanes

    return PRODUCT_KERNEL, product
