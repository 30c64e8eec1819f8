"""Convolutional estimators in scikit-learn: its checks, and its tags."""

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_no_attributes_set_in_init,
    check_param_validation,
    parametrize_with_checks,
)

from skneural import CNNClassifier, CNNRegressor, MLPClassifier, MLPRegressor

# The checks fit tiny data: that this does not converge is not what they check.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ALL = [CNNClassifier, CNNRegressor]
QUICK = {"filters": 6, "hidden_layer_sizes": 8, "max_iter": 60, "learning_rate_init": 0.03}
#: Other layers and solvers. Few iterations where equal sums, added up in another order, would show.
COVERING = [
    CNNClassifier(**QUICK),
    CNNRegressor(**QUICK),
    CNNClassifier(
        **{**QUICK, "filters": (4, 6)}, convs_per_block=2, residual=True, normalization="layer", global_pooling="mean",
        pool_size=None,
    ),
    CNNRegressor(**QUICK, kernel_size=(1, 2), rescale=False, input_format="channels_first"),
]  # fmt: skip
MORE = [
    CNNClassifier(**{**QUICK, "max_iter": 15}, solver="lbfgs", alpha=0.1),
    CNNRegressor(**{**QUICK, "filters": (4, 4)}, activation="tanh", global_pooling="max"),
]


@parametrize_with_checks(COVERING)
def test_checks_of_sklearn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([*MORE, CNNClassifier(), CNNRegressor()])
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


@pytest.mark.parametrize(("estimator", "of_rows"), [(CNNClassifier, MLPClassifier), (CNNRegressor, MLPRegressor)])
def test_tags_are_those_of_the_networks_of_rows_but_for_the_data(estimator, of_rows):
    tags = get_tags(estimator())
    assert tags.input_tags.three_d_array
    assert not tags.input_tags.sparse
    tags.input_tags.three_d_array = False
    tags.input_tags.sparse = True
    assert tags == get_tags(of_rows())
