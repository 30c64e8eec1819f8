"""Frames as Python fills them in."""

import ctypes

import numpy as np

from skneural.backends.records import FRAME

_KINDS = {np.dtype(np.int64): ctypes.c_int64, np.dtype(np.float64): ctypes.c_double}

_number_at = ctypes.c_size_t.from_address
#: Where an array's own fields begin: behind what every object of Python has.
_OBJECT = object.__basicsize__


def data(array):
    """Address of an array's first element, 0 for None.

    It is the first field of an array, as all code has it that is compiled against NumPy. ``array.ctypes.data`` makes an
    object to say so, which takes four times as long; a short prediction asks three times.
    """
    return 0 if array is None else _number_at(id(array) + _OBJECT).value


class Frame(ctypes.Structure):
    """A `FRAME`, all 0 at first. Its fields are attributes, and items by their names.

    To copy it, and to read or write a number, takes a tenth of the time that a record of NumPy takes.
    """

    __slots__ = ()  # the name of a field that there is not is an error
    _fields_ = tuple((name, _KINDS[FRAME.fields[name][0]]) for name in FRAME.names)

    @property
    def address(self):
        """Where compiled code finds it."""
        return ctypes.addressof(self)

    @property
    def numbers(self):
        """All fields, those that are real by their bits: what a backend copies to a device and back."""
        return np.frombuffer(self, np.int64)

    def __setitem__(self, name, value):
        setattr(self, name, value)

    def __getitem__(self, name):
        return getattr(self, name)

    def update(self, **fields):
        """Set several fields."""
        for name, value in fields.items():
            setattr(self, name, value)

    def copy(self):
        """A frame with the same numbers."""
        return Frame.from_buffer_copy(self)

    def follow(self, other, keep):
        """Take all numbers of another frame, but for the fields named in `keep`."""
        kept = {name: self[name] for name in keep}
        self.numbers[:] = other.numbers
        self.update(**kept)
