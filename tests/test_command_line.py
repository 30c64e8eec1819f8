"""``python -m skneural`` and ``python -m skneural info``."""

import importlib.metadata

import pytest

import skneural
from skneural import __main__ as command_line


def test_compare_prints_one_table(capsys, monkeypatch):
    monkeypatch.setattr(command_line, "_datasets", _small)
    assert command_line.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    wine = next(line for line in lines if line.startswith("wine ") and "x 13" in line)
    assert wine.split()[-1].endswith("x")
    assert sum("ours" in line for line in lines) == 1


def _small():
    from sklearn.datasets import load_diabetes, load_wine

    return [
        ("wine", "classifier", load_wine, {"hidden_layer_sizes": (5,), "max_iter": 3}),
        ("diabetes", "regressor", load_diabetes, {"hidden_layer_sizes": (5,), "max_iter": 3}),
    ]


def test_data_sets_are_those_of_scikit_learn():
    names = [name for name, *_ in command_line._datasets()]
    assert {"digits", "breast_cancer", "diabetes"} <= set(names)


def test_info_says_what_a_bug_report_needs(capsys):
    assert command_line.main(["info"]) == 0
    out = capsys.readouterr().out
    assert skneural.__version__ in out
    assert importlib.metadata.version("numba") in out
    for word in ("cores", "vectors", "GPU", "cache folder"):
        assert word in out


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), (["nonsense"], 2)])
def test_usage(arguments, status, capsys):
    assert command_line.main(arguments) == status
    assert "usage" in capsys.readouterr().out
