"""A row added to a registry is tested by what is there: no list of tests is to be edited."""

import collections
import os
import pathlib
import re
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parent
#: Rows that the plugin `new_rows` adds, and a test or two that run over their registry.
EXPECTED = {
    "new_activation": ["test_maths.py::test_activation_compiled_is_the_formula"],
    "new_loss": ["test_maths.py::test_loss_gradient_is_the_derivative"],
    "new_optimizer": ["test_maths.py::test_optimizer_is_its_numpy_version"],
    "new_schedule": ["test_schedules.py::test_rates_are_those_of_the_steps"],
    "new_rule": ["test_initializers.py::test_mean_and_variance"],
}


def with_new_rows(*arguments):
    """Lines of what pytest says, in a process in which every registry has a row more."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "new_rows", "-p", "no:cacheprovider", "-k"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    done = subprocess.run(
        [*command, " or ".join(EXPECTED), *arguments], env=environment, capture_output=True, text=True, cwd=TESTS.parent
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
    return done.stdout.splitlines()


def test_new_rows_are_taken_and_pass():
    taken = collections.defaultdict(set)
    tests = [test for expected in EXPECTED.values() for test in expected]
    for line in with_new_rows("-vv", *(str(TESTS / test) for test in tests)):
        if match := re.match(r"tests/(\S+::\w+)\[(.*)\] PASSED", line):
            for row in EXPECTED:
                if row in match[2]:
                    taken[row].add(match[1])
    for row, expected in EXPECTED.items():
        assert set(expected) <= taken[row], row


@pytest.mark.slow
def test_new_rows_pass_everywhere():
    with_new_rows(str(TESTS))
