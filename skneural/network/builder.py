"""What layers build themselves with: values that flow, operations that make them, blocks of parameters.

Layers only say what is computed. Where in memory values stand, which operations work in place, and how gradients of
several readers come together is decided when all of the network is known (see `plan`).
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from skneural.network.layer import Layer, name_of, normalized
from skneural.network.memory import padded
from skneural.network.operations import KINDS
from skneural.network.parameters import Block

#: Streams of random numbers between two layers with parameters are so far apart.
FURTHER = 1 << 24


@dataclass(eq=False)
class Value:
    """What flows between operations.

    Attributes
    ----------
    shape : tuple of int
        Of one sample: (units,), (steps, channels), or (height, width, channels). The pixels of an image, row after row,
        are its steps.
    ld : int
        Padded width of a row.
    every : int
        How many steps of the data one step stands for; 0 where all samples have all steps.
    forwards : int
        How many of the channels are of the direction forwards in time: the others end where the sequence begins.
    is_sparse : bool
        Whether it is the rows of a sparse matrix.
    producer : Operation or None
    readers : list of (Operation, int)
        In order, each with the position of the value among its inputs.
    y, dy : int
        Buffers of the value and of its gradient, -1 for none.
    """

    shape: tuple
    ld: int
    every: int = 0
    forwards: int = 0
    is_sparse: bool = False
    producer: "Operation | None" = None
    readers: list = field(default_factory=list)
    y: int = -1
    dy: int = -1

    @property
    def steps(self):
        """Time steps or pixels, 1 for rows."""
        return math.prod(self.shape[:-1])

    @property
    def width(self):
        """Units or channels."""
        return self.shape[-1]


@dataclass(eq=False)
class Operation:
    """What one row of the program's table says, before anything has a place.

    Attributes
    ----------
    kind : str
        See `operations.KINDS`.
    inputs : list of Value
        One or two.
    output : Value or None
    function : str or None
        Name of the activation, the cell or the loss.
    details : dict
        Fields of the kind's record: numbers, blocks (which stand for where they begin), or `Transposed`.
    layer : int
        Number of the layer that its parameters belong to.
    flops : int
        Floating-point operations for one sample on the way forward, those on padding counted.
    """

    kind: str
    inputs: list
    output: Value | None
    function: str | None
    details: dict
    layer: int
    flops: int

    @cached_property
    def traits(self):
        """What is known of its kind."""
        return KINDS[self.kind]

    @cached_property
    def blocks(self):
        """Its parameters."""
        return [detail for detail in self.details.values() if isinstance(detail, Block)]


@dataclass(frozen=True)
class Transposed:
    """Transposed weights, with rows of length `ld`; needed only where the gradient by `value` is, if one is named.

    Of weights in groups each group stands by itself, with `rows` rows.
    """

    block: Block
    ld: int
    value: Value | None = None
    rows: int = 0


@dataclass
class Built:
    """A layer, and what became of it: for summaries."""

    layer: Layer
    depth: int
    shape: tuple = ()
    n_parameters: int = 0
    n_products: int = 0


class Builder:
    """Collects what layers compute.

    Parameters
    ----------
    shape : tuple of int
        Of one sample: (n_features,), or (n_timesteps, n_features).
    dtype : numpy dtype
    sparse : bool
        Whether the input is a CSR matrix.
    training : bool
        Whether the way back will be needed. Without it layers leave out what only training has.
    input_gradient : bool
        Whether the way back goes as far as the input: it must then be read as it is.
    """

    def __init__(self, shape, dtype, sparse=False, training=True, input_gradient=False):
        self.dtype, self.training = np.dtype(dtype), training
        self.augments = training and not input_gradient
        self.operations, self.blocks, self.built = [], [], []
        self.penalties = []
        self.n_params = self.n_work = self.n_statistics = self.n_layers = self.n_mappings = 0
        self._within = []
        self._streams = {}
        is_sequence = len(shape) == 2
        self.input = Value(shape, self.padded(shape[-1]), every=int(is_sequence), forwards=shape[-1], is_sparse=sparse)
        if not sparse:
            kind = "sequence_input" if is_sequence else "input"
            details = {"scaling": -1} if is_sequence else {}
            self.input.producer = Operation(kind, [], self.input, None, details, -1, 0)
            self.operations.append(self.input.producer)

    # -- shapes ------------------------------------------------------------------------------------------------------

    def rows(self, x):
        """Shape of a value that must be rows: (units,)."""
        if len(x.shape) != 1:
            raise self.error(f"needs rows, got {_words(x)}: put GlobalPool or Flatten before it.")
        return x.shape

    def sequences(self, x):
        """Shape of a value that must be sequences: (steps, channels)."""
        if len(x.shape) != 2:
            hint = ": Reshape makes sequences of them" if len(x.shape) == 3 else ""
            raise self.error(f"needs sequences, got {_words(x)}{hint}.")
        return x.shape

    def images(self, x):
        """Shape of a value that must be images: (height, width, channels)."""
        if len(x.shape) != 3:
            raise self.error(f"needs images, got {_words(x)}: Reshape makes images of them.")
        return x.shape

    def dense(self, x):
        """Raise if a value is the rows of a sparse matrix."""
        if x.is_sparse:
            raise self.error("needs dense rows, got those of a sparse matrix.")

    def padded(self, width):
        """Padded width of a row."""
        return padded(width, self.dtype)

    def error(self, words):
        """An error that says which layer it is about."""
        return ValueError(f"{name_of(self._within[-1].layer)} {words}" if self._within else words)

    @property
    def is_outermost(self):
        """Whether the layer that is being built stands in no other: what it reads, no later one can."""
        return len(self._within) == 1

    # -- what layers are made of -------------------------------------------------------------------------------------

    def stack(self, layers, x):
        """Build layers one after the other.

        Parameters
        ----------
        layers : sequence of Layer
        x : Value

        Returns
        -------
        Value
            The output of the last one.
        """
        for layer in layers:
            x = self._build(normalized(layer), x)
        return x

    def _build(self, layer, x):
        built = Built(layer, len(self._within))
        self.built.append(built)
        self._within.append(built)
        y = layer.build(self, x)
        self._within.pop()
        if not isinstance(y, Value):
            raise TypeError(f"{name_of(layer)}.build must return the value that the layer makes, got {y!r}.")
        built.shape = y.shape
        return y

    def new_layer(self):
        """Begin a layer with parameters of its own: those that follow belong to it."""
        self.n_layers += 1

    def new_stream(self):
        """Number of a stream of random numbers that no other operation has."""
        count = self._streams.get(self.n_layers, 0)
        self._streams[self.n_layers] = count + 1
        return self.n_layers + count * FURTHER

    def new_mapping(self):
        """Number of one more mapping of parameters (an item of ``norms_``)."""
        self.n_mappings += 1
        return self.n_mappings - 1

    def parameter(self, name, shape, *, size=None, strides=None, start=None, **facts):
        """Reserve parameters.

        Parameters
        ----------
        name : str
            Fitted attribute that shows them.
        shape : tuple of int
            Of what users see.
        size, strides : int, tuple of int
            Numbers in memory, and strides in numbers; by default rows that are padded.
        start : int, default=None
            Where they stand, if their place has been reserved already.
        **facts
            See `parameters.Block`.

        Returns
        -------
        Block
        """
        ld = self.padded(shape[-1])
        if strides is None:
            strides = (ld, 1)[-len(shape) :]
        if size is None:
            size = ld * (shape[0] if len(shape) == 2 else 1)
        if start is None:
            start = self.n_params
            self.n_params += size
        block = Block(name, self.n_layers - 1, start, tuple(shape), tuple(strides), size, **facts)
        self.blocks.append(block)
        if block.learnt and self._within:
            self._within[-1].n_parameters += block.n_parameters
        return block

    def room(self, ld, steps=1):
        """Reserve numbers for every sample of a batch, `ld` a step: a buffer of the operation's own."""
        self.n_work += ld * steps
        return self.n_work - ld * steps

    def statistics(self, count):
        """Reserve numbers for a batch as a whole."""
        self.n_statistics += count
        return self.n_statistics - count

    def add(self, kind, *inputs, shape, function=None, products=0, flops=0, every=None, forwards=None, **details):
        """Append an operation.

        Parameters
        ----------
        kind : str
        *inputs : Value
            One or two.
        shape : tuple of int
            Of its output.
        function : str, default=None
            Activation or cell.
        products, flops : int
            Multiplications for one sample on the way forward, and floating-point operations with those on padding.
        every, forwards : int
            Of the output (see `Value`), by default as the first input has it.
        **details
            Fields of the kind's record.

        Returns
        -------
        Value
        """
        first = inputs[0]
        output = Value(
            shape=tuple(shape),
            ld=self.padded(shape[-1]),
            every=first.every if every is None else every,
            forwards=shape[-1] if forwards is None else forwards,
        )
        operation = Operation(kind, list(inputs), output, function, details, self.n_layers - 1, flops)
        output.producer = operation
        for position, value in enumerate(inputs):
            value.readers.append((operation, position))
        self.operations.append(operation)
        if self._within:
            self._within[-1].n_products += products
        return output

    def penalty(self, kind, x, **details):
        """Add to the loss of every row something that depends on a value: on no parameter, and nothing reads it.

        Parameters
        ----------
        kind : str
            Of operations that add to the loss.
        x : Value
        **details
            Fields of the kind's record.
        """
        self.dense(x)
        self.penalties.append(Operation(kind, [x], None, None, details, self.n_layers - 1, 0))

    def finish(self, outputs, loss):
        """Append what a network ends in: the loss, and behind it what adds to it."""
        for operation in (Operation("loss", [outputs], None, loss, {}, -1, 0), *self.penalties):
            operation.inputs[0].readers.append((operation, 0))
            self.operations.append(operation)

    # -- operations of no layer --------------------------------------------------------------------------------------

    def sum(self, a, b):
        """The sum of two values of one shape."""
        self.dense(a)
        if a.shape != b.shape:
            raise self.error(f"adds values of one shape, got {a.shape} and {b.shape}.")
        return self.add("sum", a, b, shape=a.shape, forwards=min(a.forwards, b.forwards))

    def concatenate(self, a, b, forwards=None):
        """Two values side by side: the channels of the second after those of the first."""
        self.dense(a)
        if a.shape[:-1] != b.shape[:-1]:
            raise self.error(f"puts values of as many steps side by side, got {a.shape} and {b.shape}.")
        shape = (*a.shape[:-1], a.width + b.width)
        return self.add("concatenate", a, b, shape=shape, forwards=forwards, ld_first=a.ld, ld_second=b.ld)


def _words(value):
    """What a value is, and its shape."""
    kind = {1: "rows", 2: "sequences", 3: "images"}[len(value.shape)]
    return f"{kind} of shape {value.shape}"
