"""Fitted estimators as files that hold no code: an uncompressed ``.npz`` archive of arrays and one JSON document."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import zipfile

import numpy as np

from skneural.backends.devices import is_device
from skneural.encoding import Decoder, Encoder, array_from, classes_of, same
from skneural.maths.losses import LOSSES
from skneural.network.program import Program

FORMAT, VERSION = "skneural estimator", 1
#: The member that holds the document.
DOCUMENT = "document"

#: Attributes that belong to a running fit, or to the session: callbacks.
PASSING = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx", "_parent_callback_ctx")
#: Constructor parameters that may change where a fit goes on.
FREE = ("max_iter", "verbose", "n_jobs", "device", "precision")


def save(est, path):
    """Save an estimator, fitted or not, to a file that `load` reads.

    The file holds numbers and text, no code: it is safe to load, whoever wrote it. Constructor parameters, fitted
    attributes, the state of the solver (so that `partial_fit` and `warm_start` go on where they were) and metadata
    requests come back bit by bit. Callbacks are not saved.

    The file is written beside `path`, as `path` with ".tmp" after it, and takes its place when it is complete: at any
    time `path` is the old file or the new one. Only one process at a time may save to a path.

    Parameters
    ----------
    est : estimator
        An estimator of this package.
    path : str or os.PathLike
        The file, with any suffix. If it exists, it is replaced.

    Raises
    ------
    TypeError
        If `est` is of another class, or if it holds what is not data: a callable parameter, for instance.
    ValueError
        If parts of `est` contradict each other.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : The way back.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skneural import MLPRegressor, load, save
    >>> X = np.linspace(0, 1, 50).reshape(-1, 1)
    >>> reg = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", random_state=0).fit(X, X.ravel() ** 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "square.skn")
    ...     save(reg, path)
    ...     same = load(path)
    >>> bool((same.predict(X) == reg.predict(X)).all())
    True
    """
    members = encode(est)
    target = os.path.realpath(os.fsdecode(path))
    temporary = target + ".tmp"
    with contextlib.suppress(FileNotFoundError):
        os.remove(temporary)  # of a process that was killed
    try:
        with open(temporary, "xb") as file:
            np.savez(file, allow_pickle=False, **members)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def load(path):
    """Load an estimator that `save` wrote. Nothing in the file is executed: it may come from anyone.

    Parameters
    ----------
    path : str or os.PathLike
        The file.

    Returns
    -------
    est : estimator
        The estimator as it was saved, without callbacks.

    Raises
    ------
    ValueError
        If the file is damaged, is none of ours, or was written by a newer version.
    OSError
        If there is no such file, or if it cannot be read.

    See Also
    --------
    save : The way there, and an example.
    """
    return _read(path)[0]


def read_state(path, est):
    """State of the estimator in a file, for a fit of `est` that goes on where it was.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    est : estimator
        Of the class in the file, with the parameters in the file, `FREE` apart. Random generators are not compared: the
        one in the file has been drawn from.

    Returns
    -------
    dict
        Constructor parameters and attributes by name, as ``est.__setstate__`` takes them.

    Raises
    ------
    ValueError
        Where `load` raises it; if class or parameters differ; if the estimator in the file is not fitted.
    OSError
        If there is no such file, or if it cannot be read.
    """
    saved, state = _read(path)
    name = os.fsdecode(path)
    if type(saved) is not type(est):
        raise ValueError(f"{name} holds a {type(saved).__name__}, but this is a {type(est).__name__}.")
    if "_params" not in state:
        raise ValueError(f"{name} holds a {type(saved).__name__} that is not fitted: there is nothing to go on with.")
    here, there = est.get_params(deep=False), saved.get_params(deep=False)
    differing = [
        f"{key}={there[key]!r} (here {value!r})"
        for key, value in here.items()
        if key not in FREE and not same(there[key], value)
    ]
    if differing:
        raise ValueError(
            f"{name} was written with other parameters: {', '.join(differing)}. Only {', '.join(FREE[:-1])} and "
            f"{FREE[-1]} may differ."
        )
    return {**there, **state}


# -- estimators --------------------------------------------------------------------------------------------------------


def _package():
    """Version of the package, its estimators and its targets by name."""
    import skneural  # stands above this module

    members = {name: getattr(skneural, name) for name in skneural.__all__}
    estimators = {name: cls for name, cls in members.items() if hasattr(cls, "get_params")}
    return skneural.__version__, estimators, classes_of(skneural.estimators._targets)


def encode(est):
    """An estimator as what the archive holds.

    Parameters
    ----------
    est : estimator

    Returns
    -------
    dict of ndarray
        The document and all arrays.

    Raises
    ------
    TypeError, ValueError
        As `save` does.
    """
    cls = type(est)
    version, estimators, targets = _package()
    if estimators.get(cls.__name__) is not cls:
        raise TypeError(
            f"Only the networks of skneural can be saved, got an object of type {cls.__qualname__}. Pickle keeps "
            "pipelines, searches and forecasters."
        )
    encoder, parameters = Encoder(targets), est.get_params(deep=False)
    state = {name: value for name, value in est.__getstate__().items() if name not in PASSING}
    requests = state.pop("_metadata_request", None)
    document = {"format": FORMAT, "version": VERSION, "package": version, "class": cls.__name__}
    document |= {"parameters": {}, "attributes": {}, "requests": {}}
    if requests is not None:
        methods = vars(requests).items()
        document["requests"] = {name: method.requests for name, method in methods if hasattr(method, "requests")}
    for name, value in state.items():
        kind = "parameter" if name in parameters else "attribute"
        try:
            document[f"{kind}s"][name] = encoder.encode(value, name)
        except (TypeError, ValueError) as error:
            raise type(error)(f"The {kind} {name!r} of {cls.__name__} cannot be saved: {error}") from None
    try:
        check(est, state)
    except ValueError as error:
        raise ValueError(f"{cls.__name__} cannot be saved: {error}") from None
    text = json.dumps(document, allow_nan=False).encode()
    return {DOCUMENT: np.frombuffer(text, np.uint8), **encoder.arrays}


def check(est, state):
    """Raise unless the parts of a fitted estimator fit together. The kernels rely on it: they work with addresses.

    Parameters
    ----------
    est : estimator
        With the parameters in `state`.
    state : dict
        Parameters and attributes by name.

    Raises
    ------
    ValueError
        If they do not.
    """
    if "_params" not in state:
        if any(name in state for name in ("_program", "_target", "_state")):
            raise ValueError("there are parts of a network without its parameters.")
        return  # not fitted
    est._validate_params()  # partial_fit does not do it
    program, targets = state["_program"], state["_target"]
    if type(program) is not Program:
        raise ValueError("the network is none.")
    solver = state.get("_state", {})
    run = solver.get("run", {})  # of a fit that is not at its end
    vectors = {"_params": state["_params"]}
    vectors |= {name: value for name, value in {**run, **solver}.items() if isinstance(value, np.ndarray)}
    for name, vector in vectors.items():
        if vector.dtype != program.dtype or vector.shape != (program.n_params,):
            raise ValueError(
                f"{name!r} has shape {vector.shape} and dtype {vector.dtype}, the network has {program.n_params} "
                f"parameters of {program.dtype}."
            )
    _, n_features, _, loss, _, n_timesteps = program.source
    expected = {"n_outputs_": program.n_outputs, "n_layers_": len(program.tensors) + 1, "_n_channels": n_features}
    if not state.get("_table"):  # whose columns are time steps
        expected["n_features_in_"] = n_features
    if hasattr(est, "tbptt_steps") != (n_timesteps > 0):
        raise ValueError("the network is not for the kind of data that the estimator reads.")
    if n_timesteps and not {"_n_channels", "_table"} <= state.keys():
        raise ValueError("it is not said what sequences the network reads.")
    for name, value in expected.items():
        if name in state and state[name] != value:
            raise ValueError(f"{name} is {state[name]!r}, of the network {value}.")
    if not is_device(state.get("device_", "cpu")):  # older files name none
        raise ValueError(f"there is no device {state['device_']!r}.")
    _check_targets(targets, state.get("classes_"), program.n_outputs, loss)


def _check_targets(targets, classes, n_outputs, loss):
    """Raise unless targets are what the loss reads: one class's number, or one number for each output."""
    link = LOSSES[loss].link
    if targets.n_outputs != n_outputs or targets.loss != loss:
        raise ValueError("the targets have other outputs or another loss than the network.")
    learnt = getattr(targets, "classes_", None)
    if learnt is None:
        if classes is not None or link in ("logistic", "softmax"):
            raise ValueError(f"the loss {loss!r} is for classes, and there are none.")
        each = 1 if targets.quantiles is None else len(targets.quantiles)
        scales = [targets.center, targets.scale]
        alike = all(s is None for s in scales) or all(np.shape(s) == (targets.n_targets,) for s in scales)
        if targets.n_targets * each != n_outputs or not alike:
            raise ValueError(f"there are {targets.n_targets} targets, but {n_outputs} outputs.")
        return
    ascending = learnt.ndim == 1 and len(learnt) > 0 and bool(np.all(learnt[1:] > learnt[:-1]))
    if not ascending or classes is None or not np.array_equal(learnt, classes):
        raise ValueError("the classes are not sorted, or not those of the targets.")
    if targets.multilabel and not np.array_equal(learnt, np.arange(n_outputs)):
        raise ValueError("the classes of several labels are not their numbers.")
    one_of_many = len(learnt) > 2 and not targets.multilabel
    if n_outputs != (len(learnt) if one_of_many or targets.multilabel else 1):
        raise ValueError(f"there are {len(learnt)} classes, but {n_outputs} outputs.")
    if link != ("softmax" if one_of_many else "logistic"):
        raise ValueError(f"the loss {loss!r} is not for these classes.")


# -- files -------------------------------------------------------------------------------------------------------------


def _read(path):
    """The estimator in a file, and its parameters and attributes by name."""
    with open(os.fspath(path), "rb") as file:
        try:
            return _decode(_members(file))
        except MemoryError:
            raise
        except Exception as error:  # damage may show anywhere
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that one is of a place before the file
                raise
            words = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            if type(error) is KeyError:
                words = f"{error} is missing."
            raise ValueError(f"{os.fsdecode(path)} cannot be loaded: {' '.join(words.split())}") from error


def _members(file):
    """The arrays of an archive by name, each checked before there is memory for it."""
    if not zipfile.is_zipfile(file):
        raise ValueError("it is not a file that skneural.save wrote, or the end is missing.")
    size = file.seek(0, os.SEEK_END)
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed, which skneural.save does not do.")
        if sum(member.file_size for member in members) > size:
            raise ValueError("it claims to hold more than there is.")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name == member.filename or name in arrays:
                raise ValueError(f"skneural.save writes no member {member.filename!r}.")
            arrays[name] = _array(archive.read(member))
    return arrays


def _array(data):
    """The array of a ``.npy`` member."""
    stream = io.BytesIO(data)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, fortran_order, dtype = readers[np.lib.format.read_magic(stream)](stream)
    return array_from(memoryview(data)[stream.tell() :], dtype, shape, "F" if fortran_order else "C")


def _decode(arrays):
    """The estimator that an archive holds, and its parameters and attributes by name."""
    if DOCUMENT not in arrays:
        raise ValueError("it is not a file that skneural.save wrote.")
    document = json.loads(arrays.pop(DOCUMENT).tobytes(), parse_constant=_no_constant)
    if document.get("format") != FORMAT or type(document["version"]) is not int or document["version"] < 1:
        raise ValueError("it is not a file that skneural.save wrote.")
    if document["version"] > VERSION:
        raise ValueError(
            f"it was written by a newer version of skneural ({document['package']}): its format is "
            f"{document['version']}, this version reads {VERSION}."
        )
    _, estimators, targets = _package()
    cls = estimators.get(document["class"])
    if cls is None:
        raise ValueError(f"there is no estimator {document['class']!r} here: was it written by a newer version?")
    unknown = document["parameters"].keys() - cls().get_params(deep=False)
    if unknown:
        raise ValueError(f"{cls.__name__} has no parameters {sorted(unknown)} here: was it written by a newer version?")
    parameters, attributes, requests = document["parameters"], document["attributes"], document["requests"]
    for name in attributes:
        if name in PASSING or name in parameters or callable(getattr(cls, name, None)):
            raise ValueError(f"{name!r} is not an attribute that skneural.save writes.")
    decoder = Decoder(arrays, targets)
    state = {name: decoder.decode(node) for name, node in {**parameters, **attributes}.items()}
    if decoder.arrays:
        raise ValueError(f"nothing refers to the arrays {sorted(decoder.arrays)}.")
    est = cls()
    for name in parameters:
        setattr(est, name, state[name])
    check(est, state)
    est.__setstate__({**vars(est), **state})
    if requests:
        _request_metadata(est, requests)
    return est, state


def _request_metadata(est, requests):
    routing = est.get_metadata_routing()
    for method, aliases in requests.items():
        for name, alias in aliases.items():
            vars(routing)[method].add_request(param=name, alias=alias)
    est._metadata_request = routing


def _no_constant(name):
    raise ValueError(f"{name} is not JSON.")
