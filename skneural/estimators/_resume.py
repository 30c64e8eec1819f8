"""Going on with a fit that was interrupted, from what a checkpoint holds."""

import copy
import zlib

import numpy as np
from sklearn.utils import check_random_state

from skneural.backends.inputs import Sequences
from skneural.maths.optimizers import OPTIMIZERS

#: Rows that a fingerprint looks at.
ROWS = 100


def fingerprint(rows):
    """Numbers that differ where the data of two fits differ.

    Parameters
    ----------
    rows : Rows

    Returns
    -------
    (int, int)
        Number of rows, and a checksum of rows spread over them.
    """
    arrays = list(rows.inputs) if isinstance(rows.inputs, tuple) else [rows.inputs]
    if isinstance(rows.inputs, Sequences):
        arrays = [rows.inputs.values, rows.inputs.lengths]
    step = max(1, len(rows.targets) // ROWS)
    checksum = 0
    for array in [*arrays, rows.targets, rows.weights]:
        if array is not None:
            checksum = zlib.crc32(np.ascontiguousarray(array[::step]), checksum)
    return len(rows.targets), checksum


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
    if not {"random", "data", "finished"} <= state["_state"].get("run", {}).keys():
        raise ValueError(f"{path} holds no fit that can go on, but a finished model: use skneural.load and warm_start.")
    if state["n_iter_"] and not state["history_"]["time"]:
        raise ValueError(f"{path} is a checkpoint without the history of its fit.")
    params = est.get_params(deep=False)
    vars(est).pop("feature_names_in_", None)  # of another fit; the file has its own
    est.__setstate__(state)
    est.set_params(**params)
    run = est._state.run
    if run.last_params is not None:  # the fit has ended, and the best parameters have been put back
        est._params[:] = run.last_params
        run.last_params = None


def random_of(est):
    """The generator of random numbers as it was when the interrupted fit began."""
    begun = est._state.run.random
    return check_random_state(est.random_state) if begun is None else copy.deepcopy(begun)


def check_same_fit(est, program, found, path):
    """Raise unless network and data are those of the fit that was interrupted.

    Parameters
    ----------
    est : estimator
        As the checkpoint has it: the vectors of its solver are as long as the parameters of its network.
    program : Program
        The network that parameters and data ask for.
    found : tuple
        The fingerprints of the data.
    path : str or path-like
        The checkpoint.
    """
    if not est._program.same_parameters(program):
        raise ValueError(f"{path} is a checkpoint of another network than the parameters of this estimator describe.")
    expected = tuple(None if data is None else tuple(data) for data in est._state.run.data)
    was_validated = expected[1] is not None
    is_validated = found[1] is not None
    if was_validated != is_validated:
        words = "with validation data: give the same" if was_validated else "without validation data: give no"
        raise ValueError(f"{path} is a checkpoint of a fit {words} X_val and y_val.")
    if expected != found:
        raise ValueError(f"{path} is a checkpoint of a fit on other data (or with other sample weights).")
