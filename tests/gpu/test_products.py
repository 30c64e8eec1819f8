"""Matrix products of the CUDA backend, tile by tile, against NumPy."""

import numpy as np
import pytest

from skneural.backends.cuda import compiler, hub, product
from skneural.backends.cuda.launches import product_launch
from skneural.backends.cuda.layers.dense import make_dy_lines, make_x_lines
from skneural.backends.cuda.memory import Arena
from skneural.backends.cuda.product import REAL_TILES, TILES, choose_tile, make_product
from skneural.backends.cuda.rows import put
from skneural.backends.cuda.steps import make_shuffle
from skneural.backends.frame import Frame
from skneural.maths import random
from skneural.network.memory import padded
from skneural.network.operations import OP

pytestmark = pytest.mark.gpu

#: Bits of the mantissa that an element of a product keeps.
CLOSE = {"float32": 2e-6, "float64": 1e-14, "tf32": 3e-3}


def make_plain_product(dtype, tile, layout):
    """C = A B: A stands in buffer x, B in dy, C in y."""

    def sizes(op, own, f, step):
        return op.steps, op.n_out, op.n_in

    def finish(op, own, f, step, ready, part, m, n, total):
        put(f, op.y, op.slot, m, n, dtype, total)

    a = make_x_lines(dtype, from_data=False)
    return make_product(dtype, tile, layout, "dense", sizes, a, make_dy_lines(dtype), finish, f"{layout} {tile.name}")


def padded_rows(a):
    """A matrix in rows padded with zeros."""
    out = np.zeros((len(a), padded(a.shape[1], a.dtype)), a.dtype)
    out[:, : a.shape[1]] = a
    return out


def check_product(precision, tile, layout, shape):
    """Assert that a product is right, and that nothing else has been written to."""
    dtype = np.float64 if precision == "float64" else np.float32
    (m, n, k), rng = shape, np.random.default_rng(0)
    A, B = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    stored = [padded_rows(A.T if layout[0] == "T" else A), padded_rows(B.T if layout[1] == "T" else B)]
    arena, frame, op = Arena(hub.new_stream(0)), Frame(), np.zeros(1, OP)
    ld = padded(n, dtype)
    memory = np.concatenate([*(a.ravel() for a in stored), np.zeros(m * ld, dtype)])
    op["x"], op["dy"], op["y"] = 0, stored[0].size, stored[0].size + stored[1].size
    op["ld_in"], op["ld_out"], op["slot"] = stored[0].shape[1], stored[1].shape[1], ld
    op["steps"], op["n_out"], op["n_in"] = m, n, k
    frame.update(work=arena.put("work", memory), capacity=1)
    ops, frames = arena.put("ops", op.view(np.int64)), arena.put("frames", frame.numbers)
    launch = product_launch((make_plain_product, dtype, tile, layout), tile, dtype().itemsize, m, n, 0)
    launch.start(arena.stream, ops, frames)
    arena.get("work", memory)
    C, exact = memory[-m * ld :].reshape(m, ld), A.astype(float) @ B.astype(float)
    close = CLOSE["float32" if precision == "tf32" and not tile.tensor else precision]
    np.testing.assert_allclose(C[:, :n], exact, atol=close * np.sqrt(k) * 3)
    assert (C[:, n:] == 0).all()
    arena.close()


SHAPES = [
    (1, 1, 1),
    (5, 7, 3),
    pytest.param((17, 16, 33), marks=pytest.mark.slow),
    pytest.param((16, 40, 9), marks=pytest.mark.slow),
]


def tiles(of):
    """Precisions and tiles, by name."""
    return [pytest.param(name, tile, id=f"{name}-{tile.name}") for name, group in of.items() for tile in group]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["NN", "NT", "TN"])
@pytest.mark.parametrize(("precision", "tile"), tiles(TILES))
def test_product(precision, tile, layout, shape):
    check_product(precision, tile, layout, shape)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["NN", "NT", "TN"])
@pytest.mark.parametrize(("precision", "tile"), tiles(REAL_TILES))
def test_product_of_the_tiles_that_gpus_use(precision, tile, layout):
    check_product(precision, tile, layout, (tile.rows + 3, tile.columns // 2 + 5, 2 * tile.depth * tile.slices + 5))


def test_large_tiles_where_there_are_enough_of_them():
    large, *_, small = TILES["float32"]
    assert choose_tile("float32", 64 * large.rows, 4 * large.columns, 100, 132) == (large, 1)
    assert choose_tile("float32", small.rows, small.columns, 100, 132) == (small, 1)
    _, parts = choose_tile("float32", large.rows, large.columns, 10**6, 132, split=True)
    assert parts > 1


@pytest.mark.parametrize("precision", ["float32", "tf32", "float64"])
def test_large_tiles_are_not_twice_as_wide_as_their_products(monkeypatch, precision):
    monkeypatch.setattr(product, "TILES", REAL_TILES)
    large = list(REAL_TILES[precision][:-1])
    for columns in (10, 32, 33, 64, 65, 128, 129):
        tile, _ = choose_tile(precision, 10**6, columns, 100, 132)
        assert tile in large
        assert tile is large[-1] or tile.columns < 2 * columns
        assert all(other.columns >= 2 * columns for other in large[: large.index(tile)])
    # There are more of them, with fewer threads each.
    narrow = large[-1]
    most = next(n for n in range(1, 10**6) if choose_tile(precision, n * narrow.rows, 16, 100, 132)[0] is narrow)
    assert most == 132 // 2 * large[0].columns // narrow.columns


@pytest.mark.parametrize("n_rows", [1, 2, 3, 40, 301])
def test_order_of_rows_is_that_of_the_cpu(n_rows):
    arena, frame, seed, epoch = Arena(hub.new_stream(0)), Frame(), 98765432109, 3
    order = np.zeros(n_rows, np.int64)
    frame.update(order=arena.put("order", order), scratch=arena.put("scratch", order), n_rows=n_rows)
    frame.update(seed=seed, epoch=epoch)
    frames = arena.put("frames", frame.numbers)
    hub.launch(compiler.kernel(make_shuffle), (1, 1, 1), 16, 0, arena.stream, (0, frames, 0))
    arena.get("order", order)
    expected, key = list(range(n_rows)), random.key(seed, random.ORDER, epoch)
    for i in range(n_rows - 1, 0, -1):
        j = random.bits(key, i) * (i + 1) >> 32
        expected[i], expected[j] = expected[j], expected[i]
    assert order.tolist() == expected
    arena.close()
