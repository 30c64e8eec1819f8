"""Training of a multi-layer perceptron once more: plain NumPy in float64, slow and obvious.

Nothing here comes from the package. The tests compare the engine with it.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

#: Added to variances before the root.
EPSILON = 1e-5


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


def _softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


#: Name: (value from z, slope from z).
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "logistic": (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "elu": (lambda z: np.where(z > 0, z, np.exp(z) - 1), lambda z: np.where(z > 0, 1.0, np.exp(z))),
    "selu": (
        lambda z: 1.0507009873554805 * np.where(z > 0, z, 1.6732632423543772 * (np.exp(z) - 1)),
        lambda z: 1.0507009873554805 * np.where(z > 0, 1.0, 1.6732632423543772 * np.exp(z)),
    ),
    "gelu": (
        lambda z: z * special.ndtr(z),
        lambda z: special.ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "silu": (lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) + z * _sigmoid(z) * _sigmoid(-z)),
    "mish": (
        lambda z: z * np.tanh(np.logaddexp(0, z)),
        lambda z: np.tanh(np.logaddexp(0, z)) + z * _sigmoid(z) / np.cosh(np.logaddexp(0, z)) ** 2,
    ),
    "softplus": (lambda z: np.logaddexp(0, z), _sigmoid),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: np.where(np.abs(z) < 1, 1.0, 0.0)),
}


def squared_error(raw, target):
    return 0.5 * ((raw - target) ** 2).sum(axis=1), raw - target


def absolute_error(raw, target):
    return np.abs(raw - target).sum(axis=1), np.sign(raw - target)


def huber(raw, target, delta):
    error = raw - target
    losses = np.where(np.abs(error) <= delta, 0.5 * error**2, delta * (np.abs(error) - 0.5 * delta))
    return losses.sum(axis=1), np.clip(error, -delta, delta)


def log_cosh(raw, target):
    return np.log(np.cosh(raw - target)).sum(axis=1), np.tanh(raw - target)


def quantile(raw, target, *quantiles):
    q, error = np.array(quantiles), target - raw
    return np.maximum(q * error, (q - 1) * error).sum(axis=1), np.where(error > 0, -q, 1 - q)


def poisson(raw, target):
    constant = np.where(target > 0, target * np.log(np.where(target > 0, target, 1)) - target, 0)
    return (np.exp(raw) - target * raw + constant).sum(axis=1), np.exp(raw) - target


def gamma(raw, target):
    ratio = target / np.exp(raw)
    return (ratio - np.log(ratio) - 1).sum(axis=1), 1 - ratio


def binary_log_loss(raw, target, smoothing):
    p, y = _sigmoid(raw), (1 - smoothing) * target + smoothing / 2
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1), p - y


def log_loss(raw, target, smoothing):
    shares, n_classes = _softmax(raw), raw.shape[1]
    y = (1 - smoothing) * np.eye(n_classes)[target[:, 0].astype(int)] + smoothing / n_classes
    return -(y * np.log(shares)).sum(axis=1), shares - y


def _focal(p, alpha, gamma):
    """The focal loss of the probability of what is true, and its derivative by that."""
    slope = alpha * (gamma * (1 - p) ** (gamma - 1) * np.log(p) - (1 - p) ** gamma / p)
    return -alpha * (1 - p) ** gamma * np.log(p), slope


def binary_focal(raw, target, gamma, alpha_0, alpha_1):
    p = _sigmoid(raw)
    loss, slope = _focal(np.where(target == 1, p, 1 - p), np.where(target == 1, alpha_1, alpha_0), gamma)
    return loss.sum(axis=1), slope * np.where(target == 1, 1, -1) * p * (1 - p)


def focal(raw, target, gamma, *alphas):
    y, shares = target[:, 0].astype(int), _softmax(raw)
    p = shares[np.arange(len(y)), y]
    loss, slope = _focal(p, np.array(alphas)[y], gamma)
    return loss, (slope * p)[:, None] * (np.eye(raw.shape[1])[y] - shares)


#: Name: loss of every row and its gradient by the outputs before any output activation. What follows the targets are
#: the constants of the loss, in the order in which the package hands them to its kernels.
LOSSES = {
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "quantile": quantile,
    "poisson": poisson,
    "gamma": gamma,
    "binary_log_loss": binary_log_loss,
    "binary_focal": binary_focal,
    "log_loss": log_loss,
    "focal": focal,
}


@dataclass
class Layer:
    """``activation(normalization(x @ weight + bias))``; batch normalisation has its bias as the shift after it.

    A layer has no `activation` if it is the last one. `residual` adds x to the outputs; the rows of `mask` multiply
    them before that (dropout). `running` are mean and variance for prediction, changed in place.
    """

    weight: np.ndarray
    bias: np.ndarray
    activation: str | None = None
    normalization: str | None = None
    scale: np.ndarray | None = None
    shift: np.ndarray | None = None
    running: dict | None = None
    residual: bool = False
    mask: np.ndarray | float = 1.0

    def learnt(self):
        """The weights first."""
        return [a for a in (self.weight, self.bias, self.scale, self.shift) if a is not None]

    def forward(self, x, shares=None):
        """Outputs; with the `shares` of the rows in the batch those of training, which remembers what it needs."""
        if self.normalization == "batch":
            z, self.n = x @ self.weight, None
            if shares is None:
                mean, variance = self.running["mean"], self.running["variance"]
            else:
                mean = shares @ z
                variance = shares @ (z - mean) ** 2
            self.batch_statistics = mean, variance
            self.deviation = np.sqrt(variance + EPSILON)
            self.n = (z - mean) / self.deviation
            z = self.scale * self.n + self.bias
        else:
            z = x @ self.weight + self.bias
            if self.normalization == "layer":
                self.deviation = np.sqrt(z.var(axis=1, keepdims=True) + EPSILON)
                self.n = (z - z.mean(axis=1, keepdims=True)) / self.deviation
                z = self.scale * self.n + self.shift
        self.x, self.z, self.shares = x, z, shares
        if self.activation is None:
            return z
        y = ACTIVATIONS[self.activation][0](z)
        if shares is not None:
            y = y * self.mask
        return y + x if self.residual else y

    def backward(self, dy):
        """Gradients by the input and by what is learnt."""
        dx = dy if self.residual else 0
        if self.activation is not None:
            dy = dy * self.mask * ACTIVATIONS[self.activation][1](self.z)
        by_bias, after = dy.sum(axis=0), []
        if self.normalization:
            after = [(dy * self.n).sum(axis=0)]
            dn = dy * self.scale
            if self.normalization == "batch":
                mean, product = dn.sum(axis=0), (dn * self.n).sum(axis=0)
                dy = (dn - self.shares[:, None] * (mean + self.n * product)) / self.deviation
            else:
                after.append(by_bias)
                mean, product = dn.mean(axis=1, keepdims=True), (dn * self.n).mean(axis=1, keepdims=True)
                dy = (dn - mean - self.n * product) / self.deviation
                by_bias = dy.sum(axis=0)
        return dx + dy @ self.weight.T, [self.x.T @ dy, by_bias, *after]


def forward(layers, X, weights=None):
    """Outputs of the last layer before any output activation; with `weights` of the rows those of training."""
    shares = None if weights is None else weights / weights.sum()
    a = np.asarray(X, np.float64)
    for layer in layers:
        a = layer.forward(a, shares)
    return a


def loss_and_gradient(layers, loss, constants, X, target, weights):
    """Weighted sum of the losses of all rows, and its gradient by what each layer learns: a list of lists."""
    losses, delta = LOSSES[loss](forward(layers, X, weights), target, *constants)
    delta, gradients = delta * weights[:, None], []
    for layer in reversed(layers):
        delta, gradient = layer.backward(delta)
        gradients.append(gradient)
    return (weights * losses).sum(), gradients[::-1]


class Sgd:
    """Gradient descent with momentum, plain or Nesterov's."""

    def __init__(self, momentum, nesterov):
        self.momentum, self.nesterov = momentum, nesterov

    def step(self, p, g, s, v, t, rate):
        s = self.momentum * s - rate * g
        return p + (self.momentum * s - rate * g if self.nesterov else s), s, v


class Adam:
    """Adam, with epsilon added to the root that is not corrected, as in scikit-learn; `corrected` as in PyTorch."""

    def __init__(self, beta_1, beta_2, epsilon, corrected=False):
        self.beta_1, self.beta_2, self.epsilon, self.corrected = beta_1, beta_2, epsilon, corrected

    def step(self, p, g, s, v, t, rate):
        s = self.beta_1 * s + (1 - self.beta_1) * g
        v = self.beta_2 * v + (1 - self.beta_2) * g**2
        first, second = 1 - self.beta_1**t, 1 - self.beta_2**t
        if self.corrected:
            return p - rate * (s / first) / (np.sqrt(v / second) + self.epsilon), s, v
        return p - rate * np.sqrt(second) / first * s / (np.sqrt(v) + self.epsilon), s, v


class Nadam:
    """Adam that looks one step of its momentum ahead."""

    def __init__(self, beta_1, beta_2, epsilon):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def step(self, p, g, s, v, t, rate):
        s = self.beta_1 * s + (1 - self.beta_1) * g
        v = self.beta_2 * v + (1 - self.beta_2) * g**2
        ahead = self.beta_1 * s / (1 - self.beta_1 ** (t + 1)) + (1 - self.beta_1) * g / (1 - self.beta_1**t)
        return p - rate * ahead / (np.sqrt(v / (1 - self.beta_2**t)) + self.epsilon), s, v


class Rmsprop:
    """Steps in units of a running root mean square."""

    def __init__(self, rho, epsilon):
        self.rho, self.epsilon = rho, epsilon

    def step(self, p, g, s, v, t, rate):
        v = self.rho * v + (1 - self.rho) * g**2
        return p - rate * g / (np.sqrt(v) + self.epsilon), s, v


class Adagrad:
    """Steps in units of the root of all squares so far."""

    def __init__(self, epsilon):
        self.epsilon = epsilon

    def step(self, p, g, s, v, t, rate):
        v = v + g**2
        return p - rate * g / (np.sqrt(v) + self.epsilon), s, v


class Lion:
    """Steps by the sign of an average."""

    def __init__(self, beta_1, beta_2):
        self.beta_1, self.beta_2 = beta_1, beta_2

    def step(self, p, g, s, v, t, rate):
        p = p - rate * np.sign(self.beta_1 * s + (1 - self.beta_1) * g)
        return p, self.beta_2 * s + (1 - self.beta_2) * g, v


def train(
    layers, loss, constants, X, target, weights, *, optimizer, rate, batches, alpha=0.0, l1_ratio=0.0, weight_decay=0.0,
    clip_norm=np.inf, clip_value=np.inf, max_norm=np.inf, averaging=1.0,
):  # fmt: skip
    """Train in place, one update for every entry of `batches`; the mean loss of every batch as it was reported.

    Parameters
    ----------
    layers : list of Layer
    loss : str
    constants : sequence of float
    X, target, weights : ndarray
    optimizer : object
        One of those above.
    rate : float or sequence of float
        One for every update.
    batches : list of ndarray of int
        Row numbers of every update, in order.
    alpha, l1_ratio, weight_decay, clip_norm, clip_value, max_norm : float
    averaging : float
        Factor of the reported loss (one over the number of outputs for squared errors).

    Returns
    -------
    (reported, norms)
        Loss of every batch, and the norm of the gradient of every layer in it: of what it learns, before clipping.
    """
    reported, norms, largest = [], [], max(map(len, batches))
    state = [[(np.zeros_like(a), np.zeros_like(a)) for a in layer.learnt()] for layer in layers]
    for t, (rows, step_size) in enumerate(zip(batches, np.broadcast_to(rate, len(batches)), strict=True), 1):
        total = weights[rows].sum()
        value, gradients = loss_and_gradient(layers, loss, constants, X[rows], target[rows], weights[rows])
        gradients = [[g / total for g in of_layer] for of_layer in gradients]
        norms.append([np.sqrt(sum((g**2).sum() for g in of_layer)) for of_layer in gradients])
        norm = np.sqrt(sum((g**2).sum() for of_layer in gradients for g in of_layer))
        penalty = 0.0
        for i, layer in enumerate(layers):
            share = len(rows) / largest * max(0.1, 1 / t) * (np.count_nonzero(weights[rows]) > 1)
            for name, now in zip(("mean", "variance"), getattr(layer, "batch_statistics", ()), strict=False):
                layer.running[name] += share * (now - layer.running[name])
            for k, p in enumerate(layer.learnt()):
                g = gradients[i][k] * min(1, clip_norm / norm)
                g, shrunk = np.clip(g, -clip_value, clip_value), p
                if k == 0:
                    penalty += l1_ratio * np.abs(p).sum() + 0.5 * (1 - l1_ratio) * (p**2).sum()
                    g = g + alpha / total * (l1_ratio * np.sign(p) + (1 - l1_ratio) * p)
                    shrunk = (1 - step_size * weight_decay) * p
                s, v = state[i][k]
                fresh, *state[i][k] = optimizer.step(p, g, s, v, t, step_size)
                p[...] = fresh + (shrunk - p)
            if i < len(layers) - 1:
                sizes = np.sqrt((layer.weight**2).sum(axis=0))
                layer.weight *= np.minimum(1, max_norm / np.maximum(sizes, 1e-300))
        reported.append((value * averaging + alpha * penalty) / total)
    return reported, norms
