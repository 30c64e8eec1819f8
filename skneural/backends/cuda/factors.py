"""The factors of matrix products: where their numbers stand, and how a thread takes its part of them.

A factor is lines of numbers at equal or at any distances; or nothing that stands together, as the windows of a
convolution, of which every vector is looked for by itself.
"""

from typing import NamedTuple

from skneural.backends.cuda.hub import register
from skneural.backends.cuda.intrinsics import load_vector


class Places(NamedTuple):
    """A factor whose vectors stand anywhere: functions that say where one does, given its line and place of the depth.

    ``of_line(op, own, f, line)`` and ``of_depth(op, own, f, k)`` return three numbers each; lines are those of the
    product, however the factor stands. ``address(op, own, f, of_line, of_depth)`` makes an address of both, 0 where
    there are zeros.
    """

    of_line: object
    of_depth: object
    address: object

    @property
    def transposed(self):
        """The same with lines and depth exchanged."""
        address = self.address

        register(address)

        def exchanged(op, own, f, of_line, of_depth):
            return address(op, own, f, of_depth, of_line)

        return Places(self.of_depth, self.of_line, exchanged)


def make_look_up(dtype, along, address, *, gathered):
    """Two functions: note what is known of the line of one of this thread's vectors; the address of that vector.

    And how many numbers are noted of each. See `make_fetch`.
    """
    size = dtype().itemsize
    if isinstance(address, Places):
        of_line, of_depth, join = map(register, address)
    else:
        register(address)

    if isinstance(address, Places):
        count = 3

        def note(op, own, f, step, noted, i, line):
            known = of_line(op, own, f, line)
            noted[3 * i] = known[0]
            noted[3 * i + 1] = known[1]
            noted[3 * i + 2] = known[2]

        def look_up(op, own, f, step, noted, i, line, k):
            known = noted[3 * i], noted[3 * i + 1], noted[3 * i + 2]
            return join(op, own, f, known, of_depth(op, own, f, k))

    elif along:
        count = 1

        def note(op, own, f, step, noted, i, line):
            noted[i] = address(op, own, f, step, line)

        def look_up(op, own, f, step, noted, i, line, k):
            return noted[i] + k * size

    elif gathered:
        count = 0

        def note(op, own, f, step, noted, i, line):
            return

        def look_up(op, own, f, step, noted, i, line, k):
            return address(op, own, f, step, k) + line * size

    else:
        count = 2  # the same for all vectors

        def note(op, own, f, step, noted, i, line):
            noted[0] = address(op, own, f, step, 0)
            noted[1] = address(op, own, f, step, 1) - noted[0]

        def look_up(op, own, f, step, noted, i, line, k):
            return noted[0] + k * noted[1] + line * size

    return register(note), register(look_up), count


def make_fetch(dtype, along, lines, depth, threads, address, *, ones=False, gathered=False):
    """Two functions: find out where this thread's vectors stand, once; take those of a step from global memory.

    `along` is whether the vectors lie along the depth; with `ones`, the last line of all is ones, wherever they lie.
    Lines stand equally far apart, unless they are `gathered`, or `address` is of `Places`.
    """
    vector = 16 // dtype().itemsize
    zero = dtype(0)
    one = dtype(1)
    count = lines * depth // vector // threads
    across = (depth if along else lines) // vector
    assert count * threads * vector == lines * depth, "every thread has as many vectors as the others"
    note, look_up, n_noted = make_look_up(dtype, along, address, gathered=gathered)
    is_free = isinstance(address, Places)  # it only computes: where nothing stands, it may do so in vain

    def find(op, own, f, step, noted, thread, begin, n_lines):
        for i in range(count):
            e = thread + i * threads
            line = begin + (e // across if along else e % across * vector)
            if is_free or line < n_lines:
                note(op, own, f, step, noted, i, line)

    def fetch(op, own, f, step, noted, taken, thread, begin, n_lines, start, n_depth):
        known = n_lines - 1 if ones else n_lines
        for i in range(count):
            e = thread + i * threads
            if along:
                line = begin + e // across
                k = start + e % across * vector
            else:
                k = start + e // across
                line = begin + e % across * vector
            is_there = line < known and k < n_depth
            at = 0
            if is_free or is_there:
                at = look_up(op, own, f, step, noted, i, line, k)
            if is_there and at != 0:
                load_vector(taken, i * vector, at)
            else:
                for j in range(vector):
                    taken[i * vector + j] = zero
            if ones:
                for j in range(vector):
                    if line + j == known and k < n_depth:
                        taken[i * vector + j] = one

    return register(find), register(fetch), max(n_noted * count, 2), count * vector
