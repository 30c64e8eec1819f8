"""How threads share the statistics of a batch: parts of its rows, or columns."""

from numba.extending import register_jitable

from skneural.backends.cpu.compiler import HELPER
from skneural.maths.normalization import MOST_PARTS, ROWS_OF_PART


@register_jitable(**HELPER)
def share_of_columns(op, f, rank, size):
    """First column of a thread's share: whole cache lines."""
    lines = op.ld_out * size // 64
    first_line = rank * lines // f.n_threads
    return first_line * (64 // size)


@register_jitable(**HELPER)
def parts_of(op, rows):
    """In how many parts the rows of all steps are looked at."""
    fit = op.steps * rows // ROWS_OF_PART
    return min(max(fit, 1), MOST_PARTS)


@register_jitable(**HELPER)
def own_share(op, f, parts, size):
    """This thread's share: the first of its parts, and one after the last; the first of its columns, and how many.

    Of several parts a thread takes some with all columns, which are about what it has computed itself, and stand in its
    caches; of a single one it takes some columns.
    """
    if parts > 1:
        first = f.rank * parts // f.n_threads
        last = (f.rank + 1) * parts // f.n_threads
        return first, last, 0, op.ld_out
    begin = share_of_columns(op, f, f.rank, size)
    end = share_of_columns(op, f, f.rank + 1, size)
    return 0, 1, begin, end - begin
