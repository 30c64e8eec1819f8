"""What surrounds a compiler, whichever it is: one thread at a time, forks, Ctrl-C, and machine code kept on disk."""

import contextlib
import os
import signal
import threading
import warnings

from skneural.backends import sources

#: Held by whoever compiles or loads a compiler: Numba's is not safe to enter from two threads.
LOCK = threading.RLock()

_locks_of_compilers = []
_warned = False


# -- forks -------------------------------------------------------------------------------------------------------------


def guard(lock):
    """Let forks wait for the lock of a compiler, too: what another thread holds stays locked in the child for ever."""
    # Without LOCK: whoever holds it may wait for the import of the compiler, of which this is a part.
    if lock not in _locks_of_compilers:
        _locks_of_compilers.append(lock)


def _before_fork():
    LOCK.acquire()  # always the first one: compiling takes them in this order
    for lock in _locks_of_compilers:
        lock.acquire()


def _after_fork():
    for lock in reversed(_locks_of_compilers):
        lock.release()
    LOCK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def interrupts_later():
    """Hold Ctrl-C back meanwhile. In the midst of a compiler it may come out as another error, or leave it broken."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    interrupts = []
    signal.signal(signal.SIGINT, lambda *arguments: interrupts.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if interrupts:
            handler(*interrupts[0])


# -- the cache on disk -------------------------------------------------------------------------------------------------


def name_intrinsics(names):
    """Name the intrinsics among the global names of a module by what they are called there.

    Numba names them by a number of the process, which would make another key of every kernel that closes over a
    function that calls one: such kernels would never come from the cache. Names that stay are as unique.
    """
    for name, value in list(names.items()):
        if hasattr(value, "_set_uuid"):
            value._set_uuid(f"{names['__name__']}.{name}")


def compile_cached(function, compile_it, forget):
    """A kernel, compiled or loaded from the cache on disk; without the cache, with a warning, where there can be none.

    Files that are damaged, by a full disk or a crash of the machine, are replaced.

    Parameters
    ----------
    function : callable
        What to compile.
    compile_it : callable
        ``compile_it(cached)`` returns the kernel.
    forget : callable
        ``forget(function)`` drops what is kept of it on disk.
    """
    sources.locate(function)
    with interrupts_later():
        try:
            return compile_it(cached=True)
        except Exception as error:  # reading a damaged file may raise anything
            failure = error
        if not _is_of_folder(failure):
            try:
                forget(function)
                return compile_it(cached=True)
            except Exception as error:
                if not _is_of_folder(error):
                    raise error from None
                failure = error
        _warn_once(failure)
        return compile_it(cached=False)


def keeps_on_disk():
    """Whether kernels are kept there, as far as has been seen."""
    return not _warned


def _is_of_folder(error):
    """Whether there is no folder for the cache, or none that can be written."""
    return isinstance(error, OSError) or "cannot cache" in str(error)


def _warn_once(error):
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            "skneural compiles its kernels anew in this process, because the folder for the compiled ones cannot be "
            f"written ({error}). Set NUMBA_CACHE_DIR to a folder that can.",
            RuntimeWarning,
            stacklevel=2,
        )
