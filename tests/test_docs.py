"""What the documents say is true: examples run, commands exist, tables are complete."""

import doctest
import importlib
import pathlib
import re

import pytest

import skneural
from skneural.maths.activations import ACTIVATIONS

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


@pytest.mark.parametrize("module", ["skneural", "skneural.estimators.mlp"])
def test_docstring_examples(module):
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("estimator", [skneural.MLPClassifier, skneural.MLPRegressor])
def test_every_parameter_is_described(estimator):
    for name in estimator().get_params():
        assert re.search(rf"^ +{name} : ", estimator.__doc__, flags=re.M), name
    for name in ACTIVATIONS:
        assert repr(name) in estimator.__doc__


def test_every_public_name_has_a_docstring():
    for name in skneural.__all__:
        assert getattr(skneural, name).__doc__.strip()
