"""How many threads an estimator may use: the cores that there are, less what others have set limits to."""

import functools
import os

from joblib import cpu_count, parallel
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads, _openmp_parallelism_enabled


@functools.cache
def _cores_of_container():
    return cpu_count()  # reads files: half a millisecond


def _cores():
    """Cores that this process may use: affinity and the quota of a container counted."""
    cores = _cores_of_container()
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return cores


def _openmp_limit():
    """How many threads OpenMP would start now: ``OMP_NUM_THREADS``, or what `threadpoolctl` has set since."""
    # Of a list, one number for each level of nesting, the first is meant. The variable may have been set too late for
    # OpenMP, which reads it when it is loaded.
    variable = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    limits = [int(variable)] if variable.isdecimal() and int(variable) > 0 else []
    if _openmp_parallelism_enabled():
        limits.append(_openmp_effective_n_threads(only_physical_cores=False))
    return min(limits, default=None)


def n_threads(n_jobs):
    """How many threads an estimator may use.

    Parameters
    ----------
    n_jobs : int or None
        None for all cores that this process may use (affinity and the quota of a container counted), but no more than
        OpenMP may use (``OMP_NUM_THREADS``, ``threadpoolctl.threadpool_limits``), and 1 within a joblib worker, where
        the outer parallelism owns them. A positive number caps, a negative one counts from all (-1).

    Returns
    -------
    int
    """
    cores = _cores()
    if n_jobs is not None:
        return max(1, min(n_jobs, cores) if n_jobs > 0 else cores + 1 + n_jobs)
    if getattr(parallel.get_active_backend()[0], "nesting_level", 0):
        return 1
    limit = _openmp_limit()
    return cores if limit is None else max(1, min(cores, limit))
