"""Plain Python threads that work in memory of ours: started, waited for, and their errors heard.

Compiled code knows arrays by their addresses. So a thread is given what it works on to hold: however the call that
started it ends, by Ctrl-C, by an error or because no more threads can be had, no thread is left in memory that has
been freed.
"""

import contextlib
import ctypes
import os
import threading

_sched_getcpu = getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None


class Thread(threading.Thread):
    """A thread that begins on another core than the one that starts it.

    Where the other cores are asleep, Linux puts a new thread on the core of its parent. Both take turns there until the
    queues are balanced, 5 to 8 ms later: as long as a prediction of 10,000 rows takes.
    """

    def start(self):
        """Start, from the core on which this is called."""
        self._parent_core = _sched_getcpu() if _sched_getcpu is not None else -1
        super().start()

    def run(self):
        """What `threading.Thread` runs, elsewhere."""
        _leave(self._parent_core)
        super().run()


def _leave(core):
    """Move the calling thread off a core. It may come back; threads are not bound to cores."""
    if core < 0:
        return
    # Whatever forbids this, the thread must run: others wait for it.
    with contextlib.suppress(Exception):
        allowed = os.sched_getaffinity(0)
        others = allowed - {core}
        if others:
            os.sched_setaffinity(0, others)
            os.sched_setaffinity(0, allowed)


def start_all(threads):
    """Start threads; those that the system would not start. Where it has no more to give, others do their work."""
    refused = []
    for thread in threads:
        try:
            thread.start()
        except RuntimeError:  # "can't start new thread"
            refused.append(thread)
    return refused


def join_all(threads):
    """Wait for all threads that have been started, whatever interrupts; then let the interrupt go on."""
    interrupt = None
    for thread in threads:
        while thread.is_alive():
            try:
                thread.join()
            except BaseException as error:
                interrupt = interrupt or error
    if interrupt is not None:
        raise interrupt


def run_together(run, parts, held):
    """``run(part)`` for every part at a time: the first one in this thread, each other in one of its own.

    Parameters
    ----------
    run : callable
    parts : list
    held : object
        What `run` reads and writes, to be held by every thread.

    Raises
    ------
    BaseException
        The first that a part has raised, when all have ended.
    """
    errors = []

    def attempt(part, held):
        try:
            run(part)
        except BaseException as error:
            errors.append(error)

    threads = {Thread(target=attempt, args=(part, held)): part for part in parts[1:]}
    try:
        refused = start_all(threads)
        for part in [parts[0], *(threads[thread] for thread in refused)]:
            run(part)
    finally:
        join_all(threads)
    if errors:
        raise errors[0]
