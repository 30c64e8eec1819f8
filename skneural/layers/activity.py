"""Penalties on activations."""

from dataclasses import dataclass

from skneural.network.layer import Layer
from skneural.network.operations import operation

operation("activity_penalty", ["l1:f8", "l2:f8"], adds_to_loss=True)


@dataclass(frozen=True, repr=False)
class ActivityRegularization(Layer):
    """Add ``l1 * sum(abs(x)) + l2 * sum(x ** 2)`` of every sample to its loss, and pass `x` on as it is.

    The sums are over all columns, of sequences and images over all steps (up to the end of a sample) and channels.
    With `l1`, most activations become 0: a sparse code.

    Parameters
    ----------
    l1, l2 : float, default=0.0
        Factors, not negative.

    Notes
    -----
    What is added counts as the loss does: times the weight of the sample, in ``loss_curve_`` and in the loss of
    validation data. Of losses that are reported as means over outputs, as ``loss='squared_error'``, it is divided by
    the number of outputs in these, too; the gradient is that of the sums.

    Examples
    --------
    >>> from skneural.layers import ActivityRegularization, Dense
    >>> hidden = [Dense(64, "relu"), ActivityRegularization(l1=1e-3)]
    """

    l1: float = 0.0
    l2: float = 0.0

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        if self.l1 or self.l2:
            net.penalty("activity_penalty", x, l1=self.l1, l2=self.l2)
        return x
