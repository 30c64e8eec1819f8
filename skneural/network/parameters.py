"""Where the parameters of layers stand in the flat vector, and how users see them."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Block:
    """Parameters that belong together: a part of the flat vector.

    Users see a view of it without the padding, as an item of the fitted attribute `name`.

    Parameters
    ----------
    name : str
        Fitted attribute: ``"coefs_"``, ``"intercepts_"``, ... Blocks of one name are the items of a list.
    layer : int
        Number of the layer that they belong to, among those with parameters.
    start : int
        Where they begin in the vector.
    shape, strides : tuple of int
        Of the view; strides count numbers.
    size : int
        Numbers in the vector, padding included.
    part, item : str or None, int
        Where an item of the attribute is a mapping (those of ``norms_`` are): the key, and the number of the mapping.
    learnt, penalised : bool
        Whether the optimizer changes them, and whether the penalty counts them.
    parts : int
        Weights of a convolution: how many taps its windows have, each with a matrix of its own; 0 for others.
    groups : int
        How many matrices stand side by side in those of a convolution, each with initial weights of its own.
    initial : float or str
        What they begin with: a number, ``"weights"`` (by the rule for initial weights), ``"bias"`` (0, but for rules
        that draw biases, too) or ``"orthogonal"``.
    """

    name: str
    layer: int
    start: int
    shape: tuple
    strides: tuple
    size: int
    part: str | None = None
    item: int = 0
    learnt: bool = True
    penalised: bool = False
    parts: int = 0
    groups: int = 1
    initial: float | str = 0.0

    @property
    def n_rows(self):
        """Rows of a matrix of weights."""
        return self.shape[0]

    @property
    def ld(self):
        """Padded width of a row of a matrix of weights."""
        return self.strides[0]

    @property
    def n_parameters(self):
        """How many numbers users see."""
        return math.prod(self.shape)

    def view(self, params):
        """The parameters as a view of the flat vector, without the padding."""
        itemsize = params.itemsize
        offset = self.start * itemsize
        strides = [stride * itemsize for stride in self.strides]
        return np.ndarray(self.shape, params.dtype, params, offset, strides)

    def matrix(self, params):
        """Weights as a matrix, what pads the gates of a recurrent layer included."""
        width = self.shape[-1]
        if len(self.shape) > 2:
            width = self.shape[1] * self.strides[1]
        numbers = params[self.start : self.start + self.size]
        return numbers.reshape(self.n_rows, self.ld)[:, :width]


class Tensor:
    """Of pickles of version 1, which look the name up; see `network.layers`."""


class Norm:
    """The same."""
