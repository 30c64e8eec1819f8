"""Variational autoencoders: what they return, bounds against what is known exactly, files, resumed fits, threads."""

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_get_feature_names_out_error,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    parametrize_with_checks,
)

from skneural import VariationalAutoencoder, load, save
from skneural.callbacks import Checkpoint
from skneural.layers import ActivityRegularization, Conv2D, Dense, Flatten, GaussianSampling, GlobalPool, Recurrent

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK = {"n_components": 2, "hidden_layer_sizes": (8,), "max_iter": 30, "learning_rate_init": 0.02, "random_state": 0}


def rows(n_samples=300, n_features=6, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(n_samples, 2))
    return codes @ rng.normal(size=(2, n_features)) + 0.3 * rng.normal(size=(n_samples, n_features)) + 4


def bits(n_samples=300, seed=0):
    X = rows(n_samples, seed=seed)
    return (X.mean(axis=0) < X).astype(float)


#: Why a fit with weights and one with repeated rows differ.
REPEATED = "a row that stands twice draws two codes, one that weighs twice as much draws one"
EXPECTED_TO_FAIL = dict.fromkeys(
    ["check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"], REPEATED
)


@parametrize_with_checks(
    [VariationalAutoencoder(**QUICK), VariationalAutoencoder(3, 4, beta_warmup=2, max_iter=30)],
    expected_failed_checks=lambda estimator: EXPECTED_TO_FAIL,
)
def test_checks_of_sklearn(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X (has|does not have).*feature names:UserWarning")  # what some of them hand over
@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_get_feature_names_out_error,
        check_param_validation,
        check_set_output_transform,
        check_set_output_transform_pandas,
    ],
    ids=lambda c: c.__name__,
)
def test_checks_outside_check_estimator(check):
    check("VariationalAutoencoder", VariationalAutoencoder(**QUICK))


# -- what it returns ---------------------------------------------------------------------------------------------------


def test_codes_are_means_and_decode():
    X = rows()
    vae = VariationalAutoencoder(**QUICK).fit(X)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    W, b = vae.coefs_, vae.intercepts_
    codes = (np.maximum(scaled @ W[0] + b[0], 0) @ W[1] + b[1])[:, :2]
    assert_allclose(vae.transform(X), codes, rtol=1e-9, atol=1e-9)
    decoded = np.maximum(codes @ W[2] + b[2], 0) @ W[3] + b[3]
    decoded = decoded * X.std(axis=0) + X.mean(axis=0)
    assert_allclose(vae.inverse_transform(codes), decoded, rtol=1e-9)
    assert_allclose(vae.reconstruct(X), decoded, rtol=1e-9)
    assert list(vae.get_feature_names_out()) == ["variationalautoencoder0", "variationalautoencoder1"]


def test_samples_are_like_the_data():
    X = rows(600)
    settings = {**QUICK, "beta": 0.09, "max_iter": 200, "hidden_layer_sizes": (16,)}
    vae = VariationalAutoencoder(**settings).fit(X)
    samples = vae.sample(4000, random_state=0)
    assert samples.shape == (4000, 6)
    assert_allclose(samples.mean(axis=0), X.mean(axis=0), atol=0.4)
    assert abs(np.corrcoef(samples.T) - np.corrcoef(X.T)).max() < 0.25


def test_samples_of_a_seed_are_the_same():
    vae = VariationalAutoencoder(**QUICK).fit(rows())
    first = vae.sample(5, random_state=3)
    assert_array_equal(vae.sample(5, random_state=3), first)
    assert_array_equal(vae.sample(5, random_state=np.random.RandomState(3)), first)
    assert_array_equal(pickle.loads(pickle.dumps(vae)).sample(5, random_state=3), first)
    assert (vae.sample(5, random_state=4) != first).any()
    with pytest.raises(ValueError, match="n_samples"):
        vae.sample(0)


def test_bits_come_out_as_probabilities():
    X = bits()
    vae = VariationalAutoencoder(**QUICK, loss="log_loss").fit(X)
    for found in (vae.reconstruct(X), vae.sample(50, random_state=0)):
        assert (found > 0).all()
        assert (found < 1).all()
    assert ((vae.reconstruct(X) > 0.5) == X).mean() > 0.8


# -- bounds ------------------------------------------------------------------------------------------------------------


def linear(noise):
    """A linear autoencoder that knows a Gaussian model exactly: ``x = z W + noise``, and its posterior."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4))
    vae = VariationalAutoencoder(2, (), scaler=None, max_iter=1, n_importance_samples=noise, random_state=0).fit(X)
    W = rng.normal(size=(2, 4))
    precision = W @ W.T + np.eye(2)
    # What an encoder with independent numbers can have: a posterior without correlations needs W W' diagonal.
    directions, values, _ = np.linalg.svd(W.T, full_matrices=False)
    W = (directions * values).T
    precision = np.diag(W @ W.T + np.eye(2))
    vae.coefs_[0][:] = np.hstack([W.T / precision, np.zeros((4, 2))])
    vae.intercepts_[0][:] = [0, 0, *-np.log(precision)]
    vae.coefs_[1][:] = W
    vae.intercepts_[1][:] = 0
    covariance = W.T @ W + np.eye(4)
    inverse = np.linalg.inv(covariance)
    exact = -0.5 * (np.einsum("ij,jk,ik->i", X, inverse, X) + np.linalg.slogdet(covariance)[1] + 4 * np.log(2 * np.pi))
    return vae, X, exact


@pytest.mark.parametrize("n_samples", [1, 7])
def test_the_bound_is_exact_where_the_posterior_is(n_samples):
    vae, X, exact = linear(n_samples)
    assert_allclose(vae.score_samples(X), exact, rtol=1e-9)
    assert_allclose(vae.score(X), exact.mean(), rtol=1e-9)
    weights = np.arange(40.0)
    assert_allclose(vae.score(X, sample_weight=weights), np.average(exact, weights=weights), rtol=1e-9)


def test_more_samples_bring_the_bound_nearer():
    vae, X, exact = linear(1)
    vae.intercepts_[0][2:] += 0.7  # a posterior that is too wide: by so much the evidence lower bound is below
    below = 2 * 0.5 * (np.exp(0.7) - 1 - 0.7)
    means = {}
    for n, n_seeds in ((1, 400), (10, 100), (5000, 1)):
        vae.n_importance_samples = n
        bounds = []
        for seed in range(n_seeds):
            vae._state.seed = seed
            bounds.append(vae.score_samples(X).mean())
        means[n] = np.mean(bounds)
    assert_allclose(means[1], exact.mean() - below, atol=0.1)
    assert means[1] < means[10] - 0.1
    assert means[10] < exact.mean()
    assert_allclose(means[5000], exact.mean(), atol=0.03)


def test_densities_are_in_the_units_of_the_data():
    X = rows()
    vae = VariationalAutoencoder(**QUICK).fit(X)
    other = VariationalAutoencoder(**QUICK).fit(100 * X)
    assert_allclose(other.score_samples(100 * X), vae.score_samples(X) - 6 * np.log(100), rtol=1e-4)
    common = VariationalAutoencoder(**QUICK, scaler="common").fit(X)
    unscaled = VariationalAutoencoder(**QUICK, scaler=None).fit((X - X.mean()) / X.std())
    expected = unscaled.score_samples((X - X.mean()) / X.std()) - 6 * np.log(X.std())
    assert_allclose(common.score_samples(X), expected, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_far_from_the_data_is_unlikely(dtype):
    X = rows().astype(dtype)
    vae = VariationalAutoencoder(**{**QUICK, "max_iter": 100}).fit(X)
    bounds = [vae.score_samples(X * dtype(factor)) for factor in (1, 10, 100, 1e4, 1e6)]
    assert np.isfinite(bounds).all()
    assert (np.diff(np.median(bounds, axis=1)) < 0).all()
    overflowing = np.full((1, X.shape[1]), 0.1 * np.finfo(dtype).max, dtype)
    assert_array_equal(vae.score_samples(overflowing), [-np.inf])


def test_the_bound_of_bits_by_numpy():
    X = bits()
    vae = VariationalAutoencoder(**QUICK, loss="log_loss", n_importance_samples=4).fit(X)
    W, b = vae.coefs_, vae.intercepts_
    code = np.maximum(X @ W[0] + b[0], 0) @ W[1] + b[1]
    mean, deviation = code[:, :2], np.exp(code[:, 2:] / 2)
    normals = vae._normals()
    weights = []
    for normal in normals:
        z = mean + deviation * normal
        p = 1 / (1 + np.exp(-(np.maximum(z @ W[2] + b[2], 0) @ W[3] + b[3])))
        likelihood = np.prod(np.where(X > 0.5, p, 1 - p), axis=1)
        weights.append(likelihood * np.exp(-0.5 * (z**2 - normal**2).sum(axis=1)) * deviation.prod(axis=1))
    assert_allclose(vae.score_samples(X), np.log(np.mean(weights, axis=0)), rtol=1e-9)


def test_losses_are_minus_the_bound():
    X = bits()
    vae = VariationalAutoencoder(**QUICK, loss="log_loss", alpha=0, n_importance_samples=1).fit(X)
    assert_allclose(vae.loss_curve_[-1], -vae.score(X), rtol=0.1)
    gaussian = VariationalAutoencoder(**QUICK, alpha=0, scaler=None, n_importance_samples=1).fit(X)
    expected = -gaussian.score(X) - 6 * np.log(2 * np.pi) / 2
    assert_allclose(6 * gaussian.loss_curve_[-1], expected, rtol=0.1)


def test_beta_trades_divergence_for_reconstructions():
    X = rows()
    fits = [VariationalAutoencoder(**QUICK, beta=beta).fit(X) for beta in (0.01, 1.0, 30.0)]
    errors = [((fit.reconstruct(X) - X) ** 2).mean() for fit in fits]
    assert errors[0] < errors[1] < errors[2]
    assert fits[2].transform(X).std() < 0.05


# -- fits --------------------------------------------------------------------------------------------------------------


def test_warm_up_is_of_gradients():
    X = rows()
    plain = VariationalAutoencoder(**QUICK).set_params(max_iter=3).fit(X)
    warmed = VariationalAutoencoder(**QUICK, beta_warmup=3).set_params(max_iter=3).fit(X)
    assert warmed.loss_curve_[0] != plain.loss_curve_[0]
    assert warmed.transform(X).std() > plain.transform(X).std()


def test_a_resumed_fit_ends_as_if_nothing_had_happened(tmp_path):
    X = rows()
    est = VariationalAutoencoder(**QUICK, beta_warmup=20, early_stopping=True)
    whole = clone(est).fit(X)
    path = tmp_path / "fit.skn"
    clone(est).set_params(max_iter=7).set_callbacks(Checkpoint(path, 1)).fit(X)
    resumed = clone(est).fit(X, resume_from=path)
    assert_array_equal(resumed._params, whole._params)
    assert resumed.loss_curve_ == whole.loss_curve_


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_files_and_copies(tmp_path, loss):
    X = bits()
    vae = VariationalAutoencoder(**QUICK, loss=loss).fit(X)
    save(vae, tmp_path / "vae.skn")
    for twin in (load(tmp_path / "vae.skn"), pickle.loads(pickle.dumps(vae)), copy.copy(vae), copy.deepcopy(vae)):
        assert_array_equal(twin.transform(X), vae.transform(X))
        assert_array_equal(twin.score_samples(X), vae.score_samples(X))
    layers = {"encoder": [Dense(5, "tanh")], "decoder": [Dense(5, "tanh")]}
    own = VariationalAutoencoder(2, **layers, loss=loss, max_iter=2).fit(X)
    save(own, tmp_path / "own.skn")
    assert_array_equal(load(tmp_path / "own.skn").transform(X), own.transform(X))


def test_threads_change_no_bit(monkeypatch):
    from skneural.backends.cpu import engine

    monkeypatch.setattr(engine, "_WORTH_A_THREAD", 0.0)
    X = rows(700).astype(np.float32)
    fits = [VariationalAutoencoder(**QUICK, n_jobs=n).set_params(max_iter=3).fit(X) for n in (1, 2, 3)]
    for fit in fits[1:]:
        assert_array_equal(fit._params, fits[0]._params)
        assert_array_equal(fit.score_samples(X), fits[0].score_samples(X))


def test_weights_count_as_copies_do():
    X = rows(60)
    settings = {**QUICK, "max_iter": 1, "batch_size": 120, "shuffle": False, "beta": 0.5}
    twice = np.ones(60)
    twice[:30] = 2
    weighted = VariationalAutoencoder(**settings).set_params(batch_size=60).fit(X, sample_weight=twice)
    assert_allclose(
        weighted.score(X, sample_weight=twice), np.average(weighted.score_samples(X), weights=twice), rtol=1e-12
    )
    scale = weighted._target
    copies = np.vstack([X, X[:30]])
    assert_allclose(scale.center, copies.mean(axis=0))
    assert_allclose(scale.scale, copies.std(axis=0))


def test_it_learns_in_parts_and_in_searches():
    X = rows()
    est = VariationalAutoencoder(**QUICK)
    for _ in range(3):
        est.partial_fit(X)
    assert len(est.loss_curve_) == 3
    search = GridSearchCV(VariationalAutoencoder(**QUICK), {"n_components": [1, 2]}, cv=2).fit(X)
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    y = (X[:, 0] > 4).astype(int)
    assert make_pipeline(VariationalAutoencoder(**QUICK), LogisticRegression()).fit(X, y).score(X, y) > 0.7


def test_images_and_layers_of_ones_own():
    X = np.random.default_rng(0).integers(0, 2, (30, 4, 4)).astype(float)
    encoder = [Conv2D(3, activation="relu"), Flatten()]
    vae = VariationalAutoencoder(2, encoder=encoder, decoder=[Dense(8, "relu")], loss="log_loss", max_iter=2).fit(X)
    assert vae.transform(X).shape == (30, 2)
    assert vae.sample(3, random_state=0).shape == (3, 4, 4)
    assert vae.score_samples(X).shape == (30,)
    bytes_ = (X * 255).astype(np.uint8)
    assert VariationalAutoencoder(2, (8,), max_iter=2).fit(bytes_).sample(2).shape == (2, 4, 4)
    steps = np.random.default_rng(0).normal(size=(30, 5, 2))
    encoder = [Recurrent("gru", 4), GlobalPool("last")]
    vae = VariationalAutoencoder(2, encoder=encoder, decoder=[Dense(8, "relu")], max_iter=2).fit(steps)
    assert vae.reconstruct(steps).shape == steps.shape
    assert np.isfinite(vae.score_samples(steps)).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": "lbfgs"}, "needs a stochastic solver"),
        ({"loss": "log_loss"}, "loss='log_loss' needs X between 0 and 1"),
        ({"encoder": [Dense(4)]}, "encoder and decoder must be given together"),
        ({"encoder": [Recurrent("gru", 4)], "decoder": []}, "needs sequences"),
        ({"encoder": [Dense(4)], "decoder": [Dense(4), ActivityRegularization(1.0)]}, "adds to the loss"),
        ({"encoder": [Dense(4)], "decoder": [Dense(4), GaussianSampling()]}, "adds to the loss"),
        ({"beta": -1}, "'beta' parameter"),
        ({"n_components": 0}, "'n_components' parameter"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        VariationalAutoencoder(max_iter=1).set_params(**settings).fit(rows())


def test_nothing_is_sampled_before_fit():
    from sklearn.exceptions import NotFittedError

    for method in (lambda est: est.sample(2), lambda est: est.score_samples(rows())):
        with pytest.raises(NotFittedError):
            method(VariationalAutoencoder())
