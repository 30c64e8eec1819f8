"""Frames as Python fills them in."""

import numpy as np

from skneural.backends.records import FRAME

_INDEX = {name: FRAME.fields[name][1] // 8 for name in FRAME.names}
_REAL = {name for name in FRAME.names if FRAME.fields[name][0] == np.float64}


def data(array):
    """Address of an array's first element, 0 for None."""
    return 0 if array is None else array.__array_interface__["data"][0]


class Frame:
    """A `FRAME` with items by name. All fields have 8 bytes, and copying numbers is faster than copying a record.

    Parameters
    ----------
    numbers : ndarray of int64, default=None
        What to begin with, copied; default all 0.
    """

    __slots__ = ("_numbers", "_reals", "address")

    def __init__(self, numbers=None):
        self._numbers = np.zeros(len(_INDEX), np.int64) if numbers is None else numbers.copy()
        self._reals = self._numbers.view(np.float64)
        self.address = data(self._numbers)

    @property
    def numbers(self):
        """All fields, those that are real by their bits: what a backend copies to a device and back."""
        return self._numbers

    def __setitem__(self, name, value):
        numbers = self._reals if name in _REAL else self._numbers
        numbers[_INDEX[name]] = value

    def __getitem__(self, name):
        numbers = self._reals if name in _REAL else self._numbers
        return numbers[_INDEX[name]].item()

    def update(self, **fields):
        """Set several fields."""
        for name, value in fields.items():
            self[name] = value

    def copy(self):
        """A frame with the same numbers."""
        return Frame(self._numbers)

    def follow(self, other, keep):
        """Take all numbers of another frame, but for the fields named in `keep`."""
        kept = {name: self[name] for name in keep}
        self._numbers[:] = other._numbers
        self.update(**kept)
