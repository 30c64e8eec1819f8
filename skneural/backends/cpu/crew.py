"""Compile kernels in several processes: what one has compiled the others load from the cache on disk.

The first kernel that has to be compiled, with more to follow, calls for other processes. All take the next kernel from
one list. Whatever goes wrong with the others, this process compiles what is still missing.
"""

import collections
import contextlib
import os
import pathlib
import subprocess
import sys
import threading

from skneural.backends import compiling
from skneural.backends.cpu import catalogue

#: Kernels for each process that is started: it takes as long as compiling two until it can compile one.
KERNELS_EACH = 4
#: Processes at the most. Each takes a quarter of a gigabyte.
MOST = 8
#: Seconds after which a process is given up that is at one kernel.
PATIENCE = 120

_WORK = "import sys; sys.path[:] = {path!r}; from skneural.backends.cpu import crew; crew.work()"

#: Held while there are other processes: a second thread compiles alone.
_one_crew = threading.Lock()


def get_ready(keys, n_processes):
    """Load or compile kernels, in several processes where that saves time.

    Parameters
    ----------
    keys : sequence of tuples
        As `catalogue.address` takes them. Those that take long to compile come first.
    n_processes : int
        At the most, this one counted.
    """
    missing = [key for key in dict.fromkeys(keys) if not catalogue.is_ready(*key)]
    while missing:
        key = missing.pop()
        catalogue.address(*key)
        size = min(n_processes, MOST, len(missing) // KERNELS_EACH + 1)
        if size > 1 and catalogue.is_compiled(*key) and compiling.keeps_on_disk() and _has_python():
            _compile_together(missing, size - 1)
            break
    for key in missing:
        catalogue.address(*key)


def _has_python():
    """Whether other processes like this one can be started: not from within another program."""
    name = pathlib.Path(sys.executable or "").name.lower()
    return name.startswith("python") and not getattr(sys, "frozen", False)


def _compile_together(keys, n_others):
    """Compile kernels side by side with other processes, which do not know users' own formulas."""
    if not _one_crew.acquire(blocking=False):
        return
    rest = collections.deque(key for key in keys if catalogue.is_built_in(*key))
    others = []
    try:
        with contextlib.suppress(OSError, RuntimeError):  # there are no more processes, or threads, to be had
            for _ in range(n_others):
                others.append(_Other(rest))
        while rest:
            with contextlib.suppress(IndexError):  # another was faster
                catalogue.address(*rest.popleft())
        for other in others:
            other.finish()
    finally:
        for other in others:
            other.close()
        _one_crew.release()


class _Other:
    """Another process, and the thread that hands it one kernel after the other.

    Parameters
    ----------
    rest : deque
        Keys of kernels. It takes some from the left.
    """

    def __init__(self, rest):
        self._rest = rest
        self._is_busy = False
        command = [sys.executable, "-c", _WORK.format(path=sys.path)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what is wrong will be said by this process
            text=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._thread = threading.Thread(target=self._hand_out, daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _hand_out(self):
        with contextlib.suppress(IndexError, OSError, ValueError):  # nothing is left, or the process has ended
            for _ in self._process.stdout:
                self._is_busy = True
                key = self._rest.popleft()
                print(catalogue.symbol_of(*key), file=self._process.stdin, flush=True)
        self._is_busy = False

    def finish(self):
        """Wait for the kernel that it is at."""
        if self._is_busy:
            self._thread.join(PATIENCE)

    def close(self):
        """End it."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()


def work():
    """In another process: compile kernels whose names come in, line by line, and say when one is done."""
    keys = {catalogue.symbol_of(*key): key for key in catalogue.every_kernel(["float32", "float64"])}
    print("ready", flush=True)
    for line in sys.stdin:
        catalogue.address(*keys[line.strip()])
        print("done", flush=True)
    os._exit(0)
