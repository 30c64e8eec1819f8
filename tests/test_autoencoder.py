"""Autoencoders: codes, reconstructions, errors, and the data that they read."""

import pickle

import numpy as np
import pytest
from networks import assert_right_gradient
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.linalg import subspace_angles
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_resume import assert_same_end, interrupted

import skneural
from skneural import Autoencoder, AutoencoderDetector, load, save
from skneural.backends.cpu import buffers
from skneural.estimators import _autoencoder_reader
from skneural.inspection import layer_outputs, saliency
from skneural.layers import (
    ActivityRegularization,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    GlobalPool,
    MaxPool2D,
    Recurrent,
    Reshape,
    UpSample,
)
from skneural.network.initializers import initialize

# Fits here are short on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS = load_digits()
X = DIGITS.data[:300]
SMALL = {"hidden_layer_sizes": (16, 3), "max_iter": 5, "random_state": 0}


def curve(n_samples=200, seed=0):
    """Points near a curve in three dimensions."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-1, 1, n_samples)
    return np.column_stack([t, t**2, t**3]) + rng.normal(0, 0.01, (n_samples, 3))


# -- what it learns ----------------------------------------------------------------------------------------------------


def test_a_linear_autoencoder_spans_the_subspace_of_pca():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 8)) + 0.1 * rng.normal(size=(300, 8)) + 5
    settings = {"solver": "lbfgs", "alpha": 0.0, "max_iter": 2000, "tol": 1e-12, "random_state": 0}
    ae = Autoencoder(3, scaler="common", **settings).fit(data)
    pca = PCA(3).fit(data)
    assert subspace_angles(ae.coefs_[1].T, pca.components_.T).max() < 1e-3
    assert_allclose(ae.reconstruct(data), pca.inverse_transform(pca.transform(data)), atol=1e-2)


def test_codes_of_one_number_follow_a_curve():
    train, test = curve(), curve(seed=1)
    ae = Autoencoder((16, 1), max_iter=400, learning_rate_init=0.01, random_state=0).fit(train)
    pca = PCA(1).fit(train)
    error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean()
    assert -ae.score(test) < 0.2 * error


def test_the_two_halves_make_the_whole():
    ae = Autoencoder(**SMALL).fit(X)
    codes = ae.transform(X)
    assert codes.shape == (300, 3)
    assert_array_equal(ae.inverse_transform(codes), ae.reconstruct(X))
    assert_array_equal(ae.fit_transform(X), codes)
    hidden = np.maximum(((X - X.mean(0)) / np.where(X.std(0) > 0, X.std(0), 1)) @ ae.coefs_[0] + ae.intercepts_[0], 0)
    assert_allclose(codes, hidden @ ae.coefs_[1] + ae.intercepts_[1], atol=1e-10)
    assert [weights.shape for weights in ae.coefs_] == [(64, 16), (16, 3), (3, 16), (16, 64)]


def test_halves_see_weights_that_are_changed_or_assigned():
    ae = Autoencoder(**SMALL).fit(X)
    before = ae.inverse_transform(ae.transform(X))
    ae.intercepts_[3][:] += 1
    inside = ae.inverse_transform(ae.transform(X))
    assert_allclose(inside - before, np.broadcast_to(ae._target.scale, X.shape), atol=1e-9)
    ae.coefs_[0] = np.zeros_like(ae.coefs_[0])
    assert np.ptp(ae.transform(X), axis=0).max() == 0


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "log_loss"])
def test_gradient(loss):
    data = np.random.default_rng(0).uniform(0.1, 0.9, (6, 5))
    ae = Autoencoder((4, 2), activation="tanh", loss=loss, max_iter=1, random_state=0).fit(data)
    program = ae._program
    params = initialize(program, seed=3)
    targets = ae._target.encode(data, np.float64)
    assert_right_gradient(program, params, targets, targets, None)


def test_scores_are_minus_errors_in_the_units_of_X():
    data = curve() * [1, 10, 100] + 7
    weights = np.arange(1.0, len(data) + 1)
    for scaler in ("standard", "common", None):
        ae = Autoencoder((8, 2), max_iter=20, scaler=scaler, random_state=0).fit(data)
        errors = ((ae.reconstruct(data) - data) ** 2).mean(axis=1)
        assert_allclose(ae.score_samples(data), -errors)
        assert_allclose(ae.score(data, sample_weight=weights), -np.average(errors, weights=weights))
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\), expected"):
        ae.score(data, sample_weight=[1, 2, 3])
    with pytest.raises(ValueError, match="at least one non-zero"):
        ae.score(data, sample_weight=0 * weights)
    ae = Autoencoder((8, 2), max_iter=20, loss="absolute_error", random_state=0).fit(data)
    assert_allclose(ae.score_samples(data), -np.abs(ae.reconstruct(data) - data).mean(axis=1))


def test_log_loss_is_of_shares():
    bits = (X > 7).astype(float)
    ae = Autoencoder((16, 8), loss="log_loss", learning_rate_init=0.01, max_iter=50, random_state=0).fit(bits)
    made = ae.reconstruct(bits)
    assert made.min() >= 0
    assert made.max() <= 1
    assert_array_equal(ae.inverse_transform(ae.transform(bits)), made)
    assert_allclose(-ae.score(bits), log_loss(bits.ravel(), made.ravel()), rtol=1e-6)
    assert -ae.score(bits) < 0.5
    for wrong in (X, bits - 1):
        with pytest.raises(ValueError, match="loss='log_loss' needs X between 0 and 1, got numbers from"):
            clone(ae).fit(wrong)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_of_outputs_that_are_sure(dtype):
    bits = (X[:40] > 7).astype(dtype)
    ae = Autoencoder((4, 2), loss="log_loss", max_iter=1, random_state=0).fit(bits)
    for array in (*ae.coefs_, *ae.intercepts_):
        array[:] = 0
    for logit in (-30, 30):
        ae.intercepts_[-1][:] = logit
        wrong = bits == 0 if logit > 0 else bits == 1
        # Numbers just below 1 are rare in float32: it has none that says so much.
        cost = 30 if dtype == np.float64 or logit < 0 else -np.log(np.finfo(np.float32).epsneg)
        assert_allclose(-ae.score_samples(bits), cost * wrong.mean(axis=1), rtol=2e-3, atol=1e-6)


def test_scaled_data_train_alike():
    """What X is measured in changes nothing but the units of what comes out."""
    data = curve()
    ae = Autoencoder(**SMALL).fit(data)
    other = Autoencoder(**SMALL).fit(data * 1000 - 5)
    assert_allclose(other.transform(data * 1000 - 5), ae.transform(data), atol=1e-9)
    assert_allclose(other.reconstruct(data * 1000 - 5), ae.reconstruct(data) * 1000 - 5, atol=1e-6)


def test_denoising():
    rng = np.random.default_rng(0)
    noisy = X + rng.normal(0, 4, X.shape)
    settings = {"scaler": "common", "max_iter": 150, "learning_rate_init": 0.003, "random_state": 0}
    plain = Autoencoder((64, 32), **settings).fit(X)
    denoising = Autoencoder((64, 32), input_noise=0.66, **settings).fit(X)  # a deviation of 6.0
    error = ((plain.reconstruct(noisy) - X) ** 2).mean()
    assert ((denoising.reconstruct(noisy) - X) ** 2).mean() < 0.8 * error
    masked = Autoencoder((64, 32), input_dropout=0.3, **settings).fit(X)
    assert_array_equal(masked.reconstruct(X), masked.reconstruct(X))  # only in training
    assert not np.array_equal(masked.coefs_[0], plain.coefs_[0])


# -- as other estimators -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision(dtype):
    ae = Autoencoder(**SMALL).fit(X.astype(dtype))
    assert ae.transform(X).dtype == ae.reconstruct(X).dtype == ae.coefs_[0].dtype == dtype
    assert ae.inverse_transform(ae.transform(X)).dtype == dtype


def test_same_bits_for_any_number_of_threads_and_rows():
    ae = Autoencoder(**SMALL, n_jobs=1).fit(X)
    other = Autoencoder(**SMALL, n_jobs=3).fit(X)
    assert_array_equal(ae._params, other._params)
    assert_array_equal(ae.transform(X)[7:9], ae.transform(X[7:9]))
    assert_array_equal(ae.score_samples(X)[7:9], ae.score_samples(X[7:9]))


@pytest.mark.parametrize("cls", [Autoencoder, AutoencoderDetector])
def test_copies_pickles_and_files(cls, tmp_path):
    est = cls(**SMALL).fit(X)
    save(est, tmp_path / "model.skn")
    for other in (pickle.loads(pickle.dumps(est)), load(tmp_path / "model.skn")):
        assert_array_equal(other.transform(X), est.transform(X))
        assert_array_equal(other.reconstruct(X), est.reconstruct(X))
        assert_array_equal(other.score_samples(X), est.score_samples(X))
        if cls is AutoencoderDetector:
            assert other.offset_ == est.offset_
            assert_array_equal(other.predict(X), est.predict(X))
        assert_array_equal(other.partial_fit(X)._params, pickle.loads(pickle.dumps(est)).partial_fit(X)._params)


def test_spoilt_states_are_refused():
    est = Autoencoder(**SMALL).fit(X)
    for name, value in [("n_encoder", 9), ("n_encoder", 0), ("shape", (63,)), ("scale", np.ones(5)), ("loss", "gamma")]:
        state = est.__getstate__()
        state["_target"] = {**state["_target"], name: value}
        with pytest.raises(ValueError, match="This state of Autoencoder cannot be used"):
            Autoencoder.__new__(Autoencoder).__setstate__(state)


def test_partial_fit_and_warm_start():
    ae = Autoencoder(**SMALL, batch_size=50)
    for _ in range(20):
        for part in np.array_split(X, 3):
            ae.partial_fit(part)
    assert ae.score(X) > Autoencoder(**SMALL).fit(X).score(X)
    center = ae._target.center
    ae.set_params(warm_start=True).fit(X + 1)
    assert_array_equal(ae._target.center, center)
    assert_allclose(center, X[:100].mean(axis=0))


def test_a_fit_that_is_interrupted_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "fit.skn"
    est = AutoencoderDetector(**SMALL, input_dropout=0.1, batch_size=64, early_stopping=True)
    interrupted(est, path, 2, X, None)
    whole = clone(est).fit(X)
    assert_same_end(clone(est).fit(X, resume_from=path), whole)


def test_validation():
    ae = Autoencoder((16, 3), max_iter=30, early_stopping=True, random_state=0).fit(X)
    assert len(ae.validation_scores_) == ae.n_iter_
    assert max(ae.validation_scores_) == ae.best_validation_score_ < 0
    ae = Autoencoder(**SMALL).fit(X, X_val=X[:50])
    assert_allclose(ae.best_validation_score_, ae.score(X[:50]))
    weights = np.arange(1.0, 51)
    ae = Autoencoder(**SMALL, scoring="loss").fit(X, X_val=X[:50], sample_weight_val=weights)
    scaled = ae._target.errors(X[:50], ae.reconstruct(X[:50]), in_units=False)
    assert_allclose(ae.best_validation_score_, -np.average(scaled, weights=weights) / 2)


def test_among_others():
    data, y = load_iris(return_X_y=True)
    ae = Autoencoder((8, 2), max_iter=60, learning_rate_init=0.01, random_state=0)
    pipe = make_pipeline(StandardScaler(), ae, LogisticRegression()).fit(data, y)
    assert pipe.score(data, y) > 0.85
    search = GridSearchCV(ae, {"hidden_layer_sizes": [(8, 1), (8, 2)]}, cv=3).fit(data)
    assert search.best_params_["hidden_layer_sizes"] == (8, 2)
    columns = make_column_transformer((ae, [0, 1, 2]), remainder="passthrough").fit(data)
    assert columns.transform(data).shape == (150, 3)
    assert list(ae.fit(data).get_feature_names_out()) == ["autoencoder0", "autoencoder1"]


def test_sparse_rows_are_read_as_dense_ones():
    ae = Autoencoder(**SMALL).fit(sparse.csr_matrix(X))
    dense = Autoencoder(**SMALL).fit(X)
    assert_array_equal(ae._params, dense._params)
    assert_array_equal(dense.transform(sparse.csr_matrix(X)), dense.transform(X))


def test_sparse_rows_are_made_dense_in_parts(monkeypatch):
    rows = sparse.csr_matrix(X)
    ae = Autoencoder(**SMALL).fit(X)
    whole = [ae.transform(X), ae.reconstruct(X), ae.score_samples(X)]
    monkeypatch.setattr(_autoencoder_reader, "PART", 64 * 70)
    sizes = []
    dense = _autoencoder_reader._dense
    monkeypatch.setattr(_autoencoder_reader, "_dense", lambda X: sizes.append(X.shape[0]) or dense(X))
    parts = [ae.transform(rows), ae.reconstruct(rows), ae.score_samples(rows)]
    assert sizes == 3 * [70, 70, 70, 70, 20]
    for part, expected in zip(parts, whole, strict=True):
        assert_array_equal(part, expected)


def test_sparse_rows_that_are_larger_than_the_memory(monkeypatch):
    monkeypatch.setattr(buffers, "physical_memory", lambda: 1.5 * X.nbytes)
    with pytest.raises(MemoryError, match=r"X of shape \(300, 64\) is made dense, which takes 2 times .* partial_fit"):
        Autoencoder(**SMALL).fit(sparse.csr_matrix(X))


def test_wide_codes():
    with pytest.warns(UserWarning, match="The code has 4 numbers, and a sample of X 3"):
        Autoencoder(4, max_iter=1).fit(curve())
    for settings in ({"input_dropout": 0.2}, {"activity_l1": 0.1}):
        Autoencoder(4, max_iter=1, **settings).fit(curve())  # no warning


def test_bad_settings():
    for settings, words in [
        ({"hidden_layer_sizes": ()}, "must name at least the size of the code"),
        ({"encoder": [Dense(2)]}, "encoder and decoder must be given together"),
        ({"encoder": [], "decoder": []}, "encoder must hold at least one layer"),
        ({"encoder": [Flatten()], "decoder": []}, "at least one layer that learns"),
        ({"encoder": [3], "decoder": []}, r"encoder\[0\] of Autoencoder: Layers must be"),
        ({"input_dropout": 0.1, "solver": "lbfgs"}, "input_dropout needs a stochastic solver"),
        ({"dropout": 0.1, "solver": "lbfgs"}, "dropout needs a stochastic solver"),
        ({"dropout": (0.1, 0.2)}, "one per hidden layer of the encoder: got 2 for 1 layers"),
        ({"normalization": "batch", "solver": "lbfgs"}, "normalization='batch' needs a stochastic solver"),
        ({"normalization": "batch", "batch_size": 1}, "normalization='batch' needs batches of at least two"),
        ({"encoder": [Dense(2)], "decoder": [Dense(12), Reshape((4, 3))]}, "decoder returns values of shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            Autoencoder(**settings).fit(curve())
    ae = Autoencoder((8, 2), max_iter=1).fit(curve())
    with pytest.raises(ValueError, match="X has 3 features, but the codes of this Autoencoder have 2"):
        ae.inverse_transform(curve())
    with pytest.raises(TypeError, match="Autoencoder predicts nothing but X itself"):
        saliency(ae, curve())


def test_outputs_of_layers_are_of_scaled_data():
    ae = Autoencoder(**SMALL).fit(X)
    assert_array_equal(layer_outputs(ae, X, 1), ae.transform(X))


def test_warmup():
    assert skneural.warmup(Autoencoder(loss="log_loss"), ["float64"]) > 10
    with pytest.raises(ValueError, match="only when it is fitted"):
        skneural.warmup(Autoencoder(encoder=[Conv2D(2)], decoder=[Conv2D(1)]), ["float64"])


# -- what parameters say as layers do ----------------------------------------------------------------------------------


def test_sparse_codes():
    settings = {**SMALL, "hidden_layer_sizes": (16, 12), "scaler": "common", "max_iter": 20, "learning_rate_init": 0.01}
    plain = Autoencoder(code_activation="relu", **settings).fit(X)
    ae = Autoencoder(code_activation="relu", activity_l1=1.0, **settings).fit(X)
    assert (ae.transform(X) == 0).mean() > 0.1 + (plain.transform(X) == 0).mean()
    assert ae.transform(X).sum() < 0.5 * plain.transform(X).sum()
    encoder = [Dense(16, "relu"), Dense(12, "relu")]
    by_layers = Autoencoder(encoder=encoder, decoder=[Dense(16, "relu")], activity_l1=1.0, **settings).fit(X)
    assert_array_equal(by_layers._params, ae._params)
    encoder.append(ActivityRegularization(l1=1.0))
    assert_array_equal(Autoencoder(encoder=encoder, decoder=[Dense(16, "relu")], **settings).fit(X)._params, ae._params)
    assert_array_equal(pickle.loads(pickle.dumps(ae)).transform(X), ae.transform(X))


@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_hidden_layers_with_dropout_and_normalization(normalization):
    settings = {"max_iter": 3, "random_state": 0}
    own = {"dropout": (0.1, 0.3), "normalization": normalization}
    ae = Autoencoder((6, 4, 2), **own, **settings).fit(curve())
    outer = [Dense(6, "relu", normalization), Dropout(0.1)]
    inner = [Dense(4, "relu", normalization), Dropout(0.3)]
    layers = {"encoder": [*outer, *inner, Dense(2)], "decoder": [*inner, *outer]}
    by_layers = Autoencoder(**layers, **settings).fit(curve())
    assert_array_equal(ae._params, by_layers._params)
    assert_array_equal(ae.reconstruct(curve()), by_layers.reconstruct(curve()))
    assert_allclose(ae.inverse_transform(ae.transform(curve())), ae.reconstruct(curve()), rtol=1e-12)
    codes = clone(ae).set_params(dropout=0.0).fit(curve()).transform(curve())
    assert not np.array_equal(codes, ae.transform(curve()))


# -- images ------------------------------------------------------------------------------------------------------------

IMAGES = DIGITS.images[:200].astype("uint8")
ENCODER = [Conv2D(4, activation="relu"), MaxPool2D(), Flatten(), Dense(6)]
DECODER = [Dense(64, "relu"), Reshape((4, 4, 4)), UpSample(), Conv2D(1)]


@pytest.mark.parametrize(
    "decoder", [DECODER, [Dense(32), Reshape((4, 4, 2)), ConvTranspose2D(3, 2, 2, padding="valid")]]
)
def test_images(decoder, tmp_path):
    ae = Autoencoder(encoder=ENCODER, decoder=decoder, max_iter=5, random_state=0).fit(IMAGES)
    assert ae.coefs_[0].dtype == np.float32
    assert ae.image_shape_ == (8, 8, 1)
    codes = ae.transform(IMAGES)
    assert codes.shape == (200, 6)
    assert ae.reconstruct(IMAGES).shape == (200, 8, 8)
    assert_array_equal(ae.inverse_transform(codes), ae.reconstruct(IMAGES))
    assert_allclose(ae._target.center, IMAGES.mean())
    save(ae, tmp_path / "model.skn")
    assert_array_equal(load(tmp_path / "model.skn").transform(IMAGES), codes)
    assert_array_equal(pickle.loads(pickle.dumps(ae)).reconstruct(IMAGES), ae.reconstruct(IMAGES))


@pytest.mark.parametrize("decoder", [[], [Reshape((3, 1)), Flatten()]], ids=["none", "reshape"])
def test_a_decoder_that_would_learn_nothing_has_a_last_layer(decoder):
    data = curve(50)
    ae = Autoencoder(encoder=[Dense(3)], decoder=decoder, max_iter=1, random_state=0).fit(data)
    assert_allclose(ae.inverse_transform(ae.transform(data)), ae.reconstruct(data))
    assert len(ae.coefs_) == 2


def test_a_decoder_that_only_enlarges_has_a_last_layer():
    images = DIGITS.images[:30]
    ae = Autoencoder(encoder=[Conv2D(1, stride=2)], decoder=[UpSample(2)], max_iter=1, random_state=0).fit(images)
    assert_allclose(ae.inverse_transform(ae.transform(images)), ae.reconstruct(images))


def test_forms_of_images():
    settings = {"encoder": ENCODER, "decoder": DECODER, "max_iter": 2, "random_state": 0}
    ae = Autoencoder(**settings).fit(IMAGES)
    for form, image_shape in [(IMAGES[..., None], None), (IMAGES.reshape(200, 64), (8, 8)), (list(IMAGES), None)]:
        other = Autoencoder(**settings, image_shape=image_shape).fit(form)
        assert_array_equal(other.transform(form), ae.transform(IMAGES))
        assert other.reconstruct(form).shape == np.shape(form)
        assert_array_equal(other.reconstruct(form).ravel(), ae.reconstruct(IMAGES).ravel())
    colours = np.repeat(IMAGES[:, None], 3, axis=1)
    other = Autoencoder(8, max_iter=2, input_format="channels_first", random_state=0).fit(colours)
    assert other.image_shape_ == (8, 8, 3)
    assert other.reconstruct(colours).shape == colours.shape


def test_settings_of_layers_are_nested_parameters():
    ae = Autoencoder(encoder=ENCODER, decoder=DECODER, max_iter=2, random_state=0)
    assert ae.get_params()["encoder__0__filters"] == 4
    ae.set_params(encoder__3__units=5, decoder__0__activation="tanh")
    assert ae.encoder[3] == Dense(5)
    assert ae.decoder[0] == Dense(64, "tanh")
    assert ENCODER[3] == Dense(6)
    assert clone(ae).fit_transform(IMAGES).shape == (200, 5)
    search = GridSearchCV(ae, {"encoder__3__units": [1, 8]}, cv=2).fit(IMAGES)
    assert search.best_estimator_.transform(IMAGES).shape[1] in (1, 8)
    with pytest.raises(ValueError, match="Invalid parameter 'encoder__9' for estimator Autoencoder"):
        ae.set_params(encoder__9__units=5)
    with pytest.raises(ValueError, match="Invalid parameter 'encoder__0'"):
        Autoencoder().set_params(encoder__0__units=5)


def test_codes_that_are_images_are_rows():
    encoder = [Conv2D(4, 3, 2, activation="relu"), Conv2D(2, 3, 2, activation="tanh")]
    decoder = [UpSample(), Conv2D(4, activation="relu"), UpSample(), Conv2D(4, activation="relu")]
    ae = Autoencoder(encoder=encoder, decoder=decoder, max_iter=2, random_state=0).fit(IMAGES)
    assert ae.transform(IMAGES).shape == (200, 8)
    assert_array_equal(ae.inverse_transform(ae.transform(IMAGES)), ae.reconstruct(IMAGES))
    assert ae._program.source.layers[-2:] == (Conv2D(1, 1), Flatten())  # added


def test_hidden_layers_flatten_images():
    ae = Autoencoder(**SMALL).fit(IMAGES)
    rows = Autoencoder(**SMALL, scaler="common").fit(IMAGES.reshape(200, 64).astype("float32"))
    assert_allclose(ae.transform(IMAGES), rows.transform(IMAGES.reshape(200, 64)), atol=1e-4)
    assert Autoencoder(**SMALL).fit(IMAGES[:, None]).image_shape_ == (1, 8, 8)


# -- sequences ---------------------------------------------------------------------------------------------------------


def waves(n_samples=60, n_steps=10):
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 6, (n_samples, 1, 2))
    return np.sin(np.arange(n_steps)[:, None] / 2 + phase)


def test_sequences_through_one_code(tmp_path):
    data = waves()
    encoder = [Recurrent("gru", 8), GlobalPool("last"), Dense(3)]
    decoder = [Reshape((1, 3)), UpSample(10), Recurrent("gru", 8)]
    ae = Autoencoder(encoder=encoder, decoder=decoder, max_iter=5, random_state=0).fit(data)
    assert ae.transform(data).shape == (60, 3)
    assert ae.reconstruct(data).shape == data.shape
    assert_array_equal(ae.inverse_transform(ae.transform(data)), ae.reconstruct(data))
    assert_allclose(ae._target.center, data.mean(axis=(0, 1)))
    save(ae, tmp_path / "model.skn")
    assert_array_equal(load(tmp_path / "model.skn").transform(data), ae.transform(data))
    with pytest.raises(ValueError, match="The sequences of X have different lengths, but what comes out"):
        clone(ae).fit([x[: 8 + i % 3] for i, x in enumerate(data)])
    with pytest.raises(ValueError, match="The sequences of X have different lengths, but what comes out"):
        ae.transform(data[:, :7])
    with pytest.raises(ValueError, match="X has 11 time steps"):
        ae.transform(waves(n_steps=11))


def test_sequences_of_different_length():
    """A code at every step: padding is neither learnt nor counted."""
    data = waves()
    ragged = [x[: 5 + i % 6] for i, x in enumerate(data)]
    ae = Autoencoder(encoder=[Recurrent("gru", 1)], decoder=[Recurrent("gru", 8)], max_iter=5, random_state=0)
    ae.fit(ragged)
    made = ae.reconstruct(ragged)
    assert made.shape == (60, 10, 2)
    for x, y, score in zip(ragged, made, ae.score_samples(ragged), strict=True):
        assert np.isnan(y[len(x) :]).all()
        assert_allclose(score, -((x - y[: len(x)]) ** 2).mean())
    assert_array_equal(ae.reconstruct(ragged[:1])[0, :5], made[0, :5])
    shorter = clone(ae).fit([x[:9] for x in ragged])
    longer = clone(ae).fit([np.vstack([x[:9], np.full((1, 2), np.nan)]) for x in ragged])
    assert_array_equal(shorter._params, longer._params)


def test_layers_for_sequences_that_do_not_fit_are_named():
    waves = np.sin(np.arange(12)[:, None] / 3 + np.random.default_rng(0).uniform(0, 6, (20, 1, 2)))
    for first in (Recurrent("gru", 4), Conv1D(4)):
        with pytest.raises(ValueError, match=r"Dense needs rows, got sequences of shape \(12, 4\)"):
            Autoencoder(encoder=[first, Dense(2)], decoder=[Dense(3)]).fit(waves)
    with pytest.raises(ValueError, match="Dense needs rows, got images"):
        Autoencoder(encoder=[Conv2D(4), Dense(2)], decoder=[Dense(3)]).fit(waves)
    ae = Autoencoder(encoder=[Recurrent("gru", 1)], decoder=[Recurrent("gru", 2)], max_iter=1).fit(waves[:, :6])
    with pytest.raises(ValueError, match=r"X has 12 time steps, .* at most 6, as in fit: its codes are rows of one"):
        ae.transform(waves)


def test_convolutions_over_time():
    data = waves()
    encoder = [Conv1D(4, 3, 2, activation="relu"), Flatten(), Dense(2)]
    ae = Autoencoder(encoder=encoder, decoder=[Dense(20), Reshape((10, 2)), Conv1D(2)], max_iter=3).fit(data)
    assert ae.transform(data).shape == (60, 2)
    assert ae._n_channels == 2


# -- outliers ----------------------------------------------------------------------------------------------------------


def test_outliers():
    train = curve()
    rng = np.random.default_rng(1)
    outliers = rng.uniform(-1, 1, (50, 3)) + [0, -1, 0]
    detector = AutoencoderDetector((16, 1), contamination=0.05, max_iter=300, learning_rate_init=0.01, random_state=0)
    labels = detector.fit_predict(train)
    assert (labels == -1).sum() == 10
    assert (detector.predict(outliers) == -1).mean() > 0.9
    decisions = detector.decision_function(train)
    assert_array_equal(labels, np.where(decisions < 0, -1, 1))
    assert_allclose(decisions, detector.score_samples(train) - detector.offset_)


def test_detectors_do_not_see_units():
    detector = AutoencoderDetector((8, 2), max_iter=20, random_state=0)
    scores = detector.fit(curve()).score_samples(curve())
    assert_allclose(detector.fit(curve() * [1, 10, 1000]).score_samples(curve() * [1, 10, 1000]), scores)


def test_validation_of_detectors_is_by_their_score():
    data = curve() * [1, 10, 1000]
    detector = AutoencoderDetector(**SMALL).fit(data, X_val=data[:50])
    best = np.argmax(detector.validation_scores_)
    assert best == SMALL["max_iter"] - 1
    assert_allclose(detector.validation_scores_[best], detector.score(data[:50]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_overflows_is_an_outlier(dtype):
    detector = AutoencoderDetector((8, 2), scaler=None, max_iter=20, random_state=0).fit(curve().astype(dtype))
    far = np.full((2, 3), 0.9 * np.finfo(dtype).max, dtype)
    far[1, ::2] *= -1
    assert_array_equal(detector.score_samples(far), [-np.inf, -np.inf])
    assert_array_equal(detector.predict(far), [-1, -1])


def test_weights_count_in_the_threshold():
    data = curve(100)
    repeated = np.vstack([data, data[:50], data[:50]])
    detector = AutoencoderDetector((8, 2), max_iter=20, random_state=0)
    weights = np.r_[np.full(50, 3.0), np.ones(50)]
    weighted = clone(detector).fit(data, sample_weight=weights)
    assert_allclose(weighted.offset_, detector.fit(repeated).offset_, rtol=1e-6)
