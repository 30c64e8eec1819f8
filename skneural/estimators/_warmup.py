"""Get the kernels of single models ready before their first fit or prediction.

Nothing here knows which kernels a network needs: trainers and predictors are made as fits and predictions make them.
"""

from types import SimpleNamespace

import numpy as np
from sklearn.base import BaseEstimator, clone

from skneural.backends import devices
from skneural.backends.base import OptimizerState
from skneural.estimators._base import BaseNetwork
from skneural.estimators._parameters import predictor_of
from skneural.estimators._settings import STOCHASTIC_SOLVERS, find_device, hyper_of, input_dtypes, limits_of
from skneural.maths.losses import n_settings
from skneural.network.memory import aligned_zeros


def networks_in(estimator):
    """The networks in an estimator, pipeline, search, ensemble or forecaster: those that are fitted, if there are any.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    list of estimators

    Raises
    ------
    TypeError
        If there is none.
    """
    found, seen = [], set()

    def look_into(thing):
        if id(thing) in seen:
            return
        seen.add(id(thing))
        if isinstance(thing, BaseNetwork):
            found.append(thing)
        elif isinstance(thing, BaseEstimator):
            look_into(vars(thing))
        elif isinstance(thing, dict):
            look_into(list(thing.values()))
        elif isinstance(thing, list | tuple) or (isinstance(thing, np.ndarray) and thing.dtype == object):
            for part in thing:
                look_into(part)

    look_into(estimator)
    if not found:
        raise TypeError(
            "Expected an estimator of skneural, a pipeline or search with one inside, or a list of them, got "
            f"{estimator!r}."
        )
    fitted = [est for est in found if hasattr(est, "_params")]
    return fitted or found


def prepare(est, dtypes):
    """Load or compile the kernels with which a fitted network predicts, or one that is not fitted fits and predicts.

    Parameters
    ----------
    est : estimator
        Stays as it is.
    dtypes : sequence of str
        Types in which data may come to an estimator that is not fitted, if it has ``dtype='auto'``.

    Raises
    ------
    ValueError
        For parameters that a fit would refuse.
    RuntimeError
        If the device of an estimator that is not fitted is a GPU that cannot be used.
    """
    if est._reader.reads_samples:
        est._make_ready(dtypes)
        return
    if hasattr(est, "_params"):
        predictor_of(est, **est._reader.variant(est._reader.one_sample(est, est._params.dtype)))
        return
    est._validate_params()
    est._check_settings(incremental=False)
    probe = clone(est)
    probe.device_ = find_device(probe, None)
    possible = [np.dtype(dtype) for dtype in input_dtypes(probe)]
    for dtype in [dtype for dtype in possible if dtype.name in dtypes] or possible:
        for loss in est._losses():
            _make_all(probe, dtype, loss)


def _make_all(est, dtype, loss):
    """Make everything that a fit needs for one sample with one output, and train nothing."""
    X = est._reader.one_sample(est, dtype)
    constants = np.zeros(n_settings(loss, 1))
    program = est._lower(est._hidden_layers(), X, dtype, SimpleNamespace(n_outputs=1, loss=loss), constants)
    params = aligned_zeros(program.n_params, dtype)
    y = np.zeros((1, program.n_outputs), dtype)
    where = est.device_, est.precision
    n_threads = est._n_threads()
    devices.get_ready(est.device_, program, est.solver, n_threads)
    devices.make_predictor(*where, program.variant(**est._reader.variant(X)), params, True).close()
    trainer = devices.make_trainer(
        *where, program, params, est._reader.read(X), y, None, alpha=0.0, seed=0, limits=limits_of(est),
        n_threads=n_threads,
    )  # fmt: skip
    try:
        if est.solver in STOCHASTIC_SOLVERS:
            state = OptimizerState.fresh(program)
            trainer.start(est.solver, hyper_of(est), state, batch=1, shuffle=False, tol=0.0, patience=np.inf)
        else:
            trainer.loss_and_gradient()
        if est.device_ == "cpu":
            trainer.pool.start(held=trainer)  # with what its threads run
    finally:
        trainer.close()
