"""Buffers of training: what samples become in the layers of a network."""

import os

import numpy as np

from skneural.network.memory import aligned_zeros

#: Numbers in a cache line, at the most. So many behind all buffers are read, too, where columns of the last row are
#: copied by whole vectors.
BEHIND = 16
#: Bytes of memory that is kept for the next prediction.
MOST_SPARE = 1 << 23

#: As often weights are there in training, at least: laid out for products, too, and two snapshots of them.
COPIES = 4


def physical_memory():
    """Bytes of memory that this machine has; infinitely many where it does not say."""
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return np.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_weights(program):
    """Raise if weights, and what training keeps of them, are larger than the memory.

    Raises
    ------
    MemoryError
        Before they are drawn, which takes long.
    """
    n_bytes = program.n_params * program.dtype.itemsize
    if COPIES * n_bytes >= physical_memory():
        raise MemoryError(
            f"The weights of this network take {n_bytes / 1e9:,.1f} GB, and training keeps {COPIES} times as much: "
            "take fewer units or filters, or pool more before dense layers."
        )


def buffers_for(program, n_numbers, n_rows):
    """Buffers for so many rows of a batch.

    Raises
    ------
    MemoryError
        If they are larger than the memory: pages that are not touched yet cost nothing, so the system may promise them.
    """
    n_bytes = n_numbers * n_rows * program.dtype.itemsize
    if n_bytes < physical_memory():
        try:
            return aligned_zeros(n_numbers * n_rows + BEHIND, program.dtype)
        except MemoryError:
            pass
    subject = f"{n_rows} samples become" if n_rows > 1 else "one sample becomes"
    remedy = "a smaller batch_size" if n_rows > 1 else "smaller samples"
    raise MemoryError(
        f"What {subject} in the layers of this network takes {n_bytes / 1e9:,.1f} GB: take {remedy} or fewer units or "
        "filters."
    )


class Spare:
    """Memory that is used again, call after call: pages that were touched before cost no time.

    Every call takes memory of its own, in any thread. What takes more than `MOST_SPARE` bytes is not kept.

    Parameters
    ----------
    dtype : numpy dtype
    """

    def __init__(self, dtype):
        self._dtype = dtype
        self._kept = []

    def take(self, n_numbers):
        """So many numbers, aligned: 0, or what an earlier call left."""
        try:
            memory = self._kept.pop()
        except IndexError:
            return aligned_zeros(n_numbers, self._dtype)
        return memory if len(memory) >= n_numbers else aligned_zeros(n_numbers, self._dtype)

    def give_back(self, memory):
        """Keep it for the next call."""
        if memory.nbytes <= MOST_SPARE:
            self._kept.append(memory)
