"""Kernels of the threads of a pool: how workers wait for commands, and how the first thread gives them."""

from numba import types

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import atomic_add, atomic_load, call_job
from skneural.backends.cpu.layout import COMMANDS, DONE, QUIT
from skneural.backends.cpu.walker import wait_until


def make_run_worker():
    """Kernel of a worker, ``run_worker(job, frame, barrier)``: until told to quit, wait for a command, do the job."""
    digest = DIGEST
    commands = COMMANDS
    done = DONE
    quit_at = QUIT

    def run_worker(job, frame_address, barrier):
        digest  # part of the cache key
        seen = 0
        while True:
            seen += 1
            wait_until(barrier + commands, seen)
            if atomic_load(barrier + quit_at) != 0:
                return
            call_job(job, (frame_address,))
            atomic_add(barrier + done, 1)

    return (types.int64,) * 3, run_worker


def make_run_first():
    """Kernel of the first thread, ``run_first(job, frame, barrier, workers)``: command workers, do the job, wait."""
    digest = DIGEST
    commands = COMMANDS
    done = DONE

    def run_first(job, frame_address, barrier, workers):
        digest  # part of the cache key
        finished = atomic_load(barrier + done) + workers
        atomic_add(barrier + commands, 1)
        call_job(job, (frame_address,))
        wait_until(barrier + done, finished)

    return (types.int64,) * 4, run_first
