"""Matrix products by the CPU's kernel, for tests."""

from skneural.backends.cpu.compiler import kernel
from skneural.backends.cpu.layout import PANELS_FROM, STRIP
from skneural.backends.cpu.product import make_product
from skneural.backends.cpu.updates import make_lay_out
from skneural.backends.frame import Frame
from skneural.network.memory import aligned_zeros


def product_of(a, b, begin, n_columns, *, scale=0.0, panels=False):
    """``begin + a @ b`` by the kernel, times `scale` if that is not 0; as wide as b, whose rows are padded.

    With `panels` b is laid out first, where it is wide enough for that.
    """
    dtype = a.dtype.type
    depth, ld = b.shape
    c = aligned_zeros(len(a) * ld, dtype)
    c[:] = scale
    at = b.ctypes.data
    ld_b = ld
    if panels and ld * b.itemsize >= PANELS_FROM:
        laid_out = aligned_zeros(b.size, dtype)
        frame = Frame()
        frame.update(params=at, panels=laid_out.ctypes.data)
        kernel(make_lay_out, dtype).ctypes(frame.address, 0, -1, depth, ld, 1, ld, 0, 0, 1)
        at = laid_out.ctypes.data
        ld_b = -depth
    by_row, by_column = (stride // a.itemsize for stride in a.strides)
    kernel(make_product, dtype).ctypes(
        a.ctypes.data, by_row, by_column, STRIP * by_row, at, ld_b, c.ctypes.data, ld,
        len(a), n_columns, ld, depth, begin.ctypes.data, 0, scale != 0,
    )  # fmt: skip
    return c.reshape(-1, ld)
