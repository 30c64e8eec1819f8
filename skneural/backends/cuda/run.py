"""A program on a device: its memory, its frame, its launches."""

import contextlib

import numpy as np

from skneural.backends.cuda import hub, memory
from skneural.backends.cuda.binding import Binder, check_kinds
from skneural.backends.cuda.intrinsics import FRAME_SIZE


class Run:
    """A program, its frame, and memory on a device.

    Parameters
    ----------
    program : Program
    device : int

    Raises
    ------
    ValueError
        If this backend has no kernels for an operation of the program.
    """

    def __init__(self, program, device):
        self.device = device
        self.dtype = program.dtype.type
        self.size = program.dtype.itemsize
        # Rows of a sparse matrix are written out; prediction, too, runs the program that training does.
        self.program = program.variant(sparse=False, training=True)
        check_kinds(self.program)
        self.row_bytes = self.program.n_work * self.size
        with hub.readable_errors("getting ready"), hub.on_device(device):
            self.stream = hub.new_stream(device)
            self.arena = memory.Arena(self.stream)
            self.limits = hub.n_processors(), hub.shared_limit()
            self.frames = self.arena.zeros("frames", FRAME_SIZE // 8, np.int64)

    def bind(self, precision, capacity, frame, **facts):
        """Bind the program for batches of `capacity` rows; make its buffers."""
        self.binder = Binder(self.program, precision, capacity, *self.limits, **facts)
        self.ops = self.arena.put("ops", self.binder.ops.view(np.int64))
        arena = self.arena
        dtype = self.dtype
        frame.update(
            capacity=capacity,
            ops=self.ops,
            n_ops=len(self.binder.ops),
            work=arena.zeros("work", capacity * self.program.n_work, dtype),
            statistics=arena.zeros("statistics", self.program.n_statistics, dtype),
        )

    def start(self, launches, stream=None):
        """Launch kernels, or add them to a graph."""
        for launch in launches:
            launch.start(stream or self.stream, self.ops, self.frames)

    def push(self, frame):
        """Copy a frame to the device."""
        hub.copy_in(self.arena.arrays["frames"], frame.numbers, self.stream)

    def pull(self, frame):
        """Copy the frame back, and so wait for all that has been launched."""
        hub.copy_out(self.arena.arrays["frames"], frame.numbers, self.stream)

    def close(self):
        """Free the memory. Where the GPU has been lost there is none, and the error that said so matters more."""
        with contextlib.suppress(Exception), hub.on_device(self.device):
            self.arena.close()
