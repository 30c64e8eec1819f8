"""What is compiled, when, and where it is kept; tests of the cache are processes with folders of their own."""

import ast
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys

import llvmlite.binding as llvm
import numpy as np
import pytest
from matrices import product_of

import skneural
from skneural.backends.base import OptimizerState
from skneural.backends.cpu import build, simd
from skneural.backends.cpu.compiler import compiled_kernels
from skneural.backends.cpu.engine import Predictor, Trainer
from skneural.layers import Dense
from skneural.network.initializers import initialize
from skneural.network.memory import aligned_zeros, padded
from skneural.network.program import lower

PACKAGE = pathlib.Path(skneural.__file__).parent

#: At the head of every script: `passes` counts what Numba's compiler does, `report` sends a result to the test.
HEAD = """
import json, sys, warnings
import numpy as np

def report(**results):
    print(json.dumps(results))

class Passes:
    def __enter__(self):
        from numba.core import event
        self.installed = event.install_recorder("numba:run_pass")
        self.recorder = self.installed.__enter__()
        return self
    def __exit__(self, *exception):
        self.installed.__exit__(*exception)
        self.count = len(self.recorder.buffer)

def fit(hidden=(10,), n_features=5, n_rows=50, **settings):
    from skneural import MLPClassifier
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_features)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    settings = {"activation": "relu", "max_iter": 5, "random_state": 0, "tol": 0.0, "n_jobs": 1} | settings
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Stochastic Optimizer")
        clf = MLPClassifier(hidden, **settings).fit(X, y)
    clf.predict_proba(X)
    return clf.loss_curve_
"""


def start(script, environment, package=None):
    """Start Python on a script; `package` is a folder with a copy of skneural to be used instead of this one."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "SKNEURAL_", "COV_"))}
    environment = inherited | {k: str(v) for k, v in environment.items()}
    if package is not None:
        environment["PYTHONPATH"] = str(package)
    return subprocess.Popen(
        [sys.executable, "-P", "-c", HEAD + script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """What the script reported."""
    out, errors = process.communicate(timeout=1200)  # only so that a deadlock is a failure
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


def run(script, environment, package=None):
    return finish(start(script, environment, package))


def copy_of_package(folder):
    shutil.copytree(PACKAGE, folder / "skneural", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


# -- the cache ---------------------------------------------------------------------------------------------------------

ACTIVATION = """
from skneural.backends.cpu.layers.activation import make_activation
from skneural.backends.cpu.compiler import cache_state, compiled_kernels, kernel
from skneural.maths.activations import ACTIVATIONS
import skneural

def value(name):
    z = np.array([-2.0])
    kernel(make_activation, np.float64, ACTIVATIONS[name]).ctypes(z.ctypes.data, 0, 1)
    return z[0]
"""
WATCHED = """
with warnings.catch_warnings(record=True) as caught, Passes() as passes:
    warnings.simplefilter("always")
    results = WORK
from skneural.backends.cpu.compiler import cache_state, compiled_kernels
messages = [[w.category.__name__, str(w.message)] for w in caught]
report(results=results, kernels=compiled_kernels(), passes=passes.count, messages=messages, state=cache_state())
"""
#: Scripts that need kernels, few or all those of a fit, and some of these.
NEEDING = {
    "two kernels": (
        ACTIVATION + WATCHED.replace("WORK", "[value('leaky_relu'), value('hard_tanh')]"),
        {"activation_float64_leaky_relu", "activation_float64_hard_tanh"},
    ),
    "fit": (
        WATCHED.replace("WORK", "fit()"), {"product_float32", "activation_float32_relu", "train_float32"}
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=["two kernels", pytest.param("fit", marks=pytest.mark.slow)])
def cold(request, tmp_path_factory):
    """A process that fills the empty cache folder `filled`, and one that finds no folder; both at a time.

    Numba looks for a folder in NUMBA_CACHE_DIR, beside the source and in the user's home. For the second none can be
    made, because its place is below a file or taken by one: that holds for root too, unlike permissions.
    """
    folder = tmp_path_factory.mktemp("cache")
    package = copy_of_package(tmp_path_factory.mktemp("package"))
    blocked = package / "file"
    blocked.write_text("")
    for part in [package / "skneural", *(package / "skneural").rglob("*/")]:
        if part.is_dir():
            (part / "__pycache__").write_text("")
    homeless = {
        "NUMBA_CACHE_DIR": blocked / "cache",
        "HOME": blocked / "home",
        "XDG_CACHE_HOME": blocked / "xdg",
        "PYTHONDONTWRITEBYTECODE": 1,
    }
    script, names = NEEDING[request.param]
    processes = {"filled": start(script, {"NUMBA_CACHE_DIR": folder}), "homeless": start(script, homeless, package)}
    results = {name: finish(process) for name, process in processes.items()}
    return {"folder": folder, "script": script, "names": names, **results}


def test_first_process_compiles(cold):
    first = cold["filled"]
    assert first["passes"] > 0
    assert not any(first["kernels"].values())
    assert cold["names"] <= set(first["kernels"])
    assert first["messages"] == []
    assert first["state"][0].startswith(str(cold["folder"]))
    assert first["state"][1] is True


def test_no_folder_for_the_cache_means_one_warning(cold):
    result = cold["homeless"]
    ((category, message),) = result["messages"]  # one, for all the kernels
    assert category == "RuntimeWarning"
    assert "NUMBA_CACHE_DIR" in message
    assert result["results"] == cold["filled"]["results"]
    assert set(result["kernels"]) == set(cold["filled"]["kernels"])
    assert not any(result["kernels"].values())
    assert result["state"] == [None, False, 0, 0]


def test_second_process_compiles_nothing(cold):
    first, second = cold["filled"], run(cold["script"], {"NUMBA_CACHE_DIR": cold["folder"]})
    assert second["passes"] == 0
    assert set(second["kernels"]) == set(first["kernels"])
    assert all(second["kernels"].values()), second["kernels"]
    assert second["results"] == first["results"]


def test_new_architecture_compiles_nothing():
    # With the folder that users have: there the kernels are compiled once.
    result = run(
        """
        from skneural.backends.cpu.compiler import compiled_kernels
        fit()
        before = set(compiled_kernels())
        with Passes() as passes:
            for hidden in ((3,), (10, 10), (64, 32, 16, 8, 4), (600, 1)):
                fit(hidden, n_features=7 + len(hidden))
            fit((), alpha=0.0, shuffle=False)
            fit(batch_size=7, n_rows=130, alpha=0.1, beta_1=0.5, early_stopping=True)
        same = set(compiled_kernels())
        fit(activation="tanh")
        added = set(compiled_kernels()) - same
        report(passes=passes.count, new=sorted(same - before), added=sorted(added))
        """.replace("\n        ", "\n"),
        {},
    )
    assert result["passes"] == 0
    assert result["new"] == []
    # A new activation is one kernel, not one for every network that uses it.
    assert result["added"] == ["activation_float32_tanh"]


@pytest.mark.slow  # three processes that compile; digests of edited sources are looked at in every run
def test_edited_formulas_are_compiled_again(tmp_path):
    # One formula of the package and one of a user, in files other than the kernel's, which is all that Numba looks at.
    package = copy_of_package(tmp_path)
    ours, theirs = tmp_path / "skneural" / "maths" / "activations.py", tmp_path / "theirs.py"
    theirs.write_text(
        "from skneural.maths.activations import ACTIVATIONS\n\n\n"
        '@ACTIVATIONS.register("theirs")\n'
        "def theirs(z):\n    return z * type(z)(2), type(z)(2)\n\n\n"
        "SLOPE = 4\n\n\n"
        '@ACTIVATIONS.register("by_name")\n'
        "def by_name(z):\n    return z * type(z)(SLOPE), type(z)(SLOPE)\n"
    )
    script = ACTIVATION + (
        "import theirs\n"
        "values = [value(name) for name in ('leaky_relu', 'theirs', 'by_name')]\n"
        "report(values=values, hits=list(compiled_kernels().values()), package=skneural.__file__)"
    )
    environment = {"NUMBA_CACHE_DIR": tmp_path / "cache", "PYTHONDONTWRITEBYTECODE": 1}
    first = run(script, environment, package)
    assert first["package"] == str(tmp_path / "skneural" / "__init__.py")
    assert first["values"] == [-0.02, -4.0, -8.0]

    def edit(path, old, new):
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    edit(theirs, "type(z)(2)", "type(z)(3)")
    edit(theirs, "SLOPE = 4", "SLOPE = 5")  # a number that the formula knows by name
    by_user = run(script, environment, package)
    edit(ours, "type(z)(0.01)", "type(z)(0.03)")
    by_us = run(script, environment, package)
    assert by_user["values"] == [-0.02, -6.0, -10.0]
    assert by_user["hits"] == [True, False, False]
    assert by_us["values"] == [-0.06, -6.0, -10.0]
    assert by_us["hits"] == [False] * 3


def makes_code(path):
    """Whether a file has what becomes a part of kernels."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if not isinstance(node, ast.alias)]
    words = {getattr(node, "id", getattr(node, "attr", getattr(node, "name", ""))) for node in nodes}
    makers = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("make_")]
    return makers or words & {"register_jitable", "intrinsic", "overload", "cfunc", "register", "InstructionSet"}


def test_edit_of_any_source_of_kernels_changes_the_digest(tmp_path):
    # Of all backends in one process: it takes longer to start than to do this.
    backends = ["cpu", "cuda"] if importlib.util.find_spec("numba_cuda") else ["cpu"]
    package = copy_of_package(tmp_path)
    shared = sorted((tmp_path / "skneural" / "maths").glob("*.py"))
    others = ("network/operations.py", "backends/records.py", "backends/gates.py")
    shared += [tmp_path / "skneural" / name for name in others]
    files = {name: [*shared, *sorted((tmp_path / "skneural" / "backends" / name).rglob("*.py"))] for name in backends}
    names = {backend: [str(path) for path in paths] for backend, paths in files.items()}
    changed = run(
        f"""
import importlib, pathlib
changed = {{}}
for backend, names in {names!r}.items():
    module = {{"cpu": "library", "cuda": "compiler"}}[backend]
    digest = importlib.import_module(f"skneural.backends.{{backend}}.{{module}}").digest
    changed[backend] = {{}}
    before = digest()
    for name in names:
        path = pathlib.Path(name)
        path.write_text(path.read_text() + "# edited")
        after = digest()
        changed[backend][name] = after != before
        before = after
report(**changed)
""",
        {"PYTHONDONTWRITEBYTECODE": 1},
        package,
    )
    for backend, paths in files.items():
        for path in paths:
            assert changed[backend][str(path)] or not makes_code(path), (backend, path.name)
        assert sum(changed[backend].values()) > 10


# -- before the first fit ----------------------------------------------------------------------------------------------


def test_import_loads_no_compiler():
    result = run(
        """
import os
import skneural
from sklearn.base import clone
clf = clone(skneural.MLPClassifier(dropout=0.5)).set_params(alpha=0.1)
repr(clf), clf.get_params(), skneural.MLPRegressor().__sklearn_tags__()
loaded = sorted({name.partition(".")[0] for name in sys.modules})
os.environ["SKNEURAL_SIMD"] = "sse9"  # so even this is still open
try:
    fit()
except ValueError as error:
    report(loaded=loaded, error=str(error))
""",
        {},
    )
    assert "sklearn" in result["loaded"]
    assert not set(result["loaded"]) & {"numba", "llvmlite", "cuda", "torch", "jax", "matplotlib"}
    assert result["error"].startswith("SKNEURAL_SIMD must be one of")


def test_warmup_leaves_nothing_to_compile():
    # With the folder that users have: it needs all kernels, and there they are compiled once.
    result = run(
        """
import skneural
ready = skneural.warmup(["float32"])
from skneural.backends.cpu.compiler import compiled_kernels
before = set(compiled_kernels())
with Passes() as passes:
    from skneural.maths.activations import ACTIVATIONS
    from skneural.backends.cpu import engine, pool
    from skneural.estimators import _threads
    engine._WORTH_A_THREAD = 0.0
    pool.Pace.choose = lambda self, seconds: (max(self.sizes), 1000)
    _threads.n_threads = lambda n_jobs: 2
    for name in ACTIVATIONS:
        fit(activation=name, dropout=0.1)
    from skneural.maths.optimizers import OPTIMIZERS
    for name in OPTIMIZERS:
        fit(solver=name, early_stopping=True)
    fit(solver="lbfgs")
    fit((6, 6), normalization="batch", residual=True, input_noise=0.1, monitor_gradients=True)
    fit((6, 6), normalization="layer", clip_norm=1.0, max_norm=1.0, l1_ratio=0.5)
    from scipy import sparse
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(50, 5)).astype(np.float32), rng.integers(0, 3, size=(50, 2)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in (X, sparse.csr_array(X)):
            for loss in ("squared_error", "absolute_error", "huber", "log_cosh", "quantile", "poisson", "gamma"):
                z = y + 1
                skneural.MLPRegressor(loss, max_iter=2).fit(data, z, X_val=data, y_val=z).predict(data)
            for loss in ("log_loss", "focal"):
                for labels in (y[:, 0] > 0, y > 0, y[:, 0]):
                    skneural.MLPClassifier(max_iter=2, loss=loss).fit(data, labels.astype(int)).predict(data)
report(ready=ready, before=len(before), passes=passes.count, new=sorted(set(compiled_kernels()) - before))
""",
        {},
    )
    assert result["ready"] == result["before"]
    assert result["new"] == []
    assert result["passes"] == 0


def test_kernels_have_names_of_their_own():
    # The linker picks by name: two kernels of one name, and one of them is run in the place of the other.
    skneural.warmup(["float32", "float64"])
    names = compiled_kernels()
    for kind in ("train", "product", "activation", "dense_forward"):
        for dtype in ("float32", "float64"):
            assert any(name.startswith(f"{kind}_{dtype}") for name in names), (kind, dtype)


CELL = """
import numba
from skneural.backends.cpu import binding  # with all that a kernel may call
from skneural.backends.cpu.compiler import kernel
from skneural.backends.cpu.layers.recurrent import make_recurrent_forward
from skneural.maths.cells import CELLS

numba.config.CACHE_DIR = FOLDER
for dtype in DTYPES:
    kernel(make_recurrent_forward, np.dtype(dtype).type, CELLS["rnn"])
numba.config.CACHE_DIR = ""  # the others come from the folder that users have

from skneural.backends.cpu.engine import Predictor
from skneural.network.initializers import initialize
from skneural.layers import Dense, GlobalPool, Recurrent
from skneural.backends.inputs import Sequences
from skneural.network.program import lower

layers = [Recurrent("rnn", 5), GlobalPool("last"), Dense(1)]
X = np.random.default_rng(0).normal(size=(20, 4, 2))
predicted = {}
for dtype in DTYPES:
    program = lower(layers, 2, dtype=np.dtype(dtype), loss="squared_error", n_timesteps=4)
    predict = Predictor(program.variant(training=False), initialize(program, 0))
    predicted[dtype] = predict(Sequences(X.astype(dtype), None))[0].astype(float).tolist()
report(**predicted)
"""

FITTED = """
import numba, warnings
import skneural
numba.config.CACHE_DIR = FOLDER
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(20, 4, 2))
predicted = {}
for dtype in DTYPES:
    reg = skneural.RNNRegressor((5,), max_iter=2, random_state=0, dtype=dtype).fit(X, X[:, 0, 0])
    predicted[dtype] = reg.predict(X).astype(float).tolist()
report(**predicted)
"""


@pytest.mark.slow  # by default test_architecture.py looks whether helpers get names of their own
@pytest.mark.parametrize("script", [CELL, FITTED], ids=["one kernel", "all of a fit"])
def test_kernels_of_several_processes_do_not_share_helpers(tmp_path, script):
    # With the same seed of hashes two processes count and name the functions that they compile alike.
    def predicted(*dtypes):
        filled_in = script.replace("DTYPES", repr(dtypes)).replace("FOLDER", repr(str(tmp_path)))
        return run(filled_in, {"PYTHONHASHSEED": "0"})

    alone = predicted("float64") | predicted("float32")
    assert predicted("float64", "float32") == alone  # of two functions of one name, the first one would serve both


# -- instruction sets --------------------------------------------------------------------------------------------------

HERE = """
sys.path.insert(0, TESTS)
from test_compilation import multiply, train_networks
from skneural.backends.cpu.simd import INSTRUCTION_SET
report(simd=INSTRUCTION_SET.name, **WORK())
"""
#: Rows, columns and depth of products: narrow and wide tiles and what is left of them, one row, and wide padding.
SHAPES = [(1, 300, 33), (2, 17, 5), (7, 33, 1), (125, 100, 19), (100, 600, 7), (30, 1024, 9)]


def multiply():
    """Products of matrices; and whether rows keep their bits alone, and where the transpose is what is stored."""
    results, alone = {}, []
    for dtype in (np.float32, np.float64):
        for n_rows, n_columns, depth in SHAPES:
            rng, ld = np.random.default_rng(0), padded(n_columns, dtype)
            a = rng.normal(size=(n_rows, depth)).astype(dtype)
            b = aligned_zeros(depth * ld, dtype).reshape(depth, ld)
            b[:, :n_columns] = rng.normal(size=(depth, n_columns))
            bias = aligned_zeros(ld, dtype)
            bias[:n_columns] = rng.normal(size=n_columns)
            whole = product_of(a, b, bias, n_columns, scale=2.0)
            for i in range(n_rows):
                row = product_of(a[i : i + 1], b, bias, n_columns, scale=2.0)[0]
                alone.append(np.array_equal(row, whole[i]))
            alone.append(np.array_equal(product_of(np.asfortranarray(a), b, bias, n_columns, scale=2.0), whole))
            alone.append(np.array_equal(product_of(a, b, bias, n_columns, scale=2.0, panels=True), whole))
            alone.append(not whole[:, n_columns:].any())
            results[f"{np.dtype(dtype).name} {n_rows} x {n_columns} x {depth}"] = whole[:, :n_columns].ravel().tolist()
    return {"results": results, "alone": alone}


def train_networks():
    """Parameters and outputs of some small networks after 21 steps; and whether rows keep their bits alone."""
    results, alone = {}, []
    for dtype in (np.float32, np.float64):
        for widths in ((33, 17), (100, 1), (300, 7)):
            rng = np.random.default_rng(0)
            X, y = rng.normal(size=(125, 19)).astype(dtype), rng.normal(size=(125, 5)).astype(dtype)
            layers = [Dense(widths[0], "tanh"), Dense(widths[1], "tanh"), Dense(5)]
            program = lower(layers, 19, dtype=dtype, loss="squared_error")
            params = initialize(program, 0)
            trainer = Trainer(program, params, X, y, None, alpha=0.1, seed=0, n_threads=1)
            state = OptimizerState.fresh(program)
            trainer.start("sgd", (0.9, 1.0), state, batch=50, shuffle=True, tol=0.0, patience=np.inf)
            trainer.run_epochs(np.full(7, 0.01), np.inf, 0)
            trainer.close()
            predict = Predictor(program, params)
            outputs = predict(X)[0]
            alone.append(all((predict(X[i : i + 1])[0] == outputs[i]).all() for i in range(125)))
            name = f"{np.dtype(dtype).name} {widths}"
            results[name] = params[program.learnt_index()].tolist() + outputs.ravel().tolist()
    return {"results": results, "alone": alone}


FORCED = {
    "avx2": {"SKNEURAL_SIMD": "avx2"},
    "neon": {"SKNEURAL_SIMD": "neon"},
    "generic": {"SKNEURAL_SIMD": "generic"},
    "generic processor": {"NUMBA_CPU_NAME": "generic"},  # no vectors but what every machine of the kind has
}


#: Vectors that are not this processor's own, if it is one with the widest; each case compiles for seconds.
QUICK = [(multiply, "avx2")] if simd.INSTRUCTION_SET.name == "avx512" else []


@pytest.mark.parametrize(
    ("work", "name"),
    [
        pytest.param(work, name, marks=() if (work, name) in QUICK else pytest.mark.slow)
        for work in (multiply, train_networks)
        for name in FORCED
    ],
)
def test_instruction_sets_agree(kept, work, name):
    # Each has a folder of its own: Numba has one file for all kernels of a name, which two processes that compile
    # different ones must not write at once.
    folder = kept(f"kernels-{name.replace(' ', '-')}")
    script = HERE.replace("TESTS", repr(str(pathlib.Path(__file__).parent))).replace("WORK", work.__name__)
    result = run(script, {**FORCED[name], "NUMBA_CACHE_DIR": folder})
    assert result["simd"] == name.split()[0]
    assert all(result["alone"]), "a row has the same bits alone or in a batch"
    for case, numbers in work()["results"].items():
        # Rounding differs (fused or not), and 21 steps amplify it: some hundred units in the last place.
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if "float32" in case else {"rtol": 1e-12, "atol": 1e-13}
        np.testing.assert_allclose(result["results"][case], numbers, **tolerance, err_msg=case)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx512f", "avx512vl", "avx2", "fma"}, "avx512"),
        ({"avx512f", "avx2", "fma"}, "avx2"),
        ({"avx2", "fma", "sse2"}, "avx2"),
        ({"avx2", "sse2"}, "generic"),
        ({"neon", "fp-armv8"}, "neon"),
        (set(), "generic"),
    ],
)
def test_instruction_set_follows_the_host(monkeypatch, features, expected):
    monkeypatch.delenv("SKNEURAL_SIMD", raising=False)
    monkeypatch.setattr(simd, "host_features", lambda: features)
    assert simd.choose().name == expected


def test_features_are_those_that_numba_compiles_for(monkeypatch):
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    assert simd.host_features() == set()
    monkeypatch.setenv("NUMBA_CPU_NAME", "skylake")
    monkeypatch.setenv("NUMBA_CPU_FEATURES", "+avx2,-avx512f,+fma")
    assert simd.host_features() == {"avx2", "fma"}


def test_features_are_called_what_llvm_calls_them(monkeypatch):
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"):
        monkeypatch.delenv(name, raising=False)
    theirs = {name for name, is_there in llvm.get_host_cpu_features().items() if is_there}
    asked = {feature for _, features in build.PROCESSORS.values() for feature in features}
    assert simd.host_features() & asked == theirs & asked


@pytest.mark.parametrize("instructions", simd.INSTRUCTION_SETS.values(), ids=lambda i: i.name)
def test_tiles_fit_the_registers(instructions):
    registers = {64: 32, 32: 16, 16: 32 if instructions.fused else 16}[instructions.vector_bytes]
    assert instructions.rows[0] * instructions.wide + instructions.wide + 1 <= registers
    assert list(instructions.rows) == sorted(instructions.rows, reverse=True)
    assert instructions.rows[-1] == 1
    assert 64 % (instructions.narrow * instructions.vector_bytes) == 0  # what rows are padded to


def test_unknown_instruction_set_is_refused(monkeypatch):
    monkeypatch.setenv("SKNEURAL_SIMD", "sse9")
    with pytest.raises(
        ValueError, match=r"SKNEURAL_SIMD must be one of \['avx2', 'avx512', 'generic', 'neon'\], got 'sse9'"
    ):
        simd.choose()
