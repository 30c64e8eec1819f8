"""Convolutional estimators for sequences in scikit-learn: its checks, and its tags."""

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_no_attributes_set_in_init,
    check_param_validation,
    parametrize_with_checks,
)

from skneural import FCNClassifier, FCNRegressor, LSTMClassifier, LSTMRegressor, ResNetClassifier, ResNetRegressor

# The checks fit tiny data: that this does not converge is not what they check.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ALL = [FCNClassifier, FCNRegressor, ResNetClassifier, ResNetRegressor]
QUICK = {"filters": (6, 8), "kernel_sizes": 3, "max_iter": 60, "learning_rate_init": 0.03}
#: Other layers and solvers.
COVERING = [
    FCNClassifier(**QUICK),
    # Windows of six steps, twice, so that the last step has seen all ten columns of what is to be learnt.
    FCNRegressor(
        **{**QUICK, "kernel_sizes": 6}, normalization=None, padding="causal", pooling="last", hidden_layer_sizes=5
    ),
    ResNetClassifier(**QUICK, normalization="layer", pooling="max", input_format="channels_first"),
    ResNetRegressor(**{**QUICK, "kernel_sizes": (4, 2)}),
]
MORE = [
    ResNetClassifier(**{**QUICK, "max_iter": 15}, normalization=None, solver="lbfgs", alpha=0.1),
    FCNRegressor(**{**QUICK, "kernel_sizes": 6}, standardize=False, activation="tanh"),
]


@parametrize_with_checks(COVERING)
def test_checks_of_sklearn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([*MORE, *(estimator() for estimator in ALL)])
def test_checks_of_sklearn_with_other_settings(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ALL)
@pytest.mark.parametrize(
    "check",
    [check_dataframe_column_names_consistency, check_no_attributes_set_in_init, check_param_validation],
    ids=lambda c: c.__name__,
)
def test_checks_outside_check_estimator(estimator, check):
    check(estimator.__name__, estimator(**QUICK))


@pytest.mark.parametrize("estimator", ALL)
def test_tags_are_those_of_the_recurrent_networks(estimator):
    tags = get_tags(estimator())
    assert tags == get_tags(LSTMClassifier() if tags.estimator_type == "classifier" else LSTMRegressor())
