r"""Losses: one function each, on one row, in link space.

``loss(raw, target, gradient)`` gets the outputs `raw` of the last layer before any output activation and the row's
`target`, writes the derivative of the loss by `raw` into `gradient`, and returns the loss. Merging the output
activation into the loss keeps both stable: no logarithm ever sees a rounded 0 (the design of scikit-learn's
``_loss``).

Facts of an entry: `link`, the output activation as scikit-learn names it (``out_activation_``); `averaged`, whether
the reported value is divided by the number of outputs, as scikit-learn reports squared errors; `exponent`, a function
``(raw, out)`` that writes a row of exponents. Where there is one, `gradient` arrives holding e to these exponents: the
exponentials of all rows are taken at once, since rows are too short for vector code.
"""

from skneural.maths.elementary import exp, log
from skneural.maths.registry import Registry

LOSSES = Registry("loss", link="identity", averaged=False, exponent=None)
LINKS = Registry("link", exponent=None)


def below_top(raw, out):
    """Exponents of a softmax: the row minus its largest number, so that nothing overflows."""
    top = raw[0]
    for j in range(1, len(raw)):
        top = raw[j] if raw[j] > top else top
    for j in range(len(raw)):
        out[j] = raw[j] - top


@LOSSES.register("squared_error", link="identity", averaged=True)
def squared_error(raw, target, gradient):
    r"""Half squared error, :math:`\frac{1}{2} (\hat{y} - y)^2`, summed over the outputs."""
    half = type(raw[0])(0.5)
    total = type(raw[0])(0)
    for j in range(len(raw)):
        error = raw[j] - target[j]
        gradient[j] = error
        total += half * error * error
    return total


@LOSSES.register("poisson", link="exp")
def poisson(raw, target, gradient):
    r"""Half Poisson deviance with log link, :math:`y \log(y / e^z) - y + e^z`, summed over the outputs."""
    zero = type(raw[0])(0)
    total = zero
    for j in range(len(raw)):
        mean, y = exp(raw[j]), target[j]
        gradient[j] = mean - y
        constant = y * log(y) - y if y > zero else zero
        total += constant + mean - y * raw[j]
    return total


@LOSSES.register("binary_log_loss", link="logistic")
def binary_log_loss(raw, target, gradient):
    r"""Log loss of independent yes-or-no outputs, :math:`\log(1 + e^z) - y z`, summed over the outputs."""
    zero, one = type(raw[0])(0), type(raw[0])(1)
    total = zero
    for j in range(len(raw)):
        z, y = raw[j], target[j]
        small = exp(-z if z > zero else z)  # of -|z|: never overflows
        gradient[j] = (one if z > zero else small) / (one + small) - y
        total += (zero if z < zero else z) - y * z + log(one + small)
    return total


@LOSSES.register("log_loss", link="softmax", exponent=below_top)
def log_loss(raw, target, gradient):
    r"""Log loss of one class out of many, :math:`\log \sum_j e^{z_j} - z_y`; `target` holds the class's number y."""
    y, one = int(target[0]), type(raw[0])(1)
    top = raw[0]
    for j in range(1, len(raw)):
        top = raw[j] if raw[j] > top else top
    total = type(raw[0])(0)
    for j in range(len(raw)):
        total += gradient[j]
    share = one / total
    for j in range(len(raw)):
        gradient[j] *= share
    gradient[y] -= one
    return log(total) + top - raw[y]


@LINKS.register("identity")
def identity(raw):
    """Leave the outputs as they are."""


@LINKS.register("exp")
def exponential(raw):
    r"""Exponential, :math:`e^z`."""
    for j in range(len(raw)):
        raw[j] = exp(raw[j])


@LINKS.register("logistic")
def logistic(raw):
    r"""Logistic sigmoid, :math:`1 / (1 + e^{-z})`."""
    one = type(raw[0])(1)
    for j in range(len(raw)):
        raw[j] = one / (one + exp(-raw[j]))


@LINKS.register("softmax", exponent=below_top)
def softmax(raw):
    r"""Softmax, :math:`e^{z_j} / \sum_k e^{z_k}`."""
    total = type(raw[0])(0)
    for j in range(len(raw)):
        total += raw[j]
    share = type(raw[0])(1) / total
    for j in range(len(raw)):
        raw[j] *= share
