"""Variational autoencoders: autoencoders whose codes are distributions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import validate_params
from sklearn.utils.validation import check_is_fitted

from skneural._declare import COUNT, NOT_NEGATIVE, declare, options, parameter
from skneural.backends import devices
from skneural.estimators._parts import HALVES
from skneural.estimators._settings import sizes_of
from skneural.estimators.autoencoder import BaseAutoencoder
from skneural.layers import Dense, GaussianSampling

#: Rows that a bound is computed for at a time.
ROWS = 2048
#: The largest logarithm of a variance that bounds are computed with. Encoders name larger ones only of what is far from
#: all that they have seen, and codes drawn by these would overflow. It is a bound by any distribution of codes.
WIDEST = 10.0


@declare
class VariationalAutoencoder(BaseAutoencoder):
    """Variational autoencoder: its codes are normal distributions, near enough to one to draw new samples from.

    The encoder says mean and variance of each number of the code, the decoder what a code that is drawn from these
    stands for. What is learnt is the best lower bound of the likelihood of the data: the reconstruction of each sample,
    and how far the distribution of its code is from a standard normal one (Kullback-Leibler). So codes drawn from
    that, by :meth:`sample`, stand for samples like the data, and neighbouring codes for similar ones.

    {input}

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    Autoencoder : Codes that are numbers: better reconstructions, no new samples.
    layers.GaussianSampling : The layer that draws the codes, for networks of any layers.

    Notes
    -----
    ``loss_curve_`` holds minus the evidence lower bound, in nats for each sample, the divergence times all of `beta`
    from the first epoch on, plus the penalty `alpha` asks for. With ``loss='squared_error'`` it is without the constant
    ``log(2 pi) / 2`` for each feature, and divided by their number.

    References
    ----------
    Kingma and Welling (2014), "Auto-encoding variational Bayes", ICLR.

    Burda, Grosse and Salakhutdinov (2016), "Importance weighted autoencoders", ICLR.

    Higgins et al. (2017), "beta-VAE: Learning basic visual concepts with a constrained variational framework", ICLR.

    Bowman et al. (2016), "Generating sentences from a continuous space", CoNLL.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skneural import VariationalAutoencoder
    >>> X = load_digits().data.astype("float32") / 16
    >>> vae = VariationalAutoencoder(2, (64,), loss="log_loss", max_iter=60, tol=0.1, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (1797, 2)
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    """

    n_components: int = parameter(
        default=10,
        constraint=[COUNT],
        kw_only=False,
        doc="""Numbers of a code.""",
    )
    hidden_layer_sizes: int | ArrayLike = parameter(
        default=(400,),
        constraint=["array-like", COUNT],
        shape="(n_layers,)",
        kw_only=False,
        doc="""Number of units of each hidden layer of the encoder; the decoder mirrors it. Not used with `encoder`.""",
    )
    encoder: list | tuple | None = parameter(
        default=None,
        doc="""Layers of :mod:`skneural.layers` in the place of `hidden_layer_sizes`. They end in rows: behind them
        comes a dense layer of `2 * n_components` units, the means and the logarithms of the variances.""",
    )
    decoder: list | tuple | None = parameter(
        default=None,
        doc="""Layers that read codes of `n_components` numbers, given with `encoder`. They end without an activation.
        Where what they return is not like `X`, or ends in an activation, or none of them learns, a last layer is added:
        a dense one to rows, and to sequences and images of as many steps or pixels as `X` has a convolution of single
        ones.""",
    )
    loss: str = parameter(
        default="squared_error",
        constraint=[options("squared_error", "log_loss")],
        doc="""Minus the logarithm of the likelihood of a sample, given its code.

        - 'squared_error': the numbers of scaled `X` are normal, with a variance of 1, around the outputs. With a
          smaller `beta` that is another variance: `beta` is the variance of what is not worth coding.
        - 'log_loss': `X` between 0 and 1 is bits, or the shares in which these are 1 (Bernoulli); outputs are their
          probabilities, and nothing is scaled.""",
    )
    beta: float = parameter(
        default=1.0,
        constraint=[NOT_NEGATIVE],
        doc="""Factor of the divergence. Above 1 codes are simpler, below reconstructions better.""",
    )
    beta_warmup: float = parameter(
        default=0.0,
        constraint=[NOT_NEGATIVE],
        doc="""Epochs in which the factor of the divergence rises evenly from 0 to `beta`: see
        :class:`layers.GaussianSampling`.""",
    )
    n_importance_samples: int = parameter(
        default=50,
        constraint=[COUNT],
        doc="""Codes that :meth:`score_samples` draws for each sample.""",
    )
    scoring: str | object | None = parameter(
        default="loss",
        doc="""What validation is scored by: 'loss' for the (negative) validation loss, measured at the means of the
        codes, None for minus the error of reconstructions, or any name or callable that
        :func:`sklearn.metrics.check_scoring` takes.""",
    )

    def _hidden_sizes(self):
        return sizes_of(self)

    def _code_layers(self):
        beta = float(self.beta)
        warmup = float(self.beta_warmup)
        return [Dense(2 * int(self.n_components)), GaussianSampling(beta, warmup)]

    def _cannot_copy(self):
        return True  # codes are drawn

    def _check_program(self, task):
        super()._check_program(task)
        decoder = HALVES["decoder"](task.program, np.empty(0), task.targets)[0]
        if any(operation.traits.adds_to_loss for operation in decoder.operations):
            raise ValueError("decoder must hold no layer that adds to the loss: that is the likelihood of the data.")

    @validate_params({"n_samples": [COUNT], "random_state": ["random_state"]}, prefer_skip_nested_validation=True)
    def sample(self, n_samples: int = 1, random_state: object = None) -> np.ndarray:
        """Draw new samples: decode codes that are drawn from the standard normal distribution.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None
            An integer gives the same samples at every call.

        Returns
        -------
        X : ndarray
            Samples in the shape and the units of the `X` of :meth:`fit`: the means of their distributions (with
            ``loss='log_loss'`` probabilities), to which no noise is added.
        """
        check_is_fitted(self)
        codes = check_random_state(random_state).standard_normal((n_samples, self._n_features_out))
        return self.inverse_transform(codes)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Lower bound of the logarithm of the likelihood of each sample, in nats (Burda et al., 2016).

        The likelihood is the mean over `n_importance_samples` codes, drawn as the encoder has it (but with variances of
        at most ``exp(10)``), each weighted by how much likelier it is under the standard normal distribution. On
        average the bound is the higher, the more codes there are. All samples share the normal numbers, which depend on
        the seed of the fit alone: so the bound of a sample does not depend on its company.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The data; or images, or sequences, as the class describes.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            With ``loss='squared_error'`` of densities, in the units of `X`, all constants counted. `beta` has no part
            in it. Minus infinity for what is so far from the data that it overflows.
        """
        return self._by_parts(X, self._bounds_of) + self._log_density_of_units()

    def _bounds_of(self, X):
        """The bound of each sample of checked X, but for what the units of X add."""
        codes = self._run(self._part("posterior"), self._read(X)).astype(np.float64)
        scaled = self._target.encode(X, self._params.dtype.type)
        normals = self._normals()
        bounds = np.empty(len(X))
        for first in range(0, len(X), ROWS):
            part = slice(first, first + ROWS)
            bounds[part] = self._bounds(scaled[part], codes[part], normals)
        return bounds

    def _normals(self):
        """Normal numbers of the codes that bounds are computed with: (n_importance_samples, n_components)."""
        seed = self._state.seed
        generator = np.random.RandomState([seed & 0xFFFFFFFF, seed >> 32])
        return generator.standard_normal((int(self.n_importance_samples), self._n_features_out))

    @np.errstate(over="ignore", invalid="ignore")
    def _bounds(self, scaled, codes, normals):
        """The bound of each row, but for what the units of X add."""
        device = devices.predicting_device(self.device_)
        decoder = self._part("decoder").get(device, self.precision, True, {"training": False})
        width = normals.shape[1]
        mean = codes[:, :width]
        log_variance = np.minimum(codes[:, width:], WIDEST)
        deviation = np.exp(log_variance / 2)
        found = np.full(len(scaled), -np.inf)
        for normal in normals:
            z = mean + deviation * normal
            _, losses = decoder(z.astype(scaled.dtype), scaled, None, self._n_threads)
            by_prior = -0.5 * (z**2).sum(axis=1)
            by_encoder = -0.5 * ((normal**2).sum() + log_variance.sum(axis=1))
            terms = by_prior - by_encoder - losses
            terms[np.isnan(terms)] = -np.inf
            found = np.logaddexp(found, terms)
        return found - math.log(len(normals))

    def _log_density_of_units(self):
        """What the logarithm of a density has beside minus the loss: of normal numbers, in the units of X."""
        target = self._target
        if self._program.loss != "squared_error":
            return 0.0
        constant = -0.5 * target.n_outputs * math.log(2 * math.pi)
        if target.scale is None:
            return constant
        return constant - np.log(np.broadcast_to(target.scale, target.shape)).sum()

    def score(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean of :meth:`score_samples`: the higher, the likelier the data.

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
            In nats for each sample.
        """
        return super().score(X, y, sample_weight)
