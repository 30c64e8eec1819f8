"""Libraries of kernels: what is taken from one, when it is not used, and that it takes no compiler."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from skneural.backends.cpu import build, library, simd

NAME = simd.INSTRUCTION_SET.name
#: Kernels of a small regression; the activation tanh is left out.
KERNELS = [
    "activation_float64_relu", "dense_backward_float64", "dense_forward_float64", "input_forward_float64",
    "lay_out_float64", "loss_forward_float64_squared_error", "optimizer_float64_adam",
    "output_forward_float64_identity", "predict", "product_float64", "run_first", "run_worker", "train_float64",
    "update_float64_False",
]  # fmt: skip

if not build.is_possible() or NAME not in build.PROCESSORS or shutil.which(os.environ.get("CC", "cc")) is None:
    pytest.skip("libraries are made on x86-64 under Linux, with a linker", allow_module_level=True)

#: A fit that says what it came to, and what was loaded for it.
SCRIPT = """
import json, sys, tempfile, warnings
import numpy as np
BEFORE
import skneural
rng = np.random.default_rng(0)
X = rng.normal(size=(300, 5))
y = X[:, 0] - X[:, 1] ** 2
caught = []
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    reg = skneural.MLPRegressor(hidden_layer_sizes=(9, 7), activation=FUNCTION, max_iter=3, random_state=0, n_jobs=2)
    outputs = reg.fit(X, y).predict(X)
with tempfile.TemporaryDirectory() as folder:
    skneural.save(reg, folder + "/model")
    again = skneural.load(folder + "/model").predict(X)
assert (again == outputs).all()
from skneural.backends.cpu import library
messages = [str(w.message) for w in caught if w.category is RuntimeWarning]
result = {"outputs": outputs.tolist(), "numba": "numba" in sys.modules, "messages": messages, "why": library.find()[1]}
print(json.dumps(result))
"""
WITHOUT_NUMBA = "sys.modules['numba'] = sys.modules['llvmlite'] = None  # so that an import raises"


def run(folder, *, before="", activation="relu", **environment):
    """What the script reports, with the library in a folder."""
    script = SCRIPT.replace("BEFORE", before).replace("FUNCTION", repr(activation))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SKNEURAL_")}
    environment = {**inherited, "SKNEURAL_LIBRARY": str(folder), **environment}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def library_of(kept, tmp_path_factory):
    """A function that gives a folder with a library of some kernels for an instruction set; until sources change."""

    def folder_of(name):
        folder = kept(f"library-{name}")
        index = folder / f"{name}.json"
        if not index.exists() or json.loads(index.read_text())["digest"] != library.digest(name):
            fresh = tmp_path_factory.mktemp("library")
            build.build(name, fresh, only=KERNELS)
            for file in (fresh / f"{name}.so", fresh / f"{name}.json"):  # another process may do the same
                os.replace(shutil.copy(file, folder / f"{file.name}.{os.getpid()}"), folder / file.name)
        return folder

    return folder_of


@pytest.fixture(scope="session")
def made(library_of):
    """The same for this processor."""
    return library_of(NAME)


@pytest.fixture
def folder(made, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def compiled():
    """What the script comes to with kernels that are compiled, or come from Numba's cache."""
    return run("")


@pytest.fixture
def why(monkeypatch):
    """A function that looks for a library in a folder, in this process: what is said of it."""

    def look(folder):
        monkeypatch.setenv("SKNEURAL_LIBRARY", str(folder))
        return library.find.__wrapped__()[1]

    return look


def change_index(folder, **values):
    path = folder / f"{NAME}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_no_compiler_is_needed(made, compiled):
    found = run(made, before=WITHOUT_NUMBA)
    assert not found["messages"]
    assert found["why"].startswith(NAME)
    assert compiled["numba"]
    assert found["outputs"] == compiled["outputs"], "the same bits"


def test_no_compiler_is_loaded(made):
    assert not run(made)["numba"]


def test_library_for_any_processor(library_of, compiled):
    found = run(library_of("generic"), before=WITHOUT_NUMBA, SKNEURAL_SIMD="generic")
    assert found["why"].startswith("generic")
    np.testing.assert_allclose(found["outputs"], compiled["outputs"], rtol=1e-9)


def test_what_a_library_lacks_is_compiled(made):
    found = run(made, activation="tanh")
    assert found["numba"]
    assert found["outputs"] == run("", activation="tanh")["outputs"]


HALF = """
import dataclasses
from skneural.maths.activations import ACTIVATIONS
def half(z):
    return z / 2, type(z)(0.5)
"""
#: What users may put in the place of something built in.
OWN = {
    "formula": HALF + """
del ACTIVATIONS["relu"]
ACTIVATIONS.register("relu")(half)
""",
    "changed entry": HALF + """
ACTIVATIONS["relu"] = dataclasses.replace(ACTIVATIONS["relu"], formula=half)
""",
    "kernel": """
from skneural.backends.cpu.catalogue import of_layers
from skneural.kernels import DIGEST, LAYER_KERNEL, frame_at, layer_kernel, op_at, row_at, vector
of_layers()
@layer_kernel("dense", "forward")
def make_ones_forward(dtype):
    digest = DIGEST
    size = dtype().itemsize
    one = dtype(1)
    def ones_forward(op_address, frame_address, first, last):
        digest
        op = op_at(op_address)
        f = frame_at(frame_address)
        for r in range(first, last):
            y = vector(row_at(f, op.y, op.ld_out, 0, r, size), dtype)
            for j in range(op.n_out):
                y[j] = one
    return LAYER_KERNEL, ones_forward
""",
    "maker of a name that is taken": """
from skneural.backends.cpu.registry import KERNELS
def make_input_forward(dtype):
    raise AssertionError("not this one")
KERNELS["other"] = {"forward": (make_input_forward, (), None)}
""",
}  # fmt: skip


@pytest.mark.parametrize("own", OWN)
def test_what_users_put_in_place_of_something_is_used(made, compiled, own):
    found = run(made, before=OWN[own])
    assert (found["outputs"] == compiled["outputs"]) == (own == "maker of a name that is taken")


def test_another_version_of_the_sources_is_not_used(folder, compiled):
    change_index(folder, digest="0123456789abcdef")
    found = run(folder)
    assert found["why"] == "it was made of other sources"
    assert not found["messages"]
    assert found["outputs"] == compiled["outputs"]


def test_another_processor_does_not_use_it(folder, why):
    change_index(folder, features=["avx2", "avx1024"])
    assert why(folder) == "it needs avx1024"


INDICES = {
    "empty index": "",
    "index of something else": "{}",
    "not an index": "[1]",
}


@pytest.mark.parametrize(
    "damage", ["truncated", "changed", *INDICES, "index without a version", "index without layers"]
)
def test_damage_is_seen(folder, why, damage):
    code = folder / f"{NAME}.so"
    index = folder / f"{NAME}.json"
    contents = code.read_bytes()
    if damage == "truncated":
        code.write_bytes(contents[: len(contents) // 2])
    elif damage == "changed":
        code.write_bytes(contents[:-1] + bytes([contents[-1] ^ 1]))
    elif damage in INDICES:
        index.write_text(INDICES[damage])
    elif damage == "index without a version":
        contents = json.loads(index.read_text())
        del contents["numba"]
        index.write_text(json.dumps(contents))
    else:
        change_index(folder, layers=3)
    with pytest.warns(RuntimeWarning, match="The library of compiled kernels (is damaged|cannot be read)"):
        assert why(folder) in ("it is damaged", "it cannot be read")


def test_damage_is_said_once_and_kernels_are_compiled(folder, compiled):
    (folder / f"{NAME}.so").write_bytes(b"something else")
    found = run(folder)
    assert len(found["messages"]) == 1
    assert found["outputs"] == compiled["outputs"]


def test_relative_folder(made, why, monkeypatch):
    monkeypatch.chdir(made)
    assert why(".").startswith(NAME)


def test_machine_that_lists_no_features(monkeypatch, tmp_path):
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    monkeypatch.delenv("NUMBA_CPU_FEATURES", raising=False)
    listed = simd.host_features()
    monkeypatch.setattr(simd, "_features_that_linux_lists", set)
    asked = {feature for _, features in build.PROCESSORS.values() for feature in features}
    assert simd.host_features() & asked == listed & asked


def test_without_a_library(tmp_path, why):
    assert why(tmp_path) == f"this installation has none for {NAME}"
    assert why("") == "switched off by SKNEURAL_LIBRARY"


def test_old_systems_have_what_it_needs(made):
    code = (made / f"{NAME}.so").read_bytes()
    assert re.findall(rb"GLIBC_(\d+)\.(\d+)", code)  # `build` looks at their versions
    assert not re.findall(rb"Py[A-Z]\w+|numba_\w+", code)


def test_kernels_that_many_names_stand_for(made):
    index = json.loads((made / f"{NAME}.json").read_text())
    assert index["layers"]["dense"]["update"] == ["update", [False], None]
    assert index["layers"]["recurrent"]["forward"] == ["recurrent_forward", [], "cell"]
    assert index["digest"] == library.DIGEST


def test_unknown_kernel_is_not_found(made, monkeypatch):
    monkeypatch.setenv("SKNEURAL_LIBRARY", str(made))
    found, _ = library.find.__wrapped__()
    assert found.address("no_such_kernel") == 0
    assert found.address("predict") != 0


@pytest.mark.slow
def test_what_users_rely_on_with_all_kernels(tmp_path):
    build.build(NAME, tmp_path)
    file = pathlib.Path(__file__).parent / "test_essentials.py"
    environment = {**os.environ, "SKNEURAL_LIBRARY": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "cache").exists(), "nothing is compiled"
