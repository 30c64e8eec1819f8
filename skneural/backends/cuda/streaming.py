"""Data that does not fit on the device: the rows of the next steps are copied while those of the last are used.

Two buffers take turns. The host gathers the rows of some steps, in the order of the epoch, into memory that the device
can read by itself; the copy runs on a stream of its own beside the kernels. Behind them stands the row that comes next,
which the last of them may be mixed with.
"""

import numpy as np

from skneural.backends.cuda import hub, memory
from skneural.backends.cuda.compiler import DIGEST
from skneural.backends.cuda.intrinsics import model_record
from skneural.backends.cuda.launches import Launch
from skneural.backends.inputs import Sequences
from skneural.network.memory import padded

#: Bytes of one buffer, unless a batch needs more.
WINDOW = 1 << 20 if hub.IS_SIMULATED else 1 << 28


def make_set_window():
    """Say where the rows at hand stand: `address` is theirs, `step` the number of the first one in the epoch."""
    digest = DIGEST

    def set_window(address, frames, step):
        digest  # part of the cache key
        f = model_record(frames)
        f.inputs = address
        f.window = step

    return set_window


class Stream:
    """Rows or sequences in the order of every epoch, some steps at a time.

    Parameters
    ----------
    run : Run
    X : ndarray or Sequences
    batch : int
    frame : Frame
        Is told how rows stand in the buffers.
    """

    def __init__(self, run, X, batch, frame):
        self.run = run
        self.X = X
        self.batch = batch
        self.frame = frame
        self.values = X.values if isinstance(X, Sequences) else X
        dtype = self.values.dtype
        self.row = self._row(X, dtype)
        self.steps = self._steps(X, dtype, batch)
        self.window = (self.steps * batch + 1) * self.row
        self.pinned = [hub.pinned(self.window, dtype) for _ in range(2)]
        for buffer in self.pinned:
            buffer[:] = 0
        addresses = [run.arena.zeros(f"window {i}", self.window, dtype) for i in range(2)]
        self.copies = hub.new_stream(run.device)
        self._announce = [Launch((make_set_window,), block=1, address=address) for address in addresses]
        frame.update(ld_inputs=self.row, window=0)
        if isinstance(X, Sequences):
            features = X.values.shape[2]
            frame.update(ld_steps=features, ld_features=1, lengths=run.arena.put("lengths", X.lengths))
            frame.update(integers=memory.size_of_integers(X.values))

    @staticmethod
    def _row(X, dtype):
        """Numbers of a row in a buffer."""
        return X.values[0].size if isinstance(X, Sequences) else padded(X.shape[1], dtype)

    @classmethod
    def _steps(cls, X, dtype, batch):
        """Steps that a buffer lasts."""
        return max(1, WINDOW // (cls._row(X, dtype) * np.dtype(dtype).itemsize * batch))

    @classmethod
    def bytes_for(cls, X, dtype, batch):
        """Bytes of both buffers on the device."""
        if isinstance(X, tuple):
            return 0
        if isinstance(X, Sequences):
            dtype = X.values.dtype
        row = cls._row(X, dtype)
        return 2 * (cls._steps(X, dtype, batch) * batch + 1) * row * np.dtype(dtype).itemsize

    def run_epoch(self, run_steps, steps_per_epoch):
        """Run all steps of an epoch, window by window."""
        run = self.run
        order = None
        if self.frame["order"] != 0:
            order = np.empty(self.frame["n_rows"], np.int64)
            run.arena.get("order", order)
        windows = range(0, steps_per_epoch, self.steps)
        used = [None, None]
        copied = [None, None]
        for number, first in enumerate(windows):
            turn = number % 2
            if copied[turn] is not None:
                hub.reach(copied[turn])  # the buffer of the host is free again
            self._gather(self.pinned[turn], order, first * self.batch)
            if used[turn] is not None:
                hub.wait_for(self.copies, used[turn])  # and so is that of the device
            hub.copy_in_later(run.arena.arrays[f"window {turn}"], self.pinned[turn], self.copies)
            copied[turn] = hub.mark(self.copies)
            hub.wait_for(run.stream, copied[turn])
            self._announce[turn].step = first * self.batch
            self._announce[turn].start(run.stream, run.ops, run.frames)
            run_steps(min(self.steps, steps_per_epoch - first))
            used[turn] = hub.mark(run.stream)

    def _gather(self, buffer, order, begin):
        """Copy the rows of a window side by side, and behind them the one after the last."""
        end = min(begin + self.steps * self.batch, len(self.values))
        rows = np.arange(begin, end + 1) % len(self.values)
        part = self.values[rows if order is None else order[rows]]
        buffer[: len(part) * self.row].reshape(len(part), self.row)[:, : part[0].size] = part.reshape(len(part), -1)

    def close(self):
        """Let go of the host's buffers, once nothing reads them any more."""
        try:
            hub.wait(self.copies)
        finally:
            self.pinned.clear()
