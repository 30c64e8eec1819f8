"""Python without docstrings and asserts (``-OO``), and without the metadata of installed packages."""

import importlib.metadata
import subprocess
import sys

import pytest

from skneural.__main__ import info

#: What a service does; its output is compared.
SERVICE = """
import os, pickle, sys, tempfile, warnings
warnings.simplefilter("ignore")
import numpy as np
import skneural, skneural.callbacks, skneural.inspection, skneural.plotting
from skneural import GRUClassifier, MLPClassifier
from skneural.timeseries import Forecaster
X = np.random.default_rng(3).normal(size=(40, 4))
y = (X[:, 1] > 0).astype(int)
clf = MLPClassifier((6,), max_iter=5, random_state=3).fit(X, y)
path = os.path.join(tempfile.mkdtemp(), "clf.npz")
skneural.save(clf, path)
again = skneural.load(path)
skneural.warmup(again)
print(again.predict_proba(X).tolist(), pickle.loads(pickle.dumps(clf)).score(X, y))
print(clf.summary(), clf, "MLPClassifier" in clf._repr_html_())
gru = GRUClassifier((3,), max_iter=2, random_state=0).fit(X[:, :, None], y)
print(gru.partial_fit(X[:, :, None], y).predict_proba(X[:, :, None]).tolist())
try:
    MLPClassifier(alpha=-1).fit(X, y)
except ValueError as error:
    print(str(error)[:40])
print("stripped:", MLPClassifier.__doc__ is None)
"""


def run(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


def test_without_docstrings():
    whole, stripped = run("-c", SERVICE), run("-OO", "-c", SERVICE)
    assert whole.returncode == 0, whole.stderr
    assert stripped.returncode == 0, stripped.stderr
    assert stripped.stdout.replace("stripped: True", "stripped: False") == whole.stdout
    assert "stripped: True" in stripped.stdout


def test_report_without_docstrings():
    report = run("-OO", "-m", "skneural", "info")
    assert report.returncode == 0, report.stderr
    assert "cache state" in report.stdout


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
