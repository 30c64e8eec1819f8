"""What fitted networks can tell of themselves: gradients by the input, outputs and filters of their layers."""

import math
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skneural.backends import devices
from skneural.backends.inputs import Sequences
from skneural.estimators._base import BaseNetwork
from skneural.estimators._parameters import current_predictors
from skneural.estimators._parts import first_part, outermost
from skneural.estimators._reconstruction import Reconstruction
from skneural.estimators._targets import ClassTargets
from skneural.maths.losses import LOSSES
from skneural.network.builder import Builder
from skneural.training.state import aligned_copy

#: Kinds of operations whose weights are filters.
CONVOLUTIONS = ("convolution", "convolution_groups", "depthwise")


class Filters(NamedTuple):
    """Weights of a convolution: of shape (height, width, n_channels, n_filters), and the layer that it belongs to."""

    weights: np.ndarray
    layer: int


def check_network(est, who):
    """Raise unless something is a fitted network of this package.

    Raises
    ------
    TypeError
        If it is another estimator.
    NotFittedError
        If it is not fitted.
    """
    if isinstance(est, type) or not isinstance(est, BaseNetwork):
        raise TypeError(
            f"{who} needs a network of this package, got {est!r}. Of a pipeline give the last step, and X as the steps "
            "before it return it."
        )
    check_is_fitted(est)


# -- gradients by the input --------------------------------------------------------------------------------------------


def gradient_by_input(est, X, y, of):
    """Gradients of outputs by the input: see `inspection.saliency`.

    Returns
    -------
    ndarray
        In the form that `X` has.
    """
    checked = est._reader.validate_prediction(est, X)
    if not isinstance(checked, np.ndarray):
        raise ValueError("There is no gradient by the rows of a sparse matrix: give a dense array.")
    predictors = current_predictors(est)
    target = predictors.target
    if isinstance(target, Reconstruction):
        raise TypeError(f"Gradients are of predictions, and {type(est).__name__} predicts nothing but X itself.")
    wanted = _outputs_asked_for(target, y, len(checked))
    inputs = est._read(checked)
    variant = est._reader.variant(checked) | {"training": True, "input_gradient": True}
    program = predictors.program.variant(**variant)
    devices.engine_of("cpu")  # others wait while it is loaded
    from skneural.backends.cpu.derivatives import Derivatives

    seeds = _seeds_of_scores if of == "score" else _seeds_of_probabilities
    if not isinstance(target, ClassTargets):
        seeds = _seeds_of_predictions

    def seeds_of(part, outputs):
        return seeds(target, outputs, None if wanted is None else wanted[part])

    _, gradient = Derivatives(program, predictors.params)(inputs, seeds_of)
    if isinstance(inputs, Sequences) and inputs.lengths is not None:
        is_behind = np.arange(gradient.shape[1]) >= inputs.lengths[:, None]
        gradient[is_behind] = 0
    return _like_given(est, gradient, X)


def _outputs_asked_for(target, y, n_samples):
    """Numbers of the outputs, or classes, of which gradients are asked for: an array; None for the predicted ones.

    Raises
    ------
    ValueError
        If y names none, is missing where there are several outputs, or has another length.
    """
    is_class = isinstance(target, ClassTargets) and not target.multilabel
    if y is None and (is_class or target.n_outputs == 1):
        return None if is_class else np.zeros(n_samples, np.int64)
    if y is None:
        raise ValueError(f"There are {target.n_outputs} outputs: y must be the number of one, or one for each sample.")
    y = np.asarray(y)
    if y.ndim > 1 or (y.ndim == 1 and len(y) != n_samples):
        what = "label" if is_class else "number of an output"
        raise ValueError(f"y must be one {what}, or one for each of {n_samples} samples, got shape {y.shape}.")
    y = np.broadcast_to(y, (n_samples,))
    if is_class:
        codes = target._codes(y)
        if codes is None:
            raise ValueError(f"y has labels other than the classes {target.classes_}.")
        return codes
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= target.n_outputs:
        raise ValueError(f"y must hold whole numbers of outputs, from 0 to {target.n_outputs - 1}, got {y[:5]}.")
    return y


def _at(wanted, values, shape):
    """Zeros, but for one value in each row."""
    seeds = np.zeros(shape)
    seeds[np.arange(len(wanted)), wanted] = values
    return seeds


def _seeds_of_scores(target, outputs, wanted):
    """Of the score of a class: its output before softmax; of two classes the one output, or minus it.

    Of the class that is predicted, if none is asked for.
    """
    if target.multilabel:
        return _at(wanted, 1.0, outputs.shape)
    if target.n_outputs == 1:
        wanted = outputs[:, 0] > 0.5 if wanted is None else wanted
        return np.where(wanted, 1.0, -1.0)[:, None]
    wanted = outputs.argmax(axis=1) if wanted is None else wanted
    return _at(wanted, 1.0, outputs.shape)


def _seeds_of_probabilities(target, outputs, wanted):
    """Of the probability of a class."""
    scores = _seeds_of_scores(target, outputs, wanted)
    if target.n_outputs == 1 or target.multilabel:
        return scores * outputs * (1 - outputs)
    of_class = (scores * outputs).sum(axis=1, keepdims=True)
    return of_class * (scores - outputs)


def _seeds_of_predictions(target, outputs, wanted):
    """Of the prediction of a regressor, in the units of y."""
    slopes = outputs if LOSSES[target.loss].link == "exp" else np.ones_like(outputs)
    if target.scale is not None:
        slopes = slopes * np.repeat(target.scale, target.n_outputs // target.n_targets)
    return _at(wanted, slopes[np.arange(len(outputs)), wanted], outputs.shape)


def _like_given(est, gradient, X):
    """Gradients by checked X in the form of X as it was handed over; lists of sequences as one array."""
    if gradient.ndim == 2:
        return gradient
    is_channels_first = getattr(est, "input_format", None) == "channels_first"
    shape = _shape_of(X)
    if est._reader.reads_images:
        gradient = gradient.reshape(len(gradient), *est.image_shape_)
    elif len(shape) > 1:
        n_steps = shape[2] if is_channels_first and len(shape) == 3 else shape[1]
        gradient = _with_steps(gradient, n_steps)
    if is_channels_first:
        gradient = np.moveaxis(gradient, -1, 1)
    return gradient.reshape(shape) if math.prod(shape) == gradient.size else gradient


def _shape_of(X):
    """Shape of what users hand over; of lists that are no array, and of columns of sequences, how long they are."""
    if hasattr(X, "shape"):
        values = np.asarray(X)
        # Numbers are objects, too, in tables whose columns may have gaps.
        holds_sequences = values.dtype.kind == "O" and np.ndim(values.flat[0]) > 0
        return (len(X),) if holds_sequences else tuple(X.shape)
    try:
        return np.shape(X)
    except ValueError:  # of different length
        return (len(X),)


def _with_steps(gradient, n_steps):
    """Gradients with so many time steps: those of padding, that no checked X has, are 0."""
    n_samples, found, n_features = gradient.shape
    result = np.zeros((n_samples, n_steps, n_features), gradient.dtype)
    result[:, :found] = gradient[:, :n_steps]
    return result


# -- layers ------------------------------------------------------------------------------------------------------------


def _number_of_layer(program, layer):
    """The number of a layer, counted from 0.

    Raises
    ------
    TypeError, ValueError
        If it is no number of a layer.
    """
    layers = program.source.layers
    if not isinstance(layer, Integral) or isinstance(layer, bool | np.bool_):
        raise TypeError(f"layer must be an integer, got {layer!r}.")
    if not -len(layers) <= layer < len(layers):
        named = ", ".join(f"{i}: {shown!r}" for i, shown in enumerate(layers))
        raise ValueError(f"layer must be from {-len(layers)} to {len(layers) - 1}, got {layer}. There are {named}.")
    return int(layer) % len(layers)


def outputs_of_layer(est, X, layer):
    """Outputs of a layer: see `inspection.layer_outputs`."""
    predictors = current_predictors(est)
    program = predictors.program
    number = filters_of(est).layer if layer is None else _number_of_layer(program, layer)
    checked = est._reader.validate_prediction(est, X)
    variant = program.variant(**est._reader.variant(checked))
    built, learns = outermost(variant)[number]
    if not learns:
        shown = f"Layer {number}, {built.layer!r},"
        raise ValueError(f"{shown} comes before all that learn: give the number of a later one.")
    first = first_part(variant, number + 1)
    params = aligned_copy(predictors.params[: first.n_params])
    predictor = devices.make_predictor("cpu", "full", first, params)
    outputs, _ = predictor(est._read(checked), n_threads=est._n_threads)
    return outputs.reshape(len(outputs), *built.shape)


def filters_of(est, layer=None):
    """Weights of a convolution over images, copied: see `inspection.convolution_filters`."""
    predictors = current_predictors(est)
    program = predictors.program
    convolutions = _convolutions(program)
    if layer is not None:
        number = _number_of_layer(program, layer)
        convolutions = [found for found in convolutions if found[0] == number]
    if not convolutions:
        which = "This network" if layer is None else f"Layer {number}, {program.source.layers[number]!r},"
        raise ValueError(f"{which} has no convolution over images.")
    number, operation = convolutions[0]
    kernel = operation.details["kernel_y"], operation.details["kernel_x"]
    weights = operation.details["weight"].view(predictors.params)
    return Filters(weights.reshape(*kernel, -1, weights.shape[-1]).copy(), number)


def _convolutions(program):
    """Convolutions over images, each with the number of the layer that it is, or is within."""
    source = program.source
    shape = (source.n_timesteps, source.n_features) if source.n_timesteps else (source.n_features,)
    builder = Builder(shape, program.dtype, training=False)
    found = []
    x = builder.input
    for number, layer in enumerate(source.layers):
        before = len(builder.operations)
        x = builder.stack([layer], x)
        within = [operation for operation in builder.operations[before:] if operation.kind in CONVOLUTIONS]
        found += [(number, operation) for operation in within if len(operation.inputs[0].shape) == 3]
    return found
