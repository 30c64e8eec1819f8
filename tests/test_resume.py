"""Fits that are interrupted and go on from a checkpoint: they end as if nothing had happened, to the bit."""

import copy
import os
import pathlib
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import KINDS, estimator_for, one_at_a_time, problem
from numpy.testing import assert_array_equal, assert_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_api import Watch, interrupt, stop

from skneural import MLPClassifier, MLPRegressor, load, save
from skneural.callbacks import Checkpoint
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {"hidden_layer_sizes": (7, 7), "max_iter": 8, "random_state": 0, "batch_size": 16, "n_iter_no_change": 100}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.skn"


def small(kind="multiclass", **settings):
    return estimator_for(kind)(**{**SMALL, **problem(kind)[2], **settings})


class Stopped(Exception):
    pass


def fail():
    raise Stopped


def interrupted(est, path, epochs, X, y, every=1, action=fail, **fit):
    """Fit with checkpoints until some epochs are over."""
    est = clone(est) if not isinstance(est.random_state, np.random.RandomState) else copy.deepcopy(est)
    est.set_callbacks(Checkpoint(path, every), Watch(epochs, action))
    if action is fail:
        with pytest.raises(Stopped):
            est.fit(X, y, **fit)
    else:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Training interrupted")
            est.fit(X, y, **fit)
    return est


def assert_same_end(est, whole):
    """Everything that a fit leaves behind is the same, but for the time it took."""
    assert set(vars(est)) - {"_skl_callbacks"} == set(vars(whole)) - {"_skl_callbacks"}
    assert_array_equal(est._params, whole._params)
    for name in vars(whole):
        if name.endswith("_") and name not in ("history_", "coefs_", "intercepts_", "norms_"):
            assert_equal(getattr(est, name), getattr(whole, name), err_msg=name)
    assert list(est.history_) == list(whole.history_)
    for name, values in whole.history_.items():
        assert len(est.history_[name]) == len(values)
        if name != "time":
            assert_equal(est.history_[name], values, err_msg=name)
    assert vars(est._state).keys() == vars(whole._state).keys()
    for name, value in vars(whole._state).items():
        assert_equal(getattr(est._state, name), value, err_msg=name)
    assert est._no_improvement_count == whole._no_improvement_count


def assert_resumes(path, epochs, X, y, settings, kind="multiclass", fit=None, **options):
    fit = fit or {}
    whole = small(kind, **settings).fit(X, y, **fit)
    interrupted(small(kind, **settings), path, epochs, X, y, **options, **fit)
    resumed = small(kind, **settings).fit(X, y, **fit, resume_from=path)
    assert_same_end(resumed, whole)
    assert (np.diff(resumed.history_["time"]) >= 0).all()
    if not resumed.early_stopping:
        assert_same_end(resumed.partial_fit(X, y), whole.partial_fit(X, y))


CASES = {
    **{solver: {"solver": solver} for solver in OPTIMIZERS},
    **{schedule: {"learning_rate": schedule, "warmup": 0.2, "decay_epochs": 2} for schedule in SCHEDULES},
    "plateau at work": {"learning_rate": "plateau", "decay_epochs": 1, "tol": 10.0},
    "adaptive at work": {"learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 10.0, "solver": "sgd"},
    "dropout": {"dropout": [0.3, 0.1]},
    "noise": {"input_noise": 0.3},
    "batch norm": {"normalization": "batch", "residual": True},
    "layer norm": {"normalization": "layer", "residual": True, "solver": "lion"},
    "limits": {"clip_norm": 0.1, "clip_value": 0.05, "max_norm": 0.5, "l1_ratio": 0.5},
    "history": {"monitor_gradients": True, "score_training": True},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "solver": "sgd"},
    "in order": {"shuffle": False, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
    "float32": {"dtype": "float32", "normalization": "batch", "dropout": 0.2},
    "patience runs out": {"tol": 10.0, "n_iter_no_change": 5},
    "focal": {"loss": "focal", "focal_alpha": [0.5, 1.0, 2.0], "activation": ["gelu", "tanh"]},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("epochs", [1, 4])
def test_a_resumed_fit_ends_as_if_it_had_not_been_interrupted(case, epochs, path):
    X, y, _ = problem("multiclass")
    assert_resumes(path, epochs, X, y, CASES[case])


@one_at_a_time(
    {"kind": "multiclass", "how": "plain"}, kind=KINDS, how=["validation", "weights", "sparse", "early stopping"]
)
def test_every_kind_of_target_and_data(kind, how, path):
    X, y, _ = problem(kind, n_samples=90)
    random, fit, settings = np.random.default_rng(0), {}, {"normalization": "batch", "dropout": 0.2}
    X_val, y_val, X, y = X[60:], y[60:], X[:60], y[:60]
    if how == "validation":
        fit = {"X_val": X_val, "y_val": y_val, "sample_weight_val": random.uniform(0, 2, 30)}
        settings |= {"learning_rate_init": 0.1, "scoring": "loss"}
    elif how == "weights":
        fit = {"sample_weight": random.uniform(0, 2, 60)}
    elif how == "sparse":
        X[np.abs(X) < 0.5] = 0
        X = sparse.csr_array(X)
    elif how == "early stopping":
        settings |= {"early_stopping": True, "validation_fraction": 0.2, "learning_rate_init": 0.1}
    for epochs in (2, 7):
        assert_resumes(path, epochs, X, y, settings, kind, fit)


def test_quantiles(path):
    X, y, _ = problem("regression")
    settings = {"loss": "quantile", "quantiles": (0.1, 0.9)}
    assert_resumes(path, 3, X, y, settings, "regression", {"X_val": X, "y_val": y})


@pytest.mark.parametrize("state", ["RandomState", "RandomState on PCG64", "None"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_random_states(state, early_stopping, path):
    X, y, _ = problem("multiclass")
    settings = {"early_stopping": early_stopping, "validation_fraction": 0.3, "dropout": 0.2}

    def fresh(seed):
        np.random.seed(seed)  # noqa: NPY002  (what None stands for)
        bits = np.random.PCG64 if "PCG64" in state else np.random.MT19937
        random_state = None if state == "None" else np.random.RandomState(bits(seed))
        return small(**settings, random_state=random_state)

    before = np.random.get_state()  # noqa: NPY002
    try:
        whole = fresh(5).fit(X, y)
        est = interrupted(fresh(5), path, 4, X, y)
        assert not np.array_equal(est._params, whole._params)
        # Whatever has been drawn in the meantime, the fit goes on with the numbers that it began with.
        assert_same_end(fresh(7).fit(X, y, resume_from=path), whole)
        assert_same_end(fresh(7).fit(X, y, resume_from=path), whole)
    finally:
        np.random.set_state(before)  # noqa: NPY002


def test_files_of_every_third_epoch(path):
    X, y, _ = problem("multiclass")
    for epochs in (3, 5, 7):
        assert_resumes(path, epochs, X, y, {"dropout": 0.2}, every=3)
        path.unlink()


@pytest.mark.parametrize("action", [interrupt, stop], ids=["Ctrl-C", "stopped by a callback"])
@pytest.mark.parametrize("validated", [False, True])
def test_fits_that_end_early_leave_a_file_too(action, validated, path):
    # With validation the model in it has the best weights, the fit that goes on the last ones.
    X, y, _ = problem("regression", n_samples=90)
    fit = {"X_val": X[60:], "y_val": y[60:]} if validated else {}
    X, y, settings = X[:60], y[:60], {"learning_rate_init": 0.3, "normalization": "batch", "scoring": "loss"}
    est = interrupted(small("regression", **settings), path, 6, X, y, every=100, action=action, **fit)
    if validated:
        assert int(np.argmax(est.validation_scores_)) < 5
    assert_array_equal(load(path).predict(X), est.predict(X))
    assert_resumes(path, 6, X, y, settings, "regression", fit, every=100, action=action)


def test_several_interruptions_and_other_callbacks(path):
    from sklearn.callback import ScoringMonitor

    X, y, _ = problem("multiclass")
    whole = small(dropout=0.2).fit(X, y)
    interrupted(small(dropout=0.2), path, 2, X, y)
    for epochs in (1, 3):  # of each part
        est = small(dropout=0.2).set_callbacks(Checkpoint(path), Watch(epochs, fail))
        with pytest.raises(Stopped):
            est.fit(X, y, resume_from=path)
    monitor = ScoringMonitor(scoring="accuracy")
    est = small(dropout=0.2).set_callbacks(monitor).fit(X, y, resume_from=path)
    assert_same_end(est, whole)
    assert len([row for row in monitor.get_logs().data if row["task_name"] == "epoch"]) == 2


def test_resuming_with_the_interrupted_estimator(path):
    X, y, _ = problem("multiclass")
    whole = small().fit(X, y)
    est = interrupted(small(), path, 4, X, y)
    assert_same_end(est.set_callbacks().fit(X, y, resume_from=path), whole)
    # and with one that was fitted on something else, or begins warm
    for warm_start in (False, True):
        other = small(warm_start=False).fit(X[:30, :3], (y[:30] > 0).astype(int))
        interrupted(small(warm_start=warm_start), path, 4, X, y)
        resumed = other.set_params(warm_start=warm_start).fit(X, y, resume_from=path)
        assert_same_end(resumed, whole)


def test_resuming_with_an_estimator_that_knew_names(path):
    pandas = pytest.importorskip("pandas")
    X, y, _ = problem("multiclass")
    interrupted(small(), path, 4, X, y)
    est = small().fit(pandas.DataFrame(X, columns=list("abcde")), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        est.fit(X, y, resume_from=path)
    assert not hasattr(est, "feature_names_in_")
    frame = pandas.DataFrame(X, columns=list("abcde"))
    whole = small().fit(frame, y)
    interrupted(small(), path, 4, frame, y)
    assert_same_end(small().fit(frame, y, resume_from=path), whole)


def test_a_warm_start_can_be_resumed(path):
    X, y, _ = problem("multiclass")
    whole = small(warm_start=True).fit(X, y).fit(X, y)
    est = small(warm_start=True).fit(X, y).set_callbacks(Checkpoint(path), Watch(3, fail))
    with pytest.raises(Stopped):
        est.fit(X, y)
    assert_same_end(small(warm_start=True).fit(X, y, resume_from=path), whole)


def test_what_may_differ(path):
    X, y, _ = problem("multiclass")
    interrupted(small(), path, 4, X, y)
    longer = small(max_iter=12).fit(X, y)
    assert_same_end(small(max_iter=12, n_jobs=1, verbose=False).fit(X, y, resume_from=path), longer)
    shorter = small(max_iter=3).fit(X, y, resume_from=path)  # it is past that already
    assert shorter.n_iter_ == 4
    assert_array_equal(shorter._params, small(max_iter=4).fit(X, y)._params)


@pytest.mark.parametrize("settings", [{}, {"tol": 10.0, "n_iter_no_change": 2}, {"early_stopping": True}], ids=str)
def test_a_checkpoint_of_a_whole_fit_is_its_end(settings, path):
    X, y, _ = problem("multiclass")
    whole = small(**settings).set_callbacks(Checkpoint(path)).fit(X, y)
    assert_same_end(small(**settings).fit(X, y, resume_from=path), whole)
    if not settings:  # which a larger max_iter moves on
        assert_same_end(small(max_iter=11).fit(X, y, resume_from=path), small(max_iter=11).fit(X, y))


def test_in_a_pipeline(path):
    X, y, _ = problem("multiclass")
    whole = make_pipeline(StandardScaler(), small()).fit(X, y)
    est = make_pipeline(StandardScaler(), small().set_callbacks(Checkpoint(path), Watch(4, fail)))
    with pytest.raises(Stopped):
        est.fit(X, y)
    resumed = make_pipeline(StandardScaler(), small()).fit(X, y, mlpclassifier__resume_from=path)
    assert_same_end(resumed[-1], whole[-1])


# -- what cannot be resumed --------------------------------------------------------------------------------------------


def other_row(a):
    a = np.array(a)
    a[0] += 1
    return a


BAD = {
    "other rows": (lambda X, y: {"X": other_row(X)}, "other data"),
    "other targets": (lambda X, y: {"y": np.r_[(y[0] + 1) % 3, y[1:]]}, "other data"),
    "more rows": (lambda X, y: {"X": np.r_[X, X], "y": np.r_[y, y], "sample_weight": np.ones(120)}, "other data"),
    "another order": (lambda X, y: {"X": X[::-1], "y": y[::-1]}, "other data"),
    "no weights": (lambda X, y: {"sample_weight": None}, "other data"),
    "other weights": (lambda X, y: {"sample_weight": np.arange(60.0)}, "other data"),
    "other features": (lambda X, y: {"X": X[:, :4]}, "features"),
    "other classes": (lambda X, y: {"y": y + 1}, "classes"),
    "NaN": (lambda X, y: {"X": np.where(X > 2, np.nan, X)}, "NaN"),
}


def state_of(est):
    """All attributes, as values that can be compared."""
    state = {name: value for name, value in vars(est).items() if name not in ("_predictors", "_program")}
    if "_target" in state:
        state["_state"] = est._state.to_plain()
        state["_target"], state["norms_"] = vars(est._target), [dict(norm) for norm in est.norms_]
    return copy.deepcopy(state)


def assert_refuses(est, words, error=ValueError, **fit):
    """The error comes, and the estimator is as it was, fitted or not."""
    for fitted in (False, True):
        before = None
        if fitted:
            X, y, _ = problem("multiclass" if isinstance(est, MLPClassifier) else "regression", n_features=3)
            est = clone(est).fit(X, y)
            before = est.predict(X)
        state = state_of(est)
        with pytest.raises(error, match=words):
            est.fit(**fit)
        assert_equal(state_of(est), state)
        if fitted:
            assert_array_equal(est.predict(X), before)


@pytest.mark.parametrize("case", BAD)
def test_other_data(case, path):
    X, y, _ = problem("multiclass")
    good = {"X": X, "y": y, "sample_weight": np.ones(60)}
    interrupted(small(), path, 3, X, y, sample_weight=np.ones(60))
    spoil, words = BAD[case]
    assert_refuses(small(), words, **{**good, **spoil(X, y)}, resume_from=path)
    small().fit(**good, resume_from=path)


@pytest.mark.parametrize(
    "other",
    [{"alpha": 0.1}, {"hidden_layer_sizes": (7, 6)}, {"learning_rate": "cosine"}, {"solver": "sgd"}, {"dropout": 0.1},
     {"random_state": 1}, {"normalization": "batch"}, {"batch_size": 17}, {"dtype": "float32"}, {"tol": 1e-3}],
    ids=str,
)  # fmt: skip
def test_other_parameters(other, path):
    X, y, _ = problem("multiclass")
    interrupted(small(), path, 3, X, y)
    (name,) = other
    assert_refuses(small(**other), f"written with other parameters: {name}=", X=X, y=y, resume_from=path)


def test_other_estimators_and_files(path, tmp_path):
    X, y, _ = problem("multiclass")
    interrupted(small(), path, 3, X, y)
    regr = MLPRegressor(**SMALL)
    assert_refuses(regr, "holds a MLPClassifier, but this is a MLPRegressor", X=X, y=y, resume_from=path)
    lbfgs = small(solver="lbfgs")
    assert_refuses(lbfgs, "resume_from needs a stochastic solver: lbfgs", X=X, y=y, resume_from=path)
    lbfgs.set_callbacks(Checkpoint(tmp_path / "lbfgs.skn")).fit(X, y)
    assert_refuses(small(solver="lbfgs"), "stochastic solver", X=X, y=y, resume_from=tmp_path / "lbfgs.skn")
    save(small().fit(X, y), tmp_path / "finished.skn")
    words = "holds no fit that can go on, but a finished model"
    assert_refuses(small(), words, X=X, y=y, resume_from=tmp_path / "finished.skn")
    save(small(), tmp_path / "new.skn")
    assert_refuses(small(), "not fitted", X=X, y=y, resume_from=tmp_path / "new.skn")
    (tmp_path / "torn.skn").write_bytes(path.read_bytes()[:-100])
    assert_refuses(small(), "cannot be loaded", X=X, y=y, resume_from=tmp_path / "torn.skn")
    assert_refuses(small(), "No such file", FileNotFoundError, X=X, y=y, resume_from=tmp_path / "nowhere.skn")


def test_validation_data_must_be_given_again(path):
    # What the fit began with is part of it; without, it would not stop by the same rule.
    X, y, _ = problem("multiclass")
    interrupted(small(), path, 3, X, y, X_val=X, y_val=y)
    assert_refuses(small(), "X_val", X=X, y=y, resume_from=path)
    assert_refuses(small(), "other", X=X, y=y, X_val=other_row(X), y_val=y, resume_from=path)
    interrupted(small(), path, 3, X, y)
    assert_refuses(small(), "X_val", X=X, y=y, X_val=X, y_val=y, resume_from=path)


# -- killed processes --------------------------------------------------------------------------------------------------

#: A server without threads that forks a child for each line: the import of the compiler is paid once.
SERVER = """
import os, signal, sys, time, warnings
import numpy as np
from skneural import MLPClassifier
from skneural.callbacks import Checkpoint

warnings.simplefilter("ignore")
random = np.random.default_rng(0)
X = random.standard_normal((400, 30))
y = (X @ random.standard_normal((30, 4))).argmax(axis=1)

def fit(path, end, resume):
    est = MLPClassifier(
        (150, 150), max_iter=15, normalization="batch", residual=True, dropout=0.2, learning_rate="cosine",
        warmup=0.1, early_stopping=True, n_iter_no_change=100, random_state=np.random.RandomState(3), n_jobs=1,
    ).set_callbacks(Checkpoint(path))
    est.fit(X, y, resume_from=path if resume else None)
    np.savez(end, params=est._params, losses=est.loss_curve_, scores=est.validation_scores_)

fit(sys.argv[1], sys.argv[2], False)
print("ready", flush=True)
for line in sys.stdin:
    path, end, kill_after = line.split("|")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            fit(path, end, os.path.exists(path))
            code = 0
        finally:
            os._exit(code)
    begin = time.perf_counter()
    if float(kill_after) < 1000:
        time.sleep(float(kill_after))
        os.kill(child, signal.SIGKILL)  # not waited for yet, so its number is its own
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(code, time.perf_counter() - begin, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork and SIGKILL")
def test_fits_that_are_killed_at_any_moment(tmp_path):
    first, end, path = tmp_path / "first.skn", tmp_path / "end.npz", tmp_path / "fit.skn"
    temporary = pathlib.Path(f"{path}.tmp")  # there while a file is being written

    def numbers():
        with np.load(end) as archive:
            return dict(archive)

    def run(kill_after=np.inf):
        """Begin the fit or go on with it: (exit code, seconds)."""
        server.stdin.write(f"{path}|{end}|{kill_after}\n")
        server.stdin.flush()
        code, seconds = server.stdout.readline().split()
        return int(code), float(seconds)

    random, ends, kills, while_writing, resumed = np.random.default_rng(0), 0, 0, 0, 0
    command = [sys.executable, "-P", "-c", SERVER, str(first), str(end)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        whole = numbers()
        assert len(whole["losses"]) == 15
        code, seconds = run()
        assert code == 0
        # The kills must come before, while and after files are written, and often enough, however long that takes.
        while ends < 50 or resumed <= 25 or not while_writing:
            for file in (path, end, temporary):
                file.unlink(missing_ok=True)
            code, took = run(random.uniform(0.05, 0.9) * seconds)
            if code == 0:  # it was faster than the first one, and is over
                seconds = took
                continue
            if not path.exists():  # it may be slower now
                seconds *= 1.05
            while code != 0:
                assert code == -signal.SIGKILL
                kills, while_writing, resumed = kills + 1, while_writing + temporary.exists(), resumed + path.exists()
                if path.exists():
                    assert np.isfinite(load(path)._params).all()  # whole, whenever it was
                # Every other time it is killed once more, else it goes on to the end.
                code, _ = run(random.choice([random.uniform(0.05, 0.9) * seconds, np.inf]))
            ends += 1
            for name, value in numbers().items():
                assert_array_equal(value, whole[name], err_msg=name)
    assert while_writing < kills
