"""Fits of recurrent estimators: scales, weights, validation, solvers and losses, and fits that go on."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mean_pinball_loss
from sklearn.utils.class_weight import compute_class_weight
from test_api import Watch, interrupt, stop
from test_recurrent import CELLS, FULL, KINDS, STILL, assert_same_fit, outputs, padded, sequences, small, whole
from test_resume import assert_same_end, interrupted

from skneural import MLPRegressor, load, save
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

MULTIOUTPUT_QUANTILES = {"loss": "quantile", "quantiles": (0.9, 0.1, 0.5)}


# -- scales ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_all_steps(weighted):
    X, y = sequences(ragged=True)
    X = 3 * X + [100, -1, 0]
    weights = np.random.default_rng(0).uniform(0, 2, 40) if weighted else np.ones(40)
    est = small().fit(X, y, weights if weighted else None)
    steps, of_steps = np.concatenate(whole(X)), np.repeat(weights, [len(x) for x in whole(X)])
    mean = np.average(steps, axis=0, weights=of_steps)
    assert_allclose(est.norms_[0]["mean"], mean, rtol=1e-12)
    variance = np.average((steps - mean) ** 2, axis=0, weights=of_steps)
    assert_allclose(est.norms_[0]["deviation"], np.sqrt(variance), rtol=1e-12)


@pytest.mark.parametrize("kind", ["regression", "multioutput"])
def test_scaling_beforehand_is_the_same(kind):
    X, y = sequences(kind, ragged=True)
    X, y = 3 * X + [100, -1, 0], 7 * y - 20
    est = small(kind, max_iter=8).fit(X, y)
    scaled = (X - est.norms_[0]["mean"]) / est.norms_[0]["deviation"]
    plain = small(kind, max_iter=8, standardize=False).fit(scaled, (y - y.mean(axis=0)) / y.std(axis=0))
    assert plain.norms_ == []
    assert_allclose(est.loss_curve_, plain.loss_curve_, rtol=1e-10)
    assert_allclose(est.predict(X), plain.predict(scaled) * y.std(axis=0) + y.mean(axis=0), rtol=1e-10)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "log_cosh", "quantile"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_follow_the_units(loss, dtype):
    # Powers of two, and sums that are exact: nothing is rounded in another way.
    X, y = sequences("multioutput", n_samples=32)
    y = np.round(64 * y) / 64
    settings = {"dtype": dtype, "loss": loss, "quantiles": (0.2, 0.7)}
    est = small(**settings).fit(X, y)
    for factor, shift in ((4, 0), (-1 / 8, 0), (1, 16), (2, -8)):
        other = small(**settings).fit(4 * X, factor * y + shift)
        views = [*other.coefs_, *other.recurrent_coefs_, *other.intercepts_]
        if factor > 0:
            for found, expected in zip(views, [*est.coefs_, *est.recurrent_coefs_, *est.intercepts_], strict=True):
                assert_array_equal(found, expected)
            tolerance = 1e-13 if dtype == "float64" else 1e-5
            assert_allclose(other.predict(4 * X), factor * est.predict(X) + shift, rtol=tolerance, atol=tolerance)
        if factor == 4:
            assert_array_equal(other.predict(4 * X), 4 * est.predict(X))


def test_constants_are_not_divided_by():
    X, y = sequences()
    X[:, :, 1] = 0.1
    est = small().fit(X, np.full(40, 1 / 3))
    assert est.norms_[0]["deviation"][1] == 1
    assert_allclose(est.norms_[0]["mean"][1], 0.1)
    assert np.isfinite(est.predict(X)).all()
    far = 1e4 + sequences(seed=1)[0].astype(np.float32)  # in single precision
    assert_allclose(small().fit(far, y).norms_[0]["deviation"], far.std(axis=(0, 1), dtype=float), rtol=1e-5)


def test_targets_of_a_log_link_are_not_scaled():
    X, y = sequences("poisson")
    est = small("poisson", max_iter=20).fit(X, y)
    assert (est.predict(X) > 0).all()
    assert est.loss_curve_[-1] < est.loss_curve_[0]
    scaled = (X - est.norms_[0]["mean"]) / est.norms_[0]["deviation"]
    assert_allclose(small("poisson", max_iter=20, standardize=False).fit(scaled, y).loss_, est.loss_, rtol=1e-10)
    other = small(warm_start=True).fit(X, y)  # from one link to the other
    other.set_params(loss="poisson").fit(X, y)
    assert (other.predict(X) > 0).all()


# -- weights of samples and classes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_weights_are_repetitions_where_there_is_one_batch(kind, cell):
    X, y = sequences(kind, ragged=True)
    weights = np.random.default_rng(0).integers(0, 4, 40)
    est = small(kind, cell, **FULL, max_iter=8).fit(X, y, weights)
    other = small(kind, cell, **FULL, max_iter=8).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights, axis=0))
    assert_allclose(outputs(est, X), outputs(other, X), rtol=1e-9, atol=1e-9)
    assert_allclose(est.loss_curve_, other.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize("kind", ["regression", "multioutput", "multiclass"])
def test_rows_of_weight_zero_leave_no_trace(kind):
    X, y = sequences(kind)
    weights = np.r_[np.zeros(10), np.random.default_rng(0).uniform(0.5, 2, 30)]
    expected = small(kind, **FULL).fit(X[10:], y[10:], weights[10:])
    X[:10] *= 1e6
    if kind != "multiclass":
        y[:10] *= 1e6
    est = small(kind, **FULL).fit(X, y, weights)
    for name, values in expected.norms_[0].items():
        assert_allclose(est.norms_[0][name], values, rtol=1e-13)
    assert_allclose(outputs(est, X[10:]), outputs(expected, X[10:]), rtol=1e-10)
    X[:10], y[:10] = X[0], y[0]  # others: not a bit
    assert_same_fit(small(kind, **FULL).fit(X, y, weights), est)


def test_class_weights_are_weights_of_samples():
    X, y = sequences("multiclass", ragged=True)
    by_class = {"a": 2.0, "b": 0.5, "c": 1.0}
    est = small("multiclass", class_weight=by_class).fit(X, y)
    weights = np.array([by_class[label] for label in y])
    plain = small("multiclass", standardize=False)
    scaled = (X - est.norms_[0]["mean"]) / est.norms_[0]["deviation"]  # they are no part of the scales
    assert_allclose(plain.fit(scaled, y, weights).loss_curve_, est.loss_curve_, rtol=1e-10)
    classes = np.unique(y)
    balanced = dict(zip(classes, compute_class_weight("balanced", classes=classes, y=y), strict=True))
    expected = small("multiclass", class_weight=balanced).fit(X, y)
    assert_same_fit(small("multiclass", class_weight="balanced").fit(X, y), expected)


# -- validation, callbacks, warnings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_validation_data_in_every_form(kind):
    X, y = sequences(kind, ragged=True)
    X_val, y_val = sequences(kind, n_timesteps=9, ragged=True, seed=1)
    settings = {"learning_rate_init": 0.1, "max_iter": 30, "n_iter_no_change": 5, "scoring": "loss"}
    est = small(kind, **settings).fit(X, y, X_val=X_val, y_val=y_val)
    assert est.n_iter_ < 30  # stopped
    assert est.best_validation_score_ == max(est.validation_scores_)
    assert len(est.history_["validation_loss"]) == len(est.history_["score"]) == est.n_iter_
    assert [-loss for loss in est.validation_loss_curve_] == est.validation_scores_
    for form in (whole(X_val), padded(X_val), np.asfortranarray(X_val), X_val.tolist()):
        other = small(kind, **settings).fit(whole(X), y, X_val=form, y_val=y_val)
        assert_same_fit(other, est)
        assert other.validation_scores_ == est.validation_scores_
    default = small(kind, **{**settings, "scoring": None}).fit(X, y, X_val=X_val, y_val=y_val)
    assert default.score(X_val, y_val) == default.best_validation_score_ == max(default.validation_scores_)
    weighted = small(kind).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=np.repeat([1.0, 0.0], 20))
    part = small(kind).fit(X, y, X_val=X_val[:20], y_val=y_val[:20])
    assert_allclose(weighted.validation_scores_, part.validation_scores_, rtol=1e-12)
    assert_allclose(weighted.validation_loss_curve_, part.validation_loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "multioutput"])
def test_early_stopping_holds_sequences_out(kind):
    X, y = sequences(kind, n_samples=80, ragged=True)
    settings = {"early_stopping": True, "validation_fraction": 0.25, "max_iter": 30, "n_iter_no_change": 4}
    est = small(kind, **settings, learning_rate_init=0.1).fit(X, y)
    assert 0 < est.best_validation_score_ == max(est.validation_scores_)
    assert est.n_iter_ == len(est.validation_scores_)
    other = small(kind, **settings, learning_rate_init=0.1).fit(whole(X), y)
    assert_same_fit(other, est)
    assert other.validation_scores_ == est.validation_scores_


def test_scales_are_those_of_the_sequences_that_are_trained_on():
    X, y = np.empty((20, 6, 1)), np.arange(20.0)
    X[:] = 2.0 ** np.arange(20)[:, None, None]  # a sum says which were in it
    est = small(**FULL, early_stopping=True, validation_fraction=0.25).fit(X, y)
    total = 15 * est.norms_[0]["mean"][0]
    assert abs(total - round(total)) < 1e-6
    assert round(total).bit_count() == 15


@pytest.mark.parametrize("input_format", ["channels_last", "channels_first"])
def test_scorers_see_data_as_users_hand_it_over(input_format):
    X, y = sequences(ragged=True)
    X = X.swapaxes(1, 2) if input_format == "channels_first" else X
    seen = []

    def scorer(est, X, y):
        seen.append(X)
        return -np.abs(est.predict(X) - y).mean()

    est = small(scoring=scorer, input_format=input_format).fit(X, y, X_val=X, y_val=y)
    assert all(given.shape == X.shape for given in seen)
    named = small(scoring="neg_mean_absolute_error", input_format=input_format, score_training=True)
    assert named.fit(X, y, X_val=X, y_val=y).validation_scores_ == est.validation_scores_
    assert named.history_["training_score"] == named.validation_scores_
    frame = pytest.importorskip("pandas").DataFrame(sequences()[0][:, :, 0], columns=list("abcdef"))
    est.fit(frame, y, X_val=frame, y_val=y)
    assert est.best_validation_score_ == max(est.validation_scores_)


def test_scores_and_norms_of_gradients():
    X, y = sequences("multiclass", ragged=True)
    settings = {"bidirectional": True, "head_layer_sizes": 4, "hidden_layer_sizes": (5, 3)}
    est = small("multiclass", monitor_gradients=True, score_training=True, **settings).fit(X, y)
    assert {len(values) for values in est.history_.values()} == {3}
    assert est.history_["loss"] == est.loss_curve_
    assert est.history_["training_score"][-1] == est.score(X, y)
    norms = np.array(est.history_["gradient_norm"])
    assert norms.shape == (3, 6) == (3, est.n_layers_ - 1)  # four directions of time, two dense layers
    assert (norms > 0).all()
    assert_same_fit(small("multiclass", **settings).fit(X, y), est)


def test_callbacks_are_told_of_every_epoch():
    X, y = sequences("multiclass", ragged=True)
    given, plain = whole(X), small("multiclass", max_iter=6).fit(X, y)
    watch = Watch(measure=lambda fitted: fitted.predict_proba(X))
    est = small("multiclass", max_iter=6).set_callbacks(watch).fit(given, y)
    assert watch.X is given
    assert len(watch.measured) == 6
    assert_array_equal(watch.measured[-1], plain.predict_proba(X))
    assert (watch.measured[0] != watch.measured[1]).any()
    assert_same_fit(est, plain)
    assert_same_fit(est.set_callbacks(Watch(2, stop)).fit(X, y), small("multiclass", max_iter=2).fit(X, y))
    est.set_callbacks(Watch(2, interrupt))
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        assert_same_fit(est.fit(X, y), small("multiclass", max_iter=2).fit(X, y))


@pytest.mark.parametrize(("solver", "words"), [("adam", "Maximum iterations"), ("lbfgs", "lbfgs failed to converge")])
def test_warning_where_training_has_not_converged(solver, words):
    X, y = sequences()
    with pytest.warns(ConvergenceWarning, match=words) as record:
        small(solver=solver).fit(X, y)
    assert record[0].filename == __file__  # it points at the caller


# -- solvers, schedules, losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lbfgs", *OPTIMIZERS])
@pytest.mark.parametrize("cell", CELLS)
def test_solvers_reduce_the_loss(solver, cell):
    X, y = sequences("multiclass", n_samples=80, ragged=True)
    begin = small("multiclass", cell, solver="sgd", **STILL).fit(X, y).loss_
    est = small("multiclass", cell, solver=solver, max_iter=12, monitor_gradients=solver != "lbfgs").fit(X, y)
    assert est.loss_ < est.loss_curve_[0] < 1.1 * begin
    assert est.loss_ < 0.9 * begin
    assert est.n_iter_ == len(est.loss_curve_) <= 12


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_are_those_of_networks_of_rows(schedule):
    X, y = sequences(n_samples=80)
    settings = {"learning_rate": schedule, "max_iter": 12, "batch_size": 16, "warmup": 0.2, "decay_epochs": 3}
    est = small(**settings).fit(X, y)
    assert est.loss_ < est.loss_curve_[0]
    rows = MLPRegressor(hidden_layer_sizes=3, learning_rate_init=0.01, **settings).fit(X[:, 0], y)
    assert est.history_["learning_rate"] == rows.history_["learning_rate"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quantiles_of_several_targets(dtype):
    X, y = sequences("multioutput", n_samples=150)
    y = 100 + 10 * y + np.random.default_rng(0).standard_exponential(y.shape)
    est = small(max_iter=60, dtype=dtype, learning_rate_init=0.03, **MULTIOUTPUT_QUANTILES).fit(X, y)
    high, low, middle = np.moveaxis(est.predict(X), 2, 0)
    assert high.shape == y.shape
    assert high.dtype == dtype
    assert ((low <= middle) & (middle <= high)).all()  # they never cross
    for found, q in ((low, 0.1), (middle, 0.5), (high, 0.9)):
        constant = np.tile(np.quantile(y, q, axis=0), (150, 1))
        assert mean_pinball_loss(y, found, alpha=q) < 0.4 * mean_pinball_loss(y, constant, alpha=q)
    assert est.score(X, y) > 0.65
    one = small(loss="quantile", quantiles=0.9).fit(X, y[:, 0])
    assert one.predict(X).shape == (150,)
    assert small(**MULTIOUTPUT_QUANTILES).fit(X, y[:, 0]).predict(X).shape == (150, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_kind_of_target(kind, cell):
    X, y = sequences(kind, n_samples=100, ragged=True)
    est = small(kind, cell, hidden_layer_sizes=10, pooling="mean", max_iter=40, learning_rate_init=0.03).fit(X, y)
    assert est.predict(X).shape == y.shape
    assert est.score(X, y) > 0.9
    if kind in KINDS[:3]:
        assert est.predict(X).dtype == y.dtype
        assert_array_equal(est.classes_, np.arange(3) if kind == "multilabel" else np.unique(y))
        assert_allclose(np.exp(est.predict_log_proba(X)), est.predict_proba(X), rtol=1e-12)
    for loss in ("huber", "absolute_error") if kind == "regression" else ("focal",) if kind in KINDS[:3] else ():
        assert small(kind, cell, loss=loss, max_iter=20).fit(X, y).loss_curve_[-1] < est.loss_curve_[0]


# -- fits that go on ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("cell", CELLS)
def test_epochs_of_partial_fit_are_those_of_fit(kind, cell):
    X, y = sequences(kind, ragged=True)
    settings = {"max_iter": 5, "recurrent_dropout": 0.2, "dropout": 0.1, "n_iter_no_change": np.inf}
    whole_fit, est = small(kind, cell, **settings).fit(X, y), small(kind, cell, **settings)
    for form in (X, whole(X), padded(X), X, X):
        est.partial_fit(form, y, **({"classes": list("abc")} if kind == "multiclass" else {}))
    assert_same_fit(est, whole_fit)
    shorter, _ = sequences(n_timesteps=2, seed=1)
    before = [values.copy() for values in est.norms_[0].values()]
    est.partial_fit(100 + shorter, y)
    assert est.n_timesteps_in_ == 6
    assert_array_equal(list(est.norms_[0].values()), before)  # learnt by the first call


def test_warm_start_goes_on():
    X, y = sequences(n_samples=80)
    est = small(warm_start=True, max_iter=10).fit(X, y)
    first, statistics = list(est.loss_curve_), est.norms_[0]["mean"].copy()
    est.fit([x[1:] for x in 10 + X], y)  # of other length
    assert len(est.loss_curve_) == 20
    assert est.loss_curve_[:10] == first
    assert_array_equal(est.norms_[0]["mean"], statistics)
    assert est.fit(X, y).loss_ < first[-1]
    expected = est.predict(X)
    assert_array_equal(est.set_params(**STILL).fit(X, 1e3 + y).predict(X), expected)  # the scale of y is kept, too


RESUMED = {
    **{cell: {"cell": cell, "ragged": True} for cell in CELLS},
    "every kind of noise": {"bidirectional": True, "dropout": 0.1, "recurrent_dropout": 0.2, "input_noise": 0.1},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "ragged": True},
    "float32": {"dtype": "float32", "pooling": "mean", "tbptt_steps": 2, "standardize": False},
    "classes": {"kind": "multiclass", "head_layer_sizes": 4, "class_weight": "balanced"},
    "quantiles": {"kind": "multioutput", **MULTIOUTPUT_QUANTILES},
}


@pytest.mark.parametrize("case", RESUMED)
def test_an_interrupted_fit_goes_on(case, tmp_path):
    settings = {"kind": "regression", "ragged": False, "max_iter": 6, **RESUMED[case]}
    X, y = sequences(settings["kind"], ragged=settings.pop("ragged"))
    est, path, validation = small(**settings), tmp_path / "fit.skn", {}
    if not est.early_stopping:
        X_val, y_val = sequences(settings["kind"], n_samples=9, n_timesteps=8, seed=1)
        validation = {"X_val": X_val, "y_val": y_val}
    expected = small(**settings).fit(X, y, **validation)
    interrupted(est, path, 3, X, y, **validation)
    assert load(path).n_iter_ == 3
    assert load(path).predict(X).shape == y.shape + ((3,) if case == "quantiles" else ())
    resumed = small(**settings).fit(whole(X), y, **validation, resume_from=path)
    assert_same_end(resumed, expected)
    with pytest.raises(ValueError, match="is a checkpoint of a fit on other data"):
        small(**settings).fit(X[:, :5], y, **validation, resume_from=path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", CELLS)
def test_files_keep_everything(kind, cell, tmp_path):
    X, y = sequences(kind, ragged=True)
    est = small(kind, cell, bidirectional=True, head_layer_sizes=(4, 3), input_format="channels_first")
    given = X.swapaxes(1, 2)
    save(est.fit(given, y), tmp_path / "model.skn")
    same = load(tmp_path / "model.skn")
    assert same.get_params() == est.get_params()
    assert_array_equal(outputs(same, given[:, :, :4]), outputs(est, given[:, :, :4]))
    assert_same_fit(same.partial_fit(given, y), est.partial_fit(given, y))
    assert same.n_timesteps_in_ == est.n_timesteps_in_ == 6


def test_files_keep_tables_apart_from_sequences(tmp_path):
    X, y = sequences()
    pandas, path = pytest.importorskip("pandas"), tmp_path / "model.skn"
    frame = pandas.DataFrame(X[:, :, 0], columns=list("abcdef"))
    save(small().fit(frame, y), path)
    assert_array_equal(load(path).predict(frame), small().fit(frame, y).predict(frame))
    with pytest.raises(ValueError, match="The feature names should match"):
        load(path).predict(frame[list("fedcba")])
    est = small().fit(X, y)
    est._n_channels = 4
    with pytest.raises(ValueError, match="GRURegressor cannot be saved: _n_channels is 4, of the network 3"):
        save(est, path)
