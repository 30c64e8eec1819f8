"""Whether a game between two networks has gone wrong: words for those who have trained them."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import pairwise_distances_argmin

#: Samples that are looked at, and regions of the data that they are counted in, at the most.
LOOKED_AT = 2000
REGIONS = 20
#: Rows that a region must have on average: with fewer, chance decides.
ROWS_A_REGION = 10
#: Coverage below which modes are said to be missing.
LEAST_COVERAGE = 0.4
#: Accuracy on real and on generated rows from which the discriminator has won; below the second the generator has.
WON = 0.99
LOST = 0.25
#: Share of the last epochs that is looked at.
LAST = 0.1


def coverage(real, generated, seed):
    """Share of the data's regions that generated samples have in common with it, between 0 and 1.

    The regions are those nearest to each of up to 20 real rows, far from each other (k-means++). In each region it is
    the smaller one of the shares of real and of generated rows; their sum is 1 where both are spread alike.
    """
    n_regions = min(REGIONS, len(real) // ROWS_A_REGION)
    if n_regions < 2:
        return np.nan
    real = real.astype(np.float64)
    centres, _ = kmeans_plusplus(real, n_regions, random_state=seed)
    shares = []
    for rows in (real, generated.astype(np.float64)):
        nearest = pairwise_distances_argmin(rows, centres)
        shares.append(np.bincount(nearest, minlength=n_regions) / len(rows))
    return float(np.minimum(*shares).sum())


def verdict(history, found):
    """What has gone wrong, in words; None if nothing has.

    Parameters
    ----------
    history : dict of list
    found : float
        The coverage.
    """
    n_last = max(1, int(LAST * len(history["loss"])))
    accuracies = [np.nanmean(history[name][-n_last:]) for name in ("real_accuracy", "generated_accuracy")]
    words = " of real and of generated samples is {:.2f} and {:.2f} in the last epochs".format(*accuracies)
    if min(accuracies) >= WON:
        return (
            f"The discriminator has won: its accuracy{words}, so the generator learns little from it. A smaller "
            "learning_rate_init beside the same generator_learning_rate_init, instance_noise, label_smoothing, or "
            "dropout may help."
        )
    if np.mean(accuracies) <= LOST:
        return (
            f"The generator has won: the discriminator's accuracy{words}. A larger learning_rate_init or n_critic, or "
            "a larger discriminator, may help."
        )
    if found < LEAST_COVERAGE:
        return (
            f"Generated samples cover little of the data (coverage_={found:.2f}): modes have collapsed, or training "
            "was too short. Smaller learning rates, instance_noise, generator_averaging, or more epochs may help."
        )
    return None


def warn(history, found):
    """Warn of what has gone wrong, if anything has."""
    words = verdict(history, found)
    if words is not None:
        warnings.warn(words, ConvergenceWarning, stacklevel=6)
