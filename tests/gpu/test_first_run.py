"""The one command for a GPU that can be had for minutes: that it finds its tests, and says what is missing."""

import json
import os
import subprocess
import sys

import first_run
import pytest

pytestmark = pytest.mark.apart


def collected(stage):
    """Names of the tests that a stage would run."""
    command = [*first_run.pytest_command(stage), "--collect-only"]
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(command, cwd=first_run.ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{stage.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return {line for line in done.stdout.splitlines() if "::" in line}


def test_files_of_all_stages_exist():
    for stage in first_run.TESTS + first_run.SANITIZED:
        assert all((first_run.FOLDER / name).exists() for name in stage.files), stage.name
    assert all(os.path.exists(part) for part in first_run.BENCHMARK.command)


@pytest.mark.slow
def test_every_stage_has_tests_and_no_test_is_forgotten():
    found = [collected(stage) for stage in first_run.TESTS]
    assert all(found)
    assert all(map(collected, first_run.SANITIZED))
    everything = collected(first_run.Stage("all", 0, ("",)))
    assert set.union(*found) == everything
    assert sum(map(len, found)) == len(everything)  # none runs twice


def test_without_a_gpu_it_says_what_is_missing(tmp_path):
    # A driver that is none: the packages are there, so that is what is missing.
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(first_run.FOLDER / "first_run.py"), "--budget", "60", "--output", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["stages"] == {}
    assert summary["gpu"] is None
    assert f"There is no GPU to run on: {summary['why']}." in done.stdout
    assert done.stdout.strip() in (tmp_path / "log.txt").read_text()


def test_a_stage_ends_with_its_time_and_later_ones_are_left_out(tmp_path, monkeypatch):
    endless = [sys.executable, "-c", "import time\nwhile True: time.sleep(1)"]
    monkeypatch.setattr(first_run, "LEAST", 0)
    with first_run.Session(3600, tmp_path) as session:
        assert session.run(first_run.Stage("endless", 1), endless) is False
        session.budget = 0
        assert session.run(first_run.Stage("late", 1), endless) is None
    stages = json.loads((tmp_path / "summary.json").read_text())["stages"]
    assert {name: stage["result"] for name, stage in stages.items()} == {"endless": "out of time", "late": "left out"}
