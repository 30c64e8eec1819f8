"""Parts of a network as networks of their own, over their parts of its parameters."""

from skneural.layers import Flatten, Reshape
from skneural.network.program import lower


def outermost(program):
    """The layers of a network that stand in no other, as they were built, each with whether it or one before learns."""
    found = []
    learns = False
    for built in program.built:
        learns = learns or built.n_parameters > 0
        if built.depth == 0:
            found.append([built, learns])
        found[-1][1] = learns
    return found


def first_part(program, n_layers):
    """The network of the first layers of another one, whose parameters stand at the same places.

    What it returns is made rows of, and ends in no activation, as the outputs of a network must.

    Parameters
    ----------
    program : Program
    n_layers : int
        At least one of these layers learns.

    Returns
    -------
    Program
        For prediction.
    """
    source = program.source
    layers = source.layers[:n_layers]
    if n_layers < len(source.layers):
        built, _ = outermost(program)[n_layers - 1]
        layers += (Reshape((-1, 1)), Flatten()) if len(built.shape) == 1 else (Flatten(),)
    return lower(
        layers,
        source.n_features,
        dtype=source.dtype,
        loss="squared_error",
        sparse=program.sparse,
        n_timesteps=program.n_timesteps,
        training=False,
    )


def last_part(program, n_layers):
    """The network of the layers after the first ones of another network; it reads rows that hold what those return.

    Its parameters stand in one piece, behind those of the first part.

    Parameters
    ----------
    program : Program
    n_layers : int
        How many layers are left out.

    Returns
    -------
    Program
        For prediction.
    """
    source = program.source
    built, _ = outermost(program)[n_layers - 1]
    layers = source.layers[n_layers:]
    n_inputs = 1
    for size in built.shape:
        n_inputs *= size
    if len(built.shape) > 1:
        layers = (Reshape(built.shape), *layers)
    return lower(
        layers,
        n_inputs,
        dtype=source.dtype,
        loss=source.loss,
        settings=source.settings,
        training=False,
    )


# -- of autoencoders --------------------------------------------------------------------------------------------------


def encoder_of(program, params, target):
    """Network and parameters of the encoder."""
    part = first_part(program, target.n_encoder)
    return part, params[: part.n_params]


def decoder_of(program, params, target):
    """Network and parameters of the decoder."""
    part = last_part(program, target.n_encoder)
    return part, params[program.n_params - part.n_params :]


def posterior_of(program, params, target):
    """Network and parameters of what makes the means and variances of a variational autoencoder's codes."""
    part = first_part(program, target.n_encoder - 1)
    return part, params[: part.n_params]


#: What makes a part of an autoencoder, for `Predictors.part`.
HALVES = {"encoder": encoder_of, "decoder": decoder_of, "posterior": posterior_of}
