"""Displays in the manner of scikit-learn's: of trainings, of forecasts, and of what a prediction rests on.

They read fitted attributes and arrays, and draw with Matplotlib, which is imported when something is drawn.
"""

from skneural.plotting._forecast import ForecastDisplay
from skneural.plotting._importance import TimestepImportanceDisplay
from skneural.plotting._training import GradientNormDisplay, TrainingCurveDisplay

__all__ = ["ForecastDisplay", "GradientNormDisplay", "TimestepImportanceDisplay", "TrainingCurveDisplay"]
