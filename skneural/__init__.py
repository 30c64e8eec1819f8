"""Neural-network estimators for scikit-learn, on kernels compiled by Numba."""

from collections.abc import Sequence

from skneural.estimators.mlp import MLPClassifier, MLPRegressor
from skneural.estimators.recurrent import (
    GRUClassifier,
    GRURegressor,
    LSTMClassifier,
    LSTMRegressor,
    RNNClassifier,
    RNNRegressor,
)
from skneural.persistence import load, save

__all__ = [
    "GRUClassifier", "GRURegressor", "LSTMClassifier", "LSTMRegressor", "MLPClassifier", "MLPRegressor",
    "RNNClassifier", "RNNRegressor", "load", "save", "warmup",
]  # fmt: skip
__version__ = "0.1.0"


def warmup(dtypes: Sequence[str] = ("float32", "float64")) -> int:
    """Compile all kernels and put them into the cache on disk, so that no later process waits for it.

    For container images and servers. Takes some seconds with an empty cache, less than one with a full one.

    Parameters
    ----------
    dtypes : sequence of {'float32', 'float64'}, default=('float32', 'float64')
        Precisions to compile for.

    Returns
    -------
    int
        Number of kernels that are ready.

    Examples
    --------
    >>> import skneural
    >>> skneural.warmup(["float64"]) > 10
    True
    """
    from skneural.backends.cpu.binding import compile_everything

    return compile_everything(dtypes)
