"""Versions of what the package stands on: which ones are allowed, and what is different with older ones."""

import importlib.util
import pathlib
import re
import sys
import tomllib

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skneural import MLPClassifier, _compat
from skneural.callbacks import Checkpoint

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def bounds(requirements):
    """Lower bounds of requirements, by name."""
    parts = [re.match(r"([\w-]+)(?:\[.*?\])?>=([\w.]+)", requirement) for requirement in requirements]
    return {part[1]: part[2] for part in parts}


def same_version(one, other):
    """Whether 2.0 and 2.0.0 are the same."""
    return re.sub(r"(\.0)+$", "", one) == re.sub(r"(\.0)+$", "", other)


def test_lowest_versions_are_those_that_are_tested():
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    needed = bounds(PROJECT["dependencies"])
    for name, version in needed.items():
        assert same_version(tested[name], version), name
    others = bounds(PROJECT["optional-dependencies"]["test"])
    for name in set(tested) - set(needed):
        assert same_version(tested[name], others[name]), name


def test_classifiers_begin_with_the_oldest_python():
    oldest = PROJECT["requires-python"].removeprefix(">=")
    versions = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d", c)]
    assert versions[0] == oldest


@pytest.fixture
def without_callbacks(monkeypatch):
    """`skneural._compat` as it is with scikit-learn 1.8."""
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    spec = importlib.util.spec_from_file_location("compat_without_callbacks", _compat.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_estimators_without_callbacks(without_callbacks):
    est = without_callbacks.CallbackSupportMixin()
    with pytest.raises(ImportError, match=r"set_callbacks needs scikit-learn >= 1\.9, this is"):
        est.set_callbacks()


def test_fits_without_callbacks_need_none_of_their_machinery(monkeypatch):
    machinery = {name for base in MLPClassifier.__mro__ for name in vars(base) if "callback" in name}
    for name in machinery:
        monkeypatch.setattr(MLPClassifier, name, None)
    X, y = [[0.0], [1.0]], [0, 1]
    with pytest.warns(ConvergenceWarning):
        est = MLPClassifier((2,), max_iter=2, random_state=0).fit(X, y)
    assert est.partial_fit(X, y).history_["loss"][:2] == est.loss_curve_[:2]
    with pytest.warns(ConvergenceWarning):
        assert MLPClassifier((2,), solver="lbfgs", max_iter=1, random_state=0).fit(X, y).n_iter_ == 1


def test_checkpoint_without_callbacks(without_callbacks, monkeypatch):
    monkeypatch.setattr("skneural.callbacks.require_callbacks", without_callbacks.require_callbacks)
    with pytest.raises(ImportError, match=r"Checkpoint needs scikit-learn >= 1\.9"):
        Checkpoint("fit.skn")


def test_weights_that_are_all_zero(monkeypatch):
    # as scikit-learn's own check was before it refused them
    monkeypatch.setattr(_compat, "_check_sample_weight", lambda weights, X, **options: np.asarray(weights))
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        MLPClassifier().fit([[0.0], [1.0]], [0, 1], sample_weight=[0, 0])
