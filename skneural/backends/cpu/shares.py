"""How threads share work: each has a share of its own, and who is done takes from what others have not begun.

Cores are seldom equally fast: other programs run on them, or other machines share the chip. Of two threads with fixed
halves one waits for the other at every barrier. So a thread claims its share piece by piece, and then pieces of other
threads' shares. Results do not depend on who computes what; and while all are equally fast every thread works in
memory that is in its own cache.

What has been claimed of a share is a counter of the thread that it belongs to: for each operation one for its
parameters and two for its steps, forward and back, and one for rows. A walk of all threads, which ends at a barrier,
uses one set of counters while the threads clear the other for the next walk.
"""

from numba.extending import register_jitable

from skneural.backends.cpu.compiler import HELPER
from skneural.backends.cpu.intrinsics import atomic_add, atomic_load, clear


@register_jitable(**HELPER)
def _counters(f, walk, owner):
    """Address of the counters of a thread in a walk."""
    return f.claims + ((walk % 2) * f.n_threads + owner) * f.claims_pitch * 8


@register_jitable(**HELPER)
def begin_walk(f):
    """Begin a walk in which shares are claimed; all threads do, and meet at a barrier after it."""
    if f.n_threads > 1:
        f.walk += 1
        clear(_counters(f, f.walk + 1, f.rank), f.claims_pitch * 8)


@register_jitable(**HELPER)
def next_piece(f, counter, total, size, turn, end):
    """Claim up to `size` of `total` for this thread: whose turn it is, where the piece begins and where it ends.

    The first call is given 0 and 0, others what the last one returned. An empty piece says that all has been claimed.
    """
    while turn < f.n_threads:
        owner = (f.rank + turn) % f.n_threads
        first = owner * total // f.n_threads
        last = (owner + 1) * total // f.n_threads
        begin = end
        if f.n_threads > 1:
            claimed = _counters(f, f.walk, owner) + counter * 8
            begin = first + atomic_load(claimed)
            if begin < last:  # most counters of others are only read
                begin = first + atomic_add(claimed, size)
        if begin < last:
            return turn, begin, min(begin + size, last)
        turn += 1
    return turn, total, total
