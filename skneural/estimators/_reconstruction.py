"""What an autoencoder learns: its own input, scaled; and how outputs become what X looked like."""

import math

import numpy as np

from skneural.backends.inputs import are_finite
from skneural.estimators._sequences import blocks

#: Losses of autoencoders, and what the registry of losses calls them.
LOSS_NAMES = {
    "squared_error": "squared_error",
    "absolute_error": "absolute_error",
    "log_loss": "binary_log_loss",
}


class Reconstruction:
    """X itself as the target.

    Parameters
    ----------
    shape : tuple of int
        Of one sample as the network reads it: (n_features,), or (steps, channels).
    loss : str
        Name in the registry of losses.
    n_encoder : int
        How many layers of the network are the encoder.

    Attributes
    ----------
    shape, loss, n_encoder
        As above.
    n_outputs : int
    center, scale : ndarray of shape (n_features,), (channels,) or (1,), or None
        By which X is scaled, in units of X.
    """

    def __init__(self, shape, loss, n_encoder):
        self.shape = tuple(int(n) for n in shape)
        self.loss = loss
        self.n_encoder = n_encoder
        self.n_outputs = math.prod(self.shape)
        self.center = None
        self.scale = None

    def constants(self, name, value):
        """A parameter of the loss as constants for its kernel: no label is smoothed."""
        return [0.0]

    def check_known(self, y, warm_start):
        """Nothing to raise for: X has been checked."""

    def stratify(self, y, smaller):
        """Nothing to stratify by."""
        return None

    @property
    def scales(self):
        """Whether outputs are in other units than X."""
        return self.center is not None

    def encode(self, X, dtype):
        """Checked X, scaled, of shape (n_samples, n_outputs); 0 after the ends of sequences."""
        if not self.scales and X.dtype == dtype and are_finite(X):
            scaled = np.ascontiguousarray(X)
        else:
            scaled = np.empty(X.shape, dtype)
            with np.errstate(over="ignore", invalid="ignore"):  # what is too large is refused below
                for part in blocks(X):
                    numbers = X[part]
                    if self.scales:
                        numbers = (numbers - self.center) / self.scale
                    scaled[part] = numbers
            if X.dtype.kind == "f":
                scaled[np.isnan(X)] = 0
            if not are_finite(scaled):
                raise ValueError(f"Input X contains infinity or a value too large for {scaled.dtype!r}.")
        scaled = scaled.reshape(len(X), -1)
        if self.loss == "binary_log_loss":
            self._check_shares(scaled)
        return scaled

    def _check_shares(self, X):
        """Raise unless all numbers are probabilities, or shares."""
        least = X.min()
        largest = X.max()
        if least < 0 or largest > 1:
            raise ValueError(
                f"loss='log_loss' needs X between 0 and 1, got numbers from {least:g} to {largest:g}: divide X by its "
                "largest number, use MinMaxScaler, or take another loss."
            )

    def decode(self, outputs):
        """Outputs in the units of X, of shape (n_samples, *shape)."""
        outputs = outputs.reshape(len(outputs), *self.shape)
        if not self.scales:
            return outputs
        return outputs * self.scale.astype(outputs.dtype) + self.center.astype(outputs.dtype)

    def errors(self, X, reconstructed, in_units):
        """The error of each sample: the mean over its numbers.

        Parameters
        ----------
        X : ndarray of shape (n_samples, *shape)
            Checked; NaN after the ends of sequences.
        reconstructed : ndarray of shape (n_samples, *shape)
            As `decode` returns it.
        in_units : bool
            Whether errors are in the units of X, not in those of what the network learns.

        Returns
        -------
        ndarray of float64, shape (n_samples,)
            Infinity for outputs that overflow.
        """
        found = np.empty(len(X))
        for part in blocks(X):
            numbers = X[part].astype(np.float64)
            with np.errstate(over="ignore", invalid="ignore"):
                errors = self._elementwise(numbers, reconstructed[part], in_units)
            errors[np.isnan(errors)] = np.inf
            errors = errors.reshape(len(errors), -1)
            is_there = ~np.isnan(numbers.reshape(errors.shape))
            found[part] = np.where(is_there, errors, 0).sum(axis=1) / is_there.sum(axis=1)
        return found

    def _elementwise(self, X, reconstructed, in_units):
        """The error of each number, in float64."""
        outputs = reconstructed.astype(np.float64)
        if self.loss == "binary_log_loss":
            # What the outputs' own type can tell from 0 and from 1.
            limits = np.finfo(reconstructed.dtype)
            p = np.clip(outputs, limits.tiny, 1 - float(limits.epsneg))
            return -(X * np.log(p) + (1 - X) * np.log1p(-p))
        errors = outputs - X
        if self.scales and not in_units:
            errors /= self.scale
        return np.abs(errors) if self.loss == "absolute_error" else errors**2
