"""Products with one column: the outputs of a regression with one target."""

import numpy as np
import pytest
from matrices import product_of

from skneural.network.memory import aligned_zeros, padded

DTYPES = [np.float32, np.float64]
#: Numbers behind A.
ALIGNED = 16


def column(depth, dtype, rng):
    """A column of weights, in rows as wide as the kernels have them; what stands beyond it must not be read."""
    b = aligned_zeros(depth * padded(1, np.dtype(dtype)), dtype).reshape(depth, -1)
    b[:, 0] = rng.normal(size=depth)
    b[:, 1:] = np.nan
    return b


def matrix(n_rows, depth, dtype, rng, transposed):
    """A matrix or the transpose of one, behind which there is something."""
    shape = (depth, n_rows) if transposed else (n_rows, depth)
    ld = padded(shape[1], np.dtype(dtype))
    stored = aligned_zeros(shape[0] * ld + ALIGNED, dtype)
    stored[:] = np.nan
    a = stored[: shape[0] * ld].reshape(shape[0], ld)[:, : shape[1]]
    a[:] = rng.normal(size=shape)
    return a.T if transposed else a


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("depth", [1, 3, 8, 16, 100, 203])
@pytest.mark.parametrize("n_rows", [1, 7, 10, 23, 48, 49, 131])
def test_product(dtype, transposed, depth, n_rows):
    rng = np.random.default_rng(0)
    a = matrix(n_rows, depth, dtype, rng, transposed)
    b = column(depth, dtype, rng)
    begin = aligned_zeros(b.shape[1], dtype)
    begin[0] = 2
    expected = 2 + a.astype(float) @ b[:, 0]
    tolerance = 4 * (depth + 4) * np.finfo(dtype).eps
    for scale in (0.0, 0.5):
        c = product_of(a, b, begin, 1, scale=scale)
        np.testing.assert_allclose(c[:, 0], expected * (scale or 1), atol=tolerance)
        assert not c[:, 1:].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_bits_it_has_among_others(dtype):
    rng = np.random.default_rng(0)
    a = matrix(47, 203, dtype, rng, transposed=False)
    b = column(203, dtype, rng)
    begin = aligned_zeros(b.shape[1], dtype)
    together = product_of(a, b, begin, 1)
    for first, last in ((0, 1), (3, 13), (40, 47), (12, 33)):
        np.testing.assert_array_equal(product_of(a[first:last], b, begin, 1), together[first:last])
