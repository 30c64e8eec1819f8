"""Bind the operations of a program to kernels: which are launched, in which order, on how many blocks."""

import numpy as np

from skneural.backends import sources
from skneural.backends.cuda.launches import AFTER, BACKWARD, FORWARD, LAUNCHES, Launch, over, product_launch
from skneural.backends.cuda.product import choose_tile
from skneural.backends.cuda.updates import FIXED, LEARNT, WEIGHT

sources.import_modules(f"{__package__}.layers")  # they register their launches


def check_kinds(program):
    """Raise unless there are kernels for all operations of a program.

    Raises
    ------
    ValueError
        Naming a kind of operation that has none: a layer of a user's own.
    """
    known = {kind for kind, _ in LAUNCHES}
    for operation in program.operations:
        if operation.kind not in known:
            raise ValueError(f"There are no kernels for GPUs of operations {operation.kind!r}: use device='cpu'.")


class Binder:
    """The launches of a program for batches of up to `capacity` rows.

    Parameters
    ----------
    program : Program
        For dense rows and for training, whatever it is used for.
    precision : {'full', 'tf32'}
    capacity : int
        Rows.
    n_processors, shared : int
        Multiprocessors of the GPU, and bytes of shared memory that a block there can have.
    training : bool
    sparse : bool
        Whether the input is a CSR matrix.
    with_loss : bool
        Whether a prediction measures the loss of every row.
    mixes : bool
        Whether samples are mixed in training.
    nominal : int
        Rows that tiles are chosen for: how products are summed then does not depend on `capacity`.

    Attributes
    ----------
    ops : ndarray of `OP`
        The operations, with what this backend adds to them.
    forward, backward, after : list of Launch
        After the update come those that keep parameters within limits.
    n_scratch : int
        Numbers that parts of sums need.
    """

    def __init__(
        self,
        program,
        precision,
        capacity,
        n_processors,
        shared,
        *,
        training,
        sparse=False,
        with_loss=False,
        mixes=False,
        nominal=None,
    ):
        self.program = program
        self.precision = "tf32" if precision == "tf32" else program.dtype.name
        self.capacity = capacity
        self.nominal = nominal or capacity
        self.n_processors = n_processors
        self.shared = shared
        self.training = training
        self.sparse = sparse
        self.mixes = mixes
        self.with_loss = with_loss or training
        self.dtype = program.dtype.type
        self.size = program.dtype.itemsize
        self.ops = program.ops.copy()
        self.n_scratch = 0
        self._numbers = {operation: i for i, operation in enumerate(program.operations)}
        indices = range(len(self.ops))
        self.forward = self._bind(indices, FORWARD)
        self.backward = self._bind(reversed(indices), BACKWARD) if training else []
        self.after = self._bind(indices, AFTER) if training else []

    def _bind(self, indices, fields):
        """Launches of some operations, field by field."""
        launches = []
        for i in indices:
            for field in fields:
                make = LAUNCHES.get((self.operation(i).kind, field))
                if make is not None and self._needs(i, field):
                    made = make(self, i)
                    for launch in made:
                        launch.is_gradient = field == "gradient"
                    launches += made
        return launches

    def _needs(self, i, field):
        """Whether what a field of an operation launches is needed."""
        op = self.op(i)
        operation = self.operation(i)
        if field == "statistics_forward":
            return self.training
        if field == "backward":
            return operation.traits.always_back or max(op.dx, op.d_other) >= 0
        if field == "gradient":
            return any(block.learnt for block in operation.blocks)
        if field == "constrain":
            return op.layer < self.program.n_layers - 1
        return True

    # -- what makers of launches ask ---------------------------------------------------------------------------------

    def operation(self, i):
        """An operation in words."""
        return self.program.operations[i]

    def number(self, operation):
        """Its number."""
        return self._numbers[operation]

    def op(self, i):
        """Its row in the table, as kernels know it: a view."""
        return self.ops.view(np.recarray)[i]

    def own(self, i):
        """Its details: a view."""
        kind = self.operation(i).traits.details
        return self.ops["details"][i].view(np.uint8)[: kind.itemsize].view(np.dtype((np.record, kind)))[0]

    def is_in_place(self, i):
        """Whether an operation writes its output in the place of its input."""
        return self.op(i).x == self.op(i).y

    def scratch(self, count):
        """Reserve numbers for parts of sums; where they begin."""
        self.n_scratch += count
        return self.n_scratch - count

    def tile(self, n_rows, n_columns, n_depth, split=False, products=1):
        """The tile of a product, or of so many at a time, and the parts of its depth."""
        sizes = int(n_rows), int(n_columns), int(n_depth)
        return choose_tile(self.precision, *sizes, self.n_processors, split, products)

    def over_numbers(self, i, make, *options, of_input=False):
        """Launch of a kernel whose threads share all numbers of all steps of an operation's output, or input."""
        op = self.op(i)
        count = op.steps_in * op.n_in if of_input else op.steps * op.n_out
        return Launch((make, self.dtype, *options), i, over(self.capacity * int(count)))

    def product(self, i, make, *options, sizes, tile=None, parts=1, step=0, products=1):
        """Launch of a product of an operation, of so many rows, columns, and numbers of depth; or of several."""
        rows, columns, depth = map(int, sizes)
        if tile is None:
            tile, _ = self.tile(rows * self.nominal // self.capacity, columns, depth, products=products)
        key = (make, self.dtype, tile, *options)
        return product_launch(key, tile, self.size, rows, columns, i, parts * products, step)


def layers_of(program, updated=None):
    """Numbers of the layers whose parameters to be learnt some operations have, by default all."""
    chosen = [operation for i, operation in enumerate(program.operations) if updated is None or i in updated]
    return {block.layer for operation in chosen for block in operation.blocks if block.learnt}


def roles_of(program, updated=None):
    """What each parameter is: see `updates`. With `updated`, numbers of operations, those of other layers stay."""
    roles = np.full(program.n_params, FIXED, np.int8)
    layers = layers_of(program, updated)
    for block in program.blocks:
        if block.learnt and block.layer in layers:
            block.view(roles)[...] = WEIGHT if block.penalised else LEARNT
    return roles


def layer_ranges(program, updated):
    """Where the parameters of layers stand: (begin, end, layer, whether there was a range of that layer before).

    Of the layers whose parameters the operations of the numbers `updated` have.
    """
    ranges = []
    for layer in sorted(layers_of(program, updated)):
        blocks = sorted((block.start, block.start + block.size) for block in program.blocks if block.layer == layer)
        merged = []
        for begin, end in blocks:
            if merged and begin <= merged[-1][1]:
                merged[-1][1] = max(end, merged[-1][1])
            else:
                merged.append([begin, end])
        ranges += [(begin, end, layer, int(i > 0)) for i, (begin, end) in enumerate(merged)]
    return np.array(ranges, np.int64).reshape(-1, 4)
