"""The shape of the package: who imports whom, how dense the code is, and what an addition touches."""

import ast
import pathlib
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from networks import assert_right_gradient
from stacks import data, network, predict

import skneural
from skneural.backends.base import OptimizerState
from skneural.backends.cpu.catalogue import of_layers
from skneural.backends.cpu.compiler import DIGEST
from skneural.backends.cpu.engine import Predictor, Trainer
from skneural.backends.cpu.intrinsics import LAYER_KERNEL, details_view, frame_at, op_at, vector
from skneural.backends.cpu.registry import KERNELS, layer_kernel
from skneural.backends.cpu.rows import row_at, sent
from skneural.layers import BUILT_IN, Dense, Dropout, Layer, Residual
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.elementary import log1p
from skneural.maths.losses import LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.network.description import describe, lower_description
from skneural.network.initializers import initialize
from skneural.network.layer import LAYERS
from skneural.network.operations import KINDS, operation
from skneural.network.program import lower
from skneural.training.schedule import Schedule
from skneural.training.state import SolverState

ROOT = pathlib.Path(skneural.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def name_of(path):
    """Dotted name of a module: skneural.maths.random."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): tree for path, tree in TREES.items()}


def imports_of(tree, module_level_only=False):
    """Dotted names of what a module imports."""
    found = []
    for node in tree.body if module_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            # `from package import module` imports a module, `from module import name` does not
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name for name in submodules if name in MODULES] or [node.module]
    return found


def within(name, *packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


def layer_of(name):
    """The part of the package that a module belongs to: its folder, or itself at the top."""
    return ".".join(name.split(".")[:2])


#: What a part of the package may import of the others.
ALLOWED = {
    "skneural._compat": [],
    "skneural._frames": [],
    "skneural.maths": ["skneural.maths"],
    "skneural.network": ["skneural.network", "skneural.maths"],
    "skneural.layers": ["skneural.layers", "skneural.network", "skneural.maths"],
    "skneural.backends": ["skneural.backends", "skneural.layers", "skneural.network", "skneural.maths"],
    "skneural.training": ["skneural.training", "skneural.backends", "skneural.network", "skneural.maths"],
    "skneural.estimators": [
        "skneural.estimators", "skneural.training", "skneural.backends", "skneural.layers", "skneural.network",
        "skneural.maths", "skneural._compat", "skneural._declare", "skneural._tooltips", "skneural._frames",
        "skneural._image_layout",
    ],
    "skneural._declare": [],
    "skneural._tooltips": [],
    "skneural.encoding": [],
    "skneural.kernels": ["skneural.backends"],  # a door for layers of users
    "skneural.persistence": ["skneural.encoding"],
    "skneural.callbacks": ["skneural.persistence", "skneural._compat"],
    "skneural._wrapped": [],
    "skneural._image_layout": ["skneural._wrapped"],
    # around estimators, which it is given
    "skneural.timeseries": ["skneural.timeseries", "skneural._tooltips", "skneural._wrapped", "skneural._frames"],
    # displays read fitted attributes, inspection asks estimators: both look into pipelines and searches for them
    "skneural.plotting": ["skneural.plotting", "skneural._wrapped", "skneural._image_layout"],
    "skneural.inspection": [
        "skneural.inspection", "skneural._compat", "skneural._wrapped", "skneural._image_layout",
    ],
}  # fmt: skip
#: What is imported when it is needed, against that order, and by whom: a file holds what estimators say, a fit that
#: is resumed reads one, a forecaster that is given no estimator makes one, a display measures what it draws, and what
#: only networks of the package can tell of themselves they are asked for.
LATE = {
    "skneural.persistence": [
        "skneural",
        "skneural.estimators._layers",
        "skneural.estimators._saved",
        "skneural.estimators._state",
    ],
    "skneural.estimators._resume": ["skneural.persistence"],
    "skneural.timeseries._forecaster": ["skneural"],
    "skneural.plotting._importance": ["skneural.inspection"],
    "skneural.plotting._augmentation": ["skneural.estimators._preview"],
    "skneural.plotting._sequence_augmentation": ["skneural.estimators._preview"],
    "skneural.layers.augmentation": ["skneural.plotting"],
    "skneural.plotting._filters": ["skneural.inspection"],
    "skneural.plotting._image_importance": ["skneural.inspection"],
    "skneural.inspection._saliency": ["skneural.estimators._explain"],
    "skneural.inspection._layers": ["skneural.estimators._explain"],
}
BACKENDS = ("skneural.backends.cpu", "skneural.backends.cuda")
#: Modules of the backends without kernels: all that belong to none of them.
HOST = [m for m in MODULES if within(m, "skneural.backends") and not within(m, *BACKENDS)]
#: These stand above all others.
TOP = ("skneural", "skneural.__main__")


def against_the_order(module):
    """What a module imports that stands above it."""
    allowed, late = ALLOWED[layer_of(module)], LATE.get(module, [])
    at_once = imports_of(MODULES[module], module_level_only=True)
    for name in imports_of(MODULES[module]):
        fine = within(name, *allowed) or (name in late and name not in at_once)
        if within(name, "skneural") and not fine:
            yield name


def imported(modules, names_of):
    """A line for every name that `names_of` a module gives: what breaks a rule about imports."""
    return [f"{module} imports {name}" for module in modules for name in names_of(module)]


def test_imports_go_one_way():
    assert imported([module for module in MODULES if module not in TOP], against_the_order) == []


def test_modules_do_not_import_in_circles():
    graph = {m: {n for n in imports_of(tree, module_level_only=True) if n in MODULES} for m, tree in MODULES.items()}
    while graph:
        leaves = {m for m, needed in graph.items() if not needed & set(graph)}
        assert leaves, f"a circle among {sorted(graph)}"
        graph = {m: needed for m, needed in graph.items() if m not in leaves}


#: Packages that only some parts may know, and who: the compiler stays exchangeable, the engine free of scikit-learn.
GUARDED = {
    ("numba", "llvmlite", "cuda"): ("skneural.backends",),
    ("sklearn",): (
        "skneural.estimators", "skneural.training", "skneural.callbacks", "skneural.timeseries", "skneural.plotting",
        "skneural.inspection", "skneural._compat", "skneural._declare", "skneural.__main__",
    ),
    ("pandas",): ("skneural.timeseries", "skneural._frames"),  # late, where there is an index or a table of it
    ("polars", "pyarrow", "torch", "jax"): (),
    ("matplotlib",): ("skneural.plotting",),
    ("safetensors",): ("skneural.persistence",),
    ("pickle", "marshal", "shelve", "joblib.numpy_pickle"): (),  # files hold no code
}  # fmt: skip


@pytest.mark.parametrize(("packages", "users"), GUARDED.items(), ids=map(str, GUARDED))
def test_packages_stay_where_they_belong(packages, users):
    others = [module for module in MODULES if not within(module, *users)]
    assert imported(others, lambda m: [name for name in imports_of(MODULES[m]) if within(name, *packages)]) == []


def test_one_file_knows_the_cuda_target():
    # So that its successor is an edit of one file.
    others = [module for module in MODULES if module != "skneural.backends.cuda.hub"]
    target = ("numba.cuda", "cuda.core")
    assert imported(others, lambda m: [name for name in imports_of(MODULES[m]) if within(name, *target)]) == []


@pytest.mark.parametrize(("one", "other"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_backends_do_not_know_each_other(one, other):
    mine = [module for module in MODULES if within(module, f"skneural.backends.{one}")]
    theirs = f"skneural.backends.{other}"
    assert imported(mine, lambda m: [name for name in imports_of(MODULES[m]) if within(name, theirs)]) == []


def test_backends_are_loaded_when_they_are_needed():
    # `import skneural` must not load the compiler: outside the backends they are imported inside functions.
    def at_once(module):
        names = imports_of(MODULES[module], module_level_only=True)
        heavy = [name for name in names if within(name, "skneural.backends", "numba", "llvmlite", "matplotlib")]
        return [name for name in heavy if name not in HOST]

    # Who imports `skneural.kernels` writes kernels; nothing here does, as `ALLOWED` has it.
    assert imported([m for m in MODULES if not within(m, "skneural.backends", "skneural.kernels")], at_once) == []


def test_modules_without_kernels_need_no_compiler():
    def compilers(module):
        at_once = imports_of(MODULES[module], module_level_only=True)
        kernels = [name for name in at_once if within(name, "cuda", *BACKENDS)]
        return kernels + [name for name in imports_of(MODULES[module]) if within(name, "numba", "llvmlite")]

    assert imported(HOST, compilers) == []


# -- density -----------------------------------------------------------------------------------------------------------

# Limits on length alone are met by packing: what is short but dense reads slower. So how much stands on a line is what
# counts, measured as nodes of the syntax tree for each line of the functions, without their docstrings. scikit-learn
# and thinc, which many people read and change, stay between 4.6 and 8.4, with 0 to 5.5 packed tuple assignments for
# each 1,000 lines.

#: Above the 8.4 of the densest of those: kernels are arithmetic, of which a line holds more than a line of calls does.
MOST_NODES_A_LINE = 11
#: One for every 67 lines: for what belongs together, like `low, high = 0, n`. They are no way to save lines.
MOST_PACKED_TUPLES = 15 / 1000
#: A file of formulas may be denser than the whole, but not so that no other file could make up for it.
MOST_NODES_A_LINE_OF_A_FILE = 14
#: Safety nets only: a file or a function of this length has more than one task.
MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 100


def functions_of(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def outermost_functions(tree):
    """Functions that stand in no other one."""
    functions = functions_of(tree)
    inner = {id(node) for function in functions for node in functions_of(function) if node is not function}
    return [function for function in functions if id(function) not in inner]


def length(function):
    """Lines of a function with its decorators, whose nodes count, and without its docstring."""
    first = min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
    lines = function.end_lineno - first + 1
    if ast.get_docstring(function, clean=False) is not None:
        docstring = function.body[0]
        lines -= docstring.end_lineno - docstring.lineno + 1
    return lines


def density(trees):
    """Nodes a line of all functions of some modules."""
    functions = [function for tree in trees for function in outermost_functions(tree)]
    nodes = sum(1 for function in functions for _ in ast.walk(function))
    return nodes / max(1, sum(length(function) for function in functions))


def is_packed(node):
    """Whether a statement assigns a tuple to a tuple, `a, b = x, y`, and is no swap."""
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)):
        return False
    if not isinstance(node.value, ast.Tuple):
        return False
    targets = sorted(map(ast.unparse, node.targets[0].elts))
    return targets != sorted(map(ast.unparse, node.value.elts))


def test_a_line_holds_one_thought():
    packed = sum(is_packed(node) for tree in TREES.values() for node in ast.walk(tree))
    lines = sum(len(path.read_text().splitlines()) for path in FILES)
    assert density(TREES.values()) <= MOST_NODES_A_LINE
    assert packed / lines <= MOST_PACKED_TUPLES


def test_no_file_is_dense():
    densities = {name: density([tree]) for name, tree in MODULES.items()}
    assert {name: found for name, found in densities.items() if found > MOST_NODES_A_LINE_OF_A_FILE} == {}


@pytest.mark.parametrize(
    ("statement", "packed"),
    [
        ("a, b = x, y", True),
        ("a, b = 0, 0", True),
        ("a, b = b, a", False),
        ("a[i], a[j] = a[j], a[i]", False),
        ("a, b = pair", False),
        ("a = b = 0", False),
    ],
)
def test_packed_tuple_assignments_are_told_from_swaps(statement, packed):
    assert is_packed(ast.parse(statement).body[0]) is packed


def test_density_is_counted_without_docstrings_and_once():
    plain = "def f(x):\n    def g(y):\n        return y\n    return g(x)"
    described = plain.replace("(x):", '(x):\n    """Text.\n\n    More text.\n    """', 1)
    assert density([ast.parse(plain)]) == sum(1 for _ in ast.walk(ast.parse(plain).body[0])) / 4
    assert len(outermost_functions(ast.parse(described))) == 1
    assert length(outermost_functions(ast.parse(described))[0]) == 4


def test_no_file_or_function_is_endless():
    files = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    functions = {
        f"{module}.{function.name}": length(function)
        for module, tree in MODULES.items()
        for function in functions_of(tree)
    }
    assert {name: lines for name, lines in files.items() if lines >= MOST_LINES_OF_A_FILE} == {}
    assert {name: lines for name, lines in functions.items() if lines >= MOST_LINES_OF_A_FUNCTION} == {}


def test_kernels_stand_in_a_file_of_the_name_of_the_layer():
    files = {path.stem for path in (ROOT / "layers").glob("*.py")}
    of_kernels = {path.stem for path in (ROOT / "backends" / "cpu" / "layers").glob("*.py")}
    # What is at the ends of a network, and convolutions of every channel by itself.
    assert of_kernels - files == {"depthwise", "input", "loss"}
    assert set(BUILT_IN) - set(of_layers()) == {"sparse_input"}  # which only a GPU has
    assert [kind for kind, fields in KERNELS.items() if "forward" not in fields] == []


def undescribed(module):
    """Public things of a module, and itself, that have no docstring."""
    tree = MODULES[module]
    if not ast.get_docstring(tree):
        yield module
    for node in tree.body:
        is_public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
        if is_public and not ast.get_docstring(node):
            yield f"{module}.{node.name}"


def test_public_things_are_described():
    assert [name for module in MODULES for name in undescribed(module)] == []


def ruled_out(node):
    """Why the design has no such construct, if it has none."""
    if isinstance(node, ast.Call):
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if called in ("exec", "eval", "prange", "set_num_threads", "threadpool_limits"):
            yield f"calls {called}"
        for keyword in node.keywords:
            if keyword.arg == "parallel":
                yield "Numba's own threads abort when two fits start them at once, and die in a fork"
            if keyword.arg == "fastmath" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True:
                yield "fastmath=True promises that NaN does not occur"
    if isinstance(node, ast.Name | ast.Attribute | ast.alias):
        named = str(getattr(node, "id", getattr(node, "attr", getattr(node, "name", ""))))
        if "jitclass" in named:
            yield "jitclass arguments defeat the cache"
        if named.startswith("prange"):
            yield "prange"


def test_no_construct_that_the_design_rules_out():
    nodes = [(module, node) for module, tree in MODULES.items() for node in ast.walk(tree)]
    assert [f"{module}: {reason}" for module, node in nodes for reason in ruled_out(node)] == []


def test_constructs_that_are_ruled_out_are_found():
    wrong = "prange(3); eval('1'); njit(parallel=True); njit(fastmath=True); import jitclass"
    assert len([reason for node in ast.walk(ast.parse(wrong)) for reason in ruled_out(node)]) == 6


def test_ctypes_is_left_to_the_kernels():
    # A function that holds a ctypes pointer is not cached; kernels reach the C library by the names of its functions.
    # What fills in their frames, what starts threads and what finds kernels holds no kernel.
    users = {module for module, tree in MODULES.items() if "ctypes" in imports_of(tree)}
    cpu = "skneural.backends.cpu"
    assert users == {"skneural.backends.frame", f"{cpu}.threads", f"{cpu}.library", f"{cpu}.catalogue", f"{cpu}.build"}


# -- what an addition touches ------------------------------------------------------------------------------------------


@pytest.fixture
def dummy():
    """A name for a row of a registry that is gone after the test."""
    yield "dummy_of_the_tests"
    for registry in (ACTIVATIONS, LOSSES, OPTIMIZERS, SCHEDULES):
        registry.pop("dummy_of_the_tests", None)


def train(activation="tanh", dtype=np.float64, loss="squared_error", optimizer="adam", hyper=(0.9, 0.999, 1e-8)):
    """Losses and predictions of a small training, and the largest relative error of its first gradient."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 5)).astype(dtype), rng.normal(size=(40, 2)).astype(dtype)
    program = lower([Dense(7, activation), Dense(4, activation), Dense(2)], 5, dtype=dtype, loss=loss)
    params = initialize(program, 0)
    trainer = Trainer(program, params, X, y, None, alpha=0, seed=0, n_threads=1)
    gradient, differences = trainer.loss_and_gradient()[1].copy(), np.zeros(program.n_params)
    for place in program.learnt_index():
        value = params[place]
        params[place] = value + 1e-5
        above = trainer.loss_and_gradient()[0]
        params[place] = value - 1e-5
        differences[place] = (above - trainer.loss_and_gradient()[0]) / 2e-5
        params[place] = value
    error = np.abs(gradient - differences).max() / np.abs(differences).max()
    trainer.close()
    trainer = Trainer(program, params, X, y, None, alpha=0, seed=0, n_threads=1)
    state = OptimizerState.fresh(program)
    trainer.start(optimizer, hyper, state, batch=8, shuffle=True, tol=0.0, patience=np.inf)
    losses = [loss for loss, _ in trainer.run_epochs(np.full(20, 0.01), np.inf, 0)[0]]
    trainer.close()
    return losses, Predictor(program, params)(X)[0], error


def test_new_activation_is_one_function(dummy):
    @ACTIVATIONS.register(dummy)
    def softsign(z):
        """Softsign."""
        one = type(z)(1)
        below = one + abs(z)
        return z / below, one / (below * below)

    losses, outputs, error = train(dummy)
    assert error < 1e-6
    assert losses[-1] < 0.9 * losses[0]
    assert np.isfinite(outputs).all()
    losses, outputs, _ = train(dummy, np.float32)
    assert losses[-1] < 0.9 * losses[0]
    assert outputs.dtype == np.float32


def test_new_loss_is_one_function(dummy):
    @LOSSES.register(dummy)
    def cauchy(raw, target, gradient, settings):
        """Logarithm of one plus the squared error."""
        total, one, two = type(raw[0])(0), type(raw[0])(1), type(raw[0])(2)
        for j in range(len(raw)):
            error = raw[j] - target[j]
            gradient[j] = two * error / (one + error * error)
            total += log1p(error * error)
        return total

    for dtype in (np.float64, np.float32):
        losses, _, error = train(loss=dummy, dtype=dtype)
        assert losses[-1] < 0.9 * losses[0]
        assert error < 1e-6 or dtype is np.float32


def test_new_optimizer_is_one_function(dummy):
    @OPTIMIZERS.register(dummy, hyper=("momentum",))
    def signs(p, g, s, v, c):
        """Momentum of signs."""
        zero, one = type(p)(0), type(p)(1)
        s = c[1] * s + (one if g > zero else (-one if g < zero else g))
        return p - c[0] * s, s, v

    for dtype in (np.float64, np.float32):
        losses, _, _ = train(optimizer=dummy, hyper=(0.5,), dtype=dtype)
        assert losses[-1] < 0.9 * losses[0]


@pytest.fixture
def new_layer():
    """A layer with kernels of its own: what a file of it and one of its kernels would hold."""
    kind = "dummy_of_the_tests"
    operation(kind, ["factor:f8"])
    details_at = details_view(kind)

    @dataclass(frozen=True)
    class Scaled(Layer):
        """Its input times a constant."""

        factor: float

        def build(self, net, x):
            net.dense(x)
            return net.add(kind, x, shape=x.shape, forwards=x.forwards, factor=self.factor)

    @layer_kernel(kind, "forward")
    def make_scaled_forward(dtype):
        digest = DIGEST
        size = dtype().itemsize

        def scaled_forward(op_address, frame_address, first, last):
            digest  # noqa: B018
            op = op_at(op_address)
            f = frame_at(frame_address)
            factor = dtype(details_at(op_address).factor)
            for t in range(op.steps):
                x = vector(row_at(f, op.x, op.ld_in, t, first, size), dtype)
                y = vector(row_at(f, op.y, op.ld_out, t, first, size), dtype)
                for j in range((last - first) * op.ld_out):
                    y[j] = factor * x[j]

        return LAYER_KERNEL, scaled_forward

    @layer_kernel(kind, "backward")
    def make_scaled_backward(dtype):
        digest = DIGEST
        size = dtype().itemsize

        def scaled_backward(op_address, frame_address, first, last):
            digest  # noqa: B018
            op = op_at(op_address)
            f = frame_at(frame_address)
            factor = dtype(details_at(op_address).factor)
            begin = op.begin if op.begin >= 0 else op.dx
            for t in range(op.steps):
                dy = vector(row_at(f, op.dy, op.ld_out, t, first, size), dtype)
                dx = vector(row_at(f, op.dx, op.ld_in, t, first, size), dtype)
                before = vector(row_at(f, begin, op.ld_in, t, first, size), dtype)
                for j in range((last - first) * op.ld_out):
                    dx[j] = sent(factor * dy[j], before[j], op.begin >= 0, dx[j], op.scale != 0)

        return LAYER_KERNEL, scaled_backward

    yield Scaled
    for registry, name in ((KINDS, kind), (KERNELS, kind), (LAYERS, "Scaled")):
        del registry[name]


def test_new_layer_is_a_class_and_its_kernels(new_layer):
    layers = (Dense(5, "tanh"), Dropout(0.2), Residual((new_layer(0.7), Dense(5, "tanh"))), new_layer(-2.0), Dense(2))
    program, params = network(layers)
    assert_right_gradient(program, params, *data(2), seed=3)
    X, _, _ = data(2)
    W, U, V = program.coefs(params)
    a, b, c = program.intercepts(params)
    hidden = np.tanh(X @ W + a)
    hidden = hidden + np.tanh(0.7 * hidden @ U + b)
    np.testing.assert_allclose(predict(program, params, X)[0], -2 * hidden @ V + c, rtol=1e-12)
    described = describe(program)
    assert described["layers"][3] == {"kind": "Scaled", "factor": -2.0}
    again = lower_description(described)  # for prediction: files hold no room for training
    assert again.ops.tobytes() == program.variant(training=False).ops.tobytes()


def test_new_schedule_is_one_function(dummy):
    @SCHEDULES.register(dummy)
    def sawtooth(p):
        """Down over three epochs, again and again."""
        return 1 - (p.epoch % 3) / 3

    settings = SimpleNamespace(**skneural.MLPClassifier(learning_rate=dummy, max_iter=7).get_params())
    state = SolverState(s=None, v=None, seed=0, initial=0.3)
    rates = Schedule(settings, state, 2).rates(7, 0, 10)
    np.testing.assert_allclose(rates[:, 0], [0.3, 0.2, 0.1] * 2 + [0.3])


def test_activation_of_a_name_used_before_is_the_new_one(dummy):
    # A cell of a notebook, edited and run again: the kernel of the first must not answer for the second.
    results = []
    for factor in (1, 2):

        @ACTIVATIONS.register(dummy)
        def scaled(z, factor=None):
            """Identity, scaled."""
            return z * type(z)(1), type(z)(1)

        if factor == 2:
            del ACTIVATIONS[dummy]

            @ACTIVATIONS.register(dummy)
            def doubled(z):
                """Identity, doubled."""
                return z * type(z)(2), type(z)(2)

        results.append(train(dummy))
        del ACTIVATIONS[dummy]
    np.testing.assert_array_equal(results[0][1], train("identity")[1])
    assert (results[1][1] != results[0][1]).any()
    assert results[1][2] < 1e-6


def test_formulas_over_a_variable_are_told_apart(dummy):
    # A factory of activations: same code, another value in its closure.
    def make(factor):
        def scaled(z):
            """Identity, scaled."""
            return z * type(z)(factor), type(z)(factor)

        return scaled

    results = []
    for factor in (1, 3):
        ACTIVATIONS.register(dummy)(make(factor))
        results.append(train(dummy))
        del ACTIVATIONS[dummy]
    assert max(error for _, _, error in results) < 1e-6
    assert (results[0][1] != results[1][1]).any()
    np.testing.assert_array_equal(results[0][1], train("identity")[1])


def test_activation_that_does_not_exist():
    with pytest.raises(ValueError, match=r"activation of Dense must be one of .* or None, got 'no such activation'"):
        lower([Dense(3, "no such activation"), Dense(1)], 2, dtype=np.float64, loss="squared_error")


def test_helpers_that_close_over_values_get_names_of_their_own():
    # See `compiler.helper`. A formula is inlined and leaves no name behind.
    wrong = []
    for module, tree in MODULES.items():
        if within(module, "skneural.backends.cpu") and module != "skneural.backends.cpu.compiler":
            for function in functions_of(tree):
                inner = {getattr(node, "id", None) for statement in function.body for node in ast.walk(statement)}
                wrong += [f"{module}.{function.name}"] * ("register_jitable" in inner)
    assert wrong == [], "they should call helper() instead"


def test_the_package_loads_what_is_asked_for():
    """And type checkers are told of the same names: they do not run `__getattr__`."""
    (checked,) = [node for node in TREES[ROOT / "__init__.py"].body if isinstance(node, ast.If)]
    told = {alias.name for statement in checked.body for alias in statement.names}
    assert told == set(skneural.__all__) - {"warmup"}
    for name in skneural.__all__:
        assert name in dir(skneural)
        assert getattr(skneural, name).__name__.rpartition(".")[2] == name
    assert all(hasattr(skneural, name) for name in skneural._SUBMODULES)
    with pytest.raises(AttributeError, match="module 'skneural' has no attribute 'CNNTransformer'"):
        skneural.CNNTransformer  # noqa: B018
    command = [sys.executable, "-c", "import sys, skneural; sys.exit('sklearn' in sys.modules)"]
    assert subprocess.run(command).returncode == 0
