"""Layers: what networks are made of. Each is a frozen dataclass of plain settings, and holds no weights."""

from skneural.layers.activation import Activation
from skneural.layers.activity import ActivityRegularization
from skneural.layers.adversarial import Adversarial as Adversarial  # of one estimator, and not for lists of layers
from skneural.layers.adversarial import LabelChannels as LabelChannels
from skneural.layers.augmentation import Augmentation, SequenceAugmentation
from skneural.layers.categorical import MixedRow as MixedRow  # of one estimator, too
from skneural.layers.convolution import Conv1D, Conv2D, ConvTranspose1D, ConvTranspose2D
from skneural.layers.dense import Dense
from skneural.layers.dropout import Dropout, SpatialDropout
from skneural.layers.noise import Noise
from skneural.layers.normalization import BatchNorm, LayerNorm
from skneural.layers.pooling import AveragePool1D, GlobalPool, MaxPool1D
from skneural.layers.pooling_images import AveragePool2D, MaxPool2D
from skneural.layers.recurrent import Recurrent
from skneural.layers.reshape import Flatten, Reshape
from skneural.layers.residual import Residual
from skneural.layers.sampling import GaussianSampling
from skneural.layers.standardize import Standardize
from skneural.layers.upsample import UpSample
from skneural.network.layer import Layer
from skneural.network.operations import KINDS, operation

#: Kinds of operations that the package brings along.
BUILT_IN = tuple(KINDS)

__all__ = [
    "Activation",
    "ActivityRegularization",
    "Augmentation",
    "AveragePool1D",
    "AveragePool2D",
    "BatchNorm",
    "Conv1D",
    "Conv2D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GaussianSampling",
    "GlobalPool",
    "Layer",
    "LayerNorm",
    "MaxPool1D",
    "MaxPool2D",
    "Noise",
    "Recurrent",
    "Reshape",
    "Residual",
    "SequenceAugmentation",
    "SpatialDropout",
    "Standardize",
    "UpSample",
    "operation",
]
