"""Two networks in one, for generative adversarial networks: what estimators make of their lists of layers.

The operations stand in the order: input, latent numbers, those of the generator, the gate, those of the discriminator,
the verdict. Passes of a step of training run parts of them (see `training.adversarial`).
"""

import math
from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("latent", ["stream", "n_labels"])
operation("gate", ["n_generated", "ld_first", "ld_second", "stream", "deviation:f8"])
operation("label_channels", ["n_labels"])
operation("verdict", ["boundary:f8"], elementwise=True)
#: Kinds of operations whose weights are one matrix.
WITH_SPECTRA = ("dense", "convolution", "convolution_transpose")


@dataclass(frozen=True, repr=False)
class Adversarial(Layer):
    """A generator, and a discriminator that reads what it makes, or real rows (Goodfellow et al., 2014).

    The input is real rows, the labels of their classes behind them as columns of zeros and ones. Which of both the
    discriminator reads is said by the source of a pass. It judges generated samples as ones of the labels of the real
    row in their place.

    Parameters
    ----------
    generator : tuple of Layer
        From latent numbers, labels behind them, to rows as wide as the real ones without labels.
    discriminator : tuple of Layer
        From rows to one number, without an activation.
    n_latent : int
        How many normal numbers the generator reads.
    n_labels : int or None, default=None
        How many columns of the input are labels.
    deviation : float, default=0.0
        Standard deviation of noise that is added to what the discriminator reads, labels apart.
    boundary : float, default=0.0
        What an output must be larger than for a sample to count as judged real.
    averages : bool, default=False
        Whether there is room for averages of the generator's parameters, behind all others.
    limits_spectra : bool, default=False
        Whether there is a vector for each matrix of the discriminator's weights, by which its spectral norm is found.
    """

    generator: tuple
    discriminator: tuple
    n_latent: int
    n_labels: int | None = None
    deviation: float = 0.0
    boundary: float = 0.0
    averages: bool = False
    limits_spectra: bool = False

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        (width,) = net.rows(x)
        if not net.is_outermost or net.n_params:
            raise net.error("stands alone: the parameters of a generator are the first ones.")
        n_labels = self.n_labels or 0
        latent_shape = (self.n_latent + n_labels,)
        latent = net.add("latent", x, shape=latent_shape, every=0, stream=net.new_stream(), n_labels=n_labels)
        generated = net.stack(self.generator, latent)
        n_averaged = net.n_params
        if generated.shape != (width - n_labels,):
            raise net.error(
                f"needs a generator that makes rows of {width - n_labels} numbers, got shape {generated.shape}."
            )
        judged = net.add(
            "gate",
            x,
            generated,
            shape=(width,),
            n_generated=generated.width,
            ld_first=x.ld,
            ld_second=generated.ld,
            stream=net.new_stream(),
            deviation=self.deviation,
        )
        outputs = net.stack(self.discriminator, judged)
        if outputs.shape != (1,):
            raise net.error(f"needs a discriminator that makes one number, got shape {outputs.shape}.")
        if self.averages:
            net.parameter("averages_", (n_averaged,), learnt=False)
        if self.limits_spectra:
            _keep_singular_vectors(net, judged)
        if not net.training:
            return outputs
        return net.add("verdict", outputs, shape=outputs.shape, boundary=self.boundary)


def _keep_singular_vectors(net, judged):
    """Reserve a vector for every matrix of weights behind a value."""
    start = net.operations.index(judged.producer)
    weights = []
    for behind in net.operations[start:]:
        own = [block for block in behind.blocks if block.penalised]
        if own and behind.kind not in WITH_SPECTRA:
            kind = behind.kind.replace("_", " ")
            raise net.error(f"limits spectral norms of dense layers and of convolutions without groups, not of {kind}.")
        weights += own
    for block in weights:
        net.parameter("singular_vectors_", (block.shape[-1],), learnt=False, initial=1.0)


@dataclass(frozen=True, repr=False)
class LabelChannels(Layer):
    """Rows that hold an image and labels, as an image with a channel of equal numbers for each label.

    Parameters
    ----------
    shape : tuple of int
        Of the image: (height, width, n_channels).
    """

    shape: tuple

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        (width,) = net.rows(x)
        height, breadth, n_channels = self.shape
        n_labels = width - math.prod(self.shape)
        if n_labels < 1:
            raise net.error(f"needs rows with more than the {math.prod(self.shape)} numbers of an image, got {width}.")
        shape = (height, breadth, n_channels + n_labels)
        return net.add("label_channels", x, shape=shape, every=0, n_labels=n_labels)


@dataclass(frozen=True, repr=False)
class Copied(Layer):
    """Rows as they are, in a place of their own: for what comes after an activation, and may not be a part of it."""

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        return net.add("reshape", x, shape=net.rows(x), every=0)
