"""The table of operations: a common head, and details of every kind.

Buffers are counted in numbers per row of the batch; a buffer of width `ld` that starts at `x` holds row r at
``x * capacity + r * ld``, where `capacity` is the number of rows that the buffers were made for. A buffer of sequences
holds one such matrix for each time step, one after the other: row r of step t at ``x * capacity + (t * chunk + r) *
ld``, where `chunk` is the number of rows at hand.

What kernels may rely on, and must do:

- After the end of a sample, values are 0. What gradients are there, nobody may read.
- The gradient by an input is written as ``(begin + gradient) * dx``: `begin` is the buffer of what others have sent
  already (-1: nothing), and the factor is there where `scale` says so: then the derivative of what came before waits
  in `dx`. Where `dx` is -1, nobody asks.
"""

from dataclasses import dataclass

import numpy as np

#: Numbers of the details of an operation, at the most.
N_DETAILS = 24

#: The fields that all operations have, of 8 bytes each. Offsets of -1 mean that there is no such thing.
HEAD = (
    ("n_in", "i8"),  # width of the (first) input
    ("n_out", "i8"),  # width of the output
    ("ld_in", "i8"),  # the same, padded
    ("ld_out", "i8"),
    ("steps_in", "i8"),  # time steps of the input, 1 for rows
    ("steps", "i8"),  # of the output
    ("every_in", "i8"),  # steps of the data that a step of the input stands for; 0 where all rows have all steps
    ("every", "i8"),
    ("x", "i8"),  # buffers of the input and the output
    ("y", "i8"),
    ("dx", "i8"),  # buffers of the gradients by them
    ("dy", "i8"),
    ("begin", "i8"),  # how dx is written: see above
    ("scale", "i8"),
    ("other", "i8"),  # the same of a second input
    ("d_other", "i8"),
    ("begin_other", "i8"),
    ("scale_other", "i8"),
    ("layer", "i8"),  # number of the layer that its parameters belong to
    ("slot", "i8"),  # its partial sums, of penalties and squared gradients
    ("n_slots", "i8"),
    ("by_steps", "i8"),  # whether threads share time steps or pixels
    ("panels", "i8"),  # where the gradient by the output is laid out for a product
    ("function", "i8"),  # address of the activation
    # Addresses of the kernels. Those of the batch's statistics see all of its rows, between two barriers; those that
    # put together what threads have found follow, before another one.
    ("statistics_forward", "i8"),
    ("combine_forward", "i8"),
    ("forward", "i8"),
    ("statistics_backward", "i8"),
    ("combine_backward", "i8"),
    ("backward", "i8"),
    ("update", "i8"),
    ("constrain", "i8"),
)

#: One operation.
OP = np.dtype([*HEAD, ("details", "i8", N_DETAILS)])

#: Fields of the head that hold addresses of kernels.
KERNEL_FIELDS = (
    "statistics_forward", "combine_forward", "forward", "statistics_backward", "combine_backward", "backward", "update",
    "constrain",
)  # fmt: skip

#: What is known of every kind of operation, by its name.
KINDS = {}


@dataclass(frozen=True)
class Kind:
    """What is known of a kind of operation.

    Parameters
    ----------
    name : str
    details : numpy dtype
        The record behind the head.
    elementwise : bool
        Whether every number of the output is made of that number of the input alone: then the operation may write its
        output in the place of its input, and the gradient by the input is that by the output times its derivative.
    passes : bool
        Whether the gradient by each input is that by the output.
    derivative : {'never', 'function', 'always'}
        When the operation leaves its derivative where the gradient by its output will be: never, if it has a function,
        or always. Whoever reads the output multiplies.
    chains : bool
        Whether it multiplies a derivative that waits there already, when it works in place.
    keeps_output : bool
        Whether its way back reads its output.
    overwrites : str or None
        The detail that names a buffer for what the way back needs in place of the input; it may be that of the input.
    always_back : bool
        Whether its way back is needed even if nobody asks for the gradient by its input.
    stores_gradient : bool
        Whether its update needs room for the gradient by all parameters.
    multiplies_gradient : bool
        Whether its update is a product with the gradient by the output, which a backend may lay out for that.
    shares_steps : bool
        Whether a thread can do its part of the time steps or pixels, of all rows of the batch, whatever others do.
    updates_rows : bool
        Whether its update goes row by row of the weights: they are few, and all rows of a batch meet in each.
    adds_to_loss : bool
        Whether it adds to the loss of every row: it has no output, and stands behind the loss. Its way forward adds to
        `losses` of the frame what the row's weight times the penalty is, its way back sends the gradient of that,
        times `scale` of the frame, as every reader does. Predictions without a loss have no part in it.
    """

    name: str
    details: np.dtype
    elementwise: bool = False
    passes: bool = False
    derivative: str = "never"
    chains: bool = True
    keeps_output: bool = False
    overwrites: str | None = None
    always_back: bool = False
    stores_gradient: bool = False
    multiplies_gradient: bool = False
    shares_steps: bool = False
    updates_rows: bool = False
    adds_to_loss: bool = False


def operation(name, details=(), **traits):
    """Declare a kind of operation.

    Parameters
    ----------
    name : str
        A file of that name, or of that of the layer, holds its kernels in every backend.
    details : sequence of str
        Names of the fields of its details: integers, or real where ``":f8"`` follows the name.
    **traits
        See `Kind`.

    Raises
    ------
    ValueError
        If there are too many details.
    """
    fields = []
    for text in details:
        field, _, kind = text.partition(":")
        fields.append((field, kind or "i8"))
    if len(fields) > N_DETAILS:
        raise ValueError(f"An operation has at most {N_DETAILS} details, got {len(fields)}.")
    record = np.dtype(fields or [("nothing", "i8")])
    KINDS[name] = Kind(name, record, **traits)


operation("input")
operation("sequence_input", ["scaling"])
operation("sparse_input")
operation("sum", passes=True, shares_steps=True)
operation("concatenate", ["ld_first", "ld_second"])
operation("loss")
