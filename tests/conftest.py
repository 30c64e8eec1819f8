import pytest


@pytest.fixture
def global_random_seed():
    # scikit-learn's own conftest provides it; tests/test_sklearn_suite.py runs tests that ask for it.
    return 42
