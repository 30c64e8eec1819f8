"""The layers of autoencoders: as parameters describe them, and as X of one shape needs them."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from skneural.estimators._layers import check_layers
from skneural.estimators._settings import stacks_with_dropout
from skneural.layers import Conv1D, Conv2D, Dense, Dropout, Flatten, Noise, Reshape
from skneural.network.builder import Builder


@dataclass(frozen=True)
class Halves:
    """The layers of an autoencoder for samples of one shape.

    Attributes
    ----------
    encoder, decoder : list of Layer
    n_codes : int
        Numbers in a code.
    keeps_ends : bool
        Whether what comes out ends where a sequence ends.
    """

    encoder: list
    decoder: list
    n_codes: int
    keeps_ends: bool


def described(est):
    """The layers of encoder and decoder that parameters describe, but for what the shape of X decides.

    Returns
    -------
    (list of Layer, list of Layer)

    Raises
    ------
    InvalidParameterError, ValueError
        If they describe none.
    """
    if (est.encoder is None) != (est.decoder is None):
        raise ValueError("encoder and decoder must be given together: neither says what the other is.")
    if est.encoder is None:
        stacks = [[Dense(units, est.activation, est.normalization)] for units in est._hidden_sizes()]
        stacks = stacks_with_dropout(est, stacks, "hidden layer of the encoder")
        return [*itertools.chain(*stacks), *est._code_layers()], list(itertools.chain(*stacks[::-1]))
    for name in ("encoder", "decoder"):
        if not isinstance(getattr(est, name), list | tuple):
            raise InvalidParameterError(f"{name} of {type(est).__name__} must be a list of layers.")
        check_layers(est, name)
    if not est.encoder:
        raise ValueError("encoder must hold at least one layer, got none.")
    return [*est.encoder, *est._code_layers()], list(est.decoder)


def corruption(est):
    """Layers that spoil inputs in training."""
    layers = []
    if est.input_noise:
        layers.append(Noise(float(est.input_noise)))
    if est.input_dropout:
        layers.append(Dropout(float(est.input_dropout)))
    return layers


def halves_for(est, shape, image_shape=None):
    """The layers of an autoencoder for samples of one shape.

    Parameters
    ----------
    est : estimator
    shape : tuple of int
        Of one sample as the network reads it: (n_features,), or (steps, channels).
    image_shape : (int, int, int), default=None
        Height, width and number of channels, if steps are pixels.

    Returns
    -------
    Halves

    Raises
    ------
    ValueError
        If layers cannot read such samples, or what the decoder returns is not like them.
    """
    encoder, decoder = described(est)
    if est.encoder is None and len(shape) > 1:
        encoder = [Flatten(), *encoder]
    if image_shape is not None:
        encoder = [Reshape(image_shape), *corruption(est), *encoder]
    else:
        encoder = [*corruption(est), *encoder]
    builder = Builder(shape, np.float64, training=False)
    code = builder.stack(encoder, builder.input)
    if not any(block.learnt for block in builder.blocks):
        raise ValueError("encoder must hold at least one layer that learns.")
    wanted = image_shape or shape
    n_blocks = len(builder.blocks)
    outputs = builder.stack(decoder, code)
    learns = any(block.learnt for block in builder.blocks[n_blocks:])
    decoder += _ending(outputs, wanted, learns)
    return Halves(encoder, decoder, math.prod(code.shape), outputs.every > 0)


def _ending(outputs, wanted, learns):
    """Layers that bring what a decoder returns to the shape of X, as rows.

    Parameters
    ----------
    outputs : Value
        What it returns.
    wanted : tuple of int
        Shape of a sample of X.
    learns : bool
        Whether a layer of it learns. If none does, one is added: it is a network of its own.

    Raises
    ------
    ValueError
        If none do.
    """
    size = math.prod(wanted)
    is_size = math.prod(outputs.shape) == size
    if learns and is_size and outputs.shape[-1] in (size, wanted[-1]) and _is_linear(outputs):
        return [] if len(outputs.shape) == 1 else [Flatten()]
    if len(outputs.shape) == 1:
        return [Dense(size)]
    if outputs.shape[:-1] == wanted[:-1]:
        convolution = Conv1D if len(wanted) == 2 else Conv2D
        return [convolution(wanted[-1], 1), Flatten()]
    raise ValueError(
        f"decoder returns values of shape {outputs.shape}, but a sample of X has the shape {tuple(wanted)}: it must "
        "return rows, which a dense layer brings to that size, or as many steps or pixels as X has."
    )


def _is_linear(outputs):
    """Whether a value ends in no activation."""
    operation = outputs.producer
    while operation.kind == "reshape":
        operation = operation.inputs[0].producer
    return operation.function is None and operation.kind != "activation"
