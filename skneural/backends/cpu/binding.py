"""Bind the operations of a program to the kernels that carry them out."""

from skneural.backends.cpu.catalogue import address, kernels_of
from skneural.backends.cpu.layout import PANELS_FROM
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS


def activation_key(operation, dtype):
    """Key of an operation's activation, None if it has none."""
    is_activation = operation.traits.derivative == "function" and operation.function is not None
    return ("activation", dtype, ACTIVATIONS[operation.function]) if is_activation else None


def activation_of(operation, dtype):
    """Address of an operation's activation, 0 for none."""
    key = activation_key(operation, dtype)
    return address(*key) if key else 0


def keys_of_fit(program, solver):
    """Keys of the kernels that a fit needs, and predictions after it: those first that take long to compile.

    What only some fits need is left out; a kernel that is not here is compiled when it is asked for.
    """
    dtype = program.dtype.type
    job = [("loss_and_gradient",)]
    if solver in OPTIMIZERS:
        job = [("train", dtype), ("optimizer", dtype, OPTIMIZERS[solver])]
    keys = [*job, ("product", dtype)]
    for operation in program.operations:
        of_operation = kernels_of(operation.kind, operation.function, dtype)
        of_operation.pop("constrain", None)
        keys += reversed(of_operation.values())  # updates are larger than forward passes
        keys.append(activation_key(operation, dtype))
    if program.has_windows:
        keys.append(("window_product", dtype))
    keys += [("lay_out", dtype), ("output_forward", dtype, LINKS[LOSSES[program.loss].link]), ("predict",)]
    return [key for key in keys if key is not None]


def _goes_back(op, operation):
    """Whether anybody needs the way back of an operation."""
    is_asked = max(op["dx"], op["d_other"]) >= 0
    return is_asked or operation.traits.always_back or op["panels"] >= 0


def bind_training(program, *, constrain=False):
    """Operations with the addresses of their kernels for training; with `constrain`, of the limit on norms too.

    And how many numbers of buffers a row takes: gradients that are laid out for products have room behind all others.
    """
    dtype = program.dtype.type
    ops = program.ops.copy()
    n_work = program.n_work
    for op, operation in zip(ops, program.operations, strict=True):
        lays_out = operation.traits.multiplies_gradient and op["ld_out"] * program.dtype.itemsize >= PANELS_FROM
        op["by_steps"] = program.has_windows and operation.traits.shares_steps
        op["panels"] = -1
        if lays_out:
            op["panels"] = n_work
            n_work += op["ld_out"]
        is_hidden = op["layer"] < program.n_layers - 1
        for field, key in kernels_of(operation.kind, operation.function, dtype).items():
            if field == "backward" and not _goes_back(op, operation):
                continue
            if field == "constrain" and not (constrain and is_hidden):
                continue
            op[field] = address(*key)
        op["function"] = activation_of(operation, dtype)
    return ops, n_work


def tables_of_passes(program, ops, passes):
    """For every pass a table of operations, without the gradients that nobody reads in it.

    What a pass does not go back to asks for none: the first layer that is updated need not send any. One that goes back
    to the input has all that are wanted.
    """
    return [_table_of_pass(program, ops, int(part["back"])) if part["back"] else ops for part in passes]


def _table_of_pass(program, ops, back):
    """The operations of a pass that goes back to one of them."""
    table = ops.copy()
    learns_before = set()  # values before which, in this pass, something learns
    for i, operation in enumerate(program.operations[back:], back):
        asks = [value in learns_before for value in operation.inputs]
        if operation.output is None:  # the loss, and what adds to it
            continue
        if any(asks) or any(block.learnt for block in operation.blocks):
            learns_before.add(operation.output)
        for asked, field in zip(asks, ("dx", "d_other"), strict=False):
            if not asked:
                table[field][i] = -1
        if not _goes_back(table[i], operation):
            table["backward"][i] = 0
    return table


def bind_prediction(program, with_loss=False):
    """Operations with the addresses of their kernels for prediction: the outputs go into an array."""
    dtype = program.dtype.type
    rows = []
    kernels = []
    functions = []
    for i, operation in enumerate(program.operations):
        if operation.kind == "loss":
            rows.append(i)
            kernels.append(address("output_forward", dtype, LINKS[LOSSES[program.loss].link]))
            functions.append(0)
        if operation.output is not None or with_loss:
            rows.append(i)
            kernels.append(address(*kernels_of(operation.kind, operation.function, dtype)["forward"]))
            functions.append(activation_of(operation, dtype))
    ops = program.ops[rows]
    ops["forward"] = kernels
    ops["function"] = functions
    return ops


def bind_derivatives(program):
    """Tables of operations for the outputs, and for the way back from these to the input.

    Both are walked as a prediction is, from the first row to the last: on the way back each operation stands where it
    comes, and its kernel is in the place of that for the way forward.

    Parameters
    ----------
    program : Program
        Lowered for training, with the gradient by the input.

    Returns
    -------
    (ndarray, ndarray)
        Both of `operations.OP`. What the outputs send back is not among them: it is the caller's to put it there.
    """
    dtype = program.dtype.type
    forward = program.ops.copy()
    forward["panels"] = -1
    backward = forward.copy()
    for i, operation in enumerate(program.operations):
        kernels = kernels_of(operation.kind, operation.function, dtype)
        if operation.kind == "loss":
            kernels = {"forward": ("output_forward", dtype, LINKS[LOSSES[program.loss].link])}
        measures_loss = operation.traits.adds_to_loss
        forward["forward"][i] = 0 if measures_loss else address(*kernels["forward"])
        forward["function"][i] = activation_of(operation, dtype)
        is_asked = max(backward["dx"][i], backward["d_other"][i]) >= 0
        goes_back = "backward" in kernels and (is_asked or operation.traits.always_back)
        backward["forward"][i] = address(*kernels["backward"]) if goes_back else 0
    backward["function"] = forward["function"]
    return forward, backward[::-1].copy()
