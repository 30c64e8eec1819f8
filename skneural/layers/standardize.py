"""Features on one scale."""

from dataclasses import dataclass

from skneural.network.layer import Layer


@dataclass(frozen=True, repr=False)
class Standardize(Layer):
    """Features of sequences minus their mean, in units of their deviation; the estimator measures both.

    It is a part of reading the input, so it must be the first layer.

    Examples
    --------
    >>> from skneural.layers import GlobalPool, Recurrent, Standardize
    >>> hidden = [Standardize(), Recurrent("lstm", 50), GlobalPool()]
    """

    def build(self, net, x):
        """See `Layer.build`."""
        _, channels = net.sequences(x)
        if x is not net.input or x.readers or x.producer.details["scaling"] != -1:
            raise net.error("must be the first layer.")
        item = net.new_mapping()
        mean = net.parameter("norms_", (channels,), part="mean", item=item, learnt=False)
        net.parameter("norms_", (channels,), part="deviation", item=item, learnt=False, initial=1.0)
        x.producer.details["scaling"] = mean
        return x
