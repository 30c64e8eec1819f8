"""Bind the operations of a program to the kernels that carry them out."""

import numpy as np

from skneural.backends.cpu.compiler import address, compiled_kernels, kernel
from skneural.backends.cpu.crew import make_lead, make_serve
from skneural.backends.cpu.kernels import (
    make_activation,
    make_dense_backward,
    make_dense_forward,
    make_dropout_forward,
    make_input_forward,
    make_loss_forward,
    make_optimizer,
    make_output_forward,
    make_sparse_dense_forward,
    make_update,
)
from skneural.backends.cpu.product import make_product
from skneural.backends.cpu.walker import make_loss_and_gradient, make_predict, make_train
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.program import KINDS, OP


def bind_training(program):
    """Operations with the addresses of their kernels for training."""
    dtype, ops = program.dtype.type, program.ops.copy()
    for op, function in zip(ops, program.functions, strict=True):
        kind = KINDS[op["kind"]]
        if kind == "input":
            op["forward"] = address(make_input_forward, dtype)
        elif kind == "dropout":
            op["forward"] = address(make_dropout_forward, dtype)
        elif kind == "loss":
            op["forward"] = address(make_loss_forward, dtype, LOSSES[function])
        else:
            _bind_dense(op, kind, function, dtype)
            if op["dx"] >= 0:
                op["backward"] = address(make_dense_backward, dtype)
            op["update"] = address(make_update, dtype, kind == "sparse_dense")
    return ops


def bind_prediction(program, with_loss=False):
    """Operations with the addresses of their kernels for prediction: no dropout; the outputs go into an array."""
    dtype, rows = program.dtype.type, []
    for op, function in zip(program.ops.copy(), program.functions, strict=True):
        kind = KINDS[op["kind"]]
        if kind == "dropout":
            continue
        if kind == "input":
            op["forward"] = address(make_input_forward, dtype)
        elif kind == "loss":
            loss = op.copy()
            op["forward"] = address(make_output_forward, dtype, LINKS[LOSSES[function].link])
            if with_loss:
                loss["forward"] = address(make_loss_forward, dtype, LOSSES[function])
                rows.append(loss)
        else:
            _bind_dense(op, kind, function, dtype)
        rows.append(op)
    return np.array(rows, OP)


def _bind_dense(op, kind, function, dtype):
    make = make_sparse_dense_forward if kind == "sparse_dense" else make_dense_forward
    op["forward"] = address(make, dtype)
    op["function"] = address(make_activation, dtype, ACTIVATIONS[function]) if function else 0


def compile_everything(dtypes):
    """Compile every kernel of every registry; the number of kernels."""
    layers = (
        make_input_forward,
        make_dense_forward,
        make_sparse_dense_forward,
        make_dense_backward,
        make_dropout_forward,
        make_product,
        make_train,
    )
    registries = {
        make_activation: ACTIVATIONS,
        make_loss_forward: LOSSES,
        make_output_forward: LINKS,
        make_optimizer: OPTIMIZERS,
    }
    for dtype in (np.dtype(kind).type for kind in dtypes):
        for make in layers:
            kernel(make, dtype)
        for is_sparse in (False, True):
            kernel(make_update, dtype, is_sparse)
        for make, registry in registries.items():
            for entry in registry.values():
                kernel(make, dtype, entry)
    for make in (make_predict, make_loss_and_gradient, make_serve, make_lead):
        kernel(make)
    return len(compiled_kernels())
