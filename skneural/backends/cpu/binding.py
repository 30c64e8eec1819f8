"""Bind the operations of a program to the kernels that carry them out."""

import numpy as np

from skneural.backends import sources
from skneural.backends.cpu.compiler import address, compiled_kernels, kernel
from skneural.backends.cpu.layers.activation import make_activation
from skneural.backends.cpu.layers.loss import make_output_forward
from skneural.backends.cpu.pool import make_run_first, make_run_worker
from skneural.backends.cpu.product import PANELS_FROM, make_product
from skneural.backends.cpu.registry import every_key, keys_of
from skneural.backends.cpu.updates import make_lay_out, make_optimizer
from skneural.backends.cpu.walker import make_loss_and_gradient, make_predict, make_train
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS

sources.import_modules(f"{__package__}.layers")  # they register their kernels


def activation_of(operation, dtype):
    """Address of an operation's activation, 0 for none."""
    is_activation = operation.traits.derivative == "function" and operation.function is not None
    if not is_activation:
        return 0
    return address(make_activation, dtype, ACTIVATIONS[operation.function])


def bind_training(program, *, constrain=False):
    """Operations with the addresses of their kernels for training; with `constrain`, of the limit on norms too.

    And how many numbers of buffers a row takes: gradients that are laid out for products have room behind all others.
    """
    dtype = program.dtype.type
    ops = program.ops.copy()
    n_work = program.n_work
    for op, operation in zip(ops, program.operations, strict=True):
        is_asked = max(op["dx"], op["d_other"]) >= 0
        lays_out = operation.traits.multiplies_gradient and op["ld_out"] * program.dtype.itemsize >= PANELS_FROM
        op["panels"] = -1
        if lays_out:
            op["panels"] = n_work
            n_work += op["ld_out"]
        is_hidden = op["layer"] < program.n_layers - 1
        for field, key in keys_of(operation.kind, operation.function, dtype).items():
            if field == "backward" and not (is_asked or operation.traits.always_back or lays_out):
                continue
            if field == "constrain" and not (constrain and is_hidden):
                continue
            op[field] = address(*key)
        op["function"] = activation_of(operation, dtype)
    return ops, n_work


def bind_prediction(program, with_loss=False):
    """Operations with the addresses of their kernels for prediction: the outputs go into an array."""
    dtype = program.dtype.type
    rows = []
    kernels = []
    functions = []
    for i, operation in enumerate(program.operations):
        if operation.kind == "loss":
            rows.append(i)
            kernels.append(address(make_output_forward, dtype, LINKS[LOSSES[program.loss].link]))
            functions.append(0)
        if operation.kind != "loss" or with_loss:
            rows.append(i)
            kernels.append(address(*keys_of(operation.kind, operation.function, dtype)["forward"]))
            functions.append(activation_of(operation, dtype))
    ops = program.ops[rows]
    ops["forward"] = kernels
    ops["function"] = functions
    return ops


def every_kernel(dtypes):
    """What `kernel` is to be called with for every kernel of every registry: a function that makes it, and its key."""
    registries = {make_activation: ACTIVATIONS, make_output_forward: LINKS, make_optimizer: OPTIMIZERS}
    for dtype in (np.dtype(kind).type for kind in dtypes):
        yield make_product, dtype
        yield make_lay_out, dtype
        yield make_train, dtype
        yield from every_key(dtype)
        for make, registry in registries.items():
            for entry in registry.values():
                yield make, dtype, entry
    for make in (make_predict, make_loss_and_gradient, make_run_worker, make_run_first):
        yield (make,)


def compile_everything(dtypes):
    """Compile every kernel of every registry; the number of kernels."""
    for key in every_kernel(dtypes):
        kernel(*key)
    return len(compiled_kernels())
