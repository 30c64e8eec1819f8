"""The parameters of a fitted network: one flat vector, seen as ``coefs_`` and ``intercepts_``."""

import inspect
import operator

import numpy as np
from scipy import sparse

from skneural.backends import devices
from skneural.estimators import _threads
from skneural.estimators._state import check_names, network_of, plain, reason
from skneural.network.program import aligned_zeros
from skneural.training.state import SolverState, aligned_copy

#: Variants of a network that are kept ready for prediction.
MOST_PREDICTORS = 16
#: Lists that grow with every epoch.
RECORDS = ("loss_curve_", "validation_scores_", "validation_loss_curve_")
#: Parameters of estimators that decide how many weights there are.
SHAPING = ("hidden_layer_sizes", "head_layer_sizes", "bidirectional", "standardize", "normalization")


def rows_of(X):
    """Rows as the engine reads them: an array, or (values, indices, indptr) of a CSR matrix with sorted columns."""
    if not sparse.issparse(X):
        return X
    if not X.has_sorted_indices:
        X = X.sorted_indices()
    return X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)


class Predictors:
    """Compiled forward passes over one vector of parameters, made as they are asked for.

    Parameters
    ----------
    program : Program
    params : ndarray of shape (n_params,)
    views : tuple of ndarray
        What users see of `params`.
    target : object
        What the outputs mean.
    """

    def __init__(self, program, params, views, target):
        self.program, self.params, self.views, self.target = program, params, views, target
        self._made = {}

    def get(self, device, precision, with_loss, variant):
        """The forward pass for a variant of the program."""
        kind = device, precision, with_loss, *variant.values()
        predictor = self._made.get(kind)
        if predictor is None:
            if len(self._made) >= MOST_PREDICTORS:  # sequences of ever other lengths
                self._made.clear()
            program = self.program.variant(**variant)
            predictor = devices.make_predictor(device, precision, program, self.params, with_loss)
            self._made[kind] = predictor
        return predictor

    def close(self):
        """Give back what they keep on a device."""
        for predictor in list(self._made.values()):
            predictor.close()


def _are_current(attributes):
    """Whether the arrays that users see are the views that `FlatParameters._adopt` made."""
    arrays = [*attributes["coefs_"], *attributes["intercepts_"], *attributes.get("recurrent_coefs_", ())]
    views = attributes["_predictors"].views
    return len(arrays) == len(views) and all(map(operator.is_, arrays, views))


class FlatParameters:
    """Mixin: ``_params`` is the vector, ``_program`` says what stands where.

    Users may assign to ``coefs_``, ``recurrent_coefs_`` and ``intercepts_``, whole or in part; pickles hold every
    number once. A thread may predict while another one fits: network, parameters and what the outputs mean always
    belong together, so they are set in one go, and taken in one go. The weights are those that are being trained.
    """

    def __sklearn_is_fitted__(self):
        return "_params" in vars(self)  # users may have set weights to begin with

    def _adopt(self, program, params, target=None):
        """Make `params` the parameters, laid out as `program` says, of outputs that mean what `target` says."""
        target = vars(self).get("_target") if target is None else target
        fresh = {"_program": program, "_params": params, **self._seen(program, params, target)}
        if target is not None:
            fresh["_target"] = target
        before = vars(self).copy()  # lives for longer: the end of an array may let another thread in
        vars(self).update(fresh)
        del before

    @staticmethod
    def _seen(program, params, target=None):
        """Attributes that are views of the parameters, or depend on where they are."""
        views = program.views(params)
        flat = tuple(view for group in views.values() for view in group)
        predictors = Predictors(program, params, flat, target)
        return {**views, "norms_": program.norm_views(params), "_predictors": predictors, "_kept": None}

    def _collected(self, program):
        """The parameters as a vector for `program`: ``_params`` itself unless arrays have been assigned since."""
        known = getattr(self, "_program", None)
        if known is not None and (known is program or known.same_parameters(program)) and _are_current(vars(self)):
            return self._params
        fresh = aligned_zeros(program.n_params, program.dtype)
        groups = program.views(fresh)
        arrays = [array for name in groups for array in getattr(self, name, ())]
        places = [place for group in groups.values() for place in group]
        shapes = [np.shape(a) for a in arrays]
        if shapes != [place.shape for place in places] or (known and known.n_norms != program.n_norms):
            matter = [name for name in SHAPING if hasattr(self, name)]
            raise ValueError(
                f"The weights of the previous fit do not fit this network: {' and '.join(groups)} have shapes "
                f"{shapes}, expected {[place.shape for place in places]}. warm_start and partial_fit need the same "
                f"{', '.join(matter)} and outputs as before."
            )
        if known is None and program.norms:
            raise ValueError(
                "Weights that are set before the first fit need a network that normalizes nothing: what a "
                "normalization has learnt cannot be set. A fit without them, of one epoch, makes room for them."
            )
        for place, array in zip(places, arrays, strict=True):
            place[...] = array
        for norms, before in zip(program.norm_views(fresh), getattr(self, "norms_", []), strict=True):
            for name, place in norms.items():
                place[...] = before[name]
        return fresh

    def _weights_dtype(self):
        if hasattr(self, "_params"):
            return self._params.dtype
        dtypes = {np.asarray(array).dtype for array in self.coefs_}  # set by hand
        if not all(dtype.kind in "biuf" for dtype in dtypes):
            raise ValueError(f"coefs_ must be arrays of real numbers, got {', '.join(sorted(map(str, dtypes)))}.")
        return np.dtype(np.float32 if dtypes == {np.dtype(np.float32)} else np.float64)

    def _is_current(self):
        """Whether users have assigned no other arrays."""
        return _are_current(vars(self))

    def _current_predictors(self):
        """The forward passes over the parameters as they are now."""
        attributes = vars(self).copy()
        if _are_current(attributes):
            return attributes["_predictors"]
        self._adopt(self._program, self._collected(self._program))
        return self._predictors

    def _predictor(self, with_loss=False, **variant):
        """A compiled forward pass over the parameters as they are now, and the targets that say what comes out.

        `variant` is that of the program.
        """
        device, predictors = devices.predicting_device(self.device_), self._current_predictors()
        return predictors.get(device, self.precision, with_loss, variant), predictors.target

    def _n_threads(self):
        return _threads.n_threads(None if self.n_jobs is None else int(self.n_jobs))

    def _snapshot(self):
        """Attributes of an estimator that predicts with the parameters as they are now."""
        params = aligned_copy(self._params)
        return {"_params": params, **self._seen(self._program, params, self._target)}

    def __getstate__(self):
        if "_params" in self.__dict__:
            params = self._collected(self._program)
            if params is not self._params:
                self._adopt(self._program, params)
        state = super().__getstate__().copy()
        if "_params" in state:
            for name in self._seen(self._program, self._params):
                del state[name]
        return plain(state)

    def __setstate__(self, state):
        try:
            self._restore(state)
        except MemoryError:
            raise
        except Exception as error:  # what is wrong may show anywhere
            raise ValueError(f"This state of {type(self).__name__} cannot be used: {reason(error)}") from error

    def _restore(self, state):
        """Take over a state, after all of it has been held against the network that it describes."""
        state = plain(state)
        check_names(type(self), state)
        network = network_of(type(self), state)
        requests = state.pop("_metadata_request", None)
        super().__setstate__({**self._defaults(state), **state})
        if network is not None:
            program, self._target = network
            if "_state" in vars(self):
                self._state = SolverState.from_plain(self._state)
            self.__dict__.setdefault("device_", "cpu")
            self._own(program, self._params)
        if requests:
            self._request_metadata(requests)

    def _own(self, program, params):
        """Keep copies in memory of our own, aligned: what was loaded may be mapped and read-only."""
        self._adopt(program, aligned_copy(params))
        if "_state" in vars(self):
            self._state = self._state.copy()

    def __copy__(self):
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        if "_params" in vars(self):  # nothing has been outside: there is nothing to check
            copied._own(self._program, self._collected(self._program))
            copied._own_records()
        return copied

    def _own_records(self):
        """Let curves and history grow apart from those of the estimator that this one is a copy of."""
        for name in RECORDS:
            if isinstance(vars(self).get(name), list):
                vars(self)[name] = vars(self)[name].copy()
        if "history_" in vars(self):
            self.history_ = {name: values.copy() for name, values in self.history_.items()}

    def _defaults(self, state):
        """Defaults of the parameters that a state lacks: it was written before there were these."""
        missing = set(self._get_param_names()) - state.keys()
        if not missing:
            return {}
        arguments = inspect.signature(type(self)).parameters
        defaults = {name: arguments[name].default for name in missing}
        return {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}

    def _request_metadata(self, requests):
        routing = self.get_metadata_routing()
        for method, aliases in requests.items():
            for name, alias in aliases.items():
                getattr(routing, method).add_request(param=name, alias=alias)
        self._metadata_request = routing
