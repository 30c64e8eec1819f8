"""Exponential moving averages of parameters."""


def average_share(step, every, decay):
    """Share that parameters have in their average once a step, counted from 0, has updated them.

    At first the average follows faster: what it begins with, random parameters, is soon forgotten.

    Parameters
    ----------
    step : int
    every : int
        They are updated in the last of so many steps; 0: in all.
    decay : float
        At the most.
    """
    updates = (step + 1) // max(every, 1)
    at_first = (1.0 + updates) / (10.0 + updates)
    return 1.0 - min(decay, at_first)
