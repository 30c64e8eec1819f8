"""Generative adversarial networks."""

from __future__ import annotations

import warnings
from numbers import Integral
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import _fit_context, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skneural._declare import declare
from skneural.backends import devices
from skneural.estimators import _modes
from skneural.estimators._adversarial_layers import Form, adversarial, default_layers, image_of, likely_shape
from skneural.estimators._base import BaseNetwork
from skneural.estimators._gan_parameters import GameParameters
from skneural.estimators._kept import Request, Task, remembers
from skneural.estimators._layers import check_layers
from skneural.estimators._nested import NestedLayers
from skneural.estimators._parameters import current_predictors, weights_dtype
from skneural.estimators._rows import Rows, Samples
from skneural.estimators._samples import LOSSES_OF_GANS, SampleReader, SampleTargets
from skneural.estimators._settings import find_device, network_dtype
from skneural.estimators._tables import as_given, names_features
from skneural.layers import Adversarial
from skneural.layers.adversarial import Copied
from skneural.maths.losses import LOSSES
from skneural.network.program import lower
from skneural.training.adversarial import PASSES, Game, averages_of, passes_of, sources_of

#: Limit of the discriminator's weights with the Wasserstein loss, by the paper.
WEIGHT_CLIP = 0.01
#: What a network ends in that is a part of another.
PART = "squared_error"


@declare
class GAN(NestedLayers, GameParameters, BaseNetwork):
    r"""Generative adversarial network: makes samples like those of X.

    Two networks are trained in turn (Goodfellow et al., 2014): a *generator* makes samples of normal random numbers, a
    *discriminator* is trained to tell them from those of `X`, and the generator is trained to make what the
    discriminator takes for real. With `y` it is conditional (Mirza and Osindero, 2014): both networks are told the
    class of each sample, and samples of any class can be made.

    `X` is rows, or images of shape (n_images, height, width) or (n_images, height, width, n_channels), which come out
    in the same form. It is scaled inside; samples are in the units of `X`.

    Rows may hold categories (`categorical_features`) among numbers, which the generator draws by a Gumbel-softmax
    (Jang, Gu and Poole, 2017). Samples are then arrays of the type of `X`, and of a DataFrame always a DataFrame, with
    columns of the same names and types; integers are rounded. Missing values are an error.

    After :meth:`fit` a `ConvergenceWarning` says in words what has gone wrong, if anything has. *The discriminator has
    won* where its accuracy on real and on generated rows was at least 0.99, on average over the last tenth of the
    epochs; *the generator has won* where the mean of both was at most 0.25. *Modes have collapsed* where `coverage_` is
    below 0.4: up to 2,000 rows of `X` are divided into up to 20 regions, those nearest to rows that k-means++ draws,
    and so are as many generated samples; `coverage_` is the sum over the regions of the smaller one of both shares. It
    is 1 where both are spread alike, and about k/n where only k of n equal clusters are made.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    sklearn.mixture.GaussianMixture : Samples from a density that it fits.
    sklearn.neighbors.KernelDensity : The same, around every row of the data.

    References
    ----------
    Goodfellow et al. (2014), "Generative adversarial nets", NeurIPS.

    Mirza and Osindero (2014), "Conditional generative adversarial nets", arXiv:1411.1784.

    Radford, Metz and Chintala (2016), "Unsupervised representation learning with deep convolutional generative
    adversarial networks", ICLR.

    Arjovsky, Chintala and Bottou (2017), "Wasserstein GAN", ICML.

    Miyato et al. (2018), "Spectral normalization for generative adversarial networks", ICLR.

    Gouk et al. (2021), "Regularisation of neural networks by enforcing Lipschitz continuity", Machine Learning.

    Mao et al. (2017), "Least squares generative adversarial networks", ICCV.

    Jang, Gu and Poole (2017), "Categorical reparameterization with Gumbel-softmax", ICLR.

    Yazici et al. (2019), "The unusual effectiveness of averaging in GAN training", ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import GAN
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal([5, -2], [1.0, 0.2], size=(1000, 2))
    >>> gan = GAN((32, 32), n_components=2, batch_size=50, max_iter=100, random_state=0).fit(X)
    >>> samples = gan.sample(1000, random_state=0)
    >>> samples.shape
    (1000, 2)
    >>> bool(np.all(np.abs(samples.mean(axis=0) - [5, -2]) < 0.5))
    True

    A table of ages and colours, which are categories:

    >>> table = [[34, "red"], [62, "blue"], [38, "red"], [60, "blue"]] * 50
    >>> gan = GAN((16,), 2, categorical_features=[1], batch_size=20, max_iter=100, random_state=0).fit(table)
    >>> age, colour = gan.sample(random_state=0)[0]
    >>> isinstance(age, int), colour in ("red", "blue")
    (True, True)
    """

    _holders = ("generator", "discriminator")
    _reader = SampleReader()
    _converges = False
    _batch_norm = "batch normalization (in layers)"
    _numeric_targets = False

    # -- fits --------------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: ArrayLike, y: ArrayLike | None = None, *, resume_from: str | PathLike | None = None) -> Self:
        """Learn to make samples like those of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), (n_images, height, width) or \
(n_images, height, width, n_channels)
            The samples. A table of numbers and categories is a DataFrame, or an array of numbers or objects.
        y : array-like of shape (n_samples,), default=None
            Their classes, for a conditional network.
        resume_from : str or path-like, default=None
            File of a :class:`skneural.callbacks.Checkpoint` of this fit: go on from it, with the same data, to the
            same end as if the fit had not been interrupted.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is empty, not finite or of the wrong shape; if categories are missing, or there are no such
            features; if y is not of classes; if there is but one sample in a batch; if training diverges in its first
            epoch; if `resume_from` is damaged, or of another fit.
        """
        return self._fit(Request(X, y, resume_from=resume_from))

    @remembers
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: ArrayLike | None = None, classes: ArrayLike | None = None) -> Self:
        """Go on with a single pass over the given samples. Their scale and categories are those of the first call.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), (n_images, height, width) or \
(n_images, height, width, n_channels)
            The samples.
        y : array-like of shape (n_samples,), default=None
            Their classes.
        classes : array-like of shape (n_classes,), default=None
            All classes that there will ever be, at the first call; by default those in `y`.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(Request(X, y, classes=classes, incremental=True))

    def _check_settings(self, incremental):
        super()._check_settings(incremental)
        if self.label_smoothing and self.loss not in ("log_loss", "least_squares"):
            raise ValueError(
                f"label_smoothing goes with the losses 'log_loss' and 'least_squares', got loss={self.loss!r}."
            )
        if isinstance(self.batch_size, Integral) and self.batch_size == 1:
            raise ValueError("A GAN needs batches of at least two samples, got batch_size=1.")

    def _hidden_layers(self):
        """Both networks, as far as they are known without data."""
        for name in ("generator", "discriminator"):
            if getattr(self, name) is not None:
                check_layers(self, name)
        generator = default_layers(self) if self.generator is None else self.generator
        discriminator = default_layers(self) if self.discriminator is None else self.discriminator
        return [Adversarial(tuple(generator), tuple(discriminator), int(self.n_components))]

    def _check_program(self, task):
        super()._check_program(task)
        if any(operation.traits.adds_to_loss for operation in task.program.operations):
            raise ValueError(
                "generator and discriminator must hold no layer that adds to the loss, as ActivityRegularization does: "
                "it would count in the passes of both networks."
            )

    def _prepare(self, request, kept):
        going_on = self.warm_start or request.incremental or request.resume_from is not None
        first_pass = not going_on or not hasattr(self, "coefs_")
        dtype = None if first_pass else weights_dtype(self)
        self.device_ = find_device(self, dtype)
        is_new = first_pass or "_params" not in vars(self)
        if is_new:
            self.coverage_ = np.nan
        X, y = self._reader.validate(self, request.X, request.y, is_new, dtype)
        if len(X) == 1:
            raise ValueError("A GAN needs batches of at least two samples, got n_samples=1.")
        dtype = network_dtype(self, X) if dtype is None else dtype
        targets = self._targets(X, y, request.classes) if is_new else self._known_targets(y)
        run, _, seed = self._random(request, first_pass)
        inputs = targets.scaled(X, y, dtype)
        rows = Rows(Samples(X, y), inputs, np.zeros((len(X), 1), dtype), None, 1.0)
        task = Task(
            request=request,
            kept=kept,
            program=None,
            targets=targets,
            seed=seed,
            run=run,
            train=rows,
            held_out=None,
            first_pass=first_pass,
        )
        task.program = self._lowered(kept, inputs, dtype, targets)
        self._check_program(task)
        return task

    def _targets(self, X, y, classes):
        """What a first fit learns of its samples."""
        if classes is not None and y is None:
            raise ValueError("classes were given without y.")
        vars(self).pop("classes_", None)
        known = self.categories_ or [None] * X.shape[1]
        widths = np.array([0 if categories is None else len(categories) for categories in known])
        targets = SampleTargets(self.loss, y, classes, widths)
        with np.errstate(over="ignore", invalid="ignore"):
            targets.learn_scale(X, self._scaling())
        if not np.isfinite(targets.scale).all() or not np.isfinite(targets.center).all():
            raise ValueError(f"Input X contains infinity or a value too large for {X.dtype!r}.")
        return targets

    def _known_targets(self, y):
        self._target.check_known(y)
        return self._target

    def _scaling(self):
        if self.scaling == "auto":
            return "standard" if image_of(self) is None else "range"
        return self.scaling

    def _lower(self, layers, X, dtype, targets, settings):
        form = Form(
            n_numbers=targets.n_numbers,
            widths=tuple(targets.widths[targets.widths > 0].tolist()),
            n_labels=targets.n_labels,
            image=image_of(self),
            activation="tanh" if self._scaling() == "range" else None,
        )
        boundary = LOSSES_OF_GANS[self.loss][1]
        return lower(
            [adversarial(self, form, boundary)],
            X.shape[1],
            dtype=dtype.type,
            loss=targets.loss,
            settings=settings,
        )

    def _initialize(self, program, seed, train):
        first = None if self.generator or self.discriminator else self.activation
        params = super()._initialize(program, seed, train, first if isinstance(first, str) else None)
        start, count = averages_of(program)
        params[start : start + count] = params[:count]
        return params

    # -- training ----------------------------------------------------------------------------------------------------

    def _game(self, settings):
        """How both networks are trained."""
        real, *others = LOSSES_OF_GANS[self.loss][2]
        limit = settings.weight_clip
        if limit == "auto":
            is_bounded = self.loss != "wasserstein" or settings.spectral_norm is not None
            limit = None if is_bounded else WEIGHT_CLIP
        own_rate = settings.generator_learning_rate_init or settings.learning_rate_init
        return Game(
            targets=(real - settings.label_smoothing, *others),
            n_critic=settings.n_critic,
            rate=own_rate / settings.learning_rate_init,
            weight_limit=limit or 0.0,
            spectral_norm=settings.spectral_norm or 0.0,
            decay=settings.generator_averaging,
        )

    def _passes(self, task):
        program = task.program
        game = self._game(task.settings)
        seed = self._state.seed
        return {"passes": passes_of(program, game), "sources": sources_of(game, seed, program.dtype)}

    def _columns(self, trainer, n_epochs):
        """Means over the rows of each epoch, by what the passes have noted."""
        noted = dict(zip(PASSES, np.moveaxis(trainer.notes[:n_epochs], 1, 0), strict=True))
        with np.errstate(invalid="ignore"):
            means = {name: notes[:, :2] / notes[:, 2:3] for name, notes in noted.items()}
            norms = {name: notes[:, 3] / notes[:, 4] for name, notes in noted.items()}
        columns = {
            "discriminator_loss": means["real"][:, 0] + means["generated"][:, 0],
            "generator_loss": means["generator"][:, 0],
            "real_accuracy": means["real"][:, 1],
            "generated_accuracy": 1 - means["generated"][:, 1],
            "discriminator_gradient_norm": norms["generated"],
            "generator_gradient_norm": norms["generator"],
        }
        return {name: values.tolist() for name, values in columns.items()}

    def _fit_ends(self, task, state):
        """Look back at a fit: how often there were which classes; warn where it has gone wrong."""
        if self._target.classes_ is not None:
            newest = task.n_rows / state.t if task.incremental else 1.0
            self._target = self._target.after(task.train.given.y, newest)
        if task.incremental:
            return
        train = task.train
        seed = task.seed % 2**32
        rng = np.random.RandomState(seed)
        chosen = rng.permutation(len(train.inputs))[: _modes.LOOKED_AT]
        real, labels = np.hsplit(train.inputs[chosen], [task.targets.width])
        made = self._generate(rng.standard_normal((len(chosen), int(self.n_components))), labels, rng)
        self.coverage_ = _modes.coverage(real, made, seed)
        _modes.warn(state.history, self.coverage_)

    # -- what is made of it ------------------------------------------------------------------------------------------

    def _parts(self):
        """The layer that both networks are, and the parameters as they are now."""
        check_is_fitted(self)
        current_predictors(self)
        return self._program.source.layers[0], self._params

    def _run(self, layers, rows, params, loss):
        """Outputs of one of both networks for rows."""
        dtype = self._params.dtype
        settings = (0.0,) * len(LOSSES[loss].settings)
        program = lower(layers, rows.shape[1], dtype=dtype.type, loss=loss, settings=settings, training=False)
        device = devices.predicting_device(self.device_)
        predictor = devices.make_predictor(device, self.precision, program, params[: program.n_params], False)
        return predictor(np.ascontiguousarray(rows, dtype), n_threads=self._n_threads)[0]

    def _generate(self, latent, labels, random):
        """Scaled samples."""
        network, params = self._parts()
        start, _ = averages_of(self._program)
        made = self._run(_alone(network.generator), np.hstack([latent, labels]), params[start:], PART)
        return self._target.drawn(made, random)

    def sample(
        self,
        n_samples: int | None = None,
        y: ArrayLike | None = None,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Make samples.

        Parameters
        ----------
        n_samples : int, default=None
            How many; by default as many as `y` has, else one.
        y : array-like of shape (n_samples,) or a label, default=None
            The classes of the samples, or the one class of all. None: each is drawn, as often as it was in the data.
        random_state : int, RandomState instance or None, default=None
            Decides the samples. With an int they are the same bits every time, for any `n_jobs`.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), of images as in fit, or a DataFrame where the data was one
            In the units of the data.

        Raises
        ------
        NotFittedError
            If the network is not fitted.
        ValueError
            If there are classes in `y` that were not in the data, or if it was fitted without any.
        """
        check_is_fitted(self)
        targets = self._target
        labels = None if y is None else np.asarray(y)
        if n_samples is None:
            n_samples = len(labels) if labels is not None and labels.ndim else 1
        if not isinstance(n_samples, Integral) or isinstance(n_samples, bool | np.bool_) or n_samples < 1:
            raise ValueError(f"n_samples must be an integer of at least 1, got {n_samples!r}.")
        rng = check_random_state(random_state)
        latent = rng.standard_normal((n_samples, int(self._program.source.layers[0].n_latent)))
        if labels is None:
            codes = None if targets.classes_ is None else rng.choice(targets.n_labels, n_samples, p=targets.shares)
            labels = None if codes is None else targets.classes_[codes]
        elif labels.ndim == 0:
            labels = np.full(n_samples, labels)
        if labels is not None and labels.shape != (n_samples,):
            raise ValueError(f"y must be one label, or one for each of {n_samples} samples, got shape {labels.shape}.")
        targets.check_known(labels)
        columns = np.zeros((n_samples, 0)) if labels is None else targets.indicators(labels)
        made = targets.in_units(self._generate(latent, columns, rng)).reshape(n_samples, *self.sample_shape_)
        return as_given(made, self._table_form, self.categories_)

    def discriminate(self, X: ArrayLike, y: ArrayLike | None = None) -> np.ndarray:
        """What the discriminator says of samples: the larger, the more real they look to it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or of images as in fit
            The samples.
        y : array-like of shape (n_samples,), default=None
            Their classes, for a conditional network.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            With ``loss='log_loss'`` the probability that a sample is a real one, if half of all are; else the output of
            the network.
        """
        check_is_fitted(self)
        X = self._reader.validate_prediction(self, X)
        targets = self._target
        if y is not None:
            y = np.asarray(y)
            if y.shape != (len(X),):
                raise ValueError(f"y must have a label for each of {len(X)} samples, got shape {y.shape}.")
        targets.check_known(y)
        network, params = self._parts()
        rows = targets.scaled(X, y, self._params.dtype)
        n_generator = self._run_size(network)
        return self._run(network.discriminator, rows, params[n_generator:], self._program.loss)[:, 0]

    def _run_size(self, network):
        """How many parameters the generator has."""
        width = network.n_latent + (network.n_labels or 0)
        layers = _alone(network.generator)
        return lower(layers, width, dtype=self._params.dtype.type, loss=PART, training=False).n_params

    def _make_ready(self, dtypes):
        """Load or compile the kernels of samples and judgements; where there is no fit yet, by one of two samples."""
        if hasattr(self, "_params"):
            y = None if self._target.classes_ is None else self._target.classes_[:1]
            self.discriminate(self.sample(1, y, random_state=0), y)
            return
        self._validate_params()
        has_categories = names_features(self.categorical_features)
        shape = (2,) if has_categories else likely_shape(self)
        features = [1] if has_categories else None
        possible = [self.dtype] if self.dtype != "auto" else dtypes
        for dtype in possible:
            X = np.zeros((2, *shape), dtype)
            X[1] = 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                probe = clone(self).set_params(categorical_features=features, max_iter=1, batch_size=2, random_state=0)
                probe.set_params(verbose=False).fit(X).discriminate(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        tags.target_tags.required = False
        return tags


def _alone(generator):
    """The layers of a generator as a network of its own, which may not end in an activation, as a generator does."""
    return (*generator, Copied())
