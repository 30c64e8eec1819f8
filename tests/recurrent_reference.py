"""Recurrent networks once more: plain NumPy in float64, one sequence and one step at a time; and in PyTorch.

Nothing here comes from the package. Only the order of gates in the arrays of weights is its: input, forget, cell and
output gate of the LSTM; new state, reset and update gate of the GRU, whose reset comes after the product with the
state before, so that the new state has a second bias.

Sizes: T steps, I inputs, H units, G gates.
"""

from dataclasses import dataclass, field

import numpy as np
from reference import squared_error


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_step(x, h, c, dropped, W, U, b):
    """One step: new state, new memory, and what the way back needs. The gates see the state before as `dropped`."""
    i = sigmoid(x @ W[:, 0] + dropped @ U[:, 0] + b[0])
    f = sigmoid(x @ W[:, 1] + dropped @ U[:, 1] + b[1])
    g = np.tanh(x @ W[:, 2] + dropped @ U[:, 2] + b[2])
    o = sigmoid(x @ W[:, 3] + dropped @ U[:, 3] + b[3])
    after = f * c + i * g
    return o * np.tanh(after), after, (c, i, f, g, o, np.tanh(after))


def lstm_step_back(memo, dh, dc):
    """Gradients by what gates get from the input, from the state, as bias; by state (directly) and memory before."""
    c, i, f, g, o, squashed = memo
    dc = dc + dh * o * (1 - squashed**2)
    dz = np.array([dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g**2), dh * squashed * o * (1 - o)])
    return dz, dz, dz, np.zeros_like(dh), dc * f


def gru_step(x, h, c, dropped, W, U, b):
    r = sigmoid(x @ W[:, 1] + dropped @ U[:, 0] + b[1])
    u = sigmoid(x @ W[:, 2] + dropped @ U[:, 1] + b[2])
    m = dropped @ U[:, 2] + b[3]
    n = np.tanh(x @ W[:, 0] + b[0] + r * m)
    return (1 - u) * n + u * h, c, (h, r, u, m, n)


def gru_step_back(memo, dh, dc):
    h, r, u, m, n = memo
    dn = dh * (1 - u) * (1 - n**2)
    dr, du, dm = dn * m * r * (1 - r), dh * (h - n) * u * (1 - u), dn * r
    return np.array([dn, dr, du]), np.array([dr, du, dm]), np.array([dn, dr, du, dm]), dh * u, dc


def rnn_step(x, h, c, dropped, W, U, b):
    h = np.tanh(x @ W[:, 0] + dropped @ U[:, 0] + b[0])
    return h, c, (h,)


def rnn_step_back(memo, dh, dc):
    dz = (dh * (1 - memo[0] ** 2))[None]
    return dz, dz, dz, np.zeros_like(dh), dc


def minimal_step(x, h, c, dropped, W, U, b):
    """A unit with one gate (Zhou et al., 2016), which does not see the state on its way into the new one."""
    f = sigmoid(x @ W[:, 0] + dropped @ U[:, 0] + b[0])
    n = np.tanh(x @ W[:, 1] + dropped @ U[:, 1] + b[1])
    return (1 - f) * h + f * n, c, (h, f, n)


def minimal_step_back(memo, dh, dc):
    h, f, n = memo
    dz = np.array([dh * (n - h) * f * (1 - f), dh * f * (1 - n**2)])
    return dz, dz, dz, dh * (1 - f), dc


def coupled_step(x, h, c, dropped, W, U, b):
    """An LSTM that forgets as much as it takes in (Greff et al., 2017)."""
    f = sigmoid(x @ W[:, 0] + dropped @ U[:, 0] + b[0])
    g = np.tanh(x @ W[:, 1] + dropped @ U[:, 1] + b[1])
    o = sigmoid(x @ W[:, 2] + dropped @ U[:, 2] + b[2])
    after = f * c + (1 - f) * g
    return o * np.tanh(after), after, (c, f, g, o, np.tanh(after))


def coupled_step_back(memo, dh, dc):
    c, f, g, o, squashed = memo
    dc = dc + dh * o * (1 - squashed**2)
    dz = np.array([dc * (c - g) * f * (1 - f), dc * (1 - f) * (1 - g**2), dh * squashed * o * (1 - o)])
    return dz, dz, dz, np.zeros_like(dh), dc * f


CELLS = {
    "lstm": (lstm_step, lstm_step_back), "gru": (gru_step, gru_step_back), "rnn": (rnn_step, rnn_step_back),
    "minimal": (minimal_step, minimal_step_back), "coupled": (coupled_step, coupled_step_back),
}  # fmt: skip


@dataclass
class Direction:
    """A recurrent layer in one direction of time: ``W[I, G, H], U[H, G, H], b[gates, H]``.

    The rows of `mask` multiply the states before on their way to the gates. Of the steps, in the order in which they
    are taken, gradients go back within blocks of `truncate`, of which the last one ends with the last step.
    """

    cell: str
    W: np.ndarray
    U: np.ndarray
    b: np.ndarray
    reverse: bool = False
    mask: np.ndarray | None = None
    truncate: int | None = None
    gradients: list = field(default_factory=list)

    def forward(self, row, xs):
        """States of one sequence, (T, H)."""
        step, n_units = CELLS[self.cell][0], self.U.shape[0]
        h, c, self.memos, states = np.zeros(n_units), np.zeros(n_units), [], []
        factor = 1.0 if self.mask is None else self.mask[row]
        for x in xs[::-1] if self.reverse else xs:
            dropped = factor * h
            h, c, memo = step(x, h, c, dropped, self.W, self.U, self.b)
            self.memos.append((x, dropped, factor, memo))
            states.append(h)
        return np.array(states[::-1] if self.reverse else states)

    def backward(self, d_states):
        """Gradients by the sequence, (T, I); those by the weights are added to the sums."""
        back, n_steps = CELLS[self.cell][1], len(d_states)
        dh, dc, dxs = np.zeros(self.U.shape[0]), np.zeros(self.U.shape[0]), [None] * n_steps
        for s in reversed(range(n_steps)):
            t = n_steps - 1 - s if self.reverse else s
            x, dropped, factor, memo = self.memos[s]
            of_input, of_state, of_bias, direct, dc = back(memo, dh + d_states[t], dc)
            self.gradients[0] += np.einsum("i,gh->igh", x, of_input)
            self.gradients[1] += np.einsum("i,gh->igh", dropped, of_state)
            self.gradients[2] += of_bias
            dxs[t] = np.einsum("igh,gh->i", self.W, of_input)
            dh = direct + factor * np.einsum("igh,gh->i", self.U, of_state)
            if self.truncate and (n_steps - s) % self.truncate == 0:
                dh, dc = 0 * dh, 0 * dc
        return np.array(dxs)


@dataclass
class Network:
    """Layers, each a list of one or two directions; pooling; and a dense layer without activation.

    `dropout` holds, for each layer, None or the mask of its states, (n_samples, T, width).
    """

    layers: list
    pooling: str
    weight: np.ndarray
    bias: np.ndarray
    dropout: list | None = None

    def directions(self):
        return [direction for layer in self.layers for direction in layer]

    def learnt(self):
        """``[W, U, b]`` of every direction, in order, then weight and bias of the dense layer."""
        return [*([d.W, d.U, d.b] for d in self.directions()), [self.weight, self.bias]]

    def run(self, X, lengths, targets=None, weights=None):
        """Outputs, and with targets also the weighted loss and its gradients by what is learnt."""
        for direction in self.directions():
            direction.gradients = [np.zeros_like(a) for a in (direction.W, direction.U, direction.b)]
        outputs, loss, d_weight, d_bias = [], 0.0, np.zeros_like(self.weight), np.zeros_like(self.bias)
        for row, length in enumerate(lengths):
            xs = np.asarray(X[row, :length], np.float64)
            for layer, masks in zip(self.layers, self.dropout or [None] * len(self.layers), strict=True):
                xs = np.hstack([d.forward(row, xs) for d in layer])
                xs = xs if masks is None else xs * masks[row, :length]
            pooled, d_pooling = self._pool(xs)
            outputs.append(pooled @ self.weight + self.bias)
            if targets is None:
                continue
            each, delta = squared_error(outputs[-1][None], np.float64(targets[row])[None])
            loss, delta = loss + weights[row] * each[0], weights[row] * delta[0]
            d_weight, d_bias = d_weight + np.outer(pooled, delta), d_bias + delta
            d_states = d_pooling * (self.weight @ delta)
            for number in reversed(range(len(self.layers))):
                if self.dropout and self.dropout[number] is not None:
                    d_states = d_states * self.dropout[number][row, :length]
                layer, n_units = self.layers[number], self.layers[number][0].U.shape[0]
                halves = [d_states[:, i * n_units : (i + 1) * n_units] for i in range(len(layer))]
                d_states = sum(d.backward(half) for d, half in zip(layer, halves, strict=True))
        if targets is None:
            return np.array(outputs)
        return np.array(outputs), loss, [*(d.gradients for d in self.directions()), [d_weight, d_bias]]

    def _pool(self, states):
        """What comes of the states, and its derivative by each of them."""
        length, width = states.shape
        share = np.zeros((length, width))
        if self.pooling == "mean":
            share[:] = 1 / length
        elif self.pooling == "max":
            share[states.argmax(axis=0), np.arange(width)] = 1
        else:
            half = width // len(self.layers[-1])
            share[-1, :half], share[0, half:] = 1, 1
        return (share * states).sum(axis=0), share


class Pytorch:
    """A `Network` that takes the last states, in PyTorch.

    Its layers have two biases for each gate, where there is but their sum here, except for the GRU's new state; of the
    two the second one stays 0. Its GRU has the new state last.
    """

    def __init__(self, network, dtype):
        import torch

        torch.set_num_threads(1)
        first, self.both, self.torch = network.layers[0][0], len(network.layers[0]) == 2, torch
        (n_in, _, n_units), self.cell, kind = first.W.shape, first.cell, torch.from_numpy(np.zeros(0, dtype)).dtype
        self.turn, self.back = ([1, 2, 0], [2, 0, 1]) if self.cell == "gru" else (slice(None), slice(None))
        options = {"batch_first": True, "bidirectional": self.both, "dtype": kind}
        self.net = getattr(torch.nn, self.cell.upper())(n_in, n_units, len(network.layers), **options)
        self.head = torch.nn.Linear(*network.weight.shape, dtype=kind)
        ends = [f"_l{layer}{end}" for layer in range(len(network.layers)) for end in ["", "_reverse"][: 1 + self.both]]
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.tensors = [[getattr(self.net, name + end) for name in names] for end in ends]
        self.tensors.append([self.head.weight, self.head.bias])
        for tensors, (W, U, b) in zip(self.tensors, network.learnt()[:-1], strict=False):
            second = np.vstack([0 * b[:2], b[3:]]) if self.cell == "gru" else 0 * b
            arrays = W[:, self.turn].transpose(1, 2, 0), U.transpose(1, 2, 0), b[: W.shape[1]][self.turn], second
            for tensor, array in zip(tensors, arrays, strict=True):
                tensor.data = torch.tensor(np.ascontiguousarray(array), dtype=kind).reshape(tensor.shape)
        self.head.weight.data = torch.tensor(network.weight.T.copy(), dtype=kind)
        self.head.bias.data = torch.tensor(network.bias.copy(), dtype=kind)
        self.learnt = [tensor for tensors in self.tensors for tensor in tensors]

    def losses(self, X, y):
        last = self.net(self.torch.tensor(X))[1]
        last = last[0] if self.cell == "lstm" else last
        self.outputs = self.head(self.torch.cat([last[-2], last[-1]], 1) if self.both else last[-1])
        return 0.5 * ((self.outputs - self.torch.tensor(y)) ** 2).sum(dim=1)

    def keep_surplus_biases(self):
        """Clear the gradients by those biases that there are none of here."""
        for *_, second in self.tensors[:-1]:
            second.grad[: 2 * len(second) // 3 if self.cell == "gru" else None] = 0

    def arrays(self, of):
        """What `Network.learnt` returns, made from ``of(tensor)``."""
        result = []
        for tensors in self.tensors[:-1]:
            W, U, b, second = (of(tensor).numpy() for tensor in tensors)
            W, U, b, second = (a.reshape(-1, U.shape[1], *a.shape[1:]) for a in (W, U, b, second))
            b = np.vstack([b[self.back], second[2:]]) if self.cell == "gru" else b
            result.append([W[self.back].transpose(2, 0, 1), U.transpose(2, 0, 1), b])
        return [*result, [of(self.head.weight).numpy().T, of(self.head.bias).numpy()]]
