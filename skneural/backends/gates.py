"""Gates of a recurrent cell as compiled code can have them: tuples, made from the first gate on.

Compiled code knows no tuple that is made in a loop, and cannot take functions from a tuple by a running index. So a
function for some gates calls the one for all but the last of them. Those here are plain Python, which `compiled`, of
the backend, makes callable from its kernels.
"""

from skneural.maths.activations import identity


def functions_of(entry):
    """What a cell is made of: its kernels are others where one of these is."""
    return entry.formula, entry.backward, *filter(None, entry.activations)


def gate_reader(count, compiled):
    """A function that reads unit j of a 2-D array with a row for each gate, as a tuple."""
    last = count - 1
    if count == 1:

        def read(z, j):
            return (z[0, j],)

    else:
        others = gate_reader(last, compiled)

        def read(z, j):
            return (*others(z, j), z[last, j])

    read.__qualname__ = f"read_{count}"
    return compiled(read)


def gate_writer(count, compiled):
    """A function that writes unit j of such an array."""
    last = count - 1
    if count == 1:

        def write(z, j, a):
            z[0, j] = a[0]

    else:
        others = gate_writer(last, compiled)

        def write(z, j, a):
            others(z, j, a)
            z[last, j] = a[last]

    write.__qualname__ = f"write_{count}"
    return compiled(write)


def gate_activations(activations, formula, compiled):
    """A function from the tuple of a unit's gates to that of their activations; `formula` lets kernels call one."""
    last = len(activations) - 1
    f = formula(activations[last] or identity)
    if last == 0:

        def activate(z):
            return (f(z[0])[0],)

    else:
        others = gate_activations(activations[:last], formula, compiled)

        def activate(z):
            return (*others(z), f(z[last])[0])

    return compiled(activate)
