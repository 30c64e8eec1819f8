"""Fitted estimators as files that hold no code: safetensors, with one JSON document in the metadata."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import zipfile

import numpy as np
import safetensors.numpy

from skneural.encoding import Decoder, Encoder, array_from, same

FORMAT = "skneural estimator"
VERSION = 2
#: The entry of the metadata that holds the document; in archives, as version 1 wrote them, the member.
DOCUMENT = "skneural"
MEMBER = "document.npy"

#: Of a document. The header that holds it may have 100 MB, and quotes take two bytes there.
LONGEST_DOCUMENT = 45_000_000

FOREIGN = "it is not a file that skneural.save wrote, or it is damaged."
#: Where those go that are not ours alone.
ELSEWHERE = (
    "skops.io.dump(model, path) saves pipelines, searches and forecasters, and skops.io.load(path, "
    "trusted=skops.io.get_untrusted_types(file=path)) loads them, once you have looked at these types; a forecaster of "
    "a pandas series needs joblib.dump."
)

#: Constructor parameters that may change where a fit goes on.
FREE = ("max_iter", "verbose", "n_jobs", "device", "precision")


def save(est, path, *, for_serving=False):
    """Save an estimator, fitted or not, to a file that `load` reads.

    The file holds numbers and text, no code: it is safe to load, whoever wrote it. Constructor parameters, fitted
    attributes, the state of the solver (so that `partial_fit` and `warm_start` go on where they were) and metadata
    requests come back bit by bit. Callbacks are not saved.

    Its format is `safetensors <https://github.com/huggingface/safetensors>`_: arrays are tensors, and everything else
    is a JSON document, which stands as ``"skneural"`` in the metadata.

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
        If `est` is of another class, such as a pipeline (``skops.io.dump`` saves those), or if it holds what is not
        data: a callable parameter, for instance.
    ValueError
        If a parameter is out of range, if `est` has an attribute that files do not hold, if its parts contradict each
        other, or if what is no array of numbers is longer than 45 MB.
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
    document, tensors = encode(est, for_serving=for_serving)
    # Not `save_file`: it leaves files of its own where a process is killed, and only their owner may read them.
    content = safetensors.numpy.save(tensors, {DOCUMENT: document})
    target = os.path.realpath(os.fsdecode(path))
    temporary = target + ".tmp"
    with contextlib.suppress(FileNotFoundError):
        os.remove(temporary)  # of a process that was killed
    try:
        with open(temporary, "xb") as file:
            file.write(content)
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
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "Not a regular file, and no place for one", path)


def load(path):
    """Load an estimator that `save` wrote. Nothing in the file is executed: it may come from anyone.

    Files of the first versions, which were archives of NumPy's, are read, too.

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
    here = est.get_params(deep=False)
    there = saved.get_params(deep=False)
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
    """An estimator as what a file holds.

    Parameters
    ----------
    est : estimator
    for_serving : bool, default=False
        As `save` has it.

    Returns
    -------
    document : str
        JSON.
    tensors : dict of ndarray
        What the document refers to, by name.

    Raises
    ------
    TypeError, ValueError
        As `save` does.
    """
    from skneural.estimators._saved import check_saved  # stand above this module
    from skneural.estimators._state import CALLBACKS, CLASSES
    from skneural.estimators._state import for_serving as without_training

    cls = type(est)
    version, estimators = _package()
    if estimators.get(cls.__name__) is not cls:
        raise TypeError(
            f"Only the networks of skneural can be saved, got an object of type {cls.__qualname__}. {ELSEWHERE}"
        )
    state = {name: value for name, value in est.__getstate__().items() if name not in (*CALLBACKS, CLASSES)}
    if for_serving:
        state = without_training(state)
    encoder = Encoder()
    parameters = est.get_params(deep=False)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "package": version,
        "class": cls.__name__,
        "parameters": {},
        "attributes": {},
        "requests": state.get("_metadata_request", {}),
    }
    for name, value in state.items():
        if name == "_metadata_request":
            continue
        kind = "parameter" if name in parameters else "attribute"
        try:
            document[f"{kind}s"][name] = encoder.encode(value, name)
        except (TypeError, ValueError) as error:
            raise type(error)(f"The {kind} {name!r} of {cls.__name__} cannot be saved: {error}") from None
    try:
        check_saved(est, state)
    except ValueError as error:
        raise ValueError(f"{cls.__name__} cannot be saved: {error}") from None
    text = json.dumps(document, allow_nan=False)
    if len(text) > LONGEST_DOCUMENT:
        raise ValueError(
            f"{cls.__name__} cannot be saved: what is no array of numbers takes {len(text):,} bytes, and files hold "
            f"{LONGEST_DOCUMENT:,}."
        )
    return text, encoder.tensors


# -- files -------------------------------------------------------------------------------------------------------------


def _read(path):
    """The estimator in a file, and its parameters and attributes by name."""
    from skneural.estimators._state import reason  # stands above this module

    with open(os.fspath(path), "rb") as file:
        try:
            is_archive = file.read(2) == b"PK"
            file.seek(0)
            document, arrays = _read_archive(file) if is_archive else _read_tensors(file)
            return _decode(document, arrays)
        except MemoryError:
            raise
        except Exception as error:  # damage may show anywhere
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that one is of a place before the file
                raise
            raise ValueError(f"{os.fsdecode(path)} cannot be loaded: {reason(error)}") from error


def _read_tensors(file):
    """Document and tensors of a safetensors file: eight bytes with the length of a header, the header, the tensors."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if length > size:
        raise ValueError(FOREIGN)
    try:
        document = json.loads(file.read(length))["__metadata__"][DOCUMENT]
    except (ValueError, LookupError, TypeError):
        raise ValueError(FOREIGN) from None
    file.seek(0)
    try:
        # Not mapped into memory: a file that becomes shorter meanwhile would end the process.
        return document, safetensors.numpy.load(file.read())
    except (safetensors.SafetensorError, LookupError) as error:
        raise ValueError(f"its tensors are damaged, or of an unknown kind ({error}).") from None


def _read_archive(file):
    """Document and arrays of a file of version 1, an archive of ``.npy`` members that are not compressed."""
    size = file.seek(0, os.SEEK_END)
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        if MEMBER not in archive.namelist():
            raise ValueError(FOREIGN)
        if sum(member.file_size for member in archive.infolist()) > size:
            raise ValueError("it is compressed, or claims to hold more than there is.")
        for member in archive.infolist():
            data = archive.read(member)
            stream = io.BytesIO(data)
            np.lib.format.read_magic(stream)
            shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            content = memoryview(data)[stream.tell() :]
            name = member.filename.removesuffix(".npy")
            arrays[name] = array_from(content, dtype, shape, "F" if is_fortran else "C")
    return arrays.pop("document").tobytes(), arrays


def _decode(document, arrays):
    """The estimator that a document and its arrays describe, and its parameters and attributes by name."""
    from skneural.estimators._layers import HOLDERS, from_plain_layers  # stand above this module
    from skneural.estimators._saved import check_saved

    document = json.loads(document, parse_constant=_no_constant)
    if document.get("format") != FORMAT or type(document["version"]) is not int or document["version"] < 1:
        raise ValueError(FOREIGN)
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
    parameters = document["parameters"]
    attributes = document["attributes"]
    known = est.get_params(deep=False)
    unknown = parameters.keys() - known
    if unknown:
        raise ValueError(f"{cls.__name__} has no parameters {sorted(unknown)} here: was it written by a newer version?")
    for name in attributes:
        if name in known:
            raise ValueError(f"{name!r} is not an attribute that files hold.")
    decoder = Decoder(arrays)
    state = {name: decoder.decode(node) for name, node in {**parameters, **attributes}.items()}
    if decoder.tensors:
        raise ValueError(f"nothing refers to the arrays {sorted(decoder.tensors)}.")
    if document["requests"]:
        state["_metadata_request"] = document["requests"]
    for name in parameters:
        value = state[name]
        setattr(est, name, from_plain_layers(value) if name in HOLDERS else value)
    check_saved(est, state)
    est._restore({**vars(est), **state})
    return est, state


def _no_constant(name):
    raise ValueError(f"{name} is not JSON.")
