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
from skneural.backends.cpu.recurrent import make_recurrent_backward, make_recurrent_forward
from skneural.backends.cpu.recurrent_updates import make_recurrent_update
from skneural.backends.cpu.sequences import (
    make_join_backward,
    make_join_forward,
    make_pool_backward,
    make_pool_forward,
    make_sequence_dropout,
    make_sequence_input_forward,
)
from skneural.backends.cpu.updates import make_constrain, make_optimizer, make_update
from skneural.backends.cpu.walker import make_loss_and_gradient, make_predict, make_train
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.cells import CELLS
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
    "sequence_input": {"forward": (make_sequence_input_forward,)},
    "join": {"forward": (make_join_forward,), "backward": (make_join_backward,)},
    "sequence_dropout": {"forward": (make_sequence_dropout, False), "backward": (make_sequence_dropout, True)},
    **{
        f"pool_{how}": {"forward": (make_pool_forward, how), "backward": (make_pool_backward, how)}
        for how in ("last", "mean", "max")
    },
}  # fmt: skip

#: Makers of the kernels of a recurrent layer, whose second argument is the cell.
RECURRENT = {
    "forward": make_recurrent_forward, "backward": make_recurrent_backward, "update": make_recurrent_update,
}  # fmt: skip


def makers(kind, function):
    """Maker and further arguments of each kernel of an operation, by the field of `OP` that holds the address."""
    if kind == "recurrent":
        return {field: (make, CELLS[function]) for field, make in RECURRENT.items()}
    return KERNELS[kind]


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
        for field, (make, *options) in makers(kind, function).items():
            # The first layer has nobody to send a gradient to; a recurrent one sends it back in time.
            if field != "backward" or op["dx"] >= 0 or kind == "recurrent":
                op[field] = address(make, dtype, *options)
        op["function"] = activation_of(kind, function, dtype)
        if constrain and kind in ("dense", "sparse_dense") and op["layer"] < len(program.tensors) - 1:
            op["constrain"] = address(make_constrain, dtype)
    return ops


def activation_of(kind, function, dtype):
    """Address of an operation's activation, 0 for none."""
    return address(make_activation, dtype, ACTIVATIONS[function]) if function and kind != "recurrent" else 0


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
            make, *options = makers(kind, function)["forward"]
            op["forward"] = address(make, dtype, *options)
            op["function"] = activation_of(kind, function, dtype)
        rows.append(op)
    return np.array(rows, OP)


def every_kernel(dtypes):
    """What `kernel` is to be called with for every kernel of every registry: a function that makes it, and its key."""
    registries = {
        make_activation: ACTIVATIONS,
        make_loss_forward: LOSSES,
        make_output_forward: LINKS,
        make_optimizer: OPTIMIZERS,
        **dict.fromkeys(RECURRENT.values(), CELLS),
    }
    for dtype in (np.dtype(kind).type for kind in dtypes):
        for make in (make_product, make_train, make_constrain):
            yield make, dtype
        for make, *options in (key for fields in KERNELS.values() for key in fields.values()):
            yield make, dtype, *options
        for make, registry in registries.items():
            for entry in registry.values():
                yield make, dtype, entry
    for make in (make_predict, make_loss_and_gradient, make_serve, make_lead):
        yield (make,)


def compile_everything(dtypes):
    """Compile every kernel of every registry; the number of kernels."""
    for key in every_kernel(dtypes):
        kernel(*key)
    return len(compiled_kernels())
