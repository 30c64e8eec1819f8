"""What Numba's CUDA simulator lacks: memory by address, records, vectors, and the product of a warp.

Kernels then run as plain Python, one thread of the host for each of theirs: slow, so tests use tiny shapes. Reading or
writing outside the memory that was allocated raises, which a GPU would not do.
"""

import bisect
import sys
import threading

import numpy as np

#: Bytes of shared memory of a simulated block.
SHARED = 1 << 20

_starts = []
_blocks = []
_context = None

# The thread that watches over a block's threads is always busy: let the others have their turn sooner, which makes a
# kernel ten times as fast.
sys.setswitchinterval(1e-4)


class InsideKernel:
    """Numba's module `cuda` as a kernel sees it, from whatever file the code is called.

    Parameters
    ----------
    module : module
    context : callable
        Returns what the kernel that runs sees of its place in the grid; None if there is none.
    """

    def __init__(self, module, context):
        global _context
        self._module = module
        _context = context

    def __getattr__(self, name):
        return getattr(_context() or self._module, name)

    @property
    def shared(self):
        """Shared memory, of which kernels have one array each."""
        return self

    def array(self, shape, dtype):
        """Shared memory as an array of `dtype`."""
        return _context().shared.array(shape, np.dtype(dtype))


def allocate(count, dtype):
    """Memory of the simulated device; it stays for good, since a test ends soon."""
    raw = np.full(count * np.dtype(dtype).itemsize + 64, 0xAB, np.uint8)  # what is not written must not be read
    begin = -raw.__array_interface__["data"][0] % 64
    block = raw[begin : begin + count * np.dtype(dtype).itemsize]
    start = block.__array_interface__["data"][0]
    index = bisect.bisect(_starts, start)
    _starts.insert(index, start)
    _blocks.insert(index, block)
    return block.view(dtype)


def _bytes_at(address):
    index = bisect.bisect(_starts, address) - 1
    if index < 0 or address - _starts[index] > len(_blocks[index]):
        raise IndexError(f"No memory of the device at {address}.")
    return _blocks[index][int(address) - _starts[index] :]


def vector(address, dtype):
    """1-D array of `dtype` that starts at `address`."""
    if address == 0:
        return None
    memory = _bytes_at(address)
    size = np.dtype(dtype).itemsize
    return memory[: len(memory) // size * size].view(dtype)


def row(address, dtype, length):
    """1-D array of `length` numbers of `dtype` at `address`."""
    return vector(address, dtype)[:length]


def record_view(dtype, offset=0):
    """A function that returns the record of `dtype` so many bytes behind an address."""
    kind = np.dtype((np.record, dtype))

    def view(address):
        return _bytes_at(address + offset)[: dtype.itemsize].view(kind)[0]

    return view


def load_vector(local, at, address):
    """Copy the 16 bytes at `address`, a multiple of 16, to ``local[at:]``."""
    assert address % 16 == 0
    count = 16 // local.itemsize
    local[at : at + count] = vector(address, local.dtype)[:count]


def get_vector(local, at, shared, index):
    """Copy 16 bytes of ``shared[index:]``, at a multiple of 16, to ``local[at:]``."""
    count = 16 // local.itemsize
    assert index % count == 0
    local[at : at + count] = shared[index : index + count]


def put_vector(shared, index, local, at):
    """Copy ``local[at:]`` to 16 bytes of ``shared[index:]``, at a multiple of 16."""
    count = 16 // local.itemsize
    assert index % count == 0
    shared[index : index + count] = local[at : at + count]


def divide(number, divisor):
    """Quotient of two integers that are not negative and have 32 bits."""
    assert 0 <= number < 2**32
    assert 0 < divisor < 2**32
    return number // divisor


def to_tf32(x):
    """Round to 10 bits of mantissa, to nearest, ties away from 0."""
    bits = np.float32(x).view(np.uint32)
    return np.uint32((int(bits) + 0x1000) & 0xFFFFE000).view(np.float32)


_warps = {}
_lock = threading.Lock()


def warp_product(c, at, a, b, first, second):
    """``C += A B`` of a warp: 16 by 8 numbers, depth 8; of A every lane has four, of B two, of C four."""
    context = _context()
    lane = context.threadIdx.x % 32
    warp = context.threadIdx.x // 32
    with _lock:
        A, B = _warps.setdefault(warp, (np.zeros((16, 8), np.float32), np.zeros((8, 8), np.float32)))
    row_ = lane // 4
    column = lane % 4
    A[row_, column], A[row_ + 8, column], A[row_, column + 4], A[row_ + 8, column + 4] = a[first : first + 4]
    B[column, row_], B[column + 4, row_] = b[second : second + 2]
    context.syncthreads()
    for i in range(4):
        c[at + i] += A[row_ + 8 * (i // 2)] @ B[:, 2 * column + i % 2]
    context.syncthreads()
