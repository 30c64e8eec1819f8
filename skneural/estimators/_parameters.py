"""The parameters of a fitted network: one flat vector, seen as ``coefs_`` and ``intercepts_``."""

import operator

import numpy as np
from scipy import sparse

from skneural.network.program import aligned_zeros


def rows_of(X):
    """X as the engine reads it: an array, or (values, indices, indptr) of a CSR matrix with sorted columns."""
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

    Users may assign to ``coefs_`` and ``intercepts_``, whole or in part; pickles hold every number once.
    """

    def _adopt(self, program, params):
        """Make `params` the parameters, laid out as `program` says."""
        self._program, self._params = program, params
        self.coefs_, self.intercepts_ = program.coefs(params), program.intercepts(params)
        self.norms_ = program.norm_views(params)
        self._views = (*self.coefs_, *self.intercepts_)
        self._predictors = {}

    def _collected(self, program):
        """The parameters as a vector for `program`: ``_params`` itself unless arrays have been assigned since."""
        arrays = [*self.coefs_, *self.intercepts_]
        known = getattr(self, "_program", None)
        if known is not None and known.same_parameters(program) and self._is_current(arrays):
            return self._params
        fresh = aligned_zeros(program.n_params, program.dtype)
        places = program.coefs(fresh) + program.intercepts(fresh)
        shapes = [np.shape(a) for a in arrays]
        if shapes != [place.shape for place in places] or (known and known.n_norms != program.n_norms):
            raise ValueError(
                "The weights of the previous fit do not fit this network: coefs_ and intercepts_ have shapes "
                f"{shapes}, expected {[place.shape for place in places]}. warm_start and partial_fit need the same "
                "hidden_layer_sizes, normalization and outputs as before."
            )
        for place, array in zip(places, arrays, strict=True):
            place[...] = array
        for norms, before in zip(program.norm_views(fresh), getattr(self, "norms_", []), strict=True):
            for name, place in norms.items():
                place[...] = before[name]
        return fresh

    def _is_current(self, arrays):
        """Whether all arrays are the views that `_adopt` made."""
        return len(arrays) == len(self._views) and all(map(operator.is_, arrays, self._views))

    def _predictor(self, is_sparse, with_loss=False):
        """A compiled forward pass over the parameters as they are now."""
        from skneural.backends.cpu.engine import Predictor

        params = self._collected(self._program)
        if params is not self._params:
            self._adopt(self._program, params)
        kind = is_sparse, with_loss
        if kind not in self._predictors:
            program = self._program.variant(sparse=is_sparse)
            self._predictors[kind] = Predictor(program, self._params, with_loss)
        return self._predictors[kind]

    def _snapshot(self):
        """Attributes of an estimator that predicts with the parameters as they are now."""
        params = _aligned_copy(self._params)
        coefs, intercepts = self._program.coefs(params), self._program.intercepts(params)
        norms = self._program.norm_views(params)
        views = {"coefs_": coefs, "intercepts_": intercepts, "norms_": norms, "_views": (*coefs, *intercepts)}
        return {"_params": params, "_predictors": {}, **views}

    def __getstate__(self):
        if "_params" in self.__dict__:
            params = self._collected(self._program)
            if params is not self._params:
                self._adopt(self._program, params)
        state = super().__getstate__().copy()
        if "_params" in state:
            for name in ("coefs_", "intercepts_", "norms_", "_views", "_predictors"):
                del state[name]
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if "_params" in self.__dict__:  # memory of our own, aligned: what was loaded may be mapped and read-only
            self._adopt(self._program, _aligned_copy(self._params))
        if "_state" in self.__dict__:
            self._state = {**self._state, **{name: _aligned_copy(self._state[name]) for name in ("s", "v")}}
