"""Plain Python threads that work in memory of ours: started, waited for, and their errors heard.

Compiled code knows arrays by their addresses. So a thread is given what it works on to hold: however the call that
started it ends, by Ctrl-C, by an error or because no more threads can be had, no thread is left in memory that has
been freed.
"""

import threading


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

    threads = {threading.Thread(target=attempt, args=(part, held)): part for part in parts[1:]}
    try:
        refused = start_all(threads)
        for part in [parts[0], *(threads[thread] for thread in refused)]:
            run(part)
    finally:
        join_all(threads)
    if errors:
        raise errors[0]
