"""scikit-learn's checks of estimators: those of `check_estimator`, and those that it leaves out."""

from inspect import signature

import pytest
from rows import rate_of
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_no_attributes_set_in_init,
    check_param_validation,
    parametrize_with_checks,
)

from skneural import MLPClassifier, MLPRegressor
from skneural.estimators._targets import REAL_LOSSES
from skneural.maths.activations import ACTIVATIONS
from skneural.maths.losses import LOSSES as ALL_LOSSES
from skneural.maths.optimizers import OPTIMIZERS
from skneural.maths.schedules import SCHEDULES
from skneural.network.initializers import INITIALIZERS

#: Those of single networks.
LOSSES = {name: entry for name, entry in ALL_LOSSES.items() if not entry.adversarial}

# The checks fit tiny data with default settings: that this does not converge is not what they check.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size` less than 1 or larger than sample size:UserWarning",
)

#: Why a fit with weights and one with repeated rows may differ. What these name passes with other settings.
EQUIVALENCE = [
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
]
REPEATED = "a row that stands three times may be in two minibatches, which no weight can say"
PRECISION = "compares the predictions of two fits to 1e-7, of which float32 knows nothing"
ROWS_SEEN = "'invscaling' lowers the rate by the number of rows seen, where a repeated row counts each time"
#: A batch's loss is the weighted mean over its rows, as in scikit-learn.
SEVERAL_MINIBATCHES = {
    "check_class_weight_classifiers": "four rows that weigh nothing count as much as four that weigh 1000",
}

# Older versions of scikit-learn (1.7) have no such option, and are never strict.
NOT_STRICT = {"xfail_strict": False} if "xfail_strict" in signature(parametrize_with_checks).parameters else {}


def expected_to_fail(estimator):
    """Nothing by default: what the checks fit is one minibatch (200 rows)."""
    if estimator.batch_size == 4:
        return dict.fromkeys(EQUIVALENCE, REPEATED) | SEVERAL_MINIBATCHES
    if estimator.dtype == "float32":
        return dict.fromkeys(EQUIVALENCE, PRECISION)
    if estimator.learning_rate == "invscaling":
        return dict.fromkeys(EQUIVALENCE, ROWS_SEEN)
    return {}


def learning(estimator, **row):
    """An estimator that learns small data, as the checks want: not too slowly, with patience if the loss rises."""
    rate = 0.003 if row["solver"] in ("sgd", "lion") else 0.02
    settings = {"max_iter": 300, "n_iter_no_change": 100, "learning_rate_init": rate, "power_t": 0.1}
    return estimator(hidden_layer_sizes=(20, 20), **settings, **row)


#: Estimators in which every row of every registry occurs. Which occur together is fixed by this table.
TOGETHER = [
    learning(
        MLPClassifier, loss="log_loss", activation=["identity", "logistic"], solver="sgd", learning_rate="constant",
        weight_init="auto", normalization=None, residual=True,
    ),
    learning(
        MLPClassifier, loss="focal", activation=["tanh", "relu"], solver="adamw", learning_rate="invscaling",
        weight_init="glorot_uniform", normalization="batch", residual=False,
    ),
    learning(
        MLPRegressor, loss="squared_error", activation=["leaky_relu", "elu"], solver="adam", learning_rate="adaptive",
        weight_init="glorot_normal", normalization="layer", residual=True,
    ),
    learning(
        MLPRegressor, loss="absolute_error", activation=["selu", "gelu"], solver="nadam", learning_rate="step",
        weight_init="he_uniform", normalization=None, residual=False,
    ),
    learning(
        MLPRegressor, loss="huber", activation=["silu", "mish"], solver="rmsprop", learning_rate="exponential",
        weight_init="he_normal", normalization="batch", residual=True,
    ),
    learning(
        MLPRegressor, loss="log_cosh", activation=["softplus", "hard_tanh"], solver="adagrad", learning_rate="cosine",
        weight_init="lecun_normal", normalization="layer", residual=False,
    ),
    learning(
        MLPRegressor, loss="quantile", activation=["identity", "logistic"], solver="lion", learning_rate="one_cycle",
        weight_init="orthogonal", normalization=None, residual=True,
    ),
    learning(
        MLPRegressor, loss="poisson", activation=["tanh", "relu"], solver="sgd", learning_rate="plateau",
        weight_init="auto", normalization="batch", residual=False,
    ),
    learning(
        MLPRegressor, loss="gamma", activation=["leaky_relu", "elu"], solver="adamw", learning_rate="constant",
        weight_init="glorot_uniform", normalization="layer", residual=True,
    ),
]  # fmt: skip
#: Rows that a parameter may name, by the registries.
REGISTRIES = {
    "loss": [name.removeprefix("binary_") for name in LOSSES],
    "activation": list(ACTIVATIONS),
    "solver": list(OPTIMIZERS),
    "learning_rate": list(SCHEDULES),
    "weight_init": list(INITIALIZERS),
}


def rows_of_their_own():
    """An estimator for every row that is not in the table: whatever is added pairs with nothing."""
    for parameter, names in REGISTRIES.items():
        seen = {name for estimator in TOGETHER for name in names_in(getattr(estimator, parameter))}
        for name in names:
            if name not in seen:
                task = MLPRegressor if parameter != "loss" or name in REAL_LOSSES else MLPClassifier
                settings = {"max_iter": 300, "n_iter_no_change": 100, "learning_rate_init": 2 * rate_of(name)}
                yield task(**settings, **{parameter: name})


def names_in(value):
    """The names of rows in the value of a parameter."""
    return [value] if isinstance(value, str) else value


#: One check wants probabilities below 1, and lbfgs reaches the minimum: on separable data that needs a penalty.
#: Weights and repetitions are equal sums added up differently; after some dozen iterations the rounding shows.
LBFGS = MLPClassifier(solver="lbfgs", alpha=0.1, max_iter=30)
FOCAL = TOGETHER[1]
COVERING = [MLPClassifier(), MLPRegressor(), LBFGS, FOCAL]
OTHERS = [
    MLPRegressor(solver="lbfgs"),
    MLPClassifier(solver="sgd"),
    MLPRegressor(solver="sgd"),
    MLPClassifier(dtype="float32"),
    MLPRegressor(dtype="float32"),
    *[estimator for estimator in TOGETHER if estimator not in COVERING],
]


@parametrize_with_checks([*COVERING, *rows_of_their_own()], expected_failed_checks=expected_to_fail)
def test_checks_of_sklearn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(OTHERS, expected_failed_checks=expected_to_fail)
def test_checks_of_sklearn_with_other_settings(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [MLPClassifier(batch_size=4)],
    expected_failed_checks=expected_to_fail,
    **NOT_STRICT,  # whether that many repetitions and zero weights are told apart hangs on the order of rows
)
def test_checks_of_sklearn_with_several_minibatches(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [MLPClassifier(), MLPRegressor()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "check",
    [check_dataframe_column_names_consistency, check_no_attributes_set_in_init, check_param_validation],
    ids=lambda c: c.__name__,
)
def test_checks_outside_check_estimator(estimator, check):
    check(type(estimator).__name__, estimator)
