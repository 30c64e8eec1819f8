"""The parameters of a fitted network: one flat vector, seen as ``coefs_`` and ``intercepts_``.

Of an estimator ``_params`` is the vector, and ``_program`` says what stands where. Users may assign to ``coefs_``,
``recurrent_coefs_`` and ``intercepts_``, whole or in part. A thread may predict while another one fits: network,
parameters and what the outputs mean always belong together, so they are set in one go, and taken in one go. The weights
are those that are being trained.
"""

import operator

import numpy as np

from skneural.backends import devices
from skneural.network.memory import aligned_zeros
from skneural.training.state import aligned_copy

#: Variants of a network that are kept ready for prediction.
MOST_PREDICTORS = 16
#: Parameters of estimators that decide how many weights there are.
SHAPING = (
    "layers", "encoder", "decoder", "filters", "convs_per_block", "kernel_size", "kernel_sizes", "pool_size", "padding",
    "global_pooling", "hidden_layer_sizes", "head_layer_sizes", "bidirectional", "standardize", "rescale",
    "normalization",
)  # fmt: skip


def rows_of(X):
    """Rows as the engine reads them: an array, or (values, indices, indptr) of a CSR matrix with sorted columns."""
    if isinstance(X, np.ndarray):
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
    groups : dict of lists of ndarray
        What users see of `params`, by the names of fitted attributes.
    target : object
        What the outputs mean.
    """

    def __init__(self, program, params, groups, target):
        self.program = program
        self.params = params
        self.groups = {name: tuple(views) for name, views in groups.items()}
        self.target = target
        self._made = {}
        self._parts = {}

    def get(self, device, precision, with_loss, variant):
        """The forward pass for a variant of the program."""
        kind = device, str(precision), with_loss, *variant.values()  # what was unpickled may be anything
        predictor = self._made.get(kind)
        if predictor is None:
            if len(self._made) >= MOST_PREDICTORS:  # sequences of ever other lengths
                self._made.clear()
            program = self.program.variant(**variant)
            predictor = devices.make_predictor(device, precision, program, self.params, with_loss)
            self._made[kind] = predictor
        return predictor

    def part(self, name, make):
        """Those over a part of the network; ``make(program, params, target)`` returns its program, and a view."""
        if name not in self._parts:
            program, params = make(self.program, self.params, self.target)
            self._parts[name] = Predictors(program, params, {}, self.target)
        return self._parts[name]

    def close(self):
        """Give back what they keep on a device."""
        for predictor in [*self._made.values(), *self._parts.values()]:
            predictor.close()


def _are_current(attributes):
    """Whether the arrays that users see are the views that `adopt` made."""
    for name, views in attributes["_predictors"].groups.items():
        arrays = attributes.get(name, ())
        if len(arrays) != len(views) or not all(map(operator.is_, arrays, views)):
            return False
    return True


def adopt(est, program, params, target=None):
    """Make `params` the parameters, laid out as `program` says, of outputs that mean what `target` says."""
    target = vars(est).get("_target") if target is None else target
    fresh = {"_program": program, "_params": params, **views_of(program, params, target)}
    if target is not None:
        fresh["_target"] = target
    before = vars(est).copy()  # lives for longer: the end of an array may let another thread in
    vars(est).update(fresh)
    if before.get("_predictors") is not None:
        for name in before["_predictors"].groups.keys() - fresh.keys():  # of layers that there are no more
            vars(est).pop(name, None)
    del before


def views_of(program, params, target=None):
    """Attributes that are views of the parameters, or depend on where they are."""
    views = program.views(params)
    predictors = Predictors(program, params, views, target)
    return {**views, "norms_": program.norm_views(params), "_predictors": predictors, "_kept": None}


def collected(est, program):
    """The parameters as a vector for `program`: ``_params`` itself unless arrays have been assigned since."""
    known = getattr(est, "_program", None)
    fits = known is not None and (known is program or known.same_parameters(program))
    if fits and _are_current(vars(est)):
        return est._params
    fresh = aligned_zeros(program.n_params, program.dtype)
    groups = program.views(fresh)
    arrays = [array for name in groups for array in getattr(est, name, ())]
    places = [place for group in groups.values() for place in group]
    shapes = [np.shape(array) for array in arrays]
    expected = [place.shape for place in places]
    is_other_network = known is not None and known.shapes != program.shapes
    if shapes != expected or is_other_network:
        matter = [name for name in SHAPING if hasattr(est, name)]
        raise ValueError(
            f"The weights of the previous fit do not fit this network: {' and '.join(groups)} have shapes "
            f"{shapes}, expected {expected}. warm_start and partial_fit need the same "
            f"{', '.join(matter)} and outputs as before."
        )
    if known is None and any(block.part for block in program.blocks):
        raise ValueError(
            "Weights that are set before the first fit need a network that normalizes nothing: what a "
            "normalization has learnt cannot be set. A fit without them, of one epoch, makes room for them."
        )
    for place, array in zip(places, arrays, strict=True):
        place[...] = array
    for norms, before in zip(program.norm_views(fresh), getattr(est, "norms_", []), strict=True):
        for name, place in norms.items():
            place[...] = before[name]
    return fresh


def weights_dtype(est):
    """Type of the weights there are, which users may have set."""
    if hasattr(est, "_params"):
        return est._params.dtype
    dtypes = {np.asarray(array).dtype for array in est.coefs_}  # set by hand
    if not all(dtype.kind in "biuf" for dtype in dtypes):
        raise ValueError(f"coefs_ must be arrays of real numbers, got {', '.join(sorted(map(str, dtypes)))}.")
    return np.dtype(np.float32 if dtypes == {np.dtype(np.float32)} else np.float64)


def is_current(est):
    """Whether users have assigned no other arrays."""
    return _are_current(vars(est))


def current_predictors(est):
    """The forward passes over the parameters as they are now."""
    attributes = vars(est).copy()
    if _are_current(attributes):
        return attributes["_predictors"]
    adopt(est, est._program, collected(est, est._program))
    return est._predictors


def predictor_of(est, with_loss=False, **variant):
    """A compiled forward pass over the parameters as they are now, and the targets that say what comes out.

    `variant` is that of the program.
    """
    device = devices.predicting_device(est.device_)
    predictors = current_predictors(est)
    return predictors.get(device, est.precision, with_loss, variant), predictors.target


def snapshot(est):
    """Attributes of an estimator that predicts with the parameters as they are now."""
    params = aligned_copy(est._params)
    return {"_params": params, **views_of(est._program, params, est._target)}


def own(est, program, params):
    """Keep copies in memory of our own, aligned: what was loaded may be mapped and read-only."""
    adopt(est, program, aligned_copy(params))
    if "_state" in vars(est):
        est._state = est._state.copy()
