"""Launches of kernels, and who makes those of a kind of operation: the files in `layers` register functions here."""

from dataclasses import dataclass, field

from skneural.backends.cuda import compiler, hub
from skneural.backends.cuda.intrinsics import OP_SIZE

#: Threads of a block whose threads each look after one number.
THREADS = 8 if hub.IS_SIMULATED else 256
#: Blocks of a kernel whose threads go on to further numbers, at the most.
MOST_BLOCKS = 4 if hub.IS_SIMULATED else 2048

#: What an operation may launch, in this order: on the way forward, on the way back, and after the update.
FORWARD = ("statistics_forward", "forward")
BACKWARD = ("statistics_backward", "backward", "gradient")
AFTER = ("constrain",)

#: ``{(kind, field): function}``.
LAUNCHES = {}


@dataclass
class Launch:
    """One launch of a kernel.

    Parameters
    ----------
    key : tuple
        Maker of the kernel and its arguments.
    op : int
        Number of the operation.
    grid : tuple of int
        Blocks in three directions; the third runs over models.
    block : int
        Threads.
    shared : int
        Bytes of shared memory.
    step : int
        Third argument of the kernel.
    address : int
        First argument of a kernel that belongs to no operation.
    is_gradient : bool
        Whether it is for the gradient by parameters alone: passes that do not update these leave it out.
    """

    key: tuple
    op: int = 0
    grid: tuple = (1, 1, 1)
    block: int = THREADS
    shared: int = 0
    step: int = 0
    address: int = 0
    is_gradient: bool = False
    kernel: object = field(default=None, repr=False)

    def get_ready(self):
        """Compile the kernel, or take it from the cache."""
        if self.kernel is None:
            self.kernel = compiler.loaded(self.shared, *self.key)

    def start(self, stream, ops, frames):
        """Launch the kernel."""
        self.get_ready()
        first = self.address or ops + self.op * OP_SIZE
        hub.launch(self.kernel, self.grid, self.block, self.shared, stream, (first, frames, self.step))


def over(count):
    """Grid for a kernel whose threads share `count` numbers."""
    return (max(1, min(-(-count // THREADS), MOST_BLOCKS)), 1, 1)


def product_launch(key, tile, size, n_rows, n_columns, op, parts=1, step=0):
    """Launch of a product of `n_rows` by `n_columns` numbers of `size` bytes."""
    grid = (-(-n_rows // tile.rows), -(-n_columns // tile.columns), parts)  # only the first may exceed 65,535
    threads = tile.threads(16 // size) * tile.slices
    return Launch(key, op, grid, threads, tile.shared(size) * size, step)


def layer_launches(kind, field):
    """Decorator: the function makes the launches of a kind of operation.

    It is called with the `Binder` and the number of the operation, and returns a list of `Launch`.

    Parameters
    ----------
    kind : str
        See `network.operations.KINDS`.
    field : str
        What they do: an item of `FORWARD`, `BACKWARD` or `AFTER`.

    Raises
    ------
    ValueError
        If there is no such field.
    """
    fields = FORWARD + BACKWARD + AFTER
    if field not in fields:
        raise ValueError(f"A launch is one of {fields}, got {field!r}.")

    def add(function):
        LAUNCHES[kind, field] = function
        return function

    return add


def layer_kernel(kind, field, *options, registry=None, of_input=False):
    """Decorator: the function makes the one kernel of a kind of operation; its threads share all numbers of all steps.

    Parameters
    ----------
    kind, field : str
        See `layer_launches`.
    *options : object
        Further arguments of the maker, after the type of numbers.
    registry : Registry, default=None
        The last argument of the maker is the row of this registry that the operation names, None where it names none.
    of_input : bool, default=False
        Whether the numbers are those of the input; else they are those of the output.
    """

    def add(make):
        def launches(net, i):
            entry = () if registry is None else (registry.get(net.operation(i).function),)
            return [net.over_numbers(i, make, *options, *entry, of_input=of_input)]

        layer_launches(kind, field)(launches)
        return make

    return add
