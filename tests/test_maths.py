"""Every formula of every registry, in plain Python and compiled. A new entry is tested without an edit here."""

import math
import re

import numpy as np
import pytest
from networks import constants_of
from numba import float32, float64, njit
from rows import METHODS, PARABOLA, VALLEY
from sklearn.metrics import (
    log_loss,
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)

from skneural import MLPClassifier
from skneural.backends.base import OptimizerState
from skneural.backends.cpu import binding  # noqa: F401  (teaches the compiler exp and its kin)
from skneural.backends.cpu.compiler import STRICT, formula, kernel
from skneural.backends.cpu.engine import Trainer
from skneural.backends.cpu.layers.activation import make_activation
from skneural.backends.cpu.layers.loss import make_loss_forward, make_output_forward
from skneural.backends.cpu.updates import make_optimizer
from skneural.backends.records import FRAME, N_CONSTANTS
from skneural.layers import Dense
from skneural.maths import elementary, random
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS, LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.registry import Registry
from skneural.maths.schedules import SCHEDULES
from skneural.maths.stopping import count_epoch
from skneural.network.initializers import INITIALIZERS, initialize, uniform
from skneural.network.memory import aligned_zeros, padded
from skneural.network.operations import OP
from skneural.network.program import lower

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


def in_python(entry):
    """A loss or a link on one row: where it has exponents, their exponentials are taken first, as its kernel does."""
    if entry.exponent is None:
        return entry.formula

    def on_row(raw, *rest):
        out = rest[1] if rest else raw
        entry.exponent(raw, out)
        for j in range(len(out)):
            out[j] = math.exp(out[j])
        return entry.formula(raw, *rest)

    return on_row


def compiled(entry):
    """A loss or a link on one row, by the kernel that networks use."""
    is_loss = entry.name in LOSSES and LOSSES[entry.name] is entry

    def on_row(raw, target=None, gradient=None, settings=None):
        dtype, width = raw.dtype.type, len(raw)
        run = kernel(make_loss_forward if is_loss else make_output_forward, dtype, entry).ctypes
        ld = padded(width, dtype)
        work, losses, outputs = aligned_zeros(2 * ld, dtype), np.zeros(1), np.zeros(width, dtype)
        work[:width] = raw
        op, frame = np.zeros((), OP), np.zeros((), FRAME)
        fields = {"n_in": width, "ld_in": ld, "x": 0, "dx": ld}
        for name, value in fields.items():
            op[name] = value
        fields = {"work": address(work), "capacity": 1, "scale": 1.0, "losses": address(losses)}
        fields |= {"outputs": address(outputs)}
        if is_loss:
            fields |= {"targets": address(target), "n_targets": len(target), "settings": address(settings)}
        for name, value in fields.items():
            frame[name] = value
        run(op.ctypes.data, frame.ctypes.data, 0, 1)
        if not is_loss:
            raw[:] = outputs
            return None
        assert not work[ld + width :].any()  # padding has no gradient
        gradient[:] = work[ld : ld + width]
        return losses[0]

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
    # Far left, gelu falls like exp(-z^2 / 2): a change of z by one unit, and rounding z^2, change it by z^2 units.
    units = 1 + z**2 * (z < 0) / 2 if name == "gelu" else np.ones_like(z)
    assert (np.abs(values - expected[0]) <= 1e-14 * units * np.abs(expected[0])).all()
    np.testing.assert_allclose(slopes, expected[1], rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(values, alone)
    values, slopes, _ = activate(name, z.astype(np.float32))
    assert (np.abs(values - expected[0]) <= 1e-6 * units * np.abs(expected[0]) + 1e-37).all()
    np.testing.assert_allclose(slopes[:-1], expected[1, :-1], rtol=1e-6, atol=1e-6)  # the last is 0 here, a kink


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_finite_far_out(name, dtype):
    values, slopes, _ = activate(name, np.array(EXTREMES, dtype))
    assert np.isfinite(values).all()
    assert np.isfinite(slopes).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("relu", 0, 1),
        ("elu", -1, 1),
        ("selu", -1.7580993408473766, 1.0507009873554805),
        ("gelu", 0, 1),
        ("silu", 0, 1),
        ("mish", 0, 1),
        ("softplus", 0, 1),
    ],
)
def test_activation_is_flat_far_left_and_straight_far_right(name, left, right, dtype):
    far = np.array([200, 1e3, 1e4], dtype)
    rtol = 4 * np.finfo(dtype).eps
    for z, limit, slope in ((-far, np.full(3, left), 0), (far, right * far, right)):
        values, slopes, _ = activate(name, z)
        np.testing.assert_allclose(values, limit, rtol=rtol, atol=1e-30)
        np.testing.assert_allclose(slopes, slope, rtol=rtol, atol=1e-30)


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


def raw_and_target(loss, rng, dtype=np.float64, outputs=3):
    """One row of outputs and a target that suits the loss."""
    raw, link = rng.normal(size=outputs).astype(dtype), LOSSES[loss].link
    if link == "softmax":
        return raw, np.array([rng.integers(outputs)], dtype)
    target = {
        "identity": rng.normal,
        "exp": lambda size: rng.poisson(1.0, size) + 0.5 * LOSSES[loss].open,
        "logistic": lambda size: rng.random(size) > 0.5,
    }
    return raw, target[link](size=outputs).astype(dtype)


def constants(loss, dtype=np.float64, neutral=False):
    """Constants of a loss as its kernel gets them; with `neutral` those that leave it the plain one."""
    values = constants_of(loss, **{"label_smoothing": 0.0, "focal_gamma": 0.0} if neutral else {})
    if neutral and "focal_alpha" in LOSSES[loss].settings:
        values[1:] = [1.0] * len(values[1:])
    return np.array(values, dtype)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("how", [in_python, compiled])
def test_loss_gradient_is_the_derivative(name, how):
    h = 1e-5
    loss = how(LOSSES[name])
    rng, settings = np.random.default_rng(0), constants(name)
    for _ in range(20):
        raw, target = raw_and_target(name, rng)
        gradient, unused = np.full(3, np.nan), np.empty(3)
        loss(raw, target, gradient, settings)
        steps = h * np.eye(3)
        sides = [[loss(raw + side, target, unused, settings) for side in (step, -step)] for step in steps]
        np.testing.assert_allclose(gradient, np.subtract(*np.transpose(sides)) / (2 * h), rtol=1e-8, atol=1e-9)


def test_every_loss_names_a_link():
    assert {entry.link for entry in LOSSES.values()} <= set(LINKS)


#: Losses that scikit-learn has, too.
METRICS = (
    "squared_error", "absolute_error", "quantile", "gamma", "poisson", "binary_log_loss", "binary_focal", "log_loss",
    "focal",
)  # fmt: skip


def metric(name, target, mean):
    """The same loss, mean over rows, from scikit-learn."""
    if name == "squared_error":
        return mean_squared_error(target, mean) / 2 * mean.shape[1]  # ours is the sum over outputs, theirs the mean
    if name == "absolute_error":
        return mean_absolute_error(target, mean) * mean.shape[1]
    if name == "quantile":
        columns = zip(target.T, mean.T, constants(name), strict=True)
        return sum(mean_pinball_loss(y, predicted, alpha=q) for y, predicted, q in columns)
    if name == "gamma":
        return mean_gamma_deviance(target.ravel(), mean.ravel()) / 2 * mean.shape[1]
    if name == "poisson":
        return mean_poisson_deviance(target.ravel(), mean.ravel()) / 2 * mean.shape[1]
    if name in ("binary_log_loss", "binary_focal"):
        return sum(log_loss(target[:, j], mean[:, j], labels=[0, 1]) for j in range(mean.shape[1]))
    return log_loss(target[:, 0], mean, labels=np.arange(mean.shape[1]))


@pytest.mark.parametrize("name", METRICS)
def test_loss_is_the_metric_of_scikit_learn(name):
    loss, link = compiled(LOSSES[name]), compiled(LINKS[LOSSES[name].link])
    rng = np.random.default_rng(1)
    rows = [raw_and_target(name, rng) for _ in range(50)]
    raws, targets = (np.array(part) for part in zip(*rows, strict=True))
    losses = [loss(raw, target, np.empty(3), constants(name, neutral=True)) for raw, target in rows]
    means = raws.copy()
    for row in means:
        link(row)
    assert np.mean(losses) == pytest.approx(metric(name, targets, means), rel=1e-12)


@pytest.mark.parametrize("name", [name for name, entry in LOSSES.items() if not entry.adversarial])
def test_loss_is_least_where_the_link_meets_the_mean(name):
    # Its gradient, averaged over targets whose mean is link(raw), is 0: else outputs were biased.
    raw, _ = raw_and_target(name, np.random.default_rng(2))
    mean, gradient, loss = raw.copy(), np.empty(3), in_python(LOSSES[name])
    settings = constants(name, neutral=True)
    in_python(LINKS[LOSSES[name].link])(mean)
    if LOSSES[name].link == "softmax":
        average = np.zeros(3)
        for label, share in enumerate(mean):
            loss(raw, np.array([label], float), gradient, settings)
            average += share * gradient
    else:
        loss(raw, mean, gradient, settings)
        average = gradient
    np.testing.assert_allclose(average, 0, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_finite_far_out_and_lets_nan_through(name, dtype):
    loss, settings = compiled(LOSSES[name]), constants(name, dtype)
    rng = np.random.default_rng(3)
    for far in EXTREMES:
        for place in range(3):
            raw, target = raw_and_target(name, rng, dtype)
            gradient = np.empty(3, dtype)
            raw[place] = far
            assert np.isfinite(loss(raw, target, gradient, settings)), (raw, target)
            assert np.isfinite(gradient).all(), (raw, target)
            loss(np.full(3, far, dtype), target, gradient, settings)  # the sum of three may overflow, no gradient may
            assert np.isfinite(gradient).all()
            raw[place] = np.nan
            assert np.isnan(loss(raw, target, gradient, settings))
            assert np.isnan(gradient[place])


@pytest.mark.parametrize("name", LOSSES)
def test_loss_of_float32_is_float32(name):
    returned, code = types_and_code(formula(LOSSES[name].formula), *[float32[::1]] * 4)
    assert returned == float32
    assert "double" not in code


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LINKS)
def test_link_is_finite_far_out_and_lets_nan_through(name, dtype):
    link = compiled(LINKS[name])
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
    compiled(LINKS[name])(outputs)
    in_python(LINKS[name])(expected)
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
        self.frame, self.now = np.zeros((), FRAME), np.zeros(N_CONSTANTS)
        self.frame["now"], self.frame["scale"], self.frame["factor"] = address(self.now), 1.0, 1.0
        self.frame["clip_value"], self.at = np.inf, self.frame.ctypes.data
        self.s, self.v = np.zeros(count, dtype), np.zeros(count, dtype)
        self._kernel = kernel(make_optimizer, dtype, self.entry).ctypes

    def step(self, p, g, rate, *, weights=True, shrink=0.0, **fields):
        """One step; `fields` of the frame may be given: alpha, l1_ratio, factor, clip_value."""
        self.t += 1
        for i, value in enumerate(self.entry.constants(np.array([rate]), np.array([self.t]), *self.hyper)):
            self.now[i] = np.squeeze(value)
        self.now[-1] = shrink
        for name, value in fields.items():
            self.frame[name] = value
        arrays = [address(a) for a in (p, self.s, self.v, g)]
        return self._kernel(*arrays, len(p), weights, self.at)

    def descend(self, p, gradient, rates):
        """As many steps as there are rates; `gradient` is a function of the parameters."""
        now, g = np.zeros((len(rates), N_CONSTANTS)), np.empty_like(p)
        for i, values in enumerate(self.entry.constants(rates, 1 + np.arange(len(rates)), *self.hyper)):
            now[:, i] = values
        arrays = [address(a) for a in (p, self.s, self.v, g)]
        for place in range(address(now), address(now) + now.nbytes, now.strides[0]):
            g[:] = gradient(p)
            self.frame["now"] = place
            self._kernel(*arrays, len(p), True, self.at)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3])
@pytest.mark.parametrize("name", METHODS)
def test_optimizer_is_its_numpy_version(name, l1_ratio, dtype):
    rng, (solver, hyper, twin) = np.random.default_rng(0), METHODS[name]
    changed = dict(zip(OPTIMIZERS[solver].hyper, hyper, strict=True))
    p = rng.normal(size=37).astype(dtype)  # not a multiple of any vector width
    optimizer, alpha, count = Optimizer(solver, 37, dtype, **changed), 0.25, 37
    expected, s, v = p.astype(np.float64), np.zeros(count), np.zeros(count)
    for t in range(1, 11):
        g = rng.normal(size=count).astype(dtype)
        penalty = optimizer.step(p, g, 0.01, alpha=alpha, l1_ratio=l1_ratio, factor=0.5, clip_value=0.4, shrink=0.02)
        norms = l1_ratio * np.abs(expected).sum() + (1 - l1_ratio) / 2 * (expected**2).sum()
        assert penalty == pytest.approx(norms, rel=1e-13 if dtype is np.float64 else 1e-5)
        decay = alpha * (l1_ratio * np.sign(expected) + (1 - l1_ratio) * expected)
        shrunk = 0.02 * expected
        expected, s, v = twin.step(expected, np.clip(0.5 * g, -0.4, 0.4) + decay, s, v, t, 0.01)
        expected = expected - shrunk
        tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype is np.float64 else {"rtol": 1e-4, "atol": 2e-6}
        np.testing.assert_allclose(p, expected, **tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_leaves_biases_without_penalty(name):
    p, g = np.array([1.0, -2.0]), np.array([0.5, 0.5])
    biases, plain = p.copy(), p.copy()
    assert Optimizer(name, 2).step(biases, g, 0.01, weights=False, alpha=0.5, l1_ratio=0.5, shrink=0.5) == 0
    Optimizer(name, 2).step(plain, g, 0.01)
    np.testing.assert_array_equal(biases, plain)
    Optimizer(name, 2).step(p, g, 0.01, alpha=0.5, l1_ratio=0.5, shrink=0.5)
    assert (p != plain).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_finds_the_bottom_of_a_parabola(name, dtype):
    centre = np.array([1.0, -2.0, 0.5], dtype)
    p, optimizer = np.zeros(3, dtype), Optimizer(name, 3, dtype)
    rate, stiffness = PARABOLA.get(name, 0.03), np.array([1, 10, 3], dtype)
    optimizer.descend(p, lambda p: (p - centre) * stiffness, rate * 0.998 ** np.arange(3000))
    np.testing.assert_allclose(p, centre, atol=1e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_finds_the_end_of_rosenbrock_valley(name):
    p, optimizer = np.array([-1.2, 1.0]), Optimizer(name, 2)
    rate, shrinking = VALLEY.get(name, (2e-2, 1.0))

    def gradient(p):
        x, y = p.tolist()
        return -400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)

    optimizer.descend(p, gradient, rate * shrinking ** np.arange(20_000))
    np.testing.assert_allclose(p, 1, atol=1e-2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_lets_nan_through_and_leaves_padding_alone(name):
    for limits in ({}, {"clip_value": 1.0, "l1_ratio": 0.5, "alpha": 0.1, "shrink": 0.1}):
        p, optimizer = np.array([1.0, 0.0]), Optimizer(name, 2)
        optimizer.step(p, np.array([np.nan, 0.0]), 0.01, **limits)
        assert np.isnan(p[0])
        assert p[1] == 0  # parameter 0 with gradient 0: what padding is made of


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_of_float32_is_float32(name):
    update = formula(OPTIMIZERS[name].formula)

    def call(p, g, s, v, a, b, c, d, e):
        return update(p, g, s, v, (a, b, c, d, e))

    returned, code = types_and_code(call, *[float32] * 9)
    assert str(returned) == "UniTuple(float32 x 3)"
    assert "double" not in code


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_has_estimator_parameters_as_constants(name):
    entry = OPTIMIZERS[name]
    assert set(entry.hyper) <= set(MLPClassifier().get_params())
    # A frame has places for five, and one for the share that decays.
    assert len(entry.constants(np.ones(2), np.arange(1, 3), *[0.5] * len(entry.hyper))) <= N_CONSTANTS - 1


# -- elementary functions ----------------------------------------------------------------------------------------------


def loop_over(function):
    """A compiled loop over an elementary function: vectorised, as in a kernel."""

    @njit(error_model="numpy", fastmath=STRICT)
    def run(x, out):
        for i in range(len(x)):
            out[i] = function(x[i])

    return run


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "limit"), [("exp", 2), ("expm1", 3), ("log", 1), ("log1p", 1), ("sqrt", 1)])
def test_accuracy_of_elementary_functions(name, limit, dtype):
    # The whole range in which the result is a normal number, and close to 0, where expm1 must keep its digits.
    low, high = (-87, 88) if dtype is np.float32 else (-708, 709)
    x = np.concatenate([np.linspace(low, high, 60_003), np.linspace(-1, 1, 30_003), np.geomspace(1e-30, 1, 10_001)])
    if name == "log1p":
        x = np.concatenate([np.exp(x), -np.exp(-np.abs(x)), x[np.abs(x) < 1]])
    elif name in ("log", "sqrt"):
        x = np.concatenate([np.exp(x), np.abs(x) + 1e-30])
    x = x.astype(dtype)
    x = x[x > -1] if name == "log1p" else x
    out = np.empty_like(x)
    loop_over(getattr(elementary, name))(x, out)
    exact = getattr(np, name)(x.astype(np.longdouble))
    ulp = np.abs(out - exact) / np.spacing(np.abs(exact).astype(dtype))
    assert ulp.max() <= limit, x[ulp.argmax()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_accuracy_of_erfc(dtype):
    # As far as the result is a normal number. One unit of x changes it by 2 x^2 units: so much is lost with x^2.
    x = np.concatenate([np.linspace(-7, 9 if dtype is np.float32 else 26, 100_003), np.geomspace(1e-30, 1, 1001)])
    x = x.astype(dtype)
    out = np.empty_like(x)
    loop_over(elementary.erfc)(x, out)
    exact = np.array([math.erfc(number) for number in x.tolist()])
    ulp = np.abs(out - exact) / np.spacing(exact.astype(dtype))
    limit = 3 * (1 + x.astype(float) ** 2) + 1  # and one for the C library's own
    assert (ulp <= limit).all(), x[(ulp / limit).argmax()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_erfc_at_special_numbers(dtype):
    far = [30.0, 1e4, 1e30, np.inf]
    x = np.array([0.0, -0.0, np.nan, *far, *(-f for f in far)], dtype)
    out = np.empty_like(x)
    loop_over(elementary.erfc)(x, out)
    np.testing.assert_array_equal(out[:2], 1)
    assert np.isnan(out[2])
    assert ((out[3:7] >= 0) & (out[3:7] < np.finfo(dtype).tiny)).all()
    np.testing.assert_array_equal(out[7:], 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_logarithms_at_special_numbers(dtype):
    info = np.finfo(dtype)
    x = np.array([0.0, -0.0, -info.smallest_subnormal, -info.tiny, -1.0, -2.0, -np.inf, np.inf, np.nan, 1.0], dtype)
    log, log1p = np.empty_like(x), np.empty_like(x)
    loop_over(elementary.log)(x, log)
    loop_over(elementary.log1p)(x, log1p)
    nan, inf = np.nan, np.inf
    np.testing.assert_array_equal(log, [-inf, -inf, nan, nan, nan, nan, nan, inf, nan, 0])
    np.testing.assert_array_equal(log1p[:-1], [*x[:4], -inf, nan, nan, inf, nan])
    # The smallest and the largest numbers there are; log1p of the smallest is the number itself.
    x = np.array([1, 3, 2**20 + 1, info.tiny / info.smallest_subnormal, 0], dtype) * info.smallest_subnormal
    x[-1] = info.max
    loop_over(elementary.log)(x, log[:5])
    loop_over(elementary.log1p)(x, log1p[:5])
    np.testing.assert_allclose(log[:5], np.log(x.astype(np.longdouble)), rtol=2 * info.eps)
    np.testing.assert_array_equal(log1p[:4], x[:4])
    assert log1p[4] == log[4]


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "erfc", "sqrt"])
def test_elementary_function_of_float32_is_vector_code_without_float64(name):
    loop = loop_over(getattr(elementary, name))
    _, code = types_and_code(loop.py_func, float32[::1], float32[::1])
    assert re.search(r"fmul|sqrt", code)
    assert re.search(r"<\d+ x float>", code)
    assert "double" not in code


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
    state = OptimizerState.fresh(program)
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


def test_registry_refuses_options_that_nobody_knows():
    registry = Registry("thing", known=1)
    with pytest.raises(TypeError, match=r"thing 'x': unknown options \['misspelt'\]"):
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


@pytest.mark.parametrize(
    "registry", [ACTIVATIONS, LOSSES, LINKS, OPTIMIZERS, SCHEDULES, INITIALIZERS], ids=lambda r: r.label
)
def test_every_entry_says_what_it_is(registry):
    assert all(entry.name == name and entry.summary.endswith(".") for name, entry in registry.items())


def test_stopping_counts_epochs_without_improvement():
    assert count_epoch(1.0, np.inf, 0, 0.1) == (1.0, 0)
    assert count_epoch(0.95, 1.0, 0, 0.1) == (0.95, 1)  # better, but not by tol
    assert count_epoch(0.8, 1.0, 3, 0.1) == (0.8, 0)
    assert count_epoch(1.2, 1.0, 3, 0.1) == (1.0, 4)
