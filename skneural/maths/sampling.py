"""Normal numbers as a layer has them (Kingma and Welling, 2014): means and logarithms of variances come in.

What a row adds to the loss is how far these distributions are from the standard normal one (Kullback and Leibler).
"""

from skneural.maths.elementary import exp


def deviation_of(log_variance):
    """Standard deviation."""
    half = type(log_variance)(0.5)
    return exp(half * log_variance)


def divergence(mean, log_variance):
    """Divergence of one normal number from the standard normal one, in nats."""
    half = type(mean)(0.5)
    one = type(mean)(1)
    return half * (mean * mean + exp(log_variance) - one - log_variance)


def divergence_by_log_variance(log_variance):
    """Its derivative by the logarithm of the variance; that by the mean is the mean."""
    half = type(log_variance)(0.5)
    one = type(log_variance)(1)
    return half * (exp(log_variance) - one)


def warmed_up(epoch, row, n_rows, epochs):
    """Share of the divergence in the gradient, which rises from 0 to 1 over so many epochs; 1 if these are 0.

    Parameters
    ----------
    epoch, row, n_rows : int
        Epochs that are over, rows of this one that are, and rows of an epoch.
    epochs : float
    """
    real = type(epochs)
    done = real(epoch) + real(row) / real(n_rows)
    return done / epochs if done < epochs else real(1)
