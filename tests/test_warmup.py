"""Getting the kernels of single models ready: all that they need, and nothing else."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

import skneural
from skneural import GRUClassifier, MLPClassifier, MLPRegressor
from skneural.backends.cpu import catalogue, compiler
from skneural.estimators._warmup import networks_in
from skneural.timeseries import Forecaster

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4))
SEQUENCES = X.reshape(24, 2, 2)
Y = np.arange(24) % 2
SHORT = {"hidden_layer_sizes": (4, 4), "max_iter": 2, "random_state": 0}


def forget_kernels(monkeypatch):
    monkeypatch.setattr(compiler, "_KERNELS", {})
    monkeypatch.setattr(catalogue, "_found", {})


@pytest.fixture(autouse=True)
def new_process(monkeypatch):
    """As if no kernel had been loaded."""
    forget_kernels(monkeypatch)


def ready():
    return set(compiler.compiled_kernels())


#: Models, and data that they are fitted on.
CASES = {
    "classifier": (MLPClassifier(**SHORT), X, Y),
    "everything on": (
        MLPClassifier(
            **SHORT, normalization="batch", residual=True, dropout=0.1, input_noise=0.1, max_norm=1.0, clip_norm=1.0,
            early_stopping=True, score_training=True, validation_fraction=0.2,
        ), X, Y + (np.arange(24) % 3 == 0),
    ),
    "lbfgs": (MLPRegressor(**SHORT, solver="lbfgs", loss="gamma"), X, Y + 1.0),
    "quantiles": (MLPRegressor(**SHORT, loss="quantile", quantiles=[0.1, 0.9]), X, Y + 1.0),
    "sequences": (
        GRUClassifier(**SHORT, bidirectional=True, pooling="mean", dropout=0.1, recurrent_dropout=0.1), SEQUENCES, Y,
    ),
    "pipeline": (make_pipeline(StandardScaler(), MLPClassifier(**SHORT)), X, Y),
    "search": (GridSearchCV(MLPClassifier(**SHORT), {"alpha": [0.0, 1.0]}, cv=2), X, Y),
    "ensemble": (BaggingClassifier(MLPClassifier(**SHORT), n_estimators=2, random_state=0), X, Y),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_fits_and_predictions_load_no_more(case):
    est, data, targets = CASES[case]
    before = pickle.dumps(est)
    count = skneural.warmup(est, dtypes=["float64"])
    assert pickle.dumps(est) == before
    loaded = ready()
    assert count == len(loaded)
    fitted = pickle.loads(before).fit(data, targets)
    fitted.predict(data)
    assert ready() == loaded


@pytest.mark.parametrize("case", CASES)
def test_predictions_load_no_more_and_need_all(case, monkeypatch):
    est, data, targets = CASES[case]
    fitted = pickle.dumps(pickle.loads(pickle.dumps(est)).fit(data, targets))
    forget_kernels(monkeypatch)
    pickle.loads(fitted).predict(data)
    needed = ready()
    forget_kernels(monkeypatch)
    model = pickle.loads(fitted)
    assert skneural.warmup(model) == len(needed)
    assert ready() == needed
    model.predict(data[:1])
    assert ready() == needed


def test_sparse_rows(monkeypatch):
    rows = sparse.csr_matrix(X)
    model = MLPClassifier(**SHORT).fit(rows, Y)
    forget_kernels(monkeypatch)
    model = pickle.loads(pickle.dumps(model))
    skneural.warmup(model)
    loaded = ready()
    model.predict(rows)
    assert ready() == loaded


def test_threads_of_a_large_fit():
    est = MLPClassifier((400, 400), max_iter=1, random_state=0, n_jobs=2)
    skneural.warmup(est, dtypes=["float64"])
    loaded = ready()
    est.fit(np.tile(X, (10, 1)), np.tile(Y, 10))
    assert ready() == loaded


def test_several_models():
    fitted = MLPRegressor(**SHORT).fit(X, Y)
    fresh = MLPClassifier(**SHORT, dtype="float32")
    forecaster = Forecaster(GRUClassifier(**SHORT), lookback=2)
    assert networks_in(fitted) == [fitted]
    assert networks_in(forecaster) == [forecaster.estimator]
    search = GridSearchCV(fresh, {"alpha": [0.0]}, cv=2).fit(X, Y)
    assert networks_in(search) == [search.best_estimator_]  # and not the one that it copied
    skneural.warmup([fitted, fresh])
    loaded = ready()
    fitted.predict(X)
    fresh.fit(X, Y).predict(X)
    assert ready() == loaded


def test_both_precisions_of_an_estimator_that_takes_both():
    skneural.warmup(MLPRegressor(**SHORT))
    loaded = ready()
    for dtype in (np.float32, np.float64):
        MLPRegressor(**SHORT).fit(X.astype(dtype), Y).predict(X.astype(dtype))
    assert ready() == loaded


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (StandardScaler(), TypeError, r"Expected an estimator of skneural.* got StandardScaler\(\)"),
        (MLPClassifier, TypeError, "Expected an estimator of skneural"),
        ([MLPClassifier(), 3], TypeError, "Expected an estimator of skneural.* got 3"),
        (["float16"], ValueError, r"dtypes must be names among .* got \['float16'\]"),
        (MLPClassifier(alpha=-1), InvalidParameterError, "The 'alpha' parameter"),
        (MLPClassifier(solver="lbfgs", dropout=0.5), ValueError, "dropout needs a stochastic solver"),
    ],
)
def test_what_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        skneural.warmup(given)
    assert not ready()
