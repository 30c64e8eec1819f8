"""A pool of workers: one compiled function run by several plain Python threads, and how many of them it pays to use.

The threads live as long as a fit. Between calls the workers wait in compiled code, without the GIL: they spin, then
yield, then sleep. A call commands them, does its own part and waits for theirs, in one compiled function: so an
interrupt (Ctrl-C) finds either all threads at work or none.
"""

import time

import numpy as np

from skneural.backends.cpu.catalogue import address, function
from skneural.backends.cpu.layout import BARRIER_SIZE, COMMANDS, QUIT, TIMEOUTS
from skneural.backends.cpu.threads import Thread, join_all, start_all
from skneural.backends.frame import data


class Pool:
    """Threads that run one job, each on a frame of its own.

    Parameters
    ----------
    job : tuple
        Key of the kernel to run: its name, and what it is made for. It takes the address of a frame.
    frames : list of Frame
        One frame a thread.
    """

    def __init__(self, job, frames):
        self.frames = frames
        self._alone = function(1, *job)
        self._job = address(*job)
        self._threads = []

    def run(self, size):
        """Run the job on the first `size` frames: on one, or on all once their threads have been started."""
        first = self.frames[0]
        if size == 1:
            self._alone(first.address)
            return
        self.barrier[TIMEOUTS // 8] = 0
        self._run_first(self._job, first.address, data(self.barrier), size - 1)

    @property
    def started(self):
        """Whether the other threads are there."""
        return bool(self._threads)

    def start(self, held):
        """Start the other threads; False, and there are none, if the system has no more to give.

        They hold `held`, what stands behind the addresses in the frames, for as long as they live.
        """
        run_worker = function(3, "run_worker")
        self._run_first = function(4, "run_first")
        self.barrier = np.zeros(BARRIER_SIZE // 8, np.int64)
        for rank, frame in enumerate(self.frames):
            frame.update(rank=rank, barrier=data(self.barrier))
        for frame in self.frames[1:]:
            arguments = (run_worker, self._job, frame, self.barrier, held)
            self._threads.append(Thread(target=_work, args=arguments, daemon=True, name="skneural"))
        try:
            refused = start_all(self._threads)
        except BaseException:
            self.close()
            raise
        if refused:
            self.close()
        return not refused

    def close(self):
        """End the workers."""
        if not self._threads:
            return
        self.barrier[QUIT // 8] = 1
        self.barrier[COMMANDS // 8] += 1
        threads = self._threads
        self._threads = []
        join_all(threads)


def _work(run_worker, job, frame, barrier, held):
    """A worker's life. It holds what stands behind the addresses."""
    run_worker(job, frame.address, data(barrier))


class Pace:
    """Chooses between one thread and all, by measuring both now and then.

    Results do not depend on the number of threads, so it may change at any step. Where other programs keep the cores
    busy, threads that wait for one another are slower than one alone, and no model of the work can know that. One
    thread begins, so that a short fit never starts others; but where a single step is long, all do.

    Parameters
    ----------
    size : int
        Number of all threads.
    estimate : float
        Seconds that a step may take one thread, for the first call.
    """

    PROBE = 0.002  # seconds that a measurement takes at least
    RECHECK = (0.1, 2.0)  # seconds until the slower one is tried again: at first, at most
    SHARE = 0.02  # of the time that trying may take

    def __init__(self, size, estimate):
        self.sizes = (1, size) if size > 1 else (1,)
        self.seconds_a_step = dict.fromkeys(self.sizes, estimate)
        self._unknown = list(self.sizes)
        self._wait = self.RECHECK[0]
        if size > 1 and estimate > self.PROBE:
            self.seconds_a_step[size] = estimate / size
            self._unknown = [size]
            self._wait = self._at_least(estimate)
        self._spent = dict.fromkeys(self.sizes, 0.0)
        self._recheck = time.perf_counter() + self._wait

    def choose(self, seconds):
        """Number of threads and number of steps for the next call, which should last at most `seconds`."""
        if self._unknown:
            return self._plan(self._unknown[0], self.PROBE)
        best = min(self.sizes, key=self.seconds_a_step.get)
        if len(self.sizes) > 1 and time.perf_counter() > self._recheck:
            other = sum(self.sizes) - best
            self._wait = max(min(2 * self._wait, self.RECHECK[1]), self._at_least(self.seconds_a_step[other]))
            self._recheck = time.perf_counter() + self._wait
            return self._plan(other, self.PROBE)
        return self._plan(best, seconds)

    def _plan(self, size, seconds):
        return size, max(1, int(seconds / self.seconds_a_step[size]))

    def _at_least(self, a_step):
        return max(a_step, self.PROBE) / self.SHARE

    def record(self, size, steps, seconds):
        """Note how long a call took."""
        if steps:
            self.seconds_a_step[size] = seconds / steps
            self._spent[size] += seconds
            if size in self._unknown and self._spent[size] >= self.PROBE:
                self._unknown.remove(size)
