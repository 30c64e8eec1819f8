"""Kernels of groups, augmentation and mixup as machine code for an H100: needs neither a GPU nor a driver."""

import numpy as np
import pytest
from test_machine_code import IMAGE, check, compile_for_gpu, launches, parameters

from skneural.backends.cuda import steps
from skneural.backends.cuda.layers import (
    activity,
    augmentation,
    convolution,
    convolution_groups,
    input,
    loss,
    sampling,
)
from skneural.backends.cuda.product import Tile
from skneural.layers import Conv1D, Conv2D, Dense, Flatten, GlobalPool, MaxPool2D
from skneural.maths.losses import LOSSES

pytestmark = pytest.mark.apart

#: Groups that are products, of narrow and of wide tiles, and others.
NETWORKS = [
    [
        IMAGE,
        Conv2D(40, 1),
        Conv2D(40, groups="depthwise", activation="relu"),
        Conv2D(30, groups=10),
        Flatten(),
        Dense(3),
    ],
    [
        IMAGE,
        Conv2D(64, 1),
        Conv2D(64, groups=4, activation="relu"),
        MaxPool2D(),
        Conv2D(256, groups=2),
        GlobalPool("mean"),
        Dense(3),
    ],
    [IMAGE, Conv2D(64, 1), Conv2D(64, stride=2, groups=2), Flatten(), Dense(3)],
    [Conv1D(50, groups="depthwise"), Conv1D(10, groups=5), GlobalPool("mean"), Dense(3)],
]


def of_groups(found):
    """Launches of convolutions in groups alone: of products the last option says so."""
    return {
        key: launch
        for key, launch in found.items()
        if key[0].__module__ == convolution_groups.__name__
        or (key[0].__module__ == convolution.__name__ and key[-1] is True)
    }


SINGLE = of_groups(launches(NETWORKS, np.float32, capacities=(4, 10_000), n_timesteps=64))
DOUBLE = of_groups(launches(NETWORKS[:2], np.float64, capacities=(4, 10_000), n_timesteps=64))
TENSOR = of_groups(launches(NETWORKS, np.float32, "tf32", capacities=(10_000,), n_timesteps=64))
TENSOR = {key: launch for key, launch in TENSOR.items() if key not in SINGLE}
SHOWN = {convolution.make_convolution_gradient, convolution_groups.make_groups_gradient}


def test_groups_are_there():
    makers = {key[0] for key in SINGLE}
    assert {convolution.make_convolution_forward, convolution.make_convolution_backward} <= makers
    assert {convolution_groups.make_groups_forward, convolution_groups.make_groups_sum_parts} <= makers
    assert makers >= SHOWN
    assert TENSOR


@pytest.mark.parametrize("key", parameters(SINGLE, SHOWN))
def test_groups_in_single_precision(key):
    report = compile_for_gpu(key)
    check(report, SINGLE[key])
    assert report.doubles == 0
    assert "atom" not in report.ptx
    if any(isinstance(option, Tile) for option in key):
        assert "ld.global.v4" in report.ptx


@pytest.mark.parametrize("key", parameters(TENSOR, ()))
def test_groups_on_tensor_cores(key):
    report = compile_for_gpu(key)
    check(report, TENSOR[key])
    assert "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32" in report.ptx


@pytest.mark.parametrize("key", parameters(DOUBLE, ()))
def test_groups_in_double_precision(key):
    check(compile_for_gpu(key), DOUBLE[key])


#: What adds to the loss of a row: weights are mixed as samples are.
PENALTIES = [
    activity.make_activity_penalty_forward, activity.make_activity_penalty_backward,
    sampling.make_gaussian_divergence_forward, sampling.make_gaussian_divergence_backward,
]  # fmt: skip


def of_samples(dtype):
    """Keys of kernels that change samples: what is drawn for them is in double precision."""
    keys = [(augmentation.make_augment_images_forward, dtype), (augmentation.make_augment_sequences_forward, dtype)]
    keys += [(input.make_sequence_input_forward, dtype, True)]
    keys += [(loss.make_loss_forward, dtype, entry, True) for entry in LOSSES.values()]
    keys += [(make, dtype, True) for make in PENALTIES]
    return [*keys, (steps.make_step_begin, dtype, True, True), (steps.make_step_end, dtype, True, True)]


FEW = {augmentation.make_augment_images_forward, input.make_sequence_input_forward}


@pytest.mark.parametrize("key", [*parameters(of_samples(np.float32), FEW), *parameters(of_samples(np.float64), ())])
def test_kernels_that_change_samples(key):
    report = compile_for_gpu(key)
    check(report)
    assert "atom" not in report.ptx


@pytest.mark.parametrize(
    "make", [augmentation.make_copy, lambda dtype: input.make_sequence_input_forward(dtype, False)]
)
def test_others_have_no_double_precision(make):
    report = compile_for_gpu((make, np.float32))
    check(report)
    assert report.doubles == 0
