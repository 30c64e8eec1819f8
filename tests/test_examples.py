"""The examples run without a screen, say something, warn of nothing, and leave the pictures that they name."""

import pathlib
import re
import runpy
import struct
import sys

import pytest

plt = pytest.importorskip("matplotlib.pyplot")

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path for path in EXAMPLES.glob("*.py") if not path.name.startswith("_"))
README = (EXAMPLES / "README.md").read_text()
#: What is run by default; all others belong to `-m pictures`.
QUICK = ("iris",)


@pytest.mark.parametrize(
    "script",
    [pytest.param(s, id=s.stem, marks=[] if s.stem in QUICK else pytest.mark.pictures) for s in SCRIPTS],
)
def test_example(script, tmp_path, monkeypatch, capsys):
    plt.switch_backend("Agg")
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", [str(script), "--output", str(tmp_path / "pictures")])
    try:
        runpy.run_path(str(script), run_name="__main__")  # a warning is an error, by pytest's settings
    finally:
        plt.close("all")
    assert capsys.readouterr().out.strip()
    pictures = sorted((tmp_path / "pictures").iterdir())
    named = re.findall(r'folder / "(.+?)"', script.read_text())
    assert [picture.name for picture in pictures] == sorted(named) != []
    for picture in pictures:
        content = picture.read_bytes()
        width, height = struct.unpack(">II", content[16:24])
        assert content.startswith(b"\x89PNG")
        assert min(width, height) > 300
        assert len(content) < 150_000
        assert picture.name in README


def test_every_example_is_listed():
    listed = re.findall(r"\]\((\w+\.py)\)", README)
    assert sorted(listed) == [script.name for script in SCRIPTS]
