"""The same numbers in another shape."""

import math
from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("reshape")


def add_reshape(net, x, shape):
    """Append an operation that reads the numbers of a sample in order, step after step, in another shape.

    Nothing has to be moved where the steps of the network's input are called pixels, or pixels steps, and nobody else
    can read it. Then, too, all samples have all of them: what is 0 after the end of a sequence is a part of the image.
    """
    stays = math.prod(shape[:-1]) == x.steps and shape[-1] == x.width
    if stays and x is net.input and not x.readers and net.is_outermost:
        x.shape = shape
        x.every = 0
        return x
    return net.add("reshape", x, shape=shape, every=0)


def _is_shape(shape):
    """Whether something says what rows, sequences or images look like, but for one number that may be -1."""
    if not isinstance(shape, tuple) or len(shape) not in (1, 2, 3):
        return False
    are_sizes = all(type(n) is int and (n > 0 or n == -1) for n in shape)
    return are_sizes and shape.count(-1) <= 1


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """Sequences or images as rows: the channels of all time steps, or pixels, side by side.

    Where a sample ends before the others there are zeros. A network with this layer reads sequences of one length.

    Examples
    --------
    >>> from skneural.layers import Dense, Flatten, Recurrent
    >>> hidden = [Recurrent("gru", 16), Flatten(), Dense(32, "relu")]
    """

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if len(x.shape) == 1:
            return x
        return add_reshape(net, x, (x.steps * x.width,))


@dataclass(frozen=True, repr=False)
class Reshape(Layer):
    """The same numbers in another shape: rows as sequences or images, or these as others.

    Parameters
    ----------
    shape : tuple of int
        (units,) for rows, (n_timesteps, n_channels) for sequences, (height, width, n_channels) for images. One number
        may be -1: what remains.

    Examples
    --------
    A table with 24 columns as two channels of 12 steps:

    >>> from skneural.layers import GlobalPool, Recurrent, Reshape
    >>> hidden = [Reshape((12, 2)), Recurrent("gru", 16), GlobalPool()]
    """

    shape: tuple

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if not _is_shape(self.shape):
            raise net.error(
                f"needs a tuple of one to three integers from 1 up, of which one may be -1, got {self.shape!r}."
            )
        size = x.steps * x.width
        shape = self._completed(size)
        if shape is None:
            raise net.error(
                f"needs a shape of {size} numbers, as its input of shape {x.shape} has, got {self.shape!r}."
            )
        return x if shape == x.shape else add_reshape(net, x, shape)

    def _completed(self, size):
        """The shape with a number in the place of -1; None if it does not have that size."""
        shape = self.shape
        if -1 in shape:
            known = math.prod(n for n in shape if n != -1)
            shape = tuple(size // known if n == -1 else n for n in shape)
        fits = math.prod(shape) == size and min(shape) > 0
        return shape if fits else None
