"""Every formula of every registry, in plain Python and compiled. A new entry is tested without an edit here."""

import math
from functools import cache

import numpy as np
import pytest
from numba import float32, float64, njit
from sklearn.metrics import log_loss, mean_poisson_deviance, mean_squared_error

from skneural import MLPClassifier
from skneural.backends.cpu import binding  # noqa: F401  (teaches the compiler exp and its kin)
from skneural.backends.cpu.compiler import STRICT, formula, kernel
from skneural.backends.cpu.engine import Trainer
from skneural.backends.cpu.kernels import make_activation, make_optimizer
from skneural.maths import elementary, random
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.registry import Registry
from skneural.maths.stopping import count_epoch
from skneural.network.initializers import initialize, uniform
from skneural.network.layers import Dense
from skneural.network.program import FRAME, lower

DTYPES = [np.float32, np.float64]
NUMBA_TYPE = {np.float32: float32, np.float64: float64}
EXTREMES = [-1e4, -1e3, -100.0, -1.0, -1e-30, 0.0, 1e-30, 1.0, 100.0, 1e3, 1e4]


def address(array):
    return array.__array_interface__["data"][0]


def activate(name, z):
    """Values and slopes by the kernel that networks use, and the values of a call without slopes, as in prediction."""
    run = kernel(make_activation, z.dtype.type, ACTIVATIONS[name]).ctypes
    values, slopes, alone = z.copy(), np.empty_like(z), z.copy()
    run(address(values), address(slopes), len(z))
    run(address(alone), 0, len(z))
    return values, slopes, alone


@cache
def compiled(function):
    """A formula compiled by itself, with the settings of the kernels."""
    return njit(error_model="numpy", fastmath=STRICT)(formula(function))


def row_function(entry, how="compiled"):
    """A loss or a link on one row: where it has exponents, their exponentials are taken first, as its kernel does."""
    wrap = compiled if how == "compiled" else lambda function: function
    run, exponent, exp = wrap(entry.formula), entry.facts.get("exponent"), wrap(elementary.exp)
    if exponent is None:
        return run
    exponent = wrap(exponent)

    def on_row(raw, *rest):
        out = rest[-1] if rest else raw
        exponent(raw, out)
        for j in range(len(out)):
            out[j] = exp(out[j])
        return run(raw, *rest)

    return on_row


def types_and_code(function, *arguments):
    """What a formula returns when it is compiled for these types, and the LLVM code: none of it from wrappers."""
    dispatcher = njit(error_model="numpy", fastmath=STRICT, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    dispatcher.compile(arguments)
    return dispatcher.overloads[arguments].signature.return_type, dispatcher.inspect_llvm(arguments)


# -- activations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("how", ["python", "compiled"])
def test_activation_slope_is_the_derivative(name, how):
    z = np.linspace(-6, 6, 48)  # not 0, where some have a kink
    h = 1e-5

    def values_and_slopes(points):
        if how == "compiled":
            return activate(name, points)[:2]
        return np.array([ACTIVATIONS[name].formula(p) for p in points.tolist()]).T

    slopes = values_and_slopes(z)[1]
    difference = (values_and_slopes(z + h)[0] - values_and_slopes(z - h)[0]) / (2 * h)
    # Rounding is 1e-16 / h, truncation h^2: both below 1e-9.
    np.testing.assert_allclose(slopes, difference, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_compiled_is_the_formula(name):
    z = np.concatenate([np.linspace(-30, 30, 61), [1e-9, -1e-9, 1e-300]])
    expected = np.array([ACTIVATIONS[name].formula(p) for p in z.tolist()]).T
    values, slopes, alone = activate(name, z)
    np.testing.assert_allclose(values, expected[0], rtol=1e-14)
    np.testing.assert_allclose(slopes, expected[1], rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(values, alone)
    single = activate(name, z.astype(np.float32))[0]
    np.testing.assert_allclose(single, expected[0], rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_finite_far_out(name, dtype):
    values, slopes, _ = activate(name, np.array(EXTREMES, dtype))
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_lets_nan_through(name, dtype):
    # 37 numbers: a whole vector of them and a remainder.
    values, _, alone = activate(name, np.full(37, np.nan, dtype))
    assert np.isnan(values).all()
    assert np.isnan(alone).all()
    assert math.isnan(ACTIVATIONS[name].formula(math.nan)[0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_of_float32_is_float32(name):
    returned, code = types_and_code(formula(ACTIVATIONS[name].formula), float32)
    assert str(returned) == "UniTuple(float32 x 2)"
    assert "double" not in code


# -- losses and links --------------------------------------------------------------------------------------------------


def raw_and_target(link, rng, dtype=np.float64, outputs=3):
    """One row of outputs and a target that suits the link."""
    raw = rng.normal(size=outputs).astype(dtype)
    if link == "softmax":
        return raw, np.array([rng.integers(outputs)], dtype)
    target = {
        "identity": rng.normal,
        "exp": lambda size: rng.poisson(1.0, size),
        "logistic": lambda size: rng.random(size) > 0.5,
    }
    return raw, target[link](size=outputs).astype(dtype)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("how", ["python", "compiled"])
def test_loss_gradient_is_the_derivative(name, how):
    h = 1e-5
    loss = row_function(LOSSES[name], how)
    rng = np.random.default_rng(0)
    for _ in range(20):
        raw, target = raw_and_target(LOSSES[name].link, rng)
        gradient, unused = np.full(3, np.nan), np.empty(3)
        loss(raw, target, gradient)
        steps = h * np.eye(3)
        difference = [(loss(raw + s, target, unused) - loss(raw - s, target, unused)) / (2 * h) for s in steps]
        np.testing.assert_allclose(gradient, difference, rtol=1e-8, atol=1e-9)


def test_every_loss_names_a_link():
    assert {entry.link for entry in LOSSES.values()} <= set(LINKS)


def metric(name, target, mean):
    """The same loss, mean over rows, from scikit-learn."""
    if name == "squared_error":
        return mean_squared_error(target, mean) / 2 * mean.shape[1]  # ours is the sum over outputs, theirs the mean
    if name == "poisson":
        return mean_poisson_deviance(target.ravel(), mean.ravel()) / 2 * mean.shape[1]
    if name == "binary_log_loss":
        return sum(log_loss(target[:, j], mean[:, j], labels=[0, 1]) for j in range(mean.shape[1]))
    return log_loss(target[:, 0], mean, labels=np.arange(mean.shape[1]))


@pytest.mark.parametrize("name", ["squared_error", "poisson", "binary_log_loss", "log_loss"])
def test_loss_is_the_metric_of_scikit_learn(name):
    loss, link = row_function(LOSSES[name]), row_function(LINKS[LOSSES[name].link])
    rng = np.random.default_rng(1)
    rows = [raw_and_target(LOSSES[name].link, rng) for _ in range(50)]
    raws, targets = (np.array(part) for part in zip(*rows, strict=True))
    losses = [loss(raw, target, np.empty(3)) for raw, target in rows]
    means = raws.copy()
    for row in means:
        link(row)
    assert np.mean(losses) == pytest.approx(metric(name, targets, means), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_least_where_the_link_meets_the_mean(name):
    # Its gradient, averaged over targets whose mean is link(raw), is 0: else outputs were biased.
    raw, _ = raw_and_target(LOSSES[name].link, np.random.default_rng(2))
    mean, gradient, loss = raw.copy(), np.empty(3), row_function(LOSSES[name], "python")
    row_function(LINKS[LOSSES[name].link], "python")(mean)
    if LOSSES[name].link == "softmax":
        average = np.zeros(3)
        for label, share in enumerate(mean):
            loss(raw, np.array([label], float), gradient)
            average += share * gradient
    else:
        loss(raw, mean, gradient)
        average = gradient
    np.testing.assert_allclose(average, 0, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_finite_far_out_and_lets_nan_through(name, dtype):
    loss = row_function(LOSSES[name])
    rng = np.random.default_rng(3)
    for far in EXTREMES:
        for place in range(3):
            raw, target = raw_and_target(LOSSES[name].link, rng, dtype)
            gradient = np.empty(3, dtype)
            raw[place] = far
            assert np.isfinite(loss(raw, target, gradient)), (raw, target)
            assert np.isfinite(gradient).all(), (raw, target)
            loss(np.full(3, far, dtype), target, gradient)  # the sum of three may overflow, no gradient may
            assert np.isfinite(gradient).all()
            raw[place] = np.nan
            assert np.isnan(loss(raw, target, gradient))
            assert np.isnan(gradient[place])


@pytest.mark.parametrize("name", LOSSES)
def test_loss_of_float32_is_float32(name):
    returned, code = types_and_code(formula(LOSSES[name].formula), *[float32[::1]] * 3)
    assert returned == float32
    assert "double" not in code


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LINKS)
def test_link_is_finite_far_out_and_lets_nan_through(name, dtype):
    link = row_function(LINKS[name])
    for far in EXTREMES:
        outputs = np.array([0.5, far, -2.0], dtype)
        link(outputs)
        assert np.isfinite(outputs).all(), far
    outputs = np.array([0.5, np.nan, -2.0], dtype)
    link(outputs)
    assert np.isnan(outputs[1])


@pytest.mark.parametrize("name", LINKS)
def test_link_of_float32_stays_float32(name):
    _, code = types_and_code(formula(LINKS[name].formula), float32[::1])
    assert "double" not in code


@pytest.mark.parametrize("name", LINKS)
def test_link_compiled_is_the_formula(name):
    outputs = np.array([-3.0, 0.25, 2.0, -0.5])
    expected = outputs.copy()
    row_function(LINKS[name])(outputs)
    row_function(LINKS[name], "python")(expected)
    np.testing.assert_allclose(outputs, expected, rtol=1e-14)
    if name == "softmax":
        assert outputs.sum() == pytest.approx(1, abs=1e-15)


# -- optimizers --------------------------------------------------------------------------------------------------------


class Optimizer:
    """An optimizer's kernel on a vector, with the defaults of the estimators."""

    def __init__(self, name, count, dtype=np.float64, **changed):
        settings = MLPClassifier().get_params() | changed
        self.entry, self.dtype, self.t = OPTIMIZERS[name], dtype, 0
        self.hyper = tuple(float(settings[h]) for h in self.entry.hyper)
        self.frame = np.zeros((), FRAME)
        for i, value in enumerate(self.hyper):
            self.frame[f"hyper_{i}"] = value
        self.s, self.v = np.zeros(count, dtype), np.zeros(count, dtype)
        self._kernel = kernel(make_optimizer, dtype, self.entry).ctypes

    def step(self, p, g, rate, decay=0.0):
        self.t += 1
        step_size = self.entry.step_size(np.array([rate]), np.array([self.t]), self.hyper)
        self.frame["rate"] = step_size[0]
        arrays = [address(a) for a in (p, self.s, self.v, g)]
        return self._kernel(*arrays, len(p), decay, address(self.frame))


def sgd(p, g, s, v, t, rate, momentum=0.9, nesterov=True):
    s = momentum * s - rate * g
    return p + (momentum * s - rate * g if nesterov else s), s, v


def adam(p, g, s, v, t, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    s, v = beta_1 * s + (1 - beta_1) * g, beta_2 * v + (1 - beta_2) * g**2
    return p - rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * s / (np.sqrt(v) + epsilon), s, v


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "twin", "changed", "of_twin"),
    [
        ("sgd", sgd, {}, {}),
        ("sgd", sgd, {"nesterovs_momentum": False, "momentum": 0.5}, {"nesterov": False, "momentum": 0.5}),
        ("adam", adam, {}, {}),
        ("adam", adam, {"beta_1": 0.5, "epsilon": 0.1}, {"beta_1": 0.5, "epsilon": 0.1}),
    ],
)
def test_optimizer_is_its_numpy_version(name, twin, changed, of_twin, dtype):
    rng = np.random.default_rng(0)
    p = rng.normal(size=37).astype(dtype)  # not a multiple of any vector width
    optimizer, decay = Optimizer(name, 37, dtype, **changed), 0.25
    expected, s, v = p.astype(np.float64), np.zeros(37), np.zeros(37)
    for t in range(1, 11):
        g = rng.normal(size=37).astype(dtype)
        squares = optimizer.step(p, g, 0.01, decay)
        assert squares == pytest.approx((expected**2).sum(), rel=1e-13 if dtype is np.float64 else 1e-5)
        expected, s, v = twin(expected, g + decay * expected, s, v, t, 0.01, **of_twin)
        tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype is np.float64 else {"rtol": 1e-4, "atol": 1e-6}
        np.testing.assert_allclose(p, expected, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_finds_the_bottom_of_a_parabola(name, dtype):
    centre = np.array([1.0, -2.0, 0.5], dtype)
    p, optimizer = np.zeros(3, dtype), Optimizer(name, 3, dtype)
    for step in range(3000):
        optimizer.step(p, (p - centre) * np.array([1, 10, 3], dtype), 0.03 * 0.998**step)
    np.testing.assert_allclose(p, centre, atol=1e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_finds_the_end_of_rosenbrock_valley(name):
    p, optimizer = np.array([-1.2, 1.0]), Optimizer(name, 2)
    rate = {"sgd": 3e-4, "adam": 2e-2}.get(name, 1e-3)  # the valley is steep: sgd diverges at ten times this
    for _ in range(20_000):
        x, y = p
        optimizer.step(p, np.array([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)]), rate)
    np.testing.assert_allclose(p, 1, atol=1e-2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_lets_nan_through_and_leaves_padding_alone(name):
    p, optimizer = np.array([1.0, 0.0]), Optimizer(name, 2)
    optimizer.step(p, np.array([np.nan, 0.0]), 0.01)
    assert np.isnan(p[0])
    assert p[1] == 0  # parameter 0 with gradient 0: what padding is made of


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_of_float32_is_float32(name):
    update = formula(OPTIMIZERS[name].formula)

    def call(p, g, s, v, rate, a, b, c):
        return update(p, g, s, v, rate, (a, b, c))

    returned, code = types_and_code(call, *[float32] * 8)
    assert str(returned) == "UniTuple(float32 x 3)"
    assert "double" not in code


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_has_estimator_parameters_as_constants(name):
    assert set(OPTIMIZERS[name].hyper) <= set(MLPClassifier().get_params())
    assert len(OPTIMIZERS[name].hyper) <= 3  # a frame has places for three


# -- elementary functions ----------------------------------------------------------------------------------------------


def loop_over(function):
    """A compiled loop over an elementary function: vectorised, as in a kernel."""

    @njit(error_model="numpy", fastmath=STRICT)
    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    return run


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "limit"), [("exp", 2), ("expm1", 3), ("log", 1), ("sqrt", 1)])
def test_accuracy_of_elementary_functions(name, limit, dtype):
    # The whole range in which the result is a normal number, and close to 0, where expm1 must keep its digits.
    low, high = (-87, 88) if dtype is np.float32 else (-708, 709)
    x = np.concatenate([np.linspace(low, high, 200_003), np.linspace(-1, 1, 100_003), np.geomspace(1e-30, 1, 10_001)])
    if name in ("log", "sqrt"):
        x = np.abs(x) + 1e-30
    x = x.astype(dtype)
    out = np.empty_like(x)
    loop_over(getattr(elementary, name))(x, out)
    exact = getattr(np, name)(x.astype(np.longdouble))
    ulp = np.abs(out - exact) / np.spacing(np.abs(exact).astype(dtype))
    assert ulp.max() <= limit, x[ulp.argmax()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_elementary_functions_at_special_numbers(dtype):
    x = np.array([0.0, -0.0, np.nan, 1e4, -1e4, np.inf, -np.inf], dtype)
    exp, expm1 = np.empty_like(x), np.empty_like(x)
    loop_over(elementary.exp)(x, exp)
    loop_over(elementary.expm1)(x, expm1)
    np.testing.assert_array_equal(exp[:2], 1)
    np.testing.assert_array_equal(expm1[:2], 0)
    assert np.isnan(exp[2])
    assert np.isnan(expm1[2])
    # Beyond the range they stay at its ends: finite, so that 1 / (1 + exp(z)) and e / (e + 2) stay numbers.
    assert np.isfinite(exp[3:]).all()
    assert np.isfinite(expm1[3:]).all()
    assert (exp[[3, 5]] > 1e37).all()
    assert (exp[[4, 6]] < 1e-37).all()
    np.testing.assert_array_equal(expm1[[4, 6]], -1)


def test_formulas_do_not_change_what_users_compile():
    # A user's own Numba code calls math.exp too, and expects inf where it overflows.
    @njit
    def exponential(x):
        return math.exp(x)

    assert exponential(1000.0) == math.inf
    assert exponential(-800.0) == 0.0
    assert elementary.exp is not math.exp, "an overload of it would be one of math.exp, for all code in the process"


# -- random numbers ----------------------------------------------------------------------------------------------------

COUNT = 1 << 16


def numbers(seed=5, stream=random.DROPOUT, step=7, count=COUNT):
    """Random numbers in [0, 1) at the first positions of a step."""
    return random.bits(random.key(seed, stream, step), np.arange(count, dtype=np.uint64)) / 2.0**32


def test_random_numbers_are_uniform():
    u = numbers()
    # Five standard errors, of the mean and of the variance of uniform numbers; the numbers are the same in every run.
    assert abs(u.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / COUNT)
    assert abs(u.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / COUNT)
    counts = np.bincount((u * 256).astype(int), minlength=256)
    chi_squared = ((counts - COUNT / 256) ** 2 / (COUNT / 256)).sum()
    assert abs(chi_squared - 255) < 5 * np.sqrt(2 * 255)


def test_every_random_bit_is_fair():
    words = random.bits(random.key(1, 2, 3), np.arange(COUNT, dtype=np.uint64))
    assert words.max() < 2**32
    shares = [(words >> np.uint64(bit) & np.uint64(1)).mean() for bit in range(32)]
    np.testing.assert_allclose(shares, 0.5, atol=5 * 0.5 / np.sqrt(COUNT))


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 6},
        {"seed": 5 + 2**32},
        {"stream": random.WEIGHTS},
        {"stream": random.DROPOUT + 16},
        {"step": 8},
        {"step": 7 + 2**32},
        {"seed": 7, "step": 5},
    ],
)
def test_neighbouring_streams_are_independent(other):
    correlation = np.corrcoef(numbers(), numbers(**other))[0, 1]
    assert abs(correlation) < 5 / np.sqrt(COUNT)


@pytest.mark.parametrize("lag", [1, 2, 16, 64, 256])
def test_neighbouring_positions_are_independent(lag):
    u = numbers()
    assert abs(np.corrcoef(u[:-lag], u[lag:])[0, 1]) < 5 / np.sqrt(COUNT)


def test_steps_are_independent_at_one_position():
    u = np.array([random.bits(random.key(5, random.DROPOUT, step), 3) for step in range(4096)]) / 2.0**32
    assert abs(u.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / len(u))
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / np.sqrt(len(u))


def test_random_numbers_are_the_same_wherever_they_are_computed():
    key, bits = formula(random.key), formula(random.bits)
    formula(random.mix)

    @njit
    def compiled_bits(seed, stream, step, position):
        return bits(key(np.uint64(seed), np.uint64(stream), np.uint64(step)), np.uint64(position))

    for seed in (0, 1, 2**31, 2**62 - 1):
        for stream in (random.WEIGHTS, random.ORDER, random.DROPOUT, random.DROPOUT + 16 * 9):
            for step in (0, 1, 2**32 + 5):
                positions = np.array([0, 1, 12345, 2**32 - 1, 2**32, 2**40 + 3], np.uint64)
                plain = [random.bits(random.key(seed, stream, step), int(p)) for p in positions]
                array = random.bits(random.key(seed, stream, step), positions)
                assert plain == array.tolist() == [compiled_bits(seed, stream, step, int(p)) for p in positions]
                assert max(plain) < 2**32


def test_initial_numbers_are_uniform():
    u = uniform(COUNT, seed=3, step=1)
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 1 / 2) < 5 * np.sqrt(1 / 12 / COUNT)
    assert abs(u.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / COUNT)
    assert len(np.unique(u)) == COUNT  # 53 bits, not 32
    np.testing.assert_array_equal(u[:100], uniform(100, seed=3, step=1))


# -- order of the rows -------------------------------------------------------------------------------------------------


def orders(seed, epochs, n_rows=101):
    """Orders of the rows in the first epochs of a training."""
    X, y = np.zeros((n_rows, 1)), np.zeros((n_rows, 1))
    program = lower([Dense(1)], 1, dtype=np.float64, loss="squared_error")
    trainer = Trainer(program, initialize(program, 0), X, y, None, alpha=0, seed=seed, n_threads=1)
    state = {"s": np.zeros(program.n_params), "v": np.zeros(program.n_params), "step": 0, "epoch": 0}
    trainer.start("sgd", [0, 0], state, batch=10, shuffle=True, tol=0, patience=np.inf)
    result = []
    for _ in range(epochs):
        trainer.run_epochs(np.array([0.0]), np.inf, 0)
        result.append(trainer.order.tolist())
    trainer.close()
    return result


def test_shuffling_is_a_permutation_that_changes():
    seen = orders(seed=3, epochs=5) + orders(seed=4, epochs=5)
    assert all(sorted(order) == list(range(101)) for order in seen)
    assert len({tuple(order) for order in seen}) == 10
    assert seen[:5] == orders(seed=3, epochs=5)


def test_shuffling_is_the_one_of_fisher_and_yates():
    for epoch, order in enumerate(orders(seed=3, epochs=3)):
        expected, key = list(range(101)), random.key(3, random.ORDER, epoch)
        for i in range(100, 0, -1):
            j = random.bits(key, i) * (i + 1) >> 32
            expected[i], expected[j] = expected[j], expected[i]
        assert order == expected


def test_shuffling_is_fair():
    # Where row 0 goes: every place is as likely, within five standard errors.
    places = [order.index(0) for order in orders(seed=9, epochs=2000, n_rows=5)]
    counts = np.bincount(places, minlength=5)
    np.testing.assert_allclose(counts, 400, atol=5 * np.sqrt(400))


# -- the rest ----------------------------------------------------------------------------------------------------------


def test_registry_refuses_facts_that_nobody_knows():
    registry = Registry("thing", known=1)
    with pytest.raises(TypeError, match=r"thing 'x': unknown facts \['misspelt'\]"):
        registry.register("x", misspelt=2)

    @registry.register("y")
    def y():
        """First line.

        Second.
        """

    with pytest.raises(ValueError, match="'y' exists already"):
        registry.register("y")(lambda: None)
    assert registry["y"].known == 1
    assert registry["y"].summary == "First line."
    with pytest.raises(AttributeError, match="'y' does not declare 'unknown'"):
        registry["y"].unknown  # noqa: B018


@pytest.mark.parametrize("registry", [ACTIVATIONS, LOSSES, LINKS, OPTIMIZERS], ids=lambda r: r.label)
def test_every_entry_says_what_it_is(registry):
    assert all(entry.name == name and entry.summary.endswith(".") for name, entry in registry.items())


def test_stopping_counts_epochs_without_improvement():
    assert count_epoch(1.0, np.inf, 0, 0.1) == (1.0, 0)
    assert count_epoch(0.95, 1.0, 0, 0.1) == (0.95, 1)  # better, but not by tol
    assert count_epoch(0.8, 1.0, 3, 0.1) == (0.8, 0)
    assert count_epoch(1.2, 1.0, 3, 0.1) == (1.0, 4)
