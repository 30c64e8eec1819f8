"""What networks that read sequences share, whatever their layers."""

from __future__ import annotations

from skneural._declare import declare, parameter
from skneural.estimators._nested import NestedLayers
from skneural.estimators._sequence_reader import SequenceReader
from skneural.estimators._training_parameters import MIXUP
from skneural.layers import SequenceAugmentation

STANDARDIZE = parameter(
    default=True,
    constraint=["boolean"],
    doc="""Whether to scale each feature to mean 0 and deviation 1 over the training data, and, in regression with a
    loss of identity link, y too; predictions are in the units of y. Weighted by `sample_weight`. It is learnt by the
    first fit, or the first call of :meth:`partial_fit`. Losses in `loss_curve_` and elsewhere are those of the scaled
    y, and `huber_delta` is in its units.""",
)


@declare
class SequenceNetwork(NestedLayers):
    """Mixin of the networks that read sequences.

    Attributes
    ----------
    n_features_in_ : int
        Number of features seen in :meth:`fit`; of columns, for 2-D `X`.

    n_timesteps_in_ : int
        Length of the longest sequence seen in the first :meth:`fit` or :meth:`partial_fit`. Others can be predicted;
        2-D `X` must have the same columns as there.
    """

    augmentation: SequenceAugmentation | None = parameter(
        default=None,
        constraint=[SequenceAugmentation, None],
        type="layers.SequenceAugmentation or None",
        stochastic=True,
        doc="""How sequences are changed at random in training, every time that they are seen, as
        ``SequenceAugmentation(jitter=0.05, time_warp=0.1)``. Its settings are nested parameters:
        ``set_params(augmentation__jitter=0.1)``. Not with 'lbfgs'.""",
    )
    mixup: float = MIXUP
    input_noise: float = parameter(
        default=0.0,
        doc="""Standard deviation of Gaussian noise that is added to the inputs in training, in units of the scaled
        features with `standardize`. Not with 'lbfgs'.""",
    )

    _holders = ("augmentation",)
    _reader = SequenceReader()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.three_d_array = True
        return tags


@declare
class ScaledTargets:
    """Mixin of the regressors that scale y as they scale X."""

    huber_delta: float = parameter(
        default=1.0,
        doc="""Error at which the Huber loss becomes linear, in units of the scaled y with `standardize`, else of y.""",
    )

    def _fit_targets(self, targets, y, weights, first_pass):
        """Scale y as X is, by the training rows of the first fit."""
        if first_pass and self.standardize:
            targets.standardize(y, weights)
        elif not first_pass and hasattr(self, "_target"):
            targets.adopt_scale(self._target)
