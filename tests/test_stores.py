"""How kernels store: nothing beyond what they are asked for, and no store that leaves out lanes where that is slow."""

import numpy as np
import pytest
from numba import cfunc, njit, types

from skneural.backends.cpu.compiler import STRICT
from skneural.backends.cpu.layers.activation import make_activation
from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.backends.cpu.tiles import transpose_block
from skneural.maths.activations import ACTIVATIONS

#: Those whose value is `z` itself or a multiple of it, so that a choice between two would do.
PIECEWISE = ("relu", "leaky_relu", "hard_tanh")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_block_is_transposed_and_nothing_beside_it_changes(dtype):
    lanes = INSTRUCTION_SET.vector_bytes // np.dtype(dtype).itemsize

    @njit
    def transpose(source, target, rows):
        transpose_block(dtype, source.ctypes.data, lanes + 3, target.ctypes.data, lanes + 5, rows)

    source = np.random.default_rng(0).normal(size=(lanes, lanes + 3)).astype(dtype)
    for rows in range(1, lanes + 1):
        target = np.full((lanes, lanes + 5), -1, dtype)
        transpose(source, target, rows)
        np.testing.assert_array_equal(target[:, :rows], source[:rows, :lanes].T)
        assert (target[:, rows:] == -1).all()


@pytest.mark.skipif(INSTRUCTION_SET.name != "avx2", reason="there it costs nothing, or is not there")
@pytest.mark.parametrize("name", PIECEWISE)
def test_activations_store_whole_vectors(name):
    arguments, function = make_activation(np.float32, ACTIVATIONS[name])
    kernel = cfunc(types.void(*arguments), error_model="numpy", fastmath=STRICT)(function)
    code = kernel._library.get_asm_str()
    assert "vmovups" in code
    assert "vmaskmov" not in code


@pytest.mark.parametrize("name", PIECEWISE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_piecewise_activations_at_their_ends(name, dtype):
    arguments = (-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan)
    values = [ACTIVATIONS[name].formula(dtype(z)) for z in arguments]
    low = {"relu": [0, 0], "leaky_relu": [-np.inf, -0.01], "hard_tanh": [-1, -1]}[name]
    high = [1, 1] if name == "hard_tanh" else [1, np.inf]
    numbers, slopes = np.array(values, dtype).T
    np.testing.assert_allclose(numbers, [*low, 0, 0, *high, np.nan], rtol=1e-6)
    assert slopes[1] in (0, dtype(0.01)) or name == "hard_tanh"
    assert all(type(value) is dtype for pair in values for value in pair)
