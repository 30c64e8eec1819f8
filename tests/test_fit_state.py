"""The state of a fit: curves of one length, its plain form, what an estimator shows of it, and who may know whom."""

import ast
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

import skneural.training
from skneural import MLPClassifier, MLPRegressor
from skneural.layers import Dense
from skneural.network.program import lower
from skneural.training.history import Epochs, note
from skneural.training.state import FitState, SolverState, Unfinished

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
LABELS = np.arange(40) % 2
PROGRAM = lower([Dense(4, "relu"), Dense(1)], 3, dtype=np.float64, loss="squared_error")


def solver(**values):
    return SolverState.fresh(PROGRAM, seed=7, initial=0.1, **values)


class InterruptedOnce(list):
    """A curve at which Ctrl-C arrives, before or after it has grown."""

    def __init__(self, values, grown):
        super().__init__(values)
        self.grown = grown
        self.pressed = False

    def __setitem__(self, place, values):
        if not self.pressed:
            self.pressed = True
            if self.grown:
                super().__setitem__(place, values)
            raise KeyboardInterrupt
        super().__setitem__(place, values)


@pytest.mark.parametrize("grown", [False, True])
@pytest.mark.parametrize("name", ["loss", "learning_rate", "time"])
def test_curves_have_one_length_wherever_ctrl_c_arrives(name, grown):
    state = FitState(np.zeros(3), solver(), validation_scores=[], validation_loss_curve=[])
    note(state, Epochs([3.0], [0.1], [1.0], validation_loss=2.0, score=0.5), n_rows=40, n_layers=2)
    state.history[name] = InterruptedOnce(state.history[name], grown)
    with pytest.raises(KeyboardInterrupt):
        note(state, Epochs([2.0], [0.1], [2.0], validation_loss=1.0, score=0.6), n_rows=40, n_layers=2)
    assert {len(values) for values in state.history.values()} == {2}
    assert state.history["loss"] == state.loss_curve == [3.0, 2.0]
    assert state.validation_scores == [0.5, 0.6]
    assert state.validation_loss_curve == [2.0, 1.0]
    assert (state.n_iter, state.t, state.loss) == (2, 80, 2.0)


def test_what_only_some_fits_know_is_filled_in():
    state = FitState(np.zeros(3), solver())
    note(state, Epochs([3.0, 2.0], [0.1, 0.1], [1.0, 2.0]), n_rows=10, n_layers=2)
    norms = [np.array([1.0, 2.0])]
    note(state, Epochs([1.0], [0.1], [3.0], training_score=0.9, gradient_norms=norms), n_rows=10, n_layers=2)
    note(state, Epochs([0.5], [0.1], [4.0]), n_rows=10, n_layers=2)
    np.testing.assert_array_equal(state.history["training_score"], [np.nan, np.nan, 0.9, np.nan])
    unknown = [np.nan, np.nan]
    np.testing.assert_array_equal(state.history["gradient_norm"][1:], [unknown, [1.0, 2.0], unknown])


def test_the_plain_form_of_a_solver_and_back():
    run = Unfinished(data=((40, 1), None), best_params=np.ones(PROGRAM.n_params))
    state = solver(step=3, epoch=2, batches=5, calls=4, lowered=0.5, waited=1, lowest=0.25, run=run)
    plain = state.to_plain()
    assert plain.keys() == {
        "s", "v", "seed", "step", "epoch", "batches", "calls", "initial", "lowered", "waited", "lowest", "run"
    }  # fmt: skip
    # Of a fit that can be resumed, None says that an integer decides.
    assert plain["run"].keys() == {"finished", "data", "random", "best_params"}
    back = SolverState.from_plain({**plain, "of_a_newer_version": 3})
    assert vars(back.run) == vars(run)
    assert {**vars(back), "run": None} == {**vars(state), "run": None}
    assert "run" not in solver().to_plain()
    assert Unfinished().to_plain() == {"finished": False}


def test_the_stopping_rule_begins_anew_with_each_fit():
    state = FitState(np.zeros(3), solver(), n_iter=5, t=200, best_loss=0.1, no_improvement_count=3)
    state.begin(validated=True, going_on=False)
    assert (state.n_iter, state.t, state.no_improvement_count) == (0, 200, 0)
    assert (state.best_loss, state.best_validation_score) == (None, -np.inf)
    assert state.validation_scores == []
    state.best_validation_score = 0.7
    state.begin(validated=False, going_on=True)
    assert (state.best_loss, state.best_validation_score) == (np.inf, 0.7)


def test_estimators_show_the_lists_that_go_on():
    est = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0, warm_start=True).fit(X, X[:, 0])
    curve = est.loss_curve_
    history = est.history_["loss"]
    est.fit(X, X[:, 0]).partial_fit(X, X[:, 0])
    assert est.loss_curve_ is curve
    assert est.history_["loss"] is history
    assert curve == history
    assert len(curve) == 7
    assert (est.n_iter_, est.t_) == (1, 280)


def test_parameters_that_change_in_a_fit_count_in_the_next_one():
    """A scorer sets other values: the fit goes on by those that it began with."""
    asked = []

    def score(est, X, y):
        asked.append("first")
        if len(asked) == 1:
            fitted.set_params(scoring=other, n_jobs=-1)
        return accuracy_score(y, est.predict(X))

    def other(est, X, y):
        asked.append("other")
        return 0.0

    fitted = MLPClassifier((4,), max_iter=3, random_state=0, scoring=score)
    fitted.fit(X, LABELS, X_val=X, y_val=LABELS)
    assert asked == ["first"] * 3
    fitted.fit(X, LABELS, X_val=X, y_val=LABELS)
    assert asked[3:] == ["other"] * 3


def modules_of_training():
    path = skneural.training.__path__
    return [f"skneural.training.{module.name}" for module in pkgutil.iter_modules(path)]


@pytest.mark.parametrize("name", modules_of_training())
def test_training_knows_no_attribute_of_estimators(name):
    """Fitted attributes end in an underscore; the loops see the state of the fit, which has none."""
    module = importlib.import_module(name)
    nodes = list(ast.walk(ast.parse(inspect.getsource(module))))
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert {name for name in attributes if name.endswith("_") and not name.startswith("__")} == set()
    assert not {"est", "estimator"} & {node.id for node in nodes if isinstance(node, ast.Name)}
