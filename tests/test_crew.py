"""Kernels compiled in several processes: each once, whatever becomes of the others."""

import json
import os
import subprocess
import sys

import pytest

from skneural.backends import compiling
from skneural.backends.cpu import catalogue, crew
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.registry import Entry

#: Compiles some kernels, and says how: which were compiled here, and whether one comes from the cache now.
SCRIPT = """
import json, sys, time
import numpy as np
import skneural
from skneural.backends.cpu import catalogue, compiler, crew
from skneural.maths.activations import ACTIVATIONS
BEFORE
keys = [("activation", np.float32, ACTIVATIONS[name]) for name in ("relu", "elu", "gelu", "selu", "silu", "tanh")]
given = []
begin = crew._Other.__init__
def wait(self, rest):
    begin(self, rest)
    given.append(len(rest))
    while self._thread.is_alive() and not self._is_busy:  # until it has a kernel, or has come to nothing
        time.sleep(0.01)
crew._Other.__init__ = wait
crew.get_ready(keys, 2)
compiled = compiler.compiled_kernels()
print(json.dumps({
    "ready": len(compiled), "here": sum(not cached for cached in compiled.values()), "given": given,
    "loaded": "sklearn" in sys.modules,
}))
"""


def run(folder, before="", **environment):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder), "SKNEURAL_LIBRARY": "", **environment}
    command = [sys.executable, "-W", "error", "-c", SCRIPT.replace("BEFORE", before)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_processes_share_the_work(tmp_path):
    result = run(tmp_path)
    assert result["ready"] == 6
    assert result["given"] == [5]  # the first one was compiled before there was another process
    assert 1 < result["here"] < 6
    assert not result["loaded"]  # to compile, no process loads scikit-learn
    assert run(tmp_path) == {**result, "here": 0, "given": []}  # all are on disk


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("crew._WORK = 'import sys; sys.exit({path!r})'", id="it ends at once"),
        pytest.param("crew._WORK = 'print(1, flush=True); input(); raise SystemExit(len({path!r}))'", id="midway"),
    ],
)
def test_another_process_that_fails_costs_only_time(before, tmp_path):
    result = run(tmp_path, before)
    assert result["given"]
    assert result["ready"] == result["here"] == 6


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("sys.executable = '/opt/modeller/bin/modeller'", id="another program's Python"),
        pytest.param("sys.executable = None", id="no Python"),
        pytest.param("sys.frozen = True", id="frozen"),
        pytest.param("crew._one_crew.acquire()", id="another thread does"),
    ],
)
def test_when_there_is_no_other_process(before, tmp_path):
    assert run(tmp_path, before) == {"ready": 6, "here": 6, "given": [], "loaded": False}


@pytest.fixture
def as_if_compiled(monkeypatch):
    """No kernel is compiled, but all are as if they had just been; what was asked for, and handed out."""
    asked, handed = [], []
    monkeypatch.setattr(catalogue, "_found", {})
    monkeypatch.setattr(catalogue, "address", lambda *key: asked.append(key))
    monkeypatch.setattr(catalogue, "is_compiled", lambda *key: True)
    monkeypatch.setattr(crew, "_compile_together", lambda keys, n_others: handed.append((len(keys), n_others)))
    return asked, handed


@pytest.mark.parametrize(
    ("n_kernels", "n_processes", "n_others"),
    [(4, 8, None), (5, 8, 1), (9, 8, 2), (160, 8, 7), (160, 64, 7), (160, 2, 1), (160, 1, None)],
)
def test_number_of_processes(n_kernels, n_processes, n_others, as_if_compiled):
    asked, handed = as_if_compiled
    keys = [("activation", number) for number in range(n_kernels)]
    crew.get_ready([*keys, keys[0]], n_processes)
    assert handed == ([] if n_others is None else [(n_kernels - 1, n_others)])
    assert set(asked) == set(keys)


def test_nothing_is_shared_where_nothing_is_kept(as_if_compiled, monkeypatch):
    _, handed = as_if_compiled
    monkeypatch.setattr(compiling, "_warned", True)
    crew.get_ready([("activation", number) for number in range(20)], 2)
    assert not handed


def make_own():
    """A user's own kernel."""


def test_own_formulas_are_compiled_here():
    assert catalogue.is_built_in("activation", float, ACTIVATIONS["relu"])
    assert not catalogue.is_built_in("activation", float, Entry("relu", abs))
    assert not catalogue.is_built_in(make_own, float)
