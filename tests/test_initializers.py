"""Initial weights: what each rule promises, the same bits everywhere, and a user's own rule."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from skneural.layers import Conv2D, ConvTranspose2D, Dense, Flatten, GlobalPool, Recurrent, Reshape
from skneural.maths.random import WEIGHTS, bits, key
from skneural.network.initializers import INITIALIZERS, initialize
from skneural.network.program import lower

DTYPES = [np.float32, np.float64]
WIDTHS = (50, 120, 90, 40)


def network(dtype=np.float64, widths=WIDTHS, activations="relu", normalization=None):
    """A program with dense layers of these widths, the first of which is that of the input."""
    activations = np.resize(activations, len(widths) - 2)
    hidden = [
        Dense(units, activation, normalization) for units, activation in zip(widths[1:-1], activations, strict=True)
    ]
    return lower([*hidden, Dense(widths[-1])], widths[0], dtype=dtype, loss="squared_error")


def coefs(weight_init, seed=0, **settings):
    """Weights of every layer, from one rule."""
    program = network(**settings)
    return program.coefs(initialize(program, seed, weight_init))


#: Variance of the weights of a layer, as the papers have it.
VARIANCE = {
    "auto": lambda n_in, n_out: 2 / (n_in + n_out),
    "glorot_uniform": lambda n_in, n_out: 2 / (n_in + n_out),
    "glorot_normal": lambda n_in, n_out: 2 / (n_in + n_out),
    "he_uniform": lambda n_in, n_out: 2 / n_in,
    "he_normal": lambda n_in, n_out: 2 / n_in,
    "lecun_normal": lambda n_in, n_out: 1 / n_in,
    "pytorch": lambda n_in, n_out: 1 / (3 * n_in),
    "orthogonal": lambda n_in, n_out: 1 / max(n_in, n_out),
}


def test_every_rule_says_what_it_is():
    assert all(entry.name == name and entry.summary.endswith(".") for name, entry in INITIALIZERS.items())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_mean_and_variance(name, dtype):
    for w in coefs(name, dtype=dtype):
        assert w.dtype == dtype
        variance = VARIANCE[name](*w.shape) if name in VARIANCE else w.var()  # no paper about a rule: any will do
        z = w.astype(np.float64) / np.sqrt(variance)
        # Five standard errors; the variance of a squared normal number is 2, that of a squared uniform one 0.8.
        assert abs(z.mean()) < 5 / np.sqrt(w.size)
        assert abs((z**2).mean() - 1) < 5 * np.sqrt(2 / w.size)


@pytest.mark.parametrize("name", sorted(set(VARIANCE) - {"orthogonal"}))
def test_variance_of_convolutions(name):
    # Each pixel goes into as many pixels of a filter as a kernel has: so PyTorch, Keras and JAX count.
    layers = [Reshape((6, 6, 8)), Conv2D(40, (3, 5)), Conv2D(60, 3, groups=4), ConvTranspose2D(30, 2), Flatten()]
    program = lower([*layers, Dense(1)], 8, dtype=np.float64, loss="squared_error", n_timesteps=36)
    weights = program.coefs(initialize(program, 0, name))
    fans = [(8 * 15, 40 * 15), (10 * 9, 15 * 9), (60 * 4, 30 * 4)]
    for w, (n_in, n_out) in zip(weights, fans, strict=False):
        assert len(w) == n_in
        share = (w**2).mean() / VARIANCE[name](n_in, n_out)
        assert abs(share - 1) < 5 * np.sqrt(2 / w.size)


@pytest.mark.parametrize("name", ["auto", "glorot_uniform", "he_uniform", "pytorch"])
def test_uniform_weights_fill_their_bounds(name):
    for w in coefs(name):
        bound = np.sqrt(3 * VARIANCE[name](*w.shape))
        assert np.abs(w).max() < bound
        # The chance that all of n numbers stay below (1 - 20 / n) of the bound is exp(-20).
        assert np.abs(w).max() > bound * (1 - 20 / w.size)
        assert abs((np.abs(w) < bound / 2).mean() - 0.5) < 5 * 0.5 / np.sqrt(w.size)


@pytest.mark.parametrize("name", ["glorot_normal", "he_normal", "lecun_normal"])
def test_normal_weights_are_normal(name):
    for w in coefs(name):
        z = w / np.sqrt(VARIANCE[name](*w.shape))
        for quantile, share in [(0.0, 0.5), (1.0, 0.8413447461), (-1.0, 0.1586552539), (2.0, 0.9772498681)]:
            assert abs((z < quantile).mean() - share) < 5 * np.sqrt(share * (1 - share) / w.size)
        assert 3 < np.abs(z).max() < 6  # of 3,600 to 10,800 numbers


@pytest.mark.parametrize("dtype", DTYPES)
def test_orthogonal_weights(dtype):
    # Wider than high, higher than wide, square, and single rows and columns.
    for widths in (WIDTHS, (30, 30, 1), (1, 5, 5)):
        for w in coefs("orthogonal", dtype=dtype, widths=widths):
            w = w.astype(np.float64)
            product = w @ w.T if w.shape[0] < w.shape[1] else w.T @ w
            np.testing.assert_allclose(product, np.eye(min(w.shape)), atol=1e-6 if dtype is np.float32 else 1e-14)


def test_every_orthogonal_matrix_is_as_likely():
    # Of orthogonal 2 x 2 matrices, half are rotations, and every angle is as likely.
    matrices = np.array([coefs("orthogonal", seed, widths=(2, 2, 1))[0] for seed in range(160)])
    assert abs((np.linalg.det(matrices) > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(160)
    angles = np.arctan2(matrices[:, 0, 0], matrices[:, 0, 1])
    counts = np.histogram(angles, bins=4, range=(-np.pi, np.pi))[0]
    np.testing.assert_allclose(counts, 40, atol=5 * np.sqrt(160 * 3 / 16))


def test_orthogonal_weights_do_not_depend_on_the_threads_of_blas():
    results = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            results.append(coefs("orthogonal", widths=(300, 200, 1))[0])
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("name", [name for name, entry in INITIALIZERS.items() if not entry.biases])
def test_biases_and_padding_are_zero(name):
    program = network(np.float32)
    params = initialize(program, 1, name)
    assert not np.delete(params, program.learnt_index()).any()
    assert not np.concatenate(program.intercepts(params)).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", INITIALIZERS)
def test_weights_depend_on_seed_and_layer_alone(name, dtype):
    first, again, other = (coefs(name, seed, dtype=dtype, widths=(20, 20, 20)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).mean() > 0.99
    assert (first[0] != first[1]).mean() > 0.99
    # float32 weights are the float64 ones, rounded; a layer does not depend on those after it.
    np.testing.assert_array_equal(first, np.asarray(coefs(name, 7, widths=(20, 20, 20)), dtype))
    np.testing.assert_array_equal(first[0], coefs(name, 7, dtype=dtype, widths=(20, 20, 3, 5))[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_auto_is_the_rule_of_scikit_learn(activation, dtype):
    # Weights and biases are uniform within sqrt(6 / (n_in + n_out)), for the logistic activation sqrt(2 / ...); the
    # numbers are the counter-based ones, biases first. Written with Python's integers, so that no bit may change.
    program = network(dtype, (3, 4, 2), activation)
    params = initialize(program, 2**40 + 3, "auto", [activation] * 2)
    for layer, (w, b) in enumerate(zip(program.coefs(params), program.intercepts(params), strict=True)):
        bound = np.sqrt((2.0 if activation == "logistic" else 6.0) / sum(w.shape))
        k = key(2**40 + 3, WEIGHTS, layer)
        words = [bits(k, position) for position in range(2 * (w.size + b.size))]
        expected = [
            bound * (2 * (((high >> 5) * 2**26 + (low >> 6)) / 2**53) - 1)
            for high, low in zip(words[::2], words[1::2], strict=True)
        ]
        np.testing.assert_array_equal(np.concatenate([b, w.ravel()]), np.array(expected, dtype))


def test_auto_looks_at_the_activation_of_every_layer():
    mixed = coefs("auto", activations=["relu", "logistic"])
    for w, factor in zip(mixed, (6, 2, 2), strict=True):  # the last layer, which has none, counts as the one before
        assert np.abs(w).max() == pytest.approx(np.sqrt(factor / sum(w.shape)), rel=0.01)
    np.testing.assert_array_equal(coefs("auto")[0], mixed[0])


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_scales_and_variances_of_normalisations_are_one(normalization):
    program = network(normalization=normalization)
    params = initialize(program, 0, "he_normal")
    norms = program.norm_views(params)
    assert len(norms) == 2
    expected = {"scale": 1, "mean": 0, "variance": 1} if normalization == "batch" else {"scale": 1, "shift": 0}
    for views in norms:
        assert views.keys() == expected.keys()
        for name, view in views.items():
            np.testing.assert_array_equal(view, expected[name])
    for shift in program.intercepts(params):  # that of batch normalisation is the bias of its layer
        np.testing.assert_array_equal(shift, 0)


# -- a rule of the user's --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_callable(dtype):
    calls = []

    def scaled_normal(n_in, n_out, rng):
        assert isinstance(rng, np.random.Generator)
        calls.append((n_in, n_out))
        return rng.normal(scale=0.1, size=(n_in, n_out))

    first, again, other = (coefs(scaled_normal, seed, dtype=dtype, widths=(5, 5, 5)) for seed in (3, 3, 4))
    assert calls == [(5, 5)] * 6
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).all()
    assert (first[0] != first[1]).all()
    np.testing.assert_array_equal(first, np.asarray(coefs(scaled_normal, 3, widths=(5, 5, 5)), dtype))


def test_callable_may_return_integers_and_lists():
    for w in coefs(lambda n_in, n_out, rng: [[1] * n_out] * n_in):
        np.testing.assert_array_equal(w, 1)


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        (np.zeros((4, 3)), r"shape \(4, 3\)"),
        (np.zeros(12), r"shape \(12,\)"),
        (0.5, r"shape \(\)"),
        (np.full((3, 4), np.nan), "infinite numbers or NaN, as float32"),
        (np.full((3, 4), 1e300), "infinite numbers or NaN, as float32"),
        (np.full((3, 4), "1"), "an array of <U1, which is not numeric"),
        (np.full((3, 4), 1j), "an array of complex128, which is not numeric"),
        (None, "NoneType, which is not numeric"),
        ([[1, 2], [3]], "something that is not an array"),
    ],
)
def test_callable_must_return_finite_numbers_of_the_right_shape(returned, found):
    def weight_init(n_in, n_out, rng):
        return returned if n_in == 3 else np.zeros((n_in, n_out))

    call, layer = r"weight_init\(n_in=3, n_out=4, rng\)", r"layer 1 \(coefs_\[1\]\)"
    with pytest.raises(ValueError, match=rf"{call} must return finite .* \(3, 4\), .* {layer}, but returned {found}"):
        coefs(weight_init, dtype=np.float32, widths=(2, 3, 4))


def test_callable_is_called_for_every_gate():
    layers = [Recurrent("gru", 4), GlobalPool("last"), Dense(1)]
    program = lower(layers, 3, dtype=np.float64, loss="squared_error", n_timesteps=2)
    params = initialize(program, 0, lambda n_in, n_out, rng: rng.normal(size=(n_in, n_out)))
    gates = np.moveaxis(program.coefs(params)[0], 1, 0)
    expected = np.random.default_rng((0, 0)).normal(size=(3, 3, 4))  # one generator for all gates of the layer
    np.testing.assert_array_equal(gates, expected)
