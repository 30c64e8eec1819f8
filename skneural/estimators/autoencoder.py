"""Autoencoders: networks that return what they read, through a code of few numbers."""

from __future__ import annotations

import warnings
from os import PathLike
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted

from skneural._compat import check_sample_weight
from skneural._declare import COUNT, NOT_NEGATIVE, declare, options, parameter
from skneural._image_layout import check_image_shape
from skneural.backends import devices
from skneural.backends.inputs import Sequences
from skneural.estimators._autoencoder_layers import corruption, described, halves_for
from skneural.estimators._autoencoder_parameters import AutoencoderParameters
from skneural.estimators._autoencoder_reader import AutoencoderReader
from skneural.estimators._base import BaseNetwork
from skneural.estimators._kept import Request, remembers
from skneural.estimators._nested import NestedLayers
from skneural.estimators._parameters import current_predictors
from skneural.estimators._parts import HALVES
from skneural.estimators._reconstruction import LOSS_NAMES, Reconstruction
from skneural.estimators._sequences import lengths_of
from skneural.estimators._settings import check_kinds, require_stochastic, sizes_of
from skneural.estimators._tasks import is_stochastic
from skneural.layers import ActivityRegularization, Dense
from skneural.maths.activations import ACTIVATIONS
from skneural.network.program import lower


@declare
class BaseAutoencoder(
    AutoencoderParameters, NestedLayers, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseNetwork
):
    """Base of the autoencoders: what they read and return.

    Subclasses have ``_hidden_sizes()``, units of the encoder's hidden layers where `encoder` names none;
    ``_code_layers()``, those that make the code of what these return; and ``score_samples(X)``.
    """

    _holders = ("encoder", "decoder")
    _reader = AutoencoderReader()
    _numeric_targets = False
    #: Whether scores are in the units of X, not in those of what the network learns.
    _in_units = True

    # -- what the network is -----------------------------------------------------------------------------------------

    def _hidden_layers(self):
        encoder, decoder = described(self)
        return [*corruption(self), *encoder, *decoder]

    @property
    def _batch_norm(self):
        return "batch normalization (in layers)" if self.encoder is not None else "normalization='batch'"

    def _losses(self):
        return [LOSS_NAMES[self.loss]]

    def _halves(self, shape):
        """Encoder and decoder for samples of a shape."""
        return halves_for(self, shape, vars(self).get("image_shape_"))

    def _lower(self, layers, X, dtype, targets, settings):
        halves = self._halves(X.shape[1:])
        return lower(
            [*halves.encoder, *halves.decoder],
            X.shape[-1],
            dtype=dtype.type,
            loss=targets.loss,
            settings=settings,
            n_timesteps=X.shape[1] if X.ndim == 3 else 0,
        )

    def _check_settings(self, incremental):
        super()._check_settings(incremental)
        check_image_shape(self.image_shape)
        if self.encoder is None and self.normalization == "batch":
            require_stochastic(self, self._batch_norm)

    def _check_program(self, task):
        super()._check_program(task)
        check_kinds(self, task.program, "encoder and decoder")
        if not task.first_pass or self._cannot_copy():
            return
        n_codes = self._halves(task.targets.shape).n_codes
        if n_codes > task.program.n_outputs:
            warnings.warn(
                f"The code has {n_codes} numbers, and a sample of X {task.program.n_outputs}: nothing keeps the "
                "network from copying its input. A smaller code, input_noise, input_dropout or activity_l1 does.",
                stacklevel=6 + task.incremental,
            )

    def _cannot_copy(self):
        """Whether something keeps a network with a wide code from copying its input."""
        return bool(corruption(self))

    def _targets(self, y, first_pass, classes):
        halves = self._halves(y.shape[1:])
        return Reconstruction(y.shape[1:], LOSS_NAMES[self.loss], len(halves.encoder))

    def _fit_targets(self, targets, y, weights, first_pass):
        """Scale X, by the training rows of the first fit."""
        if self.loss == "log_loss":
            return
        if not first_pass and hasattr(self, "_target"):
            targets.center = self._target.center
            targets.scale = self._target.scale
        elif self.scaler is not None:
            targets.center, targets.scale = self._reader.statistics(self, y, weights)

    # -- data --------------------------------------------------------------------------------------------------------

    def _encode(self, targets, samples, dtype):
        scaled = targets.encode(samples.X, dtype.type)
        return self._as_inputs(samples.X, scaled), scaled

    def _read(self, X):
        return self._as_inputs(X, self._target.encode(X, self._params.dtype.type))

    def _as_inputs(self, X, scaled):
        """Scaled X as the engine reads it: in the shape of X, with the ends of sequences."""
        if X.ndim == 2:
            return scaled
        lengths = lengths_of(X) if X.dtype.kind == "f" else None
        if lengths is not None and not self._halves(X.shape[1:]).keeps_ends:
            raise ValueError(
                "The sequences of X have different lengths, but what comes out of the decoder has the same for all: "
                "between encoder and decoder there must be sequences, without GlobalPool, Flatten or Reshape."
            )
        return Sequences(scaled.reshape(X.shape), lengths)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        resume_from: str | PathLike | None = None,
    ) -> Self:
        """Fit the network to return X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.
        y : Ignored
            Not used, here for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples, not negative.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation data. When it is given, loss and score on it are recorded after every epoch, training stops by
            them, and the best weights are restored, whatever `early_stopping` says.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation data.
        resume_from : str or path-like, default=None
            File of a :class:`skneural.callbacks.Checkpoint` of this fit: go on from it, with the same data, to the
            same end as if the fit had not been interrupted. Not with 'lbfgs'.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data is empty, not finite or of the wrong shape, or not between 0 and 1 for ``loss='log_loss'``; if
            layers cannot read it; if training diverges before an epoch has improved the weights.

        Warns
        -----
        UserWarning
            If the code has more numbers than a sample, and neither noise, dropout of inputs nor `activity_l1` keeps the
            network from copying.
        """
        return self._fit(Request(X, None, sample_weight, X_val, X_val, sample_weight_val, resume_from))

    @available_if(is_stochastic)
    @remembers
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Update the network with a single pass over the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.
        y : Ignored
            Not used, here for pipelines.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit(Request(X, None, sample_weight, incremental=True))

    # -- what it is for ----------------------------------------------------------------------------------------------

    def _part(self, which):
        """Forward passes over a part of the network, which `HALVES` names."""
        predictors = current_predictors(self)
        return predictors.part(which, HALVES[which])

    def _run(self, predictors, inputs):
        """Outputs of a network, or of one half."""
        device = devices.predicting_device(self.device_)
        predictor = predictors.get(device, self.precision, False, {"training": False})
        return predictor(inputs, n_threads=self._n_threads)[0]

    def _by_parts(self, X, compute):
        """What is computed of samples: of sparse rows in parts, which alone are made dense."""
        check_is_fitted(self)
        found = [compute(part) for part in self._reader.parts(self, X)]
        return found[0] if len(found) == 1 else np.concatenate(found)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Compute the codes of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_codes)
        """
        return self._by_parts(X, lambda part: self._run(self._part("encoder"), self._read(part)))

    def inverse_transform(self, X: ArrayLike) -> np.ndarray:
        """Compute what codes stand for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_codes)
            Codes, as :meth:`transform` returns them.

        Returns
        -------
        X_original : ndarray
            In the shape and the units of the `X` of :meth:`fit`.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=self._params.dtype.type, order="C")
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} features, but the codes of this {type(self).__name__} have "
                f"{self._n_features_out}."
            )
        outputs = self._run(self._part("decoder"), codes)
        return self._reader.as_given(self, self._target.decode(outputs))

    def _reconstructed(self, X):
        """Reconstruction of checked X; NaN after the ends of sequences."""
        predictors = current_predictors(self)
        decoded = predictors.target.decode(self._run(predictors, self._read(X)))
        if X.dtype.kind == "f" and X.ndim == 3:
            decoded[np.isnan(X)] = np.nan
        return decoded

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """What the network makes of X: from its codes, what they stand for.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.

        Returns
        -------
        X_reconstructed : ndarray
            In the shape and the units of `X`.
        """
        return self._by_parts(X, lambda part: self._reader.as_given(self, self._reconstructed(part)))

    def _errors(self, X):
        return self._by_parts(X, lambda part: self._target.errors(part, self._reconstructed(part), self._in_units))

    def _metric(self, y, predicted, sample_weight=None):
        """Score of reconstructions."""
        errors = self._target.errors(y, predicted, self._in_units)
        return -np.average(errors, weights=sample_weight)

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean of :meth:`score_samples`: minus the mean error.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.
        y : Ignored
            Not used, here for searches.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        float
            At most 0.
        """
        scores = self.score_samples(X)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, scores)
        return float(np.average(scores, weights=sample_weight))

    @property
    def _n_features_out(self):
        check_is_fitted(self)  # else get_feature_names_out would not know that it is not
        return self._part("encoder").program.n_outputs

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@declare
class Autoencoder(BaseAutoencoder):
    """Autoencoder: a network that learns to return what it reads, through a code of few numbers.

    :meth:`transform` computes the codes, and :meth:`inverse_transform` what they stand for: a nonlinear relative of
    :class:`sklearn.decomposition.PCA`, which it is with one linear layer each.

    {input}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    AutoencoderDetector : Finds samples that are unlike the others by their errors.
    sklearn.decomposition.PCA : The best that linear layers can do.

    References
    ----------
    Hinton and Salakhutdinov (2006), "Reducing the dimensionality of data with neural networks", Science 313.

    Vincent, Larochelle, Bengio and Manzagol (2008), "Extracting and composing robust features with denoising
    autoencoders", ICML.

    Ranzato, Boureau and LeCun (2007), "Sparse feature learning for deep belief networks", NeurIPS 20: penalties on
    codes.

    Baldi and Hornik (1989), "Neural networks and principal component analysis: Learning from examples without local
    minima", Neural Networks 2.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skneural import Autoencoder
    >>> X = load_digits().data.astype("float32")
    >>> ae = Autoencoder((64, 8), scaler="common", max_iter=50, tol=1e-3, random_state=0).fit(X)
    >>> codes = ae.transform(X)
    >>> codes.shape
    (1797, 8)
    >>> ae.inverse_transform(codes).shape
    (1797, 64)

    Images, with layers of one's own:

    >>> from skneural.layers import Conv2D, Dense, Flatten, MaxPool2D, Reshape, UpSample
    >>> encoder = [Conv2D(8, activation="relu"), MaxPool2D(), Flatten(), Dense(8)]
    >>> decoder = [Dense(4 * 4 * 8, "relu"), Reshape((4, 4, 8)), UpSample(), Conv2D(1)]
    >>> ae = Autoencoder(encoder=encoder, decoder=decoder, max_iter=3, tol=1.0, random_state=0)
    >>> ae.fit(load_digits().images.astype("uint8")).reconstruct(load_digits().images[:1]).shape
    (1, 8, 8)
    """

    hidden_layer_sizes: int | ArrayLike = parameter(
        default=(128, 32),
        constraint=["array-like", COUNT],
        shape="(n_layers,)",
        kw_only=False,
        doc="""Number of units of each layer of the encoder; the last is the code. The decoder mirrors it: (128, 32) on
        784 features is 784-128-32-128-784. Not used with `encoder`.""",
    )
    code_activation: str = parameter(
        default="identity",
        constraint=[options(*ACTIVATIONS)],
        doc="""Activation of the code, as `activation` has it. Linear codes are not bounded, and none of their units
        dies.""",
    )
    activity_l1: float = parameter(
        default=0.0,
        constraint=[NOT_NEGATIVE],
        doc="""Weight of a penalty on codes: `activity_l1` times the sum of their absolute values is added to the loss
        of a sample. With `code_activation='relu'` many of their numbers become 0 (a sparse autoencoder), and codes may
        be wider than `X`. As the loss it is a sum: see :class:`layers.ActivityRegularization`. Codes could shrink
        while the decoder's weights grow: `alpha` holds these.""",
    )

    def _hidden_sizes(self):
        return self._sizes()[:-1]

    def _code_layers(self):
        layers = [] if self.encoder is not None else [Dense(self._sizes()[-1], self.code_activation)]
        if self.activity_l1:
            layers.append(ActivityRegularization(l1=float(self.activity_l1)))
        return layers

    def _cannot_copy(self):
        return self.activity_l1 > 0 or super()._cannot_copy()

    def _sizes(self):
        sizes = sizes_of(self)
        if not sizes:
            raise ValueError("hidden_layer_sizes must name at least the size of the code, got none.")
        return sizes

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Minus the error of each sample: the higher, the better it is reconstructed.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Minus the mean over the numbers of a sample of the squared error, the absolute error or the log loss, as
            `loss` says, in the units of `X`.
        """
        return -self._errors(X)
