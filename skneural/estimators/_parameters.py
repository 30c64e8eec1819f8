"""The parameters of a fitted network: one flat vector, seen as ``coefs_`` and ``intercepts_``."""

import operator

import numpy as np
from scipy import sparse

from skneural.backends import devices
from skneural.network.program import aligned_zeros

#: Variants of a network that are kept ready for prediction.
MOST_PREDICTORS = 16
#: Parameters of estimators that decide how many weights there are.
SHAPING = ("hidden_layer_sizes", "head_layer_sizes", "bidirectional", "standardize", "normalization")
#: What a pickle means that was written before there were these parameters.
BEFORE_DEVICES = {"device": "cpu", "precision": "full"}


def rows_of(X):
    """Rows as the engine reads them: an array, or (values, indices, indptr) of a CSR matrix with sorted columns."""
    if not sparse.issparse(X):
        return X
    if not X.has_sorted_indices:
        X = X.sorted_indices()
    return X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)


def _aligned_copy(array):
    copy = aligned_zeros(len(array), array.dtype)
    copy[:] = array
    return copy


class FlatParameters:
    """Mixin: ``_params`` is the vector, ``_program`` says what stands where.

    Users may assign to ``coefs_``, ``recurrent_coefs_`` and ``intercepts_``, whole or in part; pickles hold every
    number once.
    """

    def _adopt(self, program, params):
        """Make `params` the parameters, laid out as `program` says."""
        self._program, self._params = program, params
        vars(self).update(self._seen(program, params))

    @staticmethod
    def _seen(program, params):
        """Attributes that are views of the parameters, or depend on where they are."""
        views = program.views(params)
        flat = [view for group in views.values() for view in group]
        return {**views, "norms_": program.norm_views(params), "_views": tuple(flat), "_predictors": {}}

    def _collected(self, program):
        """The parameters as a vector for `program`: ``_params`` itself unless arrays have been assigned since."""
        known = getattr(self, "_program", None)
        if known is not None and (known is program or known.same_parameters(program)) and self._is_current():
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
        for place, array in zip(places, arrays, strict=True):
            place[...] = array
        for norms, before in zip(program.norm_views(fresh), getattr(self, "norms_", []), strict=True):
            for name, place in norms.items():
                place[...] = before[name]
        return fresh

    def _weights_dtype(self):
        return self._params.dtype if hasattr(self, "_params") else np.asarray(self.coefs_[0]).dtype

    def _is_current(self):
        """Whether the arrays that users see are the views that `_adopt` made."""
        arrays = [*self.coefs_, *self.intercepts_, *vars(self).get("recurrent_coefs_", ())]
        return len(arrays) == len(self._views) and all(map(operator.is_, arrays, self._views))

    def _predictor(self, with_loss=False, **variant):
        """A compiled forward pass over the parameters as they are now, for a variant of the program."""
        params = self._collected(self._program)
        if params is not self._params:
            self._adopt(self._program, params)
        device = devices.predicting_device(self.device_)
        kind = device, self.precision, with_loss, *variant.values()
        if kind not in self._predictors:
            if len(self._predictors) >= MOST_PREDICTORS:  # sequences of ever other lengths
                self._predictors.clear()
            program = self._program.variant(**variant)
            self._predictors[kind] = devices.make_predictor(device, self.precision, program, self._params, with_loss)
        return self._predictors[kind]

    def _n_threads(self):
        from skneural.backends.cpu.crew import n_threads

        return n_threads(self.n_jobs)

    def _snapshot(self):
        """Attributes of an estimator that predicts with the parameters as they are now."""
        params = _aligned_copy(self._params)
        return {"_params": params, **self._seen(self._program, params)}

    def __getstate__(self):
        if "_params" in self.__dict__:
            params = self._collected(self._program)
            if params is not self._params:
                self._adopt(self._program, params)
        state = super().__getstate__().copy()
        if "_params" in state:
            for name in self._seen(self._program, self._params):
                del state[name]
        return state

    def __setstate__(self, state):
        super().__setstate__({**BEFORE_DEVICES, **state})
        if "_params" in self.__dict__:  # memory of our own, aligned: what was loaded may be mapped and read-only
            self.__dict__.setdefault("device_", "cpu")
            self._adopt(self._program, _aligned_copy(self._params))
        if "_state" in self.__dict__:
            self._state = {**self._state, **{name: _aligned_copy(self._state[name]) for name in ("s", "v")}}
