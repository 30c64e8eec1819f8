"""Single kernels on a GPU, and what a fit leaves of its memory. Parts of `gpu.py`.

Kernels are timed as CUDA graphs of some launches, so that nobody waits for the host; so are PyTorch's.
"""

import ctypes
import functools
import gc
import time

import gpu_peers as peers
import numpy as np
from _common import summary
from gpu_training import PRECISIONS, Case, draw, importable, our_trainer

#: Launches of a graph that is timed, seconds of one measurement, and how many there are.
REPEATS, SECONDS, ROUNDS = 10, 0.02, 7
NODES = (1, 10, 100, 1000)
#: Rows, columns, depth.
SHAPES = ((200, 256, 784), (200, 128, 256), (4096, 1024, 1024))
LAYOUTS = ("NN", "NT", "TN")
#: Relative errors of products, in the norm, that are taken for rounding.
ROUNDING = {False: 1e-5, True: 2e-3}
#: One layer, for steps of time: units, batch, steps.
LSTM = Case((7, 128, 1), 256, 1, timesteps=96)
#: Bytes that a fit must do with that cannot have enough.
LITTLE = 1 << 28


def timed(start, wait):
    """Seconds of a call whose work `wait` waits for: a summary of some measurements of many calls each."""
    start()
    wait()
    begin = time.perf_counter()
    start()
    wait()
    count, seconds = max(1, int(SECONDS / (time.perf_counter() - begin))), []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(count):
            start()
        wait()
        seconds.append((time.perf_counter() - begin) / count)
    return summary(seconds)


def timed_graph(work, stream):
    """Median seconds of what ``work(stream)`` launches."""
    from skneural.backends.cuda import hub

    work(stream)  # kernels must have been loaded before
    stream.sync()
    replay = hub.capture(0, lambda builder: [work(builder) for _ in range(REPEATS)])
    return timed(lambda: replay(stream), stream.sync)["median"] / REPEATS


def timed_torch(work, captured=True):
    """Median seconds of what PyTorch does."""
    import torch

    if not captured:
        return timed(work, torch.cuda.synchronize)["median"]
    replay = peers.torch_graph(lambda: [work() for _ in range(REPEATS)])
    return timed(replay, torch.cuda.synchronize)["median"] / REPEATS


# -- launches ----------------------------------------------------------------------------------------------------------


def make_nothing():
    """A kernel that does nothing."""

    def nothing(op_address, frames, step):
        return

    return nothing


def launches(log, task):
    """Microseconds of a launch of an empty kernel, by itself and in graphs."""
    log.put("NumPy", {"version": np.__version__, "has row_stack": hasattr(np, "row_stack")})
    from skneural.backends.cuda import compiler, hub

    log.put("row_stack after import", hasattr(np, "row_stack"))
    with hub.on_device(0):
        stream, kernel = hub.new_stream(0), log.attempt("compile", lambda: compiler.kernel(make_nothing))

        def launch(stream):
            hub.launch(kernel, (1, 1, 1), 32, 0, stream, (0, 0, 0))

        ways = {"launch": lambda: launch(stream), "launch by Numba": lambda: kernel[1, 32, stream](0, 0, 0)}
        for name, way in ways.items():
            log.put(name, log.attempt(name, lambda way=way: timed(way, stream.sync)))
        for nodes in NODES:
            name = f"graph of {nodes}"
            log.put(name, log.attempt(name, lambda nodes=nodes: _graph_of(nodes, launch, stream)))


def _graph_of(nodes, launch, stream):
    """Seconds of a node, and of making the graph."""
    from skneural.backends.cuda import hub

    begin = time.perf_counter()
    replay = hub.capture(0, lambda builder: [launch(builder) for _ in range(nodes)])
    made = time.perf_counter() - begin
    return {"node": timed(lambda: replay(stream), stream.sync)["median"] / nodes, "making it": made}


# -- products ----------------------------------------------------------------------------------------------------------


def make_plain_product(dtype, tile, layout):
    """C = A B: A stands in buffer x, B in dy, C in y."""
    from skneural.backends.cuda import compiler
    from skneural.backends.cuda.layers.dense import make_dy_lines, make_x_lines
    from skneural.backends.cuda.product import make_product
    from skneural.backends.cuda.rows import put

    def sizes(op, own, f, step):
        return op.steps, op.n_out, op.n_in

    def finish(op, own, f, step, ready, part, m, n, total):
        put(f, op.y, op.slot, m, n, dtype, total)

    lines = make_x_lines(dtype, from_data=False), make_dy_lines(dtype)
    return make_product(dtype, tile, layout, "dense", sizes, *lines, finish, compiler.DIGEST + layout + tile.name)


def tiles():
    """The widest tiles of float32 and TF32, and the small one, by name."""
    from skneural.backends.cuda.product import TILES

    found = [TILES[precision][place] for precision in ("float32", "tf32") for place in (0, -1)]
    return {tile.name: tile for tile in found}


class Factors:
    """Two matrices as they stand in memory, in rows padded with zeros, and their product in double precision."""

    def __init__(self, shape, layout):
        from skneural.network.memory import padded

        (m, n, k), random = shape, np.random.default_rng(0)
        A, B = random.standard_normal((m, k), np.float32), random.standard_normal((k, n), np.float32)
        self.shape, self.layout, self.exact = shape, layout, A.astype(np.float64) @ B.astype(np.float64)
        self.stored, self.ld = [], padded(n, np.float32)
        for a in (A.T if layout[0] == "T" else A, B.T if layout[1] == "T" else B):
            lines = np.zeros((len(a), padded(a.shape[1], np.float32)), np.float32)
            lines[:, : a.shape[1]] = a
            self.stored.append(lines)

    def result(self, seconds, C, tf32):
        """Speed and error of a product that was computed."""
        m, n, k = self.shape
        error = np.linalg.norm(C[:, :n] - self.exact) / np.linalg.norm(self.exact)
        return {"tflops": 2e-12 * m * n * k / seconds, "error": error, "right": bool(error < ROUNDING[tf32])}


@functools.cache
def factors(shape, layout):
    """Factors, made once."""
    return Factors(shape, layout)


def on_device(f):
    """The factors and room for the product, which holds NaN, in one array on the device; its numbers on the host."""
    from skneural.backends.cuda import hub
    from skneural.backends.cuda.memory import Arena

    arena = Arena(hub.new_stream(0))
    memory = np.concatenate([*(a.ravel() for a in f.stored), np.full(f.shape[0] * f.ld, np.nan, np.float32)])
    return arena, memory, arena.put("work", memory)


def our_product(f, tile):
    """One of our tiles."""
    from skneural.backends.cuda.launches import product_launch
    from skneural.backends.frame import Frame
    from skneural.network.operations import OP

    arena, memory, work = on_device(f)
    (m, n, k), op, frame = f.shape, np.zeros(1, OP), Frame()
    op["dy"], op["y"] = f.stored[0].size, f.stored[0].size + f.stored[1].size
    op["ld_in"], op["ld_out"], op["slot"] = f.stored[0].shape[1], f.stored[1].shape[1], f.ld
    op["steps"], op["n_out"], op["n_in"] = m, n, k
    frame.update(work=work, capacity=1)
    ops, frames = arena.put("ops", op.view(np.int64)), arena.put("frames", frame.numbers)
    launch = product_launch((make_plain_product, np.float32, tile, f.layout), tile, 4, m, n, 0)
    seconds = timed_graph(lambda stream: launch.start(stream, ops, frames), arena.stream)
    arena.get("work", memory)
    arena.close()
    return f.result(seconds, memory[-m * f.ld :].reshape(m, f.ld), tile.tensor)


def torch_product(f, tf32):
    """`torch.matmul`, which calls cuBLAS or what is faster."""
    import torch

    peers.use_tf32(tf32)
    (m, n, k), (A, B) = f.shape, f.stored
    a = torch.from_numpy(np.ascontiguousarray(A[:, : m if f.layout[0] == "T" else k])).cuda()
    b = torch.from_numpy(np.ascontiguousarray(B[:, : k if f.layout[1] == "T" else n])).cuda()
    a, b = a.T if f.layout[0] == "T" else a, b.T if f.layout[1] == "T" else b
    c = torch.full((m, n), torch.nan, device="cuda")
    seconds = timed_torch(lambda: torch.matmul(a, b, out=c))
    return f.result(seconds, c.cpu().numpy(), tf32)


class Cublas:
    """cuBLAS by ctypes, on a stream of its own."""

    def __init__(self):
        from cuda.pathfinder import load_nvidia_dynamic_lib

        self.library, self.handle = ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path), ctypes.c_void_p()
        self.call("cublasCreate_v2", ctypes.byref(self.handle))

    def call(self, name, *arguments):
        """Call a function, and raise if it reports an error."""
        status = getattr(self.library, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name} returned {status}")

    def product(self, f, tf32):
        """C = A B. cuBLAS counts along columns, so it is told to compute C' = B' A'."""
        arena, memory, work = on_device(f)
        (m, n, k), (A, B), one, zero = f.shape, f.stored, ctypes.c_float(1), ctypes.c_float(0)
        self.call("cublasSetStream_v2", self.handle, ctypes.c_void_p(int(arena.stream.handle)))
        self.call("cublasSetMathMode", self.handle, ctypes.c_int(3 if tf32 else 0))
        a, b, c = (ctypes.c_void_p(work + 4 * place) for place in (0, A.size, A.size + B.size))
        numbers = *(ctypes.c_int(letter == "T") for letter in f.layout[::-1]), *map(ctypes.c_int, (n, m, k))
        of_b, of_a = (b, ctypes.c_int(B.shape[1])), (a, ctypes.c_int(A.shape[1]))
        arguments = self.handle, *numbers, ctypes.byref(one), *of_b, *of_a, ctypes.byref(zero), c, ctypes.c_int(f.ld)
        seconds = timed(lambda: self.call("cublasSgemm_v2", *arguments), arena.stream.sync)["median"]
        arena.get("work", memory)
        arena.close()
        return f.result(seconds, memory[-m * f.ld :].reshape(m, f.ld), tf32)


def products(log, task):
    """TFLOP/s of products of ours, of PyTorch and of cuBLAS."""
    from skneural.backends.cuda import hub

    with hub.on_device(0):
        with_torch, cublas = importable(log, "torch", "cuda"), log.attempt("cuBLAS", Cublas)
        for shape in SHAPES:
            for layout in LAYOUTS:
                f = factors(shape, layout)
                ways = {name: lambda f=f, tile=tile: our_product(f, tile) for name, tile in tiles().items()}
                for tf32 in (False, True):
                    if with_torch:
                        ways["PyTorch" + ", TF32" * tf32] = lambda f=f, tf32=tf32: torch_product(f, tf32)
                    if cublas is not None and shape == SHAPES[-1]:
                        ways["cuBLAS, ctypes" + ", TF32" * tf32] = lambda f=f, tf32=tf32: cublas.product(f, tf32)
                for way, run in ways.items():
                    name = f"{title(shape)} {layout}: {way}"
                    log.put(name, log.attempt(name, run))


def title(shape):
    """Rows, depth and columns of a product in words."""
    m, n, k = shape
    return f"{m}x{k}x{n}"


def compile_products(log, task):
    """Compile the products of a layout."""
    from skneural.backends.cuda import compiler, hub

    with hub.on_device(0):
        for tile in tiles().values():
            key = (make_plain_product, np.float32, tile, task["part"])
            log.attempt(tile.name, lambda key=key: compiler.kernel(*key), share=1)


# -- steps of an LSTM --------------------------------------------------------------------------------------------------


def our_lstm(precision):
    """Seconds of the kernels of our layer in a step of time: of all of them, and of those that loop over the steps."""
    from skneural.backends.cuda import hub

    X, y = draw(LSTM)
    trainer = our_trainer(LSTM, X, y, "cuda:0", precision)
    try:
        with hub.on_device(0):
            trainer.run_epochs(np.array([peers.RATE]), np.inf, 0)  # leaves everything in place for the kernels
            run, binder, found = trainer.run, trainer.run.binder, {}
            number = binder.kinds.index("recurrent")
            for way in ("forward", "backward"):
                layer = [launch for launch in getattr(binder, way) if launch.op == number]
                loop = [launch for launch in layer if launch.key[0].__name__ == f"make_recurrent_{way}"]
                if not loop:
                    raise LookupError(f"no kernel make_recurrent_{way} is launched")
                for name, launches in ((way, layer), (f"{way}, loop", loop)):
                    work = functools.partial(run.start, launches)
                    found[name] = timed_graph(work, run.stream) / LSTM.timesteps
            return found
    finally:
        trainer.close()


def torch_lstm(tf32, captured):
    """The same of cuDNN, as a graph or not."""
    import torch

    peers.use_tf32(tf32)
    inputs, units, _ = LSTM.layers
    net = torch.nn.LSTM(inputs, units).cuda()
    x, weights = torch.randn(LSTM.timesteps, LSTM.batch, inputs, device="cuda"), list(net.parameters())
    given = torch.randn(LSTM.timesteps, LSTM.batch, units, device="cuda")
    forward = timed_torch(lambda: net(x), captured)
    both = timed_torch(lambda: torch.autograd.grad(net(x)[0], weights, given), captured)
    return {"forward": forward / LSTM.timesteps, "backward": (both - forward) / LSTM.timesteps}


def lstm(log, task):
    """Seconds a step of time of a layer of LSTM, ours and cuDNN's."""
    for precision in PRECISIONS:
        name = f"skneural, {precision}"
        log.put(name, log.attempt(name, lambda precision=precision: our_lstm(precision)))
    for tf32 in (False, True) if importable(log, "torch", "cuda") else ():
        for way in ("cuDNN", "cuDNN without a graph"):
            name = way + ", TF32" * tf32
            found = log.attempt(name, lambda tf32=tf32, way=way: torch_lstm(tf32, way == "cuDNN"))
            log.put(name, found)
            if found is not None:
                break


# -- memory ------------------------------------------------------------------------------------------------------------


def fit(random, units, n_rows=20_000):
    """Fit an estimator on the GPU, for two epochs."""
    from skneural import MLPClassifier

    X, y = random.standard_normal((n_rows, 50), np.float32), np.arange(n_rows) % 7
    MLPClassifier(units, max_iter=2, batch_size=256, device="cuda", random_state=0).fit(X, y)


def expect_refusal(random):
    """Fit a network that is too large: it must raise MemoryError."""
    try:
        fit(random, (4096, 4096))
    except MemoryError as error:
        return str(error)
    raise AssertionError("There was enough memory.")


def memory(log, task):
    """Bytes that are missing on the GPU after a fit, after one that was refused, and after one that ran out of them."""
    from skneural.backends.cuda import hub
    from skneural.backends.cuda import memory as limits

    random = np.random.default_rng(0)
    with hub.on_device(0):

        def missing(work):
            before = hub.memory_info()[0]
            said = work()
            gc.collect()
            after = hub.memory_info()[0]
            hub.give_back_memory()
            return {"bytes": before - after, "but for Numba's own": before - hub.memory_info()[0], "said": said}

        log.put("first fit", log.attempt("first fit", lambda: missing(lambda: fit(random, (64,)))))
        log.put("fit", log.attempt("fit", lambda: missing(lambda: fit(random, (64,)))))
        held = hub.empty(hub.memory_info()[0] - LITTLE, np.int8)
        log.put("free", hub.memory_info()[0])
        log.put("refused", log.attempt("refused", lambda: missing(lambda: expect_refusal(random))))
        fits, limits.fits = limits.fits, lambda needed: True
        log.put("out of memory", log.attempt("out of memory", lambda: missing(lambda: expect_refusal(random))))
        limits.fits = fits
        del held
        hub.give_back_memory()
        log.put("fit afterwards", log.attempt("fit afterwards", lambda: missing(lambda: fit(random, (64,)))))
