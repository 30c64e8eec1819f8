"""Normalisation of the batch, and of every sample by itself."""

from dataclasses import dataclass

from skneural.maths.normalization import MOST_PARTS
from skneural.network.layer import Layer
from skneural.network.operations import operation

#: Added to variances, so that columns that do not vary can be divided by their standard deviation.
EPSILON = 1e-5

DETAILS = ("weight", "normalized", "deviations", "statistics", "epsilon:f8")
operation(
    "batch_norm",
    DETAILS,
    derivative="function",
    overwrites="normalized",
    shares_steps=True,
)
operation(
    "layer_norm",
    DETAILS,
    derivative="function",
    overwrites="normalized",
)

#: Parameters of each kind, in order: scale and shift are learnt.
PARTS = {"batch": ("scale", "shift", "mean", "variance"), "layer": ("scale", "shift")}


def add_normalization(net, x, kind, function=None, shift="norms_"):
    """Append a normalisation.

    Parameters
    ----------
    net : Builder
    x : Value
    kind : {'batch', 'layer'}
    function : str, default=None
        Activation that follows.
    shift : str, default='norms_'
        Fitted attribute that shows the shift.

    Returns
    -------
    Value
    """
    item = net.new_mapping()
    blocks = {}
    for part in PARTS[kind]:
        is_learnt = part in ("scale", "shift")
        is_apart = part == "shift" and shift != "norms_"
        initial = 1.0 if part in ("scale", "variance") else 0.0
        blocks[part] = net.parameter(
            shift if is_apart else "norms_",
            (x.width,),
            part=None if is_apart else part,
            item=item,
            learnt=is_learnt,
            initial="bias" if is_apart else initial,
        )
    details = {"weight": blocks["scale"], "epsilon": EPSILON, "normalized": -1}
    if kind == "layer":  # one a row
        details["deviations"] = net.room(net.padded(1), x.steps)
    elif net.training:  # mean, one over the deviation, and the two sums of the way back
        details["statistics"] = net.statistics((4 + 3 * MOST_PARTS) * x.ld)
    else:
        details["deviations"] = net.room(x.ld)
    return net.add(f"{kind}_norm", x, shape=x.shape, forwards=x.forwards, function=function, **details)


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Batch normalisation (Ioffe and Szegedy, 2015): every column in units of its deviation in the batch.

    Statistics are exact over the whole batch, weighted by the sample weights; of sequences, over all steps of all
    samples. Prediction uses running means. Afterwards a scale and a shift are learnt for every column, which ``norms_``
    shows.

    Examples
    --------
    >>> from skneural.layers import Activation, BatchNorm, Dense
    >>> hidden = [BatchNorm(), Dense(64), BatchNorm(), Activation("relu")]
    """

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        net.new_layer()
        return add_normalization(net, x, "batch")


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """Layer normalisation (Ba, Kiros and Hinton, 2016): every sample in units of its own deviation.

    Of sequences, every step by itself. Afterwards a scale and a shift are learnt for every column, which ``norms_``
    shows.

    Examples
    --------
    >>> from skneural.layers import Activation, Dense, LayerNorm
    >>> hidden = [Dense(64), LayerNorm(), Activation("relu")]
    """

    def build(self, net, x):
        """See `Layer.build`."""
        net.dense(x)
        net.new_layer()
        return add_normalization(net, x, "layer")
