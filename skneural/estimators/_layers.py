"""A list of layers as a parameter: checked, changed by nested names as pipelines have them, and as plain values."""

import dataclasses

from sklearn.utils._param_validation import InvalidParameterError

from skneural.layers import Augmentation, Layer, Noise, Residual, SequenceAugmentation, Standardize
from skneural.network.builder import Builder
from skneural.network.description import describe_layer, layer_of
from skneural.network.layer import normalized

#: Parameters of estimators that hold layers.
HOLDERS = ("layers", "encoder", "decoder", "generator", "discriminator", "augmentation")

# -- what lists hold ---------------------------------------------------------------------------------------------------


def _fields(layer):
    """Settings of a layer by name, as its constructor takes them."""
    return {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer) if field.init}


def children_of(value):
    """What has a name of its own within a value: settings of a layer, or layers of a list."""
    if isinstance(value, Layer):
        return _fields(value)
    if isinstance(value, list | tuple) and any(isinstance(item, Layer) for item in value):
        return {str(i): item for i, item in enumerate(value)}
    return {}


def walk(layers):
    """All layers of a list, each followed by those within it.

    Parameters
    ----------
    layers : Layer, or list or tuple of Layer

    Yields
    ------
    Layer
    """
    if isinstance(layers, Layer):
        yield layers
    for item in children_of(layers).values():
        yield from walk(item)


# -- checks ------------------------------------------------------------------------------------------------------------


def check_layers(est, name="layers"):
    """Raise unless a parameter holds layers, whose settings are what they may be.

    Raises
    ------
    InvalidParameterError
        Naming the place in the list.
    """
    for i, layer in enumerate(getattr(est, name)):
        _check_layer(est, layer, f"{name}[{i}]")


def _check_layer(est, layer, place):
    try:
        normalized(layer)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(f"{place} of {type(est).__name__}: {error}") from None
    for name, value in _fields(layer).items():
        inside = f"{place}.{name}"
        if isinstance(value, Layer) and not isinstance(layer, Residual):
            _check_layer(est, value, inside)
        elif name in ("layers", "shortcut"):
            if not isinstance(value, list | tuple):
                raise InvalidParameterError(
                    f"{inside} of {type(est).__name__} must be a tuple of layers, got {value!r}."
                )
            for i, item in enumerate(value):
                _check_layer(est, item, f"{inside}[{i}]")


def with_noise(layers, deviation):
    """Layers with noise on the input: after it is standardized or augmented, if that is asked for."""
    if not deviation:
        return list(layers)
    first = 0
    while first < len(layers) and isinstance(layers[first], (Standardize, Augmentation, SequenceAugmentation)):
        first += 1
    return [*layers[:first], Noise(float(deviation)), *layers[first:]]


def _built(layers, shape):
    """Layers that read samples of a shape, built."""
    builder = Builder(shape, "float64", sparse=False, training=False)
    builder.stack(layers, builder.input)
    return builder


def shape_after(layers, shape):
    """Shape of what layers make of samples of a shape."""
    builder = Builder(shape, "float64", sparse=False, training=False)
    return builder.stack(layers, builder.input).shape


def builds(layers, shape):
    """Whether layers can read samples of a shape."""
    try:
        _built(layers, shape)
    except ValueError:
        return False
    return True


def reads_rows(layers):
    """Whether layers can read rows of one feature."""
    return builds(layers, (1,))


def _counts_padding(operation):
    """Whether an operation makes steps that all samples have, of sequences of different length."""
    y = operation.output
    reads_padding = operation.kind == "sequence_input" or any(x.every > 0 for x in operation.inputs)
    return len(y.shape) > 1 and y.every == 0 and reads_padding


def needs_one_length(layers, n_timesteps, n_features):
    """Whether layers that read sequences of some length have other parameters for another, or cannot read it.

    Or whether what is behind the end of a sequence would be a part of it.
    """
    here = _built(layers, (n_timesteps, n_features))
    if any(_counts_padding(operation) for operation in here.operations):
        return True
    try:
        return here.blocks != _built(layers, (n_timesteps + 1, n_features)).blocks
    except ValueError:
        return True


# -- nested parameters -------------------------------------------------------------------------------------------------


def nested_of(value):
    """Nested parameters of layers: ``{"0": Dense(8), "0__units": 8, ...}``.

    Parameters
    ----------
    value : list or tuple of Layer, or anything else

    Returns
    -------
    dict
    """
    found = {}
    for name, item in children_of(value).items():
        found[name] = item
        found |= {f"{name}__{inner}": value for inner, value in nested_of(item).items()}
    return found


def replaced(value, changes):
    """A copy of layers with other nested parameters: what stands in a place first, then what is within it.

    Parameters
    ----------
    value : Layer, or list or tuple of Layer
    changes : dict
        Values by name, as `nested_of` has them.

    Raises
    ------
    ValueError
        If there is no parameter of a name.
    """
    children = children_of(value)
    within = {}
    for path, change in changes.items():
        name, delimiter, rest = path.partition("__")
        if name not in children:
            raise ValueError(
                f"Invalid parameter {name!r} for estimator {value!r}. Valid parameters are: {list(children)!r}."
            )
        if delimiter:
            within.setdefault(name, {})[rest] = change
        else:
            children[name] = change
    for name, inner in within.items():
        children[name] = replaced(children[name], inner)
    if isinstance(value, Layer):
        return dataclasses.replace(value, **children)
    return type(value)(children.values())


# -- plain values ------------------------------------------------------------------------------------------------------


def plain_layers(value):
    """Layers, and those in a list or a tuple, as dicts; anything else as it is."""
    if isinstance(value, Layer):
        return describe_layer(value)
    if isinstance(value, list | tuple):
        return type(value)(plain_layers(item) for item in value)
    return value


def from_plain_layers(value):
    """The way back of `plain_layers`. Settings are not looked at: a fit does it, as before it.

    Raises
    ------
    ValueError
        If a layer is of a class that is not known.
    """
    if type(value) is dict and "kind" in value:
        return layer_of(value)
    if isinstance(value, list | tuple):
        return type(value)(from_plain_layers(item) for item in value)
    return value


def own_classes(*lists):
    """Classes of users among layers: a pickle that names them imports the modules in which they are defined."""
    classes = {type(layer): None for layers in lists for layer in walk(layers)}
    return tuple(cls for cls in classes if not cls.__module__.startswith("skneural."))
