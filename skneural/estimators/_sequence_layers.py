"""The layers of convolutional networks for sequences."""

from dataclasses import replace

from skneural.estimators._settings import on_inputs, one_each, sizes_of, with_dropout
from skneural.layers import Activation, BatchNorm, Conv1D, Dense, GlobalPool, LayerNorm, Residual

#: What stands on a shortcut that has no convolution.
NORMALIZATIONS = {None: (), "batch": (BatchNorm(),), "layer": (LayerNorm(),)}


def fcn_layers(est):
    """The layers of a fully convolutional network before the last one."""
    filters = sizes_of(est, "filters")
    if not filters:
        raise ValueError("filters must name at least one convolution, got none.")
    one_each(est, "kernel_sizes", "size", len(filters), "convolution")  # raises where there are more or fewer
    sizes = sizes_of(est, "kernel_sizes")
    if len(sizes) < len(filters):  # one for all
        sizes *= len(filters)
    stacks = [[_convolution(est, n, size)] for n, size in zip(filters, sizes, strict=True)]
    return _network(est, stacks, "convolution and hidden layer")


def resnet_layers(est):
    """The layers of a residual network before the last one, but for the first shortcut if no channels are added.

    See `with_first_shortcut`, which knows how many features there are.
    """
    filters = sizes_of(est, "filters")
    if not filters:
        raise ValueError("filters must name at least one block, got none.")
    sizes = sizes_of(est, "kernel_sizes")
    if not sizes:
        raise ValueError("kernel_sizes must name at least one convolution, got none.")
    stacks = []
    n_channels = None
    for n_filters in filters:
        stacks.append([_block(est, n_filters, sizes, n_channels), Activation(est.activation)])
        n_channels = n_filters
    return _network(est, stacks, "block and hidden layer")


def _convolution(est, n_filters, size):
    return Conv1D(
        n_filters,
        size,
        padding=est.padding,
        activation=est.activation,
        normalization=est.normalization,
    )


def _block(est, n_filters, sizes, n_channels):
    """Convolutions with a shortcut around them, for values of so many channels; the activation follows the sum."""
    layers = [_convolution(est, n_filters, size) for size in sizes]
    layers[-1] = replace(layers[-1], activation=None)
    return Residual(tuple(layers), _shortcut(est, n_filters, n_channels))


def _shortcut(est, n_filters, n_channels):
    """A convolution of single steps where the number of channels changes, and the normalisation."""
    if n_filters == n_channels:
        return NORMALIZATIONS[est.normalization]
    return (Conv1D(n_filters, 1, normalization=est.normalization),)


def with_first_shortcut(est, layers, n_features):
    """The layers that `resnet_layers` returned, for sequences of so many features."""
    complete = list(layers)
    first = next(i for i, layer in enumerate(complete) if isinstance(layer, Residual))
    block = complete[first]
    complete[first] = replace(block, shortcut=_shortcut(est, block.layers[-1].filters, n_features))
    return complete


def _network(est, stacks, place):
    """Stacks of convolutions with what is around them; `place` is what messages call a stack or a dense layer."""
    stacks[-1].append(GlobalPool(est.pooling))
    stacks += [[Dense(units, est.activation, est.normalization)] for units in sizes_of(est)]
    return on_inputs(est, with_dropout(est, stacks, place), est.standardize)
