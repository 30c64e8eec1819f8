"""The steps of sequences and the pixels of images, repeated."""

from dataclasses import dataclass

from skneural.layers.pooling_images import pair
from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("upsample", ("width", "size_y", "size_x"), shares_steps=True)


@dataclass(frozen=True, repr=False)
class UpSample(Layer):
    """Every pixel of an image, or every step of a sequence, as often as `size` says: the nearest neighbour.

    Parameters
    ----------
    size : int or (int, int), default=2
        How often along the height and the width of images; of sequences one number, along the time.

    Notes
    -----
    Sequences become longer again that pooling or a stride has made shorter, up to what the data have: a step of the
    data is the finest there is.

    Examples
    --------
    Half as high and half as wide, and back:

    >>> from skneural.layers import AveragePool2D, Conv2D, Reshape, UpSample
    >>> hidden = [Reshape((8, 8, 1)), AveragePool2D(), Conv2D(16, activation="relu"), UpSample(), Conv2D(1)]
    """

    size: int | tuple = 2

    def build(self, net, x):
        """See `Layer.build`."""
        if len(x.shape) == 2:
            return self._sequences(net, x)
        if len(x.shape) != 3:
            raise net.error(f"needs sequences or images, got rows of shape {x.shape}.")
        height, width, channels = x.shape
        size_y, size_x = pair(self.size)
        shape = (height * size_y, width * size_x, channels)
        return net.add("upsample", x, shape=shape, every=0, width=width, size_y=size_y, size_x=size_x)

    def _sequences(self, net, x):
        if isinstance(self.size, tuple):
            raise net.error(f"has one number as its size where it reads sequences, got {self.size!r}.")
        if x.every % self.size:
            raise net.error(
                f"needs sequences of which a step stands for {self.size} steps of the data, or a multiple of that; "
                f"here it stands for {x.every}: put a layer with a stride or a size of {self.size} before it."
            )
        every = x.every // self.size
        steps = x.steps * self.size
        if every > 0:  # no more than the data have
            steps = min(steps, -(-net.input.steps // every))
        return net.add(
            "upsample",
            x,
            shape=(steps, x.width),
            every=every,
            forwards=x.forwards,
            width=1,
            size_y=self.size,
            size_x=1,
        )
