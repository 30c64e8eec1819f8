"""Fitted estimators as files that hold no code: an uncompressed ``.npz`` archive of arrays and one JSON document."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import stat
import zipfile

import numpy as np

from skneural.encoding import Decoder, Encoder, array_from, same

FORMAT, VERSION = "skneural estimator", 1
#: The member that holds the document.
DOCUMENT = "document"

#: Attributes that say what a network is.
DESCRIPTIONS = ("_program", "_target")
#: Constructor parameters that may change where a fit goes on.
FREE = ("max_iter", "verbose", "n_jobs", "device", "precision")


def save(est, path, *, for_serving=False):
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
        The file, with any suffix. If it exists, it is replaced; a link to a file stays one.
    for_serving : bool, default=False
        Leave out what predictions do not need: the vectors of the optimizer (of 'adam', twice as many numbers as there
        are weights) and what was recorded of every epoch (`loss_curve_`, `history_`, `validation_scores_` and
        `validation_loss_curve_` come back empty). The file is little larger than the weights. Its estimator predicts
        the same bits; `partial_fit` and ``warm_start=True`` go on from its weights, with an optimizer that begins
        anew.

    Raises
    ------
    TypeError
        If `est` is of another class, or if it holds what is not data: a callable parameter, for instance.
    ValueError
        If a parameter is out of range, if `est` has an attribute that files do not hold, or if its parts contradict
        each other.
    OSError
        If the file cannot be written, or if `path` is something else than a file: a folder, a device or a pipe.

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
    check_place(path)
    members = encode(est, for_serving=for_serving)
    target = os.path.realpath(os.fsdecode(path))
    temporary = target + ".tmp"
    with contextlib.suppress(FileNotFoundError):
        os.remove(temporary)  # of a process that was killed
    try:
        with open(temporary, "xb") as file:
            _write(file, members)
            file.flush()
            os.fsync(file.fileno())
        if os.path.exists(target):
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def check_place(path):
    """Raise if a path is that of something else than a file, which a file would replace.

    Raises
    ------
    OSError
        If it is a folder, a device, a pipe or a socket.
    """
    path = os.fspath(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file, and no place for one", path)


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
    """Version of the package, and its estimators by name."""
    import skneural  # stands above this module

    members = {name: getattr(skneural, name) for name in skneural.__all__}
    estimators = {name: cls for name, cls in members.items() if hasattr(cls, "get_params")}
    return skneural.__version__, estimators


def encode(est, *, for_serving=False):
    """An estimator as what the archive holds.

    Parameters
    ----------
    est : estimator
    for_serving : bool, default=False
        As `save` has it.

    Returns
    -------
    dict of ndarray
        The document and all arrays.

    Raises
    ------
    TypeError, ValueError
        As `save` does.
    """
    from skneural.estimators._saved import check_saved  # stand above this module
    from skneural.estimators._state import CALLBACKS
    from skneural.estimators._state import for_serving as without_training

    cls = type(est)
    version, estimators = _package()
    if estimators.get(cls.__name__) is not cls:
        raise TypeError(
            f"Only the networks of skneural can be saved, got an object of type {cls.__qualname__}. Pickle keeps "
            "pipelines, searches and forecasters."
        )
    state = {name: value for name, value in est.__getstate__().items() if name not in CALLBACKS}
    if for_serving:
        state = without_training(state)
    encoder, parameters = Encoder(), est.get_params(deep=False)
    document = {"format": FORMAT, "version": VERSION, "package": version, "class": cls.__name__}
    document |= {"parameters": {}, "attributes": {}, "requests": state.get("_metadata_request", {})}
    for name, value in state.items():
        if name == "_metadata_request":
            continue
        encode = encoder.encode_description if name in DESCRIPTIONS else encoder.encode
        kind = "parameter" if name in parameters else "attribute"
        try:
            document[f"{kind}s"][name] = encode(value, name)
        except (TypeError, ValueError) as error:
            raise type(error)(f"The {kind} {name!r} of {cls.__name__} cannot be saved: {error}") from None
    try:
        check_saved(est, state)
    except ValueError as error:
        raise ValueError(f"{cls.__name__} cannot be saved: {error}") from None
    text = json.dumps(document, allow_nan=False).encode()
    return {DOCUMENT: np.frombuffer(text, np.uint8), **encoder.arrays}


# -- files -------------------------------------------------------------------------------------------------------------


def _write(file, members):
    """Write arrays as `numpy.savez` does, but never as pickles; it takes `allow_pickle` since NumPy 2.1 only."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _read(path):
    """The estimator in a file, and its parameters and attributes by name."""
    from skneural.estimators._state import reason  # stands above this module

    with open(os.fspath(path), "rb") as file:
        try:
            return _decode(_members(file))
        except MemoryError:
            raise
        except Exception as error:  # damage may show anywhere
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that one is of a place before the file
                raise
            raise ValueError(f"{os.fsdecode(path)} cannot be loaded: {reason(error)}") from error


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
    from skneural.estimators._saved import check_saved  # stands above this module

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
    _, estimators = _package()
    cls = estimators.get(document["class"])
    if cls is None:
        raise ValueError(f"there is no estimator {document['class']!r} here: was it written by a newer version?")
    est = cls()
    parameters, attributes = document["parameters"], document["attributes"]
    known = est.get_params(deep=False)
    unknown = parameters.keys() - known
    if unknown:
        raise ValueError(f"{cls.__name__} has no parameters {sorted(unknown)} here: was it written by a newer version?")
    for name in attributes:
        if name in known:
            raise ValueError(f"{name!r} is not an attribute that files hold.")
    decoder = Decoder(arrays)
    state = {name: decoder.decode(node) for name, node in {**parameters, **attributes}.items()}
    if decoder.arrays:
        raise ValueError(f"nothing refers to the arrays {sorted(decoder.arrays)}.")
    if document["requests"]:
        state["_metadata_request"] = document["requests"]
    for name in parameters:
        setattr(est, name, state[name])
    check_saved(est, state)
    est._restore({**vars(est), **state})
    return est, state


def _no_constant(name):
    raise ValueError(f"{name} is not JSON.")
