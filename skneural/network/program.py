"""A network as data: a table of operations, and one flat vector of parameters.

`lower` turns a list of layers into a `Program`. Nothing here computes: a backend binds the kinds of operation to its
kernels and walks the table.

Every row of every matrix is padded to 64 bytes, so that no kernel needs a mask. The padding of weights is 0 and stays
0: padded outputs have a gradient of 0. Buffers are counted in numbers per row of the batch; a buffer of width `ld`
that starts at `x` holds row r at ``x * capacity + r * ld``, where `capacity` is the number of rows that the buffers
were made for. A buffer of sequences holds one such matrix for each time step, one after the other: row r of step t at
``x * capacity + (t * piece + r) * ld``, where `piece` is the number of rows at hand.
"""

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

#: One operation. Offsets of -1 mean that there is no such thing.
OP = np.dtype(
    [
        ("kind", "i8"),  # index into KINDS
        ("n_in", "i8"), ("n_out", "i8"),  # widths
        ("ld_in", "i8"), ("ld_out", "i8"),  # padded widths
        ("x", "i8"), ("y", "i8"),  # input and output buffers
        ("dx", "i8"), ("dy", "i8"),  # gradients by them; an activation leaves its slope in dy, its consumer multiplies
        # A shortcut's buffer, added to y on the way forward, or to dx on the way back; where directions of time are
        # joined: the states of the one backwards, whose gradient `carry` takes.
        ("skip", "i8"),
        ("weight", "i8"), ("bias", "i8"),  # offsets into the parameters; of a normalisation: the scale, and the rest
        ("transposed", "i8"),  # offset of the transposed weights
        ("statistics", "i8"),  # offset of what is known of the columns of the batch
        ("slot", "i8"), ("n_slots", "i8"), ("layer", "i8"),  # this operation's partial sums; number of the layer
        ("steps", "i8"), ("kept", "i8"),  # time steps; whether gates and states of all of them are kept (for training)
        # Of a recurrent layer: weights of the state before, and where they stand transposed; buffers of the gates, of
        # the memory cells, of the (masked) states before, and of what a step hands on to the next, or back.
        ("recurrent", "i8"), ("recurrent_transposed", "i8"),
        ("gates", "i8"), ("cells", "i8"), ("states", "i8"), ("carry", "i8"),
        ("ld_gates", "i8"), ("ld_weight", "i8"), ("pitch", "i8"),  # padded: all gates, weights, one gate
        ("reverse", "i8"), ("truncate", "i8"),  # whether time runs backwards; steps that gradients go back, 0 for all
        ("adds", "i8"),  # whether the gradient by x is added to what is there: another operation reads x, too
        ("stream", "i8"), ("rate", "f8"),  # random numbers: which stream (of pooling: columns of the direction
        # forwards); rate of dropout, deviation, epsilon
        ("limit", "i8"),  # random bits below it are dropped: the rate as a share of 2**32
        ("function", "i8"),  # address of the activation, loss or link
        # Addresses of the kernels; `gather` ones see all rows of the batch, between two meetings of the threads.
        ("gather", "i8"), ("forward", "i8"), ("gather_back", "i8"), ("backward", "i8"),
        ("update", "i8"), ("constrain", "i8"),
    ]
)  # fmt: skip

#: What the kernels of a run need: addresses of arrays and kernels, sizes, settings, and where the run stands. Every
#: thread has its own frame and moves it on by itself; what threads share stands behind the addresses.
FRAME = np.dtype(
    [
        ("rank", "i8"), ("crew", "i8"), ("board", "i8"),  # number of this thread, how many, where they meet
        ("ops", "i8"), ("n_ops", "i8"), ("product", "i8"), ("optimizer", "i8"),
        ("params", "i8"), ("n_params", "i8"), ("transposed", "i8"), ("state_s", "i8"), ("state_v", "i8"),
        ("gradient", "i8"),
        # the parameters at the beginning of this epoch, and of the best one, and which that was
        ("candidate", "i8"), ("good", "i8"), ("good_epoch", "i8"),
        ("work", "i8"), ("capacity", "i8"), ("scratch", "i8"), ("panel", "i8"),  # buffers, rows in them; tile, panel
        ("inputs", "i8"), ("ld_inputs", "i8"), ("indices", "i8"), ("indptr", "i8"),
        ("ld_steps", "i8"), ("ld_features", "i8"), ("lengths", "i8"),  # of sequences; no lengths: all are whole
        ("targets", "i8"), ("n_targets", "i8"), ("weights", "i8"), ("order", "i8"),
        ("outputs", "i8"), ("losses", "i8"), ("settings", "i8"), ("statistics", "i8"),
        # partial sums of the penalty and of the squared gradient; norms of the layers, epoch by epoch
        ("penalties", "i8"), ("squares", "i8"), ("n_slots", "i8"), ("layer_norms", "i8"), ("n_layers", "i8"),
        ("constants", "i8"), ("alpha", "f8"), ("l1_ratio", "f8"), ("averaging", "f8"),  # of the optimizer, a row a step
        ("clip_norm", "f8"), ("clip_value", "f8"), ("max_norm", "f8"),
        ("n_rows", "i8"), ("batch", "i8"), ("strip", "i8"), ("seed", "i8"), ("shuffle", "i8"), ("training", "i8"),
        ("deadline", "f8"), ("clock", "i8"), ("clock_fraction", "i8"),  # in seconds; room for a timespec
        # where the run stands
        ("phase", "i8"), ("start", "i8"), ("piece", "i8"), ("done", "i8"), ("now", "i8"),
        ("scale", "f8"), ("factor", "f8"),
        ("step", "i8"), ("batches", "i8"), ("epoch", "i8"), ("row", "i8"),  # `batches`: steps of earlier fits, too
        ("steps_left", "i8"), ("steps_done", "i8"), ("epochs_left", "i8"), ("epochs_done", "i8"),
        ("roles", "i8"), ("window", "i8"),  # on a GPU: what each parameter is; first row at hand, where not all are
        ("sum_loss", "f8"), ("epoch_losses", "i8"), ("order_keys", "i8"),
        ("best_loss", "f8"), ("tol", "f8"), ("no_improvement", "i8"), ("patience", "f8"),
    ]
)  # fmt: skip

#: What an update does: sum the gradient and apply it, store it (or add it to the one so far), or apply that.
FUSED, COLLECT, APPLY = range(3)

#: Numbers an update of one step reads: five constants of the optimizer, and the share of a weight that decays.
N_CONSTANTS = 6

KINDS = (
    "input", "noise", "dense", "sparse_dense", "batch_norm", "layer_norm", "dropout", "residual", "loss", "output",
    "sequence_input", "recurrent", "join", "sequence_dropout", "pool_last", "pool_mean", "pool_max",
)  # fmt: skip

#: Fields of `OP` that are -1 where there is no such thing.
OFFSETS = (
    "x", "y", "dx", "dy", "skip", "weight", "bias", "transposed", "statistics", "layer", "recurrent",
    "recurrent_transposed", "gates", "cells", "states", "carry",
)  # fmt: skip

ALIGNMENT = 64  # bytes


def padded(width, dtype):
    """Padded width of a row: a multiple of 64 bytes, and off large powers of two, which would share few cache sets."""
    unit = ALIGNMENT // np.dtype(dtype).itemsize
    width = -(-width // unit) * unit
    return width + unit if width >= 512 and width % 256 == 0 else width


def gate_pitch(units, n_gates, dtype):
    """Padded width of one gate: as fine as it can be while that of all gates with weights is a multiple of 64 bytes.

    Not below half of that, which would leave much of a row to code without vectors.
    """
    unit = ALIGNMENT // np.dtype(dtype).itemsize // (2 if n_gates % 2 == 0 else 1)
    return -(-units // unit) * unit


def aligned_zeros(count, dtype):
    """Zeros that begin on a cache line: vectors that straddle two of them cost twice."""
    itemsize = np.dtype(dtype).itemsize
    raw = np.zeros(count + ALIGNMENT // itemsize, dtype)
    skip = (-raw.__array_interface__["data"][0] % ALIGNMENT) // itemsize
    return raw[skip : skip + count]


@dataclass(frozen=True)
class Sequences:
    """Sequences as a backend reads them, with any strides.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_timesteps, n_features)
    lengths : ndarray of int64, shape (n_samples,), or None
        How many steps of each there are; the others are not read. None: all.
    """

    values: np.ndarray
    lengths: np.ndarray | None


@dataclass
class Program:
    """The table of operations of a network, and the sizes of what it runs on.

    Attributes
    ----------
    ops : ndarray of `OP`
    functions : list of str or None
        Name of the activation or loss of each operation.
    tensors : list of Tensor
    norms : list of Norm
    dtype : numpy dtype
    n_params, n_transposed : int
        Lengths of the flat vector of parameters and of the transposed weights beside it.
    n_work : int
        Numbers of buffer space that one row of a batch needs.
    n_statistics : int
        Numbers that batch normalisation keeps of a batch.
    n_outputs : int
    settings : tuple of float
        Constants of the loss.
    source : tuple
        What the program was lowered from.
    """

    ops: np.ndarray
    functions: list
    tensors: list
    norms: list
    dtype: np.dtype
    n_params: int
    n_transposed: int
    n_work: int
    n_statistics: int
    n_outputs: int
    settings: tuple
    source: tuple  # arguments of `lower`

    @property
    def n_norms(self):
        """Number of layers normalised by the batch, and by themselves."""
        running = sum(norm.running for norm in self.norms)
        return running, len(self.norms) - running

    def same_parameters(self, other):
        """Whether the vectors of parameters of two programs are laid out alike."""
        return (self.tensors, self.norms, self.dtype) == (other.tensors, other.norms, other.dtype)

    @property
    def n_timesteps(self):
        """Length of the sequences that the network reads, 0 if it reads rows."""
        return self.source[-1]

    @property
    def n_weights(self):
        """Number of weights, those of states included, without biases."""
        return sum(w.size for w in self.weights(np.arange(self.n_params)))

    def cell_of(self, layer):
        """Name of the cell of a recurrent layer."""
        return next(name for op, name in zip(self.ops, self.functions, strict=True) if op["layer"] == layer)

    def variant(self, *, sparse=False, training=True, n_timesteps=None):
        """The same network for other input; the parameters stand at the same places."""
        layers, n_features, dtype, loss, settings, before = self.source
        return lower(
            layers, n_features, dtype=dtype, loss=loss, settings=settings, sparse=sparse, training=training,
            n_timesteps=before if n_timesteps is None else n_timesteps,
        )  # fmt: skip

    def coefs(self, params):
        """Weights of every layer, as views of `params`."""
        return [t.coef(params) for t in self.tensors]

    def recurrent_coefs(self, params):
        """Weights of the state before of every recurrent layer, as views of `params`."""
        return [t.recurrent_coef(params) for t in self.tensors if t.recurrent >= 0]

    def weights(self, params):
        """All weights, as views of `params`: those of inputs, then those of states."""
        return self.coefs(params) + self.recurrent_coefs(params)

    def intercepts(self, params):
        """Biases of every layer, as views of `params`."""
        return [t.intercept(params) for t in self.tensors]

    def views(self, params):
        """What users see of `params`: fitted attributes by name."""
        views = {"coefs_": self.coefs(params), "intercepts_": self.intercepts(params)}
        if any(t.n_gates for t in self.tensors):
            views["recurrent_coefs_"] = self.recurrent_coefs(params)
        return views

    def norm_views(self, params):
        """What every normalised layer has beside weights and biases, by name, as views of `params`."""
        return [MappingProxyType({name: norm.view(params, name) for name in norm.names}) for norm in self.norms]

    def dense_index(self):
        """Positions of what is learnt: all weights, layer after layer, then all biases, then scales and shifts."""
        places = np.arange(self.n_params)
        learnt = self.weights(places) + self.intercepts(places)
        learnt += [norms[name] for norms in self.norm_views(places) for name in ("scale", "shift") if name in norms]
        return np.concatenate([p.ravel() for p in learnt])


class Builder:
    """Collects operations while layers lower themselves; knows the next free place of every kind of memory."""

    def __init__(self, n_features, dtype, sparse, n_timesteps=0, training=True):
        self.dtype, self.steps, self.training = np.dtype(dtype), n_timesteps, training
        self.rows, self.functions, self.tensors, self.norms = [], [], [], []
        self.n_params = self.n_transposed = self.n_work = self.n_statistics = 0
        self.width, self.ld = n_features, padded(n_features, dtype)
        self.sparse = sparse  # whether the next layer reads rows of a sparse matrix
        self.halves = 1  # 2 where the columns are of two directions of time
        self.y = self.dy = -1
        if not sparse:
            self.y = self.buffer(self.ld)
            self.add("sequence_input" if n_timesteps else "input", y=self.y, n_out=self.width, ld_out=self.ld)

    def buffer(self, ld, steps=None):
        """Reserve a buffer of width `ld` for rows, or for sequences: of as many steps as those at hand by default."""
        size = ld * ((self.steps or 1) if steps is None else steps)
        self.n_work += size
        return self.n_work - size

    def parameters(self, count):
        """Reserve `count` parameters (a multiple of the padding)."""
        self.n_params += count
        return self.n_params - count

    def add(self, kind, function=None, **fields):
        """Append an operation; its row, which may still be changed."""
        row = np.zeros((), OP)
        for name in OFFSETS:
            row[name] = -1
        row["kind"], row["steps"], row["kept"] = KINDS.index(kind), self.steps or 1, self.training
        for name, value in fields.items():
            row[name] = value
        row["limit"] = min(row["rate"], 1) * 2**32  # the deviation of noise, which has no limit, may be any number
        self.rows.append(row)
        self.functions.append(function)
        return row


def lower(layers, n_features, *, dtype, loss, settings=(), sparse=False, n_timesteps=0, training=True):
    """Lower layers to a program that ends in a loss.

    Parameters
    ----------
    layers : list
        Objects with methods ``check(first, last)`` and ``lower(builder)`` (see `network.layers`).
    n_features : int
        Width of the input.
    dtype : {numpy.float32, numpy.float64}
    loss : str
        Name of the loss.
    settings : sequence of float, default=()
        Its constants.
    sparse : bool, default=False
        Whether the input is a CSR matrix.
    n_timesteps : int, default=0
        Length of the sequences, padding included; 0 for rows.
    training : bool, default=True
        Whether recurrent layers keep what the way back needs. Without it they need less memory, and can only predict.

    Raises
    ------
    ValueError
        If a layer stands where it cannot.
    """
    if not layers:
        raise ValueError("A network needs at least one layer.")
    builder = Builder(n_features, dtype, sparse, n_timesteps, training)
    begun = len(builder.rows)
    for i, layer in enumerate(layers):
        layer.check(first=len(builder.rows) == begun, last=i == len(layers) - 1)
        layer.lower(builder)
    builder.add("loss", loss, n_in=builder.width, ld_in=builder.ld, x=builder.y, dx=builder.dy)
    b, settings = builder, tuple(settings)
    return Program(
        np.array(b.rows, OP), b.functions, b.tensors, b.norms, b.dtype, b.n_params, b.n_transposed, b.n_work,
        b.n_statistics, b.width, settings, (tuple(layers), n_features, dtype, loss, settings, n_timesteps),
    )  # fmt: skip
