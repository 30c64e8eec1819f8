"""What stands inside of pipelines and searches: displays, inspection and forecasts ask the estimator itself."""

from __future__ import annotations

import numpy as np


def innermost(estimator):
    """What predicts at the end of a pipeline, or for a search."""
    while True:
        if hasattr(estimator, "steps"):  # a pipeline
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):  # a search
            estimator = estimator.best_estimator_
        else:
            return estimator


def found_by_search(estimator):
    """What a search has found; a pipeline stays one, since its last step reads something else."""
    while hasattr(estimator, "best_estimator_") and not hasattr(estimator, "steps"):
        estimator = estimator.best_estimator_
    return estimator


def levels_of(estimator):
    """What quantiles an estimator predicts, in its order; None if it predicts one value."""
    estimator = innermost(estimator)
    levels = getattr(estimator, "quantiles", None)
    if np.ndim(levels) != 1 or getattr(estimator, "loss", "quantile") != "quantile":
        return None
    return np.asarray(levels, dtype=float)
