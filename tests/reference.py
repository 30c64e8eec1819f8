"""Training of a multi-layer perceptron once more: plain NumPy in float64, slow and obvious.

Nothing here comes from the package. The tests compare the engine with it.
"""

import numpy as np


def _sigmoid(z):
    return 1 / (1 + np.exp(-z))


#: Name: (value from z, slope from z).
ACTIVATIONS = {
    "identity": (lambda z: z, np.ones_like),
    "logistic": (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
}


def squared_error(raw, target):
    return 0.5 * ((raw - target) ** 2).sum(axis=1), raw - target


def poisson(raw, target):
    constant = np.where(target > 0, target * np.log(np.where(target > 0, target, 1)) - target, 0)
    return (np.exp(raw) - target * raw + constant).sum(axis=1), np.exp(raw) - target


def binary_log_loss(raw, target):
    p = _sigmoid(raw)
    return -(target * np.log(p) + (1 - target) * np.log(1 - p)).sum(axis=1), p - target


def log_loss(raw, target):
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    chosen = np.eye(raw.shape[1])[target[:, 0].astype(int)]
    return -np.log((shares * chosen).sum(axis=1)), shares - chosen


#: Name: loss of every row and its gradient by the outputs before any output activation.
LOSSES = {
    "squared_error": squared_error,
    "poisson": poisson,
    "binary_log_loss": binary_log_loss,
    "log_loss": log_loss,
}


def forward(coefs, intercepts, activation, X):
    """Outputs of the last layer before any output activation; and the input and pre-activation of every layer."""
    inputs, before = [], []
    a = np.asarray(X, np.float64)
    for layer, (weight, bias) in enumerate(zip(coefs, intercepts, strict=True)):
        inputs.append(a)
        z = a @ weight + bias
        before.append(z)
        a = z if layer == len(coefs) - 1 else ACTIVATIONS[activation][0](z)
    return a, inputs, before


def loss_and_gradient(coefs, intercepts, activation, loss, X, target, weights):
    """Weighted sum of the losses of all rows, and its gradient by every weight and every bias."""
    raw, inputs, before = forward(coefs, intercepts, activation, X)
    losses, delta = LOSSES[loss](raw, target)
    delta = delta * weights[:, None]
    by_weight, by_bias = [None] * len(coefs), [None] * len(coefs)
    for layer in reversed(range(len(coefs))):
        by_weight[layer] = inputs[layer].T @ delta
        by_bias[layer] = delta.sum(axis=0)
        if layer > 0:
            delta = (delta @ coefs[layer].T) * ACTIVATIONS[activation][1](before[layer - 1])
    return (weights * losses).sum(), by_weight, by_bias


class Sgd:
    """Gradient descent with momentum, plain or Nesterov's."""

    def __init__(self, arrays, momentum, nesterov):
        self.momentum, self.nesterov = momentum, nesterov
        self.velocities = [np.zeros_like(a) for a in arrays]

    def step(self, arrays, gradients, rate):
        for i, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
            self.velocities[i] = self.momentum * self.velocities[i] - rate * gradient
            look_ahead = self.momentum * self.velocities[i] - rate * gradient
            array += look_ahead if self.nesterov else self.velocities[i]


class Adam:
    """Adam, with epsilon added after the correction of the second moment has gone into the step size."""

    def __init__(self, arrays, beta_1, beta_2, epsilon):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.first = [np.zeros_like(a) for a in arrays]
        self.second = [np.zeros_like(a) for a in arrays]
        self.t = 0

    def step(self, arrays, gradients, rate):
        self.t += 1
        rate = rate * np.sqrt(1 - self.beta_2**self.t) / (1 - self.beta_1**self.t)
        for i, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
            self.first[i] = self.beta_1 * self.first[i] + (1 - self.beta_1) * gradient
            self.second[i] = self.beta_2 * self.second[i] + (1 - self.beta_2) * gradient**2
            array -= rate * self.first[i] / (np.sqrt(self.second[i]) + self.epsilon)


def train(coefs, intercepts, activation, loss, X, target, weights, *, optimizer, rate, alpha, batches, averaging=1.0):
    """Train in place, one update for every entry of `batches`; the mean loss of every batch as it was reported.

    Parameters
    ----------
    coefs, intercepts : list of float64 ndarray
    activation, loss : str
    X, target, weights : ndarray
    optimizer : Sgd or Adam
        Made for ``[*coefs, *intercepts]``.
    rate, alpha : float
    batches : list of ndarray of int
        Row numbers of every update, in order.
    averaging : float
        Factor of the reported loss (one over the number of outputs for squared errors).
    """
    reported = []
    for rows in batches:
        total = weights[rows].sum()
        value, by_weight, by_bias = loss_and_gradient(
            coefs, intercepts, activation, loss, X[rows], target[rows], weights[rows]
        )
        penalty = 0.5 * alpha * sum((c**2).sum() for c in coefs)
        reported.append((value * averaging + penalty) / total)
        gradients = [(g + alpha * c) / total for g, c in zip(by_weight, coefs, strict=True)]
        gradients += [g / total for g in by_bias]
        optimizer.step([*coefs, *intercepts], gradients, rate)
    return reported
