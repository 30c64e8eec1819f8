"""Kernels of generative adversarial networks.

Sizes: T pixels, B rows, I in, O out; ``ld_in`` and ``ld_out`` are I and O padded.
"""

import numpy as np

from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, clear, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import layer_kernel
from skneural.backends.cpu.rows import (
    bring,
    clear_padding,
    copy_numbers,
    room_for_gradient,
    row_at,
    send_numbers,
    send_row,
)
from skneural.maths import random
from skneural.maths.dropout import noise, row_position
from skneural.maths.random import layer_key

latent_at = details_view("latent")
gate_at = details_view("gate")
label_channels_at = details_view("label_channels")
verdict_at = details_view("verdict")


@layer_kernel("latent", "forward")
def make_latent_forward(dtype):
    """Normal numbers, and behind them the labels that stand behind the real row."""
    digest = DIGEST
    size = dtype().itemsize
    stream = random.LATENT

    def latent_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = latent_at(op_address)
        f = frame_at(frame_address)
        key = layer_key(f.seed, stream, own.stream, f.step)
        one = dtype(1)
        n_drawn = op.n_out - own.n_labels
        for r in range(first, last):
            at = row_at(f, op.y, op.ld_out, 0, r, size)
            y = vector(at, dtype)  # OUT (B, O)
            position = row_position(f.start + r, op.ld_out)
            for j in range(n_drawn):
                y[j] = noise(key, position + np.uint64(j), one)
            labels = row_at(f, op.x, op.ld_in, 0, r, size) + (op.n_in - own.n_labels) * size  # (B, I)
            copy_numbers(at + n_drawn * size, labels, own.n_labels, dtype)

    return LAYER_KERNEL, latent_forward


@layer_kernel("gate", "forward")
def make_gate_forward(dtype):
    """The real row, or the generated one with the labels of the real one behind it; and noise."""
    digest = DIGEST
    size = dtype().itemsize
    stream = random.NOISE

    def gate_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = gate_at(op_address)
        f = frame_at(frame_address)
        key = layer_key(f.seed, stream, own.stream, f.step)
        deviation = dtype(own.deviation)
        for r in range(first, last):
            x = row_at(f, op.x, own.ld_first, 0, r, size)  # (B, O)
            y = row_at(f, op.y, op.ld_out, 0, r, size)  # OUT (B, O)
            copy_numbers(y, x, op.n_out, dtype)
            if f.generated != 0:
                generated = row_at(f, op.other, own.ld_second, 0, r, size)
                copy_numbers(y, generated, own.n_generated, dtype)
            if own.deviation > 0:
                numbers = vector(y, dtype)
                position = row_position(f.start + r, op.ld_out)
                for j in range(own.n_generated):
                    numbers[j] += noise(key, position + np.uint64(j), deviation)

    return LAYER_KERNEL, gate_forward


@layer_kernel("gate", "backward")
def make_gate_backward(dtype):
    """The gradient by generated rows."""
    digest = DIGEST
    size = dtype().itemsize

    def gate_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = gate_at(op_address)
        f = frame_at(frame_address)
        if op.d_other < 0:
            return
        for r in range(first, last):
            dy = row_at(f, op.dy, op.ld_out, 0, r, size)  # (B, O)
            dx = row_at(f, op.d_other, own.ld_second, 0, r, size)  # OUT (B, I)
            before = row_at(f, op.begin_other, own.ld_second, 0, r, size) if op.begin_other >= 0 else 0
            send_numbers(dx, before, op.scale_other, dy, own.n_generated, dtype)
            clear_padding(dx, own.n_generated, own.ld_second, size)

    return LAYER_KERNEL, gate_backward


@layer_kernel("label_channels", "forward")
def make_label_channels_forward(dtype):
    """The image of a row, its labels behind the channels of every pixel."""
    digest = DIGEST
    size = dtype().itemsize

    def label_channels_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = label_channels_at(op_address)
        f = frame_at(frame_address)
        n_channels = op.n_out - own.n_labels
        for t in range(op.steps):
            for r in range(first, last):
                x = row_at(f, op.x, op.ld_in, 0, r, size)  # (B, I)
                y = row_at(f, op.y, op.ld_out, t, r, size)  # OUT (T, B, O)
                copy_numbers(y, x + t * n_channels * size, n_channels, dtype)
                copy_numbers(y + n_channels * size, x + op.steps * n_channels * size, own.n_labels, dtype)

    return LAYER_KERNEL, label_channels_forward


@layer_kernel("label_channels", "backward")
def make_label_channels_backward(dtype):
    """The gradient by the image, and of every label the sum over the pixels."""
    digest = DIGEST
    size = dtype().itemsize

    def label_channels_backward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = label_channels_at(op_address)
        f = frame_at(frame_address)
        n_channels = op.n_out - own.n_labels
        n_numbers = op.steps * n_channels
        for r in range(first, last):
            room = room_for_gradient(op, f, 0, r, size)  # OUT (I,)
            labels = vector(room + n_numbers * size, dtype)
            clear(room + n_numbers * size, own.n_labels * size)
            for t in range(op.steps):
                at = row_at(f, op.dy, op.ld_out, t, r, size)  # (T, B, O)
                copy_numbers(room + t * n_channels * size, at, n_channels, dtype)
                dy = vector(at + n_channels * size, dtype)
                for j in range(own.n_labels):
                    labels[j] += dy[j]
            send_row(op, f, 0, r, room, size, dtype)

    return LAYER_KERNEL, label_channels_backward


@layer_kernel("verdict", "forward")
def make_verdict_forward(dtype):
    """Note of every row whether it is taken for a real one."""
    digest = DIGEST
    size = dtype().itemsize

    def verdict_forward(op_address, frame_address, first, last):
        digest  # part of the cache key
        op = op_at(op_address)
        own = verdict_at(op_address)
        f = frame_at(frame_address)
        bring(op, f, op.y, 0, first, last, size, dtype)
        if f.hits == 0:
            return
        hits = vector(f.hits, np.float64)  # OUT (B,)
        for r in range(first, last):
            y = vector(row_at(f, op.y, op.ld_out, 0, r, size), dtype)  # (B, 1)
            hits[r] = 1.0 if y[0] > own.boundary else 0.0

    return LAYER_KERNEL, verdict_forward
