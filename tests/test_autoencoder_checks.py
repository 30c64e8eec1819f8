"""Autoencoders in scikit-learn: its checks, and its tags."""

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_get_feature_names_out_error,
    check_no_attributes_set_in_init,
    check_param_validation,
    check_set_output_transform,
    check_set_output_transform_pandas,
    check_set_output_transform_polars,
    check_transformer_get_feature_names_out,
    check_transformer_get_feature_names_out_pandas,
    parametrize_with_checks,
)

from skneural import Autoencoder, AutoencoderDetector

# The checks fit tiny data: that this does not converge is not what they check, nor that codes of it are wide.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:The code has:UserWarning",
)

ALL = [Autoencoder, AutoencoderDetector]
QUICK = {"hidden_layer_sizes": (8, 2), "max_iter": 60, "learning_rate_init": 0.03}
COVERING = [
    Autoencoder(**QUICK),
    AutoencoderDetector(**QUICK),
    Autoencoder(**QUICK, loss="absolute_error", scaler="common", activation="tanh"),
    AutoencoderDetector(**{**QUICK, "hidden_layer_sizes": 2}, scaler=None),
]
MORE = [
    Autoencoder(),
    AutoencoderDetector(),
    Autoencoder(**{**QUICK, "max_iter": 15}, solver="lbfgs", alpha=0.1),
    Autoencoder(**QUICK, input_noise=0.1, input_dropout=0.1),
]


@parametrize_with_checks(COVERING)
def test_checks_of_sklearn(estimator, check):
    check(estimator)


def expected_to_fail(estimator):
    """Nothing but what noise rules out."""
    if not estimator.input_noise:
        return {}
    names = ["check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"]
    return dict.fromkeys(names, "rows that are repeated are each spoilt in another way")


@pytest.mark.slow
@parametrize_with_checks(MORE, expected_failed_checks=expected_to_fail)
def test_checks_of_sklearn_with_other_settings(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X (has|does not have).*feature names:UserWarning")  # what some of them hand over
@pytest.mark.parametrize("estimator", ALL)
@pytest.mark.parametrize(
    "check",
    [
        check_dataframe_column_names_consistency,
        check_get_feature_names_out_error,
        check_no_attributes_set_in_init,
        check_param_validation,
        check_set_output_transform,
        check_set_output_transform_pandas,
        check_set_output_transform_polars,
        check_transformer_get_feature_names_out,
        check_transformer_get_feature_names_out_pandas,
    ],
    ids=lambda c: c.__name__,
)
def test_checks_outside_check_estimator(estimator, check):
    check(estimator.__name__, estimator(**QUICK))


def test_tags():
    tags = get_tags(Autoencoder())
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]
    assert tags.input_tags.sparse
    assert tags.input_tags.three_d_array
    assert not tags.target_tags.required
    assert get_tags(AutoencoderDetector()).estimator_type == "outlier_detector"
