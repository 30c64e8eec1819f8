"""Kernels around recurrent layers of the CUDA backend, against plain NumPy."""

import numpy as np
import pytest
from test_recurrent_kernels import BLOCK, CLOSE, N_ROWS, SEED, START, STEP, Device

from skneural.backends.cuda.launches import Launch
from skneural.backends.cuda.layers.activation import make_pass_backward
from skneural.backends.cuda.layers.dropout import make_dropout_forward
from skneural.backends.cuda.layers.input import make_sequence_input_forward
from skneural.backends.cuda.layers.pooling import make_pool_backward, make_pool_forward
from skneural.backends.cuda.layers.residual import make_concatenate_backward, make_concatenate_forward
from skneural.backends.cuda.memory import put_data
from skneural.backends.inputs import Sequences
from skneural.layers import Dense, Dropout, GlobalPool, Recurrent, Standardize
from skneural.maths import random

pytestmark = pytest.mark.gpu


def launch(device, make, kind, *options):
    """A launch of a kernel whose threads share the numbers."""
    return Launch((make, device.dtype, *options), device.op(kind), (2, 1, 1), BLOCK)


@pytest.mark.parametrize("how", ["gathered", "backwards", "window"])
@pytest.mark.parametrize("dtype", CLOSE)
def test_sequences_are_read(dtype, how):
    device = Device(
        [Standardize(), Recurrent("rnn", 2), GlobalPool("last"), Dense(1)], dtype, 3, 4, 3, lengths=(4, 2, 1)
    )
    X = device.rng.normal(size=(N_ROWS, 4, 3)).astype(dtype)
    X = X[:, ::-1, ::-1] if how == "backwards" else X
    data, chosen = X, device.rows
    if how == "window":  # the rows from the second of the epoch on, in its order
        data, device_order = np.ascontiguousarray(X), np.full(N_ROWS, 0)
        device.arena.get("order", device_order)
        data = np.ascontiguousarray(X[device_order[1:]])
        device.frame.update(window=1)
    lengths = device.frame["lengths"]
    device.frame.update(**put_data(device.arena, Sequences(data, None), dtype))
    device.frame["lengths"] = lengths
    mean, deviation = (block.view(device.params) for block in device.program.named("norms_"))
    mean[:], deviation[:] = [1, 2, 3], [0.5, 2, 4]
    y = device.buffer(0, "y", 3)
    y[:] = np.nan
    device.run([launch(device, make_sequence_input_forward, "sequence_input", False)])
    expected = (X[chosen].swapaxes(0, 1) - [1, 2, 3]) / [0.5, 2, 4]
    expected[np.arange(4)[:, None] >= device.lengths] = 0
    np.testing.assert_allclose(device.steps_of(0, "y", 3), expected, rtol=1e-6)
    device.arena.close()


def test_directions_of_time_are_joined():
    device = Device([Recurrent("rnn", 3, True), GlobalPool("last"), Dense(1)], np.float32, 2, 3, 2)
    i = device.op("concatenate")
    for name in ("x", "other"):
        device.steps_of(i, name, 3, "ld_first")[:] = device.rng.normal(size=(3, 2, 3))
    device.steps_of(i, "dy", 6)[:] = device.rng.normal(size=(3, 2, 6))
    backward = [launch(device, make_concatenate_backward, "concatenate", position) for position in (1, 0)]
    device.run([launch(device, make_concatenate_forward, "concatenate"), *backward])
    parts = [device.steps_of(i, name, 3, "ld_first") for name in ("x", "other", "dx", "d_other")]
    np.testing.assert_array_equal(device.steps_of(i, "y", 6), np.concatenate(parts[:2], axis=2))
    np.testing.assert_array_equal(device.steps_of(i, "dy", 6), np.concatenate(parts[2:], axis=2))
    device.arena.close()


@pytest.mark.parametrize("training", [0, 1])
def test_sequences_drop_out(training):
    layers = [Recurrent("rnn", 3), Dropout(0.4), Recurrent("rnn", 3), GlobalPool("last"), Dense(1)]
    device = Device(layers, np.float32, 2, 3, 2)
    device.frame.update(training=training)
    i = device.op("dropout")
    x, derivative = device.steps_of(i, "x", 3), device.steps_of(i, "dy", 3)
    x[:] = device.rng.normal(size=(3, 2, 3))
    derivative[:] = np.nan
    device.run([launch(device, make_dropout_forward, "dropout")])
    key = random.key(SEED, random.DROPOUT + 16 * int(device.own(i).stream), STEP)
    t, r, j = np.ogrid[:3, START : START + 2, :3]
    keys, places = random.at_time(key, t.astype(np.uint64)), (r * device.field(i, "ld_out") + j).astype(np.uint64)
    mask = (random.bits(keys, places) >= int(0.4 * 2**32)) / 0.6
    np.testing.assert_allclose(device.steps_of(i, "y", 3), x * mask if training else x, rtol=1e-6)
    if training:
        np.testing.assert_allclose(derivative, mask, rtol=1e-6)
    device.arena.close()


@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize("scale", [0, 1])
def test_gradients_are_added_and_multiplied(add, scale):
    device = Device(
        [Recurrent("rnn", 3), Dropout(0.4), Recurrent("rnn", 3), GlobalPool(), Dense(1)], np.float64, 2, 3, 2
    )
    i = device.op("dropout")
    op = device.ops[i]
    op["dx"], op["begin"], op["scale"] = op["y"], op["x"] if add else -1, scale
    for name in ("dx", "dy", "x"):
        device.steps_of(i, name, 3)[:] = device.rng.normal(size=(3, 2, 3))
    waiting = device.steps_of(i, "dx", 3).copy()
    device.run([launch(device, make_pass_backward, "dropout")])
    expected = device.steps_of(i, "dy", 3) + add * device.steps_of(i, "x", 3)
    np.testing.assert_allclose(device.steps_of(i, "dx", 3), expected * waiting if scale else expected, rtol=1e-12)
    device.arena.close()


@pytest.mark.parametrize("how", ["last", "mean", "max"])
def test_pooling(how):
    device = Device(
        [Recurrent("rnn", 2, how == "last"), GlobalPool(how), Dense(1)], np.float64, 2, 4, 3, lengths=(4, 1, 3)
    )
    i, width = device.op(f"pool_{how}"), 4 if how == "last" else 2
    x = device.steps_of(i, "x", width, "ld_in")
    x[:] = device.rng.normal(size=x.shape)
    y, dy = (device.buffer(i, name, width, rows=3) for name in ("y", "dy"))
    dx = device.steps_of(i, "dx", width, "ld_in")
    y[:], dx[:] = np.nan, np.nan
    device.run([launch(device, make_pool_forward, f"pool_{how}", how)])
    share = np.zeros(x.shape)
    for r, length in enumerate(device.lengths):
        if how == "last":
            share[length - 1, r, :2], share[0, r, 2:] = 1, 1
        elif how == "mean":
            share[:length, r] = 1 / length
        else:
            share[x[:length, r].argmax(axis=0), r, np.arange(width)] = 1
    np.testing.assert_allclose(y, (share * x).sum(axis=0), rtol=1e-12)
    dy[:] = device.rng.normal(size=dy.shape)
    device.run([launch(device, make_pool_backward, f"pool_{how}", how)])
    np.testing.assert_allclose(dx, share * dy, rtol=1e-12)
    device.arena.close()
