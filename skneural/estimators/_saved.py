"""Which attributes files hold, by class, and what each may be. A pickle may hold others, of subclasses and of users."""

import reprlib

import numpy as np
from sklearn.base import ClassifierMixin

from skneural.estimators._state import check_random, holds_images, network_of
from skneural.estimators._values import ARRAYS, is_count, is_number
from skneural.training.state import HISTORY


def _is_array(value, kinds):
    return type(value) in ARRAYS and value.dtype.kind in kinds


def _is_number_or_none(value):
    return value is None or is_number(value)


def _is_entry(value):
    """What a curve has of an epoch: a number, or the norms of the layers."""
    return is_number(value) or (_is_array(value, "f") and value.ndim == 1)


def _is_curve(value):
    return type(value) is list and all(map(_is_entry, value))


def _is_curve_or_none(value):
    return value is None or _is_curve(value)


def _is_history(value):
    if type(value) is not dict or not value.keys() >= set(HISTORY):
        return False
    return all(map(_is_curve, value.values()))


def _are_names(value):
    return _is_array(value, "O") and all(isinstance(name, str) for name in value.flat)


def _are_weights(value):
    """Arrays of numbers, one a layer: set by hand, for a fit to begin with."""
    if type(value) is not list or not value:
        return False
    return all(_is_array(array, "biuf") for array in value)


def _is_anything(value):
    return True


#: Fitted attributes, and what each may be. What `network_of` looks at may be anything here.
FITTED = {
    "_params": _is_anything,
    "_program": _is_anything,
    "_target": _is_anything,
    "_state": _is_anything,
    "n_features_in_": _is_anything,
    "n_layers_": is_count,
    "n_outputs_": is_count,
    "out_activation_": _is_anything,
    "n_iter_": is_count,
    "t_": is_count,
    "loss_curve_": _is_curve,
    "history_": _is_history,
    "best_loss_": _is_number_or_none,
    "validation_scores_": _is_curve_or_none,
    "validation_loss_curve_": _is_curve_or_none,
    "best_validation_score_": _is_number_or_none,
    "_no_improvement_count": is_count,
}
#: None where no fit had validation data, both of them.
OF_VALIDATION = ("validation_scores_", "validation_loss_curve_")
#: Those that not every fitted estimator has.
OPTIONAL = {
    "loss_": is_number,
    "device_": _is_anything,
    "offset_": is_number,  # of detectors
    "feature_names_in_": _are_names,
    "_n_axes": _is_anything,  # of sequences; files of the first versions have none
}
OF_CLASSIFIERS = {"classes_": _is_anything}
OF_SAMPLES = {
    "sample_shape_": _is_anything,
    "coverage_": is_number,
    "categories_": _is_anything,
    "_table_form": _is_anything,
}
OF_IMAGES = {"image_shape_": _is_anything, "_n_axes": _is_anything}
OF_SEQUENCES = {"_n_channels": _is_anything, "_table": _is_anything, "n_timesteps_in_": _is_anything}
#: What users may set before the first fit.
PRESET = {"coefs_": _are_weights, "intercepts_": _are_weights, "recurrent_coefs_": _are_weights}


def check_saved(est, state):
    """Raise unless a file may hold a state.

    Parameters
    ----------
    est : estimator
        With the parameters in `state`.
    state : dict
        Parameters and attributes by name, plain.

    Raises
    ------
    ValueError
        If an attribute is unknown, missing or of another kind, if a parameter is out of range, or if the parts of the
        network do not fit together.
    """
    cls = type(est)
    parameters = est.get_params(deep=False)
    is_fitted = "_params" in state
    needed = {}
    if is_fitted:
        needed |= FITTED
    if is_fitted and issubclass(cls, ClassifierMixin):
        needed |= OF_CLASSIFIERS
    network = network_of(cls, state)
    if is_fitted and cls._reader.reads_samples:
        needed |= OF_SAMPLES
        if state.get("classes_") is not None:
            needed |= OF_CLASSIFIERS
    if is_fitted and holds_images(cls, state):
        needed |= OF_IMAGES
    elif is_fitted and network[0].n_timesteps > 0:
        needed |= OF_SEQUENCES
    known = {**needed, "_metadata_request": _is_anything}
    known |= OPTIONAL if is_fitted else PRESET
    for name, value in state.items():
        if name in parameters:
            if isinstance(value, np.random.RandomState):
                check_random(value)
        elif name not in known:
            raise ValueError(f"{name!r} is not an attribute that files hold.")
        elif not known[name](value):
            raise ValueError(f"{name} is {reprlib.repr(value)}.")
    missing = needed.keys() - state.keys()
    if missing:
        raise ValueError(f"{', '.join(map(repr, sorted(missing)))} is missing.")
    of_validation = [state.get(name) is None for name in OF_VALIDATION]
    if any(of_validation) and not all(of_validation):
        raise ValueError(f"one of {' and '.join(OF_VALIDATION)} is None, and the other is not.")
    est._validate_params()  # fit does it, too, but partial_fit at its first call only
