"""scikit-learn's own tests of its multi-layer perceptrons, run against ours. Nothing is copied."""

import importlib.util
import inspect
from pathlib import Path

import pytest
import sklearn.neural_network

import skneural

pytest.importorskip("sklearn", "1.9", reason="the parameters are those of scikit-learn 1.9, and so are the tests")

# They do not converge, on purpose, without expecting the warning. `pytest.warns` records all the same.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# Tests that read attributes of scikit-learn's classes that are not part of their interface, and what they read. What
# they are about is tested on public attributes in the files named.
PRIVATE = {
    "test_gradient": "_loss_grad_lbfgs, loss and gradient of packed parameters; parity is tested in test_api.py",
    "test_learning_rate_warmstart": "_optimizer.learning_rate; see test_history_of_learning_rates in test_api.py",
    "test_adaptive_learning_rate": "_optimizer.learning_rate; see test_adaptive_learning_rate_falls... in test_api.py",
}


def load_suite():
    """scikit-learn's test module, with our classes under the names that it imports."""
    package = sklearn.neural_network
    path = Path(package.__file__).parent / "tests" / "test_mlp.py"
    # Under a name of its own: should anything import the original, neither sees the other.
    spec = importlib.util.spec_from_file_location("skneural_runs_sklearn_test_mlp", path)
    module = importlib.util.module_from_spec(spec)
    originals = {name: getattr(package, name) for name in ("MLPClassifier", "MLPRegressor")}
    try:
        for name in originals:
            setattr(package, name, getattr(skneural, name))
        spec.loader.exec_module(module)
    finally:
        for name, original in originals.items():
            setattr(package, name, original)
    return module


SUITE = load_suite()
TESTS = {name: test for name, test in vars(SUITE).items() if name.startswith("test_") and inspect.isfunction(test)}

for _name, _test in TESTS.items():
    if _name in PRIVATE:
        # Strict: one that begins to pass must leave the list.
        mark = pytest.mark.xfail(reason=PRIVATE[_name], raises=AttributeError, strict=True)
        _test = mark(_test)
    globals()[_name] = _test


def test_the_suite_ran_against_our_classes():
    assert SUITE.MLPClassifier is skneural.MLPClassifier
    assert SUITE.MLPRegressor is skneural.MLPRegressor
    assert sklearn.neural_network.MLPClassifier.__module__.startswith("sklearn.")
    assert len(TESTS) >= 40  # 42 in scikit-learn 1.9.1
    assert set(PRIVATE) <= set(TESTS)
