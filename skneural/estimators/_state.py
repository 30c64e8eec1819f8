"""What pickles and files hold of an estimator: plain values, and the way back, on which nothing is trusted.

Plain are None, booleans, numbers, text, lists, tuples and dicts of these, arrays, and random generators; so whoever
loads a state need trust no class but the estimator's. The kernels work with addresses: `network_of` holds everything
that they will read against a network that it lowers anew, whichever way a state came.
"""

import math
from numbers import Integral

import numpy as np

from skneural.backends.devices import is_device
from skneural.estimators._layers import HOLDERS, plain_layers
from skneural.estimators._reconstruction import LOSS_NAMES, Reconstruction
from skneural.estimators._samples import SampleTargets
from skneural.estimators._samples_state import check_adversarial, check_samples
from skneural.estimators._targets import REAL_LOSSES, ClassTargets, RealTargets
from skneural.estimators._values import ARRAYS, is_count, is_number
from skneural.maths.losses import LOSSES
from skneural.network.description import describe, lower_description
from skneural.network.program import Program
from skneural.training.state import SolverState

#: Attributes of targets, and what each may be.
TARGETS = {
    ClassTargets: {
        "multilabel": (bool,),
        "sparse": (bool,),
        "classes_": ARRAYS,
        "n_outputs": (int,),
        "loss": (str,),
    },
    RealTargets: {
        "n_targets": (int,),
        "n_outputs": (int,),
        "loss": (str,),
        "quantiles": (*ARRAYS, type(None)),
        "center": (*ARRAYS, type(None)),
        "scale": (*ARRAYS, type(None)),
    },
    Reconstruction: {
        "shape": (tuple,),
        "loss": (str,),
        "n_encoder": (int,),
        "n_outputs": (int,),
        "center": (*ARRAYS, type(None)),
        "scale": (*ARRAYS, type(None)),
    },
    SampleTargets: {
        "loss": (str,),
        "classes_": (*ARRAYS, type(None)),
        "shares": (*ARRAYS, type(None)),
        "center": ARRAYS,
        "scale": ARRAYS,
        "widths": ARRAYS,
    },
}

#: The state of the solver: its vectors, which are empty where they have been left out, and its counters.
MOMENTS = ("s", "v")
COUNTERS = ("seed", "step", "epoch", "batches", "waited")
RATES = ("initial", "lowered", "lowest")

#: State numbers of random generators that NumPy takes for places in their tables, and the largest.
PLACES = {"pos": 624, "buffer_pos": 4}

#: Attributes by which predictions check their data.
COUNTS = ("n_features_in_", "n_timesteps_in_")

#: Attributes by which scikit-learn ends what callbacks have begun: of a running fit, or of this process.
CALLBACKS = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx", "_parent_callback_ctx")

#: What pickles hold of users' classes of layers: where to import them from.
CLASSES = "_layer_classes"

#: Attributes that follow from others.
DERIVED = ("_views", "_predictors", "_kept")

#: Parts of a network, which mean nothing without its parameters.
PARTS = ("_program", "_target", "_state")


# -- there -------------------------------------------------------------------------------------------------------------


def plain(state):
    """A state whose objects have become plain values.

    Parameters
    ----------
    state : dict
        Attributes of an estimator by name; as they are in memory, as a pickle of an older version has them, or plain.

    Returns
    -------
    dict
    """
    state = dict(state)
    if isinstance(state.get("_program"), Program):
        state["_program"] = describe(state["_program"])
    if isinstance(state.get("_state"), SolverState):
        state["_state"] = state["_state"].to_plain()
    for name in HOLDERS:
        if name in state:
            state[name] = plain_layers(state[name])
    targets = state.get("_target")
    if type(targets) in TARGETS:
        state["_target"] = {"kind": type(targets).__name__, **vars(targets), "loss": str(targets.loss)}
    requests = state.get("_metadata_request")
    if requests is not None and type(requests) is not dict:
        by_method = {}
        for name, method in vars(requests).items():
            if hasattr(method, "requests"):
                by_method[name] = dict(method.requests)
        state["_metadata_request"] = by_method
    return state


def for_serving(state):
    """A plain state without what only a fit needs: the vectors of the solver, and the past.

    The counters of the solver stay: running statistics of batch normalisation go on by them.
    """
    state = dict(state)
    for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_"):
        if state.get(name) is not None:
            state[name] = []
    if "history_" in state:
        state["history_"] = {name: [] for name in state["history_"]}
    if "_state" in state:
        state["_state"] = {name: value for name, value in state["_state"].items() if name != "run"}
        for name in MOMENTS:
            state["_state"][name] = state["_state"][name][:0]
    return state


# -- and back ----------------------------------------------------------------------------------------------------------


def check_names(cls, state):
    """Raise if a state would replace what a class defines, its methods and the rules for its parameters among them.

    Raises
    ------
    ValueError
        Naming the attribute.
    """
    ours = next(base for base in cls.__mro__ if base.__module__.startswith("skneural."))
    for name in state:
        is_name = type(name) is str and not name.startswith("__")
        is_taken = name in DERIVED or (is_name and hasattr(ours, name))
        if not is_name or is_taken:
            raise ValueError(f"{name!r} is not an attribute that an estimator has.")


def network_of(cls, state):
    """The network and the targets that a state describes, after all of the state has been held against them.

    Parameters
    ----------
    cls : type
        Of the estimator.
    state : dict
        Plain.

    Returns
    -------
    (Program, targets) or None
        None if the estimator is not fitted.

    Raises
    ------
    ValueError
        If the parts do not fit together.
    """
    if "_params" not in state:
        if any(name in state for name in PARTS):
            raise ValueError("there are parts of a network without its parameters.")
        return None
    for name in ("_program", "_target", "n_features_in_"):
        if name not in state:
            raise ValueError(f"{name!r} is missing.")
    program = lower_description(state["_program"])
    targets = _targets_of(state["_target"])
    _check_vector("_params", state["_params"], program)
    if "_state" in state:
        _check_solver(state["_state"], program)
    _check_attributes(cls, state, program, targets)
    _check_targets(targets, state.get("classes_"), program)
    return program, targets


def _check_vector(name, vector, program, may_be_empty=False):
    """Raise unless it is an array as long as the parameters of the network, of their type."""
    if type(vector) not in ARRAYS:
        raise ValueError(f"{name!r} is not an array.")
    shapes = [(program.n_params,), (0,)] if may_be_empty else [(program.n_params,)]
    if vector.dtype != program.dtype or vector.shape not in shapes:
        raise ValueError(
            f"{name!r} has shape {vector.shape} and dtype {vector.dtype}, the network has {program.n_params} "
            f"parameters of {program.dtype}."
        )


def _check_solver(solver, program):
    """Raise unless it is the state of a solver of the network."""
    if type(solver) is not dict:
        raise ValueError("the state of the solver is none.")
    missing = {*MOMENTS, *COUNTERS, *RATES} - solver.keys()
    if missing:
        raise ValueError(f"the state of the solver has no {', '.join(sorted(missing))}.")
    for name, value in solver.items():
        if name in MOMENTS:
            _check_vector(name, value, program, may_be_empty=True)
        elif name == "run":
            _check_run(value, program)
        elif not (is_count(value) if name in COUNTERS else is_number(value)):
            raise ValueError(f"the state of the solver has {name}={value!r}.")


def _check_run(run, program):
    """Raise unless it is what is known of a fit that is not at its end."""
    if type(run) is not dict:
        raise ValueError("the state of the fit is none.")
    for name, value in run.items():
        if name in ("best_params", "last_params"):
            _check_vector(name, value, program)
        elif name == "random":
            if value is not None:
                check_random(value)
        elif name == "data":
            if not _is_pair(value) or not all(map(_is_fingerprint, value)):
                raise ValueError("the fingerprints of the data are none.")
        elif not (value is None or isinstance(value, bool | np.bool_) or is_number(value)):
            raise ValueError(f"the state of the fit has {name}={value!r}.")


def _is_pair(value):
    return type(value) in (list, tuple) and len(value) == 2


def _is_fingerprint(value):
    return value is None or (_is_pair(value) and all(map(is_count, value)))


def check_random(random):
    """Raise unless it is a random generator whose state NumPy can go on with.

    Raises
    ------
    ValueError
        If it is not.
    """
    if type(random) is not np.random.RandomState:
        raise ValueError("a random generator is none.")
    state = random.get_state(legacy=False)
    places = {**state, **state["state"]}
    for name, last in PLACES.items():
        if not 0 <= places.get(name, 0) <= last:
            raise ValueError("the state of a random generator is not one.")


def _check_attributes(cls, state, program, targets):
    """Raise unless the fitted attributes are those of the network: numbers of inputs and outputs, and the rest."""
    n_features = program.source.n_features
    n_timesteps = program.n_timesteps
    loss = program.loss
    expected = {
        "n_outputs_": program.n_outputs,
        "n_layers_": program.n_layers + 1,
        "out_activation_": LOSSES[loss].link,
        "_n_channels": n_features,
    }
    reads_sequences = n_timesteps > 0
    if reads_sequences not in cls._reader.reads_sequences:
        raise ValueError("the network is not for the kind of data that the estimator reads.")
    is_table = False  # whose columns are time steps
    is_image = holds_images(cls, state)
    if is_image:
        _check_images(state, program)
    elif reads_sequences:
        is_table = _is_table(state)
    if is_table:
        expected["_n_channels"] = 1
    elif cls._reader.reads_samples:
        expected["n_features_in_"] = check_adversarial(state, program, targets)
    else:
        expected["n_features_in_"] = n_features * (n_timesteps if is_image else 1)
    for name, value in expected.items():
        if name in state and not (isinstance(state[name], Integral | str) and state[name] == value):
            raise ValueError(f"{name} is {state[name]!r}, of the network {value}.")
    if n_features != expected["_n_channels"]:
        raise ValueError(f"the network reads {n_features} features, of a table it reads one.")
    for name in COUNTS:
        if name in state and not is_count(state[name]):
            raise ValueError(f"{name} is {state[name]!r}.")
    if not is_device(state.get("device_", "cpu")):  # older states name none
        raise ValueError(f"there is no device {state['device_']!r}.")


def holds_images(cls, state):
    """Whether what the network of a state reads as sequences are images, a step for each pixel."""
    return cls._reader.reads_images or (True in cls._reader.reads_sequences and "image_shape_" in state)


def _is_table(state):
    """Whether the sequences that a network reads are rows of a table, whose columns are time steps."""
    if "_n_channels" not in state or type(state.get("_table")) is not bool:
        raise ValueError("it is not said what sequences the network reads.")
    is_table = state["_table"]
    n_axes = state.get("_n_axes", 2)  # older states do not say
    if not is_count(n_axes) or n_axes not in ((2,) if is_table else (2, 3)):
        raise ValueError(f"X cannot have had {n_axes!r} axes.")
    return is_table


def _check_images(state, program):
    """Raise unless it is said what images the network reads, a step for each pixel."""
    n_features = program.source.n_features
    shape = state.get("image_shape_")
    is_shape = type(shape) is tuple and len(shape) == 3 and all(map(is_count, shape))
    if not is_shape or shape[2] != n_features or math.prod(shape[:2]) != program.n_timesteps:
        raise ValueError(
            f"image_shape_ is {shape!r}, of the network {program.n_timesteps} pixels of {n_features} channels."
        )
    n_axes = state.get("_n_axes")
    if not is_count(n_axes) or n_axes not in (2, 3, 4):
        raise ValueError(f"X cannot have had {n_axes!r} axes.")


def _targets_of(description):
    """Targets from their attributes."""
    if type(description) is not dict:
        raise ValueError("the targets are none.")
    attributes = dict(description)
    kind = attributes.pop("kind", None)
    cls = next((cls for cls in TARGETS if cls.__name__ == kind), None)
    if cls is None:
        raise ValueError(f"there are targets of an unknown kind, {kind!r}: was it written by a newer version?")
    types = TARGETS[cls]
    if attributes.keys() != types.keys():
        raise ValueError("the targets are described in other words: was it written by a newer version?")
    for name, value in attributes.items():
        if type(value) not in types[name]:
            raise ValueError(f"the targets have {name}={value!r}.")
    targets = object.__new__(cls)
    vars(targets).update(attributes)
    return targets


def _check_targets(targets, classes, program):
    """Raise unless targets are what the loss reads: one class's number, or one number for each output."""
    n_outputs, loss = program.n_outputs, program.loss
    if targets.n_outputs != n_outputs or targets.loss != loss:
        raise ValueError("the targets have other outputs or another loss than the network.")
    if isinstance(targets, Reconstruction):
        _check_reconstruction(targets, classes, program)
    elif isinstance(targets, SampleTargets):
        check_samples(targets, classes, program)
    elif isinstance(targets, RealTargets):
        if classes is not None or loss not in REAL_LOSSES:
            raise ValueError(f"the loss {loss!r} is for classes, and there are none.")
        _check_real_targets(targets, n_outputs)
    else:
        _check_classes(targets, classes, n_outputs)
    # Any value will do: this is about how many there are.
    given = {"focal_alpha": None}
    constants = [targets.constants(name, given.get(name, 0.5)) for name in LOSSES[loss].settings]
    if len(program.settings) != sum(map(len, constants)):
        raise ValueError(f"the loss {loss!r} has {len(program.settings)} settings.")


def _check_real_targets(targets, n_outputs):
    n_each = 1
    quantiles = targets.quantiles
    if quantiles is not None:
        if quantiles.ndim != 1 or quantiles.dtype != np.float64:
            raise ValueError("the quantiles of the targets are none.")
        if not np.all((quantiles > 0) & (quantiles < 1)):
            raise ValueError("the quantiles of the targets are not between 0 and 1.")
        n_each = len(quantiles)
    n_targets = targets.n_targets
    if n_targets < 1 or n_targets * n_each != n_outputs:
        raise ValueError(f"there are {n_targets} targets, but {n_outputs} outputs.")
    _check_scale(targets, [(n_targets,)])


def _check_scale(targets, shapes):
    """Raise unless targets are scaled by arrays of one of some shapes, or not at all."""
    if targets.center is None and targets.scale is None:
        return
    for array in (targets.center, targets.scale):
        if array is None or array.dtype.kind != "f" or array.shape not in shapes:
            raise ValueError("the targets are not scaled by one number each.")


def _check_reconstruction(targets, classes, program):
    source = program.source
    if classes is not None or targets.loss not in LOSS_NAMES.values():
        raise ValueError(f"the loss {targets.loss!r} is not for reconstructions.")
    expected = (source.n_timesteps, source.n_features) if source.n_timesteps else (source.n_features,)
    if not all(map(is_count, targets.shape)) or targets.shape != expected:
        raise ValueError(f"what is reconstructed has the shape {targets.shape!r}, what the network reads {expected}.")
    if math.prod(expected) != program.n_outputs or not 0 < targets.n_encoder <= len(source.layers):
        raise ValueError("the network does not return what it reads.")
    _check_scale(targets, [(source.n_features,), (1,)])


def _check_classes(targets, classes, n_outputs):
    learnt = targets.classes_
    n_classes = len(learnt) if learnt.ndim == 1 else 0
    link = LOSSES[targets.loss].link
    if link not in ("logistic", "softmax"):
        raise ValueError(f"the loss {targets.loss!r} is not for classes.")
    is_ascending = n_classes > 0 and bool(np.all(learnt[1:] > learnt[:-1]))
    if not is_ascending or type(classes) not in ARRAYS or not np.array_equal(learnt, classes):
        raise ValueError("the classes are not sorted, or not those of the targets.")
    if targets.multilabel and not np.array_equal(learnt, np.arange(n_outputs)):
        raise ValueError("the classes of several labels are not their numbers.")
    is_one_of_many = n_classes > 2 and not targets.multilabel
    has_output_each = is_one_of_many or targets.multilabel
    if n_outputs != (n_classes if has_output_each else 1):
        raise ValueError(f"there are {n_classes} classes, but {n_outputs} outputs.")
    if link != ("softmax" if is_one_of_many else "logistic"):
        raise ValueError(f"the loss {targets.loss!r} is not for these classes.")


# -- words -------------------------------------------------------------------------------------------------------------


def reason(error):
    """What an error says, as one line; with the name of its class unless it is one of ours."""
    if type(error) is KeyError:
        words = f"{error} is missing."
    else:
        words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return " ".join(words.split())
