"""What older versions of scikit-learn lack, in one place. Each part says until which version it is needed."""

import sklearn
from sklearn.utils.validation import _check_sample_weight

try:
    from sklearn.callback import CallbackSupportMixin
except ModuleNotFoundError:  # before scikit-learn 1.9, which brought callbacks
    HAS_CALLBACKS = False

    class CallbackSupportMixin:
        """Estimators without callbacks."""

        def set_callbacks(self, *callbacks):
            """Set callbacks for the estimator: needs scikit-learn 1.9 or newer.

            Raises
            ------
            ImportError
                Always.
            """
            require_callbacks("set_callbacks")

else:
    HAS_CALLBACKS = True


def require_callbacks(caller):
    """Raise ImportError if scikit-learn has no callbacks yet.

    Parameters
    ----------
    caller : str
        What needs them.
    """
    if not HAS_CALLBACKS:
        raise ImportError(
            f"{caller} needs scikit-learn >= 1.9, this is {sklearn.__version__}: older ones have no callbacks."
        )


def check_sample_weight(sample_weight, X, dtype=None):
    """Weights of samples, checked as scikit-learn does: one for each row of X, finite, not negative, not all zero.

    Raises
    ------
    ValueError
        If they are not.
    """
    sample_weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    check_not_all_zero(sample_weight)  # scikit-learn 1.7 lets them pass, 1.9 does not
    return sample_weight


def check_not_all_zero(sample_weight):
    """Raise in scikit-learn's words if all weights are 0; None stands for equal ones.

    Raises
    ------
    ValueError
        If they are.
    """
    if sample_weight is not None and not sample_weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
