"""Loops over the units of a recurrent layer: vectors that take turns, then single ones, and nothing beyond."""

import numpy as np
import pytest
from numba import cfunc, types

from skneural.backends.cpu.compiler import formula
from skneural.backends.cpu.intrinsics import vector
from skneural.backends.cpu.loops import UNIT_BYTES, for_each, gates_of, get_unit, set_unit
from skneural.backends.frame import data
from skneural.network.memory import aligned_zeros

N_GATES = 3


@pytest.fixture(scope="module", params=[np.float32, np.float64], ids=["float32", "float64"])
def loop(request):
    """A compiled loop: three gates become sums and products of themselves and of another array."""
    dtype = request.param
    n_gates = N_GATES

    def unit(j, gates, x, y):
        a, b, c = get_unit(gates, j)
        set_unit(gates, j, (a + x[j], b * x[j], a + b))
        y[j] = c

    body = formula(unit)

    def each(count, *arrays):
        for_each(body, count, dtype, arrays)

    each_unit = formula(each)

    def run(z, x, y, pitch, count):
        each_unit(count, gates_of(vector(z, dtype), n_gates, pitch), vector(x, dtype), vector(y, dtype))

    return dtype, cfunc(types.void(*(types.int64,) * 5))(run).ctypes


def test_every_unit_once_and_none_beyond(loop):
    dtype, run = loop
    unit = UNIT_BYTES // dtype().itemsize
    random = np.random.default_rng(0)
    for count in range(0, 20 * unit, unit):
        pitch = count + unit
        z = aligned_zeros(N_GATES * pitch, dtype).reshape(N_GATES, pitch)
        z[:] = random.integers(-9, 9, z.shape)
        x = random.integers(-9, 9, pitch).astype(dtype)
        y = np.full(pitch, 99, dtype)
        a, b, c = z.copy()
        run(data(z), data(x), data(y), pitch, count)
        inside = np.arange(pitch) < count
        np.testing.assert_array_equal(z[0], np.where(inside, a + x, a))
        np.testing.assert_array_equal(z[1], np.where(inside, b * x, b))
        np.testing.assert_array_equal(z[2], np.where(inside, a + b, c))
        np.testing.assert_array_equal(y, np.where(inside, c, 99))
