"""What the docstrings of recurrent networks have in common."""

from skneural._declare import attributes_of
from skneural.maths.cells import CELLS, weighted_gates

DESCRIPTION = """\
{input}

{memory}

Parameters
----------
{parameters}

Attributes
----------
{attributes}

See Also
--------
{name}{other_task} : The same for {other_targets}.
{other_names} : Other cells."""

INPUT = """\
`X` has shape (n_samples, n_timesteps, n_features), or (n_samples, n_timesteps) for sequences of one feature. Sequences
of different length are a list of arrays of shape (n_timesteps, n_features), or end in time steps in which all features
are NaN: such padding is not read, and changes no bit of a result. Windows that overlap in memory, of a memory-mapped
series for instance, are read where they are (see :func:`skneural.timeseries.make_windows`); with `early_stopping`,
which divides `X`, they are copied, with `X_val` not.

Lists of lists and of frames, columns whose cells are arrays or lists (of pandas, polars and pyarrow) and nested tables
with a column for each feature are read as a list of arrays is. A table of numbers is 2-D: a row is a sequence. After a
fit on three axes (or on a list of 2-D arrays) 2-D `X` is refused: one sequence is ``X[None]``."""

MEMORY = """\
Training keeps all time steps of a batch: about ``batch_size * n_timesteps * {numbers} * sum(units)`` numbers, twice
that with `bidirectional`, beside the data; larger batches than fit 64 MB are run in pieces. With `tbptt_steps`, too:
that shortens the way of gradients, not what is kept. Sequences of different length become one array as long as the
longest."""

REFERENCES = """\
Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks": initial weights
of inputs. Saxe et al. (2014), "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks":
orthogonal ones of states.

Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks", ICML."""

#: How the names of the classes of each cell begin.
NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}


def sections_of(cls):
    """The marks in the docstring of a recurrent network, and what stands for them.

    Parameters
    ----------
    cls : type
        With the name of its cell as ``_cell``, and an ``_example`` for any of them.

    Returns
    -------
    dict of str
    """
    sections = {
        "description": DESCRIPTION,
        "input": INPUT,
        "memory": MEMORY,
        "attributes": "\n\n".join(attributes_of(cls).values()),
        "references": REFERENCES,
        "examples": cls._example,
    }
    return sections | _words_of_cell(CELLS[cls._cell]) | _names(cls)


def _words_of_cell(cell):
    """What is said of the gates of a cell, and of the numbers that it keeps."""
    count = weighted_gates(cell)
    more_biases = len(cell.gates) > count
    kept = len(cell.gates) + (3 if cell.memory else 2)
    return {
        "gates": ", ".join(cell.gates[:count]),
        "recurrent_gates": ", ".join(cell.gates[-count:]),
        "n_biases": "n_biases" if more_biases else "n_gates",
        "bias_gates": f"; biases: {', '.join(cell.gates)}" if more_biases else "",
        "numbers": str(kept),
    }


def _names(cls):
    """Names of a class and of its relatives, for cross-references and examples."""
    task, other_task, other_targets = "Classifier", "Regressor", "real targets"
    if cls._numeric_targets:
        task, other_task, other_targets = "Regressor", "Classifier", "class labels"
    others = [f"{name}{task}" for cell, name in NAMES.items() if cell != cls._cell]
    return {
        "name": NAMES[cls._cell],
        "other_task": other_task,
        "other_targets": other_targets,
        "other_names": ", ".join(others),
    }
