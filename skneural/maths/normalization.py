"""Batch and layer normalisation (Ioffe and Szegedy, 2015; Ba, Kiros and Hinton, 2016) of one number.

A number in units of the standard deviation is `n`; `factor` is one over that deviation.
"""

from skneural.maths.elementary import sqrt

#: The statistics of a batch are those of parts of its rows, put together: so many at the most, of so many rows at the
#: least. Threads share the parts, whose number does not depend on theirs.
MOST_PARTS = 16
ROWS_OF_PART = 256

#: Share of a batch in the running statistics, at the least: the first batches are averaged.
MOMENTUM = 0.1


def running_share(batches, rows, full, weighted):
    """Share of a batch in the running statistics.

    `batches` came before, `rows` are in this one and `full` in one that is not the last of an epoch; `weighted` of
    them have weight. A batch of few rows counts for less, one of a single row for nothing. All are real numbers.
    """
    real = type(rows)
    mean_share = real(1) / (batches + real(1))
    share = max(real(MOMENTUM), mean_share) * rows / full
    return share if weighted > real(1) else real(0)


def one_over_deviation(variance, epsilon):
    """What a number without its mean is multiplied by."""
    one = type(variance)(1)
    return one / sqrt(variance + epsilon)


def normalize(x, mean, factor):
    """A number in units of the standard deviation."""
    return (x - mean) * factor


def batch_norm_gradient(dy, n, factor, scale, share, by_scale, by_shift):
    """Gradient by a number before batch normalisation.

    `share` is the row's part of the weights of the batch, `by_scale` the sum of ``dy * n`` over the rows, and
    `by_shift` that of `dy`.
    """
    mean = share * (by_shift + n * by_scale)
    return scale * factor * (dy - mean)


def layer_norm_gradient(g, n, factor, mean, mean_n):
    """Gradient by a number before layer normalisation: g is ``scale * dy``, and the means are those of g and of g n."""
    return factor * (g - mean - n * mean_n)
