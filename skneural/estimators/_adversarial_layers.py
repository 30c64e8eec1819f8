"""The two networks of a generative adversarial network, as layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from skneural.estimators._layers import shape_after
from skneural.estimators._settings import activations, dropout_rates, sizes_of
from skneural.layers import Activation, Adversarial, Dense, Dropout, Flatten, LabelChannels, MixedRow, Reshape


@dataclass(frozen=True)
class Form:
    """What the samples of a fit look like to the networks.

    Parameters
    ----------
    n_numbers : int
        Columns that are numbers.
    widths : tuple of int
        Columns of each category.
    n_labels : int
    image : tuple of int or None
        (height, width, n_channels) of images.
    activation : str or None
        Of the numbers that the generator makes.
    """

    n_numbers: int
    widths: tuple
    n_labels: int
    image: tuple | None
    activation: str | None


def image_of(est):
    """Shape of the images that samples are: those of X, or what the discriminator makes of rows first of all."""
    shape = est.sample_shape_
    if est.categories_ is not None:
        return None
    if len(shape) > 1:
        return (*shape, 1)[:3]
    first = next(iter(est.discriminator or ()), None)
    is_image = isinstance(first, Reshape) and len(first.shape) == 3 and math.prod(first.shape) == shape[0]
    return tuple(first.shape) if is_image else None


def likely_shape(est):
    """Shape of samples that both networks can stand, as far as it is known without data."""
    if est.generator is not None:
        made = shape_after(list(est.generator), (int(est.n_components),))
        if len(made) == 3:
            return made
    first = next(iter(est.discriminator or ()), None)
    return first.shape if isinstance(first, Reshape) else (2,)


def default_layers(est):
    """Dense layers by `hidden_layer_sizes`; dropout is the discriminator's."""
    sizes = sizes_of(est)
    return [Dense(units, name) for units, name in zip(sizes, activations(est, len(sizes)), strict=True)]


def discriminator_of(est, form):
    """Layers from samples, labels behind them, to one number."""
    if est.discriminator is None:
        layers = []
        hidden = default_layers(est)
        for layer, rate in zip(hidden, dropout_rates(est, len(hidden)), strict=True):
            layers += [layer, Dropout(rate)] if rate else [layer]
        return (*layers, Dense(1))
    layers = list(est.discriminator)
    if form.image is not None:
        if layers and isinstance(layers[0], Reshape):
            del layers[0]
        before = LabelChannels(form.image) if form.n_labels else Reshape(form.image)
        layers = [before, *layers]
    return (*layers, Dense(1))


def generator_of(est, form):
    """Layers from latent numbers, labels behind them, to rows of samples."""
    layers = default_layers(est) if est.generator is None else list(est.generator)
    made = shape_after(layers, (int(est.n_components) + form.n_labels,))
    if len(made) == 1:
        end = MixedRow(form.n_numbers or None, form.widths, form.activation)
        return (*layers, end if form.widths else Dense(form.n_numbers, form.activation))
    if form.image is None or made != form.image:
        wanted = f"rows or images of shape {form.image}" if form.image else "rows"
        raise ValueError(f"generator must end in {wanted}, as the samples of X are; it ends in shape {made}.")
    after = [] if form.activation is None else [Activation(form.activation)]
    return (*layers, *after, Flatten())


def adversarial(est, form, boundary):
    """Both networks as one layer."""
    return Adversarial(
        generator=generator_of(est, form),
        discriminator=discriminator_of(est, form),
        n_latent=int(est.n_components),
        n_labels=form.n_labels or None,
        deviation=float(est.instance_noise),
        boundary=boundary,
        averages=est.generator_averaging > 0,
        limits_spectra=est.spectral_norm is not None,
    )
