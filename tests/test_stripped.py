"""Python without docstrings and asserts (``-OO``), and without the metadata of installed packages."""

import importlib.metadata
import subprocess
import sys
import warnings

import numpy as np
import pytest

from skneural import MLPClassifier, save
from skneural.__main__ import info

#: What everybody does, with the data of the others.
HEAD = """
import os, pickle, sys, tempfile, warnings
warnings.simplefilter("ignore")
import numpy as np
import skneural, skneural.callbacks, skneural.inspection, skneural.plotting
from skneural import GRUClassifier, MLPClassifier
from skneural.timeseries import Forecaster
X = np.random.default_rng(3).normal(size=(40, 4))
y = (X[:, 1] > 0).astype(int)
"""
#: A fit, and what is made of it: its kernels are compiled once more, since code without docstrings is other code.
TRAINING = """
clf = MLPClassifier((6,), max_iter=5, random_state=3).fit(X, y)
path = os.path.join(tempfile.mkdtemp(), "clf.safetensors")
skneural.save(clf, path)
gru = GRUClassifier((3,), max_iter=2, random_state=0).fit(X[:, :, None], y)
print(gru.partial_fit(X[:, :, None], y).predict_proba(X[:, :, None]).tolist())
"""
#: A service; what it prints is compared.
SERVICE = """
again = skneural.load(path)
skneural.warmup(again)
print(again.predict_proba(X).tolist(), pickle.loads(pickle.dumps(again)).score(X, y))
print(again.summary(), again, "MLPClassifier" in again._repr_html_())
try:
    MLPClassifier(alpha=-1).fit(X, y)
except ValueError as error:
    print(str(error)[:40])
print("stripped:", MLPClassifier.__doc__ is None)
"""
REPORT = """
from skneural.__main__ import main
main(["info"])
"""


#: The same for this package alone: nobody waits until all others have been compiled once more.
STRIP = """
import importlib.machinery, sys

class Stripped(importlib.machinery.SourceFileLoader):
    def get_code(self, name):
        path = self.get_filename(name)
        return compile(self.get_data(path), path, "exec", dont_inherit=True, optimize=2)

class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if name.partition(".")[0] == "skneural" and spec is not None and spec.has_location:
            spec.loader = Stripped(name, spec.origin)
        return spec

sys.meta_path.insert(0, Finder)
"""


def check(options, head, code, capsys):
    """Run code in a process of its own, and compare what it prints with this one."""
    command = [sys.executable, *options, "-c", head + code + REPORT]
    stripped = subprocess.run(command, capture_output=True, text=True)
    assert stripped.returncode == 0, stripped.stderr
    found, report = stripped.stdout.split("stripped: True\n")
    assert "cache state" in report
    with warnings.catch_warnings():
        exec(code, {})
    expected, _ = capsys.readouterr().out.split("stripped: False\n")
    assert found == expected


def test_without_docstrings(capsys, tmp_path):
    X = np.random.default_rng(3).normal(size=(40, 4))
    path = tmp_path / "clf.safetensors"
    save(MLPClassifier((6,), max_iter=50, n_iter_no_change=2, tol=1.0, random_state=3).fit(X, X[:, 1] > 0), path)
    check([], STRIP, f"path = {str(path)!r}" + HEAD + SERVICE, capsys)


@pytest.mark.slow  # in a fresh environment Python compiles scikit-learn, scipy and Numba once more
def test_without_docstrings_anywhere(capsys):
    check(["-OO"], "", HEAD + TRAINING + SERVICE, capsys)


def test_report_without_metadata(monkeypatch, capsys):
    # As in programs that PyInstaller has packed.
    def unknown(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)
    info()
    report = capsys.readouterr().out
    assert "vectors" in report
    assert "cache folder" in report


def test_no_check_is_an_assert():
    """Asserts are dropped by ``-O``: those that are left are of kernels, and say what cannot be."""
    import ast
    import pathlib

    import skneural

    root = pathlib.Path(skneural.__file__).parent
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    }
    assert all(name.startswith("backends/cuda/") for name in found), found


@pytest.mark.parametrize("registry", ["ACTIVATIONS", "OPTIMIZERS", "LOSSES"])
def test_a_formula_needs_no_docstring(registry):
    from skneural.maths import activations, losses, optimizers

    entries = {"ACTIVATIONS": activations, "OPTIMIZERS": optimizers, "LOSSES": losses}
    registered = getattr(entries[registry], registry)

    def formula():
        pass

    try:
        registered.register("without_words")(formula)
        assert registered["without_words"].summary == ""
    finally:
        registered.pop("without_words", None)
