"""Going on with a fit that was interrupted, from what a checkpoint holds."""

import copy
import zlib

import numpy as np
from sklearn.utils import check_random_state

from skneural.maths.optimizers import OPTIMIZERS

#: Rows that a fingerprint looks at.
ROWS = 100


def fingerprint(X, targets, weights):
    """Numbers that differ where the training data differ: its size, and a checksum of rows spread over it.

    Parameters
    ----------
    X : ndarray or tuple
        Rows as the engine reads them.
    targets : ndarray
    weights : ndarray or None

    Returns
    -------
    tuple of int
    """
    step, checksum = max(1, len(targets) // ROWS), 0
    for array in [*(X if isinstance(X, tuple) else [X]), targets, *([] if weights is None else [weights])]:
        checksum = zlib.crc32(np.ascontiguousarray(array[::step]), checksum)
    return len(targets), checksum


def adopt_checkpoint(est, path):
    """Give an estimator the fitted attributes that a checkpoint holds.

    Raises
    ------
    ValueError
        If the file is damaged, of another estimator, or not of a fit that can go on.
    """
    from skneural.persistence import read_state

    if est.solver not in OPTIMIZERS:
        raise ValueError(f"resume_from needs a stochastic solver: {est.solver} cannot go on where it was interrupted.")
    state = read_state(path, est)
    if "run" not in state.get("_state", {}):
        raise ValueError(f"{path} holds no fit that can go on, but a finished model: use skneural.load and warm_start.")
    params = est.get_params(deep=False)
    est.__setstate__(state)
    est.set_params(**params)
    run = est._state["run"]
    if "last_params" in run:  # the fit has ended, and the best parameters have been put back
        est._params[:] = run.pop("last_params")


def random_of(est):
    """The generator of random numbers as it was when the interrupted fit began."""
    begun = est._state["run"]["random"]
    return copy.deepcopy(begun) or check_random_state(est.random_state)  # without one, an integer decides


def check_same_data(run, train, path):
    """Raise unless the training data look like those that the fit began with."""
    if tuple(run["data"]) != fingerprint(*train):
        raise ValueError(f"{path} is a checkpoint of a fit on other data (or with other sample weights).")
