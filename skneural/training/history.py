"""What is noted of every epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

#: Calls of `partial_fit` that stay in ``loss_curve_``, and in ``history_``: a model that learns for months is as small
#: as on its first day.
LOSSES_KEPT = 1000
CALLS_KEPT = 100


@dataclass
class Epochs:
    """What is known of epochs that are over: of one, if anybody watches.

    Attributes
    ----------
    losses, rates, seconds : list of float
        Loss, last learning rate and time since the fit began, of every epoch.
    validation_loss, score : float
        On the held-out rows.
    training_score : float or None
        On the training rows.
    gradient_norms : list of ndarray of shape (n_layers,) or None
    columns : dict of list
        What only some estimators note, by name.
    """

    losses: list
    rates: list
    seconds: list
    validation_loss: float = np.nan
    score: float = np.nan
    training_score: float | None = None
    gradient_norms: list | None = None
    columns: dict = field(default_factory=dict)


def note(state, epochs, n_rows, n_layers):
    """Write epochs down.

    Parameters
    ----------
    state : FitState
    epochs : Epochs
    n_rows : int
        Rows of an epoch.
    n_layers : int
        Layers with weights.
    """
    n = len(epochs.losses)
    columns = {
        "loss": epochs.losses,
        "validation_loss": [epochs.validation_loss] * n,
        "score": [epochs.score] * n,
        "learning_rate": epochs.rates,
        "time": epochs.seconds,
    }
    # What only some fits know; epochs of others are filled in.
    scores = None if epochs.training_score is None else [epochs.training_score]
    _fill_in(state, columns, "training_score", scores, n, np.nan)
    _fill_in(state, columns, "gradient_norm", epochs.gradient_norms, n, np.full(n_layers, np.nan))
    for name, values in epochs.columns.items():
        _fill_in(state, columns, name, values, n, np.nan)
    curves = [(state.history[name], values) for name, values in columns.items()]
    curves.append((state.loss_curve, epochs.losses))
    if state.validation_scores is not None:
        curves.append((state.validation_scores, columns["score"]))
        curves.append((state.validation_loss_curve, columns["validation_loss"]))
    places = [(curve, len(curve), values) for curve, values in curves]
    n_iter = state.n_iter + n
    t = state.t + n_rows * n

    def write():
        for curve, end, values in places:
            curve[end:] = values
        state.loss = epochs.losses[-1]
        state.t = t
        state.n_iter = n_iter

    try:
        write()
    except KeyboardInterrupt:  # all curves have the epochs, or none
        write()
        raise


def _fill_in(state, columns, name, values, n, unknown):
    """Add a column that not every fit has."""
    if values is None and name not in state.history:
        return
    if name not in state.history:
        state.history[name] = [unknown] * len(state.history["loss"])
    columns[name] = [unknown] * n if values is None else values


def forget(state):
    """Count a call of `partial_fit`, and drop the oldest one if there are more than are kept."""
    state.solver.calls += 1
    calls = state.solver.calls
    if calls > LOSSES_KEPT and len(state.loss_curve) > LOSSES_KEPT:
        del state.loss_curve[-LOSSES_KEPT - 1]
    if calls > CALLS_KEPT:
        for curve in (state.validation_scores, state.validation_loss_curve, *state.history.values()):
            if curve is not None and len(curve) > CALLS_KEPT:
                del curve[-CALLS_KEPT - 1]
