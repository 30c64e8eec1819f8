"""``python -m skneural info`` is pasted in public: all that helps, and nothing that tells who and where."""

import importlib.metadata
import os
import platform

import pytest

from skneural import __main__ as command_line
from skneural.backends import devices
from skneural.backends.cpu import compiler


@pytest.fixture
def somebody(monkeypatch):
    """Jane, at a machine called annex, whose home is /home/jane."""
    monkeypatch.setenv("HOME", os.path.join(os.sep, "home", "jane"))
    monkeypatch.setenv("USERPROFILE", os.path.join(os.sep, "home", "jane"))
    monkeypatch.setenv("LOGNAME", "jane")
    monkeypatch.setattr(platform, "node", lambda: "annex.example.org")


def report(capsys):
    assert command_line.main(["info"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("folder", "shown"),
    [
        ("/home/jane/.cache/numba/cpu_12ab", "~/.cache/numba/cpu_12ab"),
        ("/home/jane", "~"),
        ("/home/janet/venv/cpu", "/home/USER/venv/cpu"),
        ("/Users/joe/venv/cpu", "/Users/USER/venv/cpu"),
        ("/scratch/jane/kernels", "/scratch/USER/kernels"),
        ("/nfs/annex/kernels", "/nfs/HOST/kernels"),
        ("/nfs/annex.example.org/kernels", "/nfs/HOST/kernels"),
        ("/opt/venv/lib/skneural", "/opt/venv/lib/skneural"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")
def test_cache_folder_tells_neither_who_nor_where(folder, shown, capsys, monkeypatch, somebody):
    monkeypatch.setattr(compiler, "cache_state", lambda: (folder, True, 3, 4_000_000))
    lines = report(capsys).splitlines()
    assert f"cache folder  {shown}" in lines
    assert "cache state   writable, 3 kernels, 4.0 MB" in lines


@pytest.mark.parametrize("home", ["/", ""])
def test_home_that_is_none(home, monkeypatch):
    # of the user of a container
    monkeypatch.setenv("HOME", home)
    assert command_line._public_path("/app/kernels") == os.path.join(os.sep, "app", "kernels")


def test_home_behind_a_link(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    for name in ("disk", "link"):
        assert command_line._public_path(tmp_path / name / "kernels") == os.path.join("~", "kernels")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "no GPU is visible with CUDA_VISIBLE_DEVICES='GPU-5ebe9f43-ac33-420f-8a1e-2b1d1c0e4fa1': unset it",
            "no GPU is visible with CUDA_VISIBLE_DEVICES='GPU-...': unset it",
        ),
        ("visible: 'MIG-GPU-5ebe9f43-ac33-420f/1/0'", "visible: 'MIG-GPU-...'"),
        ("(/home/jane/venv/lib/libcudart.so: cannot open)", "(~/venv/lib/libcudart.so: cannot open)"),
        ("version 580 or newer, for and/or", "version 580 or newer, for and/or"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")
def test_words_about_gpus_have_no_paths_and_serial_numbers(said, shown, capsys, monkeypatch, somebody):
    monkeypatch.setattr(devices, "describe", lambda: said)
    assert f"GPU           {shown}" in report(capsys).splitlines()


def test_user_without_a_name(monkeypatch):
    def nobody():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert command_line._public_path("/app/kernels") == os.path.join(os.sep, "app", "kernels")


def test_report_of_a_frozen_application(capsys, monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    expected = importlib.metadata.version("scikit-learn")
    monkeypatch.setattr(importlib.metadata, "version", version)
    lines = report(capsys).splitlines()
    assert f"scikit-learn  {expected}" in lines
    assert not any(line.startswith("numba-cuda") for line in lines)
