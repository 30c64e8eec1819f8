"""A row added to a registry is tested by what is there: no list of tests is to be edited."""

import collections
import os
import pathlib
import re
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parent
FILES = ["test_maths.py", "test_training.py", "test_features.py", "test_schedules.py", "test_initializers.py"]
#: Rows that the plugin `new_rows` adds, and some of the tests that take each.
EXPECTED = {
    "new_activation": ["test_gradient_is_the_one_of_plain_numpy", "test_activation_compiled_is_the_formula"],
    "new_loss": ["test_ten_steps_are_those_of_plain_numpy", "test_the_best_constant_is_found"],
    "new_optimizer": ["test_ten_steps_are_those_of_plain_numpy", "test_optimizer_is_its_numpy_version"],
    "new_schedule": ["test_every_row_tells_two_moons_apart", "test_rates_are_those_of_the_steps"],
    "new_rule": ["test_every_row_tells_two_moons_apart", "test_mean_and_variance"],
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
    for line in with_new_rows("-vv", *(str(TESTS / file) for file in FILES)):
        if match := re.match(r"\S+::(\w+)\[(.*)\] PASSED", line):
            for row in EXPECTED:
                if row in match[2]:
                    taken[row].add(match[1])
    for row, tests in EXPECTED.items():
        assert set(tests) <= taken[row], row


@pytest.mark.slow
def test_new_rows_pass_everywhere():
    with_new_rows(str(TESTS))
