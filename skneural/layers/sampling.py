"""Samples from distributions that the layer before describes."""

from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("gaussian_sampling", ["stream", "deviation:f8", "noise"])
operation("gaussian_divergence", ["beta:f8", "warmup:f8"], adds_to_loss=True)


@dataclass(frozen=True, repr=False)
class GaussianSampling(Layer):
    """Normal numbers, of the means and variances that are read (Kingma and Welling, 2014): the code of a VAE.

    Of `2 k` columns the first `k` are means, the others logarithms of variances. It returns `k` columns: in training
    ``mean + exp(log_variance / 2) * normal``, in prediction the means. To the loss of every sample it adds `beta` times
    the Kullback-Leibler divergence of these distributions from standard normal ones, a sum over columns (and over the
    steps of sequences and images).

    Parameters
    ----------
    beta : float, default=1.0
        Factor of the divergence, not negative (Higgins et al., 2017). With 1, and a loss that is minus a
        log-likelihood, the sum of both is minus the evidence lower bound.
    warmup : float, default=0.0
        Epochs of a fit in which the factor rises from 0 to `beta`, evenly, step by step (Bowman et al., 2016): else
        the divergence may be 0 before the code is of use. Calls of ``partial_fit`` count on.
    deviation : float, default=1.0
        Factor of the standard deviations from which numbers are drawn. With 0 none are: the means are passed on.

    Notes
    -----
    ``loss_curve_`` and the loss of validation data have the divergence with all of `beta`, from the first epoch on, so
    that epochs can be compared: `warmup` is about gradients. Samples weigh, and losses are reported, as
    :class:`ActivityRegularization` has it. Validation data is measured at the means.

    Examples
    --------
    An autoencoder whose code has two numbers:

    >>> from skneural.layers import Dense, GaussianSampling
    >>> layers = [Dense(64, "relu"), Dense(2 * 2), GaussianSampling(), Dense(64, "relu")]
    """

    beta: float = 1.0
    warmup: float = 0.0
    deviation: float = 1.0

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if x.width % 2:
            raise net.error(f"reads means and as many logarithms of variances, got {x.width} columns.")
        if self.beta:
            net.penalty("gaussian_divergence", x, beta=self.beta, warmup=self.warmup)
        width = x.width // 2
        samples = net.training and self.deviation > 0
        return net.add(
            "gaussian_sampling",
            x,
            shape=(*x.shape[:-1], width),
            stream=net.new_stream() if samples else -1,
            deviation=self.deviation if samples else 0.0,
            noise=net.room(net.padded(width), x.steps) if net.training else -1,
        )
