"""Displays in the manner of scikit-learn's: of trainings, forecasts, images, codes, and what predictions rest on.

They read fitted attributes and arrays, and draw with Matplotlib, which is imported when something is drawn.
"""

from skneural.plotting._augmentation import AugmentationDisplay
from skneural.plotting._filters import FilterDisplay
from skneural.plotting._forecast import ForecastDisplay
from skneural.plotting._image_importance import ImageImportanceDisplay
from skneural.plotting._image_predictions import ImagePredictionDisplay
from skneural.plotting._importance import TimestepImportanceDisplay
from skneural.plotting._latent import LatentDisplay
from skneural.plotting._reconstruction import ReconstructionDisplay
from skneural.plotting._sequence_augmentation import SequenceAugmentationDisplay
from skneural.plotting._training import GradientNormDisplay, TrainingCurveDisplay

__all__ = [
    "AugmentationDisplay", "FilterDisplay", "ForecastDisplay", "GradientNormDisplay", "ImageImportanceDisplay",
    "ImagePredictionDisplay", "LatentDisplay", "ReconstructionDisplay", "SequenceAugmentationDisplay",
    "TimestepImportanceDisplay", "TrainingCurveDisplay",
]  # fmt: skip
