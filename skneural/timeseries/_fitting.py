"""How a regressor is fitted to windows: the data that stops it, its weights, and what its errors are about."""

from __future__ import annotations

import inspect
import math
import re
import warnings
from numbers import Integral

import numpy as np

from skneural._wrapped import innermost


def check_weights(fit_params, n_rows, lookback, horizon):
    """Raise if there are weights for other things than windows."""
    n_windows = n_rows - lookback - horizon + 1
    for name, weights in fit_params.items():
        if name.split("__")[-1] == "sample_weight" and np.ndim(weights) and len(weights) != n_windows:
            raise ValueError(
                f"{name} has {len(weights)} entries: it needs one for each of the {n_windows} windows of the series of "
                f"{n_rows} rows, n_rows - lookback - horizon + 1."
            )


def hold_out(regressor, fit_params, n_rows, lookback, horizon):
    """Set aside the end of a series for a regressor with early stopping.

    Left to itself it would choose windows at random, among others that share rows with them: what it is trained on
    would say when to stop. Returns the first row that windows for validation are to forecast, or None (no window to
    train on has rows from there on), and the parameters of the fit, with weights for these windows.
    """
    n_windows = n_rows - lookback - horizon + 1
    held_out = _windows_held_out(regressor, fit_params, n_windows)
    if not held_out:
        return None, fit_params
    left = max(n_windows - held_out - horizon + 1, 0)
    if held_out == 1 or left < 1:
        raise ValueError(
            f"The series is too short for early_stopping=True: of its {n_windows} windows {left} are left to train on, "
            f"where {held_out} are for validation, and those between them overlap with both. At least 1 and 2 are "
            "needed. Change validation_fraction, or give a longer series."
        )
    return n_rows - held_out - horizon + 1, _divide_weights(regressor, fit_params, held_out, left)


def _windows_held_out(regressor, fit_params, n_windows):
    """Number of windows for validation; 0 for a regressor that holds out nothing, or is stopped by other data."""
    if any(name.split("__")[-1] == "X_val" for name in fit_params):
        return 0
    final = innermost(regressor)
    fraction = getattr(final, "validation_fraction", None)
    if not _is_true(getattr(final, "early_stopping", False)) or not takes(regressor, "X_val"):
        _warn_of_random_parts(regressor)
        return 0
    if getattr(final, "solver", None) == "lbfgs" or fraction is None:  # which stop by the training loss
        return 0
    if isinstance(fraction, Integral):
        return int(fraction)
    return math.ceil(fraction * n_windows) if 0 < fraction < 1 else 0  # the regressor refuses others


def _divide_weights(regressor, fit_params, held_out, left):
    """Weights of the first windows, and of the last ones for validation, of those of all windows."""
    prefix = "".join(f"{name}__" for name, _ in _last_steps(regressor))
    divided = {}
    for name, value in fit_params.items():
        if name.split("__")[-1] == "sample_weight" and np.ndim(value):
            value = np.asarray(value)
            if name == f"{prefix}sample_weight" and takes(regressor, "sample_weight_val"):
                divided[f"{prefix}sample_weight_val"] = value[-held_out:]
            value = value[:left]
        divided[name] = value
    return divided


def check_takes_validation(regressor):
    """Raise if the fit of a regressor takes no validation data."""
    if not takes(regressor, "X_val"):
        name = type(innermost(regressor)).__name__
        raise ValueError(f"series_val needs a regressor whose fit takes X_val and y_val: that of {name} does not.")


def takes(regressor, name):
    """Whether the fit of a regressor, of the last step if it is a pipeline, takes a parameter."""
    for _, last in _last_steps(regressor):
        regressor = last
    if not hasattr(regressor, "fit"):
        return False
    parameters = inspect.signature(regressor.fit).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def fit_regressor(regressor, X, y, held_out, fit_params):
    """Fit a regressor and return it; validation data goes through the first steps of a pipeline as other data does."""
    if held_out is None:
        return regressor.fit(X, y, **fit_params)
    X_val, y_val = held_out
    if not hasattr(regressor, "steps"):
        return regressor.fit(X, y, X_val=X_val, y_val=y_val, **fit_params)
    name, final = regressor.steps[-1]
    prefix = f"{name}__"
    own = {key.removeprefix(prefix): value for key, value in fit_params.items() if key.startswith(prefix)}
    others = {key: value for key, value in fit_params.items() if not key.startswith(prefix)}
    if len(regressor.steps) > 1:
        before = regressor[:-1]
        X = before.fit_transform(X, y, **others)
        X_val = before.transform(X_val)
        regressor.steps[:-1] = before.steps  # with `memory`, these are others
    fit_regressor(final, X, y, (X_val, y_val), own)
    return regressor


def hint_at(error, train, held_out, targets, forecaster):
    """What to say beside an error of a regressor about windows that its user never saw; None if there is nothing.

    `train` and `held_out`, which may be None, are the X and y that it was given, `targets` those columns of the series.
    """
    X, y = train
    in_series = targets.min()
    given = min(part[1].min() for part in (train, held_out) if part is not None)
    message = str(error)
    lost = in_series >= 0 > given or in_series > 0 >= given
    of_range = re.search(r"negative|positive|valid range", message)
    of_targets = re.search(r"\b(y|targets?|labels?|loss)\b", message) and "weight" not in message
    if lost and of_range and of_targets:
        remedies = {
            "scaler": "scaler=None or one that keeps values positive, such as MaxAbsScaler()",
            "window_normalization": "window_normalization=None",
        }
        causes = [name for name in remedies if getattr(forecaster, name) is not None]
        made = " and ".join(f"{name}={getattr(forecaster, name)!r}" for name in causes)
        remedy = ", and ".join(remedies[name] for name in causes)
        return f"The series has no such values: {made} made them. Set {remedy}."
    if y.ndim == 2 and re.search(r"1d array|1D", message):
        return (
            f"y has {y.shape[1]} columns, one for each step of horizon={forecaster.horizon} and each target: wrap a "
            "regressor for one column in MultiOutputRegressor, or forecast one step (horizon=1) of one target."
        )
    if X.ndim == 3 and re.search(r"dim 3|3-?D|three axes|3 dimensions", message):
        return (
            f"X are windows of shape (n_windows, lookback, n_features), {X.shape}: put FunctionTransformer(lambda X: "
            "X.reshape(len(X), -1)) before a regressor for two axes, in a pipeline."
        )
    return None


def _last_steps(regressor):
    """Names and estimators of the last step of a pipeline, of the last step of that, and so on."""
    while hasattr(regressor, "steps"):
        yield regressor.steps[-1]
        regressor = regressor.steps[-1][1]


def _warn_of_random_parts(regressor):
    """Warn of an inner estimator that holds out windows by itself."""
    settings = regressor.get_params() if hasattr(regressor, "get_params") else {}
    last = innermost(regressor)
    for name, value in settings.items():
        *outer, parameter = name.split("__")
        if parameter != "early_stopping" or not _is_true(value):
            continue
        owner = regressor.get_params()["__".join(outer)] if outer else regressor
        if getattr(owner, "solver", None) == "lbfgs":
            continue
        why = "its fit takes no X_val" if owner is last else "it stands inside another estimator"
        warnings.warn(
            f"{type(owner).__name__} with early_stopping=True holds out windows at random, which share rows with those "
            f"it is trained on ({why}): it is stopped late, or never.",
            UserWarning,
            stacklevel=4,
        )


def _is_true(value):
    return isinstance(value, bool | np.bool_) and bool(value)  # "auto" of scikit-learn is not
