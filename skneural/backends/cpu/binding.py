"""Bind the operations of a program to the kernels that carry them out."""

import numpy as np

from skneural.backends.cpu.compiler import address, compiled_kernels, kernel
from skneural.backends.cpu.crew import make_lead, make_serve
from skneural.backends.cpu.kernels import (
    make_dense_backward,
    make_dense_forward,
    make_dropout_forward,
    make_input_forward,
    make_noise_forward,
    make_residual_backward,
    make_residual_forward,
    make_sparse_dense_forward,
)
from skneural.backends.cpu.normalization import (
    make_batch_norm_backward,
    make_batch_norm_forward,
    make_batch_norm_gather,
    make_batch_norm_gather_back,
    make_layer_norm_backward,
    make_layer_norm_forward,
    make_norm_update,
)
from skneural.backends.cpu.outputs import make_activation, make_loss_forward, make_output_forward
from skneural.backends.cpu.product import make_product
from skneural.backends.cpu.updates import make_constrain, make_optimizer, make_update
from skneural.backends.cpu.walker import make_loss_and_gradient, make_predict, make_train
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.program import KINDS, OP

#: Makers of the kernels of each kind of operation, by the field of `OP` that holds the address. A number or flag after
#: the maker is its second argument.
KERNELS = {
    "input": {"forward": (make_input_forward,)},
    "noise": {"forward": (make_noise_forward,)},
    "dense": {"forward": (make_dense_forward,), "backward": (make_dense_backward,), "update": (make_update, False)},
    "sparse_dense": {"forward": (make_sparse_dense_forward,), "update": (make_update, True)},
    "batch_norm": {
        "gather": (make_batch_norm_gather,), "forward": (make_batch_norm_forward,),
        "gather_back": (make_batch_norm_gather_back,), "backward": (make_batch_norm_backward,),
        "update": (make_norm_update, True),
    },
    "layer_norm": {
        "forward": (make_layer_norm_forward,), "backward": (make_layer_norm_backward,),
        "update": (make_norm_update, False),
    },
    "dropout": {"forward": (make_dropout_forward,)},
    "residual": {"forward": (make_residual_forward,), "backward": (make_residual_backward,)},
}  # fmt: skip

#: Kinds that prediction leaves out.
TRAINING_ONLY = ("noise", "dropout")


def bind_training(program, *, constrain=False):
    """Operations with the addresses of their kernels for training; with `constrain`, of the limit on norms too."""
    dtype, ops = program.dtype.type, program.ops.copy()
    for op, function in zip(ops, program.functions, strict=True):
        kind = KINDS[op["kind"]]
        if kind == "loss":
            op["forward"] = address(make_loss_forward, dtype, LOSSES[function])
            continue
        for field, (make, *options) in KERNELS[kind].items():
            if field != "backward" or op["dx"] >= 0:  # the first layer has nobody to send a gradient to
                op[field] = address(make, dtype, *options)
        op["function"] = address(make_activation, dtype, ACTIVATIONS[function]) if function else 0
        if constrain and kind in ("dense", "sparse_dense") and op["layer"] < len(program.tensors) - 1:
            op["constrain"] = address(make_constrain, dtype)
    return ops


def bind_prediction(program, with_loss=False):
    """Operations with the addresses of their kernels for prediction: no dropout; the outputs go into an array."""
    dtype, rows = program.dtype.type, []
    for op, function in zip(program.ops.copy(), program.functions, strict=True):
        kind = KINDS[op["kind"]]
        if kind in TRAINING_ONLY:
            continue
        if kind == "loss":
            loss = op.copy()
            op["forward"] = address(make_output_forward, dtype, LINKS[LOSSES[function].link])
            if with_loss:
                loss["forward"] = address(make_loss_forward, dtype, LOSSES[function])
                rows.append(loss)
        else:
            op["forward"] = address(KERNELS[kind]["forward"][0], dtype)
            op["function"] = address(make_activation, dtype, ACTIVATIONS[function]) if function else 0
        rows.append(op)
    return np.array(rows, OP)


def compile_everything(dtypes):
    """Compile every kernel of every registry; the number of kernels."""
    registries = {
        make_activation: ACTIVATIONS,
        make_loss_forward: LOSSES,
        make_output_forward: LINKS,
        make_optimizer: OPTIMIZERS,
    }
    for dtype in (np.dtype(kind).type for kind in dtypes):
        for make in (make_product, make_train, make_constrain):
            kernel(make, dtype)
        for make, *options in (key for fields in KERNELS.values() for key in fields.values()):
            kernel(make, dtype, *options)
        for make, registry in registries.items():
            for entry in registry.values():
                kernel(make, dtype, entry)
    for make in (make_predict, make_loss_and_gradient, make_serve, make_lead):
        kernel(make)
    return len(compiled_kernels())
