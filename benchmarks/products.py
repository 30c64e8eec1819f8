"""The matrix product of the CPU's engine against that of NumPy's and SciPy's BLAS, GFLOP/s at sizes of networks.

    python benchmarks/products.py [--smoke]

Two products: ``A @ B``, as layers multiply forward and back, and ``A.T @ B``, the gradient by the weights. In the timed
region of ours: laying out B (where it is wide) and A (where that pays) as well as the product, although a network lays
its weights out once for all rows of a batch; of BLAS's: ``np.dot`` with an array for the result. Both are called from
compiled code (Numba's), many times over where they are small, so neither pays for Python. On all cores threads of ours
take pieces of the rows of C in turn, and BLAS does as it sees fit; only sizes from 200 x 256 x 784 up.
"""

import functools
import itertools

import numpy as np
import threadpoolctl
from _common import chosen, cores, figure, measure, repeats, start
from numba import njit

#: M, N, K: rows and columns of C, and the length of a sum.
SIZES = (
    (1, 1, 1), (1, 100, 20), (1, 2048, 2048), (16, 10, 4), (32, 64, 20), (32, 32, 64), (100, 1, 100), (100, 10, 128),
    (128, 1024, 256), (200, 7, 100), (200, 100, 54), (200, 128, 256), (200, 256, 784), (256, 256, 54), (256, 256, 256),
    (512, 1024, 1024), (784, 256, 200), (1024, 10, 1024), (1024, 1024, 256), (1024, 1024, 1024), (2048, 1, 2048),
    (2048, 2048, 2048),
)  # fmt: skip
SMOKE = ((1, 1, 1), (32, 64, 20), (40, 300, 30))
#: Multiplications and additions that a measurement takes at least; of sizes that are compared on all cores, where a
#: thread that wakes may be late.
WORK = 2e8
SHARED_WORK = 2e9
#: Products that it takes at most.
MOST = 200_000
#: From which size on two threads are compared.
SHARED = 2 * 200 * 256 * 784
#: Numbers behind A.
ALIGNED = 16
LAYOUTS = ("A @ B", "A.T @ B")


@functools.cache
def compiled(number):
    """Compiled functions for a type of numbers: some rows of a product of ours, panels, many products, and BLAS's."""
    from skneural.backends.cpu.compiler import address
    from skneural.backends.cpu.intrinsics import call_product
    from skneural.backends.cpu.layout import STRIP, STRIPS, strip_pitch
    from skneural.backends.cpu.product import lay_out_panels, lay_out_strips, make_product

    kind = number.type
    itemsize = number.itemsize
    product = address(make_product, kind)
    height = STRIP
    together = STRIP * STRIPS

    @njit(nogil=True)
    def multiply(a, a_row, a_col, in_strips, b, ld_b, c, ld, n_columns, depth, strips, first, last):
        a += first * a_row * itemsize
        c += first * ld * itemsize
        rows = last - first
        if not in_strips:
            shape = (rows, n_columns, ld, depth)
            call_product(product, (a, a_row, a_col, height * a_row, b, ld_b, c, ld, *shape, 0, 0, 0))
            return
        pitch = strip_pitch(depth, itemsize)
        for i in range(0, rows, together):
            count = min(together, rows - i)
            to = c + i * ld * itemsize
            lay_out_strips(a + i * itemsize, a_col, count, depth, strips, pitch, itemsize, kind)
            shape = (count, n_columns, ld, depth)
            call_product(product, (strips, 1, height, pitch, b, ld_b, to, ld, *shape, 0, 0, 0))

    @njit(nogil=True)
    def lay_out(count, b, panels, ld, depth):
        for _ in range(count):
            lay_out_panels(b, ld, panels, depth, 0, depth, 0, ld, itemsize, kind)

    @njit(nogil=True)
    def ours(count, a, a_row, a_col, in_strips, b, panels, wide, c, ld, n_rows, n_columns, depth, strips):
        for _ in range(count):
            ld_b = ld
            source = b
            if wide:
                lay_out(1, b, panels, ld, depth)
                source = panels
                ld_b = -depth
            multiply(a, a_row, a_col, in_strips, source, ld_b, c, ld, n_columns, depth, strips, 0, n_rows)

    @njit(nogil=True)
    def blas(count, a, b, c):
        for _ in range(count):
            np.dot(a, b, c)

    return multiply, lay_out, ours, blas


def make_calls(size, number, layout, count):
    """What is measured, by name; `count` products a call."""
    from skneural.backends.cpu.layout import PANELS_FROM, STRIPS, strip_pitch
    from skneural.backends.cpu.product import pays_strips
    from skneural.backends.cpu.threads import Thread
    from skneural.network.memory import aligned_zeros, padded

    n_rows, n_columns, depth = size
    is_transposed = layout == "A.T @ B"
    stored = (depth, n_rows) if is_transposed else (n_rows, depth)
    ld = padded(n_columns, number)
    ld_a = padded(stored[1], number)
    wide = ld * number.itemsize >= PANELS_FROM and n_rows >= 24  # of fewer rows predictions lay nothing out
    in_strips = is_transposed and n_columns > 1 and pays_strips(depth, ld_a, ld, number.itemsize)

    random = np.random.default_rng(0)
    a = aligned_zeros(stored[0] * ld_a + ALIGNED, number)  # copies into strips read whole vectors
    a_view = a[: stored[0] * ld_a].reshape(stored[0], ld_a)[:, : stored[1]]
    a_view[:] = random.standard_normal(stored)
    b = aligned_zeros(depth * ld, number)
    b_view = b.reshape(depth, ld)[:, :n_columns]
    b_view[:] = random.standard_normal((depth, n_columns))
    c = aligned_zeros(n_rows * ld, number)
    c_view = c.reshape(n_rows, ld)[:, :n_columns]
    panels = aligned_zeros(depth * ld, number)
    strips = [aligned_zeros(STRIPS * strip_pitch(depth, number.itemsize), number) for _ in range(cores())]
    # BLAS gets its own arrays, without padding.
    plain_a = np.array(a_view.T, order="F") if is_transposed else np.array(a_view, order="C")
    plain_b = np.array(b_view, order="C")
    plain_c = np.zeros((n_rows, n_columns), number)

    multiply, lay_out, ours, blas = compiled(number)
    strides = (1, ld_a) if is_transposed else (ld_a, 1)
    of_a = (a.ctypes.data, *strides, in_strips)
    at_b = b.ctypes.data
    at_c = c.ctypes.data
    at_panels = panels.ctypes.data
    at_strips = [array.ctypes.data for array in strips]

    held = (a, b, c, panels, strips)  # addresses hold nothing

    def ours_alone(count=count, held=held):
        ours(count, *of_a, at_b, at_panels, wide, at_c, ld, n_rows, n_columns, depth, at_strips[0])

    def ours_on_all(count=count):
        source = (at_b, ld)
        if wide:
            lay_out(count, at_b, at_panels, ld, depth)
            source = (at_panels, -depth)
        n_pieces = cores() if count > 4 else 4 * cores()
        bounds = np.linspace(0, n_rows, n_pieces + 1).astype(int).tolist()
        pieces = itertools.chain.from_iterable(itertools.repeat(list(itertools.pairwise(bounds)), count))

        def work(strips):
            for rows in pieces:  # each thread takes the next one, as in a fit
                multiply(*of_a, *source, at_c, ld, n_columns, depth, strips, *rows)

        others = [Thread(target=work, args=(strips,)) for strips in at_strips[1:]]
        for other in others:
            other.start()
        work(at_strips[0])
        for other in others:
            other.join()

    blas(1, plain_a, plain_b, plain_c)
    tolerance = depth * 10 * np.finfo(number).eps
    for call in (ours_alone, ours_on_all):
        c[:] = 0
        call(1)
        np.testing.assert_allclose(c_view, plain_c, atol=tolerance, rtol=0)
    return {
        "ours, one thread": ours_alone,
        "BLAS, one thread": lambda: blas(count, plain_a, plain_b, plain_c),
        "ours, all cores": ours_on_all,
        "BLAS, all cores": lambda: blas(count, plain_a, plain_b, plain_c),
    }


def measure_size(report, name, size, number, layout):
    """A row of the table."""
    n_rows, n_columns, depth = size
    work = 2 * n_rows * n_columns * depth
    is_shared = work >= SHARED or report.options.smoke
    enough = SHARED_WORK if is_shared else WORK
    count = 1 if report.options.smoke else max(1, min(MOST, int(enough / work)))
    calls = make_calls(size, number, layout, count)
    alone = {call: calls.pop(call) for call in list(calls) if "one thread" in call}
    n_repeats = repeats(report.options, 9)
    with threadpoolctl.threadpool_limits(1):
        times = measure(alone, n_repeats, settle=0.001)
    if is_shared:
        times |= measure(calls, n_repeats)  # BLAS's threads spin for a while after their work
    speeds = {}
    for call, t in times.items():
        speeds[call] = 1e-9 * work * count / t["median"]
    report.results[name] = {"seconds": times, "count": count, "gflops": speeds}

    def quotient(one, other):
        return figure(speeds[one] / speeds[other]) if one in speeds else "-"

    cells = [name]
    for where in ("one thread", "all cores"):
        for whose in ("ours", "BLAS"):
            call = f"{whose}, {where}"
            cells.append(figure(speeds[call]) if call in speeds else "-")
        cells.append(quotient(f"ours, {where}", f"BLAS, {where}"))
    cells.append(quotient("ours, all cores", "ours, one thread"))
    print(" | ".join(cells), flush=True)
    return cells


def main(arguments=None):
    options, report = start("products", __doc__, arguments)
    rows = []
    for dtype in ("float32", "float64"):
        for layout in LAYOUTS:
            for size in SMOKE if options.smoke else SIZES:
                name = f"{dtype}, {layout}, {' x '.join(map(str, size))}"
                if chosen(options, name):
                    rows.append(measure_size(report, name, size, np.dtype(dtype), layout))
    report.table(
        [
            "type, product, M x N x K",
            "ours, one thread",
            "BLAS, one thread",
            "ratio",
            "ours, all cores",
            "BLAS, all cores",
            "ratio",
            "ours, all cores / one thread",
        ],
        rows,
    )
    ratios = {
        name: r["gflops"]["ours, one thread"] / r["gflops"]["BLAS, one thread"] for name, r in report.results.items()
    }
    slowest = min(ratios, key=ratios.get)
    n_met = sum(ratio >= 1 for ratio in ratios.values())
    report.add(
        f"On one thread ours is at least as fast as BLAS at {n_met} of {len(ratios)} sizes; the smallest ratio is "
        f"{figure(ratios[slowest])} ({slowest})."
    )
    report.write()


if __name__ == "__main__":
    main()
