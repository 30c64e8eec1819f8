"""scikit-learn's checks of estimators: those of `check_estimator`, and those that it leaves out."""

from itertools import cycle

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_no_attributes_set_in_init,
    check_param_validation,
    parametrize_with_checks,
)

from skneural import MLPClassifier, MLPRegressor
from skneural.estimators._targets import REAL_LOSSES
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.network.initializers import INITIALIZERS

# The checks fit tiny data with default settings: that this does not converge is not what they check.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Nothing is expected to fail by default: what the checks fit is one minibatch (200 rows).
@parametrize_with_checks([MLPClassifier(), MLPRegressor()])
def test_default_configuration(estimator, check):
    check(estimator)


# Without minibatches weights must be repetitions: nothing is expected to fail here either.
@parametrize_with_checks(
    [
        # One check wants probabilities below 1, and lbfgs reaches the minimum: on separable data that needs a penalty.
        # Weights and repetitions are equal sums added up differently; after some dozen iterations the rounding shows.
        MLPClassifier(solver="lbfgs", alpha=0.1, max_iter=30),
        MLPRegressor(solver="lbfgs"),
        MLPClassifier(solver="sgd"),
        MLPRegressor(solver="sgd"),
    ]
)
def test_other_solvers(estimator, check):
    check(estimator)


# What these name passes above, in one batch or without any.
REPEATED = "a row that stands three times may be in two minibatches, which no weight can say"
SEVERAL_MINIBATCHES = {
    "check_sample_weight_equivalence_on_dense_data": REPEATED,
    "check_sample_weight_equivalence_on_sparse_data": REPEATED,
    # A batch's loss is the weighted mean over its rows, as in scikit-learn.
    "check_class_weight_classifiers": "four rows that weigh nothing count as much as four that weigh 1000",
}


@parametrize_with_checks(
    [MLPClassifier(batch_size=4), MLPRegressor(batch_size=4)],
    expected_failed_checks=lambda estimator: SEVERAL_MINIBATCHES,
    xfail_strict=False,  # whether that many repetitions and zero weights are told apart hangs on the order of rows
)
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger than sample size:UserWarning")
def test_several_minibatches(estimator, check):
    check(estimator)


# These pass above, in float64.
PRECISION = "compares the predictions of two fits to 1e-7, of which float32 knows nothing"
SINGLE_PRECISION = {
    "check_sample_weight_equivalence_on_dense_data": PRECISION,
    "check_sample_weight_equivalence_on_sparse_data": PRECISION,
}


@parametrize_with_checks(
    [MLPClassifier(dtype="float32"), MLPRegressor(dtype="float32")],
    expected_failed_checks=lambda estimator: SINGLE_PRECISION,
)
def test_single_precision(estimator, check):
    check(estimator)


def every_row():
    """Estimators in which every row of every registry occurs: as many as there are losses."""
    tasks = [(MLPClassifier, loss) for loss in ("log_loss", "focal")] + [(MLPRegressor, loss) for loss in REAL_LOSSES]
    names = list(ACTIVATIONS)  # two each
    choices = {
        "activation": [list(pair) for pair in zip(names, names[1:] + names[:1], strict=True)][::2],
        "solver": OPTIMIZERS, "learning_rate": SCHEDULES, "weight_init": INITIALIZERS,
        "normalization": [None, "batch", "layer"], "residual": [True, False],
    }  # fmt: skip
    columns = [cycle(tasks), *(cycle(values) for values in choices.values())]
    for _ in range(max(map(len, [tasks, *choices.values()]))):
        (estimator, loss), *values = map(next, columns)
        row = dict(zip(choices, values, strict=True))
        # The checks want small data learnt: not too slowly, and with patience where the loss rises at first.
        rate = 0.003 if row["solver"] in ("sgd", "lion") else 0.02
        settings = {"max_iter": 300, "n_iter_no_change": 100, "learning_rate_init": rate, "power_t": 0.1}
        yield estimator(loss=loss, hidden_layer_sizes=(20, 20), **settings, **row)


# These pass with every other schedule.
ROWS_SEEN = "'invscaling' lowers the rate by the number of rows seen, where a repeated row counts each time"
BY_ROWS_SEEN = {
    "check_sample_weight_equivalence_on_dense_data": ROWS_SEEN,
    "check_sample_weight_equivalence_on_sparse_data": ROWS_SEEN,
}


@parametrize_with_checks(
    list(every_row()),
    expected_failed_checks=lambda estimator: BY_ROWS_SEEN if estimator.learning_rate == "invscaling" else {},
)
def test_every_row_of_every_registry(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "check",
    [check_dataframe_column_names_consistency, check_no_attributes_set_in_init, check_param_validation],
    ids=lambda c: c.__name__,
)
def test_checks_outside_check_estimator(estimator, check):
    check(type(estimator).__name__, estimator)
