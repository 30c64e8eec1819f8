"""Estimators on their way into pickles, files and copies, and back."""

import inspect

from sklearn.base import BaseEstimator

from skneural.estimators._layers import HOLDERS, from_plain_layers, own_classes
from skneural.estimators._parameters import adopt, collected, own, views_of
from skneural.estimators._state import CLASSES, check_names, network_of, plain
from skneural.training.state import SolverState

#: Lists that grow with every epoch.
RECORDS = ("loss_curve_", "validation_scores_", "validation_loss_curve_")


def state_of(est):
    """The attributes of an estimator as plain values, every number once."""
    if "_params" in vars(est):
        params = collected(est, est._program)
        if params is not est._params:
            adopt(est, est._program, params)
    state = BaseEstimator.__getstate__(est).copy()
    if "_params" in state:
        for name in views_of(est._program, est._params):
            del state[name]
    held = [state.get(name) for name in HOLDERS]
    classes = own_classes(*held, est._program.source.layers if "_params" in state else ())
    if classes:
        state[CLASSES] = classes
    return plain(state)


def restore(est, state):
    """Take over a state, after all of it has been held against the network that it describes."""
    state = plain(state)
    state.pop(CLASSES, None)
    check_names(type(est), state)
    network = network_of(type(est), state)
    requests = state.pop("_metadata_request", None)
    for name in HOLDERS:
        if name in state:
            state[name] = from_plain_layers(state[name])
    BaseEstimator.__setstate__(est, {**_defaults(est, state), **state})
    if network is not None:
        program, est._target = network
        if "_state" in vars(est):
            est._state = SolverState.from_plain(est._state)
        vars(est).setdefault("device_", "cpu")
        own(est, program, est._params)
    if requests:
        _request_metadata(est, requests)


def copy_of(est):
    """An estimator of its own that goes on from where another one stands."""
    copied = type(est).__new__(type(est))
    vars(copied).update(vars(est))
    if "_params" in vars(est):  # nothing has been outside: there is nothing to check
        own(copied, est._program, collected(est, est._program))
        _own_records(copied)
    return copied


def _own_records(est):
    """Let curves and history grow apart from those of the estimator that this one is a copy of."""
    for name in RECORDS:
        if isinstance(vars(est).get(name), list):
            vars(est)[name] = vars(est)[name].copy()
    if "history_" in vars(est):
        est.history_ = {name: values.copy() for name, values in est.history_.items()}


def _defaults(est, state):
    """Defaults of the parameters that a state lacks: it was written before there were these."""
    missing = set(est._get_param_names()) - state.keys()
    if not missing:
        return {}
    arguments = inspect.signature(type(est)).parameters
    defaults = {name: arguments[name].default for name in missing}
    return {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}


def _request_metadata(est, requests):
    routing = est.get_metadata_routing()
    for method, aliases in requests.items():
        for name, alias in aliases.items():
            getattr(routing, method).add_request(param=name, alias=alias)
    est._metadata_request = routing
