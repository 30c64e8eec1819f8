"""Products of wide and deep matrices, which are laid out in panels and strips, and what trains on them."""

import numpy as np
import pytest
from matrices import product_of
from networks import sum_and_gradient

from skneural.backends.cpu.layout import PANELS_FROM
from skneural.backends.cpu.product import DEEP, FAR
from skneural.layers import Dense
from skneural.network.initializers import initialize
from skneural.network.memory import aligned_zeros, padded
from skneural.network.program import lower

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("depth", [DEEP - 1, DEEP, DEEP + 1, 2 * DEEP + 77])
def test_steps_of_a_deep_sum_change_no_bit(dtype, depth):
    n_columns = PANELS_FROM // np.dtype(dtype).itemsize + 3
    rng = np.random.default_rng(0)
    a = rng.normal(size=(37, depth)).astype(dtype)
    ld = padded(n_columns, np.dtype(dtype))
    b = aligned_zeros(depth * ld, dtype).reshape(depth, ld)
    b[:, :n_columns] = rng.normal(size=(depth, n_columns))
    ones = aligned_zeros(ld, dtype)
    ones[:n_columns] = 1
    plain = product_of(a, b, ones, n_columns)
    laid_out = product_of(a, b, ones, n_columns, panels=True)
    np.testing.assert_array_equal(laid_out, plain)
    tolerance = depth * 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(plain[:, :n_columns], 1 + a.astype(float) @ b[:, :n_columns], atol=tolerance)
    assert not plain[:, n_columns:].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_columns", [1, 130, 400, 1000])
def test_one_row_has_the_bits_it_has_among_others(dtype, n_columns):
    # A matrix larger than FAR is read in steps of some rows by a single row, and whole by several.
    ld = padded(n_columns, np.dtype(dtype))
    depth = FAR // (ld * np.dtype(dtype).itemsize) + 7
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, depth)).astype(dtype)
    b = aligned_zeros(depth * ld, dtype).reshape(depth, ld)
    b[:, :n_columns] = rng.normal(size=(depth, n_columns))
    begin = aligned_zeros(ld, dtype)
    begin[:n_columns] = 1
    both = product_of(a, b, begin, n_columns)
    expected = 1 + a.astype(float) @ b[:, :n_columns]
    np.testing.assert_allclose(both[:, :n_columns], expected, atol=depth * 4 * np.finfo(dtype).eps)
    for row in range(2):
        np.testing.assert_array_equal(product_of(a[row : row + 1], b, begin, n_columns)[0], both[row])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("n_rows", "n_in", "n_out"), [(70, 157, 300), (1030, 133, 8), (3, 785, 260), (2100, 20, 270), (2048, 9, 200)]
)
def test_gradients_of_wide_layers(crews, dtype, n_rows, n_in, n_out):
    # Columns of x in strips (they are many, or x is large), gradients in panels, rows in several chunks.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_in)).astype(dtype)
    y = rng.normal(size=(n_rows, n_out)).astype(dtype)
    program = lower([Dense(n_out)], n_in, dtype=dtype, loss="squared_error")
    params = initialize(program, 0)
    loss, gradient = sum_and_gradient(program, params, X, y, None)
    difference = X.astype(float) @ program.coefs(params)[0] + program.intercepts(params)[0] - y
    factor = 2 * loss / (difference**2).sum()  # whatever the mean of the loss is over
    expected = factor * X.T.astype(float) @ difference
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(program.coefs(gradient)[0], expected, atol=tolerance * abs(expected).max())
    expected = factor * difference.sum(axis=0)
    np.testing.assert_allclose(program.intercepts(gradient)[0], expected, atol=tolerance * abs(expected).max())
    for n_threads in (2, 3, 5):
        other_loss, other = sum_and_gradient(program, params, X, y, None, n_threads=n_threads)
        assert other_loss == loss
        np.testing.assert_array_equal(other, gradient)
