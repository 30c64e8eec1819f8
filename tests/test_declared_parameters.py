"""A hyper-parameter is declared in one row: signature, constraint, docstring and type checkers follow from it."""

import inspect
import re
import typing

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.base import clone

import skneural
from skneural._declare import COUNT, NOT_NEGATIVE, declare, documented, options, parameter
from skneural.estimators._tasks import BaseClassifier
from skneural.layers import Dense

ESTIMATORS = [cls for name in skneural.__all__ if hasattr(cls := getattr(skneural, name), "get_params")]
#: What may be given without its name, in order.
POSITIONAL = {
    "CNNClassifier": ["filters"],
    "CNNRegressor": ["filters"],
    "FCNClassifier": ["filters"],
    "FCNRegressor": ["filters"],
    "GAN": ["hidden_layer_sizes", "n_components"],
    "MLPClassifier": ["hidden_layer_sizes", "activation"],
    "MLPRegressor": ["loss", "hidden_layer_sizes", "activation"],
    "NetworkClassifier": ["layers"],
    "NetworkRegressor": ["layers"],
    "ResNetClassifier": ["filters"],
    "ResNetRegressor": ["filters"],
    "VariationalAutoencoder": ["n_components", "hidden_layer_sizes"],
}


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_signature_says_all(cls):
    parameters = inspect.signature(cls).parameters
    positional = [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
    assert positional == POSITIONAL.get(cls.__name__, ["hidden_layer_sizes"])
    for name, p in parameters.items():
        assert p.annotation is not p.empty, name
        assert p.default is not p.empty, name
    assert list(parameters) == list(cls._rows)
    assert set(parameters) == set(cls._parameter_constraints) == set(cls().get_params(deep=False))


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_annotations_name_types(cls):
    hints = typing.get_type_hints(cls)
    assert hints.keys() >= cls().get_params(deep=False).keys()
    assert hints["alpha"] is float
    if "layers" in hints:
        assert hints["layers"] == list | tuple
    else:
        assert hints["hidden_layer_sizes"] == int | ArrayLike


def test_type_checkers_are_told():
    told = declare.__dataclass_transform__
    assert told["field_specifiers"] == (parameter,)
    assert told["kw_only_default"]
    assert not told["eq_default"]


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_documentation_is_in_the_order_of_the_signature(cls):
    section = inspect.getdoc(cls).split("\nAttributes\n")[0].split("\nParameters\n")[1]
    described = re.findall(r"^(\w+) : (.*), default=(.*)$", section, flags=re.MULTILINE)
    expected = [(name, repr(p.default)) for name, p in inspect.signature(cls).parameters.items()]
    assert [(name, default) for name, _, default in described] == expected
    assert not re.search(r"(?<!\{)\{\w+\}", inspect.getdoc(cls).replace("{label: weight}", "")), "a mark is left"


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_defaults_do_not_stay_behind_in_the_class(cls):
    # They would be listed once more by help(), and hide that a constructor of a subclass forgets one.
    assert not any(hasattr(cls, name) for name in cls().get_params(deep=False))


# -- a new one ---------------------------------------------------------------------------------------------------------


@declare
class Patient(skneural.MLPClassifier):
    """One more parameter, in one row, and another default.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}
    """

    patience: int | str | None = parameter(
        default=None,
        constraint=[COUNT, options("some", "many"), None],
        stochastic=True,
        doc="""Epochs to wait,
        or more.""",
    )
    alpha: float = parameter(default=0.5)


def test_a_new_parameter_is_one_row():
    assert "patience: int | str | None = None" in str(inspect.signature(Patient))
    assert list(inspect.signature(Patient).parameters)[:2] == ["hidden_layer_sizes", "activation"]
    described = "patience : int, {'some', 'many'} or None, default=None\n    Epochs to wait,\n    or more."
    assert described in inspect.getdoc(Patient)
    assert "patience=3" in repr(Patient(patience=3))
    assert clone(Patient(patience=3)).patience == 3
    with pytest.raises(ValueError, match=r"'patience' parameter of Patient must be an int in .* Got 0 instead"):
        Patient(patience=0).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match=r"patience needs a stochastic solver .*: lbfgs does not support it"):
        Patient(patience=3, solver="lbfgs").fit([[0.0], [1.0]], [0, 1])


def test_a_parameter_that_is_declared_again_keeps_what_the_row_leaves_out():
    assert Patient().alpha == 0.5
    assert Patient._parameter_constraints["alpha"] == [NOT_NEGATIVE]
    assert "alpha : float, default=0.5\n    Strength of the penalty" in inspect.getdoc(Patient)
    assert skneural.MLPClassifier().alpha == 0.0001
    assert list(Patient._rows).index("alpha") == list(skneural.MLPClassifier._rows).index("alpha")


def test_subclasses_without_the_decorator_are_as_always():
    class Small(skneural.LSTMRegressor):
        """With a constructor of its own, and an annotation that is no parameter."""

        note: str

        def __init__(self, hidden_layer_sizes=(3,), *, alpha=0.1):
            super().__init__(hidden_layer_sizes, alpha=alpha)

    est = Small(alpha=1)
    assert est.get_params() == {"hidden_layer_sizes": (3,), "alpha": 1}
    assert est.clip_norm == 1.0
    with pytest.raises(ValueError, match="'alpha' parameter of Small must be a float"):
        est.set_params(alpha=-1).fit(np.zeros((4, 3, 1)), np.arange(4.0))


@documented
class Stacked(BaseClassifier):
    """All parameters of training, and layers of another kind.

    Parameters
    ----------
    {parameters}
    """

    def _hidden_layers(self):
        return [Dense(4, "tanh")]

    def _initialize(self, program, seed, train):
        return skneural.network.initializers.initialize(program, seed, self.weight_init, ["tanh", "tanh"])


def test_estimators_need_not_be_perceptrons():
    assert not {"hidden_layer_sizes", "activation", "dropout", "normalization", "residual"} & set(Stacked._rows)
    assert "learning_rate_init : float, default=0.001" in inspect.getdoc(Stacked)
    X = np.random.default_rng(0).normal(size=(60, 2))
    est = Stacked(learning_rate_init=0.05, random_state=0, max_iter=300, tol=1e-3).fit(X, X[:, 0] > 0)
    assert est.score(X, X[:, 0] > 0) > 0.9
