"""Pooling over the steps of a sequence."""


def is_new_maximum(number, maximum):
    """Whether a number takes the place of the maximum so far; NaN does, and stays, so that it is seen."""
    return number > maximum or number != number
