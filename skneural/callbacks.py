"""Callbacks for the fits of this package, after scikit-learn's protocol."""

from __future__ import annotations

import os
from numbers import Integral

import numpy as np
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from skneural._compat import require_callbacks
from skneural.persistence import check_place, encode, save


class Checkpoint:
    """Save the estimator while it is being fitted, so that a fit that is killed can go on.

    The file is one of `skneural.save`: `skneural.load` makes a usable model of it, and ``fit(..., resume_from=path)``
    goes on after the epoch it was written in. With ``solver='lbfgs'`` it is a model only, a fit cannot go on from it.

    It is written after every `every`-th epoch, and when the fit ends, then as the fit leaves the estimator: with
    the best weights where there is validation data. It is always whole: a new file takes the place of the old one at
    once. It stays as it was after an epoch that leaves weights that are not finite, and when Ctrl-C ends a fit in the
    middle of an epoch, from where none could go on.

    One file is one fit. Set the callback on an estimator that is fitted alone or as a step of a pipeline. A search such
    as :class:`~sklearn.model_selection.GridSearchCV` fits many clones, so there the fit raises an error. Functions and
    meta-estimators that know nothing of callbacks (:func:`~sklearn.model_selection.cross_validate`, bagging) cannot be
    told apart from separate fits: there, every fit replaces the file of the one before.

    Parameters
    ----------
    path : str or os.PathLike
        The file, with any suffix. Its folder must exist.
    every : int, default=1
        Number of epochs between two files.

    Raises
    ------
    ImportError
        Of scikit-learn before 1.9, which has no callbacks.
    ValueError
        When the fit begins: if `every` is not an int of at least 1, if the fit is one of a search, or if the parts of
        the estimator contradict each other.
    TypeError
        When the fit begins: if the estimator is not one of this package, or has a parameter that cannot be saved, such
        as a callable.
    OSError
        When the fit begins: if the folder does not exist or cannot be written to, or if `path` is something else than a
        file. Later: if the disk is full.

    See Also
    --------
    skneural.save : What a file keeps, and what not.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_iris
    >>> from skneural import MLPClassifier
    >>> from skneural.callbacks import Checkpoint
    >>> from skneural import load
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "iris.skn")
    ...     clf = MLPClassifier(max_iter=2000, random_state=0).set_callbacks(Checkpoint(path, every=100))
    ...     clf = clf.fit(X, y)
    ...     load(path).n_iter_ == clf.n_iter_
    True
    """

    _parameter_constraints = {
        "path": [str, os.PathLike],
        "every": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(self, path, every=1):
        require_callbacks("Checkpoint")
        self.path = path
        self.every = every
        self._under_way = set()  # fits that are in the middle of an epoch

    def setup(self, estimator, context):
        """Raise, before any training, if this cannot work."""
        given = {"path": self.path, "every": self.every}
        validate_parameter_constraints(self._parameter_constraints, given, caller_name="Checkpoint")
        task = context
        while task is not None:
            if not task.sequential_subtasks:
                raise ValueError(
                    f"Checkpoint writes one file, but {task.estimator_name} fits many clones of the estimator, which "
                    "would overwrite each other's. Set it on an estimator that is fitted by itself."
                )
            task = task.parent
        encode(estimator)
        check_place(self.path)
        folder = os.path.dirname(os.path.realpath(os.fspath(self.path)))
        if not os.path.isdir(folder):
            raise FileNotFoundError(f"The folder of Checkpoint's path does not exist: {folder}")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"The folder of Checkpoint's path cannot be written to: {folder}")

    def teardown(self, estimator, context):
        """Forget the fit."""
        self._under_way.discard(context.root_uuid)

    def on_fit_task_begin(self, estimator, context):
        """Note that an epoch begins."""
        if context.task_name == "epoch":
            self._under_way.add(context.root_uuid)

    def on_fit_task_end(self, estimator, context):
        """Save the estimator, if its turn has come."""
        if context.task_name == "epoch":
            self._under_way.discard(context.root_uuid)
            due = estimator.n_iter_ % self.every == 0
        else:
            due = context.root_uuid not in self._under_way
        if due and np.isfinite(estimator._params).all():
            save(estimator, self.path)
