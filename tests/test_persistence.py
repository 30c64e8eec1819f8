"""Files of estimators: what comes back, what is refused, and what damaged or hostile files do."""

import collections
import json
import os
import pathlib
import pickle
import signal
import struct
import tracemalloc
import types
import zipfile

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import sklearn
from conftest import KINDS, assert_same_bits, estimator_for, problem
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import LSTMRegressor, MLPClassifier, MLPRegressor, encoding
from skneural.callbacks import Checkpoint
from skneural.estimators._state import CALLBACKS
from skneural.persistence import LONGEST_DOCUMENT, load, read_state, save

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FILES = pathlib.Path(__file__).parent / "files"
SMALL = {"hidden_layer_sizes": (7, 4), "max_iter": 4, "random_state": 0, "batch_size": 16}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "estimator.skn"


def small(kind="multiclass", **parameters):
    """A small estimator for a kind of target."""
    return estimator_for(kind)(**{**SMALL, **problem(kind)[2], **parameters})


def fitted(kind="multiclass", dtype=np.float64, **parameters):
    """A small fitted estimator."""
    X, y, _ = problem(kind)
    return small(kind, **parameters).fit(X.astype(dtype), y)


def saved_and_loaded(est, path):
    save(est, path)
    return load(path)


def assert_alike(a, b):
    """Two values have the same type and the same bits, all the way down."""
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        if a.dtype == object:
            assert_alike(a.ravel().tolist(), b.ravel().tolist())
        else:
            assert a.tobytes() == b.tobytes()
    elif isinstance(a, np.generic):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    elif isinstance(a, float):
        assert struct.pack("d", a) == struct.pack("d", b)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_alike(left, right)
    elif isinstance(a, dict):
        assert_alike(list(a), list(b))
        assert_alike(list(a.values()), list(b.values()))
    elif isinstance(a, np.random.RandomState):
        assert_alike(a.get_state(legacy=False), b.get_state(legacy=False))
    else:
        assert a == b


def assert_same_estimator(a, b):
    """Two estimators of one class agree in everything that would be saved."""
    assert type(a) is type(b)
    others = {"_metadata_request", *CALLBACKS}
    a, b = ({name: v for name, v in est.__getstate__().items() if name not in others} for est in (a, b))
    assert a.keys() == b.keys()
    for name in a:
        assert_alike(a[name], b[name])


# -- there and back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_everything_comes_back(kind, dtype, path):
    X, y, _ = problem(kind)
    X = X.astype(dtype)
    est = fitted(kind, dtype)
    back = saved_and_loaded(est, path)
    assert_same_estimator(est, back)
    assert_alike(back.predict(X), est.predict(X))
    assert back.coefs_[0].base is not None  # views of one vector, as in any fitted estimator
    # And training goes on from there as it would have gone on.
    for _ in range(2):
        est.partial_fit(X, y)
        back.partial_fit(X, y)
        assert_same_bits(est, back)
    del est.history_["time"], back.history_["time"]
    assert_same_estimator(est, back)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_warm_start_goes_on(solver, path):
    X, y, _ = problem("multiclass")
    est = fitted(solver=solver, warm_start=True, learning_rate="invscaling")
    back = saved_and_loaded(est, path)
    assert_same_bits(est.fit(X, y), back.fit(X, y))
    assert est.loss_curve_ == back.loss_curve_
    assert len(back.loss_curve_) == 8


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes", "maybe"]),
        np.array(["no", "yes", "a longer label"], dtype=object),
        np.array([2.0, -1.0, 7.0]),
        np.array([True, False]),
        np.array([3]),
    ],
    ids=["str", "objects", "float", "bool", "one class"],
)
def test_labels(labels, path):
    X, y, _ = problem("multiclass")
    y = labels[y % len(labels)]
    est = small().fit(X, y)
    back = saved_and_loaded(est, path)
    assert_same_estimator(est, back)
    assert_alike(back.predict(X), est.predict(X))
    assert_alike(back.classes_, est.classes_)


def test_labels_of_several_columns(path):
    X, y, _ = problem("multilabel")
    est = small("multilabel").fit(X, sparse.csr_matrix(y))
    back = saved_and_loaded(est, path)
    assert_same_estimator(est, back)
    assert (back.predict(X) != est.predict(X)).nnz == 0


def test_sparse_data(path):
    X, y, _ = problem("multiclass")
    X = sparse.csr_matrix(np.where(np.abs(X) < 1, 0, X))
    est = small(warm_start=True).fit(X, y)
    back = saved_and_loaded(est, path)
    for rows in (X, X.toarray()):
        assert_alike(back.predict_proba(rows), est.predict_proba(rows))
    assert_same_bits(back.fit(X, y), est.fit(X, y))


def test_names_of_features(path):
    pandas = pytest.importorskip("pandas")
    X, y, _ = problem("multiclass")
    X = pandas.DataFrame(X, columns=list("abcde"))
    est = small().fit(X, y)
    back = saved_and_loaded(est, path)
    assert_same_estimator(est, back)
    with pytest.raises(ValueError, match="feature names"):
        back.predict(X[list("edcba")])


@pytest.mark.parametrize(
    "parameters",
    [
        {"early_stopping": True, "validation_fraction": 0.3},
        {"dropout": [0.2, np.float32(0.1)], "hidden_layer_sizes": [7, 4], "normalization": "batch"},
        {"hidden_layer_sizes": np.array([5, 5]), "residual": True, "input_noise": 0.1, "monitor_gradients": True},
        {"class_weight": {np.int64(0): 2.0, 1: np.float64(0.5), 2: 1}, "scoring": "neg_log_loss", "n_jobs": 1},
        {"n_iter_no_change": np.inf, "solver": "lbfgs", "random_state": None, "verbose": np.bool_(False)},
        {"loss": "focal", "focal_alpha": [0.2, 0.3, 0.5], "normalization": "layer", "activation": ("gelu", "tanh")},
    ],
    ids=["early stopping", "batch norm", "residual", "class weight", "lbfgs", "focal"],
)
def test_parameters_come_back(parameters, path):
    X = problem("multiclass")[0]
    est = fitted(**parameters)
    back = saved_and_loaded(est, path)
    assert_same_estimator(est, back)
    assert_alike(back.predict_proba(X), est.predict_proba(X))


def test_estimators_that_are_not_fitted(path):
    est = MLPRegressor(hidden_layer_sizes=(3,), alpha=2)
    back = saved_and_loaded(est, path)
    assert repr(back) == repr(est)
    assert_same_estimator(est, back)
    assert not hasattr(back, "coefs_")


def test_coefficients_set_by_hand(path):
    X, y, _ = problem("multiclass")
    est = fitted()
    est.coefs_[0] = np.zeros_like(est.coefs_[0])
    back = saved_and_loaded(est, path)
    assert not back.coefs_[0].any()
    assert_alike(back.predict_proba(X), est.predict_proba(X))
    fresh = small(warm_start=True)
    fresh.coefs_, fresh.intercepts_ = [c.copy() for c in est.coefs_], [c.copy() for c in est.intercepts_]
    back = saved_and_loaded(fresh, path)
    assert_same_bits(fresh.fit(X, y), back.fit(X, y))


VALUES = [
    None, True, 0, -1, 2**63, -(10**5000), 0.1, -0.0, 5e-324, np.inf, -np.inf, np.nan,
    struct.unpack("d", b"\1\0\0\0\0\0\xf8\xff")[0],  # a NaN of its own
    "", "text", "\ud800 \0 ä", [], (), {}, [1, 2.5, "a", None], [[1.5, np.nan], [1.5]], ([()],), [0.5, 1],
    [np.float64(1), np.float64("nan")], [np.float32(1), np.float64(2)], [np.arange(3.0), np.ones(3)],
    [np.arange(3.0), np.ones(4)], [np.zeros((0, 2)), np.zeros((0, 2))], [np.array(1), np.array(2)], [np.str_("a")],
    {"a": 1, 2: "b", 2.5: None, None: 0, (1, "x"): [], np.int64(7): 1, True: {}},
    {"tuple": [1]}, {"a": 1, "not a name": np.zeros(2), "\ud800": np.ones(2)}, {"a": {"b": np.ones(1)}, "a.b": 1},
    [np.zeros((2, 2)), {"x": np.ones(3), "y": [np.ones(1)]}], [0.1, np.nan, -0.0] * 20, [np.float32(0.1)] * 30,
    [np.arange(3.0)] * 30, [np.zeros((2, 0))] * 30, [np.array(1.0)] * 30, [np.arange(3, dtype=">i4")] * 30,
    [np.longdouble("0.1")] * 30, [0.5] * 29 + [np.float64(1)], [np.ones(3)] * 29 + [np.ones(4)], [True] * 30, [()] * 30,
    np.float64(0.1), np.float32("nan"), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True), np.complex64(1 + 2j),
    np.str_("naïve"), np.str_(""), np.bytes_(b"\0ab"), np.longdouble("0.1"),
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(10)[::3],
    np.array(3.5), np.zeros((0, 4), np.float32), np.array([True, False]), np.arange(3, dtype=">i4"),
    np.array(["a", "bcd"]), np.array([b"a", b"bcd"]), np.array(["ä", 1, None, 2.5, np.nan], dtype=object),
    np.empty((2, 0), object), np.array([["a"], ["b"]], dtype=object),
]  # fmt: skip


def encoded_and_decoded(value):
    encoder = encoding.Encoder()
    document = json.loads(json.dumps(encoder.encode(value, "note"), allow_nan=False))
    return encoding.Decoder(encoder.tensors).decode(document)


@pytest.mark.parametrize("i", range(len(VALUES)))
def test_values_come_back(i):
    assert_alike(encoded_and_decoded(VALUES[i]), VALUES[i])


def test_long_histories_are_arrays(path):
    est = fitted()
    est.loss_curve_ = [0.5] * 100_000
    est.history_["gradient_norm"] = [np.ones(3)] * 1000
    save(est, path)
    assert path.stat().st_size < 900_000
    assert len(members(path)[1]) < 20
    assert_same_estimator(load(path), est)


@pytest.mark.parametrize("name", ["MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"])
def test_random_generators_come_back(name, path):
    est = MLPClassifier(random_state=np.random.RandomState(getattr(np.random, name)(3)))
    est.random_state.standard_normal(3)  # an odd count leaves a number for the next call
    est.random_state.randint(10, size=3, dtype=np.uint32)
    back = saved_and_loaded(est, path)
    assert_same_estimator(est, back)
    assert_alike(back.random_state.standard_normal(9), est.random_state.standard_normal(9))


def test_metadata_requests_are_kept_and_callbacks_are_not(path):
    with sklearn.config_context(enable_metadata_routing=True):
        est = MLPClassifier().set_fit_request(sample_weight=True, X_val="rows").set_score_request(sample_weight=False)
    back = saved_and_loaded(est.set_callbacks(Checkpoint(path)), path)
    assert str(back.get_metadata_routing()) == str(est.get_metadata_routing())
    assert back.get_metadata_routing().fit.requests["X_val"] == "rows"
    assert back.get_metadata_routing().owner is back
    assert not hasattr(back, "_skl_callbacks")
    assert hasattr(est, "_skl_callbacks")


def test_pickles_of_loaded_estimators(path):
    est = fitted()
    assert_same_estimator(pickle.loads(pickle.dumps(saved_and_loaded(est, path))), est)
    assert repr(clone(load(path))) == repr(est)


@pytest.mark.parametrize("name", ["model", "model.npz", "with space.skn", "größe"])
def test_names_of_files(name, tmp_path):
    est = MLPRegressor()
    save(est, str(tmp_path / name))
    assert os.listdir(tmp_path) == [name]
    assert repr(load(tmp_path / name)) == repr(est)
    with safetensors.safe_open(tmp_path / name, framework="numpy") as file:
        assert json.loads(file.metadata()["skneural"])["class"] == "MLPRegressor"


# -- what cannot be saved ----------------------------------------------------------------------------------------------


class Subclass(MLPRegressor):
    pass


@pytest.mark.parametrize(
    "est",
    [Subclass(), LogisticRegression(), make_pipeline(MLPRegressor()), MLPRegressor, None],
    ids=["subclass", "another library's", "pipeline", "class", "None"],
)
def test_only_our_estimators_are_saved(est, path):
    with pytest.raises(TypeError, match="Only the networks of skneural can be saved"):
        save(est, path)
    assert not path.exists()


def _cycle():
    items = []
    items.append(items)
    return items


REFUSED = {
    "function": lambda est, X, y: 0.0,
    "class": collections.OrderedDict,
    "dict of another class": collections.OrderedDict(a=1),
    "set": {1},
    "bytes": b"a",
    "module": np,
    "estimator": MLPRegressor(),
    "dates": np.zeros(2, "M8[s]"),
    "records": np.zeros(2, "i4,f8"),
    "masked": np.ma.zeros(2),
    "objects": np.array([1, len], dtype=object),
    "nested": {"a": [(len,)]},
    "cycle": _cycle(),
    "abstract": np.floating,
    "type": np.float32,
    "dtype": np.dtype("f4"),
    "generator": np.random.default_rng(0),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_data_is_refused(what, path):
    path.write_bytes(b"old")
    with pytest.raises((TypeError, ValueError), match="The parameter 'scoring' of MLPClassifier cannot be saved: it h"):
        save(MLPClassifier(scoring=REFUSED[what]), path)
    est = MLPRegressor()
    est.loss_ = REFUSED[what]
    with pytest.raises((TypeError, ValueError), match="The attribute 'loss_' of MLPRegressor cannot be saved: it h"):
        save(est, path)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_networks_that_contradict_themselves_are_not_saved(path):
    est = fitted()
    est.n_features_in_ = 6
    with pytest.raises(ValueError, match="MLPClassifier cannot be saved: n_features_in_ is 6, of the network 5"):
        save(est, path)


# -- writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["save", "fsync", "replace"])
def test_failed_saves_leave_the_old_file(where, error, path, monkeypatch):
    old, new = MLPRegressor(alpha=1), MLPRegressor(alpha=2)
    save(old, path)

    def fail(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.numpy if where == "save" else os, where, fail)
        with pytest.raises(type(error)):
            save(new, path)
    assert os.listdir(path.parent) == [path.name]
    assert load(path).alpha == 1
    save(new, path)
    assert load(path).alpha == 2


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_a_full_disk_leaves_the_old_file(path):
    resource = pytest.importorskip("resource")
    save(MLPRegressor(alpha=1), path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            save(MLPRegressor(alpha=2), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert os.listdir(path.parent) == [path.name]
    assert load(path).alpha == 1


def test_leftovers_of_killed_processes_do_not_pile_up(path):
    leftover = path.with_name(path.name + ".tmp")
    leftover.write_bytes(b"half of a file")
    save(MLPRegressor(), path)
    assert os.listdir(path.parent) == [path.name]
    load(path)


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_links_and_modes_stay(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(target)
    save(MLPRegressor(alpha=3), link)
    assert link.is_symlink()
    save(MLPRegressor(), tmp_path / "new")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode
    assert target.stat().st_mode & 0o777 == 0o600
    assert load(target).alpha == 3


def test_errors_of_the_file_system_stay_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        save(MLPRegressor(), tmp_path / "none" / "file")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises((IsADirectoryError, PermissionError)):
        save(MLPRegressor(), tmp_path)
    assert os.listdir(tmp_path) == []
    for what in (3, None):
        with pytest.raises(TypeError):
            load(what)
        with pytest.raises(TypeError):
            save(MLPRegressor(), what)


# -- damaged and hostile files -----------------------------------------------------------------------------------------


def parts(content):
    """Header of a safetensors file, and what follows it."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]


def members(path):
    """Document and arrays of a file."""
    content = pathlib.Path(path).read_bytes()
    header, _ = parts(content)
    return json.loads(header["__metadata__"]["skneural"]), safetensors.numpy.load(content)


def write(path, document, arrays):
    """A file as `save` writes them, whatever is in it."""
    text = document if isinstance(document, str) else json.dumps(document)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    pathlib.Path(path).write_bytes(safetensors.numpy.save(arrays, {"skneural": text}))


def used(document, arrays):
    """The arrays that a document refers to."""
    text = json.dumps(document)
    return {name: array for name, array in arrays.items() if f'{{"array": "{name}"}}' in text}


def write_header(path, header, content=b""):
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def archived(path=FILES / "version1_mlp.skn"):
    """Document and arrays of a file of version 1."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop("document").tobytes()), arrays


def write_archive(path, document, arrays, savez=np.savez):
    """A file as version 1 wrote them, whatever is in it."""
    text = np.frombuffer(json.dumps(document).encode(), np.uint8)
    with open(path, "wb") as file:
        savez(file, document=text, **arrays)


def refuse(path, match):
    """Loading the file must say so in one line that names the file."""
    with pytest.raises(ValueError, match=match) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path} cannot be loaded: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"no file of ours", b"\x80\x04N.", b"PK\x05\x06" + bytes(18), bytes(100), b"\xff" * 100, b"{}"],
    ids=["empty", "text", "pickle", "empty archive", "zeros", "ones", "json"],
)
def test_foreign_files(content, path):
    path.write_bytes(content)
    refuse(path, "it is not a file that skneural.save wrote")


@pytest.mark.parametrize(
    "header",
    [{}, [], 3, {"__metadata__": {}}, {"__metadata__": []}, {"__metadata__": {"format": "pt"}}, b"{", b"[" * 99_999],
    ids=["empty", "list", "number", "no metadata", "metadata of another kind", "of others", "broken", "deep"],
)
def test_foreign_headers(header, path):
    write_header(path, header)
    refuse(path, "it is not a file that skneural.save wrote|RecursionError")


def test_tensors_that_are_not_there(sample, path):
    header, content = parts(sample[1].read_bytes())
    name = "_params"
    start, end = header[name]["data_offsets"]
    for change in (
        {"shape": [2**40], "data_offsets": [start, start + 2**43]},
        {"shape": [2**63, 2**63]},
        {"shape": [2**63, 0], "data_offsets": [start, start]},
        {"shape": [-1]},
        {"shape": [1] * 100},
        {"shape": [end]},
        {"data_offsets": [0, end - start]},
        {"data_offsets": [start, 2**70]},
        {"dtype": "BF16"},
        {"dtype": "F4"},
        {"dtype": 3},
        {"dtype": None},
    ):
        write_header(path, {**header, name: {**header[name], **change}}, content)
        refuse(path, "its tensors are damaged|Maximum allowed dimension|maximum supported dimension|_params")
    write_header(path, header, content)
    assert_same_estimator(load(path), sample[0])
    write_header(path, header, content + b"more")
    refuse(path, "its tensors are damaged")


def test_headers_that_claim_too_much(path):
    tracemalloc.start()
    try:
        for length in (101, 2**30, 2**63, 2**64 - 1):
            path.write_bytes(struct.pack("<Q", length) + b"{" * 92)
            refuse(path, "it is not a file that skneural.save wrote")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_lists_that_are_longer_than_the_file(sample, path):
    document, arrays = members(sample[1])
    document["attributes"]["loss_curve_"] = {"list": ["array", "long"]}
    write(path, document, {**arrays, "long": np.zeros((2**40, 0))})
    refuse(path, "'long' is not a list")


def test_documents_that_are_too_long_are_not_saved(path, monkeypatch):
    monkeypatch.setattr("skneural.persistence.LONGEST_DOCUMENT", 10_000)
    est = MLPClassifier(class_weight=dict.fromkeys(range(5000), 1.0))
    with pytest.raises(ValueError, match=r"no array of numbers takes [0-9,]+ bytes, and files hold 10,000"):
        save(est, path)
    assert not path.exists()


@pytest.mark.slow  # half a gigabyte
def test_quotes_fit_into_the_longest_document(path):
    text = '"' * LONGEST_DOCUMENT
    content = safetensors.numpy.save({}, {"skneural": text})
    assert parts(content)[0]["__metadata__"]["skneural"] == text
    assert safetensors.numpy.load(content) == {}


# -- archives, as version 1 wrote them ---------------------------------------------------------------------------------


def test_archives_are_read(path):
    write_archive(path, *archived())
    assert_same_estimator(load(path), load(FILES / "version1_mlp.skn"))


def test_foreign_archives(path):
    np.savez(path.with_suffix(".npz"), a=np.arange(3))
    refuse(path.with_suffix(".npz"), "it is not a file that skneural.save wrote")
    write_archive(path, {"format": "of someone else", "version": 1}, {})
    refuse(path, "it is not a file that skneural.save wrote")
    for name, words in (("readme.txt", "it is not a file that"), ("document.npy", "magic string is not correct")):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, "text that is not an array")
        refuse(path, words)


def test_pickled_arrays_are_not_opened(path):
    document, arrays = archived()
    document["attributes"]["note_"] = {"array": "x"}

    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("a pickle was opened",)

    write_archive(path, document, {**arrays, "x": np.array([Bomb()], dtype=object)})
    refuse(path, "dtype object, which is not allowed")


def test_compressed_archives(path):
    write_archive(path, *archived(), np.savez_compressed)
    refuse(path, "it is compressed")


def test_members_that_claim_too_much(path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros(3))
    for shape in [(2**40,), (2**63, 2**63), (-1, -3), (3, 0)]:
        with zipfile.ZipFile(path, "w") as archive, archive.open("document.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, {**header, "shape": shape})
            member.write(bytes(24))
        refuse(path, ".")
    # Several entries of the directory that lead to the same bytes.
    write_archive(path, *archived())
    with zipfile.ZipFile(path, "a") as archive:
        entry = archive.infolist()[1]
        archive.filelist += [entry] * 100
        archive._didModify = True
    refuse(path, "claims to hold more than there is")


# -- hostile documents -------------------------------------------------------------------------------------------------


def network(document):
    """The description of the network in a document."""
    return document["attributes"]["_program"]


def layer(document, i):
    """Fields of the layer number i."""
    return network(document)["layers"][i]


def _set(*keys, to):
    """A change of a document."""

    def change(document, arrays):
        node = document
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = to

    return change


def _in_network(name, to):
    return lambda document, arrays: network(document).update({name: to})


def _in_layer(i, **fields):
    return lambda document, arrays: layer(document, i).update(fields)


def _in_targets(**attributes):
    return lambda document, arrays: document["attributes"]["_target"].update(attributes)


def _in_array(prefix, make):
    """A change of the array whose name begins so."""

    def change(document, arrays):
        (name,) = [name for name in arrays if name.startswith(prefix)]
        arrays[name] = make(arrays[name])

    return change


def _in_state(name, make):
    """A change of an array in the state of the solver."""

    def change(document, arrays):
        reference = document["attributes"]["_state"][name]["array"]
        arrays[reference] = make(arrays[reference])

    return change


def _attribute(name, value):
    return _set("attributes", name, to=value)


def _generator(**changes):
    """A random state with other entries."""

    def change(document, arrays):
        inner = {"key": {"array": "key"}, "pos": changes.pop("pos", 3)}
        state = {"bit_generator": "MT19937", "state": inner, "has_gauss": 0, "gauss": 0.0}
        arrays["key"] = np.zeros(changes.pop("words", 624), changes.pop("dtype", np.uint32))
        document["parameters"]["random_state"] = {"random": [changes.pop("name", "RandomState"), {**state, **changes}]}

    return change


def _other_best_params(document, arrays):
    """A fit that is not at its end, with best parameters that are too short."""
    arrays["best"] = np.ones(3)
    document["attributes"]["_state"]["run"] = {"dict": [["best_params", {"array": "best"}]]}


REAL = {
    "kind": "RealTargets",
    "n_targets": 3,
    "n_outputs": 3,
    "loss": "log_loss",
    "center": None,
    "scale": None,
    "quantiles": None,
}
DENSE = {"kind": "Dense", "units": 3, "activation": None}
HOSTILE = {
    "newer format": (_set("version", to=3), "newer version of skneural .*its format is 3, this version reads 2"),
    "version of another kind": (_set("version", to="1"), "not a file"),
    "unknown estimator": (_set("class", to="Transformer"), "no estimator 'Transformer'"),
    "function for an estimator": (_set("class", to="warmup"), "no estimator 'warmup'"),
    "module for an estimator": (_set("class", to="os"), "no estimator 'os'"),
    "unknown parameter": (_set("parameters", "beta_3", to=1), r"no parameters \['beta_3'\].*newer version"),
    "method": (_attribute("predict", 1), "'predict' is not an attribute"),
    "callbacks": (_attribute("_skl_callbacks", [1]), "'_skl_callbacks' is not an attribute"),
    "parameter twice": (_attribute("alpha", 1), "'alpha' is not an attribute"),
    "unknown tag": (_attribute("a_", {"pickle": "x"}), "unknown kind, 'pickle'"),
    "two tags": (_attribute("a_", {"tuple": [], "dict": []}), "."),
    "missing array": (_attribute("a_", {"array": "a_.77"}), "the array 'a_.77' is missing"),
    "array twice": (_attribute("a_", {"array": "_params"}), "is missing"),
    "unused array": (lambda document, arrays: arrays.update(a=np.ones(3)), r"nothing refers to the arrays \['a'\]"),
    "list of other length": (_attribute("a_", {"objects": [[2], [1]]}), "."),
    "number of objects": (_attribute("a_", {"number": ["|O", "00" * 8]}), "not allowed"),
    "number too long": (_attribute("a_", {"number": ["<f8", "00" * 9]}), "multiple of element size"),
    "numbers too many": (_attribute("a_", {"number": ["<f8", "00" * 16]}), "reshape array of size 2"),
    "array too short": (_attribute("a_", {"bytes": [">f8", [2**40], "00" * 8]}), "reshape array of size 1"),
    "array of nothing": (_attribute("a_", {"bytes": ["<U0", [2**40], ""]}), "itemsize"),
    "array of objects": (_attribute("a_", {"bytes": ["|O", [1], "00" * 8]}), "not allowed"),
    "array of booleans": (_in_array("classes_", lambda a: np.array([0, 1, 2], np.uint8).view(bool)), "booleans"),
    "text without characters": (_attribute("a_", {"number": ["<U1", "ff" * 4]}), "characters that do not exist"),
    "boolean 2": (_attribute("a_", {"number": ["|b1", "02"]}), "booleans other than 0 and 1"),
    "keys that are lists": (_attribute("a_", {"dict": [[[1], 2]]}), "unhashable"),
    "nan": (_attribute("a_", float("nan")), "NaN is not JSON"),
    "no requests": (_set("requests", to={"fit": {"sample_weight": "not an alias"}}), "valid identifier"),
    "requests of no method": (_set("requests", to={"owner": {"sample_weight": True}}), "."),
    "units 0": (_in_layer(0, units=0), "units of Dense must be an integer .* got 0"),
    "units negative": (_in_layer(0, units=-7), "units of Dense must be an integer .* got -7"),
    "units huge": (_in_layer(0, units=2**40), "units of Dense must be an integer"),
    "units large": (_in_layer(0, units=2**31 - 1), "the network has [0-9]+ parameters"),
    "units float": (_in_layer(0, units=7.0), "units of Dense must be an integer .* got 7.0"),
    "units boolean": (_in_layer(0, units=True), "units of Dense must be an integer .* got True"),
    "units of another number": (_in_layer(0, units={"number": ["<i8", "0800000000000000"]}), "'_params' has shape"),
    "activation of the future": (_in_layer(0, activation="warp"), "activation of Dense must be one of .* got 'warp'"),
    "activation of another kind": (_in_layer(0, activation=3), "activation of Dense must be one of .* got 3"),
    "normalization of the future": (_in_layer(0, normalization="group"), "."),
    "field of the future": (_in_layer(0, bias=False), "newer version"),
    "layer of the future": (_in_network("layers", [{"kind": "Conv", "a": 1}]), "unknown kind, 'Conv'"),
    "other class for a layer": (_in_network("layers", [{"dict": [["kind", "Tensor"]]}]), "unknown kind, 'Tensor'"),
    "no layers": (_in_network("layers", []), "at least one layer"),
    "layers that are none": (_in_network("layers", [1]), "not a layer"),
    "layers in a dict": (_in_network("layers", {"dict": [[0, DENSE]]}), "no list of layers"),
    "one layer": (_in_network("layers", [DENSE]), "parameters of"),
    "inputs": (_in_network("n_features", 4), "parameters of"),
    "inputs huge": (_in_network("n_features", 2**62), "inputs"),
    "inputs large": (_in_network("n_features", 2**31 - 1), "parameters of"),
    "another precision": (_in_network("dtype", "float32"), "dtype float64"),
    "a precision that is none": (_in_network("dtype", "float16"), "has the dtype"),
    "loss of the future": (_in_network("loss", "triplet"), "no loss 'triplet'"),
    "other loss": (_in_network("loss", "binary_log_loss"), "out_activation_ is"),
    "settings": (_in_network("settings", ["a"]), "settings"),
    "argument of the future": (_in_network("heads", 3), "other words"),
    "n_features_in_": (_attribute("n_features_in_", 500), "n_features_in_ is 500"),
    "n_outputs_": (_attribute("n_outputs_", 500), "n_outputs_ is 500"),
    "shorter parameters": (_in_array("_params", lambda a: a[:-1]), r"'_params' has shape"),
    "longer parameters": (_in_array("_params", lambda a: np.append(a, 0)), r"'_params' has shape"),
    "parameters in columns": (_in_array("_params", lambda a: a.reshape(-1, 1)), r"'_params' has shape"),
    "parameters of another dtype": (_in_array("_params", lambda a: a.astype(np.float32)), "dtype float32"),
    "parameters of other byte order": (_attribute("_params", {"bytes": [">f8", [1], "00" * 8]}), "dtype >f8"),
    "no parameters": (lambda document, arrays: document["attributes"].pop("_params"), "parts of a network without"),
    "parameters in a list": (_attribute("_params", [1.5, 2]), "."),
    "no network": (lambda document, arrays: document["attributes"].pop("_program"), "'_program' is missing"),
    "no targets": (lambda document, arrays: document["attributes"].pop("_target"), "'_target' is missing"),
    "network that is a list": (_attribute("_program", [1]), "the network is none"),
    "shorter moments": (_in_state("v", lambda a: a[:-16]), "'v' has shape"),
    "moments of another dtype": (_in_state("s", lambda a: a.astype(np.float32)), "'s' has shape"),
    "classes not sorted": (_in_targets(classes_={"objects": [[3], [2, 1, 0]]}), "not sorted"),
    "more classes": (_in_targets(classes_={"objects": [[4], [0, 1, 2, 3]]}), "not those of the targets"),
    "classes in a list": (_in_targets(classes_=[0, 1, 2]), "."),
    "other classes": (_attribute("classes_", {"objects": [[3], [0, 1, 3]]}), "not those of the targets"),
    "several labels": (_in_targets(multilabel=True), "loss 'log_loss' is not for these classes"),
    "more outputs": (_in_targets(n_outputs=4), "other outputs"),
    "method of the targets": (_in_targets(encode=1), "other words"),
    "targets of the future": (_attribute("_target", {"kind": "Ranks", "n": 3}), "unknown kind, 'Ranks'"),
    "targets of reals": (
        _attribute("_target", REAL), "is for classes",
    ),
    "best parameters": (_other_best_params, "'best_params' has shape"),
    "parameter out of range": (_set("parameters", "clip_norm", to={"float": "7ff8000000000000"}), "'clip_norm' param"),
    "random place": (_generator(pos=10**6), "state of a random generator"),
    "random place negative": (_generator(pos=-1), "state of a random generator"),
    "random place of another kind": (_generator(pos=3.0), "state of a random generator"),
    "random words": (_generator(words=600), "state of a random generator"),
    "random words of another dtype": (_generator(dtype=np.int64), "state of a random generator"),
    "random generator": (_generator(bit_generator="SystemRandom"), "known random generator"),
    "random class": (_generator(name="default_rng"), "known random generator"),
    "random entry": (_generator(more=1), "state of a random generator"),
}  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A fitted estimator and its file, for changes."""
    path = tmp_path_factory.mktemp("sample") / "estimator.skn"
    est = fitted()
    save(est, path)
    return est, path


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files(what, sample, path):
    change, match = HOSTILE[what]
    document, arrays = members(sample[1])
    change(document, arrays)
    write(path, document, arrays if what == "unused array" else used(document, arrays))
    refuse(path, match)


def test_changes_that_are_none(sample, path):
    # What the tests above change is otherwise read: they do not fail for another reason.
    write(path, *members(sample[1]))
    assert_same_estimator(load(path), sample[0])
    for change in (_generator(), _in_layer(0, units=7), _in_state("s", np.copy), _attribute("t_", 3)):
        document, arrays = members(sample[1])
        change(document, arrays)
        write(path, document, arrays)
        load(path)


@pytest.mark.parametrize(
    "change",
    [
        _in_targets(quantiles={"number": ["<f8", "00" * 8]}),
        _in_targets(quantiles=None),
        _in_targets(n_targets=2),
        _in_targets(n_outputs=3),
        _in_array("_target", lambda a: a[:1]),
        _in_array("_target", lambda a: a.reshape(1, 2)),
        _in_network("loss", "log_loss"),
        _attribute("classes_", [0, 1]),
    ],
)
def test_hostile_targets(change, path):
    save(fitted("regression", loss="quantile", quantiles=[0.1, 0.9]), path)
    document, arrays = members(path)
    change(document, arrays)
    write(path, document, used(document, arrays))
    refuse(path, "targets|outputs|loss")


def test_scaled_targets(path):
    X = np.random.default_rng(0).normal(size=(12, 4, 2))
    est = LSTMRegressor((3,), max_iter=2, random_state=0).fit(X, X[:, 0])
    assert_same_estimator(saved_and_loaded(est, path), est)
    for change in (
        _in_targets(center=None),
        _in_array("_target.scale", lambda a: a[:1]),
        _in_targets(scale=[1.0, 1.0]),
    ):
        document, arrays = members(path)
        change(document, arrays)
        changed = path.with_name("changed")
        write(changed, document, used(document, arrays))
        refuse(changed, "targets")


@pytest.mark.parametrize("depth", [2000, 100_000])
def test_deep_documents(depth, sample, path):
    document, arrays = members(sample[1])
    document["attributes"]["a_"] = "HERE"
    write(path, json.dumps(document).replace('"HERE"', "[" * depth + "]" * depth), arrays)
    refuse(path, "RecursionError")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "\0", '{"format": "skneural estimator"}'])
def test_broken_documents(text, sample, path):
    write(path, text, members(sample[1])[1])
    refuse(path, ".")


def test_parameters_that_came_later_have_their_defaults(sample, path):
    document, arrays = members(sample[1])
    del document["parameters"]["n_jobs"]
    write(path, document, arrays)
    assert load(path).n_jobs is None


def loads_or_refuses(path, est):
    """A damaged file is refused, or it was damaged where nothing is read."""
    try:
        back = load(path)
    except ValueError as error:
        assert str(error).startswith(f"{path} cannot be loaded: ")  # noqa: PT017
        return False
    assert_same_estimator(back, est)
    return True


def test_truncated_files(sample, path):
    est, whole = sample
    content = whole.read_bytes()
    random = np.random.default_rng(0)
    for length in {0, 1, len(content) - 1, *random.integers(len(content), size=150).tolist()}:
        path.write_bytes(content[:length])
        assert not loads_or_refuses(path, est)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits(seed, sample, path):
    X = problem("multiclass")[0]
    content = sample[1].read_bytes()
    header_end = len(content) - len(parts(content)[1])
    random = np.random.default_rng(seed)
    refused = 0
    for _ in range(100):
        changed = bytearray(content)
        for place in random.integers(header_end, size=1 if seed < 3 else 5):
            changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        try:
            back = load(path)
        except ValueError as error:
            assert str(error).startswith(f"{path} cannot be loaded: ")  # noqa: PT017
            refused += 1
            continue
        with np.errstate(all="ignore"):
            back.predict_proba(X)  # other numbers or names: there is no checksum
    assert refused > 50


@pytest.mark.parametrize("seed", range(2))
def test_flipped_bits_of_archives(seed, path):
    whole = FILES / "version1_mlp.skn"
    est = load(whole)
    content = whole.read_bytes()
    random = np.random.default_rng(seed)
    directory = content.index(b"PK\x01\x02")  # half of them there, where no checksum helps
    refused = 0
    for i in range(100):
        changed = bytearray(content)
        place = random.integers(directory if i % 2 else 0, len(content))
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(changed)
        refused += not loads_or_refuses(path, est)
    assert refused > 50


# -- going on ----------------------------------------------------------------------------------------------------------


def test_state_of_a_file(sample):
    est, path = sample
    state = read_state(path, small(max_iter=99, verbose=True, n_jobs=1))
    assert state["max_iter"] == 4
    assert_alike(state["_params"], est._params)
    assert_alike(state["_state"], est._state.to_plain())
    back = MLPClassifier()
    back.__setstate__(state)
    assert_same_estimator(back, est)
    # The same sizes in other words are the same.
    read_state(path, small(hidden_layer_sizes=[7.0, np.int64(4)], alpha=np.float64(1e-4)))


def test_states_that_are_of_another_estimator(sample, path):
    whole = sample[1]
    with pytest.raises(ValueError, match=f"^{whole} holds a MLPClassifier, but this is a MLPRegressor"):
        read_state(whole, MLPRegressor())
    other = small(alpha=0.5, hidden_layer_sizes=(7, 5), scoring=len, max_iter=5)
    words = (
        rf"^{whole} was written with other parameters: alpha=0.0001 \(here 0.5\), hidden_layer_sizes=\(7, 4\) "
        r"\(here \(7, 5\)\), scoring=None \(here <built-in function len>\)\. Only max_iter, verbose, n_jobs, device "
        "and precision may "
    )
    with pytest.raises(ValueError, match=words):
        read_state(whole, other)
    save(small(), path)
    with pytest.raises(ValueError, match="holds a MLPClassifier that is not fitted"):
        read_state(path, small())
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be loaded"):
        read_state(path, small())


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (np.nan, np.nan, True), (np.random.RandomState(0), np.random.RandomState(1), True), (1, True, True),
        ({0: [1, 2]}, {0: (1, 2)}, True), ({0: 1}, {1: 1}, False), (np.array([1, 2]), (1, 2), True),
        (np.array([1, 2]), 1, False), ((1, 2), (1, 2, 3), False), (np.random.RandomState(0), 0, False),
        (0, np.random.RandomState(0), False), ("sgd", "adam", False), (None, 0, False), ("a", ["a"], False),
    ],
)  # fmt: skip
def test_which_parameters_are_the_same(a, b, same):
    assert encoding.same(a, b) is same
    assert encoding.same(b, a) is same


class Watch:
    """Notes the number of epochs in the file at the end of every epoch."""

    def __init__(self, path):
        self.path, self.seen = path, []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        back = load(self.path) if self.path.exists() else None
        self.seen.append(back and back.n_iter_)
        if back is not None and context.task_name == "epoch" and back.n_iter_ == estimator.n_iter_:
            assert_same_estimator(back, estimator)


@pytest.mark.parametrize("every", [1, 3, np.int64(7), 100])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_checkpoints_are_the_estimator_of_that_epoch(every, solver, path):
    X, y, _ = problem("multiclass")
    watch = Watch(path)
    est = small(solver=solver, max_iter=8).set_callbacks(Checkpoint(str(path), every), watch)
    est.fit(X, y)
    n_iter = est.n_iter_
    assert n_iter > 6
    written = [max((k for k in range(1, i + 1) if k % every == 0), default=None) for i in range(1, n_iter + 1)]
    assert watch.seen == [*written, n_iter]
    back = load(path)
    assert_alike(back.predict_proba(X), est.predict_proba(X))
    assert back.n_iter_ == n_iter
    assert_alike(back.__getstate__()["_params"], est._params)
    if solver != "lbfgs":
        assert back._state.s.any()
        assert back._state.step == 4 * n_iter


@pytest.mark.parametrize("kind", KINDS)
def test_checkpoints_with_validation_data(kind, path):
    X, y, _ = problem(kind)
    est = small(kind, max_iter=6).set_callbacks(Checkpoint(path, every=2), Watch(path))
    est.fit(X, y, X_val=X, y_val=y)
    back = load(path)
    assert_alike(back.predict(X), est.predict(X))
    assert back.validation_scores_ == est.validation_scores_


def test_checkpoints_of_partial_fit_and_pipelines(path):
    X, y, _ = problem("multiclass")
    est = small().set_callbacks(Checkpoint(path, every=5))
    for i in range(2):
        est.partial_fit(X, y, classes=np.unique(y))
        assert len(load(path).loss_curve_) == i + 1
    pipeline = make_pipeline(StandardScaler(), small().set_callbacks(Checkpoint(path))).fit(X, y)
    assert_alike(load(path).predict_proba(pipeline[:-1].transform(X)), pipeline.predict_proba(X))


def test_checkpoints_keep_the_last_good_epoch(path):
    X, y, _ = problem("regression")
    est = small("regression").set_callbacks(Checkpoint(path)).fit(X, y)
    whole = path.read_bytes()
    est._params[:] = np.nan
    est._skl_callbacks[0].on_fit_task_end(est, types.SimpleNamespace(task_name="epoch", root_uuid=0))
    assert path.read_bytes() == whole


class Interrupt(Watch):
    """Ctrl-C at the beginning of the third epoch, or at its end."""

    def __init__(self, where):
        self.where = where

    def on_fit_task_begin(self, estimator, context):
        if self.where == "begin" and context.task_id == 2:
            raise KeyboardInterrupt

    def on_fit_task_end(self, estimator, context):
        if self.where == "end" and context.task_name == "epoch" and context.task_id == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("where", "every", "in_file"), [("begin", 1, 2), ("begin", 2, 2), ("end", 1, 3), ("end", 5, 3)]
)
def test_checkpoints_are_of_whole_epochs(where, every, in_file, path):
    X, y, _ = problem("multiclass")
    checkpoint = Checkpoint(path, every)
    est = small().set_callbacks(checkpoint, Interrupt(where))
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        est.fit(X, y)
    assert load(path).n_iter_ == in_file
    assert not checkpoint._under_way
    est.set_callbacks(checkpoint).fit(X, y)
    assert load(path).n_iter_ == 4


def test_checkpoints_can_be_copied(path):
    checkpoint = Checkpoint(path, every=2)
    assert vars(pickle.loads(pickle.dumps(checkpoint))) == vars(checkpoint)
    X, y, _ = problem("multiclass")
    clone(small().set_callbacks(checkpoint)).fit(X, y)
    assert load(path).n_iter_ == 4


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (
            {"every": 0},
            ValueError,
            r"The 'every' parameter of Checkpoint must be an int in the range \[1, inf\). Got 0",
        ),
        ({"every": 2.0}, ValueError, "The 'every' parameter of Checkpoint must be an int"),
        ({"path": 3}, ValueError, "The 'path' parameter of Checkpoint must be an instance of 'str' or"),
        (
            {"path": os.path.join("none", "file")},
            FileNotFoundError,
            "folder of Checkpoint's path does not exist: .*none",
        ),
    ],
)
def test_checkpoints_that_cannot_work_fail_before_any_training(arguments, error, match, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y, _ = problem("multiclass")
    est = small().set_callbacks(Checkpoint(**{"path": "file", **arguments}))  # the constructor only stores
    with pytest.raises(error, match=match):
        est.fit(X, y)
    assert not getattr(est, "loss_curve_", [])
    assert os.listdir(tmp_path) == []


def test_checkpoints_of_what_cannot_be_saved(path):
    X, y, _ = problem("multiclass")
    est = small(scoring=lambda est, X, y: 0.0).set_callbacks(Checkpoint(path))
    with pytest.raises(TypeError, match="The parameter 'scoring' of MLPClassifier cannot be saved"):
        est.fit(X, y)
    assert not getattr(est, "loss_curve_", [])
    with pytest.raises(TypeError, match="Only the networks of skneural can be saved, got an object of type Pipeline"):
        make_pipeline(small()).set_callbacks(Checkpoint(path)).fit(X, y)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_checkpoints_in_folders_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot be written to"):
        small().set_callbacks(Checkpoint(tmp_path / "file")).fit(*problem("multiclass")[:2])


def test_searches_cannot_share_a_checkpoint(path):
    X, y, _ = problem("multiclass")
    search = GridSearchCV(small().set_callbacks(Checkpoint(path)), {"alpha": [0.1, 0.2]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="writes one file, but GridSearchCV fits many clones"):
        search.fit(X, y)
    assert not path.exists()
