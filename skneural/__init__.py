"""Neural-network estimators for scikit-learn, on kernels compiled by Numba."""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skneural import layers
    from skneural.estimators.autoencoder import Autoencoder
    from skneural.estimators.cnn import CNNClassifier, CNNRegressor
    from skneural.estimators.convolutional import FCNClassifier, FCNRegressor, ResNetClassifier, ResNetRegressor
    from skneural.estimators.detector import AutoencoderDetector
    from skneural.estimators.gan import GAN
    from skneural.estimators.mlp import MLPClassifier, MLPRegressor
    from skneural.estimators.network import NetworkClassifier, NetworkRegressor
    from skneural.estimators.recurrent import (
        GRUClassifier,
        GRURegressor,
        LSTMClassifier,
        LSTMRegressor,
        RNNClassifier,
        RNNRegressor,
    )
    from skneural.estimators.variational import VariationalAutoencoder
    from skneural.persistence import load, save

__all__ = [
    "GAN", "Autoencoder", "AutoencoderDetector", "CNNClassifier", "CNNRegressor", "FCNClassifier", "FCNRegressor",
    "GRUClassifier", "GRURegressor", "LSTMClassifier", "LSTMRegressor", "MLPClassifier", "MLPRegressor",
    "NetworkClassifier", "NetworkRegressor", "RNNClassifier", "RNNRegressor", "ResNetClassifier", "ResNetRegressor",
    "VariationalAutoencoder", "layers", "load", "save", "warmup",
]  # fmt: skip
__version__ = "0.1.0"

#: What is imported when it is asked for, and from where: a process that only compiles kernels needs no scikit-learn,
#: and who uses one estimator not the modules of all others.
_MODULES = {
    "estimators.autoencoder": ["Autoencoder"],
    "estimators.cnn": ["CNNClassifier", "CNNRegressor"],
    "estimators.convolutional": ["FCNClassifier", "FCNRegressor", "ResNetClassifier", "ResNetRegressor"],
    "estimators.detector": ["AutoencoderDetector"],
    "estimators.gan": ["GAN"],
    "estimators.mlp": ["MLPClassifier", "MLPRegressor"],
    "estimators.network": ["NetworkClassifier", "NetworkRegressor"],
    "estimators.recurrent": [
        "GRUClassifier", "GRURegressor", "LSTMClassifier", "LSTMRegressor", "RNNClassifier", "RNNRegressor",
    ],
    "estimators.variational": ["VariationalAutoencoder"],
    "persistence": ["load", "save"],
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_SUBMODULES = {"callbacks", "encoding", "inspection", "kernels", "layers", "plotting", "timeseries"}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # the next time it is found without coming here
    return value


def __dir__() -> list[str]:
    return sorted({"__version__", *__all__, *_SUBMODULES})


def warmup(estimators: Any = None, dtypes: Sequence[str] = ("float32", "float64")) -> int:
    """Compile kernels, or load them from the cache on disk, before the first fit or prediction waits for them.

    Without an estimator all there are, for container images: with an empty cache some minutes, in as many processes as
    there are cores (up to 8), after which no process compiles any more. With estimators what these need, for servers:
    after it the first prediction of the process compiles and loads nothing.

    Parameters
    ----------
    estimators : estimator, list of estimators or None, default=None
        A fitted estimator is made ready to predict, one that is not fitted to fit and to predict (dense data; without
        the variants that a search may try). Pipelines, searches, ensembles and forecasters are looked into. None:
        all kernels. A list of names of precisions in this place is taken for `dtypes`.
    dtypes : sequence of {'float32', 'float64'}, default=('float32', 'float64')
        Precisions to compile for. A fitted estimator, or one with `dtype` or `device` set, has its own.

    Returns
    -------
    int
        Number of kernels that are ready in this process.

    Raises
    ------
    TypeError
        If there is no estimator of this package in `estimators`.
    ValueError
        For an unknown precision, or for parameters that a fit would refuse.
    RuntimeError
        If an estimator that is not fitted is to use a GPU that cannot be used.

    Examples
    --------
    >>> import skneural
    >>> skneural.warmup(["float64"]) > 10
    True

    When a server starts:

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> model = skneural.MLPClassifier(max_iter=300, random_state=0).fit(X, y)
    >>> ready = skneural.warmup(model)
    >>> model.predict(X[:2])
    array([0, 0])
    """
    given = list(estimators) if isinstance(estimators, list | tuple) else [estimators]
    if given and all(isinstance(name, str) for name in given):
        estimators, dtypes = None, given
    dtypes = [dtypes] if isinstance(dtypes, str) else list(dtypes)
    if not dtypes or not set(dtypes) <= {"float32", "float64"}:
        raise ValueError(f"dtypes must be names among 'float32' and 'float64', got {dtypes!r}.")
    from skneural.backends import devices

    devices.engine_of("cpu")  # others wait meanwhile
    from skneural.backends.cpu import catalogue, crew
    from skneural.estimators._threads import n_threads
    from skneural.estimators._warmup import networks_in, prepare

    if estimators is None:
        crew.get_ready(list(catalogue.every_kernel(dtypes)), n_threads(None))
        return catalogue.count()
    networks = [est for one in given for est in networks_in(one)]
    for est in networks:
        prepare(est, dtypes)
    return catalogue.count()
