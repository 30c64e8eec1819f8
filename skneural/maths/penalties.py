"""What is done to the gradient of one weight, and what a weight adds to the loss.

The elastic net (Zou and Hastie, 2005) penalises a weight by its square (ridge) and its absolute value (lasso), whose
share is `l1_ratio`. The whole is multiplied by `alpha`, divided by the weights of the rows of the batch.
"""


def clip(gradient, limit):
    """A number moved into -limit ... limit; NaN stays."""
    gradient = limit if gradient > limit else gradient
    return -limit if gradient < -limit else gradient


def ridge(squares, l1_ratio):
    """The share of the penalty that grows with the sum of the squares of weights; `alpha` is left out."""
    half = type(l1_ratio)(0.5)
    one = type(l1_ratio)(1)
    return half * (one - l1_ratio) * squares


def lasso(absolutes, l1_ratio):
    """The share of the penalty that grows with the sum of their absolute values."""
    return l1_ratio * absolutes


def elastic_net_gradient(weight, square, absolute):
    """Gradient of the penalty by one weight: `square` and `absolute` are alpha times the shares. It is 0 at 0."""
    zero = type(weight)(0)
    sign = absolute if weight > zero else -absolute
    lasso_part = sign if weight != zero else zero
    return square * weight + lasso_part


def shrink(updated, weight, rate):
    """A weight after its update, shrunk beside it by a share of what it was before (Loshchilov and Hutter, 2019)."""
    return updated - rate * weight
