"""Samples that differ a little every time that they are seen."""

import math
from dataclasses import dataclass

from skneural.maths.augmentation import FILLS
from skneural.network.layer import Layer
from skneural.network.operations import operation

operation(
    "augment_images",
    [
        "stream",
        "height",
        "width",
        "fill",
        "rotation:f8",
        "height_shift:f8",
        "width_shift:f8",
        "zoom:f8",
        "vertical_flip",
        "horizontal_flip",
        "brightness:f8",
        "contrast:f8",
        "cutout:f8",
    ],
)
operation("augment_sequences", ["stream", "jitter:f8", "scaling:f8", "time_shift:f8", "time_warp:f8"])


def _check_place(net):
    """Raise where what is behind would have to send gradients through."""
    if any(block.learnt for block in net.blocks):
        raise net.error("must stand before all layers that learn something.")


@dataclass(frozen=True, repr=False)
class Augmentation(Layer):
    """Images turned, shifted, zoomed, mirrored, in other light or with a part cut out, at random, in training.

    Every image of every batch is changed in its own way while the batch is made; no copy of the data is kept.
    Prediction reads images as they are. Pixels between those of the image are interpolated linearly. The layer must
    stand before all layers that learn something; :class:`skneural.CNNClassifier` and :class:`skneural.CNNRegressor`
    take it as their parameter `augmentation`. It has no kernels for GPUs yet.

    Parameters
    ----------
    rotation : float, default=0.0
        Largest angle by which images are turned about their middle, in degrees.
    width_shift, height_shift : float, default=0.0
        Largest shift to the left or right, up or down, as a share of width or height, in [0, 1).
    zoom : float, default=0.0
        Images are shown between ``1 - zoom`` and ``1 + zoom`` times as large, in [0, 1).
    horizontal_flip : bool, default=False
        Whether every second image, on average, is mirrored left to right.
    vertical_flip : bool, default=False
        The same upside down.
    brightness : float, default=0.0
        Largest number that is added to all numbers of an image, or subtracted; of standardised images, as `rescale`
        makes them, in units of the channel's deviation.
    contrast : float, default=0.0
        All numbers of an image are multiplied by one factor between ``1 - contrast`` and ``1 + contrast``, in [0, 1).
        In standardised images 0 is the mean of the channel.
    cutout : float, default=0.0
        Height and width of a rectangle that is set to 0, as a share of those of the image, in [0, 1). Its middle may be
        at any pixel, so a part of it may be outside (DeVries and Taylor, 2017).
    fill : {'nearest', 'constant', 'reflect', 'wrap'}, default='nearest'
        What comes in from beyond the edges: the pixel at the edge, 0, the image in a mirror, or the image once more.

    References
    ----------
    Simard, Steinkraus and Platt (2003), "Best practices for convolutional neural networks applied to visual document
    analysis", ICDAR.

    DeVries and Taylor (2017), "Improved regularization of convolutional neural networks with cutout",
    arXiv:1708.04552.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skneural import CNNClassifier
    >>> from skneural.layers import Augmentation
    >>> digits = load_digits()
    >>> augmentation = Augmentation(rotation=10, width_shift=0.1, height_shift=0.1)
    >>> clf = CNNClassifier((8, 16), augmentation=augmentation, batch_size=32, max_iter=10, random_state=0)
    >>> clf.fit(digits.images, digits.target).score(digits.images, digits.target) > 0.9
    True
    """

    rotation: float = 0.0
    width_shift: float = 0.0
    height_shift: float = 0.0
    zoom: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    cutout: float = 0.0
    fill: str = "nearest"

    def preview(self, X, n=7, **options):
        """Draw images and versions of them that training would see.

        Parameters
        ----------
        X : array-like of shape (n_images, height, width) or (n_images, height, width, n_channels)
            A few images.
        n : int, default=7
            Versions of each.
        **options
            As :meth:`skneural.plotting.AugmentationDisplay.from_images` has them: `random_state`, `ax`, `cmap`.

        Returns
        -------
        AugmentationDisplay
            The versions are its attribute `versions`, of shape (n_images, n, height, width) or with channels.
        """
        from skneural.plotting import AugmentationDisplay  # stands above this module

        return AugmentationDisplay.from_images(self, X, n, **options)

    def build(self, net, x):
        """See `Layer.build`."""
        height, width, _ = net.images(x)
        _check_place(net)
        if not net.augments:
            return x
        return net.add(
            "augment_images",
            x,
            shape=x.shape,
            every=0,
            stream=net.new_stream(),
            height=height,
            width=width,
            fill=FILLS.index(self.fill),
            rotation=math.radians(self.rotation),
            height_shift=self.height_shift * height,
            width_shift=self.width_shift * width,
            zoom=self.zoom,
            vertical_flip=int(self.vertical_flip),
            horizontal_flip=int(self.horizontal_flip),
            brightness=self.brightness,
            contrast=self.contrast,
            cutout=self.cutout,
        )


@dataclass(frozen=True, repr=False)
class SequenceAugmentation(Layer):
    """Sequences with noise, in another scale, shifted or warped in time, at random, in training.

    Every sequence of every batch is changed in its own way while the batch is made; no copy of the data is kept.
    Prediction reads sequences as they are. Steps between those of the sequence are interpolated linearly, and every
    sequence keeps its length. The layer must stand before all layers that learn something; networks for sequences take
    it as their parameter `augmentation`. It has no kernels for GPUs yet.

    Parameters
    ----------
    jitter : float, default=0.0
        Standard deviation of Gaussian noise that is added to every number.
    scaling : float, default=0.0
        Every channel of a sequence is multiplied by a normal factor of mean 1 and this standard deviation.
    time_shift : float, default=0.0
        Largest shift in time, as a share of the length, in [0, 1). What comes in is the first or the last step.
    time_warp : float, default=0.0
        Time runs between ``1 - 2 * time_warp`` and ``1 + 2 * time_warp`` times as fast, along a smooth curve from
        beginning to end, in [0, 0.5).

    References
    ----------
    Um et al. (2017), "Data augmentation of wearable sensor data for Parkinson's disease monitoring using convolutional
    neural networks", ICMI.

    Examples
    --------
    >>> from skneural.layers import GlobalPool, Recurrent, SequenceAugmentation, Standardize
    >>> hidden = [Standardize(), SequenceAugmentation(jitter=0.05, time_warp=0.1), Recurrent("gru", 16), GlobalPool()]

    What training would see:

    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> display = SequenceAugmentation(scaling=0.2, time_shift=0.1).preview(np.sin(np.arange(40) / [[5], [3]]), n=4)
    >>> display.versions.shape
    (2, 4, 40)
    >>> plt.close(display.figure_)
    """

    jitter: float = 0.0
    scaling: float = 0.0
    time_shift: float = 0.0
    time_warp: float = 0.0

    def preview(self, X, n=7, **options):
        """Draw sequences and versions of them that training would see.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, n_features)
            A few sequences, or a list of some of different length.
        n : int, default=7
            Versions of each.
        **options
            As :meth:`skneural.plotting.SequenceAugmentationDisplay.from_sequences` has them: `random_state`, `ax`,
            `sequence_kw`, `version_kw`.

        Returns
        -------
        SequenceAugmentationDisplay
            The versions are its attribute `versions`, of shape (n_samples, n, n_timesteps) or with features.
        """
        from skneural.plotting import SequenceAugmentationDisplay  # stands above this module

        return SequenceAugmentationDisplay.from_sequences(self, X, n, **options)

    def build(self, net, x):
        """See `Layer.build`."""
        net.sequences(x)
        _check_place(net)
        if not net.augments:
            return x
        return net.add(
            "augment_sequences",
            x,
            shape=x.shape,
            forwards=x.forwards,
            stream=net.new_stream(),
            jitter=self.jitter,
            scaling=self.scaling,
            time_shift=self.time_shift,
            time_warp=self.time_warp,
        )
