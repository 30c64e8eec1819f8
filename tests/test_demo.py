"""The demo of ``python -m skneural``: it compiles what it uses, and fits are timed without."""

from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from skneural import __main__ as command_line
from skneural.backends.cpu import catalogue, compiler

SETTINGS = {"hidden_layer_sizes": (5,), "max_iter": 3}
SMALL = [
    ("wine", "classifier", load_wine, SETTINGS),
    ("cancer", "classifier", load_breast_cancer, SETTINGS),
    ("diabetes", "regressor", load_diabetes, SETTINGS),
]


def test_kernels_are_compiled_before_the_fits_and_only_those_in_use(monkeypatch, capsys):
    asked, before = [], []
    compile_kernel, run = compiler.compile_kernel, command_line._run
    monkeypatch.setattr(compiler, "_KERNELS", {})  # as if nothing were ready
    monkeypatch.setattr(catalogue, "_found", {})
    monkeypatch.setattr(
        compiler, "compile_kernel", lambda name, *rest: asked.append(name) or compile_kernel(name, *rest)
    )
    monkeypatch.setattr(command_line, "_datasets", lambda: SMALL)
    monkeypatch.setattr(command_line, "_run", lambda *rest: before.append(len(asked)) or run(*rest))
    command_line.compare()
    for i in range(len(SMALL)):
        _, theirs, ours = before[3 * i : 3 * i + 3]  # after a short fit that compiles
        after = before[3 * i + 3] if i + 1 < len(SMALL) else len(asked)
        assert theirs == ours == after
    assert 10 < len(asked) < 25  # of more than 80 in this precision
    assert not [name for name in asked if "float32" in name or "recurrent" in name]
    lines = capsys.readouterr().out.splitlines()
    for name, *_ in SMALL:
        assert len([line for line in lines if line.startswith(name)]) == 1
