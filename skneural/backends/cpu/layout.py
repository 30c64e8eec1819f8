"""What kernels and their host must agree on: sizes of tiles, counters of threads. It takes no compiler to read this."""

import numpy as np

from skneural.backends.cpu.simd import INSTRUCTION_SET
from skneural.network.memory import aligned_zeros

# -- products ----------------------------------------------------------------------------------------------------------

#: Strips of A that one panel of B after the other is multiplied by. They stay in the cache, and B is read once for all
#: of them: for each 64 bytes of it there are 96 multiply-adds of vectors to do (AVX2). With half as many, two threads
#: that read B from a cache they share were a tenth slower.
STRIPS = 8
#: Rows of a strip.
STRIP = INSTRUCTION_SET.rows[0]
#: Bytes of a row of B from which it is laid out in panels: below, it costs about what it saves.
PANELS_FROM = 1024
#: Numbers of the gradient by the weights of a convolution that a thread sums up at a time, at the least.
GRADIENT_NUMBERS = 1 << 15
#: Numbers of the gradient by its output that a thread lays out for that at a time, at the most.
PANEL_NUMBERS = 1 << 16
#: Rows of the gradients of a long sequence that are laid out at a time, where they are wide.
CHUNK_ROWS = 64
#: Bytes between strips that lie one after the other: copies write whole vectors.
SLACK = INSTRUCTION_SET.vector_bytes


def strip_pitch(depth, size):
    """How many numbers a strip of A is from the next one."""
    return depth * STRIP + SLACK // size


# -- threads -----------------------------------------------------------------------------------------------------------

#: Offsets of the counters of a barrier, in bytes, each on a cache line of its own.
ARRIVALS, RELEASES, TIMEOUTS, COMMANDS, DONE, QUIT, BARRIER_SIZE = range(0, 7 * 64, 64)

#: Bytes of a cache line: threads count what they claim on lines of their own.
_LINE = 64


def make_claims(n_counters, n_threads):
    """Counters of all threads for two walks, and how many numbers those of a thread are: see `shares`."""
    n_lines = -(-n_counters * 8 // _LINE)
    pitch = n_lines * _LINE // 8
    count = 2 * n_threads * pitch
    return aligned_zeros(count, np.dtype(np.int64)), pitch
