"""What the documents say is true: examples run, commands exist, tables are complete."""

import doctest
import importlib
import pathlib
import re

import pytest
from sklearn.base import is_classifier, is_regressor

import skneural
from skneural.estimators._targets import REAL_LOSSES
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.network.initializers import INITIALIZERS

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["README.md", "docs/guide.md"])
def test_python_blocks_run(name, capsys):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), flags=re.S)
    assert blocks
    scope = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, name, "exec"), scope)
    assert capsys.readouterr().out


def test_activation_of_contributing_works():
    """The example of how to add one is complete: it trains."""
    block = re.search(
        r"### An activation, complete\n\n```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S
    )[1]
    try:
        exec(block, {"ACTIVATIONS": ACTIVATIONS})
        value, slope = ACTIVATIONS["softsign"].formula(-3.0)
        assert value == -0.75
        assert slope == pytest.approx(1 / 16)
    finally:
        ACTIVATIONS.pop("softsign", None)


PACKAGE = pathlib.Path(skneural.__file__).parent
WITH_EXAMPLES = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text()]


def test_there_are_examples():
    names = {path.stem for path in WITH_EXAMPLES}
    assert {"__init__", "mlp", "persistence", "callbacks", "_training"} <= names


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_docstring_examples(path):
    if "matplotlib" in path.read_text():
        pytest.importorskip("matplotlib").use("agg")
    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0


ESTIMATORS = [cls for name in skneural.__all__ if hasattr(cls := getattr(skneural, name), "get_params")]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_parameter_is_described(estimator):
    described = re.findall(r"^    (\w+) : ", estimator.__doc__.split("    Attributes\n")[0], flags=re.M)
    assert sorted(described) == sorted(estimator().get_params(deep=False))  # each once, and no others
    assert not re.search(r"(?<!\{)\{\w+\}", estimator.__doc__.split("Parameters")[0]), "a mark that nothing filled"
    losses = REAL_LOSSES if is_regressor(estimator()) else ("log_loss", "focal") if is_classifier(estimator()) else ()
    for name in (*ACTIVATIONS, *OPTIMIZERS, *SCHEDULES, *INITIALIZERS, *losses):
        assert repr(name) in estimator.__doc__, name


@pytest.mark.filterwarnings("ignore:The code has:UserWarning")  # more numbers than there are features
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_attribute_is_described(estimator):
    described = set(re.findall(r"^    (\w+_) : ", estimator.__doc__, flags=re.M))
    settings = {"max_iter": 200, "tol": 1.0}
    known = estimator().get_params(deep=False)
    est = estimator(**{name: value for name, value in settings.items() if name in known}).fit(
        [[0.0], [1.0], [2.0]], [0, 1, 0]
    )
    public = {name for name in vars(est) if name.endswith("_") and not name.startswith("_")}
    assert public == described - {"feature_names_in_"}  # of frames
    of_norms = "deviation" if hasattr(est, "recurrent_coefs_") else "variance"
    for name, text in [("history_", "gradient_norm"), ("norms_", of_norms)]:
        assert text in estimator.__doc__.split(f"    {name} : ")[1].split("\n\n")[0]


def test_every_public_name_has_a_docstring():
    for name in skneural.__all__:
        assert getattr(skneural, name).__doc__.strip()
