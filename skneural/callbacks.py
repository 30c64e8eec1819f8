"""Callbacks for the fits of this package, after scikit-learn's protocol."""

from __future__ import annotations

import os
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval, validate_parameter_constraints

from skneural._compat import require_callbacks
from skneural.persistence import check_place, encode, save


def _check_alone(context, what, consequence):
    """Raise if a fit is one of many of a meta-estimator."""
    task = context
    while task is not None:
        if not task.sequential_subtasks:
            raise ValueError(
                f"{what}, but {task.estimator_name} fits many clones of the estimator, which {consequence}. Set it on "
                "an estimator that is fitted by itself."
            )
        task = task.parent


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
        _check_alone(context, "Checkpoint writes one file", "would overwrite each other's")
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


class SampleRecorder:
    """Keep samples of a generative network while it is being fitted: the same random numbers, epoch after epoch.

    Samples are kept after every `every`-th epoch, and of the fitted network. A fit that begins forgets those of the one
    before. :meth:`skneural.plotting.SampleDisplay.from_epochs` draws them.

    Set it on an estimator that has a method ``sample``, such as :class:`~skneural.GAN` and
    :class:`~skneural.VariationalAutoencoder`, and that is fitted alone or as a step of a pipeline.

    Parameters
    ----------
    n_samples : int, default=10
        How many samples each time.
    every : int, default=10
        Number of epochs between two times.
    y : array-like of shape (n_samples,), default=None
        Their classes, for a conditional network. None: all classes in turn.
    random_state : int, default=0
        Another number draws other samples.

    Attributes
    ----------
    epochs_ : list of int
        After which epochs of the fit samples were kept.
    samples_ : list of ndarray
        The samples of each of them.
    labels_ : ndarray of shape (n_samples,) or None
        The classes of the samples, of a conditional network.
    input_format_ : str or None
        That of the estimator, if it has one: how images among the samples are laid out.

    Raises
    ------
    ImportError
        Of scikit-learn before 1.9, which has no callbacks.
    TypeError
        When the fit begins: if the estimator makes no samples.
    ValueError
        When the fit begins: if a parameter is out of range, or if the fit is one of a search. After an epoch: if there
        are classes in `y` that were not in the data.

    See Also
    --------
    skneural.plotting.SampleDisplay : Picture of the samples, a row for each epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import GAN
    >>> from skneural.callbacks import SampleRecorder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal([5, -2], [1.0, 0.2], size=(1000, 2))
    >>> recorder = SampleRecorder(300, every=40)
    >>> gan = GAN((32, 32), n_components=2, batch_size=50, max_iter=100, random_state=0).set_callbacks(recorder)
    >>> gan = gan.fit(X)
    >>> recorder.epochs_
    [40, 80, 100]
    >>> recorder.samples_[0].shape
    (300, 2)
    """

    _parameter_constraints = {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "every": [Interval(Integral, 1, None, closed="left")],
        "y": ["array-like", None],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(self, n_samples: int = 10, every: int = 10, y: ArrayLike | None = None, random_state: int = 0):
        require_callbacks("SampleRecorder")
        self.n_samples = n_samples
        self.every = every
        self.y = y
        self.random_state = random_state

    def setup(self, estimator, context):
        """Raise, before any training, if this cannot work."""
        given = {name: getattr(self, name) for name in self._parameter_constraints}
        validate_parameter_constraints(self._parameter_constraints, given, caller_name="SampleRecorder")
        if self.y is not None and len(self.y) != self.n_samples:
            raise ValueError(f"y must have a label for each of {self.n_samples} samples, got {len(self.y)}.")
        if not hasattr(estimator, "sample"):
            name = type(estimator).__name__
            raise TypeError(f"{name} makes no samples: SampleRecorder needs an estimator with a method sample.")
        _check_alone(context, "SampleRecorder keeps the samples of one fit", "would mix theirs")
        self.epochs_ = []
        self.samples_ = []
        self.labels_ = None
        self.input_format_ = getattr(estimator, "input_format", None)

    def teardown(self, estimator, context):
        """Nothing to do: samples stay."""

    def on_fit_task_begin(self, estimator, context):
        """Nothing to do: samples are of the end of an epoch."""

    def on_fit_task_end(self, estimator, context):
        """Keep samples, if their turn has come."""
        epoch = estimator.n_iter_
        is_due = context.task_name != "epoch" or epoch % self.every == 0
        if not is_due or epoch in self.epochs_:
            return
        labels = self.y
        classes = getattr(estimator, "classes_", None)
        if labels is None and classes is not None:
            labels = np.resize(classes, self.n_samples)
        of_classes = {} if labels is None else {"y": labels}
        samples = estimator.sample(self.n_samples, random_state=self.random_state, **of_classes)
        self.epochs_.append(epoch)
        self.samples_.append(samples)
        self.labels_ = None if labels is None else np.asarray(labels)
