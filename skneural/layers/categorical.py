"""Categories that a generator draws: groups of columns."""

from dataclasses import dataclass

from skneural.layers.dense import Dense
from skneural.network.layer import LARGEST, Layer
from skneural.network.operations import N_DETAILS, operation

#: Fields of the details before the widths of the groups.
FIELDS = ("stream", "n_groups")
#: Groups of one operation, at the most.
MOST = N_DETAILS - len(FIELDS)

operation("categorical", [*FIELDS, *(f"width_{k}" for k in range(MOST))], keeps_output=True)


@dataclass(frozen=True, repr=False)
class MixedRow(Layer):
    """What a generator of tables ends in: numbers, and behind them a group of columns for each of several categories.

    In training each group is a Gumbel-softmax: numbers between 0 and 1 with the sum 1, of which one is near 1 most of
    the time. In prediction it is logarithms of weights: who asks for a sample draws by these.

    Parameters
    ----------
    n_numbers : int or None
        None for no numbers.
    widths : tuple of int
        How many categories there are in each of the groups.
    activation : str or None, default=None
        Of the numbers.
    """

    n_numbers: int | None
    widths: tuple
    activation: str | None = None

    def build(self, net, x):
        """See `Layer.build`."""
        net.rows(x)
        if not self.widths or not all(type(width) is int and 1 <= width <= LARGEST for width in self.widths):
            raise net.error(f"needs widths that are counts, got {self.widths!r}.")
        parts = [] if self.n_numbers is None else [net.stack([Dense(self.n_numbers, self.activation)], x)]
        starts = range(0, len(self.widths), MOST)
        parts += [self._categories(net, x, self.widths[first : first + MOST]) for first in starts]
        made, *others = parts
        for part in others:
            made = net.concatenate(made, part)
        return made

    def _categories(self, net, x, widths):
        weights = net.stack([Dense(sum(widths))], x)
        if not net.training:
            return weights
        details = {f"width_{k}": 0 for k in range(MOST)}
        details |= {f"width_{k}": width for k, width in enumerate(widths)}
        return net.add(
            "categorical",
            weights,
            shape=weights.shape,
            stream=net.new_stream(),
            n_groups=len(widths),
            **details,
        )
