"""A network as data: a table of operations, and one flat vector of parameters.

`lower` turns a list of layers into a `Program`. Nothing here computes: a backend binds the kinds of operation to its
kernels and walks the table.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from skneural.network.builder import Builder, Operation
from skneural.network.plan import Plan


class Source(NamedTuple):
    """What a program was lowered from: see `lower`."""

    layers: tuple
    n_features: int
    dtype: type
    loss: str
    settings: tuple
    n_timesteps: int


@dataclass
class Program:
    """The table of operations of a network, and the sizes of what it runs on. Nobody changes it: many may share it.

    Attributes
    ----------
    ops : ndarray of `operations.OP`
    operations : list of Operation
        What the rows of the table are, in words.
    blocks : list of Block
        The parameters.
    built : list of Built
        The layers, those within others after them, and what became of them.
    dtype : numpy dtype
    n_params, n_transposed : int
        Lengths of the flat vector of parameters and of the transposed weights beside it.
    transposed : list of (Block, int, int, int)
        Weights, where they stand transposed, the length of a row there, and how many there are (of every tap).
    n_work : int
        Numbers of buffer space that one row of a batch needs.
    n_statistics : int
        Numbers that batch normalisation keeps of a batch.
    n_layers : int
        Number of layers with parameters.
    n_outputs : int
    training : bool
        Whether it has room for what the way back needs.
    sparse : bool
        Whether it reads rows of a sparse matrix.
    input_gradient : bool
        Whether it computes the gradient by the input.
    source : Source
    prepared : set of str
        Solvers that a backend has got everything ready for: the next fit need not look.
    """

    ops: np.ndarray
    operations: list[Operation]
    blocks: list
    built: list
    dtype: np.dtype
    n_params: int
    n_transposed: int
    transposed: list
    n_work: int
    n_statistics: int
    n_layers: int
    n_outputs: int
    training: bool
    sparse: bool
    input_gradient: bool
    source: Source
    prepared: set = field(default_factory=set, compare=False)

    @property
    def loss(self):
        """Name of the loss."""
        return self.source.loss

    @property
    def settings(self):
        """Constants of the loss."""
        return self.source.settings

    @property
    def n_timesteps(self):
        """Length of the sequences that the network reads, 0 if it reads rows."""
        return self.source.n_timesteps

    @cached_property
    def outputs(self):
        """The value that the loss reads."""
        return next(operation.inputs[0] for operation in self.operations if operation.kind == "loss")

    @cached_property
    def has_steps(self):
        """Whether sequences flow through it."""
        return bool(self.ops["steps"].max() > 1 or self.n_timesteps)

    @cached_property
    def has_windows(self):
        """Whether there are convolutions in it."""
        return any(operation.kind.startswith("convolution") for operation in self.operations)

    @property
    def standardizes(self):
        """Whether it scales its input by what the first entry of `norm_views` has."""
        return self.operations[0].details.get("scaling", -1) != -1

    @property
    def needs_batches(self):
        """Kinds of operations that are for minibatches: they draw numbers, look at the batch, or count epochs."""
        return [operation.kind for operation in self.operations if _needs_batches(operation.details)]

    @cached_property
    def flops(self):
        """Floating-point operations of one sample on the way forward, those on padding counted."""
        return sum(operation.flops for operation in self.operations)

    @cached_property
    def matrices(self):
        """Blocks of weights that products read; those that rows of a sparse matrix are multiplied by are not."""
        blocks = []
        for operation in self.operations:
            if not any(value.is_sparse for value in operation.inputs if value is not None):
                blocks += [block for block in operation.blocks if block.penalised]
        return [block for block in blocks if block.size == block.n_rows * block.ld and block.ld > 1]

    def variant(self, *, sparse=False, training=True, n_timesteps=None, input_gradient=False):
        """The same network for other input, or another use; the parameters stand at the same places.

        Raises
        ------
        ValueError
            If it has other parameters for sequences of that length.
        """
        layers, n_features, dtype, loss, settings, before = self.source
        variant = lower(
            layers,
            n_features,
            dtype=dtype,
            loss=loss,
            settings=settings,
            sparse=sparse,
            training=training,
            n_timesteps=before if n_timesteps is None else n_timesteps,
            input_gradient=input_gradient,
        )
        if not variant.same_parameters(self):
            raise ValueError(f"This network reads sequences of {before} time steps, not of {n_timesteps}.")
        return variant

    # -- parameters --------------------------------------------------------------------------------------------------

    def same_parameters(self, other):
        """Whether the vectors of parameters of two programs are laid out alike."""
        return (self.blocks, self.dtype) == (other.blocks, other.dtype)

    @property
    def shapes(self):
        """What parameters there are, whatever their type and place."""
        return [(block.name, block.part, block.shape) for block in self.blocks]

    def named(self, name):
        """Blocks of one fitted attribute."""
        return [block for block in self.blocks if block.name == name]

    def views(self, params):
        """Fitted attributes that are lists of views of `params`, by name; the mappings stand in `norm_views`."""
        views = {"coefs_": [], "intercepts_": []}
        for block in self.blocks:
            if block.part is None:
                views.setdefault(block.name, []).append(block.view(params))
        return views

    def coefs(self, params):
        """Weights of every layer, as views of `params`."""
        return [block.view(params) for block in self.named("coefs_")]

    def intercepts(self, params):
        """Biases of every layer, as views of `params`."""
        return [block.view(params) for block in self.named("intercepts_")]

    def norm_views(self, params):
        """What normalisations and scalings have beside weights and biases, by name, as views of `params`."""
        norms = {}
        for block in self.blocks:
            if block.part is not None:
                norms.setdefault(block.item, {})[block.part] = block.view(params)
        return [MappingProxyType(views) for views in norms.values()]

    @cached_property
    def _learnt(self):
        """Blocks that are learnt, those that are penalised first, each kind in order of the attributes' names."""
        names = list(dict.fromkeys(block.name for block in self.blocks if block.part is None))
        learnt = [block for block in self.blocks if block.learnt]

        def rank(block):
            return not block.penalised, names.index(block.name) if block.part is None else len(names)

        return sorted(learnt, key=rank)

    @property
    def n_weights(self):
        """Number of parameters that are penalised."""
        return sum(block.n_parameters for block in self._learnt if block.penalised)

    def learnt_index(self):
        """Positions of what is learnt in the flat vector: all weights first."""
        positions = np.arange(self.n_params)
        return np.concatenate([block.view(positions).ravel() for block in self._learnt])


def lower(
    layers,
    n_features,
    *,
    dtype,
    loss,
    settings=(),
    sparse=False,
    n_timesteps=0,
    training=True,
    input_gradient=False,
):
    """Lower layers to a program that ends in a loss.

    Parameters
    ----------
    layers : sequence of Layer
        The last one makes the outputs.
    n_features : int
    dtype : numpy dtype
    loss : str
    settings : sequence of float
        Its constants.
    sparse : bool, default=False
        Whether the input is a CSR matrix.
    n_timesteps : int, default=0
        Length of the sequences, padding included; 0 for rows.
    training : bool, default=True
        Whether there is room for what the way back needs. Without it less memory is needed, for prediction alone.
    input_gradient : bool, default=False
        Whether the way back goes as far as the input.

    Raises
    ------
    ValueError
        If a layer stands where it cannot, none learns anything, or there is no gradient by such input.
    """
    facts = (
        tuple(layers),
        n_features,
        dtype,
        loss,
        tuple(settings),
        sparse,
        n_timesteps,
        training,
        input_gradient,
    )
    if not all(_is_value(layer) for layer in facts[0]):
        return _lower.__wrapped__("", *facts)
    return _lower(repr(facts), *facts)


def _needs_batches(details):
    draws = "stream" in details and details.get("limit", details.get("deviation", 1)) != 0
    return draws or "statistics" in details or details.get("warmup", 0) > 0


_PLAIN = (int, float, str, type(None))


def _is_value(layer):
    """Whether a layer is what its settings are: those cannot change, and equal ones make equal layers."""
    declared = getattr(type(layer), "__dataclass_params__", None)
    if declared is None or not (declared.frozen and declared.eq):
        return False
    for value in vars(layer).values():
        inner = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(v, _PLAIN) or _is_value(v) for v in inner):
            return False
    return True


@lru_cache(maxsize=64)
def _lower(shown, layers, n_features, dtype, loss, settings, sparse, n_timesteps, training, input_gradient):
    """See `lower`. A search fits one network again and again, and predicts: small fits notice how long this takes.

    What the arguments look like is one of them: 1, 1.0 and True are equal.
    """
    if not layers:
        raise ValueError("A network needs at least one layer.")
    shape = (n_timesteps, n_features) if n_timesteps else (n_features,)
    builder = Builder(shape, dtype, sparse, training, input_gradient)
    outputs = builder.stack(layers, builder.input)
    if len(outputs.shape) != 1:
        kind = "sequences" if len(outputs.shape) == 2 else "images"
        raise ValueError(f"The last layer must return rows, got {kind} of shape {outputs.shape}.")
    builder.finish(outputs, loss)
    if not any(block.learnt for block in builder.blocks):
        raise ValueError("A network needs at least one layer that learns.")
    if sparse and input_gradient:
        raise ValueError("There is no gradient by the rows of a sparse matrix.")
    plan = Plan(builder, input_gradient)
    if outputs.is_sparse or plan.waits(outputs) or len(outputs.readers) > 1:
        raise ValueError("The last layer must be Dense, without an activation: that belongs to the loss.")
    ops = plan.table()
    return Program(
        ops=ops,
        operations=plan.operations,
        blocks=builder.blocks,
        built=builder.built,
        dtype=builder.dtype,
        n_params=builder.n_params,
        n_transposed=plan.n_transposed,
        transposed=plan.transposed,
        n_work=builder.n_work,
        n_statistics=builder.n_statistics,
        n_layers=builder.n_layers,
        n_outputs=outputs.width,
        training=training,
        sparse=sparse,
        input_gradient=input_gradient,
        source=Source(layers, n_features, dtype, loss, settings, n_timesteps),
    )
