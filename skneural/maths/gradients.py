"""How gradients flow between operations."""


def sent(gradient, begin, begins, waiting, scale):
    """One number of a gradient as it is sent on: added to what others sent, times the derivative that waits."""
    gradient = begin + gradient if begins else gradient
    return gradient * waiting if scale else gradient
