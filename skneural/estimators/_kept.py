"""What a fit is about to do, and what `partial_fit` keeps of it for its next call."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from sklearn import get_config

from skneural.estimators._resume import fingerprint
from skneural.estimators._rows import Rows
from skneural.estimators._settings import settings_of
from skneural.network.program import Program
from skneural.training.state import Unfinished

#: Types of parameters that cannot be changed in place; items of `CONTAINERS` can.
VALUES = (bool, int, float, str, type(None))
CONTAINERS = (list, tuple, dict)


class Kept:
    """Checked parameters, and what was built from them: kept, small batches do not wait for it at every call.

    Parameters
    ----------
    est : estimator

    Attributes
    ----------
    settings : SimpleNamespace
        As `settings_of` has it.
    layers : list of Layer
        Those before the last one.
    program, shape : Program, tuple
        The network, and the facts it was lowered for.
    trainer : Trainer or None
        One that can go on with other rows. It holds no data between calls.
    """

    def __init__(self, est):
        self.settings = settings_of(est)
        self.layers = est._hidden_layers()
        self.program = None
        self.shape = None
        self.trainer = None
        self._values = {}
        self._others = {}

    def remember(self, est):
        """Note the parameters, for `holds`."""
        for name in vars(self.settings):
            value = getattr(est, name)
            group = self._values if isinstance(value, VALUES) else self._others
            group[name] = value.copy() if isinstance(value, list | dict) else value

    def holds(self, est):
        """Whether the parameters are what they were when they were noted."""
        for name, value in self._values.items():
            now = getattr(est, name)
            if now is not value and not _is_same(now, value):
                return False
        return all(_is_same(getattr(est, name), value) for name, value in self._others.items())

    def keep(self, trainer, task):
        """Keep a trainer that only one thread works for, without its data."""
        if trainer.can_renew(task.n_rows) and task.train.factor == 1:
            trainer.release()
            self.trainer = trainer

    def goes_on(self, state, task):
        """Whether the trainer that is kept can train on the rows of a task, from a state on."""
        trainer = self.trainer
        return (
            trainer is not None
            and trainer.program is task.program
            and trainer.params is state.params
            and trainer.state is state.solver
            and trainer.can_renew(task.n_rows)
            and task.train.factor == 1
        )


@dataclass
class Request:
    """What `fit` or `partial_fit` was called with: see there."""

    X: object
    y: object
    sample_weight: object = None
    X_val: object = None
    y_val: object = None
    sample_weight_val: object = None
    resume_from: object = None
    classes: object = None
    incremental: bool = False

    @property
    def metadata(self):
        """What callbacks call so."""
        return None if self.sample_weight is None else {"sample_weight": self.sample_weight}


@dataclass
class Task:
    """What a fit is about to do.

    Attributes
    ----------
    request : Request
    kept : Kept
        Checked parameters, and what is kept from call to call of `partial_fit`.
    program : Program
    targets : ClassTargets or RealTargets
    seed : int
    run : Unfinished
    train, held_out : Rows
        None for no validation.
    first_pass : bool
        Whether the weights are drawn at random.
    """

    request: Request
    kept: Kept
    program: Program
    targets: object
    seed: int
    run: Unfinished
    train: Rows
    held_out: Rows | None
    first_pass: bool

    @property
    def settings(self):
        """The parameters, numbers as Python's."""
        return self.kept.settings

    @property
    def incremental(self):
        """Whether this is `partial_fit`."""
        return self.request.incremental

    @property
    def resumed(self):
        """Whether a fit that was interrupted goes on."""
        return self.request.resume_from is not None

    @property
    def n_rows(self):
        """Number of training samples."""
        return len(self.train.targets)

    def fingerprints(self):
        """Numbers that differ where the data of two fits differ: of training and of validation data."""
        return tuple(None if rows is None else fingerprint(rows) for rows in (self.train, self.held_out))


def _is_same(value, before):
    """Whether a parameter is what it was; not if it may have been changed in place."""
    if type(value) is not type(before):
        return False
    if isinstance(value, VALUES):
        return value == before
    if isinstance(value, dict):
        return list(value) == list(before) and _is_same(list(value.values()), list(before.values()))
    if isinstance(value, CONTAINERS):
        return len(value) == len(before) and all(map(_is_same, value, before))
    return value is before and not hasattr(value, "__setitem__")


def remembers(method):
    """Decorator of `partial_fit`: what the call before has kept goes, and parameters are validated, if they changed.

    scikit-learn validates at the first call only, which would let `set_params` bring anything in later; at every call
    it would take longer than a small batch.
    """

    @functools.wraps(method)
    def wrapper(self, *args, **kwargs):
        kept = vars(self).get("_kept")
        if kept is None or not kept.holds(self):
            if "_kept" in vars(self):
                self._kept = None
            if "_params" in vars(self) and not get_config()["skip_parameter_validation"]:
                self._validate_params()
        return method(self, *args, **kwargs)

    return wrapper
