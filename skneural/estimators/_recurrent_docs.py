"""Sections of the docstrings that recurrent estimators share, beside those of `_docs`."""

import functools

from skneural.estimators._docs import (
    ATTRIBUTES,
    CLASS_LOSSES,
    REAL_LOSS_OPTIONS,
    REAL_LOSSES,
    REAL_METRIC,
    fill,
    paragraphs,
    training,
)
from skneural.estimators._settings import ROWS_ONLY
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.cells import weighted_gates
from skneural.network.initializers import INITIALIZERS

INPUT = """
`X` has shape (n_samples, n_timesteps, n_features), or (n_samples, n_timesteps) for sequences of one feature. Sequences
of different length are a list of arrays of shape (n_timesteps, n_features), or end in time steps in which all features
are NaN: such padding is not read, and changes no bit of a result. Windows that overlap in memory, of a memory-mapped
series for instance, are read where they are (see :func:`skneural.timeseries.make_windows`); with `early_stopping`,
which divides `X`, they are copied, with `X_val` not.

Lists of lists and of frames, columns whose cells are arrays or lists (of pandas, polars and pyarrow) and nested tables
with a column for each feature are read as a list of arrays is. A table of numbers is 2-D: a row is a sequence. After a
fit on three axes (or on a list of 2-D arrays) 2-D `X` is refused: one sequence is ``X[None]``.
"""

PARAMETERS = """
hidden_layer_sizes : int or array-like of shape (n_recurrent_layers,), default=(50,)
    Number of units of each recurrent layer; each reads the states of the one before.

head_layer_sizes : int or array-like of shape (n_head_layers,), default=()
    Number of units of dense layers between the recurrent ones and the outputs.

head_activation : {activations}, default='relu'
    Activation of these dense layers. See :class:`MLPClassifier`.

bidirectional : bool, default=False
    Whether each recurrent layer has a second one beside it that reads the sequence from its end (Schuster and Paliwal,
    1997).

pooling : {{'last', 'mean', 'max'}}, default='last'
    What follows the last recurrent layer for each sequence: its state after the last step (of a second direction: after
    the first step, where that ends), or the mean or the maximum of the states over all steps.

dropout : float or array-like of shape (n_recurrent_layers + n_head_layers,), default=0.0
    Rate of dropout after each recurrent layer (after the last one: of what pooling returns) and each dense layer, one
    for all or one each, in [0, 1). The units that stay are scaled up in training; prediction uses them all. Not with
    'lbfgs'.

recurrent_dropout : float, default=0.0
    Rate of dropout on the states that a time step hands on to the next, in [0, 1): the same units are dropped in all
    steps of a sequence (Gal and Ghahramani, 2016). Not with 'lbfgs'.

tbptt_steps : int or None, default=None
    How many time steps gradients go back at most: sequences are cut into parts of that length, counted from their end,
    and no gradient passes a cut (truncated backpropagation through time; Williams and Peng, 1990). None: all.

input_format : {{'channels_last', 'channels_first'}}, default='channels_last'
    'channels_first' reads 3-D `X` as (n_samples, n_features, n_timesteps), as aeon and sktime lay it out.

standardize : bool, default=True
    Whether to scale each feature to mean 0 and deviation 1 over the training data, and, in regression with a loss of
    identity link, y too; predictions are in the units of y. Weighted by `sample_weight`. It is learnt by the first fit,
    or the first call of :meth:`partial_fit`. Losses in `loss_curve_` and elsewhere are those of the scaled y, and
    `huber_delta` is in its units.
"""

WEIGHTS = """
weight_init : {initializers} or callable, default='auto'
    Initial weights of inputs, gate by gate as those of a layer, and of dense layers: see :class:`MLPClassifier` for the
    rules. 'auto' is glorot_uniform for recurrent layers. The weights of the states are orthogonal and biases 0, those
    of forget gates 1, whatever this is. A callable ``weight_init(n_in, n_out, rng)`` gets a
    :class:`numpy.random.Generator` and returns an array of shape (n_in, n_out); it is called for every gate.

input_noise : float, default=0.0
    Standard deviation of Gaussian noise that is added to the inputs in training, in units of the scaled features with
    `standardize`. Not with 'lbfgs'.
"""

HUBER = """
huber_delta : float, default=1.0
    Error at which the Huber loss becomes linear, in units of the scaled y with `standardize`, else of y.
"""

CLIPPING = """
clip_norm : float or None, default=1.0
    Scale the gradient of the loss down to this norm (over all weights and biases) where it is larger, as recurrent
    networks need it (Pascanu et al., 2013). Not used by 'lbfgs'.
"""

RECURRENT_ATTRIBUTES = """
coefs_ : list of ndarray
    The weights of each layer's input: of a recurrent layer of shape (n_in, n_gates, units), of a dense one of shape
    (n_in, n_out). Gates: {gates}. With `bidirectional` the direction backwards in time follows the one forwards.

recurrent_coefs_ : list of ndarray
    The weights of the state before, for each recurrent layer (and direction), of shape (units, n_gates, units).
    Gates: {recurrent_gates}.

intercepts_ : list of ndarray
    The biases of each layer, of shape ({n_biases}, units) or (n_out,){bias_gates}.
    All arrays are views of one vector.

norms_ : list of mappings
    With `standardize` one, of the input: the arrays ``mean`` and ``deviation``, each of shape (n_features,).

n_features_in_ : int
    Number of features seen in :meth:`fit`; of columns, for 2-D `X`.

n_timesteps_in_ : int
    Length of the longest sequence seen in the first :meth:`fit` or :meth:`partial_fit`. Others can be predicted; 2-D
    `X` must have the same columns as there.

n_layers_ : int
    Number of layers, those of inputs and outputs counted, each direction of a recurrent one by itself.
"""

REFERENCES = """
Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks": initial weights
of inputs. Saxe et al. (2014), "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks":
orthogonal ones of states.

Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks", ICML.
"""


def _memory(cell):
    numbers = len(cell.gates) + (3 if cell.memory else 2)
    return (
        f"Training keeps all time steps of a batch: about ``batch_size * n_timesteps * {numbers} * sum(units)``\n"
        "numbers, twice that with `bidirectional`, beside the data; larger batches than fit 64 MB are run in pieces.\n"
        "With `tbptt_steps`, too: that shortens the way of gradients, not what is kept. Sequences of different length\n"
        "become one array as long as the longest."
    )


def describe_recurrent(cell, task):
    """Class decorator: fill everything that recurrent estimators share into the docstring.

    Parameters
    ----------
    cell : Entry
        Of the registry of cells.
    task : {'classification', 'regression'}
    """
    real = task == "regression"
    options = f"{HUBER.strip()}\n\n{paragraphs(REAL_LOSS_OPTIONS, leave_out=('huber_delta',))}"
    losses = f"{REAL_LOSSES.strip()}\n\n{options}" if real else CLASS_LOSSES
    others = ("dropout", "weight_init", "input_noise", "clip_norm")
    own = paragraphs(training(REAL_METRIC if real else "accuracy"), leave_out=(*ROWS_ONLY, *others))
    weights = WEIGHTS.strip().format(initializers=", ".join(map(repr, INITIALIZERS)))
    count, gates = weighted_gates(cell), cell.gates
    more, activations = len(gates) > count, f"{{{', '.join(map(repr, ACTIVATIONS))}}}"
    attributes = RECURRENT_ATTRIBUTES.format(
        gates=", ".join(gates[:count]), recurrent_gates=", ".join(gates[-count:]),
        n_biases="n_biases" if more else "n_gates", bias_gates=f"; biases: {', '.join(gates)}" if more else "",
    )  # fmt: skip
    replaced = ("coefs_", "intercepts_", "norms_", "n_features_in_", "n_layers_")
    sections = {
        "input": f"{INPUT.strip()}\n\n{_memory(cell)}",
        "parameters": f"{PARAMETERS.format(activations=activations)}\n{own}\n{weights}\n{CLIPPING}",
        "losses": losses,
        "attributes": f"{paragraphs(ATTRIBUTES, leave_out=replaced)}\n{attributes}",
        "references": REFERENCES,
    }
    return functools.partial(fill, sections=sections)
