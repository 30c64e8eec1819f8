"""The demo of ``python -m skneural``: it compiles what it uses, and fits are timed without."""

import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from skneural import __main__ as command_line
from skneural.backends.cpu import compiler

SMALL = [
    ("wine", "classifier", load_wine, {"hidden_layer_sizes": (5,), "max_iter": 3}),
    ("cancer", "classifier", load_breast_cancer, {"hidden_layer_sizes": (5,), "max_iter": 3}),
    ("diabetes", "regressor", load_diabetes, {"hidden_layer_sizes": (5,), "max_iter": 3}),
]


@pytest.fixture
def asked(monkeypatch):
    """Kernels that are asked for: their names, as when none were ready."""
    names = []
    found = compiler.compile_kernel

    def note(name, *args, **options):
        names.append(name)
        return found(name, *args, **options)

    monkeypatch.setattr(compiler, "_KERNELS", {})
    monkeypatch.setattr(compiler, "compile_kernel", note)
    monkeypatch.setattr(command_line, "_datasets", lambda: SMALL)
    return names


def test_only_what_the_comparison_uses_is_compiled_and_before_the_fits(asked, monkeypatch, capsys):
    before = []
    run = command_line._run
    monkeypatch.setattr(command_line, "_run", lambda *args: before.append(len(asked)) or run(*args))
    command_line.compare()
    assert before == [len(asked)] * 2 * len(SMALL)
    assert 10 < len(asked) < 25
    assert not [name for name in asked if "float32" in name or "recurrent" in name]


def test_every_wait_is_announced(asked, capsys):
    command_line.compare()
    lines = capsys.readouterr().out.splitlines()
    for name, *_ in SMALL:
        waits = [line.split(" ...")[0] for line in lines if line.startswith(f"{name}: ")]
        assert waits == [f"{name}: kernels", f"{name}: fit of scikit-learn", f"{name}: fit of skneural"]
