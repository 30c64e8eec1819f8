"""What files hold of generative adversarial networks, held against the network: see `_state`."""

import math

import numpy as np

from skneural.estimators._samples import LOSSES_OF_GANS, SampleTargets
from skneural.estimators._values import ARRAYS, is_count
from skneural.layers import Adversarial, MixedRow

#: What is known of the form of a table.
FORM = {"library", "names", "dtypes"}


def check_adversarial(state, program, targets):
    """Raise unless the network is two, for samples of the form that is said; how many features these have."""
    network = program.source.layers[0]
    if not isinstance(network, Adversarial) or len(program.source.layers) != 1:
        raise ValueError("the network is none of a generator and a discriminator.")
    if not isinstance(targets, SampleTargets):
        raise ValueError("the targets are not those of samples.")
    _check_widths(targets.widths)
    n_made = program.source.n_features - (network.n_labels or 0)
    if targets.width != n_made:
        raise ValueError(f"samples have {targets.width} columns, the network makes {n_made}.")
    n_features = len(targets.widths)
    shape = state.get("sample_shape_")
    is_shape = type(shape) is tuple and len(shape) in (1, 2, 3) and all(map(is_count, shape))
    if not is_shape or math.prod(shape) != n_features:
        raise ValueError(f"sample_shape_ is {shape!r}, the network makes {n_features} numbers.")
    _check_categories(state.get("categories_"), targets.widths, network.generator)
    _check_form(state.get("_table_form"), n_features)
    return n_features


def _check_widths(widths):
    if widths.ndim != 1 or widths.dtype != np.int64 or (widths < 0).any():
        raise ValueError("the numbers of categories are none.")


def _check_categories(categories, widths, generator):
    """Raise unless there are so many categories of each feature, and the generator makes these."""
    if not widths.any():
        if categories is not None:
            raise ValueError("there are categories, and the network makes numbers only.")
        return
    end = generator[-1] if generator else None
    if not isinstance(end, MixedRow) or list(end.widths) != widths[widths > 0].tolist():
        raise ValueError("the categories are not those that the network makes.")
    if type(categories) is not list or len(categories) != len(widths):
        raise ValueError("the categories are not those of the features.")
    for known, width in zip(categories, widths.tolist(), strict=True):
        is_one = known is None if width == 0 else type(known) in ARRAYS and known.shape == (width,)
        if not is_one:
            raise ValueError("the categories are not those of the features.")


def _check_form(form, n_features):
    """Raise unless it is what is known of the form of a table; None is no table."""
    if form is None:
        return
    if type(form) is not dict or form.keys() != FORM or type(form["library"]) is not str:
        raise ValueError("the form of the table is none.")
    are_names = type(form["names"]) is list and all(isinstance(name, str | int) for name in form["names"])
    is_array = form["library"] in ("numpy", "objects")
    if not are_names or len(form["names"]) != (0 if is_array else n_features):
        raise ValueError("the names of the columns are none.")
    kinds = [(type(entry), *map(type, entry)) for entry in form["dtypes"]]
    if len(kinds) != n_features or any(kind != (tuple, str, str, bool) for kind in kinds):
        raise ValueError("the types of the columns are none.")


def check_samples(targets, classes, program):
    """Raise unless targets are those of samples that a network makes."""
    network = program.source.layers[0]
    if targets.loss not in [name for name, *_ in LOSSES_OF_GANS.values()]:
        raise ValueError(f"the loss {targets.loss!r} is for no discriminator.")
    for array in (targets.center, targets.scale):
        if array.dtype != np.float64 or array.shape != (targets.n_numbers,):
            raise ValueError("the samples are not scaled by one number for each feature.")
    if targets.n_labels != (network.n_labels or 0):
        raise ValueError(f"there are {targets.n_labels} classes, the network has {network.n_labels}.")
    if targets.classes_ is None:
        if targets.shares is not None or classes is not None:
            raise ValueError("the classes are not those of the targets.")
        return
    is_ascending = targets.classes_.ndim == 1 and bool(np.all(targets.classes_[1:] > targets.classes_[:-1]))
    if not is_ascending or type(classes) not in ARRAYS or not np.array_equal(targets.classes_, classes):
        raise ValueError("the classes are not sorted, or not those of the targets.")
    shares = targets.shares
    if shares is None or shares.dtype != np.float64 or shares.shape != classes.shape:
        raise ValueError("the shares of the classes are none.")
    if not (shares >= 0).all() or not math.isclose(shares.sum(), 1.0):
        raise ValueError("the shares of the classes are none.")
