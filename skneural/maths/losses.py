r"""Losses: one function each, on one row, in link space.

``loss(raw, target, gradient, settings)`` gets the outputs `raw` of the last layer before any output activation and the
row's `target`, writes the derivative of the loss by `raw` into `gradient`, and returns the loss. Merging the output
activation into the loss keeps both stable: no logarithm ever sees a rounded 0 (the design of scikit-learn's
``_loss``). `settings` holds constants of the loss.

Options of an entry: `link`, the output activation as scikit-learn names it (``out_activation_``); `averaged`, whether
the reported value is divided by the number of outputs, as scikit-learn reports squared errors; `settings`, which
estimator parameters arrive in `settings`, in order; `n_settings`, how many numbers these are, a function of the number
of outputs, if not one each; `least`, the smallest target there may be, and `open` if not even that; `exponent`, a
function ``(raw, out)`` that writes a row of exponents; `adversarial`, whether it is for discriminators alone. Where
there is an `exponent`, `gradient` arrives holding e to these exponents: the exponentials of all rows are taken at once,
since rows are too short for vector code.
"""

from skneural.maths.elementary import exp, log, log1p
from skneural.maths.registry import Registry

LOSSES = Registry(
    "loss", link="identity", averaged=False, settings=(), n_settings=None, least=None, open=False, exponent=None,
    adversarial=False,
)  # fmt: skip
LINKS = Registry("link", exponent=None)


def n_settings(loss, n_outputs):
    """How many constants a loss takes."""
    entry = LOSSES[loss]
    if entry.n_settings is None:
        return len(entry.settings)
    return entry.n_settings(n_outputs)


def no_exponent(raw, out):
    """For losses and links that want no exponentials beforehand."""


def below_top(raw, out):
    """Exponents of a softmax: the row minus its largest number, so that nothing overflows."""
    top = raw[0]
    for j in range(1, len(raw)):
        top = raw[j] if raw[j] > top else top
    for j in range(len(raw)):
        out[j] = raw[j] - top


@LOSSES.register("squared_error", link="identity", averaged=True)
def squared_error(raw, target, gradient, settings):
    r"""Half squared error, :math:`\frac{1}{2} (\hat{y} - y)^2`, summed over the outputs."""
    half = type(raw[0])(0.5)
    total = type(raw[0])(0)
    for j in range(len(raw)):
        error = raw[j] - target[j]
        gradient[j] = error
        total += half * error * error
    return total


@LOSSES.register("absolute_error", averaged=True)
def absolute_error(raw, target, gradient, settings):
    r"""Absolute error, :math:`|\hat{y} - y|`, summed over the outputs."""
    zero = type(raw[0])(0)
    one = type(raw[0])(1)
    total = zero
    for j in range(len(raw)):
        error = raw[j] - target[j]
        sign = -one if error < zero else error
        gradient[j] = one if error > zero else sign
        total += abs(error)
    return total


@LOSSES.register("huber", averaged=True, settings=("huber_delta",))
def huber(raw, target, gradient, settings):
    r"""Huber (1964): :math:`\frac{1}{2} e^2` for errors up to `huber_delta`, then linear; summed over the outputs."""
    half = type(raw[0])(0.5)
    delta = settings[0]
    total = type(raw[0])(0)
    for j in range(len(raw)):
        error = raw[j] - target[j]
        derivative = -delta if error < -delta else error
        derivative = delta if error > delta else derivative
        gradient[j] = derivative
        total += derivative * (error - half * derivative)
    return total


@LOSSES.register("log_cosh", averaged=True)
def log_cosh(raw, target, gradient, settings):
    r"""Logarithm of the hyperbolic cosine of the error, :math:`\log \cosh(\hat{y} - y)`, summed over the outputs."""
    zero = type(raw[0])(0)
    one = type(raw[0])(1)
    log_2 = type(raw[0])(0.6931471805599453)
    total = zero
    for j in range(len(raw)):
        error = raw[j] - target[j]
        twice = error + error
        small = exp(-twice if error > zero else twice)  # of -2|e|: never overflows
        derivative = (one - small) / (one + small)
        gradient[j] = derivative if error > zero else -derivative
        total += abs(error) + log1p(small) - log_2
    return total


@LOSSES.register("quantile", averaged=True, settings=("quantiles",), n_settings=lambda n_outputs: n_outputs)
def quantile(raw, target, gradient, settings):
    r"""Pinball loss (Koenker and Bassett, 1978): of :math:`e = y - \hat{y}` it is :math:`\max(q e, (q - 1) e)`."""
    zero = type(raw[0])(0)
    one = type(raw[0])(1)
    total = zero
    for j in range(len(raw)):
        q = settings[j]
        error = target[j] - raw[j]
        derivative = one - q if error < zero else error
        gradient[j] = -q if error > zero else derivative
        loss = q * error if error > zero else (q - one) * error
        total += loss
    return total


@LOSSES.register("poisson", link="exp", least=0)
def poisson(raw, target, gradient, settings):
    r"""Half Poisson deviance with log link, :math:`y \log(y / e^z) - y + e^z`, summed over the outputs."""
    zero = type(raw[0])(0)
    total = zero
    for j in range(len(raw)):
        y = target[j]
        mean = exp(raw[j])
        gradient[j] = mean - y
        constant = y * log(y) - y if y > zero else zero
        total += constant + mean - y * raw[j]
    return total


@LOSSES.register("gamma", link="exp", least=0, open=True)
def gamma(raw, target, gradient, settings):
    r"""Half gamma deviance with log link, :math:`y e^{-z} + z - \log y - 1`, summed over the outputs."""
    one = type(raw[0])(1)
    total = type(raw[0])(0)
    for j in range(len(raw)):
        log_y = log(target[j])
        ratio = exp(log_y - raw[j])
        gradient[j] = one - ratio
        total += ratio + raw[j] - log_y - one
    return total


@LOSSES.register("binary_log_loss", link="logistic", settings=("label_smoothing",))
def binary_log_loss(raw, target, gradient, settings):
    r"""Log loss of independent yes-or-no outputs, :math:`\log(1 + e^z) - y z`, summed over the outputs."""
    zero = type(raw[0])(0)
    half = type(raw[0])(0.5)
    one = type(raw[0])(1)
    smoothing = settings[0]
    total = zero
    for j in range(len(raw)):
        z = raw[j]
        y = target[j] + smoothing * (half - target[j])
        small = exp(-z if z > zero else z)  # of -|z|: never overflows
        larger = one if z > zero else small
        above = zero if z < zero else z
        gradient[j] = larger / (one + small) - y
        total += above - y * z + log(one + small)
    return total


@LOSSES.register(
    "binary_focal", link="logistic", settings=("focal_gamma", "focal_alpha"), n_settings=lambda n_outputs: 3
)
def binary_focal(raw, target, gradient, settings):
    r"""Focal loss (Lin et al., 2017) of independent yes-or-no outputs, summed over the outputs.

    :math:`-\alpha_1 y (1 - p)^\gamma \log p - \alpha_0 (1 - y) p^\gamma \log(1 - p)`; `settings` holds
    :math:`\gamma, \alpha_0, \alpha_1`.
    """
    zero = type(raw[0])(0)
    one = type(raw[0])(1)
    focus = settings[0]
    total = zero
    for j in range(len(raw)):
        z = raw[j]
        y = target[j]
        small = exp(-z if z > zero else z)  # of -|z|: never overflows
        log_sum = log1p(small)
        log_p = (z if z < zero else zero) - log_sum
        log_q = (-z if z > zero else zero) - log_sum
        p = (one if z > zero else small) / (one + small)
        q = (small if z > zero else one) / (one + small)
        yes = settings[2] * y * exp(focus * log_q)
        no = settings[1] * (one - y) * exp(focus * log_p)
        by_yes = focus * p * log_p - q
        by_no = focus * q * log_q - p
        gradient[j] = yes * by_yes - no * by_no
        total -= yes * log_p + no * log_q
    return total


@LOSSES.register("log_loss", link="softmax", settings=("label_smoothing",), exponent=below_top)
def log_loss(raw, target, gradient, settings):
    r"""Log loss of one class out of many, :math:`\log \sum_j e^{z_j} - z_y`; `target` holds the class's number y."""
    zero = type(raw[0])(0)
    one = type(raw[0])(1)
    count = type(raw[0])(len(raw))
    y = int(target[0])
    certain = one - settings[0]
    even = settings[0] / count
    top = raw[0]
    for j in range(1, len(raw)):
        top = raw[j] if raw[j] > top else top
    total = zero
    for j in range(len(raw)):
        total += gradient[j]
    below = zero
    for j in range(len(raw) if even != zero else 0):
        below += top - raw[j]
    share = one / total
    for j in range(len(raw)):
        aim = even + certain if j == y else even
        gradient[j] = gradient[j] * share - aim
    return log(total) + certain * (top - raw[y]) + even * below


@LOSSES.register(
    "focal",
    link="softmax",
    settings=("focal_gamma", "focal_alpha"),
    n_settings=lambda n_outputs: 1 + n_outputs,
    exponent=below_top,
)
def focal(raw, target, gradient, settings):
    r"""Focal loss (Lin et al., 2017) of one class out of many, :math:`-\alpha_y (1 - p_y)^\gamma \log p_y`.

    `settings` holds :math:`\gamma` and :math:`\alpha_0, \alpha_1, ...`.
    """
    zero = type(raw[0])(0)
    half = type(raw[0])(0.5)
    one = type(raw[0])(1)
    smallest = type(raw[0])(1e-37)
    focus = settings[0]
    y = int(target[0])
    top = raw[0]
    for j in range(1, len(raw)):
        top = raw[j] if raw[j] > top else top
    others = zero
    for j in range(len(raw)):
        others += zero if j == y else gradient[j]
    total = gradient[y] + others
    p = gradient[y] / total
    q = others / total  # not 1 - p, which would round to 0
    log_p = log1p(-q) if q < half else raw[y] - top - log(total)
    q = smallest if q < smallest else q
    factor = settings[1 + y] * exp(focus * log(q))
    derivative = factor * (focus * p * log_p / q - one)
    for j in range(len(raw)):
        gradient[j] *= -derivative / total
    gradient[y] = derivative * q
    return -factor * log_p


@LOSSES.register("hinge", adversarial=True)
def hinge(raw, target, gradient, settings):
    r"""Hinge loss of a discriminator, :math:`\max(0, 1 - y z)`, summed over the outputs.

    `target` is 1 for real and -1 for generated samples. One that is larger than 1 is what a generator aims at, for
    which there is no margin: :math:`-z`.
    """
    zero = type(raw[0])(0)
    one = type(raw[0])(1)
    total = zero
    for j in range(len(raw)):
        is_aim = target[j] > one
        y = one if is_aim else target[j]
        margin = one - y * raw[j]
        if is_aim:
            total += margin - one
        else:
            total += zero if margin <= zero else margin
        gradient[j] = -y if is_aim or margin > zero else zero
        gradient[j] = gradient[j] if raw[j] == raw[j] else raw[j]
    return total


@LOSSES.register("wasserstein", adversarial=True)
def wasserstein(raw, target, gradient, settings):
    r"""Difference of means, :math:`-y z` (Arjovsky et al., 2017), summed over the outputs; y is 1 for real samples."""
    total = type(raw[0])(0)
    for j in range(len(raw)):
        gradient[j] = -target[j] if raw[j] == raw[j] else raw[j]
        total -= target[j] * raw[j]
    return total


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
        e = exp(-raw[j])
        raw[j] = one / (one + e)


@LINKS.register("softmax", exponent=below_top)
def softmax(raw):
    r"""Softmax, :math:`e^{z_j} / \sum_k e^{z_k}`.

    The sum keeps what each addition rounds away (Knuth's two-sum), so that thousands of probabilities in float32 still
    sum to 1.
    """
    total = type(raw[0])(0)
    lost = type(raw[0])(0)
    for j in range(len(raw)):
        before = total
        total = before + raw[j]
        added = total - before
        lost += (before - (total - added)) + (raw[j] - added)
    share = type(raw[0])(1) / (total + lost)
    for j in range(len(raw)):
        raw[j] *= share


LOSSES.seal()
LINKS.seal()
