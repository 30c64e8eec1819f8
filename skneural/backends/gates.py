"""Gates of a recurrent cell as compiled code can have them: tuples, written out for every count.

Compiled code knows no tuple that is made in a loop, and cannot take functions from a tuple by a running index. The
functions here return plain Python ones; each backend makes them callable from its kernels.
"""

from skneural.maths.activations import identity


def functions_of(entry):
    """What a cell is made of: its kernels are others where one of these is."""
    return entry.formula, entry.backward, *filter(None, entry.activations)


def gate_access(count):
    """Two functions for a 2-D array with a row for each gate: read unit j as a tuple, and write it."""
    if count == 1:

        def read(z, j):
            return (z[0, j],)

        def write(z, j, a):
            z[0, j] = a[0]

    elif count == 2:

        def read(z, j):
            return z[0, j], z[1, j]

        def write(z, j, a):
            z[0, j], z[1, j] = a

    elif count == 3:

        def read(z, j):
            return z[0, j], z[1, j], z[2, j]

        def write(z, j, a):
            z[0, j], z[1, j], z[2, j] = a

    else:

        def read(z, j):
            return z[0, j], z[1, j], z[2, j], z[3, j]

        def write(z, j, a):
            z[0, j], z[1, j], z[2, j], z[3, j] = a

    return read, write


def gate_activations(activations, formula):
    """A function from the tuple of a unit's gates to that of their activations; `formula` lets kernels call one."""
    f, g, h, i = [formula(activation or identity) for activation in (*activations, *[identity] * 4)][:4]
    if len(activations) == 1:

        def activate(z):
            return (f(z[0])[0],)

    elif len(activations) == 2:

        def activate(z):
            return f(z[0])[0], g(z[1])[0]

    elif len(activations) == 3:

        def activate(z):
            return f(z[0])[0], g(z[1])[0], h(z[2])[0]

    else:

        def activate(z):
            return f(z[0])[0], g(z[1])[0], h(z[2])[0], i(z[3])[0]

    return activate
