"""Same bits: for a row in any company, for any number of threads; and the precision that was asked for."""

import hashlib
import os
import re

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from conftest import one_at_a_time
from numba import cfunc
from scipy import sparse

from skneural import MLPClassifier, MLPRegressor
from skneural.backends.cpu import compiler, engine, intrinsics, pool
from skneural.backends.cpu.catalogue import of_layers
from skneural.backends.cpu.engine import Trainer
from skneural.backends.cpu.layers.activation import make_activation
from skneural.backends.cpu.layers.loss import make_output_forward
from skneural.backends.cpu.product import make_product
from skneural.backends.cpu.updates import make_optimizer
from skneural.layers import Dense, Dropout
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LINKS
from skneural.maths.optimizers import OPTIMIZERS
from skneural.network.initializers import initialize
from skneural.network.program import lower

DTYPES = [np.float32, np.float64]
WIDTHS = [1, 7, 17, 33, 100, 300]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def data(n_rows, n_features, dtype=np.float64, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features)).astype(dtype)
    return X, (X @ rng.normal(size=(n_features, n_classes))).argmax(axis=1)


def assert_same_bits(a, b):
    """Equal, dtype and signs of zeros included; NaN equals NaN."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    np.testing.assert_array_equal(a.view(f"i{a.itemsize}"), b.view(f"i{b.itemsize}"))


# -- E1: rows ----------------------------------------------------------------------------------------------------------


def assert_rows_stand_alone(predict, X, estimator):
    """Same bits for a row alone, in any batch, in any order, on any number of threads."""
    estimator.set_params(n_jobs=1)
    whole = predict(X)
    assert np.isfinite(whole).all()
    assert_same_bits(np.concatenate([predict(X[i : i + 1]) for i in range(X.shape[0])]), whole)
    for size in (2, 3, 13, 111, 112, 113):
        assert_same_bits(np.concatenate([predict(X[i : i + size]) for i in range(0, X.shape[0], size)]), whole)
    order = np.random.default_rng(1).permutation(X.shape[0])
    assert_same_bits(predict(X[order]), whole[order])
    for n_jobs in (2, 3):
        estimator.set_params(n_jobs=n_jobs)
        assert_same_bits(predict(X), whole)
        assert_same_bits(predict(X[:5]), whole[:5])


#: Every width in one precision, and one in both.
WIDTH_AND_DTYPE = one_at_a_time({"width": 33, "dtype": np.float32}, width=WIDTHS, dtype=DTYPES)


@WIDTH_AND_DTYPE
@pytest.mark.parametrize(("activation", "n_classes"), [("relu", 2), ("tanh", 3), ("logistic", 10), ("leaky_relu", 17)])
def test_probabilities_of_a_row_do_not_depend_on_the_others(crews, dtype, width, activation, n_classes):
    X, y = data(250, 9, dtype, n_classes)
    clf = MLPClassifier((width, width), activation, max_iter=2, random_state=0).fit(X, y)
    assert_rows_stand_alone(clf.predict_proba, X, clf)


@WIDTH_AND_DTYPE
@pytest.mark.parametrize(("loss", "n_outputs"), [("squared_error", 1), ("squared_error", 5), ("poisson", 3)])
def test_prediction_of_a_row_does_not_depend_on_the_others(crews, dtype, width, loss, n_outputs):
    X, _ = data(250, width, dtype)
    y = np.random.default_rng(0).poisson(2.0, size=(250, n_outputs)).squeeze()
    regr = MLPRegressor(loss, (20,), max_iter=2, random_state=0).fit(X, y)
    assert_rows_stand_alone(regr.predict, X, regr)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_share_out_a_prediction(crews, monkeypatch, dtype):
    # That they do so at all: else the tests above would compare one thread with itself.
    X, y = data(250, 9, dtype)
    clf = MLPClassifier((33,), max_iter=2, random_state=0).fit(X, y)
    started, run = [], engine.run_together

    def spy(run_part, frames, held):
        started.append(len(frames))
        run(run_part, frames, held)

    monkeypatch.setattr(engine, "run_together", spy)
    clf.set_params(n_jobs=3).predict_proba(X)
    assert started == [3]


@WIDTH_AND_DTYPE
def test_sparse_rows_have_the_bits_of_dense_ones(crews, dtype, width):
    X, y = data(250, 40, dtype)
    X[np.random.default_rng(1).random(X.shape) < 0.8] = 0
    X[5] = 0
    clf = MLPClassifier((width, 9), "tanh", max_iter=2, random_state=0).fit(X, y)
    assert_same_bits(clf.predict_proba(sparse.csr_array(X)), clf.predict_proba(X))
    assert_rows_stand_alone(clf.predict_proba, sparse.csr_matrix(X), clf)


# -- E2: threads -------------------------------------------------------------------------------------------------------

FITS = {
    "adam, remainder": {"batch_size": 13},
    "adam, whole": {"batch_size": 60},
    "one row a batch": {"batch_size": 1},
    "dropout": {"batch_size": 13, "dropout": [0.5, 0.2]},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "validation_fraction": 0.3},
    "stopping": {"n_iter_no_change": 2, "tol": 0.05, "max_iter": 50},
    "sgd": {"solver": "sgd", "batch_size": 13, "learning_rate": "invscaling", "shuffle": False},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.1, "max_iter": 30},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.1},
    "lbfgs": {"solver": "lbfgs"},
    "no penalty": {"alpha": 0.0},
    "one unit": {"hidden_layer_sizes": (1,)},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "batch norm": {"normalization": "batch", "batch_size": 13, "residual": True, "hidden_layer_sizes": (17, 17)},
    "layer norm": {"normalization": "layer", "batch_size": 13, "residual": True, "hidden_layer_sizes": (17, 17)},
    "limits": {"clip_norm": 0.1, "clip_value": 0.02, "max_norm": 0.5, "l1_ratio": 0.5, "monitor_gradients": True},
    "one_cycle": {"learning_rate": "one_cycle", "solver": "lion", "batch_size": 13, "warmup": 0.5},
    "wide": {"hidden_layer_sizes": (300, 70), "max_iter": 4},
}


def fitted(settings, X, y, n_jobs, **fit):
    settings = {"hidden_layer_sizes": (17, 9), "max_iter": 8, "alpha": 0.01, "random_state": 0} | settings
    kind = MLPClassifier if y.dtype.kind == "i" else MLPRegressor
    return kind(**settings, n_jobs=n_jobs).fit(X, y, **fit)


def assert_same_fits(a, b):
    for ours, theirs in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
        assert_same_bits(ours, theirs)
    assert a.n_iter_ == b.n_iter_
    for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_", "loss_", "best_loss_"):
        ours, theirs = getattr(a, name), getattr(b, name)
        assert (ours is None) == (theirs is None), name
        if ours is not None:
            assert_same_bits(np.array(ours, float), np.array(theirs, float))
    for ours, theirs in zip(a.norms_, b.norms_, strict=True):
        for name in ours:
            assert_same_bits(ours[name], theirs[name])
    if "gradient_norm" in a.history_:
        assert_same_bits(np.array(a.history_["gradient_norm"]), np.array(b.history_["gradient_norm"]))


@one_at_a_time(
    {"name": next(iter(FITS)), "is_sparse": False, "dtype": np.float32}, name=FITS, is_sparse=[True], dtype=DTYPES
)
def test_fit_does_not_depend_on_threads(crews, name, is_sparse, dtype):
    settings = FITS[name]
    X, y = data(60, 30, dtype)
    if is_sparse:
        X[np.random.default_rng(1).random(X.shape) < 0.7] = 0
        X = sparse.csr_array(X)
    weights = np.random.default_rng(2).uniform(0, 2, 60)
    one = fitted(settings, X, y, 1, sample_weight=weights)
    assert set(crews) == {1}
    for n_jobs in (2, 3):
        crews.clear()
        assert_same_fits(fitted(settings, X, y, n_jobs, sample_weight=weights), one)
        assert set(crews) == {n_jobs}


@pytest.mark.parametrize("capacity", [16, 2048])
@pytest.mark.parametrize(
    "settings", [FITS["dropout"], FITS["lbfgs"], {"batch_size": 50}], ids=["dropout", "lbfgs", "adam"]
)
def test_fit_in_pieces_does_not_depend_on_threads(crews, monkeypatch, settings, capacity):
    monkeypatch.setattr(engine, "MAX_CAPACITY", capacity)
    X, _ = data(60, 30)
    y = np.random.default_rng(0).normal(size=(60, 3))
    one = fitted(settings, X, y, 1)
    for n_jobs in (2, 3, 5):
        assert_same_fits(fitted(settings, X, y, n_jobs), one)


def test_fit_may_change_the_number_of_threads_at_any_step(crews, monkeypatch):
    # `Pace` does so where it finds one thread faster, or other programs busy.
    X, y = data(60, 30)
    one = fitted(FITS["dropout"], X, y, 1)
    rng, used = np.random.default_rng(3), set()

    def choose(self, seconds):
        used.add(size := int(rng.choice(self.sizes)))
        return size, int(rng.integers(1, 4))

    monkeypatch.setattr(pool.Pace, "choose", choose)
    for n_jobs in (1, 2, 3):
        assert_same_fits(fitted(FITS["dropout"], X, y, n_jobs), one)
    assert used == {1, 2, 3}


@pytest.mark.skipif(not intrinsics.HAS_CLOCK, reason="calls have no time limit where the C library has no clock")
@pytest.mark.parametrize("settings", [FITS["dropout"], FITS["stopping"]], ids=["dropout", "stopping"])
def test_threads_that_turn_back_lose_nothing(crews, monkeypatch, settings):
    # A call on several threads has a time limit, for cores that are busy: here none is met, so each ends after a step.
    X, y = data(60, 30)
    one = fitted(settings, X, y, 1)
    steps = one.n_iter_ * -(-60 // settings.get("batch_size", 60))
    assert len(crews) < steps
    monkeypatch.setattr(engine, "OVERRUN", 1e-12)
    for n_jobs in (2, 3):
        crews.clear()
        assert_same_fits(fitted(settings, X, y, n_jobs), one)
        assert len(crews) == steps


def test_pace_chooses_what_it_measured_as_faster():
    pace = pool.Pace(2, 1e-5)
    seen = set()
    for _ in range(50):
        size, steps = pace.choose(0.1)
        seen.add(size)
        pace.record(size, steps, steps * {1: 3e-5, 2: 1e-5}[size])
    assert seen == {1, 2}  # both have been tried
    pace._recheck = np.inf
    assert pace.choose(0.1)[0] == 2
    for _ in range(50):  # now two are slower: other programs came
        size, steps = pace.choose(0.1)
        pace.record(size, steps, steps * {1: 3e-5, 2: 9e-5}[size])
    assert pace.choose(0.1)[0] == 1
    pace._recheck = -np.inf
    assert pace.choose(0.1)[0] == 2  # and now and then the slower one is tried again


def test_gradient_does_not_depend_on_threads(crews):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 20)), rng.normal(size=(50, 2))
    program = lower([Dense(30, "tanh"), Dropout(0.5), Dense(2)], 20, dtype=np.float64, loss="squared_error")
    params = initialize(program, 0)
    results = []
    for n_threads in (1, 2, 3, 4):
        trainer = Trainer(program, params, X, y, None, alpha=0, seed=7, n_threads=n_threads)
        loss, gradient = trainer.loss_and_gradient()
        results.append(np.append(gradient, loss))
        trainer.close()
    for result in results[1:]:
        assert_same_bits(result, results[0])
    assert set(crews) == {1, 2, 3, 4}


def test_fit_is_repeatable_and_depends_on_the_seed(crews):
    X, y = data(60, 30)
    one = fitted(FITS["dropout"], X, y, 2)
    assert_same_fits(fitted(FITS["dropout"], X, y, 2), one)
    other = fitted(FITS["dropout"] | {"random_state": 1}, X, y, 2)
    assert (one.coefs_[0] != other.coefs_[0]).any()


# -- E3: precision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_precision_follows_X(solver, dtype):
    X, y = data(60, 5, dtype)
    clf = MLPClassifier((7,), solver=solver, max_iter=3, random_state=0).fit(X, y)
    assert {a.dtype for a in clf.coefs_ + clf.intercepts_} == {np.dtype(dtype)}
    assert clf.predict_proba(X).dtype == dtype
    regr = MLPRegressor(hidden_layer_sizes=(7,), solver=solver, max_iter=3, random_state=0).fit(X, y)
    assert regr.predict(X).dtype == dtype


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.4}, {"solver": "sgd"}, {"solver": "lbfgs"}], ids=str)
def test_sparse_X_gives_the_fit_of_dense_X(settings):
    X, y = data(60, 30)
    X[np.random.default_rng(1).random(X.shape) < 0.7] = 0
    settings = {"hidden_layer_sizes": (17, 9), "max_iter": 8, "random_state": 0} | settings
    dense = MLPClassifier(**settings).fit(X, y)
    spread = MLPClassifier(**settings).fit(sparse.csr_matrix(X), y)
    np.testing.assert_allclose(spread.loss_curve_, dense.loss_curve_, rtol=1e-10)
    for ours, theirs in zip(spread.coefs_ + spread.intercepts_, dense.coefs_ + dense.intercepts_, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


def kernels_of_layers():
    """Makers of the kernels of operations and their further arguments, by kind, row of the registry, and field."""
    kernels = {}
    for kind, fields in of_layers().items():
        for field, (make, options, registry) in fields.items():
            if registry is None:
                kernels[f"{kind} {field}"] = (make, *options)
            else:
                kernels |= {f"{kind} {name} {field}": (make, *options, entry) for name, entry in registry.items()}
    return kernels


KERNELS = {
    "product": (make_product,),
    **kernels_of_layers(),
    **{f"activation {name}": (make_activation, entry) for name, entry in ACTIVATIONS.items()},
    **{f"output {name}": (make_output_forward, entry) for name, entry in LINKS.items()},
    **{f"optimizer {name}": (make_optimizer, entry) for name, entry in OPTIMIZERS.items()},
}
#: Of the kernels that differ by a formula or a setting alone, those that are looked at by default: formulas have tests
#: of their own. Of a maker that is not named here it is the first; all others are looked at with `-m slow`.
CHOSEN = (
    "activation mish", "loss log_cosh forward", "output softmax", "optimizer nadam",
    "recurrent rnn forward", "recurrent rnn backward", "recurrent rnn update",
)  # fmt: skip


def kernels(pattern):
    """Parameters for a test: names of kernels that match."""
    chosen = {KERNELS[name][0]: name for name in reversed([*CHOSEN, *KERNELS])}
    names = [name for name in KERNELS if re.match(pattern, name)]
    return [name if name in chosen.values() else pytest.param(name, marks=pytest.mark.slow) for name in names]


#: Kernels that meet no float64 number at all: not even a setting, a sum of losses or a sum of squares.
PURE = "product|input|(sparse_)?dense (for|back)ward|activation|output|sum|concatenate|reshape"


@pytest.fixture(scope="module")
def code(kept):
    """A function that gives the optimised LLVM code of a float32 kernel, compiled as the package does it.

    The kernel itself may have come from the cache, and then Numba has no code to show. Compiling all of them takes some
    fifteen seconds, so the code is kept, as kernels are: until their sources, the compiler or the processor change.
    """
    folder = kept("llvm")
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    state = hashlib.sha256(f"{compiler.DIGEST} {numba.__version__} {processor}".encode()).hexdigest()[:16]
    for path in folder.glob("*.ll"):
        if state not in path.name:
            path.unlink(missing_ok=True)  # another process may do the same

    def code_of(name):
        path = folder / f"{state} {name}.ll"
        if not path.exists():
            make, *key = KERNELS[name]
            arguments, function, *returns = make(np.float32, *key)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(compiler, "cfunc", lambda signature, cache=False, **options: cfunc(signature, **options))
                text = compiler.compile_kernel(f"inspected {name}", arguments, function, *returns).inspect_llvm()
            assert "define" in text
            draft = path.with_suffix(f".{os.getpid()}")
            draft.write_text(text)
            draft.replace(path)
        return path.read_text()

    return code_of


def strongly_connected(nodes, successors):
    """Components of a graph that contain a cycle (Kosaraju)."""
    order, seen = [], set()
    for root in nodes:
        stack = [(root, iter(successors[root]))] if root not in seen else []
        seen.add(root)
        while stack:
            node, rest = stack[-1]
            following = next((n for n in rest if n in nodes and n not in seen), None)
            if following is None:
                order.append(node)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(successors[following])))
    predecessors = {n: [m for m in nodes if n in successors[m]] for n in nodes}
    components, left = [], set(nodes)
    for root in reversed(order):
        if root in left:
            component, stack = set(), [root]
            while stack:
                node = stack.pop()
                if node in left:
                    left.remove(node)
                    component.add(node)
                    stack += predecessors[node]
            if len(component) > 1 or root in successors[root]:
                components.append(component)
    return components


def blocks_of(function):
    """Lines of every block of a function's code, by its label."""
    blocks, name = {}, ""
    for line in function.splitlines()[1:-1]:
        if label := re.match(r'"?([-\w.$]+)"?:', line):
            name = label[1]
        elif line.strip():
            blocks.setdefault(name, []).append(line)
    return blocks


def innermost_loops(function):
    """Blocks of every loop without a loop inside, as lists of lines. Read as text: LLVM takes seconds to print it."""
    blocks = blocks_of(function)
    successors = {
        name: set(re.findall(r"label %\"?([-\w.$]+)\"?", "".join(lines))) & set(blocks)
        for name, lines in blocks.items()
    }
    result, pending = [], [set(blocks)]
    while pending:
        for loop in strongly_connected(pending.pop(), successors):
            entries = {n for m in set(blocks) - loop for n in successors[m] if n in loop}
            inner = loop - entries  # without its head a loop falls apart into the loops inside
            if strongly_connected(inner, successors):
                pending.append(inner)
            else:
                result.append([line for name in loop for line in blocks[name]])
    return result


@pytest.mark.parametrize("name", kernels(PURE))
def test_float32_kernel_has_no_float64(code, name):
    assert "double" not in code(name)


@pytest.mark.parametrize("name", kernels(""))
def test_float32_kernel_has_no_float64_in_its_loops(code, name):
    # What is left outside: settings converted once a call (rate, decay, scale) and, once a row, the loss that is
    # handed over as float64. So: no vectors of float64 anywhere, and no float64 in a loop without a loop inside.
    assert not re.findall(r"<\d+ x double>", code(name))
    functions = re.findall(r"^define .*?^}", code(name), re.MULTILINE | re.DOTALL)
    loops = [loop for function in functions for loop in innermost_loops(function)]
    assert loops or name in ("dense forward", "dense backward"), "the analysis must find the loops"  # those only call
    if name == "verdict forward":  # one number a row, as the loss
        return
    for loop in loops:
        assert not [line for line in loop if "double" in line]


def test_loops_are_found():
    # The analysis itself, on a nest of two loops with float64 in the outer one only.
    text = """
    define void @f(double %x) {
    entry:
      br label %outer
    outer:
      %y = fadd double %x, %x
      br label %inner
    inner:
      %z = fadd float 1.0, 2.0
      br i1 1, label %inner, label %latch
    latch:
      br i1 1, label %outer, label %done
    done:
      ret void
    }"""
    (loop,) = innermost_loops(str(llvm.parse_assembly(text).get_function("f")))  # as LLVM prints it
    assert [line.split()[0] for line in loop] == ["%z", "br"]


@pytest.mark.parametrize("name", kernels("activation|loss|output|noise|recurrent"))
def test_exponentials_are_not_calls(code, name):
    # A call into the C library is one number at a time, ten times as slow as the polynomial (`elementary`).
    assert not re.findall(
        r"call [^\n]*@(?:llvm\.)?(?:exp(?!erimental)|expm1|log|log1p|erfc?|tanh|cosh|pow)[\w.]*\(", code(name)
    )


VECTORS = "product|activation \\w+$|dropout|noise|sum|.*_norm|optimizer|recurrent|pool"


@pytest.mark.parametrize("name", kernels(VECTORS))
def test_elementwise_kernels_are_vectorised(code, name):
    assert re.search(r"<\d+ x float>", code(name))
